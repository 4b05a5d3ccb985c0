package provider_test

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/provider"
)

// mutants are URIs that a careless comparison would take for the registered
// one, which has a port, a path of two segments and a query.
func mutants(good string) []string {
	u, _ := url.Parse(good)
	host, path := u.Host, u.Path
	out := []string{"", "/", "//", "https:", "https://", "https:///", "null", "about:blank", "javascript:alert(1)", "data:text/html,x", "*", " "}
	swap := func(old string, news ...string) {
		for _, n := range news {
			out = append(out, strings.Replace(good, old, n, 1))
		}
	}
	swap("https://", "http://", "HTTPS://", "Https://", "https:/", "https:", "https:///", "https:\\\\", "//", "ftp://", "wss://", " https://", "\thttps://", "https://user@", "https://user:pass@",
		"https://@", "https://:@", "https://evil.example@", "https://evil.example#@", "https://evil.example?@", "https://evil.example\\@", "https://evil.example/@", "https://evil.example%23@", "https://evil.example%00@",
		"https://sub.", "https://.", "https://evil.example/?", "https://evil.example/#", "https://evil.example/https://", "view-source:https://", "blob:https://", "jar:https://")
	swap(host, "APP.example:8443", "app.example", "app.example:443", "app.example:8444", "app.example:08443", "app.example:8443:8443", "app.example.:8443", "app.example%2e:8443", "app.example:+8443", "app.example: 8443",
		"evil.example:8443", "app.example.evil.example:8443", "evilapp.example:8443", "app.example:8443.evil.example", "app.example:8443@evil.example", "app.example:8443%40evil.example", "app.example:8443\\evil.example", "app.example:8443%5cevil.example",
		"xn--pp-uia.example:8443", "аpp.example:8443", "ａpp.example:8443", "app。example:8443", "app.example︓8443", "app-example:8443", "appexample:8443", "app..example:8443", "app.exa\u00admple:8443", "app.example\u200b:8443", "[::1]:8443", "127.0.0.1:8443", "localhost:8443", "0x7f.1:8443", "app.example:", "app.example:0", "app.example:65536")
	swap(path, path+"/", path+"//", path+"/.", path+"/..", path+"/../callback", path+"/./", path+"%2f", path+"%2F..", path+"/%2e%2e/x", path+"/..%2f", path+"/..;/", path+";x", path+";/..", path+"%00", path+"%0d%0a", path+"\r\nX: y", path+"\n", path+"\t", path+" ", path+"%20", path+"+", path+".html",
		path+"x", path[:len(path)-1], "/", "", "/oauth", "//oauth/callback", "/oauth//callback", "/./oauth/callback", "/x/../oauth/callback", "/oauth/./callback", "/oauth/x/../callback", "/oauth%2fcallback", "/oauth%2Fcallback", "/%6fauth/callback", "/oauth/%63allback", "/OAUTH/callback", "/oauth/Callback", "/oauth\\callback", "/oauth/callback\\", "\\oauth/callback", "/oauth/call\u0000back", "/oauth/*", "/*", "/oauth/callback*", "/oauth/callback/evil", "/oauth/..%252f", "/oauth/callback%23", "/oauth/callback%3f", "/oauth/callback@evil.example", "/oauth/callback/@evil.example", "/oauth/cállback")
	swap("?tenant=1", "", "?", "?tenant=2", "?tenant=1&", "?tenant=1&x=y", "?x=y&tenant=1", "?tenant=1&tenant=1", "?tenant=1&tenant=2", "?Tenant=1", "?tenant=01", "?tenant=%31", "?tenant=1%26x=y", "?tenant=1;x=y", "?tenant=1#", "?tenant=1#x", "?tenant=1#https://app.example", "#?tenant=1", "?tenant=1%23x", "?tenant=1&code=x", "?tenant=1&iss=x", "?tenant=1 ", "?tenant=1+", "?tenant=1%0a", "??tenant=1", "/?tenant=1", "?tenant", "?tenant=", "&tenant=1", "%3ftenant=1")
	for _, p := range []string{" ", "\t", "\n", "%20", "\u200b", "\ufeff", "x", "\""} {
		out = append(out, p+good, good+p)
	}
	for i := 0; i < len(good); i += 2 {
		out = append(out, good[:i]+good[i+1:]) // each second character left out
	}
	return out
}

