package access

import (
	"strings"

	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
	"github.com/cedar-policy/cedar-go/x/exp/eval"

	"github.com/nilecare/nilecare/internal/fhir/search"
)

// expr is a policy's condition, parted into what Cedar evaluates (everything that does not speak of the resource) and what becomes
// a predicate on the resource.
type expr interface {
	// cond says what the expression is for resources of the type, under what is known.
	cond(env eval.Env, typ string) cond
}

type (
	exprKnown  struct{ node ast.IsNode } // does not speak of the resource
	exprAnd    struct{ left, right expr }
	exprOr     struct{ left, right expr }
	exprNot    struct{ of expr }
	exprIf     struct{ test, then, other expr }
	exprIs     struct{ entityType types.EntityType } // resource is T
	exprConst  bool                                  // resource has a
	exprEquals struct{ node ast.IsNode }             // resource == node
	exprIn     struct{ node ast.IsNode }             // resource in node

	// exprHolds is resource.attr.contains(node), .containsAny, .containsAll, and node.containsAny(resource.attr).
	exprHolds struct {
		attr attribute
		op   string // contains, any, all
		node ast.IsNode
	}
)

func (e exprKnown) cond(env eval.Env, _ string) cond {
	v, err := eval.Eval(e.node, env)
	if err != nil {
		return failed
	}
	b, ok := v.(types.Boolean)
	if !ok {
		return failed
	}
	return known(bool(b))
}

func (e exprAnd) cond(env eval.Env, typ string) cond {
	left := e.left.cond(env, typ)
	if isNever(left.yes) {
		return cond{never, left.err}
	}
	return left.and(e.right.cond(env, typ))
}

func (e exprOr) cond(env eval.Env, typ string) cond {
	left := e.left.cond(env, typ)
	if isAlways(left.yes) {
		return known(true)
	}
	return left.or(e.right.cond(env, typ))
}

func (e exprNot) cond(env eval.Env, typ string) cond { return e.of.cond(env, typ).not() }

func (e exprIf) cond(env eval.Env, typ string) cond {
	return e.test.cond(env, typ).choose(e.then.cond(env, typ), e.other.cond(env, typ))
}

func (e exprIs) cond(_ eval.Env, typ string) cond {
	return known(string(e.entityType) == fhirPrefix+typ)
}

func (e exprConst) cond(eval.Env, string) cond { return known(bool(e)) }

func (e exprEquals) cond(env eval.Env, typ string) cond {
	v, err := eval.Eval(e.node, env)
	if err != nil {
		return failed
	}
	return cond{isEntity(v, typ), never}
}

// isEntity is the condition that a resource of the type is that entity.
func isEntity(v types.Value, typ string) search.Pred {
	if uid, ok := v.(types.EntityUID); ok && string(uid.Type) == fhirPrefix+typ && uid.ID != "" {
		return search.IDs{string(uid.ID)}
	}
	return never
}

func (e exprIn) cond(env eval.Env, typ string) cond {
	v, err := eval.Eval(e.node, env)
	if err != nil {
		return failed
	}
	switch v := v.(type) {
	case types.EntityUID:
		return cond{inEntity(v, typ), never}
	case types.Set:
		var preds []search.Pred
		for item := range v.All() {
			uid, ok := item.(types.EntityUID)
			if !ok {
				return failed
			}
			preds = append(preds, inEntity(uid, typ))
		}
		return cond{anyOf(preds...), never}
	}
	return failed
}

// inEntity is the condition that a resource of the type is the entity or in the group of types that it names.
func inEntity(uid types.EntityUID, typ string) search.Pred {
	if uid.Type == typeGroup {
		for _, g := range typeGroups()[typ] {
			if g == string(uid.ID) {
				return always
			}
		}
		return never
	}
	return isEntity(uid, typ)
}

func (e exprHolds) cond(env eval.Env, typ string) cond {
	v, err := eval.Eval(e.node, env)
	if err != nil {
		return failed
	}
	one := func(v types.Value) search.Pred {
		if s, ok := v.(types.String); ok {
			return e.attr.holdsValue(typ, string(s))
		}
		return never
	}
	if e.op == "contains" {
		return cond{one(v), never}
	}
	set, ok := v.(types.Set)
	if !ok {
		return failed
	}
	var preds []search.Pred
	for _, item := range sorted(set) {
		preds = append(preds, one(item))
	}
	if e.op == "all" {
		return cond{allOf(preds...), never}
	}
	return cond{anyOf(preds...), never}
}

