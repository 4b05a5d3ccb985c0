-- +goose Up
CREATE TABLE web_replays (
  id {{BYTES}} NOT NULL PRIMARY KEY,
  request {{BYTES}} NOT NULL,
  state {{TEXT}} NOT NULL CHECK (state IN ('running', 'done')),
  answer {{BYTES}},
  created_at {{INT64}} NOT NULL
) {{STRICT}};
CREATE INDEX web_replays_created ON web_replays (created_at);
