// Package credential keeps what users prove themselves with: passwords, TOTP
// authenticators and recovery codes; and it counts the guesses at them.
//
// # Passwords
//
// A password is normalized (NFC), hashed by Argon2id and the hash, a PHC
// string, sealed under the user's key: with the database alone nobody can even
// begin to guess. A Hasher bounds how many are computed at once. CheckPassword
// has the rules for a new one; they count code points and compare with what
// guessers try first, and ask for no composition (NIST SP 800-63B-4).
//
// # Guesses
//
// A guess is counted, in the database and in one statement, before it is looked
// at; a right one begins the count anew. Delay is the published schedule, and at
// HardStop consecutive wrong guesses the authenticator no longer works. A guess
// at an address that nobody has is counted in the same way, and costs the same
// hash and the same statements.
//
// # One-time things
//
// A TOTP step and a recovery code are each used up by one UPDATE that only one
// of many parallel uses can win.
//
// What happens in a transaction of a sign-in is a method ending in Tx: signin
// records the entry. The package owns credential_*. It starts no session and
// shows no page of the sign-in.
package credential

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/rempart/rempart/internal/clock"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/keyring"
	"github.com/rempart/rempart/internal/store"
)

// Service keeps credentials. Its fields are set once, before use.
type Service struct {
	Store  *store.DB
	Keys   *keyring.Service
	Hasher *Hasher
	Now    clock.Now
	Issuer string // the product's name, as authenticator applications show it

	// OnChange is told, in the transaction of the change and in the scope of the
	// user, that her credentials changed; what depends on them ends there. May
	// be nil.
	OnChange func(tx *store.Tx, user id.User, kind Kind) error

	// SharedHashes says that sample accounts were given one hash (Prehash), so
	// that a salt may be there more than once. Only the demo sets it.
	SharedHashes bool

	turns turns
}

// The labels of sealed fields, fixed for ever.
const (
	labelPHC    = "credential.password.phc"
	labelSecret = "credential.authenticator.secret"
	labelName   = "credential.authenticator.name"
	labelEnroll = "credential.authenticator.enrollment"
)

// Authenticator is a second factor of a user.
type Authenticator struct {
	ID      id.Authenticator `json:"id"`
	Kind    Kind             `json:"kind" enum:"totp"`
	Name    string           `json:"name"`
	Created time.Time        `json:"created_at"`
	Used    time.Time        `json:"last_used_at"`
}

// Held is what a user can prove herself with. Nothing of it is opened.
type Held struct {
	User id.User

	phc   []byte
	setAt int64
	rows  []authenticatorRow
}

// HasPassword reports whether she has one.
func (h Held) HasPassword() bool { return h.phc != nil }

// HasSecond reports whether she has a second factor.
func (h Held) HasSecond() bool { return len(h.rows) > 0 }

// PasswordSet is when the password was set.
func (h Held) PasswordSet() time.Time { return store.Time(h.setAt) }

// LoadTx reads what the user whose scope tx has can prove herself with, in the
// same two statements whether or not she is known.
func (s *Service) LoadTx(tx *store.Tx, user id.User) (Held, error) {
	h := Held{User: user}
	err := tx.Row(readPassword).Scan(&h.phc, &h.setAt)
	if err != nil && !errors.Is(err, store.ErrNone) {
		return h, fmt.Errorf("credential: read password: %w", err)
	}
	if h.rows, err = store.All(tx, scanAuthenticator, listAuthenticators); err != nil {
		return h, fmt.Errorf("credential: list authenticators: %w", err)
	}
	return h, nil
}

// Load reads what the user can prove herself with.
func (s *Service) Load(ctx context.Context, user id.User) (h Held, err error) {
	err = s.Store.View(ctx, store.User(user), func(tx *store.Tx) (err error) {
		h, err = s.LoadTx(tx, user)
		return err
	})
	return h, err
}

// Checked is the answer about a password that was typed.
type Checked struct {
	OK     bool
	Length int // in code points
	rehash []byte
}

// stored is the content of the sealed column: the PHC string, and the number
// of code points that the password had when it was set, which rules on length
// need and nobody else may know.
func stored(v verifier, length int) []byte { return []byte(v.String() + "\n" + strconv.Itoa(length)) }

func parseStored(b []byte) (verifier, int, error) {
	phc, length, _ := strings.Cut(string(b), "\n")
	v, err := parsePHC(phc)
	if err != nil {
		return v, 0, err
	}
	n, err := strconv.Atoi(length)
	if err != nil || n < 0 || n > MaxPassword {
		return v, 0, errPHC
	}
	return v, n, nil
}

