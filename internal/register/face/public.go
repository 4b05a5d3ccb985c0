package face

import (
	"context"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/console"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/register"
	"github.com/rempart/rempart/internal/register/catalogue"
	"github.com/rempart/rempart/internal/trust"
	"github.com/rempart/rempart/internal/web"
)

const asHTML = "text/html; charset=utf-8"

type pageView struct {
	console.Frame
	Groups   []group
	Total    int
	Tallies  []tally
	Failing  int
	Planned  int
	Latest   time.Time
	Profiles []link
	Contact  string
	Full     bool
}

func (s *Service) pageView(ctx context.Context, f console.Frame, keep func(register.Standing) bool, full bool) (*pageView, *register.Page, error) {
	p, err := s.Resolve(ctx)
	if err != nil {
		return nil, nil, err
	}
	v := &pageView{Frame: f, Full: full}
	if v.Groups, err = s.groups(ctx, f, p, keep, full); err != nil {
		return nil, nil, err
	}
	s.summarize(v, p)
	for _, name := range catalogue.ProfileNames {
		v.Profiles = append(v.Profiles, link{ID: name, Title: s.Profile(name).Title[f.Lang], Path: "/trust/profiles/" + name})
	}
	if len(s.SecurityTxt.Contact) > 0 {
		v.Contact = s.SecurityTxt.Contact[0]
	}
	return v, p, nil
}

// summarize counts the published statements: passing ones by the class of
// their evidence, the others by their verdict.
func (s *Service) summarize(v *pageView, p *register.Page) {
	published := p.Published()
	v.Total = len(published)
	classes := map[catalogue.Class]int{}
	verdicts := map[catalogue.Verdict]int{}
	for _, st := range published {
		verdicts[st.Verdict]++
		if st.Verdict == catalogue.Pass {
			classes[st.Evidence]++
		}
		if st.Checked.After(v.Latest) {
			v.Latest = st.Checked
		}
	}
	for _, st := range p.Standings {
		if !st.Internal && (st.Verdict == catalogue.Planned || st.Verdict == catalogue.Unknown) {
			v.Planned++
		}
	}
	v.Failing = verdicts[catalogue.Fail]
	for _, c := range catalogue.Classes {
		v.Tallies = append(v.Tallies, tally{Name: trust.ShowClass(v.Frame, c), Kind: string(c), Count: classes[c]})
	}
	for _, verdict := range []catalogue.Verdict{catalogue.Fail, catalogue.Stale, catalogue.Lapsed} {
		v.Tallies = append(v.Tallies, tally{Name: trust.ShowVerdict(v.Frame, verdict).Text, Kind: string(verdict), Count: verdicts[verdict]})
	}
	x := 0.0
	for i, t := range v.Tallies {
		v.Tallies[i].Text = counted(v.Frame, t)
		if v.Total > 0 {
			v.Tallies[i].X, v.Tallies[i].W = x, 100*float64(v.Tallies[i].Count)/float64(v.Total)
			x += v.Tallies[i].W
		}
	}
}

// counted is a tally in words. The keys are spelled out so that they can be
// found.
func counted(f console.Frame, t tally) string {
	keys := map[string]string{
		"proven": "register.sum.proven", "observed": "register.sum.observed", "recorded": "register.sum.recorded", "external": "register.sum.external",
		"attested": "register.sum.attested", "fail": "register.sum.fail", "stale": "register.sum.stale", "lapsed": "register.sum.lapsed",
	}
	return f.T(keys[t.Kind], "Count", t.Count)
}

func (s *Service) trustPage(w http.ResponseWriter, r *http.Request) error {
	key := keyOf(r, "/trust")
	return s.serve(w, r, key, asHTML, func(ctx context.Context) ([]byte, error) {
		return s.render(ctx, key, "trust", "", func(f console.Frame) (any, error) {
			f.Title = f.T("register.page.name")
			v, _, err := s.pageView(ctx, f, func(st register.Standing) bool { return catalogue.Published(st.Verdict) }, false)
			return v, err
		}, bare)
	})
}

