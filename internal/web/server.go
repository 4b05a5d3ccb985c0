package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"runtime/debug"
	"strings"
	"time"

	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/clock"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
)

// Server is the path of every request. app fills its fields once; they do not
// change while it serves.
type Server struct {
	BaseURL        *url.URL       // of the installation: the one Host that is answered
	TrustedProxies []netip.Prefix // peers whose X-Forwarded-For is believed
	Routes         []Route        // the registry
	Log            *slog.Logger
	Now            clock.Now
	Timeout        time.Duration // of a handler; 0 is 30 s

	// T is the text of a key (i18n.Bundle.T); problems are in the reader's language.
	T func(lang, key string, args ...any) string

	// Authenticate finds who asks. who comes with Source, Device, Request and
	// Lang; a visitor goes back when nothing is presented, an error for a bad
	// credential. It is not called for routes with the permission capability.Token.
	Authenticate func(ctx context.Context, r *http.Request, who caller.Caller) (caller.Caller, error)

	// Gate finds the organization from the path and decides: alive, policy,
	// permission, step-up. It gives who back with Org set.
	Gate func(ctx context.Context, r *http.Request, who caller.Caller, route *Route) (caller.Caller, error)

	// Refused is told of what the path itself refused once the route was
	// known: cross-origin, Authenticate, Gate. May be nil.
	Refused func(ctx context.Context, who caller.Caller, route *Route, err error)

	// RenderError writes the page form of an error, with the status of
	// StatusOf. Nil, or outside of pages: a problem.
	RenderError func(w http.ResponseWriter, r *http.Request, who caller.Caller, err error)

	// RateLimit says whether the source may ask now, and when it may again.
	// who has no more than Authenticate gets. May be nil.
	RateLimit func(r *http.Request, who caller.Caller) (retry time.Duration, ok bool)

	// Replay answers a repeated POST of the API with what the first one was
	// answered, and carries others out by serve. Nil: all are carried out.
	Replay func(w http.ResponseWriter, r *http.Request, who caller.Caller, serve func(http.ResponseWriter, *http.Request) error) error

	// Observe is told of each answer: the route's pattern ("" if none met),
	// the status and the time it took. May be nil.
	Observe func(pattern, method string, status int, took time.Duration)

	mux    *http.ServeMux
	routes map[string]*Route // by pattern
	cross  *http.CrossOriginProtection
	host   string
}

// Handler checks every route and mounts them. The error names each that may
// not be served: a permission is declared, a pattern is unique, a route that
// changes something says which entry it leaves.
func (s *Server) Handler() (http.Handler, error) {
	var faults []error
	bad := func(format string, args ...any) { faults = append(faults, fmt.Errorf("web: "+format, args...)) }
	if s.BaseURL == nil || s.BaseURL.Host == "" || s.BaseURL.Path != "" && s.BaseURL.Path != "/" {
		bad("base URL must have a host and no path")
		return nil, errors.Join(faults...)
	}
	if s.Authenticate == nil || s.Gate == nil || s.Log == nil || s.Now == nil || s.T == nil {
		bad("Authenticate, Gate, Log, Now and T must be set")
	}
	s.mux, s.routes = http.NewServeMux(), map[string]*Route{}
	s.cross = http.NewCrossOriginProtection()
	if err := s.cross.AddTrustedOrigin(s.BaseURL.Scheme + "://" + s.BaseURL.Host); err != nil {
		bad("base URL: %w", err)
	}
	s.host = canonical(s.BaseURL.Scheme, s.BaseURL.Host)
	for i := range s.Routes {
		r := &s.Routes[i]
		method, p := split(r.Pattern)
		switch {
		case method == "" || !strings.HasPrefix(p, "/"):
			bad("route %q: the pattern is not a method and a path", r.Pattern)
			continue
		case s.routes[r.Pattern] != nil:
			bad("route %q is there twice", r.Pattern)
			continue
		case r.Permission == "":
			bad("route %q declares no permission", r.Pattern)
		case r.Serve == nil:
			bad("route %q has no handler", r.Pattern)
		case mutating(method) && r.Event == "" && r.Entry == "":
			bad("route %q may change something and says neither its event nor why it leaves no entry", r.Pattern)
		case strings.HasPrefix(r.Cache, "public") && r.Permission != capability.Public:
			bad("route %q is not public, yet shared caches may keep it", r.Pattern)
		case r.CORS && r.Page:
			bad("route %q is a page and open to script of any origin", r.Pattern)
		}
		if err := s.mount(r); err != nil {
			faults = append(faults, err)
		}
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return http.HandlerFunc(s.serve), nil
}

// mount adds the route to the mux, which panics on patterns that conflict.
func (s *Server) mount(r *Route) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("web: route %q: %v", r.Pattern, v)
		}
	}()
	s.mux.HandleFunc(r.Pattern, func(w http.ResponseWriter, req *http.Request) { s.dispatch(w, req, r) })
	s.routes[r.Pattern] = r
	return nil
}

