package facility_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/event"
	"github.com/nilecare/nilecare/internal/module/facility"
	"github.com/nilecare/nilecare/internal/record"
)

// What happens to beds is told, whoever did it.
func TestWhatHappensToBedsIsTold(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		l := w.store.Ledger()
		if err := l.Migrate(w.ctx, event.Module, event.Migrations()); err != nil {
			t.Fatal(err)
		}
		hub, err := event.New(w.ctx, event.Options{Store: w.store, Sources: []event.Source{facility.Source(l)}, Poll: 5 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var heard []string
		hub.Tail(func(e event.Event) {
			mu.Lock()
			defer mu.Unlock()
			heard = append(heard, fmt.Sprintf("%s %s %s", e.Kind.Name, e.Data, e.Patient))
		})
		ctx, cancel := context.WithCancel(w.ctx)
		done := make(chan struct{})
		go func() { defer close(done); hub.Run(ctx) }()
		defer func() { cancel(); <-done }()

		w.house("7", 0)
		w.patients(1)
		w.write(put(bed(t, "71", "7", "U")), put(bed(t, "72", "7", "U")))
		w.want(200, "nurse", "POST", "/api/v1/beds/71/assign", m{"patientId": "1", "encounterId": w.encounter("5")})
		w.write(put(lying(t, "5", "1", "in-progress", "72", "7"))) // the ward is a location too, and no bed
		w.write(put(lying(t, "5", "1", "finished")))
		w.write(record.Change{Op: record.Delete, Type: "Location", ID: "71"})
		want := []string{
			`facility.created {"facilityId":"1","type":"other","status":"active"} `,
			`department.created {"departmentId":"2","facilityId":"1","status":"active"} `,
			`ward.created {"wardId":"7","departmentId":"2","status":"active"} `,
			`bed.created {"bedId":"71","wardId":"7"} `, `ward.capacity_updated {"wardId":"7","bedId":"71","bedsChange":1,"occupiedChange":0} `,
			`bed.created {"bedId":"72","wardId":"7"} `, `ward.capacity_updated {"wardId":"7","bedId":"72","bedsChange":1,"occupiedChange":0} `,
			`bed.assigned {"bedId":"71","wardId":"7","patientId":"1","encounterId":"5"} Patient/1`, `ward.capacity_updated {"wardId":"7","bedId":"71","bedsChange":0,"occupiedChange":1} `,
			`bed.status_changed {"bedId":"71","wardId":"7","from":"available","to":"occupied"} `,
			`bed.released {"bedId":"71","wardId":"7","patientId":"1","encounterId":"5"} Patient/1`, `ward.capacity_updated {"wardId":"7","bedId":"71","bedsChange":0,"occupiedChange":-1} `,
			`bed.assigned {"bedId":"72","wardId":"7","patientId":"1","encounterId":"5"} Patient/1`, `ward.capacity_updated {"wardId":"7","bedId":"72","bedsChange":0,"occupiedChange":1} `,
			`bed.released {"bedId":"72","wardId":"7","patientId":"1","encounterId":"5"} Patient/1`, `ward.capacity_updated {"wardId":"7","bedId":"72","bedsChange":0,"occupiedChange":-1} `,
			`ward.capacity_updated {"wardId":"7","bedId":"71","bedsChange":-1,"occupiedChange":0} `,
		}
		deadline := time.Now().Add(20 * time.Second)
		for {
			mu.Lock()
			got := slices.Clone(heard)
			mu.Unlock()
			if slices.Equal(got, want) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("heard:\n%q\nwant:\n%q", got, want)
			}
			time.Sleep(5 * time.Millisecond)
		}
	})
}

// encounter makes an Encounter of patient 1 that lies nowhere.
func (w *world) encounter(id string) string {
	w.write(put(lying(w.t, id, "1", "in-progress")))
	return id
}
