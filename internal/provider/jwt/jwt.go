// Package jwt signs and verifies the JSON Web Tokens of the provider: compact
// JWS (RFC 7515) with ES256 or RS256 and nothing else.
//
// A key has one algorithm for ever, and the header of each class of token it
// signs is one fixed text. Verify therefore looks the whole header up instead
// of reading it: a token with another algorithm, another type, a key of its
// own (jwk, jku, x5u, x5c), a critical extension or a key id with surprises in
// it has a header that we never wrote, and is refused before a byte of it is
// interpreted (RFC 8725 sections 3.1, 3.9, 3.11).
//
// The package knows no claims, no clock and no storage.
package jwt

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
)

// The algorithms.
const (
	ES256 = "ES256"
	RS256 = "RS256"
)

// The classes of tokens, by the typ member of their header.
const (
	TypeAccess = "at+jwt" // RFC 9068 section 2.1
	TypeID     = "JWT"
)

var types = [...]string{TypeAccess, TypeID}

const (
	rsaBits  = 3072
	maxToken = 16 << 10 // bytes; ours are far below
)

// ErrInvalid is returned for every token that we did not sign as the class asked for.
var ErrInvalid = errors.New("jwt: invalid token")

// Key is a key pair with its algorithm, or only the public half.
type Key struct {
	ID  string // thumbprint (RFC 7638)
	Alg string

	ec      *ecdsa.PrivateKey
	rs      *rsa.PrivateKey
	public  crypto.PublicKey
	jwk     []byte
	headers map[string]string // by type, base64url
}

// Generate makes a key.
func Generate(alg string) (*Key, error) {
	switch alg {
	case ES256:
		p, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("jwt: %w", err)
		}
		return newKey(alg, p, p.Public())
	case RS256:
		p, err := rsa.GenerateKey(rand.Reader, rsaBits)
		if err != nil {
			return nil, fmt.Errorf("jwt: %w", err)
		}
		return newKey(alg, p, p.Public())
	}
	return nil, fmt.Errorf("jwt: no algorithm %q", alg)
}

// ParsePrivate reads what Private gave.
func ParsePrivate(alg string, der []byte) (*Key, error) {
	p, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("jwt: private key: %w", err)
	}
	s, ok := p.(crypto.Signer)
	if !ok {
		return nil, errors.New("jwt: private key does not sign")
	}
	return newKey(alg, p, s.Public())
}

// ParsePublic reads what Public gave: a key that verifies and cannot sign.
func ParsePublic(alg string, der []byte) (*Key, error) {
	p, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, fmt.Errorf("jwt: public key: %w", err)
	}
	return newKey(alg, nil, p)
}

func newKey(alg string, private any, public crypto.PublicKey) (*Key, error) {
	k := &Key{Alg: alg, public: public, headers: map[string]string{}}
	enc := base64.RawURLEncoding.EncodeToString
	var thumb, members string
	switch pub := public.(type) {
	case *ecdsa.PublicKey:
		if alg != ES256 || pub.Curve != elliptic.P256() {
			return nil, errors.New("jwt: key does not fit its algorithm")
		}
		raw, err := pub.Bytes()
		if err != nil {
			return nil, fmt.Errorf("jwt: %w", err)
		}
		x, y := enc(raw[1:33]), enc(raw[33:])
		thumb = `{"crv":"P-256","kty":"EC","x":"` + x + `","y":"` + y + `"}`
		members = `"kty":"EC","crv":"P-256","x":"` + x + `","y":"` + y + `"`
		k.ec, _ = private.(*ecdsa.PrivateKey)
	case *rsa.PublicKey:
		if alg != RS256 || pub.N.BitLen() < rsaBits {
			return nil, errors.New("jwt: key does not fit its algorithm")
		}
		n, e := enc(pub.N.Bytes()), enc(big.NewInt(int64(pub.E)).Bytes())
		thumb = `{"e":"` + e + `","kty":"RSA","n":"` + n + `"}`
		members = `"kty":"RSA","n":"` + n + `","e":"` + e + `"`
		k.rs, _ = private.(*rsa.PrivateKey)
	default:
		return nil, fmt.Errorf("jwt: key of type %T", public)
	}
	sum := sha256.Sum256([]byte(thumb))
	k.ID = enc(sum[:])
	k.jwk = []byte(`{` + members + `,"use":"sig","alg":"` + alg + `","kid":"` + k.ID + `"}`)
	for _, typ := range types {
		k.headers[typ] = enc([]byte(`{"alg":"` + alg + `","kid":"` + k.ID + `","typ":"` + typ + `"}`))
	}
	return k, nil
}

