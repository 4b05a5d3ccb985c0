package keyring_test

import (
	"context"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/clock"
	"github.com/rempart/rempart/internal/i18n"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/keyring"
	"github.com/rempart/rempart/internal/keyring/keyringtest"
	"github.com/rempart/rempart/internal/store"
	"github.com/rempart/rempart/internal/store/storetest"
)

func TestStatementsAndMigrationsKeepTheRules(t *testing.T) {
	m := keyring.Manifest()
	tables := map[string]capability.Table{}
	for _, table := range m.Tables {
		tables[table.Name] = table
		for _, c := range table.Columns {
			n := 0
			for _, s := range []string{c.Sealed, c.Hash, c.Plain} {
				if s != "" {
					n++
				}
			}
			if n != 1 {
				t.Errorf("%s.%s is tagged %d times", table.Name, c.Name, n)
			}
		}
	}
	for _, s := range m.Statements {
		if err := store.CheckSQL(s, tables); err != nil {
			t.Error(err)
		}
	}
	for _, dir := range []fs.FS{m.Migrations, m.KeysMigrations} {
		names, err := fs.Glob(dir, "*.sql")
		if err != nil || len(names) == 0 {
			t.Fatalf("no migrations: %v", err)
		}
		for _, n := range names {
			text, err := fs.ReadFile(dir, n)
			if err != nil {
				t.Fatal(err)
			}
			if err := store.CheckMigration(n, text); err != nil {
				t.Error(err)
			}
		}
	}
	storetest.Each(t, manifests, func(t *testing.T, s *store.Store) {
		for _, st := range m.Statements {
			db := s.Main
			if st.Database == "keys" {
				db = s.Keys
			}
			if err := db.Prepare(context.Background(), st); err != nil {
				t.Errorf("%s: %v", st.Name, err)
			}
		}
	})
}

func TestEveryEventPermissionJobAndControlHasItsText(t *testing.T) {
	m := keyringtest.Unopened(t, nil, clock.NewFixed(start).Now, t.TempDir()).Manifest()
	b, err := i18n.Load(i18n.Source{Name: "keyring", FS: m.Messages})
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, e := range m.Events {
		keys = append(keys, e.Kind)
	}
	for _, p := range m.Permissions {
		keys = append(keys, "keyring.permission."+strings.TrimPrefix(p.Name, "keyring."))
	}
	for _, j := range m.Jobs {
		keys = append(keys, "keyring.job."+strings.TrimPrefix(j.Name, "keyring."))
	}
	for _, c := range m.Controls {
		name := "keyring.control." + strings.ReplaceAll(c.ID, ".", "-")
		keys = append(keys, name+".title", name+".how", c.Population)
	}
	for _, kind := range []string{keyring.ActRotate, keyring.ActRotateKEK, keyring.ActDestroy, keyring.ActRecovery} {
		a := keyring.Act{Kind: kind}
		keys = append(keys, a.Begun(), a.Ended())
	}
	for _, k := range keys {
		if !b.Has(k) {
			t.Errorf("there is no text %s", k)
		}
	}
}

// canaryOf gives a probe whose canary organization is org.
func canaryOf(org id.Org, at time.Time) capability.Probe {
	return capability.Probe{Now: at, Canary: func(context.Context) (capability.Canary, error) {
		return capability.Canary{OrgID: org.String(), MemberEmail: "canary.7f31@example.org", PlainEmail: "canary.9b02@example.org"}, nil
	}}
}

func control(t *testing.T, k *keyring.Service, name string) capability.Control {
	t.Helper()
	for _, c := range k.Manifest().Controls {
		if c.ID == name {
			return c
		}
	}
	t.Fatalf("there is no control %s", name)
	return capability.Control{}
}

