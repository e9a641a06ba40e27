package conformance

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/fhir/def"
)

// syntheticPatients is how many Bundles of synthetic patients stand beside the examples where engines are compared: enough
// that searches are driven by an index rather than by sorting all matches.
const syntheticPatients = 25

// asked are the searches that both engines must answer alike, besides those by the examples' values.
var asked = []string{
	// Numbers decide the order where nothing else does; pages of several sizes hold the same.
	"Patient", "Patient?_count=1", "Patient?_count=7&_total=accurate", "Patient?_count=1000", "Patient?_summary=count", "Observation?_count=0",
	"Observation?_count=200", "?_type=Patient,Practitioner,Organization&_count=9", "?_type=Patient,Observation&_total=accurate&_count=50",

	// Sorting: strings, codes, dates, numbers, quantities, references, what is blind, what is missing, several keys.
	"Patient?_sort=family&_count=11", "Patient?_sort=-family&_count=11", "Patient?_sort=family,-birthdate&_count=6", "Patient?_sort=birthdate&_count=10",
	"Patient?_sort=-birthdate&_count=10", "Patient?_sort=name&_count=13", "Patient?_sort=gender,birthdate&_count=8", "Patient?_sort=address-city&_count=10",
	"Patient?_sort=-address-city,family&_count=10", "Patient?_sort=identifier&_count=10", "Patient?_sort=organization&_count=20", "Patient?_sort=death-date",
	"Patient?_sort=-death-date&_count=4", "Patient?_sort=_id&_count=30", "Patient?_sort=-_id&_count=30", "Patient?_sort=_lastUpdated&_count=12",
	"Patient?_sort=-_lastUpdated&_count=12", "Observation?_sort=date&_count=100", "Observation?_sort=-date&_count=100", "Observation?_sort=-date&_count=1000",
	"Observation?_sort=date&_count=1000", "Observation?_sort=value-quantity&_count=50", "Observation?_sort=-value-quantity&_count=50",
	"Observation?_sort=code,date&_count=50", "Observation?_sort=subject&_count=50", "Observation?_sort=-subject,-date&_count=50",
	"Observation?_sort=status,_id&_count=50", "RiskAssessment?_sort=probability&_count=2",
	"RiskAssessment?_sort=-probability&_count=2", "ValueSet?_sort=name&_count=100", "ValueSet?_sort=-name&_count=100", "ValueSet?_sort=url&_count=100",
	"ValueSet?_sort=-url,_id&_count=200", "StructureDefinition?_sort=title,-date&_count=100", "SearchParameter?_sort=base,code&_count=100",
	"Encounter?_sort=date&_count=40", "Encounter?_sort=-date,status&_count=40", "Encounter?_sort=length&_count=10", "?_type=Patient,Practitioner&_sort=_id&_count=20",
	"?_type=Patient,Practitioner&_sort=-_lastUpdated&_count=20", "Claim?_sort=created&_count=25", "Immunization?_sort=date,patient&_count=25",

	// Conditions and orders together: few matches, many, none.
	"Observation?status=final&_sort=-date&_count=100", "Observation?status=final&_sort=date&_count=1000", "Observation?code=http://loinc.org|8302-2&_sort=date&_count=10",
	"Observation?code=8302-2,29463-7&_sort=-date&_count=20", "Observation?category=vital-signs&_sort=-value-quantity&_count=20",
	"Observation?category=laboratory&date=ge2010&_sort=date&_count=50", "Observation?category:not=laboratory&_sort=-date&_count=50",
	"Observation?date=2012&_sort=-date", "Observation?date=ge2010-01-01&date=lt2012-01-01&_sort=date&_count=30&_total=accurate", "Observation?date=lt2000&_sort=date",
	"Observation?date=ap2010&_count=20", "Observation?date=ne2010&_count=20&_total=accurate", "Observation?date=sa2015-06&_count=20", "Observation?date=eb2005&_count=20",
	"Observation?value-quantity=gt100&_count=50&_total=accurate", "Observation?value-quantity=le5&_sort=value-quantity&_count=50",
	"Observation?value-quantity=170||cm&_sort=date", "Observation?value-quantity=ap170||cm&_count=10", "Observation?value-quantity=ne5&_summary=count",
	"Observation?component-code-value-quantity=http://loinc.org|8480-6$gt120&_count=10&_total=accurate", "Observation?code-value-quantity=8302-2$gt150&_sort=-date&_count=10",
	"Observation?value-quantity=gt100,lt1&_sort=date&_count=25", "Observation?subject:missing=true", "Observation?value-quantity:missing=false&_summary=count",
	"Observation?patient=Patient/example&_sort=-date", "Observation?subject=Patient/example,Patient/f001&_sort=code", "Observation?has-member:missing=false",
	"Observation?status:not=final&_total=accurate", "Observation?_id=example,f001,f002,blood-pressure&_sort=-_id",

	// Strings and texts.
	"Patient?name=a&_count=5&_total=accurate", "Patient?family=d", "Patient?family:exact=Chalmers", "Patient?name:contains=er&_sort=family", "Patient?given=Jim,Peter",
	"Patient?name=eve", "Patient?address=a&_count=20", "Patient?address-city:contains=a&_sort=birthdate&_count=10", "Patient?address-state=MA&_count=10&_total=accurate",
	"Patient?telecom:missing=true&_count=20", "Patient?phonetic=Chalmers", "Organization?name:contains=health&_sort=name",
	"ValueSet?name:contains=Status&_sort=-name&_count=20", "ValueSet?title:exact=FHIRDefinedType", "ValueSet?description:contains=codes&_summary=count",
	"CodeSystem?title=a&_sort=title&_count=20", "StructureDefinition?name=Pat", "Condition?code:text=disorder&_count=10", "Observation?code:text=heart&category=vital-signs&date=ge1990&date=lt2010",
	"Patient?_content=Chalmers", "Observation?_text=glucose&date=lt2014&category:missing=true", "ValueSet?_text=example&_count=5",

	// Tokens, uris, references, tags and the like.
	"Patient?gender=male&birthdate=ge1960&_sort=birthdate&_count=10", "Patient?gender:not=male&_count=10", "Patient?active=true&_total=accurate", "Patient?deceased=true",
	"Patient?identifier=12345", "Patient?identifier=urn:oid:1.2.36.146.595.217.0.1|12345", "Patient?identifier=http://hl7.org/fhir/sid/us-ssn|&_count=10",
	"Patient?identifier:of-type=http://terminology.hl7.org/CodeSystem/v2-0203|MR|12345", "Condition?code=http://snomed.info/sct|&_count=10&_sort=onset-date",
	"Condition?clinical-status=active&_sort=-onset-date&_count=10", "ValueSet?url=http://hl7.org/fhir/ValueSet/administrative-gender",
	"ValueSet?url:below=http://hl7.org/fhir/ValueSet/a&_count=20", "ValueSet?url:below=http://terminology.hl7.org/ValueSet&_count=20&_total=accurate",
	"ValueSet?url:above=http://hl7.org/fhir/ValueSet/administrative-gender/x",
	"StructureDefinition?type=Observation&_sort=name", "SearchParameter?base=Patient&_sort=code", "SearchParameter?target=Patient&base=Observation&_sort=-code",
	"Observation?_profile=http://hl7.org/fhir/StructureDefinition/vitalsigns", "?_type=Patient,Observation&_tag:missing=false&_count=50",
	"Patient?_security:missing=true&_summary=count", "Patient?_lastUpdated=gt2020&_count=5&_total=accurate", "Patient?_lastUpdated=lt2020",
	"Patient?general-practitioner:missing=false", "Patient?link:missing=false", "Encounter?class=AMB&_sort=date&_count=10&_total=accurate", "Location?near=42.2|-83.7|100|km",
	"Claim?use=claim&_sort=-created&_count=10&_total=accurate", "Medication?ingredient-code:missing=false", "Task?_sort=-authored-on,priority", "Slot?start=ge2013",

	// Chains, both ways.
	"Observation?patient.family=d&_sort=date&_count=10&_total=accurate", "Observation?subject:Patient.birthdate=ge1980&_count=10&_total=accurate",
	"Observation?patient.gender=female&code=8302-2&_sort=-date&_count=10", "Encounter?subject:Patient.name=a&_count=10", "Encounter?service-provider.name=a&_count=10",
	"DiagnosticReport?result.code=http://loinc.org|2093-3&_sort=date&_count=10",
	"Patient?_has:Observation:patient:code=8302-2&_sort=birthdate&_count=10&_total=accurate", "Patient?_has:Condition:patient:code:text=diabetes&_sort=family",
	"Patient?_has:Observation:patient:_has:DiagnosticReport:result:status=final&_sort=_id&_count=10", "Organization?_has:Patient:organization:gender=male",
	"Practitioner?_has:Encounter:participant:date=ge2015&_count=10&_total=accurate", "Patient?organization.name:contains=a", "Observation?subject.name=a&_count=30", "Patient?general-practitioner:Practitioner.name=a",
	"Observation?subject:Patient.address-city:contains=a&_sort=-date&_count=5",

	// What comes along.
	"Observation?_include=Observation:subject&_count=13", "Observation?code=8302-2&_include=Observation:patient&_include=Observation:encounter&_sort=date&_count=13",
	"Patient?_revinclude=Observation:subject&_count=3", "Patient?_sort=-birthdate&_revinclude=Condition:patient&_revinclude=Encounter:patient&_count=4",
	"DiagnosticReport?_include=DiagnosticReport:result&_include:iterate=Observation:subject&_count=5", "Patient?_include=*&_count=20", "Encounter?_include=*&_count=7&_sort=date",
	"Patient?_id=example&_revinclude=*", "Patient?_include=Patient:organization&_include:iterate=Organization:partof", "Organization?_revinclude:iterate=Organization:partof&_count=50",
	"MedicationRequest?_include=MedicationRequest:medication&_count=20", "Claim?_include=Claim:patient&_include=Claim:provider&_count=8&_sort=-created",
	"Patient?_has:Claim:patient:use=claim&_revinclude=Claim:patient&_count=2",

	// Compartments.
	"Patient/example/Observation?_sort=-date", "Patient/example/Condition?_count=3", "Patient/f001/Encounter", "Patient/example/*?_count=30", "Practitioner/example/Appointment",
	"Encounter/f001/Procedure",
}

