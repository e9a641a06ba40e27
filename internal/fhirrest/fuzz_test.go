package fhirrest

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/search"
	"github.com/nilecare/nilecare/internal/record"
)

// nowhere is a store that refuses everything with a known error: what reaches it has been decoded.
type nowhere struct{ err error }

func (n nowhere) Read(context.Context, string, string) (*record.Version, error) { return nil, n.err }
func (n nowhere) ReadVersion(context.Context, string, string, int64) (*record.Version, error) {
	return nil, n.err
}
func (n nowhere) History(context.Context, record.HistoryQuery) (*record.HistoryPage, error) {
	return nil, n.err
}
func (n nowhere) Search(context.Context, *search.Query) (*record.Page, error) { return nil, n.err }
func (n nowhere) Everything(context.Context, string, string, []string, time.Time, int, string) (*record.Page, error) {
	return nil, n.err
}
func (n nowhere) Write(_ context.Context, changes []record.Change) ([]record.Outcome, error) {
	// The last change is to blame: its place must be translated back to the Bundle's.
	return nil, &record.EntryError{Index: len(changes) - 1, Err: n.err}
}

// FuzzBundle decodes Bundles: no input may panic or make a 5xx, and every answer is a resource.
func FuzzBundle(f *testing.F) {
	for _, seed := range []string{
		`{"resourceType":"Bundle","type":"transaction"}`,
		`{"resourceType":"Bundle","type":"transaction","entry":[{"fullUrl":"urn:uuid:1","resource":{"resourceType":"Patient"},"request":{"method":"POST","url":"Patient","ifNoneExist":"identifier=a|b"}}]}`,
		`{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"GET","url":"Patient?name=x&_include=*"}},{"request":{"method":"DELETE","url":"Patient/1"}}]}`,
		`{"resourceType":"Bundle","type":"batch","entry":[{"resource":{"resourceType":"Patient","id":"1"},"request":{"method":"PUT","url":"Patient/1","ifMatch":"W/\"2\""}}]}`,
		`{"resourceType":"Bundle","type":"transaction","entry":[{"resource":{"resourceType":"Binary","contentType":"application/json-patch+json","data":"W10="},"request":{"method":"PATCH","url":"Patient/1"}}]}`,
		`{"resourceType":"Bundle","type":"batch","entry":[{"resource":{"resourceType":"Parameters","parameter":[{"name":"resource","resource":{"resourceType":"Patient"}}]},"request":{"method":"POST","url":"Patient/$validate"}}]}`,
		`{"resourceType":"Bundle","type":"batch","entry":["x",{"request":"x"},{"request":{"method":"GET","url":"metadata"}},{"request":{"method":"POST","url":"%41%ff"}}]}`,
	} {
		f.Add(seed)
	}
	h := New(Config{Records: nowhere{fault.New(fault.Conflict, "nowhere")}, MaxEntries: 50})
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRequest("POST", "/fhir/R4", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/fhir+json")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code >= 500 {
			t.Fatalf("%d: %s", w.Code, w.Body)
		}
		if _, err := fhir.ParseResource(w.Body.Bytes()); err != nil {
			t.Fatalf("the answer is no resource: %v: %s", err, w.Body)
		}
		if strings.Contains(w.Body.String(), `"status":"5`) {
			t.Fatalf("an entry made a 5xx: %s", w.Body)
		}
	})
}

func TestEntryErrorNamesTheBundlesEntry(t *testing.T) {
	h := New(Config{Records: nowhere{fault.At(fault.Conflict, "Patient.name", "nowhere")}})
	// The store sees DELETE, POST, PUT: the last is the Bundle's first.
	body := `{"resourceType":"Bundle","type":"transaction","entry":[
		{"resource":{"resourceType":"Patient","id":"1"},"request":{"method":"PUT","url":"Patient/1"}},
		{"resource":{"resourceType":"Patient"},"request":{"method":"POST","url":"Patient"}},
		{"request":{"method":"DELETE","url":"Patient/2"}}]}`
	r := httptest.NewRequest("POST", "/fhir/R4", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/fhir+json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusConflict || !strings.Contains(w.Body.String(), "Bundle.entry[0].resource.name") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestBatchKeepsInternalErrorsToItself(t *testing.T) {
	h := New(Config{Records: nowhere{errors.New("the secret")}})
	body := `{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"GET","url":"Patient/1"}}]}`
	r := httptest.NewRequest("POST", "/fhir/R4", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/fhir+json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "500 Internal") || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// FuzzRequest asks anything of anywhere: no request may panic or make a 5xx, and every answer with a body is a resource.
func FuzzRequest(f *testing.F) {
	for _, seed := range [][4]string{
		{"GET", "/Patient?name=a&_sort=-birthdate&_include=Patient:organization", "application/fhir+json", ""},
		{"GET", "/Patient/1/_history/2?_elements=name", "*/*;q=0.1", `W/"1"`},
		{"PUT", "/Patient?identifier=a|b", "application/json", `W/"1"`},
		{"GET", "/Patient/1/*?_type=Observation&_has:Observation:subject:code=x", "", "*"},
		{"GET", "/_history?_since=2020-01-01T00:00:00Z&_count=3&_cursor=x", "text/html", ""},
		{"POST", "/Patient/1/$everything?_type=Observation", "", ""},
		{"DELETE", "/Observation?subject:Patient.name=x&value-quantity=gt5||mg", "", "x"},
		{"GET", "/metadata?mode=full&_pretty=true&_summary=text", "", ""},
		{"PATCH", "/%41/%zz?%", "a;b;c", "\""},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3], `{"resourceType":"Patient"}`)
	}
	h := New(Config{Records: nowhere{fault.New(fault.Conflict, "nowhere")}})
	f.Fuzz(func(t *testing.T, method, target, accept, tag, body string) {
		to, err := url.ParseRequestURI("/fhir/R4" + target)
		if err != nil || method == "" {
			return // net/http answers that itself
		}
		r := httptest.NewRequest("GET", "/", strings.NewReader(body))
		r.Method, r.URL = method, to
		r.Header.Set("Content-Type", "application/fhir+json")
		r.Header.Set("Accept", accept)
		for _, name := range []string{"If-Match", "If-None-Match", "If-None-Exist", "If-Modified-Since", "Prefer"} {
			r.Header.Set(name, tag)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code >= 500 {
			t.Fatalf("%d: %s", w.Code, w.Body)
		}
		if w.Body.Len() > 0 {
			if _, err := fhir.ParseResource(w.Body.Bytes()); err != nil {
				t.Fatalf("the answer is no resource: %v: %s", err, w.Body)
			}
		}
	})
}
