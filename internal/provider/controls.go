package provider

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/net/html"

	"github.com/rempart/rempart/internal/capability"
)

// controls backs statements I1 (one authority by OpenID Connect), I3 (one
// sign-in for several applications) and I4 (OAuth 2.0 as it should be). Each
// goes through the listener as a browser and a client would, with the canary's
// credentials, and verifies tokens with a library that did not make them.
func (s *Service) controls() []capability.Control {
	mapping := []string{"ISO27001:A.8.5", "SOC2:CC6.1", "NIS2:21.2.j", "CAIQ:IAM-14", "GDPR:32.1.b"}
	control := func(id, row, population string, check func(context.Context, *probe) error) capability.Control {
		return capability.Control{
			ID: id, Statements: []string{row}, Class: capability.Proven, Population: population, Every: 5 * time.Minute, Window: 20 * time.Minute,
			Severity: "high", Mapping: mapping, Check: func(ctx context.Context, p capability.Probe) capability.Result { return run(ctx, p, check) },
		}
	}
	return []capability.Control{
		control("oidc.conformance", "I1", "provider.control.population.sign-in", checkConformance),
		control("oidc.sso", "I3", "provider.control.population.sign-in", checkSSO),
		control("oauth.policy", "I4", "provider.control.population.clients", s.checkPolicy),
	}
}

// probe is one run of a control: a browser, a client, and what was seen.
type probe struct {
	base    string
	now     time.Time
	http    *http.Client
	canary  capability.Canary
	checked int64
	wrong   []string
}

// see notes whether something was as it should be.
func (p *probe) see(ok bool, what string) {
	p.checked++
	if !ok {
		p.wrong = append(p.wrong, what)
	}
}

func run(ctx context.Context, c capability.Probe, check func(context.Context, *probe) error) capability.Result {
	canary, err := c.Canary(ctx)
	if err != nil {
		return capability.Result{Verdict: capability.Unknown, Err: err}
	}
	p := &probe{base: c.Base, now: c.Now, http: c.Client(), canary: canary}
	if err := check(ctx, p); err != nil {
		return capability.Result{Verdict: capability.Unknown, Checked: p.checked, Err: err}
	}
	r := capability.Result{Verdict: capability.Pass, Checked: p.checked, Failed: int64(len(p.wrong)), Evidence: map[string]any{"wrong": append([]string{}, p.wrong...)}}
	if r.Failed > 0 {
		r.Verdict = capability.Fail
	}
	return r
}

// fetch asks and reads at most a megabyte. form makes it a POST.
func (p *probe) fetch(ctx context.Context, path string, form url.Values, secret bool) (*http.Response, []byte, error) {
	method, body := http.MethodGet, io.Reader(nil)
	if form != nil {
		method, body = http.MethodPost, strings.NewReader(form.Encode())
	}
	if strings.HasPrefix(path, "/") {
		path = p.base + path
	}
	r, err := http.NewRequestWithContext(ctx, method, path, body)
	if err != nil {
		return nil, nil, err
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if secret {
		r.SetBasicAuth(p.canary.ClientID, p.canary.ClientSecret)
	}
	res, err := p.http.Do(r)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	return res, b, err
}

func (p *probe) tokens(ctx context.Context, form url.Values) (status int, out map[string]any, err error) {
	res, b, err := p.fetch(ctx, pathToken, form, true)
	if err != nil {
		return 0, nil, err
	}
	if err := json.Unmarshal(b, &out); err != nil {
		return 0, nil, fmt.Errorf("provider: token endpoint answered %d without JSON", res.StatusCode)
	}
	return res.StatusCode, out, nil
}

// errPages is returned when the sign-in pages did not lead to the client.
var errPages = errors.New("provider: the sign-in pages led nowhere")

// authorize walks from the authorization endpoint through the pages, as the
// canary, to the query of the redirect, and counts the pages that it met. No
// redirect at all is an empty query.
func (p *probe) authorize(ctx context.Context, q url.Values) (got url.Values, pages int, err error) {
	at, form := p.base+pathAuthorize+"?"+q.Encode(), url.Values(nil)
	for range 20 {
		res, body, err := p.fetch(ctx, at, form, false)
		if err != nil {
			return nil, pages, err
		}
		form = nil
		if loc := res.Header.Get("Location"); loc != "" {
			next, err := res.Request.URL.Parse(loc)
			if err != nil {
				return nil, pages, err
			}
			if !strings.HasPrefix(next.String(), p.base+"/") {
				if !strings.HasPrefix(next.String(), p.canary.RedirectURI) {
					return url.Values{"elsewhere": {next.Host}}, pages, nil
				}
				return next.Query(), pages, nil
			}
			at = next.String()
			continue
		}
		if res.StatusCode >= 400 {
			return url.Values{}, pages, nil
		}
		pages++
		action, fields := firstForm(body)
		if fields == nil {
			return nil, pages, errPages
		}
		for name := range fields {
			switch name {
			case "email":
				fields.Set(name, p.canary.PlainEmail)
			case "password":
				fields.Set(name, p.canary.Password)
			}
		}
		next, err := res.Request.URL.Parse(action)
		if err != nil {
			return nil, pages, err
		}
		at, form = next.String(), fields
	}
	return nil, pages, errPages
}

// firstForm reads the first form of a page: where it leads, and its fields with
// the button that goes on.
func firstForm(page []byte) (action string, fields url.Values) {
	z := html.NewTokenizer(strings.NewReader(string(page)))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return action, fields
		case html.EndTagToken:
			if name, _ := z.TagName(); string(name) == "form" && fields != nil {
				return action, fields
			}
		case html.StartTagToken, html.SelfClosingTagToken:
			tok := z.Token()
			a := map[string]string{}
			for _, at := range tok.Attr {
				a[at.Key] = at.Val
			}
			switch {
			case tok.Data == "form" && fields == nil:
				action, fields = a["action"], url.Values{}
			case fields == nil || a["name"] == "":
			case tok.Data == "input" && (a["type"] != "checkbox" || a["checked"] != ""):
				fields.Set(a["name"], a["value"])
			case tok.Data == "button" && (a["data-action"] == "allow" || a["data-action"] == "continue") && !fields.Has(a["name"]):
				fields.Set(a["name"], a["value"])
			}
		}
	}
}

