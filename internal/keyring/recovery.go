package keyring

import (
	"context"
	"errors"
	"fmt"

	"filippo.io/age"

	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/store"
)

// NewRecovery makes a recovery identity in place of the one before, which opens
// nothing that is written from then on: every key-encryption key is wrapped to
// the new one, and a full copy follows at the second place. It answers once
// that copy is verified. Copies of before end with their term.
//
// The identity belongs in the recovery kit and is kept nowhere. A crash on the
// way leaves one in force that nobody has; doing it again mends that, and the
// root key serves all the while.
func (s *Service) NewRecovery(ctx context.Context, who caller.Caller) (Secret, error) {
	if s.opened.Load() == nil {
		return Secret{}, ErrNotStarted
	}
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		return Secret{}, fmt.Errorf("keyring: recovery identity: %w", err)
	}
	now := s.Now()
	a := Act{ID: id.NewIntent(now), Kind: ActRecovery, Owner: Installation(), Started: now}
	if err := s.intent(ctx, who, a); err != nil {
		return Secret{}, err
	}
	err = s.replaceRecovery(ctx, identity.Recipient().String())
	if err == nil {
		err = s.MakeCopies(ctx)
	}
	if err := errors.Join(err, s.outcome(ctx, who, a, err)); err != nil {
		return Secret{}, err
	}
	return NewSecret([]byte(identity.String())), nil
}

// replaceRecovery wraps every key-encryption key to the recipient, in one
// transaction, and asks for a full copy.
func (s *Service) replaceRecovery(ctx context.Context, recipient string) error {
	s.slow.Lock()
	defer s.slow.Unlock()
	m, rows, err := s.meta(ctx)
	if err != nil {
		return fmt.Errorf("keyring: recovery: %w", err)
	}
	wrapped := make([][]byte, len(rows))
	for i, k := range rows {
		bind := wrapContext(m.Installation, "key-encryption-key", k.ID.String())
		raw, err := s.Root.Unwrap(ctx, k.ByRoot, bind)
		if err != nil {
			return fmt.Errorf("keyring: root key: %w", err)
		}
		key := NewSecret(raw)
		wrapped[i], err = wrapForRecovery(recipient, key, bind)
		key.Wipe()
		if err != nil {
			return err
		}
	}
	err = s.Store.Keys.Maintain(ctx, system, func(tx *store.Tx) error {
		for i, k := range rows {
			if _, err := tx.Exec(updateByRecovery, k.ID, wrapped[i]); err != nil {
				return err
			}
		}
		if _, err := tx.Exec(updateRecipient, recipient); err != nil {
			return err
		}
		_, err := tx.Exec(bumpGeneration)
		return err
	})
	if err != nil {
		return fmt.Errorf("keyring: recovery: %w", err)
	}
	return s.reopen(ctx)
}
