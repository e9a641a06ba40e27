package scim

import (
	"slices"
	"strings"
)

// operation is one of a PATCH (RFC 7644 section 3.5.2).
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

const maxOperations = 1000

// patch applies operations to a resource of the kind, all or none: it works on a copy.
func (k *kind) patch(r object, ops []operation) (object, error) {
	if len(ops) == 0 || len(ops) > maxOperations {
		return nil, failed(400, "invalidValue", "a patch has 1 to %d operations", maxOperations)
	}
	out := objectOf(clone(r))
	for _, op := range ops {
		verb := strings.ToLower(op.Op)
		if !slices.Contains([]string{"add", "replace", "remove"}, verb) {
			return nil, failed(400, "invalidSyntax", "op must be add, replace or remove")
		}
		if err := k.apply(out, verb, op.Path, op.Value); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (k *kind) apply(r object, verb, path string, value any) error {
	if path == "" {
		return k.applyAll(r, verb, value, "")
	}
	t, err := ParsePath(path)
	if err != nil {
		return err
	}
	if t.Path.Attr == "" { // a schema's URN alone
		if verb == "remove" {
			delete(r, key(r, t.Path.URI))
			return nil
		}
		return k.applyAll(r, verb, value, t.Path.URI)
	}
	return k.applyTo(r, verb, t, value)
}

// applyAll takes an object whose names are paths: "active", "name.givenName", or those of an extension below its URN or behind it.
func (k *kind) applyAll(r object, verb string, value any, uri string) error {
	o := objectOf(value)
	if verb == "remove" {
		return failed(400, "noTarget", "remove needs a path")
	}
	if o == nil {
		return failed(400, "invalidValue", "without a path, the value is an object")
	}
	for _, name := range sortedKeys(o) {
		if known(name) {
			if err := k.applyAll(r, verb, o[name], name); err != nil {
				return err
			}
			continue
		}
		t, err := ParsePath(name)
		if err != nil {
			return err
		}
		if t.Path.URI == "" {
			t.Path.URI = uri
		}
		if a, _ := k.find(t.Path); a != nil && (a.Mutability == "readOnly" || a.Name == "schemas") {
			continue // directories send back what they read
		}
		if err := k.applyTo(r, verb, t, o[name]); err != nil {
			return err
		}
	}
	return nil
}

func sortedKeys(o object) []string {
	var out []string
	for k := range o {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// applyTo applies one operation to what the target names. What the schema does not know is passed over: RFC 7643 lets a service ignore it.
func (k *kind) applyTo(r object, verb string, t Target, value any) error {
	a, _ := k.find(t.Path)
	if a == nil {
		if t.Path.URI != "" && !known(t.Path.URI) {
			return nil
		}
		return failed(400, "invalidPath", "there is no attribute %s", t.Path)
	}
	if a.Mutability == "readOnly" {
		return failed(400, "mutability", "%s cannot be changed", a.Name)
	}
	if strings.EqualFold(t.Path.URI, enterpriseURN) {
		ext := objectOf(get(r, enterpriseURN))
		if ext == nil {
			ext = object{}
			r[enterpriseURN] = ext
		}
		r = ext
	}
	name := key(r, a.Name)
	sub := t.Path.Sub
	if t.Sub != "" {
		sub = t.Sub
	}
	if sub != "" && named(a.Sub, sub) == nil {
		return failed(400, "invalidPath", "there is no attribute %s", t)
	}
	switch {
	case t.Filter != nil && !a.Multi:
		return failed(400, "invalidPath", "%s has one value alone", a.Name)
	case t.Filter != nil:
		return filtered(r, name, verb, a, t.Filter, sub, value)
	case sub != "" && a.Multi:
		return everyValue(r, name, verb, a, sub, value)
	case sub != "":
		o := objectOf(r[name])
		if o == nil {
			o = object{}
		}
		if setSub(o, verb, a, sub, value); empty(o) {
			delete(r, name)
			return nil
		}
		r[name] = o
		return nil
	case a.Multi:
		return multiValued(r, name, verb, a, value)
	}
	return single(r, name, verb, a, value)
}

func single(r object, name, verb string, a *attribute, value any) error {
	if verb == "remove" || value == nil {
		if a.Required {
			return failed(400, "mutability", "%s is required", a.Name)
		}
		delete(r, name)
		return nil
	}
	value = unwrapped(value, a)
	if a.Type != "complex" {
		r[name] = value
		return nil
	}
	o := objectOf(value)
	if o == nil && named(a.Sub, "value") != nil { // manager, as some directories send it
		o = object{"value": value}
	}
	if o == nil {
		return failed(400, "invalidValue", "%s is an object", a.Name)
	}
	// Sub-attributes that are not told stay (RFC 7644 section 3.5.2.3).
	merged := objectOf(r[name])
	if merged == nil {
		merged = object{}
	}
	for _, sub := range sortedKeys(o) {
		setSub(merged, verb, a, sub, o[sub])
	}
	r[name] = merged
	return nil
}

// unwrapped takes the value out of a list of one {"value": …}, which some directories send for simple attributes.
func unwrapped(v any, a *attribute) any {
	if l, ok := v.([]any); ok && len(l) == 1 && !a.Multi {
		v = l[0]
	}
	if o := objectOf(v); o != nil && a.Type != "complex" && len(o) == 1 && get(o, "value") != nil {
		v = get(o, "value")
	}
	return v
}

func setSub(o object, verb string, a *attribute, sub string, value any) {
	name := key(o, sub)
	if s := named(a.Sub, sub); s != nil {
		if name == sub {
			if _, there := o[name]; !there {
				name = s.Name
			}
		}
		if s.Type == "boolean" {
			if b, ok := truth(value); ok {
				value = b
			}
		}
	}
	if verb == "remove" || value == nil {
		delete(o, name)
		return
	}
	o[name] = value
}

// filtered changes the values that a filter selects. Where an add selects none, the value that the filter describes is made, as directories
// expect; for a replace there is no target.
func filtered(r object, name, verb string, a *attribute, f Filter, sub string, value any) error {
	values := slices.Clone(list(r[name]))
	var kept []any
	found := false
	for _, v := range values {
		ok, err := evalValue(f, v, a)
		if err != nil {
			return err
		}
		if !ok {
			kept = append(kept, v)
			continue
		}
		found = true
		o := objectOf(clone(v))
		switch {
		case verb == "remove" && sub == "":
			continue
		case sub != "":
			if o == nil {
				return failed(400, "invalidPath", "%s has no sub-attributes", name)
			}
			setSub(o, verb, a, sub, value)
			if empty(get(o, "value")) && named(a.Sub, "value") != nil && strings.EqualFold(sub, "value") {
				continue // a value that is taken away is no value any longer
			}
			kept = append(kept, o)
		case objectOf(value) != nil && o != nil:
			for _, one := range sortedKeys(objectOf(value)) {
				setSub(o, verb, a, one, objectOf(value)[one])
			}
			kept = append(kept, o)
		default:
			kept = append(kept, value)
		}
	}
	if !found && verb != "add" {
		return failed(400, "noTarget", "no value of %s is selected by the filter", a.Name)
	}
	if !found {
		o := object{}
		described(f, o)
		if sub != "" {
			setSub(o, verb, a, sub, value)
		}
		for _, one := range sortedKeys(objectOf(value)) {
			setSub(o, verb, a, one, objectOf(value)[one])
		}
		kept = append(kept, o)
	}
	return put(r, name, kept)
}

// described is the value that the equalities of a filter describe.
func described(f Filter, o object) {
	switch f := f.(type) {
	case And:
		described(f.Left, o)
		described(f.Right, o)
	case Compare:
		if f.Op == "eq" && f.Value != nil {
			o[f.Path.Attr] = f.Value
		}
	}
}

func everyValue(r object, name, verb string, a *attribute, sub string, value any) error {
	values := slices.Clone(list(r[name]))
	if len(values) == 0 && verb == "add" {
		values = []any{object{}}
	}
	if len(values) == 0 {
		return failed(400, "noTarget", "%s has no value", a.Name)
	}
	for i, v := range values {
		o := objectOf(clone(v))
		if o == nil {
			o = object{"value": v}
		}
		setSub(o, verb, a, sub, value)
		values[i] = o
	}
	return put(r, name, values)
}

func multiValued(r object, name, verb string, a *attribute, value any) error {
	if value == nil && verb == "replace" {
		verb = "remove"
	}
	given := []any{}
	for _, v := range list(value) {
		if a.Type == "complex" && objectOf(v) == nil {
			v = object{"value": v}
		}
		given = append(given, v)
	}
	switch verb {
	case "replace":
		return put(r, name, given)
	case "add":
		out := slices.Clone(list(r[name]))
		for _, v := range given {
			if b, _ := truth(get(objectOf(v), "primary")); b { // there is one primary value at most (RFC 7643 section 2.4)
				for i, o := range out {
					if p, _ := truth(get(objectOf(o), "primary")); p {
						o = clone(o)
						objectOf(o)[key(objectOf(o), "primary")] = false
						out[i] = o
					}
				}
			}
			if !slices.ContainsFunc(out, func(o any) bool { return equalValue(o, v) }) {
				out = append(out, v)
			}
		}
		return put(r, name, out)
	}
	if value == nil {
		delete(r, name)
		return nil
	}
	// Some directories name what they remove by values.
	return put(r, name, slices.DeleteFunc(slices.Clone(list(r[name])), func(o any) bool {
		return slices.ContainsFunc(given, func(v any) bool { return equalValue(o, v) })
	}))
}

// equalValue reports the same value of a multi-valued attribute: its value and type where it has them.
func equalValue(a, b any) bool {
	x, y := objectOf(a), objectOf(b)
	if x == nil || y == nil {
		return same(a, b)
	}
	v, w := text(get(x, "value")), text(get(y, "value"))
	if v == "" && w == "" {
		return same(a, b)
	}
	t, u := text(get(x, "type")), text(get(y, "type"))
	return v == w && (t == u || t == "" || u == "" || strings.EqualFold(t, u))
}

func put(r object, name string, values []any) error {
	if len(values) == 0 {
		delete(r, name)
		return nil
	}
	r[name] = values
	return nil
}
