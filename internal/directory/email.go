package directory

import (
	"strings"

	"golang.org/x/net/idna"
)

// maxEmail is the longest address that SMTP can carry (RFC 5321 section 4.5.3.1.3).
const maxEmail = 254

// atext are the characters of an unquoted local part besides letters and
// digits (RFC 5322 section 3.2.3).
const atext = "!#$%&'*+-/=?^_`{|}~."

// ParseEmail gives the address as it is kept, and the form in which two
// addresses are equal: both with the domain in its ASCII form, the second in
// lower case. Quoted and non-ASCII local parts are refused: Unicode has letters
// whose lower case is another address's, and such an address would be
// somebody else's mailbox. The error is ErrEmail.
func ParseEmail(s string) (email, normalized string, err error) {
	s = strings.TrimSpace(s)
	local, domain, ok := cutLast(s, "@")
	if !ok || local == "" || len(local) > 64 || local[0] == '.' || local[len(local)-1] == '.' || strings.Contains(local, "..") {
		return "", "", ErrEmail
	}
	for _, c := range []byte(local) {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9'
		if !letter && !strings.ContainsRune(atext, rune(c)) {
			return "", "", ErrEmail
		}
	}
	if strings.HasSuffix(domain, ".") {
		return "", "", ErrEmail
	}
	ascii, ierr := idna.Lookup.ToASCII(domain)
	if ierr != nil || !hostname(ascii) {
		return "", "", ErrEmail
	}
	email = local + "@" + ascii
	if len(email) > maxEmail {
		return "", "", ErrEmail
	}
	return email, strings.ToLower(email), nil
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// hostname accepts names of one label too: installations on private networks
// have them.
func hostname(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			if c|0x20 < 'a' || c|0x20 > 'z' {
				if (c < '0' || c > '9') && c != '-' {
					return false
				}
			}
		}
	}
	return true
}
