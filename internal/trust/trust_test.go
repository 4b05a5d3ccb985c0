package trust_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/trust"
	"github.com/rempart/rempart/internal/web"
	"github.com/rempart/rempart/verify"
)

var job = caller.ForSystem("test")

func TestARunBecomesTheVerdictItDeserves(t *testing.T) {
	cases := []struct {
		name  string
		check func(context.Context, trust.Probe) trust.Result
		want  capability.Verdict
	}{
		{"a pass is a pass", says(capability.Pass, 3, 0), capability.Pass},
		{"a failure is a failure", says(capability.Fail, 3, 1), capability.Fail},
		{"a pass that counted failures is a failure", says(capability.Pass, 3, 1), capability.Fail},
		{"what does not apply says so", says(capability.NotApplicable, 0, 0), capability.NotApplicable},
		{"a verdict that no run may give is unknown", says(capability.Planned, 0, 0), capability.Unknown},
		{"no verdict is unknown", says("", 0, 0), capability.Unknown},
		{"a panic is unknown", func(context.Context, trust.Probe) trust.Result { panic("broken") }, capability.Unknown},
		{"an error beats the pass that came with it", func(context.Context, trust.Probe) trust.Result {
			return trust.Result{Verdict: capability.Pass, Err: errors.New("no listener")}
		}, capability.Unknown},
		{"a check that waits for its context is unknown", func(ctx context.Context, _ trust.Probe) trust.Result {
			<-ctx.Done()
			return trust.Result{Err: ctx.Err()}
		}, capability.Unknown},
	}
	one(t, func(t *testing.T, h *house) {
		h.Limit = 20 * time.Millisecond
		for _, c := range cases {
			h.Controls = append(h.Controls, control("x."+strings.ReplaceAll(c.name, " ", "-"), c.check))
		}
		states, err := h.RunAll(t.Context(), job)
		if err != nil || len(states) != len(cases) {
			t.Fatalf("%d of %d ran: %v", len(states), len(cases), err)
		}
		for i, c := range cases {
			if states[i].Verdict != c.want {
				t.Errorf("%s: got %s, want %s", c.name, states[i].Verdict, c.want)
			}
		}
	})
}

func TestACheckThatNeverReturnsIsLeftBehindAndNotStartedTwice(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		h.Limit = 10 * time.Millisecond
		started, release := make(chan bool, 4), make(chan bool)
		h.Controls = []capability.Control{control("x.hangs", func(context.Context, trust.Probe) trust.Result {
			started <- true
			<-release
			return trust.Result{Verdict: capability.Pass}
		})}
		for range 2 {
			st, err := h.Run(t.Context(), job, "x.hangs")
			if err != nil || st.Verdict != capability.Unknown {
				t.Fatalf("got %s, %v", st.Verdict, err)
			}
		}
		if n := len(started); n != 1 {
			t.Errorf("the check was started %d times", n)
		}
		close(release)
	})
}

func TestAServerThatStopsRecordsNothing(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		ctx, cancel := context.WithCancel(t.Context())
		h.Controls = []capability.Control{control("x.stopped", func(context.Context, trust.Probe) trust.Result {
			cancel()
			return trust.Result{Verdict: capability.Fail}
		})}
		if _, err := h.Run(ctx, job, "x.stopped"); !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v", err)
		}
		if st := current(t, h)[0]; st.RanAt != nil {
			t.Errorf("a result was stored: %+v", st)
		}
	})
}

func current(t *testing.T, h *house) []trust.State {
	t.Helper()
	states, err := h.Current(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return states
}

func TestAResultGrowsStaleUnlessItIsAFailure(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.Controls = []capability.Control{control("x.never", says(capability.Pass, 1, 0)), control("x.pass", says(capability.Pass, 1, 0)),
			control("x.fail", says(capability.Fail, 1, 1)), control("x.none", says(capability.NotApplicable, 0, 0))}
		for _, c := range h.Controls[1:] {
			if _, err := h.Run(t.Context(), job, c.ID); err != nil {
				t.Fatal(err)
			}
		}
		got := func() (v []capability.Verdict) {
			for _, st := range current(t, h) {
				v = append(v, st.Verdict)
			}
			return v
		}
		h.now = start.Add(20 * time.Minute)
		if d := cmp.Diff([]capability.Verdict{"unknown", "pass", "fail", "not_applicable"}, got()); d != "" {
			t.Errorf("at the end of the window: %s", d)
		}
		h.now = start.Add(20*time.Minute + time.Second)
		if d := cmp.Diff([]capability.Verdict{"unknown", "stale", "fail", "not_applicable"}, got()); d != "" {
			t.Errorf("after it: %s", d)
		}
		h.now = start.Add(-3 * time.Minute)
		if d := cmp.Diff([]capability.Verdict{"unknown", "unknown", "unknown", "unknown"}, got()); d != "" {
			t.Errorf("before it ran: %s", d)
		}
	})
}

