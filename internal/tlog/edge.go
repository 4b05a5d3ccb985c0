package tlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"slices"
)

// ErrEdge: bytes are not those of a serialized Edge.
var ErrEdge = errors.New("tlog: malformed edge")

const (
	edgeFormat byte = 1
	// maxSize bounds trees so that no index computation can overflow.
	maxSize = 1 << 56
)

// Edge is the right edge of a growing tree: all that is needed to append a
// leaf, to give the root, and to complete tiles. Appending is O(1) hashing on
// average and allocates only when a tile grows. The zero Edge is the empty
// tree. Not safe for use by several goroutines at once.
type Edge struct {
	size int64
	// nodes are the roots of the perfect subtrees the tree falls into, the
	// largest first: one for each bit set in size.
	nodes []Hash
	// growing[l] is the data of the incomplete tile of level l, which holds
	// (size >> 8l) mod 256 hashes.
	growing [][]byte
	// done are complete tiles not yet taken; touched has bit l when the growing
	// tile of level l >= 1 changed since the last TakeTiles.
	done    []Tile
	touched uint
}

// Size is the number of leaves.
func (e *Edge) Size() int64 { return e.size }

// Append adds the hash of the next leaf; its index is the Size before.
func (e *Edge) Append(leaf Hash) {
	if e.size >= maxSize {
		panic("tlog: tree too large")
	}
	e.grow(0, leaf)
	h := leaf
	height := 0
	for s := e.size; s&1 == 1; s >>= 1 {
		last := len(e.nodes) - 1
		h = NodeHash(e.nodes[last], h)
		e.nodes = e.nodes[:last]
		if height++; height%tileHeight == 0 {
			e.grow(height/tileHeight, h)
		}
	}
	e.nodes = append(e.nodes, h)
	e.size++
}

// grow adds a hash to the growing tile of a level. It runs before size is
// raised.
func (e *Edge) grow(level int, h Hash) {
	if level == len(e.growing) {
		e.growing = append(e.growing, nil)
	}
	data := append(e.growing[level], h[:]...)
	if level > 0 {
		e.touched |= 1 << level
	}
	if len(data) == TileWidth*HashSize {
		index := e.size >> (tileHeight * (level + 1))
		e.done = append(e.done, Tile{TileID{level, index, TileWidth}, data})
		data = nil
		if level == 0 { // a log past its first tile: take the next whole
			data = make([]byte, 0, TileWidth*HashSize)
		}
		e.touched &^= 1 << level
	}
	e.growing[level] = data
}

// Root is the RFC 6962 hash of the tree.
func (e *Edge) Root() Hash {
	if e.size == 0 {
		return EmptyRoot()
	}
	last := len(e.nodes) - 1
	h := e.nodes[last]
	for i := last - 1; i >= 0; i-- {
		h = NodeHash(e.nodes[i], h)
	}
	return h
}

// TakeTiles gives, once each, the tiles to store since the last call: every
// tile that was completed, and of level 1 and up also the growing tile that
// changed. The caller writes each to the row of (level, index), replacing what
// is there. Level 0 is written once, when complete; until then its hashes are
// the leaf hashes that the caller keeps with the entries. A growing tile of
// level 1 changes once in 256 leaves. Do not change the data.
func (e *Edge) TakeTiles() []Tile {
	tiles := e.done
	e.done = nil
	for l := 1; l < len(e.growing); l++ {
		if e.touched&(1<<l) != 0 && len(e.growing[l]) > 0 {
			tiles = append(tiles, Tile{e.growingID(l), slices.Clone(e.growing[l])})
		}
	}
	e.touched = 0
	return tiles
}

func (e *Edge) growingID(level int) TileID {
	count := e.size >> (tileHeight * level)
	return TileID{Level: level, Index: count >> tileHeight, Width: int(count % TileWidth)}
}

