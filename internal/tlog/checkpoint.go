package tlog

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/note"
)

// MaxCheckpoint bounds a signed checkpoint in bytes.
const MaxCheckpoint = 64 << 10

// Errors of checkpoints.
var (
	// ErrCheckpoint: the text is not a C2SP checkpoint, or not in its one
	// canonical form.
	ErrCheckpoint = errors.New("tlog: malformed checkpoint")
	// ErrOrigin: the checkpoint is of another log.
	ErrOrigin = errors.New("tlog: checkpoint of another log")
	// ErrSignature: a signature by a known key does not verify, or none of the
	// log's known keys signed.
	ErrSignature = errors.New("tlog: checkpoint is not signed by a known key of the log")
)

// strict64 refuses base64 that does not encode back to itself.
var strict64 = base64.StdEncoding.Strict()

// Checkpoint is the head of a log at one size: the text of a C2SP
// tlog-checkpoint.
type Checkpoint struct {
	// Origin names the log.
	Origin string
	// Size is the number of leaves.
	Size int64
	// Root is the root hash of the tree of that size.
	Root Hash
	// Extensions are further lines. Our logs write none; checkpoints of other
	// logs may have some, and they are signed like the rest.
	Extensions []string
}

// Text is the body that is signed: origin, size, root in standard base64, and
// the extension lines, each ended by a newline.
func (c Checkpoint) Text() string {
	var b strings.Builder
	b.WriteString(c.Origin)
	b.WriteByte('\n')
	b.WriteString(strconv.FormatInt(c.Size, 10))
	b.WriteByte('\n')
	b.WriteString(strict64.EncodeToString(c.Root[:]))
	b.WriteByte('\n')
	for _, x := range c.Extensions {
		b.WriteString(x)
		b.WriteByte('\n')
	}
	return b.String()
}

