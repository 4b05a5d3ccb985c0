package web_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/web"
)

func ok(w http.ResponseWriter, r *http.Request) error {
	w.Write([]byte("done"))
	return nil
}

func TestClientAddressIsReadFromTheRightThroughTrustedHops(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, c := range []struct{ name, peer, header, want string }{
		{"a direct client is its peer address", "203.0.113.9:4000", "", "203.0.113.9"},
		{"a stranger's header is not believed", "203.0.113.9:4000", "198.51.100.1", "203.0.113.9"},
		{"a trusted proxy's header is", "10.0.0.1:4000", "198.51.100.1", "198.51.100.1"},
		{"what the client itself wrote stands left and is passed over", "10.0.0.1:4000", "1.2.3.4, 198.51.100.1", "198.51.100.1"},
		{"a chain of trusted proxies is followed", "10.0.0.1:4000", "198.51.100.1, 10.0.0.3, 10.0.0.2", "198.51.100.1"},
		{"rubbish ends the chain at the last hop known", "10.0.0.1:4000", "198.51.100.1, x, 10.0.0.2", "10.0.0.2"},
		{"only trusted hops leave the leftmost", "10.0.0.1:4000", "10.0.0.3", "10.0.0.3"},
		{"IPv6 with zone and port", "[fd00::1%eth0]:4000", "[2001:db8::7]:99", "2001:db8::7"},
		{"a mapped IPv4 address is IPv4", "[::ffff:203.0.113.9]:4000", "", "203.0.113.9"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = c.peer
			if c.header != "" {
				r.Header.Set("X-Forwarded-For", c.header)
			}
			if got := web.ClientAddr(r, trusted).String(); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestEveryAnswerHasTheSecurityHeaders(t *testing.T) {
	page := web.Page("GET /page", capability.Public, ok)
	api := web.JSON("GET /api/v1/thing", capability.Public, func(context.Context, caller.Caller, *struct{}) (*ruleOut, error) { return &ruleOut{}, nil })
	closed := web.Page("GET /closed", capability.Self, ok)
	for _, path := range []string{"/page", "/api/v1/thing", "/closed", "/nothing", "/api/nothing"} {
		s := newServer(t, page, api, closed)
		s.BaseURL, _ = url.Parse("https://rempart.example")
		h := call(t, s, request("GET", path, "")).Header
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Referrer-Policy": "same-origin",
			"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin", "X-Frame-Options": "DENY",
			"Strict-Transport-Security": "max-age=63072000; includeSubDomains",
		} {
			if got := h.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
		csp := h.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"} { // P-08
			if !strings.Contains(csp, want) {
				t.Errorf("%s: policy %q lacks %s", path, csp, want)
			}
		}
		if strings.Contains(csp, "unsafe") || strings.Contains(csp, "*") {
			t.Errorf("%s: policy %q is loose", path, csp)
		}
		if h.Get("Permissions-Policy") == "" || h.Get("X-Request-Id") == "" {
			t.Errorf("%s: headers are missing: %v", path, h)
		}
	}
}

func TestGuardsOfThePath(t *testing.T) {
	page := web.Page("GET /page", capability.Public, ok)
	form := web.Page("POST /page", capability.Public, ok, web.NoEntry("a test"))
	token := web.Protocol("POST /oauth/token", capability.Token, ok, web.NoEntry("a test"))
	open := web.Protocol("GET /.well-known/keys", capability.Public, ok, web.CORS(), web.Cache("public, max-age=60"))
	api := web.JSON("POST /api/v1/thing", capability.Self, func(context.Context, caller.Caller, *struct{}) (*struct{}, error) { return nil, nil }, web.NoEntry("a test"))
	panics := web.JSON("GET /api/v1/panic", capability.Public, func(context.Context, caller.Caller, *struct{}) (*struct{}, error) { panic("secret hunter2") })
	foreign := []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}
	for _, c := range []struct {
		name, method, host, path string
		header                   []string
		status                   int
		code                     string
	}{
		{"a page is answered", "GET", "", "/page", nil, 200, ""},
		{"the Host may name the implied port", "GET", "rempart.example:80", "/page", nil, 200, ""},
		{"another Host is misdirected", "GET", "evil.example", "/page", nil, 421, "misdirected"},
		{"another port is misdirected", "GET", "rempart.example:8080", "/page", nil, 421, "misdirected"},
		{"X-Forwarded-Host changes nothing", "GET", "", "/page", []string{"X-Forwarded-Host", "evil.example"}, 200, ""},
		{"an unknown path is not found", "GET", "", "/api/v1/none", nil, 404, "not_found"},
		{"a path with dots is not found and not redirected", "GET", "", "/api/../page", nil, 404, "not_found"},
		{"two slashes are not found and not redirected", "GET", "", "//api/v1/thing", nil, 404, "not_found"},
		{"cache deception finds nothing", "GET", "", "/api/v1/thing/x.css", nil, 404, "not_found"},
		{"a wrong method is told which are right", "DELETE", "", "/api/v1/thing", nil, 405, "method"},
		{"another site's form is refused", "POST", "", "/page", foreign, 403, "denied"},
		{"another site's form is refused by its Origin alone", "POST", "", "/page", foreign[:2], 403, "denied"},
		{"our own form is taken", "POST", "", "/page", []string{"Origin", "http://rempart.example", "Sec-Fetch-Site", "same-origin"}, 200, ""},
		{"a token endpoint takes what any site sends", "POST", "", "/oauth/token", foreign, 200, ""},
		{"a bearer token makes origin no matter", "POST", "", "/api/v1/thing", append([]string{"Authorization", "Bearer alice"}, foreign...), 204, ""},
		{"a bad credential is refused", "POST", "", "/api/v1/thing", []string{"Authorization", "Bearer mallory"}, 401, "unauthenticated"},
		{"no credential is refused", "POST", "", "/api/v1/thing", nil, 401, "unauthenticated"},
		{"another site may read what is open to all", "GET", "", "/.well-known/keys", foreign, 200, ""},
		{"a handler that panics is an internal error", "GET", "", "/api/v1/panic", nil, 500, "internal"},
		{"a long address is refused", "GET", "", "/page?" + strings.Repeat("x", 9000), nil, 414, "uri_too_long"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := request(c.method, c.path, "", c.header...)
			if c.host != "" {
				r.Host = c.host
			}
			a := call(t, newServer(t, page, form, token, open, api, panics), r)
			if a.Status != c.status || a.Problem.Code != c.code {
				t.Errorf("status %d, code %q; want %d, %q: %s", a.Status, a.Problem.Code, c.status, c.code, a.Body)
			}
			if c.status == 405 && a.Header.Get("Allow") != "POST" {
				t.Errorf("Allow is %q", a.Header.Get("Allow"))
			}
			if c.status == 401 && a.Header.Get("WWW-Authenticate") == "" {
				t.Error("no WWW-Authenticate")
			}
			if strings.Contains(a.Body, "hunter2") {
				t.Errorf("the panic is shown: %s", a.Body)
			}
			if c.path == "/.well-known/keys" && (a.Header.Get("Access-Control-Allow-Origin") != "*" || a.Header.Get("Access-Control-Allow-Credentials") != "" || a.Header.Get("Cache-Control") != "public, max-age=60") {
				t.Errorf("headers %v", a.Header)
			}
		})
	}
}

