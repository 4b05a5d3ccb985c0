package keyring

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/store"
)

// The stock is keys of nobody that the second place has acknowledged already.
// A user's or member's first key is derived from one, so that no request waits
// for the second place; whose it became is sent there soon after.
//
// Should the keys database be lost in between, Recover finds the stock key and
// not its owner. Such an orphan is tried, under the owner that the reader
// names, when a sealed value names it; what opens proves the owner, and the
// orphan is adopted. A member's key is derived from the organization's too, so
// that no copy of the stock revives it once the organization's was destroyed.

// classStock is the class of keys that have no owner yet.
const classStock Class = "stock"

// derive makes an owner's key from a stock key; above is the key that wraps it,
// none where that is the key-encryption key.
func derive(stock Secret, above *dataKey, o Owner) Secret {
	var salt []byte
	if above != nil {
		salt = above.raw.b
	}
	b := o.bytes()
	k, err := hkdf.Key(sha256.New, stock.b, salt, "rempart/stock/1\n"+string(b[:]), 32)
	if err != nil {
		panic("keyring: " + err.Error())
	}
	return NewSecret(k)
}

// RefillStock is the job that sends what the second place lacks and keeps the
// stock full.
func (s *Service) RefillStock(ctx context.Context) error {
	st := s.opened.Load()
	if st == nil {
		return ErrNotStarted
	}
	if err := s.send(ctx, st); err != nil {
		return err
	}
	if err := s.adopt(ctx); err != nil {
		return err
	}
	var have int64
	err := s.Store.Keys.View(ctx, system, func(tx *store.Tx) error { return tx.Row(countStock).Scan(&have) })
	if err != nil {
		return fmt.Errorf("keyring: stock: %w", err)
	}
	if have > stockTarget/2 {
		return nil
	}
	now := s.Now()
	var rows []keyRow
	for range stockTarget - have {
		kid := id.NewDataKey(now)
		row := keyRow{ID: kid, Owner: "stock/" + kid.String(), Class: classStock, Purpose: purposeSeal, Version: 1, State: stateStock, Parent: st.active, Created: micros(now)}
		raw := newKey()
		row.Wrapped = wrapKey(st.keks[st.active], row, raw)
		raw.Wipe()
		rows = append(rows, row)
	}
	err = s.Store.Keys.Maintain(ctx, system, func(tx *store.Tx) error {
		var changes int64
		if err := tx.Row(bumpChanges).Scan(&changes); err != nil {
			return err
		}
		for _, row := range rows {
			if _, err := putKey(tx, row); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("keyring: stock: %w", err)
	}
	return s.acknowledge(ctx, st, rows)
}

// fromStock makes owners' first keys from the stock, as far as it goes, and
// answers those that it did not make.
func (s *Service) fromStock(ctx context.Context, st *opened, owners []Owner, have map[Owner]*ownerKeys) ([]Owner, error) {
	type plan struct {
		from keyRow
		row  keyRow
	}
	var stock []keyRow
	err := s.Store.Keys.View(ctx, system, func(tx *store.Tx) (err error) {
		stock, err = store.All(tx, scanKey, selectStock, int64(len(owners)))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("keyring: stock: %w", err)
	}
	var plans []plan
	var rest []Owner
	for _, o := range owners {
		by := st.keks[st.active]
		parent := st.active
		var above *dataKey
		if p, ok := o.parent(); ok {
			if have[p] == nil || have[p].erased {
				rest = append(rest, o)
				continue
			}
			above = have[p].active
			by, parent = above.wrapper(), above.id
		}
		if len(stock) == 0 || st.keks[stock[0].Parent] == nil {
			rest = append(rest, o)
			continue
		}
		from := stock[0]
		stock = stock[1:]
		raw, err := unwrapKey(st.keks[from.Parent], from)
		if err != nil {
			return nil, err
		}
		row := from
		row.Owner, row.Class, row.State, row.Parent = o.String(), o.Class(), stateActive, parent
		row.Created = micros(s.Now())
		key := derive(raw, above, o)
		row.Wrapped = wrapKey(by, row, key)
		raw.Wipe()
		key.Wipe()
		plans = append(plans, plan{from, row})
	}
	if len(plans) == 0 {
		return rest, nil
	}
	err = s.Store.Keys.Maintain(ctx, system, func(tx *store.Tx) error {
		var changes int64
		if err := tx.Row(bumpChanges).Scan(&changes); err != nil {
			return err
		}
		for _, p := range plans {
			if gone, err := isErased(tx, p.row.Owner); err != nil || gone {
				return err
			}
			rows, err := store.All(tx, scanKey, selectOwners, page([]string{p.row.Owner})...)
			if err != nil {
				return err
			}
			if len(rows) > 0 {
				continue // another node was first
			}
			// Nothing happens when another node took it: load looks again.
			if _, err := tx.Exec(assignStock, p.row.ID, p.row.Owner, string(p.row.Class), p.row.Parent, p.row.Wrapped, p.row.Created); err != nil {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, store.ErrUnique) {
		return rest, nil // another node was first; load looks again
	}
	if err != nil {
		return nil, fmt.Errorf("keyring: stock: %w", err)
	}
	return rest, nil
}

// orphans is the recovered stock keys whose owners are not known.
type orphans struct {
	mu    sync.Mutex
	keys  map[id.DataKey]Secret
	found []adoption
}

type adoption struct {
	kid   id.DataKey
	owner Owner
	above *dataKey
}

// loadOrphans opens what Recover left without an owner.
func (s *Service) loadOrphans(ctx context.Context, st *opened) error {
	var rows []keyRow
	err := s.Store.Keys.View(ctx, system, func(tx *store.Tx) (err error) {
		rows, err = store.All(tx, scanKey, selectByState, stateOrphan)
		return err
	})
	if err != nil {
		return fmt.Errorf("keyring: orphans: %w", err)
	}
	keys := map[id.DataKey]Secret{}
	for _, row := range rows {
		if by := st.keks[row.Parent]; by != nil {
			raw, err := unwrapKey(by, row)
			if err != nil {
				return err
			}
			keys[row.ID] = raw
		}
	}
	s.orphans.mu.Lock()
	s.orphans.keys = keys
	s.orphans.mu.Unlock()
	s.haveOrphans.Store(len(keys) > 0)
	return nil
}

// openOrphan tries a sealed value whose key has no owner under the one that the
// reader names.
func (s *Service) openOrphan(keys *ownerKeys, sealed, aad []byte) ([]byte, bool) {
	kid, ok := KeyOf(sealed)
	if !ok {
		return nil, false
	}
	s.orphans.mu.Lock()
	defer s.orphans.mu.Unlock()
	stock, ok := s.orphans.keys[kid]
	if !ok {
		return nil, false
	}
	candidates := []*dataKey{nil}
	if keys.above != nil {
		candidates = append(candidates, keys.above.versions...)
	}
	for _, above := range candidates {
		key := derive(stock, above, keys.owner)
		plain, err := newGCM(key.b).Open(nil, nil, sealed[headerSize:], aad)
		key.Wipe()
		if err != nil {
			continue
		}
		if !slices.ContainsFunc(s.orphans.found, func(a adoption) bool { return a.kid == kid }) {
			s.orphans.found = append(s.orphans.found, adoption{kid, keys.owner, above})
		}
		return plain, true
	}
	return nil, false
}

// adopt writes down the owners that values have proved.
func (s *Service) adopt(ctx context.Context) error {
	if !s.haveOrphans.Load() {
		return nil
	}
	s.orphans.mu.Lock()
	found := slices.Clone(s.orphans.found)
	keys := s.orphans.keys
	s.orphans.mu.Unlock()
	for _, a := range found {
		ring, err := s.Ready(ctx, a.owner)
		if err != nil {
			return err
		}
		own := ring.keys(a.owner)
		if own.erased {
			continue
		}
		st := s.opened.Load()
		by, parent := st.keks[st.active], st.active
		if own.above != nil {
			by, parent = own.above.active.wrapper(), own.above.active.id
		}
		row := keyRow{ID: a.kid, Owner: a.owner.String(), Class: a.owner.Class(), Purpose: purposeSeal, Version: own.versions[0].version + 1, Parent: parent}
		raw := derive(keys[a.kid], a.above, a.owner)
		row.Wrapped = wrapKey(by, row, raw)
		raw.Wipe()
		err = s.Store.Keys.Maintain(ctx, system, func(tx *store.Tx) error {
			if _, err := tx.Exec(adoptOrphan, row.ID, row.Owner, string(row.Class), row.Version, row.Parent, row.Wrapped, micros(s.Now())); err != nil {
				return err
			}
			_, err := tx.Exec(bumpGeneration)
			return err
		})
		if err != nil {
			return fmt.Errorf("keyring: adopt: %w", err)
		}
		s.cache.drop(a.owner)
	}
	if len(found) > 0 {
		s.orphans.mu.Lock()
		s.orphans.found = s.orphans.found[len(found):]
		s.orphans.mu.Unlock()
	}
	return nil
}