// serve is the path down to the route; dispatch is the rest. The order is the
// one that docs/architecture.md draws.
func (s *Server) serve(rw http.ResponseWriter, r *http.Request) {
	begun := s.Now()
	w := &recorder{ResponseWriter: rw}
	st := &state{server: s}
	ctx := context.WithValue(r.Context(), stateKey{}, st)
	r = r.WithContext(ctx)
	defer func() { // recover
		if v := recover(); v != nil {
			if v == http.ErrAbortHandler {
				panic(v)
			}
			s.Log.ErrorContext(ctx, "panic", "request", st.who.Request.String(), "method", r.Method, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			if w.status != 0 {
				panic(http.ErrAbortHandler) // half an answer must not look like a whole one
			}
			s.fail(w, r, errPanic)
		}
		s.observe(st, r, w, s.Now().Sub(begun))
	}()

	st.who.Request = id.NewRequest(begun)               // request id
	st.who.Source = clientAddr(r, s.TrustedProxies)     // real IP
	st.who.Device, st.who.Lang = device(r), Language(r) //
	st.prefs = ReadPrefs(r)                             //
	w.Header().Set("X-Request-Id", st.who.Request.String())
	if len(r.RequestURI) > maxURL { // size and time limits
		s.fail(w, r, errURITooLong)
		return
	}
	if s.RateLimit != nil { // rate limit
		if retry, ok := s.RateLimit(r, st.who); !ok {
			s.fail(w, r, fault.New(fault.Throttled, "web.error.throttled", nil).After(retry))
			return
		}
	}
	route, found := s.find(r)
	st.route = route
	limited, cancel := context.WithTimeout(ctx, s.timeout(w, route))
	defer cancel()
	r = r.WithContext(limited)
	s.limitBody(w, r, route)
	s.secure(w, route)                                 // security headers
	if canonical(s.BaseURL.Scheme, r.Host) != s.host { // host check
		st.route = nil
		s.fail(w, r, errMisdirected)
		return
	}
	if err := s.crossOrigin(r, route); err != nil { // cross-origin check
		s.refuse(w, r, err)
		return
	}
	if route == nil { // route
		if !s.preflight(w, r) {
			s.fail(w, r, found)
		}
		return
	}
	s.mux.ServeHTTP(w, r)
}

// dispatch authenticates, asks the gate and calls the handler.
func (s *Server) dispatch(w http.ResponseWriter, r *http.Request, route *Route) {
	st := stateOf(r.Context())
	// What shared caches may keep is the same for everybody: nobody is asked
	// who she is for a style sheet or the public keys.
	shared := route.Permission == capability.Public && strings.HasPrefix(route.Cache, "public")
	if route.Permission != capability.Token && !shared {
		who, err := s.Authenticate(r.Context(), r, st.who)
		if err != nil {
			s.refuse(w, r, err)
			return
		}
		st.who = who
		who, err = s.Gate(r.Context(), r, st.who, route)
		if err != nil {
			s.refuse(w, r, err)
			return
		}
		st.who = who
	}
	if err := s.call(w, r, route); err != nil {
		if rec, ok := w.(*recorder); ok && rec.status != 0 {
			s.Log.ErrorContext(r.Context(), "error after the answer began", "request", st.who.Request.String(), "route", route.Pattern, "error", err)
			panic(http.ErrAbortHandler)
		}
		s.fail(w, r, err)
	}
}

// call runs the handler, once for repeated requests.
func (s *Server) call(w http.ResponseWriter, r *http.Request, route *Route) error {
	if s.Replay != nil && route.In != nil && r.Method == http.MethodPost {
		return s.Replay(w, r, stateOf(r.Context()).who, route.Serve)
	}
	return route.Serve(w, r)
}

func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	st := stateOf(r.Context())
	if s.Refused != nil && st.route != nil {
		s.Refused(r.Context(), st.who, st.route, err)
	}
	s.fail(w, r, err)
}

