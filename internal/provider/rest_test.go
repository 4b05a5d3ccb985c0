package provider_test

import (
	"encoding/json"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/provider"
	"github.com/rempart/rempart/internal/store"
)

func TestDiscoverySaysWhatIsThere(t *testing.T) {
	w := newWorld(t)
	first := w.get("/.well-known/openid-configuration", "")
	var m map[string]any
	if err := json.Unmarshal(first.Body.Bytes(), &m); err != nil || first.Code != 200 {
		t.Fatal(first.Code, err)
	}
	if m["issuer"] != issuer || m["authorization_response_iss_parameter_supported"] != true {
		t.Errorf("%v", m)
	}
	for name, want := range map[string][]any{
		"response_types_supported": {"code"}, "code_challenge_methods_supported": {"S256"}, "subject_types_supported": {"public"},
		"grant_types_supported":                 {"authorization_code", "refresh_token", "client_credentials"},
		"token_endpoint_auth_methods_supported": {"client_secret_basic", "client_secret_post", "none"}, "response_modes_supported": {"query"},
	} {
		if got := m[name].([]any); !slices.Equal(got, want) {
			t.Errorf("%s: %v", name, got)
		}
	}
	// Every endpoint that is named exists.
	patterns := []string{}
	for _, r := range w.s.Manifest().Routes {
		patterns = append(patterns, strings.SplitN(r.Pattern, " ", 2)[1])
	}
	for name, v := range m {
		if at, ok := v.(string); ok && (strings.HasSuffix(name, "_endpoint") || name == "jwks_uri") {
			if !slices.Contains(patterns, strings.TrimPrefix(at, issuer)) {
				t.Errorf("%s: there is no %s", name, at)
			}
		}
	}
	for _, path := range []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "/oauth/jwks"} {
		r := w.get(path, "")
		h := r.Header()
		if r.Code != 200 || h.Get("Content-Type") != "application/json" || h.Get("Cache-Control") != "public, max-age=300" || h.Get("Access-Control-Allow-Origin") != "*" || h.Get("ETag") == "" {
			t.Errorf("%s: %d %v", path, r.Code, h)
		}
		again := httptest.NewRequest("GET", path, nil)
		again.Header.Set("If-None-Match", h.Get("ETag"))
		if r := w.do(again, ""); r.Code != 304 || r.Body.Len() != 0 {
			t.Errorf("%s again: %d", path, r.Code)
		}
	}
	var set struct{ Keys []map[string]string }
	if err := json.Unmarshal(w.get("/oauth/jwks", "").Body.Bytes(), &set); err != nil || len(set.Keys) != 2 {
		t.Fatalf("%v %v", set, err)
	}
	for _, k := range set.Keys {
		for private := range k {
			if slices.Contains([]string{"d", "p", "q", "dp", "dq", "qi", "k", "oth"}, private) {
				t.Errorf("the key set holds %q", private)
			}
		}
	}
}

