package signin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/console"
	"github.com/rempart/rempart/internal/credential"
	"github.com/rempart/rempart/internal/directory"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/keyring"
	"github.com/rempart/rempart/internal/session"
	"github.com/rempart/rempart/internal/store"
	"github.com/rempart/rempart/internal/web"
)

// Purposes of links. A link serves one purpose, one user, once.
const (
	purposeReset  = "reset"
	purposeVerify = "verify"
)

var (
	insertRequest = q.Add("insert_request", `INSERT INTO signin_requests (id, user_id, lang, created_at) VALUES ($1, $2, $3, $4)`, store.ForLookup)
	listRequests  = q.Add("list_requests", `SELECT id, user_id, lang FROM signin_requests WHERE user_id IS NOT NULL ORDER BY id LIMIT $1`, store.ForSystem)
	takeRequest   = q.Add("take_request", `DELETE FROM signin_requests WHERE id = $1 AND user_id = $user`)
	sweepRequests = q.Add("sweep_requests", `DELETE FROM signin_requests WHERE created_at < $1 OR user_id IS NULL`, store.ForSystem)

	insertLink = q.Add("insert_link", `INSERT INTO signin_links (hash, purpose, user_id, address_id, created_at, expires_at, used_at) VALUES ($1, $2, $user, $3, $4, $5, 0)`)
	voidLinks  = q.Add("void_links", `UPDATE signin_links SET used_at = $2 WHERE user_id = $user AND purpose = $1 AND used_at = 0`)
	findLink   = q.Add("find_link", `SELECT user_id, address_id FROM signin_links WHERE hash = $1 AND purpose = $2 AND used_at = 0 AND expires_at > $3`, store.ForLookup)
	useLink    = q.Add("use_link", `UPDATE signin_links SET used_at = $3 WHERE hash = $1 AND purpose = $2 AND user_id = $user AND used_at = 0 AND expires_at > $3 RETURNING hash`)
)

// resetPage asks for the address to send a reset link to.
func (s *Service) resetPage(w http.ResponseWriter, r *http.Request) error {
	return s.render(w, r, http.StatusOK, "reset-request", "signin.reset.title", view{Email: ""}, nil, console.Lead("signin.reset.lead"))
}

// resetRequest takes the address. Whether somebody has it or not, the same is
// written and the same is answered; the mail is made by a job, later.
func (s *Service) resetRequest(w http.ResponseWriter, r *http.Request) error {
	form, err := web.Form(r)
	if err != nil {
		return err
	}
	ctx, who := r.Context(), web.Who(r)
	email, normalized, err := directory.ParseEmail(form.Get("email"))
	if err != nil {
		return s.render(w, r, http.StatusUnprocessableEntity, "reset-request", "signin.reset.title", view{Email: form.Get("email")}, err, console.Lead("signin.reset.lead"))
	}
	ring, err := s.Keys.Ready(ctx, keyring.Installation())
	if err != nil {
		return err
	}
	found, err := s.Directory.FindUserByEmail(ctx, email)
	if err != nil && !errors.Is(err, directory.ErrNone) {
		return err
	}
	guess := credential.NewGuess(credential.Reset, found.User, ring.Hash(keyring.Installation(), hashAddress, normalized), who.Source)
	now := s.Now()
	err = s.Store.Maintain(ctx, store.Lookup(), func(tx *store.Tx) error {
		if _, err := s.Credential.CountTx(tx, guess); err != nil {
			return err
		}
		_, err := tx.Exec(insertRequest, id.NewFlow(now), found.User, who.Lang, store.Micros(now))
		return err
	})
	if fault.KindOf(err) == fault.Throttled {
		retryAfter(w, err)
		return s.render(w, r, http.StatusTooManyRequests, "reset-request", "signin.reset.title", view{Email: email}, err, console.Lead("signin.reset.lead"))
	}
	if err != nil {
		return err
	}
	if err := s.Credential.WrongSource(ctx, guess); err != nil { // asking for mails is bounded like guessing
		return err
	}
	e := audit.Entry{Kind: EventResetAsked, Outcome: audit.Success}
	if found.User.IsZero() {
		unknown, err := s.Audit.Unknown(ctx, normalized)
		if err != nil {
			return err
		}
		e.Target = audit.Target{Kind: "address", ID: unknown}
	} else {
		e.Target, e.Person = audit.Target{Kind: "user", ID: found.User.String()}, found.User
		e.Private = map[string]any{"email": email}
	}
	if err := s.Audit.Observe(ctx, actor(who, &flow{}, false), id.Org{}, e); err != nil {
		return err
	}
	return s.render(w, r, http.StatusOK, "reset-request", "signin.reset.title", view{Known: true}, nil, console.Done("signin.reset.answer"))
}

