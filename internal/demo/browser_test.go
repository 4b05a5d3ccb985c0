package demo_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rempart/rempart/internal/credential"
	"github.com/rempart/rempart/internal/demo"
	"github.com/rempart/rempart/internal/scenario/webdriver"
)

// run starts a demo and answers its contract; it ends with the test.
func run(t *testing.T, o demo.Options) demo.Contract {
	t.Helper()
	ready := filepath.Join(t.TempDir(), "ready.json")
	o.Addr, o.Ready, o.Out, o.Log, o.Version = "127.0.0.1:0", ready, io.Discard, slog.New(slog.DiscardHandler), "test"
	if o.Data == "" {
		o.Data = t.TempDir()
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- demo.Run(ctx, o) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	for {
		select {
		case err := <-done:
			done <- err
			t.Fatalf("the demo ended: %v", err)
		case <-time.After(20 * time.Millisecond):
		}
		if b, err := os.ReadFile(ready); err == nil {
			var c demo.Contract
			if err := json.Unmarshal(b, &c); err != nil {
				t.Fatal(err)
			}
			return c
		}
	}
}

func code(t *testing.T, secret string) string {
	t.Helper()
	c, err := credential.Code(secret, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// signIn goes through the pages as a person does.
func signIn(t *testing.T, b *webdriver.Browser, email, password, secret string) {
	t.Helper()
	b.Page("identify")
	b.Type("input[name=email]", email)
	b.Click("button[data-action=continue]")
	b.Page("password")
	b.Type("input[name=password]", password)
	b.Click("button[data-action=continue]")
	if secret != "" {
		b.Page("totp")
		b.Type("input[name=code]", code(t, secret))
		b.Click("button[data-action=continue]")
	}
}

func axeSource(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../../tools/node_modules/axe-core/axe.min.js")
	if err != nil {
		if strings.Contains(os.Getenv("REMPART_TEST_REQUIRE"), "node") {
			t.Fatal("axe-core is required: run scripts/setup")
		}
		t.Skip("axe-core is not installed here; scripts/setup installs it")
	}
	return string(b)
}

// inspect looks at the page as it stands: no sideways scrolling, no script or
// policy error, no violation of WCAG that axe-core sees.
func inspect(t *testing.T, b *webdriver.Browser, axe, where string) {
	t.Helper()
	if n := b.Overflow(); n > 0 {
		t.Errorf("%s is %d pixels wider than the window", where, n)
	}
	for _, m := range b.Console() {
		if !strings.Contains(m, "404") && !strings.Contains(m, "401") && !strings.Contains(m, "403") {
			t.Errorf("%s: console: %s", where, m)
		}
	}
	for _, v := range b.Axe(axe) {
		for _, n := range v.Nodes {
			t.Errorf("%s: %s: %s\n  %s", where, v.ID, v.Help, n.HTML)
		}
	}
	if dir := os.Getenv("REMPART_SHOTS"); dir != "" {
		name := strings.NewReplacer("/", "_", " ", "-", ",", "").Replace(where) + ".png"
		if err := os.WriteFile(filepath.Join(dir, name), b.Screenshot(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAPersonSignsInToTheSampleApplication(t *testing.T) {
	c := run(t, demo.Options{})
	b := webdriver.Start(t, webdriver.Options{})
	tess := c.Organizations[0].Members[1]
	b.Open(c.RelyingParty.URL)
	b.Click("a.button")
	signIn(t, b, tess.Email, tess.Password, tess.TOTPSecret)
	b.Type("textarea", "The first note")
	b.Click("form.note button")
	if got := b.Text("li p"); got != "The first note" {
		t.Fatalf("the note reads %q", got)
	}
	if got := b.Text("header"); !strings.Contains(got, "Acme") {
		t.Errorf("the application does not name her organization: %q", got)
	}
	b.Click("button[data-action=sign-out]")
	b.Text("a.button") // the application's front page, after the provider's
	b.Open(c.RelyingParty.URL + "/sign-in")
	b.Page("identify") // the session at the provider has ended too
}

func TestAWrongPasswordSaysSoAndRevealsNothing(t *testing.T) {
	c := run(t, demo.Options{})
	b := webdriver.Start(t, webdriver.Options{Lang: "fr"})
	say := func(email string) string {
		b.Open(c.BaseURL + "/sign-in")
		b.Type("input[name=email]", email)
		b.Click("button[data-action=continue]")
		b.Page("password")
		b.Type("input[name=password]", "not the password of anybody")
		b.Click("button[data-action=continue]")
		return b.Text("[role=alert]")
	}
	known, unknown := say(c.Organizations[0].Owner.Email), say("nobody@acme.example")
	if known != unknown || known == "" {
		t.Fatalf("a known address hears %q, an unknown one %q", known, unknown)
	}
}

// Every page that a person, an administrator and staff can open by following
// links, in three languages, at two widths.
func TestPages(t *testing.T) {
	c := run(t, demo.Options{})
	axe := axeSource(t)
	o := c.Organizations[0]
	sides := map[string]struct{ email, password, secret string }{
		"visitor": {}, "owner": {o.Owner.Email, o.Owner.Password, ""}, "staff": {c.Staff.Email, c.Staff.Password, c.Staff.TOTPSecret},
	}
	starts := map[string][]string{
		"visitor": {"/", "/trust", "/sign-in", "/docs/api"},
		"owner":   {"/console", "/account"},
		"staff":   {"/console/staff", "/trust"},
	}
	type look struct {
		lang  string
		width int
		dark  bool
	}
	looks := map[string][]look{
		"visitor": {{"en", 1280, false}, {"nl", 320, true}},
		"owner":   {{"nl", 1280, true}, {"fr", 320, false}},
		"staff":   {{"en", 1280, false}},
	}
	for side, who := range sides {
		for _, l := range looks[side] {
			t.Run(fmt.Sprintf("%s, %s, %d", side, l.lang, l.width), func(t *testing.T) {
				b := webdriver.Start(t, webdriver.Options{Lang: l.lang, Width: l.width, Height: 900, Dark: l.dark})
				if who.email != "" {
					b.Open(c.BaseURL + "/sign-in")
					inspect(t, b, axe, fmt.Sprintf("sign-in %s %d", l.lang, l.width))
					signIn(t, b, who.email, who.password, who.secret)
				}
				crawl(t, b, axe, c.BaseURL, starts[side], l.lang, l.width)
			})
		}
	}
}

// crawl opens the pages and those they lead to, one of each shape.
func crawl(t *testing.T, b *webdriver.Browser, axe, base string, starts []string, lang string, width int) {
	t.Helper()
	seen := map[string]bool{}
	queue := append([]string(nil), starts...)
	for len(queue) > 0 && len(seen) < 60 {
		path := queue[0]
		queue = queue[1:]
		shape := shapeOf(path)
		if seen[shape] {
			continue
		}
		seen[shape] = true
		b.Open(base + path)
		if b.Has(`main[data-page="error"]`) && !strings.Contains(path, "error") {
			t.Errorf("%s leads to an error page: %s", path, b.Text("main"))
		}
		var got string
		b.Script("return document.documentElement.lang", &got)
		if got != lang {
			t.Errorf("%s is in %q", path, got)
		}
		inspect(t, b, axe, fmt.Sprintf("%s %s %d", path, lang, width))
		var links []string
		b.Script(`return [...document.querySelectorAll("a[href]")].filter(a => a.origin === location.origin && !a.hasAttribute("download")).map(a => a.pathname)`, &links)
		for _, l := range links {
			if !strings.HasPrefix(l, "/assets/") && !strings.HasSuffix(l, ".json") && !strings.HasSuffix(l, ".txt") && !strings.Contains(l, "export") && !strings.Contains(l, "proof") && !strings.HasSuffix(l, "/download") {
				queue = append(queue, l)
			}
		}
	}
	if len(seen) < 3 {
		t.Errorf("only %d pages were reached", len(seen))
	}
}

// shapeOf replaces identifiers, so that one page of each kind is opened.
func shapeOf(path string) string {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		if _, rest, ok := strings.Cut(p, "_"); ok && len(rest) == 26 {
			parts[i] = "{id}"
		}
		if i > 0 && (parts[i-1] == "controls" || parts[i-1] == "statements") {
			parts[i] = "{id}"
		}
	}
	return strings.Join(parts, "/")
}

func TestACertifiedRelyingPartySignsIn(t *testing.T) {
	node, err := exec.LookPath("node")
	if _, serr := os.Stat("../../tools/node_modules/openid-client"); err != nil || serr != nil {
		if strings.Contains(os.Getenv("REMPART_TEST_REQUIRE"), "node") {
			t.Fatal("openid-client is required: run scripts/setup")
		}
		t.Skip("openid-client is not installed here; scripts/setup installs it")
	}
	c := run(t, demo.Options{})
	file := filepath.Join(t.TempDir(), "contract.json")
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(node, "../../tools/relying-party.mjs", file).CombinedOutput()
	if err != nil || !bytes.HasSuffix(bytes.TrimSpace(out), []byte("ok")) {
		t.Fatalf("%v\n%s", err, out)
	}
}

func TestASeededPlaceKeepsEverythingButItsAddresses(t *testing.T) {
	dir := t.TempDir()
	var first demo.Contract
	t.Run("first", func(t *testing.T) { first = run(t, demo.Options{Data: dir}) })
	second := run(t, demo.Options{Data: dir, RedirectURIs: []string{"http://127.0.0.1:7999/cb"}})
	if first.Organizations[0].AdminKey != second.Organizations[0].AdminKey || first.Staff != second.Staff || first.Clients[0].ClientSecret != second.Clients[0].ClientSecret {
		t.Error("credentials changed")
	}
	if first.Mail == second.Mail {
		t.Error("the address of the mail list is that of the first start")
	}
	if got := second.Clients[0].RedirectURIs; got[len(got)-1] != "http://127.0.0.1:7999/cb" {
		t.Errorf("redirect URIs %v", got)
	}
	req, err := http.NewRequest("GET", second.APIURL+"/orgs/"+second.Organizations[0].ID, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+second.Organizations[0].AdminKey.Key)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("the key of the first start answers %d", res.StatusCode)
	}
	o := demo.Options{Data: dir, Users: 3, Addr: "127.0.0.1:0", Out: io.Discard, Log: slog.New(slog.DiscardHandler)}
	if err := demo.Run(context.Background(), o); err == nil || !strings.Contains(err.Error(), "--users") {
		t.Errorf("another --users: %v", err)
	}
}

// The flag was once remembered and put to no use.
func TestTheProfileOfTheFlagIsInUse(t *testing.T) {
	c := run(t, demo.Options{Profile: "dastra"})
	req, err := http.NewRequest("GET", c.APIURL+"/installation/log?kind=register.profile.changed", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+c.Staff.APIKey)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK || !bytes.Contains(b, []byte("dastra")) {
		t.Fatalf("%d %s %v", res.StatusCode, b, err)
	}
}
