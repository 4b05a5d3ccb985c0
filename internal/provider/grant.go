package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/store"
)

func (s *Service) findGrant(ctx context.Context, st *store.Stmt, key any) (g *grant, err error) {
	err = s.Store.View(ctx, store.Lookup(), func(tx *store.Tx) error {
		g, err = scanGrant(tx.Row(st, key))
		return err
	})
	if err != nil && !errors.Is(err, store.ErrNone) {
		return nil, fmt.Errorf("provider: find grant: %w", err)
	}
	return g, err
}

// grantNew stores a grant and gives its code. The person has signed in, has
// consented where that is asked, and acts in org (zero: in none).
func (s *Service) grantNew(ctx context.Context, who caller.Caller, a *authorization, org id.Org) (string, error) {
	now := s.Now()
	code := id.NewSecret(kindCode)
	methods, err := json.Marshal(who.Methods)
	if err != nil {
		return "", fmt.Errorf("provider: methods: %w", err)
	}
	who.Client = a.client.ID
	pen, err := s.Audit.Pen(ctx, who, org)
	if err != nil {
		return "", err
	}
	g := id.NewGrant(now)
	scope := strings.Join(a.scopes, " ")
	offline := slices.Contains(a.scopes, scopeOffline)
	err = s.Store.Update(ctx, store.User(who.User), func(tx *store.Tx) error {
		_, err := tx.Exec(insertGrant, g, a.client.ID, org, who.Session, scope, offline, string(methods), store.Micros(who.AuthTime),
			id.HashSecret(code), store.Micros(now.Add(codeLife)), a.redirectURI, a.challenge, a.nonce, store.Micros(now))
		if err != nil {
			return err
		}
		return pen.Record(tx, audit.Entry{Kind: EventCodeIssued, Target: audit.Target{Kind: "grant", ID: g.String()},
			Facts: map[string]any{"client": a.client.ID.String(), "scope": scope, "amr": caller.AMR(who.Methods)}})
	})
	if err != nil {
		return "", fmt.Errorf("provider: store grant: %w", err)
	}
	return code, nil
}

// reused ends a grant whose code or refresh token was presented twice: one of
// the two presenters is not the client, and nobody can tell which.
func (s *Service) reused(ctx context.Context, who caller.Caller, g *grant, kind string, e *protocolError) error {
	if err := s.end(ctx, who, g, kind, "reused"); err != nil {
		return err
	}
	return e
}

// end ends one grant, with an entry of the kind, whether or not it was ended before.
func (s *Service) end(ctx context.Context, who caller.Caller, g *grant, kind, reason string) error {
	pen, err := s.Audit.Pen(ctx, who, g.org, g.user)
	if err != nil {
		return err
	}
	outcome := audit.Success
	if reason == "reused" {
		outcome = audit.Denied
	}
	now := s.Now()
	err = s.Store.Update(ctx, store.Lookup(), func(tx *store.Tx) error {
		n, err := tx.Exec(endGrant, g.id, reason, store.Micros(now))
		if err != nil {
			return err
		}
		return pen.Record(tx, audit.Entry{Kind: kind, Target: audit.Target{Kind: "grant", ID: g.id.String()}, Person: g.user, Outcome: outcome, Code: reason,
			Facts: map[string]any{"client": g.client.String(), "ended": n > 0}})
	})
	if err != nil {
		return fmt.Errorf("provider: end grant: %w", err)
	}
	s.live.end(now, map[id.Grant]time.Time{g.id: now})
	return nil
}

// endClientToken ends a token of client_credentials, whose grant has no row.
func (s *Service) endClientToken(ctx context.Context, who caller.Caller, c *accessClaims, client *Client) error {
	pen, err := s.Audit.Pen(ctx, who, c.Org)
	if err != nil {
		return err
	}
	now := s.Now()
	err = s.Store.Update(ctx, store.Lookup(), func(tx *store.Tx) error {
		if _, err := tx.Exec(insertTombstone, c.Grant, client.ID, "revoked", store.Micros(now), false); err != nil {
			return err
		}
		return pen.Record(tx, audit.Entry{Kind: EventGrantEnded, Target: audit.Target{Kind: "grant", ID: c.Grant.String()}, Code: "revoked"})
	})
	if err != nil {
		return fmt.Errorf("provider: end token: %w", err)
	}
	s.live.end(now, map[id.Grant]time.Time{c.Grant: now})
	return nil
}

// EndSessionsTx ends the grants that hang on the user's sessions, in the
// transaction that ends these; its scope is the user's. Grants for offline
// access stay. It fills session.Service.OnEnd; the entry is the caller's.
func (s *Service) EndSessionsTx(tx *store.Tx, user id.User, sessions []id.Session) error {
	for _, ses := range sessions {
		if _, err := tx.Exec(endSession, ses, "session", store.Micros(s.Now()), false); err != nil {
			return fmt.Errorf("provider: end grants of session: %w", err)
		}
	}
	return nil
}

// EndDisabledTx ends every grant of a user who was disabled, those for offline
// access too, in the transaction that disables her; its scope is the system's.
func (s *Service) EndDisabledTx(tx *store.Tx, user id.User) error {
	if _, err := tx.Exec(endDisabled, user, "disabled", store.Micros(s.Now())); err != nil {
		return fmt.Errorf("provider: end grants of a disabled user: %w", err)
	}
	return nil
}

