package keyring_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rempart/rempart/internal/clock"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/keyring"
	"github.com/rempart/rempart/internal/keyring/keyringtest"
	"github.com/rempart/rempart/internal/store"
	"github.com/rempart/rempart/internal/store/storetest"
)

// cut is a ledger place at which the process dies: cancel ends everything that
// follows the append, before or after the line is written.
type cut struct {
	keyring.Ledger
	before, after func()
}

var errPower = errors.New("the power is gone")

func (c cut) Append(ctx context.Context, n int64, line []byte) error {
	if c.before != nil {
		c.before()
		return errPower
	}
	err := c.Ledger.Append(ctx, n, line)
	if c.after != nil {
		c.after()
	}
	return err
}

func TestADestructionCutShortIsFinishedAtTheNextStart(t *testing.T) {
	for _, point := range []struct {
		name string
		cut  func(k *keyring.Service, cancel func())
		gone bool // the ledger has the line: the key must end
	}{
		{"before the ledger's first place", func(k *keyring.Service, cancel func()) {
			k.Ledgers[0] = cut{Ledger: k.Ledgers[0], before: cancel}
		}, false},
		{"between the two places", func(k *keyring.Service, cancel func()) {
			k.Ledgers[1] = cut{Ledger: k.Ledgers[1], before: cancel}
		}, true},
		{"between ledger and destruction", func(k *keyring.Service, cancel func()) {
			k.Ledgers[1] = cut{Ledger: k.Ledgers[1], after: cancel}
		}, true},
	} {
		t.Run(point.name, func(t *testing.T) {
			each(t, func(t *testing.T, k *keyring.Service, now *clock.Fixed) {
				o := keyring.Person(id.NewUser(start))
				other := keyring.Person(id.NewUser(start))
				r := ready(t, k, o, other)
				sealed, kept := seal(t, r, o, "her"), seal(t, r, other, "him")
				ctx, cancel := context.WithCancel(context.Background())
				dying := keyringOf(k)
				dying.Ledgers = append([]keyring.Ledger(nil), k.Ledgers...)
				if err := dying.Start(ctx); err != nil {
					t.Fatal(err)
				}
				point.cut(dying, cancel)
				if _, err := dying.Destroy(ctx, operator, o); err == nil {
					t.Fatal("the destruction was not cut short")
				}
				again := keyringOf(k)
				if err := again.Start(context.Background()); err != nil {
					t.Fatal(err)
				}
				r = ready(t, again, o, other)
				wantOpen(t, r, other, kept, "him")
				// The intent was written in every case, so that the act is
				// finished in every case: a key is ended or it is not, never both.
				wantErr(t, r, o, sealed, keyring.ErrErased)
				if acts, err := again.OpenActs(context.Background()); err != nil || len(acts) != 0 {
					t.Errorf("open acts: %v, %v", acts, err)
				}
				lines, _, err := again.Ledger(context.Background())
				if err != nil || len(lines) != 2 {
					t.Errorf("the ledger has %d lines, %v; want 2", len(lines), err)
				}
				for _, l := range again.Ledgers {
					if have, err := l.Lines(context.Background()); err != nil || len(have) != 2 {
						t.Errorf("%s has %d lines, %v", l.Name(), len(have), err)
					}
				}
			})
		})
	}
}

func TestALedgerThatIsAwayRefusesTheDestructionAndLeavesTheKey(t *testing.T) {
	each(t, func(t *testing.T, k *keyring.Service, now *clock.Fixed) {
		ctx := context.Background()
		o := keyring.Person(id.NewUser(start))
		sealed := seal(t, ready(t, k, o), o, "her")
		good := k.Ledgers[0]
		k.Ledgers[0] = cut{Ledger: good, before: func() {}}
		_, err := k.Destroy(ctx, operator, o)
		if fault.KindOf(err) != fault.Unavailable {
			t.Errorf("got %v", err)
		}
		k.Ledgers[0] = good
		wantOpen(t, ready(t, k, o), o, sealed, "her")
		if acts, err := k.OpenActs(ctx); err != nil || len(acts) != 0 {
			t.Errorf("open acts: %v, %v", acts, err)
		}
		again := keyringOf(k)
		if err := again.Start(ctx); err != nil {
			t.Fatal(err)
		}
		wantOpen(t, ready(t, again, o), o, sealed, "her")
	})
}

