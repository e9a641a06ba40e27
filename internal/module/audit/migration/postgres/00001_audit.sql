-- +goose Up
-- Who has looked at a security event.
CREATE TABLE security_review (
  event bigint NOT NULL,       -- audit_entry.id
  created_at bigint NOT NULL,  -- microseconds since 1970
  updated_at bigint,
  deleted_at bigint,
  tenant integer NOT NULL,
  created_by text COLLATE "C" NOT NULL,
  updated_by text COLLATE "C",
  note bytea,                  -- sealed
  PRIMARY KEY (tenant, event)
);

-- How many records a user read or exported in an hour: what is usual for them.
CREATE TABLE access_volume (
  hour bigint NOT NULL,        -- hours since 1970
  count bigint NOT NULL,
  tenant integer NOT NULL,
  alerted smallint NOT NULL DEFAULT 0, -- 1: a spike was told
  who text COLLATE "C" NOT NULL,
  PRIMARY KEY (tenant, who, hour)
);

-- +goose StatementBegin
DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['security_review', 'access_volume'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY own_tenant ON %I USING (tenant = current_setting(''nilecare.tenant'', true)::integer)', t);
  END LOOP;
END
$$;
-- +goose StatementEnd
