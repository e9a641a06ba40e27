package clinical_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// pointing are the references to a patient that each resource of the tenant has, as "Type/id path", sorted; patients' links left out.
func (w *ward) pointing(patient string) []string {
	w.t.Helper()
	l := w.store.Ledger()
	var refs []record.Referrer
	must(w.t, l.View(w.as("system"), 1, func(q sqldb.Querier) (err error) {
		refs, err = l.Referrers(w.as("system"), q, 1, "Patient", patient, 10_000)
		return err
	}))
	var out []string
	for _, ref := range refs {
		if ref.Type == "Patient" {
			continue
		}
		v, err := w.store.Read(w.as("system"), ref.Type, ref.ID)
		must(w.t, err)
		r, err := v.Resource()
		must(w.t, err)
		n := 0
		r.Walk(func(one *fhir.Node) bool {
			if one.Name == "reference" && one.Text == "Patient/"+patient {
				n++
			}
			return true
		})
		out = append(out, fmt.Sprintf("%s/%s %d", ref.Type, ref.ID, n))
	}
	slices.Sort(out)
	return out
}

// write creates a resource as the program and returns its FHIR id.
func (w *ward) write(typ string, members o) string {
	w.t.Helper()
	out, err := w.store.Write(w.as("system"), []record.Change{{Op: record.Create, Type: typ, Resource: resource(w.t, typ, members)}})
	must(w.t, err)
	return out[0].Version.ID
}

func to(patient string) o { return o{"reference": "Patient/" + patient} }

func TestAMergeBringsEverythingToOnePatientAndBack(t *testing.T) {
	eachDesk(t, func(t *testing.T, w *ward) {
		source, target := w.enrol("Mohamed", "Elhassan", o{"allergies": []string{"Penicillin"}, "nationalId": "111111111"}), w.enrol("Muhammad", "Al-Hasan", o{"allergies": []string{"penicillin"}})
		w.write("Observation", o{"status": "final", "code": o{"text": "pulse"}, "subject": to(source)})
		w.write("Appointment", o{"status": "booked", "participant": []o{{"actor": o{"reference": "Practitioner/d1"}, "status": "accepted"}, {"actor": to(source), "status": "accepted"}}})
		w.write("List", o{"status": "current", "mode": "working", "subject": to(target), "entry": []o{{"item": to(source)}}})
		w.must(http.StatusCreated, "d1", "POST", "/api/v1/encounters", o{"patientId": source, "type": "outpatient", "chiefComplaint": "cough"})
		before, theirs := w.pointing(source), w.pointing(target)

		w.must(http.StatusForbidden, "d1", "POST", patientsPath+"/"+source+"/merge", o{"into": target})
		a := w.must(http.StatusOK, "admin", "POST", patientsPath+"/"+source+"/merge", o{"into": target, "reason": "registered twice"})
		a.want(t, o{"data.merge.sourceId": source, "data.merge.targetId": target, "data.merge.moved": len(before), "data.merge.reason": "registered twice", "data.merge.unmergedAt": nil})
		if left := w.pointing(source); len(left) != 0 {
			t.Errorf("left behind: %v", left)
		}
		a = w.must(http.StatusOK, "admin", "GET", patientsPath+"/"+source, nil)
		a.want(t, o{"data.mergedInto": target, "data.active": false})
		// Both chapters of the history are told, and searches lead to who stays.
		w.must(http.StatusOK, "admin", "GET", patientsPath+"/"+source+"/history", nil).want(t, o{"data.history.0.operation": "merge"})
		w.must(http.StatusOK, "admin", "GET", patientsPath+"/"+target+"/merges", nil).want(t, o{"data.merges.0.sourceId": source})
		if got := w.look("admin", q("name", "Mohamed Elhassan")); !slices.Equal(got, []string{target}) {
			t.Errorf("a search finds %v", got)
		}
		// Nothing new is written about who was merged away, by either door.
		w.must(http.StatusConflict, "admin", "PUT", patientsPath+"/"+source, o{"city": "Kosti"}).want(t, o{"error.code": "PATIENT_MERGED"})
		w.must(http.StatusConflict, "admin", "POST", patientsPath+"/"+source+"/mrn", nil)
		a = w.do("d1", "POST", "/api/v1/encounters", o{"patientId": source, "type": "outpatient", "chiefComplaint": "cough"})
		if a.status != http.StatusConflict || !strings.Contains(a.raw, target) {
			t.Errorf("an encounter of who was merged away: %d %s", a.status, a.raw)
		}
		if err := w.putAs("d1", "Observation", "new", o{"status": "final", "code": o{"text": "pulse"}, "subject": to(source)}); !fault.Is(err, fault.Conflict) {
			t.Errorf("an observation by the FHIR API: %v", err)
		}
		if err := w.patchAs("admin", "Patient", source, func(r *fhir.Resource) { r.Set("gender", fhir.NewString("other")) }); !fault.Is(err, fault.Conflict) {
			t.Errorf("a patch of who was merged away: %v", err)
		}
		// The national id may go over to who stays, and then it is in the way of the way back.
		w.must(http.StatusConflict, "admin", "DELETE", patientsPath+"/"+target, nil).want(t, o{"error.code": "PATIENT_MERGED"})
		w.must(http.StatusOK, "admin", "PUT", patientsPath+"/"+target, o{"nationalId": "111111111"})
		w.must(http.StatusConflict, "admin", "POST", patientsPath+"/"+source+"/unmerge", nil).want(t, o{"error.code": "DUPLICATE_ENTRY"})
		w.must(http.StatusOK, "admin", "PUT", patientsPath+"/"+target, o{"nationalId": ""})

		extra := w.write("Observation", o{"status": "final", "code": o{"text": "pulse"}, "subject": to(target)})
		a = w.must(http.StatusOK, "admin", "POST", patientsPath+"/"+source+"/unmerge", o{"reason": "two persons after all"})
		a.want(t, o{"data.merge.restored": len(before), "data.merge.leftWithTarget": 0, "data.merge.unmergeReason": "two persons after all"})
		if got := w.pointing(source); !slices.Equal(got, before) {
			t.Errorf("after the way back %v, before %v", got, before)
		}
		if got := w.pointing(target); !slices.Equal(got, slices.Sorted(slices.Values(append(theirs, "Observation/"+extra+" 1")))) {
			t.Errorf("the target has %v, had %v", got, theirs)
		}
		w.must(http.StatusOK, "admin", "GET", patientsPath+"/"+source, nil).want(t, o{"data.mergedInto": nil, "data.active": true, "data.patient.allergies.0": "Penicillin"})
		w.must(http.StatusConflict, "admin", "POST", patientsPath+"/"+source+"/unmerge", nil).want(t, o{"error.code": "NOT_MERGED"})
		w.must(http.StatusOK, "admin", "GET", patientsPath+"/"+source+"/history", nil).want(t, o{"data.history.0.operation": "unmerge", "data.history.1.operation": "merge"})
		w.must(http.StatusOK, "admin", "PUT", patientsPath+"/"+source, o{"city": "Kosti"})
	})
}

