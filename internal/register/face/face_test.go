package face_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/i18n"
	"github.com/rempart/rempart/internal/register"
	"github.com/rempart/rempart/internal/register/catalogue"
	"github.com/rempart/rempart/internal/register/face"
	"github.com/rempart/rempart/internal/store/storetest"
	"github.com/rempart/rempart/internal/trust"
	"github.com/rempart/rempart/verify"
)

// ask sends a request; header are names and values. An Authorization header
// makes the caller staff.
func (h *house) ask(t testing.TB, method, path string, body io.Reader, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, h.url+path, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(raw)
}

func (h *house) get(t testing.TB, path string, header ...string) string {
	t.Helper()
	resp, body := h.ask(t, "GET", path, nil, header...)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %d %s", path, resp.StatusCode, body)
	}
	return body
}

// filled has controls of each verdict, an attestation that is in force and one
// that lapsed.
func filled(t testing.TB, h *house) (oidc *capability.Verdict) {
	t.Helper()
	v, fail := capability.Pass, capability.Fail
	h.with("oidc.conformance", capability.Proven, &v, "I1")
	h.with("id.unique", capability.Observed, &fail, "I5")
	for _, c := range []string{"oidc.conformance", "id.unique"} {
		h.run(t, c)
	}
	d := draft("P10")
	d.FileName, d.Content = "report.pdf", []byte("%PDF-1.7 report")
	if _, err := h.Attest(t.Context(), h.staff, d); err != nil {
		t.Fatal(err)
	}
	return &v
}

func TestThePageSpeaksEveryLanguageAndShowsFailuresAsFailing(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		filled(t, h)
		for lang, words := range map[string][]string{
			"en": {"3 statements:", "1 proven", "1 failing", "1 attested", "Failed", "Attested by Grace Hopper", "Rempart’s own databases and files"},
			"fr": {"3 déclarations", "1 prouvée", "1 en échec", "Échec", "Attesté par Grace Hopper", "les bases et fichiers de Rempart"},
			"nl": {"3 verklaringen:", "1 bewezen", "1 mislukt", "Mislukt", "Bevestigd door Grace Hopper"},
		} {
			for _, path := range []string{"/trust", "/trust?lang=" + lang} {
				header := []string{"Accept-Language", lang}
				if strings.Contains(path, "lang=") {
					header = []string{"Accept-Language", "en"}
				}
				resp, body := h.ask(t, "GET", path, nil, header...)
				if resp.StatusCode != 200 || resp.Header.Get("Content-Language") != lang || !strings.Contains(body, `<html lang="`+lang+`"`) {
					t.Errorf("%s in %s: %d, %q", path, lang, resp.StatusCode, resp.Header.Get("Content-Language"))
				}
				for _, w := range words {
					if !strings.Contains(body, w) {
						t.Errorf("%s in %s lacks %q", path, lang, w)
					}
				}
				if strings.Contains(body, "grace@example.com") {
					t.Errorf("%s names an address", path)
				}
			}
		}
		body := h.get(t, "/trust")
		if !strings.Contains(body, `data-statement="I5" data-verdict="fail"`) || strings.Contains(body, `data-statement="H1"`) {
			t.Error("the failing statement is not shown as failing, or a planned one is stated")
		}
		if planned := h.get(t, "/trust/planned"); !strings.Contains(planned, `data-planned="H1"`) || strings.Contains(planned, `data-planned="I5"`) {
			t.Error("the planned page does not hold what is planned")
		}
	})
}

