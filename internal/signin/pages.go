package signin

import (
	"embed"
	"html/template"
	"net/http"

	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/console"
	"github.com/rempart/rempart/internal/credential"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/keyring"
	"github.com/rempart/rempart/internal/policy"
	"github.com/rempart/rempart/internal/web"
)

//go:embed migrations messages pages
var files embed.FS

var views = console.MustParse(files, "pages/*.html")

// view is what the pages of a sign-in show.
type view struct {
	console.Frame
	Ask        string // sealed, as it came
	Return     string
	ClientName string
	Email      string
	Flow       string
	Enrollment credential.Enrollment
	QR         template.HTML
	Codes      []string
	Minimum    int
	Token      string
	Other      string // path to sign in as somebody else
	Org        string
	Known      bool
	Name       string
	Reason     string
}

func (s *Service) render(w http.ResponseWriter, r *http.Request, status int, page, title string, v view, err error, opts ...console.Option) error {
	opts = append([]console.Option{console.Auth(page)}, opts...)
	if err != nil {
		opts = append(opts, console.Failed(err))
	}
	v.Frame = s.Console.Frame(r, title, opts...)
	return s.Console.Render(w, r, status, views.Get(page), v)
}

// start shows the first page: the address, or which account to go on with.
func (s *Service) start(w http.ResponseWriter, r *http.Request) error {
	ring, err := s.Keys.Ready(r.Context(), keyring.Installation())
	if err != nil {
		return err
	}
	query := r.URL.Query()
	ask, ok := s.openAsk(ring, query.Get("ask"))
	if !ok {
		ask = Ask{Return: web.LocalPath(query.Get("return"))}
	}
	who := web.Who(r)
	if who.Kind != caller.User || who.Session.IsZero() || query.Get("other") != "" {
		return s.showIdentify(w, r, http.StatusOK, ask, query.Get("ask"), nil)
	}
	ask.Fresh = ask.Fresh || ask.MaxAge > 0 && s.Now().Sub(who.AuthTime) > ask.MaxAge
	switch {
	case !ok || ask.Choose:
		return s.showChoose(w, r, ask, query.Get("ask"))
	case ask.Fresh:
		return s.again(w, r, who, ask, "/sign-in?other=1&ask="+query.Get("ask"))
	case ask.MFA && !policy.TwoFactors(who.Methods):
		held, err := s.Credential.Load(r.Context(), who.User)
		if err != nil {
			return err
		}
		if held.HasSecond() {
			return s.again(w, r, who, ask, "/sign-in?other=1&ask="+query.Get("ask"))
		}
	}
	if err := s.Enter(r.Context(), who, ask.Org); err != nil {
		if Detour(err, "/") == "" {
			return err
		}
		return s.again(w, r, who, ask, "/sign-in?other=1&ask="+query.Get("ask"))
	}
	web.Redirect(w, r, ask.Return)
	return nil
}

func (s *Service) showIdentify(w http.ResponseWriter, r *http.Request, status int, ask Ask, sealed string, err error) error {
	bindBrowser(w, r)
	web.AllowFormRedirect(w, ask.FormTo)
	v := view{Ask: sealed, Return: web.LocalPath(ask.Return), ClientName: ask.ClientName, Email: ask.LoginHint}
	return s.render(w, r, status, "identify", "signin.identify.title", v, err, s.lead(ask)...)
}

// lead says which application asks.
func (s *Service) lead(ask Ask) []console.Option {
	if ask.ClientName == "" {
		return nil
	}
	return []console.Option{console.Lead("signin.to-continue", "Client", ask.ClientName)}
}

func (s *Service) showChoose(w http.ResponseWriter, r *http.Request, ask Ask, sealed string) error {
	who := web.Who(r)
	u, err := s.Directory.FindUser(r.Context(), who.User)
	if err != nil {
		return err
	}
	other := "/sign-in?other=1"
	if sealed != "" {
		other += "&ask=" + sealed
	}
	web.AllowFormRedirect(w, ask.FormTo)
	v := view{Ask: sealed, Return: web.LocalPath(ask.Return), Email: u.Email(), Name: u.Profile.Name, Other: other}
	return s.render(w, r, http.StatusOK, "choose-account", "signin.choose.title", v, nil, s.lead(ask)...)
}

