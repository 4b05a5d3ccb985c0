-- +goose Up
CREATE TABLE directory_orgs (
  id {{TEXT}} NOT NULL PRIMARY KEY,
  slug {{TEXT}} NOT NULL UNIQUE,
  kind {{TEXT}} NOT NULL,
  state {{TEXT}} NOT NULL,
  name {{BYTES}} NOT NULL,
  version {{INT64}} NOT NULL,
  created_at {{INT64}} NOT NULL
) {{STRICT}};

CREATE TABLE directory_slugs (
  slug {{TEXT}} NOT NULL PRIMARY KEY,
  org_id {{TEXT}} NOT NULL REFERENCES directory_orgs(id),
  retired_at {{INT64}} NOT NULL
) {{STRICT}};
CREATE INDEX directory_slugs_org ON directory_slugs (org_id);

CREATE TABLE directory_workspaces (
  org_id {{TEXT}} NOT NULL REFERENCES directory_orgs(id),
  id {{TEXT}} NOT NULL PRIMARY KEY,
  slug {{TEXT}} NOT NULL,
  state {{TEXT}} NOT NULL,
  name {{BYTES}} NOT NULL,
  version {{INT64}} NOT NULL,
  created_at {{INT64}} NOT NULL,
  UNIQUE (org_id, slug)
) {{STRICT}};

CREATE TABLE directory_users (
  id {{TEXT}} NOT NULL PRIMARY KEY,
  kind {{TEXT}} NOT NULL,
  state {{TEXT}} NOT NULL,
  profile {{BYTES}} NOT NULL,
  version {{INT64}} NOT NULL,
  created_at {{INT64}} NOT NULL
) {{STRICT}};
CREATE INDEX directory_users_inactive ON directory_users (state) WHERE state <> 'active';

CREATE TABLE directory_addresses (
  id {{TEXT}} NOT NULL PRIMARY KEY,
  user_id {{TEXT}} NOT NULL REFERENCES directory_users(id),
  email {{BYTES}} NOT NULL,
  email_hash {{BYTES}} NOT NULL,
  main {{BOOL}} NOT NULL,
  verified_at {{INT64}} NOT NULL,
  created_at {{INT64}} NOT NULL
) {{STRICT}};
CREATE UNIQUE INDEX directory_addresses_proved ON directory_addresses (email_hash) WHERE verified_at > 0;
CREATE UNIQUE INDEX directory_addresses_own ON directory_addresses (user_id, email_hash);

CREATE TABLE directory_memberships (
  org_id {{TEXT}} NOT NULL REFERENCES directory_orgs(id),
  id {{TEXT}} NOT NULL PRIMARY KEY,
  user_id {{TEXT}} NOT NULL REFERENCES directory_users(id),
  state {{TEXT}} NOT NULL,
  name {{BYTES}} NOT NULL,
  email {{BYTES}} NOT NULL,
  email_hash {{BYTES}} NOT NULL,
  version {{INT64}} NOT NULL,
  joined_at {{INT64}} NOT NULL,
  UNIQUE (org_id, user_id)
) {{STRICT}};
CREATE INDEX directory_memberships_user ON directory_memberships (user_id);
CREATE INDEX directory_memberships_email ON directory_memberships (org_id, email_hash);
CREATE INDEX directory_memberships_order ON directory_memberships (org_id, id);

CREATE TABLE directory_invitations (
  org_id {{TEXT}} NOT NULL REFERENCES directory_orgs(id),
  id {{TEXT}} NOT NULL PRIMARY KEY,
  token_hash {{BYTES}} NOT NULL UNIQUE,
  email {{BYTES}} NOT NULL,
  email_hash {{BYTES}} NOT NULL,
  roles {{JSON}} NOT NULL,
  locale {{TEXT}} NOT NULL,
  state {{TEXT}} NOT NULL,
  invited_by {{TEXT}} NOT NULL,
  sent_at {{INT64}} NOT NULL,
  times_sent {{INT64}} NOT NULL,
  expires_at {{INT64}} NOT NULL,
  created_at {{INT64}} NOT NULL,
  accepted_by {{TEXT}} REFERENCES directory_users(id)
) {{STRICT}};
CREATE INDEX directory_invitations_order ON directory_invitations (org_id, id);
CREATE UNIQUE INDEX directory_invitations_open ON directory_invitations (org_id, email_hash) WHERE state = 'open';

CREATE TABLE directory_staff (
  user_id {{TEXT}} NOT NULL REFERENCES directory_users(id),
  role {{TEXT}} NOT NULL,
  created_at {{INT64}} NOT NULL,
  created_by {{TEXT}} NOT NULL,
  PRIMARY KEY (user_id, role)
) {{STRICT}};
