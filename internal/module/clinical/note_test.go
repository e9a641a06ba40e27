package clinical_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/record"
)

// soap writes a draft of a SOAP note as d1 and returns its id.
func (w *ward) soap() string {
	w.t.Helper()
	e := w.encounter("p1", o{"status": "in_progress"})
	return w.must(http.StatusCreated, "d1", "POST", "/api/v1/soap-notes", o{"patientId": w.key("Patient", "p1"), "encounterId": e, "subjective": "Cough for 3 days",
		"objective": "T 38.2 <script>alert(1)</script> & chest clear", "assessment": "Viral infection\nno pneumonia", "plan": "Rest", "vitalSigns": o{"bloodPressure": "120/80"}}).text("data.id")
}

func TestANoteFromDraftToAmendment(t *testing.T) {
	eachWard(t, func(t *testing.T, w *ward) {
		id := w.soap()
		at := "/api/v1/soap-notes/" + id
		a := w.must(http.StatusOK, "d1", "GET", at, nil)
		a.want(t, o{"data.status": "draft", "data.type": "soap", "data.authorName": "Amna Osman", "data.note.plan": "Rest", "data.signedAt": nil,
			"data.objective": "T 38.2 <script>alert(1)</script> & chest clear", "data.assessment": "Viral infection\nno pneumonia"})
		w.must(http.StatusOK, "d1", "PUT", at, o{"plan": "Rest and fluids"}).want(t, o{"data.plan": "Rest and fluids", "data.subjective": "Cough for 3 days", "data.version": 2})
		w.must(http.StatusForbidden, "d2", "PUT", at, o{"plan": "Antibiotics"}) // a draft is its author's
		w.must(http.StatusConflict, "d1", "POST", at+"/amend", o{"plan": "x", "reason": "y"})
		w.must(http.StatusPreconditionFailed, "d1", "POST", at+"/finalize", o{"version": 1})
		w.must(http.StatusForbidden, "n1", "POST", at+"/finalize", nil)
		w.must(http.StatusForbidden, "admin", "POST", at+"/finalize", nil).want(t, o{"error.code": "NO_PRACTITIONER"})
		w.must(http.StatusOK, "d1", "POST", at+"/finalize", nil).want(t, o{"data.status": "final", "data.signedByName": "Amna Osman", "data.attesters.0.mode": "legal"})
		w.must(http.StatusConflict, "d1", "POST", at+"/finalize", nil).want(t, o{"error.code": "NOTE_SIGNED"})
		w.must(http.StatusConflict, "d1", "PUT", at, o{"plan": "x"}).want(t, o{"error.code": "NOTE_SIGNED"})
		w.must(http.StatusBadRequest, "d1", "POST", at+"/amend", o{"plan": "x"})
		w.must(http.StatusBadRequest, "d1", "POST", at+"/amend", o{"plan": "Rest and fluids", "reason": "nothing"})
		w.must(http.StatusOK, "d2", "POST", at+"/amend", o{"assessment": "Influenza A", "reason": "test came back"}).want(t, o{"data.status": "amended", "data.assessment": "Influenza A",
			"data.amendments.0.reason": "test came back", "data.attesters.1.name": "Amna Idris", "data.plan": "Rest and fluids"})
		v := w.must(http.StatusOK, "d1", "GET", at+"/versions", nil)
		v.want(t, o{"data.versions.0.status": "amended", "data.versions.0.changed.1.field": "assessment", "data.versions.0.changed.1.before": "Viral infection\nno pneumonia",
			"data.versions.0.changed.1.after": "Influenza A", "data.versions.1.changed.0.field": "status", "data.versions.2.changed.0.field": "plan"})
		if v.len("data.versions") != 4 {
			t.Error(v.raw)
		}
		w.must(http.StatusOK, "d1", "DELETE", at, nil).want(t, o{"data.status": "entered_in_error", "data.assessment": "Influenza A"})
		w.must(http.StatusConflict, "d1", "POST", at+"/amend", o{"plan": "x", "reason": "y"})
	})
}

