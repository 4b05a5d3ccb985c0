package jwt_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/rempart/rempart/internal/provider/jwt"
)

func generate(t testing.TB, alg string) *jwt.Key {
	t.Helper()
	k, err := jwt.Generate(alg)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestAnIndependentLibraryVerifiesWhatWeSignAndAgreesOnTheThumbprint(t *testing.T) {
	for _, alg := range []string{jwt.ES256, jwt.RS256} {
		k := generate(t, alg)
		tok, err := k.Sign(jwt.TypeAccess, []byte(`{"sub":"x"}`))
		if err != nil {
			t.Fatal(err)
		}
		var jwk jose.JSONWebKey
		if err := json.Unmarshal(k.JWK(), &jwk); err != nil {
			t.Fatal(err)
		}
		if !jwk.IsPublic() || jwk.KeyID != k.ID || jwk.Use != "sig" || jwk.Algorithm != alg {
			t.Errorf("%s: key %s", alg, k.JWK())
		}
		sig, err := jose.ParseSignedCompact(tok, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
		if err != nil {
			t.Fatal(err)
		}
		if body, err := sig.Verify(jwk); err != nil || string(body) != `{"sub":"x"}` {
			t.Errorf("%s: %s %v", alg, body, err)
		}
	}
}

func TestAKeySurvivesItsStoredForm(t *testing.T) {
	for _, alg := range []string{jwt.ES256, jwt.RS256} {
		k := generate(t, alg)
		der, err1 := k.Private()
		pub, err2 := k.Public()
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		back, err1 := jwt.ParsePrivate(alg, der)
		half, err2 := jwt.ParsePublic(alg, pub)
		if err := errors.Join(err1, err2); err != nil || back.ID != k.ID || half.ID != k.ID || half.Signs() {
			t.Fatalf("%s: %v", alg, err)
		}
		tok, err := back.Sign(jwt.TypeID, []byte(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := jwt.NewSet(half).Verify(jwt.TypeID, tok); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
		if _, err := half.Sign(jwt.TypeID, nil); err == nil {
			t.Errorf("%s: a public key signs", alg)
		}
		other := jwt.RS256
		if alg == other {
			other = jwt.ES256
		}
		if _, err := jwt.ParsePrivate(other, der); err == nil {
			t.Errorf("%s: read as %s", alg, other)
		}
	}
}

func TestATokenIsOfOneClassAndOfOneKey(t *testing.T) {
	a, b := generate(t, jwt.ES256), generate(t, jwt.ES256)
	tok, _ := a.Sign(jwt.TypeAccess, []byte(`{}`))
	if _, err := jwt.NewSet(a, b).Verify(jwt.TypeAccess, tok); err != nil {
		t.Fatal(err)
	}
	if _, err := jwt.NewSet(a).Verify(jwt.TypeID, tok); !errors.Is(err, jwt.ErrInvalid) {
		t.Errorf("another class: %v", err)
	}
	if _, err := jwt.NewSet(b).Verify(jwt.TypeAccess, tok); !errors.Is(err, jwt.ErrInvalid) {
		t.Errorf("another key: %v", err)
	}
	if _, err := a.Sign("dpop+jwt", []byte(`{}`)); err == nil {
		t.Error("a class that does not exist is signed")
	}
}

func FuzzVerify(f *testing.F) {
	k := generate(f, jwt.ES256)
	good, _ := k.Sign(jwt.TypeAccess, []byte(`{"sub":"x"}`))
	set := jwt.NewSet(k)
	f.Add(good)
	f.Add("a.b.c")
	f.Add(good + ".")
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Fuzz(func(t *testing.T, tok string) {
		if _, err := set.Verify(jwt.TypeAccess, tok); err == nil && tok != good {
			t.Fatalf("%q is accepted", tok)
		}
	})
}
