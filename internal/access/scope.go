package access

import (
	"slices"
	"strings"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir/def"
	"github.com/nilecare/nilecare/internal/fhir/search"
)

// WholeProduct is the scope of the product's own front ends: it narrows nothing.
const WholeProduct = "nilecare"

// Bounds of a scope parameter.
const (
	MaxScopes     = 500
	MaxScopeBytes = 16 << 10
)

// Scopes are the scopes of a token, read: SMART App Launch 2 (and 1), OpenID Connect, and names of the product's permissions.
type Scopes struct {
	text      string   // as given, single spaces, each once
	names     []string // in their order
	resources []ResourceScope
	unknown   []string
}

// ResourceScope is a scope on FHIR resources, such as "patient/Observation.rs?category=laboratory".
type ResourceScope struct {
	Context string         // patient, user or system
	Type    string         // a resource type, or "*"
	Letters string         // of "cruds", in that order
	Params  []search.Param // search parameters, which all must hold; none mostly

	text  string             // as it was written
	old   bool               // version 1: read, write, *
	query string             // the parameters as they were written
	preds []search.TypedPred // of Params, one a type; nil without
}

// String writes the scope as it was given.
func (r ResourceScope) String() string { return r.text }

// letters of SMART App Launch 2, in the order that it prescribes, and the actions that they stand for.
const letters = "cruds"

var letterActions = map[Action]string{Create: "c", Read: "r", Update: "u", Delete: "d", Search: "s"}

// oldLetters are what the words of version 1 mean (SMART App Launch 2.2, "Scopes for requesting FHIR Resources").
var oldLetters = map[string]string{"read": "rs", "write": "cud", "*": letters}

// plainScopes are the scopes that are neither on resources nor permissions.
var plainScopes = []string{"openid", "profile", "email", "phone", "address", "fhirUser", "offline_access", "online_access", "launch", WholeProduct, "smart/orchestrate_launch"}

// ParseScopes reads a list of scopes parted by spaces. Scopes that nobody knows are kept aside (RFC 6749 section 3.3 lets a server
// ignore them). What looks like a scope on resources and is none, and what RFC 6749 does not allow in a scope, is fault.Invalid with
// the reason.
func ParseScopes(s string) (Scopes, error) {
	var out Scopes
	if len(s) > MaxScopeBytes {
		return out, fault.New(fault.Invalid, "the scopes are longer than %d bytes", MaxScopeBytes)
	}
	for _, name := range strings.Split(s, " ") {
		if name == "" || slices.Contains(out.names, name) {
			continue
		}
		if len(out.names) == MaxScopes {
			return Scopes{}, fault.New(fault.Invalid, "there are more than %d scopes", MaxScopes)
		}
		if err := out.add(name); err != nil {
			return Scopes{}, err
		}
	}
	out.text = strings.Join(out.names, " ")
	return out, nil
}

// add reads one scope.
func (s *Scopes) add(name string) error {
	for i := 0; i < len(name); i++ {
		if c := name[i]; c < 0x21 || c > 0x7e || c == '"' || c == '\\' {
			return fault.New(fault.Invalid, "a scope holds a character that none may hold (RFC 6749 section 3.3)")
		}
	}
	context, rest, _ := strings.Cut(name, "/")
	switch {
	case context == "patient" || context == "user" || context == "system":
		r, why := parseResource(context, rest)
		if why != "" {
			return fault.New(fault.Invalid, "scope %.100q: %s", name, why)
		}
		r.text = name
		s.resources = append(s.resources, r)
	case slices.Contains(plainScopes, name) || context == "launch" && rest != "":
	case isPermission(name):
	default:
		s.unknown = append(s.unknown, name)
	}
	s.names = append(s.names, name)
	return nil
}

