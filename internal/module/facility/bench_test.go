package facility_test

import (
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/storetest"
)

// thousand is a facility of 1,000 beds in 40 wards, of which 800 are occupied.
func thousand(b *testing.B) *world {
	b.Helper()
	w := newWorld(b, storetest.SQLite(b, tables()))
	for k := range 40 {
		w.house(fmt.Sprintf("ward%d", k), 25)
	}
	w.patients(1000)
	for k := range 40 {
		var set []record.Change
		for n := range 20 {
			set = append(set, put(lying(b, fmt.Sprintf("e%d-%d", k, n), fmt.Sprint(20*k+n+1), "in-progress", fmt.Sprintf("ward%d-%d", k, n+1))))
		}
		w.write(set...)
	}
	b.ResetTimer()
	return w
}

func (w *world) bench(b *testing.B, path string) {
	for b.Loop() {
		r, err := http.NewRequestWithContext(w.ctx, http.MethodGet, w.base+path, nil)
		if err != nil {
			b.Fatal(err)
		}
		r.Header.Set("X-Role", "nurse")
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			b.Fatal(err)
		}
		n, err := io.Copy(io.Discard, res.Body)
		if err != nil || res.StatusCode != 200 {
			b.Fatal(res.Status, err)
		}
		b.SetBytes(n)
		_ = res.Body.Close()
	}
}

// The whole bed board of a facility of 1,000 beds, over HTTP.
func BenchmarkBoard(b *testing.B) {
	w := thousand(b)
	b.Run("states", func(b *testing.B) { w.bench(b, "/api/v1/beds/board?facilityId=1&patients=false") })
	b.Run("patients", func(b *testing.B) { w.bench(b, "/api/v1/beds/board?facilityId=1") })
	b.Run("capacity", func(b *testing.B) { w.bench(b, "/api/v1/facilities/1/capacity") })
	b.Run("assign and release", func(b *testing.B) {
		k := 0
		for b.Loop() {
			bed := fmt.Sprintf("/api/v1/beds/ward0-%d", 21+k%5)
			w.want(200, "nurse", "POST", bed+"/assign", m{"patientId": "1000"})
			w.want(200, "nurse", "POST", bed+"/release", nil)
			w.want(200, "nurse", "PUT", bed+"/status", m{"status": "available"})
			k++
		}
	})
}