// Check compares a typed password with the one held. Whether there is a user,
// a password, or a password that can be read: one hash is computed. ring holds
// the user's key. A right password whose hash is of another cost than today's
// is hashed once more, for RehashTx.
func (s *Service) Check(ctx context.Context, slot *Slot, ring *keyring.Ring, h Held, password string) (Checked, error) {
	v, length, real := s.Hasher.decoy, 0, false
	if h.phc != nil && ring != nil {
		plain, err := ring.Open(keyring.Person(h.User), labelPHC, h.User.String(), h.phc)
		switch {
		case errors.Is(err, keyring.ErrErased):
		case err != nil:
			return Checked{}, fmt.Errorf("credential: open password: %w", err)
		default:
			if v, length, err = parseStored(plain); err != nil {
				return Checked{}, fmt.Errorf("credential: password of %s: %w", h.User, err)
			}
			real = true
		}
	}
	norm, valid := normalize(password)
	same, err := slot.verify(ctx, v, norm)
	if err != nil {
		return Checked{}, err
	}
	c := Checked{OK: same && real && valid, Length: length}
	if c.OK && s.Hasher.stale(v) {
		fresh, err := slot.hash(ctx, norm)
		if err != nil {
			return Checked{}, err
		}
		if c.rehash, err = ring.Seal(keyring.Person(h.User), labelPHC, h.User.String(), stored(fresh, length)); err != nil {
			return Checked{}, fmt.Errorf("credential: seal password: %w", err)
		}
	}
	return c, nil
}

// RehashTx keeps the hash of today's cost that Check made, unless the password
// was changed meanwhile.
func (s *Service) RehashTx(tx *store.Tx, h Held, c Checked) error {
	if c.rehash == nil {
		return nil
	}
	_, err := tx.Exec(rehashPassword, c.rehash, h.setAt)
	return err
}

// PasswordLength is the number of code points of the user's password; 0 if she
// has none. ring holds her key.
func (s *Service) PasswordLength(ring *keyring.Ring, h Held) (int, error) {
	if h.phc == nil {
		return 0, nil
	}
	plain, err := ring.Open(keyring.Person(h.User), labelPHC, h.User.String(), h.phc)
	if err != nil {
		return 0, err
	}
	_, n, err := parseStored(plain)
	return n, err
}

// Secret is a new password, hashed and sealed, ready to be set.
type Secret struct {
	user   id.User
	sealed []byte
}

// Hash hashes and seals a new password that CheckPassword has let pass. ring
// holds the user's key.
func (s *Service) Hash(ctx context.Context, slot *Slot, ring *keyring.Ring, user id.User, password string) (Secret, error) {
	n, ok := normalize(password)
	if !ok {
		return Secret{}, fault.New(fault.Invalid, "credential.password.malformed", nil).At("/password", "credential.password.malformed")
	}
	v, err := slot.hash(ctx, n)
	if err != nil {
		return Secret{}, err
	}
	return s.seal(ring, user, v, utf8.RuneCountInString(n))
}

func (s *Service) seal(ring *keyring.Ring, user id.User, v verifier, length int) (Secret, error) {
	sealed, err := ring.Seal(keyring.Person(user), labelPHC, user.String(), stored(v, length))
	if err != nil {
		return Secret{}, fmt.Errorf("credential: seal password: %w", err)
	}
	return Secret{user, sealed}, nil
}

// Prehashed is a password that was hashed once to be given to many accounts of
// a demonstration.
type Prehashed struct {
	v      verifier
	length int
}

// Prehash hashes a password for SealPrehashed.
func (s *Service) Prehash(ctx context.Context, password string) (Prehashed, error) {
	slot, err := s.Hasher.Reserve()
	if err != nil {
		return Prehashed{}, err
	}
	defer slot.Release()
	n, ok := normalize(password)
	if !ok {
		return Prehashed{}, errors.New("credential: malformed password")
	}
	v, err := slot.hash(ctx, n)
	return Prehashed{v, utf8.RuneCountInString(n)}, err
}

// SealPrehashed seals the hash for one user.
func (s *Service) SealPrehashed(ring *keyring.Ring, user id.User, p Prehashed) (Secret, error) {
	return s.seal(ring, user, p.v, p.length)
}

// SetPasswordTx sets the password of the user whose scope tx has: that binds it
// anew, so guesses are counted from zero. The caller records the entry.
func (s *Service) SetPasswordTx(tx *store.Tx, p Secret) error {
	if _, err := tx.Exec(setPassword, p.sealed, store.Micros(s.Now())); err != nil {
		return fmt.Errorf("credential: set password: %w", err)
	}
	if _, err := tx.Exec(forgiveKinds, string(Password)); err != nil {
		return fmt.Errorf("credential: forgive: %w", err)
	}
	return s.changed(tx, p.user, Password)
}

// FirstPasswordTx sets the password of a user who is made in the same
// transaction, of the system's scope. The caller records the entry.
func (s *Service) FirstPasswordTx(tx *store.Tx, p Secret) error {
	if _, err := tx.Exec(firstPassword, p.user, p.sealed, store.Micros(s.Now())); err != nil {
		return fmt.Errorf("credential: set first password: %w", err)
	}
	return nil
}

func (s *Service) changed(tx *store.Tx, user id.User, kind Kind) error {
	if s.OnChange == nil {
		return nil
	}
	return s.OnChange(tx, user, kind)
}

// cleanName is a person's own name for an authenticator.
func cleanName(name string) string {
	name = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, norm.NFC.String(strings.ToValidUTF8(name, "")))
	if r := []rune(strings.TrimSpace(name)); len(r) > maxName {
		return string(r[:maxName])
	}
	return strings.TrimSpace(name)
}