func TestP15SigningOutNeedsAHintOrAYes(t *testing.T) {
	w := newWorld(t)
	out := func(session string, pairs ...string) reply {
		q := url.Values{}
		for i := 0; i+1 < len(pairs); i += 2 {
			q.Set(pairs[i], pairs[i+1])
		}
		return w.get("/oauth/logout?"+q.Encode(), session)
	}
	const bye = "https://app.example/bye"
	session := w.signIn(w.alice)
	hint := w.tokens(w.web, session)["id_token"].(string)

	r := out(session, "post_logout_redirect_uri", bye, "state", "s")
	name, handle := r.page()
	if r.Code != 200 || name != "sign-out" || w.signedOut != 0 {
		t.Fatalf("10.6.2: without a hint: %d %s", r.Code, name)
	}
	// Another session's page, another site's POST: nothing happens.
	other := w.signIn(w.bob)
	if r := w.post("/oauth/logout/confirm", url.Values{"request": {handle}}, other); r.Code != 400 || w.signedOut != 0 {
		t.Errorf("another session: %d", r.Code)
	}
	if r := w.post("/oauth/logout/confirm", url.Values{"request": {handle}}, session, "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"); r.Code != 403 || w.signedOut != 0 {
		t.Errorf("another site: %d", r.Code)
	}
	// A hint about somebody else asks too.
	if name, _ := out(other, "id_token_hint", hint, "post_logout_redirect_uri", bye).page(); name != "sign-out" {
		t.Errorf("another person's hint: %s", name)
	}
	// Only the exact registered address is followed.
	for _, uri := range []string{"https://app.example/bye/", "https://app.example/bye?x", "https://evil.example/", "https://app.example/cb", "//evil.example", "javascript:alert(1)"} {
		s := w.signIn(w.alice)
		h := w.tokens(w.web, s)["id_token"].(string)
		r := out(s, "id_token_hint", h, "post_logout_redirect_uri", uri, "state", "s")
		if name, _ := r.page(); r.Header().Get("Location") != "" || name != "signed-out" {
			t.Errorf("%s: %d %s", uri, r.Code, r.Header().Get("Location"))
		}
	}
	got := out(session, "id_token_hint", hint, "post_logout_redirect_uri", bye, "state", "a state")
	if got.Code != 303 || got.Header().Get("Location") != bye+"?state=a+state" {
		t.Errorf("with a hint: %d %s", got.Code, got.Header().Get("Location"))
	}
	if r := w.authorize(w.web, session); r.at().Get("return") == "" {
		t.Error("the session lives")
	}
	// An expired hint is a hint still; one with a client that is not its audience is none.
	session = w.signIn(w.alice)
	hint = w.tokens(w.web, session)["id_token"].(string)
	w.now.Advance(time.Hour)
	if name, _ := out(session, "id_token_hint", hint, "client_id", w.spa.ID.String(), "post_logout_redirect_uri", bye).page(); name != "sign-out" {
		t.Errorf("a foreign client: %s", name)
	}
	if r := out(session, "id_token_hint", hint, "client_id", w.web.ID.String(), "post_logout_redirect_uri", bye); r.Code != 303 {
		t.Errorf("an expired hint: %d", r.Code)
	}
	// Confirmed, with the client named by its id.
	session = w.signIn(w.alice)
	_, handle = out(session, "client_id", w.web.ID.String(), "post_logout_redirect_uri", bye).page()
	if r := w.post("/oauth/logout/confirm", url.Values{"request": {handle}}, session); r.Code != 303 || r.Header().Get("Location") != bye {
		t.Errorf("confirmed: %d %s", r.Code, r.Header().Get("Location"))
	}
	if name, _ := out("").page(); name != "signed-out" {
		t.Errorf("nobody: %s", name)
	}
	if r := w.post("/oauth/logout", url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {bye}}, "", "Origin", "https://app.example", "Sec-Fetch-Site", "cross-site"); r.Code != 303 || !strings.HasPrefix(r.Header().Get("Location"), "/oauth/logout?") {
		t.Errorf("POST: %d %s", r.Code, r.Header().Get("Location"))
	}
}

