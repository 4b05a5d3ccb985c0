package trust

import (
	"cmp"
	"context"
	"html/template"
	"net/http"
	"slices"
	"time"

	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/console"
	"github.com/rempart/rempart/internal/web"
)

func (s *Service) routes() []web.Route {
	return []web.Route{
		web.JSON("GET /api/v1/installation/controls", PermissionRead, s.listControls,
			web.Summary("List the controls with the state of each.")),
		web.JSON("POST /api/v1/installation/controls/{control}/run", PermissionRun, s.runControl,
			web.Event(EventRan), web.Summary("Run a control now and answer its result.")),
		web.Page("GET /console/staff/controls", PermissionRead, s.controlsPage),
		web.Page("POST /console/staff/controls/{control}/run", PermissionRun, s.runPage, web.Event(EventRan)),
	}
}

// Report is a control with where it stands.
type Report struct {
	State
	Title         string     `json:"title"`
	How           string     `json:"how"`
	Population    string     `json:"population" doc:"Whose data the control covers."`
	Severity      string     `json:"severity"`
	Mapping       []string   `json:"mapping" doc:"Clauses of standards that the control speaks to."`
	EverySeconds  int64      `json:"every_seconds"`
	WindowSeconds int64      `json:"window_seconds" doc:"Older than this, a result is stale."`
	SinceAt       *time.Time `json:"since" doc:"When the verdict of the last run was first seen."`
}

// Reports are all controls with where they stand, in the language.
func (s *Service) Reports(ctx context.Context, lang string) ([]Report, error) {
	states, err := s.Current(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]Report, 0, len(states))
	for i, c := range s.Controls {
		out = append(out, s.report(lang, c, states[i]))
	}
	return out, nil
}

func (s *Service) report(lang string, c capability.Control, st State) Report {
	r := Report{State: st, Title: s.Text(lang, c.ID, "title"), How: s.Text(lang, c.ID, "how"),
		Population: s.Console.Bundle.T(lang, c.Population), Severity: c.Severity, Mapping: c.Mapping,
		EverySeconds: int64(c.Every / time.Second), WindowSeconds: int64(c.Window / time.Second)}
	if r.Mapping == nil {
		r.Mapping = []string{}
	}
	if !st.Since.IsZero() {
		r.SinceAt = &st.Since
	}
	return r
}

type listControlsIn struct{}

func (s *Service) listControls(ctx context.Context, who caller.Caller, _ *listControlsIn) (*web.List[Report], error) {
	reports, err := s.Reports(ctx, who.Lang)
	return web.NewList(reports, ""), err
}

type runControlIn struct {
	Control string `path:"control" maxLength:"80"`
}

func (s *Service) runControl(ctx context.Context, who caller.Caller, in *runControlIn) (*Report, error) {
	st, err := s.Run(ctx, who, in.Control)
	if err != nil {
		return nil, err
	}
	c, _ := s.Find(in.Control)
	r := s.report(who.Lang, c, st)
	return &r, nil
}

type controlsView struct {
	console.Frame
	Rows   []controlRow
	Counts []Tally
	Query  string
}

type controlRow struct {
	Report
	Badge  Badge
	Class  string
	Strip  template.HTML
	Reason string // the run's note, in words
}

// Tally counts one verdict.
type Tally struct {
	Badge
	Count int
}

// Badge is how a verdict is shown.
type Badge struct{ Text, Kind, Icon string }

// ShowVerdict gives the badge of a verdict.
func ShowVerdict(f console.Frame, v capability.Verdict) Badge {
	switch v {
	case capability.Pass:
		return Badge{f.T("trust.verdict.pass"), "ok", "check"}
	case capability.Fail:
		return Badge{f.T("trust.verdict.fail"), "bad", "x"}
	case capability.Stale:
		return Badge{f.T("trust.verdict.stale"), "warn", "clock"}
	case capability.Lapsed:
		return Badge{f.T("trust.verdict.lapsed"), "warn", "calendar"}
	case capability.NotApplicable:
		return Badge{f.T("trust.verdict.not-applicable"), "mute", "minus"}
	case capability.Planned:
		return Badge{f.T("trust.verdict.planned"), "info", "circle-dashed"}
	}
	return Badge{f.T("trust.verdict.unknown"), "mute", "circle-help"}
}

// ShowClass names a class of evidence.
func ShowClass(f console.Frame, c capability.EvidenceClass) string {
	switch c {
	case capability.Proven:
		return f.T("trust.class.proven")
	case capability.Observed:
		return f.T("trust.class.observed")
	case capability.Recorded:
		return f.T("trust.class.recorded")
	case capability.External:
		return f.T("trust.class.external")
	case capability.Attested:
		return f.T("trust.class.attested")
	}
	return ""
}

// ShowHistory draws the history of a control.
func ShowHistory(f console.Frame, days []Day) template.HTML {
	cells := make([]console.Day, len(days))
	var ran, failed int
	for i, d := range days {
		cells[i].Verdict = d.Verdict()
		if cells[i].Verdict != "none" {
			ran++
		}
		if d.Failed > 0 {
			failed++
		}
	}
	return console.Strip(cells, f.T("trust.history.days", "Count", ran)+" "+f.T("trust.history.failed", "Count", failed))
}

// order puts what needs a person first.
var order = map[capability.Verdict]int{capability.Fail: 0, capability.Stale: 1, capability.Unknown: 2, capability.Pass: 3, capability.NotApplicable: 4}

func (s *Service) controlsPage(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	v := controlsView{Frame: s.Console.Frame(r, "trust.controls.title", console.Staff("controls"), console.Lead("trust.controls.lead"))}
	reports, err := s.Reports(ctx, v.Lang)
	if err != nil {
		return err
	}
	counts := map[capability.Verdict]int{}
	for _, rep := range reports {
		days, err := s.History(ctx, rep.ID)
		if err != nil {
			return err
		}
		row := controlRow{Report: rep, Badge: ShowVerdict(v.Frame, rep.Verdict), Class: ShowClass(v.Frame, rep.State.Class), Strip: ShowHistory(v.Frame, days)}
		if rep.Note != "" {
			row.Reason = v.T(rep.Note)
		}
		counts[rep.Verdict]++
		v.Rows = append(v.Rows, row)
	}
	slices.SortStableFunc(v.Rows, func(a, b controlRow) int { return cmp.Compare(order[a.Verdict], order[b.Verdict]) })
	for _, verdict := range []capability.Verdict{capability.Pass, capability.Fail, capability.Stale, capability.Unknown} {
		v.Counts = append(v.Counts, Tally{ShowVerdict(v.Frame, verdict), counts[verdict]})
	}
	return s.Console.Render(w, r, http.StatusOK, views.Get("controls"), v)
}

func (s *Service) runPage(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.Run(r.Context(), web.Who(r), r.PathValue("control")); err != nil {
		return err
	}
	web.Redirect(w, r, "/console/staff/controls?done=trust.run.done")
	return nil
}
