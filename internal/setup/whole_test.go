package setup_test

import (
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rempart/rempart/internal/app"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/clock"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/mail"
	"github.com/rempart/rempart/internal/setup"
)

// TestTheWholeProductIsSetUpFromAnEmptyFolder runs the wizard on the product as
// serve starts it, signs in through the real sign-in pages, and starts again.
func TestTheWholeProductIsSetUpFromAnEmptyFolder(t *testing.T) {
	dir, now := t.TempDir(), clock.NewFixed(time.Date(2027, 3, 1, 9, 0, 0, 0, time.UTC))
	var handler http.Handler
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	addr := server.Listener.Addr().String()
	base := "http://localhost:" + addr[strings.LastIndexByte(addr, ':')+1:]
	letters := &mail.Keeper{}
	open := func(kind setup.Stamp, issuer string) (*app.App, error) {
		cfg, err := app.LoadConfig("", nil, map[string]string{"data": filepath.Join(dir, "data"), "http-base-url": issuer, "mail-from": "Rempart <no-reply@rempart.example>"})
		must(t, err)
		return app.Open(t.Context(), app.Options{Config: cfg, Kind: kind, Version: "test", Now: now.Now, Transport: letters, Strict: true, Log: slog.New(slog.DiscardHandler)})
	}
	a, err := open(setup.Real, base)
	must(t, err)
	a.LocalAddr, handler = addr, a.Handler
	a.Bundle.Missing = func(lang, key string) { t.Errorf("no text for %s in %s", key, lang) }
	server.Start()
	t.Cleanup(server.Close)

	if users, err := a.Directory.UserIDs(t.Context(), id.User{}, 10); err != nil || len(users) != 0 {
		t.Fatalf("a fresh installation has users: %v %v", users, err)
	}
	link, err := a.Setup.NewLink(t.Context(), caller.ForSystem("setup"))
	must(t, err)
	jar, err := cookiejar.New(nil)
	must(t, err)
	b := &wholeBrowser{t: t, base: base, http: &http.Client{Jar: jar}}
	path := strings.TrimPrefix(link, base)
	b.get(path).want(t, 200, "setup-link")
	b.post(path).want(t, 200, "setup-welcome")
	other := &wholeBrowser{t: t, base: base, http: &http.Client{}}
	other.post(path).want(t, 403, "error", "already opened in another browser")
	b.post("/setup/welcome", "lang", "en").want(t, 200, "setup-recovery-kit")
	kit := b.post("/setup/recovery-kit")
	b.post("/setup/recovery-kit/confirm", "code", kit.find(t, `set-up, type: ([2-9A-Z]{4}-[2-9A-Z]{4})`)).want(t, 200, "setup-administrator")
	totp := b.post("/setup/administrator", "name", "Ada Byron", "email", "ada@example.com", "password", password)
	totp.want(t, 200, "setup-authenticator")
	secret, token := totp.find(t, `data-totp-secret="([A-Z2-7]+)"`), totp.find(t, `name="enrollment" value="([^"]+)"`)
	b.post("/setup/authenticator", "enrollment", token, "code", code6(t, secret, now.Now())).want(t, 200, "setup-recovery-codes")
	b.post("/setup/recovery-codes").want(t, 200, "setup-recovery-codes")
	b.post("/setup/recovery-codes/kept").want(t, 200, "setup-organization")
	b.post("/setup/organization", "name", "Acme", "slug", "acme", "who", "other", "owner", "bob@acme.example").want(t, 200, "setup-client")
	b.post("/setup/client", "name", "Notes", "type", "web", "redirect_uris", "https://notes.example/cb").want(t, 200, "setup-client-made")

	now.Advance(time.Minute) // the code of the enrollment is used up
	ask := b.post("/setup/test")
	ask.want(t, 200, "identify")
	ask = b.submit(ask, "email", "ada@example.com")
	ask.want(t, 200, "password")
	ask = b.submit(ask, "password", password)
	ask.want(t, 200, "totp")
	b.submit(ask, "code", code6(t, secret, now.Now())).want(t, 200, "setup-claims", "ada@example.com", "Ada Byron", "org_id", "Acme")
	b.get("/setup/finish").want(t, 200, "setup-finish")
	b.post("/setup/finish").want(t, 200, "setup-done", "/console/o/acme")
	b.get("/setup").want(t, 404, "error")
	b.get(path).want(t, 404, "error")
	must(t, a.Close())

	// Later starts: the same place goes on, any other is refused in a sentence.
	if _, err := open(setup.Demo, base); err == nil || err.Error() != setup.ErrReal.Error() {
		t.Errorf("a demo on it: %v", err)
	}
	if _, err := open(setup.Real, "http://localhost:1"); err == nil || !strings.Contains(err.Error(), "the issuer was fixed at the first start as "+base) {
		t.Errorf("another issuer: %v", err)
	}
	a, err = open(setup.Real, base)
	must(t, err)
	handler = a.Handler
	b.get("/setup").want(t, 404, "error")
	if _, err := a.Setup.NewLink(t.Context(), caller.ForSystem("setup")); err != setup.ErrCompleted {
		t.Errorf("a link after completion: %v", err)
	}
	must(t, a.Close())
}

var hiddenRE = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)"`)

// wholeBrowser is a browser at the listener of the whole product.
type wholeBrowser struct {
	t    *testing.T
	base string
	http *http.Client
}

func (b *wholeBrowser) get(path string) shown {
	b.t.Helper()
	return (&browser{t: b.t}).read(b.http.Get(b.base + path))
}

func (b *wholeBrowser) post(path string, kv ...string) shown {
	b.t.Helper()
	form := url.Values{}
	for i := 0; i+1 < len(kv); i += 2 {
		form.Set(kv[i], kv[i+1])
	}
	return (&browser{t: b.t}).read(b.http.PostForm(b.base+path, form))
}

// submit sends the first form of the page with its hidden fields and one that
// was typed.
func (b *wholeBrowser) submit(s shown, name, value string) shown {
	b.t.Helper()
	form := s.find(b.t, `(?s)<form method="post"(.*?)</form>`)
	kv := []string{name, value}
	for _, m := range hiddenRE.FindAllStringSubmatch(form, -1) {
		kv = append(kv, m[1], m[2])
	}
	return b.post(shown{path: s.path, body: form}.find(b.t, `action="([^"]+)"`), kv...)
}
