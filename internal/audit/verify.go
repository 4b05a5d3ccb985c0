package audit

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/keyring"
	"github.com/rempart/rempart/internal/store"
	"github.com/rempart/rempart/internal/tlog"
)

// Report is what a verification of a stored log found.
type Report struct {
	Origin      string    `json:"origin"`
	Size        int64     `json:"size"`        // leaves of the tree
	Root        tlog.Hash `json:"root"`        // recomputed from the rows
	Entries     int64     `json:"entries"`     // rows that are there
	Pruned      int64     `json:"pruned"`      // leaves deleted at the end of their term
	Opened      int64     `json:"opened"`      // entries whose facts were opened and agree
	Waiting     int64     `json:"waiting"`     // entries without an index yet
	Checkpoints int64     `json:"checkpoints"` // published ones that the rows agree with
	SignedAt    time.Time `json:"signed_at"`   // of the newest
	Problems    []Problem `json:"problems,omitempty"`
	More        int64     `json:"more,omitempty"` // problems beyond the first hundred
}

// OK reports whether nothing is wrong.
func (r *Report) OK() bool { return len(r.Problems) == 0 }

// Problem is one thing that is wrong, for operators.
type Problem struct {
	Index int64    `json:"index"` // -1: not of one leaf
	Entry id.Entry `json:"entry,omitzero"`
	What  string   `json:"what"`
}

func (p Problem) String() string {
	switch {
	case p.Index < 0:
		return p.What
	case p.Entry.IsZero():
		return fmt.Sprintf("leaf %d: %s", p.Index, p.What)
	}
	return fmt.Sprintf("entry %s (leaf %d): %s", p.Entry, p.Index, p.What)
}

const maxProblems = 100

func (r *Report) problem(index int64, entry id.Entry, format string, args ...any) {
	if len(r.Problems) == maxProblems {
		r.More++
		return
	}
	r.Problems = append(r.Problems, Problem{index, entry, fmt.Sprintf(format, args...)})
}

// waitLimit is how long an entry may be without an index, as the invariant of
// `rempart check` has it.
const waitLimit = 10 * time.Second

// Verify recomputes the whole stored log of an organization (zero: of the
// installation): every leaf from its row, the tree from the leaves, and
// compares with the leaf hashes, the stored tiles, the head, and the root of
// every checkpoint ever published. Where the keys still exist, it also opens
// the facts and compares what the search columns say. A row that was changed,
// removed or added by hand is named.
func (l *Log) Verify(ctx context.Context, org id.Org) (Report, error) {
	return l.verify(ctx, refOf(org))
}

// VerifyPlatform is Verify of the platform log.
func (l *Log) VerifyPlatform(ctx context.Context) (Report, error) { return l.verify(ctx, platform) }

// VerifyAll verifies every log of the installation and hands each report to
// fn, until fn returns an error.
func (l *Log) VerifyAll(ctx context.Context, fn func(Report) error) error {
	return l.logs(ctx, func(r ref) error {
		rep, err := l.verify(ctx, r)
		if err != nil {
			return err
		}
		return fn(rep)
	})
}

// verifier is one verification under way.
type verifier struct {
	l     *Log
	r     ref
	o     *opener
	rep   *Report
	edge  tlog.Edge
	notes []storedNote // still to come, the smallest first
	keys  []note.Verifier
	gone  []pruned
	next  int64 // index that is due
	tile  tile
	broke bool // leaves are missing: roots can't be recomputed any more
}

type storedNote struct {
	size int64
	note []byte
}

