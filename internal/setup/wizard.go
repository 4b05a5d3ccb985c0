package setup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/store"
)

// Step is one step of the wizard. Its name is part of the page's address.
type Step string

// The steps.
const (
	StepWelcome      Step = "welcome"
	StepKit          Step = "recovery-kit"
	StepStaff        Step = "administrator"
	StepTOTP         Step = "authenticator"
	StepCodes        Step = "recovery-codes"
	StepOrganization Step = "organization"
	StepClient       Step = "client"
	StepTest         Step = "test"
)

// Steps are all steps, in the one order in which they can be done.
var Steps = []Step{StepWelcome, StepKit, StepStaff, StepTOTP, StepCodes, StepOrganization, StepClient, StepTest}

// Refusals of a step.
var (
	errOrder  = fault.New(fault.Conflict, "setup.step.order", nil)
	errBusy   = fault.New(fault.Conflict, "setup.step.busy", nil)
	errUndone = fault.New(fault.Conflict, "setup.step.undone", nil)
)

// stepLease is for how long one request may work on a step: longer than a
// request lasts, so that two never work on one.
const stepLease = time.Minute

// Progress is how far the wizard has come.
type Progress struct {
	Next Step            // "" when every step is done
	Made map[Step]string // what each step has made so far, done or not
}

// User is the staff administrator that the wizard has made; zero before.
func (p Progress) User() (u id.User) { u, _ = id.ParseUser(p.Made[StepStaff]); return u }

// Org is the first organization; zero before.
func (p Progress) Org() (o id.Org) { o, _ = id.ParseOrg(p.Made[StepOrganization]); return o }

// Client is the first client; zero before.
func (p Progress) Client() (c id.Client) { c, _ = id.ParseClient(p.Made[StepClient]); return c }

// trial is the client of the test sign-in; zero before.
func (p Progress) trial() (c id.Client) { c, _ = id.ParseClient(p.Made[StepTest]); return c }

// Number is the place of the step among all, from 1.
func (p Progress) Number() int {
	if p.Next == "" {
		return len(Steps) + 1
	}
	return slices.Index(Steps, p.Next) + 1
}

// Progress reads how far the wizard has come.
func (s *Service) Progress(ctx context.Context) (Progress, error) {
	type row struct {
		step Step
		done int64
		made string
	}
	var rows []row
	err := s.Store.View(ctx, store.System("setup.progress"), func(tx *store.Tx) (err error) {
		rows, err = store.All(tx, func(r *store.Rows) (v row, err error) { return v, r.Scan(&v.step, &v.done, &v.made) }, selectSteps)
		return err
	})
	if err != nil {
		return Progress{}, fmt.Errorf("setup: read progress: %w", err)
	}
	p, done := Progress{Made: map[Step]string{}}, map[Step]bool{}
	for _, r := range rows {
		p.Made[r.step], done[r.step] = r.made, r.done != 0
	}
	for _, st := range Steps {
		if !done[st] {
			p.Next = st
			break
		}
	}
	return p, nil
}

// do runs the work of a step, if it is the step's turn and nobody else works on
// it. work gives what the step has made, which is kept even when it fails, and
// whether the step is done with it. What it makes is made in transactions of
// other capabilities, so a crash can leave a thing made and the step open: work
// begins by looking for it.
func (s *Service) do(ctx context.Context, who caller.Caller, step Step, work func(p Progress) (made string, done bool, err error)) error {
	p, err := s.Progress(ctx)
	if err != nil {
		return err
	}
	if p.Next != step {
		return errOrder
	}
	who = actor(who)
	now := s.Now()
	err = s.Store.Maintain(ctx, store.System("setup.claim"), func(tx *store.Tx) error {
		var made string
		err := tx.Row(claimStep, step, store.Micros(now.Add(stepLease)), store.Micros(now)).Scan(&made)
		if errors.Is(err, store.ErrNone) {
			return errBusy // or done since it was read: the page then says which is next
		}
		p.Made[step] = made
		return err
	})
	if err != nil {
		return wrap("claim step", err)
	}
	made, done, err := work(p)
	if made == "" {
		made = p.Made[step]
	}
	// The browser may have gone; the step is given back all the same.
	rest := context.WithoutCancel(ctx)
	if err != nil || !done {
		rerr := s.Store.Maintain(rest, store.System("setup.release"), func(tx *store.Tx) error {
			_, err := tx.Exec(releaseStep, step, made)
			return err
		})
		if err == nil {
			err = rerr
		}
		return wrap("step "+string(step), err)
	}
	pen, err := s.Audit.Pen(rest, who, id.Org{})
	if err != nil {
		return wrap("step "+string(step), err)
	}
	err = s.Store.Update(rest, store.System("setup.step"), func(tx *store.Tx) error {
		var one string
		err := tx.Row(finishStep, step, store.Micros(pen.At()), made).Scan(&one)
		if errors.Is(err, store.ErrNone) {
			return errOrder
		}
		if err != nil {
			return err
		}
		return pen.Record(tx, audit.Entry{Kind: eventStep, Target: audit.Target{Kind: "step", ID: string(step)}})
	})
	return wrap("step "+string(step), err)
}

// wrap adds where it happened to what is not meant for people.
func wrap(what string, err error) error {
	if err == nil || fault.Of(err) != nil {
		return err
	}
	return fmt.Errorf("setup: %s: %w", what, err)
}

// Welcome ends the first step, which asks for nothing but a language.
func (s *Service) Welcome(ctx context.Context, who caller.Caller) error {
	return s.do(ctx, who, StepWelcome, func(Progress) (string, bool, error) { return "", true, nil })
}

// Complete ends set-up for ever, once every step is done: the link, the browser
// that opened it and the client of the test sign-in are gone, and each page of
// the wizard answers 404 from then on.
func (s *Service) Complete(ctx context.Context, who caller.Caller) error {
	p, err := s.Progress(ctx)
	if err != nil {
		return err
	}
	if p.Next != "" {
		return errUndone
	}
	who = actor(who)
	if err := s.removeTrial(ctx, who, p.trial()); err != nil {
		return err
	}
	pen, err := s.Audit.Pen(ctx, who, id.Org{})
	if err != nil {
		return wrap("complete", err)
	}
	err = s.Store.Update(ctx, store.System("setup.complete"), func(tx *store.Tx) error {
		v, err := readState(tx)
		if err != nil {
			return err
		}
		var one string
		err = tx.Row(completeState, theOne, store.Micros(pen.At())).Scan(&one)
		if errors.Is(err, store.ErrNone) {
			return fault.ErrNotFound
		}
		if err != nil {
			return err
		}
		return pen.Record(tx, audit.Entry{Kind: eventCompleted, Target: audit.Target{Kind: "installation", ID: v.Issuer},
			Facts: map[string]any{"organization": p.Made[StepOrganization], "client": p.Made[StepClient]}})
	})
	return wrap("complete", err)
}
