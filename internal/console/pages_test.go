package console_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/console"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/i18n"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/web"
)

var ines = caller.Caller{Kind: caller.User, User: id.NewUser(time.Unix(1, 0)), Lang: "en", Request: id.NewRequest(time.Unix(1, 0))}

// signedIn gives the console a shell: two organizations, and every permission
// but the one to read the log.
func signedIn(c *console.Console) {
	c.Navigation = []capability.Navigation{
		{Area: "organization", Section: "console.person.console", Label: "console.landing.console", Path: "/members", Permission: "directory.read", Icon: "users", Order: 2},
		{Area: "organization", Section: "console.person.console", Label: "console.landing.heading", Path: "", Permission: "directory.read", Icon: "house", Order: 1},
		{Area: "organization", Section: "console.person.console", Label: "console.footer.trust", Path: "/log", Permission: "audit.read", Icon: "scroll-text", Order: 3},
		{Area: "account", Section: "console.area.account", Label: "console.person.account", Path: "/sessions", Permission: capability.Self, Icon: "laptop"},
	}
	c.Shell = func(context.Context, caller.Caller) (console.Shell, error) {
		acme := console.Org{ID: "org_1", Slug: "acme", Name: "Acme <Freight>"}
		return console.Shell{Person: console.Person{Name: "Inès Marchal", Email: "ines@acme.example"}, Org: &acme,
			Orgs: []console.Org{acme, {ID: "org_2", Slug: "globex", Name: "Globex"}}, Allowed: func(perm string) bool { return perm != "audit.read" }}, nil
	}
}

func serve(t *testing.T, c *console.Console, r *http.Request, pattern string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	for _, route := range c.Manifest().Routes {
		if route.Pattern == pattern {
			if err := route.Serve(w, r); err != nil {
				t.Fatalf("%s: %v", pattern, err)
			}
			return w
		}
	}
	t.Fatalf("no route %s", pattern)
	return nil
}

func TestErrorPagesSayWhatWhyAndWhatToDo(t *testing.T) {
	for _, lang := range i18n.Languages {
		for _, err := range []error{
			fault.New(fault.Invalid, "web.error.invalid", nil), fault.New(fault.Unknown, "web.error.unauthenticated", nil), fault.ErrDenied, fault.ErrStepUp,
			fault.ErrNotFound, fault.New(fault.Conflict, "web.error.conflict", nil), fault.New(fault.Precondition, "web.error.changed-meanwhile", nil),
			fault.New(fault.TooLarge, "web.error.too-large", nil), fault.New(fault.Throttled, "web.error.throttled", nil).After(90 * time.Second),
			fault.New(fault.Unavailable, "web.error.unavailable", nil), errors.New("pq: hunter2"), context.DeadlineExceeded,
		} {
			c := newConsole(t)
			who := ines
			who.Lang = lang
			r := web.WithCaller(httptest.NewRequest("GET", "/x", nil), who)
			w := httptest.NewRecorder()
			c.RenderError(w, r, who, err)
			body := w.Body.String()
			if w.Code != web.StatusOf(err) {
				t.Errorf("%v: status %d", err, w.Code)
			}
			for _, want := range []string{`lang="` + lang + `"`, `data-page="error"`, `role="alert"`, who.Request.String(), "<h1>"} {
				if !strings.Contains(body, want) {
					t.Errorf("%v in %s: page lacks %s", err, lang, want)
				}
			}
			if strings.Contains(body, "hunter2") || strings.Contains(body, "[console") || strings.Contains(body, "[web") {
				t.Errorf("%v in %s: page shows what it must not", err, lang)
			}
			if web.Retry(err) > 0 && !strings.Contains(body, "1 minute") && !strings.Contains(body, "1 minuut") {
				t.Errorf("%s: page does not say when to come back", lang)
			}
		}
	}
}

