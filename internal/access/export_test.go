package access

import (
	"context"
	"log/slog"

	"github.com/rempart/rempart/internal/id"
)

// Compiled lets tests decide on a snapshot without a database.
type Compiled struct {
	s    *Service
	snap *snapshot
}

// Holding is one assignment of a test.
type Holding struct {
	User id.User
	Grant
}

// Compile makes a snapshot of assignments, which are sorted by user, and a roster.
func Compile(s *Service, held_ []Holding, r Roster) *Compiled {
	rows := make([]held, len(held_))
	for i, h := range held_ {
		rows[i] = held{h.User, h.Role, h.Workspace}
	}
	snap := &snapshot{org: r.Org, members: map[id.User]int32{}, workspaces: map[id.Workspace]struct{}{}}
	s.Catalogue.compile(snap, rows, r)
	none := map[id.User]State{}
	s.absent.Store(&none)
	return &Compiled{s, snap}
}

// Decide decides on the snapshot; ok is false when it can't say.
func (c *Compiled) Decide(u id.User, permission string, ws id.Workspace) (err error, ok bool) {
	i := c.s.Catalogue.index[permission]
	return c.s.decide(c.snap, u, i, c.s.Catalogue.perms[i].Level, ws)
}

// Profiles is how many different sets of rights the members have.
func (c *Compiled) Profiles() int { return len(c.snap.profiles) }

// Follower runs Follow's rounds one by one.
type Follower struct{ f follower }

// NewFollower starts one.
func NewFollower(s *Service) *Follower {
	return &Follower{follower{s: s, log: slog.New(slog.DiscardHandler), users: map[id.User]int64{}, wanted: map[id.Org]bool{}}}
}

// Round polls once, and loads what decisions have asked for.
func (f *Follower) Round(ctx context.Context) {
	for more := true; more; {
		select {
		case org := <-f.f.s.queue():
			f.f.wanted[org] = true
		default:
			more = false
		}
	}
	f.f.round(ctx)
}

// Snapshot reports whether the organization's snapshot would be believed now.
func (s *Service) Snapshot(org id.Org) bool { return s.current(org) != nil }
