package directory_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rempart/rempart/internal/access"
	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/directory"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/store"
)

func TestEveryStatementPreparesAndStaysBehindTheWall(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for _, m := range manifests() {
			switch m.Name {
			case "directory", "access", "policy":
			default:
				continue
			}
			tables := map[string]capability.Table{}
			for _, tb := range m.Tables {
				tables[tb.Name] = tb
			}
			for _, s := range m.Statements {
				if err := w.store.Main.Prepare(t.Context(), s); err != nil {
					t.Errorf("%s: %v", s.Name, err)
				}
				if err := store.CheckSQL(s, tables); err != nil {
					t.Error(err)
				}
			}
		}
	})
}

func TestWhatIsFoundIsWhatWasMade(t *testing.T) {
	w := one(t)
	ctx := t.Context()
	o, moved, err := w.dir.FindOrgBySlug(ctx, "acme")
	w.must(err)
	if moved || o != w.acme.Org {
		t.Errorf("got %+v, want %+v", o, w.acme.Org)
	}
	f, err := w.dir.FindUserByEmail(ctx, "  Owner@ACME.example")
	w.must(err)
	if f.User != w.acme.owner || f.State != directory.Active {
		t.Errorf("found %+v", f)
	}
	_, err = w.dir.FindUserByEmail(ctx, "nobody@acme.example")
	w.want("an unknown address", err, directory.ErrNone)
	u, err := w.dir.FindUser(ctx, w.acme.owner)
	w.must(err)
	if u.Profile.Name != "Owner of acme" || u.Email() != "owner@acme.example" {
		t.Errorf("user %+v", u)
	}
	bs, err := w.dir.Belongings(ctx, w.acme.admin)
	w.must(err)
	if len(bs) != 1 || bs[0].Org.Name != "Org acme" || !slices.Equal(bs[0].Roles, []access.Grant{{Role: "admin"}}) {
		t.Errorf("belongings %s", asJSON(bs))
	}
	p, err := w.dir.Members(ctx, w.acme.ID, directory.MemberQuery{ByName: true})
	w.must(err)
	names := []string{}
	for _, m := range p.Items {
		names = append(names, m.Name)
	}
	if d := cmp.Diff([]string{"Name of admin@acme.example", "Name of member@acme.example", "Owner of acme"}, names); d != "" {
		t.Errorf("members (-want +got):\n%s", d)
	}
	orgs, users, err := w.dir.Counts(ctx)
	w.must(err)
	if orgs != 2 || users != 6 {
		t.Errorf("%d organizations, %d users", orgs, users)
	}
}