// refusedAlike are searches that both engines must refuse in the same words.
var refusedAlike = map[string]bool{
	"Patient?nonsense=1":                   true,
	"Patient?birthdate=yesterday":          true,
	"Patient?gender:exact=male":            true,
	"Patient?_sort=nonsense":               true,
	"Observation?value-quantity=many":      true,
	"Patient?_cursor=x":                    true,
	"Observation?_sort=code-value-concept": true,
	"ValueSet?name:not=x":                  true,
	"Condition?code=|":                     true,
	"Patient?_include=Patient:nonsense":    true,
	"Nonsense?_id=1":                       true,
}

// testSameAnswers asks both servers the same and demands the same matches in the same order on every page, the same totals,
// and the same resources that come along. Record numbers follow the order of writing, which was the same.
func testSameAnswers(t *testing.T, a, b client, all []example) {
	start := time.Now()
	for _, c := range []client{a, b} {
		addSynthetic(t, c)
	}
	loaded := time.Since(start)
	start = time.Now()
	inA, inB := places(t, a), places(t, b)
	if len(inA) != len(inB) {
		t.Fatalf("%d and %d resources", len(inA), len(inB))
	}
	queries := slices.AppendSeq(slices.Clone(asked), maps.Keys(refusedAlike))
	qs := questions(all, false)
	for i := 0; i < len(qs); i += len(qs) / 150 {
		more := []string{"&_total=accurate&_count=5", "&_sort=-_lastUpdated&_count=50", "&_sort=_id&_count=10", "&_sort=-_id&_total=accurate"}[i%4]
		queries = append(queries, ask(qs[i].typ, qs[i].Param, qs[i].Value, more))
	}
	found, slow := make([]int, len(queries)), make([]string, len(queries))
	inParallel(t, len(queries), func(i int) error {
		x, y := walk(a, queries[i], inA), walk(b, queries[i], inB)
		found[i], slow[i] = x.matches, fmt.Sprintf("%6d ms, %6d ms: %s", x.took.Milliseconds(), y.took.Milliseconds(), queries[i])
		if x.refused != refusedAlike[queries[i]] {
			return fmt.Errorf("%s: refused: %v: %s", queries[i], x.refused, x.pages[len(x.pages)-1])
		}
		if len(x.pages) != len(y.pages) {
			return fmt.Errorf("%s: %d pages and %d", queries[i], len(x.pages), len(y.pages))
		}
		for p := range x.pages {
			if x.pages[p] != y.pages[p] {
				return fmt.Errorf("%s: page %d differs\n%.1500s\n%.1500s", queries[i], p+1, x.pages[p], y.pages[p])
			}
		}
		return nil
	})
	slices.Sort(slow)
	t.Logf("the slowest:\n%s", strings.Join(slow[len(slow)-12:], "\n"))
	sum, none := 0, 0
	for i, n := range found {
		sum += n
		if n == 0 {
			none++
			if i < len(asked) && !strings.Contains(queries[i], "count=0") && !strings.Contains(queries[i], "=count") {
				t.Logf("nothing matches %s", queries[i])
			}
		}
	}
	t.Logf("%d searches, %d matches, %d searches without any; loaded in %v, compared in %v", len(queries), sum, none,
		loaded.Round(time.Millisecond), time.Since(start).Round(time.Millisecond))
	if sum < 10_000 || none > len(queries)/3 {
		t.Error("too little was found to prove anything")
	}
}