func TestASOAPNoteIsSignedWhole(t *testing.T) {
	eachWard(t, func(t *testing.T, w *ward) {
		e := w.encounter("p1", nil)
		p1 := w.key("Patient", "p1")
		w.must(http.StatusBadRequest, "d1", "POST", "/api/v1/soap-notes", o{"patientId": p1, "subjective": "x"}) // no encounter
		w.must(http.StatusBadRequest, "d1", "POST", "/api/v1/soap-notes", o{"patientId": p1, "encounterId": e, "subjective": " "})
		w.must(http.StatusBadRequest, "d1", "POST", "/api/v1/soap-notes", o{"patientId": p1, "encounterId": e, "subjective": "a\u0007b"})
		w.must(http.StatusUnprocessableEntity, "d1", "POST", "/api/v1/soap-notes", o{"patientId": w.key("Patient", "p2"), "encounterId": e, "subjective": "x"})
		id := w.must(http.StatusCreated, "d1", "POST", "/api/v1/soap-notes", o{"patientId": p1, "encounterId": e, "subjective": "x"}).text("data.id")
		r := w.must(http.StatusUnprocessableEntity, "d1", "POST", "/api/v1/soap-notes/"+id+"/finalize", nil)
		if !strings.Contains(r.raw, "objective") {
			t.Error(r.raw)
		}
	})
}

func TestWhoMaySignWhichKindOfNote(t *testing.T) {
	eachWard(t, func(t *testing.T, w *ward) {
		p1 := w.key("Patient", "p1")
		id := w.must(http.StatusCreated, "n1", "POST", "/api/v1/progress-notes", o{"patientId": p1, "content": "Slept well"}).text("data.id")
		w.must(http.StatusNotFound, "d1", "GET", "/api/v1/soap-notes/"+id, nil)
		w.must(http.StatusOK, "n1", "POST", "/api/v1/progress-notes/"+id+"/finalize", nil).want(t, o{"data.signedByName": "Amna Bakri"})
		w.must(http.StatusForbidden, "n1", "POST", "/api/v1/soap-notes", o{"patientId": p1})
		w.must(http.StatusForbidden, "n1", "POST", "/api/v1/notes", o{"patientId": p1, "type": "discharge", "hospitalCourse": "short"})
		d := w.must(http.StatusCreated, "d1", "POST", "/api/v1/notes", o{"patientId": p1, "type": "discharge", "hospitalCourse": "short", "sections": []o{{"title": "Medicines", "text": "none"}}})
		d.want(t, o{"data.hospitalCourse": "short", "data.sections.0.title": "Medicines", "data.title": "Discharge summary"})
		w.must(http.StatusForbidden, "n1", "POST", "/api/v1/notes/"+d.text("data.id")+"/sign", nil)
		w.must(http.StatusOK, "d1", "POST", "/api/v1/notes/"+d.text("data.id")+"/sign", nil)
		// The FHIR door asks the same: a nurse's update that makes a doctor's draft final is refused.
		soap := w.soap()
		err := w.patchAs("n1", "Composition", soap, func(n *fhir.Resource) { sign(n, "n1") })
		if !fault.Is(err, fault.Forbidden) {
			t.Error(err)
		}
	})
}

func sign(n *fhir.Resource, by string) {
	n.Set("status", fhir.NewString("final"))
	attestAs(n, by)
}

func attestAs(n *fhir.Resource, by string) {
	one := fhir.NewObject().Set("mode", fhir.NewString("legal")).Set("time", fhir.NewString("2026-11-25T10:00:00Z")).
		Set("party", fhir.NewObject().Set("reference", fhir.NewString("Practitioner/"+by)))
	if list := n.Get("attester"); list != nil {
		list.Append(one)
		return
	}
	n.Set("attester", fhir.NewArray(one))
}

func retell(n *fhir.Resource, text string) {
	n.Get("section").First().Get("text").Set("div", fhir.NewString(`<div xmlns="http://www.w3.org/1999/xhtml">`+text+`</div>`))
}

