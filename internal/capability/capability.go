// Package capability has the types of a manifest: what one capability adds to
// the product, as data. Each capability returns a Manifest; app lists them;
// web mounts the routes, job schedules the jobs, store runs the migrations,
// access learns the permissions, audit the event kinds, trust the controls,
// i18n the messages. Tests run over all manifests.
//
// The package imports only the standard library and vocabulary, so that every
// tier can speak of manifests.
package capability

import (
	"context"
	"io/fs"
	"net/http"
	"reflect"
	"strings"
	"time"
)

// Manifest is what one capability adds.
type Manifest struct {
	Name           string // the package's name: first word of its events, permissions, messages, tables
	Permissions    []Permission
	Events         []Event
	Routes         []Route
	Jobs           []Job
	Tables         []Table
	Statements     []SQL // every SQL statement of the package
	Controls       []Control
	Navigation     []Navigation
	Migrations     fs.FS // of the main database: YYYYMMDDHHMM_capability_verb_noun.sql at its root
	KeysMigrations fs.FS // of the keys database
	Messages       fs.FS // en.json, fr.json, nl.json at its root
}

// Where a permission is decided.
type Level string

const (
	LevelOrg       Level = "organization" // bound to an organization; assignable to its roles
	LevelWorkspace Level = "workspace"    // bound to a workspace or its organization
	LevelStaff     Level = "staff"        // of the SaaS company's operators
	LevelSelf      Level = "self"         // any signed-in user on her own things
	LevelPublic    Level = "public"       // nobody needs to be known
)

// Names of the permissions that every capability may use without declaring.
const (
	Public = "public"   // the route is open to visitors
	Self   = "self"     // the route needs a signed-in user and concerns her own things
	Token  = "protocol" // the route authenticates its caller itself, as its standard says (OAuth endpoints)
)

// Permission is a right of the catalogue. Its text is the message
// "<capability>.permission.<verb>" of the capability that declares it.
type Permission struct {
	Name   string   // "policy.write"
	Level  Level    //
	Roles  []string // built-in roles that hold it: owner, admin, member, auditor, guest; or staff roles
	StepUp bool     // needs a fresh proof of the authenticators
}

// Event is a kind of entry in the log. Its text is the message of its kind.
type Event struct {
	Kind   string // "policy.ip_rule.added"
	Class  Class  // for retention
	Person bool   // carries a person part (name, address, device)
}

// Class is the retention class of an event.
type Class string

const (
	ClassSignIn Class = "sign_in" // sign-ins, good and bad; sessions
	ClassAdmin  Class = "admin"   // acts of administrators, keys, policy
	ClassAccess Class = "access"  // tokens, decisions, reads that are recorded
	ClassSystem Class = "system"  // acts of the server itself
)

// Route is one entry of the registry of routes. Use web.JSON, web.Page or
// web.Protocol to make one.
type Route struct {
	Pattern    string // of net/http.ServeMux, with method: "POST /api/v1/orgs/{org}/ip-rules"
	Permission string // a permission's name, or Public, Self, Token
	Serve      func(http.ResponseWriter, *http.Request) error

	In, Out reflect.Type  // of JSON routes
	Status  int           // on success; 0 is 200
	Summary string        // one English sentence, for the API reference
	Page    bool          // renders HTML: refusals are pages, not problems
	StepUp  bool          // needs a fresh proof of the authenticators, whatever the permission says
	Event   string        // kind of the entry of origin that success leaves; "" for reads
	Entry   string        // why a mutating route leaves no entry of its own, where it does not
	Session string        // strength of the session that the route may create (ASVS 6.1.3); "" if none
	MaxBody int64         // bytes; 0 is the default of web
	MaxTime time.Duration // of the handler; 0 is the default of web
	CORS    bool          // may be called by script of any origin, without credentials
	Cache   string        // Cache-Control; "" is no-store
}

// Job is scheduled work. Exactly one node runs it at a time.
type Job struct {
	Name  string // "audit.checkpoint"
	Every time.Duration
	Run   func(ctx context.Context) error
}

// Scopes of the store that reach a table, as a set.
type Scopes uint8

const (
	ScopeOrg    Scopes = 1 << iota // rows of one organization
	ScopeUser                      // rows of one user, everywhere
	ScopeLookup                    // before anyone is known: one row by a unique value
	ScopeStaff                     // acts of the SaaS company's operators
	ScopeSystem                    // work of the server itself
)

