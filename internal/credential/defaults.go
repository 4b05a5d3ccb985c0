package credential

import "time"

// The security defaults of authenticators.
const (
	// Argon2id: RFC 9106 and the OWASP cheat sheet's 19 MiB, 2 passes, 1 lane.
	argonMemory = 19 * 1024 // KiB
	argonTime   = 2
	argonLanes  = 1
	saltLen     = 16 // bytes
	tagLen      = 32 // bytes

	// PBKDF2-HMAC-SHA-256 of the FIPS profile (SP 800-132).
	pbkdf2Rounds = 600_000

	queueLen   = 64               // guesses that may wait for a hasher
	queueTime  = 10 * time.Second // for which one may wait
	accountMax = 64               // guesses that may wait for one account

	// MaxPassword is the longest password, in code points.
	MaxPassword = 256
	// MinAlone is the shortest password that is the only factor, in code points.
	MinAlone = 15
	// MinWithSecond is the shortest password that is always used with a second factor.
	MinWithSecond = 8

	totpDigits = 6
	totpStep   = 30 * time.Second
	totpWindow = 1  // steps before and after that are accepted
	totpSecret = 20 // bytes: 160 bits (RFC 4226 section 4, R6)
	totpMax    = 5  // authenticators of one user

	recoveryCodes = 10
	recoveryLen   = 15 // bytes: 120 bits, so that a plain hash does (NIST SP 800-63B-4 section 3.1.2.2)

	maxName = 60 // code points of an authenticator's name

	// HardStop is the number of consecutive wrong guesses after which an
	// authenticator no longer works and must be bound again.
	HardStop = 100
	// freeGuesses are followed by no delay.
	freeGuesses = 2
	// DelayMax is the longest delay between guesses.
	DelayMax = time.Hour
	// calm is how long without a wrong guess until the delay begins anew. The
	// count towards the hard stop goes on.
	calm = 24 * time.Hour

	// SourceBudget is the number of wrong guesses that one source may make at
	// once; SourceRefill gives one back.
	SourceBudget = 100
	// SourceRefill is the time after which a source may make one more.
	SourceRefill = 6 * time.Second
)