func TestWhatCannotBeMerged(t *testing.T) {
	eachDesk(t, func(t *testing.T, w *ward) {
		a, b, c := w.enrol("Amna", "One"), w.enrol("Amna", "Two"), w.enrol("Amna", "Three")
		merge := func(status int, from, into string) *reply {
			t.Helper()
			return w.must(status, "admin", "POST", patientsPath+"/"+from+"/merge", o{"into": into})
		}
		merge(http.StatusBadRequest, a, a)
		merge(http.StatusUnprocessableEntity, a, "99")
		w.must(http.StatusBadRequest, "admin", "POST", patientsPath+"/"+a+"/merge", o{"into": b, "source": c})
		w.must(http.StatusBadRequest, "admin", "POST", patientsPath+"/"+a+"/merge", o{})
		merge(http.StatusOK, a, b)
		merge(http.StatusConflict, a, c).want(t, o{"error.code": "PATIENT_MERGED"})
		merge(http.StatusConflict, c, a).want(t, o{"error.code": "PATIENT_MERGED"}) // into whom was merged away
		merge(http.StatusConflict, b, a)                                            // the way back is no merge
		w.must(http.StatusConflict, "admin", "DELETE", patientsPath+"/"+b, nil).want(t, o{"error.code": "PATIENT_MERGED"})
		// A chain: who was merged into b is c's now.
		w.must(http.StatusOK, "admin", "POST", patientsPath+"/"+c+"/merge", o{"source": b})
		w.must(http.StatusOK, "admin", "GET", patientsPath+"/"+a, nil).want(t, o{"data.mergedInto": c})
		w.must(http.StatusConflict, "admin", "POST", patientsPath+"/"+a+"/unmerge", nil).want(t, o{"error.code": "PATIENT_MERGED"})
		w.must(http.StatusOK, "admin", "POST", patientsPath+"/"+b+"/unmerge", nil)
		w.must(http.StatusOK, "admin", "POST", patientsPath+"/"+a+"/unmerge", nil)
		// A link by hand is a merge by hand: not everybody's, and no circle.
		if err := w.patchAs("d1", "Patient", a, func(r *fhir.Resource) {
			must(t, flat.Set(r.Node, "link", []any{o{"type": "replaced-by", "other": to(b)}}))
		}); !fault.Is(err, fault.Forbidden) {
			t.Errorf("a link by a doctor: %v", err)
		}
		must(t, w.patchAs("admin", "Patient", a, func(r *fhir.Resource) {
			must(t, flat.Set(r.Node, "link", []any{o{"type": "replaced-by", "other": to(b)}}))
		}))
		if err := w.patchAs("admin", "Patient", b, func(r *fhir.Resource) {
			must(t, flat.Set(r.Node, "link", []any{o{"type": "replaced-by", "other": to(a)}}))
		}); !fault.Is(err, fault.Conflict) {
			t.Errorf("a circle: %v", err)
		}
	})
}

