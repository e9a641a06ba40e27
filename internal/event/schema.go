package event

import (
	"bytes"
	"embed"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/fault"
)

//go:embed schema
var schemas embed.FS

// SchemaFile is the name of the file, below internal/event/schema, that keeps the schema of a kind's version.
func SchemaFile(name string, version int) string {
	return name + ".v" + strconv.Itoa(version) + ".json"
}

// Schema returns the JSON Schema (2020-12) of a kind's data, in its present version or an older one. NotFound.
func (h *Hub) Schema(name string, version int) ([]byte, error) {
	k, ok := h.telling.kinds[name]
	if ok && version == k.Version {
		return k.Schema()
	}
	if ok && version > 0 && version < k.Version {
		if text, err := schemas.ReadFile("schema/" + SchemaFile(name, version)); err == nil {
			return text, nil
		}
	}
	return nil, fault.New(fault.NotFound, "there is no schema of this kind and version")
}

type object = map[string]any

// Schema returns the JSON Schema (2020-12) of the kind's data, as its Go type says: members without omitempty are always there, pointers may be null.
// It fails for a type that JSON cannot say, or that says nothing, such as any.
func (k Kind) Schema() ([]byte, error) {
	s, err := schemaOf(reflect.TypeOf(k.Data), nil)
	if err != nil {
		return nil, fmt.Errorf("event: %s: %w", k.Name, err)
	}
	if s["type"] != "object" || s["properties"] == nil {
		return nil, fmt.Errorf("event: the data of %s must be a struct", k.Name)
	}
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["$id"] = schemaURI(defaultSource, k)
	s["title"], s["description"], s["x-topic"] = k.Name, k.Summary, k.Topic
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err = e.Encode(s)
	return b.Bytes(), err
}

var (
	timeType = reflect.TypeFor[time.Time]()
	textType = reflect.TypeFor[encoding.TextMarshaler]()
	selfType = reflect.TypeFor[json.Marshaler]()
)

// schemaOf is what encoding/json makes of a type. within are the structs that it stands in.
func schemaOf(t reflect.Type, within []reflect.Type) (object, error) {
	switch {
	case t == nil:
		return nil, fmt.Errorf("there is no type")
	case t == timeType:
		return object{"type": "string", "format": "date-time"}, nil
	case t.Kind() == reflect.Pointer:
		s, err := schemaOf(t.Elem(), within)
		if name, ok := s["type"].(string); ok {
			s["type"] = []string{name, "null"}
		}
		return s, err
	case t.Implements(selfType):
		return nil, fmt.Errorf("what %s says in JSON cannot be known", t)
	case t.Implements(textType):
		return object{"type": "string"}, nil
	}
	switch t.Kind() {
	case reflect.String:
		return object{"type": "string"}, nil
	case reflect.Bool:
		return object{"type": "boolean"}, nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return object{"type": "integer"}, nil
	case reflect.Float32, reflect.Float64:
		return object{"type": "number"}, nil
	case reflect.Slice, reflect.Array:
		items, err := schemaOf(t.Elem(), within)
		typ := any([]string{"array", "null"})
		if t.Kind() == reflect.Array {
			typ = "array"
		} else if t.Elem().Kind() == reflect.Uint8 {
			return object{"type": []string{"string", "null"}, "contentEncoding": "base64"}, nil
		}
		return object{"type": typ, "items": items}, err
	case reflect.Map:
		values, err := schemaOf(t.Elem(), within)
		if err == nil && t.Key().Kind() != reflect.String {
			err = fmt.Errorf("%s has keys that are no strings", t)
		}
		return object{"type": []string{"object", "null"}, "additionalProperties": values}, err
	case reflect.Struct:
		return schemaOfStruct(t, within)
	}
	return nil, fmt.Errorf("%s is no type of an event's data", t)
}

