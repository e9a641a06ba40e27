// Package resttest judges a FHIR R4 server from outside, over HTTP: every interaction, every header, and a table of malformed
// requests to which no answer may be a 5xx. It knows nothing of what is behind the URL, so that each engine of the store
// is judged by the same text.
package resttest

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhirrest"
	"github.com/nilecare/nilecare/internal/web"
)

// The bounds that the server under test is made with: small, so that passing them costs nothing.
const (
	MaxBody    = 1 << 20
	MaxEntries = 200
)

// Version is the software's version that the server under test is made with.
const Version = "0.0.0-test"

// AsProgram takes every caller for the program itself: what is tested here is the API, not who may use it.
func AsProgram(context.Context, *http.Request) (access.Caller, error) { return access.System(1), nil }

// Serve serves these records with the bounds that the suite expects, until the test ends, and returns the base URL.
func Serve(t testing.TB, records fhirrest.Records) string {
	t.Helper()
	edge, err := web.NewEdge(web.Options{MaxBody: MaxBody, Authenticate: AsProgram})
	if err != nil {
		t.Fatal(err)
	}
	h := fhirrest.New(fhirrest.Config{Records: records, Version: Version, MaxEntries: MaxEntries})
	s := httptest.NewServer(edge.Wrap(h))
	t.Cleanup(s.Close)
	return s.URL + h.Path
}

// Run runs the suite. newServer starts a server with an empty record and the bounds above, and returns its base URL.
func Run(t *testing.T, newServer func(t *testing.T) (baseURL string)) {
	base := newServer(t)
	for _, group := range []struct {
		name string
		run  func(t *testing.T, base string)
	}{
		{"read", testRead},
		{"write", testWrite},
		{"conditional", testConditional},
		{"patch", testPatch},
		{"history", testHistory},
		{"search", testSearch},
		{"compartment", testCompartment},
		{"transaction", testTransaction},
		{"batch", testBatch},
		{"operation", testOperations},
		{"metadata", testMetadata},
		{"negotiation", testNegotiation},
		{"concurrency", testConcurrency},
		{"malformed", testMalformed},
	} {
		t.Run(group.name, func(t *testing.T) { group.run(t, base) })
	}
}

// unique makes names that no other test uses.
var counter atomic.Int64

func unique(prefix string) string { return prefix + "-" + strconv.FormatInt(counter.Add(1), 10) }

// reply is an answer, read whole.
type reply struct {
	t      testing.TB
	what   string
	status int
	header http.Header
	raw    []byte
	body   *fhir.Node // nil where there is no body
}

// client talks to the server under test.
type client struct {
	t    testing.TB
	base string
}

// do sends one request; headers come in pairs. A body gets FHIR's Content-Type unless the headers say otherwise. What holds
// for every answer is checked here.
func (c client) do(method, path, body string, headers ...string) *reply {
	c.t.Helper()
	url := path
	if !strings.HasPrefix(path, "http") {
		url = c.base + path
	}
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	req, err := http.NewRequest(method, url, in)
	if err != nil {
		c.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/fhir+json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i+1] == "" {
			req.Header.Del(headers[i])
			continue
		}
		req.Header.Set(headers[i], headers[i+1])
	}
	return c.send(req)
}

func (c client) send(req *http.Request) *reply {
	c.t.Helper()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := res.Body.Close(); err != nil {
		c.t.Fatal(err)
	}
	r := &reply{t: c.t, what: req.Method + " " + req.URL.RequestURI(), status: res.StatusCode, header: res.Header, raw: raw}
	r.everyAnswer(req.Method)
	return r
}

// everyAnswer checks what holds for all answers.
func (r *reply) everyAnswer(method string) {
	r.t.Helper()
	if r.header.Get("X-Request-Id") == "" {
		r.t.Errorf("%s: no X-Request-Id", r.what)
	}
	if r.header.Get("X-Content-Type-Options") != "nosniff" {
		r.t.Errorf("%s: no X-Content-Type-Options", r.what)
	}
	if r.status >= 500 {
		r.t.Errorf("%s: status %d: %s", r.what, r.status, r.raw)
	}
	if len(r.raw) > 0 {
		n, err := fhir.Parse(r.raw)
		if err != nil {
			r.t.Fatalf("%s: the body is no FHIR JSON: %v: %.200s", r.what, err, r.raw)
		}
		r.body = n
		if cc := r.header.Get("Cache-Control"); cc != "no-store" {
			r.t.Errorf("%s: Cache-Control %q", r.what, cc)
		}
	}
	if r.status >= 400 && method != http.MethodHead {
		r.outcome()
	}
}

