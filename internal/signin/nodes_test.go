package signin_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/session"
	"github.com/rempart/rempart/internal/store"
)

// A session that is looked up again costs no statement.
func TestACachedSessionCostsNoStatement(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		w.must(w.session.Compare(ctx))
		secret := w.browser().signIn(w.plain).cookies[session.CookieName]
		if _, err := w.session.Find(ctx, secret); err != nil {
			t.Fatal(err)
		}
		before := w.store.Main.Statements()
		for range 100 {
			if _, err := w.session.Find(ctx, secret); err != nil {
				t.Fatal(err)
			}
		}
		if n := w.store.Main.Statements() - before; n != 0 {
			t.Errorf("%d statements", n)
		}
	})
}

// What one node ends, another believes until its next comparison, and never
// for longer than a second.
func TestAnotherNodeFollows(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		if w.store.Main.Engine() == store.SQLite {
			t.Skip("the embedded engine has one node")
		}
		ctx := context.Background()
		other := &session.Service{Store: w.store.Main, Now: w.clock.Now, Log: w.session.Log, Audit: w.log, Keys: w.session.Keys}
		secret := w.browser().signIn(w.plain).cookies[session.CookieName]
		w.must(other.Compare(ctx))
		v, err := other.Find(ctx, secret)
		w.must(err)
		who := v.Caller(caller.Caller{Lang: "en"})
		w.must(w.session.Revoke(ctx, who, v.ID))
		if _, err := w.session.Find(ctx, secret); !errors.Is(err, session.ErrNone) {
			t.Errorf("the node that ended it: %v", err)
		}
		w.must(other.Compare(ctx))
		if _, err := other.Find(ctx, secret); !errors.Is(err, session.ErrNone) {
			t.Errorf("the other node after a comparison: %v", err)
		}
		// A node that can't compare believes nothing after a second.
		secret = w.browser().signIn(w.plain).cookies[session.CookieName]
		v, err = other.Find(ctx, secret)
		w.must(err)
		w.must(w.session.Revoke(ctx, v.Caller(caller.Caller{Lang: "en"}), v.ID))
		w.clock.Advance(time.Second)
		if _, err := other.Find(ctx, secret); !errors.Is(err, session.ErrNone) {
			t.Errorf("the other node after a second: %v", err)
		}
	})
}

// The jobs delete what decides nothing any more, and nothing else.
func TestSweeps(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		w.browser().get("/sign-in").submit("email", "ghost@acme.example").submit("password", "wrong").at("password", 422)
		secret := w.browser().signIn(w.plain).cookies[session.CookieName]
		run := func() {
			for _, m := range []capability.Manifest{w.cred.Manifest(), w.session.Manifest(), w.signin.Manifest()} {
				for _, j := range m.Jobs {
					if err := j.Run(ctx); err != nil {
						t.Errorf("%s: %v", j.Name, err)
					}
				}
			}
		}
		run()
		if _, err := w.session.Find(ctx, secret); err != nil {
			t.Errorf("a live session was swept: %v", err)
		}
		w.clock.Advance(60 * 24 * time.Hour)
		run()
		if n := w.kinds(id.Org{}, 50)[session.EventSwept]; n != 1 {
			t.Errorf("%d entries of the sweep", n)
		}
		run()
		if n := w.kinds(id.Org{}, 50)[session.EventSwept]; n != 1 {
			t.Errorf("%d entries after a sweep of nothing", n)
		}
	})
}

func TestDevicesAreNamed(t *testing.T) {
	for agent, want := range map[string]session.Device{
		"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0":                                                                  {Browser: "Firefox", Version: "128", System: "Linux", Kind: "desktop"},
		"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1": {Browser: "Safari", Version: "17", System: "iOS", Kind: "mobile"},
		"": {Kind: "other"},
	} {
		if got := session.ParseDevice(agent); got != want {
			t.Errorf("%q: got %+v", agent, got)
		}
	}
}

func FuzzDevice(f *testing.F) {
	f.Add("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0")
	f.Add("(((;;;///")
	f.Fuzz(func(t *testing.T, s string) {
		d := session.ParseDevice(s)
		if len(d.Browser) > 40 || len(d.System) > 40 || len(d.Version) > 40 || d.Kind == "" {
			t.Fatalf("%q: %+v", s, d)
		}
	})
}
