package keyring

import (
	"context"
	"crypto/cipher"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/store"
)

// micros is the stored form of an instant.
func micros(t time.Time) int64 { return store.Micros(t) }

// opened is what Start unwrapped. It is replaced whole, never changed.
type opened struct {
	installation string
	recipient    string
	keks         map[id.DataKey]cipher.AEAD
	active       id.DataKey // the key-encryption key in force
}

// Ready loads the keys of the owners, and makes them where an owner never had
// one. With everything in the cache it runs no statement; otherwise it reads
// the keys database once. It must not be called with a transaction open. The
// error is ErrNotStarted, or fault.Unavailable when the keys database or, for
// new keys, the second place is away.
func (s *Service) Ready(ctx context.Context, owners ...Owner) (*Ring, error) {
	if s.opened.Load() == nil {
		return nil, ErrNotStarted
	}
	s.unstale()
	keys := make([]*ownerKeys, 0, len(owners))
	var missing []Owner
	for _, o := range owners {
		if k := s.cache.get(o); k != nil {
			keys = append(keys, k)
		} else {
			missing = append(missing, o)
		}
	}
	if len(missing) > 0 {
		got, err := s.load(ctx, missing)
		if err != nil {
			return nil, err
		}
		for _, o := range missing {
			keys = append(keys, got[o])
		}
	}
	for _, k := range keys {
		if k.active != nil && k.active.left.Load() < lowWater {
			if err := s.reserve(ctx, k.active); err != nil {
				return nil, err
			}
		}
	}
	ring := newRing(keys)
	ring.from = s
	return ring, nil
}

// Warm loads the keys of many owners into the cache, for work that is about to
// need them one by one.
func (s *Service) Warm(ctx context.Context, owners []Owner) error {
	for part := range slices.Chunk(owners, 256) {
		if _, err := s.Ready(ctx, part...); err != nil {
			return err
		}
	}
	return nil
}

// Cache tells what the cache of opened keys did.
func (s *Service) Cache() CacheStats { return s.cache.counters() }

// reserve takes a block of uses for this node, durably, before they are used.
func (s *Service) reserve(ctx context.Context, k *dataKey) error {
	s.slow.Lock()
	defer s.slow.Unlock()
	if k.left.Load() >= lowWater {
		return nil // another has reserved meanwhile
	}
	n := int64(block)
	if !k.blocked.Load() {
		n += smallChange // those used without a reservation
	}
	var reserved int64
	err := s.Store.Keys.Maintain(ctx, system, func(tx *store.Tx) error {
		if err := tx.Row(reserveUses, k.id, n).Scan(&reserved); err != nil {
			return err
		}
		if reserved > hardLimit {
			return fmt.Errorf("%w: %s has sealed as often as it may; rotate it", ErrSpent, k.id)
		}
		return nil
	})
	if errors.Is(err, store.ErrNone) {
		s.cache.reset() // the key is gone; whoever comes next learns why
		return fmt.Errorf("%w: %s", ErrUnknown, k.id)
	}
	if err != nil {
		return fmt.Errorf("keyring: reserve uses: %w", err)
	}
	k.blocked.Store(true)
	k.left.Add(block)
	return nil
}

// found is what one read of the keys database gave.
type found struct {
	rows   map[Owner][]keyRow
	erased map[Owner]bool
	dead   map[id.DataKey]bool  // parents that were destroyed
	above  map[id.DataKey]Owner // owners of parents that are data keys
}

