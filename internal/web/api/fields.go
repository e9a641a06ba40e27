package api

import (
	"bytes"
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/nilecare/nilecare/internal/fault"
)

// maxFields is how many fields a request may name.
const maxFields = 100

// selection is what the parameter fields names, as a tree; a leaf stands for a member as a whole.
type selection struct {
	path string // "address.city"
	whole,
	found bool
	in map[string]*selection
}

// fieldsOf reads the parameter fields; nil: everything is wanted.
func fieldsOf(r *http.Request) (*selection, error) {
	if r.URL.RawQuery == "" {
		return nil, nil
	}
	root, n := &selection{in: map[string]*selection{}}, 0
	for _, v := range r.URL.Query()["fields"] {
		for name := range strings.SplitSeq(v, ",") {
			if name = strings.TrimSpace(name); name == "" {
				continue
			}
			if n++; n > maxFields {
				return nil, fault.At(fault.Invalid, "fields", "names more than %d fields", maxFields).WithCode("value")
			}
			if err := root.add(name); err != nil {
				return nil, err
			}
		}
	}
	if n == 0 {
		return nil, nil
	}
	return root, nil
}

func (s *selection) add(name string) error {
	at := s
	for part := range strings.SplitSeq(name, ".") {
		if part == "" || strings.ContainsFunc(part, func(c rune) bool {
			return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-'
		}) {
			return fault.At(fault.Invalid, "fields", "must be names of members with commas between them, such as id,address.city").WithCode("value")
		}
		if at.in[part] == nil {
			path := part
			if at.path != "" {
				path = at.path + "." + part
			}
			at.in[part] = &selection{path: path, in: map[string]*selection{}}
		}
		at = at.in[part]
	}
	at.whole = true
	return nil
}

// wants reports that a member, or what stands within it, is wanted.
func (s *selection) wants(path []string) bool {
	at := s
	for _, part := range path {
		if at = at.in[part]; at == nil {
			return false
		}
		if at.whole {
			at.found = true
			return true
		}
	}
	return len(at.in) > 0
}

// entry is a member of a JSON object.
type entry struct {
	name  string
	value json.RawMessage
}

// entriesOf reads the members of a JSON object in their order.
func entriesOf(object []byte) ([]entry, error) {
	dec := json.NewDecoder(bytes.NewReader(object))
	if _, err := dec.Token(); err != nil {
		return nil, err
	}
	var out []entry
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, err
		}
		var v json.RawMessage
		if err := dec.Decode(&v); err != nil {
			return nil, err
		}
		text, _ := name.(string)
		out = append(out, entry{text, v})
	}
	return out, nil
}

func appendObject(b []byte, entries []entry) []byte {
	b = append(b, '{')
	for i, e := range entries {
		if i > 0 {
			b = append(b, ',')
		}
		name, _ := json.Marshal(e.name) // a string always can
		b = append(b, name...)
		b = append(b, ':')
		b = append(b, e.value...)
	}
	return append(b, '}')
}

// pick returns what the selection wants of a JSON value: of a list each item, of an object its members, nothing of what has no members.
func (s *selection) pick(v []byte) ([]byte, error) {
	switch {
	case len(v) == 0:
		return v, nil
	case v[0] == '[':
		var items []json.RawMessage
		if err := json.Unmarshal(v, &items); err != nil {
			return nil, err
		}
		out := []byte{'['}
		for i, item := range items {
			if i > 0 {
				out = append(out, ',')
			}
			picked, err := s.pick(item)
			if err != nil {
				return nil, err
			}
			out = append(out, picked...)
		}
		return append(out, ']'), nil
	case v[0] != '{':
		return v, nil
	}
	entries, err := entriesOf(v)
	if err != nil {
		return nil, err
	}
	kept := entries[:0]
	for _, e := range entries {
		wanted := s.in[e.name]
		switch {
		case wanted == nil:
			continue
		case wanted.whole:
			wanted.found = true
		case len(e.value) > 0 && (e.value[0] == '{' || e.value[0] == '['):
			if e.value, err = wanted.pick(e.value); err != nil {
				return nil, err
			}
		default:
			continue
		}
		kept = append(kept, e)
	}
	return appendObject(nil, kept), nil
}

// sparse keeps of an answer's data what the request's fields name. Of a listing the things in it are meant, wherever they stand: data may be
// the list, or name it ({"patients": […]}); other members of such a data stay. Of a single answer the thing is meant: data itself, and the object
// in it that is the same thing under its name ({"id": "1", …, "patient": {"id": "1", …}}), or the only one with an id.
//
// A field that is unknown is Invalid, by name: where the route says the type of its answer, one that the type does not have, else one that
// none of the things has.
func sparse(r *http.Request, data []byte) ([]byte, error) {
	s, err := fieldsOf(r)
	if err != nil || s == nil || len(data) == 0 || data[0] != '{' && data[0] != '[' {
		return data, err
	}
	things := 1
	var out []byte
	if data[0] == '[' {
		if bytes.Equal(data, []byte("[]")) {
			things = 0
		}
		out, err = s.pick(data)
	} else {
		out, things, err = s.pickNamed(data)
	}
	if err != nil {
		return nil, err
	}
	return out, s.refuseUnknown(routeOf(r), things)
}