func TestTwoMergesOfOnePatientAreOne(t *testing.T) {
	eachDesk(t, func(t *testing.T, w *ward) {
		for range 4 {
			source, b, c := w.enrol("Race", "One"), w.enrol("Race", "Two"), w.enrol("Race", "Three")
			w.write("Observation", o{"status": "final", "code": o{"text": "pulse"}, "subject": to(source)})
			status := make([]int, 2)
			var all sync.WaitGroup
			for i, into := range []string{b, c} {
				all.Go(func() { status[i] = w.do("admin", "POST", patientsPath+"/"+source+"/merge", o{"into": into}).status })
			}
			all.Wait()
			slices.Sort(status)
			if !slices.Equal(status, []int{http.StatusOK, http.StatusConflict}) {
				t.Errorf("%v", status)
			}
			// Of two that are merged into each other one stays.
			x, y := w.enrol("Race", "Four"), w.enrol("Race", "Five")
			all.Go(func() { status[0] = w.do("admin", "POST", patientsPath+"/"+x+"/merge", o{"into": y}).status })
			all.Go(func() { status[1] = w.do("admin", "POST", patientsPath+"/"+y+"/merge", o{"into": x}).status })
			all.Wait()
			slices.Sort(status)
			if !slices.Equal(status, []int{http.StatusOK, http.StatusConflict}) {
				t.Errorf("each other: %v", status)
			}
		}
	})
}

// Whoever writes about a patient while it is merged is refused, or what was written comes along.
func TestNothingIsLeftBehindByAMerge(t *testing.T) {
	eachDesk(t, func(t *testing.T, w *ward) {
		for range 5 {
			source, target := w.enrol("Busy", "One"), w.enrol("Busy", "Two")
			begun := make(chan struct{})
			var all sync.WaitGroup
			var mu sync.Mutex
			written := 0
			for i := range 6 {
				all.Go(func() {
					for n := range 15 {
						if i == 0 && n == 3 {
							close(begun)
						}
						r := resource(t, "Observation", o{"status": "final", "code": o{"text": fmt.Sprint(i, n)}, "subject": to(source)})
						_, err := w.store.Write(w.as("d1"), []record.Change{{Op: record.Create, Type: "Observation", Resource: r}})
						switch {
						case err == nil:
							mu.Lock()
							written++
							mu.Unlock()
						case !fault.Is(err, fault.Conflict):
							t.Errorf("a write: %v", err)
						}
					}
				})
			}
			<-begun
			status := 0
			for try := 0; try < 20; try++ {
				if status = w.do("admin", "POST", patientsPath+"/"+source+"/merge", o{"into": target}).status; status == http.StatusOK {
					break
				}
			}
			all.Wait()
			if left := w.pointing(source); status != http.StatusOK || len(left) != 0 || len(w.pointing(target)) != written {
				t.Errorf("status %d: %d left behind, %d came of %d", status, len(left), len(w.pointing(target)), written)
			}
		}
	})
}

