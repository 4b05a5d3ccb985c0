-- +goose Up
CREATE TABLE session_sessions (
  id {{TEXT}} NOT NULL PRIMARY KEY,
  secret {{BYTES}} NOT NULL UNIQUE,
  user_id {{TEXT}} NOT NULL REFERENCES directory_users(id),
  methods {{JSON}} NOT NULL,
  created_at {{INT64}} NOT NULL,
  auth_at {{INT64}} NOT NULL,
  fresh_at {{INT64}} NOT NULL,
  idle {{INT64}} NOT NULL,
  ends_at {{INT64}} NOT NULL,
  changed_at {{INT64}} NOT NULL,
  ended_at {{INT64}} NOT NULL,
  ended_why {{TEXT}} NOT NULL,
  origin {{BYTES}} NOT NULL
) {{STRICT}};
CREATE INDEX session_sessions_user ON session_sessions (user_id, ended_at);
CREATE INDEX session_sessions_changed ON session_sessions (changed_at);
CREATE INDEX session_sessions_ends ON session_sessions (ends_at);

CREATE TABLE session_seen (
  session_id {{TEXT}} NOT NULL PRIMARY KEY REFERENCES session_sessions(id),
  user_id {{TEXT}} NOT NULL REFERENCES directory_users(id),
  seen_at {{INT64}} NOT NULL,
  pause {{INT64}} NOT NULL
) {{STRICT}};

CREATE TABLE session_entries (
  org_id {{TEXT}} NOT NULL REFERENCES directory_orgs(id),
  session_id {{TEXT}} NOT NULL REFERENCES session_sessions(id),
  user_id {{TEXT}} NOT NULL REFERENCES directory_users(id),
  entered_at {{INT64}} NOT NULL,
  cut_at {{INT64}} NOT NULL,
  origin {{BYTES}} NOT NULL,
  PRIMARY KEY (org_id, session_id)
) {{STRICT}};
CREATE INDEX session_entries_user ON session_entries (org_id, user_id);
CREATE INDEX session_entries_session ON session_entries (session_id);
CREATE INDEX session_entries_cut ON session_entries (cut_at);
