package web

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
)

// ListenConfig says where and how the server is reached.
type ListenConfig struct {
	Addr     string        // host:port; port 0 picks one
	Loopback bool          // listen on 127.0.0.1 and, where it exists, [::1], whatever the host of Addr
	TLS      TLS           // without certificate: plain HTTP, for the loopback or behind a proxy
	Redirect string        // host:port that answers plain HTTP with a redirect to BaseURL; "" is none
	BaseURL  *url.URL      // where Redirect leads
	Drain    time.Duration // for which a stopping server still accepts, while readiness says no
	Log      *slog.Logger
}

// TLS is where the certificate comes from: files, or ACME. Nothing is
// contacted unless ACME names hosts.
type TLS struct {
	CertFile, KeyFile string // PEM; read again when they change
	ACME              ACME
}

// ACME obtains and renews certificates (RFC 8555).
type ACME struct {
	Hosts     []string // names to obtain certificates for; empty turns ACME off
	Email     string   // of the account
	Directory string   // URL of the authority's directory; "" is Let's Encrypt
	Folder    string   // keeps account and certificates
}

func (t TLS) on() bool { return t.CertFile != "" || len(t.ACME.Hosts) > 0 }

// Suites with forward secrecy and authenticated encryption only, for TLS 1.2;
// those of TLS 1.3 all have both (RFC 9325 section 4.2).
var suites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// Listener holds open sockets before anything is served, so that the base URL
// may follow a port that was picked.
type Listener struct {
	cfg      ListenConfig
	sockets  []net.Listener
	redirect net.Listener
	stopping atomic.Bool
	conns    atomic.Int64
}

// Open takes the sockets. The error says which address, in a sentence.
func Open(cfg ListenConfig) (*Listener, error) {
	l := &Listener{cfg: cfg}
	var err error
	if cfg.Loopback {
		l.sockets, err = loopback(cfg.Addr)
	} else {
		var s net.Listener
		s, err = net.Listen("tcp", cfg.Addr)
		l.sockets = []net.Listener{s}
	}
	if err != nil {
		return nil, fmt.Errorf("web: cannot listen on %s: %w", cfg.Addr, err)
	}
	if cfg.Redirect != "" {
		if l.redirect, err = net.Listen("tcp", cfg.Redirect); err != nil {
			l.Close()
			return nil, fmt.Errorf("web: cannot listen on %s for the redirect: %w", cfg.Redirect, err)
		}
	}
	return l, nil
}

// loopback takes the same port on both loopback addresses. A machine without
// IPv6 has one.
func loopback(addr string) ([]net.Listener, error) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	for try := 0; ; try++ {
		four, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", port))
		if err != nil {
			return nil, err
		}
		picked := strconv.Itoa(four.Addr().(*net.TCPAddr).Port)
		six, err := net.Listen("tcp6", net.JoinHostPort("::1", picked))
		if err == nil {
			return []net.Listener{four, six}, nil
		}
		if probe, perr := net.Listen("tcp6", "[::1]:0"); perr != nil {
			return []net.Listener{four}, nil // there is no IPv6 here
		} else {
			probe.Close()
		}
		four.Close()
		if port != "0" || try == 20 {
			return nil, err // someone else answers for localhost on this port
		}
	}
}

// Port is the port that is listened on.
func (l *Listener) Port() int { return l.sockets[0].Addr().(*net.TCPAddr).Port }

// Stopping reports whether the server is about to stop: not ready for more.
func (l *Listener) Stopping() bool { return l.stopping.Load() }

// Close gives the sockets up without serving.
func (l *Listener) Close() {
	for _, s := range l.sockets {
		s.Close()
	}
	if l.redirect != nil {
		l.redirect.Close()
	}
}

// Listen is Open and Serve in one.
func Listen(ctx context.Context, cfg ListenConfig, h http.Handler) error {
	l, err := Open(cfg)
	if err != nil {
		return err
	}
	return l.Serve(ctx, h)
}

// Serve answers until ctx ends. Then it says so on every kept connection,
// accepts for Drain, and waits for requests under way: none fails.
func (l *Listener) Serve(ctx context.Context, h http.Handler) error {
	defer l.Close()
	tc, challenge, done, err := l.tls(ctx)
	if err != nil {
		return err
	}
	defer done()
	srv := l.server(l.leaving(h))
	srv.TLSConfig = tc
	srv.ConnState = l.count
	failed := make(chan error, len(l.sockets)+1)
	var wg sync.WaitGroup
	run := func(serve func() error) {
		wg.Go(func() {
			if err := serve(); err != nil && !errors.Is(err, http.ErrServerClosed) {
				failed <- err
			}
		})
	}
	for _, s := range l.sockets {
		run(func() error {
			if tc != nil {
				return srv.ServeTLS(s, "", "")
			}
			return srv.Serve(s)
		})
	}
	red := l.server(challenge(redirector(l.cfg.BaseURL)))
	if l.redirect != nil {
		run(func() error { return red.Serve(l.redirect) })
	}
	select {
	case <-ctx.Done():
	case err = <-failed:
		err = fmt.Errorf("web: serve: %w", err)
	}
	l.stopping.Store(true)
	if err == nil {
		l.drain()
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	if serr := srv.Shutdown(end); serr != nil {
		srv.Close()
		l.cfg.Log.Warn("requests did not end in time and were cut", "after", stopTime)
	}
	red.Close()
	wg.Wait()
	return err
}

func (l *Listener) server(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: headerTime, ReadTimeout: readTime, WriteTimeout: writeTime, IdleTimeout: idleTime,
		MaxHeaderBytes: maxHeader, DisableGeneralOptionsHandler: true,
		ErrorLog: slog.NewLogLogger(l.cfg.Log.Handler(), slog.LevelDebug),
	}
}