// bare leaves the heading to the page.
func bare(f *console.Frame) { f.Layout = "bare" }

func (s *Service) plannedPage(w http.ResponseWriter, r *http.Request) error {
	key := keyOf(r, "/trust/planned")
	return s.serve(w, r, key, asHTML, func(ctx context.Context) ([]byte, error) {
		return s.render(ctx, key, "planned", "register.planned.title", func(f console.Frame) (any, error) {
			v, _, err := s.pageView(ctx, f, func(st register.Standing) bool {
				return st.Verdict == catalogue.Planned || st.Verdict == catalogue.Unknown
			}, false)
			return v, err
		}, console.Lead("register.planned.lead"))
	})
}

// fullPage is everything on one page, to be printed or kept.
func (s *Service) fullPage(w http.ResponseWriter, r *http.Request) error {
	key := keyOf(r, "/trust/full")
	return s.serve(w, r, key, asHTML, func(ctx context.Context) ([]byte, error) {
		return s.render(ctx, key, "full", "register.full.title", func(f console.Frame) (any, error) {
			v, _, err := s.pageView(ctx, f, func(st register.Standing) bool { return st.Verdict != catalogue.NotApplicable }, true)
			return v, err
		})
	})
}

type changesView struct {
	console.Frame
	Days []changeDay
}

type changeDay struct {
	Day    time.Time
	Events []changeLine
}

type changeLine struct {
	register.Event
	Text   string // what happened
	Said   string // the sentence
	Before *trust.Badge
	After  *trust.Badge
}

func (s *Service) changesPage(w http.ResponseWriter, r *http.Request) error {
	key := keyOf(r, "/trust/changes")
	return s.serve(w, r, key, asHTML, func(ctx context.Context) ([]byte, error) {
		p, err := s.Resolve(ctx)
		if err != nil {
			return nil, err
		}
		events, err := s.Changes(ctx)
		if err != nil {
			return nil, err
		}
		return s.render(ctx, key, "changes", "register.changes.title", func(f console.Frame) (any, error) {
			v := changesView{Frame: f}
			for _, e := range events {
				day := e.At.UTC().Truncate(24 * time.Hour)
				if n := len(v.Days); n == 0 || !v.Days[n-1].Day.Equal(day) {
					v.Days = append(v.Days, changeDay{Day: day})
				}
				d := &v.Days[len(v.Days)-1]
				d.Events = append(d.Events, s.change(f, p, e))
			}
			return v, nil
		}, console.Lead("register.changes.lead"))
	})
}

func (s *Service) change(f console.Frame, p *register.Page, e register.Event) changeLine {
	l := changeLine{Event: e}
	if st, ok := p.Find(e.Statement); ok {
		l.Said = s.Sentence(f.Lang, st.Statement, st.Values)
	}
	badge := func(v string) *trust.Badge {
		b := trust.ShowVerdict(f, catalogue.Verdict(v))
		return &b
	}
	switch {
	case e.Kind == "verdict":
		l.Text, l.Before, l.After = f.T("register.change.verdict"), badge(e.Before), badge(e.After)
	case e.Kind == "aside" && e.After != "":
		l.Text = f.T("register.change.aside")
	case e.Kind == "aside":
		l.Text = f.T("register.change.restored")
	case e.Kind == "applies":
		l.Text = f.T("register.change.applies")
	case e.Kind == "attested":
		until := e.After
		if at, err := time.Parse(time.DateOnly, e.After); err == nil {
			until = f.Date(at)
		}
		l.Text = f.T("register.change.attested", "Until", until)
	case e.Kind == "withdrawn":
		l.Text = f.T("register.change.withdrawn")
	case e.Kind == "profile":
		l.Text = f.T("register.change.profile")
	default:
		l.Text = f.T("register.change.value")
	}
	return l
}

type profileView struct {
	console.Frame
	Name     string
	InUse    bool
	Tabs     []console.Tab
	Groups   []group
	Total    int
	Backed   int
	Versions []string
}

