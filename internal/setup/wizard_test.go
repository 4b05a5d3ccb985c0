package setup_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rempart/rempart/internal/access"
	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/directory"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/keyring"
	"github.com/rempart/rempart/internal/provider"
	"github.com/rempart/rempart/internal/setup"
)

const password = "seven herons over grey water"

// browser is one with a cookie jar; it follows redirects.
type browser struct {
	t    *testing.T
	http *http.Client
}

type shown struct {
	status int
	path   string // where the redirects led
	page   string // data-page
	body   string
}

func newBrowser(t *testing.T, p *place) *browser {
	jar, err := cookiejar.New(nil)
	must(t, err)
	return &browser{t, &http.Client{Transport: p, Jar: jar}}
}

var pageRE = regexp.MustCompile(`<main [^>]*data-page="([^"]*)"`)

func (b *browser) read(res *http.Response, err error) shown {
	b.t.Helper()
	must(b.t, err)
	raw, err := io.ReadAll(res.Body)
	must(b.t, err)
	s := shown{status: res.StatusCode, path: res.Request.URL.Path, body: string(raw)}
	if m := pageRE.FindStringSubmatch(s.body); m != nil {
		s.page = m[1]
	}
	return s
}

func (b *browser) get(path string) shown {
	b.t.Helper()
	return b.read(b.http.Get(issuer + path))
}

func (b *browser) post(path string, kv ...string) shown {
	b.t.Helper()
	form := url.Values{}
	for i := 0; i+1 < len(kv); i += 2 {
		form.Set(kv[i], kv[i+1])
	}
	return b.read(b.http.PostForm(issuer+path, form))
}

func (s shown) want(t *testing.T, status int, page string, texts ...string) {
	t.Helper()
	if s.status != status || s.page != page {
		t.Fatalf("%s: got %d %q, want %d %q\n%s", s.path, s.status, s.page, status, page, s.body)
	}
	for _, text := range texts {
		if !strings.Contains(html.UnescapeString(s.body), text) {
			t.Fatalf("%s: the page does not say %q\n%s", s.path, text, s.body)
		}
	}
}

func (s shown) find(t *testing.T, pattern string) string {
	t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(html.UnescapeString(s.body))
	if m == nil {
		t.Fatalf("%s: the page has no %s\n%s", s.path, pattern, s.body)
	}
	return m[1]
}

// code is what an authenticator application shows (RFC 6238).
func code6(t *testing.T, secret string, at time.Time) string {
	key, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(secret)
	must(t, err)
	mac := hmac.New(sha1.New, key)
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(at.Unix()/30)))
	sum := mac.Sum(nil)
	return fmt.Sprintf("%06d", (binary.BigEndian.Uint32(sum[sum[19]&15:])&0x7fffffff)%1_000_000)
}

// open begins, makes a link and opens it.
func open(t *testing.T, p *place) *browser {
	t.Helper()
	p.begin(t)
	b := newBrowser(t, p)
	token := p.link(t)
	b.get("/setup/link/"+token).want(t, 200, "setup-link")
	b.post("/setup/link/"+token).want(t, 200, "setup-welcome")
	return b
}

