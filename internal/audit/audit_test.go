package audit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"

	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/clock"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/keyring"
	"github.com/rempart/rempart/internal/keyring/keyringtest"
	"github.com/rempart/rempart/internal/store"
	"github.com/rempart/rempart/internal/store/storetest"
	"github.com/rempart/rempart/internal/tlog"
	"github.com/rempart/rempart/verify"
)

// A capability that changes rows, so that entries go with changes.
var (
	things   = store.NewSet("things")
	addThing = things.Add("add", `INSERT INTO things_items (org_id, id) VALUES ($org, $1)`)
	manifest = capability.Manifest{
		Name: "things", Statements: things.All(),
		Migrations: fstest.MapFS{"202601010000_things_create_tables.sql": &fstest.MapFile{Data: []byte(
			"-- +goose Up\nCREATE TABLE things_items (org_id {{TEXT}} NOT NULL, id {{TEXT}} NOT NULL, PRIMARY KEY (org_id, id)) {{STRICT}};\n")}},
		Tables: []capability.Table{{Name: "things_items", Database: "main", OrgColumn: "org_id", Reach: capability.ScopeOrg}},
	}
)

var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// world is an installation with a log and nothing else.
type world struct {
	t      testing.TB
	config storetest.Configs
	store  *store.Store
	clock  *clock.Fixed
	keys   *keyring.Service
	dir    string // of the keyring's places
	log    *audit.Log
	org    id.Org
	who    caller.Caller
	close  func()
}

func manifests() []capability.Manifest {
	return []capability.Manifest{keyring.Manifest(), (&audit.Log{}).Manifest(), manifest}
}

func newWorld(t testing.TB, c storetest.Configs) *world {
	t.Helper()
	w := &world{t: t, config: c, clock: clock.NewFixed(start), dir: t.TempDir(), org: id.NewOrg(start)}
	w.who = w.user("198.51.100.7")
	if err := store.Migrate(context.Background(), c.Main, c.Keys, manifests()); err != nil {
		t.Fatal(err)
	}
	w.open()
	return w
}

func (w *world) open() {
	w.t.Helper()
	s, err := store.Open(context.Background(), w.config.Main, w.config.Keys, manifests())
	w.must(err)
	w.close = sync.OnceFunc(func() { s.Close() })
	w.t.Cleanup(w.close)
	w.store = s
	fresh := w.keys == nil
	w.keys = keyringtest.Unopened(w.t, s, w.clock.Now, w.dir)
	if fresh {
		_, err = w.keys.Setup(context.Background())
	} else {
		err = w.keys.Start(context.Background())
	}
	w.must(err)
	w.log = &audit.Log{Store: s.Main, Now: w.clock.Now, Ready: w.keys.Ready, Process: slog.New(slog.DiscardHandler), Host: "id.example.com", Node: "one", Version: "test"}
	s.Main.SetJournal(w.log)
	w.must(w.log.Open(context.Background()))
}

// reopen is what a start after kill -9 is to the log: all memory is lost.
func (w *world) reopen() {
	w.t.Helper()
	w.close()
	w.open()
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) user(source string) caller.Caller {
	return caller.Caller{Kind: caller.User, User: id.NewUser(start), Session: id.NewSession(start), Source: netip.MustParseAddr(source),
		Device: "Firefox on Debian", Request: id.NewRequest(start)}
}

// do makes a change with the entry.
func (w *world) do(who caller.Caller, e audit.Entry) error {
	ctx := context.Background()
	pen, err := w.log.Pen(ctx, who, w.org)
	if err != nil {
		return err
	}
	w.clock.Advance(time.Millisecond) // the next entry is a later one
	return w.store.Main.Update(ctx, store.Org(w.org), func(tx *store.Tx) error {
		if _, err := tx.Exec(addThing, id.NewKey(start).String()); err != nil {
			return err
		}
		return pen.Record(tx, e)
	})
}

func (w *world) erase(o keyring.Owner) {
	w.t.Helper()
	_, err := w.keys.Destroy(context.Background(), caller.ForSystem("test"), o)
	w.must(err)
}

func (w *world) settle() {
	w.t.Helper()
	_, err := w.log.Sequence(context.Background())
	w.must(err)
	_, err = w.log.Checkpoint(context.Background())
	w.must(err)
}

