package signin_test

import (
	"context"
	"encoding/json"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
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
	"github.com/rempart/rempart/internal/session"
	"github.com/rempart/rempart/internal/signin"
	"github.com/rempart/rempart/internal/store"
	"github.com/rempart/rempart/internal/store/storetest"
	"github.com/rempart/rempart/internal/web"
)

var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

const (
	rightPassword = "correct horse battery staple"
	totpSecret    = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
)

// world is the sign-in with all it stands on, one organization and people.
type world struct {
	testing.TB
	store   *store.Store
	clock   *clock.Fixed
	log     *audit.Log
	access  *access.Service
	policy  *policy.Service
	dir     *directory.Service
	cred    *credential.Service
	session *session.Service
	signin  *signin.Service
	handler http.Handler
	post    *postbox

	acme, globex       id.Org
	plain, totp, multi person
}

type person struct {
	id    id.User
	email string
}

// postbox keeps the letters that were queued.
type postbox struct {
	mu      sync.Mutex
	letters []letter
}

type letter struct {
	To, Subject, Text, Link, Purpose string
}

func (p *postbox) seal(_ any, _, _, _ string, plain []byte) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var l letter
	if err := json.Unmarshal(plain, &l); err != nil {
		return nil, err
	}
	p.letters = append(p.letters, l)
	return plain, nil
}

// last is the newest letter of the purpose.
func (p *postbox) last(t testing.TB, purpose string) letter {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := len(p.letters) - 1; i >= 0; i-- {
		if p.letters[i].Purpose == purpose {
			return p.letters[i]
		}
	}
	t.Fatalf("no letter for %s among %d", purpose, len(p.letters))
	return letter{}
}

func (p *postbox) count(purpose string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, l := range p.letters {
		if l.Purpose == purpose {
			n++
		}
	}
	return n
}

func manifests() []capability.Manifest {
	return []capability.Manifest{
		keyring.Manifest(), (&audit.Log{}).Manifest(), (&mail.Outbox{}).Manifest(),
		(&directory.Service{}).Manifest(), (&access.Service{}).Manifest(), (&policy.Service{}).Manifest(),
		(&credential.Service{}).Manifest(), (&session.Service{}).Manifest(), (&signin.Service{}).Manifest(),
	}
}

func each(t *testing.T, fn func(t *testing.T, w *world)) {
	t.Helper()
	storetest.Each(t, manifests(), func(t *testing.T, s *store.Store) { fn(t, newWorld(t, s)) })
}

// defaultEngine runs fn on one engine only: for what the whole suite, run once
// for each engine, is enough.
func defaultEngine(t *testing.T, fn func(t *testing.T, w *world)) {
	t.Helper()
	fn(t, one(t))
}

func one(t *testing.T) *world {
	t.Helper()
	return newWorld(t, storetest.Open(t, manifests()))
}

