// Package i18n has the text that people read, in English, French and Dutch.
//
// Each capability brings one flat JSON file per language: keys begin with the
// capability's name ("policy.ip.title"), values are strings with {{.Name}}
// placeholders, or an object of CLDR plural forms chosen by {{.Count}}:
//
//	{"policy.ip.title": "Allowed networks",
//	 "policy.ip.count": {"one": "{{.Count}} network", "other": "{{.Count}} networks"}}
//
// Load refuses files whose keys or placeholders differ between the languages,
// so that a text exists in all of them or in none. Numbers, instants and
// durations given as arguments are written as the language writes them.
//
// The package gives plain strings, never template.HTML: html/template escapes
// what it places. It knows no request and stores no preference.
package i18n

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	goi18n "github.com/nicksnyder/go-i18n/v2/i18n"
	"golang.org/x/text/language"
)

// Languages are those in which every text exists. The first is the fallback.
var Languages = []string{"en", "fr", "nl"}

// Source is the message files of one capability: en.json, fr.json and nl.json
// at the root of FS. Every key begins with Name and a dot.
type Source struct {
	Name string
	FS   fs.FS
}

// Bundle holds the texts of all capabilities. It is read-only once loaded and
// safe for concurrent use.
type Bundle struct {
	// Missing is told of every key that has no text. Tests fail on it; at run
	// time the key itself is shown, which is ugly and harms nobody.
	// It is set before the bundle is first used.
	Missing func(lang, key string)

	texts   map[string]map[string]message // language, key
	plurals map[string]*goi18n.Localizer  // language
}

// message is one text: forms[""] of a plain one, else one per CLDR form.
type message struct {
	forms map[string]segments
}

// segments alternate literal text and placeholder names, literal first.
type segments []string

