-- +goose Up

-- Times are microseconds since 1970; 0 is never.

CREATE TABLE scim_resource (
  tenant integer NOT NULL,
  kind text COLLATE "C" NOT NULL,              -- User, Group
  id text COLLATE "C" NOT NULL,                -- the resource's
  external bytea NOT NULL,          -- blind index of the client's own id; empty: none
  name bytea NOT NULL,              -- blind index of a userName; empty: none
  body bytea NOT NULL,              -- sealed JSON: what a client told that a user or a role has no place for
  created_by text COLLATE "C" NOT NULL, created_at bigint NOT NULL, updated_by text COLLATE "C" NOT NULL, updated_at bigint NOT NULL, deleted_at bigint NOT NULL,
  PRIMARY KEY (tenant, kind, id)
);
CREATE INDEX scim_resource_external ON scim_resource (tenant, kind, external);
CREATE INDEX scim_resource_name ON scim_resource (tenant, kind, name);

ALTER TABLE scim_resource ENABLE ROW LEVEL SECURITY;
ALTER TABLE scim_resource FORCE ROW LEVEL SECURITY;
CREATE POLICY scim_resource_tenant ON scim_resource USING (tenant = current_setting('nilecare.tenant', true)::integer);
