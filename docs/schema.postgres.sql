-- The schema on postgres: every migration in order. Written by `rempart docs --into docs`.

-- main database: 202611220101_directory_create_tables.sql
CREATE TABLE directory_orgs (
  id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  slug TEXT COLLATE "C" NOT NULL UNIQUE,
  kind TEXT COLLATE "C" NOT NULL,
  state TEXT COLLATE "C" NOT NULL,
  name BYTEA NOT NULL,
  version BIGINT NOT NULL,
  created_at BIGINT NOT NULL
) ;

CREATE TABLE directory_slugs (
  slug TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  org_id TEXT COLLATE "C" NOT NULL REFERENCES directory_orgs(id),
  retired_at BIGINT NOT NULL
) ;
CREATE INDEX directory_slugs_org ON directory_slugs (org_id);

CREATE TABLE directory_workspaces (
  org_id TEXT COLLATE "C" NOT NULL REFERENCES directory_orgs(id),
  id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  slug TEXT COLLATE "C" NOT NULL,
  state TEXT COLLATE "C" NOT NULL,
  name BYTEA NOT NULL,
  version BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  UNIQUE (org_id, slug)
) ;

CREATE TABLE directory_users (
  id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  kind TEXT COLLATE "C" NOT NULL,
  state TEXT COLLATE "C" NOT NULL,
  profile BYTEA NOT NULL,
  version BIGINT NOT NULL,
  created_at BIGINT NOT NULL
) ;
CREATE INDEX directory_users_inactive ON directory_users (state) WHERE state <> 'active';

CREATE TABLE directory_addresses (
  id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  user_id TEXT COLLATE "C" NOT NULL REFERENCES directory_users(id),
  email BYTEA NOT NULL,
  email_hash BYTEA NOT NULL,
  main BOOLEAN NOT NULL,
  verified_at BIGINT NOT NULL,
  created_at BIGINT NOT NULL
) ;
CREATE UNIQUE INDEX directory_addresses_proved ON directory_addresses (email_hash) WHERE verified_at > 0;
CREATE UNIQUE INDEX directory_addresses_own ON directory_addresses (user_id, email_hash);

CREATE TABLE directory_memberships (
  org_id TEXT COLLATE "C" NOT NULL REFERENCES directory_orgs(id),
  id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  user_id TEXT COLLATE "C" NOT NULL REFERENCES directory_users(id),
  state TEXT COLLATE "C" NOT NULL,
  name BYTEA NOT NULL,
  email BYTEA NOT NULL,
  email_hash BYTEA NOT NULL,
  version BIGINT NOT NULL,
  joined_at BIGINT NOT NULL,
  UNIQUE (org_id, user_id)
) ;
CREATE INDEX directory_memberships_user ON directory_memberships (user_id);
CREATE INDEX directory_memberships_email ON directory_memberships (org_id, email_hash);
CREATE INDEX directory_memberships_order ON directory_memberships (org_id, id);

CREATE TABLE directory_invitations (
  org_id TEXT COLLATE "C" NOT NULL REFERENCES directory_orgs(id),
  id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  token_hash BYTEA NOT NULL UNIQUE,
  email BYTEA NOT NULL,
  email_hash BYTEA NOT NULL,
  roles TEXT NOT NULL,
  locale TEXT COLLATE "C" NOT NULL,
  state TEXT COLLATE "C" NOT NULL,
  invited_by TEXT COLLATE "C" NOT NULL,
  sent_at BIGINT NOT NULL,
  times_sent BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  accepted_by TEXT COLLATE "C" REFERENCES directory_users(id)
) ;
CREATE INDEX directory_invitations_order ON directory_invitations (org_id, id);
CREATE UNIQUE INDEX directory_invitations_open ON directory_invitations (org_id, email_hash) WHERE state = 'open';

CREATE TABLE directory_staff (
  user_id TEXT COLLATE "C" NOT NULL REFERENCES directory_users(id),
  role TEXT COLLATE "C" NOT NULL,
  created_at BIGINT NOT NULL,
  created_by TEXT COLLATE "C" NOT NULL,
  PRIMARY KEY (user_id, role)
) ;

