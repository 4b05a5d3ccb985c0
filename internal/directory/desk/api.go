package desk

import (
	"context"
	"time"

	"github.com/rempart/rempart/internal/access"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/directory"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/web"
)

type (
	none  struct{}
	inOrg struct {
		Org id.Org `path:"org"`
	}
	inWorkspace struct {
		Org       id.Org       `path:"org"`
		Workspace id.Workspace `path:"workspace"`
	}
	inMember struct {
		Org  id.Org  `path:"org"`
		User id.User `path:"user"`
	}
	inInvitation struct {
		Org        id.Org        `path:"org"`
		Invitation id.Invitation `path:"invitation"`
	}
)

func (s *Service) api() []web.Route {
	return []web.Route{
		web.JSON("GET /api/v1/me", capability.Self, s.me, web.Summary("Read who is signed in, with her addresses and organizations.")),
		web.JSON("PATCH /api/v1/me", capability.Self, s.changeMe, web.Event(directory.EventProfile), web.Summary("Change one's own name, language or time zone.")),
		web.JSON("GET /api/v1/orgs", capability.Self, s.myOrgs, web.Summary("List the organizations that the signed-in user belongs to.")),
		web.JSON("POST /api/v1/invitations/accept", capability.Self, s.accept, web.Event(directory.EventInvitationAccepted), web.Summary("Accept an invitation as the signed-in user.")),

		web.JSON("GET /api/v1/orgs/{org}", directory.Read, s.org, web.Summary("Read the organization.")),
		web.JSON("PATCH /api/v1/orgs/{org}", directory.OrgWrite, s.changeOrg, web.Event(directory.EventOrgChanged), web.Summary("Rename the organization or change its slug.")),

		web.JSON("GET /api/v1/orgs/{org}/workspaces", directory.Read, s.workspaces, web.Summary("List the organization's workspaces.")),
		web.JSON("POST /api/v1/orgs/{org}/workspaces", directory.WorkspacesWrite, s.addWorkspace, web.Status(201), web.Event(directory.EventWorkspaceAdded), web.Summary("Add a workspace.")),
		web.JSON("GET /api/v1/orgs/{org}/workspaces/{workspace}", directory.Read, s.workspace, web.Summary("Read a workspace.")),
		web.JSON("PATCH /api/v1/orgs/{org}/workspaces/{workspace}", directory.WorkspacesWrite, s.changeWorkspace, web.Event(directory.EventWorkspaceChanged), web.Summary("Rename, suspend or reactivate a workspace.")),
		web.JSON("DELETE /api/v1/orgs/{org}/workspaces/{workspace}", directory.WorkspacesWrite, s.removeWorkspace, web.Status(204), web.Event(directory.EventWorkspaceRemoved), web.StepUp(), web.Summary("Remove a workspace and the roles bound to it.")),

		web.JSON("GET /api/v1/orgs/{org}/members", directory.Read, s.members, web.Summary("List, search and filter the members.")),
		web.JSON("GET /api/v1/orgs/{org}/members/{user}", directory.Read, s.member, web.Summary("Read a member with her roles.")),
		web.JSON("PATCH /api/v1/orgs/{org}/members/{user}", directory.MembersWrite, s.renameMember, web.Event(directory.EventMemberRenamed), web.Summary("Change the name that the organization calls a member by.")),
		web.JSON("POST /api/v1/orgs/{org}/members/{user}/suspend", directory.MembersWrite, s.suspendMember, web.Event(directory.EventMemberSuspended), web.Summary("Keep a member out of this organization until she is reactivated.")),
		web.JSON("POST /api/v1/orgs/{org}/members/{user}/reactivate", directory.MembersWrite, s.reactivateMember, web.Event(directory.EventMemberReactivated), web.Summary("Let a suspended member in again.")),
		web.JSON("DELETE /api/v1/orgs/{org}/members/{user}", directory.MembersWrite, s.removeMember, web.Status(204), web.Event(directory.EventMemberRemoved), web.StepUp(), web.Summary("Remove a member from this organization; her account stays.")),

		web.JSON("GET /api/v1/orgs/{org}/attributes", directory.Read, s.attributes, web.Summary("List the declared attributes of members and of the organization.")),
		web.JSON("POST /api/v1/orgs/{org}/attributes", directory.AttributesWrite, s.addAttribute, web.Status(201), web.Event(directory.EventAttributeAdded), web.Summary("Declare an attribute.")),
		web.JSON("DELETE /api/v1/orgs/{org}/attributes/{attribute}", directory.AttributesWrite, s.removeAttribute, web.Status(204), web.Event(directory.EventAttributeRemoved), web.Summary("Take an attribute back, with every value.")),
		web.JSON("GET /api/v1/orgs/{org}/values", directory.Read, s.orgValues, web.Summary("Read the organization's own attributes.")),
		web.JSON("PUT /api/v1/orgs/{org}/values/{name}", directory.AttributesWrite, s.setOrgValue, web.Status(204), web.Event(directory.EventValueChanged), web.Summary("Set or take away one of the organization's own attributes.")),
		web.JSON("GET /api/v1/orgs/{org}/members/{user}/values", directory.Read, s.memberValues, web.Summary("Read a member's attributes, as far as the caller may.")),
		web.JSON("PUT /api/v1/orgs/{org}/members/{user}/values/{name}", directory.Read, s.setMemberValue, web.Status(204), web.Event(directory.EventValueChanged), web.Summary("Set or take away a member's attribute; the declaration says who may.")),

		web.JSON("GET /api/v1/orgs/{org}/invitations", directory.Read, s.invitations, web.Summary("List the invitations, newest first.")),
		web.JSON("POST /api/v1/orgs/{org}/invitations", directory.MembersWrite, s.invite, web.Status(201), web.Event(directory.EventInvited), web.Summary("Invite a person by mail.")),
		web.JSON("GET /api/v1/orgs/{org}/invitations/{invitation}", directory.Read, s.invitation, web.Summary("Read an invitation.")),
		web.JSON("POST /api/v1/orgs/{org}/invitations/{invitation}/resend", directory.MembersWrite, s.resend, web.Event(directory.EventInvitationResent), web.Summary("Send an invitation again with a new link; the former one ends.")),
		web.JSON("DELETE /api/v1/orgs/{org}/invitations/{invitation}", directory.MembersWrite, s.revoke, web.Status(204), web.Event(directory.EventInvitationRevoked), web.Summary("Revoke an invitation.")),
	}
}

