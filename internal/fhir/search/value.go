package search

import (
	"strings"

	"github.com/nilecare/nilecare/internal/fhir"
)

// A valueReader reads one value (escapes still in it, never empty) of a parameter as alternatives.
type valueReader func(p *parser, prm *param, v string) ([]Pred, *issue)

// reader returns how values of the parameter are read under a modifier ("" none).
func reader(prm *param, modifier string) (valueReader, *issue) {
	if modifier == "" {
		return plainReader(prm.kind), nil
	}
	if r := modifiedReader(prm.kind, modifier); r != nil {
		if modifier == "of-type" && !forIdentifiers(prm) {
			return nil, unsupported(":of-type applies to identifiers alone")
		}
		return r, nil
	}
	if prm.kind == Reference && modifier[0] >= 'A' && modifier[0] <= 'Z' {
		if issue := mayTarget(prm, modifier); issue != nil {
			return nil, issue
		}
		return func(p *parser, prm *param, v string) ([]Pred, *issue) { return readReference(p, prm, v, modifier) }, nil
	}
	switch modifier {
	case "in", "not-in", "above", "below":
		return nil, unsupported("the modifier :%s is not supported on a %s: it needs terminology or a hierarchy", modifier, prm.def.Type)
	}
	return nil, unsupported("the modifier %.40q does not apply to a %s", ":"+modifier, prm.def.Type)
}

func plainReader(kind Kind) valueReader {
	switch kind {
	case Token:
		return readToken
	case URI:
		return readURI
	case Reference:
		return func(p *parser, prm *param, v string) ([]Pred, *issue) { return readReference(p, prm, v, "") }
	case Date:
		return readDate
	case Number:
		return readNumber
	case Quantity:
		return readQuantity
	case Composed:
		return readComposite
	}
	return readString
}

// modifiedReader returns the reader for a modifier that applies to the kind, or nil.
func modifiedReader(kind Kind, modifier string) valueReader {
	switch {
	case kind == String && modifier == "exact":
		return readExact
	case kind == String && modifier == "contains":
		return readContains
	case kind == Token && modifier == "not":
		return readToken
	case kind == Token && modifier == "text":
		return readTokenText
	case kind == Token && modifier == "of-type":
		return readOfType
	case kind == URI && modifier == "above":
		return readURIAbove
	case kind == URI && modifier == "below":
		return readURIBelow
	case kind == Reference && modifier == "identifier":
		return readIdentifier
	}
	return nil
}

func forIdentifiers(prm *param) bool {
	for _, r := range prm.refs {
		if r.hasType("Identifier") {
			return true
		}
	}
	return false
}

// each makes one condition an atom of the parameter.
func each(prm *param, f func(a *Atom) Pred) []Pred {
	out := make([]Pred, 0, len(prm.refs))
	for _, r := range prm.refs {
		out = append(out, f(r.Atom))
	}
	return out
}

// ---- string

func readString(_ *parser, prm *param, v string) ([]Pred, *issue) {
	exact := unescape(v)
	text := Fold(exact)
	if text == "" { // punctuation alone: only itself
		return readExact(nil, prm, v)
	}
	return each(prm, func(a *Atom) Pred {
		if len(text) <= MaxText {
			return TextPrefix{a, text}
		}
		return And{TextPrefix{a, cutText(text, MaxText)}, a.opened(prm.def.Code, func(r *TextRow) bool { return strings.HasPrefix(r.Val, text) })}
	}), nil
}

func readExact(_ *parser, prm *param, v string) ([]Pred, *issue) {
	exact := unescape(v)
	val := cutText(Fold(exact), MaxText)
	return each(prm, func(a *Atom) Pred {
		if !a.Blind {
			return TextEq{a, val, ptr(Hash(exact))}
		}
		same := Opened{prm.def.Code + ":exact", func(d *Doc) bool { return a.holdsExactly(d.Resource, exact) }}
		return And{TextEq{a, val, nil}, same}
	}), nil
}

func readContains(_ *parser, prm *param, v string) ([]Pred, *issue) {
	text := Fold(unescape(v))
	if text == "" {
		return nil, invalid("the value holds no letter or digit")
	}
	return each(prm, func(a *Atom) Pred {
		// What stands behind a row's end is read from the body, for the resources that bear the mark of a long text.
		long := And{Present{[]AtomRef{{Atom: a.Long()}}},
			a.opened(prm.def.Code+":contains", func(r *TextRow) bool { return strings.Contains(r.Val, text) })}
		if len(text) > MaxText {
			return long
		}
		return Or{TextContains{a, text}, long}
	}), nil
}

// opened is a condition on the whole folded texts of the atom.
func (a *Atom) opened(name string, f func(*TextRow) bool) Opened {
	return Opened{name, func(d *Doc) bool { return anyText(a.whole(d.Resource), a, f) }}
}

