-- +goose Up
-- Who has looked at a security event.
CREATE TABLE security_review (
  tenant INTEGER NOT NULL,
  event INTEGER NOT NULL,      -- audit_entry.id
  note BLOB,                   -- sealed
  created_by TEXT NOT NULL,
  created_at INTEGER NOT NULL, -- microseconds since 1970
  updated_by TEXT,
  updated_at INTEGER,
  deleted_at INTEGER,
  PRIMARY KEY (tenant, event)
) WITHOUT ROWID;

-- How many records a user read or exported in an hour: what is usual for them.
CREATE TABLE access_volume (
  tenant INTEGER NOT NULL,
  who TEXT NOT NULL,
  hour INTEGER NOT NULL,       -- hours since 1970
  count INTEGER NOT NULL,
  alerted INTEGER NOT NULL DEFAULT 0, -- 1: a spike was told
  PRIMARY KEY (tenant, who, hour)
) WITHOUT ROWID;
