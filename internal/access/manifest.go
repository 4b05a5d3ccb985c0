package access

import (
	"embed"
	"io/fs"
	"strings"

	"github.com/rempart/rempart/internal/capability"
)

//go:embed migrations/*.sql messages/*.json pages/*.html
var files embed.FS

// Permissions of this package.
const (
	Read   = "access.read"   // see roles and who has them
	Assign = "access.assign" // give and take roles
)

// Kinds of entry of this package.
const (
	EventChanged = "access.roles.changed"
	EventRefused = "access.change.refused"
)

// Manifest is what this package adds to the product.
func (s *Service) Manifest() capability.Manifest {
	return capability.Manifest{
		Name: "access",
		Permissions: []capability.Permission{
			{Name: Read, Level: capability.LevelOrg, Roles: []string{RoleOwner, RoleAdmin, RoleAuditor}},
			{Name: Assign, Level: capability.LevelOrg, Roles: []string{RoleOwner, RoleAdmin}, StepUp: true},
		},
		Events: []capability.Event{
			{Kind: EventChanged, Class: capability.ClassAdmin, Person: true},
			{Kind: EventRefused, Class: capability.ClassAdmin, Person: true},
		},
		Routes: s.routes(),
		Navigation: []capability.Navigation{
			{Area: "organization", Section: "access.nav.section", Label: "access.roles.title", Path: "/roles", Permission: Read, Icon: "shield-check", Order: 40},
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

// TextKey is the message key of a permission's text.
func TextKey(permission string) string {
	name, rest, _ := strings.Cut(permission, ".")
	return name + ".permission." + rest
}
