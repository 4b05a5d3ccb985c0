package signin

import (
	"context"
	"io/fs"
	"net/http"
	"time"

	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/credential"
	"github.com/rempart/rempart/internal/policy"
	"github.com/rempart/rempart/internal/store"
	"github.com/rempart/rempart/internal/web"
)

// Kinds of entries about signing in.
const (
	EventSucceeded    = "signin.session.started"
	EventSteppedUp    = "signin.session.renewed"
	EventFailed       = "signin.proof.failed"   // a wrong password or code
	EventProved       = "signin.proof.accepted" // a right one, with more to come
	EventRefused      = "signin.session.refused"
	EventWarned       = "signin.guessing.noticed"
	EventResetAsked   = "signin.reset.requested"
	EventResetSent    = "signin.reset.sent"
	EventResetRefused = "signin.reset.refused"
	EventReset        = "signin.reset.completed"
	EventVerifySent   = "signin.verification.sent"
	EventVerified     = "signin.address.verified"
)

// nolimits leaves a session's limits as they are.
var nolimits policy.Limits

func sub(dir string) fs.FS {
	f, err := fs.Sub(files, dir)
	if err != nil {
		panic(err)
	}
	return f
}

// routes of the pages. Each that may create a session says how strong it is
// (ASVS 6.1.3).
func (s *Service) routes() []capability.Route {
	const public, self = capability.Public, capability.Self
	const flowOnly = "the flow's own state; the step that ends it leaves the entry"
	get := func(path, perm string, fn func(http.ResponseWriter, *http.Request) error) capability.Route {
		return web.Page("GET "+path, perm, fn)
	}
	return []capability.Route{
		get("/sign-in", public, s.start),
		web.Page("POST /sign-in", public, s.identify, web.NoEntry(flowOnly)),
		web.Page("POST /sign-in/continue", public, s.goOn, web.NoEntry("a redirect")),
		get("/sign-in/step", public, s.step),
		web.Page("POST /sign-in/password", public, s.password, web.Event(EventSucceeded), web.Session("password; TOTP or recovery code too where enrolled")),
		web.Page("POST /sign-in/totp", public, s.second(credential.TOTP), web.Event(EventSucceeded), web.Session("password and TOTP")),
		web.Page("POST /sign-in/recovery-code", public, s.second(credential.Recovery), web.Event(EventSucceeded), web.Session("password and recovery code")),
		web.Page("POST /sign-in/enroll", public, s.enroll, web.Event(credential.EventEnrolled), web.Session("password and TOTP")),
		web.Page("POST /sign-in/recovery-codes", public, s.codesSeen, web.NoEntry(flowOnly)),
		web.Page("POST /sign-in/new-password", public, s.renew, web.Event(credential.EventPasswordChanged), web.Session("password; TOTP or recovery code too where enrolled")),
		get("/sign-in/step-up", public, s.stepUp),
		get("/sign-in/reset", public, s.resetPage),
		web.Page("POST /sign-in/reset", public, s.resetRequest, web.Event(EventResetAsked)),
		get("/sign-in/reset-password", public, s.resetForm),
		web.Page("POST /sign-in/reset-password", public, s.reset, web.Event(EventReset)),
		get("/sign-in/verify-email", public, s.verifyPage),
		web.Page("POST /sign-in/verify-email", public, s.verify, web.Event(EventVerified)),
		get("/invite/{token}", public, s.invited),
		web.Page("POST /invite/{token}", public, s.accept, web.Event("directory.invitation.accepted")),
		web.Page("POST /sign-out", public, s.signOut, web.Event("session.browser.signed_out")),
		get("/signed-out", public, s.signedOut),

		get("/account", self, s.accountPage),
		web.Page("POST /account/verify-email", self, s.sendVerify, web.Event(EventVerifySent)),
		get("/account/password", self, s.passwordPage),
		web.Page("POST /account/password", self, s.changePassword, web.Event(credential.EventPasswordChanged)),
		get("/account/authenticators", self, s.authenticatorsPage),
		web.Page("GET /account/authenticators/add", self, s.addPage, web.StepUp()),
		web.Page("POST /account/authenticators/add", self, s.add, web.StepUp(), web.Event(credential.EventEnrolled)),
		web.Page("POST /account/authenticators/remove", self, s.remove, web.StepUp(), web.Event(credential.EventRemoved)),
		web.Page("POST /account/recovery-codes", self, s.newCodes, web.StepUp(), web.Event(credential.EventCodes)),
	}
}

