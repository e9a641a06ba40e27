package clinical

import (
	"github.com/nilecare/nilecare/internal/event"
	"github.com/nilecare/nilecare/internal/record"
)

// patientRules are the invariants of Patient.
func patientRules(l *record.Ledger) map[string]record.Rule { return nil }

// patientAdopters enter patients of before into the ledger.
func patientAdopters(l *record.Ledger) map[string]adopter { return map[string]adopter{} }

// patientTables are the tables about patients.
func patientTables() []record.Table { return nil }

// patientSource says what changes of patients mean.
func patientSource() event.Source { return event.Source{} }
