package audit

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/keyring"
	"github.com/rempart/rempart/internal/store"
	"github.com/rempart/rempart/internal/tlog"
	"github.com/rempart/rempart/verify"
)

const labelSeed = "audit.epoch.seed"

// epoch is a row of audit_epochs.
type epoch struct {
	number int64
	entry  id.Entry // of the leaf in the platform log
	at     int64
	width  int64
	root   tlog.Hash
	seed   []byte // sealed
}

func readEpoch(tx *store.Tx, upTo int64) (e epoch, err error) {
	var root []byte
	err = tx.Row(lastEpoch, upTo).Scan(&e.number, &e.entry, &e.at, &e.width, &root, &e.seed)
	copy(e.root[:], root)
	return e, err
}

// Epoch binds the last checkpoint of every log into a tree of blinded slots
// and puts its root into the platform log. It runs each minute.
func (l *Log) Epoch(ctx context.Context) error {
	if err := l.ready(); err != nil {
		return err
	}
	l.signing.Lock()
	defer l.signing.Unlock()
	ring, err := l.Ready(ctx, keyring.Installation())
	if err != nil {
		return fmt.Errorf("audit: epoch: %w", err)
	}
	now := l.Now()
	seed := tlog.NewEpochSeed()
	eid := id.NewEntry(now)
	err = l.Store.Update(ctx, store.System("audit.epoch"), func(tx *store.Tx) error {
		e := epoch{number: 1, entry: eid, at: store.Micros(now)}
		last, err := readEpoch(tx, math.MaxInt64)
		if err == nil {
			e.number = last.number + 1
		} else if !errors.Is(err, store.ErrNone) {
			return err
		}
		if e.seed, err = ring.Seal(keyring.Installation(), labelSeed, strconv.FormatInt(e.number, 10), seed[:]); err != nil {
			return err
		}
		if err := bind(tx, e.number); err != nil {
			return err
		}
		heads, err := store.All(tx, scanHead, epochHeads)
		if err != nil {
			return err
		}
		e.width = tlog.EpochWidth(int64(len(heads)))
		tree, err := tlog.NewEpoch(seed, e.width, bound(heads))
		if err != nil {
			return err
		}
		leaf := tree.Leaf(l.origin(platform), e.at)
		data, err := leaf.MarshalBinary()
		if err != nil {
			return err
		}
		if _, err := tx.Exec(insertEpoch, e.number, eid, e.at, e.width, leaf.Root[:], e.seed); err != nil {
			return err
		}
		tx.Record(&draft{ref: platform, id: eid, at: e.at, kind: kindEpoch, outcome: Success, leaf: tlog.LeafHash(data), facts: data})
		return nil
	})
	if err != nil {
		return fmt.Errorf("audit: epoch: %w", err)
	}
	return nil
}

// bind marks the checkpoints that no epoch holds yet, and keeps the largest of
// each log as its head.
func bind(tx *store.Tx, number int64) error {
	type signed struct {
		log  string
		size int64
		note []byte
	}
	fresh, err := store.All(tx, func(r *store.Rows) (s signed, err error) {
		return s, r.Scan(&s.log, &s.size, &s.note)
	}, bindNotes, number)
	if err != nil {
		return err
	}
	largest := map[string]signed{}
	for _, s := range fresh {
		if have, ok := largest[s.log]; !ok || s.size > have.size {
			largest[s.log] = s
		}
	}
	for log, s := range largest {
		c, err := tlog.ReadCheckpoint(s.note)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(setEpoch, log, c.Size, c.Root[:]); err != nil {
			return err
		}
	}
	return nil
}

func scanHead(r *store.Rows) (h tlog.EpochHead, err error) {
	var root []byte
	err = r.Scan(&h.Origin, &h.Slot, &h.Size, &root)
	copy(h.Root[:], root)
	return h, err
}

// bound leaves out the logs that have no checkpoint yet.
func bound(heads []tlog.EpochHead) []tlog.EpochHead {
	out := heads[:0:0]
	for _, h := range heads {
		if h.Size > 0 {
			out = append(out, h)
		}
	}
	return out
}

