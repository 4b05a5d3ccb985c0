package id

import "time"

type orgKind struct{}

func (orgKind) Prefix() string { return "org" }

// Org names an organization, a customer of the SaaS company: "org_…".
type Org = ID[orgKind]

type userKind struct{}

func (userKind) Prefix() string { return "usr" }

// User names a person we know, in all organizations: "usr_…".
type User = ID[userKind]

type workspaceKind struct{}

func (workspaceKind) Prefix() string { return "wsp" }

// Workspace names a workspace of one organization: "wsp_…".
type Workspace = ID[workspaceKind]

type membershipKind struct{}

func (membershipKind) Prefix() string { return "mem" }

// Membership names a user's membership of one organization: "mem_…".
type Membership = ID[membershipKind]

type clientKind struct{}

func (clientKind) Prefix() string { return "cli" }

// Client names an OAuth client registration: "cli_…".
type Client = ID[clientKind]

type keyKind struct{}

func (keyKind) Prefix() string { return "key" }

// Key names an API key: "key_…".
type Key = ID[keyKind]

type sessionKind struct{}

func (sessionKind) Prefix() string { return "ses" }

// Session names a browser session: "ses_…".
type Session = ID[sessionKind]

type entryKind struct{}

func (entryKind) Prefix() string { return "ent" }

// Entry names an entry of the log: "ent_…".
type Entry = ID[entryKind]

type roleKind struct{}

func (roleKind) Prefix() string { return "rol" }

// Role names a custom role: "rol_…".
type Role = ID[roleKind]

type assignmentKind struct{}

func (assignmentKind) Prefix() string { return "asg" }

// Assignment names a role given to a user or group: "asg_…".
type Assignment = ID[assignmentKind]

type groupKind struct{}

func (groupKind) Prefix() string { return "grp" }

// Group names a group of users: "grp_…".
type Group = ID[groupKind]

type invitationKind struct{}

func (invitationKind) Prefix() string { return "inv" }

// Invitation names an invitation to an organization: "inv_…".
type Invitation = ID[invitationKind]

type authenticatorKind struct{}

func (authenticatorKind) Prefix() string { return "aut" }

// Authenticator names an authenticator of a user: "aut_…".
type Authenticator = ID[authenticatorKind]

type dataKeyKind struct{}

func (dataKeyKind) Prefix() string { return "dky" }

// DataKey names a version of a data key: "dky_…".
type DataKey = ID[dataKeyKind]

type flowKind struct{}

func (flowKind) Prefix() string { return "flw" }

// Flow names one interactive sign-in, from start to end: "flw_…".
type Flow = ID[flowKind]

type grantKind struct{}

func (grantKind) Prefix() string { return "gnt" }

// Grant names what a user or client granted a client: the root of its tokens: "gnt_…".
type Grant = ID[grantKind]

type mailKind struct{}

func (mailKind) Prefix() string { return "msg" }

// Mail names a message of the outbox: "msg_…".
type Mail = ID[mailKind]

type requestKind struct{}

func (requestKind) Prefix() string { return "req" }

// Request names a request, as the log and problems name it: "req_…".
type Request = ID[requestKind]

type resultKind struct{}

func (resultKind) Prefix() string { return "res" }

// Result names a result of a control: "res_…".
type Result = ID[resultKind]

type attestationKind struct{}

func (attestationKind) Prefix() string { return "att" }

// Attestation names an attested record: "att_…".
type Attestation = ID[attestationKind]

type intentKind struct{}

func (intentKind) Prefix() string { return "itt" }

// Intent names an act on keys that was begun: "itt_…".
type Intent = ID[intentKind]

type logKind struct{}

func (logKind) Prefix() string { return "log" }

// Log names a transparency log that is not an organization's: "log_…".
type Log = ID[logKind]

type nodeKind struct{}

func (nodeKind) Prefix() string { return "nod" }

// Node names a running node: "nod_…".
type Node = ID[nodeKind]

type attributeKind struct{}

func (attributeKind) Prefix() string { return "atr" }

// Attribute names a custom attribute's declaration: "atr_…".
type Attribute = ID[attributeKind]

type addressKind struct{}

func (addressKind) Prefix() string { return "adr" }

// Address names an e-mail address of a user: "adr_…".
type Address = ID[addressKind]

type jobKind struct{}

func (jobKind) Prefix() string { return "job" }

// Job names a run of a job: "job_…".
type Job = ID[jobKind]

// NewOrg makes a new Org.
func NewOrg(now time.Time) Org { return New[orgKind](now) }

// ParseOrg reads the text form of a Org; the error is ErrMalformed.
func ParseOrg(s string) (Org, error) { return Parse[orgKind](s) }

// NewUser makes a new User.
func NewUser(now time.Time) User { return New[userKind](now) }

// ParseUser reads the text form of a User; the error is ErrMalformed.
func ParseUser(s string) (User, error) { return Parse[userKind](s) }

// NewWorkspace makes a new Workspace.
func NewWorkspace(now time.Time) Workspace { return New[workspaceKind](now) }

// ParseWorkspace reads the text form of a Workspace; the error is ErrMalformed.
func ParseWorkspace(s string) (Workspace, error) { return Parse[workspaceKind](s) }

// NewMembership makes a new Membership.
func NewMembership(now time.Time) Membership { return New[membershipKind](now) }

// ParseMembership reads the text form of a Membership; the error is ErrMalformed.
func ParseMembership(s string) (Membership, error) { return Parse[membershipKind](s) }

// NewClient makes a new Client.
func NewClient(now time.Time) Client { return New[clientKind](now) }

// ParseClient reads the text form of a Client; the error is ErrMalformed.
func ParseClient(s string) (Client, error) { return Parse[clientKind](s) }

