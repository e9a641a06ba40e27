package def

import (
	"sort"
	"strings"
	"sync"
)

//go:generate go run ./generate

// Lookup returns the type of that name (case matters), or nil.
func Lookup(name string) *Type { return load().types[name] }

// ResourceTypes returns R4's concrete resource types in alphabetical order. The slice is shared: do not change it.
func ResourceTypes() []*Type { return load().resources }

// ByNum returns the resource type of that stable number, or nil.
func ByNum(num int) *Type {
	if all := load().resources; num >= 1 && num <= len(all) {
		return all[num-1]
	}
	return nil
}

// SearchParams returns the parameters of a concrete resource type, those of Resource and DomainResource among them, by code.
// Order: alphabetical by code. The slice is shared: do not change it.
//
// It is what the R4 package declares, with these departures: the package's own examples and the drafts without base or
// expression (such as Patient.age) are left out; expressions are narrowed to the type; a parameter on an extension has
// the extension's value; two misprints are mended (see generate/params.go); Targets are narrowed to what the type's
// elements admit. Of the parameters that the specification names without a definition (_list, _has, _type) there is none
// here; _content, _text, _query and _filter are, with an empty Expression.
func SearchParams(resourceType string) []*SearchParam { return load().params[resourceType] }

// CompartmentOf returns the compartment of that code (Patient, Encounter, RelatedPerson, Practitioner, Device), or nil.
func CompartmentOf(code string) *Compartment { return load().compartments[code] }

// catalog is all definitions, linked.
type catalog struct {
	types        map[string]*Type
	resources    []*Type
	params       map[string][]*SearchParam
	compartments map[string]*Compartment
}

var load = sync.OnceValue(func() *catalog {
	text, err := unpack()
	if err != nil {
		panic("def: the embedded definitions are broken: " + err.Error())
	}
	return parse(text)
})

// parse reads the generator's lines, fields parted by tabs:
//
//	V url                                        a value set; its codes follow:
//	C system code…                               codes of one system
//	T name kind abstract base                    a type, after its base; kind p, c, b, r as TypeKind
//	D name                                       the type whose own elements follow:
//	E name min max flags types valueset          flags c choice, s summary, m modifier, a attribute; types "Reference>Group,Patient string"
//	S type                                       the resource type whose parameters follow:
//	P code name url type targets expression doc  a search parameter; its components follow:
//	K param type expression                      a component
//	Q code                                       a compartment; its members follow:
//	M type param…                                a member type
func parse(text string) *catalog {
	l := &loader{
		catalog: catalog{types: make(map[string]*Type, 700), params: make(map[string][]*SearchParam, 160), compartments: make(map[string]*Compartment, 5)},
		sets:    make(map[string]*Binding, 230), lists: make(map[string][]string, 400), refs: make(map[string][]TypeRef, 1200),
	}
	fields := make([]string, 0, 64)
	for text != "" {
		var line string
		line, text, _ = strings.Cut(text, "\n")
		fields = cut(fields[:0], line)
		l.line(fields)
	}
	l.finishType()
	l.finishParams()
	return &l.catalog
}

// cut splits a line at its tabs into dst.
func cut(dst []string, line string) []string {
	for {
		i := strings.IndexByte(line, '\t')
		if i < 0 {
			return append(dst, line)
		}
		dst = append(dst, line[:i])
		line = line[i+1:]
	}
}

// loader is a catalog under construction. Equal lists are kept once.
type loader struct {
	catalog
	sets  map[string]*Binding
	lists map[string][]string  // "Group,Patient"
	refs  map[string][]TypeRef // "Reference>Group,Patient string"

	set         *Binding
	typ         *Type
	base        string
	compartment *Compartment
	fields      []Field // a slab
}

func (l *loader) line(f []string) {
	switch f[0] {
	case "V":
		l.set = &Binding{ValueSet: f[1], codes: map[string]uint32{}}
		l.sets[f[1]] = l.set
	case "C":
		bit := uint32(1) << len(l.set.systems)
		l.set.systems = append(l.set.systems, f[1])
		for _, code := range f[2:] {
			l.set.codes[code] |= bit
		}
	case "T":
		l.addType(f[1], f[2], f[3] == "1", f[4])
	case "D":
		l.finishType()
		l.typ = l.types[f[1]]
		l.inherit()
	case "E":
		l.element(f)
	case "S":
		l.finishType()
		l.base = f[1]
	case "P":
		l.params[l.base] = append(l.params[l.base], &SearchParam{Code: f[1], Name: f[2], URL: f[3], Type: f[4],
			Targets: l.list(f[5]), Expression: f[6], Doc: f[7]})
	case "K":
		list := l.params[l.base]
		p := list[len(list)-1]
		p.Components = append(p.Components, Component{Param: f[1], Type: f[2], Expression: f[3]})
	case "Q":
		l.compartment = &Compartment{Code: f[1], Params: make(map[string][]string, 80)}
		l.compartments[f[1]] = l.compartment
	case "M":
		l.compartment.Params[f[1]] = append([]string(nil), f[2:]...)
	}
}

