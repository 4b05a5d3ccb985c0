package web

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"

	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/i18n"
	"github.com/rempart/rempart/internal/web/input"
)

// state is what the path knows of one request. Only the goroutine that serves
// the request touches it.
type state struct {
	who    caller.Caller
	route  *Route
	server *Server
	prefs  Prefs
}

type stateKey struct{}

func stateOf(ctx context.Context) *state {
	st, _ := ctx.Value(stateKey{}).(*state)
	return st
}

// Who is the caller of the request, as Authenticate and Gate have found; a
// visitor before that, and outside of a Server.
func Who(r *http.Request) caller.Caller {
	if st := stateOf(r.Context()); st != nil {
		return st.who
	}
	return caller.Caller{Lang: i18n.Languages[0]}
}

// RouteOf is the route that the request met, or nil.
func RouteOf(r *http.Request) *Route {
	if st := stateOf(r.Context()); st != nil {
		return st.route
	}
	return nil
}

// Identify asks Authenticate for the caller: for routes with the permission
// capability.Token, which the path does not authenticate, and which want to
// know the browser session all the same. Who answers with it from then on.
func Identify(r *http.Request) (caller.Caller, error) {
	st := stateOf(r.Context())
	if st == nil {
		return caller.Caller{}, errors.New("web: request does not come through a server")
	}
	who, err := st.server.Authenticate(r.Context(), r, st.who)
	if err != nil {
		return st.who, err
	}
	st.who = who
	return who, nil
}

// WithCaller gives the request the caller, as a Server does: for tests of
// handlers and for pages that are rendered outside of one.
func WithCaller(r *http.Request, who caller.Caller) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), stateKey{}, &state{who: who, prefs: ReadPrefs(r)}))
}

// Redirect sends the browser to a path of our own origin with 303, so that a
// POST never repeats its body there (RFC 9700 section 4.12). Anything but a
// path leads to the root: there is no open redirect.
func Redirect(w http.ResponseWriter, r *http.Request, path string) {
	w.Header().Set("Location", LocalPath(path))
	w.WriteHeader(http.StatusSeeOther)
}

// LocalPath gives path back when it is one of our own origin, with query and
// fragment, and "/" when a browser could read it as another origin's.
func LocalPath(path string) string {
	if len(path) == 0 || len(path) > maxURL || path[0] != '/' || len(path) > 1 && (path[1] == '/' || path[1] == '\\') {
		return "/"
	}
	for _, c := range []byte(path) {
		// Browsers drop tabs and line ends within an URL and read "\" as "/".
		if c <= ' ' || c == '\\' || c >= 0x7f {
			return "/"
		}
	}
	u, err := url.Parse(path)
	if err != nil || u.Host != "" || u.Scheme != "" || u.User != nil {
		return "/"
	}
	return path
}

// Prefs are what a browser keeps in the cookie __Host-rempart_prefs: no
// secret, nothing that decides.
type Prefs struct {
	Lang  string // "", "en", "fr" or "nl"
	Theme string // "" (as the system), "light" or "dark"
}

const prefsCookie = "__Host-rempart_prefs"

// ReadPrefs reads the cookie; what it does not know is left out.
func ReadPrefs(r *http.Request) Prefs {
	var p Prefs
	c, err := r.Cookie(prefsCookie)
	if err != nil || len(c.Value) > 64 {
		return p
	}
	v, err := url.ParseQuery(c.Value)
	if err != nil {
		return p
	}
	for _, l := range i18n.Languages {
		if v.Get("lang") == l {
			p.Lang = l
		}
	}
	if t := v.Get("theme"); t == "light" || t == "dark" {
		p.Theme = t
	}
	return p
}

// WritePrefs sets the cookie for a year.
func WritePrefs(w http.ResponseWriter, p Prefs) {
	v := url.Values{}
	if p.Lang != "" {
		v.Set("lang", p.Lang)
	}
	if p.Theme != "" {
		v.Set("theme", p.Theme)
	}
	http.SetCookie(w, &http.Cookie{
		Name: prefsCookie, Value: v.Encode(), Path: "/", MaxAge: 365 * 24 * 3600,
		Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// Language is the language of the answer: what the browser chose, else what
// it asks for.
func Language(r *http.Request) string {
	if p := ReadPrefs(r); p.Lang != "" {
		return p.Lang
	}
	return i18n.Match(r.Header.Get("Accept-Language"))
}

// Form reads the fields of a posted form. The error is a fault: another media
// type, too large, or malformed.
func Form(r *http.Request) (url.Values, error) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/x-www-form-urlencoded" {
		return nil, errMediaTypeForm
	}
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, input.BodyError(err)
	}
	if bytes.Count(raw, []byte("&")) > maxFields {
		return nil, fault.New(fault.Invalid, "web.error.too-deep", nil)
	}
	v, err := url.ParseQuery(string(raw))
	if err != nil {
		return nil, fault.New(fault.Invalid, "web.error.invalid", err)
	}
	return v, nil
}
