package directory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/rempart/rempart/internal/access"
	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/keyring"
	"github.com/rempart/rempart/internal/mail"
	"github.com/rempart/rempart/internal/store"
)

// Security defaults of invitations.
const (
	invitationTerm = 7 * 24 * time.Hour
	resendPause    = time.Minute // between two messages of one invitation
	maxSent        = 10          // messages of one invitation
	tokenKind      = "inv"
)

const invitationColumns = `id, org_id, email, roles, locale, state, invited_by, sent_at, times_sent, expires_at, created_at, accepted_by`

var (
	insertInvitation = q.Add("insert_invitation", `INSERT INTO directory_invitations (org_id, id, token_hash, email, email_hash, roles, locale, state, invited_by, sent_at, times_sent, expires_at, created_at)
		VALUES ($org, $1, $2, $3, $4, $5, $6, 'open', $7, $8, 1, $9, $8)`)
	insertFirst = q.Add("insert_first_invitation", `INSERT INTO directory_invitations (org_id, id, token_hash, email, email_hash, roles, locale, state, invited_by, sent_at, times_sent, expires_at, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, 'open', $8, $9, 1, $10, $9)`, staffOrSystem)
	lapseInvitations  = q.Add("lapse_invitations", `UPDATE directory_invitations SET state = 'expired' WHERE org_id = $org AND email_hash = $1 AND state = 'open' AND expires_at <= $2`)
	selectInvitation  = q.Add("select_invitation", `SELECT `+invitationColumns+` FROM directory_invitations WHERE org_id = $org AND id = $1`)
	listInvitations   = q.Add("list_invitations", `SELECT `+invitationColumns+` FROM directory_invitations WHERE org_id = $org AND id < $1 ORDER BY id DESC LIMIT $2`)
	lookupInvitation  = q.Add("lookup_invitation", `SELECT `+invitationColumns+` FROM directory_invitations WHERE token_hash = $1`, store.ForLookup)
	resendInvitation  = q.Add("resend_invitation", `UPDATE directory_invitations SET token_hash = $1, sent_at = $2, times_sent = times_sent + 1, expires_at = $3 WHERE org_id = $org AND id = $4 AND state IN ('open', 'expired') AND sent_at <= $5 AND times_sent < $6`)
	reopenInvitation  = q.Add("reopen_invitation", `UPDATE directory_invitations SET state = 'open' WHERE org_id = $org AND id = $1 AND state = 'expired'`)
	revokeInvitation  = q.Add("revoke_invitation", `UPDATE directory_invitations SET state = 'revoked' WHERE org_id = $org AND id = $1 AND state IN ('open', 'expired')`)
	consumeInvitation = q.Add("consume_invitation", `UPDATE directory_invitations SET state = 'accepted' WHERE token_hash = $1 AND state = 'open' AND expires_at > $2 RETURNING id`, store.ForSystem)
	creditInvitation  = q.Add("credit_invitation", `UPDATE directory_invitations SET accepted_by = $1 WHERE id = $2`, store.ForSystem)
	memberOfAddress   = q.Add("member_of_address", `SELECT user_id FROM directory_memberships WHERE org_id = $org AND email_hash = $1 LIMIT 1`)
)

// Errors of invitations.
var (
	ErrInvitation = fault.New(fault.NotFound, "directory.error.invitation", nil) // unknown, used, revoked or over: not said which
	ErrInvited    = fault.New(fault.Conflict, "directory.error.already-invited", nil)
	ErrOther      = fault.New(fault.Denied, "directory.error.other-address", nil)
	ErrSignIn     = fault.New(fault.Unknown, "directory.error.invitation-sign-in", nil)
)

type invitationRow struct {
	Invitation
	email []byte
}

func scanInvitation(r interface{ Scan(...any) error }) (v invitationRow, err error) {
	var roles string
	var sent, expires, created int64
	err = r.Scan(&v.ID, &v.Org, &v.email, &roles, &v.Locale, &v.State, &v.By, &sent, &v.Times, &expires, &created, &v.Accepted)
	if err != nil {
		return v, err
	}
	v.Sent, v.Expires, v.Created = store.Time(sent), store.Time(expires), store.Time(created)
	return v, json.Unmarshal([]byte(roles), &v.Roles)
}

