package session

import "time"

// The security defaults of browser sessions. How long they last is policy's:
// the installation's floor, and stricter rules of organizations on entry.
const (
	// DefaultFresh is how long a proof of the authenticators serves for acts
	// that need a fresh one.
	DefaultFresh = 10 * time.Minute

	secretLen   = 32          // bytes of a session's secret, at random
	seenEvery   = time.Minute // how coarsely the last request is remembered
	pollEvery   = 250 * time.Millisecond
	pollOverlap = 30 * time.Second // by which polls look back: a change commits after its own time
	pollLimit   = time.Second      // a cache that has not been compared for longer is not believed
	keepEnded   = 30 * 24 * time.Hour
	listMax     = 200
	recentMax   = 12       // sessions looked at to tell a new device
	cacheMax    = 16 << 20 // bytes of the cache, at most
	cacheEntry  = 1 << 10  // bytes that one cached session takes, at most
	maxMethods  = 16
)