// TestASignedNoteWithstandsTheFHIRDoor attacks a signed note by what the FHIR API can send: patches, updates, sets, deletes.
func TestASignedNoteWithstandsTheFHIRDoor(t *testing.T) {
	attacks := map[string]struct {
		who  string
		f    func(*fhir.Resource)
		kind fault.Kind
	}{
		"another text":                   {"d1", func(n *fhir.Resource) { retell(n, "forged") }, fault.Conflict},
		"another text, signed once more": {"d1", func(n *fhir.Resource) { retell(n, "forged"); attestAs(n, "d1") }, fault.Conflict},
		"back to a draft":                {"d1", func(n *fhir.Resource) { n.Set("status", fhir.NewString("preliminary")) }, fault.Conflict},
		"another patient":                {"d1", func(n *fhir.Resource) { n.Path("subject").Set("reference", fhir.NewString("Patient/p2")) }, fault.Conflict},
		"another author":                 {"d1", func(n *fhir.Resource) { n.Get("author").First().Set("reference", fhir.NewString("Practitioner/d2")) }, fault.Conflict},
		"another date":                   {"d1", func(n *fhir.Resource) { n.Set("date", fhir.NewString("2020-01-01")) }, fault.Conflict},
		"no attester":                    {"d1", func(n *fhir.Resource) { n.Delete("attester") }, fault.Conflict},
		"another attester":               {"d1", func(n *fhir.Resource) { n.Delete("attester"); attestAs(n, "d1") }, fault.Conflict},
		"a section more":                 {"d1", func(n *fhir.Resource) { n.Get("section").Append(fhir.NewObject().Set("title", fhir.NewString("More"))) }, fault.Conflict},
		"an extension":                   {"d1", func(n *fhir.Resource) { _ = flat.Set(n.Node, "extension", []o{{"url": "urn:x", "valueString": "x"}}) }, fault.Conflict},
		"a title on the status": {"d1", func(n *fhir.Resource) {
			_ = flat.Set(n.Node, "_status", o{"extension": []o{{"url": "urn:x", "valueString": "x"}}})
		}, fault.Conflict},
		"amended without signature": {"d1", func(n *fhir.Resource) { retell(n, "forged"); n.Set("status", fhir.NewString("amended")) }, fault.Conflict},
		"amended in another's name": {"d2", func(n *fhir.Resource) {
			retell(n, "forged")
			n.Set("status", fhir.NewString("amended"))
			attestAs(n, "d1")
		}, fault.Forbidden},
		"amended by a nurse": {"n1", func(n *fhir.Resource) {
			retell(n, "forged")
			n.Set("status", fhir.NewString("amended"))
			attestAs(n, "n1")
		}, fault.Forbidden},
		"amended, saying the same": {"d1", func(n *fhir.Resource) { n.Set("status", fhir.NewString("amended")); attestAs(n, "d1") }, fault.Unprocessable},
		"amended and moved": {"d1", func(n *fhir.Resource) {
			retell(n, "x")
			n.Set("status", fhir.NewString("amended"))
			attestAs(n, "d1")
			n.Delete("encounter")
		}, fault.Conflict},
		"a signature in another's name":    {"d2", func(n *fhir.Resource) { attestAs(n, "d1") }, fault.Forbidden},
		"taken back by who did not write":  {"n1", func(n *fhir.Resource) { n.Set("status", fhir.NewString("entered-in-error")) }, fault.Forbidden},
		"taken back with another text":     {"d1", func(n *fhir.Resource) { retell(n, "x"); n.Set("status", fhir.NewString("entered-in-error")) }, fault.Conflict},
		"by an administrator without hand": {"admin", func(n *fhir.Resource) { retell(n, "forged") }, fault.Conflict},
		"by the program itself":            {"system", func(n *fhir.Resource) { retell(n, "forged") }, fault.Conflict},
	}
	eachWard(t, func(t *testing.T, w *ward) {
		id := w.soap()
		w.must(http.StatusOK, "d1", "POST", "/api/v1/soap-notes/"+id+"/finalize", nil)
		before := string(w.read("Composition", id).AppendJSON(nil))
		for name, a := range attacks {
			if err := w.patchAs(a.who, "Composition", id, a.f); !fault.Is(err, a.kind) {
				t.Errorf("PATCH, %s: %v, want %s", name, err, a.kind)
			}
			changed := w.read("Composition", id)
			a.f(changed)
			_, err := w.store.Write(w.as(a.who), []record.Change{
				{Op: record.Create, Type: "Basic", Resource: resource(t, "Basic", o{"code": o{"text": "x"}, "subject": o{"reference": "Patient/p1"}})},
				{Op: record.Update, Type: "Composition", ID: id, Resource: changed}})
			if !fault.Is(err, a.kind) {
				t.Errorf("a set, %s: %v, want %s", name, err, a.kind)
			}
		}
		for _, who := range []string{"d1", "admin"} {
			if _, err := w.store.Write(w.as(who), []record.Change{{Op: record.Delete, Type: "Composition", ID: id}}); !fault.Is(err, fault.Conflict) {
				t.Errorf("%s deleted a signed note: %v", who, err)
			}
		}
		if after := string(w.read("Composition", id).AppendJSON(nil)); after != before {
			t.Errorf("the note changed:\n%s\n%s", before, after)
		}
		// What may be: a label, and the author's own amendment.
		if err := w.patchAs("d1", "Composition", id, func(n *fhir.Resource) {
			_ = flat.Set(n.Get("meta"), "tag", []o{{"system": "urn:x", "code": "x"}})
		}); err != nil {
			t.Error(err)
		}
		if err := w.patchAs("d1", "Composition", id, func(n *fhir.Resource) {
			retell(n, "right")
			n.Set("status", fhir.NewString("amended"))
			attestAs(n, "d1")
		}); err != nil {
			t.Error(err)
		}
	})
}

