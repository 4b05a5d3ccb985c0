package catalogue_test

import (
	"testing"
	"time"

	"github.com/rempart/rempart/internal/register/catalogue"
)

func TestResolve(t *testing.T) {
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	run := func(class catalogue.Class, verdict catalogue.Verdict, age time.Duration) catalogue.ControlResult {
		return catalogue.ControlResult{ID: "x.y", Class: class, Verdict: verdict, RanAt: now.Add(-age), Window: time.Hour}
	}
	pass := func(class catalogue.Class) catalogue.ControlResult { return run(class, catalogue.Pass, time.Minute) }
	valid := &catalogue.Attestation{ValidFrom: now.AddDate(0, -1, 0), ValidUntil: now.AddDate(0, 11, 0)}
	lapsed := &catalogue.Attestation{ValidFrom: now.AddDate(-1, 0, 0), ValidUntil: now}
	future := &catalogue.Attestation{ValidFrom: now.Add(time.Second), ValidUntil: now.AddDate(1, 0, 0)}
	withdrawn := &catalogue.Attestation{ValidFrom: valid.ValidFrom, ValidUntil: valid.ValidUntil, Withdrawn: true}
	const (
		product  = "I7"  // a control carries it
		attested = "P9"  // only a person can carry it
		both     = "E3"  // a control and a person carry a part each
		optIn    = "I16" // does not apply as the product comes
	)
	type results = []catalogue.ControlResult

	cases := []struct {
		name    string
		id      string
		results results
		attest  *catalogue.Attestation
		verdict catalogue.Verdict
		class   catalogue.Class
	}{
		{"without control and attestation it is planned", product, nil, nil, catalogue.Planned, ""},
		{"a control that passes carries it", product, results{pass(catalogue.Proven)}, nil, catalogue.Pass, catalogue.Proven},
		{"of two passes the weaker class shows", product, results{pass(catalogue.Proven), pass(catalogue.Recorded)}, nil, catalogue.Pass, catalogue.Recorded},
		{"external is weaker than observed", product, results{pass(catalogue.External), pass(catalogue.Observed)}, nil, catalogue.Pass, catalogue.External},
		{"a failure beats a pass", product, results{pass(catalogue.Proven), run(catalogue.Observed, catalogue.Fail, time.Minute)}, nil, catalogue.Fail, catalogue.Observed},
		{"a failure beats a stale result", product, results{run(catalogue.Proven, catalogue.Pass, 2*time.Hour), run(catalogue.Observed, catalogue.Fail, time.Minute)}, nil, catalogue.Fail, catalogue.Observed},
		{"an old failure does not turn stale", product, results{run(catalogue.Proven, catalogue.Fail, 1000*time.Hour)}, nil, catalogue.Fail, catalogue.Proven},
		{"a stale result beats a pass", product, results{pass(catalogue.Proven), run(catalogue.Observed, catalogue.Pass, 2*time.Hour)}, nil, catalogue.Stale, catalogue.Observed},
		{"a pass at the end of its window is fresh", product, results{run(catalogue.Proven, catalogue.Pass, time.Hour)}, nil, catalogue.Pass, catalogue.Proven},
		{"a pass just past its window is stale", product, results{run(catalogue.Proven, catalogue.Pass, time.Hour+1)}, nil, catalogue.Stale, catalogue.Proven},
		{"a result without window does not turn stale", product, results{{ID: "x.y", Class: catalogue.Proven, Verdict: catalogue.Pass, RanAt: now.AddDate(-5, 0, 0)}}, nil, catalogue.Pass, catalogue.Proven},
		{"a control that never ran is unknown", product, results{{ID: "x.y", Class: catalogue.Proven, Verdict: catalogue.Pass, Window: time.Hour}}, nil, catalogue.Unknown, ""},
		{"one that never ran spoils a pass", product, results{pass(catalogue.Proven), {ID: "x.z", Class: catalogue.Proven, Window: time.Hour}}, nil, catalogue.Unknown, ""},
		{"stale beats never run", product, results{run(catalogue.Proven, catalogue.Pass, 2*time.Hour), {ID: "x.z", Class: catalogue.Proven}}, nil, catalogue.Stale, catalogue.Proven},
		{"a failure counts though its time is missing", product, results{{ID: "x.y", Class: catalogue.Proven, Verdict: catalogue.Fail}}, nil, catalogue.Fail, catalogue.Proven},
		{"a result from the future proves nothing", product, results{run(catalogue.Proven, catalogue.Pass, -time.Hour)}, nil, catalogue.Unknown, ""},
		{"a clock a little ahead is forgiven", product, results{run(catalogue.Proven, catalogue.Pass, -time.Second)}, nil, catalogue.Pass, catalogue.Proven},
		{"a verdict that is not known is unknown", product, results{run(catalogue.Proven, "fine", time.Minute)}, nil, catalogue.Unknown, ""},
		{"a pass of no class is unknown", product, results{run("", catalogue.Pass, time.Minute)}, nil, catalogue.Unknown, ""},
		{"a control that could not run is unknown", product, results{run(catalogue.Proven, catalogue.Unknown, time.Minute)}, nil, catalogue.Unknown, ""},
		{"a planned part keeps it from passing", product, results{pass(catalogue.Proven), run(catalogue.Proven, catalogue.Planned, 0)}, nil, catalogue.Planned, ""},
		{"what does not apply takes no part", product, results{pass(catalogue.Observed), run(catalogue.Attested, catalogue.NotApplicable, 0)}, nil, catalogue.Pass, catalogue.Observed},
		{"where no control applies the statement does not", product, results{run(catalogue.Proven, catalogue.NotApplicable, 0)}, nil, catalogue.NotApplicable, ""},
		{"a lapsed record that a control read shows as lapsed", product, results{run(catalogue.Attested, catalogue.Lapsed, time.Minute)}, nil, catalogue.Lapsed, catalogue.Attested},

		{"a person may carry what has no control yet", product, nil, valid, catalogue.Pass, catalogue.Attested},
		{"her word does not weaken a control that carries it alone", product, results{pass(catalogue.Proven)}, valid, catalogue.Pass, catalogue.Proven},
		{"her word does not heal a failure", product, results{run(catalogue.Proven, catalogue.Fail, 0)}, valid, catalogue.Fail, catalogue.Proven},
		{"her lapsed word does not spoil what needs none", product, results{pass(catalogue.Proven)}, lapsed, catalogue.Pass, catalogue.Proven},

		{"a valid attestation passes", attested, nil, valid, catalogue.Pass, catalogue.Attested},
		{"it lapses by itself at its end", attested, nil, lapsed, catalogue.Lapsed, catalogue.Attested},
		{"not yet valid it is planned", attested, nil, future, catalogue.Planned, ""},
		{"withdrawn it is planned", attested, nil, withdrawn, catalogue.Planned, ""},
		{"a control that reads attested records serves instead", attested, results{pass(catalogue.Attested)}, nil, catalogue.Pass, catalogue.Attested},
		{"no other control does", attested, results{pass(catalogue.Proven)}, nil, catalogue.Planned, ""},
		{"records that do not apply and nobody's word", attested, results{run(catalogue.Attested, catalogue.NotApplicable, 0)}, nil, catalogue.NotApplicable, ""},
		{"a lapsed word beats a control that reads records", attested, results{pass(catalogue.Attested)}, lapsed, catalogue.Lapsed, catalogue.Attested},

		{"half carried is planned", both, results{pass(catalogue.Observed)}, nil, catalogue.Planned, ""},
		{"both halves pass, and the person's shows", both, results{pass(catalogue.Observed)}, valid, catalogue.Pass, catalogue.Attested},
		{"a half that lapsed shows", both, results{pass(catalogue.Observed)}, lapsed, catalogue.Lapsed, catalogue.Attested},
		{"lapsed beats stale", both, results{run(catalogue.Observed, catalogue.Pass, 2*time.Hour)}, lapsed, catalogue.Lapsed, catalogue.Attested},
		{"a failure beats lapsed", both, results{run(catalogue.Observed, catalogue.Fail, 0)}, lapsed, catalogue.Fail, catalogue.Observed},
		{"a word alone does not carry the half of the control that is stale", both, results{run(catalogue.Observed, catalogue.Pass, 2*time.Hour)}, valid, catalogue.Stale, catalogue.Observed},

		{"what is not stated does not fail", optIn, results{run(catalogue.Observed, catalogue.Fail, 0)}, nil, catalogue.NotApplicable, ""},
		{"nor does it pass", optIn, results{pass(catalogue.Observed)}, valid, catalogue.NotApplicable, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			verdict, class := catalogue.Resolve(find(t, c.id), c.results, c.attest, now)
			if verdict != c.verdict || class != c.class {
				t.Errorf("got %s %q, want %s %q", verdict, class, c.verdict, c.class)
			}
		})
	}

	t.Run("what the operator states is judged", func(t *testing.T) {
		verdict, class := catalogue.Resolve(find(t, optIn).Applying(true), results{run(catalogue.Observed, catalogue.Fail, 0)}, nil, now)
		if verdict != catalogue.Fail || class != catalogue.Observed {
			t.Errorf("got %s %q", verdict, class)
		}
	})
	t.Run("what the operator sets aside does not apply", func(t *testing.T) {
		verdict, class := catalogue.Resolve(find(t, product).Applying(false), results{pass(catalogue.Proven)}, nil, now)
		if verdict != catalogue.NotApplicable || class != "" {
			t.Errorf("got %s %q", verdict, class)
		}
	})
}

