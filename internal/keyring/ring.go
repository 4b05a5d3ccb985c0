package keyring

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"sync"
	"sync/atomic"

	"github.com/rempart/rempart/internal/id"
)

// Errors that callers branch on.
var (
	// ErrErased is returned for what belongs to an owner whose key was destroyed.
	ErrErased = errors.New("keyring: the key was destroyed")
	// ErrUnknown is returned for a value whose key id is not among the owner's keys.
	ErrUnknown = errors.New("keyring: the key is unknown")
	// ErrCorrupt is returned for a value that is not what Seal made for the same owner, label and row.
	ErrCorrupt = errors.New("keyring: the sealed value does not open")
	// ErrNotReady is returned for an owner that was not given to Ready.
	ErrNotReady = errors.New("keyring: the owner's keys were not loaded")
	// ErrSpent is returned when a ring has sealed more than was reserved: call Ready again.
	ErrSpent = errors.New("keyring: the reserved uses of the key are spent")
)

// A sealed value is a header of 17 bytes (format, key id), a nonce of 12, the
// ciphertext and a tag of 16: 45 bytes more than the plain one.
const (
	formatGCM  = 1
	headerSize = 1 + 16
	nonceSize  = 12
	tagSize    = 16

	// Overhead is what sealing adds to the length of a value.
	Overhead = headerSize + nonceSize + tagSize
)

// dataKey is one version of an owner's key, unwrapped. It is shared by every
// ring that holds it and safe for concurrent use.
type dataKey struct {
	id      id.DataKey
	version int64
	raw     Secret
	header  [headerSize]byte
	once    sync.Once
	aead    cipher.AEAD
	onceW   sync.Once
	wrap    cipher.AEAD

	left    atomic.Int64 // uses still allowed before the next reservation
	blocked atomic.Bool  // a block of uses is reserved in the keys database
}

func newDataKey(kid id.DataKey, version int64, raw Secret) *dataKey {
	k := &dataKey{id: kid, version: version, raw: raw}
	k.header[0] = formatGCM
	b := kid.Bytes()
	copy(k.header[1:], b[:])
	k.left.Store(smallChange)
	return k
}

// cipher makes the AEAD once: the key schedule costs more than sealing a field.
func (k *dataKey) cipher() cipher.AEAD {
	k.once.Do(func() { k.aead = newGCM(k.raw.b) })
	return k.aead
}

// wrapper is what wraps the keys below this one.
func (k *dataKey) wrapper() cipher.AEAD {
	k.onceW.Do(func() { k.wrap = wrapper(k.raw) })
	return k.wrap
}

// newGCM is AES-256-GCM with a random nonce in front of the ciphertext. The key
// is always one of ours, of 32 bytes, so that it can't fail.
func newGCM(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic("keyring: " + err.Error())
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic("keyring: " + err.Error())
	}
	return aead
}

// ownerKeys is every readable key of one owner. Immutable once in the cache.
type ownerKeys struct {
	owner    Owner
	active   *dataKey
	versions []*dataKey // newest first, active among them
	index    *indexKey  // of the installation and organizations
	bound    Owner      // whose key wraps these; zero: the key-encryption key's
	isBound  bool
	above    *ownerKeys // of bound
	erased   bool
}

func (o *ownerKeys) find(header []byte) *dataKey {
	for _, k := range o.versions {
		if string(k.header[:]) == string(header) {
			return k
		}
	}
	return nil
}

// indexKey computes keyed hashes; the pool holds keyed states, since keying
// HMAC-SHA-256 costs two blocks.
type indexKey struct {
	pool sync.Pool
}

func newIndexKey(raw Secret) *indexKey {
	return &indexKey{pool: sync.Pool{New: func() any { return hmac.New(sha256.New, raw.b) }}}
}

func (x *indexKey) sum(label, value string) []byte {
	h := x.pool.Get().(hash.Hash)
	defer x.pool.Put(h)
	h.Reset()
	buf := buffers.Get().(*[]byte)
	b := appendPart(appendPart((*buf)[:0], label), value)
	_, _ = h.Write(b)
	out := h.Sum(make([]byte, 0, sha256.Size))
	*buf = b
	buffers.Put(buf)
	return out
}

// Ring is the loaded keys of some owners. It is made by Service.Ready, holds no
// connection, and may be used inside a transaction, by several goroutines. It
// is for one request or one piece of work, not to be kept.
type Ring struct {
	from *Service
	few  []*ownerKeys
	many map[Owner]*ownerKeys // when there are more than ringFew
}

const ringFew = 8

func newRing(keys []*ownerKeys) *Ring {
	r := &Ring{few: keys}
	if len(keys) > ringFew {
		r.many = make(map[Owner]*ownerKeys, len(keys))
		for _, k := range keys {
			r.many[k.owner] = k
		}
	}
	return r
}

func (r *Ring) keys(o Owner) *ownerKeys {
	if r.many != nil {
		return r.many[o]
	}
	for _, k := range r.few {
		if k.owner == o {
			return k
		}
	}
	return nil
}

