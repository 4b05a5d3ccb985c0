package verify

import (
	"bytes"
	"encoding/base64"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/rempart/rempart/internal/tlog"
)

// maxDepth bounds the nesting of values that are skipped unread.
const maxDepth = 32

var strict64 = base64.StdEncoding.Strict()

// scan reads JSON strictly: known members only, each at most once, names
// compared byte for byte. encoding/json accepts repeated members and names in
// another case, which would let the bytes of a verified file change; and it is
// several times slower. After the first fault bad stays set and everything
// reads as zero, so that callers check once, with end or bad.
type scan struct {
	b   []byte
	i   int
	bad bool
	buf []byte // where text puts strings that had escapes, one after the other
}

func (s *scan) fail() { s.bad = true; s.i = len(s.b) }

func (s *scan) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return
		}
	}
}

// is steps over c, after white space, if it comes next.
func (s *scan) is(c byte) bool {
	s.space()
	if s.i < len(s.b) && s.b[s.i] == c {
		s.i++
		return true
	}
	return false
}

func (s *scan) want(c byte) {
	if !s.is(c) {
		s.fail()
	}
}

// end requires that nothing but white space is left and reports whether all
// was well.
func (s *scan) end() bool {
	s.space()
	if s.i < len(s.b) {
		s.fail()
	}
	return !s.bad
}

// object reads an object whose members are among names, calling member with
// the place of each name in names. It returns the set of members seen, bit i
// for names[i].
func (s *scan) object(names []string, member func(i int)) (seen uint) {
	s.want('{')
	if s.is('}') {
		return 0
	}
	for !s.bad {
		key := s.quoted()
		at := -1
		for i, n := range names {
			if string(key) == n {
				at = i
				break
			}
		}
		if at < 0 || seen&(1<<at) != 0 {
			s.fail()
			return seen
		}
		seen |= 1 << at
		s.want(':')
		member(at)
		if s.is('}') {
			return seen
		}
		s.want(',')
	}
	return seen
}

// array reads an array of at most limit elements.
func (s *scan) array(limit int, element func()) {
	s.want('[')
	if s.is(']') {
		return
	}
	for n := 0; !s.bad; n++ {
		if n == limit {
			s.fail()
			return
		}
		element()
		if s.is(']') {
			return
		}
		s.want(',')
	}
}

// plain reads a string without escapes and gives its bytes in place. Names,
// base64 and hexadecimal need no escape, and so have one form.
func (s *scan) plain() []byte {
	out := s.quoted()
	for _, c := range out {
		if c < 0x20 || c == '\\' {
			s.fail()
			return nil
		}
	}
	return out
}

// quoted reads what stands between two quotation marks, for callers that
// accept only an alphabet without backslash and control characters.
func (s *scan) quoted() []byte {
	s.want('"')
	if s.bad {
		return nil
	}
	n := bytes.IndexByte(s.b[s.i:], '"')
	if n < 0 {
		s.fail()
		return nil
	}
	out := s.b[s.i : s.i+n]
	s.i += n + 1
	return out
}

// text reads any string. The result is in place if it had no escape.
func (s *scan) text() []byte {
	s.want('"')
	if s.bad {
		return nil
	}
	start := s.i
	for s.i < len(s.b) && s.b[s.i] != '"' && s.b[s.i] != '\\' && s.b[s.i] >= 0x20 {
		s.i++
	}
	if s.i < len(s.b) && s.b[s.i] == '"' {
		out := s.b[start:s.i]
		s.i++
		if !utf8.Valid(out) {
			s.fail()
			return nil
		}
		return out
	}
	base := len(s.buf)
	out := append(s.buf, s.b[start:s.i]...)
	for s.i < len(s.b) {
		c := s.b[s.i]
		s.i++
		switch {
		case c == '"':
			if !utf8.Valid(out[base:]) {
				s.fail()
				return nil
			}
			s.buf = out
			return out[base:len(out):len(out)]
		case c < 0x20:
			s.fail()
			return nil
		case c == '\\':
			out = s.escape(out)
		default:
			from := s.i - 1
			for s.i < len(s.b) && s.b[s.i] != '"' && s.b[s.i] != '\\' && s.b[s.i] >= 0x20 {
				s.i++
			}
			out = append(out, s.b[from:s.i]...)
		}
	}
	s.fail()
	return nil
}

