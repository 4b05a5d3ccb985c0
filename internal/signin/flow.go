package signin

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/keyring"
	"github.com/rempart/rempart/internal/store"
)

// step is where a flow stands.
type step string

const (
	stepPassword step = "password" // the password is asked for
	stepSecond   step = "second"   // a TOTP code or a recovery code is
	stepEnroll   step = "enroll"   // a second factor must be enrolled
	stepRenew    step = "renew"    // a longer password must be chosen
	stepCodes    step = "codes"    // the session exists; the new recovery codes are shown
	stepDone     step = "done"
)

// flow is one interactive sign-in, or a step-up of a session that exists.
type flow struct {
	ID      id.Flow
	Browser [32]byte
	User    id.User // zero: nobody has the address that was typed
	Session id.Session
	Step    step
	State   flowState
}

// flowState is the sealed part of a flow.
type flowState struct {
	Ask     Ask             `json:"ask"`
	Email   string          `json:"email"`
	Address []byte          `json:"address"` // keyed hash of the address, for the count of guesses
	Methods []caller.Method `json:"methods"` // proved so far in this flow
	Length  int             `json:"length"`  // of the password that was typed
	Other   string          `json:"other"`   // path to sign in as somebody else
	Full    bool            `json:"full"`    // every authenticator is proved: the limits of a session begin anew
}

// errFlow is the answer to a step of a flow that is over, is not this
// browser's, or does not stand at the step.
var errFlow = fault.New(fault.Conflict, "signin.error.flow", nil)

const flowCookie = "__Host-rempart_flow"

// browser gives the hash of the browser's flow cookie; ok is false without one.
func browser(r *http.Request) (hash [32]byte, ok bool) {
	cs := r.CookiesNamed(flowCookie)
	if len(cs) != 1 {
		return hash, false
	}
	raw, err := token.DecodeString(cs[0].Value)
	if err != nil || len(raw) != 32 {
		return hash, false
	}
	return sha256.Sum256(raw), true
}

// bindBrowser gives the hash of the browser's flow cookie, and a cookie where
// it has none.
func bindBrowser(w http.ResponseWriter, r *http.Request) [32]byte {
	if hash, ok := browser(r); ok {
		return hash
	}
	var raw [32]byte
	rand.Read(raw[:])
	http.SetCookie(w, &http.Cookie{Name: flowCookie, Value: token.EncodeToString(raw[:]), Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	return sha256.Sum256(raw[:])
}

var q = store.NewSet("signin")

var (
	insertFlow = q.Add("insert_flow", `INSERT INTO signin_flows (id, browser, user_id, session_id, step, state, created_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, store.ForLookup)
	findFlow    = q.Add("find_flow", `SELECT user_id, session_id, step, state FROM signin_flows WHERE id = $1 AND browser = $2 AND expires_at > $3`, store.ForLookup)
	advanceFlow = q.Add("advance_flow", `UPDATE signin_flows SET step = $4, state = $5 WHERE id = $1 AND browser = $2 AND step = $3 AND user_id = $user RETURNING id`)
	sweepFlows  = q.Add("sweep_flows", `DELETE FROM signin_flows WHERE expires_at < $1`, store.ForSystem)
)

// newFlow begins a flow at the step.
func (s *Service) newFlow(ctx context.Context, ring *keyring.Ring, f *flow) error {
	now := s.Now()
	f.ID = id.NewFlow(now)
	state, err := s.sealState(ring, f)
	if err != nil {
		return err
	}
	err = s.Store.Maintain(ctx, store.Lookup(), func(tx *store.Tx) error {
		_, err := tx.Exec(insertFlow, f.ID, f.Browser[:], f.User, f.Session, string(f.Step), state, store.Micros(now), store.Micros(now.Add(flowTerm)))
		return err
	})
	if err != nil {
		return fmt.Errorf("signin: insert flow: %w", err)
	}
	return nil
}

func (s *Service) sealState(ring *keyring.Ring, f *flow) ([]byte, error) {
	plain, err := json.Marshal(f.State)
	if err != nil {
		return nil, err
	}
	sealed, err := ring.Seal(keyring.Installation(), labelFlow, f.ID.String(), plain)
	if err != nil {
		return nil, fmt.Errorf("signin: seal flow: %w", err)
	}
	return sealed, nil
}

// findFlow reads this browser's flow; the error is errFlow when there is none.
func (s *Service) findFlow(r *http.Request, text string) (*flow, *keyring.Ring, error) {
	ctx := r.Context()
	fid, err := id.ParseFlow(text)
	hash, ok := browser(r)
	if err != nil || !ok {
		return nil, nil, errFlow
	}
	ring, err := s.Keys.Ready(ctx, keyring.Installation())
	if err != nil {
		return nil, nil, err
	}
	f := &flow{ID: fid, Browser: hash}
	var sealed []byte
	var at string
	err = s.Store.View(ctx, store.Lookup(), func(tx *store.Tx) error {
		return tx.Row(findFlow, fid, hash[:], store.Micros(s.Now())).Scan(&f.User, &f.Session, &at, &sealed)
	})
	if errors.Is(err, store.ErrNone) {
		return nil, nil, errFlow
	}
	if err != nil {
		return nil, nil, fmt.Errorf("signin: find flow: %w", err)
	}
	f.Step = step(at)
	plain, err := ring.Open(keyring.Installation(), labelFlow, fid.String(), sealed)
	if err != nil {
		return nil, nil, fmt.Errorf("signin: open flow: %w", err)
	}
	return f, ring, json.Unmarshal(plain, &f.State)
}

// advance is a flow's move to another step, sealed before the transaction.
type advance struct {
	flow *flow
	to   step
	body []byte
}

// prepare seals the move of f to the step, with what its state is now.
func (s *Service) prepare(ring *keyring.Ring, f *flow, to step) (advance, error) {
	body, err := s.sealState(ring, f)
	return advance{f, to, body}, err
}

// advanceTx makes the move, in the scope of the flow's user; of several at the
// same time one succeeds, and the others get errFlow.
func (s *Service) advanceTx(tx *store.Tx, a advance) error {
	var moved id.Flow
	err := tx.Row(advanceFlow, a.flow.ID, a.flow.Browser[:], string(a.flow.Step), string(a.to), a.body).Scan(&moved)
	if errors.Is(err, store.ErrNone) {
		return errFlow
	}
	if err != nil {
		return fmt.Errorf("signin: advance flow: %w", err)
	}
	return nil
}

// move makes a move that changes nothing else.
func (s *Service) move(ctx context.Context, ring *keyring.Ring, f *flow, to step) error {
	a, err := s.prepare(ring, f, to)
	if err != nil {
		return err
	}
	if err := s.Store.Maintain(ctx, store.User(f.User), func(tx *store.Tx) error { return s.advanceTx(tx, a) }); err != nil {
		return err
	}
	f.Step = to
	return nil
}

// stepPath is where the page of the flow's present step is.
func (f *flow) stepPath() string { return "/sign-in/step?flow=" + url.QueryEscape(f.ID.String()) }

// proved adds an authentication to what the flow has proved.
func (f *flow) proved(name string, at time.Time) {
	f.State.Methods = append(f.State.Methods, caller.Method{Name: name, At: at})
}

func (f *flow) has(names ...string) bool {
	for _, m := range f.State.Methods {
		for _, n := range names {
			if m.Name == n {
				return true
			}
		}
	}
	return false
}
