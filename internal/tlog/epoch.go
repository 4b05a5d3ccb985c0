package tlog

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

// Bounds of an epoch tree.
const (
	// MinEpochWidth slots at least, so that a small installation does not show
	// how small it is.
	MinEpochWidth = 64
	// MaxEpochWidth slots at most.
	MaxEpochWidth = 1 << 24
)

// epochSlotFormat is the domain label of a slot's hash.
const epochSlotFormat = "rempart-epoch-slot/v1\n"

// Errors of epoch trees.
var (
	// ErrEpoch: two heads claim a slot, a slot lies outside the tree, or a head
	// is malformed.
	ErrEpoch = errors.New("tlog: heads do not make an epoch tree")
	// ErrOpening: an opening does not show what it should.
	ErrOpening = errors.New("tlog: opening does not match the epoch tree")
)

// EpochSeed is the secret of one epoch. Blindings and padding follow from it,
// so that keeping it (sealed) and the heads is enough to give openings later.
// Draw a new one for each epoch: with one seed for two, an outsider would see
// which slots changed.
type EpochSeed [32]byte

// NewEpochSeed draws a seed.
func NewEpochSeed() EpochSeed {
	var s EpochSeed
	rand.Read(s[:])
	return s
}

// EpochHead is the head of one log as an epoch holds it.
type EpochHead struct {
	// Slot is the place of the log in every epoch tree, chosen at random when
	// the log is opened (ChooseSlot), never changed, and known to the log's
	// owner: who always finds her head in the same slot knows that no second
	// head of her log is in the tree for someone else who expects that slot.
	Slot int64
	// Origin, Size and Root are those of the log's checkpoint.
	Origin string
	Size   int64
	Root   Hash
}

// ChooseSlot draws a free slot for a new log in a tree of this width, which
// EpochWidth gave for one log more than there are. It returns ErrEpoch when a
// free one is not found in a few thousand draws.
func ChooseSlot(width int64, taken func(slot int64) bool) (int64, error) {
	if width < 1 || width&(width-1) != 0 {
		return 0, ErrEpoch
	}
	for range 4096 {
		var b [8]byte
		rand.Read(b[:])
		// width is a power of two: the low bits are uniform.
		if s := int64(binary.BigEndian.Uint64(b[:]) & uint64(width-1)); !taken(s) {
			return s, nil
		}
	}
	return 0, ErrEpoch
}

// EpochWidth is the width for this many logs: a power of two, at least
// MinEpochWidth, at most half full.
func EpochWidth(logs int64) int64 {
	w := int64(MinEpochWidth)
	for w < 2*logs && w < MaxEpochWidth {
		w *= 2
	}
	return w
}

// Epoch is an epoch tree with its secrets.
type Epoch struct {
	seed  EpochSeed
	heads map[string]EpochHead
	width int64
	// nodes is the heap of the tree: nodes[1] is the root, nodes[width+i] the
	// hash of slot i.
	nodes []Hash
}

// NewEpoch builds the tree of the given width (EpochWidth) over the heads.
// Slots without a head hold padding that cannot be told from a head. The same
// seed, heads and width give the same tree. It returns ErrEpoch.
func NewEpoch(seed EpochSeed, width int64, heads []EpochHead) (*Epoch, error) {
	if width < MinEpochWidth || width > MaxEpochWidth || width&(width-1) != 0 {
		return nil, ErrEpoch
	}
	e := &Epoch{seed: seed, width: width, heads: make(map[string]EpochHead, len(heads)), nodes: make([]Hash, 2*width)}
	used := make([]bool, width)
	for _, h := range heads {
		if h.Slot < 0 || h.Slot >= width || used[h.Slot] || !ValidOrigin(h.Origin) || h.Size < 0 {
			return nil, fmt.Errorf("%w: slot %d", ErrEpoch, h.Slot)
		}
		if _, twice := e.heads[h.Origin]; twice {
			return nil, fmt.Errorf("%w: a log has two heads", ErrEpoch)
		}
		used[h.Slot] = true
		e.heads[h.Origin] = h
		s := slotHash(e.blinding(h.Slot), h.Origin, h.Size, h.Root)
		e.nodes[width+h.Slot] = LeafHash(s[:])
	}
	for i := range width {
		if !used[i] {
			s := derive(seed, "padding", i)
			e.nodes[width+i] = LeafHash(s[:])
		}
	}
	for i := width - 1; i >= 1; i-- {
		e.nodes[i] = NodeHash(e.nodes[2*i], e.nodes[2*i+1])
	}
	return e, nil
}

