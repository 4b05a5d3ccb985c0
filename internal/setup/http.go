package setup

import (
	"encoding/base64"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/console"
	"github.com/rempart/rempart/internal/credential"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/provider"
	"github.com/rempart/rempart/internal/web"
)

var views = console.MustParse(files, "pages/*.html")

const (
	root       = "/setup"
	finishPath = root + "/finish"
	maxForm    = 16 << 10
)

func (s *Service) routes() []web.Route {
	get := func(path string, fn func(http.ResponseWriter, *http.Request) error) web.Route {
		return web.Page("GET "+path, capability.Public, fn)
	}
	post := func(path, event string, fn func(http.ResponseWriter, *http.Request) error) web.Route {
		return web.Page("POST "+path, capability.Public, fn, web.Event(event), web.MaxBody(maxForm))
	}
	at := func(st Step) string { return root + "/" + string(st) }
	return []web.Route{
		get(root, s.resume),
		get(linkPath+"{token}", s.linkPage),
		post(linkPath+"{token}", eventLinkOpened, s.openPage),
		get(at(StepWelcome), s.turn(StepWelcome, s.welcomePage)),
		post(at(StepWelcome), eventStep, s.inside(s.welcomePost)),
		get(at(StepKit), s.turn(StepKit, s.kitPage)),
		post(at(StepKit), "keyring.replace_recovery.ended", s.inside(s.kitMake)),
		post(at(StepKit)+"/confirm", eventStep, s.inside(s.kitConfirm)),
		get(at(StepStaff), s.turn(StepStaff, s.staffPage)),
		post(at(StepStaff), eventStep, s.inside(s.staffPost)),
		get(at(StepTOTP), s.turn(StepTOTP, s.totpPage)),
		post(at(StepTOTP), eventStep, s.inside(s.totpPost)),
		get(at(StepCodes), s.turn(StepCodes, s.codesPage)),
		post(at(StepCodes), credential.EventCodes, s.inside(s.codesMake)),
		post(at(StepCodes)+"/kept", eventStep, s.inside(s.codesKept)),
		get(at(StepOrganization), s.turn(StepOrganization, s.organizationPage)),
		post(at(StepOrganization), eventStep, s.inside(s.organizationPost)),
		get(at(StepClient), s.turn(StepClient, s.clientPage)),
		post(at(StepClient), eventStep, s.inside(s.clientPost)),
		get(at(StepTest), s.turn(StepTest, s.testPage)),
		web.Page("POST "+at(StepTest), capability.Public, s.inside(s.testBegin), web.MaxBody(maxForm),
			web.NoEntry("it only leads to the sign-in; the client of the test leaves its own entry when it is made")),
		get(trialCallback, s.turn(StepTest, s.testCallback)),
		get(finishPath, s.turn("", s.finishPage)),
		post(finishPath, eventCompleted, s.inside(s.finishPost)),
	}
}

// page is what every page of the wizard shows.
type page struct {
	console.Frame
	Step   Step
	Number int // of the step
	Total  int
	Value  url.Values // what was typed, when the form is shown again
}

func (s *Service) page(r *http.Request, title string, st Step, opts ...console.Option) page {
	p := page{Step: st, Total: len(Steps)}
	p.Frame = s.Console.Frame(r, title, append([]console.Option{console.Auth("setup-" + string(st))}, opts...)...)
	p.Number = Progress{Next: st}.Number()
	return p
}

// Given is what was typed into the field.
func (p page) Given(name string) string { return p.Value.Get(name) }

// inside lets only the browser of the wizard pass.
func (s *Service) inside(fn func(http.ResponseWriter, *http.Request) error) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		if _, err := s.admit(r); err != nil {
			return err
		}
		return fn(w, r)
	}
}

