package audit_test

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/clock"
	"github.com/rempart/rempart/internal/store"
	"github.com/rempart/rempart/internal/store/storetest"
)

// BenchmarkAppend is the acknowledged append: sealed, hashed, durable, by many
// callers at once. Compare with BenchmarkRawBatch of the same run.
func BenchmarkAppend(b *testing.B) {
	for _, c := range []int{1, 32, 256} {
		b.Run(fmt.Sprintf("c=%d", c), func(b *testing.B) {
			w := newWorld(b, benchConfig(b))
			who := w.who
			w.log.Now = clock.System // identifiers follow the time, and indexes them
			j := &counted{Log: w.log}
			w.store.Main.SetJournal(j)
			var n atomic.Int64
			var wg sync.WaitGroup
			took := make([]time.Duration, b.N)
			b.ReportAllocs()
			b.ResetTimer()
			before := cpu()
			for range c {
				wg.Go(func() {
					for i := n.Add(1); i <= int64(b.N); i = n.Add(1) {
						asked := time.Now()
						if err := w.log.Observe(context.Background(), who, w.org, audit.Entry{
							Kind: "things.item.changed", Target: audit.Target{Kind: "item", ID: "key_1"},
							Changes: []audit.Change{{Field: "size", Before: 1, After: 2}},
						}); err != nil {
							b.Error(err)
							return
						}
						took[i-1] = time.Since(asked)
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			slices.Sort(took)
			b.ReportMetric(float64(took[(len(took)-1)*99/100].Microseconds())/1000, "p99-ms")
			b.ReportMetric(float64(cpu()-before)/float64(b.N), "cpu-ns/op")
			b.ReportMetric(float64(b.N)/float64(max(1, j.groups)), "entries/commit")
			w.settle()
			if rep := w.verify(w.org); !rep.OK() || rep.Size != int64(b.N) {
				b.Fatalf("%+v", rep)
			}
		})
	}
}

func benchConfig(b *testing.B) storetest.Configs {
	c := storetest.SQLite(b.TempDir())
	c.Main.Strict, c.Keys.Strict = false, false
	return c
}

// BenchmarkRawBatch is the limit of the machine: rows of the size of an entry
// by one prepared statement, 256 a COMMIT, synchronous FULL.
func BenchmarkRawBatch(b *testing.B) {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(b.TempDir(), "raw.db")+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_txlock=immediate")
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	ctx := context.Background()
	conn, err := db.Conn(ctx)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, "CREATE TABLE audit(seq INTEGER PRIMARY KEY, at INTEGER, tenant BLOB, actor BLOB, kind TEXT, body BLOB, leaf BLOB)"); err != nil {
		b.Fatal(err)
	}
	ins, err := conn.PrepareContext(ctx, "INSERT INTO audit(at,tenant,actor,kind,body,leaf) VALUES(?,?,?,?,?,?)")
	if err != nil {
		b.Fatal(err)
	}
	body, id := make([]byte, 300), make([]byte, 16)
	leaf := sha256.Sum256(body)
	b.ResetTimer()
	before := cpu()
	defer func() { b.ReportMetric(float64(cpu()-before)/float64(b.N), "cpu-ns/op") }()
	for i := 0; i < b.N; {
		conn.ExecContext(ctx, "BEGIN IMMEDIATE")
		for j := 0; j < 256 && i < b.N; i, j = i+1, j+1 {
			if _, err := ins.ExecContext(ctx, i, id, id, "user.update", body, leaf[:]); err != nil {
				b.Fatal(err)
			}
		}
		conn.ExecContext(ctx, "COMMIT")
	}
}

func BenchmarkProof(b *testing.B) {
	w := newWorld(b, benchConfig(b))
	for i := range 2000 {
		w.must(w.log.Observe(context.Background(), w.who, w.org, audit.Entry{Kind: "things.item.changed", Facts: map[string]any{"n": i}}))
	}
	w.settle()
	e := w.search(audit.Query{Limit: 1})[0]
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.log.Proof(context.Background(), w.org, e.ID, true); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSeal is the work before the transaction.
func BenchmarkSeal(b *testing.B) {
	w := newWorld(b, benchConfig(b))
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		pen, err := w.log.Pen(ctx, w.who, w.org)
		w.must(err)
		w.must(pen.Record(&store.Tx{}, audit.Entry{Kind: "things.item.changed", Changes: []audit.Change{{Field: "size", Before: 1, After: 2}}}))
	}
}

// cpu is the processor time of this process: on a machine shared with others
// it says more than the clock.
func cpu() int64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return u.Utime.Nano() + u.Stime.Nano()
}

// counted counts the groups that were committed.
type counted struct {
	*audit.Log
	groups int64
}

func (c *counted) Done(batch []any, err error) { c.groups++; c.Log.Done(batch, err) }