func TestTheWizardLeadsFromTheLinkToATestSignIn(t *testing.T) {
	eachPlace(t, func(t *testing.T, p *place) {
		ctx := t.Context()
		b := open(t, p)
		b.post("/setup/welcome", "lang", "fr").want(t, 200, "setup-recovery-kit", `<html lang="fr"`, "Trousse de secours")

		first := b.post("/setup/recovery-kit")
		first.want(t, 200, "setup-recovery-kit", "AGE-SECRET-KEY-1", `download="rempart-recovery-kit.json"`)
		kit := b.post("/setup/recovery-kit")
		codeRE := `saisissez\S+ ([2-9A-Z]{4}-[2-9A-Z]{4})`
		b.post("/setup/recovery-kit/confirm", "code", first.find(t, codeRE)).want(t, 400, "setup-recovery-kit", "Ce n’est pas le code")
		b.post("/setup/recovery-kit/confirm", "code", strings.ToLower(kit.find(t, codeRE))).want(t, 200, "setup-administrator")
		if again := b.get("/setup/recovery-kit"); again.page != "setup-administrator" || strings.Contains(again.body, "AGE-SECRET") {
			t.Errorf("the kit was shown again: %s", again.body)
		}

		b.post("/setup/administrator", "name", "Ada Byron", "email", "ada@example.com", "password", "short").want(t, 400, "setup-administrator", `value="Ada Byron"`, "15")
		b.post("/setup/administrator", "name", "Ada Byron", "email", "nobody", "password", password).want(t, 400, "setup-administrator")
		totp := b.post("/setup/administrator", "name", "Ada Byron", "email", "ada@example.com", "password", password)
		totp.want(t, 200, "setup-authenticator", "<svg")
		secret, token := totp.find(t, `data-totp-secret="([A-Z2-7]+)"`), totp.find(t, `name="enrollment" value="([^"]+)"`)
		wrong := b.post("/setup/authenticator", "enrollment", token, "code", "000000")
		wrong.want(t, 400, "setup-authenticator")
		if got := wrong.find(t, `data-totp-secret="([A-Z2-7]+)"`); got != secret {
			t.Error("a wrong code changed the secret that was scanned")
		}
		codes := b.post("/setup/authenticator", "enrollment", token, "code", code6(t, secret, p.at.Now()))
		codes.want(t, 200, "setup-recovery-codes")
		b.post("/setup/recovery-codes/kept").want(t, 400, "setup-recovery-codes", "Affichez d’abord")
		shownCodes := b.post("/setup/recovery-codes")
		shownCodes.want(t, 200, "setup-recovery-codes", "data-recovery-codes")
		b.post("/setup/recovery-codes/kept").want(t, 200, "setup-organization")

		b.post("/setup/organization", "name", "Acme", "slug", "No Good", "who", "me").want(t, 400, "setup-organization", `value="Acme"`)
		b.post("/setup/organization", "name", "Acme", "slug", "acme", "who", "other", "owner", "").want(t, 400, "setup-organization", "propriétaire à inviter")
		b.post("/setup/organization", "name", "Acme", "slug", "acme", "who", "other", "owner", "bob@acme.example").want(t, 200, "setup-client")

		b.post("/setup/client", "name", "Notes", "type", "web", "redirect_uris", "http://notes.example/cb").want(t, 400, "setup-client")
		made := b.post("/setup/client", "name", "Notes", "type", "web", "redirect_uris", "https://notes.example/cb")
		made.want(t, 200, "setup-client-made", "OIDC_ISSUER="+issuer, "OIDC_REDIRECT_URI=https://notes.example/cb")
		clientID, clientSecret := made.find(t, `OIDC_CLIENT_ID=(cli_\w+)`), made.find(t, `OIDC_CLIENT_SECRET=(rmp_cs_\w+)`)
		if strings.Count(made.body, clientSecret) < 3 || !strings.Contains(made.body, clientID) {
			t.Error("the snippets do not hold the real values")
		}

		b.get("/setup").want(t, 200, "setup-test")
		p.claims = provider.Person{Name: "Ada Byron", Email: "ada@example.com", EmailVerified: true}
		b.post("/setup/test").want(t, 200, "setup-claims", "ES256", "Ada Byron", "ada@example.com", `data-claims="id_token"`)
		b.get("/setup").want(t, 200, "setup-finish")
		clients, err := p.Provider.Clients(ctx)
		must(t, err)
		if len(clients) != 2 {
			t.Errorf("%d clients while the test sign-in is there", len(clients))
		}
		b.post("/setup/finish").want(t, 200, "setup-done", "/console/o/acme")

		// What stands now.
		pr, err := p.Progress(ctx)
		must(t, err)
		ada, err := p.Directory.FindUser(ctx, pr.User())
		must(t, err)
		if ada.Email() != "ada@example.com" || ada.Profile.Name != "Ada Byron" || ada.Profile.Locale != "fr" {
			t.Errorf("administrator %+v", ada)
		}
		if roles, err := p.Directory.StaffRoles(ctx, ada.ID); err != nil || !slices.Equal(roles, []string{access.RoleStaffAdmin}) {
			t.Errorf("roles %q %v", roles, err)
		}
		checkCredentials(t, p, ada.ID, secret, shownCodes.find(t, `<li data-secret>([^<]+)</li>`))
		if m, err := p.Directory.FindMembership(ctx, pr.Org(), ada.ID); err != nil || m.User != ada.ID {
			t.Errorf("she does not own the organization: %v", err)
		}
		if list, err := p.Directory.Invitations(ctx, pr.Org(), id.Invitation{}, 10); err != nil || len(list) != 1 || list[0].Email != "bob@acme.example" || list[0].Roles[0].Role != access.RoleOwner {
			t.Errorf("invitations %+v %v", list, err)
		}
		if len(p.plain) != 1 || !strings.Contains(p.plain[0], "/invite/") {
			t.Errorf("letters %q", p.plain)
		}
		clients, err = p.Provider.Clients(ctx)
		must(t, err)
		if len(clients) != 1 || clients[0].ID.String() != clientID || !clients[0].FirstParty {
			t.Errorf("clients %+v", clients)
		}
		state, err := p.Find(ctx)
		must(t, err)
		if !state.Completed() {
			t.Error("set-up is not marked as complete")
		}
		want := []string{"setup.installation.begun", "setup.installation.completed", "setup.link.made", "setup.link.opened"}
		for range setup.Steps {
			want = append(want, "setup.step.completed")
		}
		same(t, "entries", p.kinds(t), want)
		if s := entries(t, p); strings.Contains(s, password) || strings.Contains(s, secret) || strings.Contains(s, "AGE-SECRET") || strings.Contains(s, clientSecret) {
			t.Error("the log holds a secret")
		}
	})
}

