// Package trust runs the controls: checks of the running system that back the
// statements of the trust page.
//
// A control is a value in a manifest (capability.Control). Run executes it
// with a Probe, signs what it saw as an in-toto statement in a DSSE envelope,
// stores it, and records it in the installation's log. Current tells where
// every control stands; a result older than its window is stale, whatever it
// said. A control that panics, does not end in time or cannot run is unknown:
// nothing passes because it broke. Nothing here runs on a visitor's request.
//
// It owns trust_results, trust_states, trust_days and trust_keys. It does not
// know the sentences: internal/register binds them to controls and renders the
// public pages.
package trust

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/clock"
	"github.com/rempart/rempart/internal/console"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/store"
)

// The types that a manifest holds.
type (
	Probe  = capability.Probe
	Result = capability.Result
)

// Kinds of entries.
const (
	EventRan    = "trust.control.ran"
	EventKey    = "trust.key.created"
	EventPruned = "trust.results.pruned"
)

// Permissions.
const (
	PermissionRead = "trust.read"
	PermissionRun  = "trust.run"
)

const (
	runLimit    = 60 * time.Second    // of one control
	keepResults = 14 * 24 * time.Hour // evidence in full; after that the counts of each day and the log remain
	keepDays    = 400                 // counts of each day
	historyDays = 90                  // of the history bar
	reload      = 5 * time.Second     // how long a node may not have seen what another ran
	firstRound  = 10 * time.Second    // what one turn may spend on controls that never ran
	turn        = 3 * time.Second     // what one turn may spend on others
	retry       = time.Minute         // after a run that came to nothing
	skew        = 2 * time.Minute     // a result further ahead of the clock proves nothing
)

//go:embed migrations/*.sql
var migrations embed.FS

//go:embed messages/*.json
var messages embed.FS

//go:embed pages/*.html
var pages embed.FS

var views = console.MustParse(pages, "pages/*.html")

// Service runs controls. app fills the exported fields once.
type Service struct {
	Store    *store.DB
	Audit    *audit.Log
	Console  *console.Console
	Now      clock.Now
	Log      *slog.Logger
	Origin   string // host of the base URL: names the key that signs
	Version  string // of the code
	Controls []capability.Control
	Probe    func() Probe
	Limit    time.Duration // of one control; 0 is 60 s

	mu       sync.RWMutex // guards the fields below
	states   map[string]State
	days     map[string][]Day
	loaded   time.Time
	revision int64
	signer   note.Signer
	keys     map[string]string // message key of a control's text, by its tail

	running sync.Mutex // one control at a time: they share the canaries
	stuckMu sync.Mutex
	stuck   map[string]bool // controls whose check has not returned in time, and not since
}

// State is where one control stands. Its JSON is that of /trust.json.
type State struct {
	ID         string                   `json:"id"`
	Class      capability.EvidenceClass `json:"class"`
	Verdict    capability.Verdict       `json:"verdict"`
	Checked    int64                    `json:"checked"`
	Failed     int64                    `json:"failed"`
	RanAt      *time.Time               `json:"ran_at"`
	Statements []string                 `json:"statements"`

	Since time.Time `json:"-"` // when the verdict of the last run was first seen
	Note  string    `json:"-"` // message key of a sentence for readers
}

// Day counts the runs of one control on one UTC day.
type Day struct {
	Day                   time.Time
	Passed, Failed, Other int64
}

// Verdict is what the day comes to: "none" without a run, "mixed" where most
// runs passed and some did not.
func (d Day) Verdict() string {
	switch {
	case d.Failed > 0 && d.Passed > d.Failed:
		return "mixed"
	case d.Failed > 0:
		return string(capability.Fail)
	case d.Passed > 0:
		return string(capability.Pass)
	case d.Other > 0:
		return string(capability.Unknown)
	}
	return "none"
}

// Manifest is the capability's.
func (s *Service) Manifest() capability.Manifest {
	sub := func(f embed.FS, dir string) fs.FS {
		d, err := fs.Sub(f, dir)
		if err != nil {
			panic(err) // the folder is embedded
		}
		return d
	}
	return capability.Manifest{
		Name: "trust",
		Permissions: []capability.Permission{
			{Name: PermissionRead, Level: capability.LevelStaff, Roles: []string{"staff-admin", "staff-auditor"}},
			{Name: PermissionRun, Level: capability.LevelStaff, Roles: []string{"staff-admin"}},
		},
		Events: []capability.Event{
			{Kind: EventRan, Class: capability.ClassSystem},
			{Kind: EventKey, Class: capability.ClassSystem},
			{Kind: EventPruned, Class: capability.ClassSystem},
		},
		Routes: s.routes(),
		Jobs: []capability.Job{
			{Name: "trust.run", Every: 5 * time.Second, Run: s.RunDue},
			{Name: "trust.prune", Every: 24 * time.Hour, Run: s.prune},
		},
		Navigation: []capability.Navigation{{Area: "staff", Section: "trust.nav.section", Label: "trust.nav.controls",
			Path: "/controls", Permission: PermissionRead, Icon: "activity", Order: 60}},
		Tables:     tables(),
		Statements: q.All(),
		Controls:   s.own(),
		Migrations: sub(migrations, "migrations"),
		Messages:   sub(messages, "messages"),
	}
}

