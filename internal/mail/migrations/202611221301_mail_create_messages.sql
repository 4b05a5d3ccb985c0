-- +goose Up
CREATE TABLE mail_messages (
  id {{TEXT}} NOT NULL PRIMARY KEY,
  owner {{TEXT}} NOT NULL,
  purpose {{TEXT}} NOT NULL,
  state {{TEXT}} NOT NULL CHECK (state IN ('queued', 'sent', 'failed')),
  body {{BYTES}},
  attempts {{INT64}} NOT NULL,
  next_at {{INT64}} NOT NULL,
  expires_at {{INT64}} NOT NULL,
  created_at {{INT64}} NOT NULL,
  ended_at {{INT64}} NOT NULL,
  failure {{TEXT}} NOT NULL
) {{STRICT}};
CREATE INDEX mail_messages_due ON mail_messages (state, next_at);