func (s *Service) openInvitation(ring *keyring.Ring, row invitationRow) (v Invitation, err error) {
	v = row.Invitation
	if v.State == InvitationOpen && !s.Now().Before(v.Expires) {
		v.State = InvitationExpired
	}
	if v.Email, err = ring.OpenText(keyring.Organization(v.Org), labelInvitationEmail, v.ID.String(), row.email); err != nil {
		return v, fmt.Errorf("directory: open invitation: %w", err)
	}
	return v, nil
}

// NewInvitation is whom to invite, as what.
type NewInvitation struct {
	Email  string
	Roles  []access.Grant
	Locale string // of the message; "" is English
}

// invitationDraft is an invitation on its way to the database.
type invitationDraft struct {
	Invitation
	normalized  string
	token       string
	email, hash []byte
	roles       string
	letter      mail.Message
}

// draft prepares everything of an invitation that needs keys.
func (s *Service) draft(ctx context.Context, who caller.Caller, pen *audit.Pen, o Org, n NewInvitation) (d invitationDraft, err error) {
	email, normalized, err := ParseEmail(n.Email)
	if err != nil {
		return d, err
	}
	if n.Locale == "" {
		n.Locale = "en"
	}
	if !slices.Contains([]string{"en", "fr", "nl"}, n.Locale) {
		return d, fault.New(fault.Invalid, "directory.error.locale", nil).At("/locale", "directory.error.locale")
	}
	now := s.Now()
	d = invitationDraft{normalized: normalized, token: id.NewSecret(tokenKind), Invitation: Invitation{
		ID: id.NewInvitation(now), Org: o.ID, Email: email, Roles: n.Roles, Locale: n.Locale, State: InvitationOpen,
		By: who.ID(), Sent: now, Times: 1, Expires: now.Add(invitationTerm), Created: now,
	}}
	if d.letter, err = s.letter(ctx, who, o, d.Invitation, d.token); err != nil {
		return d, err
	}
	owner := keyring.Organization(o.ID)
	if d.email, err = pen.SealText(owner, labelInvitationEmail, d.ID.String(), email); err != nil {
		return d, fmt.Errorf("directory: seal invitation: %w", err)
	}
	d.hash = pen.Hash(owner, hashInvitationEmail, normalized)
	roles, err := json.Marshal(d.Roles)
	d.roles = string(roles)
	return d, err
}

// AddInvitation invites a person by mail. The caller gives no more than she
// has. The error is ErrEmail, ErrMember, ErrInvited or one of access.
func (s *Service) AddInvitation(ctx context.Context, who caller.Caller, org id.Org, n NewInvitation) (Invitation, error) {
	if err := s.Access.Catalogue.CheckGrants(n.Roles); err != nil {
		return Invitation{}, err
	}
	if err := s.Access.CheckPlaces(ctx, org, n.Roles); err != nil {
		return Invitation{}, err
	}
	o, err := s.FindOrg(ctx, org)
	if err != nil {
		return Invitation{}, err
	}
	pen, err := s.Audit.Pen(ctx, who, org)
	if err != nil {
		return Invitation{}, err
	}
	d, err := s.draft(ctx, who, pen, o, n)
	if err != nil {
		return Invitation{}, err
	}
	asMember := pen.Hash(keyring.Organization(org), hashMemberEmail, d.normalized)
	err = s.Store.Update(ctx, store.Org(org), func(tx *store.Tx) error {
		if err := s.Access.BumpTx(tx, org); err != nil {
			return err
		}
		if err := s.Access.MayGiveTx(tx, who, org, d.Roles); err != nil {
			return err
		}
		var have id.User
		switch err := tx.Row(memberOfAddress, asMember).Scan(&have); {
		case err == nil:
			return ErrMember
		case !errors.Is(err, store.ErrNone):
			return fmt.Errorf("directory: find member: %w", err)
		}
		if _, err := tx.Exec(lapseInvitations, d.hash, store.Micros(d.Created)); err != nil {
			return fmt.Errorf("directory: lapse invitations: %w", err)
		}
		_, err := tx.Exec(insertInvitation, d.ID, id.HashSecret(d.token), d.email, d.hash, d.roles, d.Locale, d.By, store.Micros(d.Created), store.Micros(d.Expires))
		switch {
		case errors.Is(err, store.ErrUnique):
			return ErrInvited
		case err != nil:
			return fmt.Errorf("directory: insert invitation: %w", err)
		}
		return s.invitedTx(tx, pen, d)
	})
	return d.Invitation, s.refused(ctx, who, org, target("invitation", d.ID), err)
}