func TestP01OnlyTheRegisteredRedirectURIIsEverFollowed(t *testing.T) {
	w := newWorld(t)
	const good = "https://app.example:8443/oauth/callback?tenant=1"
	c := w.addClient(provider.ClientInput{Name: "Exact", Type: provider.ClientWeb, FirstParty: true, RedirectURIs: []string{good, "https://other.example/x"}})
	session := w.signIn(w.alice)
	if r := w.authorize(c, session, "redirect_uri", good); !strings.HasPrefix(r.Header().Get("Location"), good+"&code=") {
		t.Fatalf("the registered one: %d %s", r.Code, r.Header().Get("Location"))
	}
	list := mutants(good)
	if len(list) < 200 {
		t.Fatalf("only %d mutants", len(list))
	}
	for _, m := range list {
		if m == good {
			t.Fatalf("a mutant is none: %q", m)
		}
		q := w.query(c)
		q.Set("redirect_uri", m)
		for _, prompt := range []string{"", "none"} {
			q.Set("prompt", prompt)
			r := w.get("/oauth/authorize?"+q.Encode(), session)
			if r.Code != 400 || r.Header().Get("Location") != "" || !strings.Contains(r.Body.String(), `data-page="error"`) {
				t.Errorf("%q: %d, Location %q", m, r.Code, r.Header().Get("Location"))
			}
		}
	}
	// The parameter twice, the right one first or last.
	for _, q := range []string{"redirect_uri=" + url.QueryEscape("https://evil.example/"), "client_id=" + w.web.ID.String()} {
		for _, raw := range []string{w.query(c).Encode() + "&" + q, q + "&" + w.query(c).Encode()} {
			if r := w.get("/oauth/authorize?"+raw, session); r.Code != 400 || r.Header().Get("Location") != "" {
				t.Errorf("twice: %d, Location %q", r.Code, r.Header().Get("Location"))
			}
		}
	}
}

func TestANativeClientMayNameAnyPortOfItsLoopbackURI(t *testing.T) {
	w := newWorld(t)
	uris := []string{"http://127.0.0.1/cb", "http://[::1]:1234/cb?x=1", "http://localhost/cb", "com.example.app:/cb"}
	native := w.addClient(provider.ClientInput{Name: "Native", Type: provider.ClientNative, FirstParty: true, RedirectURIs: uris})
	spa := w.addClient(provider.ClientInput{Name: "SPA", Type: provider.ClientSPA, FirstParty: true, RedirectURIs: uris[:3]})
	session := w.signIn(w.alice)
	for uri, want := range map[string]bool{
		"http://127.0.0.1/cb": true, "http://127.0.0.1:1/cb": true, "http://127.0.0.1:65535/cb": true, "http://[::1]:9/cb?x=1": true, "http://[::1]/cb?x=1": true, "http://localhost:8000/cb": true, "com.example.app:/cb": true,
		"http://127.0.0.1:0/cb": false, "http://127.0.0.1:65536/cb": false, "http://127.0.0.1:080/cb": false, "http://127.0.0.1:/cb": false, "http://127.0.0.1:80x/cb": false, "http://127.0.0.1:80@evil.example/cb": false,
		"https://127.0.0.1:80/cb": false, "http://127.0.0.2:80/cb": false, "http://127.0.0.1:80/cb/": false, "http://127.0.0.1:80/CB": false, "http://127.0.0.1:80/cb?x": false, "http://127.0.0.1:80/cb#x": false, "http://127.0.0.1.evil.example/cb": false,
		"http://127.0.0.1:80evil.example/cb": false, "http://[::1]:9/cb": false, "http://[::2]:9/cb?x=1": false, "http://u@127.0.0.1:80/cb": false, "http://127.1:80/cb": false, "com.example.app:/cb2": false, "com.example.app:/": false, "http://localhost.evil.example:80/cb": false,
	} {
		r := w.authorize(native, session, "redirect_uri", uri)
		if got := r.Code == 303; got != want {
			t.Errorf("%q: %d", uri, r.Code)
		}
		if want && uri != uris[0] && uri != uris[2] && strings.HasPrefix(uri, "http") {
			if r := w.authorize(spa, session, "redirect_uri", uri); r.Code == 303 {
				t.Errorf("%q: accepted for a client that is not native", uri)
			}
		}
	}
	code := w.authorize(native, session, "redirect_uri", "http://127.0.0.1:1000/cb").at().Get("code")
	wantError(t, w.redeem(native, "grant_type", "authorization_code", "code", code, "redirect_uri", "http://127.0.0.1:1001/cb", "code_verifier", verifier), 400, "invalid_grant")
}

