package app

import (
	"path/filepath"
	"testing"

	"github.com/nilecare/nilecare/internal/event"
	"github.com/nilecare/nilecare/internal/event/eventtest"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/storetest"
	"github.com/nilecare/nilecare/internal/testfind"
)

// TestEventSchemas holds the kinds of events of all modules against the schemas that readers outside of the program rely on. What may be written is, with
// -args -update; internal/event/schema/README.md says how a new version is made.
func TestEventSchemas(t *testing.T) {
	store := storetest.SQLite(t, record.Options{})
	var kinds []event.Kind
	for _, s := range sources(store.Ledger()) {
		kinds = append(kinds, s.Kinds...)
	}
	if len(kinds) == 0 {
		t.Fatal("no module tells of anything")
	}
	problems, err := eventtest.Check(filepath.Join(testfind.Root(), "internal", "event", "schema"), kinds, *update)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Error(p)
	}
}
