package api_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/web"
	"github.com/nilecare/nilecare/internal/web/api"
	"github.com/nilecare/nilecare/internal/web/api/apitest"
)

type tree struct {
	Name   string          `json:"name" doc:"what it is called"`
	Kids   []tree          `json:"kids,omitempty"`
	At     time.Time       `json:"at"`
	Any    json.RawMessage `json:"any,omitempty"`
	By     map[string]int  `json:"by"`
	Maybe  *int64          `json:"maybe"`
	Num    int64           `json:"num,string"`
	Data   []byte          `json:"data"`
	hidden int             //nolint:unused // that it is not described is what is tested
	Hidden int             `json:"-"`
	Embedded
}

// Embedded has members that belong to the outer type.
type Embedded struct {
	Inner float64 `json:"inner"`
}

func TestOpenAPI(t *testing.T) {
	create := route("POST", "/api/v1/trees/{id}/kids", api.Permission("trees:create"))
	create.In, create.Out = tree{}, []tree{}
	list := route("GET", "/api/v1/trees", api.Public())
	list.Query, list.Out, list.Bare, list.Deprecated = []string{"page", "limit"}, tree{}, true, time.Unix(1, 0)
	routes := []api.Route{create, list}
	self, err := api.Describe(api.Info{Title: "nilecare", Version: "1.2.3"}, routes)
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, web.Options{}, append(routes, self)...)
	res, doc := ask(t, s, "GET", "/api/v1/openapi.json", "")
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "application/json; charset=utf-8" || at(doc, "openapi") != "3.1.0" || at(doc, "info.title") != "nilecare" {
		t.Fatalf("%d %v", res.StatusCode, doc)
	}
	paths := doc["paths"].(map[string]any)
	post, get := at(paths["/api/v1/trees/{id}/kids"], "post"), at(paths["/api/v1/trees"], "get")
	if paths["/api/v1/openapi.json"] == nil {
		t.Error("the description does not describe itself")
	}
	if at(post, "x-permission") != "trees:create" || at(get, "x-permission") != "public" || at(get, "deprecated") != true || len(at(get, "security").([]any)) != 0 || len(at(post, "security").([]any)) != 3 {
		t.Errorf("%v %v", post, get)
	}
	if got := text(t, at(post, "parameters")); got != `[{"description":"the id, as the API tells it","in":"path","name":"id","required":true,"schema":{"type":"string"}},{"$ref":"#/components/parameters/IdempotencyKey"}]` {
		t.Error(got)
	}
	if got := text(t, at(get, "parameters")); !strings.Contains(got, `"name":"page"`) || !strings.Contains(got, `"name":"limit"`) {
		t.Error(got)
	}
	if got := text(t, at(get, "responses.2XX.content")); got != `{"application/json":{"schema":{"$ref":"#/components/schemas/Tree"}}}` {
		t.Error(got)
	}
	if got := text(t, at(post, "responses.2XX.content")); !strings.Contains(got, `"data":{"items":{"$ref":"#/components/schemas/Tree"},"type":"array"}`) {
		t.Error(got)
	}
	want := `{"properties":{"any":{},"at":{"format":"date-time","type":"string"},"by":{"additionalProperties":{"type":"integer"},"type":"object"},` +
		`"data":{"contentEncoding":"base64","type":"string"},"inner":{"type":"number"},"kids":{"items":{"$ref":"#/components/schemas/Tree"},"type":"array"},` +
		`"maybe":{"format":"int64","type":"integer"},"name":{"description":"what it is called","type":"string"},"num":{"type":"string"}},` +
		`"required":["name","at","by","num","data","inner"],"type":"object"}`
	if got := text(t, at(doc, "components.schemas.Tree")); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	apitest.Valid(t, []byte(text(t, doc)))
}

// Error is a type whose name another schema has.
type Error struct {
	Status string   `json:"status" enum:"open,closed"`
	Kinds  []string `json:"kinds" enum:"a,b"`
}