// find is the route of the request, or the error for there being none.
func (s *Server) find(r *http.Request) (*Route, error) {
	p := r.URL.Path
	if clean := path.Clean(p); p == "" || p != clean && p != clean+"/" || strings.ContainsRune(p, 0) {
		return nil, fault.ErrNotFound // ServeMux would redirect; nobody who asks so is owed an answer
	}
	h, pattern := s.mux.Handler(r)
	if route := s.routes[pattern]; route != nil {
		return route, nil
	}
	// ServeMux tells an unknown path from a wrong method only by answering.
	var probe probe
	h.ServeHTTP(&probe, r)
	if probe.status == http.StatusMethodNotAllowed {
		return nil, &httpError{status: probe.status, allow: probe.Header().Get("Allow"), err: errMethod}
	}
	return nil, fault.ErrNotFound
}

// crossOrigin refuses what another site's page makes a browser send. Exempt
// are routes that no cookie authenticates: those open to any origin, endpoints
// that authenticate their clients themselves, and calls with a bearer token,
// which script of another origin cannot send without our consent.
func (s *Server) crossOrigin(r *http.Request, route *Route) error {
	if route != nil && (route.CORS || route.Permission == capability.Token) || Bearer(r) {
		return nil
	}
	if err := s.cross.Check(r); err != nil {
		return fault.New(fault.Denied, "web.error.cross-origin", err)
	}
	return nil
}

// Bearer reports whether the request presents a bearer or DPoP token. The
// session cookie is not looked at then.
func Bearer(r *http.Request) bool {
	scheme, _, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	return ok && (strings.EqualFold(scheme, "Bearer") || strings.EqualFold(scheme, "DPoP"))
}

// preflight answers the browser's question whether script of another origin
// may call a route, for those that it may.
func (s *Server) preflight(w http.ResponseWriter, r *http.Request) bool {
	method := r.Header.Get("Access-Control-Request-Method")
	if r.Method != http.MethodOptions || method == "" || r.Header.Get("Origin") == "" {
		return false
	}
	asked := r.Clone(r.Context())
	asked.Method = method
	route, _ := s.find(asked)
	if route == nil || !route.CORS {
		return false
	}
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Methods", method)
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, DPoP")
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
	return true
}

func (s *Server) limitBody(w http.ResponseWriter, r *http.Request, route *Route) {
	limit := int64(defaultBody)
	if route != nil && route.MaxBody > 0 {
		limit = route.MaxBody
	}
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = http.MaxBytesReader(w, r.Body, limit)
	}
}

// timeout is the time that the handler may take. One that takes longer than the
// connection is given to answer has its deadline moved.
func (s *Server) timeout(w http.ResponseWriter, route *Route) time.Duration {
	if route != nil && route.MaxTime > 0 {
		if route.MaxTime > writeTime {
			// A writer without deadlines, as in tests, has none to move.
			_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(route.MaxTime + writeTime))
		}
		return route.MaxTime
	}
	if s.Timeout > 0 {
		return s.Timeout
	}
	return requestTime
}

func (s *Server) observe(st *state, r *http.Request, w *recorder, took time.Duration) {
	pattern := ""
	if st.route != nil {
		pattern = st.route.Pattern
	}
	status := w.status
	if status == 0 {
		status = http.StatusOK
	}
	if s.Observe != nil {
		s.Observe(pattern, r.Method, status, took)
	}
	// The target is left out: a path may hold a code, and the pattern says enough.
	s.Log.DebugContext(r.Context(), "request", "request", st.who.Request.String(), "method", r.Method, "route", pattern,
		"status", status, "took", took, "bytes", w.bytes)
}

// recorder remembers whether an answer has begun. Headers of informational
// answers do not count.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// probe is an answer that goes nowhere.
type probe struct {
	header http.Header
	status int
}

func (p *probe) Header() http.Header {
	if p.header == nil {
		p.header = http.Header{}
	}
	return p.header
}
func (p *probe) Write(b []byte) (int, error) { return len(b), nil }
func (p *probe) WriteHeader(status int)      { p.status = status }
