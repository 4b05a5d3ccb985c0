package provider_test

import (
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/provider"
	"github.com/rempart/rempart/internal/store"
)

func basic(user, pass string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+pass))
}

func TestHowAClientAuthenticates(t *testing.T) {
	w := newWorld(t)
	cid, secret := w.web.ID.String(), w.secret[w.web.ID]
	form := func(pairs ...string) url.Values {
		v := url.Values{"grant_type": {"client_credentials"}}
		for i := 0; i+1 < len(pairs); i += 2 {
			v.Add(pairs[i], pairs[i+1])
		}
		return v
	}
	encoded := strings.ReplaceAll(cid, "_", "%5F")
	for name, c := range map[string]struct {
		form      url.Values
		header    string
		status    int
		code      string
		challenge bool
	}{
		"basic":                                {form(), basic(cid, secret), 200, "", false},
		"basic, form-encoded":                  {form(), basic(encoded, strings.ReplaceAll(secret, "_", "%5f")), 200, "", false},
		"basic in lower case":                  {form(), "basic" + basic(cid, secret)[5:], 200, "", false},
		"basic with its own client_id":         {form("client_id", cid), basic(cid, secret), 200, "", false},
		"post":                                 {form("client_id", cid, "client_secret", secret), "", 200, "", false},
		"basic and post":                       {form("client_id", cid, "client_secret", secret), basic(cid, secret), 400, "invalid_request", false},
		"basic and another client_id":          {form("client_id", w.spa.ID.String()), basic(cid, secret), 400, "invalid_request", false},
		"basic with a wrong secret":            {form(), basic(cid, secret+"x"), 401, "invalid_client", true},
		"basic with another client's secret":   {form(), basic(cid, w.secret[w.svc.ID]), 401, "invalid_client", true},
		"basic without a secret":               {form(), basic(cid, ""), 401, "invalid_client", true},
		"basic with a bad escape":              {form(), basic(cid, "%zz"), 401, "invalid_client", true},
		"basic without a colon":                {form(), "Basic " + base64.StdEncoding.EncodeToString([]byte(cid)), 401, "invalid_client", true},
		"basic that is no base64":              {form(), "Basic !!!", 401, "invalid_client", true},
		"another scheme":                       {form(), "Bearer " + secret, 401, "invalid_client", true},
		"post with a wrong secret":             {form("client_id", cid, "client_secret", "x"), "", 401, "invalid_client", false},
		"post without client_id":               {form("client_secret", secret), "", 401, "invalid_client", false},
		"a confidential client without secret": {form("client_id", cid), "", 401, "invalid_client", false},
		"nobody":                               {form(), "", 401, "invalid_client", false},
		"an unknown client":                    {form("client_id", id.NewClient(begin).String(), "client_secret", secret), "", 401, "invalid_client", false},
		"an assertion":                         {form("client_id", cid, "client_assertion", "a.b.c", "client_assertion_type", "x"), "", 401, "invalid_client", false},
		"a public client with a secret":        {form("client_id", w.spa.ID.String(), "client_secret", "x"), "", 401, "invalid_client", false},
		"a public client by basic":             {form(), basic(w.spa.ID.String(), ""), 401, "invalid_client", true},
		"a public client with a foreign grant": {form("client_id", w.spa.ID.String()), "", 400, "unauthorized_client", false},
		"a parameter twice":                    {form("client_id", cid, "client_secret", secret, "grant_type", "client_credentials"), "", 400, "invalid_request", false},
		"an unknown parameter twice":           {form("x", "1", "x", "2"), basic(cid, secret), 400, "invalid_request", false},
		"an unknown parameter":                 {form("x", "1"), basic(cid, secret), 200, "", false},
	} {
		h := []string{}
		if c.header != "" {
			h = []string{"Authorization", c.header}
		}
		r := w.post("/oauth/token", c.form, "", h...)
		if c.status == 200 {
			if r.Code != 200 {
				t.Errorf("%s: %d %s", name, r.Code, r.Body.String())
			}
			continue
		}
		if r.Code != c.status || r.json()["error"] != c.code || r.Header().Get("Pragma") != "no-cache" {
			t.Errorf("%s: %d %s", name, r.Code, r.Body.String())
		}
		if got := strings.HasPrefix(r.Header().Get("WWW-Authenticate"), "Basic "); got != c.challenge {
			t.Errorf("%s: WWW-Authenticate %q", name, r.Header().Get("WWW-Authenticate"))
		}
	}
	for name, grant := range map[string]string{"P-03: password": "password", "P-03: implicit": "implicit", "no such grant": "x", "token exchange": "urn:ietf:params:oauth:grant-type:token-exchange"} {
		r := w.redeem(w.web, "grant_type", grant, "username", "alice", "password", "x")
		if r.Code != 400 || r.json()["error"] != "unsupported_grant_type" {
			t.Errorf("%s: %d %s", name, r.Code, r.Body.String())
		}
	}
	wantError(t, w.redeem(w.web), 400, "invalid_request")
	// Nothing but a form is read, and nothing of the URL.
	for media, body := range map[string]string{"application/json": `{"grant_type":"client_credentials"}`, "": "grant_type=client_credentials", "multipart/form-data; boundary=x": "--x--", "application/x-www-form-urlencoded": "grant_type=%zz"} {
		r := httptest.NewRequest("POST", "/oauth/token?grant_type=client_credentials&client_id="+cid+"&client_secret="+secret, strings.NewReader(body))
		r.Header.Set("Content-Type", media)
		if got := w.do(r, ""); got.Code != 400 || got.json()["error"] != "invalid_request" {
			t.Errorf("%q: %d %s", media, got.Code, got.Body.String())
		}
	}
	big := httptest.NewRequest("POST", "/oauth/token", strings.NewReader("x="+strings.Repeat("a", 64<<10)))
	big.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if got := w.do(big, ""); got.Code != 400 {
		t.Errorf("a large body: %d", got.Code)
	}
	if r := w.get("/oauth/token", ""); r.Code != 405 {
		t.Errorf("GET: %d", r.Code)
	}
}

