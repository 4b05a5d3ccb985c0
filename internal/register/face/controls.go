package face

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/html"

	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/i18n"
	"github.com/rempart/rempart/internal/register"
	"github.com/rempart/rempart/internal/register/catalogue"
	"github.com/rempart/rempart/internal/trust"
)

// maxServed bounds what a control reads of our own answers.
const maxServed = 4 << 20

// securityTerm is how long security.txt must stay valid.
const securityTerm = 30 * 24 * time.Hour

func (s *Service) controls() []capability.Control {
	return []capability.Control{
		{ID: "trust.coverage", Statements: []string{"G1"}, Class: capability.Proven, Population: "register.population.page",
			Every: 5 * time.Minute, Window: 20 * time.Minute, Severity: "high", Mapping: []string{"ISO27001:A.5.36", "SOC2:CC4.1"}, Check: s.coverage},
		{ID: "trust.parity", Statements: []string{"G2"}, Class: capability.Proven, Population: "register.population.page",
			Every: 5 * time.Minute, Window: 20 * time.Minute, Severity: "medium", Mapping: []string{"ISO27001:A.5.36", "SOC2:CC2.3"}, Check: s.parity},
		{ID: "contact.securitytxt", Statements: []string{"G3"}, Class: capability.Proven, Population: "register.population.company",
			Every: 30 * time.Minute, Window: 2 * time.Hour, Severity: "medium", Mapping: []string{"ISO27001:A.5.24", "NIS2:21.2.e"}, Check: s.securityFile},
	}
}

// get asks the live listener as a visitor does.
func get(ctx context.Context, p trust.Probe, path string, header ...string) (*http.Response, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.Base+path, nil)
	if err != nil {
		return nil, nil, err
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := p.Client().Do(req)
	if err != nil {
		return nil, nil, fmt.Errorf("register/face: ask for %s: %w", path, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxServed))
	return resp, body, err
}

// served is a statement as the page that visitors get shows it.
type served struct{ ID, Verdict, Text string }

// readPage reads the statements out of the page's HTML.
func readPage(body []byte) (lang string, out []served, err error) {
	doc, err := html.Parse(strings.NewReader(string(body)))
	if err != nil {
		return "", nil, err
	}
	attr := func(n *html.Node, name string) string {
		for _, a := range n.Attr {
			if a.Key == name {
				return a.Val
			}
		}
		return ""
	}
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		if n.Data == "html" {
			lang = attr(n, "lang")
		}
		if id := attr(n, "data-statement"); id != "" {
			out = append(out, served{ID: id, Verdict: attr(n, "data-verdict")})
		}
		if slices.Contains(strings.Fields(attr(n, "class")), "say") && len(out) > 0 && out[len(out)-1].Text == "" {
			out[len(out)-1].Text = strings.TrimSpace(textOf(n))
		}
	}
	return lang, out, nil
}

func textOf(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return b.String()
}

// ask reads the page in a language from the live listener.
func (s *Service) ask(ctx context.Context, p trust.Probe, lang string) ([]served, error) {
	resp, body, err := get(ctx, p, "/trust", "Accept-Language", lang)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("register/face: the page answers %d", resp.StatusCode)
	}
	got, out, err := readPage(body)
	if err == nil && got != lang {
		err = fmt.Errorf("register/face: the page for %s says it is in %q", lang, got)
	}
	return out, err
}

// coverage reads the page that visitors get and counts its statements that
// are not backed now: by a control that ran in its window, or by a named
// person whose word has not lapsed. A statement that is published although the
// register says otherwise counts too.
func (s *Service) coverage(ctx context.Context, p trust.Probe) trust.Result {
	shown, err := s.ask(ctx, p, i18n.Languages[0])
	if err != nil {
		return trust.Result{Err: err}
	}
	page, err := s.Resolve(ctx)
	if err != nil {
		return trust.Result{Err: err}
	}
	bare := []string{}
	classes := map[catalogue.Class]int{}
	for _, x := range shown {
		st, ok := page.Find(x.ID)
		if !ok || !s.backed(page, st) {
			bare = append(bare, x.ID)
			continue
		}
		classes[st.Evidence]++
	}
	r := trust.Result{Checked: int64(len(shown)), Failed: int64(len(bare)),
		Evidence: map[string]any{"statements": len(shown), "not_backed": bare, "backed_by_class": classes}}
	switch {
	case len(shown) == 0:
		r.Verdict, r.Note = capability.Unknown, "register.note.empty"
	case len(bare) > 0:
		r.Verdict = capability.Fail
	default:
		r.Verdict = capability.Pass
	}
	return r
}

// backed reports whether something stands behind a published statement now.
func (s *Service) backed(page *register.Page, st register.Standing) bool {
	if !catalogue.Published(st.Verdict) {
		return false
	}
	if a := st.Attestation; a != nil && !page.At.Before(a.ValidFrom) && page.At.Before(a.ValidUntil) {
		return true
	}
	for _, c := range s.Trust.Controls {
		ran := page.States[c.ID].RanAt
		if slices.Contains(st.Bound, c.ID) && ran != nil && page.At.Sub(*ran) <= c.Window {
			return true
		}
	}
	return false
}