func TestAnotherOrganizationsThingsAreNotFound(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx, a, g := t.Context(), w.acme, w.globex
		ws, err := w.dir.AddWorkspace(ctx, w.as(g.owner), g.ID, "Lab", "lab")
		w.must(err)
		inv, err := w.dir.AddInvitation(ctx, w.as(g.owner), g.ID, directory.NewInvitation{Email: "new@globex.example", Roles: []access.Grant{{Role: "member"}}})
		w.must(err)
		who := w.as(a.owner)
		name, st := "Mine", directory.Suspended
		for what, fn := range map[string]func() error{
			"find workspace": func() error { _, err := w.dir.FindWorkspace(ctx, a.ID, ws.ID); return err },
			"change workspace": func() error {
				_, err := w.dir.ChangeWorkspace(ctx, who, a.ID, ws.ID, 1, directory.WorkspaceChange{Name: &name})
				return err
			},
			"remove workspace":  func() error { return w.dir.RemoveWorkspace(ctx, who, a.ID, ws.ID) },
			"find invitation":   func() error { _, err := w.dir.InvitationByID(ctx, a.ID, inv.ID); return err },
			"resend invitation": func() error { _, err := w.dir.ResendInvitation(ctx, who, a.ID, inv.ID); return err },
			"revoke invitation": func() error { return w.dir.RevokeInvitation(ctx, who, a.ID, inv.ID) },
			"find membership":   func() error { _, err := w.dir.FindMembership(ctx, a.ID, g.member); return err },
			"find member":       func() error { _, err := w.dir.FindMember(ctx, a.ID, g.member); return err },
			"rename member":     func() error { _, err := w.dir.RenameMember(ctx, who, a.ID, g.member, 1, "X"); return err },
			"suspend member":    func() error { _, err := w.dir.SetMemberState(ctx, who, a.ID, g.member, st); return err },
			"remove member":     func() error { return w.dir.RemoveMember(ctx, who, a.ID, g.member) },
			"change roles": func() error {
				_, err := w.access.Change(ctx, who, a.ID, g.member, []access.Grant{{Role: "admin"}})
				return err
			},
			"explain": func() error {
				_, err := w.access.Explain(ctx, a.ID, g.member, "directory.read", id.Workspace{})
				return err
			},
			"authorize":        func() error { return w.access.Authorize(ctx, who, "directory.read", g.ID, id.Workspace{}) },
			"authorize inside": func() error { return w.access.Authorize(ctx, who, "directory.read", a.ID, ws.ID) },
		} {
			w.want(what, fn(), fault.ErrNotFound)
		}
		_, err = w.access.Change(ctx, who, a.ID, a.member, []access.Grant{{Role: "guest", Workspace: ws.ID}})
		w.want("a role at another organization's workspace", err, access.ErrRole)
		for what, n := range map[string]func() (int, error){
			"members": func() (int, error) {
				p, err := w.dir.Members(ctx, a.ID, directory.MemberQuery{Search: "globex"})
				return len(p.Items), err
			},
			"workspaces":  func() (int, error) { l, err := w.dir.Workspaces(ctx, a.ID); return len(l), err },
			"invitations": func() (int, error) { l, err := w.dir.Invitations(ctx, a.ID, id.Invitation{}, 50); return len(l), err },
			"names": func() (int, error) {
				l, err := w.dir.Names(ctx, a.ID, []id.User{g.owner, g.member})
				return len(l), err
			},
			"roles": func() (int, error) { l, err := w.access.Of(ctx, a.ID, g.owner); return len(l), err },
		} {
			if got, err := n(); err != nil || got != 0 {
				t.Errorf("%s of another organization: %d, %v", what, got, err)
			}
		}
	})
}

func TestAnInvitationIsAcceptedOnce(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx, a := t.Context(), w.acme
		invite := func(email string) string {
			t.Helper()
			w.clock.Advance(time.Second) // the next is a newer one
			_, err := w.dir.AddInvitation(ctx, w.as(a.admin), a.ID, directory.NewInvitation{Email: email, Locale: "fr", Roles: []access.Grant{{Role: "member"}}})
			w.must(err)
			return w.post.token(t)
		}
		token := invite("New.Person@Acme.example")
		_, err := w.dir.AddInvitation(ctx, w.as(a.admin), a.ID, directory.NewInvitation{Email: "new.person@acme.example", Roles: []access.Grant{{Role: "member"}}})
		w.want("a second invitation", err, directory.ErrInvited)
		won := race(t, 50, func(int) error {
			acc, err := w.dir.PrepareAcceptance(ctx, caller.Caller{}, token, directory.Profile{Name: "New Person", Locale: "fr"})
			if err != nil {
				return err
			}
			return w.store.Main.Update(ctx, store.System("test"), func(tx *store.Tx) error {
				_, err := w.dir.AcceptTx(tx, acc)
				return err
			})
		}, directory.ErrInvitation, directory.ErrSignIn)
		if won != 1 {
			t.Fatalf("%d of 50 accepted", won)
		}
		f, err := w.dir.FindUserByEmail(ctx, "new.person@acme.example")
		w.must(err)
		m, err := w.dir.FindMember(ctx, a.ID, f.User)
		w.must(err)
		if m.Name != "New Person" || m.Email != "New.Person@acme.example" || !slices.Equal(m.Roles, []access.Grant{{Role: "member"}}) {
			t.Errorf("member %s", asJSON(m))
		}
		_, err = w.dir.FindInvitation(ctx, token)
		w.want("a used invitation", err, directory.ErrInvitation)

		// Of somebody who has an account: only she accepts it, signed in.
		token = invite("member@globex.example")
		_, err = w.dir.PrepareAcceptance(ctx, caller.Caller{}, token, directory.Profile{Name: "X"})
		w.want("a visitor for an existing account", err, directory.ErrSignIn)
		_, err = w.dir.Accept(ctx, w.as(w.globex.owner), token)
		w.want("another person", err, directory.ErrOther)
		_, err = w.dir.Accept(ctx, w.as(w.globex.member), token)
		w.must(err)
		w.must(w.access.Authorize(ctx, w.as(w.globex.member), "directory.read", a.ID, id.Workspace{}))

		token = invite("late@acme.example")
		w.clock.Advance(7 * 24 * time.Hour)
		_, err = w.dir.FindInvitation(ctx, token)
		w.want("an invitation of seven days", err, directory.ErrInvitation)
		again := invite("late@acme.example") // the lapsed one does not stand in its way
		list, err := w.dir.Invitations(ctx, a.ID, id.Invitation{}, 10)
		w.must(err)
		if list[0].State != directory.InvitationOpen || list[1].State != directory.InvitationExpired {
			t.Errorf("states %s %s", list[0].State, list[1].State)
		}
		w.must(w.dir.RevokeInvitation(ctx, w.as(a.admin), a.ID, list[0].ID))
		_, err = w.dir.FindInvitation(ctx, again)
		w.want("a revoked invitation", err, directory.ErrInvitation)
	})
}

