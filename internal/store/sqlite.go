package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"runtime"
	"sync"
	"time"
)

// groupMax bounds how many closures one COMMIT answers.
const groupMax = 256

// sqliteDB is the embedded engine: one writer, a few readers.
type sqliteDB struct {
	db      *DB
	path    string
	pool    *sql.DB // readers
	wpool   *sql.DB // the writer's one connection
	readers chan *sqliteConn
	queue   chan *sqliteJob
	stop    chan struct{}
	done    chan struct{}
	once    sync.Once
	pause   sync.Mutex // held by the writer while a group runs
}

type sqliteJob struct {
	ctx      context.Context
	scope    Scope
	run      func(*Tx) error
	err      error
	recorded []any
	answer   chan error
}

// sqliteConn is one connection with its prepared statements.
type sqliteConn struct {
	c     *sql.Conn
	stmts map[*Stmt]*sql.Stmt
	words map[string]*sql.Stmt // SAVEPOINT and its like
}

// control runs a statement of transaction control, prepared once.
func (c *sqliteConn) control(ctx context.Context, text string) error {
	st := c.words[text]
	if st == nil {
		var err error
		if st, err = c.c.PrepareContext(ctx, text); err != nil {
			return err
		}
		if c.words == nil {
			c.words = map[string]*sql.Stmt{}
		}
		c.words[text] = st
	}
	_, err := st.ExecContext(ctx)
	return err
}

// close ends the statements first: the file stays open, and its write-ahead
// log beside it, as long as one is.
func (c *sqliteConn) close() {
	for _, st := range c.stmts {
		st.Close()
	}
	for _, st := range c.words {
		st.Close()
	}
	c.c.Close()
}

func sqliteDSN(path string, readonly bool) string {
	v := url.Values{}
	v.Set("_txlock", "immediate")
	for _, p := range []string{"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "temp_store(MEMORY)", "cache_size(-16000)", "trusted_schema(0)", "secure_delete(1)"} {
		v.Add("_pragma", p)
	}
	if readonly {
		v.Add("_pragma", "query_only(1)")
	}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + v.Encode()
}

func openSQLite(ctx context.Context, db *DB, path string, readers int) (*sqliteDB, error) {
	// SQLite makes its files with the process's umask; the data is private.
	if f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600); err == nil {
		f.Close()
	} else {
		return nil, fmt.Errorf("store: open %s: %w", path, err)
	}
	if readers <= 0 {
		readers = max(2, runtime.NumCPU())
	}
	s := &sqliteDB{db: db, path: path, queue: make(chan *sqliteJob, 4096), stop: make(chan struct{}), done: make(chan struct{}), readers: make(chan *sqliteConn, readers)}
	var err error
	if s.wpool, err = sql.Open("sqlite", sqliteDSN(path, false)); err != nil {
		return nil, err
	}
	s.wpool.SetMaxOpenConns(1)
	s.wpool.SetConnMaxLifetime(0)
	wc, err := s.wpool.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("store: open %s: %w", path, err)
	}
	if _, err := wc.ExecContext(ctx, "SELECT count(*) FROM sqlite_schema"); err != nil {
		return nil, fmt.Errorf("store: %s is not a database of ours: %w", path, err)
	}
	if s.pool, err = sql.Open("sqlite", sqliteDSN(path, true)); err != nil {
		return nil, err
	}
	s.pool.SetMaxOpenConns(readers)
	s.pool.SetMaxIdleConns(readers)
	s.pool.SetConnMaxLifetime(0)
	for range readers {
		c, err := s.pool.Conn(ctx)
		if err != nil {
			return nil, fmt.Errorf("store: open %s: %w", path, err)
		}
		s.readers <- &sqliteConn{c: c, stmts: map[*Stmt]*sql.Stmt{}}
	}
	go s.loop(&sqliteConn{c: wc, stmts: map[*Stmt]*sql.Stmt{}})
	return s, nil
}

