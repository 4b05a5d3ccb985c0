package desk

import (
	"net/http"

	"github.com/rempart/rempart/internal/access"
	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/console"
	"github.com/rempart/rempart/internal/directory"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/web"
)

type invitationsView struct {
	frame
	Items []directory.Invitation
	Next  string
}

func (s *Service) invitationsPage(w http.ResponseWriter, r *http.Request) error {
	return s.showInvitations(w, r, 200, nil)
}

func (s *Service) showInvitations(w http.ResponseWriter, r *http.Request, status int, failed error) error {
	who := web.Who(r)
	items, next, err := s.invitationPage(r.Context(), who, who.Org, pageSize, r.URL.Query().Get("cursor"))
	if err != nil {
		return err
	}
	opts := []console.Option{console.InOrg("invitations"), console.Lead("directory.invitations.lead")}
	if failed != nil {
		opts = append(opts, console.Failed(failed))
	}
	v := invitationsView{frame: s.frame(r, "directory.invitations.title", opts...), Items: items}
	if next != "" {
		v.Next = path(r, "/invitations", "") + "?cursor=" + next
	}
	return s.Console.Render(w, r, status, views.Get("invitations"), v)
}

type inviteView struct {
	frame
	Email   string
	Roles   []console.Choice
	Places  []console.Choice
	Locales []console.Choice
}

func (s *Service) invitePage(w http.ResponseWriter, r *http.Request) error {
	return s.showInvite(w, r, 200, nil, "", access.RoleMember, "")
}

func (s *Service) showInvite(w http.ResponseWriter, r *http.Request, status int, failed error, email, role, locale string) error {
	ws, err := s.Directory.Workspaces(r.Context(), web.Who(r).Org)
	if err != nil {
		return err
	}
	opts := []console.Option{console.InOrg("invite"), console.Lead("directory.invite.lead"), console.Under("directory.invitations.title", path(r, "/invitations", ""))}
	if failed != nil {
		opts = append(opts, console.Failed(failed))
	}
	v := inviteView{frame: s.frame(r, "directory.invite.title", opts...), Email: email}
	v.Roles = roleChoices(v.frame, role)
	v.Places = []console.Choice{{Label: v.T("directory.invite.everywhere")}}
	for _, one := range ws {
		if one.State == directory.Active {
			v.Places = append(v.Places, console.Choice{Value: one.ID.String(), Label: one.Name})
		}
	}
	if locale == "" {
		locale = v.Lang
	}
	for _, l := range v.Languages() {
		v.Locales = append(v.Locales, console.Choice{Value: l.Value, Label: l.Label, Selected: l.Value == locale})
	}
	return s.Console.Render(w, r, status, views.Get("invite"), v)
}

func (s *Service) invitePost(w http.ResponseWriter, r *http.Request) error {
	who := web.Who(r)
	form, err := web.Form(r)
	if err != nil {
		return err
	}
	g := access.Grant{Role: form.Get("role")}
	if at := form.Get("workspace"); at != "" {
		if g.Workspace, err = id.ParseWorkspace(at); err != nil {
			return fault.ErrNotFound
		}
	}
	_, err = s.Directory.AddInvitation(r.Context(), who, who.Org, directory.NewInvitation{Email: form.Get("email"), Locale: form.Get("locale"), Roles: []access.Grant{g}})
	if err != nil {
		if again(err) {
			return s.showInvite(w, r, web.StatusOf(err), err, form.Get("email"), g.Role, form.Get("locale"))
		}
		return err
	}
	web.Redirect(w, r, path(r, "/invitations", "directory.invite.sent.done"))
	return nil
}

func (s *Service) resendPost(w http.ResponseWriter, r *http.Request) error {
	inv, err := pathID(id.ParseInvitation, r, "invitation")
	if err != nil {
		return err
	}
	who := web.Who(r)
	if _, err := s.Directory.ResendInvitation(r.Context(), who, who.Org, inv); err != nil {
		if again(err) {
			return s.showInvitations(w, r, web.StatusOf(err), err)
		}
		return err
	}
	web.Redirect(w, r, path(r, "/invitations", "directory.invite.resent.done"))
	return nil
}

