package web

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode"
)

// clientAddr is the address of the client. The header counts only when the
// peer is a trusted proxy, and is read from the right, past trusted hops: what
// stands further left was written by someone we do not know.
func clientAddr(r *http.Request, trusted []netip.Prefix) netip.Addr {
	addr := peer(r.RemoteAddr)
	if !within(addr, trusted) {
		return addr
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && len(hops)-i <= 32; i-- {
		hop := peer(strings.TrimSpace(hops[i]))
		if !hop.IsValid() {
			return addr
		}
		addr = hop
		if !within(hop, trusted) {
			return addr
		}
	}
	return addr
}

// peer parses an address with or without port.
func peer(s string) netip.Addr {
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap().WithZone("")
	}
	a, err := netip.ParseAddr(strings.Trim(s, "[]"))
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap().WithZone("")
}

func within(a netip.Addr, prefixes []netip.Prefix) bool {
	for _, p := range prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// device is the User-Agent, bounded and without what could forge a line of a
// log: control and format characters (line ends, escapes, changes of the
// writing direction).
func device(r *http.Request) string {
	s := r.UserAgent()
	if len(s) > maxDevice {
		s = s[:maxDevice]
	}
	return strings.Map(func(c rune) rune {
		if c == unicode.ReplacementChar || !unicode.IsPrint(c) {
			return -1
		}
		return c
	}, s)
}

// canonical is host with the port left out where the scheme implies it.
func canonical(scheme, host string) string {
	host = strings.ToLower(host)
	h, port, err := net.SplitHostPort(host)
	if err != nil {
		return host
	}
	if scheme == "https" && port == "443" || scheme == "http" && port == "80" {
		if strings.Contains(h, ":") {
			return "[" + h + "]"
		}
		return h
	}
	return host
}

// The Content-Security-Policy of pages and of everything else.
const (
	formAction = "form-action 'self'"
	pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; " +
		"connect-src 'self'; manifest-src 'self'; " + formAction + "; base-uri 'none'; frame-ancestors 'none'"
	dataPolicy = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

const permissionsPolicy = "accelerometer=(), autoplay=(), browsing-topics=(), camera=(), display-capture=(), " +
	"encrypted-media=(), fullscreen=(), geolocation=(), gyroscope=(), hid=(), identity-credentials-get=(), idle-detection=(), " +
	"local-fonts=(), magnetometer=(), microphone=(), midi=(), otp-credentials=(), payment=(), " +
	"publickey-credentials-create=(self), publickey-credentials-get=(self), screen-wake-lock=(), serial=(), " +
	"storage-access=(), usb=(), window-management=(), xr-spatial-tracking=()"

// header is a field with its one value, made before anyone asks: setting it
// costs no allocation. The value's capacity is its length, so that adding to it
// never changes another answer's.
type header struct {
	name  string
	value []string
}

func fixed(pairs ...string) (out []header) {
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, header{http.CanonicalHeaderKey(pairs[i]), []string{pairs[i+1]}[:1:1]})
	}
	return out
}

var (
	dataHeaders = append(fixed("Content-Security-Policy", dataPolicy), commonHeaders...)
	pageHeaders = append(fixed("Content-Security-Policy", pagePolicy), commonHeaders...)

	commonHeaders = fixed("X-Content-Type-Options", "nosniff", "X-Frame-Options", "DENY", "Referrer-Policy", "same-origin", "Permissions-Policy", permissionsPolicy,
		"Cross-Origin-Opener-Policy", "same-origin", "Cross-Origin-Resource-Policy", "same-origin", "X-Permitted-Cross-Domain-Policies", "none", "Cache-Control", "no-store")
)

// secure sets the headers that every answer has. Handlers may tighten them;
// only AllowFormRedirect widens one.
func (s *Server) secure(w http.ResponseWriter, route *Route) {
	h := w.Header()
	fixed := pageHeaders
	if route != nil && !route.Page {
		fixed = dataHeaders
	}
	for _, f := range fixed {
		h[f.name] = f.value
	}
	if s.BaseURL.Scheme == "https" {
		h.Set("Strict-Transport-Security", "max-age="+strconv.Itoa(hstsSeconds)+"; includeSubDomains")
	}
	if route == nil {
		return
	}
	if route.Cache != "" {
		h.Set("Cache-Control", route.Cache)
	}
	if route.CORS {
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Access-Control-Expose-Headers", "ETag, Location, Retry-After, WWW-Authenticate, X-Request-Id")
		h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	}
}

// AllowFormRedirect lets the forms of the page being answered lead to the
// origin of the URI. Browsers hold the redirects after a POST to form-action,
// so a sign-in page must name the relying party that the last step returns to.
// A URI without a usable origin changes nothing.
func AllowFormRedirect(w http.ResponseWriter, uri string) {
	src := source(uri)
	csp := w.Header().Get("Content-Security-Policy")
	if src == "" || !strings.Contains(csp, formAction) {
		return
	}
	w.Header().Set("Content-Security-Policy", strings.Replace(csp, formAction, formAction+" "+src, 1))
}

// source is the CSP source expression of the URI's origin.
func source(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return ""
	}
	for _, c := range u.Host + u.Scheme {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune(".-:[]+", c)) {
			return ""
		}
	}
	switch u.Scheme {
	case "", "javascript", "data", "blob", "file", "filesystem", "about":
		return ""
	case "http", "https":
		if u.Host == "" {
			return ""
		}
		return u.Scheme + "://" + u.Host
	}
	return u.Scheme + ":" // an application's own scheme (RFC 8252 section 7.1)
}
