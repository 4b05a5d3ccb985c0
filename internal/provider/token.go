package provider

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/provider/jwt"
	"github.com/rempart/rempart/internal/store"
	"github.com/rempart/rempart/internal/web"
)

// tokens is the answer of the token endpoint (RFC 6749 section 5.1).
type tokens struct {
	Access  string `json:"access_token"`
	Type    string `json:"token_type"`
	Expires int64  `json:"expires_in"`
	Refresh string `json:"refresh_token,omitempty"`
	ID      string `json:"id_token,omitempty"`
	Scope   string `json:"scope"`
}

// readForm reads the body of an endpoint for clients. Parameters in the URL
// are not looked at (RFC 6749 section 3.2).
func readForm(r *http.Request) (url.Values, error) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/x-www-form-urlencoded" {
		return nil, refuse("invalid_request", "The body must be application/x-www-form-urlencoded.")
	}
	raw, err := io.ReadAll(io.LimitReader(r.Body, maxForm+1))
	if err != nil || len(raw) > maxForm {
		return nil, refuse("invalid_request", "The body is too large or was cut off.")
	}
	if strings.Count(string(raw), "&") > maxParameters {
		return nil, refuse("invalid_request", "There are too many parameters.")
	}
	v, err := url.ParseQuery(string(raw))
	if err != nil {
		return nil, refuse("invalid_request", "The body is malformed.")
	}
	for name, values := range v {
		switch {
		case len(values) > 1:
			return nil, refuse("invalid_request", "A parameter appears more than once.")
		case values[0] == "":
			delete(v, name)
		}
	}
	return v, nil
}

// answer writes a JSON answer of an endpoint for clients.
func answer(w http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("provider: encode answer: %w", err)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
	w.WriteHeader(status)
	w.Write(body) // a peer that has gone is nobody to tell
	return nil
}

type errorBody struct {
	Code string `json:"error"`
	Text string `json:"error_description,omitempty"`
}

// answerError answers a protocol error (RFC 6749 section 5.2); every other
// error is web's.
func answerError(w http.ResponseWriter, err error) error {
	var e *protocolError
	if !errors.As(err, &e) {
		return err
	}
	status := e.status
	if status == 0 {
		status = http.StatusBadRequest
	}
	if e.basic {
		w.Header().Set("WWW-Authenticate", `Basic realm="rempart", charset="UTF-8"`)
	}
	return answer(w, status, errorBody{e.code, e.text})
}

func (s *Service) token(w http.ResponseWriter, r *http.Request) error {
	out, err := s.exchange(r)
	if err != nil {
		return answerError(w, err)
	}
	return answer(w, http.StatusOK, out)
}

func (s *Service) exchange(r *http.Request) (*tokens, error) {
	form, err := readForm(r)
	if err != nil {
		return nil, err
	}
	ctx := r.Context()
	m, err := s.memory(ctx)
	if err != nil {
		return nil, err
	}
	c, err := s.authenticate(r, m, form)
	if err != nil {
		return nil, err
	}
	who := web.Who(r)
	who.Kind, who.Client = caller.Client, c.ID
	kind := form.Get("grant_type")
	switch {
	case kind == "":
		return nil, refuse("invalid_request", "grant_type is missing.")
	case !slices.Contains(grantTypes, kind):
		return nil, refuse("unsupported_grant_type", "The grant type is not supported.")
	case !c.mayUse(kind):
		return nil, s.refused(ctx, who, nil, refuse("unauthorized_client", "The client may not use this grant type."))
	}
	switch kind {
	case grantCode:
		return s.exchangeCode(ctx, who, m, c, form)
	case grantRefresh:
		return s.exchangeRefresh(ctx, who, m, c, form)
	}
	return s.exchangeClient(ctx, who, m, c, form)
}

