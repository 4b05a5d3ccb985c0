package trust

import (
	"context"
	"time"

	"github.com/rempart/rempart/internal/capability"
)

// own are the controls over the controls themselves.
func (s *Service) own() []capability.Control {
	return []capability.Control{{
		ID: "trust.freshness", Statements: []string{"G2"}, Class: capability.Proven, Population: "trust.population.controls",
		Every: 5 * time.Minute, Window: 20 * time.Minute, Severity: "high",
		Mapping: []string{"ISO27001:A.5.36", "SOC2:CC4.1"}, Check: s.freshness,
	}}
}

// freshness counts the controls whose last result is past its window. Those
// that never ran are left out: they are unknown on the page, and on the first
// round not all have had their turn.
func (s *Service) freshness(ctx context.Context, _ Probe) Result {
	states, err := s.Current(ctx)
	if err != nil {
		return Result{Err: err}
	}
	now := s.Now()
	var r Result
	stale := []string{}
	for i, st := range states {
		if st.ID == "trust.freshness" || st.RanAt == nil {
			continue
		}
		r.Checked++
		if now.Sub(*st.RanAt) > s.Controls[i].Window {
			r.Failed++
			stale = append(stale, st.ID)
		}
	}
	switch {
	case r.Failed > 0:
		r.Verdict = capability.Fail
	case r.Checked == 0:
		r.Verdict = capability.Unknown
	default:
		r.Verdict = capability.Pass
	}
	r.Evidence = map[string]any{"stale": stale, "controls": len(states)}
	return r
}
