// Package access decides who may do what: the catalogue of permissions, the
// built-in roles, the assignments of roles to users, and alive(), which says
// whether a user, membership, organization, workspace, client, key or session
// may still act at all.
//
//	err := s.Authorize(ctx, who, "directory.members.write", org, id.Workspace{})
//
// answers nil, fault.ErrNotFound for what belongs to another organization,
// fault.ErrDenied, or fault.ErrStepUp when the permission needs a fresh proof of
// the authenticators.
//
// # How a decision is made
//
// Each organization that is asked about has a compiled snapshot in memory: user
// to set of permissions. A decision reads it without a lock on rows and without
// an allocation. Whoever changes what a snapshot is made of calls BumpTx (or
// BumpUserTx) in the writing transaction. Follow polls the revisions every
// 250 ms and loads what changed; while a snapshot is missing or may be old, and
// always when the last good poll began more than a second ago, the database is
// asked. Without Follow every decision asks the database: slower, never wrong.
//
// # What it is not
//
// It knows no organization and no user: their states come through Facts, which
// app fills. It does not authenticate, and it holds no policy (internal/policy
// decides about entry). It owns access_assignments, access_revisions and
// access_user_revisions.
package access

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/clock"
	"github.com/rempart/rempart/internal/console"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/store"
)

// State is whether a thing may act.
type State uint8

// The states. The zero value is a thing that does not exist.
const (
	Absent State = iota
	Active
	Suspended
	Closing // being deleted; can be restored until its term
)

// String is the name that the API uses.
func (s State) String() string {
	return [...]string{"absent", "active", "suspended", "closing"}[s]
}

// MarshalText writes the name.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Standing is what the owners say about one user in one organization.
type Standing struct {
	Org    State
	Member State
	User   State
}

// Alive reports whether all three may act.
func (s Standing) Alive() bool { return s.Org == Active && s.Member == Active && s.User == Active }

// Roster is what the owners say about a whole organization, for its snapshot.
type Roster struct {
	Org        State
	Members    map[id.User]State // every member
	Workspaces []id.Workspace    // those that are active
}

// Facts are what the owners of things report upward. app fills them; each may
// open a View, none is called inside a transaction save those ending in Tx.
type Facts struct {
	Standing  func(ctx context.Context, org id.Org, user id.User) (Standing, error)
	Roster    func(ctx context.Context, org id.Org) (Roster, error)
	User      func(ctx context.Context, user id.User) (State, error)
	Inactive  func(ctx context.Context) (map[id.User]State, error) // every user that is not active
	Org       func(ctx context.Context, org id.Org) (State, error)
	Workspace func(ctx context.Context, org id.Org, ws id.Workspace) (State, error) // Absent for another organization's
	Staff     func(ctx context.Context, user id.User) ([]string, error)             // staff roles
	Client    func(ctx context.Context, client id.Client) (State, error)
	Key       func(ctx context.Context, key id.Key) (State, error)
	Session   func(ctx context.Context, session id.Session) (State, error)

	// MembersTx gives the states of the users' memberships, in the scope of
	// the organization that tx has.
	MembersTx func(tx *store.Tx, users []id.User) (map[id.User]State, error)
}

// Service decides and keeps the assignments. Its fields are set once.
type Service struct {
	Store     *store.DB
	Now       clock.Now
	Catalogue *Catalogue
	Audit     *audit.Log
	Console   *console.Console // of the page
	Facts     Facts

	mu      sync.RWMutex
	orgs    map[id.Org]*cell
	hot     map[id.User]time.Time // users whose state this node has just changed
	hotN    atomic.Int64          // size of hot
	polled  atomic.Int64          // when the last good poll began, in microseconds
	absent  atomic.Pointer[map[id.User]State]
	wanted  chan id.Org
	wantOne sync.Once
}

// Errors of decisions; each is a fault.
var (
	ErrSuspended    = fault.New(fault.Denied, "access.error.suspended", nil)
	ErrOrgSuspended = fault.New(fault.Denied, "access.error.org-suspended", nil)
	ErrDisabled     = fault.New(fault.Denied, "access.error.disabled", nil)
	ErrSignedOut    = fault.New(fault.Unknown, "access.error.signed-out", nil)
)