func TestResendingEndsTheFormerLink(t *testing.T) {
	w := one(t)
	ctx, a := t.Context(), w.acme
	v, err := w.dir.AddInvitation(ctx, w.as(a.admin), a.ID, directory.NewInvitation{Email: "x@acme.example", Roles: []access.Grant{{Role: "member"}}})
	w.must(err)
	first := w.post.token(t)
	_, err = w.dir.ResendInvitation(ctx, w.as(a.admin), a.ID, v.ID)
	if fault.KindOf(err) != fault.Throttled {
		t.Errorf("at once: %v", err)
	}
	w.clock.Advance(8 * 24 * time.Hour)
	v, err = w.dir.ResendInvitation(ctx, w.as(a.admin), a.ID, v.ID)
	w.must(err)
	_, err = w.dir.FindInvitation(ctx, first)
	w.want("the former link", err, directory.ErrInvitation)
	f, err := w.dir.FindInvitation(ctx, w.post.token(t))
	w.must(err)
	if f.Invitation.ID != v.ID || f.Invitation.Times != 2 {
		t.Errorf("offer %s", asJSON(f))
	}
}

func TestOfFiftyWhoRemoveEachOtherOneOwnerStays(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx, a := t.Context(), w.acme
		owners := []id.User{a.owner}
		for i := range 49 {
			u := w.user("owner" + string(rune('a'+i%26)) + string(rune('a'+i/26)) + "@acme.example")
			w.join(a.ID, u, access.RoleOwner)
			owners = append(owners, u)
		}
		// Each by another way: removed, suspended, or her role taken.
		won := race(t, 50, func(i int) error {
			u := owners[i]
			switch i % 3 {
			case 0:
				return w.dir.RemoveMember(ctx, system, a.ID, u)
			case 1:
				_, err := w.dir.SetMemberState(ctx, system, a.ID, u, directory.Suspended)
				return err
			}
			_, err := w.access.Change(ctx, system, a.ID, u, []access.Grant{{Role: "member"}})
			return err
		}, access.ErrLastOwner)
		if won != 49 {
			t.Errorf("%d of 50 owners went", won)
		}
	})
}