func TestAWrongAuthorizationRequestIsAnsweredToTheClient(t *testing.T) {
	w := newWorld(t)
	session := w.signIn(w.alice)
	for name, c := range map[string]struct {
		pairs []string
		want  string
	}{
		"without response_type":            {[]string{"response_type", ""}, "invalid_request"},
		"P-03: implicit":                   {[]string{"response_type", "token"}, "unsupported_response_type"},
		"P-03: implicit with ID token":     {[]string{"response_type", "id_token"}, "unsupported_response_type"},
		"P-03: hybrid":                     {[]string{"response_type", "code id_token"}, "unsupported_response_type"},
		"P-03: none":                       {[]string{"response_type", "none"}, "unsupported_response_type"},
		"P-02: without PKCE":               {[]string{"code_challenge", "", "code_challenge_method", ""}, "invalid_request"},
		"10.4.6: plain":                    {[]string{"code_challenge_method", "plain"}, "invalid_request"},
		"10.4.6: plain by default":         {[]string{"code_challenge_method", ""}, "invalid_request"},
		"10.4.6: s256 in lower case":       {[]string{"code_challenge_method", "s256"}, "invalid_request"},
		"a short challenge":                {[]string{"code_challenge", "abc"}, "invalid_request"},
		"a challenge with padding":         {[]string{"code_challenge", challengeOf(verifier)[:42] + "="}, "invalid_request"},
		"a request object":                 {[]string{"request", "a.b.c"}, "request_not_supported"},
		"a request by reference":           {[]string{"request_uri", "https://evil.example/r"}, "request_uri_not_supported"},
		"a registration":                   {[]string{"registration", "{}"}, "registration_not_supported"},
		"the fragment as response mode":    {[]string{"response_mode", "fragment"}, "invalid_request"},
		"no scope":                         {[]string{"scope", ""}, "invalid_scope"},
		"only foreign scopes":              {[]string{"scope", "admin"}, "invalid_scope"},
		"a malformed scope":                {[]string{"scope", "openid \"x"}, "invalid_scope"},
		"an unknown prompt":                {[]string{"prompt", "sing"}, "invalid_request"},
		"prompt none and another":          {[]string{"prompt", "none login"}, "invalid_request"},
		"a max_age that is no number":      {[]string{"max_age", "soon"}, "invalid_request"},
		"a negative max_age":               {[]string{"max_age", "-1"}, "invalid_request"},
		"a max_age beyond numbers":         {[]string{"max_age", "99999999999999999999"}, "invalid_request"},
		"a nonce of many bytes":            {[]string{"nonce", strings.Repeat("n", 3000)}, "invalid_request"},
		"another person's organization":    {[]string{"organization", w.globex.ID.String()}, "access_denied"},
		"an organization that is none":     {[]string{"organization", "../x"}, "access_denied"},
		"an organization with a long name": {[]string{"organization", strings.Repeat("x", 400)}, "invalid_request"},
	} {
		r := w.authorize(w.web, session, c.pairs...)
		got := r.at()
		if got.Get("error") != c.want || got.Get("iss") != issuer || got.Get("state") != "a state" || got.Has("code") {
			t.Errorf("%s: %v, want %s", name, got, c.want)
		}
		if !strings.HasPrefix(r.Header().Get("Location"), "https://app.example/cb?") {
			t.Errorf("%s: sent to %s", name, r.Header().Get("Location"))
		}
	}
	for _, twice := range []string{"scope=openid", "nonce=x", "response_type=code", "code_challenge=" + challengeOf(verifier), "unheard-of=1&unheard-of=2"} {
		if got := w.get("/oauth/authorize?"+w.query(w.web).Encode()+"&"+twice, session).at(); got.Get("error") != "invalid_request" || got.Get("state") != "a state" {
			t.Errorf("%s twice: %v", twice, got)
		}
	}
	if got := w.get("/oauth/authorize?"+w.query(w.web).Encode()+"&state=other", session).at(); got.Get("error") != "invalid_request" || got.Has("state") {
		t.Errorf("state twice: %v", got)
	}
	for name, raw := range map[string]string{
		"nothing": "", "a bad escape": w.query(w.web).Encode() + "&x=%zz", "no client": w.query(w.web, "client_id", "").Encode(), "an unknown client": w.query(w.web, "client_id", id.NewClient(begin).String()).Encode(),
		"a client id that is none": w.query(w.web, "client_id", "' OR 1=1 --").Encode(), "a service": w.query(w.web, "client_id", w.svc.ID.String()).Encode(), "no redirect URI": w.query(w.web, "redirect_uri", "").Encode(),
		"too many parameters": w.query(w.web).Encode() + strings.Repeat("&a=b", 100), "a NUL": w.query(w.web, "client_id", "\x00").Encode(),
	} {
		r := w.get("/oauth/authorize?"+raw, session)
		if r.Code != 400 || r.Header().Get("Location") != "" || !strings.Contains(r.Body.String(), `data-page="error"`) {
			t.Errorf("%s: %d %q", name, r.Code, r.Header().Get("Location"))
		}
	}
	// Parameters that we do not know, and empty ones, change nothing; unknown scopes are left out.
	r := w.authorize(w.web, session, "unheard-of", "x", "scope", "openid admin email openid")
	if got := w.exchange(w.web, r.at().Get("code")).json(); got["scope"] != "openid email" {
		t.Errorf("scope %v", got["scope"])
	}
	if r := w.get("/oauth/authorize?"+w.query(w.web).Encode()+"&prompt=&max_age=", session); r.at().Get("code") == "" {
		t.Error("an empty parameter is not as if absent")
	}
}