// TestNobodyWritesInAnothersName attacks by creating notes.
func TestNobodyWritesInAnothersName(t *testing.T) {
	note := func(author, status string) o {
		n := o{"status": status, "type": o{"text": "Note"}, "subject": o{"reference": "Patient/p1"}, "date": "2026-01-01", "author": []o{{"reference": "Practitioner/" + author}}, "title": "x"}
		return n
	}
	signed := func(n o, by string) o {
		n["attester"] = []o{{"mode": "legal", "time": "2026-01-01T10:00:00Z", "party": o{"reference": "Practitioner/" + by}}}
		return n
	}
	eachWard(t, func(t *testing.T, w *ward) {
		for name, c := range map[string]struct {
			who  string
			note o
			kind fault.Kind
		}{
			"a draft of another":          {"d1", note("d2", "preliminary"), fault.Forbidden},
			"a final note of another":     {"d1", signed(note("d2", "final"), "d2"), fault.Forbidden},
			"signed by another":           {"d1", signed(note("d1", "final"), "d2"), fault.Forbidden},
			"final without a signature":   {"d1", note("d1", "final"), fault.Unprocessable},
			"a draft with a signature":    {"d1", signed(note("d1", "preliminary"), "d1"), fault.Unprocessable},
			"signed without a permission": {"n1", signed(note("n1", "final"), "n1"), fault.Forbidden},
		} {
			if err := w.putAs(c.who, "Composition", "x", c.note); !fault.Is(err, c.kind) {
				t.Errorf("%s: %v, want %s", name, err, c.kind)
			}
		}
		for who, n := range map[string]o{"d1": signed(note("d1", "final"), "d1"), "admin": signed(note("d2", "final"), "d2"), "system": note("d2", "final")} {
			if err := w.putAs(who, "Composition", "by-"+who, n); err != nil {
				t.Error(who, err)
			}
		}
		w.put("Composition", "draft", note("d1", "preliminary"))
		if _, err := w.store.Write(w.as("d2"), []record.Change{{Op: record.Delete, Type: "Composition", ID: "draft"}}); err != nil {
			t.Error("a doctor has soap-notes:delete:", err)
		}
	})
}

// TestOfManySignersOneSigns has several doctors sign one draft at the same time, and its author change it meanwhile.
func TestOfManySignersOneSigns(t *testing.T) {
	eachWard(t, func(t *testing.T, w *ward) {
		for range 5 {
			id := w.soap()
			at := "/api/v1/soap-notes/" + id
			var wg sync.WaitGroup
			status := make([]int, 8)
			for i := range status {
				wg.Go(func() {
					if i%4 == 3 {
						w.do("d1", "PUT", at, o{"plan": "changed"})
						return
					}
					status[i] = w.do([]string{"d1", "d2"}[i%2], "POST", at+"/finalize", nil).status
				})
			}
			wg.Wait()
			signed := 0
			for i, s := range status {
				switch s {
				case http.StatusOK:
					signed++
				case http.StatusConflict, 0:
				default:
					t.Errorf("signer %d: %d", i, s)
				}
			}
			n := w.read("Composition", id)
			if signed != 1 || len(flat.Items(n.Get("attester"))) != 1 || n.Str("status") != "final" {
				t.Errorf("%d signed: %s", signed, n.AppendJSON(nil))
			}
		}
	})
}

