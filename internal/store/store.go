// Package store is the only way to rows: connections, transactions, the wall
// between tenants, and migrations, on SQLite and on PostgreSQL.
//
// # Statements
//
// SQL is written by hand, one text for both engines, and registered once in a
// package variable:
//
//	var q = store.NewSet("policy")
//	var selectRule = q.Add("select_rule", `SELECT id, cidr FROM policy_ip_rules WHERE org_id = $org AND id = $1`)
//
// $1, $2… are arguments. $org and $user are bound by the store from the scope
// of the transaction and can't be passed. A statement that holds $org runs
// only in an organization's scope, one that holds $user only in a user's; one
// that must reach further is registered for Lookup, Staff or System, which a
// test lists. Times are microseconds UTC: Micros and Time convert.
//
// # Transactions
//
//	err := db.View(ctx, store.Org(org), func(tx *store.Tx) error { ... })
//	err := db.Update(ctx, store.Org(org), func(tx *store.Tx) error { ... })
//	err := db.Maintain(ctx, store.System("session.sweep"), func(tx *store.Tx) error { ... })
//
// Update is a change: at least one entry must be recorded in it, else it fails
// with ErrUnaudited and nothing is kept. Maintain is bookkeeping: it writes only
// tables whose manifest says why they are unaudited. A closure may run twice:
// no network, no mail, no clock, no other transaction inside. It has been
// committed, durably, when the call answers nil.
//
// On SQLite one writer serves all: closures that wait are taken together, each
// in a savepoint, and one COMMIT answers them all (group commit). On PostgreSQL
// each is a transaction of its own; serialization failures are retried.
//
// The package knows no capability. It is not a query builder and has no caches.
package store

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
)

// Errors that callers branch on.
var (
	// ErrNone is returned by Row.Scan when no row answers.
	ErrNone = errors.New("store: no row")
	// ErrUnaudited is returned by Update when the closure wrote rows and recorded no entry.
	ErrUnaudited = errors.New("store: a change without an entry in the log")
	// ErrScope is returned when a statement is run in a scope that does not reach it.
	ErrScope = errors.New("store: statement is not reachable from this scope")
	// ErrNested is returned when a transaction is opened while holding one.
	ErrNested = errors.New("store: transaction inside a transaction")
	// ErrUnique is returned when a unique key refuses a row.
	ErrUnique = errors.New("store: such a row exists")
	// ErrReference is returned when a foreign key refuses a change.
	ErrReference = errors.New("store: a row refers to what does not exist")
)

// Scope is whose rows a transaction reaches.
type Scope struct {
	kind capability.Scopes
	org  id.Org
	user id.User
	act  string
}

// Org is the scope of one organization's rows.
func Org(o id.Org) Scope { return Scope{kind: capability.ScopeOrg, org: o} }

// User is the scope of one user's own rows, in all organizations.
func User(u id.User) Scope { return Scope{kind: capability.ScopeUser, user: u} }

// Lookup is the scope before anyone is known: statements that find at most one
// row by a unique hash, public identifier, slug or verified domain.
func Lookup() Scope { return Scope{kind: capability.ScopeLookup, act: "lookup"} }

// Staff is the scope of an act of the SaaS company's operators.
func Staff(act string) Scope { return Scope{kind: capability.ScopeStaff, act: act} }

// System is the scope of work of the server itself; job names it.
func System(job string) Scope { return Scope{kind: capability.ScopeSystem, act: job} }

func (s Scope) valid() error {
	switch s.kind {
	case capability.ScopeOrg:
		if s.org.IsZero() {
			return fmt.Errorf("%w: no organization", ErrScope)
		}
	case capability.ScopeUser:
		if s.user.IsZero() {
			return fmt.Errorf("%w: no user", ErrScope)
		}
	case capability.ScopeLookup, capability.ScopeStaff, capability.ScopeSystem:
	default:
		return fmt.Errorf("%w: no scope", ErrScope)
	}
	return nil
}

