package provider

import (
	"context"
	"crypto/hmac"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"

	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/console"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/keyring"
	"github.com/rempart/rempart/internal/store"
	"github.com/rempart/rempart/internal/web"
)

// flow is an authorization request on its way: past the sign-in pages, the
// chooser of organizations, the consent page. It travels in the browser, under
// a MAC, and grants nothing: whatever it says is checked again against the
// session at each step.
type flow struct {
	Query   string     `json:"q"`           // of the authorization request
	Start   int64      `json:"t"`           // when it came, in microseconds
	Rounds  int        `json:"n,omitempty"` // times that it was sent to the sign-in pages
	Org     id.Org     `json:"o,omitzero"`  // chosen
	Session id.Session `json:"s,omitzero"`  // of a consent page: whose page it is
	Shown   int64      `json:"c,omitempty"` // of a consent page: when it was shown
}

const labelFlow = "provider.flow"

func (s *Service) mac(ctx context.Context, body []byte) ([]byte, error) {
	ring, err := s.Keys.Ready(ctx, keyring.Installation())
	if err != nil {
		return nil, err
	}
	return ring.Hash(keyring.Installation(), labelFlow, string(body)), nil
}

func (s *Service) wrap(ctx context.Context, f flow) (string, error) {
	body, err := json.Marshal(f)
	if err != nil {
		return "", err
	}
	mac, err := s.mac(ctx, body)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(append(mac, body...)), nil
}

var errFlow = fault.New(fault.Invalid, "provider.error.flow", nil)

func (s *Service) unwrap(ctx context.Context, text string) (flow, error) {
	var f flow
	if len(text) > 2*maxRequest {
		return f, errFlow
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) < 32 {
		return f, errFlow
	}
	mac, err := s.mac(ctx, raw[32:])
	if err != nil {
		return f, err
	}
	if !hmac.Equal(mac, raw[:32]) || json.Unmarshal(raw[32:], &f) != nil || s.Now().Sub(store.Time(f.Start)) > flowLife {
		return f, errFlow
	}
	return f, nil
}

// authorize is the authorization endpoint, by GET.
func (s *Service) authorize(w http.ResponseWriter, r *http.Request) error {
	return s.proceed(w, r, flow{Query: r.URL.RawQuery, Start: store.Micros(s.Now())})
}

// authorizePost is the authorization endpoint, by POST (OpenID Connect Core
// section 3.1.2.1). A browser sends no session cookie with a POST from another
// site, so the request continues as a GET of our own.
func (s *Service) authorizePost(w http.ResponseWriter, r *http.Request) error {
	form, err := web.Form(r)
	if err != nil {
		return err
	}
	if query := form.Encode(); len(query) <= maxRequest {
		web.Redirect(w, r, pathAuthorize+"?"+query)
		return nil
	}
	return fault.New(fault.TooLarge, "web.error.too-large", nil)
}

// resume continues after the sign-in pages or the chooser.
func (s *Service) resume(w http.ResponseWriter, r *http.Request) error {
	v := r.URL.Query()
	f, err := s.unwrap(r.Context(), v.Get("request"))
	if err != nil {
		return err
	}
	if v.Has("organization") {
		if f.Org, err = id.ParseOrg(v.Get("organization")); err != nil {
			return errFlow
		}
	}
	return s.proceed(w, r, f)
}

// proceed answers an authorization request: with a code, an error for the
// client, or the next page for the person.
func (s *Service) proceed(w http.ResponseWriter, r *http.Request, f flow) error {
	m, err := s.memory(r.Context())
	if err != nil {
		return err
	}
	a, perr := parseAuthorization(f.Query, m.client)
	if a == nil {
		return s.explain(w, r, perr)
	}
	if perr == nil {
		err = s.decide(w, r, m, a, f)
		if !errors.As(err, &perr) {
			return err
		}
	}
	return s.respond(w, a, url.Values{"error": {perr.code}, "error_description": {perr.text}})
}

