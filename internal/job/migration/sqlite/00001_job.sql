-- +goose Up

-- Times are microseconds since 1970; 0 is never.
CREATE TABLE job_task (
  tenant INTEGER NOT NULL,
  id INTEGER NOT NULL,
  kind TEXT NOT NULL,
  key TEXT NOT NULL,
  at INTEGER NOT NULL,             -- when it is meant to be done
  due_at INTEGER NOT NULL,         -- not to be begun before: its time, the next attempt's, or the end of the lease of who does it
  data BLOB NOT NULL,
  attempts INTEGER NOT NULL,       -- begun
  begun_at INTEGER NOT NULL,       -- the first of them
  lease INTEGER NOT NULL,          -- names the attempt that is running; 0: none
  state TEXT NOT NULL,             -- waiting, done, failed
  error TEXT NOT NULL,             -- why the last attempt failed; '': it did not
  ended_at INTEGER NOT NULL,       -- done or failed
  created_by TEXT NOT NULL, created_at INTEGER NOT NULL, updated_by TEXT NOT NULL, updated_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, id)
) WITHOUT ROWID;
CREATE UNIQUE INDEX job_task_key ON job_task (tenant, kind, key);
CREATE INDEX job_task_due ON job_task (tenant, kind, due_at) WHERE state = 'waiting';
CREATE INDEX job_task_ended ON job_task (tenant, state, ended_at);
