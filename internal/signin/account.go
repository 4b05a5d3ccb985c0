package signin

import (
	"context"
	"errors"
	"html/template"
	"net/http"

	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/console"
	"github.com/rempart/rempart/internal/credential"
	"github.com/rempart/rempart/internal/directory"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/keyring"
	"github.com/rempart/rempart/internal/session"
	"github.com/rempart/rempart/internal/store"
	"github.com/rempart/rempart/internal/web"
)

// accountView is what the account's pages show.
type accountView struct {
	console.Frame
	User           directory.User
	Belongings     []directory.Belonging
	HasPassword    bool
	PasswordSet    string
	Authenticators []credential.Authenticator
	CodesLeft      int
	CodesFew       bool
	Codes          []string
	Enrollment     credential.Enrollment
	QR             template.HTML
	Minimum        int
	Grace          string // until when an organization lets her in without a second factor
}

// own reads the caller's user, credentials and their names.
func (s *Service) own(ctx context.Context, who caller.Caller) (v accountView, held credential.Held, ring *keyring.Ring, err error) {
	if v.User, err = s.Directory.FindUser(ctx, who.User); err != nil {
		return v, held, nil, err
	}
	if ring, err = s.Keys.Ready(ctx, keyring.Person(who.User)); err != nil {
		return v, held, nil, err
	}
	err = s.Store.View(ctx, store.User(who.User), func(tx *store.Tx) (err error) {
		if held, err = s.Credential.LoadTx(tx, who.User); err != nil {
			return err
		}
		v.CodesLeft, err = s.Credential.CodesLeftTx(tx)
		return err
	})
	if err != nil {
		return v, held, nil, err
	}
	v.HasPassword, v.CodesFew = held.HasPassword(), v.CodesLeft < 3
	v.Authenticators, err = s.Credential.List(ring, held)
	return v, held, ring, err
}

func (s *Service) accountPage(w http.ResponseWriter, r *http.Request) error {
	who := web.Who(r)
	v, held, _, err := s.own(r.Context(), who)
	if err != nil {
		return err
	}
	if v.Belongings, err = s.Directory.Belongings(r.Context(), who.User); err != nil {
		return err
	}
	v.Frame = s.Console.Frame(r, "signin.account.title", console.Account("account"))
	if held.HasPassword() {
		v.PasswordSet = v.Ago(held.PasswordSet())
	}
	if !held.HasSecond() {
		for _, b := range v.Belongings {
			rules, err := s.Policy.Rules(r.Context(), b.Org.ID)
			if err != nil {
				return err
			}
			if d := rules.Deadline(); d.After(s.Now()) {
				v.Grace = v.T("signin.account.grace", "Organization", b.Org.Name, "Deadline", d)
			}
		}
	}
	return s.Console.Render(w, r, http.StatusOK, views.Get("account"), v)
}

// sendVerify mails the link that proves an address of the caller's own.
func (s *Service) sendVerify(w http.ResponseWriter, r *http.Request) error {
	form, err := web.Form(r)
	if err != nil {
		return err
	}
	address, err := id.ParseAddress(form.Get("address"))
	if err != nil {
		return fault.ErrNotFound
	}
	who := web.Who(r)
	if err := s.SendVerification(r.Context(), who, who.User, address); err != nil {
		return err
	}
	web.Redirect(w, r, "/account?done=signin.account.verify-sent.done")
	return nil
}

func (s *Service) passwordPage(w http.ResponseWriter, r *http.Request) error {
	return s.showPassword(w, r, http.StatusOK, nil)
}

func (s *Service) showPassword(w http.ResponseWriter, r *http.Request, status int, failure error) error {
	v, _, _, err := s.own(r.Context(), web.Who(r))
	if err != nil {
		return err
	}
	if v.Minimum, _, err = s.asked(r.Context(), web.Who(r).User); err != nil {
		return err
	}
	v.Frame = s.Console.Frame(r, "signin.account.password.title", console.Account("password"), console.Lead("signin.account.password.lead"), failed(failure))
	return s.Console.Render(w, r, status, views.Get("account-password"), v)
}

