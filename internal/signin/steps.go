package signin

import (
	"context"
	"errors"
	"net/http"
	"strings"

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

// errWrong is the one answer to an address and password that do not go
// together, whichever of them is wrong.
var errWrong = fault.New(fault.Invalid, "signin.error.wrong", nil)

// decoy is the user whose rows are read for an address that nobody has: there
// are none, and reading them costs what reading anybody's costs.
var decoy = func() id.User {
	u, err := id.ParseUser("usr_00000000000000000000000001")
	if err != nil {
		panic(err)
	}
	return u
}()

// identify takes the address and asks for the password, of whomever it is.
func (s *Service) identify(w http.ResponseWriter, r *http.Request) error {
	form, err := web.Form(r)
	if err != nil {
		return err
	}
	ctx := r.Context()
	ring, err := s.Keys.Ready(ctx, keyring.Installation())
	if err != nil {
		return err
	}
	ask, ok := s.openAsk(ring, form.Get("ask"))
	if !ok {
		ask = Ask{Return: web.LocalPath(form.Get("return"))}
	}
	f := &flow{Browser: bindBrowser(w, r), Step: stepPassword}
	email, normalized, err := directory.ParseEmail(form.Get("email"))
	if err != nil {
		ask.LoginHint = strings.TrimSpace(form.Get("email"))
		return s.showIdentify(w, r, http.StatusUnprocessableEntity, ask, form.Get("ask"), err)
	}
	found, err := s.Directory.FindUserByEmail(ctx, email)
	if err != nil && !errors.Is(err, directory.ErrNone) {
		return err
	}
	f.User = found.User
	f.State = flowState{Ask: ask, Email: email, Other: "/sign-in?other=1&ask=" + form.Get("ask"), Address: ring.Hash(keyring.Installation(), hashAddress, normalized), Full: true}
	if err := s.newFlow(ctx, ring, f); err != nil {
		return err
	}
	return s.showStep(w, r, http.StatusOK, f, nil)
}

// password checks the password of a flow.
func (s *Service) password(w http.ResponseWriter, r *http.Request) error {
	form, err := web.Form(r)
	if err != nil {
		return err
	}
	ctx, who := r.Context(), web.Who(r)
	slot, err := s.Credential.Hasher.Reserve()
	if err != nil {
		return err
	}
	defer slot.Release()
	f, ring, err := s.findFlow(r, form.Get("flow"))
	if err != nil {
		return s.restart(w, r, err)
	}
	if f.Step != stepPassword {
		return s.toStep(w, r, f)
	}
	guess := credential.NewGuess(credential.Password, f.User, f.State.Address, who.Source)
	done, err := s.Credential.Turn(ctx, guess)
	if err != nil {
		return s.refused(w, r, f, err)
	}
	defer done()
	total, err := s.count(ctx, guess)
	if err != nil {
		return s.refused(w, r, f, err)
	}
	p, err := s.load(ctx, f)
	if err != nil {
		return err
	}
	if !f.User.IsZero() {
		if ring, err = s.Keys.Ready(ctx, keyring.Installation(), keyring.Person(f.User)); err != nil {
			return err
		}
	}
	checked, err := s.Credential.Check(ctx, slot, ring, p.held, form.Get("password"))
	if err != nil {
		return err
	}
	if !checked.OK {
		return s.wrong(w, r, f, p, guess, total, errWrong)
	}
	f.proved("pwd", s.Now())
	f.State.Length = checked.Length
	return s.next(w, r, ring, f, p, func(tx *store.Tx) error {
		if err := s.Credential.ForgiveTx(tx, guess); err != nil {
			return err
		}
		return s.Credential.RehashTx(tx, p.held, checked)
	})
}

// second checks a TOTP code or a recovery code of a flow.
func (s *Service) second(kind credential.Kind) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		form, err := web.Form(r)
		if err != nil {
			return err
		}
		ctx, who := r.Context(), web.Who(r)
		f, _, err := s.findFlow(r, form.Get("flow"))
		if err != nil {
			return s.restart(w, r, err)
		}
		if f.Step != stepSecond {
			return s.toStep(w, r, f)
		}
		guess := credential.NewGuess(kind, f.User, nil, who.Source)
		done, err := s.Credential.Turn(ctx, guess)
		if err != nil {
			return s.refusedSecond(w, r, f, kind, err)
		}
		defer done()
		total, err := s.count(ctx, guess)
		if err != nil {
			return s.refusedSecond(w, r, f, kind, err)
		}
		p, err := s.load(ctx, f)
		if err != nil {
			return err
		}
		ring, err := s.Keys.Ready(ctx, keyring.Installation(), keyring.Person(f.User))
		if err != nil {
			return err
		}
		var m credential.Match
		name := "otp"
		if kind == credential.Recovery {
			name = "rcv"
			m, err = s.Credential.MatchRecovery(f.User, form.Get("code"))
		} else {
			m, err = s.Credential.MatchTOTP(ring, p.held, form.Get("code"))
		}
		if err == nil {
			f.proved(name, s.Now())
			err = s.next(w, r, ring, f, p, func(tx *store.Tx) error {
				if err := s.Credential.UseTx(tx, m); err != nil {
					return err
				}
				return s.Credential.ForgiveTx(tx, guess)
			})
		}
		if errors.Is(err, credential.ErrCode) {
			return s.wrong(w, r, f, p, guess, total, credential.ErrCode)
		}
		return err
	}
}

