-- +goose Up
-- The audit: append-only, sealed shortly after into blocks (see internal/audit). What is filtered by stands in clear; all else is sealed in body.
-- What the serving role may do with these tables is granted when a process opens the database.

CREATE TABLE audit_entry (
  pos bigint NOT NULL,          -- the number of the transaction: with id, the order of commits; read below the oldest running one
  id bigint NOT NULL,           -- a number that tells the time; of a change the seq of its first version
  num bigint NOT NULL,
  vid bigint NOT NULL,
  patient bigint,               -- the only patient
  count bigint NOT NULL,
  tenant integer NOT NULL,
  kind smallint NOT NULL,       -- 1 record, 2 session, 3 administration, 4 security, 5 export
  outcome smallint NOT NULL,    -- 0 success, 4 minor, 8 serious, 12 major
  action text COLLATE "C" NOT NULL,
  who text COLLATE "C" NOT NULL,
  type text COLLATE "C",        -- of what was acted upon
  patients bytea,               -- several: their numbers, 8 bytes each
  body bytea NOT NULL,          -- sealed
  PRIMARY KEY (tenant, id)
);
CREATE INDEX audit_entry_pos ON audit_entry (tenant, pos, id);
CREATE INDEX audit_entry_patient ON audit_entry (tenant, patient, id) WHERE patient IS NOT NULL;
CREATE INDEX audit_entry_kind ON audit_entry (tenant, kind, id) WHERE kind > 1;

-- The patients of entries that are about several.
CREATE TABLE audit_patient (
  patient bigint NOT NULL,
  id bigint NOT NULL,
  tenant integer NOT NULL,
  PRIMARY KEY (tenant, patient, id)
);

-- A block covers the entries behind the block before it, up to (pos, id).
CREATE TABLE audit_block (
  num bigint NOT NULL,          -- 1, 2, 3 …
  pos bigint NOT NULL,
  id bigint NOT NULL,
  count bigint NOT NULL,
  total bigint NOT NULL,        -- entries of this and all blocks before
  made_at bigint NOT NULL,      -- microseconds since 1970
  keynum bigint NOT NULL,       -- audit_key.num
  tenant integer NOT NULL,
  prev bytea NOT NULL,          -- hash of the block before
  leaves bytea NOT NULL,        -- an id and 8 bytes of its entry's hash, for each entry
  hash bytea NOT NULL,
  signature bytea NOT NULL,
  PRIMARY KEY (tenant, num)
);

-- The keys that sign blocks.
CREATE TABLE audit_key (
  num bigint NOT NULL,          -- 1, 2, 3 …
  created_at bigint NOT NULL,
  tenant integer NOT NULL,
  public bytea NOT NULL,
  proof bytea NOT NULL,         -- the public key, sealed by the tenant's key
  secret bytea,                 -- sealed by the tenant's key; NULL: out of use
  PRIMARY KEY (tenant, num)
);

-- The entries from before: position 0, the request's id and the address as they stood. No session sees the rows of all tenants, but
-- for this one statement.
ALTER TABLE audit NO FORCE ROW LEVEL SECURITY;
INSERT INTO audit_entry (tenant, pos, id, kind, outcome, action, who, num, vid, count, body)
  SELECT tenant, 0, id, 1, 0, action, who, 0, 0, changes, '\x00'::bytea || convert_to(coalesce(request, ''), 'UTF8') || '\x00'::bytea || convert_to(coalesce(address, ''), 'UTF8') FROM audit;
DROP TABLE audit;

-- +goose StatementBegin
CREATE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'the audit is append-only' USING ERRCODE = 'insufficient_privilege';
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['audit_entry', 'audit_patient', 'audit_block', 'audit_key'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY own_tenant ON %I USING (tenant = current_setting(''nilecare.tenant'', true)::integer)', t);
  END LOOP;
  FOREACH t IN ARRAY ARRAY['audit_entry', 'audit_patient', 'audit_block'] LOOP
    EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON %I FOR EACH ROW EXECUTE FUNCTION audit_append_only()', t);
    EXECUTE format('CREATE TRIGGER stays BEFORE TRUNCATE ON %I FOR EACH STATEMENT EXECUTE FUNCTION audit_append_only()', t);
  END LOOP;
END
$$;
-- +goose StatementEnd
