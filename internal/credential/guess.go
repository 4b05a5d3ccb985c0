package credential

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/store"
)

// Kind is what is being guessed. Each kind of an account has its own count.
type Kind string

// The kinds of authenticators that can be guessed.
const (
	Password Kind = "password"
	TOTP     Kind = "totp"
	Recovery Kind = "recovery"
	Reset    Kind = "reset" // asking for a reset mail: bounded like a guess
)

// Delay is the published schedule: how long after the nth consecutive wrong
// guess at an authenticator of an account the next is refused unseen.
// Two are free, then 1 s, 2 s, 4 s… up to one hour.
func Delay(n int) time.Duration {
	if n <= freeGuesses {
		return 0
	}
	if n-freeGuesses-1 >= 12 { // 2^12 s is more than an hour
		return DelayMax
	}
	return min(time.Second<<(n-freeGuesses-1), DelayMax)
}

// Guess is one try at an authenticator. An address that nobody has is counted
// just as one that somebody has.
type Guess struct {
	Kind    Kind
	User    id.User // zero: nobody has the address
	subject [32]byte
	source  [32]byte
}

// NewGuess names a guess. account is the user where there is one, and else the
// keyed hash of the address that was typed.
func NewGuess(kind Kind, user id.User, address []byte, source netip.Addr) Guess {
	g := Guess{Kind: kind, User: user}
	h := sha256.New()
	fmt.Fprintf(h, "rempart guess v1\n%s\n", kind)
	if user.IsZero() {
		h.Write(address)
	} else {
		fmt.Fprint(h, user.String())
	}
	h.Sum(g.subject[:0])
	// A network of IPv6 is one source: its 64 low bits are the host's to choose.
	p := netip.PrefixFrom(source, source.BitLen())
	if source.Is6() && !source.Is4In6() {
		p, _ = source.Prefix(64)
	}
	g.source = sha256.Sum256([]byte("rempart source v1\n" + p.String()))
	return g
}

// throttled is the refusal of a guess that was not looked at.
func throttled(wait time.Duration) error {
	wait = max(wait.Round(time.Second), time.Second)
	return fault.New(fault.Throttled, "credential.error.wait", nil).With("Wait", wait).After(wait)
}

// countGuess counts before the guess is looked at, in one statement, so that
// parallel guesses can't be more than one after the other could be. It answers
// no row while the account must wait or has reached the hard stop.
var countGuess = q.Add("count_guess", `INSERT INTO credential_guesses (subject, kind, user_id, failures, total, last_at, next_at)
	VALUES ($1, $2, $3, 1, 1, $4, $4)
	ON CONFLICT (subject) DO UPDATE SET
		failures = CASE WHEN credential_guesses.last_at < $5 THEN 1 ELSE credential_guesses.failures + 1 END,
		total = credential_guesses.total + 1, last_at = excluded.last_at,
		next_at = excluded.last_at + CASE WHEN credential_guesses.last_at < $5 THEN 0 ELSE `+delaySQL()+` END
	WHERE credential_guesses.next_at <= excluded.last_at AND credential_guesses.total < $6
	RETURNING total`, store.ForLookup)

// delaySQL is Delay(failures + 1) in microseconds.
func delaySQL() string {
	var b strings.Builder
	b.WriteString("CASE")
	for n := 0; Delay(n) < DelayMax; n++ {
		fmt.Fprintf(&b, " WHEN credential_guesses.failures + 1 <= %d THEN %d", n, Delay(n).Microseconds())
	}
	fmt.Fprintf(&b, " ELSE %d END", DelayMax.Microseconds())
	return b.String()
}

var (
	nextGuess = q.Add("next_guess", `SELECT next_at, total FROM credential_guesses WHERE subject = $1`, store.ForLookup)
	// A source's bucket: full_at is when it will be full again (GCRA).
	readSource  = q.Add("read_source", `SELECT full_at FROM credential_sources WHERE source = $1`, store.ForLookup)
	countSource = q.Add("count_source", `INSERT INTO credential_sources (source, full_at) VALUES ($1, CAST($2 AS BIGINT) + $3)
		ON CONFLICT (source) DO UPDATE SET full_at = CASE WHEN credential_sources.full_at < $2 THEN $2 ELSE credential_sources.full_at END + $3`, store.ForLookup)
	forgive      = q.Add("forgive", `DELETE FROM credential_guesses WHERE subject = $1 AND user_id = $user`)
	forgiveKinds = q.Add("forgive_kind", `DELETE FROM credential_guesses WHERE kind = $1 AND user_id = $user`)
	sweepGuesses = q.Add("sweep_guesses", `DELETE FROM credential_guesses WHERE user_id IS NULL AND last_at < $1`, store.ForSystem)
	sweepSources = q.Add("sweep_sources", `DELETE FROM credential_sources WHERE full_at < $1`, store.ForSystem)
)

