package credential

import (
	"context"
	"embed"
	"io/fs"
	"time"

	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/store"
)

// Kinds of entries about credentials. Whoever changes a credential records
// them: sign-in and the account pages.
const (
	EventPasswordSet     = "credential.password.set"
	EventPasswordChanged = "credential.password.changed"
	EventStopped         = "credential.authenticator.stopped"
	EventEnrolled        = "credential.totp.enrolled"
	EventRenamed         = "credential.totp.renamed"
	EventRemoved         = "credential.totp.removed"
	EventCodes           = "credential.recovery_codes.issued"
)

//go:embed migrations messages
var files embed.FS

func sub(dir string) fs.FS {
	f, err := fs.Sub(files, dir)
	if err != nil {
		panic(err)
	}
	return f
}

const owner = "id of the user that the row belongs to"

// Manifest is the capability's.
func (s *Service) Manifest() capability.Manifest {
	personal := capability.ScopeUser
	return capability.Manifest{
		Name: "credential",
		Events: []capability.Event{
			{Kind: EventPasswordSet, Class: capability.ClassAdmin, Person: true},
			{Kind: EventPasswordChanged, Class: capability.ClassAdmin, Person: true},
			{Kind: EventStopped, Class: capability.ClassSignIn, Person: true},
			{Kind: EventEnrolled, Class: capability.ClassAdmin, Person: true},
			{Kind: EventRenamed, Class: capability.ClassAdmin, Person: true},
			{Kind: EventRemoved, Class: capability.ClassAdmin, Person: true},
			{Kind: EventCodes, Class: capability.ClassAdmin, Person: true},
		},
		Jobs: []capability.Job{{Name: "credential.sweep", Every: 10 * time.Minute, Run: s.sweep}},
		Tables: []capability.Table{
			{
				Name: "credential_passwords", Database: "main", UsrColumn: "user_id", Reach: personal | capability.ScopeSystem,
				Export: "none: a password's hash is of use to nobody but a guesser", Erase: "key",
				Columns: []capability.Column{
					{Name: "user_id", Plain: owner},
					{Name: "phc", Sealed: labelPHC},
					{Name: "set_at", Plain: "time"},
				},
			},
			{
				Name: "credential_authenticators", Database: "main", UsrColumn: "user_id", Reach: personal | capability.ScopeSystem,
				Export: "user", Erase: "key",
				Columns: []capability.Column{
					{Name: "id", Plain: "identifier"},
					{Name: "user_id", Plain: owner},
					{Name: "kind", Plain: "kind of authenticator"},
					{Name: "name", Sealed: labelName},
					{Name: "secret", Sealed: labelSecret},
					{Name: "last_step", Plain: "counter of the last code used, against its second use"},
					{Name: "created_at", Plain: "time"},
					{Name: "used_at", Plain: "time"},
				},
			},
			{
				Name: "credential_recovery_codes", Database: "main", UsrColumn: "user_id", Reach: personal,
				Export: "none: hashes of codes that only their owner has", Erase: "rows",
				Columns: []capability.Column{
					{Name: "user_id", Plain: owner},
					{Name: "hash", Hash: "a recovery code of 120 random bits, with its user"},
					{Name: "created_at", Plain: "time"},
					{Name: "used_at", Plain: "time"},
				},
			},
			{
				Name: "credential_guesses", Database: "main", UsrColumn: "user_id", Reach: personal | capability.ScopeLookup | capability.ScopeSystem,
				Unaudited: "each guess leaves the entry of its outcome; these are the counters that refuse the next",
				Export:    "none: counters", Erase: "rows",
				Columns: []capability.Column{
					{Name: "subject", Hash: "the kind of authenticator and the user, or the keyed hash of an address that nobody has"},
					{Name: "kind", Plain: "kind of authenticator"},
					{Name: "user_id", Plain: owner},
					{Name: "failures", Plain: "counter"},
					{Name: "total", Plain: "counter"},
					{Name: "last_at", Plain: "time"},
					{Name: "next_at", Plain: "time"},
				},
			},
			{
				Name: "credential_sources", Database: "main", Reach: capability.ScopeLookup | capability.ScopeSystem,
				Unaudited: "each wrong guess leaves its own entry; these are the counters of their sources",
				Export:    "none: counters", Erase: "none: swept within minutes",
				Columns: []capability.Column{
					{Name: "source", Hash: "a network address"},
					{Name: "full_at", Plain: "time"},
				},
			},
		},
		Statements: q.All(),
		Controls:   s.controls(),
		Migrations: sub("migrations"),
		Messages:   sub("messages"),
	}
}

// sweep forgets counters that decide nothing any more. Those of users stay,
// since the hard stop counts consecutive guesses however long they take; the
// delay of both begins anew after the same time, so that the two look the same.
func (s *Service) sweep(ctx context.Context) error {
	now := s.Now()
	return s.Store.Maintain(ctx, store.System("credential.sweep"), func(tx *store.Tx) error {
		if _, err := tx.Exec(sweepGuesses, store.Micros(now.Add(-calm))); err != nil {
			return err
		}
		_, err := tx.Exec(sweepSources, store.Micros(now))
		return err
	})
}
