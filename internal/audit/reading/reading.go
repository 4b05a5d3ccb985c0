// Package reading is the face of the log: its API, its pages in the console,
// its export forms and the controls that watch it. What it shows, package audit
// gives; it owns no table, and adds nothing to the log but the record that
// somebody read it.
package reading

import (
	"context"
	"embed"
	"io/fs"
	"strings"

	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/console"
	"github.com/rempart/rempart/internal/i18n"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/web"
)

//go:embed messages/*.json pages/*.html
var files embed.FS

// Service shows the log. app fills its fields once.
type Service struct {
	Log     *audit.Log
	Console *console.Console
	Bundle  *i18n.Bundle
	Cursors *web.Cursors
	Events  []capability.Event // of all manifests, for the filter

	// Names gives the display names of users in an organization, where the
	// reader may know them. May be nil: then identifiers are shown.
	Names func(ctx context.Context, org id.Org, users []id.User) (map[id.User]string, error)

	// Attempts are changes that the control of completeness makes as the
	// canary, beside those it knows itself.
	Attempts []Attempt

	// ProcessLog gives the last lines of the process log of this node, for the
	// control that searches them for secrets. May be nil.
	ProcessLog func() []byte
}

// Manifest is all that the log adds to the product: the one of audit.Log, with
// what is shown of it.
func (s *Service) Manifest() capability.Manifest {
	m := s.Log.Manifest()
	messages, err := fs.Sub(files, "messages")
	if err != nil {
		panic(err) // the folder is embedded
	}
	m.Messages = messages
	m.Routes = s.routes()
	m.Controls = s.controls()
	m.Navigation = []capability.Navigation{
		{Area: "organization", Section: "audit.nav.section", Label: "audit.nav.log", Path: "/log", Permission: audit.PermRead, Icon: "scroll-text", Order: 80},
		{Area: "staff", Section: "audit.nav.section", Label: "audit.nav.log", Path: "/log", Permission: audit.PermInstallationRead, Icon: "scroll-text", Order: 80},
	}
	return m
}

// text is the kind of an entry in the reader's language; a kind that no
// manifest declares (any more) is shown by its name.
func (s *Service) text(lang string, r *audit.Record) string {
	if s.Bundle == nil || !s.Bundle.Has(r.Kind) {
		return r.Kind
	}
	return s.Bundle.T(lang, r.Kind, map[string]any(r.Facts))
}

func (s *Service) texts(who caller.Caller, list []audit.Record) []audit.Record {
	for i := range list {
		list[i].Text = s.text(who.Lang, &list[i])
	}
	return list
}

// prefixes tell which kind of thing an identifier names.
var prefixes = map[string]string{"usr": "user", "key": "key", "cli": "client", "org": "organization", "wsp": "workspace", "ses": "session",
	"rol": "role", "grp": "group", "inv": "invitation", "aut": "authenticator", "mem": "membership"}

// named reads what a reader types for an actor or a target: "user:usr_…", or
// an identifier alone, whose prefix says the kind.
func named(s string) string {
	s = strings.TrimSpace(s)
	if before, _, ok := strings.Cut(s, "_"); ok && !strings.Contains(s, ":") && prefixes[before] != "" {
		return prefixes[before] + ":" + s
	}
	return s
}