func TestARegistrationIsCheckedWhenItIsMade(t *testing.T) {
	w := newWorld(t)
	web := func(uris ...string) provider.ClientInput {
		return provider.ClientInput{Name: "x", Type: provider.ClientWeb, RedirectURIs: uris}
	}
	for name, c := range map[string]struct {
		in provider.ClientInput
		at string
	}{
		"plain HTTP":                   {web("http://app.example/cb"), "/redirect_uris"},
		"a fragment":                   {web("https://app.example/cb#x"), "/redirect_uris"},
		"an empty fragment":            {web("https://app.example/cb#"), "/redirect_uris"},
		"a wildcard":                   {web("https://*.app.example/cb"), "/redirect_uris"},
		"a user":                       {web("https://u@app.example/cb"), "/redirect_uris"},
		"dot segments":                 {web("https://app.example/a/../cb"), "/redirect_uris"},
		"an encoded slash":             {web("https://app.example/a%2fcb"), "/redirect_uris"},
		"a backslash":                  {web("https://app.example\\cb"), "/redirect_uris"},
		"no host":                      {web("https:///cb"), "/redirect_uris"},
		"a path":                       {web("/cb"), "/redirect_uris"},
		"javascript":                   {web("javascript:alert(1)"), "/redirect_uris"},
		"a response parameter":         {web("https://app.example/cb?code=x"), "/redirect_uris"},
		"a scheme of its own":          {web("com.example.app:/cb"), "/redirect_uris"},
		"letters beyond ASCII":         {web("https://аpp.example/cb"), "/redirect_uris"},
		"none":                         {web(), "/redirect_uris"},
		"a name with a line end":       {provider.ClientInput{Name: "a\nb", Type: provider.ClientWeb, RedirectURIs: []string{"https://a.example/"}}, "/name"},
		"an unknown type":              {provider.ClientInput{Name: "x", Type: "x"}, "/type"},
		"a service with people":        {provider.ClientInput{Name: "x", Type: provider.ClientService, GrantTypes: []string{"authorization_code"}}, "/grant_types"},
		"a public client by itself":    {provider.ClientInput{Name: "x", Type: provider.ClientSPA, GrantTypes: []string{"client_credentials"}}, "/grant_types"},
		"the password grant":           {provider.ClientInput{Name: "x", Type: provider.ClientWeb, GrantTypes: []string{"password"}}, "/grant_types"},
		"refresh without code":         {provider.ClientInput{Name: "x", Type: provider.ClientWeb, GrantTypes: []string{"refresh_token", "client_credentials"}}, "/grant_types"},
		"a scope twice":                {provider.ClientInput{Name: "x", Type: provider.ClientService, Scopes: []string{"a", "a"}}, "/scopes"},
		"a scope with a space":         {provider.ClientInput{Name: "x", Type: provider.ClientService, Scopes: []string{"a b"}}, "/scopes"},
		"another algorithm":            {provider.ClientInput{Name: "x", Type: provider.ClientService, SigningAlg: "HS256"}, "/signing_alg"},
		"an audience that is no URI":   {provider.ClientInput{Name: "x", Type: provider.ClientService, Audience: "api"}, "/audience"},
		"a browser as resource server": {provider.ClientInput{Name: "x", Type: provider.ClientSPA, RedirectURIs: []string{"https://a.example/"}, Resource: "urn:x"}, "/resource"},
		"an organization that is none": {provider.ClientInput{Name: "x", Type: provider.ClientService, Org: id.NewOrg(begin)}, "/org_id"},
	} {
		_, _, err := w.s.AddClient(t.Context(), w.who, c.in)
		f := fault.Of(err)
		if f == nil || f.Kind != fault.Invalid || len(f.Fields) == 0 || f.Fields[0].Pointer != c.at {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestASecretIsRotatedWithOverlap(t *testing.T) {
	w := newWorld(t)
	try := func(secret string) int {
		return w.post("/oauth/token", url.Values{"grant_type": {"client_credentials"}}, "", "Authorization", basic(w.svc.ID.String(), secret)).Code
	}
	first := w.secret[w.svc.ID]
	if !id.IsSecret("cs", first) {
		t.Fatalf("form of the secret")
	}
	_, second, err := w.s.RotateClientSecret(t.Context(), w.who, w.svc.ID, time.Hour)
	if err != nil || try(first) != 200 || try(second) != 200 {
		t.Fatalf("in the overlap: %d %d %v", try(first), try(second), err)
	}
	w.now.Advance(time.Hour)
	if try(first) != 401 || try(second) != 200 {
		t.Errorf("after the overlap: %d %d", try(first), try(second))
	}
	_, third, err := w.s.RotateClientSecret(t.Context(), w.who, w.svc.ID, 0)
	if err != nil || try(second) != 401 || try(third) != 200 {
		t.Errorf("without overlap: %d %d %v", try(second), try(third), err)
	}
	if _, _, err := w.s.RotateClientSecret(t.Context(), w.who, w.spa.ID, 0); fault.KindOf(err) != fault.Conflict {
		t.Errorf("a public client: %v", err)
	}
	c, _ := w.s.Client(t.Context(), w.svc.ID)
	if body, _ := json.Marshal(c); strings.Contains(string(body), "hash") || strings.Contains(string(body), third[7:20]) {
		t.Errorf("the client tells its secret: %s", body)
	}
}

func TestAChangeOfAClientBitesAtOnceAndNeedsTheRightRevision(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		in := provider.ClientInput{Name: "Web 2", RedirectURIs: []string{"https://new.example/cb"}, FirstParty: true, Scopes: []string{"openid"}}
		if _, err := w.s.ChangeClient(t.Context(), w.who, w.web.ID, `"99"`, in); fault.KindOf(err) != fault.Precondition {
			t.Errorf("a wrong tag: %v", err)
		}
		c, err := w.s.ChangeClient(t.Context(), w.who, w.web.ID, w.web.ETag(), in)
		if err != nil || c.Revision != w.web.Revision+1 || c.Name != "Web 2" {
			t.Fatalf("%+v %v", c, err)
		}
		session := w.signIn(w.alice)
		if r := w.authorize(w.web, session); r.Code != 400 {
			t.Errorf("the former redirect URI: %d", r.Code)
		}
		w.web = c
		got := w.tokens(c, session)
		in.Type = provider.ClientSPA
		if _, err := w.s.ChangeClient(t.Context(), w.who, w.web.ID, "", in); fault.KindOf(err) != fault.Invalid {
			t.Errorf("another type: %v", err)
		}
		if err := w.s.RemoveClient(t.Context(), w.who, c.ID); err != nil {
			t.Fatal(err)
		}
		if w.active2(got["access_token"]) {
			t.Error("a token outlives its client")
		}
		if _, err := w.s.Client(t.Context(), c.ID); fault.KindOf(err) != fault.NotFound {
			t.Errorf("removed: %v", err)
		}
	})
}

func TestAnotherNodeFollowsWithinAPoll(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		other := &provider.Service{Store: w.s.Store, Keys: w.s.Keys, Audit: w.s.Audit, Console: w.s.Console, Log: w.s.Log, Now: w.s.Now, Issuer: issuer, APIURL: apiURL, Facts: w.facts()}
		if err := other.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		tok := w.tokens(w.web, w.signIn(w.alice))["access_token"].(string)
		if _, err := other.VerifyAccess(t.Context(), w.who, tok); err != nil {
			t.Fatal(err)
		}
		w.as(w.web, "/oauth/revoke", url.Values{"token": {tok}})
		if err := w.s.RotateSigningKey(t.Context(), w.who); err != nil {
			t.Fatal(err)
		}
		w.addClient(provider.ClientInput{Name: "Late", Type: provider.ClientService})
		if err := other.Poll(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := other.VerifyAccess(t.Context(), w.who, tok); fault.KindOf(err) != fault.Unknown {
			t.Errorf("another node accepts a revoked token: %v", err)
		}
		machine := w.redeem(w.svc, "grant_type", "client_credentials").json()["access_token"].(string)
		if _, err := other.VerifyAccess(t.Context(), w.who, machine); err != nil {
			t.Errorf("another node does not know the new key: %v", err)
		}
		if all, _ := other.Clients(t.Context()); len(all) != 4 {
			t.Errorf("another node knows %d clients", len(all))
		}
	})
}

