package access

import (
	_ "embed"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/cedar-policy/cedar-go"
	publicast "github.com/cedar-policy/cedar-go/ast"
	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
	"github.com/cedar-policy/cedar-go/x/exp/eval"

	"github.com/nilecare/nilecare/internal/fault"
)

//go:embed policies.cedar
var defaultPolicies string

// DefaultPolicies returns the policies that every tenant begins with, in Cedar's language.
func DefaultPolicies() string { return defaultPolicies }

// MaxPolicyText bounds the text that Compile takes, in bytes.
const MaxPolicyText = 1 << 20

// Policies are compiled policies: immutable, and safe for concurrent use. They remember the grants of the principals they were asked
// for last, which is the same answer sooner.
type Policies struct {
	rules []rule

	mu     sync.Mutex
	grants map[string]*grant
}

// rule is one policy.
type rule struct {
	id     string
	line   int
	permit bool
	roles  []string // the principal is in one of these; nil: the scope does not say
	when   expr     // scope and conditions together
	masks  map[string][]string
}

// Compile reads policies in Cedar's language (docs.cedarpolicy.com) and makes them ready to become predicates. What is outside of
// the subset that docs/access-control.md describes is fault.Invalid, an issue each, which names the policy and its line.
func Compile(text string) (*Policies, error) {
	if len(text) > MaxPolicyText {
		return nil, fault.New(fault.Invalid, "the policies are longer than %d bytes", MaxPolicyText)
	}
	list, err := cedar.NewPolicyListFromBytes("policies", []byte(text))
	if err != nil {
		return nil, fault.New(fault.Invalid, "the policies are not well-formed: %s", err.Error())
	}
	p := &Policies{grants: map[string]*grant{}}
	seen := map[string]bool{}
	var issues []fault.Issue
	for i, one := range list {
		r, problem := compileRule((*ast.Policy)(one.AST()), "policy"+strconv.Itoa(i+1))
		if problem == "" && seen[r.id] {
			problem = "another policy has this id"
		}
		seen[r.id] = true
		if problem != "" {
			issues = append(issues, fault.New(fault.Invalid, "policy %q at line %d: %s", r.id, r.line, problem).Issues...)
			continue
		}
		p.rules = append(p.rules, r)
	}
	if len(issues) > 0 {
		return nil, &fault.Error{Kind: fault.Invalid, Issues: issues}
	}
	return p, nil
}

// IDs returns the policies' ids, in their order.
func (p *Policies) IDs() []string {
	out := make([]string, len(p.rules))
	for i, r := range p.rules {
		out[i] = r.id
	}
	return out
}

// compileRule returns the rule and what is wrong with it.
func compileRule(p *ast.Policy, id string) (rule, string) {
	r := rule{id: id, line: p.Position.Line, permit: p.Effect == ast.EffectPermit}
	b := &builder{}
	for _, a := range p.Annotations {
		switch a.Key {
		case "id":
			r.id = string(a.Value)
		case "mask":
			r.masks = b.parseMask(string(a.Value))
		case "description":
		default:
			b.refuse(nil, fmt.Sprintf("there is no annotation @%s (there are @id, @description and @mask)", a.Key))
		}
	}
	b.checkPrincipal(p.Principal)
	b.checkAction(p.Action)
	if in, ok := p.Principal.(ast.ScopeTypeIn); ok && in.Entity.Type == typeRole {
		r.roles = []string{string(in.Entity.ID)}
	}
	if in, ok := p.Principal.(ast.ScopeTypeIsIn); ok && in.Entity.Type == typeRole {
		r.roles = []string{string(in.Entity.ID)}
	}
	r.when = b.build(eval.PolicyToNode(p).AsIsNode())
	return r, b.problem
}

func (b *builder) checkPrincipal(s ast.IsPrincipalScopeNode) {
	isType := func(t types.EntityType) {
		if t != typeUser && t != typeClient && t != typeDevice {
			b.refuse(nil, fmt.Sprintf("a principal is a User, a Client or a Device, not a %s", t))
		}
	}
	inRole := func(e types.EntityUID) {
		if e.Type != typeRole {
			b.refuse(nil, fmt.Sprintf("a principal is in a Role, not in a %s", e.Type))
		} else if CanonicalRole(string(e.ID)) != string(e.ID) {
			b.refuse(nil, fmt.Sprintf("the role %q is called %q here", string(e.ID), CanonicalRole(string(e.ID))))
		}
	}
	switch s := s.(type) {
	case ast.ScopeTypeEq:
		isType(s.Entity.Type)
	case ast.ScopeTypeIn:
		inRole(s.Entity)
	case ast.ScopeTypeIs:
		isType(s.Type)
	case ast.ScopeTypeIsIn:
		isType(s.Type)
		inRole(s.Entity)
	}
}

// the groups of actions.
var actionGroups = map[Action]string{Read: "view", Search: "view", Create: "write", Update: "write", Delete: "write"}

func (b *builder) checkAction(s ast.IsActionScopeNode) {
	check := func(e types.EntityUID, group bool) {
		name := string(e.ID)
		if e.Type == typeAction && (slices.Contains(actionNames[1:], name) || group && (name == "view" || name == "write")) {
			return
		}
		b.refuse(nil, fmt.Sprintf("there is no action %s (there are read, search, create, update and delete, and with in the groups view and write)", e))
	}
	switch s := s.(type) {
	case ast.ScopeTypeEq:
		check(s.Entity, false)
	case ast.ScopeTypeIn:
		check(s.Entity, true)
	case ast.ScopeTypeInSet:
		for _, e := range s.Entities {
			check(e, true)
		}
	}
}

// nodeText writes an expression as Cedar does, cut to a line.
func nodeText(n ast.IsNode) string {
	if n == nil {
		return ""
	}
	text := string(cedar.NewPolicyFromAST((*publicast.Policy)(ast.Permit().When(ast.NewNode(n)))).MarshalCedar())
	_, text, _ = strings.Cut(text, "when {")
	text = strings.TrimSuffix(strings.TrimSpace(text), ";")
	text = strings.Join(strings.Fields(strings.TrimSuffix(strings.TrimSpace(text), "}")), " ")
	if len(text) > 120 {
		text = strings.ToValidUTF8(text[:117], "") + "…"
	}
	return text
}

func contains(list []string, s string) bool { return slices.Contains(list, s) }

func sortValues(list []types.Value) {
	slices.SortFunc(list, func(a, b types.Value) int { return strings.Compare(a.String(), b.String()) })
}