func TestPreflightIsAnsweredForOpenRoutesOnly(t *testing.T) {
	open := web.Protocol("GET /oauth/userinfo", capability.Token, ok, web.CORS())
	closed := web.Protocol("GET /oauth/private", capability.Token, ok)
	ask := func(path string) answer {
		return call(t, newServer(t, open, closed), request("OPTIONS", path, "", "Origin", "https://spa.example", "Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "authorization"))
	}
	if a := ask("/oauth/userinfo"); a.Status != 204 || a.Header.Get("Access-Control-Allow-Origin") != "*" || !strings.Contains(a.Header.Get("Access-Control-Allow-Headers"), "Authorization") {
		t.Errorf("open route: %d %v", a.Status, a.Header)
	}
	if a := ask("/oauth/private"); a.Status < 400 || a.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("closed route: %d %v", a.Status, a.Header)
	}
}

func TestRefusalsOfThePathAreTold(t *testing.T) {
	var told []string
	closed := web.Page("POST /closed", capability.Self, ok, web.Event("test.thing.done"))
	s := newServer(t, closed)
	s.Refused = func(_ context.Context, _ caller.Caller, route *web.Route, err error) {
		told = append(told, route.Pattern+" "+web.CodeOf(err))
	}
	call(t, s, request("POST", "/closed", ""))
	call(t, s, request("POST", "/closed", "", "Sec-Fetch-Site", "cross-site"))
	call(t, s, request("POST", "/closed", "", "Authorization", "Bearer mallory"))
	call(t, s, request("POST", "/nothing", ""))
	want := []string{"POST /closed unauthenticated", "POST /closed denied", "POST /closed unauthenticated"}
	if d := cmp.Diff(want, told); d != "" {
		t.Errorf("told (-want +got):\n%s", d)
	}
}

func TestRateLimitComesBeforeAnythingIsLookedAt(t *testing.T) {
	s := newServer(t, rules())
	s.Authenticate = func(context.Context, *http.Request, caller.Caller) (caller.Caller, error) {
		t.Error("authenticated all the same")
		return caller.Caller{}, nil
	}
	s.RateLimit = func(r *http.Request, who caller.Caller) (time.Duration, bool) { return 90 * time.Second, false }
	a := call(t, s, request("POST", "/api/v1/orgs/x/ip-rules", `{}`))
	if a.Status != 429 || a.Header.Get("Retry-After") != "90" {
		t.Errorf("status %d, Retry-After %q", a.Status, a.Header.Get("Retry-After"))
	}
}

func TestWrongRoutesAreNotServed(t *testing.T) {
	good := web.Page("GET /a", capability.Public, ok)
	for _, c := range []struct {
		name  string
		route web.Route
		want  string
	}{
		{"no permission", web.Page("GET /b", "", ok), "no permission"},
		{"a change without entry", web.Page("POST /b", capability.Self, ok), "leaves no entry"},
		{"no method", web.Page("/b", capability.Public, ok), "method"},
		{"the same pattern twice", web.Page("GET /a", capability.Public, ok), "twice"},
		{"no handler", web.Page("GET /b", capability.Public, nil), "no handler"},
		{"patterns that conflict", web.Page("GET /{x}/c", capability.Public, ok), "conflicts"},
		{"a private answer in shared caches", web.Page("GET /b", capability.Self, ok, web.Cache("public, max-age=60")), "shared caches"},
		{"a page open to script", web.Page("GET /b", capability.Public, ok, web.CORS()), "any origin"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := newServer(t, good, web.Page("GET /b/{y}", capability.Public, ok), c.route).Handler()
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q in it", err, c.want)
			}
		})
	}
}

