package policy

import (
	"embed"
	"io/fs"

	"github.com/rempart/rempart/internal/access"
	"github.com/rempart/rempart/internal/capability"
)

//go:embed migrations/*.sql messages/*.json pages/*.html
var files embed.FS

// Permissions of this package.
const (
	Read       = "policy.read"
	Write      = "policy.write"
	FloorRead  = "policy.floor.read"
	FloorWrite = "policy.floor.write"
)

// Kinds of entry of this package.
const (
	EventRules = "policy.rules.changed"
	EventFloor = "policy.floor.changed"
)

// Manifest is what this package adds to the product.
func (s *Service) Manifest() capability.Manifest {
	return capability.Manifest{
		Name: "policy",
		Permissions: []capability.Permission{
			{Name: Read, Level: capability.LevelOrg, Roles: []string{access.RoleOwner, access.RoleAdmin, access.RoleAuditor}},
			{Name: Write, Level: capability.LevelOrg, Roles: []string{access.RoleOwner}, StepUp: true},
			{Name: FloorRead, Level: capability.LevelStaff, Roles: access.StaffRoles},
			{Name: FloorWrite, Level: capability.LevelStaff, Roles: []string{access.RoleStaffAdmin}, StepUp: true},
		},
		Events: []capability.Event{
			{Kind: EventRules, Class: capability.ClassAdmin},
			{Kind: EventFloor, Class: capability.ClassAdmin},
		},
		Routes: s.routes(),
		Navigation: []capability.Navigation{
			{Area: "organization", Section: "policy.nav.section", Label: "policy.page.title", Path: "/policy", Permission: Read, Icon: "sliders-horizontal", Order: 50},
			{Area: "staff", Section: "policy.nav.installation", Label: "policy.floor.title", Path: "/policy", Permission: FloorRead, Icon: "sliders-horizontal", Order: 50},
		},
		Tables: tables(), Statements: q.All(),
		Migrations: sub("migrations"), Messages: sub("messages"),
	}
}

func sub(dir string) fs.FS {
	f, err := fs.Sub(files, dir)
	if err != nil {
		panic(err) // the folder is embedded
	}
	return f
}
