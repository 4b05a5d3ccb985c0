package tlog

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strings"
	"time"
)

// First byte of every leaf: what it is and in which version of the format.
const (
	leafEntry byte = 1 // an entry: Header, then one record a part
	leafEpoch byte = 2 // the root of an epoch tree, in the platform log only
)

// Bounds of the format. They keep a header under 1 KiB, and hostile input cheap.
const (
	MaxOrigin = 255 // bytes of an origin
	MaxKind   = 100 // bytes of an event kind
	MaxLabel  = 32  // bytes of a part label
	MaxParts  = 8   // parts of an entry
)

// maxTime is the last microsecond of the year 9999, the last year that
// RFC 3339 can write.
const maxTime = 253402300799999999

// partRecord is the size of what a leaf says of one part.
const partRecord = 16 + HashSize + HashSize

// Errors of the entry format.
var (
	// ErrHeader: a header breaks the format or one of its bounds.
	ErrHeader = errors.New("tlog: malformed header")
	// ErrLeaf: leaf bytes break the format, or parts do not match the header's list.
	ErrLeaf = errors.New("tlog: malformed leaf")
)

// ID is a random identifier of 128 bits, of an entry or of a part key.
// It says nothing of what it names. Its text form is 32 lower-case
// hexadecimal digits.
type ID [16]byte

// NewID draws an ID from crypto/rand.
func NewID() ID {
	var id ID
	rand.Read(id[:]) // never fails: the runtime ends the program instead
	return id
}

// String is the text form.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// MarshalText gives the text form, for JSON too.
func (id ID) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, id[:]), nil }

// UnmarshalText accepts the text form and nothing else: no upper case.
func (id *ID) UnmarshalText(text []byte) error {
	if len(text) != 2*len(id) {
		return errID
	}
	for _, c := range text {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return errID
		}
	}
	_, err := hex.Decode(id[:], text)
	return err
}

var errID = errors.New("tlog: malformed id")

// Header is the part of an entry that stays readable for ever. It names no
// person: people are in sealed parts only.
type Header struct {
	// Origin is the log the entry belongs to, the name in its checkpoints. A
	// leaf cannot be moved to another log.
	Origin string
	// Entry is the random id of the entry.
	Entry ID
	// Time is when it happened, in microseconds since 1970 UTC, leap seconds
	// not counted.
	Time int64
	// Kind is the event kind, such as "policy.ip_rule.added".
	Kind string
	// Labels names the sealed parts, in the order of their records in the
	// leaf. All differ.
	Labels []string
}

// When is Time as a time.Time in UTC.
func (h *Header) When() time.Time { return time.UnixMicro(h.Time).UTC() }

// Validate returns ErrHeader when h breaks the format.
func (h *Header) Validate() error {
	if !ValidOrigin(h.Origin) || !validKind(h.Kind) || h.Time < 0 || h.Time > maxTime || len(h.Labels) > MaxParts {
		return ErrHeader
	}
	for i, l := range h.Labels {
		if !validLabel(l) {
			return ErrHeader
		}
		for _, before := range h.Labels[:i] {
			if l == before {
				return ErrHeader
			}
		}
	}
	return nil
}

// AppendBinary appends the canonical bytes to dst. It returns ErrHeader when
// h breaks the format.
func (h *Header) AppendBinary(dst []byte) ([]byte, error) {
	if err := h.Validate(); err != nil {
		return dst, err
	}
	dst = append(dst, leafEntry)
	dst = appendString(dst, h.Origin)
	dst = append(dst, h.Entry[:]...)
	dst = binary.BigEndian.AppendUint64(dst, uint64(h.Time))
	dst = appendString(dst, h.Kind)
	dst = append(dst, byte(len(h.Labels)))
	for _, l := range h.Labels {
		dst = appendString(dst, l)
	}
	return dst, nil
}

// MarshalBinary gives the canonical bytes; each header has exactly one form.
func (h *Header) MarshalBinary() ([]byte, error) { return h.AppendBinary(nil) }

// Erases reports whether an entry of this kind records that keys were
// destroyed, so that parts of earlier entries can no longer be opened: its
// kind ends in ".erased".
func Erases(kind string) bool { return strings.HasSuffix(kind, ".erased") }

// Prunes reports whether an entry of this kind records that earlier entries
// were deleted at the end of their term: its kind ends in ".pruned".
func Prunes(kind string) bool { return strings.HasSuffix(kind, ".pruned") }

