package session

import (
	"embed"
	"io/fs"
	"time"

	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/web"
)

// Kinds of entries about sessions.
const (
	EventSignedOut  = "session.browser.signed_out"   // by its user, from itself
	EventRevoked    = "session.browser.revoked"      // by its user, from another
	EventRevokedAll = "session.browsers.revoked"     // all of a user's, or all others
	EventEntered    = "session.organization.entered" // a session entered an organization
	EventCut        = "session.organization.revoked" // an organization put sessions out
	EventSwept      = "session.rows.swept"           // rows of ended sessions were deleted
)

// Permissions of an organization over its members' sessions.
const (
	PermRead   = "session.read"
	PermRevoke = "session.revoke"
)

//go:embed migrations messages pages
var files embed.FS

func sub(dir string) fs.FS {
	f, err := fs.Sub(files, dir)
	if err != nil {
		panic(err)
	}
	return f
}

// Manifest is the capability's.
func (s *Service) Manifest() capability.Manifest {
	const user = "id of the user that the row belongs to"
	all := capability.ScopeUser | capability.ScopeLookup | capability.ScopeSystem
	return capability.Manifest{
		Name: "session",
		Permissions: []capability.Permission{
			{Name: PermRead, Level: capability.LevelOrg, Roles: []string{"owner", "admin", "auditor"}},
			{Name: PermRevoke, Level: capability.LevelOrg, Roles: []string{"owner", "admin"}},
		},
		Events: []capability.Event{
			{Kind: EventSignedOut, Class: capability.ClassSignIn, Person: true},
			{Kind: EventRevoked, Class: capability.ClassSignIn, Person: true},
			{Kind: EventRevokedAll, Class: capability.ClassSignIn, Person: true},
			{Kind: EventEntered, Class: capability.ClassSignIn, Person: true},
			{Kind: EventCut, Class: capability.ClassSignIn, Person: true},
			{Kind: EventSwept, Class: capability.ClassSystem},
		},
		Routes: []capability.Route{
			web.JSON("GET /api/v1/me/sessions", capability.Self, s.listMine, web.Summary("List your own live sessions, newest first.")),
			web.JSON("DELETE /api/v1/me/sessions/{session}", capability.Self, s.revokeMine, web.Status(204), web.Event(EventRevoked), web.Summary("End one of your own sessions.")),
			web.JSON("DELETE /api/v1/me/sessions", capability.Self, s.revokeMineAll, web.Status(204), web.Event(EventRevokedAll), web.Summary("End all your own sessions but the one that asks.")),
			web.JSON("GET /api/v1/orgs/{org}/members/{user}/sessions", PermRead, s.listMember, web.Summary("List a member's sessions that have entered the organization.")),
			web.JSON("DELETE /api/v1/orgs/{org}/members/{user}/sessions/{session}", PermRevoke, s.cutOne, web.Status(204), web.Event(EventCut), web.Summary("Put one session of a member out of the organization: it must prove itself again to enter.")),
			web.JSON("DELETE /api/v1/orgs/{org}/members/{user}/sessions", PermRevoke, s.cutAll, web.Status(204), web.Event(EventCut), web.Summary("Put all sessions of a member out of the organization.")),
			web.Page("GET /account/sessions", capability.Self, s.page),
			web.Page("POST /account/sessions/revoke", capability.Self, s.pageRevoke, web.Event(EventRevoked)),
			web.Page("POST /account/sessions/revoke-others", capability.Self, s.pageRevokeOthers, web.Event(EventRevokedAll)),
		},
		Navigation: []capability.Navigation{
			{Area: "account", Section: "session.navigation.section", Label: "session.navigation.sessions", Path: "/sessions", Permission: capability.Self, Icon: "monitor", Order: 40},
		},
		Jobs: []capability.Job{{Name: "session.sweep", Every: time.Hour, Run: s.sweepAll}},
		Tables: []capability.Table{
			{
				Name: "session_sessions", Database: "main", UsrColumn: "user_id", Reach: all,
				Export: "user", Erase: "key",
				Columns: []capability.Column{
					{Name: "id", Plain: "identifier"},
					{Name: "secret", Hash: "the 256 random bits of the browser's cookie"},
					{Name: "user_id", Plain: user},
					{Name: "methods", Plain: "names and times of authentications"},
					{Name: "created_at", Plain: "time"}, {Name: "auth_at", Plain: "time"}, {Name: "fresh_at", Plain: "time"},
					{Name: "idle", Plain: "limit"}, {Name: "ends_at", Plain: "time"}, {Name: "changed_at", Plain: "time"}, {Name: "ended_at", Plain: "time"},
					{Name: "ended_why", Plain: "a word of ours"},
					{Name: "origin", Sealed: labelOrigin},
				},
			},
			{
				Name: "session_seen", Database: "main", UsrColumn: "user_id", Reach: all,
				Unaudited: "when a session was last used is bookkeeping of the idle limit",
				Export:    "none: shown with the session", Erase: "rows",
				Columns: []capability.Column{{Name: "session_id", Plain: "identifier"}, {Name: "user_id", Plain: user}, {Name: "seen_at", Plain: "time, to the minute"}, {Name: "pause", Plain: "length of time"}},
			},
			{
				Name: "session_entries", Database: "main", OrgColumn: "org_id", UsrColumn: "user_id", Reach: capability.ScopeOrg | capability.ScopeUser | capability.ScopeSystem,
				Export: "organization", Erase: "key",
				Columns: []capability.Column{
					{Name: "org_id", Plain: "id of the organization"}, {Name: "session_id", Plain: "identifier"}, {Name: "user_id", Plain: user},
					{Name: "entered_at", Plain: "time"}, {Name: "cut_at", Plain: "time"},
					{Name: "origin", Sealed: labelEntry},
				},
			},
		},
		Statements: q.All(),
		Migrations: sub("migrations"),
		Messages:   sub("messages"),
	}
}
