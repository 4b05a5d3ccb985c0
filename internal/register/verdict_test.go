package register_test

import (
	"testing"
	"time"

	"github.com/rempart/rempart/internal/register"
)

func TestResolve(t *testing.T) {
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	run := func(class register.Class, verdict register.Verdict, age time.Duration) register.ControlResult {
		return register.ControlResult{ID: "x.y", Class: class, Verdict: verdict, RanAt: now.Add(-age), Window: time.Hour}
	}
	pass := func(class register.Class) register.ControlResult { return run(class, register.Pass, time.Minute) }
	valid := &register.Attestation{ValidFrom: now.AddDate(0, -1, 0), ValidUntil: now.AddDate(0, 11, 0)}
	lapsed := &register.Attestation{ValidFrom: now.AddDate(-1, 0, 0), ValidUntil: now}
	future := &register.Attestation{ValidFrom: now.Add(time.Second), ValidUntil: now.AddDate(1, 0, 0)}
	withdrawn := &register.Attestation{ValidFrom: valid.ValidFrom, ValidUntil: valid.ValidUntil, Withdrawn: true}
	const (
		product  = "I7"  // a control carries it
		attested = "P9"  // only a person can carry it
		both     = "E3"  // a control and a person carry a part each
		optIn    = "I16" // does not apply as the product comes
	)
	type results = []register.ControlResult

	cases := []struct {
		name    string
		id      string
		results results
		attest  *register.Attestation
		verdict register.Verdict
		class   register.Class
	}{
		{"without control and attestation it is planned", product, nil, nil, register.Planned, ""},
		{"a control that passes carries it", product, results{pass(register.Proven)}, nil, register.Pass, register.Proven},
		{"of two passes the weaker class shows", product, results{pass(register.Proven), pass(register.Recorded)}, nil, register.Pass, register.Recorded},
		{"external is weaker than observed", product, results{pass(register.External), pass(register.Observed)}, nil, register.Pass, register.External},
		{"a failure beats a pass", product, results{pass(register.Proven), run(register.Observed, register.Fail, time.Minute)}, nil, register.Fail, register.Observed},
		{"a failure beats a stale result", product, results{run(register.Proven, register.Pass, 2*time.Hour), run(register.Observed, register.Fail, time.Minute)}, nil, register.Fail, register.Observed},
		{"an old failure does not turn stale", product, results{run(register.Proven, register.Fail, 1000*time.Hour)}, nil, register.Fail, register.Proven},
		{"a stale result beats a pass", product, results{pass(register.Proven), run(register.Observed, register.Pass, 2*time.Hour)}, nil, register.Stale, register.Observed},
		{"a pass at the end of its window is fresh", product, results{run(register.Proven, register.Pass, time.Hour)}, nil, register.Pass, register.Proven},
		{"a pass just past its window is stale", product, results{run(register.Proven, register.Pass, time.Hour+1)}, nil, register.Stale, register.Proven},
		{"a result without window does not turn stale", product, results{{ID: "x.y", Class: register.Proven, Verdict: register.Pass, RanAt: now.AddDate(-5, 0, 0)}}, nil, register.Pass, register.Proven},
		{"a control that never ran is unknown", product, results{{ID: "x.y", Class: register.Proven, Verdict: register.Pass, Window: time.Hour}}, nil, register.Unknown, ""},
		{"one that never ran spoils a pass", product, results{pass(register.Proven), {ID: "x.z", Class: register.Proven, Window: time.Hour}}, nil, register.Unknown, ""},
		{"stale beats never run", product, results{run(register.Proven, register.Pass, 2*time.Hour), {ID: "x.z", Class: register.Proven}}, nil, register.Stale, register.Proven},
		{"a failure counts though its time is missing", product, results{{ID: "x.y", Class: register.Proven, Verdict: register.Fail}}, nil, register.Fail, register.Proven},
		{"a result from the future proves nothing", product, results{run(register.Proven, register.Pass, -time.Hour)}, nil, register.Unknown, ""},
		{"a clock a little ahead is forgiven", product, results{run(register.Proven, register.Pass, -time.Second)}, nil, register.Pass, register.Proven},
		{"a verdict that is not known is unknown", product, results{run(register.Proven, "fine", time.Minute)}, nil, register.Unknown, ""},
		{"a pass of no class is unknown", product, results{run("", register.Pass, time.Minute)}, nil, register.Unknown, ""},
		{"a control that could not run is unknown", product, results{run(register.Proven, register.Unknown, time.Minute)}, nil, register.Unknown, ""},
		{"a planned part keeps it from passing", product, results{pass(register.Proven), run(register.Proven, register.Planned, 0)}, nil, register.Planned, ""},
		{"what does not apply takes no part", product, results{pass(register.Observed), run(register.Attested, register.NotApplicable, 0)}, nil, register.Pass, register.Observed},
		{"where no control applies the statement does not", product, results{run(register.Proven, register.NotApplicable, 0)}, nil, register.NotApplicable, ""},
		{"a lapsed record that a control read shows as lapsed", product, results{run(register.Attested, register.Lapsed, time.Minute)}, nil, register.Lapsed, register.Attested},

		{"a person may carry what has no control yet", product, nil, valid, register.Pass, register.Attested},
		{"her word does not weaken a control that carries it alone", product, results{pass(register.Proven)}, valid, register.Pass, register.Proven},
		{"her word does not heal a failure", product, results{run(register.Proven, register.Fail, 0)}, valid, register.Fail, register.Proven},
		{"her lapsed word does not spoil what needs none", product, results{pass(register.Proven)}, lapsed, register.Pass, register.Proven},

		{"a valid attestation passes", attested, nil, valid, register.Pass, register.Attested},
		{"it lapses by itself at its end", attested, nil, lapsed, register.Lapsed, register.Attested},
		{"not yet valid it is planned", attested, nil, future, register.Planned, ""},
		{"withdrawn it is planned", attested, nil, withdrawn, register.Planned, ""},
		{"a control that reads attested records serves instead", attested, results{pass(register.Attested)}, nil, register.Pass, register.Attested},
		{"no other control does", attested, results{pass(register.Proven)}, nil, register.Planned, ""},
		{"records that do not apply and nobody's word", attested, results{run(register.Attested, register.NotApplicable, 0)}, nil, register.NotApplicable, ""},
		{"a lapsed word beats a control that reads records", attested, results{pass(register.Attested)}, lapsed, register.Lapsed, register.Attested},

		{"half carried is planned", both, results{pass(register.Observed)}, nil, register.Planned, ""},
		{"both halves pass, and the person's shows", both, results{pass(register.Observed)}, valid, register.Pass, register.Attested},
		{"a half that lapsed shows", both, results{pass(register.Observed)}, lapsed, register.Lapsed, register.Attested},
		{"lapsed beats stale", both, results{run(register.Observed, register.Pass, 2*time.Hour)}, lapsed, register.Lapsed, register.Attested},
		{"a failure beats lapsed", both, results{run(register.Observed, register.Fail, 0)}, lapsed, register.Fail, register.Observed},
		{"a word alone does not carry the half of the control that is stale", both, results{run(register.Observed, register.Pass, 2*time.Hour)}, valid, register.Stale, register.Observed},

		{"what is not stated does not fail", optIn, results{run(register.Observed, register.Fail, 0)}, nil, register.NotApplicable, ""},
		{"nor does it pass", optIn, results{pass(register.Observed)}, valid, register.NotApplicable, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			verdict, class := register.Resolve(find(t, c.id), c.results, c.attest, now)
			if verdict != c.verdict || class != c.class {
				t.Errorf("got %s %q, want %s %q", verdict, class, c.verdict, c.class)
			}
		})
	}

	t.Run("what the operator states is judged", func(t *testing.T) {
		verdict, class := register.Resolve(find(t, optIn).Applying(true), results{run(register.Observed, register.Fail, 0)}, nil, now)
		if verdict != register.Fail || class != register.Observed {
			t.Errorf("got %s %q", verdict, class)
		}
	})
	t.Run("what the operator sets aside does not apply", func(t *testing.T) {
		verdict, class := register.Resolve(find(t, product).Applying(false), results{pass(register.Proven)}, nil, now)
		if verdict != register.NotApplicable || class != "" {
			t.Errorf("got %s %q", verdict, class)
		}
	})
}

