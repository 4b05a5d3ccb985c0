package app

import (
	"context"
	"net/http"

	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/provider"
	"github.com/rempart/rempart/internal/signin"
	"github.com/rempart/rempart/internal/web"
)

// enter applies the organization's rules on entry to the caller's session.
func (a *App) enter(ctx context.Context, who caller.Caller, org id.Org) error {
	return a.SignIn.Enter(ctx, who, org)
}

// leadToSignIn sends the browser through the sign-in pages for an
// authorization request, and back to it.
func (a *App) leadToSignIn(w http.ResponseWriter, r *http.Request, ask provider.Ask) error {
	in := signin.Ask{
		Return: ask.Return, ClientName: ask.Client, Org: ask.Org, Fresh: ask.Fresh || ask.MaxAge == 0, Choose: ask.Choose,
		LoginHint: ask.LoginHint, MFA: ask.StepUp, FormTo: ask.Redirect,
	}
	if ask.MaxAge > 0 {
		in.MaxAge = ask.MaxAge
	}
	to, err := a.SignIn.Begin(r.Context(), in)
	if err != nil {
		return err
	}
	web.Redirect(w, r, to)
	return nil
}
