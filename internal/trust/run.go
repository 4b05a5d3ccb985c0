package trust

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/store"
)

// RunDue runs controls that are due. It is called every few seconds and runs
// first what never ran, so that a first round is over soon after the start;
// then one control a turn, the longest overdue first, which spreads them over
// time, and more only when they fall behind.
func (s *Service) RunDue(ctx context.Context) error {
	begun := s.Now()
	states, err := s.Current(ctx)
	if err != nil {
		return err
	}
	type due struct {
		control capability.Control
		first   bool
		over    bool // a control over other controls, which waits while they catch up
		late    time.Duration
	}
	var list []due
	for i, c := range s.Controls {
		d := due{control: c, first: states[i].RanAt == nil}
		if !d.first {
			every := c.Every
			if states[i].Verdict == capability.Unknown {
				every = min(every, retry) // what could not run is tried again soon
			}
			d.late = begun.Sub(*states[i].RanAt) - every
		}
		d.over = over(c) && (d.first || d.late > c.Every)
		if d.first || d.late >= 0 {
			list = append(list, d)
		}
	}
	slices.SortStableFunc(list, func(a, b due) int {
		if a.first != b.first {
			if a.first {
				return -1
			}
			return 1
		}
		if a.over != b.over {
			if b.over {
				return -1
			}
			return 1
		}
		return cmp.Compare(b.late, a.late)
	})
	var faults []error
	again := 0
	for _, d := range list {
		spent := s.Now().Sub(begun)
		if d.first && spent > firstRound || !d.first && (spent > turn || again > 0 && d.late < d.control.Every/4) {
			break
		}
		if !d.first {
			again++
		}
		if _, err := s.run(ctx, caller.ForSystem("trust.run"), d.control); err != nil {
			faults = append(faults, err)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return errors.Join(faults...)
}

// RunAll runs every control once, now: for the demo's first page, commands and
// tests. It goes on after one that cannot be stored and names each.
func (s *Service) RunAll(ctx context.Context, who caller.Caller) ([]State, error) {
	var out []State
	var faults []error
	// The controls over other controls come last: they read what the others left.
	list := slices.Clone(s.Controls)
	slices.SortStableFunc(list, func(a, b capability.Control) int {
		switch {
		case over(a) == over(b):
			return 0
		case over(b):
			return -1
		}
		return 1
	})
	for _, c := range list {
		st, err := s.run(ctx, who, c)
		if ctx.Err() != nil {
			return out, ctx.Err()
		}
		if err != nil {
			faults = append(faults, err)
			continue
		}
		out = append(out, st)
	}
	return out, errors.Join(faults...)
}

// over reports whether the control is one over other controls.
func over(c capability.Control) bool { return strings.HasPrefix(c.ID, "trust.") }

// Run runs one control, now. The error is NotFound when there is none of the id.
func (s *Service) Run(ctx context.Context, who caller.Caller, control string) (State, error) {
	c, ok := s.Find(control)
	if !ok {
		return State{}, fault.ErrNotFound
	}
	return s.run(ctx, who, c)
}

// check executes the control's check, bounded in time, and turns every way of
// not running into an error, hence the verdict unknown. A check that ignores
// its context is left behind, and not started again until it has returned.
func (s *Service) check(ctx context.Context, c capability.Control) (r Result) {
	limit := cmp.Or(s.Limit, runLimit)
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	s.stuckMu.Lock()
	stuck := s.stuck[c.ID]
	s.stuckMu.Unlock()
	if stuck {
		return Result{Err: fmt.Errorf("trust: control %s has not returned from its last run", c.ID)}
	}
	done := make(chan Result, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				done <- Result{Err: fmt.Errorf("trust: control %s panicked: %v\n%s", c.ID, p, debug.Stack())}
			}
			s.setStuck(c.ID, false)
		}()
		p := s.Probe()
		p.Now = s.Now()
		done <- c.Check(ctx, p)
	}()
	select {
	case r = <-done:
	case <-ctx.Done():
		s.setStuck(c.ID, true)
		select { // it may have ended before it was marked
		case r = <-done:
			s.setStuck(c.ID, false)
		default:
			return Result{Err: fmt.Errorf("trust: control %s did not end within %s: %w", c.ID, limit, ctx.Err())}
		}
	}
	return r
}

func (s *Service) setStuck(control string, yes bool) {
	s.stuckMu.Lock()
	defer s.stuckMu.Unlock()
	if s.stuck == nil {
		s.stuck = map[string]bool{}
	}
	s.stuck[control] = yes
}

var verdicts = []capability.Verdict{capability.Pass, capability.Fail, capability.NotApplicable, capability.Unknown}

