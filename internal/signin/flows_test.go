package signin_test

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/credential"
	"github.com/rempart/rempart/internal/directory"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/policy"
	"github.com/rempart/rempart/internal/session"
	"github.com/rempart/rempart/internal/signin"
	"github.com/rempart/rempart/internal/store"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// race runs fn n times at once and counts those that succeed.
func (w *world) race(n int, fn func() error) int {
	w.Helper()
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for range n {
		wg.Go(func() {
			if fn() == nil {
				mu.Lock()
				defer mu.Unlock()
				won++
			}
		})
	}
	wg.Wait()
	return won
}

// entry records something about the person, so that a change is on record.
func (w *world) entry(tx *store.Tx, p person) error {
	pen, err := w.log.Pen(context.Background(), system, id.Org{}, p.id) // its keys are in memory
	if err != nil {
		return err
	}
	return pen.Record(tx, audit.Entry{Kind: credential.EventCodes, Target: audit.Target{Kind: "user", ID: p.id.String()}, Person: p.id})
}

// system0 is a caller of which only the session counts.
func system0() caller.Caller { return caller.Caller{Lang: "en"} }

func (w *world) resetPassword(p person, password string) {
	w.Helper()
	b := w.browser().get("/sign-in/reset").at("reset-request", 200)
	b.submit("email", p.email).at("reset-request", 200)
	w.must(w.signin.Post(context.Background()))
	b.get(pathOf(w.TB, w.post.last(w, "reset").Link)).at("reset-password", 200)
	b.submit("password", password).at("identify", 200)
}

func pathOf(t testing.TB, link string) string {
	t.Helper()
	u, err := url.Parse(link)
	if err != nil || u.Host != "id.example.com" {
		t.Fatalf("link %q: %v", link, err)
	}
	return u.RequestURI()
}

// ASVS 6.4.3: a reset ends all sessions, tells the owner, and does not go round
// the second factor.
func TestReset(t *testing.T) {
	defaultEngine(t, func(t *testing.T, w *world) {
		old := w.browser().signIn(w.totp)
		w.resetPassword(w.totp, "another good pass phrase")
		old.get("/account").at("identify", 200)
		if w.post.last(t, "password").To != w.totp.email {
			t.Error("the owner was not told")
		}
		w.clock.Advance(31 * time.Second)
		b := w.browser().get("/sign-in").submit("email", w.totp.email)
		b.submit("password", rightPassword).at("password", 422)
		b.submit("password", "another good pass phrase").at("totp", 200)
		// The link is used up.
		b.get(pathOf(t, w.post.last(t, "reset").Link)).at("reset-request", http.StatusNotFound)
	})
}

func TestAskingForAResetTellsNothing(t *testing.T) {
	w := one(t)
	body := func(address string) string {
		b := w.browser().get("/sign-in/reset").submit("email", address).at("reset-request", 200)
		return b.page.body
	}
	if body(w.plain.email) != body("ghost@acme.example") {
		t.Error("the answers differ")
	}
	w.must(w.signin.Post(context.Background()))
	if n := w.post.count("reset"); n != 1 {
		t.Errorf("%d letters", n)
	}
	w.must(w.signin.Post(context.Background()))
	if n := w.post.count("reset"); n != 1 {
		t.Errorf("%d letters after another turn", n)
	}
	link := pathOf(t, w.post.last(t, "reset").Link)
	w.clock.Advance(31 * time.Minute)
	w.browser().get(link).at("reset-request", 404)
	// Six in a row: the mailbox is not flooded.
	b := w.browser()
	throttled := false
	for range 6 {
		b.get("/sign-in/reset").submit("email", w.plain.email)
		throttled = throttled || b.page.status == 429
	}
	if !throttled {
		t.Error("any number of mails can be asked for")
	}
}

func TestANewPasswordMustMeetTheRules(t *testing.T) {
	w := one(t)
	b := w.browser().get("/sign-in/reset").submit("email", w.plain.email)
	w.must(w.signin.Post(context.Background()))
	b.get(pathOf(t, w.post.last(t, "reset").Link)).at("reset-password", 200)
	for _, bad := range []string{"short", "fourteen chars", "passwordpassword", "Plain@acme.example", "123456789012345", strings.Repeat("x", 257)} {
		b.submit("password", bad).at("reset-password", 422)
		if b.page.alert() == "" {
			t.Errorf("%q: no reason is given", bad)
		}
	}
	b.submit("password", "fifteen chars !").at("identify", 200)
}

func TestOneOfFiftyParallelUsesOfAResetLinkSucceeds(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.browser().get("/sign-in/reset").submit("email", w.plain.email)
		w.must(w.signin.Post(context.Background()))
		link := pathOf(t, w.post.last(t, "reset").Link)
		var bs []*browser
		for range 50 {
			bs = append(bs, w.browser().get(link).at("reset-password", 200))
		}
		var mu sync.Mutex
		i := 0
		won := w.race(50, func() error {
			mu.Lock()
			b := bs[i]
			i++
			mu.Unlock()
			b.post("password", "a new pass phrase of mine")
			if b.page.status != http.StatusSeeOther {
				return errors.New("refused")
			}
			return nil
		})
		if won != 1 {
			t.Errorf("%d of 50 set the password", won)
		}
	})
}

