// Package job runs scheduled work: each job of the manifests on its interval,
// on exactly one node at a time.
//
// A node that runs a job holds its lease, a row with an end; while it works it
// renews the lease, and another node takes over when the lease has ended. The
// embedded engine has one process and needs no lease.
//
// It owns job_leases and knows nothing of what jobs do. A job that fails is
// logged and tried again at its next turn.
package job

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/clock"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/store"
)

// Lease is how long a node may be silent before another takes its jobs.
const Lease = 15 * time.Second

//go:embed migrations/*.sql
var migrations embed.FS

// Runner runs jobs until its context ends.
type Runner struct {
	Store *store.DB
	Now   clock.Now
	Log   *slog.Logger
	Node  id.Node

	mu     sync.Mutex
	jobs   []capability.Job
	status map[string]Status
	until  map[string]time.Time // leases this node holds
}

// Status is how a job fares on this node.
type Status struct {
	Name    string    `json:"name"`
	Every   string    `json:"every"`
	Started time.Time `json:"started_at,omitzero"`
	Ended   time.Time `json:"ended_at,omitzero"`
	Runs    int64     `json:"runs"`
	Failed  int64     `json:"failed"`
	Error   string    `json:"error,omitempty"`
}

// Manifest is the capability's.
func Manifest() capability.Manifest {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err)
	}
	return capability.Manifest{
		Name:       "job",
		Migrations: dir,
		Statements: q.All(),
		Tables: []capability.Table{{
			Name: "job_leases", Database: "main", Reach: capability.ScopeSystem,
			Unaudited: "which node works is bookkeeping; what it does is logged by the job",
			Export:    "none: no data of anybody", Erase: "none: no data of anybody",
			Columns: []capability.Column{
				{Name: "name", Plain: "name of a job"}, {Name: "holder", Plain: "id of a node"},
				{Name: "fence", Plain: "counter"}, {Name: "until", Plain: "time"},
			},
		}},
	}
}

// Add schedules jobs; before Run.
func (r *Runner) Add(jobs ...capability.Job) { r.jobs = append(r.jobs, jobs...) }

// Run works until ctx ends, and returns when every job has stopped.
func (r *Runner) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, j := range r.jobs {
		wg.Go(func() { r.loop(ctx, j) })
	}
	wg.Wait()
}

func (r *Runner) loop(ctx context.Context, j capability.Job) {
	tick := time.NewTicker(j.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := r.once(ctx, j); err != nil && ctx.Err() == nil {
			r.Log.Error("job failed", "job", j.Name, "error", err)
		}
	}
}

// RunNow runs the named job once, lease or not: for tests, commands and start-up.
func (r *Runner) RunNow(ctx context.Context, name string) error {
	for _, j := range r.jobs {
		if j.Name == name {
			return r.work(ctx, j)
		}
	}
	return fmt.Errorf("job: there is no job %s", name)
}

func (r *Runner) once(ctx context.Context, j capability.Job) error {
	if r.Store.Engine() != store.SQLite {
		held, err := r.lease(ctx, j.Name)
		if err != nil || !held {
			return err
		}
	}
	return r.work(ctx, j)
}

func (r *Runner) work(ctx context.Context, j capability.Job) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("job: %s panicked: %v\n%s", j.Name, p, debug.Stack())
		}
		r.note(j, func(s *Status) {
			s.Ended = r.Now()
			s.Error = ""
			if err != nil {
				s.Failed++
				s.Error = err.Error()
			}
		})
	}()
	r.note(j, func(s *Status) { s.Started, s.Runs = r.Now(), s.Runs+1 })
	return j.Run(ctx)
}

func (r *Runner) note(j capability.Job, change func(*Status)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.status == nil {
		r.status = map[string]Status{}
	}
	s := r.status[j.Name]
	s.Name, s.Every = j.Name, j.Every.String()
	change(&s)
	r.status[j.Name] = s
}

// Statuses tells how each job fares on this node, in the order they were added.
func (r *Runner) Statuses() []Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := []Status{}
	for _, j := range r.jobs {
		if s, ok := r.status[j.Name]; ok {
			out = append(out, s)
		} else {
			out = append(out, Status{Name: j.Name, Every: j.Every.String()})
		}
	}
	return out
}

// lease takes or renews the lease of a job; it asks the database only when
// less than half of the lease is left.
func (r *Runner) lease(ctx context.Context, name string) (bool, error) {
	now := r.Now()
	r.mu.Lock()
	until, ok := r.until[name]
	r.mu.Unlock()
	if ok && until.Sub(now) > Lease/2 {
		return true, nil
	}
	held := false
	err := r.Store.Maintain(ctx, store.System("job"), func(tx *store.Tx) error {
		held = false
		if _, err := tx.Exec(insertLease, name); err != nil {
			return err
		}
		var fence int64
		err := tx.Row(takeLease, name, r.Node, store.Micros(now.Add(Lease)), store.Micros(now)).Scan(&fence)
		if errors.Is(err, store.ErrNone) {
			return nil
		}
		held = err == nil
		return err
	})
	if err != nil {
		return false, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.until == nil {
		r.until = map[string]time.Time{}
	}
	if held {
		r.until[name] = now.Add(Lease)
	} else {
		delete(r.until, name)
	}
	return held, nil
}
