package provider_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/rempart/rempart/internal/fault"
)

// claims verifies a token with an independent library and the published keys.
func (w *world) claims(typ, token string) map[string]any {
	w.t.Helper()
	var set jose.JSONWebKeySet
	body := w.get("/oauth/jwks", "").Body.Bytes()
	if err := jsonUnmarshal(body, &set); err != nil {
		w.t.Fatal(err)
	}
	tok, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256, jose.RS256})
	if err != nil {
		w.t.Fatal(err)
	}
	h := tok.Headers[0]
	keys := set.Key(h.KeyID)
	if len(keys) != 1 || keys[0].Algorithm != h.Algorithm || keys[0].Use != "sig" || h.ExtraHeaders["typ"] != typ {
		w.t.Fatalf("header %+v does not fit the key set", h)
	}
	out := map[string]any{}
	if err := tok.Claims(keys[0].Key, &out); err != nil {
		w.t.Fatal(err)
	}
	return out
}

func TestASignInGivesTokensThatAnIndependentLibraryAccepts(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		session := w.signIn(w.alice, "pwd", "otp")
		r := w.authorize(w.web, session)
		if got := r.at(); got.Get("iss") != issuer || got.Get("state") != "a state" {
			t.Fatalf("P-06: response %v", got)
		}
		if !strings.HasPrefix(r.Header().Get("Location"), "https://app.example/cb?") {
			t.Fatalf("sent to %s", r.Header().Get("Location"))
		}
		w.now.Advance(10 * time.Second)
		answer := w.exchange(w.web, r.at().Get("code"))
		if answer.Code != 200 || answer.Header().Get("Cache-Control") != "no-store" || answer.Header().Get("Pragma") != "no-cache" {
			t.Fatalf("%d %v", answer.Code, answer.Header())
		}
		got := answer.json()
		if got["token_type"] != "Bearer" || got["expires_in"] != 300.0 || got["scope"] != "openid profile email" {
			t.Errorf("answer %v", got)
		}
		it := w.claims("JWT", got["id_token"].(string))
		sum := sha256.Sum256([]byte(got["access_token"].(string)))
		now := float64(w.now.Now().Unix())
		for name, want := range map[string]any{
			"iss": issuer, "sub": w.alice.String(), "aud": w.web.ID.String(), "azp": w.web.ID.String(), "nonce": "a nonce", "sid": session,
			"iat": now, "exp": now + 300, "auth_time": now - 10, "acr": "urn:rempart:aal2", "at_hash": base64.RawURLEncoding.EncodeToString(sum[:16]),
			"org_id": w.acme.ID.String(), "org_name": "Acme", "email": "alice@acme.example", "email_verified": true, "name": "Alice Martin",
		} {
			if it[name] != want {
				t.Errorf("P-14: ID token %s = %v, want %v", name, it[name], want)
			}
		}
		if amr := it["amr"].([]any); len(amr) != 3 || amr[2] != "mfa" {
			t.Errorf("amr %v", amr)
		}
		at := w.claims("at+jwt", got["access_token"].(string))
		for name, want := range map[string]any{
			"iss": issuer, "sub": w.alice.String(), "aud": apiURL, "client_id": w.web.ID.String(), "scope": "openid profile email", "sid": session,
			"iat": now, "exp": now + 300, "org_id": w.acme.ID.String(),
		} {
			if at[name] != want {
				t.Errorf("access token %s = %v, want %v", name, at[name], want)
			}
		}
		if at["gid"] == "" || at["jti"] == "" {
			t.Errorf("access token %v", at)
		}
		info := w.do(bearerRequest("GET", "/oauth/userinfo", got["access_token"].(string)), "")
		if info.Code != 200 || info.json()["sub"] != it["sub"] || info.json()["email"] != "alice@acme.example" {
			t.Errorf("userinfo %d %s", info.Code, info.Body.String())
		}
		if !w.active(w.web, got["access_token"]) || !w.active(w.web, got["refresh_token"]) {
			t.Error("a new token is not active")
		}
	})
}

