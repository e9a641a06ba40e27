package fhirpath

import (
	"fmt"
	"regexp"
	"strings"
)

// regex is an argument that holds a regular expression: compiled once where it is constant.
type regex struct {
	arg, flags op
	full       bool
	fixed      *regexp.Regexp
}

func newRegex(n *ast, arg, flags op, full bool) (regex, error) {
	r := regex{arg: arg, flags: flags, full: full}
	c, ok := arg.(*constant)
	if !ok || flags != nil {
		return r, nil
	}
	s, ok := c.item.text()
	if !ok {
		return r, nil
	}
	re, err := compileRegexp(s, "", full)
	if err != nil {
		return r, &SyntaxError{n.pos, fmt.Sprintf("%s(): a bad regular expression", n.name)}
	}
	r.fixed = re
	return r, nil
}

// compileRegexp reads a pattern in single-line mode: a dot matches a line's end.
func compileRegexp(pattern, flags string, full bool) (*regexp.Regexp, error) {
	mode := "s"
	for _, c := range flags {
		switch c {
		case 'i', 'm':
			mode += string(c)
		default:
			return nil, fmt.Errorf("unknown flag")
		}
	}
	if full {
		return regexp.Compile("(?" + mode + `)\A(?:` + pattern + `)\z`)
	}
	return regexp.Compile("(?" + mode + ")" + pattern)
}

// get returns nil where the argument is empty or "".
func (r *regex) get(m *machine, f frame, name string) (re *regexp.Regexp, blank bool, err error) {
	if r.fixed != nil {
		c := r.arg.(*constant)
		s, _ := c.item.text()
		return r.fixed, s == "", nil
	}
	s, ok, err := stringArg(m, f, r.arg, name)
	if err != nil || !ok {
		return nil, false, err
	}
	flags := ""
	if r.flags != nil {
		if flags, _, err = stringArg(m, f, r.flags, name); err != nil {
			return nil, false, err
		}
	}
	if err := m.step(50 + len(s)); err != nil {
		return nil, false, err
	}
	re, err = compileRegexp(s, flags, r.full)
	if err != nil {
		return nil, false, fail("%s(): a bad regular expression", name)
	}
	return re, s == "", nil
}

type matchesOp struct {
	name string
	re   regex
}

func buildMatches(n *ast, args []op) (op, error) {
	var flags op
	if len(args) == 2 {
		flags = args[1]
	}
	re, err := newRegex(n, args[0], flags, n.name == "matchesFull")
	return &matchesOp{n.name, re}, err
}

func (o *matchesOp) test(m *machine, f frame, in Collection) (tri, error) {
	s, ok, err := inputString(in, o.name)
	if err != nil {
		return unknown, err
	}
	re, _, err := o.re.get(m, f, o.name)
	if err != nil || !ok || re == nil {
		return unknown, err
	}
	if err := m.step(1 + len(s)/8); err != nil {
		return unknown, err
	}
	return triOf(re.MatchString(s)), nil
}

func (o *matchesOp) eval(m *machine, f frame, in, dst Collection) (Collection, error) {
	t, err := o.test(m, f, in)
	return t.append(dst), err
}

type replaceMatchesOp struct {
	re regex
	by op
}

func buildReplaceMatches(n *ast, args []op) (op, error) {
	var flags op
	if len(args) == 3 {
		flags = args[2]
	}
	re, err := newRegex(n, args[0], flags, false)
	return &replaceMatchesOp{re, args[1]}, err
}

func (o *replaceMatchesOp) eval(m *machine, f frame, in, dst Collection) (Collection, error) {
	s, ok, err := inputString(in, "replaceMatches")
	if err != nil {
		return dst, err
	}
	re, blank, err := o.re.get(m, f, "replaceMatches")
	if err != nil {
		return dst, err
	}
	by, has, err := stringArg(m, f, o.by, "replaceMatches")
	if err != nil || !ok || !has || re == nil {
		return dst, err
	}
	if blank {
		return appendString(m, dst, s)
	}
	if err := m.step(1 + len(s)/8); err != nil {
		return dst, err
	}
	// The most that a replacement can make: every place replaced, every character of it a group.
	if err := m.chars(len(s) * (1 + len(by))); err != nil {
		return dst, err
	}
	return appendString(m, dst, re.ReplaceAllString(s, braced(by)))
}

// braced rewrites "$1" as "${1}", so that what follows a group's number is no part of its name; "${name}" stays.
func braced(by string) string {
	if !strings.Contains(by, "$") {
		return by
	}
	var b strings.Builder
	for i := 0; i < len(by); i++ {
		b.WriteByte(by[i])
		if by[i] != '$' || i+1 >= len(by) || !isDigit(by[i+1]) {
			continue
		}
		j := i + 1
		for j < len(by) && isDigit(by[j]) {
			j++
		}
		b.WriteString("{" + by[i+1:j] + "}")
		i = j - 1
	}
	return b.String()
}