func TestOldGrantsAreSwept(t *testing.T) {
	w := newWorld(t)
	session := w.signIn(w.alice)
	w.code(w.web, session)
	token := w.tokens(w.web, session)["refresh_token"]
	w.now.Advance(25 * time.Hour)
	if err := w.s.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := w.entries(provider.EventSwept); n != 1 {
		t.Errorf("%d entries", n)
	}
	if r := w.refresh(w.web, token); r.Code != 200 {
		t.Errorf("a live family was swept: %s", r.Body.String())
	}
	if err := w.s.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestTheEndOfASessionEndsItsGrantsInTheSameTransaction(t *testing.T) {
	w := newWorld(t)
	session := w.signIn(w.alice)
	got, offline := w.tokens(w.web, session), w.tokens(w.web, session, "scope", "openid offline_access")
	ses, err := id.ParseSession(session)
	if err != nil {
		t.Fatal(err)
	}
	pen, err := w.log.Pen(t.Context(), w.who, id.Org{}, w.alice)
	if err != nil {
		t.Fatal(err)
	}
	err = w.store.Main.Update(t.Context(), store.User(w.alice), func(tx *store.Tx) error {
		if err := w.s.EndSessionsTx(tx, w.alice, []id.Session{ses}); err != nil {
			return err
		}
		return pen.Record(tx, auditEntry("session.ended"))
	})
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, w.refresh(w.web, got["refresh_token"]), 400, "invalid_grant")
	if r := w.refresh(w.web, offline["refresh_token"]); r.Code != 200 {
		t.Errorf("offline access ended with the session: %s", r.Body.String())
	}
}

