-- +goose Up
-- The record. Numbers (num, seq) are 53 bits and time-ordered: the time of a version is in its seq (see internal/ident).
-- Who wrote a version stands in its audit row.

CREATE TABLE record (
  tenant INTEGER NOT NULL,
  type INTEGER NOT NULL,    -- resource type, its stable number
  num INTEGER NOT NULL,
  seq INTEGER NOT NULL,     -- the current version
  vid INTEGER NOT NULL,
  deleted INTEGER NOT NULL,
  fid TEXT,                 -- the FHIR id where it is not num in decimal
  PRIMARY KEY (tenant, type, num)
) WITHOUT ROWID;

-- FHIR ids that clients chose, and those that were referred to before anything stood there.
CREATE TABLE alias (
  tenant INTEGER NOT NULL,
  type INTEGER NOT NULL,
  fid TEXT NOT NULL,
  num INTEGER NOT NULL,
  PRIMARY KEY (tenant, type, fid)
) WITHOUT ROWID;

CREATE TABLE version (
  seq INTEGER PRIMARY KEY,
  tenant INTEGER NOT NULL,
  type INTEGER NOT NULL,
  num INTEGER NOT NULL,
  vid INTEGER NOT NULL,
  op INTEGER NOT NULL,      -- 1 create, 2 update, 3 delete, 4 patch
  keynum INTEGER NOT NULL,  -- seal_key.num of the key that seals body
  audit INTEGER,            -- audit.id; NULL: the same as seq
  body BLOB                 -- packed and sealed; NULL for a delete
);
CREATE INDEX version_type ON version (tenant, type);
CREATE INDEX version_num ON version (tenant, num, vid) WHERE seq <> num;

CREATE TABLE event (
  id INTEGER PRIMARY KEY AUTOINCREMENT, -- in the order of commits
  tenant INTEGER NOT NULL,
  type INTEGER NOT NULL,
  num INTEGER NOT NULL,
  vid INTEGER NOT NULL,
  op INTEGER NOT NULL
);

CREATE TABLE audit (
  id INTEGER PRIMARY KEY,   -- the seq of the first version it speaks of
  tenant INTEGER NOT NULL,
  who TEXT NOT NULL,
  action TEXT NOT NULL,
  changes INTEGER NOT NULL,
  request TEXT,
  address TEXT
);

CREATE TABLE seal_key (
  tenant INTEGER NOT NULL,
  num INTEGER NOT NULL,     -- a patient's record number; 0 the tenant's key, -1 the key of its blind indexes
  wrapped BLOB,             -- NULL: destroyed
  created_at INTEGER NOT NULL, -- microseconds since 1970
  destroyed_at INTEGER,
  PRIMARY KEY (tenant, num)
) WITHOUT ROWID;

CREATE TABLE setting (
  name TEXT NOT NULL PRIMARY KEY,
  value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE idx_text (
  tenant INTEGER NOT NULL,
  atom INTEGER NOT NULL,
  val BLOB NOT NULL,
  num INTEGER NOT NULL,
  sub INTEGER NOT NULL,
  PRIMARY KEY (tenant, atom, val, num, sub)
) WITHOUT ROWID;

CREATE TABLE idx_ref (
  tenant INTEGER NOT NULL,
  target INTEGER NOT NULL,
  atom INTEGER NOT NULL,
  num INTEGER NOT NULL,
  PRIMARY KEY (tenant, target, atom, num)
) WITHOUT ROWID;

CREATE TABLE idx_date (
  tenant INTEGER NOT NULL,
  atom INTEGER NOT NULL,
  wide INTEGER NOT NULL,    -- 1: longer than a month, or open
  lo INTEGER NOT NULL,      -- microseconds since 1970
  hi INTEGER NOT NULL,
  num INTEGER NOT NULL,
  PRIMARY KEY (tenant, atom, wide, lo, hi, num)
) WITHOUT ROWID;
CREATE INDEX idx_date_num ON idx_date (tenant, num, atom);

CREATE TABLE idx_num (
  tenant INTEGER NOT NULL,
  atom INTEGER NOT NULL,
  wide INTEGER NOT NULL,    -- 1: a range
  lo REAL NOT NULL,
  hi REAL NOT NULL,
  num INTEGER NOT NULL,
  system INTEGER NOT NULL,
  code INTEGER NOT NULL,
  PRIMARY KEY (tenant, atom, wide, lo, hi, num, system, code)
) WITHOUT ROWID;
CREATE INDEX idx_num_num ON idx_num (tenant, num, atom);