var kinds = map[string]TypeKind{"p": Primitive, "c": Complex, "b": Backbone, "r": ResourceKind}

func (l *loader) addType(name, kind string, abstract bool, base string) {
	t := &Type{Name: name, Kind: kinds[kind], Abstract: abstract, Base: l.types[base]}
	l.types[name] = t
	if t.Kind == ResourceKind && !abstract {
		l.resources = append(l.resources, t)
	}
}

// list returns the parts of a comma-separated list, nil for none.
func (l *loader) list(s string) []string {
	if s == "" {
		return nil
	}
	if _, ok := l.lists[s]; !ok {
		l.lists[s] = strings.Split(s, ",")
	}
	return l.lists[s]
}

// typeRefs returns the types of an element.
func (l *loader) typeRefs(s string) []TypeRef {
	if have, ok := l.refs[s]; ok {
		return have
	}
	var out []TypeRef
	for _, part := range strings.Split(s, " ") {
		name, targets, _ := strings.Cut(part, ">")
		out = append(out, TypeRef{Type: l.types[name], Targets: l.list(targets)})
	}
	l.refs[s] = out
	return out
}

// inherit gives the type the elements of its base.
func (l *loader) inherit() {
	if l.typ.Base == nil {
		return
	}
	own := make([]Element, len(l.typ.Base.Elements))
	l.typ.Elements = make([]*Element, len(own), len(own)+8)
	for i, e := range l.typ.Base.Elements {
		own[i] = *e
		own[i].Path = l.typ.Name + e.Path[strings.LastIndexByte(e.Path, '.'):]
		l.typ.Elements[i] = &own[i]
	}
}

// element adds an element, or puts it in the place of the inherited one.
func (l *loader) element(f []string) {
	e := &Element{Name: f[1], Path: l.typ.Name + "." + f[1], Min: int(f[2][0] - '0'), Max: limit(f[3]), Types: l.typeRefs(f[5]), Binding: l.sets[f[6]]}
	for _, c := range f[4] {
		switch c {
		case 'c':
			e.Choice = true
			e.Path += "[x]"
		case 's':
			e.Summary = true
		case 'm':
			e.Modifier = true
		case 'a':
			e.Attr = true
		}
	}
	if old := l.typ.Element(e.Name); old != nil {
		*old = *e
		return
	}
	l.typ.Elements = append(l.typ.Elements, e)
}

// limit reads a max: a small number or "*".
func limit(s string) int {
	if s == "*" {
		return -1
	}
	n := 0
	for _, c := range s {
		n = n*10 + int(c-'0')
	}
	return n
}

// finishType indexes the members of the type whose elements have all been read.
func (l *loader) finishType() {
	t := l.typ
	l.typ = nil
	if t == nil {
		return
	}
	n := 0
	for _, e := range t.Elements {
		n += len(e.Types)
	}
	t.fields = make(map[string]*Field, n)
	for i, e := range t.Elements {
		e.Index = i
		if e.Min > 0 {
			t.Required |= 1 << i
		}
		for _, r := range e.Types {
			name := e.Name
			if e.Choice {
				name += strings.ToUpper(r.Type.Name[:1]) + r.Type.Name[1:]
			}
			t.fields[name] = l.field(Field{Element: e, Type: r.Type, Targets: r.Targets})
		}
	}
}

func (l *loader) field(f Field) *Field {
	if len(l.fields) == 0 {
		l.fields = make([]Field, 512)
	}
	p := &l.fields[0]
	l.fields = l.fields[1:]
	*p = f
	return p
}

// finishParams numbers the resource types and gives each the parameters of its bases.
func (l *loader) finishParams() {
	sort.Slice(l.resources, func(i, j int) bool { return l.resources[i].Name < l.resources[j].Name })
	for i, t := range l.resources {
		t.Num = i + 1
		own := l.params[t.Name]
		all := make([]*SearchParam, 0, len(own)+10)
		all = append(all, own...)
		for b := t.Base; b != nil; b = b.Base {
			all = append(all, l.params[b.Name]...)
		}
		sort.Slice(all, func(i, j int) bool { return all[i].Code < all[j].Code })
		l.params[t.Name] = all
	}
	delete(l.params, "Resource")
	delete(l.params, "DomainResource")
}
