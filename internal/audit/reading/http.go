package reading

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/tlog"
	"github.com/rempart/rempart/internal/web"
)

func (s *Service) routes() []web.Route {
	const org, inst = "/api/v1/orgs/{org}/log", "/api/v1/installation/log"
	out := []web.Route{
		web.JSON("GET "+org, audit.PermRead, s.list, web.Summary("Search the organization's log, newest entries first.")),
		web.JSON("GET "+org+"/{entry}", audit.PermRead, s.one, web.Summary("Read one entry of the organization's log.")),
		web.JSON("GET "+inst, audit.PermInstallationRead, s.staffList, web.Summary("Search the installation's own log.")),
		web.JSON("GET "+inst+"/{entry}", audit.PermInstallationRead, s.staffOne, web.Summary("Read one entry of the installation's own log.")),
		web.JSON("GET "+org+"/keys", audit.PermRead, s.keys, web.Summary("List the public keys that verify the log.")),
		web.JSON("GET "+inst+"/keys", audit.PermInstallationRead, s.staffKeys, web.Summary("List the public keys that verify the installation's log.")),
		web.Page("GET /console/o/{slug}/log", audit.PermRead, s.logPage),
		web.Page("GET /console/o/{slug}/log/{entry}", audit.PermRead, s.entryPage),
		web.Page("GET /console/staff/log", audit.PermInstallationRead, s.logPage),
		web.Page("GET /console/staff/log/{entry}", audit.PermInstallationRead, s.entryPage),
		web.Protocol("GET /.well-known/rempart/checkpoint", capability.Public, s.platform, web.CORS(), web.Cache("public, max-age=5"),
			web.Summary("The newest checkpoint of the platform log.")),
		web.Protocol("GET /log/platform/checkpoint", capability.Public, s.platform, web.CORS(), web.Cache("public, max-age=5"),
			web.Summary("The newest checkpoint of the platform log (C2SP tlog-tiles).")),
		web.Protocol("GET /log/platform/tile/{path...}", capability.Public, s.tile, web.CORS(), web.Cache("public, max-age=3600"),
			web.Summary("A tile of the platform log (C2SP tlog-tiles).")),
	}
	for _, at := range []struct{ path, read, export string }{{org, audit.PermRead, audit.PermExport}, {inst, audit.PermInstallationRead, audit.PermInstallationRead}} {
		out = append(out,
			web.Protocol("GET "+at.path+"/{entry}/proof", at.read, s.proof, web.Summary("Download the proof of one entry, for rempart verify.")),
			web.Protocol("GET "+at.path+"/checkpoint", at.read, s.checkpoint, web.Summary("The newest checkpoint of the log, a C2SP signed note.")),
			web.Protocol("GET "+at.path+"/consistency", at.read, s.consistency, web.Summary("Prove that the log extends an earlier checkpoint.")),
			web.Protocol("GET "+at.path+"/epoch", at.read, s.epoch, web.Summary("Prove the log's head in the epoch tree of the platform log.")),
			web.Protocol("GET "+at.path+"/export", at.export, s.export, web.Summary("Export the log with its proofs, or as OCSF events.")),
		)
	}
	return out
}

// own is the organization of the request, zero on the staff side, where the
// read itself is an entry: without it nothing is answered.
func (s *Service) own(ctx context.Context, who caller.Caller, org id.Org, what audit.Target, facts map[string]any) error {
	if !org.IsZero() {
		return nil
	}
	return s.Log.StaffRead(ctx, who, org, what, facts)
}

type listIn struct {
	Org id.Org `path:"org"`
	staffListIn
}

type staffListIn struct {
	web.PageQuery
	Actor   string    `query:"actor" maxLength:"120" doc:"Who acted: user:usr_…, or an identifier alone."`
	Target  string    `query:"target" maxLength:"160" doc:"What was acted on: kind:id, or an identifier alone."`
	Kind    string    `query:"kind" maxLength:"100" doc:"Kind of entry; ended by a dot, what the kind begins with."`
	Outcome string    `query:"outcome" enum:"success,failure,denied"`
	From    time.Time `query:"from" doc:"First instant."`
	Until   time.Time `query:"until" doc:"Instant after the last."`
}

func (in *staffListIn) query() audit.Query {
	return audit.Query{Actor: named(in.Actor), Target: named(in.Target), Kind: in.Kind, Outcome: audit.Outcome(in.Outcome), From: in.From, Until: in.Until}
}

// key is what a cursor is bound to: the list and its filters.
func key(org id.Org, q audit.Query) string {
	b, _ := json.Marshal([]any{"audit", org, q.Actor, q.Target, q.Kind, q.Outcome, q.From, q.Until})
	return string(b)
}

