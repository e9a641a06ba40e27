package search

import (
	"fmt"
	"strings"
)

// The expressions of search parameters use a small part of FHIRPath. This file reads that part into steps, which the
// extractor follows over the JSON tree without an evaluator; what it cannot read is an error, and a test holds that all
// of R4 can be read.

type stepKind uint8

const (
	stepField     stepKind = iota // .name
	stepCast                      // .ofType(name), also written (… as name) and .as(name)
	stepIndex                     // [0]: the first item only
	stepWhere                     // .where(name='value')
	stepExtension                 // .extension('value')
	stepHasExt                    // .where(hasExtension('value'))
	stepResolveIs                 // .where(resolve() is name)
	stepTruth                     // whole expression "x.exists() and x != false"; stands last
)

type step struct {
	kind  stepKind
	name  string
	value string
}

// pathString writes steps in one normal form: equal paths have equal texts.
func pathString(steps []step) string {
	var b strings.Builder
	for i, s := range steps {
		if i > 0 && s.kind != stepIndex && s.kind != stepTruth {
			b.WriteByte('.')
		}
		switch s.kind {
		case stepField:
			b.WriteString(s.name)
		case stepCast:
			b.WriteString("ofType(" + s.name + ")")
		case stepIndex:
			b.WriteString("[0]")
		case stepWhere:
			b.WriteString("where(" + s.name + "='" + s.value + "')")
		case stepExtension:
			b.WriteString("extension('" + s.value + "')")
		case stepHasExt:
			b.WriteString("where(hasExtension('" + s.value + "'))")
		case stepResolveIs:
			b.WriteString("where(resolve() is " + s.name + ")")
		case stepTruth:
			p := b.String()
			b.WriteString(".exists() and " + p + " != false")
		}
	}
	return b.String()
}

// splitUnion cuts an expression at its top-level '|'.
func splitUnion(expr string) []string {
	var parts []string
	depth, start := 0, 0
	quoted := false
	for i := 0; i < len(expr); i++ {
		switch c := expr[i]; {
		case c == '\'':
			quoted = !quoted
		case quoted:
		case c == '(' || c == '[':
			depth++
		case c == ')' || c == ']':
			depth--
		case c == '|' && depth == 0:
			parts = append(parts, strings.TrimSpace(expr[start:i]))
			start = i + 1
		}
	}
	return append(parts, strings.TrimSpace(expr[start:]))
}

// parsePath reads one path. A leading resource type (or Resource, DomainResource) is left out of the steps.
func parsePath(expr, resourceType string) ([]step, error) {
	p := pathParser{text: strings.TrimSpace(expr), root: resourceType}
	if left, right, ok := strings.Cut(p.text, ".exists() and "); ok && right == left+" != false" {
		p.text = left
		steps, err := p.path()
		return append(steps, step{kind: stepTruth}), err
	}
	steps, err := p.path()
	if err != nil {
		return nil, fmt.Errorf("expression %q at byte %d: %w", expr, p.pos, err)
	}
	if p.pos != len(p.text) {
		return nil, fmt.Errorf("expression %q at byte %d: not a path", expr, p.pos)
	}
	return steps, nil
}

type pathParser struct {
	text string
	pos  int
	root string
}

func (p *pathParser) take(s string) bool {
	if strings.HasPrefix(p.text[p.pos:], s) {
		p.pos += len(s)
		return true
	}
	return false
}

func (p *pathParser) name() string {
	start := p.pos
	for p.pos < len(p.text) {
		c := p.text[p.pos]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' {
			break
		}
		p.pos++
	}
	return p.text[start:p.pos]
}

func (p *pathParser) path() ([]step, error) {
	steps, err := p.first()
	for err == nil && p.pos < len(p.text) {
		switch {
		case p.take("[0]"):
			steps = append(steps, step{kind: stepIndex})
		case p.take("."):
			steps, err = p.next(steps)
		default:
			return steps, nil
		}
	}
	return steps, err
}

// first reads a parenthesis or a name that may be the resource type's.
func (p *pathParser) first() ([]step, error) {
	if p.take("(") {
		steps, err := p.path()
		if err != nil {
			return nil, err
		}
		if p.take(" as ") {
			steps = append(steps, cast(p.name()))
		}
		if !p.take(")") {
			return nil, fmt.Errorf("')' was expected")
		}
		return steps, nil
	}
	name := p.name()
	switch name {
	case "":
		return nil, fmt.Errorf("a name was expected")
	case p.root, "Resource", "DomainResource":
		return nil, nil
	}
	return []step{{kind: stepField, name: name}}, nil
}

func (p *pathParser) next(steps []step) ([]step, error) {
	switch {
	case p.take("as("), p.take("ofType("):
		steps = append(steps, cast(p.name()))
	case p.take("where(resolve() is "):
		steps = append(steps, step{kind: stepResolveIs, name: p.name()})
	case p.take("where(hasExtension("):
		s, err := p.literal()
		if err != nil || !p.take(")") {
			return nil, fmt.Errorf("an extension's URL was expected")
		}
		steps = append(steps, step{kind: stepHasExt, value: s})
	case p.take("where("):
		name := p.name()
		if !p.take("=") && !p.take(" = ") {
			return nil, fmt.Errorf("'=' was expected")
		}
		s, err := p.literal()
		if err != nil {
			return nil, err
		}
		steps = append(steps, step{kind: stepWhere, name: name, value: s})
	case p.take("extension("):
		s, err := p.literal()
		if err != nil {
			return nil, err
		}
		steps = append(steps, step{kind: stepExtension, value: s})
	default:
		name := p.name()
		if name == "" {
			return nil, fmt.Errorf("a name was expected")
		}
		return append(steps, step{kind: stepField, name: name}), nil
	}
	if !p.take(")") {
		return nil, fmt.Errorf("')' was expected")
	}
	return steps, nil
}

func (p *pathParser) literal() (string, error) {
	if !p.take("'") {
		return "", fmt.Errorf("a string was expected")
	}
	end := strings.IndexByte(p.text[p.pos:], '\'')
	if end < 0 {
		return "", fmt.Errorf("a string without end")
	}
	s := p.text[p.pos : p.pos+end]
	p.pos += end + 1
	return s, nil
}

// cast names the type; the definitions write dateTime in two ways.
func cast(name string) step {
	if name == "DateTime" {
		name = "dateTime"
	}
	return step{kind: stepCast, name: name}
}
