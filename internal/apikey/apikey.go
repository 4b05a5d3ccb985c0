// Package apikey has the bearer keys that programs present to our own APIs:
// keys of one organization, and keys of the installation's staff.
//
// A key is 256 random bits, shown once and stored as its SHA-256. It names the
// permissions it holds, at most those that whoever issued it could give, and
// one organization (or none: the installation). Operators issue, list and
// revoke keys with `rempart token`.
//
// It owns apikey_keys. It does not decide: access does, over the Caller that
// Find's answer becomes.
package apikey

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/clock"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/keyring"
	"github.com/rempart/rempart/internal/store"
)

// Kinds of entries.
const (
	EventIssued  = "apikey.key.issued"
	EventRevoked = "apikey.key.revoked"
)

const labelName = "apikey.key.name"

// Kind is the kind of the secret: keys read "rmp_key_…".
const Kind = "key"

//go:embed migrations/*.sql
var migrations embed.FS

//go:embed messages/*.json
var messages embed.FS

// Service issues and finds keys.
type Service struct {
	Store *store.DB
	Audit *audit.Log
	Now   clock.Now
}

// Key is one key, without its secret.
type Key struct {
	ID          id.Key       `json:"id"`
	Org         id.Org       `json:"org_id,omitzero"`
	Name        string       `json:"name"`
	Permissions []string     `json:"permissions"`
	Workspace   id.Workspace `json:"workspace_id,omitzero"`
	NoStepUp    bool         `json:"no_step_up,omitempty"`
	CreatedAt   time.Time    `json:"created_at"`
	CreatedBy   string       `json:"created_by"`
	ExpiresAt   time.Time    `json:"expires_at,omitzero"`
	RevokedAt   time.Time    `json:"revoked_at,omitzero"`
}

// Usable reports whether the key is neither revoked nor expired at the instant.
func (k Key) Usable(now time.Time) bool {
	return k.RevokedAt.IsZero() && (k.ExpiresAt.IsZero() || now.Before(k.ExpiresAt))
}

// Caller is who acts when the key is presented.
func (k Key) Caller(base caller.Caller) caller.Caller {
	base.Kind, base.Key, base.Org, base.Name = caller.Key, k.ID, k.Org, k.Name
	base.Scopes, base.NoStepUp = slices.Clone(k.Permissions), k.NoStepUp
	if !k.Workspace.IsZero() {
		base.Workspaces = []id.Workspace{k.Workspace}
	}
	return base
}

// Issue makes a key and gives its secret, which is not shown again.
func (s *Service) Issue(ctx context.Context, who caller.Caller, k Key) (Key, string, error) {
	if k.Name == "" || len(k.Name) > 200 {
		return Key{}, "", fault.New(fault.Invalid, "apikey.error.name", nil).At("/name", "apikey.error.name")
	}
	if len(k.Permissions) == 0 {
		return Key{}, "", fault.New(fault.Invalid, "apikey.error.permissions", nil).At("/permissions", "apikey.error.permissions")
	}
	k.ID, k.CreatedAt, k.CreatedBy, k.RevokedAt = id.NewKey(s.Now()), s.Now(), who.ID(), time.Time{}
	pen, err := s.Audit.Pen(ctx, who, k.Org)
	if err != nil {
		return Key{}, "", err
	}
	sealed, err := pen.Seal(owner(k.Org), labelName, k.ID.String(), []byte(k.Name))
	if err != nil {
		return Key{}, "", err
	}
	perms, err := json.Marshal(k.Permissions)
	if err != nil {
		return Key{}, "", err
	}
	secret := id.NewSecret(Kind)
	err = s.Store.Update(ctx, store.System("apikey.issue"), func(tx *store.Tx) error {
		if _, err := tx.Exec(insertKey, k.ID, k.Org, id.HashSecret(secret), sealed, string(perms), k.Workspace, k.NoStepUp,
			store.Micros(k.CreatedAt), k.CreatedBy, store.Micros(k.ExpiresAt)); err != nil {
			return fmt.Errorf("apikey: insert key: %w", err)
		}
		return pen.Record(tx, audit.Entry{Kind: EventIssued, Target: audit.Target{Kind: "key", ID: k.ID.String()}, Outcome: audit.Success,
			Facts: map[string]any{"permissions": k.Permissions, "expires_at": k.ExpiresAt, "workspace": k.Workspace.String()}})
	})
	return k, secret, err
}

