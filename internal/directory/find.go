package directory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/rempart/rempart/internal/access"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/keyring"
	"github.com/rempart/rempart/internal/store"
)

// ErrNone is the answer for what does not exist and for what is another
// organization's: fault.ErrNotFound.
var ErrNone = fault.ErrNotFound

// slugTerm is for how long a former slug leads to its organization. It is
// never given to another, even after.
const slugTerm = 90 * 24 * time.Hour

func etag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// FindOrg gives the organization; the error is ErrNone.
func (s *Service) FindOrg(ctx context.Context, org id.Org) (Org, error) {
	if org.IsZero() {
		return Org{}, ErrNone
	}
	var row orgRow
	err := s.Store.View(ctx, store.Org(org), func(tx *store.Tx) (err error) {
		row, err = scanOrg(tx.Row(selectOrg))
		return err
	})
	if err != nil {
		return Org{}, none(err, "find organization")
	}
	return s.openOrg(ctx, row)
}

func (s *Service) openOrg(ctx context.Context, row orgRow) (Org, error) {
	ring, err := s.Keys.Ready(ctx, keyring.Organization(row.ID))
	if err != nil {
		return Org{}, err
	}
	return openOrg(ring, row)
}

func openOrg(ring *keyring.Ring, row orgRow) (Org, error) {
	name, err := ring.OpenText(keyring.Organization(row.ID), labelOrgName, row.ID.String(), row.name)
	switch {
	case errors.Is(err, keyring.ErrErased):
		// Nothing of it can be read any more; that it was there can.
	case err != nil:
		return Org{}, fmt.Errorf("directory: open organization: %w", err)
	}
	row.Name = name
	return row.Org, nil
}

// FindOrgBySlug gives the organization that the slug leads to; moved says that
// the slug is a former one, and that links should go to Org.Slug. The error is
// ErrNone.
func (s *Service) FindOrgBySlug(ctx context.Context, slug string) (o Org, moved bool, err error) {
	var row orgRow
	err = s.Store.View(ctx, store.Lookup(), func(tx *store.Tx) error {
		var org id.Org
		var retired int64
		if err := tx.Row(lookupSlug, slug).Scan(&org, &retired); err != nil {
			return err
		}
		if retired > 0 && s.Now().Sub(store.Time(retired)) > slugTerm {
			return store.ErrNone
		}
		moved = retired > 0
		row, err = scanOrg(tx.Row(lookupOrg, org))
		return err
	})
	if err != nil {
		return Org{}, false, none(err, "find organization by slug")
	}
	o, err = s.openOrg(ctx, row)
	return o, moved, err
}

// FindUser gives the user with her addresses; the error is ErrNone.
func (s *Service) FindUser(ctx context.Context, user id.User) (User, error) {
	if user.IsZero() {
		return User{}, ErrNone
	}
	var u User
	var profile []byte
	var rows []addressRow
	err := s.Store.View(ctx, store.User(user), func(tx *store.Tx) (err error) {
		var created int64
		if err = tx.Row(selectUser).Scan(&u.ID, &u.Kind, &u.State, &profile, &created); err != nil {
			return err
		}
		u.Created = store.Time(created)
		rows, err = store.All(tx, scanAddress, selectAddresses)
		return err
	})
	if err != nil {
		return User{}, none(err, "find user")
	}
	ring, err := s.Keys.Ready(ctx, keyring.Person(user))
	if err != nil {
		return User{}, err
	}
	u.Addresses = []Address{}
	plain, err := ring.Open(keyring.Person(user), labelProfile, user.String(), profile)
	if errors.Is(err, keyring.ErrErased) {
		return u, nil
	}
	if err == nil {
		err = json.Unmarshal(plain, &u.Profile)
	}
	if err != nil {
		return User{}, fmt.Errorf("directory: open user: %w", err)
	}
	for _, row := range rows {
		if row.Email, err = ring.OpenText(keyring.Person(user), labelEmail, row.ID.String(), row.email); err != nil {
			return User{}, fmt.Errorf("directory: open address: %w", err)
		}
		u.Addresses = append(u.Addresses, row.Address)
	}
	return u, nil
}

