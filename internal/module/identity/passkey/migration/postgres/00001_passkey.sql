-- +goose Up

-- Times are microseconds since 1970; 0 is never.

CREATE TABLE passkey_credential (
  tenant integer NOT NULL,
  num bigint NOT NULL,
  hash bytea NOT NULL,              -- SHA-256 of the credential's id
  subject bigint NOT NULL,        -- the user's number
  body bytea NOT NULL,              -- sealed JSON: its name and the credential record of WebAuthn section 4
  counter bigint NOT NULL,        -- the authenticator's, at the last sign-in
  used_at bigint NOT NULL,
  created_by text COLLATE "C" NOT NULL, created_at bigint NOT NULL, updated_by text COLLATE "C" NOT NULL, updated_at bigint NOT NULL, deleted_at bigint NOT NULL,
  PRIMARY KEY (tenant, num)
);
CREATE UNIQUE INDEX passkey_credential_hash ON passkey_credential (tenant, hash);
CREATE INDEX passkey_credential_subject ON passkey_credential (tenant, subject);

CREATE TABLE passkey_challenge (
  tenant integer NOT NULL,
  hash bytea NOT NULL,              -- SHA-256 of the challenge
  kind text COLLATE "C" NOT NULL,              -- register, login
  subject bigint NOT NULL,        -- who registers; 0: a sign-in
  body bytea NOT NULL,              -- sealed JSON: what was begun
  expires_at bigint NOT NULL,
  created_at bigint NOT NULL,
  PRIMARY KEY (tenant, hash)
);
CREATE INDEX passkey_challenge_expires ON passkey_challenge (tenant, expires_at);

ALTER TABLE passkey_credential ENABLE ROW LEVEL SECURITY;
ALTER TABLE passkey_credential FORCE ROW LEVEL SECURITY;
CREATE POLICY passkey_credential_tenant ON passkey_credential USING (tenant = current_setting('nilecare.tenant', true)::integer);

ALTER TABLE passkey_challenge ENABLE ROW LEVEL SECURITY;
ALTER TABLE passkey_challenge FORCE ROW LEVEL SECURITY;
CREATE POLICY passkey_challenge_tenant ON passkey_challenge USING (tenant = current_setting('nilecare.tenant', true)::integer);
