package desk_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/policy"
	"github.com/rempart/rempart/internal/scenario"
	"github.com/rempart/rempart/internal/session"
	"github.com/rempart/rempart/internal/store"
)

// browser is a person who has signed in, at a console in one language.
type browser struct {
	*scenario.World
	t      *testing.T
	cookie string
	lang   string
}

// signedIn starts a session for the person without the pages of sign-in,
// whose own tests they have.
func signedIn(t *testing.T, w *scenario.World, p scenario.Person) browser {
	t.Helper()
	ctx, a := t.Context(), w.App
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	pen, err := a.Audit.Pen(ctx, caller.ForSystem("test"), id.Org{}, p.ID)
	must(err)
	asked, err := a.Policy.Floor(ctx)
	must(err)
	now := w.Clock.Now()
	d, err := a.Session.Prepare(pen.Ring, caller.Caller{}, p.ID, []caller.Method{{Name: "pwd", At: now}, {Name: "otp", At: now}}, floorLimits(asked.SessionIdle, asked.SessionAbsolute))
	must(err)
	must(a.Store.Main.Update(ctx, store.User(p.ID), func(tx *store.Tx) error {
		if err := a.Session.StartTx(tx, d); err != nil {
			return err
		}
		return pen.Record(tx, audit.Entry{Kind: "signin.signed_in", Person: p.ID})
	}))
	a.Session.Keep(d)
	return browser{w, t, session.CookieName + "=" + d.Secret(), "en"}
}