func TestARefreshRotatesAndReuseEndsTheFamily(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		first := w.tokens(w.spa, w.signIn(w.alice))
		r := w.refresh(w.spa, first["refresh_token"])
		if r.Code != 200 {
			t.Fatal(r.Body.String())
		}
		second := r.json()
		if second["refresh_token"] == first["refresh_token"] || w.claims("JWT", second["id_token"].(string))["nonce"] != nil {
			t.Error("the second answer repeats the first")
		}
		if !w.active2(second["access_token"]) {
			t.Error("not active before the reuse")
		}
		wantError(t, w.refresh(w.spa, first["refresh_token"]), 400, "invalid_grant")
		wantError(t, w.refresh(w.spa, second["refresh_token"]), 400, "invalid_grant")
		if w.active2(first["access_token"]) || w.active2(second["access_token"]) {
			t.Error("P-04: an access token of the family lives")
		}
	})
}

// active2 asks our own API's question about an access token.
func (w *world) active2(token any) bool {
	w.t.Helper()
	_, err := w.s.VerifyAccess(w.t.Context(), w.who, token.(string))
	if err != nil && fault.KindOf(err) != fault.Unknown {
		w.t.Fatal(err)
	}
	return err == nil
}

func TestACodeWorksOnceAndItsReuseEndsTheGrant(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		session := w.signIn(w.alice)
		for _, c := range []string{"confidential", "public"} {
			client := w.web
			if c == "public" {
				client = w.spa
			}
			code := w.code(client, session)
			r := w.exchange(client, code)
			got := r.json()
			wantError(t, w.exchange(client, code), 400, "invalid_grant")
			if w.active2(got["access_token"]) {
				t.Errorf("ASVS 10.4.2: %s: access token lives after the reuse of its code", c)
			}
			wantError(t, w.refresh(client, got["refresh_token"]), 400, "invalid_grant")
		}
		// Without the verifier, a leaked code of a public client ends nothing.
		code := w.code(w.spa, session)
		got := w.exchange(w.spa, code).json()
		wantError(t, w.redeem(w.spa, "grant_type", "authorization_code", "code", code, "redirect_uri", "https://spa.example/", "code_verifier", strings.Repeat("a", 43)), 400, "invalid_grant")
		if !w.active2(got["access_token"]) {
			t.Error("who knew only the code has ended the grant")
		}
	})
}

func TestOfFiftyParallelUsesOneSucceedsAndTheFamilyEnds(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		session := w.signIn(w.alice)
		race := func(name string, use func() reply) {
			t.Helper()
			var mu sync.Mutex
			var wg sync.WaitGroup
			var won []map[string]any
			for range 50 {
				wg.Go(func() {
					r := use()
					mu.Lock()
					defer mu.Unlock()
					if r.Code == 200 {
						won = append(won, r.json())
					} else if r.Code != 400 {
						t.Errorf("%s: %d %s", name, r.Code, r.Body.String())
					}
				})
			}
			wg.Wait()
			if len(won) != 1 {
				t.Fatalf("%s: %d successes", name, len(won))
			}
			if w.active2(won[0]["access_token"]) || w.refresh(w.web, won[0]["refresh_token"]).Code == 200 {
				t.Errorf("%s: the family lives", name)
			}
		}
		code := w.code(w.web, session)
		race("code", func() reply { return w.exchange(w.web, code) })
		token := w.tokens(w.web, session)["refresh_token"]
		race("refresh", func() reply { return w.refresh(w.web, token) })
	})
}

func TestTheLimitsOfTimeHold(t *testing.T) {
	w := newWorld(t)
	session := w.signIn(w.alice)
	for name, c := range map[string]struct {
		wait time.Duration
		want int
	}{"a code just before its end": {59 * time.Second, 200}, "a code at its end": {60 * time.Second, 400}, "a code after its end": {time.Hour, 400}} {
		code := w.code(w.web, session)
		w.now.Advance(c.wait)
		if r := w.exchange(w.web, code); r.Code != c.want {
			t.Errorf("%s: %d", name, r.Code)
		}
	}
	got := w.tokens(w.web, session)
	w.now.Advance(5*time.Minute - time.Second)
	if !w.active2(got["access_token"]) {
		t.Error("9.2.1: the access token ends early")
	}
	w.now.Advance(time.Second)
	if w.active2(got["access_token"]) {
		t.Error("9.2.1: the access token outlives its exp")
	}
	w.now.Advance(-7 * time.Minute)
	if w.active2(got["access_token"]) {
		t.Error("9.2.1: a token issued in the future is accepted")
	}
	// Refreshing never extends the family.
	w.now.Advance(7 * time.Minute)
	token := got["refresh_token"]
	for range 30 {
		w.now.Advance(24*time.Hour - time.Minute)
		if r := w.refresh(w.web, token); r.Code == 200 {
			token = r.json()["refresh_token"]
		} else {
			t.Fatalf("10.4.8: ended early: %s", r.Body.String())
		}
	}
	w.now.Advance(time.Hour)
	wantError(t, w.refresh(w.web, token), 400, "invalid_grant")
}