// addSynthetic posts Bundles of synthetic patients, one after the other.
func addSynthetic(t *testing.T, c client) {
	n := 0
	eachSynthea(t, func(name string, text []byte) bool {
		status, said, err := c.do(http.MethodPost, "", text)
		if err != nil || status != http.StatusOK {
			t.Fatalf("%s: %d %.300s %v", name, status, said, err)
		}
		n++
		return n < syntheticPatients
	})
}

// places returns the place of each resource in the order of numbers of its type: where the server gave the ids, they differ
// from server to server, and their order does not.
func places(t *testing.T, c client) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, typ := range def.ResourceTypes() {
		place := 0
		for next := typ.Name + "?_count=1000&_elements=id"; next != ""; {
			page, err := c.search(next)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range page.matches {
				if _, again := out[m]; again {
					t.Errorf("%s is listed twice", m)
				}
				place++
				out[m] = fmt.Sprintf("%s#%d", typ.Name, place)
			}
			next = page.next
		}
	}
	return out
}

// mostPages is how many pages of a search are compared.
const mostPages = 4

// walked is what the first pages of a search hold, spelled so that servers can be compared.
type walked struct {
	pages   []string
	matches int
	refused bool
	took    time.Duration
}

func walk(c client, query string, places map[string]string) (w walked) {
	start := time.Now()
	defer func() { w.took = time.Since(start) }()
	for next := query; next != "" && len(w.pages) < mostPages; {
		page, err := c.search(next)
		if err != nil {
			w.pages, w.refused = append(w.pages, err.Error()), true
			return w
		}
		w.matches += len(page.matches)
		included := placed(page.included, places)
		slices.Sort(included) // their order means nothing
		w.pages = append(w.pages, fmt.Sprintf("total %s: %s; with %s", page.total, strings.Join(placed(page.matches, places), " "), strings.Join(included, " ")))
		next = page.next
	}
	return w
}

func placed(names []string, places map[string]string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		if out[i] = places[n]; out[i] == "" {
			out[i] = "unknown " + n
		}
	}
	return out
}
