-- +goose Up

-- Times are microseconds since 1970; 0 is never. Ids are FHIR ids.

CREATE TABLE facility_organization (
  tenant integer NOT NULL,
  id text COLLATE "C" NOT NULL,
  kind text COLLATE "C" NOT NULL,              -- prov: a facility, dept: a department, other
  name text COLLATE "C" NOT NULL,
  code text COLLATE "C" NOT NULL,              -- '': none
  class text COLLATE "C" NOT NULL,             -- of a facility: hospital, clinic …
  status text COLLATE "C" NOT NULL,            -- active, inactive, maintenance
  part_of text COLLATE "C" NOT NULL,           -- an organization
  created_by text COLLATE "C" NOT NULL, created_at bigint NOT NULL, updated_by text COLLATE "C" NOT NULL, updated_at bigint NOT NULL, deleted_at bigint NOT NULL,
  PRIMARY KEY (tenant, id)
);
CREATE INDEX facility_organization_part ON facility_organization (tenant, part_of);

CREATE TABLE facility_place (
  tenant integer NOT NULL,
  id text COLLATE "C" NOT NULL,
  kind text COLLATE "C" NOT NULL,              -- physicalType: si, wa, ro, bd …
  name text COLLATE "C" NOT NULL,
  code text COLLATE "C" NOT NULL,
  class text COLLATE "C" NOT NULL,             -- of a ward or bed: general, icu …
  status text COLLATE "C" NOT NULL,            -- active, suspended, inactive
  part_of text COLLATE "C" NOT NULL,           -- a place
  organization text COLLATE "C" NOT NULL,      -- that manages it, as the record says
  ward text COLLATE "C" NOT NULL,              -- what follows from the two: '' where nothing does
  department text COLLATE "C" NOT NULL,
  facility text COLLATE "C" NOT NULL,
  capacity bigint NOT NULL,       -- beds that it is meant to have; 0: not said
  created_by text COLLATE "C" NOT NULL, created_at bigint NOT NULL, updated_by text COLLATE "C" NOT NULL, updated_at bigint NOT NULL, deleted_at bigint NOT NULL,
  PRIMARY KEY (tenant, id)
);
CREATE INDEX facility_place_part ON facility_place (tenant, part_of);
CREATE INDEX facility_place_ward ON facility_place (tenant, ward);

CREATE TABLE facility_bed (
  tenant integer NOT NULL,
  id text COLLATE "C" NOT NULL,                -- of its Location
  label text COLLATE "C" NOT NULL,             -- its number, in one form
  equipment bigint NOT NULL,      -- bits: oxygen, monitor, ventilator, isolation
  state text COLLATE "C" NOT NULL,
  occupant text COLLATE "C" NOT NULL,          -- 'Patient/1', or 'Encounter/2' where that names no patient; '': nobody
  encounter text COLLATE "C" NOT NULL,
  since bigint NOT NULL,          -- of the occupation
  expected text COLLATE "C" NOT NULL,          -- the discharge, a date or time; '': not said
  held_for text COLLATE "C" NOT NULL,          -- of a reservation: 'Patient/1', or ''
  held_until bigint NOT NULL,
  turn bigint NOT NULL,           -- number of its last change of state
  changed_at bigint NOT NULL,     -- when that was
  created_by text COLLATE "C" NOT NULL, created_at bigint NOT NULL, updated_by text COLLATE "C" NOT NULL, updated_at bigint NOT NULL, deleted_at bigint NOT NULL,
  PRIMARY KEY (tenant, id),
  CHECK (state IN ('available', 'occupied', 'reserved', 'cleaning', 'maintenance', 'out_of_service')),
  CHECK ((occupant <> '') = (state = 'occupied'))
);
-- One bed a patient. One patient a bed is the primary key.
CREATE UNIQUE INDEX facility_bed_occupant ON facility_bed (tenant, occupant) WHERE occupant <> '';

-- Where Encounters say that somebody lies, or lay, whether it is a bed or not.
CREATE TABLE facility_stay (
  tenant integer NOT NULL,
  id bigint NOT NULL,
  encounter text COLLATE "C" NOT NULL,
  location text COLLATE "C" NOT NULL,
  occupant text COLLATE "C" NOT NULL,
  contested bigint NOT NULL,      -- 1: found in a database of before, where another had the bed, or the patient another bed
  since bigint NOT NULL,
  expected text COLLATE "C" NOT NULL,
  ended_at bigint NOT NULL,
  created_by text COLLATE "C" NOT NULL, created_at bigint NOT NULL, updated_by text COLLATE "C" NOT NULL, updated_at bigint NOT NULL,
  PRIMARY KEY (tenant, id)
);
CREATE INDEX facility_stay_encounter ON facility_stay (tenant, encounter, ended_at);
CREATE INDEX facility_stay_location ON facility_stay (tenant, location, ended_at);
CREATE INDEX facility_stay_occupant ON facility_stay (tenant, occupant, ended_at);

CREATE TABLE facility_setting (
  tenant integer NOT NULL,
  facility text COLLATE "C" NOT NULL,
  settings text COLLATE "C" NOT NULL,          -- JSON: what was set; what is not there is as the program has it
  created_by text COLLATE "C" NOT NULL, created_at bigint NOT NULL, updated_by text COLLATE "C" NOT NULL, updated_at bigint NOT NULL,
  PRIMARY KEY (tenant, facility)
);

ALTER TABLE facility_organization ENABLE ROW LEVEL SECURITY;
ALTER TABLE facility_organization FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON facility_organization USING (tenant = current_setting('nilecare.tenant', true)::integer);

ALTER TABLE facility_place ENABLE ROW LEVEL SECURITY;
ALTER TABLE facility_place FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON facility_place USING (tenant = current_setting('nilecare.tenant', true)::integer);

ALTER TABLE facility_bed ENABLE ROW LEVEL SECURITY;
ALTER TABLE facility_bed FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON facility_bed USING (tenant = current_setting('nilecare.tenant', true)::integer);

ALTER TABLE facility_stay ENABLE ROW LEVEL SECURITY;
ALTER TABLE facility_stay FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON facility_stay USING (tenant = current_setting('nilecare.tenant', true)::integer);

ALTER TABLE facility_setting ENABLE ROW LEVEL SECURITY;
ALTER TABLE facility_setting FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON facility_setting USING (tenant = current_setting('nilecare.tenant', true)::integer);
