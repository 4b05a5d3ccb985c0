package setup_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rempart/rempart/internal/access"
	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/clock"
	"github.com/rempart/rempart/internal/console"
	"github.com/rempart/rempart/internal/credential"
	"github.com/rempart/rempart/internal/directory"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/i18n"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/keyring"
	"github.com/rempart/rempart/internal/keyring/keyringtest"
	"github.com/rempart/rempart/internal/mail"
	"github.com/rempart/rempart/internal/policy"
	"github.com/rempart/rempart/internal/provider"
	"github.com/rempart/rempart/internal/setup"
	"github.com/rempart/rempart/internal/store"
	"github.com/rempart/rempart/internal/store/storetest"
	"github.com/rempart/rempart/internal/web"
)

const issuer = "https://id.example.com"

// place is an installation with everything that the wizard makes things in.
type place struct {
	*setup.Service
	log     *audit.Log
	at      *clock.Fixed
	db      *store.Store
	handler http.Handler

	mu     sync.Mutex
	who    caller.Caller // of the stand-in for the sign-in pages; zero: nobody
	as     id.User       // whom it signs in; zero: the administrator
	claims provider.Person
	plain  []string // letters that were queued
}

func manifests() []capability.Manifest {
	return []capability.Manifest{
		keyring.Manifest(), (&audit.Log{}).Manifest(), (&mail.Outbox{}).Manifest(), (&access.Service{}).Manifest(), (&directory.Service{}).Manifest(),
		(&policy.Service{}).Manifest(), (&credential.Service{}).Manifest(), (&provider.Service{}).Manifest(), (&setup.Service{}).Manifest(),
	}
}

func eachPlace(t *testing.T, fn func(t *testing.T, p *place)) {
	storetest.Each(t, manifests(), func(t *testing.T, db *store.Store) { fn(t, newPlace(t, db)) })
}

func newPlace(t *testing.T, db *store.Store) *place {
	p := &place{at: clock.NewFixed(time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)), db: db}
	now, quiet := p.at.Now, slog.New(slog.DiscardHandler)
	base, err := url.Parse(issuer)
	must(t, err)
	keys := keyringtest.New(t, db, now)
	p.log = &audit.Log{Store: db.Main, Now: now, Ready: keys.Ready, Process: quiet, Host: base.Host, Node: "test", Version: "test"}
	db.Main.SetJournal(p.log)
	must(t, p.log.Open(t.Context()))

	sources := []i18n.Source{{Name: "web", FS: web.Messages()}, {Name: "console", FS: console.Messages()}}
	for _, m := range manifests() {
		if m.Messages != nil {
			sources = append(sources, i18n.Source{Name: m.Name, FS: m.Messages})
		}
	}
	bundle, err := i18n.Load(sources...)
	must(t, err)
	bundle.Missing = func(lang, key string) {
		if !strings.HasPrefix(key, "directory.") { // whose texts stand beside its pages, in another package
			t.Errorf("no text for %s in %s", key, lang)
		}
	}
	con := &console.Console{Bundle: bundle, Now: now, Log: quiet, BaseURL: base}
	catalogue, err := access.NewCatalogue(manifests())
	must(t, err)
	acc := &access.Service{Store: db.Main, Now: now, Catalogue: catalogue, Audit: p.log}
	dir := &directory.Service{Store: db.Main, Keys: keys, Now: now, Access: acc, Audit: p.log, Mail: &mail.Outbox{
		Store: db.Main, Bundle: bundle, Now: now, Log: quiet, BaseURL: base,
		Seal: func(_ any, _, _, _ string, plain []byte) ([]byte, error) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.plain = append(p.plain, string(plain))
			return plain, nil
		}}}
	acc.Facts = dir.Facts()
	cred := &credential.Service{Store: db.Main, Keys: keys, Hasher: credential.NewHasher(0, false), Now: now, Issuer: "Rempart"}
	prov := &provider.Service{Store: db.Main, Keys: keys, Audit: p.log, Console: con, Cursors: web.NewCursors([]byte("a secret of tests")), Log: quiet, Now: now,
		Issuer: issuer, APIURL: issuer + "/api/v1", Facts: p.facts()}
	must(t, prov.Start(t.Context()))
	p.Service = &setup.Service{Store: db.Main, Audit: p.log, Keys: keys, Directory: dir, Credential: cred, Provider: prov, Console: con, Now: now,
		Client: func() *http.Client { return &http.Client{Transport: p} }}
	srv := &web.Server{BaseURL: base, Log: quiet, Now: now, T: bundle.T, RenderError: con.RenderError,
		Routes: slices.Concat(p.Manifest().Routes, prov.Manifest().Routes, con.Manifest().Routes, []web.Route{web.Page("GET /sign-in", capability.Public, p.signIn)}),
		Authenticate: func(_ context.Context, _ *http.Request, who caller.Caller) (caller.Caller, error) {
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.who.Kind == caller.User {
				u := p.who
				u.Source, u.Device, u.Request, u.Lang = who.Source, who.Device, who.Request, who.Lang
				return u, nil
			}
			return who, nil
		},
		Gate: func(_ context.Context, _ *http.Request, who caller.Caller, _ *web.Route) (caller.Caller, error) {
			return who, nil
		},
	}
	p.handler, err = srv.Handler()
	must(t, err)
	return p
}

