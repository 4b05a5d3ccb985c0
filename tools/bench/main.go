package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	binary  string
	dir     string
	users   int
	workers int
	rounds  int
	burst   time.Duration
}

func main() {
	log.SetFlags(log.Ltime)
	if len(os.Args) > 1 && os.Args[1] == "anchor" {
		log.Fatal(anchors())
	}
	var o options
	flag.StringVar(&o.binary, "binary", "bin/rempart", "the product, as shipped")
	flag.StringVar(&o.dir, "dir", "", "folder on the disk to measure; a temporary one in it is used and removed")
	flag.IntVar(&o.users, "users", 1000, "users beside the demo's own")
	flag.IntVar(&o.workers, "c", 32, "workers")
	flag.IntVar(&o.rounds, "rounds", 5, "rounds; the median counts")
	flag.DurationVar(&o.burst, "burst", 2*time.Second, "length of one burst of load")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		log.Fatal(err)
	}
}

// run measures everything and prints the table.
func run(ctx context.Context, o options) error {
	if o.users < o.workers || o.rounds < 1 {
		return fmt.Errorf("there must be a round and at least as many users as workers (%d)", o.workers)
	}
	dir, err := os.MkdirTemp(o.dir, "rempart-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if o.binary, err = filepath.Abs(o.binary); err != nil {
		return err
	}
	begun := time.Now()
	r := report{o: o, begun: begun}
	for _, part := range []struct {
		name string
		do   func(context.Context, options, string, *report) error
	}{
		{"the append of the log, sealing", measureLibrary},
		{"the first start", measureFirst},
		{"load", measureLoad},
		{"starts, memory, one connection", measureStarts},
	} {
		log.Printf("%s...", part.name)
		if err := part.do(ctx, o, dir, &r); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	if err := r.machine(); err != nil {
		return err
	}
	r.took = time.Since(begun)
	return r.write(os.Stdout)
}
