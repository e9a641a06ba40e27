-- +goose Up

-- Break-glass: somebody saw what was closed to them, for a while and for a reason.
CREATE TABLE identity_breakglass (
  tenant integer NOT NULL,
  id bigint NOT NULL,
  user_id bigint NOT NULL,
  session bigint NOT NULL,
  patient TEXT NOT NULL,           -- Patient/3
  reason bytea NOT NULL,            -- sealed
  until_at bigint NOT NULL,       -- microseconds since 1970
  verdict TEXT NOT NULL,           -- '', justified, unjustified
  note bytea NOT NULL,              -- sealed
  reviewed_by TEXT NOT NULL,
  reviewed_at bigint NOT NULL,
  created_by TEXT NOT NULL, created_at bigint NOT NULL, updated_by TEXT NOT NULL, updated_at bigint NOT NULL, deleted_at bigint NOT NULL,
  PRIMARY KEY (tenant, id)
);
CREATE INDEX identity_breakglass_user ON identity_breakglass (tenant, user_id, until_at);

-- The list of all tenants: its rows are the first tenant's, whose administrators keep it.
CREATE TABLE identity_tenant (
  tenant integer NOT NULL,         -- 1
  id integer NOT NULL,            -- the tenant's number
  name TEXT NOT NULL,
  status TEXT NOT NULL,            -- active, suspended, deleting, deleted
  delete_at bigint NOT NULL,      -- when a tenant that is to be deleted is; 0: it is not
  created_by TEXT NOT NULL, created_at bigint NOT NULL, updated_by TEXT NOT NULL, updated_at bigint NOT NULL, deleted_at bigint NOT NULL,
  PRIMARY KEY (tenant, id)
);

-- Wishes of users to have their account linked to their own record.
CREATE TABLE identity_link (
  tenant integer NOT NULL,
  id bigint NOT NULL,
  user_id bigint NOT NULL,
  patient TEXT NOT NULL,           -- Patient/3; '': nothing matched
  status TEXT NOT NULL,            -- pending, verified, rejected
  how TEXT NOT NULL,               -- '', staff, code
  code bytea NOT NULL,              -- SHA-256 of the code that was sent; empty: none
  code_until bigint NOT NULL,
  tries bigint NOT NULL,
  created_by TEXT NOT NULL, created_at bigint NOT NULL, updated_by TEXT NOT NULL, updated_at bigint NOT NULL, deleted_at bigint NOT NULL,
  PRIMARY KEY (tenant, id)
);
CREATE INDEX identity_link_user ON identity_link (tenant, user_id, created_at);
ALTER TABLE identity_breakglass ENABLE ROW LEVEL SECURITY;
ALTER TABLE identity_breakglass FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON identity_breakglass USING (tenant = current_setting('nilecare.tenant', true)::integer);
ALTER TABLE identity_tenant ENABLE ROW LEVEL SECURITY;
ALTER TABLE identity_tenant FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON identity_tenant USING (tenant = current_setting('nilecare.tenant', true)::integer);
ALTER TABLE identity_link ENABLE ROW LEVEL SECURITY;
ALTER TABLE identity_link FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON identity_link USING (tenant = current_setting('nilecare.tenant', true)::integer);