// Load reads the sources, and this package's own texts with them. The error
// names every difference between the languages.
func Load(sources ...Source) (*Bundle, error) {
	b := &Bundle{texts: map[string]map[string]message{}, plurals: map[string]*goi18n.Localizer{}}
	pb := goi18n.NewBundle(language.English)
	for _, lang := range Languages {
		b.texts[lang] = map[string]message{}
		// go-i18n knows the plural rules; the forms' names are all we ask of it.
		m := &goi18n.Message{ID: "form", Zero: "zero", One: "one", Two: "two", Few: "few", Many: "many", Other: "other"}
		if err := pb.AddMessages(language.MustParse(lang), m); err != nil {
			return nil, fmt.Errorf("i18n: plural rules of %s: %w", lang, err)
		}
		b.plurals[lang] = goi18n.NewLocalizer(pb, lang)
	}
	own, err := fs.Sub(files, "messages")
	if err != nil {
		return nil, fmt.Errorf("i18n: %w", err)
	}
	var faults []error
	for _, s := range append([]Source{{Name: "i18n", FS: own}}, sources...) {
		faults = append(faults, b.load(s)...)
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return b, nil
}

func (b *Bundle) load(s Source) (faults []error) {
	var keys []string
	for _, lang := range Languages {
		raw, err := fs.ReadFile(s.FS, lang+".json")
		if err != nil {
			return append(faults, fmt.Errorf("i18n: %s: %w", s.Name, err))
		}
		texts, err := parse(raw)
		if err != nil {
			return append(faults, fmt.Errorf("i18n: %s/%s.json: %w", s.Name, lang, err))
		}
		for _, key := range slices.Sorted(maps.Keys(texts)) {
			if !strings.HasPrefix(key, s.Name+".") {
				faults = append(faults, fmt.Errorf("i18n: %s/%s.json: key %q does not begin with %q", s.Name, lang, key, s.Name+"."))
			}
			if _, ok := b.texts[lang][key]; ok {
				faults = append(faults, fmt.Errorf("i18n: %s/%s.json: key %q is in another file too", s.Name, lang, key))
			}
			b.texts[lang][key] = texts[key]
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	for _, key := range slices.Compact(keys) {
		first, ok := b.texts[Languages[0]][key]
		for _, lang := range Languages {
			m, have := b.texts[lang][key]
			switch {
			case !have:
				faults = append(faults, fmt.Errorf("i18n: %s/%s.json: no text for %q", s.Name, lang, key))
			case !ok:
			case m.plural() != first.plural():
				faults = append(faults, fmt.Errorf("i18n: %s/%s.json: %q is plural in one language only", s.Name, lang, key))
			case !slices.Equal(m.placeholders(), first.placeholders()):
				faults = append(faults, fmt.Errorf("i18n: %s/%s.json: %q has the placeholders %v, %s has %v", s.Name, lang, key, m.placeholders(), Languages[0], first.placeholders()))
			}
		}
	}
	return faults
}

func parse(raw []byte) (map[string]message, error) {
	var flat map[string]json.RawMessage
	if err := json.Unmarshal(raw, &flat); err != nil {
		return nil, err
	}
	out := make(map[string]message, len(flat))
	for key, v := range flat {
		forms := map[string]string{}
		var plain string
		if err := json.Unmarshal(v, &plain); err == nil {
			forms[""] = plain
		} else if err := json.Unmarshal(v, &forms); err != nil {
			return nil, fmt.Errorf("%q is neither a text nor plural forms", key)
		} else if forms["other"] == "" {
			return nil, fmt.Errorf("%q has no form \"other\"", key)
		}
		m := message{forms: map[string]segments{}}
		for form, text := range forms {
			if !slices.Contains([]string{"", "zero", "one", "two", "few", "many", "other"}, form) {
				return nil, fmt.Errorf("%q has the unknown plural form %q", key, form)
			}
			seg, err := split(text)
			if err != nil {
				return nil, fmt.Errorf("%q: %w", key, err)
			}
			if text == "" {
				return nil, fmt.Errorf("%q is empty", key)
			}
			m.forms[form] = seg
		}
		out[key] = m
	}
	return out, nil
}

// split cuts a text at its {{.Name}} placeholders; nothing else may stand
// between braces.
func split(text string) (segments, error) {
	var out segments
	for {
		i := strings.Index(text, "{{")
		if i < 0 {
			if strings.Contains(text, "}}") {
				return nil, errors.New("closing braces without opening ones")
			}
			return append(out, text), nil
		}
		j := strings.Index(text[i:], "}}")
		if j < 0 {
			return nil, errors.New("placeholder is not closed")
		}
		name, ok := strings.CutPrefix(strings.TrimSpace(text[i+2:i+j]), ".")
		if !ok || !identifier(name) {
			return nil, fmt.Errorf("%q is not a placeholder of the form {{.Name}}", text[i:i+j+2])
		}
		out = append(out, text[:i], name)
		text = text[i+j+2:]
	}
}

func identifier(s string) bool {
	for i, r := range s {
		letter := r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return s != ""
}

func (m message) plural() bool { _, plain := m.forms[""]; return !plain }

// placeholders are the names in any form, sorted. Count is left out of plural
// texts: "one member" need not print it.
func (m message) placeholders() []string {
	names := map[string]bool{}
	for _, seg := range m.forms {
		for i := 1; i < len(seg); i += 2 {
			names[seg[i]] = true
		}
	}
	if m.plural() {
		delete(names, "Count")
	}
	return slices.Sorted(maps.Keys(names))
}

// Has reports whether the key has a text.
func (b *Bundle) Has(key string) bool { _, ok := b.texts[Languages[0]][key]; return ok }

// Keys are the keys of all texts, sorted.
func (b *Bundle) Keys() []string { return slices.Sorted(maps.Keys(b.texts[Languages[0]])) }

// T is the text of key in lang. Arguments are one map, or alternating names
// and values; "Count" chooses the plural form. A key without text comes back
// between brackets and is reported to Missing.
func (b *Bundle) T(lang, key string, args ...any) string {
	texts, ok := b.texts[lang]
	if !ok {
		lang = Languages[0]
		texts = b.texts[lang]
	}
	m, ok := texts[key]
	if !ok {
		b.missing(lang, key)
		return "[" + key + "]"
	}
	seg, plain := m.forms[""]
	if plain && len(seg) == 1 {
		return seg[0]
	}
	values := arguments(args)
	if !plain {
		seg = m.forms[b.form(lang, values["Count"])]
		if seg == nil {
			seg = m.forms["other"]
		}
	}
	var out strings.Builder
	for i, s := range seg {
		if i%2 == 0 {
			out.WriteString(s)
			continue
		}
		v, ok := values[s]
		if !ok {
			b.missing(lang, key+"{"+s+"}")
		}
		out.WriteString(b.Format(lang, v))
	}
	return out.String()
}

func (b *Bundle) missing(lang, key string) {
	if b.Missing != nil {
		b.Missing(lang, key)
	}
}

func (b *Bundle) form(lang string, count any) string {
	if count == nil {
		return "other"
	}
	if n, ok := integer(count); ok {
		count = strconv.FormatInt(n, 10)
	}
	form, err := b.plurals[lang].Localize(&goi18n.LocalizeConfig{MessageID: "form", PluralCount: count})
	if err != nil {
		return "other"
	}
	return form
}

// arguments reads the values of a message: maps with string keys and pairs of
// name and value, in any mixture.
func arguments(args []any) map[string]any {
	if len(args) == 1 {
		if m, ok := args[0].(map[string]any); ok {
			return m
		}
	}
	out := map[string]any{}
	for i := 0; i < len(args); i++ {
		if name, ok := args[i].(string); ok && i+1 < len(args) {
			out[name] = args[i+1]
			i++
			continue
		}
		if m, ok := asMap(args[i]); ok {
			maps.Copy(out, m)
		}
	}
	return out
}

// Format writes one value as the language does: numbers with its separators,
// instants as dates with the time in UTC, durations in words.
func (b *Bundle) Format(lang string, v any) string {
	if n, ok := integer(v); ok {
		return Number(lang, n)
	}
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case float64:
		return Decimal(lang, v, 1)
	case time.Time:
		return DateTime(lang, v)
	case time.Duration:
		return b.Duration(lang, v)
	case fmt.Stringer:
		return v.String()
	}
	return fmt.Sprint(v)
}

// Match chooses the language for an Accept-Language header (RFC 9110 section
// 12.5.4): the best-weighted that we have, else English.
func Match(acceptLanguage string) string {
	if len(acceptLanguage) > 512 {
		acceptLanguage = acceptLanguage[:512]
	}
	type wish struct {
		lang string
		q    float64
	}
	var wishes []wish
	for part := range strings.SplitSeq(acceptLanguage, ",") {
		tag, params, _ := strings.Cut(strings.TrimSpace(part), ";")
		primary, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(tag)), "-")
		if primary == "*" {
			primary = Languages[0]
		}
		q := 1.0
		if v, ok := strings.CutPrefix(strings.TrimSpace(params), "q="); ok {
			f, err := strconv.ParseFloat(v, 64)
			if err != nil || f < 0 || f > 1 {
				continue
			}
			q = f
		}
		if q > 0 && slices.Contains(Languages, primary) {
			wishes = append(wishes, wish{primary, q})
		}
	}
	slices.SortStableFunc(wishes, func(a, b wish) int { return cmp.Compare(b.q, a.q) })
	if len(wishes) == 0 {
		return Languages[0]
	}
	return wishes[0].lang
}
