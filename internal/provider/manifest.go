package provider

import (
	"embed"
	"io/fs"
	"time"

	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/console"
	"github.com/rempart/rempart/internal/web"
)

//go:embed migrations/*.sql pages/*.html messages/*.json
var files embed.FS

var views = console.MustParse(files, "pages/*.html")

func sub(dir string) fs.FS {
	f, err := fs.Sub(files, dir)
	if err != nil {
		panic(err) // the folder is embedded
	}
	return f
}

// The permissions.
const (
	PermissionRead  = "provider.read"
	PermissionWrite = "provider.write"
)

// The kinds of entries.
const (
	EventCodeIssued           = "provider.code.issued"
	EventCodeReused           = "provider.code.reused"
	EventAuthorizationRefused = "provider.authorization.refused"
	EventTokenIssued          = "provider.token.issued"
	EventTokenRefreshed       = "provider.token.refreshed"
	EventTokenRefused         = "provider.token.refused"
	EventRefreshReused        = "provider.refresh_token.reused"
	EventGrantEnded           = "provider.grant.revoked"
	EventSwept                = "provider.grants.swept"
	EventConsentGiven         = "provider.consent.given"
	EventConsentWithdrawn     = "provider.consent.withdrawn"
	EventClientRefused        = "provider.client.refused"
	EventClientAdded          = "provider.client.added"
	EventClientChanged        = "provider.client.changed"
	EventClientSecretRotated  = "provider.client.secret_rotated"
	EventClientDisabled       = "provider.client.disabled"
	EventClientEnabled        = "provider.client.enabled"
	EventClientRemoved        = "provider.client.removed"
	EventKeyMade              = "provider.signing_key.made"
	EventKeyRotated           = "provider.signing_key.rotated"
)

// Manifest is what the provider adds to the product.
func (s *Service) Manifest() capability.Manifest {
	admin, access, signIn := capability.ClassAdmin, capability.ClassAccess, capability.ClassSignIn
	return capability.Manifest{
		Name: "provider",
		Permissions: []capability.Permission{
			{Name: PermissionRead, Level: capability.LevelStaff, Roles: []string{"staff-admin", "staff-auditor"}},
			{Name: PermissionWrite, Level: capability.LevelStaff, Roles: []string{"staff-admin"}, StepUp: true},
		},
		Events: []capability.Event{
			{Kind: EventCodeIssued, Class: signIn, Person: true}, {Kind: EventCodeReused, Class: signIn, Person: true},
			{Kind: EventAuthorizationRefused, Class: signIn, Person: true}, {Kind: EventTokenIssued, Class: access, Person: true},
			{Kind: EventTokenRefreshed, Class: access, Person: true}, {Kind: EventTokenRefused, Class: access, Person: true},
			{Kind: EventRefreshReused, Class: signIn, Person: true}, {Kind: EventGrantEnded, Class: access, Person: true},
			{Kind: EventSwept, Class: capability.ClassSystem}, {Kind: EventConsentGiven, Class: admin, Person: true},
			{Kind: EventConsentWithdrawn, Class: admin, Person: true},
			{Kind: EventClientRefused, Class: access}, {Kind: EventClientAdded, Class: admin, Person: true}, {Kind: EventClientChanged, Class: admin, Person: true},
			{Kind: EventClientSecretRotated, Class: admin, Person: true}, {Kind: EventClientDisabled, Class: admin, Person: true},
			{Kind: EventClientEnabled, Class: admin, Person: true}, {Kind: EventClientRemoved, Class: admin, Person: true},
			{Kind: EventKeyMade, Class: admin}, {Kind: EventKeyRotated, Class: admin, Person: true},
		},
		Routes: s.routes(),
		Jobs: []capability.Job{
			{Name: "provider.rotate-keys", Every: time.Hour, Run: s.rotateDue},
			{Name: "provider.sweep", Every: time.Hour, Run: s.sweep},
		},
		Tables:     tables,
		Statements: q.All(),
		Controls:   s.controls(),
		Navigation: []capability.Navigation{
			{Area: "staff", Section: "provider.nav.section", Label: "provider.nav.clients", Path: "/clients", Permission: PermissionRead, Icon: "app-window", Order: 40},
			{Area: "account", Section: "provider.nav.account", Label: "provider.nav.applications", Path: "/applications", Permission: capability.Self, Icon: "app-window", Order: 50},
		},
		Migrations: sub("migrations"),
		Messages:   sub("messages"),
	}
}

