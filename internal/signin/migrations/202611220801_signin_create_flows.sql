-- +goose Up
CREATE TABLE signin_flows (
  id {{TEXT}} NOT NULL PRIMARY KEY,
  browser {{BYTES}} NOT NULL,
  user_id {{TEXT}} REFERENCES directory_users(id),
  session_id {{TEXT}},
  step {{TEXT}} NOT NULL,
  state {{BYTES}} NOT NULL,
  created_at {{INT64}} NOT NULL,
  expires_at {{INT64}} NOT NULL
) {{STRICT}};
CREATE INDEX signin_flows_expires ON signin_flows (expires_at);
CREATE INDEX signin_flows_user ON signin_flows (user_id);

CREATE TABLE signin_requests (
  id {{TEXT}} NOT NULL PRIMARY KEY,
  user_id {{TEXT}} REFERENCES directory_users(id),
  lang {{TEXT}} NOT NULL,
  created_at {{INT64}} NOT NULL
) {{STRICT}};
CREATE INDEX signin_requests_user ON signin_requests (user_id);

CREATE TABLE signin_links (
  hash {{BYTES}} NOT NULL PRIMARY KEY,
  purpose {{TEXT}} NOT NULL,
  user_id {{TEXT}} NOT NULL REFERENCES directory_users(id),
  address_id {{TEXT}} NOT NULL,
  created_at {{INT64}} NOT NULL,
  expires_at {{INT64}} NOT NULL,
  used_at {{INT64}} NOT NULL
) {{STRICT}};
CREATE INDEX signin_links_user ON signin_links (user_id, purpose);
CREATE INDEX signin_links_expires ON signin_links (expires_at);
