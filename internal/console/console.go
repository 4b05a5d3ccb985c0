// Package console is the face of the product: the frame that every page
// stands in, its navigation, the components pages are made of, the styles,
// fonts, icons and scripts, and the pages that belong to no capability
// (landing, errors, command palette, API reference, preferences).
//
// A capability embeds its own pages and renders them in a frame:
//
//	//go:embed pages/*.html
//	var pages embed.FS
//	var views = console.MustParse(pages, "pages/*.html")
//
//	type ipRulesView struct {
//		console.Frame
//		Rules []Rule
//	}
//
//	func (s *Service) ipRulesPage(w http.ResponseWriter, r *http.Request) error {
//		...
//		return s.Console.Render(w, r, 200, views.Get("ip-rules"), ipRulesView{
//			Frame: s.Console.Frame(r, "policy.ip.title", console.InOrg("ip-rules")), Rules: rules})
//	}
//
// A page file defines the block "content"; the layouts and components in
// parts/ are there to be called (see parts/components.html for each with its
// arguments). Everything works without script; script adds comfort.
//
// The package imports no capability and decides nothing: who may see what is
// said by Shell, which app fills.
package console

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/clock"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/i18n"
	"github.com/rempart/rempart/internal/web"
)

//go:embed parts/*.html pages/*.html messages/*.json
var files embed.FS

// Console renders pages. app fills its fields once.
type Console struct {
	Bundle     *i18n.Bundle
	Now        clock.Now
	Log        *slog.Logger
	BaseURL    *url.URL
	Product    string                  // the name in headings and mails; "" is Rempart
	Navigation []capability.Navigation // of all manifests
	Routes     []web.Route             // of all manifests, for the API reference; may be set last

	// Shell says what the frame shows of the signed-in caller. It is not
	// called for visitors. May be nil: pages then have no person and no
	// navigation.
	Shell func(ctx context.Context, who caller.Caller) (Shell, error)

	// SignIn is the path that a visitor is sent to who asks for a page that
	// needs a session; it carries the way back.
	SignIn func(r *http.Request) string

	// StepUp is the path that proves the person again and comes back.
	StepUp func(r *http.Request) string

	// Find gives further results of the command palette. May be nil.
	Find func(ctx context.Context, who caller.Caller, q string) []Link

	apiDoc apiDoc
}

// Shell is what the frame shows of the signed-in caller.
type Shell struct {
	Person  Person
	Org     *Org                   // the organization in force
	Orgs    []Org                  // those she may switch to
	Staff   bool                   // shows the way to the staff side
	Allowed func(perm string) bool // nil: everything is shown
}

// Person is who is signed in.
type Person struct{ Name, Email string }

// Initials are at most two letters of the person's name or address.
func (p Person) Initials() string {
	name := p.Name
	if name == "" {
		name, _, _ = strings.Cut(p.Email, "@")
	}
	var out []rune
	for _, w := range strings.FieldsFunc(name, func(r rune) bool { return r == ' ' || r == '.' || r == '-' || r == '_' }) {
		if len(out) < 2 {
			out = append(out, []rune(strings.ToUpper(w))[0])
		}
	}
	return string(out)
}

// Org is an organization as the frame names it.
type Org struct{ ID, Slug, Name string }

// Link is a result of the command palette.
type Link struct{ Label, Path, Hint, Icon string }

// Manifest is what this package adds to the registry.
func (c *Console) Manifest() capability.Manifest {
	return capability.Manifest{Name: "console", Routes: c.routes(), Messages: Messages()}
}

// Messages are the texts of this package, for i18n.Load under the name "console".
func Messages() fs.FS {
	sub, err := fs.Sub(files, "messages")
	if err != nil {
		panic(err) // the folder is embedded
	}
	return sub
}

// framed is implemented by every view that embeds a Frame.
type framed interface{ frame() Frame }

