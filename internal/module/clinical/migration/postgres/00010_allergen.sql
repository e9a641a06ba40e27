-- +goose Up

-- What patients are allergic to now, a row a name of it: which allergies may stand beside each other is decided here. Names are blind indexes.
CREATE TABLE clinical_allergen (
  tenant integer NOT NULL,
  id text COLLATE "C" NOT NULL,       -- FHIR id of the AllergyIntolerance
  allergen bytea NOT NULL,            -- blind index of patient and name
  patient text COLLATE "C" NOT NULL,  -- FHIR id
  scope text COLLATE "C" NOT NULL,    -- is:food, an allergy of that category; none:food, there is none of it; none:, there is none at all
  created_by text COLLATE "C" NOT NULL, created_at bigint NOT NULL,
  PRIMARY KEY (tenant, id, allergen)
);
CREATE INDEX clinical_allergen_patient ON clinical_allergen (tenant, patient);

ALTER TABLE clinical_allergen ENABLE ROW LEVEL SECURITY;
ALTER TABLE clinical_allergen FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON clinical_allergen USING (tenant = current_setting('nilecare.tenant', true)::integer);