// entries is everything that the installation's log says, as text.
func entries(t *testing.T, p *place) string {
	t.Helper()
	found, err := p.log.Search(t.Context(), id.Org{}, audit.Query{})
	must(t, err)
	return fmt.Sprintf("%+v", found)
}

// checkCredentials proves that the administrator can sign in with what she set.
func checkCredentials(t *testing.T, p *place, user id.User, secret, recovery string) {
	t.Helper()
	ctx := t.Context()
	ring, err := p.Keys.Ready(ctx, keyring.Person(user))
	must(t, err)
	held, err := p.Credential.Load(ctx, user)
	must(t, err)
	slot, err := p.Credential.Hasher.Reserve()
	must(t, err)
	defer slot.Release()
	if got, err := p.Credential.Check(ctx, slot, ring, held, password); err != nil || !got.OK {
		t.Errorf("her password: %+v %v", got, err)
	}
	if _, err := p.Credential.MatchTOTP(ring, held, code6(t, secret, p.at.Now().Add(30*time.Second))); err != nil {
		t.Errorf("her authenticator: %v", err)
	}
	if _, err := p.Credential.MatchRecovery(user, strings.TrimSpace(recovery)); err != nil {
		t.Errorf("her recovery code %q: %v", recovery, err)
	}
}

var pages = []string{"/setup", "/setup/welcome", "/setup/recovery-kit", "/setup/administrator", "/setup/authenticator", "/setup/recovery-codes",
	"/setup/organization", "/setup/client", "/setup/test", "/setup/test/callback", "/setup/finish"}
var posts = []string{"/setup/welcome", "/setup/recovery-kit", "/setup/recovery-kit/confirm", "/setup/administrator", "/setup/authenticator", "/setup/recovery-codes",
	"/setup/recovery-codes/kept", "/setup/organization", "/setup/client", "/setup/test", "/setup/finish"}

func TestPagesAndPostsAreAllRoutes(t *testing.T) {
	var have []string
	for _, r := range (&setup.Service{}).Manifest().Routes {
		if !strings.Contains(r.Pattern, "{token}") {
			have = append(have, r.Pattern)
		}
	}
	var want []string
	for _, p := range pages {
		want = append(want, "GET "+p)
	}
	for _, p := range posts {
		want = append(want, "POST "+p)
	}
	slices.Sort(have)
	slices.Sort(want)
	same(t, "routes", have, want)
}

func TestNobodyElseReachesTheWizard(t *testing.T) {
	p := newPlace(t, openDefault(t))
	stranger := newBrowser(t, p)
	refused := func(when string, status int) {
		t.Helper()
		for _, path := range pages {
			if got := stranger.get(path); got.status != status {
				t.Errorf("%s: GET %s: %d", when, path, got.status)
			}
		}
		for _, path := range posts {
			if got := stranger.post(path, "name", "x"); got.status != status {
				t.Errorf("%s: POST %s: %d", when, path, got.status)
			}
		}
	}
	refused("before the first start", 404)
	open(t, p)
	refused("with another browser", 403)
}