func (s *sqliteDB) ping(ctx context.Context) error {
	select {
	case c := <-s.readers:
		defer func() { s.readers <- c }()
		var one int
		return c.c.QueryRowContext(ctx, "SELECT 1").Scan(&one)
	case <-ctx.Done():
		return unavailable(ctx.Err())
	}
}

func (s *sqliteDB) prepare(ctx context.Context, text string) error {
	c := <-s.readers
	defer func() { s.readers <- c }()
	st, err := c.c.PrepareContext(ctx, text)
	if err != nil {
		return err
	}
	return st.Close()
}

func (s *sqliteDB) close() error {
	s.once.Do(func() { close(s.stop) })
	<-s.done
	for range cap(s.readers) {
		c := <-s.readers
		c.close()
	}
	return errors.Join(s.pool.Close(), s.wpool.Close())
}

func (s *sqliteDB) view(ctx context.Context, sc Scope, fn func(*Tx) error) error {
	var c *sqliteConn
	select {
	case c = <-s.readers:
	default:
		select {
		case c = <-s.readers:
		case <-ctx.Done():
			return unavailable(ctx.Err())
		}
	}
	defer func() { s.readers <- c }()
	bg := context.Background()
	if _, err := c.c.ExecContext(bg, "BEGIN"); err != nil {
		return err
	}
	tx := &Tx{db: s.db, scope: sc, readonly: true, conn: &sqliteTx{ctx: ctx, c: c}}
	if s.db.strict {
		defer s.db.holders.enter()()
	}
	err := guard(fn, tx)
	if _, rerr := c.c.ExecContext(bg, "ROLLBACK"); rerr != nil && err == nil {
		err = rerr
	}
	return err
}

func (s *sqliteDB) update(ctx context.Context, sc Scope, run func(*Tx) error) error {
	j := &sqliteJob{ctx: ctx, scope: sc, run: run, answer: make(chan error, 1)}
	select {
	case s.queue <- j:
	case <-ctx.Done():
		return unavailable(ctx.Err())
	case <-s.stop:
		return unavailable(errors.New("store: closing"))
	}
	select {
	case err := <-j.answer:
		return err
	case <-ctx.Done():
		return unavailable(ctx.Err())
	case <-s.done:
		select {
		case err := <-j.answer:
			return err
		default:
			return unavailable(errors.New("store: closing"))
		}
	}
}

// loop is the writer: it alone begins and ends write transactions.
func (s *sqliteDB) loop(c *sqliteConn) {
	defer close(s.done)
	defer c.close()
	for {
		select {
		case <-s.stop:
			return
		case j := <-s.queue:
			s.pause.Lock()
			s.group(c, j)
			s.pause.Unlock()
		}
	}
}

// group runs first and every closure that waits, and commits them together.
func (s *sqliteDB) group(c *sqliteConn, first *sqliteJob) {
	bg := context.Background()
	if _, err := c.c.ExecContext(bg, "BEGIN IMMEDIATE"); err != nil {
		first.answer <- err
		return
	}
	var jobs []*sqliteJob
	var batch []any
	for j := first; j != nil; {
		s.one(c, j)
		jobs = append(jobs, j)
		batch = append(batch, j.recorded...)
		j = nil
		if len(jobs) < groupMax {
			select {
			case j = <-s.queue:
			default:
			}
		}
	}
	err := s.finish(c, batch)
	for _, j := range jobs {
		if j.err != nil {
			j.answer <- j.err
		} else {
			j.answer <- err
		}
	}
}

// one runs a closure in a savepoint, which its first statement opens: a closure
// that only records an entry needs none.
func (s *sqliteDB) one(c *sqliteConn, j *sqliteJob) {
	if err := j.ctx.Err(); err != nil {
		j.err = unavailable(err)
		return
	}
	bg := context.Background()
	t := &sqliteTx{ctx: bg, c: c, savepoint: true}
	tx := &Tx{db: s.db, scope: j.scope, conn: t}
	j.err = guard(j.run, tx)
	if j.err == nil && t.opened {
		j.err = c.control(bg, "RELEASE one")
	}
	if j.err != nil && t.opened {
		// A failure of the disk may have ended the transaction already; the
		// COMMIT will then fail for all.
		_ = c.control(bg, "ROLLBACK TO one")
		_ = c.control(bg, "RELEASE one")
	}
	if j.err == nil {
		j.recorded = tx.recorded
	}
}