// NewKey makes a new Key.
func NewKey(now time.Time) Key { return New[keyKind](now) }

// ParseKey reads the text form of a Key; the error is ErrMalformed.
func ParseKey(s string) (Key, error) { return Parse[keyKind](s) }

// NewSession makes a new Session.
func NewSession(now time.Time) Session { return New[sessionKind](now) }

// ParseSession reads the text form of a Session; the error is ErrMalformed.
func ParseSession(s string) (Session, error) { return Parse[sessionKind](s) }

// NewEntry makes a new Entry.
func NewEntry(now time.Time) Entry { return New[entryKind](now) }

// ParseEntry reads the text form of a Entry; the error is ErrMalformed.
func ParseEntry(s string) (Entry, error) { return Parse[entryKind](s) }

// NewRole makes a new Role.
func NewRole(now time.Time) Role { return New[roleKind](now) }

// ParseRole reads the text form of a Role; the error is ErrMalformed.
func ParseRole(s string) (Role, error) { return Parse[roleKind](s) }

// NewAssignment makes a new Assignment.
func NewAssignment(now time.Time) Assignment { return New[assignmentKind](now) }

// ParseAssignment reads the text form of a Assignment; the error is ErrMalformed.
func ParseAssignment(s string) (Assignment, error) { return Parse[assignmentKind](s) }

// NewGroup makes a new Group.
func NewGroup(now time.Time) Group { return New[groupKind](now) }

// ParseGroup reads the text form of a Group; the error is ErrMalformed.
func ParseGroup(s string) (Group, error) { return Parse[groupKind](s) }

// NewInvitation makes a new Invitation.
func NewInvitation(now time.Time) Invitation { return New[invitationKind](now) }

// ParseInvitation reads the text form of a Invitation; the error is ErrMalformed.
func ParseInvitation(s string) (Invitation, error) { return Parse[invitationKind](s) }

// NewAuthenticator makes a new Authenticator.
func NewAuthenticator(now time.Time) Authenticator { return New[authenticatorKind](now) }

// ParseAuthenticator reads the text form of a Authenticator; the error is ErrMalformed.
func ParseAuthenticator(s string) (Authenticator, error) { return Parse[authenticatorKind](s) }

// NewDataKey makes a new DataKey.
func NewDataKey(now time.Time) DataKey { return New[dataKeyKind](now) }

// ParseDataKey reads the text form of a DataKey; the error is ErrMalformed.
func ParseDataKey(s string) (DataKey, error) { return Parse[dataKeyKind](s) }

// NewFlow makes a new Flow.
func NewFlow(now time.Time) Flow { return New[flowKind](now) }

// ParseFlow reads the text form of a Flow; the error is ErrMalformed.
func ParseFlow(s string) (Flow, error) { return Parse[flowKind](s) }

// NewGrant makes a new Grant.
func NewGrant(now time.Time) Grant { return New[grantKind](now) }

// ParseGrant reads the text form of a Grant; the error is ErrMalformed.
func ParseGrant(s string) (Grant, error) { return Parse[grantKind](s) }

// NewMail makes a new Mail.
func NewMail(now time.Time) Mail { return New[mailKind](now) }

// ParseMail reads the text form of a Mail; the error is ErrMalformed.
func ParseMail(s string) (Mail, error) { return Parse[mailKind](s) }

// NewRequest makes a new Request.
func NewRequest(now time.Time) Request { return New[requestKind](now) }

// ParseRequest reads the text form of a Request; the error is ErrMalformed.
func ParseRequest(s string) (Request, error) { return Parse[requestKind](s) }

// NewResult makes a new Result.
func NewResult(now time.Time) Result { return New[resultKind](now) }

// ParseResult reads the text form of a Result; the error is ErrMalformed.
func ParseResult(s string) (Result, error) { return Parse[resultKind](s) }

// NewAttestation makes a new Attestation.
func NewAttestation(now time.Time) Attestation { return New[attestationKind](now) }

// ParseAttestation reads the text form of a Attestation; the error is ErrMalformed.
func ParseAttestation(s string) (Attestation, error) { return Parse[attestationKind](s) }

// NewIntent makes a new Intent.
func NewIntent(now time.Time) Intent { return New[intentKind](now) }

// ParseIntent reads the text form of a Intent; the error is ErrMalformed.
func ParseIntent(s string) (Intent, error) { return Parse[intentKind](s) }

// NewLog makes a new Log.
func NewLog(now time.Time) Log { return New[logKind](now) }

// ParseLog reads the text form of a Log; the error is ErrMalformed.
func ParseLog(s string) (Log, error) { return Parse[logKind](s) }

// NewNode makes a new Node.
func NewNode(now time.Time) Node { return New[nodeKind](now) }

// ParseNode reads the text form of a Node; the error is ErrMalformed.
func ParseNode(s string) (Node, error) { return Parse[nodeKind](s) }

// NewAttribute makes a new Attribute.
func NewAttribute(now time.Time) Attribute { return New[attributeKind](now) }

// ParseAttribute reads the text form of a Attribute; the error is ErrMalformed.
func ParseAttribute(s string) (Attribute, error) { return Parse[attributeKind](s) }

// NewJob makes a new Job.
func NewJob(now time.Time) Job { return New[jobKind](now) }

// ParseJob reads the text form of a Job; the error is ErrMalformed.
func ParseJob(s string) (Job, error) { return Parse[jobKind](s) }

// NewAddress makes a new Address.
func NewAddress(now time.Time) Address { return New[addressKind](now) }

// ParseAddress reads the text form of an Address; the error is ErrMalformed.
func ParseAddress(s string) (Address, error) { return Parse[addressKind](s) }
