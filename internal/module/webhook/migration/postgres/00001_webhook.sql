-- +goose Up

-- Times are microseconds since 1970; 0 is never.
CREATE TABLE webhook_subscription (
  tenant integer NOT NULL,
  id bigint NOT NULL,
  content bytea NOT NULL,           -- sealed JSON: address, description, secrets
  events text COLLATE "C" NOT NULL,            -- JSON: kinds, "appointment.*", "*"
  topics text COLLATE "C" NOT NULL,            -- JSON
  enabled bigint NOT NULL,
  reason text COLLATE "C" NOT NULL,            -- why the program disabled it; ''
  failures bigint NOT NULL,       -- attempts that failed since the last that did not
  failing_since bigint NOT NULL,
  closed_until bigint NOT NULL,   -- no attempt before, since the last one failed
  delivered_at bigint NOT NULL,   -- the last success
  created_by text COLLATE "C" NOT NULL, created_at bigint NOT NULL, updated_by text COLLATE "C" NOT NULL, updated_at bigint NOT NULL, deleted_at bigint NOT NULL,
  PRIMARY KEY (tenant, id)
);

CREATE TABLE webhook_delivery (
  tenant integer NOT NULL,
  id bigint NOT NULL,
  subscription bigint NOT NULL,
  event text COLLATE "C" NOT NULL,             -- the event's id in CloudEvents
  replay bigint NOT NULL,         -- 0, or the delivery's own id: it was asked for by hand
  type text COLLATE "C" NOT NULL,              -- appointment.created
  patient text COLLATE "C" NOT NULL,           -- Patient/1: whom the event is about; ''
  body bytea NOT NULL,              -- the CloudEvent, sealed
  status text COLLATE "C" NOT NULL,            -- pending, delivered, failed
  attempts bigint NOT NULL,
  code bigint NOT NULL,           -- the last answer's HTTP status; 0: there was none
  latency bigint NOT NULL,        -- of the last attempt, in milliseconds
  reason text COLLATE "C" NOT NULL,            -- why the last attempt failed; ''
  next_at bigint NOT NULL,
  tried_at bigint NOT NULL,
  ended_at bigint NOT NULL,
  created_by text COLLATE "C" NOT NULL, created_at bigint NOT NULL, updated_by text COLLATE "C" NOT NULL, updated_at bigint NOT NULL,
  PRIMARY KEY (tenant, id)
);
CREATE UNIQUE INDEX webhook_delivery_event ON webhook_delivery (tenant, subscription, event, replay);
CREATE INDEX webhook_delivery_list ON webhook_delivery (tenant, subscription, id);
CREATE INDEX webhook_delivery_ended ON webhook_delivery (tenant, ended_at) WHERE ended_at > 0;
CREATE INDEX webhook_delivery_patient ON webhook_delivery (tenant, patient) WHERE patient <> '';
ALTER TABLE webhook_subscription ENABLE ROW LEVEL SECURITY;
ALTER TABLE webhook_subscription FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON webhook_subscription USING (tenant = current_setting('nilecare.tenant', true)::integer);
ALTER TABLE webhook_delivery ENABLE ROW LEVEL SECURITY;
ALTER TABLE webhook_delivery FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON webhook_delivery USING (tenant = current_setting('nilecare.tenant', true)::integer);
