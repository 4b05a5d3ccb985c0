// Package provider is the OpenID provider: the authorization server (RFC 6749,
// with the rules of RFC 9700) and OpenID provider (OpenID Connect Core) of the
// installation.
//
// It owns the clients, the signing keys, the grants with their codes and
// refresh tokens, and the consents: tables provider_clients, provider_keys,
// provider_grants, provider_consents. It does not sign anyone in: Facts.SignIn
// does, and comes back by a signed handle in the return path. It knows no
// organization, no membership and no policy: Facts has the questions, app the
// answers.
//
// # A grant
//
// A row of provider_grants begins as an authorization code (60 s, one use),
// becomes a family of refresh tokens of which exactly one is in force, and
// ends. Code and token are used up by one UPDATE each (useCode, useToken); what
// was used before ends the whole grant. A refresh token is 43 digits, of which
// the first 21 name the family and the others prove the right to it: a used
// token is told from a foreign one without keeping old ones.
//
// Access tokens are JWTs (RFC 9068) that name the grant and are stored nowhere.
// Whoever asks us about one (our own API, introspection, userinfo) gets an
// answer that knows the state of the grant, the client, the user, the
// membership and the session; a resource server that checks one offline may
// accept it until it expires, at most accessLife later.
//
// # The hot path
//
// Clients, keys and the grants that ended lately are in memory (state.go), so
// that client authentication, introspection of a JWT and VerifyAccess run no
// statement. client_credentials is one Update, which holds the log entry alone;
// a refresh is one View and one Update.
package provider

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/clock"
	"github.com/rempart/rempart/internal/console"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/keyring"
	"github.com/rempart/rempart/internal/store"
	"github.com/rempart/rempart/internal/web"
)

// Service is the provider. app fills its fields once and calls Start.
type Service struct {
	Store   *store.DB
	Keys    *keyring.Service
	Audit   *audit.Log
	Console *console.Console
	Cursors *web.Cursors
	Log     *slog.Logger
	Now     clock.Now
	Issuer  string // the base URL, without a trailing slash
	APIURL  string // audience of access tokens for our own API
	Facts   Facts

	live     live
	verified verified
}

// Facts are what the provider must know of people and may not know by itself.
type Facts struct {
	// Alive is nil when everything the caller stands on may act: her user,
	// the session and client if she names one, the membership of org if it is
	// given.
	Alive func(ctx context.Context, who caller.Caller, org id.Org) error

	// Enter is nil when the organization's rules let her in as she is. A fault
	// of kind StepUp says that a further proof or an enrollment would; SignIn
	// then leads her there.
	Enter func(ctx context.Context, who caller.Caller, org id.Org) error

	// Organizations are those of which the user is an active member.
	Organizations func(ctx context.Context, user id.User) ([]Organization, error)

	// Standing is what the user is in the organization.
	Standing func(ctx context.Context, org id.Org, user id.User) (Standing, error)

	// Person is the user's profile, as she appears in the organization if one
	// is given.
	Person func(ctx context.Context, user id.User, org id.Org) (Person, error)

	// SignIn answers the request by leading the person through the sign-in
	// pages; they come back to ask.Return.
	SignIn func(w http.ResponseWriter, r *http.Request, ask Ask) error

	// SignOut ends the browser's session and takes its cookie.
	SignOut func(w http.ResponseWriter, r *http.Request, who caller.Caller) error
}

// Organization is one that a user may act in.
type Organization struct {
	ID         id.Org
	Slug, Name string
}

// Standing is what a user is in an organization.
type Standing struct {
	Organization
	Roles       []string
	Workspaces  []id.Workspace
	Permissions []string
}

// Person is what tokens may say of a user.
type Person struct {
	Name, GivenName, FamilyName string
	Email                       string
	EmailVerified               bool
	Locale, Zone                string
	UpdatedAt                   time.Time
}

// Ask is what the sign-in pages are asked to do.
type Ask struct {
	Return    string        // path of ours where to come back to
	Client    string        // name of the application, for the page
	Redirect  string        // where the flow ends, for the policy on forms
	LoginHint string        // what to put into the form
	Locale    string        // language asked for, or ""
	Org       id.Org        // whose rules she must meet, if that is known
	Fresh     bool          // sign in again, whatever session there is
	Choose    bool          // let her choose the account
	StepUp    bool          // a further factor is wanted
	MaxAge    time.Duration // the oldest sign-in that is good enough; below zero: any
}

// The security defaults.
const (
	codeLife    = 60 * time.Second    // of an authorization code
	accessLife  = 5 * time.Minute     // of access and ID tokens
	refreshLife = 30 * 24 * time.Hour // of a family of refresh tokens, whatever is done with it
	flowLife    = 30 * time.Minute    // from the authorization request to its answer
	formLife    = 10 * time.Minute    // of a consent page
	flowRounds  = 5                   // times that one request may lead to the sign-in pages

	keyAge       = 30 * 24 * time.Hour // after which a signing key is rotated
	keyPublished = 24 * time.Hour      // for which a retired key stays in the key set
	keyKept      = 90 * 24 * time.Hour // for which its public half stays in the table

	secretOverlap    = 24 * time.Hour // for which a rotated client secret still works
	secretOverlapMax = 30 * 24 * time.Hour
	secretsMax       = 2

	pollEvery  = 250 * time.Millisecond
	staleAfter = time.Second
	overlap    = 3 * time.Minute            // of two polls: more than a transaction may take, and clocks may differ
	endedKept  = accessLife + 2*time.Minute // for which an ended grant is remembered

	maxRequest    = 3500 // bytes of an authorization request: it travels in the paths of two flows, each time a third longer
	maxForm       = 16 << 10
	maxParameters = 60
	maxState      = 2048
	maxHint       = 320
	maxURI        = 2000

	familyDigits = 21 // of a refresh token: 125 bits that name the family; 131 prove the right to it
)

// Kinds of secrets (id.NewSecret).
const (
	kindClient  = "cs"
	kindCode    = "ac"
	kindRefresh = "rt"
)

func etagOf(revision int64) string { return `"` + strconv.FormatInt(revision, 10) + `"` }

// client finds a client that is not removed, by the text of its id.
func (m *memory) client(text string) *Client { return m.clients[text] }

// ClientState answers access.Facts.Client.
func (s *Service) ClientState(ctx context.Context, client id.Client) (ClientState, error) {
	m, err := s.memory(ctx)
	if err != nil {
		return "", err
	}
	if c := m.client(client.String()); c != nil {
		return c.State, nil
	}
	return ClientRemoved, nil
}

// audience is the aud of the client's access tokens.
func (s *Service) audience(c *Client) string {
	switch {
	case c.Audience != "":
		return c.Audience
	case c.FirstParty:
		return s.APIURL
	}
	return s.Issuer
}

// jobs of the manifest.
func (s *Service) sweep(ctx context.Context) error {
	pen, err := s.Audit.Pen(ctx, systemCaller, id.Org{})
	if err != nil {
		return err
	}
	err = s.Store.Update(ctx, store.System("provider.sweep"), func(tx *store.Tx) error {
		n, err := tx.Exec(sweepGrants, store.Micros(s.Now().Add(-24*time.Hour)))
		if err != nil || n == 0 {
			return err
		}
		return pen.Record(tx, audit.Entry{Kind: EventSwept, Target: audit.Target{Kind: "grant"}, Facts: map[string]any{"count": n}})
	})
	if err != nil {
		return fmt.Errorf("provider: sweep grants: %w", err)
	}
	return nil
}
