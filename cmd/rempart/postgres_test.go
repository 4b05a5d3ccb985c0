package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rempart/rempart/internal/store/storetest"
)

// output collects what a server in the background writes, and tells when a
// word was written.
type output struct {
	mu   sync.Mutex
	b    bytes.Buffer
	word string
	seen chan struct{}
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.b.Write(b)
	if o.word != "" && strings.Contains(o.b.String(), o.word) {
		o.word = ""
		close(o.seen)
	}
	return len(b), nil
}

// An installation on PostgreSQL, from the empty database to a check while it
// serves and after.
func TestPostgres(t *testing.T) {
	c := storetest.Postgres(t)
	dir := t.TempDir()
	t.Setenv("REMPART_DATA", dir)
	t.Setenv("REMPART_DATABASE_URL", c.Main.URL)
	t.Setenv("REMPART_DATABASE_SYSTEM_URL", c.Main.SystemURL)
	t.Setenv("REMPART_DATABASE_KEYS_URL", c.Keys.URL)
	t.Setenv("REMPART_DATABASE_KEYS_SYSTEM_URL", c.Keys.SystemURL)

	want := func(code int, part string, args ...string) {
		t.Helper()
		got, out, errs := call(args...)
		if got != code || !strings.Contains(out+errs, part) {
			t.Fatalf("%v: exit %d, want %d and %q\n%s%s", args, got, code, part, out, errs)
		}
	}
	want(1, "there is no installation in the database of database.url", "check")
	want(1, "run rempart migrate", "serve", "--http-addr", "127.0.0.1:0")
	want(1, "migrating needs owner_url", "migrate")
	t.Setenv("REMPART_DATABASE_OWNER_URL", c.Main.OwnerURL)
	t.Setenv("REMPART_DATABASE_KEYS_OWNER_URL", c.Keys.OwnerURL)
	want(0, "have the schema of this release", "migrate")
	os.Unsetenv("REMPART_DATABASE_OWNER_URL")
	os.Unsetenv("REMPART_DATABASE_KEYS_OWNER_URL")

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	o := &output{word: `"msg":"serving"`, seen: make(chan struct{})}
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"serve", "--http-addr", "127.0.0.1:0"}, streams{strings.NewReader(""), io.Discard, o})
	}()
	select {
	case <-o.seen:
	case code := <-ended:
		t.Fatalf("exit %d\n%s", code, &o.b)
	case <-time.After(time.Minute):
		t.Fatal("it is not up after a minute")
	}
	want(0, "acme", "org", "add", "--name", "Acme", "--owner", "ann@example.com")
	want(0, "every SQL statement fits the schema", "check")
	want(0, fmt.Sprintf("local:%d@", os.Getuid()), "audit", "list", "--org", "acme")
	stop()
	if code := <-ended; code != 0 {
		t.Fatalf("exit %d\n%s", code, &o.b)
	}
	want(0, "acme", "org", "list")
	want(0, `"ok": true`, "check", "--json")
	want(0, "ok", "audit", "verify")
}
