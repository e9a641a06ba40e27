package clinical

import (
	"context"

	"github.com/nilecare/nilecare/internal/record"
)

// recordRules are the invariants of encounters and of what is written in them.
func recordRules(l *record.Ledger) map[string]record.Rule {
	return map[string]record.Rule{
		"Encounter":          encounterRule,
		"Condition":          conditionRule,
		"AllergyIntolerance": allergies{l}.rule,
		"Composition":        noteRule,
		"CarePlan":           carePlanRule,
		"ServiceRequest":     referralRule,
		"Task":               taskRule,
	}
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
