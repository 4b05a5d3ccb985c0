package catalogue_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rempart/rempart/internal/i18n"
	"github.com/rempart/rempart/internal/register/catalogue"
)

func profiles(t testing.TB) map[string]*catalogue.Profile {
	t.Helper()
	p, err := catalogue.LoadProfiles(loaded(t))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestEverySourceSentenceIsInExactlyItsProfile(t *testing.T) {
	home := map[string]string{"DAS": "dastra", "KRE": "kreo", "TSP": "talkspirit"}
	in := map[string][]string{}
	for _, name := range catalogue.ProfileNames {
		for _, s := range profiles(t)[name].Sentences {
			for _, id := range s.Sources {
				in[id] = append(in[id], name+" "+s.Row)
			}
		}
	}
	lines := strings.Split(strings.TrimSpace(index), "\n")
	for _, line := range lines {
		id, row, _ := strings.Cut(line, " ")
		if diff := cmp.Diff([]string{home[id[:3]] + " " + row}, in[id]); diff != "" {
			t.Errorf("%s: %s", id, diff)
		}
	}
	if len(in) != len(lines) {
		t.Errorf("%d sources in profiles, %d in the index", len(in), len(lines))
	}
}

func TestEachVersionRunsInTheOrderOfItsPage(t *testing.T) {
	cases := []struct {
		profile, version, prefix string
		sentences                int
	}{
		{"dastra", "fr", "DAS-FR", 51},
		{"dastra", "en", "DAS-EN", 27},
		{"dastra", "nl", "DAS-NL", 43},
		{"kreo", "fr", "KRE", 74},
		{"talkspirit", "fr", "TSP", 80},
	}
	for _, c := range cases {
		t.Run(c.prefix, func(t *testing.T) {
			var got, want []string
			for _, l := range profiles(t)[c.profile].Version(c.version) {
				for _, id := range l.Sources {
					if strings.HasPrefix(id, c.prefix) {
						got = append(got, id)
					}
				}
			}
			for n := 1; n <= c.sentences; n++ {
				want = append(want, fmt.Sprintf("%s-%02d", c.prefix, n))
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	if got := profiles(t)["kreo"].Version("en"); got != nil {
		t.Errorf("a page in French only has %d English sentences", len(got))
	}
}

func TestASentenceNamesTheVersionsThatCarryIt(t *testing.T) {
	p := profiles(t)["dastra"]
	cases := map[string][]string{"G1": {"fr", "en", "nl"}, "I19": {"fr"}, "Q2": {"nl"}, "I2": {"en", "nl"}, "H6": {"fr", "nl"}}
	for _, s := range p.Sentences {
		if want, ok := cases[s.Row]; ok {
			if diff := cmp.Diff(want, p.CarriedBy(s)); diff != "" {
				t.Errorf("%s: %s", s.Row, diff)
			}
		}
	}
}

func TestSentencesOfAProfilePrintItsValues(t *testing.T) {
	cases := []struct{ profile, row, lang, want string }{
		{"dastra", "H4", "en", "Production data is stored at these places: Paris, France; a store elsewhere is refused."},
		{"dastra", "I7", "nl", "Wachtwoorden tellen minstens 10 tekens."},
		{"dastra", "I11", "en", "Administrators can set a password renewal policy for all users: by age (90 days or more) or on evidence of compromise."},
		{"dastra", "B2", "fr", "Les sauvegardes sont conservées pendant 3 mois, et chaque exercice en restaure une choisie au hasard."},
		{"dastra", "B3", "en", "Data can be restored to a chosen second within a window of 7 days."},
		{"dastra", "D1", "nl", "Na verwijdering van een account worden de gegevens nog 1 maand bewaard en daarna definitief verwijderd."},
		{"kreo", "L11", "fr", "Les enregistrements restent consultables dans le journal en ligne pendant 1 mois."},
		{"kreo", "H7", "nl", "Gebruikersgegevens worden opgeslagen bij deze aanbieders en in deze landen: Amazon (Verenigd Koninkrijk) en Hetzner (Duitsland)."},
		{"kreo", "B4", "en", "Each backup point exists in at least 3 copies, in 2 formats, with one copy off site."},
		{"talkspirit", "L19", "en", "Server logs are rotated every week and kept on a remote server for 1 year."},
		{"talkspirit", "L20", "nl", "Logs van toegang tot servers gaan binnen 60 seconden naar een logplatform en worden 45 dagen bewaard."},
		{"talkspirit", "L21", "fr", "Les journaux applicatifs sont conservés pendant 20 jours, puis supprimés."},
		{"talkspirit", "B9", "fr", "Une seconde sauvegarde quotidienne des bases de données est envoyée vers un stockage objet distant et conservée pendant 52 semaines."},
	}
	for _, c := range cases {
		t.Run(c.profile+" "+c.row, func(t *testing.T) {
			p := profiles(t)[c.profile]
			got, err := find(t, c.row).Text(c.lang, p.Params(c.row))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestEveryLineOfEveryProfileHasTextAndHeadingInEachLanguage(t *testing.T) {
	for name, p := range profiles(t) {
		for _, l := range p.Lines() {
			if !l.Statement.Applies() {
				t.Errorf("%s: %s does not apply in its own profile", name, l.Row)
			}
			for _, lang := range i18n.Languages {
				if text, err := l.Statement.Text(lang, l.Params); err != nil || strings.ContainsAny(text, "{}@") {
					t.Errorf("%s: %s in %s: %q, %v", name, l.Row, lang, text, err)
				}
				if p.Heading(lang, l.Section) == "" {
					t.Errorf("%s: %s has no heading in %s", name, l.Row, lang)
				}
			}
		}
		if p.Heading("en", "no-such-section") != "" {
			t.Errorf("%s has a heading for no section", name)
		}
	}
}

func TestVersionsThatStateAnotherValueKeepIt(t *testing.T) {
	p := profiles(t)["dastra"]
	if v, ok := p.StatedBy("en", "I7.length"); !ok || !slices.Equal(v, catalogue.V("8")) {
		t.Errorf("en states %v, %v", v, ok)
	}
	if v, ok := p.StatedBy("fr", "I7.length"); ok {
		t.Errorf("fr states %v beside the value in force", v)
	}
}

func TestABrokenProfileDoesNotLoad(t *testing.T) {
	cases := []struct{ name, file, old, new, want string }{
		{"a sentence that is missing", "kreo.json", `["KRE-05"]`, `["KRE-06"]`, "source KRE-05 is missing"},
		{"a sentence under the wrong statement", "kreo.json", `"row": "H7"`, `"row": "H8"`, "not of H8"},
		{"a sentence of another page", "kreo.json", `["KRE-05"]`, `["TSP-31"]`, "not of H7"},
		{"an unknown statement", "kreo.json", `"row": "H7"`, `"row": "H99"`, "unknown statement"},
		{"a sentence without source", "kreo.json", `["KRE-05"]`, `[]`, "has no source"},
		{"two sources of one version", "dastra.json", `["DAS-FR-24", "DAS-NL-15"]`, `["DAS-FR-24", "DAS-NL-15", "DAS-NL-40"]`, "double"},
		{"a section that does not exist", "kreo.json", `"row": "H7", "section": "data-storage"`, `"row": "H7", "section": "storage"`, "unknown section"},
		{"a section without sentences", "kreo.json", `"row": "G2", "section": "header"`, `"row": "G2", "section": "introduction"`, "section header is empty"},
		{"a section without a title", "kreo.json", `"nl": "Gegevensopslag"`, `"nl": ""`, "no title in nl"},
		{"sentences out of the order of the page", "talkspirit.json",
			"{\"row\": \"G3\", \"section\": \"introduction\", \"sources\": [\"TSP-02\"]},\n    {\"row\": \"S1\", \"section\": \"application-code\", \"sources\": [\"TSP-03\"]}",
			"{\"row\": \"S1\", \"section\": \"application-code\", \"sources\": [\"TSP-03\"]},\n    {\"row\": \"G3\", \"section\": \"introduction\", \"sources\": [\"TSP-02\"]}", "out of the order"},
		{"a value that does not fit", "kreo.json", `"value": 3, "params": ["B4.copies"]`, `"value": "three", "params": ["B4.copies"]`, "whole number"},
		{"a value for a sentence of another page", "kreo.json", `["B4.copies"]`, `["I7.length"]`, "of no sentence of the page"},
		{"a value for an unknown parameter", "kreo.json", `["B4.copies"]`, `["B4.kopies"]`, "has none named"},
		{"two values for one parameter", "kreo.json", `["B4.formats"]`, `["B4.copies"]`, "two values"},
		{"a key that stands twice", "kreo.json", `"key": "backup.formats"`, `"key": "backup.copies"`, "double"},
		{"a fact that fills nothing", "kreo.json", `"value": "@united-kingdom", "params": ["H14.country"]`, `"value": "@united-kingdom"`, "fills no parameter"},
		{"a version that states what is in force", "dastra.json", `"param": "I7.length", "value": 8`, `"param": "I7.length", "value": 10`, "that is in force"},
		{"a version that does not exist", "dastra.json", `"version": "en", "param": "I7.length"`, `"version": "de", "param": "I7.length"`, "unknown version"},
		{"another name", "kreo.json", `"name": "kreo"`, `"name": "dastra"`, "calls itself"},
		{"no title", "kreo.json", `"en": "Sentences of the Kreo security page"`, `"en": ""`, "no title in en"},
		{"a version too few", "dastra.json", `["fr", "en", "nl"]`, `["fr", "en"]`, "2 versions"},
		{"an unknown member", "kreo.json", `"stated"`, `"said"`, "unknown field"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			root := catalogue.Embedded("profiles")
			old := root[c.file].Data
			root[c.file].Data = bytes.Replace(old, []byte(c.old), []byte(c.new), 1)
			if bytes.Equal(old, root[c.file].Data) {
				t.Fatalf("%s does not hold %s", c.file, c.old)
			}
			_, err := catalogue.LoadProfilesFrom(root, loaded(t))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}