func TestACodeIsBoundToEverythingItWasIssuedFor(t *testing.T) {
	w := newWorld(t)
	session := w.signIn(w.alice)
	code := w.code(w.web, session)
	good := []string{"grant_type", "authorization_code", "code", code, "redirect_uri", "https://app.example/cb", "code_verifier", verifier}
	for name, c := range map[string]struct {
		client *provider.Client
		pairs  []string
		want   string
	}{
		"another client":              {w.spa, nil, "invalid_grant"},
		"another redirect URI":        {w.web, []string{"redirect_uri", "https://app.example/"}, "invalid_grant"},
		"no redirect URI":             {w.web, []string{"redirect_uri", ""}, "invalid_grant"},
		"P-02: another verifier":      {w.web, []string{"code_verifier", strings.Repeat("b", 43)}, "invalid_grant"},
		"P-02: no verifier":           {w.web, []string{"code_verifier", ""}, "invalid_grant"},
		"P-02: challenge as verifier": {w.web, []string{"code_verifier", challengeOf(verifier)}, "invalid_grant"},
		"P-02: a longer verifier":     {w.web, []string{"code_verifier", verifier + "A"}, "invalid_grant"},
		"no code":                     {w.web, []string{"code", ""}, "invalid_request"},
		"another code":                {w.web, []string{"code", id.NewSecret("ac")}, "invalid_grant"},
		"a code with one other digit": {w.web, []string{"code", code[:10] + "~" + code[11:]}, "invalid_grant"},
	} {
		wantError(t, w.redeem(c.client, append(slices.Clone(good), c.pairs...)...), 400, c.want)
		if t.Failed() {
			t.Fatal(name)
		}
	}
	// None of these tries has used the code up.
	if r := w.redeem(w.web, good...); r.Code != 200 {
		t.Errorf("the right one: %d %s", r.Code, r.Body.String())
	}
}

