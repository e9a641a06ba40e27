package api

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/fault"
)

// Kind is what a query parameter's value is.
type Kind string

// The kinds of parameters. The zero Kind is Text.
const (
	Text     Kind = "text"
	Whole    Kind = "whole"    // a whole number, within Least and Most where Most is not 0
	Number   Kind = "number"   // a decimal number
	Truth    Kind = "truth"    // true or false
	Date     Kind = "date"     // 2026-01-31
	DateTime Kind = "dateTime" // RFC 3339, or a date
)

// Param is a query parameter of a route. A route with Params, be it an empty list, is held against them before Serve is called: a parameter that is not among
// them, one that comes twice where Many is not set, and a value that is not of its kind or none of Enum are Invalid, by name. An empty value counts as
// absent, since front ends send those for filters that are not set.
type Param struct {
	Name        string
	Type        Kind
	Enum        []string // the values that there are; none: any
	Help        string   // what it does, in a line
	Least, Most int      // of Whole
	Many        bool     // it may come several times, and each may be a list with commas
	Required    bool
}

// Paged is the parameters of a listing by page or cursor: page, limit, cursor, and those given.
func Paged(more ...Param) []Param {
	return append([]Param{
		{Name: "page", Type: Whole, Least: 1, Most: 1<<31 - 1, Help: "the page, from 1"},
		{Name: "limit", Type: Whole, Least: 1, Most: MaxLimit, Help: "entries of a page; " + strconv.Itoa(DefaultLimit) + " where it is not said"},
		{Name: "cursor", Help: "where the next page begins, as the last one's pagination.next said; it takes the place of page"},
	}, more...)
}

// The parameters that the frame itself reads.
var (
	fieldsParam = Param{Name: "fields", Many: true, Help: "only these members of what is answered, with dots into objects: id,name,address.city"}
	formatParam = Param{Name: "format", Enum: []string{string(JSON), string(CSV), string(NDJSON)},
		Help: "csv or ndjson: the whole listing as a file, up to " + strconv.Itoa(MaxExport) + " entries, instead of a page; json is the page"}
	bomParam = Param{Name: "bom", Type: Truth, Help: "true: a CSV file begins with a byte order mark, for spreadsheets that guess the encoding otherwise"}
)

// params are all that the route reads: its own, and the frame's.
func (r *Route) params() []Param {
	all := slices.Clone(r.Params)
	for _, name := range r.Query {
		all = append(all, Param{Name: name})
	}
	if r.Method == http.MethodGet && !r.Bare {
		all = appendNew(all, fieldsParam)
	}
	if r.Exports {
		all = appendNew(all, formatParam)
		all = appendNew(all, bomParam)
	}
	return all
}

func appendNew(all []Param, p Param) []Param {
	if slices.ContainsFunc(all, func(q Param) bool { return q.Name == p.Name }) {
		return all
	}
	return append(all, p)
}

type routeKey struct{}

// withRoute notes in the context which route is served.
func withRoute(r *http.Request, route *Route) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), routeKey{}, route))
}

// routeOf is the route that is served; nil where a handler is called without the frame.
func routeOf(r *http.Request) *Route {
	route, _ := r.Context().Value(routeKey{}).(*Route)
	return route
}

// hold refuses a query that the parameters do not allow.
func hold(r *http.Request, params []Param) error {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return fault.New(fault.Invalid, "the query cannot be read")
	}
	names := make([]string, len(params))
	for i := range params {
		p := &params[i]
		names[i] = p.Name
		if err := p.hold(q[p.Name]); err != nil {
			return err
		}
	}
	return only(q, names)
}

// Only refuses a query with a parameter that is not among the names, by its name: Invalid. Without names those of the route count: its Query,
// its Params, and what the frame reads itself. A route that has Params needs no call.
func Only(r *http.Request, names ...string) error {
	if r.URL.RawQuery == "" {
		return nil
	}
	if route := routeOf(r); route != nil {
		for _, p := range route.params() {
			names = append(names, p.Name)
		}
	}
	return only(r.URL.Query(), names)
}

func only(q url.Values, names []string) error {
	var unknown []string
	for name := range q {
		if !slices.Contains(names, name) {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	slices.Sort(unknown)
	if len(names) == 0 {
		return fault.At(fault.Invalid, unknown[0], "is no parameter here: none is known")
	}
	names = slices.Clone(names)
	slices.Sort(names)
	return fault.At(fault.Invalid, unknown[0], "is no parameter here; known are %s", strings.Join(slices.Compact(names), ", "))
}

// hold refuses values that the parameter does not allow.
func (p *Param) hold(values []string) error {
	if len(values) > 1 && !p.Many {
		return fault.At(fault.Invalid, p.Name, "comes %d times", len(values)).WithCode("value")
	}
	said := false
	for _, v := range values {
		parts := []string{v}
		if p.Many {
			parts = strings.Split(v, ",")
		}
		for _, part := range parts {
			if part == "" {
				continue
			}
			said = true
			if err := p.holdOne(part); err != nil {
				return err
			}
		}
	}
	if p.Required && !said {
		return fault.At(fault.Invalid, p.Name, "is needed").WithCode("required")
	}
	return nil
}

func (p *Param) holdOne(v string) error {
	wrong := ""
	switch {
	case len(p.Enum) > 0:
		if !slices.Contains(p.Enum, v) {
			wrong = "must be one of " + strings.Join(p.Enum, ", ")
		}
	case p.Type == Whole:
		n, err := strconv.Atoi(v)
		switch {
		case p.Most != 0 && (err != nil || n < p.Least || n > p.Most):
			wrong = "must be a whole number from " + strconv.Itoa(p.Least) + " to " + strconv.Itoa(p.Most)
		case err != nil:
			wrong = "must be a whole number"
		}
	case p.Type == Number:
		if _, err := strconv.ParseFloat(v, 64); err != nil {
			wrong = "must be a number"
		}
	case p.Type == Truth:
		if v != "true" && v != "false" {
			wrong = "must be true or false"
		}
	case p.Type == Date:
		if _, err := time.Parse(time.DateOnly, v); err != nil {
			wrong = "must be a date such as 2026-01-31"
		}
	case p.Type == DateTime:
		_, asDate := time.Parse(time.DateOnly, v)
		if _, err := time.Parse(time.RFC3339, v); err != nil && asDate != nil {
			wrong = "must be a moment such as 2026-01-31T10:00:00+02:00, or a date"
		}
	}
	if wrong == "" {
		return nil
	}
	return fault.At(fault.Invalid, p.Name, "%s", wrong).WithCode("value")
}
