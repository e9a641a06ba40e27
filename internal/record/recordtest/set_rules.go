package recordtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/record"
)

// testSetRules has a rule judge sets: it is asked once for each, after the rules of the single changes, with its types alone, and its refusal is the turn's that it names.
func testSetRules(t *testing.T, h Harness) {
	var asked []string
	b := setUp(t, h, record.Options{})
	b.store.GovernSets([]string{"Patient"}, func(ctx context.Context, tx record.Tx, set []record.Turn) (int, error) {
		asked = nil
		for i, turn := range set {
			asked = append(asked, fmt.Sprintf("%s %t %s>%s", turn.Type, turn.ID != "", familyOf(turn.Old), familyOf(turn.New)))
			if _, err := tx.Exec(ctx, "INSERT INTO setting (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING", "set-"+familyOf(turn.New), "x"); err != nil {
				return i, err
			}
		}
		for i, turn := range set {
			if familyOf(turn.New) == "Refused" {
				return i, fault.New(fault.Conflict, "the rule says no")
			}
		}
		return 0, nil
	})
	must := func(want ...string) {
		t.Helper()
		if !slices.Equal(asked, want) {
			t.Errorf("the rule was asked %q, want %q", asked, want)
		}
	}
	basic := func() record.Change { return creation(res(t, `{"resourceType":"Basic","code":{"text":"x"}}`)) }
	id := b.write(creation(patient(t, "One"))).Version.ID
	must("Patient true >One")
	b.writeAll(basic(), creation(patient(t, "Two")), update(id, patient(t, "Three")))
	must("Patient true >Two", "Patient true One>Three")
	asked = nil
	b.writeAll(basic())
	must()
	b.write(update(id, patient(t, "Three"))) // nothing changes
	must()
	b.write(deletion("Patient", id))
	must("Patient true Three>")

	before := b.counts()
	err := b.refused(fault.Conflict, basic(), creation(patient(t, "Fine")), creation(patient(t, "Refused")))
	var at *record.EntryError
	if !errors.As(err, &at) || at.Index != 2 {
		t.Errorf("the refusal is not the third entry's: %v", err)
	}
	b.same(before, b.counts())
	b.settings(func(name string) {
		if name == "set-Refused" || name == "set-Fine" {
			t.Errorf("what the rule wrote at %s stands", name)
		}
	})
}