// parity reads the page in each language: all carry the same statements with
// the same verdicts, and each sentence is the register's with the values in
// force.
func (s *Service) parity(ctx context.Context, p trust.Probe) trust.Result {
	// The pages are asked for one after the other; a verdict may change in
	// between. What differs is asked for once more before it counts.
	differs, checked, err := s.compare(ctx, p)
	if err == nil && len(differs) > 0 {
		differs, checked, err = s.compare(ctx, p)
	}
	if err != nil {
		return trust.Result{Err: err}
	}
	r := trust.Result{Verdict: capability.Pass, Checked: checked, Failed: int64(len(differs)), Evidence: map[string]any{"languages": i18n.Languages, "statements": checked, "differ": differs}}
	switch {
	case len(differs) > 0:
		r.Verdict = capability.Fail
	case checked == 0:
		r.Verdict, r.Note = capability.Unknown, "register.note.empty"
	}
	return r
}

func (s *Service) compare(ctx context.Context, p trust.Probe) (differs []string, checked int64, err error) {
	s.Reread() // the values in force are those of the rows, not of a copy
	page, err := s.Resolve(ctx)
	if err != nil {
		return nil, 0, err
	}
	differs = []string{}
	verdicts := map[string]string{}
	count := map[string]int{}
	for _, lang := range i18n.Languages {
		shown, err := s.ask(ctx, p, lang)
		if err != nil {
			return nil, 0, err
		}
		for _, x := range shown {
			count[x.ID]++
			if lang == i18n.Languages[0] {
				verdicts[x.ID] = x.Verdict
				checked++
			}
			st, ok := page.Find(x.ID)
			same := ok && verdicts[x.ID] == x.Verdict && x.Text == s.Sentence(lang, st.Statement, st.Values)
			if !same && !slices.Contains(differs, x.ID) {
				differs = append(differs, x.ID)
			}
		}
	}
	for id, n := range count {
		if n != len(i18n.Languages) && !slices.Contains(differs, id) {
			differs = append(differs, id)
		}
	}
	slices.Sort(differs)
	return differs, checked, nil
}

var errFile = errors.New("register/face: security.txt")

// securityFile fetches security.txt as anybody would and reads it by the rules
// of RFC 9116.
func (s *Service) securityFile(ctx context.Context, p trust.Probe) trust.Result {
	resp, body, err := get(ctx, p, "/.well-known/security.txt")
	if err != nil {
		return trust.Result{Err: err}
	}
	if resp.StatusCode == http.StatusNotFound && len(s.SecurityTxt.Contact) == 0 {
		return trust.Result{Verdict: capability.NotApplicable, Note: "register.note.no-contact", Evidence: map[string]any{"status": resp.StatusCode}}
	}
	r := trust.Result{Verdict: capability.Fail, Checked: 1, Failed: 1}
	f, err := ParseSecurityTxt(body)
	if resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/plain") {
		err = fmt.Errorf("%w: answers %d as %q", errFile, resp.StatusCode, resp.Header.Get("Content-Type"))
	}
	days := int64(f.Expires.Sub(p.Now) / (24 * time.Hour))
	r.Evidence = map[string]any{"status": resp.StatusCode, "contacts": len(f.Contact), "expires": f.Expires.UTC().Format(time.RFC3339), "days_left": days}
	if err == nil && f.Expires.Sub(p.Now) >= securityTerm {
		r.Verdict, r.Failed = capability.Pass, 0
	}
	return r
}

// ParseSecurityTxt reads the fields of a security.txt that we state. The error
// says what RFC 9116 asks for and the file lacks.
func ParseSecurityTxt(raw []byte) (SecurityTxt, error) {
	var f SecurityTxt
	expires := 0
	for line := range strings.Lines(string(raw)) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return f, fmt.Errorf("%w: a line is no field", errFile)
		}
		value = strings.TrimSpace(value)
		switch strings.ToLower(name) {
		case "contact":
			u, err := url.Parse(value)
			if err != nil || u.Scheme != "https" && u.Scheme != "mailto" && u.Scheme != "tel" {
				return f, fmt.Errorf("%w: a contact is no https, mailto or tel address", errFile)
			}
			f.Contact = append(f.Contact, value)
		case "expires":
			at, err := time.Parse(time.RFC3339, value)
			if err != nil {
				return f, fmt.Errorf("%w: Expires is no time", errFile)
			}
			f.Expires = at
			expires++
		case "policy":
			f.Policy = value
		}
	}
	if len(f.Contact) == 0 || expires != 1 {
		return f, fmt.Errorf("%w: needs a Contact and one Expires", errFile)
	}
	return f, nil
}
