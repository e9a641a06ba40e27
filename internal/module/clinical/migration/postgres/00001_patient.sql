-- +goose Up

-- What patients are looked up by beside the search index. Times are microseconds since 1970; 0 is never. Names stand here as consonants, as in internal/names;
-- identifiers as keyed hashes.

CREATE TABLE clinical_patient (
  tenant integer NOT NULL,
  num bigint NOT NULL,           -- of the record
  patient text COLLATE "C" NOT NULL,          -- its FHIR id
  names text COLLATE "C" NOT NULL,            -- the forms of the words of each name: words by a space, other readings by '/', names by '|'
  born bigint NOT NULL,          -- 19800131, 19800100, 19800000; 0: not known
  gender text COLLATE "C" NOT NULL,
  facility text COLLATE "C" NOT NULL,         -- FHIR id of the managing organization, ''
  city bytea NOT NULL,             -- blind index; empty: not known
  state bytea NOT NULL,
  merged_into text COLLATE "C" NOT NULL,      -- FHIR id of the patient that takes its place, ''
  created_by text COLLATE "C" NOT NULL, created_at bigint NOT NULL, updated_by text COLLATE "C" NOT NULL, updated_at bigint NOT NULL, deleted_at bigint NOT NULL,
  PRIMARY KEY (tenant, num)
);
CREATE INDEX clinical_patient_created ON clinical_patient (tenant, created_at);
CREATE INDEX clinical_patient_merged ON clinical_patient (tenant, merged_into) WHERE merged_into <> '';

-- A key is a hash of a word of a name, of two words of one name, or of a word and the birth date.
CREATE TABLE clinical_patient_key (
  tenant integer NOT NULL,
  key bigint NOT NULL,
  num bigint NOT NULL,
  PRIMARY KEY (tenant, key, num)
);

-- Every word that a name of the tenant ever had: the vocabulary by which spellings are found. It names nobody.
CREATE TABLE clinical_name (
  tenant integer NOT NULL,
  kind bigint NOT NULL,          -- 0: part is a skeleton of the form, 1: one with a consonant left out
  part text COLLATE "C" NOT NULL,
  form text COLLATE "C" NOT NULL,
  token bigint NOT NULL,         -- the key of the word
  PRIMARY KEY (tenant, kind, part, form)
);

-- Identifiers that one patient alone may have.
CREATE TABLE clinical_identifier (
  tenant integer NOT NULL,
  hash bytea NOT NULL,             -- blind index of kind, system and value
  kind text COLLATE "C" NOT NULL,             -- NI, MR
  num bigint NOT NULL,           -- clinical_patient
  PRIMARY KEY (tenant, hash)
);
CREATE INDEX clinical_identifier_patient ON clinical_identifier (tenant, num);

CREATE TABLE clinical_merge (
  tenant integer NOT NULL,
  id bigint NOT NULL,
  source text COLLATE "C" NOT NULL,           -- FHIR ids of the patients
  target text COLLATE "C" NOT NULL,
  reason bytea NOT NULL,           -- sealed
  moved bigint NOT NULL,         -- how many resources
  undone_reason bytea NOT NULL,    -- sealed
  restored bigint NOT NULL,      -- of the moved ones, how many were moved back
  created_by text COLLATE "C" NOT NULL, created_at bigint NOT NULL, updated_by text COLLATE "C" NOT NULL, updated_at bigint NOT NULL, deleted_at bigint NOT NULL, -- deleted_at: undone
  PRIMARY KEY (tenant, id)
);
CREATE INDEX clinical_merge_source ON clinical_merge (tenant, source);
CREATE INDEX clinical_merge_target ON clinical_merge (tenant, target);

CREATE TABLE clinical_merge_item (
  tenant integer NOT NULL,
  merge bigint NOT NULL,         -- clinical_merge
  type text COLLATE "C" NOT NULL,
  resource text COLLATE "C" NOT NULL,         -- FHIR id
  version bigint NOT NULL,       -- before
  paths text COLLATE "C" NOT NULL,            -- JSON: where the references stand
  restored bigint NOT NULL,      -- it was moved back
  PRIMARY KEY (tenant, merge, type, resource)
);

CREATE TABLE clinical_mrn (
  tenant integer NOT NULL,
  facility text COLLATE "C" NOT NULL,         -- FHIR id of the organization; '': the whole tenant
  prefix text COLLATE "C" NOT NULL,
  width bigint NOT NULL,         -- digits, at least
  check_digit text COLLATE "C" NOT NULL,      -- '', luhn, mod97
  next bigint NOT NULL,          -- the number to be issued next
  created_by text COLLATE "C" NOT NULL, created_at bigint NOT NULL, updated_by text COLLATE "C" NOT NULL, updated_at bigint NOT NULL, deleted_at bigint NOT NULL,
  PRIMARY KEY (tenant, facility)
);
CREATE UNIQUE INDEX clinical_mrn_prefix ON clinical_mrn (tenant, prefix);

ALTER TABLE clinical_patient ENABLE ROW LEVEL SECURITY;
ALTER TABLE clinical_patient FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON clinical_patient USING (tenant = current_setting('nilecare.tenant', true)::integer);
ALTER TABLE clinical_patient_key ENABLE ROW LEVEL SECURITY;
ALTER TABLE clinical_patient_key FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON clinical_patient_key USING (tenant = current_setting('nilecare.tenant', true)::integer);
ALTER TABLE clinical_name ENABLE ROW LEVEL SECURITY;
ALTER TABLE clinical_name FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON clinical_name USING (tenant = current_setting('nilecare.tenant', true)::integer);
ALTER TABLE clinical_identifier ENABLE ROW LEVEL SECURITY;
ALTER TABLE clinical_identifier FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON clinical_identifier USING (tenant = current_setting('nilecare.tenant', true)::integer);
ALTER TABLE clinical_merge ENABLE ROW LEVEL SECURITY;
ALTER TABLE clinical_merge FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON clinical_merge USING (tenant = current_setting('nilecare.tenant', true)::integer);
ALTER TABLE clinical_merge_item ENABLE ROW LEVEL SECURITY;
ALTER TABLE clinical_merge_item FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON clinical_merge_item USING (tenant = current_setting('nilecare.tenant', true)::integer);
ALTER TABLE clinical_mrn ENABLE ROW LEVEL SECURITY;
ALTER TABLE clinical_mrn FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON clinical_mrn USING (tenant = current_setting('nilecare.tenant', true)::integer);
