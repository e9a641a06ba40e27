package fhirrest

import (
	"strings"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/def"
)

// place is a sort of URL below the base.
type place uint8

const (
	atRoot place = iota
	atMetadata
	atSystemHistory
	atSystemSearch
	atSystemOperation
	atType
	atTypeSearch
	atTypeHistory
	atTypeOperation
	atInstance
	atInstanceHistory
	atInstanceOperation
	atVersion
	atCompartment
	atCompartmentSearch
	places
)

// patterns name the places in log lines and metrics.
var patterns = [places]string{
	atRoot:              "/",
	atMetadata:          "/metadata",
	atSystemHistory:     "/_history",
	atSystemSearch:      "/_search",
	atSystemOperation:   "/${operation}",
	atType:              "/{type}",
	atTypeSearch:        "/{type}/_search",
	atTypeHistory:       "/{type}/_history",
	atTypeOperation:     "/{type}/${operation}",
	atInstance:          "/{type}/{id}",
	atInstanceHistory:   "/{type}/{id}/_history",
	atInstanceOperation: "/{type}/{id}/${operation}",
	atVersion:           "/{type}/{id}/_history/{vid}",
	atCompartment:       "/{type}/{id}/{other}",
	atCompartmentSearch: "/{type}/{id}/{other}/_search",
}

// route is a URL below the base, taken apart.
type route struct {
	place     place
	typ       string // a concrete resource type of R4
	id        string // as given: not yet checked
	vid       string // as given
	operation string // without "$"
	other     string // the type searched in a compartment; "*" all
}

// parseRoute takes a decoded path below the base apart. Slashes at its end are tolerated. What is no place of R4's RESTful
// API, and a type that R4 does not have, is NotFound.
func parseRoute(path string) (route, error) {
	var seg [5]string
	n := 0
	rest := strings.Trim(path, "/")
	for more := rest != ""; more; n++ {
		if n == len(seg) {
			return route{}, noPlace()
		}
		seg[n], rest, more = strings.Cut(rest, "/")
		if seg[n] == "" {
			return route{}, noPlace()
		}
	}
	if n == 0 {
		return route{place: atRoot}, nil
	}
	if n == 1 {
		if p, ok := systemPlace(seg[0]); ok {
			return p, nil
		}
	}
	if t := def.Lookup(seg[0]); t == nil || t.Num == 0 {
		return route{}, fault.New(fault.NotFound, "%.64q is no resource type of FHIR R4", seg[0]).WithCode("not-supported")
	}
	return typePlace(seg, n)
}

func noPlace() error {
	return fault.New(fault.NotFound, "the URL names no interaction of the FHIR R4 RESTful API")
}

func systemPlace(s string) (route, bool) {
	switch {
	case s == "metadata":
		return route{place: atMetadata}, true
	case s == "_history":
		return route{place: atSystemHistory}, true
	case s == "_search":
		return route{place: atSystemSearch}, true
	case s[0] == '$':
		return route{place: atSystemOperation, operation: s[1:]}, true
	}
	return route{}, false
}

func typePlace(seg [5]string, n int) (route, error) {
	r := route{place: atType, typ: seg[0]}
	if n == 1 {
		return r, nil
	}
	if n == 2 {
		switch {
		case seg[1] == "_search":
			r.place = atTypeSearch
		case seg[1] == "_history":
			r.place = atTypeHistory
		case seg[1][0] == '$':
			r.place, r.operation = atTypeOperation, seg[1][1:]
		default:
			r.place, r.id = atInstance, seg[1]
		}
		return r, nil
	}
	r.id = seg[1]
	switch {
	case n == 3 && seg[2] == "_history":
		r.place = atInstanceHistory
	case n == 3 && seg[2][0] == '$':
		r.place, r.operation = atInstanceOperation, seg[2][1:]
	case n == 4 && seg[2] == "_history":
		r.place, r.vid = atVersion, seg[3]
	case n == 3, n == 4 && seg[3] == "_search":
		return compartmentPlace(r, seg[2], n)
	default:
		return route{}, noPlace()
	}
	return r, nil
}

func compartmentPlace(r route, other string, n int) (route, error) {
	r.place, r.other = atCompartment, other
	if n == 4 {
		r.place = atCompartmentSearch
	}
	if def.CompartmentOf(r.typ) == nil {
		return route{}, fault.New(fault.NotFound, "%s is no compartment", r.typ)
	}
	if other == "*" {
		return r, nil
	}
	if t := def.Lookup(other); t == nil || t.Num == 0 {
		return route{}, fault.New(fault.NotFound, "%.64q is no resource type of FHIR R4", other).WithCode("not-supported")
	}
	return r, nil
}

// checkID makes sure that a URL's id can be an id at all. For a write it is the request that is wrong, else there is
// just nothing there.
func checkID(id string, k fault.Kind) error {
	if fhir.ValidID(id) {
		return nil
	}
	return fault.New(k, "an id is 1 to 64 letters, digits, '-' and '.'").WithCode("value")
}
