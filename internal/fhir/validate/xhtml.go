package validate

import (
	"strconv"
	"strings"
)

// xhtmlFormat checks a narrative's div (R4 narrative.html, txt-1 and txt-2) and returns what is wrong, or "". It is
// well-formed XML with the elements of basic formatting alone: nothing in it can run or fetch a script in a browser.
func xhtmlFormat(s string) string {
	x := xhtml{s: s}
	x.run()
	return x.reason
}

// maxTags is how deep tags may nest in a narrative.
const maxTags = 64

// xhtml scans a div once. The first fault ends it.
type xhtml struct {
	s       string
	pos     int
	reason  string
	depth   int
	open    [maxTags]string
	content bool // text or an image was seen: txt-2
	done    bool // the div was closed
}

func (x *xhtml) fail(reason string) {
	if x.reason == "" {
		x.reason = reason
	}
}

func (x *xhtml) run() {
	x.space()
	if !strings.HasPrefix(x.s[x.pos:], "<div") {
		x.fail("a narrative begins with <div")
		return
	}
	for x.reason == "" && x.pos < len(x.s) {
		switch {
		case x.done:
			x.afterDiv()
		case x.s[x.pos] != '<':
			x.text()
		case strings.HasPrefix(x.s[x.pos:], "<!--"):
			x.comment()
		case strings.HasPrefix(x.s[x.pos:], "</"):
			x.endTag()
		case strings.HasPrefix(x.s[x.pos:], "<!") || strings.HasPrefix(x.s[x.pos:], "<?"):
			x.fail("a narrative has no declarations, CDATA sections or processing instructions")
		default:
			x.startTag()
		}
	}
	if !x.done {
		x.fail("a narrative's tags are all closed")
	}
	if !x.content {
		x.fail("a narrative has some text or an image (txt-2)")
	}
}

func (x *xhtml) afterDiv() {
	x.space()
	switch {
	case x.pos == len(x.s):
	case strings.HasPrefix(x.s[x.pos:], "<!--"):
		x.comment()
	default:
		x.fail("a narrative is one <div>")
	}
}

