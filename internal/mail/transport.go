package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	gomail "github.com/wneessen/go-mail"
)

// Transport hands letters over to what carries them.
//
// Send returns nil once the letter is accepted, a *Refused that is permanent
// when it never will be, and any other error when it may be tried again. It
// may be called by several goroutines and keeps to the context's end.
type Transport interface {
	Send(ctx context.Context, l *Letter) error
}

// Refused is the answer of a mail server that does not take a letter.
type Refused struct {
	Permanent bool
	Code      string // three digits
	cause     error
}

func (r *Refused) Error() string { return "mail: refused with " + r.Code + ": " + r.cause.Error() }
func (r *Refused) Unwrap() error { return r.cause }

// SMTP sends through one server. The connection is encrypted and the server's
// certificate verified; only a server on the loopback may do without.
type SMTP struct {
	Host     string
	Port     int // 465 is TLS from the first byte, any other STARTTLS
	Username string
	Password func() string // called at each connection; nil without authentication
	TLS      *tls.Config   // nil verifies against the system's roots

	dial gomail.DialContextFunc // nil but in tests
}

// Send implements Transport.
func (s *SMTP) Send(ctx context.Context, l *Letter) error {
	msg, err := l.message()
	if err != nil {
		return &Refused{Permanent: true, Code: "address", cause: err}
	}
	opts := []gomail.Option{gomail.WithPort(s.Port), gomail.WithTimeout(20 * time.Second), gomail.WithHELO(l.helo())}
	switch {
	case s.Port == 465:
		opts = append(opts, gomail.WithSSL())
	case loopback(s.Host):
		opts = append(opts, gomail.WithTLSPolicy(gomail.TLSOpportunistic))
	default:
		opts = append(opts, gomail.WithTLSPolicy(gomail.TLSMandatory))
	}
	tc := s.TLS.Clone()
	if tc == nil {
		tc = &tls.Config{}
	}
	tc.MinVersion, tc.ServerName = tls.VersionTLS12, s.Host
	opts = append(opts, gomail.WithTLSConfig(tc))
	if s.Username != "" && s.Password != nil {
		auth := gomail.SMTPAuthAutoDiscover
		opts = append(opts, gomail.WithSMTPAuth(auth), gomail.WithUsername(s.Username), gomail.WithPassword(s.Password()))
	}
	if s.dial != nil {
		opts = append(opts, gomail.WithDialContextFunc(s.dial))
	}
	c, err := gomail.NewClient(s.Host, opts...)
	if err != nil {
		return fmt.Errorf("mail: set up connection: %w", err)
	}
	err = c.DialAndSendWithContext(ctx, msg)
	var se *gomail.SendError
	if errors.As(err, &se) && se.ErrorCode() > 0 {
		return &Refused{Permanent: !se.IsTemp() && se.ErrorCode() >= 500, Code: strconv.Itoa(se.ErrorCode()), cause: err}
	}
	if err != nil {
		return fmt.Errorf("mail: send through %s: %w", net.JoinHostPort(s.Host, strconv.Itoa(s.Port)), err)
	}
	return nil
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}
