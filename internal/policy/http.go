package policy

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/console"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/web"
)

var views = console.MustParse(files, "pages/*.html")

const (
	page      = "/console/o/{slug}/policy"
	floorPage = "/console/staff/policy"
	saves     = "it changes nothing"
)

func (s *Service) routes() []web.Route {
	return []web.Route{
		web.JSON("GET /api/v1/orgs/{org}/policy", Read, s.apiRules, web.Summary("Read the organization's rules in force.")),
		web.JSON("PATCH /api/v1/orgs/{org}/policy", Write, s.apiChange, web.Event(EventRules), web.Summary("Change the organization's rules.")),
		web.JSON("POST /api/v1/orgs/{org}/policy/preview", Write, s.apiPreview, web.NoEntry(saves), web.Summary("See whom a change of rules would concern, without making it.")),
		web.JSON("GET /api/v1/orgs/{org}/policy/versions", Read, s.apiHistory, web.Summary("List the versions of the rules, newest first.")),
		web.JSON("GET /api/v1/installation/policy-floor", FloorRead, s.apiFloor, web.Summary("Read the installation's floor.")),
		web.JSON("PATCH /api/v1/installation/policy-floor", FloorWrite, s.apiChangeFloor, web.Event(EventFloor), web.Summary("Change the installation's floor.")),

		web.Page("GET "+page, Read, s.policyPage),
		web.Page("POST "+page, Write, s.previewPage, web.NoEntry(saves)),
		web.Page("POST "+page+"/save", Write, s.savePage, web.Event(EventRules)),
		web.Page("GET "+floorPage, FloorRead, s.floorPage),
		web.Page("POST "+floorPage, FloorWrite, s.floorPost, web.Event(EventFloor)),
	}
}

type inOrg struct {
	Org id.Org `path:"org"`
}

func (s *Service) apiRules(ctx context.Context, _ caller.Caller, in *inOrg) (*Rules, error) {
	r, err := s.fetch(ctx, in.Org)
	return &r, err
}

// patchIn is the body of a change.
type patchIn struct {
	SecondFactor    *SecondFactor `json:"second_factor" enum:"off,all"`
	GraceDays       *int          `json:"second_factor_grace_days" minimum:"0" maximum:"90" doc:"Days from now in which members may still enter without one."`
	PasswordMinimum *int          `json:"password_minimum" minimum:"0" maximum:"64"`
	SessionIdle     *int          `json:"session_idle_minutes" minimum:"0" maximum:"43200"`
	SessionAbsolute *int          `json:"session_absolute_minutes" minimum:"0" maximum:"129600"`
}

func (in patchIn) patch() Patch {
	return Patch(in)
}

type changeIn struct {
	inOrg
	patchIn
	Match   string `header:"If-Match"`
	Confirm bool   `json:"confirm,omitempty" doc:"Save it even if its author could not enter any more."`
}

func (s *Service) apiChange(ctx context.Context, who caller.Caller, in *changeIn) (*Rules, error) {
	r, err := s.fetch(ctx, in.Org)
	if err != nil {
		return nil, err
	}
	if err := web.IfMatch(in.Match, r.Version); err != nil {
		return nil, err
	}
	r, err = s.Change(ctx, who, in.Org, r.Version, in.patch(), in.Confirm)
	return &r, err
}

type previewIn struct {
	inOrg
	patchIn
}

func (s *Service) apiPreview(ctx context.Context, who caller.Caller, in *previewIn) (*Effect, error) {
	e, err := s.Preview(ctx, who, in.Org, in.patch())
	return &e, err
}

type historyIn struct {
	inOrg
	Limit  int   `query:"limit" minimum:"1" maximum:"200"`
	Before int64 `query:"before" minimum:"1" doc:"Versions older than this one."`
}

func (s *Service) apiHistory(ctx context.Context, _ caller.Caller, in *historyIn) (*web.List[Rules], error) {
	items, err := s.History(ctx, in.Org, in.Before, web.PageQuery{Limit: in.Limit}.Size())
	return web.NewList(items, ""), err
}

func (s *Service) apiFloor(ctx context.Context, _ caller.Caller, _ *struct{}) (*Floor, error) {
	f, err := s.Floor(ctx)
	return &f, err
}

type floorIn struct {
	Match           string `header:"If-Match"`
	PasswordMinimum *int   `json:"password_minimum" minimum:"8" maximum:"64"`
	PasswordAlone   *int   `json:"password_minimum_alone" minimum:"8" maximum:"64"`
	SessionIdle     *int   `json:"session_idle_minutes" minimum:"5" maximum:"43200"`
	SessionAbsolute *int   `json:"session_absolute_minutes" minimum:"15" maximum:"129600"`
}