// failed shows a fault on a page, and nothing where there is none.
func failed(err error) console.Option {
	if err == nil {
		return func(*console.Frame) {}
	}
	return console.Failed(err)
}

// changePassword takes the current password and a new one (ASVS 6.2.3). Other
// sessions end, and this one gets a new secret.
func (s *Service) changePassword(w http.ResponseWriter, r *http.Request) error {
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
	guess := credential.NewGuess(credential.Password, who.User, nil, who.Source)
	done, err := s.Credential.Turn(ctx, guess)
	if err != nil {
		return err
	}
	defer done()
	if _, err := s.count(ctx, guess); err != nil {
		retryAfter(w, err)
		if fault.KindOf(err) == fault.Throttled {
			return s.showPassword(w, r, http.StatusTooManyRequests, err)
		}
		return err
	}
	held, err := s.Credential.Load(ctx, who.User)
	if err != nil {
		return err
	}
	pen, err := s.Audit.Pen(ctx, who, id.Org{})
	if err != nil {
		return err
	}
	checked, err := s.Credential.Check(ctx, slot, pen.Ring, held, form.Get("current"))
	if err != nil {
		return err
	}
	if !checked.OK {
		if err := s.Credential.WrongSource(ctx, guess); err != nil {
			return err
		}
		err := s.Audit.Refuse(ctx, who, id.Org{}, audit.Entry{
			Kind: EventFailed, Target: audit.Target{Kind: "user", ID: who.User.String()}, Outcome: audit.Failure, Code: "password", Facts: map[string]any{"method": "password", "for": "change"},
		})
		if err != nil {
			return err
		}
		return s.showPassword(w, r, http.StatusUnprocessableEntity, fault.New(fault.Invalid, "signin.error.current", nil).At("/current", "signin.error.current"))
	}
	secret, err := s.newPassword(ctx, slot, pen.Ring, who.User, form, held.HasSecond())
	if fault.KindOf(err) == fault.Invalid {
		// The current password was right: that guess does not count.
		if ferr := s.Store.Maintain(ctx, store.User(who.User), func(tx *store.Tx) error { return s.Credential.ForgiveTx(tx, guess) }); ferr != nil {
			return ferr
		}
		return s.showPassword(w, r, http.StatusUnprocessableEntity, err)
	}
	if err != nil {
		return err
	}
	notice, err := s.changedMail(ctx, who.User, "password", who)
	if err != nil {
		return err
	}
	err = s.renewed(w, r, func(tx *store.Tx) error {
		if err := s.Credential.SetPasswordTx(tx, secret); err != nil {
			return err
		}
		if err := s.queue(tx, pen.Ring, notice); err != nil {
			return err
		}
		return pen.Record(tx, audit.Entry{Kind: credential.EventPasswordChanged, Target: audit.Target{Kind: "user", ID: who.User.String()}})
	})
	if err != nil {
		return err
	}
	web.Redirect(w, r, "/account?done=signin.account.password.done")
	return nil
}

// renewed makes a change of the caller's credentials: with it her other
// sessions end, and the one that asks gets a new secret.
func (s *Service) renewed(w http.ResponseWriter, r *http.Request, change func(*store.Tx) error) error {
	ctx, who := r.Context(), web.Who(r)
	secret, _ := session.Secret(r)
	have, err := s.Session.Find(ctx, secret)
	if errors.Is(err, session.ErrNone) || err == nil && have.User != who.User {
		return fault.ErrStepUp
	}
	if err != nil {
		return err
	}
	draft, err := s.Session.PrepareRenewal(have, nil, false, nolimits)
	if err != nil {
		return err
	}
	// Changing a credential proves nothing: when she was last proved stays.
	draft.Session.FreshAt = have.FreshAt
	var ended []id.Session
	err = s.Store.Update(ctx, store.User(who.User), func(tx *store.Tx) error {
		if err := change(tx); err != nil {
			return err
		}
		if err := s.Session.RenewTx(tx, draft); err != nil {
			return err
		}
		ended, err = s.Session.EndAllTx(tx, who.User, who.Session, "credential_changed")
		return err
	})
	if err != nil {
		return err
	}
	s.Session.Forget(ended...)
	s.Session.Keep(draft)
	session.SetCookie(w, draft.Secret())
	return nil
}

