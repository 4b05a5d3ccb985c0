-- +goose Up
CREATE TABLE directory_attributes (
  org_id {{TEXT}} NOT NULL REFERENCES directory_orgs(id),
  id {{TEXT}} NOT NULL PRIMARY KEY,
  subject {{TEXT}} NOT NULL,
  name {{TEXT}} NOT NULL,
  kind {{TEXT}} NOT NULL,
  choices {{JSON}} NOT NULL,
  readers {{TEXT}} NOT NULL,
  writers {{TEXT}} NOT NULL,
  claim {{TEXT}} NOT NULL,
  created_at {{INT64}} NOT NULL,
  UNIQUE (org_id, subject, name)
) {{STRICT}};

CREATE TABLE directory_values (
  org_id {{TEXT}} NOT NULL REFERENCES directory_orgs(id),
  attribute_id {{TEXT}} NOT NULL REFERENCES directory_attributes(id),
  subject_id {{TEXT}} NOT NULL,
  user_id {{TEXT}} REFERENCES directory_users(id),
  value {{BYTES}} NOT NULL,
  changed_at {{INT64}} NOT NULL,
  PRIMARY KEY (attribute_id, subject_id)
) {{STRICT}};
CREATE INDEX directory_values_subject ON directory_values (org_id, subject_id);
CREATE INDEX directory_values_user ON directory_values (user_id);
