// Package scenario is the test harness: the whole product on fresh databases,
// with two organizations, a fixed clock and mail that is kept, reached over HTTP
// like anyone else would.
//
//	w := scenario.New(t)
//	w.Call("GET", "/api/v1/orgs/"+w.Acme.ID.String()+"/members", w.Acme.AdminKey, nil).Want(200)
//
// REMPART_TEST_ENGINE chooses the engine. Nothing outside tests imports it.
package scenario

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rempart/rempart/internal/access"
	"github.com/rempart/rempart/internal/apikey"
	"github.com/rempart/rempart/internal/app"
	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/clock"
	"github.com/rempart/rempart/internal/directory"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/mail"
	"github.com/rempart/rempart/internal/provider"
	"github.com/rempart/rempart/internal/setup"
	"github.com/rempart/rempart/internal/store/storetest"
)

// World is one running product.
type World struct {
	T     testing.TB
	App   *app.App
	Clock *clock.Fixed // nil in a live world
	Mail  *mail.Keeper
	URL   string // base URL

	Acme, Globex Org
	Staff        Person
	StaffKey     string
	Web, Service Client
}

// Org is one of the two organizations.
type Org struct {
	ID                   id.Org
	Slug                 string
	Owner, Admin, Member Person // Member has TOTP
	Plain                Person
	Workspace            id.Workspace
	AdminKey             string
}

// Person is a user with her password.
type Person struct {
	ID         id.User
	Email      string
	Password   string
	TOTPSecret string
}

// Client is an OAuth client.
type Client struct {
	ID       id.Client
	Secret   string
	Redirect string
}

// Start is the instant at which every world's clock stands at first.
var Start = time.Date(2027, 3, 1, 9, 0, 0, 0, time.UTC)

var who = caller.ForSystem("scenario")

// New opens a world; it ends with the test.
func New(t testing.TB) *World {
	t.Helper()
	return Open(t, t.TempDir(), storetest.Default(t))
}

// Live opens a world whose clock runs: for controls, which wait as anyone must.
func Live(t testing.TB) *World {
	t.Helper()
	w := open(t, t.TempDir(), storetest.Default(t), clock.System)
	// Controls wait for the sequencer, which is a job on PostgreSQL.
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if _, err := w.App.Audit.Sequence(ctx); err != nil && ctx.Err() == nil {
					t.Error(err)
				}
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return w
}

// Open opens a world on the data folder and databases given, and seeds it.
func Open(t testing.TB, dir string, c storetest.Configs) *World {
	t.Helper()
	fixed := clock.NewFixed(Start)
	w := open(t, dir, c, fixed.Now)
	w.Clock = fixed
	return w
}

