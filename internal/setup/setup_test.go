package setup_test

import (
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/rempart/rempart/internal/setup"
)

func TestCheckDecidesWhetherAStartIsAllowed(t *testing.T) {
	demo := setup.State{Stamp: setup.Demo, Issuer: "http://localhost:8080"}
	real := setup.State{Stamp: setup.Real, Issuer: "https://id.example.com"}
	for _, c := range []struct {
		name   string
		state  setup.State
		kind   setup.Stamp
		issuer string
		want   string
	}{
		{"a fresh place takes any issuer", setup.State{}, setup.Real, "https://id.example.com", ""},
		{"a fresh place takes a port", setup.State{}, setup.Demo, "http://localhost:8080", ""},
		{"the same again is allowed", real, setup.Real, "https://id.example.com", ""},
		{"serve refuses a demo", demo, setup.Real, "http://localhost:8080", "this data folder belongs to a demo; rempart serve refuses it"},
		{"demo refuses what is real", real, setup.Demo, "https://id.example.com", "this data folder belongs to a real installation; rempart demo refuses it"},
		{"a real issuer is fixed", real, setup.Real, "https://id.example.org", "the issuer was fixed at the first start as https://id.example.com, and http.base_url is https://id.example.org; put the first one back"},
		{"a real issuer does not follow its port", real, setup.Real, "https://id.example.com:8443", "the issuer was fixed at the first start as https://id.example.com, and http.base_url is https://id.example.com:8443; put the first one back"},
		{"a demo follows its port", demo, setup.Demo, "http://localhost:9090", ""},
		{"a demo follows to the port that http implies", demo, setup.Demo, "http://localhost", ""},
		{"a demo keeps its host", demo, setup.Demo, "http://127.0.0.1:8080", "the issuer was fixed at the first start as http://localhost:8080, and http.base_url is http://127.0.0.1:8080; put the first one back"},
		{"a demo keeps its scheme", demo, setup.Demo, "https://localhost:8080", "the issuer was fixed at the first start as http://localhost:8080, and http.base_url is https://localhost:8080; put the first one back"},
		{"a trailing slash is no issuer", setup.State{}, setup.Real, "https://id.example.com/", `the issuer "https://id.example.com/" must be scheme, host in lower case and port, without path and without the port that the scheme implies`},
		{"an implied port is no issuer", setup.State{}, setup.Real, "https://id.example.com:443", `the issuer "https://id.example.com:443" must be scheme, host in lower case and port, without path and without the port that the scheme implies`},
		{"capitals are no issuer", setup.State{}, setup.Real, "https://ID.example.com", `the issuer "https://ID.example.com" must be scheme, host in lower case and port, without path and without the port that the scheme implies`},
		{"a word is no issuer", setup.State{}, setup.Real, "id.example.com", `the issuer "id.example.com" is no origin such as https://id.example.com`},
		{"another kind is refused", setup.State{}, "trial", "https://id.example.com", "setup: the stamp is neither demo nor real"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := ""
			if err := c.state.Check(c.kind, c.issuer); err != nil {
				got = err.Error()
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	var ie *setup.IssuerError
	if err := real.Check(setup.Real, "https://x.example"); !errors.As(err, &ie) || ie.Fixed != real.Issuer {
		t.Errorf("the error does not carry the fixed issuer: %v", err)
	}
}

func TestSecureIsThisMachineOrTLS(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("127.0.0.2/32")}
	for _, c := range []struct {
		name   string
		peer   string
		tls    bool
		header http.Header
		want   bool
	}{
		{"TLS from anywhere", "203.0.113.9:4000", true, nil, true},
		{"clear from afar", "203.0.113.9:4000", false, nil, false},
		{"clear from afar that says https", "203.0.113.9:4000", false, http.Header{"X-Forwarded-Proto": {"https"}}, false},
		{"this machine", "127.0.0.1:4000", false, nil, true},
		{"this machine by IPv6", "[::1]:4000", false, nil, true},
		{"this machine as IPv4 in IPv6", "[::ffff:127.0.0.1]:4000", false, nil, true},
		{"a proxy on this machine that nobody named", "127.0.0.1:4000", false, http.Header{"X-Forwarded-For": {"203.0.113.9"}}, false},
		{"the same with another header", "127.0.0.1:4000", false, http.Header{"Forwarded": {"for=203.0.113.9"}}, false},
		{"a named proxy that had TLS", "10.1.2.3:4000", false, http.Header{"X-Forwarded-Proto": {"https"}}, true},
		{"a named proxy that had none", "10.1.2.3:4000", false, http.Header{"X-Forwarded-Proto": {"http"}}, false},
		{"a named proxy that does not say", "10.1.2.3:4000", false, nil, false},
		{"a named proxy on this machine that does not say", "127.0.0.2:4000", false, nil, false},
		{"a named proxy that hands on a lie of the client's", "10.1.2.3:4000", false, http.Header{"X-Forwarded-Proto": {"https", "http"}}, false},
		{"no address", "@", false, nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "http://localhost/setup", nil)
			r.RemoteAddr, r.TLS = c.peer, nil
			if c.tls {
				r.TLS = &tls.ConnectionState{}
			}
			for k, v := range c.header {
				r.Header[k] = v
			}
			source := netip.Addr{}
			if ap, err := netip.ParseAddrPort(c.peer); err == nil {
				source = ap.Addr().Unmap()
			}
			if got := setup.Secure(&setup.Service{Proxies: proxies}, r, source); got != c.want {
				t.Errorf("got %t, want %t", got, c.want)
			}
		})
	}
}