// Manifest is the capability's.
func (s *Service) Manifest() capability.Manifest {
	event := func(kind string, class capability.Class) capability.Event {
		return capability.Event{Kind: kind, Class: class, Person: true}
	}
	sign, admin := capability.ClassSignIn, capability.ClassAdmin
	const user = "id of the user that the row belongs to"
	return capability.Manifest{
		Name: "signin",
		Events: []capability.Event{
			event(EventSucceeded, sign), event(EventSteppedUp, sign), event(EventFailed, sign), event(EventProved, sign),
			event(EventRefused, sign), event(EventWarned, sign), event(EventResetAsked, sign), event(EventResetSent, sign), event(EventResetRefused, sign),
			event(EventReset, admin), event(EventVerifySent, sign), event(EventVerified, admin),
		},
		Routes: s.routes(),
		Navigation: []capability.Navigation{
			{Area: "account", Section: "signin.navigation.you", Label: "signin.account.title", Path: "", Permission: capability.Self, Icon: "user", Order: 10},
			{Area: "account", Section: "session.navigation.section", Label: "signin.account.password.title", Path: "/password", Permission: capability.Self, Icon: "lock", Order: 20},
			{Area: "account", Section: "session.navigation.section", Label: "signin.account.authenticators.title", Path: "/authenticators", Permission: capability.Self, Icon: "smartphone", Order: 30},
		},
		Jobs: []capability.Job{
			{Name: "signin.post", Every: time.Second, Run: s.Post},
			{Name: "signin.sweep", Every: 10 * time.Minute, Run: s.sweep},
		},
		Tables: []capability.Table{
			{
				Name: "signin_flows", Database: "main", UsrColumn: "user_id", Reach: capability.ScopeLookup | capability.ScopeUser | capability.ScopeSystem,
				Unaudited: "a flow is a sign-in under way; what comes of it is an entry",
				Export:    "none: gone within a day", Erase: "rows",
				Columns: []capability.Column{
					{Name: "id", Plain: "identifier"}, {Name: "browser", Hash: "the 256 random bits of the browser's flow cookie"},
					{Name: "user_id", Plain: user}, {Name: "session_id", Plain: "identifier"}, {Name: "step", Plain: "a word of ours"},
					{Name: "state", Sealed: labelFlow}, {Name: "created_at", Plain: "time"}, {Name: "expires_at", Plain: "time"},
				},
			},
			{
				Name: "signin_requests", Database: "main", UsrColumn: "user_id", Reach: capability.ScopeLookup | capability.ScopeUser | capability.ScopeSystem,
				Unaudited: "asking for a reset mail leaves its own entry, and so does sending it",
				Export:    "none: gone within seconds", Erase: "rows",
				Columns: []capability.Column{{Name: "id", Plain: "identifier"}, {Name: "user_id", Plain: user}, {Name: "lang", Plain: "language of the page"}, {Name: "created_at", Plain: "time"}},
			},
			{
				Name: "signin_links", Database: "main", UsrColumn: "user_id", Reach: capability.ScopeLookup | capability.ScopeUser | capability.ScopeSystem,
				Export: "none: hashes of links", Erase: "rows",
				Columns: []capability.Column{
					{Name: "hash", Hash: "the 256 random bits of a mailed link"}, {Name: "purpose", Plain: "a word of ours"},
					{Name: "user_id", Plain: user}, {Name: "address_id", Plain: "identifier"},
					{Name: "created_at", Plain: "time"}, {Name: "expires_at", Plain: "time"}, {Name: "used_at", Plain: "time"},
				},
			},
		},
		Statements: q.All(),
		Controls:   s.controls(),
		Migrations: sub("migrations"),
		Messages:   sub("messages"),
	}
}

// sweep forgets flows and requests that are over. Links stay, as rows without
// use, until their users or the retention of the log deletes them: deleting
// them is a change, and they are few.
func (s *Service) sweep(ctx context.Context) error {
	limit := store.Micros(s.Now().Add(-sweepAfter))
	return s.Store.Maintain(ctx, store.System("signin.sweep"), func(tx *store.Tx) error {
		if _, err := tx.Exec(sweepFlows, limit); err != nil {
			return err
		}
		_, err := tx.Exec(sweepRequests, limit)
		return err
	})
}