// copyFile puts a file where another is, as an operator with cp does.
func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if errors.Is(err, os.ErrNotExist) {
		_ = os.Remove(to)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAnOlderCopyPutBackIsRefused(t *testing.T) {
	ctx := context.Background()
	for _, what := range []struct {
		name  string
		files []string // put back as they were before the destruction
		want  string
	}{
		{"the keys database", []string{"keys.db"}, "the keys database is older than line 2"},
		{"the main database", []string{"main.db"}, "the main database is older than line 2"},
		{"both databases", []string{"main.db", "keys.db"}, "the main database is older than line 2"},
		{"both places of the ledger", []string{"ledger/ledger.jsonl", "ledger-2/ledger.jsonl"}, "the erasure ledger is older than the main database"},
		{"databases and one place of the ledger", []string{"main.db", "keys.db", "ledger/ledger.jsonl"}, "the main database is older"},
	} {
		t.Run(what.name, func(t *testing.T) {
			dir := t.TempDir()
			c := storetest.SQLite(dir)
			now := clock.NewFixed(start)
			open := func() (*store.Store, *keyring.Service) {
				if err := store.Migrate(ctx, c.Main, c.Keys, manifests); err != nil {
					t.Fatal(err)
				}
				s, err := store.Open(ctx, c.Main, c.Keys, manifests)
				if err != nil {
					t.Fatal(err)
				}
				return s, keyringtest.Unopened(t, s, now.Now, dir)
			}
			s, k := open()
			if _, err := k.Setup(ctx); err != nil {
				t.Fatal(err)
			}
			o := keyring.Person(id.NewUser(start))
			sealed := seal(t, ready(t, k, o), o, "her")
			s.Close()
			before := t.TempDir()
			for _, f := range what.files {
				for _, suffix := range []string{"", "-wal"} {
					copyFile(t, filepath.Join(dir, f+suffix), filepath.Join(before, filepath.Base(filepath.Dir(f))+filepath.Base(f)+suffix))
				}
			}
			s, k = open()
			if err := k.Start(ctx); err != nil {
				t.Fatal(err)
			}
			if _, err := k.Destroy(ctx, operator, o); err != nil {
				t.Fatal(err)
			}
			s.Close()
			for _, f := range what.files {
				for _, suffix := range []string{"", "-wal"} {
					copyFile(t, filepath.Join(before, filepath.Base(filepath.Dir(f))+filepath.Base(f)+suffix), filepath.Join(dir, f+suffix))
				}
				_ = os.Remove(filepath.Join(dir, f+"-shm"))
			}
			s, k = open()
			defer s.Close()
			err := k.Start(ctx)
			if !errors.Is(err, keyring.ErrOlder) || !strings.Contains(err.Error(), what.want) || !strings.Contains(err.Error(), "rempart restore --finish") {
				t.Fatalf("start: %v", err)
			}
			if _, err := k.Ready(ctx, o); !errors.Is(err, keyring.ErrNotStarted) {
				t.Errorf("it serves all the same: %v", err)
			}
			if what.files[len(what.files)-1] != "keys.db" && what.files[0] != "main.db" {
				return // an older ledger can't be mended from the databases
			}
			if strings.Contains(what.name, "ledger") {
				return // the lagging place was brought up; the databases are as in the cases above
			}
			if err := k.Reconcile(ctx); err != nil {
				t.Fatalf("reconcile: %v", err)
			}
			wantErr(t, ready(t, k, o), o, sealed, keyring.ErrErased)
			again := keyringOf(k)
			if err := again.Start(ctx); err != nil {
				t.Errorf("start after the reconciliation: %v", err)
			}
			lines, _, err := again.Ledger(ctx)
			if err != nil || lines[len(lines)-1].Kind != "epoch" || lines[len(lines)-1].Epoch != 2 {
				t.Errorf("the ledger ends with %+v, %v", lines[len(lines)-1], err)
			}
		})
	}
}

func TestWrongKeysAndWrongPlacesRefuse(t *testing.T) {
	each(t, func(t *testing.T, k *keyring.Service, now *clock.Fixed) {
		ctx := context.Background()
		if _, err := k.Destroy(ctx, operator, keyring.Person(id.NewUser(start))); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			name   string
			change func(k *keyring.Service)
			want   error
		}{
			{"another root key", func(k *keyring.Service) {
				root, err := keyring.MakeRootFile(filepath.Join(t.TempDir(), "other.key"))
				if err != nil {
					t.Fatal(err)
				}
				k.Root = root
			}, keyring.ErrRoot},
			{"an empty ledger", func(k *keyring.Service) {
				k.Ledgers = []keyring.Ledger{keyring.FolderLedger(t.TempDir()), keyring.FolderLedger(t.TempDir())}
			}, keyring.ErrOlder},
			{"a ledger that can't be read", func(k *keyring.Service) {
				k.Ledgers = []keyring.Ledger{k.Ledgers[0], unreadable{k.Ledgers[1]}}
			}, errPower},
			{"a ledger with a changed line", func(k *keyring.Service) {
				k.Ledgers = []keyring.Ledger{changed{k.Ledgers[0]}, changed{k.Ledgers[1]}}
			}, keyring.ErrLedger},
			{"a shorter log", func(k *keyring.Service) {
				k.LogHead = func(context.Context) (int64, string, error) { return 9, "nine", nil }
			}, keyring.ErrOlder},
			{"another log of the same length", func(k *keyring.Service) {
				k.LogHead = func(context.Context) (int64, string, error) { return 12, "twelve", nil }
				k.LogAt = func(context.Context, int64) (string, error) { return "another ten", nil }
			}, keyring.ErrOlder},
		} {
			if strings.Contains(c.name, "log") && !strings.Contains(c.name, "ledger") {
				k.LogHead = func(context.Context) (int64, string, error) { return 10, "ten", nil }
				if err := k.NoteHeads(ctx); err != nil {
					t.Fatal(err)
				}
			}
			wrong := keyringOf(k)
			c.change(wrong)
			if err := wrong.Start(ctx); !errors.Is(err, c.want) {
				t.Errorf("%s: got %v, want %v", c.name, err, c.want)
			}
			if _, err := wrong.Ready(ctx, keyring.Installation()); !errors.Is(err, keyring.ErrNotStarted) {
				t.Errorf("%s: it serves all the same: %v", c.name, err)
			}
		}
		if err := keyringOf(k).Start(ctx); err != nil {
			t.Errorf("nothing was changed, and yet: %v", err)
		}
		if _, err := keyringOf(k).Setup(ctx); !errors.Is(err, keyring.ErrThere) {
			t.Errorf("a second set-up: %v", err)
		}
	})
}

