package keyring

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"filippo.io/age"

	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/store"
)

// Recovered tells what Recover did.
type Recovered struct {
	Copy     string `json:"copy"`
	Journals int    `json:"journals"`
	Keys     int    `json:"keys"`
	Erased   int    `json:"erased"` // keys of the copy that the ledger says were destroyed
}

// Recover fills an empty keys database from the newest whole copy at the second
// place and the journals since, with the recovery identity alone: the root key
// may be lost too, and the keys are wrapped under the present one. The erasure
// ledger is replayed: what was destroyed stays so. Start comes after it.
func (s *Service) Recover(ctx context.Context, kit Kit) (Recovered, error) {
	var out Recovered
	if _, _, err := s.meta(ctx); err == nil {
		return out, ErrThere
	} else if !errors.Is(err, ErrEmpty) {
		return out, fmt.Errorf("keyring: recover: %w", err)
	}
	identity, err := age.ParseX25519Identity(strings.TrimSpace(string(kit.Identity.b)))
	if err != nil {
		return out, errors.New("keyring: recover: this is no recovery identity")
	}
	gone, last, err := s.replay(ctx, kit)
	if err != nil {
		return out, err
	}
	end, keks, rows, err := s.newest(ctx, kit.Installation, identity, &out)
	if err != nil {
		return out, err
	}
	for i, k := range keks {
		raw, err := unwrapByRecovery(identity, k.ByRecovery, wrapContext(kit.Installation, "key-encryption-key", k.ID.String()))
		if err != nil {
			return out, err
		}
		keks[i].ByRoot, err = s.Root.Wrap(ctx, raw.b, wrapContext(kit.Installation, "key-encryption-key", k.ID.String()))
		raw.Wipe()
		if err != nil {
			return out, fmt.Errorf("keyring: root key: %w", err)
		}
		keks[i].RootKind = s.Root.Kind()
	}
	kept, erased := gone.sift(rows)
	out.Keys, out.Erased = len(kept), len(erased)
	for part := range slices.Chunk(settle(kept), 1000) {
		err := s.Store.Keys.Maintain(ctx, system, func(tx *store.Tx) error {
			for _, k := range part {
				k.Acked = ackedAll
				if k.State == stateStock {
					k.State = stateOrphan
				}
				if _, err := putKey(tx, k); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return out, fmt.Errorf("keyring: recover: %w", err)
		}
	}
	m := end.Meta
	m.Changes++
	if len(last.Prev) > 0 || last.N > 0 {
		m.LedgerLines, m.LedgerHead, m.Epoch = last.N, last.head, max(m.Epoch, last.Epoch)
	}
	// The row of meta comes last: until it is there the database counts as
	// empty, and Recover may be run again.
	err = s.Store.Keys.Maintain(ctx, system, func(tx *store.Tx) error {
		for _, k := range keks {
			if err := putKEK(tx, k); err != nil {
				return err
			}
		}
		for kid, line := range gone.keys {
			if _, err := tx.Exec(insertErasedKey, kid, line); err != nil {
				return err
			}
		}
		for digest, line := range gone.owners {
			if _, err := tx.Exec(insertErased, digest, line, micros(s.Now())); err != nil {
				return err
			}
		}
		for _, k := range erased {
			if _, err := tx.Exec(insertErasedKey, k.ID, last.N); err != nil {
				return err
			}
			o, err := ParseOwner(k.Owner)
			if err != nil {
				continue // of the stock: its owner's digest is in the ledger
			}
			if _, err := tx.Exec(insertErased, o.digest(), last.N, micros(s.Now())); err != nil {
				return err
			}
		}
		return putMeta(tx, m)
	})
	if err != nil {
		return out, fmt.Errorf("keyring: recover: %w", err)
	}
	return out, nil
}

// headed is a line with the hash of its text.
type headed struct {
	LedgerLine
	head string
}

// ended is what the ledger says was destroyed: keys and digests of owners, each
// with its line.
type ended struct {
	keys   map[id.DataKey]int64
	owners map[string]int64
}

// replay reads the ledger with the kit's key. The places must agree save for
// one last line.
func (s *Service) replay(ctx context.Context, kit Kit) (ended, headed, error) {
	out := ended{map[id.DataKey]int64{}, map[string]int64{}}
	var longest [][]byte
	for _, p := range s.Ledgers {
		lines, err := p.Lines(ctx)
		if err != nil {
			return out, headed{}, fmt.Errorf("keyring: the erasure ledger at %s can't be read: %w", p.Name(), err)
		}
		if len(lines) > len(longest) {
			longest = lines
		}
	}
	lines, head, err := VerifyLedger(ed25519.PublicKey(kit.LedgerKey), kit.Installation, longest)
	if err != nil {
		return out, headed{}, err
	}
	if len(lines) == 0 {
		return out, headed{}, errors.New("keyring: the erasure ledger is empty: what was destroyed can't be known")
	}
	for _, l := range lines {
		for _, kid := range l.Keys {
			out.keys[kid] = l.N
		}
		if l.Owner != "" {
			out.owners[l.Owner] = l.N
		}
	}
	return out, headed{lines[len(lines)-1], head}, nil
}

// sift parts the rows that were destroyed, or wrapped under what was, from
// those that were not.
func (e ended) sift(rows []keyRow) (kept, erased []keyRow) {
	dead := func(k keyRow) bool {
		if e.keys[k.ID] > 0 || e.keys[k.Parent] > 0 {
			return true
		}
		o, err := ParseOwner(k.Owner)
		return err == nil && e.owners[o.digest()] > 0
	}
	for _, k := range rows {
		if dead(k) {
			erased = append(erased, k)
			e.keys[k.ID] = max(e.keys[k.ID], e.keys[k.Parent], 1)
		} else {
			kept = append(kept, k)
		}
	}
	// A row may stand before the one that wraps it.
	if len(erased) > 0 && len(kept) > 0 {
		more, also := kept, []keyRow(nil)
		kept = nil
		for _, k := range more {
			if e.keys[k.Parent] > 0 {
				also = append(also, k)
			} else {
				kept = append(kept, k)
			}
		}
		erased = append(erased, also...)
	}
	return kept, erased
}

// newest reads the newest whole copy and the journals since.
func (s *Service) newest(ctx context.Context, installation string, identity age.Identity, out *Recovered) (copyEnd, []kekRow, []keyRow, error) {
	all, err := objects(ctx, s.Second)
	if err != nil {
		return copyEnd{}, nil, nil, fmt.Errorf("keyring: second place %s: %w", s.Second.Name(), err)
	}
	var end copyEnd
	var rows []keyRow
	var from object
	var why error
	for _, o := range slices.Backward(all) {
		if o.part != "end" {
			continue
		}
		if end, rows, err = readCopy(ctx, s.Second, nil, identity, installation, o.name); err == nil {
			from = o
			break
		}
		why = errors.Join(why, fmt.Errorf("%s: %w", o.name, err))
	}
	if from.name == "" {
		return end, nil, nil, errors.Join(fmt.Errorf("keyring: the second place %s holds no copy that opens", s.Second.Name()), why)
	}
	out.Copy = from.name
	keks := end.KEKs
	at := make(map[id.DataKey]int, len(rows))
	for i, k := range rows {
		at[k.ID] = i
	}
	for _, o := range all {
		if o.kind != kindJournal || o.change <= from.change {
			continue
		}
		sealed, err := s.Second.Open(ctx, o.name)
		if err != nil {
			return end, nil, nil, fmt.Errorf("keyring: %s: %w", o.name, err)
		}
		plain, err := openObject(ctx, nil, identity, installation, o.name, sealed)
		if err != nil {
			return end, nil, nil, err
		}
		var j journal
		if err := json.Unmarshal(plain, &j); err != nil {
			return end, nil, nil, fmt.Errorf("%w: %s", ErrCorrupt, o.name)
		}
		clear(plain)
		out.Journals++
		for _, k := range j.Keys {
			// A journal only adds: the copy may know a later state of the row.
			if i, ok := at[k.ID]; !ok {
				at[k.ID] = len(rows)
				rows = append(rows, k)
			} else if rows[i].State == stateStock {
				rows[i] = k
			}
		}
		for _, k := range j.KEKs {
			if !slices.ContainsFunc(keks, func(h kekRow) bool { return h.ID == k.ID }) {
				for i := range keks {
					if keks[i].State == stateActive {
						keks[i].State, keks[i].Retired = stateRetired, k.Created
					}
				}
				keks = append(keks, k)
			}
		}
	}
	return end, keks, rows, nil
}

// settle gives each owner one version in force, the newest, and versions that
// differ: journals of a race may name two of one number.
func settle(rows []keyRow) []keyRow {
	slices.SortStableFunc(rows, func(a, b keyRow) int {
		if c := strings.Compare(a.Owner+"\n"+a.Purpose, b.Owner+"\n"+b.Purpose); c != 0 {
			return c
		}
		if a.Version != b.Version {
			return int(a.Version - b.Version)
		}
		return strings.Compare(a.ID.String(), b.ID.String())
	})
	for i := range rows {
		same := func(j int) bool {
			return j >= 0 && j < len(rows) && rows[j].Owner == rows[i].Owner && rows[j].Purpose == rows[i].Purpose
		}
		if rows[i].State == stateStock {
			continue
		}
		if same(i-1) && rows[i].Version <= rows[i-1].Version {
			rows[i].Version = rows[i-1].Version + 1
		}
		if same(i + 1) {
			rows[i].State = stateRetired
		} else {
			rows[i].State, rows[i].Retired = stateActive, 0
		}
	}
	return rows
}

// Reconcile is the part of the keys in `rempart restore --finish`: it applies
// the erasure ledger to a keys database of another time, raises the epoch of
// the installation with a line of the ledger, and makes main, keys and ledger
// of one time again. It opens the keyring.
func (s *Service) Reconcile(ctx context.Context) error {
	if err := s.open(ctx); err != nil {
		return err
	}
	lines, _, err := s.Ledger(ctx)
	if err != nil {
		s.opened.Store(nil)
		return err
	}
	m, _, err := s.meta(ctx)
	if err != nil {
		return fmt.Errorf("keyring: reconcile: %w", err)
	}
	if m.LedgerLines > int64(len(lines)) {
		s.opened.Store(nil)
		return fmt.Errorf("%w: the erasure ledger is older than the keys database, and it alone can't be made again: put its newest copy back", ErrOlder)
	}
	err = s.Store.Keys.Maintain(ctx, system, func(tx *store.Tx) error {
		for _, l := range lines {
			if l.Owner != "" {
				if _, err := tx.Exec(insertErased, l.Owner, l.N, micros(l.At)); err != nil {
					return err
				}
			}
			for _, kid := range l.Keys {
				if _, err := tx.Exec(deleteKey, kid); err != nil {
					return err
				}
				if _, err := tx.Exec(insertErasedKey, kid, l.N); err != nil {
					return err
				}
			}
		}
		if _, err := tx.Exec(updateVacuum, true); err != nil {
			return err
		}
		_, err := tx.Exec(bumpGeneration)
		return err
	})
	if err != nil {
		return fmt.Errorf("keyring: reconcile: %w", err)
	}
	var main stateRow
	if err := s.Store.Main.View(ctx, system, func(tx *store.Tx) (err error) { main, err = readState(tx); return err }); err != nil {
		return fmt.Errorf("keyring: reconcile: %w", err)
	}
	epoch := max(m.Epoch, main.Epoch) + 1
	if n := len(lines); n > 0 {
		epoch = max(epoch, lines[n-1].Epoch+1)
	}
	line, head, err := s.appendLine(ctx, LedgerLine{Kind: lineEpoch, Epoch: epoch})
	if err != nil {
		return err
	}
	var size int64
	var root string
	if s.LogHead != nil {
		if size, root, err = s.LogHead(ctx); err != nil {
			return fmt.Errorf("keyring: head of the log: %w", err)
		}
	}
	err = s.Store.Keys.Maintain(ctx, system, func(tx *store.Tx) error {
		if _, err := tx.Exec(updateHead, line.N, head, line.Epoch); err != nil {
			return err
		}
		_, err := tx.Exec(setLog, size, root)
		return err
	})
	if err != nil {
		return fmt.Errorf("keyring: reconcile: %w", err)
	}
	err = s.Store.Main.Maintain(ctx, system, func(tx *store.Tx) error {
		if _, err := tx.Exec(insertState, m.Installation, line.Epoch, line.N, head, micros(s.Now())); err != nil {
			return err
		}
		_, err := tx.Exec(replaceState, m.Installation, line.Epoch, line.N, head, micros(s.Now()))
		return err
	})
	if err != nil {
		return fmt.Errorf("keyring: reconcile: %w", err)
	}
	s.cache.reset()
	return s.Start(ctx)
}
