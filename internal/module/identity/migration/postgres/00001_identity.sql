-- +goose Up

-- Times are microseconds since 1970; 0 is never. Contact data is sealed, or a blind index; secrets stand here as hashes alone.

CREATE TABLE identity_user (
  tenant integer NOT NULL,
  id bigint NOT NULL,
  email bytea NOT NULL,             -- blind index of the address
  username bytea NOT NULL,          -- blind index; empty: none
  profile bytea NOT NULL,           -- sealed JSON: names and contact data
  role text COLLATE "C" NOT NULL,
  roles text COLLATE "C" NOT NULL,             -- JSON: names, the first of them is role
  permissions text COLLATE "C" NOT NULL,       -- JSON: beside those of the roles
  status text COLLATE "C" NOT NULL,            -- active, inactive, suspended, invited
  organization text COLLATE "C" NOT NULL,      -- FHIR ids
  facility text COLLATE "C" NOT NULL,
  fhir_user text COLLATE "C" NOT NULL,         -- Practitioner/1, Patient/2
  patient text COLLATE "C" NOT NULL,
  patients text COLLATE "C" NOT NULL,          -- JSON
  password text COLLATE "C" NOT NULL,          -- argon2id; '': none
  password_at bigint NOT NULL,
  mfa bigint NOT NULL,
  email_verified bigint NOT NULL,
  last_login bigint NOT NULL,
  version bigint NOT NULL,        -- grows with every change
  created_by text COLLATE "C" NOT NULL, created_at bigint NOT NULL, updated_by text COLLATE "C" NOT NULL, updated_at bigint NOT NULL, deleted_at bigint NOT NULL,
  PRIMARY KEY (tenant, id)
);
CREATE UNIQUE INDEX identity_user_email ON identity_user (tenant, email) WHERE deleted_at = 0;
CREATE UNIQUE INDEX identity_user_username ON identity_user (tenant, username) WHERE deleted_at = 0 AND username <> ''::bytea;

CREATE TABLE identity_external (
  tenant integer NOT NULL,
  provider text COLLATE "C" NOT NULL,
  subject bytea NOT NULL,           -- blind index of the provider's name for the person
  user_id bigint NOT NULL,
  created_by text COLLATE "C" NOT NULL, created_at bigint NOT NULL,
  PRIMARY KEY (tenant, provider, subject)
);

CREATE TABLE identity_session (
  tenant integer NOT NULL,
  id bigint NOT NULL,
  user_id bigint NOT NULL,
  how text COLLATE "C" NOT NULL,
  mfa bigint NOT NULL,            -- more than a password was proven
  remember bigint NOT NULL,
  cookie bytea NOT NULL,            -- SHA-256 of the cookie's secret
  device bytea NOT NULL,            -- sealed JSON: address and browser
  used_at bigint NOT NULL,
  expires_at bigint NOT NULL,     -- at last
  reason text COLLATE "C" NOT NULL,            -- why it ended
  created_by text COLLATE "C" NOT NULL, created_at bigint NOT NULL, updated_by text COLLATE "C" NOT NULL, updated_at bigint NOT NULL, deleted_at bigint NOT NULL,
  PRIMARY KEY (tenant, id)
);
CREATE INDEX identity_session_user ON identity_session (tenant, user_id, deleted_at);

CREATE TABLE identity_refresh (
  tenant integer NOT NULL,
  hash bytea NOT NULL,              -- SHA-256 of the secret
  session bigint NOT NULL,
  created_at bigint NOT NULL,
  used_at bigint NOT NULL,
  PRIMARY KEY (tenant, hash)
);
CREATE INDEX identity_refresh_session ON identity_refresh (tenant, session);

-- Wrong guesses, by account and by address, known or not.
CREATE TABLE identity_attempt (
  tenant integer NOT NULL,
  subject bytea NOT NULL,           -- blind index
  failures bigint NOT NULL,       -- since the last success or lock
  locks bigint NOT NULL,          -- since the last success
  failed_at bigint NOT NULL,
  locked_until bigint NOT NULL,
  PRIMARY KEY (tenant, subject)
);

CREATE TABLE identity_role (
  tenant integer NOT NULL,
  name text COLLATE "C" NOT NULL,
  description text COLLATE "C" NOT NULL,
  permissions text COLLATE "C" NOT NULL,       -- JSON
  created_by text COLLATE "C" NOT NULL, created_at bigint NOT NULL, updated_by text COLLATE "C" NOT NULL, updated_at bigint NOT NULL, deleted_at bigint NOT NULL,
  PRIMARY KEY (tenant, name)
);

