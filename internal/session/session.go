// Package session has the browser sessions of users: who is signed in, by
// which authentications, since when, and until when.
//
// A session is a row, found by the SHA-256 of a secret of 256 bits that only
// the browser's cookie holds. The secret changes at sign-in, at every step-up
// and when an authenticator changes, so that a secret planted or stolen before
// is worth nothing after. A session belongs to a user and holds no
// organization: what it has proved is kept for each authentication (caller
// Method), and each organization decides by its rules on entry what it accepts.
//
//	secret, ok := session.Secret(r)           // from the cookie
//	found, err := s.Find(ctx, secret)         // ErrNone: nobody
//	who = found.Caller(who)
//
// A session is started, renewed and ended inside the transaction of whoever
// has a reason to, who records the entry: Prepare and Prepare's draft, then
// StartTx or RenewTx, then Keep once it is committed.
//
// The package owns session_sessions, session_seen and session_entries. It does
// not authenticate anyone, and does not decide whether a user or organization
// is alive: that is internal/access.
package session

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/id"
)

// ErrNone is returned by Find for a secret that opens no live session.
var ErrNone = errors.New("session: none")

// Session is one browser session of a user.
type Session struct {
	ID       id.Session      `json:"id"`
	User     id.User         `json:"user_id"`
	Methods  []caller.Method `json:"methods"`
	Created  time.Time       `json:"created_at"`
	AuthTime time.Time       `json:"authenticated_at"` // the last full sign-in
	FreshAt  time.Time       `json:"fresh_at"`         // the last proof of the authenticators
	Seen     time.Time       `json:"last_seen_at"`     // to the minute
	Ends     time.Time       `json:"ends_at"`          // at the latest
	Idle     time.Duration   `json:"-"`                // it ends when not used for so long
	Pause    time.Duration   `json:"-"`                // the longest time it was not used since the last proof, to the minute
	Current  bool            `json:"current"`          // the session of the request that asks
	Device   *Device         `json:"device,omitempty"` // in lists
	Source   netip.Addr      `json:"source,omitzero"`  // in lists: where it was started from
}

// IdleEnds is when the session ends if nothing is done in it.
func (s Session) IdleEnds() time.Time {
	if e := s.Seen.Add(s.Idle); e.Before(s.Ends) {
		return e
	}
	return s.Ends
}

// Live reports whether the session's limits still allow it.
func (s Session) Live(now time.Time) bool { return now.Before(s.IdleEnds()) }

// Fresh reports whether the authenticators were proved recently enough for
// acts that need a fresh proof.
func (s Session) Fresh(now time.Time) bool { return now.Sub(s.FreshAt) < DefaultFresh }

// AMR gives the values of the amr claim (RFC 8176).
func (s Session) AMR() []string { return caller.AMR(s.Methods) }

// Caller gives who with what the session proves.
func (s Session) Caller(who caller.Caller) caller.Caller {
	who.Kind, who.User, who.Session = caller.User, s.User, s.ID
	who.Methods, who.AuthTime, who.FreshAt = slices.Clone(s.Methods), s.AuthTime, s.FreshAt
	who.Cookie = true
	return who
}

// CookieName is the cookie that holds a session's secret.
const CookieName = "__Host-rempart_session"

// Secret reads the session's secret from the request's cookie.
func Secret(r *http.Request) (string, bool) {
	// A browser that holds the name twice is being played with: __Host- cookies
	// have one path and no domain, so a second one comes from elsewhere.
	cs := r.CookiesNamed(CookieName)
	if len(cs) != 1 || len(cs[0].Value) != base64.RawURLEncoding.EncodedLen(secretLen) {
		return "", false
	}
	return cs[0].Value, true
}

// SetCookie gives the browser the secret, until the browser ends.
func SetCookie(w http.ResponseWriter, secret string) {
	http.SetCookie(w, &http.Cookie{Name: CookieName, Value: secret, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

// ClearCookie takes the secret from the browser.
func ClearCookie(w http.ResponseWriter) {
	http.SetCookie(w, &http.Cookie{Name: CookieName, Path: "/", MaxAge: -1, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

// newSecret makes a secret and the hash that is stored.
func newSecret() (string, [32]byte) {
	var b [secretLen]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:]), sha256.Sum256(b[:])
}

// hashOf gives the stored hash of a presented secret.
func hashOf(secret string) ([32]byte, bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(secret)
	if err != nil || len(b) != secretLen {
		return [32]byte{}, false
	}
	return sha256.Sum256(b), true
}

// current marks the session of the request.
func current(list []Session, who caller.Caller) []Session {
	for i := range list {
		list[i].Current = list[i].ID == who.Session
	}
	return list
}
