package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/store"
	"github.com/rempart/rempart/internal/store/storetest"
)

var (
	q       = store.NewSet("things")
	add     = q.Add("add", `INSERT INTO things_items (org_id, id, user_id, n, ok) VALUES ($org, $1, $2, $3, $4)`)
	list    = q.Add("list", `SELECT id, n, ok FROM things_items WHERE org_id = $org ORDER BY id`)
	mine    = q.Add("mine", `SELECT id, n, ok FROM things_items WHERE user_id = $user ORDER BY id`)
	any1    = q.Add("any", `SELECT id, n, ok FROM things_items WHERE id = $1`, store.ForLookup)
	all     = q.Add("all", `SELECT id, n, ok FROM things_items ORDER BY id`, store.ForSystem)
	use     = q.Add("use", `UPDATE things_items SET ok = FALSE WHERE org_id = $org AND id = $1 AND ok RETURNING n`)
	note    = q.Add("note", `INSERT INTO things_notes (text) VALUES ($1)`, store.ForSystem)
	noteOrg = q.Add("journal", `INSERT INTO things_journal (id, text) VALUES ($1, $2)`, store.ForSystem)
)

var manifest = capability.Manifest{
	Name: "things",
	Migrations: fstest.MapFS{"202601010000_things_create_tables.sql": &fstest.MapFile{Data: []byte(`-- +goose Up
CREATE TABLE things_items (org_id {{TEXT}} NOT NULL, id {{TEXT}} NOT NULL, user_id {{TEXT}}, n {{INT64}} NOT NULL, ok {{BOOL}} NOT NULL, PRIMARY KEY (org_id, id)) {{STRICT}};
CREATE TABLE things_notes (text {{TEXT}} NOT NULL) {{STRICT}};
CREATE TABLE things_journal (id {{INT64}} NOT NULL PRIMARY KEY, text {{TEXT}} NOT NULL) {{STRICT}};
`)}},
	Tables: []capability.Table{
		{Name: "things_items", Database: "main", OrgColumn: "org_id", UsrColumn: "user_id", Reach: capability.ScopeOrg | capability.ScopeUser | capability.ScopeLookup | capability.ScopeSystem},
		{Name: "things_notes", Database: "main", Reach: capability.ScopeSystem, Unaudited: "bookkeeping of a test"},
		{Name: "things_journal", Database: "main", Reach: capability.ScopeSystem, Append: true},
	},
	Statements: q.All(),
}

// journal writes each recorded string as a row.
type journal struct {
	mu   sync.Mutex
	n    int64
	done int
	fail error
}

func (j *journal) Write(tx *store.Tx, batch []any) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.fail != nil {
		return j.fail
	}
	for _, e := range batch {
		j.n++
		if _, err := tx.Exec(noteOrg, j.n, e.(string)); err != nil {
			return err
		}
	}
	return nil
}

func (j *journal) Done(batch []any, err error) { j.mu.Lock(); j.done += len(batch); j.mu.Unlock() }

func each(t *testing.T, fn func(t *testing.T, db *store.DB, j *journal)) {
	storetest.Each(t, []capability.Manifest{manifest}, func(t *testing.T, s *store.Store) {
		j := &journal{}
		s.Main.SetJournal(j)
		fn(t, s.Main, j)
	})
}

