package web_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/web"
)

func TestTheProcessLogHoldsNoSecret(t *testing.T) { // ASVS 16.2.5
	secret := id.NewSecret("key")
	for name, log := range map[string]func(*slog.Logger){
		"in the message":        func(l *slog.Logger) { l.Info("refused " + secret) },
		"in a value":            func(l *slog.Logger) { l.Info("x", "header", "Bearer "+secret) },
		"in an error":           func(l *slog.Logger) { l.Info("x", "error", errors.New("parse "+secret+": bad")) },
		"in a group":            func(l *slog.Logger) { l.Info("x", slog.Group("g", "h", secret)) },
		"in a value kept":       func(l *slog.Logger) { l.With("h", secret).Info("x") },
		"in a struct":           func(l *slog.Logger) { l.Info("x", "v", struct{ A string }{secret}) },
		"under a telling name":  func(l *slog.Logger) { l.Info("x", "Password", "CANARY") },
		"a code":                func(l *slog.Logger) { l.Info("x", "code", "CANARY") },
		"a list under its name": func(l *slog.Logger) { l.Info("x", "recovery_codes", []string{"CANARY"}) },
		"a bearer token":        func(l *slog.Logger) { l.Info("x", "v", "authorization: bearer CANARY123456") },
		"basic credentials":     func(l *slog.Logger) { l.Info("x", "v", "Basic Q0FOQVJZCANARY") },
		"a JWT":                 func(l *slog.Logger) { l.Info("x", "v", "eyJhbGciOi.CANARY.CANARY") },
		"a cookie":              func(l *slog.Logger) { l.Info("x", "v", "a=b; __Host-rempart_session=CANARY; c=d") },
		"a database URL":        func(l *slog.Logger) { l.Error("cannot connect to postgres://u:CANARY@db:5432/x") },
		"a database parameter":  func(l *slog.Logger) { l.Error("host=db password=CANARY dbname=x") },
		"a code in a redirect":  func(l *slog.Logger) { l.Error("GET https://a.example/cb?code=CANARY&iss=x") },
		"a password hash":       func(l *slog.Logger) { l.Error("x", "v", "$argon2id$v=19$m=19456,t=2,p=1$CANARY$CANARY") },
		"an otpauth address":    func(l *slog.Logger) { l.Error("x", "v", "otpauth://totp/x?secret=CANARY") },
		"a private key": func(l *slog.Logger) {
			l.Error("x", "v", "-----BEGIN PRIVATE KEY-----\nCANARY\n-----END PRIVATE KEY-----")
		},
		"an age identity": func(l *slog.Logger) { l.Error("x", "v", "AGE-SECRET-KEY-1CANARY") },
	} {
		for _, text := range []bool{true, false} {
			var out bytes.Buffer
			log(web.NewLogger(&out, text, slog.LevelDebug))
			if out.Len() == 0 || strings.Contains(out.String(), "CANARY") || strings.Contains(out.String(), secret) || strings.Contains(out.String(), secret[8:30]) {
				t.Errorf("%s (text %v): %s", name, text, out.String())
			}
		}
	}
}

func TestTheProcessLogKeepsWhatIsNoSecret(t *testing.T) {
	var out bytes.Buffer
	web.NewLogger(&out, false, slog.LevelInfo).Info("request failed", "route", "POST /api/v1/orgs/{org}/ip-rules", "status", 503,
		"request", "req_01h455vb4pex5vsknk084sn02q", "error", errors.New("store: open: no such file"))
	for _, want := range []string{"POST /api/v1/orgs/{org}/ip-rules", "503", "req_01h455vb4pex5vsknk084sn02q", "store: open: no such file"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in %s", want, out.String())
		}
	}
}

func TestAClientCannotForgeLinesOfTheLog(t *testing.T) { // ASVS 16.4.1
	for _, text := range []bool{true, false} {
		var out bytes.Buffer
		web.NewLogger(&out, text, slog.LevelInfo).Info("x", "device", "a\r\nlevel=ERROR msg=forged\x1b[31m\u202egnp\u2028")
		if n := strings.Count(strings.TrimSpace(out.String()), "\n"); n != 0 {
			t.Errorf("text %v: %d further lines: %q", text, n, out.String())
		}
		for _, bad := range []string{"\x1b", "\u202e", "\r"} {
			if strings.Contains(out.String(), bad) {
				t.Errorf("text %v: %q is in %q", text, bad, out.String())
			}
		}
	}
}