// goOn continues with the session that exists.
func (s *Service) goOn(w http.ResponseWriter, r *http.Request) error {
	form, err := web.Form(r)
	if err != nil {
		return err
	}
	ring, err := s.Keys.Ready(r.Context(), keyring.Installation())
	if err != nil {
		return err
	}
	who := web.Who(r)
	ask, ok := s.openAsk(ring, form.Get("ask"))
	switch {
	case who.Kind != caller.User:
		return s.showIdentify(w, r, http.StatusOK, ask, form.Get("ask"), nil)
	case !ok:
		web.Redirect(w, r, (&flow{State: flowState{Ask: Ask{Return: form.Get("return")}}}).back())
	case ask.Fresh:
		return s.again(w, r, who, ask, "")
	default:
		web.Redirect(w, r, ask.Return)
	}
	return nil
}

// step shows the page of the step at which a flow stands.
func (s *Service) step(w http.ResponseWriter, r *http.Request) error {
	f, _, err := s.findFlow(r, r.URL.Query().Get("flow"))
	if err != nil {
		return s.restart(w, r, err)
	}
	if f.Step == stepSecond && r.URL.Query().Get("with") == "recovery-code" {
		return s.showStepAs(w, r, http.StatusOK, f, credential.Recovery, nil)
	}
	return s.showStep(w, r, http.StatusOK, f, nil)
}

// showStep answers with the page of the flow's step.
func (s *Service) showStep(w http.ResponseWriter, r *http.Request, status int, f *flow, err error) error {
	kind := credential.Password
	if f.Step == stepSecond {
		kind = credential.TOTP
	}
	return s.showStepAs(w, r, status, f, kind, err)
}

func (s *Service) showStepAs(w http.ResponseWriter, r *http.Request, status int, f *flow, kind credential.Kind, err error) error {
	web.AllowFormRedirect(w, f.State.Ask.FormTo)
	v := view{Flow: f.ID.String(), Email: f.State.Email, Other: f.State.Other}
	switch f.Step {
	case stepPassword:
		title := "signin.password.title"
		if !f.Session.IsZero() {
			title = "signin.step-up.title"
		}
		return s.render(w, r, status, "password", title, v, err, s.lead(f.State.Ask)...)
	case stepSecond:
		if kind == credential.Recovery {
			return s.render(w, r, status, "recovery-code", "signin.recovery-code.title", v, err)
		}
		return s.render(w, r, status, "totp", "signin.totp.title", v, err)
	case stepEnroll:
		ring, rerr := s.Keys.Ready(r.Context(), keyring.Person(f.User))
		if rerr != nil {
			return rerr
		}
		e, rerr := s.Credential.BeginTOTP(ring, f.User, f.State.Email, f.ID.String())
		if rerr != nil {
			return rerr
		}
		return s.showEnroll(w, r, status, f, e, err)
	case stepRenew:
		minimum, _, aerr := s.asked(r.Context(), f.User)
		if aerr != nil {
			return aerr
		}
		v.Minimum = minimum
		return s.render(w, r, status, "reset-password", "signin.renew.title", v, err, console.Lead("signin.renew.lead"))
	case stepCodes:
		return s.showCodes(w, r, f, nil)
	}
	return s.restart(w, r, errFlow)
}

func (s *Service) showEnroll(w http.ResponseWriter, r *http.Request, status int, f *flow, e credential.Enrollment, err error) error {
	web.AllowFormRedirect(w, f.State.Ask.FormTo)
	v := view{Flow: f.ID.String(), Email: f.State.Email, Enrollment: e, QR: picture(e.QR)}
	return s.render(w, r, status, "enroll", "signin.enroll.title", v, err, console.Lead("signin.enroll.lead"))
}

func (s *Service) showCodes(w http.ResponseWriter, r *http.Request, f *flow, codes []string) error {
	web.AllowFormRedirect(w, f.State.Ask.FormTo)
	lead := "signin.codes.lead"
	if codes == nil {
		lead = "signin.codes.gone"
	}
	return s.render(w, r, http.StatusOK, "recovery-codes", "signin.codes.title", view{Flow: f.ID.String(), Codes: codes}, nil, console.Lead(lead))
}

// showBlocked says why somebody who proved herself can't go on, and what to do.
func (s *Service) showBlocked(w http.ResponseWriter, r *http.Request, why error) error {
	f := fault.Of(why)
	if f == nil {
		return why
	}
	v := view{}
	return s.render(w, r, http.StatusForbidden, "blocked", "signin.blocked.title", v, why, console.Lead("signin.blocked.lead"))
}

func (s *Service) signedOut(w http.ResponseWriter, r *http.Request) error {
	return s.render(w, r, http.StatusOK, "signed-out", "signin.signed-out.title", view{}, nil, console.Lead("signin.signed-out.lead"))
}
