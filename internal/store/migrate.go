package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing/fstest"

	_ "github.com/jackc/pgx/v5/stdlib" // goose speaks database/sql
	"github.com/pressly/goose/v3"

	"github.com/rempart/rempart/internal/capability"
)

// macros are the only column types that a migration may name.
var macros = map[Engine]*strings.Replacer{
	SQLite:   strings.NewReplacer("{{TEXT}}", "TEXT", "{{INT64}}", "INTEGER", "{{BOOL}}", "INTEGER", "{{BYTES}}", "BLOB", "{{JSON}}", "TEXT", "{{STRICT}}", "STRICT"),
	Postgres: strings.NewReplacer("{{TEXT}}", `TEXT COLLATE "C"`, "{{INT64}}", "BIGINT", "{{BOOL}}", "BOOLEAN", "{{BYTES}}", "BYTEA", "{{JSON}}", "TEXT", "{{STRICT}}", ""),
}

var migrationRE = regexp.MustCompile(`^(\d{12})_([a-z]+)_[a-z0-9_]+\.sql$`)

// Migrations merges the migrations of all manifests for one database and
// engine, macros expanded, ready for goose.
func Migrations(manifests []capability.Manifest, database string, engine Engine) (fs.FS, error) {
	out := fstest.MapFS{}
	numbers := map[string]string{}
	for _, m := range manifests {
		dir := m.Migrations
		if database == "keys" {
			dir = m.KeysMigrations
		}
		if dir == nil {
			continue
		}
		names, err := fs.Glob(dir, "*.sql")
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			base := strings.TrimSuffix(name, ".postgres.sql")
			twin := base != name
			if twin {
				base += ".sql"
			}
			p := migrationRE.FindStringSubmatch(base)
			if p == nil || p[2] != m.Name {
				return nil, fmt.Errorf("store: migration %s of %s is misnamed", name, m.Name)
			}
			if have, ok := numbers[p[1]]; ok && have != base {
				return nil, fmt.Errorf("store: migrations %s and %s have one number", have, base)
			}
			numbers[p[1]] = base
			if twin && engine != Postgres {
				continue
			}
			if _, have := out[base]; have && !twin {
				continue // the twin was read first
			}
			text, err := fs.ReadFile(dir, name)
			if err != nil {
				return nil, err
			}
			out[base] = &fstest.MapFile{Data: []byte(macros[engine].Replace(string(text))), Mode: 0o444}
		}
	}
	return out, nil
}

// Migrate brings both databases to the schema of the manifests.
func Migrate(ctx context.Context, main, keys Config, manifests []capability.Manifest) error {
	if err := migrate(ctx, "main", main, manifests); err != nil {
		return err
	}
	return migrate(ctx, "keys", keys, manifests)
}