// Application is a client that may act for a person, as she sees it.
type Application struct {
	Client     id.Client `json:"client_id"`
	Name       string    `json:"name"`
	FirstParty bool      `json:"first_party"`
	Scopes     []string  `json:"scopes"`
	GivenAt    time.Time `json:"given_at,omitzero" doc:"When she consented; absent where nobody was asked."`
	UsedAt     time.Time `json:"last_used_at,omitzero"`
	Live       int       `json:"live_grants"`
}

// Applications lists the clients that hold a consent or a live grant of who.
func (s *Service) Applications(ctx context.Context, who caller.Caller) ([]Application, error) {
	m, err := s.memory(ctx)
	if err != nil {
		return nil, err
	}
	out := []Application{}
	find := func(c id.Client) *Application {
		for i := range out {
			if out[i].Client == c {
				return &out[i]
			}
		}
		a := Application{Client: c, Scopes: []string{}}
		if known := m.client(c.String()); known != nil {
			a.Name, a.FirstParty = known.Name, known.FirstParty
		}
		out = append(out, a)
		return &out[len(out)-1]
	}
	merge := func(a *Application, scopes string) {
		for _, sc := range strings.Fields(scopes) {
			if !slices.Contains(a.Scopes, sc) {
				a.Scopes = append(a.Scopes, sc)
			}
		}
	}
	err = s.Store.View(ctx, store.User(who.User), func(tx *store.Tx) error {
		rows := tx.Query(selectConsents)
		for rows.Next() {
			var c id.Client
			var scopes string
			var at int64
			if err := rows.Scan(&c, &scopes, &at); err != nil {
				return errors.Join(err, rows.Close())
			}
			a := find(c)
			a.GivenAt = store.Time(at)
			merge(a, scopes)
		}
		if err := rows.Close(); err != nil {
			return err
		}
		rows = tx.Query(userGrants, store.Micros(s.Now()))
		for rows.Next() {
			var c id.Client
			var scopes string
			var created, used int64
			if err := rows.Scan(&c, &scopes, &created, &used); err != nil {
				return errors.Join(err, rows.Close())
			}
			a := find(c)
			merge(a, scopes)
			if at := store.Time(max(created, used)); at.After(a.UsedAt) {
				a.UsedAt = at
			}
			a.Live++
		}
		return rows.Close()
	})
	if err != nil {
		return nil, fmt.Errorf("provider: list applications: %w", err)
	}
	return out, nil
}

// RemoveApplication takes back what who granted the client: the consent and
// every grant, tokens and all.
func (s *Service) RemoveApplication(ctx context.Context, who caller.Caller, client id.Client) error {
	pen, err := s.Audit.Pen(ctx, who, id.Org{})
	if err != nil {
		return err
	}
	now := s.Now()
	ended := map[id.Grant]time.Time{}
	err = s.Store.Update(ctx, store.User(who.User), func(tx *store.Tx) error {
		clear(ended)
		n, err := tx.Exec(deleteConsent, client)
		if err != nil {
			return err
		}
		grants, err := store.All(tx, func(r *store.Rows) (g id.Grant, err error) { return g, r.Scan(&g) }, endUserGrants, client, "withdrawn", store.Micros(now))
		if err != nil {
			return err
		}
		if n == 0 && len(grants) == 0 {
			return fault.ErrNotFound
		}
		for _, g := range grants {
			ended[g] = now
		}
		return pen.Record(tx, audit.Entry{Kind: EventConsentWithdrawn, Target: audit.Target{Kind: "client", ID: client.String()}, Facts: map[string]any{"grants": len(grants)}})
	})
	if err != nil {
		return fmt.Errorf("provider: remove application: %w", err)
	}
	s.live.end(now, ended)
	return nil
}

// consented reports whether the person has let the client have the scopes.
func (s *Service) consented(ctx context.Context, who caller.Caller, client id.Client, scopes []string) (bool, error) {
	var have string
	err := s.Store.View(ctx, store.User(who.User), func(tx *store.Tx) error {
		return tx.Row(selectConsent, client).Scan(&have)
	})
	if errors.Is(err, store.ErrNone) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("provider: find consent: %w", err)
	}
	given := strings.Fields(have)
	return !slices.ContainsFunc(scopes, func(sc string) bool { return !slices.Contains(given, sc) }), nil
}

// consent remembers that the person let the client have the scopes.
func (s *Service) consent(ctx context.Context, who caller.Caller, a *authorization) error {
	pen, err := s.Audit.Pen(ctx, who, id.Org{})
	if err != nil {
		return err
	}
	now := s.Now()
	err = s.Store.Update(ctx, store.User(who.User), func(tx *store.Tx) error {
		var have string
		if err := tx.Row(selectConsent, a.client.ID).Scan(&have); err != nil && !errors.Is(err, store.ErrNone) {
			return err
		}
		scopes := strings.Fields(have)
		for _, sc := range a.scopes {
			if !slices.Contains(scopes, sc) {
				scopes = append(scopes, sc)
			}
		}
		if _, err := tx.Exec(putConsent, id.NewGrant(now), a.client.ID, strings.Join(scopes, " "), store.Micros(now)); err != nil {
			return err
		}
		return pen.Record(tx, audit.Entry{Kind: EventConsentGiven, Target: audit.Target{Kind: "client", ID: a.client.ID.String()}, Facts: map[string]any{"scope": strings.Join(a.scopes, " ")}})
	})
	if err != nil {
		return fmt.Errorf("provider: store consent: %w", err)
	}
	return nil
}
