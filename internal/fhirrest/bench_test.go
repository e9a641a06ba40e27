package fhirrest_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/nilecare/nilecare/internal/fhirrest"
	"github.com/nilecare/nilecare/internal/fhirrest/resttest"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/storetest"
	"github.com/nilecare/nilecare/internal/web"
)

// served is the API on SQLite behind a whole edge, without a network.
func served(b *testing.B) http.Handler {
	b.Helper()
	e, err := web.NewEdge(web.Options{Metrics: prometheus.NewRegistry(), Log: slog.New(slog.NewJSONHandler(io.Discard, nil)), Authenticate: resttest.AsProgram})
	if err != nil {
		b.Fatal(err)
	}
	return e.Wrap(fhirrest.New(fhirrest.Config{Records: storetest.SQLite(b, record.Options{})}))
}

// sink is a ResponseWriter that keeps nothing but what a benchmark asks for.
type sink struct {
	h      http.Header
	status int
	bytes  int
}

func (s *sink) Header() http.Header         { return s.h }
func (s *sink) Write(p []byte) (int, error) { s.bytes += len(p); return len(p), nil }
func (s *sink) WriteHeader(status int)      { s.status = status }

const person = `{"resourceType":"Patient","active":true,"identifier":[{"system":"urn:mrn","value":"12345"}],"name":[{"use":"official",` +
	`"family":"Benchmark","given":["Amina","Noor"]}],"telecom":[{"system":"phone","value":"555-0100"}],"gender":"female","birthDate":"1990-02-03",` +
	`"address":[{"line":["1 Main Street"],"city":"Springfield","postalCode":"12345","country":"US"}]}`

func post(b *testing.B, h http.Handler, path, body string) string {
	b.Helper()
	r := httptest.NewRequest("POST", path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/fhir+json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code >= 300 {
		b.Fatalf("%d %s", w.Code, w.Body)
	}
	return w.Header().Get("Location")
}

func BenchmarkRead(b *testing.B) {
	h := served(b)
	location := post(b, h, "/fhir/R4/Patient", person)
	_, path, _ := strings.Cut(strings.TrimSuffix(location, "/_history/1"), "example.com")
	bench(b, h, path)
}

func BenchmarkSearch20(b *testing.B) {
	h := served(b)
	for range 20 {
		post(b, h, "/fhir/R4/Patient", person)
	}
	bench(b, h, "/fhir/R4/Patient?family=Benchmark")
}

func bench(b *testing.B, h http.Handler, path string) {
	r := httptest.NewRequest("GET", path, nil)
	r.Header.Set("Accept", "application/fhir+json")
	b.ReportAllocs()
	for b.Loop() {
		w := sink{h: make(http.Header, 8)}
		h.ServeHTTP(&w, r)
		if w.status != 200 {
			b.Fatal(w.status)
		}
		b.SetBytes(int64(w.bytes))
	}
}

func BenchmarkCreate(b *testing.B) {
	h := served(b)
	b.ReportAllocs()
	for b.Loop() {
		post(b, h, "/fhir/R4/Patient", person)
	}
}
