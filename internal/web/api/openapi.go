package api

import (
	"encoding"
	"encoding/json"
	"maps"
	"net/http"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strconv"
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

// OpenAPI describes the table in OpenAPI 3.1: each route with its need (x-permission), its path's, query's and headers' parameters, the types of
// body and answer, which are read from In and Out as encoding/json would write them, and the failures that it can have.
//
// Of a struct's members the tags doc (what it is) and enum (its values, with commas between them) are told.
func OpenAPI(info Info, routes []Route) ([]byte, error) {
	d := &describer{schemas: object{}, names: map[reflect.Type]string{}, ids: map[string]bool{}, hierarchies: map[string]string{}, tags: map[string]bool{}}
	for _, name := range reserved {
		d.schemas[name] = object{}
	}
	paths := map[string]object{}
	for _, r := range routes {
		p := d.pathOf(r.Path)
		if paths[p] == nil {
			paths[p] = object{}
		}
		paths[p][strings.ToLower(r.Method)] = d.operation(&r, p)
	}
	d.schemas["Error"], d.schemas["Metadata"], d.schemas["Pagination"] = errorSchema(), metadataSchema(), paginationSchema()
	tags := []object{}
	for _, name := range slices.Sorted(maps.Keys(d.tags)) {
		tags = append(tags, object{"name": name})
	}
	return json.Marshal(object{
		"openapi": "3.1.0",
		"info":    object{"title": info.Title, "version": info.Version, "description": info.Description},
		"servers": []object{{"url": "/"}},
		"tags":    tags,
		"paths":   paths,
		"components": object{
			"schemas":    d.schemas,
			"parameters": object{"IdempotencyKey": idempotencyKey()},
			"headers":    commonHeaders(),
			"responses":  failures(),
			"securitySchemes": object{
				"bearer":  object{"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
				"apiKey":  object{"type": "apiKey", "in": "header", "name": "X-API-Key"},
				"session": object{"type": "apiKey", "in": "cookie", "name": "__Host-session"},
			},
		},
	})
}

// reserved are the names of schemas that the frame itself describes.
var reserved = []string{"Error", "Metadata", "Pagination"}

// Describe returns the route that serves the table's description, its own line included.
func Describe(info Info, routes []Route) (Route, error) {
	all, err := Documents(info, routes)
	if err != nil {
		return Route{}, err
	}
	return all[1], nil
}

// wildcards are the variable parts of an http.ServeMux pattern.
var wildcards = regexp.MustCompile(`\{([A-Za-z0-9_]+)(?:\.\.\.)?\}`)

type describer struct {
	schemas     object
	names       map[reflect.Type]string
	ids         map[string]bool   // operations' names
	hierarchies map[string]string // a path without the names of its variable parts, and the path that stands for it
	tags        map[string]bool
}

// pathOf is a pattern as OpenAPI writes paths. Two that differ in the names of their variable parts alone are the same path there: the first one's names count.
func (d *describer) pathOf(pattern string) string {
	p := strings.TrimSuffix(wildcards.ReplaceAllString(pattern, "{$1}"), "{$}")
	bare := wildcards.ReplaceAllString(p, "{}")
	if first, ok := d.hierarchies[bare]; ok {
		return first
	}
	d.hierarchies[bare] = p
	return p
}

func (d *describer) operation(r *Route, path string) object {
	op := object{"summary": r.Summary, "operationId": d.operationID(r, path), "x-permission": r.Need.String(), "responses": d.responses(r)}
	if tag := r.tag(); tag != "" {
		op["tags"] = []string{tag}
		d.tags[tag] = true
	}
	if text := r.description(); text != "" {
		op["description"] = text
	}
	if r.Need.kind == public {
		op["security"] = []object{}
	} else {
		op["security"] = []object{{"bearer": []string{}}, {"apiKey": []string{}}, {"session": []string{}}}
	}
	if params := r.described(path); len(params) > 0 {
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

func (r *Route) tag() string {
	if r.Tag != "" {
		return r.Tag
	}
	return tagOf(r.Path)
}

// description is what a route's summary does not say.
func (r *Route) description() string {
	parts := []string{}
	if r.Help != "" {
		parts = append(parts, r.Help)
	}
	if r.Successor != "" {
		parts = append(parts, "Its successor is "+r.Successor+".")
	}
	if r.keyed() && r.Once == Secret {
		parts = append(parts, "The answer bears a secret, which is told once: with an Idempotency-Key a repetition is not done again, but a conflict.")
	}
	if r.isBulk() {
		parts = append(parts, "Each item is done by itself: the answer, 207 where any failed, tells the outcome of each.")
	}
	return strings.Join(parts, " ")
}

func (r *Route) isBulk() bool {
	return r.In != nil && reflect.TypeOf(r.In) == reflect.TypeFor[bulkBody]()
}

// described are the route's parameters.
func (r *Route) described(path string) []object {
	var out []object
	for _, m := range wildcards.FindAllStringSubmatch(path, -1) {
		out = append(out, object{"name": m[1], "in": "path", "required": true, "description": pathHelp(m[1]), "schema": typed("string")})
	}
	for _, p := range r.params() {
		o := object{"name": p.Name, "in": "query", "schema": p.schema()}
		if p.Help != "" {
			o["description"] = p.Help
		}
		if p.Required {
			o["required"] = true
		}
		if p.Many {
			o["style"], o["explode"] = "form", false
			o["schema"] = object{"type": "array", "items": p.schema()}
		}
		out = append(out, o)
	}
	if r.keyed() {
		out = append(out, object{"$ref": "#/components/parameters/IdempotencyKey"})
	}
	return out
}

// pathHelp says what a variable part of a path is.
func pathHelp(name string) string {
	if name == "id" || strings.HasSuffix(name, "Id") || strings.HasSuffix(name, "ID") {
		return "the id, as the API tells it"
	}
	return "the " + name
}

// schema is the parameter's, of one value.
func (p *Param) schema() object {
	if len(p.Enum) > 0 {
		return object{"type": "string", "enum": p.Enum}
	}
	switch p.Type {
	case Whole:
		s := typed("integer")
		if p.Most != 0 {
			s["minimum"], s["maximum"] = p.Least, p.Most
		}
		return s
	case Number:
		return typed("number")
	case Truth:
		return typed("boolean")
	case Date:
		return formatted("string", "date")
	case DateTime:
		return formatted("string", "date-time")
	}
	return typed("string")
}

func (r *Route) lists() bool {
	return slices.ContainsFunc(r.params(), func(p Param) bool { return p.Name == "page" })
}

func (d *describer) responses(r *Route) object {
	ok := object{"description": "Done", "headers": answerHeaders(r)}
	switch {
	case r.Bare && r.Out == nil:
	case r.Bare:
		ok["content"] = jsonOf(d.schema(reflect.TypeOf(r.Out)))
	default:
		ok["content"] = jsonOf(d.envelope(r))
	}
	if r.Exports {
		content, _ := ok["content"].(object)
		content["text/csv"] = object{"schema": typed("string")}
		content["application/x-ndjson"] = object{"schema": typed("string")}
	}
	out := object{"2XX": ok, "default": object{"$ref": "#/components/responses/Failed"}}
	for _, status := range r.failures() {
		out[strconv.Itoa(status)] = object{"$ref": "#/components/responses/" + failureNames[status].name}
	}
	return out
}

// envelope is the schema of an answer in the envelope.
func (d *describer) envelope(r *Route) object {
	data := object{}
	if r.Out != nil {
		data = d.schema(reflect.TypeOf(r.Out))
	}
	props := object{"success": typed("boolean"), "data": data, "metadata": ref("Metadata")}
	required := []string{"success", "data", "metadata"}
	if r.lists() {
		props["pagination"] = ref("Pagination")
		required = append(required, "pagination")
	}
	return object{"type": "object", "required": required, "properties": props}
}

// failures are the statuses that the route refuses with.
func (r *Route) failures() []int {
	out := []int{http.StatusTooManyRequests, http.StatusServiceUnavailable}
	variable, changes := strings.Contains(r.Path, "{"), r.Method != http.MethodGet && r.Method != http.MethodHead
	if variable || r.In != nil || len(r.params()) > 0 || r.keyed() {
		out = append(out, http.StatusBadRequest)
	}
	if r.Need.kind != public {
		out = append(out, http.StatusUnauthorized, http.StatusForbidden)
	}
	if variable {
		out = append(out, http.StatusNotFound, http.StatusGone)
	}
	if changes {
		out = append(out, http.StatusConflict, http.StatusUnprocessableEntity)
	}
	if r.In != nil {
		out = append(out, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType)
	}
	for _, status := range r.Fails {
		if _, known := failureNames[status]; known && !slices.Contains(out, status) {
			out = append(out, status)
		}
	}
	return out
}

// failureNames are the failures that are described once, by status.
var failureNames = map[int]struct{ name, says string }{
	http.StatusBadRequest:            {"Invalid", "The request cannot be understood; details name field and reason"},
	http.StatusUnauthorized:          {"Unauthenticated", "Sign in first, or the credentials are no good"},
	http.StatusForbidden:             {"Forbidden", "The caller lacks the permission"},
	http.StatusNotFound:              {"NotFound", "There is none, or none that the caller may see"},
	http.StatusMethodNotAllowed:      {"MethodNotAllowed", "The path serves other methods"},
	http.StatusNotAcceptable:         {"NotAcceptable", "It is not to be had in the form that was asked for"},
	http.StatusConflict:              {"Conflict", "It collides with what is there"},
	http.StatusGone:                  {"Gone", "It was there, and is deleted"},
	http.StatusPreconditionFailed:    {"PreconditionFailed", "The version that If-Match names is not current"},
	http.StatusRequestEntityTooLarge: {"TooLarge", "The body is larger than the limit"},
	http.StatusUnsupportedMediaType:  {"UnsupportedMedia", "The body is not of the type that is read"},
	http.StatusUnprocessableEntity:   {"Unprocessable", "It is understood, and breaks a rule; details name it"},
	http.StatusLocked:                {"Locked", "The account is closed for a while"},
	http.StatusTooManyRequests:       {"TooMany", "Too many requests: Retry-After says when to try again"},
	http.StatusServiceUnavailable:    {"Unavailable", "Not at the moment: Retry-After says when to try again"},
}

// failures describes them.
func failures() object {
	out := object{"Failed": object{"description": "Refused, or failed", "content": jsonOf(ref("Error")), "headers": object{"X-Request-Id": headerRef("RequestId")}}}
	for status, f := range failureNames {
		headers := object{"X-Request-Id": headerRef("RequestId")}
		switch status {
		case http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusLocked:
			headers["Retry-After"] = headerRef("RetryAfter")
		case http.StatusUnauthorized:
			headers["WWW-Authenticate"] = headerRef("Authenticate")
		}
		out[f.name] = object{"description": f.says, "content": jsonOf(ref("Error")), "headers": headers}
	}
	return out
}

func headerRef(name string) object { return object{"$ref": "#/components/headers/" + name} }

func commonHeaders() object {
	text := func(says string) object { return object{"description": says, "schema": typed("string")} }
	return object{
		"RequestId":    text("names the request, in the log and the audit: the caller's X-Request-Id where it sent one"),
		"RetryAfter":   object{"description": "seconds until it makes sense to try again", "schema": typed("integer")},
		"Authenticate": text("how to sign in (RFC 9110)"),
		"Replayed":     text("true: this is the answer that an earlier request with the same Idempotency-Key got"),
	}
}

func answerHeaders(r *Route) object {
	out := object{"X-Request-Id": headerRef("RequestId")}
	if r.keyed() {
		out["Idempotency-Replayed"] = headerRef("Replayed")
	}
	return out
}

func idempotencyKey() object {
	return object{"name": keyHeader, "in": "header", "description": "a name of the caller's own for this request, such as a UUID: however often it is sent within a day, it is done once, and answered alike. " +
		"Sent with another body it is 422; while the first is being done, 409", "schema": object{"type": "string", "minLength": 1, "maxLength": maxKey}}
}

func ref(name string) object          { return object{"$ref": "#/components/schemas/" + name} }
func jsonOf(schema any) object        { return object{"application/json": object{"schema": schema}} }
func typed(name string) object        { return object{"type": name} }
func formatted(name, f string) object { return object{"type": name, "format": f} }

// operationID is a name for generated clients: "getUsersById" of GET /api/v1/users/{id}. No two are alike.
func (d *describer) operationID(r *Route, path string) string {
	name := operationName(r.Method, path)
	for i, first := 2, name; d.ids[name]; i++ {
		name = first + strconv.Itoa(i)
	}
	d.ids[name] = true
	return name
}

func operationName(method, path string) string {
	var b strings.Builder
	b.WriteString(strings.ToLower(method))
	for part := range strings.SplitSeq(strings.TrimPrefix(path, "/api/v1"), "/") {
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
	if _, taken := d.schemas[name]; taken {
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
		if values := f.Tag.Get("enum"); values != "" {
			s = withEnum(s, strings.Split(values, ","))
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

// withEnum is a schema, or that of a list's items, with the values that there are.
func withEnum(s object, values []string) object {
	if items, ok := s["items"].(object); ok {
		return object{"type": "array", "items": withEnum(items, values)}
	}
	return object{"type": "string", "enum": values}
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