// sorted gives a set's strings an order, so that the same policy always makes the same predicate; other values are at the end.
func sorted(set types.Set) []types.Value {
	out := make([]types.Value, 0, set.Len())
	for v := range set.All() {
		out = append(out, v)
	}
	sortValues(out)
	return out
}

// builder turns a condition's tree into expr, and refuses what cannot be a predicate.
type builder struct{ problem string }

// refuse notes the first problem.
func (b *builder) refuse(n ast.IsNode, why string) expr {
	if b.problem == "" {
		b.problem = why
		if text := nodeText(n); text != "" {
			b.problem += " in `" + text + "`"
		}
	}
	return exprConst(false)
}

// speaksOfResource reports whether the expression uses the variable resource.
func speaksOfResource(n ast.IsNode) bool {
	found := false
	ast.Inspect(ast.NewNode(n), func(n ast.IsNode) bool {
		if v, ok := n.(ast.NodeTypeVariable); ok && v.Name == "resource" {
			found = true
		}
		return !found
	})
	return found
}

func isResource(n ast.IsNode) bool {
	v, ok := n.(ast.NodeTypeVariable)
	return ok && v.Name == "resource"
}

func (b *builder) build(n ast.IsNode) expr {
	if !speaksOfResource(n) {
		b.checkKnown(n)
		return exprKnown{n}
	}
	switch n := n.(type) {
	case ast.NodeTypeAnd:
		return exprAnd{b.build(n.Left), b.build(n.Right)}
	case ast.NodeTypeOr:
		return exprOr{b.build(n.Left), b.build(n.Right)}
	case ast.NodeTypeNot:
		return exprNot{b.build(n.Arg)}
	case ast.NodeTypeIfThenElse:
		return exprIf{b.build(n.If), b.build(n.Then), b.build(n.Else)}
	case ast.NodeTypeIs:
		return b.buildIs(n, n.EntityType)
	case ast.NodeTypeIsIn:
		return exprAnd{b.buildIs(n.NodeTypeIs, n.EntityType), b.buildIn(n, n.Left, n.Entity)}
	case ast.NodeTypeIn:
		return b.buildIn(n, n.Left, n.Right)
	case ast.NodeTypeEquals:
		return b.buildEquals(n, n.BinaryNode)
	case ast.NodeTypeNotEquals:
		return exprNot{b.buildEquals(n, n.BinaryNode)}
	case ast.NodeTypeHas:
		if !isResource(n.Arg) {
			return b.refuse(n, "has applies to resource itself")
		}
		b.attribute(n, string(n.Value))
		return exprConst(true)
	case ast.NodeTypeContains:
		return b.buildHolds(n, n.BinaryNode, "contains")
	case ast.NodeTypeContainsAny:
		return b.buildHolds(n, n.BinaryNode, "any")
	case ast.NodeTypeContainsAll:
		return b.buildHolds(n, n.BinaryNode, "all")
	}
	return b.refuse(n, "this way to speak of the resource is not supported")
}

func (b *builder) buildIs(n ast.NodeTypeIs, t types.EntityType) expr {
	if !isResource(n.Left) {
		return b.refuse(n, "is applies to resource itself, not to its attributes")
	}
	b.checkType(n, t)
	return exprIs{t}
}

func (b *builder) checkType(n ast.IsNode, t types.EntityType) {
	name, ok := strings.CutPrefix(string(t), fhirPrefix)
	if !ok || !isResourceType(name) {
		b.refuse(n, "there is no resource type "+string(t)+" (write FHIR::Patient, FHIR::Observation …)")
	}
}

func (b *builder) buildIn(n, left, right ast.IsNode) expr {
	if !isResource(left) || speaksOfResource(right) {
		return b.refuse(n, "in applies to resource itself, with a group of types or a known resource on its right")
	}
	b.checkKnown(right)
	b.checkLiteralUIDs(right)
	return exprIn{right}
}

func (b *builder) buildEquals(n ast.IsNode, e ast.BinaryNode) expr {
	left, right := e.Left, e.Right
	if isResource(right) {
		left, right = right, left
	}
	if !isResource(left) || speaksOfResource(right) {
		return b.refuse(n, "== and != apply to resource itself; the attributes are sets, so write resource.status.contains(\"final\")")
	}
	b.checkKnown(right)
	b.checkLiteralUIDs(right)
	return exprEquals{right}
}

