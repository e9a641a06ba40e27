package recordtest

import (
	"testing"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/record"
)

// as is b for a caller of another tenant.
func (b *bench) as(tenant int32) *bench {
	c := *b
	c.ctx = access.With(b.ctx, access.Caller{Tenant: tenant, Who: "somebody", Grant: access.Everything()})
	return &c
}

func testTenants(t *testing.T, h Harness) {
	one := setUp(t, h, record.Options{})
	two := one.as(2)
	num := one.write(creation(identified(t, "t1", "First"))).Version.ID
	one.write(update("both", patient(t, "FirstBoth")))
	one.write(update("o", observation(t, "Patient/both")))
	before := one.counts()

	for _, id := range []string{num, "both"} {
		two.unreadable(fault.NotFound, "Patient", id)
		if _, err := two.store.ReadVersion(two.ctx, "Patient", id, 1); !fault.Is(err, fault.NotFound) {
			t.Errorf("the other tenant reads version 1: %v", err)
		}
		if _, err := two.store.History(two.ctx, record.HistoryQuery{Type: "Patient", ID: id}); !fault.Is(err, fault.NotFound) {
			t.Errorf("the other tenant reads the history: %v", err)
		}
		two.finds(nil, "Patient", "_id", id)
		mustBe(t, two.write(deletion("Patient", id)), record.Absent, 0)
		if _, err := two.store.Write(two.ctx, []record.Change{patch(id, "male")}); !fault.Is(err, fault.NotFound) {
			t.Errorf("the other tenant patches: %v", err)
		}
	}
	two.finds(nil, "Patient")
	two.finds(nil, "Patient", "family", "First")
	two.finds(nil, "Patient", "identifier", "urn:test|t1")
	two.finds(nil, "Observation", "patient.family", "FirstBoth")
	two.finds(nil, "Patient", "_has:Observation:patient:status", "final")
	if vs, _ := two.history(record.HistoryQuery{}); len(vs) > 0 {
		t.Errorf("the other tenant sees %d versions", len(vs))
	}
	if _, err := two.store.Everything(two.ctx, "Patient", "both", nil, noTime, 0, ""); !fault.Is(err, fault.NotFound) {
		t.Errorf("the other tenant sees everything: %v", err)
	}

	mustBe(t, two.write(update("both", patient(t, "SecondBoth"))), record.Created, 1)
	mustBe(t, two.write(update("o", observation(t, "Patient/both"))), record.Created, 1)
	mustBe(t, two.write(conditional(two, record.Create, "t1", "Second")), record.Created, 1)
	one.same(before, one.counts())
	for b, family := range map[*bench]string{one: "FirstBoth", two: "SecondBoth"} {
		r, err := b.read("Patient", "both").Resource()
		if err != nil || familyOf(r) != family {
			t.Errorf("%s reads %s, %v", family, familyOf(r), err)
		}
		b.finds([]string{"o"}, "Observation", "patient.family", family)
		b.finds([]string{"both"}, "Patient", "family", family)
	}
	// A cursor of one tenant says nothing to the other.
	q := query(t, "Patient", "_count", "1")
	page, err := one.store.Search(one.ctx, q)
	if err != nil || page.Next == "" {
		t.Fatal(err)
	}
	q.Cursor = page.Next
	if _, err := two.store.Search(two.ctx, q); !fault.Is(err, fault.Invalid) {
		t.Errorf("the other tenant's cursor: %v", err)
	}
	two.write(deletion("Patient", "both"))
	one.read("Patient", "both")
	one.finds([]string{"both"}, "Patient", "family", "FirstBoth")
}