// FindUserByEmail gives whom the verified address belongs to; the error is
// ErrNone when it is nobody's, ErrEmail when it is no address. It does the same
// work for both answers up to the row itself.
func (s *Service) FindUserByEmail(ctx context.Context, address string) (Found, error) {
	_, normalized, err := ParseEmail(address)
	if err != nil {
		return Found{}, err
	}
	ring, err := s.Keys.Ready(ctx, keyring.Installation())
	if err != nil {
		return Found{}, err
	}
	return s.findHash(ctx, emailHash(ring, normalized))
}

func (s *Service) findHash(ctx context.Context, hash []byte) (f Found, err error) {
	err = s.Store.View(ctx, store.Lookup(), func(tx *store.Tx) error {
		// One statement whether or not the address is somebody's.
		return tx.Row(lookupEmail, hash).Scan(&f.Address, &f.User, &f.Kind, &f.State)
	})
	return f, none(err, "find user by address")
}

// FindMembership gives the user's membership of the organization; the error is
// ErrNone.
func (s *Service) FindMembership(ctx context.Context, org id.Org, user id.User) (m Membership, err error) {
	if org.IsZero() || user.IsZero() {
		return m, ErrNone
	}
	err = s.Store.View(ctx, store.Org(org), func(tx *store.Tx) (err error) {
		m, err = scanMembership(tx.Row(selectMembership, user))
		return err
	})
	return m, none(err, "find membership")
}