// profilePage is a published security page of another company, sentence by
// sentence in its own order, with our verdicts.
func (s *Service) profilePage(w http.ResponseWriter, r *http.Request) error {
	profile := s.Profile(r.PathValue("profile"))
	if profile == nil {
		return fault.ErrNotFound
	}
	lang := keyOf(r, "").lang
	version := r.URL.Query().Get("version")
	if !slices.Contains(profile.Versions, version) && version != "all" {
		version = profile.Versions[0]
		if slices.Contains(profile.Versions, lang) {
			version = lang
		}
	}
	key := keyOf(r, "/trust/profiles/"+profile.Name+"?version="+version)
	return s.serve(w, r, key, asHTML, func(ctx context.Context) ([]byte, error) {
		p, err := s.Resolve(ctx)
		if err != nil {
			return nil, err
		}
		return s.render(ctx, key, "profile", "", func(f console.Frame) (any, error) {
			f.Title = profile.Title[f.Lang]
			return s.profileView(ctx, f, p, profile, version)
		}, console.Lead("register.profile.lead"), console.Under("register.page.name", "/trust"))
	})
}

func (s *Service) profileView(ctx context.Context, f console.Frame, p *register.Page, profile *catalogue.Profile, version string) (*profileView, error) {
	v := &profileView{Frame: f, Name: profile.Name, InUse: p.Profile == profile.Name}
	lines := profile.Lines()
	if version != "all" {
		lines = profile.Version(version)
	}
	names := map[string]string{}
	for _, c := range f.Languages() {
		names[c.Value] = c.Label
	}
	for _, lang := range profile.Versions {
		v.Tabs = append(v.Tabs, console.Tab{Label: names[lang], Path: "/trust/profiles/" + profile.Name + "?version=" + lang, Current: lang == version, Count: f.Number(len(profile.Version(lang)))})
	}
	if len(profile.Versions) > 1 {
		v.Tabs = append(v.Tabs, console.Tab{Label: f.T("register.profile.all"), Path: "/trust/profiles/" + profile.Name + "?version=all", Current: version == "all", Count: f.Number(len(profile.Lines()))})
	}
	for _, x := range lines {
		st, ok := p.Find(x.Row)
		if !ok {
			continue
		}
		l, err := s.line(ctx, f, p, st, false)
		if err != nil {
			return nil, err
		}
		here := l.Text
		if l.Text = s.Sentence(f.Lang, x.Statement, x.Params); l.Text != here && !v.InUse {
			// The controls here speak of the values in force here.
			l.InForce = here
			if st.Verdict == catalogue.Pass {
				l.Verdict, l.Badge = string(catalogue.NotApplicable), trust.Badge{Text: f.T("register.profile.other"), Kind: "mute", Icon: "minus"}
			}
		}
		if !st.Applies() && !st.Aside && !v.InUse {
			l.Verdict, l.Badge = string(catalogue.Planned), trust.ShowVerdict(f, catalogue.Planned)
		}
		v.Total++
		if l.Verdict == string(catalogue.Pass) {
			v.Backed++
		}
		title := profile.Heading(f.Lang, x.Section)
		if n := len(v.Groups); n == 0 || v.Groups[n-1].Title != title {
			v.Groups = append(v.Groups, group{Title: title})
		}
		g := &v.Groups[len(v.Groups)-1]
		g.Lines = append(g.Lines, l)
	}
	return v, nil
}

type controlView struct {
	console.Frame
	Report    trust.Report
	Badge     trust.Badge
	Evidence  string
	Class     string
	Statement []line
	Strip     template.HTML
	Days      []console.Day
	Mapped    []mapping
	Reason    string
	Keys      []string
	Command   string
	First     time.Time
	Every     time.Duration
	Window    time.Duration
}

type mapping struct{ Standard, Clause string }

// standards are the names of the standards that mappings cite.
var standards = map[string]string{"ISO27001": "ISO/IEC 27001:2022", "SOC2": "SOC 2 (TSC 2017)", "NIS2": "NIS 2, Art.", "CAIQ": "CSA CAIQ v4", "GDPR": "GDPR, Art."}