func (s *Service) authenticatorsPage(w http.ResponseWriter, r *http.Request) error {
	return s.showAuthenticators(w, r, http.StatusOK, nil, nil)
}

func (s *Service) showAuthenticators(w http.ResponseWriter, r *http.Request, status int, codes []string, failure error, opts ...console.Option) error {
	v, _, _, err := s.own(r.Context(), web.Who(r))
	if err != nil {
		return err
	}
	v.Codes = codes
	opts = append(opts, console.Account("authenticators"), console.Lead("signin.account.authenticators.lead"), failed(failure))
	v.Frame = s.Console.Frame(r, "signin.account.authenticators.title", opts...)
	return s.Console.Render(w, r, status, views.Get("account-authenticators"), v)
}

func (s *Service) addPage(w http.ResponseWriter, r *http.Request) error {
	return s.showAdd(w, r, http.StatusOK, "", nil)
}

func (s *Service) showAdd(w http.ResponseWriter, r *http.Request, status int, sealed string, failure error) error {
	who := web.Who(r)
	v, _, ring, err := s.own(r.Context(), who)
	if err != nil {
		return err
	}
	if sealed != "" {
		v.Enrollment, err = s.Credential.Resume(ring, who.User, v.User.Email(), who.Session.String(), sealed)
	} else {
		v.Enrollment, err = s.Credential.BeginTOTP(ring, who.User, v.User.Email(), who.Session.String())
	}
	if err != nil {
		return err
	}
	v.QR = picture(v.Enrollment.QR)
	v.Frame = s.Console.Frame(r, "signin.enroll.title", console.Account("enroll"), console.Lead("signin.enroll.lead"), console.Under("signin.account.authenticators.title", "/account/authenticators"), failed(failure))
	return s.Console.Render(w, r, status, views.Get("account-enroll"), v)
}

// add takes the first code of a new authenticator. Her first one comes with
// recovery codes, shown on the page that answers, and nowhere else.
func (s *Service) add(w http.ResponseWriter, r *http.Request) error {
	form, err := web.Form(r)
	if err != nil {
		return err
	}
	ctx, who := r.Context(), web.Who(r)
	held, err := s.Credential.Load(ctx, who.User)
	if err != nil {
		return err
	}
	pen, err := s.Audit.Pen(ctx, who, id.Org{})
	if err != nil {
		return err
	}
	added, err := s.Credential.ConfirmTOTP(pen.Ring, who.User, who.Session.String(), form.Get("enrollment"), form.Get("code"), form.Get("name"))
	switch {
	case errors.Is(err, credential.ErrCode):
		return s.showAdd(w, r, http.StatusUnprocessableEntity, form.Get("enrollment"), err)
	case errors.Is(err, credential.ErrEnrollment):
		return s.showAdd(w, r, http.StatusConflict, "", err)
	case err != nil:
		return err
	}
	notice, err := s.changedMail(ctx, who.User, "enrolled", who)
	if err != nil {
		return err
	}
	var codes credential.Codes
	if !held.HasSecond() {
		codes = credential.NewCodes(who.User)
	}
	err = s.renewed(w, r, func(tx *store.Tx) error {
		if err := s.Credential.AddTOTPTx(tx, added); err != nil {
			return err
		}
		if codes.Plain != nil {
			if err := s.Credential.SetCodesTx(tx, codes); err != nil {
				return err
			}
		}
		if err := s.queue(tx, pen.Ring, notice); err != nil {
			return err
		}
		return pen.Record(tx, audit.Entry{Kind: credential.EventEnrolled, Target: audit.Target{Kind: "authenticator", ID: added.ID.String()}})
	})
	if fault.KindOf(err) == fault.Conflict {
		return s.showAuthenticators(w, r, http.StatusConflict, nil, err)
	}
	if err != nil {
		return err
	}
	return s.showAuthenticators(w, r, http.StatusOK, codes.Plain, nil, console.Done("signin.account.added.done"))
}