// explain shows the person an error that must not go to the redirect URI,
// because nothing says whose it is.
func (s *Service) explain(w http.ResponseWriter, r *http.Request, e *protocolError) error {
	key := map[string]string{"invalid_client": "provider.error.unknown-client", "invalid_redirect_uri": "provider.error.redirect-uri"}[e.code]
	if key == "" {
		key = "provider.error.request"
	}
	return fault.New(fault.Invalid, key, e)
}

// respond sends the browser back to the client, with state and issuer (RFC
// 9207). 303: a POST before it is never repeated there.
func (s *Service) respond(w http.ResponseWriter, a *authorization, v url.Values) error {
	if a.state != "" {
		v.Set("state", a.state)
	}
	v.Set("iss", s.Issuer)
	w.Header().Set("Location", withQuery(a.redirectURI, v))
	w.WriteHeader(http.StatusSeeOther)
	return nil
}

// browser is who has a session in this browser; a visitor if nobody. Only the
// cookie counts here: a page is no place for bearer tokens.
func browser(r *http.Request) (caller.Caller, error) {
	visitor := web.Who(r)
	visitor.Kind = caller.Visitor
	if web.Bearer(r) {
		return visitor, nil
	}
	who, err := web.Identify(r)
	switch {
	case err != nil && (fault.KindOf(err) == fault.Internal || fault.KindOf(err) == fault.Unavailable):
		return visitor, err
	case err != nil || who.Kind != caller.User || !who.Cookie:
		return visitor, nil
	}
	return who, nil
}

// decide walks the conditions of a code, each of which may need a page first.
// An error of the protocol is for the client.
func (s *Service) decide(w http.ResponseWriter, r *http.Request, m *memory, a *authorization, f flow) error {
	ctx := r.Context()
	silent := a.prompt("none")
	who, err := browser(r)
	if err != nil {
		return err
	}
	ask := Ask{Client: a.client.Name, Redirect: a.redirectURI, LoginHint: a.loginHint, Locale: a.locale, Org: f.Org, MaxAge: a.maxAge}
	signIn := func(code, text string) error {
		if silent {
			return refuse(code, text)
		}
		return s.askSignIn(w, r, ask, f)
	}
	known := who.Kind == caller.User
	if known {
		if err := s.Facts.Alive(ctx, who, id.Org{}); err != nil {
			if k := fault.KindOf(err); k == fault.Internal || k == fault.Unavailable {
				return err
			}
			known = false
		}
	}
	if !known {
		return signIn("login_required", "Nobody is signed in.")
	}
	start := store.Time(f.Start)
	since := !who.AuthTime.Before(start) // signed in within this flow
	if a.idTokenHint != "" {
		if hint := s.readHint(m, a.idTokenHint); hint == nil || hint.Subject != who.User {
			if silent {
				return refuse("login_required", "Another person is signed in.")
			}
			if hint != nil && f.Rounds == 0 {
				ask.Choose = true
				return s.askSignIn(w, r, ask, f)
			}
		}
	}
	switch {
	case a.prompt("login") && !since:
		ask.Fresh = true
		return s.askSignIn(w, r, ask, f)
	case a.maxAge >= 0 && !since && s.Now().Sub(who.AuthTime) > a.maxAge, a.maxAge == 0 && !since:
		ask.Fresh = true
		return signIn("login_required", "The sign-in is older than max_age.")
	case a.prompt("select_account") && f.Rounds == 0:
		ask.Choose = true
		return s.askSignIn(w, r, ask, f)
	}
	org, done, err := s.organization(w, r, who, a, f)
	if err != nil || done {
		return err
	}
	ask.Org = org
	if !org.IsZero() {
		err := s.Facts.Enter(ctx, who.In(org), org)
		switch kind := fault.KindOf(err); {
		case err == nil:
		case kind == fault.Internal || kind == fault.Unavailable:
			return err
		case kind == fault.StepUp || kind == fault.Unknown:
			ask.StepUp = kind == fault.StepUp
			return signIn("interaction_required", "The organization asks for a further step.")
		default:
			return s.deny(ctx, who, a, org, "The organization's rules do not let this person in.")
		}
	}
	if slices.Contains(a.acr, acrTwo) && !slices.Contains(a.acr, acrOne) && acrOf(who.Methods) != acrTwo && f.Rounds == 0 && !silent {
		ask.StepUp = true // acr_values is a wish: what was reached is in acr
		return s.askSignIn(w, r, ask, f)
	}
	if !a.client.FirstParty {
		// Anybody can claim to be a native client, so its consent is not
		// remembered (RFC 8252 section 8.6).
		have := false
		if a.client.Type != ClientNative && !a.prompt("consent") {
			if have, err = s.consented(ctx, who, a.client.ID, a.scopes); err != nil {
				return err
			}
		}
		if !have && silent {
			return refuse("consent_required", "The person has not consented yet.")
		}
		if !have {
			f.Org = org
			return s.showConsent(w, r, who, a, f)
		}
	}
	return s.finish(w, r, who, a, org)
}