// authenticate finds the client of a request and checks its secret (RFC 6749
// section 2.3.1). A public client only names itself.
func (s *Service) authenticate(r *http.Request, m *memory, form url.Values) (*Client, error) {
	wrong := &protocolError{code: "invalid_client", text: "The client could not be authenticated.", status: http.StatusUnauthorized}
	name, secret, post := form.Get("client_id"), form.Get("client_secret"), form.Has("client_secret")
	headers := r.Header.Values("Authorization")
	if len(headers) > 0 {
		wrong.basic = true
		user, pass, ok := parseBasic(headers[0])
		switch {
		case !ok || len(headers) > 1:
			return nil, s.refusedClient(r, nil, wrong)
		case post:
			return nil, refuse("invalid_request", "The client authenticates in more than one way.")
		case name != "" && name != user:
			return nil, refuse("invalid_request", "client_id is not the client that authenticates.")
		}
		name, secret = user, pass
	}
	if name == "" || form.Has("client_assertion") {
		return nil, s.refusedClient(r, nil, wrong)
	}
	c := m.client(name)
	if c == nil || !c.Active() {
		// The hash is computed all the same: a client that does not exist
		// answers no faster than one whose secret is wrong.
		_ = sha256.Sum256([]byte(secret))
		return nil, s.refusedClient(r, nil, wrong)
	}
	if c.Confidential() {
		if !c.knows(secret, s.Now()) {
			return nil, s.refusedClient(r, c, wrong)
		}
		return c, nil
	}
	if post || wrong.basic {
		return nil, s.refusedClient(r, c, wrong)
	}
	return c, nil
}

// parseBasic reads HTTP Basic as OAuth 2.0 uses it: both parts are form-encoded
// before they are joined.
func parseBasic(header string) (user, pass string, ok bool) {
	scheme, value, ok := strings.Cut(header, " ")
	if !ok || !strings.EqualFold(scheme, "Basic") || len(value) > 4096 {
		return "", "", false
	}
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(value))
	if err != nil {
		return "", "", false
	}
	user, pass, ok = strings.Cut(string(raw), ":")
	user, err1 := url.QueryUnescape(user)
	pass, err2 := url.QueryUnescape(pass)
	if !ok || err1 != nil || err2 != nil || user == "" {
		return "", "", false
	}
	return user, pass, true
}

// refusedClient records that a client was not authenticated.
func (s *Service) refusedClient(r *http.Request, c *Client, e *protocolError) error {
	entry := audit.Entry{Kind: EventClientRefused, Target: audit.Target{Kind: "client"}, Outcome: audit.Denied, Code: e.code}
	org := id.Org{}
	if c != nil {
		entry.Target.ID, org = c.ID.String(), c.Org
	}
	if err := s.Audit.Refuse(r.Context(), web.Who(r), org, entry); err != nil {
		return err
	}
	return e
}

// refused records the refusal of a token and gives it back.
func (s *Service) refused(ctx context.Context, who caller.Caller, g *grant, e *protocolError) error {
	entry := audit.Entry{Kind: EventTokenRefused, Target: audit.Target{Kind: "client", ID: who.Client.String()}, Outcome: audit.Denied, Code: e.code, Facts: map[string]any{"why": e.text}}
	var org id.Org
	if g != nil {
		org, entry.Target, entry.Person = g.org, audit.Target{Kind: "grant", ID: g.id.String()}, g.user
	}
	if err := s.Audit.Refuse(ctx, who, org, entry); err != nil {
		return err
	}
	return e
}

