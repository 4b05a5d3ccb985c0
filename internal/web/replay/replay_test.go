package replay_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/clock"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/store"
	"github.com/rempart/rempart/internal/store/storetest"
	"github.com/rempart/rempart/internal/web"
	"github.com/rempart/rempart/internal/web/replay"
)

func newReplays(s *store.Store) (*replay.Replays, *clock.Fixed) {
	c := clock.NewFixed(time.Date(2026, 11, 22, 7, 0, 0, 0, time.UTC))
	return &replay.Replays{Store: s.Main, Now: c.Now, Log: slog.New(slog.DiscardHandler), Secret: []byte("0123456789abcdef"),
		Seal: func(_ context.Context, who caller.Caller, label, row string, plain []byte) ([]byte, error) {
			return append([]byte(who.ID()+label+row+"|"), plain...), nil
		},
		Open: func(_ context.Context, who caller.Caller, label, row string, sealed []byte) ([]byte, error) {
			rest, ok := strings.CutPrefix(string(sealed), who.ID()+label+row+"|")
			if !ok {
				return nil, errors.New("sealed for another")
			}
			return []byte(rest), nil
		}}, c
}

var (
	alice = caller.Caller{Kind: caller.User, User: id.NewUser(time.Unix(1, 0)), Org: id.NewOrg(time.Unix(1, 0))}
	bob   = caller.Caller{Kind: caller.User, User: id.NewUser(time.Unix(2, 0)), Org: id.NewOrg(time.Unix(1, 0))}
)

func post(path, key, body string) *http.Request {
	r := httptest.NewRequest("POST", path, strings.NewReader(body))
	if key != "" {
		r.Header.Set(replay.Header, key)
	}
	return r
}

func TestARepeatedRequestIsCarriedOutOnce(t *testing.T) {
	storetest.Each(t, []capability.Manifest{(&replay.Replays{}).Manifest()}, func(t *testing.T, s *store.Store) {
		p, clk := newReplays(s)
		n := 0
		serve := func(w http.ResponseWriter, r *http.Request) error {
			n++
			w.Header().Set("Location", fmt.Sprint("/things/", n))
			return web.WriteJSON(w, 201, map[string]int{"n": n})
		}
		do := func(who caller.Caller, r *http.Request) (*httptest.ResponseRecorder, error) {
			w := httptest.NewRecorder()
			return w, p.Do(w, r, who, serve)
		}
		first, err := do(alice, post("/api/v1/things", "k1", `{"a":1}`))
		if err != nil || first.Code != 201 {
			t.Fatalf("%d %v", first.Code, err)
		}
		again, err := do(alice, post("/api/v1/things", "k1", `{"a":1}`))
		if err != nil || again.Code != 201 || again.Body.String() != first.Body.String() || again.Header().Get("Location") != "/things/1" ||
			again.Header().Get("Content-Type") != "application/json" || again.Header().Get("Idempotent-Replayed") != "true" || n != 1 {
			t.Errorf("repeated: %d %q %v after %d: %v", again.Code, again.Body, again.Header(), n, err)
		}
		if _, err := do(alice, post("/api/v1/things", "k1", `{"a":2}`)); !errors.Is(err, fault.New(fault.Conflict, "web.error.replay-differs", nil)) || n != 1 {
			t.Errorf("another body: %v", err)
		}
		for name, try := range map[string]func() (*httptest.ResponseRecorder, error){
			"another caller": func() (*httptest.ResponseRecorder, error) { return do(bob, post("/api/v1/things", "k1", `{"a":1}`)) },
			"another org": func() (*httptest.ResponseRecorder, error) {
				return do(alice.In(id.NewOrg(time.Unix(9, 0))), post("/api/v1/things", "k1", `{"a":1}`))
			},
			"another path": func() (*httptest.ResponseRecorder, error) { return do(alice, post("/api/v1/others", "k1", `{"a":1}`)) },
			"another key":  func() (*httptest.ResponseRecorder, error) { return do(alice, post("/api/v1/things", "k2", `{"a":1}`)) },
			"no key":       func() (*httptest.ResponseRecorder, error) { return do(alice, post("/api/v1/things", "", `{"a":1}`)) },
			"a visitor": func() (*httptest.ResponseRecorder, error) {
				return do(caller.Caller{}, post("/api/v1/things", "k1", `{"a":1}`))
			},
		} {
			before := n
			if w, err := try(); err != nil || w.Code != 201 || n != before+1 {
				t.Errorf("%s was not carried out: %v", name, err)
			}
		}
		clk.Advance(25 * time.Hour)
		before := n
		if _, err := do(alice, post("/api/v1/things", "k1", `{"a":2}`)); err != nil || n != before+1 {
			t.Errorf("a day later: %v", err)
		}
		clk.Advance(25 * time.Hour)
		if err := p.Sweep(context.Background()); err != nil {
			t.Error(err)
		}
		if _, err := do(alice, post("/api/v1/things", strings.Repeat("k", 200), `{}`)); fault.KindOf(err) != fault.Invalid {
			t.Errorf("a long key: %v", err)
		}
	})
}

