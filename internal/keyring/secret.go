package keyring

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
)

// Secret holds bytes that must not leave the process by accident: it prints as
// a mark, refuses to be marshalled, and can't be compared with ==.
type Secret struct {
	_ [0]func() // a type with a function in it has no ==
	b []byte
}

// errSecret is what every attempt to marshal a Secret gives.
var errSecret = errors.New("keyring: a secret is not marshalled")

// NewSecret takes b over; the caller must not keep it.
func NewSecret(b []byte) Secret { return Secret{b: b} }

// Reveal gives the bytes, which stay the Secret's.
func (s Secret) Reveal() []byte { return s.b }

// IsZero reports whether there are no bytes.
func (s Secret) IsZero() bool { return len(s.b) == 0 }

// Equal compares in constant time.
func (s Secret) Equal(t Secret) bool { return subtle.ConstantTimeCompare(s.b, t.b) == 1 }

// Wipe overwrites the bytes. The runtime may have copied them before; it
// narrows the time they can be found, no more.
func (s Secret) Wipe() { clear(s.b) }

const redacted = "(secret)"

// String implements fmt.Stringer with a mark.
func (s Secret) String() string { return redacted }

// GoString implements fmt.GoStringer with a mark.
func (s Secret) GoString() string { return redacted }

// Format implements fmt.Formatter with a mark, whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue implements slog.LogValuer with a mark.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText refuses.
func (s Secret) MarshalText() ([]byte, error) { return nil, errSecret }

// MarshalJSON refuses.
func (s Secret) MarshalJSON() ([]byte, error) { return nil, errSecret }

// MarshalBinary refuses.
func (s Secret) MarshalBinary() ([]byte, error) { return nil, errSecret }

// GobEncode refuses.
func (s Secret) GobEncode() ([]byte, error) { return nil, errSecret }
