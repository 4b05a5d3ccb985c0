package signin_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rempart/rempart/internal/access"
	"github.com/rempart/rempart/internal/credential"
	"github.com/rempart/rempart/internal/directory"
	"github.com/rempart/rempart/internal/session"
)

func TestChangingThePassword(t *testing.T) {
	defaultEngine(t, func(t *testing.T, w *world) {
		b, other := w.browser().signIn(w.plain), w.browser().signIn(w.plain)
		before := b.cookies[session.CookieName]
		// ASVS 6.2.3: not without the current one, which counts as a guess.
		b.get("/account/password").at("password", 200)
		b.submit("current", "wrong", "password", "another good pass phrase").at("password", 422)
		b.submit("current", rightPassword, "password", "short").at("password", 422)
		b.submit("current", rightPassword, "password", "another good pass phrase").at("account", 200)
		if b.cookies[session.CookieName] == before {
			t.Error("the session kept its secret")
		}
		other.get("/account").at("identify", 200)
		b.get("/account").at("account", 200)
		if w.post.last(t, "password").To != w.plain.email {
			t.Error("she was not told")
		}
		w.browser().get("/sign-in").submit("email", w.plain.email).submit("password", rightPassword).at("password", 422)
		w.browser().get("/sign-in").submit("email", w.plain.email).submit("password", "another good pass phrase").at("account", 200)
	})
}

// ASVS 6.2.8: the password is compared exactly as it was typed.
func TestThePasswordIsComparedWhole(t *testing.T) {
	w := one(t)
	long := strings.Repeat("abcdefgh ", 20)
	b := w.browser().signIn(w.plain)
	b.get("/account/password").submit("current", rightPassword, "password", long+"end").at("account", 200)
	for i, wrong := range []string{long + "enD", long + "end ", " " + long + "end", long + "en", strings.ToUpper(long + "end")} {
		c := w.browser()
		c.source = "198.51.100." + string(rune('1'+i)) + ":1"
		if c.get("/sign-in").submit("email", w.plain.email).submit("password", wrong); c.page.status != 422 && c.page.status != 429 {
			t.Errorf("%q signs in: %d", wrong, c.page.status)
		}
		w.clock.Advance(time.Minute)
	}
	w.browser().get("/sign-in").submit("email", w.plain.email).submit("password", long+"end").at("account", 200)
}

func TestAuthenticatorsNeedAFreshProof(t *testing.T) {
	defaultEngine(t, func(t *testing.T, w *world) {
		b := w.browser().signIn(w.plain)
		w.clock.Advance(access.StepUpAge + time.Minute)
		// ASVS 7.5.1: an old session proves itself first, and comes back.
		b.get("/account/authenticators/add").at("password", 200)
		b.submit("password", rightPassword).at("enroll", 200)
		secret := regexp.MustCompile(`data-totp-secret>([A-Z2-7]+)<`).FindStringSubmatch(b.page.body)[1]
		if !strings.Contains(b.page.body, "<svg") {
			t.Error("there is no picture to scan")
		}
		code, err := credential.Code(secret, w.clock.Now())
		w.must(err)
		b.submit("code", code, "name", "My phone").at("authenticators", 200)
		codes := codeE.FindAllStringSubmatch(b.page.body, -1)
		if len(codes) != 10 || !strings.Contains(b.page.body, "My phone") {
			t.Fatalf("%d codes", len(codes))
		}
		b.get("/account/authenticators").at("authenticators", 200)
		if codeE.MatchString(b.page.body) {
			t.Error("the codes are shown a second time")
		}
		// New codes replace the old ones.
		b.send("POST", "/account/recovery-codes", url.Values{}).at("authenticators", 200)
		fresh := codeE.FindAllStringSubmatch(b.page.body, -1)
		c := w.browser().get("/sign-in").submit("email", w.plain.email).submit("password", rightPassword).at("totp", 200)
		_, fields := c.page.form(t)
		c.get("/sign-in/step?flow="+fields.Get("flow")+"&with=recovery-code").submit("code", codes[0][1]).at("recovery-code", 422)
		c.submit("code", fresh[0][1]).at("account", 200)
		// Removed: the password is enough again, and everyone else is out.
		b.get("/account/authenticators").submit().at("authenticators", 200)
		c.get("/account").at("identify", 200)
		w.browser().signIn(w.plain)
		for _, purpose := range []string{"enrolled", "codes", "removed"} {
			if w.post.last(t, purpose).To != w.plain.email {
				t.Errorf("she was not told: %s", purpose)
			}
		}
	})
}