func TestASecondSignatureIsAskedForAndGivenOnce(t *testing.T) {
	eachWard(t, func(t *testing.T, w *ward) {
		id := w.soap()
		at := "/api/v1/soap-notes/" + id
		d2 := w.key("Practitioner", "d2")
		w.must(http.StatusConflict, "d1", "POST", at+"/request-cosign", o{"providerId": d2}) // it is a draft
		w.must(http.StatusOK, "d1", "POST", at+"/finalize", nil)
		w.must(http.StatusConflict, "d2", "POST", at+"/cosign", nil).want(t, o{"error.code": "NOT_REQUESTED"})
		w.must(http.StatusCreated, "d1", "POST", at+"/request-cosign", o{"providerId": d2}).want(t, o{"data.cosignersAsked.0": d2})
		w.must(http.StatusConflict, "d1", "POST", at+"/request-cosign", o{"providerId": d2})
		w.must(http.StatusOK, "d2", "GET", "/api/v1/notes/to-cosign", nil).want(t, o{"data.notes.0.id": id})
		w.must(http.StatusConflict, "d1", "POST", at+"/cosign", nil)
		var wg sync.WaitGroup
		var mu sync.Mutex
		got := map[int]int{}
		for range 4 {
			wg.Go(func() {
				s := w.do("d2", "POST", at+"/cosign", nil).status
				mu.Lock()
				got[s]++
				mu.Unlock()
			})
		}
		wg.Wait()
		if got[http.StatusOK] != 1 || got[http.StatusConflict] != 3 {
			t.Error(got)
		}
		a := w.must(http.StatusOK, "d1", "GET", at, nil)
		a.want(t, o{"data.attesters.1.mode": "professional", "data.attesters.1.name": "Amna Idris", "data.signedByName": "Amna Osman", "data.status": "final", "data.cosignersAsked": nil})
		if a.len("data.attesters") != 2 || w.must(http.StatusOK, "d2", "GET", "/api/v1/notes/to-cosign", nil).len("data.notes") != 0 {
			t.Error(a.raw)
		}
	})
}

func TestNotesAreFoundAndCounted(t *testing.T) {
	eachWard(t, func(t *testing.T, w *ward) {
		p1 := w.key("Patient", "p1")
		first, second := w.soap(), w.soap()
		w.must(http.StatusCreated, "n1", "POST", "/api/v1/progress-notes", o{"patientId": p1, "content": "Slept well"})
		w.must(http.StatusOK, "d1", "POST", "/api/v1/soap-notes/"+first+"/finalize", nil)
		for path, want := range map[string]int{"/api/v1/soap-notes": 2, "/api/v1/soap-notes?status=draft": 1, "/api/v1/soap-notes/patient/" + p1: 2, "/api/v1/notes": 3, "/api/v1/notes?type=progress": 1,
			"/api/v1/notes?authorId=" + w.key("Practitioner", "n1"): 1, "/api/v1/soap-notes?patientId=" + w.key("Patient", "p2"): 0} {
			if a := w.must(http.StatusOK, "d1", "GET", path, nil); a.len("data.notes") != want {
				t.Errorf("%s: %d, want %d", path, a.len("data.notes"), want)
			}
		}
		w.must(http.StatusOK, "d1", "POST", "/api/v1/soap-notes/search", o{"status": []string{"final"}, "patientId": p1}).want(t, o{"data.notes.0.id": first, "pagination.total": 1})
		w.must(http.StatusBadRequest, "d1", "POST", "/api/v1/soap-notes/search", o{"status": []string{"asleep"}})
		w.must(http.StatusOK, "d1", "GET", "/api/v1/soap-notes/statistics?patientId="+p1, nil).want(t, o{"data.total": 2, "data.drafts": 1, "data.final": 1})
		w.must(http.StatusNotFound, "d1", "GET", "/api/v1/soap-notes/"+first+"/else", nil)
		w.must(http.StatusForbidden, "desk", "GET", "/api/v1/soap-notes", nil)
		page := w.must(http.StatusOK, "d1", "GET", "/api/v1/export/soap-note/"+second+"/html", nil)
		if strings.Contains(page.raw, "<script>") || !strings.Contains(page.raw, "&lt;script&gt;") || !strings.Contains(page.header.Get("Content-Security-Policy"), "sandbox") {
			t.Error(page.raw)
		}
		if f := w.must(http.StatusOK, "d1", "GET", "/api/v1/export/soap-note/"+second+"/fhir", nil); f.text("resourceType") != "Composition" {
			t.Error(f.raw)
		}
	})
}