func (s Scope) name() string {
	switch s.kind {
	case capability.ScopeOrg:
		return "org"
	case capability.ScopeUser:
		return "user"
	case capability.ScopeLookup:
		return "lookup"
	case capability.ScopeStaff:
		return "staff"
	}
	return "system"
}

// Journal writes what transactions recorded. The audit log is the journal of
// the main database; the keys database has none.
type Journal interface {
	// Write stores the batch in the transaction, just before its COMMIT. The
	// batch holds what every closure of a group commit recorded, in order.
	Write(tx *Tx, batch []any) error
	// Done is told how the COMMIT of the batch ended: nil, or why it did not.
	Done(batch []any, err error)
}

// Engine is "sqlite" or "postgres".
type Engine string

// The engines.
const (
	SQLite   Engine = "sqlite"
	Postgres Engine = "postgres"
)

// DB is one database, open. Safe for concurrent use.
type DB struct {
	name      string // "main" or "keys"
	engine    Engine
	journal   Journal
	unaudited map[string]bool // tables that Maintain may write
	strict    bool
	holders   holders
	be        backend

	statements atomic.Int64
}

// backend is one engine's way to run transactions.
type backend interface {
	view(ctx context.Context, s Scope, fn func(*Tx) error) error
	update(ctx context.Context, s Scope, run func(*Tx) error) error
	ping(ctx context.Context) error
	prepare(ctx context.Context, text string) error
	close() error
}

// Engine tells which engine runs the database.
func (db *DB) Engine() Engine { return db.engine }

// SetJournal sets who writes recorded entries; before the first Update.
func (db *DB) SetJournal(j Journal) { db.journal = j }

// Statements is how many have been run: benchmarks and tests count work by it.
func (db *DB) Statements() int64 { return db.statements.Load() }

// Ping asks the database whether it answers.
func (db *DB) Ping(ctx context.Context) error { return db.be.ping(ctx) }

// Close ends every connection; running transactions are awaited.
func (db *DB) Close() error { return db.be.close() }

// Prepare compiles a registered statement, for the test that prepares all.
func (db *DB) Prepare(ctx context.Context, s capability.SQL) error {
	st := compile(s)
	if db.engine == Postgres {
		return db.be.prepare(ctx, st.postgres)
	}
	return db.be.prepare(ctx, st.sqlite)
}

// View reads in one consistent snapshot.
func (db *DB) View(ctx context.Context, s Scope, fn func(*Tx) error) error {
	if err := s.valid(); err != nil {
		return err
	}
	release, err := db.hold()
	if err != nil {
		return err
	}
	defer release()
	return translate(db.be.view(ctx, s, fn))
}

// Update makes a change; see the package comment.
func (db *DB) Update(ctx context.Context, s Scope, fn func(*Tx) error) error {
	return db.write(ctx, s, false, fn)
}

// Maintain writes bookkeeping that needs no entry; see the package comment.
func (db *DB) Maintain(ctx context.Context, s Scope, fn func(*Tx) error) error {
	return db.write(ctx, s, true, fn)
}

func (db *DB) write(ctx context.Context, s Scope, maintain bool, fn func(*Tx) error) error {
	if err := s.valid(); err != nil {
		return err
	}
	release, err := db.hold()
	if err != nil {
		return err
	}
	defer release()
	return translate(db.be.update(ctx, s, func(tx *Tx) error {
		tx.maintain = maintain
		if db.strict {
			defer db.holders.enter()()
		}
		if err := fn(tx); err != nil {
			return err
		}
		if !maintain && tx.wrote && len(tx.recorded) == 0 {
			return ErrUnaudited
		}
		return nil
	}))
}

// Micros is the stored form of an instant: microseconds since 1970, UTC; 0 for
// the zero time.
func Micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// Time is the instant of a stored number; 0 is the zero time.
func Time(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// unavailable wraps what only trying later can mend.
func unavailable(err error) error {
	return fault.New(fault.Unavailable, "web.error.unavailable", err).After(time.Second)
}
