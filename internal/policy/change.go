package policy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/store"
)

// Patch is a change of rules; nil stays.
type Patch struct {
	SecondFactor    *SecondFactor
	GraceDays       *int
	PasswordMinimum *int
	SessionIdle     *int
	SessionAbsolute *int
}

// Errors of changes.
var (
	ErrChanged = fault.New(fault.Precondition, "web.error.changed-meanwhile", nil)
	// ErrLocksAuthor refuses a change that would keep its own author out, until
	// she confirms it.
	ErrLocksAuthor = fault.New(fault.Conflict, "policy.error.locks-author", nil)
)

// apply gives the rules after the patch. A second factor that is newly asked
// for, or with another grace, is asked for since now.
func (p Patch) apply(r Rules, now time.Time) Rules {
	if p.SecondFactor != nil && *p.SecondFactor != r.SecondFactor {
		r.SecondFactor, r.Since = *p.SecondFactor, now
	}
	if p.GraceDays != nil && *p.GraceDays != r.GraceDays {
		r.GraceDays, r.Since = *p.GraceDays, now
	}
	if r.SecondFactor == SecondFactorOff {
		r.Since = time.Time{}
	}
	if p.PasswordMinimum != nil {
		r.PasswordMinimum = *p.PasswordMinimum
	}
	if p.SessionIdle != nil {
		r.SessionIdle = *p.SessionIdle
	}
	if p.SessionAbsolute != nil {
		r.SessionAbsolute = *p.SessionAbsolute
	}
	return r
}

// Check refuses rules that are weaker than the floor or make no sense.
func (r Rules) Check(floor Floor) error {
	bad := fault.New(fault.Invalid, "policy.error.invalid", nil)
	if r.SecondFactor != SecondFactorOff && r.SecondFactor != SecondFactorAll {
		bad = bad.At("/second_factor", "web.field.choice")
	}
	if r.GraceDays < 0 || r.GraceDays > maxGraceDays {
		bad = bad.At("/second_factor_grace_days", "policy.error.grace")
	}
	if r.PasswordMinimum != 0 && (r.PasswordMinimum < floor.PasswordMinimum || r.PasswordMinimum > maxPassword) {
		bad = bad.At("/password_minimum", "policy.error.password-floor")
	}
	if r.SessionIdle != 0 && (r.SessionIdle < minIdle || r.SessionIdle > floor.SessionIdle) {
		bad = bad.At("/session_idle_minutes", "policy.error.session-floor")
	}
	if r.SessionAbsolute != 0 && (r.SessionAbsolute < minAbsolute || r.SessionAbsolute > floor.SessionAbsolute) {
		bad = bad.At("/session_absolute_minutes", "policy.error.session-floor")
	}
	if l := Session(r, floor); l.Idle > l.Absolute {
		bad = bad.At("/session_idle_minutes", "policy.error.idle-longer")
	}
	if len(bad.Fields) > 0 {
		return bad
	}
	return nil
}

// Check refuses a floor below what a floor may be.
func (f Floor) Check() error {
	bad := fault.New(fault.Invalid, "policy.error.invalid", nil)
	if f.PasswordMinimum < minPassword || f.PasswordMinimum > maxPassword {
		bad = bad.At("/password_minimum", "policy.error.password-floor")
	}
	if f.PasswordAlone < f.PasswordMinimum || f.PasswordAlone > maxPassword {
		bad = bad.At("/password_minimum_alone", "policy.error.password-floor")
	}
	if f.SessionIdle < minIdle || f.SessionIdle > maxIdle || f.SessionIdle > f.SessionAbsolute {
		bad = bad.At("/session_idle_minutes", "policy.error.idle-longer")
	}
	if f.SessionAbsolute < minAbsolute || f.SessionAbsolute > maxAbsolute {
		bad = bad.At("/session_absolute_minutes", "policy.error.session-floor")
	}
	if len(bad.Fields) > 0 {
		return bad
	}
	return nil
}

// Effect is what a change of rules would do, before it is saved.
type Effect struct {
	Members         int       `json:"members" doc:"Active members whom the rules concern."`
	MustEnroll      int       `json:"must_enroll" doc:"Members without a second factor who will need one."`
	Deadline        time.Time `json:"enroll_by,omitzero" doc:"Until when they may still enter without one."`
	MustChange      int       `json:"must_change_password" doc:"Members whose password is not known to be long enough; they choose a new one at their next sign-in."`
	Author          Outcome   `json:"author" doc:"What the author herself would meet: allow, step-up, enroll, password."`
	LocksAuthor     bool      `json:"locks_author" doc:"The author could not enter as she is now; the change needs confirmation."`
	Names           []string  `json:"names" doc:"Some of the members concerned."`
	SessionsShorten bool      `json:"sessions_shorten" doc:"Sessions end earlier than before."`
	After           Rules     `json:"after"`
}

