package desk

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/rempart/rempart/internal/access"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/console"
	"github.com/rempart/rempart/internal/directory"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/web"
)

const (
	orgRoot   = "/console/o/{slug}"
	staffRoot = "/console/staff/orgs"
	pageSize  = 50
)

func (s *Service) pages() []web.Route {
	return []web.Route{
		web.Page("GET "+orgRoot, directory.Read, s.overviewPage),
		web.Page("GET "+orgRoot+"/members", directory.Read, s.membersPage),
		web.Page("GET "+orgRoot+"/members/{user}", directory.Read, s.memberPage),
		web.Page("POST "+orgRoot+"/members/{user}/name", directory.MembersWrite, s.memberRename, web.Event(directory.EventMemberRenamed)),
		web.Page("POST "+orgRoot+"/members/{user}/roles", access.Assign, s.memberRoles, web.Event(access.EventChanged)),
		web.Page("GET "+orgRoot+"/members/{user}/suspend", directory.MembersWrite, s.memberConfirm),
		web.Page("POST "+orgRoot+"/members/{user}/suspend", directory.MembersWrite, s.memberSuspend, web.Event(directory.EventMemberSuspended)),
		web.Page("POST "+orgRoot+"/members/{user}/reactivate", directory.MembersWrite, s.memberReactivate, web.Event(directory.EventMemberReactivated)),
		web.Page("GET "+orgRoot+"/members/{user}/remove", directory.MembersWrite, s.memberConfirm),
		web.Page("POST "+orgRoot+"/members/{user}/remove", directory.MembersWrite, s.memberRemove, web.Event(directory.EventMemberRemoved), web.StepUp()),
		web.Page("GET "+orgRoot+"/invitations", directory.Read, s.invitationsPage),
		web.Page("GET "+orgRoot+"/invitations/new", directory.MembersWrite, s.invitePage),
		web.Page("POST "+orgRoot+"/invitations/new", directory.MembersWrite, s.invitePost, web.Event(directory.EventInvited)),
		web.Page("POST "+orgRoot+"/invitations/{invitation}/resend", directory.MembersWrite, s.resendPost, web.Event(directory.EventInvitationResent)),
		web.Page("POST "+orgRoot+"/invitations/{invitation}/revoke", directory.MembersWrite, s.revokePost, web.Event(directory.EventInvitationRevoked)),
		web.Page("GET "+orgRoot+"/workspaces", directory.Read, s.workspacesPage),
		web.Page("GET "+orgRoot+"/workspaces/new", directory.WorkspacesWrite, s.workspaceNewPage),
		web.Page("POST "+orgRoot+"/workspaces/new", directory.WorkspacesWrite, s.workspaceAdd, web.Event(directory.EventWorkspaceAdded)),
		web.Page("GET "+orgRoot+"/workspaces/{workspace}", directory.Read, s.workspacePage),
		web.Page("POST "+orgRoot+"/workspaces/{workspace}", directory.WorkspacesWrite, s.workspaceChange, web.Event(directory.EventWorkspaceChanged)),
		web.Page("POST "+orgRoot+"/workspaces/{workspace}/remove", directory.WorkspacesWrite, s.workspaceRemove, web.Event(directory.EventWorkspaceRemoved), web.StepUp()),
		web.Page("GET "+orgRoot+"/attributes", directory.Read, s.attributesPage),
		web.Page("POST "+orgRoot+"/attributes", directory.AttributesWrite, s.attributeAdd, web.Event(directory.EventAttributeAdded)),
		web.Page("POST "+orgRoot+"/attributes/{attribute}/remove", directory.AttributesWrite, s.attributeRemove, web.Event(directory.EventAttributeRemoved)),
		web.Page("POST "+orgRoot+"/members/{user}/values", directory.Read, s.memberValue, web.Event(directory.EventValueChanged)),
		web.Page("GET "+orgRoot+"/settings", directory.Read, s.settingsPage),
		web.Page("POST "+orgRoot+"/settings", directory.OrgWrite, s.settingsPost, web.Event(directory.EventOrgChanged)),

		web.Page("GET /console/staff", directory.StaffRead, func(w http.ResponseWriter, r *http.Request) error {
			web.Redirect(w, r, staffRoot)
			return nil
		}),
		web.Page("GET "+staffRoot, directory.StaffRead, s.orgsPage),
		web.Page("GET "+staffRoot+"/new", directory.StaffWrite, s.orgNewPage),
		web.Page("POST "+staffRoot+"/new", directory.StaffWrite, s.orgAdd, web.Event(directory.EventOrgAdded)),
		web.Page("GET "+staffRoot+"/{org}", directory.StaffRead, s.orgPageOne),
		web.Page("POST "+staffRoot+"/{org}/state", directory.StaffWrite, s.orgState, web.Event(directory.EventOrgState)),
	}
}