func TestADescriptionOfManyRoutesIsValid(t *testing.T) {
	var routes []api.Route
	add := func(method, path string, change func(*api.Route)) {
		r := route(method, path, api.Known())
		if change != nil {
			change(&r)
		}
		routes = append(routes, r)
	}
	add("GET", "/api/v1/a-b", func(r *api.Route) {
		r.Exports, r.Params, r.Out = true, api.Paged(api.Param{Name: "s", Enum: []string{"x", "y"}, Many: true, Help: "what"}), []Error{}
	})
	add("GET", "/api/v1/a/b", nil) // of the same name, were it not for the second's number
	add("GET", "/a/b", func(r *api.Route) { r.Tag, r.Help = "other", "More." })
	add("GET", "/api/v1/users/{id}", nil)
	add("DELETE", "/api/v1/users/{user}", nil) // the same path, by another name
	add("GET", "/api/v1/files/{path...}", nil)
	add("GET", "/api/v1/end/{$}", nil)
	add("POST", "/api/v1/users/bulk", func(r *api.Route) { r.In, r.Out = api.BulkIn, api.BulkOut{} })
	add("POST", "/api/v1/keys", func(r *api.Route) { r.In, r.Once, r.Fails = Error{}, api.Secret, []int{412, 423} })
	add("POST", "/api/v1/asks", func(r *api.Route) { r.Once, r.Bare, r.Successor = api.Unkeyed, true, "/api/v2/asks" })
	text, err := api.OpenAPI(api.Info{Title: "x", Version: "1"}, routes)
	if err != nil {
		t.Fatal(err)
	}
	apitest.Valid(t, text)
	var doc map[string]any
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	paths, _ := doc["paths"].(map[string]any)
	of := func(path, method string) string { return string(marshal(t, at(paths[path], method))) }
	for _, x := range []struct{ in, has string }{
		{of("/api/v1/a-b", "get"), `"text/csv"`}, {of("/api/v1/a-b", "get"), `"pagination":{"$ref":"#/components/schemas/Pagination"}`}, {of("/api/v1/a-b", "get"), `"name":"fields"`},
		{of("/api/v1/a-b", "get"), `{"description":"what","explode":false,"in":"query","name":"s","schema":{"items":{"enum":["x","y"],"type":"string"},"type":"array"},"style":"form"}`},
		{of("/api/v1/a-b", "get"), `"401":{"$ref":"#/components/responses/Unauthenticated"}`}, {of("/api/v1/users/{id}", "delete"), `"name":"id"`}, {of("/api/v1/users/{id}", "get"), `"410"`},
		{of("/api/v1/files/{path}", "get"), `"name":"path"`}, {of("/api/v1/end/", "get"), `"summary"`}, {of("/api/v1/users/bulk", "post"), `207`}, {of("/api/v1/keys", "post"), `"423"`},
		{of("/api/v1/keys", "post"), `told once`}, {of("/api/v1/keys", "post"), `Idempotency-Replayed`}, {of("/api/v1/asks", "post"), `/api/v2/asks`}, {of("/a/b", "get"), `"tags":["other"]`},
		{string(text), `"status":{"enum":["open","closed"],"type":"string"}`}, {string(text), `"kinds":{"items":{"enum":["a","b"],"type":"string"},"type":"array"}`},
	} {
		if !strings.Contains(x.in, x.has) {
			t.Errorf("%s is not in\n%s", x.has, x.in)
		}
	}
	if strings.Contains(of("/api/v1/asks", "post"), "IdempotencyKey") {
		t.Error("a key is offered where it does nothing")
	}
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestThePageNeedsNothingFromElsewhere(t *testing.T) {
	documents, err := api.Documents(api.Info{Title: "nilecare", Version: "1.2.3", Description: "x"}, []api.Route{route("GET", "/api/v1/x", api.Public())})
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, web.Options{}, documents...)
	for path, kind := range map[string]string{"/docs": "text/html", "/docs/docs.js": "text/javascript", "/docs/docs.css": "text/css", "/openapi.json": "application/json"} {
		res, body, err := fetch(t, s.URL+path)
		policy := res.Header.Get("Content-Security-Policy")
		if err != nil || res.StatusCode != 200 || !strings.HasPrefix(res.Header.Get("Content-Type"), kind) || !strings.HasPrefix(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: %d %v", path, res.StatusCode, res.Header)
		}
		for _, no := range []string{"http://", "https://", "//cdn", "innerHTML", "eval(", "style=", "<script>", "onclick=\""} {
			if path != "/openapi.json" && strings.Contains(body, no) {
				t.Errorf("%s holds %q", path, no)
			}
		}
		res, _, _ = fetch(t, s.URL+path, "If-None-Match", res.Header.Get("ETag"))
		if res.StatusCode != 304 {
			t.Errorf("%s again: %d", path, res.StatusCode)
		}
	}
	if res, _ := ask(t, s, "GET", "/docs/other.js", ""); res.StatusCode != 404 {
		t.Error(res.StatusCode)
	}
}