// effect is the pure part of a preview.
func effect(before, after Rules, floor Floor, pop Population, author caller.Caller, now time.Time) (e Effect, concerned []id.User) {
	e = Effect{Members: len(pop.Members), Author: Allow, Names: []string{}, After: after}
	if before.SecondFactor != after.SecondFactor || before.GraceDays != after.GraceDays {
		e.Deadline = after.Deadline()
	}
	was, is := Session(before, floor), Session(after, floor)
	e.SessionsShorten = is.Idle < was.Idle || is.Absolute < was.Absolute
	for _, p := range pop.Members {
		hit := false
		if after.SecondFactor == SecondFactorAll && !p.SecondFactor {
			e.MustEnroll++
			hit = true
		}
		if p.HasPassword && after.PasswordMinimum > before.PasswordMinimum && p.PasswordLength < after.PasswordMinimum {
			e.MustChange++
			hit = true
		}
		if hit {
			concerned = append(concerned, p.User)
		}
		if p.User == author.User {
			d := Entry(after, floor, Facts{
				Now: now, Methods: author.Methods, AuthTime: author.AuthTime, SeenAt: now,
				HasSecondFactor: p.SecondFactor, PasswordLength: p.PasswordLength,
			})
			e.Author = d.Outcome
		}
	}
	e.LocksAuthor = e.Author == Enroll || e.Author == Password || e.Author == SignIn
	return e, concerned
}

// Preview gives the effect of the change, which is not made. The error is that
// of a change that could not be saved either.
func (s *Service) Preview(ctx context.Context, who caller.Caller, org id.Org, p Patch) (Effect, error) {
	before, err := s.fetch(ctx, org)
	if err != nil {
		return Effect{}, err
	}
	floor, err := s.Floor(ctx)
	if err != nil {
		return Effect{}, err
	}
	now := s.Now()
	after := p.apply(before, now)
	if err := after.Check(floor); err != nil {
		return Effect{}, err
	}
	pop, err := s.Population(ctx, org)
	if err != nil {
		return Effect{}, err
	}
	e, concerned := effect(before, after, floor, pop, who, now)
	if len(concerned) > previewNames {
		concerned = concerned[:previewNames]
	}
	names, err := pop.Name(ctx, concerned)
	if err != nil {
		return Effect{}, err
	}
	for _, u := range concerned {
		if names[u] != "" {
			e.Names = append(e.Names, names[u])
		}
	}
	return e, nil
}

// fetch reads the rules from the database, whatever is remembered.
func (s *Service) fetch(ctx context.Context, org id.Org) (r Rules, err error) {
	err = s.Store.View(ctx, store.Org(org), func(tx *store.Tx) (err error) {
		r, err = current(tx, org)
		return err
	})
	if err != nil {
		return r, fmt.Errorf("policy: rules: %w", err)
	}
	return r, nil
}

// Change makes a new version of the organization's rules. version is the one
// that the change rests on: ErrChanged when there is a newer. ErrLocksAuthor
// when the author could not enter any more and has not confirmed it.
func (s *Service) Change(ctx context.Context, who caller.Caller, org id.Org, version int64, p Patch, confirmed bool) (Rules, error) {
	before, err := s.fetch(ctx, org)
	if err != nil {
		return Rules{}, err
	}
	if before.Version != version {
		return Rules{}, ErrChanged
	}
	floor, err := s.Floor(ctx)
	if err != nil {
		return Rules{}, err
	}
	now := s.Now()
	after := p.apply(before, now)
	if err := after.Check(floor); err != nil {
		return Rules{}, err
	}
	changes := compare(before, after)
	if len(changes) == 0 {
		return before, nil
	}
	if !confirmed && who.Kind == caller.User {
		pop, err := s.Population(ctx, org)
		if err != nil {
			return Rules{}, err
		}
		if e, _ := effect(before, after, floor, pop, who, now); e.LocksAuthor {
			return Rules{}, ErrLocksAuthor
		}
	}
	pen, err := s.Audit.Pen(ctx, who, org)
	if err != nil {
		return Rules{}, err
	}
	after.Version, after.By, after.At = version+1, who.ID(), now
	err = s.Store.Update(ctx, store.Org(org), func(tx *store.Tx) error {
		if err := s.Access.BumpTx(tx, org); err != nil {
			return err
		}
		have, err := current(tx, org)
		if err != nil {
			return fmt.Errorf("policy: rules: %w", err)
		}
		if have.Version != version {
			return ErrChanged
		}
		if _, err := tx.Exec(insertRules, after.Version, after.text(), after.By, store.Micros(now)); err != nil {
			return fmt.Errorf("policy: insert rules: %w", err)
		}
		return pen.Record(tx, audit.Entry{
			Kind: EventRules, Target: audit.Target{Kind: "policy", ID: org.String()}, Changes: changes,
			Facts: map[string]any{"version": after.Version},
		})
	})
	if err != nil {
		return Rules{}, err
	}
	return after, nil
}

