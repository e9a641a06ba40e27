// Package apitest judges descriptions of the product API by the rules of OpenAPI 3.1.
package apitest

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

type object = map[string]any

// Valid reports what in an OpenAPI document breaks the rules of OpenAPI 3.1.0 (sections 4.8.1 to 4.8.30) that bind what is made of routes: the members that must
// be there, names that must be unique, references that must lead somewhere, paths whose variable parts must be described, and schemas.
func Valid(t testing.TB, document []byte) {
	t.Helper()
	var doc object
	if err := json.Unmarshal(document, &doc); err != nil {
		t.Errorf("it is no JSON: %v", err)
		return
	}
	for _, wrong := range Problems(doc) {
		t.Error(wrong)
	}
}

// Problems are the rules that a document breaks.
func Problems(doc object) []string {
	j := &judge{doc: doc, ids: map[string]string{}}
	if v, _ := doc["openapi"].(string); !regexp.MustCompile(`^3\.1\.\d+$`).MatchString(v) {
		j.say("openapi", "is %q", v)
	}
	j.only("", doc, "openapi", "info", "jsonSchemaDialect", "servers", "paths", "webhooks", "components", "security", "tags", "externalDocs")
	info := j.object("info", doc["info"])
	for _, name := range []string{"title", "version"} {
		if s, _ := info[name].(string); s == "" {
			j.say("info."+name, "is missing")
		}
	}
	j.tags()
	components := j.object("components", doc["components"])
	for name, s := range j.object("components.schemas", components["schemas"]) {
		j.name("components.schemas", name)
		j.schema("components.schemas."+name, s)
	}
	for name, r := range j.object("components.responses", components["responses"]) {
		j.name("components.responses", name)
		j.response("components.responses."+name, r)
	}
	for name, s := range j.object("components.securitySchemes", components["securitySchemes"]) {
		if kind, _ := j.object(name, s)["type"].(string); !slices.Contains([]string{"apiKey", "http", "mutualTLS", "oauth2", "openIdConnect"}, kind) {
			j.say("components.securitySchemes."+name, "is of type %q", kind)
		}
	}
	j.paths()
	j.references("", doc)
	slices.Sort(j.wrong)
	return j.wrong
}

type judge struct {
	doc   object
	ids   map[string]string
	tag   map[string]bool
	wrong []string
}

func (j *judge) say(where, format string, args ...any) {
	j.wrong = append(j.wrong, where+": "+fmt.Sprintf(format, args...))
}

func (j *judge) object(where string, v any) object {
	o, ok := v.(object)
	if !ok && v != nil {
		j.say(where, "is no object")
	}
	return o
}

// only allows the members that there are, and extensions.
func (j *judge) only(where string, o object, names ...string) {
	for name := range o {
		if !strings.HasPrefix(name, "x-") && !slices.Contains(names, name) {
			j.say(where, "has an unknown member %s", name)
		}
	}
}

func (j *judge) name(where, name string) {
	if !regexp.MustCompile(`^[a-zA-Z0-9._-]+$`).MatchString(name) {
		j.say(where, "%q is no name of a component", name)
	}
}

func (j *judge) tags() {
	j.tag = map[string]bool{}
	list, _ := j.doc["tags"].([]any)
	for _, v := range list {
		name, _ := j.object("tags", v)["name"].(string)
		if name == "" || j.tag[name] {
			j.say("tags", "%q is empty or comes twice", name)
		}
		j.tag[name] = true
	}
}

var variable = regexp.MustCompile(`\{([^{}]*)\}`)

func (j *judge) paths() {
	hierarchies := map[string]string{}
	for path, v := range j.object("paths", j.doc["paths"]) {
		if !strings.HasPrefix(path, "/") || strings.ContainsAny(variable.ReplaceAllString(path, ""), "{}?#") {
			j.say(path, "is no path")
		}
		bare := variable.ReplaceAllString(path, "{}")
		if other, ok := hierarchies[bare]; ok {
			j.say(path, "is the same path as %s", other)
		}
		hierarchies[bare] = path
		item := j.object(path, v)
		j.only(path, item, "get", "put", "post", "delete", "options", "head", "patch", "trace", "summary", "description", "parameters", "servers")
		for method, op := range item {
			j.operation(path, method, j.object(path+" "+method, op))
		}
	}
}

func (j *judge) operation(path, method string, op object) {
	where := method + " " + path
	j.only(where, op, "tags", "summary", "description", "externalDocs", "operationId", "parameters", "requestBody", "responses", "callbacks", "deprecated", "security", "servers")
	id, _ := op["operationId"].(string)
	if other, ok := j.ids[id]; id == "" || ok {
		j.say(where, "its operationId %q is missing, or that of %s", id, other)
	}
	j.ids[id] = where
	if s, _ := op["summary"].(string); s == "" {
		j.say(where, "has no summary")
	}
	tags, _ := op["tags"].([]any)
	for _, t := range tags {
		if name, _ := t.(string); !j.tag[name] {
			j.say(where, "the tag %q is not declared", name)
		}
	}
	j.parameters(where, path, op["parameters"])
	if body := j.object(where, op["requestBody"]); body != nil {
		if method == "get" || method == "head" {
			j.say(where, "a body has no meaning there")
		}
		j.content(where+" body", body["content"], true)
	}
	responses := j.object(where, op["responses"])
	if len(responses) == 0 {
		j.say(where, "has no responses")
	}
	for code, r := range responses {
		if !regexp.MustCompile(`^([1-5]([0-9][0-9]|XX)|default)$`).MatchString(code) {
			j.say(where, "%q is no status", code)
		}
		j.response(where+" "+code, r)
	}
	j.security(where, op["security"])
}

