package resttest

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// parallel is how many clients ask for the same at the same time.
const parallel = 64

// race sends the same request from many clients at once and counts the statuses.
func race(t *testing.T, method, url, body string, headers ...string) map[int]int {
	t.Helper()
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		counts = map[int]int{}
		start  = make(chan struct{})
	)
	for range parallel {
		wg.Go(func() {
			req, err := http.NewRequest(method, url, strings.NewReader(body))
			if err != nil {
				t.Error(err)
				return
			}
			req.Header.Set("Content-Type", "application/fhir+json")
			for i := 0; i+1 < len(headers); i += 2 {
				req.Header.Set(headers[i], headers[i+1])
			}
			<-start
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			raw, err := io.ReadAll(res.Body)
			if err != nil {
				t.Error(err)
			}
			if err := res.Body.Close(); err != nil {
				t.Error(err)
			}
			if res.StatusCode >= 500 {
				t.Errorf("status %d: %s", res.StatusCode, raw)
			}
			mu.Lock()
			counts[res.StatusCode]++
			mu.Unlock()
		})
	}
	close(start)
	wg.Wait()
	return counts
}

func testConcurrency(t *testing.T, base string) {
	t.Run("conditional creates make one", func(t *testing.T) {
		mrn := unique("race")
		cond := "identifier=urn:test|" + mrn
		got := race(t, "POST", base+"/Patient", identified(mrn, "Race"), "If-None-Exist", cond)
		if got[201] != 1 || got[200] != parallel-1 {
			t.Errorf("statuses %v", got)
		}
		if r := (client{t, base}).do("GET", "/Patient?"+cond, "").want(200); len(r.entries()) != 1 {
			t.Errorf("%d were made", len(r.entries()))
		}
	})
	t.Run("conditional creates in transactions make one", func(t *testing.T) {
		mrn := unique("race")
		body := tx("transaction", entry("POST", "Patient", identified(mrn, "Race"), "urn:uuid:05efabf0-4be2-4561-91ce-51548425acc1", `,"ifNoneExist":"identifier=urn:test|`+mrn+`"`),
			entry("POST", "Observation", observation(mrn, "urn:uuid:05efabf0-4be2-4561-91ce-51548425acc1"), ""))
		if got := race(t, "POST", base, body); got[200] != parallel {
			t.Errorf("statuses %v", got)
		}
		if r := (client{t, base}).do("GET", "/Patient?identifier=urn:test|"+mrn, "").want(200); len(r.entries()) != 1 {
			t.Errorf("%d were made", len(r.entries()))
		}
		if r := (client{t, base}).do("GET", "/Observation?code="+mrn+"&_summary=count", "").want(200); r.str("total") != "64" {
			t.Errorf("observations: %s", r.raw)
		}
	})
	t.Run("one update passes If-Match", func(t *testing.T) {
		c := client{t, base}
		id := c.created("Patient", patient(unique("race")))
		if got := race(t, "PUT", base+"/Patient/"+id, patientWithID(id, unique("race")), "If-Match", `W/"1"`); got[200] != 1 || got[412] != parallel-1 {
			t.Errorf("statuses %v", got)
		}
		c.do("GET", "/Patient/"+id, "").want(200).wantHeader("Etag", `W/"2"`)
	})
	t.Run("one create passes If-None-Match", func(t *testing.T) {
		id := unique("race")
		if got := race(t, "PUT", base+"/Patient/"+id, patientWithID(id, "Race"), "If-None-Match", "*"); got[201] != 1 || got[412] != parallel-1 {
			t.Errorf("statuses %v", got)
		}
	})
	t.Run("updates without conditions all pass", func(t *testing.T) {
		c := client{t, base}
		id := unique("race")
		ops := `[{"op":"add","path":"/name/0/given/-","value":"x"}]`
		c.do("PUT", "/Patient/"+id, patientWithID(id, "Race")).want(201)
		if got := race(t, "PATCH", base+"/Patient/"+id, ops, "Content-Type", "application/json-patch+json"); got[200] != parallel {
			t.Errorf("statuses %v", got)
		}
		r := c.do("GET", "/Patient/"+id, "").want(200).wantHeader("Etag", `W/"65"`)
		if n := r.at("name", "0", "given").Len(); n != parallel+1 {
			t.Errorf("%d names: a patch was lost", n)
		}
	})
}
