package credential

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/keyring"
	"github.com/rempart/rempart/internal/store"
)

// Errors of second factors that people see.
var (
	// ErrCode is the answer to a code that is wrong, was used, or is out of its time.
	ErrCode = fault.New(fault.Invalid, "credential.error.code", nil).At("/code", "credential.error.code")
	// ErrEnrollment is the answer to an enrollment that is not this user's, or too old.
	ErrEnrollment = fault.New(fault.Conflict, "credential.error.enrollment", nil)
	// ErrTooMany is the answer when a user has as many authenticators as she may.
	ErrTooMany = fault.New(fault.Conflict, "credential.error.too-many", nil)
)

// enrollTerm is how long an enrollment that was begun can be ended.
const enrollTerm = 30 * time.Minute

// Enrollment is a TOTP authenticator being set up: nothing of it is stored
// until a first code proves that the secret has arrived.
type Enrollment struct {
	Secret string // Base32 without padding
	URI    string // otpauth://
	QR     string // SVG
	Token  string // sealed: give it back with the first code
}

type enrollment struct {
	ID      id.Authenticator `json:"i"`
	Secret  []byte           `json:"s"`
	Expires int64            `json:"e"`
	Bound   string           `json:"b"`
}

// BeginTOTP makes a secret. account names it in the application; bound is the
// flow or session that must bring the first code. ring holds the user's key.
func (s *Service) BeginTOTP(ring *keyring.Ring, user id.User, account, bound string) (Enrollment, error) {
	now := s.Now()
	secret := newTOTPSecret()
	plain, err := json.Marshal(enrollment{id.NewAuthenticator(now), secret, store.Micros(now.Add(enrollTerm)), bound})
	if err != nil {
		return Enrollment{}, err
	}
	sealed, err := ring.Seal(keyring.Person(user), labelEnroll, user.String(), plain)
	if err != nil {
		return Enrollment{}, fmt.Errorf("credential: seal enrollment: %w", err)
	}
	e := s.show(account, secret)
	e.Token = base64Token.EncodeToString(sealed)
	e.QR, err = drawQR(e.URI)
	return e, err
}

func (s *Service) show(account string, secret []byte) Enrollment {
	return Enrollment{Secret: base32Secret.EncodeToString(secret), URI: keyURI(s.Issuer, account, secret)}
}

// Resume shows an enrollment again whose first code was wrong.
func (s *Service) Resume(ring *keyring.Ring, user id.User, account, bound, token string) (Enrollment, error) {
	p, err := s.openEnrollment(ring, user, bound, token)
	if err != nil {
		return Enrollment{}, err
	}
	e := s.show(account, p.Secret)
	e.Token = token
	e.QR, err = drawQR(e.URI)
	return e, err
}

func (s *Service) openEnrollment(ring *keyring.Ring, user id.User, bound, token string) (enrollment, error) {
	var p enrollment
	if len(token) > 2048 {
		return p, ErrEnrollment
	}
	sealed, err := base64Token.DecodeString(token)
	if err != nil {
		return p, ErrEnrollment
	}
	plain, err := ring.Open(keyring.Person(user), labelEnroll, user.String(), sealed)
	if err != nil {
		return p, ErrEnrollment
	}
	if err := json.Unmarshal(plain, &p); err != nil || p.Bound != bound || store.Micros(s.Now()) >= p.Expires {
		return p, ErrEnrollment
	}
	return p, nil
}

// NewTOTP is a TOTP authenticator that proved itself, ready to be added.
type NewTOTP struct {
	Authenticator
	user         id.User
	name, secret []byte
	step         int64
}

// ConfirmTOTP checks the first code of an enrollment. The step that it shows is
// used up with it.
func (s *Service) ConfirmTOTP(ring *keyring.Ring, user id.User, bound, token, code, name string) (NewTOTP, error) {
	p, err := s.openEnrollment(ring, user, bound, token)
	if err != nil {
		return NewTOTP{}, err
	}
	return s.newTOTP(ring, user, p.ID, p.Secret, code, name)
}