func TestAnotherNodeSeesTheSame(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.Controls = []capability.Control{control("x.one", says(capability.Pass, 4, 0)), control("x.two", says(capability.Fail, 4, 2))}
		other := &trust.Service{Store: h.Store, Audit: h.Audit, Now: func() time.Time { return h.now }, Origin: h.Origin, Controls: h.Controls}
		if states, err := other.Current(t.Context()); err != nil || states[0].RanAt != nil {
			t.Fatalf("%+v, %v", states, err)
		}
		before, err := other.Revision(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.RunAll(t.Context(), job); err != nil {
			t.Fatal(err)
		}
		h.now = h.now.Add(6 * time.Second)
		want := current(t, h)
		got, err := other.Current(t.Context())
		if d := cmp.Diff(want, got); err != nil || d != "" {
			t.Errorf("%v %s", err, d)
		}
		if after, err := other.Revision(t.Context()); err != nil || after == before {
			t.Errorf("the revision did not change: %d, %v", after, err)
		}
	})
}

func TestTheEnvelopeIsSignedOverTheEvidenceAndTheLogNamesIt(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.Controls = []capability.Control{control("x.one", says(capability.Pass, 7, 0))}
		if _, _, err := h.Evidence(t.Context(), "x.one"); !errors.Is(err, fault.ErrNotFound) {
			t.Errorf("evidence before the first run: %v", err)
		}
		if _, err := h.Run(t.Context(), job, "x.one"); err != nil {
			t.Fatal(err)
		}
		evidence, envelope, err := h.Evidence(t.Context(), "x.one")
		if err != nil || string(evidence) != `{"seen":7}` {
			t.Fatalf("%s, %v", evidence, err)
		}
		keys, err := h.Verifiers(t.Context())
		if err != nil || len(keys) != 1 {
			t.Fatalf("%v, %v", keys, err)
		}
		report, err := verify.File(strings.NewReader(string(envelope)), verify.Options{VerifierKeys: keys})
		if err != nil || !report.OK || report.Statement == nil {
			t.Fatalf("%+v, %v", report, err)
		}
		sum := sha256.Sum256(evidence)
		if want := "control/x.one sha256:" + hex.EncodeToString(sum[:]); report.Statement.Subjects[0] != want {
			t.Errorf("subject is %q, want %q", report.Statement.Subjects[0], want)
		}
		var p map[string]any
		if err := json.Unmarshal(report.Statement.Predicate, &p); err != nil {
			t.Fatal(err)
		}
		if p["verdict"] != "pass" || p["checked"] != 7.0 || p["control"] != "x.one" || p["ran_at"] != "2026-11-22T09:00:00Z" || p["installation"] != "trust.example" {
			t.Errorf("predicate: %v", p)
		}
		broken := strings.Replace(string(envelope), `"payload":"e`, `"payload":"f`, 1)
		if report, err := verify.File(strings.NewReader(broken), verify.Options{VerifierKeys: keys}); err == nil && report.OK {
			t.Error("a changed envelope verifies")
		}
		logged := entries(t, h, trust.EventRan)
		hash := sha256.Sum256(envelope)
		if len(logged) != 1 || !strings.Contains(logged[0], hex.EncodeToString(hash[:])) {
			t.Errorf("the log does not name the envelope: %v", logged)
		}
	})
}

// entries are the installation's entries of a kind, as JSON, newest first.
func entries(t *testing.T, h *house, kind string) (out []string) {
	t.Helper()
	records, err := h.Audit.Search(t.Context(), id.Org{}, audit.Query{Kind: kind})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		raw, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(raw))
	}
	return out
}

