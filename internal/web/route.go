// Package web is the path of a request: from the listener, past every guard,
// to the one handler that a route of the registry names, and back as JSON, a
// problem or a page.
//
// Routes are values: JSON, Page and Protocol make them, manifests hold them,
// Server mounts them. A handler writes nothing when it returns an error;
// Server renders every error once, as problem details (RFC 9457) for programs
// and through RenderError for people.
//
//	web.JSON("POST /api/v1/orgs/{org}/ip-rules", "policy.write", s.addIPRule,
//		web.Event("policy.ip_rule.added"), web.Summary("Add an allowed network."))
//
// The input of a JSON route is a struct: fields tagged `path:"org"`,
// `query:"limit"` and `header:"If-Match"` are read from there, fields with a
// json tag form the body. Its schema, the validation and the API reference all
// come from that one type; what it does not name is refused.
//
// The package knows nobody and decides nothing: Authenticate, Gate, RateLimit
// and Refused are function fields that app fills. It owns no table.
package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/web/input"
)

// Route is one entry of the registry of routes.
type Route = capability.Route

// Option changes a route as it is made.
type Option func(*Route)

// Event names the kind of the entry of origin that success leaves in the log.
func Event(kind string) Option { return func(r *Route) { r.Event = kind } }

// NoEntry says why a route that is not a read leaves no entry of its own.
func NoEntry(reason string) Option { return func(r *Route) { r.Entry = reason } }

// Status is the status code of success; without it 200.
func Status(code int) Option { return func(r *Route) { r.Status = code } }

// Summary is one English sentence for the API reference.
func Summary(text string) Option { return func(r *Route) { r.Summary = text } }

// StepUp asks for a fresh proof of the authenticators, whatever the permission says.
func StepUp() Option { return func(r *Route) { r.StepUp = true } }

// Session names the strength of the session that the route may create.
func Session(strength string) Option { return func(r *Route) { r.Session = strength } }

// MaxBody bounds the body, in bytes.
func MaxBody(n int64) Option { return func(r *Route) { r.MaxBody = n } }

// MaxTime bounds the time of the handler, for exports that take longer than
// others.
func MaxTime(d time.Duration) Option { return func(r *Route) { r.MaxTime = d } }

// CORS lets script of any origin call the route, without credentials.
func CORS() Option { return func(r *Route) { r.CORS = true } }

// Cache is the Cache-Control of a successful answer; without it no-store.
func Cache(v string) Option { return func(r *Route) { r.Cache = v } }

// Page makes a route that answers HTML. Refusals are pages too.
func Page(pattern, perm string, fn func(w http.ResponseWriter, r *http.Request) error, opts ...Option) Route {
	r := Route{Pattern: pattern, Permission: perm, Serve: fn, Page: true}
	for _, o := range opts {
		o(&r)
	}
	return r
}

// Protocol makes a route whose answers a standard prescribes: OAuth endpoints,
// discovery documents, assets. With the permission capability.Token the route
// authenticates its caller itself, and is exempt from the cross-origin check
// and the gate; it may ask Identify for the browser session.
func Protocol(pattern, perm string, fn func(w http.ResponseWriter, r *http.Request) error, opts ...Option) Route {
	r := Route{Pattern: pattern, Permission: perm, Serve: fn}
	for _, o := range opts {
		o(&r)
	}
	return r
}

// JSON makes a route of the API. I is the input struct (see the package doc),
// O is answered as JSON; a nil *O, or O without fields, is answered as 204.
// It panics when I cannot be an input: that is a mistake of the programmer
// and shows at start.
func JSON[I, O any](pattern, perm string, fn func(ctx context.Context, who caller.Caller, in *I) (*O, error), opts ...Option) Route {
	in, out := reflect.TypeFor[I](), reflect.TypeFor[O]()
	r := Route{Pattern: pattern, Permission: perm, In: in, Out: out}
	for _, o := range opts {
		o(&r)
	}
	bind, err := input.New(pattern, in)
	if err != nil {
		panic(fmt.Sprintf("web: route %q: %v", pattern, err))
	}
	status := r.Status
	r.Serve = func(w http.ResponseWriter, req *http.Request) error {
		var v I
		if err := bind.Decode(req, reflect.ValueOf(&v).Elem()); err != nil {
			return err
		}
		o, err := fn(req.Context(), Who(req), &v)
		if err != nil {
			return err
		}
		if o == nil || status == http.StatusNoContent || out.Kind() == reflect.Struct && out.NumField() == 0 {
			w.WriteHeader(http.StatusNoContent)
			return nil
		}
		return WriteJSON(w, status, o)
	}
	return r
}

// Tagged is implemented by answers that have an entity tag (RFC 9110 section
// 8.8.3); JSON routes send it.
type Tagged interface{ ETag() string }

// Located is implemented by answers that name where the new thing is; JSON
// routes send it as Location.
type Located interface{ Location() string }

// WriteJSON answers v with the status (0 is 200).
func WriteJSON(w http.ResponseWriter, status int, v any) error {
	if status == 0 {
		status = http.StatusOK
	}
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("web: encode answer: %w", err)
	}
	if t, ok := v.(Tagged); ok {
		w.Header().Set("ETag", t.ETag())
	}
	if l, ok := v.(Located); ok {
		w.Header().Set("Location", l.Location())
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if _, err := w.Write(append(body, '\n')); err != nil {
		return nil // the peer has gone; the status is sent and there is nobody to tell
	}
	return nil
}

// List is a page of things.
type List[T any] struct {
	Items      []T    `json:"items"`
	NextCursor string `json:"next_cursor,omitempty" doc:"Give it as cursor to read on; absent on the last page."`
}

// PageQuery is embedded in the input of a route that answers a List.
type PageQuery struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"200" doc:"Items a page; 50 when not given."`
	Cursor string `query:"cursor" maxLength:"1024" doc:"Where to read on: next_cursor of the page before."`
}

// Size is the number of items asked for.
func (p PageQuery) Size() int {
	if p.Limit <= 0 {
		return DefaultPage
	}
	return min(p.Limit, MaxPage)
}

// NewList makes a List whose Items marshal as an array even when there are none.
func NewList[T any](items []T, next string) *List[T] {
	if items == nil {
		items = []T{}
	}
	return &List[T]{Items: items, NextCursor: next}
}

// split cuts a pattern into method and path.
func split(pattern string) (method, path string) {
	method, path, ok := strings.Cut(pattern, " ")
	if !ok {
		return "", pattern
	}
	return method, strings.TrimSpace(path)
}

// mutating reports whether the route's method may change something.
func mutating(method string) bool {
	return method != http.MethodGet && method != http.MethodHead && method != http.MethodOptions
}