// Authorize decides whether who may use the permission in the organization
// and, if one is given, the workspace. For a permission of staff, or one of the
// names that need no catalogue, both are zero.
func (s *Service) Authorize(ctx context.Context, who caller.Caller, permission string, org id.Org, ws id.Workspace) error {
	switch permission {
	case capability.Public, capability.Token:
		return nil
	case capability.Self:
		return s.self(ctx, who)
	}
	i, ok := s.Catalogue.index[permission]
	if !ok {
		return fault.New(fault.Internal, "web.error.internal", errUndeclared(permission))
	}
	p := &s.Catalogue.perms[i]
	if err := s.authorize(ctx, who, i, p, org, ws); err != nil {
		return err
	}
	if p.StepUp {
		return s.Fresh(who)
	}
	return nil
}

// Fresh asks for a step-up when the caller's last proof of her authenticators
// is older than StepUpAge. Work of the server and of the machine's operators
// has none to give.
func (s *Service) Fresh(who caller.Caller) error {
	switch {
	case who.Kind == caller.System, who.Kind == caller.Local, who.NoStepUp:
		return nil
	case who.Kind == caller.User && !who.FreshAt.IsZero() && s.Now().Sub(who.FreshAt) <= StepUpAge:
		return nil
	}
	return fault.ErrStepUp
}

// self is the decision about a person's own things.
func (s *Service) self(ctx context.Context, who caller.Caller) error {
	if who.Kind != caller.User || who.User.IsZero() {
		return ErrUnknown
	}
	st, err := s.userState(ctx, who.User)
	switch {
	case err != nil:
		return err
	case st != Active:
		return ErrDisabled
	}
	return nil
}

// ErrUnknown is the answer to a visitor who asks for what needs a known caller.
var ErrUnknown = fault.New(fault.Unknown, "web.error.unauthenticated", nil)

func (s *Service) authorize(ctx context.Context, who caller.Caller, i int, p *capability.Permission, org id.Org, ws id.Workspace) error {
	switch who.Kind {
	case caller.System, caller.Local:
		return nil
	case caller.Visitor:
		return ErrUnknown
	}
	if p.Level == capability.LevelPublic {
		return nil
	}
	if p.Level == capability.LevelSelf {
		return s.self(ctx, who)
	}
	// What a key or token was limited to holds whatever its owner may do.
	if who.Scopes != nil && !slices.Contains(who.Scopes, p.Name) {
		return fault.ErrDenied
	}
	if p.Level == capability.LevelStaff {
		return s.authorizeStaff(ctx, who, i)
	}
	if org.IsZero() || !who.Org.IsZero() && who.Org != org {
		return fault.ErrNotFound
	}
	if who.Workspaces != nil && (p.Level != capability.LevelWorkspace || !slices.Contains(who.Workspaces, ws)) {
		return fault.ErrDenied
	}
	if who.User.IsZero() {
		return s.authorizeBearer(ctx, who, p, org, ws)
	}
	return s.authorizeUser(ctx, who.User, i, p.Level, org, ws)
}

// authorizeBearer decides about a key or client that belongs to the
// organization itself and acts by the permissions it was given.
func (s *Service) authorizeBearer(ctx context.Context, who caller.Caller, p *capability.Permission, org id.Org, ws id.Workspace) error {
	if who.Org != org || who.Scopes == nil {
		return fault.ErrNotFound
	}
	st, err := s.Facts.Org(ctx, org)
	switch {
	case err != nil:
		return err
	case st == Absent:
		return fault.ErrNotFound
	case st != Active:
		return ErrOrgSuspended
	}
	if !ws.IsZero() {
		return s.workspace(ctx, org, ws)
	}
	return nil
}

func (s *Service) workspace(ctx context.Context, org id.Org, ws id.Workspace) error {
	st, err := s.Facts.Workspace(ctx, org, ws)
	switch {
	case err != nil:
		return err
	case st == Absent:
		return fault.ErrNotFound
	case st != Active:
		return fault.ErrDenied
	}
	return nil
}

func (s *Service) authorizeStaff(ctx context.Context, who caller.Caller, i int) error {
	if who.User.IsZero() {
		// A key of the installation itself: of no organization, with its list.
		if who.Kind == caller.Key && who.Org.IsZero() && who.Scopes != nil {
			return nil
		}
		return fault.ErrDenied
	}
	st, err := s.userState(ctx, who.User)
	switch {
	case err != nil:
		return err
	case st != Active:
		return ErrDisabled
	}
	roles, err := s.Facts.Staff(ctx, who.User)
	if err != nil {
		return err
	}
	for _, r := range roles {
		if set := s.Catalogue.roles[r]; set.Has(i) {
			return nil
		}
	}
	return fault.ErrDenied
}

