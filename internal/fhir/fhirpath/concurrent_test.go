package fhirpath

import (
	"fmt"
	"sync"
	"testing"

	"github.com/nilecare/nilecare/internal/fhir"
)

// TestOneExpressionManyGoroutines is for the race detector: what an expression learns of types is shared.
func TestOneExpressionManyGoroutines(t *testing.T) {
	bodies := []string{sample, benchObservation, benchPatient, `{"resourceType":"Group","id":"g","name":"n","member":[{"entity":{"reference":"Patient/1"}}]}`}
	exprs := []*Expr{MustCompile("id | name.given | code.text | descendants().where($this is code)"), MustCompile("extension.value | value | name")}
	want := map[string]int{}
	var resources []*fhir.Resource
	for i, b := range bodies {
		r, err := fhir.ParseResource([]byte(b))
		if err != nil {
			t.Fatal(err)
		}
		resources = append(resources, r)
		for j := range exprs {
			c, err := MustCompile(exprs[j].String()).EvalResource(r)
			if err != nil {
				t.Fatal(err)
			}
			want[fmt.Sprint(i, j)] = len(c)
		}
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for n := range 200 {
				i, j := n%len(resources), n%len(exprs)
				c, err := exprs[j].EvalResource(resources[i])
				if err != nil || len(c) != want[fmt.Sprint(i, j)] {
					t.Errorf("%s: %d results, %v", exprs[j], len(c), err)
				}
			}
		})
	}
	wg.Wait()
}
