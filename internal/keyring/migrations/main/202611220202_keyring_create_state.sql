-- +goose Up
CREATE TABLE keyring_state (
  id {{TEXT}} NOT NULL PRIMARY KEY,
  installation {{TEXT}} NOT NULL,
  epoch {{INT64}} NOT NULL,
  ledger_lines {{INT64}} NOT NULL,
  ledger_head {{TEXT}} NOT NULL,
  updated_at {{INT64}} NOT NULL
) {{STRICT}};
CREATE TABLE keyring_intents (
  id {{TEXT}} NOT NULL PRIMARY KEY,
  kind {{TEXT}} NOT NULL,
  owner {{TEXT}} NOT NULL,
  started_at {{INT64}} NOT NULL
) {{STRICT}};
