package hospital

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/fhir"
)

func now() time.Time { return time.Date(2026, 3, 1, 9, 30, 0, 0, time.UTC) }

func parsed(t testing.TB, seed int64, patients int) []*fhir.Resource {
	t.Helper()
	return read(t, Bundles(seed, patients, now()), patients)
}

func read(t testing.TB, bundles iter.Seq[[]byte], patients int) []*fhir.Resource {
	t.Helper()
	var out []*fhir.Resource
	for text := range bundles {
		r, err := fhir.ParseResource(text)
		if err != nil {
			t.Fatalf("bundle %d: %v", len(out), err)
		}
		out = append(out, r)
	}
	if len(out) != patients+1 {
		t.Fatalf("%d bundles for %d patients", len(out), patients)
	}
	return out
}

func entries(r *fhir.Resource) []*fhir.Node { return r.Get("entry").Items() }

func TestSameSeedSameBytes(t *testing.T) {
	a, b := slices.Collect(Bundles(7, 5, now())), slices.Collect(Bundles(7, 9, now()))
	for k := range a {
		if !bytes.Equal(a[k], b[k]) {
			t.Fatalf("bundle %d differs", k)
		}
	}
	c := slices.Collect(Bundles(8, 5, now()))
	if bytes.Equal(a[1], c[1]) {
		t.Fatal("another seed gives the same patient")
	}
}

// The compression dictionary was trained on these very bytes, and `go generate` must make the same again.
func TestTrainingSetStaysAsItWas(t *testing.T) {
	h := sha256.New()
	for text := range Bundles(20260301, 100, time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)) {
		h.Write(text)
	}
	if got := fmt.Sprintf("%x", h.Sum(nil)); got != "5df1954a9f8b8dade3b28056ca296cd9fc2e2fffd36a5052f54fa5ebf41e04f2" {
		t.Errorf("the digest is %s", got)
	}
}

func TestStopsWhenAsked(t *testing.T) {
	for range Bundles(1, 1_000_000, now()) {
		return
	}
}

func TestShape(t *testing.T) {
	bundles := parsed(t, 1, 300)
	types, total := map[string]int{}, 0
	for k, b := range bundles {
		if b.Type() != "Bundle" || b.Str("type") != "transaction" {
			t.Fatalf("bundle %d is a %s of type %s", k, b.Type(), b.Str("type"))
		}
		if k == 0 {
			continue
		}
		if n := len(entries(b)); n < 4 || n > 140 {
			t.Errorf("patient %d has %d resources", k, n)
		}
		total += len(entries(b))
		for _, e := range entries(b) {
			types[e.Get("resource").Str("resourceType")]++
		}
	}
	if mean := total / 300; mean < 40 || mean > 80 {
		t.Errorf("%d resources a patient", mean)
	}
	for _, typ := range []string{"Patient", "Encounter", "Condition", "Observation", "AllergyIntolerance", "MedicationRequest", "Immunization", "Procedure",
		"DiagnosticReport", "ServiceRequest", "Appointment", "Coverage", "Claim", "Invoice", "RelatedPerson"} {
		if types[typ] == 0 {
			t.Errorf("no %s", typ)
		}
	}
	t.Logf("%d resources a patient: %v", total/300, types)
}

// Every reference leads to an entry of its own bundle, or by an identifier to exactly one of the first bundle.
func TestReferencesResolve(t *testing.T) {
	resolve(t, parsed(t, 2, 100))
	resolve(t, read(t, Living(2, 100, now()), 100))
}

func resolve(t *testing.T, bundles []*fhir.Resource) {
	t.Helper()
	known := map[string]int{}
	for _, e := range entries(bundles[0]) {
		id := e.Get("resource").Get("identifier").First()
		known[e.Get("resource").Str("resourceType")+"?identifier="+id.Str("system")+"|"+id.Str("value")]++
		if want := "identifier=" + id.Str("system") + "|" + id.Str("value"); e.Get("request").Str("method") == "POST" && e.Get("request").Str("ifNoneExist") != want {
			t.Errorf("%s is created without condition", want)
		}
	}
	for k, b := range bundles {
		own := map[string]string{}
		for _, e := range entries(b) {
			if _, twice := own[e.Str("fullUrl")]; twice {
				t.Fatalf("bundle %d: a fullUrl stands twice", k)
			}
			own[e.Str("fullUrl")] = e.Get("resource").Str("resourceType")
		}
		b.Walk(func(n *fhir.Node) bool {
			if to := n.Str("reference"); to != "" && own[to] == "" && (k == 0 || known[to] != 1) {
				t.Errorf("bundle %d: %s leads nowhere", k, to)
			}
			return true
		})
	}
}

func TestIdentifiersAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, b := range parsed(t, 3, 300)[1:] {
		patient := entries(b)[0].Get("resource")
		for _, id := range patient.Get("identifier").Items() {
			key := id.Str("system") + "|" + id.Str("value")
			if seen[key] {
				t.Errorf("%s stands twice", key)
			}
			seen[key] = true
		}
	}
}

// Nothing is before birth or after now, but what is booked or runs out.
func TestTimes(t *testing.T) {
	later := []string{"start", "end", "expirationDate"}
	for k, b := range parsed(t, 4, 300)[1:] {
		born := entries(b)[0].Get("resource").Str("birthDate")
		for _, e := range entries(b) {
			r := e.Get("resource")
			r.Walk(func(n *fhir.Node) bool {
				if n.Kind != fhir.String || len(n.Text) < 10 || !strings.HasPrefix(n.Text, "19") && !strings.HasPrefix(n.Text, "20") || strings.Count(n.Text, "-") < 2 {
					return true
				}
				typ := r.Str("resourceType")
				may := slices.Contains(later, n.Name) && (typ == "Appointment" || typ == "Immunization")
				if day := n.Text[:10]; day > "2026-03-01" && !may || day < born {
					t.Errorf("patient %d, born %s: %s.%s is %s", k, born, typ, n.Name, n.Text)
				}
				return true
			})
		}
	}
}

func TestValuesArePlausible(t *testing.T) {
	bounds := map[string][2]float64{"8867-4": {40, 190}, "8310-5": {35.5, 41}, "9279-1": {8, 50}, "2708-6": {90, 100}, "29463-7": {3, 160}, "8302-2": {45, 200},
		"39156-5": {9, 45}, "8480-6": {75, 230}, "8462-4": {45, 160}, "718-7": {5, 20}, "4548-4": {3, 13}}
	seen := map[string]int{}
	for _, b := range parsed(t, 5, 300)[1:] {
		b.Walk(func(n *fhir.Node) bool {
			code, value := n.Path("code", "coding", "code"), n.Path("valueQuantity", "value")
			if code == nil || value == nil {
				return true
			}
			if limit, ok := bounds[code.Text]; ok {
				seen[code.Text]++
				if v := number(t, value.Text); v < limit[0] || v > limit[1] {
					t.Errorf("%s is %s", code.Text, value.Text)
				}
			}
			return true
		})
	}
	for code := range bounds {
		if seen[code] == 0 {
			t.Errorf("%s was never measured", code)
		}
	}
}

func number(t testing.TB, digits string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(digits, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func BenchmarkPatient(b *testing.B) {
	b.ReportAllocs()
	for k := 0; b.Loop(); k++ {
		patientBundle(1, k, now(), nil)
	}
}