// pickNamed picks from a data that is an object. things is how many there were to pick from, at least.
func (s *selection) pickNamed(data []byte) (out []byte, things int, err error) {
	entries, err := entriesOf(data)
	if err != nil {
		return nil, 0, err
	}
	own := idOf(entries)
	var named, lists []int
	for i, e := range entries {
		switch {
		case isThing(e.value, own):
			named = append(named, i)
		case isList(e.value):
			lists = append(lists, i)
		}
	}
	if own == "" && len(named) == 0 && len(lists) > 0 {
		for _, i := range lists {
			if entries[i].value[1] != ']' {
				things++
			}
			if entries[i].value, err = s.pick(entries[i].value); err != nil {
				return nil, 0, err
			}
		}
		return appendObject(nil, entries), things, nil
	}
	if own == "" && len(named) != 1 {
		named = nil
	}
	var kept []entry
	for i, e := range entries {
		wanted := s.in[e.name]
		switch {
		case slices.Contains(named, i) && (wanted == nil || !wanted.whole):
			if e.value, err = s.pick(e.value); err != nil {
				return nil, 0, err
			}
		case wanted == nil:
			continue
		case wanted.whole:
			wanted.found = true
		default:
			if e.value, err = wanted.pick(e.value); err != nil {
				return nil, 0, err
			}
		}
		kept = append(kept, e)
	}
	return appendObject(nil, kept), 1, nil
}

// idOf is the JSON of an object's id; "" where it has none.
func idOf(entries []entry) string {
	for _, e := range entries {
		if e.name == "id" {
			return string(e.value)
		}
	}
	return ""
}

// isThing reports an object that has an id: own, where there is one.
func isThing(v []byte, own string) bool {
	if len(v) == 0 || v[0] != '{' {
		return false
	}
	entries, err := entriesOf(v)
	if err != nil {
		return false
	}
	id := idOf(entries)
	return id != "" && (own == "" || own == id)
}

// isList reports a list of objects, or an empty one.
func isList(v []byte) bool {
	if len(v) < 2 || v[0] != '[' {
		return false
	}
	rest := bytes.TrimLeft(v[1:], " \t\r\n")
	return rest[0] == '{' || rest[0] == ']'
}

// refuseUnknown refuses a field that there is not.
func (s *selection) refuseUnknown(route *Route, things int) error {
	var t reflect.Type
	if route != nil && route.Out != nil {
		t = reflect.TypeOf(route.Out)
	}
	for _, name := range sortedKeys(s.in) {
		one := s.in[name]
		if t != nil {
			if wrong := one.notIn(t); wrong != "" {
				return fault.At(fault.Invalid, "fields", "there is no field %s", wrong).WithCode("value")
			}
			continue
		}
		if wrong := one.missing(); wrong != "" && things > 0 {
			return fault.At(fault.Invalid, "fields", "there is no field %s", wrong).WithCode("value")
		}
	}
	return nil
}

func sortedKeys(m map[string]*selection) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// missing is the first field that was found nowhere; "" where each was.
func (s *selection) missing() string {
	if s.whole {
		if s.found {
			return ""
		}
		return s.path
	}
	for _, name := range sortedKeys(s.in) {
		if wrong := s.in[name].missing(); wrong != "" {
			return wrong
		}
	}
	return ""
}

// notIn is the first field that the answer's type does not have: neither itself, nor the things that it names.
func (s *selection) notIn(t reflect.Type) string {
	t = thingOf(t)
	places := []reflect.Type{t}
	if t.Kind() == reflect.Struct && !opaque(t) {
		for _, m := range membersOf(t) {
			places = append(places, thingOf(m.typ))
		}
	}
	for _, path := range s.leaves() {
		parts := strings.Split(path, ".")
		if !slices.ContainsFunc(places, func(p reflect.Type) bool { return p == t && opaque(p) || has(p, parts) }) {
			return path
		}
	}
	return ""
}

func (s *selection) leaves() []string {
	if s.whole {
		return []string{s.path}
	}
	var out []string
	for _, name := range sortedKeys(s.in) {
		out = append(out, s.in[name].leaves()...)
	}
	return out
}

// thingOf is the type behind pointers and lists.
func thingOf(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice && t != rawType || t.Kind() == reflect.Array {
		t = t.Elem()
	}
	return t
}

// opaque reports a type whose members are not told by the type.
func opaque(t reflect.Type) bool {
	return t.Kind() == reflect.Interface || t.Kind() == reflect.Map || t == rawType || t != timeType && (t.Implements(selfType) || reflect.PointerTo(t).Implements(selfType))
}

// has reports that a type has the member that the path leads to.
func has(t reflect.Type, path []string) bool {
	t = thingOf(t)
	if len(path) == 0 || opaque(t) {
		return true
	}
	if t.Kind() != reflect.Struct || t == timeType {
		return false
	}
	for _, m := range membersOf(t) {
		if m.name == path[0] {
			return has(m.typ, path[1:])
		}
	}
	return false
}
