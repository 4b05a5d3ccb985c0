package directory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/rempart/rempart/internal/access"
	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/keyring"
	"github.com/rempart/rempart/internal/store"
)

// openList is the size of an organization up to which its list of members is
// opened in memory, for search and order by name. Above it the list is in the
// order of joining and the search is for a whole address.
var openList int64 = 5000

const memberColumns = `id, org_id, user_id, state, version, joined_at, name, email`

var (
	selectMember  = q.Add("select_member", `SELECT `+memberColumns+` FROM directory_memberships WHERE org_id = $org AND user_id = $1`)
	listMembers   = q.Add("list_members", `SELECT `+memberColumns+` FROM directory_memberships WHERE org_id = $org AND id > $1 AND ($2 = '' OR state = $2) ORDER BY id LIMIT $3`)
	searchMembers = q.Add("search_members", `SELECT `+memberColumns+` FROM directory_memberships WHERE org_id = $org AND email_hash = $1`)
	countMembers  = q.Add("count_members", `SELECT count(*), coalesce(sum(CASE WHEN state = 'active' THEN 1 ELSE 0 END), 0) FROM directory_memberships WHERE org_id = $org`)
)

type memberRow struct {
	Member
	name, email []byte
}

func scanMember(r interface{ Scan(...any) error }) (m memberRow, err error) {
	var joined int64
	err = r.Scan(&m.ID, &m.Org, &m.User, &m.State, &m.Version, &joined, &m.name, &m.email)
	m.Joined = store.Time(joined)
	return m, err
}

func openMember(ring *keyring.Ring, row memberRow) (m Member, err error) {
	m = row.Member
	m.Roles = []access.Grant{}
	owner := keyring.Organization(m.Org)
	if m.Name, err = ring.OpenText(owner, labelMemberName, m.ID.String(), row.name); err == nil {
		m.Email, err = ring.OpenText(owner, labelMemberEmail, m.ID.String(), row.email)
	}
	if err != nil {
		return m, fmt.Errorf("directory: open member: %w", err)
	}
	return m, nil
}

// FindMember gives the member with her roles; the error is ErrNone.
func (s *Service) FindMember(ctx context.Context, org id.Org, user id.User) (Member, error) {
	if org.IsZero() || user.IsZero() {
		return Member{}, ErrNone
	}
	var row memberRow
	var roles []access.Assignment
	err := s.Store.View(ctx, store.Org(org), func(tx *store.Tx) (err error) {
		if row, err = scanMember(tx.Row(selectMember, user)); err != nil {
			return err
		}
		roles, err = s.Access.OfTx(tx, user)
		return err
	})
	if err != nil {
		return Member{}, none(err, "find member")
	}
	ring, err := s.Keys.Ready(ctx, keyring.Organization(org))
	if err != nil {
		return Member{}, err
	}
	m, err := openMember(ring, row)
	for _, a := range roles {
		m.Roles = append(m.Roles, access.Grant{Role: a.Role, Workspace: a.Workspace})
	}
	return m, err
}

// MemberQuery is which members to list.
type MemberQuery struct {
	Search string // in name and address; in a large organization a whole address
	State  State  // "" for all
	Role   string // "" for all
	ByName bool   // in the order of names, where the organization is small enough
	After  string // position to read on from: MemberPage.Next
	Limit  int
}

// MemberPage is a part of the list of members.
type MemberPage struct {
	Items  []Member
	Next   string // "" on the last page
	Total  int64  // members of the organization, whatever the query
	Active int64
	Large  bool // the organization is too large for search in names and order by name
}

// Members lists members of the organization.
func (s *Service) Members(ctx context.Context, org id.Org, query MemberQuery) (MemberPage, error) {
	p := MemberPage{Items: []Member{}}
	if query.Limit <= 0 {
		query.Limit = 50
	}
	ring, err := s.Keys.Ready(ctx, keyring.Organization(org))
	if err != nil {
		return p, err
	}
	err = s.Store.View(ctx, store.Org(org), func(tx *store.Tx) error {
		return tx.Row(countMembers).Scan(&p.Total, &p.Active)
	})
	if err != nil {
		return p, fmt.Errorf("directory: count members: %w", err)
	}
	roles, err := s.Access.Held(ctx, org)
	if err != nil {
		return p, err
	}
	p.Large = p.Total > openList
	if p.Large {
		err = s.largeList(ctx, ring, org, query, roles, &p)
	} else {
		err = s.smallList(ctx, ring, org, query, roles, &p)
	}
	return p, err
}

