package tlog

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/note"
)

// Key types of C2SP signed-note and tlog-cosignature that we know.
const (
	algEd25519   byte = 1 // note signature
	algCosigner  byte = 4 // cosignature/v1: time-stamped Ed25519
	privatePlate      = "PRIVATE+KEY+"
)

// cosignatureSize is a u64 time and an Ed25519 signature.
const cosignatureSize = 8 + ed25519.SignatureSize

// ErrKey: a key does not have the encoding of C2SP signed-note, or its hash is
// wrong, or its type is unknown.
var ErrKey = errors.New("tlog: malformed key")

// GenerateKey draws a log's key pair; the name is the log's origin. The secret
// one is for ParseSigner, the other (a verifier key, "vkey") is published and
// put in the recovery kit.
func GenerateKey(name string) (secret, public string, err error) {
	return generate(name, algEd25519)
}

// GenerateCosignerKey draws a witness's key pair; the name is the witness's,
// by custom a URL without scheme.
func GenerateCosignerKey(name string) (secret, public string, err error) {
	return generate(name, algCosigner)
}

func generate(name string, alg byte) (secret, public string, err error) {
	if !validKeyName(name) {
		return "", "", ErrKey
	}
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", "", fmt.Errorf("tlog: generate key: %w", err)
	}
	encoded := append([]byte{alg}, pub...)
	public = name + "+" + hex8(keyHash(name, encoded)) + "+" + strict64.EncodeToString(encoded)
	secret = privatePlate + name + "+" + hex8(keyHash(name, encoded)) + "+" +
		strict64.EncodeToString(append([]byte{alg}, priv.Seed()...))
	return secret, public, nil
}

// KeyID is the text by which a key is named in reports and in the keyid of
// statements: <name>+<key hash in 8 hexadecimal digits>.
func KeyID(name string, hash uint32) string { return name + "+" + hex8(hash) }

// ParseVerifier reads a verifier key: of a log (Ed25519, type 0x01) or of a
// witness (Ed25519 cosignature/v1, type 0x04). It returns ErrKey.
func ParseVerifier(vkey string) (note.Verifier, error) {
	name, alg, key, hash, err := parseKey(vkey)
	if err != nil {
		return nil, err
	}
	if keyHash(name, append([]byte{alg}, key...)) != hash {
		return nil, ErrKey
	}
	switch alg {
	case algEd25519:
		return &verifier{name: name, hash: hash, key: key}, nil
	case algCosigner:
		return &cosignVerifier{verifier{name: name, hash: hash, key: key}}, nil
	}
	return nil, ErrKey
}

// IsCosigner reports whether v verifies a witness's cosignatures.
func IsCosigner(v note.Verifier) bool {
	_, ok := v.(*cosignVerifier)
	return ok
}

// ParseSigner reads the secret key of a log. It returns ErrKey, also for a
// witness's key.
func ParseSigner(secret string) (note.Signer, error) {
	name, priv, hash, err := parseSecret(secret, algEd25519)
	if err != nil {
		return nil, err
	}
	return &signer{name: name, hash: hash, key: priv}, nil
}

// Cosigner signs checkpoints as a witness (C2SP tlog-cosignature, Ed25519).
// It implements note.Signer.
type Cosigner struct {
	signer
	now func() time.Time
}

// ParseCosigner reads the secret key of a witness; now gives the time that is
// put in each cosignature. It returns ErrKey, also for a log's key.
func ParseCosigner(secret string, now func() time.Time) (*Cosigner, error) {
	name, priv, hash, err := parseSecret(secret, algCosigner)
	if err != nil {
		return nil, err
	}
	return &Cosigner{signer{name: name, hash: hash, key: priv}, now}, nil
}

// Sign signs the text of a checkpoint, and nothing else, with the time.
func (c *Cosigner) Sign(text []byte) ([]byte, error) {
	if _, err := ParseCheckpoint(string(text)); err != nil {
		return nil, err
	}
	t := c.now().Unix()
	if t <= 0 {
		return nil, errors.New("tlog: cosign: clock before 1970")
	}
	sig := binary.BigEndian.AppendUint64(nil, uint64(t))
	return append(sig, ed25519.Sign(c.key, cosignedMessage(uint64(t), text))...), nil
}

func cosignedMessage(t uint64, text []byte) []byte {
	msg := append([]byte(nil), "cosignature/v1\ntime "...)
	msg = strconv.AppendUint(msg, t, 10)
	msg = append(msg, '\n')
	return append(msg, text...)
}

type signer struct {
	name string
	hash uint32
	key  ed25519.PrivateKey
}

func (s *signer) Name() string                    { return s.name }
func (s *signer) KeyHash() uint32                 { return s.hash }
func (s *signer) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(s.key, msg), nil }

// Format keeps the key out of any print.
func (s *signer) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "[signer %s]", s.name) }

type verifier struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

func (v *verifier) Name() string                { return v.name }
func (v *verifier) KeyHash() uint32             { return v.hash }
func (v *verifier) Verify(msg, sig []byte) bool { return ed25519.Verify(v.key, msg, sig) }

type cosignVerifier struct{ verifier }

func (v *cosignVerifier) Verify(msg, sig []byte) bool {
	if len(sig) != cosignatureSize {
		return false
	}
	t := binary.BigEndian.Uint64(sig)
	// Zero would read as "no time" in Signature; no witness signs in 1970.
	if t == 0 || t > math.MaxInt64 {
		return false
	}
	return ed25519.Verify(v.key, cosignedMessage(t, msg), sig[8:])
}

func parseSecret(secret string, alg byte) (string, ed25519.PrivateKey, uint32, error) {
	rest, ok := strings.CutPrefix(secret, privatePlate)
	if !ok {
		return "", nil, 0, ErrKey
	}
	name, got, seed, hash, err := parseKey(rest)
	if err != nil || got != alg {
		return "", nil, 0, ErrKey
	}
	priv := ed25519.NewKeyFromSeed(seed)
	if keyHash(name, append([]byte{alg}, priv[32:]...)) != hash {
		return "", nil, 0, ErrKey
	}
	return name, priv, hash, nil
}

// parseKey reads <name>+<hash>+<base64 of type and 32 bytes>.
func parseKey(s string) (name string, alg byte, key []byte, hash uint32, err error) {
	fields := strings.SplitN(s, "+", 3)
	if len(s) > 1024 || len(fields) != 3 || !validKeyName(fields[0]) || len(fields[1]) != 8 ||
		fields[1] != strings.ToLower(fields[1]) {
		return "", 0, nil, 0, ErrKey
	}
	h, err := strconv.ParseUint(fields[1], 16, 32)
	if err != nil {
		return "", 0, nil, 0, ErrKey
	}
	raw, err := strict64.DecodeString(fields[2])
	if err != nil || len(raw) != 1+32 || strings.ContainsAny(fields[2], "\r\n") {
		return "", 0, nil, 0, ErrKey
	}
	return fields[0], raw[0], raw[1:], uint32(h), nil
}

// validKeyName follows C2SP signed-note: not empty, no space, no plus; and no
// control character, since names are printed.
func validKeyName(s string) bool {
	return s != "" && len(s) <= MaxOrigin && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return r == '+' || unicode.IsSpace(r) || unicode.IsControl(r)
	})
}

func keyHash(name string, encoded []byte) uint32 {
	h := sha256.Sum256(append([]byte(name+"\n"), encoded...))
	return binary.BigEndian.Uint32(h[:4])
}

func hex8(h uint32) string {
	return hex.EncodeToString(binary.BigEndian.AppendUint32(nil, h))
}