// count counts a guess before it is looked at.
func (s *Service) count(ctx context.Context, g credential.Guess) (total int, err error) {
	err = s.Store.Maintain(ctx, store.Lookup(), func(tx *store.Tx) (err error) {
		total, err = s.Credential.CountTx(tx, g)
		return err
	})
	return total, err
}

// person is what a flow needs to know of its user, read in one transaction.
type person struct {
	held  credential.Held
	known session.Known
	orgs  []id.Org // in which she is an active member
}

// org is the organization that the flow is about: the one that is asked for, or
// her only one; zero if there is none, or several.
func (p person) org(f *flow) id.Org {
	if !f.State.Ask.Org.IsZero() {
		for _, o := range p.orgs {
			if o == f.State.Ask.Org {
				return o
			}
		}
		return id.Org{}
	}
	if len(p.orgs) == 1 {
		return p.orgs[0]
	}
	return id.Org{}
}

// load reads the user's credentials, devices and memberships; for an address
// that nobody has the same statements are run, for the decoy.
func (s *Service) load(ctx context.Context, f *flow) (p person, err error) {
	user := f.User
	if user.IsZero() {
		user = decoy
	}
	err = s.Store.View(ctx, store.User(user), func(tx *store.Tx) (err error) {
		if p.held, err = s.Credential.LoadTx(tx, f.User); err != nil {
			return err
		}
		p.known, err = s.Session.KnownTx(tx)
		return err
	})
	if err != nil {
		return p, err
	}
	ms, err := s.Directory.MembershipsOf(ctx, user)
	for _, m := range ms {
		if m.State == directory.Active {
			p.orgs = append(p.orgs, m.Org)
		}
	}
	return p, err
}

// actor is the caller as the log names her: nobody until she has proved
// herself, though the flow says whom she claims to be.
func actor(who caller.Caller, f *flow, proved bool) caller.Caller {
	if f.Session.IsZero() {
		who.Kind, who.User, who.Session = caller.Visitor, id.User{}, id.Session{}
		if proved {
			who.Kind, who.User = caller.User, f.User
		}
	}
	return who
}

// wrong answers a wrong guess: it counts against the source, is put on record,
// and looks the same whoever it was about.
func (s *Service) wrong(w http.ResponseWriter, r *http.Request, f *flow, p person, g credential.Guess, total int, answer error) error {
	ctx, who := r.Context(), actor(web.Who(r), f, false)
	if err := s.Credential.WrongSource(ctx, g); err != nil {
		return err
	}
	e := audit.Entry{Kind: EventFailed, Outcome: audit.Failure, Code: string(g.Kind), Facts: map[string]any{"method": string(g.Kind)}}
	org := p.org(f)
	if f.User.IsZero() {
		unknown, err := s.Audit.Unknown(ctx, f.State.Email)
		if err != nil {
			return err
		}
		e.Target = audit.Target{Kind: "address", ID: unknown}
	} else {
		e.Target, e.Person = audit.Target{Kind: "user", ID: f.User.String()}, f.User
		e.Private = map[string]any{"email": f.State.Email}
	}
	if err := s.Audit.Refuse(ctx, who, org, e); err != nil {
		return err
	}
	if !f.User.IsZero() && (total == credential.HardStop || g.Kind != credential.Password && total == warnAfter) {
		if err := s.warn(ctx, who, f.User, g.Kind, total == credential.HardStop); err != nil {
			return err
		}
	}
	return s.showStepAs(w, r, http.StatusUnprocessableEntity, f, g.Kind, answer)
}

// refused answers a guess that was not looked at.
func (s *Service) refused(w http.ResponseWriter, r *http.Request, f *flow, err error) error {
	return s.refusedSecond(w, r, f, credential.Password, err)
}