// load reads the owners' keys, and makes those that never were.
func (s *Service) load(ctx context.Context, owners []Owner) (map[Owner]*ownerKeys, error) {
	want := slices.Clone(owners)
	for _, o := range owners {
		if p, ok := o.parent(); ok {
			want = append(want, p)
		}
	}
	alone, reopened := false, false
	for range 8 {
		gen, st := s.cache.generation(), s.opened.Load()
		f, err := s.read(ctx, st, want)
		if err != nil {
			return nil, fmt.Errorf("keyring: load keys: %w", err)
		}
		var absent []Owner
		var unacked []keyRow
		for _, o := range want {
			if len(f.rows[o]) == 0 && !f.erased[o] {
				absent = append(absent, o)
			}
			for _, k := range f.rows[o] {
				if k.Acked == ackedNot {
					unacked = append(unacked, k)
				}
			}
		}
		if (len(absent) > 0 || len(unacked) > 0) && !alone {
			// One at a time makes keys in this process, and looks again first.
			s.slow.Lock()
			defer s.slow.Unlock()
			alone = true
			continue
		}
		if len(unacked) > 0 {
			if err := s.acknowledge(ctx, st, unacked); err != nil {
				return nil, err
			}
		}
		built, err := s.build(st, f)
		if errors.Is(err, errNewKEK) && !reopened {
			reopened = true
			if err := s.reopen(ctx); err != nil {
				return nil, err
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		if len(absent) > 0 {
			if err := s.create(ctx, st, absent, built); err != nil {
				return nil, err
			}
			continue
		}
		for o, k := range built {
			built[o] = s.cache.put(gen, k)
		}
		return built, nil
	}
	return nil, fault.New(fault.Unavailable, "web.error.unavailable", errors.New("keyring: keys change faster than they are read")).After(time.Second)
}

// read reads the rows of the owners, and of those whose keys wrap theirs, in
// one snapshot.
func (s *Service) read(ctx context.Context, st *opened, owners []Owner) (found, error) {
	var f found
	err := s.Store.Keys.View(ctx, system, func(tx *store.Tx) error {
		f = found{map[Owner][]keyRow{}, map[Owner]bool{}, map[id.DataKey]bool{}, map[id.DataKey]Owner{}}
		if err := f.add(tx, owners); err != nil {
			return err
		}
		var more []Owner
		for _, o := range owners {
			for _, k := range f.rows[o] {
				if st.keks[k.Parent] != nil || f.dead[k.Parent] || f.above[k.Parent] != (Owner{}) {
					continue
				}
				if p, ok := f.holder(k.Parent); ok {
					f.above[k.Parent] = p
					continue
				}
				var text string
				switch err := tx.Row(selectKeyOwner, k.Parent).Scan(&text); {
				case errors.Is(err, store.ErrNone):
					var line int64
					switch err := tx.Row(selectErasedKey, k.Parent).Scan(&line); {
					case err == nil:
						f.dead[k.Parent] = true
					case !errors.Is(err, store.ErrNone):
						return err
					}
				case err != nil:
					return err
				default:
					p, err := ParseOwner(text)
					if err != nil {
						return fmt.Errorf("owner of key %s: %w", k.Parent, err)
					}
					f.above[k.Parent] = p
					more = append(more, p)
				}
			}
		}
		if len(more) > 0 {
			return f.add(tx, more)
		}
		return nil
	})
	return f, err
}

// add reads the rows of owners that were not read yet.
func (f *found) add(tx *store.Tx, owners []Owner) error {
	texts := make([]string, 0, len(owners))
	digests := map[string]Owner{}
	for _, o := range owners {
		if _, ok := digests[o.digest()]; ok || f.rows[o] != nil {
			continue
		}
		digests[o.digest()] = o
		texts = append(texts, o.String())
	}
	for part := range slices.Chunk(texts, 16) {
		rows, err := store.All(tx, scanKey, selectOwners, page(part)...)
		if err != nil {
			return err
		}
		for _, k := range rows {
			o, err := ParseOwner(k.Owner)
			if err != nil {
				return fmt.Errorf("owner of key %s: %w", k.ID, err)
			}
			f.rows[o] = append(f.rows[o], k)
		}
		for i, t := range part {
			o, _ := ParseOwner(t)
			part[i] = o.digest()
		}
		gone, err := store.All(tx, func(r *store.Rows) (string, error) {
			var d string
			return d, r.Scan(&d)
		}, selectErased, page(part)...)
		if err != nil {
			return err
		}
		for _, d := range gone {
			f.erased[digests[d]] = true
		}
	}
	return nil
}

// holder finds the owner of a key among the rows read.
func (f *found) holder(kid id.DataKey) (Owner, bool) {
	for o, rows := range f.rows {
		for _, k := range rows {
			if k.ID == kid {
				return o, true
			}
		}
	}
	return Owner{}, false
}

// errNewKEK says that a row is wrapped under a key-encryption key made since.
var errNewKEK = errors.New("keyring: a key-encryption key is not loaded")

// build unwraps everything read. Owners whose keys wrap others' come first.
func (s *Service) build(st *opened, f found) (map[Owner]*ownerKeys, error) {
	out := map[Owner]*ownerKeys{}
	for o := range f.erased {
		out[o] = &ownerKeys{owner: o, erased: true}
	}
	var one func(o Owner, depth int) (*ownerKeys, error)
	one = func(o Owner, depth int) (*ownerKeys, error) {
		if k := out[o]; k != nil {
			return k, nil
		}
		if depth > 2 {
			return nil, fmt.Errorf("%w: the keys of %s wrap each other", ErrCorrupt, o)
		}
		keys := &ownerKeys{owner: o}
		var index keyRow
		for _, row := range f.rows[o] {
			if row.Purpose == purposeIndex {
				index = row
				continue
			}
			by := st.keks[row.Parent]
			if p, ok := f.above[row.Parent]; ok && p != o {
				above, err := one(p, depth+1)
				if err != nil {
					return nil, err
				}
				keys.bound, keys.isBound, keys.above = p, true, above
				if above.erased {
					keys.erased = true
					break
				}
				if k := above.byID(row.Parent); k != nil {
					by = k.wrapper()
				}
			}
			if f.dead[row.Parent] {
				keys.erased = true
				break
			}
			if by == nil {
				return nil, fmt.Errorf("%w: %s of key %s", errNewKEK, row.Parent, row.ID)
			}
			raw, err := unwrapKey(by, row)
			if err != nil {
				return nil, err
			}
			k := newDataKey(row.ID, row.Version, raw)
			keys.versions = append(keys.versions, k)
			if row.State == stateActive && keys.active == nil {
				keys.active = k
			}
		}
		switch {
		case keys.erased:
			keys.active, keys.versions = nil, nil
		case keys.active == nil:
			return nil, fmt.Errorf("%w: %s has no key in force", ErrCorrupt, o)
		case !index.ID.IsZero():
			by := keys.byID(index.Parent)
			if by == nil {
				return nil, fmt.Errorf("%w: index key of %s", ErrCorrupt, o)
			}
			raw, err := unwrapKey(by.wrapper(), index)
			if err != nil {
				return nil, err
			}
			keys.index = newIndexKey(raw)
		}
		out[o] = keys
		return keys, nil
	}
	for o := range f.rows {
		if _, err := one(o, 0); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// create makes the first keys of owners that never had one. The rows are not
// used before the second place has them: load reads them again.
func (s *Service) create(ctx context.Context, st *opened, absent []Owner, have map[Owner]*ownerKeys) error {
	now := s.Now()
	var rows []keyRow
	var gone []Owner
	var people []Owner
	absent = slices.DeleteFunc(slices.Clone(absent), func(o Owner) bool {
		if c := o.Class(); c == ClassUser || c == ClassMember {
			people = append(people, o)
			return true
		}
		return false
	})
	if len(people) > 0 {
		if slices.ContainsFunc(people, func(o Owner) bool { return o.Class() == ClassUser }) {
			if err := s.RequireFresh(ctx); err != nil {
				return err
			}
		}
		rest, err := s.fromStock(ctx, st, people, have)
		if err != nil {
			return err
		}
		absent = append(absent, rest...)
	}
	if len(absent) == 0 {
		return nil
	}
	for _, o := range absent {
		by, parent := st.keks[st.active], st.active
		if p, ok := o.parent(); ok {
			above := have[p]
			if above == nil {
				continue // the organization's is made in this round, the member's in the next
			}
			if above.erased {
				gone = append(gone, o)
				continue
			}
			by, parent = above.active.wrapper(), above.active.id
		}
		if o.Class() == ClassOrganization {
			if err := s.RequireFresh(ctx); err != nil {
				return err
			}
		}
		raw := newKey()
		row := keyRow{ID: id.NewDataKey(now), Owner: o.String(), Class: o.Class(), Purpose: purposeSeal, Version: 1, State: stateActive, Parent: parent, Created: micros(now)}
		row.Wrapped = wrapKey(by, row, raw)
		rows = append(rows, row)
		if c := o.Class(); c == ClassOrganization || c == ClassInstallation {
			index := keyRow{ID: id.NewDataKey(now), Owner: o.String(), Class: o.Class(), Purpose: purposeIndex, Version: 1, State: stateActive, Parent: row.ID, Created: micros(now)}
			index.Wrapped = wrapKey(wrapper(raw), index, newKey())
			rows = append(rows, index)
		}
		raw.Wipe()
	}
	return s.Store.Keys.Maintain(ctx, system, func(tx *store.Tx) error {
		var changes int64
		if err := tx.Row(bumpChanges).Scan(&changes); err != nil {
			return err
		}
		// A member of an erased organization never had a key: the mark spares
		// the next to come the same work.
		for _, o := range gone {
			if _, err := tx.Exec(insertErased, o.digest(), int64(0), micros(now)); err != nil {
				return err
			}
		}
		lost := map[string]bool{}
		for _, k := range rows {
			if lost[k.Owner] {
				continue
			}
			if gone, err := isErased(tx, k.Owner); err != nil {
				return err
			} else if gone { // since it was read
				lost[k.Owner] = true
				continue
			}
			mine, err := putKey(tx, k)
			if err != nil {
				return err
			}
			if !mine {
				lost[k.Owner] = true // another node was first
			}
		}
		return nil
	})
}

func (o *ownerKeys) byID(kid id.DataKey) *dataKey {
	for _, k := range o.versions {
		if k.id == kid {
			return k
		}
	}
	return nil
}

// isErased reports whether the owner's key was destroyed.
func isErased(tx *store.Tx, owner string) (bool, error) {
	o, err := ParseOwner(owner)
	if err != nil {
		return false, err
	}
	var digest string
	err = tx.Row(selectErased, page([]string{o.digest()})...).Scan(&digest)
	if errors.Is(err, store.ErrNone) {
		return false, nil
	}
	return err == nil, err
}
