package directory

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/store"
)

var (
	scanUsers   = q.Add("scan_user_ids", `SELECT id, created_at FROM directory_users WHERE id > $1 ORDER BY id LIMIT $2`, store.ForSystem)
	twiceProved = q.Add("count_addresses_proved_twice", `SELECT count(*) FROM (SELECT email_hash FROM directory_addresses WHERE verified_at > 0 GROUP BY email_hash HAVING count(*) > 1) AS twice`, store.ForSystem)
)

// Identifiers is what CheckIdentifiers saw.
type Identifiers struct {
	Users     int64 // looked at, canaries among them
	Malformed int64 // identifiers that are none, or were not made when the user was
	Shared    int64 // proved addresses that lead to more than one user
	Reusable  bool  // a second user with an identifier that is taken was not refused
}

var errTried = errors.New("directory: the trial is rolled back")

// CheckIdentifiers goes over every user: each has an identifier of her own,
// made in the moment she was, and no proved address leads to two. Then it tries
// to make a second user with the identifier of the canary, which must fail.
func (s *Service) CheckIdentifiers(ctx context.Context, canary id.User) (v Identifiers, err error) {
	system := store.System("directory.identifiers")
	after := ""
	for {
		n := 0
		err := s.Store.View(ctx, system, func(tx *store.Tx) error {
			n = 0
			r := tx.Query(scanUsers, after, 5000)
			for r.Next() {
				var text string
				var created int64
				if err := r.Scan(&text, &created); err != nil {
					return errors.Join(err, r.Close())
				}
				n++
				after = text
				u, err := id.ParseUser(text)
				if apart := u.Time().Sub(store.Time(created)).Abs(); err != nil || apart > time.Second {
					v.Malformed++
				}
			}
			return r.Close()
		})
		if err != nil {
			return v, fmt.Errorf("directory: check identifiers: %w", err)
		}
		v.Users += int64(n)
		if n < 5000 {
			break
		}
	}
	if err := s.Store.View(ctx, system, func(tx *store.Tx) error { return tx.Row(twiceProved).Scan(&v.Shared) }); err != nil {
		return v, fmt.Errorf("directory: check identifiers: %w", err)
	}
	pen, err := s.Audit.Pen(ctx, caller.ForSystem("directory.identifiers"), id.Org{}, canary)
	if err != nil {
		return v, err
	}
	p, err := s.person(pen.Ring, canary, NewUser{Email: "trial@canary.invalid", Kind: Canary, Profile: Profile{Name: "Trial"}})
	if err != nil {
		return v, err
	}
	err = s.Store.Update(ctx, system, func(tx *store.Tx) error {
		if err := insertPersonTx(tx, p, s.Now()); err != nil {
			return err
		}
		if err := pen.Record(tx, audit.Entry{Kind: EventUserAdded, Target: target("user", canary)}); err != nil {
			return err
		}
		return errTried
	})
	switch {
	case errors.Is(err, errTried):
		v.Reusable = true
	case !errors.Is(err, store.ErrUnique):
		return v, fmt.Errorf("directory: check identifiers: %w", err)
	}
	return v, nil
}

// Orphans counts the roles that were given to users who are no members of the
// organization, over all organizations.
func (s *Service) Orphans(ctx context.Context) (roles, orphans int64, err error) {
	orgs, err := s.AllOrgs(ctx)
	if err != nil {
		return 0, 0, err
	}
	for org := range orgs {
		held, err := s.Access.Held(ctx, org)
		if err != nil {
			return 0, 0, err
		}
		ro, err := s.roster(ctx, org)
		if err != nil {
			return 0, 0, err
		}
		for u, g := range held {
			roles += int64(len(g))
			if _, member := ro.Members[u]; !member {
				orphans += int64(len(g))
			}
		}
	}
	return roles, orphans, nil
}