func (s *Service) memberRows(ctx context.Context, org id.Org, st *store.Stmt, args ...any) (rows []memberRow, err error) {
	err = s.Store.View(ctx, store.Org(org), func(tx *store.Tx) (err error) {
		rows, err = store.All(tx, func(r *store.Rows) (memberRow, error) { return scanMember(r) }, st, args...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("directory: list members: %w", err)
	}
	return rows, nil
}

// smallList opens every member, then filters, sorts and cuts.
func (s *Service) smallList(ctx context.Context, ring *keyring.Ring, org id.Org, query MemberQuery, roles map[id.User][]access.Grant, p *MemberPage) error {
	rows, err := s.memberRows(ctx, org, listMembers, "", string(query.State), openList+1)
	if err != nil {
		return err
	}
	want := strings.ToLower(strings.TrimSpace(query.Search))
	all := []Member{}
	for _, row := range rows {
		if query.Role != "" && !holds(roles[row.User], query.Role) {
			continue
		}
		m, err := openMember(ring, row)
		if err != nil {
			return err
		}
		if want != "" && !strings.Contains(strings.ToLower(m.Name), want) && !strings.Contains(strings.ToLower(m.Email), want) {
			continue
		}
		m.Roles = grants(roles[m.User])
		all = append(all, m)
	}
	key := func(m Member) string { return m.ID.String() }
	if query.ByName {
		key = func(m Member) string { return strings.ToLower(m.Name) + "\x00" + m.ID.String() }
	}
	slices.SortFunc(all, func(a, b Member) int { return cmp.Compare(key(a), key(b)) })
	for _, m := range all {
		if query.After != "" && key(m) <= query.After {
			continue
		}
		if len(p.Items) == query.Limit {
			p.Next = key(p.Items[len(p.Items)-1])
			break
		}
		p.Items = append(p.Items, m)
	}
	return nil
}

// largeList reads in the order of identifiers, and finds a whole address.
func (s *Service) largeList(ctx context.Context, ring *keyring.Ring, org id.Org, query MemberQuery, roles map[id.User][]access.Grant, p *MemberPage) error {
	if query.Search != "" {
		_, normalized, err := ParseEmail(query.Search)
		if err != nil {
			return nil // it is no address, and finds nobody
		}
		rows, err := s.memberRows(ctx, org, searchMembers, ring.Hash(keyring.Organization(org), hashMemberEmail, normalized))
		if err != nil {
			return err
		}
		return appendMembers(ring, rows, roles, p)
	}
	after := query.After
	for len(p.Items) <= query.Limit {
		rows, err := s.memberRows(ctx, org, listMembers, after, string(query.State), 2*query.Limit+1)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			return nil
		}
		after = rows[len(rows)-1].ID.String()
		kept := slices.DeleteFunc(rows, func(r memberRow) bool { return query.Role != "" && !holds(roles[r.User], query.Role) })
		if err := appendMembers(ring, kept, roles, p); err != nil {
			return err
		}
	}
	p.Items = p.Items[:query.Limit]
	p.Next = p.Items[query.Limit-1].ID.String()
	return nil
}

func appendMembers(ring *keyring.Ring, rows []memberRow, roles map[id.User][]access.Grant, p *MemberPage) error {
	for _, row := range rows {
		m, err := openMember(ring, row)
		if err != nil {
			return err
		}
		m.Roles = grants(roles[m.User])
		p.Items = append(p.Items, m)
	}
	return nil
}

func holds(g []access.Grant, role string) bool {
	return slices.ContainsFunc(g, func(one access.Grant) bool { return one.Role == role })
}

// Names are what the organization calls the users; who is no member is left out.
func (s *Service) Names(ctx context.Context, org id.Org, users []id.User) (map[id.User]string, error) {
	out := map[id.User]string{}
	ring, err := s.Keys.Ready(ctx, keyring.Organization(org))
	if err != nil {
		return nil, err
	}
	for _, u := range users {
		rows, err := s.memberRows(ctx, org, selectMember, u)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			m, err := openMember(ring, row)
			if err != nil {
				return nil, err
			}
			out[u] = m.Name
		}
	}
	return out, nil
}