func TestPromptAndMaxAge(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		session func() string
		pairs   []string
		want    string // code, error, or "sign-in"
	}{
		"nobody":                                 {nil, nil, "sign-in"},
		"nobody, none":                           {nil, []string{"prompt", "none"}, "login_required"},
		"a session":                              {func() string { return w.signIn(w.alice) }, nil, "code"},
		"a session, none":                        {func() string { return w.signIn(w.alice) }, []string{"prompt", "none"}, "code"},
		"a cookie of no session":                 {func() string { return "gone" }, nil, "sign-in"},
		"several organizations, none":            {func() string { return w.signIn(w.bob) }, []string{"prompt", "none"}, "interaction_required"},
		"several organizations, one named":       {func() string { return w.signIn(w.bob) }, []string{"organization", "globex"}, "code"},
		"login with an old session":              {func() string { s := w.signIn(w.alice); w.now.Advance(time.Second); return s }, []string{"prompt", "login"}, "sign-in"},
		"select_account":                         {func() string { return w.signIn(w.alice) }, []string{"prompt", "select_account"}, "sign-in"},
		"a young session and max_age":            {func() string { s := w.signIn(w.alice); w.now.Advance(time.Minute); return s }, []string{"max_age", "60"}, "code"},
		"an old session and max_age":             {func() string { s := w.signIn(w.alice); w.now.Advance(61 * time.Second); return s }, []string{"max_age", "60"}, "sign-in"},
		"an old session, max_age and none":       {func() string { s := w.signIn(w.alice); w.now.Advance(61 * time.Second); return s }, []string{"max_age", "60", "prompt", "none"}, "login_required"},
		"max_age zero":                           {func() string { s := w.signIn(w.alice); w.now.Advance(time.Second); return s }, []string{"max_age", "0"}, "sign-in"},
		"one factor where two are wished":        {func() string { return w.signIn(w.alice) }, []string{"acr_values", "urn:rempart:aal2"}, "sign-in"},
		"two factors where two are wished":       {func() string { return w.signIn(w.alice, "pwd", "otp") }, []string{"acr_values", "urn:rempart:aal2"}, "code"},
		"one factor where none can be asked for": {func() string { return w.signIn(w.alice) }, []string{"acr_values", "urn:rempart:aal2", "prompt", "none"}, "code"},
		"a hint of somebody else, none":          {func() string { return w.signIn(w.alice) }, []string{"prompt", "none", "id_token_hint", "nonsense"}, "login_required"},
	} {
		session := ""
		if c.session != nil {
			session = c.session()
		}
		got := w.authorize(w.web, session, c.pairs...).at()
		switch c.want {
		case "sign-in":
			if got.Get("return") == "" {
				t.Errorf("%s: %v", name, got)
			}
		case "code":
			if got.Get("code") == "" {
				t.Errorf("%s: %v", name, got)
			}
		default:
			if got.Get("error") != c.want {
				t.Errorf("%s: %v", name, got)
			}
		}
	}
}

