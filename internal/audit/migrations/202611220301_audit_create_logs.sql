-- +goose Up
-- org_id is the log: an organization's id, 'installation' or 'platform'. It is
-- no foreign key: a log outlives its organization.
CREATE TABLE audit_logs (
    org_id {{TEXT}} NOT NULL PRIMARY KEY,
    origin {{TEXT}} NOT NULL,
    slot {{INT64}} NOT NULL UNIQUE,
    size {{INT64}} NOT NULL,
    root {{BYTES}} NOT NULL,
    fence {{INT64}} NOT NULL,
    signed {{INT64}} NOT NULL,
    signed_key {{TEXT}} NOT NULL,
    signed_at {{INT64}} NOT NULL,
    epoch_size {{INT64}} NOT NULL,
    epoch_root {{BYTES}} NOT NULL
) {{STRICT}};
CREATE INDEX audit_logs_unsigned ON audit_logs (org_id) WHERE signed < size;

-- seq is the index in the tree; below zero until the sequencer has given one.
CREATE TABLE audit_entries (
    org_id {{TEXT}} NOT NULL,
    seq {{INT64}} NOT NULL,
    id {{TEXT}} NOT NULL,
    at {{INT64}} NOT NULL,
    kind {{TEXT}} NOT NULL,
    outcome {{TEXT}} NOT NULL,
    actor {{TEXT}} NOT NULL,
    target {{TEXT}} NOT NULL,
    leaf {{BYTES}} NOT NULL,
    facts {{BYTES}} NOT NULL,
    facts_key {{BYTES}},
    person {{BYTES}},
    person_key {{BYTES}},
    PRIMARY KEY (org_id, seq)
) {{STRICT}};
-- Search reads this index alone, newest first: entries are only ever added at
-- its end, so that it costs an append little however many people act.
CREATE INDEX audit_entries_search ON audit_entries (org_id, id, kind, outcome, actor, target);
CREATE INDEX audit_entries_pending ON audit_entries (org_id, id) WHERE seq < 0;

CREATE TABLE audit_tiles (
    org_id {{TEXT}} NOT NULL,
    level {{INT64}} NOT NULL,
    place {{INT64}} NOT NULL,
    data {{BYTES}} NOT NULL,
    PRIMARY KEY (org_id, level, place)
) {{STRICT}};

CREATE TABLE audit_checkpoints (
    org_id {{TEXT}} NOT NULL,
    size {{INT64}} NOT NULL,
    at {{INT64}} NOT NULL,
    epoch {{INT64}} NOT NULL,
    note {{BYTES}} NOT NULL,
    PRIMARY KEY (org_id, size)
) {{STRICT}};
CREATE INDEX audit_checkpoints_unbound ON audit_checkpoints (org_id, size) WHERE epoch = 0;

CREATE TABLE audit_epochs (
    number {{INT64}} NOT NULL PRIMARY KEY,
    entry {{TEXT}} NOT NULL,
    at {{INT64}} NOT NULL,
    width {{INT64}} NOT NULL,
    root {{BYTES}} NOT NULL,
    seed {{BYTES}} NOT NULL
) {{STRICT}};

CREATE TABLE audit_pruned (
    org_id {{TEXT}} NOT NULL,
    first {{INT64}} NOT NULL,
    last {{INT64}} NOT NULL,
    entry {{TEXT}} NOT NULL,
    PRIMARY KEY (org_id, first)
) {{STRICT}};

CREATE TABLE audit_keys (
    id {{TEXT}} NOT NULL PRIMARY KEY,
    purpose {{TEXT}} NOT NULL,
    public {{TEXT}} NOT NULL,
    secret {{BYTES}} NOT NULL,
    made {{INT64}} NOT NULL,
    retired {{INT64}} NOT NULL
) {{STRICT}};

CREATE TABLE audit_days (
    day {{TEXT}} NOT NULL PRIMARY KEY,
    secret {{BYTES}} NOT NULL,
    at {{INT64}} NOT NULL
) {{STRICT}};
