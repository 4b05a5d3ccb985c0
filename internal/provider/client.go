package provider

import (
	"crypto/sha256"
	"crypto/subtle"
	"slices"
	"strings"
	"time"

	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/provider/jwt"
)

// ClientType is what sort of application a client is; it decides whether the
// client can keep a secret.
type ClientType string

// The types.
const (
	ClientWeb     ClientType = "web"     // a server that keeps a secret
	ClientSPA     ClientType = "spa"     // a script in a browser: public
	ClientNative  ClientType = "native"  // an application on a device: public
	ClientService ClientType = "service" // a server on its own behalf, without people
)

var clientTypes = []ClientType{ClientWeb, ClientSPA, ClientNative, ClientService}

// ClientState is whether a client may act.
type ClientState string

// The states. A removed client never comes back, and its id is never reused.
const (
	ClientActive   ClientState = "active"
	ClientDisabled ClientState = "disabled"
	ClientRemoved  ClientState = "removed"
)

// The grant types.
const (
	grantCode    = "authorization_code"
	grantRefresh = "refresh_token"
	grantClient  = "client_credentials"
)

// The scopes with a meaning of ours; every other is the application's own.
const (
	scopeOpenID      = "openid"
	scopeProfile     = "profile"
	scopeEmail       = "email"
	scopeOffline     = "offline_access"
	scopePermissions = "permissions"
)

var (
	grantTypes     = []string{grantCode, grantRefresh, grantClient}
	identityScopes = []string{scopeOpenID, scopeProfile, scopeEmail, scopeOffline, scopePermissions}
	promptValues   = []string{"none", "login", "consent", "select_account"}
)

// Client is an application that trusts our sign-in, or acts on its own behalf.
type Client struct {
	ID                     id.Client   `json:"id"`
	Name                   string      `json:"name"`
	Type                   ClientType  `json:"type"`
	State                  ClientState `json:"state"`
	Org                    id.Org      `json:"org_id,omitzero" doc:"The organization that owns the client: only its members sign in with it. Absent: the installation's own."`
	FirstParty             bool        `json:"first_party" doc:"Part of the product itself: people are not asked for consent."`
	RedirectURIs           []string    `json:"redirect_uris"`
	PostLogoutRedirectURIs []string    `json:"post_logout_redirect_uris"`
	GrantTypes             []string    `json:"grant_types"`
	Scopes                 []string    `json:"scopes"`
	Audience               string      `json:"audience,omitempty" doc:"The aud of its access tokens; without it the API of this installation for a first-party client, else the issuer."`
	Resource               string      `json:"resource,omitempty" doc:"The audience that this client is the resource server of: it may introspect tokens for it."`
	SigningAlg             string      `json:"signing_alg" doc:"ES256, or RS256 for a client that knows nothing newer."`
	Secrets                []SecretRef `json:"secrets"`
	CreatedAt              time.Time   `json:"created_at"`
	ChangedAt              time.Time   `json:"changed_at"`
	Revision               int64       `json:"revision"`

	hashes []clientSecret
}

// SecretRef tells of a secret without telling it.
type SecretRef struct {
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at,omitzero" doc:"Absent: the secret in force, without an end."`
}

type clientSecret struct {
	hash      [32]byte
	createdAt time.Time
	until     time.Time // zero: no end
}

// ClientInput is what may be said of a client when it is added or changed.
type ClientInput struct {
	Name                   string     `json:"name" minLength:"1" maxLength:"80"`
	Type                   ClientType `json:"type" enum:"web,spa,native,service"`
	Org                    id.Org     `json:"org_id,omitzero"`
	FirstParty             bool       `json:"first_party,omitempty"`
	RedirectURIs           []string   `json:"redirect_uris,omitempty" maxItems:"40"`
	PostLogoutRedirectURIs []string   `json:"post_logout_redirect_uris,omitempty" maxItems:"40"`
	GrantTypes             []string   `json:"grant_types,omitempty" maxItems:"3"`
	Scopes                 []string   `json:"scopes,omitempty" maxItems:"60"`
	Audience               string     `json:"audience,omitempty" maxLength:"512"`
	Resource               string     `json:"resource,omitempty" maxLength:"512"`
	SigningAlg             string     `json:"signing_alg,omitempty" enum:"ES256,RS256"`
}

// ETag is the entity tag of the client.
func (c *Client) ETag() string { return etagOf(c.Revision) }

// Location is where the client is found.
func (c *Client) Location() string { return "/api/v1/installation/clients/" + c.ID.String() }

// Active reports whether the client may act.
func (c *Client) Active() bool { return c.State == ClientActive }

// Confidential reports whether the client keeps a secret.
func (c *Client) Confidential() bool { return c.Type == ClientWeb || c.Type == ClientService }

func (c *Client) mayUse(grant string) bool { return slices.Contains(c.GrantTypes, grant) }

