package setup

import (
	"context"
	"errors"
	"strings"

	"github.com/rempart/rempart/internal/access"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/directory"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/provider"
)

// Organization is the first one, as the wizard asks for it.
type Organization struct {
	Name, Slug string
	Owner      string // address of the owner to be invited; "" is the administrator herself
	Lang       string // of the invitation
}

// AddOrganization makes the first organization. The administrator owns it; the
// owner whom she names instead is invited by mail, and takes over when he has
// accepted: an organization is never without an owner.
func (s *Service) AddOrganization(ctx context.Context, who caller.Caller, o Organization) error {
	return s.do(ctx, who, StepOrganization, func(p Progress) (string, bool, error) {
		if o.Owner != "" {
			if _, _, err := directory.ParseEmail(o.Owner); err != nil {
				return "", false, fault.New(fault.Invalid, "setup.organization.owner-email", err).At("/owner", "setup.organization.owner-email")
			}
		}
		org, err := s.organization(ctx, actor(who), p, o)
		if err != nil {
			return "", false, err
		}
		if o.Owner != "" {
			err = s.invite(ctx, actor(who), org, o)
		}
		return org.String(), err == nil, err
	})
}

// organization makes it, or finds the one of an attempt cut short.
func (s *Service) organization(ctx context.Context, who caller.Caller, p Progress, o Organization) (id.Org, error) {
	if org, err := id.ParseOrg(p.Made[StepOrganization]); err == nil {
		return org, nil
	}
	made, _, err := s.Directory.AddOrg(ctx, who, directory.NewOrg{Name: o.Name, Slug: o.Slug, Owner: p.User()})
	if err == nil {
		return made.ID, nil
	}
	if errors.Is(err, directory.ErrSlugTaken) {
		have, moved, ferr := s.Directory.FindOrgBySlug(ctx, o.Slug)
		if ferr == nil && !moved && !have.Canary() {
			return have.ID, nil
		}
	}
	return id.Org{}, err
}

// invite asks the owner in; an invitation that is there already is enough.
func (s *Service) invite(ctx context.Context, who caller.Caller, org id.Org, o Organization) error {
	_, err := s.Directory.AddInvitation(ctx, who, org, directory.NewInvitation{Email: o.Owner, Roles: []access.Grant{{Role: access.RoleOwner}}, Locale: o.Lang})
	if errors.Is(err, directory.ErrInvited) || errors.Is(err, directory.ErrMember) {
		return nil
	}
	return err
}

// AddClient makes the first client of the installation, part of the product
// itself: people are not asked for consent. The secret is told this once; ""
// for a client that keeps none.
func (s *Service) AddClient(ctx context.Context, who caller.Caller, in provider.ClientInput) (*provider.Client, string, error) {
	in.FirstParty, in.Org = true, id.Org{}
	in.Name = strings.TrimSpace(in.Name)
	var client *provider.Client
	var secret string
	err := s.do(ctx, who, StepClient, func(Progress) (string, bool, error) {
		have, err := s.Provider.Clients(ctx)
		if err != nil {
			return "", false, err
		}
		for _, c := range have {
			if c.Name == in.Name && c.Type == in.Type && c.Org.IsZero() { // of an attempt cut short, whose secret nobody saw
				client = c
				if c.Confidential() {
					client, secret, err = s.Provider.RotateClientSecret(ctx, actor(who), c.ID, 0)
				}
				return c.ID.String(), err == nil, err
			}
		}
		if client, secret, err = s.Provider.AddClient(ctx, actor(who), in); err != nil {
			return "", false, err
		}
		return client.ID.String(), true, nil
	})
	if err != nil {
		return nil, "", err
	}
	return client, secret, nil
}
