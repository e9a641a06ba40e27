package api

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/web"
)

// New returns the table's handler. Whoever calls is held against the route's need before Serve sees the request, and what Serve returns,
// a path that nobody serves, and a method that the path does not know are answered in the envelope.
//
// It refuses a table with a route without a need, a method, a path, a summary or a handler, with two routes of the same pattern, or with
// two of which neither is the narrower one: the error names each.
func New(routes []Route, with ...Option) (http.Handler, error) {
	f := &frame{mux: http.NewServeMux()}
	for _, o := range with {
		o(f)
	}
	var wrong []error
	for i := range routes {
		route := routes[i]
		if err := complete(route); err != nil {
			wrong = append(wrong, err)
			continue
		}
		if err := f.add(route); err != nil {
			wrong = append(wrong, err)
			continue
		}
		if !slices.Contains(f.methods, route.Method) {
			f.methods = append(f.methods, route.Method)
		}
	}
	if len(wrong) > 0 {
		return nil, errors.Join(wrong...)
	}
	if slices.Contains(f.methods, http.MethodGet) {
		f.methods = append(f.methods, http.MethodHead)
	}
	slices.Sort(f.methods)
	f.mux.HandleFunc("/", f.nowhere)
	return f.mux, nil
}

// Option changes how the frame works.
type Option func(*frame)

// Remember has requests with an Idempotency-Key done once. Without it the header is passed over.
func Remember(u Uses) Option { return func(f *frame) { f.uses = u } }

// complete says what a route lacks.
func complete(r Route) error {
	var lacks []string
	for what, there := range map[string]bool{"a method": r.Method != "", "a path that begins with /": strings.HasPrefix(r.Path, "/") && r.Path != "/",
		"a need": r.Need.kind != undecided && (r.Need.kind != permitted || r.Need.permission != ""), "a summary": r.Summary != "", "a handler": r.Serve != nil} {
		if !there {
			lacks = append(lacks, what)
		}
	}
	if len(lacks) == 0 {
		return nil
	}
	slices.Sort(lacks)
	return fmt.Errorf("api: the route %s %s lacks %s", r.Method, r.Path, strings.Join(lacks, ", "))
}

type frame struct {
	mux     *http.ServeMux
	methods []string // that any route serves, sorted
	uses    Uses     // nil: keys are passed over
}

// add enters a route. http.ServeMux says by a panic that two patterns collide.
func (f *frame) add(route Route) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("api: the route %s %s: %v", route.Method, route.Path, v)
		}
	}()
	f.mux.Handle(route.Method+" "+route.Path, f.serving(route))
	return nil
}

// serving is one route's handler.
func (f *frame) serving(route Route) http.HandlerFunc {
	life, params := lifeOf(route), route.params()
	return func(w http.ResponseWriter, r *http.Request) {
		web.SetRoute(w, route.Path)
		h := w.Header()
		h["X-Api-Version"] = version
		for _, l := range life {
			h[l.name] = append(h[l.name], l.value)
		}
		caller := access.From(r.Context())
		err := route.Need.Check(&caller)
		if err == nil && r.URL.RawQuery != "" {
			r = withRoute(r, &route)
		}
		if err == nil && route.Params != nil {
			err = hold(r, params)
		}
		if err == nil {
			err = f.do(w, r, &route)
		}
		if err != nil {
			Fail(w, r, err)
		}
	}
}

// do has the route serve, once where the request has a key.
func (f *frame) do(w http.ResponseWriter, r *http.Request, route *Route) error {
	if f.uses == nil || len(r.Header[keyHeader]) == 0 || !route.keyed() {
		return route.Serve(w, r)
	}
	key, err := keyOf(r)
	if err != nil {
		return err
	}
	return f.once(w, r, route, key)
}

var version = []string{web.APIVersion}

type header struct{ name, value string }

// lifeOf are the headers that tell of a route's end: Deprecation (RFC 9745), Sunset (RFC 8594), and a Link to its successor.
func lifeOf(r Route) []header {
	var out []header
	if !r.Deprecated.IsZero() {
		out = append(out, header{"Deprecation", "@" + strconv.FormatInt(r.Deprecated.Unix(), 10)})
	}
	if !r.Sunset.IsZero() {
		out = append(out, header{"Sunset", r.Sunset.UTC().Format(http.TimeFormat)})
	}
	if r.Successor != "" {
		out = append(out, header{"Link", "<" + r.Successor + `>; rel="successor-version"`})
	}
	if !r.Deprecated.IsZero() || !r.Sunset.IsZero() {
		out = append(out, header{"Link", `</api/v1/openapi.json>; rel="deprecation"; type="application/json"`})
	}
	return out
}

// nowhere answers where no route stands: 405 where the path serves other methods, else 404.
func (f *frame) nowhere(w http.ResponseWriter, r *http.Request) {
	web.SetRoute(w, "none")
	w.Header()["X-Api-Version"] = version
	var allowed []string
	for _, m := range f.methods {
		other := &http.Request{Method: m, Host: r.Host, URL: r.URL}
		if _, pattern := f.mux.Handler(other); pattern != "/" && pattern != "" {
			allowed = append(allowed, m)
		}
	}
	if len(allowed) == 0 {
		Fail(w, r, fault.New(fault.NotFound, "nothing stands at this path"))
		return
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	if r.Method == http.MethodOptions {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	Fail(w, r, fault.New(fault.MethodNotAllowed, "this path serves %s", strings.Join(allowed, ", ")))
}
