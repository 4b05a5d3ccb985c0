// Package desk is the face of the directory: its API, its pages in the console
// and the controls that try its walls. Everything is done by package directory
// and package access, whose service methods both sides call; it owns no table
// and decides nothing.
package desk

import (
	"embed"
	"sync"

	"github.com/rempart/rempart/internal/access"
	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/console"
	"github.com/rempart/rempart/internal/directory"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/web"
)

//go:embed pages/*.html
var files embed.FS

// Service shows the directory. app fills its fields once.
type Service struct {
	Directory *directory.Service
	Access    *access.Service
	Audit     *audit.Log // of staff reads
	Console   *console.Console
	Cursors   *web.Cursors

	trying sync.Mutex // held while a control gives the canary one role after the other
}

// Manifest is all that the directory adds to the product: the one of
// directory.Service, with what is shown of it.
func (s *Service) Manifest() capability.Manifest {
	m := s.Directory.Manifest()
	m.Routes = append(append(s.api(), s.staffAPI()...), s.pages()...)
	m.Navigation = navigation()
	m.Controls = s.controls()
	return m
}

var views = console.MustParse(files, "pages/*.html")

// cursor binds a position to the caller and what she asked for.
func (s *Service) cursor(who caller.Caller, org id.Org, query, pos string) string {
	if pos == "" {
		return ""
	}
	return s.Cursors.Encode(who.ID()+"@"+org.String(), query, []byte(pos))
}

func (s *Service) position(who caller.Caller, org id.Org, query, cursor string) (string, error) {
	pos, err := s.Cursors.Decode(who.ID()+"@"+org.String(), query, cursor)
	return string(pos), err
}
