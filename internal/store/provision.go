package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Provision makes a database with its owner, serving and system roles, given
// the URL of an administrator of the cluster; for the demo and for tests. An
// installation makes its roles by hand, from docs/operations.md.
func Provision(ctx context.Context, admin, name string, pool int) (Config, error) {
	if !roleRE.MatchString(name) {
		return Config{}, fmt.Errorf("store: %q is no name of a database", name)
	}
	u, err := url.Parse(admin)
	if err != nil {
		return Config{}, errors.New("store: the administrator's URL is not understood")
	}
	db, err := sql.Open("pgx", admin)
	if err != nil {
		return Config{}, err
	}
	defer db.Close()
	at := func(role, password string) string {
		c := *u
		c.User = url.UserPassword(role, password)
		c.Path = "/" + name
		return c.String()
	}
	var secrets [3]string
	roles := [3]string{name + "_own", name + "_app", name + "_sys"}
	for i, r := range roles {
		var b [16]byte
		rand.Read(b[:])
		secrets[i] = hex.EncodeToString(b[:])
		// A role's password can't be a parameter; ours is hexadecimal.
		make := fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s'", r, secrets[i])
		if _, err := db.ExecContext(ctx, make); err != nil {
			if !strings.Contains(err.Error(), "already exists") {
				return Config{}, fmt.Errorf("store: make role %s: %w", r, err)
			}
			if _, err := db.ExecContext(ctx, fmt.Sprintf("ALTER ROLE %s LOGIN PASSWORD '%s'", r, secrets[i])); err != nil {
				return Config{}, fmt.Errorf("store: make role %s: %w", r, err)
			}
		}
	}
	var there bool
	if err := db.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1)", name).Scan(&there); err != nil {
		return Config{}, err
	}
	if !there {
		if _, err := db.ExecContext(ctx, fmt.Sprintf("CREATE DATABASE %s OWNER %s TEMPLATE template0 ENCODING 'UTF8'", name, roles[0])); err != nil {
			return Config{}, fmt.Errorf("store: make database %s: %w", name, err)
		}
	}
	return Config{URL: at(roles[1], secrets[1]), SystemURL: at(roles[2], secrets[2]), OwnerURL: at(roles[0], secrets[0]), Pool: pool}, nil
}
