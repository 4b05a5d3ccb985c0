package access

import (
	"errors"
	"fmt"
	"slices"

	"github.com/rempart/rempart/internal/capability"
)

// Names of the built-in roles of an organization.
const (
	RoleOwner   = "owner"   // everything in the organization
	RoleAdmin   = "admin"   // members, workspaces, keys, most settings
	RoleMember  = "member"  // works in the organization's workspaces
	RoleAuditor = "auditor" // reads everything, the log included, and changes nothing
	RoleGuest   = "guest"   // only the workspaces that are listed for her
)

// Names of the roles of staff.
const (
	RoleStaffAdmin   = "staff-admin"
	RoleStaffAuditor = "staff-auditor"
)

// Roles are the built-in roles of an organization, most powerful first.
var Roles = []string{RoleOwner, RoleAdmin, RoleMember, RoleAuditor, RoleGuest}

// StaffRoles are the roles of staff.
var StaffRoles = []string{RoleStaffAdmin, RoleStaffAuditor}

// setWords bounds a catalogue to 64 permissions a word.
const setWords = 4

// Set is a set of permissions of one catalogue.
type Set [setWords]uint64

// Has reports whether the permission with the index is in the set.
func (s *Set) Has(i int) bool { return s[i>>6]&(1<<(i&63)) != 0 }

func (s *Set) add(i int) { s[i>>6] |= 1 << (i & 63) }

func (s *Set) union(o Set) {
	for i := range s {
		s[i] |= o[i]
	}
}

// within reports whether every permission of s is in o.
func (s *Set) within(o Set) bool {
	for i := range s {
		if s[i]&^o[i] != 0 {
			return false
		}
	}
	return true
}

func (s *Set) keep(o Set) Set {
	var out Set
	for i := range s {
		out[i] = s[i] & o[i]
	}
	return out
}

// Catalogue is every permission with the roles that hold it: the published
// matrix and the one that is enforced are this value. It does not change.
type Catalogue struct {
	perms     []capability.Permission
	index     map[string]int
	roles     map[string]Set
	workspace Set // permissions that may be bound to a workspace
}

type errUndeclared string

func (e errUndeclared) Error() string {
	return "access: permission " + string(e) + " is declared in no manifest"
}

// NewCatalogue compiles the permissions of all manifests. An owner holds every
// permission of her organization and a staff administrator every permission
// of staff; the error names each permission that breaks a rule.
func NewCatalogue(manifests []capability.Manifest) (*Catalogue, error) {
	c := &Catalogue{index: map[string]int{}, roles: map[string]Set{}}
	var faults []error
	for _, m := range manifests {
		for _, p := range m.Permissions {
			if _, twice := c.index[p.Name]; twice {
				faults = append(faults, fmt.Errorf("access: permission %s is declared twice", p.Name))
				continue
			}
			i := len(c.perms)
			if i == 64*setWords {
				return nil, fmt.Errorf("access: more than %d permissions", i)
			}
			known := Roles
			switch p.Level {
			case capability.LevelOrg, capability.LevelWorkspace:
				if !slices.Contains(p.Roles, RoleOwner) {
					p.Roles = append([]string{RoleOwner}, p.Roles...)
				}
			case capability.LevelStaff:
				known = StaffRoles
				if !slices.Contains(p.Roles, RoleStaffAdmin) {
					p.Roles = append([]string{RoleStaffAdmin}, p.Roles...)
				}
			case capability.LevelSelf, capability.LevelPublic:
				known = nil
			default:
				faults = append(faults, fmt.Errorf("access: permission %s has the unknown level %q", p.Name, p.Level))
			}
			for _, r := range p.Roles {
				switch {
				case !slices.Contains(known, r):
					faults = append(faults, fmt.Errorf("access: permission %s of level %s names the role %q", p.Name, p.Level, r))
				case r == RoleGuest && p.Level != capability.LevelWorkspace:
					faults = append(faults, fmt.Errorf("access: permission %s would reach guests beyond their workspaces", p.Name))
				}
				set := c.roles[r]
				set.add(i)
				c.roles[r] = set
			}
			if p.Level == capability.LevelWorkspace {
				c.workspace.add(i)
			}
			c.perms = append(c.perms, p)
			c.index[p.Name] = i
		}
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return c, nil
}

// Permissions lists the catalogue, in the order of the manifests.
func (c *Catalogue) Permissions() []capability.Permission { return slices.Clone(c.perms) }

// Find gives the permission of the name.
func (c *Catalogue) Find(name string) (capability.Permission, bool) {
	i, ok := c.index[name]
	if !ok {
		return capability.Permission{}, false
	}
	return c.perms[i], true
}

// RoleHas reports whether the role holds the permission.
func (c *Catalogue) RoleHas(role, permission string) bool {
	i, ok := c.index[permission]
	set := c.roles[role]
	return ok && set.Has(i)
}

// Of lists the permissions of the role, in the order of the catalogue.
func (c *Catalogue) Of(role string) []string { return c.names(c.roles[role]) }

func (c *Catalogue) names(set Set) []string {
	out := []string{}
	for i := range c.perms {
		if set.Has(i) {
			out = append(out, c.perms[i].Name)
		}
	}
	return out
}