func TestNobodyGivesMoreThanSheHas(t *testing.T) {
	w := one(t)
	ctx, a := t.Context(), w.acme
	admin := w.as(a.admin)
	for what, fn := range map[string]func() error{
		"an admin makes an owner": func() error {
			_, err := w.access.Change(ctx, admin, a.ID, a.member, []access.Grant{{Role: "owner"}})
			return err
		},
		"an admin makes herself owner": func() error {
			_, err := w.access.Change(ctx, admin, a.ID, a.admin, []access.Grant{{Role: "owner"}})
			return err
		},
		"an admin demotes the owner": func() error {
			_, err := w.access.Change(ctx, admin, a.ID, a.owner, []access.Grant{{Role: "member"}})
			return err
		},
		"an admin removes the owner": func() error { return w.dir.RemoveMember(ctx, admin, a.ID, a.owner) },
		"an admin suspends the owner": func() error {
			_, err := w.dir.SetMemberState(ctx, admin, a.ID, a.owner, directory.Suspended)
			return err
		},
		"an admin invites an owner": func() error {
			_, err := w.dir.AddInvitation(ctx, admin, a.ID, directory.NewInvitation{Email: "o@acme.example", Roles: []access.Grant{{Role: "owner"}}})
			return err
		},
		"a member makes an auditor": func() error {
			_, err := w.access.Change(ctx, w.as(a.member), a.ID, a.member, []access.Grant{{Role: "auditor"}})
			return err
		},
		"a key makes what it is not limited to": func() error {
			k := caller.Caller{Kind: caller.Key, Key: id.NewKey(start), Org: a.ID, Scopes: []string{"access.assign"}}
			_, err := w.access.Change(ctx, k, a.ID, a.member, []access.Grant{{Role: "admin"}})
			return err
		},
		"an owner's key limited to reading": func() error {
			k := caller.Caller{Kind: caller.Key, Key: id.NewKey(start), User: a.owner, Org: a.ID, Scopes: []string{"access.assign", "directory.read"}}
			_, err := w.access.Change(ctx, k, a.ID, a.member, []access.Grant{{Role: "admin"}})
			return err
		},
	} {
		w.want(what, fn(), access.ErrElevation)
	}
	_, err := w.access.Change(ctx, admin, a.ID, a.member, []access.Grant{{Role: "admin"}})
	w.want("an admin makes an admin", err, nil)
	_, err = w.access.Change(ctx, w.as(a.owner), a.ID, a.owner, []access.Grant{{Role: "admin"}})
	w.want("the last owner steps down", err, access.ErrLastOwner)
}

func TestAChangeBitesAtTheNextDecision(t *testing.T) {
	w := one(t)
	ctx, a := t.Context(), w.acme
	may := func(u id.User) error {
		return w.access.Authorize(ctx, w.as(u), "directory.members.write", a.ID, id.Workspace{})
	}
	w.want("admin", may(a.admin), nil)
	w.want("member", may(a.member), fault.ErrDenied)
	_, err := w.dir.SetMemberState(ctx, w.as(a.owner), a.ID, a.admin, directory.Suspended)
	w.must(err)
	w.want("suspended", may(a.admin), access.ErrSuspended)
	_, err = w.dir.SetMemberState(ctx, w.as(a.owner), a.ID, a.admin, directory.Active)
	w.must(err)
	w.must(w.dir.SetUserState(ctx, system, a.admin, directory.Suspended))
	w.want("disabled", may(a.admin), access.ErrDisabled)
	w.must(w.dir.SetUserState(ctx, system, a.admin, directory.Active))
	_, err = w.dir.SetOrgState(ctx, system, a.ID, directory.Suspended)
	w.must(err)
	w.want("of a suspended organization", may(a.admin), access.ErrOrgSuspended)
	_, err = w.dir.SetOrgState(ctx, system, a.ID, directory.Active)
	w.must(err)
	w.must(w.dir.RemoveMember(ctx, w.as(a.owner), a.ID, a.admin))
	w.want("removed", may(a.admin), fault.ErrNotFound)
}

func TestASlugLeadsOnForNinetyDaysAndIsNeverGivenAway(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx, a := t.Context(), w.acme
		slug := "acme-labs"
		o, err := w.dir.ChangeOrg(ctx, w.as(a.owner), a.ID, 1, directory.OrgChange{Slug: &slug})
		w.must(err)
		found, moved, err := w.dir.FindOrgBySlug(ctx, "acme")
		w.must(err)
		if !moved || found.Slug != slug || found.ID != o.ID {
			t.Errorf("moved %v to %+v", moved, found)
		}
		former := "acme"
		_, err = w.dir.ChangeOrg(ctx, w.as(w.globex.owner), w.globex.ID, 1, directory.OrgChange{Slug: &former})
		w.want("a former slug of another", err, directory.ErrSlugTaken)
		_, err = w.dir.ChangeOrg(ctx, w.as(a.owner), a.ID, 1, directory.OrgChange{Slug: &former})
		w.want("an old version", err, directory.ErrChanged)
		w.clock.Advance(91 * 24 * time.Hour)
		_, _, err = w.dir.FindOrgBySlug(ctx, "acme")
		w.want("after 90 days", err, directory.ErrNone)
		_, err = w.dir.ChangeOrg(ctx, w.as(w.globex.owner), w.globex.ID, 1, directory.OrgChange{Slug: &former})
		w.want("after 90 days, of another", err, directory.ErrSlugTaken)
		_, err = w.dir.ChangeOrg(ctx, w.as(a.owner), a.ID, 2, directory.OrgChange{Slug: &former})
		w.want("back to its own", err, nil)
	})
}

