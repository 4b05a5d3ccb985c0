package audit

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/store"
	"github.com/rempart/rempart/internal/tlog"
)

// head is a log in memory: the edge of its tree, as committed.
type head struct {
	edge *tlog.Edge
	size int64 // of the row, which the next move expects
}

// maxHeads bounds the edges that are kept in memory; each holds some 10 KiB.
const maxHeads = 1024

// errFenced: another sequencer moved the log meanwhile.
var errFenced = errors.New("audit: another sequencer works")

// Write stores the entries of a group in its transaction; see store.Journal.
// On SQLite the one writer calls it and each entry gets its index; on
// PostgreSQL many transactions run at once, and the entries wait for Sequence.
func (l *Log) Write(tx *store.Tx, batch []any) error {
	indexed := tx.Engine() == store.SQLite
	if indexed {
		l.mu.Lock()
		defer l.mu.Unlock()
	}
	args := make([]any, 0, insertBatch*insertColumns)
	for i, b := range batch {
		d, ok := b.(*draft)
		if !ok {
			return fmt.Errorf("audit: a %T was recorded, not an entry", b)
		}
		seq := provisional(d.id)
		if indexed {
			h, err := l.head(tx, d.ref)
			if err != nil {
				return err
			}
			seq = h.edge.Size()
			h.edge.Append(d.leaf)
		}
		args = append(args, d.ref.key, seq, d.id.String(), d.at, d.kind, string(d.outcome), d.actor, d.target,
			d.leaf[:], d.facts, bytesOrNull(d.factsKey), bytesOrNull(d.person), bytesOrNull(d.personKey))
		if len(args) < cap(args) && i < len(batch)-1 {
			continue
		}
		if err := insert(tx, args); err != nil {
			return fmt.Errorf("audit: insert entries: %w", err)
		}
		args = args[:0]
	}
	if !indexed {
		return nil
	}
	for _, key := range l.touched {
		if err := l.move(tx, key, l.heads[key]); err != nil {
			return err
		}
	}
	return nil
}

// insert writes a full batch by one statement, a part of one row by row.
func insert(tx *store.Tx, args []any) error {
	if len(args) == insertBatch*insertColumns {
		_, err := tx.Exec(insertEntries, args...)
		return err
	}
	for ; len(args) > 0; args = args[insertColumns:] {
		if _, err := tx.Exec(insertEntry, args[:insertColumns]...); err != nil {
			return err
		}
	}
	return nil
}

func bytesOrNull(b []byte) any {
	if b == nil {
		return nil
	}
	return b
}

// provisional is the place of an entry without an index: below zero, and as
// random as its identifier.
func provisional(e id.Entry) int64 {
	b := e.Bytes()
	return -int64(binary.BigEndian.Uint64(b[8:])&(1<<62-1)) - 1
}

// Done hears how the COMMIT ended; see store.Journal. What a failed one had
// appended in memory is forgotten: the next entry reads the log's head again.
func (l *Log) Done(_ []any, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, key := range l.touched {
		if err != nil {
			delete(l.heads, key)
		} else if h := l.heads[key]; h != nil {
			h.size = h.edge.Size()
		}
	}
	l.touched = l.touched[:0]
}

// head gives the edge of a log that the group adds to. The caller holds mu.
func (l *Log) head(tx *store.Tx, r ref) (*head, error) {
	h := l.heads[r.key]
	if h == nil {
		var err error
		if h, err = l.load(tx, r); err != nil {
			return nil, err
		}
		l.keep(r, h)
	}
	if !slices.Contains(l.touched, r.key) {
		l.touched = append(l.touched, r.key)
	}
	return h, nil
}

// keep puts a head in memory, in the place of another if there are many.
func (l *Log) keep(r ref, h *head) {
	if l.heads == nil {
		l.heads = map[string]*head{}
	}
	for key := range l.heads {
		if len(l.heads) < maxHeads {
			break
		}
		if !slices.Contains(l.touched, key) {
			delete(l.heads, key)
		}
	}
	l.heads[r.key] = h
}

