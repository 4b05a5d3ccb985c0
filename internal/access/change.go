package access

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/store"
)

// Change gives the member exactly these roles in the organization. The caller
// gives no more than she has, acts on nobody who has more than she, and the
// organization keeps an active owner. The error is ErrElevation, ErrLastOwner,
// ErrRole, ErrGuest, ErrNoRole or fault.ErrNotFound.
func (s *Service) Change(ctx context.Context, who caller.Caller, org id.Org, user id.User, grants []Grant) ([]Assignment, error) {
	if err := s.Catalogue.CheckGrants(grants); err != nil {
		return nil, err
	}
	if err := s.CheckPlaces(ctx, org, grants); err != nil {
		return nil, err
	}
	pen, err := s.Audit.Pen(ctx, who, org, user)
	if err != nil {
		return nil, err
	}
	var after []Assignment
	err = s.Store.Update(ctx, store.Org(org), func(tx *store.Tx) error {
		if err := s.BumpTx(tx, org); err != nil {
			return err
		}
		states, err := s.Facts.MembersTx(tx, []id.User{user})
		if err != nil {
			return err
		}
		if states[user] == Absent {
			return fault.ErrNotFound
		}
		before, err := selectAssignments(tx, user)
		if err != nil {
			return fmt.Errorf("access: select assignments: %w", err)
		}
		if err := s.mayChangeTx(tx, who, org, user, before, grants); err != nil {
			return err
		}
		if had, has := owns(grantsOf(before)), owns(grants); had && !has {
			if err := s.KeepOwnerTx(tx, user); err != nil {
				return err
			}
		}
		if after, err = s.replace(tx, org, user, before, grants, who.ID()); err != nil {
			return err
		}
		return pen.Record(tx, audit.Entry{
			Kind: EventChanged, Target: audit.Target{Kind: "user", ID: user.String()}, Person: user,
			Changes: []audit.Change{{Field: "roles", Before: grantsOf(before), After: grants}},
		})
	})
	if err != nil {
		return nil, s.refused(ctx, who, org, user, err)
	}
	return after, nil
}

// replace turns the assignments into the grants, keeping those that stay.
func (s *Service) replace(tx *store.Tx, org id.Org, user id.User, before []Assignment, grants []Grant, by string) (after []Assignment, err error) {
	for _, a := range before {
		if slices.Contains(grants, a.grant()) {
			after = append(after, a)
			continue
		}
		if _, err := tx.Exec(deleteSQL, a.ID); err != nil {
			return nil, fmt.Errorf("access: delete assignment: %w", err)
		}
	}
	kept := grantsOf(after)
	for _, g := range grants {
		if slices.Contains(kept, g) {
			continue
		}
		a, err := s.insert(tx, org, user, g, by)
		if err != nil {
			return nil, err
		}
		after = append(after, a)
	}
	return after, nil
}

// mayChangeTx decides, in the transaction, whether who may take the roles that
// go and give those that come.
func (s *Service) mayChangeTx(tx *store.Tx, who caller.Caller, org id.Org, user id.User, before []Assignment, grants []Grant) error {
	give, all, err := s.giverTx(tx, who, org)
	if err != nil || all {
		return err
	}
	// Roles that stay as they are were not given by her.
	changed := []Grant{}
	for _, g := range grants {
		if !slices.Contains(grantsOf(before), g) {
			changed = append(changed, g)
		}
	}
	if !s.Catalogue.within(changed, give) {
		return ErrElevation
	}
	if user != who.User && !s.Catalogue.within(grantsOf(before), give) {
		return ErrElevation
	}
	return nil
}

// MayGiveTx refuses with ErrElevation when who would give more than she has. tx
// has the organization's scope and has called BumpTx.
func (s *Service) MayGiveTx(tx *store.Tx, who caller.Caller, org id.Org, grants []Grant) error {
	give, all, err := s.giverTx(tx, who, org)
	if err != nil || all || s.Catalogue.within(grants, give) {
		return err
	}
	return ErrElevation
}

// MayTouchTx refuses with ErrElevation when the user has more than who: an
// administrator doesn't suspend an owner. tx as for MayGiveTx.
func (s *Service) MayTouchTx(tx *store.Tx, who caller.Caller, org id.Org, user id.User) error {
	if user == who.User {
		return nil
	}
	mine, err := selectAssignments(tx, user)
	if err != nil {
		return fmt.Errorf("access: select assignments: %w", err)
	}
	return s.MayGiveTx(tx, who, org, grantsOf(mine))
}