func (s *scan) escape(out []byte) []byte {
	if s.i >= len(s.b) {
		s.fail()
		return nil
	}
	c := s.b[s.i]
	s.i++
	switch c {
	case '"', '\\', '/':
		return append(out, c)
	case 'b':
		return append(out, '\b')
	case 'f':
		return append(out, '\f')
	case 'n':
		return append(out, '\n')
	case 'r':
		return append(out, '\r')
	case 't':
		return append(out, '\t')
	case 'u':
		r := s.hex4()
		if utf16.IsSurrogate(r) {
			if s.i+2 > len(s.b) || s.b[s.i] != '\\' || s.b[s.i+1] != 'u' {
				s.fail()
				return nil
			}
			s.i += 2
			if r = utf16.DecodeRune(r, s.hex4()); r == utf8.RuneError {
				s.fail()
				return nil
			}
		}
		return utf8.AppendRune(out, r)
	}
	s.fail()
	return nil
}

func (s *scan) hex4() rune {
	if s.bad || s.i+4 > len(s.b) {
		s.fail()
		return 0
	}
	n, err := strconv.ParseUint(string(s.b[s.i:s.i+4]), 16, 16)
	if err != nil {
		s.fail()
		return 0
	}
	s.i += 4
	return rune(n)
}

// integer reads a whole number from 0 to 2^62, without sign, fraction,
// exponent or leading zero.
func (s *scan) integer() int64 {
	s.space()
	start := s.i
	var n int64
	for s.i < len(s.b) && s.b[s.i] >= '0' && s.b[s.i] <= '9' {
		if n = n*10 + int64(s.b[s.i]-'0'); n > 1<<56 {
			s.fail()
			return 0
		}
		s.i++
	}
	if digits := s.i - start; digits == 0 || digits > 1 && s.b[start] == '0' {
		s.fail()
		return 0
	}
	return n
}

// base64 appends the decoded bytes of a standard base64 string to dst.
func (s *scan) base64(dst []byte) []byte {
	src := s.quoted()
	out, err := strict64.AppendDecode(dst, src)
	// encoding/base64 passes over line breaks; their absence shows in the length.
	if s.bad || err != nil || strict64.EncodedLen(len(out)-len(dst)) != len(src) {
		s.fail()
		return dst
	}
	return out
}

// hash reads base64 of exactly 32 bytes.
func (s *scan) hash() (h tlog.Hash) {
	var buf [64]byte
	src := s.quoted()
	if s.bad || len(src) != 44 {
		s.fail()
		return h
	}
	n, err := strict64.Decode(buf[:], src)
	if err != nil || n != len(h) {
		s.fail()
		return h
	}
	copy(h[:], buf[:])
	return h
}

func (s *scan) hashes() (out []tlog.Hash) {
	s.array(tlog.MaxProof, func() { out = append(out, s.hash()) })
	return out
}

func (s *scan) strings(limit int) (out []string) {
	s.array(limit, func() { out = append(out, string(s.text())) })
	return out
}

// skip steps over any value.
func (s *scan) skip(depth int) {
	if depth == 0 {
		s.fail()
		return
	}
	s.space()
	if s.bad || s.i >= len(s.b) {
		s.fail()
		return
	}
	switch c := s.b[s.i]; {
	case c == '"':
		s.text()
	case c == '{':
		s.i++
		if s.is('}') {
			return
		}
		for !s.bad {
			s.text()
			s.want(':')
			s.skip(depth - 1)
			if s.is('}') {
				return
			}
			s.want(',')
		}
	case c == '[':
		s.array(len(s.b), func() { s.skip(depth - 1) })
	default:
		start := s.i
		for s.i < len(s.b) && bytes.IndexByte([]byte(" \t\r\n,]}"), s.b[s.i]) < 0 {
			s.i++
		}
		if s.i == start {
			s.fail()
		}
	}
}

// appendText appends s as a JSON string, escaping only what must be.
func appendText(dst []byte, s string) []byte {
	const digits = "0123456789abcdef"
	dst = append(dst, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c < 0x20:
			dst = append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}

func appendBase64(dst, b []byte) []byte {
	dst = append(dst, '"')
	dst = strict64.AppendEncode(dst, b)
	return append(dst, '"')
}

func appendHashes(dst []byte, hashes []tlog.Hash) []byte {
	dst = append(dst, '[')
	for i := range hashes {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendBase64(dst, hashes[i][:])
	}
	return append(dst, ']')
}

func appendTexts(dst []byte, list []string) []byte {
	dst = append(dst, '[')
	for i, s := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendText(dst, s)
	}
	return append(dst, ']')
}
