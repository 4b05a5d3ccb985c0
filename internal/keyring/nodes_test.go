package keyring_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/clock"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/keyring"
	"github.com/rempart/rempart/internal/keyring/keyringtest"
	"github.com/rempart/rempart/internal/store"
	"github.com/rempart/rempart/internal/store/storetest"
)

func TestAnotherNodeLearnsOfDestructionAndRotation(t *testing.T) {
	each(t, func(t *testing.T, k *keyring.Service, now *clock.Fixed) {
		ctx := context.Background()
		other := keyringOf(k)
		if err := other.Start(ctx); err != nil {
			t.Fatal(err)
		}
		gone, turned := keyring.Person(id.NewUser(start)), keyring.Organization(id.NewOrg(start))
		r := ready(t, other, gone, turned)
		a, b := seal(t, r, gone, "her"), seal(t, r, turned, "it")
		if _, err := k.Destroy(ctx, operator, gone); err != nil {
			t.Fatal(err)
		}
		if _, err := k.Rotate(ctx, operator, turned); err != nil {
			t.Fatal(err)
		}
		if _, err := k.RotateKEK(ctx, operator); err != nil {
			t.Fatal(err)
		}
		if err := other.Poll(ctx); err != nil {
			t.Fatal(err)
		}
		r = ready(t, other, gone, turned)
		wantErr(t, r, gone, a, keyring.ErrErased)
		wantOpen(t, r, turned, b, "it")
		if !r.Stale(turned, b) || !r.Erased(gone) || r.Erased(turned) {
			t.Error("the other node works with former keys")
		}
		// Without a poll it still opens what this node makes from now on.
		late := keyring.Person(id.NewUser(start))
		c := seal(t, ready(t, k, late), late, "late")
		wantOpen(t, ready(t, other, late), late, c, "late")
	})
}

