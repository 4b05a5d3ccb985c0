package face

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/rempart/rempart/internal/console"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/i18n"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/register"
	"github.com/rempart/rempart/internal/register/catalogue"
	"github.com/rempart/rempart/internal/trust"
	"github.com/rempart/rempart/internal/web"
)

type statementsView struct {
	console.Frame
	Query, Verdict string
	Tabs           []console.Tab
	Rows           []row
	Profiles       []console.Choice
	Ending         []ending // attestations that end soon or have
}

type row struct {
	line
	Proposed string // class it could have
	Off      bool   // does not apply
}

type ending struct {
	register.Attestation
	Text   string
	Lapsed bool
}

func (s *Service) statementsPage(w http.ResponseWriter, r *http.Request) error {
	return s.showStatements(w, r, http.StatusOK)
}

func (s *Service) showStatements(w http.ResponseWriter, r *http.Request, status int, opts ...console.Option) error {
	opts = append([]console.Option{console.Staff("statements"), console.Lead("register.staff.lead")}, opts...)
	v := statementsView{Frame: s.Console.Frame(r, "register.staff.title", opts...)}
	query := r.URL.Query()
	v.Query, v.Verdict = strings.TrimSpace(query.Get("q")), query.Get("verdict")
	p, err := s.Resolve(r.Context())
	if err != nil {
		return err
	}
	counts := map[string]int{}
	for _, st := range p.Standings {
		l, err := s.line(r.Context(), v.Frame, p, st, false)
		if err != nil {
			return err
		}
		words := strings.ToLower(st.ID + " " + l.Text + " " + strings.Join(st.Bound, " "))
		if v.Query != "" && !strings.Contains(words, strings.ToLower(v.Query)) {
			continue
		}
		counts[l.Verdict]++
		if v.Verdict != "" && v.Verdict != l.Verdict {
			continue
		}
		v.Rows = append(v.Rows, row{line: l, Proposed: trust.ShowClass(v.Frame, st.Class), Off: !st.Applies()})
	}
	tab := func(label, verdict string, n int) {
		q := url.Values{}
		if v.Query != "" {
			q.Set("q", v.Query)
		}
		if verdict != "" {
			q.Set("verdict", verdict)
		}
		path := "/console/staff/statements"
		if len(q) > 0 {
			path += "?" + q.Encode()
		}
		v.Tabs = append(v.Tabs, console.Tab{Label: label, Path: path, Current: v.Verdict == verdict, Count: v.Number(n)})
	}
	total := 0
	for _, n := range counts {
		total += n
	}
	tab(v.T("register.staff.all"), "", total)
	for _, verdict := range []catalogue.Verdict{catalogue.Fail, catalogue.Stale, catalogue.Lapsed, catalogue.Pass, catalogue.Unknown, catalogue.Planned, catalogue.NotApplicable} {
		if n := counts[string(verdict)]; n > 0 || v.Verdict == string(verdict) {
			tab(trust.ShowVerdict(v.Frame, verdict).Text, string(verdict), n)
		}
	}
	v.Profiles = append(v.Profiles, console.Choice{Value: "", Label: v.T("register.staff.no-profile"), Selected: p.Profile == ""})
	for _, name := range catalogue.ProfileNames {
		v.Profiles = append(v.Profiles, console.Choice{Value: name, Label: s.Profile(name).Title[v.Lang], Selected: p.Profile == name})
	}
	all, err := s.Attestations(r.Context())
	if err != nil {
		return err
	}
	for _, a := range all {
		if a.State == register.StateGiven && !register.Renewed(all, a) && a.ValidUntil.Before(p.At.AddDate(0, 0, register.Reminders[0])) {
			e := ending{Attestation: a, Lapsed: !p.At.Before(a.ValidUntil)}
			if st, ok := p.Find(a.Statement); ok {
				e.Text = s.Sentence(v.Lang, st.Statement, st.Values)
			}
			v.Ending = append(v.Ending, e)
		}
	}
	return s.Console.Render(w, r, status, views.Get("statements"), v)
}

type statementView struct {
	console.Frame
	L        line
	Texts    []sentenceIn
	Values   []valueField
	Applies  bool
	OptIn    bool
	Needs    bool
	Proposed []string
	Strong   string
	Notes    []string
	Records  []recordView
	Form     url.Values
	Shown    []console.Choice
}

type sentenceIn struct{ Lang, Name, Text string }

