-- +goose Up
CREATE TABLE provider_clients (
	id            {{TEXT}}  NOT NULL PRIMARY KEY,
	org_id        {{TEXT}}  REFERENCES directory_orgs(id),
	name          {{TEXT}}  NOT NULL,
	type          {{TEXT}}  NOT NULL,
	state         {{TEXT}}  NOT NULL,
	first_party   {{BOOL}}  NOT NULL,
	redirect_uris {{JSON}}  NOT NULL,
	logout_uris   {{JSON}}  NOT NULL,
	grant_types   {{TEXT}}  NOT NULL,
	scopes        {{TEXT}}  NOT NULL,
	audience      {{TEXT}}  NOT NULL,
	resource      {{TEXT}}  NOT NULL,
	signing_alg   {{TEXT}}  NOT NULL,
	secrets       {{JSON}}  NOT NULL,
	created_at    {{INT64}} NOT NULL,
	changed_at    {{INT64}} NOT NULL,
	revision      {{INT64}} NOT NULL
) {{STRICT}};
CREATE INDEX provider_clients_changed ON provider_clients (changed_at);

CREATE TABLE provider_keys (
	id         {{TEXT}}  NOT NULL PRIMARY KEY,
	alg        {{TEXT}}  NOT NULL,
	state      {{TEXT}}  NOT NULL,
	public     {{BYTES}} NOT NULL,
	private    {{BYTES}},
	created_at {{INT64}} NOT NULL,
	changed_at {{INT64}} NOT NULL
) {{STRICT}};
CREATE UNIQUE INDEX provider_keys_current ON provider_keys (alg) WHERE state = 'current';
CREATE UNIQUE INDEX provider_keys_next ON provider_keys (alg) WHERE state = 'next';

CREATE TABLE provider_grants (
	id           {{TEXT}}  NOT NULL PRIMARY KEY,
	client_id    {{TEXT}}  NOT NULL REFERENCES provider_clients(id),
	user_id      {{TEXT}}  REFERENCES directory_users(id),
	org_id       {{TEXT}}  REFERENCES directory_orgs(id),
	session_id   {{TEXT}},
	scopes       {{TEXT}}  NOT NULL,
	offline      {{BOOL}}  NOT NULL,
	methods      {{JSON}}  NOT NULL,
	auth_time    {{INT64}} NOT NULL,
	state        {{TEXT}}  NOT NULL,
	reason       {{TEXT}}  NOT NULL,
	code_hash    {{BYTES}},
	code_until   {{INT64}} NOT NULL,
	redirect_uri {{TEXT}}  NOT NULL,
	challenge    {{TEXT}}  NOT NULL,
	nonce        {{TEXT}}  NOT NULL,
	family       {{BYTES}},
	token_hash   {{BYTES}},
	expires_at   {{INT64}} NOT NULL,
	created_at   {{INT64}} NOT NULL,
	used_at      {{INT64}} NOT NULL,
	ended_at     {{INT64}} NOT NULL
) {{STRICT}};
CREATE UNIQUE INDEX provider_grants_code ON provider_grants (code_hash);
CREATE UNIQUE INDEX provider_grants_family ON provider_grants (family);
CREATE INDEX provider_grants_user ON provider_grants (user_id, client_id);
CREATE INDEX provider_grants_client ON provider_grants (client_id);
CREATE INDEX provider_grants_ended ON provider_grants (ended_at);
CREATE INDEX provider_grants_expires ON provider_grants (expires_at);

CREATE TABLE provider_consents (
	id        {{TEXT}}  NOT NULL PRIMARY KEY,
	user_id   {{TEXT}}  NOT NULL REFERENCES directory_users(id),
	client_id {{TEXT}}  NOT NULL REFERENCES provider_clients(id),
	scopes    {{TEXT}}  NOT NULL,
	given_at  {{INT64}} NOT NULL
) {{STRICT}};
CREATE UNIQUE INDEX provider_consents_user ON provider_consents (user_id, client_id);
