package oauth

import (
	"net/url"
	"slices"
	"strings"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fhir/def"
)

// scope is one word of a scope parameter: a plain one such as "openid", or one of SMART App Launch 2.2, "Scopes for requesting FHIR
// Resources", in the notation of version 1 (patient/Observation.read) or 2 (patient/Observation.rs?category=laboratory).
type scope struct {
	text  string
	level string // patient, user, system; "" for a plain one
	typ   string // a resource type, or "*"
	acts  string // a subsequence of "cruds"
	query url.Values
}

// plainScopes are the words that mean something by themselves.
var plainScopes = []string{"openid", "profile", "email", "fhirUser", "launch", "launch/patient", "launch/encounter", "offline_access", "online_access"}

// maxScopes bounds how many scopes a request has; a consent screen longer than that is read by nobody.
const maxScopes = 100

// parseScopes splits a scope parameter. Words that nobody knows are left out (RFC 6749 section 3.3 lets the server ignore them); those that
// look like SMART's and are not well formed are an error.
func parseScopes(text string) ([]scope, error) {
	if len(text) > 8000 {
		return nil, bad("invalid_scope", "the scope is too long")
	}
	var out []scope
	for word := range strings.FieldsSeq(text) {
		if slices.ContainsFunc(out, func(o scope) bool { return o.text == word }) {
			continue
		}
		sc, known, err := parseScope(word)
		if err != nil {
			return nil, err
		}
		if known {
			out = append(out, sc)
		}
	}
	if len(out) > maxScopes {
		return nil, bad("invalid_scope", "these are too many scopes")
	}
	// Who enforces the scopes must understand them all, the queries among them.
	if _, err := access.ParseScopes(scopeText(out)); err != nil {
		return nil, bad("invalid_scope", err.Error())
	}
	return out, nil
}

func parseScope(word string) (scope, bool, error) {
	if slices.Contains(plainScopes, word) {
		return scope{text: word}, true, nil
	}
	for i := range len(word) { // RFC 6749 appendix A.4
		if c := word[i]; c < 0x21 || c > 0x7e || c == '"' || c == '\\' {
			return scope{}, false, bad("invalid_scope", "a scope has a character that scopes do not have")
		}
	}
	level, rest, ok := strings.Cut(word, "/")
	if !ok || (level != "patient" && level != "user" && level != "system") {
		return scope{}, false, nil
	}
	sc := scope{text: word, level: level}
	rest, query, hasQuery := strings.Cut(rest, "?")
	sc.typ, rest, ok = strings.Cut(rest, ".")
	if !ok || (sc.typ != "*" && !isResourceType(sc.typ)) {
		return scope{}, false, bad("invalid_scope", "the scope "+word+" names no resource type")
	}
	switch rest {
	case "read":
		sc.acts = "rs"
	case "write":
		sc.acts = "cud"
	case "*":
		sc.acts = "cruds"
	default:
		if !isSubsequence(rest, "cruds") {
			return scope{}, false, bad("invalid_scope", "the scope "+word+" needs some of c, r, u, d, s in that order")
		}
		sc.acts = rest
	}
	if hasQuery {
		q, err := url.ParseQuery(query)
		if err != nil || len(q) == 0 {
			return scope{}, false, bad("invalid_scope", "the scope "+word+" has a query that cannot be read")
		}
		sc.query = q
	}
	return sc, true, nil
}

func isSubsequence(s, of string) bool {
	if s == "" {
		return false
	}
	i := 0
	for _, r := range s {
		j := strings.IndexRune(of[i:], r)
		if j < 0 {
			return false
		}
		i += j + 1
	}
	return true
}

// within reports that all that sc allows is allowed, each act of it by some of the others.
func (sc scope) within(allowed []scope) bool {
	if sc.level == "" {
		return hasScope(allowed, sc.text)
	}
	for _, act := range sc.acts {
		if !slices.ContainsFunc(allowed, func(a scope) bool {
			return a.level == sc.level && (a.typ == "*" || a.typ == sc.typ) && strings.ContainsRune(a.acts, act) && covers(a.query, sc.query)
		}) {
			return false
		}
	}
	return true
}

// covers: conditions narrow, so the wider one's must all be among the narrower one's.
func covers(wide, narrow url.Values) bool {
	for k, vs := range wide {
		for _, v := range vs {
			if !slices.Contains(narrow[k], v) {
				return false
			}
		}
	}
	return true
}

// only returns those of the scopes that are within the allowed ones, in their order.
func only(asked, allowed []scope) []scope {
	var out []scope
	for _, sc := range asked {
		if sc.within(allowed) {
			out = append(out, sc)
		}
	}
	return out
}

// narrowTo returns what of the scopes is allowed: one on records that asks for more than that is cut down to it (SMART App Launch 2.2 lets a
// server grant less than was asked).
func narrowTo(asked, allowed []scope) []scope {
	var out []scope
	all, err := access.ParseScopes(scopeText(allowed))
	if err != nil {
		return nil
	}
	for _, sc := range asked {
		switch {
		case sc.within(allowed):
			out = append(out, sc)
		case sc.level != "":
			one, err := access.ParseScopes(sc.text)
			if err != nil {
				continue
			}
			for _, less := range wordsOf(one.Subset(all).String()) {
				if !hasScope(out, less.text) {
					out = append(out, less)
				}
			}
		}
	}
	return out
}

func scopeText(scopes []scope) string {
	words := make([]string, len(scopes))
	for i, sc := range scopes {
		words[i] = sc.text
	}
	return strings.Join(words, " ")
}

func hasScope(scopes []scope, text string) bool {
	return slices.ContainsFunc(scopes, func(s scope) bool { return s.text == text })
}

func hasLevel(scopes []scope, level string) bool {
	return slices.ContainsFunc(scopes, func(s scope) bool { return s.level == level })
}

// withoutLevels leaves out scopes of the levels.
func withoutLevels(scopes []scope, levels ...string) []scope {
	return slices.DeleteFunc(slices.Clone(scopes), func(s scope) bool { return s.level != "" && slices.Contains(levels, s.level) })
}

// needsFHIR reports that the scopes are about records or a launch, so that aud must say which server is meant.
func needsFHIR(scopes []scope) bool {
	return slices.ContainsFunc(scopes, func(s scope) bool { return s.level != "" || strings.HasPrefix(s.text, "launch") })
}

// wordsOf splits a stored scope text; what it says was checked before it was stored.
func wordsOf(text string) []scope {
	var out []scope
	for word := range strings.FieldsSeq(text) {
		if sc, known, err := parseScope(word); err == nil && known {
			out = append(out, sc)
		}
	}
	return out
}

func isResourceType(name string) bool {
	t := def.Lookup(name)
	return t != nil && t.Num > 0
}
