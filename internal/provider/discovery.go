package provider

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/rempart/rempart/internal/i18n"
	"github.com/rempart/rempart/internal/provider/jwt"
)

// The paths of the endpoints.
const (
	pathAuthorize  = "/oauth/authorize"
	pathContinue   = "/oauth/continue"
	pathConsent    = "/oauth/consent"
	pathToken      = "/oauth/token"
	pathUserinfo   = "/oauth/userinfo"
	pathIntrospect = "/oauth/introspect"
	pathRevoke     = "/oauth/revoke"
	pathJWKS       = "/oauth/jwks"
	pathLogout     = "/oauth/logout"
	pathSignOut    = "/oauth/logout/confirm"
)

// metadata describes the provider (OpenID Connect Discovery section 3, RFC 8414).
type metadata struct {
	Issuer                string   `json:"issuer"`
	Authorization         string   `json:"authorization_endpoint"`
	Token                 string   `json:"token_endpoint"`
	Userinfo              string   `json:"userinfo_endpoint"`
	JWKS                  string   `json:"jwks_uri"`
	Introspection         string   `json:"introspection_endpoint"`
	Revocation            string   `json:"revocation_endpoint"`
	EndSession            string   `json:"end_session_endpoint"`
	Scopes                []string `json:"scopes_supported"`
	ResponseTypes         []string `json:"response_types_supported"`
	ResponseModes         []string `json:"response_modes_supported"`
	GrantTypes            []string `json:"grant_types_supported"`
	Subjects              []string `json:"subject_types_supported"`
	IDTokenAlgs           []string `json:"id_token_signing_alg_values_supported"`
	TokenAuth             []string `json:"token_endpoint_auth_methods_supported"`
	IntrospectionAuth     []string `json:"introspection_endpoint_auth_methods_supported"`
	RevocationAuth        []string `json:"revocation_endpoint_auth_methods_supported"`
	ChallengeMethods      []string `json:"code_challenge_methods_supported"`
	Claims                []string `json:"claims_supported"`
	ClaimTypes            []string `json:"claim_types_supported"`
	ACR                   []string `json:"acr_values_supported"`
	Prompts               []string `json:"prompt_values_supported"`
	Locales               []string `json:"ui_locales_supported"`
	IssInResponse         bool     `json:"authorization_response_iss_parameter_supported"`
	ClaimsParameter       bool     `json:"claims_parameter_supported"`
	RequestParameter      bool     `json:"request_parameter_supported"`
	RequestURIParameter   bool     `json:"request_uri_parameter_supported"`
	RequireRequestURIReg  bool     `json:"require_request_uri_registration"`
	Documentation         string   `json:"service_documentation"`
	TokenSigningAlgorithm []string `json:"access_token_signing_alg_values_supported"`
}

func (s *Service) metadata() metadata {
	at := func(path string) string { return s.Issuer + path }
	secret := []string{"client_secret_basic", "client_secret_post"}
	algs := []string{jwt.ES256, jwt.RS256}
	return metadata{
		Issuer: s.Issuer, Authorization: at(pathAuthorize), Token: at(pathToken), Userinfo: at(pathUserinfo), JWKS: at(pathJWKS),
		Introspection: at(pathIntrospect), Revocation: at(pathRevoke), EndSession: at(pathLogout), Documentation: at("/docs"),
		Scopes: identityScopes, ResponseTypes: []string{"code"}, ResponseModes: []string{"query"}, GrantTypes: grantTypes, Subjects: []string{"public"},
		IDTokenAlgs: algs, TokenSigningAlgorithm: algs, TokenAuth: append(secret[:2:2], "none"), IntrospectionAuth: secret, RevocationAuth: append(secret[:2:2], "none"),
		ChallengeMethods: []string{"S256"}, ClaimTypes: []string{"normal"}, ACR: []string{acrOne, acrTwo}, Prompts: promptValues, Locales: i18n.Languages,
		Claims: []string{"sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "azp", "at_hash", "sid", "name", "given_name", "family_name",
			"locale", "zoneinfo", "updated_at", "email", "email_verified", "org_id", "org_name", "roles", "workspaces", "permissions"},
		IssInResponse: true,
	}
}

func (s *Service) discovery(w http.ResponseWriter, r *http.Request) error {
	m, err := s.memory(r.Context())
	if err != nil {
		return err
	}
	return m.meta.serve(w, r)
}

func (s *Service) jwks(w http.ResponseWriter, r *http.Request) error {
	m, err := s.memory(r.Context())
	if err != nil {
		return err
	}
	return m.jwks.serve(w, r)
}

// serve answers the document, or that the peer has it already.
func (d document) serve(w http.ResponseWriter, r *http.Request) error {
	h := w.Header()
	h["Etag"] = []string{d.etag}
	if match := r.Header.Get("If-None-Match"); match != "" && (match == "*" || strings.Contains(match, d.etag)) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	h["Content-Type"] = []string{"application/json"}
	h["Content-Length"] = []string{strconv.Itoa(len(d.body))}
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		w.Write(d.body) // a peer that has gone is nobody to tell
	}
	return nil
}