func TestWorkspacesAndGuests(t *testing.T) {
	w := one(t)
	ctx, a := t.Context(), w.acme
	ws, err := w.dir.AddWorkspace(ctx, w.as(a.admin), a.ID, "Lab", "lab")
	w.must(err)
	_, err = w.dir.AddWorkspace(ctx, w.as(a.admin), a.ID, "Lab", "lab")
	w.want("the slug twice", err, directory.ErrSlugTaken)
	guest := w.user("guest@else.example")
	_, err = w.dir.AddMember(ctx, system, a.ID, guest, []access.Grant{{Role: "guest"}})
	w.want("a guest of everything", err, access.ErrGuest)
	_, err = w.dir.AddMember(ctx, system, a.ID, guest, []access.Grant{{Role: "guest", Workspace: ws.ID}})
	w.must(err)
	w.want("a guest reads members", w.access.Authorize(ctx, w.as(guest), "directory.read", a.ID, id.Workspace{}), fault.ErrDenied)
	st := directory.Suspended
	ws, err = w.dir.ChangeWorkspace(ctx, w.as(a.admin), a.ID, ws.ID, 1, directory.WorkspaceChange{State: &st})
	w.must(err)
	w.want("in a suspended workspace", w.access.Alive(ctx, w.as(guest), a.ID, ws.ID), fault.ErrDenied)
	w.must(w.dir.RemoveWorkspace(ctx, w.as(a.admin), a.ID, ws.ID))
	as, err := w.access.Of(ctx, a.ID, guest)
	w.must(err)
	if len(as) != 0 {
		t.Errorf("roles at a removed workspace stay: %s", asJSON(as))
	}
}

func TestARefusalIsOnRecordAndARefusedChangeIsNot(t *testing.T) {
	w := one(t)
	ctx, a := t.Context(), w.acme
	before := w.kinds(a.ID)
	_ = w.dir.RemoveMember(ctx, w.as(a.admin), a.ID, a.owner)
	after := w.kinds(a.ID)
	if after[directory.EventRefused] != before[directory.EventRefused]+1 || after[directory.EventMemberRemoved] != before[directory.EventMemberRemoved] {
		t.Errorf("entries %v", after)
	}
}

func TestTheLastStaffAdministratorStays(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		var admins []id.User
		for _, u := range []id.User{w.acme.owner, w.globex.owner, w.acme.admin} {
			w.must(w.dir.AddStaff(ctx, system, u, access.RoleStaffAdmin))
			admins = append(admins, u)
		}
		w.want("staff reads", w.access.Authorize(ctx, w.as(admins[0]), "directory.staff.read", id.Org{}, id.Workspace{}), nil)
		w.want("others do not", w.access.Authorize(ctx, w.as(w.acme.member), "directory.staff.read", id.Org{}, id.Workspace{}), fault.ErrDenied)
		last := errors.New("")
		won := race(t, 3, func(i int) error {
			err := w.dir.RemoveStaff(ctx, system, admins[i], access.RoleStaffAdmin)
			if fault.KindOf(err) == fault.Conflict {
				return last
			}
			return err
		}, last)
		if won != 2 {
			t.Errorf("%d of 3 administrators went", won)
		}
	})
}

