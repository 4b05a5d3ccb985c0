package app

import (
	"context"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"

	"github.com/rempart/rempart/internal/access"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/directory"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/provider"
	"github.com/rempart/rempart/internal/session"
)

// providerFacts is what the provider knows of people: each asked of its owner.
func (a *App) providerFacts() provider.Facts {
	return provider.Facts{
		Alive: func(ctx context.Context, who caller.Caller, org id.Org) error {
			return a.Access.Alive(ctx, who, org, id.Workspace{})
		},
		Enter:         a.enter,
		Organizations: a.organizationsOf,
		Standing:      a.standing,
		Person:        a.personOf,
		SignIn:        a.leadToSignIn,
		SignOut: func(w http.ResponseWriter, r *http.Request, who caller.Caller) error {
			session.ClearCookie(w)
			return a.Session.SignOut(r.Context(), who)
		},
	}
}

func (a *App) organizationsOf(ctx context.Context, user id.User) (out []provider.Organization, err error) {
	list, err := a.Directory.Belongings(ctx, user)
	for _, b := range list {
		if b.Membership.State == directory.Active && b.Org.State == directory.Active {
			out = append(out, provider.Organization{ID: b.Org.ID, Slug: b.Org.Slug, Name: b.Org.Name})
		}
	}
	return out, err
}

func (a *App) standing(ctx context.Context, org id.Org, user id.User) (provider.Standing, error) {
	o, err := a.Directory.FindOrg(ctx, org)
	if err != nil {
		return provider.Standing{}, err
	}
	out := provider.Standing{Organization: provider.Organization{ID: o.ID, Slug: o.Slug, Name: o.Name}}
	grants, err := a.Access.Own(ctx, user)
	if err != nil {
		return out, err
	}
	seen := map[string]bool{}
	for _, g := range grants[org] {
		if !seen[g.Role] {
			seen[g.Role] = true
			out.Roles = append(out.Roles, g.Role)
		}
		if !g.Workspace.IsZero() {
			out.Workspaces = append(out.Workspaces, g.Workspace)
		}
	}
	out.Permissions, _, err = a.Access.Effective(ctx, org, user)
	return out, err
}

func (a *App) personOf(ctx context.Context, user id.User, _ id.Org) (provider.Person, error) {
	u, err := a.Directory.FindUser(ctx, user)
	if err != nil {
		return provider.Person{}, err
	}
	p := provider.Person{Name: u.Profile.Name, Email: u.Email(), Locale: u.Profile.Locale, Zone: u.Profile.Zone}
	for _, ad := range u.Addresses {
		if ad.Primary {
			p.EmailVerified = !ad.Verified.IsZero()
		}
	}
	return p, nil
}

// accessToken finds the caller of an access token of ours: its grant is asked
// for, a JWT alone proves nothing here.
func (a *App) accessToken(ctx context.Context, who caller.Caller, token string) (caller.Caller, error) {
	return a.Provider.VerifyAccess(ctx, who, token)
}

// canaryClient makes the client that controls sign in to.
func (a *App) canaryClient(ctx context.Context, who caller.Caller, c *capability.Canary) error {
	org, err := id.ParseOrg(c.OrgID)
	if err != nil {
		return err
	}
	client, secret, err := a.Provider.AddClient(ctx, who, provider.ClientInput{
		Name: "Canary", Type: provider.ClientWeb, Org: org, FirstParty: true, RedirectURIs: []string{c.RedirectURI},
		GrantTypes: []string{"authorization_code", "refresh_token", "client_credentials"}, Scopes: []string{"openid", "profile", "email", "offline_access"},
	})
	if err != nil {
		return err
	}
	c.ClientID, c.ClientSecret = client.ID.String(), secret
	return nil
}

// clientState is what access asks about a client.
func (a *App) clientState(ctx context.Context, client id.Client) (access.State, error) {
	st, err := a.Provider.ClientState(ctx, client)
	if err != nil {
		return access.Absent, err
	}
	switch st {
	case provider.ClientActive:
		return access.Active, nil
	case "":
		return access.Absent, nil
	}
	return access.Suspended, nil
}

func newJar() http.CookieJar {
	j, err := cookiejar.New(nil)
	if err != nil {
		panic(err) // without options there is nothing to fail
	}
	return j
}

// hostPort is the host and port of the URL, with the scheme's port if it names none.
func hostPort(u *url.URL) string {
	if u.Port() != "" {
		return u.Host
	}
	if u.Scheme == "https" {
		return net.JoinHostPort(u.Hostname(), "443")
	}
	return net.JoinHostPort(u.Hostname(), "80")
}