func TestSessionsAreListedAndEnded(t *testing.T) {
	defaultEngine(t, func(t *testing.T, w *world) {
		a, b, c := w.browser().signIn(w.plain), w.browser().signIn(w.plain), w.browser().signIn(w.plain)
		a.send("GET", "/api/v1/me/sessions", nil)
		var list struct{ Items []session.Session }
		w.must(json.Unmarshal([]byte(a.page.body), &list))
		if len(list.Items) != 3 || list.Items[0].Device.Browser != "Firefox" || list.Items[0].Source.String() != "198.51.100.7" {
			t.Fatalf("list %s", a.page.body)
		}
		current := 0
		for _, s := range list.Items {
			if s.Current {
				current++
			}
		}
		if current != 1 {
			t.Errorf("%d sessions are the present one", current)
		}
		// Another's session is not hers to end.
		x := w.browser().signIn(w.multi)
		x.send("DELETE", "/api/v1/me/sessions/"+list.Items[0].ID.String(), nil)
		if x.page.status != http.StatusNotFound {
			t.Errorf("ending another's session: %d", x.page.status)
		}
		for _, s := range list.Items {
			if !s.Current {
				a.send("DELETE", "/api/v1/me/sessions/"+s.ID.String(), nil)
				if a.page.status != http.StatusNoContent {
					t.Fatalf("ending: %d %s", a.page.status, a.page.body)
				}
				break
			}
		}
		live := 0
		for _, one := range []*browser{b, c} {
			if one.send("GET", "/api/v1/me/sessions", nil); one.page.status == 200 {
				live++
			}
		}
		if live != 1 {
			t.Errorf("%d of 2 others are live", live)
		}
		a.get("/account/sessions").at("sessions", 200)
		a.send("POST", "/account/sessions/revoke-others", url.Values{}).follow().at("sessions", 200)
		for _, one := range []*browser{b, c} {
			if one.send("GET", "/api/v1/me/sessions", nil); one.page.status != http.StatusUnauthorized {
				t.Errorf("after all others ended: %d", one.page.status)
			}
		}
	})
}

func TestAnAdministratorPutsAMembersSessionsOut(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		admin := w.person("admin@acme.example")
		_, err := w.dir.AddMember(ctx, system, w.acme, admin.id, []access.Grant{{Role: "admin"}})
		w.must(err)
		w.setPasswords(admin)
		b := w.browser().signIn(w.multi)
		v, err := w.session.Find(ctx, b.cookies[session.CookieName])
		w.must(err)
		w.must(w.signin.Enter(ctx, v.Caller(system0()), w.acme))
		w.must(w.signin.Enter(ctx, v.Caller(system0()), w.globex))
		a := w.browser().signIn(admin)
		path := "/api/v1/orgs/" + w.acme.String() + "/members/" + w.multi.id.String() + "/sessions"
		a.send("GET", path, nil)
		var list struct{ Items []session.MemberSession }
		w.must(json.Unmarshal([]byte(a.page.body), &list))
		if len(list.Items) != 1 || list.Items[0].ID != v.ID {
			t.Fatalf("%d %s", a.page.status, a.page.body)
		}
		a.send("DELETE", path, nil)
		if a.page.status != http.StatusNoContent {
			t.Fatalf("%d %s", a.page.status, a.page.body)
		}
		if err := w.signin.Enter(ctx, v.Caller(system0()), w.acme); err == nil {
			t.Error("the session is still let in")
		}
		w.must(w.signin.Enter(ctx, v.Caller(system0()), w.globex))
		b.get("/account").at("account", 200)
		// A member may not, and another organization is not found.
		m := w.browser().signIn(w.plain)
		if m.send("DELETE", path, nil); m.page.status != http.StatusForbidden {
			t.Errorf("a member: %d", m.page.status)
		}
		if a.send("GET", strings.Replace(path, w.acme.String(), w.globex.String(), 1), nil); a.page.status != http.StatusNotFound {
			t.Errorf("another organization: %d", a.page.status)
		}
	})
}

func TestInvitation(t *testing.T) {
	defaultEngine(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		invite := func(email string) string {
			_, err := w.dir.AddInvitation(ctx, system, w.acme, directory.NewInvitation{Email: email, Roles: []access.Grant{{Role: "member"}}})
			w.must(err)
			w.post.mu.Lock()
			defer w.post.mu.Unlock()
			return pathOf(t, w.post.letters[len(w.post.letters)-1].Link)
		}
		link := invite("new@acme.example")
		b := w.browser().get(link).at("invitation", 200)
		b.submit("name", "New Person", "password", "short").at("invitation", 422)
		b.submit("name", "New Person", "password", "org acme").at("invitation", 422)
		page := b.page
		won := 0
		for range 2 {
			c := w.browser()
			c.page = page
			if c.post("name", "New Person", "password", rightPassword); c.page.status == http.StatusSeeOther {
				won++
			}
		}
		if won != 1 {
			t.Errorf("%d of 2 accepted", won)
		}
		w.browser().signIn(person{email: "new@acme.example"})
		w.browser().get(link).at("blocked", 404)

		// Who has an account signs in with it.
		outsider := w.person("outsider@elsewhere.example")
		w.setPasswords(outsider)
		link = invite(outsider.email)
		c := w.browser().get(link).at("invitation", 200)
		to := regexp.MustCompile(`href="(/sign-in\?ask=[^"]+)"`).FindStringSubmatch(c.page.body)
		if to == nil {
			t.Fatal("no way to sign in")
		}
		c.get(to[1]).at("identify", 200).submit("email", outsider.email).submit("password", rightPassword).at("invitation", 200)
		c.submit().at("account", 200)
		if _, err := w.dir.FindMembership(ctx, w.acme, outsider.id); err != nil {
			t.Errorf("she is no member: %v", err)
		}
	})
}

func TestFormsServePasswordManagers(t *testing.T) {
	w := one(t)
	b := w.browser().get("/sign-in")
	if !strings.Contains(b.page.body, `autocomplete="username"`) {
		t.Error("the address")
	}
	b.submit("email", w.totp.email)
	for _, want := range []string{`type="password"`, `autocomplete="current-password"`, `data-action="continue"`} {
		if !strings.Contains(b.page.body, want) {
			t.Errorf("the page of the password has no %s", want)
		}
	}
	if strings.Contains(b.page.body, "onpaste") {
		t.Error("pasting is prevented")
	}
	b.submit("password", rightPassword)
	if !strings.Contains(b.page.body, `autocomplete="one-time-code"`) {
		t.Error("the code")
	}
}