func TestOneOfManyParallelRepetitionsIsCarriedOut(t *testing.T) {
	storetest.Each(t, []capability.Manifest{(&replay.Replays{}).Manifest()}, func(t *testing.T, s *store.Store) {
		p, _ := newReplays(s)
		var n, done, refused atomic.Int64
		release := make(chan struct{})
		serve := func(w http.ResponseWriter, r *http.Request) error {
			n.Add(1)
			<-release
			return web.WriteJSON(w, 201, map[string]int{"n": 1})
		}
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				err := p.Do(httptest.NewRecorder(), post("/x", "k", `{}`), alice, serve)
				switch {
				case err == nil:
					done.Add(1)
				case errors.Is(err, fault.New(fault.Conflict, "web.error.replay-running", nil)):
					if refused.Add(1) == 49 {
						close(release)
					}
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n.Load() != 1 || done.Load() != 1 || refused.Load() != 49 {
			t.Errorf("%d carried out, %d answered, %d refused", n.Load(), done.Load(), refused.Load())
		}
	})
}

func TestAFailedRequestMayBeTriedAgain(t *testing.T) {
	p, clk := newReplays(storetest.Open(t, []capability.Manifest{(&replay.Replays{}).Manifest()}))
	fails := func(http.ResponseWriter, *http.Request) error { return fault.ErrDenied }
	panics := func(http.ResponseWriter, *http.Request) error { panic("boom") }
	good := func(w http.ResponseWriter, r *http.Request) error { return web.WriteJSON(w, 200, 1) }
	try := func(key string, serve func(http.ResponseWriter, *http.Request) error) (err error) {
		defer func() {
			if v := recover(); v != nil {
				err = fmt.Errorf("panic: %v", v)
			}
		}()
		return p.Do(httptest.NewRecorder(), post("/x", key, `{}`), alice, serve)
	}
	if err := try("a", fails); !errors.Is(err, fault.ErrDenied) {
		t.Error(err)
	}
	if err := try("a", good); err != nil {
		t.Errorf("after a refusal: %v", err)
	}
	if err := try("b", panics); err == nil || !strings.Contains(err.Error(), "boom") {
		t.Error(err)
	}
	if err := try("b", good); err != nil {
		t.Errorf("after a panic: %v", err)
	}
	// The process dies after the change and before its answer is kept.
	p.Seal = func(context.Context, caller.Caller, string, string, []byte) ([]byte, error) {
		return nil, errors.New("dead")
	}
	if err := try("c", good); err != nil {
		t.Errorf("the change was made, yet: %v", err)
	}
	if err := try("c", good); !errors.Is(err, fault.New(fault.Conflict, "web.error.replay-running", nil)) {
		t.Error(err)
	}
	clk.Advance(2 * time.Minute)
	if err := try("c", good); !errors.Is(err, fault.New(fault.Conflict, "web.error.replay-unknown", nil)) {
		t.Error(err)
	}
}