// MembershipsOf lists the user's memberships, oldest first.
func (s *Service) MembershipsOf(ctx context.Context, user id.User) (ms []Membership, err error) {
	err = s.Store.View(ctx, store.User(user), func(tx *store.Tx) (err error) {
		ms, err = store.All(tx, func(r *store.Rows) (Membership, error) { return scanMembership(r) }, ownMemberships)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("directory: memberships of a user: %w", err)
	}
	return ms, nil
}

// Belongings lists the organizations that the user belongs to, with her roles
// in each: what a chooser shows.
func (s *Service) Belongings(ctx context.Context, user id.User) ([]Belonging, error) {
	ms, err := s.MembershipsOf(ctx, user)
	if err != nil {
		return nil, err
	}
	roles, err := s.Access.Own(ctx, user)
	if err != nil {
		return nil, err
	}
	out := []Belonging{}
	for _, m := range ms {
		o, err := s.FindOrg(ctx, m.Org)
		if err != nil {
			return nil, err
		}
		out = append(out, Belonging{m, o, grants(roles[m.Org])})
	}
	return out, nil
}

// grants is never nil, so that it marshals as an array.
func grants(g []access.Grant) []access.Grant {
	if g == nil {
		return []access.Grant{}
	}
	return g
}

// FindWorkspace gives the workspace of the organization; the error is ErrNone.
func (s *Service) FindWorkspace(ctx context.Context, org id.Org, ws id.Workspace) (Workspace, error) {
	if org.IsZero() || ws.IsZero() {
		return Workspace{}, ErrNone
	}
	var row workspaceRow
	err := s.Store.View(ctx, store.Org(org), func(tx *store.Tx) (err error) {
		row, err = scanWorkspace(tx.Row(selectWorkspace, ws))
		return err
	})
	if err != nil {
		return Workspace{}, none(err, "find workspace")
	}
	ring, err := s.Keys.Ready(ctx, keyring.Organization(org))
	if err != nil {
		return Workspace{}, err
	}
	return openWorkspace(ring, org, row)
}

func openWorkspace(ring *keyring.Ring, org id.Org, row workspaceRow) (w Workspace, err error) {
	w = row.Workspace
	w.Org = org
	if w.Name, err = ring.OpenText(keyring.Organization(org), labelWorkspaceName, w.ID.String(), row.name); err != nil {
		return w, fmt.Errorf("directory: open workspace: %w", err)
	}
	return w, nil
}

// Workspaces lists the organization's workspaces, oldest first.
func (s *Service) Workspaces(ctx context.Context, org id.Org) ([]Workspace, error) {
	var rows []workspaceRow
	err := s.Store.View(ctx, store.Org(org), func(tx *store.Tx) (err error) {
		rows, err = store.All(tx, func(r *store.Rows) (workspaceRow, error) { return scanWorkspace(r) }, listWorkspaces)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("directory: list workspaces: %w", err)
	}
	ring, err := s.Keys.Ready(ctx, keyring.Organization(org))
	if err != nil {
		return nil, err
	}
	out := make([]Workspace, 0, len(rows))
	for _, row := range rows {
		w, err := openWorkspace(ring, org, row)
		if err != nil {
			return nil, err
		}
		out = append(out, w)
	}
	return out, nil
}

// StaffRoles are the user's roles in the installation; none for most.
func (s *Service) StaffRoles(ctx context.Context, user id.User) (roles []string, err error) {
	err = s.Store.View(ctx, store.User(user), func(tx *store.Tx) (err error) {
		roles, err = store.All(tx, func(r *store.Rows) (v string, err error) { return v, r.Scan(&v) }, selectStaff)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("directory: staff roles: %w", err)
	}
	return roles, nil
}

// Orgs lists the organizations after the one given, canaries left out, for
// staff. A state, if given, filters.
func (s *Service) Orgs(ctx context.Context, after id.Org, st State, limit int) ([]Org, error) {
	var rows []orgRow
	err := s.Store.View(ctx, store.Staff("directory.organizations"), func(tx *store.Tx) (err error) {
		rows, err = store.All(tx, func(r *store.Rows) (orgRow, error) { return scanOrg(r) }, listOrgs, after.String(), string(st), limit)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("directory: list organizations: %w", err)
	}
	owners := make([]keyring.Owner, len(rows))
	for i, row := range rows {
		owners[i] = keyring.Organization(row.ID)
	}
	ring, err := s.Keys.Ready(ctx, owners...)
	if err != nil {
		return nil, err
	}
	out := make([]Org, 0, len(rows))
	for _, row := range rows {
		o, err := openOrg(ring, row)
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, nil
}

// AllOrgs lists every organization with its kind, for work of the server that
// goes over all of them. Canaries are among them: whoever counts or exports
// leaves them out.
func (s *Service) AllOrgs(ctx context.Context) (map[id.Org]Kind, error) {
	out := map[id.Org]Kind{}
	err := s.Store.View(ctx, store.System("directory.organizations"), func(tx *store.Tx) error {
		r := tx.Query(listAllOrgs)
		for r.Next() {
			var o id.Org
			var k Kind
			if err := r.Scan(&o, &k); err != nil {
				return errors.Join(err, r.Close())
			}
			out[o] = k
		}
		return r.Close()
	})
	if err != nil {
		return nil, fmt.Errorf("directory: all organizations: %w", err)
	}
	return out, nil
}

// Counts are how many organizations and users are served, canaries left out.
func (s *Service) Counts(ctx context.Context) (orgs, users int64, err error) {
	err = s.Store.View(ctx, store.System("directory.counts"), func(tx *store.Tx) error {
		if err := tx.Row(countOrgs).Scan(&orgs); err != nil {
			return err
		}
		return tx.Row(countUsers).Scan(&users)
	})
	if err != nil {
		return 0, 0, fmt.Errorf("directory: counts: %w", err)
	}
	return orgs, users, nil
}

// UserIDs lists the users after the one given, canaries left out, for work of
// the server that goes over all of them.
func (s *Service) UserIDs(ctx context.Context, after id.User, limit int) (us []id.User, err error) {
	err = s.Store.View(ctx, store.System("directory.users"), func(tx *store.Tx) (err error) {
		us, err = store.All(tx, scanUserID, listUsers, after.String(), limit)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("directory: users: %w", err)
	}
	return us, nil
}
