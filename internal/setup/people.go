package setup

import (
	"context"
	"errors"

	"github.com/rempart/rempart/internal/access"
	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/credential"
	"github.com/rempart/rempart/internal/directory"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/keyring"
	"github.com/rempart/rempart/internal/store"
)

// Administrator is the first member of staff, as the wizard asks for her.
type Administrator struct {
	Name, Email, Password string
	Lang                  string
}

// bound ties an enrollment to the wizard: no sign-in flow can end it.
const bound = "setup"

// AddAdministrator makes the first member of staff with her password. The
// address counts as proved: she is at the server, and there may be no mail yet.
func (s *Service) AddAdministrator(ctx context.Context, who caller.Caller, a Administrator) error {
	return s.do(ctx, who, StepStaff, func(p Progress) (string, bool, error) {
		// An administrator reaches everything, so her password is as long as one
		// that stands alone, though a second factor follows in the next step.
		if err := credential.CheckPassword(a.Password, credential.MinAlone, []string{a.Name, a.Email, s.product()}); err != nil {
			return "", false, err
		}
		user, err := s.administrator(ctx, actor(who), a)
		if err != nil {
			return "", false, err
		}
		if err := s.setPassword(ctx, actor(who), user, a.Password); err != nil {
			return "", false, err
		}
		// Last: whoever has no password yet is no staff either.
		if err := s.ensureStaff(ctx, actor(who), user); err != nil {
			return "", false, err
		}
		return user.String(), true, nil
	})
}

// administrator makes the user, or finds the one that an attempt cut short has
// left: nobody else can have made people before set-up was complete.
func (s *Service) administrator(ctx context.Context, who caller.Caller, a Administrator) (id.User, error) {
	u, err := s.Directory.AddUser(ctx, who, directory.NewUser{Email: a.Email, Verified: true,
		Profile: directory.Profile{Name: a.Name, Locale: a.Lang}})
	if err == nil {
		return u.ID, nil
	}
	if !errors.Is(err, directory.ErrEmailTaken) {
		return id.User{}, err
	}
	found, ferr := s.Directory.FindUserByEmail(ctx, a.Email)
	if ferr != nil {
		return id.User{}, err
	}
	have, ferr := s.Directory.FindUser(ctx, found.User)
	if ferr != nil || have.Kind != directory.Customer {
		return id.User{}, err // the address of a canary is taken
	}
	return have.ID, nil
}

func (s *Service) ensureStaff(ctx context.Context, who caller.Caller, user id.User) error {
	roles, err := s.Directory.StaffRoles(ctx, user)
	if err != nil || len(roles) > 0 {
		return err
	}
	return s.Directory.AddStaff(ctx, who, user, access.RoleStaffAdmin)
}

func (s *Service) setPassword(ctx context.Context, who caller.Caller, user id.User, password string) error {
	slot, err := s.Credential.Hasher.Reserve()
	if err != nil {
		return err
	}
	defer slot.Release()
	pen, err := s.Audit.Pen(ctx, who, id.Org{}, user)
	if err != nil {
		return err
	}
	secret, err := s.Credential.Hash(ctx, slot, pen.Ring, user, password)
	if err != nil {
		return err
	}
	return s.Store.Update(ctx, store.User(user), func(tx *store.Tx) error {
		if err := s.Credential.SetPasswordTx(tx, secret); err != nil {
			return err
		}
		return pen.Record(tx, audit.Entry{Kind: credential.EventPasswordSet, Target: audit.Target{Kind: "user", ID: user.String()}, Person: user})
	})
}

// BeginTOTP makes an enrollment for the administrator, or shows the one of the
// token again. Nothing is stored before ConfirmTOTP.
func (s *Service) BeginTOTP(ctx context.Context, token string) (credential.Enrollment, error) {
	user, email, ring, err := s.enrolling(ctx)
	if err != nil {
		return credential.Enrollment{}, err
	}
	if token != "" {
		if e, err := s.Credential.Resume(ring, user, email, bound, token); err == nil || !errors.Is(err, credential.ErrEnrollment) {
			return e, wrap("show enrollment", err)
		}
	}
	e, err := s.Credential.BeginTOTP(ring, user, email, bound)
	return e, wrap("begin enrollment", err)
}

func (s *Service) enrolling(ctx context.Context) (user id.User, email string, ring *keyring.Ring, err error) {
	p, err := s.Progress(ctx)
	if err != nil {
		return user, "", nil, err
	}
	if p.Next != StepTOTP {
		return user, "", nil, errOrder
	}
	u, err := s.Directory.FindUser(ctx, p.User())
	if err != nil {
		return user, "", nil, wrap("find administrator", err)
	}
	ring, err = s.Keys.Ready(ctx, keyring.Person(u.ID))
	return u.ID, u.Email(), ring, wrap("load keys", err)
}

// ConfirmTOTP ends the enrollment with a first code; the error is
// credential.ErrCode for a wrong one and credential.ErrEnrollment when it was
// begun too long ago.
func (s *Service) ConfirmTOTP(ctx context.Context, who caller.Caller, token, code string) error {
	return s.do(ctx, who, StepTOTP, func(p Progress) (string, bool, error) {
		user := p.User()
		held, err := s.Credential.Load(ctx, user)
		if err != nil {
			return "", false, err
		}
		if held.HasSecond() { // an attempt cut short got so far
			return "", true, nil
		}
		pen, err := s.Audit.Pen(ctx, actor(who), id.Org{}, user)
		if err != nil {
			return "", false, err
		}
		totp, err := s.Credential.ConfirmTOTP(pen.Ring, user, bound, token, code, "")
		if err != nil {
			return "", false, err
		}
		err = s.Store.Update(ctx, store.User(user), func(tx *store.Tx) error {
			if err := s.Credential.AddTOTPTx(tx, totp); err != nil {
				return err
			}
			return pen.Record(tx, audit.Entry{Kind: credential.EventEnrolled, Target: audit.Target{Kind: "authenticator", ID: totp.ID.String()}, Person: user})
		})
		return "", err == nil, err
	})
}

// MakeCodes makes the administrator's recovery codes, to be shown once. Until
// KeepCodes they can be made again, which ends those before.
func (s *Service) MakeCodes(ctx context.Context, who caller.Caller) ([]string, error) {
	var codes credential.Codes
	err := s.do(ctx, who, StepCodes, func(p Progress) (string, bool, error) {
		user := p.User()
		pen, err := s.Audit.Pen(ctx, actor(who), id.Org{}, user)
		if err != nil {
			return "", false, err
		}
		codes = credential.NewCodes(user)
		err = s.Store.Update(ctx, store.User(user), func(tx *store.Tx) error {
			if err := s.Credential.SetCodesTx(tx, codes); err != nil {
				return err
			}
			return pen.Record(tx, audit.Entry{Kind: credential.EventCodes, Target: audit.Target{Kind: "user", ID: user.String()}, Person: user})
		})
		return "", false, err
	})
	if err != nil {
		return nil, err
	}
	return codes.Plain, nil
}

// KeepCodes ends the step once the administrator says that she has the codes.
func (s *Service) KeepCodes(ctx context.Context, who caller.Caller) error {
	return s.do(ctx, who, StepCodes, func(p Progress) (string, bool, error) {
		var left int
		err := s.Store.View(ctx, store.User(p.User()), func(tx *store.Tx) (err error) {
			left, err = s.Credential.CodesLeftTx(tx)
			return err
		})
		if err == nil && left == 0 {
			err = fault.New(fault.Invalid, "setup.codes.none", nil)
		}
		return "", err == nil, err
	})
}