func TestNoStatementPassesOnNothing(t *testing.T) {
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	for _, s := range catalogue(t).Statements() {
		if v, class := register.Resolve(s.Applying(true), nil, nil, now); v != register.Planned || class != "" {
			t.Errorf("%s is %s %q", s.ID, v, class)
		}
	}
}

func TestOnlyWhatRanOrWasAttestedIsPublished(t *testing.T) {
	want := map[register.Verdict]bool{
		register.Pass: true, register.Fail: true, register.Stale: true, register.Lapsed: true,
		register.Planned: false, register.NotApplicable: false, register.Unknown: false,
	}
	for v, published := range want {
		if got := register.Published(v); got != published {
			t.Errorf("%s: published is %v", v, got)
		}
	}
}

func TestClassesAreOrdered(t *testing.T) {
	for i, c := range register.Classes {
		for _, weaker := range register.Classes[i+1:] {
			if !register.Stronger(c, weaker) || register.Stronger(weaker, c) {
				t.Errorf("%s and %s are out of order", c, weaker)
			}
		}
		if register.Stronger("", c) || !register.Stronger(c, "") || register.Stronger(c, c) {
			t.Errorf("%s does not stand against no class or itself", c)
		}
	}
	if got := register.Weakest(register.Observed, register.External, register.Proven); got != register.External {
		t.Errorf("weakest is %q", got)
	}
	if got := register.Weakest(); got != "" {
		t.Errorf("weakest of none is %q", got)
	}
}
