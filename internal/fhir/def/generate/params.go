package main

import (
	"fmt"
	"sort"
	"strings"
	"unicode/utf8"
)

type searchParameter struct {
	ID, URL, Name, Code, Type, Expression, Description string
	Base, Target                                       []string
	Component                                          []struct{ Definition, Expression string }
}

// param is a search parameter as it applies to one type.
type param struct {
	code, name, url, typ, expression, doc string
	targets                               []string
	components                            []paramComponent
}

type paramComponent struct{ param, typ, expression string }

// corrections mends what is plainly wrong in the published parameters: expressions of components by
// parameter id and component definition.
var corrections = map[[2]string]string{
	// FHIR's type names are case-sensitive.
	{"Observation-code-value-date", "Observation-value-date"}: "value.as(dateTime) | value.as(Period)",
	// The two expressions stand crosswise to the parameters that they belong to.
	{"DocumentReference-relationship", "DocumentReference-relatesto"}: "target",
	{"DocumentReference-relationship", "DocumentReference-relation"}:  "code",
}

func (g *generator) readParams(pkg string) error {
	all, err := readAll[searchParameter](pkg, "SearchParameter")
	if err != nil {
		return err
	}
	byURL := map[string]*searchParameter{}
	for _, s := range all {
		byURL[s.URL] = s
	}
	g.params = map[string][]*param{}
	for _, s := range all {
		if why := unusable(s); why != "" {
			g.note("search parameter %s is left out: %s", s.ID, why)
			continue
		}
		for _, base := range s.Base {
			p, err := g.param(s, base, byURL)
			if err != nil {
				return fmt.Errorf("%s on %s: %w", s.ID, base, err)
			}
			g.params[base] = append(g.params[base], p)
		}
	}
	for base, list := range g.params {
		sort.Slice(list, func(i, j int) bool { return list[i].code < list[j].code })
		for i := 1; i < len(list); i++ {
			if list[i].code == list[i-1].code {
				return fmt.Errorf("%s has two parameters %s", base, list[i].code)
			}
		}
	}
	return nil
}

// unusable says why a parameter is none of R4's: the package holds examples of the resource type, and drafts for
// extensions that have no expression to search by.
func unusable(s *searchParameter) string {
	switch {
	case strings.HasPrefix(s.ID, "example"):
		return "an example"
	case len(s.Base) == 0:
		return "no base"
	case s.Expression == "" && !strings.HasPrefix(s.Code, "_"):
		return "no expression"
	}
	return ""
}

func (g *generator) param(s *searchParameter, base string, byURL map[string]*searchParameter) (*param, error) {
	p := &param{code: s.Code, name: s.Name, url: s.URL, typ: s.Type, doc: doc(s.Description, base)}
	p.expression = narrow(s.Expression, base)
	if s.Expression != "" && p.expression == "" {
		return nil, fmt.Errorf("nothing of %q is about it", s.Expression)
	}
	if p.typ == "reference" {
		p.targets = g.paramTargets(s.Target, p.expression)
	}
	for _, c := range s.Component {
		part := byURL[c.Definition]
		if part == nil {
			return nil, fmt.Errorf("unknown component %s", c.Definition)
		}
		x := c.Expression
		if y, ok := corrections[[2]string{s.ID, part.ID}]; ok {
			x = y
		}
		p.components = append(p.components, paramComponent{part.Code, part.Type, x})
	}
	return p, nil
}

// narrow keeps the alternatives of an expression that begin with the type, or with Resource or DomainResource.
func narrow(expression, base string) string {
	var kept []string
	for _, part := range split(expression) {
		switch name := first(part); {
		case name == base || name == "Resource" || name == "DomainResource":
			kept = append(kept, part)
		case name != "" && name[0] >= 'a':
			kept = append(kept, base+"."+part) // one definition leaves the type out: InsurancePlan's "name | alias"
		}
	}
	x := strings.Join(kept, " | ")
	// An extension is no search value: its value is.
	if i := strings.Index(x, ".extension('"); i >= 0 && strings.HasSuffix(x, "')") && !strings.Contains(x, "|") {
		x += ".value"
	}
	return x
}

// split cuts an expression at the bars that stand outside of brackets and quotes.
func split(s string) []string {
	var out []string
	depth, start, quoted := 0, 0, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\'':
			quoted = !quoted
		case quoted:
		case c == '(' || c == '[':
			depth++
		case c == ')' || c == ']':
			depth--
		case c == '|' && depth == 0:
			out = append(out, strings.TrimSpace(s[start:i]))
			start = i + 1
		}
	}
	if last := strings.TrimSpace(s[start:]); last != "" {
		out = append(out, last)
	}
	return out
}

// first returns the name that a path begins with, within any brackets.
func first(s string) string {
	s = strings.TrimLeft(s, "( ")
	for i := 0; i < len(s); i++ {
		if c := s[i]; (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return s[:i]
		}
	}
	return s
}

// paramTargets narrows the targets that a parameter declares for all its types to those that this type's elements
// admit: "patient" may point to a Patient or Group, AllergyIntolerance.patient to a Patient alone.
func (g *generator) paramTargets(declared []string, expression string) []string {
	allowed := map[string]bool{}
	for _, part := range split(expression) {
		names, ok := g.pathTargets(part)
		if !ok {
			return sorted(declared)
		}
		for _, n := range names {
			allowed[n] = true
		}
	}
	var out []string
	for _, t := range declared {
		if allowed[t] {
			out = append(out, t)
		}
	}
	if len(out) == 0 {
		out = declared
	}
	return sorted(out)
}

// pathTargets returns what the element at a plain path may point to; false where the path is not plain or the
// element points to anything.
func (g *generator) pathTargets(path string) ([]string, bool) {
	path, filter, filtered := strings.Cut(path, ".where(resolve() is ")
	if filtered {
		return []string{strings.TrimSuffix(filter, ")")}, true
	}
	if t, ok := strings.CutSuffix(path, " as Reference)"); ok {
		path = strings.TrimPrefix(t, "(")
	}
	names := strings.Split(path, ".")
	t := g.types[names[0]]
	for i, name := range names[1:] {
		if t == nil {
			return nil, false
		}
		e := t.element(name)
		if e == nil {
			return nil, false
		}
		if i == len(names)-2 {
			return elementTargets(e)
		}
		t = g.types[e.types[0]]
	}
	return nil, false
}

func elementTargets(e *elementDef) ([]string, bool) {
	for _, t := range e.types {
		if list, ok := strings.CutPrefix(t, "Reference>"); ok {
			return strings.Split(list, ","), true
		}
	}
	return nil, false
}

func sorted(in []string) []string {
	out := append([]string(nil), in...)
	sort.Strings(out)
	return out
}

const docLimit = 120

// doc cuts a description to a line: of a list by type the type's entry.
func doc(s, base string) string {
	if strings.HasPrefix(s, "Multiple Resources:") {
		_, s, _ = strings.Cut(s, "* ["+base+"](")
		_, s, _ = strings.Cut(s, "): ")
	}
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	s = strings.TrimSpace(strings.ReplaceAll(s, "\t", " "))
	if len(s) <= docLimit {
		return s
	}
	cut := docLimit - len("…")
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	if at := strings.LastIndexByte(s[:cut], ' '); at > 0 {
		cut = at
	}
	return strings.TrimRight(s[:cut], " ,;") + "…"
}
