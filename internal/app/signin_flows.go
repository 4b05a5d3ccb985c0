package app

import (
	"context"
	"net/http"

	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/provider"
)

// enter refuses everybody until the sign-in pages are there.
func (a *App) enter(context.Context, caller.Caller, id.Org) error {
	return fault.New(fault.Unavailable, "web.error.unavailable", nil)
}

func (a *App) leadToSignIn(http.ResponseWriter, *http.Request, provider.Ask) error {
	return fault.New(fault.Unavailable, "web.error.unavailable", nil)
}