// judge makes the verdict of a run honest: an error is unknown, a pass with
// failures is a failure, and words that no run may say are unknown.
func judge(r Result) capability.Verdict {
	switch {
	case r.Err != nil || !slices.Contains(verdicts, r.Verdict):
		return capability.Unknown
	case r.Verdict == capability.Pass && r.Failed > 0:
		return capability.Fail
	}
	return r.Verdict
}

func (s *Service) run(ctx context.Context, who caller.Caller, c capability.Control) (State, error) {
	s.running.Lock()
	defer s.running.Unlock()
	r := s.check(ctx, c)
	if err := ctx.Err(); err != nil {
		return State{}, err // we were stopped: that says nothing about the control
	}
	if r.Err != nil {
		s.Log.WarnContext(ctx, "control could not run", "control", c.ID, "error", r.Err)
	}
	evidence, err := json.Marshal(r.Evidence)
	if err != nil {
		return State{}, fmt.Errorf("trust: evidence of %s: %w", c.ID, err)
	}
	// To the microsecond, as it is stored: the signed statement says the same.
	now := s.Now().UTC().Truncate(time.Microsecond)
	st := State{ID: c.ID, Class: c.Class, Verdict: judge(r), Checked: r.Checked, Failed: r.Failed, RanAt: &now, Statements: c.Statements, Since: now, Note: r.Note}
	envelope, err := s.signResult(ctx, c, st, evidence)
	if err != nil {
		return State{}, err
	}
	pen, err := s.Audit.Pen(ctx, who, id.Org{})
	if err != nil {
		return State{}, err
	}
	sum := sha256.Sum256(envelope)
	facts := map[string]any{"verdict": st.Verdict, "checked": st.Checked, "failed": st.Failed, "envelope_sha256": hex.EncodeToString(sum[:])}
	result := id.NewResult(now)
	var after State
	err = s.Store.Update(ctx, store.System("trust.run"), func(tx *store.Tx) error {
		before, err := scanState(tx.Row(selectState, c.ID).Scan)
		if err != nil && !errors.Is(err, store.ErrNone) {
			return err
		}
		if _, err := tx.Exec(insertResult, result, c.ID, store.Micros(now), string(st.Verdict), st.Checked, st.Failed, evidence, envelope); err != nil {
			return err
		}
		if _, err := tx.Exec(upsertState, c.ID, result, store.Micros(now), string(st.Verdict), store.Micros(now), st.Checked, st.Failed, st.Note); err != nil {
			return err
		}
		var pass, fail, other int64
		switch st.Verdict {
		case capability.Pass:
			pass = 1
		case capability.Fail:
			fail = 1
		default:
			other = 1
		}
		if _, err := tx.Exec(upsertDay, c.ID, dayOf(now), pass, fail, other); err != nil {
			return err
		}
		e := audit.Entry{Kind: EventRan, Target: audit.Target{Kind: "control", ID: c.ID}, Facts: facts}
		after = st
		if before.RanAt != nil && before.Verdict == st.Verdict {
			after.Since = before.Since
		} else if before.RanAt != nil {
			e.Changes = []audit.Change{{Field: "verdict", Before: string(before.Verdict), After: string(st.Verdict)}}
		}
		return pen.Record(tx, e)
	})
	if err != nil {
		return State{}, fmt.Errorf("trust: store result of %s: %w", c.ID, err)
	}
	s.remember(after)
	return at(c, after, now), nil
}

// remember puts a result of this node into its copy of the rows.
func (s *Service) remember(st State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revision++
	if s.states == nil {
		return // nothing was read yet
	}
	s.states[st.ID] = st
	today := dayOf(*st.RanAt)
	days := slices.Clone(s.days[st.ID])
	if n := len(days); n == 0 || dayOf(days[n-1].Day) != today {
		days = append(days, Day{Day: dayTime(today)})
	}
	d := &days[len(days)-1]
	switch st.Verdict {
	case capability.Pass:
		d.Passed++
	case capability.Fail:
		d.Failed++
	default:
		d.Other++
	}
	s.days[st.ID] = days
}

// prune removes evidence and counts that are past their terms.
func (s *Service) prune(ctx context.Context) error {
	now := s.Now()
	cut := now.Add(-keepResults)
	pen, err := s.Audit.Pen(ctx, caller.ForSystem("trust.prune"), id.Org{})
	if err != nil {
		return err
	}
	return s.Store.Update(ctx, store.System("trust.prune"), func(tx *store.Tx) error {
		n, err := tx.Exec(pruneResults, store.Micros(cut))
		if err != nil {
			return err
		}
		days, err := tx.Exec(pruneDays, dayOf(now)-keepDays)
		if err != nil || n+days == 0 {
			return err
		}
		return pen.Record(tx, audit.Entry{Kind: EventPruned, Target: audit.Target{Kind: "control"},
			Facts: map[string]any{"results": n, "days": days, "before": cut.UTC().Format(time.RFC3339)}})
	})
}
