package directory

import (
	"context"
	"errors"
	"fmt"

	"github.com/rempart/rempart/internal/access"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/store"
)

// What access asks of this package. An absent thing is a state, not an error.

// state turns "no row" into Absent.
func state(st State, err error) (access.State, error) {
	switch {
	case errors.Is(err, store.ErrNone):
		return access.Absent, nil
	case err != nil:
		return access.Absent, fmt.Errorf("directory: state: %w", err)
	}
	return st.Access(), nil
}

func (s *Service) userState(ctx context.Context, user id.User) (access.State, error) {
	var st State
	var kind Kind
	err := s.Store.View(ctx, store.Lookup(), func(tx *store.Tx) error {
		return tx.Row(lookupUser, user).Scan(&kind, &st)
	})
	return state(st, err)
}

func (s *Service) orgState(ctx context.Context, org id.Org) (access.State, error) {
	if org.IsZero() {
		return access.Absent, nil
	}
	var row orgRow
	err := s.Store.View(ctx, store.Org(org), func(tx *store.Tx) (err error) {
		row, err = scanOrg(tx.Row(selectOrg))
		return err
	})
	return state(row.State, err)
}

func (s *Service) workspaceState(ctx context.Context, org id.Org, ws id.Workspace) (access.State, error) {
	var row workspaceRow
	err := s.Store.View(ctx, store.Org(org), func(tx *store.Tx) (err error) {
		row, err = scanWorkspace(tx.Row(selectWorkspace, ws))
		return err
	})
	return state(row.State, err)
}

func (s *Service) standing(ctx context.Context, org id.Org, user id.User) (st access.Standing, err error) {
	if org.IsZero() || user.IsZero() {
		return st, nil
	}
	err = s.Store.View(ctx, store.Org(org), func(tx *store.Tx) error {
		o, err := scanOrg(tx.Row(selectOrg))
		if st.Org, err = state(o.State, err); err != nil {
			return err
		}
		m, err := scanMembership(tx.Row(selectMembership, user))
		st.Member, err = state(m.State, err)
		return err
	})
	if err != nil {
		return st, err
	}
	st.User, err = s.userState(ctx, user)
	return st, err
}

func (s *Service) roster(ctx context.Context, org id.Org) (ro access.Roster, err error) {
	ro.Members = map[id.User]access.State{}
	err = s.Store.View(ctx, store.Org(org), func(tx *store.Tx) error {
		o, err := scanOrg(tx.Row(selectOrg))
		if ro.Org, err = state(o.State, err); err != nil {
			return err
		}
		rows, err := store.All(tx, func(r *store.Rows) (workspaceRow, error) { return scanWorkspace(r) }, listWorkspaces)
		if err != nil {
			return err
		}
		for _, w := range rows {
			if w.State == Active {
				ro.Workspaces = append(ro.Workspaces, w.ID)
			}
		}
		return eachState(tx, func(u id.User, st State) { ro.Members[u] = st.Access() })
	})
	if err != nil {
		return ro, fmt.Errorf("directory: roster: %w", err)
	}
	return ro, nil
}

func eachState(tx *store.Tx, fn func(id.User, State)) error {
	r := tx.Query(memberStates)
	for r.Next() {
		var u id.User
		var st State
		if err := r.Scan(&u, &st); err != nil {
			return errors.Join(err, r.Close())
		}
		fn(u, st)
	}
	return r.Close()
}

func (s *Service) inactive(ctx context.Context) (map[id.User]access.State, error) {
	out := map[id.User]access.State{}
	err := s.Store.View(ctx, store.System("directory.inactive"), func(tx *store.Tx) error {
		r := tx.Query(listInactive)
		for r.Next() {
			var u id.User
			var st State
			if err := r.Scan(&u, &st); err != nil {
				return errors.Join(err, r.Close())
			}
			out[u] = st.Access()
		}
		return r.Close()
	})
	if err != nil {
		return nil, fmt.Errorf("directory: inactive users: %w", err)
	}
	return out, nil
}

func (s *Service) membersTx(tx *store.Tx, users []id.User) (map[id.User]access.State, error) {
	out := map[id.User]access.State{}
	for _, u := range users {
		m, err := scanMembership(tx.Row(selectMembership, u))
		st, err := state(m.State, err)
		if err != nil {
			return nil, err
		}
		out[u] = st
	}
	return out, nil
}
