package web_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rempart/rempart/internal/web"
)

func serve(t *testing.T, cfg web.ListenConfig, h http.Handler) (l *web.Listener, stop func() error) {
	t.Helper()
	cfg.Log = slog.New(slog.DiscardHandler)
	l, err := web.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Serve(ctx, h) }()
	var once sync.Once
	var result error
	stop = func() error {
		once.Do(func() { cancel(); result = <-done })
		return result
	}
	t.Cleanup(func() { stop() })
	return l, stop
}

func TestBothLoopbackAddressesAnswerOnOnePort(t *testing.T) {
	l, _ := serve(t, web.ListenConfig{Addr: "127.0.0.1:0", Loopback: true}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "here") }))
	hosts := []string{"127.0.0.1"}
	if probe, err := net.Listen("tcp6", "[::1]:0"); err == nil {
		probe.Close()
		hosts = append(hosts, "[::1]")
	}
	for _, host := range hosts {
		res, err := http.Get(fmt.Sprintf("http://%s:%d/", host, l.Port()))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
	}
	if _, err := web.Open(web.ListenConfig{Addr: fmt.Sprintf("127.0.0.1:%d", l.Port()), Loopback: true}); err == nil || !strings.Contains(err.Error(), "cannot listen on 127.0.0.1") {
		t.Errorf("a port in use: %v", err)
	}
}

func TestStoppingFailsNoRequest(t *testing.T) {
	var begun sync.WaitGroup
	begun.Add(1)
	release := make(chan struct{})
	l, stop := serve(t, web.ListenConfig{Addr: "127.0.0.1:0", Drain: time.Second}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			begun.Done()
			<-release
		}
		io.WriteString(w, "whole")
	}))
	base := fmt.Sprintf("http://127.0.0.1:%d", l.Port())
	failed := make(chan error, 100)
	var wg sync.WaitGroup
	get := func(c *http.Client, path string) error {
		res, err := c.Get(base + path)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		if body, err := io.ReadAll(res.Body); err != nil || string(body) != "whole" {
			return fmt.Errorf("answer %q: %v", body, err)
		}
		return nil
	}
	wg.Go(func() {
		if err := get(&http.Client{Transport: &http.Transport{}}, "/slow"); err != nil {
			failed <- err
		}
	})
	begun.Wait()
	// Clients with kept connections ask on, until the server says it leaves.
	var asked atomic.Int64
	quit := make(chan struct{})
	for range 4 {
		wg.Go(func() {
			c := &http.Client{Transport: &http.Transport{}}
			for {
				select {
				case <-quit:
					return
				default:
				}
				if err := get(c, "/"); err != nil {
					failed <- err
					return
				}
				asked.Add(1)
				if l.Stopping() {
					return // readiness has told
				}
			}
		})
	}
	for asked.Load() < 50 {
		select {
		case err := <-failed:
			t.Fatal(err)
		case <-time.After(time.Millisecond):
		}
	}
	done := make(chan error, 1)
	go func() { done <- stop() }()
	for !l.Stopping() {
		<-time.After(time.Millisecond)
	}
	close(release)
	close(quit)
	wg.Wait()
	if err := <-done; err != nil {
		t.Errorf("stop: %v", err)
	}
	close(failed)
	for err := range failed {
		t.Errorf("a request failed: %v", err)
	}
}

func certificate(t *testing.T, dir, name string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	tmpl := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: name}, DNSNames: []string{"rempart.example"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cert, _ := x509.ParseCertificate(der)
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return pool
}

func TestTLSIsStrong(t *testing.T) { // ASVS 12.1.1, 12.1.2
	dir := t.TempDir()
	pool := certificate(t, dir, "a")
	l, _ := serve(t, web.ListenConfig{Addr: "127.0.0.1:0", TLS: web.TLS{CertFile: dir + "/cert.pem", KeyFile: dir + "/key.pem"}},
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) }))
	addr := fmt.Sprintf("127.0.0.1:%d", l.Port())
	try := func(cfg *tls.Config) (tls.ConnectionState, error) {
		cfg.RootCAs, cfg.ServerName = pool, "rempart.example"
		c, err := tls.Dial("tcp", addr, cfg)
		if err != nil {
			return tls.ConnectionState{}, err
		}
		defer c.Close()
		return c.ConnectionState(), nil
	}
	if s, err := try(&tls.Config{NextProtos: []string{"h2"}}); err != nil || s.Version != tls.VersionTLS13 || s.NegotiatedProtocol != "h2" {
		t.Errorf("a modern client got %x %q: %v", s.Version, s.NegotiatedProtocol, err)
	}
	if s, err := try(&tls.Config{MaxVersion: tls.VersionTLS12}); err != nil || !strings.Contains(tls.CipherSuiteName(s.CipherSuite), "ECDHE") {
		t.Errorf("TLS 1.2 got %s: %v", tls.CipherSuiteName(s.CipherSuite), err)
	}
	if _, err := try(&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 was accepted")
	}
	weak := append([]*tls.CipherSuite{}, tls.InsecureCipherSuites()...)
	for _, s := range tls.CipherSuites() {
		if !strings.Contains(s.Name, "ECDHE") || strings.Contains(s.Name, "CBC") {
			weak = append(weak, s)
		}
	}
	for _, s := range weak {
		if strings.HasPrefix(s.Name, "TLS_AES") || strings.HasPrefix(s.Name, "TLS_CHACHA20") {
			continue // of TLS 1.3
		}
		if _, err := try(&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{s.ID}}); err == nil {
			t.Errorf("%s was accepted", s.Name)
		}
	}
}

func TestACertificateThatCannotBeReadIsASentence(t *testing.T) {
	l, err := web.Open(web.ListenConfig{Addr: "127.0.0.1:0", TLS: web.TLS{CertFile: "/nowhere/cert.pem", KeyFile: "/nowhere/key.pem"}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Serve(context.Background(), http.NotFoundHandler()); err == nil || !strings.Contains(err.Error(), "/nowhere/cert.pem") {
		t.Errorf("error %v", err)
	}
}

func TestPlainHTTPOnlyRedirects(t *testing.T) { // ASVS 12.2.1
	base, _ := url.Parse("https://rempart.example")
	port := freePort(t)
	serve(t, web.ListenConfig{Addr: "127.0.0.1:0", Redirect: port, BaseURL: base}, http.NotFoundHandler())
	c := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for _, try := range []struct {
		method, path string
		status       int
		location     string
	}{
		{"GET", "/console?x=1", 301, "https://rempart.example/console?x=1"},
		{"GET", "//evil.example/", 301, "https://rempart.example//evil.example/"},
		{"POST", "/sign-in", 403, ""},
		{"GET", "/api/v1/orgs", 403, ""},
		{"POST", "/oauth/token", 403, ""},
	} {
		req, _ := http.NewRequest(try.method, "http://"+port+try.path, nil)
		req.Host = "evil.example"
		res, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != try.status || res.Header.Get("Location") != try.location {
			t.Errorf("%s %s: %d to %q", try.method, try.path, res.StatusCode, res.Header.Get("Location"))
		}
	}
}

func freePort(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