// request is a good authorization request with its verifier.
func (p *probe) request(scope string) (q url.Values, verifier string) {
	var b [32]byte
	rand.Read(b[:])
	verifier = base64.RawURLEncoding.EncodeToString(b[:])
	sum := sha256.Sum256([]byte(verifier))
	return url.Values{"response_type": {"code"}, "client_id": {p.canary.ClientID}, "redirect_uri": {p.canary.RedirectURI}, "scope": {scope}, "state": {verifier[:12]}, "nonce": {verifier[12:24]},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"}}, verifier
}

func (p *probe) redeem(code, verifier string) url.Values {
	return url.Values{"grant_type": {grantCode}, "code": {code}, "redirect_uri": {p.canary.RedirectURI}, "code_verifier": {verifier}}
}

// signIn runs one sign-in to its tokens.
func (p *probe) signIn(ctx context.Context, scope string) (q url.Values, out map[string]any, err error) {
	q, verifier := p.request(scope)
	got, _, err := p.authorize(ctx, q)
	if err != nil {
		return q, nil, err
	}
	p.see(got.Get("code") != "" && got.Get("state") == q.Get("state") && got.Get("iss") == p.base, "response of the authorization endpoint")
	if got.Get("code") == "" {
		return q, map[string]any{}, nil
	}
	status, out, err := p.tokens(ctx, p.redeem(got.Get("code"), verifier))
	p.see(status == http.StatusOK, "exchange of the code")
	return q, out, err
}

// verify checks a token against the published keys.
func (p *probe) verify(ctx context.Context, token any) (map[string]any, error) {
	text, _ := token.(string)
	_, body, err := p.fetch(ctx, pathJWKS, nil, false)
	if err != nil {
		return nil, err
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, err
	}
	sig, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{jose.ES256, jose.RS256})
	if err != nil {
		return nil, nil // no token of ours; the caller sees no claims
	}
	for _, k := range set.Key(sig.Signatures[0].Header.KeyID) {
		if raw, err := sig.Verify(k); err == nil {
			claims := map[string]any{}
			return claims, json.Unmarshal(raw, &claims)
		}
	}
	return nil, nil
}

