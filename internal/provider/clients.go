package provider

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/provider/jwt"
	"github.com/rempart/rempart/internal/store"
)

// scopeClients is whose transaction an act on clients is.
var scopeClients = store.Staff("provider.clients")

// Clients lists the clients that are not removed, in the order of creation.
func (s *Service) Clients(ctx context.Context) ([]*Client, error) {
	m, err := s.memory(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]*Client, 0, len(m.clients))
	for _, c := range m.clients {
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b *Client) int { return strings.Compare(a.ID.String(), b.ID.String()) })
	return out, nil
}

// Client finds a client that is not removed.
func (s *Service) Client(ctx context.Context, client id.Client) (*Client, error) {
	m, err := s.memory(ctx)
	if err != nil {
		return nil, err
	}
	if c := m.client(client.String()); c != nil {
		return c, nil
	}
	return nil, fault.ErrNotFound
}

// AddClient registers a client. A confidential one gets a secret, which is
// told this once.
func (s *Service) AddClient(ctx context.Context, who caller.Caller, in ClientInput) (*Client, string, error) {
	if err := in.complete(); err != nil {
		return nil, "", err
	}
	if in.SigningAlg == jwt.RS256 {
		if err := s.needKey(ctx, in.SigningAlg); err != nil {
			return nil, "", err
		}
	}
	pen, err := s.Audit.Pen(ctx, who, in.Org)
	if err != nil {
		return nil, "", err
	}
	now := s.Now()
	c := &Client{ID: id.NewClient(now), Type: in.Type, State: ClientActive, Org: in.Org, Revision: 1, CreatedAt: now, ChangedAt: now}
	changes := c.apply(in)
	var secret string
	if c.Confidential() {
		secret = c.addSecret(now, 0)
	}
	redirects, logouts, grants, scopes, secrets, err := c.row()
	if err != nil {
		return nil, "", err
	}
	err = s.Store.Update(ctx, scopeClients, func(tx *store.Tx) error {
		_, err := tx.Exec(insertClient, c.ID, c.Org, c.Name, string(c.Type), string(c.State), c.FirstParty, redirects, logouts, grants, scopes,
			c.Audience, c.Resource, c.SigningAlg, secrets, store.Micros(now), store.Micros(now), c.Revision)
		if err != nil {
			return err
		}
		return pen.Record(tx, audit.Entry{Kind: EventClientAdded, Target: c.target(), Changes: auditChanges(changes), Facts: map[string]any{"type": string(c.Type)}})
	})
	if errors.Is(err, store.ErrReference) {
		return nil, "", fault.New(fault.Invalid, "provider.client.invalid", nil).At("/org_id", "provider.client.org.unknown")
	}
	if err != nil {
		return nil, "", fmt.Errorf("provider: add client: %w", err)
	}
	return c, secret, s.poll(ctx)
}

func (c *Client) target() audit.Target { return audit.Target{Kind: "client", ID: c.ID.String()} }

func auditChanges(in []change) []audit.Change {
	out := make([]audit.Change, len(in))
	for i, c := range in {
		out[i] = audit.Change{Field: c.field, Before: c.before, After: c.after}
	}
	return out
}

// addSecret makes a secret; those in force end after the overlap.
func (c *Client) addSecret(now time.Time, overlap time.Duration) string {
	secret := id.NewSecret(kindClient)
	end := now.Add(overlap)
	var keep []clientSecret
	for _, s := range c.hashes {
		if s.until.IsZero() || s.until.After(end) {
			s.until = end
		}
		if s.until.After(now) {
			keep = append(keep, s)
		}
	}
	if len(keep) >= secretsMax {
		keep = keep[len(keep)-secretsMax+1:]
	}
	next := clientSecret{createdAt: now}
	copy(next.hash[:], id.HashSecret(secret))
	c.hashes = append(keep, next)
	c.Secrets = nil
	for _, s := range c.hashes {
		c.Secrets = append(c.Secrets, SecretRef{CreatedAt: s.createdAt, ExpiresAt: s.until})
	}
	return secret
}