func count(t *testing.T, db *store.DB, st *store.Stmt, s store.Scope, args ...any) int {
	t.Helper()
	n := 0
	err := db.View(context.Background(), s, func(tx *store.Tx) error {
		rows, err := store.All(tx, func(r *store.Rows) (id.Key, error) {
			var k id.Key
			var v int64
			var ok bool
			return k, r.Scan(&k, &v, &ok)
		}, st, args...)
		n = len(rows)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func put(db *store.DB, o id.Org, k id.Key, u id.User, n int64) error {
	return db.Update(context.Background(), store.Org(o), func(tx *store.Tx) error {
		if _, err := tx.Exec(add, k, u, n, true); err != nil {
			return err
		}
		tx.Record("added " + k.String())
		return nil
	})
}

func TestAnOrganizationReachesOnlyItsOwnRows(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB, _ *journal) {
		now := time.Now()
		a, b, u := id.NewOrg(now), id.NewOrg(now), id.NewUser(now)
		k := id.NewKey(now)
		if err := put(db, a, k, u, 1); err != nil {
			t.Fatal(err)
		}
		if err := put(db, b, id.NewKey(now), u, 2); err != nil {
			t.Fatal(err)
		}
		if n := count(t, db, list, store.Org(a)); n != 1 {
			t.Errorf("organization sees %d rows", n)
		}
		if n := count(t, db, mine, store.User(u)); n != 2 {
			t.Errorf("user sees %d rows", n)
		}
		if n := count(t, db, mine, store.User(id.NewUser(now))); n != 0 {
			t.Errorf("another user sees %d rows", n)
		}
		if n := count(t, db, any1, store.Lookup(), k); n != 1 {
			t.Errorf("lookup sees %d rows", n)
		}
		if n := count(t, db, all, store.System("test")); n != 2 {
			t.Errorf("system sees %d rows", n)
		}
		err := db.View(context.Background(), store.Org(a), func(tx *store.Tx) error {
			return tx.Query(all).Close()
		})
		if !errors.Is(err, store.ErrScope) {
			t.Errorf("a system statement ran in an organization's scope: %v", err)
		}
		if err := db.View(context.Background(), store.Org(id.Org{}), func(*store.Tx) error { return nil }); !errors.Is(err, store.ErrScope) {
			t.Errorf("a scope without an organization was accepted: %v", err)
		}
	})
}

func TestAChangeWithoutAnEntryIsNotKept(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB, j *journal) {
		now := time.Now()
		o := id.NewOrg(now)
		err := db.Update(context.Background(), store.Org(o), func(tx *store.Tx) error {
			_, err := tx.Exec(add, id.NewKey(now), nil, 1, true)
			return err
		})
		if !errors.Is(err, store.ErrUnaudited) {
			t.Fatalf("got %v", err)
		}
		j.fail = errors.New("disk of the log is full")
		if err := put(db, o, id.NewKey(now), id.User{}, 1); err == nil {
			t.Fatal("kept although its entry could not be written")
		}
		j.fail = nil
		if n := count(t, db, list, store.Org(o)); n != 0 {
			t.Fatalf("%d rows kept", n)
		}
		err = db.Maintain(context.Background(), store.Org(o), func(tx *store.Tx) error {
			_, err := tx.Exec(add, id.NewKey(now), nil, 1, true)
			return err
		})
		if !errors.Is(err, store.ErrUnaudited) {
			t.Fatalf("Maintain wrote an audited table: %v", err)
		}
		if err := db.Maintain(context.Background(), store.System("test"), func(tx *store.Tx) error {
			_, err := tx.Exec(note, "ok")
			return err
		}); err != nil {
			t.Fatal(err)
		}
		err = db.View(context.Background(), store.System("test"), func(tx *store.Tx) error {
			_, err := tx.Exec(note, "no")
			return err
		})
		if err == nil {
			t.Fatal("a view wrote")
		}
	})
}

func TestOneOfFiftyUsesSucceeds(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB, _ *journal) {
		now := time.Now()
		o, k := id.NewOrg(now), id.NewKey(now)
		if err := put(db, o, k, id.User{}, 7); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		var mu sync.Mutex
		won, lost := 0, 0
		for range 50 {
			wg.Go(func() {
				err := db.Update(context.Background(), store.Org(o), func(tx *store.Tx) error {
					var n int64
					if err := tx.Row(use, k).Scan(&n); err != nil {
						return err
					}
					tx.Record("used")
					return nil
				})
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					won++
				case errors.Is(err, store.ErrNone):
					lost++
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if won != 1 || lost != 49 {
			t.Fatalf("%d won, %d lost", won, lost)
		}
	})
}

func TestAFailingClosureLeavesItsNeighboursOfTheGroup(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB, j *journal) {
		now := time.Now()
		o := id.NewOrg(now)
		var wg sync.WaitGroup
		for i := range 200 {
			wg.Go(func() {
				err := db.Update(context.Background(), store.Org(o), func(tx *store.Tx) error {
					if _, err := tx.Exec(add, id.NewKey(now), nil, i, true); err != nil {
						return err
					}
					tx.Record(fmt.Sprint(i))
					if i%2 == 1 {
						return errors.New("odd")
					}
					if i%10 == 0 {
						panic("boom")
					}
					return nil
				})
				if (err == nil) != (i%2 == 0 && i%10 != 0) {
					t.Errorf("%d: %v", i, err)
				}
			})
		}
		wg.Wait()
		if n := count(t, db, list, store.Org(o)); n != 80 {
			t.Fatalf("%d rows", n)
		}
		if j.n != 80 {
			t.Fatalf("%d entries", j.n)
		}
	})
}