// ActiveMembers are the users who may act in the organization.
func (s *Service) ActiveMembers(ctx context.Context, org id.Org) ([]id.User, error) {
	out := []id.User{}
	err := s.Store.View(ctx, store.Org(org), func(tx *store.Tx) error {
		return eachState(tx, func(u id.User, st State) {
			if st == Active {
				out = append(out, u)
			}
		})
	})
	if err != nil {
		return nil, fmt.Errorf("directory: active members: %w", err)
	}
	return out, nil
}

// AddMember puts an existing user into the organization without an invitation:
// for provisioning and for the machine's operators. Whoever acts for a person
// invites.
func (s *Service) AddMember(ctx context.Context, who caller.Caller, org id.Org, user id.User, roles []access.Grant) (Membership, error) {
	if err := s.Access.Catalogue.CheckGrants(roles); err != nil {
		return Membership{}, err
	}
	if err := s.Access.CheckPlaces(ctx, org, roles); err != nil {
		return Membership{}, err
	}
	u, err := s.FindUser(ctx, user)
	if err != nil {
		return Membership{}, err
	}
	if who.Kind != caller.System && who.Kind != caller.Local {
		return Membership{}, fault.ErrDenied
	}
	pen, err := s.Audit.Pen(ctx, who, org, user)
	if err != nil {
		return Membership{}, err
	}
	join, err := s.joining(pen.Ring, org, user, u.Profile.Name, u.Email())
	if err != nil {
		return Membership{}, err
	}
	var m Membership
	err = s.Store.Update(ctx, store.System("directory.add-member"), func(tx *store.Tx) (err error) {
		if err := s.Access.BumpTx(tx, org); err != nil {
			return referred(err)
		}
		if m, err = insertJoiningTx(tx, join, s.Now()); err != nil {
			return err
		}
		if err := s.Access.AddGrantsTx(tx, org, user, roles, who.ID()); err != nil {
			return err
		}
		return pen.Record(tx, audit.Entry{
			Kind: EventMemberAdded, Target: target("user", user), Person: user,
			Changes: []audit.Change{{Field: "roles", After: roles}},
		})
	})
	return m, err
}

// referred turns a reference to an organization that is not there into ErrNone.
func referred(err error) error {
	if errors.Is(err, store.ErrReference) {
		return ErrNone
	}
	return err
}

// RenameMember changes what the organization calls the member. version is the
// one that the change rests on.
func (s *Service) RenameMember(ctx context.Context, who caller.Caller, org id.Org, user id.User, version int64, name string) (Member, error) {
	name, err := cleanName(name)
	if err != nil {
		return Member{}, err
	}
	m, err := s.FindMember(ctx, org, user)
	if err != nil || m.Name == name {
		return m, err
	}
	if m.Version != version {
		return Member{}, ErrChanged
	}
	pen, err := s.Audit.Pen(ctx, who, org, user)
	if err != nil {
		return Member{}, err
	}
	sealed, err := pen.SealText(keyring.Organization(org), labelMemberName, m.ID.String(), name)
	if err != nil {
		return Member{}, fmt.Errorf("directory: seal member: %w", err)
	}
	err = s.Store.Update(ctx, store.Org(org), func(tx *store.Tx) error {
		n, err := tx.Exec(updateMemberNm, sealed, user, version)
		if err != nil {
			return fmt.Errorf("directory: update member: %w", err)
		}
		if n == 0 {
			return ErrChanged
		}
		return pen.Record(tx, audit.Entry{
			Kind: EventMemberRenamed, Target: target("user", user), Person: user,
			Changes: []audit.Change{{Field: "name", Before: m.Name, After: name, Person: true}},
		})
	})
	m.Name = name
	m.Version++
	return m, err
}

