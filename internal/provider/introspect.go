package provider

import (
	"context"
	"crypto/subtle"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/store"
	"github.com/rempart/rempart/internal/web"
)

// introspection is what a resource server learns of a live token (RFC 7662
// section 2.2).
type introspection struct {
	Active bool   `json:"active"`
	Type   string `json:"token_type,omitempty"`
	accessClaims
}

type inactive struct {
	Active bool `json:"active"`
}

// clientRequest reads a request of a client to one of the endpoints beside the
// token endpoint, and authenticates it.
func (s *Service) clientRequest(r *http.Request) (caller.Caller, *Client, url.Values, error) {
	form, err := readForm(r)
	if err != nil {
		return caller.Caller{}, nil, nil, err
	}
	m, err := s.memory(r.Context())
	if err != nil {
		return caller.Caller{}, nil, nil, err
	}
	c, err := s.authenticate(r, m, form)
	if err != nil {
		return caller.Caller{}, nil, nil, err
	}
	if form.Get("token") == "" {
		return caller.Caller{}, nil, nil, refuse("invalid_request", "token is missing.")
	}
	who := web.Who(r)
	who.Kind, who.Client = caller.Client, c.ID
	return who, c, form, nil
}

// introspect answers whether a token is alive (RFC 7662). Only the client that
// a token was issued to, and the resource server that it is meant for, learn
// anything but that it is not.
func (s *Service) introspect(w http.ResponseWriter, r *http.Request) error {
	_, c, form, err := s.clientRequest(r)
	if err == nil && !c.Confidential() {
		err = &protocolError{code: "invalid_client", text: "A client without a secret may not introspect.", status: http.StatusUnauthorized}
	}
	if err != nil {
		return answerError(w, err)
	}
	token := form.Get("token")
	if id.IsSecret(kindRefresh, token) {
		return s.introspectRefresh(w, r, c, token)
	}
	claims, _, err := s.readAccess(r.Context(), token)
	switch {
	case errors.Is(err, errToken):
		return answer(w, http.StatusOK, inactive{})
	case err != nil:
		return err
	case claims.Client != c.ID.String() && (c.Resource == "" || c.Resource != claims.Audience):
		return answer(w, http.StatusOK, inactive{})
	}
	return answer(w, http.StatusOK, introspection{Active: true, Type: "Bearer", accessClaims: *claims})
}

// introspectRefresh tells a client of its own refresh token.
func (s *Service) introspectRefresh(w http.ResponseWriter, r *http.Request, c *Client, token string) error {
	g, err := s.liveRefresh(r.Context(), web.Who(r), c, token)
	if err != nil {
		return err
	}
	if g == nil {
		return answer(w, http.StatusOK, inactive{})
	}
	return answer(w, http.StatusOK, introspection{Active: true, Type: "refresh_token", accessClaims: accessClaims{
		Issuer: s.Issuer, Subject: g.user.String(), Audience: s.Issuer, Client: g.client.String(), Grant: g.id, Scope: strings.Join(g.scopes, " "),
		Issued: max(g.createdAt.Unix(), g.usedAt.Unix()), Expires: g.expiresAt.Unix(), Org: g.org, AuthTime: g.authTime.Unix(),
	}})
}

// liveRefresh gives the grant of a refresh token that the client could redeem
// now, or nil.
func (s *Service) liveRefresh(ctx context.Context, who caller.Caller, c *Client, token string) (*grant, error) {
	g, err := s.findGrant(ctx, grantByFamily, familyOf(token))
	if errors.Is(err, store.ErrNone) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if g.client != c.ID || g.state != stateActive || !s.Now().Before(g.expiresAt) || subtle.ConstantTimeCompare(g.tokenHash, id.HashSecret(token)) != 1 {
		return nil, nil
	}
	if err := s.Facts.Alive(ctx, g.caller(who), g.org); err != nil {
		if k := fault.KindOf(err); k == fault.Internal || k == fault.Unavailable {
			return nil, err
		}
		return nil, nil
	}
	return g, nil
}

// revoke ends the grant of a token (RFC 7009): with a refresh token its access
// tokens end too, and with an access token its refresh tokens. What is no
// token, or none any more, is answered as if it had just been revoked.
func (s *Service) revoke(w http.ResponseWriter, r *http.Request) error {
	err := s.revokeToken(r)
	if err != nil {
		return answerError(w, err)
	}
	w.Header().Set("Pragma", "no-cache")
	w.WriteHeader(http.StatusOK)
	return nil
}

