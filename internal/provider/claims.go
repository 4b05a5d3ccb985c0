package provider

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/provider/jwt"
)

// The authentication context classes.
const (
	acrOne = "urn:rempart:aal1" // one factor
	acrTwo = "urn:rempart:aal2" // two different ones
)

func acrOf(methods []caller.Method) string {
	if slices.Contains(caller.AMR(methods), "mfa") {
		return acrTwo
	}
	return acrOne
}

// accessClaims are the claims of an access token (RFC 9068 section 2.2).
type accessClaims struct {
	Issuer      string         `json:"iss"`
	Subject     string         `json:"sub"`
	Audience    string         `json:"aud"`
	Expires     int64          `json:"exp"`
	Issued      int64          `json:"iat"`
	ID          string         `json:"jti"`
	Client      string         `json:"client_id"`
	Grant       id.Grant       `json:"gid"`
	Scope       string         `json:"scope,omitempty"`
	AuthTime    int64          `json:"auth_time,omitempty"`
	ACR         string         `json:"acr,omitempty"`
	AMR         []string       `json:"amr,omitempty"`
	Session     id.Session     `json:"sid,omitzero"`
	Org         id.Org         `json:"org_id,omitzero"`
	Roles       []string       `json:"roles,omitempty"`
	Workspaces  []id.Workspace `json:"workspaces,omitempty"`
	Permissions []string       `json:"permissions,omitempty"`
}

// personClaims are what ID token and userinfo say of the person.
type personClaims struct {
	Name          string         `json:"name,omitempty"`
	GivenName     string         `json:"given_name,omitempty"`
	FamilyName    string         `json:"family_name,omitempty"`
	Locale        string         `json:"locale,omitempty"`
	Zone          string         `json:"zoneinfo,omitempty"`
	UpdatedAt     int64          `json:"updated_at,omitempty"`
	Email         string         `json:"email,omitempty"`
	EmailVerified *bool          `json:"email_verified,omitempty"`
	Org           id.Org         `json:"org_id,omitzero"`
	OrgName       string         `json:"org_name,omitempty"`
	Roles         []string       `json:"roles,omitempty"`
	Workspaces    []id.Workspace `json:"workspaces,omitempty"`
	Permissions   []string       `json:"permissions,omitempty"`
}

// idClaims are the claims of an ID token (OpenID Connect Core section 2).
type idClaims struct {
	Issuer   string     `json:"iss"`
	Subject  id.User    `json:"sub"`
	Audience string     `json:"aud"`
	Party    string     `json:"azp"`
	Expires  int64      `json:"exp"`
	Issued   int64      `json:"iat"`
	AuthTime int64      `json:"auth_time"`
	Nonce    string     `json:"nonce,omitempty"`
	ACR      string     `json:"acr"`
	AMR      []string   `json:"amr"`
	Session  id.Session `json:"sid,omitzero"`
	Access   string     `json:"at_hash"`
	personClaims
}

// leftHalf is the at_hash of an access token (OpenID Connect Core section 3.1.3.6).
func leftHalf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

func newTokenID() string {
	var b [16]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// describe gathers what the scopes let a client know of the person. The name
// of the organization, roles and workspaces describe her as profile does;
// permissions have a scope of their own.
func (s *Service) describe(ctx context.Context, user id.User, org id.Org, scopes []string) (personClaims, error) {
	var out personClaims
	profile, email := slices.Contains(scopes, scopeProfile), slices.Contains(scopes, scopeEmail)
	if profile || email {
		p, err := s.Facts.Person(ctx, user, org)
		if err != nil {
			return out, err
		}
		if profile {
			out.Name, out.GivenName, out.FamilyName, out.Locale, out.Zone = p.Name, p.GivenName, p.FamilyName, p.Locale, p.Zone
			if !p.UpdatedAt.IsZero() {
				out.UpdatedAt = p.UpdatedAt.Unix()
			}
		}
		if email && p.Email != "" {
			out.Email, out.EmailVerified = p.Email, &p.EmailVerified
		}
	}
	if org.IsZero() {
		return out, nil
	}
	out.Org = org
	permissions := slices.Contains(scopes, scopePermissions)
	if !profile && !permissions {
		return out, nil
	}
	st, err := s.Facts.Standing(ctx, org, user)
	if err != nil {
		return out, err
	}
	if profile {
		out.OrgName, out.Roles, out.Workspaces = st.Name, st.Roles, st.Workspaces
	}
	if permissions {
		out.Permissions = st.Permissions
	}
	return out, nil
}

// verified remembers access tokens whose signature was checked, so that asking
// about one again costs a hash. Two generations bound it.
type verified struct {
	mu       sync.Mutex
	now, old map[[32]byte]*accessClaims
}

const verifiedMax = 4096 // tokens a generation

func (v *verified) find(sum [32]byte) *accessClaims {
	v.mu.Lock()
	defer v.mu.Unlock()
	if c := v.now[sum]; c != nil {
		return c
	}
	return v.old[sum]
}

func (v *verified) put(sum [32]byte, c *accessClaims) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.now) >= verifiedMax || v.now == nil {
		v.old, v.now = v.now, make(map[[32]byte]*accessClaims, 64)
	}
	v.now[sum] = c
}

