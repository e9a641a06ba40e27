package fhirrest

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/nilecare/nilecare/internal/fault"
)

// The answers of a Bundle are bounded together, whichever lane renders them.
func TestAnswersOfABundleAreBounded(t *testing.T) {
	h := New(Config{Records: nowhere{fault.New(fault.NotFound, "nowhere")}})
	r := httptest.NewRequest("GET", "/fhir/R4/metadata", nil)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	one := int64(w.Body.Len())
	const asked = 40
	entry := `{"request":{"method":"GET","url":"metadata"}}`
	for _, kind := range []string{"batch", "transaction"} {
		for _, fits := range []int64{0, 1, 3, asked} {
			h.maxAnswer = one*fits + one/2
			body := `{"resourceType":"Bundle","type":"` + kind + `","entry":[` + strings.Repeat(entry+",", asked-1) + entry + `]}`
			r := httptest.NewRequest("POST", "/fhir/R4", strings.NewReader(body))
			r.Header.Set("Content-Type", "application/fhir+json")
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			got := w.Body.String()
			given, refused := strings.Count(got, `"status":"200 OK"`), strings.Count(got, `"code":"too-costly"`)
			if kind == "transaction" && w.Code != 200 {
				t.Skipf("a transaction does not take metadata: %s", got)
			}
			if int64(given) > fits || given+refused != asked || fits > 0 && given == 0 || fits == asked && refused > 0 {
				t.Errorf("%s, room for %d: %d given, %d refused", kind, fits, given, refused)
			}
		}
	}
}