func (s *Service) controlPage(w http.ResponseWriter, r *http.Request) error {
	control, ok := s.Trust.Find(r.PathValue("control"))
	if !ok {
		return fault.ErrNotFound
	}
	key := keyOf(r, "/trust/controls/"+control.ID)
	return s.serve(w, r, key, asHTML, func(ctx context.Context) ([]byte, error) {
		p, err := s.Resolve(ctx)
		if err != nil {
			return nil, err
		}
		return s.render(ctx, key, "control", "", func(f console.Frame) (any, error) { return s.controlView(ctx, f, p, control) },
			console.Under("register.page.name", "/trust"))
	})
}

func (s *Service) controlView(ctx context.Context, f console.Frame, p *register.Page, control capability.Control) (*controlView, error) {
	reports, err := s.Trust.Reports(ctx, f.Lang)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(reports, func(r trust.Report) bool { return r.ID == control.ID })
	v := &controlView{Frame: f, Report: reports[i]}
	v.Title, v.Lead = v.Report.Title, v.Report.How
	v.Badge, v.Class = trust.ShowVerdict(f, v.Report.Verdict), trust.ShowClass(f, v.Report.State.Class)
	if v.Report.Note != "" {
		v.Reason = f.T(v.Report.Note)
	}
	days, err := s.Trust.History(ctx, control.ID)
	if err != nil {
		return nil, err
	}
	v.Strip = trust.ShowHistory(f, days)
	v.First, v.Every, v.Window = days[0].Day, control.Every, control.Window
	for _, row := range control.Statements {
		if st, ok := p.Find(row); ok && !st.Internal {
			l, err := s.line(ctx, f, p, st, false)
			if err != nil {
				return nil, err
			}
			v.Statement = append(v.Statement, l)
		}
	}
	for _, m := range control.Mapping {
		standard, clause, _ := strings.Cut(m, ":")
		if name := standards[standard]; name != "" {
			standard = name
		}
		v.Mapped = append(v.Mapped, mapping{standard, clause})
	}
	if v.Report.RanAt == nil {
		return v, nil
	}
	evidence, _, err := s.Trust.Evidence(ctx, control.ID)
	if err != nil {
		return nil, err
	}
	var pretty strings.Builder
	enc := json.NewEncoder(&pretty)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(json.RawMessage(evidence)); err != nil {
		return nil, fmt.Errorf("register/face: evidence of %s: %w", control.ID, err)
	}
	v.Evidence = pretty.String()
	if v.Keys, err = s.Trust.Verifiers(ctx); err != nil {
		return nil, err
	}
	v.Command = "rempart verify --key '" + v.Keys[0] + "' " + control.ID + ".json"
	return v, nil
}

// evidenceFile is the file of an attestation that is public.
func (s *Service) evidenceFile(w http.ResponseWriter, r *http.Request) error {
	a, err := id.ParseAttestation(r.PathValue("attestation"))
	if err != nil {
		return fault.ErrNotFound
	}
	found, err := s.Attestation(r.Context(), a)
	if err != nil {
		return err
	}
	if found.Visibility != register.VisibilityPublic || found.State != register.StateGiven {
		return fault.ErrNotFound
	}
	return s.sendEvidence(w, r, found)
}

func (s *Service) sendEvidence(w http.ResponseWriter, r *http.Request, a register.Attestation) error {
	content, err := s.Service.Evidence(r.Context(), web.Who(r), a)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Disposition", `attachment; filename="`+a.ID.String()+ext(a.File.Name)+`"`)
	h.Set("X-Evidence-Sha256", a.File.SHA256)
	w.WriteHeader(http.StatusOK)
	w.Write(content)
	return nil
}

// ext is a short plain extension of a file's name, for the name it is saved by.
func ext(name string) string {
	i := strings.LastIndexByte(name, '.')
	if i < 0 || len(name)-i > 6 || strings.ContainsFunc(name[i+1:], func(r rune) bool { return r < '0' || r > '9' && r < 'A' || r > 'Z' && r < 'a' || r > 'z' }) {
		return ""
	}
	return name[i:]
}
