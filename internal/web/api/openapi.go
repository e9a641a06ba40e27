package api

import (
	"encoding"
	"encoding/json"
	"net/http"
	"path"
	"reflect"
	"regexp"
	"strings"
	"time"
)

// Info says what an OpenAPI description is of.
type Info struct {
	Title       string
	Version     string
	Description string
}

var (
	timeType = reflect.TypeFor[time.Time]()
	rawType  = reflect.TypeFor[json.RawMessage]()
	textType = reflect.TypeFor[encoding.TextMarshaler]()
	selfType = reflect.TypeFor[json.Marshaler]()
)

type object = map[string]any

// OpenAPI describes the table in OpenAPI 3.1: each route with its need (x-permission), its path's and query's parameters, and the types of
// body and answer, which are read from In and Out as encoding/json would write them.
func OpenAPI(info Info, routes []Route) ([]byte, error) {
	d := &describer{schemas: object{}, names: map[reflect.Type]string{}}
	paths := map[string]object{}
	for _, r := range routes {
		p := wildcards.ReplaceAllString(r.Path, "{$1}")
		if paths[p] == nil {
			paths[p] = object{}
		}
		paths[p][strings.ToLower(r.Method)] = d.operation(r)
	}
	d.schemas["Error"] = errorSchema()
	d.schemas["Metadata"] = metadataSchema()
	d.schemas["Pagination"] = paginationSchema()
	return json.Marshal(object{
		"openapi": "3.1.0",
		"info":    object{"title": info.Title, "version": info.Version, "description": info.Description},
		"paths":   paths,
		"components": object{
			"schemas": d.schemas,
			"securitySchemes": object{
				"bearer":  object{"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
				"apiKey":  object{"type": "apiKey", "in": "header", "name": "X-API-Key"},
				"session": object{"type": "apiKey", "in": "cookie", "name": "__Host-session"},
			},
		},
	})
}

// Describe returns the route that serves the table's description, its own line included.
func Describe(info Info, routes []Route) (Route, error) {
	self := Route{Method: http.MethodGet, Path: "/api/v1/openapi.json", Need: Public(), Summary: "This description, in OpenAPI 3.1", Bare: true}
	text, err := OpenAPI(info, append(routes[:len(routes):len(routes)], self))
	if err != nil {
		return Route{}, err
	}
	self.Serve = func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Cache-Control", "public, max-age=300")
		write(w, http.StatusOK, text)
		return nil
	}
	return self, nil
}

// wildcards are the variable parts of an http.ServeMux pattern.
var wildcards = regexp.MustCompile(`\{([A-Za-z0-9_]+)(?:\.\.\.)?\}`)

type describer struct {
	schemas object
	names   map[reflect.Type]string
}

func (d *describer) operation(r Route) object {
	op := object{"summary": r.Summary, "operationId": operationID(r), "x-permission": r.Need.String(), "responses": d.responses(r)}
	if tag := tagOf(r.Path); tag != "" {
		op["tags"] = []string{tag}
	}
	if r.Need.kind == public {
		op["security"] = []object{}
	} else {
		op["security"] = []object{{"bearer": []string{}}, {"apiKey": []string{}}, {"session": []string{}}}
	}
	var params []object
	for _, m := range wildcards.FindAllStringSubmatch(r.Path, -1) {
		params = append(params, object{"name": m[1], "in": "path", "required": true, "schema": object{"type": "string"}})
	}
	for _, q := range r.Query {
		params = append(params, object{"name": q, "in": "query", "schema": object{"type": "string"}})
	}
	if len(params) > 0 {
		op["parameters"] = params
	}
	if r.In != nil {
		op["requestBody"] = object{"required": true, "content": jsonOf(d.schema(reflect.TypeOf(r.In)))}
	}
	if !r.Deprecated.IsZero() {
		op["deprecated"] = true
	}
	if !r.Sunset.IsZero() {
		op["x-sunset"] = r.Sunset.UTC().Format(time.RFC3339)
	}
	return op
}

func (d *describer) responses(r Route) object {
	ok := object{"description": "Done"}
	switch {
	case r.Out != nil && r.Bare:
		ok["content"] = jsonOf(d.schema(reflect.TypeOf(r.Out)))
	case r.Out != nil:
		ok["content"] = jsonOf(object{"type": "object", "required": []string{"success", "data", "metadata"}, "properties": object{
			"success": object{"type": "boolean"}, "data": d.schema(reflect.TypeOf(r.Out)), "metadata": ref("Metadata"), "pagination": ref("Pagination")}})
	}
	out := object{"2XX": ok, "default": object{"description": "Refused, or failed", "content": jsonOf(ref("Error"))}}
	return out
}

func ref(name string) object          { return object{"$ref": "#/components/schemas/" + name} }
func jsonOf(schema any) object        { return object{"application/json": object{"schema": schema}} }
func typed(name string) object        { return object{"type": name} }
func formatted(name, f string) object { return object{"type": name, "format": f} }

