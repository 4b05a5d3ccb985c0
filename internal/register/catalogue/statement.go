package catalogue

import (
	"maps"
	"slices"
	"strings"

	"github.com/rempart/rempart/internal/capability"
)

// Verdict is what a statement comes to. It is the verdict of controls.
type Verdict = capability.Verdict

// The verdicts.
const (
	Pass          = capability.Pass
	Fail          = capability.Fail
	Stale         = capability.Stale
	Lapsed        = capability.Lapsed
	NotApplicable = capability.NotApplicable
	Planned       = capability.Planned
	Unknown       = capability.Unknown
)

// Class is how strong the evidence for a statement is. It is the class of
// controls; the zero value means that there is no evidence.
type Class = capability.EvidenceClass

// The classes, strongest first.
const (
	Proven   = capability.Proven
	Observed = capability.Observed
	Recorded = capability.Recorded
	External = capability.External
	Attested = capability.Attested
)

// Classes lists the classes, strongest first.
var Classes = []Class{Proven, Observed, Recorded, External, Attested}

// Stronger reports whether evidence of class a outranks evidence of class b.
// No evidence, and a class that is not known, is outranked by every class.
func Stronger(a, b Class) bool { return rank(a) < rank(b) }

// Weakest returns the weakest of the classes, "" when there are none.
func Weakest(classes ...Class) Class {
	if len(classes) == 0 {
		return ""
	}
	return slices.MaxFunc(classes, func(a, b Class) int { return rank(a) - rank(b) })
}

func rank(c Class) int {
	if i := slices.Index(Classes, c); i >= 0 {
		return i
	}
	return len(Classes)
}

// Kind says what makes a statement true.
type Kind string

// The kinds.
const (
	Product        Kind = "PF"  // our code does it
	Operation      Kind = "OP"  // how the service is run
	Organizational Kind = "ORG" // what the company does
)

var kinds = []Kind{Product, Operation, Organizational}

// Population says whose data, or which part of the world, a statement covers.
// A control covers populations too; what the statement names and no control
// reaches is shown as not covered (Statement.Uncovered).
type Population string

// The populations.
const (
	PopulationStore     Population = "store"     // Rempart's own databases and files: people, credentials, policies, logs, sealed data
	PopulationSources   Population = "sources"   // the application's databases and files that are registered as sources
	PopulationHolder    Population = "holder"    // the application itself, as a holder of customers' data
	PopulationOperation Population = "operation" // machines, networks, builds and traffic of the service
	PopulationStaff     Population = "staff"     // the company's people who can reach production or customers' data
	PopulationSupplier  Population = "supplier"  // providers, by the evidence they gave
	PopulationCompany   Population = "company"   // the company's own papers, offices and duties
)

var populations = []Population{
	PopulationStore, PopulationSources, PopulationHolder, PopulationOperation,
	PopulationStaff, PopulationSupplier, PopulationCompany,
}

// Statement is one sentence of the register. Copies are independent save for
// the slices, which callers must not change.
type Statement struct {
	ID         string       `json:"id"`                 // "I7": section letter and number
	Kind       Kind         `json:"kind"`               //
	Sources    []string     `json:"sources"`            // ids of the source sentences it merges, "DAS-FR-36"
	Class      Class        `json:"class"`              // strongest possible, whatever runs today
	Population []Population `json:"population"`         // never empty
	Controls   []string     `json:"controls"`           // proposed: ids of the controls that would back it
	Params     []Param      `json:"params,omitempty"`   // what stands in braces in its texts
	Negative   bool         `json:"negative,omitempty"` // says that something is not so
	Expected   string       `json:"expected,omitempty"` // value that a control must read back for a negative one

	// NeedsAttestation means that controls alone do not carry the sentence: a
	// named person must stand for it, or for the part no system can see.
	NeedsAttestation bool `json:"needs_attestation,omitempty"`
	// OptIn means that it does not apply unless a setting or profile says so,
	// because the product as it comes behaves otherwise.
	OptIn bool `json:"opt_in,omitempty"`
	// Internal means that it is checked but not shown to visitors.
	Internal bool `json:"internal,omitempty"`

	Conflicts []string `json:"conflicts,omitempty"` // keys of notes: where the source pages disagree
	Caveat    string   `json:"caveat,omitempty"`    // key of a note: what a reader should know of the source
	// LintExempt gives, by lint rule, the reason why the rule does not hold
	// for this sentence.
	LintExempt map[Rule]string `json:"lint_exempt,omitempty"`

	texts   map[string]string // template by language
	terms   terms
	applies bool
}

// Section returns the letter of the statement's section.
func (s Statement) Section() string {
	return strings.TrimRight(s.ID, "0123456789")
}

// Applies reports whether the statement applies to this installation: all do,
// save those with OptIn.
func (s Statement) Applies() bool { return s.applies }

// Applying returns the statement with the operator's setting about it.
func (s Statement) Applying(yes bool) Statement {
	s.applies = yes
	return s
}

// Uncovered returns the populations that the statement speaks of and that are
// not among those covered by what ran.
func (s Statement) Uncovered(covered ...Population) []Population {
	var left []Population
	for _, p := range s.Population {
		if !slices.Contains(covered, p) {
			left = append(left, p)
		}
	}
	return left
}

// Catalogue is the whole register. It does not change after Load and may be
// used by many goroutines.
type Catalogue struct {
	statements []Statement
	sections   []Section
	byID       map[string]int
	bySource   map[string]int
	notes      map[string]map[string]string // language, key
	terms      terms
}

// Section is a group of statements with its heading.
type Section struct {
	Letter string            `json:"letter"`
	Title  map[string]string `json:"title"` // by language
}

// Statements returns all statements in the order of the register.
func (c *Catalogue) Statements() []Statement { return slices.Clone(c.statements) }

// Sections returns the sections in order.
func (c *Catalogue) Sections() []Section { return slices.Clone(c.sections) }

// Find returns the statement with the id.
func (c *Catalogue) Find(id string) (Statement, bool) {
	i, ok := c.byID[id]
	if !ok {
		return Statement{}, false
	}
	return c.statements[i], true
}

// FindSource returns the statement that stands for a source sentence, such as
// "DAS-FR-36".
func (c *Catalogue) FindSource(source string) (Statement, bool) {
	i, ok := c.bySource[source]
	if !ok {
		return Statement{}, false
	}
	return c.statements[i], true
}

// FindControl returns the statements that propose the control.
func (c *Catalogue) FindControl(control string) []Statement {
	var found []Statement
	for _, s := range c.statements {
		if slices.Contains(s.Controls, control) {
			found = append(found, s)
		}
	}
	return found
}

// Controls returns the ids of all proposed controls, sorted.
func (c *Catalogue) Controls() []string {
	set := map[string]bool{}
	for _, s := range c.statements {
		for _, id := range s.Controls {
			set[id] = true
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// Note returns the sentence of a conflict or caveat, "" if there is none.
func (c *Catalogue) Note(lang, key string) string { return c.notes[lang][key] }
