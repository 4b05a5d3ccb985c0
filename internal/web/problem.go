package web

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/web/input"
)

// httpError is an error that HTTP itself has a status for.
type httpError struct {
	status int
	allow  string // of 405
	err    *fault.Error
}

func (e *httpError) Error() string { return e.err.Error() }
func (e *httpError) Unwrap() error { return e.err }

var (
	errMethod        = fault.New(fault.Invalid, "web.error.method", nil)
	errPanic         = errors.New("web: handler panicked")
	errMediaTypeForm = &httpError{status: http.StatusUnsupportedMediaType, err: fault.New(fault.Invalid, "web.error.media-type-form", nil)}
	errURITooLong    = &httpError{status: http.StatusRequestURITooLong, err: fault.New(fault.Invalid, "web.error.uri-too-long", nil)}

	errMisdirected = &httpError{status: http.StatusMisdirectedRequest, err: fault.New(fault.Invalid, "web.error.misdirected", nil)}
)

// StatusOf is the status that the error is answered with.
func StatusOf(err error) int {
	var h *httpError
	if errors.As(err, &h) {
		return h.status
	}
	if errors.Is(err, input.ErrMediaType) {
		return http.StatusUnsupportedMediaType
	}
	if fault.Of(err) == nil && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)) {
		return http.StatusServiceUnavailable
	}
	return fault.KindOf(err).Status()
}

// CodeOf is the code that a problem has: the kind of the fault, or its message
// key where a capability gave a more precise one.
func CodeOf(err error) string {
	var h *httpError
	if errors.As(err, &h) {
		return strings.ReplaceAll(strings.TrimPrefix(h.err.Key, "web.error."), "-", "_")
	}
	f := fault.Of(err)
	switch {
	case errors.Is(err, input.ErrMediaType):
		return "media_type"
	case f == nil && StatusOf(err) == http.StatusServiceUnavailable:
		return fault.Unavailable.String()
	case f == nil:
		return fault.Internal.String()
	case f.Kind == fault.StepUp || strings.HasPrefix(f.Key, "web.error."):
		return f.Kind.String()
	}
	return f.Key
}

// KeyOf is the message key of the sentence that people read about the error.
func KeyOf(err error) string {
	if f := fault.Of(err); f != nil && f.Kind != fault.Internal {
		return f.Key
	}
	if StatusOf(err) == http.StatusServiceUnavailable {
		return "web.error.unavailable"
	}
	return "web.error.internal"
}

// ArgsOf are the named values of the sentence of KeyOf.
func ArgsOf(err error) map[string]any {
	if f := fault.Of(err); f != nil && f.Args != nil {
		return f.Args
	}
	return map[string]any{}
}

// Problem is the body of an error (RFC 9457).
type Problem struct {
	Type    string         `json:"type" doc:"A link to what this kind of problem means."`
	Title   string         `json:"title" doc:"What kind of problem this is, in the reader's language."`
	Status  int            `json:"status" doc:"The status code of the answer."`
	Detail  string         `json:"detail" doc:"What happened here, in the reader's language."`
	Code    string         `json:"code" doc:"A name that programs may decide by. It does not change."`
	Request string         `json:"request_id" doc:"Names this request in the log."`
	Errors  []ProblemError `json:"errors,omitempty" doc:"What is wrong with each member of the request."`
}

// ProblemError is what is wrong with one member of the request.
type ProblemError struct {
	Pointer string `json:"pointer" doc:"JSON pointer into the body; ?name for the query, {name} for the path."`
	Code    string `json:"code"`
	Detail  string `json:"detail" doc:"The same in the reader's language."`
}

// programs reports whether the answer to r is for a program: errors are
// problems then, and pages otherwise.
func programs(r *http.Request, route *Route) bool {
	if route != nil {
		return !route.Page
	}
	for _, p := range []string{"/api/", "/access/", "/scim/", "/oauth/", "/.well-known/", "/health/", "/saml/", "/assets/"} {
		if strings.HasPrefix(r.URL.Path, p) || r.URL.Path == strings.TrimSuffix(p, "/") {
			return true
		}
	}
	return false
}

// fail renders the error, once: this is the only place that answers with one.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	st := stateOf(r.Context())
	status := StatusOf(err)
	if status >= 500 && !errors.Is(err, context.Canceled) && err != errPanic {
		s.Log.ErrorContext(r.Context(), "request failed", "request", st.who.Request.String(), "method", r.Method, "route", pattern(st.route), "status", status, "error", err)
	}
	h := w.Header()
	s.secure(w, nil)
	if st.route != nil && st.route.CORS {
		s.secure(w, st.route)
		h.Set("Cache-Control", "no-store")
	}
	for _, name := range []string{"ETag", "Location", "Content-Disposition", "Content-Length", "Content-Encoding", "Last-Modified"} {
		h.Del(name)
	}
	var he *httpError
	if errors.As(err, &he) && he.allow != "" {
		h.Set("Allow", he.allow)
	}
	if f := fault.Of(err); f != nil && f.Retry > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(f.Retry.Seconds()))))
	}
	if isProgram := programs(r, st.route); isProgram || s.RenderError == nil || status == http.StatusMisdirectedRequest {
		if status == http.StatusUnauthorized && h.Get("WWW-Authenticate") == "" {
			h.Set("WWW-Authenticate", `Bearer realm="rempart"`)
		}
		h.Set("Content-Security-Policy", dataPolicy)
		s.problem(w, st.who, status, err)
		return
	}
	s.RenderError(w, r, st.who, err)
}

func pattern(r *Route) string {
	if r == nil {
		return ""
	}
	return r.Pattern
}

func (s *Server) problem(w http.ResponseWriter, who caller.Caller, status int, err error) {
	body, jerr := json.Marshal(s.NewProblem(who, err))
	if jerr != nil {
		body = []byte("{}") // strings and numbers always marshal
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	w.Write(append(body, '\n'))
}

// NewProblem describes the error to a program.
func (s *Server) NewProblem(who caller.Caller, err error) Problem {
	p := Problem{
		Status: StatusOf(err), Code: CodeOf(err), Request: who.Request.String(),
	}
	p.Title = s.T(who.Lang, "web.status."+strconv.Itoa(p.Status))
	p.Detail = s.T(who.Lang, KeyOf(err), ArgsOf(err))
	kind := fault.Internal
	if f := fault.Of(err); f != nil {
		kind = f.Kind
		for _, e := range f.Fields {
			p.Errors = append(p.Errors, ProblemError{Pointer: e.Pointer, Code: e.Code, Detail: s.T(who.Lang, e.Code, map[string]any(e.Args))})
		}
	}
	p.Type = strings.TrimSuffix(s.BaseURL.String(), "/") + "/docs/api#" + kind.String()
	return p
}

// Retry is the time after which the error says to come back, 0 if it does not.
func Retry(err error) time.Duration {
	if f := fault.Of(err); f != nil {
		return f.Retry
	}
	return 0
}