func TestARefreshTokenIsBoundAndItsScopeOnlyNarrows(t *testing.T) {
	w := newWorld(t)
	session := w.signIn(w.alice)
	got := w.tokens(w.web, session)
	token := got["refresh_token"].(string)
	wantError(t, w.refresh(w.spa, token), 400, "invalid_grant")
	wantError(t, w.redeem(w.web, "grant_type", "refresh_token"), 400, "invalid_request")
	wantError(t, w.refresh(w.web, "rmp_rt_x"), 400, "invalid_grant")
	wantError(t, w.refresh(w.web, got["access_token"]), 400, "invalid_grant")
	wantError(t, w.redeem(w.web, "grant_type", "refresh_token", "refresh_token", token, "scope", "openid offline_access"), 400, "invalid_scope")
	r := w.redeem(w.web, "grant_type", "refresh_token", "refresh_token", token, "scope", "email")
	next := r.json()
	if next["scope"] != "email" || next["id_token"] != nil {
		t.Errorf("narrowed: %v", next)
	}
	if again := w.refresh(w.web, next["refresh_token"]).json(); again["scope"] != "openid profile email" {
		t.Errorf("the grant itself was narrowed: %v", again["scope"])
	}
	// The organization's rules are asked at each refresh.
	token = w.tokens(w.web, session)["refresh_token"].(string)
	w.barred = fault.ErrDenied
	wantError(t, w.refresh(w.web, token), 400, "invalid_grant")
	w.barred = fault.New(fault.Unavailable, "web.error.unavailable", nil)
	if r := w.refresh(w.web, token); r.Code != 503 {
		t.Errorf("a rule that cannot be asked: %d", r.Code)
	}
	w.barred = nil
	if r := w.refresh(w.web, token); r.Code != 200 {
		t.Errorf("after a refusal by rule: %d", r.Code)
	}
}

func TestAClientActsOnItsOwnBehalf(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		count := func() (n int) {
			n = w.entries(provider.EventTokenIssued)
			return n
		}
		before := count()
		got := w.redeem(w.svc, "grant_type", "client_credentials").json()
		if got["scope"] != "notes.read notes.write" || got["refresh_token"] != nil || got["id_token"] != nil {
			t.Errorf("%v", got)
		}
		c := w.claims("at+jwt", got["access_token"].(string))
		if c["sub"] != w.svc.ID.String() || c["client_id"] != w.svc.ID.String() || c["sid"] != nil || c["auth_time"] != nil {
			t.Errorf("%v", c)
		}
		who, err := w.s.VerifyAccess(t.Context(), caller.Caller{}, got["access_token"].(string))
		if err != nil || who.Kind != caller.Client || who.Client != w.svc.ID || !who.User.IsZero() || !slices.Equal(who.Scopes, []string{"notes.read", "notes.write"}) {
			t.Errorf("%+v %v", who, err)
		}
		if got := w.redeem(w.svc, "grant_type", "client_credentials", "scope", "notes.read").json(); got["scope"] != "notes.read" {
			t.Errorf("%v", got)
		}
		wantError(t, w.redeem(w.svc, "grant_type", "client_credentials", "scope", "notes.read admin"), 400, "invalid_scope")
		if r := w.do(bearerRequest("GET", "/oauth/userinfo", got["access_token"].(string)), ""); r.Code != 403 || !strings.Contains(r.Header().Get("WWW-Authenticate"), "insufficient_scope") {
			t.Errorf("userinfo %d %q", r.Code, r.Header().Get("WWW-Authenticate"))
		}
		if n := count() - before; n != 2 {
			t.Errorf("%d entries for two tokens", n)
		}
	})
}

