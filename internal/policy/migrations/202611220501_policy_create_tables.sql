-- +goose Up
CREATE TABLE policy_rules (
  org_id {{TEXT}} NOT NULL REFERENCES directory_orgs(id),
  version {{INT64}} NOT NULL,
  rules {{JSON}} NOT NULL,
  changed_by {{TEXT}} NOT NULL,
  changed_at {{INT64}} NOT NULL,
  PRIMARY KEY (org_id, version)
) {{STRICT}};

CREATE TABLE policy_floors (
  version {{INT64}} NOT NULL PRIMARY KEY,
  floor {{JSON}} NOT NULL,
  changed_by {{TEXT}} NOT NULL,
  changed_at {{INT64}} NOT NULL
) {{STRICT}};
