package demo

// Contract is the file that `rempart demo --ready FILE` writes when everything
// is up, and the demo's memory between starts (DIR/demo.json). Scripts and
// tests rely on its members: they are only ever added to.
type Contract struct {
	Issuer     string `json:"issuer"`
	BaseURL    string `json:"base_url"`
	ConsoleURL string `json:"console_url"`
	AccountURL string `json:"account_url"`
	TrustURL   string `json:"trust_url,omitempty"`
	APIURL     string `json:"api_url"`
	OpenAPIURL string `json:"openapi_url"`
	MetricsURL string `json:"metrics_url"`

	Staff         Staff          `json:"staff"`
	Organizations []Organization `json:"organizations"`
	Clients       []Client       `json:"clients"`

	Mail         MailList     `json:"mail"`
	RelyingParty RelyingParty `json:"relying_party"`
	ProbeURL     string       `json:"probe_url"`
	Rotate       Call         `json:"rotate_signing_key"`
	LoadPassword string       `json:"load_password,omitempty"`
}

// Staff is the operator of the demo.
type Staff struct {
	Email      string `json:"email"`
	Password   string `json:"password"`
	TOTPSecret string `json:"totp_secret"` // Base32 without padding, SHA-1, 6 digits, 30 s
	APIKey     string `json:"api_key"`
}

// Organization is one of the two customers.
type Organization struct {
	ID         string      `json:"id"`
	Slug       string      `json:"slug"`
	Name       string      `json:"name"`
	Owner      Person      `json:"owner"`
	Members    []Person    `json:"members"` // an administrator, a member with TOTP, a plain member
	Workspaces []Workspace `json:"workspaces"`
	AdminKey   Key         `json:"admin_key"`
}

// Person is a user with her password.
type Person struct {
	ID         string   `json:"id"`
	Email      string   `json:"email"`
	Password   string   `json:"password"`
	Roles      []string `json:"roles,omitempty"`
	TOTPSecret string   `json:"totp_secret,omitempty"`
}

// Workspace is one of an organization's.
type Workspace struct {
	ID   string `json:"id"`
	Slug string `json:"slug"`
}

// Key is a bearer key of the API.
type Key struct {
	ID  string `json:"id"`
	Key string `json:"key"`
}

// Client is an OAuth client.
type Client struct {
	Name                   string   `json:"name"`
	ClientID               string   `json:"client_id"`
	ClientSecret           string   `json:"client_secret,omitempty"`
	RedirectURIs           []string `json:"redirect_uris"`
	PostLogoutRedirectURIs []string `json:"post_logout_redirect_uris"`
	GrantTypes             []string `json:"grant_types"`
}

// MailList is where the mail that the demo would have sent is read.
type MailList struct {
	ListURL string `json:"list_url"`
}

// RelyingParty is the sample application.
type RelyingParty struct {
	URL string `json:"url"`
}

// Call is a request that scripts may make.
type Call struct {
	Method        string `json:"method"`
	URL           string `json:"url"`
	Authorization string `json:"authorization"`
}