func (s *Service) refusedSecond(w http.ResponseWriter, r *http.Request, f *flow, kind credential.Kind, err error) error {
	if fault.KindOf(err) != fault.Throttled {
		return err
	}
	// What is refused unseen is counted, not told one by one: a flood of
	// guesses must not become a flood of entries.
	s.Audit.RefuseRate(web.Who(r).Source, "sign-in")
	retryAfter(w, err)
	return s.showStepAs(w, r, http.StatusTooManyRequests, f, kind, err)
}

// restart begins again when a flow is over or another browser's.
func (s *Service) restart(w http.ResponseWriter, r *http.Request, err error) error {
	if !errors.Is(err, errFlow) {
		return err
	}
	return s.showIdentify(w, r, http.StatusConflict, Ask{}, "", errFlow)
}

// toStep shows where the flow stands to who sends another step.
func (s *Service) toStep(w http.ResponseWriter, r *http.Request, f *flow) error {
	if f.Step == stepDone {
		return s.restart(w, r, errFlow)
	}
	web.Redirect(w, r, f.stepPath())
	return nil
}

// next decides what a flow still lacks and goes there; proved uses up, in the
// same transaction, what has just been proved.
func (s *Service) next(w http.ResponseWriter, r *http.Request, ring *keyring.Ring, f *flow, p person, proved func(*store.Tx) error) error {
	ctx := r.Context()
	if err := s.allowed(ctx, f); err != nil {
		return s.block(w, r, f, p, err)
	}
	to, err := s.lacks(ctx, f, p)
	if err != nil {
		return err
	}
	if to == "" {
		return s.finish(w, r, ring, f, p, stepDone, proved, nil)
	}
	move, err := s.prepare(ring, f, to)
	if err != nil {
		return err
	}
	pen, err := s.Audit.Pen(ctx, actor(web.Who(r), f, true), p.org(f), f.User)
	if err != nil {
		return err
	}
	err = s.Store.Update(ctx, store.User(f.User), func(tx *store.Tx) error {
		if err := s.advanceTx(tx, move); err != nil {
			return err
		}
		if err := proved(tx); err != nil {
			return err
		}
		return pen.Record(tx, audit.Entry{
			Kind: EventProved, Target: audit.Target{Kind: "user", ID: f.User.String()}, Person: f.User,
			Facts: map[string]any{"methods": names(f.State.Methods), "next": string(to)},
		})
	})
	if errors.Is(err, errFlow) {
		return s.restart(w, r, err)
	}
	if err != nil {
		return err
	}
	web.Redirect(w, r, f.stepPath())
	return nil
}

// allowed refuses who has proved herself and may not sign in all the same.
func (s *Service) allowed(ctx context.Context, f *flow) error {
	return s.Directory.Access.Alive(ctx, caller.Caller{User: f.User}, id.Org{}, id.Workspace{})
}

// lacks is the step that the flow still needs; "" if none.
func (s *Service) lacks(ctx context.Context, f *flow, p person) (step, error) {
	if p.held.HasSecond() && !f.has("otp", "rcv") {
		return stepSecond, nil
	}
	if org := p.org(f); !org.IsZero() {
		d, err := s.Policy.Enter(ctx, org, policy.Facts{
			Now: s.Now(), Methods: f.State.Methods, AuthTime: s.Now(), HasSecondFactor: p.held.HasSecond(), PasswordLength: f.State.Length,
		})
		switch {
		case err != nil:
			return "", err
		case d.Outcome == policy.Enroll:
			return stepEnroll, nil
		case d.Outcome == policy.Password:
			return stepRenew, nil
		}
	}
	return "", nil
}

// block ends the flow of somebody who has proved herself and may not go on.
func (s *Service) block(w http.ResponseWriter, r *http.Request, f *flow, p person, why error) error {
	if k := fault.KindOf(why); k != fault.Denied && k != fault.NotFound {
		return why
	}
	ctx := r.Context()
	err := s.Audit.Refuse(ctx, actor(web.Who(r), f, true), p.org(f), audit.Entry{
		Kind: EventRefused, Target: audit.Target{Kind: "user", ID: f.User.String()}, Person: f.User, Code: web.CodeOf(why),
	})
	if err != nil {
		return err
	}
	return s.showBlocked(w, r, fault.New(fault.Denied, "signin.blocked.disabled", why))
}

func names(ms []caller.Method) []string {
	out := []string{}
	for _, m := range ms {
		out = append(out, m.Name)
	}
	return out
}
