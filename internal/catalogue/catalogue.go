// Package catalogue writes what the manifests say as documents: the catalogues
// of permissions, events, routes, controls, tables and settings, the
// description of the API, and the schema on both engines. docs/ holds them, and
// a test finds those that are stale. It opens no database and owns nothing.
package catalogue

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/rempart/rempart/internal/access"
	"github.com/rempart/rempart/internal/app"
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/invariant"
	"github.com/rempart/rempart/internal/store"
	"github.com/rempart/rempart/internal/web"
)

const generated = "<!-- Written by `rempart docs --into docs`; a test fails when it is stale. -->\n\n"

// product is what the documents are about.
type product struct{ *app.App }

// Files are the documents, by file name.
func Files() (map[string][]byte, error) {
	c, err := app.LoadConfig("", nil, nil)
	if err != nil {
		return nil, err
	}
	unopened, err := app.Unopened(c)
	if err != nil {
		return nil, err
	}
	a := product{unopened}
	out := map[string][]byte{}
	for name, make := range map[string]func(*bytes.Buffer) error{
		"permissions.md": a.writePermissions, "events.md": a.writeEvents, "routes.md": a.writeRoutes, "controls.md": a.writeControls,
		"tables.md": a.writeTables, "settings.md": writeSettings, "openapi.json": a.writeOpenAPI,
		"schema.sqlite.sql":   func(b *bytes.Buffer) error { return a.writeSchema(b, store.SQLite) },
		"schema.postgres.sql": func(b *bytes.Buffer) error { return a.writeSchema(b, store.Postgres) },
	} {
		var b bytes.Buffer
		if err := make(&b); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		out[name] = b.Bytes()
	}
	return out, nil
}

// cell is text for one cell of a table.
func cell(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "|", "\\|"), "\n", " ")
}

func row(b *bytes.Buffer, cells ...string) {
	for _, c := range cells {
		fmt.Fprintf(b, "| %s ", cell(c))
	}
	b.WriteString("|\n")
}

func head(b *bytes.Buffer, title, about string, columns ...string) {
	fmt.Fprintf(b, "# %s\n\n%s%s\n\n", title, generated, about)
	columnsOf(b, columns...)
}

func columnsOf(b *bytes.Buffer, columns ...string) {
	row(b, columns...)
	row(b, strings.Split(strings.Repeat("---,", len(columns)-1)+"---", ",")...)
}

func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + s + "`"
}

func (a product) en(key string) string { return a.Bundle.T("en", key) }

func (a product) writePermissions(b *bytes.Buffer) error {
	cat, err := access.NewCatalogue(a.Manifests)
	if err != nil {
		return err
	}
	head(b, "Permissions", "Each right of the catalogue, where it is decided, and the built-in roles that hold it. With *proof*, whoever uses it must have proved her authenticators within the last ten minutes.",
		"Permission", "What it allows", "Where", "Roles", "Proof")
	roles := slices.Concat(access.Roles, access.StaffRoles)
	for _, p := range cat.Permissions() {
		var holders []string
		for _, r := range roles {
			if cat.RoleHas(r, p.Name) {
				holders = append(holders, r)
			}
		}
		proof := ""
		if p.StepUp {
			proof = "yes"
		}
		row(b, code(p.Name), a.en(invariant.PermissionLabel(p.Name)), string(p.Level), strings.Join(holders, ", "), proof)
	}
	return nil
}

func (a product) writeEvents(b *bytes.Buffer) error {
	head(b, "Events", "Each kind of entry of the log, with the class that decides how long it is kept. With *person*, the entry has a part that is sealed under the key of a person.", "Kind", "What happened", "Class", "Person")
	var all []capability.Event
	for _, m := range a.Manifests {
		all = append(all, m.Events...)
	}
	slices.SortFunc(all, func(x, y capability.Event) int { return strings.Compare(x.Kind, y.Kind) })
	for _, e := range all {
		person := ""
		if e.Person {
			person = "yes"
		}
		row(b, code(e.Kind), a.en(invariant.EventLabel(e.Kind)), string(e.Class), person)
	}
	return nil
}

