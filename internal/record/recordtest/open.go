// Package recordtest is the suite that every engine of the record must pass.
package recordtest

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/seal"
)

// Opener opens an engine on one database. Called again it opens the same database anew; the caller closes what it got before.
type Opener func() (record.Engine, error)

// Open returns a store on the opener's database, closed at the end of the test. The root key is kept in dir.
func Open(t testing.TB, open Opener, dir string, o record.Options) *record.Store {
	t.Helper()
	root, err := seal.FileRoot(filepath.Join(dir, "root.key"), true)
	if err != nil {
		t.Fatal(err)
	}
	e, err := open()
	if err != nil {
		t.Fatal(err)
	}
	o.Root = root
	s, err := record.New(context.Background(), e, o)
	if err != nil {
		_ = e.Close()
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}
