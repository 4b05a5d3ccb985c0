package policy

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rempart/rempart/internal/access"
	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/clock"
	"github.com/rempart/rempart/internal/console"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/store"
)

// Service keeps the rules. Its fields are set once, before use.
type Service struct {
	Store  *store.DB
	Now    clock.Now
	Access *access.Service
	Audit  *audit.Log

	Console *console.Console // of the pages

	// Population says who would be asked for what: app fills it from the
	// directory and the credentials. May be nil only where nothing is changed.
	Population func(ctx context.Context, org id.Org) (Population, error)

	rules memory
	floor atomic.Pointer[rememberedFloor]
}

// Population is who a rule of an organization concerns: its active members.
type Population struct {
	Members []Person
	Name    func(ctx context.Context, users []id.User) (map[id.User]string, error) // names to show
}

// Person is what an effect needs to know of a member.
type Person struct {
	User           id.User
	SecondFactor   bool // has one enrolled
	PasswordLength int  // as in Facts; 0 unknown
	HasPassword    bool
}

// memory keeps the rules of organizations by the revision they were read at.
type memory struct {
	mu sync.RWMutex
	m  map[id.Org]remembered
}

type remembered struct {
	revision int64
	rules    Rules
}

type rememberedFloor struct {
	at    time.Time
	floor Floor
}

// Rules are the rules in force in the organization: version 0 when none were
// ever set.
func (s *Service) Rules(ctx context.Context, org id.Org) (Rules, error) {
	revision, err := s.Access.Revision(ctx, org)
	if err != nil {
		return Rules{}, err
	}
	s.rules.mu.RLock()
	have, ok := s.rules.m[org]
	s.rules.mu.RUnlock()
	if ok && have.revision == revision {
		return have.rules, nil
	}
	var r Rules
	err = s.Store.View(ctx, store.Org(org), func(tx *store.Tx) (err error) {
		r, err = current(tx, org)
		return err
	})
	if err != nil {
		return Rules{}, fmt.Errorf("policy: rules: %w", err)
	}
	// The rules may be newer than the revision, never older: a change bumps it
	// in its own transaction, and the revision was read first.
	s.rules.mu.Lock()
	defer s.rules.mu.Unlock()
	if s.rules.m == nil || len(s.rules.m) >= maxRememberedOf {
		s.rules.m = map[id.Org]remembered{}
	}
	s.rules.m[org] = remembered{revision, r}
	return r, nil
}

// Floor is the installation's floor in force. A node may use one that is a
// second old.
func (s *Service) Floor(ctx context.Context) (Floor, error) {
	now := s.Now()
	if f := s.floor.Load(); f != nil && now.Sub(f.at) < floorAge && !now.Before(f.at) {
		return f.floor, nil
	}
	var f Floor
	err := s.Store.View(ctx, store.Lookup(), func(tx *store.Tx) (err error) {
		f, err = currentFloor(tx)
		return err
	})
	if err != nil {
		return Floor{}, fmt.Errorf("policy: floor: %w", err)
	}
	s.floor.Store(&rememberedFloor{now, f})
	return f, nil
}

// Enter decides whether a session may enter the organization.
func (s *Service) Enter(ctx context.Context, org id.Org, f Facts) (Decision, error) {
	r, err := s.Rules(ctx, org)
	if err != nil {
		return Decision{}, err
	}
	floor, err := s.Floor(ctx)
	if err != nil {
		return Decision{}, err
	}
	if f.Now.IsZero() {
		f.Now = s.Now()
	}
	return Entry(r, floor, f), nil
}

// AskedOf is what a new password of a person has to meet so that she can enter
// each of the organizations: those that manage her and those she belongs to or
// is about to join. Meeting it is advice where an organization does not manage
// her; Entry enforces it at the door.
func (s *Service) AskedOf(ctx context.Context, orgs ...id.Org) (Authenticators, error) {
	floor, err := s.Floor(ctx)
	if err != nil {
		return Authenticators{}, err
	}
	rules := make([]Rules, 0, len(orgs))
	for _, o := range orgs {
		r, err := s.Rules(ctx, o)
		if err != nil {
			return Authenticators{}, err
		}
		rules = append(rules, r)
	}
	return Authenticator(rules, floor), nil
}
