// Package medication is the medication service of the product API.
//
// It owns nothing yet: it counts what the records say of prescriptions (MedicationRequest), what was handed out (MedicationDispense), what was given
// (MedicationAdministration) and of interactions that were found (DetectedIssue), for the dashboards. Requests for refills and the times at which doses are due
// are in no record; those figures are null, with the reason.
//
// Ledgers: none. Events out: none. Events in: none.
package medication
