package catalogue

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/rempart/rempart/internal/i18n"
)

//go:embed statements/*.json profiles/*.json
var files embed.FS

// How many sentences each version of a source page has.
var sourceCounts = map[string]int{"DAS-FR": 51, "DAS-EN": 27, "DAS-NL": 43, "KRE": 74, "TSP": 80}

// statementCount is how many statements the register has.
const statementCount = 192

var (
	statementID = regexp.MustCompile(`^[A-Z][1-9][0-9]*$`)
	sourceID    = regexp.MustCompile(`^(DAS-FR|DAS-EN|DAS-NL|KRE|TSP)-([0-9]{2})$`)
	controlID   = regexp.MustCompile(`^[a-z][a-z0-9]*(\.[a-z0-9]+)+$`)
	paramName   = regexp.MustCompile(`^[a-z][a-z_]*$`)
	placeholder = regexp.MustCompile(`\{([^{}]*)\}`)
)

// Load reads and validates the register that is compiled in. The error lists
// every fault found.
func Load() (*Catalogue, error) {
	root, err := fs.Sub(files, "statements")
	if err != nil {
		return nil, fmt.Errorf("catalogue: open statements: %w", err)
	}
	return load(root)
}

func load(root fs.FS) (*Catalogue, error) {
	var file struct {
		Sections   []Section   `json:"sections"`
		Statements []Statement `json:"statements"`
	}
	c := &Catalogue{byID: map[string]int{}, bySource: map[string]int{}, notes: map[string]map[string]string{}, terms: terms{}}
	texts := map[string]map[string]string{}
	if err := read(root, "statements.json", &file); err != nil {
		return nil, err
	}
	for _, lang := range i18n.Languages {
		for name, into := range map[string]map[string]map[string]string{
			lang + ".json": texts, "notes." + lang + ".json": c.notes, "terms." + lang + ".json": c.terms,
		} {
			flat := map[string]string{}
			if err := read(root, name, &flat); err != nil {
				return nil, err
			}
			into[lang] = flat
		}
	}
	c.sections, c.statements = file.Sections, file.Statements
	for i := range c.statements {
		s := &c.statements[i]
		s.applies, s.terms, s.texts = !s.OptIn, c.terms, map[string]string{}
		for _, lang := range i18n.Languages {
			s.texts[lang] = texts[lang][s.ID]
		}
		c.byID[s.ID] = i
		for _, source := range s.Sources {
			c.bySource[source] = i
		}
	}
	if err := c.validate(texts); err != nil {
		return nil, err
	}
	return c, nil
}

// read decodes one file, refusing members that are unknown or double.
func read(root fs.FS, name string, into any) error {
	raw, err := fs.ReadFile(root, name)
	if err != nil {
		return fmt.Errorf("catalogue: read %s: %w", name, err)
	}
	if flat, ok := into.(*map[string]string); ok {
		return readFlat(raw, name, *flat)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("catalogue: decode %s: %w", name, err)
	}
	if d.More() {
		return fmt.Errorf("catalogue: %s holds more than one value", name)
	}
	return nil
}

// readFlat decodes one object of strings by its tokens, because json.Unmarshal
// lets the second of two equal keys win silently.
func readFlat(raw []byte, name string, into map[string]string) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return fmt.Errorf("catalogue: %s is no object", name)
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return fmt.Errorf("catalogue: decode %s: %w", name, err)
		}
		value, err := d.Token()
		if err != nil {
			return fmt.Errorf("catalogue: decode %s: %w", name, err)
		}
		text, ok := value.(string)
		if !ok || strings.TrimSpace(text) == "" {
			return fmt.Errorf("catalogue: %s: %v has no text", name, key)
		}
		if _, double := into[key.(string)]; double {
			return fmt.Errorf("catalogue: %s: %v stands twice", name, key)
		}
		into[key.(string)] = text
	}
	return nil
}

