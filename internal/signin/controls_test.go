package signin_test

import (
	"context"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/policy"
	"github.com/rempart/rempart/internal/session"
	"github.com/rempart/rempart/internal/store"
)

// loop is a transport into the world's handler. The fixed clock follows the
// time that really passes, since a control waits out a delay. spoil breaks
// something after each request.
type loop struct {
	w     *world
	last  time.Time
	spoil func(r *http.Request)
}

func (l *loop) RoundTrip(r *http.Request) (*http.Response, error) {
	if !l.last.IsZero() {
		l.w.clock.Advance(time.Since(l.last))
	}
	l.last = time.Now()
	in := httptest.NewRequest(r.Method, r.URL.String(), r.Body)
	in.Header = r.Header
	in.RemoteAddr = "127.0.0.1:9"
	rec := httptest.NewRecorder()
	l.w.handler.ServeHTTP(rec, in)
	if l.spoil != nil {
		l.spoil(r)
	}
	res := rec.Result()
	res.Request = r
	return res, nil
}

func (w *world) control(id string, spoil func(r *http.Request)) capability.Result {
	w.Helper()
	l := &loop{w: w, spoil: spoil}
	p := capability.Probe{
		Now: w.clock.Now(), Base: "https://id.example.com",
		Client: func() *http.Client {
			jar, _ := cookiejar.New(nil)
			return &http.Client{Transport: l, Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		},
		Canary: func(context.Context) (capability.Canary, error) {
			return capability.Canary{OrgID: w.acme.String(), MemberEmail: w.totp.email, PlainEmail: w.plain.email, Password: rightPassword, TOTPSecret: totpSecret}, nil
		},
	}
	for _, c := range append(w.signin.Manifest().Controls, w.cred.Manifest().Controls...) {
		if c.ID == id {
			return c.Check(context.Background(), p)
		}
	}
	w.Fatalf("no control %s", id)
	return capability.Result{}
}

func TestControlsPass(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.must(w.signin.Enter(context.Background(), w.entered(w.plain), w.acme))
		for _, m := range []capability.Manifest{w.signin.Manifest(), w.cred.Manifest()} {
			for _, c := range m.Controls {
				w.sequence()
				r := w.control(c.ID, func(*http.Request) { w.sequence() })
				if r.Verdict != capability.Pass || r.Checked == 0 && c.ID != "mfa.enforced" {
					t.Errorf("%s: %s, %d checked, %d failed, %v, %v", c.ID, r.Verdict, r.Checked, r.Failed, r.Evidence, r.Err)
				}
				for _, lang := range []string{"en", "fr", "nl"} {
					key := m.Name + ".control." + strings.ReplaceAll(c.ID, ".", "-")
					for _, k := range []string{key + ".title", key + ".how", c.Population} {
						w.signin.Console.Bundle.T(lang, k) // Missing fails the test
					}
				}
				w.clock.Advance(time.Minute)
			}
		}
	})
}

// sequence gives entries their place, as a job does on PostgreSQL.
func (w *world) sequence() {
	if w.store.Main.Engine() == store.Postgres {
		_, err := w.log.Sequence(context.Background())
		w.must(err)
	}
}

// entered is a session of the person that was started on the pages.
func (w *world) entered(p person) caller.Caller {
	v, err := w.session.Find(context.Background(), w.browser().signIn(p).cookies[session.CookieName])
	w.must(err)
	return v.Caller(caller.Caller{Lang: "en"})
}

// What the tests break behind the services' backs.
var (
	breakCredentials = store.NewSet("credential")
	forgetSteps      = breakCredentials.Add("test_forget_steps", `UPDATE credential_authenticators SET last_step = 0`, store.ForSystem)
	forgetGuesses    = breakCredentials.Add("test_forget_guesses", `DELETE FROM credential_guesses`, store.ForSystem)
	copyPassword     = breakCredentials.Add("test_copy_password", `UPDATE credential_passwords SET phc = (SELECT phc FROM credential_passwords WHERE user_id = $1) WHERE user_id = $2`, store.ForSystem)
	breakSessions    = store.NewSet("session")
	forgetMethods    = breakSessions.Add("test_forget_methods", `UPDATE session_sessions SET methods = '[{"name":"pwd","at":"2026-11-22T12:00:00Z"}]'`, store.ForSystem)
)

// spoil runs a statement in a transaction that looks like a change on record.
func (w *world) spoil(st *store.Stmt, args ...any) {
	w.Helper()
	w.must(w.store.Main.Update(context.Background(), store.System("test"), func(tx *store.Tx) error {
		if _, err := tx.Exec(st, args...); err != nil {
			return err
		}
		return w.entry(tx, w.plain)
	}))
}

func TestControlsTurnRedWhenTheThingIsBroken(t *testing.T) {
	for name, c := range map[string]struct {
		id    string
		spoil func(w *world) func(r *http.Request)
	}{
		"a TOTP step that is forgotten can be used again": {"mfa.totp", func(w *world) func(*http.Request) {
			return func(r *http.Request) {
				if r.URL.Path == "/sign-in/totp" {
					w.spoil(forgetSteps)
				}
			}
		}},
		"guesses that are not counted are not delayed": {"signin.delay", func(w *world) func(*http.Request) {
			return func(r *http.Request) { w.spoil(forgetGuesses) }
		}},
		"a password that another's key sealed": {"password.storage", func(w *world) func(*http.Request) {
			w.spoil(copyPassword, w.multi.id, w.plain.id)
			return nil
		}},
		"a session that entered without its second factor": {"mfa.enforced", func(w *world) func(*http.Request) {
			w.rule(w.acme, policy.Patch{SecondFactor: &all, GraceDays: &zero})
			w.must(w.signin.Enter(context.Background(), w.entered(w.totp), w.acme))
			if r := w.control("mfa.enforced", nil); r.Verdict != capability.Pass || r.Checked != 1 {
				w.Errorf("before: %+v", r)
			}
			w.spoil(forgetMethods)
			return nil
		}},
		"sign-ins that are in another log": {"signin.log", func(w *world) func(*http.Request) {
			w.acme = w.globex
			return nil
		}},
		"a floor that accepts what is under it": {"password.length", func(w *world) func(*http.Request) {
			return func(r *http.Request) {
				if r.URL.Path == "/account/password" && r.Method == http.MethodGet {
					eight := 8
					_, err := w.policy.ChangeFloor(context.Background(), system, 0, policy.FloorPatch{PasswordAlone: &eight})
					w.must(err)
					w.clock.Advance(2 * time.Second)
				}
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := one(t)
			r := w.control(c.id, c.spoil(w))
			if r.Verdict != capability.Fail {
				t.Errorf("%s: %s, %d checked, %d failed, %v, %v", c.id, r.Verdict, r.Checked, r.Failed, r.Evidence, r.Err)
			}
		})
	}
}
