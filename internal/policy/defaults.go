package policy

import "time"

// DefaultFloor is the floor of an installation whose staff have set none. The
// lengths are those of NIST SP 800-63B-4 section 3.1.1.2: 15 characters for a
// password that is the only authenticator, 8 with a second factor.
var DefaultFloor = Floor{
	PasswordMinimum: 8,
	PasswordAlone:   15,
	SessionIdle:     12 * 60,
	SessionAbsolute: 7 * 24 * 60,
}

// Bounds within which rules and floor may be set.
const (
	maxGraceDays    = 90
	maxPassword     = 64
	minPassword     = 8
	minIdle         = 5
	maxIdle         = 30 * 24 * 60
	minAbsolute     = 15
	maxAbsolute     = 90 * 24 * 60
	defaultGrace    = 14
	previewNames    = 20   // people named in an effect
	maxRememberedOf = 4096 // organizations whose rules a node keeps in memory

	floorAge = time.Second // for which a node uses the floor it has read
)
