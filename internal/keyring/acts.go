package keyring

import (
	"bytes"
	"context"
	"crypto/cipher"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/store"
)

// Kinds of act on keys.
const (
	ActRotate    = "rotate"           // a new version of an owner's data key
	ActRecovery  = "replace_recovery" // a new recovery identity, for a new recovery kit
	ActRotateKEK = "rotate_kek"       // a new key-encryption key; a job wraps the data keys again
	ActDestroy   = "destroy"          // the end of an owner's key
)

// Act is an act on keys, as intent and outcome name it. An act is begun by an
// intent in main, done in keys and ledger, and ended by an outcome in main;
// doing it twice is doing it once.
type Act struct {
	ID      id.Intent    `json:"id"`
	Kind    string       `json:"kind"`
	Owner   Owner        `json:"owner"`
	Keys    []id.DataKey `json:"keys,omitempty"` // destroyed, or made
	Line    int64        `json:"ledger_line,omitempty"`
	Started time.Time    `json:"started_at"`

	head  string
	epoch int64
}

// Begun is the kind of the entry that records the intent.
func (a Act) Begun() string { return "keyring." + a.Kind + ".begun" }

// Ended is the kind of the entry that records the outcome.
func (a Act) Ended() string { return "keyring." + a.Kind + ".ended" }

// MarshalText writes the owner as String does.
func (o Owner) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

func scanAct(r *store.Rows) (Act, error) {
	var a Act
	var owner string
	var started int64
	if err := r.Scan(&a.ID, &a.Kind, &owner, &started); err != nil {
		return a, err
	}
	var err error
	a.Owner, err = ParseOwner(owner)
	a.Started = store.Time(started)
	return a, err
}

// IntentTx notes an act as begun, in the transaction that records its entry.
func IntentTx(tx *store.Tx, act Act) error {
	_, err := tx.Exec(insertIntent, act.ID, act.Kind, act.Owner.String(), micros(act.Started))
	return err
}

// OutcomeTx notes an act as ended, in the transaction that records its entry.
func OutcomeTx(tx *store.Tx, act Act, now time.Time) error {
	if _, err := tx.Exec(deleteIntent, act.ID); err != nil || act.Line == 0 {
		return err
	}
	_, err := tx.Exec(updateState, act.epoch, act.Line, act.head, micros(now))
	return err
}