func (l *Log) verify(ctx context.Context, r ref) (Report, error) {
	rep := Report{Origin: l.origin(r)}
	if err := l.ready(); err != nil {
		return rep, err
	}
	o, err := l.opener(ctx, r)
	if err != nil {
		return rep, err
	}
	v := &verifier{l: l, r: r, o: o, rep: &rep}
	var row headRow
	var waiting []pendingRow
	err = l.Store.View(ctx, r.scope("audit.verify"), func(tx *store.Tx) error {
		if row, err = readHead(tx, r); err != nil {
			return err
		}
		if v.notes, err = rows(tx, r, func(x *store.Rows) (n storedNote, err error) {
			return n, x.Scan(&n.size, &n.note)
		}, selectNotes, 0, int64(math.MaxInt64)); err != nil {
			return err
		}
		waiting, err = rows(tx, r, scanWaiting, selectWaiting)
		return err
	})
	if errors.Is(err, store.ErrNone) {
		return rep, errNoLog
	}
	if err != nil {
		return rep, fmt.Errorf("audit: verify %s: %w", r.key, err)
	}
	rep.Size, rep.SignedAt, rep.Waiting = row.size, store.Time(row.signedAt), int64(len(waiting))
	if row.origin != rep.Origin {
		rep.problem(-1, id.Entry{}, "the log's origin was changed to %q", row.origin)
	}
	for _, w := range waiting {
		if l.Now().Sub(store.Time(w.at)) > waitLimit {
			rep.problem(-1, w.id, "entry %s has no index since %s", w.id, store.Time(w.at).Format(time.RFC3339))
		}
	}
	if v.gone, err = l.prunings(ctx, r); err != nil {
		return rep, err
	}
	l.signing.Lock()
	s, err := l.loadSigners(ctx)
	l.signing.Unlock()
	if err != nil {
		return rep, err
	}
	if _, v.keys, err = s.verifiers(rep.Origin); err != nil {
		return rep, err
	}
	return rep, v.run(ctx, row)
}

type pendingRow struct {
	id id.Entry
	at int64
}

func scanWaiting(r *store.Rows) (p pendingRow, err error) { return p, r.Scan(&p.id, &p.at) }

func (v *verifier) run(ctx context.Context, row headRow) error {
	v.checkpoints()
	err := v.l.each(ctx, v.r, row.size, func(e *stored) error {
		v.absent(ctx, e.seq)
		return v.entry(ctx, e)
	})
	if err != nil {
		return err
	}
	v.absent(ctx, row.size)
	rep := v.rep
	if !v.broke {
		rep.Root = v.edge.Root()
		if rep.Root != row.root {
			rep.problem(-1, id.Entry{}, "the root recomputed from the entries is not that of the log's head")
		}
	}
	for _, n := range v.notes {
		rep.problem(-1, id.Entry{}, "a checkpoint of %d leaves was published and the log has only %d: it was cut back", n.size, row.size)
	}
	var beyond []Problem
	err = v.l.Store.View(ctx, v.r.scope("audit.verify"), func(tx *store.Tx) (err error) {
		beyond, err = rows(tx, v.r, func(r *store.Rows) (p Problem, err error) { return p, r.Scan(&p.Entry, &p.Index) }, selectBeyond, row.size)
		return err
	})
	for _, p := range beyond {
		// A log that grows while it is verified has moved its head too.
		if now, herr := v.l.sizeOf(ctx, v.r); herr == nil && p.Index >= now {
			rep.problem(p.Index, p.Entry, "lies beyond the log's head")
		}
	}
	if err != nil {
		return fmt.Errorf("audit: verify: %w", err)
	}
	return nil
}

func (l *Log) sizeOf(ctx context.Context, r ref) (size int64, err error) {
	err = l.Store.View(ctx, r.scope("audit.size"), func(tx *store.Tx) error {
		row, err := readHead(tx, r)
		size = row.size
		return err
	})
	return size, err
}

// entry recomputes one leaf from its row.
func (v *verifier) entry(ctx context.Context, e *stored) error {
	v.rep.Entries++
	leaf, err := v.leaf(e)
	switch {
	case err != nil:
		v.rep.problem(e.seq, e.id, "was changed: its row can't be read as an entry")
		leaf = tlog.Hash{}
		copy(leaf[:], e.leaf)
	case string(leaf[:]) != string(e.leaf):
		v.rep.problem(e.seq, e.id, "was changed: its row does not give its leaf hash")
		// The tree is continued with the hash that was logged, from its tile,
		// so that one changed row does not spoil all that follow.
		if logged, ok := v.logged(ctx, e.seq); ok {
			leaf = logged
		}
	default:
		if logged, ok := v.logged(ctx, e.seq); ok && logged != leaf {
			v.rep.problem(e.seq, e.id, "was changed: it is not the leaf that the tree holds")
			leaf = logged
		}
		if err := v.facts(ctx, e); err != nil {
			return err
		}
	}
	v.append(leaf)
	return nil
}

