package keyring

import (
	"time"

	"github.com/rempart/rempart/internal/id"
)

// Kinds of act on keys.
const (
	ActRotate    = "rotate"     // a new version of an owner's data key
	ActRotateKEK = "rotate_kek" // a new key-encryption key, and every data key wrapped again
	ActDestroy   = "destroy"    // the end of an owner's key
)

// Act is an act on keys, as intent and outcome name it.
type Act struct {
	ID      id.Intent    `json:"id"`
	Kind    string       `json:"kind"`
	Owner   Owner        `json:"-"`
	Keys    []id.DataKey `json:"keys,omitempty"` // destroyed, or made
	Started time.Time    `json:"started_at"`
}
