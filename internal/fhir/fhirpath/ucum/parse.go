package ucum

import (
	"errors"
	"math/big"
	"strconv"
	"strings"
)

// errUnknown is what a code that is no unit known here gives.
var errUnknown = errors.New("not a UCUM unit that is known here")

const (
	maxLength = 256
	maxTerms  = 16
	maxDepth  = 8
)

// Parse reads a unit: "mg", "kg.m/s2", "10*9/L", "/min", "mm[Hg]", "{score}", "Cel". The error says no more than that
// the text is no unit known here.
func Parse(code string) (*Unit, error) {
	if code == "" || len(code) > maxLength {
		return nil, errUnknown
	}
	p := parser{rest: code}
	u, ok := p.terms()
	if !ok || p.rest != "" {
		return nil, errUnknown
	}
	return u, nil
}

type parser struct {
	rest  string
	count int
	depth int
}

// terms reads components joined by '.' and '/', from the left; a leading '/' inverts the first.
func (p *parser) terms() (*Unit, bool) {
	var out *Unit
	sign := 1
	if strings.HasPrefix(p.rest, "/") {
		p.rest, sign = p.rest[1:], -1
	}
	for {
		if p.count++; p.count > maxTerms {
			return nil, false
		}
		u, ok := p.component()
		if !ok {
			return nil, false
		}
		if out == nil && sign == 1 {
			out = u
		} else {
			if out == nil {
				out = number(1)
			}
			if out, ok = out.combine(u, sign); !ok {
				return nil, false
			}
		}
		switch {
		case strings.HasPrefix(p.rest, "."):
			sign = 1
		case strings.HasPrefix(p.rest, "/"):
			sign = -1
		default:
			return out, true
		}
		p.rest = p.rest[1:]
	}
}

func number(n int64) *Unit { return &Unit{factor: big.NewRat(n, 1)} }

// component reads "(…)", "{annotation}", a number, or an atom with its exponent and annotation.
func (p *parser) component() (*Unit, bool) {
	switch {
	case p.rest == "":
		return nil, false
	case p.rest[0] == '(':
		if p.depth++; p.depth > maxDepth {
			return nil, false
		}
		p.rest = p.rest[1:]
		u, ok := p.terms()
		if !ok || !strings.HasPrefix(p.rest, ")") {
			return nil, false
		}
		p.rest, p.depth = p.rest[1:], p.depth-1
		return u, true
	case p.rest[0] == '{':
		return number(1), p.annotation()
	}
	word := p.word()
	if word == "" {
		return nil, false
	}
	u, ok := atom(word)
	return u, ok && p.annotation()
}

func (p *parser) annotation() bool {
	if !strings.HasPrefix(p.rest, "{") {
		return true
	}
	end := strings.IndexByte(p.rest, '}')
	if end < 0 {
		return false
	}
	p.rest = p.rest[end+1:]
	return true
}

// word takes what stands up to the next operator; brackets belong to it whole.
func (p *parser) word() string {
	i := 0
	for i < len(p.rest) {
		switch c := p.rest[i]; c {
		case '.', '/', '(', ')', '{', '}':
			out := p.rest[:i]
			p.rest = p.rest[i:]
			return out
		case '[':
			end := strings.IndexByte(p.rest[i:], ']')
			if end < 0 {
				return ""
			}
			i += end
		}
		i++
	}
	out := p.rest
	p.rest = ""
	return out
}

// atom reads a number, or a prefixed unit with an exponent.
func atom(word string) (*Unit, bool) {
	if n, err := strconv.ParseUint(word, 10, 31); err == nil {
		return number(int64(n)), n > 0
	}
	name, exp := splitExponent(word)
	u, ok := simple(name)
	if !ok {
		return nil, false
	}
	if exp == "" {
		return u, true
	}
	n, err := strconv.Atoi(exp)
	if err != nil || n == 0 {
		return nil, false
	}
	return u.pow(n)
}

// splitExponent cuts "m2", "s-1", "10*-3", "10^6" before the exponent.
func splitExponent(word string) (name, exp string) {
	i := len(word)
	for i > 0 && word[i-1] >= '0' && word[i-1] <= '9' {
		i--
	}
	if i == len(word) || i == 0 {
		return word, ""
	}
	if (word[i-1] == '-' || word[i-1] == '+') && i > 1 {
		i--
	}
	return word[:i], word[i:]
}

// simple finds a unit by its name, or by a prefix and a metric unit.
func simple(name string) (*Unit, bool) {
	if a, ok := atoms[name]; ok {
		return a.unit()
	}
	for _, n := range [...]int{2, 1} {
		if len(name) <= n {
			continue
		}
		scale, ok := prefixes[name[:n]]
		if !ok {
			continue
		}
		a, ok := atoms[name[n:]]
		if !ok || !a.metric {
			continue
		}
		u, ok := a.unit()
		if !ok {
			return nil, false
		}
		factor, _ := new(big.Rat).SetString(scale)
		out := &Unit{factor: factor.Mul(factor, u.factor), dims: u.dims}
		if u.offset != nil {
			// The offset counts in the prefixed unit.
			scaled, _ := new(big.Rat).SetString(scale)
			out.offset = new(big.Rat).Quo(u.offset, scaled)
		}
		return out, true
	}
	return nil, false
}