func (s *Service) apiChangeFloor(ctx context.Context, who caller.Caller, in *floorIn) (*Floor, error) {
	f, err := s.Floor(ctx)
	if err != nil {
		return nil, err
	}
	if err := web.IfMatch(in.Match, f.Version); err != nil {
		return nil, err
	}
	f, err = s.ChangeFloor(ctx, who, f.Version, FloorPatch{in.PasswordMinimum, in.PasswordAlone, in.SessionIdle, in.SessionAbsolute})
	return &f, err
}

// form is what the page's fields hold, as text.
type form struct {
	SecondFactor, Grace, Password, Idle, Absolute string
	Version                                       int64
}

func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

func formOf(r Rules) form {
	return form{string(r.SecondFactor), strconv.Itoa(r.GraceDays), number(r.PasswordMinimum), number(r.SessionIdle), number(r.SessionAbsolute), r.Version}
}

// readForm reads the fields; an empty number is the floor's.
func readForm(v url.Values) (f form, p Patch, err error) {
	f = form{v.Get("second_factor"), v.Get("second_factor_grace_days"), v.Get("password_minimum"), v.Get("session_idle_minutes"), v.Get("session_absolute_minutes"), -1}
	bad := fault.New(fault.Invalid, "policy.error.invalid", nil)
	read := func(name, text string) *int {
		n := 0
		if text != "" {
			var nerr error
			if n, nerr = strconv.Atoi(text); nerr != nil {
				bad = bad.At(name, "policy.error.number")
			}
		}
		return &n
	}
	sf := SecondFactor(f.SecondFactor)
	p = Patch{&sf, read("second_factor_grace_days", f.Grace), read("password_minimum", f.Password), read("session_idle_minutes", f.Idle), read("session_absolute_minutes", f.Absolute)}
	if n, nerr := strconv.ParseInt(v.Get("version"), 10, 64); nerr == nil {
		f.Version = n
	}
	if len(bad.Fields) > 0 {
		return f, p, bad
	}
	return f, p, nil
}

type policyView struct {
	console.Frame
	In      form
	Rules   Rules
	Floor   Floor
	Choices []console.Choice
	History []Rules
	Effect  *Effect
	Lines   []string
	Hidden  []console.Pair
}

func (s *Service) policyPage(w http.ResponseWriter, r *http.Request) error {
	rules, err := s.fetch(r.Context(), web.Who(r).Org)
	if err != nil {
		return err
	}
	return s.show(w, r, 200, nil, formOf(rules), nil)
}

// show renders the page: the form, or the effect of what was asked.
func (s *Service) show(w http.ResponseWriter, r *http.Request, status int, failed error, in form, e *Effect) error {
	ctx, org := r.Context(), web.Who(r).Org
	opts := []console.Option{console.InOrg("policy"), console.Lead("policy.page.lead")}
	if failed != nil {
		opts = append(opts, console.Failed(failed))
	}
	v := policyView{Frame: s.Console.Frame(r, "policy.page.title", opts...), In: in, Effect: e}
	var err error
	if v.Rules, err = s.fetch(ctx, org); err != nil {
		return err
	}
	if v.Floor, err = s.Floor(ctx); err != nil {
		return err
	}
	if v.History, err = s.History(ctx, org, 0, 10); err != nil {
		return err
	}
	v.Choices = []console.Choice{
		{Value: "off", Label: v.T("policy.second-factor.off"), Selected: in.SecondFactor != "all"},
		{Value: "all", Label: v.T("policy.second-factor.all"), Selected: in.SecondFactor == "all"},
	}
	if e != nil {
		v.Lines = lines(v.Frame, *e)
		v.Hidden = []console.Pair{
			{Name: "second_factor", Value: in.SecondFactor}, {Name: "second_factor_grace_days", Value: in.Grace},
			{Name: "password_minimum", Value: in.Password}, {Name: "session_idle_minutes", Value: in.Idle},
			{Name: "session_absolute_minutes", Value: in.Absolute}, {Name: "version", Value: strconv.FormatInt(in.Version, 10)},
			{Name: "confirm", Value: strconv.FormatBool(e.LocksAuthor)},
		}
	}
	return s.Console.Render(w, r, status, views.Get("policy"), v)
}