func (s *Service) routes() []web.Route {
	const (
		cached   = "public, max-age=300"
		noAct    = "it only continues as a GET of the same request"
		onRefuse = "refusals, reuse and revocation leave their own entries"
	)
	tok := capability.Token
	return []web.Route{
		web.Protocol("GET /.well-known/openid-configuration", capability.Public, s.discovery, web.CORS(), web.Cache(cached), web.Summary("OpenID Connect Discovery.")),
		web.Protocol("GET /.well-known/oauth-authorization-server", capability.Public, s.discovery, web.CORS(), web.Cache(cached), web.Summary("Authorization server metadata (RFC 8414).")),
		web.Protocol("GET "+pathJWKS, capability.Public, s.jwks, web.CORS(), web.Cache(cached), web.Summary("The keys that tokens are signed with.")),
		web.Page("GET "+pathAuthorize, tok, s.authorize),
		web.Page("POST "+pathAuthorize, tok, s.authorizePost, web.NoEntry(noAct), web.MaxBody(maxForm)),
		web.Page("GET "+pathContinue, tok, s.resume),
		web.Page("POST "+pathConsent, capability.Self, s.consentPost, web.Event(EventConsentGiven), web.MaxBody(4*maxForm)),
		web.Protocol("POST "+pathToken, tok, s.token, web.CORS(), web.Event(EventTokenIssued), web.Summary("Tokens for a code, a refresh token or a client.")),
		web.Protocol("GET "+pathUserinfo, tok, s.userinfo, web.CORS(), web.Summary("Claims about the person of an access token.")),
		web.Protocol("POST "+pathUserinfo, tok, s.userinfo, web.CORS(), web.NoEntry("it only reads"), web.Summary("Claims about the person of an access token.")),
		web.Protocol("POST "+pathIntrospect, tok, s.introspect, web.NoEntry("it only reads; "+onRefuse), web.Summary("Whether a token is alive (RFC 7662).")),
		web.Protocol("POST "+pathRevoke, tok, s.revoke, web.CORS(), web.Event(EventGrantEnded), web.Summary("End a token and all of its grant (RFC 7009).")),
		web.Page("GET "+pathLogout, tok, s.logout),
		web.Page("POST "+pathLogout, tok, s.logoutPost, web.NoEntry(noAct), web.MaxBody(maxForm)),
		web.Page("POST "+pathSignOut, capability.Public, s.logoutConfirmed, web.NoEntry("the end of the session leaves it"), web.MaxBody(4*maxForm)),

		web.JSON("GET /api/v1/installation/clients", PermissionRead, s.apiList, web.Summary("List the clients.")),
		web.JSON("POST /api/v1/installation/clients", PermissionWrite, s.apiAdd, web.Status(201), web.Event(EventClientAdded), web.Summary("Register a client. Its secret is told this once.")),
		web.JSON("GET /api/v1/installation/clients/{client}", PermissionRead, s.apiFind, web.Summary("Read a client.")),
		web.JSON("PATCH /api/v1/installation/clients/{client}", PermissionWrite, s.apiChange, web.Event(EventClientChanged), web.Summary("Change a client.")),
		web.JSON("DELETE /api/v1/installation/clients/{client}", PermissionWrite, s.apiRemove, web.Status(204), web.Event(EventClientRemoved), web.Summary("End a client and every grant of it, for ever.")),
		web.JSON("POST /api/v1/installation/clients/{client}/secret", PermissionWrite, s.apiRotate, web.Event(EventClientSecretRotated), web.Summary("Give a client a new secret, told this once.")),
		web.JSON("POST /api/v1/installation/clients/{client}/disable", PermissionWrite, s.apiDisable, web.Event(EventClientDisabled), web.Summary("Stop a client, its tokens too.")),
		web.JSON("POST /api/v1/installation/clients/{client}/enable", PermissionWrite, s.apiEnable, web.Event(EventClientEnabled), web.Summary("Let a disabled client act again.")),
		web.JSON("GET /api/v1/me/applications", capability.Self, s.apiApplications, web.Summary("The applications that may act for you.")),
		web.JSON("DELETE /api/v1/me/applications/{client}", capability.Self, s.apiForget, web.Status(204), web.Event(EventConsentWithdrawn), web.Summary("Take back what you granted an application.")),

		web.Page("GET /console/staff/clients", PermissionRead, s.clientsPage),
		web.Page("GET /console/staff/clients/new", PermissionWrite, s.clientNewPage),
		web.Page("POST /console/staff/clients/new", PermissionWrite, s.clientAdd, web.Event(EventClientAdded)),
		web.Page("GET /console/staff/clients/{client}", PermissionRead, s.clientPage),
		web.Page("POST /console/staff/clients/{client}", PermissionWrite, s.clientChange, web.Event(EventClientChanged)),
		web.Page("POST /console/staff/clients/{client}/act", PermissionWrite, s.clientAct, web.Event(EventClientSecretRotated)),
		web.Page("GET /account/applications", capability.Self, s.applicationsPage),
		web.Page("POST /account/applications", capability.Self, s.applicationsPost, web.Event(EventConsentWithdrawn)),
	}
}