// Leaf is the leaf for the platform log.
func (e *Epoch) Leaf(platform string, micros int64) EpochLeaf {
	return EpochLeaf{Origin: platform, Time: micros, Width: e.width, Root: e.nodes[1]}
}

// Opening is what the owner of one log is given: it shows her head in the tree
// and nothing about the others. It returns ErrEpoch for a log that has no head
// in it.
func (e *Epoch) Opening(origin string) (Opening, error) {
	h, ok := e.heads[origin]
	if !ok {
		return Opening{}, ErrEpoch
	}
	o := Opening{EpochHead: h, Blinding: e.blinding(h.Slot)}
	for i := e.width + h.Slot; i > 1; i /= 2 {
		o.Path = append(o.Path, e.nodes[i^1])
	}
	return o, nil
}

func (e *Epoch) blinding(slot int64) Hash { return derive(e.seed, "blinding", slot) }

func derive(seed EpochSeed, use string, slot int64) Hash {
	m := hmac.New(sha256.New, seed[:])
	m.Write([]byte(use))
	m.Write(binary.BigEndian.AppendUint64(nil, uint64(slot)))
	var h Hash
	m.Sum(h[:0])
	return h
}

// Opening shows the head of one log in an epoch tree.
type Opening struct {
	EpochHead
	// Blinding hides the head from all who are not given the opening.
	Blinding Hash
	// Path is the inclusion proof of the slot, from the slot up.
	Path []Hash
}

// CheckOpening returns ErrOpening unless o shows its head in the tree whose
// root is in leaf. That leaf must be proven to be in the platform log by the
// caller.
func CheckOpening(leaf EpochLeaf, o Opening) error {
	if leaf.validate() != nil || o.Slot < 0 || o.Slot >= leaf.Width || o.Size < 0 || !ValidOrigin(o.Origin) {
		return ErrOpening
	}
	s := slotHash(o.Blinding, o.Origin, o.Size, o.Root)
	if CheckInclusion(o.Path, leaf.Width, leaf.Root, o.Slot, LeafHash(s[:])) != nil {
		return ErrOpening
	}
	return nil
}

// slotHash is SHA-256(label || blinding || log id || size || root).
func slotHash(blinding Hash, origin string, size int64, root Hash) Hash {
	var buf [len(epochSlotFormat) + HashSize + 2 + MaxOrigin + 8 + HashSize]byte
	b := append(buf[:0], epochSlotFormat...)
	b = append(b, blinding[:]...)
	b = appendString(b, origin)
	b = binary.BigEndian.AppendUint64(b, uint64(size))
	b = append(b, root[:]...)
	return sha256.Sum256(b)
}

// EpochLeaf is a leaf of the platform log that holds the root of an epoch
// tree, in clear.
type EpochLeaf struct {
	// Origin is the platform log's.
	Origin string
	// Time is when the heads were taken, in microseconds since 1970 UTC.
	Time int64
	// Width is the number of slots, a power of two.
	Width int64
	// Root is the root of the epoch tree.
	Root Hash
}

func (l EpochLeaf) validate() error {
	if !ValidOrigin(l.Origin) || l.Time < 0 || l.Time > maxTime ||
		l.Width < MinEpochWidth || l.Width > MaxEpochWidth || l.Width&(l.Width-1) != 0 {
		return ErrLeaf
	}
	return nil
}

// MarshalBinary gives the bytes of the leaf, or ErrLeaf.
func (l EpochLeaf) MarshalBinary() ([]byte, error) {
	if err := l.validate(); err != nil {
		return nil, err
	}
	b := appendString([]byte{leafEpoch}, l.Origin)
	b = binary.BigEndian.AppendUint64(b, uint64(l.Time))
	b = binary.BigEndian.AppendUint32(b, uint32(l.Width))
	return append(b, l.Root[:]...), nil
}

// ParseEpochLeaf reads what MarshalBinary wrote and returns ErrLeaf for
// anything else.
func ParseEpochLeaf(b []byte) (EpochLeaf, error) {
	r := reader{b: b}
	if r.byte() != leafEpoch {
		return EpochLeaf{}, ErrLeaf
	}
	var l EpochLeaf
	l.Origin = r.string(MaxOrigin)
	l.Time = int64(r.uint64())
	if w := r.take(4); w != nil {
		l.Width = int64(binary.BigEndian.Uint32(w))
	}
	copy(l.Root[:], r.take(HashSize))
	if r.bad || len(r.b) != 0 || l.validate() != nil {
		return EpochLeaf{}, ErrLeaf
	}
	return l, nil
}