// NewTOTPFor makes an authenticator with a given secret, for seeding: no code
// is asked for. The secret is Base32 without padding.
func (s *Service) NewTOTPFor(ring *keyring.Ring, user id.User, secret, name string) (NewTOTP, error) {
	raw, err := base32Secret.DecodeString(secret)
	if err != nil || len(raw) < 16 {
		return NewTOTP{}, errors.New("credential: not a TOTP secret")
	}
	n, err := s.sealTOTP(ring, user, id.NewAuthenticator(s.Now()), raw, name)
	return n, err
}

func (s *Service) newTOTP(ring *keyring.Ring, user id.User, aid id.Authenticator, secret []byte, code, name string) (NewTOTP, error) {
	step, ok := matchTOTP(secret, code, s.Now(), 0)
	if !ok {
		return NewTOTP{}, ErrCode
	}
	n, err := s.sealTOTP(ring, user, aid, secret, name)
	n.step = step
	return n, err
}

func (s *Service) sealTOTP(ring *keyring.Ring, user id.User, aid id.Authenticator, secret []byte, name string) (NewTOTP, error) {
	now := s.Now()
	n := NewTOTP{Authenticator: Authenticator{ID: aid, Kind: TOTP, Name: cleanName(name), Created: now, Used: now}, user: user}
	var err error
	if n.secret, err = ring.Seal(keyring.Person(user), labelSecret, aid.String(), secret); err != nil {
		return n, fmt.Errorf("credential: seal secret: %w", err)
	}
	if n.name, err = ring.SealText(keyring.Person(user), labelName, aid.String(), n.Name); err != nil {
		return n, fmt.Errorf("credential: seal name: %w", err)
	}
	return n, nil
}

// AddTOTPTx adds the authenticator to the user whose scope tx has. An
// enrollment that is ended twice adds one. The caller records the entry.
func (s *Service) AddTOTPTx(tx *store.Tx, n NewTOTP) error {
	var have int
	if err := tx.Row(countAuthenticators).Scan(&have); err != nil {
		return fmt.Errorf("credential: count authenticators: %w", err)
	}
	if have >= totpMax {
		return ErrTooMany
	}
	_, err := tx.Exec(insertAuthenticator, n.ID, string(TOTP), n.name, n.secret, n.step, store.Micros(n.Created))
	if errors.Is(err, store.ErrUnique) {
		return ErrEnrollment
	}
	if err != nil {
		return fmt.Errorf("credential: insert authenticator: %w", err)
	}
	return s.changed(tx, n.user, TOTP)
}

// Match is a code that fits an authenticator: UseTx uses it up.
type Match struct {
	Authenticator id.Authenticator
	step          int64
	hash          []byte // of a recovery code
}

// MatchTOTP finds the authenticator and step that the code is of; the error is
// ErrCode when it is of none. ring holds the user's key.
func (s *Service) MatchTOTP(ring *keyring.Ring, h Held, code string) (Match, error) {
	var m Match
	found := false
	for _, a := range h.rows {
		secret, err := ring.Open(keyring.Person(h.User), labelSecret, a.ID.String(), a.secret)
		if err != nil {
			return m, fmt.Errorf("credential: open secret: %w", err)
		}
		if step, ok := matchTOTP(secret, code, s.Now(), a.last); ok && !found {
			m, found = Match{Authenticator: a.ID, step: step}, true
		}
	}
	if !found {
		return m, ErrCode
	}
	return m, nil
}

// MatchRecovery gives the match of a recovery code by its form; whether the
// user has it UseTx finds out.
func (s *Service) MatchRecovery(user id.User, code string) (Match, error) {
	hash, ok := recoveryHash(user, code)
	if !ok {
		return Match{}, ErrCode
	}
	return Match{hash: hash}, nil
}