func schemaOfStruct(t reflect.Type, within []reflect.Type) (object, error) {
	if slices.Contains(within, t) {
		return nil, fmt.Errorf("%s stands in itself", t)
	}
	within = append(within[:len(within):len(within)], t)
	properties, required := object{}, []string{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" && options == "" || !f.IsExported() && !f.Anonymous {
			continue
		}
		if f.Anonymous && name == "" {
			s, err := schemaOf(f.Type, within)
			if err != nil {
				return nil, err
			}
			inner, _ := s["properties"].(object)
			for member, of := range inner {
				properties[member] = of
			}
			must, _ := s["required"].([]string)
			required = append(required, must...)
			continue
		}
		if name == "" {
			name = f.Name
		}
		s, err := schemaOf(f.Type, within)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		options = "," + options + ","
		if strings.Contains(options, ",string,") {
			s = object{"type": "string"}
		}
		properties[name] = s
		if !strings.Contains(options, ",omitempty,") && !strings.Contains(options, ",omitzero,") {
			required = append(required, name)
		}
	}
	slices.Sort(required)
	return object{"type": "object", "properties": properties, "required": slices.Compact(required)}, nil
}

// Breaks names what a reader that was written for the one schema may stumble over when it gets data of the other: members that are gone, of another type, or
// not always there any more, members that must be there now and need not before, and another topic. None: the change is compatible.
func Breaks(was, is []byte) ([]string, error) {
	var a, b object
	if err := json.Unmarshal(was, &a); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(is, &b); err != nil {
		return nil, err
	}
	var out []string
	if a["x-topic"] != b["x-topic"] {
		out = append(out, fmt.Sprintf("it goes to the topic %v, not %v", b["x-topic"], a["x-topic"]))
	}
	return append(out, breaks("", a, b)...), nil
}

func breaks(at string, was, is object) (out []string) {
	name := strings.TrimPrefix(at, ".")
	if name == "" {
		name = "the data"
	}
	if x, y := typesOf(was), typesOf(is); !slices.Equal(x, y) {
		return []string{fmt.Sprintf("%s is %s, and was %s", name, strings.Join(y, " or "), strings.Join(x, " or "))}
	}
	if was["format"] != is["format"] || was["contentEncoding"] != is["contentEncoding"] {
		out = append(out, name+" has another format")
	}
	for _, part := range []string{"items", "additionalProperties"} {
		x, _ := was[part].(object)
		y, _ := is[part].(object)
		if x != nil && y != nil {
			out = append(out, breaks(at+"[]", x, y)...)
		}
	}
	x, _ := was["properties"].(object)
	y, _ := is["properties"].(object)
	before, now := namesOf(was["required"]), namesOf(is["required"])
	for _, member := range slices.Sorted(keysOf(x)) {
		path := strings.TrimPrefix(at+"."+member, ".")
		switch {
		case y[member] == nil:
			out = append(out, path+" is gone")
			continue
		case slices.Contains(before, member) && !slices.Contains(now, member):
			out = append(out, path+" is not always there any more")
		case !slices.Contains(before, member) && slices.Contains(now, member):
			out = append(out, path+" must be there now")
		}
		m, _ := x[member].(object)
		n, _ := y[member].(object)
		out = append(out, breaks(at+"."+member, m, n)...)
	}
	for _, member := range slices.Sorted(keysOf(y)) {
		if x[member] == nil && slices.Contains(now, member) {
			out = append(out, strings.TrimPrefix(at+"."+member, ".")+" is new and must be there: give it omitempty")
		}
	}
	return out
}

func keysOf(o object) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range o {
			if !yield(k) {
				return
			}
		}
	}
}

func typesOf(o object) []string {
	if s, ok := o["type"].(string); ok {
		return []string{s}
	}
	out := namesOf(o["type"])
	slices.Sort(out)
	return out
}

func namesOf(v any) (out []string) {
	list, _ := v.([]any)
	for _, one := range list {
		if s, ok := one.(string); ok {
			out = append(out, s)
		}
	}
	return out
}
