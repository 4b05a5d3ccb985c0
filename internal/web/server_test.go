package web_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/clock"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/i18n"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/web"
)

func bundle(t testing.TB) *i18n.Bundle {
	t.Helper()
	b, err := i18n.Load(i18n.Source{Name: "web", FS: web.Messages()})
	if err != nil {
		t.Fatal(err)
	}
	b.Missing = func(lang, key string) { t.Errorf("no text for %s in %s", key, lang) }
	return b
}

// newServer is a server of the routes whose callers are "alice" with the right
// bearer token and visitors without.
func newServer(t testing.TB, routes ...web.Route) *web.Server {
	u, _ := url.Parse("http://rempart.example")
	now := clock.NewFixed(time.Date(2026, 11, 22, 7, 0, 0, 0, time.UTC))
	return &web.Server{
		BaseURL: u, Routes: routes, Log: slog.New(slog.DiscardHandler), Now: now.Now, T: bundle(t).T,
		Authenticate: func(_ context.Context, r *http.Request, who caller.Caller) (caller.Caller, error) {
			switch r.Header.Get("Authorization") {
			case "":
				return who, nil
			case "Bearer alice":
				who.Kind, who.User = caller.User, id.NewUser(time.Unix(0, 0))
				return who, nil
			}
			return who, fault.New(fault.Unknown, "web.error.unauthenticated", nil)
		},
		Gate: func(_ context.Context, _ *http.Request, who caller.Caller, route *web.Route) (caller.Caller, error) {
			if route.Permission != capability.Public && who.Kind == caller.Visitor {
				return who, fault.New(fault.Unknown, "web.error.unauthenticated", nil)
			}
			return who, nil
		},
	}
}

type answer struct {
	Status  int
	Header  http.Header
	Body    string
	Problem web.Problem
}

func call(t testing.TB, s *web.Server, r *http.Request) answer {
	t.Helper()
	h, err := s.Handler()
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	a := answer{Status: w.Code, Header: w.Header(), Body: w.Body.String()}
	if strings.HasPrefix(w.Header().Get("Content-Type"), "application/problem+json") {
		if err := json.Unmarshal(w.Body.Bytes(), &a.Problem); err != nil {
			t.Fatalf("problem: %v in %s", err, a.Body)
		}
	}
	return a
}

func request(method, path, body string, header ...string) *http.Request {
	var rd io.Reader
	if body != "" {
		rd = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, "http://rempart.example"+path, rd)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

type ruleIn struct {
	Org   id.Org `path:"org"`
	Match string `header:"If-Match"`
	Limit int    `query:"limit" minimum:"1" maximum:"200"`

	Prefix string   `json:"prefix" maxLength:"43" minLength:"2"`
	Note   string   `json:"note,omitempty" maxLength:"20"`
	Tags   []string `json:"tags,omitempty" maxItems:"3"`
	Kind   string   `json:"kind,omitempty" enum:"allow,deny"`
	Inner  *inner   `json:"inner,omitempty"`
}

type inner struct {
	Port int `json:"port" minimum:"1" maximum:"65535"`
}

type ruleOut struct {
	Prefix string `json:"prefix"`
	Limit  int    `json:"limit"`
}

var org = id.NewOrg(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))

func rules() web.Route {
	return web.JSON("POST /api/v1/orgs/{org}/ip-rules", capability.Public,
		func(_ context.Context, _ caller.Caller, in *ruleIn) (*ruleOut, error) {
			if in.Org != org {
				return nil, fault.ErrNotFound
			}
			return &ruleOut{in.Prefix, in.Limit}, nil
		}, web.Status(201), web.NoEntry("a test"))
}

