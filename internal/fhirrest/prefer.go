package fhirrest

import "strings"

// preference is what a client would like to get back (R4 http.html#ops, RFC 7240).
type preference struct {
	// give is representation, minimal or OperationOutcome; "" where nothing was said.
	give string
	// lenient: parameters that are not understood are left out, and reported.
	lenient bool
}

// parsePrefer reads Prefer headers; what is not known is passed over, as RFC 7240 demands.
func parsePrefer(lines []string) (p preference) {
	for _, line := range lines {
		for item := range strings.FieldsFuncSeq(line, func(r rune) bool { return r == ',' || r == ';' }) {
			k, v, _ := strings.Cut(strings.TrimSpace(item), "=")
			v = strings.Trim(strings.TrimSpace(v), `"`)
			switch strings.ToLower(strings.TrimSpace(k)) {
			case "return":
				if v == "minimal" || v == "representation" || v == "OperationOutcome" {
					p.give = v
				}
			case "handling":
				p.lenient = v == "lenient"
			}
		}
	}
	return p
}
