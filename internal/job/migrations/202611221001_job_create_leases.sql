-- +goose Up
CREATE TABLE job_leases (
  name {{TEXT}} NOT NULL PRIMARY KEY,
  holder {{TEXT}} NOT NULL,
  fence {{INT64}} NOT NULL,
  until {{INT64}} NOT NULL
) {{STRICT}};