// load reads the edge of a log from what is stored; a log without a row is
// opened.
func (l *Log) load(tx *store.Tx, r ref) (*head, error) {
	row, err := readHead(tx, r)
	if errors.Is(err, store.ErrNone) {
		row, err = l.create(tx, r, l.host)
	}
	if err != nil {
		return nil, fmt.Errorf("audit: head of %s: %w", r.key, err)
	}
	edge, err := tlog.LoadEdge(row.size, tileReader(tx, r))
	if err != nil {
		return nil, fmt.Errorf("audit: tree of %s: %w", r.key, err)
	}
	if edge.Root() != row.root {
		return nil, fmt.Errorf("audit: the stored tree of %s is not that of its head; `rempart audit verify` shows what was changed", row.origin)
	}
	return &head{edge: edge, size: row.size}, nil
}

// move stores the tiles and the head that a group made.
func (l *Log) move(tx *store.Tx, key string, h *head) error {
	root := h.edge.Root()
	n, err := tx.Exec(moveHead, h.edge.Size(), root[:], l.fence, key, h.size)
	if err != nil {
		return fmt.Errorf("audit: move head: %w", err)
	}
	if n != 1 {
		return errFenced
	}
	for _, t := range h.edge.TakeTiles() {
		if _, err := tx.Exec(upsertTile, key, t.Level, t.Index, t.Data); err != nil {
			return fmt.Errorf("audit: store tile: %w", err)
		}
	}
	return nil
}

// create opens a log: its row, with a random slot in the epoch trees. The
// platform log, which holds these trees, has none. Only the one writer or the
// one sequencer creates logs.
func (l *Log) create(tx *store.Tx, r ref, host string) (headRow, error) {
	slot := int64(-1)
	if r != platform {
		var logs int64
		if err := tx.Row(countLogs).Scan(&logs); err != nil {
			return headRow{}, err
		}
		var failed error
		var err error
		slot, err = tlog.ChooseSlot(tlog.EpochWidth(logs+1), func(s int64) bool {
			var n int64
			failed = cmp.Or(failed, tx.Row(slotTaken, s).Scan(&n))
			return n > 0 && failed == nil
		})
		if err := errors.Join(err, failed); err != nil {
			return headRow{}, fmt.Errorf("audit: slot of %s: %w", r.key, err)
		}
	}
	root := tlog.EmptyRoot()
	row := headRow{origin: host + "/log/" + r.key, slot: slot, root: root}
	if _, err := tx.Exec(insertLog, r.key, row.origin, slot, root[:]); err != nil {
		return headRow{}, fmt.Errorf("audit: open log: %w", err)
	}
	return row, nil
}

// headRow is a row of audit_logs.
type headRow struct {
	origin    string
	slot      int64
	size      int64
	root      tlog.Hash
	signed    int64 // size of the last checkpoint
	signedKey string
	signedAt  int64
}

func readHead(tx *store.Tx, r ref) (headRow, error) {
	var h headRow
	var root []byte
	err := selectLog.row(tx, r).Scan(&h.origin, &h.slot, &h.size, &root, &h.signed, &h.signedKey, &h.signedAt)
	if err == nil && len(root) != tlog.HashSize {
		return h, fmt.Errorf("audit: the head of %s is damaged", r.key)
	}
	copy(h.root[:], root)
	return h, err
}

// tileReader reads tiles in a transaction. Complete ones and those of the
// upper levels are rows; the growing one of level 0 is the leaves of the last
// entries.
func tileReader(tx *store.Tx, r ref) tlog.TileReader {
	return func(want []tlog.TileID) ([][]byte, error) {
		out := make([][]byte, len(want))
		for i, t := range want {
			err := selectTile.row(tx, r, t.Level, t.Index).Scan(&out[i])
			switch {
			case errors.Is(err, store.ErrNone) && t.Level == 0:
				from := t.Index * tlog.TileWidth
				leaves, err := rows(tx, r, scanBytes, selectLeaves, from, from+int64(t.Width))
				if err != nil {
					return nil, err
				}
				out[i] = slices.Concat(leaves...)
			case err != nil && !errors.Is(err, store.ErrNone):
				return nil, err
			}
		}
		return out, nil
	}
}

func scanBytes(r *store.Rows) (b []byte, err error) { return b, r.Scan(&b) }

// pending is an entry that waits for its index.
type pending struct {
	log  string
	seq  int64
	leaf tlog.Hash
}

