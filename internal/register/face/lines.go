package face

import (
	"context"
	"html/template"
	"slices"
	"strings"
	"time"

	"github.com/rempart/rempart/internal/console"
	"github.com/rempart/rempart/internal/register"
	"github.com/rempart/rempart/internal/register/catalogue"
	"github.com/rempart/rempart/internal/trust"
)

// line is a statement as pages show it.
type line struct {
	ID       string
	Text     string
	Verdict  string
	Badge    trust.Badge
	Class    string
	Data     string // whose data it covers
	Lacking  string // whose data it speaks of that nothing here reaches
	Force    string // what enforces it: mathematics, code or people
	Checked  time.Time
	Strip    template.HTML
	Controls []link
	Attested *attested
	Caveat   string
	Aside    bool
	Planned  bool   // nothing stands behind it here
	InForce  string // on a profile's page: the sentence as it holds here, where it differs
}

type link struct{ ID, Title, Path string }

type attested struct {
	register.Attestation
	Said   string // the sentence of the attestation, in the language
	File   string // path of the file, "" where it is not public
	Lapsed bool
}

type group struct {
	Letter  string
	Title   string
	Lines   []line
	Planned int
}

// tally is one part of the summary bar.
type tally struct {
	Name  string
	Text  string // "17 proven"
	Kind  string
	Count int
	X, W  float64
}

// groups are the sections of a page with those statements that keep wants.
func (s *Service) groups(ctx context.Context, f console.Frame, p *register.Page, keep func(register.Standing) bool, long bool) ([]group, error) {
	var out []group
	for _, section := range s.Catalogue().Sections() {
		g := group{Letter: section.Letter, Title: section.Title[f.Lang]}
		for _, st := range p.Standings {
			if st.Section() != section.Letter || st.Internal {
				continue
			}
			if st.Verdict == catalogue.Planned || st.Verdict == catalogue.Unknown {
				g.Planned++
			}
			if !keep(st) {
				continue
			}
			l, err := s.line(ctx, f, p, st, long)
			if err != nil {
				return nil, err
			}
			g.Lines = append(g.Lines, l)
		}
		if len(g.Lines) > 0 {
			out = append(out, g)
		}
	}
	return out, nil
}

func (s *Service) line(ctx context.Context, f console.Frame, p *register.Page, st register.Standing, long bool) (line, error) {
	l := line{ID: st.ID, Text: s.Sentence(f.Lang, st.Statement, st.Values), Verdict: string(st.Verdict), Badge: trust.ShowVerdict(f, st.Verdict),
		Class: trust.ShowClass(f, st.Evidence), Data: populations(f, st.Population), Checked: st.Checked, Aside: st.Aside, Planned: !catalogue.Published(st.Verdict)}
	if lacking := p.Uncovered(st, s.Trust.Controls); len(lacking) > 0 && len(st.Bound) > 0 {
		l.Lacking = populations(f, lacking)
		covered := slices.DeleteFunc(slices.Clone(st.Population), func(x catalogue.Population) bool { return slices.Contains(lacking, x) })
		l.Data = populations(f, covered)
	}
	l.Force = force(f, st)
	for _, c := range st.Bound {
		l.Controls = append(l.Controls, link{ID: c, Title: s.Trust.Text(f.Lang, c, "title"), Path: "/trust/controls/" + c})
	}
	if len(st.Bound) > 0 {
		days, err := s.history(ctx, st.Bound)
		if err != nil {
			return l, err
		}
		l.Strip = trust.ShowHistory(f, days)
	}
	if a := st.Attestation; a != nil {
		l.Attested = &attested{Attestation: *a, Said: a.Text[f.Lang], Lapsed: !p.At.Before(a.ValidUntil)}
		if a.File != nil && a.Visibility == register.VisibilityPublic {
			l.Attested.File = "/trust/evidence/" + a.ID.String()
		}
		if l.Checked.IsZero() {
			l.Checked = a.ValidFrom
		}
	}
	if long && st.Caveat != "" {
		l.Caveat = s.Catalogue().Note(f.Lang, st.Caveat)
	}
	return l, nil
}

// history puts the days of several controls together: a day is as bad as the
// worst of them.
func (s *Service) history(ctx context.Context, controls []string) ([]trust.Day, error) {
	var out []trust.Day
	for _, c := range controls {
		days, err := s.Trust.History(ctx, c)
		if err != nil {
			return nil, err
		}
		if out == nil {
			out = slices.Clone(days)
			continue
		}
		for i := range out {
			out[i].Passed += days[i].Passed
			out[i].Failed += days[i].Failed
			out[i].Other += days[i].Other
		}
	}
	return out, nil
}

func populations(f console.Frame, all []catalogue.Population) string {
	var names []string
	for _, p := range all {
		names = append(names, population(f, p))
	}
	return strings.Join(names, ", ")
}

func population(f console.Frame, p catalogue.Population) string {
	switch p {
	case catalogue.PopulationStore:
		return f.T("register.population.store")
	case catalogue.PopulationSources:
		return f.T("register.population.sources")
	case catalogue.PopulationHolder:
		return f.T("register.population.holder")
	case catalogue.PopulationOperation:
		return f.T("register.population.operation")
	case catalogue.PopulationStaff:
		return f.T("register.population.staff")
	case catalogue.PopulationSupplier:
		return f.T("register.population.supplier")
	}
	return f.T("register.population.company")
}

// mathematics are the statements that hold because a computation is out of
// reach for whoever would break them, the operator included.
var mathematics = []string{"I10", "L13", "L15", "T1", "T2", "T4", "T5", "T6", "E1", "E2", "E4", "E5", "E6", "E7"}

// force says what enforces a statement.
func force(f console.Frame, st register.Standing) string {
	switch {
	case slices.Contains(mathematics, st.ID):
		return f.T("register.force.mathematics")
	case st.Kind == catalogue.Organizational && len(st.Bound) == 0 || st.Evidence == catalogue.Attested:
		return f.T("register.force.people")
	}
	return f.T("register.force.code")
}
