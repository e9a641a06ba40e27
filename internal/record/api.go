package record

import (
	"context"
	"time"

	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/search"
)

// Op is what a change does.
type Op uint8

// The changes.
const (
	Create Op = iota + 1
	Update    // by ID, or by Match; creates where nothing is there (update-as-create)
	Delete    // by ID, or by Match
	Patch     // by ID, or by Match: Apply on the current version
)

// Change is one wish of a writer. The resource belongs to the store from then on.
type Change struct {
	Op       Op
	Type, ID string         // ID "" for Create, and where Match says which
	Resource *fhir.Resource // Create, Update
	// Apply returns the patched resource; it gets a copy that it may change. Patch only. It may be called more than once.
	Apply func(*fhir.Resource) (*fhir.Resource, error)
	// FullURL is the entry's fullUrl in a transaction: references to it, in all resources of the set, become Type/id.
	FullURL string
	// IfMatch is the version that must be current; 0: any.
	IfMatch int64
	// IfNoneMatch says that nothing may be there yet (If-None-Match: *).
	IfNoneMatch bool
	// Match is a condition: for Create, do nothing where exactly one matches (If-None-Exist); for the others, which resource is
	// meant. More than one match is a PreconditionFailed.
	Match *search.Query
	// All lets a conditional Delete remove every match, up to MaxDeletes.
	All bool
}

// MaxDeletes is how many resources one conditional delete removes at most; more are refused as too costly.
const MaxDeletes = 1000

// Result says what became of a change.
type Result uint8

// The results.
const (
	Created   Result = iota + 1
	Updated          // a new version
	Unchanged        // the same content: no version was made (R4 http.html#update allows it); or If-None-Exist found one
	Deleted
	Absent // a delete that found nothing to delete
)

// Outcome is what became of one change. Version is the current one after it (the tombstone after a delete); nil for Absent.
type Outcome struct {
	Result  Result
	Version *Version
	Count   int // resources deleted, for a conditional Delete
}

// EntryError says which change of a set failed.
type EntryError struct {
	Index int
	Err   error // with a fault kind
}

// Error implements error.
func (e *EntryError) Error() string { return e.Err.Error() }

// Unwrap returns the failure itself.
func (e *EntryError) Unwrap() error { return e.Err }

// Version is one version of a resource, opened.
type Version struct {
	Num     int64 // the record's number
	Seq     int64 // the version's number: orders all versions of the store
	Type    string
	ID      string // the FHIR id
	VID     int64  // versionId: 1, 2, 3 …
	Updated time.Time
	Deleted bool
	Op      Op
	patient int64 // the number of the patient whose key seals it; 0: nobody's
	body    []byte
}

// Patient returns the number of the Patient record that the version belongs to; 0 where it belongs to none.
func (v *Version) Patient() int64 { return v.patient }

// JSON returns the resource as compact JSON with id, meta.versionId and meta.lastUpdated; nil for a tombstone.
func (v *Version) JSON() []byte { return v.body }

// HistoryQuery selects versions, newest first.
type HistoryQuery struct {
	Type, ID string    // both: an instance; Type: a type; none: everything
	Since    time.Time // zero: from the beginning; inclusive
	At       time.Time // zero, or: versions that were current at that time
	AtEnd    time.Time // not zero: at some time from At up to, not including, this
	Count    int       // page size, 1…
	Cursor   string
}

// HistoryPage is a part of a history. Next is "" on the last page.
type HistoryPage struct {
	Versions []*Version
	Total    int // -1: not counted
	Next     string
}

// Match is one resource of a page.
type Match struct {
	Version  *Version
	Included bool // by _include or _revinclude
}

// Page is one page of a search.
type Page struct {
	Matches []Match // with included ones behind the matches
	Total   int     // -1: not counted
	Exact   bool    // Total is exact
	Next    string  // cursor; "" on the last page
	Prev    string  // cursor; "" on the first page
}

// Rule is what must be true of one type, asked inside the transaction of every change. old is nil for a new resource, new
// for a delete. No network, no peer, no clock.
type Rule func(ctx context.Context, tx Tx, old, new *fhir.Resource) error
