package directory

import (
	"errors"
	"fmt"

	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/store"
)

var q = store.NewSet("directory")

// notCanary is the one predicate that leaves the canaries out of counts, lists
// and exports; Org.Canary is its twin in Go.
const notCanary = `kind <> 'canary'`

const orgColumns = `id, slug, kind, state, name, version, created_at`

var (
	selectOrg       = q.Add("select_org", `SELECT `+orgColumns+` FROM directory_orgs WHERE id = $org`)
	lookupOrg       = q.Add("lookup_org", `SELECT `+orgColumns+` FROM directory_orgs WHERE id = $1`, store.ForLookup, store.ForStaff, store.ForSystem)
	lookupSlug      = q.Add("lookup_slug", `SELECT org_id, retired_at FROM directory_slugs WHERE slug = $1`, store.ForLookup, store.ForStaff, store.ForSystem)
	listOrgs        = q.Add("list_orgs", `SELECT `+orgColumns+` FROM directory_orgs WHERE `+notCanary+` AND id > $1 AND ($2 = '' OR state = $2) ORDER BY id LIMIT $3`, store.ForStaff, store.ForSystem)
	countOrgs       = q.Add("count_orgs", `SELECT count(*) FROM directory_orgs WHERE `+notCanary, store.ForStaff, store.ForSystem)
	listAllOrgs     = q.Add("list_all_orgs", `SELECT id, kind FROM directory_orgs ORDER BY id`, store.ForSystem)
	selectWorkspace = q.Add("select_workspace", `SELECT id, slug, state, name, version, created_at FROM directory_workspaces WHERE org_id = $org AND id = $1`)
	listWorkspaces  = q.Add("list_workspaces", `SELECT id, slug, state, name, version, created_at FROM directory_workspaces WHERE org_id = $org ORDER BY id`)

	selectUser      = q.Add("select_user", `SELECT id, kind, state, profile, created_at FROM directory_users WHERE id = $user`)
	lookupUser      = q.Add("lookup_user", `SELECT kind, state FROM directory_users WHERE id = $1`, store.ForLookup, store.ForStaff, store.ForSystem)
	listInactive    = q.Add("list_inactive_users", `SELECT id, state FROM directory_users WHERE state <> 'active'`, store.ForSystem)
	countUsers      = q.Add("count_users", `SELECT count(*) FROM directory_users WHERE `+notCanary, store.ForStaff, store.ForSystem)
	listUsers       = q.Add("list_user_ids", `SELECT id FROM directory_users WHERE `+notCanary+` AND id > $1 ORDER BY id LIMIT $2`, store.ForSystem)
	selectAddresses = q.Add("select_addresses", `SELECT id, email, main, verified_at, created_at FROM directory_addresses WHERE user_id = $user ORDER BY main DESC, id`)
	lookupEmail     = q.Add("lookup_email", `SELECT a.id, a.user_id, u.kind, u.state FROM directory_addresses a JOIN directory_users u ON u.id = a.user_id WHERE a.email_hash = $1 AND a.verified_at > 0`, store.ForLookup, store.ForStaff, store.ForSystem)

	selectMembership = q.Add("select_membership", `SELECT id, org_id, user_id, state, version, joined_at FROM directory_memberships WHERE org_id = $org AND user_id = $1`)
	ownMemberships   = q.Add("select_own_memberships", `SELECT id, org_id, user_id, state, version, joined_at FROM directory_memberships WHERE user_id = $user ORDER BY id`)
	memberStates     = q.Add("select_member_states", `SELECT user_id, state FROM directory_memberships WHERE org_id = $org`)
	selectStaff      = q.Add("select_staff", `SELECT role FROM directory_staff WHERE user_id = $user ORDER BY role`)
	listStaff        = q.Add("list_staff", `SELECT user_id, role, created_at, created_by FROM directory_staff ORDER BY user_id, role`, store.ForStaff, store.ForSystem)
)

// orgRow is an organization whose name is still sealed.
type orgRow struct {
	Org
	name []byte
}

func scanOrg(r interface{ Scan(...any) error }) (o orgRow, err error) {
	var created int64
	err = r.Scan(&o.ID, &o.Slug, &o.Kind, &o.State, &o.name, &o.Version, &created)
	o.Created = store.Time(created)
	return o, err
}

func scanMembership(r interface{ Scan(...any) error }) (m Membership, err error) {
	var joined int64
	err = r.Scan(&m.ID, &m.Org, &m.User, &m.State, &m.Version, &joined)
	m.Joined = store.Time(joined)
	return m, err
}

type workspaceRow struct {
	Workspace
	name []byte
}

func scanWorkspace(r interface{ Scan(...any) error }) (w workspaceRow, err error) {
	var created int64
	err = r.Scan(&w.ID, &w.Slug, &w.State, &w.name, &w.Version, &created)
	w.Created = store.Time(created)
	return w, err
}

type addressRow struct {
	Address
	email []byte
}

func scanAddress(r *store.Rows) (a addressRow, err error) {
	var verified, created int64
	err = r.Scan(&a.ID, &a.email, &a.Primary, &verified, &created)
	a.Verified, a.Created = store.Time(verified), store.Time(created)
	return a, err
}

// none turns "no row" into the error of what does not exist.
func none(err error, what string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrNone):
		return ErrNone
	}
	return fmt.Errorf("directory: %s: %w", what, err)
}

func scanUserID(r *store.Rows) (u id.User, err error) { return u, r.Scan(&u) }