// meOut is who asks.
type meOut struct {
	directory.User
	Organizations []directory.Belonging `json:"organizations"`
	AMR           []string              `json:"amr" doc:"The authentications of the session (RFC 8176)."`
	AuthTime      time.Time             `json:"auth_time,omitzero"`
}

func (s *Service) me(ctx context.Context, who caller.Caller, _ *none) (*meOut, error) {
	u, err := s.Directory.FindUser(ctx, who.User)
	if err != nil {
		return nil, err
	}
	bs, err := s.Directory.Belongings(ctx, who.User)
	return &meOut{User: u, Organizations: bs, AMR: who.AMR(), AuthTime: who.AuthTime}, err
}

type changeMeIn struct {
	Name   *string `json:"name" minLength:"1" maxLength:"120"`
	Locale *string `json:"locale" enum:"en,fr,nl"`
	Zone   *string `json:"zone" maxLength:"64" doc:"IANA time zone."`
}

func (s *Service) changeMe(ctx context.Context, who caller.Caller, in *changeMeIn) (*directory.User, error) {
	u, err := s.Directory.FindUser(ctx, who.User)
	if err != nil {
		return nil, err
	}
	p := u.Profile
	set(&p.Name, in.Name)
	set(&p.Locale, in.Locale)
	set(&p.Zone, in.Zone)
	u, err = s.Directory.ChangeProfile(ctx, who, who.User, p)
	return &u, err
}

func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