func (s *Service) revokePost(w http.ResponseWriter, r *http.Request) error {
	inv, err := pathID(id.ParseInvitation, r, "invitation")
	if err != nil {
		return err
	}
	who := web.Who(r)
	if err := s.Directory.RevokeInvitation(r.Context(), who, who.Org, inv); err != nil {
		if again(err) {
			return s.showInvitations(w, r, web.StatusOf(err), err)
		}
		return err
	}
	web.Redirect(w, r, path(r, "/invitations", "directory.invite.revoked.done"))
	return nil
}

type workspacesView struct {
	frame
	Items []directory.Workspace
}

func (s *Service) workspacesPage(w http.ResponseWriter, r *http.Request) error {
	ws, err := s.Directory.Workspaces(r.Context(), web.Who(r).Org)
	if err != nil {
		return err
	}
	v := workspacesView{s.frame(r, "directory.workspaces.title", console.InOrg("workspaces"), console.Lead("directory.workspaces.lead")), ws}
	return s.Console.Render(w, r, 200, views.Get("workspaces"), v)
}

type workspaceView struct {
	frame
	Workspace directory.Workspace // zero: a new one
	Name      string
	Slug      string
	New       bool
}

func (s *Service) workspaceNewPage(w http.ResponseWriter, r *http.Request) error {
	return s.showWorkspace(w, r, 200, nil, workspaceView{New: true})
}

func (s *Service) showWorkspace(w http.ResponseWriter, r *http.Request, status int, failed error, v workspaceView) error {
	title := "directory.workspace.new"
	opts := []console.Option{console.InOrg("workspace"), console.Under("directory.workspaces.title", path(r, "/workspaces", ""))}
	if !v.New {
		title = ""
		opts = append(opts, console.Titled(v.Workspace.Name))
	}
	if failed != nil {
		opts = append(opts, console.Failed(failed))
	}
	v.frame = s.frame(r, title, opts...)
	return s.Console.Render(w, r, status, views.Get("workspace"), v)
}

func (s *Service) workspaceAdd(w http.ResponseWriter, r *http.Request) error {
	who := web.Who(r)
	form, err := web.Form(r)
	if err != nil {
		return err
	}
	if _, err := s.Directory.AddWorkspace(r.Context(), who, who.Org, form.Get("name"), form.Get("slug")); err != nil {
		if again(err) {
			return s.showWorkspace(w, r, web.StatusOf(err), err, workspaceView{New: true, Name: form.Get("name"), Slug: form.Get("slug")})
		}
		return err
	}
	web.Redirect(w, r, path(r, "/workspaces", "directory.workspace.added.done"))
	return nil
}

func (s *Service) findWorkspace(r *http.Request) (directory.Workspace, error) {
	ws, err := pathID(id.ParseWorkspace, r, "workspace")
	if err != nil {
		return directory.Workspace{}, err
	}
	return s.Directory.FindWorkspace(r.Context(), web.Who(r).Org, ws)
}

func (s *Service) workspacePage(w http.ResponseWriter, r *http.Request) error {
	one, err := s.findWorkspace(r)
	if err != nil {
		return err
	}
	return s.showWorkspace(w, r, 200, nil, workspaceView{Workspace: one, Name: one.Name, Slug: one.Slug})
}

func (s *Service) workspaceChange(w http.ResponseWriter, r *http.Request) error {
	one, err := s.findWorkspace(r)
	if err != nil {
		return err
	}
	form, err := web.Form(r)
	if err != nil {
		return err
	}
	c := directory.WorkspaceChange{}
	if form.Has("state") {
		st := directory.State(form.Get("state"))
		c.State = &st
	} else {
		name, slug := form.Get("name"), form.Get("slug")
		c.Name, c.Slug = &name, &slug
	}
	who := web.Who(r)
	if _, err := s.Directory.ChangeWorkspace(r.Context(), who, who.Org, one.ID, version(form), c); err != nil {
		if again(err) {
			return s.showWorkspace(w, r, web.StatusOf(err), err, workspaceView{Workspace: one, Name: form.Get("name"), Slug: form.Get("slug")})
		}
		return err
	}
	web.Redirect(w, r, path(r, "/workspaces/"+one.ID.String(), "directory.workspace.changed.done"))
	return nil
}

