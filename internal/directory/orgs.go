package directory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/rempart/rempart/internal/access"
	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/keyring"
	"github.com/rempart/rempart/internal/store"
)

// NewUser is what a user is made from.
type NewUser struct {
	ID       id.User // zero: a new one. An import chooses, so that keys are made many at a time
	Email    string
	Verified bool // the address was proved: by a link, or it is a canary's
	Profile  Profile
	Kind     Kind // "" is Customer
}

// NewOrg is what an organization is made from, with its first owner: an
// existing user, one who is made with it, or one who is invited and makes
// herself known by accepting.
type NewOrg struct {
	Name   string
	Slug   string
	Kind   Kind // "" is Customer
	Owner  id.User
	Found  *NewUser       // instead of Owner
	Invite *NewInvitation // instead of both; its Roles are set to owner
}

// AddOrg makes an organization with its first owner, in one transaction, and
// gives it with the owner, zero if she is invited. The error is ErrName,
// ErrSlug, ErrSlugTaken, ErrEmail, ErrEmailTaken, or ErrNone for an owner who
// does not exist.
func (s *Service) AddOrg(ctx context.Context, who caller.Caller, n NewOrg) (Org, id.User, error) {
	name, err := cleanName(n.Name)
	if err != nil {
		return Org{}, id.User{}, err
	}
	if !validSlug(n.Slug) {
		return Org{}, id.User{}, ErrSlug
	}
	if n.Kind == "" {
		n.Kind = Customer
	}
	now := s.Now()
	o := Org{ID: id.NewOrg(now), Slug: n.Slug, Name: name, Kind: n.Kind, State: Active, Version: 1, Created: now}
	f, err := s.founding(ctx, who, o, n)
	if err != nil {
		return Org{}, id.User{}, err
	}
	sealed, err := f.pen.SealText(keyring.Organization(o.ID), labelOrgName, o.ID.String(), name)
	if err != nil {
		return Org{}, id.User{}, fmt.Errorf("directory: seal organization: %w", err)
	}
	err = s.Store.Update(ctx, store.System("directory.add-organization"), func(tx *store.Tx) error {
		_, err := tx.Exec(insertOrg, o.ID, o.Slug, o.Kind, o.State, sealed, store.Micros(now))
		if err == nil {
			_, err = tx.Exec(insertSlug, o.Slug, o.ID)
		}
		switch {
		case errors.Is(err, store.ErrUnique):
			return ErrSlugTaken
		case err != nil:
			return fmt.Errorf("directory: insert organization: %w", err)
		}
		if err := s.Access.BumpTx(tx, o.ID); err != nil {
			return err
		}
		if err := s.foundTx(tx, who, f, now); err != nil {
			return err
		}
		return f.pen.Record(tx, audit.Entry{
			Kind: EventOrgAdded, Target: target("organization", o.ID), Person: f.owner,
			Changes: []audit.Change{{Field: "name", After: name}, {Field: "slug", After: o.Slug}, {Field: "owner", After: f.owner.String()}},
		})
	})
	if err != nil {
		return Org{}, id.User{}, err
	}
	return o, f.owner, nil
}

// founding is the prepared first owner of an organization.
type founding struct {
	pen    *audit.Pen
	owner  id.User // zero: she is invited
	person *person
	join   joining
	invite *invitationDraft
}

func (s *Service) founding(ctx context.Context, who caller.Caller, o Org, n NewOrg) (f founding, err error) {
	if n.Invite != nil {
		n.Invite.Roles = []access.Grant{{Role: access.RoleOwner}}
		if f.pen, err = s.Audit.Pen(ctx, who, o.ID); err != nil {
			return f, err
		}
		f.pen.Global() // staff are no members
		d, err := s.draft(ctx, who, f.pen, o, *n.Invite)
		f.invite = &d
		return f, err
	}
	var display, address string
	if f.owner = n.Owner; n.Found != nil {
		f.owner, display, address = id.NewUser(s.Now()), n.Found.Profile.Name, n.Found.Email
	} else {
		u, err := s.FindUser(ctx, f.owner)
		if err != nil {
			return f, err
		}
		display, address = u.Profile.Name, u.Email()
	}
	if f.pen, err = s.Audit.Pen(ctx, who, o.ID, f.owner); err != nil {
		return f, err
	}
	if !who.User.IsZero() && who.User != f.owner {
		f.pen.Global()
	}
	if n.Found != nil {
		if n.Found.Kind == "" {
			n.Found.Kind = n.Kind
		}
		made, err := s.person(f.pen.Ring, f.owner, *n.Found)
		if err != nil {
			return f, err
		}
		f.person = &made
	}
	f.join, err = s.joining(f.pen.Ring, o.ID, f.owner, display, address)
	return f, err
}

