package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/rempart/rempart/internal/access"
	"github.com/rempart/rempart/internal/apikey"
	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/directory"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/keyring"
	"github.com/rempart/rempart/internal/store"
	"github.com/rempart/rempart/internal/trust"
)

// EventCanary is the entry of the canaries that were made.
const EventCanary = "app.canary.made"

const labelCanary = "app.canary.credentials"

// canaries keeps what the controls act with: two organizations that are in no
// count, list or export, their people and keys. The credentials are sealed
// under the installation's key in one row.
type canaries struct {
	mu   sync.Mutex
	have *capability.Canary
}

// Canary gives the canaries, and makes them at the first need.
func (a *App) Canary(ctx context.Context) (capability.Canary, error) {
	a.canaries.mu.Lock()
	defer a.canaries.mu.Unlock()
	if a.canaries.have != nil {
		return *a.canaries.have, nil
	}
	ring, err := a.Keys.Ready(ctx, keyring.Installation())
	if err != nil {
		return capability.Canary{}, err
	}
	var sealed []byte
	err = a.Store.Main.View(ctx, store.System("app.canary"), func(tx *store.Tx) error {
		return tx.Row(selectCanary).Scan(&sealed)
	})
	var c capability.Canary
	switch {
	case errors.Is(err, store.ErrNone):
		if c, err = a.makeCanaries(ctx); err != nil {
			return c, fmt.Errorf("app: make canaries: %w", err)
		}
	case err != nil:
		return c, err
	default:
		plain, err := ring.Open(keyring.Installation(), labelCanary, "1", sealed)
		if err != nil {
			return c, fmt.Errorf("app: open canaries: %w", err)
		}
		if err := json.Unmarshal(plain, &c); err != nil {
			return c, fmt.Errorf("app: read canaries: %w", err)
		}
	}
	a.canaries.have = &c
	return c, nil
}

// makeCanaries makes both organizations. One that a crash cut short is left
// behind, empty, and never used.
func (a *App) makeCanaries(ctx context.Context) (c capability.Canary, err error) {
	who := caller.ForSystem("app.canary")
	mark := strings.ToLower(id.NewOrg(a.Now()).String()[14:])
	password := NewPassword()
	person := func(name string) (directory.NewUser, string) {
		email := name + "-" + mark + "@canary.invalid"
		return directory.NewUser{Email: email, Verified: true, Kind: directory.Canary, Profile: directory.Profile{Name: "Canary " + name, Locale: "en"}}, email
	}
	org := func(n string) (directory.Org, id.Workspace, string, error) {
		owner, _ := person("owner-" + n)
		o, _, err := a.Directory.AddOrg(ctx, who, directory.NewOrg{Name: "Canary " + n, Slug: "canary-" + n + "-" + mark, Kind: directory.Canary, Found: &owner})
		if err != nil {
			return o, id.Workspace{}, "", err
		}
		ws, err := a.Directory.AddWorkspace(ctx, who, o.ID, "Canary", "canary")
		if err != nil {
			return o, ws.ID, "", err
		}
		_, token, err := a.APIKeys.Issue(ctx, who, apikey.Key{Org: o.ID, Name: "canary", Permissions: a.Access.Catalogue.Of(access.RoleOwner), NoStepUp: true})
		return o, ws.ID, token, err
	}
	first, ws, token, err := org("a")
	if err != nil {
		return c, err
	}
	second, otherWs, otherToken, err := org("b")
	if err != nil {
		return c, err
	}
	add := func(name string, to id.Org) (id.User, string, error) {
		n, email := person(name)
		u, err := a.Directory.AddUser(ctx, who, n)
		if err != nil {
			return u.ID, email, err
		}
		hashed, err := a.Credential.Prehash(ctx, password) // each with a salt of its own
		if err != nil {
			return u.ID, email, err
		}
		if err := a.SetPassword(ctx, who, u.ID, hashed); err != nil {
			return u.ID, email, err
		}
		_, err = a.Directory.AddMember(ctx, who, to, u.ID, []access.Grant{{Role: access.RoleMember}})
		return u.ID, email, err
	}
	member, memberEmail, err := add("member", first.ID)
	if err != nil {
		return c, err
	}
	plain, plainEmail, err := add("plain", first.ID)
	if err != nil {
		return c, err
	}
	other, _, err := add("other", second.ID)
	if err != nil {
		return c, err
	}
	secret, err := a.SetTOTP(ctx, who, member, "canary")
	if err != nil {
		return c, err
	}
	c = capability.Canary{
		OrgID: first.ID.String(), Slug: first.Slug, Token: token, WorkspaceID: ws.String(),
		OtherOrgID: second.ID.String(), OtherUserID: other.String(), OtherToken: otherToken, OtherWorkspID: otherWs.String(),
		MemberID: member.String(), MemberEmail: memberEmail, Password: password, TOTPSecret: secret,
		PlainID: plain.String(), PlainEmail: plainEmail, RedirectURI: "https://canary.invalid/callback",
	}
	if err := a.canaryClient(ctx, who, &c); err != nil {
		return c, err
	}
	pen, err := a.Audit.Pen(ctx, who, id.Org{})
	if err != nil {
		return c, err
	}
	text, err := json.Marshal(c)
	if err != nil {
		return c, err
	}
	sealed, err := pen.Seal(keyring.Installation(), labelCanary, "1", text)
	if err != nil {
		return c, err
	}
	return c, a.Store.Main.Update(ctx, store.System("app.canary"), func(tx *store.Tx) error {
		if _, err := tx.Exec(insertCanary, sealed); err != nil {
			return err
		}
		return pen.Record(tx, audit.Entry{Kind: EventCanary, Target: audit.Target{Kind: "organization", ID: c.OrgID}, Facts: map[string]any{"other": c.OtherOrgID}})
	})
}

// probe is how controls reach the product: through its own listener.
func (a *App) probe() trust.Probe {
	return trust.Probe{Now: a.Now(), Base: a.BaseURL.String(), Client: a.loopback, Canary: a.Canary}
}

// loopback is a client that reaches this node's own listener under the base
// URL's name, whatever DNS says, and follows no redirect.
func (a *App) loopback() *http.Client {
	return &http.Client{
		Timeout:       20 * time.Second,
		Transport:     a.transport(),
		Jar:           newJar(),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (a *App) transport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.Proxy = nil
	t.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if addr == hostPort(a.BaseURL) && a.LocalAddr != "" {
			addr = a.LocalAddr
		}
		return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, network, addr)
	}
	return t
}
