-- +goose Up
-- The keys that sign tokens.
CREATE TABLE signing_key (
  tenant INTEGER NOT NULL,
  kid TEXT NOT NULL,
  alg TEXT NOT NULL,            -- ES256, RS256
  state TEXT NOT NULL,          -- next: published; active: signs; retired: published; gone
  public BLOB NOT NULL,         -- PKIX, DER
  private BLOB,                 -- PKCS 8, DER, sealed by the tenant's key; NULL: gone
  activated_at INTEGER,         -- microseconds since 1970, as all times
  retired_at INTEGER,
  created_by TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_by TEXT NOT NULL,
  updated_at INTEGER NOT NULL,
  deleted_at INTEGER,           -- when it went
  PRIMARY KEY (tenant, kid)
) WITHOUT ROWID;
CREATE UNIQUE INDEX signing_key_active ON signing_key (tenant, alg) WHERE state = 'active';
CREATE UNIQUE INDEX signing_key_next ON signing_key (tenant, alg) WHERE state = 'next';
