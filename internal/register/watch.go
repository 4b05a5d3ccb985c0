package register

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/i18n"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/keyring"
	"github.com/rempart/rempart/internal/mail"
	"github.com/rempart/rempart/internal/register/catalogue"
	"github.com/rempart/rempart/internal/store"
)

// historyTerm is how far back the public change log reaches; historyMax how
// many changes it shows.
const (
	historyTerm = 400 * 24 * time.Hour
	historyMax  = 200
)

// Watch notes each statement whose verdict is another than it was: the change
// log of the page, and one entry of the log for all that changed together.
func (s *Service) Watch(ctx context.Context) error {
	page, err := s.Resolve(ctx)
	if err != nil {
		return err
	}
	pen, err := s.Audit.Pen(ctx, caller.ForSystem("register.watch"), id.Org{})
	if err != nil {
		return err
	}
	now := store.Micros(page.At)
	wrote := false
	err = s.Store.Update(ctx, store.System("register.watch"), func(tx *store.Tx) error {
		wrote = false
		before, err := loadVerdicts(tx)
		if err != nil {
			return err
		}
		var changed []map[string]any
		for _, st := range page.Standings {
			old, known := before[st.ID]
			verdict := string(st.Verdict)
			if known && old.verdict == verdict && old.class == string(st.Evidence) {
				continue
			}
			if !known && st.Verdict == catalogue.Unknown && st.Checked.IsZero() {
				continue // its first round is not over: the first verdict is no change
			}
			since := now
			if known && old.verdict == verdict {
				since = old.since
			}
			if _, err := tx.Exec(upsertVerdict, st.ID, verdict, string(st.Evidence), since); err != nil {
				return err
			}
			wrote = true
			if !known || old.verdict == verdict {
				continue
			}
			changed = append(changed, map[string]any{"statement": st.ID, "before": old.verdict, "after": verdict})
			if st.Internal {
				continue
			}
			if _, err := tx.Exec(insertChange, id.NewResult(page.At), now, st.ID, "verdict", old.verdict, verdict); err != nil {
				return err
			}
		}
		if !wrote {
			return nil
		}
		return pen.Record(tx, audit.Entry{Kind: EventVerdicts, Target: audit.Target{Kind: "register"}, Facts: map[string]any{"changed": changed, "first": len(before) == 0}})
	})
	if err != nil {
		return fmt.Errorf("register: note verdicts: %w", err)
	}
	if wrote {
		s.Reread()
	}
	return nil
}

// Event is one line of the public change log.
type Event struct {
	At            time.Time
	Statement     string // "" for a change of the whole page
	Kind          string // verdict, applies, aside, value.NAME, attested, withdrawn, profile
	Before, After string
}

// Changes are the last changes of the page, newest first.
func (s *Service) Changes(ctx context.Context) (out []Event, err error) {
	err = s.Store.View(ctx, store.System("register.read"), func(tx *store.Tx) (err error) {
		out, err = store.All(tx, func(r *store.Rows) (Event, error) {
			var e Event
			var at int64
			err := r.Scan(&at, &e.Statement, &e.Kind, &e.Before, &e.After)
			e.At = store.Time(at)
			return e, err
		}, listChanges, store.Micros(s.Now().Add(-historyTerm)), int64(historyMax))
		return err
	})
	return slices.DeleteFunc(out, func(e Event) bool {
		st, ok := s.catalogue.Find(e.Statement)
		return ok && st.Internal
	}), err
}

// Reminders are the days before the end at which people are reminded.
var Reminders = []int{60, 30, 7, 0}

// RemindDue reminds of attestations that end in 60, 30 and 7 days, and says so
// when one has lapsed. Each step is told once, by mail and by an entry; steps
// that were missed are not made up for one by one.
func (s *Service) RemindDue(ctx context.Context) error {
	all, err := s.Attestations(ctx)
	if err != nil {
		return err
	}
	page, err := s.Resolve(ctx)
	if err != nil {
		return err
	}
	now := s.Now()
	var faults []error
	for _, a := range all {
		if a.State != StateGiven || now.Before(a.ValidFrom) || Renewed(all, a) {
			continue
		}
		step := -1
		for _, days := range Reminders {
			if !now.Before(a.ValidUntil.AddDate(0, 0, -days)) {
				step = days
			}
		}
		// What was given for less than a step's time is not reminded of it at once.
		if step < 0 || int64(step) >= a.reminded || step > 0 && a.CreatedAt.After(a.ValidUntil.AddDate(0, 0, -step)) {
			continue
		}
		st, _ := page.Find(a.Statement)
		if err := s.remind(ctx, a, step, s.Sentence(a.lang, st.Statement, st.Values)); err != nil {
			faults = append(faults, fmt.Errorf("register: remind of %s: %w", a.ID, err))
		}
	}
	return errors.Join(faults...)
}

// Renewed reports whether a later attestation of the same statement is given.
func Renewed(all []Attestation, a Attestation) bool {
	return slices.ContainsFunc(all, func(b Attestation) bool {
		return b.ID != a.ID && b.Statement == a.Statement && b.State == StateGiven && b.ValidUntil.After(a.ValidUntil)
	})
}

func (s *Service) remind(ctx context.Context, a Attestation, days int, sentence string) error {
	pen, err := s.Audit.Pen(ctx, caller.ForSystem("register.remind"), id.Org{})
	if err != nil {
		return err
	}
	kind := EventReminded
	if days == 0 {
		kind = EventLapsed
	}
	err = s.Store.Update(ctx, store.System("register.remind"), func(tx *store.Tx) error {
		n, err := tx.Exec(noteReminder, a.ID, int64(days))
		if err != nil || n == 0 {
			return err // another node was first
		}
		if err := s.writeTx(tx, pen, a, days, sentence); err != nil {
			return err
		}
		return pen.Record(tx, audit.Entry{Kind: kind, Target: audit.Target{Kind: "attestation", ID: a.ID.String()},
			Facts: map[string]any{"statement": a.Statement, "valid_until": a.ValidUntil.UTC().Format(time.RFC3339), "days": days}})
	})
	s.Reread()
	return err
}

// writeTx tells the two people who are named.
func (s *Service) writeTx(tx *store.Tx, pen *audit.Pen, a Attestation, days int, sentence string) error {
	if s.Mail == nil {
		return nil
	}
	template := "register.mail.ending"
	if days == 0 {
		template = "register.mail.lapsed"
	}
	for _, to := range []Named{a.Owner, a.Reviewer} {
		err := s.Mail.QueueTx(tx, pen.Ring, mail.Message{To: to.Email, Name: to.Name, Lang: a.lang, Template: template,
			Args: map[string]any{"Statement": a.Statement, "Sentence": sentence, "Count": days, "Date": i18n.Date(a.lang, a.ValidUntil)},
			Link: s.BaseURL.String() + "/console/staff/statements/" + a.Statement, Purpose: "attestation", Owner: keyring.Installation().String()})
		if err != nil {
			return err
		}
	}
	return nil
}

// Sentence is a statement's text with the values in force.
func (s *Service) Sentence(lang string, st catalogue.Statement, values catalogue.Params) string {
	lang = language(lang)
	text, err := st.Text(lang, values)
	if err != nil {
		// Values were checked when they were set; the sentence with its
		// defaults is the catalogue's own.
		text, _ = st.Text(lang, nil)
	}
	return text
}