func TestJSONReadsExactlyWhatTheInputNames(t *testing.T) {
	path := "/api/v1/orgs/" + org.String() + "/ip-rules"
	deep := strings.Repeat("[", 40) + strings.Repeat("]", 40)
	for _, c := range []struct {
		name, path, body, media string
		status                  int
		pointer, code           string
	}{
		{"a right request is answered", path + "?limit=5", `{"prefix":"10.0.0.0/8","tags":["a"],"inner":{"port":80}}`, "", 201, "", ""},
		{"a parameter of the media type is no offence", path, `{"prefix":"10.0.0.0/8"}`, "application/json; charset=utf-8", 201, "", ""},
		{"an unknown member is refused", path, `{"prefix":"10.0.0.0/8","secret":"hunter2"}`, "", 400, "/secret", "web.field.unknown"},
		{"an unknown member in a member is refused", path, `{"prefix":"10.0.0.0/8","inner":{"port":1,"x/y":2}}`, "", 400, "/inner/x~1y", "web.field.unknown"},
		{"the case of names counts", path, `{"Prefix":"10.0.0.0/8"}`, "", 400, "/Prefix", "web.field.unknown"},
		{"a missing member is named", path, `{"note":"x"}`, "", 400, "/prefix", "web.field.required"},
		{"a member twice is refused", path, `{"prefix":"10.0.0.0/8","prefix":"hunter2"}`, "", 400, "/prefix", "web.field.twice"},
		{"a wrong type is named", path, `{"prefix":7}`, "", 400, "/prefix", "web.field.type"},
		{"too long is said", path, `{"prefix":"10.0.0.0/8","note":"hunter2hunter2hunter2"}`, "", 400, "/note", "web.field.too-long"},
		{"too short is said", path, `{"prefix":"1"}`, "", 400, "/prefix", "web.field.too-short"},
		{"too many items are said", path, `{"prefix":"10.0.0.0/8","tags":["a","b","c","d"]}`, "", 400, "/tags", "web.field.too-long"},
		{"a value beyond the maximum is said", path, `{"prefix":"10.0.0.0/8","inner":{"port":70000}}`, "", 400, "/inner/port", "web.field.too-large"},
		{"a choice is checked", path, `{"prefix":"10.0.0.0/8","kind":"hunter2"}`, "", 400, "/kind", "web.field.choice"},
		{"an unknown query parameter is refused", path + "?debug=1", `{"prefix":"10.0.0.0/8"}`, "", 400, "?debug", "web.field.unknown"},
		{"a query parameter is validated", path + "?limit=201", `{"prefix":"10.0.0.0/8"}`, "", 400, "?limit", "web.field.too-large"},
		{"a query parameter twice is refused", path + "?limit=1&limit=2", `{"prefix":"10.0.0.0/8"}`, "", 400, "?limit", "web.field.twice"},
		{"a malformed identifier in the path is not found", "/api/v1/orgs/org_hunter2/ip-rules", `{"prefix":"10.0.0.0/8"}`, "", 404, "", ""},
		{"another kind's identifier in the path is not found", "/api/v1/orgs/" + strings.Replace(org.String(), "org_", "usr_", 1) + "/ip-rules", `{"prefix":"10.0.0.0/8"}`, "", 404, "", ""},
		{"no body is refused", path, ``, "", 400, "", ""},
		{"what is not JSON is refused", path, `{"prefix":hunter2}`, "", 400, "", ""},
		{"a second value is refused", path, `{"prefix":"10.0.0.0/8"}{}`, "", 400, "", ""},
		{"a deep body is refused", path, `{"prefix":` + deep + `}`, "", 400, "", ""},
		{"another media type is refused", path, `{"prefix":"10.0.0.0/8"}`, "text/plain", 415, "", ""},
		{"a form is refused", path, `prefix=1`, "application/x-www-form-urlencoded", 415, "", ""},
		{"a large body is refused", path, `{"prefix":"` + strings.Repeat("x", 2<<20) + `"}`, "", 413, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := request("POST", c.path, c.body)
			if c.media != "" {
				r.Header.Set("Content-Type", c.media)
			}
			a := call(t, newServer(t, rules()), r)
			if a.Status != c.status {
				t.Fatalf("status %d, want %d: %s", a.Status, c.status, a.Body)
			}
			if strings.Contains(a.Body, "hunter2") {
				t.Errorf("a submitted value came back: %s", a.Body)
			}
			if c.pointer != "" {
				want := []web.ProblemError{{Pointer: c.pointer, Code: c.code}}
				got := a.Problem.Errors
				for i := range got {
					got[i].Detail = ""
				}
				if c.name == "the case of names counts" {
					got = got[len(got)-1:] // the required member is missed too
				}
				if d := cmp.Diff(want, got); d != "" {
					t.Errorf("errors (-want +got):\n%s", d)
				}
			}
		})
	}
}

func TestEveryErrorIsAProblemWithItsRequestID(t *testing.T) {
	fails := func(err error) web.Route {
		return web.JSON("GET /api/v1/thing", capability.Public, func(context.Context, caller.Caller, *struct{}) (*ruleOut, error) { return nil, err })
	}
	for _, c := range []struct {
		name   string
		err    error
		status int
		code   string
	}{
		{"an internal error shows nothing", errors.New("pq: password of database is hunter2"), 500, "internal"},
		{"what runs out of time is unavailable", context.DeadlineExceeded, 503, "unavailable"},
		{"denied", fault.ErrDenied, 403, "denied"},
		{"a step-up is asked for", fault.ErrStepUp, 403, "step_up_required"},
		{"a capability's key is the code", fault.New(fault.Conflict, "web.field.twice", nil), 409, "web.field.twice"},
		{"throttled", fault.New(fault.Throttled, "web.error.throttled", nil).After(1500 * time.Millisecond), 429, "throttled"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := call(t, newServer(t, fails(c.err)), request("GET", "/api/v1/thing", "", "Accept-Language", "fr-FR, en;q=0.5"))
			if a.Status != c.status || a.Problem.Status != c.status || a.Problem.Code != c.code {
				t.Errorf("status %d, code %q; want %d, %q", a.Status, a.Problem.Code, c.status, c.code)
			}
			if strings.Contains(a.Body, "hunter2") {
				t.Errorf("the cause is shown: %s", a.Body)
			}
			if a.Problem.Request == "" || a.Problem.Request != a.Header.Get("X-Request-Id") {
				t.Errorf("request id %q in the problem, %q in the header", a.Problem.Request, a.Header.Get("X-Request-Id"))
			}
			if c.status == 429 && a.Header.Get("Retry-After") != "2" {
				t.Errorf("Retry-After %q, want 2", a.Header.Get("Retry-After"))
			}
			if want := bundle(t).T("fr", web.KeyOf(c.err), web.ArgsOf(c.err)); a.Problem.Detail != want {
				t.Errorf("detail %q, want %q", a.Problem.Detail, want)
			}
		})
	}
}
