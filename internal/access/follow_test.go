package access_test

import (
	"context"
	"errors"
	"testing"
	"testing/fstest"
	"time"

	"github.com/rempart/rempart/internal/access"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/clock"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/store"
	"github.com/rempart/rempart/internal/store/storetest"
)

// Rows that assignments refer to, without what keeps them.
var (
	tables  = store.NewSet("directory")
	putOrg  = tables.Add("put_org", `INSERT INTO directory_orgs (id) VALUES ($1)`, store.ForSystem)
	putUser = tables.Add("put_user", `INSERT INTO directory_users (id) VALUES ($1)`, store.ForSystem)
	owners  = capability.Manifest{
		Name: "directory", Statements: tables.All(),
		Migrations: fstest.MapFS{"202601010000_directory_create_tables.sql": &fstest.MapFile{Data: []byte(`-- +goose Up
CREATE TABLE directory_orgs (id {{TEXT}} NOT NULL PRIMARY KEY) {{STRICT}};
CREATE TABLE directory_users (id {{TEXT}} NOT NULL PRIMARY KEY) {{STRICT}};
CREATE TABLE directory_workspaces (id {{TEXT}} NOT NULL PRIMARY KEY) {{STRICT}};
`)}},
		Tables: []capability.Table{
			{Name: "directory_orgs", Database: "main", OrgColumn: "id", Reach: capability.ScopeSystem},
			{Name: "directory_users", Database: "main", UsrColumn: "id", Reach: capability.ScopeSystem},
			{Name: "directory_workspaces", Database: "main", Reach: capability.ScopeSystem},
		},
	}
)

type anyJournal struct{}

func (anyJournal) Write(*store.Tx, []any) error { return nil }
func (anyJournal) Done([]any, error)            {}

// node is one process of an installation: its own memory on a shared database.
type node struct {
	*access.Service
	follow *access.Follower
}

func TestNodesFollowEachOther(t *testing.T) {
	storetest.Each(t, []capability.Manifest{owners, (&access.Service{}).Manifest()}, func(t *testing.T, st *store.Store) {
		st.Main.SetJournal(anyJournal{})
		ctx, now := t.Context(), clock.NewFixed(start)
		org, user := id.NewOrg(start), id.NewUser(start)
		suspended := map[id.User]access.State{}
		asked := 0
		facts := access.Facts{
			Standing: func(context.Context, id.Org, id.User) (access.Standing, error) {
				asked++
				u := access.Active
				if s, bad := suspended[user]; bad {
					u = s
				}
				return access.Standing{Org: access.Active, Member: access.Active, User: u}, nil
			},
			Roster: func(context.Context, id.Org) (access.Roster, error) {
				return access.Roster{Org: access.Active, Members: map[id.User]access.State{user: access.Active}}, nil
			},
			Inactive: func(context.Context) (map[id.User]access.State, error) { return suspended, nil },
		}
		nodes := [2]node{}
		for i := range nodes {
			s := &access.Service{Store: st.Main, Now: now.Now, Catalogue: catalogue(t), Facts: facts}
			nodes[i] = node{s, access.NewFollower(s)}
		}
		do := func(s store.Scope, fn func(tx *store.Tx) error) error {
			return st.Main.Update(ctx, s, func(tx *store.Tx) error { tx.Record("entry"); return fn(tx) })
		}
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		must(do(store.System("test"), func(tx *store.Tx) error {
			_, err := tx.Exec(putOrg, org)
			_, uerr := tx.Exec(putUser, user)
			return errors.Join(err, uerr)
		}))
		who := caller.Caller{Kind: caller.User, User: user, FreshAt: start}
		want := func(what string, n node, want error, fromDatabase bool) {
			t.Helper()
			before := asked
			err := n.Authorize(ctx, who, "things.write", org, id.Workspace{})
			if !errors.Is(err, want) || want == nil && err != nil {
				t.Errorf("%s: got %v, want %v", what, err, want)
			}
			if (asked > before) != fromDatabase {
				t.Errorf("%s: asked the database: %v, want %v", what, asked > before, fromDatabase)
			}
		}
		change := func(n node, grants []access.Grant) error {
			return do(store.Org(org), func(tx *store.Tx) error {
				if err := n.BumpTx(tx, org); err != nil {
					return err
				}
				if err := n.RemoveAllTx(tx, user); err != nil {
					return err
				}
				return n.AddGrantsTx(tx, org, user, grants, "test")
			})
		}
		want("a node that does not follow asks", nodes[0], fault.ErrDenied, true)
		must(change(nodes[0], []access.Grant{{Role: "member"}}))
		nodes[0].follow.Round(ctx)
		want("the node that made the change has a snapshot", nodes[0], nil, false)
		nodes[1].follow.Round(ctx)
		want("the first decision of another asks, and wants one", nodes[1], nil, true)
		nodes[1].follow.Round(ctx)
		want("then it has one", nodes[1], nil, false)
		if n := testing.AllocsPerRun(200, func() { _ = nodes[0].Authorize(ctx, who, "things.write", org, id.Workspace{}) }); n != 0 {
			t.Errorf("%v allocations a decision", n)
		}

		must(change(nodes[0], []access.Grant{{Role: "auditor"}}))
		want("the node that changed it knows at once", nodes[0], fault.ErrDenied, true)
		want("the other believes its snapshot", nodes[1], nil, false)
		nodes[0].follow.Round(ctx)
		nodes[1].follow.Round(ctx)
		want("the node that changed it, after its poll", nodes[0], fault.ErrDenied, false)
		want("the other, after its poll", nodes[1], fault.ErrDenied, false)

		// What is rolled back changes nothing, and costs snapshots only for a while.
		boom := errors.New("boom")
		if err := do(store.Org(org), func(tx *store.Tx) error { return errors.Join(nodes[0].BumpTx(tx, org), boom) }); !errors.Is(err, boom) {
			t.Fatal(err)
		}
		want("after a change that failed", nodes[0], fault.ErrDenied, true)
		now.Advance(41 * time.Second)
		nodes[0].follow.Round(ctx)
		nodes[0].follow.Round(ctx)
		want("and a while later", nodes[0], fault.ErrDenied, false)

		// A user who is disabled on one node.
		nodes[1].follow.Round(ctx)
		must(do(store.System("test"), func(tx *store.Tx) error { return nodes[1].BumpUserTx(tx, user) }))
		suspended[user] = access.Suspended
		want("disabled here", nodes[1], access.ErrDisabled, true)
		want("elsewhere, before the poll", nodes[0], fault.ErrDenied, false)
		nodes[0].follow.Round(ctx)
		want("elsewhere, after the poll", nodes[0], access.ErrDisabled, false)

		now.Advance(time.Second + time.Microsecond)
		want("a node whose polls are late asks", nodes[0], access.ErrDisabled, true)
		if nodes[0].Snapshot(org) {
			t.Error("a node whose polls are late believes its snapshot")
		}
	})
}
