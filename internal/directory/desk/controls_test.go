package desk_test

import (
	"bytes"
	"context"
	"database/sql"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/directory"
	"github.com/rempart/rempart/internal/scenario"
	"github.com/rempart/rempart/internal/store/storetest"
)

// check runs a control against the world; spoil may stand between the
// listener and the product.
func check(t *testing.T, w *scenario.World, control string, spoil func(http.Handler) http.Handler) capability.Result {
	t.Helper()
	h := w.App.Handler
	if spoil != nil {
		h = spoil(h)
	}
	srv := httptest.NewServer(h)
	defer srv.Close()
	at, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range w.App.Desk.Manifest().Controls {
		if c.ID == control {
			return c.Check(t.Context(), capability.Probe{
				Now: w.Clock.Now(), Base: w.URL, Canary: w.App.Canary,
				Client: func() *http.Client {
					return &http.Client{Jar: jar(), Transport: &http.Transport{Proxy: func(*http.Request) (*url.URL, error) { return at, nil }},
						CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
				},
			})
		}
	}
	t.Fatalf("no control %s", control)
	return capability.Result{}
}

// answering spoils the product: requests that match are answered as told,
// when the product would have answered with the status.
func answering(match func(*http.Request) bool, status, instead int, body string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			raw, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(raw))
			if !match(r) {
				next.ServeHTTP(rw, r)
				return
			}
			rec := httptest.NewRecorder()
			next.ServeHTTP(rec, r)
			if rec.Code == status {
				rw.WriteHeader(instead)
				io.WriteString(rw, body)
				return
			}
			for k, v := range rec.Header() {
				rw.Header()[k] = v
			}
			rw.WriteHeader(rec.Code)
			rw.Write(rec.Body.Bytes())
		})
	}
}

func TestTheControlsAreGreenAndTurnRedWhenWhatTheyWatchBreaks(t *testing.T) {
	w := scenario.New(t)
	for _, c := range w.App.Desk.Manifest().Controls {
		r := check(t, w, c.ID, nil)
		if r.Verdict != capability.Pass || r.Checked < 4 {
			t.Errorf("%s: %+v", c.ID, r)
		}
	}
	path := func(method, part string) func(*http.Request) bool {
		return func(r *http.Request) bool { return r.Method == method && strings.Contains(r.URL.Path, part) }
	}
	c, err := w.App.Canary(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, one := range map[string]struct {
		control string
		spoil   func(http.Handler) http.Handler
	}{
		"a member reads roles":                {"rbac.matrix", answering(path("GET", "/roles"), 403, 200, "{}")},
		"an administrator is kept out":        {"rbac.matrix", answering(path("GET", "/members"), 200, 403, "{}")},
		"an administrator makes an owner":     {"rbac.escalation", answering(path("PUT", "/roles"), 403, 200, "{}")},
		"an administrator invites an owner":   {"rbac.escalation", answering(path("POST", "/invitations"), 403, 201, "{}")},
		"an outsider reads the members":       {"tenant.membership", answering(path("GET", "/members"), 404, 200, "{}")},
		"a visitor reads the organization":    {"tenant.membership", answering(path("GET", "/orgs/"), 401, 200, "{}")},
		"a refusal says whose it is":          {"tenant.membership", answering(path("GET", "/workspaces"), 404, 404, c.Slug)},
		"another's workspace can be removed":  {"tenant.isolation", answering(path("DELETE", c.OtherWorkspID), 404, 204, "")},
		"another organization can be changed": {"tenant.isolation", answering(path("PATCH", c.OtherOrgID), 404, 400, "{}")},
	} {
		if r := check(t, w, one.control, one.spoil); r.Verdict != capability.Fail {
			t.Errorf("%s: %s stays %s", name, one.control, r.Verdict)
		}
	}
}

// A row that the product could not have written is found by the scans.
func TestTheScansFindWhatWasWrittenByHand(t *testing.T) {
	dir := t.TempDir()
	w := scenario.Open(t, dir, storetest.SQLite(dir))
	ctx := context.Background()
	byHand := func(query string) {
		t.Helper()
		db, err := sql.Open("sqlite", "file:"+scenario.Dir(dir)+"?_pragma=busy_timeout(5000)")
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if _, err := db.Exec(query); err != nil {
			t.Fatal(err)
		}
	}
	orphan, _, err := w.App.Directory.AddOrg(ctx, caller.ForSystem("test"), directory.NewOrg{Name: "Initech", Slug: "initech", Owner: w.Globex.Owner.ID})
	if err != nil {
		t.Fatal(err)
	}
	byHand(`UPDATE directory_memberships SET user_id = '` + w.Acme.Plain.ID.String() + `' WHERE org_id = '` + orphan.ID.String() + `'`)
	if r := check(t, w, "rbac.escalation", nil); r.Verdict != capability.Fail {
		t.Errorf("a role of somebody who is no member: %s", r.Verdict)
	}
	byHand(`UPDATE directory_users SET created_at = created_at - 60000000 WHERE id = '` + w.Acme.Plain.ID.String() + `'`)
	if r := check(t, w, "id.unique", nil); r.Verdict != capability.Fail {
		t.Errorf("an identifier that was not made with its user: %s", r.Verdict)
	}
}

func jar() http.CookieJar {
	j, err := cookiejar.New(nil)
	if err != nil {
		panic(err) // it never fails without options
	}
	return j
}
