package store

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/rempart/rempart/internal/capability"
)

// Scopes that a statement may be registered for beside its owner's.
const (
	ForLookup = capability.ScopeLookup
	ForStaff  = capability.ScopeStaff
	ForSystem = capability.ScopeSystem
)

// Set is the registered statements of one package.
type Set struct {
	capability string
	database   string
	all        []capability.SQL
}

// NewSet starts the statements of a capability on the main database.
func NewSet(name string) *Set { return &Set{capability: name, database: "main"} }

// NewKeysSet starts the statements of a capability on the keys database.
func NewKeysSet(name string) *Set { return &Set{capability: name, database: "keys"} }

// Stmt is one registered statement, compiled for both engines.
type Stmt struct {
	sql      capability.SQL
	reach    capability.Scopes
	table    string // table it writes; "" if it reads
	params   int    // arguments the caller passes
	owner    string // "", "org" or "user": bound by the store as the last argument
	sqlite   string
	postgres string
}

// Add registers a statement. It is called from package variables only, and
// panics when the text breaks a rule of the package.
func (s *Set) Add(name, text string, reach ...capability.Scopes) *Stmt {
	var f capability.Scopes
	for _, r := range reach {
		f |= r
	}
	sql := capability.SQL{Name: s.capability + "." + name, Text: text, Database: s.database, For: f}
	for _, have := range s.all {
		if have.Name == sql.Name {
			panic("store: statement registered twice: " + sql.Name)
		}
	}
	s.all = append(s.all, sql)
	return compile(sql)
}

// All gives the statements, for the manifest.
func (s *Set) All() []capability.SQL { return s.all }

var (
	paramRE = regexp.MustCompile(`\$([0-9]+|org\b|user\b)`)
	writeRE = regexp.MustCompile(`(?is)^\s*(?:WITH\b.*?\)\s*)?(?:INSERT\s+INTO|UPDATE|DELETE\s+FROM)\s+([a-z_0-9]+)`)
)

func compile(sql capability.SQL) *Stmt {
	st := &Stmt{sql: sql, reach: sql.For}
	for _, m := range paramRE.FindAllStringSubmatch(sql.Text, -1) {
		switch m[1] {
		case "org", "user":
			if st.owner != "" && st.owner != m[1] {
				panic("store: statement bound to two owners: " + sql.Name)
			}
			st.owner = m[1]
		default:
			n, err := strconv.Atoi(m[1])
			if err != nil || n < 1 || n > 200 {
				panic("store: parameter out of range: " + sql.Name)
			}
			st.params = max(st.params, n)
		}
	}
	switch st.owner {
	case "org":
		st.reach |= capability.ScopeOrg
	case "user":
		st.reach |= capability.ScopeUser
	}
	if st.owner != "" && sql.For != 0 {
		panic("store: a statement bound to its owner is registered for a wider scope: " + sql.Name)
	}
	if st.reach == 0 {
		panic("store: statement reachable from no scope: " + sql.Name)
	}
	if m := writeRE.FindStringSubmatch(sql.Text); m != nil {
		st.table = strings.ToLower(m[1])
	}
	rewrite := func(mark string) string {
		return paramRE.ReplaceAllStringFunc(sql.Text, func(p string) string {
			if p == "$org" || p == "$user" {
				return mark + strconv.Itoa(st.params+1)
			}
			return mark + p[1:]
		})
	}
	st.sqlite, st.postgres = rewrite("?"), rewrite("$")
	return st
}

// bind checks that the statement may run in tx and completes its arguments.
func (st *Stmt) bind(tx *Tx, args []any) ([]any, error) {
	if tx.scope.kind&st.reach == 0 {
		return nil, fmt.Errorf("%w: %s in %s", ErrScope, st.sql.Name, tx.scope.name())
	}
	if st.sql.Database != tx.db.name {
		return nil, fmt.Errorf("%w: %s is of database %s", ErrScope, st.sql.Name, st.sql.Database)
	}
	if len(args) != st.params {
		return nil, fmt.Errorf("store: %s takes %d arguments, got %d", st.sql.Name, st.params, len(args))
	}
	if st.table != "" {
		if tx.readonly {
			return nil, fmt.Errorf("store: %s writes in a view", st.sql.Name)
		}
		if tx.maintain && !tx.db.unaudited[st.table] {
			return nil, fmt.Errorf("%w: %s writes %s through Maintain", ErrUnaudited, st.sql.Name, st.table)
		}
	}
	switch st.owner {
	case "org":
		return append(args[:len(args):len(args)], tx.scope.org), nil
	case "user":
		return append(args[:len(args):len(args)], tx.scope.user), nil
	}
	return args, nil
}

var tableRE = regexp.MustCompile(`(?i)\b(?:FROM|JOIN|INTO|UPDATE)\s+([a-z_][a-z_0-9]*)`)

// CheckSQL verifies a statement against the tables of all manifests: it names
// only tables of its own capability, and where it is bound to an owner it
// constrains that owner's column of every table that has one. It is the shape
// test of the tenant wall; the run-time one is Stmt.bind.
func CheckSQL(s capability.SQL, tables map[string]capability.Table) error {
	cap, _, _ := strings.Cut(s.Name, ".")
	flat := strings.Join(strings.Fields(s.Text), " ")
	if strings.Contains(flat, "SELECT *") || strings.Contains(flat, ".*") || strings.Contains(flat, "RETURNING *") {
		return fmt.Errorf("store: %s: columns must be named", s.Name)
	}
	ctes := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?i)(?:WITH|,)\s+(?:RECURSIVE\s+)?([a-z_0-9]+)\s+AS\s*\(`).FindAllStringSubmatch(flat, -1) {
		ctes[strings.ToLower(m[1])] = true
	}
	seen := 0
	for _, m := range tableRE.FindAllStringSubmatch(flat, -1) {
		name := strings.ToLower(m[1])
		if ctes[name] || name == "set" || name == "json_each" {
			continue
		}
		t, ok := tables[name]
		if !ok {
			return fmt.Errorf("store: %s: table %s is in no manifest", s.Name, name)
		}
		if !strings.HasPrefix(name, cap+"_") {
			return fmt.Errorf("store: %s: table %s belongs to another capability", s.Name, name)
		}
		if t.Database != s.Database {
			return fmt.Errorf("store: %s: table %s is of database %s", s.Name, name, t.Database)
		}
		seen++
		st := compile(s)
		if st.reach&^t.Reach != 0 && !(t.Append && strings.HasPrefix(strings.ToUpper(flat), "INSERT")) {
			return fmt.Errorf("store: %s: table %s is not reached from every scope of the statement", s.Name, name)
		}
		col := ""
		switch st.owner {
		case "org":
			col = t.OrgColumn
		case "user":
			col = t.UsrColumn
		default:
			continue
		}
		if col == "" {
			return fmt.Errorf("store: %s: table %s has no %s column to bind", s.Name, name, st.owner)
		}
		eq := regexp.MustCompile(`(?i)\b` + col + ` ?= ?\$` + st.owner + `\b`)
		ins := regexp.MustCompile(`(?i)INSERT INTO ` + name + ` ?\([^)]*\b` + col + `\b[^)]*\).*\$` + st.owner + `\b`)
		if !eq.MatchString(flat) && !ins.MatchString(flat) {
			return fmt.Errorf("store: %s: %s.%s is not constrained to $%s", s.Name, name, col, st.owner)
		}
	}
	if seen == 0 {
		return fmt.Errorf("store: %s names no table", s.Name)
	}
	return nil
}
