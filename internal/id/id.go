// Package id has the typed identifiers of every kind of thing Rempart names.
//
// An identifier is 128 bits, made as a UUIDv7 (RFC 9562 section 5.7): it sorts
// by time of creation and is never reused. Its text form follows TypeID: a
// prefix of the kind, an underscore and 26 characters of lower-case Crockford
// base32, as in "usr_01h455vb4pex5vsknk084sn02q". An identifier is public: it
// is never a secret and never grants anything.
//
// The package does no I/O and knows nothing of what the identifiers name.
package id

import (
	"crypto/rand"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// Kind is implemented by the marker types below; Prefix is the text form's.
type Kind interface{ Prefix() string }

// ID is one identifier of kind K. The zero value is "none": it marshals to the
// empty string, and no stored thing ever has it.
type ID[K Kind] struct{ b [16]byte }

// ErrMalformed is returned for text that is not an identifier of the kind.
var ErrMalformed = errors.New("id: malformed")

// New makes an identifier for the instant now.
func New[K Kind](now time.Time) ID[K] {
	var v ID[K]
	if _, err := rand.Read(v.b[6:]); err != nil {
		panic(err) // crypto/rand never fails on supported systems
	}
	ms := uint64(now.UnixMilli())
	binary.BigEndian.PutUint16(v.b[0:], uint16(ms>>32))
	binary.BigEndian.PutUint32(v.b[2:], uint32(ms))
	v.b[6] = v.b[6]&0x0f | 0x70
	v.b[8] = v.b[8]&0x3f | 0x80
	return v
}

// FromBytes gives the identifier whose 128 bits are b.
func FromBytes[K Kind](b [16]byte) ID[K] { return ID[K]{b} }

// Bytes gives the 128 bits.
func (v ID[K]) Bytes() [16]byte { return v.b }

// IsZero reports whether v is "none".
func (v ID[K]) IsZero() bool { return v.b == [16]byte{} }

// Time is the instant of creation, to the millisecond.
func (v ID[K]) Time() time.Time {
	ms := uint64(binary.BigEndian.Uint16(v.b[0:]))<<32 | uint64(binary.BigEndian.Uint32(v.b[2:]))
	return time.UnixMilli(int64(ms)).UTC()
}

const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"

var decode = func() (t [256]byte) {
	for i := range t {
		t[i] = 0xff
	}
	for i := range len(alphabet) {
		t[alphabet[i]] = byte(i)
	}
	return
}()

// String is the text form, or "" for none.
func (v ID[K]) String() string {
	if v.IsZero() {
		return ""
	}
	return string(v.AppendText(nil))
}

// AppendText appends the text form to dst.
func (v ID[K]) AppendText(dst []byte) []byte {
	var k K
	dst = append(dst, k.Prefix()...)
	dst = append(dst, '_')
	hi, lo := binary.BigEndian.Uint64(v.b[:8]), binary.BigEndian.Uint64(v.b[8:])
	// 128 bits are 26 digits of 5 bits with two leading zero bits.
	var out [26]byte
	for i := 25; i >= 0; i-- {
		out[i] = alphabet[lo&31]
		lo = lo>>5 | hi<<59
		hi >>= 5
	}
	return append(dst, out[:]...)
}

// Parse reads the text form of an identifier of kind K. It accepts exactly the
// one form that String gives: no upper case, no other alphabet, no white space.
func Parse[K Kind](s string) (ID[K], error) {
	var v ID[K]
	var k K
	p := k.Prefix()
	if len(s) != len(p)+27 || s[:len(p)] != p || s[len(p)] != '_' {
		return v, ErrMalformed
	}
	t := s[len(p)+1:]
	if t[0] > '7' {
		return v, ErrMalformed // more than 128 bits
	}
	var hi, lo uint64
	for i := range 26 {
		d := decode[t[i]]
		if d == 0xff {
			return v, ErrMalformed
		}
		hi = hi<<5 | lo>>59
		lo = lo<<5 | uint64(d)
	}
	binary.BigEndian.PutUint64(v.b[:8], hi)
	binary.BigEndian.PutUint64(v.b[8:], lo)
	if v.IsZero() {
		return v, ErrMalformed
	}
	return v, nil
}

// MarshalText implements encoding.TextMarshaler.
func (v ID[K]) MarshalText() ([]byte, error) {
	if v.IsZero() {
		return []byte{}, nil
	}
	return v.AppendText(nil), nil
}

// UnmarshalText implements encoding.TextUnmarshaler; empty text is none.
func (v *ID[K]) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*v = ID[K]{}
		return nil
	}
	p, err := Parse[K](string(b))
	if err != nil {
		return err
	}
	*v = p
	return nil
}

// Value stores the text form; none is NULL.
func (v ID[K]) Value() (driver.Value, error) {
	if v.IsZero() {
		return nil, nil
	}
	return v.String(), nil
}

// Scan reads what Value stored.
func (v *ID[K]) Scan(src any) error {
	switch s := src.(type) {
	case nil:
		*v = ID[K]{}
		return nil
	case string:
		return v.UnmarshalText([]byte(s))
	case []byte:
		return v.UnmarshalText(s)
	}
	return fmt.Errorf("id: scan %T: %w", src, ErrMalformed)
}
