-- +goose Up

-- Times are microseconds since 1970; 0 is never.

CREATE TABLE idempotency_use (
  tenant integer NOT NULL,
  name bytea NOT NULL,              -- blind index of caller, method, path and key
  digest bytea NOT NULL,            -- blind index of the request's query and body
  attempt bigint NOT NULL,          -- the number of the attempt that has the key
  who text COLLATE "C" NOT NULL,    -- whose attempt it is, as the audit names them
  request bytea NOT NULL,           -- sealed: the attempt's request id
  state text COLLATE "C" NOT NULL,  -- running, done
  status bigint NOT NULL,           -- of the answer
  answer bytea NOT NULL,            -- sealed: headers and body; empty: it is not kept
  until bigint NOT NULL,            -- running: when it is taken for lost; done: when it is forgotten
  created_by text COLLATE "C" NOT NULL, created_at bigint NOT NULL, updated_by text COLLATE "C" NOT NULL, updated_at bigint NOT NULL, deleted_at bigint NOT NULL,
  PRIMARY KEY (tenant, name)
);
CREATE INDEX idempotency_use_until ON idempotency_use (tenant, until);

ALTER TABLE idempotency_use ENABLE ROW LEVEL SECURITY;
ALTER TABLE idempotency_use FORCE ROW LEVEL SECURITY;
CREATE POLICY idempotency_use_tenant ON idempotency_use USING (tenant = current_setting('nilecare.tenant', true)::integer);
