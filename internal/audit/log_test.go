package audit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/keyring"
	"github.com/rempart/rempart/internal/store"
	"github.com/rempart/rempart/internal/store/storetest"
	"github.com/rempart/rempart/internal/tlog"
	"github.com/rempart/rempart/verify"
)

func TestEveryStatementIsBoundAndPrepares(t *testing.T) {
	tables := map[string]capability.Table{}
	m := (&audit.Log{}).Manifest()
	for _, tb := range m.Tables {
		tables[tb.Name] = tb
		for _, c := range tb.Columns {
			if n := len(c.Sealed) * len(c.Plain) * len(c.Hash); n != 0 || c.Sealed+c.Plain+c.Hash == "" {
				t.Errorf("%s.%s says not one thing about its protection", tb.Name, c.Name)
			}
		}
	}
	for _, s := range m.Statements {
		if err := store.CheckSQL(s, tables); err != nil {
			t.Error(err)
		}
	}
	files, _ := fs.Glob(m.Migrations, "*.sql")
	for _, f := range files {
		text, err := fs.ReadFile(m.Migrations, f)
		if err == nil {
			err = store.CheckMigration(f, text)
		}
		if err != nil {
			t.Error(err)
		}
	}
	each(t, func(t *testing.T, w *world) {
		for _, s := range m.Statements {
			if err := w.store.Main.Prepare(context.Background(), s); err != nil {
				t.Errorf("%s: %v", s.Name, err)
			}
		}
	})
}

func TestAnEntryIsCitedInTheOtherLogsThatItConcerns(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		other := id.NewOrg(start)
		pen, err := w.log.Pen(ctx, w.who, id.Org{})
		w.must(err)
		e := audit.Entry{ID: id.NewEntry(start), Kind: "credential.password.changed", Target: audit.Target{Kind: "user", ID: w.who.User.String()}, Cite: []id.Org{w.org, other}}
		err = w.store.Main.Update(ctx, store.System("test"), func(tx *store.Tx) error { return pen.Record(tx, e) })
		if !errors.Is(err, keyring.ErrNotReady) {
			t.Fatalf("cited logs whose keys were not loaded: %v", err)
		}
		w.must(pen.Also(ctx, w.org, other))
		w.must(w.store.Main.Update(ctx, store.System("test"), func(tx *store.Tx) error { return pen.Record(tx, e) }))
		w.settle()
		for _, org := range []id.Org{w.org, other} {
			got, err := w.log.Search(ctx, org, audit.Query{})
			w.must(err)
			if len(got) != 1 || got[0].Cites != e.ID || got[0].ID == e.ID || got[0].Source != "" || got[0].Actor.ID != w.who.User.String() {
				t.Errorf("%+v", got)
			}
			if rep := w.verify(org); !rep.OK() || rep.Size != 1 {
				t.Errorf("%+v", rep)
			}
		}
		origin, err := w.log.Find(ctx, id.Org{}, e.ID)
		w.must(err)
		if origin.Source != "198.51.100.7" || !origin.Cites.IsZero() {
			t.Errorf("%+v", origin)
		}
		// Her user key opens what is hers in the installation's log.
		w.erase(keyring.Person(w.who.User))
		if origin, err = w.log.Find(ctx, id.Org{}, e.ID); err != nil || origin.Source != "" || len(origin.Erased) != 1 {
			t.Errorf("%+v %v", origin, err)
		}
	})
}

