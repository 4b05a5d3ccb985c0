package keyring_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rempart/rempart/internal/clock"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/i18n"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/keyring"
	"github.com/rempart/rempart/internal/keyring/keyringtest"
	"github.com/rempart/rempart/internal/store"
	"github.com/rempart/rempart/internal/store/storetest"
)

func TestTheRecoveryKitBringsTheKeysBackAndNotTheErasedOnes(t *testing.T) {
	storetest.EachConfig(t, func(t *testing.T, c storetest.Configs) {
		ctx := context.Background()
		if err := store.Migrate(ctx, c.Main, c.Keys, manifests); err != nil {
			t.Fatal(err)
		}
		s, err := store.Open(ctx, c.Main, c.Keys, manifests)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		now := clock.NewFixed(start)
		dir := t.TempDir()
		k := keyringtest.Unopened(t, s, now.Now, dir)
		identity, err := k.Setup(ctx)
		if err != nil {
			t.Fatal(err)
		}
		kit, err := k.Kit(identity, "example.org+1+key")
		if err != nil {
			t.Fatal(err)
		}
		org, gone := id.NewOrg(start), id.NewOrg(start)
		early := []keyring.Owner{keyring.Installation(), keyring.Organization(org), keyring.Person(id.NewUser(start)), keyring.Organization(gone), keyring.Member(gone, id.NewUser(start))}
		r := ready(t, k, early...)
		sealed := map[keyring.Owner][]byte{}
		for _, o := range early {
			sealed[o] = seal(t, r, o, o.String())
		}
		hash := r.Hash(keyring.Organization(org), "l", "v")
		now.Advance(time.Minute)
		if err := k.MakeCopies(ctx); err != nil {
			t.Fatal(err)
		}
		// After the last copy: keys in journals, a rotation, a destruction.
		now.Advance(time.Minute)
		late := keyring.Member(org, id.NewUser(start))
		sealed[late] = seal(t, ready(t, k, late), late, late.String())
		if _, err := k.Rotate(ctx, operator, keyring.Organization(org)); err != nil {
			t.Fatal(err)
		}
		if _, err := k.RotateKEK(ctx, operator); err != nil {
			t.Fatal(err)
		}
		later := keyring.Person(id.NewUser(start))
		sealed[later] = seal(t, ready(t, k, later), later, later.String())
		if _, err := k.Destroy(ctx, operator, keyring.Organization(gone)); err != nil {
			t.Fatal(err)
		}

		// Keys database and root key are lost; main is there.
		var fresh storetest.Configs
		if c.Keys.Path != "" {
			fresh = storetest.SQLite(t.TempDir())
		} else {
			fresh = storetest.Postgres(t)
		}
		if err := store.Migrate(ctx, fresh.Main, fresh.Keys, manifests); err != nil {
			t.Fatal(err)
		}
		s2, err := store.Open(ctx, fresh.Main, fresh.Keys, manifests)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s2.Close() })
		back := keyringOf(k)
		back.Store = &store.Store{Main: s.Main, Keys: s2.Keys}
		if back.Root, err = keyring.MakeRootFile(filepath.Join(t.TempDir(), "new.key")); err != nil {
			t.Fatal(err)
		}
		if err := back.Start(ctx); !errors.Is(err, keyring.ErrEmpty) {
			t.Errorf("start with an empty keys database: %v", err)
		}
		if _, err := back.Setup(ctx); !errors.Is(err, keyring.ErrOlder) {
			t.Errorf("set-up beside a ledger: %v", err)
		}
		text, err := kit.Reveal()
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := keyring.ParseKit(text)
		if err != nil {
			t.Fatal(err)
		}
		got, err := back.Recover(ctx, parsed)
		if err != nil {
			t.Fatal(err)
		}
		if got.Journals == 0 || got.Erased < 2 {
			t.Errorf("recovered %+v", got)
		}
		if err := back.Start(ctx); err != nil {
			t.Fatal(err)
		}
		all := append(early, late, later)
		r = ready(t, back, all...)
		for _, o := range all {
			if o.Org() == gone {
				wantErr(t, r, o, sealed[o], keyring.ErrErased)
			} else {
				wantOpen(t, r, o, sealed[o], o.String())
			}
		}
		if !bytes.Equal(hash, r.Hash(keyring.Organization(org), "l", "v")) {
			t.Error("the keyed hash is another")
		}
		if err := back.MakeCopies(ctx); err != nil {
			t.Error(err)
		}
		if _, err := back.Recover(ctx, parsed); !errors.Is(err, keyring.ErrThere) {
			t.Errorf("recovering twice: %v", err)
		}
	})
}

