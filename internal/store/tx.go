package store

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Tx is a running transaction. It is used only inside the closure it was
// given to, by one goroutine.
type Tx struct {
	db       *DB
	scope    Scope
	readonly bool
	maintain bool
	wrote    bool
	recorded []any
	conn     conn
}

// conn is one engine's connection inside a transaction.
type conn interface {
	exec(st *Stmt, args []any) (int64, error)
	query(st *Stmt, args []any) (rows, error)
}

type rows interface {
	Next() bool
	Scan(dest ...any) error
	Err() error
	Close()
}

// Scope is the transaction's.
func (tx *Tx) Scope() Scope { return tx.scope }

// Engine tells which engine runs the transaction.
func (tx *Tx) Engine() Engine { return tx.db.engine }

// Record queues an entry of the log: it is written with the COMMIT. Only
// internal/audit calls it.
func (tx *Tx) Record(entry any) { tx.recorded = append(tx.recorded, entry) }

// Exec runs a statement and gives the number of rows it touched.
func (tx *Tx) Exec(st *Stmt, args ...any) (int64, error) {
	tx.db.statements.Add(1)
	args, err := st.bind(tx, args)
	if err != nil {
		return 0, err
	}
	n, err := tx.conn.exec(st, args)
	if st.table != "" && n > 0 && !tx.db.unaudited[st.table] {
		tx.wrote = true
	}
	return n, translate(err)
}

// Row is the first row of an answer.
type Row struct {
	rs  rows
	err error
}

// Row runs a statement of which one row is wanted; Scan reads it.
func (tx *Tx) Row(st *Stmt, args ...any) *Row {
	tx.db.statements.Add(1)
	args, err := st.bind(tx, args)
	if err != nil {
		return &Row{err: err}
	}
	rs, err := tx.conn.query(st, args)
	if st.table != "" && !tx.db.unaudited[st.table] {
		tx.wrote = true
	}
	return &Row{rs: rs, err: err}
}

// Scan reads the row's columns; the error is ErrNone when there is no row.
func (r *Row) Scan(dest ...any) error {
	if r.err != nil {
		return translate(r.err)
	}
	defer r.rs.Close()
	if !r.rs.Next() {
		if err := r.rs.Err(); err != nil {
			return translate(err)
		}
		return ErrNone
	}
	if err := r.rs.Scan(dest...); err != nil {
		return translate(err)
	}
	// The statement must be run to its end: a RETURNING is complete only then.
	for r.rs.Next() {
	}
	return translate(r.rs.Err())
}

// Rows is an answer being read. Each must be closed, which All does.
type Rows struct {
	rs  rows
	err error
}

// Query runs a statement that answers rows. Prefer All.
func (tx *Tx) Query(st *Stmt, args ...any) *Rows {
	tx.db.statements.Add(1)
	args, err := st.bind(tx, args)
	if err != nil {
		return &Rows{err: err}
	}
	rs, err := tx.conn.query(st, args)
	if st.table != "" && !tx.db.unaudited[st.table] {
		tx.wrote = true
	}
	return &Rows{rs: rs, err: err}
}

// Next moves to the next row.
func (r *Rows) Next() bool { return r.err == nil && r.rs.Next() }

// Scan reads the row's columns.
func (r *Rows) Scan(dest ...any) error { return translate(r.rs.Scan(dest...)) }

// Close ends the answer and gives the error that cut it short, if any.
func (r *Rows) Close() error {
	if r.err != nil {
		return translate(r.err)
	}
	err := r.rs.Err()
	r.rs.Close()
	return translate(err)
}

// All reads every row with scan.
func All[T any](tx *Tx, scan func(r *Rows) (T, error), st *Stmt, args ...any) ([]T, error) {
	r := tx.Query(st, args...)
	out := []T{}
	for r.Next() {
		v, err := scan(r)
		if err != nil {
			r.Close()
			return nil, err
		}
		out = append(out, v)
	}
	return out, r.Close()
}

// translate maps an engine's error to the package's.
func translate(err error) error {
	if err == nil {
		return nil
	}
	var se *sqlite.Error
	if errors.As(err, &se) {
		switch code := se.Code(); {
		case code == sqlite3.SQLITE_CONSTRAINT_UNIQUE || code == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
			return errors.Join(ErrUnique, err)
		case code == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
			return errors.Join(ErrReference, err)
		case code&0xff == sqlite3.SQLITE_FULL || code&0xff == sqlite3.SQLITE_IOERR || code&0xff == sqlite3.SQLITE_BUSY || code&0xff == sqlite3.SQLITE_CANTOPEN:
			return unavailable(err)
		}
		return err
	}
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		switch {
		case pe.Code == "23505":
			return errors.Join(ErrUnique, err)
		case pe.Code == "23503":
			return errors.Join(ErrReference, err)
		case strings.HasPrefix(pe.Code, "53"), strings.HasPrefix(pe.Code, "57P"), strings.HasPrefix(pe.Code, "08"), pe.Code == "25006":
			return unavailable(err)
		}
		return err
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return ErrNone
	}
	var ce *pgconn.ConnectError
	if errors.As(err, &ce) {
		return unavailable(err)
	}
	return err
}

// holders knows which goroutines hold a transaction, in strict mode.
type holders struct {
	mu  sync.Mutex
	set map[string]bool
}

func (h *holders) enter() func() {
	g := goroutine()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.set == nil {
		h.set = map[string]bool{}
	}
	h.set[g] = true
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.set, g)
	}
}

// goroutine names the running goroutine; used in strict mode only, which tests
// turn on: it costs more than a small transaction.
func goroutine() string {
	var b [40]byte
	s := string(b[:runtime.Stack(b[:], false)])
	f := strings.Fields(s)
	if len(f) > 1 {
		return f[1]
	}
	return ""
}

// hold refuses a transaction opened by a goroutine that holds one: on a pool
// of size one it would wait for itself for ever.
func (db *DB) hold() (release func(), err error) {
	if !db.strict {
		return func() {}, nil
	}
	db.holders.mu.Lock()
	held := db.holders.set[goroutine()]
	db.holders.mu.Unlock()
	if held {
		return nil, ErrNested
	}
	if db.engine == SQLite {
		// Closures of Update run on the writer's goroutine, which enters for itself.
		return func() {}, nil
	}
	return db.holders.enter(), nil
}

var errPanic = errors.New("store: closure panicked")

// guard runs fn and turns a panic into an error, so that the writer survives.
func guard(fn func(*Tx) error, tx *Tx) (err error) {
	defer func() {
		if p := recover(); p != nil {
			buf := make([]byte, 4096)
			err = &panicError{value: p, stack: string(buf[:runtime.Stack(buf, false)])}
		}
	}()
	return fn(tx)
}

type panicError struct {
	value any
	stack string
}

func (p *panicError) Error() string { return errPanic.Error() + ": " + p.stack }
func (p *panicError) Unwrap() error { return errPanic }

// background ends with the server, not with the request that began the work.
func background(ctx context.Context) context.Context { return context.WithoutCancel(ctx) }