// lines says what an effect comes to, the author first.
func lines(f console.Frame, e Effect) (out []string) {
	if e.LocksAuthor {
		out = append(out, f.T("policy.effect.author"))
	}
	switch {
	case e.MustEnroll > 0 && !e.Deadline.IsZero():
		out = append(out, f.T("policy.effect.enroll", "Count", e.MustEnroll, "Until", f.DateTime(e.Deadline)))
	case e.MustEnroll > 0:
		out = append(out, f.T("policy.effect.enroll-now", "Count", e.MustEnroll))
	}
	if e.MustChange > 0 {
		out = append(out, f.T("policy.effect.password", "Count", e.MustChange))
	}
	if e.SessionsShorten {
		out = append(out, f.T("policy.effect.sessions"))
	}
	if len(out) == 0 {
		out = append(out, f.T("policy.effect.nobody", "Count", e.Members))
	}
	return out
}

// previewPage answers the form with the effect of what it asks, to be confirmed.
func (s *Service) previewPage(w http.ResponseWriter, r *http.Request) error {
	who := web.Who(r)
	values, err := web.Form(r)
	if err != nil {
		return err
	}
	in, p, err := readForm(values)
	if err == nil {
		var e Effect
		if e, err = s.Preview(r.Context(), who, who.Org, p); err == nil {
			return s.show(w, r, 200, nil, in, &e)
		}
	}
	return s.retry(w, r, in, err)
}

// retry shows the form again with what is wrong; what is none of the form's
// goes on.
func (s *Service) retry(w http.ResponseWriter, r *http.Request, in form, err error) error {
	switch fault.KindOf(err) {
	case fault.Invalid, fault.Conflict, fault.Precondition:
		return s.show(w, r, web.StatusOf(err), err, in, nil)
	}
	return err
}

func (s *Service) savePage(w http.ResponseWriter, r *http.Request) error {
	who := web.Who(r)
	values, err := web.Form(r)
	if err != nil {
		return err
	}
	in, p, err := readForm(values)
	if err == nil {
		_, err = s.Change(r.Context(), who, who.Org, in.Version, p, values.Get("confirm") == "true")
	}
	if err != nil {
		return s.retry(w, r, in, err)
	}
	web.Redirect(w, r, "/console/o/"+r.PathValue("slug")+"/policy?done=policy.saved.done")
	return nil
}

type floorView struct {
	console.Frame
	Floor  Floor
	Values map[string]string
}

func (s *Service) floorPage(w http.ResponseWriter, r *http.Request) error {
	return s.showFloor(w, r, 200, nil, nil)
}

func (s *Service) showFloor(w http.ResponseWriter, r *http.Request, status int, failed error, values url.Values) error {
	f, err := s.Floor(r.Context())
	if err != nil {
		return err
	}
	opts := []console.Option{console.Staff("policy-floor"), console.Lead("policy.floor.lead")}
	if failed != nil {
		opts = append(opts, console.Failed(failed))
	}
	v := floorView{Frame: s.Console.Frame(r, "policy.floor.title", opts...), Floor: f, Values: map[string]string{
		"password_minimum": number(f.PasswordMinimum), "password_minimum_alone": number(f.PasswordAlone),
		"session_idle_minutes": number(f.SessionIdle), "session_absolute_minutes": number(f.SessionAbsolute),
	}}
	for name := range v.Values {
		if values.Has(name) {
			v.Values[name] = values.Get(name)
		}
	}
	return s.Console.Render(w, r, status, views.Get("floor"), v)
}

func (s *Service) floorPost(w http.ResponseWriter, r *http.Request) error {
	values, err := web.Form(r)
	if err != nil {
		return err
	}
	bad := fault.New(fault.Invalid, "policy.error.invalid", nil)
	read := func(name string) *int {
		n, err := strconv.Atoi(values.Get(name))
		if err != nil {
			bad = bad.At(name, "policy.error.number")
		}
		return &n
	}
	p := FloorPatch{read("password_minimum"), read("password_minimum_alone"), read("session_idle_minutes"), read("session_absolute_minutes")}
	version, verr := strconv.ParseInt(values.Get("version"), 10, 64)
	switch {
	case len(bad.Fields) > 0:
		err = bad
	case verr != nil:
		err = ErrChanged
	default:
		_, err = s.ChangeFloor(r.Context(), web.Who(r), version, p)
	}
	switch fault.KindOf(err) {
	case fault.Invalid, fault.Precondition:
		if err != nil {
			return s.showFloor(w, r, web.StatusOf(err), err, values)
		}
	}
	if err != nil {
		return err
	}
	web.Redirect(w, r, floorPage+"?done=policy.saved.done")
	return nil
}
