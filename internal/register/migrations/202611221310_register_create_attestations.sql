-- +goose Up
CREATE TABLE register_settings (
  kind {{TEXT}} NOT NULL,
  name {{TEXT}} NOT NULL,
  value {{TEXT}} NOT NULL,
  changed_at {{INT64}} NOT NULL,
  PRIMARY KEY (kind, name)
) {{STRICT}};
CREATE TABLE register_attestations (
  id {{TEXT}} NOT NULL PRIMARY KEY,
  statement {{TEXT}} NOT NULL,
  record {{BYTES}} NOT NULL,
  visibility {{TEXT}} NOT NULL,
  file_sha256 {{TEXT}} NOT NULL,
  file_size {{INT64}} NOT NULL,
  valid_from {{INT64}} NOT NULL,
  valid_until {{INT64}} NOT NULL,
  state {{TEXT}} NOT NULL,
  reminded {{INT64}} NOT NULL,
  created_at {{INT64}} NOT NULL,
  ended_at {{INT64}} NOT NULL
) {{STRICT}};
CREATE INDEX register_attestations_statement ON register_attestations (statement, valid_until);
CREATE TABLE register_chunks (
  attestation {{TEXT}} NOT NULL,
  place {{INT64}} NOT NULL,
  data {{BYTES}} NOT NULL,
  PRIMARY KEY (attestation, place)
) {{STRICT}};
CREATE TABLE register_verdicts (
  statement {{TEXT}} NOT NULL PRIMARY KEY,
  verdict {{TEXT}} NOT NULL,
  class {{TEXT}} NOT NULL,
  since {{INT64}} NOT NULL
) {{STRICT}};
CREATE TABLE register_changes (
  id {{TEXT}} NOT NULL PRIMARY KEY,
  at {{INT64}} NOT NULL,
  statement {{TEXT}} NOT NULL,
  kind {{TEXT}} NOT NULL,
  before_value {{TEXT}} NOT NULL,
  after_value {{TEXT}} NOT NULL
) {{STRICT}};
CREATE INDEX register_changes_at ON register_changes (at);
