package setup

import (
	"embed"
	"io/fs"

	"github.com/rempart/rempart/internal/capability"
)

//go:embed migrations/*.sql messages/*.json pages/*.html
var files embed.FS

func sub(dir string) fs.FS {
	f, err := fs.Sub(files, dir)
	if err != nil {
		panic(err) // the folder is embedded
	}
	return f
}

// Kinds of entry.
const (
	eventBegun       = "setup.installation.begun"
	eventMoved       = "setup.issuer.moved" // of a demo, with its port
	eventLinkMade    = "setup.link.made"
	eventLinkOpened  = "setup.link.opened"
	eventLinkRefused = "setup.link.refused"
	eventStep        = "setup.step.completed"
	eventCompleted   = "setup.installation.completed"
)

// Manifest is what set-up adds to the product.
func (s *Service) Manifest() capability.Manifest {
	return capability.Manifest{
		Name: "setup",
		Events: []capability.Event{
			{Kind: eventBegun, Class: capability.ClassAdmin},
			{Kind: eventMoved, Class: capability.ClassAdmin},
			{Kind: eventLinkMade, Class: capability.ClassAdmin},
			{Kind: eventLinkOpened, Class: capability.ClassAdmin},
			{Kind: eventLinkRefused, Class: capability.ClassAdmin},
			{Kind: eventStep, Class: capability.ClassAdmin},
			{Kind: eventCompleted, Class: capability.ClassAdmin},
		},
		Tables:     tables,
		Statements: q.All(),
		Routes:     s.routes(),
		Migrations: sub("migrations"),
		Messages:   sub("messages"),
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
			{Name: "link_used_at", Plain: "time"},
			{Name: "browser_hash", Hash: "SHA-256 of the 256 bits in the cookie of the browser that opened the link"},
		},
	},
	{
		Name: "setup_steps", Database: "main", Reach: capability.ScopeSystem,
		Unaudited: "who works on a step just now; its end is an entry, and what it makes is one of the maker's",
		Export:    "none: the installation's own state, of nobody",
		Erase:     "none: it holds identifiers only",
		Columns: []capability.Column{
			{Name: "step", Plain: "name of a step of the wizard"},
			{Name: "leased_until", Plain: "time"},
			{Name: "done_at", Plain: "time"},
			{Name: "made", Plain: "identifier of what the step made, or the hash of the recovery kit's code"},
		},
	},
}