// facts stand for the packages that provider asks and setup does not.
func (p *place) facts() provider.Facts {
	return provider.Facts{
		Alive:         func(context.Context, caller.Caller, id.Org) error { return nil },
		Enter:         func(context.Context, caller.Caller, id.Org) error { return nil },
		Organizations: func(context.Context, id.User) ([]provider.Organization, error) { return nil, nil },
		Standing: func(context.Context, id.Org, id.User) (provider.Standing, error) {
			return provider.Standing{}, fault.ErrNotFound
		},
		Person: func(context.Context, id.User, id.Org) (provider.Person, error) { return p.claims, nil },
		SignIn: func(w http.ResponseWriter, r *http.Request, ask provider.Ask) error {
			web.Redirect(w, r, "/sign-in?return="+url.QueryEscape(ask.Return))
			return nil
		},
	}
}

// signIn stands for the sign-in pages: it signs the administrator in.
func (p *place) signIn(w http.ResponseWriter, r *http.Request) error {
	pr, err := p.Progress(r.Context())
	if err != nil {
		return err
	}
	now := p.at.Now()
	p.mu.Lock()
	user := p.as
	if user.IsZero() {
		user = pr.User()
	}
	p.who = caller.Caller{Kind: caller.User, User: user, Session: id.NewSession(now), AuthTime: now, FreshAt: now, Cookie: true,
		Methods: []caller.Method{{Name: "pwd", At: now}, {Name: "otp", At: now}}}
	p.mu.Unlock()
	web.Redirect(w, r, r.URL.Query().Get("return"))
	return nil
}

// RoundTrip serves the request in this process, as one over TLS.
func (p *place) RoundTrip(r *http.Request) (*http.Response, error) {
	in := httptest.NewRequestWithContext(r.Context(), r.Method, r.URL.String(), r.Body)
	in.Header = r.Header.Clone()
	in.RemoteAddr = "203.0.113.7:4711"
	rec := httptest.NewRecorder()
	p.handler.ServeHTTP(rec, in)
	res := rec.Result()
	res.Request = r
	return res, nil
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// kinds are the kinds of the installation's entries about set-up, sorted:
// those of one millisecond have no order among themselves.
func (p *place) kinds(t *testing.T) []string {
	t.Helper()
	if _, err := p.log.Sequence(t.Context()); err != nil {
		t.Fatal(err)
	}
	found, err := p.log.Search(t.Context(), id.Org{}, audit.Query{})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range found {
		if strings.HasPrefix(e.Kind, "setup.") {
			out = append(out, strings.TrimSpace(e.Kind+" "+e.Code))
		}
	}
	slices.Sort(out)
	return out
}

func (p *place) begin(t *testing.T) {
	t.Helper()
	if _, err := p.Begin(t.Context(), setup.Real, issuer); err != nil {
		t.Fatal(err)
	}
}

// link makes a link and gives its token.
func (p *place) link(t *testing.T) string {
	t.Helper()
	u, err := p.NewLink(t.Context(), caller.ForLocal("0@host"))
	if err != nil {
		t.Fatal(err)
	}
	token, ok := strings.CutPrefix(u, issuer+"/setup/link/")
	if !ok || len(token) != 43 {
		t.Fatalf("link %q", u)
	}
	return token
}

func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s:\ngot  %q\nwant %q", what, got, want)
	}
}

