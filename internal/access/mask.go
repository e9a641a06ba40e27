package access

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nilecare/nilecare/internal/fhir/def"
)

// neverMasked are the members that a resource cannot be told from without.
var neverMasked = []string{"id", "meta", "resourceType", "implicitRules"}

// parseMask reads "Patient.identifier,Patient.telecom" into type → JSON members. An element with a choice of types stands for all its
// members ("value" for valueQuantity, valueString …), and whoever may not see an element does not see the narrative that tells it.
func (b *builder) parseMask(list string) map[string][]string {
	out := map[string][]string{}
	for _, item := range strings.Split(list, ",") {
		typ, name, ok := strings.Cut(strings.TrimSpace(item), ".")
		members := maskMembers(typ, name)
		if !ok || len(members) == 0 || slices.Contains(neverMasked, name) {
			b.refuse(nil, fmt.Sprintf("@mask takes elements directly below a resource type, such as Patient.telecom; %.60q is none that can be hidden", item))
			continue
		}
		if t := def.Lookup(typ); t.Element("text") != nil {
			members = append(members, "text")
		}
		for _, m := range members {
			if !slices.Contains(out[typ], m) {
				out[typ] = append(out[typ], m)
			}
		}
	}
	return out
}

// maskMembers are the JSON members of an element of a resource type; none where there is no such element.
func maskMembers(typ, name string) []string {
	t := def.Lookup(typ)
	if t == nil || !isResourceType(typ) || name == "" {
		return nil
	}
	el := t.Element(name)
	if el == nil {
		return nil
	}
	if !el.Choice {
		return []string{name}
	}
	var out []string
	for _, ref := range el.Types {
		if ref.Type != nil && ref.Type.Name != "" {
			out = append(out, name+strings.ToUpper(ref.Type.Name[:1])+ref.Type.Name[1:])
		}
	}
	return out
}

// hidden works out what is hidden of a type. A forbid with @mask hides its elements from whom it matches, and forbids nothing else. A
// permit with @mask hides its elements unless another permit, one without condition on the resource, shows them: somebody with two
// roles sees what either shows. Where it depends on the resource who sees what, it is hidden.
func (g *grant) hidden(typ string) []string {
	var masked []string
	var open []rule
	for _, r := range g.rules {
		if len(r.masks) == 0 && !r.permit {
			continue
		}
		read, found := g.decide(r, Read, typ), g.decide(r, Search, typ)
		if isNever(read) && isNever(found) {
			continue
		}
		if r.permit && isAlways(read) {
			open = append(open, r)
		}
		if !r.permit {
			masked = append(masked, r.masks[typ]...)
		}
	}
	for _, r := range g.rules {
		if !r.permit || len(r.masks[typ]) == 0 || isNever(g.decide(r, Read, typ)) && isNever(g.decide(r, Search, typ)) {
			continue
		}
		for _, m := range r.masks[typ] {
			if !slices.ContainsFunc(open, func(o rule) bool { return !slices.Contains(o.masks[typ], m) }) {
				masked = append(masked, m)
			}
		}
	}
	slices.Sort(masked)
	return slices.Compact(masked)
}
