package access

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/store"
)

// Grant is a role at the organization, or at one of its workspaces.
type Grant struct {
	Role      string       `json:"role" enum:"owner,admin,member,auditor,guest"`
	Workspace id.Workspace `json:"workspace,omitzero"`
}

// Assignment binds a role to a user.
type Assignment struct {
	ID        id.Assignment `json:"id"`
	User      id.User       `json:"user"`
	Role      string        `json:"role"`
	Workspace id.Workspace  `json:"workspace,omitzero"`
	At        time.Time     `json:"assigned_at"`
	By        string        `json:"assigned_by"`
}

// Errors of assignments; each is a fault.
var (
	ErrLastOwner = fault.New(fault.Conflict, "access.error.last-owner", nil)
	ErrElevation = fault.New(fault.Denied, "access.error.elevation", nil)
	ErrRole      = fault.New(fault.Invalid, "access.error.role", nil)
	ErrGuest     = fault.New(fault.Invalid, "access.error.guest", nil)
	ErrNoRole    = fault.New(fault.Invalid, "access.error.no-role", nil)
)

// maxGrants bounds the roles of one member.
const maxGrants = 200

// CheckGrants refuses grants that make no sense: an unknown role, a guest of the
// whole organization, an owner of a workspace, none at all.
func (c *Catalogue) CheckGrants(grants []Grant) error {
	if len(grants) == 0 {
		return ErrNoRole
	}
	if len(grants) > maxGrants {
		return ErrRole
	}
	seen := map[Grant]bool{}
	for _, g := range grants {
		switch g.Role {
		case RoleOwner:
			if !g.Workspace.IsZero() {
				return ErrRole
			}
		case RoleGuest:
			if g.Workspace.IsZero() {
				return ErrGuest
			}
		case RoleAdmin, RoleMember, RoleAuditor:
		default:
			return ErrRole
		}
		if seen[g] {
			return ErrRole
		}
		seen[g] = true
	}
	return nil
}

// within reports whether each grant gives no more than the giver has, in the
// same place.
func (c *Catalogue) within(grants []Grant, giver profile) bool {
	for _, g := range grants {
		give := c.roles[g.Role]
		have := giver.org
		if !g.Workspace.IsZero() {
			give = give.keep(c.workspace)
			for k := range giver.places {
				if giver.places[k].ws == g.Workspace {
					have.union(giver.places[k].set)
				}
			}
		}
		if !give.within(have) {
			return false
		}
	}
	return true
}