// Render answers the page. view embeds Frame, by value or pointer. A request
// of htmx for a part gets the block "content" of the same page.
func (c *Console) Render(w http.ResponseWriter, r *http.Request, status int, t *Template, view any) error {
	v, ok := view.(framed)
	if !ok {
		return fmt.Errorf("console: view %T of page %s does not embed Frame", view, t.Name)
	}
	f := v.frame()
	block := "layout-" + f.Layout
	if Partial(r) {
		block = "partial"
	}
	var out bytes.Buffer
	if err := t.tmpl.ExecuteTemplate(&out, block, view); err != nil {
		return fmt.Errorf("console: page %s: %w", t.Name, err)
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", f.Lang)
	h.Add("Vary", "HX-Request, Accept-Language, Cookie")
	h.Set("Content-Length", strconv.Itoa(out.Len()))
	w.WriteHeader(status)
	w.Write(out.Bytes()) // a peer that has gone is nobody to tell
	return nil
}

// Partial reports whether htmx asks for a part of the page only.
func Partial(r *http.Request) bool {
	return r.Header.Get("HX-Request") == "true" && r.Header.Get("HX-Request-Type") != "full" &&
		r.Header.Get("HX-History-Restore-Request") != "true"
}

type errorView struct {
	Frame
	Status  int
	Detail  string
	Request string
	Retry   string
	Back    string
	Action  string // path of the one thing to do, "" if none
	Label   string
}

// The statuses that have words of their own; others speak as the nearest.
var spoken = map[int]int{400: 400, 401: 401, 403: 403, 404: 404, 409: 409, 421: 421, 429: 429, 500: 500, 503: 503,
	405: 400, 412: 409, 413: 400, 414: 400, 415: 400, 422: 400}

// RenderError is web.Server.RenderError: the page form of an error. A visitor
// who asked for a page is sent to sign in; who must prove herself again, to
// that.
func (c *Console) RenderError(w http.ResponseWriter, r *http.Request, who caller.Caller, err error) {
	kind := fault.KindOf(err)
	if r.Method == http.MethodGet && !Partial(r) {
		if kind == fault.Unknown && c.SignIn != nil {
			web.Redirect(w, r, c.SignIn(r))
			return
		}
		if kind == fault.StepUp && c.StepUp != nil {
			web.Redirect(w, r, c.StepUp(r))
			return
		}
	}
	status := web.StatusOf(err)
	words := spoken[status]
	if words == 0 {
		words = 500
	}
	v := errorView{Status: words, Request: who.Request.String(), Back: "/"}
	v.Frame = c.bare(r, who)
	v.Title, v.Layout, v.Page = v.errorText(words, "title"), "error", "error"
	v.Frame.Status = status
	if f := fault.Of(err); f != nil && f.Kind != fault.Internal && !strings.HasPrefix(f.Key, "web.error.") {
		v.Detail = c.Bundle.T(who.Lang, f.Key, web.ArgsOf(err))
	}
	if d := web.Retry(err); d > 0 {
		v.Retry = c.Bundle.Duration(who.Lang, d)
	}
	switch {
	case kind == fault.Unknown && c.SignIn != nil:
		v.Action, v.Label = c.SignIn(r), v.T("console.error.sign-in")
	case kind == fault.StepUp && c.StepUp != nil:
		v.Action, v.Label = c.StepUp(r), v.T("console.error.step-up")
	}
	if rerr := c.Render(w, r, status, own.Get("error"), &v); rerr != nil {
		c.Log.ErrorContext(r.Context(), "error page", "error", errors.Join(rerr, err), "request", who.Request.String())
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(status)
		fmt.Fprintln(w, http.StatusText(status), who.Request.String())
	}
}

// errorText is one text of the error page. The keys are spelled out so that
// they can be found.
func (v *errorView) errorText(status int, part string) string {
	keys := map[string]string{
		"400title": "console.error.400.title", "400why": "console.error.400.why", "400do": "console.error.400.do",
		"401title": "console.error.401.title", "401why": "console.error.401.why", "401do": "console.error.401.do",
		"403title": "console.error.403.title", "403why": "console.error.403.why", "403do": "console.error.403.do",
		"404title": "console.error.404.title", "404why": "console.error.404.why", "404do": "console.error.404.do",
		"409title": "console.error.409.title", "409why": "console.error.409.why", "409do": "console.error.409.do",
		"421title": "console.error.421.title", "421why": "console.error.421.why", "421do": "console.error.421.do",
		"429title": "console.error.429.title", "429why": "console.error.429.why", "429do": "console.error.429.do",
		"500title": "console.error.500.title", "500why": "console.error.500.why", "500do": "console.error.500.do",
		"503title": "console.error.503.title", "503why": "console.error.503.why", "503do": "console.error.503.do",
	}
	return v.T(keys[strconv.Itoa(status)+part])
}

// Why says why the error page is shown.
func (v *errorView) Why() string { return v.errorText(v.Status, "why") }

// Do says what the reader can do about it.
func (v *errorView) Do() string { return v.errorText(v.Status, "do") }