func TestEveryPageRendersInEveryLanguageAndTheme(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		filled(t, h)
		h.SecurityTxt = face.SecurityTxt{Contact: []string{"mailto:security@example.com"}, Expires: start.AddDate(1, 0, 0)}
		no := true
		if err := h.ChangeStatement(t.Context(), h.staff, "I5", register.Change{Aside: &no}); err != nil {
			t.Fatal(err)
		}
		if err := h.Watch(t.Context()); err != nil {
			t.Fatal(err)
		}
		paths := []string{"/trust", "/trust/planned", "/trust/full", "/trust/changes", "/trust/controls/oidc.conformance", "/trust/controls/trust.parity",
			"/trust/profiles/dastra", "/trust/profiles/dastra?version=nl", "/trust/profiles/dastra?version=all", "/trust/profiles/kreo", "/trust/profiles/talkspirit",
			"/console/staff/statements", "/console/staff/statements?verdict=pass&q=openid", "/console/staff/statements/I7", "/console/staff/statements/P10", "/console/staff/controls"}
		for _, lang := range i18n.Languages {
			for _, path := range paths {
				header := []string{"Accept-Language", lang}
				if strings.HasPrefix(path, "/console") {
					header = append(header, "Authorization", "staff")
				}
				body := h.get(t, path, header...)
				if !strings.Contains(body, `<html lang="`+lang+`"`) || strings.Count(body, "<h1") != 1 || strings.Contains(body, "[register.") || strings.Contains(body, "[trust.") || strings.Contains(body, "<no value>") {
					t.Errorf("%s in %s does not stand", path, lang)
				}
			}
		}
		if body := h.get(t, "/trust", "Cookie", "__Host-rempart_prefs=theme=dark"); !strings.Contains(body, `data-theme="dark"`) {
			t.Error("the theme is not the visitor's")
		}
		for _, path := range []string{"/trust/profiles/nobody", "/trust/controls/none", "/trust/evidence/att_x", "/console/staff/statements/Z1"} {
			if resp, _ := h.ask(t, "GET", path, nil, "Authorization", "staff"); resp.StatusCode != 404 {
				t.Errorf("%s: %d", path, resp.StatusCode)
			}
		}
	})
}

func TestAProfileShowsItsSentencesInItsOrderAndNoVerdictThatIsNotItsOwn(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		v := capability.Pass
		h.with("password.length", capability.Proven, &v, "I7")
		h.run(t, "password.length")
		rows := regexp.MustCompile(`data-row="([A-Z]+[0-9]+)" data-verdict="([a-z_]+)"`)
		read := func(path string) (ids []string, verdicts map[string]string) {
			verdicts = map[string]string{}
			for _, m := range rows.FindAllStringSubmatch(h.get(t, path), -1) {
				ids = append(ids, m[1])
				verdicts[m[1]] = m[2]
			}
			return ids, verdicts
		}
		for _, c := range []struct{ profile, version string }{{"dastra", "fr"}, {"dastra", "en"}, {"dastra", "nl"}, {"kreo", "fr"}, {"talkspirit", "fr"}} {
			var want []string
			for _, l := range h.Profile(c.profile).Version(c.version) {
				want = append(want, l.Row)
			}
			got, _ := read("/trust/profiles/" + c.profile + "?version=" + c.version)
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("%s %s: %s", c.profile, c.version, d)
			}
		}
		// The control passed with the values in force here, which are others.
		if _, got := read("/trust/profiles/dastra?version=fr"); got["I7"] == "pass" {
			t.Error("a sentence with values that are not in force passes")
		}
		if err := h.UseProfile(t.Context(), h.staff, "dastra"); err != nil {
			t.Fatal(err)
		}
		if _, got := read("/trust/profiles/dastra?version=fr"); got["I7"] != "pass" {
			t.Errorf("in use, the sentence is %s", got["I7"])
		}
	})
}

func TestPagesAreKeptUntilAResultOrADecisionChanges(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		v := filled(t, h)
		resp, body := h.ask(t, "GET", "/trust", nil)
		tag := resp.Header.Get("ETag")
		if tag == "" || !strings.Contains(resp.Header.Get("Cache-Control"), "max-age=0") {
			t.Fatalf("headers: %v", resp.Header)
		}
		if resp, again := h.ask(t, "GET", "/trust", nil, "If-None-Match", tag); resp.StatusCode != http.StatusNotModified || again != "" {
			t.Errorf("unchanged: %d", resp.StatusCode)
		}
		raw, _ := h.ask(t, "GET", "/trust", nil, "Accept-Encoding", "gzip")
		if raw.Header.Get("Content-Encoding") != "gzip" {
			t.Errorf("not compressed: %v", raw.Header)
		}
		*v = capability.Fail
		h.run(t, "oidc.conformance")
		resp, changed := h.ask(t, "GET", "/trust", nil, "If-None-Match", tag)
		if resp.StatusCode != 200 || changed == body || !strings.Contains(changed, `data-statement="I1" data-verdict="fail"`) {
			t.Errorf("a failing run does not show: %d", resp.StatusCode)
		}
		aside := true
		if err := h.ChangeStatement(t.Context(), h.staff, "I1", register.Change{Aside: &aside}); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(h.get(t, "/trust"), `data-statement="I1"`) {
			t.Error("a statement that was set aside is still stated")
		}
	})
}