func (j *judge) security(where string, v any) {
	schemes := j.object("", j.object("", j.doc["components"])["securitySchemes"])
	list, _ := v.([]any)
	for _, one := range list {
		for name := range j.object(where, one) {
			if schemes[name] == nil {
				j.say(where, "the security scheme %s is not described", name)
			}
		}
	}
}

func (j *judge) parameters(where, path string, v any) {
	list, _ := v.([]any)
	seen, described := map[string]bool{}, map[string]bool{}
	for _, one := range list {
		p := j.object(where, j.resolve(one))
		name, _ := p["name"].(string)
		in, _ := p["in"].(string)
		if name == "" || !slices.Contains([]string{"path", "query", "header", "cookie"}, in) {
			j.say(where, "a parameter %q stands in %q", name, in)
		}
		if seen[in+" "+name] {
			j.say(where, "the parameter %s comes twice", name)
		}
		seen[in+" "+name] = true
		if in == "path" {
			described[name] = true
			if p["required"] != true {
				j.say(where, "the path's %s is not required", name)
			}
		}
		if in == "header" && slices.Contains([]string{"accept", "content-type", "authorization"}, strings.ToLower(name)) {
			j.say(where, "the header %s is not described as a parameter", name)
		}
		if (p["schema"] == nil) == (p["content"] == nil) {
			j.say(where, "the parameter %s has not one schema", name)
		}
		j.schema(where+" "+name, p["schema"])
	}
	for _, m := range variable.FindAllStringSubmatch(path, -1) {
		if !described[m[1]] {
			j.say(where, "the path's %s is not described", m[1])
		}
		delete(described, m[1])
	}
	for name := range described {
		j.say(where, "%s is not in the path", name)
	}
}

func (j *judge) response(where string, v any) {
	r := j.object(where, j.resolve(v))
	j.only(where, r, "description", "headers", "content", "links")
	if _, ok := r["description"].(string); !ok {
		j.say(where, "has no description")
	}
	for name, h := range j.object(where, r["headers"]) {
		header := j.object(where+" "+name, j.resolve(h))
		j.only(where+" "+name, header, "description", "required", "deprecated", "schema", "content", "example", "examples", "style", "explode")
		j.schema(where+" "+name, header["schema"])
	}
	j.content(where, r["content"], false)
}

func (j *judge) content(where string, v any, needed bool) {
	content := j.object(where, v)
	if needed && len(content) == 0 {
		j.say(where, "has no content")
	}
	for kind, c := range content {
		if !strings.Contains(kind, "/") {
			j.say(where, "%q is no media type", kind)
		}
		media := j.object(where, c)
		j.only(where+" "+kind, media, "schema", "example", "examples", "encoding")
		j.schema(where+" "+kind, media["schema"])
	}
}

var types = []string{"null", "boolean", "object", "array", "number", "string", "integer"}

// schema judges a schema of JSON Schema 2020-12, as far as descriptions use it.
func (j *judge) schema(where string, v any) {
	if v == nil || v == true || v == false {
		return
	}
	s := j.object(where, v)
	if kind, ok := s["type"]; ok {
		if name, _ := kind.(string); !slices.Contains(types, name) {
			j.say(where, "there is no type %v", kind)
		}
	}
	props := j.object(where, s["properties"])
	for name, p := range props {
		j.schema(where+"."+name, p)
	}
	required, _ := s["required"].([]any)
	for i, name := range required {
		if _, ok := props[fmt.Sprint(name)]; !ok || slices.Contains(required[:i], name) {
			j.say(where, "%v is required, and is no member or comes twice", name)
		}
	}
	if enum, ok := s["enum"].([]any); ok {
		for i, one := range enum {
			if slices.Contains(enum[:i], one) {
				j.say(where, "the value %v comes twice", one)
			}
		}
	}
	j.schema(where+"[]", s["items"])
	j.schema(where+"{}", s["additionalProperties"])
	if _, ok := s["items"]; !ok && s["type"] == "array" {
		j.say(where, "says nothing of its items")
	}
}

// references judges each $ref of the document.
func (j *judge) references(where string, v any) {
	switch v := v.(type) {
	case object:
		if to, ok := v["$ref"].(string); ok && j.at(to) == nil {
			j.say(where, "%s leads nowhere", to)
		}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			j.references(where+"/"+name, v[name])
		}
	case []any:
		for i, one := range v {
			j.references(fmt.Sprintf("%s/%d", where, i), one)
		}
	}
}

func (j *judge) resolve(v any) any {
	if o, ok := v.(object); ok {
		if to, ok := o["$ref"].(string); ok {
			return j.at(to)
		}
	}
	return v
}

// at follows a reference within the document.
func (j *judge) at(to string) any {
	rest, ok := strings.CutPrefix(to, "#/")
	if !ok {
		return nil
	}
	var v any = j.doc
	for part := range strings.SplitSeq(rest, "/") {
		o, _ := v.(object)
		v = o[strings.NewReplacer("~1", "/", "~0", "~").Replace(part)]
	}
	return v
}
