// Package webdriver drives Debian's Chromium for tests of pages: a small
// client of the W3C WebDriver protocol, spoken by chromedriver.
//
//	b := webdriver.Start(t)
//	b.Open(url)
//	b.Type("input[name=email]", "ada@acme.example")
//	b.Click("button[data-action=continue]")
//
// Start skips the test where Chromium is absent, and fails it where
// REMPART_TEST_REQUIRE names chromium. Every failure of a step ends the test
// with the page's address and text.
package webdriver

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Browser is one browser window with its own profile.
type Browser struct {
	t       testing.TB
	base    string
	session string
	client  *http.Client
}

// Options of a browser.
type Options struct {
	Width, Height int    // of the window; 1280 x 900
	Lang          string // Accept-Language; "en"
	Dark          bool   // prefers-color-scheme: dark
	NoScript      bool   // JavaScript off
}

const elementKey = "element-6066-11e4-a52e-4f735466cecf"

// Start starts chromedriver and a browser; both end with the test.
func Start(t testing.TB, o Options) *Browser {
	t.Helper()
	driver, err1 := exec.LookPath("chromedriver")
	chromium, err2 := exec.LookPath("chromium")
	if err := errors.Join(err1, err2); err != nil {
		if strings.Contains(os.Getenv("REMPART_TEST_REQUIRE"), "chromium") {
			t.Fatalf("Chromium is required and can't be had: %v", err)
		}
		t.Skipf("Chromium can't be had here: %v", err)
	}
	if o.Width == 0 {
		o.Width, o.Height = 1280, 900
	}
	if o.Lang == "" {
		o.Lang = "en"
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	profile := t.TempDir()
	cmd := exec.Command(driver, fmt.Sprintf("--port=%d", port))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	cmd.Env = append(os.Environ(), "HOME="+profile)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	})
	b := &Browser{t: t, base: fmt.Sprintf("http://127.0.0.1:%d", port), client: &http.Client{Timeout: 60 * time.Second}}
	b.await()
	args := []string{"--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars", "--force-device-scale-factor=1",
		"--user-data-dir=" + filepath.Join(profile, "chromium"), fmt.Sprintf("--window-size=%d,%d", o.Width, o.Height), "--lang=" + o.Lang, "--accept-lang=" + o.Lang}
	if o.Dark {
		args = append(args, "--force-dark-mode", "--blink-settings=preferredColorScheme=0")
	}
	prefs := map[string]any{"intl.accept_languages": o.Lang, "credentials_enable_service": false}
	if o.NoScript {
		prefs["profile.managed_default_content_settings.javascript"] = 2
	}
	var v struct {
		SessionID string `json:"sessionId"`
	}
	b.call("POST", "/session", map[string]any{"capabilities": map[string]any{"alwaysMatch": map[string]any{
		"browserName": "chrome", "acceptInsecureCerts": true,
		"goog:chromeOptions": map[string]any{"binary": chromium, "args": args, "prefs": prefs},
		"goog:loggingPrefs":  map[string]string{"browser": "ALL"},
	}}}, &v)
	b.session = v.SessionID
	t.Cleanup(func() { _ = b.try("DELETE", "/session/"+b.session, nil, nil) })
	// A phone's width is narrower than a window may be: the device is emulated.
	b.cdp("Emulation.setDeviceMetricsOverride", map[string]any{"width": o.Width, "height": o.Height, "deviceScaleFactor": 1, "mobile": o.Width < 500})
	if o.Dark {
		b.cdp("Emulation.setEmulatedMedia", map[string]any{"features": []any{map[string]string{"name": "prefers-color-scheme", "value": "dark"}}})
	}
	return b
}

func (b *Browser) await() {
	for range 200 {
		res, err := b.client.Get(b.base + "/status")
		if err == nil {
			res.Body.Close()
			return
		}
		<-time.After(25 * time.Millisecond)
	}
	b.t.Fatal("chromedriver did not come up")
}

type protocolError struct{ code, message string }

func (e *protocolError) Error() string { return e.code + ": " + e.message }

func (b *Browser) try(method, path string, in, out any) error {
	var body io.Reader
	if method == "POST" {
		if in == nil {
			in = map[string]any{}
		}
		j, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(j)
	}
	req, err := http.NewRequest(method, b.base+path, body)
	if err != nil {
		return err
	}
	res, err := b.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	var v struct{ Value json.RawMessage }
	if err := json.NewDecoder(res.Body).Decode(&v); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		var e struct{ Error, Message string }
		_ = json.Unmarshal(v.Value, &e)
		line, _, _ := strings.Cut(e.Message, "\n")
		return &protocolError{e.Error, line}
	}
	if out != nil {
		return json.Unmarshal(v.Value, out)
	}
	return nil
}

func (b *Browser) call(method, path string, in, out any) {
	b.t.Helper()
	if err := b.try(method, path, in, out); err != nil {
		where := ""
		if b.session != "" {
			where = b.where()
		}
		b.t.Fatalf("%s %s: %v%s", method, path, err, where)
	}
}

