package face_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/register"
	"github.com/rempart/rempart/internal/register/catalogue"
)

// draft is an attestation that nothing is wrong with.
func draft(statement string) register.Draft {
	return register.Draft{Statement: statement, Owner: register.Named{Name: "Grace Hopper", Role: "CISO", Email: "grace@example.com"},
		Reviewer: register.Named{Name: "Alan Turing", Email: "alan@example.com"}, Visibility: register.VisibilityPublic, Until: start.AddDate(1, 0, 0)}
}

func (h *house) standing(t testing.TB, statement string) register.Standing {
	t.Helper()
	p, err := h.Resolve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	st, ok := p.Find(statement)
	if !ok {
		t.Fatalf("no statement %s", statement)
	}
	return st
}

func TestAnAttestationLivesLapsesAndIsReminded(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		file := bytes.Repeat([]byte("evidence "), 300_000) // more than two chunks
		d := draft("P10")
		d.FileName, d.Media, d.Content = `C:\papers\round 3.pdf`, "application/pdf", file
		a, err := h.Attest(t.Context(), h.staff, d)
		if err != nil {
			t.Fatal(err)
		}
		if a.File == nil || a.File.Name != "round 3.pdf" || a.File.Size != int64(len(file)) || a.Owner.Email != "grace@example.com" {
			t.Errorf("%+v %+v", a, a.File)
		}
		if st := h.standing(t, "P10"); st.Verdict != catalogue.Pass || st.Evidence != catalogue.Attested {
			t.Errorf("in force: %s %s", st.Verdict, st.Evidence)
		}
		got, err := h.Service.Evidence(t.Context(), caller.Caller{}, a)
		if err != nil || !bytes.Equal(got, file) {
			t.Fatalf("%d bytes came back of %d: %v", len(got), len(file), err)
		}
		if n := len(h.entries(t, register.EventRead)); n != 0 {
			t.Errorf("a public file was recorded as read %d times", n)
		}
		for _, c := range []struct {
			day       int // from the end
			reminded  int
			lapsed    int
			letters   int
			verdict   catalogue.Verdict
			something string
		}{
			{-61, 0, 0, 0, catalogue.Pass, "long before"},
			{-60, 1, 0, 2, catalogue.Pass, "60 days before"},
			{-59, 1, 0, 2, catalogue.Pass, "the same step again"},
			{-6, 2, 0, 4, catalogue.Pass, "the step of 30 days was missed, 7 is told"},
			{0, 2, 1, 6, catalogue.Lapsed, "at the end"},
			{40, 2, 1, 6, catalogue.Lapsed, "long after"},
		} {
			h.now = a.ValidUntil.AddDate(0, 0, c.day)
			if err := h.RemindDue(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := h.Mail.Send(t.Context()); err != nil {
				t.Fatal(err)
			}
			letters, err := h.post.List()
			if err != nil {
				t.Fatal(err)
			}
			if r, l := len(h.entries(t, register.EventReminded)), len(h.entries(t, register.EventLapsed)); r != c.reminded || l != c.lapsed || len(letters) != c.letters {
				t.Errorf("%s: %d reminders, %d lapses, %d letters", c.something, r, l, len(letters))
			}
			if st := h.standing(t, "P10"); st.Verdict != c.verdict {
				t.Errorf("%s: %s", c.something, st.Verdict)
			}
		}
		letters, _ := h.post.List()
		if l := letters[0]; !strings.Contains(l.Subject, "P10") || len(l.Links) == 0 || !strings.HasSuffix(l.Links[0], "/console/staff/statements/P10") {
			t.Errorf("letter: %+v", l)
		}
	})
}

func TestARenewedAttestationIsNotRemindedAndAWithdrawnOneDoesNotCount(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		first, err := h.Attest(t.Context(), h.staff, draft("P10"))
		if err != nil {
			t.Fatal(err)
		}
		d := draft("P10")
		d.Until = start.AddDate(2, 0, 0)
		second, err := h.Attest(t.Context(), h.staff, d)
		if err != nil {
			t.Fatal(err)
		}
		h.now = first.ValidUntil.AddDate(0, 0, 1)
		if err := h.RemindDue(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := len(h.entries(t, register.EventLapsed)); n != 0 {
			t.Errorf("%d lapses of a renewed attestation", n)
		}
		if st := h.standing(t, "P10"); st.Verdict != catalogue.Pass {
			t.Errorf("renewed: %s", st.Verdict)
		}
		if err := h.Withdraw(t.Context(), h.staff, second.ID, "a mistake"); err != nil {
			t.Fatal(err)
		}
		if st := h.standing(t, "P10"); st.Verdict != catalogue.Lapsed {
			t.Errorf("withdrawn: %s", st.Verdict)
		}
		if err := h.Withdraw(t.Context(), h.staff, second.ID, ""); !errors.Is(err, register.ErrEnded) {
			t.Errorf("twice: %v", err)
		}
		if err := h.Withdraw(t.Context(), h.staff, id.NewAttestation(start), ""); !errors.Is(err, fault.ErrNotFound) {
			t.Errorf("unknown: %v", err)
		}
		if logged := h.entries(t, register.EventWithdrawn); len(logged) != 1 || !strings.Contains(logged[0], "a mistake") {
			t.Errorf("entries: %v", logged)
		}
	})
}