type unreadable struct{ keyring.Ledger }

func (unreadable) Lines(context.Context) ([][]byte, error) { return nil, errPower }

type changed struct{ keyring.Ledger }

func (c changed) Lines(ctx context.Context) ([][]byte, error) {
	lines, err := c.Ledger.Lines(ctx)
	last := len(lines) - 1
	lines[last] = []byte(strings.Replace(string(lines[last]), `"epoch":1`, `"epoch":2`, 1))
	return lines, err
}

// away is a second place that does not answer.
type away struct{ keyring.Place }

func (away) Put(context.Context, string, []byte) error    { return errPower }
func (away) List(context.Context) ([]string, error)       { return nil, errPower }
func (away) Open(context.Context, string) ([]byte, error) { return nil, errPower }

func TestNoKeyIsUsedBeforeTheSecondPlaceHasIt(t *testing.T) {
	each(t, func(t *testing.T, k *keyring.Service, now *clock.Fixed) {
		ctx := context.Background()
		there := k.Second
		o := keyring.Member(id.NewOrg(start), id.NewUser(start))
		ready(t, k, keyring.Organization(o.Org()))
		k.Second = away{there}
		if _, err := k.Ready(ctx, o); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("a key was given out that is only in one place: %v", err)
		}
		k.Second = there
		before, _ := there.List(ctx)
		ready(t, k, o)
		after, _ := there.List(ctx)
		if len(after) <= len(before) {
			t.Error("the second place was not asked")
		}
		// An hour later without a copy, nothing new begins; what is there goes on.
		now.Advance(61 * time.Minute)
		for _, fresh := range []keyring.Owner{keyring.Person(id.NewUser(start)), keyring.Organization(id.NewOrg(start))} {
			if _, err := k.Ready(ctx, fresh); fault.KindOf(err) != fault.Unavailable {
				t.Errorf("%s got a key with copies an hour old: %v", fresh, err)
			}
		}
		if _, err := k.Rotate(ctx, operator, o); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("rotated with copies an hour old: %v", err)
		}
		ready(t, k, o)
		if err := k.MakeCopies(ctx); err != nil {
			t.Fatal(err)
		}
		ready(t, k, keyring.Person(id.NewUser(start)))
	})
}
