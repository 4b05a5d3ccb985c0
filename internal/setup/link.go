package setup

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/store"
	"github.com/rempart/rempart/internal/web"
)

const (
	linkLife    = 30 * time.Minute // from its making to its opening
	browserLife = 12 * time.Hour   // from the opening of the link to the end of the wizard
	tokenLen    = 32               // bytes: 256 bits

	linkPath   = "/setup/link/"
	cookieName = "__Host-rempart_setup"
)

// Refusals of the link and the wizard.
var (
	errUsed     = fault.New(fault.Denied, "setup.link.used", nil)
	errExpired  = fault.New(fault.Denied, "setup.link.expired", nil)
	errInsecure = fault.New(fault.Denied, "setup.link.insecure", nil)
	errNoLink   = fault.New(fault.Denied, "setup.link.needed", nil)
)

// ErrCompleted refuses a link once set-up is complete.
var ErrCompleted = errors.New("set-up is complete; it is never opened again")

// NewLink makes the one-time link to the wizard. A link made before it is void,
// and so is the browser that opened that. It refuses with ErrCompleted when
// set-up is over and with ErrNone where nothing has begun.
func (s *Service) NewLink(ctx context.Context, who caller.Caller) (string, error) {
	pen, err := s.Audit.Pen(ctx, who, id.Org{})
	if err != nil {
		return "", fmt.Errorf("setup: make link: %w", err)
	}
	token, hash := newToken()
	var v State
	err = s.Store.Update(ctx, store.System("setup.link"), func(tx *store.Tx) error {
		if v, err = readState(tx); err != nil {
			return err
		}
		switch {
		case !v.Begun():
			return ErrNone
		case v.Completed():
			return ErrCompleted
		}
		ends := pen.At().Add(linkLife)
		if _, err := tx.Exec(replaceLink, theOne, hash, store.Micros(ends)); err != nil {
			return err
		}
		return pen.Record(tx, audit.Entry{Kind: eventLinkMade, Target: audit.Target{Kind: "installation", ID: v.Issuer},
			Facts: map[string]any{"ends_at": ends.Format(time.RFC3339)}})
	})
	if errors.Is(err, ErrNone) || errors.Is(err, ErrCompleted) {
		return "", err
	}
	if err != nil {
		return "", fmt.Errorf("setup: make link: %w", err)
	}
	return v.Issuer + linkPath + token, nil
}

// Link tells whether the token opens the wizard, without opening it: nil, or
// the refusal that OpenLink would give, fault.ErrNotFound for one that was
// never given out.
func (s *Service) Link(ctx context.Context, token string) error {
	v, l, err := s.readLink(ctx)
	if err != nil {
		return err
	}
	return s.judge(v, l, token)
}

// OpenLink opens the wizard for one browser: it gives what the browser's cookie
// holds from then on. Of any number of browsers that try, the first succeeds.
func (s *Service) OpenLink(ctx context.Context, who caller.Caller, token string, secure bool) (string, error) {
	browser, browserHash := newToken()
	hash, _ := hashToken(token)
	pen, err := s.Audit.Pen(ctx, actor(who), id.Org{})
	if err != nil {
		return "", fmt.Errorf("setup: open link: %w", err)
	}
	v, l, err := s.readLink(ctx)
	if err == nil {
		err = s.judge(v, l, token)
	}
	if err == nil && !secure {
		err = errInsecure
	}
	if err == nil {
		err = s.Store.Update(ctx, store.System("setup.open"), func(tx *store.Tx) error {
			var one string
			err := tx.Row(openLink, theOne, hash, store.Micros(pen.At()), browserHash).Scan(&one)
			if errors.Is(err, store.ErrNone) {
				return errUsed // another browser was first, since it was judged just now
			}
			if err != nil {
				return fmt.Errorf("setup: open link: %w", err)
			}
			return pen.Record(tx, audit.Entry{Kind: eventLinkOpened, Target: audit.Target{Kind: "installation", ID: v.Issuer}})
		})
	}
	if f := fault.Of(err); f != nil && f.Kind == fault.Denied {
		// Whoever holds the right link and is refused is worth an entry; any
		// other word in its place is not.
		if lerr := s.Audit.Refuse(ctx, actor(who), id.Org{}, audit.Entry{Kind: eventLinkRefused,
			Target: audit.Target{Kind: "installation", ID: v.Issuer}, Code: f.Key}); lerr != nil {
			return "", fmt.Errorf("setup: open link: %w", lerr)
		}
	}
	if err != nil {
		return "", err
	}
	return browser, nil
}

// link is the stored side of the link and of the browser that opened it.
type link struct {
	hash, browser []byte
	ends, used    time.Time
}

func (s *Service) readLink(ctx context.Context) (v State, l link, err error) {
	err = s.Store.View(ctx, store.System("setup.link"), func(tx *store.Tx) error {
		if v, err = readState(tx); err != nil || !v.Begun() {
			return err
		}
		var ends, used int64
		err := tx.Row(selectLink, theOne).Scan(&l.hash, &ends, &used, &l.browser)
		l.ends, l.used = store.Time(ends), store.Time(used)
		return err
	})
	if err != nil {
		return v, l, fmt.Errorf("setup: read link: %w", err)
	}
	return v, l, nil
}

func (s *Service) judge(v State, l link, token string) error {
	hash, ok := hashToken(token)
	switch {
	case !v.Begun() || v.Completed() || !ok || !equal(hash, l.hash):
		return fault.ErrNotFound
	case !l.used.IsZero():
		return errUsed
	case !s.Now().Before(l.ends):
		return errExpired
	}
	return nil
}

// admit decides whether the request's browser runs the wizard. After
// completion there is no wizard: fault.ErrNotFound, for ever.
func (s *Service) admit(r *http.Request) (State, error) {
	v, l, err := s.readLink(r.Context())
	if err != nil {
		return v, err
	}
	if !v.Begun() || v.Completed() {
		return v, fault.ErrNotFound
	}
	if !s.secure(r, web.Who(r).Source) {
		return v, errInsecure
	}
	// Two cookies of one __Host- name come from somewhere else than us.
	cs := r.CookiesNamed(cookieName)
	if len(cs) != 1 {
		return v, errNoLink
	}
	hash, ok := hashToken(cs[0].Value)
	if !ok || !equal(hash, l.browser) || !s.Now().Before(l.used.Add(browserLife)) {
		return v, errNoLink
	}
	return v, nil
}

func setCookie(w http.ResponseWriter, browser string) {
	http.SetCookie(w, &http.Cookie{Name: cookieName, Value: browser, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

func clearCookie(w http.ResponseWriter) {
	http.SetCookie(w, &http.Cookie{Name: cookieName, Path: "/", MaxAge: -1, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

// newToken makes 256 bits for a URL or cookie, and the hash that is stored.
func newToken() (string, []byte) {
	var b [tokenLen]byte
	rand.Read(b[:])
	sum := sha256.Sum256(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:]), sum[:]
}

func hashToken(token string) ([]byte, bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(b) != tokenLen {
		return nil, false
	}
	sum := sha256.Sum256(b)
	return sum[:], true
}

func equal(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }
