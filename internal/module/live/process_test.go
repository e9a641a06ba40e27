package live_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/nilecare/nilecare/internal/event"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/record/postgres"
	"github.com/nilecare/nilecare/internal/seal"
	"github.com/nilecare/nilecare/internal/storetest"
)

// What one process writes, the clients of all are told: once, and in order, whoever writes.
func TestEventsOfAnotherProcessAreTold(t *testing.T) {
	url := storetest.Database(t)
	root, err := seal.FileRoot(filepath.Join(t.TempDir(), "root.key"), true)
	if err != nil {
		t.Fatal(err)
	}
	process := func() *record.Store {
		e, err := postgres.Open(context.Background(), url)
		if err != nil {
			t.Fatal(err)
		}
		s, err := record.New(context.Background(), e, record.Options{Root: root, Tables: event.Tables()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		return s
	}
	one := process()
	if err := one.Ledger().Migrate(context.Background(), event.Module, event.Migrations()); err != nil {
		t.Fatal(err)
	}
	here, there := newWorld(t, one, nil), newWorld(t, process(), nil)
	clients := []*socket{here.connect("amina"), there.connect("amina")}
	stream := there.stream("amina", "", "")
	for i, w := range []*world{here, there, there, here} {
		w.put(appointment([]string{"a", "b", "c", "d"}[i], "booked", "Patient/amina"))
	}
	keys := []string{}
	for _, id := range []string{"a", "b", "c", "d"} {
		key, err := flat.New(one, nil, "").IDOf(system(), "Appointment", id)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	for i, key := range keys {
		for _, name := range []string{"appointment:created", "appointment:new"} {
			for n, c := range clients {
				if e := c.event(); e.name != name || e.data["appointmentId"] != key {
					t.Errorf("process %d: event %d is %v", n, i, e)
				}
			}
			if got, data := stream.next(); got != name || data["appointmentId"] != key {
				t.Errorf("stream: event %d is %s %v", i, got, data)
			}
		}
	}
}
