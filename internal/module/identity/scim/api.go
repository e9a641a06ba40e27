package scim

import (
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/web"
)

// routes are the service's own: SCIM's answers and errors are not the product API's.
func (s *Service) routes() *http.ServeMux {
	m := http.NewServeMux()
	on := func(method, path string, f func(http.ResponseWriter, *http.Request, int32) error) {
		m.HandleFunc(method+" /scim/v2"+path, s.serve("/scim/v2"+path, f))
	}
	on("GET", "/ServiceProviderConfig", func(w http.ResponseWriter, _ *http.Request, tenant int32) error {
		send(w, http.StatusOK, config(s.base(tenant)))
		return nil
	})
	s.described(on, "/Schemas", s.schemas)
	s.described(on, "/ResourceTypes", s.resourceTypes)
	for _, e := range []endpoint{s.userEndpoint(), s.groupEndpoint()} {
		s.resources(on, e)
	}
	on("POST", "/Bulk", s.bulk)
	on("GET", "/Me", func(http.ResponseWriter, *http.Request, int32) error {
		return failed(http.StatusNotImplemented, "", "an API key is no user")
	})
	m.HandleFunc("/", s.serve("/scim/v2", func(http.ResponseWriter, *http.Request, int32) error {
		return failed(http.StatusNotFound, "", "nothing of this name and method stands here")
	}))
	return m
}

// serve admits callers who hold users:write, and answers errors in SCIM's form.
func (s *Service) serve(route string, f func(http.ResponseWriter, *http.Request, int32) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		web.SetRoute(w, route)
		c := access.From(r.Context())
		var err error
		switch {
		case !c.Known():
			w.Header().Set("WWW-Authenticate", "Bearer")
			err = failed(http.StatusUnauthorized, "", "a bearer token is needed")
		case !c.Permits("users:write"):
			err = failed(http.StatusForbidden, "", "this needs the permission users:write")
		default:
			err = f(w, r, c.Tenant)
		}
		if err != nil {
			e := failureOf(err)
			send(w, e.status, e.body())
		}
	}
}

// described serves a list of descriptions and each of them.
func (s *Service) described(on func(string, string, func(http.ResponseWriter, *http.Request, int32) error), path string, all func(string) []any) {
	on("GET", path, func(w http.ResponseWriter, r *http.Request, tenant int32) error {
		if r.URL.Query().Has("filter") { // RFC 7644 section 4
			return failed(http.StatusForbidden, "", "descriptions are not filtered")
		}
		list := all(s.base(tenant))
		send(w, http.StatusOK, object{"schemas": []string{listURN}, "totalResults": len(list), "startIndex": 1, "itemsPerPage": len(list), "Resources": list})
		return nil
	})
	on("GET", path+"/{id}", func(w http.ResponseWriter, r *http.Request, tenant int32) error {
		for _, one := range all(s.base(tenant)) {
			if o := objectOf(one); o["id"] == r.PathValue("id") {
				send(w, http.StatusOK, o)
				return nil
			}
		}
		return failed(http.StatusNotFound, "", "there is no such description")
	})
}

// body reads a JSON object.
func body(r *http.Request) (object, error) {
	if said := r.Header.Get("Content-Type"); said != "" {
		kind, _, err := mime.ParseMediaType(said)
		if err != nil || kind != "application/scim+json" && kind != "application/json" {
			return nil, failed(http.StatusUnsupportedMediaType, "", "Content-Type must be application/scim+json")
		}
	}
	raw, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return nil, failed(http.StatusBadRequest, "invalidSyntax", "the body cannot be read")
	}
	if len(raw) > maxBody {
		return nil, failed(http.StatusRequestEntityTooLarge, "", "the body is larger than %d bytes", maxBody)
	}
	var out object
	if err := decode(raw, &out); err != nil || out == nil {
		return nil, failed(http.StatusBadRequest, "invalidSyntax", "the body is no JSON object")
	}
	return out, nil
}

// mustBe refuses a message that is of another schema.
func mustBe(o object, urn string) error {
	for _, v := range list(get(o, "schemas")) {
		if strings.EqualFold(text(v), urn) {
			return nil
		}
	}
	return failed(http.StatusBadRequest, "invalidSyntax", "schemas must contain %s", urn)
}
