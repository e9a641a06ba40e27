-- +goose Up
-- The rules of active Consents that deny, so that statements can ask them: see internal/record/consent.go.
CREATE TABLE consent_rule (
  tenant INTEGER NOT NULL,
  patient INTEGER NOT NULL,   -- record number of the Patient
  consent INTEGER NOT NULL,   -- record number of the Consent
  seq INTEGER NOT NULL,
  kind INTEGER NOT NULL,      -- 1 denies, 2 excepts
  part INTEGER NOT NULL,      -- the denial that an exception belongs to
  actor TEXT NOT NULL,        -- a reference; '': everybody
  purpose TEXT NOT NULL,
  class TEXT NOT NULL,        -- a resource type
  label TEXT NOT NULL,        -- a security label
  valid_from INTEGER NOT NULL, -- microseconds since 1970
  valid_to INTEGER NOT NULL,
  created_by TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, patient, consent, seq)
) WITHOUT ROWID;
CREATE INDEX consent_rule_consent ON consent_rule (tenant, consent);