func newWorld(t testing.TB, s *store.Store) *world {
	t.Helper()
	w := &world{TB: t, store: s, clock: clock.NewFixed(start), post: &postbox{}}
	ctx := context.Background()
	keys := keyringtest.New(t, s, w.clock.Now)
	quiet := slog.New(slog.DiscardHandler)
	w.log = &audit.Log{Store: s.Main, Now: w.clock.Now, Ready: keys.Ready, Process: quiet, Host: "id.example.com", Node: "one", Version: "test"}
	s.Main.SetJournal(w.log)
	w.must(w.log.Open(ctx))
	c, err := access.NewCatalogue(manifests())
	w.must(err)
	sources := []i18n.Source{{Name: "console", FS: console.Messages()}, {Name: "web", FS: web.Messages()}}
	for _, m := range manifests() {
		if m.Messages != nil {
			sources = append(sources, i18n.Source{Name: m.Name, FS: m.Messages})
		}
	}
	have := map[string]bool{}
	unique := sources[:0]
	for _, src := range sources {
		if !have[src.Name] {
			have[src.Name], unique = true, append(unique, src)
		}
	}
	bundle, err := i18n.Load(unique...)
	w.must(err)
	var missing sync.Map
	bundle.Missing = func(lang, key string) {
		if _, told := missing.LoadOrStore(lang+key, true); !told {
			t.Errorf("no text in %s for %s", lang, key)
		}
	}
	base, _ := url.Parse("https://id.example.com")
	w.access = &access.Service{Store: s.Main, Now: w.clock.Now, Catalogue: c, Audit: w.log}
	outbox := &mail.Outbox{Store: s.Main, Bundle: bundle, Now: w.clock.Now, Log: quiet, BaseURL: base, Seal: w.post.seal}
	w.dir = &directory.Service{Store: s.Main, Keys: keys, Now: w.clock.Now, Access: w.access, Audit: w.log, Mail: outbox}
	w.access.Facts = w.dir.Facts()
	w.policy = &policy.Service{Store: s.Main, Now: w.clock.Now, Access: w.access, Audit: w.log}
	face := &console.Console{Bundle: bundle, Now: w.clock.Now, Log: quiet, BaseURL: base, SignIn: func(r *http.Request) string { return signin.Path(r.URL.RequestURI()) },
		StepUp: func(r *http.Request) string { return signin.DetourPath(id.Org{}, r.URL.RequestURI()) }}
	w.cred = &credential.Service{Store: s.Main, Keys: keys, Hasher: credential.NewHasher(2, false), Now: w.clock.Now, Issuer: "Rempart", SharedHashes: true}
	w.session = &session.Service{Store: s.Main, Now: w.clock.Now, Log: quiet, Audit: w.log, Keys: keys, Console: face}
	w.session.IsMember = func(ctx context.Context, o id.Org, u id.User) (bool, error) {
		_, err := w.dir.FindMembership(ctx, o, u)
		return err == nil, nil
	}
	w.access.Facts.Session = w.session.State
	w.signin = &signin.Service{Store: s.Main, Keys: keys, Audit: w.log, Now: w.clock.Now, Log: quiet, BaseURL: base, Console: face,
		Directory: w.dir, Policy: w.policy, Credential: w.cred, Session: w.session, Mail: outbox}
	routes := append(w.signin.Manifest().Routes, w.session.Manifest().Routes...)
	srv := &web.Server{BaseURL: base, Routes: routes, Log: quiet, Now: w.clock.Now, T: bundle.T, RenderError: face.RenderError,
		Authenticate: func(ctx context.Context, r *http.Request, who caller.Caller) (caller.Caller, error) {
			secret, ok := session.Secret(r)
			if !ok {
				return who, nil
			}
			v, err := w.session.Find(ctx, secret)
			if err == session.ErrNone {
				return who, nil
			}
			if err != nil {
				return who, err
			}
			return v.Caller(who), nil
		},
		Gate: func(ctx context.Context, r *http.Request, who caller.Caller, route *web.Route) (caller.Caller, error) {
			if route.Permission != capability.Public && who.Kind != caller.User {
				return who, access.ErrUnknown
			}
			if o := r.PathValue("org"); o != "" {
				org, err := id.ParseOrg(o)
				if err != nil {
					return who, fault.ErrNotFound
				}
				if err := w.access.Authorize(ctx, who, route.Permission, org, id.Workspace{}); err != nil {
					return who, err
				}
				who.Org = org
			}
			if route.StepUp {
				return who, w.access.Fresh(who)
			}
			return who, nil
		},
	}
	w.handler, err = srv.Handler()
	w.must(err)

	w.acme, w.globex = w.org("acme"), w.org("globex")
	w.plain, w.totp, w.multi = w.person("plain@acme.example"), w.person("totp@acme.example"), w.person("multi@acme.example")
	for _, p := range []person{w.plain, w.totp, w.multi} {
		w.join(w.acme, p.id)
	}
	w.join(w.globex, w.multi.id)
	w.setPasswords(w.plain, w.totp, w.multi)
	w.setTOTP(w.totp, totpSecret)
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

var system = caller.ForSystem("test")

func (w *world) org(slug string) id.Org {
	w.Helper()
	o, _, err := w.dir.AddOrg(context.Background(), system, directory.NewOrg{Name: "Org " + slug, Slug: slug,
		Found: &directory.NewUser{Email: "owner@" + slug + ".example", Verified: true, Profile: directory.Profile{Name: "Owner of " + slug}}})
	w.must(err)
	return o.ID
}

func (w *world) person(email string) person {
	w.Helper()
	u, err := w.dir.AddUser(context.Background(), system, directory.NewUser{Email: email, Verified: true, Profile: directory.Profile{Name: "Jo " + email}})
	w.must(err)
	return person{u.ID, email}
}

func (w *world) join(o id.Org, u id.User) {
	w.Helper()
	_, err := w.dir.AddMember(context.Background(), system, o, u, []access.Grant{{Role: "member"}})
	w.must(err)
}

// The hash of the password that everybody in these tests has is made once.
var (
	sample  sync.Once
	hashed  credential.Prehashed
	hashErr error
)

func (w *world) setPasswords(people ...person) {
	w.Helper()
	ctx := context.Background()
	sample.Do(func() { hashed, hashErr = w.cred.Prehash(ctx, rightPassword) })
	w.must(hashErr)
	for _, p := range people {
		pen, err := w.log.Pen(ctx, system, id.Org{}, p.id)
		w.must(err)
		secret, err := w.cred.SealPrehashed(pen.Ring, p.id, hashed)
		w.must(err)
		w.must(w.store.Main.Update(ctx, store.User(p.id), func(tx *store.Tx) error {
			if err := w.cred.SetPasswordTx(tx, secret); err != nil {
				return err
			}
			return pen.Record(tx, audit.Entry{Kind: credential.EventPasswordSet, Target: audit.Target{Kind: "user", ID: p.id.String()}, Person: p.id})
		}))
	}
}

func (w *world) setTOTP(p person, secret string) {
	w.Helper()
	ctx := context.Background()
	pen, err := w.log.Pen(ctx, system, id.Org{}, p.id)
	w.must(err)
	n, err := w.cred.NewTOTPFor(pen.Ring, p.id, secret, "Phone")
	w.must(err)
	w.must(w.store.Main.Update(ctx, store.User(p.id), func(tx *store.Tx) error {
		if err := w.cred.AddTOTPTx(tx, n); err != nil {
			return err
		}
		return pen.Record(tx, audit.Entry{Kind: credential.EventEnrolled, Target: audit.Target{Kind: "user", ID: p.id.String()}, Person: p.id})
	}))
}

func (w *world) code() string {
	w.Helper()
	c, err := credential.Code(totpSecret, w.clock.Now())
	w.must(err)
	return c
}

// kinds counts the entries of a log by kind.
func (w *world) kinds(org id.Org, n int) map[string]int {
	w.Helper()
	if w.store.Main.Engine() == store.Postgres {
		_, err := w.log.Sequence(context.Background())
		w.must(err)
	}
	es, err := w.log.Search(context.Background(), org, audit.Query{Limit: n})
	w.must(err)
	out := map[string]int{}
	for _, e := range es {
		out[e.Kind]++
	}
	return out
}

// browser drives the pages as a person without script does.
type browser struct {
	*world
	cookies map[string]string
	lang    string
	source  string
	page    page
}

// page is the last answer.
type page struct {
	status int
	path   string
	header http.Header
	body   string
}

func (w *world) browser() *browser {
	return &browser{world: w, cookies: map[string]string{}, lang: "en", source: "198.51.100.7:4711"}
}

func (b *browser) send(method, path string, form url.Values) *browser {
	b.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r := httptest.NewRequest(method, "https://id.example.com"+path, body)
	r.RemoteAddr = b.source
	r.Header.Set("Accept-Language", b.lang)
	r.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0")
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", "https://id.example.com")
	}
	for k, v := range b.cookies {
		r.AddCookie(&http.Cookie{Name: k, Value: v})
	}
	rec := httptest.NewRecorder()
	b.handler.ServeHTTP(rec, r)
	for _, c := range rec.Result().Cookies() {
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
			continue
		}
		if !c.Secure || !c.HttpOnly || c.Path != "/" || c.SameSite != http.SameSiteLaxMode {
			b.Errorf("cookie %s is set with the wrong attributes", c.Name)
		}
		b.cookies[c.Name] = c.Value
	}
	b.page = page{status: rec.Code, path: path, header: rec.Header(), body: rec.Body.String()}
	return b
}