-- main database: 202611220102_directory_create_attributes.sql
CREATE TABLE directory_attributes (
  org_id TEXT COLLATE "C" NOT NULL REFERENCES directory_orgs(id),
  id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  subject TEXT COLLATE "C" NOT NULL,
  name TEXT COLLATE "C" NOT NULL,
  kind TEXT COLLATE "C" NOT NULL,
  choices TEXT NOT NULL,
  readers TEXT COLLATE "C" NOT NULL,
  writers TEXT COLLATE "C" NOT NULL,
  claim TEXT COLLATE "C" NOT NULL,
  created_at BIGINT NOT NULL,
  UNIQUE (org_id, subject, name)
) ;

CREATE TABLE directory_values (
  org_id TEXT COLLATE "C" NOT NULL REFERENCES directory_orgs(id),
  attribute_id TEXT COLLATE "C" NOT NULL REFERENCES directory_attributes(id),
  subject_id TEXT COLLATE "C" NOT NULL,
  user_id TEXT COLLATE "C" REFERENCES directory_users(id),
  value BYTEA NOT NULL,
  changed_at BIGINT NOT NULL,
  PRIMARY KEY (attribute_id, subject_id)
) ;
CREATE INDEX directory_values_subject ON directory_values (org_id, subject_id);
CREATE INDEX directory_values_user ON directory_values (user_id);

-- main database: 202611220202_keyring_create_state.sql
CREATE TABLE keyring_state (
  id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  installation TEXT COLLATE "C" NOT NULL,
  epoch BIGINT NOT NULL,
  ledger_lines BIGINT NOT NULL,
  ledger_head TEXT COLLATE "C" NOT NULL,
  updated_at BIGINT NOT NULL
) ;
CREATE TABLE keyring_intents (
  id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  kind TEXT COLLATE "C" NOT NULL,
  owner TEXT COLLATE "C" NOT NULL,
  started_at BIGINT NOT NULL
) ;

-- main database: 202611220301_audit_create_logs.sql
-- org_id is the log: an organization's id, 'installation' or 'platform'. It is
-- no foreign key: a log outlives its organization.
CREATE TABLE audit_logs (
    org_id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    origin TEXT COLLATE "C" NOT NULL,
    slot BIGINT NOT NULL UNIQUE,
    size BIGINT NOT NULL,
    root BYTEA NOT NULL,
    fence BIGINT NOT NULL,
    signed BIGINT NOT NULL,
    signed_key TEXT COLLATE "C" NOT NULL,
    signed_at BIGINT NOT NULL,
    epoch_size BIGINT NOT NULL,
    epoch_root BYTEA NOT NULL
) ;
CREATE INDEX audit_logs_unsigned ON audit_logs (org_id) WHERE signed < size;

-- seq is the index in the tree; below zero until the sequencer has given one.
CREATE TABLE audit_entries (
    org_id TEXT COLLATE "C" NOT NULL,
    seq BIGINT NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    at BIGINT NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    outcome TEXT COLLATE "C" NOT NULL,
    actor TEXT COLLATE "C" NOT NULL,
    target TEXT COLLATE "C" NOT NULL,
    leaf BYTEA NOT NULL,
    facts BYTEA NOT NULL,
    facts_key BYTEA,
    person BYTEA,
    person_key BYTEA,
    PRIMARY KEY (org_id, seq)
) ;
-- Search reads this index alone, newest first: entries are only ever added at
-- its end, so that it costs an append little however many people act.
CREATE INDEX audit_entries_search ON audit_entries (org_id, id, kind, outcome, actor, target);
CREATE INDEX audit_entries_pending ON audit_entries (org_id, id) WHERE seq < 0;

CREATE TABLE audit_tiles (
    org_id TEXT COLLATE "C" NOT NULL,
    level BIGINT NOT NULL,
    place BIGINT NOT NULL,
    data BYTEA NOT NULL,
    PRIMARY KEY (org_id, level, place)
) ;

