package credential

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"strings"

	"github.com/rempart/rempart/internal/id"
)

// codeAlphabet is Crockford's base32: no letter that reads like a digit.
var codeAlphabet = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// newRecoveryCode makes a code of 120 bits, in groups of four.
func newRecoveryCode() string {
	var b [recoveryLen]byte
	rand.Read(b[:])
	s := codeAlphabet.EncodeToString(b[:])
	var out strings.Builder
	for i := 0; i < len(s); i += 4 {
		if i > 0 {
			out.WriteByte('-')
		}
		out.WriteString(s[i : i+4])
	}
	return out.String()
}

var codeLookAlikes = strings.NewReplacer("o", "0", "i", "1", "l", "1")

// recoveryHash is what is stored of a code. The code has more than 112 bits, so
// that a plain hash does (NIST SP 800-63B-4 section 3.1.2.2); the user in it keeps
// one table of all hashes from answering whose a code is.
func recoveryHash(user id.User, code string) ([]byte, bool) {
	if len(code) > 64 {
		return nil, false
	}
	c := strings.Map(func(r rune) rune {
		if r == '-' || r == ' ' || r == '\u00a0' || r == '\t' {
			return -1
		}
		return r
	}, strings.ToLower(code))
	c = codeLookAlikes.Replace(c)
	raw, err := codeAlphabet.DecodeString(c)
	if err != nil || len(raw) != recoveryLen {
		return nil, false
	}
	u := user.Bytes()
	h := sha256.New()
	h.Write([]byte("rempart recovery code v1"))
	h.Write(u[:])
	h.Write(raw)
	return h.Sum(nil), true
}
