package catalogue_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rempart/rempart/internal/i18n"
	"github.com/rempart/rempart/internal/register/catalogue"
)

func TestASentencePrintsTheValuesInForce(t *testing.T) {
	cases := []struct {
		name, id, lang string
		params         catalogue.Params
		want           string
	}{
		{"a default count", "I7", "en", nil, "Passwords have at least 15 characters."},
		{"a given count", "I7", "fr", catalogue.Params{"length": catalogue.V("10")}, "Les mots de passe comptent au moins 10 caractères."},
		{"a duration of one is singular", "L11", "en", catalogue.Params{"retention": catalogue.V("P1M")}, "Log records stay searchable in the live log for 1 month."},
		{"a duration of many is plural", "L11", "nl", catalogue.Params{"retention": catalogue.V("P3M")}, "Logregels blijven 3 maanden doorzoekbaar in het actieve logboek."},
		{"Dutch hours have no plural", "D3", "nl", nil, "De verwijdering van een organisatie is binnen 24 uur voltooid: een zoekactie in elke opslag vindt er niets meer van."},
		{"two parameters of one kind stay apart", "D4", "en", catalogue.Params{"term": catalogue.V("P6M")}, "Backups that still hold deleted data become unreadable within 24 hours and are destroyed within 6 months."},
		{"a name as it is", "H1", "en", catalogue.Params{"provider": catalogue.V("Example Cloud")}, "Customer data is hosted by Example Cloud."},
		{"a term in its language", "H8", "nl", catalogue.Params{"provider": catalogue.V("OVH"), "site": catalogue.V("@gravelines")}, "De infrastructuur draait bij OVH, op deze locatie: Gravelines (Frankrijk)."},
		{"a list of three", "Q2", "en", catalogue.Params{"scope": catalogue.V("@rest-api", "@authentication-service", "@widgets")}, "The penetration test covers every public host: the REST API, the authentication service and the widgets."},
		{"a list whose parts hold commas", "H5", "en", catalogue.Params{"places": catalogue.V("@paris", "@marseille")}, "Backups are stored at a site other than the primary one: Paris, France; Marseille, France."},
		{"a month, with the space that French keeps", "Q3", "fr", catalogue.Params{"date": catalogue.V("2023-09")}, "Dernier test d’intrusion par un tiers indépendant\u00a0: septembre 2023."},
		{"a day", "Q3", "nl", catalogue.Params{"date": catalogue.V("2022-01-25")}, "Laatste penetratietest door een onafhankelijke derde partij: 25 januari 2022."},
		{"a percentage", "H21", "en", nil, "Peak network load stayed under 70% of the available capacity, measured over 30 days."},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := find(t, c.id).Text(c.lang, c.params)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAValueThatDoesNotFitIsRefused(t *testing.T) {
	cases := []struct {
		name, id, param string
		value           catalogue.Value
	}{
		{"a parameter of another statement", "I7", "classes", catalogue.V("3")},
		{"no value", "I7", "length", catalogue.V()},
		{"two values for one", "I7", "length", catalogue.V("8", "10")},
		{"a word for a count", "I7", "length", catalogue.V("ten")},
		{"a count below the least", "I7", "length", catalogue.V("1")},
		{"a count above the greatest", "I8", "classes", catalogue.V("5")},
		{"a count with leading zero", "I7", "length", catalogue.V("010")},
		{"a negative count", "I7", "length", catalogue.V("-10")},
		{"words for a duration", "L11", "retention", catalogue.V("1 month")},
		{"a percentage above 100", "H21", "limit", catalogue.V("101")},
		{"a month that does not exist", "Q3", "date", catalogue.V("2023-13")},
		{"a day that does not exist", "Q3", "date", catalogue.V("2023-02-30")},
		{"a term that does not exist", "H1", "provider", catalogue.V("@nobody")},
		{"a placeholder as value", "H1", "provider", catalogue.V("{provider}")},
		{"a line break", "H1", "provider", catalogue.V("a\nb")},
		{"an empty part of a list", "H5", "places", catalogue.V("@paris", "")},
		{"an empty list", "H5", "places", catalogue.V()},
		{"a name of a thousand letters", "H1", "provider", catalogue.V(strings.Repeat("x", 1000))},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := find(t, c.id)
			params := catalogue.Params{c.param: c.value}
			if err := s.Check(params); !errors.Is(err, catalogue.ErrParam) {
				t.Errorf("Check: got %v, want ErrParam", err)
			}
			if text, err := s.Text("en", params); !errors.Is(err, catalogue.ErrParam) {
				t.Errorf("Text: got %q, %v, want ErrParam", text, err)
			}
		})
	}
	if _, err := find(t, "I7").Text("de", nil); err == nil {
		t.Error("a text in an unknown language")
	}
}

