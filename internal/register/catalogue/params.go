package catalogue

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rempart/rempart/internal/i18n"
)

// ParamKind says how the value of a parameter is written and shown.
type ParamKind string

// The kinds of parameter.
const (
	Count    ParamKind = "count"    // whole number; its sentence supplies the noun, in the plural
	Duration ParamKind = "duration" // ISO 8601 with one unit: "PT24H", "P90D", "P52W", "P1M", "P1Y"
	Percent  ParamKind = "percent"  // whole number from 0 to 100
	Date     ParamKind = "date"     // "2023-09" or "2023-09-14", or a term
	Term     ParamKind = "term"     // a name as it is, or "@key" of a term in three languages
	List     ParamKind = "list"     // terms
)

// maxValue bounds one part of a value: longer is no name but a text.
const maxValue = 200

// Param is one parameter of a statement.
type Param struct {
	Name    string    `json:"name"`
	Kind    ParamKind `json:"kind"`
	Default Value     `json:"default"`
	Min     int       `json:"min,omitempty"` // least count; at least 2, because the noun is a plural
	Max     int       `json:"max,omitempty"` // greatest count, 0 for none
}

// Value is the value of a parameter, the same for every language. All kinds
// but List have exactly one part.
type Value []string

// V makes a value.
func V(parts ...string) Value { return Value(parts) }

// UnmarshalJSON reads a string, a whole number or an array of strings.
func (v *Value) UnmarshalJSON(raw []byte) error {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		*v = Value{one}
		return nil
	}
	var many []string
	if json.Unmarshal(raw, &many) == nil {
		*v = many
		return nil
	}
	var n int64
	if err := json.Unmarshal(raw, &n); err != nil {
		return errors.New("catalogue: a value is a string, a whole number or an array of strings")
	}
	*v = Value{strconv.FormatInt(n, 10)}
	return nil
}

// MarshalJSON writes a string, or an array when there are several parts.
func (v Value) MarshalJSON() ([]byte, error) {
	if len(v) == 1 {
		return json.Marshal(v[0])
	}
	return json.Marshal([]string(v))
}

// Params gives values to parameters by name; what is absent has its default.
type Params map[string]Value

// ErrParam is wrapped by every error about a parameter or its value.
var ErrParam = errors.New("catalogue: parameter")

// terms are names that differ between languages: language, then key.
type terms map[string]map[string]string

// Check reports whether the values fit the parameters of the statement.
func (s Statement) Check(params Params) error {
	for name, v := range params {
		i := slices.IndexFunc(s.Params, func(p Param) bool { return p.Name == name })
		if i < 0 {
			return fmt.Errorf("%w: %s has none named %q", ErrParam, s.ID, name)
		}
		if _, err := s.Params[i].show("en", v, s.terms); err != nil {
			return fmt.Errorf("%s: %w", s.ID, err)
		}
	}
	return nil
}

// Value returns the value in force of a parameter: the given one, else the
// default.
func (s Statement) Value(name string, params Params) (Value, bool) {
	for _, p := range s.Params {
		if p.Name == name {
			if v, ok := params[name]; ok {
				return v, true
			}
			return p.Default, true
		}
	}
	return nil, false
}

// Template returns the sentence with its parameters still in braces.
func (s Statement) Template(lang string) string { return s.texts[lang] }

// Text returns the sentence in a language with the values in force. It fails on
// an unknown language, parameter or value; errors about values wrap ErrParam.
func (s Statement) Text(lang string, params Params) (string, error) {
	template, ok := s.texts[lang]
	if !ok {
		return "", fmt.Errorf("catalogue: %s has no text in %q", s.ID, lang)
	}
	if err := s.Check(params); err != nil {
		return "", err
	}
	pairs := make([]string, 0, 2*len(s.Params))
	for _, p := range s.Params {
		v, _ := s.Value(p.Name, params)
		shown, err := p.show(lang, v, s.terms)
		if err != nil {
			return "", fmt.Errorf("%s: %w", s.ID, err)
		}
		pairs = append(pairs, "{"+p.Name+"}", shown)
	}
	text := strings.NewReplacer(pairs...).Replace(template)
	if lang == "fr" {
		text = frenchSpaces.Replace(text)
	}
	return text, nil
}

// frenchSpaces keeps double punctuation on the line of its word.
var frenchSpaces = strings.NewReplacer(" :", "\u00a0:", " ;", "\u00a0;", " ?", "\u00a0?", " !", "\u00a0!", " %", "\u00a0%")

// show writes a value for readers of a language.
func (p Param) show(lang string, v Value, known terms) (string, error) {
	bad := func(why string) (string, error) {
		return "", fmt.Errorf("%w %s: %s", ErrParam, p.Name, why)
	}
	if len(v) == 0 || (len(v) > 1 && p.Kind != List) {
		return bad("has not one value")
	}
	for _, part := range v {
		if part == "" || len(part) > maxValue || strings.TrimSpace(part) != part || strings.ContainsAny(part, "{}\n\r\t") {
			return bad("has a value that is empty, too long or not plain")
		}
	}
	switch p.Kind {
	case Count:
		n, err := strconv.Atoi(v[0])
		if err != nil || n < p.Min || (p.Max > 0 && n > p.Max) || strconv.Itoa(n) != v[0] {
			return bad("is no whole number within its bounds")
		}
		return i18n.Number(lang, int64(n)), nil
	case Percent:
		n, err := strconv.Atoi(v[0])
		if err != nil || n < 0 || n > 100 {
			return bad("is no percentage")
		}
		return i18n.Percent(lang, float64(n)/100, 0), nil
	case Duration:
		d, err := ParsePeriod(v[0])
		if err != nil {
			return bad(err.Error())
		}
		return d.Text(lang), nil
	case Date:
		if strings.HasPrefix(v[0], "@") {
			return p.term(lang, v[0], known)
		}
		return p.date(lang, v[0])
	case Term:
		return p.term(lang, v[0], known)
	case List:
		shown := make([]string, len(v))
		for i, part := range v {
			var err error
			if shown[i], err = p.term(lang, part, known); err != nil {
				return "", err
			}
		}
		return join(lang, shown), nil
	}
	return bad("is of no known kind")
}

