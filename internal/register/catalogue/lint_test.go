package catalogue_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rempart/rempart/internal/i18n"
	"github.com/rempart/rempart/internal/register/catalogue"
)

func TestLint(t *testing.T) {
	year := catalogue.Period{Count: 1, Unit: catalogue.Year}
	now := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	late := catalogue.Context{Now: now, Period: year}
	proven := catalogue.Context{Class: catalogue.Proven}
	external := catalogue.Context{Class: catalogue.External}
	observed := catalogue.Context{Class: catalogue.Observed}

	cases := []struct {
		name, lang, sentence string
		context              catalogue.Context
		want                 string // rules and words
	}{
		{"a plain sentence passes", "en", "Passwords have at least 15 characters.", observed, ""},
		{"a plain sentence passes", "fr", "Les mots de passe comptent au moins 15 caractères.", observed, ""},
		{"a plain sentence passes", "nl", "Wachtwoorden tellen minstens 15 tekens.", observed, ""},

		{"a relative date", "en", "This page was updated this week.", observed, "relative_date: this week"},
		{"a relative date", "fr", "Cette page a été mise à jour cette semaine.", observed, "relative_date: cette semaine"},
		{"a relative date", "nl", "Deze pagina is onlangs bijgewerkt.", observed, "relative_date: onlangs"},
		{"a relative date with an apostrophe", "fr", "C’est vrai aujourd’hui.", observed, "relative_date: aujourd hui"},

		{"a test without its date", "en", "The last audit found no weakness.", observed, "undated: last audit"},
		{"a test without its date", "fr", "Le dernier audit n’a rien révélé.", observed, "undated: dernier audit"},
		{"a test without its date", "nl", "De laatste audit vond niets.", observed, "undated: laatste audit"},
		{"a test with its year", "en", "The last audit in 2023 found no weakness.", observed, ""},
		{"a test with a date to be filled in", "nl", "De laatste audit ({report_date}) vond niets.", observed, ""},
		{"a parameter that is no date does not date it", "en", "The last audit by {auditor} found no weakness.", observed, "undated: last audit"},
		{"a promise without a date", "en", "A second factor is planned.", observed, "undated: planned"},
		{"a promise without a date", "fr", "Un second facteur est prévu.", observed, "undated: prévu"},
		{"a promise without a date", "nl", "Een tweede factor is gepland.", observed, "undated: gepland"},

		{"a date past its period", "en", "Last audit: 25 January 2022.", late, "old_date: 25 january 2022"},
		{"a date past its period", "fr", "Dernier audit : septembre 2023.", late, "old_date: septembre 2023"},
		{"a date past its period", "nl", "Laatste audit: 25 januari 2022.", late, "old_date: 25 januari 2022"},
		{"a date in figures past its period", "en", "Last audit: 2023-09-14.", late, "old_date: 2023-09-14"},
		{"a month in figures past its period", "fr", "Dernier audit : 2023-09.", late, "old_date: 2023-09"},
		{"a date within its period", "en", "Last audit: 2 June 2025.", late, ""},
		{"a month that ends within its period", "fr", "Dernier audit : juin 2025.", late, ""},
		{"a month that ended just before", "nl", "Laatste audit: april 2025.", late, "old_date: april 2025"},
		{"an old date without a period to judge it by", "en", "Last audit: 25 January 2022.", observed, ""},

		{"an absolute", "en", "Access is always impossible.", observed, "absolute: always | absolute: impossible"},
		{"an absolute", "fr", "L’accès n’est jamais possible, c’est garanti.", observed, "absolute: jamais | absolute: garanti"},
		{"an absolute", "nl", "Toegang is te allen tijde onmogelijk.", observed, "absolute: onmogelijk | absolute: te allen tijde"},
		{"a hundred percent", "en", "We are 100% safe.", observed, "absolute: 100 %"},
		{"a hundred percent", "fr", "Sûr à 100 %.", observed, "absolute: 100 %"},
		{"an absolute that is proven", "en", "A revoked key never opens the API.", proven, ""},
		{"an absolute seen from outside", "fr", "Le port n’est jamais ouvert.", external, ""},
		{"a superlative", "en", "Our provider offers the highest security.", observed, "superlative: highest"},
		{"a superlative", "fr", "Une sécurité parmi les plus élevées, au meilleur niveau.", observed, "superlative: meilleur | superlative: plus élevées | superlative: parmi les plus"},
		{"a superlative", "nl", "Wij bieden de hoogste beveiliging.", observed, "superlative: de hoogste | superlative: hoogste beveiliging"},
		{"at most is no superlative", "nl", "Dit duurt ten hoogste 5 minuten.", observed, ""},

		{"vagueness", "en", "Backups are tested regularly by robust tools.", proven, "vague: regularly | vague: robust"},
		{"vagueness", "fr", "Les sauvegardes sont testées régulièrement selon les meilleures pratiques.", proven, "vague: régulièrement | vague: meilleures pratiques"},
		{"vagueness", "nl", "Back-ups worden regelmatig en streng getest.", proven, "vague: regelmatig | vague: streng"},
		{"a word within a word is another word", "en", "The manyfold restrictions breakfast.", observed, ""},

		{"an open list", "en", "We scan hosts, ports, etc.", observed, "open_list: etc"},
		{"an open list", "fr", "Nous testons l’API, les widgets…", observed, "open_list: …"},
		{"an open list", "nl", "Wij testen onder andere de API.", observed, "open_list: onder andere"},

		{"a name that ages", "en", "Servers run Debian 9 with SSL.", observed, "aging: debian | aging: ssl | bare_number: 9"},
		{"a product that ages", "fr", "L’autorité utilise IdentityServer4.", observed, "aging: identityserver4"},

		{"a number without unit", "en", "The response time is under 5.", observed, "bare_number: 5"},
		{"a number without unit before a preposition", "fr", "La limite est de 5 par défaut.", observed, "bare_number: 5"},
		{"a number without unit in a list", "nl", "Niveaus 1, 2 en 3.", observed, "bare_number: 1 | bare_number: 2 | bare_number: 3"},
		{"a number with its unit", "en", "The response time is under 5 seconds, at 70 % load.", observed, ""},
		{"numbers of standards", "fr", "TLS 1.2 ou 1.3, OAuth 2.0, conforme à l’ISO/IEC 27001.", observed, ""},
		{"a number within a name", "nl", "Bestanden zijn versleuteld met AES-256.", observed, ""},

		{"passwords called encrypted", "en", "Passwords are stored encrypted.", observed, "wording: passwords"},
		{"passwords called encrypted", "fr", "Les mots de passe sont chiffrés.", observed, "wording: mots de passe"},
		{"passwords called encrypted", "nl", "Wachtwoorden worden versleuteld opgeslagen.", observed, "wording: wachtwoorden"},
		{"passwords called hashed", "en", "Passwords are hashed, and the hashes are encrypted.", observed, ""},
		{"digits are no encryption in French", "fr", "Les mots de passe contiennent des chiffres.", observed, ""},

		{"a supplier's word without a file", "en", "The data center has a fire alarm.", catalogue.Context{Supplier: true}, "no_file: "},
		{"a supplier's word with its file", "en", "The data center has a fire alarm.", catalogue.Context{Supplier: true, File: true}, ""},

		{"a negative sentence without expected value", "en", "A second factor is not offered.", observed, "no_expectation: not offered"},
		{"a negative sentence without expected value", "fr", "Un second facteur n’est pas proposé.", observed, "no_expectation: n est pas proposé"},
		{"a negative sentence without expected value", "nl", "Het bedrijf heeft geen certificaat.", observed, "no_expectation: bedrijf heeft geen"},
		{"a negative sentence with expected value", "fr", "Un second facteur n’est pas proposé.", catalogue.Context{Expected: true}, ""},

		{"words do not join across a parameter", "en", "The last {name} audit.", observed, ""},
		{"a language without words", "de", "Immer und regelmäßig, etc. bis 5.", observed, "bare_number: 5"},
		{"an empty sentence", "en", "", observed, ""},
	}
	for _, c := range cases {
		t.Run(c.lang+" "+c.name, func(t *testing.T) {
			var got []string
			for _, f := range catalogue.Lint(c.lang, c.sentence, c.context) {
				got = append(got, string(f.Rule)+": "+f.Words)
				if f.Severity == "" {
					t.Errorf("%s has no severity", f.Rule)
				}
			}
			if diff := cmp.Diff(c.want, strings.Join(got, " | ")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestOnlyWarningsLeaveASentenceFitToPublish(t *testing.T) {
	if catalogue.Refused(catalogue.Lint("en", "Servers run Debian.", catalogue.Context{})) {
		t.Error("a warning refuses")
	}
	if !catalogue.Refused(catalogue.Lint("en", "Servers are updated regularly.", catalogue.Context{})) {
		t.Error("vagueness does not refuse")
	}
}

func TestLanguagesThatDifferAreFound(t *testing.T) {
	cases := []struct {
		name  string
		texts map[string]string
		want  int
	}{
		{"the same everywhere", map[string]string{"en": "{n} of 4 days.", "fr": "{n} jours sur 4.", "nl": "{n} van 4 dagen."}, 0},
		{"another number", map[string]string{"en": "10 days.", "fr": "8 jours.", "nl": "10 dagen."}, 1},
		{"another parameter", map[string]string{"en": "{n} days.", "fr": "{m} jours.", "nl": "{n} dagen."}, 1},
		{"a parameter that is missing", map[string]string{"en": "{n} days.", "fr": "jours.", "nl": "dagen."}, 2},
		{"a language that is missing", map[string]string{"en": "{n} days.", "fr": "{n} jours."}, 1},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if found := catalogue.LintParity(c.texts); len(found) != c.want {
				t.Errorf("got %v, want %d findings", found, c.want)
			}
		})
	}
}

func TestOurOwnSentencesPassTheLinter(t *testing.T) {
	for _, s := range loaded(t).Statements() {
		for _, lang := range i18n.Languages {
			for _, f := range s.Lint(lang) {
				t.Errorf("%s %s: %s %q in %q", s.ID, lang, f.Rule, f.Words, s.Template(lang))
			}
			// The defaults must not bring in what the template leaves out. A
			// date whose default is a term stays undated until it is filled in.
			text, err := s.Text(lang, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range catalogue.Lint(lang, text, s.LintContext()) {
				if s.LintExempt[f.Rule] == "" && f.Rule != catalogue.Undated {
					t.Errorf("%s %s: %s %q in %q", s.ID, lang, f.Rule, f.Words, text)
				}
			}
		}
	}
}

func TestAnExemptionIsNeeded(t *testing.T) {
	for _, s := range loaded(t).Statements() {
		for rule := range s.LintExempt {
			needed := false
			for _, lang := range i18n.Languages {
				for _, f := range catalogue.Lint(lang, s.Template(lang), s.LintContext()) {
					needed = needed || f.Rule == rule
				}
			}
			if !needed {
				t.Errorf("%s is exempt from %s and does not break it", s.ID, rule)
			}
		}
	}
}

func TestSentencesOfProfilesAreFitToPublish(t *testing.T) {
	for name, p := range profiles(t) {
		for _, l := range p.Lines() {
			for _, lang := range i18n.Languages {
				text, err := l.Statement.Text(lang, l.Params)
				if err != nil {
					t.Fatal(err)
				}
				for _, f := range catalogue.Lint(lang, text, l.Statement.LintContext()) {
					undatedPlan := l.Row == "I17" && f.Rule == catalogue.Undated // the source gives no date
					if f.Severity == catalogue.Refuse && l.Statement.LintExempt[f.Rule] == "" && !undatedPlan {
						t.Errorf("%s %s %s: %s %q in %q", name, l.Row, lang, f.Rule, f.Words, text)
					}
				}
			}
		}
	}
}

func FuzzLint(f *testing.F) {
	for _, lang := range append([]string{"de"}, i18n.Languages...) {
		for _, s := range []string{"", "{", "}{", "{date}", "5", "5.", ".5", "1,2 3", "l’", "’5", "25 January 2022", "0 January 2023", "2023-99-99", "é\u0301 100 %", "etc…", "\xff\xfe 7\xff"} {
			f.Add(lang, s)
		}
	}
	f.Fuzz(func(t *testing.T, lang, sentence string) {
		c := catalogue.Context{Now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Period: catalogue.Period{Count: 1, Unit: catalogue.Day}}
		first := catalogue.Lint(lang, sentence, c)
		for i, finding := range first {
			for _, other := range first[:i] {
				if finding == other {
					t.Errorf("%v is found twice", finding)
				}
			}
		}
		if diff := cmp.Diff(first, catalogue.Lint(lang, sentence, c)); diff != "" {
			t.Errorf("a second run differs: %s", diff)
		}
		catalogue.LintParity(map[string]string{"en": sentence, "fr": sentence, "nl": sentence})
	})
}
