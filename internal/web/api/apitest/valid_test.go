package apitest

import (
	"encoding/json"
	"strings"
	"testing"
)

const good = `{"openapi":"3.1.0","info":{"title":"x","version":"1"},"tags":[{"name":"a"}],"paths":{"/a/{id}":{"get":{"summary":"s","operationId":"o","tags":["a"],"security":[{"k":[]}],
"parameters":[{"name":"id","in":"path","required":true,"schema":{"type":"string"}}],"responses":{"2XX":{"description":"d","content":{"application/json":{"schema":{"$ref":"#/components/schemas/S"}}}}}}}},
"components":{"schemas":{"S":{"type":"object","properties":{"n":{"type":"array","items":{"type":"integer"}}},"required":["n"]}},"securitySchemes":{"k":{"type":"http","scheme":"bearer"}}}}`

func TestWhatIsWrongIsFound(t *testing.T) {
	Valid(t, []byte(good))
	for _, x := range []struct{ old, new, says string }{
		{`"3.1.0"`, `"3.0.3"`, "openapi"}, {`"title":"x",`, ``, "title"}, {`"/a/{id}"`, `"a/{id}"`, "is no path"}, {`"/a/{id}"`, `"/a/{it}"`, "it is not described"},
		{`"required":true,`, ``, "is not required"}, {`"operationId":"o",`, ``, "operationId"}, {`"2XX"`, `"2xx"`, "is no status"}, {`"description":"d",`, ``, "no description"},
		{`schemas/S"}`, `schemas/T"}`, "leads nowhere"}, {`"required":["n"]`, `"required":["m"]`, "is required"}, {`"integer"`, `"int"`, "no type"}, {`,"items":{"type":"integer"}`, ``, "nothing of its items"},
		{`{"k":[]}`, `{"z":[]}`, "security scheme"}, {`"tags":["a"]`, `"tags":["b"]`, "not declared"}, {`"responses":{`, `"resp":1,"responses":{`, "unknown member"},
		{`"schema":{"type":"string"}}]`, `"schema":{"type":"string"}},{"name":"id","in":"path","required":true,"schema":{}}]`, "comes twice"},
		{`"/a/{id}":{`, `"/a/{x}":{},"/a/{id}":{`, "the same path"}, {`"responses":{"2XX"`, `"requestBody":{"content":{"application/json":{}}},"responses":{"2XX"`, "no meaning"},
	} {
		text := strings.Replace(good, x.old, x.new, 1)
		var doc object
		if err := json.Unmarshal([]byte(text), &doc); err != nil {
			t.Fatalf("%s: %v", x.new, err)
		}
		if got := strings.Join(Problems(doc), "\n"); !strings.Contains(got, x.says) {
			t.Errorf("%s: %q does not say %q", x.new, got, x.says)
		}
	}
}