func TestInputsThatCannotBeReadPanicAtStart(t *testing.T) {
	for name, make := range map[string]func(){
		"a field from nowhere": func() {
			web.JSON("GET /a", capability.Public, func(context.Context, caller.Caller, *struct{ X string }) (*struct{}, error) { return nil, nil })
		},
		"a path value the pattern lacks": func() {
			web.JSON("GET /a", capability.Public, func(context.Context, caller.Caller, *struct {
				X string `path:"x"`
			}) (*struct{}, error) {
				return nil, nil
			})
		},
		"a map in the query": func() {
			web.JSON("GET /a", capability.Public, func(context.Context, caller.Caller, *struct {
				X map[string]string `query:"x"`
			}) (*struct{}, error) {
				return nil, nil
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("it was accepted")
				}
			}()
			make()
		})
	}
}

func TestRedirectStaysOnOurOrigin(t *testing.T) { // P-07
	for in, want := range map[string]string{
		"/console": "/console", "/a?b=c#d": "/a?b=c#d", "": "/", "//evil.example": "/", "/\\evil.example": "/", "https://evil.example": "/",
		"/\t/evil.example": "/", "/\n/evil": "/", "javascript:alert(1)": "/", "evil": "/", "/%2f/evil": "/%2f/evil", "/a\\b": "/", "\\\\evil": "/", "/é": "/",
	} {
		w := httptest.NewRecorder()
		web.Redirect(w, httptest.NewRequest("POST", "/", nil), in)
		if got := w.Header().Get("Location"); got != want || w.Code != 303 {
			t.Errorf("%q: %d to %q, want 303 to %q", in, w.Code, got, want)
		}
	}
}