// turn leads to the step whose turn it is, when it is not that of the page.
func (s *Service) turn(st Step, fn func(http.ResponseWriter, *http.Request, Progress) error) func(http.ResponseWriter, *http.Request) error {
	return s.inside(func(w http.ResponseWriter, r *http.Request) error {
		p, err := s.Progress(r.Context())
		if err != nil {
			return err
		}
		if p.Next != st {
			web.Redirect(w, r, p.path())
			return nil
		}
		return fn(w, r, p)
	})
}

// path is the page of the step whose turn it is.
func (p Progress) path() string {
	if p.Next == "" {
		return finishPath
	}
	return root + "/" + string(p.Next)
}

func (s *Service) resume(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.admit(r); err != nil {
		return err
	}
	return s.next(w, r)
}

// next leads on.
func (s *Service) next(w http.ResponseWriter, r *http.Request) error {
	p, err := s.Progress(r.Context())
	if err != nil {
		return err
	}
	web.Redirect(w, r, p.path())
	return nil
}

// again shows a form once more with what was wrong, or leads to the step whose
// turn it is when this one was done meanwhile.
func (s *Service) again(w http.ResponseWriter, r *http.Request, err error, show func(status int, opts ...console.Option) error) error {
	if fault.Of(err) == nil {
		return err
	}
	switch fault.KindOf(err) {
	case fault.Invalid, fault.Conflict:
		if errors.Is(err, errOrder) || errors.Is(err, errBusy) {
			return err
		}
		return show(web.StatusOf(err), console.Failed(err))
	}
	return err
}

func (s *Service) linkPage(w http.ResponseWriter, r *http.Request) error {
	if err := s.Link(r.Context(), r.PathValue("token")); err != nil {
		return err
	}
	f := s.Console.Frame(r, "setup.link.title", console.Auth("setup-link"), console.Lead("setup.link.lead", "Product", s.product()))
	return s.Console.Render(w, r, http.StatusOK, views.Get("link"), f)
}

// openPage is a POST, so that a preview of the link in a chat does not use it up.
func (s *Service) openPage(w http.ResponseWriter, r *http.Request) error {
	who := web.Who(r)
	browser, err := s.OpenLink(r.Context(), who, r.PathValue("token"), s.secure(r, who.Source))
	if err != nil {
		return err
	}
	setCookie(w, browser)
	web.Redirect(w, r, root)
	return nil
}

func (s *Service) welcomePage(w http.ResponseWriter, r *http.Request, _ Progress) error {
	return s.Console.Render(w, r, http.StatusOK, views.Get("welcome"),
		s.page(r, "setup.welcome.title", StepWelcome, console.Lead("setup.welcome.lead", "Product", s.product())))
}

func (s *Service) welcomePost(w http.ResponseWriter, r *http.Request) error {
	form, err := web.Form(r)
	if err != nil {
		return err
	}
	if err := s.Welcome(r.Context(), web.Who(r)); err != nil {
		return err
	}
	p := web.ReadPrefs(r)
	for _, c := range (console.Frame{}).Languages() {
		if c.Value == form.Get("lang") {
			p.Lang = c.Value
		}
	}
	web.WritePrefs(w, p)
	return s.next(w, r)
}

type kitView struct {
	page
	Made bool // a sheet was made before
	Text string
	File template.URL // the kit as the command that recovers reads it
}

func (s *Service) kitPage(w http.ResponseWriter, r *http.Request, p Progress) error {
	return s.showKit(w, r, http.StatusOK, p.Made[StepKit] != "", Kit{})
}

func (s *Service) showKit(w http.ResponseWriter, r *http.Request, status int, made bool, k Kit, opts ...console.Option) error {
	v := kitView{page: s.page(r, "setup.kit.title", StepKit, append(opts, console.Lead("setup.kit.lead"))...), Made: made}
	if k.Code != "" {
		v.Text = k.Text(v.T) + "\n" + v.T("setup.kit.code-on-sheet", "Code", k.Code) + "\n"
		file, err := k.Reveal()
		if err != nil {
			return err
		}
		// A file of the page's own: nothing is asked of the server, which does
		// not have the kit any more.
		v.File = template.URL("data:application/json;base64," + base64.StdEncoding.EncodeToString(file))
	}
	return s.Console.Render(w, r, status, views.Get("recovery-kit"), v)
}