func TestAChangeOfVerdictIsOnRecordAndItsTimeIsKept(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		verdict := capability.Pass
		h.Controls = []capability.Control{control("x.one", func(context.Context, trust.Probe) trust.Result { return trust.Result{Verdict: verdict} })}
		run := func(after time.Duration, v capability.Verdict) trust.State {
			h.now, verdict = start.Add(after), v
			st, err := h.Run(t.Context(), job, "x.one")
			if err != nil {
				t.Fatal(err)
			}
			return st
		}
		run(0, capability.Pass)
		if st := run(time.Minute, capability.Pass); !st.Since.Equal(start) {
			t.Errorf("since %s", st.Since)
		}
		if st := run(2*time.Minute, capability.Fail); !st.Since.Equal(start.Add(2 * time.Minute)) {
			t.Errorf("since %s", st.Since)
		}
		logged := entries(t, h, trust.EventRan)
		if len(logged) != 3 || !strings.Contains(logged[0], `"verdict"`) || !strings.Contains(logged[0], `"before":"pass"`) || strings.Contains(logged[1], `"before"`) {
			t.Errorf("entries: %v", logged)
		}
	})
}

func TestTheHistoryCountsDays(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		verdict := capability.Pass
		h.Controls = []capability.Control{control("x.one", func(context.Context, trust.Probe) trust.Result { return trust.Result{Verdict: verdict} })}
		run := func(at time.Time, v capability.Verdict) {
			h.now, verdict = at, v
			if _, err := h.Run(t.Context(), job, "x.one"); err != nil {
				t.Fatal(err)
			}
		}
		run(start.AddDate(0, 0, -100), capability.Fail) // beyond the bar
		run(start.AddDate(0, 0, -2), capability.Pass)
		run(start.AddDate(0, 0, -2).Add(time.Hour), capability.Fail)
		run(start.AddDate(0, 0, -1), capability.Unknown)
		run(start, capability.Pass)
		days, err := h.History(t.Context(), "x.one")
		if err != nil || len(days) != 90 {
			t.Fatalf("%d days, %v", len(days), err)
		}
		var got []string
		for _, d := range days[86:] {
			got = append(got, d.Day.Format(time.DateOnly)+" "+d.Verdict())
		}
		if d := cmp.Diff([]string{"2026-11-19 none", "2026-11-20 fail", "2026-11-21 unknown", "2026-11-22 pass"}, got); d != "" {
			t.Error(d)
		}
		if v := days[0].Verdict(); v != "none" {
			t.Errorf("first day is %s", v)
		}
	})
}

func TestADueTurnRunsNewControlsFirstAndThenSpreads(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		var ran []string
		for _, name := range []string{"x.a", "x.b", "x.c"} {
			h.Controls = append(h.Controls, control(name, func(context.Context, trust.Probe) trust.Result {
				ran = append(ran, name)
				return trust.Result{Verdict: capability.Pass}
			}))
		}
		turn := func(after time.Duration) []string {
			h.now, ran = start.Add(after), nil
			if err := h.RunDue(t.Context()); err != nil {
				t.Fatal(err)
			}
			return ran
		}
		for _, c := range []struct {
			name  string
			after time.Duration
			want  []string
		}{
			{"the first turn runs all", 0, []string{"x.a", "x.b", "x.c"}},
			{"nothing is due", 4 * time.Minute, nil},
			{"one at a time once due", 5 * time.Minute, []string{"x.a"}},
			{"then the next", 5*time.Minute + 5*time.Second, []string{"x.b"}},
			{"those that fell behind run together", 12 * time.Minute, []string{"x.c", "x.a", "x.b"}},
		} {
			if d := cmp.Diff(c.want, turn(c.after)); d != "" {
				t.Errorf("%s: %s", c.name, d)
			}
		}
	})
}

func TestAFirstRoundIsCutIntoTurns(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		ran := 0
		for _, name := range []string{"x.a", "x.b", "x.c", "x.d"} {
			h.Controls = append(h.Controls, control(name, func(context.Context, trust.Probe) trust.Result {
				ran++
				h.now = h.now.Add(6 * time.Second)
				return trust.Result{Verdict: capability.Pass}
			}))
		}
		for _, want := range []int{2, 4} {
			if err := h.RunDue(t.Context()); err != nil || ran != want {
				t.Errorf("%d ran, want %d: %v", ran, want, err)
			}
		}
	})
}

func TestWhatCouldNotRunIsTriedAgainSoon(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		ran := 0
		h.Controls = []capability.Control{control("x.one", func(context.Context, trust.Probe) trust.Result {
			ran++
			return trust.Result{Err: errors.New("no listener")}
		})}
		for _, c := range []struct {
			after time.Duration
			want  int
		}{{0, 1}, {30 * time.Second, 1}, {time.Minute, 2}} {
			h.now = start.Add(c.after)
			if err := h.RunDue(t.Context()); err != nil || ran != c.want {
				t.Errorf("after %s: ran %d times, want %d: %v", c.after, ran, c.want, err)
			}
		}
	})
}

