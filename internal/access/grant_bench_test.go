package access_test

import (
	"sync"
	"testing"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fhir/def"
)

var nurse = access.Principal{Tenant: 1, User: 7, Roles: []string{"nurse"}, Permissions: []string{"patients:read"}, Self: []string{"Practitioner/team"},
	Practitioner: "Practitioner/team", CareTeams: []string{"CareTeam/t1"}}

// TestConcurrentQuestions: many ask one grant at once, and all hear the same.
func TestConcurrentQuestions(t *testing.T) {
	policies := compile(t, access.DefaultPolicies())
	w := sample(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			g, err := policies.Grant(nurse)
			if err != nil {
				t.Error(err)
				return
			}
			n, err := scopes(t, "patient/*.rs user/Slot.rs").Narrow(g, access.Launch{Patient: "1"})
			if err != nil {
				t.Error(err)
				return
			}
			for _, d := range w {
				one, two := may(t, n.Extent(access.Read, d.Type), d, w), may(t, n.Extent(access.Read, d.Type), d, w)
				if one != two {
					t.Errorf("%s/%s: two answers", d.Type, d.ID)
				}
			}
			for _, typ := range def.ResourceTypes() {
				g.Masked(typ.Name)
			}
		})
	}
	wg.Wait()
}

func BenchmarkExtent(b *testing.B) {
	policies := compile(b, access.DefaultPolicies())
	g := grant(b, policies, nurse)
	narrow, err := scopes(b, "patient/*.rs user/Observation.rs?category=laboratory").Narrow(g, access.Launch{Patient: "1"})
	if err != nil {
		b.Fatal(err)
	}
	for name, g := range map[string]access.Grant{"grant": g, "narrowed": narrow} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if g.Extent(access.Search, "Observation").IsNone() {
					b.Fatal("none")
				}
			}
		})
	}
	b.Run("first", func(b *testing.B) {
		pr := nurse
		for b.Loop() {
			pr.User++
			g, _ := policies.Grant(pr)
			if g.Extent(access.Search, "Observation").IsNone() {
				b.Fatal("none")
			}
		}
	})
	b.Run("Grant", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := policies.Grant(nurse); err != nil {
				b.Fatal(err)
			}
		}
	})
}
