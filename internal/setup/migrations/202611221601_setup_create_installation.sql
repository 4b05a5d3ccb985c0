-- +goose Up
CREATE TABLE setup_installation (
  id {{TEXT}} NOT NULL PRIMARY KEY,
  stamp {{TEXT}} NOT NULL,
  issuer {{TEXT}} NOT NULL,
  created_at {{INT64}} NOT NULL,
  completed_at {{INT64}} NOT NULL,
  restore_epoch {{INT64}} NOT NULL,
  link_hash {{BYTES}},
  link_ends_at {{INT64}} NOT NULL,
  link_used_at {{INT64}} NOT NULL,
  browser_hash {{BYTES}}
){{STRICT}};

CREATE TABLE setup_steps (
  step {{TEXT}} NOT NULL PRIMARY KEY,
  leased_until {{INT64}} NOT NULL,
  done_at {{INT64}} NOT NULL,
  made {{TEXT}} NOT NULL
){{STRICT}};
