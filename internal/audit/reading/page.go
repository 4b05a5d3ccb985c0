package reading

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/console"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/web"
)

var views = console.MustParse(files, "pages/*.html")

type logView struct {
	console.Frame
	Base     string // path of the page
	API      string // path of the log in the API
	Filter   filter
	Filtered bool
	Kinds    []console.Choice
	Outcomes []console.Choice
	Rows     []row
	Next     string
	Export   bool
}

// filter is what the form holds.
type filter struct{ Actor, Target, Kind, Outcome, From, Until string }

type row struct {
	audit.Record
	Path   string
	Who    string // name or identifier of the actor
	What   string // of the target
	Badge  badge
	ByPath string // the log filtered by this actor
}

type badge struct{ Text, Kind, Icon string }

func (s *Service) logPage(w http.ResponseWriter, r *http.Request) error {
	org, err := orgOf(r)
	if err != nil {
		return err
	}
	who, q := web.Who(r), r.URL.Query()
	f := filter{q.Get("actor"), q.Get("target"), q.Get("kind"), q.Get("outcome"), q.Get("from"), q.Get("until")}
	query := audit.Query{Actor: named(f.Actor), Target: named(f.Target), Kind: f.Kind, Outcome: audit.Outcome(f.Outcome)}
	// A date field of a form has a day; until is the last day, whole.
	if day, err := time.Parse(time.DateOnly, f.From); err == nil {
		query.From = day
	}
	if day, err := time.Parse(time.DateOnly, f.Until); err == nil {
		query.Until = day.AddDate(0, 0, 1)
	}
	items, next, err := s.page(r.Context(), who, org, query, web.DefaultPage, q.Get("cursor"))
	if err != nil {
		return err
	}
	side := console.InOrg("log")
	if org.IsZero() {
		side = console.Staff("log")
	}
	v := logView{Frame: s.Console.Frame(r, "audit.page.title", side, console.Lead("audit.page.lead")), Filter: f, Filtered: f != filter{}}
	v.Base, v.API, v.Export = r.URL.Path, api(org), org.IsZero() || v.May(audit.PermExport)
	v.Kinds, v.Outcomes = s.kinds(v.Frame, f.Kind), outcomes(v.Frame, f.Outcome)
	names := s.names(r, org, items)
	for _, it := range items {
		v.Rows = append(v.Rows, s.row(v.Frame, v.Base, it, names))
	}
	if next != "" {
		q.Set("cursor", next)
		v.Next = v.Base + "?" + q.Encode()
	}
	return s.Console.Render(w, r, http.StatusOK, views.Get("log"), v)
}

func api(org id.Org) string {
	if org.IsZero() {
		return "/api/v1/installation/log"
	}
	return "/api/v1/orgs/" + org.String() + "/log"
}

func (s *Service) names(r *http.Request, org id.Org, items []audit.Record) map[id.User]string {
	if s.Names == nil || org.IsZero() {
		return nil
	}
	var users []id.User
	for _, it := range items {
		for _, text := range []string{it.Actor.ID, it.Target.ID} {
			if u, err := id.ParseUser(text); err == nil && !slices.Contains(users, u) {
				users = append(users, u)
			}
		}
	}
	names, err := s.Names(r.Context(), org, users)
	if err != nil {
		return nil // identifiers do as well
	}
	return names
}

func (s *Service) row(f console.Frame, base string, it audit.Record, names map[id.User]string) row {
	out := row{Record: it, Path: base + "/" + it.ID.String(), Who: name(it.Actor.ID, names), What: name(it.Target.ID, names), Badge: outcome(f, it.Outcome)}
	if out.Who == "" {
		out.Who = kindOfActor(f, it.Actor.Kind)
	}
	if it.Actor.ID != "" {
		out.ByPath = base + "?" + url.Values{"actor": {it.Actor.Kind + ":" + it.Actor.ID}}.Encode()
	}
	return out
}

func name(text string, names map[id.User]string) string {
	if u, err := id.ParseUser(text); err == nil && names[u] != "" {
		return names[u]
	}
	return text
}

func kindOfActor(f console.Frame, kind string) string {
	switch kind {
	case "user":
		return f.T("audit.actor.user")
	case "client":
		return f.T("audit.actor.client")
	case "key":
		return f.T("audit.actor.key")
	case "system":
		return f.T("audit.actor.system")
	case "local":
		return f.T("audit.actor.local")
	case "visitor":
		return f.T("audit.actor.visitor")
	}
	return f.T("audit.actor.erased")
}

func outcome(f console.Frame, o audit.Outcome) badge {
	switch o {
	case audit.Failure:
		return badge{f.T("audit.outcome.failure"), "warn", "circle-alert"}
	case audit.Denied:
		return badge{f.T("audit.outcome.denied"), "bad", "circle-x"}
	}
	return badge{f.T("audit.outcome.success"), "ok", "circle-check"}
}

