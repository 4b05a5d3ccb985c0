package desk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/html"

	"github.com/rempart/rempart/internal/access"
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/id"
)

// controls backs A1 (roles decide), A2 (nobody raises herself), A6 and A7 (an
// organization is reached by its own alone) and I5 (one identifier each). Save
// for the scan of identifiers each goes through the listener as a person or a
// key would.
func (s *Service) controls() []capability.Control {
	control := func(name string, class capability.EvidenceClass, every time.Duration, severity, population string, check func(context.Context, *probe) error, rows ...string) capability.Control {
		return capability.Control{
			ID: name, Statements: rows, Class: class, Population: population, Every: every, Window: 3 * every, Severity: severity,
			Mapping: []string{"ISO27001:A.5.15", "ISO27001:A.8.3", "SOC2:CC6.3", "NIS2:21.2.i", "CAIQ:IAM-05", "GDPR:32.1.b"},
			Check:   func(ctx context.Context, p capability.Probe) capability.Result { return s.run(ctx, p, check) },
		}
	}
	const people, orgs = "directory.population.people", "directory.population.organizations"
	return []capability.Control{
		control("rbac.matrix", capability.Proven, 6*time.Hour, "critical", orgs, s.checkMatrix, "A1"),
		control("rbac.escalation", capability.Proven, time.Hour, "critical", orgs, s.checkEscalation, "A2"),
		control("tenant.membership", capability.Proven, 10*time.Minute, "critical", orgs, s.checkMembership, "A6"),
		control("tenant.isolation", capability.Proven, 6*time.Hour, "critical", orgs, s.checkIsolation, "A7"),
		control("id.unique", capability.Observed, time.Hour, "high", people, s.checkIdentifiers, "I5"),
	}
}

// probe is one run of a control: a browser, and what was seen.
type probe struct {
	capability.Canary
	base    string
	http    *http.Client
	checked int64
	wrong   []string
}

// see notes whether something was as it should be. what holds no personal data.
func (p *probe) see(ok bool, what string) {
	p.checked++
	if !ok {
		p.wrong = append(p.wrong, what)
	}
}

func (s *Service) run(ctx context.Context, c capability.Probe, check func(context.Context, *probe) error) capability.Result {
	canary, err := c.Canary(ctx)
	if err != nil {
		return capability.Result{Verdict: capability.Unknown, Err: err}
	}
	// Two of them give the same canary one role after the other.
	s.trying.Lock()
	defer s.trying.Unlock()
	p := &probe{Canary: canary, base: c.Base, http: c.Client()}
	if err := check(ctx, p); err != nil {
		return capability.Result{Verdict: capability.Unknown, Checked: p.checked, Err: err}
	}
	r := capability.Result{Verdict: capability.Pass, Checked: p.checked, Failed: int64(len(p.wrong))}
	if r.Failed > 0 {
		r.Verdict = capability.Fail
	}
	r.Evidence = map[string]any{"wrong": append([]string{}, p.wrong[:min(len(p.wrong), 20)]...)}
	return r
}

