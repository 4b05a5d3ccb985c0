package directory

import (
	"context"
	"errors"
	"fmt"

	"github.com/rempart/rempart/internal/access"
	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/keyring"
	"github.com/rempart/rempart/internal/store"
)

// AddUser makes a user who belongs to no organization yet. The error is
// ErrEmail, ErrEmailTaken or ErrName.
func (s *Service) AddUser(ctx context.Context, who caller.Caller, n NewUser) (User, error) {
	user := n.ID
	if user.IsZero() {
		user = id.NewUser(s.Now())
	}
	pen, err := s.Audit.Pen(ctx, who, id.Org{}, user)
	if err != nil {
		return User{}, err
	}
	p, err := s.person(pen.Ring, user, n)
	if err != nil {
		return User{}, err
	}
	err = s.Store.Update(ctx, store.System("directory.add-user"), func(tx *store.Tx) error {
		if err := insertPersonTx(tx, p, s.Now()); err != nil {
			return err
		}
		return pen.Record(tx, audit.Entry{
			Kind: EventUserAdded, Target: target("user", user), Person: user,
			Changes: []audit.Change{{Field: "email", After: n.Email, Person: true}, {Field: "name", After: n.Profile.Name, Person: true}},
		})
	})
	if err != nil {
		return User{}, err
	}
	return s.FindUser(ctx, user)
}

// ChangeProfile changes what the user says about herself. What her
// organizations call her stays theirs.
func (s *Service) ChangeProfile(ctx context.Context, who caller.Caller, user id.User, p Profile) (User, error) {
	u, err := s.FindUser(ctx, user)
	if err != nil {
		return User{}, err
	}
	if err := p.check(); err != nil {
		return User{}, err
	}
	pen, err := s.Audit.Pen(ctx, who, id.Org{}, user)
	if err != nil {
		return User{}, err
	}
	sealed, err := s.sealProfile(pen.Ring, user, p)
	if err != nil {
		return User{}, err
	}
	changes := changed(nil, "name", u.Profile.Name, p.Name)
	changes = changed(changes, "locale", u.Profile.Locale, p.Locale)
	changes = changed(changes, "zone", u.Profile.Zone, p.Zone)
	for i := range changes {
		changes[i].Person = true
	}
	if len(changes) == 0 {
		return u, nil
	}
	err = s.Store.Update(ctx, store.User(user), func(tx *store.Tx) error {
		if n, err := tx.Exec(updateProfile, sealed); err != nil || n == 0 {
			return none(orNone(n, err), "update profile")
		}
		return pen.Record(tx, audit.Entry{Kind: EventProfile, Target: target("user", user), Person: user, Changes: changes})
	})
	u.Profile = p
	return u, err
}

// orNone is store.ErrNone for a statement that touched nothing.
func orNone(n int64, err error) error {
	if err == nil && n == 0 {
		return store.ErrNone
	}
	return err
}

// SetUserState suspends a user everywhere or makes her active again: an act of
// staff. OnDisable ends what she holds.
func (s *Service) SetUserState(ctx context.Context, who caller.Caller, user id.User, st State) error {
	if st != Active && st != Suspended {
		return fault.New(fault.Invalid, "directory.error.state", nil)
	}
	u, err := s.FindUser(ctx, user)
	if err != nil {
		return err
	}
	if u.State == st {
		return nil
	}
	ms, err := s.MembershipsOf(ctx, user)
	if err != nil {
		return err
	}
	pen, err := s.Audit.Pen(ctx, who, id.Org{}, user)
	if err != nil {
		return err
	}
	cite := []id.Org{}
	for _, m := range ms {
		cite = append(cite, m.Org)
	}
	if err := pen.Also(ctx, cite...); err != nil {
		return err
	}
	return s.Store.Update(ctx, store.System("directory.user-state"), func(tx *store.Tx) error {
		if err := s.Access.BumpUserTx(tx, user); err != nil {
			return err
		}
		if n, err := tx.Exec(updateUserSt, st, user); err != nil || n == 0 {
			return none(orNone(n, err), "update user")
		}
		if st == Suspended && s.OnDisable != nil {
			if err := s.OnDisable(tx, id.Org{}, user); err != nil {
				return err
			}
		}
		return pen.Record(tx, audit.Entry{
			Kind: EventUserState, Target: target("user", user), Person: user, Cite: cite,
			Changes: changed(nil, "state", u.State, st),
		})
	})
}

// AddAddress gives the user one more address, unproved: it finds nobody and
// receives nothing but the message that proves it.
func (s *Service) AddAddress(ctx context.Context, who caller.Caller, user id.User, address string) (Address, error) {
	email, normalized, err := ParseEmail(address)
	if err != nil {
		return Address{}, err
	}
	pen, err := s.Audit.Pen(ctx, who, id.Org{}, user)
	if err != nil {
		return Address{}, err
	}
	now := s.Now()
	a := Address{ID: id.NewAddress(now), Email: email, Created: now}
	sealed, err := pen.SealText(keyring.Person(user), labelEmail, a.ID.String(), email)
	if err != nil {
		return Address{}, fmt.Errorf("directory: seal address: %w", err)
	}
	hash := emailHash(pen.Ring, normalized)
	err = s.Store.Update(ctx, store.User(user), func(tx *store.Tx) error {
		_, err := tx.Exec(addAddress, a.ID, sealed, hash, store.Micros(now))
		switch {
		case errors.Is(err, store.ErrUnique):
			return ErrEmailTaken
		case err != nil:
			return fmt.Errorf("directory: insert address: %w", err)
		}
		return pen.Record(tx, audit.Entry{
			Kind: EventAddressAdded, Target: target("address", a.ID), Person: user,
			Changes: []audit.Change{{Field: "email", After: email, Person: true}},
		})
	})
	return a, err
}