func (b *builder) buildHolds(n ast.IsNode, e ast.BinaryNode, op string) expr {
	left, right := e.Left, e.Right
	if op == "any" && !speaksOfResource(left) {
		left, right = right, left
	}
	access, ok := left.(ast.NodeTypeAccess)
	if !ok || !isResource(access.Arg) || speaksOfResource(right) {
		return b.refuse(n, "contains, containsAny and containsAll take an attribute of the resource on one side and something known on the other")
	}
	attr := b.attribute(n, string(access.Value))
	b.checkKnown(right)
	b.checkLiterals(n, string(access.Value), attr, right)
	return exprHolds{attr, op, right}
}

// attribute looks up an attribute of the vocabulary.
func (b *builder) attribute(n ast.IsNode, name string) attribute {
	a, ok := attributes[name]
	if !ok {
		b.refuse(n, "a resource has no attribute "+name+" (there are "+attributeNames()+")")
	}
	return a
}

// checkLiterals refuses references that are written out and can never be in the attribute.
func (b *builder) checkLiterals(n ast.IsNode, name string, a attribute, value ast.IsNode) {
	if a.target == "" {
		return
	}
	ast.Inspect(ast.NewNode(value), func(c ast.IsNode) bool {
		v, ok := c.(ast.NodeValue)
		if !ok {
			return true
		}
		for _, s := range literalStrings(v.Value) {
			if t, _, ok := splitRef(s); !ok || a.target != "*" && t != a.target {
				want := a.target
				if want == "*" {
					want = "Practitioner"
				}
				b.refuse(n, "resource."+name+" holds references such as \""+want+"/1\"")
			}
		}
		return true
	})
}

func literalStrings(v types.Value) []string {
	switch v := v.(type) {
	case types.String:
		return []string{string(v)}
	case types.Set:
		var out []string
		for item := range v.All() {
			out = append(out, literalStrings(item)...)
		}
		return out
	}
	return nil
}

// checkLiteralUIDs refuses names of groups and types that are not there.
func (b *builder) checkLiteralUIDs(n ast.IsNode) {
	var check func(v types.Value)
	check = func(v types.Value) {
		switch v := v.(type) {
		case types.EntityUID:
			switch {
			case v.Type == typeGroup && !isGroup(string(v.ID)):
				b.refuse(n, "there is no group of types "+string(v.ID))
			case v.Type != typeGroup:
				b.checkType(n, v.Type)
			}
		case types.Set:
			for item := range v.All() {
				check(item)
			}
		}
	}
	ast.Inspect(ast.NewNode(n), func(c ast.IsNode) bool {
		if v, ok := c.(ast.NodeValue); ok {
			check(v.Value)
		}
		return true
	})
}

// the attributes of principal and context.
var (
	principalAttributes = []string{"id", "kind", "tenant", "roles", "self", "patients", "practitioner", "organizations", "facilities", "careTeams"}
	contextAttributes   = []string{"purpose", "mfa", "emergency"}
)

// checkKnown refuses attributes of the principal and the context that are not there, and entity types that nobody has.
func (b *builder) checkKnown(n ast.IsNode) {
	ast.Inspect(ast.NewNode(n), func(n ast.IsNode) bool {
		var arg ast.IsNode
		var name string
		switch n := n.(type) {
		case ast.NodeTypeAccess:
			arg, name = n.Arg, string(n.Value)
		case ast.NodeTypeHas:
			arg, name = n.Arg, string(n.Value)
		case ast.NodeTypeGetTag, ast.NodeTypeHasTag:
			b.refuse(n, "there are no tags")
		}
		v, ok := arg.(ast.NodeTypeVariable)
		switch {
		case !ok:
		case v.Name == "principal" && !contains(principalAttributes, name):
			b.refuse(n, "the principal has no attribute "+name+" (there are "+strings.Join(principalAttributes, ", ")+")")
		case v.Name == "context" && !contains(contextAttributes, name):
			b.refuse(n, "the context has no attribute "+name+" (there are "+strings.Join(contextAttributes, ", ")+")")
		case v.Name == "action":
			b.refuse(n, "an action has no attributes")
		}
		return true
	})
}