func (s *Service) foundTx(tx *store.Tx, who caller.Caller, f founding, now time.Time) error {
	if d := f.invite; d != nil {
		_, err := tx.Exec(insertFirst, d.Org, d.ID, id.HashSecret(d.token), d.email, d.hash, d.roles, d.Locale, d.By, store.Micros(d.Created), store.Micros(d.Expires))
		if err != nil {
			return fmt.Errorf("directory: insert invitation: %w", err)
		}
		return s.invitedTx(tx, f.pen, *d)
	}
	if f.person != nil {
		if err := insertPersonTx(tx, *f.person, now); err != nil {
			return err
		}
	}
	if _, err := insertJoiningTx(tx, f.join, now); err != nil {
		return err
	}
	return s.Access.AddGrantsTx(tx, f.join.org, f.owner, []access.Grant{{Role: access.RoleOwner}}, who.ID())
}

func target[T fmt.Stringer](kind string, v T) audit.Target {
	return audit.Target{Kind: kind, ID: v.String()}
}

// person seals a new user's fields.
func (s *Service) person(ring *keyring.Ring, user id.User, n NewUser) (person, error) {
	email, normalized, err := ParseEmail(n.Email)
	if err != nil {
		return person{}, err
	}
	profile, err := s.sealProfile(ring, user, n.Profile)
	if err != nil {
		return person{}, err
	}
	if n.Kind == "" {
		n.Kind = Customer
	}
	now := s.Now()
	a := newAddress{id: id.NewAddress(now), hash: emailHash(ring, normalized), main: true}
	if n.Verified {
		a.verified = now
	}
	if a.email, err = ring.SealText(keyring.Person(user), labelEmail, a.id.String(), email); err != nil {
		return person{}, fmt.Errorf("directory: seal address: %w", err)
	}
	return person{id: user, kind: n.Kind, profile: profile, addrs: []newAddress{a}}, nil
}

func (s *Service) sealProfile(ring *keyring.Ring, user id.User, p Profile) ([]byte, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	plain, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	sealed, err := ring.Seal(keyring.Person(user), labelProfile, user.String(), plain)
	if err != nil {
		return nil, fmt.Errorf("directory: seal profile: %w", err)
	}
	return sealed, nil
}

// check refuses a profile of a wrong form and tidies its name.
func (p *Profile) check() (err error) {
	if p.Name, err = cleanName(p.Name); err != nil {
		return err
	}
	if p.Locale != "" && !slices.Contains([]string{"en", "fr", "nl"}, p.Locale) {
		return fault.New(fault.Invalid, "directory.error.locale", nil).At("/locale", "directory.error.locale")
	}
	if p.Zone != "" {
		// "Local" would be the server's own zone.
		if _, err := time.LoadLocation(p.Zone); err != nil || p.Zone == "Local" {
			return fault.New(fault.Invalid, "directory.error.zone", err).At("/zone", "directory.error.zone")
		}
	}
	return nil
}

// joining seals a new membership's fields for the organization.
func (s *Service) joining(ring *keyring.Ring, org id.Org, user id.User, name, address string) (j joining, err error) {
	j = joining{org: org, id: id.NewMembership(s.Now()), user: user}
	owner := keyring.Organization(org)
	email, normalized, err := ParseEmail(address)
	if err != nil {
		return j, err
	}
	if j.name, err = ring.SealText(owner, labelMemberName, j.id.String(), name); err == nil {
		j.email, err = ring.SealText(owner, labelMemberEmail, j.id.String(), email)
	}
	if err != nil {
		return j, fmt.Errorf("directory: seal membership: %w", err)
	}
	j.hash = ring.Hash(owner, hashMemberEmail, normalized)
	return j, nil
}

// OrgChange is what ChangeOrg changes; nil stays.
type OrgChange struct {
	Name *string
	Slug *string
}

