package provider_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/provider"
	"github.com/rempart/rempart/internal/store"
	"github.com/rempart/rempart/internal/store/storetest"
)

// discard is an answer that nobody reads; it keeps the status.
type discard struct {
	h      http.Header
	status int
	body   []byte
}

func (d *discard) Header() http.Header         { return d.h }
func (d *discard) WriteHeader(status int)      { d.status = status }
func (d *discard) Write(b []byte) (int, error) { d.body = append(d.body, b...); return len(b), nil }

// call runs a POST through the whole request path.
func call(h http.Handler, path, auth, body string) *discard {
	d := &discard{h: http.Header{}}
	h.ServeHTTP(d, formRequest(path, auth, body))
	return d
}

func formRequest(path, auth, body string) *http.Request {
	r := httptest.NewRequest("POST", path, strings.NewReader(body))
	r.Host = "localhost:8080"
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if auth != "" {
		r.Header.Set("Authorization", auth)
	}
	return r
}

func benchWorld(b *testing.B) *world {
	b.Helper()
	c := storetest.SQLite(b.TempDir())
	c.Main.Strict, c.Keys.Strict = false, false
	m := manifests(&provider.Service{Issuer: issuer}, &audit.Log{})
	if err := store.Migrate(b.Context(), c.Main, c.Keys, m); err != nil {
		b.Fatal(err)
	}
	s, err := store.Open(b.Context(), c.Main, c.Keys, m)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	return newWorldIn(b, s)
}

// count reports the statements that one operation runs.
func count(b *testing.B, w *world) func() {
	before := w.store.Main.Statements() + w.store.Keys.Statements()
	b.ReportAllocs()
	b.ResetTimer()
	return func() {
		b.ReportMetric(float64(w.store.Main.Statements()+w.store.Keys.Statements()-before)/float64(b.N), "statements/op")
	}
}

// The raw limit that BenchmarkClientCredentials is compared with.
func BenchmarkSignES256(b *testing.B) {
	k, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	sum := sha256.Sum256([]byte("x"))
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := ecdsa.SignASN1(rand.Reader, k, sum[:]); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkClientCredentials(b *testing.B) {
	w := benchWorld(b)
	auth := basic(w.svc.ID.String(), w.secret[w.svc.ID])
	b.SetParallelism(16)
	defer count(b, w)()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if d := call(w.handler, "/oauth/token", auth, "grant_type=client_credentials"); d.status != 200 {
				b.Fatalf("%d %s", d.status, d.body)
			}
		}
	})
}

func BenchmarkIntrospect(b *testing.B) {
	w := benchWorld(b)
	auth := basic(w.svc.ID.String(), w.secret[w.svc.ID])
	tok := w.redeem(w.svc, "grant_type", "client_credentials").json()["access_token"].(string)
	body := url.Values{"token": {tok}}.Encode()
	defer count(b, w)()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if d := call(w.handler, "/oauth/introspect", auth, body); d.status != 200 || !strings.Contains(string(d.body), `"active":true`) {
				b.Fatalf("%d %s", d.status, d.body)
			}
		}
	})
}

func BenchmarkRefresh(b *testing.B) {
	w := benchWorld(b)
	auth := basic(w.web.ID.String(), w.secret[w.web.ID])
	session := w.signIn(w.alice)
	var mu sync.Mutex
	b.SetParallelism(16)
	defer count(b, w)()
	b.RunParallel(func(pb *testing.PB) {
		mu.Lock()
		tok := w.tokens(w.web, session)["refresh_token"].(string)
		mu.Unlock()
		for pb.Next() {
			d := call(w.handler, "/oauth/token", auth, "grant_type=refresh_token&refresh_token="+tok)
			_, after, ok := strings.Cut(string(d.body), `"refresh_token":"`)
			if d.status != 200 || !ok {
				b.Fatalf("%d %s", d.status, d.body)
			}
			tok, _, _ = strings.Cut(after, `"`)
		}
	})
}

func BenchmarkDiscovery(b *testing.B) {
	w := benchWorld(b)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r := httptest.NewRequest("GET", "/.well-known/openid-configuration", nil)
			r.Host = "localhost:8080"
			d := &discard{h: http.Header{}}
			if w.handler.ServeHTTP(d, r); d.status != 200 {
				b.Fatal(d.status)
			}
		}
	})
}

func BenchmarkVerifyAccess(b *testing.B) {
	w := benchWorld(b)
	tok := w.tokens(w.web, w.signIn(w.alice))["access_token"].(string)
	defer count(b, w)()
	for b.Loop() {
		if _, err := w.s.VerifyAccess(b.Context(), w.who, tok); err != nil {
			b.Fatal(err)
		}
	}
}
