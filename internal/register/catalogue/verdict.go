package catalogue

import (
	"slices"
	"time"
)

// ControlResult is the last run of a control that is bound to a statement.
type ControlResult struct {
	ID      string
	Class   Class
	Verdict Verdict
	RanAt   time.Time     // zero before the first run
	Window  time.Duration // older than this, the result is stale; 0 never is
}

// Attestation is what a named person states, for a time.
type Attestation struct {
	ValidFrom  time.Time
	ValidUntil time.Time // from this instant on it has lapsed
	Withdrawn  bool      // taken back; as if never given
}

// clockSkew is how far in the future a result may be dated, because it ran on
// another node. Anything later proves nothing.
const clockSkew = time.Minute

// worstFirst orders verdicts from worst to best; NotApplicable takes no part.
var worstFirst = []Verdict{Fail, Lapsed, Stale, Unknown, Planned, Pass}

// Resolve returns what a statement comes to at an instant, and the class of the
// evidence for it.
//
// The worst part decides: fail, then lapsed, stale, unknown, planned, pass.
// Parts are
//   - each bound result. A pass outside its window is stale and one never run
//     is unknown. A failure does not age: it stays until a run replaces it.
//     Results that do not apply take no part.
//   - the attestation, where the statement needs one or nothing else carries
//     it. Valid, it passes; from its end on it has lapsed by itself; withdrawn,
//     missing or not yet valid, it is planned. A passing control of class
//     attested has read attested records itself and serves instead of a
//     missing one.
//
// So a statement without a control and without a valid attestation is never a
// pass. A statement that does not apply by the operator's setting is
// NotApplicable whatever its controls say, because it is not stated: the
// setting is a withdrawal, and stands in the log as one.
//
// The class is that of the weakest part that made the verdict: a pass that
// rests on a proven and an attested part is attested, because the reader must
// trust a person for one half. There is no class ("") without evidence:
// planned, not applicable, or never run.
func Resolve(s Statement, results []ControlResult, a *Attestation, now time.Time) (Verdict, Class) {
	if !s.Applies() {
		return NotApplicable, ""
	}
	var parts []part
	for _, r := range results {
		if v := r.at(now); v != NotApplicable {
			parts = append(parts, part{v, r.Class})
		}
	}
	readsRecords := slices.ContainsFunc(parts, func(p part) bool { return p.verdict == Pass && p.class == Attested })
	if s.NeedsAttestation || len(parts) == 0 {
		v := a.at(now)
		// Nothing ran but results that do not apply, and nobody attests.
		if len(results) > 0 && len(parts) == 0 && v == Planned {
			return NotApplicable, ""
		}
		if v != Planned || !readsRecords {
			parts = append(parts, part{v, Attested})
		}
	}

	var verdict Verdict
	for _, v := range worstFirst {
		if slices.ContainsFunc(parts, func(p part) bool { return p.verdict == v }) {
			verdict = v
			break
		}
	}
	if verdict == Planned || verdict == Unknown {
		return verdict, ""
	}
	var classes []Class
	for _, p := range parts {
		if p.verdict == verdict {
			classes = append(classes, p.class)
		}
	}
	return verdict, Weakest(classes...)
}

// Published reports whether a statement with the verdict stands on the page as
// a statement. What is planned, does not apply or never ran is not stated.
func Published(v Verdict) bool {
	return v == Pass || v == Fail || v == Stale || v == Lapsed
}

type part struct {
	verdict Verdict
	class   Class
}

// at returns the verdict of a result at an instant.
func (r ControlResult) at(now time.Time) Verdict {
	switch {
	case r.Verdict == Fail || r.Verdict == NotApplicable || r.Verdict == Planned:
		return r.Verdict
	case r.RanAt.IsZero() || r.RanAt.After(now.Add(clockSkew)):
		return Unknown
	case r.Verdict == Pass && rank(r.Class) == len(Classes):
		return Unknown // a pass of no class says nothing about its evidence
	case r.Verdict == Pass && r.Window > 0 && now.Sub(r.RanAt) > r.Window:
		return Stale
	case slices.Contains(worstFirst, r.Verdict):
		return r.Verdict
	}
	return Unknown
}

// at returns the verdict of an attestation at an instant; there may be none.
func (a *Attestation) at(now time.Time) Verdict {
	switch {
	case a == nil || a.Withdrawn || now.Before(a.ValidFrom):
		return Planned
	case !now.Before(a.ValidUntil):
		return Lapsed
	}
	return Pass
}
