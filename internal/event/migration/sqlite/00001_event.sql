-- +goose Up

-- Times are microseconds since 1970; 0 is never.

-- How far a reader has come in a tenant's changes.
CREATE TABLE event_reader (
  tenant INTEGER NOT NULL,
  name TEXT NOT NULL,
  position INTEGER NOT NULL,      -- event.id up to which everything was handled
  owner INTEGER NOT NULL,         -- event_process.id of the process that reads; 0: none
  epoch INTEGER NOT NULL,         -- grows when another process takes over, and when the reader is sent to another place
  tries INTEGER NOT NULL,         -- how often the event behind position was tried in vain
  failing_at INTEGER NOT NULL,    -- since when
  problem BLOB,                   -- sealed: why
  created_by TEXT NOT NULL, created_at INTEGER NOT NULL, updated_by TEXT NOT NULL, updated_at INTEGER NOT NULL, deleted_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, name)
) WITHOUT ROWID;

-- What a reader could not handle. The event itself is told anew from the record: only its place stands here.
CREATE TABLE event_dead (
  tenant INTEGER NOT NULL,
  id INTEGER NOT NULL,
  reader TEXT NOT NULL,
  event INTEGER NOT NULL,         -- event.id
  part INTEGER NOT NULL,          -- which of the change's facts; -1: the change itself could not be told
  kind TEXT NOT NULL,
  version INTEGER NOT NULL,       -- of the kind's schema
  subject TEXT NOT NULL,          -- Appointment/12
  happened_at INTEGER NOT NULL,
  tries INTEGER NOT NULL,
  problem BLOB,                   -- sealed: why
  state TEXT NOT NULL,            -- dead, again (to be handled once more), handled, discarded, gone (cannot be read any more)
  created_by TEXT NOT NULL, created_at INTEGER NOT NULL, updated_by TEXT NOT NULL, updated_at INTEGER NOT NULL, deleted_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, id)
) WITHOUT ROWID;
CREATE UNIQUE INDEX event_dead_open ON event_dead (tenant, reader, event, part) WHERE deleted_at = 0;

-- The processes that read. The rows are the first tenant's.
CREATE TABLE event_process (
  tenant INTEGER NOT NULL,
  id INTEGER NOT NULL,
  beat INTEGER NOT NULL,          -- grows while the process lives
  created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, id)
) WITHOUT ROWID;
