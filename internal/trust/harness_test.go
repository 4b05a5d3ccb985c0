package trust_test

import (
	"context"
	"log/slog"
	"net/url"
	"testing"
	"time"

	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/console"
	"github.com/rempart/rempart/internal/i18n"
	"github.com/rempart/rempart/internal/keyring"
	"github.com/rempart/rempart/internal/keyring/keyringtest"
	"github.com/rempart/rempart/internal/store"
	"github.com/rempart/rempart/internal/store/storetest"
	"github.com/rempart/rempart/internal/trust"
	"github.com/rempart/rempart/internal/web"
)

// house is a trust service over real rows and a real log, with a clock that
// stands still.
type house struct {
	*trust.Service
	now time.Time
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
	return []capability.Manifest{keyring.Manifest(), (&audit.Log{}).Manifest(), (&trust.Service{}).Manifest()}
}

func newHouse(t *testing.T, s *store.Store) *house {
	t.Helper()
	h := &house{now: start}
	now := func() time.Time { return h.now }
	keys := keyringtest.New(t, s, now)
	log := &audit.Log{Store: s.Main, Now: now, Host: "trust.example", Node: "test", Version: "test", Process: slog.New(slog.DiscardHandler),
		Ready: keys.Ready}
	s.Main.SetJournal(log)
	if err := log.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.Service = &trust.Service{Store: s.Main, Audit: log, Now: now, Log: slog.New(slog.DiscardHandler), Origin: "trust.example", Version: "v1",
		Probe: func() trust.Probe { return trust.Probe{} }}
	bundle, err := i18n.Load(i18n.Source{Name: "trust", FS: h.Manifest().Messages}, i18n.Source{Name: "console", FS: console.Messages()}, i18n.Source{Name: "web", FS: web.Messages()})
	if err != nil {
		t.Fatal(err)
	}
	bundle.Missing = func(lang, key string) { t.Errorf("no text for %q in %s", key, lang) }
	h.Console = &console.Console{Bundle: bundle, Now: now, Log: slog.New(slog.DiscardHandler), BaseURL: &url.URL{Scheme: "https", Host: "trust.example"}}
	return h
}

// control makes a control whose check answers what fn says.
func control(id string, fn func(ctx context.Context, p trust.Probe) trust.Result) capability.Control {
	return capability.Control{ID: id, Statements: []string{"I1"}, Class: capability.Proven, Population: "trust.population.controls",
		Every: 5 * time.Minute, Window: 20 * time.Minute, Severity: "high", Check: fn}
}

func says(v capability.Verdict, checked, failed int64) func(context.Context, trust.Probe) trust.Result {
	return func(context.Context, trust.Probe) trust.Result {
		return trust.Result{Verdict: v, Checked: checked, Failed: failed, Evidence: map[string]any{"seen": checked}}
	}
}