CREATE TABLE audit_checkpoints (
    org_id TEXT COLLATE "C" NOT NULL,
    size BIGINT NOT NULL,
    at BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    note BYTEA NOT NULL,
    PRIMARY KEY (org_id, size)
) ;
CREATE INDEX audit_checkpoints_unbound ON audit_checkpoints (org_id, size) WHERE epoch = 0;

CREATE TABLE audit_epochs (
    number BIGINT NOT NULL PRIMARY KEY,
    entry TEXT COLLATE "C" NOT NULL,
    at BIGINT NOT NULL,
    width BIGINT NOT NULL,
    root BYTEA NOT NULL,
    seed BYTEA NOT NULL
) ;

CREATE TABLE audit_pruned (
    org_id TEXT COLLATE "C" NOT NULL,
    first BIGINT NOT NULL,
    last BIGINT NOT NULL,
    entry TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (org_id, first)
) ;

CREATE TABLE audit_keys (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    purpose TEXT COLLATE "C" NOT NULL,
    public TEXT COLLATE "C" NOT NULL,
    secret BYTEA NOT NULL,
    made BIGINT NOT NULL,
    retired BIGINT NOT NULL
) ;

CREATE TABLE audit_days (
    day TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    secret BYTEA NOT NULL,
    at BIGINT NOT NULL
) ;

-- main database: 202611220401_access_create_tables.sql
CREATE TABLE access_assignments (
  org_id TEXT COLLATE "C" NOT NULL REFERENCES directory_orgs(id),
  id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  user_id TEXT COLLATE "C" NOT NULL REFERENCES directory_users(id),
  role TEXT COLLATE "C" NOT NULL,
  workspace_id TEXT COLLATE "C" REFERENCES directory_workspaces(id),
  created_at BIGINT NOT NULL,
  created_by TEXT COLLATE "C" NOT NULL
) ;
CREATE UNIQUE INDEX access_assignments_once ON access_assignments (org_id, user_id, role, coalesce(workspace_id, ''));
CREATE INDEX access_assignments_role ON access_assignments (org_id, role);
CREATE INDEX access_assignments_user ON access_assignments (user_id);
CREATE INDEX access_assignments_workspace ON access_assignments (workspace_id);

CREATE TABLE access_revisions (
  org_id TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES directory_orgs(id),
  revision BIGINT NOT NULL,
  touched_at BIGINT NOT NULL
) ;
CREATE INDEX access_revisions_touched ON access_revisions (touched_at);

CREATE TABLE access_user_revisions (
  user_id TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES directory_users(id),
  revision BIGINT NOT NULL,
  touched_at BIGINT NOT NULL
) ;
CREATE INDEX access_user_revisions_touched ON access_user_revisions (touched_at);

-- main database: 202611220501_policy_create_tables.sql
CREATE TABLE policy_rules (
  org_id TEXT COLLATE "C" NOT NULL REFERENCES directory_orgs(id),
  version BIGINT NOT NULL,
  rules TEXT NOT NULL,
  changed_by TEXT COLLATE "C" NOT NULL,
  changed_at BIGINT NOT NULL,
  PRIMARY KEY (org_id, version)
) ;

CREATE TABLE policy_floors (
  version BIGINT NOT NULL PRIMARY KEY,
  floor TEXT NOT NULL,
  changed_by TEXT COLLATE "C" NOT NULL,
  changed_at BIGINT NOT NULL
) ;

-- main database: 202611220601_credential_create_passwords.sql
CREATE TABLE credential_passwords (
  user_id TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES directory_users(id),
  phc BYTEA NOT NULL,
  set_at BIGINT NOT NULL
) ;

CREATE TABLE credential_authenticators (
  id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  user_id TEXT COLLATE "C" NOT NULL REFERENCES directory_users(id),
  kind TEXT COLLATE "C" NOT NULL,
  name BYTEA NOT NULL,
  secret BYTEA NOT NULL,
  last_step BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  used_at BIGINT NOT NULL
) ;
CREATE INDEX credential_authenticators_user ON credential_authenticators (user_id, id);

CREATE TABLE credential_recovery_codes (
  user_id TEXT COLLATE "C" NOT NULL REFERENCES directory_users(id),
  hash BYTEA NOT NULL,
  created_at BIGINT NOT NULL,
  used_at BIGINT NOT NULL,
  PRIMARY KEY (user_id, hash)
) ;