CREATE TABLE identity_service (
  tenant integer NOT NULL,
  id bigint NOT NULL,
  name text COLLATE "C" NOT NULL,
  description text COLLATE "C" NOT NULL,
  role text COLLATE "C" NOT NULL,              -- service, device
  scopes text COLLATE "C" NOT NULL,
  certificate text COLLATE "C" NOT NULL,       -- SHA-256 of the client certificate, in hexadecimal; '': none
  created_by text COLLATE "C" NOT NULL, created_at bigint NOT NULL, updated_by text COLLATE "C" NOT NULL, updated_at bigint NOT NULL, deleted_at bigint NOT NULL,
  PRIMARY KEY (tenant, id)
);
CREATE UNIQUE INDEX identity_service_name ON identity_service (tenant, name) WHERE deleted_at = 0;
CREATE UNIQUE INDEX identity_service_certificate ON identity_service (tenant, certificate) WHERE deleted_at = 0 AND certificate <> '';

CREATE TABLE identity_key (
  tenant integer NOT NULL,
  id bigint NOT NULL,
  name text COLLATE "C" NOT NULL,
  scopes text COLLATE "C" NOT NULL,
  service bigint NOT NULL,        -- identity_service; 0: none
  addresses text COLLATE "C" NOT NULL,         -- JSON: networks
  expires_at bigint NOT NULL,
  used_at bigint NOT NULL,
  created_by text COLLATE "C" NOT NULL, created_at bigint NOT NULL, updated_by text COLLATE "C" NOT NULL, updated_at bigint NOT NULL, deleted_at bigint NOT NULL,
  PRIMARY KEY (tenant, id)
);

CREATE TABLE identity_key_secret (
  tenant integer NOT NULL,
  hash bytea NOT NULL,              -- SHA-256
  key_id bigint NOT NULL,
  prefix text COLLATE "C" NOT NULL,            -- what people tell keys apart by
  expires_at bigint NOT NULL,     -- 0: with the key
  created_at bigint NOT NULL,
  PRIMARY KEY (tenant, hash)
);
CREATE INDEX identity_key_secret_key ON identity_key_secret (tenant, key_id);

CREATE TABLE identity_setup (
  tenant integer NOT NULL,
  hash bytea NOT NULL,
  expires_at bigint NOT NULL,
  created_at bigint NOT NULL,
  used_at bigint NOT NULL,
  PRIMARY KEY (tenant, hash)
);
ALTER TABLE identity_user ENABLE ROW LEVEL SECURITY;
ALTER TABLE identity_user FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON identity_user USING (tenant = current_setting('nilecare.tenant', true)::integer);
ALTER TABLE identity_external ENABLE ROW LEVEL SECURITY;
ALTER TABLE identity_external FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON identity_external USING (tenant = current_setting('nilecare.tenant', true)::integer);
ALTER TABLE identity_session ENABLE ROW LEVEL SECURITY;
ALTER TABLE identity_session FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON identity_session USING (tenant = current_setting('nilecare.tenant', true)::integer);
ALTER TABLE identity_refresh ENABLE ROW LEVEL SECURITY;
ALTER TABLE identity_refresh FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON identity_refresh USING (tenant = current_setting('nilecare.tenant', true)::integer);
ALTER TABLE identity_attempt ENABLE ROW LEVEL SECURITY;
ALTER TABLE identity_attempt FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON identity_attempt USING (tenant = current_setting('nilecare.tenant', true)::integer);
ALTER TABLE identity_role ENABLE ROW LEVEL SECURITY;
ALTER TABLE identity_role FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON identity_role USING (tenant = current_setting('nilecare.tenant', true)::integer);
ALTER TABLE identity_service ENABLE ROW LEVEL SECURITY;
ALTER TABLE identity_service FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON identity_service USING (tenant = current_setting('nilecare.tenant', true)::integer);
ALTER TABLE identity_key ENABLE ROW LEVEL SECURITY;
ALTER TABLE identity_key FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON identity_key USING (tenant = current_setting('nilecare.tenant', true)::integer);
ALTER TABLE identity_key_secret ENABLE ROW LEVEL SECURITY;
ALTER TABLE identity_key_secret FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON identity_key_secret USING (tenant = current_setting('nilecare.tenant', true)::integer);
ALTER TABLE identity_setup ENABLE ROW LEVEL SECURITY;
ALTER TABLE identity_setup FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON identity_setup USING (tenant = current_setting('nilecare.tenant', true)::integer);
