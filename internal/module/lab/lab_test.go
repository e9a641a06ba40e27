package lab_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/flat/flattest"
	"github.com/nilecare/nilecare/internal/module/lab"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/storetest"
	"github.com/nilecare/nilecare/internal/web/api"
)

func routes(r *flat.Records) []api.Route { return lab.New(lab.Options{Records: r}).Routes() }

const stats = "/api/v1/stats/labs"

func order(id, status, doctor, category string, at time.Time) string {
	return fmt.Sprintf(`{"resourceType":"ServiceRequest","id":%q,"status":%q,"intent":"order","category":[%s],"code":{"text":"x"},"subject":{"reference":"Patient/p"},"requester":{"reference":"Practitioner/%s"},"authoredOn":%q}`,
		id, status, category, doctor, at.Format(time.RFC3339))
}

func report(id, order, status string, at time.Time) string {
	return fmt.Sprintf(`{"resourceType":"DiagnosticReport","id":%q,"status":%q,"basedOn":[{"reference":"ServiceRequest/%s"}],"category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0074","code":"LAB"}]}],"code":{"text":"x"},"subject":{"reference":"Patient/p"},"issued":%q}`,
		id, status, order, at.Format(time.RFC3339))
}

func result(id, order, flag, category string, at time.Time) string {
	return fmt.Sprintf(`{"resourceType":"Observation","id":%q,"status":"final","basedOn":[{"reference":"ServiceRequest/%s"}],"category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":%q}]}],"code":{"text":"x"},"subject":{"reference":"Patient/p"},"effectiveDateTime":%q,"interpretation":[{"coding":[{"code":%q}]}]}`,
		id, order, category, at.Format(time.RFC3339), flag)
}

const (
	coded  = `{"coding":[{"system":"http://snomed.info/sct","code":"108252007"}],"text":"Laboratory"}`
	worded = `{"text":"Laboratory"}`
	other  = `{"text":"Referral"}`
)

func TestTheLaboratoryIsCounted(t *testing.T) {
	storetest.Each(t, record.Options{}, func(t *testing.T, store *record.Store) {
		w := flattest.New(t, store, routes)
		w.Put(`{"resourceType":"Patient","id":"p"}`)
		w.Put(`{"resourceType":"Practitioner","id":"a"}`)
		w.Put(`{"resourceType":"Practitioner","id":"b"}`)
		w.Figures("doctor", stats, map[string]any{"pendingTests": 0.0, "inProgress": 0.0, "completedToday": 0.0, "criticalResults": 0.0, "averageTurnaround": nil})

		// Three are open, one of them is being worked on; a referral is none of the laboratory's.
		w.Put(order("open", "active", "a", coded, flattest.Noon.Add(-time.Hour)))
		w.Put(order("worded", "active", "b", worded, flattest.Noon.Add(-time.Hour)))
		w.Put(order("begun", "active", "b", coded, flattest.Noon.Add(-time.Hour)))
		w.Put(order("referral", "active", "a", other, flattest.Noon.Add(-time.Hour)))
		w.Put(report("partial", "begun", "partial", flattest.Noon.Add(-time.Minute)))
		// Two are done: one at half past midnight in Khartoum, which is yesterday in UTC, one at half past eleven the evening before.
		early := time.Date(2026, 3, 9, 22, 30, 0, 0, time.UTC)
		w.Put(order("done", "completed", "a", coded, early.Add(-2*time.Hour)))
		w.Put(report("today", "done", "final", early))
		w.Put(order("done2", "completed", "b", coded, early.Add(-5*time.Hour)))
		w.Put(report("yesterday", "done2", "final", early.Add(-time.Hour)))
		// Critical are two of the last day; a high one is not, nor is a vital sign, nor one of two days ago.
		w.Put(result("c1", "done", "HH", "laboratory", flattest.Noon.Add(-2*time.Hour)))
		w.Put(result("c2", "done2", "LL", "laboratory", flattest.Noon.Add(-23*time.Hour)))
		w.Put(result("h", "done", "H", "laboratory", flattest.Noon.Add(-2*time.Hour)))
		w.Put(result("v", "done", "HH", "vital-signs", flattest.Noon.Add(-2*time.Hour)))
		w.Put(result("old", "done", "HH", "laboratory", flattest.Noon.Add(-48*time.Hour)))
		w.Now = w.Now.Add(time.Minute) // what a walk found before is forgotten by now

		want := map[string]any{"pendingTests": 2.0, "openOrders": 3.0, "inProgress": 1.0, "completedToday": 1.0, "criticalResults": 2.0, "averageTurnaround": 3.0}
		w.Figures("doctor", stats, want)
		w.Figures("admin", stats, want)
		w.Figures("doctor", stats+"?providerId=a", map[string]any{"pendingTests": 1.0, "inProgress": 0.0, "completedToday": 1.0, "criticalResults": 1.0, "averageTurnaround": 2.0})

		// After a day the last critical one is over, though the walk that found it may not have been made anew.
		w.Now = flattest.Noon.Add(23 * time.Hour)
		w.Figures("doctor", stats, map[string]any{"criticalResults": 0.0})
	})
}

func TestOnlyThoseWhoReadTheLaboratoryAreTold(t *testing.T) {
	storetest.Each(t, record.Options{}, func(t *testing.T, store *record.Store) {
		w := flattest.New(t, store, routes)
		for role, want := range map[string]int{"doctor": 200, "nurse": 200, "lab_technician": 200, "medical_director": 200, "receptionist": 403, "patient": 403, "billing_clerk": 403, "super_admin": 403} {
			if got, _ := w.Get(role, stats); got != want {
				t.Errorf("%s: %d, want %d", role, got, want)
			}
		}
		for _, path := range []string{stats + "?provider=a", stats + "?providerId=a&providerId=b"} {
			if got, _ := w.Get("doctor", path); got != http.StatusBadRequest {
				t.Errorf("%s: %d", path, got)
			}
		}
		if got, _ := w.Get("doctor", stats+"?providerId=nobody"); got != http.StatusUnprocessableEntity {
			t.Errorf("a practitioner that there is not: %d", got)
		}
	})
}

// Laboratory staff see laboratory results alone: the program's walk saw all, the count is theirs.
func TestWhatTheProgramFoundIsCountedAsTheCallerSeesIt(t *testing.T) {
	storetest.Each(t, record.Options{}, func(t *testing.T, store *record.Store) {
		w := flattest.New(t, store, routes)
		w.Put(`{"resourceType":"Patient","id":"p"}`)
		w.Put(result("c1", "none", "HH", "laboratory", flattest.Noon.Add(-time.Hour)))
		w.Figures("lab_technician", stats, map[string]any{"criticalResults": 1.0})
	})
}
