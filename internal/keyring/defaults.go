package keyring

import "time"

// Limits and periods of the keyring.
const (
	// block is how many uses of a key a node reserves at a time, newVersionAt
	// when a new version is made, hardLimit when the old one refuses: random
	// nonces of 96 bits allow 2^32 (NIST SP 800-38D section 8.3).
	block        = 1 << 20
	newVersionAt = 1 << 31
	hardLimit    = 1<<32 - block

	// smallChange is how many uses a key allows from one load without a
	// reservation, so that a key of few uses costs no write; lowWater is when
	// Ready reserves a block. Unreserved uses are counted by a job and at
	// eviction; a crash loses at most smallChange of one key, and the distance
	// from newVersionAt to hardLimit covers half a million crashes.
	smallChange = 1 << 12
	lowWater    = smallChange / 2

	defaultCached = 16_384
	defaultTerm   = 24 * time.Hour
	minTerm       = time.Hour
	maxTerm       = 35 * 24 * time.Hour

	// Periods of rotation, by class.
	kekPeriod  = 90 * 24 * time.Hour
	dataPeriod = 365 * 24 * time.Hour

	// rotationGrace is how late a rotation may be before it counts as missed.
	rotationGrace = 24 * time.Hour
)

// Copies at the second place.
const (
	copyAlert    = 15 * time.Minute // no newer copy: a warning
	copyRefuse   = time.Hour        // no newer copy: nothing that needs new keys for long
	copyFull     = 6 * time.Hour    // a full copy at least this often
	copyJournals = 1000             // or after as many journals
	copyRows     = 20_000           // keys in one part

	stockTarget = 64 // keys made and acknowledged in advance
)

// retiredRest is how long a retired key-encryption key stays after it wraps
// nothing: longer than any node may believe that it is in force.
const retiredRest = 10 * time.Minute
