package provider

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rempart/rempart/internal/i18n"
)

// protocolError is an error of OAuth 2.0 or OpenID Connect: a code of the
// standards with one English sentence for the developer of the client. Neither
// ever holds what was submitted.
type protocolError struct {
	code   string
	text   string
	status int  // of a JSON answer; 0 is 400
	basic  bool // the client tried HTTP Basic: say so in WWW-Authenticate
}

func (e *protocolError) Error() string { return "provider: " + e.code + ": " + e.text }

func refuse(code, text string) *protocolError { return &protocolError{code: code, text: text} }

// authorization is an authorization request that was understood.
type authorization struct {
	client       *Client
	redirectURI  string
	state        string
	scopes       []string
	nonce        string
	challenge    string
	prompts      []string
	maxAge       time.Duration // below zero: not asked
	loginHint    string
	idTokenHint  string
	acr          []string
	locale       string // one of ours, or ""
	organization string // id or slug, as asked
}

func (a *authorization) prompt(p string) bool { return slices.Contains(a.prompts, p) }

// parseParameters reads a query or form: every parameter at most once (RFC
// 6749 section 3.1), one without a value as if it were not there. twice names
// those that came more than once; ok is false for text that is no query.
func parseParameters(raw string) (v url.Values, twice map[string]bool, ok bool) {
	if len(raw) > maxRequest || strings.Count(raw, "&") > maxParameters {
		return nil, nil, false
	}
	v, err := url.ParseQuery(raw)
	if err != nil {
		return nil, nil, false
	}
	twice = map[string]bool{}
	for name, values := range v {
		switch {
		case len(values) > 1:
			twice[name] = true
		case values[0] == "":
			delete(v, name)
		}
	}
	return v, twice, true
}

// parseAuthorization reads an authorization request. While no redirect URI is
// known to be the client's, an error is for the person before the browser: a
// is nil then. Afterwards a is there, with client, redirect URI and state, and
// the error is for the client.
func parseAuthorization(raw string, find func(string) *Client) (*authorization, *protocolError) {
	v, twice, ok := parseParameters(raw)
	if !ok {
		return nil, refuse("invalid_request", "The request is malformed.")
	}
	if twice["client_id"] || twice["redirect_uri"] {
		return nil, refuse("invalid_request", "client_id and redirect_uri must appear once.")
	}
	c := find(v.Get("client_id"))
	if c == nil || !c.Active() {
		return nil, refuse("invalid_client", "The client is unknown.")
	}
	if !v.Has("redirect_uri") || !c.allowsRedirect(v.Get("redirect_uri")) {
		return nil, refuse("invalid_redirect_uri", "The redirect URI is not registered for this client.")
	}
	a := &authorization{client: c, redirectURI: v.Get("redirect_uri"), maxAge: -1}
	if !twice["state"] {
		a.state = v.Get("state")
	}
	if len(twice) > 0 {
		return a, refuse("invalid_request", "A parameter appears more than once.")
	}
	if len(a.state) > maxState || len(v.Get("nonce")) > maxState {
		return a, refuse("invalid_request", "state or nonce is too long.")
	}
	switch {
	case v.Has("request"):
		return a, refuse("request_not_supported", "Request objects are not supported.")
	case v.Has("request_uri"):
		return a, refuse("request_uri_not_supported", "request_uri is not supported.")
	case v.Has("registration"):
		return a, refuse("registration_not_supported", "The registration parameter is not supported.")
	case !v.Has("response_type"):
		return a, refuse("invalid_request", "response_type is missing.")
	case v.Get("response_type") != "code":
		return a, refuse("unsupported_response_type", "Only the response type code is supported.")
	case v.Has("response_mode") && v.Get("response_mode") != "query":
		return a, refuse("invalid_request", "Only the response mode query is supported.")
	case !c.mayUse(grantCode):
		return a, refuse("unauthorized_client", "The client may not use the authorization code grant.")
	case !v.Has("code_challenge"):
		return a, refuse("invalid_request", "code_challenge is missing: PKCE is required.")
	case v.Get("code_challenge_method") != "S256":
		return a, refuse("invalid_request", "code_challenge_method must be S256.")
	case !isChallenge(v.Get("code_challenge")):
		return a, refuse("invalid_request", "code_challenge is not a SHA-256 in base64url.")
	}
	scopes, perr := c.narrow(v.Get("scope"), false)
	if perr != nil {
		return a, perr
	}
	if len(scopes) == 0 {
		return a, refuse("invalid_scope", "The request names no scope that this client may ask for.")
	}
	a.scopes, a.nonce, a.challenge = scopes, v.Get("nonce"), v.Get("code_challenge")
	a.prompts = strings.Fields(v.Get("prompt"))
	for _, p := range a.prompts {
		if !slices.Contains(promptValues, p) {
			return a, refuse("invalid_request", "A value of prompt is not supported.")
		}
	}
	if a.prompt("none") && len(a.prompts) > 1 {
		return a, refuse("invalid_request", "prompt none goes with no other value.")
	}
	if v.Has("max_age") {
		n, err := strconv.ParseUint(v.Get("max_age"), 10, 31)
		if err != nil {
			return a, refuse("invalid_request", "max_age is not a number of seconds.")
		}
		a.maxAge = time.Duration(n) * time.Second
	}
	a.loginHint, a.idTokenHint, a.organization = v.Get("login_hint"), v.Get("id_token_hint"), v.Get("organization")
	if len(a.loginHint) > maxHint || len(a.organization) > maxHint {
		return a, refuse("invalid_request", "login_hint or organization is too long.")
	}
	a.acr = strings.Fields(v.Get("acr_values"))
	for _, l := range strings.Fields(v.Get("ui_locales")) {
		base, _, _ := strings.Cut(strings.ToLower(l), "-")
		if a.locale == "" && slices.Contains(i18n.Languages[:], base) {
			a.locale = base
		}
	}
	return a, nil
}

// isChallenge reports whether s can be the S256 challenge of a verifier: 32
// bytes in base64url (RFC 7636 section 4.2).
func isChallenge(s string) bool {
	if len(s) != 43 {
		return false
	}
	return unreserved(s, "-_")
}

// isVerifier reports whether s is a code verifier (RFC 7636 section 4.1).
func isVerifier(s string) bool { return len(s) >= 43 && len(s) <= 128 && unreserved(s, "-._~") }

func unreserved(s, marks string) bool {
	for _, c := range []byte(s) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte(marks, c) >= 0) {
			return false
		}
	}
	return true
}

// isScopeToken reports whether s is one scope (RFC 6749 section 3.3).
func isScopeToken(s string) bool {
	if s == "" || len(s) > 128 {
		return false
	}
	for _, c := range []byte(s) {
		if c < 0x21 || c > 0x7e || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// narrow gives the scopes of the request that the client may have, in the
// order asked and once each. An authorization request may name scopes that we
// do not know, which are left out (OpenID Connect Core section 3.1.2.1); where
// strict, one that the client may not have is refused.
func (c *Client) narrow(asked string, strict bool) ([]string, *protocolError) {
	var out []string
	for s := range strings.SplitSeq(asked, " ") {
		if s == "" {
			continue
		}
		if !isScopeToken(s) {
			return nil, refuse("invalid_scope", "scope is malformed.")
		}
		switch {
		case slices.Contains(out, s):
		case slices.Contains(c.Scopes, s):
			out = append(out, s)
		case strict:
			return nil, refuse("invalid_scope", "The client may not ask for this scope.")
		}
	}
	return out, nil
}
