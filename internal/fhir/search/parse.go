package search

import (
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir/def"
)

// What a query may ask at most. More is fault.TooCostly.
const (
	MaxAlternatives = 1000 // values parted by commas, of one parameter
	MaxDepth        = 8    // links of a chain, _has among them
	MaxConditions   = 8000 // conditions on values in all, chains and types multiplied out
	MaxIncludes     = 64
	MaxSortKeys     = 8
)

// Param is one parameter of a query string, unescaped.
type Param struct{ Name, Value string }

// Options are what Parse must know beside the query.
type Options struct {
	Lenient bool      // leave out what is not understood, and name it in Query.Ignored (Prefer: handling=lenient)
	Base    string    // this server's own base URL: references below it are local; "" none
	Now     time.Time // what the prefix ap measures distances from
	Handled []string  // more parameter names that the caller sees to itself (beside _format and _pretty)
}

// ParseQueryString splits a URL's query string, or a form body, into parameters in their order. Bad percent escapes and
// bad UTF-8 are fault.Invalid.
func ParseQueryString(raw string) ([]Param, error) {
	var params []Param
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		n, err1 := url.QueryUnescape(name)
		v, err2 := url.QueryUnescape(value)
		if err1 != nil || err2 != nil || !utf8.ValidString(n) || !utf8.ValidString(v) {
			return nil, fault.New(fault.Invalid, "the query string holds a bad escape or bad UTF-8")
		}
		params = append(params, Param{n, v})
	}
	return params, nil
}

// Parse understands a search for resourceType ("": over several types, see _type). Everything that is wrong comes in one
// fault.Invalid with an issue each, or in one fault.TooCostly; an unknown resource type is fault.NotFound. The
// parameters mean what R4 search.html says, with these decisions:
//
//   - A string matches from its beginning, folded (see Fold).
//   - A token's code is compared as written. A plain code element has an implied system: "system|code" is compared by the
//     code alone, and matches nothing where the element's required binding does not hold that system and code.
//   - "number||code" compares code with the unit's code and with its human unit. Units are not converted.
//   - A date without time is the day in UTC, a time without zone is UTC.
//   - A chain over a reference that may point to many types is followed for every type that has the parameter.
//   - An empty value is an error.
func Parse(resourceType string, params []Param, opt Options) (*Query, error) {
	p := &parser{opt: opt, q: &Query{Type: resourceType, Count: -1}}
	p.opt.Base = strings.TrimSuffix(opt.Base, "/")
	types, err := p.types(resourceType, params)
	if err != nil {
		return nil, err
	}
	p.q.ByType = make([]TypedPred, len(types))
	for i, t := range types {
		p.q.ByType[i] = TypedPred{Type: t.name}
	}
	conds := make([][]Pred, len(types))
	for _, prm := range params {
		if p.skipped(prm.Name) {
			continue
		}
		done, issue := p.control(types, prm)
		if !done && issue == nil {
			issue = p.filter(types, conds, prm)
		}
		if issue == nil {
			if prm.Name != "_cursor" {
				p.q.Applied = append(p.q.Applied, Applied(prm))
			}
			continue
		}
		if issue.kind == fault.TooCostly {
			return nil, issue.fault(prm.Name)
		}
		if p.opt.Lenient {
			p.q.Ignored = append(p.q.Ignored, prm.Name)
			continue
		}
		p.problems = append(p.problems, issue.fault(prm.Name).Issues...)
	}
	if len(p.problems) > 0 {
		return nil, &fault.Error{Kind: fault.Invalid, Issues: p.problems}
	}
	for i := range conds {
		p.q.ByType[i].Pred = all(conds[i]...)
	}
	return p.q, nil
}

type parser struct {
	opt      Options
	q        *Query
	problems []fault.Issue
	leaves   int
	seen     map[string]bool // single-valued parameters that were given
}

