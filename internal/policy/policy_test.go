package policy_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rempart/rempart/internal/access"
	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/clock"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/keyring"
	"github.com/rempart/rempart/internal/keyring/keyringtest"
	"github.com/rempart/rempart/internal/policy"
	"github.com/rempart/rempart/internal/store"
	"github.com/rempart/rempart/internal/store/storetest"
)

var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func methods(names ...string) (out []caller.Method) {
	for _, n := range names {
		out = append(out, caller.Method{Name: n, At: start})
	}
	return out
}

func TestEntry(t *testing.T) {
	all := policy.Rules{SecondFactor: policy.SecondFactorAll, GraceDays: 14, Since: start}
	long := policy.Rules{SecondFactor: policy.SecondFactorOff, PasswordMinimum: 12}
	short := policy.Rules{SecondFactor: policy.SecondFactorOff, SessionIdle: 30, SessionAbsolute: 60}
	both := policy.Rules{SecondFactor: policy.SecondFactorAll, Since: start, PasswordMinimum: 12}
	day := 24 * time.Hour
	for _, c := range []struct {
		name  string
		rules policy.Rules
		facts policy.Facts
		after time.Duration
		want  policy.Decision
	}{
		{"no rule asks nothing", policy.Rules{}, policy.Facts{Methods: methods("pwd")}, 0, policy.Decision{Outcome: policy.Allow}},
		{"two factors enter", all, policy.Facts{Methods: methods("pwd", "otp")}, 0, policy.Decision{Outcome: policy.Allow}},
		{"a recovery code is a second factor", all, policy.Facts{Methods: methods("pwd", "rcv")}, 0, policy.Decision{Outcome: policy.Allow}},
		{"a key with user verification is two", all, policy.Facts{Methods: methods("hwk")}, 0, policy.Decision{Outcome: policy.Allow}},
		{"an upstream sign-in alone is one", all, policy.Facts{Methods: methods("fed"), HasSecondFactor: true}, 0, policy.Decision{Outcome: policy.StepUp, Why: "policy.entry.step-up"}},
		{"a password twice is one", all, policy.Facts{Methods: methods("pwd", "pwd"), HasSecondFactor: true}, 0, policy.Decision{Outcome: policy.StepUp, Why: "policy.entry.step-up"}},
		{"who has a second factor uses it, grace or not", all, policy.Facts{Methods: methods("pwd"), HasSecondFactor: true}, 0, policy.Decision{Outcome: policy.StepUp, Why: "policy.entry.step-up"}},
		{"who has none enters within the grace", all, policy.Facts{Methods: methods("pwd")}, 14*day - 1, policy.Decision{Outcome: policy.Allow, Why: "policy.entry.grace", Deadline: start.Add(14 * day)}},
		{"and enrolls from its end on", all, policy.Facts{Methods: methods("pwd")}, 14 * day, policy.Decision{Outcome: policy.Enroll, Why: "policy.entry.enroll"}},
		{"a short password is changed", long, policy.Facts{Methods: methods("pwd"), PasswordLength: 11}, 0, policy.Decision{Outcome: policy.Password, Why: "policy.entry.password", Minimum: 12}},
		{"one of unknown length too", long, policy.Facts{Methods: methods("pwd")}, 0, policy.Decision{Outcome: policy.Password, Why: "policy.entry.password", Minimum: 12}},
		{"a long one enters", long, policy.Facts{Methods: methods("pwd"), PasswordLength: 12}, 0, policy.Decision{Outcome: policy.Allow}},
		{"an upstream's password is not ours to judge", long, policy.Facts{Methods: []caller.Method{{Name: "pwd", Connection: "con_1"}}}, 0, policy.Decision{Outcome: policy.Allow}},
		{"no password, nothing to change", long, policy.Facts{Methods: methods("hwk")}, 0, policy.Decision{Outcome: policy.Allow}},
		{"the second factor comes before the password", both, policy.Facts{Methods: methods("pwd")}, 0, policy.Decision{Outcome: policy.Enroll, Why: "policy.entry.enroll"}},
		{"a session within its limits", short, policy.Facts{Methods: methods("pwd"), AuthTime: start, SeenAt: start.Add(30 * time.Minute)}, 59 * time.Minute, policy.Decision{Outcome: policy.Allow}},
		{"a session that idled", short, policy.Facts{Methods: methods("pwd"), AuthTime: start, SeenAt: start}, 30 * time.Minute, policy.Decision{Outcome: policy.SignIn, Why: "policy.entry.idle"}},
		{"a session that is too old", short, policy.Facts{Methods: methods("pwd"), AuthTime: start, SeenAt: start.Add(59 * time.Minute)}, time.Hour, policy.Decision{Outcome: policy.SignIn, Why: "policy.entry.absolute"}},
		{"the floor ends a session that no rule ends", policy.Rules{}, policy.Facts{Methods: methods("pwd"), AuthTime: start, SeenAt: start.Add(7*day - 1)}, 7 * day, policy.Decision{Outcome: policy.SignIn, Why: "policy.entry.absolute"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.facts.Now = start.Add(c.after)
			if c.facts.AuthTime.IsZero() {
				c.facts.AuthTime = c.facts.Now
			}
			if d := cmp.Diff(c.want, policy.Entry(c.rules, policy.DefaultFloor, c.facts)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestTheStrictestOfThoseWhoManageHerWins(t *testing.T) {
	for name, c := range map[string]struct {
		managing []int
		want     policy.Authenticators
	}{
		"nobody manages her: the floor":        {nil, policy.Authenticators{PasswordMinimum: 8, PasswordAlone: 15}},
		"a rule weaker than the lone password": {[]int{10}, policy.Authenticators{PasswordMinimum: 10, PasswordAlone: 15}},
		"two rules":                            {[]int{10, 20}, policy.Authenticators{PasswordMinimum: 20, PasswordAlone: 20}},
		"no rule of hers":                      {[]int{0}, policy.Authenticators{PasswordMinimum: 8, PasswordAlone: 15}},
	} {
		rules := []policy.Rules{}
		for _, n := range c.managing {
			rules = append(rules, policy.Rules{PasswordMinimum: n})
		}
		if got := policy.Authenticator(rules, policy.DefaultFloor); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func TestRulesAreNotWeakerThanTheFloor(t *testing.T) {
	for name, c := range map[string]struct {
		rules policy.Rules
		field string
	}{
		"the zero rules":                 {policy.Rules{}, ""},
		"a length below the floor":       {policy.Rules{PasswordMinimum: 7}, "/password_minimum"},
		"the floor itself":               {policy.Rules{PasswordMinimum: 8}, ""},
		"a length nobody types":          {policy.Rules{PasswordMinimum: 65}, "/password_minimum"},
		"longer idling than the floor":   {policy.Rules{SessionIdle: 12*60 + 1}, "/session_idle_minutes"},
		"idling of a minute":             {policy.Rules{SessionIdle: 1}, "/session_idle_minutes"},
		"a session longer than allowed":  {policy.Rules{SessionAbsolute: 7*24*60 + 1}, "/session_absolute_minutes"},
		"idling longer than the session": {policy.Rules{SessionIdle: 120, SessionAbsolute: 60}, "/session_idle_minutes"},
		"a grace of a year":              {policy.Rules{GraceDays: 365}, "/second_factor_grace_days"},
		"an unheard-of second factor":    {policy.Rules{SecondFactor: "some"}, "/second_factor"},
	} {
		if c.rules.SecondFactor == "" {
			c.rules.SecondFactor = policy.SecondFactorOff
		}
		got := ""
		if f := fault.Of(c.rules.Check(policy.DefaultFloor)); f != nil {
			got = f.Fields[0].Pointer
		}
		if got != c.field {
			t.Errorf("%s: %q, want %q", name, got, c.field)
		}
	}
}

// Rows that rules refer to, without what keeps them.
var (
	tables = store.NewSet("directory")
	putOrg = tables.Add("put_org", `INSERT INTO directory_orgs (id) VALUES ($1)`, store.ForSystem)
	owners = capability.Manifest{
		Name: "directory", Statements: tables.All(),
		Migrations: fstest.MapFS{"202601010000_directory_create_tables.sql": &fstest.MapFile{Data: []byte(`-- +goose Up
CREATE TABLE directory_orgs (id {{TEXT}} NOT NULL PRIMARY KEY) {{STRICT}};
CREATE TABLE directory_users (id {{TEXT}} NOT NULL PRIMARY KEY) {{STRICT}};
CREATE TABLE directory_workspaces (id {{TEXT}} NOT NULL PRIMARY KEY) {{STRICT}};
`)}},
		Tables: []capability.Table{
			{Name: "directory_orgs", Database: "main", OrgColumn: "id", Reach: capability.ScopeSystem},
			{Name: "directory_users", Database: "main", UsrColumn: "id", Reach: capability.ScopeSystem},
			{Name: "directory_workspaces", Database: "main", Reach: capability.ScopeSystem},
		},
	}
)

type world struct {
	*testing.T
	*policy.Service
	clock *clock.Fixed
	org   id.Org
	who   caller.Caller
	log   *audit.Log
	pop   []policy.Person
}

func each(t *testing.T, fn func(t *testing.T, w *world)) {
	manifests := []capability.Manifest{owners, keyring.Manifest(), (&audit.Log{}).Manifest(), (&access.Service{}).Manifest(), (&policy.Service{}).Manifest()}
	storetest.Each(t, manifests, func(t *testing.T, s *store.Store) {
		w := &world{T: t, clock: clock.NewFixed(start), org: id.NewOrg(start)}
		keys := keyringtest.New(t, s, w.clock.Now)
		w.log = &audit.Log{Store: s.Main, Now: w.clock.Now, Ready: keys.Ready, Process: slog.New(slog.DiscardHandler), Host: "id.example.com", Node: "one", Version: "test"}
		s.Main.SetJournal(w.log)
		w.must(w.log.Open(t.Context()))
		w.who = caller.Caller{Kind: caller.User, User: id.NewUser(start), Methods: methods("pwd"), AuthTime: start, FreshAt: start}
		w.pop = []policy.Person{{User: w.who.User, HasPassword: true, PasswordLength: 15}}
		w.Service = &policy.Service{Store: s.Main, Now: w.clock.Now, Audit: w.log, Access: &access.Service{Store: s.Main, Now: w.clock.Now},
			Population: func(context.Context, id.Org) (policy.Population, error) {
				return policy.Population{Members: w.pop, Name: func(_ context.Context, us []id.User) (map[id.User]string, error) {
					out := map[id.User]string{}
					for _, u := range us {
						out[u] = "Somebody"
					}
					return out, nil
				}}, nil
			}}
		pen, err := w.log.Pen(t.Context(), caller.ForSystem("test"), id.Org{})
		w.must(err)
		w.must(s.Main.Update(t.Context(), store.System("test"), func(tx *store.Tx) error {
			_, err := tx.Exec(putOrg, w.org)
			return errors.Join(err, pen.Record(tx, audit.Entry{Kind: "directory.organization.added"}))
		}))
		fn(t, w)
	})
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func ptr[T any](v T) *T { return &v }

func TestEachChangeIsAVersionWithItsAuthor(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		r, err := w.Rules(ctx, w.org)
		w.must(err)
		if r.Version != 0 || r.SecondFactor != policy.SecondFactorOff {
			t.Errorf("before the first: %+v", r)
		}
		r, err = w.Change(ctx, w.who, w.org, 0, policy.Patch{PasswordMinimum: ptr(12)}, false)
		w.must(err)
		if r.Version != 1 || r.By != w.who.User.String() || !r.At.Equal(start) {
			t.Errorf("first version: %+v", r)
		}
		if _, err = w.Change(ctx, w.who, w.org, 0, policy.Patch{PasswordMinimum: ptr(14)}, false); !errors.Is(err, policy.ErrChanged) {
			t.Errorf("on an old version: %v", err)
		}
		same, err := w.Change(ctx, w.who, w.org, 1, policy.Patch{PasswordMinimum: ptr(12)}, false)
		w.must(err)
		if same.Version != 1 {
			t.Errorf("a change of nothing made version %d", same.Version)
		}
		w.clock.Advance(time.Hour)
		_, err = w.Change(ctx, w.who, w.org, 1, policy.Patch{SecondFactor: ptr(policy.SecondFactorAll), GraceDays: ptr(7)}, false)
		w.must(err)
		r, err = w.Rules(ctx, w.org)
		w.must(err)
		if r.Version != 2 || r.PasswordMinimum != 12 || !r.Deadline().Equal(start.Add(time.Hour+7*24*time.Hour)) {
			t.Errorf("in force: %+v until %s", r, r.Deadline())
		}
		h, err := w.History(ctx, w.org, 0, 10)
		w.must(err)
		if len(h) != 2 || h[0].Version != 2 || h[1].Version != 1 {
			t.Errorf("history %+v", h)
		}
	})
}

func TestAChangeThatLocksItsAuthorOutNeedsHerWord(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		w.pop = append(w.pop, policy.Person{User: id.NewUser(start)}, policy.Person{User: id.NewUser(start), SecondFactor: true})
		now := policy.Patch{SecondFactor: ptr(policy.SecondFactorAll), GraceDays: ptr(0)}
		e, err := w.Preview(ctx, w.who, w.org, now)
		w.must(err)
		if !e.LocksAuthor || e.Author != policy.Enroll || e.MustEnroll != 2 || e.Members != 3 || len(e.Names) != 2 {
			t.Errorf("effect %+v", e)
		}
		if _, err := w.Change(ctx, w.who, w.org, 0, now, false); !errors.Is(err, policy.ErrLocksAuthor) {
			t.Errorf("without her word: %v", err)
		}
		later := policy.Patch{SecondFactor: ptr(policy.SecondFactorAll), GraceDays: ptr(14)}
		e, err = w.Preview(ctx, w.who, w.org, later)
		w.must(err)
		if e.LocksAuthor || !e.Deadline.Equal(start.Add(14*24*time.Hour)) {
			t.Errorf("effect with a grace %+v", e)
		}
		_, err = w.Change(ctx, w.who, w.org, 0, now, true)
		w.must(err)
		if _, err := w.Preview(ctx, w.who, w.org, policy.Patch{PasswordMinimum: ptr(3)}); fault.KindOf(err) != fault.Invalid {
			t.Errorf("a preview of what can't be saved: %v", err)
		}
	})
}

func TestTheFloorIsVersionedToo(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		f, err := w.Floor(ctx)
		w.must(err)
		if f != policy.DefaultFloor {
			t.Errorf("floor %+v", f)
		}
		f, err = w.ChangeFloor(ctx, caller.ForSystem("test"), 0, policy.FloorPatch{PasswordMinimum: ptr(10)})
		w.must(err)
		got, err := w.Floor(ctx)
		w.must(err)
		if got.PasswordMinimum != 10 || got.Version != 1 || got != f {
			t.Errorf("floor %+v", got)
		}
		for name, p := range map[string]policy.FloorPatch{
			"below eight characters":           {PasswordMinimum: ptr(7)},
			"alone shorter than with a factor": {PasswordAlone: ptr(9)},
			"sessions without end":             {SessionAbsolute: ptr(1 << 30)},
		} {
			if _, err := w.ChangeFloor(ctx, caller.ForSystem("test"), 1, p); fault.KindOf(err) != fault.Invalid {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := w.ChangeFloor(ctx, caller.ForSystem("test"), 0, policy.FloorPatch{}); !errors.Is(err, policy.ErrChanged) {
			t.Errorf("on an old version: %v", err)
		}
	})
}
