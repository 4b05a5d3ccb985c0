-- +goose Up
CREATE TABLE apikey_keys (
  id {{TEXT}} NOT NULL PRIMARY KEY,
  org_id {{TEXT}} REFERENCES directory_orgs (id),
  secret_hash {{BYTES}} NOT NULL UNIQUE,
  name {{BYTES}} NOT NULL,
  permissions {{JSON}} NOT NULL,
  workspace_id {{TEXT}},
  no_step_up {{BOOL}} NOT NULL,
  created_at {{INT64}} NOT NULL,
  created_by {{TEXT}} NOT NULL,
  expires_at {{INT64}} NOT NULL,
  revoked_at {{INT64}} NOT NULL
) {{STRICT}};
CREATE INDEX apikey_keys_org ON apikey_keys (org_id, id);
