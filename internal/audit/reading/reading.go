// Package reading is the face of the log: its API, its pages in the console,
// its export forms and the controls that watch it. What it shows, package audit
// gives; it owns no table, and adds nothing to the log but the record that
// somebody read it.
package reading

import (
	"embed"
	"io/fs"

	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/console"
	"github.com/rempart/rempart/internal/i18n"
	"github.com/rempart/rempart/internal/web"
)

//go:embed messages/*.json
var files embed.FS

// Service shows the log. app fills its fields once.
type Service struct {
	Log     *audit.Log
	Console *console.Console
	Bundle  *i18n.Bundle
	Cursors *web.Cursors
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
	return m
}
