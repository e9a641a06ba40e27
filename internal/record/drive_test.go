package record

import (
	"reflect"
	"testing"

	"github.com/nilecare/nilecare/internal/fhir/search"
)

// preds are the parts of a query: type, then parameter and value by turns.
func preds(t *testing.T, typ string, params ...string) []search.Pred {
	t.Helper()
	var ps []search.Param
	for i := 0; i < len(params); i += 2 {
		ps = append(ps, search.Param{Name: params[i], Value: params[i+1]})
	}
	q, err := search.Parse(typ, ps, search.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return conjuncts(q.ByType[0].Pred)
}

// TestDrive: the part that names the fewest records drives; the others are all asked.
func TestDrive(t *testing.T) {
	for _, c := range []struct {
		typ    string
		params []string
		driver int // which of the parts; -1: all records of the type
	}{
		{"Patient", []string{"gender", "male", "identifier", "urn:s|1"}, 1},
		{"Patient", []string{"identifier", "urn:s|1", "_id", "a"}, 1},
		{"Patient", []string{"gender", "male", "family", "smith"}, 1},
		{"Patient", []string{"family", "smith", "family:exact", "Smith"}, 1},
		{"Patient", []string{"birthdate", "1980", "gender", "male"}, 1},
		{"Patient", []string{"birthdate", "ne1980", "gender", "male"}, 1},
		{"Patient", []string{"gender:not", "male"}, -1},
		{"Patient", []string{"gender:missing", "true", "birthdate", "1980"}, 1},
		{"Patient", []string{"_lastUpdated", "ge2020"}, 0},
		{"Patient", []string{"_lastUpdated", "ne2020"}, -1},
		{"Observation", []string{"status", "final", "patient", "Patient/1", "date", "ge2020"}, 1},
		{"Observation", []string{"status", "final", "date", "ge2020", "code", "urn:s|c"}, 2},
		{"Observation", []string{"status", "final", "patient.identifier", "urn:s|1"}, 1},
		{"Observation", []string{"value-quantity", "gt5", "date", "ge2020"}, 1},
	} {
		ps := preds(t, c.typ, c.params...)
		d := drive(ps)
		if c.driver < 0 {
			if d.driver != nil || len(d.rest) != len(ps) {
				t.Errorf("%v: %#v drives", c.params, d.driver)
			}
			continue
		}
		if len(d.rest) != len(ps)-1 {
			t.Errorf("%v: %d parts are asked of each", c.params, len(d.rest))
		}
		// Whichever order the parts come in, the same one drives.
		reversed := make([]string, 0, len(c.params))
		for i := len(c.params) - 2; i >= 0; i -= 2 {
			reversed = append(reversed, c.params[i], c.params[i+1])
		}
		if again := drive(preds(t, c.typ, reversed...)); !reflect.DeepEqual(again.driver, d.driver) {
			t.Errorf("%v: another one drives in another order: %#v and %#v", c.params, d.driver, again.driver)
		}
		if alone := preds(t, c.typ, c.params[2*c.driver:2*c.driver+2]...); !reflect.DeepEqual(alone[0], d.driver) {
			t.Errorf("%v: driven by %#v", c.params, d.driver)
		}
	}
	if d := drive(nil); d.driver != nil || d.rest != nil {
		t.Error("nothing drives nothing")
	}
}

// TestConjuncts: nested ANDs are one list, and what is no AND stays whole.
func TestConjuncts(t *testing.T) {
	a, b, c := search.IDs{"a"}, search.Or{}, search.Not{Pred: search.And{}}
	got := conjuncts(search.And{search.And{a, search.And{}}, b, search.And{c}})
	if !reflect.DeepEqual(got, []search.Pred{a, b, c}) {
		t.Errorf("%#v", got)
	}
}
