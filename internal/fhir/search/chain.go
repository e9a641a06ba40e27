package search

import (
	"slices"
	"strings"

	"github.com/nilecare/nilecare/internal/fhir/def"
)

// chain reads "head.rest" or "head:Type.rest".
func (p *parser) chain(ti *typeIndex, head, rest, value string, depth int) (Pred, *issue) {
	name, only, _ := strings.Cut(head, ":")
	prm, issue := referenceParam(ti, name)
	if issue != nil {
		return nil, issue
	}
	targets := prm.def.Targets
	if only != "" {
		if issue := mayTarget(prm, only); issue != nil {
			return nil, issue
		}
		targets = []string{only}
	}
	var preds []Pred
	var first *issueAt
	for _, target := range targets {
		to := indexOf(target)
		atoms := narrowed(prm.refs, target)
		if to == nil || len(atoms) == 0 {
			continue
		}
		inner, issue := p.condition(to, rest, value, depth+1)
		if issue != nil {
			if issue.code == "too-costly" {
				return nil, issue
			}
			first = first.better(issue, target)
			continue
		}
		preds = append(preds, Chain{Atoms: atoms, Type: target, Pred: inner})
	}
	if len(preds) == 0 {
		if first == nil {
			return nil, unsupported("%s.%s points to no type of this server", ti.name, name)
		}
		return nil, first.issue
	}
	return anyOf(preds...), nil
}

// issueAt is why a chain cannot be followed to one of its types.
type issueAt struct{ issue *issue }

// better keeps the more telling of two: a bad value says more than a type that lacks the parameter.
func (f *issueAt) better(i *issue, target string) *issueAt {
	if f == nil || f.issue.code == "not-supported" && i.code != "not-supported" {
		i.text = "in " + target + ": " + i.text
		return &issueAt{i}
	}
	return f
}

// reverse reads what stands behind "_has:": Type:reference:rest.
func (p *parser) reverse(ti *typeIndex, key, value string, depth int) (Pred, *issue) {
	parts := strings.SplitN(key, ":", 3)
	if len(parts) != 3 || parts[2] == "" {
		return nil, invalid("_has takes _has:Type:reference:parameter")
	}
	from := indexOf(parts[0])
	if from == nil {
		return nil, invalid("there is no resource type %.60q", parts[0])
	}
	prm, issue := referenceParam(from, parts[1])
	if issue != nil {
		return nil, issue
	}
	if issue := mayTarget(prm, ti.name); issue != nil {
		return nil, issue
	}
	inner, issue := p.condition(from, parts[2], value, depth+1)
	if issue != nil {
		return nil, issue
	}
	return ReverseChain{Type: from.name, Atoms: narrowed(prm.refs, ti.name), Pred: inner}, nil
}

// referenceParam returns a parameter that chains can follow.
func referenceParam(ti *typeIndex, name string) (*param, *issue) {
	prm := ti.params[name]
	switch {
	case prm == nil:
		return nil, unsupported("%s has no parameter %.60q", ti.name, name)
	case prm.def.Type != "reference" || len(prm.refs) == 0:
		return nil, unsupported("%s.%s is no reference", ti.name, name)
	}
	for _, r := range prm.refs {
		if r.hasType("Reference", "Resource") {
			return prm, nil
		}
	}
	return nil, unsupported("%s.%s holds canonical URLs, which chains do not follow", ti.name, name)
}

// mayTarget checks that the reference may point to the type.
func mayTarget(prm *param, target string) *issue {
	if def.Lookup(target) == nil || indexOf(target) == nil {
		return invalid("there is no resource type %.60q", target)
	}
	if len(prm.def.Targets) > 0 && !slices.Contains(prm.def.Targets, target) || len(narrowed(prm.refs, target)) == 0 {
		return invalid("%s does not point to %s", prm.def.Code, target)
	}
	return nil
}

// narrowed leaves the atoms that count for references to the type.
func narrowed(refs []AtomRef, target string) []AtomRef {
	var out []AtomRef
	for _, r := range refs {
		if r.Target == "" || r.Target == target {
			out = append(out, r)
		}
	}
	return out
}
