package search

import (
	"time"

	"github.com/nilecare/nilecare/internal/fhir"
)

// Query is a parsed search.
type Query struct {
	Type      string      // the resource type, or "" for a search over several
	ByType    []TypedPred // one a type searched; a search on one type has one
	Sort      []SortKey   // empty: by number, oldest first
	Count     int         // page size asked for; -1: not said. 0 means the total alone
	Skip      int         // matches to leave out before the page, for listings by page number; not of the FHIR API
	Total     string      // "", none, estimate, accurate
	Summary   string      // "", true, text, data, count, false
	Elements  []string    // _elements
	Includes  []Include   // _include and _revinclude
	Contained string      // _contained as given; only "false" or "" is accepted
	Cursor    string      // opaque page mark; the store made it
	Applied   []Applied   // what the self link says, in order; without the cursor and the names of Options.Handled
	Ignored   []string    // parameters left out under lenient handling, with their modifiers, as written
}

// Applied is one parameter as it was understood.
type Applied struct{ Name, Value string }

// TypedPred is the condition for one type.
type TypedPred struct {
	Type string
	Pred Pred
}

// SortKey is one key of _sort. Exactly one of Special and Atoms is set. Where a parameter has several atoms, or a resource
// several rows, the least counts (Desc: the greatest).
type SortKey struct {
	Param   string // its code, for messages
	Special string // _id or _lastUpdated
	Atoms   []AtomRef
	Desc    bool
}

// Include is one _include or _revinclude.
type Include struct {
	Reverse bool
	Iterate bool
	Source  string    // the type that holds the reference; "*" any
	Param   string    // "*": all reference parameters
	Atoms   []AtomRef // empty for "*"
	Target  string    // only this type; "" any
}

// Doc is a resource with all that a predicate may ask of it.
type Doc struct {
	Resource *fhir.Resource
	Type, ID string
	Updated  time.Time
	Values   *Values
}
