// Package tlog is the arithmetic of the audit log: what a leaf is made of,
// how leaves become a Merkle tree, what a checkpoint says and who signed it,
// and how an organization finds its own head in the epoch tree.
//
// It is pure: no database, no clock of its own, no goroutine. Package audit
// stores what this package computes; package verify checks, from a file and
// nothing else, what this package made. The formats are described, byte by
// byte, in docs/audit-log.md; that document and this package change together.
//
// # Entries
//
// An entry is a [Header] in clear and a few sealed parts. [SealPart] seals one
// part under a key of its own; [LeafData] gives the bytes that the tree
// commits to; [LeafHash] hashes them as RFC 6962 does. The leaf holds no
// content, no person, and no name of the key under which a part key is
// wrapped: wrapping can change, and keys can be destroyed, while every proof
// stays valid.
//
// # Tree
//
// An [Edge] is the right edge of a growing tree. It takes leaf hashes, gives
// the root after each, and hands out tiles to store ([Edge.TakeTiles]): one
// row a tile of 256 hashes, never one row a node. [ProveInclusion],
// [ProveConsistency] and [RootAt] read those tiles through a [TileReader].
// Their counterparts [CheckInclusion] and [CheckConsistency] need nothing but
// the proof. To append and keep up with the database:
//
//	next := edge.Clone()             // so that a roll-back costs nothing
//	for _, leaf := range leaves {
//		next.Append(tlog.LeafHash(leaf))
//	}
//	store(next.TakeTiles())          // upsert by (log, level, index)
//	// after COMMIT: edge = next
//
// # Checkpoints
//
// A [Checkpoint] is a C2SP tlog-checkpoint. [SignCheckpoint] signs it as a
// note, [OpenCheckpoint] verifies it, a [Cosigner] adds a time-stamped
// cosignature (C2SP tlog-cosignature, Ed25519).
//
// # Epochs
//
// An [Epoch] is a tree over the blinded heads of all logs of an installation.
// Its root is one leaf ([EpochLeaf]) of the platform log, so that a witness
// who cosigns that one log vouches for all, without learning how many there
// are or how busy they are.
package tlog