func TestARevokedGrantIsDeadAtOnce(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		session := w.signIn(w.alice)
		for _, which := range []string{"refresh_token", "access_token"} {
			got := w.tokens(w.web, session)
			// P-13: another client learns nothing and ends nothing.
			if w.active(w.svc, got["access_token"]) || w.active(w.svc, got["refresh_token"]) {
				t.Error("P-13: another client sees the token")
			}
			if r := w.as(w.spa, "/oauth/revoke", url.Values{"token": {got[which].(string)}}); r.Code != 400 {
				t.Errorf("P-13: another client's revocation: %d", r.Code)
			}
			if !w.active(w.web, got["access_token"]) {
				t.Fatal("P-13: another client has revoked the token")
			}
			if r := w.as(w.web, "/oauth/revoke", url.Values{"token": {got[which].(string)}}); r.Code != 200 {
				t.Errorf("revoke: %d %s", r.Code, r.Body.String())
			}
			if w.active(w.web, got["access_token"]) || w.active(w.web, got["refresh_token"]) || w.active2(got["access_token"]) {
				t.Errorf("a token lives after %s was revoked", which)
			}
			wantError(t, w.refresh(w.web, got["refresh_token"]), 400, "invalid_grant")
		}
		machine := w.redeem(w.svc, "grant_type", "client_credentials").json()
		if !w.active(w.svc, machine["access_token"]) {
			t.Fatal("a new token is not active")
		}
		w.as(w.svc, "/oauth/revoke", url.Values{"token": {machine["access_token"].(string)}})
		if w.active(w.svc, machine["access_token"]) {
			t.Error("a token of client_credentials lives after its revocation")
		}
		for _, unknown := range []string{"nonsense", "rmp_rt_" + strings.Repeat("0", 43) + "_000000", "a.b.c"} {
			if r := w.as(w.web, "/oauth/revoke", url.Values{"token": {unknown}}); r.Code != 200 {
				t.Errorf("revoking %q: %d", unknown, r.Code)
			}
		}
	})
}

func TestWhatIsDisabledEndsItsTokens(t *testing.T) {
	w := newWorld(t)
	session := w.signIn(w.alice)
	for name, c := range map[string]struct{ what string }{
		"the user": {w.alice.String()}, "the organization": {w.acme.ID.String()}, "the session": {session},
	} {
		got := w.tokens(w.web, session)
		offline := w.tokens(w.web, session, "scope", "openid offline_access")
		w.kill(c.what, fault.ErrDenied)
		if w.active2(got["access_token"]) || w.active(w.web, got["access_token"]) || w.active(w.web, got["refresh_token"]) {
			t.Errorf("%s: a token lives", name)
		}
		wantError(t, w.refresh(w.web, got["refresh_token"]), 400, "invalid_grant")
		if r := w.do(bearerRequest("GET", "/oauth/userinfo", got["access_token"].(string)), ""); r.Code != 401 {
			t.Errorf("%s: userinfo %d", name, r.Code)
		}
		want := 400
		if name == "the session" {
			want = 200 // offline access was agreed
		}
		if r := w.refresh(w.web, offline["refresh_token"]); r.Code != want {
			t.Errorf("%s: offline refresh %d %s", name, r.Code, r.Body.String())
		}
		w.kill(c.what, nil)
	}
	got := w.tokens(w.web, session)
	if _, err := w.s.DisableClient(t.Context(), w.who, w.web.ID); err != nil {
		t.Fatal(err)
	}
	if w.active2(got["access_token"]) {
		t.Error("the client: a token lives")
	}
	wantError(t, w.refresh(w.web, got["refresh_token"]), 401, "invalid_client")
	if r := w.authorize(w.web, session); r.Code != 400 || r.Header().Get("Location") != "" {
		t.Errorf("the client: authorize %d", r.Code)
	}
	if _, err := w.s.EnableClient(t.Context(), w.who, w.web.ID); err != nil {
		t.Fatal(err)
	}
	if !w.active2(got["access_token"]) {
		t.Error("the client: enabled again, its token is dead")
	}
}
