-- +goose Up

-- Times are microseconds since 1970; 0 is never.

CREATE TABLE federation_provider (
  tenant INTEGER NOT NULL,
  id TEXT NOT NULL,                -- a short name that stands in URLs
  kind TEXT NOT NULL,              -- google, microsoft, oidc, saml
  name TEXT NOT NULL,              -- for people
  enabled INTEGER NOT NULL,
  config TEXT NOT NULL,            -- JSON without secrets
  secret BLOB NOT NULL,            -- sealed JSON: the client's secret; our key and certificate
  created_by TEXT NOT NULL, created_at INTEGER NOT NULL, updated_by TEXT NOT NULL, updated_at INTEGER NOT NULL, deleted_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE federation_flow (
  tenant INTEGER NOT NULL,
  hash BLOB NOT NULL,              -- SHA-256 of the state
  browser BLOB NOT NULL,           -- SHA-256 of the browser's cookie
  provider TEXT NOT NULL,
  body BLOB NOT NULL,              -- sealed JSON: nonce, verifier, the way back, who was asserted
  expires_at INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, hash)
) STRICT, WITHOUT ROWID;
CREATE INDEX federation_flow_expires ON federation_flow (tenant, expires_at);

CREATE TABLE federation_used (
  tenant INTEGER NOT NULL,
  hash BLOB NOT NULL,              -- SHA-256 of the provider and the id of an assertion that was taken
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, hash)
) STRICT, WITHOUT ROWID;
CREATE INDEX federation_used_expires ON federation_used (tenant, expires_at);
