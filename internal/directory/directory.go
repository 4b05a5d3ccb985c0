// Package directory knows organizations, workspaces, users, their addresses,
// memberships, invitations, staff and custom attributes.
//
// # People and tenants
//
// A user is global: one person, one immutable id that is never used again, and
// one or more e-mail addresses, each sealed under her own key and found by a
// keyed hash. A membership joins a user to an organization; it keeps her name
// and address once more, sealed for the organization, so that a list unwraps
// one key and an organization sees what it was given, not what she calls
// herself elsewhere.
//
// An organization's administrator acts on the membership, never on the user: no
// organization manages a user before it has verified domains, which are not in
// this package yet. What an organization can do to a person is to let her in
// and to put her out.
//
// # Kinds of organization
//
// Customers, and canaries: the organizations that the installation's own
// controls act in. Canaries obey every rule; they are left out of counts, lists
// and exports by one predicate (Org.Canary, and its SQL twin notCanary).
//
// # What it is not
//
// Roles and decisions are internal/access, rules internal/policy, credentials
// internal/credential; the pages on which a person accepts an invitation are
// internal/signin, which uses PrepareAcceptance and AcceptTx. It owns the tables
// directory_*.
package directory

import (
	"time"

	"github.com/rempart/rempart/internal/access"
	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/clock"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/keyring"
	"github.com/rempart/rempart/internal/mail"
	"github.com/rempart/rempart/internal/store"
)

// Service keeps the directory. Its fields are set once, before use.
type Service struct {
	Store  *store.DB
	Keys   *keyring.Service
	Now    clock.Now
	Access *access.Service
	Audit  *audit.Log
	Mail   *mail.Outbox

	// OnDisable ends what a suspended or removed member holds in the
	// organization, in the same transaction: org zero means everywhere, user
	// zero everyone of the organization. May be nil; alive() refuses her anyway.
	OnDisable func(tx *store.Tx, org id.Org, user id.User) error
}

// State is whether an organization, workspace, user or membership may act.
type State string

// The states.
const (
	Active    State = "active"
	Suspended State = "suspended"
	Closing   State = "closing" // being deleted, restorable until its term
)

// Access is the state as decisions know it.
func (s State) Access() access.State {
	switch s {
	case Active:
		return access.Active
	case Suspended:
		return access.Suspended
	case Closing:
		return access.Closing
	}
	return access.Absent
}

// Kind is what an organization or a user is for.
type Kind string

// The kinds.
const (
	Customer Kind = "customer" // people and organizations that are served
	Canary   Kind = "canary"   // those that the installation's own controls act as
)

// Org is an organization.
type Org struct {
	ID      id.Org    `json:"id"`
	Slug    string    `json:"slug"`
	Name    string    `json:"name"`
	Kind    Kind      `json:"-"`
	State   State     `json:"state" enum:"active,suspended,closing"`
	Version int64     `json:"version"`
	Created time.Time `json:"created_at"`
}

// Canary reports whether the organization is left out of counts, lists and exports.
func (o Org) Canary() bool { return o.Kind == Canary }

// ETag is the entity tag of the version.
func (o Org) ETag() string { return etag(o.Version) }

// Workspace is a part of an organization that roles can be bound to.
type Workspace struct {
	ID      id.Workspace `json:"id"`
	Org     id.Org       `json:"organization"`
	Slug    string       `json:"slug"`
	Name    string       `json:"name"`
	State   State        `json:"state" enum:"active,suspended,closing"`
	Version int64        `json:"version"`
	Created time.Time    `json:"created_at"`
}

// ETag is the entity tag of the version.
func (w Workspace) ETag() string { return etag(w.Version) }

// Profile is what a user says about herself, sealed under her own key.
type Profile struct {
	Name   string `json:"name"`
	Locale string `json:"locale,omitempty" enum:"en,fr,nl"`
	Zone   string `json:"zone,omitempty" doc:"IANA time zone."`
}

// User is a person, or a canary that plays one.
type User struct {
	ID        id.User   `json:"id"`
	Kind      Kind      `json:"-"`
	State     State     `json:"state" enum:"active,suspended,closing"`
	Profile   Profile   `json:"profile"`
	Addresses []Address `json:"addresses"`
	Created   time.Time `json:"created_at"`
}