func (w *world) search(q audit.Query) []audit.Record {
	w.t.Helper()
	out, err := w.log.Search(context.Background(), w.org, q)
	w.must(err)
	return out
}

func (w *world) verify(org id.Org) audit.Report {
	w.t.Helper()
	rep, err := w.log.Verify(context.Background(), org)
	w.must(err)
	return rep
}

// file has the offline verifier read a file, with the keys of the log.
func (w *world) file(b []byte, org id.Org) verify.Report {
	w.t.Helper()
	keys, err := w.log.VerifierKeys(context.Background(), org)
	w.must(err)
	rep, err := verify.File(bytes.NewReader(b), verify.Options{VerifierKeys: keys, MinWitnesses: 1})
	w.must(err)
	return rep
}

func each(t *testing.T, fn func(t *testing.T, w *world)) {
	storetest.EachConfig(t, func(t *testing.T, c storetest.Configs) { fn(t, newWorld(t, c)) })
}

func TestAnEntrySaysWhoDidWhatFromWhere(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.must(w.do(w.who, audit.Entry{
			Kind: "things.item.added", Target: audit.Target{Kind: "item", ID: "key_1"}, Code: "made",
			Changes: []audit.Change{{Field: "size", Before: nil, After: "large"}, {Field: "address", Before: "a@example.org", After: "b@example.org", Person: true}},
			Facts:   map[string]any{"plan": "gold"}, Private: map[string]any{"name": "Ada"},
		}))
		w.settle()
		got := w.search(audit.Query{})
		if len(got) != 1 || got[0].Index == nil || *got[0].Index != 0 {
			t.Fatalf("got %+v", got)
		}
		r := got[0]
		session := r.Session
		want := audit.Record{
			ID: r.ID, Index: r.Index, Time: start, Kind: "things.item.added", Outcome: audit.Success, Code: "made",
			Actor: audit.Actor{Kind: "user", ID: w.who.User.String()}, Target: audit.Target{Kind: "item", ID: "key_1"}, Person: w.who.User,
			Session: session, Source: "198.51.100.7", Device: "Firefox on Debian", Destination: "id.example.com",
			Request: w.who.Request, Node: "one", Software: "test",
			Changes: []audit.Change{{Field: "size", After: "large"}, {Field: "address", Before: "a@example.org", After: "b@example.org"}},
			Facts:   map[string]any{"plan": "gold"}, Private: map[string]any{"name": "Ada"},
		}
		if d := cmp.Diff(want, r, cmp.Comparer(func(a, b id.User) bool { return a == b }), cmp.Comparer(func(a, b id.Request) bool { return a == b }),
			cmp.Comparer(func(a, b id.Entry) bool { return a == b })); d != "" {
			t.Error(d)
		}
		if session == "" || strings.Contains(session, w.who.Session.String()) {
			t.Errorf("session %q is not a keyed hash", session)
		}
	})
}

