package tlog

import (
	"errors"
	"fmt"

	sumdb "golang.org/x/mod/sumdb/tlog"
)

// MaxProof is the largest number of hashes that a proof can have here.
const MaxProof = 64

// Errors of proofs.
var (
	// ErrSize: a size or index lies outside the tree.
	ErrSize = errors.New("tlog: size or index outside the tree")
	// ErrTile: a TileReader gave too little, too much, or nothing.
	ErrTile = errors.New("tlog: tile missing or malformed")
	// ErrProof: a proof does not prove what it should.
	ErrProof = errors.New("tlog: proof does not verify")
)

// ProveInclusion gives the proof that leaf index is in the tree of this size:
// sibling hashes from the leaf up (RFC 6962 section 2.1.1). It reads the few
// tiles it needs in one call. What the reader gives is not checked here; pass
// the result to CheckInclusion, which costs microseconds, before handing it out.
func ProveInclusion(size, index int64, read TileReader) ([]Hash, error) {
	if size < 1 || size > maxSize || index < 0 || index >= size {
		return nil, ErrSize
	}
	p, err := sumdb.ProveRecord(size, index, hashReader(read))
	if err != nil {
		return nil, fmt.Errorf("tlog: prove inclusion: %w", err)
	}
	return p, nil
}

// CheckInclusion returns ErrProof unless proof shows that leaf is at index in
// the tree of this size and root, and ErrSize for impossible numbers.
func CheckInclusion(proof []Hash, size int64, root Hash, index int64, leaf Hash) error {
	if size < 1 || size > maxSize || index < 0 || index >= size {
		return ErrSize
	}
	if len(proof) > MaxProof || sumdb.CheckRecord(proof, size, root, index, leaf) != nil {
		return ErrProof
	}
	return nil
}

// ProveConsistency gives the proof that the tree of size newer begins with the
// tree of size older (RFC 6962 section 2.1.2). From the empty tree, and from a
// tree to itself, the proof is empty.
func ProveConsistency(older, newer int64, read TileReader) ([]Hash, error) {
	if older < 0 || older > newer || newer > maxSize {
		return nil, ErrSize
	}
	if older == 0 || older == newer {
		return nil, nil
	}
	p, err := sumdb.ProveTree(newer, older, hashReader(read))
	if err != nil {
		return nil, fmt.Errorf("tlog: prove consistency: %w", err)
	}
	return p, nil
}

// CheckConsistency returns ErrProof unless proof shows that the newer tree
// begins with the older one, and ErrSize for impossible numbers.
func CheckConsistency(proof []Hash, older int64, olderRoot Hash, newer int64, newerRoot Hash) error {
	switch {
	case older < 0 || older > newer || newer > maxSize:
		return ErrSize
	case len(proof) > MaxProof:
		return ErrProof
	case older == newer:
		if len(proof) != 0 || olderRoot != newerRoot {
			return ErrProof
		}
		return nil
	case older == 0:
		if len(proof) != 0 || olderRoot != EmptyRoot() {
			return ErrProof
		}
		return nil
	}
	if sumdb.CheckTree(proof, newer, newerRoot, older, olderRoot) != nil {
		return ErrProof
	}
	return nil
}

// RootAt gives the root that the tree had at an earlier size.
func RootAt(size int64, read TileReader) (Hash, error) {
	if size < 0 || size > maxSize {
		return Hash{}, ErrSize
	}
	if size == 0 {
		return EmptyRoot(), nil
	}
	h, err := sumdb.TreeHash(size, hashReader(read))
	if err != nil {
		return Hash{}, fmt.Errorf("tlog: root at %d: %w", size, err)
	}
	return h, nil
}

// hashReader answers the node hashes that x/mod asks for from tiles: all tiles
// in one call, each once, at the width that the wanted hashes need.
func hashReader(read TileReader) sumdb.HashReaderFunc {
	return func(indexes []int64) ([]Hash, error) {
		var want []TileID
		place := make([]int, len(indexes))
		for i, x := range indexes {
			t := sumdb.TileForIndex(tileHeight, x)
			at := -1
			for j := range want {
				if want[j].Level == t.L && want[j].Index == t.N {
					at = j
					want[j].Width = max(want[j].Width, t.W)
				}
			}
			if at < 0 {
				at = len(want)
				want = append(want, TileID{t.L, t.N, t.W})
			}
			place[i] = at
		}
		data, err := readTiles(want, read)
		if err != nil {
			return nil, err
		}
		out := make([]Hash, len(indexes))
		for i, x := range indexes {
			id := want[place[i]]
			t := sumdb.Tile{H: tileHeight, L: id.Level, N: id.Index, W: id.Width}
			if out[i], err = sumdb.HashFromTile(t, data[place[i]], x); err != nil {
				return nil, fmt.Errorf("%w: %s", ErrTile, id.Path())
			}
		}
		return out, nil
	}
}
