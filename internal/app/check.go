package app

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/store"
)

// Invariant is one thing that must always be true of the stored state.
type Invariant struct {
	Name     string   `json:"name"`
	Title    string   `json:"title"`
	Checked  int64    `json:"checked"` // rows, values, entries or texts
	Problems []string `json:"problems,omitempty"`
	More     int64    `json:"more,omitempty"` // problems beyond those listed
}

// OK reports whether the invariant holds.
func (i *Invariant) OK() bool { return len(i.Problems) == 0 }

// problemsListed bounds a list that somebody reads.
const problemsListed = 100

func (i *Invariant) broken(format string, a ...any) {
	if len(i.Problems) == problemsListed {
		i.More++
		return
	}
	i.Problems = append(i.Problems, fmt.Sprintf(format, a...))
}

// leafAge is how long an entry may wait for its leaf, and a log for its signature.
const leafAge = 10 * time.Second

// intentAge is how long an act on keys may be under way.
const intentAge = time.Minute

// Check verifies every invariant of the stored state and hands each to report
// as soon as it is known. It changes nothing. The error says that a check could
// not be carried out, which is not a verdict.
func (a *App) Check(ctx context.Context, report func(Invariant)) error {
	for _, c := range []struct {
		name, title string
		check       func(context.Context, *Invariant) error
	}{
		{"files", "the database files are whole and every reference leads somewhere", a.checkFiles},
		{"log", "every log agrees with its leaves, its tree and every checkpoint ever published", a.checkLogs},
		{"sealed", "every sealed value opens, or its key is in the erasure ledger", a.checkSealed},
		{"organizations", "no row refers to another organization", a.checkWalls},
		{"disabled", "nothing of a disabled user is live", a.checkDisabled},
		{"intents", "no act on keys is open for more than a minute", a.checkIntents},
		{"texts", "every event, permission and control has its text in three languages", a.checkTexts},
		{"statements", "every SQL statement fits the schema", a.checkStatements},
	} {
		inv := Invariant{Name: c.name, Title: c.title}
		if err := c.check(ctx, &inv); err != nil {
			return fmt.Errorf("check %s: %w", c.name, err)
		}
		report(inv)
	}
	return nil
}

func (a *App) checkFiles(ctx context.Context, inv *Invariant) error {
	for _, db := range []struct {
		name string
		db   *store.DB
	}{{"main", a.Store.Main}, {"keys", a.Store.Keys}} {
		found, err := db.db.Faults(ctx)
		if err != nil {
			return err
		}
		inv.Checked++
		for _, f := range found {
			inv.broken("%s database: %s", db.name, f)
		}
	}
	return nil
}

func (a *App) checkLogs(ctx context.Context, inv *Invariant) error {
	add := func(r audit.Report) error {
		inv.Checked += r.Entries
		for _, p := range r.Problems {
			inv.broken("%s: %s", r.Origin, p)
		}
		inv.More += r.More
		return nil
	}
	if err := a.Audit.VerifyAll(ctx, add); err != nil || a.Listener == nil {
		return err // where nothing serves, nothing signs
	}
	late, err := a.Audit.Unsigned(ctx, leafAge)
	if late > 0 {
		inv.broken("%d logs or entries wait for their leaf or signature for more than %s", late, leafAge)
	}
	return err
}

// text is a value of a row as text.
func text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case []byte:
		return string(v)
	}
	return fmt.Sprint(v)
}

// tables are those of one database, of all manifests.
func (a *App) tables(database string) (out []capability.Table) {
	for _, m := range a.Manifests {
		for _, t := range m.Tables {
			if t.Database == database {
				out = append(out, t)
			}
		}
	}
	return out
}

func (a *App) table(name string) (t capability.Table) {
	for _, t := range a.tables("main") {
		if t.Name == name {
			return t
		}
	}
	return t
}

func has(t capability.Table, column string) bool {
	return slices.ContainsFunc(t.Columns, func(c capability.Column) bool { return c.Name == column })
}

