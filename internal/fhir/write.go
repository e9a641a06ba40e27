package fhir

import "unicode/utf8"

// AppendJSON appends the compact JSON text of n: members in their order, numbers by their digits, strings with the
// escapes that JSON demands and no others (U+2028 and U+2029 are escaped too, for scripts that embed JSON).
func (n *Node) AppendJSON(b []byte) []byte {
	switch n.Kind {
	case Null:
		return append(b, "null"...)
	case String:
		return AppendQuoted(b, n.Text)
	case Array:
		b = append(b, '[')
		for c := n.first; c != nil; c = c.next {
			if c != n.first {
				b = append(b, ',')
			}
			b = c.AppendJSON(b)
		}
		return append(b, ']')
	case Object:
		b = append(b, '{')
		for c := n.first; c != nil; c = c.next {
			if c != n.first {
				b = append(b, ',')
			}
			b = AppendQuoted(b, c.Name)
			b = append(b, ':')
			b = c.AppendJSON(b)
		}
		return append(b, '}')
	default:
		return append(b, n.Text...)
	}
}

// AppendIndented is AppendJSON with two spaces of indent a level, for people.
func (n *Node) AppendIndented(b []byte) []byte { return n.indented(b, 0) }

func (n *Node) indented(b []byte, depth int) []byte {
	if n.Kind != Array && n.Kind != Object {
		return n.AppendJSON(b)
	}
	open, end := byte('['), byte(']')
	if n.Kind == Object {
		open, end = '{', '}'
	}
	b = append(b, open)
	for c := n.first; c != nil; c = c.next {
		if c != n.first {
			b = append(b, ',')
		}
		b = newline(b, depth+1)
		if n.Kind == Object {
			b = append(AppendQuoted(b, c.Name), ':', ' ')
		}
		b = c.indented(b, depth+1)
	}
	if n.first != nil {
		b = newline(b, depth)
	}
	return append(b, end)
}

func newline(b []byte, depth int) []byte {
	b = append(b, '\n')
	for ; depth > 0; depth-- {
		b = append(b, ' ', ' ')
	}
	return b
}

const hexDigits = "0123456789abcdef"

// AppendQuoted appends s as a JSON string with its quotes.
func AppendQuoted(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r != '\u2028' && r != '\u2029' && (r != utf8.RuneError || size > 1) {
				i += size
				continue
			}
			b = append(b, s[start:i]...)
			b = append(b, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
			i += size
			start = i
			continue
		}
		b = append(b, s[start:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		start = i
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}