var countEntries = store.NewSet("audit").Add("count_kind", `SELECT count(*) FROM audit_entries WHERE kind = $1`, store.ForSystem)

// entries counts those of the kind in all logs.
func (w *world) entries(kind string) (n int) {
	w.t.Helper()
	err := w.store.Main.View(w.t.Context(), store.System("test"), func(tx *store.Tx) error { return tx.Row(countEntries, kind).Scan(&n) })
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

func TestEveryActAndRefusalLeavesAnEntry(t *testing.T) {
	w := newWorld(t)
	session := w.signIn(w.alice)
	for kind, act := range map[string]func(){
		provider.EventCodeIssued:           func() { w.code(w.web, session) },
		provider.EventTokenRefreshed:       func() { w.refresh(w.web, w.tokens(w.web, session)["refresh_token"]) },
		provider.EventClientRefused:        func() { w.post("/oauth/token", url.Values{}, "", "Authorization", basic("x", "y")) },
		provider.EventTokenRefused:         func() { w.exchange(w.web, id.NewSecret("ac")) },
		provider.EventAuthorizationRefused: func() { w.authorize(w.web, session, "organization", "globex") },
		provider.EventCodeReused:           func() { c := w.code(w.web, session); w.exchange(w.web, c); w.exchange(w.web, c) },
		provider.EventRefreshReused: func() {
			r := w.tokens(w.web, session)["refresh_token"]
			w.refresh(w.web, r)
			w.refresh(w.web, r)
		},
		provider.EventGrantEnded: func() {
			w.as(w.web, "/oauth/revoke", url.Values{"token": {w.tokens(w.web, session)["refresh_token"].(string)}})
		},
		provider.EventKeyRotated: func() {
			if err := w.s.RotateSigningKey(t.Context(), w.who); err != nil {
				t.Error(err)
			}
		},
		provider.EventClientSecretRotated: func() { w.s.RotateClientSecret(t.Context(), w.who, w.svc.ID, 0) },
	} {
		before := w.entries(kind)
		act()
		if after := w.entries(kind); after != before+1 {
			t.Errorf("%s: %d entries", kind, after-before)
		}
	}
}

func TestAnIndependentRelyingPartyLibraryVerifiesTheIDToken(t *testing.T) {
	w := newWorld(t)
	w.now.Set(time.Now())
	// To the keyring the machine was off meanwhile: it wants a fresh copy first.
	if err := w.s.Keys.MakeCopies(t.Context()); err != nil {
		t.Fatal(err)
	}
	tok := w.tokens(w.web, w.signIn(w.alice))
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(w.get("/oauth/jwks", "").Body.Bytes(), &set); err != nil {
		t.Fatal(err)
	}
	keys := &oidc.StaticKeySet{}
	for _, k := range set.Keys {
		keys.PublicKeys = append(keys.PublicKeys, k.Key)
	}
	v := oidc.NewVerifier(issuer, keys, &oidc.Config{ClientID: w.web.ID.String(), SupportedSigningAlgs: []string{"ES256"}})
	it, err := v.Verify(t.Context(), tok["id_token"].(string))
	if err != nil || it.Subject != w.alice.String() || it.Nonce != "a nonce" {
		t.Fatalf("%+v %v", it, err)
	}
	if err := it.VerifyAccessToken(tok["access_token"].(string)); err != nil {
		t.Errorf("at_hash: %v", err)
	}
}

func TestRotatedKeysSignFromThenOnAndOldTokensStayVerifiable(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		kid := func(token any) string {
			raw, _ := base64.RawURLEncoding.DecodeString(strings.Split(token.(string), ".")[0])
			var h struct{ Kid string }
			_ = json.Unmarshal(raw, &h)
			return h.Kid
		}
		old := w.redeem(w.svc, "grant_type", "client_credentials").json()["access_token"]
		before := w.get("/oauth/jwks", "").Body.String()
		tag := w.get("/oauth/jwks", "").Header().Get("ETag")
		if err := w.s.RotateSigningKey(t.Context(), w.who); err != nil {
			t.Fatal(err)
		}
		next := w.redeem(w.svc, "grant_type", "client_credentials").json()["access_token"]
		if kid(next) == kid(old) || !strings.Contains(before, kid(next)) {
			t.Error("the new key was not announced before it signed")
		}
		w.claims("at+jwt", old.(string))
		w.claims("at+jwt", next.(string))
		if !w.active(w.svc, old) || !w.active(w.svc, next) {
			t.Error("a token died with the rotation")
		}
		if w.get("/oauth/jwks", "").Header().Get("ETag") == tag {
			t.Error("the tag of the key set stayed")
		}
		if err := w.s.RotateDue(t.Context()); err != nil {
			t.Fatal(err)
		}
		if kid(w.redeem(w.svc, "grant_type", "client_credentials").json()["access_token"]) != kid(next) {
			t.Error("a young key was rotated")
		}
		w.now.Advance(30 * 24 * time.Hour)
		if err := w.s.RotateDue(t.Context()); err != nil {
			t.Fatal(err)
		}
		if kid(w.redeem(w.svc, "grant_type", "client_credentials").json()["access_token"]) == kid(next) {
			t.Error("an old key was not rotated")
		}
		if strings.Contains(w.get("/oauth/jwks", "").Body.String(), kid(old)) {
			t.Error("a key retired for a month is still published")
		}
	})
}

