package app_test

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/rempart/rempart/internal/app"
	"github.com/rempart/rempart/internal/capability"
)

// A listener as ours passes; each thing that is broken on purpose turns the
// control over it red.
func TestListenerControls(t *testing.T) {
	static := []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}
	for name, tc := range map[string]struct {
		config *tls.Config
		hsts   string
		red    string // control that must fail
	}{
		"a listener as ours":           {&tls.Config{MinVersion: tls.VersionTLS12}, "max-age=63072000", ""},
		"one that speaks TLS 1.0":      {&tls.Config{MinVersion: tls.VersionTLS10}, "max-age=63072000", "tls.scan"},
		"one without TLS 1.3":          {&tls.Config{MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12}, "max-age=63072000", "tls.scan"},
		"one that forgets HSTS":        {&tls.Config{MinVersion: tls.VersionTLS12}, "", "tls.scan"},
		"one with static key exchange": {&tls.Config{MinVersion: tls.VersionTLS12, CipherSuites: append([]uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}, static...)}, "max-age=63072000", "tls.pfs"},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if tc.hsts != "" {
					w.Header().Set("Strict-Transport-Security", tc.hsts)
				}
				io.WriteString(w, `{"status":"live"}`)
			}))
			s.Config.ErrorLog = log.New(io.Discard, "", 0)
			s.TLS = tc.config
			s.StartTLS()
			defer s.Close()
			base, err := url.Parse(s.URL)
			if err != nil {
				t.Fatal(err)
			}
			p := capability.Probe{Base: s.URL, Client: s.Client}
			for _, c := range app.ListenerControls(base, s.Listener.Addr().String(), "files") {
				want := capability.Pass
				r := c.Check(context.Background(), p)
				if r.Err != nil {
					t.Fatal(r.Err)
				}
				if r.Failed > 0 {
					r.Verdict = capability.Fail
				}
				if c.ID == tc.red {
					want = capability.Fail
				}
				if r.Verdict != want {
					t.Errorf("%s: %s, want %s: %v", c.ID, r.Verdict, want, r.Evidence)
				}
			}
		})
	}
}

func TestAListenerWithoutTLSSaysSo(t *testing.T) {
	base, _ := url.Parse("http://localhost:1")
	for _, c := range app.ListenerControls(base, "", "off") {
		if r := c.Check(context.Background(), capability.Probe{}); r.Verdict != capability.NotApplicable || r.Note == "" {
			t.Errorf("%s: %+v", c.ID, r)
		}
	}
}
