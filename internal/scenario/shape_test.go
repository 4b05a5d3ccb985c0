package scenario_test

import (
	"context"
	"io/fs"
	"strings"
	"testing"

	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/scenario"
	"github.com/rempart/rempart/internal/store"
)

// Every manifest keeps the rules of the house: one world, so that it is built once.
func TestManifests(t *testing.T) {
	w := scenario.New(t)
	tables := map[string]capability.Table{}
	permissions := map[string]bool{capability.Public: true, capability.Self: true, capability.Token: true}
	events := map[string]bool{}
	controls := map[string]string{}
	for _, m := range w.App.Manifests {
		for _, tb := range m.Tables {
			if tables[tb.Name].Name != "" {
				t.Errorf("table %s has two owners", tb.Name)
			}
			tables[tb.Name] = tb
			if !strings.HasPrefix(tb.Name, m.Name+"_") {
				t.Errorf("table %s is not named after %s", tb.Name, m.Name)
			}
			checkTable(t, tb)
		}
		for _, p := range m.Permissions {
			permissions[p.Name] = true
			if !strings.HasPrefix(p.Name, m.Name+".") {
				t.Errorf("permission %s is not named after %s", p.Name, m.Name)
			}
		}
		for _, e := range m.Events {
			events[e.Kind] = true
			if !w.App.Bundle.Has(e.Kind) {
				t.Errorf("event %s has no text", e.Kind)
			}
		}
		for _, dir := range []fs.FS{m.Migrations, m.KeysMigrations} {
			if dir == nil {
				continue
			}
			names, _ := fs.Glob(dir, "*.sql")
			for _, n := range names {
				b, err := fs.ReadFile(dir, n)
				if err != nil {
					t.Fatal(err)
				}
				if err := store.CheckMigration(n, b); err != nil {
					t.Error(err)
				}
			}
		}
		for _, c := range m.Controls {
			if controls[c.ID] != "" {
				t.Errorf("control %s is of %s and of %s", c.ID, controls[c.ID], m.Name)
			}
			controls[c.ID] = m.Name
			if c.Check == nil || c.Every <= 0 || c.Window < c.Every {
				t.Errorf("control %s is not complete", c.ID)
			}
			key := m.Name + ".control." + strings.ReplaceAll(c.ID, ".", "-")
			for _, tail := range []string{".title", ".how"} {
				if !w.App.Bundle.Has(key + tail) {
					t.Errorf("control %s has no text %s", c.ID, key+tail)
				}
			}
			if !w.App.Bundle.Has(c.Population) {
				t.Errorf("control %s: population %q has no text", c.ID, c.Population)
			}
		}
	}
	for _, m := range w.App.Manifests {
		for _, r := range m.Routes {
			if !permissions[r.Permission] {
				t.Errorf("route %s: permission %q is declared nowhere", r.Pattern, r.Permission)
			}
			if capability.Mutates(r.Pattern) && r.Event == "" && r.Entry == "" {
				t.Errorf("route %s names neither its entry nor why it has none", r.Pattern)
			}
			if r.Event != "" && !events[r.Event] {
				t.Errorf("route %s: event %q is declared nowhere", r.Pattern, r.Event)
			}
		}
		for _, s := range m.Statements {
			if err := store.CheckSQL(s, tables); err != nil {
				t.Error(err)
			}
			db := w.App.Store.Main
			if s.Database == "keys" {
				db = w.App.Store.Keys
			}
			if err := db.Prepare(context.Background(), s); err != nil {
				t.Errorf("%s does not prepare: %v", s.Name, err)
			}
		}
	}
	for name, db := range map[string]*store.DB{"main": w.App.Store.Main, "keys": w.App.Store.Keys} {
		stray, err := db.TableNames(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range stray {
			if tables[n].Database != name {
				t.Errorf("table %s of database %s is in no manifest", n, name)
			}
		}
	}
}

func checkTable(t *testing.T, tb capability.Table) {
	t.Helper()
	if tb.Database != "main" && tb.Database != "keys" {
		t.Errorf("table %s: database %q", tb.Name, tb.Database)
	}
	if tb.Export == "" || tb.Erase == "" {
		t.Errorf("table %s does not say how it is exported and erased", tb.Name)
	}
	if len(tb.Columns) == 0 {
		t.Errorf("table %s names no column", tb.Name)
	}
	for _, c := range tb.Columns {
		n := 0
		for _, tag := range []string{c.Sealed, c.Hash, c.Plain} {
			if tag != "" {
				n++
			}
		}
		if n != 1 {
			t.Errorf("column %s.%s is tagged %d times: sealed, hash or plain", tb.Name, c.Name, n)
		}
	}
}
