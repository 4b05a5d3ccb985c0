package demo

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rempart/rempart/internal/access"
	"github.com/rempart/rempart/internal/apikey"
	"github.com/rempart/rempart/internal/app"
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/credential"
	"github.com/rempart/rempart/internal/directory"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/keyring"
	"github.com/rempart/rempart/internal/provider"
	"github.com/rempart/rempart/internal/store"
)

// seedPerson is somebody of the demo.
type seedPerson struct {
	name, email, locale, role string
	totp                      bool
}

// seedOrg is one of the two customers.
type seedOrg struct {
	name, slug string
	owner      seedPerson
	members    []seedPerson // administrator, member with TOTP, plain member: in this order
	workspaces [][2]string  // name, slug
}

var customers = []seedOrg{
	{
		name: "Acme", slug: "acme",
		owner: seedPerson{"Olivia Hart", "olivia@acme.example", "en", access.RoleOwner, false},
		members: []seedPerson{
			{"Adrien Caron", "adrien@acme.example", "fr", access.RoleAdmin, false},
			{"Tess de Vries", "tess@acme.example", "nl", access.RoleMember, true},
			{"Paul Martin", "paul@acme.example", "fr", access.RoleMember, false},
		},
		workspaces: [][2]string{{"Marketing", "marketing"}, {"Finance", "finance"}},
	},
	{
		name: "Globex", slug: "globex",
		owner: seedPerson{"Gita Rao", "gita@globex.example", "en", access.RoleOwner, false},
		members: []seedPerson{
			{"Anke Visser", "anke@globex.example", "nl", access.RoleAdmin, false},
			{"Théo Laurent", "theo@globex.example", "fr", access.RoleMember, true},
			{"Mia Jansen", "mia@globex.example", "nl", access.RoleMember, false},
		},
		workspaces: [][2]string{{"Research", "research"}},
	},
}

const staffEmail = "sam@rempart.example"

// seed fills a fresh place: people, organizations, keys, clients.
func (d *demo) seed(ctx context.Context) error {
	c := &d.m.Contract
	for _, o := range customers {
		made, err := d.seedOrg(ctx, o)
		if err != nil {
			return fmt.Errorf("seed %s: %w", o.slug, err)
		}
		c.Organizations = append(c.Organizations, made)
	}
	if err := d.seedStaff(ctx); err != nil {
		return fmt.Errorf("seed staff: %w", err)
	}
	if err := d.seedClients(ctx); err != nil {
		return fmt.Errorf("seed clients: %w", err)
	}
	if d.o.Profile != "" {
		if err := d.app.Register.UseProfile(ctx, seeder, d.o.Profile); err != nil {
			return fmt.Errorf("seed profile %s: %w", d.o.Profile, err)
		}
	}
	if d.o.Users > 0 {
		c.LoadPassword = app.NewPassword()
		org, err := id.ParseOrg(c.Organizations[0].ID)
		if err != nil {
			return err
		}
		if err := d.seedCrowd(ctx, org, d.o.Users, c.LoadPassword); err != nil {
			return fmt.Errorf("seed %d users: %w", d.o.Users, err)
		}
	}
	return nil
}

// person makes a user with a password and, if she has one, a TOTP authenticator.
func (d *demo) person(ctx context.Context, p seedPerson) (id.User, Person, error) {
	password := app.NewPassword()
	hashed, err := d.app.Credential.Prehash(ctx, password)
	if err != nil {
		return id.User{}, Person{}, err
	}
	u, err := d.app.Directory.AddUser(ctx, seeder, directory.NewUser{Email: p.email, Verified: true, Profile: directory.Profile{Name: p.name, Locale: p.locale, Zone: "Europe/Paris"}})
	if err != nil {
		return id.User{}, Person{}, err
	}
	out := Person{ID: u.ID.String(), Email: p.email, Password: password}
	if err := d.app.SetPassword(ctx, seeder, u.ID, hashed); err != nil {
		return u.ID, out, err
	}
	if p.totp {
		out.TOTPSecret, err = d.app.SetTOTP(ctx, seeder, u.ID, "Phone")
	}
	return u.ID, out, err
}

