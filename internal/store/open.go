package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/rempart/rempart/internal/capability"
)

// Config says where one database is. For SQLite, Path; for PostgreSQL the URLs.
type Config struct {
	Path      string // file of the embedded engine
	URL       string // serving role: neither superuser, nor owner, nor BYPASSRLS
	SystemURL string // second role, for staff and system scopes
	OwnerURL  string // owner of the tables; needed to migrate, not kept
	Pool      int    // connections (PostgreSQL) or readers (SQLite); 0 is the default
	Strict    bool   // find transactions inside transactions; costs a microsecond each
}

// Store is both databases.
type Store struct {
	Main *DB
	Keys *DB
}

// Open opens both databases, after Migrate.
func Open(ctx context.Context, main, keys Config, manifests []capability.Manifest) (*Store, error) {
	m, err := open(ctx, "main", main, manifests)
	if err != nil {
		return nil, err
	}
	k, err := open(ctx, "keys", keys, manifests)
	if err != nil {
		m.Close()
		return nil, err
	}
	return &Store{Main: m, Keys: k}, nil
}

// Close closes both.
func (s *Store) Close() error { return errors.Join(s.Main.Close(), s.Keys.Close()) }

func open(ctx context.Context, name string, c Config, manifests []capability.Manifest) (*DB, error) {
	db := &DB{name: name, strict: c.Strict, unaudited: map[string]bool{}}
	for _, m := range manifests {
		for _, t := range m.Tables {
			if t.Unaudited != "" && t.Database == name {
				db.unaudited[t.Name] = true
			}
		}
	}
	if c.Path != "" {
		if err := os.MkdirAll(filepath.Dir(c.Path), 0o700); err != nil {
			return nil, fmt.Errorf("store: %w", err)
		}
		db.engine = SQLite
		be, err := openSQLite(ctx, db, c.Path, c.Pool)
		if err != nil {
			return nil, err
		}
		db.be = be
		return db, nil
	}
	db.engine = Postgres
	serving, err := openPool(ctx, c.URL, c.Pool)
	if err != nil {
		return nil, fmt.Errorf("store: %s database: %w", name, err)
	}
	system, err := openPool(ctx, c.SystemURL, c.Pool)
	if err != nil {
		serving.Close()
		return nil, fmt.Errorf("store: %s database, system role: %w", name, err)
	}
	db.be = &postgresDB{db: db, serving: serving, system: system}
	for _, p := range []*pgxpool.Pool{serving, system} {
		if err := refuseStrongRole(ctx, p); err != nil {
			db.Close()
			return nil, fmt.Errorf("store: %s database: %w", name, err)
		}
	}
	return db, nil
}

// refuseStrongRole refuses a role that row-level security would not bind.
func refuseStrongRole(ctx context.Context, p *pgxpool.Pool) error {
	var super, bypass bool
	var owned int
	err := p.QueryRow(ctx, `SELECT r.rolsuper, r.rolbypassrls,
		(SELECT count(*) FROM pg_tables t WHERE t.schemaname = 'public' AND pg_has_role(current_user, t.tableowner, 'MEMBER'))
		FROM pg_roles r WHERE r.rolname = current_user`).Scan(&super, &bypass, &owned)
	if err != nil {
		return err
	}
	if super || bypass || owned > 0 {
		return errors.New("the serving role must be neither superuser, nor BYPASSRLS, nor owner of the tables: row-level security would not hold it")
	}
	return nil
}

// SystemIdentifier is the cluster's, on PostgreSQL: main and keys must differ
// outside the demo and tests. "" on SQLite.
func (db *DB) SystemIdentifier(ctx context.Context) (string, error) {
	p, ok := db.be.(*postgresDB)
	if !ok {
		return "", nil
	}
	var id string
	err := p.system.QueryRow(ctx, `SELECT system_identifier::text FROM pg_control_system()`).Scan(&id)
	return id, err
}

// policies gives the statements that put a table behind the wall: forced
// row-level security with one policy for each scope that reaches it.
func policies(t capability.Table, serving, system string) []string {
	q := func(f string, a ...any) string { return fmt.Sprintf(f, a...) }
	out := []string{
		q(`ALTER TABLE %s ENABLE ROW LEVEL SECURITY`, t.Name),
		q(`ALTER TABLE %s FORCE ROW LEVEL SECURITY`, t.Name),
		q(`GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO %s, %s`, t.Name, serving, system),
	}
	scope := func(name string) string { return "current_setting('rempart.scope', true) = '" + name + "'" }
	add := func(name, role, verb, cond string) {
		out = append(out, q(`DROP POLICY IF EXISTS %s ON %s`, name, t.Name))
		using := "USING (" + cond + ") WITH CHECK (" + cond + ")"
		switch verb {
		case "INSERT":
			using = "WITH CHECK (" + cond + ")"
		case "SELECT":
			using = "USING (" + cond + ")"
		}
		out = append(out, q(`CREATE POLICY %s ON %s FOR %s TO %s %s`, name, t.Name, verb, role, using))
	}
	if t.Reach&capability.ScopeOrg != 0 {
		cond := scope("org")
		if t.OrgColumn != "" {
			cond += q(" AND %s = current_setting('rempart.org', true)", t.OrgColumn)
		}
		add("rempart_org", serving, "ALL", cond)
	}
	if t.Reach&capability.ScopeUser != 0 {
		cond := scope("user")
		if t.UsrColumn != "" {
			cond += q(" AND %s = current_setting('rempart.user', true)", t.UsrColumn)
		}
		add("rempart_user", serving, "ALL", cond)
	}
	if t.Reach&capability.ScopeLookup != 0 {
		add("rempart_lookup", serving, "ALL", scope("lookup"))
	}
	if t.Reach&(capability.ScopeStaff|capability.ScopeSystem) != 0 {
		cond := []string{}
		if t.Reach&capability.ScopeStaff != 0 {
			cond = append(cond, scope("staff"))
		}
		if t.Reach&capability.ScopeSystem != 0 {
			cond = append(cond, scope("system"))
		}
		add("rempart_system", system, "ALL", "("+strings.Join(cond, " OR ")+")")
	}
	if t.Append {
		add("rempart_append", serving, "INSERT", "true")
		add("rempart_append_system", system, "INSERT", "true")
	}
	return out
}