func (s *Service) kitMake(w http.ResponseWriter, r *http.Request) error {
	k, err := s.MakeKit(r.Context(), web.Who(r))
	if err != nil {
		return err
	}
	return s.showKit(w, r, http.StatusOK, true, k)
}

func (s *Service) kitConfirm(w http.ResponseWriter, r *http.Request) error {
	form, err := web.Form(r)
	if err != nil {
		return err
	}
	if err := s.ConfirmKit(r.Context(), web.Who(r), form.Get("code")); err != nil {
		return s.again(w, r, err, func(status int, opts ...console.Option) error {
			return s.showKit(w, r, status, true, Kit{}, opts...)
		})
	}
	return s.next(w, r)
}

type staffView struct {
	page
	Minimum int
}

func (s *Service) staffPage(w http.ResponseWriter, r *http.Request, _ Progress) error {
	return s.showStaff(w, r, http.StatusOK, nil)
}

func (s *Service) showStaff(w http.ResponseWriter, r *http.Request, status int, form url.Values, opts ...console.Option) error {
	v := staffView{page: s.page(r, "setup.administrator.title", StepStaff, append(opts, console.Lead("setup.administrator.lead"))...), Minimum: credential.MinAlone}
	v.Value = form
	return s.Console.Render(w, r, status, views.Get("administrator"), v)
}

func (s *Service) staffPost(w http.ResponseWriter, r *http.Request) error {
	form, err := web.Form(r)
	if err != nil {
		return err
	}
	who := web.Who(r)
	err = s.AddAdministrator(r.Context(), who, Administrator{Name: form.Get("name"), Email: form.Get("email"), Password: form.Get("password"), Lang: who.Lang})
	if err != nil {
		return s.again(w, r, err, func(status int, opts ...console.Option) error { return s.showStaff(w, r, status, form, opts...) })
	}
	return s.next(w, r)
}

type totpView struct {
	page
	Enrollment credential.Enrollment
	Grouped    string // the secret in groups of four, for typing
	QR         template.HTML
}

func (s *Service) totpPage(w http.ResponseWriter, r *http.Request, _ Progress) error {
	return s.showTOTP(w, r, http.StatusOK, "")
}

func (s *Service) showTOTP(w http.ResponseWriter, r *http.Request, status int, token string, opts ...console.Option) error {
	e, err := s.BeginTOTP(r.Context(), token)
	if err != nil {
		return err
	}
	v := totpView{page: s.page(r, "setup.authenticator.title", StepTOTP, append(opts, console.Lead("setup.authenticator.lead"))...), Enrollment: e, QR: template.HTML(e.QR)}
	for i := 0; i < len(e.Secret); i += 4 {
		v.Grouped += " " + e.Secret[i:min(i+4, len(e.Secret))]
	}
	v.Grouped = strings.TrimSpace(v.Grouped)
	return s.Console.Render(w, r, status, views.Get("authenticator"), v)
}

func (s *Service) totpPost(w http.ResponseWriter, r *http.Request) error {
	form, err := web.Form(r)
	if err != nil {
		return err
	}
	if err := s.ConfirmTOTP(r.Context(), web.Who(r), form.Get("enrollment"), form.Get("code")); err != nil {
		return s.again(w, r, err, func(status int, opts ...console.Option) error {
			return s.showTOTP(w, r, status, form.Get("enrollment"), opts...)
		})
	}
	return s.next(w, r)
}

type codesView struct {
	page
	Codes []string
}

func (s *Service) codesPage(w http.ResponseWriter, r *http.Request, _ Progress) error {
	return s.showCodes(w, r, http.StatusOK, nil)
}

func (s *Service) showCodes(w http.ResponseWriter, r *http.Request, status int, codes []string, opts ...console.Option) error {
	return s.Console.Render(w, r, status, views.Get("recovery-codes"),
		codesView{page: s.page(r, "setup.codes.title", StepCodes, append(opts, console.Lead("setup.codes.lead"))...), Codes: codes})
}