// TestPatientsReadWhatWasSigned holds that a draft is not for the patient's eyes, through either door.
func TestPatientsReadWhatWasSigned(t *testing.T) {
	eachWard(t, func(t *testing.T, w *ward) {
		id := w.soap()
		see := func() int { return w.must(http.StatusOK, "p1", "GET", "/api/v1/notes", nil).len("data.notes") }
		if see() != 0 {
			t.Error("a patient saw a draft")
		}
		if _, err := w.records.Read(w.as("p1"), "Composition", id); !fault.Is(err, fault.NotFound) {
			t.Error("a patient read a draft:", err)
		}
		w.must(http.StatusOK, "d1", "POST", "/api/v1/soap-notes/"+id+"/finalize", nil)
		if see() != 1 {
			t.Error("a patient does not see a signed note")
		}
		w.must(http.StatusOK, "p1", "GET", "/api/v1/notes/"+id, nil).want(t, o{"data.plan": "Rest", "data.cosignersAsked": nil})
		w.must(http.StatusForbidden, "p1", "POST", "/api/v1/notes/"+id+"/sign", nil)
	})
}

// TestAMergeCarriesSignedNotesAndAllergiesAlong merges two records of one person: what was signed comes along as it was, what both were allergic to stands
// twice until somebody ends one, and undoing it brings all back.
func TestAMergeCarriesSignedNotesAndAllergiesAlong(t *testing.T) {
	eachWard(t, func(t *testing.T, w *ward) {
		p1, p2 := w.key("Patient", "p1"), w.key("Patient", "p2")
		id := w.soap()
		w.must(http.StatusOK, "d1", "POST", "/api/v1/soap-notes/"+id+"/finalize", nil)
		var allergies []string
		for _, p := range []string{p1, p2} {
			allergies = append(allergies, w.must(http.StatusCreated, "d1", "POST", "/api/v1/allergies", o{"patientId": p, "allergen": "Latex"}).text("data.id"))
		}
		w.must(http.StatusOK, "admin", "POST", "/api/v1/patients/"+p1+"/merge", o{"into": p2, "reason": "registered twice"})
		a := w.must(http.StatusOK, "d1", "GET", "/api/v1/soap-notes/"+id, nil)
		a.want(t, o{"data.patientId": p2, "data.status": "final", "data.plan": "Rest", "data.signedByName": "Amna Osman"})
		l := w.must(http.StatusOK, "d1", "GET", "/api/v1/patients/"+p2+"/allergies", nil)
		if l.len("data.allergies") != 2 {
			t.Error(l.raw)
		}
		w.must(http.StatusConflict, "d1", "POST", "/api/v1/allergies", o{"patientId": p2, "allergen": "latex"})
		w.must(http.StatusOK, "d1", "PUT", "/api/v1/allergies/"+allergies[0], o{"notes": "seen at both desks"})
		w.must(http.StatusOK, "d1", "PUT", "/api/v1/allergies/"+allergies[0], o{"status": "inactive"})
		w.must(http.StatusConflict, "d1", "PUT", "/api/v1/allergies/"+allergies[0], o{"status": "active"})
		w.must(http.StatusOK, "admin", "POST", "/api/v1/patients/"+p1+"/unmerge", o{"reason": "two people after all"})
		w.must(http.StatusOK, "d1", "GET", "/api/v1/soap-notes/"+id, nil).want(t, o{"data.patientId": p1, "data.status": "final"})
	})
}