func navigation() []capability.Navigation {
	org := func(label, path, perm, icon string, order int) capability.Navigation {
		return capability.Navigation{Area: "organization", Section: "directory.nav.section", Label: label, Path: path, Permission: perm, Icon: icon, Order: order}
	}
	return []capability.Navigation{
		org("directory.nav.overview", "", directory.Read, "house", 5),
		org("directory.nav.members", "/members", directory.Read, "users", 10),
		org("directory.nav.invitations", "/invitations", directory.Read, "mail", 20),
		org("directory.nav.workspaces", "/workspaces", directory.Read, "layers", 30),
		org("directory.nav.attributes", "/attributes", directory.Read, "hash", 35),
		org("directory.nav.settings", "/settings", directory.Read, "settings", 90),
		{Area: "staff", Section: "directory.nav.installation", Label: "directory.nav.organizations", Path: "/orgs", Permission: directory.StaffRead, Icon: "building-2", Order: 10},
	}
}

// path is a page of the organization, with what was done.
func path(r *http.Request, to, done string) string {
	p := "/console/o/" + r.PathValue("slug") + to
	if done != "" {
		p += "?" + url.Values{"done": {done}}.Encode()
	}
	return p
}

// again shows the form that failed; what is no fault, or is none of the form's,
// goes on to the page of errors.
func again(err error) bool {
	switch fault.KindOf(err) {
	case fault.Invalid, fault.Conflict, fault.Precondition, fault.Throttled:
		return true
	case fault.Denied:
		return errors.Is(err, access.ErrElevation)
	}
	return false
}

// pathID reads an identifier of the path; what cannot exist is not found.
func pathID[T any](parse func(string) (T, error), r *http.Request, name string) (T, error) {
	v, err := parse(r.PathValue(name))
	if err != nil {
		return v, fault.ErrNotFound
	}
	return v, nil
}

// roleNames are the texts of the roles; the keys are spelled out so that they
// can be found.
var roleNames = map[string]string{
	access.RoleOwner:   "access.role.owner",
	access.RoleAdmin:   "access.role.admin",
	access.RoleMember:  "access.role.member",
	access.RoleAuditor: "access.role.auditor",
	access.RoleGuest:   "access.role.guest",
}

// frame embeds what every page of the directory calls.
type frame struct{ console.Frame }

// Role is the text of a role.
func (f frame) Role(name string) string { return f.T(roleNames[name]) }

// State is the badge of a state.
func (f frame) State(st any) map[string]any {
	switch st {
	case directory.Active:
		return map[string]any{"kind": "ok", "text": f.T("directory.state.active")}
	case directory.Suspended:
		return map[string]any{"kind": "warn", "text": f.T("directory.state.suspended")}
	case directory.Closing:
		return map[string]any{"kind": "bad", "text": f.T("directory.state.closing")}
	case directory.InvitationOpen:
		return map[string]any{"kind": "info", "text": f.T("directory.state.open")}
	case directory.InvitationAccepted:
		return map[string]any{"kind": "ok", "text": f.T("directory.state.accepted")}
	case directory.InvitationRevoked:
		return map[string]any{"kind": "mute", "text": f.T("directory.state.revoked")}
	}
	return map[string]any{"kind": "warn", "text": f.T("directory.state.expired")}
}

// Initials of a name.
func (f frame) Initials(name, email string) string {
	return console.Person{Name: name, Email: email}.Initials()
}

func (s *Service) frame(r *http.Request, title string, opts ...console.Option) frame {
	return frame{s.Console.Frame(r, title, opts...)}
}

type overviewView struct {
	frame
	Org         directory.Org
	Total       int64
	Active      int64
	Owners      int
	Workspaces  int
	Invitations int
}

func (s *Service) overviewPage(w http.ResponseWriter, r *http.Request) error {
	ctx, org := r.Context(), web.Who(r).Org
	o, err := s.Directory.FindOrg(ctx, org)
	if err != nil {
		return err
	}
	p, err := s.Directory.Members(ctx, org, directory.MemberQuery{Role: access.RoleOwner, Limit: 200})
	if err != nil {
		return err
	}
	ws, err := s.Directory.Workspaces(ctx, org)
	if err != nil {
		return err
	}
	invs, err := s.Directory.Invitations(ctx, org, id.Invitation{}, 200)
	if err != nil {
		return err
	}
	v := overviewView{frame: s.frame(r, "", console.InOrg("overview"), console.Titled(o.Name), console.Lead("directory.overview.lead")),
		Org: o, Total: p.Total, Active: p.Active, Owners: len(p.Items), Workspaces: len(ws)}
	for _, i := range invs {
		if i.State == directory.InvitationOpen {
			v.Invitations++
		}
	}
	return s.Console.Render(w, r, 200, views.Get("overview"), v)
}