// compare lists the fields that differ.
func compare(a, b Rules) (out []audit.Change) {
	add := func(field string, before, after any) {
		if before != after {
			out = append(out, audit.Change{Field: field, Before: before, After: after})
		}
	}
	add("second_factor", a.SecondFactor, b.SecondFactor)
	add("second_factor_grace_days", a.GraceDays, b.GraceDays)
	add("password_minimum", a.PasswordMinimum, b.PasswordMinimum)
	add("session_idle_minutes", a.SessionIdle, b.SessionIdle)
	add("session_absolute_minutes", a.SessionAbsolute, b.SessionAbsolute)
	return out
}

// History lists the versions of the organization's rules before the one given
// (0: the newest), newest first.
func (s *Service) History(ctx context.Context, org id.Org, before int64, limit int) (out []Rules, err error) {
	if before <= 0 {
		before = 1 << 62
	}
	err = s.Store.View(ctx, store.Org(org), func(tx *store.Tx) (err error) {
		out, err = store.All(tx, func(r *store.Rows) (Rules, error) { return scanRules(r, org) }, listRules, before, limit)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("policy: history: %w", err)
	}
	return out, nil
}

// FloorPatch is a change of the floor; nil stays.
type FloorPatch struct {
	PasswordMinimum *int
	PasswordAlone   *int
	SessionIdle     *int
	SessionAbsolute *int
}

// ChangeFloor makes a new version of the installation's floor: an act of staff.
// Organizations whose rules are weaker are held to the floor from then on.
func (s *Service) ChangeFloor(ctx context.Context, who caller.Caller, version int64, p FloorPatch) (Floor, error) {
	pen, err := s.Audit.Pen(ctx, who, id.Org{})
	if err != nil {
		return Floor{}, err
	}
	var after Floor
	err = s.Store.Update(ctx, store.System("policy.floor"), func(tx *store.Tx) error {
		before, err := currentFloor(tx)
		if err != nil {
			return fmt.Errorf("policy: floor: %w", err)
		}
		if before.Version != version {
			return ErrChanged
		}
		after = before
		for _, f := range []struct{ to, from *int }{
			{&after.PasswordMinimum, p.PasswordMinimum}, {&after.PasswordAlone, p.PasswordAlone},
			{&after.SessionIdle, p.SessionIdle}, {&after.SessionAbsolute, p.SessionAbsolute},
		} {
			if f.from != nil {
				*f.to = *f.from
			}
		}
		if err := after.Check(); err != nil {
			return err
		}
		after.Version, after.By, after.At = version+1, who.ID(), s.Now()
		text, err := json.Marshal(after)
		if err != nil {
			return err
		}
		_, err = tx.Exec(insertFloor, after.Version, string(text), after.By, store.Micros(after.At))
		if errors.Is(err, store.ErrUnique) {
			return ErrChanged
		}
		if err != nil {
			return fmt.Errorf("policy: insert floor: %w", err)
		}
		return pen.Record(tx, audit.Entry{
			Kind: EventFloor, Target: audit.Target{Kind: "policy-floor"},
			Changes: []audit.Change{
				{Field: "password_minimum", Before: before.PasswordMinimum, After: after.PasswordMinimum},
				{Field: "password_minimum_alone", Before: before.PasswordAlone, After: after.PasswordAlone},
				{Field: "session_idle_minutes", Before: before.SessionIdle, After: after.SessionIdle},
				{Field: "session_absolute_minutes", Before: before.SessionAbsolute, After: after.SessionAbsolute},
			},
		})
	})
	if err != nil {
		return Floor{}, err
	}
	s.floor.Store(nil)
	return after, nil
}

// Enforcing tells how many organizations ask everyone for a second factor.
// skip leaves out those that are not counted, canaries above all.
func (s *Service) Enforcing(ctx context.Context, skip func(id.Org) bool) (n int, err error) {
	all, err := s.All(ctx)
	for org, r := range all {
		if r.SecondFactor == SecondFactorAll && !skip(org) {
			n++
		}
	}
	return n, err
}

// All are the rules in force of every organization that has set any.
func (s *Service) All(ctx context.Context) (map[id.Org]Rules, error) {
	out := map[id.Org]Rules{}
	err := s.Store.View(ctx, store.System("policy.all"), func(tx *store.Tx) error {
		r := tx.Query(listCurrents)
		for r.Next() {
			var org id.Org
			var version, at int64
			var text, by string
			err := r.Scan(&org, &version, &text, &by, &at)
			if err == nil {
				out[org], err = readRules(org, version, text, by, at)
			}
			if err != nil {
				return errors.Join(err, r.Close())
			}
		}
		return r.Close()
	})
	if err != nil {
		return nil, fmt.Errorf("policy: all rules: %w", err)
	}
	return out, nil
}