func TestWhatCannotBeSealedIsNotKept(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		stranger := id.NewUser(start)
		system := caller.ForSystem("test")
		for name, c := range map[string]struct {
			who  caller.Caller
			e    audit.Entry
			want error
		}{
			"a person whose key was not loaded": {w.who, audit.Entry{Kind: "things.item.added", Person: stranger}, keyring.ErrNotReady},
			"personal data of nobody":           {system, audit.Entry{Kind: "things.item.added", Private: map[string]any{"name": "Ada"}}, audit.ErrPerson},
			"a personal change of nobody":       {system, audit.Entry{Kind: "things.item.added", Changes: []audit.Change{{Field: "name", Person: true}}}, audit.ErrPerson},
			"no kind":                           {w.who, audit.Entry{}, audit.ErrEntry},
			"a kind that is a sentence":         {w.who, audit.Entry{Kind: "Something was Added!"}, audit.ErrEntry},
		} {
			if err := w.do(c.who, c.e); !errors.Is(err, c.want) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := w.do(w.who, audit.Entry{Kind: "things.item.added", Facts: map[string]any{"f": func() {}}}); err == nil {
			t.Error("a fact that is no JSON was kept")
		}
		if got := w.search(audit.Query{}); len(got) != 0 {
			t.Errorf("%d entries", len(got))
		}
	})
}

func TestSecretsThatWeMakeDoNotReachTheLog(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t.TempDir()))
	secret := "rmp_key_" + strings.Repeat("Ab1", 14) + "x_abcdef"
	who := w.who
	who.Device = "curl " + secret
	w.must(w.do(who, audit.Entry{Kind: "things.item.added", Target: audit.Target{Kind: "item", ID: secret}, Code: secret,
		Changes: []audit.Change{{Field: "key", After: secret}, {Field: "note", Before: secret, Person: true}}, Facts: map[string]any{secret: secret}, Private: map[string]any{"x": []string{secret}}}))
	w.settle()
	got := w.search(audit.Query{})
	if s := fmt.Sprintf("%+v", got); strings.Contains(s, secret) || strings.Count(s, "[redacted]") < 8 {
		t.Error(s)
	}
	if rep := w.verify(w.org); !rep.OK() {
		t.Errorf("%+v", rep)
	}
}

func TestAChangeOfKeyIsSignedByBoth(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		w.must(w.do(w.who, audit.Entry{Kind: "things.item.added"}))
		w.settle()
		older, err := w.log.VerifierKeys(ctx, w.org)
		w.must(err)
		first, _, err := w.log.Latest(ctx, w.org)
		w.must(err)
		w.must(w.log.RotateKey(ctx, w.who))
		w.must(w.do(w.who, audit.Entry{Kind: "things.item.added"}))
		w.settle()
		newer, err := w.log.VerifierKeys(ctx, w.org)
		w.must(err)
		handover, _, err := w.log.Latest(ctx, w.org)
		w.must(err)
		a, err := tlog.ParseVerifier(older[0])
		w.must(err)
		b, err := tlog.ParseVerifier(newer[0])
		w.must(err)
		if _, err := tlog.CheckKeyChange(handover, w.log.Origin(w.org), a, b); err != nil {
			t.Errorf("the handover is not signed by both: %v", err)
		}
		// Renewed at the same size, it stays a handover.
		w.clock.Advance(time.Hour)
		renewed, _, err := w.log.Latest(ctx, w.org)
		w.must(err)
		if _, err := tlog.CheckKeyChange(renewed, w.log.Origin(w.org), a, b); err != nil || bytes.Equal(renewed, handover) {
			t.Errorf("the renewed handover: %v", err)
		}
		w.must(w.do(w.who, audit.Entry{Kind: "things.item.added"}))
		w.settle()
		last, _, err := w.log.Latest(ctx, w.org)
		w.must(err)
		if _, err := tlog.OpenCheckpoint(last, w.log.Origin(w.org), a); !errors.Is(err, tlog.ErrSignature) {
			t.Errorf("the old key signs on: %v", err)
		}
		if _, err := tlog.OpenCheckpoint(first, w.log.Origin(w.org), b); !errors.Is(err, tlog.ErrSignature) {
			t.Errorf("the new key signed before it was made: %v", err)
		}
		if rep := w.verify(w.org); !rep.OK() || rep.Checkpoints != 3 {
			t.Errorf("%+v", rep)
		}
		got, err := w.log.Search(ctx, id.Org{}, audit.Query{Kind: "audit.checkpoint_key.rotated"})
		w.must(err)
		if len(got) != 1 || got[0].Facts["former_verifier_key"] == nil {
			t.Errorf("%+v", got)
		}
	})
}