// get asks for a path and follows redirects.
func (b *browser) get(path string) *browser {
	b.Helper()
	return b.send("GET", path, nil).follow()
}

func (b *browser) follow() *browser {
	b.Helper()
	for range 5 {
		if b.page.status != http.StatusSeeOther {
			return b
		}
		to := b.page.header.Get("Location")
		if strings.HasPrefix(to, "/oauth") { // the relying party's side
			b.page.path = to
			return b
		}
		b.send("GET", to, nil)
	}
	return b
}

var (
	formRE  = regexp.MustCompile(`(?s)<form([^>]*)>(.*?)</form>`)
	inputRE = regexp.MustCompile(`(?s)<(?:input|button)([^>]*)>`)
	attrRE  = regexp.MustCompile(`(?s)([a-z-]+)\s*=\s*"([^"]*)"`)
	pageRE  = regexp.MustCompile(`<main[^>]*data-page="([^"]*)"`)
	alertRE = regexp.MustCompile(`(?s)role="alert">.*?<p>(.*?)</p>`)
)

func attrs(s string) map[string]string {
	m := map[string]string{}
	for _, a := range attrRE.FindAllStringSubmatch(s, -1) {
		m[a[1]] = html.UnescapeString(a[2])
	}
	return m
}

// name is main's data-page.
func (p page) name() string {
	if m := pageRE.FindStringSubmatch(p.body); m != nil {
		return m[1]
	}
	return ""
}