func (s *Service) list(ctx context.Context, who caller.Caller, in *listIn) (*web.List[audit.Record], error) {
	return s.listOf(ctx, who, in.Org, &in.staffListIn)
}

func (s *Service) staffList(ctx context.Context, who caller.Caller, in *staffListIn) (*web.List[audit.Record], error) {
	return s.listOf(ctx, who, id.Org{}, in)
}

func (s *Service) listOf(ctx context.Context, who caller.Caller, org id.Org, in *staffListIn) (*web.List[audit.Record], error) {
	items, next, err := s.page(ctx, who, org, in.query(), in.Size(), in.Cursor)
	if err != nil {
		return nil, err
	}
	return web.NewList(items, next), nil
}

// page is one page of a search, with the cursor of the next.
func (s *Service) page(ctx context.Context, who caller.Caller, org id.Org, q audit.Query, size int, cursor string) ([]audit.Record, string, error) {
	bound := key(org, q)
	pos, err := s.Cursors.Decode(who.ID(), bound, cursor)
	if err != nil {
		return nil, "", err
	}
	if len(pos) > 0 {
		if q.Before, err = id.ParseEntry(string(pos)); err != nil {
			return nil, "", fault.New(fault.Invalid, "web.error.cursor", err)
		}
	}
	if err := s.own(ctx, who, org, audit.Target{Kind: "log", ID: "installation"}, map[string]any{"query": bound}); err != nil {
		return nil, "", err
	}
	q.Limit = size + 1
	items, err := s.Log.Search(ctx, org, q)
	if err != nil {
		return nil, "", err
	}
	next := ""
	if len(items) > size {
		items = items[:size]
		next = s.Cursors.Encode(who.ID(), bound, []byte(items[size-1].ID.String()))
	}
	return s.texts(who, items), next, nil
}

type oneIn struct {
	Org   id.Org   `path:"org"`
	Entry id.Entry `path:"entry"`
}

func (s *Service) one(ctx context.Context, who caller.Caller, in *oneIn) (*audit.Record, error) {
	return s.find(ctx, who, in.Org, in.Entry)
}

type staffOneIn struct {
	Entry id.Entry `path:"entry"`
}

func (s *Service) staffOne(ctx context.Context, who caller.Caller, in *staffOneIn) (*audit.Record, error) {
	return s.find(ctx, who, id.Org{}, in.Entry)
}

func (s *Service) find(ctx context.Context, who caller.Caller, org id.Org, entry id.Entry) (*audit.Record, error) {
	if err := s.own(ctx, who, org, audit.Target{Kind: "entry", ID: entry.String()}, nil); err != nil {
		return nil, err
	}
	r, err := s.Log.Find(ctx, org, entry)
	if err != nil {
		return nil, err
	}
	r.Text = s.text(who.Lang, &r)
	return &r, nil
}

type orgIn struct {
	Org id.Org `path:"org"`
}

type keysOut struct {
	Origin string   `json:"origin"`
	Keys   []string `json:"verifier_keys"`
}

func (s *Service) keys(ctx context.Context, _ caller.Caller, in *orgIn) (*keysOut, error) {
	return s.keysOf(ctx, in.Org)
}

func (s *Service) staffKeys(ctx context.Context, _ caller.Caller, _ *struct{}) (*keysOut, error) {
	return s.keysOf(ctx, id.Org{})
}

func (s *Service) keysOf(ctx context.Context, org id.Org) (*keysOut, error) {
	keys, err := s.Log.VerifierKeys(ctx, org)
	if err != nil {
		return nil, err
	}
	return &keysOut{Origin: s.Log.Origin(org), Keys: keys}, nil
}

// orgOf is the organization in the path, zero where there is none.
func orgOf(r *http.Request) (id.Org, error) {
	if r.PathValue("org") == "" && r.PathValue("slug") == "" {
		return id.Org{}, nil
	}
	if org := web.Who(r).Org; !org.IsZero() {
		return org, nil
	}
	return id.Org{}, fault.ErrNotFound
}

func entryOf(r *http.Request) (id.Org, id.Entry, error) {
	org, err := orgOf(r)
	if err != nil {
		return org, id.Entry{}, err
	}
	e, err := id.ParseEntry(r.PathValue("entry"))
	if err != nil {
		return org, e, fault.ErrNotFound
	}
	return org, e, nil
}

// attach answers a file to be saved.
func attach(w http.ResponseWriter, contentType, name string, b []byte) error {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Disposition", `attachment; filename="`+name+`"`)
	h.Set("Content-Length", strconv.Itoa(len(b)))
	_, _ = w.Write(b) // a peer that has gone is nobody to tell
	return nil
}