func TestPromptLoginIsMetOnlyByASignInWithinTheFlow(t *testing.T) {
	w := newWorld(t)
	session := w.signIn(w.alice)
	w.now.Advance(time.Minute)
	back := w.authorize(w.web, session, "prompt", "login", "login_hint", "alice@acme.example", "ui_locales", "nl-BE en").at().Get("return")
	if ask := w.asked[0]; !ask.Fresh || ask.LoginHint != "alice@acme.example" || ask.Locale != "nl" || ask.Client != "Web" || ask.Redirect != "https://app.example/cb" {
		t.Errorf("asked %+v", ask)
	}
	// Going straight back skips nothing.
	for range 3 {
		if got := w.get(back, session).at(); got.Get("return") == "" {
			t.Fatalf("skipped: %v", got)
		}
	}
	w.now.Advance(time.Minute)
	if got := w.get(back, w.signIn(w.alice)).at(); got.Get("code") == "" {
		t.Errorf("after signing in: %v", got)
	}
	// The way back ends by itself, and cannot be changed.
	if r := w.get(back+"x", session); r.Code != 400 {
		t.Errorf("changed: %d", r.Code)
	}
	if r := w.get("/oauth/continue?request=", session); r.Code != 400 {
		t.Errorf("empty: %d", r.Code)
	}
	w.now.Advance(31 * time.Minute)
	if r := w.get(back, w.signIn(w.alice)); r.Code != 400 {
		t.Errorf("late: %d", r.Code)
	}
}

func TestAFlowThatNeverGetsThereEnds(t *testing.T) {
	w := newWorld(t)
	w.barred = fault.ErrStepUp
	session := w.signIn(w.alice)
	at := "/oauth/authorize?" + w.query(w.web).Encode()
	for i := range 5 {
		got := w.get(at, session).at()
		if at = got.Get("return"); at == "" {
			t.Fatalf("round %d: %v", i, got)
		}
	}
	if got := w.get(at, session).at(); got.Get("error") != "access_denied" {
		t.Errorf("after five rounds: %v", got)
	}
	if !w.asked[0].StepUp || w.asked[0].Org != w.acme.ID {
		t.Errorf("asked %+v", w.asked[0])
	}
	w.barred = fault.ErrDenied
	if got := w.authorize(w.web, session).at(); got.Get("error") != "access_denied" {
		t.Errorf("barred: %v", got)
	}
}

var (
	hiddenRE = regexp.MustCompile(`name="request" value="([^"]*)"`)
	pageRE   = regexp.MustCompile(`data-page="([^"]*)"`)
)

// page gives the name of the page and the handle in its form.
func (r reply) page() (name, handle string) {
	if m := pageRE.FindStringSubmatch(r.Body.String()); m != nil {
		name = m[1]
	}
	if m := hiddenRE.FindStringSubmatch(r.Body.String()); m != nil {
		handle = html.UnescapeString(m[1])
	}
	return name, handle
}

func TestTheOrganizationIsChosenByWhoHasSeveral(t *testing.T) {
	w := newWorld(t)
	session := w.signIn(w.bob)
	r := w.authorize(w.web, session)
	name, handle := r.page()
	if r.Code != 200 || name != "choose-organization" || !strings.Contains(r.Body.String(), w.globex.ID.String()) || !strings.Contains(r.Body.String(), "Globex") {
		t.Fatalf("%d %s", r.Code, r.Body.String())
	}
	if csp := r.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "form-action 'self' https://app.example") || !strings.Contains(csp, "frame-ancestors 'none'") {
		t.Errorf("P-08: %s", csp)
	}
	got := w.get("/oauth/continue?request="+handle+"&organization="+w.globex.ID.String(), session).at()
	tok := w.exchange(w.web, got.Get("code")).json()
	if c := w.claims("at+jwt", tok["access_token"].(string)); c["org_id"] != w.globex.ID.String() {
		t.Errorf("org_id %v", c["org_id"])
	}
	if got := w.get("/oauth/continue?request="+handle+"&organization="+id.NewOrg(begin).String(), session).at(); got.Get("error") != "access_denied" {
		t.Errorf("a foreign organization: %v", got)
	}
	w.orgs[w.bob] = nil
	tok = w.tokens(w.web, session)
	if c := w.claims("at+jwt", tok["access_token"].(string)); c["org_id"] != nil {
		t.Errorf("org_id %v of nobody's member", c["org_id"])
	}
}