CREATE TABLE credential_guesses (
  subject BYTEA NOT NULL PRIMARY KEY,
  kind TEXT COLLATE "C" NOT NULL,
  user_id TEXT COLLATE "C" REFERENCES directory_users(id),
  failures BIGINT NOT NULL,
  total BIGINT NOT NULL,
  last_at BIGINT NOT NULL,
  next_at BIGINT NOT NULL
) ;
CREATE INDEX credential_guesses_user ON credential_guesses (user_id, kind);
CREATE INDEX credential_guesses_last ON credential_guesses (last_at);

CREATE TABLE credential_sources (
  source BYTEA NOT NULL PRIMARY KEY,
  full_at BIGINT NOT NULL
) ;

-- main database: 202611220701_session_create_sessions.sql
CREATE TABLE session_sessions (
  id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  secret BYTEA NOT NULL UNIQUE,
  user_id TEXT COLLATE "C" NOT NULL REFERENCES directory_users(id),
  methods TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  auth_at BIGINT NOT NULL,
  fresh_at BIGINT NOT NULL,
  idle BIGINT NOT NULL,
  ends_at BIGINT NOT NULL,
  changed_at BIGINT NOT NULL,
  ended_at BIGINT NOT NULL,
  ended_why TEXT COLLATE "C" NOT NULL,
  origin BYTEA NOT NULL
) ;
CREATE INDEX session_sessions_user ON session_sessions (user_id, ended_at);
CREATE INDEX session_sessions_changed ON session_sessions (changed_at);
CREATE INDEX session_sessions_ends ON session_sessions (ends_at);

CREATE TABLE session_seen (
  session_id TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES session_sessions(id),
  user_id TEXT COLLATE "C" NOT NULL REFERENCES directory_users(id),
  seen_at BIGINT NOT NULL,
  pause BIGINT NOT NULL
) ;

CREATE TABLE session_entries (
  org_id TEXT COLLATE "C" NOT NULL REFERENCES directory_orgs(id),
  session_id TEXT COLLATE "C" NOT NULL REFERENCES session_sessions(id),
  user_id TEXT COLLATE "C" NOT NULL REFERENCES directory_users(id),
  entered_at BIGINT NOT NULL,
  cut_at BIGINT NOT NULL,
  origin BYTEA NOT NULL,
  PRIMARY KEY (org_id, session_id)
) ;
CREATE INDEX session_entries_user ON session_entries (org_id, user_id);
CREATE INDEX session_entries_session ON session_entries (session_id);
CREATE INDEX session_entries_cut ON session_entries (cut_at);

-- main database: 202611220801_signin_create_flows.sql
CREATE TABLE signin_flows (
  id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  browser BYTEA NOT NULL,
  user_id TEXT COLLATE "C" REFERENCES directory_users(id),
  session_id TEXT COLLATE "C",
  step TEXT COLLATE "C" NOT NULL,
  state BYTEA NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL
) ;
CREATE INDEX signin_flows_expires ON signin_flows (expires_at);
CREATE INDEX signin_flows_user ON signin_flows (user_id);

CREATE TABLE signin_requests (
  id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  user_id TEXT COLLATE "C" REFERENCES directory_users(id),
  lang TEXT COLLATE "C" NOT NULL,
  created_at BIGINT NOT NULL
) ;
CREATE INDEX signin_requests_user ON signin_requests (user_id);

CREATE TABLE signin_links (
  hash BYTEA NOT NULL PRIMARY KEY,
  purpose TEXT COLLATE "C" NOT NULL,
  user_id TEXT COLLATE "C" NOT NULL REFERENCES directory_users(id),
  address_id TEXT COLLATE "C" NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  used_at BIGINT NOT NULL
) ;
CREATE INDEX signin_links_user ON signin_links (user_id, purpose);
CREATE INDEX signin_links_expires ON signin_links (expires_at);