// authorizeUser decides by the snapshot, or by the database when there is none
// that may be believed.
func (s *Service) authorizeUser(ctx context.Context, user id.User, i int, level capability.Level, org id.Org, ws id.Workspace) error {
	if snap := s.current(org); snap != nil {
		if err, ok := s.decide(snap, user, i, level, ws); ok {
			return err
		}
	}
	return s.ask(ctx, user, i, level, org, ws)
}

// decide is the decision on a snapshot: no lock on rows, no allocation. ok is
// false when the snapshot can't say.
func (s *Service) decide(snap *snapshot, user id.User, i int, level capability.Level, ws id.Workspace) (err error, ok bool) {
	if s.hotN.Load() > 0 && s.isHot(user) {
		return nil, false
	}
	n, member := snap.members[user]
	switch {
	case snap.org == Absent || !member:
		return fault.ErrNotFound, true
	case snap.org != Active:
		return ErrOrgSuspended, true
	case n == suspended:
		return ErrSuspended, true
	}
	inactive := s.absent.Load()
	if inactive == nil {
		return nil, false
	}
	if len(*inactive) > 0 {
		if _, bad := (*inactive)[user]; bad {
			return ErrDisabled, true
		}
	}
	pr := &snap.profiles[n]
	// Who may not is told so whether or not there is such a workspace.
	if !pr.allows(i, level, ws) {
		return fault.ErrDenied, true
	}
	if !ws.IsZero() {
		// A workspace that the snapshot does not name is another
		// organization's, suspended or new: only the owner can say.
		if _, known := snap.workspaces[ws]; !known {
			return nil, false
		}
	}
	return nil, true
}

// Alive reports, as an error, whether everything that the caller stands on may
// still act: her user, the organization and her membership in it, the
// workspace, the client, the key and the session, each where it is given.
func (s *Service) Alive(ctx context.Context, who caller.Caller, org id.Org, ws id.Workspace) error {
	if !who.User.IsZero() {
		if org.IsZero() {
			st, err := s.userState(ctx, who.User)
			if err != nil {
				return err
			}
			if st != Active {
				return ErrDisabled
			}
		} else if err := s.standing(ctx, org, who.User); err != nil {
			return err
		}
	} else if !org.IsZero() {
		st, err := s.Facts.Org(ctx, org)
		switch {
		case err != nil:
			return err
		case st == Absent:
			return fault.ErrNotFound
		case st != Active:
			return ErrOrgSuspended
		}
	}
	if !ws.IsZero() {
		if err := s.workspace(ctx, org, ws); err != nil {
			return err
		}
	}
	if !who.Client.IsZero() && s.Facts.Client != nil {
		if st, err := s.Facts.Client(ctx, who.Client); err != nil || st != Active {
			return orElse(err, ErrSignedOut)
		}
	}
	if !who.Key.IsZero() && s.Facts.Key != nil {
		if st, err := s.Facts.Key(ctx, who.Key); err != nil || st != Active {
			return orElse(err, ErrSignedOut)
		}
	}
	if !who.Session.IsZero() && s.Facts.Session != nil {
		if st, err := s.Facts.Session(ctx, who.Session); err != nil || st != Active {
			return orElse(err, ErrSignedOut)
		}
	}
	return nil
}

func orElse(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

// standing is the part of Alive about a member, by the snapshot if it may be
// believed.
func (s *Service) standing(ctx context.Context, org id.Org, user id.User) error {
	if snap := s.current(org); snap != nil && !s.isHot(user) {
		if inactive := s.absent.Load(); inactive != nil {
			n, member := snap.members[user]
			_, bad := (*inactive)[user]
			switch {
			case snap.org == Absent || !member:
				return fault.ErrNotFound
			case snap.org != Active:
				return ErrOrgSuspended
			case n == suspended:
				return ErrSuspended
			case bad:
				return ErrDisabled
			}
			return nil
		}
	}
	st, err := s.Facts.Standing(ctx, org, user)
	if err != nil {
		return err
	}
	return refusal(st)
}

// refusal is why the standing may not act, or nil.
func refusal(st Standing) error {
	switch {
	case st.Org == Absent || st.Member == Absent || st.User == Absent:
		return fault.ErrNotFound
	case st.Org != Active:
		return ErrOrgSuspended
	case st.Member != Active:
		return ErrSuspended
	case st.User != Active:
		return ErrDisabled
	}
	return nil
}

// userState is the user's own state, wherever she is a member.
func (s *Service) userState(ctx context.Context, user id.User) (State, error) {
	if inactive := s.absent.Load(); inactive != nil && s.fresh() && !s.isHot(user) {
		if st, bad := (*inactive)[user]; bad {
			return st, nil
		}
		return Active, nil
	}
	return s.Facts.User(ctx, user)
}