// checkWalls goes over every row that names an organization: the organization
// exists, and a workspace named beside it is its own; whoever has a role in it
// is a member.
func (a *App) checkWalls(ctx context.Context, inv *Invariant) error {
	orgs, home, members := map[string]bool{"": true}, map[string]string{}, map[[2]string]bool{}
	err := a.Store.Main.Inspect(ctx, a.table("directory_orgs"), []string{"id"}, func(v []any) error {
		orgs[text(v[0])] = true
		return nil
	})
	if err == nil {
		err = a.Store.Main.Inspect(ctx, a.table("directory_workspaces"), []string{"id", "org_id"}, func(v []any) error {
			home[text(v[0])] = text(v[1])
			return nil
		})
	}
	if err == nil {
		err = a.Store.Main.Inspect(ctx, a.table("directory_memberships"), []string{"org_id", "user_id"}, func(v []any) error {
			members[[2]string{text(v[0]), text(v[1])}] = true
			return nil
		})
	}
	if err != nil {
		return err
	}
	for _, t := range a.tables("main") {
		if !has(t, "org_id") || t.Reach&capability.ScopeSystem == 0 || t.Name == "directory_workspaces" {
			continue
		}
		columns := []string{"org_id"}
		ws := has(t, "workspace_id")
		if ws {
			columns = append(columns, "workspace_id")
		}
		roles := t.Name == "access_assignments" && has(t, "user_id")
		if roles {
			columns = append(columns, "user_id")
		}
		err := a.Store.Main.Inspect(ctx, t, columns, func(v []any) error {
			inv.Checked++
			org := text(v[0])
			if !orgs[org] && !ownLog(t.Name, org) {
				inv.broken("%s: a row of %s, which does not exist", t.Name, org)
			}
			if ws {
				if w := text(v[1]); w != "" && home[w] != org {
					inv.broken("%s: a row of %s names workspace %s, which is not its own", t.Name, org, w)
				}
			}
			if roles {
				if u := text(v[len(v)-1]); !members[[2]string{org, u}] {
					inv.broken("%s: %s has a role in %s and is no member", t.Name, u, org)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// ownLog tells the two logs that belong to no organization: they stand under
// names of their own in the tables of the log.
func ownLog(table, org string) bool {
	_, err := id.ParseOrg(org)
	return err != nil && len(table) > 6 && table[:6] == "audit_"
}

func (a *App) checkDisabled(ctx context.Context, inv *Invariant) error {
	disabled := map[string]bool{}
	err := a.Store.Main.Inspect(ctx, a.table("directory_users"), []string{"id", "state"}, func(v []any) error {
		inv.Checked++
		if text(v[1]) != "active" {
			disabled[text(v[0])] = true
		}
		return nil
	})
	if err != nil {
		return err
	}
	now := store.Micros(a.Now())
	err = a.Store.Main.Inspect(ctx, a.table("session_sessions"), []string{"id", "user_id", "ended_at", "ends_at"}, func(v []any) error {
		inv.Checked++
		ended, _ := v[2].(int64)
		ends, _ := v[3].(int64)
		if disabled[text(v[1])] && ended == 0 && ends > now {
			inv.broken("session %s of %s, who is disabled, is live", text(v[0]), text(v[1]))
		}
		return nil
	})
	if err != nil {
		return err
	}
	return a.Store.Main.Inspect(ctx, a.table("provider_grants"), []string{"id", "user_id", "state", "expires_at"}, func(v []any) error {
		inv.Checked++
		expires, _ := v[3].(int64)
		if disabled[text(v[1])] && text(v[2]) != "ended" && expires > now {
			inv.broken("grant %s of %s, who is disabled, is live", text(v[0]), text(v[1]))
		}
		return nil
	})
}

func (a *App) checkIntents(ctx context.Context, inv *Invariant) error {
	acts, err := a.Keys.OpenActs(ctx)
	for _, act := range acts {
		inv.Checked++
		if age := a.Now().Sub(act.Started); age > intentAge {
			inv.broken("%s (%s of %s) is open since %s", act.ID, act.Kind, act.Owner, act.Started.UTC().Format(time.RFC3339))
		}
	}
	return err
}

// checkTexts looks for the text of everything that a manifest names. That the
// three languages have the same texts was decided when they were loaded.
func (a *App) checkTexts(_ context.Context, inv *Invariant) error {
	want := func(key string) {
		inv.Checked++
		if !a.Bundle.Has(key) {
			inv.broken("%s has no text", key)
		}
	}
	for _, key := range a.Labels() {
		want(key)
	}
	return nil
}

func (a *App) checkStatements(ctx context.Context, inv *Invariant) error {
	for _, m := range a.Manifests {
		for _, s := range m.Statements {
			db := a.Store.Main
			if s.Database == "keys" {
				db = a.Store.Keys
			}
			inv.Checked++
			if err := db.Prepare(ctx, s); err != nil {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				inv.broken("%s: %v", s.Name, err)
			}
		}
	}
	return nil
}
