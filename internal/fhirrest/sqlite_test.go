package fhirrest_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/nilecare/nilecare/internal/fhirrest/resttest"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/record/sqlite"
	"github.com/nilecare/nilecare/internal/seal"
)

func TestOnSQLite(t *testing.T) {
	resttest.Run(t, func(t *testing.T) string { return resttest.Serve(t, onSQLite(t)) })
}

// onSQLite is an empty record on SQLite.
func onSQLite(t testing.TB) *record.Store {
	t.Helper()
	dir := t.TempDir()
	root, err := seal.FileRoot(filepath.Join(dir, "root.key"), true)
	if err != nil {
		t.Fatal(err)
	}
	e, err := sqlite.Open(context.Background(), sqlite.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	s, err := record.New(context.Background(), e, record.Options{Root: root})
	if err != nil {
		_ = e.Close()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
