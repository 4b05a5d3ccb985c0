package credential

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/url"
	"strings"
	"time"

	"rsc.io/qr"
)

// base64Token is the form of sealed values in forms and links.
var base64Token = base64.RawURLEncoding.Strict()

var base32Secret = base32.StdEncoding.WithPadding(base32.NoPadding)

// hotp is RFC 4226 section 5.3 with six digits. Its HMAC is SHA-1: that is what
// authenticator applications compute, and HMAC's strength does not rest on the
// collisions that SHA-1 is known for.
func hotp(secret []byte, counter int64) string {
	var c [8]byte
	binary.BigEndian.PutUint64(c[:], uint64(counter))
	m := hmac.New(sha1.New, secret)
	m.Write(c[:])
	sum := m.Sum(nil)
	at := sum[len(sum)-1] & 0x0f
	n := binary.BigEndian.Uint32(sum[at:]) & 0x7fffffff
	return fmt.Sprintf("%0*d", totpDigits, n%1_000_000)
}

// stepAt is the time step of RFC 6238 section 4.2.
func stepAt(now time.Time) int64 { return now.Unix() / int64(totpStep/time.Second) }

// matchTOTP finds the step, of those the window allows, whose code was typed.
// Every step is computed whatever matches. A step that is not above last was
// used before and does not count.
func matchTOTP(secret []byte, code string, now time.Time, last int64) (step int64, ok bool) {
	typed, valid := cleanCode(code)
	at := stepAt(now)
	for s := at - totpWindow; s <= at+totpWindow; s++ {
		same := subtle.ConstantTimeCompare([]byte(hotp(secret, s)), []byte(typed)) == 1
		if same && s > last && valid && !ok {
			step, ok = s, true
		}
	}
	return step, ok
}

// cleanCode takes out the spaces that people and applications put between the
// digits; the rest must be six ASCII digits.
func cleanCode(code string) (string, bool) {
	if len(code) > 32 {
		return "", false
	}
	code = strings.Map(func(r rune) rune {
		if r == ' ' || r == '\u00a0' || r == '\u202f' || r == '-' || r == '\t' {
			return -1
		}
		return r
	}, code)
	if len(code) != totpDigits {
		return "", false
	}
	for _, c := range []byte(code) {
		if c < '0' || c > '9' {
			return "", false
		}
	}
	return code, true
}

// Code is the code of the secret (Base32 without padding) at the instant, as
// an authenticator application shows it: for controls and tests.
func Code(secret string, at time.Time) (string, error) {
	raw, err := base32Secret.DecodeString(strings.ToUpper(secret))
	if err != nil || len(raw) < 16 {
		return "", fmt.Errorf("credential: not a TOTP secret")
	}
	return hotp(raw, stepAt(at)), nil
}

func newTOTPSecret() []byte {
	b := make([]byte, totpSecret)
	rand.Read(b)
	return b
}

// keyURI is what the QR code holds: issuer and account let the application
// name the entry.
func keyURI(issuer, account string, secret []byte) string {
	label := url.PathEscape(issuer) + ":" + url.PathEscape(account)
	v := url.Values{"secret": {base32Secret.EncodeToString(secret)}, "issuer": {issuer}}
	// Applications read "+" in a query as itself.
	return "otpauth://totp/" + label + "?" + strings.ReplaceAll(v.Encode(), "+", "%20")
}

// drawQR draws the text as an SVG of black squares on white with the quiet
// zone that scanners need, in both themes.
func drawQR(text string) (string, error) {
	c, err := qr.Encode(text, qr.M)
	if err != nil {
		return "", fmt.Errorf("credential: QR code: %w", err)
	}
	const quiet = 4
	n := c.Size + 2*quiet
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" shape-rendering="crispEdges" role="img" aria-hidden="true"><path fill="#fff" d="M0 0h%dv%dH0z"/><path fill="#000" d="`, n, n, n, n)
	for y := range c.Size {
		for x := 0; x < c.Size; x++ {
			if !c.Black(x, y) {
				continue
			}
			from := x
			for x < c.Size && c.Black(x, y) {
				x++
			}
			fmt.Fprintf(&b, "M%d %dh%dv1H%dz", from+quiet, y+quiet, x-from, from+quiet)
		}
	}
	b.WriteString(`"/></svg>`)
	return b.String(), nil
}