// alert is the text of the first alert.
func (p page) alert() string {
	if m := alertRE.FindStringSubmatch(p.body); m != nil {
		return html.UnescapeString(m[1])
	}
	return ""
}

// form gives the first form of the page: where it goes, and its fields.
func (p page) form(t testing.TB) (action string, fields url.Values) {
	t.Helper()
	m := formRE.FindStringSubmatch(p.body)
	if m == nil {
		t.Fatalf("no form at %s (%d):\n%s", p.path, p.status, p.body)
	}
	fields = url.Values{}
	for _, in := range inputRE.FindAllStringSubmatch(m[2], -1) {
		a := attrs(in[1])
		if a["name"] != "" && !fields.Has(a["name"]) {
			fields.Set(a["name"], a["value"])
		}
	}
	return attrs(m[1])["action"], fields
}

// submit fills the first form with pairs of name and value, and sends it.
func (b *browser) submit(pairs ...string) *browser {
	b.Helper()
	return b.post(pairs...).follow()
}

// post is submit without following.
func (b *browser) post(pairs ...string) *browser {
	b.Helper()
	action, fields := b.page.form(b)
	for i := 0; i+1 < len(pairs); i += 2 {
		if !fields.Has(pairs[i]) {
			b.Fatalf("the form at %s has no field %s", b.page.path, pairs[i])
		}
		fields.Set(pairs[i], pairs[i+1])
	}
	return b.send("POST", action, fields)
}

// at checks which page came.
func (b *browser) at(name string, status int) *browser {
	b.Helper()
	if b.page.name() != name || b.page.status != status {
		b.Fatalf("at %s: got page %q with %d (%s), want %q with %d\n", b.page.path, b.page.name(), b.page.status, b.page.alert(), name, status)
	}
	return b
}

// signIn goes all the way with the right password, and the code of the world's
// secret where one is asked for.
func (b *browser) signIn(p person) *browser {
	b.Helper()
	b.get("/sign-in").submit("email", p.email).submit("password", rightPassword)
	if b.page.name() == "totp" {
		b.submit("code", b.code())
	}
	return b.at("account", 200)
}
