package fhirpath

import (
	"github.com/nilecare/nilecare/internal/fhir/def"
)

// typeTest is a type specifier, looked up.
type typeTest struct {
	fhir   *def.Type // nil: names no FHIR type
	system string    // "": names no System type
	exact  bool      // as and ofType take a primitive by its own type alone
}

func isSystemType(name string) bool {
	switch name {
	case "Any", "Boolean", "String", "Integer", "Decimal", "Date", "DateTime", "Time", "Quantity":
		return true
	}
	return false
}

// newTypeTest looks a specifier up; false where it names no type. An unknown name in the namespace System is let pass:
// nothing is of that type.
func newTypeTest(s typeSpec, exact bool) (typeTest, bool) {
	t := typeTest{exact: exact}
	if s.space != "System" {
		t.fhir = def.Lookup(s.name)
	}
	if s.space != "FHIR" && isSystemType(s.name) {
		t.system = s.name
	}
	return t, t.fhir != nil || t.system != "" || s.space == "System"
}

// has reports whether the item is of the type.
func (t *typeTest) has(it *Item) bool {
	if it.value != nil {
		return t.system != "" && (t.system == "Any" || it.value.SystemType() == t.system)
	}
	if t.fhir == nil || it.typ == nil {
		return false
	}
	if it.typ == t.fhir {
		return true
	}
	return !(t.exact && it.typ.Kind == def.Primitive) && it.typ.IsA(t.fhir.Name)
}

// isOp is "x is T" and x.is(T); operand nil: what it is invoked on.
type isOp struct {
	operand op
	kind    typeTest
}

func (o *isOp) test(m *machine, f frame, in Collection) (tri, error) {
	if o.operand == nil {
		return o.judge(in)
	}
	buf, err := o.operand.eval(m, f, in, m.get())
	if err != nil {
		return unknown, err
	}
	t, err := o.judge(buf)
	m.put(buf)
	return t, err
}

func (o *isOp) judge(c Collection) (tri, error) {
	switch len(c) {
	case 0:
		return unknown, nil
	case 1:
		return triOf(o.kind.has(&c[0])), nil
	}
	return unknown, fail("is: several items where one was expected")
}

func (o *isOp) eval(m *machine, f frame, in, dst Collection) (Collection, error) {
	t, err := o.test(m, f, in)
	return t.append(dst), err
}

// ofType keeps the items of a type: ofType(), the operator as, and the function as(), which takes one item at most.
type ofType struct {
	operand op // nil: what it is invoked on
	test    typeTest
	single  bool
}

func (o *ofType) eval(m *machine, f frame, in, dst Collection) (Collection, error) {
	if o.operand == nil {
		if o.single && len(in) > 1 && !m.ctx.AsFilters {
			return dst, fail("as(): several items where one was expected")
		}
		return o.filter(in, dst), nil
	}
	buf, err := o.operand.eval(m, f, in, m.get())
	if err != nil {
		return dst, err
	}
	dst = o.filter(buf, dst)
	m.put(buf)
	return dst, nil
}

func (o *ofType) filter(in, dst Collection) Collection {
	for i := range in {
		if o.test.has(&in[i]) {
			dst = append(dst, in[i])
		}
	}
	return dst
}
