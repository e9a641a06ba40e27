package api_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/web"
	"github.com/nilecare/nilecare/internal/web/api"
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
	if got := text(t, at(post, "parameters")); got != `[{"in":"path","name":"id","required":true,"schema":{"type":"string"}}]` {
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
	// Each reference leads somewhere.
	all, schemas := text(t, doc), at(doc, "components.schemas").(map[string]any)
	for _, part := range strings.Split(all, `"#/components/schemas/`)[1:] {
		name, _, _ := strings.Cut(part, `"`)
		if schemas[name] == nil {
			t.Errorf("%s is not described", name)
		}
	}
}
