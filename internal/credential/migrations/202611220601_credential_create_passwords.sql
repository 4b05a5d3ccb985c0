-- +goose Up
CREATE TABLE credential_passwords (
  user_id {{TEXT}} NOT NULL PRIMARY KEY REFERENCES directory_users(id),
  phc {{BYTES}} NOT NULL,
  set_at {{INT64}} NOT NULL
) {{STRICT}};

CREATE TABLE credential_authenticators (
  id {{TEXT}} NOT NULL PRIMARY KEY,
  user_id {{TEXT}} NOT NULL REFERENCES directory_users(id),
  kind {{TEXT}} NOT NULL,
  name {{BYTES}} NOT NULL,
  secret {{BYTES}} NOT NULL,
  last_step {{INT64}} NOT NULL,
  created_at {{INT64}} NOT NULL,
  used_at {{INT64}} NOT NULL
) {{STRICT}};
CREATE INDEX credential_authenticators_user ON credential_authenticators (user_id, id);

CREATE TABLE credential_recovery_codes (
  user_id {{TEXT}} NOT NULL REFERENCES directory_users(id),
  hash {{BYTES}} NOT NULL,
  created_at {{INT64}} NOT NULL,
  used_at {{INT64}} NOT NULL,
  PRIMARY KEY (user_id, hash)
) {{STRICT}};

CREATE TABLE credential_guesses (
  subject {{BYTES}} NOT NULL PRIMARY KEY,
  kind {{TEXT}} NOT NULL,
  user_id {{TEXT}} REFERENCES directory_users(id),
  failures {{INT64}} NOT NULL,
  total {{INT64}} NOT NULL,
  last_at {{INT64}} NOT NULL,
  next_at {{INT64}} NOT NULL
) {{STRICT}};
CREATE INDEX credential_guesses_user ON credential_guesses (user_id, kind);
CREATE INDEX credential_guesses_last ON credential_guesses (last_at);

CREATE TABLE credential_sources (
  source {{BYTES}} NOT NULL PRIMARY KEY,
  full_at {{INT64}} NOT NULL
) {{STRICT}};