func (v *verifier) leaf(e *stored) (tlog.Hash, error) {
	if v.r == platform {
		l, err := tlog.ParseEpochLeaf(e.facts)
		if err != nil || l.Origin != v.rep.Origin || l.Time != e.at || e.kind != kindEpoch {
			return tlog.Hash{}, errDamaged
		}
		return tlog.LeafHash(e.facts), nil
	}
	h := e.header(v.rep.Origin)
	var parts [2]tlog.Part
	var err error
	if parts[0], _, err = splitPart(partFacts, e.facts); err != nil {
		return tlog.Hash{}, err
	}
	if e.person != nil {
		if parts[1], _, err = splitPart(partPerson, e.person); err != nil {
			return tlog.Hash{}, err
		}
	}
	data, err := tlog.LeafData(&h, parts[:len(h.Labels)])
	if err != nil {
		return tlog.Hash{}, err
	}
	return tlog.LeafHash(data), nil
}

// facts opens the facts and compares the columns that search reads, and the
// wrapped keys, which the leaf does not cover.
func (v *verifier) facts(ctx context.Context, e *stored) error {
	if v.r == platform {
		return nil
	}
	x, err := v.o.open(ctx, e)
	if err != nil {
		if ctx.Err() != nil || !damage(err) {
			return err
		}
		v.rep.problem(e.seq, e.id, "a part does not open although its key exists: the wrapped key was changed")
		return nil
	}
	if x.factsKey == nil {
		return nil
	}
	v.rep.Opened++
	ring := v.o.ring
	if string(x.facts.Outcome) != e.outcome || v.l.hash(ring, v.r, labelActor, x.facts.Actor.text()) != e.actor ||
		v.l.hash(ring, v.r, labelTarget, x.facts.Target.text()) != e.target {
		v.rep.problem(e.seq, e.id, "was changed: what search finds it by is not what it says")
	}
	return nil
}

// damage tells a changed row from a keyring that does not answer.
func damage(err error) bool {
	for _, e := range []error{keyring.ErrCorrupt, keyring.ErrUnknown, tlog.ErrPartKey, tlog.ErrPartKeySize, tlog.ErrOpen, tlog.ErrCiphertext, errDamaged} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// tile is the complete tile of level 0 that was read last.
type tile struct {
	place int64
	data  []byte
}

// logged is the leaf hash that the tree holds, where its tile is complete and
// stored apart from the entry.
func (v *verifier) logged(ctx context.Context, seq int64) (h tlog.Hash, ok bool) {
	place := seq / tlog.TileWidth
	if v.tile.data == nil || v.tile.place != place {
		v.tile = tile{place: place, data: []byte{}}
		_ = v.l.Store.View(ctx, v.r.scope("audit.verify"), func(tx *store.Tx) error {
			return selectTile.row(tx, v.r, 0, place).Scan(&v.tile.data)
		})
	}
	at := int(seq%tlog.TileWidth) * tlog.HashSize
	if len(v.tile.data) < at+tlog.HashSize {
		return h, false
	}
	return tlog.Hash(v.tile.data[at:]), true
}

// absent accounts for the leaves up to the next row: pruned with a record, or
// missing. The tree goes on with their hashes as long as the tiles have them.
func (v *verifier) absent(ctx context.Context, until int64) {
	for seq := v.next; seq < until; seq++ {
		excused := false
		for _, p := range v.gone {
			excused = excused || p.first <= seq && seq <= p.last && p.by > seq
		}
		if excused {
			v.rep.Pruned++
		} else {
			v.rep.problem(seq, id.Entry{}, "is missing, and no record of retention says why")
		}
		leaf, ok := v.logged(ctx, seq)
		if !ok {
			v.broke = true
		}
		v.append(leaf)
	}
}

func (v *verifier) append(leaf tlog.Hash) {
	v.next++
	if !v.broke {
		v.edge.Append(leaf)
		if v.next%tlog.TileWidth == 0 {
			v.edge.TakeTiles() // only the root is wanted
		}
	}
	v.checkpoints()
}

// checkpoints compares the tree with the checkpoint published at its size.
func (v *verifier) checkpoints() {
	for len(v.notes) > 0 && v.notes[0].size == v.next {
		n := v.notes[0]
		v.notes = v.notes[1:]
		c, err := tlog.OpenCheckpoint(n.note, v.rep.Origin, v.keys...)
		switch {
		case err != nil || c.Size != n.size:
			v.rep.problem(-1, id.Entry{}, "the stored checkpoint of %d leaves is not one that was signed", n.size)
		case !v.broke && c.Root != v.edge.Root():
			v.rep.problem(-1, id.Entry{}, "the entries do not give the root of the checkpoint of %d leaves", n.size)
		default:
			v.rep.Checkpoints++
		}
	}
}