func TestRS256IsMadeOnFirstNeed(t *testing.T) {
	w := newWorld(t)
	if strings.Contains(w.get("/oauth/jwks", "").Body.String(), "RSA") {
		t.Error("an RSA key without need")
	}
	c := w.addClient(provider.ClientInput{Name: "Old", Type: provider.ClientService, FirstParty: true, Scopes: []string{"x"}, SigningAlg: "RS256"})
	tok := w.redeem(c, "grant_type", "client_credentials").json()["access_token"].(string)
	w.claims("at+jwt", tok)
	if len(strings.Split(tok, ".")[2]) != 512 {
		t.Error("not signed with 3072 bits")
	}
	if !w.active(c, tok) {
		t.Error("not active")
	}
}

// forge signs claims as the header says, with whatever key a forger has.
func forge(header map[string]any, claims []byte, sign func([]byte) []byte) string {
	h, _ := json.Marshal(header)
	enc := base64.RawURLEncoding.EncodeToString
	in := enc(h) + "." + enc(claims)
	return in + "." + enc(sign([]byte(in)))
}

func TestP12NoTokenButAnAccessTokenOfOursIsAccepted(t *testing.T) {
	w := newWorld(t)
	session := w.signIn(w.alice)
	tok := w.tokens(w.web, session)
	good := tok["access_token"].(string)
	parts := strings.Split(good, ".")
	claims, _ := base64.RawURLEncoding.DecodeString(parts[1])
	var header map[string]any
	raw, _ := base64.RawURLEncoding.DecodeString(parts[0])
	if err := json.Unmarshal(raw, &header); err != nil {
		t.Fatal(err)
	}
	var set jose.JSONWebKeySet
	_ = json.Unmarshal(w.get("/oauth/jwks", "").Body.Bytes(), &set)
	public := set.Key(header["kid"].(string))[0].Key.(*ecdsa.PublicKey)
	spki, _ := x509.MarshalPKIXPublicKey(public)
	own, _ := ecdsa.GenerateKey(public.Curve, rand.Reader)
	es := func(k *ecdsa.PrivateKey) func([]byte) []byte {
		return func(in []byte) []byte {
			sum := sha256.Sum256(in)
			r, s, _ := ecdsa.Sign(rand.Reader, k, sum[:])
			return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
		}
	}
	hs := func(key []byte) func([]byte) []byte {
		return func(in []byte) []byte { m := hmac.New(sha256.New, key); m.Write(in); return m.Sum(nil) }
	}
	with := func(pairs ...any) map[string]any {
		out := map[string]any{}
		for k, v := range header {
			out[k] = v
		}
		for i := 0; i+1 < len(pairs); i += 2 {
			out[pairs[i].(string)] = pairs[i+1]
		}
		return out
	}
	none := func([]byte) []byte { return nil }
	jwk, _ := json.Marshal(jose.JSONWebKey{Key: own.Public(), KeyID: header["kid"].(string), Algorithm: "ES256"})
	bad := map[string]string{
		"9.1.2: none":                      forge(with("alg", "none"), claims, none),
		"9.1.2: None":                      forge(with("alg", "None"), claims, none),
		"9.1.2: no signature":              parts[0] + "." + parts[1] + ".",
		"9.1.2: HS256 with the public key": forge(with("alg", "HS256"), claims, hs(spki)),
		"9.1.2: HS256 with an empty key":   forge(with("alg", "HS256"), claims, hs(nil)),
		"9.1.2: ES384":                     forge(with("alg", "ES384"), claims, es(own)),
		"9.1.2: RS256":                     forge(with("alg", "RS256"), claims, es(own)),
		"9.1.1: another key":               forge(with(), claims, es(own)),
		"9.1.3: its own jwk":               forge(with("jwk", json.RawMessage(jwk)), claims, es(own)),
		"9.1.3: jku":                       forge(with("jku", "https://evil.example/jwks"), claims, es(own)),
		"9.1.3: x5u":                       forge(with("x5u", "https://evil.example/x"), claims, es(own)),
		"9.1.3: kid as a path":             forge(with("kid", "../../dev/null"), claims, hs(nil)),
		"9.1.3: kid as SQL":                forge(with("kid", "x' UNION SELECT 'k"), claims, es(own)),
		"a critical extension":             forge(with("crit", []string{"exp"}), claims, es(own)),
		"9.2.2: the ID token":              tok["id_token"].(string),
		"9.2.2: the refresh token":         tok["refresh_token"].(string),
		"9.2.2: typ JWT on the claims":     base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","kid":"`+header["kid"].(string)+`","typ":"JWT"}`)) + "." + parts[1] + "." + parts[2],
		"zero r and s":                     parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 64)),
		"a signature in DER":               parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString([]byte{0x30, 6, 2, 1, 1, 2, 1, 1}),
		"padding":                          good + "==",
		"a line end":                       good + "\n",
		"a fourth part":                    good + ".x",
		"two parts":                        parts[0] + "." + parts[1],
		"white space before":               " " + good,
		"empty":                            "",
		"dots":                             "..",
		"very long":                        strings.Repeat("a", 1<<16) + "." + parts[1] + "." + parts[2],
	}
	for name, token := range bad {
		if _, err := w.s.VerifyAccess(t.Context(), w.who, token); fault.KindOf(err) != fault.Unknown {
			t.Errorf("%s: %v", name, err)
		}
		if token != "" && len(token) < 8<<10 && w.active(w.web, token) && name != "9.2.2: the refresh token" {
			t.Errorf("%s is active", name)
		}
	}
	// Each character flipped.
	for i := range good {
		b := []byte(good)
		if b[i] == 'A' {
			b[i] = 'B'
		} else {
			b[i] = 'A'
		}
		if w.active2(string(b)) {
			t.Errorf("9.1.1: character %d may be changed", i)
		}
	}
	if !w.active2(good) {
		t.Error("the good one is refused")
	}
	// 9.2.3: another audience.
	other := w.addClient(provider.ClientInput{Name: "Other", Type: provider.ClientWeb, FirstParty: true, RedirectURIs: []string{"https://o.example/"}, Audience: apiURL + "/x"})
	if w.active2(w.tokens(other, session)["access_token"]) {
		t.Error("9.2.3: a token for another audience is accepted")
	}
}

