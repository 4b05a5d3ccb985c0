//go:build race

package keyring_test

// raceOn tells whether the race detector runs, which makes pools forget.
const raceOn = true