func (d *demo) seedOrg(ctx context.Context, o seedOrg) (Organization, error) {
	owner, person, err := d.person(ctx, o.owner)
	if err != nil {
		return Organization{}, err
	}
	org, _, err := d.app.Directory.AddOrg(ctx, seeder, directory.NewOrg{Name: o.name, Slug: o.slug, Owner: owner})
	if err != nil {
		return Organization{}, err
	}
	out := Organization{ID: org.ID.String(), Slug: org.Slug, Name: org.Name, Owner: person}
	for _, m := range o.members {
		u, person, err := d.person(ctx, m)
		if err != nil {
			return out, err
		}
		if _, err := d.app.Directory.AddMember(ctx, seeder, org.ID, u, []access.Grant{{Role: m.role}}); err != nil {
			return out, err
		}
		person.Roles = []string{m.role}
		out.Members = append(out.Members, person)
	}
	for _, w := range o.workspaces {
		ws, err := d.app.Directory.AddWorkspace(ctx, seeder, org.ID, w[0], w[1])
		if err != nil {
			return out, err
		}
		out.Workspaces = append(out.Workspaces, Workspace{ws.ID.String(), ws.Slug})
	}
	k, secret, err := d.app.APIKeys.Issue(ctx, seeder, apikey.Key{Org: org.ID, Name: "Demo administrator", Permissions: d.app.Access.Catalogue.Of(access.RoleOwner), NoStepUp: true})
	out.AdminKey = Key{k.ID.String(), secret}
	return out, err
}

func (d *demo) seedStaff(ctx context.Context) error {
	u, p, err := d.person(ctx, seedPerson{"Sam Okafor", staffEmail, "en", "", true})
	if err != nil {
		return err
	}
	if err := d.app.Directory.AddStaff(ctx, seeder, u, access.RoleStaffAdmin); err != nil {
		return err
	}
	var staff []string
	for _, p := range d.app.Access.Catalogue.Permissions() {
		if p.Level == capability.LevelStaff {
			staff = append(staff, p.Name)
		}
	}
	_, secret, err := d.app.APIKeys.Issue(ctx, seeder, apikey.Key{Name: "Demo staff", Permissions: staff, NoStepUp: true})
	d.m.Contract.Staff = Staff{Email: p.Email, Password: p.Password, TOTPSecret: p.TOTPSecret, APIKey: secret}
	return err
}

// clientSeeds are the clients of the contract, in its order.
func (d *demo) clientSeeds() []provider.ClientInput {
	code := []string{"authorization_code", "refresh_token"}
	scopes := []string{"openid", "profile", "email", "offline_access"}
	web := func(name string, t provider.ClientType, redirects, after []string) provider.ClientInput {
		return provider.ClientInput{Name: name, Type: t, FirstParty: true, GrantTypes: code, Scopes: scopes,
			RedirectURIs: redirects, PostLogoutRedirectURIs: after}
	}
	return []provider.ClientInput{
		web("web", provider.ClientWeb, []string{d.side + "/callback"}, []string{d.side + "/"}),
		web("web-2", provider.ClientWeb, []string{d.side + "/callback-2"}, []string{d.side + "/"}),
		web("spa", provider.ClientSPA, []string{d.side + "/spa/callback"}, []string{d.side + "/spa/"}),
		{Name: "service", Type: provider.ClientService, FirstParty: true, GrantTypes: []string{"client_credentials"}},
	}
}

func (d *demo) seedClients(ctx context.Context) error {
	for i, in := range d.clientSeeds() {
		if i < 3 {
			in.RedirectURIs = append(in.RedirectURIs, d.o.RedirectURIs...)
		}
		c, secret, err := d.app.Provider.AddClient(ctx, seeder, in)
		if err != nil {
			return fmt.Errorf("%s: %w", in.Name, err)
		}
		d.m.Contract.Clients = append(d.m.Contract.Clients, d.client(c, secret))
	}
	return nil
}

func (d *demo) client(c *provider.Client, secret string) Client {
	return Client{Name: c.Name, ClientID: c.ID.String(), ClientSecret: secret, RedirectURIs: nonNil(c.RedirectURIs),
		PostLogoutRedirectURIs: nonNil(c.PostLogoutRedirectURIs), GrantTypes: c.GrantTypes}
}