func (a product) writeRoutes(b *bytes.Buffer) error {
	head(b, "Routes", "Each address that the server answers, the permission that it asks for (`public`: none; `self`: a signed-in person on her own things; `protocol`: the caller proves itself as the standard says), and the entry that a success leaves.", "Route", "Permission", "Kind", "Entry")
	var all []capability.Route
	for _, m := range a.Manifests {
		all = append(all, m.Routes...)
	}
	path := func(r capability.Route) string { _, p, _ := strings.Cut(r.Pattern, " "); return p + " " + r.Pattern }
	slices.SortFunc(all, func(x, y capability.Route) int { return strings.Compare(path(x), path(y)) })
	for _, r := range all {
		kind := "protocol"
		switch {
		case r.Page:
			kind = "page"
		case r.In != nil || r.Out != nil:
			kind = "JSON"
		}
		entry := code(r.Event)
		if entry == "" && r.Entry != "" {
			entry = "none: " + r.Entry
		}
		row(b, code(r.Pattern), code(r.Permission), kind, entry)
	}
	return nil
}

func (a product) writeControls(b *bytes.Buffer) error {
	head(b, "Controls", "Each check that the running system makes of itself, how strong its evidence is, how often it runs, and the statements of the trust page that it backs.", "Control", "What must hold", "How it is tried", "Evidence", "Every", "Statements")
	for _, m := range a.Manifests {
		for _, c := range m.Controls {
			row(b, code(c.ID), a.en(invariant.ControlLabel(m, c.ID, "title")), a.en(invariant.ControlLabel(m, c.ID, "how")), string(c.Class), c.Every.String(), strings.Join(c.Statements, ", "))
		}
	}
	return nil
}

var scopeNames = []struct {
	scope capability.Scopes
	name  string
}{{capability.ScopeOrg, "organization"}, {capability.ScopeUser, "user"}, {capability.ScopeLookup, "lookup"}, {capability.ScopeStaff, "staff"}, {capability.ScopeSystem, "system"}}

func (a product) writeTables(b *bytes.Buffer) error {
	fmt.Fprintf(b, "# Tables\n\n%sEvery table with its owner, the scopes that reach it, and how each column is protected: *sealed* under the owner's key, *hash*, or *plain* with the reason why it may be.\n", generated)
	for _, m := range a.Manifests {
		for _, t := range m.Tables {
			var scopes []string
			for _, s := range scopeNames {
				if t.Reach&s.scope != 0 {
					scopes = append(scopes, s.name)
				}
			}
			fmt.Fprintf(b, "\n## %s\n\nDatabase %s; reached from %s; export: %s; erasure: %s.", t.Name, t.Database, strings.Join(scopes, ", "), t.Export, t.Erase)
			if t.Unaudited != "" {
				fmt.Fprintf(b, " Written without an entry: %s.", t.Unaudited)
			}
			b.WriteString("\n\n")
			columnsOf(b, "Column", "Protection")
			for _, c := range t.Columns {
				protection := "plain: " + c.Plain
				switch {
				case c.Sealed != "":
					protection = "sealed as " + code(c.Sealed)
				case c.Hash != "":
					protection = "hash of " + c.Hash
				}
				row(b, code(c.Name), protection)
			}
		}
	}
	return nil
}

func writeSettings(b *bytes.Buffer) error {
	head(b, "Settings", "Each key of the configuration file (TOML), which is also an environment variable (with `_FILE` appended, a file that holds the value) and a flag of `rempart serve`. A flag wins over the environment, the environment over the file.", "Key", "Environment", "Flag", "What it does")
	for _, k := range new(app.Config).List() {
		row(b, code(k.Path), code(k.Env), code("--"+k.Flag), k.Doc)
	}
	return nil
}

func (a product) writeOpenAPI(b *bytes.Buffer) error {
	var routes []web.Route
	for _, m := range a.Manifests {
		routes = append(routes, m.Routes...)
	}
	raw, err := web.OpenAPI(routes)
	if err != nil {
		return err
	}
	return json.Indent(b, raw, "", "  ")
}

// writeSchema is the schema as its migrations make it, in their order.
func (a product) writeSchema(b *bytes.Buffer, engine store.Engine) error {
	fmt.Fprintf(b, "-- The schema on %s: every migration in order. Written by `rempart docs --into docs`.\n", engine)
	for _, database := range []string{"main", "keys"} {
		files, err := store.Migrations(a.Manifests, database, engine)
		if err != nil {
			return err
		}
		names, err := fs.Glob(files, "*.sql")
		if err != nil {
			return err
		}
		slices.Sort(names)
		for _, name := range names {
			text, err := fs.ReadFile(files, name)
			if err != nil {
				return err
			}
			fmt.Fprintf(b, "\n-- %s database: %s\n%s\n", database, name, strings.TrimSpace(strings.Replace(string(text), "-- +goose Up", "", 1)))
		}
	}
	return nil
}
