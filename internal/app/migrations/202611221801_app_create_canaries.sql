-- +goose Up
CREATE TABLE app_canaries (
  id {{INT64}} NOT NULL PRIMARY KEY,
  credentials {{BYTES}} NOT NULL
) {{STRICT}};