// holdsExactly reports whether one of the atom's texts is exactly this.
func (a *Atom) holdsExactly(r *fhir.Resource, text string) bool {
	for _, n := range a.nodes(r) {
		found := false
		n.Walk(func(c *fhir.Node) bool {
			found = found || c.Kind == fhir.String && c.Text == text
			return !found && c.Name != "extension"
		})
		if found {
			return true
		}
	}
	return false
}

// ---- token

func readToken(_ *parser, prm *param, v string) ([]Pred, *issue) {
	system, code, hasSystem, issue := tokenValue(v)
	if issue != nil {
		return nil, issue
	}
	return each(prm, func(a *Atom) Pred { return a.token(prm.def.Code, system, code, hasSystem) }), nil
}

// tokenValue reads "code", "system|code", "|code" or "system|".
func tokenValue(v string) (system, code string, hasSystem bool, _ *issue) {
	parts := split(v, '|')
	switch {
	case len(parts) == 1:
		return "", unescape(parts[0]), false, nil
	case len(parts) > 2:
		return "", "", false, invalid("a token has one '|' at most; write \\| where it belongs to the code")
	case parts[0] == "" && parts[1] == "":
		return "", "", false, invalid("a token needs a system or a code")
	}
	return unescape(parts[0]), unescape(parts[1]), true, nil
}

// token is the condition that a value of the atom has the system and the code.
func (a *Atom) token(name, system, code string, hasSystem bool) Pred {
	switch {
	case !hasSystem:
		return TextEq{a, cut(code), nil}
	case system == "":
		return TextEq{a, cut(code), ptr(0)}
	case a.plain():
		return a.plainToken(name, system, code)
	case code == "":
		return TextSub{a, Hash(system)}
	default:
		return TextEq{a, cut(code), ptr(Hash(system))}
	}
}

// plain reports whether the atom's values are codes without a system of their own.
func (a *Atom) plain() bool {
	return len(a.types) > 0 && !a.hasType("Coding", "CodeableConcept", "Identifier", "ContactPoint")
}

// booleanSystem is the system that R4 gives to the codes true and false.
const booleanSystem = "http://terminology.hl7.org/CodeSystem/special-values"

// plainToken compares a system with the implied one of a plain code.
func (a *Atom) plainToken(name, system, code string) Pred {
	switch {
	case a.hasType("boolean"):
		if system != booleanSystem {
			return Or{}
		}
	case a.binding == nil:
		if !a.hasType("code") {
			return Or{}
		}
	case code == "":
		binding := a.binding
		return And{Present{[]AtomRef{{Atom: a}}}, a.opened(name, func(r *TextRow) bool { return binding.Has(system, r.Val) })}
	case !a.binding.Has(system, code):
		return Or{}
	}
	if code == "" {
		return Present{[]AtomRef{{Atom: a}}}
	}
	return TextEq{a, cut(code), nil}
}

// readTokenText is :text: the display of a Coding, the text of a CodeableConcept or of an Identifier's type contain it.
func readTokenText(_ *parser, prm *param, v string) ([]Pred, *issue) {
	text := Fold(unescape(v))
	if text == "" {
		return nil, invalid("the value holds no letter or digit")
	}
	return each(prm, func(a *Atom) Pred {
		return And{Present{[]AtomRef{{Atom: a}}}, Opened{prm.def.Code + ":text", func(d *Doc) bool { return a.speaksOf(d.Resource, text) }}}
	}), nil
}

func (a *Atom) speaksOf(r *fhir.Resource, text string) bool {
	for _, n := range a.nodes(r) {
		if says(n, text) || says(n.Get("type"), text) {
			return true
		}
	}
	return false
}

func says(n *fhir.Node, text string) bool {
	if strings.Contains(Fold(n.Str("text")), text) || strings.Contains(Fold(n.Str("display")), text) {
		return true
	}
	for c := n.Get("coding").First(); c != nil; c = c.Next() {
		if strings.Contains(Fold(c.Str("display")), text) {
			return true
		}
	}
	return false
}

// readOfType is :of-type: system|code|value, where system and code are the identifier's type.
func readOfType(_ *parser, prm *param, v string) ([]Pred, *issue) {
	parts := split(v, '|')
	if len(parts) != 3 || parts[0] == "" || parts[1] == "" || parts[2] == "" {
		return nil, invalid(":of-type takes system|code|value")
	}
	system, code, value := unescape(parts[0]), unescape(parts[1]), unescape(parts[2])
	return each(prm, func(a *Atom) Pred {
		return And{TextEq{a, cut(value), nil}, Opened{prm.def.Code + ":of-type", func(d *Doc) bool {
			for _, n := range a.nodes(d.Resource) {
				if n.Str("value") == value && isTyped(n, system, code) {
					return true
				}
			}
			return false
		}}}
	}), nil
}

