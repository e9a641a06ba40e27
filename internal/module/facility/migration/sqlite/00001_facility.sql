-- +goose Up

-- Times are microseconds since 1970; 0 is never. Ids are FHIR ids.

CREATE TABLE facility_organization (
  tenant INTEGER NOT NULL,
  id TEXT NOT NULL,
  kind TEXT NOT NULL,              -- prov: a facility, dept: a department, other
  name TEXT NOT NULL,
  code TEXT NOT NULL,              -- '': none
  class TEXT NOT NULL,             -- of a facility: hospital, clinic …
  status TEXT NOT NULL,            -- active, inactive, maintenance
  part_of TEXT NOT NULL,           -- an organization
  created_by TEXT NOT NULL, created_at INTEGER NOT NULL, updated_by TEXT NOT NULL, updated_at INTEGER NOT NULL, deleted_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, id)
) WITHOUT ROWID;
CREATE INDEX facility_organization_part ON facility_organization (tenant, part_of);

CREATE TABLE facility_place (
  tenant INTEGER NOT NULL,
  id TEXT NOT NULL,
  kind TEXT NOT NULL,              -- physicalType: si, wa, ro, bd …
  name TEXT NOT NULL,
  code TEXT NOT NULL,
  class TEXT NOT NULL,             -- of a ward or bed: general, icu …
  status TEXT NOT NULL,            -- active, suspended, inactive
  part_of TEXT NOT NULL,           -- a place
  organization TEXT NOT NULL,      -- that manages it, as the record says
  ward TEXT NOT NULL,              -- what follows from the two: '' where nothing does
  department TEXT NOT NULL,
  facility TEXT NOT NULL,
  capacity INTEGER NOT NULL,       -- beds that it is meant to have; 0: not said
  created_by TEXT NOT NULL, created_at INTEGER NOT NULL, updated_by TEXT NOT NULL, updated_at INTEGER NOT NULL, deleted_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, id)
) WITHOUT ROWID;
CREATE INDEX facility_place_part ON facility_place (tenant, part_of);
CREATE INDEX facility_place_ward ON facility_place (tenant, ward);

CREATE TABLE facility_bed (
  tenant INTEGER NOT NULL,
  id TEXT NOT NULL,                -- of its Location
  label TEXT NOT NULL,             -- its number, in one form
  equipment INTEGER NOT NULL,      -- bits: oxygen, monitor, ventilator, isolation
  state TEXT NOT NULL,
  occupant TEXT NOT NULL,          -- 'Patient/1', or 'Encounter/2' where that names no patient; '': nobody
  encounter TEXT NOT NULL,
  since INTEGER NOT NULL,          -- of the occupation
  expected TEXT NOT NULL,          -- the discharge, a date or time; '': not said
  held_for TEXT NOT NULL,          -- of a reservation: 'Patient/1', or ''
  held_until INTEGER NOT NULL,
  turn INTEGER NOT NULL,           -- number of its last change of state
  changed_at INTEGER NOT NULL,     -- when that was
  created_by TEXT NOT NULL, created_at INTEGER NOT NULL, updated_by TEXT NOT NULL, updated_at INTEGER NOT NULL, deleted_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, id),
  CHECK (state IN ('available', 'occupied', 'reserved', 'cleaning', 'maintenance', 'out_of_service')),
  CHECK ((occupant <> '') = (state = 'occupied'))
) WITHOUT ROWID;
-- One bed a patient. One patient a bed is the primary key.
CREATE UNIQUE INDEX facility_bed_occupant ON facility_bed (tenant, occupant) WHERE occupant <> '';

-- Where Encounters say that somebody lies, or lay, whether it is a bed or not.
CREATE TABLE facility_stay (
  tenant INTEGER NOT NULL,
  id INTEGER NOT NULL,
  encounter TEXT NOT NULL,
  location TEXT NOT NULL,
  occupant TEXT NOT NULL,
  contested INTEGER NOT NULL,      -- 1: found in a database of before, where another had the bed, or the patient another bed
  since INTEGER NOT NULL,
  expected TEXT NOT NULL,
  ended_at INTEGER NOT NULL,
  created_by TEXT NOT NULL, created_at INTEGER NOT NULL, updated_by TEXT NOT NULL, updated_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, id)
) WITHOUT ROWID;
CREATE INDEX facility_stay_encounter ON facility_stay (tenant, encounter, ended_at);
CREATE INDEX facility_stay_location ON facility_stay (tenant, location, ended_at);
CREATE INDEX facility_stay_occupant ON facility_stay (tenant, occupant, ended_at);

CREATE TABLE facility_setting (
  tenant INTEGER NOT NULL,
  facility TEXT NOT NULL,
  settings TEXT NOT NULL,          -- JSON: what was set; what is not there is as the program has it
  created_by TEXT NOT NULL, created_at INTEGER NOT NULL, updated_by TEXT NOT NULL, updated_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, facility)
) WITHOUT ROWID;
