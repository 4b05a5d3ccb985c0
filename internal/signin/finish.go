package signin

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/keyring"
	"github.com/rempart/rempart/internal/policy"
	"github.com/rempart/rempart/internal/session"
	"github.com/rempart/rempart/internal/store"
	"github.com/rempart/rempart/internal/web"
)

// finish ends the flow: in one transaction the flow is used up, with what was
// proved, and the session starts, or gets a new secret where the same user had
// one in this browser. then answers instead of the way back, where it is given.
func (s *Service) finish(w http.ResponseWriter, r *http.Request, ring *keyring.Ring, f *flow, p person, to step, also func(*store.Tx) error, then func() error) error {
	ctx, who := r.Context(), web.Who(r)
	floor, err := s.Policy.Floor(ctx)
	if err != nil {
		return err
	}
	limits := policy.Session(policy.Rules{}, floor)
	renewed := !who.Session.IsZero() && who.Kind == caller.User && who.User == f.User
	if !f.Session.IsZero() && (!renewed || f.Session != who.Session) {
		return s.restart(w, r, errFlow) // a step-up of a session that is not this browser's any more
	}
	pen, err := s.Audit.Pen(ctx, actor(who, f, true), p.org(f), f.User)
	if err != nil {
		return err
	}
	var draft *session.Draft
	if renewed {
		secret, ok := session.Secret(r)
		have, ferr := s.Session.Find(ctx, secret)
		if !ok || ferr != nil || have.User != f.User {
			return s.restart(w, r, errFlow)
		}
		draft, err = s.Session.PrepareRenewal(have, f.State.Methods, f.State.Full, limits)
	} else {
		draft, err = s.Session.Prepare(pen.Ring, who, f.User, f.State.Methods, limits)
	}
	if err != nil {
		return err
	}
	move, err := s.prepare(pen.Ring, f, to)
	if err != nil {
		return err
	}
	var warning letter
	if !renewed && p.known.IsNew(pen.Ring, f.User, who.Device) {
		if warning, err = s.newDevice(ctx, who, f.User); err != nil {
			return err
		}
	}
	kind := EventSucceeded
	if renewed {
		kind = EventSteppedUp
	}
	err = s.Store.Update(ctx, store.User(f.User), func(tx *store.Tx) error {
		if err := s.advanceTx(tx, move); err != nil {
			return err
		}
		if also != nil {
			if err := also(tx); err != nil {
				return err
			}
		}
		start := s.Session.StartTx
		if renewed {
			start = s.Session.RenewTx
		}
		if err := start(tx, draft); err != nil {
			return err
		}
		if err := s.queue(tx, pen.Ring, warning); err != nil {
			return err
		}
		return pen.Record(tx, audit.Entry{
			Kind: kind, Target: audit.Target{Kind: "session", ID: draft.Session.ID.String()}, Person: f.User,
			Facts: map[string]any{"methods": names(f.State.Methods), "user": f.User.String(), "new_device": warning != nil},
		})
	})
	switch {
	case errors.Is(err, errFlow), errors.Is(err, session.ErrNone):
		return s.restart(w, r, errFlow)
	case err != nil:
		return err
	}
	s.Session.Keep(draft)
	session.SetCookie(w, draft.Secret())
	if !renewed && !who.Session.IsZero() {
		// Somebody else was signed in with this browser: her session ends with it.
		if err := s.Session.SignOut(ctx, who); err != nil {
			s.Log.WarnContext(ctx, "a replaced session could not be ended", "error", err, "request", who.Request.String())
		}
	}
	f.Step = to
	if then != nil {
		return then()
	}
	web.Redirect(w, r, f.back())
	return nil
}

// back is where the flow leads to in the end.
func (f *flow) back() string {
	if ret := web.LocalPath(f.State.Ask.Return); ret != "/" {
		return ret
	}
	return "/account"
}

// retryAfter says when to come back (RFC 9110 section 10.2.3).
func retryAfter(w http.ResponseWriter, err error) {
	if d := web.Retry(err); d > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((d+time.Second-1)/time.Second)))
	}
}

// signOut ends the browser's session, and clears what the browser keeps of us.
func (s *Service) signOut(w http.ResponseWriter, r *http.Request) error {
	who := web.Who(r)
	if err := s.Session.SignOut(r.Context(), who); err != nil {
		return err
	}
	session.ClearCookie(w)
	// Not "cookies": the choice of language may stay (ASVS 14.3.1).
	w.Header().Set("Clear-Site-Data", `"cache", "storage"`)
	web.Redirect(w, r, "/signed-out")
	return nil
}

// DetourPath is where a session proves what the organization (zero: none) still
// asks for, or itself again, and comes back to ret.
func DetourPath(org id.Org, ret string) string {
	v := url.Values{"return": {web.LocalPath(ret)}}
	if !org.IsZero() {
		v.Set("org", org.String())
	}
	return "/sign-in/step-up?" + v.Encode()
}

// Refusal is Enter's answer to a session that the organization's rules do not
// let in. It is a fault too: of kind StepUp where Detour mends it.
type Refusal struct {
	Org      id.Org
	Decision policy.Decision
	fault    *fault.Error
}

func (r *Refusal) Error() string { return "signin: " + r.fault.Error() }
func (r *Refusal) Unwrap() error { return r.fault }

// Detour is the path that mends a refusal to enter an organization, or to act
// without a fresh proof, and leads to ret then; "" if nothing mends err.
func Detour(err error, ret string) string {
	var r *Refusal
	switch {
	case errors.As(err, &r):
		return DetourPath(r.Org, ret)
	case fault.KindOf(err) == fault.StepUp:
		return DetourPath(id.Org{}, ret)
	}
	return ""
}