func TestVerification(t *testing.T) {
	defaultEngine(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		a, err := w.dir.AddAddress(ctx, system, w.plain.id, "second@acme.example")
		w.must(err)
		b := w.browser().signIn(w.plain)
		b.send("POST", "/account/verify-email", url.Values{"address": {a.ID.String()}}).follow().at("account", 200)
		link := pathOf(t, w.post.last(t, "verify").Link)
		if w.post.last(t, "verify").To != "second@acme.example" {
			t.Error("the link went elsewhere")
		}
		// Another's address is not found.
		w.browser().signIn(w.multi).send("POST", "/account/verify-email", url.Values{"address": {a.ID.String()}})
		c := w.browser().get(link).at("verify-email", 200)
		if _, err := w.dir.FindUserByEmail(ctx, "second@acme.example"); !errors.Is(err, directory.ErrNone) {
			t.Fatal("opening the link alone proved the address")
		}
		won := 0
		for range 3 {
			d := w.browser()
			d.page = c.page
			if d.post(); d.page.status == http.StatusSeeOther {
				won++
			}
		}
		if won != 1 {
			t.Errorf("%d of 3 used the link", won)
		}
		f, err := w.dir.FindUserByEmail(ctx, "second@acme.example")
		w.must(err)
		if f.User != w.plain.id {
			t.Error("the address is somebody else's")
		}
	})
}

func (w *world) rule(org id.Org, p policy.Patch) {
	w.Helper()
	r, err := w.policy.Rules(context.Background(), org)
	w.must(err)
	_, err = w.policy.Change(context.Background(), system, org, r.Version, p, true)
	w.must(err)
}

var (
	all   = policy.SecondFactorAll
	zero  = 0
	week  = 7
	ten   = 20
	codeE = regexp.MustCompile(`data-recovery-code>([^<]+)<`)
)

// Statement I14: where an organization forces a second factor, nobody is let
// in without one.
func TestForcedEnrollment(t *testing.T) {
	defaultEngine(t, func(t *testing.T, w *world) {
		w.rule(w.acme, policy.Patch{SecondFactor: &all, GraceDays: &zero})
		b := w.browser().get("/sign-in").submit("email", w.plain.email).submit("password", rightPassword).at("enroll", 200)
		if b.cookies[session.CookieName] != "" {
			t.Fatal("a session began without the second factor")
		}
		secret := regexp.MustCompile(`data-totp-secret>([A-Z2-7]+)<`).FindStringSubmatch(b.page.body)[1]
		b.submit("code", "000000").at("enroll", 422)
		if !strings.Contains(b.page.body, secret) {
			t.Error("a wrong code changed the secret")
		}
		code, err := credential.Code(secret, w.clock.Now())
		w.must(err)
		b.submit("code", code).at("recovery-codes", 200)
		codes := codeE.FindAllStringSubmatch(b.page.body, -1)
		if len(codes) != 10 {
			t.Fatalf("%d recovery codes", len(codes))
		}
		if w.post.last(t, "enrolled").To != w.plain.email {
			t.Error("the owner was not told")
		}
		b.submit().at("account", 200)
		// The code of the enrollment is used up, a recovery code works once.
		c := w.browser().get("/sign-in").submit("email", w.plain.email).submit("password", rightPassword).at("totp", 200)
		c.submit("code", code).at("totp", 422)
		_, fields := c.page.form(t)
		c.get("/sign-in/step?flow="+fields.Get("flow")+"&with=recovery-code").submit("code", codes[0][1]).at("account", 200)
	})
}

func TestGraceLetsInAndSaysUntilWhen(t *testing.T) {
	w := one(t)
	w.rule(w.acme, policy.Patch{SecondFactor: &all, GraceDays: &week})
	b := w.browser().signIn(w.plain)
	if !strings.Contains(b.page.body, "will ask for a second factor from") {
		t.Error("the account does not tell the deadline")
	}
	w.clock.Advance(8 * 24 * time.Hour)
	w.browser().get("/sign-in").submit("email", w.plain.email).submit("password", rightPassword).at("enroll", 200)
}

