package keyring_test

import (
	"bytes"
	"context"
	"crypto/fips140"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rempart/rempart/internal/clock"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/keyring"
	"github.com/rempart/rempart/internal/keyring/keyringtest"
	"github.com/rempart/rempart/internal/store"
	"github.com/rempart/rempart/internal/store/storetest"
)

func TestPublishedVectorsOfAESGCM(t *testing.T) {
	b, err := os.ReadFile("testdata/wycheproof_aes_gcm.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Tests []struct {
			ID                                 int `json:"tcId"`
			Key, IV, AAD, Msg, CT, Tag, Result string
		}
	}
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	un := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	valid := 0
	for _, v := range file.Tests {
		got, err := keyring.OpenVector(un(v.Key), un(v.IV), un(v.CT), un(v.Tag), un(v.AAD))
		switch v.Result {
		case "valid":
			valid++
			if err != nil || !bytes.Equal(got, un(v.Msg)) {
				t.Errorf("vector %d: got %x, %v", v.ID, got, err)
			}
		default:
			if err == nil || got != nil {
				t.Errorf("vector %d opened and must not", v.ID)
			}
		}
	}
	if valid == 0 || valid == len(file.Tests) {
		t.Errorf("%d of %d vectors are valid: the file does not test both", valid, len(file.Tests))
	}
}

func TestASecretDoesNotLeaveByAccident(t *testing.T) {
	const text = "7c1f-not-to-be-seen"
	s := keyring.NewSecret([]byte(text))
	type holder struct {
		Name   string
		Secret keyring.Secret
	}
	var log bytes.Buffer
	l := slog.New(slog.NewJSONHandler(&log, nil))
	l.Info("a", "secret", s, "holder", holder{"x", s})
	slog.New(slog.NewTextHandler(&log, nil)).Info("b", "secret", s, "holder", holder{"x", s})
	out := log.String()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		out += fmt.Sprintf(verb, s) + fmt.Sprintf(verb, &s) + fmt.Sprintf(verb, holder{"x", s}) + fmt.Sprintf(verb, []keyring.Secret{s})
	}
	if strings.Contains(out, text) || strings.Contains(out, hex.EncodeToString([]byte(text))) || strings.Contains(out, fmt.Sprint([]byte(text))) {
		t.Errorf("a secret was printed: %s", out)
	}
	for _, v := range []any{s, &s, holder{"x", s}, map[string]keyring.Secret{"a": s}} {
		if b, err := json.Marshal(v); err == nil {
			t.Errorf("a secret was marshalled: %s", b)
		}
	}
	if !s.Equal(keyring.NewSecret([]byte(text))) || s.Equal(keyring.NewSecret([]byte(text+"."))) {
		t.Error("equality is wrong")
	}
	s.Wipe()
	if bytes.Contains(s.Reveal(), []byte("not")) {
		t.Error("wiped and there")
	}
}

func TestOwnersHaveOneTextEach(t *testing.T) {
	org, user, all := owners(start)
	seen := map[string]bool{}
	for _, o := range all {
		got, err := keyring.ParseOwner(o.String())
		if err != nil || got != o || seen[o.String()] {
			t.Errorf("%s: %v, %v", o, got, err)
		}
		seen[o.String()] = true
	}
	for _, bad := range []string{"", "/", "stock", org.String() + "/", "/" + user.String(), user.String() + "/" + org.String(), org.String() + "/" + org.String(), "installation/" + user.String(), strings.ToUpper(org.String())} {
		if o, err := keyring.ParseOwner(bad); err == nil {
			t.Errorf("%q was read as %s", bad, o)
		}
	}
}