func TestWhatIsWrongWithAnAttestationIsNamed(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		for _, c := range []struct {
			name   string
			change func(d *register.Draft)
			want   string
		}{
			{"an unknown statement", func(d *register.Draft) { d.Statement = "Z1" }, "/statement"},
			{"no name", func(d *register.Draft) { d.Owner.Name = " " }, "/owner/name"},
			{"a name with a line break", func(d *register.Draft) { d.Reviewer.Name = "a\nb" }, "/reviewer/name"},
			{"an address with a name", func(d *register.Draft) { d.Owner.Email = "Grace <grace@example.com>" }, "/owner/email"},
			{"one person twice", func(d *register.Draft) { d.Reviewer.Email = "GRACE@example.com" }, "/reviewer/name"},
			{"an end that is past", func(d *register.Draft) { d.Until = start.Add(-time.Hour); d.From = start.AddDate(-1, 0, 0) }, "/valid_until"},
			{"an end before the start", func(d *register.Draft) { d.From = d.Until.Add(time.Hour) }, "/valid_until"},
			{"more than three years", func(d *register.Draft) { d.Until = start.AddDate(4, 0, 0) }, "/valid_until"},
			{"an unknown visibility", func(d *register.Draft) { d.Visibility = "secret" }, "/visibility"},
			{"a file that is too large", func(d *register.Draft) { d.FileName, d.Content = "x.pdf", make([]byte, register.MaxFile+1) }, "/evidence"},
			{"a sentence in one language", func(d *register.Draft) { d.Text = map[string]string{"en": "Training was held in March 2026."} }, "/text"},
			{"a sentence nobody can check", func(d *register.Draft) {
				d.Text = map[string]string{"en": "Training is held regularly.", "fr": "Une formation a eu lieu en mars 2026.", "nl": "In maart 2026 is een training gegeven."}
			}, "/text/en"},
		} {
			d := draft("P10")
			c.change(&d)
			_, err := h.Attest(t.Context(), h.staff, d)
			f := fault.Of(err)
			if f == nil || f.Kind != fault.Invalid || len(f.Fields) != 1 || f.Fields[0].Pointer != c.want {
				t.Errorf("%s: %v %+v", c.name, err, f)
			}
		}
		if n := len(h.entries(t, register.EventAttested)); n != 0 {
			t.Errorf("%d entries of what was refused", n)
		}
	})
}

func TestTheOperatorDecidesAndTheLogSaysSo(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		pass := capability.Pass
		h.with("password.length", capability.Proven, &pass, "I7")
		h.run(t, "password.length")
		if st := h.standing(t, "I7"); st.Verdict != catalogue.Pass {
			t.Fatalf("at first: %s", st.Verdict)
		}
		yes, no := true, false
		v := catalogue.V("20")
		if err := h.ChangeStatement(t.Context(), h.staff, "I7", register.Change{Values: map[string]*catalogue.Value{"length": &v}}); err != nil {
			t.Fatal(err)
		}
		if got := h.Sentence("en", h.standing(t, "I7").Statement, h.standing(t, "I7").Values); !strings.Contains(got, "20") {
			t.Errorf("the sentence does not print the value: %s", got)
		}
		if err := h.ChangeStatement(t.Context(), h.staff, "I7", register.Change{Aside: &yes, Reason: "reworded"}); err != nil {
			t.Fatal(err)
		}
		if st := h.standing(t, "I7"); st.Verdict != catalogue.NotApplicable || !st.Aside {
			t.Errorf("set aside: %+v", st.Verdict)
		}
		if err := h.ChangeStatement(t.Context(), h.staff, "I7", register.Change{Aside: &no, Values: map[string]*catalogue.Value{"length": nil}}); err != nil {
			t.Fatal(err)
		}
		if st := h.standing(t, "I7"); st.Verdict != catalogue.Pass || len(st.Values) != 0 {
			t.Errorf("restored: %s %v", st.Verdict, st.Values)
		}
		if logged := h.entries(t, register.EventChanged); len(logged) != 3 || !strings.Contains(logged[1], "reworded") || !strings.Contains(logged[1], `"aside"`) {
			t.Errorf("entries: %v", logged)
		}
		events, err := h.Changes(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var kinds []string
		for _, e := range events {
			kinds = append(kinds, e.Kind)
		}
		if len(kinds) != 4 {
			t.Errorf("change log: %v", kinds)
		}
		bad := catalogue.V("-3")
		err = h.ChangeStatement(t.Context(), h.staff, "I7", register.Change{Values: map[string]*catalogue.Value{"length": &bad, "nonsense": nil}})
		if f := fault.Of(err); f == nil || len(f.Fields) != 2 {
			t.Errorf("bad values: %v", err)
		}
		if err := h.ChangeStatement(t.Context(), h.staff, "Z9", register.Change{}); !errors.Is(err, register.ErrStatement) {
			t.Errorf("unknown: %v", err)
		}
	})
}

