package store

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"sync"

	"github.com/rempart/rempart/internal/capability"
)

// inspections are the statements that Inspect makes, one for a list of columns.
var inspections sync.Map // text to *Stmt

var nameRE = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// Inspect hands the named columns of every row of a table to fn, in the scope
// of the system: for the check of the stored state, which goes over all tables
// and is no capability's. It only reads. Values are strings, []byte, int64 or
// nil; fn must not keep them.
func (db *DB) Inspect(ctx context.Context, t capability.Table, columns []string, fn func(values []any) error) error {
	if t.Database != db.name || t.Reach&capability.ScopeSystem == 0 {
		return fmt.Errorf("%w: %s", ErrScope, t.Name)
	}
	for _, name := range append([]string{t.Name}, columns...) {
		if !nameRE.MatchString(name) {
			return fmt.Errorf("store: inspect: %q is no name", name)
		}
	}
	text := "SELECT " + strings.Join(columns, ", ") + " FROM " + t.Name
	made, ok := inspections.Load(db.name + ": " + text)
	if !ok {
		made, _ = inspections.LoadOrStore(db.name+": "+text, compile(capability.SQL{Name: "store.inspect", Text: text, Database: db.name, For: ForSystem}))
	}
	return db.View(ctx, System("store.inspect"), func(tx *Tx) error {
		r := tx.Query(made.(*Stmt))
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		for r.Next() {
			err := r.Scan(into...)
			if err == nil {
				err = fn(values)
			}
			if err != nil {
				r.Close()
				return err
			}
		}
		return r.Close()
	})
}

// Faults asks the engine what is wrong with the database: damaged pages and
// indexes, and rows that refer to what does not exist. PostgreSQL checks its
// references itself and has no such question; there the answer is nothing.
func (db *DB) Faults(ctx context.Context) ([]string, error) {
	be, ok := db.be.(*sqliteDB)
	if !ok {
		return nil, nil
	}
	var c *sqliteConn
	select {
	case c = <-be.readers:
	case <-ctx.Done():
		return nil, unavailable(ctx.Err())
	}
	defer func() { be.readers <- c }()
	var out []string
	r, err := c.c.QueryContext(ctx, "PRAGMA integrity_check(100)")
	if err != nil {
		return nil, translate(err)
	}
	for r.Next() {
		var line string
		if err := r.Scan(&line); err != nil {
			r.Close()
			return nil, translate(err)
		}
		for _, l := range strings.Split(line, "\n") { // the first fault comes with a heading
			if l != "ok" && !strings.HasPrefix(l, "*** ") {
				out = append(out, l)
			}
		}
	}
	if err := r.Close(); err != nil {
		return nil, translate(err)
	}
	if r, err = c.c.QueryContext(ctx, "PRAGMA foreign_key_check"); err != nil {
		return nil, translate(err)
	}
	defer r.Close()
	for r.Next() {
		var table, parent string
		var row, key *int64
		if err := r.Scan(&table, &row, &parent, &key); err != nil {
			return nil, translate(err)
		}
		at := ""
		if row != nil {
			at = fmt.Sprintf(", row %d,", *row)
		}
		out = append(out, fmt.Sprintf("%s%s refers to what %s does not have", table, at, parent))
	}
	return out, translate(r.Err())
}
