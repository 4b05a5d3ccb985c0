package credential_test

import (
	"encoding/xml"
	"errors"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/rempart/rempart/internal/credential"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
)

// RFC 6238 appendix B, SHA-1, cut to six digits.
func TestTOTPVectorsOfRFC6238(t *testing.T) {
	secret := []byte("12345678901234567890")
	for at, want := range map[int64]string{59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130"} {
		if got := credential.HOTP(secret, at/30); got != want {
			t.Errorf("at %d: got %s, want %s", at, got, want)
		}
	}
}

func TestTOTPWindow(t *testing.T) {
	secret := []byte("12345678901234567890")
	now := time.Unix(1111111109, 0)
	step := now.Unix() / 30
	for _, c := range []struct {
		name string
		of   int64
		last int64
		want bool
	}{
		{"the present step", 0, 0, true},
		{"the step before", -1, 0, true},
		{"the step after", 1, 0, true},
		{"two steps before is out of the window", -2, 0, false},
		{"two steps after is out of the window", 2, 0, false},
		{"the present step, used before", 0, step, false},
		{"the step before, when the present one was used", -1, step, false},
		{"the step after, when the present one was used", 1, step, true},
	} {
		got, ok := credential.MatchTOTP(secret, credential.HOTP(secret, step+c.of), now, c.last)
		if ok != c.want || ok && got != step+c.of {
			t.Errorf("%s: got %d %v, want %v", c.name, got, ok, c.want)
		}
	}
}

func TestCodeInput(t *testing.T) {
	for in, want := range map[string]string{"123456": "123456", "123 456": "123456", " 123-456 ": "123456", "123\u00a0456": "123456"} {
		if got, ok := credential.CleanCode(in); !ok || got != want {
			t.Errorf("%q: got %q %v", in, got, ok)
		}
	}
	for _, in := range []string{"", "12345", "1234567", "12345a", "１２３４５６", "-12345", "+12345", strings.Repeat(" ", 40) + "123456"} {
		if got, ok := credential.CleanCode(in); ok {
			t.Errorf("%q was read as %q", in, got)
		}
	}
}

func TestDelayIsThePublishedSchedule(t *testing.T) {
	want := []int{0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600, 3600, 3600}
	for n, s := range want {
		if got := credential.Delay(n); got != time.Duration(s)*time.Second {
			t.Errorf("after %d wrong guesses: got %v, want %d s", n, got, s)
		}
	}
	if got := credential.Delay(1000); got != time.Hour {
		t.Errorf("after 1000: got %v", got)
	}
}

