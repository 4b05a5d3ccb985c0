package provider

import (
	"net/http"
	"net/url"
	"slices"

	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/console"
	"github.com/rempart/rempart/internal/store"
	"github.com/rempart/rempart/internal/web"
)

// leave is a sign-out that a relying party asks for (OpenID Connect
// RP-Initiated Logout). uri is set only when it is registered.
type leave struct {
	client *Client
	uri    string
	state  string
	sure   bool // a hint names the session or person of this browser: no question is needed
}

// readLeave reads the request. Whatever does not fit is left out, never
// followed: the person can always sign out, and is never sent anywhere that
// the client has not registered.
func (s *Service) readLeave(m *memory, v url.Values, who caller.Caller) leave {
	var l leave
	if hint := s.readHint(m, v.Get("id_token_hint")); hint != nil {
		l.client = m.client(hint.Audience)
		l.sure = who.Kind == caller.User && hint.Subject == who.User && (hint.Session.IsZero() || hint.Session == who.Session)
		if v.Has("client_id") && v.Get("client_id") != hint.Audience {
			return leave{}
		}
	} else if c := m.client(v.Get("client_id")); c != nil && c.Active() && !v.Has("id_token_hint") {
		l.client = c
	}
	if uri := v.Get("post_logout_redirect_uri"); l.client != nil && uri != "" && slices.Contains(l.client.PostLogoutRedirectURIs, uri) && len(v.Get("state")) <= maxState {
		l.uri, l.state = uri, v.Get("state")
	}
	return l
}

func (l leave) target() string {
	q := url.Values{}
	if l.state != "" {
		q.Set("state", l.state)
	}
	return withQuery(l.uri, q)
}

// logout is the end-session endpoint, by GET.
func (s *Service) logout(w http.ResponseWriter, r *http.Request) error {
	v, twice, ok := parseParameters(r.URL.RawQuery)
	if !ok || len(twice) > 0 {
		return s.explain(w, r, refuse("invalid_request", "The request is malformed."))
	}
	m, err := s.memory(r.Context())
	if err != nil {
		return err
	}
	who, err := browser(r)
	if err != nil {
		return err
	}
	l := s.readLeave(m, v, who)
	switch {
	case who.Kind != caller.User:
		return s.left(w, r, l)
	case l.sure:
		if err := s.signOut(w, r, who, l); err != nil {
			return err
		}
		return s.left(w, r, l)
	}
	// Nothing proves that the person wants this: another site could have sent
	// the browser here.
	handle, err := s.wrap(r.Context(), flow{Query: v.Encode(), Start: store.Micros(s.Now()), Session: who.Session})
	if err != nil {
		return err
	}
	if l.uri != "" {
		web.AllowFormRedirect(w, l.uri)
	}
	view := signOutView{Frame: s.Console.Frame(r, "provider.sign-out.title", console.Auth("sign-out")), Request: handle}
	if l.client != nil {
		view.Client = l.client.Name
	}
	return s.Console.Render(w, r, http.StatusOK, views.Get("sign-out"), view)
}

type signOutView struct {
	console.Frame
	Request string
	Client  string
}

// logoutPost is the end-session endpoint, by POST: as with authorize, the
// session cookie does not come with a POST from another site.
func (s *Service) logoutPost(w http.ResponseWriter, r *http.Request) error {
	form, err := web.Form(r)
	if err != nil {
		return err
	}
	query := form.Encode()
	if len(query) > maxRequest {
		return s.explain(w, r, refuse("invalid_request", "The request is too long."))
	}
	web.Redirect(w, r, pathLogout+"?"+query)
	return nil
}

// logoutConfirmed is the answer to the question.
func (s *Service) logoutConfirmed(w http.ResponseWriter, r *http.Request) error {
	form, err := web.Form(r)
	if err != nil {
		return err
	}
	who := web.Who(r)
	f, err := s.unwrap(r.Context(), form.Get("request"))
	if err != nil {
		return err
	}
	m, err := s.memory(r.Context())
	if err != nil {
		return err
	}
	v, _, ok := parseParameters(f.Query)
	if !ok {
		return errFlow
	}
	l := s.readLeave(m, v, who)
	if who.Kind == caller.User && who.Cookie {
		if f.Session != who.Session {
			return errFlow
		}
		if err := s.signOut(w, r, who, l); err != nil {
			return err
		}
	}
	return s.left(w, r, l)
}

// signOut ends the session of the browser. The entry is that of the session's
// end; it names the client that asked.
func (s *Service) signOut(w http.ResponseWriter, r *http.Request, who caller.Caller, l leave) error {
	if l.client != nil {
		who.Client = l.client.ID
	}
	if err := s.Facts.SignOut(w, r, who); err != nil {
		return err
	}
	// Not "cookies": the choice of language may stay (ASVS 14.3.1).
	w.Header().Set("Clear-Site-Data", `"cache", "storage"`)
	return nil
}

// left goes where the client registered, or says that the person is signed out.
func (s *Service) left(w http.ResponseWriter, r *http.Request, l leave) error {
	if l.uri != "" {
		w.Header().Set("Location", l.target())
		w.WriteHeader(http.StatusSeeOther)
		return nil
	}
	return s.Console.Render(w, r, http.StatusOK, views.Get("signed-out"), signOutView{Frame: s.Console.Frame(web.WithCaller(r, visitor(r)), "provider.signed-out.title", console.Auth("signed-out"))})
}

// visitor is the caller of the page that follows a sign-out.
func visitor(r *http.Request) caller.Caller {
	who := web.Who(r)
	return caller.Caller{Source: who.Source, Device: who.Device, Request: who.Request, Lang: who.Lang}
}