// Post makes the mails of reset requests, each with a link of its own.
func (s *Service) Post(ctx context.Context) error {
	type request struct {
		id   id.Flow
		user id.User
		lang string
	}
	var due []request
	err := s.Store.View(ctx, store.System("signin.post"), func(tx *store.Tx) (err error) {
		due, err = store.All(tx, func(r *store.Rows) (v request, err error) {
			return v, r.Scan(&v.id, &v.user, &v.lang)
		}, listRequests, mailBatch)
		return err
	})
	if err != nil {
		return fmt.Errorf("signin: list requests: %w", err)
	}
	for _, v := range due {
		if err := s.answer(ctx, v.id, v.user, v.lang); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) answer(ctx context.Context, request id.Flow, user id.User, lang string) error {
	l, u, err := s.to(ctx, user, "signin.mail.reset", "reset")
	if err != nil {
		return err
	}
	pen, err := s.Audit.Pen(ctx, caller.ForSystem("signin.post"), id.Org{}, user)
	if err != nil {
		return err
	}
	secret, now := id.NewSecret("rst"), s.Now()
	for i := range l {
		l[i].Lang, l[i].Link, l[i].Expires = lang, s.absolute("/sign-in/reset-password?token="+url.QueryEscape(secret)), now.Add(resetTerm)
		l[i].Args["Term"] = resetTerm
	}
	return s.Store.Update(ctx, store.User(user), func(tx *store.Tx) error {
		n, err := tx.Exec(takeRequest, request)
		if err != nil || n == 0 || u.State != directory.Active {
			// Taken by another node meanwhile, or the account is closed to her.
			return orRecord(err, n, func() error {
				return pen.Record(tx, audit.Entry{Kind: EventResetRefused, Target: audit.Target{Kind: "user", ID: user.String()}, Person: user, Outcome: audit.Denied})
			})
		}
		if err := s.linkTx(tx, secret, purposeReset, id.Address{}, now.Add(resetTerm)); err != nil {
			return err
		}
		if err := s.queue(tx, pen.Ring, l); err != nil {
			return err
		}
		return pen.Record(tx, audit.Entry{Kind: EventResetSent, Target: audit.Target{Kind: "user", ID: user.String()}, Person: user})
	})
}

func orRecord(err error, n int64, record func() error) error {
	if err != nil || n == 0 {
		return err
	}
	return record()
}

// linkTx makes a link of the purpose the only one that still serves.
func (s *Service) linkTx(tx *store.Tx, secret, purpose string, a id.Address, until time.Time) error {
	now := store.Micros(s.Now())
	if _, err := tx.Exec(voidLinks, purpose, now); err != nil {
		return fmt.Errorf("signin: void links: %w", err)
	}
	if _, err := tx.Exec(insertLink, id.HashSecret(secret), purpose, a.String(), now, store.Micros(until)); err != nil {
		return fmt.Errorf("signin: insert link: %w", err)
	}
	return nil
}

// link is a link that still serves.
type link struct {
	secret  string
	user    id.User
	address id.Address
}

// openLink finds the link of a secret; the error is errLink.
func (s *Service) openLink(ctx context.Context, kind, purpose, secret string) (link, error) {
	l := link{secret: secret}
	if !id.IsSecret(kind, secret) {
		return l, errLink
	}
	var address string
	err := s.Store.View(ctx, store.Lookup(), func(tx *store.Tx) error {
		return tx.Row(findLink, id.HashSecret(secret), purpose, store.Micros(s.Now())).Scan(&l.user, &address)
	})
	if errors.Is(err, store.ErrNone) {
		return l, errLink
	}
	if err != nil {
		return l, fmt.Errorf("signin: find link: %w", err)
	}
	return l, l.address.UnmarshalText([]byte(address))
}

// useLinkTx uses the link up, in the scope of its user; of several at the same
// time one succeeds.
func (s *Service) useLinkTx(tx *store.Tx, l link, purpose string) error {
	var hash []byte
	err := tx.Row(useLink, id.HashSecret(l.secret), purpose, store.Micros(s.Now())).Scan(&hash)
	if errors.Is(err, store.ErrNone) {
		return errLink
	}
	if err != nil {
		return fmt.Errorf("signin: use link: %w", err)
	}
	return nil
}

// resetForm shows the form for a new password to who has the link.
func (s *Service) resetForm(w http.ResponseWriter, r *http.Request) error {
	l, err := s.openLink(r.Context(), "rst", purposeReset, r.URL.Query().Get("token"))
	if err != nil {
		return s.deadLink(w, r, err)
	}
	return s.showReset(w, r, http.StatusOK, l, nil)
}

func (s *Service) showReset(w http.ResponseWriter, r *http.Request, status int, l link, err error) error {
	minimum, _, aerr := s.asked(r.Context(), l.user)
	if aerr != nil {
		return aerr
	}
	return s.render(w, r, status, "reset-password", "signin.reset-password.title", view{Token: l.secret, Minimum: minimum}, err)
}

func (s *Service) deadLink(w http.ResponseWriter, r *http.Request, err error) error {
	if !errors.Is(err, errLink) {
		return err
	}
	return s.render(w, r, http.StatusNotFound, "reset-request", "signin.reset.title", view{}, err)
}

// reset sets the new password: every session of hers ends, and nothing is
// signed in: the next sign-in asks for the second factor as ever (ASVS 6.4.3).
func (s *Service) reset(w http.ResponseWriter, r *http.Request) error {
	form, err := web.Form(r)
	if err != nil {
		return err
	}
	ctx, who := r.Context(), web.Who(r)
	slot, err := s.Credential.Hasher.Reserve()
	if err != nil {
		return err
	}
	defer slot.Release()
	l, err := s.openLink(ctx, "rst", purposeReset, form.Get("token"))
	if err != nil {
		return s.deadLink(w, r, err)
	}
	held, err := s.Credential.Load(ctx, l.user)
	if err != nil {
		return err
	}
	pen, err := s.Audit.Pen(ctx, actor(who, &flow{}, false), id.Org{}, l.user)
	if err != nil {
		return err
	}
	secret, err := s.newPassword(ctx, slot, pen.Ring, l.user, form, held.HasSecond())
	if fault.KindOf(err) == fault.Invalid {
		return s.showReset(w, r, http.StatusUnprocessableEntity, l, err)
	}
	if err != nil {
		return err
	}
	notice, err := s.changedMail(ctx, l.user, "password", who)
	if err != nil {
		return err
	}
	var ended []id.Session
	err = s.Store.Update(ctx, store.User(l.user), func(tx *store.Tx) error {
		if err := s.useLinkTx(tx, l, purposeReset); err != nil {
			return err
		}
		if err := s.Credential.SetPasswordTx(tx, secret); err != nil {
			return err
		}
		if ended, err = s.Session.EndAllTx(tx, l.user, id.Session{}, "password_reset"); err != nil {
			return err
		}
		if err := s.queue(tx, pen.Ring, notice); err != nil {
			return err
		}
		return pen.Record(tx, audit.Entry{
			Kind: EventReset, Target: audit.Target{Kind: "user", ID: l.user.String()}, Person: l.user,
			Facts: map[string]any{"sessions_ended": len(ended)},
		})
	})
	if err != nil {
		return s.deadLink(w, r, err)
	}
	s.Session.Forget(ended...)
	session.ClearCookie(w)
	web.Redirect(w, r, "/sign-in?done=signin.reset-password.done")
	return nil
}

// SendVerification mails the link that proves an address of the user.
func (s *Service) SendVerification(ctx context.Context, who caller.Caller, user id.User, address id.Address) error {
	u, err := s.Directory.FindUser(ctx, user)
	if err != nil {
		return err
	}
	var to directory.Address
	for _, a := range u.Addresses {
		if a.ID == address {
			to = a
		}
	}
	if to.ID.IsZero() || !to.Verified.IsZero() {
		return fault.ErrNotFound
	}
	pen, err := s.Audit.Pen(ctx, who, id.Org{}, user)
	if err != nil {
		return err
	}
	secret, now := id.NewSecret("vfy"), s.Now()
	m := s.message(u, to.Email, "signin.mail.verify", "verify")
	m.Link, m.Expires = s.absolute("/sign-in/verify-email?token="+url.QueryEscape(secret)), now.Add(verifyTerm)
	m.Args["Term"] = verifyTerm
	guess := credential.NewGuess(credential.Reset, user, nil, who.Source)
	err = s.Store.Maintain(ctx, store.Lookup(), func(tx *store.Tx) error {
		_, err := s.Credential.CountTx(tx, guess)
		return err
	})
	if err != nil {
		return err
	}
	return s.Store.Update(ctx, store.User(user), func(tx *store.Tx) error {
		if err := s.linkTx(tx, secret, purposeVerify, address, m.Expires); err != nil {
			return err
		}
		if err := s.queue(tx, pen.Ring, letter{m}); err != nil {
			return err
		}
		return pen.Record(tx, audit.Entry{Kind: EventVerifySent, Target: audit.Target{Kind: "address", ID: address.String()}, Person: user})
	})
}

// verifyPage asks to confirm: a mail filter that opens links must not use one up.
func (s *Service) verifyPage(w http.ResponseWriter, r *http.Request) error {
	l, err := s.openLink(r.Context(), "vfy", purposeVerify, r.URL.Query().Get("token"))
	if err != nil {
		return s.verifyDead(w, r, err)
	}
	return s.render(w, r, http.StatusOK, "verify-email", "signin.verify.title", view{Token: l.secret}, nil, console.Lead("signin.verify.lead"))
}

func (s *Service) verifyDead(w http.ResponseWriter, r *http.Request, err error) error {
	if !errors.Is(err, errLink) && !errors.Is(err, directory.ErrEmailTaken) && !errors.Is(err, directory.ErrNone) {
		return err
	}
	if errors.Is(err, directory.ErrNone) {
		err = errLink
	}
	return s.render(w, r, http.StatusNotFound, "verify-email", "signin.verify.title", view{}, err)
}

func (s *Service) verify(w http.ResponseWriter, r *http.Request) error {
	form, err := web.Form(r)
	if err != nil {
		return err
	}
	ctx, who := r.Context(), web.Who(r)
	l, err := s.openLink(ctx, "vfy", purposeVerify, form.Get("token"))
	if err != nil {
		return s.verifyDead(w, r, err)
	}
	pen, err := s.Audit.Pen(ctx, actor(who, &flow{}, false), id.Org{}, l.user)
	if err != nil {
		return err
	}
	err = s.Store.Update(ctx, store.User(l.user), func(tx *store.Tx) error {
		if err := s.useLinkTx(tx, l, purposeVerify); err != nil {
			return err
		}
		if err := s.Directory.ProveAddressTx(tx, l.address); err != nil {
			return err
		}
		return pen.Record(tx, audit.Entry{Kind: EventVerified, Target: audit.Target{Kind: "address", ID: l.address.String()}, Person: l.user})
	})
	if err != nil {
		return s.verifyDead(w, r, err)
	}
	web.Redirect(w, r, "/account?done=signin.verify.done")
	return nil
}