// ParseHeader reads what MarshalBinary wrote. It returns ErrHeader for
// anything else, bytes left over included.
func ParseHeader(b []byte) (Header, error) {
	h, rest, ok := cutHeader(b)
	if !ok || len(rest) != 0 {
		return Header{}, ErrHeader
	}
	return h, nil
}

func cutHeader(b []byte) (Header, []byte, bool) {
	r := reader{b: b}
	if r.byte() != leafEntry {
		return Header{}, nil, false
	}
	var h Header
	h.Origin = r.string(MaxOrigin)
	copy(h.Entry[:], r.take(len(h.Entry)))
	h.Time = int64(r.uint64())
	h.Kind = r.string(MaxKind)
	if n := int(r.byte()); n > MaxParts {
		return Header{}, nil, false
	} else if n > 0 {
		h.Labels = make([]string, 0, n)
		for range n {
			h.Labels = append(h.Labels, r.string(MaxLabel))
		}
	}
	if r.bad || h.Validate() != nil {
		return Header{}, nil, false
	}
	return h, r.b, true
}

// Part is what a leaf says of one sealed part: enough to recognize the
// ciphertext and its key, and nothing of what they hold.
type Part struct {
	// Label is the part's name in the header. The record in the leaf has it by
	// position.
	Label string
	// KeyID is the random id of the part key, drawn with it. It is not the id
	// of the data key that wraps the part key: that one changes at rotation,
	// and would link all entries about one person for ever.
	KeyID ID
	// CiphertextHash is the SHA-256 of the ciphertext as SealPart gave it.
	CiphertextHash Hash
	// KeyCommitment is SHA-256(label || part key). AES-GCM does not commit to
	// its key; this does, so that no second key can open the part to another
	// content.
	KeyCommitment Hash
}

// LeafData gives the bytes that the tree commits to: the header, then for each
// part, in the header's order, key id, hash of the ciphertext and commitment
// to the part key. It returns ErrHeader, or ErrLeaf when parts are not exactly
// those the header lists.
func LeafData(h *Header, parts []Part) ([]byte, error) {
	return AppendLeafData(nil, h, parts)
}

// AppendLeafData is LeafData into a buffer that the caller reuses.
func AppendLeafData(dst []byte, h *Header, parts []Part) ([]byte, error) {
	dst, err := h.AppendBinary(dst)
	if err != nil {
		return dst, err
	}
	if len(parts) != len(h.Labels) {
		return dst, ErrLeaf
	}
	for i := range parts {
		p := &parts[i]
		if p.Label != h.Labels[i] {
			return dst, ErrLeaf
		}
		dst = append(dst, p.KeyID[:]...)
		dst = append(dst, p.CiphertextHash[:]...)
		dst = append(dst, p.KeyCommitment[:]...)
	}
	return dst, nil
}

// ParseLeaf reads what LeafData wrote. It returns ErrLeaf for anything else.
func ParseLeaf(b []byte) (Header, []Part, error) {
	h, rest, ok := cutHeader(b)
	if !ok || len(rest) != len(h.Labels)*partRecord {
		return Header{}, nil, ErrLeaf
	}
	r := reader{b: rest}
	parts := make([]Part, len(h.Labels))
	for i := range parts {
		p := &parts[i]
		p.Label = h.Labels[i]
		copy(p.KeyID[:], r.take(len(p.KeyID)))
		copy(p.CiphertextHash[:], r.take(HashSize))
		copy(p.KeyCommitment[:], r.take(HashSize))
	}
	return h, parts, nil
}

// ValidOrigin reports whether s can be the origin of a log of ours: 1 to 255
// printable ASCII characters without space and plus, which is also what a key
// name of a signed note may be.
func ValidOrigin(s string) bool {
	if s == "" || len(s) > MaxOrigin {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || c == '+' {
			return false
		}
	}
	return true
}

func validKind(s string) bool  { return validWord(s, MaxKind, true) }
func validLabel(s string) bool { return validWord(s, MaxLabel, false) }

func validWord(s string, limit int, dots bool) bool {
	if s == "" || len(s) > limit {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' && c != '-' && (!dots || c != '.') {
			return false
		}
	}
	return true
}

func appendString(dst []byte, s string) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(s)))
	return append(dst, s...)
}

// reader takes fields off a byte slice; after the first short read everything
// is zero and bad is set, so that callers check once.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if r.bad || len(r.b) < n {
		r.bad = true
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *reader) string(limit int) string {
	b := r.take(2)
	if b == nil {
		return ""
	}
	n := int(binary.BigEndian.Uint16(b))
	if n > limit {
		r.bad = true
		return ""
	}
	return string(r.take(n))
}
