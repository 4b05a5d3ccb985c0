package console_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/clock"
	"github.com/rempart/rempart/internal/console"
	"github.com/rempart/rempart/internal/i18n"
	"github.com/rempart/rempart/internal/web"
)

func newConsole(t testing.TB) *console.Console {
	t.Helper()
	b, err := i18n.Load(i18n.Source{Name: "web", FS: web.Messages()}, i18n.Source{Name: "console", FS: console.Messages()})
	if err != nil {
		t.Fatal(err)
	}
	b.Missing = func(lang, key string) { t.Errorf("no text for %s in %s", key, lang) }
	u, _ := url.Parse("http://rempart.example")
	return &console.Console{Bundle: b, BaseURL: u, Log: slog.New(slog.DiscardHandler),
		Now: clock.NewFixed(time.Date(2026, 11, 22, 7, 0, 0, 0, time.UTC)).Now}
}

func page(t testing.TB, content string) *console.Template {
	t.Helper()
	ts, err := console.Parse(fstest.MapFS{"p.html": {Data: []byte(`{{define "content"}}` + content + `{{end}}`)}}, "*.html")
	if err != nil {
		t.Fatal(err)
	}
	return ts.Get("p")
}

type view struct {
	console.Frame
	Name string
}

func oneFile(s string) fstest.MapFS { return fstest.MapFS{"p.html": {Data: []byte(s)}} }

func render(t testing.TB, c *console.Console, r *http.Request, tmpl *console.Template, v any) (string, http.Header) {
	t.Helper()
	w := httptest.NewRecorder()
	if err := c.Render(w, r, http.StatusOK, tmpl, v); err != nil {
		t.Fatal(err)
	}
	return w.Body.String(), w.Header()
}

func TestRenderPutsTheContentIntoTheLayout(t *testing.T) {
	c := newConsole(t)
	r := web.WithCaller(httptest.NewRequest("GET", "/sign-in?x=1", nil), caller.Caller{Lang: "fr"})
	tmpl := page(t, `<p>{{.T "console.sign-in"}} {{.Name}}</p>`)
	got, h := render(t, c, r, tmpl, view{c.Frame(r, "console.sign-in", console.Auth("identify")), `<script>alert(1)</script>`})
	for _, want := range []string{`<html lang="fr">`, `data-page="identify"`, `<h1>Se connecter</h1>`, `&lt;script&gt;alert(1)`, `name="return" value="/sign-in?x=1"`} {
		if !strings.Contains(got, want) {
			t.Errorf("page lacks %s", want)
		}
	}
	if strings.Contains(got, "<script>alert") {
		t.Error("a value was not escaped")
	}
	if h.Get("Content-Language") != "fr" || !strings.Contains(h.Get("Vary"), "HX-Request") {
		t.Errorf("headers %v", h)
	}

	r.Header.Set("HX-Request", "true")
	got, _ = render(t, c, r, tmpl, view{c.Frame(r, "console.sign-in", console.Auth("identify")), "x"})
	if strings.Contains(got, "<html") || !strings.Contains(got, "<p>Se connecter x</p>") {
		t.Errorf("a part is not the content alone: %s", got)
	}
}

func TestPagesHoldNoInlineCode(t *testing.T) {
	c := newConsole(t)
	c.Shell = nil
	for _, layout := range []func(string) console.Option{console.Auth, console.InOrg, console.Staff, console.Account, console.Public} {
		r := web.WithCaller(httptest.NewRequest("GET", "/", nil), caller.Caller{Lang: "en"})
		got, _ := render(t, c, r, page(t, "x"), view{Frame: c.Frame(r, "console.sign-in", layout("p"))})
		for _, bad := range []string{"<script>", "<style", " style=", " onclick", "javascript:", "http://", "//cdn"} {
			if strings.Contains(got, bad) {
				t.Errorf("layout holds %q, which the content security policy forbids", bad)
			}
		}
		if n := strings.Count(got, "<h1>"); n != 1 {
			t.Errorf("%d headings of the first level", n)
		}
	}
}

func TestAssetsAreServedUnderTheirHash(t *testing.T) {
	c := newConsole(t)
	r := web.WithCaller(httptest.NewRequest("GET", "/", nil), caller.Caller{Lang: "en"})
	got, _ := render(t, c, r, page(t, "x"), view{Frame: c.Frame(r, "console.sign-in")})
	for _, part := range []string{"app.", "htmx.", "inter.", "favicon."} {
		_, rest, ok := strings.Cut(got, `"/assets/`+part)
		if !ok {
			t.Errorf("page does not name %s", part)
			continue
		}
		name, _, _ := strings.Cut(part+rest, `"`)
		w := httptest.NewRecorder()
		req := httptest.NewRequest("GET", "/assets/"+name, nil)
		req.SetPathValue("name", name)
		for _, route := range c.Manifest().Routes {
			if route.Pattern == "GET /assets/{name}" {
				if err := route.Serve(w, req); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
		if w.Body.Len() == 0 || bytes.Contains(w.Body.Bytes(), []byte("sourceMappingURL=http")) {
			t.Errorf("%s is empty or calls out", name)
		}
	}
}
