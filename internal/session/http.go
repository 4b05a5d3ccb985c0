package session

import (
	"context"
	"net/http"

	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/console"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/web"
)

var views = console.MustParse(files, "pages/*.html")

type none struct{}

func (s *Service) listMine(ctx context.Context, who caller.Caller, _ *struct{}) (*web.List[Session], error) {
	all, err := s.List(ctx, who, who.User)
	if err != nil {
		return nil, err
	}
	return web.NewList(all, ""), nil
}

type oneIn struct {
	Session id.Session `path:"session"`
}

func (s *Service) revokeMine(ctx context.Context, who caller.Caller, in *oneIn) (*none, error) {
	return nil, s.Revoke(ctx, who, in.Session)
}

func (s *Service) revokeMineAll(ctx context.Context, who caller.Caller, _ *struct{}) (*none, error) {
	_, err := s.RevokeOthers(ctx, who)
	return nil, err
}

type memberIn struct {
	Org  id.Org  `path:"org"`
	User id.User `path:"user"`
}

func (s *Service) listMember(ctx context.Context, _ caller.Caller, in *memberIn) (*web.List[MemberSession], error) {
	if err := s.member(ctx, in.Org, in.User); err != nil {
		return nil, err
	}
	all, err := s.Member(ctx, in.Org, in.User)
	if err != nil {
		return nil, err
	}
	return web.NewList(all, ""), nil
}

// member refuses a user who does not belong to the organization.
func (s *Service) member(ctx context.Context, org id.Org, user id.User) error {
	if s.IsMember == nil {
		return nil
	}
	ok, err := s.IsMember(ctx, org, user)
	if err == nil && !ok {
		err = fault.ErrNotFound
	}
	return err
}

type memberOneIn struct {
	Org     id.Org     `path:"org"`
	User    id.User    `path:"user"`
	Session id.Session `path:"session"`
}

func (s *Service) cutOne(ctx context.Context, who caller.Caller, in *memberOneIn) (*none, error) {
	if err := s.member(ctx, in.Org, in.User); err != nil {
		return nil, err
	}
	_, err := s.Cut(ctx, who, in.Org, in.User, in.Session)
	return nil, err
}

func (s *Service) cutAll(ctx context.Context, who caller.Caller, in *memberIn) (*none, error) {
	if err := s.member(ctx, in.Org, in.User); err != nil {
		return nil, err
	}
	_, err := s.Cut(ctx, who, in.Org, in.User, id.Session{})
	return nil, err
}

type sessionsView struct {
	console.Frame
	Sessions []Session
	Others   int
}

func (s *Service) page(w http.ResponseWriter, r *http.Request) error {
	who := web.Who(r)
	all, err := s.List(r.Context(), who, who.User)
	if err != nil {
		return err
	}
	v := sessionsView{Frame: s.Console.Frame(r, "session.page.title", console.Account("sessions"), console.Lead("session.page.lead")), Sessions: all}
	for _, one := range all {
		if !one.Current {
			v.Others++
		}
	}
	return s.Console.Render(w, r, http.StatusOK, views.Get("sessions"), v)
}

func (s *Service) pageRevoke(w http.ResponseWriter, r *http.Request) error {
	form, err := web.Form(r)
	if err != nil {
		return err
	}
	session, err := id.ParseSession(form.Get("session"))
	if err != nil {
		return fault.ErrNotFound
	}
	who := web.Who(r)
	if err := s.Revoke(r.Context(), who, session); err != nil {
		return err
	}
	if session == who.Session {
		ClearCookie(w)
		web.Redirect(w, r, "/sign-in")
		return nil
	}
	web.Redirect(w, r, "/account/sessions?done=session.page.revoked.done")
	return nil
}

func (s *Service) pageRevokeOthers(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.RevokeOthers(r.Context(), web.Who(r)); err != nil {
		return err
	}
	web.Redirect(w, r, "/account/sessions?done=session.page.revoked-others.done")
	return nil
}