// operationID is a name for generated clients: "getUsersById" of GET /api/v1/users/{id}.
func operationID(r Route) string {
	var b strings.Builder
	b.WriteString(strings.ToLower(r.Method))
	for part := range strings.SplitSeq(strings.TrimPrefix(r.Path, "/api/v1"), "/") {
		if strings.HasPrefix(part, "{") {
			part = "by-" + strings.Trim(part, "{}.$")
		}
		for word := range strings.FieldsFuncSeq(part, func(c rune) bool { return c == '-' || c == '.' || c == '_' }) {
			b.WriteString(strings.ToUpper(word[:1]) + word[1:])
		}
	}
	return b.String()
}

// tagOf is the path's first part behind the version.
func tagOf(p string) string {
	part, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(p, "/api/v1"), "/"), "/")
	return part
}

// schema describes a type as encoding/json writes it.
func (d *describer) schema(t reflect.Type) object {
	if t == nil {
		return object{}
	}
	switch {
	case t == timeType:
		return formatted("string", "date-time")
	case t == rawType:
		return object{}
	case t.Kind() == reflect.Pointer:
		return d.schema(t.Elem())
	case t.Implements(selfType) || reflect.PointerTo(t).Implements(selfType):
		return object{}
	case t.Implements(textType) || reflect.PointerTo(t).Implements(textType):
		return typed("string")
	}
	switch t.Kind() {
	case reflect.Bool:
		return typed("boolean")
	case reflect.String:
		return typed("string")
	case reflect.Float32, reflect.Float64:
		return typed("number")
	case reflect.Int64, reflect.Uint64:
		return formatted("integer", "int64")
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32:
		return typed("integer")
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			return object{"type": "string", "contentEncoding": "base64"}
		}
		return object{"type": "array", "items": d.schema(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": d.schema(t.Elem())}
	case reflect.Struct:
		return d.structure(t)
	}
	return object{}
}

// structure describes a struct: one with a name once, by reference.
func (d *describer) structure(t reflect.Type) object {
	if t.Name() == "" {
		return d.members(t)
	}
	name, known := d.names[t]
	if !known {
		name = d.nameFor(t)
		d.names[t] = name
		d.schemas[name] = object{} // taken, while its members are read
		d.schemas[name] = d.members(t)
	}
	return ref(name)
}

// nameFor is the type's name, with its package's where the name is taken.
func (d *describer) nameFor(t reflect.Type) string {
	clean := strings.NewReplacer("[", "_", "]", "", "/", "_", ",", "_", "*", "", ".", "_", "·", "_")
	name := clean.Replace(t.Name())
	name = strings.ToUpper(name[:1]) + name[1:]
	if _, taken := d.schemas[name]; taken || name == "Error" || name == "Metadata" || name == "Pagination" {
		pkg := path.Base(t.PkgPath())
		name = strings.ToUpper(pkg[:1]) + pkg[1:] + name
	}
	for _, taken := d.schemas[name]; taken; _, taken = d.schemas[name] {
		name += "_"
	}
	return name
}

func (d *describer) members(t reflect.Type) object {
	props := object{}
	var required []string
	for _, f := range reflect.VisibleFields(t) {
		tag := f.Tag.Get("json")
		name, options, _ := strings.Cut(tag, ",")
		if !f.IsExported() || tag == "-" || f.Anonymous && name == "" || hiddenBy(t, f) {
			continue
		}
		if name == "" {
			name = f.Name
		}
		s := d.schema(f.Type)
		if strings.Contains(","+options+",", ",string,") {
			s = typed("string")
		}
		if doc := f.Tag.Get("doc"); doc != "" {
			s["description"] = doc
		}
		props[name] = s
		if !strings.Contains(","+options+",", ",omitempty,") && !strings.Contains(","+options+",", ",omitzero,") && f.Type.Kind() != reflect.Pointer {
			required = append(required, name)
		}
	}
	out := object{"type": "object", "properties": props}
	if len(required) > 0 {
		out["required"] = required
	}
	return out
}

// hiddenBy reports a promoted field whose way leads through an embedded struct that has a name in JSON itself: it is a member there.
func hiddenBy(t reflect.Type, f reflect.StructField) bool {
	for i := 1; i < len(f.Index); i++ {
		outer := t.FieldByIndex(f.Index[:i])
		if name, _, _ := strings.Cut(outer.Tag.Get("json"), ","); name != "" {
			return true
		}
	}
	return false
}

func errorSchema() object {
	return object{"type": "object", "required": []string{"success", "error", "message", "metadata"}, "properties": object{
		"success": object{"const": false},
		"error": object{"type": "object", "required": []string{"code", "message", "details"}, "properties": object{
			"code": typed("string"), "message": typed("string"), "statusCode": typed("integer"),
			"details": object{"type": "array", "items": object{"type": "object", "properties": object{"field": typed("string"), "message": typed("string")}}}}},
		"message": typed("string"), "metadata": ref("Metadata")}}
}

func metadataSchema() object {
	return object{"type": "object", "properties": object{
		"timestamp": formatted("string", "date-time"), "requestId": typed("string"), "version": typed("string")}}
}

func paginationSchema() object {
	return object{"type": "object", "properties": object{"page": typed("integer"), "limit": typed("integer"), "total": typed("integer"),
		"pages": typed("integer"), "totalPages": typed("integer"), "hasNext": typed("boolean"), "hasPrevious": typed("boolean"), "next": typed("string")}}
}
