package fhir

import (
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"
)

// MaxDepth is how deep objects and arrays may nest; deeper input is an error.
const MaxDepth = 96

// MaxValues is how many values, members and items together, one text may hold; more are an error. A value takes some seventy
// bytes of memory, and hostile text makes one of every second byte; FHIR's own examples, without spaces, have 13 bytes a
// value at least, so that nothing of 64 MiB or less is refused that says anything.
const MaxValues = 5_000_000

// SyntaxError says where and why a text is no JSON that FHIR allows.
type SyntaxError struct {
	Offset int    // bytes from the start
	Reason string // for people
}

// Error implements error.
func (e *SyntaxError) Error() string { return fmt.Sprintf("JSON at byte %d: %s", e.Offset, e.Reason) }

// Parse reads one JSON value with nothing behind it. The nodes keep parts of data: the caller must not change it.
func Parse(data []byte) (*Node, error) {
	p := parser{data: data}
	n := p.alloc()
	if err := p.run(n); err != nil {
		return nil, err
	}
	return n, nil
}

// ParseAny reads any JSON value of RFC 8259, without FHIR's narrower rules: empty objects and arrays and null members
// may stand. JSON Patch documents need it.
func ParseAny(data []byte) (*Node, error) {
	p := parser{data: data, loose: true}
	n := p.alloc()
	if err := p.run(n); err != nil {
		return nil, err
	}
	return n, nil
}

// ParseResource is Parse for an object with a resourceType.
func ParseResource(data []byte) (*Resource, error) {
	n, err := Parse(data)
	if err != nil {
		return nil, err
	}
	if n.Kind != Object {
		return nil, &SyntaxError{0, "a resource is an object"}
	}
	if t := n.Get("resourceType"); t == nil || t.Kind != String || t.Text == "" {
		return nil, &SyntaxError{0, "resourceType is missing"}
	}
	return &Resource{n}, nil
}

type parser struct {
	data []byte
	pos  int
	slab []Node
	size int
	made int // values in all slabs
	// loose admits what JSON allows and FHIR does not.
	loose bool
}

// alloc returns a new node; nil where there are MaxValues.
func (p *parser) alloc() *Node {
	if len(p.slab) == 0 {
		if p.made >= MaxValues {
			return nil
		}
		if p.size == 0 {
			p.size = min(max(len(p.data)/40, 8), 256)
		}
		p.size = min(p.size, MaxValues-p.made)
		p.slab = make([]Node, p.size)
		p.made += p.size
	}
	n := &p.slab[0]
	p.slab = p.slab[1:]
	return n
}

func (p *parser) tooMany() error { return p.fail(fmt.Sprintf("more than %d values", MaxValues)) }

func (p *parser) fail(reason string) error { return &SyntaxError{p.pos, reason} }

func (p *parser) run(n *Node) error {
	p.space()
	if err := p.value(n, 0); err != nil {
		return err
	}
	p.space()
	if p.pos != len(p.data) {
		return p.fail("text after the value")
	}
	return nil
}

func (p *parser) space() {
	for p.pos < len(p.data) {
		switch p.data[p.pos] {
		case ' ', '\n', '\r', '\t':
			p.pos++
		default:
			return
		}
	}
}

func (p *parser) value(n *Node, depth int) error {
	if p.pos >= len(p.data) {
		return p.fail("unexpected end")
	}
	switch c := p.data[p.pos]; c {
	case '{':
		return p.object(n, depth+1)
	case '[':
		return p.array(n, depth+1)
	case '"':
		s, err := p.str()
		n.Kind, n.Text = String, s
		return err
	case 't':
		return p.word(n, "true", Bool)
	case 'f':
		return p.word(n, "false", Bool)
	case 'n':
		err := p.word(n, "null", Null)
		n.Text = ""
		return err
	default:
		if c == '-' || c >= '0' && c <= '9' {
			return p.number(n)
		}
		return p.fail("a value was expected")
	}
}

func (p *parser) word(n *Node, w string, k Kind) error {
	if len(p.data)-p.pos < len(w) || string(p.data[p.pos:p.pos+len(w)]) != w {
		return p.fail("a value was expected")
	}
	p.pos += len(w)
	n.Kind, n.Text = k, w
	return nil
}

func (p *parser) object(n *Node, depth int) error {
	if depth > MaxDepth {
		return p.fail(fmt.Sprintf("nested deeper than %d", MaxDepth))
	}
	n.Kind = Object
	p.pos++
	p.space()
	if p.pos < len(p.data) && p.data[p.pos] == '}' {
		if p.loose {
			p.pos++
			return nil
		}
		return p.fail("an empty object")
	}
	count := 0
	var names map[string]struct{}
	for {
		p.space()
		if p.pos >= len(p.data) || p.data[p.pos] != '"' {
			return p.fail("a member name was expected")
		}
		at := p.pos
		name, err := p.str()
		if err != nil {
			return err
		}
		// Small objects, nearly all, are searched in line; large ones get a set, so that hostile input stays linear.
		count++
		dup := false
		if count <= smallObject {
			dup = n.Get(name) != nil
		} else {
			if names == nil {
				names = make(map[string]struct{}, 64)
				for c := n.first; c != nil; c = c.next {
					names[c.Name] = struct{}{}
				}
			}
			_, dup = names[name]
			names[name] = struct{}{}
		}
		if dup {
			p.pos = at
			return p.fail(fmt.Sprintf("member %.40q stands twice", name))
		}
		p.space()
		if p.pos >= len(p.data) || p.data[p.pos] != ':' {
			return p.fail("':' was expected")
		}
		p.pos++
		p.space()
		at = p.pos
		c := p.alloc()
		if c == nil {
			return p.tooMany()
		}
		if err := p.value(c, depth); err != nil {
			return err
		}
		if c.Kind == Null && !p.loose {
			p.pos = at
			return p.fail(fmt.Sprintf("member %.40q is null", name))
		}
		c.Name = name
		n.Append(c)
		p.space()
		if p.pos >= len(p.data) {
			return p.fail("unexpected end")
		}
		switch p.data[p.pos] {
		case ',':
			p.pos++
		case '}':
			p.pos++
			return nil
		default:
			return p.fail("',' or '}' was expected")
		}
	}
}