type membersView struct {
	frame
	Members []directory.Member
	Page    directory.MemberPage
	Search  string
	Roles   []console.Choice
	States  []console.Choice
	Query   bool // something is searched or filtered
	ByName  bool
	Order   string // path that sorts the other way
	Next    string
}

func (s *Service) membersPage(w http.ResponseWriter, r *http.Request) error {
	who, q := web.Who(r), r.URL.Query()
	v := membersView{frame: s.frame(r, "directory.members.title", console.InOrg("members"), console.Lead("directory.members.lead")),
		Search: q.Get("q"), ByName: q.Get("order") != "joined"}
	state, role := q.Get("state"), q.Get("role")
	v.Query = v.Search != "" || state != "" || role != ""
	keep := url.Values{}
	for _, k := range []string{"q", "state", "role", "order"} {
		if q.Get(k) != "" {
			keep.Set(k, q.Get(k))
		}
	}
	query := "members-page?" + keep.Encode()
	after, err := s.position(who, who.Org, query, q.Get("cursor"))
	if err != nil {
		return err
	}
	v.Page, err = s.Directory.Members(r.Context(), who.Org, directory.MemberQuery{
		Search: v.Search, State: directory.State(state), Role: role, ByName: v.ByName, After: after, Limit: pageSize,
	})
	if err != nil {
		return err
	}
	v.Members = v.Page.Items
	if v.Page.Next != "" {
		next := cloned(keep)
		next.Set("cursor", s.cursor(who, who.Org, query, v.Page.Next))
		v.Next = path(r, "/members", "") + "?" + next.Encode()
	}
	other := cloned(keep)
	other.Set("order", map[bool]string{true: "joined", false: "name"}[v.ByName])
	v.Order = path(r, "/members", "") + "?" + other.Encode()
	v.Roles = append([]console.Choice{{Label: v.T("directory.members.any-role")}}, roleChoices(v.frame, role)...)
	v.States = []console.Choice{
		{Label: v.T("directory.members.any-state")},
		{Value: "active", Label: v.T("directory.state.active"), Selected: state == "active"},
		{Value: "suspended", Label: v.T("directory.state.suspended"), Selected: state == "suspended"},
	}
	return s.Console.Render(w, r, 200, views.Get("members"), v)
}

func cloned(v url.Values) url.Values {
	out := url.Values{}
	for k := range v {
		out.Set(k, v.Get(k))
	}
	return out
}

func roleChoices(f frame, selected string) (out []console.Choice) {
	for _, role := range access.Roles {
		out = append(out, console.Choice{Value: role, Label: f.Role(role), Selected: role == selected})
	}
	return out
}

type memberView struct {
	frame
	Member     directory.Member
	Self       bool
	Roles      []roleBox
	Workspaces []placeBox
	Everywhere []string
	Confirm    string           // "suspend" or "remove"
	Attributes []console.Choice // that the reader may write
	Values     []console.Pair
}

type roleBox struct {
	Name, Label, Hint string
	Checked           bool
}

// placeBox is a workspace with the role that the member has there.
type placeBox struct {
	Workspace directory.Workspace
	Choices   []console.Choice
}

var roleHints = map[string]string{
	access.RoleOwner:   "access.role.owner.hint",
	access.RoleAdmin:   "access.role.admin.hint",
	access.RoleMember:  "access.role.member.hint",
	access.RoleAuditor: "access.role.auditor.hint",
}

func (s *Service) memberPage(w http.ResponseWriter, r *http.Request) error {
	return s.showMember(w, r, 200, nil)
}

func (s *Service) memberConfirm(w http.ResponseWriter, r *http.Request) error {
	return s.showMember(w, r, 200, nil)
}