func TestNoStatementPassesOnNothing(t *testing.T) {
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	for _, s := range loaded(t).Statements() {
		if v, class := catalogue.Resolve(s.Applying(true), nil, nil, now); v != catalogue.Planned || class != "" {
			t.Errorf("%s is %s %q", s.ID, v, class)
		}
	}
}

func TestOnlyWhatRanOrWasAttestedIsPublished(t *testing.T) {
	want := map[catalogue.Verdict]bool{
		catalogue.Pass: true, catalogue.Fail: true, catalogue.Stale: true, catalogue.Lapsed: true,
		catalogue.Planned: false, catalogue.NotApplicable: false, catalogue.Unknown: false,
	}
	for v, published := range want {
		if got := catalogue.Published(v); got != published {
			t.Errorf("%s: published is %v", v, got)
		}
	}
}

func TestClassesAreOrdered(t *testing.T) {
	for i, c := range catalogue.Classes {
		for _, weaker := range catalogue.Classes[i+1:] {
			if !catalogue.Stronger(c, weaker) || catalogue.Stronger(weaker, c) {
				t.Errorf("%s and %s are out of order", c, weaker)
			}
		}
		if catalogue.Stronger("", c) || !catalogue.Stronger(c, "") || catalogue.Stronger(c, c) {
			t.Errorf("%s does not stand against no class or itself", c)
		}
	}
	if got := catalogue.Weakest(catalogue.Observed, catalogue.External, catalogue.Proven); got != catalogue.External {
		t.Errorf("weakest is %q", got)
	}
	if got := catalogue.Weakest(); got != "" {
		t.Errorf("weakest of none is %q", got)
	}
}