// where describes the page, for failures.
func (b *Browser) where() string {
	var url, text string
	_ = b.try("GET", "/session/"+b.session+"/url", nil, &url)
	_ = b.try("POST", "/session/"+b.session+"/execute/sync", map[string]any{"script": "return document.body ? document.body.innerText.slice(0, 800) : ''", "args": []any{}}, &text)
	return "\nat " + url + "\n" + text
}

func (b *Browser) at(path string) string { return "/session/" + b.session + path }

func (b *Browser) cdp(cmd string, params map[string]any) {
	b.t.Helper()
	b.call("POST", b.at("/goog/cdp/execute"), map[string]any{"cmd": cmd, "params": params}, nil)
}

// Open goes to the address and waits until the page has loaded.
func (b *Browser) Open(url string) {
	b.t.Helper()
	b.call("POST", b.at("/url"), map[string]any{"url": url}, nil)
}

// URL is the address of the page.
func (b *Browser) URL() string {
	b.t.Helper()
	var s string
	b.call("GET", b.at("/url"), nil, &s)
	return s
}

// find waits up to five seconds for an element.
func (b *Browser) find(css string) string {
	b.t.Helper()
	var err error
	for range 100 {
		var v map[string]string
		if err = b.try("POST", b.at("/element"), map[string]string{"using": "css selector", "value": css}, &v); err == nil {
			return v[elementKey]
		}
		<-time.After(50 * time.Millisecond)
	}
	b.t.Fatalf("no element %s: %v%s", css, err, b.where())
	return ""
}

// Has reports whether the page holds an element, without waiting.
func (b *Browser) Has(css string) bool {
	var v []map[string]string
	b.call("POST", b.at("/elements"), map[string]string{"using": "css selector", "value": css}, &v)
	return len(v) > 0
}

// Click clicks the element.
func (b *Browser) Click(css string) {
	b.t.Helper()
	b.call("POST", b.at("/element/"+b.find(css)+"/click"), nil, nil)
}

// Type replaces the field's text.
func (b *Browser) Type(css, text string) {
	b.t.Helper()
	e := b.find(css)
	b.call("POST", b.at("/element/"+e+"/clear"), nil, nil)
	b.call("POST", b.at("/element/"+e+"/value"), map[string]string{"text": text}, nil)
}

// Text is the visible text of the element.
func (b *Browser) Text(css string) string {
	b.t.Helper()
	var s string
	b.call("GET", b.at("/element/"+b.find(css)+"/text"), nil, &s)
	return s
}

// Attribute is the element's attribute.
func (b *Browser) Attribute(css, name string) string {
	b.t.Helper()
	var s string
	b.call("GET", b.at("/element/"+b.find(css)+"/attribute/"+name), nil, &s)
	return s
}

// Page waits for the page that names itself so: main[data-page=name].
func (b *Browser) Page(name string) {
	b.t.Helper()
	b.find(`main[data-page="` + name + `"]`)
}

// Script runs JavaScript in the page and reads what it returns into out.
func (b *Browser) Script(script string, out any, args ...any) {
	b.t.Helper()
	if args == nil {
		args = []any{}
	}
	b.call("POST", b.at("/execute/sync"), map[string]any{"script": script, "args": args}, out)
}

// ScriptAsync runs JavaScript that calls its last argument when it is done.
func (b *Browser) ScriptAsync(script string, out any, args ...any) {
	b.t.Helper()
	if args == nil {
		args = []any{}
	}
	b.call("POST", b.at("/execute/async"), map[string]any{"script": script, "args": args}, out)
}

// Screenshot is the whole page as PNG.
func (b *Browser) Screenshot() []byte {
	b.t.Helper()
	var v struct{ Data string }
	b.call("POST", b.at("/goog/cdp/execute"), map[string]any{"cmd": "Page.captureScreenshot", "params": map[string]any{"captureBeyondViewport": true}}, &v)
	png, err := base64.StdEncoding.DecodeString(v.Data)
	if err != nil {
		b.t.Fatal(err)
	}
	return png
}

// Overflow is how many pixels the page is wider than the window.
func (b *Browser) Overflow() int {
	b.t.Helper()
	var n int
	b.Script("return document.documentElement.scrollWidth - document.documentElement.clientWidth", &n)
	return n
}

// Console gives the messages of the browser's console since the last call:
// errors of scripts and violations of the content security policy.
func (b *Browser) Console() []string {
	b.t.Helper()
	var v []struct{ Level, Message string }
	b.call("POST", b.at("/se/log"), map[string]string{"type": "browser"}, &v)
	var out []string
	for _, e := range v {
		if e.Level == "SEVERE" || e.Level == "WARNING" {
			out = append(out, e.Message)
		}
	}
	return out
}

// Violation is one rule of WCAG that the page breaks, as axe-core sees it.
type Violation struct {
	ID    string `json:"id"`
	Help  string `json:"help"`
	Nodes []struct {
		HTML    string `json:"html"`
		Summary string `json:"failureSummary"`
	} `json:"nodes"`
}

// Axe runs the accessibility rules of axe-core, whose source the caller gives.
func (b *Browser) Axe(source string) []Violation {
	b.t.Helper()
	b.Script(source+"; return null", nil)
	var v []Violation
	b.ScriptAsync(`const done = arguments[arguments.length - 1];
		axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}).then(r => done(r.violations))`, &v)
	return v
}