func TestEveryStatementAndTablePassesTheWall(t *testing.T) {
	m := (&provider.Service{}).Manifest()
	tables := map[string]provider.Table{}
	for _, tab := range m.Tables {
		tables[tab.Name] = tab
	}
	for _, st := range m.Statements {
		if err := store.CheckSQL(st, tables); err != nil {
			t.Error(err)
		}
	}
	each(t, func(t *testing.T, w *world) {
		for _, st := range m.Statements {
			if err := w.store.Main.Prepare(t.Context(), st); err != nil {
				t.Errorf("%s: %v", st.Name, err)
			}
		}
	})
}

func TestThePagesOfClientsAndApplications(t *testing.T) {
	w := newWorld(t)
	session := w.signIn(w.alice)
	r := w.get("/console/staff/clients", session)
	if name, _ := r.page(); r.Code != 200 || name != "clients" || !strings.Contains(r.Body.String(), w.web.ID.String()) {
		t.Errorf("list: %d %s", r.Code, name)
	}
	if r := w.get("/console/staff/clients?q=servi", session); strings.Contains(r.Body.String(), w.web.ID.String()) || !strings.Contains(r.Body.String(), w.svc.ID.String()) {
		t.Error("search does not narrow")
	}
	if r := w.get("/console/staff/clients/new", session); r.Code != 200 {
		t.Errorf("new: %d", r.Code)
	}
	bad := w.post("/console/staff/clients/new", url.Values{"name": {"N"}, "type": {"web"}, "redirect_uris": {"http://x.example/"}}, session)
	if bad.Code != 422 || !strings.Contains(bad.Body.String(), `role="alert"`) || !strings.Contains(bad.Body.String(), "https://") {
		t.Errorf("a bad URI: %d", bad.Code)
	}
	made := w.post("/console/staff/clients/new", url.Values{"name": {"New"}, "type": {"web"}, "redirect_uris": {"https://n.example/cb\r\nhttps://n.example/cb2"}, "scopes": {"openid"}, "signing_alg": {"ES256"}}, session)
	if made.Code != 200 || !strings.Contains(made.Body.String(), "rmp_cs_") {
		t.Fatalf("made: %d", made.Code)
	}
	all, _ := w.s.Clients(t.Context())
	c := all[slices.IndexFunc(all, func(c *provider.Client) bool { return c.Name == "New" })]
	if c.Name != "New" || len(c.RedirectURIs) != 2 || c.FirstParty {
		t.Errorf("%+v", c)
	}
	at := "/console/staff/clients/" + c.ID.String()
	if r := w.get(at, session); r.Code != 200 || strings.Contains(r.Body.String(), "rmp_cs_") {
		t.Errorf("the secret is told twice: %d", r.Code)
	}
	if r := w.post(at, url.Values{"name": {"Newer"}, "redirect_uris": {"https://n.example/cb"}, "scopes": {"openid"}, "signing_alg": {"ES256"}, "etag": {c.ETag()}}, session); r.Code != 303 {
		t.Errorf("changed: %d %s", r.Code, r.Body.String())
	}
	for act, want := range map[string]int{"rotate": 200, "disable": 303, "enable": 303, "x": 400} {
		if r := w.post(at+"/act", url.Values{"act": {act}}, session); r.Code != want {
			t.Errorf("%s: %d", act, r.Code)
		}
	}
	if r := w.post(at+"/act", url.Values{"act": {"remove"}, "typed": {"no"}}, session); r.Code != 422 {
		t.Errorf("removed without its name: %d", r.Code)
	}
	if r := w.post(at+"/act", url.Values{"act": {"remove"}, "typed": {"Newer"}}, session); r.Code != 303 {
		t.Errorf("remove: %d", r.Code)
	}
	if r := w.get(at, session); r.Code != 404 {
		t.Errorf("after removing: %d", r.Code)
	}
	w.tokens(w.web, session)
	if r := w.get("/account/applications", session); r.Code != 200 || !strings.Contains(r.Body.String(), w.web.ID.String()) {
		t.Errorf("applications: %d", r.Code)
	}
	if r := w.post("/account/applications", url.Values{"client": {w.web.ID.String()}}, session); r.Code != 303 {
		t.Errorf("remove an application: %d", r.Code)
	}
	if r := w.get("/account/applications", session); strings.Contains(r.Body.String(), w.web.ID.String()) {
		t.Error("it is still there")
	}
}

