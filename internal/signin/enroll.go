package signin

import (
	"errors"
	"html/template"
	"net/http"

	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/credential"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/keyring"
	"github.com/rempart/rempart/internal/store"
	"github.com/rempart/rempart/internal/web"
)

// enroll takes the first code of a new authenticator in a flow that needs one:
// the session starts with it, and the recovery codes are shown, once.
func (s *Service) enroll(w http.ResponseWriter, r *http.Request) error {
	form, err := web.Form(r)
	if err != nil {
		return err
	}
	ctx := r.Context()
	f, _, err := s.findFlow(r, form.Get("flow"))
	if err != nil {
		return s.restart(w, r, err)
	}
	if f.Step != stepEnroll {
		return s.toStep(w, r, f)
	}
	p, err := s.load(ctx, f)
	if err != nil {
		return err
	}
	ring, err := s.Keys.Ready(ctx, keyring.Installation(), keyring.Person(f.User))
	if err != nil {
		return err
	}
	added, err := s.Credential.ConfirmTOTP(ring, f.User, f.ID.String(), form.Get("enrollment"), form.Get("code"), form.Get("name"))
	if errors.Is(err, credential.ErrCode) {
		again, rerr := s.Credential.Resume(ring, f.User, f.State.Email, f.ID.String(), form.Get("enrollment"))
		if rerr != nil {
			return rerr
		}
		return s.showEnroll(w, r, http.StatusUnprocessableEntity, f, again, err)
	}
	if errors.Is(err, credential.ErrEnrollment) {
		return s.showStep(w, r, http.StatusConflict, f, err)
	}
	if err != nil {
		return err
	}
	codes := credential.NewCodes(f.User)
	f.proved("otp", s.Now())
	pen, err := s.Audit.Pen(ctx, actor(web.Who(r), f, true), id.Org{}, f.User)
	if err != nil {
		return err
	}
	notice, err := s.changedMail(ctx, f.User, "enrolled", web.Who(r))
	if err != nil {
		return err
	}
	also := func(tx *store.Tx) error {
		if err := s.Credential.AddTOTPTx(tx, added); err != nil {
			return err
		}
		if err := s.Credential.SetCodesTx(tx, codes); err != nil {
			return err
		}
		if err := s.queue(tx, pen.Ring, notice); err != nil {
			return err
		}
		return pen.Record(tx, audit.Entry{
			Kind: credential.EventEnrolled, Target: audit.Target{Kind: "authenticator", ID: added.ID.String()}, Person: f.User,
		})
	}
	err = s.finish(w, r, ring, f, p, stepCodes, also, func() error { return s.showCodes(w, r, f, codes.Plain) })
	if errors.Is(err, credential.ErrEnrollment) || errors.Is(err, credential.ErrTooMany) {
		return s.showStep(w, r, http.StatusConflict, f, err)
	}
	return err
}

// codesSeen ends a flow whose recovery codes were shown.
func (s *Service) codesSeen(w http.ResponseWriter, r *http.Request) error {
	form, err := web.Form(r)
	if err != nil {
		return err
	}
	f, ring, err := s.findFlow(r, form.Get("flow"))
	if err != nil {
		return s.restart(w, r, err)
	}
	if f.Step != stepCodes || web.Who(r).User != f.User {
		return s.toStep(w, r, f)
	}
	if err := s.move(r.Context(), ring, f, stepDone); err != nil {
		return s.restart(w, r, err)
	}
	web.Redirect(w, r, f.back())
	return nil
}

// renew takes a new password in a flow whose password does not meet the rule of
// the organization to be entered.
func (s *Service) renew(w http.ResponseWriter, r *http.Request) error {
	form, err := web.Form(r)
	if err != nil {
		return err
	}
	ctx, who := r.Context(), web.Who(r)
	slot, err := s.Credential.Hasher.Reserve()
	if err != nil {
		return err
	}
	defer slot.Release()
	f, _, err := s.findFlow(r, form.Get("flow"))
	if err != nil {
		return s.restart(w, r, err)
	}
	if f.Step != stepRenew {
		return s.toStep(w, r, f)
	}
	p, err := s.load(ctx, f)
	if err != nil {
		return err
	}
	pen, err := s.Audit.Pen(ctx, actor(who, f, true), id.Org{}, f.User)
	if err != nil {
		return err
	}
	secret, err := s.newPassword(ctx, slot, pen.Ring, f.User, form, p.held.HasSecond())
	if fault.KindOf(err) == fault.Invalid {
		return s.showStep(w, r, http.StatusUnprocessableEntity, f, err)
	}
	if err != nil {
		return err
	}
	notice, err := s.changedMail(ctx, f.User, "password", who)
	if err != nil {
		return err
	}
	f.State.Length = credential.Length(form.Get("password"))
	return s.next(w, r, pen.Ring, f, p, func(tx *store.Tx) error {
		if err := s.Credential.SetPasswordTx(tx, secret); err != nil {
			return err
		}
		if err := s.queue(tx, pen.Ring, notice); err != nil {
			return err
		}
		return pen.Record(tx, audit.Entry{Kind: credential.EventPasswordChanged, Target: audit.Target{Kind: "user", ID: f.User.String()}, Person: f.User})
	})
}

// picture is a QR code that the program drew itself.
func picture(svg string) template.HTML { return template.HTML(svg) }
