// Package api is the product API's frame: a table of routes, each with the decision who may call it, the envelopes of its answers,
// and the OpenAPI description that follows from the table.
package api

import (
	"net/http"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
)

// Need is the decision of a route: who may call it. The zero Need admits nobody, so that a route without a decision serves nobody, and
// [New] refuses it.
type Need struct {
	kind       needKind
	permission string
}

type needKind uint8

const (
	undecided needKind = iota
	public
	known
	permitted
)

// Public admits everybody: signing in, discovery.
func Public() Need { return Need{kind: public} }

// Known admits whoever is signed in. The handler acts for the caller alone, or decides itself.
func Known() Need { return Need{kind: known} }

// Permission admits callers that hold the permission, such as "users:read".
func Permission(name string) Need { return Need{kind: permitted, permission: name} }

// String says the need in a word: "public", "known", or the permission.
func (n Need) String() string {
	switch n.kind {
	case public:
		return "public"
	case known:
		return "known"
	case permitted:
		return n.permission
	}
	return "undecided"
}

// Check admits the caller or says why not: Unauthenticated, or Forbidden.
func (n Need) Check(c *access.Caller) error {
	switch {
	case n.kind == public:
		return nil
	case n.kind == undecided:
		return fault.New(fault.Forbidden, "nobody may call this")
	case !c.Known():
		return fault.New(fault.Unauthenticated, "sign in first")
	case n.kind == permitted && !c.Permits(n.permission):
		return fault.New(fault.Forbidden, "this needs the permission %s", n.permission)
	}
	return nil
}

// Route is one line of the table.
type Route struct {
	Method  string
	Path    string // of an http.ServeMux: "/api/v1/users/{id}"
	Need    Need
	Summary string                                             // one line, for the OpenAPI description
	Help    string                                             // more of it, where a line does not do
	Tag     string                                             // the group that it is shown in; "": the first part of its path
	In, Out any                                                // zero values of the body's and the answer's types, for the description; nil: none
	Bare    bool                                               // Out is the whole answer, not an envelope's data
	Query   []string                                           // names of query parameters of which no more is said; Params says more
	Params  []Param                                            // the query's parameters, which the frame holds requests against; nil: it does not
	Exports bool                                               // it is a listing that can be had as a file: Serve calls [Exports] and [Export]
	Once    Once                                               // what an Idempotency-Key does at a POST; it is Kept where nothing is said
	Fails   []int                                              // statuses that it refuses with beside the usual ones
	Serve   func(w http.ResponseWriter, r *http.Request) error // errors are answered in the product API's envelope

	Deprecated time.Time // since when nobody should begin to use it (RFC 9745); zero: it is not deprecated
	Sunset     time.Time // when it is expected to stop (RFC 8594); zero: that is not known
	Successor  string    // the path that takes its place, "": none
}