// issue says what is wrong with one parameter.
type issue struct {
	kind fault.Kind
	code string
	text string
}

func invalid(format string, args ...any) *issue {
	return &issue{fault.Invalid, "invalid", fmt.Sprintf(format, args...)}
}

func unsupported(format string, args ...any) *issue {
	return &issue{fault.Invalid, "not-supported", fmt.Sprintf(format, args...)}
}

func costly(format string, args ...any) *issue {
	return &issue{fault.TooCostly, "too-costly", fmt.Sprintf(format, args...)}
}

func (i *issue) fault(param string) *fault.Error {
	return fault.New(i.kind, "search parameter %.80q: %s", param, i.text).WithCode(i.code)
}

// types returns the types to be searched.
func (p *parser) types(resourceType string, params []Param) ([]*typeIndex, error) {
	if resourceType != "" {
		ti := indexOf(resourceType)
		if ti == nil {
			return nil, fault.New(fault.NotFound, "there is no resource type %.60q", resourceType).WithCode("not-supported")
		}
		return []*typeIndex{ti}, nil
	}
	var out []*typeIndex
	listed := map[string]bool{}
	given := false
	for _, prm := range params {
		if prm.Name != "_type" {
			continue
		}
		given = true
		for _, name := range strings.Split(prm.Value, ",") {
			ti := indexOf(name)
			switch {
			case ti == nil && p.opt.Lenient:
				p.q.Ignored = append(p.q.Ignored, "_type="+name)
			case ti == nil:
				return nil, invalid("there is no resource type %.60q", name).fault("_type")
			case !listed[name]:
				listed[name] = true
				out = append(out, ti)
			}
		}
	}
	if given && len(out) == 0 {
		return nil, invalid("no known resource type").fault("_type")
	}
	if !given {
		for _, t := range def.ResourceTypes() {
			out = append(out, indexOf(t.Name))
		}
	}
	return out, nil
}

func (p *parser) skipped(name string) bool {
	if name == "_format" || name == "_pretty" {
		return true
	}
	for _, h := range p.opt.Handled {
		if h == name {
			return true
		}
	}
	return false
}

// filter reads a parameter that selects resources, for each type.
func (p *parser) filter(types []*typeIndex, conds [][]Pred, prm Param) *issue {
	out := make([]Pred, len(types))
	for i, ti := range types {
		pred, issue := p.condition(ti, prm.Name, prm.Value, 0)
		if issue != nil {
			if len(types) > 1 && issue.code == "not-supported" {
				issue.text += fmt.Sprintf(" (of %s; a search over several types takes what all of them have)", ti.name)
			}
			return issue
		}
		out[i] = pred
	}
	for i := range out {
		conds[i] = append(conds[i], out[i])
	}
	return nil
}

// condition reads one parameter name, with its chains and modifiers, and its value.
func (p *parser) condition(ti *typeIndex, key, value string, depth int) (Pred, *issue) {
	if depth > MaxDepth {
		return nil, costly("more than %d links in a chain", MaxDepth)
	}
	if rest, ok := strings.CutPrefix(key, "_has:"); ok {
		return p.reverse(ti, rest, value, depth)
	}
	if head, rest, ok := strings.Cut(key, "."); ok {
		return p.chain(ti, head, rest, value, depth)
	}
	name, modifier, modified := strings.Cut(key, ":")
	if modified && modifier == "" {
		return nil, unsupported("the modifier is missing behind ':'")
	}
	if read := special(ti, name); read != nil {
		return read(p, ti, modifier, value)
	}
	prm := ti.params[name]
	if prm == nil {
		return nil, unsupported("%s has no such parameter", ti.name)
	}
	if prm.unread != nil {
		return nil, unsupported("it has no path to search by")
	}
	return p.param(ti, prm, modifier, value)
}

