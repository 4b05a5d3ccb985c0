// Command rempart is the whole product in one binary. `rempart --help` lists
// its commands; README.md begins with `rempart demo`.
//
// The package is thin: it reads flags and calls what the API calls.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// version is set by the linker.
var version = "dev"

// commands are the commands and their flags.
type commands struct {
	Demo    demoCommand    `cmd:"" help:"Run the whole product on an embedded database, with two organizations and a sample application."`
	Verify  verifyCommand  `cmd:"" help:"Verify a proof, export, checkpoint, certificate or signed result, offline."`
	Version versionCommand `cmd:"" help:"Print what was built."`
}

// streams are where a command reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// exit is an error with an exit code of its own and nothing more to say.
type exit int

func (e exit) Error() string { return fmt.Sprintf("exit %d", int(e)) }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr}))
}

// run is main without the process: 0 is success, 1 a failure that is said on
// the error stream in one sentence, 2 a wrong command line.
func run(ctx context.Context, args []string, s streams) int {
	var c commands
	code := -1
	parser, err := kong.New(&c, kong.Name("rempart"), kong.Description("The security layer of a multi-tenant SaaS: sign-in, rules, keys, log and proof."),
		kong.Writers(s.out, s.err), kong.Exit(func(n int) { code = n; panic(exit(n)) }), kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(s))
	if err != nil {
		fmt.Fprintln(s.err, "rempart:", err)
		return 2
	}
	k, err := parse(parser, args)
	if code >= 0 { // --help
		return code
	}
	if err != nil {
		fmt.Fprintf(s.err, "rempart: %v\nTry rempart --help.\n", err)
		return 2
	}
	var e exit
	switch err := k.Run(); {
	case err == nil:
		return 0
	case errors.As(err, &e):
		return int(e)
	default:
		fmt.Fprintln(s.err, "rempart:", err)
		return 1
	}
}

// parse turns kong's way to leave (for --help) into a return.
func parse(p *kong.Kong, args []string) (k *kong.Context, err error) {
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(exit); !ok {
				panic(r)
			}
		}
	}()
	return p.Parse(args)
}