// SetMemberState suspends the member in this organization or makes her active
// again. Nobody suspends herself or one who has more than she; the organization
// keeps an active owner. The error is access.ErrElevation, access.ErrLastOwner,
// ErrSelf or ErrNone.
func (s *Service) SetMemberState(ctx context.Context, who caller.Caller, org id.Org, user id.User, st State) (Membership, error) {
	if st != Active && st != Suspended {
		return Membership{}, fault.New(fault.Invalid, "directory.error.state", nil)
	}
	kind := EventMemberSuspended
	if st == Active {
		kind = EventMemberReactivated
	}
	var m Membership
	err := s.touch(ctx, who, org, user, kind, func(tx *store.Tx, before Membership) (changes []audit.Change, err error) {
		if before.State == st {
			m = before
			return nil, nil
		}
		if st == Suspended {
			if err := s.Access.KeepOwnerTx(tx, user); err != nil {
				return nil, err
			}
		}
		if m, err = scanMembership(tx.Row(updateMemberSt, st, user)); err != nil {
			return nil, none(err, "update member")
		}
		if st == Suspended && s.OnDisable != nil {
			if err := s.OnDisable(tx, org, user); err != nil {
				return nil, err
			}
		}
		return changed(nil, "state", before.State, st), nil
	})
	if err == nil && m.ID.IsZero() {
		return s.FindMembership(ctx, org, user)
	}
	return m, err
}

// RemoveMember takes the member out of the organization: her roles and what
// she holds here go, her account and her other organizations stay. The errors
// are those of SetMemberState.
func (s *Service) RemoveMember(ctx context.Context, who caller.Caller, org id.Org, user id.User) error {
	return s.touch(ctx, who, org, user, EventMemberRemoved, func(tx *store.Tx, before Membership) ([]audit.Change, error) {
		if err := s.Access.KeepOwnerTx(tx, user); err != nil {
			return nil, err
		}
		if s.OnDisable != nil {
			if err := s.OnDisable(tx, org, user); err != nil {
				return nil, err
			}
		}
		had, err := s.Access.OfTx(tx, user)
		if err != nil {
			return nil, err
		}
		if err := s.Access.RemoveAllTx(tx, user); err != nil {
			return nil, err
		}
		if _, err := tx.Exec(dropValuesOf, user.String()); err != nil {
			return nil, fmt.Errorf("directory: delete values: %w", err)
		}
		if _, err := tx.Exec(deleteMember, user); err != nil {
			return nil, fmt.Errorf("directory: delete member: %w", err)
		}
		roles := []access.Grant{}
		for _, a := range had {
			roles = append(roles, access.Grant{Role: a.Role, Workspace: a.Workspace})
		}
		return []audit.Change{{Field: "roles", Before: roles, After: []access.Grant{}}, {Field: "state", Before: before.State, After: "removed"}}, nil
	})
}

// ErrSelf refuses an act on oneself that would lock one out.
var ErrSelf = fault.New(fault.Conflict, "directory.error.self", nil)

// touch runs a change of one membership: the revision first, then what is read
// and decided. A change that changes nothing leaves no entry.
func (s *Service) touch(ctx context.Context, who caller.Caller, org id.Org, user id.User, kind string, fn func(*store.Tx, Membership) ([]audit.Change, error)) error {
	if who.User == user && kind != EventMemberRemoved {
		return ErrSelf
	}
	if m, err := s.FindMembership(ctx, org, user); err != nil {
		return err
	} else if kind == EventMemberSuspended && m.State == Suspended || kind == EventMemberReactivated && m.State == Active {
		return nil
	}
	pen, err := s.Audit.Pen(ctx, who, org, user)
	if err != nil {
		return err
	}
	err = s.Store.Update(ctx, store.Org(org), func(tx *store.Tx) error {
		if err := s.Access.BumpTx(tx, org); err != nil {
			return err
		}
		before, err := scanMembership(tx.Row(selectMembership, user))
		if err != nil {
			return none(err, "find membership")
		}
		if err := s.Access.MayTouchTx(tx, who, org, user); err != nil {
			return err
		}
		changes, err := fn(tx, before)
		if err != nil {
			return err
		}
		return pen.Record(tx, audit.Entry{Kind: kind, Target: target("user", user), Person: user, Changes: changes})
	})
	return s.refused(ctx, who, org, target("user", user), err)
}

// refused puts on record who was kept from taking or giving what she must not,
// and gives the error back.
func (s *Service) refused(ctx context.Context, who caller.Caller, org id.Org, t audit.Target, err error) error {
	if !errors.Is(err, access.ErrElevation) && !errors.Is(err, access.ErrLastOwner) {
		return err
	}
	if rerr := s.Audit.Refuse(ctx, who, org, audit.Entry{Kind: EventRefused, Target: t, Outcome: audit.Denied, Code: fault.Of(err).Key}); rerr != nil {
		return rerr
	}
	return err
}