// change runs one act on a client: edit alters the copy it gets and names the
// event. match is the entity tag that must hold, "" for none.
func (s *Service) change(ctx context.Context, who caller.Caller, client id.Client, match string, edit func(c *Client) (kind string, changes []change, err error)) (*Client, error) {
	known, err := s.Client(ctx, client)
	if err != nil {
		return nil, err
	}
	pen, err := s.Audit.Pen(ctx, who, known.Org)
	if err != nil {
		return nil, err
	}
	now := s.Now()
	var out *Client
	err = s.Store.Update(ctx, scopeClients, func(tx *store.Tx) error {
		c, err := scanClient(tx.Row(selectClient, client))
		if errors.Is(err, store.ErrNone) {
			return fault.ErrNotFound
		}
		if err != nil {
			return err
		}
		if match != "" && match != c.ETag() {
			return fault.New(fault.Precondition, "web.error.precondition", nil)
		}
		kind, changes, err := edit(c)
		if err != nil {
			return err
		}
		redirects, logouts, grants, scopes, secrets, err := c.row()
		if err != nil {
			return err
		}
		n, err := tx.Exec(updateClient, c.ID, c.Name, string(c.State), c.FirstParty, redirects, logouts, grants, scopes,
			c.Audience, c.Resource, c.SigningAlg, secrets, store.Micros(now), c.Revision)
		if err != nil {
			return err
		}
		if n != 1 {
			return fault.New(fault.Conflict, "web.error.conflict", nil)
		}
		if c.State == ClientRemoved {
			if _, err := tx.Exec(endClient, c.ID, "client_removed", store.Micros(now)); err != nil {
				return err
			}
		}
		c.Revision++
		c.ChangedAt, out = now, c
		return pen.Record(tx, audit.Entry{Kind: kind, Target: c.target(), Changes: auditChanges(changes)})
	})
	if err != nil {
		return nil, fmt.Errorf("provider: change client: %w", err)
	}
	return out, s.poll(ctx)
}

// ChangeClient replaces what may be said of a client. Type and owner stay.
func (s *Service) ChangeClient(ctx context.Context, who caller.Caller, client id.Client, match string, in ClientInput) (*Client, error) {
	have, err := s.Client(ctx, client)
	if err != nil {
		return nil, err
	}
	if in.Type == "" {
		in.Type = have.Type
	}
	if in.Type != have.Type {
		return nil, fault.New(fault.Invalid, "provider.client.invalid", nil).At("/type", "provider.client.type.fixed")
	}
	if err := in.complete(); err != nil {
		return nil, err
	}
	if in.SigningAlg == jwt.RS256 {
		if err := s.needKey(ctx, in.SigningAlg); err != nil {
			return nil, err
		}
	}
	return s.change(ctx, who, client, match, func(c *Client) (string, []change, error) {
		return EventClientChanged, c.apply(in), nil
	})
}

// needKey makes the signing keys of the algorithm where there are none.
func (s *Service) needKey(ctx context.Context, alg string) error {
	m, err := s.memory(ctx)
	if err != nil || m.signing[alg] != nil {
		return err
	}
	return s.makeKeys(ctx, systemCaller, alg)
}

// RotateClientSecret gives the client a new secret, told this once; those
// before it work on for the overlap, so that a running application has time to
// learn it.
func (s *Service) RotateClientSecret(ctx context.Context, who caller.Caller, client id.Client, overlap time.Duration) (*Client, string, error) {
	if overlap < 0 || overlap > secretOverlapMax {
		return nil, "", fault.New(fault.Invalid, "provider.client.invalid", nil).At("/overlap_seconds", "provider.client.secret.overlap")
	}
	var secret string
	now := s.Now()
	c, err := s.change(ctx, who, client, "", func(c *Client) (string, []change, error) {
		if !c.Confidential() {
			return "", nil, fault.New(fault.Conflict, "provider.client.secret.public", nil)
		}
		secret = c.addSecret(now, overlap)
		return EventClientSecretRotated, []change{{"overlap_seconds", nil, int64(overlap / time.Second)}}, nil
	})
	return c, secret, err
}

// DisableClient stops a client, tokens and all, until EnableClient.
func (s *Service) DisableClient(ctx context.Context, who caller.Caller, client id.Client) (*Client, error) {
	return s.setState(ctx, who, client, ClientDisabled, EventClientDisabled)
}

// EnableClient lets a disabled client act again.
func (s *Service) EnableClient(ctx context.Context, who caller.Caller, client id.Client) (*Client, error) {
	return s.setState(ctx, who, client, ClientActive, EventClientEnabled)
}

// RemoveClient ends a client and every grant of it, for ever.
func (s *Service) RemoveClient(ctx context.Context, who caller.Caller, client id.Client) error {
	_, err := s.setState(ctx, who, client, ClientRemoved, EventClientRemoved)
	return err
}

func (s *Service) setState(ctx context.Context, who caller.Caller, client id.Client, state ClientState, kind string) (*Client, error) {
	return s.change(ctx, who, client, "", func(c *Client) (string, []change, error) {
		before := c.State
		c.State = state
		if state == ClientRemoved {
			c.hashes = nil
		}
		return kind, []change{{"state", string(before), string(state)}}, nil
	})
}