func TestAVisitorIsSentToSignInAndAFaultOfACapabilityIsShown(t *testing.T) {
	c := newConsole(t)
	c.SignIn = func(r *http.Request) string { return "/sign-in?return=" + url.QueryEscape(r.URL.Path) }
	c.StepUp = func(*http.Request) string { return "/step-up" }
	who := caller.Caller{Lang: "en"}
	do := func(method string, err error) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		c.RenderError(w, web.WithCaller(httptest.NewRequest(method, "/console", nil), who), who, err)
		return w
	}
	unknown := fault.New(fault.Unknown, "web.error.unauthenticated", nil)
	if w := do("GET", unknown); w.Code != 303 || w.Header().Get("Location") != "/sign-in?return=%2Fconsole" {
		t.Errorf("%d %s", w.Code, w.Header().Get("Location"))
	}
	if w := do("POST", unknown); w.Code != 401 || !strings.Contains(w.Body.String(), `href="/sign-in?return=%2Fconsole"`) {
		t.Errorf("a form of a visitor: %d", w.Code)
	}
	if w := do("GET", fault.ErrStepUp); w.Code != 303 || w.Header().Get("Location") != "/step-up" {
		t.Errorf("%d %s", w.Code, w.Header().Get("Location"))
	}
	if w := do("POST", fault.New(fault.Conflict, "console.palette.nothing", nil)); w.Code != 409 || !strings.Contains(w.Body.String(), "Nothing has that name") {
		t.Errorf("a capability's sentence: %d", w.Code)
	}
}

func TestNavigationShowsWhatTheCallerMayOpen(t *testing.T) {
	c := newConsole(t)
	signedIn(c)
	r := web.WithCaller(httptest.NewRequest("GET", "/console/o/acme/members/usr_1", nil), ines)
	got, _ := render(t, c, r, page(t, "x"), view{Frame: c.Frame(r, "", console.InOrg("member"), console.Titled("A & B"), console.Under("console.landing.console", "/console/o/acme/members"))})
	for _, want := range []string{
		`<a href="/console/o/acme/members" aria-current="page">`, `<a href="/console/o/acme">`, "Acme &lt;Freight&gt;", `href="/console/o/globex"`,
		`action="/sign-out"`, `data-action="sign-out"`, ">IM<", `<li aria-current="page">A &amp; B</li>`, `data-page="member"`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("page lacks %s", want)
		}
	}
	if strings.Contains(got, "/console/o/acme/log") {
		t.Error("what the caller may not open is shown")
	}
	if strings.Index(got, `href="/console/o/acme"`) > strings.Index(got, `href="/console/o/acme/members"`) {
		t.Error("the order is not kept")
	}
}

func TestAPageWithoutItsShellIsShownAllTheSame(t *testing.T) {
	c := newConsole(t)
	signedIn(c)
	c.Shell = func(context.Context, caller.Caller) (console.Shell, error) {
		return console.Shell{}, errors.New("away")
	}
	for _, o := range []console.Option{console.InOrg("p"), console.Account("p"), console.Staff("p"), console.Auth("p")} {
		r := web.WithCaller(httptest.NewRequest("GET", "/account", nil), ines)
		if got, _ := render(t, c, r, page(t, "content"), view{Frame: c.Frame(r, "console.sign-in", o)}); !strings.Contains(got, "content") {
			t.Error("no content")
		}
	}
}

func TestPaletteFindsPagesOfTheAreasByName(t *testing.T) {
	c := newConsole(t)
	signedIn(c)
	c.Find = func(_ context.Context, _ caller.Caller, q string) []console.Link {
		return []console.Link{{Label: "found " + q, Path: "/x"}}
	}
	ask := func(q string) string {
		r := web.WithCaller(httptest.NewRequest("GET", "/console/palette?org=acme&q="+url.QueryEscape(q), nil), ines)
		r.Header.Set("HX-Request", "true")
		return serve(t, c, r, "GET /console/palette").Body.String()
	}
	if got := ask("OPEN the"); !strings.Contains(got, `href="/console/o/acme/members"`) || strings.Contains(got, "/log") || !strings.Contains(got, "found OPEN the") || strings.Contains(got, "<html") {
		t.Errorf("palette %s", got)
	}
	if got := ask("globex"); !strings.Contains(got, `href="/console/o/globex"`) {
		t.Errorf("palette %s", got)
	}
	c.Find = nil
	if got := ask("<zzz>"); !strings.Contains(got, "Nothing has that name") || strings.Contains(got, "<zzz>") {
		t.Errorf("palette %s", got)
	}
}

func TestPreferencesAreKeptAndLeadBackWithinOurOrigin(t *testing.T) {
	c := newConsole(t)
	for _, try := range []struct{ form, location, cookie string }{
		{"lang=nl&return=/sign-in?x=1", "/sign-in?x=1", "lang=nl"},
		{"theme=dark&return=/a", "/a", "theme=dark"},
		{"theme=auto&return=//evil.example", "/", ""},
		{"lang=xx&theme=pink&return=https://evil.example", "/", ""},
	} {
		r := web.WithCaller(httptest.NewRequest("POST", "/prefs", strings.NewReader(strings.ReplaceAll(try.form, "?x", "%3Fx"))), ines)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := serve(t, c, r, "POST /prefs")
		if got := w.Result().Cookies()[0].Value; w.Code != 303 || w.Header().Get("Location") != try.location || got != try.cookie {
			t.Errorf("%s: %d to %s with %q", try.form, w.Code, w.Header().Get("Location"), got)
		}
	}
}