// outcome checks that the body is an OperationOutcome that says something, and returns its issues.
func (r *reply) outcome() []*fhir.Node {
	r.t.Helper()
	issues := r.body.Get("issue").Items()
	if r.body.Str("resourceType") != "OperationOutcome" || len(issues) == 0 {
		r.t.Fatalf("%s: status %d without OperationOutcome: %.200s", r.what, r.status, r.raw)
	}
	for _, i := range issues {
		if i.Str("severity") == "" || i.Str("code") == "" || i.Str("diagnostics") == "" {
			r.t.Errorf("%s: an issue without severity, code or diagnostics: %s", r.what, r.raw)
		}
	}
	return issues
}

// want checks the status.
func (r *reply) want(status int) *reply {
	r.t.Helper()
	if r.status != status {
		r.t.Fatalf("%s: status %d, want %d: %.600s", r.what, r.status, status, r.raw)
	}
	return r
}

// wantCode checks the status, and the code and text of one of the issues.
func (r *reply) wantIssue(status int, code, text string) *reply {
	r.t.Helper()
	r.want(status)
	for _, i := range r.outcome() {
		words := i.Str("diagnostics")
		if e := i.Get("expression"); e != nil {
			words += " " + e.First().Text
		}
		if (code == "" || i.Str("code") == code) && strings.Contains(words, text) {
			return r
		}
	}
	r.t.Fatalf("%s: no issue with code %q and text %q: %.600s", r.what, code, text, r.raw)
	return r
}

// wantHeader checks one header; "" means that it must not be there.
func (r *reply) wantHeader(name, value string) *reply {
	r.t.Helper()
	if got := r.header.Get(name); got != value {
		r.t.Errorf("%s: %s: %q, want %q", r.what, name, got, value)
	}
	return r
}

// wantNoBody checks that nothing came.
func (r *reply) wantNoBody() *reply {
	r.t.Helper()
	if len(r.raw) > 0 {
		r.t.Errorf("%s: a body where none belongs: %.200s", r.what, r.raw)
	}
	return r
}

// str walks to a string within the body; numbers are positions in arrays.
func (r *reply) str(path ...string) string {
	r.t.Helper()
	if n := r.at(path...); n != nil {
		return n.Text
	}
	return ""
}

func (r *reply) at(path ...string) *fhir.Node {
	n := r.body
	for _, p := range path {
		if i, err := strconv.Atoi(p); err == nil {
			n = n.At(i)
			continue
		}
		n = n.Get(p)
	}
	return n
}

// entries are a Bundle's.
func (r *reply) entries() []*fhir.Node {
	r.t.Helper()
	if r.body.Str("resourceType") != "Bundle" {
		r.t.Fatalf("%s: no Bundle: %.300s", r.what, r.raw)
	}
	return r.body.Get("entry").Items()
}

// link is one of a Bundle's links; "" where it is not there.
func (r *reply) link(relation string) string {
	for _, l := range r.body.Get("link").Items() {
		if l.Str("relation") == relation {
			return l.Str("url")
		}
	}
	return ""
}

// created makes a resource and returns its id.
func (c client) created(typ, body string) string {
	c.t.Helper()
	return c.do("POST", "/"+typ, body).want(201).str("id")
}

// patient is a Patient of that family name.
func patient(family string) string {
	return `{"resourceType":"Patient","active":true,"name":[{"family":"` + family + `","given":["Amina"]}],` +
		`"gender":"female","birthDate":"1990-02-03"}`
}

// patientWithID is patient with an id.
func patientWithID(id, family string) string {
	return strings.Replace(patient(family), `{"resourceType":"Patient",`, `{"resourceType":"Patient","id":"`+id+`",`, 1)
}

// identified is a Patient with an identifier of the system urn:test.
func identified(value, family string) string {
	return strings.Replace(patient(family), `"active"`, `"identifier":[{"system":"urn:test","value":"`+value+`"}],"active"`, 1)
}

// observation is an Observation of a code about a subject.
func observation(code, subject string) string {
	return `{"resourceType":"Observation","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"` + code + `"}]},` +
		`"subject":{"reference":"` + subject + `"},"valueQuantity":{"value":7.10,"unit":"mmol/L","system":"http://unitsofmeasure.org","code":"mmol/L"}}`
}

func contains(raw []byte, text string) bool { return bytes.Contains(raw, []byte(text)) }
