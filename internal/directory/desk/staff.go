package desk

import (
	"context"

	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/directory"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/web"
)

func (s *Service) staffAPI() []web.Route {
	return []web.Route{
		web.JSON("GET /api/v1/installation/orgs", directory.StaffRead, s.allOrgs, web.Summary("List the organizations of the installation.")),
		web.JSON("POST /api/v1/installation/orgs", directory.StaffWrite, s.addOrg, web.Status(201), web.Event(directory.EventOrgAdded), web.Summary("Add an organization with its first owner.")),
		web.JSON("GET /api/v1/installation/orgs/{org}", directory.StaffRead, s.oneOrg, web.Summary("Read an organization.")),
		web.JSON("POST /api/v1/installation/orgs/{org}/suspend", directory.StaffWrite, s.suspendOrg, web.Event(directory.EventOrgState), web.Summary("Keep everybody of an organization out until it is reactivated.")),
		web.JSON("POST /api/v1/installation/orgs/{org}/reactivate", directory.StaffWrite, s.reactivateOrg, web.Event(directory.EventOrgState), web.Summary("Let a suspended organization in again.")),
		web.JSON("POST /api/v1/installation/users/{user}/suspend", directory.StaffWrite, s.suspendUser, web.Status(204), web.Event(directory.EventUserState), web.Summary("Disable a user in all organizations.")),
		web.JSON("POST /api/v1/installation/users/{user}/reactivate", directory.StaffWrite, s.reactivateUser, web.Status(204), web.Event(directory.EventUserState), web.Summary("Enable a disabled user again.")),
		web.JSON("GET /api/v1/installation/staff", directory.StaffRead, s.staff, web.Summary("List who has a role in the installation.")),
		web.JSON("POST /api/v1/installation/staff", directory.StaffWrite, s.addStaff, web.Status(204), web.Event(directory.EventStaffAdded), web.Summary("Give a user a role in the installation.")),
		web.JSON("DELETE /api/v1/installation/staff/{user}/{role}", directory.StaffWrite, s.removeStaff, web.Status(204), web.Event(directory.EventStaffRemoved), web.Summary("Take a role in the installation.")),
	}
}

type allOrgsIn struct {
	web.PageQuery
	State string `query:"state" enum:"active,suspended,closing"`
}

func (s *Service) allOrgs(ctx context.Context, who caller.Caller, in *allOrgsIn) (*web.List[directory.Org], error) {
	items, next, err := s.orgPage(ctx, who, in.State, in.Size(), in.Cursor)
	return web.NewList(items, next), err
}

// orgPage reads a part of the list of organizations, on record.
func (s *Service) orgPage(ctx context.Context, who caller.Caller, state string, size int, cursor string) ([]directory.Org, string, error) {
	query := "organizations?" + state
	pos, err := s.position(who, id.Org{}, query, cursor)
	if err != nil {
		return nil, "", err
	}
	var after id.Org
	if pos != "" {
		if after, err = id.ParseOrg(pos); err != nil {
			return nil, "", err
		}
	}
	if err := s.Audit.StaffRead(ctx, who, id.Org{}, audit.Target{Kind: "organizations"}, map[string]any{"after": pos}); err != nil {
		return nil, "", err
	}
	items, err := s.Directory.Orgs(ctx, after, directory.State(state), size+1)
	if err != nil || len(items) <= size {
		return items, "", err
	}
	items = items[:size]
	return items, s.cursor(who, id.Org{}, query, items[size-1].ID.String()), nil
}

type ownerIn struct {
	Email  string `json:"email" maxLength:"254"`
	Locale string `json:"locale,omitempty" enum:"en,fr,nl" doc:"Language of the message; en when not given."`
}

type addOrgIn struct {
	Name  string  `json:"name" minLength:"1" maxLength:"120"`
	Slug  string  `json:"slug" minLength:"2" maxLength:"40"`
	Owner ownerIn `json:"owner" doc:"The first owner is invited by mail."`
}

func (s *Service) addOrg(ctx context.Context, who caller.Caller, in *addOrgIn) (*directory.Org, error) {
	o, _, err := s.Directory.AddOrg(ctx, who, directory.NewOrg{
		Name: in.Name, Slug: in.Slug, Invite: &directory.NewInvitation{Email: in.Owner.Email, Locale: in.Owner.Locale},
	})
	return &o, err
}

func (s *Service) oneOrg(ctx context.Context, who caller.Caller, in *inOrg) (*directory.Org, error) {
	o, err := s.Directory.FindOrg(ctx, in.Org)
	if err != nil {
		return nil, err
	}
	return &o, s.Audit.StaffRead(ctx, who, in.Org, audit.Target{Kind: "organization", ID: in.Org.String()}, nil)
}

func (s *Service) suspendOrg(ctx context.Context, who caller.Caller, in *inOrg) (*directory.Org, error) {
	o, err := s.Directory.SetOrgState(ctx, who, in.Org, directory.Suspended)
	return &o, err
}

func (s *Service) reactivateOrg(ctx context.Context, who caller.Caller, in *inOrg) (*directory.Org, error) {
	o, err := s.Directory.SetOrgState(ctx, who, in.Org, directory.Active)
	return &o, err
}

type inUser struct {
	User id.User `path:"user"`
}

func (s *Service) suspendUser(ctx context.Context, who caller.Caller, in *inUser) (*none, error) {
	return nil, s.Directory.SetUserState(ctx, who, in.User, directory.Suspended)
}

func (s *Service) reactivateUser(ctx context.Context, who caller.Caller, in *inUser) (*none, error) {
	return nil, s.Directory.SetUserState(ctx, who, in.User, directory.Active)
}

func (s *Service) staff(ctx context.Context, _ caller.Caller, _ *none) (*web.List[directory.Staff], error) {
	list, err := s.Directory.Staff(ctx)
	return web.NewList(list, ""), err
}

type addStaffIn struct {
	User id.User `json:"user"`
	Role string  `json:"role" enum:"staff-admin,staff-auditor"`
}

func (s *Service) addStaff(ctx context.Context, who caller.Caller, in *addStaffIn) (*none, error) {
	return nil, s.Directory.AddStaff(ctx, who, in.User, in.Role)
}

type removeStaffIn struct {
	User id.User `path:"user"`
	Role string  `path:"role" enum:"staff-admin,staff-auditor"`
}

func (s *Service) removeStaff(ctx context.Context, who caller.Caller, in *removeStaffIn) (*none, error) {
	return nil, s.Directory.RemoveStaff(ctx, who, in.User, in.Role)
}
