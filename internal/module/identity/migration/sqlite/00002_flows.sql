-- +goose Up

-- One-time codes that come by mail: password resets, verifications of addresses, invitations. A code is 256 random bits; its SHA-256 stands here.
CREATE TABLE identity_code (
  tenant INTEGER NOT NULL,
  hash BLOB NOT NULL,
  purpose TEXT NOT NULL,           -- reset, verify, invite
  user_id INTEGER NOT NULL,
  email BLOB NOT NULL,             -- blind index of the address that it was sent to
  expires_at INTEGER NOT NULL,
  used_at INTEGER NOT NULL,
  created_by TEXT NOT NULL, created_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, hash)
) WITHOUT ROWID;
CREATE INDEX identity_code_user ON identity_code (tenant, user_id, purpose);

-- The second factor of a user: a secret that an app on the phone has too (RFC 6238).
CREATE TABLE identity_mfa (
  tenant INTEGER NOT NULL,
  user_id INTEGER NOT NULL,
  secret BLOB NOT NULL,            -- sealed
  active INTEGER NOT NULL,         -- 0: the user has not shown yet that the app has it
  step INTEGER NOT NULL,           -- the last one that was used
  created_by TEXT NOT NULL, created_at INTEGER NOT NULL, updated_by TEXT NOT NULL, updated_at INTEGER NOT NULL, deleted_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, user_id)
) WITHOUT ROWID;

CREATE TABLE identity_recovery (
  tenant INTEGER NOT NULL,
  user_id INTEGER NOT NULL,
  hash BLOB NOT NULL,              -- SHA-256 of 80 random bits
  used_at INTEGER NOT NULL,
  created_by TEXT NOT NULL, created_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, user_id, hash)
) WITHOUT ROWID;

CREATE TABLE identity_mail (
  tenant INTEGER NOT NULL,
  id INTEGER NOT NULL,
  user_id INTEGER NOT NULL,
  purpose TEXT NOT NULL,
  body BLOB NOT NULL,              -- sealed JSON: to, subject, text; empty once it was sent or taken out
  tries INTEGER NOT NULL,
  next_at INTEGER NOT NULL,        -- not before
  expires_at INTEGER NOT NULL,     -- of no use to anybody from then on
  sent_at INTEGER NOT NULL,
  error TEXT NOT NULL,             -- the kind of the last failure
  created_by TEXT NOT NULL, created_at INTEGER NOT NULL, updated_by TEXT NOT NULL, updated_at INTEGER NOT NULL, deleted_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, id)
) WITHOUT ROWID;
CREATE INDEX identity_mail_due ON identity_mail (tenant, next_at) WHERE sent_at = 0 AND deleted_at = 0;
