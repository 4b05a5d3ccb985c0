package id_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/rempart/rempart/internal/id"
)

func TestSecretsHaveTheFormThatScannersFind(t *testing.T) {
	form := regexp.MustCompile(`^rmp_key_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}$`)
	seen := map[string]bool{}
	for range 2000 {
		s := id.NewSecret("key")
		if !form.MatchString(s) || !id.IsSecret("key", s) || seen[s] {
			t.Fatalf("%q", s)
		}
		seen[s] = true
	}
}

func TestASecretWithOneWrongCharacterIsNone(t *testing.T) {
	s := id.NewSecret("key")
	for i := range s {
		b := []byte(s)
		if b[i] == 'x' {
			b[i] = 'y'
		} else {
			b[i] = 'x'
		}
		if id.IsSecret("key", string(b)) {
			t.Errorf("character %d may be changed", i)
		}
	}
	for _, bad := range []string{"", s + "0", s[:len(s)-1], strings.Replace(s, "key", "cs", 1)} {
		if id.IsSecret("key", bad) {
			t.Errorf("%q accepted", bad)
		}
	}
}

func TestARenewedSecretKeepsItsBeginningOnly(t *testing.T) {
	s := id.NewSecret("rt")
	r := id.RenewSecret(s, 21)
	if !id.IsSecret("rt", r) || r[:7+21] != s[:7+21] || r == s || r[7+21:7+43] == s[7+21:7+43] {
		t.Fatalf("%q of %q", r, s)
	}
}
