-- +goose Up

-- Times are microseconds since 1970; 0 is never. Records stand here by type and number, since one can be meant by two ids.

-- Who or what has a calendar, and how it is kept. The row of no type and number 0 is what holds where nobody's own says otherwise.
CREATE TABLE scheduling_actor (
  tenant integer NOT NULL,
  type text COLLATE "C" NOT NULL,              -- Practitioner, PractitionerRole, Location, Device; '': the tenant
  num bigint NOT NULL,
  plan text COLLATE "C" NOT NULL,              -- JSON: hours, breaks, zone, capacity; '': none of its own
  schedule bigint NOT NULL,       -- the Schedule that says the plan; 0: none
  kind text COLLATE "C" NOT NULL,              -- of a Location: its physical type
  span bigint NOT NULL,           -- the longest time that a claim of it ever took
  version bigint NOT NULL,
  created_by text COLLATE "C" NOT NULL, created_at bigint NOT NULL, updated_by text COLLATE "C" NOT NULL, updated_at bigint NOT NULL, deleted_at bigint NOT NULL,
  PRIMARY KEY (tenant, type, num)
);
ALTER TABLE scheduling_actor ENABLE ROW LEVEL SECURITY;
ALTER TABLE scheduling_actor FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON scheduling_actor USING (tenant = current_setting('nilecare.tenant', true)::integer);
CREATE INDEX scheduling_actor_schedule ON scheduling_actor (tenant, schedule);

-- What PractitionerRoles say: whose they are, where, and when there is time.
CREATE TABLE scheduling_role (
  tenant integer NOT NULL,
  num bigint NOT NULL,
  practitioner bigint NOT NULL,   -- 0: nobody
  organization bigint NOT NULL,   -- 0: none
  active bigint NOT NULL,
  hours text COLLATE "C" NOT NULL,             -- JSON: available and not available times
  created_by text COLLATE "C" NOT NULL, created_at bigint NOT NULL, updated_by text COLLATE "C" NOT NULL, updated_at bigint NOT NULL, deleted_at bigint NOT NULL,
  PRIMARY KEY (tenant, num)
);
ALTER TABLE scheduling_role ENABLE ROW LEVEL SECURITY;
ALTER TABLE scheduling_role FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON scheduling_role USING (tenant = current_setting('nilecare.tenant', true)::integer);
CREATE INDEX scheduling_role_practitioner ON scheduling_role (tenant, practitioner);

-- Whose time an appointment takes. Rows come and go with the appointment, in its transaction.
CREATE TABLE scheduling_claim (
  tenant integer NOT NULL,
  type text COLLATE "C" NOT NULL,
  num bigint NOT NULL,
  starts bigint NOT NULL,
  ends bigint NOT NULL,
  until bigint NOT NULL,          -- ends, and the pause that must follow
  appointment bigint NOT NULL,
  role bigint NOT NULL,           -- the PractitionerRole by which a Practitioner is named; 0: none
  extra bigint NOT NULL,          -- 1: beyond the capacity
  held bigint NOT NULL,           -- 1: the appointment is pending
  created_by text COLLATE "C" NOT NULL, created_at bigint NOT NULL,
  PRIMARY KEY (tenant, type, num, starts, appointment)
);
ALTER TABLE scheduling_claim ENABLE ROW LEVEL SECURITY;
ALTER TABLE scheduling_claim FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON scheduling_claim USING (tenant = current_setting('nilecare.tenant', true)::integer);
CREATE INDEX scheduling_claim_appointment ON scheduling_claim (tenant, appointment);