func (s *Service) myOrgs(ctx context.Context, who caller.Caller, _ *none) (*web.List[directory.Belonging], error) {
	bs, err := s.Directory.Belongings(ctx, who.User)
	return web.NewList(bs, ""), err
}

type acceptIn struct {
	Token string `json:"token" maxLength:"100" doc:"The secret of the link in the message."`
}

func (s *Service) accept(ctx context.Context, who caller.Caller, in *acceptIn) (*directory.Membership, error) {
	m, err := s.Directory.Accept(ctx, who, in.Token)
	return &m, err
}

func (s *Service) org(ctx context.Context, _ caller.Caller, in *inOrg) (*directory.Org, error) {
	o, err := s.Directory.FindOrg(ctx, in.Org)
	return &o, err
}

type changeOrgIn struct {
	inOrg
	Match string  `header:"If-Match"`
	Name  *string `json:"name" minLength:"1" maxLength:"120"`
	Slug  *string `json:"slug" minLength:"2" maxLength:"40"`
}

func (s *Service) changeOrg(ctx context.Context, who caller.Caller, in *changeOrgIn) (*directory.Org, error) {
	o, err := s.Directory.FindOrg(ctx, in.Org)
	if err != nil {
		return nil, err
	}
	if err := web.IfMatch(in.Match, o.Version); err != nil {
		return nil, err
	}
	o, err = s.Directory.ChangeOrg(ctx, who, in.Org, o.Version, directory.OrgChange{Name: in.Name, Slug: in.Slug})
	return &o, err
}

func (s *Service) workspaces(ctx context.Context, _ caller.Caller, in *inOrg) (*web.List[directory.Workspace], error) {
	ws, err := s.Directory.Workspaces(ctx, in.Org)
	return web.NewList(ws, ""), err
}

type addWorkspaceIn struct {
	inOrg
	Name string `json:"name" minLength:"1" maxLength:"120"`
	Slug string `json:"slug" minLength:"2" maxLength:"40"`
}

func (s *Service) addWorkspace(ctx context.Context, who caller.Caller, in *addWorkspaceIn) (*directory.Workspace, error) {
	w, err := s.Directory.AddWorkspace(ctx, who, in.Org, in.Name, in.Slug)
	return &w, err
}

func (s *Service) workspace(ctx context.Context, _ caller.Caller, in *inWorkspace) (*directory.Workspace, error) {
	w, err := s.Directory.FindWorkspace(ctx, in.Org, in.Workspace)
	return &w, err
}

type changeWorkspaceIn struct {
	inWorkspace
	Match string           `header:"If-Match"`
	Name  *string          `json:"name" minLength:"1" maxLength:"120"`
	Slug  *string          `json:"slug" minLength:"2" maxLength:"40"`
	State *directory.State `json:"state" enum:"active,suspended"`
}

func (s *Service) changeWorkspace(ctx context.Context, who caller.Caller, in *changeWorkspaceIn) (*directory.Workspace, error) {
	w, err := s.Directory.FindWorkspace(ctx, in.Org, in.Workspace)
	if err != nil {
		return nil, err
	}
	if err := web.IfMatch(in.Match, w.Version); err != nil {
		return nil, err
	}
	w, err = s.Directory.ChangeWorkspace(ctx, who, in.Org, in.Workspace, w.Version, directory.WorkspaceChange{Name: in.Name, Slug: in.Slug, State: in.State})
	return &w, err
}

func (s *Service) removeWorkspace(ctx context.Context, who caller.Caller, in *inWorkspace) (*none, error) {
	return nil, s.Directory.RemoveWorkspace(ctx, who, in.Org, in.Workspace)
}

type membersIn struct {
	inOrg
	web.PageQuery
	Search string `query:"search" maxLength:"254" doc:"Part of a name or address; above 5,000 members a whole address."`
	State  string `query:"state" enum:"active,suspended"`
	Role   string `query:"role" enum:"owner,admin,member,auditor,guest"`
	Order  string `query:"order" enum:"joined,name" doc:"joined when not given; above 5,000 members always joined."`
}

