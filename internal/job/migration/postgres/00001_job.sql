-- +goose Up

-- Times are microseconds since 1970; 0 is never.
CREATE TABLE job_task (
  tenant integer NOT NULL,
  id bigint NOT NULL,
  kind text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  at bigint NOT NULL,             -- when it is meant to be done
  due_at bigint NOT NULL,         -- not to be begun before: its time, the next attempt's, or the end of the lease of who does it
  data bytea NOT NULL,
  attempts bigint NOT NULL,       -- begun
  begun_at bigint NOT NULL,       -- the first of them
  lease bigint NOT NULL,          -- names the attempt that is running; 0: none
  state text COLLATE "C" NOT NULL,             -- waiting, done, failed
  error text COLLATE "C" NOT NULL,             -- why the last attempt failed; '': it did not
  ended_at bigint NOT NULL,       -- done or failed
  created_by text COLLATE "C" NOT NULL, created_at bigint NOT NULL, updated_by text COLLATE "C" NOT NULL, updated_at bigint NOT NULL,
  PRIMARY KEY (tenant, id)
);
CREATE UNIQUE INDEX job_task_key ON job_task (tenant, kind, key);
CREATE INDEX job_task_due ON job_task (tenant, kind, due_at) WHERE state = 'waiting';
CREATE INDEX job_task_ended ON job_task (tenant, state, ended_at);
ALTER TABLE job_task ENABLE ROW LEVEL SECURITY;
ALTER TABLE job_task FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON job_task USING (tenant = current_setting('nilecare.tenant', true)::integer);