// validate checks everything that the rest of the product relies on.
func (c *Catalogue) validate(texts map[string]map[string]string) error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf("catalogue: "+format, args...)) }

	letters := map[string]bool{}
	for _, s := range c.sections {
		if letters[s.Letter] {
			fault("section %s stands twice", s.Letter)
		}
		letters[s.Letter] = true
		for _, lang := range i18n.Languages {
			if s.Title[lang] == "" {
				fault("section %s has no title in %s", s.Letter, lang)
			}
		}
	}
	if len(c.statements) != statementCount {
		fault("%d statements, not %d", len(c.statements), statementCount)
	}
	ids, sources, terms := map[string]bool{}, map[string]string{}, map[string]bool{}
	for _, s := range c.statements {
		if ids[s.ID] {
			fault("%s stands twice", s.ID)
		}
		ids[s.ID] = true
		if !letters[s.Section()] {
			fault("%s is in no section", s.ID)
		}
		for _, source := range s.Sources {
			if other, double := sources[source]; double {
				fault("source %s is in %s and in %s", source, other, s.ID)
			}
			sources[source] = s.ID
		}
		for _, err := range s.validate() {
			fault("%s: %w", s.ID, err)
		}
		keys := slices.Clone(s.Conflicts)
		if s.Caveat != "" {
			keys = append(keys, s.Caveat)
		}
		for _, key := range keys {
			terms[key] = true
		}
	}
	for prefix, n := range sourceCounts {
		for i := 1; i <= n; i++ {
			if id := fmt.Sprintf("%s-%02d", prefix, i); sources[id] == "" {
				fault("source %s has no statement", id)
			}
		}
	}
	for _, lang := range i18n.Languages {
		for id := range texts[lang] {
			if !ids[id] {
				fault("text of unknown %s in %s", id, lang)
			}
		}
		for key := range terms {
			if c.notes[lang][key] == "" {
				fault("note %s has no text in %s", key, lang)
			}
		}
		for key := range c.notes[lang] {
			if !terms[key] {
				fault("note %s of %s is used by no statement", key, lang)
			}
		}
		for key := range c.terms[lang] {
			for _, other := range i18n.Languages {
				if c.terms[other][key] == "" {
					fault("term %s has no text in %s", key, other)
				}
			}
		}
	}
	return errors.Join(faults...)
}

// validate checks one statement by itself.
func (s Statement) validate() (faults []error) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if !statementID.MatchString(s.ID) {
		fault("no id of a statement")
	}
	if !slices.Contains(kinds, s.Kind) {
		fault("unknown kind %q", s.Kind)
	}
	if !slices.Contains(Classes, s.Class) {
		fault("unknown class %q", s.Class)
	}
	if s.Class == Attested && !s.NeedsAttestation {
		fault("can be attested only, yet needs no attestation")
	}
	if len(s.Population) == 0 {
		fault("no population")
	}
	for i, p := range s.Population {
		if !slices.Contains(populations, p) || slices.Contains(s.Population[:i], p) {
			fault("population %q is unknown or double", p)
		}
	}
	if len(s.Sources) == 0 {
		fault("no source")
	}
	for _, source := range s.Sources {
		if version, n, ok := splitSource(source); !ok || n > sourceCounts[version] {
			fault("unknown source %q", source)
		}
	}
	if len(s.Controls) == 0 {
		fault("no control")
	}
	for i, id := range s.Controls {
		if !controlID.MatchString(id) || slices.Contains(s.Controls[:i], id) {
			fault("control %q is malformed or double", id)
		}
	}
	if s.Negative != (s.Expected != "") {
		fault("a negative statement has an expected value, and no other has")
	}
	for rule, reason := range s.LintExempt {
		if _, known := severities[rule]; !known || strings.TrimSpace(reason) == "" {
			fault("lint exemption %q is unknown or has no reason", rule)
		}
	}
	return append(faults, s.validateTexts()...)
}

func (s Statement) validateTexts() (faults []error) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	declared := make([]string, 0, len(s.Params))
	for _, p := range s.Params {
		if !paramName.MatchString(p.Name) || slices.Contains(declared, p.Name) {
			fault("parameter %q is malformed or double", p.Name)
		}
		declared = append(declared, p.Name)
		if p.Kind == Count && p.Min < 2 {
			fault("parameter %s: its noun is a plural, so the least count is 2 or more", p.Name)
		}
	}
	slices.Sort(declared)
	for _, lang := range i18n.Languages {
		template := s.texts[lang]
		if template == "" {
			fault("no text in %s", lang)
			continue
		}
		if !strings.HasSuffix(template, ".") || strings.TrimSpace(template) != template {
			fault("text in %s is no sentence", lang)
		}
		if used := placeholders(template); !slices.Equal(used, declared) {
			fault("text in %s uses parameters %v, not %v", lang, used, declared)
		}
		if _, err := s.Text(lang, nil); err != nil {
			fault("default in %s: %w", lang, err)
		}
	}
	return faults
}

// placeholders returns the names in braces, sorted; one that stands twice is
// there twice, and so is refused.
func placeholders(template string) []string {
	names := []string{}
	for _, m := range placeholder.FindAllStringSubmatch(template, -1) {
		names = append(names, m[1])
	}
	slices.Sort(names)
	return names
}

// splitSource splits "DAS-FR-36" into its page version and number.
func splitSource(id string) (version string, n int, ok bool) {
	m := sourceID.FindStringSubmatch(id)
	if m == nil {
		return "", 0, false
	}
	n, err := strconv.Atoi(m[2])
	return m[1], n, err == nil && n > 0
}