// walk does the steps up to the one given, through the service.
func walk(t *testing.T, p *place, upTo setup.Step) {
	t.Helper()
	ctx, who := t.Context(), caller.Caller{Lang: "nl"}
	for {
		pr, err := p.Progress(ctx)
		must(t, err)
		switch pr.Next {
		case upTo:
			return
		case setup.StepWelcome:
			must(t, p.Welcome(ctx, who))
		case setup.StepKit:
			k, err := p.MakeKit(ctx, who)
			must(t, err)
			must(t, p.ConfirmKit(ctx, who, k.Code))
		case setup.StepStaff:
			must(t, p.AddAdministrator(ctx, who, setup.Administrator{Name: "Ada", Email: "ada@example.com", Password: password, Lang: "nl"}))
		case setup.StepTOTP:
			e, err := p.BeginTOTP(ctx, "")
			must(t, err)
			must(t, p.ConfirmTOTP(ctx, who, e.Token, code6(t, e.Secret, p.at.Now())))
		case setup.StepCodes:
			_, err := p.MakeCodes(ctx, who)
			must(t, err)
			must(t, p.KeepCodes(ctx, who))
		case setup.StepOrganization:
			must(t, p.AddOrganization(ctx, who, setup.Organization{Name: "Acme", Slug: "acme"}))
		case setup.StepClient:
			_, _, err := p.AddClient(ctx, who, provider.ClientInput{Name: "Notes", Type: provider.ClientSPA, RedirectURIs: []string{"https://notes.example/"}})
			must(t, err)
		case setup.StepTest:
			newBrowserOf(t, p).post("/setup/test").want(t, 200, "setup-claims")
		default:
			t.Fatalf("no way from %q to %q", pr.Next, upTo)
		}
	}
}

// newBrowserOf is a browser that a new link lets in.
func newBrowserOf(t *testing.T, p *place) *browser {
	t.Helper()
	b := newBrowser(t, p)
	b.post("/setup/link/" + p.link(t))
	return b
}

func TestStepsAreDoneInTheirOrderAndOnce(t *testing.T) {
	eachPlace(t, stepsInOrder)
}

func stepsInOrder(t *testing.T, p *place) {
	p.begin(t)
	ctx, who := t.Context(), caller.Caller{}
	acts := map[setup.Step]func() error{
		setup.StepWelcome: func() error { return p.Welcome(ctx, who) },
		setup.StepKit:     func() error { _, err := p.MakeKit(ctx, who); return err },
		setup.StepStaff: func() error {
			return p.AddAdministrator(ctx, who, setup.Administrator{Name: "Eve", Email: "eve@example.com", Password: password})
		},
		setup.StepTOTP:         func() error { _, err := p.BeginTOTP(ctx, ""); return err },
		setup.StepCodes:        func() error { _, err := p.MakeCodes(ctx, who); return err },
		setup.StepOrganization: func() error { return p.AddOrganization(ctx, who, setup.Organization{Name: "Eve", Slug: "eve"}) },
		setup.StepClient: func() error {
			_, _, err := p.AddClient(ctx, who, provider.ClientInput{Name: "Eve", Type: provider.ClientSPA, RedirectURIs: []string{"https://eve.example/"}})
			return err
		},
		setup.StepTest: func() error { _, _, err := p.BeginTest(ctx, who); return err },
	}
	more := map[string]func() error{
		"confirm kit":  func() error { return p.ConfirmKit(ctx, who, "AAAA-AAAA") },
		"confirm code": func() error { return p.ConfirmTOTP(ctx, who, "", "123456") },
		"keep codes":   func() error { return p.KeepCodes(ctx, who) },
		"finish test":  func() error { _, err := p.FinishTest(ctx, who, "", url.Values{}); return err },
	}
	moreOf := map[string]setup.Step{"confirm kit": setup.StepKit, "confirm code": setup.StepTOTP, "keep codes": setup.StepCodes, "finish test": setup.StepTest}
	for _, now := range append(slices.Clone(setup.Steps), "") {
		walk(t, p, now)
		for st, act := range acts {
			if st == now {
				continue // its turn: walk does it
			}
			if err := act(); code(err) != "setup.step.order" {
				t.Errorf("at %q, step %q: %v", now, st, err)
			}
		}
		for name, act := range more {
			if moreOf[name] == now {
				continue
			}
			if err := act(); code(err) != "setup.step.order" {
				t.Errorf("at %q, %s: %v", now, name, err)
			}
		}
		if pr, err := p.Progress(ctx); err != nil || pr.Next != now {
			t.Fatalf("what was refused at %q has led to %q: %v", now, pr.Next, err)
		}
		if now != "" {
			if err := p.Complete(ctx, who); code(err) != "setup.step.undone" {
				t.Errorf("at %q, complete: %v", now, err)
			}
		}
	}
	must(t, p.Complete(ctx, who))
	if err := p.Complete(ctx, who); !errors.Is(err, fault.ErrNotFound) {
		t.Errorf("complete twice: %v", err)
	}
}

