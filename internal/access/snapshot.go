package access

import (
	"context"
	"log/slog"
	"maps"
	"sync/atomic"
	"time"

	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/store"
)

// snapshot is one organization compiled for decisions. It does not change.
type snapshot struct {
	revision   int64
	org        State
	members    map[id.User]int32         // index into profiles, or suspended
	profiles   []profile                 // members with the same rights share one
	workspaces map[id.Workspace]struct{} // those that are active
}

// suspended is the index of members who may not act.
const suspended int32 = -1

// profile is what a member may do.
type profile struct {
	org    Set
	places []place
}

// place is what a member may do in one workspace beyond what the organization
// gives her.
type place struct {
	ws  id.Workspace
	set Set
}

// cell is what the node knows of one organization.
type cell struct {
	snap   atomic.Pointer[snapshot]
	latest atomic.Int64 // the highest revision seen or awaited
	used   atomic.Int64 // last decision, in microseconds, to the second
	bumped atomic.Int64 // when a transaction of this node last raised the revision, in microseconds
	loaded time.Time    // Follow only: when the last load ended
	took   time.Duration
}

// fresh reports whether the last good poll is recent enough for snapshots.
func (s *Service) fresh() bool {
	return s.Now().UnixMicro()-s.polled.Load() <= staleAfter.Microseconds()
}

// current gives the organization's snapshot if it may be believed, and asks
// Follow for one otherwise.
func (s *Service) current(org id.Org) *snapshot {
	now := s.Now().UnixMicro()
	if now-s.polled.Load() > staleAfter.Microseconds() {
		return nil
	}
	s.mu.RLock()
	c := s.orgs[org]
	s.mu.RUnlock()
	if c == nil {
		s.want(org)
		return nil
	}
	if now-c.used.Load() > int64(time.Second/time.Microsecond) {
		c.used.Store(now)
	}
	snap := c.snap.Load()
	if snap == nil || snap.revision < c.latest.Load() {
		return nil
	}
	return snap
}

// queue is the channel of organizations that want a snapshot.
func (s *Service) queue() chan id.Org {
	s.wantOne.Do(func() { s.wanted = make(chan id.Org, 1024) })
	return s.wanted
}

func (s *Service) want(org id.Org) {
	select {
	case s.queue() <- org:
	default: // it is asked for again by the next decision
	}
}

func (s *Service) cellOf(org id.Org) *cell {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.orgs == nil {
		s.orgs = map[id.Org]*cell{}
	}
	c := s.orgs[org]
	if c == nil {
		c = &cell{}
		c.used.Store(s.Now().UnixMicro())
		s.orgs[org] = c
	}
	return c
}

func (s *Service) isHot(user id.User) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, hot := s.hot[user]
	return hot
}

// BumpTx raises the organization's revision: the first statement of every
// transaction that changes members, roles, workspaces, policy or the state of
// the organization. It locks the row, so that whoever decides after it in the
// same transaction decides alone. tx has the scope of the organization or of
// the system.
func (s *Service) BumpTx(tx *store.Tx, org id.Org) error {
	now := s.Now()
	n, err := bump(tx, org, now)
	if err != nil {
		return err
	}
	// Until this commits or fails, and until the new snapshot is there,
	// decisions of this node ask the database.
	c := s.cellOf(org)
	c.bumped.Store(now.UnixMicro())
	raise(&c.latest, n)
	return nil
}

// BumpUserTx raises the user's revision: in every transaction that changes her
// own state. tx has the scope of the user or of the system.
func (s *Service) BumpUserTx(tx *store.Tx, user id.User) error {
	now := s.Now()
	if err := bumpUser(tx, user, now); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hot == nil {
		s.hot = map[id.User]time.Time{}
	}
	s.hot[user] = now
	s.hotN.Store(int64(len(s.hot)))
	return nil
}

func raise(v *atomic.Int64, n int64) {
	for {
		have := v.Load()
		if have >= n || v.CompareAndSwap(have, n) {
			return
		}
	}
}

