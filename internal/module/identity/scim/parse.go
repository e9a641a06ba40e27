package scim

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// The bounds of a filter.
const (
	maxFilter = 8 << 10 // bytes
	maxDepth  = 40
)

var operators = []string{"eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"}

// ParseFilter reads a filter. The error is of the scimType invalidFilter and says where.
func ParseFilter(s string) (Filter, error) {
	p := &parser{s: s}
	f, err := p.whole()
	if err != nil {
		return nil, failed(400, "invalidFilter", "%v", err)
	}
	return f, nil
}

// Target is what a PATCH operation is about: attrPath, or attrPath[filter][.sub] (RFC 7644 section 3.5.2).
type Target struct {
	Path   Path
	Filter Filter // nil: none
	Sub    string // behind the filter
}

// String prints the target as [ParsePath] reads it.
func (t Target) String() string {
	s := t.Path.String()
	if t.Filter != nil {
		s += "[" + t.Filter.String() + "]"
		if t.Sub != "" {
			s += "." + t.Sub
		}
	}
	return s
}

// ParsePath reads the path of a PATCH operation. The error is of the scimType invalidPath.
func ParsePath(s string) (Target, error) {
	t, err := parsePath(s)
	if err != nil {
		return Target{}, failed(400, "invalidPath", "%v", err)
	}
	return t, nil
}

func parsePath(s string) (Target, error) {
	p := &parser{s: s}
	if err := p.bounded(); err != nil {
		return Target{}, err
	}
	path, err := p.path()
	if err != nil {
		return Target{}, err
	}
	t := Target{Path: path}
	if p.take("[") {
		if path.Attr == "" {
			return t, p.wrong("an attribute")
		}
		if t.Filter, err = p.or(false); err != nil {
			return t, err
		}
		if !p.skip().take("]") {
			return t, p.wrong("]")
		}
		if p.take(".") {
			if t.Sub = p.name(); t.Sub == "" {
				return t, p.wrong("a sub-attribute")
			}
		}
		if path.Sub != "" && t.Sub != "" {
			return t, p.wrong("the end")
		}
	}
	if p.at < len(p.s) {
		return t, p.wrong("the end")
	}
	return t, nil
}

// parser is by recursive descent: or, and, term.
type parser struct {
	s     string
	at    int
	depth int
}

func (p *parser) wrong(expected string) error {
	return fmt.Errorf("at character %d, %s is expected", p.at+1, expected)
}

func (p *parser) bounded() error {
	if len(p.s) > maxFilter {
		return fmt.Errorf("longer than %d bytes", maxFilter)
	}
	if !utf8.ValidString(p.s) {
		return fmt.Errorf("no valid UTF-8")
	}
	return nil
}

func (p *parser) whole() (Filter, error) {
	if err := p.bounded(); err != nil {
		return nil, err
	}
	f, err := p.or(true)
	if err != nil {
		return nil, err
	}
	if p.skip(); p.at < len(p.s) {
		return nil, p.wrong("and, or, or the end")
	}
	return f, nil
}

func (p *parser) skip() *parser {
	for p.at < len(p.s) && p.s[p.at] == ' ' {
		p.at++
	}
	return p
}

func (p *parser) take(token string) bool {
	if strings.HasPrefix(p.s[p.at:], token) {
		p.at += len(token)
		return true
	}
	return false
}

// word takes a keyword, in any case, that does not go on.
func (p *parser) word(word string) bool {
	p.skip()
	end := p.at + len(word)
	if end > len(p.s) || !strings.EqualFold(p.s[p.at:end], word) || end < len(p.s) && nameByte(p.s[end]) {
		return false
	}
	p.at = end
	return true
}

func nameByte(c byte) bool {
	return c == '-' || c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// or, and, term: complex says that attr[filter] may stand here, which within brackets it may not.
func (p *parser) or(complex bool) (Filter, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, fmt.Errorf("nested more than %d deep", maxDepth)
	}
	defer func() { p.depth-- }()
	f, err := p.and(complex)
	for n := 0; err == nil && p.word("or"); n++ {
		var right Filter
		right, err = p.and(complex)
		f = Or{f, right}
	}
	return f, err
}