// exchangeCode redeems an authorization code (RFC 6749 section 4.1.3).
func (s *Service) exchangeCode(ctx context.Context, who caller.Caller, m *memory, c *Client, form url.Values) (*tokens, error) {
	code, verifier := form.Get("code"), form.Get("code_verifier")
	if code == "" {
		return nil, refuse("invalid_request", "code is missing.")
	}
	bad := refuse("invalid_grant", "The code is not valid, was used, or was issued for other values.")
	if !id.IsSecret(kindCode, code) {
		return nil, s.refused(ctx, who, nil, bad)
	}
	hash := id.HashSecret(code)
	g, err := s.findGrant(ctx, grantByCode, hash)
	if errors.Is(err, store.ErrNone) || err == nil && g.client != c.ID {
		return nil, s.refused(ctx, who, nil, bad)
	}
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(verifier))
	proved := isVerifier(verifier) && subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(g.challenge)) == 1
	now := s.Now()
	if g.state != stateCode {
		// Only who could have redeemed it may end the grant: a code that leaked
		// alone is no lever to sign somebody out (RFC 9700 section 4.5).
		if proved || c.Confidential() {
			return nil, s.reused(ctx, who, g, EventCodeReused, bad)
		}
		return nil, s.refused(ctx, who, g, bad)
	}
	if !proved || g.redirectURI != form.Get("redirect_uri") || !now.Before(g.codeUntil) {
		return nil, s.refused(ctx, who, g, bad)
	}
	if err := s.stillAlive(ctx, who, g); err != nil {
		return nil, err
	}
	out, err := s.issue(ctx, m, c, g, g.scopes, g.nonce)
	if err != nil {
		return nil, err
	}
	expires := now.Add(accessLife)
	var family, tokenHash []byte
	if c.mayUse(grantRefresh) {
		out.Refresh = id.NewSecret(kindRefresh)
		family, tokenHash = familyOf(out.Refresh), id.HashSecret(out.Refresh)
		expires = now.Add(refreshLife)
	}
	pen, err := s.Audit.Pen(ctx, who, g.org, g.user)
	if err != nil {
		return nil, err
	}
	err = s.Store.Update(ctx, store.Lookup(), func(tx *store.Tx) error {
		var done id.Grant
		if err := tx.Row(useCode, hash, c.ID, g.redirectURI, g.challenge, store.Micros(now), store.Micros(now), family, tokenHash, store.Micros(expires)).Scan(&done); err != nil {
			return err
		}
		return pen.Record(tx, s.issuedEntry(EventTokenIssued, g, grantCode, g.scopes))
	})
	if errors.Is(err, store.ErrNone) {
		return nil, s.reused(ctx, who, g, EventCodeReused, bad) // another exchange was first
	}
	if err != nil {
		return nil, fmt.Errorf("provider: use code: %w", err)
	}
	return out, nil
}

// exchangeRefresh redeems a refresh token (RFC 6749 section 6) and gives the
// next one of its family.
func (s *Service) exchangeRefresh(ctx context.Context, who caller.Caller, m *memory, c *Client, form url.Values) (*tokens, error) {
	token := form.Get("refresh_token")
	if token == "" {
		return nil, refuse("invalid_request", "refresh_token is missing.")
	}
	bad := refuse("invalid_grant", "The refresh token is not valid, has expired, or was used.")
	if !id.IsSecret(kindRefresh, token) {
		return nil, s.refused(ctx, who, nil, bad)
	}
	family, hash := familyOf(token), id.HashSecret(token)
	g, err := s.findGrant(ctx, grantByFamily, family)
	if errors.Is(err, store.ErrNone) || err == nil && g.client != c.ID {
		return nil, s.refused(ctx, who, nil, bad)
	}
	if err != nil {
		return nil, err
	}
	now := s.Now()
	switch {
	case g.state != stateActive || !now.Before(g.expiresAt):
		return nil, s.refused(ctx, who, g, bad)
	case subtle.ConstantTimeCompare(hash, g.tokenHash) != 1:
		return nil, s.reused(ctx, who, g, EventRefreshReused, bad)
	}
	scopes := g.scopes
	if form.Has("scope") {
		if scopes, err = within(form.Get("scope"), g.scopes); err != nil {
			return nil, err
		}
	}
	if err := s.stillAlive(ctx, who, g); err != nil {
		return nil, err
	}
	out, err := s.issue(ctx, m, c, g, scopes, "")
	if err != nil {
		return nil, err
	}
	out.Refresh = id.RenewSecret(token, familyDigits)
	pen, err := s.Audit.Pen(ctx, who, g.org, g.user)
	if err != nil {
		return nil, err
	}
	err = s.Store.Update(ctx, store.Lookup(), func(tx *store.Tx) error {
		var done id.Grant
		if err := tx.Row(useToken, family, hash, c.ID, id.HashSecret(out.Refresh), store.Micros(now)).Scan(&done); err != nil {
			return err
		}
		return pen.Record(tx, s.issuedEntry(EventTokenRefreshed, g, grantRefresh, scopes))
	})
	if errors.Is(err, store.ErrNone) {
		return nil, s.reused(ctx, who, g, EventRefreshReused, bad) // another use was first
	}
	if err != nil {
		return nil, fmt.Errorf("provider: use refresh token: %w", err)
	}
	return out, nil
}

