package provider

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/store"
)

var q = store.NewSet("provider")

// A client's and a grant's id are public identifiers, a code's and a token's
// hash unique ones: that is what Lookup is for.
const (
	server = store.ForSystem | store.ForStaff
	lookup = store.ForLookup
)

const clientColumns = `id, org_id, name, type, state, first_party, redirect_uris, logout_uris, grant_types, scopes, audience, resource, signing_alg, secrets, created_at, changed_at, revision`

var (
	selectClients = q.Add("select_clients", `SELECT `+clientColumns+` FROM provider_clients WHERE changed_at >= $1`, server)
	selectClient  = q.Add("select_client", `SELECT `+clientColumns+` FROM provider_clients WHERE id = $1 AND state <> 'removed'`, server)
	insertClient  = q.Add("insert_client", `INSERT INTO provider_clients (`+clientColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)`, server)
	updateClient = q.Add("update_client", `UPDATE provider_clients SET name = $2, state = $3, first_party = $4, redirect_uris = $5, logout_uris = $6,
		grant_types = $7, scopes = $8, audience = $9, resource = $10, signing_alg = $11, secrets = $12, changed_at = $13, revision = revision + 1
		WHERE id = $1 AND revision = $14 AND state <> 'removed'`, server)

	selectKeys  = q.Add("select_keys", `SELECT id, alg, state, public, private, created_at, changed_at FROM provider_keys WHERE state <> 'retired' OR changed_at >= $1`, server)
	changedKeys = q.Add("changed_keys", `SELECT count(*) FROM provider_keys WHERE changed_at >= $1`, server)
	insertKey   = q.Add("insert_key", `INSERT INTO provider_keys (id, alg, state, public, private, created_at, changed_at) VALUES ($1, $2, $3, $4, $5, $6, $6)`, server)
	retireKey   = q.Add("retire_key", `UPDATE provider_keys SET state = 'retired', private = NULL, changed_at = $2 WHERE alg = $1 AND state = 'current'`, server)
	promoteKey  = q.Add("promote_key", `UPDATE provider_keys SET state = 'current', changed_at = $2 WHERE alg = $1 AND state = 'next' RETURNING id`, server)
	deleteKeys  = q.Add("delete_keys", `DELETE FROM provider_keys WHERE state = 'retired' AND changed_at < $1`, server)
	insertGrant = q.Add("insert_grant", `INSERT INTO provider_grants (id, client_id, user_id, org_id, session_id, scopes, offline, methods, auth_time, state, reason, code_hash, code_until,
		redirect_uri, challenge, nonce, expires_at, created_at, used_at, ended_at)
		VALUES ($1, $2, $user, $3, $4, $5, $6, $7, $8, 'code', '', $9, $10, $11, $12, $13, $10, $14, 0, 0)`)
	insertTombstone = q.Add("insert_tombstone", `INSERT INTO provider_grants (id, client_id, scopes, offline, methods, auth_time, state, reason, code_until,
		redirect_uri, challenge, nonce, expires_at, created_at, used_at, ended_at)
		VALUES ($1, $2, '', $5, '[]', 0, 'ended', $3, 0, '', '', '', $4, $4, 0, $4) ON CONFLICT (id) DO NOTHING`, lookup)

	grantByCode   = q.Add("grant_by_code", `SELECT `+grantColumns+` FROM provider_grants WHERE code_hash = $1`, lookup)
	grantByFamily = q.Add("grant_by_family", `SELECT `+grantColumns+` FROM provider_grants WHERE family = $1`, lookup)
	grantByID     = q.Add("grant_by_id", `SELECT `+grantColumns+` FROM provider_grants WHERE id = $1`, lookup)

	// The one place where a code is used up, and the one where a refresh token is.
	useCode = q.Add("use_code", `UPDATE provider_grants SET state = 'active', used_at = $6, family = $7, token_hash = $8, expires_at = $9
		WHERE code_hash = $1 AND client_id = $2 AND redirect_uri = $3 AND challenge = $4 AND state = 'code' AND code_until > $5 RETURNING id`, lookup)
	useToken = q.Add("use_token", `UPDATE provider_grants SET token_hash = $4, used_at = $5
		WHERE family = $1 AND token_hash = $2 AND client_id = $3 AND state = 'active' AND expires_at > $5 RETURNING id`, lookup)

	endGrant       = q.Add("end_grant", `UPDATE provider_grants SET state = 'ended', reason = $2, ended_at = $3, token_hash = NULL WHERE id = $1 AND state <> 'ended'`, lookup)
	endUserGrants  = q.Add("end_user_grants", `UPDATE provider_grants SET state = 'ended', reason = $2, ended_at = $3, token_hash = NULL WHERE user_id = $user AND client_id = $1 AND state <> 'ended' RETURNING id`)
	endSession     = q.Add("end_session_grants", `UPDATE provider_grants SET state = 'ended', reason = $2, ended_at = $3, token_hash = NULL WHERE user_id = $user AND session_id = $1 AND offline = $4 AND state <> 'ended'`)
	endDisabled    = q.Add("end_disabled_grants", `UPDATE provider_grants SET state = 'ended', reason = $2, ended_at = $3, token_hash = NULL WHERE user_id = $1 AND state <> 'ended'`, server)
	endClient      = q.Add("end_client_grants", `UPDATE provider_grants SET state = 'ended', reason = $2, ended_at = $3, token_hash = NULL WHERE client_id = $1 AND state <> 'ended'`, server)
	selectEnded    = q.Add("select_ended", `SELECT id, ended_at FROM provider_grants WHERE ended_at >= $1`, server)
	sweepGrants    = q.Add("sweep_grants", `DELETE FROM provider_grants WHERE id IN (SELECT id FROM provider_grants WHERE expires_at < $1 LIMIT 5000)`, server)
	userGrants     = q.Add("user_grants", `SELECT client_id, scopes, created_at, used_at FROM provider_grants WHERE user_id = $user AND state = 'active' AND expires_at > $1 ORDER BY created_at DESC LIMIT 500`)
	selectConsent  = q.Add("select_consent", `SELECT scopes FROM provider_consents WHERE user_id = $user AND client_id = $1`)
	selectConsents = q.Add("select_consents", `SELECT client_id, scopes, given_at FROM provider_consents WHERE user_id = $user ORDER BY given_at DESC LIMIT 500`)
	putConsent     = q.Add("put_consent", `INSERT INTO provider_consents (id, user_id, client_id, scopes, given_at) VALUES ($1, $user, $2, $3, $4)
		ON CONFLICT (user_id, client_id) DO UPDATE SET scopes = excluded.scopes, given_at = excluded.given_at`)
	deleteConsent = q.Add("delete_consent", `DELETE FROM provider_consents WHERE user_id = $user AND client_id = $1`)
)

const grantColumns = `id, client_id, user_id, org_id, session_id, scopes, offline, methods, auth_time, state, code_until, redirect_uri, challenge, nonce, token_hash, expires_at, created_at, used_at`

// grant is what a user let a client have: a code first, then a family of
// refresh tokens of which one is in force.
type grant struct {
	id          id.Grant
	client      id.Client
	user        id.User
	org         id.Org
	session     id.Session
	scopes      []string
	offline     bool
	methods     []caller.Method
	authTime    time.Time
	state       string
	codeUntil   time.Time
	redirectURI string
	challenge   string
	nonce       string
	tokenHash   []byte
	expiresAt   time.Time
	createdAt   time.Time
	usedAt      time.Time
}

// The states of a grant.
const (
	stateCode   = "code"
	stateActive = "active"
	stateEnded  = "ended"
)

type scanner interface{ Scan(...any) error }

func scanGrant(r scanner) (*grant, error) {
	var g grant
	var scopes, methods string
	var authTime, codeUntil, expires, created, used int64
	err := r.Scan(&g.id, &g.client, &g.user, &g.org, &g.session, &scopes, &g.offline, &methods, &authTime, &g.state, &codeUntil,
		&g.redirectURI, &g.challenge, &g.nonce, &g.tokenHash, &expires, &created, &used)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal([]byte(methods), &g.methods); err != nil {
		return nil, fmt.Errorf("provider: methods of grant %s: %w", g.id, err)
	}
	g.scopes = strings.Fields(scopes)
	g.authTime, g.codeUntil, g.expiresAt, g.createdAt, g.usedAt = store.Time(authTime), store.Time(codeUntil), store.Time(expires), store.Time(created), store.Time(used)
	return &g, nil
}

// storedSecret is one secret as the row of a client holds it.
type storedSecret struct {
	Hash    string `json:"hash"`
	Created int64  `json:"created"`
	Until   int64  `json:"until,omitempty"`
}

func scanClient(r scanner) (*Client, error) {
	var c Client
	var redirects, logouts, grants, scopes, secrets string
	var created, changed int64
	err := r.Scan(&c.ID, &c.Org, &c.Name, &c.Type, &c.State, &c.FirstParty, &redirects, &logouts, &grants, &scopes,
		&c.Audience, &c.Resource, &c.SigningAlg, &secrets, &created, &changed, &c.Revision)
	if err != nil {
		return nil, err
	}
	var stored []storedSecret
	if err := errors.Join(json.Unmarshal([]byte(redirects), &c.RedirectURIs), json.Unmarshal([]byte(logouts), &c.PostLogoutRedirectURIs),
		json.Unmarshal([]byte(secrets), &stored)); err != nil {
		return nil, fmt.Errorf("provider: row of client %s: %w", c.ID, err)
	}
	c.GrantTypes, c.Scopes = strings.Fields(grants), strings.Fields(scopes)
	c.CreatedAt, c.ChangedAt = store.Time(created), store.Time(changed)
	c.Secrets = []SecretRef{}
	for _, s := range stored {
		var h clientSecret
		if n, err := hex.Decode(h.hash[:], []byte(s.Hash)); err != nil || n != len(h.hash) {
			return nil, fmt.Errorf("provider: secret of client %s is malformed", c.ID)
		}
		h.createdAt, h.until = store.Time(s.Created), store.Time(s.Until)
		c.hashes = append(c.hashes, h)
		c.Secrets = append(c.Secrets, SecretRef{CreatedAt: h.createdAt, ExpiresAt: h.until})
	}
	return &c, nil
}

// row gives the columns of the client that change, as text.
func (c *Client) row() (redirects, logouts, grants, scopes, secrets string, err error) {
	stored := []storedSecret{}
	for _, s := range c.hashes {
		stored = append(stored, storedSecret{hex.EncodeToString(s.hash[:]), store.Micros(s.createdAt), store.Micros(s.until)})
	}
	r, err1 := json.Marshal(list(c.RedirectURIs))
	l, err2 := json.Marshal(list(c.PostLogoutRedirectURIs))
	x, err3 := json.Marshal(stored)
	return string(r), string(l), strings.Join(c.GrantTypes, " "), strings.Join(c.Scopes, " "), string(x), errors.Join(err1, err2, err3)
}