func TestFormsMayLeadToTheRegisteredOriginOnly(t *testing.T) {
	for in, want := range map[string]string{
		"https://app.example/cb?x=1":        "https://app.example",
		"http://127.0.0.1:5000/cb":          "http://127.0.0.1:5000",
		"com.example.app:/cb":               "com.example.app:",
		"https://a.example; script-src *":   "",
		"https://a.example' 'unsafe-inline": "",
		"javascript:alert(1)":               "",
		"data:text/html,x":                  "",
		"https:///x":                        "",
		"/local":                            "",
	} {
		if got := web.Source(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	route := web.Page("GET /sign-in", capability.Public, func(w http.ResponseWriter, r *http.Request) error {
		web.AllowFormRedirect(w, "https://app.example/cb")
		return ok(w, r)
	})
	csp := call(t, newServer(t, route), request("GET", "/sign-in", "")).Header.Get("Content-Security-Policy")
	if !strings.Contains(csp, "form-action 'self' https://app.example;") {
		t.Errorf("policy %q", csp)
	}
}

func TestPageErrorsAreRenderedOnce(t *testing.T) {
	boom := web.Page("GET /boom", capability.Public, func(http.ResponseWriter, *http.Request) error { return errors.New("x") })
	half := web.Page("GET /half", capability.Public, func(w http.ResponseWriter, r *http.Request) error {
		w.Write([]byte("half"))
		return errors.New("too late")
	})
	s := newServer(t, boom, half)
	n := 0
	s.RenderError = func(w http.ResponseWriter, r *http.Request, who caller.Caller, err error) {
		n++
		w.WriteHeader(web.StatusOf(err))
	}
	if a := call(t, s, request("GET", "/boom", "")); a.Status != 500 || n != 1 {
		t.Errorf("status %d after %d renderings", a.Status, n)
	}
	defer func() {
		if v := recover(); v != http.ErrAbortHandler || n != 1 {
			t.Errorf("half an answer ended with %v after %d renderings", v, n)
		}
	}()
	call(t, s, request("GET", "/half", ""))
}

func TestCursorsAreBoundToCallerAndQuery(t *testing.T) {
	c := web.NewCursors([]byte("0123456789abcdef"))
	cur := c.Encode("usr_a org_a", "/members?state=active", []byte("pos-7"))
	if got, err := c.Decode("usr_a org_a", "/members?state=active", cur); err != nil || string(got) != "pos-7" {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := c.Decode("x", "y", ""); got != nil || err != nil {
		t.Errorf("the empty cursor gave %q, %v", got, err)
	}
	flip := []byte(cur)
	flip[len(flip)-1] ^= 1
	for name, try := range map[string][3]string{
		"another caller":     {"usr_b org_a", "/members?state=active", cur},
		"another query":      {"usr_a org_a", "/members", cur},
		"moved borders":      {"usr_a org_a/", "members?state=active", cur},
		"a changed cursor":   {"usr_a org_a", "/members?state=active", string(flip)},
		"half a cursor":      {"usr_a org_a", "/members?state=active", cur[:10]},
		"no cursor at all":   {"usr_a org_a", "/members?state=active", "!!"},
		"another server's":   {"usr_a org_a", "/members?state=active", web.NewCursors([]byte("another secret!!")).Encode("usr_a org_a", "/members?state=active", []byte("pos-7"))},
		"padding at the end": {"usr_a org_a", "/members?state=active", cur + "="},
	} {
		if _, err := c.Decode(try[0], try[1], try[2]); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestIfMatch(t *testing.T) {
	for header, want := range map[string]fault.Kind{"": fault.Precondition, `"7"`: 0, `"6"`: fault.Precondition, `"6", "7"`: 0, "*": 0, "7": fault.Precondition, `W/"7"`: fault.Precondition} {
		err := web.IfMatch(header, 7)
		if want == 0 && err != nil || want != 0 && fault.KindOf(err) != want {
			t.Errorf("%q: %v", header, err)
		}
	}
}

func TestWhatSharedCachesKeepAsksNobodyWhoSheIs(t *testing.T) {
	s := newServer(t, web.Protocol("GET /assets/{name}", capability.Public, ok, web.Cache("public, max-age=31536000, immutable")))
	s.Authenticate = func(context.Context, *http.Request, caller.Caller) (caller.Caller, error) {
		t.Error("authenticated all the same")
		return caller.Caller{}, nil
	}
	if a := call(t, s, request("GET", "/assets/x.css", "", "Cookie", "__Host-rempart_session=x")); a.Status != 200 || len(a.Header["Set-Cookie"]) != 0 {
		t.Errorf("%d %v", a.Status, a.Header)
	}
}

func TestHandlersHaveATimeAndSomeALongerOne(t *testing.T) {
	var left time.Duration
	note := func(w http.ResponseWriter, r *http.Request) error {
		end, _ := r.Context().Deadline()
		left = time.Until(end).Round(time.Second)
		return ok(w, r)
	}
	for _, c := range []struct {
		path string
		want time.Duration
	}{{"/short", 30 * time.Second}, {"/long", 5 * time.Minute}} {
		s := newServer(t, web.Page("GET /short", capability.Public, note), web.Page("GET /long", capability.Public, note, web.MaxTime(5*time.Minute)))
		call(t, s, request("GET", c.path, ""))
		if left != c.want {
			t.Errorf("%s has %v, want %v", c.path, left, c.want)
		}
	}
}