// AddGrantsTx assigns the roles to a new member, in a transaction of the
// organization's or the system's scope that has called BumpTx. by is the
// actor's identifier. What the giver may give was decided before.
func (s *Service) AddGrantsTx(tx *store.Tx, org id.Org, user id.User, grants []Grant, by string) error {
	for _, g := range grants {
		if _, err := s.insert(tx, org, user, g, by); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) insert(tx *store.Tx, org id.Org, user id.User, g Grant, by string) (Assignment, error) {
	now := s.Now()
	a := Assignment{ID: id.NewAssignment(now), User: user, Role: g.Role, Workspace: g.Workspace, At: now, By: by}
	var err error
	if tx.Scope() == store.Org(org) {
		_, err = tx.Exec(insertSQL, a.ID, user, g.Role, g.Workspace, store.Micros(now), by)
	} else {
		_, err = tx.Exec(insertSystemSQL, org, a.ID, user, g.Role, g.Workspace, store.Micros(now), by)
	}
	switch {
	case errors.Is(err, store.ErrReference):
		return a, fault.ErrNotFound
	case err != nil:
		return a, fmt.Errorf("access: insert assignment: %w", err)
	}
	return a, nil
}

// RemoveAllTx takes every role of the user in the organization of tx's scope,
// after BumpTx and KeepOwnerTx.
func (s *Service) RemoveAllTx(tx *store.Tx, user id.User) error {
	if _, err := tx.Exec(deleteOfSQL, user); err != nil {
		return fmt.Errorf("access: delete assignments: %w", err)
	}
	return nil
}

// RemovePlaceTx takes every role that is bound to the workspace, when it is removed.
func (s *Service) RemovePlaceTx(tx *store.Tx, ws id.Workspace) error {
	if _, err := tx.Exec(deleteInSQL, ws); err != nil {
		return fmt.Errorf("access: delete assignments of a workspace: %w", err)
	}
	return nil
}

// KeepOwnerTx refuses with ErrLastOwner when the organization of tx's scope
// would have no active owner without the user. It is called after BumpTx, so
// that of two transactions that each remove one of two owners one waits and
// then sees what the other did.
func (s *Service) KeepOwnerTx(tx *store.Tx, without id.User) error {
	owners, err := selectOwners(tx)
	if err != nil {
		return fmt.Errorf("access: select owners: %w", err)
	}
	was := false
	others := owners[:0:0]
	for _, u := range owners {
		if u == without {
			was = true
		} else {
			others = append(others, u)
		}
	}
	if !was {
		return nil // she is no owner: nothing is lost
	}
	states, err := s.Facts.MembersTx(tx, others)
	if err != nil {
		return err
	}
	for _, u := range others {
		if states[u] == Active {
			return nil
		}
	}
	return ErrLastOwner
}

// ask decides by the database.
func (s *Service) ask(ctx context.Context, user id.User, i int, level capability.Level, org id.Org, ws id.Workspace) error {
	st, err := s.Facts.Standing(ctx, org, user)
	if err != nil {
		return err
	}
	if err := refusal(st); err != nil {
		return err
	}
	pr, err := s.profileOf(ctx, org, user)
	if err != nil {
		return err
	}
	// Who may not is told so whether or not there is such a workspace.
	if !pr.allows(i, level, ws) {
		return fault.ErrDenied
	}
	if !ws.IsZero() {
		return s.workspace(ctx, org, ws)
	}
	return nil
}

// profileOf reads what the user's roles come to, whatever her state.
func (s *Service) profileOf(ctx context.Context, org id.Org, user id.User) (profile, error) {
	as, err := s.Of(ctx, org, user)
	if err != nil {
		return profile{}, err
	}
	return s.Catalogue.profile(heldOf(as)), nil
}

func heldOf(as []Assignment) []held {
	out := make([]held, len(as))
	for i, a := range as {
		out[i] = held{a.User, a.Role, a.Workspace}
	}
	return out
}

// Of lists the user's assignments in the organization.
func (s *Service) Of(ctx context.Context, org id.Org, user id.User) (as []Assignment, err error) {
	err = s.Store.View(ctx, store.Org(org), func(tx *store.Tx) (err error) {
		as, err = selectAssignments(tx, user)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("access: assignments of a user: %w", err)
	}
	return as, nil
}

// OfTx is Of inside a transaction of the organization's scope.
func (s *Service) OfTx(tx *store.Tx, user id.User) ([]Assignment, error) {
	return selectAssignments(tx, user)
}

// Held are the roles of every member of the organization.
func (s *Service) Held(ctx context.Context, org id.Org) (map[id.User][]Grant, error) {
	out := map[id.User][]Grant{}
	err := s.Store.View(ctx, store.Org(org), func(tx *store.Tx) error {
		rows, err := selectHeld(tx)
		for _, h := range rows {
			out[h.user] = append(out[h.user], Grant{h.role, h.ws})
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("access: roles of the members: %w", err)
	}
	return out, nil
}

// Own are the user's roles in each of her organizations.
func (s *Service) Own(ctx context.Context, user id.User) (map[id.Org][]Grant, error) {
	out := map[id.Org][]Grant{}
	err := s.Store.View(ctx, store.User(user), func(tx *store.Tx) error {
		r := tx.Query(mineSQL)
		for r.Next() {
			var o id.Org
			var g Grant
			if err := r.Scan(&o, &g.Role, &g.Workspace); err != nil {
				return errors.Join(err, r.Close())
			}
			out[o] = append(out[o], g)
		}
		return r.Close()
	})
	if err != nil {
		return nil, fmt.Errorf("access: roles of a user: %w", err)
	}
	return out, nil
}

// Effective are the permissions that the user's roles give her in the
// organization: everywhere, and beyond that in each workspace.
func (s *Service) Effective(ctx context.Context, org id.Org, user id.User) (everywhere []string, in map[id.Workspace][]string, err error) {
	pr, err := s.profileOf(ctx, org, user)
	if err != nil {
		return nil, nil, err
	}
	in = map[id.Workspace][]string{}
	for _, p := range pr.places {
		in[p.ws] = s.Catalogue.names(p.set)
	}
	return s.Catalogue.names(pr.org), in, nil
}
