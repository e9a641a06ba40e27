-- +goose Up
-- The record. Numbers (num, seq) are 53 bits and time-ordered: the time of a version is in its seq (see internal/ident).
-- Who wrote a version stands in its audit row. Columns stand in the order that wastes the fewest bytes on alignment.

CREATE TABLE record (
  num bigint NOT NULL,
  seq bigint NOT NULL,          -- the current version
  tenant integer NOT NULL,
  vid integer NOT NULL,
  type smallint NOT NULL,       -- resource type, its stable number
  deleted smallint NOT NULL,
  fid text COLLATE "C",         -- the FHIR id where it is not num in decimal
  PRIMARY KEY (tenant, type, num)
) WITH (fillfactor = 90);
CREATE INDEX record_seq ON record (tenant, type, seq);

-- FHIR ids that clients chose, and those that were referred to before anything stood there.
CREATE TABLE alias (
  num bigint NOT NULL,
  tenant integer NOT NULL,
  type smallint NOT NULL,
  fid text COLLATE "C" NOT NULL,
  PRIMARY KEY (tenant, type, fid)
);

CREATE TABLE version (
  seq bigint PRIMARY KEY,
  num bigint NOT NULL,
  keynum bigint NOT NULL,       -- seal_key.num of the key that seals body
  audit bigint,                 -- audit.id; NULL: the same as seq
  tenant integer NOT NULL,
  vid integer NOT NULL,
  type smallint NOT NULL,
  op smallint NOT NULL,         -- 1 create, 2 update, 3 delete, 4 patch
  body bytea                    -- packed and sealed; NULL for a delete
);
ALTER TABLE version ALTER body SET STORAGE EXTERNAL; -- it is compressed already
CREATE INDEX version_type ON version (tenant, type, seq);
CREATE INDEX version_num ON version (tenant, num, vid) WHERE seq <> num;

CREATE TABLE event (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- given out before the commit: read below the oldest running txid
  txid xid8 NOT NULL DEFAULT pg_current_xact_id(),
  num bigint NOT NULL,
  tenant integer NOT NULL,
  vid integer NOT NULL,
  type smallint NOT NULL,
  op smallint NOT NULL
);

CREATE TABLE audit (
  id bigint PRIMARY KEY,        -- the seq of the first version it speaks of
  tenant integer NOT NULL,
  changes integer NOT NULL,
  who text NOT NULL,
  action text NOT NULL,
  request text,
  address text
);

CREATE TABLE seal_key (
  num bigint NOT NULL,          -- a patient's record number; 0 the tenant's key, -1 the key of its blind indexes
  created_at bigint NOT NULL,   -- microseconds since 1970
  destroyed_at bigint,
  tenant integer NOT NULL,
  wrapped bytea,                -- NULL: destroyed
  PRIMARY KEY (tenant, num)
);

CREATE TABLE setting (
  name text COLLATE "C" PRIMARY KEY,
  value text NOT NULL
);

CREATE TABLE idx_text (
  num bigint NOT NULL,
  sub bigint NOT NULL,
  tenant integer NOT NULL,
  atom integer NOT NULL,
  val bytea NOT NULL,
  PRIMARY KEY (tenant, atom, val, num, sub)
);

CREATE TABLE idx_ref (
  target bigint NOT NULL,
  num bigint NOT NULL,
  tenant integer NOT NULL,
  atom integer NOT NULL,
  PRIMARY KEY (tenant, target, atom, num)
);

CREATE TABLE idx_date (
  lo bigint NOT NULL,           -- microseconds since 1970
  hi bigint NOT NULL,
  num bigint NOT NULL,
  tenant integer NOT NULL,
  atom integer NOT NULL,
  wide smallint NOT NULL,       -- 1: longer than a month, or open
  PRIMARY KEY (tenant, atom, wide, lo, hi, num)
);
CREATE INDEX idx_date_num ON idx_date (tenant, num, atom);

CREATE TABLE idx_num (
  lo double precision NOT NULL,
  hi double precision NOT NULL,
  num bigint NOT NULL,
  system bigint NOT NULL,
  code bigint NOT NULL,
  tenant integer NOT NULL,
  atom integer NOT NULL,
  wide smallint NOT NULL,       -- 1: a range
  PRIMARY KEY (tenant, atom, wide, lo, hi, num, system, code)
);
CREATE INDEX idx_num_num ON idx_num (tenant, num, atom);

-- +goose StatementBegin
DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['record', 'alias', 'version', 'event', 'audit', 'seal_key', 'idx_text', 'idx_ref', 'idx_date', 'idx_num'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY own_tenant ON %I USING (tenant = current_setting(''nilecare.tenant'', true)::integer)', t);
  END LOOP;
END
$$;
-- +goose StatementEnd
