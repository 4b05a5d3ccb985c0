package provider_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/provider"
	"github.com/rempart/rempart/internal/store"
)

// probe runs the control against the world, with a sign-in page of one form;
// spoil may stand between the listener and the provider.
func (w *world) probe(id string, spoil func(http.Handler) http.Handler) capability.Result {
	w.t.Helper()
	inner := w.handler
	if spoil != nil {
		inner = spoil(inner)
	}
	host := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		r.Host = "localhost:8080"
		if r.URL.Path != "/sign-in" {
			inner.ServeHTTP(rw, r)
			return
		}
		if r.Method == "GET" {
			fmt.Fprint(rw, `<form method="post"><input name="email"><input type="password" name="password"><button data-action="continue">Go</button></form>`)
			return
		}
		if r.FormValue("email") != "canary@example.com" || r.FormValue("password") != "right" {
			rw.WriteHeader(403)
			return
		}
		http.SetCookie(rw, &http.Cookie{Name: "session", Value: w.signIn(w.alice), Path: "/"})
		http.Redirect(rw, r, r.FormValue("return"), http.StatusSeeOther)
	})
	srv := httptest.NewServer(host)
	defer srv.Close()
	at, _ := url.Parse(srv.URL)
	for _, c := range w.s.Manifest().Controls {
		if c.ID != id {
			continue
		}
		return c.Check(w.t.Context(), capability.Probe{
			Now: w.now.Now(), Base: issuer,
			Client: func() *http.Client {
				jar, _ := cookiejar.New(nil)
				return &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
					Transport: &http.Transport{Proxy: func(*http.Request) (*url.URL, error) { return at, nil }}}
			},
			Canary: func(context.Context) (capability.Canary, error) {
				return capability.Canary{PlainEmail: "canary@example.com", PlainID: w.alice.String(), Password: "right", ClientID: w.web.ID.String(), ClientSecret: w.secret[w.web.ID], RedirectURI: "https://app.example/cb"}, nil
			},
		})
	}
	w.t.Fatalf("no control %s", id)
	return capability.Result{}
}

func TestTheControlsAreGreenAndTurnRedWhenWhatTheyWatchBreaks(t *testing.T) {
	w := newWorld(t)
	for _, id := range []string{"oidc.conformance", "oidc.sso", "oauth.policy"} {
		if r := w.probe(id, nil); r.Verdict != capability.Pass || r.Checked < 3 {
			t.Errorf("%s: %+v", id, r)
		}
	}
	// form rewrites the form of a request to the path.
	form := func(path string, change func(url.Values)) func(http.Handler) http.Handler {
		return func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if r.URL.Path == path && r.Method == "GET" {
					q := r.URL.Query()
					change(q)
					r.URL.RawQuery = q.Encode()
				}
				next.ServeHTTP(rw, r)
			})
		}
	}
	for name, c := range map[string]struct {
		id    string
		spoil func(http.Handler) http.Handler
	}{
		"PKCE can be left out": {"oauth.policy", form("/oauth/authorize", func(q url.Values) {
			if !q.Has("code_challenge") {
				q.Set("code_challenge", challengeOf(verifier))
				q.Set("code_challenge_method", "S256")
			}
		})},
		"plain is taken":                {"oauth.policy", form("/oauth/authorize", func(q url.Values) { q.Set("code_challenge_method", "S256") })},
		"another redirect URI is taken": {"oauth.policy", form("/oauth/authorize", func(q url.Values) { q.Set("redirect_uri", "https://app.example/cb") })},
		"implicit is taken":             {"oidc.conformance", form("/oauth/authorize", func(q url.Values) { q.Set("response_type", "code") })},
		"the nonce is lost":             {"oidc.conformance", form("/oauth/authorize", func(q url.Values) { q.Del("nonce") })},
		"more claims than agreed":       {"oidc.sso", form("/oauth/authorize", func(q url.Values) { q.Set("scope", "openid email") })},
		"the session is forgotten": {"oidc.sso", func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if strings.Contains(r.URL.RawQuery, "prompt=none") {
					r.Header.Del("Cookie")
				}
				next.ServeHTTP(rw, r)
			})
		}},
	} {
		if r := w.probe(c.id, c.spoil); r.Verdict != capability.Fail {
			t.Errorf("%s: %+v", name, r)
		}
	}
	// A wildcard, written into the row by hand.
	c := w.addClient(provider.ClientInput{Name: "Loose", Type: provider.ClientWeb, RedirectURIs: []string{"https://loose.example/"}})
	pen, _ := w.log.Pen(t.Context(), w.who, w.acme.ID)
	err := w.store.Main.Update(t.Context(), store.System("test"), func(tx *store.Tx) error {
		if _, err := tx.Exec(loosen, c.ID, store.Micros(w.now.Now())); err != nil {
			return err
		}
		return pen.Record(tx, auditEntry("test"))
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.s.Poll(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := w.probe("oauth.policy", nil); r.Verdict != capability.Fail || r.Failed != 1 {
		t.Errorf("a wildcard: %+v", r)
	}
}

var loosen = store.NewSet("provider").Add("loosen", `UPDATE provider_clients SET redirect_uris = '["https://*.loose.example/"]', changed_at = $2, revision = revision + 1 WHERE id = $1`, store.ForSystem)
