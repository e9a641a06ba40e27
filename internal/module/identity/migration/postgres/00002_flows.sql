-- +goose Up

-- One-time codes that come by mail: password resets, verifications of addresses, invitations. A code is 256 random bits; its SHA-256 stands here.
CREATE TABLE identity_code (
  tenant integer NOT NULL,
  hash bytea NOT NULL,
  purpose text COLLATE "C" NOT NULL,           -- reset, verify, invite
  user_id bigint NOT NULL,
  email bytea NOT NULL,             -- blind index of the address that it was sent to
  expires_at bigint NOT NULL,
  used_at bigint NOT NULL,
  created_by text COLLATE "C" NOT NULL, created_at bigint NOT NULL,
  PRIMARY KEY (tenant, hash)
);
CREATE INDEX identity_code_user ON identity_code (tenant, user_id, purpose);

-- The second factor of a user: a secret that an app on the phone has too (RFC 6238).
CREATE TABLE identity_mfa (
  tenant integer NOT NULL,
  user_id bigint NOT NULL,
  secret bytea NOT NULL,            -- sealed
  active bigint NOT NULL,         -- 0: the user has not shown yet that the app has it
  step bigint NOT NULL,           -- the last one that was used
  created_by text COLLATE "C" NOT NULL, created_at bigint NOT NULL, updated_by text COLLATE "C" NOT NULL, updated_at bigint NOT NULL, deleted_at bigint NOT NULL,
  PRIMARY KEY (tenant, user_id)
);

CREATE TABLE identity_recovery (
  tenant integer NOT NULL,
  user_id bigint NOT NULL,
  hash bytea NOT NULL,              -- SHA-256 of 80 random bits
  used_at bigint NOT NULL,
  created_by text COLLATE "C" NOT NULL, created_at bigint NOT NULL,
  PRIMARY KEY (tenant, user_id, hash)
);

CREATE TABLE identity_mail (
  tenant integer NOT NULL,
  id bigint NOT NULL,
  user_id bigint NOT NULL,
  purpose text COLLATE "C" NOT NULL,
  body bytea NOT NULL,              -- sealed JSON: to, subject, text; empty once it was sent or taken out
  tries bigint NOT NULL,
  next_at bigint NOT NULL,        -- not before
  expires_at bigint NOT NULL,     -- of no use to anybody from then on
  sent_at bigint NOT NULL,
  error text COLLATE "C" NOT NULL,             -- the kind of the last failure
  created_by text COLLATE "C" NOT NULL, created_at bigint NOT NULL, updated_by text COLLATE "C" NOT NULL, updated_at bigint NOT NULL, deleted_at bigint NOT NULL,
  PRIMARY KEY (tenant, id)
);
CREATE INDEX identity_mail_due ON identity_mail (tenant, next_at) WHERE sent_at = 0 AND deleted_at = 0;
ALTER TABLE identity_code ENABLE ROW LEVEL SECURITY;
ALTER TABLE identity_code FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON identity_code USING (tenant = current_setting('nilecare.tenant', true)::integer);
ALTER TABLE identity_mfa ENABLE ROW LEVEL SECURITY;
ALTER TABLE identity_mfa FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON identity_mfa USING (tenant = current_setting('nilecare.tenant', true)::integer);
ALTER TABLE identity_recovery ENABLE ROW LEVEL SECURITY;
ALTER TABLE identity_recovery FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON identity_recovery USING (tenant = current_setting('nilecare.tenant', true)::integer);
ALTER TABLE identity_mail ENABLE ROW LEVEL SECURITY;
ALTER TABLE identity_mail FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON identity_mail USING (tenant = current_setting('nilecare.tenant', true)::integer);
