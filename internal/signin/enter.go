package signin

import (
	"context"
	"errors"
	"net/http"

	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/credential"
	"github.com/rempart/rempart/internal/directory"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/keyring"
	"github.com/rempart/rempart/internal/policy"
	"github.com/rempart/rempart/internal/session"
	"github.com/rempart/rempart/internal/store"
	"github.com/rempart/rempart/internal/web"
)

// Enter decides whether the caller's session may act in the organization now:
// its rules on entry are applied to what the session has proved. The first time
// that a session enters is recorded in the organization's log. The error is a
// *Refusal where the rules do not let her in; Detour leads to what mends it.
// Callers without a session, such as keys, are not judged here. That she is a
// member, and alive, is access's to say.
func (s *Service) Enter(ctx context.Context, who caller.Caller, org id.Org) error {
	if who.Kind != caller.User || who.Session.IsZero() || org.IsZero() {
		return nil
	}
	entered, cut, err := s.Session.Entered(ctx, org, who.Session)
	if err != nil {
		return err
	}
	d, err := s.decide(ctx, who, org)
	if err != nil {
		return err
	}
	if d.Outcome == policy.Allow && !cut.IsZero() && !who.FreshAt.After(cut) {
		d = policy.Decision{Outcome: policy.SignIn, Why: "signin.enter.revoked"}
	}
	if d.Outcome != policy.Allow {
		return &Refusal{Org: org, Decision: d, fault: fault.New(fault.StepUp, d.Why, nil)}
	}
	if entered {
		return nil
	}
	pen, err := s.Audit.Pen(ctx, who, org, who.User)
	if err != nil {
		return err
	}
	e, err := s.Session.PrepareEntrance(pen.Ring, who, org, who.User, who.Session)
	if err != nil {
		return err
	}
	err = s.Store.Update(ctx, store.Org(org), func(tx *store.Tx) error {
		if err := s.Session.EnterTx(tx, e); err != nil {
			return err
		}
		return pen.Record(tx, audit.Entry{
			Kind: session.EventEntered, Target: audit.Target{Kind: "session", ID: who.Session.String()}, Person: who.User,
			Facts: map[string]any{"methods": names(who.Methods)},
		})
	})
	if err != nil {
		return err
	}
	s.Session.KeepEntrance(e)
	return nil
}

// decide applies the rules to the session. What it takes a statement to know is
// read only where the rules make it matter.
func (s *Service) decide(ctx context.Context, who caller.Caller, org id.Org) (policy.Decision, error) {
	now := s.Now()
	pause, err := s.Session.Pause(ctx, who.Session)
	if err != nil {
		return policy.Decision{}, err
	}
	facts := policy.Facts{Now: now, Methods: who.Methods, AuthTime: who.AuthTime, SeenAt: now.Add(-pause), PasswordLength: credential.MaxPassword, HasSecondFactor: true}
	rules, err := s.Policy.Rules(ctx, org)
	if err != nil {
		return policy.Decision{}, err
	}
	if rules.PasswordMinimum > 0 || rules.SecondFactor == policy.SecondFactorAll && !policy.TwoFactors(who.Methods) {
		held, err := s.Credential.Load(ctx, who.User)
		if err != nil {
			return policy.Decision{}, err
		}
		ring, err := s.Keys.Ready(ctx, keyring.Person(who.User))
		if err != nil {
			return policy.Decision{}, err
		}
		facts.HasSecondFactor = held.HasSecond()
		if facts.PasswordLength, err = s.Credential.PasswordLength(ring, held); err != nil {
			return policy.Decision{}, err
		}
	}
	return s.Policy.Enter(ctx, org, facts)
}

// stepUp begins a flow that proves a session again, or what an organization
// still asks for, and leads back.
func (s *Service) stepUp(w http.ResponseWriter, r *http.Request) error {
	ctx, who := r.Context(), web.Who(r)
	if who.Kind != caller.User || who.Session.IsZero() {
		web.Redirect(w, r, Path(r.URL.Query().Get("return")))
		return nil
	}
	ask := Ask{Return: web.LocalPath(r.URL.Query().Get("return")), Fresh: true}
	if text := r.URL.Query().Get("org"); text != "" {
		org, err := id.ParseOrg(text)
		if err != nil {
			return fault.ErrNotFound
		}
		m, err := s.Directory.FindMembership(ctx, org, who.User)
		if errors.Is(err, directory.ErrNone) {
			return fault.ErrNotFound
		}
		if err != nil {
			return err
		}
		if m.State != directory.Active {
			return s.showBlocked(w, r, fault.New(fault.Denied, "signin.blocked.suspended", nil))
		}
		ask.Org, ask.Fresh = org, false
		if err := s.Enter(ctx, who, org); err == nil {
			web.Redirect(w, r, ask.Return)
			return nil
		}
	}
	return s.again(w, r, who, ask, "")
}

// again begins a flow in which the session proves itself again, or what it
// lacks for the ask. other is where to sign in as somebody else.
func (s *Service) again(w http.ResponseWriter, r *http.Request, who caller.Caller, ask Ask, other string) error {
	ctx := r.Context()
	u, err := s.Directory.FindUser(ctx, who.User)
	if err != nil {
		return err
	}
	ring, err := s.Keys.Ready(ctx, keyring.Installation(), keyring.Person(who.User))
	if err != nil {
		return err
	}
	f := &flow{Browser: bindBrowser(w, r), User: who.User, Session: who.Session, Step: stepPassword}
	f.State = flowState{Ask: ask, Email: u.Email(), Other: other, Full: true}
	if !ask.Fresh && s.Now().Sub(who.FreshAt) < session.DefaultFresh {
		// She has just proved herself: only what is missing is asked for.
		if err := s.shorten(ctx, ring, f, who); err != nil {
			return err
		}
	}
	if err := s.newFlow(ctx, ring, f); err != nil {
		return err
	}
	return s.showStep(w, r, http.StatusOK, f, nil)
}

// shorten lets the flow begin at what the session lacks for the organization.
func (s *Service) shorten(ctx context.Context, ring *keyring.Ring, f *flow, who caller.Caller) error {
	p, err := s.load(ctx, f)
	if err != nil {
		return err
	}
	short := *f
	short.State.Methods, short.State.Full = who.Methods, false
	if short.State.Length, err = s.Credential.PasswordLength(ring, p.held); err != nil {
		return err
	}
	to, err := s.lacks(ctx, &short, p)
	if err != nil || to == "" {
		return err
	}
	short.Step = to
	*f = short
	return nil
}