// UseTx uses up the step or code of the match; the error is ErrCode when it was
// used before, or does not exist. The caller records the entry.
func (s *Service) UseTx(tx *store.Tx, m Match) error {
	now := store.Micros(s.Now())
	var err error
	if m.hash != nil {
		var hash []byte
		err = tx.Row(useCode, m.hash, now).Scan(&hash)
	} else {
		var used id.Authenticator
		err = tx.Row(useStep, m.Authenticator, m.step, now).Scan(&used)
	}
	if errors.Is(err, store.ErrNone) {
		return ErrCode
	}
	if err != nil {
		return fmt.Errorf("credential: use up: %w", err)
	}
	return nil
}

// Codes are new recovery codes, to be shown once.
type Codes struct {
	Plain  []string
	hashes [][]byte
}

// NewCodes makes recovery codes for the user.
func NewCodes(user id.User) Codes {
	var c Codes
	for range recoveryCodes {
		code := newRecoveryCode()
		hash, _ := recoveryHash(user, code)
		c.Plain, c.hashes = append(c.Plain, code), append(c.hashes, hash)
	}
	return c
}

// SetCodesTx replaces the codes of the user whose scope tx has. The caller
// records the entry.
func (s *Service) SetCodesTx(tx *store.Tx, c Codes) error {
	if _, err := tx.Exec(deleteCodes); err != nil {
		return fmt.Errorf("credential: delete codes: %w", err)
	}
	for _, h := range c.hashes {
		if _, err := tx.Exec(insertCode, h, store.Micros(s.Now())); err != nil {
			return fmt.Errorf("credential: insert code: %w", err)
		}
	}
	_, err := tx.Exec(forgiveKinds, string(Recovery))
	return err
}

// CodesLeftTx is the number of recovery codes that the user whose scope tx has
// can still use.
func (s *Service) CodesLeftTx(tx *store.Tx) (n int, err error) {
	err = tx.Row(countCodes).Scan(&n)
	return n, err
}

// RemoveTx removes the authenticator from the user whose scope tx has, and with
// the last one her recovery codes; the error is fault.ErrNotFound. The caller
// records the entry.
func (s *Service) RemoveTx(tx *store.Tx, user id.User, a id.Authenticator) error {
	var gone id.Authenticator
	err := tx.Row(removeAuthenticator, a).Scan(&gone)
	if errors.Is(err, store.ErrNone) {
		return fault.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("credential: remove authenticator: %w", err)
	}
	var left int
	if err := tx.Row(countAuthenticators).Scan(&left); err != nil {
		return fmt.Errorf("credential: count authenticators: %w", err)
	}
	if left == 0 {
		if _, err := tx.Exec(deleteCodes); err != nil {
			return fmt.Errorf("credential: delete codes: %w", err)
		}
		if _, err := tx.Exec(forgiveKinds, string(TOTP)); err != nil {
			return fmt.Errorf("credential: forgive: %w", err)
		}
	}
	return s.changed(tx, user, TOTP)
}

// List opens the names of the authenticators. ring holds the user's key.
func (s *Service) List(ring *keyring.Ring, h Held) ([]Authenticator, error) {
	out := make([]Authenticator, 0, len(h.rows))
	for _, a := range h.rows {
		name, err := ring.OpenText(keyring.Person(h.User), labelName, a.ID.String(), a.name)
		if err != nil {
			return nil, fmt.Errorf("credential: open name: %w", err)
		}
		a.Name = name
		out = append(out, a.Authenticator)
	}
	return out, nil
}

// SecondFactors gives the users, of those given, who have a second factor.
func (s *Service) SecondFactors(ctx context.Context) (map[id.User]bool, error) {
	out := map[id.User]bool{}
	after := ""
	for {
		var page []id.User
		err := s.Store.View(ctx, store.System("credential.second-factors"), func(tx *store.Tx) (err error) {
			page, err = store.All(tx, scanUser, enrolledUsers, after, 1000)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("credential: users with a second factor: %w", err)
		}
		for _, u := range page {
			out[u] = true
		}
		if len(page) < 1000 {
			return out, nil
		}
		after = page[len(page)-1].String()
	}
}
