package app

import (
	"net/url"

	"github.com/rempart/rempart/internal/capability"
)

// ListenerControls are the controls over a listener at the address.
func ListenerControls(base *url.URL, addr, mode string) []capability.Control {
	a := &App{BaseURL: base, LocalAddr: addr}
	a.Config.HTTP.TLS = mode
	return a.controls()
}
