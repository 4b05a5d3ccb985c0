package app

import (
	"log/slog"
	"net/url"

	"github.com/rempart/rempart/internal/clock"
)

// Unopened is the product put together without its databases: its manifests and
// texts, for catalogues and for tests of shape. Nothing else of it may be used.
func Unopened(c Config) (*App, error) {
	base, err := url.Parse(c.HTTP.BaseURL)
	if err != nil {
		return nil, err
	}
	a := &App{Config: c, Now: clock.System, Log: slog.New(slog.DiscardHandler), BaseURL: base}
	a.build()
	a.Manifests = a.manifests()
	return a, a.texts()
}
