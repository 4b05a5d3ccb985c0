package web

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"strings"
	"unicode"
)

// NewLogger makes the process log: JSON lines, or text for a terminal. No
// secret reaches it (see Redact).
func NewLogger(w io.Writer, text bool, level slog.Leveler) *slog.Logger {
	opts := &slog.HandlerOptions{Level: level}
	if text {
		return slog.New(Redact(slog.NewTextHandler(w, opts)))
	}
	return slog.New(Redact(slog.NewJSONHandler(w, opts)))
}

// Redact keeps secrets out of a log: values under a telling name, whatever
// they are; within any text what looks like one of our secrets, a bearer
// token, a JWT, a cookie or a URL's credentials. It also takes out control and
// format characters, with which a client could forge lines (CWE-117).
//
// It is the last resort. Secrets have a type that refuses to be printed.
func Redact(h slog.Handler) slog.Handler { return &redactor{h} }

const redacted = "[redacted]"

type redactor struct{ h slog.Handler }

func (r *redactor) Enabled(ctx context.Context, l slog.Level) bool { return r.h.Enabled(ctx, l) }
func (r *redactor) WithGroup(name string) slog.Handler             { return &redactor{r.h.WithGroup(name)} }
func (r *redactor) WithAttrs(attrs []slog.Attr) slog.Handler {
	clean := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		clean[i] = cleanAttr(a)
	}
	return &redactor{r.h.WithAttrs(clean)}
}

func (r *redactor) Handle(ctx context.Context, rec slog.Record) error {
	out := slog.NewRecord(rec.Time, rec.Level, cleanText(rec.Message), rec.PC)
	rec.Attrs(func(a slog.Attr) bool {
		out.AddAttrs(cleanAttr(a))
		return true
	})
	return r.h.Handle(ctx, out)
}

// Names under which a secret is usually given.
var telling = regexp.MustCompile(`(?i)(passw|passphrase|secret|token|cookie|authoriz|credential|otp|api_?key|private|recovery|verifier$|assertion|^code$|_code$|^nonce$|^state$|signature)`)

func cleanAttr(a slog.Attr) slog.Attr {
	v := a.Value.Resolve()
	switch v.Kind() {
	case slog.KindGroup:
		group := v.Group()
		clean := make([]slog.Attr, len(group))
		for i, g := range group {
			clean[i] = cleanAttr(g)
		}
		return slog.Attr{Key: a.Key, Value: slog.GroupValue(clean...)}
	case slog.KindBool, slog.KindInt64, slog.KindUint64, slog.KindFloat64, slog.KindDuration, slog.KindTime:
		return slog.Attr{Key: a.Key, Value: v} // too little to hold a secret
	}
	if telling.MatchString(a.Key) {
		return slog.String(a.Key, redacted)
	}
	if v.Kind() == slog.KindString {
		return slog.String(a.Key, cleanText(v.String()))
	}
	return slog.String(a.Key, cleanText(fmt.Sprint(v.Any())))
}

var secrets = regexp.MustCompile(`rmp_[0-9A-Za-z]+_[0-9A-Za-z]{8,}(?:_[0-9A-Za-z]+)?` + // ours
	`|(?i:bearer|basic|dpop)\s+[0-9A-Za-z._~+/=-]{8,}` + // an Authorization header
	`|eyJ[0-9A-Za-z_-]{4,}(?:\.[0-9A-Za-z_-]*)*` + // a JWT or JWE
	`|AGE-SECRET-KEY-1[0-9A-Z]+` +
	`|-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*(?:-----END [A-Z ]*PRIVATE KEY-----)?` +
	`|\$argon2(?:id?|d)\$\S+` +
	`|otpauth://\S+` +
	`|__Host-rempart_[a-z]+=[^;\s]+`)

// The credentials and telling parameters of a URL or connection string.
var inURL = regexp.MustCompile(`://[^/\s:@]*:[^@/\s]+@|((?i:[?&;\s](?:password|passwd|pwd|code|token|secret|client_secret|refresh_token|access_token|id_token|id_token_hint|code_verifier|state|nonce|key|sig|assertion))=)[^&\s;]+`)

func cleanText(s string) string {
	if strings.ContainsAny(s, "_.:=-$ ") { // every secret above has one of these
		s = secrets.ReplaceAllString(s, redacted)
		s = inURL.ReplaceAllStringFunc(s, func(m string) string {
			if strings.HasPrefix(m, "://") {
				return "://" + redacted + "@"
			}
			return m[:strings.IndexByte(m, '=')+1] + redacted
		})
	}
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return r // the handlers escape them; a stack trace is unreadable without
		}
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, s)
}
