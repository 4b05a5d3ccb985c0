package provider_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"crypto/sha256"

	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/clock"
	"github.com/rempart/rempart/internal/console"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/i18n"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/keyring"
	"github.com/rempart/rempart/internal/keyring/keyringtest"
	"github.com/rempart/rempart/internal/provider"
	"github.com/rempart/rempart/internal/store"
	"github.com/rempart/rempart/internal/store/storetest"
	"github.com/rempart/rempart/internal/web"
)

const (
	issuer = "http://localhost:8080"
	apiURL = issuer + "/api/v1"
)

var begin = time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)

// people stands for internal/directory: the rows that grants refer to.
var people = store.NewSet("directory")

var (
	addUser = people.Add("add_user", `INSERT INTO directory_users (id) VALUES ($1)`, store.ForSystem)
	addOrg  = people.Add("add_org", `INSERT INTO directory_orgs (id) VALUES ($1)`, store.ForSystem)
)

func directoryManifest() capability.Manifest {
	sys := capability.ScopeSystem
	return capability.Manifest{
		Name: "directory", Statements: people.All(),
		Tables: []capability.Table{
			{Name: "directory_users", Database: "main", Reach: sys, Unaudited: "stands for another package", Columns: []capability.Column{{Name: "id", Plain: "id"}}},
			{Name: "directory_orgs", Database: "main", Reach: sys, Unaudited: "stands for another package", Columns: []capability.Column{{Name: "id", Plain: "id"}}},
		},
		Migrations: fstest.MapFS{"202611220101_directory_create_tables.sql": {Data: []byte("-- +goose Up\n" +
			"CREATE TABLE directory_users (id {{TEXT}} NOT NULL PRIMARY KEY) {{STRICT}};\nCREATE TABLE directory_orgs (id {{TEXT}} NOT NULL PRIMARY KEY) {{STRICT}};\n")}},
	}
}

// world is a provider with everything around it that it asks: a web server, a
// log, a keyring, two people and two organizations.
type world struct {
	t       testing.TB
	now     *clock.Fixed
	s       *provider.Service
	store   *store.Store
	log     *audit.Log
	handler http.Handler
	who     caller.Caller // staff

	alice, bob    id.User // alice is in acme; bob in acme and globex
	acme, globex  provider.Organization
	web, spa, svc *provider.Client
	secret        map[id.Client]string
	mu            sync.Mutex
	sessions      map[string]caller.Caller // by cookie
	dead          map[string]error         // by id of user, organization or session
	barred        error                    // what Enter answers
	asked         []provider.Ask
	orgs          map[id.User][]provider.Organization
	signedOut     int
}

func manifests(s *provider.Service, l *audit.Log) []capability.Manifest {
	return []capability.Manifest{directoryManifest(), keyring.Manifest(), l.Manifest(), s.Manifest()}
}

// each runs fn in a fresh world on both engines.
func each(t *testing.T, fn func(t *testing.T, w *world)) {
	t.Helper()
	storetest.Each(t, manifests(&provider.Service{Issuer: issuer}, &audit.Log{}), func(t *testing.T, s *store.Store) { fn(t, newWorldIn(t, s)) })
}

// newWorld is a fresh world on the default engine.
func newWorld(t testing.TB) *world {
	return newWorldIn(t, storetest.Open(t, manifests(&provider.Service{Issuer: issuer}, &audit.Log{})))
}