func TestPasswordRules(t *testing.T) {
	words := []string{"Acme Widgets", "Rempart", "jeanne.martin@acme.example"}
	for _, c := range []struct {
		name, password string
		minimum        int
		want           string // last part of the reason; "" is allowed
	}{
		{"fourteen where fifteen are asked", "abzwxfrtkmnpqs", 15, "too-short"},
		{"fifteen where fifteen are asked", "abzwxfrtkmnpqsy", 15, ""},
		{"seven where eight are asked", "bzwxfrt", 8, "too-short"},
		{"eight where eight are asked", "bzwxfrtk", 8, ""},
		{"less than eight is never asked", "bzwxfrt", 1, "too-short"},
		{"eight characters of four bytes each", "🦊🐻🐼🦁🐯🐨🐮🐷", 8, ""},
		{"letters with combining accents count as one each", "e\u0301a\u0300u\u0308o\u0302i\u0308e\u0302u\u0302", 8, "too-short"},
		{"256 characters", strings.Repeat("abcdefg ", 32), 8, ""},
		{"257 characters", strings.Repeat("abcdefg ", 32) + "x", 8, "too-long"},
		{"a common one", "password1", 8, "common"},
		{"a common one in capitals", "PASSWORD1", 8, "common"},
		{"a common word with signs around it", "!dragon99", 8, "common"},
		{"one character over and over", "aaaaaaaaaaaaaaaaaaaa", 15, "repeated"},
		{"a common word twice", "passwordpassword", 15, "repeated"},
		{"digits in order", "123456789012345", 15, "sequence"},
		{"a row of keys", "qwertyuiopasdfghjkl", 15, "sequence"},
		{"the organization's name with decorations", "Acme2026!", 8, "expected"},
		{"the organization's whole name", "acme-widgets-1", 8, "expected"},
		{"the product's name", "R3mpart!!", 8, "expected"},
		{"her own address", "jeanne.martin@acme.example", 15, "expected"},
		{"a sentence that has the organization's name in it", "acme sells the best anvils", 15, ""},
		{"only spaces between words", "correct horse battery staple", 15, ""},
		{"bytes that are no text", "abcdefgh\xff\xfeijklmnop", 8, "malformed"},
	} {
		err := credential.CheckPassword(c.password, c.minimum, words)
		got := ""
		if f := fault.Of(err); f != nil {
			got = strings.TrimPrefix(f.Key, "credential.password.")
			if len(f.Fields) != 1 || f.Fields[0].Pointer != "/password" {
				t.Errorf("%s: the refusal does not name the field", c.name)
			}
		} else if err != nil {
			t.Fatal(err)
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

// ASVS 6.2.4: none of the 3000 most common passwords that fit the policy is accepted.
func TestNoCommonPasswordIsAccepted(t *testing.T) {
	if n := len(credential.Blocklist()); n < 3000 {
		t.Fatalf("the list has %d entries", n)
	}
	for w := range credential.Blocklist() {
		if credential.CheckPassword(w, 1, nil) == nil || credential.CheckPassword(strings.ToUpper(w), 1, nil) == nil {
			t.Errorf("%q is accepted", w)
		}
	}
}

// ASVS 6.2.5: any composition is accepted.
func TestAnyCompositionIsAccepted(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		n := 15 + r.IntN(240)
		var b strings.Builder
		for range n {
			c := rune(0x20 + r.IntN(0x2f00))
			for unicode.Is(unicode.M, c) || !unicode.IsPrint(c) {
				c = rune(0x20 + r.IntN(0x2f00))
			}
			b.WriteRune(c)
		}
		// Hangul jamo join in NFC, so that the length is what counts after it.
		if credential.Length(b.String()) < 15 {
			continue
		}
		if err := credential.CheckPassword(b.String(), 15, []string{"Acme"}); err != nil {
			t.Fatalf("%q: %v", b.String(), err)
		}
	}
}

func TestPHC(t *testing.T) {
	good := "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	if got, err := credential.ParsePHC(good); err != nil || got != good {
		t.Fatalf("got %q, %v", got, err)
	}
	for _, bad := range []string{
		"", "$", "$argon2id$", strings.Replace(good, "argon2id", "argon2i", 1), strings.Replace(good, "v=19", "v=16", 1),
		strings.Replace(good, "m=64", "m=064", 1), strings.Replace(good, "m=64", "m=4", 1), strings.Replace(good, "m=64", "m=99999999999", 1),
		strings.Replace(good, "t=1", "t=0", 1), strings.Replace(good, "p=1", "p=255", 1), strings.Replace(good, "c29t", "c2!t", 1), good + "=", good + "$", " " + good,
		"$pbkdf2-sha256$i=0$c29tZXNhbHRzb21lc2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
	} {
		if got, err := credential.ParsePHC(bad); err == nil {
			t.Errorf("%q was read as %q", bad, got)
		}
	}
}

// The reference implementation's vector for the parameters 2 passes, 64 MiB, 1 lane
// of Argon2id version 19 ("password", "somesalt").
func TestArgon2idVectorOfTheReference(t *testing.T) {
	ok, err := credential.ArgonOf("$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "password")
	if err != nil || !ok {
		t.Fatalf("got %v %v", ok, err)
	}
}

func FuzzPHC(f *testing.F) {
	f.Add("$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	f.Add("$pbkdf2-sha256$i=600000$c29tZXNhbHRzb21lc2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	f.Add("$argon2id$$$$")
	f.Fuzz(func(t *testing.T, s string) {
		if out, err := credential.ParsePHC(s); err == nil && out != s {
			t.Fatalf("%q was read as %q", s, out)
		}
	})
}

func FuzzCode(f *testing.F) {
	for _, s := range []string{"123456", "123 456", "-1", "１２３４５６", "\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if c, ok := credential.CleanCode(s); ok && len(c) != 6 {
			t.Fatalf("%q was read as %q", s, c)
		}
	})
}

func FuzzRecoveryCode(f *testing.F) {
	u := id.NewUser(time.Unix(1, 0))
	f.Add(credential.NewCode())
	f.Add("0000-0000")
	f.Fuzz(func(t *testing.T, s string) {
		if h, ok := credential.RecoveryHash(u, s); ok && len(h) != 32 {
			t.Fatalf("%q has a hash of %d bytes", s, len(h))
		}
	})
}

func TestRecoveryCodesAreReadAsPeopleTypeThem(t *testing.T) {
	u := id.NewUser(time.Unix(1, 0))
	code := credential.NewCode()
	want, ok := credential.RecoveryHash(u, code)
	if !ok || len(code) != 29 {
		t.Fatalf("%q", code)
	}
	for _, typed := range []string{strings.ToUpper(code), strings.ReplaceAll(code, "-", ""), strings.ReplaceAll(code, "-", " "), strings.ReplaceAll(strings.ReplaceAll(code, "0", "O"), "1", "l")} {
		if got, ok := credential.RecoveryHash(u, typed); !ok || string(got) != string(want) {
			t.Errorf("%q is not the same code as %q", typed, code)
		}
	}
	if other, _ := credential.RecoveryHash(id.NewUser(time.Unix(2, 0)), code); string(other) == string(want) {
		t.Error("another user's hash of the code is the same")
	}
	seen := map[string]bool{}
	for range 2000 {
		c := credential.NewCode()
		if seen[c] {
			t.Fatal("a code came twice")
		}
		seen[c] = true
	}
}

func TestTheQueueOfHashersIsBounded(t *testing.T) {
	h := credential.NewHasher(1, false)
	var slots []*credential.Slot
	for {
		s, err := h.Reserve()
		if err != nil {
			if !errors.Is(err, credential.ErrBusy) || fault.Of(err).Retry <= 0 || fault.KindOf(err).Status() != 503 {
				t.Fatalf("got %v", err)
			}
			break
		}
		slots = append(slots, s)
	}
	if len(slots) != 65 {
		t.Errorf("%d places", len(slots))
	}
	slots[0].Release()
	slots[0].Release()
	if h.Waiting() != 64 {
		t.Errorf("%d are taken after one was given back twice", h.Waiting())
	}
}

func TestQRCodeHoldsTheKey(t *testing.T) {
	uri := credential.KeyURI("Acme & Söhne", "jo+x@acme.example", []byte("12345678901234567890"))
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "otpauth" || u.Host != "totp" || u.Query().Get("secret") != "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ" || u.Query().Get("issuer") != "Acme & Söhne" || u.Path != "/Acme & Söhne:jo+x@acme.example" {
		t.Fatalf("%s: %v", uri, err)
	}
	svg, err := credential.DrawQR(uri)
	if err != nil {
		t.Fatal(err)
	}
	if err := xml.Unmarshal([]byte(svg), new(struct{})); err != nil {
		t.Fatal(err)
	}
	if len(svg) > 30_000 {
		t.Errorf("the picture has %d bytes", len(svg))
	}
}

func TestNamesOfAuthenticatorsAreClean(t *testing.T) {
	for in, want := range map[string]string{"  Phone ": "Phone", "a\r\nb\u202ec": "abc", strings.Repeat("é", 100): strings.Repeat("é", 60)} {
		if got := credential.CleanName(in); got != want {
			t.Errorf("%q: got %q", in, got)
		}
	}
}