func (x *xhtml) space() bool {
	start := x.pos
	for x.pos < len(x.s) && isSpace(x.s[x.pos]) {
		x.pos++
	}
	return x.pos > start
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// text passes characters and entities up to the next tag.
func (x *xhtml) text() {
	for x.pos < len(x.s) && x.reason == "" {
		switch c := x.s[x.pos]; {
		case c == '<':
			return
		case c == '&':
			x.entity()
			x.content = true
		case c < ' ' && !isSpace(c):
			x.fail("a narrative has no control characters")
		default:
			x.content = x.content || !isSpace(c)
			x.pos++
		}
	}
}

// entity passes &name; or &#number; and returns it without & and ;.
func (x *xhtml) entity() string {
	end := strings.IndexByte(x.s[x.pos:min(len(x.s), x.pos+12)], ';')
	if end < 2 {
		x.fail("an & begins an entity")
		return ""
	}
	name := x.s[x.pos+1 : x.pos+end]
	x.pos += end + 1
	if name[0] == '#' {
		if _, ok := charOf(name[1:]); !ok {
			x.fail("a bad character reference")
		}
		return name
	}
	for i := 0; i < len(name); i++ {
		if c := name[i]; (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (i == 0 || c < '0' || c > '9') {
			x.fail("an & begins an entity")
		}
	}
	return name
}

// charOf reads the number of a character reference: decimal, or hexadecimal after an x.
func charOf(s string) (rune, bool) {
	base := 10
	if hex, ok := strings.CutPrefix(s, "x"); ok {
		s, base = hex, 16
	}
	n, err := strconv.ParseUint(s, base, 21)
	if err != nil || n < ' ' && n != '\t' && n != '\n' && n != '\r' || n > 0x10ffff || n >= 0xd800 && n < 0xe000 {
		return 0, false
	}
	return rune(n), true
}

// comment passes a comment. What a browser, reading it as HTML, would end earlier is refused.
func (x *xhtml) comment() {
	x.pos += len("<!--")
	end := strings.Index(x.s[x.pos:], "--")
	if end < 0 || !strings.HasPrefix(x.s[x.pos+end:], "-->") || end > 0 && (x.s[x.pos] == '>' || x.s[x.pos] == '-') {
		x.fail("a malformed comment")
		return
	}
	x.pos += end + len("-->")
}

func (x *xhtml) name() string {
	start := x.pos
	for x.pos < len(x.s) {
		c := x.s[x.pos]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != ':' && c != '.' {
			break
		}
		x.pos++
	}
	return x.s[start:x.pos]
}

func (x *xhtml) endTag() {
	x.pos += len("</")
	name := x.name()
	x.space()
	if x.pos == len(x.s) || x.s[x.pos] != '>' || x.open[x.depth-1] != name {
		x.fail("a narrative's tags nest")
		return
	}
	x.pos++
	x.close()
}

func (x *xhtml) close() {
	x.depth--
	x.done = x.depth == 0
}

func (x *xhtml) startTag() {
	x.pos++
	name := x.name()
	if !isAllowedTag(name) {
		x.fail("a narrative has an element that is not allowed (txt-1)")
		return
	}
	if x.depth == maxTags {
		x.fail("a narrative's tags nest too deep")
		return
	}
	x.content = x.content || name == "img"
	x.open[x.depth] = name
	x.depth++
	namespace := x.attributes()
	if x.reason != "" {
		return
	}
	if x.depth == 1 && !namespace {
		x.fail("a narrative's div is of the namespace http://www.w3.org/1999/xhtml")
	}
	if x.s[x.pos] == '/' {
		x.pos++
		x.close()
	}
	x.pos++
}

// attributes passes the attributes up to > or />, at which it stops; namespace says that XHTML's was declared.
func (x *xhtml) attributes() (namespace bool) {
	for x.reason == "" {
		parted := x.space()
		rest := x.s[x.pos:]
		if strings.HasPrefix(rest, ">") || strings.HasPrefix(rest, "/>") {
			return namespace
		}
		name := x.name()
		if name == "" || !parted {
			x.fail("a malformed tag")
			return false
		}
		value := x.value()
		if x.reason == "" && x.attribute(name, value) {
			namespace = true
		}
	}
	return namespace
}

// value passes ="…" and returns what is in the quotes, as written.
func (x *xhtml) value() string {
	x.space()
	if x.pos < len(x.s) && x.s[x.pos] == '=' {
		x.pos++
		x.space()
		if x.pos < len(x.s) && (x.s[x.pos] == '"' || x.s[x.pos] == '\'') {
			start := x.pos + 1
			if end := strings.IndexByte(x.s[start:], x.s[x.pos]); end >= 0 {
				x.pos = start + end + 1
				return x.s[start : start+end]
			}
		}
	}
	x.fail("an attribute has a value in quotes")
	return ""
}

// attribute judges one attribute; it returns true for the declaration of XHTML's namespace.
func (x *xhtml) attribute(name, value string) (namespace bool) {
	if strings.IndexByte(value, '<') >= 0 {
		x.fail("an attribute has no <")
		return false
	}
	switch {
	case name == "xmlns":
		if value != "http://www.w3.org/1999/xhtml" {
			x.fail("a narrative is of the namespace http://www.w3.org/1999/xhtml")
		}
		return true
	case len(name) > 2 && strings.EqualFold(name[:2], "on"):
		x.fail("a narrative has no event handlers (txt-1)")
	case strings.IndexByte(name, ':') >= 0 && name != "xml:lang" && name != "xml:space" && name != "xml:base" && !strings.HasPrefix(name, "xmlns:"):
		x.fail("a narrative has no attributes of other namespaces (txt-1)")
	case isURLAttribute(name):
		if plain, ok := decode(value); !ok || !isSafeURL(plain) {
			x.fail("a narrative has no links that run scripts (txt-1)")
		}
	case strings.EqualFold(name, "style"):
		if plain, ok := decode(value); !ok || !isSafeStyle(plain) {
			x.fail("a narrative has no styles that run scripts (txt-1)")
		}
	case strings.IndexByte(value, '&') >= 0:
		if _, ok := decode(value); !ok {
			x.fail("an & begins an entity")
		}
	}
	return false
}

// isAllowedTag knows HTML 4.0's elements of chapters 7 to 11 (without 9.4) and 15, a and img (R4 narrative.html).
func isAllowedTag(name string) bool {
	switch name {
	case "div", "span", "p", "br", "h1", "h2", "h3", "h4", "h5", "h6", "a", "b", "em", "i", "strong", "small", "big", "tt",
		"dfn", "q", "var", "abbr", "acronym", "cite", "blockquote", "hr", "address", "bdo", "kbd", "code", "samp", "pre",
		"sub", "sup", "ul", "ol", "li", "dl", "dt", "dd", "table", "caption", "colgroup", "col", "thead", "tr", "tfoot",
		"tbody", "th", "td", "img", "map", "area", "u", "s", "strike":
		return true
	}
	return false
}

func isURLAttribute(name string) bool {
	switch strings.ToLower(name) {
	case "href", "src", "cite", "longdesc", "background", "action", "usemap", "xml:base":
		return true
	}
	return false
}

// decode resolves entities; false for one that is malformed, or that only HTML knows and that could hide something.
func decode(s string) (string, bool) {
	if strings.IndexByte(s, '&') < 0 {
		return s, true
	}
	var b strings.Builder
	x := xhtml{s: s}
	for x.pos < len(s) {
		if s[x.pos] != '&' {
			b.WriteByte(s[x.pos])
			x.pos++
			continue
		}
		name := x.entity()
		if x.reason != "" {
			return "", false
		}
		switch name {
		case "amp":
			b.WriteByte('&')
		case "lt":
			b.WriteByte('<')
		case "gt":
			b.WriteByte('>')
		case "quot":
			b.WriteByte('"')
		case "apos":
			b.WriteByte('\'')
		case "nbsp":
			b.WriteString("\u00a0")
		default:
			if name[0] != '#' {
				return "", false
			}
			r, _ := charOf(name[1:])
			b.WriteRune(r)
		}
	}
	return b.String(), true
}

// isSafeURL reports whether the scheme, if any, is none that a browser runs; browsers skip whitespace and control
// characters within it.
func isSafeURL(s string) bool {
	scheme := make([]byte, 0, 16)
	for i := 0; i < len(s) && len(scheme) < 16; i++ {
		c := s[i]
		switch {
		case c <= ' ':
			continue
		case c == '/' || c == '?' || c == '#':
			return true
		case c == ':':
			switch string(scheme) {
			case "javascript", "vbscript", "livescript", "mocha":
				return false
			case "data":
				return isImage(s[i+1:])
			}
			return true
		case c >= 'A' && c <= 'Z':
			c += 'a' - 'A'
		}
		scheme = append(scheme, c)
	}
	return true
}

// isImage reports whether the rest of a data URL is a picture that holds no script, as SVG may.
func isImage(s string) bool {
	kind, _, _ := strings.Cut(strings.ToLower(s[:min(len(s), 64)]), ",")
	return strings.HasPrefix(strings.TrimSpace(kind), "image/") && !strings.Contains(kind, "svg")
}

// isSafeStyle refuses what old browsers ran in styles, and escapes, which could hide it.
func isSafeStyle(s string) bool {
	if strings.IndexByte(s, '\\') >= 0 {
		return false
	}
	low := strings.ToLower(s)
	for _, bad := range [...]string{"javascript:", "vbscript:", "expression(", "@import", "behavior:", "-moz-binding"} {
		if strings.Contains(low, bad) {
			return false
		}
	}
	return true
}