// Revision is a number that changes whenever anything about the organization
// that decisions rest on has changed: members, roles, workspaces, policy. It
// costs nothing while the node's polls are good; else the database is asked.
func (s *Service) Revision(ctx context.Context, org id.Org) (int64, error) {
	if s.fresh() {
		s.mu.RLock()
		c := s.orgs[org]
		s.mu.RUnlock()
		if c != nil {
			if snap := c.snap.Load(); snap != nil && snap.revision >= c.latest.Load() {
				return snap.revision, nil
			}
		} else {
			s.want(org)
		}
	}
	var n int64
	err := s.Store.View(ctx, store.Org(org), func(tx *store.Tx) (err error) {
		n, err = selectRevision(tx)
		return err
	})
	return n, err
}

// Follow keeps the snapshots until ctx ends: app runs it on every node, once.
func (s *Service) Follow(ctx context.Context, log *slog.Logger) {
	f := follower{s: s, log: log, users: map[id.User]int64{}, wanted: map[id.Org]bool{}}
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		f.round(ctx)
		for waiting := true; waiting; {
			select {
			case <-ctx.Done():
				return
			case org := <-s.queue():
				f.wanted[org] = true
				if len(f.wanted) == 1 {
					f.load(ctx) // the first of a new organization need not wait for the tick
				}
			case <-tick.C:
				waiting = false
			}
		}
	}
}

// follower is the state of Follow's goroutine.
type follower struct {
	s      *Service
	log    *slog.Logger
	users  map[id.User]int64 // revisions seen
	wanted map[id.Org]bool
}

// round is one poll: what changed, then the snapshots that it made old.
func (f *follower) round(ctx context.Context) {
	begun := f.s.Now()
	if err := f.poll(ctx, begun); err != nil {
		if ctx.Err() == nil {
			f.log.WarnContext(ctx, "poll of revisions", "error", err)
		}
		return
	}
	raise(&f.s.polled, begun.UnixMicro())
	f.cool(begun)
	f.s.mu.RLock()
	for org, c := range f.s.orgs {
		if snap := c.snap.Load(); snap == nil || snap.revision < c.latest.Load() {
			f.wanted[org] = true
		}
	}
	f.s.mu.RUnlock()
	f.load(ctx)
	f.sweep(begun)
}

func (f *follower) poll(ctx context.Context, begun time.Time) error {
	var orgs []revised[id.Org]
	var users []revised[id.User]
	since := begun.Add(-pollWindow)
	err := f.s.Store.View(ctx, store.System("access.follow"), func(tx *store.Tx) (err error) {
		if orgs, err = revisedOrgs(tx, since); err != nil {
			return err
		}
		users, err = revisedUsers(tx, since)
		return err
	})
	if err != nil {
		return err
	}
	f.s.mu.RLock()
	for _, r := range orgs {
		if c := f.s.orgs[r.id]; c != nil {
			raise(&c.latest, r.revision)
		}
	}
	f.s.mu.RUnlock()
	changed := f.s.absent.Load() == nil
	for _, r := range users {
		if f.users[r.id] < r.revision {
			changed = true
		}
	}
	if !changed {
		return nil
	}
	states, err := f.s.Facts.Inactive(ctx)
	if err != nil {
		return err
	}
	states = maps.Clone(states)
	f.s.absent.Store(&states)
	seen := make(map[id.User]int64, len(users)) // older ones have left the window
	for _, r := range users {
		seen[r.id] = r.revision
	}
	f.users = seen
	return nil
}

// cool forgets the users whose change has committed, or never will, and was
// polled since.
func (f *follower) cool(begun time.Time) {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	for u, at := range f.s.hot {
		if begun.Sub(at) > unsettled {
			delete(f.s.hot, u)
		}
	}
	f.s.hotN.Store(int64(len(f.s.hot)))
}

