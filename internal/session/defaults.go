package session

import "time"

// The security defaults of browser sessions. An organization's rules on entry
// may ask for less, never for more.
const (
	// DefaultAbsolute is when a session ends at the latest, whatever is done
	// in it (NIST SP 800-63B-4 section 2.2.3: at most 24 hours).
	DefaultAbsolute = 24 * time.Hour
	// DefaultIdle is how long a session lives without a request (same section:
	// at most one hour).
	DefaultIdle = time.Hour
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
	cacheMax    = 16 << 20 // bytes of the cache, at most
	cacheEntry  = 1 << 10  // bytes that one cached session takes, at most
	maxMethods  = 16
)