const (
	public = "a public fact of the client, shown to whoever is asked to trust it"
	state  = "a state, time or counter"
	anID   = "an identifier"
)

func plain(why string, names ...string) []capability.Column {
	var out []capability.Column
	for _, n := range names {
		out = append(out, capability.Column{Name: n, Plain: why})
	}
	return out
}

func columns(groups ...[]capability.Column) []capability.Column {
	var out []capability.Column
	for _, g := range groups {
		out = append(out, g...)
	}
	return out
}

var tables = []capability.Table{
	{
		Name: "provider_clients", Database: "main", Reach: capability.ScopeStaff | capability.ScopeSystem,
		Columns: columns(plain(anID, "id", "org_id"), plain(public, "name", "redirect_uris", "logout_uris", "audience", "resource", "scopes", "grant_types", "type", "first_party", "signing_alg"),
			plain(state, "state", "created_at", "changed_at", "revision"), []capability.Column{{Name: "secrets", Hash: "secrets of 256 bits, each as its SHA-256"}}),
		Export: "none: registrations belong to the installation; its own export has them", Erase: "none: names an application, not a person; ids are never reused",
	},
	{
		Name: "provider_keys", Database: "main", Reach: capability.ScopeStaff | capability.ScopeSystem,
		Columns: columns(plain(anID, "id"), plain("published to everyone", "alg", "public"), plain(state, "state", "created_at", "changed_at"), []capability.Column{{Name: "private", Sealed: labelSigning}}),
		Export:  "none: keys of the installation", Erase: "none: no person's data; the private half goes when the key retires",
	},
	{
		Name: "provider_grants", Database: "main", UsrColumn: "user_id", Reach: capability.ScopeUser | capability.ScopeLookup | capability.ScopeStaff | capability.ScopeSystem,
		Columns: columns(plain(anID, "id", "client_id", "user_id", "org_id", "session_id"), plain("names of scopes", "scopes"), plain("names and times of authentications", "methods", "auth_time"),
			plain(state, "offline", "state", "reason", "code_until", "expires_at", "created_at", "used_at", "ended_at"), plain("chosen by the client, known to the browser", "redirect_uri", "challenge", "nonce"),
			[]capability.Column{{Name: "code_hash", Hash: "the code, 256 bits"}, {Name: "family", Hash: "125 bits of the refresh token"}, {Name: "token_hash", Hash: "the refresh token, 256 bits"}}),
		Export: "both", Erase: "rows",
	},
	{
		Name: "provider_consents", Database: "main", UsrColumn: "user_id", Reach: capability.ScopeUser,
		Columns: columns(plain(anID, "id", "user_id", "client_id"), plain("names of scopes", "scopes"), plain(state, "given_at")),
		Export:  "both", Erase: "rows",
	},
}
