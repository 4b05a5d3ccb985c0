package keyring

import (
	"embed"
	"io/fs"

	"github.com/rempart/rempart/internal/capability"
)

//go:embed migrations messages
var files embed.FS

func sub(dir string) fs.FS {
	f, err := fs.Sub(files, dir)
	if err != nil {
		panic("keyring: " + err.Error())
	}
	return f
}

// Manifest is the capability's. Its jobs and controls are those of s.
func (s *Service) Manifest() capability.Manifest {
	m := Manifest()
	m.Jobs = s.jobs()
	m.Controls = s.controls()
	return m
}

// Manifest is what of the capability needs no service: tables, statements,
// migrations, events, permissions, messages.
func Manifest() capability.Manifest {
	const (
		noLog  = "the keys database has no log: acts on keys are in main's, as intent and outcome"
		export = "none: keys are never exported"
		erase  = "none: it holds no data of anybody"
	)
	plain := func(name, why string) capability.Column { return capability.Column{Name: name, Plain: why} }
	return capability.Manifest{
		Name: "keyring",
		Permissions: []capability.Permission{
			{Name: "keyring.read", Level: capability.LevelStaff, Roles: []string{"staff-admin", "staff-auditor"}},
			{Name: "keyring.rotate", Level: capability.LevelStaff, Roles: []string{"staff-admin"}, StepUp: true},
		},
		Events: []capability.Event{
			{Kind: "keyring.rotate.begun", Class: capability.ClassAdmin},
			{Kind: "keyring.rotate.ended", Class: capability.ClassAdmin},
			{Kind: "keyring.rotate_kek.begun", Class: capability.ClassAdmin},
			{Kind: "keyring.rotate_kek.ended", Class: capability.ClassAdmin},
			{Kind: "keyring.replace_recovery.begun", Class: capability.ClassAdmin},
			{Kind: "keyring.replace_recovery.ended", Class: capability.ClassAdmin},
			{Kind: "keyring.destroy.begun", Class: capability.ClassAdmin},
			{Kind: "keyring.destroy.ended", Class: capability.ClassAdmin},
		},
		Statements:     append(q.All(), qk.All()...),
		Migrations:     sub("migrations/main"),
		KeysMigrations: sub("migrations/keys"),
		Messages:       sub("messages"),
		Tables: []capability.Table{
			{
				Name: "keyring_meta", Database: "keys", Reach: capability.ScopeSystem, Unaudited: noLog, Export: export, Erase: erase,
				Columns: []capability.Column{
					plain("id", "a constant"), plain("installation", "id"), plain("recipient", "public key"),
					plain("changes", "counter"), plain("generation", "counter"), plain("epoch", "counter"),
					plain("ledger_lines", "counter"), plain("ledger_head", "hash of public lines"),
					plain("log_size", "counter"), plain("log_head", "hash of hashes"),
					plain("vacuum_due", "state"), plain("copy_due", "state"),
					{Name: "canary", Sealed: labelCanary}, {Name: "ledger_key", Sealed: labelLedgerKey},
					plain("ledger_public", "public key"), plain("created_at", "time"),
				},
			},
			{
				Name: "keyring_keks", Database: "keys", Reach: capability.ScopeSystem, Unaudited: noLog, Export: export, Erase: erase,
				Columns: []capability.Column{
					plain("id", "id"), plain("version", "counter"), plain("state", "state"), plain("root_kind", "name of a kind of vault"),
					plain("by_root", "a key wrapped under the root key"), plain("by_recovery", "a key wrapped to the recovery recipient"),
					plain("created_at", "time"), plain("retired_at", "time"),
				},
			},
			{
				Name: "keyring_keys", Database: "keys", Reach: capability.ScopeSystem, Unaudited: noLog, Export: export, Erase: "key",
				Columns: []capability.Column{
					plain("id", "id"), plain("owner", "ids"), plain("class", "name of a class"), plain("purpose", "name of a purpose"),
					plain("version", "counter"), plain("state", "state"), plain("parent", "id"),
					plain("wrapped", "a key wrapped under the key above it"),
					plain("reserved", "counter"), plain("acked", "state"), plain("created_at", "time"), plain("retired_at", "time"),
				},
			},
			{
				Name: "keyring_erased", Database: "keys", Reach: capability.ScopeSystem, Unaudited: noLog, Export: export, Erase: erase,
				Columns: []capability.Column{plain("owner", "digest of ids"), plain("line", "counter"), plain("at", "time")},
			},
			{
				Name: "keyring_erased_keys", Database: "keys", Reach: capability.ScopeSystem, Unaudited: noLog, Export: export, Erase: erase,
				Columns: []capability.Column{plain("id", "id"), plain("line", "counter")},
			},
			{
				Name: "keyring_state", Database: "main", Reach: capability.ScopeSystem | capability.ScopeStaff, Export: export, Erase: erase,
				Unaudited: "it repeats the head of the erasure ledger, for the comparison at start",
				Columns: []capability.Column{
					plain("id", "a constant"), plain("installation", "id"), plain("epoch", "counter"),
					plain("ledger_lines", "counter"), plain("ledger_head", "hash of public lines"), plain("updated_at", "time"),
				},
			},
			{
				Name: "keyring_intents", Database: "main", Reach: capability.ScopeSystem | capability.ScopeStaff, Export: export, Erase: "none: a row lives for seconds",
				Unaudited: "a row is written and removed in the transactions that record intent and outcome",
				Columns:   []capability.Column{plain("id", "id"), plain("kind", "name of a kind"), plain("owner", "ids"), plain("started_at", "time")},
			},
		},
	}
}