func TestRootProviders(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	file := func(name string, b []byte, mode os.FileMode) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, b, mode); err != nil {
			t.Fatal(err)
		}
		return p
	}
	made, err := keyring.MakeRootFile(filepath.Join(dir, "deep", "root.key"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keyring.MakeRootFile(filepath.Join(dir, "deep", "root.key")); !errors.Is(err, os.ErrExist) {
		t.Errorf("a root key was replaced: %v", err)
	}
	if info, err := os.Stat(filepath.Join(dir, "deep", "root.key")); err != nil || info.Mode().Perm() != 0o600 || info.Size() != 32 {
		t.Errorf("root key file: %v, %v", info, err)
	}
	same, err := keyring.FileRoot("file", filepath.Join(dir, "deep", "root.key"))
	if err != nil {
		t.Fatal(err)
	}
	raw := bytes.Repeat([]byte{7}, 32)
	cred, err := keyring.FileRoot("credential", file("cred", []byte(hex.EncodeToString(raw)+"\n"), 0o400))
	if err != nil {
		t.Fatal(err)
	}
	rawRoot, err := keyring.FileRoot("file", file("raw", raw, 0o600))
	if err != nil {
		t.Fatal(err)
	}
	phrase := func(s string) keyring.Root {
		r, err := keyring.PassphraseRoot(keyring.NewSecret([]byte(s)))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for _, c := range []struct {
		name        string
		wrap, other keyring.Root
		opens       bool
	}{
		{"the file that was made", made, same, true},
		{"hexadecimal and raw are one key", cred, rawRoot, true},
		{"another file", made, rawRoot, false},
		{"the same passphrase", phrase("correct horse battery"), phrase("correct horse battery"), true},
		{"another passphrase", phrase("correct horse battery"), phrase("correct horse batterz"), false},
		{"a file for a passphrase", made, phrase("correct horse battery"), false},
		{"a passphrase for a file", phrase("correct horse battery"), made, false},
	} {
		key := []byte("0123456789abcdef0123456789abcdef")
		wrapped, err := c.wrap.Wrap(ctx, key, []byte("context"))
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.other.Unwrap(ctx, wrapped, []byte("context"))
		if c.opens != (err == nil && bytes.Equal(got, key)) || !c.opens && !errors.Is(err, keyring.ErrRoot) {
			t.Errorf("%s: %q, %v", c.name, got, err)
		}
		if _, err := c.other.Unwrap(ctx, wrapped, []byte("another")); !errors.Is(err, keyring.ErrRoot) {
			t.Errorf("%s: opened in another context: %v", c.name, err)
		}
		for _, cut := range []int{0, 1, 20, len(wrapped) - 1} {
			if _, err := c.other.Unwrap(ctx, wrapped[:cut], []byte("context")); err == nil {
				t.Errorf("%s: opened cut to %d bytes", c.name, cut)
			}
		}
	}
	for name, path := range map[string]string{
		"readable by others": file("open", raw, 0o644),
		"too short":          file("short", raw[:31], 0o600),
		"no hexadecimal":     file("nohex", bytes.Repeat([]byte("zz"), 32), 0o600),
		"absent":             filepath.Join(dir, "absent"),
		"a folder":           dir,
	} {
		if _, err := keyring.FileRoot("file", path); err == nil {
			t.Errorf("a root key was read from a file that is %s", name)
		}
	}
	if _, err := keyring.PassphraseRoot(keyring.NewSecret([]byte("too short"))); err == nil {
		t.Error("a short passphrase was taken")
	}
}

func TestUsesAreReservedInBlocks(t *testing.T) {
	each(t, func(t *testing.T, k *keyring.Service, now *clock.Fixed) {
		ctx := context.Background()
		o := keyring.Organization(id.NewOrg(start))
		r := ready(t, k, o)
		k.Spend(o, 2)
		seal(t, r, o, "one")
		seal(t, r, o, "two")
		if _, err := r.Seal(o, "l", "r", nil); !errors.Is(err, keyring.ErrSpent) {
			t.Errorf("sealed beyond what was reserved: %v", err)
		}
		seal(t, ready(t, k, o), o, "three")
		if left := k.Blocks(o); left < keyring.Block-10 {
			t.Errorf("%d uses left after a reservation", left)
		}
		inv, err := k.Inventory(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range inv.Keys {
			if i.Class == keyring.ClassOrganization && i.Purpose == "seal" && i.Uses != keyring.Block+keyring.SmallChange {
				t.Errorf("%d uses reserved", i.Uses)
			}
		}
		// Few uses cost no write at once: a job counts them.
		few := keyring.Person(id.NewUser(start))
		r = ready(t, k, few)
		for range 5 {
			seal(t, r, few, "x")
		}
		if err := k.CountUses(ctx); err != nil {
			t.Fatal(err)
		}
		if inv, err = k.Inventory(ctx); err != nil {
			t.Fatal(err)
		}
		for _, i := range inv.Keys {
			if i.Class == keyring.ClassUser && i.Uses != 5 {
				t.Errorf("%d uses counted, want 5", i.Uses)
			}
		}
	})
}

func TestReadyRunsNoStatementWhenCachedAndTheCacheIsBounded(t *testing.T) {
	ctx := context.Background()
	c := storetest.SQLite(t.TempDir())
	if err := store.Migrate(ctx, c.Main, c.Keys, manifests); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(ctx, c.Main, c.Keys, manifests)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Main.Close() })
	k := keyringtest.Unopened(t, s, clock.NewFixed(start).Now, t.TempDir())
	k.Cached = 10
	if _, err := k.Setup(ctx); err != nil {
		t.Fatal(err)
	}
	var users []keyring.Owner
	for range 30 {
		users = append(users, keyring.Person(id.NewUser(start)))
	}
	if err := k.Warm(ctx, users); err != nil {
		t.Fatal(err)
	}
	if c := k.Cache(); c.Owners != 10 || c.Limit != 10 || c.Evictions < 20 {
		t.Errorf("cache: %+v", c)
	}
	ready(t, k, users[25:]...)
	before := k.Cache()
	s.Keys.Close() // what is cached needs no database
	r := ready(t, k, users[25:]...)
	seal(t, r, users[29], "x")
	if c := k.Cache(); c.Hits != before.Hits+5 || c.Misses != before.Misses {
		t.Errorf("cache: %+v, before %+v", c, before)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := k.Ready(ended, keyring.Person(id.NewUser(start))); err == nil {
		t.Error("an owner that is not cached was loaded from a closed database")
	}
}

func TestTheCheapPathAllocatesLittle(t *testing.T) {
	o := keyring.Organization(id.NewOrg(start))
	r := keyring.LoneRing(o, id.NewDataKey(start))
	plain := []byte("a.person@example.org")
	sealed, err := r.Seal(o, "directory.user.email", "usr_01h455vb4pex5vsknk084sn02q", plain)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		most float64
		run  func()
	}{
		"seal": {1, func() { _, _ = r.Seal(o, "directory.user.email", "usr_01h455vb4pex5vsknk084sn02q", plain) }},
		"open": {1, func() { _, _ = r.Open(o, "directory.user.email", "usr_01h455vb4pex5vsknk084sn02q", sealed) }},
		"hash": {1, func() { _ = r.Hash(o, "directory.user.email", "a.person@example.org") }},
	} {
		if got := testing.AllocsPerRun(200, c.run); got > c.most && !fips140.Enabled() && !raceOn {
			t.Errorf("%s allocates %v times, at most %v", name, got, c.most)
		}
	}
}

func FuzzOpen(f *testing.F) {
	o := keyring.Organization(id.NewOrg(start))
	r := keyring.LoneRing(o, id.NewDataKey(start))
	sealed, err := r.Seal(o, "l", "r", []byte("plain"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Add([]byte{})
	f.Add(sealed[:keyring.Overhead])
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := r.Open(o, "l", "r", b)
		if (err == nil) != bytes.Equal(b, sealed) || err != nil && got != nil {
			t.Errorf("%x opened as %q, %v", b, got, err)
		}
		keyring.KeyOf(b)
	})
}

func FuzzParseOwner(f *testing.F) {
	_, _, all := owners(start)
	for _, o := range all {
		f.Add(o.String())
	}
	f.Add("org_/usr_")
	f.Fuzz(func(t *testing.T, s string) {
		if o, err := keyring.ParseOwner(s); err == nil && o.String() != s {
			t.Errorf("%q was read as %s", s, o)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	o := keyring.Organization(id.NewOrg(start))
	r := keyring.LoneRing(o, id.NewDataKey(start))
	plain := []byte("a.person@example.org")
	b.ReportAllocs()
	for b.Loop() {
		_, _ = r.Seal(o, "directory.user.email", "usr_01h455vb4pex5vsknk084sn02q", plain)
	}
}

func BenchmarkOpen(b *testing.B) {
	o := keyring.Organization(id.NewOrg(start))
	r := keyring.LoneRing(o, id.NewDataKey(start))
	sealed, _ := r.Seal(o, "directory.user.email", "usr_01h455vb4pex5vsknk084sn02q", []byte("a.person@example.org"))
	b.ReportAllocs()
	for b.Loop() {
		_, _ = r.Open(o, "directory.user.email", "usr_01h455vb4pex5vsknk084sn02q", sealed)
	}
}

func BenchmarkHash(b *testing.B) {
	o := keyring.Organization(id.NewOrg(start))
	r := keyring.LoneRing(o, id.NewDataKey(start))
	b.ReportAllocs()
	for b.Loop() {
		_ = r.Hash(o, "directory.email", "a.person@example.org")
	}
}

func BenchmarkReadyCached(b *testing.B) {
	k := keyringtest.New(b, storetest.Open(b, manifests), clock.NewFixed(start).Now)
	ctx := context.Background()
	_, _, all := owners(start)
	ready(b, k, all...)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = k.Ready(ctx, all...)
	}
}
