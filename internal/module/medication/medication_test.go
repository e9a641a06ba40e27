package medication_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/flat/flattest"
	"github.com/nilecare/nilecare/internal/module/medication"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/storetest"
	"github.com/nilecare/nilecare/internal/web/api"
)

func routes(r *flat.Records) []api.Route {
	return medication.New(medication.Options{Records: r}).Routes()
}

const stats = "/api/v1/stats/medications"

// prescription is one of a doctor, valid until the end; "" says none.
func prescription(id, status, doctor, end string) string {
	valid := ""
	if end != "" {
		valid = fmt.Sprintf(`,"dispenseRequest":{"validityPeriod":{"end":%q}}`, end)
	}
	return fmt.Sprintf(`{"resourceType":"MedicationRequest","id":%q,"status":%q,"intent":"order","medicationCodeableConcept":{"text":"x"},"subject":{"reference":"Patient/p"},"requester":{"reference":"Practitioner/%s"}%s}`,
		id, status, doctor, valid)
}

func dispense(id, of, status string, at time.Time) string {
	return fmt.Sprintf(`{"resourceType":"MedicationDispense","id":%q,"status":%q,"medicationCodeableConcept":{"text":"x"},"subject":{"reference":"Patient/p"},"authorizingPrescription":[{"reference":"MedicationRequest/%s"}],"whenHandedOver":%q}`,
		id, status, of, at.Format(time.RFC3339))
}

func TestPrescriptionsAreCounted(t *testing.T) {
	storetest.Each(t, record.Options{}, func(t *testing.T, store *record.Store) {
		w := flattest.New(t, store, routes)
		for _, text := range []string{
			`{"resourceType":"Patient","id":"p"}`, `{"resourceType":"Practitioner","id":"a"}`, `{"resourceType":"Practitioner","id":"b"}`,
			prescription("soon", "active", "a", "2026-03-20"), prescription("soon2", "active", "b", "2026-04-01T00:00:00+02:00"),
			prescription("later", "active", "a", "2026-06-01"), prescription("over", "active", "a", "2026-03-01"), prescription("open", "active", "a", ""),
			prescription("held", "on-hold", "a", "2026-03-20"), prescription("done", "completed", "a", "2026-03-20"),
			dispense("d1", "soon", "completed", flattest.Noon.Add(-time.Hour)), dispense("d2", "soon2", "completed", flattest.Noon.Add(-48*time.Hour)), dispense("d3", "later", "preparation", flattest.Noon),
			`{"resourceType":"MedicationAdministration","id":"m","status":"completed","medicationCodeableConcept":{"text":"x"},"subject":{"reference":"Patient/p"},"request":{"reference":"MedicationRequest/soon"},"effectiveDateTime":"2026-03-10T09:00:00+02:00"}`,
			`{"resourceType":"DetectedIssue","id":"i","status":"final","code":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"DRG"}]},"identifiedDateTime":"2026-03-09T09:00:00+02:00"}`,
		} {
			w.Put(text)
		}
		w.Figures("doctor", stats, map[string]any{"activePrescriptions": 5.0, "onHold": 1.0, "pendingPrescriptions": 3.0, "dispensedToday": 1.0, "administeredToday": 1.0,
			"interactions": 1.0, "expiringPrescriptions": 2.0, "pendingRefills": nil, "dueDoses": nil})
		w.Figures("doctor", stats+"?providerId=b", map[string]any{"activePrescriptions": 1.0, "pendingPrescriptions": 0.0, "dispensedToday": 0.0, "administeredToday": 0.0, "expiringPrescriptions": 1.0})
		w.Figures("pharmacist", stats, map[string]any{"activePrescriptions": 5.0, "dispensedToday": 1.0, "expiringPrescriptions": 2.0})
		for role, want := range map[string]int{"nurse": 200, "inventory_manager": 200, "receptionist": 403, "billing_clerk": 403, "patient": 403} {
			if got, _ := w.Get(role, stats); got != want {
				t.Errorf("%s: %d, want %d", role, got, want)
			}
		}
		// Who keeps the stock sees no prescriptions: the counts are not 0, they are not known.
		w.Figures("inventory_manager", stats, map[string]any{"activePrescriptions": nil, "pendingPrescriptions": nil, "expiringPrescriptions": nil})
	})
}
