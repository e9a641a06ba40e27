-- +goose Up

-- Times are microseconds since 1970; 0 is never. Records stand here by type and number, since one can be meant by two ids.

-- Who or what has a calendar, and how it is kept. The row of no type and number 0 is what holds where nobody's own says otherwise.
CREATE TABLE scheduling_actor (
  tenant INTEGER NOT NULL,
  type TEXT NOT NULL,              -- Practitioner, PractitionerRole, Location, Device; '': the tenant
  num INTEGER NOT NULL,
  plan TEXT NOT NULL,              -- JSON: hours, breaks, zone, capacity; '': none of its own
  schedule INTEGER NOT NULL,       -- the Schedule that says the plan; 0: none
  kind TEXT NOT NULL,              -- of a Location: its physical type
  span INTEGER NOT NULL,           -- the longest time that a claim of it ever took
  version INTEGER NOT NULL,
  created_by TEXT NOT NULL, created_at INTEGER NOT NULL, updated_by TEXT NOT NULL, updated_at INTEGER NOT NULL, deleted_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, type, num)
) WITHOUT ROWID;
CREATE INDEX scheduling_actor_schedule ON scheduling_actor (tenant, schedule);

-- What PractitionerRoles say: whose they are, where, and when there is time.
CREATE TABLE scheduling_role (
  tenant INTEGER NOT NULL,
  num INTEGER NOT NULL,
  practitioner INTEGER NOT NULL,   -- 0: nobody
  organization INTEGER NOT NULL,   -- 0: none
  active INTEGER NOT NULL,
  hours TEXT NOT NULL,             -- JSON: available and not available times
  created_by TEXT NOT NULL, created_at INTEGER NOT NULL, updated_by TEXT NOT NULL, updated_at INTEGER NOT NULL, deleted_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, num)
) WITHOUT ROWID;
CREATE INDEX scheduling_role_practitioner ON scheduling_role (tenant, practitioner);

-- Whose time an appointment takes. Rows come and go with the appointment, in its transaction.
CREATE TABLE scheduling_claim (
  tenant INTEGER NOT NULL,
  type TEXT NOT NULL,
  num INTEGER NOT NULL,
  starts INTEGER NOT NULL,
  ends INTEGER NOT NULL,
  until INTEGER NOT NULL,          -- ends, and the pause that must follow
  appointment INTEGER NOT NULL,
  role INTEGER NOT NULL,           -- the PractitionerRole by which a Practitioner is named; 0: none
  extra INTEGER NOT NULL,          -- 1: beyond the capacity
  held INTEGER NOT NULL,           -- 1: the appointment is pending
  created_by TEXT NOT NULL, created_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, type, num, starts, appointment)
) WITHOUT ROWID;
CREATE INDEX scheduling_claim_appointment ON scheduling_claim (tenant, appointment);

-- Slots of FHIR clients.
CREATE TABLE scheduling_slot (
  tenant INTEGER NOT NULL,
  num INTEGER NOT NULL,
  schedule INTEGER NOT NULL,
  starts INTEGER NOT NULL,
  ends INTEGER NOT NULL,
  status TEXT NOT NULL,
  created_by TEXT NOT NULL, created_at INTEGER NOT NULL, updated_by TEXT NOT NULL, updated_at INTEGER NOT NULL, deleted_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, num)
) WITHOUT ROWID;
CREATE INDEX scheduling_slot_schedule ON scheduling_slot (tenant, schedule, status, starts);

-- Whose calendar a Schedule is.
CREATE TABLE scheduling_schedule (
  tenant INTEGER NOT NULL,
  num INTEGER NOT NULL,
  type TEXT NOT NULL,
  actor INTEGER NOT NULL,
  PRIMARY KEY (tenant, num, type, actor)
) WITHOUT ROWID;
CREATE INDEX scheduling_schedule_actor ON scheduling_schedule (tenant, type, actor);

-- Which active appointment a Slot is in: one.
CREATE TABLE scheduling_slot_claim (
  tenant INTEGER NOT NULL,
  slot INTEGER NOT NULL,
  appointment INTEGER NOT NULL,
  held INTEGER NOT NULL,
  created_by TEXT NOT NULL, created_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, slot)
) WITHOUT ROWID;
CREATE INDEX scheduling_slot_claim_appointment ON scheduling_slot_claim (tenant, appointment);

-- When there is nobody: holidays of all or of a facility, and somebody's time off.
CREATE TABLE scheduling_absence (
  tenant INTEGER NOT NULL,
  id INTEGER NOT NULL,
  type TEXT NOT NULL,              -- whose; '' and 0: a holiday
  num INTEGER NOT NULL,
  organization INTEGER NOT NULL,   -- the facility that a holiday is of; 0: all
  first_day TEXT NOT NULL,         -- whole days, both included, in the zone of whoever is asked for; '': see starts
  last_day TEXT NOT NULL,
  yearly INTEGER NOT NULL,         -- 1: on these days of every year
  starts INTEGER NOT NULL,
  ends INTEGER NOT NULL,
  note BLOB NOT NULL,              -- sealed: the holiday's name, the reason of time off
  created_by TEXT NOT NULL, created_at INTEGER NOT NULL, updated_by TEXT NOT NULL, updated_at INTEGER NOT NULL, deleted_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, id)
) WITHOUT ROWID;
CREATE INDEX scheduling_absence_of ON scheduling_absence (tenant, type, num, deleted_at);

-- What patients like.
CREATE TABLE scheduling_preference (
  tenant INTEGER NOT NULL,
  patient INTEGER NOT NULL,
  preference BLOB NOT NULL,        -- sealed JSON
  version INTEGER NOT NULL,
  created_by TEXT NOT NULL, created_at INTEGER NOT NULL, updated_by TEXT NOT NULL, updated_at INTEGER NOT NULL, deleted_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, patient)
) WITHOUT ROWID;
