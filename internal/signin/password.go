package signin

import (
	"context"
	"net/url"
	"time"

	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/credential"
	"github.com/rempart/rempart/internal/directory"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/keyring"
	"github.com/rempart/rempart/internal/mail"
	"github.com/rempart/rempart/internal/session"
	"github.com/rempart/rempart/internal/store"
)

// asked is the least length of a new password of the user, by the strictest
// rule of the organizations she belongs to, and the words that it may not be.
func (s *Service) asked(ctx context.Context, user id.User, also ...id.Org) (minimum int, words []string, err error) {
	held, err := s.Credential.Load(ctx, user)
	if err != nil {
		return 0, nil, err
	}
	return s.askedOf(ctx, user, held.HasSecond(), also...)
}

func (s *Service) askedOf(ctx context.Context, user id.User, second bool, also ...id.Org) (minimum int, words []string, err error) {
	words = []string{s.product()}
	orgs := also
	if !user.IsZero() {
		ms, err := s.Directory.MembershipsOf(ctx, user)
		if err != nil {
			return 0, nil, err
		}
		for _, m := range ms {
			orgs = append(orgs, m.Org)
		}
		u, err := s.Directory.FindUser(ctx, user)
		if err != nil {
			return 0, nil, err
		}
		words = append(words, u.Profile.Name)
		for _, a := range u.Addresses {
			words = append(words, a.Email)
		}
	}
	for _, o := range orgs {
		org, err := s.Directory.FindOrg(ctx, o)
		if err != nil {
			return 0, nil, err
		}
		words = append(words, org.Name, org.Slug)
	}
	a, err := s.Policy.AskedOf(ctx, orgs...)
	if err != nil {
		return 0, nil, err
	}
	return a.Minimum(second), words, nil
}

func (s *Service) product() string {
	if s.Console.Product != "" {
		return s.Console.Product
	}
	return "Rempart"
}

// newPassword checks, hashes and seals the new password of a form.
func (s *Service) newPassword(ctx context.Context, slot *credential.Slot, ring *keyring.Ring, user id.User, form url.Values, second bool) (credential.Secret, error) {
	minimum, words, err := s.askedOf(ctx, user, second)
	if err != nil {
		return credential.Secret{}, err
	}
	if err := credential.CheckPassword(form.Get("password"), minimum, words); err != nil {
		return credential.Secret{}, err
	}
	return s.Credential.Hash(ctx, slot, ring, user, form.Get("password"))
}

// letter is a mail to every proved address of a user.
type letter []mail.Message

// to addresses a message to the user: each of her proved addresses gets it, so
// that whoever has taken over one can't keep the owner from knowing.
func (s *Service) to(ctx context.Context, user id.User, template, purpose string) (letter, directory.User, error) {
	u, err := s.Directory.FindUser(ctx, user)
	if err != nil {
		return nil, u, err
	}
	var out letter
	for _, a := range u.Addresses {
		if !a.Verified.IsZero() {
			out = append(out, s.message(u, a.Email, template, purpose))
		}
	}
	return out, u, nil
}

// message is a mail to one address of the user, in her language.
func (s *Service) message(u directory.User, address, template, purpose string) mail.Message {
	lang := u.Profile.Locale
	if lang == "" {
		lang = "en"
	}
	return mail.Message{
		To: address, Name: u.Profile.Name, Lang: lang, Template: template, Purpose: purpose, Owner: keyring.Person(u.ID).String(),
		Args: map[string]any{"Product": s.product()},
	}
}

// queue queues the letter; ring holds its owner's key.
func (s *Service) queue(tx *store.Tx, ring *keyring.Ring, l letter) error {
	for _, m := range l {
		if err := s.Mail.QueueTx(tx, ring, m); err != nil {
			return err
		}
	}
	return nil
}

// seen is from where and with what something was done, for a mail about it.
func seen(who caller.Caller, now time.Time) []mail.Fact {
	d := session.ParseDevice(who.Device)
	facts := []mail.Fact{{Label: "signin.mail.fact.time", Value: now}}
	if d.Browser != "" {
		facts = append(facts, mail.Fact{Label: "signin.mail.fact.device", Value: d.Browser + " · " + d.System})
	}
	if who.Source.IsValid() {
		facts = append(facts, mail.Fact{Label: "signin.mail.fact.source", Value: who.Source.String()})
	}
	return facts
}

// templates of mails about changes, by what changed. Each has the keys
// .subject, .text, .note and .action.
var changedMails = map[string]string{
	"password": "signin.mail.password",
	"enrolled": "signin.mail.enrolled",
	"removed":  "signin.mail.removed",
	"codes":    "signin.mail.codes",
}

// changedMail tells the user that a credential of hers changed (ASVS 6.3.7).
func (s *Service) changedMail(ctx context.Context, user id.User, what string, who caller.Caller) (letter, error) {
	l, _, err := s.to(ctx, user, changedMails[what], what)
	for i := range l {
		l[i].Facts, l[i].Link = seen(who, s.Now()), s.absolute("/account/sessions")
	}
	return l, err
}

// newDevice tells the user of a sign-in with a device that was not seen lately.
func (s *Service) newDevice(ctx context.Context, who caller.Caller, user id.User) (letter, error) {
	l, _, err := s.to(ctx, user, "signin.mail.device", "device")
	for i := range l {
		l[i].Facts, l[i].Link = seen(who, s.Now()), s.absolute("/account/sessions")
	}
	return l, err
}

func (s *Service) absolute(path string) string {
	u := *s.BaseURL
	v, err := url.Parse(path)
	if err != nil {
		return u.String()
	}
	return u.ResolveReference(v).String()
}

// errLink is the answer to a link that is unknown, was used, or is too old: not
// said which.
var errLink = fault.New(fault.NotFound, "signin.error.link", nil)
