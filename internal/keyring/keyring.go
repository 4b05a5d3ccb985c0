// Package keyring keeps every key that data is sealed with, and ends them.
//
// # Hierarchy
//
// A root key in a vault (Root) wraps the installation's key-encryption key,
// which an offline recovery recipient can unwrap too. The key-encryption key
// wraps data keys: of the installation, of each organization, of each user.
// The keys of a member, and those of a user whom an organization manages, are
// wrapped under the organization's: destroying that one ends them all.
//
// # Use
//
//	ring, err := s.Ready(ctx, keyring.Installation(), keyring.Organization(org), keyring.Person(user))
//	sealed, err := ring.Seal(keyring.Person(user), "directory.user.email", user.String(), []byte(address))
//	plain, err := ring.Open(keyring.Person(user), "directory.user.email", user.String(), sealed)
//	hash := ring.Hash(keyring.Installation(), "directory.email", normalized)
//
// Ready comes before the transaction; the ring then needs no database. Ready
// makes the keys of an owner that never had one. An owner whose key was
// destroyed is no error of Ready: Seal and Open answer ErrErased for it, so
// that a list with one erased person can still be read.
//
// It owns the keys database (keyring_*), its copies at a second place, the
// erasure ledger, and in the main database the rows that let a start tell
// whether the three are of one time. It knows nothing of what is sealed and has
// no part in passwords. docs/key-hierarchy.md gives every format byte by byte.
package keyring

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/clock"
	"github.com/rempart/rempart/internal/store"
)

// ErrNotStarted is returned until Setup or Start has opened the keyring.
var ErrNotStarted = errors.New("keyring: not started")

// Service is the keyring. Its exported fields are set before Setup or Start and
// not changed after.
type Service struct {
	Store *store.Store
	Root  Root
	Now   clock.Now
	Log   *slog.Logger

	// Second is the second place, which must acknowledge a key before its use;
	// Ledgers are the places of the erasure ledger, two as a rule.
	Second  Place
	Ledgers []Ledger

	// Term is how long a copy of keys that is not the newest lives, from one
	// hour to 35 days; 0 is 24 hours. It is the time after which a destroyed
	// key is gone from every copy.
	Term time.Duration

	// Cached is how many owners' keys are kept opened; 0 is 16,384.
	Cached int

	// Intent writes the entry of an act on keys that begins, and its row with
	// IntentTx, in one transaction; Outcome the entry of how it ended, with
	// OutcomeTx. app fills them from the log; without them the rows alone are
	// written.
	Intent  func(ctx context.Context, who caller.Caller, act Act) error
	Outcome func(ctx context.Context, who caller.Caller, act Act, failure error) error

	// LogHead gives size and root hash of the installation's own log, LogAt the
	// root hash that it had at a size. app fills them; they let a start find
	// out that an older main database was put back.
	LogHead func(ctx context.Context) (size int64, head string, err error)
	LogAt   func(ctx context.Context, size int64) (head string, err error)

	// Files names the files of both databases, for the control that searches
	// them; nil where there are none on this machine.
	Files func() []string

	orphans     orphans
	haveOrphans atomic.Bool
	opened      atomic.Pointer[opened]
	cache       cache
	ledger      ledgerState
	slow        sync.Mutex // held by whoever makes, destroys or wraps keys
	generation  atomic.Int64
	polled      atomic.Int64           // when Watch last had an answer; 0: it never ran
	copied      atomic.Int64           // time of the newest copy or mark known here
	verified    atomic.Pointer[string] // the copy that was verified last
}