// Table is a table with its owner.
type Table struct {
	Name      string
	Database  string // "main" or "keys"
	OrgColumn string // column with the organization; "" if the table has none
	UsrColumn string // column with the user; "" if the table has none
	Reach     Scopes
	Append    bool // rows may be added from any scope (log entries, outbox), though not read
	Columns   []Column
	Unaudited string // why Maintain may write it; "" means only Update
	Export    string // "organization", "user", "both", or "none: reason"
	Erase     string // how a deletion reaches it: "key", "rows", or "none: reason"
}

// Column is one column with its protection. Exactly one of Sealed, Hash and
// Plain is set.
type Column struct {
	Name   string
	Sealed string // field label, fixed for ever: part of the associated data
	Hash   string // what the keyed or plain hash in it is of
	Plain  string // why it may stand in clear
}

// SQL is one registered statement; store makes them.
type SQL struct {
	Name     string // "policy.insert_ip_rule"
	Text     string
	Database string // "main" or "keys"
	For      Scopes // Lookup, Staff, System where it is not bound to the scope's owner
}

// Navigation is an item of the console's side bar.
type Navigation struct {
	Area       string // "organization", "account" or "staff"
	Section    string // message key of the group heading
	Label      string // message key
	Path       string // relative to the area's root, "/members"
	Permission string
	Icon       string // name of an icon of console
	Order      int
}

// Verdict is what a control or statement comes to.
type Verdict string

const (
	Pass          Verdict = "pass"
	Fail          Verdict = "fail"
	Stale         Verdict = "stale"
	Lapsed        Verdict = "lapsed"
	NotApplicable Verdict = "not_applicable"
	Planned       Verdict = "planned"
	Unknown       Verdict = "unknown"
)

// EvidenceClass is what the page may honestly say of a control, strongest first.
type EvidenceClass string

const (
	Proven   EvidenceClass = "proven"   // the running system tried it just now
	Observed EvidenceClass = "observed" // read from the state, over the whole population
	Recorded EvidenceClass = "recorded" // counted from the log over the window
	External EvidenceClass = "external" // seen from another host
	Attested EvidenceClass = "attested" // a named person states it
)

// Control is a check of the running system. Its texts are the messages
// "<capability>.control.<id, dots as dashes>.title" and ".how".
type Control struct {
	ID         string   // of statements.md where it has one, else "capability.subject"
	Statements []string // rows of the register that it backs: "I1"
	Class      EvidenceClass
	Population string // message key: whose data it covers
	Every      time.Duration
	Window     time.Duration // older than this, a result is stale
	Severity   string        // "low", "medium", "high", "critical"
	Mapping    []string      // "ISO27001:A.8.5", "SOC2:CC6.1", "NIS2:21.2.i", "CAIQ:IAM-14", "GDPR:32.1.b"
	Check      func(ctx context.Context, p Probe) Result
}

// Result is what one run of a control saw.
type Result struct {
	Verdict  Verdict
	Checked  int64
	Failed   int64
	Evidence any    // JSON, without personal data; its hash is in the signed result
	Note     string // message key of a sentence for readers; "" if none
	Err      error  // why it could not run: verdict Unknown
}

// Probe is how a control exercises the live path: through the listener, as a
// member of a canary organization, past every guard like anyone else.
type Probe struct {
	Now    time.Time
	Base   string                                // base URL, without trailing slash
	Client func() *http.Client                   // loopback client with an empty cookie jar that does not follow redirects
	Canary func(context.Context) (Canary, error) // the canary organization of this installation
}

// Canary holds the credentials of the organization that controls act in.
type Canary struct {
	OrgID, Slug   string
	OtherOrgID    string // a second canary organization, whose walls are tried
	OtherUserID   string
	OtherToken    string // administrator's bearer token of the second
	Token         string // administrator's bearer token of the first
	MemberID      string
	MemberEmail   string // a member with password and TOTP
	Password      string
	TOTPSecret    string // Base32
	PlainEmail    string // a member with password only
	PlainID       string
	ClientID      string
	ClientSecret  string
	RedirectURI   string
	WorkspaceID   string
	OtherWorkspID string
}

// Mutates reports whether the method of a route's pattern may change anything.
func Mutates(pattern string) bool {
	method, _, _ := strings.Cut(pattern, " ")
	return method != "GET" && method != "HEAD" && method != "OPTIONS"
}
