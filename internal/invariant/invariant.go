// Package invariant verifies what must always be true of the stored state: it
// goes over every row by what the manifests say of its table. Commands ask it
// after a crash, a restore or a doubt.
//
// It only reads, and owns nothing. What a capability alone can know is that
// capability's to check, as a control.
package invariant

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/clock"
	"github.com/rempart/rempart/internal/i18n"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/keyring"
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

// Checker is what the checks need of a product that was opened.
type Checker struct {
	Store     *store.Store
	Keys      *keyring.Service
	Audit     *audit.Log
	Manifests []capability.Manifest
	Bundle    *i18n.Bundle
	Now       clock.Now
	Serving   bool // this process serves: what jobs do must have been done
}

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
func (c *Checker) Check(ctx context.Context, report func(Invariant)) error {
	for _, one := range []struct {
		name, title string
		check       func(context.Context, *Invariant) error
	}{
		{"files", "the database files are whole and every reference leads somewhere", c.checkFiles},
		{"log", "every log agrees with its leaves, its tree and every checkpoint ever published", c.checkLogs},
		{"sealed", "every sealed value opens, or its key is in the erasure ledger", c.checkSealed},
		{"organizations", "no row refers to another organization", c.checkWalls},
		{"disabled", "nothing of a disabled user is live", c.checkDisabled},
		{"intents", "no act on keys is open for more than a minute", c.checkIntents},
		{"texts", "every event, permission and control has its text in three languages", c.checkTexts},
		{"statements", "every SQL statement fits the schema", c.checkStatements},
	} {
		inv := Invariant{Name: one.name, Title: one.title}
		if err := one.check(ctx, &inv); err != nil {
			return fmt.Errorf("check %s: %w", one.name, err)
		}
		report(inv)
	}
	return nil
}

func (c *Checker) checkFiles(ctx context.Context, inv *Invariant) error {
	for _, db := range []struct {
		name string
		db   *store.DB
	}{{"main", c.Store.Main}, {"keys", c.Store.Keys}} {
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

func (c *Checker) checkLogs(ctx context.Context, inv *Invariant) error {
	add := func(r audit.Report) error {
		inv.Checked += r.Entries
		for _, p := range r.Problems {
			inv.broken("%s: %s", r.Origin, p)
		}
		inv.More += r.More
		return nil
	}
	if err := c.Audit.VerifyAll(ctx, add); err != nil || !c.Serving {
		return err // where nothing serves, nothing signs
	}
	late, err := c.Audit.Unsigned(ctx, leafAge)
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
func (c *Checker) tables(database string) (out []capability.Table) {
	for _, m := range c.Manifests {
		for _, t := range m.Tables {
			if t.Database == database {
				out = append(out, t)
			}
		}
	}
	return out
}

func (c *Checker) table(name string) (t capability.Table) {
	for _, t := range c.tables("main") {
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
func (c *Checker) checkWalls(ctx context.Context, inv *Invariant) error {
	orgs, home, members := map[string]bool{"": true}, map[string]string{}, map[[2]string]bool{}
	err := c.Store.Main.Inspect(ctx, c.table("directory_orgs"), []string{"id"}, func(v []any) error {
		orgs[text(v[0])] = true
		return nil
	})
	if err == nil {
		err = c.Store.Main.Inspect(ctx, c.table("directory_workspaces"), []string{"id", "org_id"}, func(v []any) error {
			home[text(v[0])] = text(v[1])
			return nil
		})
	}
	if err == nil {
		err = c.Store.Main.Inspect(ctx, c.table("directory_memberships"), []string{"org_id", "user_id"}, func(v []any) error {
			members[[2]string{text(v[0]), text(v[1])}] = true
			return nil
		})
	}
	if err != nil {
		return err
	}
	for _, t := range c.tables("main") {
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
		err := c.Store.Main.Inspect(ctx, t, columns, func(v []any) error {
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

func (c *Checker) checkDisabled(ctx context.Context, inv *Invariant) error {
	disabled := map[string]bool{}
	err := c.Store.Main.Inspect(ctx, c.table("directory_users"), []string{"id", "state"}, func(v []any) error {
		inv.Checked++
		if text(v[1]) != "active" {
			disabled[text(v[0])] = true
		}
		return nil
	})
	if err != nil {
		return err
	}
	now := store.Micros(c.Now())
	err = c.Store.Main.Inspect(ctx, c.table("session_sessions"), []string{"id", "user_id", "ended_at", "ends_at"}, func(v []any) error {
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
	return c.Store.Main.Inspect(ctx, c.table("provider_grants"), []string{"id", "user_id", "state", "expires_at"}, func(v []any) error {
		inv.Checked++
		expires, _ := v[3].(int64)
		if disabled[text(v[1])] && text(v[2]) != "ended" && expires > now {
			inv.broken("grant %s of %s, who is disabled, is live", text(v[0]), text(v[1]))
		}
		return nil
	})
}

func (c *Checker) checkIntents(ctx context.Context, inv *Invariant) error {
	acts, err := c.Keys.OpenActs(ctx)
	for _, act := range acts {
		inv.Checked++
		if age := c.Now().Sub(act.Started); age > intentAge {
			inv.broken("%s (%s of %s) is open since %s", act.ID, act.Kind, act.Owner, act.Started.UTC().Format(time.RFC3339))
		}
	}
	return err
}

// checkTexts looks for the text of everything that a manifest names. That the
// three languages have the same texts was decided when they were loaded.
func (c *Checker) checkTexts(_ context.Context, inv *Invariant) error {
	want := func(key string) {
		inv.Checked++
		if !c.Bundle.Has(key) {
			inv.broken("%s has no text", key)
		}
	}
	for _, key := range Labels(c.Manifests) {
		want(key)
	}
	return nil
}

func (c *Checker) checkStatements(ctx context.Context, inv *Invariant) error {
	for _, m := range c.Manifests {
		for _, s := range m.Statements {
			db := c.Store.Main
			if s.Database == "keys" {
				db = c.Store.Keys
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