// finish writes the journal and commits; on failure nothing of the group is kept.
func (s *sqliteDB) finish(c *sqliteConn, batch []any) error {
	bg := context.Background()
	var err error
	if len(batch) > 0 && s.db.journal != nil {
		tx := &Tx{db: s.db, scope: System("journal"), conn: &sqliteTx{ctx: bg, c: c}}
		err = guard(func(tx *Tx) error { return s.db.journal.Write(tx, batch) }, tx)
	} else if len(batch) > 0 {
		err = errors.New("store: entries recorded and no journal set")
	}
	if err == nil {
		_, err = c.c.ExecContext(bg, "COMMIT")
	}
	if err != nil {
		_, _ = c.c.ExecContext(bg, "ROLLBACK")
	}
	if len(batch) > 0 && s.db.journal != nil {
		s.db.journal.Done(batch, err)
	}
	return err
}

// sqliteTx runs statements on a connection inside a transaction.
type sqliteTx struct {
	ctx       context.Context
	c         *sqliteConn
	savepoint bool // the first statement opens one
	opened    bool
}

func (t *sqliteTx) stmt(st *Stmt) (*sql.Stmt, error) {
	if t.savepoint && !t.opened {
		if err := t.c.control(t.ctx, "SAVEPOINT one"); err != nil {
			return nil, err
		}
		t.opened = true
	}
	if p, ok := t.c.stmts[st]; ok {
		return p, nil
	}
	p, err := t.c.c.PrepareContext(background(t.ctx), st.sqlite)
	if err != nil {
		return nil, fmt.Errorf("store: %s: %w", st.sql.Name, err)
	}
	t.c.stmts[st] = p
	return p, nil
}

func (t *sqliteTx) exec(st *Stmt, args []any) (int64, error) {
	p, err := t.stmt(st)
	if err != nil {
		return 0, err
	}
	r, err := p.ExecContext(t.ctx, args...)
	if err != nil {
		return 0, fmt.Errorf("store: %s: %w", st.sql.Name, err)
	}
	return r.RowsAffected()
}

func (t *sqliteTx) query(st *Stmt, args []any) (rows, error) {
	p, err := t.stmt(st)
	if err != nil {
		return nil, err
	}
	r, err := p.QueryContext(t.ctx, args...)
	if err != nil {
		return nil, fmt.Errorf("store: %s: %w", st.sql.Name, err)
	}
	return sqliteRows{r}, nil
}

type sqliteRows struct{ *sql.Rows }

func (r sqliteRows) Close() { r.Rows.Close() }

// Checkpoint moves the write-ahead log into the database file, with the writer
// paused; it answers how long that took. Nothing on PostgreSQL.
func (db *DB) Checkpoint(ctx context.Context) (time.Duration, error) {
	s, ok := db.be.(*sqliteDB)
	if !ok {
		return 0, nil
	}
	start := time.Now()
	s.pause.Lock()
	defer s.pause.Unlock()
	c := <-s.readers
	defer func() { s.readers <- c }()
	var busy, log, done int
	err := c.c.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &log, &done)
	return time.Since(start), err
}

// Vacuum rewrites the database file without its free pages, with the writer
// paused, and empties the write-ahead log. Nothing on PostgreSQL, where the
// owner of the tables or autovacuum does it.
func (db *DB) Vacuum(ctx context.Context) error {
	s, ok := db.be.(*sqliteDB)
	if !ok {
		return nil
	}
	s.pause.Lock()
	defer s.pause.Unlock()
	// The writer's connection is its goroutine's; a second one is safe while
	// the writer is paused.
	c, err := sql.Open("sqlite", sqliteDSN(s.path, false))
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetMaxOpenConns(1)
	if _, err := c.ExecContext(ctx, "VACUUM"); err != nil {
		return fmt.Errorf("store: vacuum: %w", err)
	}
	var busy, log, done int
	return c.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &log, &done)
}
