// Package storetest opens databases for tests: SQLite in a temporary folder
// and, where PostgreSQL's binaries are found, a throwaway cluster.
//
//	storetest.Each(t, manifests, func(t *testing.T, s *store.Store) { ... }) // both engines
//	s := storetest.Open(t, manifests)                                        // the engine of REMPART_TEST_ENGINE
//
// A cluster is started once a process, or once a run when REMPART_TEST_PG holds
// the URL of its administrator. REMPART_TEST_REQUIRE=postgres turns its absence
// from a skip into a failure.
package storetest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the administrator's connection

	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/store"
)

// Configs is where a test's two databases are.
type Configs struct{ Main, Keys store.Config }

// Pool is the pool size of every test database: REMPART_TEST_POOL, or the default.
func pool() int {
	if os.Getenv("REMPART_TEST_POOL") == "1" {
		return 1
	}
	return 0
}

// SQLite gives two fresh embedded databases in dir.
func SQLite(dir string) Configs {
	c := func(name string) store.Config {
		return store.Config{Path: filepath.Join(dir, name+".db"), Pool: pool(), Strict: true}
	}
	return Configs{c("main"), c("keys")}
}

// Postgres gives two fresh databases on a throwaway cluster, or skips.
func Postgres(t testing.TB) Configs {
	t.Helper()
	admin, err := cluster()
	if err != nil {
		if strings.Contains(os.Getenv("REMPART_TEST_REQUIRE"), "postgres") {
			t.Fatalf("PostgreSQL is required and can't be had: %v", err)
		}
		t.Skipf("PostgreSQL can't be had here: %v", err)
	}
	c, err := Roles(context.Background(), admin)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { drop(admin, c) })
	return c
}

// Open migrates and opens fresh databases on the engine of REMPART_TEST_ENGINE.
func Open(t testing.TB, manifests []capability.Manifest) *store.Store {
	t.Helper()
	return open(t, Default(t), manifests)
}

// Default gives fresh databases on the engine of REMPART_TEST_ENGINE.
func Default(t testing.TB) Configs {
	if os.Getenv("REMPART_TEST_ENGINE") == "postgres" {
		return Postgres(t)
	}
	return SQLite(t.TempDir())
}

// Each runs fn on both engines.
func Each(t *testing.T, manifests []capability.Manifest, fn func(t *testing.T, s *store.Store)) {
	t.Helper()
	EachConfig(t, func(t *testing.T, c Configs) { fn(t, open(t, c, manifests)) })
}

// EachConfig runs fn with fresh, empty databases of both engines.
func EachConfig(t *testing.T, fn func(t *testing.T, c Configs)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { fn(t, SQLite(t.TempDir())) })
	t.Run("postgres", func(t *testing.T) { fn(t, Postgres(t)) })
}

func open(t testing.TB, c Configs, manifests []capability.Manifest) *store.Store {
	t.Helper()
	ctx := context.Background()
	if err := store.Migrate(ctx, c.Main, c.Keys, manifests); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(ctx, c.Main, c.Keys, manifests)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// Roles makes two databases with an owner, a serving and a system role each,
// given the URL of an administrator. The demo uses the same statements.
func Roles(ctx context.Context, admin string) (Configs, error) {
	var b [6]byte
	rand.Read(b[:])
	n := hex.EncodeToString(b[:])
	m, err := store.Provision(ctx, admin, "rempart_"+n, pool())
	if err != nil {
		return Configs{}, err
	}
	k, err := store.Provision(ctx, admin, "rempart_keys_"+n, pool())
	if err != nil {
		return Configs{}, err
	}
	m.Strict, k.Strict = true, true
	return Configs{m, k}, nil
}

func drop(admin string, c Configs) {
	db, err := sql.Open("pgx", admin)
	if err != nil {
		return
	}
	defer db.Close()
	for _, one := range []store.Config{c.Main, c.Keys} {
		u, err := url.Parse(one.OwnerURL)
		if err != nil {
			continue
		}
		name := strings.TrimPrefix(u.Path, "/")
		_, _ = db.Exec(fmt.Sprintf("DROP DATABASE IF EXISTS %s WITH (FORCE)", name))
		for _, r := range []string{"_app", "_sys", "_own"} {
			_, _ = db.Exec(fmt.Sprintf("DROP ROLE IF EXISTS %s%s", name, r))
		}
	}
}

var (
	once    sync.Once
	adminAt string
	failure error
)

// cluster gives the administrator's URL of the throwaway cluster.
func cluster() (string, error) {
	once.Do(func() {
		if u := os.Getenv("REMPART_TEST_PG"); u != "" {
			adminAt = u
			return
		}
		c, err := Start()
		if err != nil {
			failure = err
			return
		}
		adminAt = c.URL
	})
	return adminAt, failure
}

// Count runs a query that answers one number, outside any scope.
func Count(t testing.TB, url, query string) int {
	t.Helper()
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var n int
	if err := db.QueryRow(query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
