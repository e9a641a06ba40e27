-- +goose Up

-- By which host names requests are a tenant's. The rows are the first tenant's, whose administrators keep them.
CREATE TABLE identity_host (
  tenant INTEGER NOT NULL,         -- 1
  host TEXT NOT NULL,            -- lower case, without port
  id INTEGER NOT NULL,             -- the tenant's number
  created_by TEXT NOT NULL, created_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, host)
) WITHOUT ROWID;
