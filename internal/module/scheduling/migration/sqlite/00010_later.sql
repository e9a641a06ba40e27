-- +goose Up

-- What patients are told before a visit, and when. One row an appointment and channel; it follows the appointment.
CREATE TABLE scheduling_reminder (
  tenant INTEGER NOT NULL,
  appointment INTEGER NOT NULL,
  channel TEXT NOT NULL,           -- email, sms
  starts INTEGER NOT NULL,         -- of the appointment that it tells of
  due_at INTEGER NOT NULL,
  state TEXT NOT NULL,             -- pending, sent (to the outbox), skipped, cancelled
  reason TEXT NOT NULL,            -- why it was skipped
  ended_at INTEGER NOT NULL,
  created_by TEXT NOT NULL, created_at INTEGER NOT NULL, updated_by TEXT NOT NULL, updated_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, appointment, channel)
) WITHOUT ROWID;
CREATE INDEX scheduling_reminder_due ON scheduling_reminder (tenant, state, due_at);

-- Who waits for time with whom. The Appointment on the waiting list is the record; this finds the next one.
CREATE TABLE scheduling_waiting (
  tenant INTEGER NOT NULL,
  appointment INTEGER NOT NULL,
  patient INTEGER NOT NULL,
  type TEXT NOT NULL,              -- of the provider: Practitioner
  num INTEGER NOT NULL,
  minutes INTEGER NOT NULL,
  from_at INTEGER NOT NULL,        -- 0: any time
  to_at INTEGER NOT NULL,          -- 0: any time
  urgency INTEGER NOT NULL,        -- smaller is sooner
  state TEXT NOT NULL,             -- waiting, contacted, offered, scheduled, cancelled
  passed TEXT NOT NULL,            -- JSON: the starts that were offered and not claimed
  offered_at INTEGER NOT NULL DEFAULT 0, -- the start that was offered last
  offer_until INTEGER NOT NULL,
  contacted_at INTEGER NOT NULL,
  created_by TEXT NOT NULL, created_at INTEGER NOT NULL, updated_by TEXT NOT NULL, updated_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, appointment)
) WITHOUT ROWID;
CREATE INDEX scheduling_waiting_next ON scheduling_waiting (tenant, type, num, state, urgency, created_at);

-- The rules of appointments that recur. The appointments themselves name their series.
CREATE TABLE scheduling_series (
  tenant INTEGER NOT NULL,
  id INTEGER NOT NULL,
  recurrence TEXT NOT NULL,        -- lines of iCalendar: DTSTART with its zone, RRULE, EXDATE
  created_by TEXT NOT NULL, created_at INTEGER NOT NULL, updated_by TEXT NOT NULL, updated_at INTEGER NOT NULL, deleted_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, id)
) WITHOUT ROWID;

-- Addresses at which a calendar can be read by whoever knows them.
CREATE TABLE scheduling_feed (
  tenant INTEGER NOT NULL,
  id INTEGER NOT NULL,
  hash BLOB NOT NULL,              -- SHA-256 of the secret
  actor TEXT NOT NULL,             -- whose calendar: Practitioner/1, Patient/2, Location/3
  details INTEGER NOT NULL,        -- 1: it says why and for whom
  used_at INTEGER NOT NULL,
  created_by TEXT NOT NULL, created_at INTEGER NOT NULL, updated_by TEXT NOT NULL, updated_at INTEGER NOT NULL, deleted_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, id)
) WITHOUT ROWID;

-- Who waits in the house, with the number that is called.
CREATE TABLE scheduling_queue (
  tenant INTEGER NOT NULL,
  id INTEGER NOT NULL,
  facility INTEGER NOT NULL,       -- Organization; 0: the house
  line TEXT NOT NULL,              -- a department's or a desk's letter or name
  day TEXT NOT NULL,               -- in the tenant's zone
  number INTEGER NOT NULL,
  appointment INTEGER NOT NULL,    -- 0: walked in without one
  patient INTEGER NOT NULL,
  provider INTEGER NOT NULL,       -- 0: whoever is free
  urgency INTEGER NOT NULL,
  state TEXT NOT NULL,             -- waiting, called, serving, served, left
  called INTEGER NOT NULL,         -- how often
  called_at INTEGER NOT NULL,
  served_at INTEGER NOT NULL,
  ended_at INTEGER NOT NULL,
  created_by TEXT NOT NULL, created_at INTEGER NOT NULL, updated_by TEXT NOT NULL, updated_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, id)
) WITHOUT ROWID;
CREATE UNIQUE INDEX scheduling_queue_number ON scheduling_queue (tenant, facility, line, day, number);
CREATE INDEX scheduling_queue_next ON scheduling_queue (tenant, facility, day, state, urgency, number);
CREATE INDEX scheduling_queue_appointment ON scheduling_queue (tenant, appointment);