func TestAResourceServerIntrospectsTokensForItself(t *testing.T) {
	w := newWorld(t)
	const api = "https://notes.example/api"
	rs := w.addClient(provider.ClientInput{Name: "Notes API", Type: provider.ClientService, FirstParty: true, Resource: api})
	app := w.addClient(provider.ClientInput{Name: "Notes", Type: provider.ClientSPA, FirstParty: true, RedirectURIs: []string{"https://notes.example/"}, Audience: api})
	tok := w.tokens(app, w.signIn(w.alice))
	if !w.active(rs, tok["access_token"]) {
		t.Error("its own audience is hidden")
	}
	if w.active(rs, tok["refresh_token"]) {
		t.Error("a refresh token is shown to a resource server")
	}
	if w.active(w.svc, tok["access_token"]) {
		t.Error("P-13: shown to a stranger")
	}
	wantError(t, w.as(app, "/oauth/introspect", url.Values{"token": {tok["access_token"].(string)}}), 401, "invalid_client")
	wantError(t, w.as(rs, "/oauth/introspect", url.Values{}), 400, "invalid_request")
	got := w.as(rs, "/oauth/introspect", url.Values{"token": {tok["access_token"].(string)}}).json()
	if got["sub"] != w.alice.String() || got["client_id"] != app.ID.String() || got["aud"] != api || got["token_type"] != "Bearer" || got["exp"] == nil {
		t.Errorf("%v", got)
	}
}

