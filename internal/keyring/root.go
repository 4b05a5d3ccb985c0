package keyring

import (
	"bytes"
	"context"
	"crypto/fips140"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/crypto/argon2"
)

// ErrRoot is returned when the root key is not the one that wrapped.
var ErrRoot = errors.New("keyring: the root key is not this installation's")

// Root is the vault that holds the root key. It wraps and unwraps the few
// things directly below: key-encryption keys, and the keys of copies. aad is
// bound: Unwrap gives plain only for the aad that Wrap was given, else ErrRoot.
//
// Implementations: FileRoot, PassphraseRoot. A remote vault wraps at its side
// and never gives the root key away.
type Root interface {
	// Kind names the holder for the inventory: "file", "credential", "passphrase".
	Kind() string
	Wrap(ctx context.Context, plain, aad []byte) ([]byte, error)
	Unwrap(ctx context.Context, wrapped, aad []byte) ([]byte, error)
}

// How a wrapped value begins.
const (
	wrapRaw      = 1 // the root key as it is
	wrapArgon2id = 2 // derived: time, memory in KiB, lanes, salt
	wrapPBKDF2   = 3 // derived: iterations, 0, 0, salt
)

type fileRoot struct {
	kind string
	key  Secret
}

// FileRoot reads the root key of 32 bytes, raw or in hexadecimal, from a file
// that only its owner can read. kind is "file", or "credential" for one that
// systemd hands over (LoadCredentialEncrypted).
func FileRoot(kind, path string) (Root, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("keyring: root key: %w", err)
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("keyring: root key: %s must be a file that only its owner can read (mode 0600)", path)
	}
	if info.Size() > 256 {
		return nil, fmt.Errorf("keyring: root key: %s does not hold 32 bytes", path)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("keyring: root key: %w", err)
	}
	if len(b) != 32 {
		raw, err := hex.DecodeString(string(bytes.TrimSpace(b)))
		clear(b)
		if err != nil || len(raw) != 32 {
			return nil, fmt.Errorf("keyring: root key: %s does not hold 32 bytes", path)
		}
		b = raw
	}
	return fileRoot{kind, NewSecret(b)}, nil
}

// MakeRootFile makes a new root key at path, durably, and opens it. It never
// replaces a file: the error is then fs.ErrExist.
func MakeRootFile(path string) (Root, error) {
	if _, err := os.Lstat(path); err == nil {
		return nil, fmt.Errorf("keyring: root key: %s: %w", path, fs.ErrExist)
	}
	key := newKey()
	defer key.Wipe()
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("keyring: root key: %w", err)
	}
	if err := writeDurably(dir, filepath.Base(path), key.b); err != nil {
		return nil, fmt.Errorf("keyring: root key: %w", err)
	}
	return FileRoot("file", path)
}

func (r fileRoot) Kind() string { return r.kind }

func (r fileRoot) Wrap(_ context.Context, plain, aad []byte) ([]byte, error) {
	return newGCM(r.key.b).Seal([]byte{wrapRaw}, nil, plain, aad), nil
}

func (r fileRoot) Unwrap(_ context.Context, wrapped, aad []byte) ([]byte, error) {
	if len(wrapped) < 1+nonceSize+tagSize || wrapped[0] != wrapRaw {
		return nil, ErrRoot
	}
	plain, err := newGCM(r.key.b).Open(nil, nil, wrapped[1:], aad)
	if err != nil {
		return nil, ErrRoot
	}
	return plain, nil
}

// Costs of deriving the root key from a passphrase: RFC 9106 section 4, second
// choice; PBKDF2 as SP 800-132 with the count of OWASP.
const (
	argonTime, argonMemory, argonLanes = 3, 64 << 10, 4
	pbkdf2Rounds                       = 600_000
	deriveHeader                       = 1 + 4 + 4 + 1 + 16
)

// passphraseRoot derives the root key anew for each salt that it meets; a
// process keeps to the first one, so that it derives once.
type passphraseRoot struct {
	phrase Secret
	fips   bool

	mu   sync.Mutex
	keys map[string]Secret // by header
	last []byte            // header that Wrap uses
}

// PassphraseRoot derives the root key from a passphrase of at least 16 bytes:
// by Argon2id, and by PBKDF2 when the FIPS 140-3 module is on.
func PassphraseRoot(phrase Secret) (Root, error) {
	if len(phrase.b) < 16 {
		return nil, errors.New("keyring: the passphrase of the root key needs at least 16 characters")
	}
	return &passphraseRoot{phrase: phrase, fips: fips140.Enabled(), keys: map[string]Secret{}}, nil
}

func (r *passphraseRoot) Kind() string { return "passphrase" }

func (r *passphraseRoot) derive(header []byte) (Secret, error) {
	if k, ok := r.keys[string(header)]; ok {
		return k, nil
	}
	n, m, lanes := binary.BigEndian.Uint32(header[1:]), binary.BigEndian.Uint32(header[5:]), header[9]
	salt := header[10:deriveHeader]
	var key []byte
	switch header[0] {
	case wrapArgon2id:
		// Bounds, since the header is read before anything proves it.
		if n < 1 || n > 10 || m < 19<<10 || m > 1<<20 || lanes < 1 || lanes > 16 {
			return Secret{}, ErrRoot
		}
		key = argon2.IDKey(r.phrase.b, salt, n, m, lanes, 32)
	case wrapPBKDF2:
		if n < pbkdf2Rounds || n > 10*pbkdf2Rounds {
			return Secret{}, ErrRoot
		}
		var err error
		if key, err = pbkdf2.Key(sha256.New, string(r.phrase.b), salt, int(n), 32); err != nil {
			return Secret{}, err
		}
	default:
		return Secret{}, ErrRoot
	}
	if len(r.keys) > 16 {
		clear(r.keys)
	}
	r.keys[string(header)] = NewSecret(key)
	return r.keys[string(header)], nil
}

func (r *passphraseRoot) Wrap(_ context.Context, plain, aad []byte) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last == nil {
		h := make([]byte, deriveHeader)
		h[0] = wrapArgon2id
		binary.BigEndian.PutUint32(h[1:], argonTime)
		binary.BigEndian.PutUint32(h[5:], argonMemory)
		h[9] = argonLanes
		if r.fips {
			h[0] = wrapPBKDF2
			binary.BigEndian.PutUint32(h[1:], pbkdf2Rounds)
			binary.BigEndian.PutUint32(h[5:], 0)
			h[9] = 0
		}
		_, _ = rand.Read(h[10:])
		r.last = h
	}
	key, err := r.derive(r.last)
	if err != nil {
		return nil, err
	}
	return newGCM(key.b).Seal(bytes.Clone(r.last), nil, plain, append(bytes.Clone(r.last), aad...)), nil
}

func (r *passphraseRoot) Unwrap(_ context.Context, wrapped, aad []byte) ([]byte, error) {
	if len(wrapped) < deriveHeader+nonceSize+tagSize {
		return nil, ErrRoot
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	header := wrapped[:deriveHeader]
	key, err := r.derive(header)
	if err != nil {
		return nil, err
	}
	plain, err := newGCM(key.b).Open(nil, nil, wrapped[deriveHeader:], append(bytes.Clone(header), aad...))
	if err != nil {
		return nil, ErrRoot
	}
	if r.last == nil && (header[0] == wrapPBKDF2) == r.fips {
		r.last = bytes.Clone(header)
	}
	return plain, nil
}

// newKey makes a key of 256 bits.
func newKey() Secret {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails: the process ends instead
	return NewSecret(b)
}
