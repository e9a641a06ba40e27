package scim

import (
	"encoding/json"
	"strings"
)

// object is a resource, or a part of it, as JSON tells it. Names do not tell their case apart (RFC 7643 section 2.1).
type object = map[string]any

// key is the name that the object has the attribute under, or the name itself where it has none.
func key(o object, name string) string {
	if _, ok := o[name]; ok {
		return name
	}
	for k := range o {
		if strings.EqualFold(k, name) {
			return k
		}
	}
	return name
}

func get(o object, name string) any { return o[key(o, name)] }

// objectOf is v as an object, or nil.
func objectOf(v any) object {
	o, _ := v.(object)
	return o
}

// list is v as a list: null is none, and what is no list is a list of one.
func list(v any) []any {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		return v
	}
	return []any{v}
}

func text(v any) string {
	switch v := v.(type) {
	case string:
		return strings.TrimSpace(v)
	case json.Number:
		return v.String()
	}
	return ""
}

// truth reads a boolean; directories say "True" and "False" too.
func truth(v any) (value, ok bool) {
	switch v := v.(type) {
	case bool:
		return v, true
	case string:
		switch strings.ToLower(strings.TrimSpace(v)) {
		case "true":
			return true, true
		case "false":
			return false, true
		}
	}
	return false, false
}

// empty reports a value that counts as none (RFC 7643 section 2.5).
func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	case object:
		for _, one := range v {
			if !empty(one) {
				return false
			}
		}
		return true
	}
	return false
}

// clone is a deep copy.
func clone(v any) any {
	switch v := v.(type) {
	case object:
		out := make(object, len(v))
		for k, one := range v {
			out[k] = clone(one)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, one := range v {
			out[i] = clone(one)
		}
		return out
	}
	return v
}

func same(a, b any) bool {
	x, err := json.Marshal(a)
	if err != nil {
		return false
	}
	y, err := json.Marshal(b)
	return err == nil && string(x) == string(y)
}
