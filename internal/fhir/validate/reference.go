package validate

import (
	"slices"
	"strings"

	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/def"
)

// reference checks a Reference: that it refers by something, the form of its literal reference, and that the types it
// names are known and admitted.
func (v *validator) reference(n *fhir.Node, f *def.Field) {
	literal, named := n.Str("reference"), n.Str("type")
	if literal == "" && n.Get("identifier") == nil && n.Get("display") == nil && n.Get("_reference") == nil && n.Get("_display") == nil && !extended(n) {
		v.fail(codeRequired, "a Reference needs reference, identifier or display")
	}
	typ := ""
	if literal != "" {
		typ = v.literal(literal, f)
	}
	if named == "" || strings.Contains(named, ":") {
		return // none, or the URL of a logical model
	}
	if t := def.Lookup(named); t == nil || t.Kind != def.ResourceKind {
		v.failAt("type", codeValue, "no resource type of FHIR R4")
	} else if typ != "" && typ != named {
		v.failAt("type", codeValue, "the reference is to a resource of another type")
	} else if typ == "" && !admits(f, named) {
		v.failAt("type", codeValue, "%s may not refer to a %s", f.Name, named)
	}
}

// literal checks Reference.reference and returns the type that it names, "" for none.
func (v *validator) literal(s string, f *def.Field) string {
	typ := ""
	switch {
	case s[0] == '#':
		typ = v.fragment(s[1:])
	case !isURI(s):
		v.failAt("reference", codeValue, "a literal reference has no whitespace")
		return ""
	case strings.HasPrefix(s, "urn:"):
		if !isURN(s) {
			v.failAt("reference", codeValue, "a malformed urn")
		}
	case isAbsolute(s):
		typ = absoluteType(s)
	default:
		typ = v.relative(s)
	}
	if typ != "" && !admits(f, typ) {
		v.failAt("reference", codeValue, "%s may not refer to a %s", f.Name, typ)
	}
	return typ
}

// relative checks "Type/id", "Type/id/_history/version" and, where they are allowed, "Type?query".
func (v *validator) relative(s string) string {
	if typ, query, ok := strings.Cut(s, "?"); ok && isResourceType(typ) {
		if !v.options.AllowConditional {
			v.failAt("reference", codeValue, "a conditional reference stands only in a transaction")
		} else if query == "" {
			v.failAt("reference", codeValue, "a conditional reference without conditions")
		}
		return typ
	}
	if typ, _, ok := fhir.SplitReference(s, ""); ok {
		if !isResourceType(typ) {
			v.failAt("reference", codeValue, "%s is no resource type of FHIR R4", echoed(typ, "what the reference names"))
			return ""
		}
		return typ
	}
	v.failAt("reference", codeValue, "a literal reference is Type/id, an absolute URL, a urn or a fragment")
	return ""
}

// fragment checks that "#id" names a contained resource and returns its type; "#" alone is the container.
func (v *validator) fragment(id string) string {
	if id == "" {
		v.scope.pointsToContainer()
		return ""
	}
	l := v.scope.find(id)
	if l == nil {
		v.failAt("reference", codeInvariant, "no contained resource has this id (ref-1)")
		return ""
	}
	l.used = true
	return l.typ
}

// localURI notes that a canonical or uri points to a contained resource, or from one to its container.
func (v *validator) localURI(id string) {
	if id == "" {
		v.scope.pointsToContainer()
	} else if l := v.scope.find(id); l != nil {
		l.used = true
	}
}

// admits reports whether the element may refer to that type.
func admits(f *def.Field, typ string) bool {
	return f.Targets == nil || slices.Contains(f.Targets, typ)
}

func isResourceType(name string) bool {
	t := def.Lookup(name)
	return t != nil && t.Num != 0
}

// isAbsolute reports whether s begins with a scheme.
func isAbsolute(s string) bool {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
		case i > 0 && (c >= '0' && c <= '9' || c == '+' || c == '-' || c == '.'):
		default:
			return c == ':' && i > 0 && i+1 < len(s)
		}
	}
	return false
}

// absoluteType returns the resource type that a RESTful URL ends in, "" where it is none.
func absoluteType(s string) string {
	if at := strings.Index(s, "/_history/"); at >= 0 {
		s = s[:at]
	}
	id := strings.LastIndexByte(s, '/')
	if id < 0 {
		return ""
	}
	typ := strings.LastIndexByte(s[:id], '/')
	if typ < 0 || !fhir.ValidID(s[id+1:]) || !isResourceType(s[typ+1:id]) {
		return ""
	}
	return s[typ+1 : id]
}

// isURN checks urn:nid:nss; the two that FHIR uses, uuid and oid, by their own form.
func isURN(s string) bool {
	kind, rest, ok := strings.Cut(s[len("urn:"):], ":")
	switch {
	case !ok || rest == "" || len(kind) < 2:
		return false
	case kind == "uuid":
		return isUUID(strings.ToLower(s))
	case kind == "oid":
		return isOID(s)
	}
	return true
}
