-- +goose Up
CREATE TABLE access_assignments (
  org_id {{TEXT}} NOT NULL REFERENCES directory_orgs(id),
  id {{TEXT}} NOT NULL PRIMARY KEY,
  user_id {{TEXT}} NOT NULL REFERENCES directory_users(id),
  role {{TEXT}} NOT NULL,
  workspace_id {{TEXT}} REFERENCES directory_workspaces(id),
  created_at {{INT64}} NOT NULL,
  created_by {{TEXT}} NOT NULL
) {{STRICT}};
CREATE UNIQUE INDEX access_assignments_once ON access_assignments (org_id, user_id, role, coalesce(workspace_id, ''));
CREATE INDEX access_assignments_role ON access_assignments (org_id, role);
CREATE INDEX access_assignments_user ON access_assignments (user_id);
CREATE INDEX access_assignments_workspace ON access_assignments (workspace_id);

CREATE TABLE access_revisions (
  org_id {{TEXT}} NOT NULL PRIMARY KEY REFERENCES directory_orgs(id),
  revision {{INT64}} NOT NULL,
  touched_at {{INT64}} NOT NULL
) {{STRICT}};
CREATE INDEX access_revisions_touched ON access_revisions (touched_at);

CREATE TABLE access_user_revisions (
  user_id {{TEXT}} NOT NULL PRIMARY KEY REFERENCES directory_users(id),
  revision {{INT64}} NOT NULL,
  touched_at {{INT64}} NOT NULL
) {{STRICT}};
CREATE INDEX access_user_revisions_touched ON access_user_revisions (touched_at);
