// Package signin is the interactive sign-in: the pages from the question who
// somebody is to a session, and back to where she came from; and her account's
// pages about how she proves herself.
//
// # Flows
//
// A relying party's request leads here with an Ask:
//
//	path, err := s.Begin(ctx, signin.Ask{Return: "/oauth/authorize?…", ClientName: "Notes"})
//	web.Redirect(w, r, path)
//
// and the browser comes back to Return with a session. In between a flow, one
// row, goes through its steps: password, then second (a TOTP code or a recovery
// code) where she has one, or enroll where an organization asks for it and she
// has none, or renew where her password does not meet its rule; then done. Each
// step is one UPDATE from the step before, so that none can be skipped, repeated
// or reordered; and each asks for the cookie of the browser that began, so that a
// flow is worth nothing elsewhere.
//
// Known and unknown addresses get the same pages, cost the same hash and the
// same statements, and must wait alike.
//
// # Entering an organization
//
// A session holds no organization. Enter applies an organization's rules to
// what a session proves, each time; what fails leads, by Detour, to a step-up,
// an enrollment or a new password, and leaves other organizations untouched.
//
// The package owns signin_flows, signin_requests and signin_links. Credentials
// and their counts are internal/credential, sessions internal/session, rules
// internal/policy. Upstream identity providers are internal/federation.
package signin

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/clock"
	"github.com/rempart/rempart/internal/console"
	"github.com/rempart/rempart/internal/credential"
	"github.com/rempart/rempart/internal/directory"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/keyring"
	"github.com/rempart/rempart/internal/mail"
	"github.com/rempart/rempart/internal/policy"
	"github.com/rempart/rempart/internal/session"
	"github.com/rempart/rempart/internal/store"
	"github.com/rempart/rempart/internal/web"
)

// Service signs people in. Its fields are set once, before use.
type Service struct {
	Store      *store.DB
	Keys       *keyring.Service
	Audit      *audit.Log
	Now        clock.Now
	Log        *slog.Logger
	BaseURL    *url.URL
	Console    *console.Console
	Directory  *directory.Service
	Policy     *policy.Service
	Credential *credential.Service
	Session    *session.Service
	Mail       *mail.Outbox
}

// The security defaults of the sign-in.
const (
	flowTerm   = 30 * time.Minute // to go through all steps
	askTerm    = time.Hour        // from Begin to the first step
	resetTerm  = 30 * time.Minute // of a reset link
	verifyTerm = 24 * time.Hour   // of a link that proves an address
	sweepAfter = 24 * time.Hour   // rows that decide nothing any more
	mailBatch  = 100              // reset requests answered at a turn
	warnAfter  = 3                // wrong codes after a right password, of which she is told
)

// The labels of sealed fields, fixed for ever.
const (
	labelAsk     = "signin.ask"
	labelFlow    = "signin.flow.state"
	hashAddress  = "signin.guess.address"
	labelRequest = "signin.request.lang"
)

// Ask is what the one who sends a browser to sign in wants.
type Ask struct {
	Return     string        `json:"r"`           // path of our own origin, with query, to go to when done
	ClientName string        `json:"c,omitempty"` // shown: "to continue to …"
	Org        id.Org        `json:"o,omitzero"`  // the organization to be entered; zero: none, or chosen later
	Fresh      bool          `json:"f,omitempty"` // a session that exists does not do: prompt=login
	Choose     bool          `json:"s,omitempty"` // prompt=select_account
	MaxAge     time.Duration `json:"m,omitempty"` // the last full sign-in may be as old; 0: any
	LoginHint  string        `json:"h,omitempty"` // address to start with
	MFA        bool          `json:"a,omitempty"` // a second factor is wished for (acr_values): who has one proves it
	FormTo     string        `json:"u,omitempty"` // redirect URI whose origin the last form may lead to (CSP form-action)
}

// sealedAsk is an Ask on its way through the browser.
type sealedAsk struct {
	Ask
	Until int64 `json:"e"`
}

var token = base64.RawURLEncoding.Strict()

// Begin gives the path to send the browser to (with 303). The browser comes
// back to ask.Return by GET, with a session that meets the ask. The path serves
// for an hour.
func (s *Service) Begin(ctx context.Context, ask Ask) (string, error) {
	ask.Return = web.LocalPath(ask.Return)
	ring, err := s.Keys.Ready(ctx, keyring.Installation())
	if err != nil {
		return "", err
	}
	plain, err := json.Marshal(sealedAsk{ask, store.Micros(s.Now().Add(askTerm))})
	if err != nil {
		return "", err
	}
	sealed, err := ring.Seal(keyring.Installation(), labelAsk, "", plain)
	if err != nil {
		return "", fmt.Errorf("signin: seal ask: %w", err)
	}
	return "/sign-in?ask=" + token.EncodeToString(sealed), nil
}

// openAsk reads what Begin made. What is forged, old or missing is an empty
// ask: the person signs in and gets to her account.
func (s *Service) openAsk(ring *keyring.Ring, text string) (Ask, bool) {
	sealed, err := token.DecodeString(text)
	if err != nil || len(text) > 6000 {
		return Ask{}, false
	}
	plain, err := ring.Open(keyring.Installation(), labelAsk, "", sealed)
	if err != nil {
		return Ask{}, false
	}
	var a sealedAsk
	if json.Unmarshal(plain, &a) != nil || store.Micros(s.Now()) >= a.Until {
		return Ask{}, false
	}
	return a.Ask, true
}

// Path is where a visitor signs in who asked for a page of ours.
func Path(ret string) string {
	if ret = web.LocalPath(ret); ret == "/" {
		return "/sign-in"
	}
	return "/sign-in?return=" + url.QueryEscape(ret)
}