// giverTx is what the caller has to give; all for the server itself and the
// machine's operators.
func (s *Service) giverTx(tx *store.Tx, who caller.Caller, org id.Org) (p profile, all bool, err error) {
	switch who.Kind {
	case caller.System, caller.Local:
		return p, true, nil
	}
	if who.User.IsZero() {
		if who.Org == org && who.Scopes != nil && who.Workspaces == nil {
			p.org = s.Catalogue.set(who.Scopes)
		}
		return p, false, nil
	}
	states, err := s.Facts.MembersTx(tx, []id.User{who.User})
	if err != nil {
		return p, false, err
	}
	if states[who.User] != Active {
		return p, false, nil
	}
	as, err := selectAssignments(tx, who.User)
	if err != nil {
		return p, false, fmt.Errorf("access: select assignments: %w", err)
	}
	p = s.Catalogue.profile(heldOf(as))
	if who.Workspaces != nil {
		p.org = Set{}
		p.places = slices.DeleteFunc(p.places, func(pl place) bool { return !slices.Contains(who.Workspaces, pl.ws) })
	}
	if who.Scopes != nil {
		limit := s.Catalogue.set(who.Scopes)
		p.org = p.org.keep(limit)
		for i := range p.places {
			p.places[i].set = p.places[i].set.keep(limit)
		}
	}
	return p, false, nil
}

// set is the permissions of the names; what is no permission is left out.
func (c *Catalogue) set(names []string) (out Set) {
	for _, n := range names {
		if i, ok := c.index[n]; ok {
			out.add(i)
		}
	}
	return out
}

// CheckPlaces refuses grants at workspaces that are not the organization's, or
// not active.
func (s *Service) CheckPlaces(ctx context.Context, org id.Org, grants []Grant) error {
	for _, g := range grants {
		if g.Workspace.IsZero() {
			continue
		}
		st, err := s.Facts.Workspace(ctx, org, g.Workspace)
		if err != nil {
			return err
		}
		if st != Active {
			return ErrRole
		}
	}
	return nil
}

// refused records the refusal of what would have raised somebody, and gives
// the error back.
func (s *Service) refused(ctx context.Context, who caller.Caller, org id.Org, user id.User, err error) error {
	if !errors.Is(err, ErrElevation) && !errors.Is(err, ErrLastOwner) {
		return err
	}
	rerr := s.Audit.Refuse(ctx, who, org, audit.Entry{
		Kind: EventRefused, Target: audit.Target{Kind: "user", ID: user.String()}, Outcome: audit.Denied, Code: fault.Of(err).Key,
	})
	if rerr != nil {
		return rerr
	}
	return err
}

func (a Assignment) grant() Grant { return Grant{a.Role, a.Workspace} }

func grantsOf(as []Assignment) []Grant {
	out := make([]Grant, len(as))
	for i, a := range as {
		out[i] = a.grant()
	}
	return out
}

func owns(grants []Grant) bool { return slices.Contains(grants, Grant{Role: RoleOwner}) }

// Explanation is why a member may or may not use a permission.
type Explanation struct {
	Permission string       `json:"permission"`
	Workspace  id.Workspace `json:"workspace,omitzero"`
	Allowed    bool         `json:"allowed"`
	StepUp     bool         `json:"step_up" doc:"It also needs a fresh proof of the authenticators."`
	By         []Grant      `json:"by" doc:"The roles that give it."`
	Why        string       `json:"reason" doc:"A name that programs may decide by: allowed, no_role, suspended, organization_suspended, user_disabled, not_found."`
}

// Explain says why the user may or may not use the permission, by the same
// states and roles that Authorize decides by, read from the database.
func (s *Service) Explain(ctx context.Context, org id.Org, user id.User, permission string, ws id.Workspace) (Explanation, error) {
	e := Explanation{Permission: permission, Workspace: ws, By: []Grant{}, Why: "no_role"}
	i, ok := s.Catalogue.index[permission]
	if !ok {
		return e, fault.ErrNotFound
	}
	p := s.Catalogue.perms[i]
	e.StepUp = p.StepUp
	st, err := s.Facts.Standing(ctx, org, user)
	if err != nil {
		return e, err
	}
	as, err := s.Of(ctx, org, user)
	if err != nil {
		return e, err
	}
	for _, a := range as {
		one := s.Catalogue.profile([]held{{a.User, a.Role, a.Workspace}})
		if one.allows(i, p.Level, ws) {
			e.By = append(e.By, a.grant())
		}
	}
	switch err := refusal(st); {
	case errors.Is(err, fault.ErrNotFound):
		return e, err
	case errors.Is(err, ErrOrgSuspended):
		e.Why = "organization_suspended"
	case errors.Is(err, ErrSuspended):
		e.Why = "suspended"
	case errors.Is(err, ErrDisabled):
		e.Why = "user_disabled"
	default:
		if !ws.IsZero() {
			switch err := s.workspace(ctx, org, ws); {
			case errors.Is(err, fault.ErrNotFound):
				return e, err
			case errors.Is(err, fault.ErrDenied):
				e.Why = "workspace_suspended"
				return e, nil
			case err != nil:
				return e, err
			}
		}
		if len(e.By) > 0 {
			e.Allowed, e.Why = true, "allowed"
		}
	}
	return e, nil
}
