package scenario_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/scenario"
)

// fill puts identifiers into a pattern's wildcards.
func fill(pattern string, ids map[string]string) (method, path string, ok bool) {
	method, path, _ = strings.Cut(pattern, " ")
	for {
		i := strings.IndexByte(path, '{')
		if i < 0 {
			return method, path, true
		}
		j := strings.IndexByte(path[i:], '}') + i
		name := strings.TrimSuffix(path[i+1:j], "...")
		if name == "$" {
			path = path[:i] + path[j+1:]
			continue
		}
		v, known := ids[name]
		if !known {
			return method, path, false
		}
		path = path[:i] + v + path[j+1:]
	}
}

func (m matrix) routes() (out []capability.Route) {
	for _, man := range m.w.App.Manifests {
		out = append(out, man.Routes...)
	}
	return out
}

type matrix struct{ w *scenario.World }

// ids of one organization, by the names that patterns use.
func (m matrix) ids(o scenario.Org) map[string]string {
	return map[string]string{
		"org": o.ID.String(), "slug": o.Slug, "workspace": o.Workspace.String(), "user": o.Plain.ID.String(),
		"member": o.Plain.ID.String(), "entry": "ent_01h455vb4pex5vsknk084sn02q", "invitation": "inv_01h455vb4pex5vsknk084sn02q",
		"session": "ses_01h455vb4pex5vsknk084sn02q", "attribute": "atr_01h455vb4pex5vsknk084sn02q", "role": "admin",
		"client": "cli_01h455vb4pex5vsknk084sn02q", "permission": "directory.read", "name": "nickname", "authenticator": "aut_01h455vb4pex5vsknk084sn02q",
	}
}

// Every route that names an organization answers 404 to another organization's
// administrator, whatever else is wrong with the request, and writes nothing
// into that organization's log (ASVS 8.2.2, 8.4.1).
func TestIsolationMatrix(t *testing.T) {
	w := scenario.New(t)
	m := matrix{w}
	before := len(w.Entries(w.Acme.ID))
	tried := 0
	for _, r := range m.routes() {
		if !strings.Contains(r.Pattern, "{org}") {
			continue
		}
		method, path, ok := fill(r.Pattern, m.ids(w.Acme))
		if !ok {
			t.Errorf("%s: the matrix knows no value for a wildcard", r.Pattern)
			continue
		}
		var body any
		if capability.Mutates(r.Pattern) && method != http.MethodDelete {
			body = map[string]any{}
		}
		a := w.Call(method, path, w.Globex.AdminKey, body)
		if a.Status != http.StatusNotFound {
			t.Errorf("%s answers %d to another organization's administrator: %.200s", r.Pattern, a.Status, a.Body)
		}
		tried++
	}
	if tried < 10 {
		t.Fatalf("only %d routes name an organization", tried)
	}
	if after := len(w.Entries(w.Acme.ID)); after != before {
		t.Errorf("the other organization's log grew by %d", after-before)
	}
}

// Nobody reaches a route that is not public without a credential, nor with one
// that is wrong (ASVS 8.2.1).
func TestVisitorMatrix(t *testing.T) {
	w := scenario.New(t)
	m := matrix{w}
	for _, r := range m.routes() {
		if r.Permission == capability.Public || r.Permission == capability.Token {
			continue
		}
		method, path, ok := fill(r.Pattern, m.ids(w.Acme))
		if !ok {
			path = strings.NewReplacer("{", "", "}", "").Replace(path)
		}
		var body any
		if capability.Mutates(r.Pattern) && !r.Page {
			body = map[string]any{}
		}
		a := w.Call(method, path, "", body)
		want := http.StatusUnauthorized
		if r.Page {
			// A page leads to the sign-in pages; a posted form is refused.
			if a.Status == http.StatusSeeOther && strings.HasPrefix(a.Header.Get("Location"), "/sign-in") {
				continue
			}
		}
		if strings.Contains(r.Pattern, "{org}") || strings.Contains(r.Pattern, "{slug}") {
			if a.Status == http.StatusNotFound {
				t.Errorf("%s tells a visitor that the organization is another's", r.Pattern)
			}
		}
		if a.Status != want {
			t.Errorf("%s answers %d to a visitor", r.Pattern, a.Status)
		}
		if r.Page {
			continue
		}
		if a := w.Call(method, path, "rmp_key_"+strings.Repeat("A", 43)+"_AAAAAA", body); a.Status != http.StatusUnauthorized {
			t.Errorf("%s answers %d to an unknown key", r.Pattern, a.Status)
		}
	}
}

// A key of staff reaches no organization's data, and an organization's key
// nothing of staff.
func TestStaffMatrix(t *testing.T) {
	w := scenario.New(t)
	m := matrix{w}
	for _, r := range m.routes() {
		p, _ := w.App.Access.Catalogue.Find(r.Permission)
		method, path, ok := fill(r.Pattern, m.ids(w.Acme))
		if !ok || r.Page {
			continue
		}
		var body any
		if capability.Mutates(r.Pattern) {
			body = map[string]any{}
		}
		switch p.Level {
		case capability.LevelOrg, capability.LevelWorkspace:
			if a := w.Call(method, path, w.StaffKey, body); a.Status != http.StatusNotFound && a.Status != http.StatusForbidden {
				t.Errorf("%s answers %d to staff: %.200s", r.Pattern, a.Status, a.Body)
			}
		case capability.LevelStaff:
			if a := w.Call(method, path, w.Acme.AdminKey, body); a.Status != http.StatusForbidden && a.Status != http.StatusNotFound {
				t.Errorf("%s answers %d to an organization's administrator: %.200s", r.Pattern, a.Status, a.Body)
			}
		}
	}
}

// Each built-in role reaches exactly the routes whose permission the published
// table gives it: everything else is 403, whatever the request says (ASVS 8.2.1).
func TestPrivilegeMatrix(t *testing.T) {
	w := scenario.New(t)
	m := matrix{w}
	ids := m.ids(w.Acme)
	ids["user"], ids["member"], ids["workspace"] = "usr_01h455vb4pex5vsknk084sn02q", "usr_01h455vb4pex5vsknk084sn02q", "wsp_01h455vb4pex5vsknk084sn02q"
	for _, role := range []string{"owner", "admin", "member", "auditor"} {
		token := w.Key(w.Acme.ID, role)
		tried := 0
		for _, r := range m.routes() {
			p, ok := w.App.Access.Catalogue.Find(r.Permission)
			if !ok || p.Level != capability.LevelOrg || r.Page {
				continue
			}
			method, path, ok := fill(r.Pattern, ids)
			if !ok || !strings.Contains(r.Pattern, "{org}") {
				continue
			}
			var body any
			if capability.Mutates(r.Pattern) && method != http.MethodDelete {
				body = map[string]any{}
			}
			a := w.Call(method, path, token, body)
			may := w.App.Access.Catalogue.RoleHas(role, r.Permission)
			if got := a.Status != http.StatusForbidden; got != may {
				t.Errorf("%s: %s answers %d to %s", r.Permission, r.Pattern, a.Status, role)
			}
			tried++
		}
		if tried < 10 {
			t.Fatalf("only %d routes were tried as %s", tried, role)
		}
	}
}
