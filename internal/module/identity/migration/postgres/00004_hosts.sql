-- +goose Up

-- By which host names requests are a tenant's. The rows are the first tenant's, whose administrators keep them.
CREATE TABLE identity_host (
  tenant integer NOT NULL,         -- 1
  host text COLLATE "C" NOT NULL,            -- lower case, without port
  id integer NOT NULL,             -- the tenant's number
  created_by text COLLATE "C" NOT NULL, created_at bigint NOT NULL,
  PRIMARY KEY (tenant, host)
);
ALTER TABLE identity_host ENABLE ROW LEVEL SECURITY;
ALTER TABLE identity_host FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON identity_host USING (tenant = current_setting('nilecare.tenant', true)::integer);
