package keyring

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/store"
)

// jobs is the scheduled work.
func (s *Service) jobs() []capability.Job {
	return []capability.Job{
		{Name: "keyring.copies", Every: 5 * time.Minute, Run: s.MakeCopies},
		{Name: "keyring.finish", Every: time.Minute, Run: s.finishOld},
		{Name: "keyring.heads", Every: time.Minute, Run: s.NoteHeads},
		{Name: "keyring.uses", Every: 5 * time.Minute, Run: s.CountUses},
		{Name: "keyring.rewrap", Every: time.Minute, Run: s.Rewrap},
		{Name: "keyring.stock", Every: 15 * time.Second, Run: s.RefillStock},
		{Name: "keyring.sweep", Every: 10 * time.Minute, Run: s.Sweep},
		{Name: "keyring.rotation", Every: time.Hour, Run: s.RotateDue},
	}
}

// finishOld ends acts that were begun a minute ago and whose node has gone.
func (s *Service) finishOld(ctx context.Context) error {
	open, err := s.OpenActs(ctx)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(open, func(a Act) bool { return s.Now().Sub(a.Started) > time.Minute }) {
		return nil
	}
	return s.FinishOpen(ctx)
}

// NoteHeads notes in the keys database how far the installation's log has
// come, so that an older main database is found out at start.
func (s *Service) NoteHeads(ctx context.Context) error {
	if s.LogHead == nil {
		return nil
	}
	size, head, err := s.LogHead(ctx)
	if err != nil {
		return fmt.Errorf("keyring: head of the log: %w", err)
	}
	return s.Store.Keys.Maintain(ctx, system, func(tx *store.Tx) error {
		_, err := tx.Exec(updateLog, size, head)
		return err
	})
}

