package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/rempart/rempart/internal/access"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/keyring"
	"github.com/rempart/rempart/internal/policy"
	"github.com/rempart/rempart/internal/store"
)

// The labels of sealed fields, fixed for ever.
const (
	labelOrigin = "session.session.origin"
	labelEntry  = "session.entry.origin"
)

// origin is from where and with what a session was started.
type origin struct {
	Source netip.Addr `json:"s,omitzero"`
	Device Device     `json:"d"`
}

func sealOrigin(ring *keyring.Ring, owner keyring.Owner, label string, s id.Session, o origin) ([]byte, error) {
	plain, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	return ring.Seal(owner, label, s.String(), plain)
}

func openOrigin(ring *keyring.Ring, owner keyring.Owner, label string, s id.Session, sealed []byte) (o origin, err error) {
	plain, err := ring.Open(owner, label, s.String(), sealed)
	if errors.Is(err, keyring.ErrErased) {
		return o, nil
	}
	if err != nil {
		return o, fmt.Errorf("session: open origin: %w", err)
	}
	return o, json.Unmarshal(plain, &o)
}

// Draft is a session about to be started or renewed, with its new secret.
type Draft struct {
	Session Session
	secret  string
	hash    [32]byte
	origin  []byte
	methods string
}

// Prepare makes a session of the user with the authentications; before the
// transaction. who says from where. ring holds the user's key.
func (s *Service) Prepare(ring *keyring.Ring, who caller.Caller, user id.User, methods []caller.Method, limits policy.Limits) (*Draft, error) {
	now := s.Now()
	d := &Draft{Session: Session{
		ID: id.NewSession(now), User: user, Methods: slices.Clone(methods),
		Created: now, AuthTime: now, FreshAt: now, Seen: now, Ends: now.Add(limits.Absolute), Idle: limits.Idle,
	}}
	d.secret, d.hash = newSecret()
	var err error
	if d.methods, err = encodeMethods(d.Session.Methods); err != nil {
		return nil, fmt.Errorf("session: methods: %w", err)
	}
	o := origin{Source: who.Source, Device: ParseDevice(who.Device)}
	if d.origin, err = sealOrigin(ring, keyring.Person(user), labelOrigin, d.Session.ID, o); err != nil {
		return nil, fmt.Errorf("session: seal origin: %w", err)
	}
	return d, nil
}

// PrepareRenewal gives the session a new secret, and adds what was proved
// just now; before the transaction. full says that every authenticator was
// proved again: the limits then run from now, as after a sign-in.
func (s *Service) PrepareRenewal(have Session, methods []caller.Method, full bool, limits policy.Limits) (*Draft, error) {
	now := s.Now()
	d := &Draft{Session: have}
	d.Session.Methods = slices.Clone(have.Methods)
	for _, m := range methods {
		d.Session.Methods = slices.DeleteFunc(d.Session.Methods, func(o caller.Method) bool { return o.Name == m.Name && o.Connection == m.Connection })
		d.Session.Methods = append(d.Session.Methods, m)
	}
	if n := len(d.Session.Methods); n > maxMethods {
		d.Session.Methods = d.Session.Methods[n-maxMethods:]
	}
	d.Session.FreshAt, d.Session.Seen, d.Session.Pause = now, now, 0
	if full {
		d.Session.AuthTime, d.Session.Ends, d.Session.Idle = now, now.Add(limits.Absolute), limits.Idle
	}
	d.secret, d.hash = newSecret()
	var err error
	d.methods, err = encodeMethods(d.Session.Methods)
	return d, err
}

// Secret is what the browser's cookie gets once the draft is committed.
func (d *Draft) Secret() string { return d.secret }

// StartTx starts the session, in the scope of its user. The caller records the
// entry, and calls Keep after the commit.
func (s *Service) StartTx(tx *store.Tx, d *Draft) error {
	v := d.Session
	_, err := tx.Exec(insertSession, v.ID, d.hash[:], d.methods, store.Micros(v.Created), v.Idle.Microseconds(), store.Micros(v.Ends), d.origin)
	if err != nil {
		return fmt.Errorf("session: start: %w", err)
	}
	return nil
}

// RenewTx gives the session its new secret and what was proved, in the scope
// of its user; the error is ErrNone when it has ended meanwhile. The caller
// records the entry, and calls Keep after the commit.
func (s *Service) RenewTx(tx *store.Tx, d *Draft) error {
	v := d.Session
	n, err := tx.Exec(renewSession, v.ID, d.hash[:], d.methods, store.Micros(v.FreshAt), store.Micros(v.AuthTime), v.Idle.Microseconds(), store.Micros(v.Ends))
	if err != nil {
		return fmt.Errorf("session: renew: %w", err)
	}
	if n == 0 {
		return ErrNone
	}
	_, err = tx.Exec(rested, v.ID, store.Micros(v.FreshAt))
	return err
}

// Keep puts the draft, which is committed, into this node's cache: the former
// secret is dead at once, and the next request costs no statement.
func (s *Service) Keep(d *Draft) {
	s.cache.drop(d.Session.ID)
	s.cache.keep(d.hash, d.Session, s.cache.at())
}

