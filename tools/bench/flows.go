package main

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// driver asks the product what its clients and browsers ask it.
type driver struct {
	s     *server
	http  *http.Client
	users int
	keys  jose.JSONWebKeySet
}

func newDriver(s *server, workers, users int) (*driver, error) {
	d := &driver{s: s, http: newClient(workers), users: users}
	b, err := d.get("/oauth/jwks")
	if err != nil {
		return nil, err
	}
	return d, json.Unmarshal(b, &d.keys)
}

func (d *driver) get(path string) ([]byte, error) {
	r, err := http.NewRequest(http.MethodGet, d.s.base+path, nil)
	if err != nil {
		return nil, err
	}
	return fetch(d.http, r, http.StatusOK)
}

// logSize is the size of the installation's log at its newest checkpoint, a
// C2SP signed note whose second line it is.
func (d *driver) logSize() (int64, error) {
	r, err := http.NewRequest(http.MethodGet, d.s.base+"/api/v1/installation/log/checkpoint", nil)
	if err != nil {
		return 0, err
	}
	r.Header.Set("Authorization", "Bearer "+d.s.c.Staff.APIKey)
	b, err := fetch(d.http, r, http.StatusOK)
	if err != nil {
		return 0, err
	}
	lines := strings.SplitN(string(b), "\n", 3)
	if len(lines) < 3 {
		return 0, errors.New("the checkpoint is not understood")
	}
	return strconv.ParseInt(lines[1], 10, 64)
}

type tokens struct {
	Access  string `json:"access_token"`
	ID      string `json:"id_token"`
	Refresh string `json:"refresh_token"`
}

// token posts to the token endpoint as a client named in the contract.
func (d *driver) token(client string, form url.Values) (t tokens, err error) {
	for _, c := range d.s.c.Clients {
		if c.Name != client {
			continue
		}
		r, err := http.NewRequest(http.MethodPost, d.s.base+"/oauth/token", strings.NewReader(form.Encode()))
		if err != nil {
			return t, err
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth(url.QueryEscape(c.ClientID), url.QueryEscape(c.ClientSecret))
		b, err := fetch(d.http, r, http.StatusOK)
		if err != nil {
			return t, err
		}
		return t, json.Unmarshal(b, &t)
	}
	return t, fmt.Errorf("the demo has no client %s", client)
}

// verify checks a token with a library that the product does not sign with:
// its signature, issuer and times.
func (d *driver) verify(token string) error {
	t, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return err
	}
	var c jwt.Claims
	if err := t.Claims(d.keys, &c); err != nil {
		return err
	}
	if c.Expiry == nil {
		return errors.New("the token never expires")
	}
	return c.ValidateWithLeeway(jwt.Expected{Issuer: d.s.c.Issuer}, 0)
}

var (
	formTag   = regexp.MustCompile(`(?is)<form([^>]*)>(.*?)</form>`)
	inputTag  = regexp.MustCompile(`(?is)<input([^>]*)>`)
	attribute = regexp.MustCompile(`(?is)([a-z-]+)\s*=\s*"([^"]*)"`)
)

func attributes(tag string) map[string]string {
	out := map[string]string{}
	for _, a := range attribute.FindAllStringSubmatch(tag, -1) {
		out[strings.ToLower(a[1])] = html.UnescapeString(a[2])
	}
	return out
}

// fill reads the first form of a page and answers its action and fields.
func fill(page []byte, known map[string]string) (action string, fields url.Values, err error) {
	form := formTag.FindSubmatch(page)
	if form == nil {
		return "", nil, errors.New("the page has no form")
	}
	fields = url.Values{}
	for _, in := range inputTag.FindAllSubmatch(form[2], -1) {
		a := attributes(string(in[1]))
		name := a["name"]
		if name == "" || a["type"] == "checkbox" {
			continue
		}
		if v, ok := known[name]; ok {
			fields.Set(name, v)
		} else {
			fields.Set(name, a["value"])
		}
	}
	return attributes(string(form[1]))["action"], fields, nil
}

// random is fit for a code verifier too: 43 characters (RFC 7636 section 4.1).
func random() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // crypto/rand does not fail
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// signIn is a whole sign-in of load-n with a fresh browser: authorization
// request with PKCE, the pages, and the code for tokens.
func (d *driver) signIn(n int) (tokens, error) {
	var redirect, id string
	for _, c := range d.s.c.Clients {
		if c.Name == "web" {
			id, redirect = c.ClientID, c.RedirectURIs[0]
		}
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		return tokens{}, err
	}
	browser := *d.http
	browser.Jar = jar
	verifier := random()
	sum := sha256.Sum256([]byte(verifier))
	q := url.Values{
		"response_type": {"code"}, "client_id": {id}, "redirect_uri": {redirect}, "scope": {"openid offline_access"},
		"state": {random()}, "nonce": {random()},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	known := map[string]string{"email": fmt.Sprintf("load-%d@acme.example", n%d.users), "password": d.s.c.LoadPassword}
	r, err := http.NewRequest(http.MethodGet, d.s.base+"/oauth/authorize?"+q.Encode(), nil)
	if err != nil {
		return tokens{}, err
	}
	for range 12 {
		res, err := browser.Do(r)
		if err != nil {
			return tokens{}, err
		}
		page, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil {
			return tokens{}, err
		}
		if to := res.Header.Get("Location"); to != "" {
			u, err := r.URL.Parse(to)
			if err != nil {
				return tokens{}, err
			}
			if strings.HasPrefix(u.String(), redirect) {
				code := u.Query().Get("code")
				if code == "" {
					return tokens{}, fmt.Errorf("no code: %s", u.Query().Get("error"))
				}
				return d.token("web", url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {redirect}, "code_verifier": {verifier}})
			}
			if r, err = http.NewRequest(http.MethodGet, u.String(), nil); err != nil {
				return tokens{}, err
			}
			continue
		}
		if res.StatusCode != http.StatusOK {
			return tokens{}, fmt.Errorf("%s %s: %s", r.Method, r.URL.Path, res.Status)
		}
		action, fields, err := fill(page, known)
		if err != nil {
			return tokens{}, fmt.Errorf("%s: %w", r.URL.Path, err)
		}
		u, err := r.URL.Parse(action)
		if err != nil {
			return tokens{}, err
		}
		if r, err = http.NewRequest(http.MethodPost, u.String(), strings.NewReader(fields.Encode())); err != nil {
			return tokens{}, err
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return tokens{}, errors.New("the sign-in does not end")
}

// chains are refresh tokens, one a worker, each redeemed for the next.
type chains struct {
	d      *driver
	tokens []string
	last   []tokens
}

func newChains(d *driver, workers int) (*chains, error) {
	c := &chains{d: d, tokens: make([]string, workers), last: make([]tokens, workers)}
	for w := range workers {
		t, err := d.signIn(w)
		if err != nil {
			return nil, err
		}
		c.tokens[w] = t.Refresh
	}
	return c, nil
}

// next redeems the worker's token. A chain that broke stays broken: its token
// was used, and using it again would be a theft to the product.
func (c *chains) next(w int) error {
	if c.tokens[w] == "" {
		return fmt.Errorf("no refresh token is left: %w", errStop)
	}
	t, err := c.d.token("web", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {c.tokens[w]}})
	if err == nil && (t.Refresh == "" || t.Refresh == c.tokens[w]) {
		err = errors.New("the refresh token was not rotated")
	}
	c.tokens[w] = t.Refresh
	if err != nil {
		c.tokens[w] = ""
		return fmt.Errorf("%w: %w", err, errStop)
	}
	c.last[w] = t
	return nil
}