// Find gives the control of the id.
func (s *Service) Find(control string) (capability.Control, bool) {
	i := slices.IndexFunc(s.Controls, func(c capability.Control) bool { return c.ID == control })
	if i < 0 {
		return capability.Control{}, false
	}
	return s.Controls[i], true
}

// Current tells where every control stands, in the order of Controls. A node
// reads what others have run every few seconds; visitors cost no statement.
func (s *Service) Current(ctx context.Context) ([]State, error) {
	if err := s.refresh(ctx); err != nil {
		return nil, err
	}
	now := s.Now()
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := make([]State, 0, len(s.Controls))
	for _, c := range s.Controls {
		out = append(out, at(c, s.states[c.ID], now))
	}
	return out, nil
}

// at is the state of a control at an instant; st is zero before the first run.
func at(c capability.Control, st State, now time.Time) State {
	st.ID, st.Class, st.Statements = c.ID, c.Class, c.Statements
	if st.Statements == nil {
		st.Statements = []string{}
	}
	switch {
	case st.RanAt == nil || st.RanAt.After(now.Add(skew)):
		st.Verdict = capability.Unknown
	case c.Window > 0 && now.Sub(*st.RanAt) > c.Window && st.Verdict != capability.Fail && st.Verdict != capability.NotApplicable:
		// A failure does not age: it stands until a run replaces it.
		st.Verdict = capability.Stale
	}
	return st
}

// Revision changes whenever a result does. Rendered pages are kept by it.
func (s *Service) Revision(ctx context.Context) (int64, error) {
	if err := s.refresh(ctx); err != nil {
		return 0, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.revision, nil
}

// refresh reads the rows again when the copy is older than reload.
func (s *Service) refresh(ctx context.Context) error {
	now := s.Now()
	s.mu.RLock()
	fresh := s.states != nil && now.Sub(s.loaded) < reload && !now.Before(s.loaded)
	s.mu.RUnlock()
	if fresh {
		return nil
	}
	var states map[string]State
	var days map[string][]Day
	err := s.Store.View(ctx, store.System("trust.read"), func(tx *store.Tx) (err error) {
		if states, err = loadStates(tx); err == nil {
			days, err = loadDays(tx, dayOf(now)-historyDays+1)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("trust: read results: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := len(states) != len(s.states)
	for id, st := range states {
		if old, ok := s.states[id]; !ok || !old.RanAt.Equal(*st.RanAt) {
			changed = true
		}
	}
	if changed {
		s.revision++
	}
	s.states, s.days, s.loaded = states, days, now
	return nil
}

// History gives the last 90 days of a control, oldest first; a day without a
// run has no counts.
func (s *Service) History(ctx context.Context, control string) ([]Day, error) {
	if err := s.refresh(ctx); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := make([]Day, historyDays)
	first := dayOf(s.Now()) - historyDays + 1
	for i := range out {
		out[i].Day = dayTime(first + int64(i))
	}
	for _, d := range s.days[control] {
		if i := dayOf(d.Day) - first; i >= 0 && i < historyDays {
			out[i] = d
		}
	}
	return out, nil
}

// Evidence gives what the newest run of a control saw, and its signed
// statement. The error is NotFound before the first run.
func (s *Service) Evidence(ctx context.Context, control string) (evidence, envelope []byte, err error) {
	if _, ok := s.Find(control); !ok {
		return nil, nil, fault.ErrNotFound
	}
	err = s.Store.View(ctx, store.System("trust.read"), func(tx *store.Tx) error {
		return tx.Row(selectEvidence, control).Scan(&evidence, &envelope)
	})
	if errors.Is(err, store.ErrNone) {
		return nil, nil, fault.ErrNotFound
	}
	return evidence, envelope, err
}

// Text is a text of a control: part is "title" or "how". The messages of the
// capability that declares the control hold it, under a key that begins with
// the capability's name.
func (s *Service) Text(lang, control, part string) string {
	tail := ".control." + strings.ReplaceAll(control, ".", "-") + "." + part
	s.mu.RLock()
	keys := s.keys
	s.mu.RUnlock()
	if keys == nil {
		keys = map[string]string{}
		for _, k := range s.Console.Bundle.Keys() {
			if _, after, ok := strings.Cut(k, ".control."); ok {
				keys[".control."+after] = k
			}
		}
		s.mu.Lock()
		s.keys = keys
		s.mu.Unlock()
	}
	if key := keys[tail]; key != "" {
		return s.Console.Bundle.T(lang, key)
	}
	return control // a manifest whose control has no text does not pass the tests
}