// remove takes an authenticator away.
func (s *Service) remove(w http.ResponseWriter, r *http.Request) error {
	form, err := web.Form(r)
	if err != nil {
		return err
	}
	ctx, who := r.Context(), web.Who(r)
	a, err := id.ParseAuthenticator(form.Get("authenticator"))
	if err != nil {
		return fault.ErrNotFound
	}
	pen, err := s.Audit.Pen(ctx, who, id.Org{})
	if err != nil {
		return err
	}
	notice, err := s.changedMail(ctx, who.User, "removed", who)
	if err != nil {
		return err
	}
	err = s.renewed(w, r, func(tx *store.Tx) error {
		if err := s.Credential.RemoveTx(tx, who.User, a); err != nil {
			return err
		}
		if err := s.queue(tx, pen.Ring, notice); err != nil {
			return err
		}
		return pen.Record(tx, audit.Entry{Kind: credential.EventRemoved, Target: audit.Target{Kind: "authenticator", ID: a.String()}})
	})
	if err != nil {
		return err
	}
	web.Redirect(w, r, "/account/authenticators?done=signin.account.removed.done")
	return nil
}

// newCodes replaces the recovery codes.
func (s *Service) newCodes(w http.ResponseWriter, r *http.Request) error {
	ctx, who := r.Context(), web.Who(r)
	held, err := s.Credential.Load(ctx, who.User)
	if err != nil {
		return err
	}
	if !held.HasSecond() {
		return fault.ErrNotFound
	}
	pen, err := s.Audit.Pen(ctx, who, id.Org{})
	if err != nil {
		return err
	}
	notice, err := s.changedMail(ctx, who.User, "codes", who)
	if err != nil {
		return err
	}
	codes := credential.NewCodes(who.User)
	err = s.renewed(w, r, func(tx *store.Tx) error {
		if err := s.Credential.SetCodesTx(tx, codes); err != nil {
			return err
		}
		if err := s.queue(tx, pen.Ring, notice); err != nil {
			return err
		}
		return pen.Record(tx, audit.Entry{Kind: credential.EventCodes, Target: audit.Target{Kind: "user", ID: who.User.String()}})
	})
	if err != nil {
		return err
	}
	return s.showAuthenticators(w, r, http.StatusOK, codes.Plain, nil, console.Done("signin.account.codes.done"))
}

// warn tells the user that somebody guesses: codes after a right password, or
// so often that the authenticator was stopped (ASVS 6.3.5).
func (s *Service) warn(ctx context.Context, who caller.Caller, user id.User, kind credential.Kind, stopped bool) error {
	template := "signin.mail.guessed"
	if stopped {
		template = "signin.mail.stopped"
	}
	l, _, err := s.to(ctx, user, template, "warning")
	if err != nil {
		return err
	}
	pen, err := s.Audit.Pen(ctx, who, id.Org{}, user)
	if err != nil {
		return err
	}
	for i := range l {
		l[i].Facts, l[i].Link = seen(who, s.Now()), s.absolute("/sign-in/reset")
	}
	e := audit.Entry{Kind: EventWarned, Target: audit.Target{Kind: "user", ID: user.String()}, Person: user, Facts: map[string]any{"method": string(kind)}}
	if stopped {
		e.Kind = credential.EventStopped
	}
	return s.Store.Update(ctx, store.User(user), func(tx *store.Tx) error {
		if err := s.queue(tx, pen.Ring, l); err != nil {
			return err
		}
		return pen.Record(tx, e)
	})
}
