package face_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	netmail "net/mail"
	"net/url"
	"testing"
	"time"

	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/console"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/i18n"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/keyring"
	"github.com/rempart/rempart/internal/keyring/keyringtest"
	"github.com/rempart/rempart/internal/mail"
	"github.com/rempart/rempart/internal/register"
	"github.com/rempart/rempart/internal/register/face"
	"github.com/rempart/rempart/internal/store"
	"github.com/rempart/rempart/internal/store/storetest"
	"github.com/rempart/rempart/internal/trust"
	"github.com/rempart/rempart/internal/web"
)

// house is the register with its pages behind a real listener, over real rows
// and a real log, with a clock that stands still. Everyone is staff.
type house struct {
	*face.Service
	now   time.Time
	staff caller.Caller
	url   string
	post  mail.Keeper
}

var start = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)

// each runs fn on both engines, one on that of REMPART_TEST_ENGINE: for what
// is about rows, and for what is not.
func each(t *testing.T, fn func(t *testing.T, h *house)) {
	storetest.Each(t, manifests(), func(t *testing.T, s *store.Store) { fn(t, newHouse(t, s)) })
}

func one(t *testing.T, fn func(t *testing.T, h *house)) {
	fn(t, newHouse(t, storetest.Open(t, manifests())))
}

func manifests() []capability.Manifest {
	return []capability.Manifest{keyring.Manifest(), (&audit.Log{}).Manifest(), (&trust.Service{}).Manifest(), (&mail.Outbox{}).Manifest(),
		(&face.Service{Service: &register.Service{}}).Manifest()}
}

func newHouse(t testing.TB, s *store.Store) *house {
	t.Helper()
	h := &house{now: start}
	now := func() time.Time { return h.now }
	quiet := slog.New(slog.DiscardHandler)
	keys := keyringtest.New(t, s, now)
	log := &audit.Log{Store: s.Main, Now: now, Host: "trust.example", Node: "test", Version: "test", Process: quiet, Ready: keys.Ready}
	s.Main.SetJournal(log)
	if err := log.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	con := &console.Console{Now: now, Log: quiet, BaseURL: &url.URL{Scheme: "https", Host: "trust.example"}}
	tr := &trust.Service{Store: s.Main, Audit: log, Now: now, Log: quiet, Origin: "trust.example", Version: "v1", Console: con}
	box := &mail.Outbox{Store: s.Main, Now: now, Log: quiet, Transport: &h.post, From: netmail.Address{Address: "no-reply@trust.example"}, BaseURL: con.BaseURL,
		Seal: func(ring any, owner, label, row string, plain []byte) ([]byte, error) {
			return ring.(*keyring.Ring).Seal(keyring.Installation(), label, row, plain)
		},
		Open: func(ctx context.Context, owner, label, row string, sealed []byte) ([]byte, error) {
			ring, err := keys.Ready(ctx, keyring.Installation())
			if err != nil {
				return nil, err
			}
			return ring.Open(keyring.Installation(), label, row, sealed)
		}}
	reg := &register.Service{Store: s.Main, Audit: log, Trust: tr, Mail: box, Now: now, Log: quiet, BaseURL: con.BaseURL}
	if err := reg.Open(); err != nil {
		t.Fatal(err)
	}
	h.Service = &face.Service{Service: reg, Console: con}
	all := []capability.Manifest{tr.Manifest(), h.Manifest(), con.Manifest(), box.Manifest()}
	sources := []i18n.Source{{Name: "web", FS: web.Messages()}}
	var routes []web.Route
	for _, m := range all {
		sources = append(sources, i18n.Source{Name: m.Name, FS: m.Messages})
		routes = append(routes, m.Routes...)
		con.Navigation = append(con.Navigation, m.Navigation...)
	}
	bundle, err := i18n.Load(sources...)
	if err != nil {
		t.Fatal(err)
	}
	bundle.Missing = func(lang, key string) { t.Errorf("no text for %q in %s", key, lang) }
	con.Bundle, box.Bundle = bundle, bundle
	con.Shell = func(context.Context, caller.Caller) (console.Shell, error) {
		return console.Shell{Person: console.Person{Name: "Ada Staff", Email: "ada@trust.example"}, Staff: true}, nil
	}
	h.staff = caller.Caller{Kind: caller.User, User: id.NewUser(start), Lang: "en"}
	srv := httptest.NewUnstartedServer(nil)
	srv.Start()
	t.Cleanup(srv.Close)
	h.url = srv.URL
	base, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	server := &web.Server{BaseURL: base, Routes: routes, Log: quiet, Now: now, T: bundle.T, RenderError: con.RenderError,
		Authenticate: func(_ context.Context, r *http.Request, who caller.Caller) (caller.Caller, error) {
			if r.Header.Get("Cookie") == "" && r.Header.Get("Authorization") == "" {
				return who, nil
			}
			h.staff.Lang, h.staff.Source, h.staff.Request = who.Lang, who.Source, who.Request
			return h.staff, nil
		},
		Gate: func(_ context.Context, _ *http.Request, who caller.Caller, route *web.Route) (caller.Caller, error) {
			if route.Permission != capability.Public && who.Kind == caller.Visitor {
				return who, fault.New(fault.Unknown, "web.error.unauthenticated", nil)
			}
			return who, nil
		}}
	handler, err := server.Handler()
	if err != nil {
		t.Fatal(err)
	}
	srv.Config.Handler = handler
	tr.Controls = append(tr.Manifest().Controls, h.Manifest().Controls...)
	tr.Probe = func() trust.Probe {
		return trust.Probe{Base: h.url, Client: func() *http.Client { return srv.Client() }}
	}
	return h
}

// with adds a control that answers the verdict for the statements.
func (h *house) with(id string, class capability.EvidenceClass, verdict *capability.Verdict, statements ...string) {
	h.Trust.Controls = append(h.Trust.Controls, capability.Control{ID: id, Statements: statements, Class: class, Population: "register.population.store",
		Every: 5 * time.Minute, Window: 20 * time.Minute, Severity: "high", Mapping: []string{"ISO27001:A.8.5"},
		Check: func(context.Context, trust.Probe) trust.Result {
			if *verdict == capability.Unknown {
				return trust.Result{Err: errors.New("could not try")}
			}
			r := trust.Result{Verdict: *verdict, Checked: 5, Evidence: map[string]any{"tried": 5}}
			if *verdict == capability.Fail {
				r.Failed = 2
			}
			return r
		}})
}

func (h *house) run(t testing.TB, control string) trust.State {
	t.Helper()
	st, err := h.Trust.Run(t.Context(), caller.ForSystem("test"), control)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// entries are the installation's entries of a kind, as JSON, newest first.
func (h *house) entries(t testing.TB, kind string) (out []string) {
	t.Helper()
	records, err := h.Audit.Search(t.Context(), id.Org{}, audit.Query{Kind: kind})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		raw, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(raw))
	}
	return out
}
