package fhirrest_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/nilecare/nilecare/internal/fhirrest"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/storetest"
)

// ask sends a request to a handler without edge or network.
func ask(h http.Handler, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/fhir+json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestConfiguredBase(t *testing.T) {
	const base = "https://ehr.example.org/fhir/R4"
	h := fhirrest.New(fhirrest.Config{Records: storetest.SQLite(t, record.Options{}), Base: base + "/"})
	made := ask(h, "POST", "/fhir/R4/Patient", person)
	location := made.Header().Get("Location")
	if !strings.HasPrefix(location, base+"/Patient/") {
		t.Errorf("Location %q", location)
	}
	found := ask(h, "GET", "/fhir/R4/Patient?family=Benchmark&_count=1", "").Body.String()
	for _, want := range []string{`"url":"` + base + `/Patient?family=Benchmark`, `"fullUrl":"` + base + `/Patient/`} {
		if !strings.Contains(found, want) {
			t.Errorf("no %s in %s", want, found)
		}
	}
	if got := ask(h, "GET", "/fhir/R4/metadata", "").Body.String(); !strings.Contains(got, `"url":"`+base+`"`) {
		t.Errorf("metadata: %.600s", got)
	}
	inBatch := `{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"GET","url":"` + base + `/Patient?family=Benchmark"}}]}`
	if got := ask(h, "POST", "/fhir/R4", inBatch).Body.String(); !strings.Contains(got, `"status":"200 OK"`) || !strings.Contains(got, "searchset") {
		t.Errorf("batch: %s", got)
	}
}

func TestBaseOfTheHost(t *testing.T) {
	h := fhirrest.New(fhirrest.Config{Records: storetest.SQLite(t, record.Options{})})
	r := httptest.NewRequest("GET", "/fhir/R4/metadata", nil)
	r.Host = `evil"host`
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if !strings.Contains(w.Body.String(), `"url":"http://evil\"host/fhir/R4"`) {
		t.Errorf("the host broke out of its string: %.700s", w.Body)
	}
}

func TestConditionalDeleteOfAll(t *testing.T) {
	h := fhirrest.New(fhirrest.Config{Records: storetest.SQLite(t, record.Options{}), DeleteAll: true})
	for range 3 {
		ask(h, "POST", "/fhir/R4/Patient", person)
	}
	if w := ask(h, "DELETE", "/fhir/R4/Patient?family=Benchmark", "", "Prefer", "return=OperationOutcome"); w.Code != 200 || !strings.Contains(w.Body.String(), "deleted: 3") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := ask(h, "GET", "/fhir/R4/Patient?_summary=count", ""); !strings.Contains(w.Body.String(), `"total":0`) {
		t.Errorf("%s", w.Body)
	}
	if w := ask(h, "GET", "/fhir/R4/metadata", ""); !strings.Contains(w.Body.String(), `"conditionalDelete":"multiple"`) {
		t.Error("the CapabilityStatement does not say so")
	}
}

func TestLargestPage(t *testing.T) {
	h := fhirrest.New(fhirrest.Config{Records: storetest.SQLite(t, record.Options{}), Count: 2, MaxCount: 3})
	for range 5 {
		ask(h, "POST", "/fhir/R4/Patient", person)
	}
	for query, want := range map[string]int{"": 2, "?_count=1": 1, "?_count=100": 3} {
		for _, path := range []string{"/fhir/R4/Patient", "/fhir/R4/Patient/_history"} {
			got := ask(h, "GET", path+query, "").Body.String()
			if n := strings.Count(got, `"fullUrl"`); n != want {
				t.Errorf("%s%s: %d entries, want %d", path, query, n, want)
			}
			if strings.Contains(got, "_count=100") {
				t.Errorf("%s%s: the links promise more than is given: %.300s", path, query, got)
			}
		}
	}
}

// A condition that is empty is no condition at all: what it guards must not be done without it.
func TestEmptyConditionsAreRefused(t *testing.T) {
	h := fhirrest.New(fhirrest.Config{Records: storetest.SQLite(t, record.Options{})})
	const path = "/fhir/R4/Patient"
	for _, value := range []string{"", " ", "?", "&", "Patient?", "_format=json", "family=", "https://ehr.example.org/Patient?"} {
		if w := ask(h, "POST", path, person, "If-None-Exist", value); w.Code != http.StatusBadRequest {
			t.Errorf("If-None-Exist %q: %d %s", value, w.Code, w.Body)
		}
		for _, kind := range []string{"batch", "transaction"} {
			bundle := `{"resourceType":"Bundle","type":"` + kind + `","entry":[{"resource":` + person + `,"request":{"method":"POST","url":"Patient","ifNoneExist":"` + value + `"}}]}`
			if w := ask(h, "POST", "/fhir/R4", bundle); !strings.Contains(w.Body.String(), `"severity":"error"`) {
				t.Errorf("%s with ifNoneExist %q: %d %s", kind, value, w.Code, w.Body)
			}
		}
	}
	for _, name := range []string{"If-Match", "If-None-Match"} {
		if w := ask(h, "PUT", path+"/a", `{"resourceType":"Patient","id":"a"}`, name, ""); w.Code != http.StatusBadRequest {
			t.Errorf("an empty %s: %d %s", name, w.Code, w.Body)
		}
	}
	for _, query := range []string{"", "?", "?&", "?_format=json", "?family="} {
		for method, body := range map[string]string{"PUT": person, "DELETE": "", "PATCH": `[{"op":"remove","path":"/name"}]`} {
			w := ask(h, method, path+query, body, "Content-Type", "application/json-patch+json")
			if method == "PUT" {
				w = ask(h, method, path+query, body)
			}
			if w.Code != http.StatusBadRequest {
				t.Errorf("%s %s: %d %s", method, query, w.Code, w.Body)
			}
		}
	}
	if w := ask(h, "GET", path+"?_summary=count", ""); !strings.Contains(w.Body.String(), `"total":0`) {
		t.Errorf("something was written: %s", w.Body)
	}
}
