package signin_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/session"
	"github.com/rempart/rempart/internal/signin"
	"github.com/rempart/rempart/internal/store"
)

func TestEveryStatementPreparesAndStaysBehindTheWall(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for _, m := range manifests() {
			switch m.Name {
			case "signin", "session", "credential":
			default:
				continue
			}
			tables := map[string]capability.Table{}
			for _, tb := range m.Tables {
				tables[tb.Name] = tb
			}
			for _, s := range m.Statements {
				if err := w.store.Main.Prepare(context.Background(), s); err != nil {
					t.Errorf("%s: %v", s.Name, err)
				}
				if err := store.CheckSQL(s, tables); err != nil {
					t.Error(err)
				}
			}
		}
	})
}

func TestSignInWithPassword(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		b := w.browser()
		path, err := w.signin.Begin(context.Background(), signin.Ask{Return: "/oauth/continue?request=abc", ClientName: "Notes", FormTo: "https://notes.example.net/cb"})
		w.must(err)
		b.get(path).at("identify", 200)
		if !strings.Contains(b.page.body, "to continue to Notes") {
			t.Error("the page does not say which application asks")
		}
		if csp := b.page.header.Get("Content-Security-Policy"); !strings.Contains(csp, "form-action 'self' https://notes.example.net") {
			t.Errorf("the policy keeps the browser from going back: %s", csp)
		}
		b.post("email", w.plain.email).at("password", 200)
		b.post("password", rightPassword)
		if b.page.status != http.StatusSeeOther || b.page.header.Get("Location") != "/oauth/continue?request=abc" {
			t.Fatalf("got %d to %q (%s)", b.page.status, b.page.header.Get("Location"), b.page.alert())
		}
		v, err := w.session.Find(context.Background(), b.cookies[session.CookieName])
		w.must(err)
		if v.User != w.plain.id || !slices.Equal(v.AMR(), []string{"pwd"}) || !v.AuthTime.Equal(w.clock.Now()) {
			t.Errorf("session %+v", v)
		}
		if got := w.kinds(w.acme, 50)["signin.session.started"]; got != 1 {
			t.Errorf("%d entries of the sign-in", got)
		}
		b.get("/account").at("account", 200)
	})
}

func TestSignInWithTOTPAndItsReplay(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		b := w.browser().get("/sign-in").submit("email", w.totp.email).submit("password", rightPassword).at("totp", 200)
		if b.cookies[session.CookieName] != "" {
			t.Fatal("a session began before the second factor")
		}
		b.submit("code", "000000").at("totp", 422)
		code := w.code()
		b.submit("code", code).at("account", 200)
		v, err := w.session.Find(context.Background(), b.cookies[session.CookieName])
		w.must(err)
		if !slices.Equal(v.AMR(), []string{"pwd", "otp", "mfa"}) {
			t.Errorf("amr %v", v.AMR())
		}
		// P-07 and ASVS 6.5.1: the same code in another browser.
		c := w.browser().get("/sign-in").submit("email", w.totp.email).submit("password", rightPassword)
		c.submit("code", code).at("totp", 422)
		w.clock.Advance(31 * time.Second)
		c.submit("code", w.code()).at("account", 200)
	})
}

func TestStepsCannotBeSkippedRepeatedOrTakenToAnotherBrowser(t *testing.T) {
	w := one(t)
	b := w.browser().get("/sign-in").submit("email", w.totp.email).at("password", 200)
	_, fields := b.page.form(t)
	flow := fields.Get("flow")

	// Skipped: the code before the password.
	fields.Set("code", w.code())
	b.send("POST", "/sign-in/totp", fields).follow().at("password", 200)
	if b.cookies[session.CookieName] != "" {
		t.Fatal("the password was skipped")
	}
	// Elsewhere: the flow in another browser, which has a flow of its own.
	c := w.browser().get("/sign-in")
	fields.Set("password", rightPassword)
	c.send("POST", "/sign-in/password", fields).follow().at("identify", 409)
	c.get("/sign-in/step?flow="+flow).at("identify", 409)
	d := w.browser()
	d.send("POST", "/sign-in/password", fields).follow().at("identify", 409)
	// Repeated: the password again after it was taken.
	b.send("POST", "/sign-in/password", fields).follow().at("totp", 200)
	b.send("POST", "/sign-in/password", fields).follow().at("totp", 200)
	b.submit("code", w.code()).at("account", 200)
	first := b.cookies[session.CookieName]
	b.send("POST", "/sign-in/totp", fields).follow()
	b.send("POST", "/sign-in/password", fields).follow().at("identify", 409)
	if b.cookies[session.CookieName] != first {
		t.Error("a step of a flow that was over changed the session")
	}
	// Too late.
	e := w.browser().get("/sign-in").submit("email", w.plain.email)
	w.clock.Advance(31 * time.Minute)
	e.submit("password", rightPassword).at("identify", 409)
}