func TestTheThreeLanguagesHaveTheSameParametersAndNumbers(t *testing.T) {
	for _, s := range loaded(t).Statements() {
		texts := map[string]string{}
		for _, lang := range i18n.Languages {
			texts[lang] = s.Template(lang)
		}
		if found := catalogue.LintParity(texts); found != nil {
			t.Errorf("%s: %v", s.ID, found)
		}
	}
}

func TestValuesInJSON(t *testing.T) {
	cases := []struct {
		raw  string
		want catalogue.Value
		out  string
	}{
		{`"a"`, catalogue.V("a"), `"a"`},
		{`12`, catalogue.V("12"), `"12"`},
		{`["a","b"]`, catalogue.V("a", "b"), `["a","b"]`},
	}
	for _, c := range cases {
		var got catalogue.Value
		if err := json.Unmarshal([]byte(c.raw), &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Error(diff)
		}
		if out, err := json.Marshal(got); err != nil || string(out) != c.out {
			t.Errorf("%s becomes %s, %v", c.raw, out, err)
		}
	}
	for _, raw := range []string{`true`, `1.5`, `{"a":1}`, `[1]`} {
		var got catalogue.Value
		if json.Unmarshal([]byte(raw), &got) == nil {
			t.Errorf("%s is read as %v", raw, got)
		}
	}
}

func TestPeriodsFollowTheCalendar(t *testing.T) {
	from := time.Date(2024, 1, 31, 12, 0, 0, 0, time.UTC)
	cases := map[string]time.Time{
		"PT90S": time.Date(2024, 1, 31, 12, 1, 30, 0, time.UTC),
		"PT5M":  time.Date(2024, 1, 31, 12, 5, 0, 0, time.UTC),
		"PT24H": time.Date(2024, 2, 1, 12, 0, 0, 0, time.UTC),
		"P30D":  time.Date(2024, 3, 1, 12, 0, 0, 0, time.UTC),
		"P52W":  time.Date(2025, 1, 29, 12, 0, 0, 0, time.UTC),
		"P12M":  time.Date(2025, 1, 31, 12, 0, 0, 0, time.UTC),
		"P1Y":   time.Date(2025, 1, 31, 12, 0, 0, 0, time.UTC),
	}
	for raw, want := range cases {
		p, err := catalogue.ParsePeriod(raw)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.AddTo(from); !got.Equal(want) {
			t.Errorf("%s after %v is %v, want %v", raw, from, got, want)
		}
	}
}

func FuzzParsePeriod(f *testing.F) {
	for _, seed := range []string{"PT24H", "P30D", "P3M", "P1Y", "P52W", "PT5M", "P", "PT", "P0D", "P01D", "P1DT1H", "p1d", "P99999999999999999999D", "P-1D", "P1.5D", "T1H", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := catalogue.ParsePeriod(s)
		if err != nil {
			return
		}
		if p.String() != s {
			t.Errorf("%q is read as %q", s, p)
		}
		for _, lang := range i18n.Languages {
			if words := strings.Fields(p.Text(lang)); len(words) < 2 {
				t.Errorf("%q in %s is %q", s, lang, p.Text(lang))
			}
		}
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		if !p.AddTo(now).After(now) {
			t.Errorf("%q does not move the clock", s)
		}
	})
}
