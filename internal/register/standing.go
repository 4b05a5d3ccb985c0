package register

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/keyring"
	"github.com/rempart/rempart/internal/register/catalogue"
	"github.com/rempart/rempart/internal/store"
	"github.com/rempart/rempart/internal/trust"
)

// Kinds of settings.
const (
	settingProfile = "profile" // name "": the profile in use
	settingParam   = "param"   // name "I7.length": a value in force
	settingApplies = "applies" // name "I16": "yes" or "no", where the operator says otherwise than the catalogue
	settingAside   = "aside"   // name "Q8": withdrawn from the page
)

// reread is how long a node may not have seen what was decided on another.
const reread = 5 * time.Second

// decisions are the rows of the register as last read. Immutable.
type decisions struct {
	profile      string
	params       map[string]catalogue.Params // by statement
	applies      map[string]bool
	aside        map[string]bool
	attestations []Attestation // newest first
	since        map[string]time.Time

	sum      [sha256.Size]byte
	revision int64
	read     time.Time
}

// decided gives the rows, read again when the copy is older than reread.
func (s *Service) decided(ctx context.Context) (*decisions, error) {
	now := s.Now()
	s.mu.RLock()
	d := s.own
	s.mu.RUnlock()
	if d != nil && now.Sub(d.read) < reread && !now.Before(d.read) {
		return d, nil
	}
	ring, err := s.Audit.Ready(ctx, keyring.Installation())
	if err != nil {
		return nil, fmt.Errorf("register: load keys: %w", err)
	}
	var settings []settingRow
	var attested []attestationRow
	var verdicts map[string]verdictRow
	err = s.Store.View(ctx, store.System("register.read"), func(tx *store.Tx) (err error) {
		if settings, err = loadSettings(tx); err != nil {
			return err
		}
		if verdicts, err = loadVerdicts(tx); err != nil {
			return err
		}
		attested, err = loadAttestations(tx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("register: read: %w", err)
	}
	fresh := &decisions{params: map[string]catalogue.Params{}, applies: map[string]bool{}, aside: map[string]bool{}, since: map[string]time.Time{}, read: now}
	for _, row := range settings {
		switch row.kind {
		case settingProfile:
			fresh.profile = row.value
		case settingApplies:
			fresh.applies[row.name] = row.value == "yes"
		case settingAside:
			fresh.aside[row.name] = true
		case settingParam:
			var v catalogue.Value
			if err := json.Unmarshal([]byte(row.value), &v); err != nil {
				return nil, fmt.Errorf("register: value of %s: %w", row.name, err)
			}
			fresh.param(row.name, v)
		}
	}
	if s.Live != nil {
		live, err := s.Live(ctx)
		if err != nil {
			return nil, fmt.Errorf("register: live values: %w", err)
		}
		for name, v := range live {
			fresh.param(name, v)
		}
	}
	for statement, v := range verdicts {
		fresh.since[statement] = store.Time(v.since)
	}
	for _, row := range attested {
		a, err := openAttestation(ring, row)
		if err != nil {
			return nil, err
		}
		fresh.attestations = append(fresh.attestations, a)
	}
	fresh.sum = sha256.Sum256(fmt.Appendf(nil, "%v %v %v %v %v", settings, attested, fresh.params, verdicts, s.lapsed(fresh, now)))
	s.mu.Lock()
	defer s.mu.Unlock()
	fresh.revision = 1
	if s.own != nil {
		fresh.revision = s.own.revision
		if s.own.sum != fresh.sum {
			fresh.revision++
		}
	}
	s.own = fresh
	return fresh, nil
}

// lapsed counts the attestations in each state of time: when one begins or
// lapses, pages change though no row did.
func (s *Service) lapsed(d *decisions, now time.Time) (n [3]int) {
	for _, a := range d.attestations {
		switch {
		case now.Before(a.ValidFrom):
			n[0]++
		case now.Before(a.ValidUntil):
			n[1]++
		default:
			n[2]++
		}
	}
	return n
}

func (d *decisions) param(name string, v catalogue.Value) {
	row, param, _ := strings.Cut(name, ".")
	if d.params[row] == nil {
		d.params[row] = catalogue.Params{}
	}
	d.params[row][param] = v
}

// Reread has the next reader read the rows again, after a change of our own.
func (s *Service) Reread() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.own != nil {
		old := *s.own
		old.read = time.Time{}
		s.own = &old
	}
}

// Standing is a statement with where it stands.
type Standing struct {
	catalogue.Statement
	Values      catalogue.Params
	Verdict     catalogue.Verdict
	Evidence    catalogue.Class // of what made the verdict
	Bound       []string        // controls that back it here
	Checked     time.Time       // when the last of them that ran longest ago ran; zero: never
	Attestation *Attestation    // the one that counts
	Since       time.Time       // when the verdict was first seen; zero: not yet seen
	Aside       bool
}

// Page is every statement with where it stands at one instant.
type Page struct {
	At        time.Time
	Profile   string
	Standings []Standing
	States    map[string]trust.State // by control

	byID map[string]int
}

// Find gives the standing of a statement.
func (p *Page) Find(statement string) (Standing, bool) {
	i, ok := p.byID[statement]
	if !ok {
		return Standing{}, false
	}
	return p.Standings[i], true
}

// Published are the statements that stand on the page as statements.
func (p *Page) Published() (out []Standing) {
	for _, st := range p.Standings {
		if catalogue.Published(st.Verdict) && !st.Internal {
			out = append(out, st)
		}
	}
	return out
}

// Resolve gives every statement with the last results of its controls and its
// attestation. It runs nothing.
func (s *Service) Resolve(ctx context.Context) (*Page, error) {
	d, err := s.decided(ctx)
	if err != nil {
		return nil, err
	}
	states, err := s.Trust.Current(ctx)
	if err != nil {
		return nil, err
	}
	now := s.Now()
	p := &Page{At: now, Profile: d.profile, States: map[string]trust.State{}, byID: map[string]int{}}
	results := map[string][]catalogue.ControlResult{}
	bound := map[string][]trust.State{}
	for i, c := range s.Trust.Controls {
		st := states[i]
		p.States[st.ID] = st
		r := catalogue.ControlResult{ID: st.ID, Class: st.Class, Verdict: st.Verdict, Window: c.Window}
		if st.RanAt != nil {
			r.RanAt = *st.RanAt
		}
		for _, row := range c.Statements {
			results[row] = append(results[row], r)
			bound[row] = append(bound[row], st)
		}
	}
	profile := s.profiles[d.profile]
	inProfile := map[string]bool{}
	if profile != nil {
		for _, sentence := range profile.Sentences {
			inProfile[sentence.Row] = true
		}
	}
	for _, statement := range s.catalogue.Statements() {
		st := Standing{Statement: statement, Aside: d.aside[statement.ID], Attestation: counting(d.attestations, statement.ID, now), Since: d.since[statement.ID]}
		applies := statement.Applies() || inProfile[statement.ID]
		if said, ok := d.applies[statement.ID]; ok {
			applies = said
		}
		st.Statement = statement.Applying(applies && !st.Aside)
		st.Values = s.values(profile, d, statement.ID)
		var attested *catalogue.Attestation
		if st.Attestation != nil {
			attested = &catalogue.Attestation{ValidFrom: st.Attestation.ValidFrom, ValidUntil: st.Attestation.ValidUntil}
		}
		st.Verdict, st.Evidence = catalogue.Resolve(st.Statement, results[statement.ID], attested, now)
		for _, b := range bound[statement.ID] {
			st.Bound = append(st.Bound, b.ID)
			if b.RanAt != nil && (st.Checked.IsZero() || b.RanAt.Before(st.Checked)) {
				st.Checked = *b.RanAt
			}
		}
		p.byID[statement.ID] = len(p.Standings)
		p.Standings = append(p.Standings, st)
	}
	return p, nil
}

// values are those in force: what was set or measured, else the profile's.
// What the catalogue no longer accepts is left out, and its default holds.
func (s *Service) values(profile *catalogue.Profile, d *decisions, row string) catalogue.Params {
	statement, _ := s.catalogue.Find(row)
	out := catalogue.Params{}
	take := func(params catalogue.Params) {
		for name, v := range params {
			if statement.Check(catalogue.Params{name: v}) == nil {
				out[name] = v
			}
		}
	}
	if profile != nil {
		take(profile.Params(row))
	}
	take(d.params[row])
	return out
}

// counting gives the attestation of a statement that counts at an instant: one
// in force, else the one that lapsed last, else one that is still to begin.
func counting(all []Attestation, statement string, now time.Time) *Attestation {
	var best *Attestation
	grade := func(a *Attestation) int {
		switch {
		case now.Before(a.ValidFrom):
			return 0
		case now.Before(a.ValidUntil):
			return 2
		}
		return 1
	}
	for i := range all {
		a := &all[i]
		if a.Statement != statement || a.State == StateWithdrawn {
			continue
		}
		if best == nil || grade(a) > grade(best) || grade(a) == grade(best) && a.ValidUntil.After(best.ValidUntil) {
			best = a
		}
	}
	return best
}

// Uncovered are the populations that a statement speaks of and nothing here
// reaches: the application's own databases, files and data, where only
// Rempart's are checked. The controls of the other populations are of that
// population by their nature.
func (p *Page) Uncovered(st Standing, controls []capability.Control) []catalogue.Population {
	var out []catalogue.Population
	for _, population := range []catalogue.Population{catalogue.PopulationSources, catalogue.PopulationHolder} {
		reached := slices.ContainsFunc(controls, func(c capability.Control) bool {
			return slices.Contains(c.Statements, st.ID) && strings.HasSuffix(c.Population, ".population."+string(population))
		})
		if slices.Contains(st.Population, population) && !reached {
			out = append(out, population)
		}
	}
	return out
}

// Revision changes whenever a decision, an attestation or the passing of its
// term changes what pages show.
func (s *Service) Revision(ctx context.Context) (int64, error) {
	d, err := s.decided(ctx)
	if err != nil {
		return 0, err
	}
	return d.revision, nil
}

// Catalogue is the register's sentences.
func (s *Service) Catalogue() *catalogue.Catalogue { return s.catalogue }

// Profile is the profile of the name, nil if there is none.
func (s *Service) Profile(name string) *catalogue.Profile { return s.profiles[name] }
