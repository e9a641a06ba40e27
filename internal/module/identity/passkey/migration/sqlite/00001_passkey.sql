-- +goose Up

-- Times are microseconds since 1970; 0 is never.

CREATE TABLE passkey_credential (
  tenant INTEGER NOT NULL,
  num INTEGER NOT NULL,
  hash BLOB NOT NULL,              -- SHA-256 of the credential's id
  subject INTEGER NOT NULL,        -- the user's number
  body BLOB NOT NULL,              -- sealed JSON: its name and the credential record of WebAuthn section 4
  counter INTEGER NOT NULL,        -- the authenticator's, at the last sign-in
  used_at INTEGER NOT NULL,
  created_by TEXT NOT NULL, created_at INTEGER NOT NULL, updated_by TEXT NOT NULL, updated_at INTEGER NOT NULL, deleted_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, num)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX passkey_credential_hash ON passkey_credential (tenant, hash);
CREATE INDEX passkey_credential_subject ON passkey_credential (tenant, subject);

CREATE TABLE passkey_challenge (
  tenant INTEGER NOT NULL,
  hash BLOB NOT NULL,              -- SHA-256 of the challenge
  kind TEXT NOT NULL,              -- register, login
  subject INTEGER NOT NULL,        -- who registers; 0: a sign-in
  body BLOB NOT NULL,              -- sealed JSON: what was begun
  expires_at INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, hash)
) STRICT, WITHOUT ROWID;
CREATE INDEX passkey_challenge_expires ON passkey_challenge (tenant, expires_at);