func TestCanariesAreNotCounted(t *testing.T) {
	w := one(t)
	ctx := t.Context()
	o, _, err := w.dir.AddOrg(ctx, system, directory.NewOrg{Name: "Canary", Slug: "canary-1", Kind: directory.Canary, Found: &directory.NewUser{Email: "c@canary.example", Verified: true, Profile: directory.Profile{Name: "Canary"}}})
	w.must(err)
	orgs, users, err := w.dir.Counts(ctx)
	w.must(err)
	if orgs != 2 || users != 6 {
		t.Errorf("%d organizations, %d users", orgs, users)
	}
	if o, err = w.dir.FindOrg(ctx, o.ID); err != nil || !o.Canary() {
		t.Errorf("%+v, %v", o, err)
	}
}

func TestAddresses(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx, a := t.Context(), w.acme
		who := w.as(a.member)
		ad, err := w.dir.AddAddress(ctx, who, a.member, "second@acme.example")
		w.must(err)
		_, err = w.dir.FindUserByEmail(ctx, "second@acme.example")
		w.want("an unproved address", err, directory.ErrNone)
		w.want("an unproved address made primary", w.dir.MakePrimary(ctx, who, a.member, ad.ID), directory.ErrNone)
		other, err := w.dir.AddAddress(ctx, w.as(a.admin), a.admin, "second@acme.example")
		w.must(err)
		prove := func(u id.User, ad id.Address) error {
			pen, err := w.log.Pen(ctx, system, id.Org{}, u)
			w.must(err)
			return w.store.Main.Update(ctx, store.User(u), func(tx *store.Tx) error {
				if err := w.dir.ProveAddressTx(tx, ad); err != nil {
					return err
				}
				return pen.Record(tx, audit.Entry{Kind: "directory.address.added", Person: u})
			})
		}
		w.must(prove(a.member, ad.ID))
		w.want("proved by another meanwhile", prove(a.admin, other.ID), directory.ErrEmailTaken)
		w.want("proved twice", prove(a.member, ad.ID), directory.ErrNone)
		w.must(w.dir.MakePrimary(ctx, who, a.member, ad.ID))
		w.want("removing the primary one", w.dir.RemoveAddress(ctx, who, a.member, ad.ID), directory.ErrNone)
		u, err := w.dir.FindUser(ctx, a.member)
		w.must(err)
		if u.Email() != "second@acme.example" || len(u.Addresses) != 2 {
			t.Errorf("addresses %s", asJSON(u.Addresses))
		}
	})
}

func TestALargeOrganizationIsListedInPartsAndSearchedByWholeAddress(t *testing.T) {
	w := one(t)
	defer directory.SetOpenList(5)()
	ctx, a := t.Context(), w.acme
	for i := range 9 {
		w.clock.Advance(time.Millisecond)
		w.join(a.ID, w.user(string(rune('a'+i))+"@acme.example"), []string{"member", "auditor"}[i%2])
	}
	list := func(query directory.MemberQuery) (n int, pages int) {
		t.Helper()
		seen := map[id.User]bool{}
		for {
			p, err := w.dir.Members(ctx, a.ID, query)
			w.must(err)
			if !p.Large || p.Total != 12 {
				t.Fatalf("large %v, total %d", p.Large, p.Total)
			}
			pages++
			for _, m := range p.Items {
				if seen[m.User] {
					t.Errorf("%s is listed twice", m.Email)
				}
				seen[m.User] = true
			}
			if p.Next == "" {
				return len(seen), pages
			}
			query.After = p.Next
		}
	}
	for name, c := range map[string]struct {
		query directory.MemberQuery
		n     int
	}{
		"everybody":            {directory.MemberQuery{Limit: 5}, 12},
		"a limit that divides": {directory.MemberQuery{Limit: 4}, 12},
		"one by one":           {directory.MemberQuery{Limit: 1}, 12},
		"of a role":            {directory.MemberQuery{Limit: 2, Role: "auditor"}, 4},
		"of no state":          {directory.MemberQuery{Limit: 5, State: directory.Suspended}, 0},
		"a whole address":      {directory.MemberQuery{Search: "C@Acme.example"}, 1},
		"a part of one":        {directory.MemberQuery{Search: "acme"}, 0},
	} {
		if n, _ := list(c.query); n != c.n {
			t.Errorf("%s: %d members, want %d", name, n, c.n)
		}
	}
}