type valueField struct{ Name, Value, Kind string }

type recordView struct {
	register.Attestation
	Badge trust.Badge
}

func (s *Service) statementPage(w http.ResponseWriter, r *http.Request) error {
	return s.showStatement(w, r, http.StatusOK, nil)
}

func (s *Service) showStatement(w http.ResponseWriter, r *http.Request, status int, form url.Values, opts ...console.Option) error {
	p, err := s.Resolve(r.Context())
	if err != nil {
		return err
	}
	st, ok := p.Find(r.PathValue("statement"))
	if !ok {
		return register.ErrStatement
	}
	opts = append([]console.Option{console.Staff("statement"), console.Titled(st.ID), console.Under("register.staff.title", "/console/staff/statements")}, opts...)
	v := statementView{Frame: s.Console.Frame(r, "", opts...), Applies: st.Applies() || st.Aside, OptIn: st.OptIn, Needs: st.NeedsAttestation, Proposed: st.Controls, Form: form}
	if v.Form == nil {
		v.Form = url.Values{}
	}
	v.Strong = trust.ShowClass(v.Frame, st.Class)
	if v.L, err = s.line(r.Context(), v.Frame, p, st, true); err != nil {
		return err
	}
	for _, c := range v.Languages() {
		v.Texts = append(v.Texts, sentenceIn{c.Value, c.Label, s.Sentence(c.Value, st.Statement, st.Values)})
	}
	for _, param := range st.Params {
		value, _ := st.Value(param.Name, st.Values)
		v.Values = append(v.Values, valueField{param.Name, strings.Join(value, "; "), string(param.Kind)})
	}
	for _, key := range append(slices.Clone(st.Conflicts), st.Caveat) {
		if note := s.Catalogue().Note(v.Lang, key); note != "" {
			v.Notes = append(v.Notes, note)
		}
	}
	all, err := s.Attestations(r.Context())
	if err != nil {
		return err
	}
	for _, a := range all {
		if a.Statement != st.ID {
			continue
		}
		rec := recordView{Attestation: a, Badge: trust.ShowVerdict(v.Frame, catalogue.Pass)}
		switch {
		case a.State == register.StateWithdrawn:
			rec.Badge = trust.Badge{Text: v.T("register.attestation.is-withdrawn"), Kind: "mute", Icon: "undo-2"}
		case !p.At.Before(a.ValidUntil):
			rec.Badge = trust.ShowVerdict(v.Frame, catalogue.Lapsed)
		case p.At.Before(a.ValidFrom):
			rec.Badge = trust.ShowVerdict(v.Frame, catalogue.Planned)
		default:
			rec.Badge.Text = v.T("register.attestation.in-force")
		}
		v.Records = append(v.Records, rec)
	}
	chosen := v.Form.Get("visibility")
	for _, x := range []register.Visibility{register.VisibilityPublic, register.VisibilityOnRequest, register.VisibilityInternal} {
		v.Shown = append(v.Shown, console.Choice{Value: string(x), Label: visibility(v.Frame, x), Selected: string(x) == chosen || chosen == "" && x == register.VisibilityOnRequest})
	}
	return s.Console.Render(w, r, status, views.Get("statement"), v)
}

func visibility(f console.Frame, v register.Visibility) string {
	switch v {
	case register.VisibilityPublic:
		return f.T("register.visibility.public")
	case register.VisibilityOnRequest:
		return f.T("register.visibility.on-request")
	}
	return f.T("register.visibility.internal")
}

// changeForm takes the decisions of the statement's page: all of its fields.
func (s *Service) changeForm(w http.ResponseWriter, r *http.Request) error {
	form, err := web.Form(r)
	if err != nil {
		return err
	}
	statement := r.PathValue("statement")
	st, ok := s.Catalogue().Find(statement)
	if !ok {
		return register.ErrStatement
	}
	c := register.Change{Reason: clip(form.Get("reason"), 500), Values: map[string]*catalogue.Value{}}
	switch form.Get("act") {
	case "aside", "restore":
		aside := form.Get("act") == "aside"
		c.Aside = &aside
	case "apply", "drop":
		applies := form.Get("act") == "apply"
		c.Applies = &applies
	default:
		for _, p := range st.Params {
			if !form.Has("value." + p.Name) {
				continue
			}
			c.Values[p.Name] = nil
			var v catalogue.Value
			for part := range strings.SplitSeq(form.Get("value."+p.Name), ";") {
				if part = strings.TrimSpace(part); part != "" {
					v = append(v, part)
				}
			}
			if len(v) > 0 && !slices.Equal(v, p.Default) {
				c.Values[p.Name] = &v
			}
		}
	}
	if err := s.ChangeStatement(r.Context(), web.Who(r), statement, c); err != nil {
		if fault.KindOf(err) == fault.Invalid {
			return s.showStatement(w, r, http.StatusUnprocessableEntity, form, console.Failed(err))
		}
		return err
	}
	web.Redirect(w, r, "/console/staff/statements/"+statement+"?done=register.statement.done")
	return nil
}