func TestAfterCompletionThereIsNoWizard(t *testing.T) {
	eachPlace(t, func(t *testing.T, p *place) {
		open(t, p)
		walk(t, p, setup.StepTest)
		b := newBrowserOf(t, p)
		b.post("/setup/test").want(t, 200, "setup-claims")
		unused := p.link(t)
		b = newBrowser(t, p)
		b.post("/setup/link/"+unused).want(t, 200, "setup-finish")
		b.post("/setup/finish").want(t, 200, "setup-done")
		for range 2 {
			for _, path := range append(slices.Clone(pages), "/setup/link/"+unused) {
				b.get(path).want(t, 404, "error")
			}
			for _, path := range append(slices.Clone(posts), "/setup/link/"+unused) {
				b.post(path).want(t, 404, "error")
			}
			if _, err := p.NewLink(t.Context(), caller.ForLocal("0@host")); !errors.Is(err, setup.ErrCompleted) {
				t.Errorf("a link after completion: %v", err)
			}
			// A new start of the server reopens nothing.
			state, err := p.Begin(t.Context(), setup.Real, issuer)
			if err != nil || !state.Completed() {
				t.Errorf("a later start: %+v %v", state, err)
			}
			p.at.Advance(1000 * time.Hour)
		}
	})
}

func TestTheWizardIsLeftAndComeBackTo(t *testing.T) {
	p := newPlace(t, openDefault(t))
	open(t, p)
	for _, st := range setup.Steps[1:] {
		walk(t, p, st)
		b := newBrowserOf(t, p)
		b.get("/setup").want(t, 200, "setup-"+string(st))
		for _, path := range pages {
			// Nothing is skipped and nothing is shown again.
			if path != "/setup/test/callback" || st != setup.StepTest {
				b.get(path).want(t, 200, "setup-"+string(st))
			}
		}
	}
}

func TestOfManyAdministratorsAtOnceOneIsMade(t *testing.T) {
	eachPlace(t, func(t *testing.T, p *place) {
		p.begin(t)
		walk(t, p, setup.StepStaff)
		errs := make([]error, 20)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() {
				errs[i] = p.AddAdministrator(context.Background(), caller.Caller{}, setup.Administrator{Name: "Ada", Email: fmt.Sprintf("ada%d@example.com", i), Password: password})
			})
		}
		wg.Wait()
		won := 0
		for i, err := range errs {
			switch {
			case err == nil:
				won++
			case code(err) != "setup.step.busy" && code(err) != "setup.step.order":
				t.Errorf("attempt %d: %v", i, err)
			}
		}
		staff, err := p.Directory.Staff(t.Context())
		must(t, err)
		users, err := p.Directory.UserIDs(t.Context(), id.User{}, 100)
		must(t, err)
		if won != 1 || len(staff) != 1 || len(users) != 1 {
			t.Errorf("%d won, %d staff, %d users", won, len(staff), len(users))
		}
	})
}