func open(t testing.TB, dir string, c storetest.Configs, now clock.Now) *World {
	t.Helper()
	w := &World{T: t, Mail: &mail.Keeper{}}
	// The handler is known only after the server's address.
	var handler http.Handler
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { handler.ServeHTTP(rw, r) }))
	addr := server.Listener.Addr().String()
	w.URL = "http://localhost:" + addr[strings.LastIndexByte(addr, ':')+1:]
	cfg, err := app.LoadConfig("", nil, map[string]string{"data": dir, "http-base-url": w.URL, "mail-from": "Rempart <no-reply@rempart.example>"})
	if err != nil {
		t.Fatal(err)
	}
	if c.Main.Path == "" {
		cfg.Database = app.DatabaseConfig{URL: c.Main.URL, SystemURL: c.Main.SystemURL, OwnerURL: c.Main.OwnerURL,
			KeysURL: c.Keys.URL, KeysSysURL: c.Keys.SystemURL, KeysOwnerURL: c.Keys.OwnerURL}
	}
	cfg.Database.Pool = c.Main.Pool
	cfg.Contact.Security, cfg.Contact.Expires = "mailto:security@rempart.example", now().Add(200*24*time.Hour)
	a, err := app.Open(context.Background(), app.Options{
		Config: cfg, Kind: setup.Demo, Version: "test", Now: now, Transport: w.Mail, Strict: true,
		Log: slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelError})),
	})
	if err != nil {
		t.Fatal(err)
	}
	w.App, handler = a, a.Handler
	a.LocalAddr = addr
	a.Bundle.Missing = func(lang, key string) { t.Errorf("no text for %s in %s", key, lang) }
	server.Start()
	t.Cleanup(func() {
		server.Close()
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	w.seed()
	return w
}

// testWriter sends the process log to the test's.
type testWriter struct{ t testing.TB }

func (w testWriter) Write(b []byte) (int, error) {
	if os.Getenv("REMPART_TEST_LOG") != "" {
		w.t.Log(strings.TrimSpace(string(b)))
	}
	return len(b), nil
}

func (w *World) must(err error) {
	w.T.Helper()
	if err != nil {
		w.T.Fatal(err)
	}
}

func (w *World) seed() {
	w.T.Helper()
	ctx := context.Background()
	password := app.NewPassword()
	person := func(email, name, lang string, totp bool) Person {
		u, err := w.App.Directory.AddUser(ctx, who, directory.NewUser{Email: email, Verified: true, Profile: directory.Profile{Name: name, Locale: lang}})
		w.must(err)
		hashed, err := w.App.Credential.Prehash(ctx, password) // each with a salt of its own
		w.must(err)
		w.must(w.App.SetPassword(ctx, who, u.ID, hashed))
		p := Person{ID: u.ID, Email: email, Password: password}
		if totp {
			p.TOTPSecret, err = w.App.SetTOTP(ctx, who, u.ID, "Phone")
			w.must(err)
		}
		return p
	}
	org := func(name, slug string) Org {
		at := "@" + slug + ".example"
		o := Org{Slug: slug, Owner: person("owner"+at, "Olivia Owner", "en", false), Admin: person("admin"+at, "Adam Admin", "fr", false),
			Member: person("member"+at, "Mia Member", "nl", true), Plain: person("plain"+at, "Paul Plain", "en", false)}
		made, _, err := w.App.Directory.AddOrg(ctx, who, directory.NewOrg{Name: name, Slug: slug, Owner: o.Owner.ID})
		w.must(err)
		o.ID = made.ID
		for p, role := range map[id.User]string{o.Admin.ID: access.RoleAdmin, o.Member.ID: access.RoleMember, o.Plain.ID: access.RoleMember} {
			_, err := w.App.Directory.AddMember(ctx, who, o.ID, p, []access.Grant{{Role: role}})
			w.must(err)
		}
		ws, err := w.App.Directory.AddWorkspace(ctx, who, o.ID, "First", "first")
		w.must(err)
		o.Workspace = ws.ID
		_, o.AdminKey, err = w.App.APIKeys.Issue(ctx, who, apikey.Key{Org: o.ID, Name: "admin", Permissions: w.App.Access.Catalogue.Of(access.RoleOwner), NoStepUp: true})
		w.must(err)
		return o
	}
	w.Acme, w.Globex = org("Acme", "acme"), org("Globex", "globex")
	w.Staff = person("staff@rempart.example", "Sam Staff", "en", true)
	w.must(w.App.Directory.AddStaff(ctx, who, w.Staff.ID, access.RoleStaffAdmin))
	var staff []string
	for _, p := range w.App.Access.Catalogue.Permissions() {
		if p.Level == capability.LevelStaff {
			staff = append(staff, p.Name)
		}
	}
	var err error
	_, w.StaffKey, err = w.App.APIKeys.Issue(ctx, who, apikey.Key{Name: "staff", Permissions: staff, NoStepUp: true})
	w.must(err)
	client := func(in provider.ClientInput) Client {
		c, secret, err := w.App.Provider.AddClient(ctx, who, in)
		w.must(err)
		out := Client{ID: c.ID, Secret: secret}
		if len(c.RedirectURIs) > 0 {
			out.Redirect = c.RedirectURIs[0]
		}
		return out
	}
	w.Web = client(provider.ClientInput{Name: "web", Type: provider.ClientWeb, FirstParty: true, RedirectURIs: []string{"http://127.0.0.1:9/callback"},
		GrantTypes: []string{"authorization_code", "refresh_token"}, Scopes: []string{"openid", "profile", "email", "offline_access"}})
	w.Service = client(provider.ClientInput{Name: "service", Type: provider.ClientService, FirstParty: true, GrantTypes: []string{"client_credentials"}})
}

// Answer is what a call was answered with.
type Answer struct {
	w      *World
	Status int
	Header http.Header
	Body   []byte
}

// Call sends a request to the API with a bearer token ("" for none); body is
// sent as JSON unless nil.
func (w *World) Call(method, path, token string, body any) *Answer {
	w.T.Helper()
	var r io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		w.must(err)
		r = bytes.NewReader(b)
	}
	req, err := http.NewRequest(method, w.URL+path, r)
	w.must(err)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return w.Do(req)
}

// Do sends any request and follows no redirect.
func (w *World) Do(req *http.Request) *Answer {
	w.T.Helper()
	res, err := w.client(nil).Do(req)
	w.must(err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	w.must(err)
	return &Answer{w, res.StatusCode, res.Header, b}
}

func (w *World) client(jar http.CookieJar) *http.Client {
	return &http.Client{Jar: jar, Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// Want ends the test when the status is another.
func (a *Answer) Want(status int) *Answer {
	a.w.T.Helper()
	if a.Status != status {
		a.w.T.Fatalf("status %d, want %d: %.400s", a.Status, status, a.Body)
	}
	return a
}

// JSON reads the body into v.
func (a *Answer) JSON(v any) *Answer {
	a.w.T.Helper()
	if err := json.Unmarshal(a.Body, v); err != nil {
		a.w.T.Fatalf("%v: %.200s", err, a.Body)
	}
	return a
}

// Entries gives the kinds of an organization's entries (zero: of the
// installation's log), oldest first, as "kind outcome".
func (w *World) Entries(org id.Org) []string {
	w.T.Helper()
	ctx := context.Background()
	_, err := w.App.Audit.Sequence(ctx)
	w.must(err)
	var out []string
	q := audit.Query{Limit: 200}
	for {
		page, err := w.App.Audit.Search(ctx, org, q)
		w.must(err)
		for _, r := range page {
			out = append(out, r.Kind+" "+string(r.Outcome))
		}
		if len(page) < q.Limit {
			break
		}
		q.Before = page[len(page)-1].ID
	}
	slices.Reverse(out)
	return out
}

// Dir is where the embedded databases of a world on the folder are.
func Dir(dir string) string { return filepath.Join(dir, "main.db") }

// Key issues a key of the organization with the permissions of a built-in role.
func (w *World) Key(org id.Org, role string) string {
	w.T.Helper()
	_, secret, err := w.App.APIKeys.Issue(context.Background(), who, apikey.Key{Org: org, Name: role, Permissions: w.App.Access.Catalogue.Of(role), NoStepUp: true})
	w.must(err)
	return secret
}