// ask sends a request with a bearer token, or as the browser when it is "".
func (p *probe) ask(ctx context.Context, method, path, token, body string) (int, []byte, error) {
	r, err := http.NewRequestWithContext(ctx, method, p.base+path, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	if token != "" && token != visitor {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	client := p.http
	if token != "" {
		without := *p.http
		without.Jar = nil
		client = &without
	}
	res, err := client.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	return res.StatusCode, b, err
}

// visitor asks without any credential.
const visitor = "-"

// nonsense is a body that no route takes: who may use the route is told so,
// and nothing is done.
const nonsense = `{"no-such-member":true}`

// orgRoutes are the routes of the API that name an organization.
func (s *Service) orgRoutes() (out []capability.Route) {
	for _, r := range s.Console.Routes {
		if _, path, _ := strings.Cut(r.Pattern, " "); strings.HasPrefix(path, "/api/v1/orgs/{org}") && r.Permission != capability.Public && r.Permission != capability.Self && r.Permission != capability.Token && r.In != nil {
			out = append(out, r)
		}
	}
	return out
}

// fill puts identifiers into the wildcards; those that values does not name get
// one of which nothing exists.
func fill(pattern string, values map[string]string) (method, path string, foreign bool) {
	method, path, _ = strings.Cut(pattern, " ")
	for {
		i := strings.IndexByte(path, '{')
		if i < 0 {
			return method, path, foreign
		}
		j := i + strings.IndexByte(path[i:], '}')
		v := values[strings.TrimSuffix(path[i+1:j], "...")]
		if v == "" {
			v = nothing(path[i+1 : j])
		} else if path[i+1:j] != "org" {
			foreign = true
		}
		path = path[:i] + v + path[j+1:]
	}
}

// nothing is an identifier of the wildcard's kind that names nothing.
func nothing(wildcard string) string {
	now := time.Unix(0, 0)
	switch wildcard {
	case "workspace":
		return id.NewWorkspace(now).String()
	case "invitation":
		return id.NewInvitation(now).String()
	case "entry":
		return id.NewEntry(now).String()
	case "session":
		return id.NewSession(now).String()
	case "attribute":
		return id.NewAttribute(now).String()
	case "key":
		return id.NewKey(now).String()
	case "role":
		return access.RoleMember
	}
	return id.NewUser(now).String()
}

// setRole gives the canary member exactly the role, at the canary's workspace
// where it is a guest's.
func (p *probe) setRole(ctx context.Context, role string) error {
	ws := ""
	if role == access.RoleGuest {
		ws = `,"workspace":"` + p.WorkspaceID + `"`
	}
	status, _, err := p.ask(ctx, "PUT", "/api/v1/orgs/"+p.OrgID+"/members/"+p.PlainID+"/roles", p.Token, `{"roles":[{"role":"`+role+`"`+ws+`}]}`)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("directory: the canary's role could not be set: status %d", status)
	}
	return err
}

// checkMatrix calls every route of an organization as every role: who is let
// in must be who the declared permission of the route says.
func (s *Service) checkMatrix(ctx context.Context, p *probe) (err error) {
	if err := p.signIn(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.setRole(ctx, access.RoleMember)) }()
	own := map[string]string{"org": p.OrgID}
	for _, role := range access.Roles {
		if err := p.setRole(ctx, role); err != nil {
			return err
		}
		for _, r := range s.orgRoutes() {
			perm, ok := s.Access.Catalogue.Find(r.Permission)
			if !ok || perm.Level != capability.LevelOrg && perm.Level != capability.LevelWorkspace {
				continue
			}
			method, path, _ := fill(r.Pattern, own)
			body := ""
			if capability.Mutates(r.Pattern) && method != http.MethodDelete {
				body = nonsense
			}
			status, _, err := p.ask(ctx, method, path, "", body)
			if err != nil {
				return err
			}
			// At the organization a guest has nothing, whatever her workspaces give.
			want := role != access.RoleGuest && slices.Contains(perm.Roles, role)
			got := status != http.StatusForbidden && status != http.StatusUnauthorized
			p.see(got == want, role+" "+r.Pattern)
		}
	}
	return nil
}

// checkEscalation tries, as an administrator, to give what only an owner has,
// and looks for roles that nobody could have been given.
func (s *Service) checkEscalation(ctx context.Context, p *probe) (err error) {
	if err := p.signIn(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.setRole(ctx, access.RoleMember)) }()
	if err := p.setRole(ctx, access.RoleAdmin); err != nil {
		return err
	}
	org := "/api/v1/orgs/" + p.OrgID
	for what, try := range map[string][3]string{
		"raise herself":    {"PUT", org + "/members/" + p.PlainID + "/roles", `{"roles":[{"role":"owner"}]}`},
		"raise another":    {"PUT", org + "/members/" + p.MemberID + "/roles", `{"roles":[{"role":"owner"}]}`},
		"invite an owner":  {"POST", org + "/invitations", `{"email":"nobody@canary.invalid","roles":[{"role":"owner"}]}`},
		"change the rules": {"PATCH", org + "/policy", `{"second_factor":"off"}`},
	} {
		status, body, err := p.ask(ctx, try[0], try[1], "", try[2])
		if err != nil {
			return err
		}
		p.see(status == http.StatusForbidden, "administrator could "+what)
		var problem struct {
			Code string `json:"code"`
		}
		if json.Unmarshal(body, &problem) == nil && status == http.StatusForbidden {
			p.see(problem.Code != "step_up_required", "administrator is only asked to confirm to "+what)
		}
	}
	_, orphans, err := s.Directory.Orphans(ctx)
	p.see(orphans == 0, "roles of users who are no members")
	return err
}

// checkMembership reads an organization as a visitor, as the administrator of
// another, and as its own: only the last sees anything of it.
func (s *Service) checkMembership(ctx context.Context, p *probe) error {
	own := map[string]string{"org": p.OrgID, "user": p.PlainID, "workspace": p.WorkspaceID, "role": access.RoleMember}
	served := 0
	for _, r := range s.orgRoutes() {
		if capability.Mutates(r.Pattern) {
			continue
		}
		method, path, _ := fill(r.Pattern, own)
		for who, want := range map[string]int{visitor: http.StatusUnauthorized, p.OtherToken: http.StatusNotFound} {
			status, body, err := p.ask(ctx, method, path, who, "")
			if err != nil {
				return err
			}
			p.see(status == want, fmt.Sprintf("%s answered an outsider with %d", r.Pattern, status))
			p.see(!strings.Contains(string(body), p.PlainEmail) && !strings.Contains(string(body), p.Slug), r.Pattern+" shows an outsider the organization")
		}
		status, _, err := p.ask(ctx, method, path, p.Token, "")
		if err != nil {
			return err
		}
		if status == http.StatusOK {
			served++
		}
	}
	p.see(served > 5, "the organization's own administrator is not served")
	return nil
}

