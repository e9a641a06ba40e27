package patch

import (
	"strconv"
	"strings"

	"github.com/nilecare/nilecare/internal/fhir"
)

// pointer is a JSON Pointer (RFC 6901), split and unescaped.
type pointer []string

func parsePointer(s string) (pointer, bool) {
	if s == "" {
		return nil, true
	}
	if s[0] != '/' {
		return nil, false
	}
	parts := strings.Split(s[1:], "/")
	for i, p := range parts {
		if !strings.Contains(p, "~") {
			continue
		}
		for j := 0; j < len(p); j++ {
			if p[j] == '~' && (j+1 == len(p) || p[j+1] != '0' && p[j+1] != '1') {
				return nil, false
			}
		}
		parts[i] = strings.ReplaceAll(strings.ReplaceAll(p, "~1", "/"), "~0", "~")
	}
	return parts, true
}

// find returns what the pointer names, or nil.
func (p pointer) find(n *fhir.Node) *fhir.Node {
	for _, part := range p {
		switch {
		case n == nil:
			return nil
		case n.Kind == fhir.Object:
			n = n.Get(part)
		case n.Kind == fhir.Array:
			i, ok := index(part)
			if !ok {
				return nil
			}
			n = n.At(i)
		default:
			return nil
		}
	}
	return n
}

// index reads an array index: digits without leading zeros.
func index(s string) (int, bool) {
	if s == "" || len(s) > 9 || s[0] == '0' && len(s) > 1 {
		return 0, false
	}
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	n, err := strconv.Atoi(s)
	return n, err == nil
}

// within reports whether p lies under q.
func (p pointer) within(q pointer) bool {
	if len(p) <= len(q) {
		return false
	}
	for i := range q {
		if p[i] != q[i] {
			return false
		}
	}
	return true
}