// ASVS 7.2.4: a planted secret is worth nothing after the sign-in, and the old
// one is dead after each change.
func TestTheSecretChanges(t *testing.T) {
	w := one(t)
	planted := w.browser().signIn(w.plain).cookies[session.CookieName]
	victim := w.browser()
	victim.cookies[session.CookieName] = planted
	victim.get("/sign-in?other=1").submit("email", w.totp.email).submit("password", rightPassword).submit("code", w.code()).at("account", 200)
	if victim.cookies[session.CookieName] == planted {
		t.Fatal("the sign-in kept the planted secret")
	}
	if _, err := w.session.Find(context.Background(), planted); err != session.ErrNone {
		t.Errorf("the planted secret still opens a session: %v", err)
	}
	before := victim.cookies[session.CookieName]
	w.clock.Advance(time.Minute)
	victim.get("/sign-in/step-up?return=/account/sessions").at("password", 200)
	victim.submit("password", rightPassword).at("totp", 200).submit("code", w.code()).at("sessions", 200)
	if victim.cookies[session.CookieName] == before {
		t.Error("the step-up kept the secret")
	}
	if _, err := w.session.Find(context.Background(), before); err != session.ErrNone {
		t.Errorf("the secret from before the step-up still opens: %v", err)
	}
}

func TestSignOut(t *testing.T) {
	w := one(t)
	b := w.browser().signIn(w.plain)
	secret := b.cookies[session.CookieName]
	b.send("POST", "/sign-out", map[string][]string{})
	if got := b.page.header.Get("Clear-Site-Data"); !strings.Contains(got, "storage") {
		t.Errorf("Clear-Site-Data %q", got)
	}
	b.follow().at("signed-out", 200)
	if _, err := w.session.Find(context.Background(), secret); err != session.ErrNone {
		t.Errorf("the session outlives the sign-out: %v", err)
	}
	b.get("/account").at("identify", 200)
}

func TestNoOpenRedirect(t *testing.T) {
	w := one(t)
	for _, ret := range []string{"https://evil.example", "//evil.example", `/\evil.example`, "/\t/evil.example", "javascript:alert(1)"} {
		b := w.browser().get("/sign-in?return=" + strings.ReplaceAll(ret, "\t", "%09"))
		b.submit("email", w.plain.email).post("password", rightPassword)
		if to := b.page.header.Get("Location"); to != "/account" {
			t.Errorf("%q leads to %q", ret, to)
		}
	}
}

func TestPagesInThreeLanguages(t *testing.T) {
	w := one(t)
	for lang, want := range map[string][2]string{
		"en": {"Sign in", "The address and password do not go together."},
		"fr": {"Connexion", "L’adresse et le mot de passe ne correspondent pas."},
		"nl": {"Aanmelden", "Het adres en het wachtwoord horen niet bij elkaar."},
	} {
		b := w.browser()
		b.lang = lang
		b.get("/sign-in").at("identify", 200)
		if !strings.Contains(b.page.body, "<h1>"+want[0]+"</h1>") || !strings.Contains(b.page.body, `<html lang="`+lang+`"`) {
			t.Errorf("%s: the first page is not in the language", lang)
		}
		b.submit("email", w.plain.email).submit("password", "wrong").at("password", 422)
		if b.page.alert() != want[1] {
			t.Errorf("%s: %q", lang, b.page.alert())
		}
		w.clock.Advance(25 * time.Hour)
	}
}