-- Slots of FHIR clients.
CREATE TABLE scheduling_slot (
  tenant integer NOT NULL,
  num bigint NOT NULL,
  schedule bigint NOT NULL,
  starts bigint NOT NULL,
  ends bigint NOT NULL,
  status text COLLATE "C" NOT NULL,
  created_by text COLLATE "C" NOT NULL, created_at bigint NOT NULL, updated_by text COLLATE "C" NOT NULL, updated_at bigint NOT NULL, deleted_at bigint NOT NULL,
  PRIMARY KEY (tenant, num)
);
ALTER TABLE scheduling_slot ENABLE ROW LEVEL SECURITY;
ALTER TABLE scheduling_slot FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON scheduling_slot USING (tenant = current_setting('nilecare.tenant', true)::integer);
CREATE INDEX scheduling_slot_schedule ON scheduling_slot (tenant, schedule, status, starts);

-- Whose calendar a Schedule is.
CREATE TABLE scheduling_schedule (
  tenant integer NOT NULL,
  num bigint NOT NULL,
  type text COLLATE "C" NOT NULL,
  actor bigint NOT NULL,
  PRIMARY KEY (tenant, num, type, actor)
);
ALTER TABLE scheduling_schedule ENABLE ROW LEVEL SECURITY;
ALTER TABLE scheduling_schedule FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON scheduling_schedule USING (tenant = current_setting('nilecare.tenant', true)::integer);
CREATE INDEX scheduling_schedule_actor ON scheduling_schedule (tenant, type, actor);

-- Which active appointment a Slot is in: one.
CREATE TABLE scheduling_slot_claim (
  tenant integer NOT NULL,
  slot bigint NOT NULL,
  appointment bigint NOT NULL,
  held bigint NOT NULL,
  created_by text COLLATE "C" NOT NULL, created_at bigint NOT NULL,
  PRIMARY KEY (tenant, slot)
);
ALTER TABLE scheduling_slot_claim ENABLE ROW LEVEL SECURITY;
ALTER TABLE scheduling_slot_claim FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON scheduling_slot_claim USING (tenant = current_setting('nilecare.tenant', true)::integer);
CREATE INDEX scheduling_slot_claim_appointment ON scheduling_slot_claim (tenant, appointment);

-- When there is nobody: holidays of all or of a facility, and somebody's time off.
CREATE TABLE scheduling_absence (
  tenant integer NOT NULL,
  id bigint NOT NULL,
  type text COLLATE "C" NOT NULL,              -- whose; '' and 0: a holiday
  num bigint NOT NULL,
  organization bigint NOT NULL,   -- the facility that a holiday is of; 0: all
  first_day text COLLATE "C" NOT NULL,         -- whole days, both included, in the zone of whoever is asked for; '': see starts
  last_day text COLLATE "C" NOT NULL,
  yearly bigint NOT NULL,         -- 1: on these days of every year
  starts bigint NOT NULL,
  ends bigint NOT NULL,
  note bytea NOT NULL,              -- sealed: the holiday's name, the reason of time off
  created_by text COLLATE "C" NOT NULL, created_at bigint NOT NULL, updated_by text COLLATE "C" NOT NULL, updated_at bigint NOT NULL, deleted_at bigint NOT NULL,
  PRIMARY KEY (tenant, id)
);
ALTER TABLE scheduling_absence ENABLE ROW LEVEL SECURITY;
ALTER TABLE scheduling_absence FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON scheduling_absence USING (tenant = current_setting('nilecare.tenant', true)::integer);
CREATE INDEX scheduling_absence_of ON scheduling_absence (tenant, type, num, deleted_at);

-- What patients like.
CREATE TABLE scheduling_preference (
  tenant integer NOT NULL,
  patient bigint NOT NULL,
  preference bytea NOT NULL,        -- sealed JSON
  version bigint NOT NULL,
  created_by text COLLATE "C" NOT NULL, created_at bigint NOT NULL, updated_by text COLLATE "C" NOT NULL, updated_at bigint NOT NULL, deleted_at bigint NOT NULL,
  PRIMARY KEY (tenant, patient)
);
ALTER TABLE scheduling_preference ENABLE ROW LEVEL SECURITY;
ALTER TABLE scheduling_preference FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON scheduling_preference USING (tenant = current_setting('nilecare.tenant', true)::integer);
