package catalogue

import (
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"github.com/rempart/rempart/internal/i18n"
)

// Profile is one published security page as data: its sentences in its own
// order, and the values that make our sentences say what it says. A page that
// exists in several languages is one profile; its versions differ, so each
// sentence names the sources that carry it.
type Profile struct {
	Name      string            `json:"name"`
	Title     map[string]string `json:"title"`    // by language
	Versions  []string          `json:"versions"` // languages of the source page, the leading one first
	Sections  []Heading         `json:"sections"`
	Sentences []Sentence        `json:"sentences"` // of all versions together, in the order of the leading one
	Settings  []Setting         `json:"settings"`  // what an installation must be set to
	Facts     []Setting         `json:"facts"`     // what the company must be: providers, places, dates
	Stated    []Stated          `json:"stated"`    // where a version of the source page says another value

	catalogue *Catalogue
	params    map[string]Params // by statement
}

// Heading is a heading of a source page.
type Heading struct {
	ID    string            `json:"id"`
	Title map[string]string `json:"title"` // by language
}

// Sentence is one sentence of a source page, at most once for each version.
type Sentence struct {
	Row     string   `json:"row"`     // the statement
	Section string   `json:"section"` // id of the heading it stands under
	Sources []string `json:"sources"` // "DAS-FR-36"
}

// Setting is a value that the page implies. It fills the parameters it names,
// so that the sentences print what is set; a setting without parameters only
// has to hold.
type Setting struct {
	Key    string   `json:"key"` // "policy.password.length"
	Value  Value    `json:"value"`
	Params []string `json:"params,omitempty"` // "I7.length"
}

// Stated is a value that one version of the source page gives and that is not
// in force: one set of values serves all languages.
type Stated struct {
	Version string `json:"version"`
	Param   string `json:"param"`
	Value   Value  `json:"value"`
}

// Line is a sentence of a profile, ready to be shown.
type Line struct {
	Sentence
	Statement Statement // applies, whatever its default
	Params    Params
}

// profileSources says which source sentences each profile must hold, all of
// them, by version ("" is the only one).
var profileSources = map[string]map[string]string{
	"dastra":     {"fr": "DAS-FR", "en": "DAS-EN", "nl": "DAS-NL"},
	"kreo":       {"fr": "KRE"},
	"talkspirit": {"fr": "TSP"},
}

// ProfileNames lists the profiles.
var ProfileNames = []string{"dastra", "kreo", "talkspirit"}

var settingKey = regexp.MustCompile(`^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$`)

// LoadProfiles reads and validates the profiles that are compiled in. The error
// lists every fault found.
func LoadProfiles(c *Catalogue) (map[string]*Profile, error) {
	root, err := fs.Sub(files, "profiles")
	if err != nil {
		return nil, fmt.Errorf("catalogue: open profiles: %w", err)
	}
	return loadProfiles(root, c)
}

func loadProfiles(root fs.FS, c *Catalogue) (map[string]*Profile, error) {
	profiles := map[string]*Profile{}
	var faults []error
	for _, name := range ProfileNames {
		p := &Profile{catalogue: c, params: map[string]Params{}}
		if err := read(root, name+".json", p); err != nil {
			return nil, err
		}
		if p.Name != name {
			faults = append(faults, fmt.Errorf("catalogue: profile %s calls itself %q", name, p.Name))
		}
		for _, err := range p.validate(profileSources[name]) {
			faults = append(faults, fmt.Errorf("catalogue: profile %s: %w", name, err))
		}
		profiles[name] = p
	}
	return profiles, errors.Join(faults...)
}

// Params returns the values that the profile gives to a statement.
func (p *Profile) Params(row string) Params { return p.params[row] }

// Heading returns the title of a section, "" if there is none.
func (p *Profile) Heading(lang, section string) string {
	for _, h := range p.Sections {
		if h.ID == section {
			return h.Title[lang]
		}
	}
	return ""
}

// Lines returns the sentences of all versions together, which is what is
// published: every language says the same.
func (p *Profile) Lines() []Line {
	lines := make([]Line, 0, len(p.Sentences))
	for _, s := range p.Sentences {
		lines = append(lines, p.line(s))
	}
	return lines
}

// Version returns the sentences that one version of the source page carries, in
// that version's own order. It is nil if the page has no such version.
func (p *Profile) Version(lang string) []Line {
	prefix, ok := profileSources[p.Name][lang]
	if !ok {
		return nil
	}
	at := func(l Line) int {
		_, n, _ := splitSource(l.source(prefix))
		return n
	}
	var lines []Line
	for _, s := range p.Sentences {
		if l := p.line(s); l.source(prefix) != "" {
			lines = append(lines, l)
		}
	}
	slices.SortFunc(lines, func(a, b Line) int { return at(a) - at(b) })
	return lines
}

// StatedBy returns what one version of the source page says of a parameter
// where that differs from the value in force.
func (p *Profile) StatedBy(version, param string) (Value, bool) {
	for _, s := range p.Stated {
		if s.Version == version && s.Param == param {
			return s.Value, true
		}
	}
	return nil, false
}

func (p *Profile) line(s Sentence) Line {
	statement, _ := p.catalogue.Find(s.Row)
	return Line{Sentence: s, Statement: statement.Applying(true), Params: p.params[s.Row]}
}

