-- +goose Up

-- Times are microseconds since 1970; 0 is never.

CREATE TABLE federation_provider (
  tenant integer NOT NULL,
  id text COLLATE "C" NOT NULL,                -- a short name that stands in URLs
  kind text COLLATE "C" NOT NULL,              -- google, microsoft, oidc, saml
  name text COLLATE "C" NOT NULL,              -- for people
  enabled bigint NOT NULL,
  config text COLLATE "C" NOT NULL,            -- JSON without secrets
  secret bytea NOT NULL,            -- sealed JSON: the client's secret; our key and certificate
  created_by text COLLATE "C" NOT NULL, created_at bigint NOT NULL, updated_by text COLLATE "C" NOT NULL, updated_at bigint NOT NULL, deleted_at bigint NOT NULL,
  PRIMARY KEY (tenant, id)
);

CREATE TABLE federation_flow (
  tenant integer NOT NULL,
  hash bytea NOT NULL,              -- SHA-256 of the state
  browser bytea NOT NULL,           -- SHA-256 of the browser's cookie
  provider text COLLATE "C" NOT NULL,
  body bytea NOT NULL,              -- sealed JSON: nonce, verifier, the way back, who was asserted
  expires_at bigint NOT NULL,
  created_at bigint NOT NULL,
  PRIMARY KEY (tenant, hash)
);
CREATE INDEX federation_flow_expires ON federation_flow (tenant, expires_at);

CREATE TABLE federation_used (
  tenant integer NOT NULL,
  hash bytea NOT NULL,              -- SHA-256 of the provider and the id of an assertion that was taken
  expires_at bigint NOT NULL,
  PRIMARY KEY (tenant, hash)
);
CREATE INDEX federation_used_expires ON federation_used (tenant, expires_at);

ALTER TABLE federation_provider ENABLE ROW LEVEL SECURITY;
ALTER TABLE federation_provider FORCE ROW LEVEL SECURITY;
CREATE POLICY federation_provider_tenant ON federation_provider USING (tenant = current_setting('nilecare.tenant', true)::integer);

ALTER TABLE federation_flow ENABLE ROW LEVEL SECURITY;
ALTER TABLE federation_flow FORCE ROW LEVEL SECURITY;
CREATE POLICY federation_flow_tenant ON federation_flow USING (tenant = current_setting('nilecare.tenant', true)::integer);

ALTER TABLE federation_used ENABLE ROW LEVEL SECURITY;
ALTER TABLE federation_used FORCE ROW LEVEL SECURITY;
CREATE POLICY federation_used_tenant ON federation_used USING (tenant = current_setting('nilecare.tenant', true)::integer);