// Opening is the file that shows an organization (zero: the installation) its
// own head in an epoch tree, and that tree in the platform log; number 0 is
// the newest. `rempart verify` reads it.
func (l *Log) Opening(ctx context.Context, org id.Org, number int64) ([]byte, error) {
	if number <= 0 {
		number = math.MaxInt64
	}
	signed, size, err := l.latest(ctx, platform)
	if err != nil {
		return nil, err
	}
	var e epoch
	var seq int64
	var proof []tlog.Hash
	var heads []tlog.EpochHead
	err = l.Store.View(ctx, store.System("audit.opening"), func(tx *store.Tx) error {
		// The newest one may wait for its index or its checkpoint still.
		for up := number; ; up = e.number - 1 {
			if e, err = readEpoch(tx, up); err != nil {
				return err
			}
			if err = selectSeq.row(tx, platform, e.entry).Scan(&seq); err != nil {
				return err
			}
			if seq >= 0 && seq < size {
				break
			}
			if number != math.MaxInt64 {
				return store.ErrNone
			}
		}
		if number != math.MaxInt64 && e.number != number {
			return store.ErrNone
		}
		if proof, err = tlog.ProveInclusion(size, seq, tileReader(tx, platform)); err != nil {
			return err
		}
		heads, err = store.All(tx, scanPast, pastHeads, e.number)
		return err
	})
	if errors.Is(err, store.ErrNone) {
		return nil, errNoEntry
	}
	if err != nil {
		return nil, fmt.Errorf("audit: opening: %w", err)
	}
	ring, err := l.Ready(ctx, keyring.Installation())
	if err != nil {
		return nil, fmt.Errorf("audit: opening: %w", err)
	}
	plain, err := ring.Open(keyring.Installation(), labelSeed, strconv.FormatInt(e.number, 10), e.seed)
	if err != nil {
		return nil, fmt.Errorf("audit: opening: %w", err)
	}
	var seed tlog.EpochSeed
	copy(seed[:], plain)
	tree, err := tlog.NewEpoch(seed, e.width, bound(heads))
	if err != nil {
		return nil, fmt.Errorf("audit: opening: %w", err)
	}
	opening, err := tree.Opening(l.Origin(org))
	if err != nil {
		return nil, errNoLog // it had no checkpoint when the epoch was made
	}
	texts, err := l.verifierTexts(ctx, platform)
	if err != nil {
		return nil, err
	}
	p := verify.EpochProof{
		Signed: verify.Signed{Checkpoint: signed, VerifierKeys: texts},
		Leaf:   tree.Leaf(l.origin(platform), e.at), Index: seq, Inclusion: proof, Opening: opening,
	}
	out, err := p.Marshal()
	if err != nil {
		return nil, fmt.Errorf("audit: opening: %w", err)
	}
	return out, nil
}

func scanPast(r *store.Rows) (h tlog.EpochHead, err error) {
	var size *int64
	var text []byte
	if err := r.Scan(&h.Origin, &h.Slot, &size, &text); err != nil || size == nil {
		return h, err
	}
	c, err := tlog.ReadCheckpoint(text)
	h.Size, h.Root = c.Size, c.Root
	return h, err
}

// PlatformTile answers a path of C2SP tlog-tiles below the platform log: a
// tile of hashes. The error is tlog.ErrTilePath or tlog.ErrSize for what the
// log does not have.
func (l *Log) PlatformTile(ctx context.Context, path string) ([]byte, error) {
	t, err := tlog.ParseTilePath(path)
	if err != nil {
		return nil, err
	}
	if err := l.ready(); err != nil {
		return nil, err
	}
	var out [][]byte
	err = l.Store.View(ctx, store.System("audit.tile"), func(tx *store.Tx) error {
		row, err := readHead(tx, platform)
		if err != nil {
			return err
		}
		count := row.signed // what is signed is public, and no more
		for range t.Level {
			count /= tlog.TileWidth
		}
		if t.Index > count/tlog.TileWidth || t.Index*tlog.TileWidth+int64(t.Width) > count {
			return tlog.ErrSize
		}
		out, err = tileReader(tx, platform)([]tlog.TileID{t})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("audit: tile: %w", err)
	}
	if len(out[0]) < t.Width*tlog.HashSize {
		return nil, tlog.ErrSize
	}
	return out[0][:t.Width*tlog.HashSize], nil
}
