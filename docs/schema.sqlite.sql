-- The schema on sqlite: every migration in order. Written by `rempart docs --into docs`.

-- main database: 202611220101_directory_create_tables.sql
CREATE TABLE directory_orgs (
  id TEXT NOT NULL PRIMARY KEY,
  slug TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL,
  state TEXT NOT NULL,
  name BLOB NOT NULL,
  version INTEGER NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE directory_slugs (
  slug TEXT NOT NULL PRIMARY KEY,
  org_id TEXT NOT NULL REFERENCES directory_orgs(id),
  retired_at INTEGER NOT NULL
) STRICT;
CREATE INDEX directory_slugs_org ON directory_slugs (org_id);

CREATE TABLE directory_workspaces (
  org_id TEXT NOT NULL REFERENCES directory_orgs(id),
  id TEXT NOT NULL PRIMARY KEY,
  slug TEXT NOT NULL,
  state TEXT NOT NULL,
  name BLOB NOT NULL,
  version INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  UNIQUE (org_id, slug)
) STRICT;

CREATE TABLE directory_users (
  id TEXT NOT NULL PRIMARY KEY,
  kind TEXT NOT NULL,
  state TEXT NOT NULL,
  profile BLOB NOT NULL,
  version INTEGER NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX directory_users_inactive ON directory_users (state) WHERE state <> 'active';

CREATE TABLE directory_addresses (
  id TEXT NOT NULL PRIMARY KEY,
  user_id TEXT NOT NULL REFERENCES directory_users(id),
  email BLOB NOT NULL,
  email_hash BLOB NOT NULL,
  main INTEGER NOT NULL,
  verified_at INTEGER NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX directory_addresses_proved ON directory_addresses (email_hash) WHERE verified_at > 0;
CREATE UNIQUE INDEX directory_addresses_own ON directory_addresses (user_id, email_hash);

CREATE TABLE directory_memberships (
  org_id TEXT NOT NULL REFERENCES directory_orgs(id),
  id TEXT NOT NULL PRIMARY KEY,
  user_id TEXT NOT NULL REFERENCES directory_users(id),
  state TEXT NOT NULL,
  name BLOB NOT NULL,
  email BLOB NOT NULL,
  email_hash BLOB NOT NULL,
  version INTEGER NOT NULL,
  joined_at INTEGER NOT NULL,
  UNIQUE (org_id, user_id)
) STRICT;
CREATE INDEX directory_memberships_user ON directory_memberships (user_id);
CREATE INDEX directory_memberships_email ON directory_memberships (org_id, email_hash);
CREATE INDEX directory_memberships_order ON directory_memberships (org_id, id);

CREATE TABLE directory_invitations (
  org_id TEXT NOT NULL REFERENCES directory_orgs(id),
  id TEXT NOT NULL PRIMARY KEY,
  token_hash BLOB NOT NULL UNIQUE,
  email BLOB NOT NULL,
  email_hash BLOB NOT NULL,
  roles TEXT NOT NULL,
  locale TEXT NOT NULL,
  state TEXT NOT NULL,
  invited_by TEXT NOT NULL,
  sent_at INTEGER NOT NULL,
  times_sent INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  accepted_by TEXT REFERENCES directory_users(id)
) STRICT;
CREATE INDEX directory_invitations_order ON directory_invitations (org_id, id);
CREATE UNIQUE INDEX directory_invitations_open ON directory_invitations (org_id, email_hash) WHERE state = 'open';

CREATE TABLE directory_staff (
  user_id TEXT NOT NULL REFERENCES directory_users(id),
  role TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  created_by TEXT NOT NULL,
  PRIMARY KEY (user_id, role)
) STRICT;

-- main database: 202611220102_directory_create_attributes.sql
CREATE TABLE directory_attributes (
  org_id TEXT NOT NULL REFERENCES directory_orgs(id),
  id TEXT NOT NULL PRIMARY KEY,
  subject TEXT NOT NULL,
  name TEXT NOT NULL,
  kind TEXT NOT NULL,
  choices TEXT NOT NULL,
  readers TEXT NOT NULL,
  writers TEXT NOT NULL,
  claim TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  UNIQUE (org_id, subject, name)
) STRICT;

CREATE TABLE directory_values (
  org_id TEXT NOT NULL REFERENCES directory_orgs(id),
  attribute_id TEXT NOT NULL REFERENCES directory_attributes(id),
  subject_id TEXT NOT NULL,
  user_id TEXT REFERENCES directory_users(id),
  value BLOB NOT NULL,
  changed_at INTEGER NOT NULL,
  PRIMARY KEY (attribute_id, subject_id)
) STRICT;
CREATE INDEX directory_values_subject ON directory_values (org_id, subject_id);
CREATE INDEX directory_values_user ON directory_values (user_id);

-- main database: 202611220202_keyring_create_state.sql
CREATE TABLE keyring_state (
  id TEXT NOT NULL PRIMARY KEY,
  installation TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  ledger_lines INTEGER NOT NULL,
  ledger_head TEXT NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT;
CREATE TABLE keyring_intents (
  id TEXT NOT NULL PRIMARY KEY,
  kind TEXT NOT NULL,
  owner TEXT NOT NULL,
  started_at INTEGER NOT NULL
) STRICT;

-- main database: 202611220301_audit_create_logs.sql
-- org_id is the log: an organization's id, 'installation' or 'platform'. It is
-- no foreign key: a log outlives its organization.
CREATE TABLE audit_logs (
    org_id TEXT NOT NULL PRIMARY KEY,
    origin TEXT NOT NULL,
    slot INTEGER NOT NULL UNIQUE,
    size INTEGER NOT NULL,
    root BLOB NOT NULL,
    fence INTEGER NOT NULL,
    signed INTEGER NOT NULL,
    signed_key TEXT NOT NULL,
    signed_at INTEGER NOT NULL,
    epoch_size INTEGER NOT NULL,
    epoch_root BLOB NOT NULL
) STRICT;
CREATE INDEX audit_logs_unsigned ON audit_logs (org_id) WHERE signed < size;

-- seq is the index in the tree; below zero until the sequencer has given one.
CREATE TABLE audit_entries (
    org_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    id TEXT NOT NULL,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    outcome TEXT NOT NULL,
    actor TEXT NOT NULL,
    target TEXT NOT NULL,
    leaf BLOB NOT NULL,
    facts BLOB NOT NULL,
    facts_key BLOB,
    person BLOB,
    person_key BLOB,
    PRIMARY KEY (org_id, seq)
) STRICT;
-- Search reads this index alone, newest first: entries are only ever added at
-- its end, so that it costs an append little however many people act.
CREATE INDEX audit_entries_search ON audit_entries (org_id, id, kind, outcome, actor, target);
CREATE INDEX audit_entries_pending ON audit_entries (org_id, id) WHERE seq < 0;

CREATE TABLE audit_tiles (
    org_id TEXT NOT NULL,
    level INTEGER NOT NULL,
    place INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (org_id, level, place)
) STRICT;

CREATE TABLE audit_checkpoints (
    org_id TEXT NOT NULL,
    size INTEGER NOT NULL,
    at INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    note BLOB NOT NULL,
    PRIMARY KEY (org_id, size)
) STRICT;
CREATE INDEX audit_checkpoints_unbound ON audit_checkpoints (org_id, size) WHERE epoch = 0;

CREATE TABLE audit_epochs (
    number INTEGER NOT NULL PRIMARY KEY,
    entry TEXT NOT NULL,
    at INTEGER NOT NULL,
    width INTEGER NOT NULL,
    root BLOB NOT NULL,
    seed BLOB NOT NULL
) STRICT;

CREATE TABLE audit_pruned (
    org_id TEXT NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    entry TEXT NOT NULL,
    PRIMARY KEY (org_id, first)
) STRICT;

CREATE TABLE audit_keys (
    id TEXT NOT NULL PRIMARY KEY,
    purpose TEXT NOT NULL,
    public TEXT NOT NULL,
    secret BLOB NOT NULL,
    made INTEGER NOT NULL,
    retired INTEGER NOT NULL
) STRICT;

CREATE TABLE audit_days (
    day TEXT NOT NULL PRIMARY KEY,
    secret BLOB NOT NULL,
    at INTEGER NOT NULL
) STRICT;

-- main database: 202611220401_access_create_tables.sql
CREATE TABLE access_assignments (
  org_id TEXT NOT NULL REFERENCES directory_orgs(id),
  id TEXT NOT NULL PRIMARY KEY,
  user_id TEXT NOT NULL REFERENCES directory_users(id),
  role TEXT NOT NULL,
  workspace_id TEXT REFERENCES directory_workspaces(id),
  created_at INTEGER NOT NULL,
  created_by TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX access_assignments_once ON access_assignments (org_id, user_id, role, coalesce(workspace_id, ''));
CREATE INDEX access_assignments_role ON access_assignments (org_id, role);
CREATE INDEX access_assignments_user ON access_assignments (user_id);
CREATE INDEX access_assignments_workspace ON access_assignments (workspace_id);

CREATE TABLE access_revisions (
  org_id TEXT NOT NULL PRIMARY KEY REFERENCES directory_orgs(id),
  revision INTEGER NOT NULL,
  touched_at INTEGER NOT NULL
) STRICT;
CREATE INDEX access_revisions_touched ON access_revisions (touched_at);

CREATE TABLE access_user_revisions (
  user_id TEXT NOT NULL PRIMARY KEY REFERENCES directory_users(id),
  revision INTEGER NOT NULL,
  touched_at INTEGER NOT NULL
) STRICT;
CREATE INDEX access_user_revisions_touched ON access_user_revisions (touched_at);

-- main database: 202611220501_policy_create_tables.sql
CREATE TABLE policy_rules (
  org_id TEXT NOT NULL REFERENCES directory_orgs(id),
  version INTEGER NOT NULL,
  rules TEXT NOT NULL,
  changed_by TEXT NOT NULL,
  changed_at INTEGER NOT NULL,
  PRIMARY KEY (org_id, version)
) STRICT;

CREATE TABLE policy_floors (
  version INTEGER NOT NULL PRIMARY KEY,
  floor TEXT NOT NULL,
  changed_by TEXT NOT NULL,
  changed_at INTEGER NOT NULL
) STRICT;

-- main database: 202611220601_credential_create_passwords.sql
CREATE TABLE credential_passwords (
  user_id TEXT NOT NULL PRIMARY KEY REFERENCES directory_users(id),
  phc BLOB NOT NULL,
  set_at INTEGER NOT NULL
) STRICT;

CREATE TABLE credential_authenticators (
  id TEXT NOT NULL PRIMARY KEY,
  user_id TEXT NOT NULL REFERENCES directory_users(id),
  kind TEXT NOT NULL,
  name BLOB NOT NULL,
  secret BLOB NOT NULL,
  last_step INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  used_at INTEGER NOT NULL
) STRICT;
CREATE INDEX credential_authenticators_user ON credential_authenticators (user_id, id);

CREATE TABLE credential_recovery_codes (
  user_id TEXT NOT NULL REFERENCES directory_users(id),
  hash BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  used_at INTEGER NOT NULL,
  PRIMARY KEY (user_id, hash)
) STRICT;

CREATE TABLE credential_guesses (
  subject BLOB NOT NULL PRIMARY KEY,
  kind TEXT NOT NULL,
  user_id TEXT REFERENCES directory_users(id),
  failures INTEGER NOT NULL,
  total INTEGER NOT NULL,
  last_at INTEGER NOT NULL,
  next_at INTEGER NOT NULL
) STRICT;
CREATE INDEX credential_guesses_user ON credential_guesses (user_id, kind);
CREATE INDEX credential_guesses_last ON credential_guesses (last_at);

CREATE TABLE credential_sources (
  source BLOB NOT NULL PRIMARY KEY,
  full_at INTEGER NOT NULL
) STRICT;

-- main database: 202611220701_session_create_sessions.sql
CREATE TABLE session_sessions (
  id TEXT NOT NULL PRIMARY KEY,
  secret BLOB NOT NULL UNIQUE,
  user_id TEXT NOT NULL REFERENCES directory_users(id),
  methods TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  auth_at INTEGER NOT NULL,
  fresh_at INTEGER NOT NULL,
  idle INTEGER NOT NULL,
  ends_at INTEGER NOT NULL,
  changed_at INTEGER NOT NULL,
  ended_at INTEGER NOT NULL,
  ended_why TEXT NOT NULL,
  origin BLOB NOT NULL
) STRICT;
CREATE INDEX session_sessions_user ON session_sessions (user_id, ended_at);
CREATE INDEX session_sessions_changed ON session_sessions (changed_at);
CREATE INDEX session_sessions_ends ON session_sessions (ends_at);

CREATE TABLE session_seen (
  session_id TEXT NOT NULL PRIMARY KEY REFERENCES session_sessions(id),
  user_id TEXT NOT NULL REFERENCES directory_users(id),
  seen_at INTEGER NOT NULL,
  pause INTEGER NOT NULL
) STRICT;

CREATE TABLE session_entries (
  org_id TEXT NOT NULL REFERENCES directory_orgs(id),
  session_id TEXT NOT NULL REFERENCES session_sessions(id),
  user_id TEXT NOT NULL REFERENCES directory_users(id),
  entered_at INTEGER NOT NULL,
  cut_at INTEGER NOT NULL,
  origin BLOB NOT NULL,
  PRIMARY KEY (org_id, session_id)
) STRICT;
CREATE INDEX session_entries_user ON session_entries (org_id, user_id);
CREATE INDEX session_entries_session ON session_entries (session_id);
CREATE INDEX session_entries_cut ON session_entries (cut_at);

-- main database: 202611220801_signin_create_flows.sql
CREATE TABLE signin_flows (
  id TEXT NOT NULL PRIMARY KEY,
  browser BLOB NOT NULL,
  user_id TEXT REFERENCES directory_users(id),
  session_id TEXT,
  step TEXT NOT NULL,
  state BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX signin_flows_expires ON signin_flows (expires_at);
CREATE INDEX signin_flows_user ON signin_flows (user_id);

CREATE TABLE signin_requests (
  id TEXT NOT NULL PRIMARY KEY,
  user_id TEXT REFERENCES directory_users(id),
  lang TEXT NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX signin_requests_user ON signin_requests (user_id);

CREATE TABLE signin_links (
  hash BLOB NOT NULL PRIMARY KEY,
  purpose TEXT NOT NULL,
  user_id TEXT NOT NULL REFERENCES directory_users(id),
  address_id TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  used_at INTEGER NOT NULL
) STRICT;
CREATE INDEX signin_links_user ON signin_links (user_id, purpose);
CREATE INDEX signin_links_expires ON signin_links (expires_at);

-- main database: 202611220901_provider_make_tables.sql
CREATE TABLE provider_clients (
	id            TEXT  NOT NULL PRIMARY KEY,
	org_id        TEXT  REFERENCES directory_orgs(id),
	name          TEXT  NOT NULL,
	type          TEXT  NOT NULL,
	state         TEXT  NOT NULL,
	first_party   INTEGER  NOT NULL,
	redirect_uris TEXT  NOT NULL,
	logout_uris   TEXT  NOT NULL,
	grant_types   TEXT  NOT NULL,
	scopes        TEXT  NOT NULL,
	audience      TEXT  NOT NULL,
	resource      TEXT  NOT NULL,
	signing_alg   TEXT  NOT NULL,
	secrets       TEXT  NOT NULL,
	created_at    INTEGER NOT NULL,
	changed_at    INTEGER NOT NULL,
	revision      INTEGER NOT NULL
) STRICT;
CREATE INDEX provider_clients_changed ON provider_clients (changed_at);

CREATE TABLE provider_keys (
	id         TEXT  NOT NULL PRIMARY KEY,
	alg        TEXT  NOT NULL,
	state      TEXT  NOT NULL,
	public     BLOB NOT NULL,
	private    BLOB,
	created_at INTEGER NOT NULL,
	changed_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX provider_keys_current ON provider_keys (alg) WHERE state = 'current';
CREATE UNIQUE INDEX provider_keys_next ON provider_keys (alg) WHERE state = 'next';

CREATE TABLE provider_grants (
	id           TEXT  NOT NULL PRIMARY KEY,
	client_id    TEXT  NOT NULL REFERENCES provider_clients(id),
	user_id      TEXT  REFERENCES directory_users(id),
	org_id       TEXT  REFERENCES directory_orgs(id),
	session_id   TEXT,
	scopes       TEXT  NOT NULL,
	offline      INTEGER  NOT NULL,
	methods      TEXT  NOT NULL,
	auth_time    INTEGER NOT NULL,
	state        TEXT  NOT NULL,
	reason       TEXT  NOT NULL,
	code_hash    BLOB,
	code_until   INTEGER NOT NULL,
	redirect_uri TEXT  NOT NULL,
	challenge    TEXT  NOT NULL,
	nonce        TEXT  NOT NULL,
	family       BLOB,
	token_hash   BLOB,
	expires_at   INTEGER NOT NULL,
	created_at   INTEGER NOT NULL,
	used_at      INTEGER NOT NULL,
	ended_at     INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX provider_grants_code ON provider_grants (code_hash);
CREATE UNIQUE INDEX provider_grants_family ON provider_grants (family);
CREATE INDEX provider_grants_user ON provider_grants (user_id, client_id);
CREATE INDEX provider_grants_client ON provider_grants (client_id);
CREATE INDEX provider_grants_ended ON provider_grants (ended_at);
CREATE INDEX provider_grants_expires ON provider_grants (expires_at);

CREATE TABLE provider_consents (
	id        TEXT  NOT NULL PRIMARY KEY,
	user_id   TEXT  NOT NULL REFERENCES directory_users(id),
	client_id TEXT  NOT NULL REFERENCES provider_clients(id),
	scopes    TEXT  NOT NULL,
	given_at  INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX provider_consents_user ON provider_consents (user_id, client_id);

-- main database: 202611221001_job_create_leases.sql
CREATE TABLE job_leases (
  name TEXT NOT NULL PRIMARY KEY,
  holder TEXT NOT NULL,
  fence INTEGER NOT NULL,
  until INTEGER NOT NULL
) STRICT;

-- main database: 202611221201_trust_create_results.sql
CREATE TABLE trust_results (
  id TEXT NOT NULL PRIMARY KEY,
  control TEXT NOT NULL,
  ran_at INTEGER NOT NULL,
  verdict TEXT NOT NULL,
  checked INTEGER NOT NULL,
  failed INTEGER NOT NULL,
  evidence BLOB NOT NULL,
  envelope BLOB NOT NULL
) STRICT;
CREATE INDEX trust_results_ran_at ON trust_results (ran_at);
CREATE TABLE trust_states (
  control TEXT NOT NULL PRIMARY KEY,
  result TEXT NOT NULL,
  ran_at INTEGER NOT NULL,
  verdict TEXT NOT NULL,
  since INTEGER NOT NULL,
  checked INTEGER NOT NULL,
  failed INTEGER NOT NULL,
  note TEXT NOT NULL
) STRICT;
CREATE TABLE trust_days (
  control TEXT NOT NULL,
  day INTEGER NOT NULL,
  passed INTEGER NOT NULL,
  failed INTEGER NOT NULL,
  other INTEGER NOT NULL,
  PRIMARY KEY (control, day)
) STRICT;
CREATE TABLE trust_keys (
  id TEXT NOT NULL PRIMARY KEY,
  verifier TEXT NOT NULL,
  signer BLOB NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;

-- main database: 202611221301_mail_create_messages.sql
CREATE TABLE mail_messages (
  id TEXT NOT NULL PRIMARY KEY,
  owner TEXT NOT NULL,
  purpose TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('queued', 'sent', 'failed')),
  body BLOB,
  attempts INTEGER NOT NULL,
  next_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  ended_at INTEGER NOT NULL,
  failure TEXT NOT NULL
) STRICT;
CREATE INDEX mail_messages_due ON mail_messages (state, next_at);

-- main database: 202611221310_register_create_attestations.sql
CREATE TABLE register_settings (
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  value TEXT NOT NULL,
  changed_at INTEGER NOT NULL,
  PRIMARY KEY (kind, name)
) STRICT;
CREATE TABLE register_attestations (
  id TEXT NOT NULL PRIMARY KEY,
  statement TEXT NOT NULL,
  record BLOB NOT NULL,
  visibility TEXT NOT NULL,
  file_sha256 TEXT NOT NULL,
  file_size INTEGER NOT NULL,
  valid_from INTEGER NOT NULL,
  valid_until INTEGER NOT NULL,
  state TEXT NOT NULL,
  reminded INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  ended_at INTEGER NOT NULL
) STRICT;
CREATE INDEX register_attestations_statement ON register_attestations (statement, valid_until);
CREATE TABLE register_chunks (
  attestation TEXT NOT NULL,
  place INTEGER NOT NULL,
  data BLOB NOT NULL,
  PRIMARY KEY (attestation, place)
) STRICT;
CREATE TABLE register_verdicts (
  statement TEXT NOT NULL PRIMARY KEY,
  verdict TEXT NOT NULL,
  class TEXT NOT NULL,
  since INTEGER NOT NULL
) STRICT;
CREATE TABLE register_changes (
  id TEXT NOT NULL PRIMARY KEY,
  at INTEGER NOT NULL,
  statement TEXT NOT NULL,
  kind TEXT NOT NULL,
  before_value TEXT NOT NULL,
  after_value TEXT NOT NULL
) STRICT;
CREATE INDEX register_changes_at ON register_changes (at);

-- main database: 202611221401_apikey_create_keys.sql
CREATE TABLE apikey_keys (
  id TEXT NOT NULL PRIMARY KEY,
  org_id TEXT REFERENCES directory_orgs (id),
  secret_hash BLOB NOT NULL UNIQUE,
  name BLOB NOT NULL,
  permissions TEXT NOT NULL,
  workspace_id TEXT,
  no_step_up INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  created_by TEXT NOT NULL,
  expires_at INTEGER NOT NULL,
  revoked_at INTEGER NOT NULL
) STRICT;
CREATE INDEX apikey_keys_org ON apikey_keys (org_id, id);

-- main database: 202611221601_setup_create_installation.sql
CREATE TABLE setup_installation (
  id TEXT NOT NULL PRIMARY KEY,
  stamp TEXT NOT NULL,
  issuer TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  completed_at INTEGER NOT NULL,
  restore_epoch INTEGER NOT NULL,
  link_hash BLOB,
  link_ends_at INTEGER NOT NULL,
  link_used_at INTEGER NOT NULL,
  browser_hash BLOB
)STRICT;

CREATE TABLE setup_steps (
  step TEXT NOT NULL PRIMARY KEY,
  leased_until INTEGER NOT NULL,
  done_at INTEGER NOT NULL,
  made TEXT NOT NULL
)STRICT;

-- main database: 202611221701_web_create_replays.sql
CREATE TABLE web_replays (
  id BLOB NOT NULL PRIMARY KEY,
  request BLOB NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('running', 'done')),
  answer BLOB,
  created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX web_replays_created ON web_replays (created_at);

-- main database: 202611221801_app_create_canaries.sql
CREATE TABLE app_canaries (
  id INTEGER NOT NULL PRIMARY KEY,
  credentials BLOB NOT NULL
) STRICT;

-- keys database: 202611220201_keyring_create_keys.sql
CREATE TABLE keyring_meta (
  id TEXT NOT NULL PRIMARY KEY,
  installation TEXT NOT NULL,
  recipient TEXT NOT NULL,
  changes INTEGER NOT NULL,
  generation INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  ledger_lines INTEGER NOT NULL,
  ledger_head TEXT NOT NULL,
  log_size INTEGER NOT NULL,
  log_head TEXT NOT NULL,
  vacuum_due INTEGER NOT NULL,
  copy_due INTEGER NOT NULL,
  canary BLOB NOT NULL,
  ledger_key BLOB NOT NULL,
  ledger_public BLOB NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;
CREATE TABLE keyring_keks (
  id TEXT NOT NULL PRIMARY KEY,
  version INTEGER NOT NULL UNIQUE,
  state TEXT NOT NULL,
  root_kind TEXT NOT NULL,
  by_root BLOB NOT NULL,
  by_recovery BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  retired_at INTEGER NOT NULL
) STRICT;
CREATE TABLE keyring_keys (
  id TEXT NOT NULL PRIMARY KEY,
  owner TEXT NOT NULL,
  class TEXT NOT NULL,
  purpose TEXT NOT NULL,
  version INTEGER NOT NULL,
  state TEXT NOT NULL,
  parent TEXT NOT NULL,
  wrapped BLOB NOT NULL,
  reserved INTEGER NOT NULL,
  acked INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  retired_at INTEGER NOT NULL,
  UNIQUE (owner, purpose, version)
) STRICT;
CREATE INDEX keyring_keys_parent ON keyring_keys (parent, id);
CREATE INDEX keyring_keys_state ON keyring_keys (state, id);
CREATE INDEX keyring_keys_unacked ON keyring_keys (id) WHERE acked < 2;
CREATE TABLE keyring_erased (
  owner TEXT NOT NULL PRIMARY KEY,
  line INTEGER NOT NULL,
  at INTEGER NOT NULL
) STRICT;
CREATE TABLE keyring_erased_keys (
  id TEXT NOT NULL PRIMARY KEY,
  line INTEGER NOT NULL
) STRICT;
