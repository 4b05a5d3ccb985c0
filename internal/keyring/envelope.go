package keyring

import (
	"bytes"
	"context"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"filippo.io/age"

	"github.com/rempart/rempart/internal/id"
)

// installationKind names an installation: "ins_…".
type installationKind struct{}

// Prefix implements id.Kind.
func (installationKind) Prefix() string { return "ins" }

// wrapContext is what a key wrapped by the root or the recovery recipient is
// bound to.
func wrapContext(installation, what, name string) []byte {
	return []byte("rempart/keys/1\n" + installation + "\n" + what + "\n" + name)
}

// wrapForRecovery encrypts a key to the offline recipient. age binds no
// context, so the context goes inside, behind the key's 32 bytes.
func wrapForRecovery(recipient string, key Secret, context []byte) ([]byte, error) {
	r, err := age.ParseX25519Recipient(recipient)
	if err != nil {
		return nil, fmt.Errorf("keyring: recovery recipient: %w", err)
	}
	var out bytes.Buffer
	w, err := age.Encrypt(&out, r)
	if err != nil {
		return nil, fmt.Errorf("keyring: recovery recipient: %w", err)
	}
	if _, err := w.Write(append(bytes.Clone(key.b), context...)); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func unwrapByRecovery(identity age.Identity, wrapped, context []byte) (Secret, error) {
	r, err := age.Decrypt(bytes.NewReader(wrapped), identity)
	if err != nil {
		return Secret{}, fmt.Errorf("keyring: the recovery identity does not open this copy: %w", err)
	}
	b, err := io.ReadAll(io.LimitReader(r, 4096))
	if err != nil {
		return Secret{}, fmt.Errorf("keyring: recovery: %w", err)
	}
	if len(b) < 32 || !bytes.Equal(b[32:], context) {
		return Secret{}, errors.New("keyring: recovery: the wrapped key belongs elsewhere")
	}
	return NewSecret(b[:32:32]), nil
}

// envelopeHeader is the first line of an object at the second place; the rest
// is one AES-256-GCM message bound to that line.
type envelopeHeader struct {
	Format       int       `json:"rempart_keys"`
	Installation string    `json:"installation"`
	Name         string    `json:"name"`
	Made         time.Time `json:"made_at"`
	RootKind     string    `json:"root_kind"`
	ByRoot       []byte    `json:"by_root"`
	ByRecovery   []byte    `json:"by_recovery"`
}

// sealObject seals an object under a fresh key that root and recovery
// recipient can unwrap, directly: it opens without the keys database.
func (s *Service) sealObject(ctx context.Context, installation, recipient, name string, plain []byte) ([]byte, error) {
	key := newKey()
	defer key.Wipe()
	bind := wrapContext(installation, "object", name)
	byRoot, err := s.Root.Wrap(ctx, key.b, bind)
	if err != nil {
		return nil, fmt.Errorf("keyring: root key: %w", err)
	}
	byRecovery, err := wrapForRecovery(recipient, key, bind)
	if err != nil {
		return nil, err
	}
	head, err := json.Marshal(envelopeHeader{1, installation, name, s.Now(), s.Root.Kind(), byRoot, byRecovery})
	if err != nil {
		return nil, err
	}
	head = append(head, '\n')
	return newGCM(key.b).Seal(head, nil, plain, head), nil
}

// openObject opens what sealObject made, with the root or, where identity is
// given, with the recovery identity.
func openObject(ctx context.Context, root Root, identity age.Identity, installation, name string, sealed []byte) ([]byte, error) {
	end := bytes.IndexByte(sealed, '\n')
	if end < 0 || end > 16<<10 {
		return nil, fmt.Errorf("%w: %s has no header", ErrCorrupt, name)
	}
	var h envelopeHeader
	if err := json.Unmarshal(sealed[:end], &h); err != nil || h.Format != 1 || h.Name != name || h.Installation != installation {
		return nil, fmt.Errorf("%w: %s is not an object of this installation", ErrCorrupt, name)
	}
	bind := wrapContext(installation, "object", name)
	var key Secret
	if identity != nil {
		var err error
		if key, err = unwrapByRecovery(identity, h.ByRecovery, bind); err != nil {
			return nil, err
		}
	} else {
		b, err := root.Unwrap(ctx, h.ByRoot, bind)
		if err != nil {
			return nil, fmt.Errorf("keyring: %s: %w", name, err)
		}
		key = NewSecret(b)
	}
	defer key.Wipe()
	if len(key.b) != 32 {
		return nil, fmt.Errorf("%w: %s", ErrCorrupt, name)
	}
	plain, err := newGCM(key.b).Open(nil, nil, sealed[end+1:], sealed[:end+1])
	if err != nil {
		return nil, fmt.Errorf("%w: %s", ErrCorrupt, name)
	}
	return plain, nil
}

// wrapper derives from a key the one that wraps the keys below it, so that
// sealing data and wrapping keys never use the same one.
func wrapper(raw Secret) cipher.AEAD {
	k, err := hkdf.Key(sha256.New, raw.b, nil, "rempart/wrap/1", 32)
	if err != nil {
		panic("keyring: " + err.Error())
	}
	return newGCM(k)
}

// keyContext binds a wrapped key to what it is and to what wraps it.
func keyContext(k keyRow) []byte {
	b := []byte("rempart/key/1\n")
	kid, parent := k.ID.Bytes(), k.Parent.Bytes()
	b = append(append(b, kid[:]...), parent[:]...)
	return appendPart(appendPart(b, k.Purpose), k.Owner)
}

func wrapKey(by cipher.AEAD, k keyRow, raw Secret) []byte {
	return by.Seal(nil, nil, raw.b, keyContext(k))
}

func unwrapKey(by cipher.AEAD, k keyRow) (Secret, error) {
	raw, err := by.Open(nil, nil, k.Wrapped, keyContext(k))
	if err != nil || len(raw) != 32 {
		return Secret{}, fmt.Errorf("%w: key %s", ErrCorrupt, k.ID)
	}
	return NewSecret(raw), nil
}

// unwrapKEKs opens every key-encryption key with the root.
func unwrapKEKs(ctx context.Context, root Root, installation string, rows []kekRow) (map[id.DataKey]cipher.AEAD, id.DataKey, error) {
	out := make(map[id.DataKey]cipher.AEAD, len(rows))
	var active id.DataKey
	for _, k := range rows {
		raw, err := root.Unwrap(ctx, k.ByRoot, wrapContext(installation, "key-encryption-key", k.ID.String()))
		if err != nil {
			return nil, active, err
		}
		if len(raw) != 32 {
			return nil, active, ErrRoot
		}
		key := NewSecret(raw)
		out[k.ID] = wrapper(key)
		key.Wipe()
		if k.State == stateActive {
			active = k.ID
		}
	}
	if active.IsZero() {
		return nil, active, errors.New("keyring: the keys database has no key-encryption key in force")
	}
	return out, active, nil
}

// makeKEK makes a key-encryption key, wrapped twice.
func (s *Service) makeKEK(ctx context.Context, installation, recipient string, kid id.DataKey, version int64) (kekRow, Secret, error) {
	raw := newKey()
	bind := wrapContext(installation, "key-encryption-key", kid.String())
	byRoot, err := s.Root.Wrap(ctx, raw.b, bind)
	if err != nil {
		return kekRow{}, Secret{}, fmt.Errorf("keyring: root key: %w", err)
	}
	byRecovery, err := wrapForRecovery(recipient, raw, bind)
	if err != nil {
		return kekRow{}, Secret{}, err
	}
	return kekRow{ID: kid, Version: version, State: stateActive, RootKind: s.Root.Kind(), ByRoot: byRoot, ByRecovery: byRecovery, Created: micros(s.Now())}, raw, nil
}