func code(err error) string {
	if f := fault.Of(err); f != nil {
		return f.Key
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

func TestTheFirstStartStampsForEver(t *testing.T) {
	eachPlace(t, func(t *testing.T, p *place) {
		ctx := t.Context()
		if v, err := p.Find(ctx); err != nil || v.Begun() {
			t.Fatalf("a fresh place: %+v %v", v, err)
		}
		first, err := p.Begin(ctx, setup.Real, issuer)
		if err != nil {
			t.Fatal(err)
		}
		want := setup.State{Stamp: setup.Real, Issuer: issuer, Created: p.at.Now(), RestoreEpoch: 1}
		if first != want {
			t.Errorf("got %+v, want %+v", first, want)
		}
		p.at.Advance(time.Hour)
		again, err := p.Begin(ctx, setup.Real, issuer)
		if err != nil || again != want {
			t.Errorf("the second start: %+v %v", again, err)
		}
		if _, err := p.Begin(ctx, setup.Demo, issuer); !errors.Is(err, setup.ErrReal) {
			t.Errorf("a demo on a real place: %v", err)
		}
		var ie *setup.IssuerError
		if _, err := p.Begin(ctx, setup.Real, "https://other.example.com"); !errors.As(err, &ie) {
			t.Errorf("another issuer: %v", err)
		}
		if v, err := p.Find(ctx); err != nil || v != want {
			t.Errorf("after the refusals: %+v %v", v, err)
		}
		same(t, "entries", p.kinds(t), []string{"setup.installation.begun"})
	})
}

func TestADemoFollowsItsPort(t *testing.T) {
	eachPlace(t, func(t *testing.T, p *place) {
		ctx := t.Context()
		for _, at := range []string{"http://localhost:8080", "http://localhost:9090", "http://localhost:9090"} {
			if v, err := p.Begin(ctx, setup.Demo, at); err != nil || v.Issuer != at || v.RestoreEpoch != 1 {
				t.Fatalf("%s: %+v %v", at, v, err)
			}
		}
		if _, err := p.Begin(ctx, setup.Real, "http://localhost:9090"); !errors.Is(err, setup.ErrDemo) {
			t.Errorf("serve on a demo: %v", err)
		}
		same(t, "entries", p.kinds(t), []string{"setup.installation.begun", "setup.issuer.moved"})
	})
}

func TestOfManyFirstStartsOneStamps(t *testing.T) {
	eachPlace(t, func(t *testing.T, p *place) {
		errs := make([]error, 50)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() {
				kind, at := setup.Real, issuer
				if i%2 == 1 {
					kind, at = setup.Demo, "http://localhost:8080"
				}
				_, errs[i] = p.Begin(context.Background(), kind, at)
			})
		}
		wg.Wait()
		v, err := p.Find(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for i, err := range errs {
			if won := (i%2 == 0) == (v.Stamp == setup.Real); won != (err == nil) || !won && !errors.Is(err, setup.ErrReal) && !errors.Is(err, setup.ErrDemo) {
				t.Errorf("start %d of a place stamped %s: %v", i, v.Stamp, err)
			}
		}
		same(t, "entries", p.kinds(t), []string{"setup.installation.begun"})
	})
}

func TestALinkIsWorthOneBrowserForHalfAnHour(t *testing.T) {
	who := caller.Caller{}
	eachPlace(t, func(t *testing.T, p *place) {
		ctx := t.Context()
		if _, err := p.NewLink(ctx, caller.ForLocal("0@host")); !errors.Is(err, setup.ErrNone) {
			t.Errorf("a link before the first start: %v", err)
		}
		p.begin(t)
		token := p.link(t)
		if err := p.Link(ctx, token); err != nil {
			t.Errorf("looking at the link: %v", err)
		}
		for _, bad := range []string{"", "x", token[:42], token + "A", strings.Repeat("A", 43)} {
			if _, err := p.OpenLink(ctx, who, bad, true); !errors.Is(err, fault.ErrNotFound) {
				t.Errorf("token %q: %v", bad, err)
			}
		}
		if _, err := p.OpenLink(ctx, who, token, false); code(err) != "setup.link.insecure" {
			t.Errorf("in clear: %v", err)
		}
		p.at.Advance(30*time.Minute - time.Microsecond)
		browser, err := p.OpenLink(ctx, who, token, true)
		if err != nil || len(browser) != 43 {
			t.Fatalf("the first browser: %q %v", browser, err)
		}
		if _, err := p.OpenLink(ctx, who, token, true); code(err) != "setup.link.used" {
			t.Errorf("a second browser: %v", err)
		}
		late := p.link(t)
		if err := p.Link(ctx, token); !errors.Is(err, fault.ErrNotFound) {
			t.Errorf("the link that was replaced: %v", err)
		}
		p.at.Advance(30 * time.Minute)
		if _, err := p.OpenLink(ctx, who, late, true); code(err) != "setup.link.expired" {
			t.Errorf("an old link: %v", err)
		}
		same(t, "entries", p.kinds(t), []string{
			"setup.installation.begun", "setup.link.made", "setup.link.made", "setup.link.opened",
			"setup.link.refused setup.link.expired", "setup.link.refused setup.link.insecure", "setup.link.refused setup.link.used",
		})
	})
}

func TestOfFiftyBrowsersOneOpensTheLink(t *testing.T) {
	eachPlace(t, func(t *testing.T, p *place) {
		p.begin(t)
		token := p.link(t)
		browsers, errs := make([]string, 50), make([]error, 50)
		var wg sync.WaitGroup
		for i := range browsers {
			wg.Go(func() {
				browsers[i], errs[i] = p.OpenLink(context.Background(), caller.Caller{}, token, true)
			})
		}
		wg.Wait()
		opened := 0
		for i := range browsers {
			switch {
			case errs[i] == nil:
				opened++
				if err := setup.Admit(p.Service, secureRequest(browsers[i])); err != nil {
					t.Errorf("the browser that won is refused: %v", err)
				}
			case code(errs[i]) != "setup.link.used":
				t.Errorf("browser %d: %v", i, errs[i])
			}
		}
		if opened != 1 {
			t.Errorf("%d browsers opened the link", opened)
		}
	})
}

// secureRequest is one over TLS, from the browser.
func secureRequest(browser string) *http.Request {
	r := httptest.NewRequest("GET", issuer+"/setup", nil)
	if browser != "" {
		r.AddCookie(&http.Cookie{Name: "__Host-rempart_setup", Value: browser})
	}
	return r
}

func TestOnlyTheBrowserThatOpenedTheLinkIsAdmitted(t *testing.T) {
	eachPlace(t, func(t *testing.T, p *place) {
		ctx := t.Context()
		if err := setup.Admit(p.Service, secureRequest("")); !errors.Is(err, fault.ErrNotFound) {
			t.Errorf("before the first start: %v", err)
		}
		p.begin(t)
		browser, err := p.OpenLink(ctx, caller.Caller{}, p.link(t), true)
		if err != nil {
			t.Fatal(err)
		}
		twice := secureRequest(browser)
		twice.AddCookie(&http.Cookie{Name: "__Host-rempart_setup", Value: browser})
		clear := secureRequest(browser)
		clear.TLS = nil
		for _, c := range []struct {
			name string
			r    *http.Request
			want string
		}{
			{"the browser itself", secureRequest(browser), ""},
			{"no cookie", secureRequest(""), "setup.link.needed"},
			{"another cookie", secureRequest(strings.Repeat("A", 43)), "setup.link.needed"},
			{"no token in the cookie", secureRequest("x"), "setup.link.needed"},
			{"two cookies", twice, "setup.link.needed"},
			{"in clear from afar", clear, "setup.link.insecure"},
		} {
			if err := setup.Admit(p.Service, c.r); code(err) != c.want {
				t.Errorf("%s: %v", c.name, err)
			}
		}
		p.at.Advance(12 * time.Hour)
		if err := setup.Admit(p.Service, secureRequest(browser)); code(err) != "setup.link.needed" {
			t.Errorf("after twelve hours: %v", err)
		}
		second, err := p.OpenLink(ctx, caller.Caller{}, p.link(t), true)
		if err != nil {
			t.Fatal(err)
		}
		if err := setup.Admit(p.Service, secureRequest(second)); err != nil {
			t.Errorf("the browser of the new link: %v", err)
		}
		p.link(t)
		if err := setup.Admit(p.Service, secureRequest(second)); code(err) != "setup.link.needed" {
			t.Errorf("a new link did not end the access of the one before: %v", err)
		}
	})
}

// openDefault opens fresh databases on the default engine.
func openDefault(t *testing.T) *store.Store { return storetest.Open(t, manifests()) }