func TestTheMainPageStaysSmallWithEveryStatementOfTheFirstRelease(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		v := capability.Pass
		for i, row := range strings.Fields("I1 I3 I4 I5 I7 I9 I10 I12 I13 I14 A1 A2 A6 L1 L2 L4 L5 L6 L7 L8 L9 L10 L13 L15 E4 E5 T1 T2") {
			name := fmt.Sprintf("a.control%d", i)
			h.with(name, capability.Proven, &v, row)
			h.run(t, name)
		}
		for _, lang := range i18n.Languages {
			if n := len(h.get(t, "/trust", "Accept-Language", lang)); n > 60_000 {
				t.Errorf("%d bytes in %s", n, lang)
			}
		}
	})
}

func TestTheControlsAsJSONHaveExactlyTheirMembers(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		v := capability.Pass
		h.with("oidc.conformance", capability.Proven, &v, "I1", "I4")
		read := func() map[string]any {
			var out struct{ Controls []map[string]any }
			d := json.NewDecoder(strings.NewReader(h.get(t, "/trust.json")))
			d.DisallowUnknownFields()
			if err := d.Decode(&out); err != nil {
				t.Fatal(err)
			}
			if len(out.Controls) != len(h.Trust.Controls) {
				t.Fatalf("%d controls of %d", len(out.Controls), len(h.Trust.Controls))
			}
			return out.Controls[len(out.Controls)-1]
		}
		want := map[string]any{"id": "oidc.conformance", "class": "proven", "verdict": "unknown", "checked": 0.0, "failed": 0.0, "ran_at": nil, "statements": []any{"I1", "I4"}}
		if d := cmp.Diff(want, read()); d != "" {
			t.Error(d)
		}
		h.run(t, "oidc.conformance")
		want["verdict"], want["checked"], want["ran_at"] = "pass", 5.0, "2026-11-22T09:00:00Z"
		if d := cmp.Diff(want, read()); d != "" {
			t.Error(d)
		}
		if resp, _ := h.ask(t, "GET", "/trust.json", nil); resp.Header.Get("Content-Type") != "application/json" || resp.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("headers: %v", resp.Header)
		}
	})
}

func TestTheSignedFormsVerifyWithTheKeysThatAreListed(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		filled(t, h)
		keys := strings.Fields(h.get(t, "/trust/keys.txt"))
		for _, path := range []string{"/trust/statements.json", "/trust/controls/oidc.conformance/envelope.json"} {
			report, err := verify.File(strings.NewReader(h.get(t, path)), verify.Options{VerifierKeys: keys})
			if err != nil || !report.OK {
				t.Errorf("%s: %+v, %v", path, report, err)
				continue
			}
			if !strings.HasSuffix(path, "statements.json") {
				continue
			}
			var p struct{ Statements []map[string]any }
			if err := json.Unmarshal(report.Statement.Predicate, &p); err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(p.Statements, func(s map[string]any) bool { return s["id"] == "P10" })
			if i < 0 || p.Statements[i]["verdict"] != "pass" || p.Statements[i]["class"] != "attested" || len(p.Statements) < 150 {
				t.Errorf("%d statements; P10: %v", len(p.Statements), p.Statements[i])
			}
		}
		page := h.get(t, "/trust/controls/oidc.conformance")
		if !strings.Contains(page, "rempart verify --key") || !strings.Contains(page, "&#34;tried&#34;: 5") {
			t.Error("the control's page does not say how to verify, or what was seen")
		}
		if got := h.get(t, "/trust/controls/oidc.conformance/evidence.json"); got != `{"tried":5}` {
			t.Errorf("evidence: %s", got)
		}
	})
}

