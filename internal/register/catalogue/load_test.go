package catalogue_test

import (
	"bytes"
	_ "embed"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rempart/rempart/internal/i18n"
	"github.com/rempart/rempart/internal/register/catalogue"
)

// index gives, for each sentence of the source pages, its statement. It was
// made apart from the catalogue.
//
//go:embed testdata/index.txt
var index string

func loaded(t testing.TB) *catalogue.Catalogue {
	t.Helper()
	c, err := catalogue.Load()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func find(t testing.TB, id string) catalogue.Statement {
	t.Helper()
	s, ok := loaded(t).Find(id)
	if !ok {
		t.Fatalf("no statement %s", id)
	}
	return s
}

func TestEverySourceSentenceLeadsToTheStatementOfTheIndex(t *testing.T) {
	c := loaded(t)
	lines := strings.Split(strings.TrimSpace(index), "\n")
	if len(lines) != 275 {
		t.Fatalf("index has %d lines", len(lines))
	}
	mapped := 0
	for _, s := range c.Statements() {
		mapped += len(s.Sources)
	}
	if mapped != len(lines) {
		t.Errorf("catalogue maps %d sources, index %d", mapped, len(lines))
	}
	for _, line := range lines {
		source, want, _ := strings.Cut(line, " ")
		if got, ok := c.FindSource(source); !ok || got.ID != want {
			t.Errorf("%s leads to %q, want %s", source, got.ID, want)
		}
	}
}

func TestTheRegisterHasItsCounts(t *testing.T) {
	kinds, classes, merged := map[catalogue.Kind]int{}, map[catalogue.Class]int{}, 0
	statements := loaded(t).Statements()
	for _, s := range statements {
		kinds[s.Kind]++
		classes[s.Class]++
		if len(s.Sources) > 1 {
			merged++
		}
	}
	if len(statements) != 192 || merged != 49 {
		t.Errorf("%d statements, %d of them merged; want 192 and 49", len(statements), merged)
	}
	if diff := cmp.Diff(map[catalogue.Kind]int{catalogue.Product: 93, catalogue.Operation: 53, catalogue.Organizational: 46}, kinds); diff != "" {
		t.Error(diff)
	}
	// The strongest of the classes that the control of each row can give,
	// where observed and recorded outrank external.
	want := map[catalogue.Class]int{catalogue.Proven: 84, catalogue.Observed: 51, catalogue.Recorded: 27, catalogue.External: 9, catalogue.Attested: 21}
	if diff := cmp.Diff(want, classes); diff != "" {
		t.Error(diff)
	}
}

func TestNegativeStatementsHaveTheValueThatAControlMustRead(t *testing.T) {
	got := map[string]string{}
	for _, s := range loaded(t).Statements() {
		if s.Negative {
			got[s.ID] = s.Expected
		}
	}
	want := map[string]string{"I16": "false", "M16": "false", "N14": "off", "Q4": "0", "Q9": "none"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Conflict K15: a sentence of the page with three versions that not all of them
// carry.
func TestConflictK15MarksWhatNotEveryVersionCarries(t *testing.T) {
	for _, s := range loaded(t).Statements() {
		versions := map[string]bool{}
		for _, source := range s.Sources {
			if strings.HasPrefix(source, "DAS-") {
				versions[source[:6]] = true
			}
		}
		want := len(versions) == 1 || len(versions) == 2
		if got := slices.Contains(s.Conflicts, "K15"); got != want {
			t.Errorf("%s: K15 is %v, versions %v", s.ID, got, versions)
		}
	}
}

func TestEveryConflictOfTheSourcesIsCitedWithANoteInEachLanguage(t *testing.T) {
	c := loaded(t)
	cited := map[string]bool{}
	for _, s := range c.Statements() {
		for _, k := range s.Conflicts {
			cited[k] = true
		}
	}
	for _, k := range []string{"K1", "K2", "K3", "K4", "K5", "K6", "K7", "K8", "K8b", "K9", "K10", "K11", "K12", "K13", "K14", "K15"} {
		if !cited[k] {
			t.Errorf("%s is cited by no statement", k)
		}
		if c.Note("en", k) == c.Note("fr", k) || c.Note("fr", k) == c.Note("nl", k) {
			t.Errorf("%s is not translated", k)
		}
	}
	if c.Note("en", "K99") != "" || c.Note("de", "K1") != "" {
		t.Error("an unknown note or language has a text")
	}
}

func TestTextsAreTranslatedAndTypographicallyClean(t *testing.T) {
	for _, s := range loaded(t).Statements() {
		seen := map[string]string{}
		for _, lang := range i18n.Languages {
			text := s.Template(lang)
			if other := seen[text]; other != "" {
				t.Errorf("%s: %s and %s are the same", s.ID, other, lang)
			}
			seen[text] = lang
		}
	}
	for name, file := range catalogue.Embedded("statements") {
		if name == "statements.json" {
			continue
		}
		for _, bad := range []string{"'", "  ", " ,", " .", "\u00a0"} {
			if bytes.Contains(file.Data, []byte(bad)) && bad != "  " {
				t.Errorf("%s contains %q", name, bad)
			}
		}
		for line := range strings.Lines(string(file.Data)) {
			if strings.Contains(strings.TrimSpace(line), "  ") {
				t.Errorf("%s: double space in %s", name, line)
			}
		}
	}
}

func TestLookUpsOfWhatIsNotThere(t *testing.T) {
	c := loaded(t)
	if _, ok := c.Find("Z1"); ok {
		t.Error("found Z1")
	}
	if _, ok := c.FindSource("DAS-FR-52"); ok {
		t.Error("found DAS-FR-52")
	}
	if got := c.FindControl("no.such"); got != nil {
		t.Errorf("no.such is proposed by %v", got)
	}
}

func TestControlsLeadToTheirStatements(t *testing.T) {
	c := loaded(t)
	var got []string
	for _, s := range c.FindControl("log.schema") {
		got = append(got, s.ID)
	}
	if diff := cmp.Diff([]string{"L5", "L6", "L7", "L9"}, got); diff != "" {
		t.Error(diff)
	}
	all := c.Controls()
	if !slices.IsSorted(all) || len(slices.Compact(slices.Clone(all))) != len(all) {
		t.Error("controls are not sorted or not unique")
	}
	for _, id := range []string{"trust.coverage", "oidc.conformance", "password.storage", "tls.scan", "staff.logged"} {
		if !slices.Contains(all, id) {
			t.Errorf("%s is proposed by no statement", id)
		}
	}
}

func TestSectionsCoverTheStatementsInOrder(t *testing.T) {
	c := loaded(t)
	var got string
	for _, s := range c.Statements() {
		if !strings.HasSuffix(got, s.Section()) {
			got += s.Section()
		}
	}
	want := ""
	for _, s := range c.Sections() {
		want += s.Letter
	}
	if got != want || want != "GHIALTEBDNMSPQ" {
		t.Errorf("statements run through %s, sections %s", got, want)
	}
}

func TestOnlyOptInStatementsDoNotApplyByDefault(t *testing.T) {
	var got []string
	for _, s := range loaded(t).Statements() {
		if !s.Applies() {
			got = append(got, s.ID)
		}
	}
	if diff := cmp.Diff([]string{"I8", "I16", "I17", "M16", "Q9"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestWhatNoControlReachesIsUncovered(t *testing.T) {
	s := find(t, "D3")
	got := s.Uncovered(catalogue.PopulationStore, catalogue.PopulationCompany)
	want := []catalogue.Population{catalogue.PopulationSources, catalogue.PopulationHolder}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestABrokenRegisterDoesNotLoad(t *testing.T) {
	cases := []struct {
		name, file, old, new, want string
	}{
		{"a source mapped twice", "statements.json", `"DAS-FR-02"`, `"DAS-FR-03"`, "source DAS-FR-03 is in"},
		{"a source mapped to nothing", "statements.json", `"TSP-02"`, `"TSP-01"`, "source TSP-02 has no statement"},
		{"a source that does not exist", "statements.json", `"TSP-02"`, `"TSP-81"`, "unknown source"},
		{"a malformed source", "statements.json", `"TSP-02"`, `"TSP-00"`, "unknown source"},
		{"an id that stands twice", "statements.json", `"id": "G2"`, `"id": "G1"`, "G1 stands twice"},
		{"an id of no section", "statements.json", `"id": "G2"`, `"id": "Z2"`, "Z2 is in no section"},
		{"an unknown kind", "statements.json", `"kind": "ORG"`, `"kind": "XX"`, "unknown kind"},
		{"an unknown class", "statements.json", `"class": "proven"`, `"class": "sure"`, "unknown class"},
		{"an attested-only statement without need of attestation", "statements.json", `"class": "attested", "needs_attestation": true`, `"class": "attested"`, "needs no attestation"},
		{"an unknown population", "statements.json", `"population": ["company"]`, `"population": ["world"]`, "population"},
		{"no population", "statements.json", `"population": ["company"]`, `"population": []`, "no population"},
		{"a malformed control", "statements.json", `"trust.coverage"`, `"trust coverage"`, "malformed or double"},
		{"no control", "statements.json", `["trust.coverage"]`, `[]`, "no control"},
		{"a negative statement without its value", "statements.json", `"negative": true, "expected": "false"`, `"negative": true`, "expected value"},
		{"an expected value without a negative statement", "statements.json", `"negative": true, "expected": "false"`, `"expected": "false"`, "expected value"},
		{"a caveat without a note", "statements.json", `"caveat": "slogan"`, `"caveat": "sloganesque"`, "note sloganesque has no text"},
		{"a note that nothing uses", "notes.en.json", `"K1":`, `"K99":`, "used by no statement"},
		{"an exemption without a reason", "statements.json", `"strong authentication is the established name of what the guide is about"`, `" "`, "exemption"},
		{"an exemption from an unknown rule", "statements.json", `"lint_exempt": {"vague"`, `"lint_exempt": {"vagueness"`, "exemption"},
		{"a text that is missing", "fr.json", `"I7":`, `"I99":`, "no text in fr"},
		{"a text of no statement", "fr.json", `"I7":`, `"I99":`, "text of unknown I99"},
		{"a text that stands twice", "nl.json", `"I7":`, `"I6":`, "stands twice"},
		{"an empty text", "nl.json", `"G1": "`, `"G1": "", "G1b": "`, "has no text"},
		{"a text without a full stop", "en.json", `{length} characters.`, `{length} characters`, "no sentence"},
		{"a parameter in two languages only", "fr.json", `{length}`, `10`, "uses parameters"},
		{"a parameter of another name", "nl.json", `{length}`, `{lengte}`, "uses parameters"},
		{"a default that is no value", "statements.json", `"default": "P30D"`, `"default": "30 days"`, "no duration"},
		{"a default term that is unknown", "statements.json", `"@registered-provider"`, `"@registered"`, "no term"},
		{"a term in two languages only", "terms.nl.json", `"paris":`, `"parijs":`, "term paris has no text in nl"},
		{"a count that may be one", "statements.json", `"min": 2`, `"min": 1`, "least count"},
		{"an unknown member", "statements.json", `"caveat": "slogan"`, `"caveatt": "slogan"`, "unknown field"},
		{"a section without a title", "statements.json", `"fr": "Hébergement"`, `"fr": ""`, "no title in fr"},
		{"no JSON", "en.json", `{`, `[`, "no object"},
		{"a number for a text", "terms.en.json", `"paris": "Paris, France"`, `"paris": 1`, "has no text"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			root := catalogue.Embedded("statements")
			old := root[c.file].Data
			root[c.file].Data = bytes.Replace(old, []byte(c.old), []byte(c.new), 1)
			if bytes.Equal(old, root[c.file].Data) {
				t.Fatalf("%s does not hold %s", c.file, c.old)
			}
			_, err := catalogue.LoadFrom(root)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
	t.Run("a file that is missing", func(t *testing.T) {
		root := catalogue.Embedded("statements")
		delete(root, "notes.fr.json")
		if _, err := catalogue.LoadFrom(root); err == nil {
			t.Error("loaded without notes.fr.json")
		}
	})
}