// Signs reports whether the private half is there.
func (k *Key) Signs() bool { return k.ec != nil || k.rs != nil }

// Private is the private key, as PKCS #8.
func (k *Key) Private() ([]byte, error) {
	if k.ec != nil {
		return x509.MarshalPKCS8PrivateKey(k.ec)
	}
	return x509.MarshalPKCS8PrivateKey(k.rs)
}

// Public is the public key, as PKIX.
func (k *Key) Public() ([]byte, error) { return x509.MarshalPKIXPublicKey(k.public) }

// JWK is the public key as one member of a key set (RFC 7517).
func (k *Key) JWK() json.RawMessage { return k.jwk }

// Sign makes a token of the class with the claims, a JSON object.
func (k *Key) Sign(typ string, claims []byte) (string, error) {
	header, ok := k.headers[typ]
	if !ok || !k.Signs() {
		return "", fmt.Errorf("jwt: key %s does not sign %q", k.ID, typ)
	}
	enc := base64.RawURLEncoding
	sig := 64
	if k.rs != nil {
		sig = k.rs.Size()
	}
	out := make([]byte, 0, len(header)+2+enc.EncodedLen(len(claims))+enc.EncodedLen(sig))
	out = append(out, header...)
	out = append(out, '.')
	out = enc.AppendEncode(out, claims)
	sum := sha256.Sum256(out)
	out = append(out, '.')
	if k.rs != nil {
		s, err := rsa.SignPKCS1v15(rand.Reader, k.rs, crypto.SHA256, sum[:])
		if err != nil {
			return "", fmt.Errorf("jwt: sign: %w", err)
		}
		return string(enc.AppendEncode(out, s)), nil
	}
	r, s, err := ecdsa.Sign(rand.Reader, k.ec, sum[:])
	if err != nil {
		return "", fmt.Errorf("jwt: sign: %w", err)
	}
	var raw [64]byte // r and s, each of 32 bytes (RFC 7518 section 3.4)
	r.FillBytes(raw[:32])
	s.FillBytes(raw[32:])
	return string(enc.AppendEncode(out, raw[:])), nil
}

func (k *Key) verify(sum, sig []byte) bool {
	switch pub := k.public.(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(pub, crypto.SHA256, sum, sig) == nil
	case *ecdsa.PublicKey:
		if len(sig) != 64 {
			return false
		}
		return ecdsa.Verify(pub, sum, new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:]))
	}
	return false
}

// Set is the keys whose tokens are accepted. It does not change once made.
type Set struct {
	byHeader map[string]*Key // type, a space, header
	byID     map[string]*Key
}

// NewSet makes a set.
func NewSet(keys ...*Key) *Set {
	s := &Set{byHeader: map[string]*Key{}, byID: map[string]*Key{}}
	for _, k := range keys {
		s.byID[k.ID] = k
		for typ, h := range k.headers {
			s.byHeader[typ+" "+h] = k
		}
	}
	return s
}

// Verify checks that the token is of the class and signed by a key of the set,
// and gives its claims, unread: times, issuer and audience are the caller's to
// check. Every failure is ErrInvalid.
func (s *Set) Verify(typ, token string) ([]byte, error) {
	if len(token) > maxToken {
		return nil, ErrInvalid
	}
	header, rest, ok := strings.Cut(token, ".")
	body, sig, ok2 := strings.Cut(rest, ".")
	if !ok || !ok2 {
		return nil, ErrInvalid
	}
	k := s.byHeader[typ+" "+header]
	if k == nil {
		return nil, ErrInvalid
	}
	enc := base64.RawURLEncoding.Strict() // one text a token: no spare bits, no line ends
	rawSig, err := decode(enc, sig)
	if err != nil {
		return nil, ErrInvalid
	}
	sum := sha256.Sum256([]byte(token[:len(header)+1+len(body)]))
	if !k.verify(sum[:], rawSig) {
		return nil, ErrInvalid
	}
	claims, err := decode(enc, body)
	if err != nil || !json.Valid(claims) || !bytes.HasPrefix(claims, []byte("{")) {
		return nil, ErrInvalid
	}
	return claims, nil
}

// decode refuses the line ends that encoding/base64 skips.
func decode(enc *base64.Encoding, s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, ErrInvalid
	}
	return enc.DecodeString(s)
}