func TestFiftyAppendersMakeOneTreeThatTwoVerifiersAccept(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		const people, acts = 50, 12
		var wg sync.WaitGroup
		for i := range people {
			wg.Go(func() {
				who := w.user(fmt.Sprintf("203.0.113.%d", i))
				for j := range acts {
					if err := w.do(who, audit.Entry{Kind: "things.item.added", Target: audit.Target{Kind: "item", ID: fmt.Sprint(i, "-", j)}}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		w.settle()
		rep := w.verify(w.org)
		if !rep.OK() || rep.Size != people*acts || rep.Entries != rep.Size || rep.Opened != rep.Size || rep.Checkpoints != 1 {
			t.Fatalf("%+v", rep)
		}
		var out bytes.Buffer
		w.must(w.log.Export(context.Background(), w.who, w.org, audit.Form{}, &out))
		off := w.file(out.Bytes(), w.org)
		if !off.OK || off.Counts.Missing+off.Counts.Altered != 0 || off.Counts.Opened < people*acts {
			t.Fatalf("offline: %+v %v", off.Counts, off.Problems)
		}
		// A second implementation accepts the proof of an entry.
		e := w.search(audit.Query{Limit: 1, Kind: "things.item.added"})[0]
		w.independent(e)
	})
}

// independent checks an inclusion proof with transparency-dev/merkle.
func (w *world) independent(e audit.Record) {
	w.t.Helper()
	ctx := context.Background()
	b, err := w.log.Proof(ctx, w.org, e.ID, false)
	w.must(err)
	if rep := w.file(b, w.org); !rep.OK || rep.Entry.Index != *e.Index {
		w.t.Fatalf("proof: %+v", rep)
	}
	p := parseProof(w.t, b)
	c, err := tlog.ReadCheckpoint([]byte(p.Checkpoint))
	w.must(err)
	if err := proof.VerifyInclusion(rfc6962.DefaultHasher, uint64(p.Entry.Index), uint64(c.Size), p.Entry.LeafHash, p.Inclusion, c.Root[:]); err != nil {
		w.t.Errorf("transparency-dev/merkle refuses the proof: %v", err)
	}
	p.Entry.LeafHash[0] ^= 1
	if proof.VerifyInclusion(rfc6962.DefaultHasher, uint64(p.Entry.Index), uint64(c.Size), p.Entry.LeafHash, p.Inclusion, c.Root[:]) == nil {
		w.t.Error("transparency-dev/merkle accepts a changed leaf")
	}
}

func TestARolledBackGroupLeavesTheTreeAsItWas(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.must(w.do(w.who, audit.Entry{Kind: "things.item.added"}))
		w.settle()
		before := w.verify(w.org)
		ctx := context.Background()
		pen, err := w.log.Pen(ctx, w.who, w.org)
		w.must(err)
		boom := errors.New("boom")
		err = w.store.Main.Update(ctx, store.Org(w.org), func(tx *store.Tx) error {
			if err := pen.Record(tx, audit.Entry{Kind: "things.item.added"}); err != nil {
				return err
			}
			return boom
		})
		if !errors.Is(err, boom) {
			t.Fatal(err)
		}
		// The whole group fails when the journal can't write one of its entries.
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				_ = w.store.Main.Update(ctx, store.Org(w.org), func(tx *store.Tx) error {
					tx.Record("no entry")
					return nil
				})
			})
			wg.Go(func() { _ = w.do(w.who, audit.Entry{Kind: "things.item.added"}) })
		}
		wg.Wait()
		w.settle()
		after := w.verify(w.org)
		if !after.OK() || after.Size < before.Size || after.Entries != after.Size {
			t.Fatalf("%+v", after)
		}
		w.must(w.do(w.who, audit.Entry{Kind: "things.item.added"}))
		w.settle()
		if last := w.verify(w.org); !last.OK() || last.Size != after.Size+1 {
			t.Fatalf("%+v", last)
		}
	})
}

func TestAStartAfterAKillGoesOnWhereTheLogEnded(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for range 300 {
			w.must(w.do(w.who, audit.Entry{Kind: "things.item.added"}))
		}
		w.settle()
		w.must(w.do(w.who, audit.Entry{Kind: "things.item.added"})) // not signed, on PostgreSQL not even placed
		w.reopen()
		w.must(w.do(w.who, audit.Entry{Kind: "things.item.added"}))
		w.settle()
		rep := w.verify(w.org)
		if !rep.OK() || rep.Size != 302 || rep.Checkpoints != 2 {
			t.Fatalf("%+v", rep)
		}
		b, err := w.log.Consistency(context.Background(), w.org, 300)
		w.must(err)
		if rep := w.file(b, w.org); !rep.OK {
			t.Fatalf("%v", rep.Problems)
		}
	})
}

func TestARowChangedByHandIsNamed(t *testing.T) {
	changes := []struct{ what, set string }{
		{"the time", `at = at + 1`},
		{"the kind", `kind = 'things.item.removed'`},
		{"who it is found by", `actor = 'AAAAAAAAAAAAAAAA'`},
		{"how it ended", `outcome = 'denied'`},
		{"a sealed part", `facts = person`},
		{"a wrapped key", `facts_key = (SELECT o.facts_key FROM audit_entries AS o WHERE o.seq = 20 AND o.org_id = audit_entries.org_id)`},
		{"the person's wrapped key", `person_key = facts_key`},
		{"the leaf hash", `leaf = (SELECT o.leaf FROM audit_entries AS o WHERE o.seq = 20 AND o.org_id = audit_entries.org_id)`},
		{"its identifier", `id = 'ent_00000000000000000000000001'`},
	}
	each(t, func(t *testing.T, w *world) {
		for range 21 {
			w.must(w.do(w.who, audit.Entry{Kind: "things.item.added"}))
		}
		w.settle()
		for i, c := range changes {
			w.byHand(fmt.Sprintf(`UPDATE audit_entries SET %s WHERE seq = %d AND org_id LIKE 'org_%%'`, c.set, 2*i))
		}
		named := map[int64]bool{}
		for _, p := range w.verify(w.org).Problems {
			named[p.Index] = true
		}
		for i, c := range changes {
			if !named[int64(2*i)] {
				t.Errorf("a change of %s is not seen", c.what)
			}
			if named[int64(2*i+1)] {
				t.Errorf("the entry after a change of %s is named, and was not changed", c.what)
			}
		}
	})
}

