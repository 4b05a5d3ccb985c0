package catalogue

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/rempart/rempart/internal/i18n"
)

// Rule names what is wrong with a sentence.
type Rule string

// The rules.
const (
	RelativeDate  Rule = "relative_date"        // "this week" goes stale unseen
	Undated       Rule = "undated"              // a last test or a promise without its date
	OldDate       Rule = "old_date"             // a date older than the period of the statement
	Absolute      Rule = "absolute"             // "always", unless it is proven or seen from outside
	Superlative   Rule = "superlative"          // "the highest", unless it is proven or seen from outside
	Vague         Rule = "vague"                // "regularly": nobody can say when it is false
	OpenList      Rule = "open_list"            // "etc."
	Aging         Rule = "aging"                // names of products and versions that age
	BareNumber    Rule = "bare_number"          // a number without a unit
	Wording       Rule = "wording"              // passwords called encrypted: they are hashed
	NoFile        Rule = "no_file"              // a supplier's word without its evidence file
	NoExpectation Rule = "no_expectation"       // a negative sentence without an expected value
	Differs       Rule = "different_parameters" // two languages with different parameters or numbers
)

// Severity says what a finding does to the publication of a sentence.
type Severity string

// The severities.
const (
	Refuse Severity = "refuse"
	Warn   Severity = "warn"
)

var severities = map[Rule]Severity{
	RelativeDate: Refuse, Undated: Refuse, OldDate: Refuse, Absolute: Refuse, Superlative: Refuse,
	Vague: Refuse, OpenList: Refuse, Aging: Warn, BareNumber: Refuse, Wording: Refuse, NoFile: Refuse,
	NoExpectation: Refuse, Differs: Refuse,
}

// Finding is one thing that is wrong with a sentence.
type Finding struct {
	Rule     Rule     `json:"rule"`
	Severity Severity `json:"severity"`
	Words    string   `json:"words,omitempty"` // as found, in lower case
}

// Context is what the linter must know beside the sentence.
type Context struct {
	Class    Class     // strongest class of its evidence: absolutes stand if proven or external
	Expected bool      // it has an expected value, as a negative statement must
	Supplier bool      // it passes on the word of a supplier
	File     bool      // an evidence file stands behind it
	Now      time.Time // with Period: dates more than one period back are too old
	Period   Period
}

// Lint returns what is wrong with a sentence, in the order of the rules; nil is
// a sentence fit to publish. Parameters may still stand in braces: one whose
// name is or ends in "date" counts as a date, any other as a value with its
// unit. An unknown language has no words, so only the rules without words
// apply.
func Lint(lang, sentence string, c Context) []Finding {
	l := linter{words: lintWords[lang], tokens: tokens(sentence)}
	dated := l.dated(sentence)

	l.phrases(RelativeDate, l.words.relative)
	if !dated {
		l.phrases(Undated, l.words.undated)
	}
	if c.Period.Count > 0 {
		for _, d := range dates(lang, l.tokens) {
			if c.Period.AddTo(d.end).Before(c.Now) {
				l.find(OldDate, d.words)
			}
		}
	}
	if c.Class != Proven && c.Class != External {
		l.phrases(Absolute, l.words.absolute)
		l.phrases(Superlative, l.words.superlative)
	}
	l.phrases(Vague, l.words.vague)
	l.phrases(OpenList, l.words.openList)
	if strings.Contains(sentence, "...") || strings.Contains(sentence, "…") {
		l.find(OpenList, "…")
	}
	l.phrases(Aging, agingNames)
	for _, n := range bareNumbers(l.words, sentence) {
		l.find(BareNumber, n)
	}
	if !l.has(l.words.hashed) && l.has(l.words.encrypted) {
		l.phrases(Wording, l.words.password)
	}
	if c.Supplier && !c.File {
		l.find(NoFile, "")
	}
	if !c.Expected {
		l.phrases(NoExpectation, l.words.negative)
	}
	return l.found
}

// LintParity compares the texts of one statement in several languages: the same
// parameters and the same numbers. Languages that are absent differ.
func LintParity(texts map[string]string) []Finding {
	l := linter{}
	first := ""
	for i, lang := range i18n.Languages {
		shape := strings.Join(append(placeholders(texts[lang]), digits(texts[lang])...), " ")
		if _, ok := texts[lang]; !ok {
			l.find(Differs, lang)
		} else if i == 0 {
			first = shape
		} else if shape != first {
			l.find(Differs, lang+": "+shape)
		}
	}
	return l.found
}

// Lint checks the statement's own sentence, its parameters in braces, and leaves
// out the rules from which it is exempt.
func (s Statement) Lint(lang string) []Finding {
	found := Lint(lang, s.texts[lang], s.LintContext())
	return slices.DeleteFunc(found, func(f Finding) bool { return s.LintExempt[f.Rule] != "" })
}

// LintContext returns the context of the statement's own sentence; add Now and
// Period to have its dates judged.
func (s Statement) LintContext() Context {
	return Context{
		Class:    s.Class,
		Expected: s.Expected != "",
		Supplier: slices.Contains(s.Population, PopulationSupplier),
		File:     s.NeedsAttestation, // no attested record without its file
	}
}

// Refused reports whether any finding forbids publication.
func Refused(found []Finding) bool {
	return slices.ContainsFunc(found, func(f Finding) bool { return f.Severity == Refuse })
}

type linter struct {
	words  wordList
	tokens []string
	found  []Finding
}

func (l *linter) find(rule Rule, words string) {
	f := Finding{rule, severities[rule], words}
	if !slices.Contains(l.found, f) {
		l.found = append(l.found, f)
	}
}

