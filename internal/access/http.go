package access

import (
	"context"
	"fmt"
	"net/http"

	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/console"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/store"
	"github.com/rempart/rempart/internal/web"
)

var views = console.MustParse(files, "pages/*.html")

func (s *Service) routes() []web.Route {
	return []web.Route{
		web.JSON("GET /api/v1/orgs/{org}/roles", Read, s.apiRoles, web.Summary("List the roles with their permissions and how many members hold each.")),
		web.JSON("GET /api/v1/orgs/{org}/roles/{role}/members", Read, s.apiHolders, web.Summary("List who holds a role, and where.")),
		web.JSON("PUT /api/v1/orgs/{org}/members/{user}/roles", Assign, s.apiChange, web.Event(EventChanged), web.Summary("Give a member exactly these roles.")),
		web.JSON("GET /api/v1/orgs/{org}/members/{user}/permissions", Read, s.apiEffective, web.Summary("List what a member's roles allow her.")),
		web.JSON("GET /api/v1/orgs/{org}/members/{user}/explain", Read, s.apiExplain, web.Summary("Say why a member may or may not use a permission.")),
		web.Page("GET /console/o/{slug}/roles", Read, s.rolesPage),
	}
}

type inOrg struct {
	Org id.Org `path:"org"`
}

type inMember struct {
	Org  id.Org  `path:"org"`
	User id.User `path:"user"`
}

// Role is a built-in role with what it allows.
type Role struct {
	Name        string   `json:"name"`
	Members     int      `json:"members" doc:"Members who hold it, everywhere or in a workspace."`
	Permissions []string `json:"permissions"`
}

// RolesOf lists the built-in roles with the number of members of the
// organization who hold each.
func (s *Service) RolesOf(ctx context.Context, org id.Org) ([]Role, error) {
	all, err := s.Held(ctx, org)
	if err != nil {
		return nil, err
	}
	count := map[string]int{}
	for _, grants := range all {
		seen := map[string]bool{}
		for _, g := range grants {
			if !seen[g.Role] {
				seen[g.Role] = true
				count[g.Role]++
			}
		}
	}
	out := []Role{}
	for _, r := range Roles {
		out = append(out, Role{r, count[r], s.Catalogue.Of(r)})
	}
	return out, nil
}

func (s *Service) apiRoles(ctx context.Context, _ caller.Caller, in *inOrg) (*web.List[Role], error) {
	roles, err := s.RolesOf(ctx, in.Org)
	return web.NewList(roles, ""), err
}

type holdersIn struct {
	inOrg
	Role string `path:"role" enum:"owner,admin,member,auditor,guest"`
}

// Holder is a member who holds a role.
type Holder struct {
	User      id.User      `json:"user"`
	Workspace id.Workspace `json:"workspace,omitzero"`
}

func (s *Service) apiHolders(ctx context.Context, _ caller.Caller, in *holdersIn) (*web.List[Holder], error) {
	var out []Holder
	err := s.Store.View(ctx, store.Org(in.Org), func(tx *store.Tx) (err error) {
		out, err = store.All(tx, func(r *store.Rows) (h Holder, err error) { return h, r.Scan(&h.User, &h.Workspace) }, holdersSQL, in.Role)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("access: holders of a role: %w", err)
	}
	return web.NewList(out, ""), nil
}

type changeIn struct {
	inMember
	Roles []Grant `json:"roles" minItems:"1" maxItems:"200"`
}

func (s *Service) apiChange(ctx context.Context, who caller.Caller, in *changeIn) (*web.List[Assignment], error) {
	as, err := s.Change(ctx, who, in.Org, in.User, in.Roles)
	return web.NewList(as, ""), err
}

// effectiveOut is what a member's roles allow her.
type effectiveOut struct {
	Everywhere []string     `json:"everywhere" doc:"Permissions in the whole organization."`
	Workspaces []effectiveW `json:"workspaces" doc:"What a workspace adds."`
}

type effectiveW struct {
	Workspace   id.Workspace `json:"workspace"`
	Permissions []string     `json:"permissions"`
}

func (s *Service) apiEffective(ctx context.Context, _ caller.Caller, in *inMember) (*effectiveOut, error) {
	st, err := s.Facts.Standing(ctx, in.Org, in.User)
	if err != nil {
		return nil, err
	}
	if st.Member == Absent {
		return nil, fault.ErrNotFound
	}
	everywhere, places, err := s.Effective(ctx, in.Org, in.User)
	if err != nil {
		return nil, err
	}
	out := &effectiveOut{Everywhere: everywhere, Workspaces: []effectiveW{}}
	for ws, names := range places {
		out.Workspaces = append(out.Workspaces, effectiveW{ws, names})
	}
	return out, nil
}

type explainIn struct {
	inMember
	Permission string       `query:"permission" maxLength:"100" required:"true"`
	Workspace  id.Workspace `query:"workspace"`
}

func (s *Service) apiExplain(ctx context.Context, _ caller.Caller, in *explainIn) (*Explanation, error) {
	e, err := s.Explain(ctx, in.Org, in.User, in.Permission, in.Workspace)
	return &e, err
}

type rolesView struct {
	console.Frame
	Roles []roleHead
	Rows  []permissionRow
}

type roleHead struct {
	Name, Label, Hint, Path string
	Members                 int
}

type permissionRow struct {
	Name, Label string
	StepUp      bool
	Workspace   bool
	Has         []bool // in the order of Roles
}

// Texts of the roles; the keys are spelled out so that they can be found.
var roleTexts = map[string][2]string{
	RoleOwner:   {"access.role.owner", "access.role.owner.hint"},
	RoleAdmin:   {"access.role.admin", "access.role.admin.hint"},
	RoleMember:  {"access.role.member", "access.role.member.hint"},
	RoleAuditor: {"access.role.auditor", "access.role.auditor.hint"},
	RoleGuest:   {"access.role.guest", "access.role.guest.hint"},
}

// rolesPage shows the matrix that decisions are made by.
func (s *Service) rolesPage(w http.ResponseWriter, r *http.Request) error {
	roles, err := s.RolesOf(r.Context(), web.Who(r).Org)
	if err != nil {
		return err
	}
	v := rolesView{Frame: s.Console.Frame(r, "access.roles.title", console.InOrg("roles"), console.Lead("access.roles.lead"))}
	for _, role := range roles {
		t := roleTexts[role.Name]
		v.Roles = append(v.Roles, roleHead{role.Name, v.T(t[0]), v.T(t[1]), v.OrgPath("/members?role=" + role.Name), role.Members})
	}
	for i, p := range s.Catalogue.perms {
		if p.Level != capability.LevelOrg && p.Level != capability.LevelWorkspace {
			continue
		}
		row := permissionRow{Name: p.Name, Label: v.T(TextKey(p.Name)), StepUp: p.StepUp, Workspace: p.Level == capability.LevelWorkspace}
		for _, role := range roles {
			set := s.Catalogue.roles[role.Name]
			row.Has = append(row.Has, set.Has(i))
		}
		v.Rows = append(v.Rows, row)
	}
	return s.Console.Render(w, r, 200, views.Get("roles"), v)
}