func TestTheAssessmentResultsHaveOSCALsShape(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		filled(t, h)
		var doc struct {
			Results struct {
				UUID     string
				Metadata map[string]string
				ImportAP map[string]string `json:"import-ap"`
				Results  []struct {
					UUID, Title, Description, Start string
					Reviewed                        map[string]any `json:"reviewed-controls"`
					Observations                    []struct {
						UUID      string
						Methods   []string
						Collected time.Time
					}
					Findings []struct {
						UUID, Title, Description string
						Target                   struct {
							Type   string
							ID     string            `json:"target-id"`
							Status map[string]string `json:"status"`
						}
						Related []map[string]string `json:"related-observations"`
					}
				}
			} `json:"assessment-results"`
		}
		if err := json.Unmarshal([]byte(h.get(t, "/trust/oscal.json")), &doc); err != nil {
			t.Fatal(err)
		}
		uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[45][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
		a := doc.Results
		if !uuid.MatchString(a.UUID) || a.Metadata["oscal-version"] == "" || a.Metadata["last-modified"] == "" || !strings.HasPrefix(a.ImportAP["href"], "#") || len(a.Results) != 1 {
			t.Fatalf("%+v", a)
		}
		r := a.Results[0]
		if len(r.Observations) != 2 || len(r.Findings) != 3 || r.Start == "" || r.Reviewed["control-selections"] == nil {
			t.Fatalf("%+v", r)
		}
		states := map[string]string{}
		seen := map[string]bool{}
		for _, o := range r.Observations {
			seen[o.UUID] = uuid.MatchString(o.UUID)
		}
		for _, f := range r.Findings {
			states[f.Title] = f.Target.Status["state"]
			for _, o := range f.Related {
				if !seen[o["observation-uuid"]] {
					t.Errorf("%s relates to an observation that is not there", f.Title)
				}
			}
			if f.Target.Type != "statement-id" || f.Description == "" {
				t.Errorf("%+v", f)
			}
		}
		if d := cmp.Diff(map[string]string{"I1": "satisfied", "I5": "not-satisfied", "P10": "satisfied"}, states); d != "" {
			t.Error(d)
		}
	})
}

func TestCoverageTurnsRedWhenWhatIsPublishedIsNotBacked(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		if st := h.run(t, "trust.coverage"); st.Verdict != capability.Unknown {
			t.Errorf("nothing is published: %s", st.Verdict)
		}
		filled(t, h)
		h.run(t, "trust.coverage")
		if st := h.run(t, "trust.coverage"); st.Verdict != capability.Pass || st.Checked != 4 { // with the sentence that coverage itself backs
			t.Errorf("all is backed: %+v", st)
		}
		h.now = start.Add(21 * time.Minute)
		if st := h.run(t, "trust.coverage"); st.Verdict != capability.Fail || st.Failed != 3 {
			t.Errorf("the controls fell silent: %+v", st)
		}
		for _, c := range []string{"oidc.conformance", "id.unique"} {
			h.run(t, c)
		}
		if st := h.run(t, "trust.coverage"); st.Verdict != capability.Pass {
			t.Errorf("they ran again: %+v", st)
		}
		a, err := h.Attestations(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		h.now = a[0].ValidUntil
		h.run(t, "oidc.conformance")
		h.run(t, "id.unique")
		h.run(t, "trust.coverage")
		if st := h.run(t, "trust.coverage"); st.Verdict != capability.Fail || st.Failed != 1 {
			t.Errorf("the attestation lapsed: %+v", st)
		}
	})
}

