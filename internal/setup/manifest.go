package setup

import (
	"embed"
	"io/fs"

	"github.com/rempart/rempart/internal/capability"
)

//go:embed migrations/*.sql
var files embed.FS

func sub(dir string) fs.FS {
	f, err := fs.Sub(files, dir)
	if err != nil {
		panic(err) // the folder is embedded
	}
	return f
}

// Manifest is what set-up adds to the product.
func (s *Service) Manifest() capability.Manifest {
	return capability.Manifest{
		Name:       "setup",
		Tables:     tables,
		Statements: q.All(),
		Migrations: sub("migrations"),
	}
}

var tables = []capability.Table{
	{
		Name: "setup_installation", Database: "main", Reach: capability.ScopeSystem,
		Export: "none: the installation's own state, of nobody",
		Erase:  "none: it holds no personal data",
		Columns: []capability.Column{
			{Name: "id", Plain: "a constant"},
			{Name: "stamp", Plain: "demo or real; a start is refused by it before keys are opened"},
			{Name: "issuer", Plain: "the public address of the installation"},
			{Name: "created_at", Plain: "time"},
			{Name: "completed_at", Plain: "time"},
			{Name: "restore_epoch", Plain: "counter"},
			{Name: "link_hash", Hash: "SHA-256 of the set-up link's 256 bits"},
			{Name: "link_ends_at", Plain: "time"},
			{Name: "browser_hash", Hash: "SHA-256 of the 256 bits in the cookie of the browser that opened the link"},
		},
	},
	{
		Name: "setup_steps", Database: "main", Reach: capability.ScopeSystem,
		Export: "none: the installation's own state, of nobody",
		Erase:  "none: it holds identifiers only",
		Columns: []capability.Column{
			{Name: "step", Plain: "name of a step of the wizard"},
			{Name: "done_at", Plain: "time"},
			{Name: "made", Plain: "identifier of what the step made"},
		},
	},
}
