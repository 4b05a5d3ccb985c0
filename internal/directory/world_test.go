package directory_test

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/url"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/rempart/rempart/internal/access"
	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/clock"
	"github.com/rempart/rempart/internal/directory"
	"github.com/rempart/rempart/internal/i18n"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/keyring"
	"github.com/rempart/rempart/internal/keyring/keyringtest"
	"github.com/rempart/rempart/internal/mail"
	"github.com/rempart/rempart/internal/policy"
	"github.com/rempart/rempart/internal/store"
	"github.com/rempart/rempart/internal/store/storetest"
)

var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// world is the directory with what it stands on, and two organizations.
type world struct {
	*testing.T
	store  *store.Store
	clock  *clock.Fixed
	keys   *keyring.Service
	access *access.Service
	policy *policy.Service
	dir    *directory.Service
	post   *postbox

	acme, globex org
	log          *audit.Log
}

// org is an organization with a person for each role.
type org struct {
	directory.Org
	owner, admin, member id.User
}

// postbox keeps the letters that were queued.
type postbox struct {
	mu    sync.Mutex
	plain []string
}

func (p *postbox) seal(_ any, _, _, _ string, plain []byte) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.plain = append(p.plain, string(plain))
	return plain, nil
}

var linkRE = regexp.MustCompile(`/invite/([A-Za-z0-9_]+)`)

// token is the secret in the last letter.
func (p *postbox) token(t testing.TB) string {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.plain) == 0 {
		t.Fatal("no letter was queued")
	}
	m := linkRE.FindStringSubmatch(p.plain[len(p.plain)-1])
	if m == nil {
		t.Fatal("the letter holds no link")
	}
	return m[1]
}

func manifests() []capability.Manifest {
	return []capability.Manifest{
		keyring.Manifest(), (&audit.Log{}).Manifest(), (&mail.Outbox{}).Manifest(),
		(&directory.Service{}).Manifest(), (&access.Service{}).Manifest(), (&policy.Service{}).Manifest(),
	}
}

// each runs fn in a fresh world on both engines.
func each(t *testing.T, fn func(t *testing.T, w *world)) {
	t.Helper()
	storetest.Each(t, manifests(), func(t *testing.T, s *store.Store) { fn(t, newWorld(t, s)) })
}

// one runs fn in a fresh world on the default engine.
func one(t *testing.T) *world {
	t.Helper()
	return newWorld(t, storetest.Open(t, manifests()))
}

func newWorld(t *testing.T, s *store.Store) *world {
	t.Helper()
	w := &world{T: t, store: s, clock: clock.NewFixed(start), post: &postbox{}}
	w.keys = keyringtest.New(t, s, w.clock.Now)
	quiet := slog.New(slog.DiscardHandler)
	w.log = &audit.Log{Store: s.Main, Now: w.clock.Now, Ready: w.keys.Ready, Process: quiet, Host: "id.example.com", Node: "one", Version: "test"}
	s.Main.SetJournal(w.log)
	w.must(w.log.Open(t.Context()))
	c, err := access.NewCatalogue(manifests())
	w.must(err)
	b, err := i18n.Load(i18n.Source{Name: "mail", FS: mail.Messages()}, i18n.Source{Name: "directory", FS: (&directory.Service{}).Manifest().Messages})
	w.must(err)
	base, _ := url.Parse("https://id.example.com")
	w.access = &access.Service{Store: s.Main, Now: w.clock.Now, Catalogue: c, Audit: w.log}
	w.dir = &directory.Service{
		Store: s.Main, Keys: w.keys, Now: w.clock.Now, Access: w.access, Audit: w.log,
		Mail: &mail.Outbox{Store: s.Main, Bundle: b, Now: w.clock.Now, Log: quiet, BaseURL: base, Seal: w.post.seal},
	}
	w.access.Facts = w.dir.Facts()
	w.policy = &policy.Service{Store: s.Main, Now: w.clock.Now, Access: w.access, Audit: w.log}
	w.acme, w.globex = w.newOrg("acme"), w.newOrg("globex")
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

var system = caller.ForSystem("test")

func (w *world) user(address string) id.User {
	w.Helper()
	u, err := w.dir.AddUser(w.Context(), system, directory.NewUser{Email: address, Verified: true, Profile: directory.Profile{Name: "Name of " + address}})
	w.must(err)
	return u.ID
}

func (w *world) newOrg(slug string) (o org) {
	w.Helper()
	var err error
	o.Org, o.owner, err = w.dir.AddOrg(w.Context(), system, directory.NewOrg{
		Name: "Org " + slug, Slug: slug,
		Found: &directory.NewUser{Email: "owner@" + slug + ".example", Verified: true, Profile: directory.Profile{Name: "Owner of " + slug}},
	})
	w.must(err)
	o.admin, o.member = w.user("admin@"+slug+".example"), w.user("member@"+slug+".example")
	w.join(o.ID, o.admin, access.RoleAdmin)
	w.join(o.ID, o.member, access.RoleMember)
	return o
}

func (w *world) join(o id.Org, u id.User, role string) {
	w.Helper()
	_, err := w.dir.AddMember(w.Context(), system, o, u, []access.Grant{{Role: role}})
	w.must(err)
}

// as is the user with a fresh session.
func (w *world) as(u id.User) caller.Caller {
	now := w.clock.Now()
	return caller.Caller{Kind: caller.User, User: u, Session: id.NewSession(now), AuthTime: now, FreshAt: now, Request: id.NewRequest(now)}
}

// want checks which error came.
func (w *world) want(what string, err, want error) {
	w.Helper()
	if !errors.Is(err, want) || want == nil && err != nil {
		w.Errorf("%s: got %v, want %v", what, err, want)
	}
}

// race runs n at the same time and counts those that succeed; every other
// error must be one of allowed.
func race(t *testing.T, n int, fn func(i int) error, allowed ...error) int {
	t.Helper()
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for i := range n {
		wg.Go(func() {
			err := fn(i)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won++
				return
			}
			for _, a := range allowed {
				if errors.Is(err, a) {
					return
				}
			}
			t.Errorf("attempt %d: %v", i, err)
		})
	}
	wg.Wait()
	return won
}

func asJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// kinds counts the entries of the organization's log by kind.
func (w *world) kinds(org id.Org) map[string]int {
	w.Helper()
	if w.store.Main.Engine() == store.Postgres {
		_, err := w.log.Sequence(w.Context())
		w.must(err)
	}
	p, err := w.log.Search(w.Context(), org, audit.Query{Limit: 200})
	w.must(err)
	out := map[string]int{}
	for _, e := range p {
		out[e.Kind]++
	}
	return out
}