func TestParityTurnsRedWhenALanguageSaysSomethingElse(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		v := capability.Pass
		h.with("password.length", capability.Proven, &v, "I7")
		h.run(t, "password.length")
		if st := h.run(t, "trust.parity"); st.Verdict != capability.Pass || st.Checked != 1 {
			t.Errorf("all is equal: %+v", st)
		}
		h.run(t, "trust.parity") // now the page states what parity backs, too
		for _, c := range []struct {
			name     string
			old, new string
			want     capability.Verdict
		}{
			{"nothing is changed", "<html", "<html", capability.Pass},
			{"a statement is missing", `data-statement="I7"`, ``, capability.Fail},
			{"a verdict differs", `data-statement="I7" data-verdict="pass"`, `data-statement="I7" data-verdict="fail"`, capability.Fail},
			{"a sentence has another value", h.Sentence("fr", h.standing(t, "I7").Statement, nil), "Un mot de passe a au moins 4 caractères.", capability.Fail},
			{"the page says it is in another language", `<html lang="fr"`, `<html lang="en"`, capability.Unknown},
		} {
			h.Trust.Probe = func() trust.Probe {
				return trust.Probe{Base: h.url, Client: func() *http.Client { return &http.Client{Transport: forger{c.old, c.new}} }}
			}
			if st := h.run(t, "trust.parity"); st.Verdict != c.want {
				t.Errorf("%s: %s, want %s", c.name, st.Verdict, c.want)
			}
		}
	})
}

// forger changes the French page on its way to the reader.
type forger struct{ old, new string }

func (f forger) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil || r.Header.Get("Accept-Language") != "fr" {
		return resp, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(bytes.ReplaceAll(body, []byte(f.old), []byte(f.new))))
	return resp, nil
}

func TestTheSecurityContactIsCheckedAsAnybodyFindsIt(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		for _, c := range []struct {
			name string
			txt  face.SecurityTxt
			want capability.Verdict
		}{
			{"no contact is set", face.SecurityTxt{}, capability.NotApplicable},
			{"a contact that holds", face.SecurityTxt{Contact: []string{"mailto:security@example.com", "https://example.com/report"}, Policy: "https://example.com/policy", Expires: start.AddDate(0, 0, 30)}, capability.Pass},
			{"an expiry in less than 30 days", face.SecurityTxt{Contact: []string{"mailto:security@example.com"}, Expires: start.AddDate(0, 0, 30).Add(-time.Second)}, capability.Fail},
			{"no expiry", face.SecurityTxt{Contact: []string{"mailto:security@example.com"}}, capability.Fail},
			{"a contact that is no address", face.SecurityTxt{Contact: []string{"security@example.com"}, Expires: start.AddDate(1, 0, 0)}, capability.Fail},
		} {
			h.SecurityTxt = c.txt
			if st := h.run(t, "contact.securitytxt"); st.Verdict != c.want {
				t.Errorf("%s: %s", c.name, st.Verdict)
			}
		}
	})
}

func FuzzParseSecurityTxt(f *testing.F) {
	f.Add([]byte("Contact: mailto:a@example.com\nExpires: 2027-01-01T00:00:00Z\n"))
	f.Add([]byte("# comment\r\nContact: https://example.com\r\nExpires: 2027-01-01T00:00:00z\r\nExpires: 2027-01-01T00:00:00Z\r\n"))
	f.Add([]byte("Contact security"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := face.ParseSecurityTxt(raw)
		if err == nil && (len(got.Contact) == 0 || !bytes.Contains(bytes.ToLower(raw), []byte("expires"))) {
			t.Errorf("%q was accepted as %+v", raw, got)
		}
	})
}

