package app

import (
	"context"
	"crypto/fips140"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/rempart/rempart/internal/apikey"
	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/console"
	"github.com/rempart/rempart/internal/directory"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/session"
	"github.com/rempart/rempart/internal/signin"
	"github.com/rempart/rempart/internal/store"
	"github.com/rempart/rempart/internal/web"
)

// Kinds of the entries that the path of a request leaves by itself.
const (
	EventRefused = "app.request.refused"
)

func fips() bool { return fips140.Enabled() }

// own is what belongs to no capability: health, and the refusals of the path.
func (a *App) own() capability.Manifest {
	return capability.Manifest{
		Name:     "app",
		Events:   []capability.Event{{Kind: EventRefused, Class: capability.ClassAccess, Person: true}, {Kind: EventCanary, Class: capability.ClassSystem}},
		Controls: a.controls(),
		Tables:   tables(), Statements: q.All(),
		Migrations: migrationFiles(),
		Routes:     append(web.HealthRoutes(a.Ready), web.Page("GET /console", capability.Self, a.home, web.Summary("Leads to where the person works."))),
		Messages:   messages(),
	}
}

// serve builds the handler from the registry of routes.
func (a *App) serve(ctx context.Context) error {
	if err := a.cursors(ctx); err != nil {
		return err
	}
	if err := a.replays(ctx); err != nil {
		return err
	}
	proxies, err := a.Config.Proxies()
	if err != nil {
		return err
	}
	a.Setup.Proxies = proxies
	var routes []web.Route
	for _, m := range a.Manifests {
		routes = append(routes, m.Routes...)
		a.Console.Navigation = append(a.Console.Navigation, m.Navigation...)
		a.Trust.Controls = append(a.Trust.Controls, m.Controls...)
	}
	if err := a.Register.Open(); err != nil {
		return err
	}
	a.Console.Routes = routes
	a.Console.Shell = a.shell
	a.Console.SignIn = func(r *http.Request) string { return signin.Path(r.URL.RequestURI()) }
	a.Console.StepUp = func(r *http.Request) string {
		to := r.URL.RequestURI()
		if r.Method != http.MethodGet {
			to = "/account"
			if ref, err := url.Parse(r.Referer()); err == nil && ref.Host == a.BaseURL.Host {
				to = web.LocalPath(ref.RequestURI())
			}
		}
		org, err := a.orgOf(r.Context(), r)
		if err != nil {
			org = id.Org{}
		}
		return signin.DetourPath(org, to)
	}
	a.Server = &web.Server{
		BaseURL: a.BaseURL, TrustedProxies: proxies, Routes: routes, Log: a.Log, Now: a.Now, T: a.Bundle.T,
		Authenticate: a.authenticate, Gate: a.gate, Refused: a.refused, RenderError: a.Console.RenderError,
		Observe: a.Metrics.Observe, Replay: a.Replays.Do,
	}
	h, err := a.Server.Handler()
	if err != nil {
		return err
	}
	a.Handler = a.Metrics.Wrap(h)
	return nil
}

// Ready says whether this node can do its work.
func (a *App) Ready(ctx context.Context) []web.ReadyCheck {
	check := func(name string, err error) web.ReadyCheck {
		return web.ReadyCheck{Name: name, OK: err == nil, Err: err}
	}
	_, keys := a.Keys.Ready(ctx)
	out := []web.ReadyCheck{check("main", a.Store.Main.Ping(ctx)), check("keys_database", a.Store.Keys.Ping(ctx)), check("keys", keys)}
	if a.Listener != nil {
		var stopping error
		if a.Listener.Stopping() {
			stopping = errors.New("stopping")
		}
		out = append(out, check("listener", stopping))
	}
	return out
}

// authenticate finds who asks: a bearer key, an access token, or the session
// cookie of our own pages. A credential that is presented and bad is an error,
// never a visitor.
func (a *App) authenticate(ctx context.Context, r *http.Request, who caller.Caller) (caller.Caller, error) {
	if web.Bearer(r) {
		token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok {
			return who, fault.New(fault.Unknown, "web.error.unauthenticated", nil)
		}
		if id.IsSecret(apikey.Kind, token) {
			k, err := a.APIKeys.Find(ctx, token)
			if err != nil {
				return who, err
			}
			return k.Caller(who), nil
		}
		return a.accessToken(ctx, who, token)
	}
	secret, ok := session.Secret(r)
	if !ok {
		return who, nil
	}
	s, err := a.Session.Find(ctx, secret)
	if errors.Is(err, session.ErrNone) {
		return who, nil // an old cookie is a visitor's: sign-in is offered
	}
	if err != nil {
		return who, err
	}
	return s.Caller(who), nil
}