// do sends a request as the browser would; form nil is a GET.
func (b browser) do(path string, form url.Values) *scenario.Answer {
	b.t.Helper()
	method, body := http.MethodGet, ""
	if form != nil {
		method, body = http.MethodPost, form.Encode()
	}
	r, err := http.NewRequest(method, b.URL+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Cookie", b.cookie)
	r.Header.Set("Accept-Language", b.lang)
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", b.URL)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	return b.Do(r)
}

func (b browser) get(path string) string {
	b.t.Helper()
	a := b.do(path, nil)
	if a.Status != 200 {
		b.t.Fatalf("GET %s: status %d: %.300s", path, a.Status, a.Body)
	}
	return string(a.Body)
}

// post sends the form and wants to be led on.
func (b browser) post(path string, form url.Values) string {
	b.t.Helper()
	a := b.do(path, form)
	if a.Status != http.StatusSeeOther {
		b.t.Fatalf("POST %s: status %d: %s", path, a.Status, alert(a.Body))
	}
	return a.Header.Get("Location")
}

var alertRE = regexp.MustCompile(`(?s)role="alert".*?</div>`)

func alert(body []byte) string { return string(alertRE.Find(body)) }

func TestEveryPageRendersInThreeLanguages(t *testing.T) {
	w := scenario.New(t)
	// The world fails the test for every text that is missing.
	owner, staff := signedIn(t, w, w.Acme.Owner), signedIn(t, w, w.Staff)
	owner.post("/console/o/acme/invitations/new", url.Values{"email": {"new@acme.example"}, "role": {"member"}, "workspace": {""}, "locale": {"nl"}})
	member := "/console/o/acme/members/" + w.Acme.Plain.ID.String()
	for _, lang := range []string{"en", "fr", "nl"} {
		owner.lang, staff.lang = lang, lang
		for path, want := range map[string]string{
			"/console/o/acme":                                         "Acme",
			"/console/o/acme/members":                                 "Olivia Owner",
			"/console/o/acme/members?q=nobody":                        "main",
			"/console/o/acme/members?order=joined":                    "Paul Plain",
			member:                                                    "Paul Plain",
			member + "/suspend":                                       "Paul Plain",
			member + "/remove":                                        "Paul Plain",
			"/console/o/acme/invitations":                             "new@acme.example",
			"/console/o/acme/invitations/new":                         `name="email"`,
			"/console/o/acme/workspaces":                              "First",
			"/console/o/acme/workspaces/new":                          `name="slug"`,
			"/console/o/acme/workspaces/" + w.Acme.Workspace.String(): "First",
			"/console/o/acme/attributes":                              `name="claim"`,
			"/console/o/acme/settings":                                `value="Acme"`,
			"/console/o/acme/roles":                                   "directory.members.write",
			"/console/o/acme/policy":                                  `name="password_minimum"`,
		} {
			body := owner.get(path)
			if !strings.Contains(body, want) || !strings.Contains(body, `<html lang="`+lang+`"`) {
				t.Errorf("%s in %s: %q is not there", path, lang, want)
			}
		}
		for path, want := range map[string]string{
			"/console/staff/orgs":                         "Globex",
			"/console/staff/orgs?state=suspended":         "main",
			"/console/staff/orgs/new":                     `name="email"`,
			"/console/staff/orgs/" + w.Globex.ID.String(): "globex",
			"/console/staff/policy":                       `name="password_minimum_alone"`,
		} {
			if body := staff.get(path); !strings.Contains(body, want) {
				t.Errorf("%s in %s: %q is not there", path, lang, want)
			}
		}
	}
}

func TestTheConsoleDoesWhatItShows(t *testing.T) {
	w := scenario.New(t)
	owner := signedIn(t, w, w.Acme.Owner)
	member := "/console/o/acme/members/" + w.Acme.Plain.ID.String()
	api := "/api/v1/orgs/" + w.Acme.ID.String()
	from := len(w.Entries(w.Acme.ID))

	owner.post(member+"/name", url.Values{"version": {"1"}, "name": {"Paula Plain"}})
	owner.post(member+"/roles", url.Values{"role": {"auditor"}, "place-" + w.Acme.Workspace.String(): {"admin"}})
	owner.post("/console/o/acme/attributes", url.Values{"name": {"shirt"}, "subject": {"member"}, "kind": {"choice"}, "choices": {"S\r\nM\r\n"}, "readers": {"self"}, "writers": {"admins"}, "claim": {""}})
	owner.post(member+"/values", url.Values{"attribute": {"shirt"}, "value": {"M"}})
	if a := owner.do(member+"/values", url.Values{"attribute": {"shirt"}, "value": {"XL"}}); a.Status != 400 {
		t.Errorf("a value that is no choice: %d", a.Status)
	}
	if body := owner.get(member); !strings.Contains(body, "shirt") {
		t.Error("the value is not shown")
	}
	owner.post(member+"/suspend", url.Values{})
	if a := owner.do(member+"/name", url.Values{"version": {"1"}, "name": {"Else"}}); a.Status != 412 {
		t.Errorf("a form made from an old version: %d", a.Status)
	}
	var m struct {
		Name, State string
		Roles       []struct{ Role, Workspace string }
	}
	w.Call("GET", api+"/members/"+w.Acme.Plain.ID.String(), w.Acme.AdminKey, nil).Want(200).JSON(&m)
	if m.Name != "Paula Plain" || m.State != "suspended" || len(m.Roles) != 2 {
		t.Errorf("member %+v", m)
	}
	owner.post(member+"/reactivate", url.Values{})
	owner.post("/console/o/acme/workspaces/new", url.Values{"name": {"Second"}, "slug": {"second"}})
	if a := owner.do("/console/o/acme/workspaces/new", url.Values{"name": {"Third"}, "slug": {"second"}}); a.Status != 409 || !strings.Contains(string(a.Body), `value="Third"`) {
		t.Errorf("a taken slug: %d", a.Status)
	}
	if a := owner.do("/console/o/acme/workspaces/"+w.Acme.Workspace.String()+"/remove", url.Values{"typed": {"wrong"}}); a.Status != 400 {
		t.Errorf("another text than asked for: %d", a.Status)
	}
	owner.post("/console/o/acme/invitations/new", url.Values{"email": {"x@acme.example"}, "role": {"member"}})
	to := owner.post("/console/o/acme/settings", url.Values{"version": {"1"}, "name": {"Acme Labs"}, "slug": {"acme-labs"}})
	if !strings.HasPrefix(to, "/console/o/acme-labs/settings") {
		t.Errorf("led to %s", to)
	}
	owner.post(strings.Replace(member, "/acme/", "/acme-labs/", 1)+"/remove", url.Values{})
	if a := owner.do("/console/o/acme-labs/members/"+w.Acme.Owner.ID.String()+"/remove", url.Values{}); a.Status != 409 {
		t.Errorf("the last owner: %d", a.Status)
	}

	// Without a fresh proof what needs one is refused, and the form led to it.
	w.Clock.Advance(11 * time.Minute)
	if a := owner.do("/console/o/acme-labs/settings", url.Values{"version": {"2"}, "name": {"No"}, "slug": {"no-no"}}); a.Status == 303 && strings.Contains(a.Header.Get("Location"), "saved") {
		t.Errorf("saved without a fresh proof")
	}

	want := []string{
		"directory.member.renamed success", "access.roles.changed success", "directory.member.suspended success", "directory.member.reactivated success",
		"directory.workspace.added success", "directory.invitation.added success", "directory.organization.changed success", "directory.member.removed success",
		"directory.change.refused denied",
	}
	got := w.Entries(w.Acme.ID)[from:]
	for _, one := range want {
		if n := count(got, one); n != 1 {
			t.Errorf("%d entries %q in %v", n, one, got)
		}
	}
}

func count(list []string, one string) (n int) {
	for _, s := range list {
		if s == one {
			n++
		}
	}
	return n
}

func TestARuleIsSavedAfterItsEffectWasShown(t *testing.T) {
	w := scenario.New(t)
	owner := signedIn(t, w, w.Acme.Owner)
	form := url.Values{"version": {"0"}, "second_factor": {"all"}, "second_factor_grace_days": {"7"}, "password_minimum": {"12"}, "session_idle_minutes": {"60"}, "session_absolute_minutes": {""}}
	a := owner.do("/console/o/acme/policy", form)
	if a.Status != 200 || !strings.Contains(string(a.Body), "Paul Plain") || !strings.Contains(string(a.Body), "/policy/save") {
		t.Fatalf("effect: %d %.400s", a.Status, a.Body)
	}
	form.Set("confirm", "true")
	owner.post("/console/o/acme/policy/save", form)
	var r struct {
		Version         int    `json:"version"`
		SecondFactor    string `json:"second_factor"`
		PasswordMinimum int    `json:"password_minimum"`
		Idle            int    `json:"session_idle_minutes"`
	}
	api := "/api/v1/orgs/" + w.Acme.ID.String() + "/policy"
	got := w.Call("GET", api, w.Acme.AdminKey, nil).Want(200).JSON(&r)
	if r.Version != 1 || r.SecondFactor != "all" || r.PasswordMinimum != 12 || r.Idle != 60 || got.Header.Get("ETag") != `"1"` {
		t.Errorf("rules %+v", r)
	}
	if a := owner.do("/console/o/acme/policy", url.Values{"version": {"1"}, "second_factor": {"all"}, "password_minimum": {"7"}}); a.Status != 400 || !strings.Contains(string(a.Body), `id="e-password_minimum"`) {
		t.Errorf("a rule below the floor: %d", a.Status)
	}
	patch := func(match string, body map[string]any) *scenario.Answer {
		r, _ := http.NewRequest("PATCH", w.URL+api, strings.NewReader(jsonOf(t, body)))
		r.Header.Set("Authorization", "Bearer "+w.Acme.AdminKey)
		r.Header.Set("Content-Type", "application/json")
		if match != "" {
			r.Header.Set("If-Match", match)
		}
		return w.Do(r)
	}
	patch("", map[string]any{"password_minimum": 14}).Want(412)
	patch(`"0"`, map[string]any{"password_minimum": 14}).Want(412)
	patch(`"1"`, map[string]any{"password_minimum": 14, "unheard_of": 1}).Want(400)
	patch(`"1"`, map[string]any{"password_minimum": 14}).Want(200)
	w.Call("POST", api+"/preview", w.Acme.AdminKey, map[string]any{"password_minimum": 20}).Want(200)
}

func TestStaffAddAndSuspendOrganizationsOnRecord(t *testing.T) {
	w := scenario.New(t)
	staff := signedIn(t, w, w.Staff)
	w.Clock.Advance(time.Second) // the new one is the last
	to := staff.post("/console/staff/orgs/new", url.Values{"name": {"Initech"}, "slug": {"initech"}, "email": {"owner@initech.example"}, "locale": {"fr"}})
	org := strings.TrimPrefix(strings.SplitN(to, "?", 2)[0], "/console/staff/orgs/")
	staff.post("/console/staff/orgs/"+org+"/state", url.Values{"state": {"suspended"}, "typed": {"initech"}})
	if a := staff.do("/console/staff/orgs/"+org+"/state", url.Values{"state": {"suspended"}, "typed": {"else"}}); a.Status != 400 {
		t.Errorf("another text than asked for: %d", a.Status)
	}
	staff.post("/console/staff/orgs/"+org+"/state", url.Values{"state": {"active"}})
	staff.get("/console/staff/orgs")
	if !slices.Contains(w.Entries(id.Org{}), "audit.staff_read.recorded success") {
		t.Errorf("reading the list is not on record: %v", w.Entries(id.Org{}))
	}
	var list struct {
		Items []struct{ Slug, Name string }
		Next  string `json:"next_cursor"`
	}
	w.Call("GET", "/api/v1/installation/orgs?limit=2", w.StaffKey, nil).Want(200).JSON(&list)
	if len(list.Items) != 2 || list.Next == "" {
		t.Fatalf("first page %+v", list)
	}
	next := list.Next
	list.Items, list.Next = nil, ""
	w.Call("GET", "/api/v1/installation/orgs?limit=2&cursor="+next, w.StaffKey, nil).Want(200).JSON(&list)
	if len(list.Items) != 1 || list.Items[0].Slug != "initech" {
		t.Errorf("last page %+v", list)
	}
	w.Call("GET", "/api/v1/installation/orgs", w.Acme.AdminKey, nil).Want(403)
}

func TestListsAreReadOnByCursor(t *testing.T) {
	w := scenario.New(t)
	api := "/api/v1/orgs/" + w.Acme.ID.String() + "/members"
	var list struct {
		Items []struct{ Name string }
		Next  string `json:"next_cursor"`
	}
	names := []string{}
	path := api + "?limit=3&order=name"
	for {
		list.Next, list.Items = "", nil
		w.Call("GET", path, w.Acme.AdminKey, nil).Want(200).JSON(&list)
		for _, m := range list.Items {
			names = append(names, m.Name)
		}
		if list.Next == "" {
			break
		}
		w.Call("GET", strings.Replace(api, w.Acme.ID.String(), w.Globex.ID.String(), 1)+"?limit=3&order=name&cursor="+list.Next, w.Globex.AdminKey, nil).Want(400)
		w.Call("GET", api+"?limit=3&order=joined&cursor="+list.Next, w.Acme.AdminKey, nil).Want(400)
		path = api + "?limit=3&order=name&cursor=" + list.Next
	}
	if !slices.Equal(names, []string{"Adam Admin", "Mia Member", "Olivia Owner", "Paul Plain"}) {
		t.Errorf("names %v", names)
	}
	for query, want := range map[string]int{"search=adam": 1, "search=acme.example": 4, "role=member": 2, "state=suspended": 0} {
		list.Items = nil
		w.Call("GET", api+"?"+query, w.Acme.AdminKey, nil).Want(200).JSON(&list)
		if len(list.Items) != want {
			t.Errorf("%s: %d members, want %d", query, len(list.Items), want)
		}
	}
}

func floorLimits(idle, absolute int) policy.Limits {
	return policy.Limits{Idle: time.Duration(idle) * time.Minute, Absolute: time.Duration(absolute) * time.Minute}
}

func jsonOf(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestAttributesOverTheAPI(t *testing.T) {
	w := scenario.New(t)
	org := "/api/v1/orgs/" + w.Acme.ID.String()
	w.Call("POST", org+"/attributes", w.Acme.AdminKey, map[string]any{"subject": "member", "name": "shirt", "kind": "choice", "choices": []string{"S", "M"}, "readers": "self"}).Want(201)
	w.Call("POST", org+"/attributes", w.Acme.AdminKey, map[string]any{"subject": "organization", "name": "contract", "kind": "date", "readers": "members", "claim": "contract"}).Want(201)
	of := org + "/members/" + w.Acme.Plain.ID.String() + "/values"
	w.Call("PUT", of+"/shirt", w.Acme.AdminKey, map[string]any{"value": "M"}).Want(204)
	w.Call("PUT", of+"/shirt", w.Acme.AdminKey, map[string]any{"value": "XL"}).Want(400)
	w.Call("PUT", of+"/shirt", w.Acme.AdminKey, map[string]any{}).Want(400)
	w.Call("PUT", of+"/unheard", w.Acme.AdminKey, map[string]any{"value": 1}).Want(404)
	w.Call("PUT", org+"/values/contract", w.Acme.AdminKey, map[string]any{"value": "2027-01-31"}).Want(204)
	var list struct {
		Items []struct {
			Name  string
			Value any
		}
	}
	w.Call("GET", of, w.Acme.AdminKey, nil).Want(200).JSON(&list)
	if len(list.Items) != 1 || list.Items[0].Value != "M" {
		t.Errorf("values %+v", list)
	}
	w.Call("PUT", of+"/shirt", w.Acme.AdminKey, map[string]any{"value": nil}).Want(204)
	w.Call("GET", of, w.Acme.AdminKey, nil).Want(200).JSON(&list)
	if len(list.Items) != 0 {
		t.Errorf("taken away, and there: %+v", list)
	}
	// A member sees, signed in, what is for members.
	plain := signedIn(t, w, w.Acme.Plain)
	if a := plain.do(org+"/values", nil); a.Status != 200 || !strings.Contains(string(a.Body), "2027-01-31") {
		t.Errorf("the organization's values: %d %s", a.Status, a.Body)
	}
}
