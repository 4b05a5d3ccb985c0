package archtest

// tiers lists the packages from the bottom to the top. A package imports those
// of lower tiers freely, and of its own tier only by an edge below.
var tiers = [][]string{
	{"internal/id", "internal/fault", "internal/caller", "internal/capability", "internal/clock"},
	{"internal/store", "internal/store/storetest", "internal/blob", "internal/web", "internal/web/input", "internal/web/replay", "internal/job", "internal/mail", "internal/i18n", "internal/tlog", "internal/local", "verify"},
	{"internal/console", "internal/keyring", "internal/keyring/keyringtest", "internal/audit", "internal/audit/reading", "internal/access", "internal/trust"},
	{"internal/directory", "internal/directory/desk", "internal/policy", "internal/credential", "internal/session", "internal/apikey", "internal/ratelimit", "internal/register", "internal/register/catalogue", "internal/register/face"},
	{"internal/signin", "internal/provider", "internal/provider/jwt", "internal/federation", "internal/scim", "internal/setup", "internal/invariant"},
	{"internal/app", "examples/notes"},
	{"internal/catalogue", "internal/demo", "internal/scenario", "internal/scenario/webdriver", "internal/archtest"},
	{"cmd/rempart"},
}

// edges lists the imports inside one tier, each with its reason.
var edges = map[[2]string]string{
	{"internal/caller", "internal/id"}:                   "a caller is named by identifiers",
	{"internal/store/storetest", "internal/store"}:       "it opens what store is",
	{"verify", "internal/tlog"}:                          "the verifier checks the log's own formats",
	{"internal/web", "internal/i18n"}:                    "problems are in the reader's language",
	{"internal/web", "internal/web/input"}:               "a JSON route reads its input",
	{"internal/web/replay", "internal/web"}:              "it stands in the path of a request",
	{"internal/web/replay", "internal/store"}:            "answers to repeated requests are kept in a table",
	{"internal/web/replay", "internal/web/input"}:        "bodies that cannot be read are its faults",
	{"internal/job", "internal/store"}:                   "leases are rows",
	{"internal/mail", "internal/store"}:                  "the outbox is a table",
	{"internal/mail", "internal/i18n"}:                   "messages are in the reader's language",
	{"internal/keyring/keyringtest", "internal/keyring"}: "it opens what keyring is",
	{"internal/audit", "internal/keyring"}:               "entries are sealed",
	{"internal/audit/reading", "internal/audit"}:         "it shows the log",
	{"internal/audit/reading", "internal/console"}:       "it renders the page of the log",
	{"internal/access", "internal/audit"}:                "assignments are changes",
	{"internal/access", "internal/keyring"}:              "names of roles are sealed",
	{"internal/access", "internal/console"}:              "it renders the page of roles",
	{"internal/trust", "internal/audit"}:                 "results are entries",
	{"internal/trust", "internal/keyring"}:               "results are signed",
	{"internal/trust", "internal/console"}:               "it renders the trust page",
	{"internal/keyring", "internal/console"}:             "it renders the page of keys",
	{"internal/trust", "internal/access"}:                "who may run a control",
	{"internal/directory/desk", "internal/directory"}:    "it shows the directory",
	{"internal/directory", "internal/policy"}:            "membership answers to the rules",
	{"internal/credential", "internal/policy"}:           "rules on authenticators",
	{"internal/session", "internal/policy"}:              "rules on entry",
	{"internal/apikey", "internal/directory"}:            "a key belongs to an organization",
	{"internal/register", "internal/register/catalogue"}: "what it shows and stores about statements",
	{"internal/provider", "internal/provider/jwt"}:       "tokens are signed and verified",
	{"internal/provider", "internal/signin"}:             "a grant begins with a sign-in",
	{"internal/federation", "internal/signin"}:           "an upstream sign-in is one step of ours",
	{"internal/setup", "internal/provider"}:              "the wizard makes the first client",

	{"internal/register/face", "internal/register"}:           "it shows the register",
	{"internal/register/face", "internal/register/catalogue"}: "it shows sentences",
}
