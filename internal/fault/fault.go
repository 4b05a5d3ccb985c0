// Package fault has the kinds of error that people and clients may see.
//
// An error made here carries a kind, which decides the HTTP status, and a
// message key, which the catalogues turn into a sentence in the reader's
// language. The cause is for the process log and is never shown. Any error
// that is not a fault is internal: it shows nothing but a request id.
package fault

import (
	"errors"
	"fmt"
	"time"
)

// Kind is what sort of refusal an error is.
type Kind uint8

// The kinds. Internal is the kind of every error that is not a fault.
const (
	Internal     Kind = iota
	Invalid           // the request is wrong: 400, or 422 for a form
	Unknown           // nobody is authenticated: 401
	Denied            // she may not: 403
	StepUp            // she may after proving herself again: 403, code step_up_required
	NotFound          // there is none, or it is another organization's: 404
	Conflict          // the state forbids it: 409
	Precondition      // If-Match does not hold: 412
	TooLarge          // the body is too large: 413
	Throttled         // too many requests: 429
	Unavailable       // a dependency is away: 503
)

var names = [...]string{"internal", "invalid", "unauthenticated", "denied", "step_up_required", "not_found", "conflict", "precondition_failed", "too_large", "throttled", "unavailable"}
var statuses = [...]int{500, 400, 401, 403, 403, 404, 409, 412, 413, 429, 503}

// String is the code of problem details (RFC 9457) for errors without a more precise one.
func (k Kind) String() string { return names[k] }

// Status is the HTTP status code of the kind.
func (k Kind) Status() int { return statuses[k] }

// Field says what is wrong with one member of the request.
type Field struct {
	Pointer string `json:"pointer"` // JSON pointer (RFC 6901) into the request body, or the form field's name
	Code    string `json:"code"`    // message key of the sentence
	Args    Args   `json:"-"`
}

// Args are the named values of a message.
type Args map[string]any

// Error is a fault.
type Error struct {
	Kind   Kind
	Key    string // message key
	Args   Args
	Fields []Field
	Retry  time.Duration // for Throttled and Unavailable: when to come back; 0 is not said
	cause  error
}

// New makes a fault; cause may be nil and is never shown to people.
func New(kind Kind, key string, cause error) *Error {
	return &Error{Kind: kind, Key: key, cause: cause}
}

// With adds the named values of the message, as pairs of name and value.
func (e *Error) With(pairs ...any) *Error {
	c := *e
	c.Args = Args{}
	for i := 0; i+1 < len(pairs); i += 2 {
		c.Args[pairs[i].(string)] = pairs[i+1]
	}
	return &c
}

// After says when trying again makes sense.
func (e *Error) After(d time.Duration) *Error {
	c := *e
	c.Retry = d
	return &c
}

// At adds what is wrong with one member of the request. Its sentence has the
// named values that With has given before.
func (e *Error) At(pointer, code string) *Error {
	c := *e
	c.Fields = append(append([]Field(nil), e.Fields...), Field{Pointer: pointer, Code: code, Args: e.Args})
	return &c
}

func (e *Error) Error() string {
	if e.cause != nil {
		return fmt.Sprintf("%s: %s: %v", e.Kind, e.Key, e.cause)
	}
	return fmt.Sprintf("%s: %s", e.Kind, e.Key)
}

func (e *Error) Unwrap() error { return e.cause }

// Is reports whether target is a fault of the same kind and key.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Kind == e.Kind && (t.Key == "" || t.Key == e.Key)
}

// Of gives the fault in err's chain, or nil when err is internal.
func Of(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return nil
}

// KindOf gives the kind of err: Internal when it is no fault.
func KindOf(err error) Kind {
	if e := Of(err); e != nil {
		return e.Kind
	}
	return Internal
}

// ErrNotFound is the answer for what does not exist and for what belongs to
// another organization: the two cannot be told apart.
var ErrNotFound = New(NotFound, "web.error.not-found", nil)

// ErrDenied is the plain refusal of a permission.
var ErrDenied = New(Denied, "web.error.denied", nil)

// ErrStepUp asks for a fresh proof of the authenticators.
var ErrStepUp = New(StepUp, "web.error.step-up", nil)
