package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/clock"
	"github.com/rempart/rempart/internal/console"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/keyring"
	"github.com/rempart/rempart/internal/store"
)

// Service keeps sessions. Its fields are set once, before use.
type Service struct {
	Store *store.DB
	Now   clock.Now
	Log   *slog.Logger
	Audit *audit.Log
	Keys  *keyring.Service

	// Console renders the account's page of sessions.
	Console *console.Console

	// OnEnd is told, in the transaction that ends them, of a user's sessions
	// that end: whatever hangs on a session ends with it. The transaction's
	// scope is the user's. May be nil.
	OnEnd func(tx *store.Tx, user id.User, sessions []id.Session) error

	// OnCut is told, in the transaction that puts sessions out of an
	// organization, of those sessions. The transaction's scope is the
	// organization's. May be nil.
	OnCut func(tx *store.Tx, org id.Org, user id.User, sessions []id.Session) error

	// IsMember says whether the user belongs to the organization, in whatever
	// state.
	IsMember func(ctx context.Context, org id.Org, user id.User) (bool, error)

	cache cache
}

// Find gives the live session of the secret, or ErrNone. A session that was
// asked for lately costs no statement; one that has not been used for a minute
// costs the write that remembers it.
func (s *Service) Find(ctx context.Context, secret string) (Session, error) {
	hash, ok := hashOf(secret)
	if !ok {
		return Session{}, ErrNone
	}
	now := s.Now()
	if s.cache.trusted(now, s.Store.Engine()) {
		if v, ok := s.cache.find(hash); ok {
			return s.use(ctx, hash, v, now)
		}
	}
	epoch := s.cache.at()
	var v Session
	err := s.Store.View(ctx, store.Lookup(), func(tx *store.Tx) error {
		var err error
		v, err = scan(tx.Row(findBySecret, hash[:]))
		return err
	})
	if errors.Is(err, store.ErrNone) {
		return Session{}, ErrNone
	}
	if err != nil {
		return Session{}, fmt.Errorf("session: find: %w", err)
	}
	s.cache.keep(hash, v, epoch)
	return s.use(ctx, hash, v, now)
}

// use checks the limits and remembers that the session was used.
func (s *Service) use(ctx context.Context, hash [32]byte, v Session, now time.Time) (Session, error) {
	if !v.Live(now) {
		return Session{}, ErrNone
	}
	if pause := now.Sub(v.Seen); pause >= seenEvery {
		err := s.Store.Maintain(ctx, store.User(v.User), func(tx *store.Tx) error {
			_, err := tx.Exec(touch, v.ID, store.Micros(now), pause.Microseconds())
			return err
		})
		if err != nil {
			return Session{}, fmt.Errorf("session: remember use: %w", err)
		}
		v.Seen, v.Pause = now, max(v.Pause, pause)
		s.cache.seen(hash, now, v.Pause)
	}
	v.Methods = slices.Clone(v.Methods)
	return v, nil
}

// EndTx ends one session of the user whose scope tx has, and reports whether
// it was live. why is a word for the log: "signed_out", "revoked". The caller
// records the entry, and calls Forget after the commit.
func (s *Service) EndTx(tx *store.Tx, user id.User, session id.Session, why string) (bool, error) {
	var ended id.Session
	err := tx.Row(endSession, session, store.Micros(s.Now()), why).Scan(&ended)
	if errors.Is(err, store.ErrNone) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("session: end: %w", err)
	}
	return true, s.ended(tx, user, []id.Session{ended})
}

// EndAllTx ends every session of the user whose scope tx has, save the one
// given (zero: none is spared), and gives those that were live. The caller
// records the entry, and calls Forget after the commit.
func (s *Service) EndAllTx(tx *store.Tx, user id.User, except id.Session, why string) ([]id.Session, error) {
	spared := except.String()
	ended, err := store.All(tx, scanID, endOthers, spared, store.Micros(s.Now()), why)
	if err != nil {
		return nil, fmt.Errorf("session: end all: %w", err)
	}
	return ended, s.ended(tx, user, ended)
}

// EndDisabledTx ends every session of a user who was disabled, in the
// transaction that disables her; its scope is the system's. Nodes that still
// remember a session refuse her by alive() until they hear of its end.
func (s *Service) EndDisabledTx(tx *store.Tx, user id.User) error {
	now := store.Micros(s.Now())
	if _, err := tx.Exec(endDisabled, user, now); err != nil {
		return fmt.Errorf("session: end of a disabled user: %w", err)
	}
	if _, err := tx.Exec(leftDisabled, user, now); err != nil {
		return fmt.Errorf("session: end of a disabled user: %w", err)
	}
	return nil
}

func (s *Service) ended(tx *store.Tx, user id.User, ended []id.Session) error {
	now := store.Micros(s.Now())
	for _, e := range ended {
		if _, err := tx.Exec(leaveEntries, e, now); err != nil {
			return fmt.Errorf("session: leave organizations: %w", err)
		}
	}
	if s.OnEnd == nil || len(ended) == 0 {
		return nil
	}
	return s.OnEnd(tx, user, ended)
}

// Forget takes the sessions out of this node's cache; after the commit of a
// change of theirs, before the answer. Other nodes find the change by polling.
func (s *Service) Forget(sessions ...id.Session) { s.cache.drop(sessions...) }

// Watch compares the cache with the database until ctx ends, so that what
// another node has ended is not believed for more than a second. app runs it
// on PostgreSQL.
func (s *Service) Watch(ctx context.Context) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		if err := s.Compare(ctx); err != nil && ctx.Err() == nil {
			s.Log.Warn("sessions could not be compared", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Compare compares the cache with the database once; Watch calls it.
func (s *Service) Compare(ctx context.Context) error {
	begun := s.Now()
	var changed []id.Session
	err := s.Store.View(ctx, store.System("session.watch"), func(tx *store.Tx) error {
		var err error
		since := store.Micros(begun.Add(-pollOverlap))
		if changed, err = store.All(tx, scanID, changedSince, since); err != nil {
			return err
		}
		cut, err := store.All(tx, scanID, cutSince, since)
		changed = append(changed, cut...)
		return err
	})
	if err != nil {
		return err
	}
	s.cache.drop(changed...)
	s.cache.compared(begun)
	return nil
}

// sweepAll deletes sessions that ended long ago, on record.
func (s *Service) sweepAll(ctx context.Context) error {
	limit := store.Micros(s.Now().Add(-keepEnded))
	var due int64
	err := s.Store.View(ctx, store.System("session.sweep"), func(tx *store.Tx) error {
		return tx.Row(countDue, limit).Scan(&due)
	})
	if err != nil || due == 0 {
		return err
	}
	pen, err := s.Audit.Pen(ctx, caller.ForSystem("session.sweep"), id.Org{})
	if err != nil {
		return err
	}
	return s.Store.Update(ctx, store.System("session.sweep"), func(tx *store.Tx) error {
		for _, st := range []*store.Stmt{sweepSeen, sweepEntries, sweep} {
			if _, err := tx.Exec(st, limit); err != nil {
				return fmt.Errorf("session: sweep: %w", err)
			}
		}
		return pen.Record(tx, audit.Entry{Kind: EventSwept, Facts: map[string]any{"count": due}})
	})
}