func (s *Service) workspaceRemove(w http.ResponseWriter, r *http.Request) error {
	one, err := s.findWorkspace(r)
	if err != nil {
		return err
	}
	form, err := web.Form(r)
	if err != nil {
		return err
	}
	who := web.Who(r)
	err = errTyped
	if form.Get("typed") == one.Slug {
		err = s.Directory.RemoveWorkspace(r.Context(), who, who.Org, one.ID)
	}
	if err != nil {
		if again(err) {
			return s.showWorkspace(w, r, web.StatusOf(err), err, workspaceView{Workspace: one, Name: one.Name, Slug: one.Slug})
		}
		return err
	}
	web.Redirect(w, r, path(r, "/workspaces", "directory.workspace.removed.done"))
	return nil
}

type settingsView struct {
	frame
	Org        directory.Org
	Name, Slug string
}

func (s *Service) settingsPage(w http.ResponseWriter, r *http.Request) error {
	return s.showSettings(w, r, 200, nil, "", "")
}

func (s *Service) showSettings(w http.ResponseWriter, r *http.Request, status int, failed error, name, slug string) error {
	o, err := s.Directory.FindOrg(r.Context(), web.Who(r).Org)
	if err != nil {
		return err
	}
	opts := []console.Option{console.InOrg("settings"), console.Lead("directory.settings.lead")}
	if failed != nil {
		opts = append(opts, console.Failed(failed))
	} else {
		name, slug = o.Name, o.Slug
	}
	return s.Console.Render(w, r, status, views.Get("settings"), settingsView{s.frame(r, "directory.settings.title", opts...), o, name, slug})
}

func (s *Service) settingsPost(w http.ResponseWriter, r *http.Request) error {
	who := web.Who(r)
	form, err := web.Form(r)
	if err != nil {
		return err
	}
	name, slug := form.Get("name"), form.Get("slug")
	o, err := s.Directory.ChangeOrg(r.Context(), who, who.Org, version(form), directory.OrgChange{Name: &name, Slug: &slug})
	if err != nil {
		if again(err) {
			return s.showSettings(w, r, web.StatusOf(err), err, name, slug)
		}
		return err
	}
	web.Redirect(w, r, "/console/o/"+o.Slug+"/settings?done=directory.settings.saved.done")
	return nil
}

type orgsView struct {
	frame
	Items  []directory.Org
	Tabs   []console.Tab
	Next   string
	Filter string
}

func (s *Service) orgsPage(w http.ResponseWriter, r *http.Request) error {
	state := r.URL.Query().Get("state")
	if state != "active" && state != "suspended" {
		state = ""
	}
	items, next, err := s.orgPage(r.Context(), web.Who(r), state, pageSize, r.URL.Query().Get("cursor"))
	if err != nil {
		return err
	}
	v := orgsView{frame: s.frame(r, "directory.orgs.title", console.Staff("orgs"), console.Lead("directory.orgs.lead")), Items: items, Filter: state}
	v.Tabs = []console.Tab{
		{Label: v.T("directory.orgs.all"), Path: staffRoot, Current: state == ""},
		{Label: v.T("directory.state.active"), Path: staffRoot + "?state=active", Current: state == "active"},
		{Label: v.T("directory.state.suspended"), Path: staffRoot + "?state=suspended", Current: state == "suspended"},
	}
	if next != "" {
		v.Next = staffRoot + "?state=" + state + "&cursor=" + next
	}
	return s.Console.Render(w, r, 200, views.Get("orgs"), v)
}

