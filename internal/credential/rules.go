package credential

import (
	_ "embed"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/rempart/rempart/internal/fault"
)

// normalize is the form of a password that is hashed: NFC, so that the same
// characters typed on two systems are the same password (NIST SP 800-63B-4
// section 3.1.1.2). Nothing is trimmed, folded or cut.
func normalize(password string) (string, bool) {
	if !utf8.ValidString(password) || len(password) > 4*MaxPassword*4 {
		return "", false
	}
	n := norm.NFC.String(password)
	return n, utf8.RuneCountInString(n) <= MaxPassword && n != ""
}

// Length is the number of code points that a rule on length counts.
func Length(password string) int { return utf8.RuneCountInString(norm.NFC.String(password)) }

// CheckPassword decides whether a new password may be used: its length in code
// points, and that it is not one that a guesser tries first. minimum is the
// least length that the person's rules ask for; words are those that stand
// near: product, organizations, her name and address. There is no rule of
// composition. The error is a fault that says why, at the field "password".
func CheckPassword(password string, minimum int, words []string) error {
	bad := func(reason string, args ...any) error {
		e := fault.New(fault.Invalid, reason, nil).With(args...).At("/password", reason)
		e.Fields[0].Args = e.Args
		return e
	}
	n := utf8.RuneCountInString(norm.NFC.String(password))
	switch {
	case !utf8.ValidString(password):
		return bad("credential.password.malformed")
	case n < max(minimum, MinWithSecond):
		return bad("credential.password.too-short", "Minimum", max(minimum, MinWithSecond))
	case n > MaxPassword:
		return bad("credential.password.too-long", "Maximum", MaxPassword)
	}
	p := fold(norm.NFC.String(password))
	if _, listed := blocklist()[p]; listed {
		return bad("credential.password.common")
	}
	if unit := period(p); unit != "" {
		return bad("credential.password.repeated")
	}
	if run(p) {
		return bad("credential.password.sequence")
	}
	bare := strip(p)
	if _, listed := blocklist()[bare]; listed && utf8.RuneCountInString(p)-utf8.RuneCountInString(bare) <= 4 && n < MinAlone {
		return bad("credential.password.common")
	}
	for _, w := range words {
		for _, part := range parts(w) {
			if bare == part || p == part || bare == part+part {
				return bad("credential.password.expected")
			}
		}
	}
	return nil
}

//go:embed common/passwords.txt
var commonText string

// blocklist is the passwords that are guessed first (common/README says where
// the list is from), in lower case.
var blocklist = sync.OnceValue(func() map[string]struct{} {
	set := make(map[string]struct{}, 8192)
	for line := range strings.Lines(commonText) {
		if w := strings.TrimSpace(line); w != "" {
			set[w] = struct{}{}
		}
	}
	return set
})

func fold(s string) string { return strings.ToLower(s) }

// leet undoes the substitutions that every guesser undoes.
var leet = strings.NewReplacer("0", "o", "1", "i", "3", "e", "4", "a", "5", "s", "7", "t", "@", "a", "$", "s", "!", "i", "|", "l")

// strip takes the decorations off: digits and signs around a word, and
// letters written as digits within.
func strip(s string) string {
	core := strings.TrimFunc(s, func(r rune) bool { return !unicode.IsLetter(r) })
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) {
			return r
		}
		return -1
	}, leet.Replace(core))
}

// parts are the words of a name, of at least four letters, and the whole.
func parts(s string) []string {
	s = fold(norm.NFC.String(s))
	local, _, _ := strings.Cut(s, "@")
	fields := strings.FieldsFunc(local, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	out := make([]string, 0, len(fields)+1)
	for _, f := range append(fields, strings.Join(fields, "")) {
		if utf8.RuneCountInString(f) >= 4 {
			out = append(out, f, strip(f))
		}
	}
	if s != local {
		out = append(out, s)
	}
	return out
}

// period is the piece of up to four characters, or a listed password, of which
// s is a repetition; "" if it is none.
func period(s string) string {
	r := []rune(s)
	for n := 1; n <= len(r)/2; n++ {
		if len(r)%n != 0 {
			continue
		}
		same := true
		for i := n; i < len(r) && same; i++ {
			same = r[i] == r[i-n]
		}
		if !same {
			continue
		}
		unit := string(r[:n])
		if _, listed := blocklist()[unit]; n <= 4 || listed {
			return unit
		}
		return ""
	}
	return ""
}

// rows are sequences that are typed without thinking.
var rows = []string{"01234567890123456789", "98765432109876543210", "abcdefghijklmnopqrstuvwxyz", "zyxwvutsrqponmlkjihgfedcba", "qwertyuiopasdfghjklzxcvbnm", "azertyuiopqsdfghjklmwxcvbn", "qwertzuiopasdfghjklyxcvbnm", "1qaz2wsx3edc4rfv5tgb6yhn7ujm"}

// run reports whether s is one piece of a sequence.
func run(s string) bool {
	for _, row := range rows {
		if strings.Contains(row, s) {
			return true
		}
	}
	return false
}
