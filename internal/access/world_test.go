package access_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/search"
)

// world is a set of resources that conditions are decided on.
type world []*search.Doc

func (w world) Doc(typ, id string) (*search.Doc, error) {
	for _, d := range w {
		if d.Type == typ && d.ID == id {
			return d, nil
		}
	}
	return nil, nil
}

func (w world) Referrers(typ string, atoms []search.AtomRef, targetType, targetID string) ([]*search.Doc, error) {
	var out []*search.Doc
	for _, d := range w {
		if d.Type == typ && search.Refers(d.Values, atoms, targetType, targetID) {
			out = append(out, d)
		}
	}
	return out, nil
}

type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

func doc(t fataler, text string) *search.Doc {
	t.Helper()
	r, err := fhir.ParseResource([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return &search.Doc{Resource: r, Type: r.Type(), ID: r.ID(), Updated: time.UnixMicro(0), Values: search.Extract(r, "")}
}

// may decides whether an extent holds a resource.
func may(t fataler, e access.Extent, d *search.Doc, w world) bool {
	t.Helper()
	if e.IsAll() || e.IsNone() {
		return e.IsAll()
	}
	ok, err := search.Match(e.Pred(), d, w)
	if err != nil {
		t.Fatalf("%s/%s: %v", d.Type, d.ID, err)
	}
	return ok
}

// sample is a small hospital: two patients, each with a team, an encounter and results.
func sample(t testing.TB) world {
	t.Helper()
	var w world
	for _, line := range strings.Split(strings.TrimSpace(sampleText), "\n") {
		w = append(w, doc(t, line))
	}
	return w
}

func (w world) get(t testing.TB, ref string) *search.Doc {
	t.Helper()
	typ, id, _ := strings.Cut(ref, "/")
	d, _ := w.Doc(typ, id)
	if d == nil {
		t.Fatalf("the sample has no %s", ref)
	}
	return d
}

const sampleText = `
{"resourceType":"Patient","id":"1","managingOrganization":{"reference":"Organization/a"},"generalPractitioner":[{"reference":"Practitioner/gp"}]}
{"resourceType":"Patient","id":"2","managingOrganization":{"reference":"Organization/b"}}
{"resourceType":"Patient","id":"3","meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"V"}]}}
{"resourceType":"Patient","id":"4","generalPractitioner":[{"reference":"Organization/a"}]}
{"resourceType":"Observation","id":"secret4","meta":{"security":[{"code":"R"}]},"status":"final","subject":{"reference":"Patient/4"},"code":{"coding":[{"system":"http://loinc.org","code":"75622-1"}]}}
{"resourceType":"CareTeam","id":"t1","status":"active","subject":{"reference":"Patient/1"},"participant":[{"member":{"reference":"Practitioner/team"}}]}
{"resourceType":"CareTeam","id":"old","status":"inactive","subject":{"reference":"Patient/1"},"participant":[{"member":{"reference":"Practitioner/gone"}}]}
{"resourceType":"Encounter","id":"e1","status":"in-progress","class":{"code":"AMB"},"subject":{"reference":"Patient/1"},"location":[{"location":{"reference":"Location/ward1"}}]}
{"resourceType":"Encounter","id":"e2","status":"in-progress","class":{"code":"AMB"},"subject":{"reference":"Patient/2"},"location":[{"location":{"reference":"Location/ward2"}}]}
{"resourceType":"Observation","id":"lab1","status":"final","subject":{"reference":"Patient/1"},"category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"laboratory"}]}],"code":{"coding":[{"system":"http://loinc.org","code":"718-7"}]}}
{"resourceType":"Observation","id":"vital1","status":"final","subject":{"reference":"Patient/1"},"category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"vital-signs"}]}],"code":{"coding":[{"system":"http://loinc.org","code":"8867-4"}]}}
{"resourceType":"Observation","id":"lab2","status":"final","subject":{"reference":"Patient/2"},"category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"laboratory"}]}],"code":{"coding":[{"system":"http://loinc.org","code":"718-7"}]}}
{"resourceType":"Observation","id":"secret1","meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"R"}]},"status":"final","subject":{"reference":"Patient/1"},"code":{"coding":[{"system":"http://loinc.org","code":"75622-1"}]}}
{"resourceType":"Condition","id":"c1","subject":{"reference":"Patient/1"}}
{"resourceType":"Appointment","id":"a1","status":"booked","participant":[{"actor":{"reference":"Patient/1"},"status":"accepted"}]}
{"resourceType":"Appointment","id":"a2","status":"booked","participant":[{"actor":{"reference":"Patient/2"},"status":"accepted"}]}
{"resourceType":"Appointment","id":"done1","status":"fulfilled","participant":[{"actor":{"reference":"Patient/1"},"status":"accepted"}]}
{"resourceType":"Consent","id":"k1","status":"active","patient":{"reference":"Patient/1"}}
{"resourceType":"Consent","id":"k2","status":"active","patient":{"reference":"Patient/2"}}
{"resourceType":"Task","id":"k1","status":"requested","intent":"order","for":{"reference":"Patient/1"}}
{"resourceType":"Task","id":"k2","status":"requested","intent":"order","for":{"reference":"Patient/2"}}
{"resourceType":"Group","id":"g","type":"person","actual":true,"member":[{"entity":{"reference":"Patient/1"}},{"entity":{"reference":"Patient/2"}}]}
{"resourceType":"Binary","id":"b","contentType":"text/plain"}
{"resourceType":"Practitioner","id":"team"}
{"resourceType":"Practitioner","id":"gp"}
{"resourceType":"Organization","id":"a"}
{"resourceType":"Organization","id":"b"}
{"resourceType":"Location","id":"ward1"}
{"resourceType":"Location","id":"ward2"}
{"resourceType":"Schedule","id":"s","actor":[{"reference":"Practitioner/gp"}]}
{"resourceType":"Slot","id":"s","schedule":{"reference":"Schedule/s"},"status":"free","start":"2026-01-01T08:00:00Z","end":"2026-01-01T08:30:00Z"}
{"resourceType":"Invoice","id":"i1","status":"issued","subject":{"reference":"Patient/1"}}
{"resourceType":"Device","id":"d1","patient":{"reference":"Patient/1"}}
{"resourceType":"Device","id":"d2","patient":{"reference":"Patient/2"}}
`
