package register

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"sync"
	"time"

	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/clock"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/mail"
	"github.com/rempart/rempart/internal/register/catalogue"
	"github.com/rempart/rempart/internal/store"
	"github.com/rempart/rempart/internal/trust"
)

//go:embed migrations/*.sql
var migrations embed.FS

//go:embed messages/*.json
var messages embed.FS

// Kinds of entries.
const (
	EventAttested  = "register.attestation.given"
	EventWithdrawn = "register.attestation.withdrawn"
	EventReminded  = "register.attestation.reminded"
	EventLapsed    = "register.attestation.lapsed"
	EventRead      = "register.evidence.read"
	EventChanged   = "register.statement.changed"
	EventProfile   = "register.profile.changed"
	EventVerdicts  = "register.verdicts.changed"
)

// Permissions.
const (
	PermissionRead  = "register.read"
	PermissionWrite = "register.write"
)

// Errors that people see.
var (
	ErrStatement = fault.New(fault.NotFound, "register.error.statement", nil)
	ErrValue     = fault.New(fault.Invalid, "register.error.value", nil)
	ErrProfile   = fault.New(fault.Invalid, "register.error.profile", nil).At("/profile", "register.error.profile")
	ErrEnded     = fault.New(fault.Conflict, "register.error.ended", nil)
)

// Service keeps the register. app fills the exported fields once, and calls
// Open before anything else.
type Service struct {
	Store   *store.DB
	Audit   *audit.Log
	Trust   *trust.Service
	Mail    *mail.Outbox // for reminders; nil: the entries alone remind
	BaseURL *url.URL
	Now     clock.Now
	Log     *slog.Logger

	// Live gives values that the running system has, by parameter
	// ("I7.length"); they win over what was set by hand. May be nil.
	Live func(ctx context.Context) (map[string]catalogue.Value, error)

	catalogue *catalogue.Catalogue
	profiles  map[string]*catalogue.Profile

	mu  sync.RWMutex // guards own
	own *decisions   // what the operator decided, as last read
}

// Open loads the catalogue and the profiles that are compiled in.
func (s *Service) Open() (err error) {
	if s.catalogue, err = catalogue.Load(); err != nil {
		return err
	}
	if s.profiles, err = catalogue.LoadProfiles(s.catalogue); err != nil {
		return err
	}
	return nil
}

// Manifest is the capability's, save what package face adds.
func (s *Service) Manifest() capability.Manifest {
	sub := func(f embed.FS, dir string) fs.FS {
		d, err := fs.Sub(f, dir)
		if err != nil {
			panic(fmt.Sprintf("register: %v", err)) // the folder is embedded
		}
		return d
	}
	admin := func(kind string) capability.Event {
		return capability.Event{Kind: kind, Class: capability.ClassAdmin, Person: true}
	}
	return capability.Manifest{
		Name: "register",
		Permissions: []capability.Permission{
			{Name: PermissionRead, Level: capability.LevelStaff, Roles: []string{"staff-admin", "staff-auditor"}},
			{Name: PermissionWrite, Level: capability.LevelStaff, Roles: []string{"staff-admin"}},
		},
		Events: []capability.Event{
			admin(EventAttested), admin(EventWithdrawn), admin(EventChanged), admin(EventProfile),
			{Kind: EventRead, Class: capability.ClassAccess, Person: true},
			{Kind: EventReminded, Class: capability.ClassSystem},
			{Kind: EventLapsed, Class: capability.ClassSystem},
			{Kind: EventVerdicts, Class: capability.ClassSystem},
		},
		Routes: s.routes(),
		Jobs: []capability.Job{
			{Name: "register.watch", Every: 15 * time.Second, Run: s.Watch},
			{Name: "register.remind", Every: time.Hour, Run: s.RemindDue},
		},
		Tables:     tables(),
		Statements: q.All(),
		Migrations: sub(migrations, "migrations"),
		Messages:   sub(messages, "messages"),
	}
}
