// Package caller says who acts: the one value that every service method takes
// and that the log names as actor.
//
// A Caller is made by web from what a request proves, by job for scheduled
// work and by the command line; it is never built from a request's own words.
// It holds facts, not rights: internal/access decides what it may do.
package caller

import (
	"net/netip"
	"slices"
	"time"

	"github.com/rempart/rempart/internal/id"
)

// Kind is what sort of actor a Caller is.
type Kind uint8

const (
	Visitor Kind = iota // nobody known
	User                // a user with a session, or through a token granted for her
	Client              // an OAuth client on its own behalf (client_credentials)
	Key                 // an API key
	System              // scheduled work of the server itself
	Local               // an operator at the command line of the machine
)

// String is the name that the log and the API use.
func (k Kind) String() string {
	return [...]string{"visitor", "user", "client", "key", "system", "local"}[k]
}

// Method is one authentication that a session holds (RFC 8176 names).
type Method struct {
	Name       string    `json:"name"`                 // "pwd", "otp", "hwk", "rcv" (recovery code)
	Connection string    `json:"connection,omitempty"` // upstream connection that made it; empty: the user's own credential
	At         time.Time `json:"at"`
}

// Caller is who acts, from where, in which organization.
type Caller struct {
	Kind    Kind
	User    id.User    // of User; of Key: the owner, if a person owns it
	Client  id.Client  // of Client; of User: the client of the token, if one was used
	Key     id.Key     // of Key
	Session id.Session // of User with a session
	Grant   id.Grant   // of a token
	Name    string     // of System: the job; of Local: "uid@host"

	// Org is the organization in force: from the path, the key or the token,
	// never from the body. Zero where the act concerns none.
	Org id.Org

	Methods  []Method  // authentications of the session, in the order made
	AuthTime time.Time // the last full sign-in
	FreshAt  time.Time // the last proof of the authenticators (sign-in or step-up)

	// Limits that a key or token puts below its owner's rights.
	Scopes     []string       // permissions or OAuth scopes; nil: not limited
	Workspaces []id.Workspace // nil: not limited
	NoStepUp   bool           // a key of the demo that needs no step-up

	Source  netip.Addr // client address, from trusted hops only
	Device  string     // User-Agent, bounded
	Request id.Request
	Lang    string // "en", "fr" or "nl"
	Cookie  bool   // authenticated by the session cookie of our own pages
}

// ForSystem is the caller of scheduled work.
func ForSystem(name string) Caller { return Caller{Kind: System, Name: name} }

// ForLocal is the caller of a command of an operator on the machine.
func ForLocal(name string) Caller { return Caller{Kind: Local, Name: name} }

// In gives c acting in the organization.
func (c Caller) In(org id.Org) Caller { c.Org = org; return c }

// Has reports whether the session holds an authentication of the name.
func (c Caller) Has(method string) bool {
	return slices.ContainsFunc(c.Methods, func(m Method) bool { return m.Name == method })
}

// AMR gives the names of the authentications, without repetition (RFC 8176),
// with "mfa" when there are two different ones.
func (c Caller) AMR() []string { return AMR(c.Methods) }

// AMR gives the values of the amr claim for the methods.
func AMR(methods []Method) []string {
	out := []string{}
	for _, m := range methods {
		if !slices.Contains(out, m.Name) {
			out = append(out, m.Name)
		}
	}
	if len(out) > 1 {
		out = append(out, "mfa")
	}
	return out
}

// ID is the text form of the actor's identifier: a user, client or key id, or
// the name of the job or local operator; "" for a visitor.
func (c Caller) ID() string {
	switch c.Kind {
	case User:
		return c.User.String()
	case Client:
		return c.Client.String()
	case Key:
		return c.Key.String()
	case System:
		return c.Name
	case Local:
		return "local:" + c.Name
	}
	return ""
}