func (p Param) term(lang, part string, known terms) (string, error) {
	key, ok := strings.CutPrefix(part, "@")
	if !ok {
		return part, nil
	}
	text, ok := known[lang][key]
	if !ok {
		return "", fmt.Errorf("%w %s: no term %q", ErrParam, p.Name, part)
	}
	return text, nil
}

func (p Param) date(lang, part string) (string, error) {
	if t, err := time.Parse(time.DateOnly, part); err == nil {
		return strconv.Itoa(t.Day()) + " " + months[lang][t.Month()-1] + " " + strconv.Itoa(t.Year()), nil
	}
	t, err := time.Parse("2006-01", part)
	if err != nil {
		return "", fmt.Errorf("%w %s: %q is no date such as 2023-09 or 2023-09-14", ErrParam, p.Name, part)
	}
	return months[lang][t.Month()-1] + " " + strconv.Itoa(t.Year()), nil
}

// months are the names of the months; the linter reads them too.
var months = map[string][12]string{
	"en": {"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"},
	"fr": {"janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre", "novembre", "décembre"},
	"nl": {"januari", "februari", "maart", "april", "mei", "juni", "juli", "augustus", "september", "oktober", "november", "december"},
}

// join lists names; parts that hold a comma are parted by semicolons.
func join(lang string, parts []string) string {
	and := map[string]string{"en": " and ", "fr": " et ", "nl": " en "}[lang]
	sep := ", "
	if slices.ContainsFunc(parts, func(s string) bool { return strings.Contains(s, ",") }) {
		sep, and = "; ", "; "
	}
	if n := len(parts) - 1; n > 0 {
		return strings.Join(parts[:n], sep) + and + parts[n]
	}
	return parts[0]
}

// Period is a length of time in one unit, as people say it: 30 days is not one
// month.
type Period struct {
	Count int
	Unit  Unit
}

// Unit is a unit of time.
type Unit uint8

// The units.
const (
	Second Unit = iota
	Minute
	Hour
	Day
	Week
	Month
	Year
)

var unitNames = map[string][7][2]string{ // singular, plural
	"en": {{"second", "seconds"}, {"minute", "minutes"}, {"hour", "hours"}, {"day", "days"}, {"week", "weeks"}, {"month", "months"}, {"year", "years"}},
	"fr": {{"seconde", "secondes"}, {"minute", "minutes"}, {"heure", "heures"}, {"jour", "jours"}, {"semaine", "semaines"}, {"mois", "mois"}, {"an", "ans"}},
	// Dutch leaves uur and jaar in the singular after a number.
	"nl": {{"seconde", "seconden"}, {"minuut", "minuten"}, {"uur", "uur"}, {"dag", "dagen"}, {"week", "weken"}, {"maand", "maanden"}, {"jaar", "jaar"}},
}

// maxPeriod bounds the count of a period, so that AddTo never overflows.
const maxPeriod = 100_000

// ParsePeriod reads a duration of ISO 8601 that has one unit and a count from 1.
func ParsePeriod(s string) (Period, error) {
	bad := fmt.Errorf("%q is no duration such as PT24H, P30D, P3M", s)
	rest, ok := strings.CutPrefix(s, "P")
	if !ok || rest == "" {
		return Period{}, bad
	}
	units := map[byte]Unit{'D': Day, 'W': Week, 'M': Month, 'Y': Year}
	if t, ok := strings.CutPrefix(rest, "T"); ok {
		rest, units = t, map[byte]Unit{'S': Second, 'M': Minute, 'H': Hour}
	}
	if len(rest) < 2 {
		return Period{}, bad
	}
	digits := rest[:len(rest)-1]
	unit, ok := units[rest[len(rest)-1]]
	n, err := strconv.Atoi(digits)
	if !ok || err != nil || n < 1 || n > maxPeriod || strconv.Itoa(n) != digits {
		return Period{}, bad
	}
	return Period{n, unit}, nil
}

// String returns the period as ISO 8601 writes it.
func (p Period) String() string {
	letters := [7]string{"S", "M", "H", "D", "W", "M", "Y"}
	if p.Unit <= Hour {
		return "PT" + strconv.Itoa(p.Count) + letters[p.Unit]
	}
	return "P" + strconv.Itoa(p.Count) + letters[p.Unit]
}

// Text returns the period in words.
func (p Period) Text(lang string) string {
	form := 1
	if p.Count == 1 {
		form = 0
	}
	return i18n.Number(lang, int64(p.Count)) + " " + unitNames[lang][p.Unit][form]
}

// AddTo returns the time one period after t, by the calendar from days up.
func (p Period) AddTo(t time.Time) time.Time {
	switch p.Unit {
	case Year:
		return t.AddDate(p.Count, 0, 0)
	case Month:
		return t.AddDate(0, p.Count, 0)
	case Week:
		return t.AddDate(0, 0, 7*p.Count)
	case Day:
		return t.AddDate(0, 0, p.Count)
	}
	return t.Add(time.Duration(p.Count) * [3]time.Duration{time.Second, time.Minute, time.Hour}[p.Unit])
}
