package setup

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"

	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/clock"
	"github.com/rempart/rempart/internal/console"
	"github.com/rempart/rempart/internal/credential"
	"github.com/rempart/rempart/internal/directory"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/keyring"
	"github.com/rempart/rempart/internal/provider"
	"github.com/rempart/rempart/internal/store"
)

// Service keeps the state of the installation and runs the wizard. Its fields
// are set once, before use. Find, Begin and NewLink need Store, Audit and Now;
// the wizard needs all.
type Service struct {
	Store      *store.DB // main
	Audit      *audit.Log
	Keys       *keyring.Service
	Directory  *directory.Service
	Credential *credential.Service
	Provider   *provider.Service
	Console    *console.Console
	Now        clock.Now

	// Client reaches our own listener at the base URL, from this machine, with
	// no cookies and without following redirects: the relying party of the test
	// sign-in.
	Client func() *http.Client

	// Proxies are the peers that may say that a request came to them over TLS.
	Proxies []netip.Prefix
}

// product is the name that pages and applications show.
func (s *Service) product() string {
	if s.Console != nil && s.Console.Product != "" {
		return s.Console.Product
	}
	return "Rempart"
}

// Find gives the state; the zero State where nothing has begun. It needs
// neither keys nor log, so that a start can be refused before they are opened.
func (s *Service) Find(ctx context.Context) (State, error) {
	var v State
	err := s.Store.View(ctx, store.System("setup.find"), func(tx *store.Tx) (err error) {
		v, err = readState(tx)
		return err
	})
	if err != nil {
		return State{}, fmt.Errorf("setup: read state: %w", err)
	}
	return v, nil
}

// Begin stamps a fresh place with its kind and issuer, and gives the state of
// one that has begun. The error is that of State.Check when the place may not
// start so. A demo whose port has changed is told its new issuer here. It
// comes after the log was opened, since what it changes is an entry.
func (s *Service) Begin(ctx context.Context, kind Stamp, issuer string) (State, error) {
	v, err := s.Find(ctx)
	if err != nil {
		return State{}, err
	}
	if err := v.Check(kind, issuer); err != nil {
		return State{}, err
	}
	if v.Issuer == issuer {
		return v, nil
	}
	pen, err := s.Audit.Pen(ctx, caller.ForSystem("setup"), id.Org{})
	if err != nil {
		return State{}, fmt.Errorf("setup: begin: %w", err)
	}
	var refused error
	err = s.Store.Update(ctx, store.System("setup.begin"), func(tx *store.Tx) error {
		// Another node may have been first: what it wrote is checked again.
		have, err := readState(tx)
		if err != nil {
			return err
		}
		if refused = have.Check(kind, issuer); refused != nil {
			return nil
		}
		v = have
		switch {
		case have.Issuer == issuer:
			return nil
		case !have.Begun():
			v = State{Stamp: kind, Issuer: issuer, Created: pen.At(), RestoreEpoch: 1}
			if _, err := tx.Exec(insertState, theOne, kind, issuer, store.Micros(v.Created), v.RestoreEpoch); err != nil {
				return err
			}
			return pen.Record(tx, audit.Entry{
				Kind: eventBegun, Target: audit.Target{Kind: "installation", ID: issuer},
				Facts: map[string]any{"stamp": kind, "issuer": issuer},
			})
		}
		v.Issuer = issuer
		if _, err := tx.Exec(moveIssuer, theOne, issuer); err != nil {
			return err
		}
		return pen.Record(tx, audit.Entry{
			Kind: eventMoved, Target: audit.Target{Kind: "installation", ID: issuer},
			Changes: []audit.Change{{Field: "issuer", Before: have.Issuer, After: issuer}},
		})
	})
	if errors.Is(err, store.ErrUnique) {
		// It was first by so little that its row could not be seen yet.
		if v, err = s.Find(ctx); err == nil {
			refused = v.Check(kind, issuer)
		}
	}
	switch {
	case refused != nil:
		return State{}, refused
	case err != nil:
		return State{}, fmt.Errorf("setup: begin: %w", err)
	}
	return v, nil
}

// actor is who the wizard acts as: the installation itself, from the browser
// that holds the link. Nobody is known yet.
func actor(who caller.Caller) caller.Caller {
	who.Kind, who.Name = caller.System, "setup"
	who.User, who.Session, who.Methods, who.Cookie = id.User{}, id.Session{}, nil, false
	return who
}

// secure reports whether the request came from this machine or over TLS, so
// that nobody on the way can have read the link or the answers.
func (s *Service) secure(r *http.Request, source netip.Addr) bool {
	if r.TLS != nil {
		return true
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return false
	}
	from := peer.Addr().Unmap().WithZone("")
	for _, p := range s.Proxies {
		if p.Contains(from) {
			// The last word is the trusted proxy's own.
			return r.Header.Get("X-Forwarded-Proto") == "https" && len(r.Header.Values("X-Forwarded-Proto")) == 1
		}
	}
	// A proxy that nobody named hands on the requests of others from loopback.
	for _, h := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "Via"} {
		if r.Header.Get(h) != "" {
			return false
		}
	}
	return from.IsLoopback() && source.IsLoopback()
}
