package tlog

import (
	"crypto/sha256"

	sumdb "golang.org/x/mod/sumdb/tlog"
)

// HashSize is the length of a [Hash] in bytes.
const HashSize = sumdb.HashSize

// Hash is a SHA-256 hash: of a leaf, of a node, of a tree. In JSON and in
// checkpoints it is standard base64.
type Hash = sumdb.Hash

// LeafHash is the RFC 6962 section 2.1 hash of a leaf: SHA-256(0x00 || data).
func LeafHash(data []byte) Hash {
	// Leaves of a usual size are hashed from the stack in one call.
	var buf [1024]byte
	if len(data) < len(buf) {
		n := copy(buf[1:], data)
		return sha256.Sum256(buf[:1+n])
	}
	d := sha256.New()
	d.Write(buf[:1])
	d.Write(data)
	var h Hash
	d.Sum(h[:0])
	return h
}

// NodeHash is the RFC 6962 section 2.1 hash of an inner node:
// SHA-256(0x01 || left || right).
func NodeHash(left, right Hash) Hash {
	var buf [1 + 2*HashSize]byte
	buf[0] = 1
	copy(buf[1:], left[:])
	copy(buf[1+HashSize:], right[:])
	return sha256.Sum256(buf[:])
}

// EmptyRoot is the root of a tree without leaves: SHA-256 of nothing.
func EmptyRoot() Hash { return sha256.Sum256(nil) }

// subtree is the hash of the perfect subtree over the hashes in data, whose
// number is a power of two.
func subtree(data []byte) Hash {
	if len(data) == HashSize {
		return Hash(data)
	}
	half := len(data) / 2
	return NodeHash(subtree(data[:half]), subtree(data[half:]))
}
