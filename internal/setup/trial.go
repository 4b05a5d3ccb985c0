package setup

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/provider"
)

// The test sign-in is a relying party of its own: a public client with PKCE
// (RFC 7636) whose callback is a page of the wizard. It asks our own endpoints
// over the loopback client, past every guard, and believes nothing that it has
// not verified as a stranger would.
const (
	trialCallback = "/setup/test/callback"
	trialCookie   = "__Host-rempart_setup_test"
	trialLife     = 10 * time.Minute
	trialMax      = 1 << 20 // bytes of an answer
)

// Claim is one claim that the test sign-in has received.
type Claim struct{ Name, Value string }

// Trial is what the test sign-in has received.
type Trial struct {
	Algorithm string  // that the ID token is signed with
	Claims    []Claim // of the ID token, by name
	Person    []Claim // of the userinfo endpoint, by name
}

// BeginTest gives the path to send the browser to, and what its cookie holds
// until it comes back. The client of the test is made the first time.
func (s *Service) BeginTest(ctx context.Context, who caller.Caller) (path, cookie string, err error) {
	err = s.do(ctx, who, StepTest, func(p Progress) (string, bool, error) {
		v, err := s.Find(ctx)
		if err != nil {
			return "", false, err
		}
		client := p.trial()
		if _, err := s.Provider.Client(ctx, client); errors.Is(err, fault.ErrNotFound) {
			c, _, err := s.Provider.AddClient(ctx, actor(who), provider.ClientInput{
				Name: s.product() + " set-up test", Type: provider.ClientSPA, FirstParty: true,
				RedirectURIs: []string{v.Issuer + trialCallback}, GrantTypes: []string{"authorization_code"}, Scopes: []string{"openid", "profile", "email"},
			})
			if err != nil {
				return "", false, err
			}
			client = c.ID
		} else if err != nil {
			return "", false, err
		}
		state, _ := newToken()
		nonce, _ := newToken()
		verifier, _ := newToken()
		challenge := sha256.Sum256([]byte(verifier))
		cookie = state + "." + nonce + "." + verifier
		path = "/oauth/authorize?" + url.Values{
			"response_type": {"code"}, "client_id": {client.String()}, "redirect_uri": {v.Issuer + trialCallback},
			"scope": {"openid profile email"}, "state": {state}, "nonce": {nonce}, "prompt": {"login"},
			"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])}, "code_challenge_method": {"S256"},
		}.Encode()
		return client.String(), false, nil
	})
	return path, cookie, err
}

// errTrial says on the page what the test sign-in has found wrong. The reason
// is a protocol's word or one of ours; nothing of it is a secret.
func errTrial(reason string, cause error) error {
	return fault.New(fault.Conflict, "setup.test.failed", cause).With("Reason", reason)
}

// FinishTest takes the answer of our authorization endpoint, exchanges the code
// and verifies what comes. The step is done when everything holds and the
// person is the administrator.
func (s *Service) FinishTest(ctx context.Context, who caller.Caller, cookie string, answer url.Values) (Trial, error) {
	var t Trial
	err := s.do(ctx, who, StepTest, func(p Progress) (_ string, _ bool, err error) {
		v, err := s.Find(ctx)
		if err != nil {
			return "", false, err
		}
		parts := strings.Split(cookie, ".")
		switch {
		case len(parts) != 3 || !equal([]byte(parts[0]), []byte(answer.Get("state"))):
			return "", false, errTrial("state", nil)
		case answer.Get("iss") != v.Issuer: // RFC 9207
			return "", false, errTrial("iss", nil)
		case answer.Get("error") != "":
			return "", false, errTrial(errorWord(answer.Get("error")), nil)
		}
		t, err = s.exchange(ctx, v.Issuer, p.trial(), answer.Get("code"), parts[1], parts[2], p.User().String())
		return "", err == nil, err
	})
	return t, err
}

