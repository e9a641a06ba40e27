-- +goose Up

-- Break-glass: somebody saw what was closed to them, for a while and for a reason.
CREATE TABLE identity_breakglass (
  tenant INTEGER NOT NULL,
  id INTEGER NOT NULL,
  user_id INTEGER NOT NULL,
  session INTEGER NOT NULL,
  patient TEXT NOT NULL,           -- Patient/3
  reason BLOB NOT NULL,            -- sealed
  until_at INTEGER NOT NULL,       -- microseconds since 1970
  verdict TEXT NOT NULL,           -- '', justified, unjustified
  note BLOB NOT NULL,              -- sealed
  reviewed_by TEXT NOT NULL,
  reviewed_at INTEGER NOT NULL,
  created_by TEXT NOT NULL, created_at INTEGER NOT NULL, updated_by TEXT NOT NULL, updated_at INTEGER NOT NULL, deleted_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, id)
) WITHOUT ROWID;
CREATE INDEX identity_breakglass_user ON identity_breakglass (tenant, user_id, until_at);

-- The list of all tenants: its rows are the first tenant's, whose administrators keep it.
CREATE TABLE identity_tenant (
  tenant INTEGER NOT NULL,         -- 1
  id INTEGER NOT NULL,             -- the tenant's number
  name TEXT NOT NULL,
  status TEXT NOT NULL,            -- active, suspended, deleting, deleted
  delete_at INTEGER NOT NULL,      -- when a tenant that is to be deleted is; 0: it is not
  created_by TEXT NOT NULL, created_at INTEGER NOT NULL, updated_by TEXT NOT NULL, updated_at INTEGER NOT NULL, deleted_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, id)
) WITHOUT ROWID;

-- Wishes of users to have their account linked to their own record.
CREATE TABLE identity_link (
  tenant INTEGER NOT NULL,
  id INTEGER NOT NULL,
  user_id INTEGER NOT NULL,
  patient TEXT NOT NULL,           -- Patient/3; '': nothing matched
  status TEXT NOT NULL,            -- pending, verified, rejected
  how TEXT NOT NULL,               -- '', staff, code
  code BLOB NOT NULL,              -- SHA-256 of the code that was sent; empty: none
  code_until INTEGER NOT NULL,
  tries INTEGER NOT NULL,
  created_by TEXT NOT NULL, created_at INTEGER NOT NULL, updated_by TEXT NOT NULL, updated_at INTEGER NOT NULL, deleted_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, id)
) WITHOUT ROWID;
CREATE INDEX identity_link_user ON identity_link (tenant, user_id, created_at);
