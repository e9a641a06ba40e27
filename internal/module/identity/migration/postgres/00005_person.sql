-- +goose Up

-- Who of the users a person of the record is.
CREATE INDEX identity_user_patient ON identity_user (tenant, patient) WHERE patient <> '';
CREATE INDEX identity_user_fhir_user ON identity_user (tenant, fhir_user) WHERE fhir_user <> '';