func newWorldIn(t testing.TB, st *store.Store) *world {
	t.Helper()
	ctx := t.Context()
	w := &world{t: t, now: clock.NewFixed(begin), store: st, secret: map[id.Client]string{}, sessions: map[string]caller.Caller{}, dead: map[string]error{}}
	keys := keyringtest.New(t, st, w.now.Now)
	w.log = &audit.Log{Store: st.Main, Now: w.now.Now, Ready: keys.Ready, Process: slog.New(slog.DiscardHandler), Host: "localhost", Node: "test", Version: "test"}
	st.Main.SetJournal(w.log)
	if err := w.log.Open(ctx); err != nil {
		t.Fatal(err)
	}
	bundle, err := i18n.Load(i18n.Source{Name: "web", FS: web.Messages()}, i18n.Source{Name: "console", FS: console.Messages()}, i18n.Source{Name: "provider", FS: (&provider.Service{}).Manifest().Messages})
	if err != nil {
		t.Fatal(err)
	}
	bundle.Missing = func(lang, key string) {
		if strings.HasPrefix(key, "provider.") {
			t.Errorf("no text for %s in %s", key, lang)
		}
	}
	base, _ := url.Parse(issuer)
	process := slog.New(slog.DiscardHandler)
	con := &console.Console{Bundle: bundle, Now: w.now.Now, Log: process, BaseURL: base}
	w.s = &provider.Service{
		Store: st.Main, Keys: keys, Audit: w.log, Console: con, Cursors: web.NewCursors([]byte("a secret of tests")), Log: process, Now: w.now.Now,
		Issuer: issuer, APIURL: apiURL, Facts: w.facts(),
	}
	w.alice, w.bob = id.NewUser(begin), id.NewUser(begin)
	w.acme = provider.Organization{ID: id.NewOrg(begin), Slug: "acme", Name: "Acme"}
	w.globex = provider.Organization{ID: id.NewOrg(begin), Slug: "globex", Name: "Globex"}
	w.orgs = map[id.User][]provider.Organization{w.alice: {w.acme}, w.bob: {w.acme, w.globex}}
	err = st.Main.Maintain(ctx, store.System("test"), func(tx *store.Tx) error {
		for _, u := range []id.User{w.alice, w.bob} {
			if _, err := tx.Exec(addUser, u); err != nil {
				return err
			}
		}
		for _, o := range []id.Org{w.acme.ID, w.globex.ID} {
			if _, err := tx.Exec(addOrg, o); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.s.Start(ctx); err != nil {
		t.Fatal(err)
	}
	w.who = caller.ForLocal("0@test")
	srv := &web.Server{
		BaseURL: base, Routes: w.s.Manifest().Routes, Log: process, Now: w.now.Now, T: bundle.T, RenderError: con.RenderError,
		Authenticate: func(_ context.Context, r *http.Request, who caller.Caller) (caller.Caller, error) {
			c, err := r.Cookie("session")
			if err != nil {
				return who, nil
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			ses, ok := w.sessions[c.Value]
			if !ok {
				return who, fault.New(fault.Unknown, "web.error.unauthenticated", nil)
			}
			ses.Source, ses.Device, ses.Request, ses.Lang = who.Source, who.Device, who.Request, who.Lang
			return ses, nil
		},
		Gate: func(_ context.Context, _ *http.Request, who caller.Caller, route *web.Route) (caller.Caller, error) {
			if route.Permission != capability.Public && who.Kind == caller.Visitor {
				return who, fault.New(fault.Unknown, "web.error.unauthenticated", nil)
			}
			return who, nil
		},
	}
	if w.handler, err = srv.Handler(); err != nil {
		t.Fatal(err)
	}
	scopes := []string{"openid", "profile", "email", "offline_access"}
	w.web = w.addClient(provider.ClientInput{Name: "Web", Type: provider.ClientWeb, FirstParty: true, RedirectURIs: []string{"https://app.example/cb"}, PostLogoutRedirectURIs: []string{"https://app.example/bye"},
		GrantTypes: []string{"authorization_code", "refresh_token", "client_credentials"}, Scopes: scopes})
	w.spa = w.addClient(provider.ClientInput{Name: "SPA", Type: provider.ClientSPA, FirstParty: true, RedirectURIs: []string{"https://spa.example/"}, Scopes: scopes})
	w.svc = w.addClient(provider.ClientInput{Name: "Service", Type: provider.ClientService, FirstParty: true, Scopes: []string{"notes.read", "notes.write"}})
	return w
}

func (w *world) addClient(in provider.ClientInput) *provider.Client {
	w.t.Helper()
	c, secret, err := w.s.AddClient(w.t.Context(), w.who, in)
	if err != nil {
		w.t.Fatal(err)
	}
	w.secret[c.ID] = secret
	return c
}

func (w *world) facts() provider.Facts {
	return provider.Facts{
		Alive: func(_ context.Context, who caller.Caller, org id.Org) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			for _, name := range []string{who.User.String(), org.String(), who.Session.String()} {
				if err := w.dead[name]; name != "" && err != nil {
					return err
				}
			}
			if who.Kind == caller.User && !org.IsZero() && !slices.ContainsFunc(w.orgs[who.User], func(o provider.Organization) bool { return o.ID == org }) {
				return fault.ErrDenied
			}
			return nil
		},
		Enter: func(context.Context, caller.Caller, id.Org) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.barred
		},
		Organizations: func(_ context.Context, u id.User) ([]provider.Organization, error) { return w.orgs[u], nil },
		Standing: func(_ context.Context, org id.Org, u id.User) (provider.Standing, error) {
			i := slices.IndexFunc(w.orgs[u], func(o provider.Organization) bool { return o.ID == org })
			if i < 0 {
				return provider.Standing{}, fault.ErrNotFound
			}
			return provider.Standing{Organization: w.orgs[u][i], Roles: []string{"member"}, Permissions: []string{"notes.read"}}, nil
		},
		Person: func(_ context.Context, u id.User, _ id.Org) (provider.Person, error) {
			return provider.Person{Name: "Alice Martin", Email: "alice@acme.example", EmailVerified: true, Locale: "fr"}, nil
		},
		SignIn: func(rw http.ResponseWriter, r *http.Request, ask provider.Ask) error {
			w.mu.Lock()
			w.asked = append(w.asked, ask)
			w.mu.Unlock()
			web.Redirect(rw, r, "/sign-in?return="+url.QueryEscape(ask.Return))
			return nil
		},
		SignOut: func(rw http.ResponseWriter, r *http.Request, who caller.Caller) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.signedOut++
			w.dead[who.Session.String()] = fault.ErrDenied
			for k, v := range w.sessions {
				if v.Session == who.Session {
					delete(w.sessions, k)
				}
			}
			return nil
		},
	}
}

// signIn gives the user a session and its cookie.
func (w *world) signIn(u id.User, methods ...string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if methods == nil {
		methods = []string{"pwd"}
	}
	now := w.now.Now()
	who := caller.Caller{Kind: caller.User, User: u, Session: id.NewSession(now), AuthTime: now, FreshAt: now, Cookie: true}
	for _, m := range methods {
		who.Methods = append(who.Methods, caller.Method{Name: m, At: now})
	}
	w.sessions[who.Session.String()] = who
	return who.Session.String()
}

func (w *world) kill(name string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dead[name] = err
}

type reply struct {
	*httptest.ResponseRecorder
	t testing.TB
}

// json reads the body.
func (r reply) json() map[string]any {
	r.t.Helper()
	out := map[string]any{}
	if err := json.Unmarshal(r.Body.Bytes(), &out); err != nil {
		r.t.Fatalf("%d %q: %v", r.Code, r.Body.String(), err)
	}
	return out
}

// at reads the query of the redirect.
func (r reply) at() url.Values {
	r.t.Helper()
	u, err := url.Parse(r.Header().Get("Location"))
	if err != nil || r.Code != http.StatusSeeOther {
		r.t.Fatalf("%d, Location %q: no redirect\n%s", r.Code, r.Header().Get("Location"), r.Body.String())
	}
	return u.Query()
}

func (w *world) do(r *http.Request, session string) reply {
	w.t.Helper()
	r.Host = "localhost:8080"
	r.RemoteAddr = netip.AddrPortFrom(netip.MustParseAddr("192.0.2.7"), 4711).String()
	if session != "" {
		r.AddCookie(&http.Cookie{Name: "session", Value: session})
	}
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, r.WithContext(w.t.Context()))
	return reply{rec, w.t}
}