// invitedTx queues the message and records the entry.
func (s *Service) invitedTx(tx *store.Tx, pen *audit.Pen, d invitationDraft) error {
	if err := s.Mail.QueueTx(tx, pen.Ring, d.letter); err != nil {
		return err
	}
	return pen.Record(tx, audit.Entry{
		Kind: EventInvited, Target: target("invitation", d.ID),
		Changes: []audit.Change{{Field: "roles", After: d.Roles}, {Field: "expires_at", After: d.Expires}},
	})
}

// letter is the message that carries the invitation, whose secret is in its
// link and nowhere else.
func (s *Service) letter(ctx context.Context, who caller.Caller, o Org, v Invitation, token string) (mail.Message, error) {
	m := mail.Message{
		To: v.Email, Lang: v.Locale, Template: "directory.mail.invitation", Args: map[string]any{"Org": o.Name},
		Link: s.Mail.BaseURL.JoinPath("invite", token).String(), Purpose: "invitation",
		Owner: keyring.Organization(v.Org).String(), Expires: v.Expires,
		Facts: []mail.Fact{{Label: "directory.mail.expires", Value: v.Expires}},
	}
	if !who.User.IsZero() {
		names, err := s.Names(ctx, v.Org, []id.User{who.User})
		if err != nil {
			return m, err
		}
		if name := names[who.User]; name != "" {
			m.Facts = append([]mail.Fact{{Label: "directory.mail.inviter", Value: name}}, m.Facts...)
		}
	}
	return m, nil
}