func TestActsAreRecordedAsIntentAndOutcome(t *testing.T) {
	each(t, func(t *testing.T, k *keyring.Service, now *clock.Fixed) {
		ctx := context.Background()
		var got []string
		deny := false
		k.Intent = func(ctx context.Context, who caller.Caller, a keyring.Act) error {
			if deny {
				return errPower
			}
			got = append(got, a.Begun()+" "+who.ID())
			return k.Store.Main.Maintain(ctx, store.System("test"), func(tx *store.Tx) error { return keyring.IntentTx(tx, a) })
		}
		k.Outcome = func(ctx context.Context, who caller.Caller, a keyring.Act, failure error) error {
			text := a.Ended() + " " + who.ID()
			if failure != nil {
				text += " failed"
			}
			got = append(got, text)
			return k.Store.Main.Maintain(ctx, store.System("test"), func(tx *store.Tx) error { return keyring.OutcomeTx(tx, a, now.Now()) })
		}
		o := keyring.Person(id.NewUser(start))
		sealed := seal(t, ready(t, k, o), o, "her")
		deny = true
		if _, err := k.Destroy(ctx, operator, o); !errors.Is(err, errPower) {
			t.Errorf("an act without an intent: %v", err)
		}
		wantOpen(t, ready(t, k, o), o, sealed, "her")
		deny = false
		good := k.Ledgers[0]
		k.Ledgers[0] = cut{Ledger: good, before: func() {}}
		if _, err := k.Destroy(ctx, operator, o); err == nil {
			t.Error("destroyed without a ledger")
		}
		k.Ledgers[0] = good
		if _, err := k.Rotate(ctx, operator, o); err != nil {
			t.Fatal(err)
		}
		if _, err := k.Destroy(ctx, operator, o); err != nil {
			t.Fatal(err)
		}
		if _, err := k.Rotate(ctx, operator, o); !errors.Is(err, keyring.ErrErased) {
			t.Errorf("rotated what was destroyed: %v", err)
		}
		if _, err := k.Destroy(ctx, operator, keyring.Installation()); err == nil {
			t.Error("the installation's key was destroyed")
		}
		who := operator.ID()
		want := []string{
			"keyring.destroy.begun " + who, "keyring.destroy.ended " + who + " failed",
			"keyring.rotate.begun " + who, "keyring.rotate.ended " + who,
			"keyring.destroy.begun " + who, "keyring.destroy.ended " + who,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if acts, err := k.OpenActs(ctx); err != nil || len(acts) != 0 {
			t.Errorf("open acts: %v, %v", acts, err)
		}
	})
}

func TestATornLineOfTheLedgerIsNobodys(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	l := keyring.FolderLedger(dir)
	if err := l.Append(ctx, 1, []byte("one")); err != nil {
		t.Fatal(err)
	}
	appendTo(t, filepath.Join(dir, "ledger.jsonl"), "tw")
	if lines, err := l.Lines(ctx); err != nil || len(lines) != 1 {
		t.Errorf("%q, %v", lines, err)
	}
	if err := l.Append(ctx, 3, []byte("three")); err == nil {
		t.Error("a line was left out")
	}
	if err := l.Append(ctx, 1, []byte("other")); err == nil {
		t.Error("a line was replaced")
	}
	if err := l.Append(ctx, 2, []byte("two")); err != nil {
		t.Fatal(err)
	}
	if lines, err := l.Lines(ctx); err != nil || string(bytes.Join(lines, []byte("|"))) != "one|two" {
		t.Errorf("%q, %v", lines, err)
	}
}

// ledgerOf makes a real ledger of a few lines.
func ledgerOf(t testing.TB) (ed25519.PublicKey, string, [][]byte) {
	t.Helper()
	ctx := context.Background()
	k := keyringtest.New(t, storetest.Open(t, manifests), clock.NewFixed(start).Now)
	for range 3 {
		if _, err := k.Destroy(ctx, operator, keyring.Person(id.NewUser(start))); err != nil {
			t.Fatal(err)
		}
	}
	inv, err := k.Inventory(ctx)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := k.Ledgers[1].Lines(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return k.LedgerKey(), inv.Installation, lines
}

func TestTheLedgerVerifiesWholeAndNotOtherwise(t *testing.T) {
	key, name, lines := ledgerOf(t)
	if got, _, err := keyring.VerifyLedger(key, name, lines); err != nil || len(got) != 4 {
		t.Fatalf("%d lines, %v", len(got), err)
	}
	other, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		key   ed25519.PublicKey
		name  string
		lines [][]byte
	}{
		"another key":          {other, name, lines},
		"no key":               {nil, name, lines},
		"another installation": {key, strings.Replace(name, "ins_0", "ins_1", 1), lines},
		"a line left out":      {key, name, [][]byte{lines[0], lines[2], lines[3]}},
		"the first left out":   {key, name, lines[1:]},
		"lines exchanged":      {key, name, [][]byte{lines[0], lines[2], lines[1], lines[3]}},
		"a line twice":         {key, name, [][]byte{lines[0], lines[1], lines[1]}},
		"a changed key id":     {key, name, [][]byte{lines[0], bytes.Replace(lines[1], []byte(`"epoch":1`), []byte(`"epoch":3`), 1)}},
		"another member":       {key, name, [][]byte{lines[0], bytes.Replace(lines[1], []byte(`{"n"`), []byte(`{"x":1,"n"`), 1)}},
	} {
		if _, _, err := keyring.VerifyLedger(c.key, c.name, c.lines); !errors.Is(err, keyring.ErrLedger) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func FuzzVerifyLedger(f *testing.F) {
	key, name, lines := ledgerOf(f)
	f.Add(bytes.Join(lines, []byte("\n")))
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, head, err := keyring.VerifyLedger(key, name, bytes.Split(b, []byte("\n")))
		if err != nil && (got != nil || head != "") {
			t.Errorf("lines with an error: %v, %v", got, err)
		}
	})
}

func FuzzParseKit(f *testing.F) {
	f.Add([]byte(`{"rempart_recovery_kit":1,"recovery_identity":"AGE-SECRET-KEY-1","installation":"ins_01h455vb4pex5vsknk084sn02q"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if k, err := keyring.ParseKit(b); err == nil {
			if _, err := k.Reveal(); err != nil {
				t.Error(err)
			}
		}
	})
}

func FuzzObjectName(f *testing.F) {
	f.Add("copy-0001772355600000-0000000000000001-0123456789ab-end.keys")
	f.Add("journal-0001772355600000-0000000000000001-0123456789ab.keys")
	f.Fuzz(func(t *testing.T, name string) {
		if keyring.ParseObjectName(name) && !strings.HasSuffix(name, ".keys") {
			t.Errorf("%q counts as an object", name)
		}
	})
}