// load compiles the wanted organizations.
func (f *follower) load(ctx context.Context) {
	for org := range f.wanted {
		if ctx.Err() != nil {
			return
		}
		c := f.s.cellOf(org)
		if c.took > 0 && f.s.Now().Sub(c.loaded) < (reloadShare-1)*c.took {
			continue // the database answers for it meanwhile
		}
		delete(f.wanted, org)
		begun := f.s.Now()
		snap, err := f.s.compile(ctx, org)
		if err != nil {
			if ctx.Err() == nil {
				f.log.WarnContext(ctx, "snapshot of an organization", "org", org.String(), "error", err)
			}
			continue
		}
		c.loaded = f.s.Now()
		c.took = c.loaded.Sub(begun)
		c.snap.Store(snap)
		if snap.revision < c.latest.Load() && begun.UnixMicro()-c.bumped.Load() > unsettled.Microseconds() {
			// The transaction that raised the awaited revision did not commit.
			c.latest.CompareAndSwap(c.latest.Load(), snap.revision)
		} else {
			raise(&c.latest, snap.revision)
		}
	}
}

// sweep drops the snapshots that nobody asked about.
func (f *follower) sweep(now time.Time) {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	for org, c := range f.s.orgs {
		if now.UnixMicro()-c.used.Load() > idleAfter.Microseconds() {
			delete(f.s.orgs, org)
		}
	}
}

// compile reads an organization. The revision is read first: what follows may
// be newer, and is then read again.
func (s *Service) compile(ctx context.Context, org id.Org) (*snapshot, error) {
	snap := &snapshot{members: map[id.User]int32{}, workspaces: map[id.Workspace]struct{}{}}
	var rows []held
	err := s.Store.View(ctx, store.Org(org), func(tx *store.Tx) (err error) {
		if snap.revision, err = selectRevision(tx); err != nil {
			return err
		}
		rows, err = selectHeld(tx)
		return err
	})
	if err != nil {
		return nil, err
	}
	roster, err := s.Facts.Roster(ctx, org)
	if err != nil {
		return nil, err
	}
	snap.org = roster.Org
	s.Catalogue.compile(snap, rows, roster)
	return snap, nil
}

// compile fills the snapshot from the assignments, which are sorted by user,
// and the roster.
func (c *Catalogue) compile(snap *snapshot, rows []held, roster Roster) {
	shared := map[string]int32{}
	snap.profiles = append(snap.profiles, profile{}) // a member without a role
	for _, ws := range roster.Workspaces {
		snap.workspaces[ws] = struct{}{}
	}
	snap.members = make(map[id.User]int32, len(roster.Members))
	for u, st := range roster.Members {
		if st != Active {
			snap.members[u] = suspended
		} else {
			snap.members[u] = 0
		}
	}
	for i := 0; i < len(rows); {
		j := i
		for j < len(rows) && rows[j].user == rows[i].user {
			j++
		}
		mine := rows[i:j]
		i = j
		if n, member := snap.members[mine[0].user]; !member || n == suspended {
			continue
		}
		key := signature(mine)
		n, have := shared[key]
		if !have {
			n = int32(len(snap.profiles))
			snap.profiles = append(snap.profiles, c.profile(mine))
			shared[key] = n
		}
		snap.members[mine[0].user] = n
	}
}

// signature names the grants of one member, which come in a fixed order.
func signature(mine []held) string {
	var b []byte
	for _, h := range mine {
		b = append(b, h.role...)
		b = append(b, '@')
		w := h.ws.Bytes()
		b = append(b, w[:]...)
	}
	return string(b)
}

// profile is what the grants come to.
func (c *Catalogue) profile(mine []held) profile {
	var p profile
	for _, h := range mine {
		set := c.roles[h.role]
		switch {
		case h.ws.IsZero():
			p.org.union(set)
		default:
			set = set.keep(c.workspace)
			k := 0
			for k < len(p.places) && p.places[k].ws != h.ws {
				k++
			}
			if k == len(p.places) {
				p.places = append(p.places, place{ws: h.ws})
			}
			p.places[k].set.union(set)
		}
	}
	return p
}

// allows decides for one profile, as decide does on a snapshot.
func (p *profile) allows(i int, level capability.Level, ws id.Workspace) bool {
	if p.org.Has(i) {
		return true
	}
	if level == capability.LevelWorkspace && !ws.IsZero() {
		for k := range p.places {
			if p.places[k].ws == ws && p.places[k].set.Has(i) {
				return true
			}
		}
	}
	return false
}