func TestControlsPassOnTheWholeAndFailOnTheBroken(t *testing.T) {
	ctx := context.Background()
	now := clock.NewFixed(start)
	dir := t.TempDir()
	c := storetest.SQLite(dir)
	if err := store.Migrate(ctx, c.Main, c.Keys, manifests); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(ctx, c.Main, c.Keys, manifests)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	k := keyringtest.Unopened(t, s, now.Now, dir)
	files := func() []string {
		var out []string
		for _, n := range []string{"main.db", "main.db-wal", "keys.db", "keys.db-wal"} {
			out = append(out, filepath.Join(dir, n))
		}
		return out
	}
	k.Files = files
	if _, err := k.Setup(ctx); err != nil {
		t.Fatal(err)
	}
	org := id.NewOrg(start)
	ready(t, k, keyring.Organization(org))
	run := func(name string) capability.Result {
		t.Helper()
		r := control(t, k, name).Check(ctx, canaryOf(org, now.Now()))
		if _, err := json.Marshal(r.Evidence); err != nil {
			t.Errorf("%s: evidence: %v", name, err)
		}
		return r
	}
	want := func(name string, verdict capability.Verdict, when string) {
		t.Helper()
		if r := run(name); r.Verdict != verdict || verdict == capability.Fail && r.Failed == 0 {
			t.Errorf("%s, %s: got %s (%+v, %v), want %s", name, when, r.Verdict, r.Evidence, r.Err, verdict)
		}
	}
	for _, name := range []string{"key.wrapped", "key.rotation", "keyring.copies"} {
		want(name, capability.Pass, "whole")
	}

	// An address of the canary in clear in a file of the database.
	stray := filepath.Join(dir, "stray.db")
	if err := os.WriteFile(stray, []byte(strings.Repeat("x", 1<<20-5)+"canary.9b02@example.org"), 0o600); err != nil {
		t.Fatal(err)
	}
	k.Files = func() []string { return append(files(), stray) }
	want("key.wrapped", capability.Fail, "an address in clear across two reads")
	k.Files = func() []string { return []string{stray} }
	want("key.wrapped", capability.Unknown, "the wrong files were searched")
	k.Files = files

	// Nothing rotated for long: job and control agree on what is due.
	now.Advance(92 * 24 * time.Hour)
	want("keyring.copies", capability.Fail, "no copy for 92 days")
	if err := k.MakeCopies(ctx); err != nil {
		t.Fatal(err)
	}
	want("keyring.copies", capability.Pass, "a copy was made")
	want("key.rotation", capability.Fail, "a key-encryption key of 92 days")
	if err := k.RotateDue(ctx); err != nil {
		t.Fatal(err)
	}
	want("key.rotation", capability.Pass, "rotated by the job")
	now.Advance(25 * time.Hour)
	if err := k.MakeCopies(ctx); err != nil {
		t.Fatal(err)
	}
	want("key.rotation", capability.Fail, "the retired key-encryption key still wraps")
	if err := k.Rewrap(ctx); err != nil {
		t.Fatal(err)
	}
	want("key.rotation", capability.Pass, "wrapped again")
	now.Advance(366 * 24 * time.Hour)
	if err := k.MakeCopies(ctx); err != nil {
		t.Fatal(err)
	}
	if err := k.RotateDue(ctx); err != nil {
		t.Fatal(err)
	}
	if err := k.Rewrap(ctx); err != nil {
		t.Fatal(err)
	}
	want("key.rotation", capability.Pass, "a year later, rotated by the job")
	if _, err := k.Destroy(ctx, operator, keyring.Organization(org)); err != nil {
		t.Fatal(err)
	}
	want("key.wrapped", capability.Unknown, "the canary is gone")

	inv, err := k.Inventory(ctx)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(inv)
	if err != nil || !strings.Contains(string(b), `"class":"key-encryption","purpose":"wrap","algorithm":"AES-256-GCM","state":"active"`) {
		t.Errorf("inventory: %s, %v", b, err)
	}
}

func TestADestroyedKeyIsInNoFileAfterTheSweep(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	c := storetest.SQLite(dir)
	if err := store.Migrate(ctx, c.Main, c.Keys, manifests); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(ctx, c.Main, c.Keys, manifests)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	k := keyringtest.Unopened(t, s, clock.NewFixed(start).Now, dir)
	if _, err := k.Setup(ctx); err != nil {
		t.Fatal(err)
	}
	user := id.NewUser(start)
	ready(t, k, keyring.Person(user))
	in := func() (n int) {
		for _, f := range []string{"keys.db", "keys.db-wal"} {
			b, err := os.ReadFile(filepath.Join(dir, f))
			if err == nil {
				n += strings.Count(string(b), user.String())
			}
		}
		return n
	}
	if in() == 0 {
		t.Fatal("the row is not where the test looks for it")
	}
	if _, err := k.Destroy(ctx, operator, keyring.Person(user)); err != nil {
		t.Fatal(err)
	}
	if err := k.Sweep(ctx); err != nil {
		t.Fatal(err)
	}
	if n := in(); n != 0 {
		t.Errorf("the row's text is %d times in the files of the keys database", n)
	}
}
