// Package clock is the edge to the time of day. Services hold a Now function
// and never call time.Now, so that tests fix the time.
package clock

import (
	"sync"
	"time"
)

// Now gives the present instant.
type Now func() time.Time

// System is the machine's clock, in UTC, to the microsecond that is stored.
func System() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// Fixed is a clock that moves only when told to. Its zero value is not usable;
// see NewFixed. Safe for concurrent use.
type Fixed struct {
	mu sync.Mutex
	at time.Time
}

// NewFixed starts a fixed clock at the instant.
func NewFixed(at time.Time) *Fixed { return &Fixed{at: at.UTC().Truncate(time.Microsecond)} }

// Now is the clock's instant.
func (f *Fixed) Now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.at
}

// Advance moves the clock by d, which may be negative.
func (f *Fixed) Advance(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at = f.at.Add(d)
}

// Set moves the clock to the instant.
func (f *Fixed) Set(at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at = at.UTC().Truncate(time.Microsecond)
}
