package policy

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/store"
)

var q = store.NewSet("policy")

var (
	selectRules  = q.Add("select_rules", `SELECT version, rules, changed_by, changed_at FROM policy_rules WHERE org_id = $org ORDER BY version DESC LIMIT 1`)
	listRules    = q.Add("list_rules", `SELECT version, rules, changed_by, changed_at FROM policy_rules WHERE org_id = $org AND version < $1 ORDER BY version DESC LIMIT $2`)
	insertRules  = q.Add("insert_rules", `INSERT INTO policy_rules (org_id, version, rules, changed_by, changed_at) VALUES ($org, $1, $2, $3, $4)`)
	selectFloor  = q.Add("select_floor", `SELECT version, floor, changed_by, changed_at FROM policy_floors ORDER BY version DESC LIMIT 1`, store.ForLookup, store.ForStaff, store.ForSystem)
	insertFloor  = q.Add("insert_floor", `INSERT INTO policy_floors (version, floor, changed_by, changed_at) VALUES ($1, $2, $3, $4)`, store.ForStaff, store.ForSystem)
	listCurrents = q.Add("list_current", `SELECT r.org_id, r.version, r.rules, r.changed_by, r.changed_at FROM policy_rules r WHERE r.version = (SELECT max(o.version) FROM policy_rules o WHERE o.org_id = r.org_id) ORDER BY r.org_id`, store.ForSystem)
)

// stored is how a version of rules is kept: what organization, version, author
// and time are columns.
type stored struct {
	SecondFactor    SecondFactor `json:"second_factor"`
	GraceDays       int          `json:"grace_days"`
	Since           int64        `json:"since"`
	PasswordMinimum int          `json:"password_minimum"`
	SessionIdle     int          `json:"session_idle"`
	SessionAbsolute int          `json:"session_absolute"`
}

func scanRules(r interface{ Scan(...any) error }, org id.Org) (Rules, error) {
	var version, at int64
	var text, by string
	if err := r.Scan(&version, &text, &by, &at); err != nil {
		return Rules{}, err
	}
	return readRules(org, version, text, by, at)
}

func readRules(org id.Org, version int64, text, by string, at int64) (Rules, error) {
	var s stored
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return Rules{}, fmt.Errorf("policy: rules of %s, version %d: %w", org, version, err)
	}
	return Rules{
		Org: org, Version: version, SecondFactor: s.SecondFactor, GraceDays: s.GraceDays, Since: store.Time(s.Since),
		PasswordMinimum: s.PasswordMinimum, SessionIdle: s.SessionIdle, SessionAbsolute: s.SessionAbsolute,
		By: by, At: store.Time(at),
	}, nil
}

func (r Rules) text() string {
	b, err := json.Marshal(stored{r.SecondFactor, r.GraceDays, store.Micros(r.Since), r.PasswordMinimum, r.SessionIdle, r.SessionAbsolute})
	if err != nil {
		panic(err) // numbers and strings always marshal
	}
	return string(b)
}

// current reads the rules in force; the zero version before the first change.
func current(tx *store.Tx, org id.Org) (Rules, error) {
	r, err := scanRules(tx.Row(selectRules), org)
	if errors.Is(err, store.ErrNone) {
		return Rules{Org: org, SecondFactor: SecondFactorOff}, nil
	}
	return r, err
}

func currentFloor(tx *store.Tx) (Floor, error) {
	var f Floor
	var version, at int64
	var text, by string
	err := tx.Row(selectFloor).Scan(&version, &text, &by, &at)
	if errors.Is(err, store.ErrNone) {
		return DefaultFloor, nil
	}
	if err != nil {
		return Floor{}, err
	}
	if err := json.Unmarshal([]byte(text), &f); err != nil {
		return Floor{}, fmt.Errorf("policy: floor version %d: %w", version, err)
	}
	f.Version, f.By, f.At = version, by, store.Time(at)
	return f, nil
}

func tables() []capability.Table {
	return []capability.Table{
		{
			Name: "policy_rules", Database: "main", OrgColumn: "org_id",
			Reach:  capability.ScopeOrg | capability.ScopeSystem,
			Export: "organization", Erase: "rows",
			Columns: []capability.Column{
				{Name: "org_id", Plain: "identifier"}, {Name: "version", Plain: "counter"},
				{Name: "rules", Plain: "numbers and choices that every sign-in reads; no person, no secret"},
				{Name: "changed_by", Plain: "identifier of the author"}, {Name: "changed_at", Plain: "time"},
			},
		},
		{
			Name: "policy_floors", Database: "main",
			Reach:  capability.ScopeLookup | capability.ScopeStaff | capability.ScopeSystem,
			Export: "none: a setting of the installation", Erase: "none: it concerns no organization and no person",
			Columns: []capability.Column{
				{Name: "version", Plain: "counter"}, {Name: "floor", Plain: "numbers that every sign-in reads"},
				{Name: "changed_by", Plain: "identifier of the author"}, {Name: "changed_at", Plain: "time"},
			},
		},
	}
}
