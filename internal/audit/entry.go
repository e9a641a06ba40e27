// Package audit is the ledger of who did what: append-only, sealed shortly after into hash-chained, signed blocks.
package audit

// Outcome says how an audited act ended, in the codes of http://hl7.org/fhir/audit-event-outcome.
type Outcome uint8

// The outcomes.
const (
	Success Outcome = 0
	Minor   Outcome = 4 // refused, or wrong
	Serious Outcome = 8
	Major   Outcome = 12
)

// Kind is a class of entries.
type Kind uint8

// The kinds.
const (
	Rest     Kind = iota + 1 // reads, searches and changes of records
	Session                  // sign-in, sign-out, refresh, failed sign-in
	Admin                    // users, roles, keys, clients, tenants, policies
	Security                 // a security event: lock-out, break-glass, impossible travel, spikes, refusals
	Export                   // records leave in bulk
)

// Entry is one audited act.
type Entry struct {
	ID      int64 // ordered by time (internal/ident); 0: the ledger gives one
	Tenant  int32
	Kind    Kind
	Action  string // "read", "vread", "search", "history", "create", "update", "patch", "delete", "transaction", "login", "logout", …
	Outcome Outcome

	Who     string // access.Caller's
	Name    string
	Client  string
	Session int64
	Purpose string
	Address string
	Request string // the request's id

	Type     string  // of what was acted upon: a FHIR type, or "User", "Role", "Client", "Key", "Tenant" …; "" for none or several
	Num      int64   // the record's number; 0: none or several
	VID      int64   // the version that was read or made; 0: not one
	Patients []int64 // numbers of the Patient records that the act was about
	Query    string  // of a search, as asked
	Detail   string  // for people: what was changed, why it was refused; the reason of a break-glass
	Severity string  // of a security event: low, medium, high, critical
	Count    int     // versions made, matches answered, or resources exported
}

// Sink takes entries that are not part of a change's own transaction. Note returns at once; entries are written in batches, never
// lost on a clean stop, and on a crash at most those of the last moments are (the ledger states how many).
type Sink interface{ Note(Entry) }