// OpenActs lists the acts that were begun and not ended, oldest first.
func (s *Service) OpenActs(ctx context.Context) ([]Act, error) {
	var out []Act
	err := s.Store.Main.View(ctx, system, func(tx *store.Tx) (err error) {
		out, err = store.All(tx, scanAct, selectIntents)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("keyring: open acts: %w", err)
	}
	return out, nil
}

// Rotate makes a new version of the owner's data key. What is sealed under
// older ones stays readable.
func (s *Service) Rotate(ctx context.Context, who caller.Caller, owner Owner) (Act, error) {
	ring, err := s.Ready(ctx, owner) // there must be one
	if err != nil {
		return Act{}, err
	}
	if ring.Erased(owner) {
		return Act{}, fmt.Errorf("%w: %s", ErrErased, owner)
	}
	return s.act(ctx, who, ActRotate, owner)
}

// RotateKEK makes a new key-encryption key. The data keys below are wrapped
// again by Rewrap, a job, and the old one is removed when it wraps nothing.
func (s *Service) RotateKEK(ctx context.Context, who caller.Caller) (Act, error) {
	return s.act(ctx, who, ActRotateKEK, Installation())
}

// Destroy ends the owner's key, in every version, and with an organization's
// the keys of its members and managed users. It is final: when it answers nil
// the ledger has the line, the key is gone from the keys database, and no node
// opens anything with it a second later. Copies at the second place end with
// their term.
func (s *Service) Destroy(ctx context.Context, who caller.Caller, owner Owner) (Act, error) {
	if owner == Installation() {
		return Act{}, fault.New(fault.Invalid, "keyring.error.installation", nil)
	}
	return s.act(ctx, who, ActDestroy, owner)
}

func (s *Service) act(ctx context.Context, who caller.Caller, kind string, owner Owner) (Act, error) {
	if s.opened.Load() == nil {
		return Act{}, ErrNotStarted
	}
	if kind != ActDestroy {
		if err := s.RequireFresh(ctx); err != nil {
			return Act{}, err
		}
	}
	now := s.Now()
	a := Act{ID: id.NewIntent(now), Kind: kind, Owner: owner, Started: now}
	if err := s.intent(ctx, who, a); err != nil {
		return a, err
	}
	done, err := s.do(ctx, a)
	if err != nil {
		if !errors.Is(err, ErrErased) && s.begun(ctx, a) {
			// It can't be taken back. FinishOpen ends it, at the latest at the next start.
			return done, fmt.Errorf("keyring: %s was begun and is not finished: %w", kind, err)
		}
		return done, errors.Join(err, s.outcome(ctx, who, a, err))
	}
	return done, s.outcome(ctx, who, done, nil)
}

// begun reports whether an act that failed may have left anything.
func (s *Service) begun(ctx context.Context, a Act) bool {
	if a.Kind != ActDestroy {
		return true // a version may have been made; finishing it is harmless
	}
	for _, p := range s.Ledgers {
		lines, err := p.Lines(ctx)
		if err != nil {
			return true
		}
		for _, l := range lines {
			if bytes.Contains(l, []byte(`"`+a.ID.String()+`"`)) {
				return true
			}
		}
	}
	return false
}

// intent and outcome go through the log where app has filled the fields.
func (s *Service) intent(ctx context.Context, who caller.Caller, a Act) error {
	if s.Intent != nil {
		return s.Intent(ctx, who, a)
	}
	return s.Store.Main.Maintain(ctx, system, func(tx *store.Tx) error { return IntentTx(tx, a) })
}

func (s *Service) outcome(ctx context.Context, who caller.Caller, a Act, failure error) error {
	if s.Outcome != nil {
		return s.Outcome(ctx, who, a, failure)
	}
	return s.Store.Main.Maintain(ctx, system, func(tx *store.Tx) error { return OutcomeTx(tx, a, s.Now()) })
}

// FinishOpen ends the acts that a crash cut short. Start calls it before
// anything is served, and a job later.
func (s *Service) FinishOpen(ctx context.Context) error {
	open, err := s.OpenActs(ctx)
	if err != nil {
		return err
	}
	for _, a := range open {
		done, err := s.do(ctx, a)
		var failure error
		if errors.Is(err, ErrErased) {
			failure, err = err, nil // there is nothing left to rotate
		}
		if err != nil {
			return fmt.Errorf("keyring: finish %s %s: %w", a.Kind, a.ID, err)
		}
		if err := s.outcome(ctx, caller.ForSystem("keyring.finish"), done, failure); err != nil {
			return fmt.Errorf("keyring: finish %s %s: %w", a.Kind, a.ID, err)
		}
		s.Log.Info("an act on keys was finished", "act", a.ID.String(), "kind", a.Kind)
	}
	return nil
}

func (s *Service) do(ctx context.Context, a Act) (Act, error) {
	s.slow.Lock()
	defer s.slow.Unlock()
	switch a.Kind {
	case ActDestroy:
		return s.doDestroy(ctx, a)
	case ActRotate:
		return s.doRotate(ctx, a)
	case ActRotateKEK:
		return s.doRotateKEK(ctx, a)
	case ActRecovery:
		return a, s.reopen(ctx) // its one transaction was kept or not; the kit is made again
	}
	return a, fmt.Errorf("keyring: act %s is of unknown kind %q", a.ID, a.Kind)
}

// ownRows reads an owner's rows, inside a transaction.
func ownRows(tx *store.Tx, o Owner) ([]keyRow, error) {
	return store.All(tx, scanKey, selectOwners, page([]string{o.String()})...)
}

func (s *Service) doDestroy(ctx context.Context, a Act) (Act, error) {
	var rows []keyRow
	err := s.Store.Keys.View(ctx, system, func(tx *store.Tx) (err error) {
		rows, err = ownRows(tx, a.Owner)
		return err
	})
	if err != nil {
		return a, fmt.Errorf("keyring: destroy: %w", err)
	}
	a.Keys = nil
	for _, k := range rows {
		a.Keys = append(a.Keys, k.ID)
	}
	// The ledger first: a key that is gone and not in it could come back.
	line, head, err := s.appendLine(ctx, LedgerLine{Kind: lineDestroy, Act: a.ID, Owner: a.Owner.digest(), Keys: a.Keys})
	if err != nil {
		return a, err
	}
	a.Keys, a.Line, a.head, a.epoch = line.Keys, line.N, head, line.Epoch
	var extra []id.DataKey
	err = s.Store.Keys.Maintain(ctx, system, func(tx *store.Tx) error {
		extra = nil
		rows, err := ownRows(tx, a.Owner)
		if err != nil {
			return err
		}
		for _, k := range rows {
			if !slices.Contains(line.Keys, k.ID) {
				extra = append(extra, k.ID)
			}
		}
		return erase(tx, line, head, a.Owner, extra, micros(s.Now()))
	})
	if err != nil {
		return a, fmt.Errorf("keyring: destroy: %w", err)
	}
	s.cache.drop(a.Owner)
	if len(extra) > 0 { // made by another node between the two reads
		if _, _, err := s.appendLine(ctx, LedgerLine{Kind: lineSweep, Keys: extra}); err != nil {
			return a, err
		}
	}
	if _, err := s.Store.Keys.Checkpoint(ctx); err != nil {
		s.Log.Warn("the write-ahead log of keys still holds a destroyed key, until the sweep", "error", err)
	}
	return a, nil
}

// erase removes what a ledger line names.
func erase(tx *store.Tx, line LedgerLine, head string, o Owner, extra []id.DataKey, now int64) error {
	if _, err := tx.Exec(deleteOwner, o.String()); err != nil {
		return err
	}
	if _, err := tx.Exec(insertErased, o.digest(), line.N, now); err != nil {
		return err
	}
	for _, kid := range append(slices.Clone(line.Keys), extra...) {
		if _, err := tx.Exec(deleteKey, kid); err != nil {
			return err
		}
		if _, err := tx.Exec(insertErasedKey, kid, line.N); err != nil {
			return err
		}
	}
	if _, err := tx.Exec(updateHead, line.N, head, line.Epoch); err != nil {
		return err
	}
	if _, err := tx.Exec(updateVacuum, true); err != nil {
		return err
	}
	_, err := tx.Exec(bumpGeneration)
	return err
}

// doRotate makes the version whose id is the act's, so that it is made once.
func (s *Service) doRotate(ctx context.Context, a Act) (Act, error) {
	st := s.opened.Load()
	kid := fromBytes(id.DataKey{}, a.ID.Bytes())
	a.Keys = []id.DataKey{kid}
	want := []Owner{a.Owner}
	if p, ok := a.Owner.parent(); ok {
		want = append(want, p)
	}
	f, err := s.read(ctx, st, want)
	if err != nil {
		return a, fmt.Errorf("keyring: rotate: %w", err)
	}
	built, err := s.build(st, f)
	if err != nil {
		return a, err
	}
	keys := built[a.Owner]
	if keys == nil || keys.erased {
		return a, fmt.Errorf("%w: %s", ErrErased, a.Owner)
	}
	if keys.byID(kid) == nil {
		by, parent := st.keks[st.active], st.active
		if keys.isBound {
			above := built[keys.bound].active
			by, parent = above.wrapper(), above.id
		}
		raw := newKey()
		row := keyRow{ID: kid, Owner: a.Owner.String(), Class: a.Owner.Class(), Purpose: purposeSeal, State: stateActive, Parent: parent, Created: micros(s.Now())}
		row.Wrapped = wrapKey(by, row, raw)
		raw.Wipe()
		row.Version = keys.versions[0].version + 1
		err := s.Store.Keys.Maintain(ctx, system, func(tx *store.Tx) error {
			n, err := tx.Exec(retireKeys, row.Owner, kid, row.Created)
			if err != nil {
				return err
			}
			if n == 0 {
				return fmt.Errorf("%w: %s", ErrErased, a.Owner)
			}
			mine, err := putKey(tx, row)
			if err == nil && !mine {
				err = fmt.Errorf("keyring: another rotation of %s came first", a.Owner)
			}
			if err != nil {
				return err
			}
			_, err = tx.Exec(bumpGeneration)
			return err
		})
		if err != nil {
			return a, fmt.Errorf("keyring: rotate: %w", err)
		}
		if err := s.acknowledge(ctx, st, []keyRow{row}); err != nil {
			return a, err
		}
	}
	s.cache.drop(a.Owner)
	if a.Owner == Installation() {
		return a, s.resealOwn(ctx, st)
	}
	return a, nil
}

// resealOwn seals canary and ledger key under the newest installation key.
func (s *Service) resealOwn(ctx context.Context, st *opened) error {
	f, err := s.read(ctx, st, []Owner{Installation()})
	if err != nil {
		return fmt.Errorf("keyring: rotate: %w", err)
	}
	built, err := s.build(st, f)
	if err != nil {
		return err
	}
	s.ledger.mu.Lock()
	signer := s.ledger.signer
	s.ledger.mu.Unlock()
	key, canary, err := sealOwn(newRing([]*ownerKeys{built[Installation()]}), st.installation, signer)
	if err != nil {
		return err
	}
	return s.Store.Keys.Maintain(ctx, system, func(tx *store.Tx) error {
		_, err := tx.Exec(updateSecrets, canary, key)
		return err
	})
}

// doRotateKEK makes the key-encryption key whose id is the act's. It is put in
// force only once the second place has it.
func (s *Service) doRotateKEK(ctx context.Context, a Act) (Act, error) {
	st := s.opened.Load()
	kid := fromBytes(id.DataKey{}, a.ID.Bytes())
	a.Keys = []id.DataKey{kid}
	_, rows, err := s.meta(ctx)
	if err != nil {
		return a, fmt.Errorf("keyring: rotate: %w", err)
	}
	at := slices.IndexFunc(rows, func(k kekRow) bool { return k.ID == kid })
	if at < 0 {
		row, raw, err := s.makeKEK(ctx, st.installation, st.recipient, kid, rows[0].Version+1)
		if err != nil {
			return a, err
		}
		raw.Wipe()
		row.State = statePending
		if err := s.Store.Keys.Maintain(ctx, system, func(tx *store.Tx) error { return putKEK(tx, row) }); err != nil {
			return a, fmt.Errorf("keyring: rotate: %w", err)
		}
		if _, rows, err = s.meta(ctx); err != nil {
			return a, fmt.Errorf("keyring: rotate: %w", err)
		}
		if at = slices.IndexFunc(rows, func(k kekRow) bool { return k.ID == kid }); at < 0 {
			return a, errors.New("keyring: another rotation of the key-encryption key came first")
		}
	}
	if row := rows[at]; row.State == statePending {
		m, _, err := s.meta(ctx)
		if err != nil {
			return a, fmt.Errorf("keyring: rotate: %w", err)
		}
		row.State = stateActive
		if _, err := s.put(ctx, st, s.objectName(kindJournal, m.Changes+1)+".keys", journal{KEKs: []kekRow{row}}); err != nil {
			return a, err
		}
		err = s.Store.Keys.Maintain(ctx, system, func(tx *store.Tx) error {
			if _, err := tx.Exec(retireKEKs, kid, micros(s.Now())); err != nil {
				return err
			}
			if _, err := tx.Exec(activateKEK, kid); err != nil {
				return err
			}
			_, err := tx.Exec(bumpGeneration)
			return err
		})
		if err != nil {
			return a, fmt.Errorf("keyring: rotate: %w", err)
		}
	}
	return a, s.reopen(ctx)
}

// Bind wraps a user's keys under the organization that manages her, so that
// its end is theirs; the zero organization takes them back.
func (s *Service) Bind(ctx context.Context, user id.User, org id.Org) error {
	if _, err := s.Ready(ctx, Person(user)); err != nil {
		return err
	}
	s.slow.Lock()
	defer s.slow.Unlock()
	st := s.opened.Load()
	want := []Owner{Person(user)}
	if !org.IsZero() {
		want = append(want, Organization(org))
	}
	f, err := s.read(ctx, st, want)
	if err != nil {
		return fmt.Errorf("keyring: bind: %w", err)
	}
	built, err := s.build(st, f)
	if err != nil {
		return err
	}
	by, parent := st.keks[st.active], st.active
	if !org.IsZero() {
		above := built[Organization(org)]
		if above == nil || above.erased {
			return fmt.Errorf("%w: %s", ErrErased, org)
		}
		by, parent = above.active.wrapper(), above.active.id
	}
	keys := built[Person(user)]
	if keys == nil || keys.erased {
		return fmt.Errorf("%w: %s", ErrErased, user)
	}
	err = s.Store.Keys.Maintain(ctx, system, func(tx *store.Tx) error {
		for _, row := range f.rows[Person(user)] {
			if row.Parent == parent {
				continue
			}
			if err := rewrapRow(tx, row, keys.byID(row.ID).raw, by, parent); err != nil {
				return err
			}
		}
		_, err := tx.Exec(bumpGeneration)
		return err
	})
	if err != nil {
		return fmt.Errorf("keyring: bind: %w", err)
	}
	s.cache.drop(Person(user))
	return nil
}

// rewrapRow wraps a row's key under another parent, unless it was wrapped
// elsewhere meanwhile.
func rewrapRow(tx *store.Tx, row keyRow, raw Secret, by cipher.AEAD, parent id.DataKey) error {
	old := row.Parent
	row.Parent = parent
	_, err := tx.Exec(rewrapKey, row.ID, old, parent, wrapKey(by, row, raw))
	return err
}

// ErasedLine gives the line of the erasure ledger that ended a key, or 0. A key
// whose wrapping key was destroyed ended with it.
func (s *Service) ErasedLine(ctx context.Context, kid id.DataKey) (int64, error) {
	var line int64
	err := s.Store.Keys.View(ctx, system, func(tx *store.Tx) error {
		for range 3 {
			err := tx.Row(selectErasedKey, kid).Scan(&line)
			if !errors.Is(err, store.ErrNone) {
				return err
			}
			if err := tx.Row(selectKeyParent, kid).Scan(&kid); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, store.ErrNone) {
		return 0, fmt.Errorf("keyring: erased key: %w", err)
	}
	return line, nil
}
