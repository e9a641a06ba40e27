package scim

import (
	"cmp"
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// matches decides a filter on a resource of the kind.
func (k *kind) matches(f Filter, r object) (bool, error) {
	return eval(f, func(p Path) ([]any, *attribute) { return k.values(r, p) })
}

// look finds an attribute's values and what the schema says of it; nil where it says nothing.
type look func(Path) ([]any, *attribute)

func eval(f Filter, at look) (bool, error) {
	switch f := f.(type) {
	case And:
		left, err := eval(f.Left, at)
		if err != nil || !left {
			return false, err
		}
		return eval(f.Right, at)
	case Or:
		left, err := eval(f.Left, at)
		if err != nil || left {
			return left, err
		}
		return eval(f.Right, at)
	case Not:
		v, err := eval(f.Filter, at)
		return !v, err
	case Present:
		values, _ := at(f.Path)
		for _, v := range values {
			if !empty(v) {
				return true, nil
			}
		}
		return false, nil
	case Complex:
		values, a := at(f.Path)
		for _, v := range values {
			if ok, err := evalValue(f.Filter, v, a); ok || err != nil {
				return ok, err
			}
		}
		return false, nil
	case Compare:
		return compare(f, at)
	}
	return false, failed(400, "invalidFilter", "unknown filter")
}

// evalValue decides a filter on one value of a complex attribute; a simple value is its own "value".
func evalValue(f Filter, v any, a *attribute) (bool, error) {
	o := objectOf(v)
	if o == nil {
		o = object{"value": v}
	}
	return eval(f, func(p Path) ([]any, *attribute) {
		var sub *attribute
		if a != nil {
			sub = named(a.Sub, p.Attr)
		}
		return list(get(o, p.Attr)), sub
	})
}

// values are those of the attribute that the path names, each one of a multi-valued one.
func (k *kind) values(r object, p Path) ([]any, *attribute) {
	a, sub := k.find(p)
	if strings.EqualFold(p.URI, enterpriseURN) {
		r = objectOf(get(r, enterpriseURN))
	}
	if a == nil || r == nil || a.Returned == "never" {
		return nil, a
	}
	values := list(get(r, p.Attr))
	if p.Sub == "" {
		return values, a
	}
	var out []any
	for _, v := range values {
		out = append(out, list(get(objectOf(v), p.Sub))...)
	}
	return out, sub
}

// compare decides a comparison: it holds where one of the values does, and "ne" where none is equal. A complex value stands for its "value".
func compare(f Compare, at look) (bool, error) {
	values, a := at(f.Path)
	if a != nil && a.Type == "complex" {
		a = named(a.Sub, "value")
	}
	if a != nil && (a.Type == "boolean" || a.Type == "complex") && f.Op != "eq" && f.Op != "ne" {
		return false, failed(400, "invalidFilter", "%s does not compare by %s", f.Path, f.Op)
	}
	op := f.Op
	if op == "ne" {
		op = "eq"
	}
	holds, seen := false, false
	for _, v := range values {
		if o := objectOf(v); o != nil {
			v = get(o, "value")
		}
		if empty(v) {
			continue
		}
		seen = true
		holds = holds || f.Value != nil && compared(op, v, f.Value, a)
	}
	if f.Value == nil {
		holds = !seen && op == "eq"
	}
	return holds != (f.Op == "ne"), nil
}

// compared compares two scalars.
func compared(op string, have, want any, a *attribute) bool {
	if b, ok := truth(have); ok {
		if w, ok := truth(want); ok && (a == nil || a.Type == "boolean") {
			return op == "eq" && b == w
		}
	}
	x, y := scalar(have), scalar(want)
	c := 0
	switch {
	case a != nil && a.Type == "dateTime":
		s, err1 := time.Parse(time.RFC3339Nano, x)
		t, err2 := time.Parse(time.RFC3339Nano, y)
		if err1 == nil && err2 == nil {
			return ordered(op, s.Compare(t))
		}
	case isNumber(have) && isNumber(want):
		s, _ := strconv.ParseFloat(x, 64)
		t, _ := strconv.ParseFloat(y, 64)
		return ordered(op, cmp.Compare(s, t))
	}
	if a == nil || !a.Exact {
		x, y = strings.ToLower(x), strings.ToLower(y)
	}
	switch op {
	case "co":
		return strings.Contains(x, y)
	case "sw":
		return strings.HasPrefix(x, y)
	case "ew":
		return strings.HasSuffix(x, y)
	}
	c = cmp.Compare(x, y)
	return ordered(op, c)
}

func ordered(op string, c int) bool {
	switch op {
	case "eq":
		return c == 0
	case "gt":
		return c > 0
	case "ge":
		return c >= 0
	case "lt":
		return c < 0
	case "le":
		return c <= 0
	}
	return false
}

func isNumber(v any) bool {
	_, ok := v.(json.Number)
	return ok
}

func scalar(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	}
	return ""
}