func (s *Service) showMember(w http.ResponseWriter, r *http.Request, status int, failed error) error {
	who, ctx := web.Who(r), r.Context()
	user, err := pathID(id.ParseUser, r, "user")
	if err != nil {
		return err
	}
	m, err := s.Directory.FindMember(ctx, who.Org, user)
	if err != nil {
		return err
	}
	opts := []console.Option{console.InOrg("member"), console.Titled(m.Name), console.Under("directory.members.title", path(r, "/members", ""))}
	if failed != nil {
		opts = append(opts, console.Failed(failed))
	}
	v := memberView{frame: s.frame(r, "", opts...), Member: m, Self: who.User == user}
	if r.Method == http.MethodGet {
		for _, act := range []string{"suspend", "remove"} {
			if strings.HasSuffix(r.URL.Path, "/"+act) {
				v.Confirm = act
			}
		}
	}
	has := func(role string, ws id.Workspace) bool {
		for _, g := range m.Roles {
			if g.Role == role && g.Workspace == ws {
				return true
			}
		}
		return false
	}
	for _, role := range access.Roles {
		if role != access.RoleGuest {
			v.Roles = append(v.Roles, roleBox{role, v.Role(role), v.T(roleHints[role]), has(role, id.Workspace{})})
		}
	}
	ws, err := s.Directory.Workspaces(ctx, who.Org)
	if err != nil {
		return err
	}
	for _, one := range ws {
		p := placeBox{Workspace: one, Choices: []console.Choice{{Label: v.T("directory.member.no-place")}}}
		for _, role := range []string{access.RoleGuest, access.RoleMember, access.RoleAuditor, access.RoleAdmin} {
			p.Choices = append(p.Choices, console.Choice{Value: role, Label: v.Role(role), Selected: has(role, one.ID)})
		}
		v.Workspaces = append(v.Workspaces, p)
	}
	if v.Everywhere, _, err = s.Access.Effective(ctx, who.Org, user); err != nil {
		return err
	}
	if err := s.fillValues(ctx, who, &v); err != nil {
		return err
	}
	return s.Console.Render(w, r, status, views.Get("member"), v)
}

// act runs a change of a member and shows her again.
func (s *Service) act(w http.ResponseWriter, r *http.Request, done string, fn func(who caller.Caller, user id.User, form url.Values) error) error {
	user, err := pathID(id.ParseUser, r, "user")
	if err != nil {
		return err
	}
	form, err := web.Form(r)
	if err != nil {
		return err
	}
	if err := fn(web.Who(r), user, form); err != nil {
		if again(err) {
			return s.showMember(w, r, web.StatusOf(err), err)
		}
		return err
	}
	to := "/members/" + user.String()
	if done == "directory.member.removed.done" {
		to = "/members"
	}
	web.Redirect(w, r, path(r, to, done))
	return nil
}

func (s *Service) memberRename(w http.ResponseWriter, r *http.Request) error {
	return s.act(w, r, "directory.member.renamed.done", func(who caller.Caller, user id.User, form url.Values) error {
		_, err := s.Directory.RenameMember(r.Context(), who, who.Org, user, version(form), form.Get("name"))
		return err
	})
}

// version is the version that the form was made from.
func version(form url.Values) int64 {
	n, err := strconv.ParseInt(form.Get("version"), 10, 64)
	if err != nil {
		return -1 // no version is negative: it has changed meanwhile
	}
	return n
}

func (s *Service) memberRoles(w http.ResponseWriter, r *http.Request) error {
	return s.act(w, r, "directory.member.roles.done", func(who caller.Caller, user id.User, form url.Values) error {
		roles, err := formGrants(form)
		if err != nil {
			return err
		}
		_, err = s.Access.Change(r.Context(), who, who.Org, user, roles)
		return err
	})
}

// formGrants reads the roles of a form: boxes "role", and for each workspace a
// choice "place-<id>".
func formGrants(form url.Values) ([]access.Grant, error) {
	var out []access.Grant
	for _, role := range form["role"] {
		out = append(out, access.Grant{Role: role})
	}
	for name, values := range form {
		at, ok := strings.CutPrefix(name, "place-")
		if !ok || len(values) != 1 || values[0] == "" {
			continue
		}
		ws, err := id.ParseWorkspace(at)
		if err != nil {
			return nil, access.ErrRole
		}
		out = append(out, access.Grant{Role: values[0], Workspace: ws})
	}
	return out, nil
}

func (s *Service) memberSuspend(w http.ResponseWriter, r *http.Request) error {
	return s.act(w, r, "directory.member.suspended.done", func(who caller.Caller, user id.User, _ url.Values) error {
		_, err := s.Directory.SetMemberState(r.Context(), who, who.Org, user, directory.Suspended)
		return err
	})
}

func (s *Service) memberReactivate(w http.ResponseWriter, r *http.Request) error {
	return s.act(w, r, "directory.member.reactivated.done", func(who caller.Caller, user id.User, _ url.Values) error {
		_, err := s.Directory.SetMemberState(r.Context(), who, who.Org, user, directory.Active)
		return err
	})
}

func (s *Service) memberRemove(w http.ResponseWriter, r *http.Request) error {
	return s.act(w, r, "directory.member.removed.done", func(who caller.Caller, user id.User, _ url.Values) error {
		return s.Directory.RemoveMember(r.Context(), who, who.Org, user)
	})
}