func TestAThirdPartyAsksForConsent(t *testing.T) {
	w := newWorld(t)
	third := w.addClient(provider.ClientInput{Name: "Third <b>", Type: provider.ClientWeb, RedirectURIs: []string{"https://third.example/cb"}, Scopes: []string{"openid", "email", "offline_access", "notes.read"}})
	session, other := w.signIn(w.alice), w.signIn(w.alice)
	if got := w.authorize(third, session, "scope", "openid email", "prompt", "none").at(); got.Get("error") != "consent_required" {
		t.Errorf("none: %v", got)
	}
	ask := func(scope string, pairs ...string) (string, reply) {
		t.Helper()
		r := w.authorize(third, session, append([]string{"scope", scope}, pairs...)...)
		name, handle := r.page()
		if name != "consent" || handle == "" {
			t.Fatalf("%d %s %v", r.Code, name, r.Header().Get("Location"))
		}
		return handle, r
	}
	handle, r := ask("openid email")
	body := r.Body.String()
	if !strings.Contains(body, `data-action="allow"`) || !strings.Contains(body, `data-action="deny"`) || strings.Contains(body, "<b>") || !strings.Contains(body, "third.example") {
		t.Errorf("page %s", body)
	}
	if r.Header().Get("X-Frame-Options") != "DENY" || !strings.Contains(r.Header().Get("Content-Security-Policy"), "frame-ancestors 'none'") {
		t.Error("P-08: the page may be framed")
	}
	decide := func(handle, decision, session string, header ...string) reply {
		return w.post("/oauth/consent", url.Values{"request": {handle}, "decision": {decision}}, session, header...)
	}
	if got := decide(handle, "deny", session).at(); got.Get("error") != "access_denied" || got.Get("state") != "a state" || got.Get("iss") != issuer {
		t.Errorf("deny: %v", got)
	}
	for name, r := range map[string]reply{
		"of another session": decide(handle, "allow", other), "of nobody": decide(handle, "allow", ""), "changed": decide(handle[:len(handle)-2], "allow", session),
		"without a decision": decide(handle, "", session), "of another site": decide(handle, "allow", session, "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"),
	} {
		if r.Header().Get("Location") != "" || r.Code < 400 {
			t.Errorf("%s: %d %s", name, r.Code, r.Header().Get("Location"))
		}
	}
	got := decide(handle, "allow", session)
	if got.Code != http.StatusSeeOther || got.at().Get("code") == "" {
		t.Fatalf("P-07: allow: %d %v", got.Code, got.Header())
	}
	tok := w.exchange(third, got.at().Get("code")).json()
	if c := w.claims("at+jwt", tok["access_token"].(string)); c["aud"] != issuer {
		t.Errorf("audience of a third party: %v", c["aud"])
	}
	if w.active2(tok["access_token"]) {
		t.Error("a third party's token is good for our own API")
	}
	if info := w.do(bearerRequest("GET", "/oauth/userinfo", tok["access_token"].(string)), ""); info.Code != 200 {
		t.Errorf("userinfo %d", info.Code)
	}
	// Remembered for these scopes, asked again for more, or when told to.
	w.code(third, session, "scope", "openid email", "prompt", "none")
	w.code(third, session, "scope", "openid")
	ask("openid email notes.read")
	ask("openid email", "prompt", "consent")
	// Too long after it was shown.
	w.now.Advance(11 * time.Minute)
	if r := decide(handle, "allow", session); r.Code < 400 {
		t.Errorf("late: %d", r.Code)
	}
	// Taken back, everything ends (10.4.9, 10.7.3).
	who := caller.Caller{Kind: caller.User, User: w.alice}
	apps, err := w.s.Applications(t.Context(), who)
	if err != nil || len(apps) != 1 || apps[0].Name != "Third <b>" || apps[0].Live == 0 {
		t.Fatalf("%v %+v", err, apps)
	}
	if err := w.s.RemoveApplication(t.Context(), caller.Caller{Kind: caller.User, User: w.bob}, third.ID); fault.KindOf(err) != fault.NotFound {
		t.Errorf("another person's: %v", err)
	}
	if err := w.s.RemoveApplication(t.Context(), who, third.ID); err != nil {
		t.Fatal(err)
	}
	if w.active(third, tok["access_token"]) {
		t.Error("the access token outlives the consent")
	}
	wantError(t, w.refresh(third, tok["refresh_token"]), 400, "invalid_grant")
	ask("openid email")
}