// Clone gives an independent copy, tiles not yet taken included: append to the
// copy inside a transaction, and forget it when the transaction fails.
func (e *Edge) Clone() *Edge {
	c := &Edge{size: e.size, nodes: slices.Clone(e.nodes), done: slices.Clone(e.done), touched: e.touched}
	c.growing = make([][]byte, len(e.growing))
	for i, g := range e.growing {
		c.growing[i] = slices.Clone(g)
	}
	return c
}

// LoadEdge makes the edge of a tree of this size from what is stored, in one
// read of at most one growing tile a level. Compare its Root with the
// checkpoint's before trusting it.
func LoadEdge(size int64, read TileReader) (*Edge, error) {
	if size < 0 || size > maxSize {
		return nil, ErrSize
	}
	e := &Edge{size: size}
	var want []TileID
	for l := 0; size>>(tileHeight*l) > 0; l++ {
		e.growing = append(e.growing, nil)
		if id := e.growingID(l); id.Width > 0 {
			want = append(want, id)
		}
	}
	got, err := readTiles(want, read)
	if err != nil {
		return nil, err
	}
	for i, id := range want {
		e.growing[id.Level] = slices.Clone(got[i])
	}
	e.setNodes()
	return e, nil
}

// setNodes computes nodes from the growing tiles: the bits of size, taken
// eight at a time, are the widths of those tiles.
func (e *Edge) setNodes() {
	e.nodes = e.nodes[:0]
	for l := len(e.growing) - 1; l >= 0; l-- {
		data := e.growing[l]
		for width := len(data) / HashSize; width > 0; {
			half := 1 << (bits.Len(uint(width)) - 1)
			e.nodes = append(e.nodes, subtree(data[:half*HashSize]))
			data = data[half*HashSize:]
			width -= half
		}
	}
}

// AppendBinary appends a serialized form to dst: at most 255 hashes a level,
// so under 24 KiB below 16 million leaves. Tiles not yet taken are not in it.
func (e *Edge) AppendBinary(dst []byte) ([]byte, error) {
	dst = append(dst, edgeFormat)
	dst = binary.BigEndian.AppendUint64(dst, uint64(e.size))
	for _, g := range e.growing {
		dst = append(dst, g...)
	}
	return dst, nil
}

// MarshalBinary is AppendBinary into a new slice.
func (e *Edge) MarshalBinary() ([]byte, error) { return e.AppendBinary(nil) }

// UnmarshalBinary reads what MarshalBinary wrote and returns ErrEdge for
// anything else. The bytes are not authenticated: compare the Root.
func (e *Edge) UnmarshalBinary(b []byte) error {
	r := reader{b: b}
	format, size := r.byte(), r.uint64()
	if r.bad || format != edgeFormat || size > maxSize {
		return ErrEdge
	}
	got := Edge{size: int64(size)}
	for l := 0; size>>(tileHeight*l) > 0; l++ {
		got.growing = append(got.growing, nil)
		data := r.take(got.growingID(l).Width * HashSize)
		if r.bad {
			return ErrEdge
		}
		got.growing[l] = slices.Clone(data)
	}
	if len(r.b) != 0 {
		return ErrEdge
	}
	got.setNodes()
	*e = got
	return nil
}

// readTiles calls read once and cuts each answer to the width asked for.
func readTiles(want []TileID, read TileReader) ([][]byte, error) {
	if len(want) == 0 {
		return nil, nil
	}
	got, err := read(want)
	if err != nil {
		return nil, fmt.Errorf("tlog: read tiles: %w", err)
	}
	if len(got) != len(want) {
		return nil, fmt.Errorf("%w: %d asked for, %d given", ErrTile, len(want), len(got))
	}
	out := make([][]byte, len(got))
	for i, id := range want {
		n := id.Width * HashSize
		if len(got[i]) < n || len(got[i]) > TileWidth*HashSize || len(got[i])%HashSize != 0 {
			return nil, fmt.Errorf("%w: %s has %d bytes", ErrTile, id.Path(), len(got[i]))
		}
		out[i] = got[i][:n]
	}
	return out, nil
}
