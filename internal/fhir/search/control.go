package search

import (
	"slices"
	"strconv"
	"strings"
)

// control reads a parameter that shapes the answer; done is false where the name is none of these.
func (p *parser) control(types []*typeIndex, prm Param) (done bool, _ *issue) {
	name, modifier, modified := strings.Cut(prm.Name, ":")
	if name == "_include" || name == "_revinclude" {
		return true, p.include(name == "_revinclude", modifier, prm.Value)
	}
	read := controls(name)
	if read == nil {
		return false, nil
	}
	if modified {
		return true, unsupported("the modifier %.40q does not apply to it", ":"+modifier)
	}
	if p.seen[name] {
		return true, invalid("it is given twice")
	}
	if p.seen == nil {
		p.seen = map[string]bool{}
	}
	p.seen[name] = true
	return true, read(p, types, prm.Value)
}

type controlReader func(p *parser, types []*typeIndex, value string) *issue

func controls(name string) controlReader {
	switch name {
	case "_sort":
		return (*parser).sort
	case "_count":
		return readCount
	case "_total":
		return func(p *parser, _ []*typeIndex, v string) *issue {
			return oneOf(&p.q.Total, v, "none", "estimate", "accurate")
		}
	case "_summary":
		return func(p *parser, _ []*typeIndex, v string) *issue {
			return oneOf(&p.q.Summary, v, "true", "text", "data", "count", "false")
		}
	case "_elements":
		return readElements
	case "_contained":
		return func(p *parser, _ []*typeIndex, v string) *issue {
			if v == "true" || v == "both" {
				return unsupported("contained resources are not searched")
			}
			return oneOf(&p.q.Contained, v, "false")
		}
	case "_containedType":
		return func(*parser, []*typeIndex, string) *issue { return unsupported("contained resources are not searched") }
	case "_cursor":
		return func(p *parser, _ []*typeIndex, v string) *issue {
			p.q.Cursor = v
			return nil
		}
	case "_type":
		return readType
	}
	return nil
}

// oneOf stores v where it is one of the allowed words.
func oneOf(to *string, v string, allowed ...string) *issue {
	if !slices.Contains(allowed, v) {
		return invalid("it takes %s", strings.Join(allowed, ", "))
	}
	*to = v
	return nil
}

func readCount(p *parser, _ []*typeIndex, v string) *issue {
	n, err := strconv.ParseUint(v, 10, 31)
	if err != nil {
		return invalid("it takes a whole number, 0 or more")
	}
	p.q.Count = int(n)
	return nil
}

func readElements(p *parser, _ []*typeIndex, v string) *issue {
	for _, e := range strings.Split(v, ",") {
		e = strings.TrimSpace(e)
		for i := 0; i < len(e); i++ {
			if c := e[i] | 0x20; (c < 'a' || c > 'z') && (e[i] < '0' || e[i] > '9') && e[i] != '.' {
				return invalid("it takes names of elements, parted by commas")
			}
		}
		if e == "" {
			return invalid("a name is empty")
		}
		p.q.Elements = append(p.q.Elements, e)
	}
	return nil
}

// readType has been read before anything else; here it is only checked to be at home.
func readType(p *parser, _ []*typeIndex, _ string) *issue {
	if p.q.Type != "" {
		return unsupported("it belongs to a search over several types")
	}
	return nil
}

// sort reads _sort: parameter codes, '-' before one means descending.
func (p *parser) sort(types []*typeIndex, v string) *issue {
	keys := strings.Split(v, ",")
	if len(keys) > MaxSortKeys {
		return costly("more than %d keys", MaxSortKeys)
	}
	var out []SortKey
	for _, k := range keys {
		code, desc := strings.CutPrefix(strings.TrimSpace(k), "-")
		key := SortKey{Param: code, Desc: desc}
		if code == "_id" || code == "_lastUpdated" {
			key.Special = code
			out = append(out, key)
			continue
		}
		for _, ti := range types {
			prm := ti.params[code]
			switch {
			case code == "":
				return invalid("a key is empty")
			case prm == nil || strings.ContainsAny(code, ":."):
				return unsupported("%s has no parameter %.60q to sort by", ti.name, code)
			case len(prm.refs) == 0 || prm.kind == Composed:
				return unsupported("%.60q cannot be sorted by", code)
			}
			key.Atoms = append(key.Atoms, prm.refs...)
		}
		out = append(out, key)
	}
	p.q.Sort = out
	return nil
}

// include reads _include and _revinclude: "*", Type:*, Type:parameter or Type:parameter:target.
func (p *parser) include(reverse bool, modifier, v string) *issue {
	if modifier != "" && modifier != "iterate" && modifier != "recurse" {
		return noModifier(modifier)
	}
	if len(p.q.Includes) >= MaxIncludes {
		return costly("more than %d includes", MaxIncludes)
	}
	inc := Include{Reverse: reverse, Iterate: modifier != "", Source: "*", Param: "*"}
	if v != "*" {
		parts := strings.Split(v, ":")
		if len(parts) < 2 || len(parts) > 3 {
			return invalid("it takes Type:parameter, Type:parameter:target, Type:* or *")
		}
		inc.Source, inc.Param = parts[0], parts[1]
		if len(parts) == 3 {
			inc.Target = parts[2]
		}
		if issue := inc.resolve(); issue != nil {
			return issue
		}
	}
	p.q.Includes = append(p.q.Includes, inc)
	return nil
}

func (inc *Include) resolve() *issue {
	ti := indexOf(inc.Source)
	if ti == nil {
		return invalid("there is no resource type %.60q", inc.Source)
	}
	if inc.Target != "" && indexOf(inc.Target) == nil {
		return invalid("there is no resource type %.60q", inc.Target)
	}
	if inc.Param == "*" {
		return nil
	}
	prm := ti.params[inc.Param]
	switch {
	case prm == nil:
		return unsupported("%s has no parameter %.60q", inc.Source, inc.Param)
	case prm.kind != Reference || prm.unread != nil:
		return unsupported("%s.%s is no reference", inc.Source, inc.Param)
	}
	inc.Atoms = prm.refs
	if inc.Target == "" {
		return nil
	}
	if inc.Atoms = narrowed(prm.refs, inc.Target); len(inc.Atoms) == 0 {
		return invalid("%s.%s does not point to %s", inc.Source, inc.Param, inc.Target)
	}
	return nil
}