// leaving asks clients to close kept connections once the server is stopping,
// so that none sends a request into a connection that is being closed.
func (l *Listener) leaving(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if l.stopping.Load() {
			w.Header().Set("Connection", "close")
		}
		h.ServeHTTP(w, r)
	})
}

func (l *Listener) count(_ net.Conn, s http.ConnState) {
	switch s {
	case http.StateNew:
		l.conns.Add(1)
	case http.StateClosed, http.StateHijacked:
		l.conns.Add(-1)
	}
}

// drain waits until no connection is left, or for Drain.
func (l *Listener) drain() {
	end := time.NewTimer(l.cfg.Drain)
	defer end.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for l.conns.Load() > 0 {
		select {
		case <-end.C:
			return
		case <-tick.C:
		}
	}
}

// redirector leads people to the base URL, whatever Host they asked for. A
// program that speaks plain HTTP has already sent its credential in clear: it
// is refused, so that the mistake is found.
func redirector(base *url.URL) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		if base == nil || r.Method != http.MethodGet && r.Method != http.MethodHead || programs(r, nil) {
			http.Error(w, "Use https.", http.StatusForbidden)
			return
		}
		u := *base
		u.Path, u.RawPath, u.RawQuery = r.URL.Path, r.URL.RawPath, r.URL.RawQuery
		w.Header().Set("Location", u.String())
		w.WriteHeader(http.StatusMovedPermanently)
	})
}

// tls is the configuration of the certificate's source; nil without one.
// challenge answers ACME's question on the redirect listener.
func (l *Listener) tls(ctx context.Context) (tc *tls.Config, challenge func(http.Handler) http.Handler, done func(), err error) {
	challenge, done = func(h http.Handler) http.Handler { return h }, func() {}
	if !l.cfg.TLS.on() {
		return nil, challenge, done, nil
	}
	tc = &tls.Config{MinVersion: tls.VersionTLS12, CipherSuites: suites, NextProtos: []string{"h2", "http/1.1"}}
	if l.cfg.TLS.CertFile != "" {
		f := &certFiles{cert: l.cfg.TLS.CertFile, key: l.cfg.TLS.KeyFile, log: l.cfg.Log}
		if err := f.load(); err != nil {
			return nil, challenge, done, err
		}
		tc.GetCertificate = f.get
		return tc, challenge, done, nil
	}
	a := l.cfg.TLS.ACME
	// certmagic's own log goes nowhere: what matters comes as events.
	quiet := zap.NewNop()
	var magic *certmagic.Config
	cache := certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert: func(certmagic.Certificate) (*certmagic.Config, error) { return magic, nil }, Logger: quiet,
	})
	magic = certmagic.New(cache, certmagic.Config{
		Storage: &certmagic.FileStorage{Path: a.Folder}, Logger: quiet,
		OnEvent: func(ctx context.Context, event string, data map[string]any) error {
			switch event {
			case "cert_obtained":
				l.cfg.Log.InfoContext(ctx, "certificate obtained", "host", data["identifier"])
			case "cert_failed":
				l.cfg.Log.ErrorContext(ctx, "certificate not obtained", "host", data["identifier"], "error", data["error"])
			}
			return nil
		},
	})
	issuer := certmagic.NewACMEIssuer(magic, certmagic.ACMEIssuer{CA: a.Directory, Email: a.Email, Agreed: true, Logger: quiet})
	magic.Issuers = []certmagic.Issuer{issuer}
	if err := magic.ManageAsync(ctx, a.Hosts); err != nil {
		cache.Stop()
		return nil, challenge, done, fmt.Errorf("web: certificates by ACME: %w", err)
	}
	tc.GetCertificate = magic.GetCertificate
	tc.NextProtos = append(tc.NextProtos, "acme-tls/1")
	return tc, issuer.HTTPChallengeHandler, cache.Stop, nil
}

// certFiles serves the certificate of two files, and the new one when they
// change. It looks at most every reloadTime.
type certFiles struct {
	cert, key string
	log       *slog.Logger

	mu      sync.Mutex // guards what follows
	current *tls.Certificate
	stamp   [2]time.Time
	looked  time.Time
}

const reloadTime = 10 * time.Second

func (f *certFiles) load() error {
	stamp, err := f.times()
	if err != nil {
		return fmt.Errorf("web: certificate: %w", err)
	}
	c, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		return fmt.Errorf("web: certificate %s: %w", f.cert, err)
	}
	f.current, f.stamp, f.looked = &c, stamp, time.Now()
	return nil
}

func (f *certFiles) times() (t [2]time.Time, err error) {
	for i, name := range []string{f.cert, f.key} {
		info, err := os.Stat(name)
		if err != nil {
			return t, err
		}
		t[i] = info.ModTime()
	}
	return t, nil
}

func (f *certFiles) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.looked) < reloadTime {
		return f.current, nil
	}
	f.looked = time.Now()
	if stamp, err := f.times(); err == nil && stamp == f.stamp {
		return f.current, nil
	}
	if err := f.load(); err != nil {
		// The old one is still right; a half-written file is read next time.
		f.log.Error("new certificate is not usable, the former stays", "error", err)
	} else {
		f.log.Info("certificate read again", "file", f.cert)
	}
	return f.current, nil
}