func TestFlashShowsOnlyMessagesOfDoneThings(t *testing.T) {
	c := newConsole(t)
	for _, key := range []string{"console.sign-out", "nothing.done", "%3Cscript%3E.done"} {
		r := web.WithCaller(httptest.NewRequest("GET", "/?done="+key, nil), ines)
		if f := c.Frame(r, "console.sign-in"); f.Done != "" {
			t.Errorf("%s shows %q", key, f.Done)
		}
	}
	r := web.WithCaller(httptest.NewRequest("GET", "/?done=console.copy.done", nil), ines)
	if f := c.Frame(r, "console.sign-in"); f.Done != "Copied" {
		t.Errorf("shows %q", f.Done)
	}
}

func TestAFailedFormShowsItsFaultsBesideTheFields(t *testing.T) {
	c := newConsole(t)
	r := web.WithCaller(httptest.NewRequest("POST", "/x", nil), ines)
	err := fault.New(fault.Invalid, "web.error.invalid", nil).At("/email", "web.field.format")
	f := c.Frame(r, "console.sign-in", console.Auth("identify"), console.Failed(err))
	got, _ := render(t, c, r, page(t, `<form>{{template "field" (args "f" $ "name" "email" "label" "E-mail" "type" "email" "value" "<x>" "required" true)}}{{template "password" (args "f" $ "name" "password" "label" "P" "autocomplete" "current-password")}}</form>`), view{Frame: f})
	for _, want := range []string{`role="alert"`, `aria-invalid="true" aria-describedby="e-email"`, `id="e-email"`, `value="&lt;x&gt;"`, `type="password"`, `autocomplete="current-password"`} {
		if !strings.Contains(got, want) {
			t.Errorf("page lacks %s", want)
		}
	}
	if strings.Index(got, "<form") != strings.Index(got, "<form>") {
		t.Error("the page's own form is not the first one")
	}
}

// TestComponentsRender calls each component once with all its arguments.
func TestComponentsRender(t *testing.T) {
	c := newConsole(t)
	r := web.WithCaller(httptest.NewRequest("GET", "/x", nil), ines)
	for call, want := range map[string]string{
		`{{template "textarea" (args "f" $ "name" "t" "label" "L" "value" "v" "hint" "h")}}`:                                                                      `aria-describedby="h-t"`,
		`{{template "select" (args "f" $ "name" "s" "label" "L" "options" .Choices)}}`:                                                                            `<option value="b" selected>`,
		`{{template "checkbox" (args "f" $ "name" "c" "label" "L" "checked" true)}}`:                                                                              `checked`,
		`{{template "radios" (args "f" $ "name" "r" "label" "L" "options" .Choices)}}`:                                                                            `value="b" checked`,
		`{{template "submit" (args "label" "Go" "action" "continue" "wide" true)}}`:                                                                               `data-action="continue"`,
		`{{template "link" (args "label" "Go" "path" "javascript:alert(1)")}}`:                                                                                    `#ZgotmplZ`,
		`{{template "badge" (args "text" "T" "kind" "ok" "icon" "check")}}`:                                                                                       `badge ok`,
		`{{template "empty" (args "title" "T" "text" "x" "icon" "fort")}}`:                                                                                        `class="plan"`,
		`{{template "pager" (args "f" $ "next" "?cursor=x")}}`:                                                                                                    `rel="next"`,
		`{{template "search" (args "f" $ "path" "/m" "label" "Find" "value" "q")}}`:                                                                               `type="search"`,
		`{{template "tabs" (args "label" "T" "items" .Tabs)}}`:                                                                                                    `aria-current="page"`,
		`{{template "steps" (args "label" "T" "items" .Steps)}}`:                                                                                                  `aria-current="step"`,
		`{{template "progress" (args "label" "P" "value" 1 "max" 2 "text" "half")}}`:                                                                              `<progress value="1" max="2"`,
		`{{template "copy" (args "f" $ "value" "rmp_x" "label" "key" "secret" true)}}`:                                                                            `data-secret`,
		`{{template "kv" (args "items" .Pairs)}}`:                                                                                                                 `<dd class="mono">v</dd>`,
		`{{template "avatar" (args "initials" "IM")}}`:                                                                                                            `IM`,
		`{{template "time" (args "f" $ "at" .Now)}}`:                                                                                                              `datetime="2026-11-22T07:00:00Z"`,
		`{{template "spark" (args "bars" .Bars "label" "B")}}`:                                                                                                    `viewBox="0 0 12 24"`,
		`{{template "history" (args "days" .Days "label" "H")}}`:                                                                                                  `<li class="pass" title="T">`,
		`{{template "confirm" (args "f" $ "path" "/d" "title" "T" "text" "x" "lines" (list "a") "label" "Remove" "typed" "acme" "cancel" "/b" "hidden" .Pairs)}}`: `Type “acme” to confirm`,
	} {
		v := parts{Frame: c.Frame(r, "console.sign-in"), Choices: []console.Choice{{Value: "a"}, {Value: "b", Selected: true}},
			Tabs: []console.Tab{{Label: "x", Path: "/x", Current: true, Count: "3"}}, Steps: []console.Step{{Label: "a", State: "done"}, {Label: "b", State: "now"}},
			Pairs: []console.Pair{{Name: "n", Value: "v", Mono: true}}, Bars: console.Bars([]float64{0, 1, 4}, []string{"a"}, []string{"bad"}), Days: []console.Day{{Verdict: "pass", Title: "T"}}}
		if got, _ := render(t, c, r, page(t, call), v); !strings.Contains(got, want) {
			t.Errorf("%s\nlacks %s", call, want)
		}
	}
}