// knows compares a secret with those in force, in a time that does not depend
// on where they differ.
func (c *Client) knows(secret string, now time.Time) bool {
	sum := sha256.Sum256([]byte(secret))
	ok := 0
	for _, s := range c.hashes {
		if s.until.IsZero() || now.Before(s.until) {
			ok |= subtle.ConstantTimeCompare(sum[:], s.hash[:])
		}
	}
	return ok == 1
}

// complete fills what was not said and checks the rest.
func (in *ClientInput) complete() error {
	e := fault.New(fault.Invalid, "provider.client.invalid", nil)
	in.Name = strings.TrimSpace(in.Name)
	if in.Name == "" || len(in.Name) > 240 || strings.ContainsFunc(in.Name, func(r rune) bool {
		return r < ' ' || r == 0x7f || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
	}) {
		e = e.At("/name", "provider.client.name.invalid")
	}
	if !slices.Contains(clientTypes, in.Type) {
		return e.At("/type", "provider.client.type.unknown")
	}
	if len(in.GrantTypes) == 0 {
		in.GrantTypes = []string{grantCode, grantRefresh}
		if in.Type == ClientService {
			in.GrantTypes = []string{grantClient}
		}
	}
	slices.Sort(in.GrantTypes)
	in.GrantTypes = slices.Compact(in.GrantTypes)
	for _, g := range in.GrantTypes {
		people := g != grantClient
		switch {
		case !slices.Contains(grantTypes, g),
			in.Type == ClientService && people,
			!people && in.Type != ClientService && in.Type != ClientWeb:
			e = e.At("/grant_types", "provider.client.grant.not-for-type")
		}
	}
	if slices.Contains(in.GrantTypes, grantRefresh) && !slices.Contains(in.GrantTypes, grantCode) {
		e = e.At("/grant_types", "provider.client.grant.refresh-without-code")
	}
	if in.Scopes == nil && in.Type != ClientService {
		in.Scopes = []string{scopeOpenID, scopeProfile, scopeEmail}
	}
	for i, s := range in.Scopes {
		if !isScopeToken(s) || slices.Contains(in.Scopes[:i], s) {
			e = e.At("/scopes", "provider.client.scope.invalid")
		}
	}
	if slices.Contains(in.GrantTypes, grantCode) && len(in.RedirectURIs) == 0 {
		e = e.At("/redirect_uris", "provider.client.uri.missing")
	}
	for _, u := range in.RedirectURIs {
		if key := checkRedirect(in.Type, u); key != "" {
			e = e.At("/redirect_uris", key)
		}
	}
	for _, u := range in.PostLogoutRedirectURIs {
		if key := checkRedirect(in.Type, u); key != "" {
			e = e.At("/post_logout_redirect_uris", key)
		}
	}
	if in.SigningAlg == "" {
		in.SigningAlg = jwt.ES256
	}
	if in.SigningAlg != jwt.ES256 && in.SigningAlg != jwt.RS256 {
		e = e.At("/signing_alg", "provider.client.alg.unknown")
	}
	for at, a := range map[string]string{"/audience": in.Audience, "/resource": in.Resource} {
		if a != "" && (!isScopeToken(strings.ReplaceAll(a, "\\", " ")) || !strings.Contains(a, ":")) {
			e = e.At(at, "provider.client.audience.invalid")
		}
	}
	if in.Resource != "" && in.Type != ClientWeb && in.Type != ClientService {
		e = e.At("/resource", "provider.client.resource.not-for-type")
	}
	if len(e.Fields) > 0 {
		return e
	}
	in.RedirectURIs, in.PostLogoutRedirectURIs, in.Scopes = list(in.RedirectURIs), list(in.PostLogoutRedirectURIs), list(in.Scopes)
	return nil
}

// list makes an empty list of none, so that JSON shows an array.
func list(v []string) []string {
	if v == nil {
		return []string{}
	}
	return v
}

// apply puts the input into the client and says what changed, for the log.
func (c *Client) apply(in ClientInput) []change {
	var out []change
	set := func(field string, have *string, want string) {
		if *have != want {
			out = append(out, change{field, *have, want})
			*have = want
		}
	}
	many := func(field string, have *[]string, want []string) {
		if !slices.Equal(*have, want) {
			out = append(out, change{field, strings.Join(*have, " "), strings.Join(want, " ")})
			*have = want
		}
	}
	set("name", &c.Name, in.Name)
	set("audience", &c.Audience, in.Audience)
	set("resource", &c.Resource, in.Resource)
	set("signing_alg", &c.SigningAlg, in.SigningAlg)
	many("redirect_uris", &c.RedirectURIs, in.RedirectURIs)
	many("post_logout_redirect_uris", &c.PostLogoutRedirectURIs, in.PostLogoutRedirectURIs)
	many("grant_types", &c.GrantTypes, in.GrantTypes)
	many("scopes", &c.Scopes, in.Scopes)
	if c.FirstParty != in.FirstParty {
		out = append(out, change{"first_party", c.FirstParty, in.FirstParty})
		c.FirstParty = in.FirstParty
	}
	return out
}

type change struct {
	field         string
	before, after any
}
