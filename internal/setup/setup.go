// Package setup has the state of the installation and its first start: whether
// it is a demo or real, its one issuer, the one-time link that opens the
// wizard, and the wizard's steps from the recovery kit to a test sign-in.
//
//	state, err := s.Find(ctx)                            // before anything is opened
//	err = state.Check(setup.Real, cfg.HTTP.BaseURL)      // one sentence when it may not start
//	state, err = s.Begin(ctx, setup.Real, cfg.HTTP.BaseURL) // once the log is open
//	if !state.Completed() { url, err = s.NewLink(ctx, caller.ForSystem("setup")) }
//
// A fresh installation holds no user and no password (ASVS 6.3.2): the link is
// the only way in, and it is worth one browser for half an hour. When set-up is
// complete that is on record for ever, and nothing opens it again.
//
// It owns the tables setup_installation (one row) and setup_steps. It makes no
// user, organization or client of its own: each is made by the capability whose
// it is, and every later change of them happens there.
package setup

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// Stamp says what an installation is, for ever.
type Stamp string

// The stamps.
const (
	Demo Stamp = "demo" // made by rempart demo: sample people with known passwords
	Real Stamp = "real" // everything else
)

// Errors that refuse a start. Each reads as the sentence that is shown.
var (
	ErrDemo  = errors.New("this data folder belongs to a demo; rempart serve refuses it")
	ErrReal  = errors.New("this data folder belongs to a real installation; rempart demo refuses it")
	ErrNone  = errors.New("setup: the installation has not begun")
	errStamp = errors.New("setup: the stamp is neither demo nor real")
)

// IssuerError refuses a start under another base URL than the first.
type IssuerError struct{ Fixed, Asked string }

func (e *IssuerError) Error() string {
	return fmt.Sprintf("the issuer was fixed at the first start as %s, and http.base_url is %s; put the first one back", e.Fixed, e.Asked)
}

// State is what the installation is. The zero State is that of a place where
// nothing has begun.
type State struct {
	Stamp        Stamp     `json:"stamp"`
	Issuer       string    `json:"issuer"` // base URL, without trailing slash
	Created      time.Time `json:"created_at"`
	CompletedAt  time.Time `json:"completed_at,omitzero"`
	RestoreEpoch int64     `json:"restore_epoch"` // rises with each restore: what was issued before it is void
}

// Begun reports whether a first start has stamped the place.
func (s State) Begun() bool { return s.Stamp != "" }

// Completed reports whether set-up is over, which it then is for ever.
func (s State) Completed() bool { return !s.CompletedAt.IsZero() }

// Check decides whether the installation may start as the kind and under the
// issuer: ErrDemo, ErrReal, an *IssuerError, or a word about the issuer's form.
// The issuer of a demo may change its port and nothing else.
func (s State) Check(kind Stamp, issuer string) error {
	if kind != Demo && kind != Real {
		return errStamp
	}
	asked, err := origin(issuer)
	if err != nil {
		return err
	}
	switch {
	case !s.Begun():
		return nil
	case s.Stamp == Demo && kind == Real:
		return ErrDemo
	case s.Stamp == Real && kind == Demo:
		return ErrReal
	case s.Issuer == issuer:
		return nil
	}
	if fixed, err := origin(s.Issuer); kind == Demo && err == nil && fixed.Scheme == asked.Scheme && fixed.Hostname() == asked.Hostname() {
		return nil
	}
	return &IssuerError{Fixed: s.Issuer, Asked: issuer}
}

// origin reads an issuer in its one form: scheme, host in lower case, a port
// that the scheme does not imply, and nothing else. Relying parties compare it
// byte by byte (RFC 8414 section 3.3).
func origin(issuer string) (*url.URL, error) {
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, fmt.Errorf("the issuer %q is no origin such as https://id.example.com", issuer)
	}
	implied := map[string]string{"https": "443", "http": "80"}[u.Scheme]
	if issuer != u.Scheme+"://"+strings.ToLower(u.Host) || u.Port() == implied || strings.HasSuffix(u.Host, ":") {
		return nil, fmt.Errorf("the issuer %q must be scheme, host in lower case and port, without path and without the port that the scheme implies", issuer)
	}
	return u, nil
}
