-- +goose Up

-- Times are microseconds since 1970; 0 is never.

-- How far a reader has come in a tenant's changes.
CREATE TABLE event_reader (
  tenant integer NOT NULL,
  name text COLLATE "C" NOT NULL,
  position bigint NOT NULL,       -- event.id up to which everything was handled
  owner bigint NOT NULL,          -- event_process.id of the process that reads; 0: none
  epoch bigint NOT NULL,          -- grows when another process takes over, and when the reader is sent to another place
  tries bigint NOT NULL,          -- how often the event behind position was tried in vain
  failing_at bigint NOT NULL,     -- since when
  problem bytea,                  -- sealed: why
  created_by text COLLATE "C" NOT NULL, created_at bigint NOT NULL, updated_by text COLLATE "C" NOT NULL, updated_at bigint NOT NULL, deleted_at bigint NOT NULL,
  PRIMARY KEY (tenant, name)
) WITH (fillfactor = 50); -- its rows change all the time

-- What a reader could not handle. The event itself is told anew from the record: only its place stands here.
CREATE TABLE event_dead (
  tenant integer NOT NULL,
  id bigint NOT NULL,
  reader text COLLATE "C" NOT NULL,
  event bigint NOT NULL,          -- event.id
  part integer NOT NULL,          -- which of the change's facts; -1: the change itself could not be told
  kind text COLLATE "C" NOT NULL,
  version integer NOT NULL,       -- of the kind's schema
  subject text COLLATE "C" NOT NULL, -- Appointment/12
  happened_at bigint NOT NULL,
  tries bigint NOT NULL,
  problem bytea,                  -- sealed: why
  state text COLLATE "C" NOT NULL, -- dead, again (to be handled once more), handled, discarded, gone (cannot be read any more)
  created_by text COLLATE "C" NOT NULL, created_at bigint NOT NULL, updated_by text COLLATE "C" NOT NULL, updated_at bigint NOT NULL, deleted_at bigint NOT NULL,
  PRIMARY KEY (tenant, id)
);
CREATE UNIQUE INDEX event_dead_open ON event_dead (tenant, reader, event, part) WHERE deleted_at = 0;

-- The processes that read. The rows are the first tenant's.
CREATE TABLE event_process (
  tenant integer NOT NULL,
  id bigint NOT NULL,
  beat bigint NOT NULL,           -- grows while the process lives
  created_at bigint NOT NULL, updated_at bigint NOT NULL,
  PRIMARY KEY (tenant, id)
);

-- +goose StatementBegin
DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['event_reader', 'event_dead', 'event_process'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY own_tenant ON %I USING (tenant = current_setting(''nilecare.tenant'', true)::integer)', t);
  END LOOP;
END
$$;
-- +goose StatementEnd