// ChangeOrg renames the organization. version is the one that the change rests
// on; the error is ErrChanged when there is a newer one, ErrName, ErrSlug or
// ErrSlugTaken. A former slug leads here for 90 days and is never given to
// another organization.
func (s *Service) ChangeOrg(ctx context.Context, who caller.Caller, org id.Org, version int64, c OrgChange) (Org, error) {
	before, err := s.FindOrg(ctx, org)
	if err != nil {
		return Org{}, err
	}
	if before.Version != version {
		return Org{}, ErrChanged
	}
	after := before
	if c.Name != nil {
		if after.Name, err = cleanName(*c.Name); err != nil {
			return Org{}, err
		}
	}
	if c.Slug != nil {
		if after.Slug = *c.Slug; !validSlug(after.Slug) {
			return Org{}, ErrSlug
		}
	}
	changes := changed(nil, "name", before.Name, after.Name)
	changes = changed(changes, "slug", before.Slug, after.Slug)
	if len(changes) == 0 {
		return before, nil
	}
	pen, err := s.Audit.Pen(ctx, who, org)
	if err != nil {
		return Org{}, err
	}
	sealed, err := pen.SealText(keyring.Organization(org), labelOrgName, org.String(), after.Name)
	if err != nil {
		return Org{}, fmt.Errorf("directory: seal organization: %w", err)
	}
	now := s.Now()
	err = s.Store.Update(ctx, store.Org(org), func(tx *store.Tx) error {
		if err := s.Access.BumpTx(tx, org); err != nil {
			return err
		}
		if before.Slug != after.Slug {
			if err := moveSlugTx(tx, before.Slug, after.Slug, now); err != nil {
				return err
			}
		}
		n, err := tx.Exec(updateOrg, after.Slug, sealed, version)
		switch {
		case errors.Is(err, store.ErrUnique):
			return ErrSlugTaken
		case err != nil:
			return fmt.Errorf("directory: update organization: %w", err)
		case n == 0:
			return ErrChanged
		}
		return pen.Record(tx, audit.Entry{Kind: EventOrgChanged, Target: target("organization", org), Changes: changes})
	})
	after.Version++
	return after, err
}

// moveSlugTx takes the new slug, which may be a former one of the same
// organization, and retires the old.
func moveSlugTx(tx *store.Tx, before, after string, now time.Time) error {
	n, err := tx.Exec(reuseSlug, after)
	if err == nil && n == 0 {
		_, err = tx.Exec(addSlug, after)
	}
	if errors.Is(err, store.ErrUnique) {
		return ErrSlugTaken
	}
	if err == nil {
		_, err = tx.Exec(retireSlug, store.Micros(now), before)
	}
	if err != nil {
		return fmt.Errorf("directory: move slug: %w", err)
	}
	return nil
}

// changed adds a change of a field, if it is one.
func changed[T comparable](changes []audit.Change, field string, before, after T) []audit.Change {
	if before == after {
		return changes
	}
	return append(changes, audit.Change{Field: field, Before: before, After: after})
}

// SetOrgState suspends an organization or makes it active again: an act of
// staff. Nobody of a suspended organization gets in.
func (s *Service) SetOrgState(ctx context.Context, who caller.Caller, org id.Org, st State) (Org, error) {
	if st != Active && st != Suspended {
		return Org{}, fault.New(fault.Invalid, "directory.error.state", nil)
	}
	o, err := s.FindOrg(ctx, org)
	if err != nil {
		return Org{}, err
	}
	if o.State == Closing {
		return Org{}, fault.New(fault.Conflict, "directory.error.closing", nil)
	}
	if o.State == st {
		return o, nil
	}
	pen, err := s.Audit.Pen(ctx, who, org)
	if err != nil {
		return Org{}, err
	}
	pen.Global()
	err = s.Store.Update(ctx, store.System("directory.organization-state"), func(tx *store.Tx) error {
		if err := s.Access.BumpTx(tx, org); err != nil {
			return err
		}
		n, err := tx.Exec(updateOrgSt, st, org)
		if err != nil {
			return fmt.Errorf("directory: update organization: %w", err)
		}
		if n == 0 {
			return ErrChanged
		}
		if st == Suspended && s.OnDisable != nil {
			if err := s.OnDisable(tx, org, id.User{}); err != nil {
				return err
			}
		}
		return pen.Record(tx, audit.Entry{Kind: EventOrgState, Target: target("organization", org), Changes: changed(nil, "state", o.State, st)})
	})
	o.State = st
	o.Version++
	return o, err
}

// maxName bounds names of organizations, workspaces and people, in characters.
const maxName = 120

// cleanName tidies a name; the error is ErrName. Characters that only steer
// how text is laid out are refused: a name is shown beside others, and must
// not be able to dress up as one.
func cleanName(s string) (string, error) {
	if !utf8.ValidString(s) {
		return "", ErrName
	}
	s = strings.Join(strings.Fields(s), " ")
	if s == "" || utf8.RuneCountInString(s) > maxName {
		return "", ErrName
	}
	for _, r := range s {
		if r != ' ' && !unicode.IsGraphic(r) || unicode.Is(unicode.Cf, r) {
			return "", ErrName
		}
	}
	return s, nil
}

// reserved are slugs that would be mistaken for pages of ours.
var reserved = []string{"new", "staff", "api", "admin", "console", "account", "sign-in", "trust", "status", "docs", "rempart", "security", "support", "system", "www"}

// validSlug allows 2 to 40 lower-case letters, digits and single hyphens.
func validSlug(s string) bool {
	if len(s) < 2 || len(s) > 40 || s[0] == '-' || s[len(s)-1] == '-' || strings.Contains(s, "--") || slices.Contains(reserved, s) {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}