// CountTx counts the guess, in the scope Lookup; before it is looked at. The
// error is a fault of kind Throttled that says when to come back. total is the number
// of consecutive guesses, with this one, if it is wrong: at HardStop the
// authenticator stops.
func (s *Service) CountTx(tx *store.Tx, g Guess) (total int, err error) {
	now := s.Now()
	var full int64
	err = tx.Row(readSource, g.source[:]).Scan(&full)
	if err != nil && !errors.Is(err, store.ErrNone) {
		return 0, fmt.Errorf("credential: read source: %w", err)
	}
	// What is being looked at just now counts as wrong until it is known to be right.
	full = max(full, store.Micros(now)) + int64(s.turns.looking(g.source))*SourceRefill.Microseconds()
	if wait := time.Duration(full-store.Micros(now))*time.Microsecond - SourceBudget*SourceRefill; wait > 0 {
		return 0, throttled(wait)
	}
	err = tx.Row(countGuess, g.subject[:], string(g.Kind), g.User, store.Micros(now), store.Micros(now.Add(-calm)), HardStop).Scan(&total)
	if err == nil {
		return total, nil
	}
	if !errors.Is(err, store.ErrNone) {
		return 0, fmt.Errorf("credential: count guess: %w", err)
	}
	var next int64
	if err := tx.Row(nextGuess, g.subject[:]).Scan(&next, &total); err != nil {
		return 0, fmt.Errorf("credential: read next guess: %w", err)
	}
	// An authenticator that has reached the hard stop answers as one that must
	// wait for long: only its owner is told more, by mail.
	wait := store.Time(next).Sub(now)
	if total >= HardStop {
		wait = max(wait, DelayMax)
	}
	return 0, throttled(wait)
}

// WrongSource counts a wrong guess against its source. Right ones never count.
func (s *Service) WrongSource(ctx context.Context, g Guess) error {
	return s.Store.Maintain(ctx, store.Lookup(), func(tx *store.Tx) error {
		_, err := tx.Exec(countSource, g.source[:], store.Micros(s.Now()), SourceRefill.Microseconds())
		return err
	})
}

// ForgiveTx begins the count of the account anew, after a right guess; in the
// scope of the user.
func (s *Service) ForgiveTx(tx *store.Tx, g Guess) error {
	_, err := tx.Exec(forgive, g.subject[:])
	return err
}

// turns lets one guess at an account be looked at after the other on this
// node: several right ones at once are all let in, and several wrong ones are
// counted each before the next.
type turns struct {
	mu      sync.Mutex
	account map[[32]byte]*turn
	source  map[[32]byte]int
}

type turn struct {
	gate    chan struct{}
	waiting int
}

func (t *turns) looking(source [32]byte) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return max(0, t.source[source]-1) // without the one that asks
}

// Turn waits until no other guess at the same account is looked at on this
// node. release must be called.
func (s *Service) Turn(ctx context.Context, g Guess) (release func(), err error) {
	t := &s.turns
	t.mu.Lock()
	if t.account == nil {
		t.account, t.source = map[[32]byte]*turn{}, map[[32]byte]int{}
	}
	a := t.account[g.subject]
	if a == nil {
		a = &turn{gate: make(chan struct{}, 1)}
		t.account[g.subject] = a
	}
	if a.waiting >= accountMax {
		t.mu.Unlock()
		return nil, throttled(time.Second)
	}
	a.waiting++
	t.mu.Unlock()
	leave := func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if a.waiting--; a.waiting == 0 {
			delete(t.account, g.subject)
		}
	}
	select {
	case a.gate <- struct{}{}:
	case <-ctx.Done():
		leave()
		return nil, ErrBusy
	}
	t.mu.Lock()
	t.source[g.source]++
	t.mu.Unlock()
	return func() {
		t.mu.Lock()
		if t.source[g.source]--; t.source[g.source] == 0 {
			delete(t.source, g.source)
		}
		t.mu.Unlock()
		<-a.gate
		leave()
	}, nil
}
