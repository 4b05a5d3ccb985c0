package directory

import (
	"errors"
	"fmt"
	"time"

	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/store"
)

const staffOrSystem = store.ForStaff | store.ForSystem

var (
	insertOrg     = q.Add("insert_org", `INSERT INTO directory_orgs (id, slug, kind, state, name, version, created_at) VALUES ($1, $2, $3, $4, $5, 1, $6)`, staffOrSystem)
	insertSlug    = q.Add("insert_slug", `INSERT INTO directory_slugs (slug, org_id, retired_at) VALUES ($1, $2, 0)`, staffOrSystem)
	addSlug       = q.Add("add_slug", `INSERT INTO directory_slugs (slug, org_id, retired_at) VALUES ($1, $org, 0)`)
	reuseSlug     = q.Add("reuse_slug", `UPDATE directory_slugs SET retired_at = 0 WHERE org_id = $org AND slug = $1`)
	retireSlug    = q.Add("retire_slug", `UPDATE directory_slugs SET retired_at = $1 WHERE org_id = $org AND slug = $2`)
	updateOrg     = q.Add("update_org", `UPDATE directory_orgs SET slug = $1, name = $2, version = version + 1 WHERE id = $org AND version = $3`)
	updateOrgSt   = q.Add("update_org_state", `UPDATE directory_orgs SET state = $1, version = version + 1 WHERE id = $2 AND state <> $1`, staffOrSystem)
	insertWsp     = q.Add("insert_workspace", `INSERT INTO directory_workspaces (org_id, id, slug, state, name, version, created_at) VALUES ($org, $1, $2, 'active', $3, 1, $4)`)
	updateWsp     = q.Add("update_workspace", `UPDATE directory_workspaces SET slug = $1, name = $2, state = $3, version = version + 1 WHERE org_id = $org AND id = $4 AND version = $5`)
	deleteWsp     = q.Add("delete_workspace", `DELETE FROM directory_workspaces WHERE org_id = $org AND id = $1`)
	insertUser    = q.Add("insert_user", `INSERT INTO directory_users (id, kind, state, profile, version, created_at) VALUES ($1, $2, 'active', $3, 1, $4)`, staffOrSystem)
	updateProfile = q.Add("update_profile", `UPDATE directory_users SET profile = $1, version = version + 1 WHERE id = $user`)
	updateUserSt  = q.Add("update_user_state", `UPDATE directory_users SET state = $1, version = version + 1 WHERE id = $2 AND state <> $1`, staffOrSystem)
	insertAddress = q.Add("insert_address", `INSERT INTO directory_addresses (id, user_id, email, email_hash, main, verified_at, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)`, staffOrSystem)
	addAddress    = q.Add("add_address", `INSERT INTO directory_addresses (id, user_id, email, email_hash, main, verified_at, created_at) VALUES ($1, $user, $2, $3, FALSE, 0, $4)`)
	proveAddress  = q.Add("prove_address", `UPDATE directory_addresses SET verified_at = $1 WHERE user_id = $user AND id = $2 AND verified_at = 0`)
	mainAddress   = q.Add("make_address_main", `UPDATE directory_addresses SET main = (id = $1) WHERE user_id = $user AND EXISTS (SELECT 1 FROM directory_addresses a WHERE a.user_id = $user AND a.id = $1 AND a.verified_at > 0)`)
	deleteAddress = q.Add("delete_address", `DELETE FROM directory_addresses WHERE user_id = $user AND id = $1 AND NOT main`)

	insertMember   = q.Add("insert_membership", `INSERT INTO directory_memberships (org_id, id, user_id, state, name, email, email_hash, version, joined_at) VALUES ($1, $2, $3, 'active', $4, $5, $6, 1, $7)`, staffOrSystem)
	updateMemberSt = q.Add("update_membership_state", `UPDATE directory_memberships SET state = $1, version = version + 1 WHERE org_id = $org AND user_id = $2 AND state <> $1 RETURNING id, org_id, user_id, state, version, joined_at`)
	updateMemberNm = q.Add("update_membership_name", `UPDATE directory_memberships SET name = $1, version = version + 1 WHERE org_id = $org AND user_id = $2 AND version = $3`)
	deleteMember   = q.Add("delete_membership", `DELETE FROM directory_memberships WHERE org_id = $org AND user_id = $1`)
	insertStaff    = q.Add("insert_staff", `INSERT INTO directory_staff (user_id, role, created_at, created_by) VALUES ($1, $2, $3, $4) ON CONFLICT (user_id, role) DO NOTHING`, staffOrSystem)
	deleteStaff    = q.Add("delete_staff", `DELETE FROM directory_staff WHERE user_id = $1 AND role = $2`, staffOrSystem)
	otherAdmins    = q.Add("count_other_staff_admins", `SELECT count(*) FROM directory_staff s, directory_users u WHERE u.id = s.user_id AND u.state = 'active' AND s.role = 'staff-admin' AND s.user_id <> $1`, staffOrSystem)
)

// person is a new user on its way to the database.
type person struct {
	id      id.User
	kind    Kind
	profile []byte
	addrs   []newAddress
}

type newAddress struct {
	id          id.Address
	email, hash []byte
	main        bool
	verified    time.Time
}

func insertPersonTx(tx *store.Tx, p person, now time.Time) error {
	if _, err := tx.Exec(insertUser, p.id, p.kind, p.profile, store.Micros(now)); err != nil {
		return fmt.Errorf("directory: insert user: %w", err)
	}
	for _, a := range p.addrs {
		_, err := tx.Exec(insertAddress, a.id, p.id, a.email, a.hash, a.main, store.Micros(a.verified), store.Micros(now))
		switch {
		case errors.Is(err, store.ErrUnique):
			return ErrEmailTaken
		case err != nil:
			return fmt.Errorf("directory: insert address: %w", err)
		}
	}
	return nil
}

// joining is a new membership on its way to the database.
type joining struct {
	org               id.Org
	id                id.Membership
	user              id.User
	name, email, hash []byte
}

func insertJoiningTx(tx *store.Tx, j joining, now time.Time) (Membership, error) {
	_, err := tx.Exec(insertMember, j.org, j.id, j.user, j.name, j.email, j.hash, store.Micros(now))
	switch {
	case errors.Is(err, store.ErrUnique):
		return Membership{}, ErrMember
	case errors.Is(err, store.ErrReference):
		return Membership{}, ErrNone
	case err != nil:
		return Membership{}, fmt.Errorf("directory: insert membership: %w", err)
	}
	return Membership{ID: j.id, Org: j.org, User: j.user, State: Active, Version: 1, Joined: now}, nil
}