// Email is the user's primary address, "" if she has none.
func (u User) Email() string {
	for _, a := range u.Addresses {
		if a.Primary {
			return a.Email
		}
	}
	return ""
}

// Address is an e-mail address of a user.
type Address struct {
	ID       id.Address `json:"id"`
	Email    string     `json:"email"`
	Primary  bool       `json:"primary"`
	Verified time.Time  `json:"verified_at,omitzero"`
	Created  time.Time  `json:"created_at"`
}

// Found is who an address belongs to, as sign-in needs it: nothing is opened.
type Found struct {
	User    id.User
	Address id.Address
	State   State
	Kind    Kind
}

// Membership joins a user to an organization.
type Membership struct {
	ID      id.Membership `json:"id"`
	Org     id.Org        `json:"organization"`
	User    id.User       `json:"user"`
	State   State         `json:"state" enum:"active,suspended"`
	Version int64         `json:"version"`
	Joined  time.Time     `json:"joined_at"`
}

// Member is a membership with what the organization knows of the person.
type Member struct {
	Membership
	Name  string         `json:"name"`
	Email string         `json:"email"`
	Roles []access.Grant `json:"roles"`
}

// ETag is the entity tag of the version.
func (m Member) ETag() string { return etag(m.Version) }

// Belonging is a membership with its organization.
type Belonging struct {
	Membership Membership     `json:"membership"`
	Org        Org            `json:"organization"`
	Roles      []access.Grant `json:"roles"`
}

// InvitationState is what became of an invitation.
type InvitationState string

// The states of an invitation.
const (
	InvitationOpen     InvitationState = "open"
	InvitationAccepted InvitationState = "accepted"
	InvitationRevoked  InvitationState = "revoked"
	InvitationExpired  InvitationState = "expired" // open, and its term has passed
)

// Invitation asks a person, known by an address, into an organization.
type Invitation struct {
	ID       id.Invitation   `json:"id"`
	Org      id.Org          `json:"organization"`
	Email    string          `json:"email"`
	Roles    []access.Grant  `json:"roles"`
	Locale   string          `json:"locale"`
	State    InvitationState `json:"state" enum:"open,accepted,revoked,expired"`
	By       string          `json:"invited_by"`
	Sent     time.Time       `json:"sent_at"`
	Times    int             `json:"times_sent"`
	Expires  time.Time       `json:"expires_at"`
	Created  time.Time       `json:"created_at"`
	Accepted id.User         `json:"accepted_by,omitzero"`
}

// Staff is a user with a role in the installation.
type Staff struct {
	User    id.User   `json:"user"`
	Role    string    `json:"role" enum:"staff-admin,staff-auditor"`
	Created time.Time `json:"created_at"`
	By      string    `json:"created_by"`
}

// Errors that people may see.
var (
	ErrSlugTaken  = fault.New(fault.Conflict, "directory.error.slug-taken", nil).At("/slug", "directory.error.slug-taken")
	ErrSlug       = fault.New(fault.Invalid, "directory.error.slug", nil).At("/slug", "directory.error.slug")
	ErrEmail      = fault.New(fault.Invalid, "directory.error.email", nil).At("/email", "directory.error.email")
	ErrName       = fault.New(fault.Invalid, "directory.error.name", nil).At("/name", "directory.error.name")
	ErrChanged    = fault.New(fault.Precondition, "web.error.changed-meanwhile", nil)
	ErrMember     = fault.New(fault.Conflict, "directory.error.already-member", nil)
	ErrEmailTaken = fault.New(fault.Conflict, "directory.error.email-taken", nil)
)

// Facts are what this package reports to access; app adds the others' parts.
func (s *Service) Facts() access.Facts {
	return access.Facts{
		Standing:  s.standing,
		Roster:    s.roster,
		User:      s.userState,
		Inactive:  s.inactive,
		Org:       s.orgState,
		Workspace: s.workspaceState,
		Staff:     s.StaffRoles,
		MembersTx: s.membersTx,
	}
}