-- main database: 202611220901_provider_make_tables.sql
CREATE TABLE provider_clients (
	id            TEXT COLLATE "C"  NOT NULL PRIMARY KEY,
	org_id        TEXT COLLATE "C"  REFERENCES directory_orgs(id),
	name          TEXT COLLATE "C"  NOT NULL,
	type          TEXT COLLATE "C"  NOT NULL,
	state         TEXT COLLATE "C"  NOT NULL,
	first_party   BOOLEAN  NOT NULL,
	redirect_uris TEXT  NOT NULL,
	logout_uris   TEXT  NOT NULL,
	grant_types   TEXT COLLATE "C"  NOT NULL,
	scopes        TEXT COLLATE "C"  NOT NULL,
	audience      TEXT COLLATE "C"  NOT NULL,
	resource      TEXT COLLATE "C"  NOT NULL,
	signing_alg   TEXT COLLATE "C"  NOT NULL,
	secrets       TEXT  NOT NULL,
	created_at    BIGINT NOT NULL,
	changed_at    BIGINT NOT NULL,
	revision      BIGINT NOT NULL
) ;
CREATE INDEX provider_clients_changed ON provider_clients (changed_at);

CREATE TABLE provider_keys (
	id         TEXT COLLATE "C"  NOT NULL PRIMARY KEY,
	alg        TEXT COLLATE "C"  NOT NULL,
	state      TEXT COLLATE "C"  NOT NULL,
	public     BYTEA NOT NULL,
	private    BYTEA,
	created_at BIGINT NOT NULL,
	changed_at BIGINT NOT NULL
) ;
CREATE UNIQUE INDEX provider_keys_current ON provider_keys (alg) WHERE state = 'current';
CREATE UNIQUE INDEX provider_keys_next ON provider_keys (alg) WHERE state = 'next';

CREATE TABLE provider_grants (
	id           TEXT COLLATE "C"  NOT NULL PRIMARY KEY,
	client_id    TEXT COLLATE "C"  NOT NULL REFERENCES provider_clients(id),
	user_id      TEXT COLLATE "C"  REFERENCES directory_users(id),
	org_id       TEXT COLLATE "C"  REFERENCES directory_orgs(id),
	session_id   TEXT COLLATE "C",
	scopes       TEXT COLLATE "C"  NOT NULL,
	offline      BOOLEAN  NOT NULL,
	methods      TEXT  NOT NULL,
	auth_time    BIGINT NOT NULL,
	state        TEXT COLLATE "C"  NOT NULL,
	reason       TEXT COLLATE "C"  NOT NULL,
	code_hash    BYTEA,
	code_until   BIGINT NOT NULL,
	redirect_uri TEXT COLLATE "C"  NOT NULL,
	challenge    TEXT COLLATE "C"  NOT NULL,
	nonce        TEXT COLLATE "C"  NOT NULL,
	family       BYTEA,
	token_hash   BYTEA,
	expires_at   BIGINT NOT NULL,
	created_at   BIGINT NOT NULL,
	used_at      BIGINT NOT NULL,
	ended_at     BIGINT NOT NULL
) ;
CREATE UNIQUE INDEX provider_grants_code ON provider_grants (code_hash);
CREATE UNIQUE INDEX provider_grants_family ON provider_grants (family);
CREATE INDEX provider_grants_user ON provider_grants (user_id, client_id);
CREATE INDEX provider_grants_client ON provider_grants (client_id);
CREATE INDEX provider_grants_ended ON provider_grants (ended_at);
CREATE INDEX provider_grants_expires ON provider_grants (expires_at);

CREATE TABLE provider_consents (
	id        TEXT COLLATE "C"  NOT NULL PRIMARY KEY,
	user_id   TEXT COLLATE "C"  NOT NULL REFERENCES directory_users(id),
	client_id TEXT COLLATE "C"  NOT NULL REFERENCES provider_clients(id),
	scopes    TEXT COLLATE "C"  NOT NULL,
	given_at  BIGINT NOT NULL
) ;
CREATE UNIQUE INDEX provider_consents_user ON provider_consents (user_id, client_id);

-- main database: 202611221001_job_create_leases.sql
CREATE TABLE job_leases (
  name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  holder TEXT COLLATE "C" NOT NULL,
  fence BIGINT NOT NULL,
  until BIGINT NOT NULL
) ;

