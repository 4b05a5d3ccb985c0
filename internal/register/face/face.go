// Package face shows the register: the public pages under /trust in every
// language, their machine forms (/trust.json, signed JSON, OSCAL),
// security.txt, and the staff pages that keep the register.
//
// Public pages are the same for everyone. They are kept as bytes, by language
// and theme, until a result or a decision changes, so that a visitor costs no
// statement and no rendering; nothing here runs a control on a visitor's
// request.
//
// It brings the controls that read what visitors are served: trust.coverage,
// trust.parity and contact.securitytxt. It owns no table and decides nothing;
// register does.
package face

import (
	"context"
	"embed"
	"net/http"
	"sync"
	"time"

	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/console"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/register"
	"github.com/rempart/rempart/internal/web"
)

//go:embed pages/*.html
var pages embed.FS

var views = console.MustParse(pages, "pages/*.html")

// SecurityTxt is what /.well-known/security.txt says (RFC 9116). Without a
// Contact the file is not served.
type SecurityTxt struct {
	Contact []string // URIs, preferred first: "mailto:security@example.com"
	Policy  string   // URL of the disclosure policy, "" if none
	Expires time.Time
}

// Service shows the register. app fills the exported fields once.
type Service struct {
	*register.Service
	Console     *console.Console
	SecurityTxt SecurityTxt

	mu    sync.RWMutex // guards cache
	cache map[pageKey]*rendered

	building sync.Mutex // one page is rendered at a time
}

// Manifest is the register's, with the pages and controls of this package.
func (s *Service) Manifest() capability.Manifest {
	m := s.Service.Manifest()
	m.Routes = append(m.Routes, s.routes()...)
	m.Controls = append(m.Controls, s.controls()...)
	m.Navigation = append(m.Navigation, capability.Navigation{Area: "staff", Section: "register.nav.section", Label: "register.nav.statements",
		Path: "/statements", Permission: register.PermissionRead, Icon: "badge-check", Order: 61})
	return m
}

func (s *Service) routes() []web.Route {
	public := func(pattern string, fn func(http.ResponseWriter, *http.Request) error) web.Route {
		return web.Page(pattern, capability.Public, fn, web.Cache("public, max-age=0, must-revalidate"))
	}
	data := func(pattern string, fn func(http.ResponseWriter, *http.Request) error) web.Route {
		return web.Protocol(pattern, capability.Public, fn, web.Cache("public, max-age=0, must-revalidate"), web.CORS())
	}
	const read, write = register.PermissionRead, register.PermissionWrite
	return []web.Route{
		public("GET /trust", s.trustPage),
		public("GET /trust/planned", s.plannedPage),
		public("GET /trust/full", s.fullPage),
		public("GET /trust/changes", s.changesPage),
		public("GET /trust/profiles/{profile}", s.profilePage),
		public("GET /trust/controls/{control}", s.controlPage),
		data("GET /trust.json", s.controlsJSON),
		data("GET /trust/statements.json", s.statementsJSON),
		data("GET /trust/oscal.json", s.oscalJSON),
		data("GET /trust/keys.txt", s.keysText),
		data("GET /trust/controls/{control}/envelope.json", s.envelope),
		data("GET /trust/controls/{control}/evidence.json", s.evidence),
		web.Protocol("GET /trust/evidence/{attestation}", capability.Public, s.evidenceFile),
		web.Protocol("GET /.well-known/security.txt", capability.Public, s.securityTxt, web.Cache("public, max-age=3600"), web.CORS()),
		web.Protocol("GET /api/v1/installation/attestations/{attestation}/evidence", read, s.staffEvidence,
			web.Event(register.EventRead), web.Summary("Download the evidence file of an attestation.")),

		web.Page("GET /console/staff/statements", read, s.statementsPage),
		web.Page("GET /console/staff/statements/{statement}", read, s.statementPage),
		web.Page("POST /console/staff/statements/{statement}", write, s.changeForm, web.Event(register.EventChanged)),
		web.Page("POST /console/staff/statements/{statement}/attest", write, s.attestForm, web.Event(register.EventAttested), web.MaxBody(register.UploadBytes)),
		web.Page("POST /console/staff/trust-profile", write, s.profileForm, web.Event(register.EventProfile)),
		web.Page("POST /console/staff/attestations/{attestation}/withdraw", write, s.withdrawForm, web.Event(register.EventWithdrawn)),
	}
}

// revisions change whenever a page would.
func (s *Service) revisions(ctx context.Context) (own, trust int64, err error) {
	if own, err = s.Revision(ctx); err != nil {
		return 0, 0, err
	}
	trust, err = s.Trust.Revision(ctx)
	return own, trust, err
}

// staffEvidence is the file of any attestation. The read is on record.
func (s *Service) staffEvidence(w http.ResponseWriter, r *http.Request) error {
	a, err := id.ParseAttestation(r.PathValue("attestation"))
	if err != nil {
		return fault.ErrNotFound
	}
	found, err := s.Attestation(r.Context(), a)
	if err != nil {
		return err
	}
	return s.sendEvidence(w, r, found)
}