// gate decides whether the route is the caller's: the organization of the
// path, everything she stands on alive, the organization's rules on entry, the
// permission, a fresh proof. Everything is decided here, for pages and API.
func (a *App) gate(ctx context.Context, r *http.Request, who caller.Caller, route *web.Route) (caller.Caller, error) {
	if route.Permission == capability.Public || route.Permission == capability.Token {
		return who, nil
	}
	// Before anything is looked up: a visitor does not learn which organizations there are.
	if who.Kind == caller.Visitor {
		return who, fault.New(fault.Unknown, "web.error.unauthenticated", nil)
	}
	org, err := a.orgOf(ctx, r)
	if err != nil {
		return who, err
	}
	var ws id.Workspace
	if v := r.PathValue("workspace"); v != "" {
		if ws, err = id.ParseWorkspace(v); err != nil {
			return who, fault.ErrNotFound
		}
	}
	// A key or token is of one organization, whatever the path says.
	if !org.IsZero() && !who.Org.IsZero() && who.Org != org {
		return who, fault.ErrNotFound
	}
	if err := a.Access.Authorize(ctx, who, route.Permission, org, ws); err != nil {
		return who, err
	}
	p, _ := a.Access.Catalogue.Find(route.Permission)
	if inside := p.Level == capability.LevelOrg || p.Level == capability.LevelWorkspace; inside && !org.IsZero() {
		who.Org = org
		if who.Kind == caller.User {
			if err := a.enter(ctx, who, org); err != nil {
				return who, err
			}
		}
	}
	if route.StepUp {
		if err := a.Access.Fresh(who); err != nil {
			return who, err
		}
	}
	return who, nil
}

// orgOf finds the organization of the path: {org} is an identifier in the API,
// {slug} a slug in the console.
func (a *App) orgOf(ctx context.Context, r *http.Request) (id.Org, error) {
	if v := r.PathValue("org"); v != "" {
		org, err := id.ParseOrg(v)
		if err != nil {
			return id.Org{}, fault.ErrNotFound
		}
		return org, nil
	}
	if v := r.PathValue("slug"); v != "" {
		o, _, err := a.Directory.FindOrgBySlug(ctx, v)
		if err != nil {
			return id.Org{}, err
		}
		return o.ID, nil
	}
	return id.Org{}, nil
}

// refused puts what the path refused on record. Visitors without a credential
// are not worth an entry: they are sent to sign in.
func (a *App) refused(ctx context.Context, who caller.Caller, route *web.Route, err error) {
	if who.Kind == caller.Visitor || fault.KindOf(err) == fault.Unavailable || fault.KindOf(err) == fault.Internal {
		return
	}
	if fault.KindOf(err) == fault.StepUp && !capability.Mutates(route.Pattern) {
		return // a page asked for the proof, and gets it
	}
	org := who.Org
	if fault.KindOf(err) == fault.NotFound {
		org = id.Org{} // it may be another organization's: its log hears nothing of strangers
	}
	e := audit.Entry{Kind: EventRefused, Outcome: audit.Denied, Code: web.CodeOf(err), Target: audit.Target{Kind: "route", ID: route.Pattern}}
	if rerr := a.Audit.Refuse(context.WithoutCancel(ctx), who, org, e); rerr != nil && !errors.Is(rerr, store.ErrNone) {
		a.Log.Error("a refusal could not be recorded", "error", rerr, "route", route.Pattern)
	}
}

// shell is what the frame of every page shows of the person.
func (a *App) shell(ctx context.Context, who caller.Caller) (console.Shell, error) {
	var s console.Shell
	if who.Kind != caller.User {
		return s, nil
	}
	u, err := a.Directory.FindUser(ctx, who.User)
	if err != nil {
		return s, err
	}
	s.Person = console.Person{Name: u.Profile.Name, Email: u.Email()}
	list, err := a.Directory.Belongings(ctx, who.User)
	if err != nil {
		return s, err
	}
	for _, b := range list {
		o := console.Org{ID: b.Org.ID.String(), Slug: b.Org.Slug, Name: b.Org.Name}
		s.Orgs = append(s.Orgs, o)
		if b.Org.ID == who.Org {
			s.Org = &o
		}
	}
	roles, err := a.Directory.StaffRoles(ctx, who.User)
	if err != nil {
		return s, err
	}
	s.Staff = len(roles) > 0
	s.Allowed = func(perm string) bool {
		err := a.Access.Authorize(ctx, who, perm, who.Org, id.Workspace{})
		return err == nil || fault.KindOf(err) == fault.StepUp
	}
	return s, nil
}

// home leads a signed-in person to where she works: her first organization,
// else the staff side, else her account.
func (a *App) home(w http.ResponseWriter, r *http.Request) error {
	who := web.Who(r)
	list, err := a.Directory.Belongings(r.Context(), who.User)
	if err != nil {
		return err
	}
	for _, b := range list {
		if b.Membership.State == directory.Active && b.Org.State == directory.Active {
			web.Redirect(w, r, "/console/o/"+b.Org.Slug)
			return nil
		}
	}
	roles, err := a.Directory.StaffRoles(r.Context(), who.User)
	if err != nil {
		return err
	}
	to := "/account"
	if len(roles) > 0 {
		to = "/console/staff"
	}
	web.Redirect(w, r, to)
	return nil
}