func (p *parser) array(n *Node, depth int) error {
	if depth > MaxDepth {
		return p.fail(fmt.Sprintf("nested deeper than %d", MaxDepth))
	}
	n.Kind = Array
	p.pos++
	p.space()
	if p.pos < len(p.data) && p.data[p.pos] == ']' {
		if p.loose {
			p.pos++
			return nil
		}
		return p.fail("an empty array")
	}
	for {
		p.space()
		c := p.alloc()
		if c == nil {
			return p.tooMany()
		}
		if err := p.value(c, depth); err != nil {
			return err
		}
		n.Append(c)
		p.space()
		if p.pos >= len(p.data) {
			return p.fail("unexpected end")
		}
		switch p.data[p.pos] {
		case ',':
			p.pos++
		case ']':
			p.pos++
			return nil
		default:
			return p.fail("',' or ']' was expected")
		}
	}
}

func (p *parser) digits() int {
	start := p.pos
	for p.pos < len(p.data) && p.data[p.pos] >= '0' && p.data[p.pos] <= '9' {
		p.pos++
	}
	return p.pos - start
}

func (p *parser) number(n *Node) error {
	start := p.pos
	if p.data[p.pos] == '-' {
		p.pos++
	}
	lead := p.pos
	if k := p.digits(); k == 0 || k > 1 && p.data[lead] == '0' {
		return p.fail("a bad number")
	}
	if p.pos < len(p.data) && p.data[p.pos] == '.' {
		p.pos++
		if p.digits() == 0 {
			return p.fail("a bad number")
		}
	}
	if p.pos < len(p.data) && (p.data[p.pos] == 'e' || p.data[p.pos] == 'E') {
		p.pos++
		if p.pos < len(p.data) && (p.data[p.pos] == '+' || p.data[p.pos] == '-') {
			p.pos++
		}
		if p.digits() == 0 {
			return p.fail("a bad number")
		}
	}
	n.Kind, n.Text = Number, text(p.data[start:p.pos])
	return nil
}

// text views b as a string without a copy; Parse forbids its caller to change data.
func text(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	return unsafe.String(&b[0], len(b))
}

func (p *parser) str() (string, error) {
	p.pos++
	start, ascii := p.pos, true
	for p.pos < len(p.data) {
		c := p.data[p.pos]
		switch {
		case c == '"':
			s := p.data[start:p.pos]
			if !ascii && !utf8.Valid(s) {
				p.pos = start
				return "", p.fail("bad UTF-8")
			}
			p.pos++
			return text(s), nil
		case c == '\\':
			return p.escaped(start)
		case c < 0x20:
			return "", p.fail("a control character in a string")
		case c >= 0x80:
			ascii = false
		}
		p.pos++
	}
	return "", p.fail("a string without end")
}

func (p *parser) escaped(start int) (string, error) {
	out := append(make([]byte, 0, p.pos-start+64), p.data[start:p.pos]...)
	for p.pos < len(p.data) {
		c := p.data[p.pos]
		switch {
		case c == '"':
			if !utf8.Valid(out) {
				p.pos = start
				return "", p.fail("bad UTF-8")
			}
			p.pos++
			return text(out), nil
		case c < 0x20:
			return "", p.fail("a control character in a string")
		case c != '\\':
			out = append(out, c)
			p.pos++
			continue
		}
		if p.pos+1 >= len(p.data) {
			break
		}
		e := p.data[p.pos+1]
		p.pos += 2
		switch e {
		case '"', '\\', '/':
			out = append(out, e)
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r, err := p.unicode()
			if err != nil {
				return "", err
			}
			out = utf8.AppendRune(out, r)
		default:
			p.pos--
			return "", p.fail("a bad escape")
		}
	}
	return "", p.fail("a string without end")
}

func (p *parser) unicode() (rune, error) {
	r, ok := p.hex4()
	if !ok {
		return 0, p.fail("a bad \\u escape")
	}
	if !utf16.IsSurrogate(r) {
		if r == 0 {
			return 0, p.fail("the character U+0000")
		}
		return r, nil
	}
	if p.pos+1 < len(p.data) && p.data[p.pos] == '\\' && p.data[p.pos+1] == 'u' {
		p.pos += 2
		if low, ok := p.hex4(); ok {
			if c := utf16.DecodeRune(r, low); c != utf8.RuneError {
				return c, nil
			}
		}
	}
	return 0, p.fail("half of a surrogate pair")
}

func (p *parser) hex4() (rune, bool) {
	if p.pos+4 > len(p.data) {
		return 0, false
	}
	var r rune
	for _, c := range p.data[p.pos : p.pos+4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	p.pos += 4
	return r, true
}