func TestANativeThirdPartyIsAskedEachTime(t *testing.T) {
	w := newWorld(t)
	c := w.addClient(provider.ClientInput{Name: "Native", Type: provider.ClientNative, RedirectURIs: []string{"http://127.0.0.1/cb"}})
	session := w.signIn(w.alice)
	for range 2 {
		_, handle := w.authorize(c, session).page()
		if r := w.post("/oauth/consent", url.Values{"request": {handle}, "decision": {"allow"}}, session); r.at().Get("code") == "" {
			t.Fatal("not allowed")
		}
	}
}

func TestAClientOfAnOrganizationIsForItsMembersOnly(t *testing.T) {
	w := newWorld(t)
	c := w.addClient(provider.ClientInput{Name: "Globex only", Type: provider.ClientWeb, FirstParty: true, Org: w.globex.ID, RedirectURIs: []string{"https://globex.example/cb"}})
	if got := w.authorize(c, w.signIn(w.alice)).at(); got.Get("error") != "access_denied" {
		t.Errorf("a stranger: %v", got)
	}
	bob := w.signIn(w.bob)
	if tok := w.tokens(c, bob); w.claims("at+jwt", tok["access_token"].(string))["org_id"] != w.globex.ID.String() {
		t.Error("a member acts in another organization")
	}
	if got := w.authorize(c, bob, "organization", "acme").at(); got.Get("error") != "access_denied" {
		t.Errorf("another organization of hers: %v", got)
	}
}

func TestAPostToTheAuthorizationEndpointContinuesAsAGet(t *testing.T) {
	w := newWorld(t)
	r := w.post("/oauth/authorize", w.query(w.web), "", "Origin", "https://app.example", "Sec-Fetch-Site", "cross-site")
	at := r.Header().Get("Location")
	if r.Code != 303 || !strings.HasPrefix(at, "/oauth/authorize?") {
		t.Fatalf("%d %s", r.Code, at)
	}
	if got := w.get(at, w.signIn(w.alice)).at(); got.Get("code") == "" || got.Get("state") != "a state" {
		t.Errorf("%v", got)
	}
	if r := w.do(func() *http.Request {
		r := bearerRequest("GET", "/oauth/authorize?"+w.query(w.web).Encode(), "x")
		return r
	}(), w.signIn(w.alice)); r.at().Get("return") == "" {
		t.Errorf("a bearer token opens a page: %v", r.Header())
	}
	if h := w.authorize(w.web, "").Header(); h.Get("Access-Control-Allow-Origin") != "" {
		t.Error("P-10: script of any origin may call authorize")
	}
}

func FuzzAuthorize(f *testing.F) {
	w := newWorld(f)
	session := w.signIn(w.alice)
	f.Add(w.query(w.web).Encode())
	f.Add("client_id=%zz&redirect_uri=https://evil.example/")
	f.Add("response_type=code;&client_id=&&&=&=x")
	f.Add(w.query(w.web, "prompt", "none", "max_age", "5", "id_token_hint", "a.b.c").Encode())
	f.Fuzz(func(t *testing.T, raw string) {
		u := &url.URL{Path: "/oauth/authorize", RawQuery: raw}
		if _, err := url.ParseRequestURI(u.String()); err != nil || strings.ContainsAny(raw, " \r\n\x00\t#") {
			return
		}
		w.t = t
		r := bearerless(u.String())
		got := w.do(r, session)
		at := got.Header().Get("Location")
		if got.Code >= 500 || at != "" && !strings.HasPrefix(at, "https://app.example/cb?") && !strings.HasPrefix(at, "/sign-in?") && !strings.HasPrefix(at, "https://spa.example/?") {
			t.Fatalf("%d %s", got.Code, at)
		}
	})
}