func TestStaffKeepTheRegisterByPage(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		post := func(path, media string, body io.Reader) (*http.Response, string) {
			return h.ask(t, "POST", path, body, "Authorization", "staff", "Content-Type", media)
		}
		form := func(path string, pairs ...string) *http.Response {
			v := url.Values{}
			for i := 0; i+1 < len(pairs); i += 2 {
				v.Set(pairs[i], pairs[i+1])
			}
			resp, body := post(path, "application/x-www-form-urlencoded", strings.NewReader(v.Encode()))
			if resp.StatusCode >= 500 {
				t.Fatalf("%s: %d %s", path, resp.StatusCode, body)
			}
			return resp
		}
		if resp := form("/console/staff/trust-profile", "profile", "dastra"); resp.StatusCode != 303 {
			t.Errorf("profile: %d", resp.StatusCode)
		}
		if resp := form("/console/staff/trust-profile", "profile", "nobody"); resp.StatusCode != 422 {
			t.Errorf("no such profile: %d", resp.StatusCode)
		}
		if resp := form("/console/staff/statements/I7", "value.length", "22"); resp.StatusCode != 303 {
			t.Errorf("value: %d", resp.StatusCode)
		}
		if resp := form("/console/staff/statements/I7", "value.length", "many"); resp.StatusCode != 422 {
			t.Errorf("bad value: %d", resp.StatusCode)
		}
		if resp := form("/console/staff/statements/I7", "act", "aside", "reason", "for now"); resp.StatusCode != 303 {
			t.Errorf("aside: %d", resp.StatusCode)
		}
		if st := h.standing(t, "I7"); !st.Aside || !cmp.Equal(st.Values["length"], catalogue.V("22")) {
			t.Errorf("%+v", st.Values)
		}
		attest := func(until string) (*http.Response, string) {
			var b bytes.Buffer
			m := multipart.NewWriter(&b)
			for k, v := range map[string]string{"owner/name": "Grace Hopper", "owner/email": "grace@example.com", "reviewer/name": "Alan Turing", "reviewer/email": "alan@example.com",
				"valid_from": "2026-11-01", "valid_until": until, "visibility": "public"} {
				if err := m.WriteField(k, v); err != nil {
					t.Fatal(err)
				}
			}
			w, err := m.CreateFormFile("evidence", "report.pdf")
			if err != nil {
				t.Fatal(err)
			}
			w.Write([]byte("%PDF-1.7 report"))
			m.Close()
			return post("/console/staff/statements/P10/attest", m.FormDataContentType(), &b)
		}
		if resp, body := attest("2026-01-01"); resp.StatusCode != 422 || !strings.Contains(body, "Grace Hopper") || !strings.Contains(body, `id="e-valid_until"`) {
			t.Errorf("a term that is over: %d", resp.StatusCode)
		}
		if resp, _ := attest("2027-06-30"); resp.StatusCode != 303 {
			t.Fatalf("attest: %d", resp.StatusCode)
		}
		all, err := h.Attestations(t.Context())
		if err != nil || len(all) != 1 || !all[0].ValidUntil.Equal(time.Date(2027, 7, 1, 0, 0, 0, 0, time.UTC)) {
			t.Fatalf("%+v, %v", all, err)
		}
		resp, file := h.ask(t, "GET", "/trust/evidence/"+all[0].ID.String(), nil)
		if resp.StatusCode != 200 || file != "%PDF-1.7 report" || !strings.HasPrefix(resp.Header.Get("Content-Disposition"), "attachment") || resp.Header.Get("Content-Type") != "application/octet-stream" {
			t.Errorf("evidence: %d %v", resp.StatusCode, resp.Header)
		}
		if resp := form("/console/staff/attestations/"+all[0].ID.String()+"/withdraw", "reason", "wrong file"); resp.StatusCode != 303 {
			t.Errorf("withdraw: %d", resp.StatusCode)
		}
		if resp, _ := h.ask(t, "GET", "/trust/evidence/"+all[0].ID.String(), nil); resp.StatusCode != 404 {
			t.Errorf("evidence of a withdrawn attestation: %d", resp.StatusCode)
		}
		if resp, _ := h.ask(t, "GET", "/console/staff/statements", nil); resp.StatusCode == 200 {
			t.Error("a visitor sees the staff's page")
		}
	})
}