// exchange is the relying party's side of a sign-in.
func (s *Service) exchange(ctx context.Context, issuer string, client id.Client, code, nonce, verifier, subject string) (Trial, error) {
	var t Trial
	var meta struct {
		Issuer   string `json:"issuer"`
		Token    string `json:"token_endpoint"`
		Keys     string `json:"jwks_uri"`
		Userinfo string `json:"userinfo_endpoint"`
	}
	if err := s.fetch(ctx, http.MethodGet, issuer+"/.well-known/openid-configuration", nil, "", &meta); err != nil {
		return t, errTrial("discovery", err)
	}
	if meta.Issuer != issuer {
		return t, errTrial("issuer", nil)
	}
	for _, at := range []string{meta.Token, meta.Keys, meta.Userinfo} {
		if !strings.HasPrefix(at, issuer+"/") { // the code and the token go nowhere else
			return t, errTrial("discovery", nil)
		}
	}
	var got struct {
		ID     string `json:"id_token"`
		Access string `json:"access_token"`
		Type   string `json:"token_type"`
		Error  string `json:"error"`
	}
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {issuer + trialCallback},
		"client_id": {client.String()}, "code_verifier": {verifier}}
	if err := s.fetch(ctx, http.MethodPost, meta.Token, form, "", &got); err != nil {
		if got.Error != "" {
			return t, errTrial(errorWord(got.Error), err)
		}
		return t, errTrial("token", err)
	}
	var keys jose.JSONWebKeySet
	if err := s.fetch(ctx, http.MethodGet, meta.Keys, nil, "", &keys); err != nil {
		return t, errTrial("jwks", err)
	}
	token, err := jwt.ParseSigned(got.ID, []jose.SignatureAlgorithm{jose.ES256, jose.RS256})
	if err != nil {
		return t, errTrial("id_token", err)
	}
	var std jwt.Claims
	var all map[string]json.RawMessage
	if err := token.Claims(keys, &std, &all); err != nil {
		return t, errTrial("signature", err)
	}
	if err := std.ValidateWithLeeway(jwt.Expected{Issuer: issuer, AnyAudience: jwt.Audience{client.String()}, Time: s.Now()}, time.Minute); err != nil {
		return t, errTrial("id_token", err)
	}
	var said string
	if err := json.Unmarshal(all["nonce"], &said); err != nil || said != nonce {
		return t, errTrial("nonce", nil)
	}
	var person map[string]json.RawMessage
	if err := s.fetch(ctx, http.MethodGet, meta.Userinfo, nil, got.Access, &person); err != nil {
		return t, errTrial("userinfo", err)
	}
	// OIDC Core section 5.3.2: the two must speak of one person.
	if err := json.Unmarshal(person["sub"], &said); err != nil || said != std.Subject || said != subject {
		return t, errTrial("sub", nil)
	}
	delete(all, "nonce")
	t.Algorithm, t.Claims, t.Person = token.Headers[0].Algorithm, claims(all), claims(person)
	return t, nil
}

// fetch asks one of our endpoints and reads its JSON, that of an error too.
func (s *Service) fetch(ctx context.Context, method, at string, form url.Values, bearer string, into any) error {
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(ctx, method, at, body)
	if err != nil {
		return err
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	res, err := s.Client().Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, trialMax))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("%s answers %s: %w", at, res.Status, err)
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", at, res.Status)
	}
	return nil
}

// claims are the claims by name, each value as JSON writes it, text bare.
func claims(all map[string]json.RawMessage) []Claim {
	out := make([]Claim, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		value := string(all[name])
		var text string
		if json.Unmarshal(all[name], &text) == nil {
			value = text
		}
		out = append(out, Claim{name, value})
	}
	return out
}

// errorWord is an error code of OAuth, or a word for one that is none.
func errorWord(s string) string {
	if len(s) > 40 || s == "" || strings.ContainsFunc(s, func(r rune) bool { return r != '_' && (r < 'a' || r > 'z') }) {
		return "error"
	}
	return s
}

// removeTrial ends the client of the test sign-in.
func (s *Service) removeTrial(ctx context.Context, who caller.Caller, client id.Client) error {
	if client.IsZero() {
		return nil
	}
	err := s.Provider.RemoveClient(ctx, who, client)
	if errors.Is(err, fault.ErrNotFound) {
		return nil
	}
	return wrap("remove the client of the test", err)
}
