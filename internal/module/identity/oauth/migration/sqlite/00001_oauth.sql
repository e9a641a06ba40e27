-- +goose Up

-- Times are microseconds since 1970; 0 is never. Codes, handles, secrets and tokens stand here as their SHA-256 alone.

CREATE TABLE oauth_client (
  tenant INTEGER NOT NULL,
  id TEXT NOT NULL,
  name TEXT NOT NULL,
  meta TEXT NOT NULL,             -- JSON: the registered metadata of RFC 7591
  contacts BLOB NOT NULL,         -- sealed
  secret BLOB NOT NULL,           -- SHA-256; empty: none
  registration BLOB NOT NULL,     -- SHA-256 of the registration access token; empty: none
  origin TEXT NOT NULL,           -- who made it: admin, dynamic, program
  disabled_at INTEGER NOT NULL,       -- 0: it is not
  created_by TEXT NOT NULL, created_at INTEGER NOT NULL, updated_by TEXT NOT NULL, updated_at INTEGER NOT NULL, deleted_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE oauth_login (
  tenant INTEGER NOT NULL,
  hash BLOB NOT NULL,             -- SHA-256 of the cookie
  subject INTEGER NOT NULL,
  methods TEXT NOT NULL,
  auth_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  created_by TEXT NOT NULL, created_at INTEGER NOT NULL, updated_by TEXT NOT NULL, updated_at INTEGER NOT NULL, deleted_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, hash)
) STRICT, WITHOUT ROWID;

CREATE TABLE oauth_request (
  tenant INTEGER NOT NULL,
  hash BLOB NOT NULL,             -- SHA-256 of the handle that the pages carry
  browser BLOB NOT NULL,          -- SHA-256 of the browser's cookie
  client TEXT NOT NULL,
  body TEXT NOT NULL,             -- JSON: what was asked, and what is decided so far
  expires_at INTEGER NOT NULL,
  created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, deleted_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, hash)
) STRICT, WITHOUT ROWID;

CREATE TABLE oauth_code (
  tenant INTEGER NOT NULL,
  hash BLOB NOT NULL,
  client TEXT NOT NULL,
  session INTEGER NOT NULL,           -- that it begins
  body TEXT NOT NULL,             -- JSON: what it grants
  expires_at INTEGER NOT NULL,
  created_by TEXT NOT NULL, created_at INTEGER NOT NULL, used_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, hash)
) STRICT, WITHOUT ROWID;

CREATE TABLE oauth_session (
  tenant INTEGER NOT NULL,
  num INTEGER NOT NULL,
  client TEXT NOT NULL,
  subject INTEGER NOT NULL,
  scope TEXT NOT NULL,
  context TEXT NOT NULL,          -- JSON: the launch context
  offline INTEGER NOT NULL,           -- 1: it outlives the login
  login BLOB NOT NULL,            -- of the browser, as in oauth_login; empty: none
  auth_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  created_by TEXT NOT NULL, created_at INTEGER NOT NULL, updated_by TEXT NOT NULL, updated_at INTEGER NOT NULL, deleted_at INTEGER NOT NULL, -- revoked
  reason TEXT NOT NULL,           -- why it was revoked
  PRIMARY KEY (tenant, num)
) STRICT, WITHOUT ROWID;
CREATE INDEX oauth_session_subject ON oauth_session (tenant, subject, client);
CREATE INDEX oauth_session_client ON oauth_session (tenant, client);

CREATE TABLE oauth_refresh (
  tenant INTEGER NOT NULL,
  hash BLOB NOT NULL,
  session INTEGER NOT NULL,
  created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL, used_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, hash)
) STRICT, WITHOUT ROWID;
CREATE INDEX oauth_refresh_session ON oauth_refresh (tenant, session);

CREATE TABLE oauth_consent (
  tenant INTEGER NOT NULL,
  subject INTEGER NOT NULL,
  client TEXT NOT NULL,
  asked TEXT NOT NULL,            -- scopes that were put to the person
  granted TEXT NOT NULL,          -- scopes that they agreed to
  created_by TEXT NOT NULL, created_at INTEGER NOT NULL, updated_by TEXT NOT NULL, updated_at INTEGER NOT NULL, deleted_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, subject, client)
) STRICT, WITHOUT ROWID;

CREATE TABLE oauth_launch (
  tenant INTEGER NOT NULL,
  hash BLOB NOT NULL,
  client TEXT NOT NULL,
  subject INTEGER NOT NULL,           -- who may use it
  body TEXT NOT NULL,             -- JSON: the launch context
  expires_at INTEGER NOT NULL,
  created_by TEXT NOT NULL, created_at INTEGER NOT NULL, used_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, hash)
) STRICT, WITHOUT ROWID;

CREATE TABLE oauth_device (
  tenant INTEGER NOT NULL,
  hash BLOB NOT NULL,             -- of the device code
  user_code BLOB NOT NULL,        -- hash
  client TEXT NOT NULL,
  scope TEXT NOT NULL,
  state TEXT NOT NULL,            -- pending, approved, denied, used
  body TEXT NOT NULL,             -- JSON: what it grants, once approved
  session INTEGER NOT NULL,
  pause INTEGER NOT NULL,             -- seconds between two polls
  polled_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  created_at INTEGER NOT NULL, updated_by TEXT NOT NULL, updated_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, hash)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX oauth_device_user_code ON oauth_device (tenant, user_code);

CREATE TABLE oauth_assertion (
  tenant INTEGER NOT NULL,
  client TEXT NOT NULL,
  jti BLOB NOT NULL,              -- SHA-256
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, client, jti)
) STRICT, WITHOUT ROWID;

CREATE TABLE oauth_revoked (
  tenant INTEGER NOT NULL,
  jti TEXT NOT NULL,
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, jti)
) STRICT, WITHOUT ROWID;

CREATE TABLE oauth_initial (
  tenant INTEGER NOT NULL,
  hash BLOB NOT NULL,
  name TEXT NOT NULL,
  uses INTEGER NOT NULL,              -- that are left
  expires_at INTEGER NOT NULL,
  created_by TEXT NOT NULL, created_at INTEGER NOT NULL, updated_by TEXT NOT NULL, updated_at INTEGER NOT NULL, deleted_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, hash)
) STRICT, WITHOUT ROWID;