// checkIsolation crosses two organizations on every route: the other's
// identifier in the path with one's own credentials, and the other's things
// under one's own organization.
func (s *Service) checkIsolation(ctx context.Context, p *probe) error {
	foreign := map[string]string{"org": p.OtherOrgID, "user": p.OtherUserID, "workspace": p.OtherWorkspID}
	mixed := map[string]string{"org": p.OrgID, "user": p.OtherUserID, "workspace": p.OtherWorkspID}
	for _, r := range s.orgRoutes() {
		method, path, _ := fill(r.Pattern, foreign)
		body := ""
		if capability.Mutates(r.Pattern) && method != http.MethodDelete {
			body = nonsense
		}
		status, _, err := p.ask(ctx, method, path, p.Token, body)
		if err != nil {
			return err
		}
		p.see(status == http.StatusNotFound, fmt.Sprintf("%s in another organization: %d", r.Pattern, status))
		if method != http.MethodGet && method != http.MethodDelete {
			continue
		}
		if _, path, names := fill(r.Pattern, mixed); names {
			if strings.HasSuffix(r.Pattern, "/explain") {
				path += "?permission=" + url.QueryEscape(access.Read)
			}
			status, _, err := p.ask(ctx, method, path, p.Token, "")
			if err != nil {
				return err
			}
			p.see(status == http.StatusNotFound, fmt.Sprintf("%s with another organization's thing: %d", r.Pattern, status))
		}
	}
	status, _, err := p.ask(ctx, "GET", "/api/v1/orgs/"+p.OtherOrgID+"/members/"+p.OtherUserID, p.OtherToken, "")
	p.see(status == http.StatusOK, "the other organization's member is not there")
	return err
}

func (s *Service) checkIdentifiers(ctx context.Context, p *probe) error {
	canary, err := id.ParseUser(p.PlainID)
	if err != nil {
		return err
	}
	v, err := s.Directory.CheckIdentifiers(ctx, canary)
	if err != nil {
		return err
	}
	p.checked += v.Users
	p.see(v.Malformed == 0, fmt.Sprintf("%d identifiers that were not made with their users", v.Malformed))
	p.see(v.Shared == 0, fmt.Sprintf("%d addresses of more than one user", v.Shared))
	p.see(!v.Reusable, "an identifier can be given twice")
	return nil
}

var errPages = errors.New("directory: the sign-in pages led nowhere")

// signIn walks the sign-in pages as the canary member with a password alone.
func (p *probe) signIn(ctx context.Context) error {
	at, form := p.base+"/sign-in?return=/account", url.Values(nil)
	for range 10 {
		method, body := http.MethodGet, ""
		if form != nil {
			method, body = http.MethodPost, form.Encode()
		}
		r, err := http.NewRequestWithContext(ctx, method, at, strings.NewReader(body))
		if err != nil {
			return err
		}
		if form != nil {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		res, err := p.http.Do(r)
		if err != nil {
			return err
		}
		page, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
		res.Body.Close()
		if err != nil {
			return err
		}
		form = nil
		next, lerr := res.Location()
		if lerr == nil {
			if !strings.HasPrefix(next.Path, "/sign-in") {
				return nil
			}
			at = next.String()
			continue
		}
		action, fields := firstForm(page)
		switch {
		case fields.Has("email"):
			fields.Set("email", p.PlainEmail)
		case fields.Has("password"):
			fields.Set("password", p.Password)
		default:
			return errPages
		}
		to, err := res.Request.URL.Parse(action)
		if err != nil {
			return err
		}
		at, form = to.String(), fields
	}
	return errPages
}

// firstForm reads the first form of a page: where it leads, and its fields.
func firstForm(page []byte) (action string, fields url.Values) {
	z := html.NewTokenizer(strings.NewReader(string(page)))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return action, fields
		case html.EndTagToken:
			if name, _ := z.TagName(); string(name) == "form" && fields != nil {
				return action, fields
			}
		case html.StartTagToken, html.SelfClosingTagToken:
			tok := z.Token()
			a := map[string]string{}
			for _, at := range tok.Attr {
				a[at.Key] = at.Val
			}
			if tok.Data == "form" && fields == nil {
				action, fields = a["action"], url.Values{}
			} else if tok.Data == "input" && fields != nil && a["name"] != "" && a["type"] != "checkbox" {
				fields.Set(a["name"], a["value"])
			}
		}
	}
}