func isTyped(identifier *fhir.Node, system, code string) bool {
	for c := identifier.Get("type").Get("coding").First(); c != nil; c = c.Next() {
		if c.Str("system") == system && c.Str("code") == code {
			return true
		}
	}
	return false
}

// ---- uri

func readURI(_ *parser, prm *param, v string) ([]Pred, *issue) {
	val := cut(unescape(v))
	return each(prm, func(a *Atom) Pred { return TextEq{a, val, nil} }), nil
}

func isURN(s string) bool { return strings.HasPrefix(strings.ToLower(s), "urn:") }

func readURIBelow(_ *parser, prm *param, v string) ([]Pred, *issue) {
	val := unescape(v)
	if isURN(val) {
		return nil, invalid(":below applies to URLs, not to URNs")
	}
	return each(prm, func(a *Atom) Pred {
		if len(val) <= keptText {
			return TextPrefix{a, val}
		}
		return And{TextPrefix{a, cutText(val, keptText)}, Opened{prm.def.Code + ":below", func(d *Doc) bool {
			for _, n := range a.nodes(d.Resource) {
				if strings.HasPrefix(n.Text, val) {
					return true
				}
			}
			return false
		}}}
	}), nil
}

// maxSegments is how many levels :above goes up.
const maxSegments = 64

// readURIAbove finds the URL itself and what is above it, segment by segment, with and without the slash at the end.
func readURIAbove(_ *parser, prm *param, v string) ([]Pred, *issue) {
	val := unescape(v)
	if isURN(val) {
		return nil, invalid(":above applies to URLs, not to URNs")
	}
	ups := []string{val}
	for s := strings.TrimSuffix(val, "/"); len(ups) < maxSegments; {
		i := strings.LastIndexByte(s, '/')
		if i < 1 || s[i-1] == '/' {
			break
		}
		ups = append(ups, s[:i+1], s[:i])
		s = s[:i]
	}
	var out []Pred
	for _, up := range ups {
		out = append(out, each(prm, func(a *Atom) Pred { return TextEq{a, cut(up), nil} })...)
	}
	return out, nil
}

// ---- reference

// readReference reads "id", "Type/id", a URL, or a canonical; only, where not "", is the one type that may be meant.
func readReference(p *parser, prm *param, v, only string) ([]Pred, *issue) {
	val := unescape(v)
	if typ, id, ok := fhir.SplitReference(val, p.opt.Base); ok {
		return referenceTo(prm, typ, id, only)
	}
	if strings.Contains(val, ":") {
		if only != "" {
			return nil, invalid("a type can be asked for with an id or a local reference, not with a URL")
		}
		return each(prm, func(a *Atom) Pred { return TextEq{a, cut(val), nil} }), nil
	}
	if fhir.ValidID(val) {
		return referenceID(prm, val, only), nil
	}
	if out := referenceText(prm, val); len(out) > 0 && only == "" {
		return out, nil
	}
	return nil, invalid("a reference is an id, Type/id, or a URL")
}

func referenceTo(prm *param, typ, id, only string) ([]Pred, *issue) {
	if indexOf(typ) == nil {
		return nil, invalid("there is no resource type %.60q", typ)
	}
	if only != "" && typ != only {
		return nil, invalid("the value names the type %s, the parameter %s", typ, only)
	}
	var out []Pred
	for _, r := range narrowed(prm.refs, typ) {
		out = append(out, RefTo{r.Atom, typ, id})
	}
	return out, nil
}

func referenceID(prm *param, id, only string) []Pred {
	var out []Pred
	for _, r := range prm.refs {
		typ := r.Target
		if typ == "" && len(prm.def.Targets) == 1 {
			typ = prm.def.Targets[0]
		}
		if only != "" {
			if typ != "" && typ != only {
				continue
			}
			typ = only
		}
		out = append(out, RefTo{r.Atom, typ, id})
	}
	if only == "" {
		out = append(out, referenceText(prm, id)...)
	}
	return out
}

// referenceText compares values that need be no URL: those of elements of type uri and canonical.
func referenceText(prm *param, val string) []Pred {
	var out []Pred
	for _, r := range prm.refs {
		if r.hasType("uri", "canonical", "url") {
			out = append(out, TextEq{r.Atom, cut(val), nil})
		}
	}
	return out
}

func readIdentifier(_ *parser, prm *param, v string) ([]Pred, *issue) {
	system, code, hasSystem, issue := tokenValue(v)
	if issue != nil {
		return nil, issue
	}
	var out []Pred
	for _, r := range prm.refs {
		if r.ident != nil {
			out = append(out, r.ident.token(prm.def.Code, system, code, hasSystem))
		}
	}
	if len(out) == 0 {
		return nil, unsupported("it holds URLs, which have no identifier")
	}
	return out, nil
}
