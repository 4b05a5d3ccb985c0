package access

import (
	"embed"
	"io/fs"

	"github.com/rempart/rempart/internal/capability"
)

//go:embed migrations/*.sql messages/*.json
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
