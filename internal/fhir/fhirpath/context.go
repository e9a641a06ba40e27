package fhirpath

import (
	"time"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
)

// DefaultMaxSteps is the step budget of an evaluation whose context names none. A step is about one operation on one
// item; some 20 million of them take about a second.
const DefaultMaxSteps = 20_000_000

// Context is what an expression is evaluated on. The zero value evaluates expressions that need no data.
type Context struct {
	// Resource is %resource: the resource that holds the focus (a contained one, where the focus is inside of it).
	Resource *fhir.Resource
	// Root is %rootResource: the container of Resource where that is contained, else the same. Nil: Resource.
	Root *fhir.Resource
	// Focus is where the expression starts, and %context. Zero: Resource.
	Focus Item
	// Env holds further %variables by name, without the percent sign.
	Env map[string]Collection
	// Now is what now(), today() and timeOfDay() tell. Zero: those functions give nothing.
	Now time.Time
	// Resolve fetches what a literal reference names, or returns nil. Nil: fragments (contained resources) and the
	// entries of a Bundle that is Root are found; every other literal reference gives an unfetched item.
	Resolve func(reference string) *fhir.Resource
	// Trace receives what trace() is called on. Nil: nobody.
	Trace func(name string, items Collection)
	// AsFilters lets the function as() filter a collection of several items, as the operator does, where else it is an
	// error. R4's own invariants (dom-3) are written for it.
	AsFilters bool
	// MaxSteps bounds the evaluation. Zero: DefaultMaxSteps. Over it the error's kind is fault.TooCostly.
	MaxSteps int
}

// machine is the state of one evaluation.
type machine struct {
	ctx   *Context
	focus Item
	steps int
	free  []Collection
	one   [1]Item
}

// frame is what $this, $index and $total mean at a place of the expression.
type frame struct {
	this  Collection
	total Collection
	index int
}

// step charges n steps; an error where the budget is used up.
func (m *machine) step(n int) error {
	if m.steps -= n; m.steps < 0 {
		return fault.New(fault.TooCostly, "the FHIRPath expression takes more steps than are allowed")
	}
	return nil
}

// The limits on what an evaluation may hold; over them the error's kind is fault.TooCostly.
const (
	MaxItems = 1_000_000 // in one collection
	MaxText  = 16 << 20  // bytes of one string
)

// items refuses a collection that grows over the limit.
func (m *machine) items(n int) error {
	if n > MaxItems {
		return fault.New(fault.TooCostly, "the FHIRPath expression makes a collection of more than %d items", MaxItems)
	}
	return nil
}

// chars charges for making or reading a string of n bytes, and refuses one over the limit.
func (m *machine) chars(n int) error {
	if n > MaxText {
		return fault.New(fault.TooCostly, "the FHIRPath expression makes a string of more than %d bytes", MaxText)
	}
	return m.step(n / 64)
}

// maxKept is the capacity over which a buffer is not kept for the next use.
const maxKept = 4096

// get returns an empty buffer; put gives it back.
func (m *machine) get() Collection {
	if n := len(m.free); n > 0 {
		c := m.free[n-1]
		m.free = m.free[:n-1]
		return c
	}
	return make(Collection, 0, 8)
}

func (m *machine) put(c Collection) {
	clear(c)
	if cap(c) > maxKept {
		return
	}
	m.free = append(m.free, c[:0])
}

// fail makes an evaluation error; its text must not hold values.
func fail(format string, args ...any) error {
	return fault.New(fault.Unprocessable, "FHIRPath: "+format, args...)
}