func (s *Service) codesMake(w http.ResponseWriter, r *http.Request) error {
	codes, err := s.MakeCodes(r.Context(), web.Who(r))
	if err != nil {
		return err
	}
	return s.showCodes(w, r, http.StatusOK, codes)
}

func (s *Service) codesKept(w http.ResponseWriter, r *http.Request) error {
	if err := s.KeepCodes(r.Context(), web.Who(r)); err != nil {
		return s.again(w, r, err, func(status int, opts ...console.Option) error { return s.showCodes(w, r, status, nil, opts...) })
	}
	return s.next(w, r)
}

type organizationView struct {
	page
	Owners []console.Choice
}

func (s *Service) organizationPage(w http.ResponseWriter, r *http.Request, _ Progress) error {
	return s.showOrganization(w, r, http.StatusOK, nil)
}

func (s *Service) showOrganization(w http.ResponseWriter, r *http.Request, status int, form url.Values, opts ...console.Option) error {
	v := organizationView{page: s.page(r, "setup.organization.title", StepOrganization, append(opts, console.Lead("setup.organization.lead"))...)}
	v.Value = form
	other := form.Get("who") == "other"
	v.Owners = []console.Choice{{Value: "me", Label: v.T("setup.organization.owner-me"), Selected: !other}, {Value: "other", Label: v.T("setup.organization.owner-other"), Selected: other}}
	return s.Console.Render(w, r, status, views.Get("organization"), v)
}

func (s *Service) organizationPost(w http.ResponseWriter, r *http.Request) error {
	form, err := web.Form(r)
	if err != nil {
		return err
	}
	who := web.Who(r)
	o := Organization{Name: form.Get("name"), Slug: form.Get("slug"), Lang: who.Lang}
	if form.Get("who") == "other" {
		if o.Owner = strings.TrimSpace(form.Get("owner")); o.Owner == "" {
			err = fault.New(fault.Invalid, "setup.organization.owner-email", nil).At("/owner", "setup.organization.owner-email")
		}
	}
	if err == nil {
		err = s.AddOrganization(r.Context(), who, o)
	}
	if err != nil {
		return s.again(w, r, err, func(status int, opts ...console.Option) error { return s.showOrganization(w, r, status, form, opts...) })
	}
	return s.next(w, r)
}

type clientView struct {
	page
	Types []console.Choice
}

func (s *Service) clientPage(w http.ResponseWriter, r *http.Request, _ Progress) error {
	return s.showClient(w, r, http.StatusOK, nil)
}

func (s *Service) showClient(w http.ResponseWriter, r *http.Request, status int, form url.Values, opts ...console.Option) error {
	v := clientView{page: s.page(r, "setup.client.title", StepClient, append(opts, console.Lead("setup.client.lead"))...)}
	v.Value = form
	for _, c := range []struct {
		kind  provider.ClientType
		label string
	}{
		{provider.ClientWeb, v.T("setup.client.type-web")}, {provider.ClientSPA, v.T("setup.client.type-spa")}, {provider.ClientNative, v.T("setup.client.type-native")},
	} {
		v.Types = append(v.Types, console.Choice{Value: string(c.kind), Label: c.label, Selected: form.Get("type") == string(c.kind) || form.Get("type") == "" && c.kind == provider.ClientWeb})
	}
	return s.Console.Render(w, r, status, views.Get("client"), v)
}

type clientMadeView struct {
	page
	Issuer, Client, Secret, Redirect string
	Environment, Node                string
}