// CountUses adds the uses that no block covers to their keys' counts.
func (s *Service) CountUses(ctx context.Context) error {
	for part := range slices.Chunk(s.cache.uncounted(), 500) {
		used := make([]int64, len(part))
		s.slow.Lock() // no block is reserved meanwhile
		for i, k := range part {
			if !k.blocked.Load() {
				used[i] = smallChange - k.left.Swap(smallChange)
			}
		}
		s.slow.Unlock()
		err := s.Store.Keys.Maintain(ctx, system, func(tx *store.Tx) error {
			for i, k := range part {
				if used[i] <= 0 {
					continue
				}
				var n int64
				if err := tx.Row(reserveUses, k.id, used[i]).Scan(&n); err != nil && !errors.Is(err, store.ErrNone) {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("keyring: count uses: %w", err)
		}
	}
	return nil
}

// Rewrap wraps keys again that are wrapped under a key no longer in force: a
// part at a time, until none is left, and removes a key-encryption key that
// wraps nothing any more.
func (s *Service) Rewrap(ctx context.Context) error {
	st := s.opened.Load()
	if st == nil {
		return ErrNotStarted
	}
	_, keks, err := s.meta(ctx)
	if err != nil {
		return fmt.Errorf("keyring: rewrap: %w", err)
	}
	for _, k := range keks {
		if k.State != stateRetired || st.keks[k.ID] == nil {
			continue
		}
		if err := s.rewrapBelow(ctx, k.ID, func(row keyRow) (keyRow, Secret, error) {
			raw, err := unwrapKey(st.keks[k.ID], row)
			row.Parent = st.active
			return row, raw, err
		}); err != nil {
			return err
		}
		// Another node may for a moment still wrap under it.
		if s.Now().Sub(store.Time(k.Retired)) < retiredRest {
			continue
		}
		err := s.Store.Keys.Maintain(ctx, system, func(tx *store.Tx) error {
			n, err := tx.Exec(deleteKEK, k.ID)
			if err != nil || n == 0 {
				return err
			}
			_, err = tx.Exec(bumpGeneration)
			return err
		})
		if err != nil {
			return fmt.Errorf("keyring: rewrap: %w", err)
		}
	}
	var parents []id.DataKey
	err = s.Store.Keys.View(ctx, system, func(tx *store.Tx) (err error) {
		parents, err = store.All(tx, func(r *store.Rows) (id.DataKey, error) {
			var k id.DataKey
			return k, r.Scan(&k)
		}, selectParents, int64(100))
		return err
	})
	if err != nil {
		return fmt.Errorf("keyring: rewrap: %w", err)
	}
	for _, parent := range parents {
		if err := s.rewrapUnder(ctx, parent); err != nil {
			return err
		}
	}
	return nil
}

// rewrapUnder moves what a retired data key wraps to the version in force.
func (s *Service) rewrapUnder(ctx context.Context, parent id.DataKey) error {
	var text string
	err := s.Store.Keys.View(ctx, system, func(tx *store.Tx) error { return tx.Row(selectKeyOwner, parent).Scan(&text) })
	if errors.Is(err, store.ErrNone) {
		return nil // destroyed meanwhile
	}
	if err != nil {
		return fmt.Errorf("keyring: rewrap: %w", err)
	}
	owner, err := ParseOwner(text)
	if err != nil {
		return fmt.Errorf("keyring: rewrap: %w", err)
	}
	ring, err := s.Ready(ctx, owner)
	if err != nil {
		return err
	}
	keys := ring.keys(owner)
	old := keys.byID(parent)
	if keys.erased || old == nil || keys.active == old {
		return nil
	}
	return s.rewrapBelow(ctx, parent, func(row keyRow) (keyRow, Secret, error) {
		raw, err := unwrapKey(old.wrapper(), row)
		row.Parent = keys.active.id
		if err == nil {
			row.Wrapped = wrapKey(keys.active.wrapper(), row, raw)
		}
		return row, raw, err
	})
}

// rewrapBelow wraps each key under parent again, 500 in a transaction.
func (s *Service) rewrapBelow(ctx context.Context, parent id.DataKey, again func(keyRow) (keyRow, Secret, error)) error {
	after := ""
	for {
		st := s.opened.Load()
		var rows []keyRow
		err := s.Store.Keys.View(ctx, system, func(tx *store.Tx) (err error) {
			rows, err = store.All(tx, scanKey, selectChildren, parent, after, int64(500))
			return err
		})
		if err != nil {
			return fmt.Errorf("keyring: rewrap: %w", err)
		}
		if len(rows) == 0 {
			return nil
		}
		after = rows[len(rows)-1].ID.String()
		for i, row := range rows {
			row, raw, err := again(row)
			if err != nil {
				return err
			}
			if by := st.keks[row.Parent]; by != nil {
				row.Wrapped = wrapKey(by, row, raw)
			}
			raw.Wipe()
			rows[i] = row
		}
		err = s.Store.Keys.Maintain(ctx, system, func(tx *store.Tx) error {
			for _, row := range rows {
				if _, err := tx.Exec(rewrapKey, row.ID, parent, row.Parent, row.Wrapped); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("keyring: rewrap: %w", err)
		}
	}
}

// Sweep removes the keys that a destroyed one wrapped, with their lines in the
// ledger, and then frees the pages that held any destroyed key.
func (s *Service) Sweep(ctx context.Context) error {
	if s.opened.Load() == nil {
		return ErrNotStarted
	}
	m, _, err := s.meta(ctx)
	if err != nil {
		return fmt.Errorf("keyring: sweep: %w", err)
	}
	if !m.VacuumDue {
		return nil
	}
	for {
		n, err := s.sweepSome(ctx)
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
	}
	if m, _, err = s.meta(ctx); err != nil {
		return fmt.Errorf("keyring: sweep: %w", err)
	}
	if err := s.Store.Keys.Vacuum(ctx); err != nil {
		return fmt.Errorf("keyring: sweep: %w", err)
	}
	return s.Store.Keys.Maintain(ctx, system, func(tx *store.Tx) error {
		now, err := readMeta(tx)
		if err != nil {
			return err
		}
		// A key destroyed since the vacuum began needs another.
		_, err = tx.Exec(updateVacuum, now.LedgerLines != m.LedgerLines)
		return err
	})
}

// sweepSome ends up to a thousand keys whose parent was destroyed.
func (s *Service) sweepSome(ctx context.Context) (int, error) {
	type orphan struct {
		id    id.DataKey
		owner string
	}
	var some []orphan
	err := s.Store.Keys.View(ctx, system, func(tx *store.Tx) (err error) {
		some, err = store.All(tx, func(r *store.Rows) (o orphan, err error) {
			return o, r.Scan(&o.id, &o.owner)
		}, selectOrphans, int64(1000))
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("keyring: sweep: %w", err)
	}
	if len(some) == 0 {
		return 0, nil
	}
	line := LedgerLine{Kind: lineSweep}
	for _, o := range some {
		line.Keys = append(line.Keys, o.id)
	}
	line, head, err := s.appendLine(ctx, line)
	if err != nil {
		return 0, err
	}
	err = s.Store.Keys.Maintain(ctx, system, func(tx *store.Tx) error {
		for _, o := range some {
			owner, err := ParseOwner(o.owner)
			if err != nil {
				return err
			}
			if _, err := tx.Exec(deleteKey, o.id); err != nil {
				return err
			}
			if _, err := tx.Exec(insertErasedKey, o.id, line.N); err != nil {
				return err
			}
			if _, err := tx.Exec(insertErased, owner.digest(), line.N, micros(s.Now())); err != nil {
				return err
			}
		}
		_, err := tx.Exec(updateHead, line.N, head, line.Epoch)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("keyring: sweep: %w", err)
	}
	return len(some), nil
}

// RotateDue rotates what has reached its age or its number of uses: the
// key-encryption key, and up to a hundred data keys.
func (s *Service) RotateDue(ctx context.Context) error {
	_, keks, err := s.meta(ctx)
	if err != nil {
		return fmt.Errorf("keyring: rotation: %w", err)
	}
	who := caller.ForSystem("keyring.rotation")
	now := s.Now()
	for _, k := range keks {
		if k.State == stateActive && now.Sub(store.Time(k.Created)) >= kekPeriod {
			if _, err := s.RotateKEK(ctx, who); err != nil {
				return err
			}
		}
	}
	var due []string
	err = s.Store.Keys.View(ctx, system, func(tx *store.Tx) (err error) {
		due, err = store.All(tx, func(r *store.Rows) (o string, err error) { return o, r.Scan(&o) },
			selectDue, int64(newVersionAt), micros(now.Add(-dataPeriod)), int64(100))
		return err
	})
	if err != nil {
		return fmt.Errorf("keyring: rotation: %w", err)
	}
	for _, text := range due {
		owner, err := ParseOwner(text)
		if err != nil {
			return fmt.Errorf("keyring: rotation: %w", err)
		}
		if _, err := s.Rotate(ctx, who, owner); err != nil && !errors.Is(err, ErrErased) {
			return err
		}
	}
	return nil
}