func (s *Service) proof(w http.ResponseWriter, r *http.Request) error {
	org, e, err := entryOf(r)
	if err != nil {
		return err
	}
	if err := s.own(r.Context(), web.Who(r), org, audit.Target{Kind: "entry", ID: e.String()}, map[string]any{"proof": true}); err != nil {
		return err
	}
	b, err := s.Log.Proof(r.Context(), org, e, r.URL.Query().Get("sealed") == "true")
	if err != nil {
		return err
	}
	return attach(w, "application/json", e.String()+".proof.json", b)
}

func (s *Service) checkpoint(w http.ResponseWriter, r *http.Request) error {
	org, err := orgOf(r)
	if err != nil {
		return err
	}
	b, _, err := s.Log.Latest(r.Context(), org)
	if err != nil {
		return err
	}
	return note(w, b)
}

func (s *Service) platform(w http.ResponseWriter, r *http.Request) error {
	b, err := s.Log.Platform(r.Context())
	if err != nil {
		return err
	}
	return note(w, b)
}

func note(w http.ResponseWriter, b []byte) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write(b)
	return nil
}

func (s *Service) consistency(w http.ResponseWriter, r *http.Request) error {
	org, err := orgOf(r)
	if err != nil {
		return err
	}
	from, err := strconv.ParseInt(r.URL.Query().Get("from"), 10, 64)
	if err != nil || from < 1 {
		return fault.New(fault.Invalid, "web.error.invalid", nil).At("?from", "web.field.required")
	}
	b, err := s.Log.Consistency(r.Context(), org, from)
	if err != nil {
		return err
	}
	return attach(w, "application/json", "consistency.json", b)
}

func (s *Service) epoch(w http.ResponseWriter, r *http.Request) error {
	org, err := orgOf(r)
	if err != nil {
		return err
	}
	number, err := strconv.ParseInt("0"+r.URL.Query().Get("number"), 10, 64)
	if err != nil {
		return fault.New(fault.Invalid, "web.error.invalid", nil).At("?number", "web.field.invalid")
	}
	b, err := s.Log.Opening(r.Context(), org, number)
	if err != nil {
		return err
	}
	return attach(w, "application/json", "epoch.json", b)
}

func (s *Service) tile(w http.ResponseWriter, r *http.Request) error {
	path := "tile/" + r.PathValue("path")
	b, err := s.Log.PlatformTile(r.Context(), path)
	if errors.Is(err, tlog.ErrTilePath) || errors.Is(err, tlog.ErrSize) {
		return fault.ErrNotFound
	}
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(b)
	return nil
}

// exportTime bounds an export: it streams past the limits of a request.
const exportTime = time.Hour

// stream sends the headers with the first byte, so that what fails before is
// answered as any error.
type stream struct {
	http.ResponseWriter
	contentType, name string
	begun             bool
}

func (s *stream) Write(b []byte) (int, error) {
	if !s.begun {
		s.begun = true
		s.Header().Set("Content-Type", s.contentType)
		s.Header().Set("Content-Disposition", `attachment; filename="`+s.name+`"`)
	}
	return s.ResponseWriter.Write(b)
}

func (s *Service) export(w http.ResponseWriter, r *http.Request) error {
	org, err := orgOf(r)
	if err != nil {
		return err
	}
	who, q := web.Who(r), r.URL.Query()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), exportTime)
	defer cancel()
	if err := http.NewResponseController(w).SetWriteDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	switch q.Get("format") {
	case "", "jsonl":
		out := &stream{ResponseWriter: w, contentType: "application/jsonl", name: "log.jsonl"}
		return s.Log.Export(ctx, who, org, audit.Form{Sealed: q.Get("sealed") == "true"}, out)
	case "ocsf":
		from, err1 := instant(q, "from")
		until, err2 := instant(q, "until")
		if err := errors.Join(err1, err2); err != nil {
			return fault.New(fault.Invalid, "web.error.invalid", err).At("?from", "web.field.format")
		}
		out := &stream{ResponseWriter: w, contentType: "application/jsonl", name: "log.ocsf.jsonl"}
		return s.ExportOCSF(ctx, who, org, from, until, out)
	}
	return fault.New(fault.Invalid, "web.error.invalid", nil).At("?format", "web.field.choice")
}

func instant(q url.Values, name string) (time.Time, error) {
	if q.Get(name) == "" {
		return time.Time{}, nil
	}
	return time.Parse(time.RFC3339, q.Get(name))
}

// ExportOCSF writes the log as events of the Open Cybersecurity Schema
// Framework, one a line, oldest first.
func (s *Service) ExportOCSF(ctx context.Context, who caller.Caller, org id.Org, from, until time.Time, w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	origin := s.Log.Origin(org)
	return s.Log.Walk(ctx, who, org, "ocsf", from, until, func(r audit.Record) error {
		r.Text = s.text("en", &r)
		return enc.Encode(event(origin, s.Log.Version, &r))
	})
}
