package clinical

import (
	"github.com/nilecare/nilecare/internal/event"
	"github.com/nilecare/nilecare/internal/record"
)

// recordRules are the invariants of encounters and of what is written in them.
func recordRules(l *record.Ledger) map[string]record.Rule { return nil }

// recordAdopters enter records of before into the ledgers.
func recordAdopters(l *record.Ledger) map[string]adopter { return nil }

// recordTables are the tables beside those records.
func recordTables() []record.Table { return nil }

// recordSource says what changes of those records mean.
func recordSource() event.Source { return event.Source{} }