type orgNewView struct {
	frame
	Name, Slug, Email string
	Locales           []console.Choice
}

func (s *Service) orgNewPage(w http.ResponseWriter, r *http.Request) error {
	return s.showOrgNew(w, r, 200, nil, orgNewView{})
}

func (s *Service) showOrgNew(w http.ResponseWriter, r *http.Request, status int, failed error, v orgNewView) error {
	opts := []console.Option{console.Staff("org-new"), console.Lead("directory.org.new.lead"), console.Under("directory.orgs.title", staffRoot)}
	if failed != nil {
		opts = append(opts, console.Failed(failed))
	}
	v.frame = s.frame(r, "directory.org.new.title", opts...)
	v.Locales = v.Languages()
	return s.Console.Render(w, r, status, views.Get("org-new"), v)
}

func (s *Service) orgAdd(w http.ResponseWriter, r *http.Request) error {
	form, err := web.Form(r)
	if err != nil {
		return err
	}
	v := orgNewView{Name: form.Get("name"), Slug: form.Get("slug"), Email: form.Get("email")}
	o, _, err := s.Directory.AddOrg(r.Context(), web.Who(r), directory.NewOrg{
		Name: v.Name, Slug: v.Slug, Invite: &directory.NewInvitation{Email: v.Email, Locale: form.Get("locale")},
	})
	if err != nil {
		if again(err) {
			return s.showOrgNew(w, r, web.StatusOf(err), err, v)
		}
		return err
	}
	web.Redirect(w, r, staffRoot+"/"+o.ID.String()+"?done=directory.org.added.done")
	return nil
}

type orgView struct {
	frame
	Org     directory.Org
	Pairs   []console.Pair
	Suspend []console.Pair // the hidden field of the confirmation
}

func (s *Service) orgPageOne(w http.ResponseWriter, r *http.Request) error {
	return s.showOrg(w, r, 200, nil)
}

func (s *Service) showOrg(w http.ResponseWriter, r *http.Request, status int, failed error) error {
	org, err := pathID(id.ParseOrg, r, "org")
	if err != nil {
		return err
	}
	o, err := s.Directory.FindOrg(r.Context(), org)
	if err != nil {
		return err
	}
	if err := s.Audit.StaffRead(r.Context(), web.Who(r), org, audit.Target{Kind: "organization", ID: org.String()}, nil); err != nil {
		return err
	}
	opts := []console.Option{console.Staff("org"), console.Titled(o.Name), console.Under("directory.orgs.title", staffRoot)}
	if failed != nil {
		opts = append(opts, console.Failed(failed))
	}
	v := orgView{frame: s.frame(r, "", opts...), Org: o, Suspend: []console.Pair{{Name: "state", Value: string(directory.Suspended)}}}
	v.Pairs = []console.Pair{
		{Name: v.T("directory.org.id"), Value: o.ID.String(), Mono: true},
		{Name: v.T("directory.settings.slug"), Value: o.Slug, Mono: true},
		{Name: v.T("directory.org.created"), Value: v.DateTime(o.Created)},
	}
	return s.Console.Render(w, r, status, views.Get("org"), v)
}

func (s *Service) orgState(w http.ResponseWriter, r *http.Request) error {
	org, err := pathID(id.ParseOrg, r, "org")
	if err != nil {
		return err
	}
	form, err := web.Form(r)
	if err != nil {
		return err
	}
	o, err := s.Directory.FindOrg(r.Context(), org)
	if err != nil {
		return err
	}
	err = errTyped
	if st := directory.State(form.Get("state")); st == directory.Active || form.Get("typed") == o.Slug {
		_, err = s.Directory.SetOrgState(r.Context(), web.Who(r), org, st)
	}
	if err != nil {
		if again(err) {
			return s.showOrg(w, r, web.StatusOf(err), err)
		}
		return err
	}
	web.Redirect(w, r, staffRoot+"/"+org.String()+"?done=directory.org.state.done")
	return nil
}