// Find gives the usable key of a secret; the error is Unknown (401) when there
// is none, whatever the reason. It is one indexed read.
func (s *Service) Find(ctx context.Context, secret string) (Key, error) {
	refused := fault.New(fault.Unknown, "apikey.error.unknown", nil)
	if !id.IsSecret(Kind, secret) {
		return Key{}, refused
	}
	var k Key
	err := s.Store.View(ctx, store.Lookup(), func(tx *store.Tx) (err error) {
		k, _, err = scan(tx.Row(findKey, id.HashSecret(secret)))
		return err
	})
	if errors.Is(err, store.ErrNone) {
		return Key{}, refused
	}
	if err != nil {
		return Key{}, fmt.Errorf("apikey: find key: %w", err)
	}
	if !k.Usable(s.Now()) {
		return Key{}, refused
	}
	return k, nil
}

// List gives every key, with names.
func (s *Service) List(ctx context.Context, who caller.Caller) ([]Key, error) {
	type row struct {
		key    Key
		sealed []byte
	}
	var rows []row
	err := s.Store.View(ctx, store.System("apikey.list"), func(tx *store.Tx) (err error) {
		rows, err = store.All(tx, func(r *store.Rows) (row, error) {
			k, sealed, err := scan(r)
			return row{k, sealed}, err
		}, selectKeys)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("apikey: list keys: %w", err)
	}
	out := make([]Key, 0, len(rows))
	for _, r := range rows {
		pen, err := s.Audit.Pen(ctx, who, r.key.Org)
		if err != nil {
			return nil, err
		}
		name, err := pen.Open(owner(r.key.Org), labelName, r.key.ID.String(), r.sealed)
		if err != nil {
			return nil, fmt.Errorf("apikey: name of %s: %w", r.key.ID, err)
		}
		r.key.Name = string(name)
		out = append(out, r.key)
	}
	return out, nil
}

// Revoke ends a key at once; the error is NotFound when it is not in force.
func (s *Service) Revoke(ctx context.Context, who caller.Caller, key id.Key) error {
	keys, err := s.List(ctx, who)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(keys, func(k Key) bool { return k.ID == key })
	if i < 0 {
		return fault.ErrNotFound
	}
	pen, err := s.Audit.Pen(ctx, who, keys[i].Org)
	if err != nil {
		return err
	}
	return s.Store.Update(ctx, store.System("apikey.revoke"), func(tx *store.Tx) error {
		var org id.Org
		err := tx.Row(revokeKey, key, store.Micros(s.Now())).Scan(&org)
		if errors.Is(err, store.ErrNone) {
			return fault.ErrNotFound
		}
		if err != nil {
			return fmt.Errorf("apikey: revoke key: %w", err)
		}
		return pen.Record(tx, audit.Entry{Kind: EventRevoked, Target: audit.Target{Kind: "key", ID: key.String()}, Outcome: audit.Success})
	})
}

// owner is whose data key seals the key's name.
func owner(org id.Org) keyring.Owner {
	if org.IsZero() {
		return keyring.Installation()
	}
	return keyring.Organization(org)
}

// Manifest is the capability's.
func (s *Service) Manifest() capability.Manifest {
	sub := func(f embed.FS, dir string) fs.FS {
		d, err := fs.Sub(f, dir)
		if err != nil {
			panic(err)
		}
		return d
	}
	return capability.Manifest{
		Name:       "apikey",
		Events:     []capability.Event{{Kind: EventIssued, Class: capability.ClassAdmin}, {Kind: EventRevoked, Class: capability.ClassAdmin}},
		Tables:     tables(),
		Statements: q.All(),
		Migrations: sub(migrations, "migrations"),
		Messages:   sub(messages, "messages"),
	}
}
