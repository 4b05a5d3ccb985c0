package web

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"

	"github.com/rempart/rempart/internal/fault"
)

// Cursors makes and reads the opaque cursors of lists. A cursor carries a
// position and a MAC over it, the caller and the query: another caller's, or
// one of another list or filter, is refused. It grants nothing; the query that
// reads on is checked like any other.
type Cursors struct{ key [32]byte }

// NewCursors derives the cursors' key from a secret of at least 16 bytes.
// Nodes that share lists share the secret.
func NewCursors(secret []byte) *Cursors {
	if len(secret) < 16 {
		panic("web: cursor secret is shorter than 16 bytes")
	}
	m := hmac.New(sha256.New, secret)
	m.Write([]byte("rempart cursor v1"))
	c := &Cursors{}
	m.Sum(c.key[:0])
	return c
}

// Encode makes a cursor for the position, for this caller (caller.Caller.ID
// with the organization) and query (path and filter, without the cursor).
func (c *Cursors) Encode(who, query string, pos []byte) string {
	return base64.RawURLEncoding.EncodeToString(append(c.mac(who, query, pos), pos...))
}

// Decode gives the position back. The empty cursor is the beginning: nil.
func (c *Cursors) Decode(who, query, cursor string) ([]byte, error) {
	if cursor == "" {
		return nil, nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(raw) < cursorMACLen || !hmac.Equal(raw[:cursorMACLen], c.mac(who, query, raw[cursorMACLen:])) {
		return nil, fault.New(fault.Invalid, "web.error.cursor", nil).At("?cursor", "web.field.invalid")
	}
	return raw[cursorMACLen:], nil
}

func (c *Cursors) mac(who, query string, pos []byte) []byte {
	m := hmac.New(sha256.New, c.key[:])
	for _, part := range []string{who, query, string(pos)} {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(part)))
		m.Write(n[:])
		m.Write([]byte(part))
	}
	return m.Sum(nil)[:cursorMACLen]
}