func (s *Service) revokeToken(r *http.Request) error {
	who, c, form, err := s.clientRequest(r)
	if err != nil {
		return err
	}
	ctx, token := r.Context(), form.Get("token")
	foreign := refuse("unauthorized_client", "The token was not issued to this client.")
	if id.IsSecret(kindRefresh, token) {
		g, err := s.findGrant(ctx, grantByFamily, familyOf(token))
		switch {
		case errors.Is(err, store.ErrNone):
			return nil
		case err != nil:
			return err
		case g.client != c.ID:
			return foreign
		case g.state == stateEnded:
			return nil
		}
		return s.end(ctx, who, g, EventGrantEnded, "revoked")
	}
	claims, client, err := s.readAccess(ctx, token)
	switch {
	case errors.Is(err, errToken):
		return nil
	case err != nil:
		return err
	case client.ID != c.ID:
		return foreign
	}
	g, err := s.findGrant(ctx, grantByID, claims.Grant)
	if errors.Is(err, store.ErrNone) {
		return s.endClientToken(ctx, who, claims, client)
	}
	if err != nil {
		return err
	}
	return s.end(ctx, who, g, EventGrantEnded, "revoked")
}

// userinfo tells of the person of an access token (OpenID Connect Core section
// 5.3), which comes in the header or, in a POST, in the body (RFC 6750).
func (s *Service) userinfo(w http.ResponseWriter, r *http.Request) error {
	token, perr := bearer(r)
	if perr != nil {
		return bearerError(w, perr)
	}
	claims, _, err := s.readAccess(r.Context(), token)
	if errors.Is(err, errToken) {
		return bearerError(w, &protocolError{code: "invalid_token", text: "The access token is not valid or not valid any more.", status: http.StatusUnauthorized})
	}
	if err != nil {
		return err
	}
	scopes := strings.Fields(claims.Scope)
	user, err := id.ParseUser(claims.Subject)
	if err != nil || !strings.Contains(" "+claims.Scope+" ", " "+scopeOpenID+" ") {
		return bearerError(w, &protocolError{code: "insufficient_scope", text: "The access token lacks the scope openid.", status: http.StatusForbidden})
	}
	person, err := s.describe(r.Context(), user, claims.Org, scopes)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, struct {
		Subject id.User `json:"sub"`
		personClaims
	}{user, person})
}

// bearer reads the token of a request to a resource of ours. An error without
// a code is for a request without any token.
func bearer(r *http.Request) (string, *protocolError) {
	var token string
	if h := r.Header.Values("Authorization"); len(h) > 0 {
		scheme, value, _ := strings.Cut(h[0], " ")
		if len(h) > 1 {
			return "", refuse("invalid_request", "The request has more than one token.")
		}
		if !strings.EqualFold(scheme, "Bearer") || strings.TrimSpace(value) == "" {
			return "", &protocolError{status: http.StatusUnauthorized}
		}
		token = strings.TrimSpace(value)
	}
	if r.Method == http.MethodPost && r.ContentLength != 0 {
		form, err := readForm(r)
		if err == nil && form.Has("access_token") {
			if token != "" {
				return "", refuse("invalid_request", "The request has more than one token.")
			}
			token = form.Get("access_token")
		} else if err != nil && token == "" {
			return "", refuse("invalid_request", "The body is not a form with a token.")
		}
	}
	if token == "" {
		return "", &protocolError{status: http.StatusUnauthorized}
	}
	return token, nil
}

// bearerError answers as RFC 6750 section 3 says.
func bearerError(w http.ResponseWriter, e *protocolError) error {
	challenge := `Bearer realm="rempart"`
	if e.code != "" {
		challenge += `, error="` + e.code + `", error_description="` + e.text + `"`
	}
	if e.code == "insufficient_scope" {
		challenge += `, scope="` + scopeOpenID + `"`
	}
	w.Header().Set("WWW-Authenticate", challenge)
	status := e.status
	if status == 0 {
		status = http.StatusBadRequest
	}
	if e.code == "" {
		w.WriteHeader(status)
		return nil
	}
	return answer(w, status, errorBody{e.code, e.text})
}
