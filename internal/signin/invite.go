package signin

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/rempart/rempart/internal/access"
	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/console"
	"github.com/rempart/rempart/internal/credential"
	"github.com/rempart/rempart/internal/directory"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/store"
	"github.com/rempart/rempart/internal/web"
)

// invited shows an invitation to who has its link: to a new person with a form
// for name and password, to one who has an account after she signed in.
func (s *Service) invited(w http.ResponseWriter, r *http.Request) error {
	o, err := s.Directory.FindInvitation(r.Context(), r.PathValue("token"))
	if err != nil {
		return s.deadInvitation(w, r, err)
	}
	return s.showInvitation(w, r, http.StatusOK, o, "", nil)
}

func (s *Service) deadInvitation(w http.ResponseWriter, r *http.Request, err error) error {
	if !errors.Is(err, directory.ErrInvitation) && !errors.Is(err, directory.ErrOther) && !errors.Is(err, access.ErrDisabled) {
		return err
	}
	if errors.Is(err, access.ErrDisabled) {
		err = fault.New(fault.Denied, "signin.blocked.disabled", err)
	}
	return s.render(w, r, web.StatusOf(err), "blocked", "signin.invite.dead.title", view{}, err, console.Lead("signin.invite.dead.lead"))
}

func (s *Service) showInvitation(w http.ResponseWriter, r *http.Request, status int, o directory.Offer, name string, failure error) error {
	who := web.Who(r)
	v := view{Token: r.PathValue("token"), Org: o.Org.Name, Email: o.Invitation.Email, Name: name, Known: !o.User.IsZero()}
	switch {
	case !o.User.IsZero() && (who.Kind != caller.User || who.User != o.User):
		// Her own account is asked for, by the address that was invited.
		path, err := s.Begin(r.Context(), Ask{Return: r.URL.Path, LoginHint: o.Invitation.Email, Choose: who.Kind == caller.User})
		if err != nil {
			return err
		}
		v.Other = path
	case o.User.IsZero():
		minimum, _, err := s.askedOf(r.Context(), id.User{}, false, o.Org.ID)
		if err != nil {
			return err
		}
		v.Minimum = minimum
	}
	return s.render(w, r, status, "invitation", "signin.invite.title", v, failure, console.Lead("signin.invite.lead", "Organization", o.Org.Name))
}

// accept uses the invitation up. A new person's account, password and
// membership come about in one transaction; then she signs in with them.
func (s *Service) accept(w http.ResponseWriter, r *http.Request) error {
	form, err := web.Form(r)
	if err != nil {
		return err
	}
	ctx, who, secret := r.Context(), web.Who(r), r.PathValue("token")
	o, err := s.Directory.FindInvitation(ctx, secret)
	if err != nil {
		return s.deadInvitation(w, r, err)
	}
	if !o.User.IsZero() {
		if who.Kind != caller.User || who.User != o.User {
			return s.showInvitation(w, r, http.StatusUnauthorized, o, "", directory.ErrSignIn)
		}
		if _, err := s.Directory.Accept(ctx, who, secret); err != nil {
			return s.deadInvitation(w, r, err)
		}
		web.Redirect(w, r, "/account?done=signin.invite.done")
		return nil
	}
	slot, err := s.Credential.Hasher.Reserve()
	if err != nil {
		return err
	}
	defer slot.Release()
	name := strings.TrimSpace(form.Get("name"))
	bad := func(err error) error {
		return s.showInvitation(w, r, http.StatusUnprocessableEntity, o, name, err)
	}
	if name == "" || utf8.RuneCountInString(name) > 200 {
		return bad(directory.ErrName)
	}
	minimum, words, err := s.askedOf(ctx, id.User{}, false, o.Org.ID)
	if err != nil {
		return err
	}
	if err := credential.CheckPassword(form.Get("password"), minimum, append(words, name, o.Invitation.Email)); err != nil {
		return bad(err)
	}
	a, err := s.Directory.PrepareAcceptance(ctx, who, secret, directory.Profile{Name: name, Locale: who.Lang})
	if fault.KindOf(err) == fault.Invalid {
		return bad(err)
	}
	if err != nil {
		return s.deadInvitation(w, r, err)
	}
	password, err := s.Credential.Hash(ctx, slot, a.Pen.Ring, a.User, form.Get("password"))
	if err != nil {
		return err
	}
	err = s.Store.Update(ctx, store.System("signin.accept"), func(tx *store.Tx) error {
		if _, err := s.Directory.AcceptTx(tx, a); err != nil {
			return err
		}
		if err := s.Credential.FirstPasswordTx(tx, password); err != nil {
			return err
		}
		return a.Pen.Record(tx, audit.Entry{Kind: credential.EventPasswordSet, Target: audit.Target{Kind: "user", ID: a.User.String()}, Person: a.User})
	})
	if err != nil {
		return s.deadInvitation(w, r, err)
	}
	web.Redirect(w, r, "/sign-in?done=signin.invite.done&return="+url.QueryEscape("/account"))
	return nil
}