func outcomes(f console.Frame, chosen string) []console.Choice {
	out := []console.Choice{{Label: f.T("audit.filter.any"), Selected: chosen == ""}}
	for _, o := range []audit.Outcome{audit.Success, audit.Failure, audit.Denied} {
		out = append(out, console.Choice{Value: string(o), Label: outcome(f, o).Text, Selected: chosen == string(o)})
	}
	return out
}

func (s *Service) kinds(f console.Frame, chosen string) []console.Choice {
	out := []console.Choice{}
	for _, e := range s.Events {
		out = append(out, console.Choice{Value: e.Kind, Label: s.text(f.Lang, &audit.Record{Kind: e.Kind}), Selected: e.Kind == chosen})
	}
	slices.SortFunc(out, func(a, b console.Choice) int { return strings.Compare(a.Label, b.Label) })
	known := slices.ContainsFunc(out, func(c console.Choice) bool { return c.Selected })
	out = slices.Insert(out, 0, console.Choice{Label: f.T("audit.filter.any"), Selected: chosen == ""})
	if chosen != "" && !known {
		out = append(out, console.Choice{Value: chosen, Label: chosen, Selected: true})
	}
	return out
}

type entryView struct {
	console.Frame
	Row     row
	What    []console.Pair
	Where   []console.Pair
	Changes []change
	Other   []console.Pair
	Proof   string // path of the proof
	File    string // name that it is saved under
	Erased  bool
	Origin  string
}

type change struct{ Field, Before, After string }

func (s *Service) entryPage(w http.ResponseWriter, r *http.Request) error {
	org, e, err := entryOf(r)
	if err != nil {
		return err
	}
	it, err := s.find(r.Context(), web.Who(r), org, e)
	if err != nil {
		return err
	}
	base := strings.TrimSuffix(r.URL.Path, "/"+e.String())
	side := console.InOrg("log-entry")
	if org.IsZero() {
		side = console.Staff("log-entry")
	}
	v := entryView{Frame: s.Console.Frame(r, "", side, console.Titled(it.Text), console.Under("audit.page.title", base))}
	v.Row = s.row(v.Frame, base, *it, s.names(r, org, []audit.Record{*it}))
	v.Proof, v.File, v.Origin = api(org)+"/"+e.String()+"/proof", e.String()+".proof.json", s.Log.Origin(org)
	v.Erased = len(it.Erased) > 0
	pair := func(to *[]console.Pair, label, value string, mono bool) {
		if value != "" {
			*to = append(*to, console.Pair{Name: label, Value: value, Mono: mono})
		}
	}
	pair(&v.What, v.T("audit.field.time"), it.Time.Format("2006-01-02 15:04:05.000000 MST"), true)
	pair(&v.What, v.T("audit.field.kind"), it.Kind, true)
	pair(&v.What, v.T("audit.field.actor"), kindOfActor(v.Frame, it.Actor.Kind), false)
	pair(&v.What, v.T("audit.field.actor-id"), it.Actor.ID, true)
	pair(&v.What, v.T("audit.field.target"), strings.TrimPrefix(it.Target.Kind+" "+it.Target.ID, " "), true)
	pair(&v.What, v.T("audit.field.code"), it.Code, true)
	pair(&v.What, v.T("audit.field.entry"), it.ID.String(), true)
	if it.Index != nil {
		pair(&v.What, v.T("audit.field.index"), strconv.FormatInt(*it.Index, 10), true)
	}
	pair(&v.What, v.T("audit.field.cites"), it.Cites.String(), true)
	pair(&v.Where, v.T("audit.field.source"), it.Source, true)
	pair(&v.Where, v.T("audit.field.destination"), it.Destination, true)
	pair(&v.Where, v.T("audit.field.device"), it.Device, false)
	pair(&v.Where, v.T("audit.field.session"), it.Session, true)
	pair(&v.Where, v.T("audit.field.request"), it.Request.String(), true)
	pair(&v.Where, v.T("audit.field.node"), it.Node, true)
	pair(&v.Where, v.T("audit.field.software"), it.Software, true)
	for _, c := range it.Changes {
		v.Changes = append(v.Changes, change{c.Field, show(c.Before), show(c.After)})
	}
	for _, m := range []map[string]any{it.Facts, it.Private} {
		keys := make([]string, 0, len(m))
		for k := range m {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			pair(&v.Other, k, show(m[k]), true)
		}
	}
	return s.Console.Render(w, r, http.StatusOK, views.Get("log-entry"), v)
}

// show writes a value of an entry as text.
func show(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case bool, float64:
		return fmt.Sprint(v)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}