// Invitations lists the organization's invitations, newest first; before is
// the last one of the page before.
func (s *Service) Invitations(ctx context.Context, org id.Org, before id.Invitation, limit int) ([]Invitation, error) {
	from := before.String()
	if from == "" {
		from = "inv_~" // after every identifier
	}
	var rows []invitationRow
	err := s.Store.View(ctx, store.Org(org), func(tx *store.Tx) (err error) {
		rows, err = store.All(tx, func(r *store.Rows) (invitationRow, error) { return scanInvitation(r) }, listInvitations, from, limit)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("directory: list invitations: %w", err)
	}
	ring, err := s.Keys.Ready(ctx, keyring.Organization(org))
	if err != nil {
		return nil, err
	}
	out := []Invitation{}
	for _, row := range rows {
		v, err := s.openInvitation(ring, row)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// InvitationByID gives one invitation of the organization; the error is ErrNone.
func (s *Service) InvitationByID(ctx context.Context, org id.Org, inv id.Invitation) (Invitation, error) {
	var row invitationRow
	err := s.Store.View(ctx, store.Org(org), func(tx *store.Tx) (err error) {
		row, err = scanInvitation(tx.Row(selectInvitation, inv))
		return err
	})
	if err != nil {
		return Invitation{}, none(err, "find invitation")
	}
	ring, err := s.Keys.Ready(ctx, keyring.Organization(org))
	if err != nil {
		return Invitation{}, err
	}
	return s.openInvitation(ring, row)
}

// ResendInvitation sends the invitation once more with a new secret and a new
// term; the former link ends.
func (s *Service) ResendInvitation(ctx context.Context, who caller.Caller, org id.Org, inv id.Invitation) (Invitation, error) {
	v, err := s.InvitationByID(ctx, org, inv)
	if err != nil {
		return Invitation{}, err
	}
	now, token := s.Now(), id.NewSecret(tokenKind)
	switch {
	case v.State != InvitationOpen && v.State != InvitationExpired:
		return Invitation{}, fault.New(fault.Conflict, "directory.error.invitation-closed", nil)
	case v.Times >= maxSent:
		return Invitation{}, fault.New(fault.Conflict, "directory.error.invitation-sent-often", nil)
	case now.Sub(v.Sent) < resendPause:
		return Invitation{}, fault.New(fault.Throttled, "directory.error.invitation-just-sent", nil).After(resendPause - now.Sub(v.Sent))
	}
	v.Sent, v.Times, v.Expires, v.State = now, v.Times+1, now.Add(invitationTerm), InvitationOpen
	o, err := s.FindOrg(ctx, org)
	if err != nil {
		return Invitation{}, err
	}
	letter, err := s.letter(ctx, who, o, v, token)
	if err != nil {
		return Invitation{}, err
	}
	pen, err := s.Audit.Pen(ctx, who, org)
	if err != nil {
		return Invitation{}, err
	}
	err = s.Store.Update(ctx, store.Org(org), func(tx *store.Tx) error {
		if err := s.Access.BumpTx(tx, org); err != nil {
			return err
		}
		if err := s.Access.MayGiveTx(tx, who, org, v.Roles); err != nil {
			return err
		}
		n, err := tx.Exec(resendInvitation, id.HashSecret(token), store.Micros(now), store.Micros(v.Expires), inv, store.Micros(now.Add(-resendPause)), maxSent)
		if err != nil {
			return fmt.Errorf("directory: update invitation: %w", err)
		}
		if n == 0 {
			return fault.New(fault.Conflict, "directory.error.invitation-closed", nil)
		}
		if _, err := tx.Exec(reopenInvitation, inv); errors.Is(err, store.ErrUnique) {
			return ErrInvited // a newer one is open for the same address
		} else if err != nil {
			return fmt.Errorf("directory: reopen invitation: %w", err)
		}
		if err := s.Mail.QueueTx(tx, pen.Ring, letter); err != nil {
			return err
		}
		return pen.Record(tx, audit.Entry{Kind: EventInvitationResent, Target: target("invitation", inv), Facts: map[string]any{"times": v.Times}})
	})
	return v, s.refused(ctx, who, org, target("invitation", inv), err)
}

// RevokeInvitation ends the invitation's link.
func (s *Service) RevokeInvitation(ctx context.Context, who caller.Caller, org id.Org, inv id.Invitation) error {
	if _, err := s.InvitationByID(ctx, org, inv); err != nil {
		return err
	}
	pen, err := s.Audit.Pen(ctx, who, org)
	if err != nil {
		return err
	}
	return s.Store.Update(ctx, store.Org(org), func(tx *store.Tx) error {
		n, err := tx.Exec(revokeInvitation, inv)
		if err != nil {
			return fmt.Errorf("directory: update invitation: %w", err)
		}
		if n == 0 {
			return fault.New(fault.Conflict, "directory.error.invitation-closed", nil)
		}
		return pen.Record(tx, audit.Entry{Kind: EventInvitationRevoked, Target: target("invitation", inv)})
	})
}

// Offer is an open invitation as the invited person sees it.
type Offer struct {
	Invitation Invitation
	Org        Org
	User       id.User // whose proved address it is; zero: a new user is made
}

// FindInvitation gives the open invitation of the secret; the error is
// ErrInvitation, whatever is wrong with it.
func (s *Service) FindInvitation(ctx context.Context, token string) (Offer, error) {
	if !id.IsSecret(tokenKind, token) {
		return Offer{}, ErrInvitation
	}
	var row invitationRow
	err := s.Store.View(ctx, store.Lookup(), func(tx *store.Tx) (err error) {
		row, err = scanInvitation(tx.Row(lookupInvitation, id.HashSecret(token)))
		return err
	})
	switch {
	case errors.Is(err, store.ErrNone):
		return Offer{}, ErrInvitation
	case err != nil:
		return Offer{}, fmt.Errorf("directory: find invitation: %w", err)
	}
	ring, err := s.Keys.Ready(ctx, keyring.Installation(), keyring.Organization(row.Org))
	if err != nil {
		return Offer{}, err
	}
	var f Offer
	if f.Invitation, err = s.openInvitation(ring, row); err != nil {
		return Offer{}, err
	}
	if f.Org, err = s.FindOrg(ctx, row.Org); err != nil {
		return Offer{}, err
	}
	if f.Invitation.State != InvitationOpen || f.Org.State != Active {
		return Offer{}, ErrInvitation
	}
	_, normalized, err := ParseEmail(f.Invitation.Email)
	if err != nil {
		return Offer{}, err
	}
	found, err := s.findHash(ctx, emailHash(ring, normalized))
	if err != nil && !errors.Is(err, ErrNone) {
		return Offer{}, err
	}
	f.User = found.User
	return f, nil
}

// Acceptance is a prepared acceptance of an invitation: everything that needs
// keys has been done. It may be applied once.
type Acceptance struct {
	Offer Offer
	User  id.User    // who joins
	New   bool       // the user is made with it
	Pen   *audit.Pen // of the organization's log, with the keys of the user: for what else belongs to the same transaction

	hash   []byte
	person *person
	join   joining
}

// PrepareAcceptance makes everything ready to accept the invitation of the
// secret. Where its address belongs to a user, who must be she: ErrSignIn for a
// visitor, ErrOther for somebody else. Where it belongs to nobody a user is
// made with the profile; that the secret came by mail proves the address.
func (s *Service) PrepareAcceptance(ctx context.Context, who caller.Caller, token string, p Profile) (*Acceptance, error) {
	f, err := s.FindInvitation(ctx, token)
	if err != nil {
		return nil, err
	}
	a := &Acceptance{Offer: f, User: f.User, hash: id.HashSecret(token)}
	name := p.Name
	switch {
	case f.User.IsZero() && who.Kind == caller.User:
		return nil, ErrOther
	case f.User.IsZero():
		a.User, a.New = id.NewUser(s.Now()), true
	case who.Kind != caller.User:
		return nil, ErrSignIn
	case who.User != f.User:
		return nil, ErrOther
	default:
		u, err := s.FindUser(ctx, f.User)
		if err != nil {
			return nil, err
		}
		if u.State != Active {
			return nil, access.ErrDisabled
		}
		name = u.Profile.Name
	}
	if a.New {
		if err := p.check(); err != nil {
			return nil, err
		}
		name = p.Name
		who.Kind, who.User = caller.User, a.User // she acts, though she was not known before
	}
	if a.Pen, err = s.Audit.Pen(ctx, who, f.Org.ID, a.User); err != nil {
		return nil, err
	}
	if a.New {
		made, err := s.person(a.Pen.Ring, a.User, NewUser{Email: f.Invitation.Email, Verified: true, Profile: p, Kind: f.Org.Kind})
		if err != nil {
			return nil, err
		}
		a.person = &made
	}
	a.join, err = s.joining(a.Pen.Ring, f.Org.ID, a.User, name, f.Invitation.Email)
	return a, err
}

// AcceptTx uses the invitation up and makes the membership, and the user where
// she is new, in a transaction of the system's scope. Of any number at the same
// time one succeeds; the others get ErrInvitation.
func (s *Service) AcceptTx(tx *store.Tx, a *Acceptance) (Membership, error) {
	now, org := s.Now(), a.Offer.Org.ID
	if err := s.Access.BumpTx(tx, org); err != nil {
		return Membership{}, err
	}
	var inv id.Invitation
	switch err := tx.Row(consumeInvitation, a.hash, store.Micros(now)).Scan(&inv); {
	case errors.Is(err, store.ErrNone):
		return Membership{}, ErrInvitation
	case err != nil:
		return Membership{}, fmt.Errorf("directory: consume invitation: %w", err)
	}
	if a.person != nil {
		if err := insertPersonTx(tx, *a.person, now); err != nil {
			return Membership{}, err
		}
	}
	if _, err := tx.Exec(creditInvitation, a.User, inv); err != nil {
		return Membership{}, fmt.Errorf("directory: credit invitation: %w", err)
	}
	m, err := insertJoiningTx(tx, a.join, now)
	if err != nil {
		return Membership{}, err
	}
	if err := s.Access.AddGrantsTx(tx, org, a.User, a.Offer.Invitation.Roles, a.Offer.Invitation.By); err != nil {
		return Membership{}, err
	}
	return m, a.Pen.Record(tx, audit.Entry{
		Kind: EventInvitationAccepted, Target: target("invitation", inv), Person: a.User,
		Changes: []audit.Change{{Field: "roles", After: a.Offer.Invitation.Roles}},
		Facts:   map[string]any{"user": a.User.String(), "new_user": a.New},
		Private: map[string]any{"email": a.Offer.Invitation.Email},
	})
}

// Accept is PrepareAcceptance and AcceptTx for a user who exists.
func (s *Service) Accept(ctx context.Context, who caller.Caller, token string) (Membership, error) {
	if who.Kind != caller.User {
		return Membership{}, ErrSignIn
	}
	a, err := s.PrepareAcceptance(ctx, who, token, Profile{})
	if err != nil {
		return Membership{}, err
	}
	var m Membership
	err = s.Store.Update(ctx, store.System("directory.accept"), func(tx *store.Tx) (err error) {
		m, err = s.AcceptTx(tx, a)
		return err
	})
	return m, err
}
