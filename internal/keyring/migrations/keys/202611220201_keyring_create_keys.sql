-- +goose Up
CREATE TABLE keyring_meta (
  id {{TEXT}} NOT NULL PRIMARY KEY,
  installation {{TEXT}} NOT NULL,
  recipient {{TEXT}} NOT NULL,
  changes {{INT64}} NOT NULL,
  generation {{INT64}} NOT NULL,
  epoch {{INT64}} NOT NULL,
  ledger_lines {{INT64}} NOT NULL,
  ledger_head {{TEXT}} NOT NULL,
  log_size {{INT64}} NOT NULL,
  log_head {{TEXT}} NOT NULL,
  vacuum_due {{BOOL}} NOT NULL,
  copy_due {{BOOL}} NOT NULL,
  canary {{BYTES}} NOT NULL,
  ledger_key {{BYTES}} NOT NULL,
  ledger_public {{BYTES}} NOT NULL,
  created_at {{INT64}} NOT NULL
) {{STRICT}};
CREATE TABLE keyring_keks (
  id {{TEXT}} NOT NULL PRIMARY KEY,
  version {{INT64}} NOT NULL UNIQUE,
  state {{TEXT}} NOT NULL,
  root_kind {{TEXT}} NOT NULL,
  by_root {{BYTES}} NOT NULL,
  by_recovery {{BYTES}} NOT NULL,
  created_at {{INT64}} NOT NULL,
  retired_at {{INT64}} NOT NULL
) {{STRICT}};
CREATE TABLE keyring_keys (
  id {{TEXT}} NOT NULL PRIMARY KEY,
  owner {{TEXT}} NOT NULL,
  class {{TEXT}} NOT NULL,
  purpose {{TEXT}} NOT NULL,
  version {{INT64}} NOT NULL,
  state {{TEXT}} NOT NULL,
  parent {{TEXT}} NOT NULL,
  wrapped {{BYTES}} NOT NULL,
  reserved {{INT64}} NOT NULL,
  acked {{INT64}} NOT NULL,
  created_at {{INT64}} NOT NULL,
  retired_at {{INT64}} NOT NULL,
  UNIQUE (owner, purpose, version)
) {{STRICT}};
CREATE INDEX keyring_keys_parent ON keyring_keys (parent, id);
CREATE INDEX keyring_keys_state ON keyring_keys (state, id);
CREATE INDEX keyring_keys_unacked ON keyring_keys (id) WHERE acked < 2;
CREATE TABLE keyring_erased (
  owner {{TEXT}} NOT NULL PRIMARY KEY,
  line {{INT64}} NOT NULL,
  at {{INT64}} NOT NULL
) {{STRICT}};
CREATE TABLE keyring_erased_keys (
  id {{TEXT}} NOT NULL PRIMARY KEY,
  line {{INT64}} NOT NULL
) {{STRICT}};
