package access

import (
	"errors"
	"fmt"
	"time"

	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/store"
)

var q = store.NewSet("access")

var (
	bumpSQL = q.Add("bump_revision", `INSERT INTO access_revisions (org_id, revision, touched_at) VALUES ($org, 1, $1)
		ON CONFLICT (org_id) DO UPDATE SET revision = access_revisions.revision + 1, touched_at = excluded.touched_at RETURNING revision`)
	bumpSystemSQL = q.Add("bump_revision_system", `INSERT INTO access_revisions (org_id, revision, touched_at) VALUES ($1, 1, $2)
		ON CONFLICT (org_id) DO UPDATE SET revision = access_revisions.revision + 1, touched_at = excluded.touched_at RETURNING revision`,
		store.ForSystem, store.ForStaff)
	bumpUserSQL = q.Add("bump_user_revision", `INSERT INTO access_user_revisions (user_id, revision, touched_at) VALUES ($user, 1, $1)
		ON CONFLICT (user_id) DO UPDATE SET revision = access_user_revisions.revision + 1, touched_at = excluded.touched_at RETURNING revision`)
	bumpUserSystemSQL = q.Add("bump_user_revision_system", `INSERT INTO access_user_revisions (user_id, revision, touched_at) VALUES ($1, 1, $2)
		ON CONFLICT (user_id) DO UPDATE SET revision = access_user_revisions.revision + 1, touched_at = excluded.touched_at RETURNING revision`,
		store.ForSystem, store.ForStaff)
	revisionSQL     = q.Add("select_revision", `SELECT revision FROM access_revisions WHERE org_id = $org`)
	revisedSQL      = q.Add("select_revised", `SELECT org_id, revision FROM access_revisions WHERE touched_at >= $1`, store.ForSystem)
	revisedUsersSQL = q.Add("select_revised_users", `SELECT user_id, revision FROM access_user_revisions WHERE touched_at >= $1`, store.ForSystem)
	heldSQL         = q.Add("select_held", `SELECT user_id, role, workspace_id FROM access_assignments WHERE org_id = $org ORDER BY user_id, role, workspace_id`)
	assignmentsSQL  = q.Add("select_assignments", `SELECT id, user_id, role, workspace_id, created_at, created_by FROM access_assignments WHERE org_id = $org AND user_id = $1 ORDER BY role, workspace_id`)
	mineSQL         = q.Add("select_own", `SELECT org_id, role, workspace_id FROM access_assignments WHERE user_id = $user ORDER BY org_id, role, workspace_id`)
	holdersSQL      = q.Add("select_holders", `SELECT user_id, workspace_id FROM access_assignments WHERE org_id = $org AND role = $1 ORDER BY user_id, workspace_id`)
	ownersSQL       = q.Add("select_owners", `SELECT user_id FROM access_assignments WHERE org_id = $org AND role = 'owner' AND workspace_id IS NULL`)
	insertSQL       = q.Add("insert_assignment", `INSERT INTO access_assignments (org_id, id, user_id, role, workspace_id, created_at, created_by) VALUES ($org, $1, $2, $3, $4, $5, $6)`)
	insertSystemSQL = q.Add("insert_assignment_system", `INSERT INTO access_assignments (org_id, id, user_id, role, workspace_id, created_at, created_by) VALUES ($1, $2, $3, $4, $5, $6, $7)`, store.ForSystem, store.ForStaff)
	deleteSQL       = q.Add("delete_assignment", `DELETE FROM access_assignments WHERE org_id = $org AND id = $1`)
	deleteOfSQL     = q.Add("delete_assignments_of", `DELETE FROM access_assignments WHERE org_id = $org AND user_id = $1`)
	deleteInSQL     = q.Add("delete_assignments_in", `DELETE FROM access_assignments WHERE org_id = $org AND workspace_id = $1`)
)

func bump(tx *store.Tx, org id.Org, now time.Time) (n int64, err error) {
	if tx.Scope() == store.Org(org) {
		err = tx.Row(bumpSQL, store.Micros(now)).Scan(&n)
	} else {
		err = tx.Row(bumpSystemSQL, org, store.Micros(now)).Scan(&n)
	}
	if err != nil {
		return 0, fmt.Errorf("access: bump revision: %w", err)
	}
	return n, nil
}

