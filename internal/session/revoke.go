package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/keyring"
	"github.com/rempart/rempart/internal/store"
)

// List gives the user's live sessions, newest first, with the devices and
// addresses they were started from.
func (s *Service) List(ctx context.Context, who caller.Caller, user id.User) ([]Session, error) {
	ring, err := s.Keys.Ready(ctx, keyring.Person(user))
	if err != nil {
		return nil, err
	}
	now := s.Now()
	type row struct {
		Session
		origin []byte
	}
	var rows []row
	err = s.Store.View(ctx, store.User(user), func(tx *store.Tx) (err error) {
		rows, err = store.All(tx, func(r *store.Rows) (v row, err error) {
			v.Session, err = scan(r, &v.origin)
			return v, err
		}, listOfUser, store.Micros(now), listMax)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("session: list: %w", err)
	}
	out := []Session{}
	for _, v := range rows {
		if !v.Live(now) {
			continue
		}
		o, err := openOrigin(ring, keyring.Person(user), labelOrigin, v.ID, v.origin)
		if err != nil {
			return nil, err
		}
		v.Device, v.Source = &o.Device, o.Source
		out = append(out, v.Session)
	}
	return current(out, who), nil
}

// Revoke ends one session of the caller's own; the error is fault.ErrNotFound
// when she has none such. Ending the session that asks is signing out.
func (s *Service) Revoke(ctx context.Context, who caller.Caller, session id.Session) error {
	kind, why := EventRevoked, "revoked"
	if session == who.Session {
		kind, why = EventSignedOut, "signed_out"
	}
	pen, err := s.Audit.Pen(ctx, who, id.Org{})
	if err != nil {
		return err
	}
	err = s.Store.Update(ctx, store.User(who.User), func(tx *store.Tx) error {
		live, err := s.EndTx(tx, who.User, session, why)
		if err != nil {
			return err
		}
		if !live {
			return fault.ErrNotFound
		}
		return pen.Record(tx, audit.Entry{Kind: kind, Target: audit.Target{Kind: "session", ID: session.String()}})
	})
	if err == nil {
		s.Forget(session)
	}
	return err
}

// RevokeOthers ends all sessions of the caller's own but the one that asks.
func (s *Service) RevokeOthers(ctx context.Context, who caller.Caller) (int, error) {
	return s.RevokeAll(ctx, who, who.User, who.Session)
}

// RevokeAll ends all sessions of the user save one (zero: none is spared): for
// the user herself, and for whoever may act on the user as such.
func (s *Service) RevokeAll(ctx context.Context, who caller.Caller, user id.User, except id.Session) (int, error) {
	pen, err := s.Audit.Pen(ctx, who, id.Org{}, user)
	if err != nil {
		return 0, err
	}
	var ended []id.Session
	err = s.Store.Update(ctx, store.User(user), func(tx *store.Tx) error {
		if ended, err = s.EndAllTx(tx, user, except, "revoked"); err != nil {
			return err
		}
		return pen.Record(tx, audit.Entry{
			Kind: EventRevokedAll, Target: audit.Target{Kind: "user", ID: user.String()}, Person: user,
			Facts: map[string]any{"count": len(ended)},
		})
	})
	if err != nil {
		return 0, err
	}
	s.Forget(ended...)
	return len(ended), nil
}

// MemberSession is a member's session as the organization that it entered sees it.
type MemberSession struct {
	ID      id.Session `json:"id"`
	Entered time.Time  `json:"entered_at"`
	Device  Device     `json:"device"`
	Source  string     `json:"source,omitempty"`
}

// Member lists the sessions of the user that have entered the organization and
// were neither ended nor put out.
func (s *Service) Member(ctx context.Context, org id.Org, user id.User) ([]MemberSession, error) {
	ring, err := s.Keys.Ready(ctx, keyring.Organization(org), keyring.Member(org, user))
	if err != nil {
		return nil, err
	}
	type row struct {
		MemberSession
		origin []byte
	}
	var rows []row
	err = s.Store.View(ctx, store.Org(org), func(tx *store.Tx) (err error) {
		rows, err = store.All(tx, func(r *store.Rows) (v row, err error) {
			var at int64
			err = r.Scan(&v.ID, &at, &v.origin)
			v.Entered = store.Time(at)
			return v, err
		}, listEntries, user, store.Micros(s.Now().Add(-keepEnded)), listMax)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("session: list of a member: %w", err)
	}
	out := []MemberSession{}
	for _, v := range rows {
		o, err := openOrigin(ring, keyring.Member(org, user), labelEntry, v.ID, v.origin)
		if err != nil {
			return nil, err
		}
		v.Device = o.Device
		if o.Source.IsValid() {
			v.Source = o.Source.String()
		}
		out = append(out, v.MemberSession)
	}
	return out, nil
}

// Cut puts sessions of a member out of the organization: one, or all of them
// (zero). They must prove themselves again to enter; her account and her other
// organizations are untouched. The error is fault.ErrNotFound for a session
// that is not in the organization.
func (s *Service) Cut(ctx context.Context, who caller.Caller, org id.Org, user id.User, session id.Session) (int, error) {
	pen, err := s.Audit.Pen(ctx, who, org, user)
	if err != nil {
		return 0, err
	}
	now := store.Micros(s.Now())
	var cut []id.Session
	err = s.Store.Update(ctx, store.Org(org), func(tx *store.Tx) (err error) {
		target := audit.Target{Kind: "user", ID: user.String()}
		if session.IsZero() {
			cut, err = store.All(tx, scanID, cutEntries, user, now)
		} else {
			cut, err = store.All(tx, scanID, cutEntry, user, session, now)
			target = audit.Target{Kind: "session", ID: session.String()}
			if err == nil && len(cut) == 0 {
				return fault.ErrNotFound
			}
		}
		if err != nil {
			return fmt.Errorf("session: cut: %w", err)
		}
		if s.OnCut != nil {
			if err := s.OnCut(tx, org, user, cut); err != nil {
				return err
			}
		}
		return pen.Record(tx, audit.Entry{Kind: EventCut, Target: target, Person: user, Facts: map[string]any{"count": len(cut)}})
	})
	if err != nil {
		return 0, err
	}
	s.Forget(cut...)
	return len(cut), nil
}

// SignOut ends the session of the secret; ErrNone is no error.
func (s *Service) SignOut(ctx context.Context, who caller.Caller) error {
	if who.Session.IsZero() {
		return nil
	}
	err := s.Revoke(ctx, who, who.Session)
	if errors.Is(err, fault.ErrNotFound) {
		return nil
	}
	return err
}

// EnteredSince gives, for each session that has entered the organization since
// the instant and was not put out, by which authentications.
func (s *Service) EnteredSince(ctx context.Context, org id.Org, since time.Time) ([][]caller.Method, error) {
	var out [][]caller.Method
	err := s.Store.View(ctx, store.System("session.entered-since"), func(tx *store.Tx) (err error) {
		out, err = store.All(tx, func(r *store.Rows) (m []caller.Method, err error) {
			var text string
			if err := r.Scan(&text); err != nil {
				return nil, err
			}
			return m, json.Unmarshal([]byte(text), &m)
		}, enteredSince, org, store.Micros(since))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("session: entered since: %w", err)
	}
	return out, nil
}
