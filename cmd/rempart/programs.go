package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rempart/rempart/internal/access"
	"github.com/rempart/rempart/internal/apikey"
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/provider"
)

type tokenCommand struct {
	Issue  tokenIssueCommand  `cmd:"" help:"Make a bearer key; it is shown once."`
	List   tokenListCommand   `cmd:"" help:"List bearer keys."`
	Revoke tokenRevokeCommand `cmd:"" help:"End a bearer key at once."`
}

type tokenIssueCommand struct {
	place
	Org        string        `help:"Organization that the key acts in, by slug or id." placeholder:"ORG"`
	Staff      bool          `help:"The key acts for the installation's staff, in no organization."`
	Name       string        `required:"" help:"What the key is for."`
	Permission []string      `help:"A permission that the key holds; repeat for more." placeholder:"NAME"`
	Role       string        `help:"Every permission of this role: owner, admin, member, auditor, guest; of staff: staff-admin, staff-auditor." placeholder:"ROLE"`
	Workspace  string        `help:"Only in this workspace, by id." placeholder:"WORKSPACE"`
	Expires    time.Duration `help:"How long the key lives, such as 2160h; without it until it is revoked." placeholder:"DURATION"`
}

// permissions are those that were asked for, each of them one that a key of
// the kind can hold.
func (c *tokenIssueCommand) permissions(cat *access.Catalogue) ([]string, error) {
	out := slices.Clone(c.Permission)
	if c.Role != "" {
		roles := access.Roles
		if c.Staff {
			roles = access.StaffRoles
		}
		if !slices.Contains(roles, c.Role) {
			return nil, fmt.Errorf("%q is none of the roles %s", c.Role, strings.Join(roles, ", "))
		}
		for _, p := range cat.Permissions() {
			if (p.Level == capability.LevelStaff) == c.Staff && cat.RoleHas(c.Role, p.Name) {
				out = append(out, p.Name)
			}
		}
	}
	for _, name := range out {
		p, ok := cat.Find(name)
		if !ok {
			return nil, fmt.Errorf("there is no permission %s; rempart docs writes the catalogue", name)
		}
		if (p.Level == capability.LevelStaff) != c.Staff {
			return nil, fmt.Errorf("%s is a permission of %s; this key can't hold it", name, p.Level)
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

func (c *tokenIssueCommand) operate(ctx context.Context, o *operation) error {
	if c.Staff == (c.Org != "") {
		return errors.New("give either --org or --staff")
	}
	if c.Expires < 0 {
		return errors.New("--expires is in the future")
	}
	org, err := o.org(ctx, c.Org)
	if err != nil {
		return err
	}
	k := apikey.Key{Org: org, Name: c.Name}
	if k.Permissions, err = c.permissions(o.app.Access.Catalogue); err != nil {
		return err
	}
	if len(k.Permissions) == 0 {
		return errors.New("give --permission or --role")
	}
	if c.Workspace != "" {
		if k.Workspace, err = id.ParseWorkspace(c.Workspace); err != nil {
			return fmt.Errorf("%q is no identifier of a workspace", c.Workspace)
		}
		if _, err := o.app.Directory.FindWorkspace(ctx, org, k.Workspace); err != nil {
			return named(err, "workspace", c.Workspace)
		}
	}
	if c.Expires > 0 {
		k.ExpiresAt = o.app.Now().Add(c.Expires).UTC().Truncate(time.Second)
	}
	k, secret, err := o.app.APIKeys.Issue(ctx, o.who, k)
	if err != nil {
		return err
	}
	return o.say(struct {
		apikey.Key
		Token string `json:"token"`
	}{k, secret}, "%s\n\nThis is key %s. It is not shown again.", secret, k.ID)
}

type tokenListCommand struct {
	place
	Org string `help:"Only keys of this organization, by slug or id." placeholder:"ORG"`
}

func (c *tokenListCommand) operate(ctx context.Context, o *operation) error {
	org, err := o.org(ctx, c.Org)
	if err != nil {
		return err
	}
	all, err := o.app.APIKeys.List(ctx, o.who)
	if err != nil {
		return err
	}
	kinds, err := o.app.Directory.AllOrgs(ctx)
	if err != nil {
		return err
	}
	answer, rows := list[apikey.Key]{Items: []apikey.Key{}}, [][]string{}
	for _, k := range all {
		if c.Org != "" && k.Org != org || kinds[k.Org] == "canary" {
			continue
		}
		answer.Items = append(answer.Items, k)
		where, state := "staff", "usable"
		if !k.Org.IsZero() {
			where = k.Org.String()
		}
		switch {
		case !k.RevokedAt.IsZero():
			state = "revoked"
		case !k.Usable(o.app.Now()):
			state = "expired"
		}
		rows = append(rows, []string{k.ID.String(), k.Name, where, state, k.CreatedAt.UTC().Format(time.RFC3339)})
	}
	return o.show(answer, []string{"ID", "NAME", "WHERE", "STATE", "CREATED"}, rows)
}

type tokenRevokeCommand struct {
	place
	Key string `arg:"" help:"Identifier of the key."`
}

func (c *tokenRevokeCommand) operate(ctx context.Context, o *operation) error {
	key, err := id.ParseKey(c.Key)
	if err != nil {
		return fmt.Errorf("%q is no identifier of a key", c.Key)
	}
	if err := o.app.APIKeys.Revoke(ctx, o.who, key); err != nil {
		return named(err, "key in force", c.Key)
	}
	return o.say(map[string]string{"id": key.String(), "state": "revoked"}, "%s is revoked.", key)
}

type clientCommand struct {
	List    clientListCommand    `cmd:"" help:"List clients."`
	Add     clientAddCommand     `cmd:"" help:"Register an application; its secret is shown once."`
	Rotate  clientRotateCommand  `cmd:"" help:"Give a client a new secret."`
	Disable clientDisableCommand `cmd:"" help:"Disable a client at once."`
	Enable  clientEnableCommand  `cmd:"" help:"Let a disabled client in again."`
}

type clientListCommand struct{ place }

func (c *clientListCommand) operate(ctx context.Context, o *operation) error {
	all, err := o.app.Provider.Clients(ctx)
	if err != nil {
		return err
	}
	kinds, err := o.app.Directory.AllOrgs(ctx)
	if err != nil {
		return err
	}
	answer, rows := list[*provider.Client]{Items: []*provider.Client{}}, [][]string{}
	for _, v := range all {
		if kinds[v.Org] == "canary" {
			continue
		}
		answer.Items = append(answer.Items, v)
		rows = append(rows, []string{v.ID.String(), v.Name, string(v.Type), string(v.State), strings.Join(v.RedirectURIs, " ")})
	}
	return o.show(answer, []string{"ID", "NAME", "TYPE", "STATE", "REDIRECT URIS"}, rows)
}

type clientAddCommand struct {
	place
	Name       string   `required:"" help:"Name that people see."`
	Type       string   `default:"web" enum:"web,spa,native,service" help:"web (keeps a secret), spa, native, or service (no people)."`
	Org        string   `help:"Organization that owns the client, by slug or id; without it the installation." placeholder:"ORG"`
	FirstParty bool     `help:"Part of the product itself: people are not asked for consent."`
	Redirect   []string `name:"redirect-uri" help:"A redirect URI; repeat for more." placeholder:"URI"`
	After      []string `name:"post-logout-redirect-uri" help:"Where people may be sent after they signed out." placeholder:"URI"`
	Scope      []string `help:"A scope that the client may ask for; default openid, profile, email." placeholder:"SCOPE"`
	Audience   string   `help:"The aud of its access tokens." placeholder:"URI"`
}

// registered is a client with its secret.
type registered struct {
	*provider.Client
	Secret string `json:"client_secret,omitempty"`
}

func (o *operation) registered(v *provider.Client, secret string) error {
	if secret == "" {
		return o.say(registered{Client: v}, "client_id      %s", v.ID)
	}
	return o.say(registered{v, secret}, "client_id      %s\nclient_secret  %s\n\nThe secret is not shown again.", v.ID, secret)
}

func (c *clientAddCommand) operate(ctx context.Context, o *operation) error {
	org, err := o.org(ctx, c.Org)
	if err != nil {
		return err
	}
	in := provider.ClientInput{Name: c.Name, Type: provider.ClientType(c.Type), Org: org, FirstParty: c.FirstParty,
		RedirectURIs: c.Redirect, PostLogoutRedirectURIs: c.After, Scopes: c.Scope, Audience: c.Audience}
	if in.Type == provider.ClientService {
		in.GrantTypes = []string{"client_credentials"}
	} else {
		in.GrantTypes = []string{"authorization_code", "refresh_token"}
		if len(in.Scopes) == 0 {
			in.Scopes = []string{"openid", "profile", "email"}
		}
	}
	v, secret, err := o.app.Provider.AddClient(ctx, o.who, in)
	if err != nil {
		return err
	}
	return o.registered(v, secret)
}

type namedClient struct {
	place
	Client string `arg:"" help:"Identifier of the client."`
}

func (c *namedClient) find() (id.Client, error) {
	v, err := id.ParseClient(c.Client)
	if err != nil {
		return v, fmt.Errorf("%q is no identifier of a client", c.Client)
	}
	return v, nil
}

type clientRotateCommand struct {
	namedClient
	Overlap time.Duration `default:"24h" help:"How long the former secret still works."`
}

func (c *clientRotateCommand) operate(ctx context.Context, o *operation) error {
	client, err := c.find()
	if err != nil {
		return err
	}
	v, secret, err := o.app.Provider.RotateClientSecret(ctx, o.who, client, c.Overlap)
	if err != nil {
		return named(err, "client", c.Client)
	}
	return o.registered(v, secret)
}

type clientDisableCommand struct{ namedClient }

func (c *clientDisableCommand) operate(ctx context.Context, o *operation) error {
	client, err := c.find()
	if err != nil {
		return err
	}
	v, err := o.app.Provider.DisableClient(ctx, o.who, client)
	if err != nil {
		return named(err, "client", c.Client)
	}
	return o.say(v, "%s is %s.", v.ID, v.State)
}

type clientEnableCommand struct{ namedClient }

func (c *clientEnableCommand) operate(ctx context.Context, o *operation) error {
	client, err := c.find()
	if err != nil {
		return err
	}
	v, err := o.app.Provider.EnableClient(ctx, o.who, client)
	if err != nil {
		return named(err, "client", c.Client)
	}
	return o.say(v, "%s is %s.", v.ID, v.State)
}
