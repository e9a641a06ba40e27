-- +goose Up

-- Times are microseconds since 1970; 0 is never. Contact data is sealed, or a blind index; secrets stand here as hashes alone.

CREATE TABLE identity_user (
  tenant INTEGER NOT NULL,
  id INTEGER NOT NULL,
  email BLOB NOT NULL,             -- blind index of the address
  username BLOB NOT NULL,          -- blind index; empty: none
  profile BLOB NOT NULL,           -- sealed JSON: names and contact data
  role TEXT NOT NULL,
  roles TEXT NOT NULL,             -- JSON: names, the first of them is role
  permissions TEXT NOT NULL,       -- JSON: beside those of the roles
  status TEXT NOT NULL,            -- active, inactive, suspended, invited
  organization TEXT NOT NULL,      -- FHIR ids
  facility TEXT NOT NULL,
  fhir_user TEXT NOT NULL,         -- Practitioner/1, Patient/2
  patient TEXT NOT NULL,
  patients TEXT NOT NULL,          -- JSON
  password TEXT NOT NULL,          -- argon2id; '': none
  password_at INTEGER NOT NULL,
  mfa INTEGER NOT NULL,
  email_verified INTEGER NOT NULL,
  last_login INTEGER NOT NULL,
  version INTEGER NOT NULL,        -- grows with every change
  created_by TEXT NOT NULL, created_at INTEGER NOT NULL, updated_by TEXT NOT NULL, updated_at INTEGER NOT NULL, deleted_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, id)
) WITHOUT ROWID;
CREATE UNIQUE INDEX identity_user_email ON identity_user (tenant, email) WHERE deleted_at = 0;
CREATE UNIQUE INDEX identity_user_username ON identity_user (tenant, username) WHERE deleted_at = 0 AND username <> x'';

CREATE TABLE identity_external (
  tenant INTEGER NOT NULL,
  provider TEXT NOT NULL,
  subject BLOB NOT NULL,           -- blind index of the provider's name for the person
  user_id INTEGER NOT NULL,
  created_by TEXT NOT NULL, created_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, provider, subject)
) WITHOUT ROWID;

CREATE TABLE identity_session (
  tenant INTEGER NOT NULL,
  id INTEGER NOT NULL,
  user_id INTEGER NOT NULL,
  how TEXT NOT NULL,
  mfa INTEGER NOT NULL,            -- more than a password was proven
  remember INTEGER NOT NULL,
  cookie BLOB NOT NULL,            -- SHA-256 of the cookie's secret
  device BLOB NOT NULL,            -- sealed JSON: address and browser
  used_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,     -- at last
  reason TEXT NOT NULL,            -- why it ended
  created_by TEXT NOT NULL, created_at INTEGER NOT NULL, updated_by TEXT NOT NULL, updated_at INTEGER NOT NULL, deleted_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, id)
) WITHOUT ROWID;
CREATE INDEX identity_session_user ON identity_session (tenant, user_id, deleted_at);

CREATE TABLE identity_refresh (
  tenant INTEGER NOT NULL,
  hash BLOB NOT NULL,              -- SHA-256 of the secret
  session INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  used_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, hash)
) WITHOUT ROWID;
CREATE INDEX identity_refresh_session ON identity_refresh (tenant, session);

-- Wrong guesses, by account and by address, known or not.
CREATE TABLE identity_attempt (
  tenant INTEGER NOT NULL,
  subject BLOB NOT NULL,           -- blind index
  failures INTEGER NOT NULL,       -- since the last success or lock
  locks INTEGER NOT NULL,          -- since the last success
  failed_at INTEGER NOT NULL,
  locked_until INTEGER NOT NULL,
  PRIMARY KEY (tenant, subject)
) WITHOUT ROWID;

CREATE TABLE identity_role (
  tenant INTEGER NOT NULL,
  name TEXT NOT NULL,
  description TEXT NOT NULL,
  permissions TEXT NOT NULL,       -- JSON
  created_by TEXT NOT NULL, created_at INTEGER NOT NULL, updated_by TEXT NOT NULL, updated_at INTEGER NOT NULL, deleted_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, name)
) WITHOUT ROWID;

CREATE TABLE identity_service (
  tenant INTEGER NOT NULL,
  id INTEGER NOT NULL,
  name TEXT NOT NULL,
  description TEXT NOT NULL,
  role TEXT NOT NULL,              -- service, device
  scopes TEXT NOT NULL,
  certificate TEXT NOT NULL,       -- SHA-256 of the client certificate, in hexadecimal; '': none
  created_by TEXT NOT NULL, created_at INTEGER NOT NULL, updated_by TEXT NOT NULL, updated_at INTEGER NOT NULL, deleted_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, id)
) WITHOUT ROWID;
CREATE UNIQUE INDEX identity_service_name ON identity_service (tenant, name) WHERE deleted_at = 0;
CREATE UNIQUE INDEX identity_service_certificate ON identity_service (tenant, certificate) WHERE deleted_at = 0 AND certificate <> '';

CREATE TABLE identity_key (
  tenant INTEGER NOT NULL,
  id INTEGER NOT NULL,
  name TEXT NOT NULL,
  scopes TEXT NOT NULL,
  service INTEGER NOT NULL,        -- identity_service; 0: none
  addresses TEXT NOT NULL,         -- JSON: networks
  expires_at INTEGER NOT NULL,
  used_at INTEGER NOT NULL,
  created_by TEXT NOT NULL, created_at INTEGER NOT NULL, updated_by TEXT NOT NULL, updated_at INTEGER NOT NULL, deleted_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, id)
) WITHOUT ROWID;

CREATE TABLE identity_key_secret (
  tenant INTEGER NOT NULL,
  hash BLOB NOT NULL,              -- SHA-256
  key_id INTEGER NOT NULL,
  prefix TEXT NOT NULL,            -- what people tell keys apart by
  expires_at INTEGER NOT NULL,     -- 0: with the key
  created_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, hash)
) WITHOUT ROWID;
CREATE INDEX identity_key_secret_key ON identity_key_secret (tenant, key_id);

CREATE TABLE identity_setup (
  tenant INTEGER NOT NULL,
  hash BLOB NOT NULL,
  expires_at INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  used_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, hash)
) WITHOUT ROWID;