func (l *linter) phrases(rule Rule, list []string) {
	for _, phrase := range list {
		if words := match(l.tokens, strings.Fields(phrase)); words != "" {
			l.find(rule, words)
		}
	}
}

func (l *linter) has(list []string) bool {
	return slices.ContainsFunc(list, func(phrase string) bool { return match(l.tokens, strings.Fields(phrase)) != "" })
}

// dated reports whether the sentence carries a date: a year or a parameter.
func (l *linter) dated(sentence string) bool {
	for _, name := range placeholders(sentence) {
		if strings.HasSuffix(name, "date") {
			return true
		}
	}
	return slices.ContainsFunc(l.tokens, isYear)
}

// match returns the first words that fit the phrase, "" if none do. A word of
// the phrase that ends in * fits every word that begins so.
func match(tokens, phrase []string) string {
	for i := 0; i+len(phrase) <= len(tokens); i++ {
		fits := true
		for j, p := range phrase {
			stem, open := strings.CutSuffix(p, "*")
			if fits = tokens[i+j] == p || open && strings.HasPrefix(tokens[i+j], stem); !fits {
				break
			}
		}
		if fits {
			return strings.Join(tokens[i:i+len(phrase)], " ")
		}
	}
	return ""
}

// tokens splits a sentence into lower-case words; parameters are left out,
// apostrophes and hyphens part words, the percent sign is a word.
func tokens(sentence string) []string {
	var words []string
	start := -1
	lower := strings.ToLower(placeholder.ReplaceAllString(sentence, " | "))
	for i, r := range lower {
		inWord := unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r)
		if inWord && start < 0 {
			start = i
		}
		if !inWord && start >= 0 {
			words, start = append(words, lower[start:i]), -1
		}
		if r == '%' || r == '|' { // a parameter parts the words around it
			words = append(words, string(r))
		}
	}
	if start >= 0 {
		words = append(words, lower[start:])
	}
	return words
}

func isYear(word string) bool {
	n, err := strconv.Atoi(word)
	return err == nil && len(word) == 4 && n >= 1990 && n < 2100
}

type foundDate struct {
	words string
	end   time.Time // last instant it may mean
}

// dates finds "14 September 2023", "September 2023", "2023-09-14", "2023-09".
func dates(lang string, words []string) []foundDate {
	names := months[lang]
	var found []foundDate
	for i, w := range words {
		if !isYear(w) {
			continue
		}
		year, _ := strconv.Atoi(w)
		if i > 0 {
			if m := slices.IndexFunc(names[:], func(s string) bool { return strings.ToLower(s) == words[i-1] }); m >= 0 {
				month := time.Month(m + 1)
				if day, ok := number(words, i-2, 31); ok {
					found = append(found, foundDate{strings.Join(words[i-2:i+1], " "), endOf(year, month, day)})
				} else {
					found = append(found, foundDate{strings.Join(words[i-1:i+1], " "), endOf(year, month, 0)})
				}
				continue
			}
		}
		if month, ok := number(words, i+1, 12); ok && len(words[i+1]) == 2 {
			if day, ok := number(words, i+2, 31); ok && len(words[i+2]) == 2 {
				found = append(found, foundDate{strings.Join(words[i:i+3], "-"), endOf(year, time.Month(month), day)})
			} else {
				found = append(found, foundDate{strings.Join(words[i:i+2], "-"), endOf(year, time.Month(month), 0)})
			}
		}
	}
	return found
}

// endOf returns the end of a day, or of the whole month if day is 0.
func endOf(year int, month time.Month, day int) time.Time {
	if day == 0 {
		return time.Date(year, month+1, 1, 0, 0, 0, 0, time.UTC)
	}
	return time.Date(year, month, day+1, 0, 0, 0, 0, time.UTC)
}

func number(words []string, i, most int) (int, bool) {
	if i < 0 || i >= len(words) {
		return 0, false
	}
	n, err := strconv.Atoi(words[i])
	return n, err == nil && n >= 1 && n <= most
}

// digits returns the numbers of a text, sorted, those in parameters' names left out.
func digits(text string) []string {
	found := strings.FieldsFunc(placeholder.ReplaceAllString(text, " "), func(r rune) bool { return r < '0' || r > '9' })
	slices.Sort(found)
	return found
}

// bareNumbers returns the numbers that stand without a unit. A number has one
// if a word follows that can be a unit or a noun, if it is a year or a day of
// a date, or if it belongs to the name of a standard ("TLS 1.2 or 1.3").
func bareNumbers(list wordList, sentence string) []string {
	var bare []string
	words := strings.Fields(strings.ReplaceAll(sentence, "\u00a0", " "))
	standard := false
	for i, raw := range words {
		w := strings.Trim(raw, "(),.;:!?")
		lower := strings.ToLower(w)
		if at := strings.LastIndexAny(lower, "'’"); at >= 0 { // l’ISO/IEC 27001
			lower = strings.TrimLeft(lower[at:], "'’")
		}
		if !plainNumber(w) {
			standard = slices.Contains(standardNames, lower) || standard && slices.Contains(list.conjunctions, lower)
			continue
		}
		if standard || isYear(w) {
			continue
		}
		if i+1 < len(words) && !strings.ContainsAny(raw[len(raw)-1:], "),.;:!?") {
			next := strings.ToLower(strings.Trim(words[i+1], "(),.;:!?"))
			if next != "" && !plainNumber(next) && !slices.Contains(list.conjunctions, next) && !slices.Contains(list.noUnits, next) {
				continue
			}
		}
		bare = append(bare, w)
	}
	return bare
}

func plainNumber(w string) bool {
	digit := false
	for _, r := range w {
		if r >= '0' && r <= '9' {
			digit = true
		} else if r != '.' && r != ',' {
			return false
		}
	}
	return digit
}
