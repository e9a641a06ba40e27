package fhirpath

import (
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/nilecare/nilecare/internal/fault"
)

// SyntaxError says where and why a text is no FHIRPath expression.
type SyntaxError struct {
	Offset int    // bytes from the start of the expression
	Reason string // for people
}

// Error implements error.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("FHIRPath at character %d: %s", e.Offset+1, e.Reason)
}

// Unwrap gives the error its kind, [fault.Invalid].
func (e *SyntaxError) Unwrap() error { return fault.New(fault.Invalid, "%s", e.Error()) }

type tokenKind uint8

const (
	tokEnd    tokenKind = iota
	tokIdent            // a name or keyword
	tokQuoted           // `a delimited name`
	tokString           // text is unescaped
	tokNumber           // text is the digits
	tokDate             // text is what follows the @
	tokPunct            // operators and brackets
	tokDollar           // $this, text without the dollar
)

type token struct {
	kind tokenKind
	pos  int
	text string
}

type lexer struct {
	src string
	pos int
}

func (l *lexer) fail(pos int, format string, args ...any) error {
	return &SyntaxError{pos, fmt.Sprintf(format, args...)}
}

// space skips white space and both kinds of comment.
func (l *lexer) space() error {
	for l.pos < len(l.src) {
		switch rest := l.src[l.pos:]; {
		case rest[0] == ' ' || rest[0] == '\t' || rest[0] == '\n' || rest[0] == '\r':
			l.pos++
		case strings.HasPrefix(rest, "//"):
			end := strings.IndexByte(rest, '\n')
			if end < 0 {
				end = len(rest)
			}
			l.pos += end
		case strings.HasPrefix(rest, "/*"):
			end := strings.Index(rest[2:], "*/")
			if end < 0 {
				return l.fail(l.pos, "a comment without end")
			}
			l.pos += end + 4
		default:
			return nil
		}
	}
	return nil
}

func (l *lexer) next() (token, error) {
	if err := l.space(); err != nil {
		return token{}, err
	}
	start := l.pos
	if start >= len(l.src) {
		return token{kind: tokEnd, pos: start}, nil
	}
	switch c := l.src[start]; {
	case isLetter(c):
		return token{tokIdent, start, l.word()}, nil
	case isDigit(c):
		return token{tokNumber, start, l.number()}, nil
	case c == '\'' || c == '"':
		s, err := l.quoted(c)
		return token{tokString, start, s}, err
	case c == '`':
		s, err := l.quoted(c)
		return token{tokQuoted, start, s}, err
	case c == '@':
		l.pos++
		return token{tokDate, start, l.date()}, nil
	case c == '$':
		l.pos++
		return token{tokDollar, start, l.word()}, nil
	}
	for _, p := range [...]string{"<=", ">=", "!=", "!~"} {
		if strings.HasPrefix(l.src[start:], p) {
			l.pos += 2
			return token{tokPunct, start, p}, nil
		}
	}
	if strings.IndexByte("()[]{}.,=~<>|+-*/&%", l.src[start]) < 0 {
		r, _ := utf8.DecodeRuneInString(l.src[start:])
		return token{}, l.fail(start, "the character %q has no meaning here", r)
	}
	l.pos++
	return token{tokPunct, start, l.src[start:l.pos]}, nil
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func (l *lexer) word() string {
	start := l.pos
	for l.pos < len(l.src) && (isLetter(l.src[l.pos]) || isDigit(l.src[l.pos])) {
		l.pos++
	}
	return l.src[start:l.pos]
}

func (l *lexer) digits() {
	for l.pos < len(l.src) && isDigit(l.src[l.pos]) {
		l.pos++
	}
}

func (l *lexer) number() string {
	start := l.pos
	l.digits()
	if l.pos+1 < len(l.src) && l.src[l.pos] == '.' && isDigit(l.src[l.pos+1]) {
		l.pos++
		l.digits()
	}
	return l.src[start:l.pos]
}

// date takes what looks like a date, date and time, or time; the temporal parser judges it.
func (l *lexer) date() string {
	start := l.pos
	timed := false
	for l.pos < len(l.src) {
		c := l.src[l.pos]
		switch {
		case isDigit(c) || c == ':' && timed:
		case c == '-':
			if timed && strings.ContainsAny(l.src[start:l.pos], "+Z") {
				return l.src[start:l.pos]
			}
			if !l.dateDash(start, timed) {
				return l.src[start:l.pos]
			}
		case c == 'T' && !timed:
			timed = true
		case c == '.' && timed && l.pos+1 < len(l.src) && isDigit(l.src[l.pos+1]):
		case c == 'Z' && timed && l.pos > start+1:
			l.pos++
			return l.src[start:l.pos]
		case c == '+' && timed && l.dateDash(start, timed):
		default:
			return l.src[start:l.pos]
		}
		l.pos++
	}
	return l.src[start:l.pos]
}

// dateDash reports whether the sign at pos belongs to the literal: two digits follow, and after a time also a colon.
func (l *lexer) dateDash(start int, timed bool) bool {
	rest := l.src[l.pos+1:]
	if len(rest) < 2 || !isDigit(rest[0]) || !isDigit(rest[1]) {
		return false
	}
	if timed {
		return l.src[start] != 'T' && len(rest) >= 5 && rest[2] == ':'
	}
	return l.pos-start >= 4
}

func (l *lexer) quoted(end byte) (string, error) {
	start := l.pos
	l.pos++
	var b strings.Builder
	for l.pos < len(l.src) {
		c := l.src[l.pos]
		switch c {
		case end:
			l.pos++
			return b.String(), nil
		case '\\':
			if err := l.escape(&b); err != nil {
				return "", err
			}
		default:
			b.WriteByte(c)
			l.pos++
		}
	}
	return "", l.fail(start, "a string without end")
}

func (l *lexer) escape(b *strings.Builder) error {
	at := l.pos
	if at+1 >= len(l.src) {
		return l.fail(at, "a string without end")
	}
	c := l.src[at+1]
	l.pos += 2
	switch c {
	case '\'', '"', '`', '\\', '/':
		b.WriteByte(c)
	case 'f':
		b.WriteByte('\f')
	case 'n':
		b.WriteByte('\n')
	case 'r':
		b.WriteByte('\r')
	case 't':
		b.WriteByte('\t')
	case 'u':
		r, ok := l.hex4()
		if ok && utf16.IsSurrogate(r) && strings.HasPrefix(l.src[l.pos:], `\u`) {
			l.pos += 2
			var low rune
			low, ok = l.hex4()
			r = utf16.DecodeRune(r, low)
		}
		if !ok || utf16.IsSurrogate(r) {
			return l.fail(at, `a bad \u escape`)
		}
		b.WriteRune(r)
	default:
		return l.fail(at, "the escape \\%c is unknown", c)
	}
	return nil
}

func (l *lexer) hex4() (rune, bool) {
	if l.pos+4 > len(l.src) {
		return 0, false
	}
	var r rune
	for _, c := range []byte(l.src[l.pos : l.pos+4]) {
		switch {
		case isDigit(c):
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
	l.pos += 4
	return r, true
}