func TestTheAPIOfClients(t *testing.T) {
	w := newWorld(t)
	session := w.signIn(w.alice)
	call := func(method, path, body string, header ...string) reply {
		r := httptest.NewRequest(method, "/api/v1/installation/clients"+path, strings.NewReader(body))
		if body != "" {
			r.Header.Set("Content-Type", "application/json")
			if method == "PATCH" {
				r.Header.Set("Content-Type", "application/merge-patch+json")
			}
		}
		for i := 0; i+1 < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		return w.do(r, session)
	}
	made := call("POST", "", `{"name":"By API","type":"web","redirect_uris":["https://a.example/cb"]}`)
	if made.Code != 201 || !strings.HasPrefix(made.json()["client_secret"].(string), "rmp_cs_") || made.Header().Get("ETag") == "" {
		t.Fatalf("%d %s", made.Code, made.Body.String())
	}
	at := "/" + made.json()["id"].(string)
	if r := call("GET", at, ""); r.Code != 200 || r.json()["client_secret"] != nil || r.json()["name"] != "By API" {
		t.Errorf("%d %s", r.Code, r.Body.String())
	}
	if r := call("PATCH", at, `{"name":"Renamed"}`, "If-Match", made.Header().Get("ETag")); r.Code != 200 || r.json()["name"] != "Renamed" || len(r.json()["redirect_uris"].([]any)) != 1 {
		t.Errorf("%d %s", r.Code, r.Body.String())
	}
	if r := call("PATCH", at, `{"name":"Again"}`, "If-Match", made.Header().Get("ETag")); r.Code != 412 {
		t.Errorf("an old tag: %d", r.Code)
	}
	if r := call("POST", at+"/secret", `{"overlap_seconds":0}`); r.Code != 200 || r.json()["client_secret"] == made.json()["client_secret"] {
		t.Errorf("%d %s", r.Code, r.Body.String())
	}
	if r := call("POST", at+"/disable", ""); r.Code != 200 || r.json()["state"] != "disabled" {
		t.Errorf("%d %s", r.Code, r.Body.String())
	}
	if r := call("POST", at+"/enable", ""); r.Code != 200 || r.json()["state"] != "active" {
		t.Errorf("%d %s", r.Code, r.Body.String())
	}
	page := call("GET", "?limit=2", "").json()
	if len(page["items"].([]any)) != 2 || page["next_cursor"] == nil {
		t.Fatalf("%v", page)
	}
	if rest := call("GET", "?cursor="+page["next_cursor"].(string), "").json(); len(rest["items"].([]any)) != 2 || rest["next_cursor"] != nil {
		t.Errorf("%v", rest)
	}
	if r := call("DELETE", at, ""); r.Code != 204 {
		t.Errorf("%d %s", r.Code, r.Body.String())
	}
	if r := call("GET", at, ""); r.Code != 404 {
		t.Errorf("%d", r.Code)
	}
	for _, bad := range []string{`{"name":"x","type":"web","redirect_uris":["http://x.example"]}`, `{"name":"x"}`, `{"name":"x","type":"web","secret":"mine"}`} {
		if r := call("POST", "", bad); r.Code != 400 {
			t.Errorf("%s: %d %s", bad, r.Code, r.Body.String())
		}
	}
}
