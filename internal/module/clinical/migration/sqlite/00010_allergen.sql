-- +goose Up

-- What patients are allergic to now, a row a name of it: which allergies may stand beside each other is decided here. Names are blind indexes.
CREATE TABLE clinical_allergen (
  tenant INTEGER NOT NULL,
  id TEXT NOT NULL,         -- FHIR id of the AllergyIntolerance
  allergen BLOB NOT NULL,   -- blind index of patient and name
  patient TEXT NOT NULL,    -- FHIR id
  scope TEXT NOT NULL,      -- is:food, an allergy of that category; none:food, there is none of it; none:, there is none at all
  created_by TEXT NOT NULL, created_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, id, allergen)
) WITHOUT ROWID;
CREATE INDEX clinical_allergen_patient ON clinical_allergen (tenant, patient);