func TestStaffKeepTheRegisterByAPI(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		call := func(method, path string, in, out any) int {
			var body io.Reader
			header := []string{"Authorization", "staff"}
			if in != nil {
				raw, err := json.Marshal(in)
				if err != nil {
					t.Fatal(err)
				}
				body, header = bytes.NewReader(raw), append(header, "Content-Type", "application/json")
				if method == "PATCH" {
					header[3] = "application/merge-patch+json"
				}
			}
			resp, got := h.ask(t, method, "/api/v1/installation"+path, body, header...)
			if out != nil && resp.StatusCode < 300 {
				if err := json.Unmarshal([]byte(got), out); err != nil {
					t.Fatalf("%s: %v", got, err)
				}
			}
			if resp.StatusCode >= 400 && resp.StatusCode != 404 && resp.StatusCode != 409 {
				t.Logf("%s %s: %d %s", method, path, resp.StatusCode, got)
			}
			return resp.StatusCode
		}
		var list struct{ Items []register.Report }
		if code := call("GET", "/statements?verdict=planned", nil, &list); code != 200 || len(list.Items) < 100 {
			t.Errorf("%d, %d statements", code, len(list.Items))
		}
		var one register.Report
		if code := call("PATCH", "/statements/I7", map[string]any{"aside": true, "values": map[string]any{"length": []string{"25"}}, "reason": "r"}, &one); code != 200 || !one.Aside || !cmp.Equal(one.Values["length"], []string{"25"}) {
			t.Errorf("%d %+v", code, one)
		}
		if code := call("PATCH", "/statements/I7", map[string]any{"values": map[string]any{"length": []string{"x"}}}, nil); code != 400 {
			t.Errorf("bad value: %d", code)
		}
		if code := call("GET", "/statements/Z1", nil, nil); code != 404 {
			t.Errorf("unknown: %d", code)
		}
		var profile struct{ Profile string }
		if code := call("PUT", "/trust-profile", map[string]any{"profile": "kreo"}, &profile); code != 200 || profile.Profile != "kreo" {
			t.Errorf("%d %+v", code, profile)
		}
		var a register.Attestation
		in := map[string]any{"statement": "P10", "visibility": "on_request", "valid_until": "2027-06-30T00:00:00Z",
			"owner": map[string]any{"name": "Grace Hopper", "email": "grace@example.com"}, "reviewer": map[string]any{"name": "Alan Turing", "email": "alan@example.com"},
			"evidence": map[string]any{"name": "r.pdf", "media_type": "application/pdf", "content": base64.StdEncoding.EncodeToString([]byte("file"))}}
		if code := call("POST", "/attestations", in, &a); code != 201 || a.File == nil || a.File.Size != 4 {
			t.Fatalf("%d %+v", code, a)
		}
		if resp, _ := h.ask(t, "GET", "/trust/evidence/"+a.ID.String(), nil); resp.StatusCode != 404 {
			t.Errorf("a visitor has the file that is given on request: %d", resp.StatusCode)
		}
		if resp, got := h.ask(t, "GET", "/api/v1/installation/attestations/"+a.ID.String()+"/evidence", nil, "Authorization", "staff"); resp.StatusCode != 200 || got != "file" {
			t.Errorf("staff: %d %s", resp.StatusCode, got)
		}
		if code := call("POST", "/attestations/"+a.ID.String()+"/withdraw", map[string]any{"reason": "r"}, &a); code != 200 || a.State != register.StateWithdrawn {
			t.Errorf("%d %+v", code, a)
		}
		if code := call("POST", "/attestations/"+a.ID.String()+"/withdraw", map[string]any{}, nil); code != 409 {
			t.Errorf("twice: %d", code)
		}
		in["owner"] = in["reviewer"]
		if code := call("POST", "/attestations", in, nil); code != 400 {
			t.Errorf("one person twice: %d", code)
		}
	})
}

func BenchmarkTheTrustPageAgainstATrivialHandler(b *testing.B) {
	h := newHouse(b, storetest.Open(b, manifests()))
	filled(b, h)
	for _, path := range []string{"/trust", "/.well-known/security.txt"} {
		h.SecurityTxt = face.SecurityTxt{Contact: []string{"mailto:security@example.com"}, Expires: start.AddDate(1, 0, 0)}
		b.Run(strings.TrimPrefix(path, "/"), func(b *testing.B) {
			for b.Loop() {
				h.get(b, path, "Accept-Encoding", "gzip")
			}
		})
	}
}
