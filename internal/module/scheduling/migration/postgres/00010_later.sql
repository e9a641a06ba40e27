-- +goose Up

-- What patients are told before a visit, and when. One row an appointment and channel; it follows the appointment.
CREATE TABLE scheduling_reminder (
  tenant integer NOT NULL,
  appointment bigint NOT NULL,
  channel text COLLATE "C" NOT NULL,           -- email, sms
  starts bigint NOT NULL,         -- of the appointment that it tells of
  due_at bigint NOT NULL,
  state text COLLATE "C" NOT NULL,             -- pending, sent (to the outbox), skipped, cancelled
  reason text COLLATE "C" NOT NULL,            -- why it was skipped
  ended_at bigint NOT NULL,
  created_by text COLLATE "C" NOT NULL, created_at bigint NOT NULL, updated_by text COLLATE "C" NOT NULL, updated_at bigint NOT NULL,
  PRIMARY KEY (tenant, appointment, channel)
);
ALTER TABLE scheduling_reminder ENABLE ROW LEVEL SECURITY;
ALTER TABLE scheduling_reminder FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON scheduling_reminder USING (tenant = current_setting('nilecare.tenant', true)::integer);
CREATE INDEX scheduling_reminder_due ON scheduling_reminder (tenant, state, due_at);

-- Who waits for time with whom. The Appointment on the waiting list is the record; this finds the next one.
CREATE TABLE scheduling_waiting (
  tenant integer NOT NULL,
  appointment bigint NOT NULL,
  patient bigint NOT NULL,
  type text COLLATE "C" NOT NULL,              -- of the provider: Practitioner
  num bigint NOT NULL,
  minutes bigint NOT NULL,
  from_at bigint NOT NULL,        -- 0: any time
  to_at bigint NOT NULL,          -- 0: any time
  urgency bigint NOT NULL,        -- smaller is sooner
  state text COLLATE "C" NOT NULL,             -- waiting, contacted, offered, scheduled, cancelled
  passed text COLLATE "C" NOT NULL,            -- JSON: the starts that were offered and not claimed
  offered_at bigint NOT NULL DEFAULT 0, -- the start that was offered last
  offer_until bigint NOT NULL,
  contacted_at bigint NOT NULL,
  created_by text COLLATE "C" NOT NULL, created_at bigint NOT NULL, updated_by text COLLATE "C" NOT NULL, updated_at bigint NOT NULL,
  PRIMARY KEY (tenant, appointment)
);
ALTER TABLE scheduling_waiting ENABLE ROW LEVEL SECURITY;
ALTER TABLE scheduling_waiting FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON scheduling_waiting USING (tenant = current_setting('nilecare.tenant', true)::integer);
CREATE INDEX scheduling_waiting_next ON scheduling_waiting (tenant, type, num, state, urgency, created_at);

-- The rules of appointments that recur. The appointments themselves name their series.
CREATE TABLE scheduling_series (
  tenant integer NOT NULL,
  id bigint NOT NULL,
  recurrence text COLLATE "C" NOT NULL,        -- lines of iCalendar: DTSTART with its zone, RRULE, EXDATE
  created_by text COLLATE "C" NOT NULL, created_at bigint NOT NULL, updated_by text COLLATE "C" NOT NULL, updated_at bigint NOT NULL, deleted_at bigint NOT NULL,
  PRIMARY KEY (tenant, id)
);
ALTER TABLE scheduling_series ENABLE ROW LEVEL SECURITY;
ALTER TABLE scheduling_series FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON scheduling_series USING (tenant = current_setting('nilecare.tenant', true)::integer);

-- Addresses at which a calendar can be read by whoever knows them.
CREATE TABLE scheduling_feed (
  tenant integer NOT NULL,
  id bigint NOT NULL,
  hash bytea NOT NULL,              -- SHA-256 of the secret
  actor text COLLATE "C" NOT NULL,             -- whose calendar: Practitioner/1, Patient/2, Location/3
  details bigint NOT NULL,        -- 1: it says why and for whom
  used_at bigint NOT NULL,
  created_by text COLLATE "C" NOT NULL, created_at bigint NOT NULL, updated_by text COLLATE "C" NOT NULL, updated_at bigint NOT NULL, deleted_at bigint NOT NULL,
  PRIMARY KEY (tenant, id)
);
ALTER TABLE scheduling_feed ENABLE ROW LEVEL SECURITY;
ALTER TABLE scheduling_feed FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON scheduling_feed USING (tenant = current_setting('nilecare.tenant', true)::integer);

-- Who waits in the house, with the number that is called.
CREATE TABLE scheduling_queue (
  tenant integer NOT NULL,
  id bigint NOT NULL,
  facility bigint NOT NULL,       -- Organization; 0: the house
  line text COLLATE "C" NOT NULL,              -- a department's or a desk's letter or name
  day text COLLATE "C" NOT NULL,               -- in the tenant's zone
  number bigint NOT NULL,
  appointment bigint NOT NULL,    -- 0: walked in without one
  patient bigint NOT NULL,
  provider bigint NOT NULL,       -- 0: whoever is free
  urgency bigint NOT NULL,
  state text COLLATE "C" NOT NULL,             -- waiting, called, serving, served, left
  called bigint NOT NULL,         -- how often
  called_at bigint NOT NULL,
  served_at bigint NOT NULL,
  ended_at bigint NOT NULL,
  created_by text COLLATE "C" NOT NULL, created_at bigint NOT NULL, updated_by text COLLATE "C" NOT NULL, updated_at bigint NOT NULL,
  PRIMARY KEY (tenant, id)
);
ALTER TABLE scheduling_queue ENABLE ROW LEVEL SECURITY;
ALTER TABLE scheduling_queue FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON scheduling_queue USING (tenant = current_setting('nilecare.tenant', true)::integer);
CREATE UNIQUE INDEX scheduling_queue_number ON scheduling_queue (tenant, facility, line, day, number);
CREATE INDEX scheduling_queue_next ON scheduling_queue (tenant, facility, day, state, urgency, number);
CREATE INDEX scheduling_queue_appointment ON scheduling_queue (tenant, appointment);