func (p *parser) and(complex bool) (Filter, error) {
	f, err := p.term(complex)
	for err == nil && p.word("and") {
		var right Filter
		right, err = p.term(complex)
		f = And{f, right}
	}
	return f, err
}

func (p *parser) term(complex bool) (Filter, error) {
	p.skip()
	start := p.at
	if p.word("not") && p.skip().take("(") {
		f, err := p.closed(complex)
		return Not{f}, err
	}
	p.at = start
	if p.take("(") {
		return p.closed(complex)
	}
	path, err := p.path()
	if err != nil {
		return nil, err
	}
	if path.Attr == "" {
		return nil, p.wrong("an attribute")
	}
	if p.take("[") {
		if !complex {
			return nil, p.wrong("no filter within a filter of values")
		}
		f, err := p.or(false)
		if err == nil && !p.skip().take("]") {
			err = p.wrong("]")
		}
		return Complex{path, f}, err
	}
	return p.comparison(path)
}

func (p *parser) closed(complex bool) (Filter, error) {
	f, err := p.or(complex)
	if err == nil && !p.skip().take(")") {
		err = p.wrong(")")
	}
	return f, err
}

func (p *parser) comparison(path Path) (Filter, error) {
	if p.word("pr") {
		return Present{path}, nil
	}
	for _, op := range operators {
		if !p.word(op) {
			continue
		}
		v, err := p.value()
		if err != nil {
			return nil, err
		}
		_, text := v.(string)
		_, number := v.(json.Number)
		if !text && !(number && !slices.Contains([]string{"co", "sw", "ew"}, op)) && op != "eq" && op != "ne" {
			return nil, p.wrong("another kind of value for " + op)
		}
		return Compare{path, op, v}, nil
	}
	return nil, p.wrong("an operator")
}

// value is a scalar of JSON.
func (p *parser) value() (any, error) {
	for word, v := range map[string]any{"true": true, "false": false, "null": nil} {
		if p.word(word) {
			return v, nil
		}
	}
	p.skip()
	end := p.at
	if end < len(p.s) && p.s[end] == '"' {
		for end++; end < len(p.s) && p.s[end] != '"'; end++ {
			if p.s[end] == '\\' {
				end++
			}
		}
		var s string
		if end >= len(p.s) || json.Unmarshal([]byte(p.s[p.at:end+1]), &s) != nil {
			return nil, p.wrong("a string in double quotes")
		}
		p.at = end + 1
		return s, nil
	}
	for end < len(p.s) && strings.IndexByte("+-.0123456789eE", p.s[end]) >= 0 {
		end++
	}
	var n json.Number
	if end == p.at || json.Unmarshal([]byte(p.s[p.at:end]), &n) != nil {
		return nil, p.wrong("a value")
	}
	p.at = end
	return n, nil
}

// path is [URI ":"] name ["." name].
func (p *parser) path() (Path, error) {
	p.skip()
	var out Path
	if len(p.s)-p.at >= 4 && strings.EqualFold(p.s[p.at:p.at+4], "urn:") {
		end := p.at
		for end < len(p.s) && (nameByte(p.s[end]) || p.s[end] == ':' || p.s[end] == '.' || p.s[end] == '$') {
			end++
		}
		whole := p.s[p.at:end]
		if known(whole) {
			p.at = end
			return Path{URI: whole}, nil
		}
		cut := strings.LastIndexByte(whole, ':')
		out.URI = whole[:cut]
		if len(out.URI) < len("urn:") || strings.HasSuffix(out.URI, ":") {
			return out, p.wrong("the URN of a schema")
		}
		p.at += cut + 1
	}
	if out.Attr = p.name(); out.Attr == "" {
		return out, p.wrong("an attribute")
	}
	if p.take(".") {
		if out.Sub = p.name(); out.Sub == "" {
			return out, p.wrong("a sub-attribute")
		}
	}
	return out, nil
}

// name is an attribute's: a letter, then letters, digits, hyphens and underscores; or $ref.
func (p *parser) name() string {
	if p.take("$ref") {
		return "$ref"
	}
	end := p.at
	for end < len(p.s) && nameByte(p.s[end]) {
		end++
	}
	name := p.s[p.at:end]
	if name == "" || !(name[0] >= 'a' && name[0] <= 'z' || name[0] >= 'A' && name[0] <= 'Z') {
		return ""
	}
	p.at = end
	return name
}
