package reading_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/audit/reading"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/console"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/i18n"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/keyring"
	"github.com/rempart/rempart/internal/keyring/keyringtest"
	"github.com/rempart/rempart/internal/store"
	"github.com/rempart/rempart/internal/store/storetest"
	"github.com/rempart/rempart/internal/web"
	"github.com/rempart/rempart/verify"
)

// lines is a process log in memory.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) Bytes() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.b.Bytes())
}

// house is the log behind its API, with a gate that knows three tokens.
type house struct {
	t     *testing.T
	store *store.Store
	log   *audit.Log
	s     *reading.Service
	srv   *httptest.Server
	a, b  id.Org
	user  id.User
	out   lines // the process log

	device atomic.Value // User-Agent of the last request
	open   atomic.Bool  // the gate lets everyone in
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, log: &audit.Log{Host: "id.example.com", Node: "one", Version: "test"}}
	h.s = &reading.Service{Log: h.log, Cursors: web.NewCursors([]byte("a secret of the tests"))}
	m := h.s.Manifest()
	all := []capability.Manifest{keyring.Manifest(), m}
	h.store = storetest.Open(t, all)
	now := func() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
	h.log.Store, h.log.Now, h.log.Ready = h.store.Main, now, keyringtest.New(t, h.store, now).Ready
	h.store.Main.SetJournal(h.log)
	h.must(h.log.Open(context.Background()))
	h.a, h.b, h.user = id.NewOrg(now()), id.NewOrg(now()), id.NewUser(now())

	bundle, err := i18n.Load(i18n.Source{Name: "web", FS: web.Messages()}, i18n.Source{Name: "console", FS: console.Messages()}, i18n.Source{Name: "audit", FS: m.Messages})
	h.must(err)
	h.srv = httptest.NewUnstartedServer(nil)
	base := &url.URL{Scheme: "http", Host: h.srv.Listener.Addr().String()}
	logger := slog.New(slog.NewTextHandler(&h.out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	cons := &console.Console{Bundle: bundle, Now: now, Log: logger, BaseURL: base, Navigation: m.Navigation}
	cons.Shell = func(_ context.Context, who caller.Caller) (console.Shell, error) {
		return console.Shell{Org: &console.Org{ID: who.Org.String(), Slug: "acme", Name: "Acme"}}, nil
	}
	h.s.Console, h.s.Bundle, h.s.Events = cons, bundle, m.Events
	h.s.ProcessLog = h.out.Bytes
	server := &web.Server{BaseURL: base, Routes: m.Routes, Log: logger, Now: now, T: bundle.T, RenderError: cons.RenderError,
		Authenticate: func(_ context.Context, r *http.Request, who caller.Caller) (caller.Caller, error) {
			h.device.Store(r.UserAgent())
			switch r.Header.Get("Authorization") {
			case "":
				return who, nil
			case "Bearer a", "Bearer b", "Bearer staff":
				who.Kind, who.User, who.Name = caller.User, h.user, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
				return who, nil
			}
			return who, fault.New(fault.Unknown, "web.error.unauthenticated", nil)
		},
		Gate: func(_ context.Context, r *http.Request, who caller.Caller, route *web.Route) (caller.Caller, error) {
			if route.Permission == capability.Public {
				return who, nil
			}
			if who.Kind == caller.Visitor {
				return who, fault.New(fault.Unknown, "web.error.unauthenticated", nil)
			}
			if h.open.Load() {
				return who.In(h.a), nil
			}
			staff := strings.Contains(route.Pattern, "/installation/") || strings.Contains(route.Pattern, "/staff/")
			own := map[string]id.Org{"a": h.a, "b": h.b}[who.Name]
			if asked := r.PathValue("org"); staff != (who.Name == "staff") || asked != "" && asked != own.String() {
				return who, fault.ErrNotFound
			}
			return who.In(own), nil
		}}
	handler, err := server.Handler()
	h.must(err)
	h.srv.Config.Handler = handler
	h.srv.Start()
	t.Cleanup(h.srv.Close)
	return h
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) write(org id.Org, n int) {
	h.t.Helper()
	who := caller.Caller{Kind: caller.User, User: h.user, Source: netip.MustParseAddr("198.51.100.7"), Request: id.NewRequest(h.log.Now())}
	for i := range n {
		h.must(h.log.Observe(context.Background(), who, org, audit.Entry{Kind: "audit.canary.written", Target: audit.Target{Kind: "item", ID: fmt.Sprint(i)},
			Changes: []audit.Change{{Field: "name", Before: "=1+1", After: "<b>bold</b>"}}}))
	}
	h.settle()
}

func (h *house) settle() {
	h.t.Helper()
	_, err := h.log.Sequence(context.Background())
	h.must(err)
	_, err = h.log.Checkpoint(context.Background())
	h.must(err)
}

func (h *house) get(token, path string) (int, http.Header, []byte) {
	h.t.Helper()
	req, err := http.NewRequest("GET", h.srv.URL+path, nil)
	h.must(err)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := h.srv.Client().Do(req)
	h.must(err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	h.must(err)
	return res.StatusCode, res.Header, b
}

func (h *house) path(suffix string) string { return "/api/v1/orgs/" + h.a.String() + "/log" + suffix }

type list struct {
	Items []audit.Record
	Next  string `json:"next_cursor"`
}

func (h *house) list(token, path string) list {
	h.t.Helper()
	status, _, b := h.get(token, path)
	var out list
	if err := json.Unmarshal(b, &out); err != nil || status != 200 {
		h.t.Fatalf("%d %s", status, b)
	}
	return out
}

func TestTheLogIsReadInPagesThatNoOtherCanReadOn(t *testing.T) {
	h := newHouse(t)
	h.write(h.a, 7)
	h.write(h.b, 3)
	first := h.list("a", h.path("?limit=3"))
	if len(first.Items) != 3 || first.Next == "" || first.Items[0].Target.ID != "6" || first.Items[0].Text != "Test entry of a control" {
		t.Fatalf("%+v", first)
	}
	second := h.list("a", h.path("?limit=3&cursor="+first.Next))
	third := h.list("a", h.path("?limit=3&cursor="+second.Next))
	if len(second.Items) != 3 || second.Items[0].Target.ID != "3" || len(third.Items) != 1 || third.Next != "" {
		t.Fatalf("%+v %+v", second, third)
	}
	forged := []byte(first.Next)
	forged[5] ^= 1
	for name, path := range map[string]string{
		"a changed cursor":            h.path("?cursor=" + string(forged)),
		"a cursor of another filter":  h.path("?outcome=success&cursor=" + first.Next),
		"an unknown filter":           h.path("?colour=red"),
		"an outcome that is none":     h.path("?outcome=maybe"),
		"a cursor of something else":  h.path("?cursor=AAAA"),
		"an instant that is no time":  h.path("?from=yesterday"),
		"a size beyond the largest":   h.path("?limit=100000"),
		"an export of unknown format": h.path("/export?format=csv"),
		"a consistency from nowhere":  h.path("/consistency"),
	} {
		if status, _, b := h.get("a", path); status != 400 {
			t.Errorf("%s: %d %s", name, status, b)
		}
	}
	if status, _, _ := h.get("b", "/api/v1/orgs/"+h.b.String()+"/log?cursor="+first.Next); status != 400 {
		t.Errorf("another organization read on with the cursor: %d", status)
	}
	if status, _, _ := h.get("b", h.path("/"+first.Items[0].ID.String())); status != 404 {
		t.Errorf("another organization read an entry: %d", status)
	}
	if status, _, _ := h.get("b", "/api/v1/orgs/"+h.b.String()+"/log/"+first.Items[0].ID.String()); status != 404 {
		t.Errorf("an entry was found in another log: %d", status)
	}
}

func TestEachFilterNarrowsTheSearch(t *testing.T) {
	h := newHouse(t)
	h.write(h.a, 2)
	other := caller.Caller{Kind: caller.Key, Key: id.NewKey(h.log.Now()), Source: netip.MustParseAddr("192.0.2.9")}
	h.must(h.log.Refuse(context.Background(), other, h.a, audit.Entry{Kind: "policy.rule.changed", Target: audit.Target{Kind: "user", ID: h.user.String()}}))
	all := h.list("a", h.path(""))
	at := all.Items[1].Time
	for query, want := range map[string]int{
		"":                                     3,
		"?actor=" + h.user.String():            2,
		"?actor=key:" + other.Key.String():     1,
		"?target=" + h.user.String():           1,
		"?target=item:1":                       1,
		"?kind=policy.rule.changed":            1,
		"?kind=policy.":                        1,
		"?kind=policy":                         0,
		"?kind=audit.":                         2,
		"?outcome=denied":                      1,
		"?outcome=success":                     2,
		"?outcome=failure":                     0,
		"?actor=" + id.NewUser(at).String():    0,
		"?until=2001-01-01T00:00:00Z":          0,
		"?from=2001-01-01T00:00:00Z":           3,
		"?from=2999-01-01T00:00:00Z":           0,
		"?kind=audit.&outcome=denied":          0,
		"?kind=policy.&outcome=denied&limit=1": 1,
	} {
		if got := h.list("a", h.path(query)); len(got.Items) != want {
			t.Errorf("%q found %d, want %d", query, len(got.Items), want)
		}
	}
}

func TestFilesAreAcceptedByTheOfflineVerifier(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	h.write(h.a, 5)
	h.must(h.log.Epoch(ctx))
	h.settle()
	h.write(h.a, 2)
	keys, err := h.log.VerifierKeys(ctx, h.a)
	h.must(err)
	e := h.list("a", h.path("?limit=1")).Items[0]
	for name, c := range map[string]struct {
		path string
		keys []string
	}{
		"proof":        {h.path("/" + e.ID.String() + "/proof"), keys},
		"sealed proof": {h.path("/" + e.ID.String() + "/proof?sealed=true"), keys},
		"export":       {h.path("/export"), keys},
		"consistency":  {h.path("/consistency?from=5"), keys},
		"checkpoint":   {h.path("/checkpoint"), keys},
	} {
		status, _, b := h.get("a", c.path)
		rep, err := verify.File(bytes.NewReader(b), verify.Options{VerifierKeys: c.keys, MinWitnesses: 1})
		if status != 200 || err != nil || !rep.OK {
			t.Errorf("%s: %d %v %v %.300s", name, status, err, rep.Problems, b)
		}
		if strings.HasPrefix(name, "sealed") && bytes.Contains(b, []byte(h.user.String())) {
			t.Errorf("%s holds content", name)
		}
	}
	status, _, b := h.get("a", h.path("/epoch"))
	rep, err := verify.File(bytes.NewReader(b), verify.Options{})
	if status != 200 || err != nil || !rep.OK || rep.Epoch.Size != 5 {
		t.Errorf("epoch: %d %v %+v", status, err, rep)
	}
	for _, path := range []string{"/.well-known/rempart/checkpoint", "/log/platform/checkpoint"} {
		if status, _, b := h.get("", path); status != 200 || !strings.HasPrefix(string(b), "id.example.com/log/platform\n") {
			t.Errorf("%s: %d %s", path, status, b)
		}
	}
	if status, _, b := h.get("", "/log/platform/tile/0/000.p/1"); status != 200 || len(b) != 32 {
		t.Errorf("tile: %d, %d bytes", status, len(b))
	}
	for _, path := range []string{"/log/platform/tile/0/000.p/2", "/log/platform/tile/0/001.p/1", "/log/platform/tile/x"} {
		if status, _, _ := h.get("", path); status != 404 {
			t.Errorf("%s: %d", path, status)
		}
	}
}

func TestOCSFEventsHoldWhatTheSchemaRequires(t *testing.T) {
	h := newHouse(t)
	who := caller.Caller{Kind: caller.User, User: h.user, Session: id.NewSession(h.log.Now()), Source: netip.MustParseAddr("198.51.100.7"), Device: "Firefox"}
	for _, k := range []string{"signin.password.failed", "credential.password.changed", "policy.rule.changed", "provider.token.created", "directory.member.removed"} {
		h.must(h.log.Observe(context.Background(), who, h.a, audit.Entry{Kind: k, Outcome: audit.Failure, Target: audit.Target{Kind: "user", ID: h.user.String()}}))
	}
	h.settle()
	_, _, b := h.get("a", h.path("/export?format=ocsf"))
	var got []string
	for line := range strings.Lines(string(b)) {
		var e map[string]any
		h.must(json.Unmarshal([]byte(line), &e))
		got = append(got, fmt.Sprintf("%v/%v", e["class_uid"], e["activity_id"]))
		need := []string{"category_uid", "class_uid", "activity_id", "type_uid", "time", "severity_id", "status_id", "metadata", "actor"}
		switch e["class_uid"] {
		case 3001.0, 3002.0:
			need = append(need, "user")
		case 3004.0:
			need = append(need, "entity")
		case 6003.0:
			need = append(need, "api", "src_endpoint")
		}
		for _, n := range need {
			if e[n] == nil {
				t.Errorf("%s lacks %s", line, n)
			}
		}
		if e["type_uid"] != e["class_uid"].(float64)*100+e["activity_id"].(float64) {
			t.Errorf("type_uid of %s", line)
		}
	}
	want := []string{"3002/1", "3001/99", "3004/3", "6003/1", "3001/6"}
	if h.store.Main.Engine() == store.SQLite {
		want = append(want, "6003/2") // the export itself, which has its index at once
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestAStaffReadIsRecordedOrNotAnswered(t *testing.T) {
	h := newHouse(t)
	l := h.list("staff", "/api/v1/installation/log?kind=audit.")
	if len(l.Items) == 0 || l.Items[0].Kind != "audit.staff_read.recorded" || l.Items[0].Actor.ID != h.user.String() {
		t.Fatalf("%+v", l)
	}
	if status, _, _ := h.get("a", "/api/v1/installation/log"); status != 404 {
		t.Errorf("a member read the installation's log: %d", status)
	}
	h.store.Main.SetJournal(brokenJournal{})
	if status, _, b := h.get("staff", "/api/v1/installation/log"); status < 500 || bytes.Contains(b, []byte("audit.log.opened")) {
		t.Errorf("answered without an entry: %d %s", status, b)
	}
}

type brokenJournal struct{}

func (brokenJournal) Write(*store.Tx, []any) error { return errors.New("the log's disk is full") }
func (brokenJournal) Done([]any, error)            {}

func TestThePagesShowEntriesInThreeLanguages(t *testing.T) {
	h := newHouse(t)
	h.write(h.a, 60)
	for lang, want := range map[string]string{"en": "Test entry of a control", "fr": "Entrée d’essai d’un contrôle", "nl": "Testvermelding van een controle"} {
		req, err := http.NewRequest("GET", h.srv.URL+"/console/o/acme/log?kind=audit.canary.written", nil)
		h.must(err)
		req.Header.Set("Authorization", "Bearer a")
		req.Header.Set("Accept-Language", lang)
		res, err := h.srv.Client().Do(req)
		h.must(err)
		b, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != 200 || strings.Count(string(b), want) < 50 || !strings.Contains(string(b), `rel="next"`) || strings.Contains(string(b), "[audit.") {
			t.Errorf("%s: %d, %d times", lang, res.StatusCode, strings.Count(string(b), want))
		}
	}
	e := h.list("a", h.path("?limit=1")).Items[0]
	status, _, b := h.get("a", "/console/o/acme/log/"+e.ID.String())
	if status != 200 || !strings.Contains(string(b), "&lt;b&gt;bold") || !strings.Contains(string(b), h.path("/"+e.ID.String()+"/proof")) || strings.Contains(string(b), "[audit.") {
		t.Errorf("%d %s", status, b)
	}
	if status, _, b := h.get("staff", "/console/staff/log"); status != 200 || !strings.Contains(string(b), "Log opened") {
		t.Errorf("staff: %d", status)
	}
	if status, _, b := h.get("a", "/console/o/acme/log?actor=user:nobody"); status != 200 || !strings.Contains(string(b), "Nothing matches") {
		t.Errorf("none: %d", status)
	}
}

func TestControlsPassOnALiveLogAndSeeWhatIsBroken(t *testing.T) {
	h := newHouse(t)
	h.write(h.a, 3)
	h.must(h.log.Epoch(context.Background()))
	h.settle()
	probe := capability.Probe{Now: h.log.Now(), Base: h.srv.URL, Client: h.srv.Client,
		Canary: func(context.Context) (capability.Canary, error) {
			return capability.Canary{OrgID: h.a.String(), Token: "a", OtherOrgID: h.b.String(), OtherToken: "b"}, nil
		}}
	run := func(name string) capability.Result {
		t.Helper()
		for _, c := range h.s.Manifest().Controls {
			if c.ID == name {
				r := c.Check(context.Background(), probe)
				if r.Err != nil {
					t.Fatalf("%s: %v", name, r.Err)
				}
				return r
			}
		}
		t.Fatalf("no control %s", name)
		return capability.Result{}
	}
	for _, c := range h.s.Manifest().Controls {
		want := capability.Pass
		if c.ID == "log.witness" {
			want = capability.NotApplicable
		}
		if r := run(c.ID); r.Verdict != want {
			t.Errorf("%s: %+v", c.ID, r)
		}
	}
	// Each control turns red when what it watches is broken.
	h.s.Events = h.s.Events[:1]
	if r := run("log.schema"); r.Verdict != capability.Fail {
		t.Errorf("log.schema did not see an unknown kind: %+v", r)
	}
	h.s.Attempts = []reading.Attempt{{Method: "GET", Path: "/api/v1/orgs/{org}/log?limit=1", Kind: "audit.log.exported"}}
	if r := run("audit.complete"); r.Verdict != capability.Fail {
		t.Errorf("audit.complete did not miss an entry: %+v", r)
	}
	h.s.ProcessLog = func() []byte { return []byte("request by " + h.device.Load().(string)) }
	if r := run("log.redaction"); r.Verdict != capability.Fail {
		t.Errorf("log.redaction did not see the secret in the process log: %+v", r)
	}
	h.open.Store(true)
	if r := run("log.access"); r.Verdict != capability.Fail {
		t.Errorf("log.access did not see that anyone may read: %+v", r)
	}
}