func TestUserinfoTakesATokenAsTheStandardSays(t *testing.T) {
	w := newWorld(t)
	tok := w.tokens(w.web, w.signIn(w.alice))["access_token"].(string)
	if r := w.post("/oauth/userinfo", url.Values{"access_token": {tok}}, ""); r.Code != 200 || r.json()["sub"] != w.alice.String() {
		t.Errorf("in the body: %d %s", r.Code, r.Body.String())
	}
	if r := w.do(bearerRequest("POST", "/oauth/userinfo", tok), ""); r.Code != 200 {
		t.Errorf("POST with a header: %d", r.Code)
	}
	if r := w.post("/oauth/userinfo", url.Values{"access_token": {tok}}, "", "Authorization", "Bearer "+tok); r.Code != 400 {
		t.Errorf("twice: %d", r.Code)
	}
	if r := w.get("/oauth/userinfo?access_token="+tok, ""); r.Code != 401 || strings.Contains(r.Header().Get("WWW-Authenticate"), "error") {
		t.Errorf("in the query: %d %q", r.Code, r.Header().Get("WWW-Authenticate"))
	}
	if r := w.do(bearerRequest("GET", "/oauth/userinfo", "nonsense"), ""); r.Code != 401 || !strings.Contains(r.Header().Get("WWW-Authenticate"), `error="invalid_token"`) {
		t.Errorf("nonsense: %d %q", r.Code, r.Header().Get("WWW-Authenticate"))
	}
	if r := w.do(bearerRequest("GET", "/oauth/userinfo", tok), ""); r.Header().Get("Access-Control-Allow-Origin") != "*" {
		t.Error("script of a relying party may not ask")
	}
	only := w.tokens(w.web, w.signIn(w.alice), "scope", "openid")["access_token"].(string)
	if r := w.do(bearerRequest("GET", "/oauth/userinfo", only), ""); r.json()["email"] != nil || r.json()["name"] != nil {
		t.Errorf("claims beyond the scope: %s", r.Body.String())
	}
}

func FuzzBasic(f *testing.F) {
	f.Add("Basic YTpi")
	f.Add("basic  YTpi")
	f.Add("Basic %%%")
	f.Fuzz(func(t *testing.T, h string) {
		user, pass, ok := provider.ParseBasic(h)
		if ok && (user == "" || len(user)+len(pass) > len(h)) {
			t.Fatalf("%q reads as %q %q", h, user, pass)
		}
	})
}