// finish gives the code.
func (s *Service) finish(w http.ResponseWriter, r *http.Request, who caller.Caller, a *authorization, org id.Org) error {
	code, err := s.grantNew(r.Context(), who.In(org), a, org)
	if err != nil {
		return err
	}
	return s.respond(w, a, url.Values{"code": {code}})
}

// deny refuses the client and records it.
func (s *Service) deny(ctx context.Context, who caller.Caller, a *authorization, org id.Org, text string) error {
	who.Client = a.client.ID
	err := s.Audit.Refuse(ctx, who, org, audit.Entry{Kind: EventAuthorizationRefused, Target: audit.Target{Kind: "client", ID: a.client.ID.String()}, Outcome: audit.Denied, Code: "access_denied", Facts: map[string]any{"why": text}})
	if err != nil {
		return err
	}
	return refuse("access_denied", text)
}

// askSignIn sends the person to the sign-in pages, a bounded number of times.
func (s *Service) askSignIn(w http.ResponseWriter, r *http.Request, ask Ask, f flow) error {
	if f.Rounds++; f.Rounds > flowRounds {
		return refuse("access_denied", "The sign-in did not reach what the request asks for.")
	}
	handle, err := s.wrap(r.Context(), f)
	if err != nil {
		return err
	}
	ask.Return = pathContinue + "?request=" + handle
	return s.Facts.SignIn(w, r, ask)
}

// organization finds the organization to act in: the one that was named, the
// only one, the chosen one. done: the chooser was shown.
func (s *Service) organization(w http.ResponseWriter, r *http.Request, who caller.Caller, a *authorization, f flow) (org id.Org, done bool, err error) {
	all, err := s.Facts.Organizations(r.Context(), who.User)
	if err != nil {
		return org, false, err
	}
	if !a.client.Org.IsZero() {
		all = slices.DeleteFunc(slices.Clone(all), func(o Organization) bool { return o.ID != a.client.Org })
		if len(all) == 0 {
			return org, false, s.deny(r.Context(), who, a, id.Org{}, "The person is no member of the client's organization.")
		}
	}
	named := a.organization
	if named == "" && !f.Org.IsZero() {
		named = f.Org.String()
	}
	if named != "" {
		i := slices.IndexFunc(all, func(o Organization) bool { return o.ID.String() == named || o.Slug == named })
		if i < 0 {
			return org, false, s.deny(r.Context(), who, a, id.Org{}, "The person is no member of the organization.")
		}
		return all[i].ID, false, nil
	}
	switch {
	case len(all) == 0:
		return org, false, nil
	case len(all) == 1:
		return all[0].ID, false, nil
	case a.prompt("none"):
		return org, false, refuse("interaction_required", "The person must choose an organization.")
	}
	handle, err := s.wrap(r.Context(), f)
	if err != nil {
		return org, false, err
	}
	web.AllowFormRedirect(w, a.redirectURI)
	return org, true, s.Console.Render(w, r, http.StatusOK, views.Get("choose-organization"), chooseView{
		Frame:   s.frame(r, a, "provider.choose.title", "choose-organization"),
		Request: handle, Organizations: all, Client: a.client.Name,
	})
}

type chooseView struct {
	console.Frame
	Request       string
	Organizations []Organization
	Client        string
}