// within narrows the scopes of a refresh: none that was not granted.
func within(asked string, granted []string) ([]string, error) {
	var out []string
	for sc := range strings.SplitSeq(asked, " ") {
		switch {
		case sc == "" || slices.Contains(out, sc):
		case !slices.Contains(granted, sc):
			return nil, refuse("invalid_scope", "The scope exceeds what was granted.")
		default:
			out = append(out, sc)
		}
	}
	if len(out) == 0 {
		return nil, refuse("invalid_scope", "scope names none.")
	}
	return out, nil
}

// exchangeClient gives a client a token on its own behalf (RFC 6749 section
// 4.4). Nothing is stored but the entry: the token's grant has a row only once
// it is revoked.
func (s *Service) exchangeClient(ctx context.Context, who caller.Caller, m *memory, c *Client, form url.Values) (*tokens, error) {
	scopes, perr := c.narrow(form.Get("scope"), true)
	if perr != nil {
		return nil, s.refused(ctx, who, nil, perr)
	}
	if !form.Has("scope") {
		scopes = c.Scopes
	}
	// Scopes about a person mean nothing where there is none.
	scopes = slices.DeleteFunc(slices.Clone(scopes), func(sc string) bool { return slices.Contains(identityScopes, sc) && sc != scopePermissions })
	if !c.Org.IsZero() {
		if err := s.Facts.Alive(ctx, who.In(c.Org), c.Org); err != nil {
			return nil, s.dead(ctx, who, nil, err)
		}
	}
	now := s.Now()
	claims := accessClaims{
		Issuer: s.Issuer, Subject: c.ID.String(), Audience: s.audience(c), Issued: now.Unix(), Expires: now.Add(accessLife).Unix(),
		ID: newTokenID(), Client: c.ID.String(), Grant: id.NewGrant(now), Scope: strings.Join(scopes, " "), Org: c.Org,
	}
	access, err := s.sign(ctx, m, c, jwt.TypeAccess, &claims)
	if err != nil {
		return nil, err
	}
	pen, err := s.Audit.Pen(ctx, who, c.Org)
	if err != nil {
		return nil, err
	}
	entry := audit.Entry{Kind: EventTokenIssued, Target: audit.Target{Kind: "grant", ID: claims.Grant.String()}, Facts: map[string]any{"grant_type": grantClient, "scope": claims.Scope}}
	if err := s.Store.Update(ctx, store.Lookup(), func(tx *store.Tx) error { return pen.Record(tx, entry) }); err != nil {
		return nil, fmt.Errorf("provider: issue token: %w", err)
	}
	return &tokens{Access: access, Type: "Bearer", Expires: int64(accessLife / time.Second), Scope: claims.Scope}, nil
}

func (s *Service) sign(ctx context.Context, m *memory, c *Client, typ string, claims any) (string, error) {
	k, err := s.signer(ctx, m, c)
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("provider: claims: %w", err)
	}
	return k.Sign(typ, body)
}