func bumpUser(tx *store.Tx, user id.User, now time.Time) (err error) {
	var n int64
	if tx.Scope() == store.User(user) {
		err = tx.Row(bumpUserSQL, store.Micros(now)).Scan(&n)
	} else {
		err = tx.Row(bumpUserSystemSQL, user, store.Micros(now)).Scan(&n)
	}
	if err != nil {
		return fmt.Errorf("access: bump user revision: %w", err)
	}
	return nil
}

// selectRevision gives 0 for an organization that was never revised.
func selectRevision(tx *store.Tx) (n int64, err error) {
	if err = tx.Row(revisionSQL).Scan(&n); err != nil && !errors.Is(err, store.ErrNone) {
		return 0, fmt.Errorf("access: select revision: %w", err)
	}
	return n, nil
}

type revised[T any] struct {
	id       T
	revision int64
}

func revisedOrgs(tx *store.Tx, since time.Time) ([]revised[id.Org], error) {
	return store.All(tx, func(r *store.Rows) (v revised[id.Org], err error) {
		return v, r.Scan(&v.id, &v.revision)
	}, revisedSQL, store.Micros(since))
}

func revisedUsers(tx *store.Tx, since time.Time) ([]revised[id.User], error) {
	return store.All(tx, func(r *store.Rows) (v revised[id.User], err error) {
		return v, r.Scan(&v.id, &v.revision)
	}, revisedUsersSQL, store.Micros(since))
}

// held is one assignment as decisions need it.
type held struct {
	user id.User
	role string
	ws   id.Workspace
}

func selectHeld(tx *store.Tx) ([]held, error) {
	return store.All(tx, func(r *store.Rows) (h held, err error) {
		return h, r.Scan(&h.user, &h.role, &h.ws)
	}, heldSQL)
}

func selectAssignments(tx *store.Tx, user id.User) ([]Assignment, error) {
	return store.All(tx, func(r *store.Rows) (a Assignment, err error) {
		var at int64
		err = r.Scan(&a.ID, &a.User, &a.Role, &a.Workspace, &at, &a.By)
		a.At = store.Time(at)
		return a, err
	}, assignmentsSQL, user)
}

func selectOwners(tx *store.Tx) ([]id.User, error) {
	return store.All(tx, func(r *store.Rows) (u id.User, err error) { return u, r.Scan(&u) }, ownersSQL)
}

// Tables of the package, for the manifest.
func tables() []capability.Table {
	return []capability.Table{
		{
			Name: "access_assignments", Database: "main", OrgColumn: "org_id", UsrColumn: "user_id",
			Reach:  capability.ScopeOrg | capability.ScopeUser | capability.ScopeStaff | capability.ScopeSystem,
			Export: "both", Erase: "rows",
			Columns: []capability.Column{
				{Name: "org_id", Plain: "identifier"}, {Name: "id", Plain: "identifier"}, {Name: "user_id", Plain: "identifier"},
				{Name: "role", Plain: "name of a role, which decisions are made by"}, {Name: "workspace_id", Plain: "identifier"},
				{Name: "created_at", Plain: "time"}, {Name: "created_by", Plain: "identifier of the actor"},
			},
		},
		{
			Name: "access_revisions", Database: "main", OrgColumn: "org_id",
			Reach:  capability.ScopeOrg | capability.ScopeStaff | capability.ScopeSystem,
			Export: "none: a counter without content", Erase: "rows",
			Columns: []capability.Column{{Name: "org_id", Plain: "identifier"}, {Name: "revision", Plain: "counter"}, {Name: "touched_at", Plain: "time"}},
		},
		{
			Name: "access_user_revisions", Database: "main", UsrColumn: "user_id",
			Reach:  capability.ScopeUser | capability.ScopeStaff | capability.ScopeSystem,
			Export: "none: a counter without content", Erase: "rows",
			Columns: []capability.Column{{Name: "user_id", Plain: "identifier"}, {Name: "revision", Plain: "counter"}, {Name: "touched_at", Plain: "time"}},
		},
	}
}
