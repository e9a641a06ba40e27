package app

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/hospital"
	"github.com/nilecare/nilecare/internal/module/identity"
)

// BenchmarkDashboard is what the dashboards of a hospital of 300 patients cost in one process on the embedded database, from the request to the answer: with who asks, the parts, and the audit of
// each. doctor-stats is of a doctor who is linked to a practitioner.
func BenchmarkDashboard(b *testing.B) {
	c := newClinic(b)
	admin := c.person(1, "admin", identity.NewUser{})
	for bundle := range hospital.Living(demoSeed, 300, time.Now()) {
		if a := c.call(admin, http.MethodPost, fhirPath, string(bundle)); a.status != http.StatusOK {
			b.Fatalf("%d %s", a.status, a.body)
		}
	}
	doctor := c.person(1, "doctor", identity.NewUser{FHIRUser: "Practitioner/1"})
	for path, who := range map[string]caller{
		"dashboard/doctor-stats": doctor, "dashboard/nurse-stats": c.person(1, "nurse", identity.NewUser{}), "dashboard/receptionist-stats": c.person(1, "receptionist", identity.NewUser{}),
		"dashboard/billing-stats": c.person(1, "billing_clerk", identity.NewUser{}), "dashboard/lab-stats": c.person(1, "lab_technician", identity.NewUser{}),
		"dashboard/pharmacist-stats": c.person(1, "pharmacist", identity.NewUser{}), "dashboard/admin-stats": admin, "dashboard/stats": admin, "dashboard/stats?role=doctor": doctor,
		"dashboard/activities": admin, "patients/1/complete": doctor, "search/patients?q=am": doctor,
	} {
		b.Run(strings.ReplaceAll(path, "/", "."), func(b *testing.B) {
			for b.Loop() {
				if a := c.call(who, http.MethodGet, "/api/v1/"+path, ""); a.status != http.StatusOK {
					b.Fatalf("%d %s", a.status, a.body)
				}
			}
		})
	}
}