// issue makes access and ID token of a grant. Nothing is given out before the
// transaction that uses up code or refresh token has been committed.
func (s *Service) issue(ctx context.Context, m *memory, c *Client, g *grant, scopes []string, nonce string) (*tokens, error) {
	person, err := s.describe(ctx, g.user, g.org, scopes)
	if err != nil {
		return nil, err
	}
	now := s.Now()
	access := accessClaims{
		Issuer: s.Issuer, Subject: g.user.String(), Audience: s.audience(c), Issued: now.Unix(), Expires: now.Add(accessLife).Unix(),
		ID: newTokenID(), Client: c.ID.String(), Grant: g.id, Scope: strings.Join(scopes, " "),
		AuthTime: g.authTime.Unix(), ACR: acrOf(g.methods), AMR: caller.AMR(g.methods), Org: g.org,
		Roles: person.Roles, Workspaces: person.Workspaces, Permissions: person.Permissions,
	}
	if !g.offline {
		access.Session = g.session // the token dies with the session
	}
	out := &tokens{Type: "Bearer", Expires: int64(accessLife / time.Second), Scope: access.Scope}
	if out.Access, err = s.sign(ctx, m, c, jwt.TypeAccess, &access); err != nil {
		return nil, err
	}
	if !slices.Contains(scopes, scopeOpenID) {
		return out, nil
	}
	person.Permissions = nil // for resource servers, not for the relying party's cookie
	out.ID, err = s.sign(ctx, m, c, jwt.TypeID, &idClaims{
		Issuer: s.Issuer, Subject: g.user, Audience: c.ID.String(), Party: c.ID.String(), Issued: access.Issued, Expires: access.Expires,
		AuthTime: access.AuthTime, Nonce: nonce, ACR: access.ACR, AMR: access.AMR, Session: g.session, Access: leftHalf(out.Access), personClaims: person,
	})
	return out, err
}

func (s *Service) issuedEntry(kind string, g *grant, grantType string, scopes []string) audit.Entry {
	return audit.Entry{Kind: kind, Target: audit.Target{Kind: "grant", ID: g.id.String()}, Person: g.user,
		Facts: map[string]any{"grant_type": grantType, "scope": strings.Join(scopes, " "), "user": g.user.String()}}
}

// stillAlive asks whether the person may go on: her user, membership, session,
// and the organization's rules as they are now.
func (s *Service) stillAlive(ctx context.Context, who caller.Caller, g *grant) error {
	as := g.caller(who)
	err := s.Facts.Alive(ctx, as, g.org)
	if err == nil && !g.org.IsZero() {
		err = s.Facts.Enter(ctx, as, g.org)
	}
	if err != nil {
		return s.dead(ctx, who, g, err)
	}
	return nil
}

// dead turns a refusal of alive or policy into that of the protocol.
func (s *Service) dead(ctx context.Context, who caller.Caller, g *grant, err error) error {
	if k := fault.KindOf(err); k == fault.Internal || k == fault.Unavailable {
		return err
	}
	if g == nil {
		return s.refused(ctx, who, g, refuse("unauthorized_client", "The client's organization is not active."))
	}
	return s.refused(ctx, who, g, refuse("invalid_grant", "The grant is no longer in force; the person must sign in again."))
}

// caller is the person of the grant, acting through the client.
func (g *grant) caller(who caller.Caller) caller.Caller {
	who.Kind, who.User, who.Client, who.Grant, who.Org = caller.User, g.user, g.client, g.id, g.org
	who.Methods, who.AuthTime, who.FreshAt = g.methods, g.authTime, g.createdAt
	if !g.offline {
		who.Session = g.session
	}
	return who
}

// familyOf is what is stored of the part of a refresh token that names its family.
func familyOf(token string) []byte {
	sum := sha256.Sum256([]byte("family " + token[:len("rmp_rt_")+familyDigits]))
	return sum[:]
}
