package fhirpath

import (
	"strings"
	"unicode/utf8"
)

// inputString returns the one string of the input; ok is false where it is empty.
func inputString(in Collection, name string) (s string, ok bool, err error) {
	switch len(in) {
	case 0:
		return "", false, nil
	case 1:
	default:
		return "", false, fail("%s(): several items where one was expected", name)
	}
	if s, ok := in[0].text(); ok {
		return s, true, nil
	}
	if in[0].isPrimitive() && !in[0].hasValue() {
		return "", false, nil
	}
	// A primitive that FHIR writes as a string may be read as one: birthDate.startsWith('19').
	if v, ok := in[0].Value().(Temporal); ok && in[0].value == nil {
		return v.String(), true, nil
	}
	return "", false, fail("%s(): a string was expected", name)
}

// stringArg evaluates an argument that is one string; ok is false where it is empty.
func stringArg(m *machine, f frame, arg op, name string) (s string, ok bool, err error) {
	it, ok, err := single(m, f, arg, name+"()")
	if err != nil || !ok {
		return "", false, err
	}
	if s, ok = it.text(); !ok {
		return "", false, fail("%s(): a string was expected", name)
	}
	return s, true, nil
}

// inputAndArg returns the input string and the first argument; ok is false where one of them is empty.
func inputAndArg(m *machine, f frame, in Collection, args []op, name string) (s, arg string, ok bool, err error) {
	s, has, err := inputString(in, name)
	if err != nil {
		return "", "", false, err
	}
	arg, ok, err = stringArg(m, f, args[0], name)
	if err != nil || !ok || !has {
		return "", "", false, err
	}
	return s, arg, true, m.step(len(s) / 64)
}

func stringTest(name string, test func(s, arg string) bool) func(*machine, frame, Collection, []op) (tri, error) {
	return func(m *machine, f frame, in Collection, args []op) (tri, error) {
		s, arg, ok, err := inputAndArg(m, f, in, args, name)
		if err != nil || !ok {
			return unknown, err
		}
		return triOf(test(s, arg)), nil
	}
}

func hasPrefix(s, part string) bool { return strings.HasPrefix(s, part) }
func hasSuffix(s, part string) bool { return strings.HasSuffix(s, part) }
func hasPart(s, part string) bool   { return strings.Contains(s, part) }

func stringFunc(name string, change func(string) string) func(*machine, frame, Collection, []op, Collection) (Collection, error) {
	return func(m *machine, _ frame, in Collection, _ []op, dst Collection) (Collection, error) {
		s, ok, err := inputString(in, name)
		if err != nil || !ok {
			return dst, err
		}
		return appendString(m, dst, change(s))
	}
}

// appendString charges for the string's length, so that doubling it again and again ends.
func appendString(m *machine, dst Collection, s string) (Collection, error) {
	if err := m.chars(len(s)); err != nil {
		return dst, err
	}
	return append(dst, Item{value: String(s)}), nil
}

func upper(s string) string { return strings.ToUpper(s) }
func lower(s string) string { return strings.ToLower(s) }
func trim(s string) string  { return strings.TrimSpace(s) }

func fnIndexOf(m *machine, f frame, in Collection, args []op, dst Collection) (Collection, error) {
	return indexIn(m, f, in, args, dst, "indexOf", strings.Index)
}

func fnLastIndexOf(m *machine, f frame, in Collection, args []op, dst Collection) (Collection, error) {
	return indexIn(m, f, in, args, dst, "lastIndexOf", strings.LastIndex)
}

// indexIn answers in characters, not bytes.
func indexIn(m *machine, f frame, in Collection, args []op, dst Collection, name string, find func(s, part string) int) (Collection, error) {
	s, part, ok, err := inputAndArg(m, f, in, args, name)
	if err != nil || !ok {
		return dst, err
	}
	i := find(s, part)
	if i > 0 {
		i = utf8.RuneCountInString(s[:i])
	}
	return append(dst, Item{value: Integer(i)}), nil
}

func fnSubstring(m *machine, f frame, in Collection, args []op, dst Collection) (Collection, error) {
	s, ok, err := inputString(in, "substring")
	if err != nil || !ok {
		return dst, err
	}
	start, ok, err := integerArg(m, f, args[0], "substring()")
	if err != nil || !ok {
		return dst, err
	}
	length := len(s)
	if len(args) == 2 {
		n, has, err := integerArg(m, f, args[1], "substring()")
		if err != nil {
			return dst, err
		}
		if has {
			length = n
		}
	}
	from := byteOffset(s, start)
	if start < 0 || from >= len(s) {
		return dst, nil
	}
	s = s[from:]
	return appendString(m, dst, s[:byteOffset(s, max(length, 0))])
}

// byteOffset returns where the n-th character begins, or the length of s.
func byteOffset(s string, n int) int {
	for i := range s {
		if n <= 0 {
			return i
		}
		n--
	}
	return len(s)
}

func fnLength(_ *machine, _ frame, in Collection, _ []op, dst Collection) (Collection, error) {
	s, ok, err := inputString(in, "length")
	if err != nil || !ok {
		return dst, err
	}
	return append(dst, Item{value: Integer(utf8.RuneCountInString(s))}), nil
}

func fnToChars(m *machine, _ frame, in Collection, _ []op, dst Collection) (Collection, error) {
	s, ok, err := inputString(in, "toChars")
	if err != nil || !ok {
		return dst, err
	}
	if err := m.step(len(s)); err != nil {
		return dst, err
	}
	for _, r := range s {
		dst = append(dst, Item{value: String(r)})
	}
	return dst, nil
}

func fnReplace(m *machine, f frame, in Collection, args []op, dst Collection) (Collection, error) {
	s, pattern, ok, err := inputAndArg(m, f, in, args, "replace")
	if err != nil {
		return dst, err
	}
	by, has, err := stringArg(m, f, args[1], "replace")
	if err != nil || !ok || !has {
		return dst, err
	}
	n := strings.Count(s, pattern)
	if err := m.chars(len(s) + n*len(by)); err != nil {
		return dst, err
	}
	return appendString(m, dst, strings.ReplaceAll(s, pattern, by))
}

func fnSplit(m *machine, f frame, in Collection, args []op, dst Collection) (Collection, error) {
	s, sep, ok, err := inputAndArg(m, f, in, args, "split")
	if err != nil || !ok {
		return dst, err
	}
	for _, part := range strings.Split(s, sep) {
		if err := m.step(1); err != nil {
			return dst, err
		}
		dst = append(dst, Item{value: String(part)})
	}
	return dst, nil
}

func fnJoin(m *machine, f frame, in Collection, args []op, dst Collection) (Collection, error) {
	sep := ""
	if len(args) == 1 {
		s, _, err := stringArg(m, f, args[0], "join")
		if err != nil {
			return dst, err
		}
		sep = s
	}
	if len(in) == 0 {
		return dst, nil
	}
	var b strings.Builder
	for i := range in {
		s, _, err := inputString(in[i:i+1], "join")
		if err != nil {
			return dst, err
		}
		if i > 0 {
			b.WriteString(sep)
		}
		b.WriteString(s)
		if err := m.chars(b.Len()); err != nil {
			return dst, err
		}
	}
	return appendString(m, dst, b.String())
}
