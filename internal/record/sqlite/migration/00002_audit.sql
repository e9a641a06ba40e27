-- +goose Up
-- The audit: append-only, sealed shortly after into blocks (see internal/audit). What is filtered by stands in clear; all else is sealed in body.

CREATE TABLE audit_entry (
  tenant INTEGER NOT NULL,
  pos INTEGER NOT NULL,     -- counts transactions: with id, the order of commits
  id INTEGER NOT NULL,      -- a number that tells the time; of a change the seq of its first version
  kind INTEGER NOT NULL,    -- 1 record, 2 session, 3 administration, 4 security, 5 export
  outcome INTEGER NOT NULL, -- 0 success, 4 minor, 8 serious, 12 major
  action TEXT NOT NULL,
  who TEXT NOT NULL,
  type TEXT,                -- of what was acted upon
  num INTEGER NOT NULL,
  vid INTEGER NOT NULL,
  patient INTEGER,          -- the only patient
  patients BLOB,            -- several: their numbers, 8 bytes each
  count INTEGER NOT NULL,
  body BLOB NOT NULL,       -- sealed
  PRIMARY KEY (tenant, pos, id)
) WITHOUT ROWID;
CREATE UNIQUE INDEX audit_entry_id ON audit_entry (tenant, id);
CREATE INDEX audit_entry_patient ON audit_entry (tenant, patient, id) WHERE patient IS NOT NULL;
CREATE INDEX audit_entry_kind ON audit_entry (tenant, kind, id) WHERE kind > 1;

-- The patients of entries that are about several.
CREATE TABLE audit_patient (
  tenant INTEGER NOT NULL,
  patient INTEGER NOT NULL,
  id INTEGER NOT NULL,
  PRIMARY KEY (tenant, patient, id)
) WITHOUT ROWID;

-- A block covers the entries behind the block before it, up to (pos, id).
CREATE TABLE audit_block (
  tenant INTEGER NOT NULL,
  num INTEGER NOT NULL,     -- 1, 2, 3 …
  pos INTEGER NOT NULL,
  id INTEGER NOT NULL,
  count INTEGER NOT NULL,
  total INTEGER NOT NULL,   -- entries of this and all blocks before
  made_at INTEGER NOT NULL, -- microseconds since 1970
  keynum INTEGER NOT NULL,  -- audit_key.num
  prev BLOB NOT NULL,       -- hash of the block before
  leaves BLOB NOT NULL,     -- an id and 8 bytes of its entry's hash, for each entry
  hash BLOB NOT NULL,
  signature BLOB NOT NULL,
  PRIMARY KEY (tenant, num)
) WITHOUT ROWID;

-- The keys that sign blocks.
CREATE TABLE audit_key (
  tenant INTEGER NOT NULL,
  num INTEGER NOT NULL,     -- 1, 2, 3 …
  public BLOB NOT NULL,
  proof BLOB NOT NULL,      -- the public key, sealed by the tenant's key
  secret BLOB,              -- sealed by the tenant's key; NULL: out of use
  created_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, num)
) WITHOUT ROWID;

-- The entries from before: position 0, the request's id and the address as they stood.
INSERT INTO audit_entry (tenant, pos, id, kind, outcome, action, who, type, num, vid, count, body)
  SELECT tenant, 0, id, 1, 0, action, who, NULL, 0, 0, changes, CAST(X'00' || coalesce(request, '') || X'00' || coalesce(address, '') AS BLOB) FROM audit;
DROP TABLE audit;

-- +goose StatementBegin
CREATE TRIGGER audit_entry_kept BEFORE UPDATE ON audit_entry BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_entry_stays BEFORE DELETE ON audit_entry BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_patient_kept BEFORE UPDATE ON audit_patient BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_patient_stays BEFORE DELETE ON audit_patient BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_block_kept BEFORE UPDATE ON audit_block BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_block_stays BEFORE DELETE ON audit_block BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
-- +goose StatementEnd