func TestAnEpochBindsEveryLogAndShowsEachOnlyItsOwn(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		orgs := []id.Org{w.org}
		for range 3 {
			orgs = append(orgs, id.NewOrg(start))
		}
		write := func() {
			for i, o := range orgs {
				for range i + 1 {
					w.must(w.log.Observe(ctx, w.who, o, audit.Entry{Kind: "things.item.added"}))
				}
			}
			w.settle()
		}
		write()
		w.must(w.log.Epoch(ctx))
		write()
		w.clock.Advance(time.Minute)
		w.must(w.log.Epoch(ctx))
		w.settle()
		for i, o := range orgs {
			for number, size := range map[int64]int64{1: int64(i + 1), 2: int64(2 * (i + 1)), 0: int64(2 * (i + 1))} {
				b, err := w.log.Opening(ctx, o, number)
				w.must(err)
				rep, err := verify.File(bytes.NewReader(b), verify.Options{MinWitnesses: 1})
				if err != nil || !rep.OK || rep.Epoch.Size != size || rep.Epoch.Origin != w.log.Origin(o) {
					t.Errorf("epoch %d of %d: %+v %v", number, i, rep, err)
				}
				for _, other := range orgs {
					if other != o && bytes.Contains(b, []byte(other.String())) {
						t.Error("the opening names another organization")
					}
				}
			}
		}
		if _, err := w.log.Opening(ctx, id.NewOrg(start), 0); err == nil {
			t.Error("an opening for a log that does not exist")
		}
		rep, err := w.log.VerifyPlatform(ctx)
		if err != nil || !rep.OK() || rep.Size != 2 {
			t.Errorf("%+v %v", rep, err)
		}
		logs := 0
		w.must(w.log.VerifyAll(ctx, func(r audit.Report) error {
			logs++
			if !r.OK() {
				t.Errorf("%+v", r)
			}
			return nil
		}))
		if logs != 6 {
			t.Errorf("%d logs verified", logs)
		}
	})
}

func TestRefusalsOfARateLimitAreCountedByMinute(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t.TempDir()))
	ctx := context.Background()
	for range 500 {
		w.log.RefuseRate(netip.MustParseAddr("203.0.113.5"), "POST /oauth/token")
	}
	w.log.RefuseRate(netip.MustParseAddr("203.0.113.6"), "POST /oauth/token")
	w.must(w.log.FlushRates(ctx, false)) // the minute is not over
	w.clock.Advance(time.Minute)
	w.must(w.log.FlushRates(ctx, false))
	w.must(w.log.FlushRates(ctx, false))
	got, err := w.log.Search(ctx, id.Org{}, audit.Query{Outcome: audit.Denied})
	w.must(err)
	counts := map[any]any{}
	for _, r := range got {
		counts[r.Facts["source"]] = r.Facts["count"]
	}
	if len(got) != 2 || counts["203.0.113.5"] != 500.0 || counts["203.0.113.6"] != 1.0 {
		t.Errorf("%v", counts)
	}
}

func TestAnUnknownAddressIsLinkedForADayAndNoLonger(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		a, err := w.log.Unknown(ctx, "nobody@example.org")
		w.must(err)
		w.reopen() // another node, or after a start
		again, err := w.log.Unknown(ctx, "nobody@example.org")
		w.must(err)
		other, err := w.log.Unknown(ctx, "somebody@example.org")
		w.must(err)
		w.clock.Advance(24 * time.Hour)
		tomorrow, err := w.log.Unknown(ctx, "nobody@example.org")
		w.must(err)
		if a != again || a == other || a == tomorrow || strings.Contains(a, "nobody") {
			t.Errorf("%s %s %s %s", a, again, other, tomorrow)
		}
		w.clock.Advance(48 * time.Hour)
		_, err = w.log.Unknown(ctx, "nobody@example.org")
		w.must(err)
		if n := w.count(`SELECT count(*) FROM audit_days`); n != 1 {
			t.Errorf("%d keys of days are kept", n)
		}
	})
}