type consentView struct {
	console.Frame
	Request string
	Client  *Client
	Host    string
	Scopes  []consentScope
}

type consentScope struct{ Name, Text string }

// frame is the frame of a page within a flow, in the language that the client
// asked for where the person chose none.
func (s *Service) frame(r *http.Request, a *authorization, title, page string) console.Frame {
	if a != nil && a.locale != "" && web.ReadPrefs(r).Lang == "" {
		who := web.Who(r)
		who.Lang = a.locale
		r = web.WithCaller(r, who)
	}
	return s.Console.Frame(r, title, console.Auth(page))
}

func (s *Service) showConsent(w http.ResponseWriter, r *http.Request, who caller.Caller, a *authorization, f flow) error {
	f.Session, f.Shown = who.Session, store.Micros(s.Now())
	handle, err := s.wrap(r.Context(), f)
	if err != nil {
		return err
	}
	frame := s.frame(r, a, "provider.consent.title", "consent")
	host := a.redirectURI
	if u, err := url.Parse(a.redirectURI); err == nil && u.Host != "" {
		host = u.Host
	}
	v := consentView{Frame: frame, Request: handle, Client: a.client, Host: host}
	texts := map[string]string{
		scopeOpenID: frame.T("provider.scope.openid"), scopeProfile: frame.T("provider.scope.profile"), scopeEmail: frame.T("provider.scope.email"),
		scopeOffline: frame.T("provider.scope.offline"), scopePermissions: frame.T("provider.scope.permissions"),
	}
	for _, sc := range a.scopes {
		text := texts[sc]
		if text == "" {
			text = frame.T("provider.scope.other", "Scope", sc)
		}
		v.Scopes = append(v.Scopes, consentScope{sc, text})
	}
	web.AllowFormRedirect(w, a.redirectURI)
	return s.Console.Render(w, r, http.StatusOK, views.Get("consent"), v)
}

// consentPost takes the person's decision.
func (s *Service) consentPost(w http.ResponseWriter, r *http.Request) error {
	form, err := web.Form(r)
	if err != nil {
		return err
	}
	ctx, who := r.Context(), web.Who(r)
	f, err := s.unwrap(ctx, form.Get("request"))
	if err != nil {
		return err
	}
	if who.Kind != caller.User || !who.Cookie || f.Session.IsZero() || f.Session != who.Session || s.Now().Sub(store.Time(f.Shown)) > formLife {
		return errFlow // the page is another session's, or too old
	}
	m, err := s.memory(ctx)
	if err != nil {
		return err
	}
	a, perr := parseAuthorization(f.Query, m.client)
	if a == nil || perr != nil {
		return errFlow
	}
	answerErr := func(err error) error {
		if errors.As(err, &perr) {
			return s.respond(w, a, url.Values{"error": {perr.code}, "error_description": {perr.text}})
		}
		return err
	}
	switch form.Get("decision") {
	case "allow":
	case "deny":
		return answerErr(s.deny(ctx, who, a, id.Org{}, "The person refused."))
	default:
		return errFlow
	}
	// Everything that led to the page is asked again: it may have changed while
	// the page was open.
	if err := s.Facts.Alive(ctx, who, f.Org); err != nil {
		return err
	}
	if !f.Org.IsZero() {
		if err := s.Facts.Enter(ctx, who.In(f.Org), f.Org); err != nil {
			return err
		}
	}
	if !a.client.Org.IsZero() && a.client.Org != f.Org {
		return errFlow
	}
	if err := s.consent(ctx, who, a); err != nil {
		return err
	}
	return s.finish(w, r, who, a, f.Org)
}

// readHint reads an ID token of ours given as a hint, expired or not; nil when
// it is none.
func (s *Service) readHint(m *memory, token string) *idClaims {
	raw, err := m.verifyID(token)
	if err != nil {
		return nil
	}
	var c idClaims
	if json.Unmarshal(raw, &c) != nil || c.Issuer != s.Issuer || c.Subject.IsZero() || m.client(c.Audience) == nil {
		return nil
	}
	return &c
}