// source returns the source of a version, "" if the version lacks the sentence.
func (s Sentence) source(prefix string) string {
	for _, id := range s.Sources {
		if version, _, _ := splitSource(id); version == prefix {
			return id
		}
	}
	return ""
}

// CarriedBy returns the versions of the source page that carry the sentence.
func (p *Profile) CarriedBy(s Sentence) []string {
	var langs []string
	for _, v := range p.Versions {
		if s.source(profileSources[p.Name][v]) != "" {
			langs = append(langs, v)
		}
	}
	return langs
}

// validate also fills the parameters.
func (p *Profile) validate(sources map[string]string) (faults []error) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	for _, lang := range i18n.Languages {
		if p.Title[lang] == "" {
			fault("no title in %s", lang)
		}
	}
	if len(p.Versions) != len(sources) {
		fault("%d versions, not %d", len(p.Versions), len(sources))
	}
	for _, v := range p.Versions {
		if sources[v] == "" {
			fault("unknown version %q", v)
		}
	}
	sections := map[string]bool{}
	for _, h := range p.Sections {
		if sections[h.ID] || h.ID == "" {
			fault("section %q has no id or stands twice", h.ID)
		}
		sections[h.ID] = true
		for _, lang := range i18n.Languages {
			if h.Title[lang] == "" {
				fault("section %s has no title in %s", h.ID, lang)
			}
		}
	}
	faults = append(faults, p.validateSentences(sources, sections)...)
	return append(faults, p.validateValues()...)
}

func (p *Profile) validateSentences(sources map[string]string, sections map[string]bool) (faults []error) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	seen, used := map[string]bool{}, map[string]bool{}
	leading := 0
	for _, s := range p.Sentences {
		used[s.Section] = true
		if !sections[s.Section] {
			fault("%s is in unknown section %q", s.Row, s.Section)
		}
		statement, ok := p.catalogue.Find(s.Row)
		if !ok {
			fault("unknown statement %q", s.Row)
			continue
		}
		if len(s.Sources) == 0 {
			fault("%s has no source", s.Row)
		}
		inVersion := map[string]bool{}
		for _, id := range s.Sources {
			version, n, ok := splitSource(id)
			if !ok || seen[id] || inVersion[version] || !slices.Contains(statement.Sources, id) {
				fault("source %q is malformed, double or not of %s", id, s.Row)
			}
			seen[id], inVersion[version] = true, true
			if len(p.Versions) > 0 && version == sources[p.Versions[0]] {
				if n < leading {
					fault("source %s stands out of the order of its page", id)
				}
				leading = n
			}
		}
	}
	for id := range sections {
		if !used[id] {
			fault("section %s is empty", id)
		}
	}
	expected := 0
	for _, prefix := range sources {
		expected += sourceCounts[prefix]
		for n := 1; n <= sourceCounts[prefix]; n++ {
			if id := fmt.Sprintf("%s-%02d", prefix, n); !seen[id] {
				fault("source %s is missing", id)
			}
		}
	}
	if len(seen) != expected {
		fault("%d sources, not %d", len(seen), expected)
	}
	return faults
}

func (p *Profile) validateValues() (faults []error) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	rows := map[string]bool{}
	for _, s := range p.Sentences {
		rows[s.Row] = true
	}
	check := func(param string, v Value) (row, name string, ok bool) {
		row, name, _ = strings.Cut(param, ".")
		s, known := p.catalogue.Find(row)
		if !known || !rows[row] {
			fault("parameter %q is of no sentence of the page", param)
			return row, name, false
		}
		if err := s.Check(Params{name: v}); err != nil {
			fault("%w", err)
			return row, name, false
		}
		return row, name, true
	}
	keys := map[string]bool{}
	for _, s := range slices.Concat(p.Settings, p.Facts) {
		if !settingKey.MatchString(s.Key) || keys[s.Key] || len(s.Value) == 0 {
			fault("setting %q is malformed, double or empty", s.Key)
		}
		keys[s.Key] = true
		for _, param := range s.Params {
			row, name, ok := check(param, s.Value)
			if !ok {
				continue
			}
			if p.params[row] == nil {
				p.params[row] = Params{}
			}
			if _, double := p.params[row][name]; double {
				fault("parameter %s has two values", param)
			}
			p.params[row][name] = s.Value
		}
	}
	for _, f := range p.Facts {
		if len(f.Params) == 0 {
			fault("fact %s fills no parameter", f.Key)
		}
	}
	for i, s := range p.Stated {
		row, name, ok := check(s.Param, s.Value)
		if !slices.Contains(p.Versions, s.Version) {
			fault("unknown version %q states %s", s.Version, s.Param)
		}
		if statement, _ := p.catalogue.Find(row); ok {
			if v, _ := statement.Value(name, p.params[row]); slices.Equal(v, s.Value) {
				fault("%s states the value of %s that is in force", s.Version, s.Param)
			}
		}
		if slices.ContainsFunc(p.Stated[:i], func(o Stated) bool { return o.Version == s.Version && o.Param == s.Param }) {
			fault("%s states %s twice", s.Version, s.Param)
		}
	}
	return faults
}
