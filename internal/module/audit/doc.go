// Package audit lets people see and prove what was done, and tells them what looks wrong.
//
// The ledger itself, its chain of signed blocks and its verification are in internal/audit; the record and the edge write it. This module owns what
// is made of it: the listing and its export, the access log of a patient and the accounting of disclosures, FHIR AuditEvent, and the detection of
// security events, which are entries of the ledger themselves. Its own tables hold who has looked at an event, and how much each user
// usually reads.
//
// Invariants: nothing here changes an entry; reading the audit is audited.
package audit