func (s *Service) clientPost(w http.ResponseWriter, r *http.Request) error {
	form, err := web.Form(r)
	if err != nil {
		return err
	}
	in := provider.ClientInput{Name: form.Get("name"), Type: provider.ClientType(form.Get("type")), RedirectURIs: strings.Fields(form.Get("redirect_uris"))}
	client, secret, err := s.AddClient(r.Context(), web.Who(r), in)
	if err != nil {
		return s.again(w, r, err, func(status int, opts ...console.Option) error { return s.showClient(w, r, status, form, opts...) })
	}
	state, err := s.Find(r.Context())
	if err != nil {
		return err
	}
	v := clientMadeView{page: s.page(r, "setup.client-made.title", StepClient, console.Lead("setup.client-made.lead")), Issuer: state.Issuer, Client: client.ID.String(), Secret: secret}
	if len(client.RedirectURIs) > 0 {
		v.Redirect = client.RedirectURIs[0]
	}
	v.Page = "setup-client-made"
	v.Environment, v.Node = snippets(v.Issuer, v.Client, v.Secret, v.Redirect)
	return s.Console.Render(w, r, http.StatusOK, views.Get("client-made"), v)
}

type testView struct {
	page
	Trial *Trial
}

func (s *Service) testPage(w http.ResponseWriter, r *http.Request, _ Progress) error {
	return s.showTest(w, r, http.StatusOK)
}

func (s *Service) showTest(w http.ResponseWriter, r *http.Request, status int, opts ...console.Option) error {
	return s.Console.Render(w, r, status, views.Get("test"),
		testView{page: s.page(r, "setup.test.title", StepTest, append(opts, console.Lead("setup.test.lead"))...)})
}

func (s *Service) testBegin(w http.ResponseWriter, r *http.Request) error {
	path, cookie, err := s.BeginTest(r.Context(), web.Who(r))
	if err != nil {
		return err
	}
	http.SetCookie(w, &http.Cookie{Name: trialCookie, Value: cookie, Path: "/", MaxAge: int(trialLife / time.Second), Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	web.Redirect(w, r, path)
	return nil
}

// testCallback is where the authorization endpoint sends the browser: a GET, as
// the protocol has it. The entry of what it changes is the step's.
func (s *Service) testCallback(w http.ResponseWriter, r *http.Request, _ Progress) error {
	var cookie string
	if cs := r.CookiesNamed(trialCookie); len(cs) == 1 {
		cookie = cs[0].Value
	}
	http.SetCookie(w, &http.Cookie{Name: trialCookie, Path: "/", MaxAge: -1, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	t, err := s.FinishTest(r.Context(), web.Who(r), cookie, r.URL.Query())
	if err != nil {
		if cause := errors.Unwrap(err); cause != nil && s.Console.Log != nil {
			s.Console.Log.WarnContext(r.Context(), "test sign-in", "error", cause)
		}
		return s.again(w, r, err, func(status int, opts ...console.Option) error { return s.showTest(w, r, status, opts...) })
	}
	v := testView{page: s.page(r, "setup.claims.title", StepTest, console.Lead("setup.claims.lead")), Trial: &t}
	v.Page = "setup-claims"
	return s.Console.Render(w, r, http.StatusOK, views.Get("claims"), v)
}

func (s *Service) finishPage(w http.ResponseWriter, r *http.Request, _ Progress) error {
	v := s.page(r, "setup.finish.title", "", console.Lead("setup.finish.lead"))
	v.Page = "setup-finish"
	return s.Console.Render(w, r, http.StatusOK, views.Get("finish"), v)
}

type doneView struct {
	console.Frame
	Slug string
}

func (s *Service) finishPost(w http.ResponseWriter, r *http.Request) error {
	p, err := s.Progress(r.Context())
	if err != nil {
		return err
	}
	if err := s.Complete(r.Context(), web.Who(r)); err != nil {
		return err
	}
	clearCookie(w)
	v := doneView{Frame: s.Console.Frame(r, "setup.done.title", console.Auth("setup-done"), console.Lead("setup.done.lead"))}
	// The page is worth having without the link to the organization.
	if o, err := s.Directory.FindOrg(r.Context(), p.Org()); err == nil {
		v.Slug = o.Slug
	}
	return s.Console.Render(w, r, http.StatusOK, views.Get("done"), v)
}
