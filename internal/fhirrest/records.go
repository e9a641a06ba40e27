package fhirrest

import (
	"context"
	"time"

	"github.com/nilecare/nilecare/internal/fhir/search"
	"github.com/nilecare/nilecare/internal/record"
)

// Records is what this package asks of the store; *record.Store is it. Every error that a client may see carries a kind.
type Records interface {
	// Read returns the current version; NotFound or Gone where there is none.
	Read(ctx context.Context, typ, id string) (*record.Version, error)
	// ReadVersion returns one version; NotFound, or Gone for a tombstone.
	ReadVersion(ctx context.Context, typ, id string, vid int64) (*record.Version, error)
	// History returns a page of versions, newest first.
	History(ctx context.Context, q record.HistoryQuery) (*record.HistoryPage, error)
	// Search returns a page of what satisfies the query.
	Search(ctx context.Context, q *search.Query) (*record.Page, error)
	// Everything returns a page of what belongs to a Patient or Encounter, itself first.
	Everything(ctx context.Context, typ, id string, types []string, since time.Time, count int, cursor string) (*record.Page, error)
	// Write makes all changes or none; *record.EntryError says which one failed.
	Write(ctx context.Context, changes []record.Change) ([]record.Outcome, error)
}