// follow has the clients' addresses follow this start's ports, and adds the
// redirect URIs of this start's flags. Nothing else changes.
func (d *demo) follow(ctx context.Context) error {
	before := d.m.Contract.RelyingParty.URL
	for i, have := range d.m.Contract.Clients {
		cid, err := id.ParseClient(have.ClientID)
		if err != nil {
			return err
		}
		c, err := d.app.Provider.Client(ctx, cid)
		if err != nil {
			return err
		}
		move := func(list []string) (out []string) {
			for _, u := range list {
				if rest, ok := strings.CutPrefix(u, before+"/"); ok && before != "" {
					u = d.side + "/" + rest
				}
				out = append(out, u)
			}
			return out
		}
		redirects, after := move(c.RedirectURIs), move(c.PostLogoutRedirectURIs)
		if i < 3 {
			for _, u := range d.o.RedirectURIs {
				if !slices.Contains(redirects, u) {
					redirects = append(redirects, u)
				}
			}
		}
		if !slices.Equal(redirects, c.RedirectURIs) || !slices.Equal(after, c.PostLogoutRedirectURIs) {
			in := provider.ClientInput{Name: c.Name, Type: c.Type, FirstParty: c.FirstParty, GrantTypes: c.GrantTypes, Scopes: c.Scopes,
				RedirectURIs: redirects, PostLogoutRedirectURIs: after, Audience: c.Audience, Resource: c.Resource, SigningAlg: c.SigningAlg}
			if c, err = d.app.Provider.ChangeClient(ctx, seeder, cid, c.ETag(), in); err != nil {
				return fmt.Errorf("client %s: %w", have.Name, err)
			}
		}
		d.m.Contract.Clients[i] = d.client(c, have.ClientSecret)
	}
	return nil
}

// seedCrowd adds load-0 to load-(n-1), with one password hashed once.
func (d *demo) seedCrowd(ctx context.Context, org id.Org, n int, password string) error {
	hashed, err := d.app.Credential.Prehash(ctx, password)
	if err != nil {
		return err
	}
	// Keys are made and acknowledged a hundred users at a time; closures that
	// wait together are committed together.
	const chunk, workers = 100, 50
	for first := 0; first < n && ctx.Err() == nil; first += chunk {
		ids := make([]id.User, min(chunk, n-first))
		var owners []keyring.Owner
		for i := range ids {
			ids[i] = id.NewUser(d.app.Now())
			owners = append(owners, keyring.Person(ids[i]), keyring.Member(org, ids[i]))
		}
		if err := d.app.Keys.Warm(ctx, owners); err != nil {
			return err
		}
		var wg sync.WaitGroup
		errs := make(chan error, workers)
		for w := range workers {
			wg.Go(func() {
				for i := w; i < len(ids); i += workers {
					if err := d.seedLoad(ctx, org, ids[i], first+i, hashed); err != nil {
						errs <- err
						return
					}
				}
			})
		}
		wg.Wait()
		close(errs)
		if err := <-errs; err != nil {
			return err
		}
	}
	return ctx.Err()
}

// seedLoad adds one user of the load test.
func (d *demo) seedLoad(ctx context.Context, org id.Org, user id.User, n int, hashed credential.Prehashed) error {
	_, err := d.app.Directory.AddUser(ctx, seeder, directory.NewUser{ID: user, Email: fmt.Sprintf("load-%d@acme.example", n), Verified: true,
		Profile: directory.Profile{Name: fmt.Sprintf("Load %d", n), Locale: "en"}})
	if err != nil {
		return err
	}
	if err := d.app.SetPassword(ctx, seeder, user, hashed); err != nil {
		return err
	}
	_, err = d.app.Directory.AddMember(ctx, seeder, org, user, []access.Grant{{Role: access.RoleMember}})
	return err
}

// databases makes the databases of a PostgreSQL demo at its first start.
func (d *demo) databases(ctx context.Context, seeded bool) error {
	if d.o.Database == "" || (seeded && d.m.Main.URL != "") {
		return nil
	}
	if d.o.KeysDatabase == "" {
		return fmt.Errorf("give --keys-database too: keys are kept apart, for a demo on the same cluster if need be")
	}
	make := func(admin, name string) (database, error) {
		c, err := store.Provision(ctx, admin, name, 0)
		return database{c.URL, c.SystemURL, c.OwnerURL}, err
	}
	mark := strings.ToLower(id.NewOrg(time.Now()).String()[20:])
	var err error
	if d.m.Main, err = make(d.o.Database, "rempart_demo_"+mark); err != nil {
		return err
	}
	d.m.Keys, err = make(d.o.KeysDatabase, "rempart_demo_keys_"+mark)
	return err
}
