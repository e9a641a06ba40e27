-- +goose Up

-- Times are microseconds since 1970; 0 is never.

CREATE TABLE scim_resource (
  tenant INTEGER NOT NULL,
  kind TEXT NOT NULL,              -- User, Group
  id TEXT NOT NULL,                -- the resource's
  external BLOB NOT NULL,          -- blind index of the client's own id; empty: none
  name BLOB NOT NULL,              -- blind index of a userName; empty: none
  body BLOB NOT NULL,              -- sealed JSON: what a client told that a user or a role has no place for
  created_by TEXT NOT NULL, created_at INTEGER NOT NULL, updated_by TEXT NOT NULL, updated_at INTEGER NOT NULL, deleted_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, kind, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX scim_resource_external ON scim_resource (tenant, kind, external);
CREATE INDEX scim_resource_name ON scim_resource (tenant, kind, name);
