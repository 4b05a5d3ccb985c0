package apikey

import (
	"encoding/json"
	"fmt"

	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/store"
)

var q = store.NewSet("apikey")

const columns = `id, org_id, name, permissions, workspace_id, no_step_up, created_at, created_by, expires_at, revoked_at`

var (
	insertKey = q.Add("insert_key", `INSERT INTO apikey_keys (id, org_id, secret_hash, name, permissions, workspace_id, no_step_up, created_at, created_by, expires_at, revoked_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0)`, store.ForSystem)
	findKey    = q.Add("find_key", `SELECT `+columns+` FROM apikey_keys WHERE secret_hash = $1`, store.ForLookup)
	selectKeys = q.Add("select_keys", `SELECT `+columns+` FROM apikey_keys ORDER BY id`, store.ForSystem)
	revokeKey  = q.Add("revoke_key", `UPDATE apikey_keys SET revoked_at = $2 WHERE id = $1 AND revoked_at = 0 RETURNING org_id`, store.ForSystem)
)

func tables() []capability.Table {
	return []capability.Table{{
		Name: "apikey_keys", Database: "main", OrgColumn: "org_id", Reach: capability.ScopeLookup | capability.ScopeSystem,
		Export: "organization", Erase: "key",
		Columns: []capability.Column{
			{Name: "id", Plain: "identifier"}, {Name: "org_id", Plain: "identifier"}, {Name: "secret_hash", Hash: "the key, 256 random bits"},
			{Name: "name", Sealed: labelName}, {Name: "permissions", Plain: "names of permissions"}, {Name: "workspace_id", Plain: "identifier"},
			{Name: "no_step_up", Plain: "state"}, {Name: "created_at", Plain: "time"}, {Name: "created_by", Plain: "identifier of the actor"},
			{Name: "expires_at", Plain: "time"}, {Name: "revoked_at", Plain: "time"},
		},
	}}
}

// scan reads a row; the name stays sealed in sealed.
func scan(row interface{ Scan(...any) error }) (k Key, sealed []byte, err error) {
	var perms string
	var created, expires, revoked int64
	var ws id.Workspace
	if err := row.Scan(&k.ID, &k.Org, &sealed, &perms, &ws, &k.NoStepUp, &created, &k.CreatedBy, &expires, &revoked); err != nil {
		return Key{}, nil, err
	}
	if err := json.Unmarshal([]byte(perms), &k.Permissions); err != nil {
		return Key{}, nil, fmt.Errorf("apikey: permissions of %s: %w", k.ID, err)
	}
	k.Workspace = ws
	k.CreatedAt, k.ExpiresAt, k.RevokedAt = store.Time(created), store.Time(expires), store.Time(revoked)
	return k, sealed, nil
}
