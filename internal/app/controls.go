package app

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/rempart/rempart/internal/capability"
)

// controls are those that belong to no capability: they look at our own
// listener, from this host. What another host sees is a probe's to say.
func (a *App) controls() []capability.Control {
	control := func(id, row string, check func(context.Context, capability.Probe) capability.Result) capability.Control {
		return capability.Control{
			ID: id, Statements: []string{row}, Class: capability.Observed, Population: "app.population.listener",
			Every: time.Hour, Window: 3 * time.Hour, Severity: "high",
			Mapping: []string{"ISO27001:A.8.24", "SOC2:CC6.7", "NIS2:21.2.h", "CAIQ:CEK-03", "GDPR:32.1.a"}, Check: check,
		}
	}
	return []capability.Control{control("tls.scan", "T1", a.checkTLS), control("tls.pfs", "T2", a.checkForwardSecrecy)}
}

// withoutTLS is the honest answer of a listener that speaks plain HTTP: on the
// loopback, or behind a proxy whose handshake this host cannot judge.
func (a *App) withoutTLS() (capability.Result, bool) {
	if a.Config.HTTP.TLS != "off" {
		return capability.Result{}, false
	}
	return capability.Result{Verdict: capability.NotApplicable, Note: "app.control.no-tls", Evidence: map[string]string{"listener": "plain"}}, true
}

// handshake tries one TLS handshake with our own listener. Trust in the
// certificate is not the question here: only what is negotiated.
func (a *App) handshake(ctx context.Context, c *tls.Config) (tls.ConnectionState, error) {
	c.ServerName, c.InsecureSkipVerify = a.BaseURL.Hostname(), true
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: 5 * time.Second}, Config: c}
	addr := a.LocalAddr
	if addr == "" {
		addr = hostPort(a.BaseURL)
	}
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer conn.Close()
	return conn.(*tls.Conn).ConnectionState(), nil
}

// checkTLS offers each protocol version alone, and asks in the clear: TLS 1.2
// and 1.3 are spoken, nothing older is, and plain HTTP is not served.
func (a *App) checkTLS(ctx context.Context, p capability.Probe) capability.Result {
	if r, ok := a.withoutTLS(); ok {
		return r
	}
	r := capability.Result{Verdict: capability.Pass}
	wrong := []string{}
	see := func(ok bool, what string) {
		r.Checked++
		if !ok {
			wrong = append(wrong, what)
		}
	}
	for version, want := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		_, err := a.handshake(ctx, &tls.Config{MinVersion: version, MaxVersion: version})
		var refused net.Error
		if err != nil && errors.As(err, &refused) && refused.Timeout() {
			return capability.Result{Err: err}
		}
		see((err == nil) == want, tls.VersionName(version))
	}
	res, err := p.Client().Get(p.Base + "/health/live")
	if err != nil {
		return capability.Result{Err: err}
	}
	res.Body.Close()
	see(strings.Contains(res.Header.Get("Strict-Transport-Security"), "max-age="), "Strict-Transport-Security")
	see(!a.servesPlain(ctx), "plain HTTP")
	r.Failed, r.Evidence = int64(len(wrong)), map[string]any{"wrong": wrong}
	return r
}

// servesPlain asks our listener in the clear for what it would serve.
func (a *App) servesPlain(ctx context.Context) bool {
	c := a.loopback()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+hostPort(a.BaseURL)+"/health/live", nil)
	if err != nil {
		return false
	}
	res, err := c.Do(req)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, 4096))
	return err == nil && res.StatusCode == http.StatusOK && strings.Contains(string(b), "live")
}

// checkForwardSecrecy offers only suites with a static key exchange, which
// must fail, and looks at what a modern client negotiates.
func (a *App) checkForwardSecrecy(ctx context.Context, _ capability.Probe) capability.Result {
	if r, ok := a.withoutTLS(); ok {
		return r
	}
	static := []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_RSA_WITH_AES_256_GCM_SHA384, tls.TLS_RSA_WITH_AES_128_CBC_SHA, tls.TLS_RSA_WITH_AES_256_CBC_SHA}
	r := capability.Result{Verdict: capability.Pass, Checked: 2}
	wrong := []string{}
	if _, err := a.handshake(ctx, &tls.Config{MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12, CipherSuites: static}); err == nil {
		wrong = append(wrong, "static key exchange")
	}
	st, err := a.handshake(ctx, &tls.Config{MinVersion: tls.VersionTLS12})
	if err != nil {
		return capability.Result{Err: err}
	}
	if st.CurveID == 0 {
		wrong = append(wrong, tls.CipherSuiteName(st.CipherSuite))
	}
	r.Failed = int64(len(wrong))
	r.Evidence = map[string]any{"wrong": wrong, "version": tls.VersionName(st.Version), "suite": tls.CipherSuiteName(st.CipherSuite), "exchange": st.CurveID.String()}
	return r
}