func TestARemovedOrAddedRowIsNamed(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for range 8 {
			w.must(w.do(w.who, audit.Entry{Kind: "things.item.added"}))
		}
		w.settle()
		w.byHand(`DELETE FROM audit_entries WHERE seq = 5 AND org_id LIKE 'org_%'`)
		rep := w.verify(w.org)
		if len(rep.Problems) == 0 || rep.Problems[0].Index != 5 || !strings.Contains(rep.Problems[0].What, "missing") {
			t.Fatalf("%+v", rep.Problems)
		}
		w.byHand(`UPDATE audit_entries SET seq = 8 WHERE seq = 7 AND org_id LIKE 'org_%'`)
		rep = w.verify(w.org)
		found := false
		for _, p := range rep.Problems {
			found = found || p.Index == 8 && strings.Contains(p.What, "beyond")
		}
		if !found {
			t.Fatalf("%+v", rep.Problems)
		}
	})
}

func TestALogThatWasCutBackIsNotSigned(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for range 5 {
			w.must(w.do(w.who, audit.Entry{Kind: "things.item.added"}))
		}
		w.settle()
		// The operator replaces the last entries and makes the head fit.
		w.byHand(`DELETE FROM audit_entries WHERE seq >= 3 AND org_id LIKE 'org_%'`)
		w.byHand(`UPDATE audit_logs SET size = 3, signed = 0 WHERE org_id LIKE 'org_%'`)
		if _, err := w.log.Checkpoint(context.Background()); !errors.Is(err, audit.ErrInconsistent) {
			t.Errorf("signed: %v", err)
		}
		if rep := w.verify(w.org); rep.OK() {
			t.Error("verified")
		}
	})
}

func TestADestroyedMemberKeyBlindsThePersonAndNoProof(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		w.must(w.do(w.who, audit.Entry{Kind: "things.item.added", Private: map[string]any{"name": "Ada"}}))
		admin := w.user("192.0.2.1")
		w.erase(keyring.Member(w.org, w.who.User))
		w.must(w.log.Erased(ctx, admin, w.org, w.who.User))
		w.settle()
		w.clock.Advance(time.Minute)
		got := w.search(audit.Query{Actor: "user:" + w.who.User.String()})
		if len(got) != 1 || got[0].Source != "" || got[0].Private != nil || !cmp.Equal(got[0].Erased, []string{"person"}) || got[0].Actor.ID == "" {
			t.Fatalf("%+v", got)
		}
		if rep := w.verify(w.org); !rep.OK() || rep.Opened != 2 {
			t.Fatalf("%+v", rep)
		}
		b, err := w.log.Proof(ctx, w.org, got[0].ID, false)
		w.must(err)
		if rep := w.file(b, w.org); !rep.OK || rep.Entry.Parts[1].State != "erased" || rep.Entry.Parts[1].ErasedBy != 1 {
			t.Fatalf("%+v %+v", rep, rep.Entry)
		}
		var out bytes.Buffer
		w.must(w.log.Export(ctx, admin, w.org, audit.Form{}, &out))
		if rep := w.file(out.Bytes(), w.org); !rep.OK || rep.Counts.Erased != 1 {
			t.Fatalf("%+v %v", rep.Counts, rep.Problems)
		}
		// And with the organization's key nothing opens, and all proofs hold.
		w.erase(keyring.Organization(w.org))
		w.erase(keyring.Member(w.org, admin.User))
		if rep := w.verify(w.org); !rep.OK() || rep.Opened != 0 {
			t.Fatalf("%+v", rep)
		}
		if _, err := w.log.Pen(ctx, admin, w.org); err == nil {
			if err := w.do(admin, audit.Entry{Kind: "things.item.added"}); !errors.Is(err, keyring.ErrErased) {
				t.Errorf("wrote under a destroyed key: %v", err)
			}
		}
	})
}
