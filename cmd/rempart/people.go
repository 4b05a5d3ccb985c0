package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rempart/rempart/internal/directory"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
)

type orgCommand struct {
	List    orgListCommand    `cmd:"" help:"List organizations."`
	Add     orgAddCommand     `cmd:"" help:"Make an organization with its first owner."`
	Suspend orgSuspendCommand `cmd:"" help:"Suspend an organization: nobody of it gets in."`
	Resume  orgResumeCommand  `cmd:"" help:"Make a suspended organization active again."`
}

type orgListCommand struct{ place }

func (c *orgListCommand) operate(ctx context.Context, o *operation) error {
	all, err := o.app.Directory.AllOrgs(ctx)
	if err != nil {
		return err
	}
	answer := list[directory.Org]{Items: []directory.Org{}}
	for org := range all {
		v, err := o.app.Directory.FindOrg(ctx, org)
		if fault.KindOf(err) == fault.NotFound {
			continue
		}
		if err != nil {
			return err
		}
		if !v.Canary() {
			answer.Items = append(answer.Items, v)
		}
	}
	slices.SortFunc(answer.Items, func(a, b directory.Org) int { return strings.Compare(a.ID.String(), b.ID.String()) })
	rows := [][]string{}
	for _, v := range answer.Items {
		rows = append(rows, []string{v.ID.String(), v.Slug, v.Name, string(v.State), v.Created.UTC().Format(time.RFC3339)})
	}
	return o.show(answer, []string{"ID", "SLUG", "NAME", "STATE", "CREATED"}, rows)
}

type orgAddCommand struct {
	place
	Name  string `required:"" help:"Name that people see." placeholder:"NAME"`
	Slug  string `help:"Name in addresses of pages; default from the name." placeholder:"SLUG"`
	Owner string `required:"" help:"Address of the first owner; a user is made where nobody has it, and she resets her password to get in." placeholder:"EMAIL"`
}

func (c *orgAddCommand) operate(ctx context.Context, o *operation) error {
	n := directory.NewOrg{Name: c.Name, Slug: c.Slug}
	if n.Slug == "" {
		n.Slug = slug(c.Name)
	}
	u, err := o.user(ctx, c.Owner)
	switch {
	case err == nil:
		n.Owner = u
	case strings.Contains(c.Owner, "@") && fault.Of(err) == nil:
		// The operator vouches for the address: there is nobody yet who could
		// prove it, and whoever gets in proves it by the reset.
		name, _, _ := strings.Cut(c.Owner, "@")
		n.Found = &directory.NewUser{Email: c.Owner, Verified: true, Profile: directory.Profile{Name: name}}
	default:
		return err
	}
	v, owner, err := o.app.Directory.AddOrg(ctx, o.who, n)
	if err != nil {
		return err
	}
	return o.say(struct {
		directory.Org
		Owner id.User `json:"owner"`
	}{v, owner}, "%s (%s) is there; its owner is %s.", v.ID, v.Slug, owner)
}

// slug makes a name for addresses out of one for people.
func slug(name string) string {
	s := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		}
		return '-'
	}, strings.ToLower(name))
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '-' }), "-")
}

type namedOrg struct {
	place
	Org string `arg:"" help:"Organization, by slug or id."`
}

func (c *namedOrg) set(ctx context.Context, o *operation, st directory.State) error {
	org, err := o.org(ctx, c.Org)
	if err != nil {
		return err
	}
	v, err := o.app.Directory.SetOrgState(ctx, o.who, org, st)
	if err != nil {
		return err
	}
	return o.say(v, "%s (%s) is %s.", v.ID, v.Slug, v.State)
}

type orgSuspendCommand struct{ namedOrg }

func (c *orgSuspendCommand) operate(ctx context.Context, o *operation) error {
	return c.set(ctx, o, directory.Suspended)
}

type orgResumeCommand struct{ namedOrg }

func (c *orgResumeCommand) operate(ctx context.Context, o *operation) error {
	return c.set(ctx, o, directory.Active)
}

type userCommand struct {
	List    userListCommand    `cmd:"" help:"List users."`
	Disable userDisableCommand `cmd:"" help:"Disable a user everywhere, at once."`
	Enable  userEnableCommand  `cmd:"" help:"Let a disabled user in again."`
}

type userListCommand struct {
	place
	Org   string `help:"Only members of this organization, by slug or id." placeholder:"ORG"`
	Limit int    `default:"200" help:"At most as many."`
}

// person is a user in a list.
type person struct {
	ID      id.User         `json:"id"`
	Email   string          `json:"email"`
	Name    string          `json:"name"`
	State   directory.State `json:"state"`
	Created time.Time       `json:"created_at"`
}

func (c *userListCommand) operate(ctx context.Context, o *operation) error {
	org, err := o.org(ctx, c.Org)
	if err != nil {
		return err
	}
	if c.Limit < 1 {
		return errors.New("--limit is at least 1")
	}
	answer := list[person]{Items: []person{}}
	for after := (id.User{}); len(answer.Items) < c.Limit; {
		users, err := o.app.Directory.UserIDs(ctx, after, 500)
		if err != nil {
			return err
		}
		if len(users) == 0 {
			break
		}
		after = users[len(users)-1]
		for _, u := range users {
			if !org.IsZero() {
				if _, err := o.app.Directory.FindMembership(ctx, org, u); fault.KindOf(err) == fault.NotFound {
					continue
				} else if err != nil {
					return err
				}
			}
			v, err := o.app.Directory.FindUser(ctx, u)
			if err != nil {
				return fmt.Errorf("%s: %w", u, err)
			}
			if answer.Items = append(answer.Items, person{v.ID, v.Email(), v.Profile.Name, v.State, v.Created}); len(answer.Items) == c.Limit {
				break
			}
		}
	}
	rows := [][]string{}
	for _, v := range answer.Items {
		rows = append(rows, []string{v.ID.String(), v.Email, v.Name, string(v.State), v.Created.UTC().Format(time.RFC3339)})
	}
	return o.show(answer, []string{"ID", "EMAIL", "NAME", "STATE", "CREATED"}, rows)
}

type namedUser struct {
	place
	User string `arg:"" help:"User, by address or id."`
}

func (c *namedUser) set(ctx context.Context, o *operation, st directory.State) error {
	u, err := o.user(ctx, c.User)
	if err != nil {
		return err
	}
	if err := o.app.Directory.SetUserState(ctx, o.who, u, st); err != nil {
		return err
	}
	return o.say(map[string]string{"id": u.String(), "state": string(st)}, "%s is %s.", u, st)
}

type userDisableCommand struct{ namedUser }

func (c *userDisableCommand) operate(ctx context.Context, o *operation) error {
	return c.set(ctx, o, directory.Suspended)
}

type userEnableCommand struct{ namedUser }

func (c *userEnableCommand) operate(ctx context.Context, o *operation) error {
	return c.set(ctx, o, directory.Active)
}
