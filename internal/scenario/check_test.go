package scenario_test

import (
	"context"
	"strings"
	"testing"

	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/directory"
	"github.com/rempart/rempart/internal/invariant"
	"github.com/rempart/rempart/internal/keyring"
	"github.com/rempart/rempart/internal/scenario"
)

// check runs every invariant and gives those that are broken.
func check(t *testing.T, w *scenario.World) map[string][]string {
	t.Helper()
	broken, names := map[string][]string{}, 0
	if _, err := w.App.Audit.Sequence(context.Background()); err != nil { // a job, on PostgreSQL
		t.Fatal(err)
	}
	err := w.App.Check(context.Background(), func(inv invariant.Invariant) {
		names++
		if inv.Name != "intents" && inv.Name != "disabled" && inv.Checked == 0 {
			t.Errorf("%s checked nothing", inv.Name)
		}
		if !inv.OK() {
			broken[inv.Name] = inv.Problems
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if names != 8 {
		t.Errorf("%d invariants were reported", names)
	}
	return broken
}

func TestCheck(t *testing.T) {
	w := scenario.New(t)
	ctx, who := t.Context(), caller.ForLocal("0@test")
	if _, err := w.App.Canary(ctx); err != nil {
		t.Fatal(err)
	}

	t.Run("a place that was only used is whole", func(t *testing.T) {
		if b := check(t, w); len(b) > 0 {
			t.Fatalf("%v", b)
		}
	})
	t.Run("rotated keys still open what they sealed", func(t *testing.T) {
		for _, o := range []keyring.Owner{keyring.Installation(), keyring.Organization(w.Acme.ID), keyring.Person(w.Acme.Member.ID)} {
			if _, err := w.App.Keys.Rotate(ctx, who, o); err != nil {
				t.Fatal(err)
			}
		}
		if b := check(t, w); len(b) > 0 {
			t.Fatalf("%v", b)
		}
	})
	t.Run("whoever is disabled holds nothing that is live", func(t *testing.T) {
		if err := w.App.Directory.SetUserState(ctx, who, w.Acme.Plain.ID, directory.Suspended); err != nil {
			t.Fatal(err)
		}
		if b := check(t, w); len(b) > 0 {
			t.Fatalf("%v", b)
		}
	})
	t.Run("a destroyed key is in the ledger, and what it sealed is no alarm", func(t *testing.T) {
		if _, err := w.App.Keys.Destroy(ctx, who, keyring.Person(w.Globex.Plain.ID)); err != nil {
			t.Fatal(err)
		}
		if b := check(t, w); len(b) > 0 {
			t.Fatalf("%v", b)
		}
	})
	t.Run("a text that is missing is named", func(t *testing.T) {
		w.App.Manifests[0].Events[0].Kind += ".unheard"
		defer func(kind string) { w.App.Manifests[0].Events[0].Kind = kind }(strings.TrimSuffix(w.App.Manifests[0].Events[0].Kind, ".unheard"))
		if b := check(t, w); len(b["texts"]) != 1 || !strings.Contains(b["texts"][0], ".unheard") {
			t.Fatalf("%v", b)
		}
	})
}