// parseResource reads what stands behind "patient/", and says what is wrong with it.
func parseResource(context, rest string) (ResourceScope, string) {
	r := ResourceScope{Context: context}
	head, query, limited := strings.Cut(rest, "?")
	typ, permissions, ok := strings.Cut(head, ".")
	if !ok {
		return r, "it needs a resource type (or *), a dot and what may be done: " + context + "/Observation.rs"
	}
	if typ != "*" && !isResourceType(typ) {
		return r, "there is no such resource type"
	}
	r.Type = typ
	if old, is := oldLetters[permissions]; is {
		r.Letters, r.old = old, true
		if limited {
			return r, "search parameters go with the letters of version 2 (cruds), not with read, write or *"
		}
		return r, ""
	}
	if !inOrder(permissions) {
		return r, "what may be done is some of the letters c, r, u, d, s, in this order, or read, write or *"
	}
	r.Letters = permissions
	if limited {
		return r, r.limit(query)
	}
	return r, ""
}

// inOrder reports a non-empty subsequence of cruds.
func inOrder(s string) bool {
	at := 0
	for i := 0; i < len(s); i++ {
		j := strings.IndexByte(letters[at:], s[i])
		if j < 0 {
			return false
		}
		at += j + 1
	}
	return s != ""
}

// limit reads the search parameters of a scope.
func (r *ResourceScope) limit(query string) string {
	params, err := search.ParseQueryString(query)
	if err != nil {
		return err.Error()
	}
	if len(params) == 0 {
		return "it has no search parameter behind the question mark"
	}
	for _, p := range params {
		if why := mayLimit(p); why != "" {
			return why
		}
	}
	typ := r.Type
	if typ == "*" {
		typ = ""
	}
	q, err := search.Parse(typ, params, search.Options{})
	if err != nil {
		return err.Error()
	}
	r.Params, r.query, r.preds = params, query, q.ByType
	return ""
}

// limiting are the parameters with an underscore that select resources by what a row tells.
var limiting = []string{"_id", "_lastUpdated", "_profile", "_security", "_source", "_tag", "_has"}

// mayLimit says why a parameter cannot be part of a scope: one that shapes the answer selects nothing, one that is read from opened
// bodies would make every search slow, and one that is near to now would mean something else each day.
func mayLimit(p search.Param) string {
	name, _, _ := strings.Cut(p.Name, ":")
	name, _, _ = strings.Cut(name, ".")
	if strings.HasPrefix(name, "_") && !slices.Contains(limiting, name) {
		return "the parameter " + clip(name) + " cannot be part of a scope"
	}
	for _, link := range strings.FieldsFunc(p.Name, func(r rune) bool { return r == ':' || r == '.' }) {
		if slices.Contains([]string{"_text", "_content", "_filter", "_query", "_list", "near", "text", "_text:text"}, link) {
			return "the parameter " + clip(p.Name) + " cannot be part of a scope"
		}
	}
	for _, v := range strings.Split(p.Value, ",") {
		if len(v) > 2 && v[:2] == "ap" && v[2] >= '0' && v[2] <= '9' {
			return "the prefix ap cannot be part of a scope"
		}
	}
	return ""
}

func clip(s string) string {
	if len(s) > 60 {
		return strings.ToValidUTF8(s[:60], "") + "…"
	}
	return s
}

// isPermission reports the form of a permission's name: "patients:read", "patients:*".
func isPermission(name string) bool {
	kind, verb, ok := strings.Cut(name, ":")
	lower := func(s string) bool {
		return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz-") == ""
	}
	return ok && lower(kind) && (lower(verb) || verb == "*")
}

// String writes the scopes as they were given, parted by single spaces, each once.
func (s Scopes) String() string { return s.text }

// Empty reports that there are none.
func (s Scopes) Empty() bool { return len(s.names) == 0 }

// Names returns the scopes in their order.
func (s Scopes) Names() []string { return slices.Clone(s.names) }

// Contains reports whether the scope was given, by its exact name: openid, fhirUser, launch/patient, offline_access …
func (s Scopes) Contains(name string) bool { return slices.Contains(s.names, name) }

// Resource returns the scopes on resources, in their order.
func (s Scopes) Resource() []ResourceScope { return slices.Clone(s.resources) }

