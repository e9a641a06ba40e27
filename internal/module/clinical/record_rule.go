package clinical

import (
	"context"

	"github.com/nilecare/nilecare/internal/record"
)

// recordRules are the invariants of what is written about patients that ask who writes, or keep a ledger. [Guards] are the others.
func recordRules(l *record.Ledger) map[string]record.Rule {
	return map[string]record.Rule{"AllergyIntolerance": allergies{l}.rule, "Composition": noteRule}
}

// Guards are the invariants that need nothing but a resource before and after its change, for [record.Store.Guard]: the state machines of encounters, care
// plans, referrals and tasks, and which statuses of a condition go together.
func Guards() map[string]record.Rule {
	return map[string]record.Rule{"Encounter": encounterRule, "Condition": conditionRule, "CarePlan": carePlanRule, "ServiceRequest": referralRule, "Task": taskRule}
}

// recordAdopters enter records of before into the ledgers.
func recordAdopters(l *record.Ledger) map[string]adopter {
	return map[string]adopter{"AllergyIntolerance": allergies{l}.adopt}
}

// recordTables are the tables beside those records.
func recordTables() []record.Table {
	return []record.Table{{Name: "clinical_allergen", Columns: []string{"tenant", "id", "allergen", "patient", "scope", "created_by", "created_at"}}}
}

type mergeKey struct{}

// merging returns ctx for writes that bring the records of one person, who was registered twice, to one patient: they change whom a record is about,
// and nothing else, where that may not change otherwise.
func merging(ctx context.Context) context.Context {
	return context.WithValue(ctx, mergeKey{}, true)
}

func isMerging(ctx context.Context) bool { return ctx.Value(mergeKey{}) != nil }
