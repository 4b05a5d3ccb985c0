package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/rempart/rempart/internal/clock"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/store"
)

// Service keeps sessions. Its fields are set once, before use.
type Service struct {
	Store *store.DB
	Now   clock.Now
	Log   *slog.Logger

	// Absolute and Idle are the installation's limits; 0 is the default.
	Absolute, Idle time.Duration

	// OnEnd is told, in the transaction that ends them, of a user's sessions
	// that end: whatever hangs on a session ends with it. The transaction's
	// scope is the user's. May be nil.
	OnEnd func(tx *store.Tx, user id.User, sessions []id.Session) error

	cache cache
}

func (s *Service) limits() (absolute, idle time.Duration) {
	absolute, idle = s.Absolute, s.Idle
	if absolute <= 0 {
		absolute = DefaultAbsolute
	}
	if idle <= 0 {
		idle = DefaultIdle
	}
	return absolute, idle
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
	if now.Sub(v.Seen) >= seenEvery {
		err := s.Store.Maintain(ctx, store.User(v.User), func(tx *store.Tx) error {
			_, err := tx.Exec(touch, v.ID, store.Micros(now))
			return err
		})
		if err != nil {
			return Session{}, fmt.Errorf("session: remember use: %w", err)
		}
		v.Seen = now
		s.cache.seen(hash, now)
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

func (s *Service) ended(tx *store.Tx, user id.User, ended []id.Session) error {
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
		if err := s.poll(ctx); err != nil && ctx.Err() == nil {
			s.Log.Warn("sessions could not be compared", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *Service) poll(ctx context.Context) error {
	begun := s.Now()
	var changed []id.Session
	err := s.Store.View(ctx, store.System("session.watch"), func(tx *store.Tx) error {
		var err error
		changed, err = store.All(tx, scanID, changedSince, store.Micros(begun.Add(-pollOverlap)))
		return err
	})
	if err != nil {
		return err
	}
	s.cache.drop(changed...)
	s.cache.compared(begun)
	return nil
}

// sweepAll deletes sessions that ended long ago.
func (s *Service) sweepAll(ctx context.Context) error {
	limit := store.Micros(s.Now().Add(-keepEnded))
	return s.Store.Maintain(ctx, store.System("session.sweep"), func(tx *store.Tx) error {
		for _, st := range []*store.Stmt{sweepSeen, sweepEntries, sweep} {
			if _, err := tx.Exec(st, limit); err != nil {
				return fmt.Errorf("session: sweep: %w", err)
			}
		}
		return nil
	})
}
