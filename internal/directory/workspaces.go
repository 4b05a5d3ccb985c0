package directory

import (
	"context"
	"errors"
	"fmt"

	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/keyring"
	"github.com/rempart/rempart/internal/store"
)

// AddWorkspace makes a workspace. The error is ErrName, ErrSlug or ErrSlugTaken.
func (s *Service) AddWorkspace(ctx context.Context, who caller.Caller, org id.Org, name, slug string) (Workspace, error) {
	name, err := cleanName(name)
	if err != nil {
		return Workspace{}, err
	}
	if !validSlug(slug) {
		return Workspace{}, ErrSlug
	}
	pen, err := s.Audit.Pen(ctx, who, org)
	if err != nil {
		return Workspace{}, err
	}
	now := s.Now()
	w := Workspace{ID: id.NewWorkspace(now), Org: org, Slug: slug, Name: name, State: Active, Version: 1, Created: now}
	sealed, err := pen.SealText(keyring.Organization(org), labelWorkspaceName, w.ID.String(), name)
	if err != nil {
		return Workspace{}, fmt.Errorf("directory: seal workspace: %w", err)
	}
	err = s.Store.Update(ctx, store.Org(org), func(tx *store.Tx) error {
		if err := s.Access.BumpTx(tx, org); err != nil {
			return referred(err)
		}
		_, err := tx.Exec(insertWsp, w.ID, slug, sealed, store.Micros(now))
		switch {
		case errors.Is(err, store.ErrUnique):
			return ErrSlugTaken
		case err != nil:
			return fmt.Errorf("directory: insert workspace: %w", err)
		}
		return pen.Record(tx, audit.Entry{
			Kind: EventWorkspaceAdded, Target: target("workspace", w.ID),
			Changes: []audit.Change{{Field: "name", After: name}, {Field: "slug", After: slug}},
		})
	})
	return w, err
}

// WorkspaceChange is what ChangeWorkspace changes; nil stays.
type WorkspaceChange struct {
	Name  *string
	Slug  *string
	State *State
}

// ChangeWorkspace renames, suspends or reactivates a workspace. version is the
// one that the change rests on; the error is ErrChanged when there is a newer
// one.
func (s *Service) ChangeWorkspace(ctx context.Context, who caller.Caller, org id.Org, ws id.Workspace, version int64, c WorkspaceChange) (Workspace, error) {
	before, err := s.FindWorkspace(ctx, org, ws)
	if err != nil {
		return Workspace{}, err
	}
	if before.Version != version {
		return Workspace{}, ErrChanged
	}
	after := before
	if c.Name != nil {
		if after.Name, err = cleanName(*c.Name); err != nil {
			return Workspace{}, err
		}
	}
	if c.Slug != nil {
		if after.Slug = *c.Slug; !validSlug(after.Slug) {
			return Workspace{}, ErrSlug
		}
	}
	if c.State != nil {
		if after.State = *c.State; after.State != Active && after.State != Suspended {
			return Workspace{}, fault.New(fault.Invalid, "directory.error.state", nil)
		}
	}
	changes := changed(nil, "name", before.Name, after.Name)
	changes = changed(changes, "slug", before.Slug, after.Slug)
	changes = changed(changes, "state", before.State, after.State)
	if len(changes) == 0 {
		return before, nil
	}
	pen, err := s.Audit.Pen(ctx, who, org)
	if err != nil {
		return Workspace{}, err
	}
	sealed, err := pen.SealText(keyring.Organization(org), labelWorkspaceName, ws.String(), after.Name)
	if err != nil {
		return Workspace{}, fmt.Errorf("directory: seal workspace: %w", err)
	}
	err = s.Store.Update(ctx, store.Org(org), func(tx *store.Tx) error {
		if err := s.Access.BumpTx(tx, org); err != nil {
			return err
		}
		n, err := tx.Exec(updateWsp, after.Slug, sealed, after.State, ws, version)
		switch {
		case errors.Is(err, store.ErrUnique):
			return ErrSlugTaken
		case err != nil:
			return fmt.Errorf("directory: update workspace: %w", err)
		case n == 0:
			return ErrChanged
		}
		return pen.Record(tx, audit.Entry{Kind: EventWorkspaceChanged, Target: target("workspace", ws), Changes: changes})
	})
	after.Version++
	return after, err
}

// ErrInUse refuses to remove a workspace that something else still refers to.
var ErrInUse = fault.New(fault.Conflict, "directory.error.workspace-in-use", nil)

// RemoveWorkspace removes a workspace with every role that is bound to it. The
// error is ErrInUse when anything else, such as an API key, is bound to it.
func (s *Service) RemoveWorkspace(ctx context.Context, who caller.Caller, org id.Org, ws id.Workspace) error {
	w, err := s.FindWorkspace(ctx, org, ws)
	if err != nil {
		return err
	}
	pen, err := s.Audit.Pen(ctx, who, org)
	if err != nil {
		return err
	}
	return s.Store.Update(ctx, store.Org(org), func(tx *store.Tx) error {
		if err := s.Access.BumpTx(tx, org); err != nil {
			return err
		}
		if err := s.Access.RemovePlaceTx(tx, ws); err != nil {
			return err
		}
		n, err := tx.Exec(deleteWsp, ws)
		if errors.Is(err, store.ErrReference) {
			return ErrInUse
		}
		if err := none(orNone(n, err), "delete workspace"); err != nil {
			return err
		}
		return pen.Record(tx, audit.Entry{
			Kind: EventWorkspaceRemoved, Target: target("workspace", ws),
			Changes: []audit.Change{{Field: "name", Before: w.Name}, {Field: "slug", Before: w.Slug}},
		})
	})
}
