package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/keyring"
	"github.com/rempart/rempart/internal/provider/jwt"
	"github.com/rempart/rempart/internal/store"
)

// labelSigning is the field label of private signing keys, fixed for ever.
const labelSigning = "provider.signing_key.private"

// systemCaller acts where the server makes what it needs by itself.
var systemCaller = caller.ForSystem("provider")

// The states of a signing key. The next one is published before it signs, so
// that no relying party meets a key that it could not have fetched; a retired
// one has no private half any more.
const (
	keyNext    = "next"
	keyCurrent = "current"
	keyRetired = "retired"
)

type keyRow struct {
	id, alg, state   string
	public, private  []byte
	created, changed int64
}

func scanKey(r *store.Rows) (keyRow, error) {
	var k keyRow
	err := r.Scan(&k.id, &k.alg, &k.state, &k.public, &k.private, &k.created, &k.changed)
	return k, err
}

type keySet struct {
	Keys []json.RawMessage `json:"keys"`
}

// keep opens the keys of the rows into the memory.
func (m *memory) keep(ring *keyring.Ring, rows []keyRow) error {
	m.signing = map[string]*jwt.Key{}
	published := keySet{Keys: []json.RawMessage{}}
	var all []*jwt.Key
	slices.SortFunc(rows, func(a, b keyRow) int { return int(a.created - b.created) })
	for _, r := range rows {
		k, err := jwt.ParsePublic(r.alg, r.public)
		if err == nil && r.state == keyCurrent {
			var der []byte
			if der, err = ring.Open(keyring.Installation(), labelSigning, r.id, r.private); err == nil {
				k, err = jwt.ParsePrivate(r.alg, der)
			}
		}
		if err != nil {
			return fmt.Errorf("provider: signing key %s: %w", r.id, err)
		}
		if k.ID != r.id {
			return fmt.Errorf("provider: signing key %s is not what its name says", r.id)
		}
		if r.state == keyCurrent {
			m.signing[r.alg] = k
		}
		all = append(all, k)
		published.Keys = append(published.Keys, k.JWK())
	}
	m.set = jwt.NewSet(all...)
	var err error
	m.jwks, err = newDocument(published)
	return err
}

// newKey is a key made and sealed, ready to be stored.
type newKey struct {
	key     *jwt.Key
	public  []byte
	private []byte
}

func seal(ring *keyring.Ring, alg string) (newKey, error) {
	k, err := jwt.Generate(alg)
	if err != nil {
		return newKey{}, err
	}
	der, err1 := k.Private()
	pub, err2 := k.Public()
	if err := errors.Join(err1, err2); err != nil {
		return newKey{}, fmt.Errorf("provider: signing key: %w", err)
	}
	sealed, err := ring.Seal(keyring.Installation(), labelSigning, k.ID, der)
	clear(der)
	return newKey{k, pub, sealed}, err
}

// makeKeys makes the current and the next key of the algorithm, where there
// are none.
func (s *Service) makeKeys(ctx context.Context, who caller.Caller, alg string) error {
	pen, err := s.Audit.Pen(ctx, who, id.Org{})
	if err != nil {
		return err
	}
	var made [2]newKey
	for i := range made {
		if made[i], err = seal(pen.Ring, alg); err != nil {
			return err
		}
	}
	err = s.Store.Update(ctx, store.System("provider.keys"), func(tx *store.Tx) error {
		now := store.Micros(s.Now())
		for i, state := range []string{keyCurrent, keyNext} {
			if _, err := tx.Exec(insertKey, made[i].key.ID, alg, state, made[i].public, made[i].private, now); err != nil {
				return err
			}
		}
		return pen.Record(tx, audit.Entry{Kind: EventKeyMade, Target: audit.Target{Kind: "signing_key", ID: made[0].key.ID}, Facts: map[string]any{"alg": alg, "next": made[1].key.ID}})
	})
	// Another node was first: its keys are as good.
	if err != nil && !errors.Is(err, store.ErrUnique) {
		return fmt.Errorf("provider: make signing keys: %w", err)
	}
	return s.poll(ctx)
}

// RotateSigningKey retires the current signing keys: from now on the next ones
// sign, and what the old ones signed stays verifiable for its time.
func (s *Service) RotateSigningKey(ctx context.Context, who caller.Caller) error {
	m, err := s.memory(ctx)
	if err != nil {
		return err
	}
	for alg := range m.signing {
		if err := s.rotate(ctx, who, alg); err != nil {
			return err
		}
	}
	return s.poll(ctx)
}

func (s *Service) rotate(ctx context.Context, who caller.Caller, alg string) error {
	pen, err := s.Audit.Pen(ctx, who, id.Org{})
	if err != nil {
		return err
	}
	made, err := seal(pen.Ring, alg)
	if err != nil {
		return err
	}
	err = s.Store.Update(ctx, store.System("provider.keys"), func(tx *store.Tx) error {
		now := s.Now()
		if _, err := tx.Exec(retireKey, alg, store.Micros(now)); err != nil {
			return err
		}
		var current string
		if err := tx.Row(promoteKey, alg, store.Micros(now)).Scan(&current); err != nil {
			return err
		}
		if _, err := tx.Exec(insertKey, made.key.ID, alg, keyNext, made.public, made.private, store.Micros(now)); err != nil {
			return err
		}
		if _, err := tx.Exec(deleteKeys, store.Micros(now.Add(-keyKept))); err != nil {
			return err
		}
		return pen.Record(tx, audit.Entry{Kind: EventKeyRotated, Target: audit.Target{Kind: "signing_key", ID: current}, Facts: map[string]any{"alg": alg, "next": made.key.ID}})
	})
	if err != nil {
		return fmt.Errorf("provider: rotate signing key: %w", err)
	}
	return nil
}

// rotateDue is the job that rotates keys that have signed for their time.
func (s *Service) rotateDue(ctx context.Context) error {
	var due []string
	err := s.Store.View(ctx, store.System("provider.keys"), func(tx *store.Tx) error {
		rows, err := store.All(tx, scanKey, selectKeys, store.Micros(s.Now()))
		for _, k := range rows {
			if k.state == keyCurrent && s.Now().Sub(store.Time(k.changed)) >= keyAge {
				due = append(due, k.alg)
			}
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("provider: keys that are due: %w", err)
	}
	for _, alg := range due {
		if err := s.rotate(ctx, systemCaller, alg); err != nil {
			return err
		}
	}
	if len(due) == 0 {
		return nil
	}
	return s.poll(ctx)
}

// signer is the key that signs for the client, made on first need.
func (s *Service) signer(ctx context.Context, m *memory, c *Client) (*jwt.Key, error) {
	if k := m.signing[c.SigningAlg]; k != nil {
		return k, nil
	}
	if err := s.makeKeys(ctx, systemCaller, c.SigningAlg); err != nil {
		return nil, err
	}
	if k := s.live.at.Load().signing[c.SigningAlg]; k != nil {
		return k, nil
	}
	return nil, errors.New("provider: no signing key for " + c.SigningAlg)
}
