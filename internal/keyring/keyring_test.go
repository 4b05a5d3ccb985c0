package keyring_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/clock"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/keyring"
	"github.com/rempart/rempart/internal/keyring/keyringtest"
	"github.com/rempart/rempart/internal/store"
	"github.com/rempart/rempart/internal/store/storetest"
)

var (
	start     = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	manifests = []capability.Manifest{keyring.Manifest()}
	operator  = caller.ForLocal("0@test")
)

// each runs fn with a keyring that was set up, on both engines.
func each(t *testing.T, fn func(t *testing.T, k *keyring.Service, now *clock.Fixed)) {
	t.Helper()
	storetest.Each(t, manifests, func(t *testing.T, s *store.Store) {
		now := clock.NewFixed(start)
		fn(t, keyringtest.New(t, s, now.Now), now)
	})
}

func ready(t testing.TB, k *keyring.Service, owners ...keyring.Owner) *keyring.Ring {
	t.Helper()
	r, err := k.Ready(context.Background(), owners...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func seal(t testing.TB, r *keyring.Ring, o keyring.Owner, text string) []byte {
	t.Helper()
	b, err := r.Seal(o, "test.label", "row", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func wantOpen(t testing.TB, r *keyring.Ring, o keyring.Owner, sealed []byte, want string) {
	t.Helper()
	got, err := r.Open(o, "test.label", "row", sealed)
	if err != nil || string(got) != want {
		t.Errorf("open for %s: got %q, %v; want %q", o, got, err, want)
	}
}

func wantErr(t testing.TB, r *keyring.Ring, o keyring.Owner, sealed []byte, want error) {
	t.Helper()
	got, err := r.Open(o, "test.label", "row", sealed)
	if !errors.Is(err, want) || got != nil {
		t.Errorf("open for %s: got %q, %v; want the error %v", o, got, err, want)
	}
}

func owners(at time.Time) (org id.Org, user id.User, all []keyring.Owner) {
	org, user = id.NewOrg(at), id.NewUser(at)
	return org, user, []keyring.Owner{keyring.Installation(), keyring.Organization(org), keyring.Person(user), keyring.Member(org, user)}
}

func TestWhatIsSealedOpensAfterARestartForItsOwnerOnly(t *testing.T) {
	each(t, func(t *testing.T, k *keyring.Service, now *clock.Fixed) {
		ctx := context.Background()
		_, _, all := owners(start)
		r := ready(t, k, all...)
		sealed := make([][]byte, len(all))
		for i, o := range all {
			sealed[i] = seal(t, r, o, fmt.Sprint("value ", i))
			if len(sealed[i]) != len("value 0")+keyring.Overhead {
				t.Errorf("a sealed value has %d bytes", len(sealed[i]))
			}
		}
		hash := r.Hash(keyring.Installation(), "test.email", "a@example.org")

		again := *keyringOf(k)
		if err := again.Start(ctx); err != nil {
			t.Fatal(err)
		}
		r = ready(t, &again, all...)
		for i, o := range all {
			for j, other := range all {
				if i == j {
					wantOpen(t, r, o, sealed[i], fmt.Sprint("value ", i))
				} else if got, err := r.Open(other, "test.label", "row", sealed[i]); err == nil {
					t.Errorf("%s opened the value of %s: %q", other, o, got)
				}
			}
			for _, bind := range [][2]string{{"test.labe", "lrow"}, {"test.label", "rows"}, {"test.label", ""}, {"", "row"}, {"test.other", "row"}} {
				if _, err := r.Open(o, bind[0], bind[1], sealed[i]); !errors.Is(err, keyring.ErrCorrupt) {
					t.Errorf("opened in place %q: %v", bind, err)
				}
			}
		}
		if !bytes.Equal(hash, r.Hash(keyring.Installation(), "test.email", "a@example.org")) {
			t.Error("the keyed hash changed with a restart")
		}
		if bytes.Equal(hash, r.Hash(all[1], "test.email", "a@example.org")) || bytes.Equal(hash, r.Hash(keyring.Installation(), "test.mail", "a@example.org")) {
			t.Error("the keyed hash is the same for another owner or label")
		}
	})
}

// keyringOf gives a fresh service with the places of k, not started.
func keyringOf(k *keyring.Service) *keyring.Service {
	return &keyring.Service{Store: k.Store, Root: k.Root, Now: k.Now, Log: k.Log, Second: k.Second, Ledgers: k.Ledgers, Term: k.Term, LogHead: k.LogHead, LogAt: k.LogAt, Intent: k.Intent, Outcome: k.Outcome}
}

func TestEachByteChangedIsAnError(t *testing.T) {
	k := keyringtest.New(t, storetest.Open(t, manifests), clock.NewFixed(start).Now)
	o := keyring.Person(id.NewUser(start))
	r := ready(t, k, o)
	sealed := seal(t, r, o, "a value of some length")
	for i := range sealed {
		for _, bit := range []byte{1, 0x80} {
			bad := bytes.Clone(sealed)
			bad[i] ^= bit
			if got, err := r.Open(o, "test.label", "row", bad); err == nil || got != nil {
				t.Errorf("byte %d changed: %q, %v", i, got, err)
			}
		}
		if got, err := r.Open(o, "test.label", "row", sealed[:i]); err == nil || got != nil {
			t.Errorf("cut to %d bytes: %q, %v", i, got, err)
		}
	}
	wantOpen(t, r, o, sealed, "a value of some length")
}

func TestFiftyAtOnceMakeOneKey(t *testing.T) {
	each(t, func(t *testing.T, k *keyring.Service, now *clock.Fixed) {
		org, _, all := owners(start)
		other := keyringOf(k) // a second node on the same databases
		if err := other.Start(context.Background()); err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		ids := map[id.DataKey]bool{}
		var wg sync.WaitGroup
		for i := range 50 {
			node := k
			if i%2 == 1 {
				node = other
			}
			wg.Go(func() {
				r, err := node.Ready(context.Background(), all...)
				if err != nil {
					t.Error(err)
					return
				}
				b, err := r.Seal(keyring.Organization(org), "test.label", "row", nil)
				if err != nil {
					t.Error(err)
					return
				}
				kid, ok := keyring.KeyOf(b)
				mu.Lock()
				defer mu.Unlock()
				ids[kid] = ok
			})
		}
		wg.Wait()
		if len(ids) != 1 {
			t.Errorf("50 callers sealed with %d keys", len(ids))
		}
	})
}

func TestADestroyedOrganizationTakesItsMembersAndManagedUsersWithIt(t *testing.T) {
	each(t, func(t *testing.T, k *keyring.Service, now *clock.Fixed) {
		ctx := context.Background()
		org, user, all := owners(start)
		managed := id.NewUser(start)
		all = append(all, keyring.Person(managed))
		r := ready(t, k, all...)
		var sealed [][]byte
		for _, o := range all {
			sealed = append(sealed, seal(t, r, o, o.String()))
		}
		if err := k.Bind(ctx, managed, org); err != nil {
			t.Fatal(err)
		}
		r = ready(t, k, all...)
		for i, o := range all {
			wantOpen(t, r, o, sealed[i], o.String())
		}
		act, err := k.Destroy(ctx, operator, keyring.Organization(org))
		if err != nil {
			t.Fatal(err)
		}
		check := func(k *keyring.Service, when string) {
			t.Helper()
			r := ready(t, k, all...)
			for i, o := range all {
				switch o {
				case keyring.Installation(), keyring.Person(user):
					wantOpen(t, r, o, sealed[i], o.String())
				default:
					wantErr(t, r, o, sealed[i], keyring.ErrErased)
					if _, err := r.Seal(o, "test.label", "row", nil); !errors.Is(err, keyring.ErrErased) {
						t.Errorf("%s: sealed for %s after its end: %v", when, o, err)
					}
				}
				kid, _ := keyring.KeyOf(sealed[i])
				line, err := k.ErasedLine(ctx, kid)
				if err != nil {
					t.Fatal(err)
				}
				if gone := o != keyring.Installation() && o != keyring.Person(user); gone != (line > 0) {
					t.Errorf("%s: key of %s: ledger line %d", when, o, line)
				}
			}
			// Someone who never had a key in it gets none now.
			late := keyring.Member(org, id.NewUser(start))
			if _, err := ready(t, k, late).Seal(late, "l", "r", nil); !errors.Is(err, keyring.ErrErased) {
				t.Errorf("%s: a new member of an erased organization: %v", when, err)
			}
		}
		check(k, "at once")
		if err := k.Sweep(ctx); err != nil {
			t.Fatal(err)
		}
		check(k, "after the sweep")
		again := keyringOf(k)
		if err := again.Start(ctx); err != nil {
			t.Fatal(err)
		}
		check(again, "after a restart")
		lines, _, err := again.Ledger(ctx)
		if err != nil || len(lines) != 3 {
			t.Fatalf("ledger: %d lines, %v; want open, destroy, sweep", len(lines), err)
		}
		if lines[1].Act != act.ID || len(lines[1].Keys) != 2 {
			t.Errorf("line 2 is %+v", lines[1])
		}
	})
}

func TestRotationKeepsOldDataReadable(t *testing.T) {
	each(t, func(t *testing.T, k *keyring.Service, now *clock.Fixed) {
		ctx := context.Background()
		_, _, all := owners(start)
		r := ready(t, k, all...)
		var sealed [][]byte
		for _, o := range all {
			sealed = append(sealed, seal(t, r, o, o.String()))
		}
		hash := r.Hash(all[1], "l", "v")
		for _, o := range all {
			if _, err := k.Rotate(ctx, operator, o); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := k.RotateKEK(ctx, operator); err != nil {
			t.Fatal(err)
		}
		for i, at := range []time.Duration{0, time.Minute, time.Hour} {
			if i > 0 {
				now.Advance(at)
				if err := k.MakeCopies(ctx); err != nil {
					t.Fatal(err)
				}
				if err := k.Rewrap(ctx); err != nil {
					t.Fatal(err)
				}
			}
			again := keyringOf(k)
			if err := again.Start(ctx); err != nil {
				t.Fatal(err)
			}
			for _, node := range []*keyring.Service{k, again} {
				r := ready(t, node, all...)
				for i, o := range all {
					wantOpen(t, r, o, sealed[i], o.String())
					fresh := seal(t, r, o, "new")
					if a, _ := keyring.KeyOf(fresh); !r.Stale(o, sealed[i]) || r.Stale(o, fresh) || a.IsZero() {
						t.Errorf("%s still seals with the old key", o)
					}
				}
				if !bytes.Equal(hash, r.Hash(all[1], "l", "v")) {
					t.Error("the keyed hash changed with a rotation")
				}
			}
		}
		if acts, err := k.OpenActs(ctx); err != nil || len(acts) != 0 {
			t.Errorf("open acts: %v, %v", acts, err)
		}
	})
}

// appendTo writes behind a file's end.
func appendTo(t testing.TB, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}
