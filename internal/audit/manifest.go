package audit

import (
	"context"
	"embed"
	"io/fs"
	"time"

	"github.com/rempart/rempart/internal/capability"
)

//go:embed migrations/*.sql
var files embed.FS

// Kinds of entry that the log makes about itself.
const (
	eventOpened     = "audit.log.opened"
	eventExported   = "audit.log.exported"
	eventKeyRotated = "audit.checkpoint_key.rotated"
	eventStaffRead  = "audit.staff_read.recorded"
	eventThrottled  = "audit.requests.throttled"
	eventErased     = "audit.person.erased"
	eventCanary     = "audit.canary.written"

	// kindEpoch is the only kind of the platform log; its leaf is in clear.
	kindEpoch = "audit.epoch"
)

// Permissions.
const (
	PermRead             = "audit.read"
	PermExport           = "audit.export"
	PermInstallationRead = "audit.installation.read"
)

const reach = capability.ScopeOrg | capability.ScopeSystem | capability.ScopeStaff

// Manifest is what the log adds to the product, save what package reading does.
func (l *Log) Manifest() capability.Manifest {
	migrations, err := fs.Sub(files, "migrations")
	if err != nil {
		panic(err) // the folder is embedded
	}
	const self = "the log itself: what it holds are the entries"
	const kept = "none: the log outlives what it tells of; its sealed parts are blinded with their keys"
	return capability.Manifest{
		Name: "audit",
		Permissions: []capability.Permission{
			{Name: PermRead, Level: capability.LevelOrg, Roles: []string{"owner", "admin", "auditor"}},
			{Name: PermExport, Level: capability.LevelOrg, Roles: []string{"owner", "admin", "auditor"}},
			{Name: PermInstallationRead, Level: capability.LevelStaff, Roles: []string{"staff-admin", "staff-auditor"}},
		},
		Events: []capability.Event{
			{Kind: eventOpened, Class: capability.ClassSystem},
			{Kind: eventExported, Class: capability.ClassAdmin, Person: true},
			{Kind: eventKeyRotated, Class: capability.ClassAdmin, Person: true},
			{Kind: eventStaffRead, Class: capability.ClassAccess, Person: true},
			{Kind: eventThrottled, Class: capability.ClassAccess},
			{Kind: eventErased, Class: capability.ClassAdmin, Person: true},
			{Kind: eventCanary, Class: capability.ClassSystem},
		},
		Jobs: []capability.Job{
			{Name: "audit.sequence", Every: 250 * time.Millisecond, Run: func(ctx context.Context) error { _, err := l.Sequence(ctx); return err }},
			{Name: "audit.checkpoint", Every: 500 * time.Millisecond, Run: func(ctx context.Context) error { _, err := l.Checkpoint(ctx); return err }},
			{Name: "audit.epoch", Every: time.Minute, Run: l.Epoch},
			{Name: "audit.rates", Every: time.Minute, Run: func(ctx context.Context) error { return l.FlushRates(ctx, false) }},
		},
		Statements: q.All(),
		Migrations: migrations,
		Tables: []capability.Table{
			{
				Name: "audit_logs", Database: "main", OrgColumn: "org_id", Reach: reach, Unaudited: self,
				Export: "organization", Erase: kept,
				Columns: []capability.Column{
					{Name: "org_id", Plain: "id"}, {Name: "origin", Plain: "name of the log, part of its checkpoints"},
					{Name: "slot", Plain: "random place in the epoch trees"}, {Name: "size", Plain: "counter"},
					{Name: "root", Hash: "the log's tree"}, {Name: "fence", Plain: "counter"}, {Name: "signed", Plain: "counter"},
					{Name: "signed_key", Plain: "id"}, {Name: "signed_at", Plain: "time"}, {Name: "epoch_size", Plain: "counter"},
					{Name: "epoch_root", Hash: "the log's tree"},
				},
			},
			{
				Name: "audit_entries", Database: "main", OrgColumn: "org_id", Reach: reach, Append: true, Unaudited: self,
				Export: "organization", Erase: "key",
				Columns: []capability.Column{
					{Name: "org_id", Plain: "id"}, {Name: "seq", Plain: "index in the tree"}, {Name: "id", Plain: "id"},
					{Name: "at", Plain: "time"}, {Name: "kind", Plain: "kind of entry, in the clear part of its leaf"},
					{Name: "outcome", Plain: "state"}, {Name: "actor", Hash: "who acted, keyed"}, {Name: "target", Hash: "what was acted on, keyed"},
					{Name: "leaf", Hash: "the entry"}, {Name: "facts", Sealed: "audit.entry.facts"}, {Name: "facts_key", Sealed: labelFactsKey},
					{Name: "person", Sealed: "audit.entry.person"}, {Name: "person_key", Sealed: labelPersonKey},
				},
			},
			{
				Name: "audit_tiles", Database: "main", OrgColumn: "org_id", Reach: reach, Unaudited: self, Export: "organization", Erase: kept,
				Columns: []capability.Column{
					{Name: "org_id", Plain: "id"}, {Name: "level", Plain: "counter"}, {Name: "place", Plain: "counter"}, {Name: "data", Hash: "nodes of the tree"},
				},
			},
			{
				Name: "audit_checkpoints", Database: "main", OrgColumn: "org_id", Reach: reach, Unaudited: self, Export: "organization", Erase: kept,
				Columns: []capability.Column{
					{Name: "org_id", Plain: "id"}, {Name: "size", Plain: "counter"}, {Name: "at", Plain: "time"}, {Name: "epoch", Plain: "counter"},
					{Name: "note", Plain: "signed head, made to be given out"},
				},
			},
			{
				Name: "audit_epochs", Database: "main", Reach: capability.ScopeSystem | capability.ScopeStaff, Unaudited: self,
				Export: "none: of all organizations; each is given its opening", Erase: kept,
				Columns: []capability.Column{
					{Name: "number", Plain: "counter"}, {Name: "entry", Plain: "id"}, {Name: "at", Plain: "time"}, {Name: "width", Plain: "counter"},
					{Name: "root", Hash: "the epoch tree"}, {Name: "seed", Sealed: labelSeed},
				},
			},
			{
				Name: "audit_pruned", Database: "main", OrgColumn: "org_id", Reach: reach, Unaudited: self, Export: "organization", Erase: kept,
				Columns: []capability.Column{
					{Name: "org_id", Plain: "id"}, {Name: "first", Plain: "counter"}, {Name: "last", Plain: "counter"}, {Name: "entry", Plain: "id"},
				},
			},
			{
				Name: "audit_keys", Database: "main", Reach: capability.ScopeSystem,
				Export: "none: keys of the installation", Erase: kept,
				Columns: []capability.Column{
					{Name: "id", Plain: "id"}, {Name: "purpose", Plain: "word"}, {Name: "public", Plain: "public key"},
					{Name: "secret", Sealed: labelSigner}, {Name: "made", Plain: "time"}, {Name: "retired", Plain: "time"},
				},
			},
			{
				Name: "audit_days", Database: "main", Reach: capability.ScopeSystem,
				Unaudited: "the key of the day is made and destroyed by the clock",
				Export:    "none: keys of the installation", Erase: "rows",
				Columns: []capability.Column{
					{Name: "day", Plain: "date"}, {Name: "secret", Sealed: labelDay}, {Name: "at", Plain: "time"},
				},
			},
		},
	}
}
