package tlog

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
)

// PartKeySize is the length of a part key in bytes.
const PartKeySize = 32

// sealFormat opens the associated data of every sealed part.
const sealFormat = "rempart-log-part/v1"

// sealOverhead is what sealing adds: nonce (12) in front, tag (16) behind.
const sealOverhead = 12 + 16

// Errors of sealed parts. They are constant, so that nothing of the content or
// the key reaches a message.
var (
	// ErrPartKey: the key is not the one the leaf commits to.
	ErrPartKey = errors.New("tlog: part key does not match its commitment")
	// ErrCiphertext: the ciphertext is not the one the leaf commits to.
	ErrCiphertext = errors.New("tlog: ciphertext does not match its hash")
	// ErrOpen: key and ciphertext are those of the leaf, but were not sealed
	// for this log, entry and label.
	ErrOpen = errors.New("tlog: part does not open")
	// ErrPartKeySize: a part key has 32 bytes.
	ErrPartKeySize = errors.New("tlog: part key is not 32 bytes long")
	// ErrLabel: a part label is 1 to 32 of a-z, 0-9, '_' and '-'.
	ErrLabel = errors.New("tlog: malformed part label")
)

// PartKey is the key of one part of one entry, used to seal once and never
// again. It is secret until its owner hands it out with a proof. It does not
// print, log, compare or marshal.
type PartKey struct {
	_ [0]func() // forbids ==
	k [PartKeySize]byte
}

// ParsePartKey takes the 32 bytes of a stored key.
func ParsePartKey(b []byte) (PartKey, error) {
	var k PartKey
	if len(b) != PartKeySize {
		return k, ErrPartKeySize
	}
	copy(k.k[:], b)
	return k, nil
}

// Bytes is a copy of the key, to be wrapped or put in a proof on purpose.
func (k *PartKey) Bytes() []byte { return append([]byte(nil), k.k[:]...) }

// Commitment is SHA-256(label || key).
func (k *PartKey) Commitment(label string) Hash {
	var buf [MaxLabel + PartKeySize]byte
	b := append(append(buf[:0], label...), k.k[:]...)
	return sha256.Sum256(b)
}

// Format prints "[part key]" for every verb.
func (k PartKey) Format(f fmt.State, _ rune) { f.Write([]byte("[part key]")) }

// LogValue keeps the key out of structured logs.
func (k PartKey) LogValue() slog.Value { return slog.StringValue("[part key]") }

// MarshalText refuses: a key leaves only through Bytes.
func (k PartKey) MarshalText() ([]byte, error) {
	return nil, errors.New("tlog: a part key does not marshal")
}

// SealPart seals plaintext as the part with this label of this entry of this
// log, under a new random key: AES-256-GCM, the random nonce in front of the
// ciphertext. It returns the record for the leaf, the ciphertext to store, and
// the key to wrap and store beside the entry. It returns ErrLabel or ErrHeader
// for a label or origin that no header can have.
func SealPart(origin string, entry ID, label string, plaintext []byte) (Part, []byte, PartKey, error) {
	var key PartKey
	if !validLabel(label) {
		return Part{}, nil, key, ErrLabel
	}
	if !ValidOrigin(origin) {
		return Part{}, nil, key, ErrHeader
	}
	rand.Read(key.k[:])
	gcm, err := key.gcm()
	if err != nil {
		return Part{}, nil, PartKey{}, err
	}
	var buf [sealDataSize]byte
	out := make([]byte, 0, len(plaintext)+sealOverhead)
	out = gcm.Seal(out, nil, plaintext, appendSealData(buf[:0], origin, entry, label))
	return Part{
		Label:          label,
		KeyID:          NewID(),
		CiphertextHash: sha256.Sum256(out),
		KeyCommitment:  key.Commitment(label),
	}, out, key, nil
}

// OpenPart opens what SealPart sealed. Before it decrypts it checks that the
// leaf commits to this key (else ErrPartKey) and to this ciphertext (else
// ErrCiphertext); then origin, entry and label must be those of sealing (else
// ErrOpen).
func OpenPart(origin string, entry ID, p *Part, ciphertext []byte, key *PartKey) ([]byte, error) {
	if len(p.Label) > MaxLabel {
		return nil, ErrLabel
	}
	want := key.Commitment(p.Label)
	if subtle.ConstantTimeCompare(want[:], p.KeyCommitment[:]) != 1 {
		return nil, ErrPartKey
	}
	if sha256.Sum256(ciphertext) != p.CiphertextHash {
		return nil, ErrCiphertext
	}
	return openSealed(nil, origin, entry, p.Label, ciphertext, key)
}

// AppendOpened opens a part whose key and ciphertext the caller has already
// compared with the leaf, appending the content to dst. It exists for
// verifiers that compute both hashes anyway; all others use OpenPart. It
// returns ErrOpen.
func AppendOpened(dst []byte, origin string, entry ID, label string, ciphertext []byte, key *PartKey) ([]byte, error) {
	return openSealed(dst, origin, entry, label, ciphertext, key)
}

func openSealed(dst []byte, origin string, entry ID, label string, ciphertext []byte, key *PartKey) ([]byte, error) {
	if len(ciphertext) < sealOverhead || len(origin) > MaxOrigin || len(label) > MaxLabel {
		return dst, ErrOpen
	}
	gcm, err := key.gcm()
	if err != nil {
		return dst, err
	}
	var buf [sealDataSize]byte
	out, err := gcm.Open(dst, nil, ciphertext, appendSealData(buf[:0], origin, entry, label))
	if err != nil {
		return dst, ErrOpen
	}
	return out, nil
}

func (k *PartKey) gcm() (cipher.AEAD, error) {
	block, err := aes.NewCipher(k.k[:])
	if err != nil {
		return nil, fmt.Errorf("tlog: part cipher: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("tlog: part cipher: %w", err)
	}
	return aead, nil
}

const sealDataSize = 2 + len(sealFormat) + 2 + MaxOrigin + 16 + 2 + MaxLabel

// appendSealData is the associated data: a ciphertext opens in no other log,
// entry or part.
func appendSealData(dst []byte, origin string, entry ID, label string) []byte {
	dst = appendString(dst, sealFormat)
	dst = appendString(dst, origin)
	dst = append(dst, entry[:]...)
	return appendString(dst, label)
}
