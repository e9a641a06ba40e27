package access_test

import (
	"testing"

	"github.com/nilecare/nilecare/internal/access"
)

func TestDefaultPoliciesCompile(t *testing.T) {
	p, err := access.Compile(access.DefaultPolicies())
	if err != nil {
		t.Fatal(err)
	}
	g, err := p.Grant(access.Principal{Tenant: 1, User: 1, Roles: []string{"doctor"}, Self: []string{"Practitioner/1"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, typ := range []string{"Patient", "Observation", "Location", "Invoice"} {
		for a := access.Read; a <= access.Delete; a++ {
			e := g.Extent(a, typ)
			t.Logf("%s %s all=%v none=%v %+v", typ, a, e.IsAll(), e.IsNone(), e.Pred())
		}
	}
}
