-- +goose Up

-- Times are microseconds since 1970; 0 is never.
CREATE TABLE webhook_subscription (
  tenant INTEGER NOT NULL,
  id INTEGER NOT NULL,
  content BLOB NOT NULL,           -- sealed JSON: address, description, secrets
  events TEXT NOT NULL,            -- JSON: kinds, "appointment.*", "*"
  topics TEXT NOT NULL,            -- JSON
  enabled INTEGER NOT NULL,
  reason TEXT NOT NULL,            -- why the program disabled it; ''
  failures INTEGER NOT NULL,       -- attempts that failed since the last that did not
  failing_since INTEGER NOT NULL,
  closed_until INTEGER NOT NULL,   -- no attempt before, since the last one failed
  delivered_at INTEGER NOT NULL,   -- the last success
  created_by TEXT NOT NULL, created_at INTEGER NOT NULL, updated_by TEXT NOT NULL, updated_at INTEGER NOT NULL, deleted_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, id)
) WITHOUT ROWID;

CREATE TABLE webhook_delivery (
  tenant INTEGER NOT NULL,
  id INTEGER NOT NULL,
  subscription INTEGER NOT NULL,
  event TEXT NOT NULL,             -- the event's id in CloudEvents
  replay INTEGER NOT NULL,         -- 0, or the delivery's own id: it was asked for by hand
  type TEXT NOT NULL,              -- appointment.created
  patient TEXT NOT NULL,           -- Patient/1: whom the event is about; ''
  body BLOB NOT NULL,              -- the CloudEvent, sealed
  status TEXT NOT NULL,            -- pending, delivered, failed
  attempts INTEGER NOT NULL,
  code INTEGER NOT NULL,           -- the last answer's HTTP status; 0: there was none
  latency INTEGER NOT NULL,        -- of the last attempt, in milliseconds
  reason TEXT NOT NULL,            -- why the last attempt failed; ''
  next_at INTEGER NOT NULL,
  tried_at INTEGER NOT NULL,
  ended_at INTEGER NOT NULL,
  created_by TEXT NOT NULL, created_at INTEGER NOT NULL, updated_by TEXT NOT NULL, updated_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, id)
) WITHOUT ROWID;
CREATE UNIQUE INDEX webhook_delivery_event ON webhook_delivery (tenant, subscription, event, replay);
CREATE INDEX webhook_delivery_list ON webhook_delivery (tenant, subscription, id);
CREATE INDEX webhook_delivery_ended ON webhook_delivery (tenant, ended_at) WHERE ended_at > 0;
CREATE INDEX webhook_delivery_patient ON webhook_delivery (tenant, patient) WHERE patient <> '';