// ProveAddressTx marks the address as proved, in a transaction of the user's
// scope in which the caller has used up what proves it and records the entry.
// The error is ErrNone when there is nothing to prove, ErrEmailTaken when
// another user has proved the same address meanwhile.
func (s *Service) ProveAddressTx(tx *store.Tx, a id.Address) error {
	n, err := tx.Exec(proveAddress, store.Micros(s.Now()), a)
	if errors.Is(err, store.ErrUnique) {
		return ErrEmailTaken
	}
	return none(orNone(n, err), "prove address")
}

// MakePrimary makes a proved address the user's primary one.
func (s *Service) MakePrimary(ctx context.Context, who caller.Caller, user id.User, a id.Address) error {
	return s.changeAddress(ctx, who, user, a, EventAddressPrimary, func(tx *store.Tx) error {
		n, err := tx.Exec(mainAddress, a)
		return none(orNone(n, err), "make address primary")
	})
}

// RemoveAddress takes an address that is not the primary one from the user.
func (s *Service) RemoveAddress(ctx context.Context, who caller.Caller, user id.User, a id.Address) error {
	return s.changeAddress(ctx, who, user, a, EventAddressRemoved, func(tx *store.Tx) error {
		n, err := tx.Exec(deleteAddress, a)
		return none(orNone(n, err), "delete address")
	})
}

func (s *Service) changeAddress(ctx context.Context, who caller.Caller, user id.User, a id.Address, kind string, fn func(*store.Tx) error) error {
	pen, err := s.Audit.Pen(ctx, who, id.Org{}, user)
	if err != nil {
		return err
	}
	return s.Store.Update(ctx, store.User(user), func(tx *store.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		return pen.Record(tx, audit.Entry{Kind: kind, Target: target("address", a), Person: user})
	})
}

// AddStaff gives the user a role in the installation.
func (s *Service) AddStaff(ctx context.Context, who caller.Caller, user id.User, role string) error {
	if role != access.RoleStaffAdmin && role != access.RoleStaffAuditor {
		return access.ErrRole
	}
	return s.changeStaff(ctx, who, user, role, EventStaffAdded, func(tx *store.Tx) error {
		n, err := tx.Exec(insertStaff, user, role, store.Micros(s.Now()), who.ID())
		switch {
		case errors.Is(err, store.ErrReference):
			return ErrNone
		case err == nil && n == 0:
			return fault.New(fault.Conflict, "directory.error.already-staff", nil)
		}
		return err
	})
}

// RemoveStaff takes the role. The last administrator of the installation keeps hers.
func (s *Service) RemoveStaff(ctx context.Context, who caller.Caller, user id.User, role string) error {
	return s.changeStaff(ctx, who, user, role, EventStaffRemoved, func(tx *store.Tx) error {
		if role == access.RoleStaffAdmin {
			// The revision rows of all administrators are locked first, in the
			// order of identifiers, so that of two who remove each other one waits
			// and then sees what the other did.
			staff, err := s.staffTx(tx)
			if err != nil {
				return err
			}
			for _, a := range staff {
				if a.Role != access.RoleStaffAdmin {
					continue
				}
				if err := s.Access.BumpUserTx(tx, a.User); err != nil {
					return err
				}
			}
		}
		n, err := tx.Exec(deleteStaff, user, role)
		if err := none(orNone(n, err), "delete staff"); err != nil || role != access.RoleStaffAdmin {
			return err
		}
		var left int64
		if err := tx.Row(otherAdmins, user).Scan(&left); err != nil {
			return fmt.Errorf("directory: count staff: %w", err)
		}
		if left == 0 {
			return fault.New(fault.Conflict, "directory.error.last-staff-admin", nil)
		}
		return nil
	})
}

func (s *Service) changeStaff(ctx context.Context, who caller.Caller, user id.User, role, kind string, fn func(*store.Tx) error) error {
	pen, err := s.Audit.Pen(ctx, who, id.Org{}, user)
	if err != nil {
		return err
	}
	return s.Store.Update(ctx, store.System("directory.staff"), func(tx *store.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		return pen.Record(tx, audit.Entry{Kind: kind, Target: target("user", user), Person: user, Facts: map[string]any{"role": role}})
	})
}

func (s *Service) staffTx(tx *store.Tx) ([]Staff, error) {
	return store.All(tx, func(r *store.Rows) (v Staff, err error) {
		var at int64
		err = r.Scan(&v.User, &v.Role, &at, &v.By)
		v.Created = store.Time(at)
		return v, err
	}, listStaff)
}

// Staff lists who has a role in the installation.
func (s *Service) Staff(ctx context.Context) (out []Staff, err error) {
	err = s.Store.View(ctx, store.System("directory.staff"), func(tx *store.Tx) (err error) {
		out, err = s.staffTx(tx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("directory: list staff: %w", err)
	}
	return out, nil
}