func migrate(ctx context.Context, name string, c Config, manifests []capability.Manifest) error {
	engine, dialect, driver, dsn := SQLite, goose.DialectSQLite3, "sqlite", ""
	if c.Path == "" {
		engine, dialect, driver, dsn = Postgres, goose.DialectPostgres, "pgx", c.OwnerURL
		if dsn == "" {
			return fmt.Errorf("store: %s database: migrating needs owner_url, the owner of the tables", name)
		}
	} else {
		if err := os.MkdirAll(filepath.Dir(c.Path), 0o700); err != nil {
			return fmt.Errorf("store: %w", err)
		}
		dsn = sqliteDSN(c.Path, false)
	}
	files, err := Migrations(manifests, name, engine)
	if err != nil {
		return err
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		return fmt.Errorf("store: %s database: %w", name, err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if err := db.PingContext(ctx); err != nil {
		return fmt.Errorf("store: %s database: %w", name, err)
	}
	if c.Path != "" {
		if err := os.Chmod(c.Path, 0o600); err != nil {
			return fmt.Errorf("store: %w", err)
		}
	}
	if names, _ := fs.Glob(files, "*.sql"); len(names) > 0 {
		p, err := goose.NewProvider(dialect, db, files, goose.WithDisableGlobalRegistry(true))
		if err != nil {
			return fmt.Errorf("store: %s database: %w", name, err)
		}
		if err := refuseNewer(ctx, p, name); err != nil {
			return err
		}
		if _, err := p.Up(ctx); err != nil {
			return fmt.Errorf("store: migrate %s database: %w", name, err)
		}
	}
	if engine == SQLite {
		return nil
	}
	return wall(ctx, db, c, name, manifests)
}

// refuseNewer refuses a database that a later release has migrated further
// than this one knows, save by one release (expand, then contract).
func refuseNewer(ctx context.Context, p *goose.Provider, name string) error {
	have, err := p.GetDBVersion(ctx)
	if err != nil {
		return fmt.Errorf("store: %s database: %w", name, err)
	}
	src := p.ListSources()
	if len(src) == 0 || have <= src[len(src)-1].Version {
		return nil
	}
	return fmt.Errorf("store: the %s database was migrated by a later release (%d); start that release", name, have)
}

// wall puts every table behind row-level security for the roles of the URLs.
func wall(ctx context.Context, db *sql.DB, c Config, name string, manifests []capability.Manifest) error {
	serving, err := role(c.URL)
	if err != nil {
		return err
	}
	system, err := role(c.SystemURL)
	if err != nil {
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	run := []string{fmt.Sprintf("GRANT USAGE ON SCHEMA public TO %s, %s", serving, system)}
	for _, m := range manifests {
		for _, t := range m.Tables {
			if t.Database == name {
				run = append(run, policies(t, serving, system)...)
			}
		}
	}
	for _, s := range run {
		if _, err := tx.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("store: wall of %s database: %s: %w", name, s, err)
		}
	}
	return tx.Commit()
}

var roleRE = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)

func role(dsn string) (string, error) {
	u, err := url.Parse(dsn)
	if err != nil || u.User == nil || !roleRE.MatchString(u.User.Username()) {
		return "", errors.New("store: the database URL must name its role: postgres://role@host/database")
	}
	return u.User.Username(), nil
}

// CheckMigration is the shape test of one migration file: column types by
// macro only, tables STRICT on SQLite, no triggers, no auto-numbering.
func CheckMigration(name string, text []byte) error {
	s := string(text)
	upper := strings.ToUpper(s)
	for _, bad := range []string{" TEXT,", " TEXT ", " INTEGER", " BIGINT", " BLOB", " BYTEA", " BOOLEAN", " JSONB", "SERIAL", "AUTOINCREMENT", "CREATE TRIGGER", "CREATE FUNCTION", "TIMESTAMP", "-- +GOOSE DOWN"} {
		if strings.Contains(upper, bad) {
			return fmt.Errorf("store: %s: %q is not allowed", path.Base(name), strings.TrimSpace(bad))
		}
	}
	if n := strings.Count(upper, "CREATE TABLE"); n != strings.Count(s, "{{STRICT}}") {
		return fmt.Errorf("store: %s: each table ends with {{STRICT}}", path.Base(name))
	}
	if !strings.HasPrefix(strings.TrimSpace(s), "-- +goose Up") {
		return fmt.Errorf("store: %s: begins with -- +goose Up", path.Base(name))
	}
	return nil
}

// TableNames lists the tables of the database that a manifest does not name,
// for the test that finds strays.
func (db *DB) TableNames(ctx context.Context) ([]string, error) {
	var out []string
	switch be := db.be.(type) {
	case *sqliteDB:
		c := <-be.readers
		defer func() { be.readers <- c }()
		r, err := c.c.QueryContext(ctx, `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE '_litestream_%' AND name <> 'goose_db_version'`)
		if err != nil {
			return nil, err
		}
		defer r.Close()
		for r.Next() {
			var n string
			if err := r.Scan(&n); err != nil {
				return nil, err
			}
			out = append(out, n)
		}
	case *postgresDB:
		r, err := be.system.Query(ctx, `SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'goose_db_version'`)
		if err != nil {
			return nil, err
		}
		defer r.Close()
		for r.Next() {
			var n string
			if err := r.Scan(&n); err != nil {
				return nil, err
			}
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out, nil
}
