package setup

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"

	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/keyring"
)

// Kit is the recovery kit, to be shown once, with the code that is on the
// sheet: who can type it has read the sheet.
type Kit struct {
	keyring.Kit
	Code string
}

var errCode = fault.New(fault.Invalid, "setup.kit.wrong-code", nil).At("/code", "setup.kit.wrong-code")

// MakeKit makes the recovery kit. Made again, it replaces the recovery identity
// of the one before, so that a sheet that was lost or seen is worth nothing.
func (s *Service) MakeKit(ctx context.Context, who caller.Caller) (Kit, error) {
	var k Kit
	err := s.do(ctx, who, StepKit, func(Progress) (string, bool, error) {
		verifiers, err := s.Audit.VerifierKeys(ctx, id.Org{})
		if err != nil {
			return "", false, err
		}
		if len(verifiers) == 0 {
			return "", false, errors.New("the log has no verifier key")
		}
		identity, err := s.Keys.NewRecovery(ctx, actor(who))
		if err != nil {
			return "", false, err
		}
		k.Kit, err = s.Keys.Kit(identity, strings.Join(verifiers, " "))
		k.Code = newCode()
		return hashCode(k.Code), false, err
	})
	if err != nil {
		return Kit{}, err
	}
	return k, nil
}

// ConfirmKit ends the step for whoever types the code of the sheet made last.
func (s *Service) ConfirmKit(ctx context.Context, who caller.Caller, code string) error {
	return s.do(ctx, who, StepKit, func(p Progress) (string, bool, error) {
		if p.Made[StepKit] == "" {
			return "", false, fault.New(fault.Conflict, "setup.kit.none", nil)
		}
		if !equal([]byte(hashCode(code)), []byte(p.Made[StepKit])) {
			return "", false, errCode
		}
		return "", true, nil
	})
}

// The digits of a code: none that are mistaken for one another on paper.
const codeDigits = "23456789ABCDEFGHJKMNPQRSTVWXYZ23"

// newCode makes a code to be copied from paper. It proves that the sheet was
// read; it protects nothing, so 40 bits are plenty.
func newCode() string {
	var b [8]byte
	rand.Read(b[:])
	for i := range b {
		b[i] = codeDigits[b[i]%32]
	}
	return string(b[:4]) + "-" + string(b[4:])
}

// hashCode is the stored form of a code, however it was typed.
func hashCode(code string) string {
	code = strings.Map(func(r rune) rune {
		if r == '-' || r == ' ' {
			return -1
		}
		return r
	}, strings.ToUpper(code))
	sum := sha256.Sum256([]byte("rempart/setup/kit/1\n" + code))
	return hex.EncodeToString(sum[:])
}
