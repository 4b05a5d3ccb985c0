-- +goose Up
CREATE TABLE trust_results (
  id {{TEXT}} NOT NULL PRIMARY KEY,
  control {{TEXT}} NOT NULL,
  ran_at {{INT64}} NOT NULL,
  verdict {{TEXT}} NOT NULL,
  checked {{INT64}} NOT NULL,
  failed {{INT64}} NOT NULL,
  evidence {{BYTES}} NOT NULL,
  envelope {{BYTES}} NOT NULL
) {{STRICT}};
CREATE INDEX trust_results_ran_at ON trust_results (ran_at);
CREATE TABLE trust_states (
  control {{TEXT}} NOT NULL PRIMARY KEY,
  result {{TEXT}} NOT NULL,
  ran_at {{INT64}} NOT NULL,
  verdict {{TEXT}} NOT NULL,
  since {{INT64}} NOT NULL,
  checked {{INT64}} NOT NULL,
  failed {{INT64}} NOT NULL,
  note {{TEXT}} NOT NULL
) {{STRICT}};
CREATE TABLE trust_days (
  control {{TEXT}} NOT NULL,
  day {{INT64}} NOT NULL,
  passed {{INT64}} NOT NULL,
  failed {{INT64}} NOT NULL,
  other {{INT64}} NOT NULL,
  PRIMARY KEY (control, day)
) {{STRICT}};
CREATE TABLE trust_keys (
  id {{TEXT}} NOT NULL PRIMARY KEY,
  verifier {{TEXT}} NOT NULL,
  signer {{BYTES}} NOT NULL,
  created_at {{INT64}} NOT NULL
) {{STRICT}};