func clip(s string, n int) string {
	if r := []rune(strings.TrimSpace(s)); len(r) > n {
		return string(r[:n])
	}
	return strings.TrimSpace(s)
}

var errUpload = fault.New(fault.Invalid, "register.error.file", nil)

// attestForm takes an attestation with its file.
func (s *Service) attestForm(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseMultipartForm(register.UploadBytes); err != nil { // in memory: the body is bounded to as much
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return s.showStatement(w, r, http.StatusRequestEntityTooLarge, nil, console.Failed(errUpload.At("/evidence", "register.error.file")))
		}
		return fault.New(fault.Invalid, "register.error.file", err)
	}
	form := url.Values(r.MultipartForm.Value)
	d := register.Draft{Statement: r.PathValue("statement"), Visibility: register.Visibility(form.Get("visibility")), Text: map[string]string{},
		Owner:    register.Named{Name: form.Get("owner/name"), Role: form.Get("owner/role"), Email: form.Get("owner/email")},
		Reviewer: register.Named{Name: form.Get("reviewer/name"), Role: form.Get("reviewer/role"), Email: form.Get("reviewer/email")}}
	for _, lang := range i18n.Languages {
		d.Text[lang] = form.Get("text/" + lang)
	}
	// Days are entered; the first counts from its start, the last to its end.
	if at, err := time.Parse(time.DateOnly, form.Get("valid_from")); err == nil {
		d.From = at
	}
	if at, err := time.Parse(time.DateOnly, form.Get("valid_until")); err == nil {
		d.Until = at.AddDate(0, 0, 1)
	}
	if files := r.MultipartForm.File["evidence"]; len(files) > 0 && files[0].Size > 0 {
		f, err := files[0].Open()
		if err != nil {
			return fault.New(fault.Invalid, "register.error.file", err)
		}
		defer f.Close()
		if d.Content, err = io.ReadAll(io.LimitReader(f, register.MaxFile+1)); err != nil {
			return fault.New(fault.Invalid, "register.error.file", err)
		}
		d.FileName, d.Media = files[0].Filename, files[0].Header.Get("Content-Type")
	}
	if _, err := s.Attest(r.Context(), web.Who(r), d); err != nil {
		if fault.KindOf(err) == fault.Invalid {
			return s.showStatement(w, r, http.StatusUnprocessableEntity, form, console.Failed(err))
		}
		return err
	}
	web.Redirect(w, r, "/console/staff/statements/"+d.Statement+"?done=register.attest.done")
	return nil
}

func (s *Service) withdrawForm(w http.ResponseWriter, r *http.Request) error {
	form, err := web.Form(r)
	if err != nil {
		return err
	}
	a, err := id.ParseAttestation(r.PathValue("attestation"))
	if err != nil {
		return fault.ErrNotFound
	}
	found, err := s.Attestation(r.Context(), a)
	if err != nil {
		return err
	}
	if err := s.Withdraw(r.Context(), web.Who(r), a, clip(form.Get("reason"), 500)); err != nil {
		return err
	}
	web.Redirect(w, r, "/console/staff/statements/"+found.Statement+"?done=register.withdraw.done")
	return nil
}

func (s *Service) profileForm(w http.ResponseWriter, r *http.Request) error {
	form, err := web.Form(r)
	if err != nil {
		return err
	}
	if err := s.UseProfile(r.Context(), web.Who(r), form.Get("profile")); err != nil {
		if fault.KindOf(err) == fault.Invalid {
			return s.showStatements(w, r, http.StatusUnprocessableEntity, console.Failed(err))
		}
		return err
	}
	web.Redirect(w, r, "/console/staff/statements?done=register.profile.done")
	return nil
}
