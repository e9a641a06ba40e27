-- +goose Up

-- What patients are looked up by beside the search index. Times are microseconds since 1970; 0 is never. Names stand here as consonants, as in internal/names;
-- identifiers as keyed hashes.

CREATE TABLE clinical_patient (
  tenant INTEGER NOT NULL,
  num INTEGER NOT NULL,           -- of the record
  patient TEXT NOT NULL,          -- its FHIR id
  names TEXT NOT NULL,            -- the forms of the words of each name: words by a space, other readings by '/', names by '|'
  born INTEGER NOT NULL,          -- 19800131, 19800100, 19800000; 0: not known
  gender TEXT NOT NULL,
  facility TEXT NOT NULL,         -- FHIR id of the managing organization, ''
  city BLOB NOT NULL,             -- blind index; empty: not known
  state BLOB NOT NULL,
  merged_into TEXT NOT NULL,      -- FHIR id of the patient that takes its place, ''
  created_by TEXT NOT NULL, created_at INTEGER NOT NULL, updated_by TEXT NOT NULL, updated_at INTEGER NOT NULL, deleted_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, num)
) WITHOUT ROWID;
CREATE INDEX clinical_patient_created ON clinical_patient (tenant, created_at);
CREATE INDEX clinical_patient_merged ON clinical_patient (tenant, merged_into) WHERE merged_into <> '';

-- A key is a hash of a word of a name, of two words of one name, or of a word and the birth date.
CREATE TABLE clinical_patient_key (
  tenant INTEGER NOT NULL,
  key INTEGER NOT NULL,
  num INTEGER NOT NULL,
  PRIMARY KEY (tenant, key, num)
) WITHOUT ROWID;

-- Every word that a name of the tenant ever had: the vocabulary by which spellings are found. It names nobody.
CREATE TABLE clinical_name (
  tenant INTEGER NOT NULL,
  kind INTEGER NOT NULL,          -- 0: part is a skeleton of the form, 1: one with a consonant left out
  part TEXT NOT NULL,
  form TEXT NOT NULL,
  token INTEGER NOT NULL,         -- the key of the word
  PRIMARY KEY (tenant, kind, part, form)
) WITHOUT ROWID;

-- Identifiers that one patient alone may have.
CREATE TABLE clinical_identifier (
  tenant INTEGER NOT NULL,
  hash BLOB NOT NULL,             -- blind index of kind, system and value
  kind TEXT NOT NULL,             -- NI, MR
  num INTEGER NOT NULL,           -- clinical_patient
  PRIMARY KEY (tenant, hash)
) WITHOUT ROWID;
CREATE INDEX clinical_identifier_patient ON clinical_identifier (tenant, num);

CREATE TABLE clinical_merge (
  tenant INTEGER NOT NULL,
  id INTEGER NOT NULL,
  source TEXT NOT NULL,           -- FHIR ids of the patients
  target TEXT NOT NULL,
  reason BLOB NOT NULL,           -- sealed
  moved INTEGER NOT NULL,         -- how many resources
  undone_reason BLOB NOT NULL,    -- sealed
  restored INTEGER NOT NULL,      -- of the moved ones, how many were moved back
  created_by TEXT NOT NULL, created_at INTEGER NOT NULL, updated_by TEXT NOT NULL, updated_at INTEGER NOT NULL, deleted_at INTEGER NOT NULL, -- deleted_at: undone
  PRIMARY KEY (tenant, id)
) WITHOUT ROWID;
CREATE INDEX clinical_merge_source ON clinical_merge (tenant, source);
CREATE INDEX clinical_merge_target ON clinical_merge (tenant, target);

CREATE TABLE clinical_merge_item (
  tenant INTEGER NOT NULL,
  merge INTEGER NOT NULL,         -- clinical_merge
  type TEXT NOT NULL,
  resource TEXT NOT NULL,         -- FHIR id
  version INTEGER NOT NULL,       -- before
  paths TEXT NOT NULL,            -- JSON: where the references stand
  restored INTEGER NOT NULL,      -- it was moved back
  PRIMARY KEY (tenant, merge, type, resource)
) WITHOUT ROWID;

CREATE TABLE clinical_mrn (
  tenant INTEGER NOT NULL,
  facility TEXT NOT NULL,         -- FHIR id of the organization; '': the whole tenant
  prefix TEXT NOT NULL,
  width INTEGER NOT NULL,         -- digits, at least
  check_digit TEXT NOT NULL,      -- '', luhn, mod97
  next INTEGER NOT NULL,          -- the number to be issued next
  created_by TEXT NOT NULL, created_at INTEGER NOT NULL, updated_by TEXT NOT NULL, updated_at INTEGER NOT NULL, deleted_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, facility)
) WITHOUT ROWID;
CREATE UNIQUE INDEX clinical_mrn_prefix ON clinical_mrn (tenant, prefix);
