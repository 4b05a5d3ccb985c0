package access_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/rempart/rempart/internal/access"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/clock"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
)

var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// things is a manifest with a permission of each kind.
var things = capability.Manifest{Name: "things", Permissions: []capability.Permission{
	{Name: "things.read", Level: capability.LevelWorkspace, Roles: []string{"admin", "member", "auditor", "guest"}},
	{Name: "things.write", Level: capability.LevelWorkspace, Roles: []string{"admin", "member"}},
	{Name: "things.settings", Level: capability.LevelOrg, Roles: []string{"admin"}},
	{Name: "things.destroy", Level: capability.LevelOrg, StepUp: true},
	{Name: "things.staff", Level: capability.LevelStaff, Roles: []string{"staff-auditor"}},
	{Name: "things.own", Level: capability.LevelSelf},
}}

func catalogue(t testing.TB) *access.Catalogue {
	t.Helper()
	c, err := access.NewCatalogue([]capability.Manifest{things})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// house is an organization whose facts are written down.
type house struct {
	org, other    id.Org
	lab, shop     id.Workspace
	closed        id.Workspace // suspended
	foreign       id.Workspace // of another organization
	people        map[string]id.User
	grants        map[string][]access.Grant
	member, users map[id.User]access.State
	state         access.State
}

func newHouse() *house {
	h := &house{
		org: id.NewOrg(start), other: id.NewOrg(start), lab: id.NewWorkspace(start), shop: id.NewWorkspace(start),
		closed: id.NewWorkspace(start), foreign: id.NewWorkspace(start), people: map[string]id.User{},
		member: map[id.User]access.State{}, users: map[id.User]access.State{}, state: access.Active,
	}
	h.grants = map[string][]access.Grant{
		"owner": {{Role: "owner"}}, "admin": {{Role: "admin"}}, "member": {{Role: "member"}}, "auditor": {{Role: "auditor"}},
		"guest":     {{Role: "guest", Workspace: h.lab}, {Role: "guest", Workspace: h.closed}},
		"worker":    {{Role: "member", Workspace: h.lab}},
		"two":       {{Role: "auditor"}, {Role: "member", Workspace: h.shop}},
		"none":      {},
		"suspended": {{Role: "owner"}},
		"disabled":  {{Role: "owner"}},
	}
	for name := range h.grants {
		u := id.NewUser(start)
		h.people[name] = u
		h.member[u], h.users[u] = access.Active, access.Active
	}
	h.people["stranger"] = id.NewUser(start)
	h.users[h.people["stranger"]] = access.Active
	h.member[h.people["suspended"]] = access.Suspended
	h.users[h.people["disabled"]] = access.Suspended
	return h
}

func (h *house) facts() access.Facts {
	return access.Facts{
		User: func(_ context.Context, u id.User) (access.State, error) { return h.users[u], nil },
		Org: func(_ context.Context, o id.Org) (access.State, error) {
			if o == h.org {
				return h.state, nil
			}
			return access.Absent, nil
		},
		Workspace: func(_ context.Context, o id.Org, ws id.Workspace) (access.State, error) {
			switch {
			case o != h.org:
				return access.Absent, nil
			case ws == h.lab || ws == h.shop:
				return access.Active, nil
			case ws == h.closed:
				return access.Suspended, nil
			}
			return access.Absent, nil
		},
		Staff: func(_ context.Context, u id.User) ([]string, error) {
			switch u {
			case h.people["owner"]:
				return []string{"staff-admin"}, nil
			case h.people["auditor"]:
				return []string{"staff-auditor"}, nil
			}
			return nil, nil
		},
	}
}

func (h *house) compile(t testing.TB, s *access.Service) *access.Compiled {
	t.Helper()
	var held []access.Holding
	for name, gs := range h.grants {
		for _, g := range gs {
			held = append(held, access.Holding{User: h.people[name], Grant: g})
		}
	}
	return access.Compile(s, held, access.Roster{Org: h.state, Members: h.member, Workspaces: []id.Workspace{h.lab, h.shop}})
}

// allowed is the reference: a few lines that say what the roles come to, apart
// from the compiled form.
func (h *house) allowed(name, permission string, ws id.Workspace) bool {
	var p capability.Permission
	for _, one := range things.Permissions {
		if one.Name == permission {
			p = one
		}
	}
	for _, g := range h.grants[name] {
		holds := g.Role == "owner"
		for _, r := range p.Roles {
			holds = holds || r == g.Role
		}
		inPlace := g.Workspace.IsZero() || p.Level == capability.LevelWorkspace && !ws.IsZero() && g.Workspace == ws
		if holds && inPlace {
			return true
		}
	}
	return false
}

func TestTheSnapshotDecidesAsTheReferenceDoes(t *testing.T) {
	h := newHouse()
	s := &access.Service{Catalogue: catalogue(t), Now: clock.NewFixed(start).Now}
	c := h.compile(t, s)
	n := 0
	for name, u := range h.people {
		for _, p := range things.Permissions {
			if p.Level != capability.LevelOrg && p.Level != capability.LevelWorkspace {
				continue
			}
			for _, ws := range []id.Workspace{{}, h.lab, h.shop} {
				err, ok := c.Decide(u, p.Name, ws)
				if !ok {
					t.Fatalf("%s %s: the snapshot can't say", name, p.Name)
				}
				want := error(fault.ErrDenied)
				switch {
				case name == "stranger":
					want = fault.ErrNotFound
				case name == "suspended":
					want = access.ErrSuspended
				case h.allowed(name, p.Name, ws):
					want = nil
				}
				if name == "disabled" {
					continue // her own state is not part of the roster
				}
				if !errors.Is(err, want) {
					t.Errorf("%s %s in %v: %v, want %v", name, p.Name, ws, err, want)
				}
				n++
			}
		}
	}
	if n < 100 {
		t.Fatalf("only %d decisions", n)
	}
	if _, ok := c.Decide(h.people["owner"], "things.read", h.foreign); ok {
		t.Error("the snapshot decided about a workspace that it does not know")
	}
	if _, ok := c.Decide(h.people["owner"], "things.read", h.closed); ok {
		t.Error("the snapshot decided about a suspended workspace")
	}
}

func TestAuthorizeOfKeysStaffAndTheServer(t *testing.T) {
	h := newHouse()
	now := clock.NewFixed(start)
	s := &access.Service{Catalogue: catalogue(t), Now: now.Now, Facts: h.facts()}
	fresh := func(name string) caller.Caller {
		return caller.Caller{Kind: caller.User, User: h.people[name], FreshAt: start}
	}
	orgKey := func(scopes ...string) caller.Caller {
		return caller.Caller{Kind: caller.Key, Key: id.NewKey(start), Org: h.org, Scopes: scopes}
	}
	for _, c := range []struct {
		name       string
		who        caller.Caller
		permission string
		org        id.Org
		ws         id.Workspace
		want       error
	}{
		{"anybody reads what is public", caller.Caller{}, capability.Public, id.Org{}, id.Workspace{}, nil},
		{"a visitor has no self", caller.Caller{}, capability.Self, id.Org{}, id.Workspace{}, access.ErrUnknown},
		{"a visitor may nothing in an organization", caller.Caller{}, "things.read", h.org, id.Workspace{}, access.ErrUnknown},
		{"a user has her own things", fresh("member"), "things.own", id.Org{}, id.Workspace{}, nil},
		{"a disabled user has not", fresh("disabled"), capability.Self, id.Org{}, id.Workspace{}, access.ErrDisabled},
		{"a key has no self", orgKey("things.own"), capability.Self, id.Org{}, id.Workspace{}, access.ErrUnknown},
		{"work of the server may", caller.ForSystem("job"), "things.destroy", h.org, id.Workspace{}, nil},
		{"a local operator may", caller.ForLocal("0@host"), "things.staff", id.Org{}, id.Workspace{}, nil},
		{"a staff administrator may what is for staff", fresh("owner"), "things.staff", id.Org{}, id.Workspace{}, nil},
		{"a staff auditor may read", fresh("auditor"), "things.staff", id.Org{}, id.Workspace{}, nil},
		{"an owner of a customer is no staff", fresh("admin"), "things.staff", id.Org{}, id.Workspace{}, fault.ErrDenied},
		{"a key of the installation may what it lists", caller.Caller{Kind: caller.Key, Scopes: []string{"things.staff"}}, "things.staff", id.Org{}, id.Workspace{}, nil},
		{"a key of the installation may no more", caller.Caller{Kind: caller.Key, Scopes: []string{"things.other"}}, "things.staff", id.Org{}, id.Workspace{}, fault.ErrDenied},
		{"a key of the installation without a list may nothing", caller.Caller{Kind: caller.Key}, "things.staff", id.Org{}, id.Workspace{}, fault.ErrDenied},
		{"a key of an organization is no staff", orgKey("things.staff"), "things.staff", id.Org{}, id.Workspace{}, fault.ErrDenied},
		{"a key may what it lists", orgKey("things.write"), "things.write", h.org, id.Workspace{}, nil},
		{"a key may no more", orgKey("things.write"), "things.settings", h.org, id.Workspace{}, fault.ErrDenied},
		{"a key without a list may nothing", caller.Caller{Kind: caller.Key, Org: h.org}, "things.read", h.org, id.Workspace{}, fault.ErrNotFound},
		{"a key sees no other organization", orgKey("things.write"), "things.write", h.other, id.Workspace{}, fault.ErrNotFound},
		{"a key in a workspace of its organization", orgKey("things.write"), "things.write", h.org, h.lab, nil},
		{"a key in a foreign workspace", orgKey("things.write"), "things.write", h.org, h.foreign, fault.ErrNotFound},
		{"a key in a suspended workspace", orgKey("things.write"), "things.write", h.org, h.closed, fault.ErrDenied},
		{"a key limited to a workspace stays there", caller.Caller{Kind: caller.Key, Org: h.org, Scopes: []string{"things.write"}, Workspaces: []id.Workspace{h.lab}}, "things.write", h.org, h.shop, fault.ErrDenied},
		{"and has nothing of the whole", caller.Caller{Kind: caller.Key, Org: h.org, Scopes: []string{"things.settings"}, Workspaces: []id.Workspace{h.lab}}, "things.settings", h.org, id.Workspace{}, fault.ErrDenied},
		{"a key cannot step up", orgKey("things.destroy"), "things.destroy", h.org, id.Workspace{}, fault.ErrStepUp},
		{"save one that needs not", func() caller.Caller { k := orgKey("things.destroy"); k.NoStepUp = true; return k }(), "things.destroy", h.org, id.Workspace{}, nil},
		{"no organization is not found", fresh("owner"), "things.read", id.Org{}, id.Workspace{}, fault.ErrNotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := s.Authorize(context.Background(), c.who, c.permission, c.org, c.ws)
			if !errors.Is(err, c.want) || c.want == nil && err != nil {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
	if err := s.Authorize(context.Background(), fresh("owner"), "things.unheard-of", h.org, id.Workspace{}); fault.KindOf(err) != fault.Internal || err == nil {
		t.Errorf("an undeclared permission: %v", err)
	}
}

func TestAProofIsFreshForTenMinutes(t *testing.T) {
	now := clock.NewFixed(start)
	s := &access.Service{Now: now.Now}
	who := caller.Caller{Kind: caller.User, FreshAt: start}
	if err := s.Fresh(who); err != nil {
		t.Error(err)
	}
	now.Advance(10 * time.Minute)
	if err := s.Fresh(who); err != nil {
		t.Error(err)
	}
	now.Advance(time.Microsecond)
	if err := s.Fresh(who); !errors.Is(err, fault.ErrStepUp) {
		t.Errorf("after ten minutes: %v", err)
	}
	if err := s.Fresh(caller.Caller{Kind: caller.User}); !errors.Is(err, fault.ErrStepUp) {
		t.Errorf("never proved: %v", err)
	}
}

func TestACatalogueRefusesWhatBreaksItsRules(t *testing.T) {
	for name, p := range map[string]capability.Permission{
		"a guest beyond workspaces":       {Name: "x.a", Level: capability.LevelOrg, Roles: []string{"guest"}},
		"an unknown role":                 {Name: "x.a", Level: capability.LevelOrg, Roles: []string{"boss"}},
		"a staff role in an organization": {Name: "x.a", Level: capability.LevelOrg, Roles: []string{"staff-admin"}},
		"an organization's role as staff": {Name: "x.a", Level: capability.LevelStaff, Roles: []string{"owner"}},
		"a role on what is everybody's":   {Name: "x.a", Level: capability.LevelSelf, Roles: []string{"member"}},
		"an unknown level":                {Name: "x.a", Level: "galaxy"},
		"a name twice":                    {Name: "things.read", Level: capability.LevelOrg},
	} {
		if _, err := access.NewCatalogue([]capability.Manifest{things, {Permissions: []capability.Permission{p}}}); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	c := catalogue(t)
	if !c.RoleHas("owner", "things.destroy") || c.RoleHas("admin", "things.destroy") || c.RoleHas("owner", "things.staff") || !c.RoleHas("staff-admin", "things.staff") {
		t.Error("an owner holds what is the organization's, and nothing of staff")
	}
}

func TestGrantsThatMakeNoSense(t *testing.T) {
	c, ws := catalogue(t), id.NewWorkspace(start)
	for name, one := range map[string]struct {
		grants []access.Grant
		want   error
	}{
		"none":                     {nil, access.ErrNoRole},
		"an unknown role":          {[]access.Grant{{Role: "boss"}}, access.ErrRole},
		"a staff role":             {[]access.Grant{{Role: "staff-admin"}}, access.ErrRole},
		"a guest of everything":    {[]access.Grant{{Role: "guest"}}, access.ErrGuest},
		"an owner of a workspace":  {[]access.Grant{{Role: "owner", Workspace: ws}}, access.ErrRole},
		"the same twice":           {[]access.Grant{{Role: "member"}, {Role: "member"}}, access.ErrRole},
		"a member in two places":   {[]access.Grant{{Role: "member"}, {Role: "admin", Workspace: ws}}, nil},
		"more than can be counted": {make([]access.Grant, 201), access.ErrRole},
	} {
		if err := c.CheckGrants(one.grants); !errors.Is(err, one.want) || one.want == nil && err != nil {
			t.Errorf("%s: %v, want %v", name, err, one.want)
		}
	}
}

// million compiles an organization of n members, most with a role, some with
// places of their own.
func million(tb testing.TB, n int) (*access.Compiled, []id.User, []id.Workspace) {
	tb.Helper()
	s := &access.Service{Catalogue: catalogue(tb), Now: clock.NewFixed(start).Now}
	r := access.Roster{Org: access.Active, Members: make(map[id.User]access.State, n)}
	ws := make([]id.Workspace, 100)
	for i := range ws {
		ws[i] = id.NewWorkspace(start)
	}
	r.Workspaces = ws
	users := make([]id.User, n)
	held := make([]access.Holding, 0, n)
	for i := range users {
		users[i] = id.NewUser(start.Add(time.Duration(i) * time.Millisecond))
		r.Members[users[i]] = access.Active
		role := access.Roles[1+i%3]
		held = append(held, access.Holding{User: users[i], Grant: access.Grant{Role: role}})
		if i%10 == 0 {
			held = append(held, access.Holding{User: users[i], Grant: access.Grant{Role: "member", Workspace: ws[i%100]}})
		}
	}
	return access.Compile(s, held, r), users, ws
}

func TestADecisionAllocatesNothing(t *testing.T) {
	c, users, ws := million(t, 1000)
	if c.Profiles() > 50 {
		t.Errorf("%d profiles for members of few kinds", c.Profiles())
	}
	i := 0
	if n := testing.AllocsPerRun(1000, func() {
		_, _ = c.Decide(users[i%len(users)], "things.write", ws[i%len(ws)])
		i++
	}); n != 0 {
		t.Errorf("%v allocations a decision", n)
	}
}

func BenchmarkDecide(b *testing.B) {
	for _, n := range []int{1_000, 100_000, 1_000_000} {
		c, users, ws := million(b, n)
		b.Run(fmt.Sprint(n, " members"), func(b *testing.B) {
			b.ReportAllocs()
			for i := range b.N {
				if _, ok := c.Decide(users[(i*7919)%n], "things.write", ws[i%len(ws)]); !ok {
					b.Fatal("the snapshot can't say")
				}
			}
		})
	}
}