// KnownTx reports whether the user whose scope tx has was lately signed in with
// a device that looks like the caller's; new is true for a first sign-in too.
// What the answer is made of is opened after, by IsNew.
func (s *Service) KnownTx(tx *store.Tx) (Known, error) {
	rows, err := store.All(tx, func(r *store.Rows) (knownRow, error) {
		var k knownRow
		return k, r.Scan(&k.id, &k.origin)
	}, recentOrigins, recentMax)
	if err != nil {
		return Known{}, fmt.Errorf("session: recent: %w", err)
	}
	return Known{rows}, nil
}

// Known is the devices that a user was lately signed in with, unopened.
type Known struct{ rows []knownRow }

type knownRow struct {
	id     id.Session
	origin []byte
}

// IsNew reports whether the user was signed in before, but not lately with a
// device like this one. ring holds her key.
func (k Known) IsNew(ring *keyring.Ring, user id.User, agent string) bool {
	d := ParseDevice(agent)
	for _, row := range k.rows {
		o, err := openOrigin(ring, keyring.Person(user), labelOrigin, row.id, row.origin)
		if err == nil && o.Device.Same(d) {
			return false
		}
	}
	return len(k.rows) > 0
}

// State reports whether the session may still act, for access.Facts.
func (s *Service) State(ctx context.Context, session id.Session) (access.State, error) {
	ended, ends, _, err := s.look(ctx, session)
	switch {
	case errors.Is(err, store.ErrNone):
		return access.Absent, nil
	case err != nil:
		return access.Absent, fmt.Errorf("session: state: %w", err)
	case ended || !s.Now().Before(ends):
		return access.Absent, nil
	}
	return access.Active, nil
}

// Pause is the longest time in which the session was not used since its
// authenticators were last proved: for rules of organizations on idle sessions.
func (s *Service) Pause(ctx context.Context, session id.Session) (time.Duration, error) {
	_, _, pause, err := s.look(ctx, session)
	if err != nil && !errors.Is(err, store.ErrNone) {
		return 0, fmt.Errorf("session: pause: %w", err)
	}
	return pause, nil
}

func (s *Service) look(ctx context.Context, session id.Session) (ended bool, ends time.Time, pause time.Duration, err error) {
	if s.cache.trusted(s.Now(), s.Store.Engine()) {
		if v, ok := s.cache.get(session); ok {
			return false, v.Ends, v.Pause, nil
		}
	}
	var endedAt, endsAt, us int64
	err = s.Store.View(ctx, store.Lookup(), func(tx *store.Tx) error {
		return tx.Row(findState, session).Scan(&endedAt, &endsAt, &us)
	})
	return endedAt != 0, store.Time(endsAt), time.Duration(us) * time.Microsecond, err
}

// Entered tells how the session stands in the organization: whether it has
// entered, and when the organization last put it out (zero: it did not).
func (s *Service) Entered(ctx context.Context, org id.Org, session id.Session) (entered bool, cut time.Time, err error) {
	if s.cache.trusted(s.Now(), s.Store.Engine()) && s.cache.entered(session, org) {
		return true, time.Time{}, nil
	}
	epoch := s.cache.at()
	var at, cutAt int64
	err = s.Store.View(ctx, store.Org(org), func(tx *store.Tx) error {
		return tx.Row(findEntry, session).Scan(&at, &cutAt)
	})
	if errors.Is(err, store.ErrNone) {
		return false, time.Time{}, nil
	}
	if err != nil {
		return false, time.Time{}, fmt.Errorf("session: entered: %w", err)
	}
	if cutAt == 0 {
		s.cache.enter(session, org, epoch)
	}
	return cutAt == 0, store.Time(cutAt), nil
}

// Entrance is the record of a session entering an organization.
type Entrance struct {
	org     id.Org
	session id.Session
	user    id.User
	origin  []byte
	epoch   uint64
}

// PrepareEntrance makes the record; before the transaction. ring holds the
// member's key.
func (s *Service) PrepareEntrance(ring *keyring.Ring, who caller.Caller, org id.Org, user id.User, session id.Session) (*Entrance, error) {
	o := origin{Source: who.Source, Device: ParseDevice(who.Device)}
	sealed, err := sealOrigin(ring, keyring.Member(org, user), labelEntry, session, o)
	if err != nil {
		return nil, fmt.Errorf("session: seal entrance: %w", err)
	}
	return &Entrance{org: org, session: session, user: user, origin: sealed, epoch: s.cache.at()}, nil
}

// EnterTx records that the session entered the organization whose scope tx
// has. The caller records the entry, and calls KeepEntrance after the commit.
func (s *Service) EnterTx(tx *store.Tx, e *Entrance) error {
	if _, err := tx.Exec(insertEntry, e.session, e.user, store.Micros(s.Now()), e.origin); err != nil {
		return fmt.Errorf("session: enter: %w", err)
	}
	return nil
}

// KeepEntrance remembers an entrance that is committed.
func (s *Service) KeepEntrance(e *Entrance) { s.cache.enter(e.session, e.org, e.epoch) }