func (s *Service) members(ctx context.Context, who caller.Caller, in *membersIn) (*web.List[directory.Member], error) {
	query := "members?" + in.Search + "&" + in.State + "&" + in.Role + "&" + in.Order
	after, err := s.position(who, in.Org, query, in.Cursor)
	if err != nil {
		return nil, err
	}
	p, err := s.Directory.Members(ctx, in.Org, directory.MemberQuery{
		Search: in.Search, State: directory.State(in.State), Role: in.Role, ByName: in.Order == "name", After: after, Limit: in.Size(),
	})
	if err != nil {
		return nil, err
	}
	return web.NewList(p.Items, s.cursor(who, in.Org, query, p.Next)), nil
}

func (s *Service) member(ctx context.Context, _ caller.Caller, in *inMember) (*directory.Member, error) {
	m, err := s.Directory.FindMember(ctx, in.Org, in.User)
	return &m, err
}

type renameMemberIn struct {
	inMember
	Match string `header:"If-Match"`
	Name  string `json:"name" minLength:"1" maxLength:"120"`
}

func (s *Service) renameMember(ctx context.Context, who caller.Caller, in *renameMemberIn) (*directory.Member, error) {
	m, err := s.Directory.FindMember(ctx, in.Org, in.User)
	if err != nil {
		return nil, err
	}
	if err := web.IfMatch(in.Match, m.Version); err != nil {
		return nil, err
	}
	m, err = s.Directory.RenameMember(ctx, who, in.Org, in.User, m.Version, in.Name)
	return &m, err
}

func (s *Service) suspendMember(ctx context.Context, who caller.Caller, in *inMember) (*directory.Membership, error) {
	m, err := s.Directory.SetMemberState(ctx, who, in.Org, in.User, directory.Suspended)
	return &m, err
}

func (s *Service) reactivateMember(ctx context.Context, who caller.Caller, in *inMember) (*directory.Membership, error) {
	m, err := s.Directory.SetMemberState(ctx, who, in.Org, in.User, directory.Active)
	return &m, err
}

func (s *Service) removeMember(ctx context.Context, who caller.Caller, in *inMember) (*none, error) {
	return nil, s.Directory.RemoveMember(ctx, who, in.Org, in.User)
}

type invitationsIn struct {
	inOrg
	web.PageQuery
}

func (s *Service) invitations(ctx context.Context, who caller.Caller, in *invitationsIn) (*web.List[directory.Invitation], error) {
	items, next, err := s.invitationPage(ctx, who, in.Org, in.Size(), in.Cursor)
	return web.NewList(items, next), err
}

func (s *Service) invitationPage(ctx context.Context, who caller.Caller, org id.Org, size int, cursor string) ([]directory.Invitation, string, error) {
	pos, err := s.position(who, org, "invitations", cursor)
	if err != nil {
		return nil, "", err
	}
	var before id.Invitation
	if pos != "" {
		if before, err = id.ParseInvitation(pos); err != nil {
			return nil, "", err
		}
	}
	items, err := s.Directory.Invitations(ctx, org, before, size+1)
	if err != nil || len(items) <= size {
		return items, "", err
	}
	items = items[:size]
	return items, s.cursor(who, org, "invitations", items[size-1].ID.String()), nil
}

type inviteIn struct {
	inOrg
	Email  string         `json:"email" maxLength:"254"`
	Roles  []access.Grant `json:"roles" minItems:"1" maxItems:"200"`
	Locale string         `json:"locale,omitempty" enum:"en,fr,nl" doc:"Language of the message; en when not given."`
}

func (s *Service) invite(ctx context.Context, who caller.Caller, in *inviteIn) (*directory.Invitation, error) {
	v, err := s.Directory.AddInvitation(ctx, who, in.Org, directory.NewInvitation{Email: in.Email, Roles: in.Roles, Locale: in.Locale})
	return &v, err
}