// sequenceBatch bounds the entries that one transaction of the sequencer takes.
const sequenceBatch = 4096

// Sequence gives every waiting entry its index in the tree and tells how many
// it were. One node at a time runs it, under a lease of the job table, and a
// fence keeps out one that wrongly believes to hold it still. On SQLite, where
// the writer gives the index, there is nothing to do.
func (l *Log) Sequence(ctx context.Context) (int, error) {
	if l.Store.Engine() == store.SQLite {
		return 0, nil
	}
	if err := l.ready(); err != nil {
		return 0, err
	}
	l.sequencing.Lock()
	defer l.sequencing.Unlock()
	total := 0
	for {
		var waiting []pending
		err := l.Store.View(ctx, store.System("audit.sequence"), func(tx *store.Tx) (err error) {
			waiting, err = store.All(tx, scanPending, selectPending, sequenceBatch)
			return err
		})
		if err != nil || len(waiting) == 0 {
			return total, err
		}
		if l.fence == 0 {
			if err := l.takeFence(ctx); err != nil {
				return total, err
			}
		}
		for rest := waiting; len(rest) > 0; {
			n := slices.IndexFunc(rest, func(p pending) bool { return p.log != rest[0].log })
			if n < 0 {
				n = len(rest)
			}
			group := rest[:n]
			rest = rest[n:]
			err := l.sequence(ctx, group)
			if errors.Is(err, errFenced) {
				l.fence = 0 // the other one goes on; if it stopped, the next run takes over
				return total, nil
			}
			if err != nil {
				return total, err
			}
			total += len(group)
		}
		if len(waiting) < sequenceBatch {
			return total, nil
		}
	}
}

func scanPending(r *store.Rows) (p pending, err error) {
	var eid id.Entry
	var leaf []byte
	if err := r.Scan(&p.log, &p.seq, &eid, &leaf); err != nil {
		return p, err
	}
	if len(leaf) != tlog.HashSize {
		return p, fmt.Errorf("audit: the leaf of %s is damaged", eid)
	}
	copy(p.leaf[:], leaf)
	return p, nil
}

func (l *Log) takeFence(ctx context.Context) error {
	return l.Store.Maintain(ctx, store.System("audit.sequence"), func(tx *store.Tx) error {
		if err := tx.Row(takeFence, installation.key).Scan(&l.fence); err != nil {
			return fmt.Errorf("audit: take fence: %w", err)
		}
		return nil
	})
}

// sequence takes the waiting entries of one log. The head moves first: from
// then on its row is locked, and whoever comes second finds it moved.
func (l *Log) sequence(ctx context.Context, group []pending) error {
	r, err := parseRef(group[0].log)
	if err != nil {
		return fmt.Errorf("audit: sequence: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var next *head
	err = l.Store.Maintain(ctx, store.System("audit.sequence"), func(tx *store.Tx) error {
		base := l.heads[r.key]
		if base == nil {
			if base, err = l.load(tx, r); err != nil {
				return err
			}
		}
		next = &head{edge: base.edge.Clone(), size: base.size}
		for _, p := range group {
			next.edge.Append(p.leaf)
		}
		if err := l.move(tx, r.key, next); err != nil {
			return err
		}
		return assign(tx, r, base.size, group)
	})
	if err != nil {
		delete(l.heads, r.key) // what is stored is read again
		if errors.Is(err, store.ErrUnique) {
			return errFenced // another sequencer opened the log
		}
		return err
	}
	next.size = next.edge.Size()
	l.keep(r, next)
	return nil
}

// assign writes the indexes, many a statement.
func assign(tx *store.Tx, r ref, first int64, group []pending) error {
	for len(group) > 0 {
		n, st, args := 1, setIndex, []any{first, r.key, group[0].seq}
		if len(group) >= indexBatch {
			n, st, args = indexBatch, setIndexes, []any{r.key}
			for i, p := range group[:n] {
				args = append(args, p.seq, first+int64(i))
			}
		}
		done, err := tx.Exec(st, args...)
		if err != nil {
			return fmt.Errorf("audit: give index: %w", err)
		}
		if done != int64(n) {
			return errFenced
		}
		group, first = group[n:], first+int64(n)
	}
	return nil
}
