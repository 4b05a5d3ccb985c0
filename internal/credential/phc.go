package credential

import (
	"context"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/rempart/rempart/internal/fault"
)

// verifier is a password's stored hash with its parameters, in the PHC string
// format: the cost travels with each hash, so that it can be raised.
type verifier struct {
	algorithm string // "argon2id" or "pbkdf2-sha256"
	memory    uint32 // KiB
	time      uint32 // passes, or rounds of PBKDF2
	lanes     uint8
	salt, tag []byte
}

var errPHC = errors.New("credential: malformed password hash")

// parsePHC reads a stored hash. What is stored was written by us and sealed;
// the bounds keep a damaged one from taking the machine's memory.
func parsePHC(s string) (verifier, error) {
	var v verifier
	if len(s) > 256 || !strings.HasPrefix(s, "$") {
		return v, errPHC
	}
	f := strings.Split(s[1:], "$")
	switch {
	case len(f) == 5 && f[0] == "argon2id" && f[1] == "v=19":
		p := strings.Split(f[2], ",")
		if len(p) != 3 {
			return v, errPHC
		}
		m, ok1 := number(p[0], "m=", 1<<21)
		t, ok2 := number(p[1], "t=", 64)
		l, ok3 := number(p[2], "p=", 16)
		if !ok1 || !ok2 || !ok3 || m < 8*l {
			return v, errPHC
		}
		v = verifier{algorithm: f[0], memory: m, time: t, lanes: uint8(l)}
	case len(f) == 4 && f[0] == "pbkdf2-sha256":
		i, ok := number(f[1], "i=", 10_000_000)
		if !ok {
			return v, errPHC
		}
		v = verifier{algorithm: f[0], time: i}
	default:
		return v, errPHC
	}
	var err1, err2 error
	v.salt, err1 = base64.RawStdEncoding.Strict().DecodeString(f[len(f)-2])
	v.tag, err2 = base64.RawStdEncoding.Strict().DecodeString(f[len(f)-1])
	if err1 != nil || err2 != nil || len(v.salt) < 8 || len(v.salt) > 64 || len(v.tag) < 16 || len(v.tag) > 64 {
		return verifier{}, errPHC
	}
	return v, nil
}

// number reads a parameter in the one form that we write.
func number(s, prefix string, limit uint32) (uint32, bool) {
	d, ok := strings.CutPrefix(s, prefix)
	n, err := strconv.ParseUint(d, 10, 32)
	if !ok || err != nil || n < 1 || n > uint64(limit) || strconv.FormatUint(n, 10) != d {
		return 0, false
	}
	return uint32(n), true
}

// String is the PHC string.
func (v verifier) String() string {
	enc := base64.RawStdEncoding.EncodeToString
	if v.algorithm == "argon2id" {
		return fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$%s$%s", v.memory, v.time, v.lanes, enc(v.salt), enc(v.tag))
	}
	return fmt.Sprintf("$%s$i=%d$%s$%s", v.algorithm, v.time, enc(v.salt), enc(v.tag))
}

// compute hashes the password with v's parameters and salt.
func (v verifier) compute(password string) ([]byte, error) {
	if v.algorithm == "argon2id" {
		return argon2.IDKey([]byte(password), v.salt, v.time, v.memory, v.lanes, uint32(len(v.tag))), nil
	}
	return pbkdf2.Key(sha256.New, password, v.salt, int(v.time), len(v.tag))
}

// Hasher computes password hashes, few at a time: each takes 19 MiB and a core
// for tens of milliseconds, so that without a gate a storm of guesses would
// take the machine. At most max(1, cores-1) run and a bounded number waits;
// who finds the queue full is told so at once.
type Hasher struct {
	fips   bool
	queue  chan struct{}
	run    chan struct{}
	hashes atomic.Int64
	decoy  verifier
}

// NewHasher makes a gate with the number of hashers; 0 is one less than the
// machine has cores. With fips passwords are hashed by PBKDF2-HMAC-SHA-256,
// which FIPS 140 approves, instead of Argon2id.
func NewHasher(workers int, fips bool) *Hasher {
	if workers <= 0 {
		workers = max(1, runtime.GOMAXPROCS(0)-1)
	}
	h := &Hasher{fips: fips, queue: make(chan struct{}, workers+queueLen), run: make(chan struct{}, workers)}
	h.decoy = h.fresh()
	h.decoy.tag = make([]byte, tagLen)
	rand.Read(h.decoy.tag)
	return h
}

// ErrBusy is the answer when too many guesses wait.
var ErrBusy = fault.New(fault.Unavailable, "credential.error.busy", nil).After(2 * time.Second)

// Slot is a place in the queue of the hashers. Release it when done.
type Slot struct {
	h    *Hasher
	done bool
}

// Reserve takes a place, or answers ErrBusy without waiting. It comes before
// anything is counted, so that a guess that can't be checked costs nobody.
func (h *Hasher) Reserve() (*Slot, error) {
	select {
	case h.queue <- struct{}{}:
		return &Slot{h: h}, nil
	default:
		return nil, ErrBusy
	}
}

// Release gives the place back.
func (s *Slot) Release() {
	if !s.done {
		s.done = true
		<-s.h.queue
	}
}

// Hashes is the number of hashes computed so far.
func (h *Hasher) Hashes() int64 { return h.hashes.Load() }

// Waiting is the number of places taken.
func (h *Hasher) Waiting() int { return len(h.queue) }

func (s *Slot) compute(ctx context.Context, v verifier, password string) ([]byte, error) {
	t := time.NewTimer(queueTime)
	defer t.Stop()
	select {
	case s.h.run <- struct{}{}:
	case <-t.C:
		return nil, ErrBusy
	case <-ctx.Done():
		return nil, ErrBusy
	}
	defer func() { <-s.h.run }()
	s.h.hashes.Add(1)
	return v.compute(password)
}

// fresh is a verifier of today's cost with a new salt and no tag.
func (h *Hasher) fresh() verifier {
	v := verifier{algorithm: "argon2id", memory: argonMemory, time: argonTime, lanes: argonLanes, salt: make([]byte, saltLen), tag: make([]byte, tagLen)}
	if h.fips {
		v.algorithm, v.memory, v.time, v.lanes = "pbkdf2-sha256", 0, pbkdf2Rounds, 0
	}
	rand.Read(v.salt)
	return v
}

// hash makes the verifier of a normalized password.
func (s *Slot) hash(ctx context.Context, password string) (verifier, error) {
	v := s.h.fresh()
	tag, err := s.compute(ctx, v, password)
	if err != nil {
		return verifier{}, err
	}
	v.tag = tag
	return v, nil
}

// verify compares a normalized password with a stored hash.
func (s *Slot) verify(ctx context.Context, v verifier, password string) (bool, error) {
	tag, err := s.compute(ctx, v, password)
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(tag, v.tag) == 1, nil
}

// stale reports whether the hash was made at another cost than today's.
func (h *Hasher) stale(v verifier) bool {
	f := h.fresh()
	return v.algorithm != f.algorithm || v.memory != f.memory || v.time != f.time || v.lanes != f.lanes || len(v.salt) < saltLen || len(v.tag) != tagLen
}
