package scim

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
)

// one is a resource that was read, with the verbs that change it.
type one struct {
	r      object
	change func(object) (object, error)
	delete func() error
}

// endpoint is what the interactions of one type of resources stand on.
type endpoint struct {
	kind   *kind
	find   func(ctx context.Context, tenant int32, q *query) (any, error)
	create func(ctx context.Context, tenant int32, r object) (object, error)
	// get reads a resource; whole says that it is read to be changed.
	get func(ctx context.Context, tenant int32, id string, x selection, whole bool) (*one, error)
}

func (s *Service) userEndpoint() endpoint {
	return endpoint{s.users, s.findUsers, s.createUser, func(ctx context.Context, tenant int32, id string, _ selection, _ bool) (*one, error) {
		r, u, err := s.user(ctx, tenant, id)
		if err != nil {
			return nil, err
		}
		return &one{r, func(to object) (object, error) { return s.changeUser(ctx, u, to) }, func() error { return s.deleteUser(ctx, u) }}, nil
	}}
}

func (s *Service) groupEndpoint() endpoint {
	return endpoint{s.groups, s.findGroups, s.createGroup, func(ctx context.Context, tenant int32, id string, x selection, whole bool) (*one, error) {
		r, role, err := s.group(ctx, tenant, id, whole || x.wants("members"))
		if err != nil {
			return nil, err
		}
		return &one{r, func(to object) (object, error) { return s.changeGroup(ctx, tenant, role, r, to) },
			func() error { return s.deleteGroup(ctx, tenant, role, r) }}, nil
	}}
}

// resources serves the interactions of RFC 7644 section 3.
func (s *Service) resources(on func(string, string, func(http.ResponseWriter, *http.Request, int32) error), e endpoint) {
	path := e.kind.path
	on("GET", path, func(w http.ResponseWriter, r *http.Request, tenant int32) error {
		q, err := searchOf(r)
		if err != nil {
			return err
		}
		return e.list(w, r, tenant, q)
	})
	on("POST", path+"/.search", func(w http.ResponseWriter, r *http.Request, tenant int32) error {
		in, err := body(r)
		if err != nil {
			return err
		}
		if err := mustBe(in, searchURN); err != nil {
			return err
		}
		q := &search{}
		if err := convert(in, q); err != nil {
			return failed(400, "invalidSyntax", "the search cannot be read")
		}
		return e.list(w, r, tenant, q)
	})
	on("POST", path, e.post)
	on("GET", path+"/{id}", e.read)
	on("PUT", path+"/{id}", e.put)
	on("PATCH", path+"/{id}", e.patch)
	on("DELETE", path+"/{id}", e.remove)
}

func convert(from object, to any) error {
	raw, err := json.Marshal(from)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, to)
}

func (e endpoint) list(w http.ResponseWriter, r *http.Request, tenant int32, in *search) error {
	q, err := in.query()
	if err != nil {
		return err
	}
	out, err := e.find(r.Context(), tenant, q)
	if err == nil {
		send(w, http.StatusOK, out)
	}
	return err
}

func selectionOf(r *http.Request) (selection, error) {
	q := r.URL.Query()
	return selects(q["attributes"], q["excludedAttributes"])
}

// answer sends a resource with its version and place.
func answer(w http.ResponseWriter, status int, r object, x selection) {
	w.Header().Set("ETag", version(r))
	w.Header().Set("Location", text(get(objectOf(r["meta"]), "location")))
	send(w, status, x.of(r))
}

func (e endpoint) post(w http.ResponseWriter, r *http.Request, tenant int32) error {
	x, err := selectionOf(r)
	if err != nil {
		return err
	}
	in, err := body(r)
	if err != nil {
		return err
	}
	if err := mustBe(in, e.kind.urn); err != nil {
		return err
	}
	made, err := e.create(r.Context(), tenant, in)
	if err == nil {
		answer(w, http.StatusCreated, made, x)
	}
	return err
}

func (e endpoint) read(w http.ResponseWriter, r *http.Request, tenant int32) error {
	x, err := selectionOf(r)
	if err != nil {
		return err
	}
	have, err := e.get(r.Context(), tenant, r.PathValue("id"), x, true)
	if err != nil {
		return err
	}
	if tags := r.Header.Get("If-None-Match"); tags != "" && tagged(tags, version(have.r)) {
		w.Header().Set("ETag", version(have.r))
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	answer(w, http.StatusOK, have.r, x)
	return nil
}

// tagged reports a version among those of a header, weakly compared.
func tagged(header, version string) bool {
	for _, tag := range strings.Split(header, ",") {
		tag = strings.TrimSpace(tag)
		if tag == "*" || strings.TrimPrefix(tag, "W/") == strings.TrimPrefix(version, "W/") {
			return true
		}
	}
	return false
}

// held reads the resource that is to be changed, and holds it against If-Match.
func (e endpoint) held(r *http.Request, tenant int32) (*one, error) {
	have, err := e.get(r.Context(), tenant, r.PathValue("id"), selection{}, true)
	if err != nil {
		return nil, err
	}
	if tags := r.Header.Get("If-Match"); tags != "" && !tagged(tags, version(have.r)) {
		return nil, failed(http.StatusPreconditionFailed, "", "the resource has another version now")
	}
	return have, nil
}

func (e endpoint) put(w http.ResponseWriter, r *http.Request, tenant int32) error {
	x, err := selectionOf(r)
	if err != nil {
		return err
	}
	in, err := body(r)
	if err != nil {
		return err
	}
	if err := mustBe(in, e.kind.urn); err != nil {
		return err
	}
	have, err := e.held(r, tenant)
	if err != nil {
		return err
	}
	if id := text(get(in, "id")); id != "" && id != r.PathValue("id") {
		return failed(http.StatusBadRequest, "mutability", "the id of a resource does not change")
	}
	changed, err := have.change(in)
	if err == nil {
		answer(w, http.StatusOK, changed, x)
	}
	return err
}

func (e endpoint) patch(w http.ResponseWriter, r *http.Request, tenant int32) error {
	x, err := selectionOf(r)
	if err != nil {
		return err
	}
	in, err := body(r)
	if err != nil {
		return err
	}
	if err := mustBe(in, patchURN); err != nil {
		return err
	}
	ops, err := operationsOf(in)
	if err != nil {
		return err
	}
	have, err := e.held(r, tenant)
	if err != nil {
		return err
	}
	to, err := e.kind.patch(have.r, ops)
	if err != nil {
		return err
	}
	changed, err := have.change(to)
	if err == nil {
		answer(w, http.StatusOK, changed, x)
	}
	return err
}

func operationsOf(in object) ([]operation, error) {
	var out []operation
	for _, v := range list(get(in, "Operations")) {
		o := objectOf(v)
		path := get(o, "path")
		if _, ok := path.(string); o == nil || path != nil && !ok {
			return nil, failed(http.StatusBadRequest, "invalidSyntax", "an operation is an object with op, path and value")
		}
		out = append(out, operation{text(get(o, "op")), text(path), get(o, "value")})
	}
	return out, nil
}

func (e endpoint) remove(w http.ResponseWriter, r *http.Request, tenant int32) error {
	have, err := e.held(r, tenant)
	if err != nil {
		return err
	}
	if err := have.delete(); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