// Design 5: entry rules lead to a step-up or an enrollment and leave the other
// organizations untouched.
func TestEnterAppliesTheRulesOfEachOrganization(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		b := w.browser().signIn(w.multi)
		who := func() (v session.Session) {
			v, err := w.session.Find(ctx, b.cookies[session.CookieName])
			w.must(err)
			return v
		}
		w.must(w.signin.Enter(ctx, who().Caller(system0()), w.acme))
		w.rule(w.globex, policy.Patch{SecondFactor: &all, GraceDays: &zero})
		err := w.signin.Enter(ctx, who().Caller(system0()), w.globex)
		var refusal *signin.Refusal
		if !errors.As(err, &refusal) || refusal.Decision.Outcome != policy.Enroll || fault.KindOf(err) != fault.StepUp {
			t.Fatalf("got %v", err)
		}
		w.must(w.signin.Enter(ctx, who().Caller(system0()), w.acme))
		// The detour enrolls, without the password that was typed just now.
		b.get(signin.Detour(err, "/account/sessions")).at("enroll", 200)
		secret := regexp.MustCompile(`data-totp-secret>([A-Z2-7]+)<`).FindStringSubmatch(b.page.body)[1]
		code, err := credential.Code(secret, w.clock.Now())
		w.must(err)
		b.submit("code", code).at("recovery-codes", 200).submit().at("sessions", 200)
		w.must(w.signin.Enter(ctx, who().Caller(system0()), w.globex))
		if n := w.kinds(w.globex, 100)[session.EventEntered]; n != 1 {
			t.Errorf("%d entries of entering", n)
		}
		// An organization puts the session out; the other one keeps it.
		_, err = w.session.Cut(ctx, system, w.globex, w.multi.id, id.Session{})
		w.must(err)
		w.must(w.signin.Enter(ctx, who().Caller(system0()), w.acme))
		err = w.signin.Enter(ctx, who().Caller(system0()), w.globex)
		if !errors.As(err, &refusal) || refusal.Decision.Outcome != policy.SignIn {
			t.Fatalf("after it was put out: %v", err)
		}
		w.clock.Advance(time.Minute)
		b.get(signin.Detour(err, "/account/sessions")).at("password", 200).submit("password", rightPassword).at("totp", 200)
		code, err = credential.Code(secret, w.clock.Now())
		w.must(err)
		b.submit("code", code).at("sessions", 200)
		w.must(w.signin.Enter(ctx, who().Caller(system0()), w.globex))
	})
}

func TestALongerPasswordIsAskedForAtTheDoor(t *testing.T) {
	w := one(t)
	sixty := 40
	w.rule(w.acme, policy.Patch{PasswordMinimum: &sixty})
	b := w.browser().get("/sign-in").submit("email", w.plain.email).submit("password", rightPassword).at("reset-password", 200)
	b.submit("password", "short of forty characters").at("reset-password", 422)
	long := "a pass phrase that has more than forty characters in it"
	b.submit("password", long).at("account", 200)
	w.browser().get("/sign-in").submit("email", w.plain.email).submit("password", long).at("account", 200)
}

func TestSuspendedPeopleAreBlockedAfterTheRightPasswordOnly(t *testing.T) {
	w := one(t)
	w.must(w.dir.SetUserState(context.Background(), system, w.plain.id, directory.Suspended))
	b := w.browser().get("/sign-in").submit("email", w.plain.email).submit("password", "wrong").at("password", 422)
	b.submit("password", rightPassword).at("blocked", 403)
	if b.cookies[session.CookieName] != "" {
		t.Error("a session began")
	}
}

func TestIdleAndAbsoluteLimits(t *testing.T) {
	defaultEngine(t, func(t *testing.T, w *world) {
		b := w.browser().signIn(w.plain)
		floor, err := w.policy.Floor(context.Background())
		w.must(err)
		idle, absolute := time.Duration(floor.SessionIdle)*time.Minute, time.Duration(floor.SessionAbsolute)*time.Minute
		// Activity keeps it alive, up to the absolute limit and no further.
		for at := time.Duration(0); at+idle/2 < absolute; at += idle / 2 {
			w.clock.Advance(idle / 2)
			b.get("/account").at("account", 200)
		}
		w.clock.Advance(idle / 2)
		b.get("/account").at("identify", 200)
		c := w.browser().signIn(w.plain)
		w.clock.Advance(idle)
		c.get("/account").at("identify", 200)
	})
}

func TestOrganizationsIdleRule(t *testing.T) {
	w := one(t)
	ctx := context.Background()
	w.rule(w.acme, policy.Patch{SessionIdle: &ten})
	b := w.browser().signIn(w.plain)
	enter := func() error {
		v, err := w.session.Find(ctx, b.cookies[session.CookieName])
		w.must(err)
		return w.signin.Enter(ctx, v.Caller(system0()), w.acme)
	}
	w.must(enter())
	w.clock.Advance(19 * time.Minute)
	w.must(enter())
	w.clock.Advance(21 * time.Minute)
	if err := enter(); signin.Detour(err, "/") == "" {
		t.Fatalf("after 21 minutes: %v", err)
	}
	if err := enter(); signin.Detour(err, "/") == "" {
		t.Fatalf("asking twice let it in: %v", err)
	}
	b.get("/sign-in/step-up?return=/account").submit("password", rightPassword).at("account", 200)
	w.must(enter())
}