type parts struct {
	console.Frame
	Choices []console.Choice
	Tabs    []console.Tab
	Steps   []console.Step
	Pairs   []console.Pair
	Bars    []console.Bar
	Days    []console.Day
}

func TestAPIReferenceShowsTheRegistry(t *testing.T) {
	c := newConsole(t)
	c.Routes = []web.Route{web.JSON("GET /api/v1/orgs/{org}/things", "thing.read", func(context.Context, caller.Caller, *struct {
		Org id.Org `path:"org"`
		web.PageQuery
	}) (*web.List[string], error) {
		return nil, nil
	}, web.Summary("List the <things>."))}
	r := web.WithCaller(httptest.NewRequest("GET", "/docs/api", nil), ines)
	got := serve(t, c, r, "GET /docs/api").Body.String()
	for _, want := range []string{"/api/v1/orgs/{org}/things", "List the &lt;things&gt;.", "thing.read", `id="topic-things"`, `id="step_up_required"`, "items a page; 50"} {
		if !strings.Contains(strings.ToLower(got), strings.ToLower(want)) {
			t.Errorf("page lacks %s", want)
		}
	}
	doc := serve(t, c, r, "GET /docs/openapi.json")
	if doc.Header().Get("Content-Type") != "application/json" || !strings.Contains(doc.Body.String(), `"openapi": "3.1.0"`) {
		t.Errorf("document %.100s", doc.Body)
	}
}

func TestLandingLeadsTheVisitorToSignInAndTheMemberToTheConsole(t *testing.T) {
	c := newConsole(t)
	visitor := serve(t, c, web.WithCaller(httptest.NewRequest("GET", "/", nil), caller.Caller{Lang: "nl"}), "GET /{$}").Body.String()
	if !strings.Contains(visitor, `href="/sign-in"`) || strings.Contains(visitor, "sign-out") || !strings.Contains(visitor, `data-page="landing"`) {
		t.Error("the visitor's landing page")
	}
	signedIn(c)
	member := serve(t, c, web.WithCaller(httptest.NewRequest("GET", "/", nil), ines), "GET /{$}").Body.String()
	if !strings.Contains(member, `href="/console"`) || !strings.Contains(member, `data-action="sign-out"`) {
		t.Error("the member's landing page")
	}
}

func TestParseRefusesPagesThatCannotBeShown(t *testing.T) {
	for name, want := range map[string]string{"{{define \"other\"}}{{end}}": "content", "{{define \"content\"}}{{.T}": "page p.html"} {
		if _, err := console.Parse(oneFile(name), "*.html"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", strconv.Quote(name), err)
		}
	}
	if _, err := console.Parse(oneFile("x"), "*.txt"); err == nil {
		t.Error("no page matched and nobody said so")
	}
}