// errToken is the refusal of every access token that is not good.
var errToken = errors.New("provider: access token is not valid")

// readAccess verifies an access token of ours, for whatever audience: its
// signature and type first, then issuer and times, then that its grant, its
// client and everything the person stands on are alive. errToken is every
// refusal; another error is a failure of ours.
func (s *Service) readAccess(ctx context.Context, token string) (*accessClaims, *Client, error) {
	m, err := s.memory(ctx)
	if err != nil {
		return nil, nil, err
	}
	sum := sha256.Sum256([]byte(token))
	c := s.verified.find(sum)
	if c == nil {
		raw, err := m.set.Verify(jwt.TypeAccess, token)
		if err != nil {
			return nil, nil, errToken
		}
		c = &accessClaims{}
		if err := json.Unmarshal(raw, c); err != nil || c.Issuer != s.Issuer || c.Grant.IsZero() || c.Expires == 0 || c.Subject == "" {
			return nil, nil, errToken
		}
		s.verified.put(sum, c)
	}
	now := s.Now().Unix()
	if now >= c.Expires || c.Issued > now+60 {
		return nil, nil, errToken
	}
	client := m.client(c.Client)
	if client == nil || !client.Active() || c.Audience != s.audience(client) || s.live.isEnded(c.Grant) {
		return nil, nil, errToken
	}
	if err := s.Facts.Alive(ctx, c.caller(caller.Caller{}, client), c.Org); err != nil {
		if k := fault.KindOf(err); k == fault.Internal || k == fault.Unavailable {
			return nil, nil, err
		}
		return nil, nil, errToken
	}
	return c, client, nil
}

// caller is who acts by the token.
func (c *accessClaims) caller(who caller.Caller, client *Client) caller.Caller {
	who.Kind, who.Client, who.Grant, who.Org = caller.Client, client.ID, c.Grant, c.Org
	who.Scopes = strings.Fields(c.Scope)
	if who.Scopes == nil {
		who.Scopes = []string{}
	}
	if user, err := id.ParseUser(c.Subject); err == nil {
		who.Kind, who.User, who.AuthTime = caller.User, user, time.Unix(c.AuthTime, 0).UTC()
		who.Session = c.Session
		for _, name := range c.AMR {
			if name != "mfa" {
				who.Methods = append(who.Methods, caller.Method{Name: name, At: who.AuthTime})
			}
		}
	}
	return who
}

// VerifyAccess tells who acts by an access token for our own API. who is the
// visitor that web knows: source, device, request. The token alone is never
// trusted: its grant, client, user, membership and session must be alive now.
// A token that is not good is a fault of kind Unknown.
func (s *Service) VerifyAccess(ctx context.Context, who caller.Caller, token string) (caller.Caller, error) {
	c, client, err := s.readAccess(ctx, token)
	if errors.Is(err, errToken) || err == nil && c.Audience != s.APIURL {
		return who, fault.New(fault.Unknown, "provider.token.invalid", nil)
	}
	if err != nil {
		return who, err
	}
	return c.caller(who, client), nil
}
