-- +goose Up

-- Times are microseconds since 1970; 0 is never.

CREATE TABLE idempotency_use (
  tenant INTEGER NOT NULL,
  name BLOB NOT NULL,              -- blind index of caller, method, path and key
  digest BLOB NOT NULL,            -- blind index of the request's query and body
  attempt INTEGER NOT NULL,        -- the number of the attempt that has the key
  who TEXT NOT NULL,               -- whose attempt it is, as the audit names them
  request BLOB NOT NULL,           -- sealed: the attempt's request id
  state TEXT NOT NULL,             -- running, done
  status INTEGER NOT NULL,         -- of the answer
  answer BLOB NOT NULL,            -- sealed: headers and body; empty: it is not kept
  until INTEGER NOT NULL,          -- running: when it is taken for lost; done: when it is forgotten
  created_by TEXT NOT NULL, created_at INTEGER NOT NULL, updated_by TEXT NOT NULL, updated_at INTEGER NOT NULL, deleted_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_use_until ON idempotency_use (tenant, until);