func TestControlsOverControlsRunLast(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		h.Controls = append(h.Manifest().Controls, control("x.one", says(capability.Pass, 1, 0)))
		states, err := h.RunAll(t.Context(), job)
		if err != nil || len(states) != 2 || states[1].ID != "trust.freshness" || states[1].Verdict != capability.Pass {
			t.Errorf("%+v, %v", states, err)
		}
	})
}

func TestFreshnessTurnsRedWhenAControlFallsSilent(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		h.Controls = append([]capability.Control{control("x.one", says(capability.Pass, 1, 0))}, h.Manifest().Controls...)
		run := func(id string) capability.Verdict {
			st, err := h.Run(t.Context(), job, id)
			if err != nil {
				t.Fatal(err)
			}
			return st.Verdict
		}
		if v := run("trust.freshness"); v != capability.Unknown {
			t.Errorf("before anything ran: %s", v)
		}
		run("x.one")
		if v := run("trust.freshness"); v != capability.Pass {
			t.Errorf("all fresh: %s", v)
		}
		h.now = start.Add(21 * time.Minute)
		if v := run("trust.freshness"); v != capability.Fail {
			t.Errorf("one silent: %s", v)
		}
	})
}

func TestPruningKeepsTheNewestAndIsOnRecord(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.Controls = []capability.Control{control("x.one", says(capability.Pass, 1, 0)), control("x.old", says(capability.Pass, 1, 0))}
		if _, err := h.RunAll(t.Context(), job); err != nil {
			t.Fatal(err)
		}
		h.now = start.AddDate(0, 0, 15)
		if _, err := h.Run(t.Context(), job, "x.one"); err != nil {
			t.Fatal(err)
		}
		prune := h.Manifest().Jobs[1].Run
		for range 2 { // the second finds nothing, and leaves no entry
			if err := prune(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for _, c := range h.Controls {
			if _, _, err := h.Evidence(t.Context(), c.ID); err != nil {
				t.Errorf("newest evidence of %s: %v", c.ID, err)
			}
		}
		if logged := entries(t, h, trust.EventPruned); len(logged) != 1 || !strings.Contains(logged[0], `"results":1`) {
			t.Errorf("entries: %v", logged)
		}
	})
}

func TestThePagesAndTheAPIShowWhereControlsStand(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		h.Controls = append(h.Manifest().Controls, control("trust.freshness.copy", says(capability.Fail, 3, 2)))[:1]
		if _, err := h.RunAll(t.Context(), job); err != nil {
			t.Fatal(err)
		}
		ask := func(method, path, pattern, lang string) *httptest.ResponseRecorder {
			r := web.WithCaller(httptest.NewRequest(method, "https://trust.example"+path, nil), caller.Caller{Lang: lang})
			r.SetPathValue("control", "trust.freshness")
			w := httptest.NewRecorder()
			for _, route := range h.Manifest().Routes {
				if route.Pattern == pattern {
					if err := route.Serve(w, r); err != nil {
						t.Fatal(err)
					}
				}
			}
			return w
		}
		body := ask("GET", "/console/staff/controls", "GET /console/staff/controls", "fr").Body.String()
		for _, want := range []string{"Chaque contrôle s’est exécuté dans son délai", "trust.freshness", "Inconnu", `<svg class="strip"`} {
			if !strings.Contains(body, want) {
				t.Errorf("the page lacks %q", want)
			}
		}
		w := ask("GET", "/api/v1/installation/controls", "GET /api/v1/installation/controls", "en")
		var list struct{ Items []trust.Report }
		if err := json.Unmarshal(w.Body.Bytes(), &list); err != nil || len(list.Items) != 1 || list.Items[0].Title != "Every control ran within its window" || list.Items[0].WindowSeconds != 1200 {
			t.Errorf("%s, %v", w.Body, err)
		}
		if w := ask("POST", "/api/v1/installation/controls/trust.freshness/run", "POST /api/v1/installation/controls/{control}/run", "en"); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"verdict":"unknown"`) {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		if w := ask("POST", "/console/staff/controls/trust.freshness/run", "POST /console/staff/controls/{control}/run", "en"); w.Code != http.StatusSeeOther {
			t.Errorf("%d", w.Code)
		}
		if _, err := h.Run(t.Context(), job, "no.such"); !errors.Is(err, fault.ErrNotFound) {
			t.Errorf("got %v", err)
		}
	})
}
