package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/rempart/rempart/internal/capability"
)

// attempts bounds the retries of a transaction that the engine refused for
// serialization or deadlock.
const attempts = 6

// postgresDB runs Org, User and Lookup scopes as the serving role, Staff and
// System as the second one; row-level security separates them.
type postgresDB struct {
	db      *DB
	serving *pgxpool.Pool
	system  *pgxpool.Pool
}

func openPool(ctx context.Context, dsn string, size int) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		// pgx's message may hold the URL with its password.
		return nil, errors.New("store: the database URL is not understood")
	}
	if size > 0 {
		cfg.MaxConns = int32(size)
	}
	cfg.ConnConfig.ConnectTimeout = 5 * time.Second
	cfg.ConnConfig.RuntimeParams["application_name"] = "rempart"
	cfg.ConnConfig.RuntimeParams["search_path"] = "public"
	cfg.ConnConfig.RuntimeParams["timezone"] = "UTC"
	p, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if err := p.Ping(ctx); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

func (p *postgresDB) pool(s Scope) *pgxpool.Pool {
	if s.kind == capability.ScopeStaff || s.kind == capability.ScopeSystem {
		return p.system
	}
	return p.serving
}

func (p *postgresDB) ping(ctx context.Context) error {
	return errors.Join(p.serving.Ping(ctx), p.system.Ping(ctx))
}

func (p *postgresDB) prepare(ctx context.Context, text string) error {
	c, err := p.system.Acquire(ctx)
	if err != nil {
		return err
	}
	defer c.Release()
	_, err = c.Conn().Prepare(ctx, "", text)
	return err
}

func (p *postgresDB) close() error {
	p.serving.Close()
	p.system.Close()
	return nil
}

// enterSQL opens the transaction and names its owner to row-level security; it
// travels with BEGIN in one round trip.
const enterSQL = `SELECT set_config('rempart.scope', $1, true), set_config('rempart.org', $2, true), set_config('rempart.user', $3, true)`

func (p *postgresDB) run(ctx context.Context, s Scope, readonly bool, fn func(*Tx) error) error {
	c, err := p.pool(s).Acquire(ctx)
	if err != nil {
		return unavailable(err)
	}
	defer c.Release()
	begin := "BEGIN ISOLATION LEVEL READ COMMITTED"
	if readonly {
		begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
	}
	b := &pgx.Batch{}
	b.Queue(begin)
	b.Queue(enterSQL, s.name(), s.org.String(), s.user.String())
	if err := c.SendBatch(ctx, b).Close(); err != nil {
		p.abandon(c)
		return err
	}
	t := &postgresTx{ctx: ctx, c: c.Conn()}
	tx := &Tx{db: p.db, scope: s, readonly: readonly, conn: t}
	err = guard(fn, tx)
	if err == nil && !readonly && len(tx.recorded) > 0 {
		if p.db.journal == nil {
			err = errors.New("store: entries recorded and no journal set")
		} else {
			jtx := &Tx{db: p.db, scope: System("journal"), conn: t}
			err = guard(func(jtx *Tx) error { return p.db.journal.Write(jtx, tx.recorded) }, jtx)
		}
	}
	if err != nil {
		p.abandon(c)
		if len(tx.recorded) > 0 && p.db.journal != nil {
			p.db.journal.Done(tx.recorded, err)
		}
		return err
	}
	var tag pgconn.CommandTag
	tag, err = c.Exec(ctx, "COMMIT")
	if err == nil && tag.String() != "COMMIT" {
		err = fmt.Errorf("store: transaction ended as %s", tag)
	}
	if err != nil {
		p.abandon(c)
	}
	if len(tx.recorded) > 0 && p.db.journal != nil {
		p.db.journal.Done(tx.recorded, err)
	}
	return err
}

// abandon rolls back, or closes the connection when that can't be done soon.
func (p *postgresDB) abandon(c *pgxpool.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if _, err := c.Exec(ctx, "ROLLBACK"); err != nil {
		_ = c.Conn().Close(ctx)
	}
}

func (p *postgresDB) view(ctx context.Context, s Scope, fn func(*Tx) error) error {
	return p.run(ctx, s, true, fn)
}

func (p *postgresDB) update(ctx context.Context, s Scope, run func(*Tx) error) error {
	var err error
	for n := range attempts {
		if err = p.run(ctx, s, false, run); err == nil || !retryable(err) {
			return err
		}
		wait := time.Duration(1<<n)*2*time.Millisecond + time.Duration(rand.Int64N(int64(2*time.Millisecond)))
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return unavailable(ctx.Err())
		}
	}
	return unavailable(err)
}

// retryable reports a serialization failure or a deadlock: nothing was kept.
func retryable(err error) bool {
	var pe *pgconn.PgError
	return errors.As(err, &pe) && (pe.Code == "40001" || pe.Code == "40P01")
}

type postgresTx struct {
	ctx context.Context
	c   *pgx.Conn
}

func (t *postgresTx) exec(st *Stmt, args []any) (int64, error) {
	tag, err := t.c.Exec(t.ctx, st.postgres, args...)
	if err != nil {
		return 0, fmt.Errorf("store: %s: %w", st.sql.Name, err)
	}
	return tag.RowsAffected(), nil
}

func (t *postgresTx) query(st *Stmt, args []any) (rows, error) {
	r, err := t.c.Query(t.ctx, st.postgres, args...)
	if err != nil {
		return nil, fmt.Errorf("store: %s: %w", st.sql.Name, err)
	}
	return r, nil
}
