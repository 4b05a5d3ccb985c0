package provider

import (
	"net/url"
	"strconv"
	"strings"
)

// checkRedirect says what is wrong with a URI that a client wants to register,
// as a message key; "" if nothing. Registered URIs are later compared as
// strings, so anything that a browser could read in another way is refused
// here: fragments, user names, wildcards, dot segments, encoded separators.
func checkRedirect(t ClientType, uri string) string {
	const bad = "provider.client.uri.malformed"
	if uri == "" || len(uri) > maxURI {
		return bad
	}
	for _, c := range []byte(uri) {
		if c <= ' ' || c >= 0x7f || c == '\\' || c == '"' || c == '<' || c == '>' || c == '`' || c == '{' || c == '}' || c == '|' || c == '^' {
			return bad
		}
	}
	if strings.ContainsAny(uri, "#*") {
		return "provider.client.uri.fragment-or-wildcard"
	}
	u, err := url.Parse(uri)
	if err != nil || u.Scheme == "" || u.User != nil || strings.Contains(u.Host, "@") || u.Opaque != "" {
		return bad
	}
	lower := strings.ToLower(u.EscapedPath())
	for _, enc := range []string{"%2e", "%2f", "%5c", "%00"} {
		if strings.Contains(lower, enc) {
			return bad
		}
	}
	for seg := range strings.SplitSeq(u.Path, "/") {
		if seg == "." || seg == ".." || strings.HasPrefix(seg, "..;") {
			return bad
		}
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return bad
	}
	for _, ours := range []string{"code", "state", "iss", "error", "error_description"} {
		if q.Has(ours) {
			return "provider.client.uri.response-parameter"
		}
	}
	host := u.Hostname()
	switch {
	case u.Scheme == "https" && host != "" && !strings.HasSuffix(host, "."):
		return ""
	case u.Scheme == "http" && loopbackHost(host):
		return ""
	case u.Scheme == "http":
		return "provider.client.uri.not-https"
	case t == ClientNative && u.Host == "" && strings.Contains(u.Scheme, ".") && strings.HasPrefix(u.Path, "/"):
		return "" // a scheme of the application's own, named after a domain (RFC 8252 section 7.1)
	}
	return "provider.client.uri.not-https"
}

func loopbackHost(host string) bool {
	return host == "127.0.0.1" || host == "::1" || host == "localhost"
}

// allowsRedirect reports whether the client registered the URI: the same
// string (RFC 9700 section 4.1.3), save that a native client's loopback URI
// may name any port (RFC 8252 section 7.3).
func (c *Client) allowsRedirect(uri string) bool {
	for _, have := range c.RedirectURIs {
		if uri == have || c.Type == ClientNative && sameButPort(have, uri) {
			return true
		}
	}
	return false
}

// sameButPort compares two loopback URIs and leaves the port out. It works on
// the strings: what a parser would make equal stays different.
func sameButPort(have, uri string) bool {
	for _, origin := range []string{"http://127.0.0.1", "http://[::1]", "http://localhost"} {
		h, ok1 := strings.CutPrefix(have, origin)
		u, ok2 := strings.CutPrefix(uri, origin)
		if !ok1 || !ok2 {
			continue
		}
		h, ok1 = afterPort(h)
		u, ok2 = afterPort(u)
		return ok1 && ok2 && h == u
	}
	return false
}

// afterPort cuts ":port" from the front, if there is one.
func afterPort(s string) (string, bool) {
	digits, ok := strings.CutPrefix(s, ":")
	if !ok {
		return s, s == "" || s[0] == '/' || s[0] == '?'
	}
	n := 0
	for n < len(digits) && digits[n] >= '0' && digits[n] <= '9' {
		n++
	}
	port, err := strconv.Atoi(digits[:n])
	if err != nil || port < 1 || port > 65535 || digits[0] == '0' {
		return "", false
	}
	rest := digits[n:]
	return rest, rest == "" || rest[0] == '/' || rest[0] == '?'
}

// withQuery adds response parameters to a registered URI, whose own query
// stays (RFC 6749 section 4.1.2).
func withQuery(uri string, v url.Values) string {
	if len(v) == 0 {
		return uri
	}
	sep := "?"
	if strings.Contains(uri, "?") {
		sep = "&"
		if strings.HasSuffix(uri, "?") || strings.HasSuffix(uri, "&") {
			sep = ""
		}
	}
	return uri + sep + v.Encode()
}