func (w *world) get(path, session string) reply {
	w.t.Helper()
	return w.do(httptest.NewRequest("GET", path, nil), session)
}

func (w *world) post(path string, form url.Values, session string, header ...string) reply {
	w.t.Helper()
	r := httptest.NewRequest("POST", path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return w.do(r, session)
}

const verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"

func challengeOf(v string) string {
	sum := sha256.Sum256([]byte(v))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// query is a good authorization request of the client, changed by pairs; an
// empty value takes the parameter out.
func (w *world) query(c *provider.Client, pairs ...string) url.Values {
	q := url.Values{"response_type": {"code"}, "client_id": {c.ID.String()}, "redirect_uri": {c.RedirectURIs[0]}, "scope": {"openid profile email"},
		"state": {"a state"}, "nonce": {"a nonce"}, "code_challenge": {challengeOf(verifier)}, "code_challenge_method": {"S256"}}
	for i := 0; i+1 < len(pairs); i += 2 {
		if q.Set(pairs[i], pairs[i+1]); pairs[i+1] == "" {
			q.Del(pairs[i])
		}
	}
	return q
}

func (w *world) authorize(c *provider.Client, session string, pairs ...string) reply {
	w.t.Helper()
	return w.get("/oauth/authorize?"+w.query(c, pairs...).Encode(), session)
}

// code runs the authorization request to its code.
func (w *world) code(c *provider.Client, session string, pairs ...string) string {
	w.t.Helper()
	r := w.authorize(c, session, pairs...)
	code := r.at().Get("code")
	if code == "" {
		w.t.Fatalf("no code: %s", r.Header().Get("Location"))
	}
	return code
}

// redeem asks the token endpoint, authenticated as the client can.
func (w *world) redeem(c *provider.Client, pairs ...string) reply {
	w.t.Helper()
	form := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return w.as(c, "/oauth/token", form)
}

func (w *world) as(c *provider.Client, path string, form url.Values) reply {
	w.t.Helper()
	if secret := w.secret[c.ID]; secret != "" {
		return w.post(path, form, "", "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(c.ID.String()+":"+secret)))
	}
	form.Set("client_id", c.ID.String())
	return w.post(path, form, "")
}

func (w *world) exchange(c *provider.Client, code string) reply {
	w.t.Helper()
	return w.redeem(c, "grant_type", "authorization_code", "code", code, "redirect_uri", c.RedirectURIs[0], "code_verifier", verifier)
}

// tokens signs the user in and gives the client's tokens.
func (w *world) tokens(c *provider.Client, session string, pairs ...string) map[string]any {
	w.t.Helper()
	r := w.exchange(c, w.code(c, session, pairs...))
	if r.Code != 200 {
		w.t.Fatalf("%d %s", r.Code, r.Body.String())
	}
	return r.json()
}

func (w *world) refresh(c *provider.Client, token any) reply {
	w.t.Helper()
	return w.redeem(c, "grant_type", "refresh_token", "refresh_token", token.(string))
}

// active asks for the state of the token.
func (w *world) active(c *provider.Client, token any) bool {
	w.t.Helper()
	r := w.as(c, "/oauth/introspect", url.Values{"token": {token.(string)}})
	if r.Code != 200 {
		w.t.Fatalf("introspect: %d %s", r.Code, r.Body.String())
	}
	return r.json()["active"] == true
}

func wantError(t testing.TB, r reply, status int, code string) {
	t.Helper()
	if r.Code != status || r.json()["error"] != code {
		t.Errorf("got %d %s; want %d %s", r.Code, r.Body.String(), status, code)
	}
	if r.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("Cache-Control %q", r.Header().Get("Cache-Control"))
	}
}
