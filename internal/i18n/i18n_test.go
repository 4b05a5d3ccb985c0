package i18n_test

import (
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/rempart/rempart/internal/i18n"
)

func source(en, fr, nl string) i18n.Source {
	return i18n.Source{Name: "cap", FS: fstest.MapFS{"en.json": {Data: []byte(en)}, "fr.json": {Data: []byte(fr)}, "nl.json": {Data: []byte(nl)}}}
}

func load(t testing.TB, en, fr, nl string) *i18n.Bundle {
	t.Helper()
	b, err := i18n.Load(source(en, fr, nl))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestLoadRefusesLanguagesThatDiffer(t *testing.T) {
	good := `{"cap.a":"x {{.Name}}"}`
	for _, c := range []struct{ name, en, fr, nl, want string }{
		{"a key is missing", good, `{}`, good, `cap/fr.json: no text for "cap.a"`},
		{"a key is in one only", good, good, `{"cap.a":"x {{.Name}}","cap.b":"y"}`, `cap/en.json: no text for "cap.b"`},
		{"another capability's key", good, good, `{"cap.a":"x {{.Name}}","other.b":"y"}`, `does not begin with "cap."`},
		{"placeholders differ", good, `{"cap.a":"x {{.Nom}}"}`, good, "placeholders"},
		{"plural in one only", good, `{"cap.a":{"other":"x {{.Name}}"}}`, good, "plural in one language only"},
		{"code between braces", good, `{"cap.a":"x {{printf .Name}}"}`, good, "not a placeholder"},
		{"braces not closed", good, `{"cap.a":"x {{.Name"}`, good, "not closed"},
		{"a plural without other", good, `{"cap.a":{"one":"x"}}`, good, `no form "other"`},
		{"a form nobody knows", good, `{"cap.a":{"other":"x","lots":"y"}}`, good, "unknown plural form"},
		{"an empty text", good, `{"cap.a":""}`, good, "is empty"},
		{"no JSON", good, `{`, good, "fr.json"},
		{"not flat", good, `{"cap.a":{"b":{"c":"d"}}}`, good, "neither a text nor plural forms"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := i18n.Load(source(c.en, c.fr, c.nl)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q in it", err, c.want)
			}
		})
	}
	if _, err := i18n.Load(source(good, good, good), source(good, good, good)); err == nil || !strings.Contains(err.Error(), "in another file too") {
		t.Errorf("a source twice: %v", err)
	}
}