func TestTheKitSpeaksThreeLanguagesAndHidesItsSecret(t *testing.T) {
	now := clock.NewFixed(start)
	k := keyringtest.Unopened(t, storetest.Open(t, manifests), now.Now, t.TempDir())
	identity, err := k.Setup(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	kit, err := k.Kit(identity, "example.org+1+key")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Kit(keyring.NewSecret([]byte("AGE-SECRET-KEY-1")), ""); err == nil {
		t.Error("a kit was made with another identity")
	}
	secret := string(identity.Reveal())
	if out := fmt.Sprintf("%v %+v %#v %s", kit, kit, kit, identity); strings.Contains(out, secret) {
		t.Error("the kit prints its identity")
	}
	b, err := i18n.Load(i18n.Source{Name: "keyring", FS: keyring.Manifest().Messages})
	if err != nil {
		t.Fatal(err)
	}
	b.Missing = func(lang, key string) { t.Errorf("%s: no text %s", lang, key) }
	seen := map[string]bool{}
	for _, lang := range i18n.Languages {
		sheet := kit.Text(func(key string, args ...any) string { return b.T(lang, key, args...) })
		if !strings.Contains(sheet, secret) || !strings.Contains(sheet, kit.Installation) || seen[sheet] {
			t.Errorf("%s: the sheet is not complete:\n%s", lang, sheet)
		}
		seen[sheet] = true
	}
	text, err := kit.Reveal()
	if err != nil {
		t.Fatal(err)
	}
	back, err := keyring.ParseKit(text)
	if err != nil {
		t.Fatal(err)
	}
	if !back.Identity.Equal(kit.Identity) {
		t.Error("the identity changed on the way")
	}
	back.Identity, kit.Identity = keyring.Secret{}, keyring.Secret{}
	if diff := cmp.Diff(fmt.Sprintf("%+v", kit), fmt.Sprintf("%+v", back)); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{"", "{}", `{"rempart_recovery_kit":1}`, strings.Replace(string(text), secret, "x", 1), strings.Replace(string(text), "ins_", "org_", 1)} {
		if _, err := keyring.ParseKit([]byte(bad)); err == nil {
			t.Errorf("a broken kit was read: %s", bad)
		}
	}
}

func TestCopiesLiveForTheirTermAndTheNewestForEver(t *testing.T) {
	each(t, func(t *testing.T, k *keyring.Service, now *clock.Fixed) {
		ctx := context.Background()
		o := keyring.Person(id.NewUser(start))
		sealed := seal(t, ready(t, k, o), o, "her")
		if err := k.MakeCopies(ctx); err != nil {
			t.Fatal(err)
		}
		now.Advance(time.Minute)
		if _, err := k.Destroy(ctx, operator, o); err != nil {
			t.Fatal(err)
		}
		died := now.Now()
		for range 26 * 2 {
			now.Advance(30 * time.Minute)
			if err := k.Sweep(ctx); err != nil {
				t.Fatal(err)
			}
			if err := k.MakeCopies(ctx); err != nil {
				t.Fatal(err)
			}
			last, err := k.LastCopy(ctx, died)
			if err != nil {
				t.Fatal(err)
			}
			if over := now.Now().Sub(died) > 24*time.Hour; over && !last.IsZero() {
				t.Fatalf("%s after the end of the key a copy of before is there, until %s", now.Now().Sub(died), last)
			} else if !over && now.Now().Sub(died) < 23*time.Hour && last.IsZero() {
				t.Fatal("the copies of before are gone ahead of their term")
			}
			if age, err := k.CopyAge(ctx); err != nil || age > 0 {
				t.Fatalf("the newest copy is %s old: %v", age, err)
			}
		}
		names, err := k.Second.List(ctx)
		if err != nil || len(names) > 40 {
			t.Errorf("%d objects at the second place: %v", len(names), err)
		}
		// Long silence: the newest stays, however old.
		now.Advance(1000 * time.Hour)
		if err := k.MakeCopies(ctx); err != nil {
			t.Fatal(err)
		}
		names, err = k.Second.List(ctx)
		if err != nil || len(names) == 0 {
			t.Errorf("nothing is left: %v", err)
		}
		wantErr(t, ready(t, k, o), o, sealed, keyring.ErrErased)
	})
}

func TestACopyWithAChangedByteDoesNotVerify(t *testing.T) {
	now := clock.NewFixed(start)
	dir := t.TempDir()
	k := keyringtest.Unopened(t, storetest.Open(t, manifests), now.Now, dir)
	ctx := context.Background()
	if _, err := k.Setup(ctx); err != nil {
		t.Fatal(err)
	}
	names, err := k.Second.List(ctx)
	if err != nil {
		t.Fatal(err)
	}
	end := ""
	for _, n := range names {
		if strings.HasSuffix(n, "-end.keys") {
			end = n
		}
	}
	if err := k.VerifyCopy(ctx, end); err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if !strings.HasPrefix(n, "copy-") {
			continue
		}
		path := filepath.Join(dir, "keys-copy", n)
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range []int{0, 20, len(good) / 2, len(good) - 1} {
			bad := bytes.Clone(good)
			bad[at] ^= 1
			if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := k.VerifyCopy(ctx, end); err == nil {
				t.Errorf("%s verifies with byte %d changed", n, at)
			}
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := k.VerifyCopy(ctx, end); err == nil {
			t.Errorf("the copy verifies without %s", n)
		}
		if err := os.WriteFile(path, good, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWithAStockNoRequestWaitsAndNothingIsLost(t *testing.T) {
	storetest.EachConfig(t, func(t *testing.T, c storetest.Configs) {
		ctx := context.Background()
		open := func(c storetest.Configs) *store.Store {
			if err := store.Migrate(ctx, c.Main, c.Keys, manifests); err != nil {
				t.Fatal(err)
			}
			s, err := store.Open(ctx, c.Main, c.Keys, manifests)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { s.Close() })
			return s
		}
		s := open(c)
		now := clock.NewFixed(start)
		k := keyringtest.Unopened(t, s, now.Now, t.TempDir())
		identity, err := k.Setup(ctx)
		if err != nil {
			t.Fatal(err)
		}
		kit, err := k.Kit(identity, "")
		if err != nil {
			t.Fatal(err)
		}
		org, gone := id.NewOrg(start), id.NewOrg(start)
		ready(t, k, keyring.Organization(org), keyring.Organization(gone))
		if err := k.RefillStock(ctx); err != nil {
			t.Fatal(err)
		}
		there := k.Second
		k.Second = away{there}
		people := []keyring.Owner{keyring.Person(id.NewUser(start)), keyring.Member(org, id.NewUser(start)), keyring.Member(gone, id.NewUser(start)), keyring.Person(id.NewUser(start))}
		r := ready(t, k, people...) // the second place is away, and nobody waits
		sealed := map[keyring.Owner][]byte{}
		for _, o := range people {
			sealed[o] = seal(t, r, o, o.String())
		}
		if err := k.RefillStock(ctx); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("the second place is away: %v", err)
		}
		if _, err := k.Destroy(ctx, operator, keyring.Organization(gone)); err != nil {
			t.Fatal(err)
		}
		if _, err := k.Destroy(ctx, operator, people[3]); err != nil {
			t.Fatal(err)
		}
		// The keys database is lost before the second place knows whose they are.
		fresh := storetest.SQLite(t.TempDir())
		if c.Keys.Path == "" {
			fresh = storetest.Postgres(t)
		}
		back := keyringOf(k)
		back.Second = there
		back.Store = &store.Store{Main: s.Main, Keys: open(fresh).Keys}
		if _, err := back.Recover(ctx, kit); err != nil {
			t.Fatal(err)
		}
		if err := back.Start(ctx); err != nil {
			t.Fatal(err)
		}
		check := func(when string) {
			t.Helper()
			r := ready(t, back, people...)
			for i, o := range people {
				if i < 2 {
					wantOpen(t, r, o, sealed[o], o.String())
				} else {
					wantErr(t, r, o, sealed[o], keyring.ErrErased)
				}
				for j, other := range people[:2] {
					if i != j {
						if got, err := r.Open(other, "test.label", "row", sealed[o]); err == nil {
							t.Errorf("%s: %s opened what is %s's: %q", when, other, o, got)
						}
					}
				}
				if i < 2 && !r.Stale(o, sealed[o]) {
					t.Errorf("%s: the orphan seals again", when)
				}
			}
		}
		check("recovered")
		if err := back.RefillStock(ctx); err != nil {
			t.Fatal(err)
		}
		check("adopted")
		again := keyringOf(back)
		if err := again.Start(ctx); err != nil {
			t.Fatal(err)
		}
		back = again
		check("started again")
		if _, err := back.Destroy(ctx, operator, people[0]); err != nil {
			t.Fatal(err)
		}
		wantErr(t, ready(t, back, people[0]), people[0], sealed[people[0]], keyring.ErrErased)
		kid, _ := keyring.KeyOf(sealed[people[0]])
		if line, err := back.ErasedLine(ctx, kid); err != nil || line == 0 {
			t.Errorf("the adopted key is not in the ledger: %d, %v", line, err)
		}
	})
}
