package local_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rempart/rempart/internal/local"
)

func TestOneProcessOwnsAFolder(t *testing.T) {
	dir := t.TempDir()
	first, err := local.Acquire(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := local.Acquire(dir); !errors.Is(err, local.ErrHeld) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Fatalf("a second owner: %v", err)
	}
	if err := first.Release(); err != nil {
		t.Fatal(err)
	}
	again, err := local.Acquire(dir)
	if err != nil {
		t.Fatalf("after release: %v", err)
	}
	again.Release()
}

func TestRootLeavesNoFilesToOthers(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can give a folder away")
	}
	dir := t.TempDir()
	if err := os.Chown(dir, 65534, 65534); err != nil {
		t.Skip("this system does not let root give a folder away")
	}
	if _, err := local.Acquire(dir); err == nil || !strings.Contains(err.Error(), "belongs to user 65534") {
		t.Fatalf("got %v", err)
	}
}

func TestCallsReachTheOwner(t *testing.T) {
	for name, dir := range map[string]string{
		"a folder with a short name":                    "d",
		"a folder whose name is longer than an address": strings.Repeat("d", 120),
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), dir)
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if _, err := local.Run(t.Context(), dir, local.Call{}); !errors.Is(err, local.ErrNobody) {
				t.Fatalf("without an owner: %v", err)
			}
			if err := os.WriteFile(filepath.Join(dir, "rempart.sock"), nil, 0o600); err != nil {
				t.Fatal(err) // what a killed owner leaves
			}
			l, err := local.Listen(dir)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			big := strings.Repeat("0123456789abcdef", 200_000)
			go func() {
				ended <- l.Serve(ctx, func(ctx context.Context, c local.Call) int {
					if c.Args[0] == "wait" {
						<-ctx.Done()
						return 9
					}
					fmt.Fprint(c.Out, big)
					fmt.Fprint(c.Err, strings.Join(c.Args, " "), " by ", c.Name, " in ", c.Lang)
					return 7
				})
			}()
			if info, err := os.Stat(filepath.Join(dir, "rempart.sock")); err != nil || info.Mode().Perm() != 0o600 {
				t.Fatalf("the socket: %v %v", info, err)
			}
			var out, errs bytes.Buffer
			code, err := local.Run(t.Context(), dir, local.Call{Args: []string{"org", "list"}, Lang: "fr", Out: &out, Err: &errs})
			if err != nil || code != 7 || out.String() != big {
				t.Fatalf("code %d, %d bytes, %v", code, out.Len(), err)
			}
			if want := fmt.Sprintf("org list by %d@", os.Getuid()); !strings.HasPrefix(errs.String(), want) || !strings.HasSuffix(errs.String(), " in fr") {
				t.Fatalf("got %q", errs.String())
			}
			// A caller that is interrupted ends what runs for it.
			gone, hang := context.WithCancel(t.Context())
			hung := make(chan error, 1)
			go func() {
				_, err := local.Run(gone, dir, local.Call{Args: []string{"wait"}, Out: &out, Err: &errs})
				hung <- err
			}()
			hang()
			if err := <-hung; err == nil {
				t.Fatal("an interrupted call has no error")
			}
			cancel()
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			if _, err := local.Run(t.Context(), dir, local.Call{}); !errors.Is(err, local.ErrNobody) {
				t.Fatalf("after the end: %v", err)
			}
		})
	}
}
