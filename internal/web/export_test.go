package web

import (
	"net/http"
	"net/netip"
)

// ClientAddr is clientAddr, for tests.
func ClientAddr(r *http.Request, trusted []netip.Prefix) netip.Addr { return clientAddr(r, trusted) }

// Source is source, for tests.
func Source(uri string) string { return source(uri) }