func TestTextsFollowTheLanguage(t *testing.T) {
	b := load(t,
		`{"cap.hello":"Hello {{.Name}}","cap.n":{"one":"{{.Count}} member of {{.Org}}","other":"{{.Count}} members of {{.Org}}"},"cap.when":"On {{.At}}, for {{.For}}"}`,
		`{"cap.hello":"Bonjour {{.Name}}","cap.n":{"one":"{{.Count}} membre de {{.Org}}","many":"{{.Count}} de membres de {{.Org}}","other":"{{.Count}} membres de {{.Org}}"},"cap.when":"Le {{.At}}, pour {{.For}}"}`,
		`{"cap.hello":"Hallo {{.Name}}","cap.n":{"one":"{{.Count}} lid van {{.Org}}","other":"{{.Count}} leden van {{.Org}}"},"cap.when":"Op {{.At}}, voor {{.For}}"}`)
	at := time.Date(2026, 2, 1, 15, 4, 0, 0, time.FixedZone("", 3600))
	for _, c := range []struct {
		name, lang, key string
		args            []any
		want            string
	}{
		{"a placeholder", "fr", "cap.hello", []any{"Name", "Inès"}, "Bonjour Inès"},
		{"a map", "nl", "cap.hello", []any{map[string]any{"Name": "Joris"}}, "Hallo Joris"},
		{"a map of another type", "nl", "cap.hello", []any{args{"Name": "Joris"}}, "Hallo Joris"},
		{"a value that looks like a placeholder stays", "en", "cap.hello", []any{"Name", "{{.Org}}"}, "Hello {{.Org}}"},
		{"none is plural in English", "en", "cap.n", []any{"Count", 0, "Org", "Acme"}, "0 members of Acme"},
		{"none is singular in French", "fr", "cap.n", []any{"Count", 0, "Org", "Acme"}, "0 membre de Acme"},
		{"one", "nl", "cap.n", []any{"Count", int64(1), "Org", "Acme"}, "1 lid van Acme"},
		{"many, grouped", "en", "cap.n", []any{"Count", 12345, "Org", "Acme"}, "12,345 members of Acme"},
		{"a million in French", "fr", "cap.n", []any{"Count", 1000000, "Org", "Acme"}, "1\u202f000\u202f000 de membres de Acme"},
		{"instants and durations", "fr", "cap.when", []any{"At", at, "For", 90 * time.Minute}, "Le 1er févr. 2026 à 14:04\u00a0UTC, pour 1 heure 30 minutes"},
		{"an unknown language is English", "de", "cap.hello", []any{"Name", "x"}, "Hello x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b.Missing = func(lang, key string) { t.Errorf("missing %s in %s", key, lang) }
			if got := b.T(c.lang, c.key, c.args...); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

type args map[string]any

func TestAMissingTextIsToldAndHarmless(t *testing.T) {
	b := load(t, `{"cap.a":"x {{.Name}}"}`, `{"cap.a":"x {{.Name}}"}`, `{"cap.a":"x {{.Name}}"}`)
	var told []string
	b.Missing = func(lang, key string) { told = append(told, lang+" "+key) }
	if got := b.T("fr", "cap.none"); got != "[cap.none]" {
		t.Errorf("got %q", got)
	}
	if got := b.T("fr", "cap.a"); got != "x " {
		t.Errorf("got %q", got)
	}
	if strings.Join(told, "; ") != "fr cap.none; fr cap.a{Name}" {
		t.Errorf("told %v", told)
	}
	if b.Has("cap.none") || !b.Has("cap.a") {
		t.Error("Has is wrong")
	}
}

func TestMatchChoosesTheBestWeightedLanguage(t *testing.T) {
	for in, want := range map[string]string{
		"": "en", "fr": "fr", "fr-BE,nl;q=0.9": "fr", "de, nl;q=0.7, fr;q=0.8": "fr", "de": "en", "*": "en", "nl-NL": "nl", "fr;q=0": "en",
		"NL": "nl", "fr;q=x, nl": "nl", "en;q=0.1, nl;q=0.2": "nl", ";;,,": "en", strings.Repeat("fr,", 1000): "fr",
	} {
		if got := i18n.Match(in); got != want {
			t.Errorf("%.40q: %s, want %s", in, got, want)
		}
	}
}

func TestNumbersAndTimesFollowTheLanguage(t *testing.T) {
	b := load(t, `{"cap.a":"x"}`, `{"cap.a":"x"}`, `{"cap.a":"x"}`)
	now := time.Date(2026, 11, 22, 7, 0, 0, 0, time.UTC)
	for _, c := range []struct{ got, want string }{
		{i18n.Number("en", 1234), "1234"}, {i18n.Number("nl", -1234567), "−1.234.567"}, {i18n.Number("fr", 12345), "12\u202f345"},
		{i18n.Decimal("fr", 99.50, 2), "99,5"}, {i18n.Decimal("en", -0.001, 1), "0"}, {i18n.Decimal("en", 1234567.25, 2), "1,234,567.25"},
		{i18n.Percent("fr", 0.995, 1), "99,5\u202f%"}, {i18n.Percent("en", 1, 1), "100%"},
		{i18n.Bytes("en", 999), "999\u00a0B"}, {i18n.Bytes("fr", 1536000), "1,5\u00a0Mo"}, {i18n.Bytes("nl", 2_000_000_000), "2\u00a0GB"},
		{i18n.Date("nl", now), "22 nov 2026"}, {i18n.LongDate("fr", time.Date(2026, 8, 1, 0, 0, 0, 0, time.UTC)), "1er août 2026"},
		{i18n.DateTime("en", now), "22 Nov 2026, 07:00\u00a0UTC"},
		{b.Ago("en", now.Add(-10*time.Second), now), "just now"}, {b.Ago("fr", now.Add(-3*time.Minute), now), "il y a 3 minutes"},
		{b.Ago("nl", now.Add(-25*time.Hour), now), "gisteren"}, {b.Ago("en", now.Add(5*time.Hour), now), "in 5 hours"},
		{b.Ago("fr", now.Add(26*time.Hour), now), "demain"}, {b.Ago("en", now.Add(-40*24*time.Hour), now), "13 Oct 2026"},
		{b.Duration("en", 26*time.Hour), "1 day 2 hours"}, {b.Duration("nl", 3*time.Hour), "3 uur"}, {b.Duration("en", 24*time.Hour+time.Minute), "1 day"},
		{b.Duration("fr", 250*time.Millisecond), "250 millisecondes"}, {b.Duration("en", 0), "0 milliseconds"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func FuzzMatch(f *testing.F) {
	for _, s := range []string{"fr, en;q=0.5", ";q=", "*;q=2", "nl;q=0.333"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got := i18n.Match(s); got != "en" && got != "fr" && got != "nl" {
			t.Errorf("%q gave %q", s, got)
		}
	})
}

func FuzzLoad(f *testing.F) {
	f.Add(`{"cap.a":"x {{.Name}}"}`)
	f.Add(`{"cap.a":{"one":"{{.Count}}","other":"{{.Count}}s"}}`)
	f.Add(`{"cap.a":"{{"}`)
	f.Fuzz(func(t *testing.T, s string) {
		b, err := i18n.Load(source(s, s, s))
		if err != nil {
			return
		}
		for _, key := range b.Keys() {
			b.T("fr", key, "Count", 2)
		}
	})
}