func checkConformance(ctx context.Context, p *probe) error {
	_, body, err := p.fetch(ctx, "/.well-known/openid-configuration", nil, false)
	if err != nil {
		return err
	}
	var m metadata
	if err := json.Unmarshal(body, &m); err != nil {
		return fmt.Errorf("provider: discovery: %w", err)
	}
	p.see(m.Issuer == p.base && m.JWKS == p.base+pathJWKS, "issuer")
	p.see(slices.Equal(m.ResponseTypes, []string{"code"}) && slices.Equal(m.ChallengeMethods, []string{"S256"}), "code with PKCE alone")
	p.see(!slices.Contains(m.GrantTypes, "implicit") && !slices.Contains(m.GrantTypes, "password"), "grants announced")
	q, out, err := p.signIn(ctx, "openid")
	if err != nil {
		return err
	}
	claims, err := p.verify(ctx, out["id_token"])
	if err != nil {
		return err
	}
	p.see(claims != nil && claims["iss"] == p.base && claims["aud"] == p.canary.ClientID && claims["nonce"] == q.Get("nonce") && claims["sub"] == p.canary.PlainID, "ID token")
	access, err := p.verify(ctx, out["access_token"])
	if err != nil {
		return err
	}
	p.see(access != nil && access["sub"] == p.canary.PlainID, "access token")
	for _, bad := range []string{"token", "id_token", "code token"} {
		q, _ := p.request("openid")
		q.Set("response_type", bad)
		got, _, err := p.authorize(ctx, q)
		if err != nil {
			return err
		}
		p.see(got.Get("error") == "unsupported_response_type", "response type "+bad)
	}
	status, _, err := p.tokens(ctx, url.Values{"grant_type": {"password"}, "username": {p.canary.PlainEmail}, "password": {p.canary.Password}})
	p.see(status == http.StatusBadRequest, "password grant")
	return err
}

// agreed are the claims that an ID token has for the scope openid alone.
var agreed = []string{"iss", "sub", "aud", "azp", "exp", "iat", "auth_time", "nonce", "acr", "amr", "sid", "at_hash", "org_id"}

func checkSSO(ctx context.Context, p *probe) error {
	if _, _, err := p.signIn(ctx, "openid email"); err != nil {
		return err
	}
	q, verifier := p.request("openid")
	q.Set("prompt", "none")
	got, pages, err := p.authorize(ctx, q)
	if err != nil {
		return err
	}
	p.see(pages == 0 && got.Get("code") != "", "second application without a page")
	_, out, err := p.tokens(ctx, p.redeem(got.Get("code"), verifier))
	if err != nil {
		return err
	}
	claims, err := p.verify(ctx, out["id_token"])
	if err != nil {
		return err
	}
	p.see(claims["sub"] == p.canary.PlainID, "one identifier")
	beyond := false
	for name := range claims {
		beyond = beyond || !slices.Contains(agreed, name)
	}
	p.see(claims != nil && !beyond, "only the agreed claims")
	return nil
}

func (s *Service) checkPolicy(ctx context.Context, p *probe) error {
	all, err := s.Clients(ctx)
	if err != nil {
		return err
	}
	for _, c := range all {
		ok := !slices.ContainsFunc(c.RedirectURIs, func(u string) bool { return checkRedirect(c.Type, u) != "" })
		p.see(ok && !slices.ContainsFunc(c.GrantTypes, func(g string) bool { return !slices.Contains(grantTypes, g) }), "client "+c.ID.String())
	}
	refused := func(change func(url.Values), want string) error {
		q, _ := p.request("openid")
		change(q)
		got, _, err := p.authorize(ctx, q)
		p.see(!got.Has("code") && !got.Has("elsewhere") && (want == "" || got.Get("error") == want), "refusal "+want)
		return err
	}
	err = errors.Join(
		refused(func(q url.Values) { q.Del("code_challenge"); q.Del("code_challenge_method") }, "invalid_request"),
		refused(func(q url.Values) { q.Set("code_challenge_method", "plain") }, "invalid_request"),
		refused(func(q url.Values) { q.Set("redirect_uri", p.canary.RedirectURI+"/") }, ""),
	)
	if err != nil {
		return err
	}
	q, verifier := p.request("openid")
	got, _, err := p.authorize(ctx, q)
	if err != nil {
		return err
	}
	try := func(form url.Values, want int, what string) (map[string]any, error) {
		status, out, err := p.tokens(ctx, form)
		p.see(status == want, what)
		return out, err
	}
	refresh := func(tok any) url.Values {
		text, _ := tok.(string)
		return url.Values{"grant_type": {grantRefresh}, "refresh_token": {text}}
	}
	_, err1 := try(p.redeem(got.Get("code"), strings.Repeat("x", 43)), 400, "wrong verifier")
	first, err2 := try(p.redeem(got.Get("code"), verifier), 200, "right verifier")
	second, err3 := try(refresh(first["refresh_token"]), 200, "refresh")
	_, err4 := try(refresh(first["refresh_token"]), 400, "reuse of a refresh token")
	_, err5 := try(refresh(second["refresh_token"]), 400, "its family after the reuse")
	return errors.Join(err1, err2, err3, err4, err5)
}
