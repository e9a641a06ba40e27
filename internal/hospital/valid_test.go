package hospital

import (
	"strings"
	"testing"

	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/validate"
)

func TestEveryResourceIsValid(t *testing.T) {
	allValid(t, parsed(t, 6, 100))
	allValid(t, read(t, Living(6, 100, now()), 100))
}

func allValid(t *testing.T, bundles []*fhir.Resource) {
	t.Helper()
	for k, b := range bundles {
		for _, e := range entries(b) {
			r := &fhir.Resource{Node: e.Get("resource")}
			r.Walk(func(n *fhir.Node) bool { // as the transaction resolves it
				if typ, _, ok := strings.Cut(n.Text, "?"); ok && n.Name == "reference" {
					n.Text = typ + "/1"
				}
				return true
			})
			for _, issue := range validate.Resource(r) {
				t.Errorf("bundle %d, %s: %s %s: %s", k, r.Type(), issue.Severity, issue.Expression, issue.Diagnostics)
			}
		}
	}
}
