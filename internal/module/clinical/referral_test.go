package clinical_test

import (
	"net/http"
	"sync"
	"testing"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
)

func (w *ward) refer(to string, more o) *reply {
	w.t.Helper()
	body := o{"patientId": w.key("Patient", "p1"), "providerId": w.key("Practitioner", to), "reason": "murmur", "specialty": "Cardiology", "urgency": "urgent"}
	for k, v := range more {
		body[k] = v
	}
	return w.must(http.StatusCreated, "d1", "POST", "/api/v1/referrals", body)
}

func TestAReferralFromRequestToReply(t *testing.T) {
	eachWard(t, func(t *testing.T, w *ward) {
		a := w.refer("d2", nil)
		a.want(t, o{"data.status": "requested", "data.requesterName": "Amna Osman", "data.providerName": "Amna Idris", "data.urgency": "urgent", "data.specialty": "Cardiology", "data.reason": "murmur",
			"data.referral.id": a.text("data.id")})
		at := "/api/v1/referrals/" + a.text("data.id")
		w.must(http.StatusOK, "d1", "PUT", at, o{"urgency": "stat"}).want(t, o{"data.urgency": "stat", "data.reason": "murmur"})
		w.must(http.StatusOK, "d2", "GET", "/api/v1/referrals/inbound?status=requested", nil).want(t, o{"pagination.total": 1})
		w.must(http.StatusOK, "d1", "GET", "/api/v1/referrals/outbound", nil).want(t, o{"pagination.total": 1})
		w.must(http.StatusOK, "d1", "GET", "/api/v1/referrals?direction=inbound", nil).want(t, o{"pagination.total": 0})
		w.must(http.StatusForbidden, "d1", "POST", at+"/accept", nil) // not theirs to take up
		w.must(http.StatusForbidden, "d2", "POST", at+"/cancel", nil)
		w.must(http.StatusForbidden, "n1", "POST", at+"/accept", nil)
		w.must(http.StatusOK, "d2", "POST", at+"/accept", nil).want(t, o{"data.status": "accepted"})
		w.must(http.StatusConflict, "d1", "PUT", at, o{"urgency": "routine"})
		w.must(http.StatusConflict, "d2", "POST", at+"/reject", o{"reason": "no time"})
		w.must(http.StatusOK, "d2", "POST", at+"/start", nil).want(t, o{"data.status": "in_progress"})
		w.must(http.StatusOK, "d2", "GET", "/api/v1/referrals/inbound?status=in_progress", nil).want(t, o{"pagination.total": 1})
		w.must(http.StatusOK, "d2", "POST", at+"/complete", o{"reply": "Innocent murmur"}).want(t, o{"data.status": "completed", "data.replies.0.text": "Innocent murmur", "data.replies.0.byId": w.key("Practitioner", "d2")})
		w.must(http.StatusConflict, "d1", "POST", at+"/cancel", nil)
		if s := w.read("ServiceRequest", a.text("data.id")).Str("status"); s != "completed" {
			t.Error("the order is", s)
		}
		err := w.patchAs("d2", "ServiceRequest", a.text("data.id"), func(o *fhir.Resource) { o.Set("status", fhir.NewString("active")) })
		if !fault.Is(err, fault.Conflict) {
			t.Error("a referral that was done came back by the FHIR API:", err)
		}
	})
}

func TestAReferralIsTurnedDownWithAReason(t *testing.T) {
	eachWard(t, func(t *testing.T, w *ward) {
		at := "/api/v1/referrals/" + w.refer("d2", nil).text("data.id")
		w.must(http.StatusBadRequest, "d2", "POST", at+"/reject", nil)
		w.must(http.StatusOK, "d2", "POST", at+"/reject", o{"reason": "no beds"}).want(t, o{"data.status": "rejected", "data.statusReason": "no beds"})
		w.must(http.StatusConflict, "d2", "POST", at+"/accept", nil)
		p1 := w.key("Patient", "p1")
		w.must(http.StatusBadRequest, "d1", "POST", "/api/v1/referrals", o{"patientId": p1, "reason": "x"})
		w.must(http.StatusBadRequest, "d1", "POST", "/api/v1/referrals", o{"patientId": p1, "specialty": "x"})
		w.must(http.StatusBadRequest, "d1", "POST", "/api/v1/referrals", o{"patientId": p1, "specialty": "x", "reason": "y", "urgency": "now"})
		w.must(http.StatusCreated, "d1", "POST", "/api/v1/referrals", o{"patientId": p1, "reason": "x", "externalProvider": "Dr Hamid, Medani"}).want(t, o{"data.externalProvider": "Dr Hamid, Medani", "data.providerId": nil})
		w.must(http.StatusForbidden, "desk", "GET", "/api/v1/referrals", nil)
	})
}

// TestAReferralOfTheFHIRAPIHasAState holds that an order without a task is told and can be taken up, and that an order of the laboratory is no referral.
func TestAReferralOfTheFHIRAPIHasAState(t *testing.T) {
	eachWard(t, func(t *testing.T, w *ward) {
		order := o{"status": "active", "intent": "order", "subject": o{"reference": "Patient/p1"}, "requester": o{"reference": "Practitioner/d1"}, "performer": []o{{"reference": "Practitioner/d2"}},
			"category": []o{{"coding": []o{{"system": "http://snomed.info/sct", "code": "3457005"}}}}}
		w.put("ServiceRequest", "r1", order)
		w.put("ServiceRequest", "lab", o{"status": "completed", "intent": "order", "subject": o{"reference": "Patient/p1"}})
		at := "/api/v1/referrals/" + w.key("ServiceRequest", "r1")
		w.must(http.StatusOK, "d2", "GET", at, nil).want(t, o{"data.status": "requested"})
		w.must(http.StatusOK, "d2", "POST", at+"/accept", nil).want(t, o{"data.status": "accepted"})
		w.must(http.StatusNotFound, "d2", "GET", "/api/v1/referrals/"+w.key("ServiceRequest", "lab"), nil)
		if err := w.putAs("d1", "ServiceRequest", "lab", o{"status": "active", "intent": "order", "subject": o{"reference": "Patient/p1"}}); err != nil {
			t.Error("another module's order was refused:", err)
		}
	})
}

// TestOneReferralIsAnsweredOnce races accepting against cancelling.
func TestOneReferralIsAnsweredOnce(t *testing.T) {
	eachWard(t, func(t *testing.T, w *ward) {
		for range 5 {
			at := "/api/v1/referrals/" + w.refer("d2", nil).text("data.id")
			var wg sync.WaitGroup
			results := make([]int, 6)
			for i := range results {
				wg.Go(func() {
					if i%2 == 0 {
						results[i] = w.do("d2", "POST", at+"/reject", o{"reason": "no"}).status
					} else {
						results[i] = w.do("d1", "POST", at+"/cancel", nil).status
					}
				})
			}
			wg.Wait()
			ok := 0
			for _, s := range results {
				if s == http.StatusOK {
					ok++
				} else if s != http.StatusConflict {
					t.Error(s)
				}
			}
			if ok != 1 {
				t.Errorf("%d of them were told that it was done: %v", ok, results)
			}
		}
	})
}