func TestWhatAnAttemptCutShortHasLeftIsFoundAgain(t *testing.T) {
	p := newPlace(t, openDefault(t))
	p.begin(t)
	ctx, who, system := t.Context(), caller.Caller{}, caller.ForSystem("setup")
	walk(t, p, setup.StepStaff)
	left, err := p.Directory.AddUser(ctx, system, directory.NewUser{Email: "ada@example.com", Verified: true, Profile: directory.Profile{Name: "Ada"}})
	must(t, err)
	walk(t, p, setup.StepOrganization)
	pr, err := p.Progress(ctx)
	must(t, err)
	if pr.User() != left.ID {
		t.Errorf("a second administrator was made beside %s", left.ID)
	}
	org, _, err := p.Directory.AddOrg(ctx, system, directory.NewOrg{Name: "Acme", Slug: "acme", Owner: left.ID})
	must(t, err)
	walk(t, p, setup.StepClient)
	if pr, err = p.Progress(ctx); err != nil || pr.Org() != org.ID {
		t.Errorf("a second organization was made beside %s: %v", org.ID, err)
	}
	in := provider.ClientInput{Name: "Notes", Type: provider.ClientWeb, RedirectURIs: []string{"https://notes.example/"}}
	lost, unseen, err := p.Provider.AddClient(ctx, system, in)
	must(t, err)
	client, secret, err := p.AddClient(ctx, who, in)
	must(t, err)
	if client.ID != lost.ID || secret == unseen || secret == "" {
		t.Errorf("client %s beside %s, secret new: %t", client.ID, lost.ID, secret != unseen)
	}
}

func TestTheAddressOfACanaryIsNoAdministrators(t *testing.T) {
	p := newPlace(t, openDefault(t))
	p.begin(t)
	walk(t, p, setup.StepStaff)
	_, err := p.Directory.AddUser(t.Context(), caller.ForSystem("test"), directory.NewUser{Email: "canary@example.com", Verified: true, Kind: directory.Canary, Profile: directory.Profile{Name: "Canary"}})
	must(t, err)
	err = p.AddAdministrator(t.Context(), caller.Caller{}, setup.Administrator{Name: "Eve", Email: "canary@example.com", Password: password})
	if !errors.Is(err, directory.ErrEmailTaken) {
		t.Errorf("got %v", err)
	}
}

func TestTheTestSignInBelievesNothingUnverified(t *testing.T) {
	p := newPlace(t, openDefault(t))
	open(t, p)
	walk(t, p, setup.StepTest)
	b := newBrowserOf(t, p)
	for _, c := range []struct{ name, query, reason string }{
		{"no cookie", "?code=x&state=y&iss=" + url.QueryEscape(issuer), "state"},
	} {
		b.get("/setup/test/callback"+c.query).want(t, 409, "setup-test", c.reason)
	}
	ctx, who := t.Context(), caller.Caller{}
	_, cookie, err := p.BeginTest(ctx, who)
	must(t, err)
	state, _, _ := strings.Cut(cookie, ".")
	for _, c := range []struct {
		name   string
		answer url.Values
		reason string
	}{
		{"another state", url.Values{"code": {"x"}, "state": {"y"}, "iss": {issuer}}, "state"},
		{"another issuer", url.Values{"code": {"x"}, "state": {state}, "iss": {"https://evil.example"}}, "iss"},
		{"no issuer", url.Values{"code": {"x"}, "state": {state}}, "iss"},
		{"a refusal", url.Values{"error": {"access_denied"}, "state": {state}, "iss": {issuer}}, "access_denied"},
		{"a refusal with markup", url.Values{"error": {"<b>"}, "state": {state}, "iss": {issuer}}, "error"},
		{"a code that was never given out", url.Values{"code": {"x"}, "state": {state}, "iss": {issuer}}, "invalid_grant"},
	} {
		_, err := p.FinishTest(ctx, who, cookie, c.answer)
		if f := fault.Of(err); code(err) != "setup.test.failed" || f.Args["Reason"] != c.reason {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	// Somebody else than the administrator has signed in.
	eve, err := p.Directory.AddUser(ctx, caller.ForSystem("test"), directory.NewUser{Email: "eve@example.com", Verified: true, Profile: directory.Profile{Name: "Eve"}})
	must(t, err)
	p.mu.Lock()
	p.as = eve.ID
	p.mu.Unlock()
	b.post("/setup/test").want(t, 409, "setup-test", "sub")
	p.mu.Lock()
	p.as = id.User{}
	p.mu.Unlock()
	p.at.Advance(time.Second) // Eve's sign-in is older than what is asked for next
	b.post("/setup/test").want(t, 200, "setup-claims")
}
