-- +goose Up
-- The keys that sign tokens.
CREATE TABLE signing_key (
  tenant integer NOT NULL,
  kid text COLLATE "C" NOT NULL,
  alg text NOT NULL,            -- ES256, RS256
  state text NOT NULL,          -- next: published; active: signs; retired: published; gone
  public bytea NOT NULL,        -- PKIX, DER
  private bytea,                -- PKCS 8, DER, sealed by the tenant's key; NULL: gone
  activated_at bigint,          -- microseconds since 1970, as all times
  retired_at bigint,
  created_by text NOT NULL,
  created_at bigint NOT NULL,
  updated_by text NOT NULL,
  updated_at bigint NOT NULL,
  deleted_at bigint,            -- when it went
  PRIMARY KEY (tenant, kid)
);
CREATE UNIQUE INDEX signing_key_active ON signing_key (tenant, alg) WHERE state = 'active';
CREATE UNIQUE INDEX signing_key_next ON signing_key (tenant, alg) WHERE state = 'next';
ALTER TABLE signing_key ENABLE ROW LEVEL SECURITY;
ALTER TABLE signing_key FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON signing_key USING (tenant = current_setting('nilecare.tenant', true)::integer);
