package id

import (
	"crypto/rand"
	"crypto/sha256"
	"hash/crc32"
	"strings"
)

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

const (
	secretLen   = 43 // base62 digits: 256 bits
	checksumLen = 6  // base62 digits of a CRC-32 (IEEE): for scanners, not for security
)

// NewSecret makes a secret of 256 bits in the form that secret scanners find:
// "rmp_<kind>_<43 base62>_<6 checksum>". The kind is lower-case letters.
// It is shown once and stored as HashSecret.
func NewSecret(kind string) string {
	var b strings.Builder
	b.WriteString("rmp_" + kind + "_")
	var buf [64]byte
	for n := 0; n < secretLen; {
		if _, err := rand.Read(buf[:]); err != nil {
			panic(err) // crypto/rand never fails on supported systems
		}
		for _, c := range buf {
			// 248 is the largest multiple of 62 in a byte: no digit is likelier.
			if c < 248 && n < secretLen {
				b.WriteByte(base62[c%62])
				n++
			}
		}
	}
	b.WriteByte('_')
	body := b.String()
	return body + checksum(body)
}

// RenewSecret makes a secret with the kind and the first keep digits of s, a
// secret of ours, and all others new: the kept part finds a row, the new part
// proves the right to it. Each digit holds 5.95 bits.
func RenewSecret(s string, keep int) string {
	head := strings.LastIndexByte(s[:len(s)-checksumLen-1], '_') + 1
	fresh := NewSecret(s[4 : head-1])
	body := s[:head+keep] + fresh[head+keep:len(fresh)-checksumLen]
	return body + checksum(body)
}

// IsSecret reports whether s has the form of a secret of the kind, with the
// right checksum. It says nothing of whether the secret was ever issued.
func IsSecret(kind, s string) bool {
	head := "rmp_" + kind + "_"
	if len(s) != len(head)+secretLen+1+checksumLen || !strings.HasPrefix(s, head) {
		return false
	}
	body := s[:len(s)-checksumLen]
	if body[len(body)-1] != '_' {
		return false
	}
	for _, c := range []byte(s[len(head) : len(head)+secretLen]) {
		if strings.IndexByte(base62, c) < 0 {
			return false
		}
	}
	return s[len(body):] == checksum(body)
}

// HashSecret is the stored form of a secret: its SHA-256. A secret has 256
// bits, so that a slow hash would add nothing (ASVS 6.5.2).
func HashSecret(s string) []byte {
	sum := sha256.Sum256([]byte(s))
	return sum[:]
}

func checksum(body string) string {
	n := crc32.ChecksumIEEE([]byte(body))
	var out [checksumLen]byte
	for i := checksumLen - 1; i >= 0; i-- {
		out[i] = base62[n%62]
		n /= 62
	}
	return string(out[:])
}