// Permissions returns the scopes that are names of the product's permissions.
func (s Scopes) Permissions() []string {
	var out []string
	for _, n := range s.names {
		if isPermission(n) {
			out = append(out, n)
		}
	}
	return out
}

// Unknown returns the scopes that nobody knows, in their order.
func (s Scopes) Unknown() []string { return slices.Clone(s.unknown) }

// Needs reports whether any scope on resources has this context: "patient", "user" or "system".
func (s Scopes) Needs(context string) bool {
	return slices.ContainsFunc(s.resources, func(r ResourceScope) bool { return r.Context == context })
}

// Subset returns what of s is covered by allowed: of a scope on resources the types, letters and conditions that both give, of other
// scopes those that are in both. A scope that is covered whole stays as it was written. Unknown scopes are left out.
func (s Scopes) Subset(allowed Scopes) Scopes {
	var names []string
	for _, n := range s.names {
		switch r := s.resource(n); {
		case slices.Contains(s.unknown, n):
		case allowed.Contains(WholeProduct) || allowed.Contains(n):
			names = append(names, n)
		case r != nil:
			names = append(names, r.within(allowed.resources)...)
		case isPermission(n) && holds(allowed.Permissions(), n):
			names = append(names, n)
		}
	}
	out, err := ParseScopes(strings.Join(names, " "))
	if err != nil {
		return Scopes{} // cannot be: each is a scope that was read before, narrowed
	}
	return out
}

// resource returns the scope on resources of that name, or nil.
func (s Scopes) resource(name string) *ResourceScope {
	for i := range s.resources {
		if s.resources[i].text == name {
			return &s.resources[i]
		}
	}
	return nil
}

// within writes the parts of r that the allowed scopes give.
func (r *ResourceScope) within(allowed []ResourceScope) []string {
	type part struct{ typ, query string }
	var order []part
	found := map[part]string{}
	for i := range allowed {
		a := &allowed[i]
		typ, ok := meetTypes(r.Type, a.Type)
		if !ok || a.Context != r.Context {
			continue
		}
		p := part{typ, joinQueries(r, a)}
		if _, had := found[p]; !had {
			order = append(order, p)
		}
		found[p] += a.Letters
	}
	var out []string
	for _, p := range order {
		both := ""
		for _, l := range r.Letters {
			if strings.ContainsRune(found[p], l) {
				both += string(l)
			}
		}
		switch {
		case both == "":
		case both == r.Letters && p == (part{r.Type, r.query}):
			return []string{r.text}
		default:
			out = append(out, r.write(p.typ, both, p.query))
		}
	}
	return out
}

func meetTypes(a, b string) (string, bool) {
	switch {
	case a == b || b == "*":
		return a, true
	case a == "*":
		return b, true
	}
	return "", false
}

// joinQueries is the query that holds where both scopes' do.
func joinQueries(r, a *ResourceScope) string {
	out := r.query
	for _, pair := range strings.Split(a.query, "&") {
		if pair == "" || slices.Contains(strings.Split(r.query, "&"), pair) {
			continue
		}
		if out != "" {
			out += "&"
		}
		out += pair
	}
	return out
}

// write is a scope with r's context and manner.
func (r *ResourceScope) write(typ, letters, query string) string {
	if r.old && query == "" {
		for _, word := range []string{"read", "write"} {
			if oldLetters[word] == letters {
				letters = word
			}
		}
	}
	out := r.Context + "/" + typ + "." + letters
	if query != "" {
		out += "?" + query
	}
	return out
}

// predicate is the condition of the scope's parameters for a type.
func (r *ResourceScope) predicate(typ string) search.Pred {
	if len(r.Params) == 0 {
		return always
	}
	for _, p := range r.preds {
		if p.Type == typ {
			return p.Pred
		}
	}
	return never
}

// covers reports whether the scope speaks of the action on the type.
func (r *ResourceScope) covers(a Action, typ string) bool {
	return (r.Type == "*" || r.Type == typ) && def.Lookup(typ) != nil && letterActions[a] != "" && strings.Contains(r.Letters, letterActions[a])
}