// Seal encrypts plain for the owner. label is the field label of the manifest,
// row the text of the row's id; both are bound, as is the owner: the value
// opens only with the same three. The error is ErrErased, ErrNotReady or
// ErrSpent.
func (r *Ring) Seal(o Owner, label, row string, plain []byte) ([]byte, error) {
	keys := r.keys(o)
	switch {
	case keys == nil:
		return nil, fmt.Errorf("%w: %s", ErrNotReady, o)
	case keys.erased:
		return nil, fmt.Errorf("%w: %s", ErrErased, o)
	}
	k := keys.active
	if k.left.Add(-1) < 0 {
		return nil, fmt.Errorf("%w: %s", ErrSpent, k.id)
	}
	out := make([]byte, headerSize, len(plain)+Overhead)
	copy(out, k.header[:])
	buf := buffers.Get().(*[]byte)
	aad := appendContext((*buf)[:0], k.header[:], o, label, row)
	out = k.cipher().Seal(out, nil, plain, aad)
	*buf = aad
	buffers.Put(buf)
	return out, nil
}

// Open decrypts what Seal made. The error is ErrErased, ErrNotReady, ErrUnknown
// or ErrCorrupt; there is never a plain value with an error.
func (r *Ring) Open(o Owner, label, row string, sealed []byte) ([]byte, error) {
	keys := r.keys(o)
	switch {
	case keys == nil:
		return nil, fmt.Errorf("%w: %s", ErrNotReady, o)
	case keys.erased:
		return nil, fmt.Errorf("%w: %s", ErrErased, o)
	case len(sealed) < Overhead || sealed[0] != formatGCM:
		return nil, fmt.Errorf("%w: %s", ErrCorrupt, label)
	}
	k := keys.find(sealed[:headerSize])
	if k == nil {
		if r.from != nil && r.from.haveOrphans.Load() {
			if plain, ok := r.from.openOrphan(keys, sealed, appendContext(nil, sealed[:headerSize], o, label, row)); ok {
				return plain, nil
			}
		}
		return nil, fmt.Errorf("%w: %s of %s", ErrUnknown, label, o)
	}
	buf := buffers.Get().(*[]byte)
	aad := appendContext((*buf)[:0], sealed[:headerSize], o, label, row)
	out, err := k.cipher().Open(nil, nil, sealed[headerSize:], aad)
	*buf = aad
	buffers.Put(buf)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", ErrCorrupt, label)
	}
	return out, nil
}

// Erased reports whether the owner's key was destroyed.
func (r *Ring) Erased(o Owner) bool {
	keys := r.keys(o)
	return keys != nil && keys.erased
}

// SealText is Seal of a string.
func (r *Ring) SealText(o Owner, label, row, plain string) ([]byte, error) {
	return r.Seal(o, label, row, []byte(plain))
}

// OpenText is Open of a string; nil, a column without a value, gives "".
func (r *Ring) OpenText(o Owner, label, row string, sealed []byte) (string, error) {
	if sealed == nil {
		return "", nil
	}
	b, err := r.Open(o, label, row, sealed)
	return string(b), err
}

// Stale reports whether a sealed value names an older version of the owner's
// key, so that the work that re-seals rows knows what is left to do.
func (r *Ring) Stale(o Owner, sealed []byte) bool {
	keys := r.keys(o)
	return keys != nil && !keys.erased && len(sealed) >= Overhead && string(sealed[:headerSize]) != string(keys.active.header[:])
}

// Hash is the keyed hash by which an equal value is found: HMAC-SHA-256 under
// the index key of the installation or of an organization, which never
// changes. Only values of high entropy or behind a rate limit may be searched
// so. It panics for another owner, or one that was not given to Ready: both
// are mistakes of the code. For an erased organization it answers nil, which
// equals nothing.
func (r *Ring) Hash(o Owner, label, normalized string) []byte {
	keys := r.keys(o)
	switch {
	case keys == nil:
		panic("keyring: hash for an owner that was not loaded: " + o.String())
	case keys.erased:
		return nil
	case keys.index == nil:
		panic("keyring: no keyed hash for " + string(o.Class()))
	}
	return keys.index.sum(label, normalized)
}

// KeyOf names the key that a sealed value was made with.
func KeyOf(sealed []byte) (id.DataKey, bool) {
	if len(sealed) < Overhead || sealed[0] != formatGCM {
		return id.DataKey{}, false
	}
	var b [16]byte
	copy(b[:], sealed[1:headerSize])
	return fromBytes(id.DataKey{}, b), true
}

// fromBytes gives the identifier of the example's kind.
func fromBytes[K id.Kind](_ id.ID[K], b [16]byte) id.ID[K] { return id.FromBytes[K](b) }

var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 256); return &b }}

// appendContext appends the associated data: header, owner, label and row, each
// behind its length, so that no two contexts have the same bytes.
func appendContext(b, header []byte, o Owner, label, row string) []byte {
	ob := o.bytes()
	b = binary.BigEndian.AppendUint32(b, uint32(len(header)))
	b = append(b, header...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(ob)))
	b = append(b, ob[:]...)
	return appendPart(appendPart(b, label), row)
}

func appendPart(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
}