-- main database: 202611221201_trust_create_results.sql
CREATE TABLE trust_results (
  id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  control TEXT COLLATE "C" NOT NULL,
  ran_at BIGINT NOT NULL,
  verdict TEXT COLLATE "C" NOT NULL,
  checked BIGINT NOT NULL,
  failed BIGINT NOT NULL,
  evidence BYTEA NOT NULL,
  envelope BYTEA NOT NULL
) ;
CREATE INDEX trust_results_ran_at ON trust_results (ran_at);
CREATE TABLE trust_states (
  control TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  result TEXT COLLATE "C" NOT NULL,
  ran_at BIGINT NOT NULL,
  verdict TEXT COLLATE "C" NOT NULL,
  since BIGINT NOT NULL,
  checked BIGINT NOT NULL,
  failed BIGINT NOT NULL,
  note TEXT COLLATE "C" NOT NULL
) ;
CREATE TABLE trust_days (
  control TEXT COLLATE "C" NOT NULL,
  day BIGINT NOT NULL,
  passed BIGINT NOT NULL,
  failed BIGINT NOT NULL,
  other BIGINT NOT NULL,
  PRIMARY KEY (control, day)
) ;
CREATE TABLE trust_keys (
  id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  verifier TEXT COLLATE "C" NOT NULL,
  signer BYTEA NOT NULL,
  created_at BIGINT NOT NULL
) ;

-- main database: 202611221301_mail_create_messages.sql
CREATE TABLE mail_messages (
  id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  owner TEXT COLLATE "C" NOT NULL,
  purpose TEXT COLLATE "C" NOT NULL,
  state TEXT COLLATE "C" NOT NULL CHECK (state IN ('queued', 'sent', 'failed')),
  body BYTEA,
  attempts BIGINT NOT NULL,
  next_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  ended_at BIGINT NOT NULL,
  failure TEXT COLLATE "C" NOT NULL
) ;
CREATE INDEX mail_messages_due ON mail_messages (state, next_at);

-- main database: 202611221310_register_create_attestations.sql
CREATE TABLE register_settings (
  kind TEXT COLLATE "C" NOT NULL,
  name TEXT COLLATE "C" NOT NULL,
  value TEXT COLLATE "C" NOT NULL,
  changed_at BIGINT NOT NULL,
  PRIMARY KEY (kind, name)
) ;
CREATE TABLE register_attestations (
  id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  statement TEXT COLLATE "C" NOT NULL,
  record BYTEA NOT NULL,
  visibility TEXT COLLATE "C" NOT NULL,
  file_sha256 TEXT COLLATE "C" NOT NULL,
  file_size BIGINT NOT NULL,
  valid_from BIGINT NOT NULL,
  valid_until BIGINT NOT NULL,
  state TEXT COLLATE "C" NOT NULL,
  reminded BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  ended_at BIGINT NOT NULL
) ;
CREATE INDEX register_attestations_statement ON register_attestations (statement, valid_until);
CREATE TABLE register_chunks (
  attestation TEXT COLLATE "C" NOT NULL,
  place BIGINT NOT NULL,
  data BYTEA NOT NULL,
  PRIMARY KEY (attestation, place)
) ;
CREATE TABLE register_verdicts (
  statement TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  verdict TEXT COLLATE "C" NOT NULL,
  class TEXT COLLATE "C" NOT NULL,
  since BIGINT NOT NULL
) ;
CREATE TABLE register_changes (
  id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  at BIGINT NOT NULL,
  statement TEXT COLLATE "C" NOT NULL,
  kind TEXT COLLATE "C" NOT NULL,
  before_value TEXT COLLATE "C" NOT NULL,
  after_value TEXT COLLATE "C" NOT NULL
) ;
CREATE INDEX register_changes_at ON register_changes (at);

