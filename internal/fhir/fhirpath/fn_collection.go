package fhirpath

import (
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/def"
)

// contains reports whether the list has an item equal to it.
func contains(m *machine, list Collection, it *Item) (bool, error) {
	for i := range list {
		if err := m.step(1); err != nil {
			return false, err
		}
		if m.equal(&list[i], it) == yes {
			return true, nil
		}
	}
	return false, nil
}

// appendDistinct appends each value of in once, in the order of their first.
func appendDistinct(m *machine, in, dst Collection) (Collection, error) {
	d := distinct{m: m, start: len(dst)}
	var err error
	for i := range in {
		if dst, _, err = d.add(dst, in[i]); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

// distinct adds items that are not yet in dst[start:]. Text goes through a set once there is much of it; the rest is
// compared one by one, on the step budget.
type distinct struct {
	m     *machine
	start int
	texts map[string]struct{}
	other []int // where the items that are no text stand, once texts is in use
}

const manyItems = 32

func (d *distinct) add(dst Collection, it Item) (Collection, bool, error) {
	if d.texts == nil && len(dst)-d.start < manyItems {
		found, err := contains(d.m, dst[d.start:], &it)
		if err != nil || found {
			return dst, false, err
		}
		return append(dst, it), true, nil
	}
	if d.texts == nil {
		d.texts = make(map[string]struct{}, 2*manyItems)
		for i := d.start; i < len(dst); i++ {
			d.note(&dst[i], i)
		}
	}
	if err := d.m.step(1); err != nil {
		return dst, false, err
	}
	if s, ok := it.text(); ok {
		if _, has := d.texts[s]; has {
			return dst, false, nil
		}
	} else {
		for _, i := range d.other {
			if err := d.m.step(1); err != nil {
				return dst, false, err
			}
			if d.m.equal(&dst[i], &it) == yes {
				return dst, false, nil
			}
		}
	}
	d.note(&it, len(dst))
	return append(dst, it), true, nil
}

func (d *distinct) note(it *Item, at int) {
	if s, ok := it.text(); ok {
		d.texts[s] = struct{}{}
	} else {
		d.other = append(d.other, at)
	}
}

func fnWhere(m *machine, f frame, in Collection, args []op, dst Collection) (Collection, error) {
	for i := range in {
		t, err := m.criterion(f, in, i, args[0])
		if err != nil {
			return dst, err
		}
		if t == yes {
			dst = append(dst, in[i])
		}
	}
	return dst, nil
}

func fnSelect(m *machine, f frame, in Collection, args []op, dst Collection) (Collection, error) {
	var err error
	for i := range in {
		if err = m.step(1); err != nil {
			return dst, err
		}
		f.this, f.index = in[i:i+1:i+1], i
		if dst, err = args[0].eval(m, f, f.this, dst); err != nil {
			return dst, err
		}
		if err = m.items(len(dst)); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

// fnRepeat projects again and again until nothing new comes; each value is taken once, so that cycles end.
func fnRepeat(m *machine, f frame, in Collection, args []op, dst Collection) (Collection, error) {
	d := distinct{m: m, start: len(dst)}
	queue := append(m.get(), in...)
	for at := 0; at < len(queue); at++ {
		if err := m.step(1); err != nil {
			return dst, err
		}
		f.this, f.index = queue[at:at+1:at+1], at
		found, err := args[0].eval(m, f, f.this, m.get())
		if err != nil {
			return dst, err
		}
		for i := range found {
			var added bool
			if dst, added, err = d.add(dst, found[i]); err != nil {
				return dst, err
			}
			if added {
				queue = append(queue, found[i])
			}
		}
		m.put(found)
	}
	m.put(queue)
	return dst, nil
}

// fnExtension finds the extensions of that URL, of elements and of primitives.
func fnExtension(m *machine, f frame, in Collection, args []op, dst Collection) (Collection, error) {
	it, ok, err := single(m, f, args[0], "extension()")
	if err != nil || !ok {
		return dst, err
	}
	url, ok := it.text()
	if !ok {
		return dst, fail("extension(): a URL is a string")
	}
	for i := range in {
		if err := m.step(1); err != nil {
			return dst, err
		}
		dst = appendExtensions(&in[i], url, dst)
	}
	return dst, nil
}

// fnHasExtension is in no specification, but in R4's search parameter QuestionnaireResponse.item-subject.
func fnHasExtension(m *machine, f frame, in Collection, args []op) (tri, error) {
	buf, err := fnExtension(m, f, in, args, m.get())
	if err != nil {
		return unknown, err
	}
	t := triOf(len(buf) > 0)
	m.put(buf)
	return t, nil
}

func appendExtensions(it *Item, url string, dst Collection) Collection {
	if it.value != nil || it.typ == nil {
		return dst
	}
	object := it.node
	if it.typ.Kind == def.Primitive {
		object = it.comp
	}
	f, ok := it.typ.Field("extension")
	if !ok {
		return dst
	}
	for e := object.Get("extension").First(); e != nil; e = e.Next() {
		if e.Str("url") == url {
			dst = append(dst, ElementItem(e, nil, f))
		}
	}
	return dst
}

func fnSingle(_ *machine, _ frame, in Collection, _ []op, dst Collection) (Collection, error) {
	if len(in) > 1 {
		return dst, fail("single(): several items where one was expected")
	}
	return append(dst, in...), nil
}

func fnFirst(_ *machine, _ frame, in Collection, _ []op, dst Collection) (Collection, error) {
	return append(dst, in[:min(1, len(in))]...), nil
}

func fnLast(_ *machine, _ frame, in Collection, _ []op, dst Collection) (Collection, error) {
	return append(dst, in[max(0, len(in)-1):]...), nil
}

func fnTail(_ *machine, _ frame, in Collection, _ []op, dst Collection) (Collection, error) {
	return append(dst, in[min(1, len(in)):]...), nil
}

// integerArg evaluates an argument that is one Integer; ok is false where it is empty.
func integerArg(m *machine, f frame, arg op, name string) (n int, ok bool, err error) {
	it, ok, err := single(m, f, arg, name)
	if err != nil || !ok {
		return 0, false, err
	}
	i, isInt := it.Value().(Integer)
	if !isInt {
		return 0, false, fail("%s: an integer was expected", name)
	}
	return int(i), true, nil
}

func fnSkip(m *machine, f frame, in Collection, args []op, dst Collection) (Collection, error) {
	n, ok, err := integerArg(m, f, args[0], "skip()")
	if err != nil || !ok {
		return dst, err
	}
	return append(dst, in[min(max(n, 0), len(in)):]...), nil
}

func fnTake(m *machine, f frame, in Collection, args []op, dst Collection) (Collection, error) {
	n, ok, err := integerArg(m, f, args[0], "take()")
	if err != nil || !ok {
		return dst, err
	}
	return append(dst, in[:min(max(n, 0), len(in))]...), nil
}

func fnIntersect(m *machine, f frame, in Collection, args []op, dst Collection) (Collection, error) {
	d := distinct{m: m, start: len(dst)}
	err := withArg(m, f, args[0], func(other Collection) error {
		for i := range in {
			found, err := contains(m, other, &in[i])
			if err == nil && found {
				dst, _, err = d.add(dst, in[i])
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	return dst, err
}

func fnExclude(m *machine, f frame, in Collection, args []op, dst Collection) (Collection, error) {
	err := withArg(m, f, args[0], func(other Collection) error {
		for i := range in {
			found, err := contains(m, other, &in[i])
			if err != nil {
				return err
			}
			if !found {
				dst = append(dst, in[i])
			}
		}
		return nil
	})
	return dst, err
}

func fnUnion(m *machine, f frame, in Collection, args []op, dst Collection) (Collection, error) {
	err := withArg(m, f, args[0], func(other Collection) error {
		both := append(append(m.get(), in...), other...)
		var err error
		dst, err = appendDistinct(m, both, dst)
		m.put(both)
		return err
	})
	return dst, err
}

func fnCombine(m *machine, f frame, in Collection, args []op, dst Collection) (Collection, error) {
	dst, err := args[0].eval(m, f, f.this, append(dst, in...))
	if err == nil {
		err = m.items(len(dst))
	}
	return dst, err
}

func fnChildren(m *machine, _ frame, in Collection, _ []op, dst Collection) (Collection, error) {
	for i := range in {
		start := len(dst)
		dst = children(in[i], dst)
		if err := m.step(1 + len(dst) - start); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

func fnDescendants(m *machine, _ frame, in Collection, _ []op, dst Collection) (Collection, error) {
	start := len(dst)
	for i := range in {
		dst = children(in[i], dst)
	}
	for at := start; at < len(dst); at++ {
		if err := m.step(1); err != nil {
			return dst, err
		}
		dst = children(dst[at], dst)
		if err := m.items(len(dst)); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

func fnAggregate(m *machine, f frame, in Collection, args []op, dst Collection) (Collection, error) {
	total := m.get()
	var err error
	if len(args) == 2 {
		if total, err = args[1].eval(m, f, f.this, total); err != nil {
			return dst, err
		}
	}
	for i := range in {
		if err := m.step(1); err != nil {
			return dst, err
		}
		f.this, f.index, f.total = in[i:i+1:i+1], i, total
		next, err := args[0].eval(m, f, f.this, m.get())
		if err != nil {
			return dst, err
		}
		m.put(total)
		total = next
		if err := m.step(len(total)); err != nil {
			return dst, err
		}
	}
	dst = append(dst, total...)
	m.put(total)
	return dst, nil
}

// fnIif evaluates no more than the branch that it takes.
func fnIif(m *machine, f frame, in Collection, args []op, dst Collection) (Collection, error) {
	if len(in) > 1 {
		return dst, fail("iif(): several items where one at most was expected")
	}
	f.this = in
	buf, err := args[0].eval(m, f, in, m.get())
	if err != nil {
		return dst, err
	}
	if len(buf) > 1 {
		return dst, fail("iif(): the criterion is not one boolean")
	}
	taken := false
	if len(buf) == 1 {
		b, ok := buf[0].Bool()
		if !ok {
			return dst, fail("iif(): the criterion is not a boolean")
		}
		taken = b
	}
	m.put(buf)
	switch {
	case taken:
		return args[1].eval(m, f, in, dst)
	case len(args) == 3:
		return args[2].eval(m, f, in, dst)
	}
	return dst, nil
}

func fnTrace(m *machine, f frame, in Collection, args []op, dst Collection) (Collection, error) {
	if m.ctx.Trace != nil {
		it, _, err := single(m, f, args[0], "trace()")
		if err != nil {
			return dst, err
		}
		name, _ := it.text()
		shown := append(Collection(nil), in...)
		if len(args) == 2 {
			if shown, err = fnSelect(m, f, in, args[1:], nil); err != nil {
				return dst, err
			}
		}
		m.ctx.Trace(name, shown)
	}
	return append(dst, in...), nil
}

func fnType(_ *machine, _ frame, in Collection, _ []op, dst Collection) (Collection, error) {
	for i := range in {
		switch it := &in[i]; {
		case it.value != nil:
			dst = append(dst, Item{value: typeInfo{"System", it.value.SystemType()}})
		case it.typ != nil:
			dst = append(dst, Item{value: typeInfo{"FHIR", it.TypeName()}})
		}
	}
	return dst, nil
}

func fnNow(m *machine, _ frame, _ Collection, _ []op, dst Collection) (Collection, error) {
	if m.ctx.Now.IsZero() {
		return dst, nil
	}
	return append(dst, Item{value: temporalFromTime(m.ctx.Now)}), nil
}

func fnToday(m *machine, _ frame, _ Collection, _ []op, dst Collection) (Collection, error) {
	if m.ctx.Now.IsZero() {
		return dst, nil
	}
	t := temporalFromTime(m.ctx.Now).truncated(DayPrecision)
	t.Kind = DateKind
	return append(dst, Item{value: t}), nil
}

func fnTimeOfDay(m *machine, _ frame, _ Collection, _ []op, dst Collection) (Collection, error) {
	if m.ctx.Now.IsZero() {
		return dst, nil
	}
	t := temporalFromTime(m.ctx.Now)
	t.Kind, t.Year, t.Month, t.Day, t.Zoned, t.Offset = TimeKind, 0, 1, 1, false, 0
	return append(dst, Item{value: t}), nil
}

// variable is %name.
type variable string

func (v variable) eval(m *machine, _ frame, _, dst Collection) (Collection, error) {
	name := string(v)
	switch name {
	case "sct":
		return append(dst, Item{value: String("http://snomed.info/sct")}), nil
	case "loinc":
		return append(dst, Item{value: String("http://loinc.org")}), nil
	case "ucum":
		return append(dst, Item{value: String(ucumSystem)}), nil
	case "context":
		if m.focus == (Item{}) {
			return dst, nil
		}
		return append(dst, m.focus), nil
	case "resource":
		return appendResource(dst, m.ctx.Resource), nil
	case "rootResource":
		return appendResource(dst, m.root()), nil
	}
	if c, ok := m.ctx.Env[name]; ok {
		return append(dst, c...), nil
	}
	switch {
	case len(name) > 3 && name[:3] == "vs-":
		return append(dst, Item{value: String("http://hl7.org/fhir/ValueSet/" + name[3:])}), nil
	case len(name) > 4 && name[:4] == "ext-":
		return append(dst, Item{value: String("http://hl7.org/fhir/StructureDefinition/" + name[4:])}), nil
	}
	return dst, fail("the variable %%%.60s is unknown", name)
}

func appendResource(dst Collection, r *fhir.Resource) Collection {
	if r == nil || r.Node == nil {
		return dst
	}
	return append(dst, ResourceItem(r))
}
