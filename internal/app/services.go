package app

import (
	"context"
	"log/slog"
	"strings"
	"sync"

	"github.com/nilecare/nilecare/internal/web/api"
)

// service is one of the services that the product is made of: what it serves, and what it does when nobody asks. In one process are all of them; split, each
// stands at its own port, on the same database (docs/shapes.md).
type service struct {
	name   string   // as --target says it
	also   []string // other names that it goes by
	port   int      // that the contract gives it
	routes func(x *platform) []api.Route
	paths  []string                                                                     // what it serves beside its routes; one that ends with / stands for all below it
	tend   func(x *platform, ctx context.Context, log *slog.Logger, wg *sync.WaitGroup) // nil: nothing
}

// services is the table of all of them. What a service has to read and to do in the background it gets by care.hubOf and care.jobsOf, so that this happens
// where it is served.
func services() []service {
	return []service{
		{name: gatewayService, also: []string{"main"}, port: 7000, routes: func(x *platform) []api.Route { return x.care.gateway.Routes() }, paths: []string{"/"}},
		{name: "auth", also: []string{"identity"}, port: 7020, routes: (*platform).peopleRoutes, tend: (*platform).tendPeople,
			paths: []string{"/oauth2/", "/auth/", "/scim/", "/.well-known/", fhirPath + "/.well-known/"}},
		{name: "clinical", also: []string{"patients"}, port: 7001, routes: func(x *platform) []api.Route { return x.care.clinical.Routes() }},
		{name: "scheduling", also: []string{"appointment", "appointments"}, port: 7040, routes: func(x *platform) []api.Route { return x.care.scheduling.Routes() }},
		{name: "facility", also: []string{"facilities"}, port: 5001, routes: func(x *platform) []api.Route { return x.care.facility.Routes() }},
		{name: "lab", also: []string{"laboratory"}, port: 4005, routes: func(x *platform) []api.Route { return x.care.lab.Routes() }},
		{name: "medication", also: []string{"medications"}, port: 4003, routes: func(x *platform) []api.Route { return x.care.medication.Routes() }},
		{name: "billing", port: 5003, routes: func(x *platform) []api.Route { return x.care.billing.Routes() }},
		{name: "notification", also: []string{"notifications"}, port: 7002, routes: func(x *platform) []api.Route { return x.care.messageRoutes() }, paths: []string{"/socket.io/"},
			tend: (*platform).tendMessages},
		{name: "fhir", also: []string{"audit"}, port: 6001, routes: func(x *platform) []api.Route { return x.audits.Routes() }, paths: []string{fhirPath, fhirPath + "/"}},
	}
}

// gatewayService is the service without a database, which hands requests on to the others.
const gatewayService = "gateway"

// serviceOf returns the service that a name, or another name of it, means.
func serviceOf(name string) (service, bool) {
	for _, s := range services() {
		if s.name == name {
			return s, true
		}
		for _, other := range s.also {
			if other == name {
				return s, true
			}
		}
	}
	return service{}, false
}

// pathOwner is the service that serves a path beside the routes of the product API; "": none. The longest of the table's paths that fits decides.
func pathOwner(path string) string {
	owner, longest := "", 0
	for _, s := range services() {
		for _, p := range s.paths {
			if (p == path || len(p) > 1 && strings.HasSuffix(p, "/") && strings.HasPrefix(path, p)) && len(p) > longest {
				owner, longest = s.name, len(p)
			}
		}
	}
	return owner
}

// ownedRoute is a route of the product API with the service that serves it: the table by which the gateway hands requests on.
type ownedRoute struct {
	Service string `json:"service"`
	Method  string `json:"method"`
	Path    string `json:"path"` // of an http.ServeMux
}

// ownedRoutes is the whole table.
func (x *platform) ownedRoutes() []ownedRoute {
	var out []ownedRoute
	for _, s := range services() {
		for _, r := range s.routes(x) {
			out = append(out, ownedRoute{s.name, r.Method, r.Path})
		}
	}
	return out
}

// servedRoutes are the routes of the services that this process is.
func (x *platform) servedRoutes(runs func(string) bool) []api.Route {
	var all []api.Route
	for _, s := range services() {
		if runs(s.name) {
			all = append(all, s.routes(x)...)
		}
	}
	return all
}