// param reads the value of an ordinary parameter.
func (p *parser) param(ti *typeIndex, prm *param, modifier, value string) (Pred, *issue) {
	if modifier == "missing" && prm.kind != Composed {
		return p.missing(prm, value)
	}
	read, issue := reader(prm, modifier)
	if issue != nil {
		return nil, issue
	}
	alternatives, issue := p.alternatives(value)
	if issue != nil {
		return nil, issue
	}
	var preds []Pred
	for _, v := range alternatives {
		if v == "" {
			return nil, invalid("a value is empty")
		}
		found, issue := read(p, prm, v)
		if issue != nil {
			return nil, issue
		}
		preds = append(preds, found...)
		if issue := p.spend(len(found)); issue != nil {
			return nil, issue
		}
	}
	if modifier == "not" {
		return Not{anyOf(preds...)}, nil
	}
	return anyOf(preds...), nil
}

// spend counts conditions.
func (p *parser) spend(n int) *issue {
	if p.leaves += max(n, 1); p.leaves > MaxConditions {
		return costly("the query has more than %d conditions when its chains, types and values are multiplied out", MaxConditions)
	}
	return nil
}

func (p *parser) alternatives(value string) ([]string, *issue) {
	if value == "" {
		return nil, invalid("the value is empty")
	}
	values := split(value, ',')
	if len(values) > MaxAlternatives {
		return nil, costly("more than %d values", MaxAlternatives)
	}
	return values, nil
}

func (p *parser) missing(prm *param, value string) (Pred, *issue) {
	atoms := append([]AtomRef(nil), prm.refs...)
	for _, r := range prm.refs {
		if r.Kind == Reference && r.ident != nil && r.Target == "" {
			atoms = append(atoms, AtomRef{Atom: r.ident})
		}
	}
	preds := []Pred{Present{atoms}}
	for _, r := range prm.refs {
		if r.Target != "" {
			preds = append(preds, r.elsewhere(prm.def.Code))
		}
	}
	switch value {
	case "true":
		return Not{anyOf(preds...)}, p.spend(len(preds))
	case "false":
		return anyOf(preds...), p.spend(len(preds))
	}
	return nil, invalid(":missing takes true or false")
}

// elsewhere is the condition that the resource refers by r to a resource of r.Target on another server. Its rows do not
// bear its type, so the few resources that refer to other servers are opened.
func (r AtomRef) elsewhere(name string) Pred {
	return And{TextPrefix{r.Atom, "http"}, Opened{name + ":missing", func(d *Doc) bool {
		for _, n := range r.nodes(d.Resource) {
			if absoluteType(n.Str("reference")) == r.Target {
				return true
			}
		}
		return false
	}}}
}

// absoluteType returns the type that an absolute reference names (R4 references.html: …/Type/id[/_history/v]), or "".
func absoluteType(ref string) string {
	ref, _, _ = strings.Cut(ref, "/_history/")
	parts := strings.Split(ref, "/")
	if len(parts) < 3 || indexOf(parts[len(parts)-2]) == nil {
		return ""
	}
	return parts[len(parts)-2]
}

// split cuts s at each sep that no backslash escapes; the parts keep their escapes.
func split(s string, sep byte) []string {
	if strings.IndexByte(s, sep) < 0 {
		return []string{s}
	}
	var parts []string
	start := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case sep:
			parts = append(parts, s[start:i])
			start = i + 1
		}
	}
	return append(parts, s[start:])
}

// unescape takes the backslashes away from \, \| \$ and \\ (R4 search.html#escaping); another backslash stays.
func unescape(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) && strings.IndexByte(`,|$\`, s[i+1]) >= 0 {
			i++
		}
		b = append(b, s[i])
	}
	return string(b)
}

// Escape writes a value so that Parse takes it as one value: the inverse of the grammar's escaping.
func Escape(s string) string {
	return strings.NewReplacer(`\`, `\\`, `,`, `\,`, `|`, `\|`, `$`, `\$`).Replace(s)
}