func TestATransactionInsideATransactionIsRefused(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB, _ *journal) {
		ctx := context.Background()
		in := func(*store.Tx) error {
			return db.View(ctx, store.System("inner"), func(*store.Tx) error { return nil })
		}
		if err := db.View(ctx, store.System("outer"), in); !errors.Is(err, store.ErrNested) {
			t.Errorf("view in view: %v", err)
		}
		if err := db.Update(ctx, store.System("outer"), in); !errors.Is(err, store.ErrNested) {
			t.Errorf("view in update: %v", err)
		}
	})
}

func TestUniqueKeysAndDeadlinesAreNamed(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB, _ *journal) {
		now := time.Now()
		o, k := id.NewOrg(now), id.NewKey(now)
		if err := put(db, o, k, id.User{}, 1); err != nil {
			t.Fatal(err)
		}
		if err := put(db, o, k, id.User{}, 1); !errors.Is(err, store.ErrUnique) {
			t.Errorf("got %v", err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		err := db.Update(ctx, store.Org(o), func(tx *store.Tx) error { tx.Record("x"); return nil })
		if fault.KindOf(err) != fault.Unavailable && !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

func TestAFileThatIsNoDatabaseIsRefused(t *testing.T) {
	c := storetest.SQLite(t.TempDir())
	if err := os.WriteFile(c.Main.Path, []byte("this is no database, and long enough to be read as a header of one, is it not?"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := store.Migrate(context.Background(), c.Main, c.Keys, []capability.Manifest{manifest}); err == nil {
		t.Fatal("accepted")
	}
}

func TestRowLevelSecurityHoldsWithoutTheStore(t *testing.T) {
	c := storetest.Postgres(t)
	ctx := context.Background()
	if err := store.Migrate(ctx, c.Main, c.Keys, []capability.Manifest{manifest}); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(ctx, c.Main, c.Keys, []capability.Manifest{manifest})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.Main.SetJournal(&journal{})
	now := time.Now()
	if err := put(s.Main, id.NewOrg(now), id.NewKey(now), id.User{}, 1); err != nil {
		t.Fatal(err)
	}
	if n := storetest.Count(t, c.Main.URL, "SELECT count(*) FROM things_items"); n != 0 {
		t.Errorf("the serving role reads %d rows outside a scope", n)
	}
	if n := storetest.Count(t, c.Main.SystemURL, "SELECT count(*) FROM things_items"); n != 0 {
		t.Errorf("the system role reads %d rows outside a scope", n)
	}
	owner := c.Main
	owner.URL = owner.OwnerURL
	if _, err := store.Open(ctx, owner, c.Keys, []capability.Manifest{manifest}); err == nil {
		t.Error("serving as the owner of the tables was accepted")
	}
}

func TestStatementsAreCheckedForTheirOwner(t *testing.T) {
	tables := map[string]capability.Table{}
	for _, tb := range manifest.Tables {
		tables[tb.Name] = tb
	}
	for _, s := range q.All() {
		if err := store.CheckSQL(s, tables); err != nil {
			t.Error(err)
		}
	}
	for name, text := range map[string]string{
		"a column that is not the owner":  `SELECT n FROM things_items WHERE id = $org`,
		"an owner that is only selected":  `SELECT $org FROM things_items`,
		"every column":                    `SELECT * FROM things_items WHERE org_id = $org`,
		"a table of another capability":   `SELECT n FROM other_items WHERE org_id = $org`,
		"a table that has no such column": `SELECT text FROM things_notes WHERE org_id = $org`,
	} {
		if err := store.CheckSQL(capability.SQL{Name: "things.bad", Text: text, Database: "main"}, tables); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestEveryStatementPreparesOnBothEngines(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB, _ *journal) {
		for _, s := range q.All() {
			if err := db.Prepare(context.Background(), s); err != nil {
				t.Errorf("%s: %v", s.Name, err)
			}
		}
	})
}
