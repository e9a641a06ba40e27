-- +goose Up
-- The rules of active Consents that deny, so that statements can ask them: see internal/record/consent.go.
CREATE TABLE consent_rule (
  patient bigint NOT NULL,      -- record number of the Patient
  consent bigint NOT NULL,      -- record number of the Consent
  valid_from bigint NOT NULL,   -- microseconds since 1970
  valid_to bigint NOT NULL,
  created_at bigint NOT NULL,
  tenant integer NOT NULL,
  seq integer NOT NULL,
  kind smallint NOT NULL,       -- 1 denies, 2 excepts
  part integer NOT NULL,        -- the denial that an exception belongs to
  actor text NOT NULL,          -- a reference; '': everybody
  purpose text NOT NULL,
  class text NOT NULL,          -- a resource type
  label text NOT NULL,          -- a security label
  created_by text NOT NULL,
  PRIMARY KEY (tenant, patient, consent, seq)
);
CREATE INDEX consent_rule_consent ON consent_rule (tenant, consent);
ALTER TABLE consent_rule ENABLE ROW LEVEL SECURITY;
ALTER TABLE consent_rule FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON consent_rule USING (tenant = current_setting('nilecare.tenant', true)::integer);