// ParseCheckpoint reads the body of a checkpoint. It is strict: decimal size
// without sign or leading zero, canonical base64 of 32 bytes, no empty line,
// no control character, a last newline; else ErrCheckpoint. What it accepts,
// Text gives back byte for byte.
func ParseCheckpoint(text string) (Checkpoint, error) {
	if len(text) > MaxCheckpoint || !utf8.ValidString(text) || !strings.HasSuffix(text, "\n") {
		return Checkpoint{}, ErrCheckpoint
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) < 3 {
		return Checkpoint{}, ErrCheckpoint
	}
	for _, l := range lines {
		if l == "" || strings.ContainsFunc(l, unicode.IsControl) {
			return Checkpoint{}, ErrCheckpoint
		}
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || size > maxSize {
		return Checkpoint{}, ErrCheckpoint
	}
	root, err := strict64.DecodeString(lines[2])
	if err != nil || len(root) != HashSize {
		return Checkpoint{}, ErrCheckpoint
	}
	c := Checkpoint{Origin: lines[0], Size: size, Root: Hash(root)}
	if len(lines) > 3 {
		c.Extensions = lines[3:]
	}
	if size == 0 && c.Root != EmptyRoot() {
		return Checkpoint{}, ErrCheckpoint
	}
	if c.Text() != text { // "+5", "007"
		return Checkpoint{}, ErrCheckpoint
	}
	return c, nil
}

// SignCheckpoint signs c with each of the signers, in that order. A log's own
// key has the origin as its name; during a change of key both the old and the
// new one sign. It returns ErrCheckpoint for a checkpoint that ParseCheckpoint
// would refuse.
func SignCheckpoint(c Checkpoint, signers ...note.Signer) ([]byte, error) {
	text := c.Text()
	if _, err := ParseCheckpoint(text); err != nil {
		return nil, err
	}
	msg, err := note.Sign(&note.Note{Text: text}, signers...)
	if err != nil {
		return nil, fmt.Errorf("tlog: sign checkpoint: %w", err)
	}
	return msg, nil
}

// SignedCheckpoint is a checkpoint whose signatures by known keys were
// verified.
type SignedCheckpoint struct {
	Checkpoint
	// Signatures are those that verified, each by another key, in the order of
	// the note: at least one by the log.
	Signatures []Signature
	// Unknown counts signatures by keys that were not given; they count for
	// nothing.
	Unknown int
}

// Signature is one verified signature of a checkpoint.
type Signature struct {
	// Name and KeyHash are those of the key.
	Name    string
	KeyHash uint32
	// Time is when a witness cosigned; zero for the log's own signature, which
	// carries no time.
	Time time.Time
}

// Cosigned reports whether this is a witness's cosignature.
func (s Signature) Cosigned() bool { return !s.Time.IsZero() }

// Witnesses counts cosignatures.
func (s *SignedCheckpoint) Witnesses() int {
	n := 0
	for _, sig := range s.Signatures {
		if sig.Cosigned() {
			n++
		}
	}
	return n
}

// OpenCheckpoint verifies a signed checkpoint of the log with this origin. Of
// the keys given (ParseVerifier), those of the log have the origin as name;
// those of witnesses are cosignature keys. One of the log's keys must have
// signed, and a bad signature by any of the given keys spoils the whole
// (ErrSignature). Signatures by other keys are ignored, as the standard asks.
// It returns ErrCheckpoint for a malformed note and ErrOrigin for the
// checkpoint of another log.
func OpenCheckpoint(msg []byte, origin string, keys ...note.Verifier) (*SignedCheckpoint, error) {
	if len(msg) > MaxCheckpoint {
		return nil, ErrCheckpoint
	}
	if err := checkNoteForm(msg); err != nil {
		return nil, err
	}
	n, err := note.Open(msg, note.VerifierList(distinct(keys)...))
	var unverified *note.UnverifiedNoteError
	var invalid *note.InvalidSignatureError
	switch {
	case errors.As(err, &unverified), errors.As(err, &invalid):
		return nil, ErrSignature
	case err != nil:
		return nil, ErrCheckpoint
	}
	c, err := ParseCheckpoint(n.Text)
	if err != nil {
		return nil, err
	}
	if c.Origin != origin {
		return nil, ErrOrigin
	}
	out := &SignedCheckpoint{Checkpoint: c, Unknown: len(n.UnverifiedSigs)}
	byLog := false
	for _, s := range n.Sigs {
		sig := Signature{Name: s.Name, KeyHash: s.Hash}
		if isCosigner(keys, s.Name, s.Hash) {
			sig.Time = cosignatureTime(s.Base64)
		} else if s.Name == origin {
			byLog = true
		} else {
			out.Unknown++ // a plain key of someone else says nothing about this log
			continue
		}
		out.Signatures = append(out.Signatures, sig)
	}
	if !byLog {
		return nil, ErrSignature
	}
	return out, nil
}

// CheckKeyChange verifies a checkpoint by which a log hands over from an old
// key to a new one: both must have signed it, else ErrSignature.
func CheckKeyChange(msg []byte, origin string, older, newer note.Verifier) (*SignedCheckpoint, error) {
	c, err := OpenCheckpoint(msg, origin, older, newer)
	if err != nil {
		return nil, err
	}
	if older.KeyHash() == newer.KeyHash() || len(c.Signatures) != 2 || c.Witnesses() != 0 {
		return nil, ErrSignature
	}
	return c, nil
}

// Cosign verifies a signed checkpoint as OpenCheckpoint does and adds a
// witness's cosignature. The witness must first have checked that the tree is
// consistent with the largest one it saw of this log.
func Cosign(msg []byte, origin string, witness *Cosigner, keys ...note.Verifier) ([]byte, error) {
	if _, err := OpenCheckpoint(msg, origin, keys...); err != nil {
		return nil, err
	}
	n, err := note.Open(msg, note.VerifierList(distinct(keys)...))
	if err != nil {
		return nil, ErrCheckpoint
	}
	out, err := note.Sign(n, witness)
	if err != nil {
		return nil, fmt.Errorf("tlog: cosign: %w", err)
	}
	return out, nil
}

// ReadCheckpoint splits a signed checkpoint without verifying anything: to
// show it, or to learn which log it claims to be of before keys are chosen.
func ReadCheckpoint(msg []byte) (Checkpoint, error) {
	i := bytes.LastIndex(msg, []byte("\n\n"))
	if i < 0 || len(msg) > MaxCheckpoint {
		return Checkpoint{}, ErrCheckpoint
	}
	return ParseCheckpoint(string(msg[:i+1]))
}

// checkNoteForm refuses signature lines whose base64 is not canonical: x/mod
// accepts stray bits at the end, which would let the bytes of a verified note
// change.
func checkNoteForm(msg []byte) error {
	i := bytes.LastIndex(msg, []byte("\n\n"))
	if i < 0 {
		return ErrCheckpoint
	}
	for line := range bytes.Lines(msg[i+2:]) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		j := bytes.LastIndexByte(line, ' ')
		if _, err := strict64.DecodeString(string(line[j+1:])); err != nil || bytes.IndexByte(line, '\r') >= 0 {
			return ErrCheckpoint
		}
	}
	return nil
}

func distinct(keys []note.Verifier) []note.Verifier {
	var out []note.Verifier
	for i, k := range keys {
		seen := false
		for _, before := range keys[:i] {
			seen = seen || before.Name() == k.Name() && before.KeyHash() == k.KeyHash()
		}
		if !seen {
			out = append(out, k)
		}
	}
	return out
}

func isCosigner(keys []note.Verifier, name string, hash uint32) bool {
	for _, k := range keys {
		if _, ok := k.(*cosignVerifier); ok && k.Name() == name && k.KeyHash() == hash {
			return true
		}
	}
	return false
}

// cosignatureTime reads the time out of a signature that verified.
func cosignatureTime(sig64 string) time.Time {
	raw, err := strict64.DecodeString(sig64)
	if err != nil || len(raw) != 4+cosignatureSize {
		return time.Time{}
	}
	return time.Unix(int64(binary.BigEndian.Uint64(raw[4:])), 0).UTC()
}