-- main database: 202611221401_apikey_create_keys.sql
CREATE TABLE apikey_keys (
  id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  org_id TEXT COLLATE "C" REFERENCES directory_orgs (id),
  secret_hash BYTEA NOT NULL UNIQUE,
  name BYTEA NOT NULL,
  permissions TEXT NOT NULL,
  workspace_id TEXT COLLATE "C",
  no_step_up BOOLEAN NOT NULL,
  created_at BIGINT NOT NULL,
  created_by TEXT COLLATE "C" NOT NULL,
  expires_at BIGINT NOT NULL,
  revoked_at BIGINT NOT NULL
) ;
CREATE INDEX apikey_keys_org ON apikey_keys (org_id, id);

-- main database: 202611221601_setup_create_installation.sql
CREATE TABLE setup_installation (
  id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  stamp TEXT COLLATE "C" NOT NULL,
  issuer TEXT COLLATE "C" NOT NULL,
  created_at BIGINT NOT NULL,
  completed_at BIGINT NOT NULL,
  restore_epoch BIGINT NOT NULL,
  link_hash BYTEA,
  link_ends_at BIGINT NOT NULL,
  link_used_at BIGINT NOT NULL,
  browser_hash BYTEA
);

CREATE TABLE setup_steps (
  step TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  leased_until BIGINT NOT NULL,
  done_at BIGINT NOT NULL,
  made TEXT COLLATE "C" NOT NULL
);

-- main database: 202611221701_web_create_replays.sql
CREATE TABLE web_replays (
  id BYTEA NOT NULL PRIMARY KEY,
  request BYTEA NOT NULL,
  state TEXT COLLATE "C" NOT NULL CHECK (state IN ('running', 'done')),
  answer BYTEA,
  created_at BIGINT NOT NULL
) ;
CREATE INDEX web_replays_created ON web_replays (created_at);

-- main database: 202611221801_app_create_canaries.sql
CREATE TABLE app_canaries (
  id BIGINT NOT NULL PRIMARY KEY,
  credentials BYTEA NOT NULL
) ;

-- keys database: 202611220201_keyring_create_keys.sql
CREATE TABLE keyring_meta (
  id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  installation TEXT COLLATE "C" NOT NULL,
  recipient TEXT COLLATE "C" NOT NULL,
  changes BIGINT NOT NULL,
  generation BIGINT NOT NULL,
  epoch BIGINT NOT NULL,
  ledger_lines BIGINT NOT NULL,
  ledger_head TEXT COLLATE "C" NOT NULL,
  log_size BIGINT NOT NULL,
  log_head TEXT COLLATE "C" NOT NULL,
  vacuum_due BOOLEAN NOT NULL,
  copy_due BOOLEAN NOT NULL,
  canary BYTEA NOT NULL,
  ledger_key BYTEA NOT NULL,
  ledger_public BYTEA NOT NULL,
  created_at BIGINT NOT NULL
) ;
CREATE TABLE keyring_keks (
  id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  version BIGINT NOT NULL UNIQUE,
  state TEXT COLLATE "C" NOT NULL,
  root_kind TEXT COLLATE "C" NOT NULL,
  by_root BYTEA NOT NULL,
  by_recovery BYTEA NOT NULL,
  created_at BIGINT NOT NULL,
  retired_at BIGINT NOT NULL
) ;
CREATE TABLE keyring_keys (
  id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  owner TEXT COLLATE "C" NOT NULL,
  class TEXT COLLATE "C" NOT NULL,
  purpose TEXT COLLATE "C" NOT NULL,
  version BIGINT NOT NULL,
  state TEXT COLLATE "C" NOT NULL,
  parent TEXT COLLATE "C" NOT NULL,
  wrapped BYTEA NOT NULL,
  reserved BIGINT NOT NULL,
  acked BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  retired_at BIGINT NOT NULL,
  UNIQUE (owner, purpose, version)
) ;
CREATE INDEX keyring_keys_parent ON keyring_keys (parent, id);
CREATE INDEX keyring_keys_state ON keyring_keys (state, id);
CREATE INDEX keyring_keys_unacked ON keyring_keys (id) WHERE acked < 2;
CREATE TABLE keyring_erased (
  owner TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  line BIGINT NOT NULL,
  at BIGINT NOT NULL
) ;
CREATE TABLE keyring_erased_keys (
  id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  line BIGINT NOT NULL
) ;
