package audit

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/store"
	"github.com/rempart/rempart/internal/tlog"
	"github.com/rempart/rempart/verify"
)

func sum(b []byte) tlog.Hash { return sha256.Sum256(b) }

// errWaiting: the entry has no index yet, or no checkpoint holds it.
var errWaiting = fault.New(fault.Unavailable, "audit.error.waiting", nil).After(time.Second)

func (l *Log) verifierTexts(ctx context.Context, r ref) ([]string, error) {
	l.signing.Lock()
	defer l.signing.Unlock()
	s, err := l.loadSigners(ctx)
	if err != nil {
		return nil, err
	}
	texts, _, err := s.verifiers(l.origin(r))
	return texts, err
}

// Proof is the file that shows one entry and that it is in the log, up to the
// newest checkpoint; `rempart verify` reads it. Sealed leaves the parts closed.
func (l *Log) Proof(ctx context.Context, org id.Org, entry id.Entry, sealed bool) ([]byte, error) {
	r := refOf(org)
	e, err := l.entry(ctx, r, entry)
	if err != nil {
		return nil, err
	}
	signed, size, err := l.latest(ctx, r)
	if err != nil {
		return nil, err
	}
	if e.seq < 0 || e.seq >= size {
		return nil, errWaiting
	}
	var inclusion []tlog.Hash
	err = l.Store.View(ctx, r.scope("audit.proof"), func(tx *store.Tx) error {
		inclusion, err = tlog.ProveInclusion(size, e.seq, tileReader(tx, r))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("audit: proof: %w", err)
	}
	texts, err := l.verifierTexts(ctx, r)
	if err != nil {
		return nil, err
	}
	o, err := l.opener(ctx, r)
	if err != nil {
		return nil, err
	}
	x := &exporter{opener: o, open: !sealed, size: size}
	v, err := x.entry(ctx, e)
	if err != nil {
		return nil, err
	}
	p := verify.EntryProof{Signed: verify.Signed{Checkpoint: signed, VerifierKeys: texts}, Entry: v, Inclusion: inclusion}
	out, err := p.Marshal()
	if err != nil {
		return nil, fmt.Errorf("audit: proof of %s: %w", entry, err)
	}
	return out, nil
}

// Consistency is the file that shows that the log at its newest checkpoint
// begins with what it was at the checkpoint of the given size.
func (l *Log) Consistency(ctx context.Context, org id.Org, from int64) ([]byte, error) {
	r := refOf(org)
	newer, size, err := l.latest(ctx, r)
	if err != nil {
		return nil, err
	}
	p := verify.ConsistencyProof{Newer: newer}
	err = l.Store.View(ctx, r.scope("audit.consistency"), func(tx *store.Tx) error {
		var at int64
		if err := selectNote.row(tx, r, from).Scan(&at, &p.Older); err != nil {
			return err
		}
		p.Consistency, err = tlog.ProveConsistency(from, size, tileReader(tx, r))
		return err
	})
	if errors.Is(err, store.ErrNone) || errors.Is(err, tlog.ErrSize) {
		return nil, fault.New(fault.NotFound, "audit.error.no-checkpoint", err)
	}
	if err != nil {
		return nil, fmt.Errorf("audit: consistency: %w", err)
	}
	if p.VerifierKeys, err = l.verifierTexts(ctx, r); err != nil {
		return nil, err
	}
	out, err := p.Marshal()
	if err != nil {
		return nil, fmt.Errorf("audit: consistency: %w", err)
	}
	return out, nil
}

// chunk is how many entries an export or a verification reads at once.
const chunk = 512

// exporter turns stored entries into those of a file.
type exporter struct {
	*opener
	open    bool  // with the keys of the parts that can be opened
	size    int64 // of the checkpoint: what is later is not spoken of
	erasure map[id.User]int64
}

func (x *exporter) entry(ctx context.Context, e *stored) (verify.Entry, error) {
	h := e.header(x.l.origin(x.r))
	out := verify.Entry{Index: e.seq, Header: h}
	var o opened
	var err error
	if x.open || e.person != nil {
		if o, err = x.opener.open(ctx, e); err != nil {
			return out, err
		}
	}
	for _, p := range []struct {
		label string
		data  []byte
		key   *tlog.PartKey
	}{{partFacts, e.facts, o.factsKey}, {partPerson, e.person, o.personKey}}[:len(h.Labels)] {
		rec, ciphertext, err := splitPart(p.label, p.data)
		if err != nil {
			return out, fmt.Errorf("audit: entry %s: %w", e.id, err)
		}
		v := verify.Part{Part: rec, Ciphertext: ciphertext}
		switch {
		case p.key != nil && x.open:
			v.Key = p.key
		case p.key == nil && p.label == partPerson && o.factsKey != nil:
			if v.ErasedBy, err = x.erasedBy(ctx, o.facts.Person, e.seq); err != nil {
				return out, err
			}
		}
		out.Parts = append(out.Parts, v)
	}
	return out, nil
}

// erasedBy finds the later entry of the same log that records the end of the
// person's key; 0 if there is none.
func (x *exporter) erasedBy(ctx context.Context, u id.User, after int64) (int64, error) {
	if seq, known := x.erasure[u]; known && seq > after {
		return seq, nil
	}
	seq := int64(0)
	err := x.l.Store.View(ctx, x.r.scope("audit.export"), func(tx *store.Tx) error {
		target := x.l.hash(x.ring, x.r, labelTarget, Target{"user", u.String()}.text())
		err := selectErasure.row(tx, x.r, target, after).Scan(&seq)
		if errors.Is(err, store.ErrNone) {
			return nil
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("audit: find erasure: %w", err)
	}
	if x.erasure == nil {
		x.erasure = map[id.User]int64{}
	}
	if seq >= x.size {
		seq = 0
	}
	x.erasure[u] = seq
	return seq, nil
}

// Form is what an export looks like.
type Form struct {
	Sealed bool // the parts stay closed: for a copy that shows integrity only
}

// Export writes the whole log of an organization (zero: of the installation)
// up to its newest checkpoint, as JSON Lines that `rempart verify` reads. The
// export is an entry itself, written before the first byte and part of what is
// exported where its index is given at once. Nothing is held in memory but a
// few hundred entries.
func (l *Log) Export(ctx context.Context, who caller.Caller, org id.Org, form Form, w io.Writer) error {
	r := refOf(org)
	if err := l.exported(ctx, who, org, map[string]any{"format": "jsonl", "sealed": form.Sealed}); err != nil {
		return err
	}
	signed, size, err := l.latest(ctx, r)
	if err != nil {
		return err
	}
	texts, err := l.verifierTexts(ctx, r)
	if err != nil {
		return err
	}
	out, err := verify.NewExporter(w, verify.Signed{Checkpoint: signed, VerifierKeys: texts})
	if err != nil {
		return fmt.Errorf("audit: export: %w", err)
	}
	o, err := l.opener(ctx, r)
	if err != nil {
		return err
	}
	x := &exporter{opener: o, open: !form.Sealed, size: size}
	gone, err := l.prunings(ctx, r)
	if err != nil {
		return err
	}
	next := int64(0)
	err = l.each(ctx, r, size, func(e *stored) error {
		if err := l.exportPruned(ctx, r, out, gone, next, e.seq); err != nil {
			return err
		}
		v, err := x.entry(ctx, e)
		if err != nil {
			return err
		}
		next = e.seq + 1
		return out.Entry(&v)
	})
	if err == nil {
		err = l.exportPruned(ctx, r, out, gone, next, size)
	}
	if err == nil {
		err = out.Close()
	}
	if err != nil {
		return fmt.Errorf("audit: export: %w", err)
	}
	return nil
}

func (l *Log) exported(ctx context.Context, who caller.Caller, org id.Org, facts map[string]any) error {
	return l.Observe(ctx, who, org, Entry{Kind: eventExported, Target: Target{Kind: "log", ID: refOf(org).key}, Facts: facts})
}

// exportPruned writes the leaves from up to before until, which are not there
// any more, by their hashes alone.
func (l *Log) exportPruned(ctx context.Context, r ref, out *verify.Exporter, gone []pruned, from, until int64) error {
	for from < until {
		var by int64
		for _, p := range gone {
			if p.first <= from && from <= p.last {
				by = p.by
			}
		}
		if by == 0 {
			return fmt.Errorf("entry %d is missing", from)
		}
		place := from / tlog.TileWidth
		end := min(until, (place+1)*tlog.TileWidth)
		var data [][]byte
		err := l.Store.View(ctx, r.scope("audit.export"), func(tx *store.Tx) (err error) {
			data, err = tileReader(tx, r)([]tlog.TileID{{Level: 0, Index: place, Width: int(end - place*tlog.TileWidth)}})
			return err
		})
		if err != nil {
			return err
		}
		for ; from < end; from++ {
			at := int(from-place*tlog.TileWidth) * tlog.HashSize
			if len(data[0]) < at+tlog.HashSize {
				return fmt.Errorf("the hash of entry %d is missing", from)
			}
			if err := out.Pruned(from, tlog.Hash(data[0][at:]), by); err != nil {
				return err
			}
		}
	}
	return nil
}

// each calls fn for the entries with an index below size, in order.
func (l *Log) each(ctx context.Context, r ref, size int64, fn func(*stored) error) error {
	for from := int64(0); from < size; from += chunk {
		var list []*stored
		err := l.Store.View(ctx, r.scope("audit.read"), func(tx *store.Tx) (err error) {
			list, err = rows(tx, r, scanEntry, selectEntries, from, min(size, from+chunk))
			return err
		})
		if err != nil {
			return fmt.Errorf("audit: read entries: %w", err)
		}
		for _, e := range list {
			if err := fn(e); err != nil {
				return err
			}
		}
	}
	return nil
}

// pruned is a retention record: entries deleted at the end of their term, as
// the entry at index by says.
type pruned struct {
	first, last, by int64
}

func (l *Log) prunings(ctx context.Context, r ref) (out []pruned, err error) {
	err = l.Store.View(ctx, r.scope("audit.read"), func(tx *store.Tx) error {
		entries := map[int]id.Entry{}
		out, err = rows(tx, r, func(row *store.Rows) (p pruned, err error) {
			var e id.Entry
			err = row.Scan(&p.first, &p.last, &e)
			entries[len(entries)] = e
			return p, err
		}, selectPruned)
		if err != nil {
			return err
		}
		for i := range out {
			err := selectSeq.row(tx, r, entries[i]).Scan(&out[i].by)
			if err != nil && !errors.Is(err, store.ErrNone) {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("audit: retention records: %w", err)
	}
	return out, nil
}