func TestAProfileBringsItsValuesAndRows(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		before := h.standing(t, "I7")
		if st := h.standing(t, "I16"); st.Applies() {
			t.Fatal("I16 applies by itself")
		}
		if err := h.UseProfile(t.Context(), h.staff, "kreo"); err != nil {
			t.Fatal(err)
		}
		if st := h.standing(t, "I16"); !st.Applies() {
			t.Error("the profile does not bring its rows")
		}
		if err := h.UseProfile(t.Context(), h.staff, "dastra"); err != nil {
			t.Fatal(err)
		}
		want, _ := before.Value("length", h.Profile("dastra").Params("I7"))
		st := h.standing(t, "I7")
		got, _ := st.Value("length", st.Values)
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
		v := catalogue.V("30")
		if err := h.ChangeStatement(t.Context(), h.staff, "I7", register.Change{Values: map[string]*catalogue.Value{"length": &v}}); err != nil {
			t.Fatal(err)
		}
		st = h.standing(t, "I7")
		if got, _ := st.Value("length", st.Values); !cmp.Equal(got, v) {
			t.Errorf("what was set by hand does not win: %v", got)
		}
		h.Live = func(context.Context) (map[string]catalogue.Value, error) {
			return map[string]catalogue.Value{"I7.length": catalogue.V("16")}, nil
		}
		h.Reread()
		st = h.standing(t, "I7")
		if got, _ := st.Value("length", st.Values); !cmp.Equal(got, catalogue.V("16")) {
			t.Errorf("what is measured does not win: %v", got)
		}
		if err := h.UseProfile(t.Context(), h.staff, "nobody"); !errors.Is(err, register.ErrProfile) {
			t.Errorf("unknown profile: %v", err)
		}
		if n := len(h.entries(t, register.EventProfile)); n != 2 {
			t.Errorf("%d entries", n)
		}
	})
}

func TestAVerdictThatChangesIsOnTheRecordOnce(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		verdict := capability.Pass
		h.with("oidc.sso", capability.Proven, &verdict, "I3")
		h.run(t, "oidc.sso")
		for range 2 {
			if err := h.Watch(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(h.entries(t, register.EventVerdicts)); n != 1 {
			t.Errorf("%d entries at first", n)
		}
		if events, err := h.Changes(t.Context()); err != nil || len(events) != 0 {
			t.Errorf("what is first seen is no change: %v, %v", events, err)
		}
		h.now, verdict = start.Add(time.Minute), capability.Fail
		h.run(t, "oidc.sso")
		for range 2 {
			if err := h.Watch(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		events, err := h.Changes(t.Context())
		want := []register.Event{{At: h.now, Statement: "I3", Kind: "verdict", Before: "pass", After: "fail"}}
		if d := cmp.Diff(want, events); err != nil || d != "" {
			t.Errorf("%v %s", err, d)
		}
		if st := h.standing(t, "I3"); !st.Since.Equal(h.now) {
			t.Errorf("since %s", st.Since)
		}
		logged := h.entries(t, register.EventVerdicts)
		if len(logged) != 2 || !strings.Contains(logged[0], `"I3"`) {
			t.Errorf("entries: %v", logged)
		}
	})
}

func TestEvidenceThatIsNotPublicIsReadOnRecordAndDamageIsNoticed(t *testing.T) {
	one(t, func(t *testing.T, h *house) {
		d := draft("P10")
		d.Visibility, d.FileName, d.Content = register.VisibilityInternal, "x.pdf", []byte("internal")
		a, err := h.Attest(t.Context(), h.staff, d)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.Service.Evidence(t.Context(), h.staff, a); err != nil {
			t.Fatal(err)
		}
		if n := len(h.entries(t, register.EventRead)); n != 1 {
			t.Errorf("%d entries of the read", n)
		}
		a.File.SHA256 = strings.Repeat("0", 64)
		if _, err := h.Service.Evidence(t.Context(), h.staff, a); err == nil {
			t.Error("a file with another hash was answered")
		}
		raw, err := json.Marshal(h.entries(t, register.EventAttested))
		if err != nil || strings.Contains(string(raw), "grace@") {
			t.Errorf("the entry names an address: %s", raw)
		}
	})
}