func TestTwoSequencersGiveEachEntryOneIndex(t *testing.T) {
	w := newWorld(t, storetest.Postgres(t))
	ctx := context.Background()
	second := &audit.Log{Store: w.store.Main, Now: w.clock.Now, Ready: w.keys.Ready, Process: slog.New(slog.DiscardHandler), Host: "id.example.com", Node: "two", Version: "test"}
	w.must(second.Open(ctx))
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for _, l := range []*audit.Log{w.log, second} {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					if _, err := l.Sequence(ctx); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	var writers sync.WaitGroup
	for range 8 {
		writers.Go(func() {
			for range 40 {
				if err := w.do(w.who, audit.Entry{Kind: "things.item.added"}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	wg.Wait()
	w.settle()
	if rep := w.verify(w.org); !rep.OK() || rep.Size != 320 || rep.Entries != 320 || rep.Waiting != 0 {
		t.Errorf("%+v", rep)
	}
}

func TestAPrunedLeafIsToldFromAMissingOne(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for range 300 {
			w.must(w.do(w.who, audit.Entry{Kind: "things.item.added"}))
		}
		e := id.NewEntry(w.clock.Now())
		w.must(w.do(w.who, audit.Entry{ID: e, Kind: "retention.entries.pruned"}))
		w.settle()
		// What retention does at the end of a term.
		w.byHand(`INSERT INTO audit_pruned (org_id, first, last, entry) VALUES ('` + w.org.String() + `', 0, 99, '` + e.String() + `')`)
		w.byHand(`DELETE FROM audit_entries WHERE org_id = '` + w.org.String() + `' AND seq < 100`)
		rep := w.verify(w.org)
		if !rep.OK() || rep.Pruned != 100 || rep.Entries != 201 {
			t.Fatalf("%+v", rep)
		}
		var out bytes.Buffer
		w.must(w.log.Export(context.Background(), w.who, w.org, audit.Form{}, &out))
		if off := w.file(out.Bytes(), w.org); !off.OK || off.Counts.Pruned != 100 {
			t.Errorf("%+v %v", off.Counts, off.Problems)
		}
		w.byHand(`DELETE FROM audit_pruned`)
		if rep := w.verify(w.org); rep.OK() || rep.Pruned != 0 || rep.More+int64(len(rep.Problems)) != 100 {
			t.Errorf("%d problems", len(rep.Problems))
		}
		out.Reset()
		if err := w.log.Export(context.Background(), w.who, w.org, audit.Form{}, &out); err == nil {
			t.Error("an export with missing entries was written as if whole")
		}
	})
}

func TestTheOriginStaysWhatItWasAtTheFirstStart(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t.TempDir()))
	ctx := context.Background()
	moved := &audit.Log{Store: w.store.Main, Now: w.clock.Now, Ready: w.keys.Ready, Process: slog.New(slog.DiscardHandler), Host: "new.example.com:8443"}
	w.must(moved.Open(ctx))
	if got := moved.Origin(w.org); got != "id.example.com/log/"+w.org.String() {
		t.Error(got)
	}
	closed := &audit.Log{Store: w.store.Main, Now: w.clock.Now, Ready: w.keys.Ready}
	if _, err := closed.Pen(ctx, w.who, w.org); !errors.Is(err, audit.ErrClosed) {
		t.Error(err)
	}
	size, root, err := w.log.Head(ctx)
	w.must(err)
	if at, err := w.log.HeadAt(ctx, size); err != nil || at != root || size != 1 {
		t.Errorf("%d %s %s %v", size, root, at, err)
	}
	if _, err := w.log.HeadAt(ctx, size+1); !errors.Is(err, tlog.ErrSize) {
		t.Error(err)
	}
}