func (s *Service) invitation(ctx context.Context, _ caller.Caller, in *inInvitation) (*directory.Invitation, error) {
	v, err := s.Directory.InvitationByID(ctx, in.Org, in.Invitation)
	return &v, err
}

func (s *Service) resend(ctx context.Context, who caller.Caller, in *inInvitation) (*directory.Invitation, error) {
	v, err := s.Directory.ResendInvitation(ctx, who, in.Org, in.Invitation)
	return &v, err
}

func (s *Service) revoke(ctx context.Context, who caller.Caller, in *inInvitation) (*none, error) {
	return nil, s.Directory.RevokeInvitation(ctx, who, in.Org, in.Invitation)
}

func (s *Service) attributes(ctx context.Context, _ caller.Caller, in *inOrg) (*web.List[directory.Attribute], error) {
	list, err := s.Directory.Attributes(ctx, in.Org)
	return web.NewList(list, ""), err
}

type addAttributeIn struct {
	inOrg
	Subject string   `json:"subject" enum:"member,organization"`
	Name    string   `json:"name" minLength:"1" maxLength:"40"`
	Kind    string   `json:"kind" enum:"text,number,boolean,date,choice"`
	Choices []string `json:"choices,omitempty" maxItems:"100"`
	Readers string   `json:"readers,omitempty" enum:"admins,self,members" doc:"Who reads it beside administrators; admins when not given."`
	Writers string   `json:"writers,omitempty" enum:"admins,self" doc:"Who writes it beside administrators; admins when not given."`
	Claim   string   `json:"claim,omitempty" maxLength:"40"`
}

func (s *Service) addAttribute(ctx context.Context, who caller.Caller, in *addAttributeIn) (*directory.Attribute, error) {
	a := directory.Attribute{Subject: in.Subject, Name: in.Name, Kind: in.Kind, Choices: in.Choices, Readers: in.Readers, Writers: in.Writers, Claim: in.Claim}
	if a.Readers == "" {
		a.Readers = directory.ForAdmins
	}
	if a.Writers == "" {
		a.Writers = directory.ForAdmins
	}
	a, err := s.Directory.AddAttribute(ctx, who, in.Org, a)
	return &a, err
}

type inAttribute struct {
	Org       id.Org       `path:"org"`
	Attribute id.Attribute `path:"attribute"`
}

func (s *Service) removeAttribute(ctx context.Context, who caller.Caller, in *inAttribute) (*none, error) {
	return nil, s.Directory.RemoveAttribute(ctx, who, in.Org, in.Attribute)
}

func (s *Service) orgValues(ctx context.Context, who caller.Caller, in *inOrg) (*web.List[directory.Value], error) {
	list, err := s.Directory.Values(ctx, who, in.Org, id.User{})
	return web.NewList(list, ""), err
}

func (s *Service) memberValues(ctx context.Context, who caller.Caller, in *inMember) (*web.List[directory.Value], error) {
	list, err := s.Directory.Values(ctx, who, in.Org, in.User)
	return web.NewList(list, ""), err
}

// value is the body that sets one: a text, number or truth value; null takes
// it away.
type value struct {
	Value any `json:"value" required:"true"`
}

type setOrgValueIn struct {
	inOrg
	value
	Name string `path:"name" maxLength:"40"`
}

func (s *Service) setOrgValue(ctx context.Context, who caller.Caller, in *setOrgValueIn) (*none, error) {
	return nil, s.Directory.SetValue(ctx, who, in.Org, id.User{}, in.Name, in.Value)
}

type setMemberValueIn struct {
	inMember
	value
	Name string `path:"name" maxLength:"40"`
}

func (s *Service) setMemberValue(ctx context.Context, who caller.Caller, in *setMemberValueIn) (*none, error) {
	return nil, s.Directory.SetValue(ctx, who, in.Org, in.User, in.Name, in.Value)
}

var errTyped = fault.New(fault.Invalid, "directory.error.typed", nil).At("typed", "directory.error.typed")