func TestAMergeAndItsUndoingChangeNothing(t *testing.T) {
	eachDesk(t, func(t *testing.T, w *ward) {
		kinds := []func(a, b string) (string, o){
			func(a, _ string) (string, o) {
				return "Observation", o{"status": "final", "code": o{"text": "x"}, "subject": to(a)}
			},
			func(a, b string) (string, o) {
				return "Observation", o{"status": "final", "code": o{"text": "x"}, "subject": to(b), "focus": []o{to(a), to(b), to(a)}}
			},
			func(a, b string) (string, o) {
				return "Appointment", o{"status": "booked", "participant": []o{{"actor": to(b), "status": "accepted"}, {"actor": to(a), "status": "accepted"}}}
			},
			func(a, _ string) (string, o) {
				return "Condition", o{"code": o{"text": "x"}, "subject": to(a), "clinicalStatus": o{"coding": []o{{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}}}}
			},
			func(a, b string) (string, o) {
				return "List", o{"status": "current", "mode": "working", "subject": to(a), "entry": []o{{"item": to(b)}, {"item": to(a)}}}
			},
			func(a, b string) (string, o) {
				return "Account", o{"status": "active", "subject": []o{to(b), to(a), {"reference": "Organization/f1"}}}
			},
			func(a, _ string) (string, o) {
				return "Provenance", o{"target": []o{to(a)}, "recorded": "2026-01-01T00:00:00Z", "agent": []o{{"who": o{"reference": "Practitioner/d1"}}}}
			},
		}
		rapid.Check(t, func(rt *rapid.T) {
			a, b := w.enrol("Law", "One"), w.enrol("Law", "Two")
			for range rapid.IntRange(0, 6).Draw(rt, "records") {
				typ, members := rapid.SampledFrom(kinds).Draw(rt, "kind")(a, b)
				if rapid.Bool().Draw(rt, "turned") {
					typ, members = rapid.SampledFrom(kinds).Draw(rt, "kind")(b, a)
				}
				w.write(typ, members)
			}
			mine, theirs := w.pointing(a), w.pointing(b)
			w.must(http.StatusOK, "admin", "POST", patientsPath+"/"+a+"/merge", o{"into": b})
			if left := slices.DeleteFunc(w.pointing(a), func(s string) bool { return strings.HasPrefix(s, "Provenance/") }); len(left) != 0 {
				rt.Fatalf("left behind: %v", left)
			}
			w.must(http.StatusOK, "admin", "POST", patientsPath+"/"+a+"/unmerge", nil)
			if x, y := w.pointing(a), w.pointing(b); !slices.Equal(x, mine) || !slices.Equal(y, theirs) {
				rt.Fatalf("source %v, was %v; target %v, was %v", x, mine, y, theirs)
			}
		})
	})
}

func TestWhatChangedSinceStaysWithTheTarget(t *testing.T) {
	eachDesk(t, func(t *testing.T, w *ward) {
		a, b, c := w.enrol("Since", "One"), w.enrol("Since", "Two"), w.enrol("Since", "Three")
		elsewhere, gone, stays := w.write("Observation", o{"status": "final", "code": o{"text": "x"}, "subject": to(a)}), w.write("Observation", o{"status": "final", "code": o{"text": "y"}, "subject": to(a)}),
			w.write("Observation", o{"status": "final", "code": o{"text": "z"}, "subject": to(a)})
		w.must(http.StatusOK, "admin", "POST", patientsPath+"/"+a+"/merge", o{"into": b})
		must(t, w.patchAs("system", "Observation", elsewhere, func(r *fhir.Resource) { must(t, flat.Set(r.Node, "subject", to(c))) }))
		must(t, w.records.Delete(w.as("system"), "Observation", gone))
		w.must(http.StatusOK, "admin", "POST", patientsPath+"/"+a+"/unmerge", nil).want(t, o{"data.merge.restored": 1, "data.merge.leftWithTarget": 2})
		if got := w.pointing(a); !slices.Equal(got, []string{"Observation/" + stays + " 1"}) {
			t.Errorf("%v", got)
		}
	})
}

func TestAMergeIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("writes some thousand records")
	}
	eachDesk(t, func(t *testing.T, w *ward) {
		a, b := w.enrol("Many", "One"), w.enrol("Many", "Two")
		for range 11 {
			var set []record.Change
			for range 500 {
				set = append(set, record.Change{Op: record.Create, Type: "Observation", Resource: resource(t, "Observation", o{"status": "final", "code": o{"text": "x"}, "subject": to(a)})})
			}
			_, err := w.store.Write(access.With(context.Background(), access.System(1)), set)
			must(t, err)
		}
		w.must(http.StatusUnprocessableEntity, "admin", "POST", patientsPath+"/"+a+"/merge", o{"into": b})
		w.must(http.StatusOK, "admin", "POST", patientsPath+"/"+b+"/merge", o{"into": a}).want(t, o{"data.merge.moved": 0})
	})
}

func TestEventsTellNothingPersonal(t *testing.T) {
	eachDesk(t, func(t *testing.T, w *ward) {
		a, b := w.enrol("Secret", "Name", o{"phone": "0912345678"}), w.enrol("Other", "Name")
		w.must(http.StatusOK, "admin", "PUT", patientsPath+"/"+a, o{"city": "Kosti"})
		w.must(http.StatusOK, "admin", "POST", patientsPath+"/"+a+"/merge", o{"into": b})
		w.must(http.StatusOK, "admin", "POST", patientsPath+"/"+a+"/unmerge", nil)
		w.must(http.StatusOK, "admin", "DELETE", patientsPath+"/"+a, nil)
		kinds, text := w.factsAbout(t, a)
		for _, k := range []string{"patient.created", "patient.updated", "patient.merged", "patient.unmerged", "patient.deleted"} {
			if !slices.Contains(kinds, k) {
				t.Errorf("%s is not told: %v", k, kinds)
			}
		}
		for _, s := range []string{"Secret", "Name", "0912345678", "Kosti"} {
			if strings.Contains(text, s) {
				t.Errorf("%s is told: %s", s, text)
			}
		}
	})
}
