package fhirpath

import (
	"strings"

	"github.com/nilecare/nilecare/internal/fhir/def"
)

func fnEmpty(_ *machine, _ frame, in Collection, _ []op) (tri, error) {
	return triOf(len(in) == 0), nil
}

func fnExists(m *machine, f frame, in Collection, args []op) (tri, error) {
	if len(args) == 0 {
		return triOf(len(in) > 0), nil
	}
	for i := range in {
		t, err := m.criterion(f, in, i, args[0])
		if err != nil || t == yes {
			return t, err
		}
	}
	return no, nil
}

// criterion tests a condition with $this on the i-th item.
func (m *machine) criterion(f frame, in Collection, i int, cond op) (tri, error) {
	if err := m.step(1); err != nil {
		return unknown, err
	}
	f.this, f.index = in[i:i+1:i+1], i
	return testOf(m, f, f.this, cond)
}

func fnAll(m *machine, f frame, in Collection, args []op) (tri, error) {
	for i := range in {
		t, err := m.criterion(f, in, i, args[0])
		if err != nil {
			return unknown, err
		}
		if t != yes {
			return no, nil
		}
	}
	return yes, nil
}

// booleans makes allTrue (all, true), anyTrue (any, true), allFalse and anyFalse.
func booleans(all, wanted bool) func(*machine, frame, Collection, []op) (tri, error) {
	return func(_ *machine, _ frame, in Collection, _ []op) (tri, error) {
		hits := 0
		for i := range in {
			b, ok := in[i].Bool()
			if !ok {
				return unknown, fail("allTrue, anyTrue, allFalse and anyFalse work on booleans")
			}
			if b == wanted {
				hits++
			}
		}
		if all {
			return triOf(hits == len(in)), nil
		}
		return triOf(hits > 0), nil
	}
}

// withArg evaluates a function's collection argument on $this.
func withArg(m *machine, f frame, arg op, use func(Collection) error) error {
	buf, err := arg.eval(m, f, f.this, m.get())
	if err != nil {
		return err
	}
	err = use(buf)
	m.put(buf)
	return err
}

func subset(m *machine, part, all Collection) (tri, error) {
	for i := range part {
		found, err := contains(m, all, &part[i])
		if err != nil || !found {
			return no, err
		}
	}
	return yes, nil
}

func fnSubsetOf(m *machine, f frame, in Collection, args []op) (t tri, err error) {
	err = withArg(m, f, args[0], func(c Collection) error {
		t, err = subset(m, in, c)
		return err
	})
	return t, err
}

func fnSupersetOf(m *machine, f frame, in Collection, args []op) (t tri, err error) {
	err = withArg(m, f, args[0], func(c Collection) error {
		t, err = subset(m, c, in)
		return err
	})
	return t, err
}

func fnCount(_ *machine, _ frame, in Collection, _ []op, dst Collection) (Collection, error) {
	return append(dst, Item{value: Integer(len(in))}), nil
}

func fnDistinct(m *machine, _ frame, in Collection, _ []op, dst Collection) (Collection, error) {
	return appendDistinct(m, in, dst)
}

func fnIsDistinct(m *machine, _ frame, in Collection, _ []op) (tri, error) {
	buf, err := appendDistinct(m, in, m.get())
	if err != nil {
		return unknown, err
	}
	t := triOf(len(buf) == len(in))
	m.put(buf)
	return t, nil
}

func fnNot(_ *machine, _ frame, in Collection, _ []op) (tri, error) {
	t, err := truth(in)
	return t.not(), err
}

func fnHasValue(_ *machine, _ frame, in Collection, _ []op) (tri, error) {
	return triOf(len(in) == 1 && in[0].hasValue()), nil
}

func fnGetValue(_ *machine, _ frame, in Collection, _ []op, dst Collection) (Collection, error) {
	if len(in) == 1 && in[0].hasValue() {
		if v := in[0].Value(); v != nil {
			dst = append(dst, Item{value: v})
		}
	}
	return dst, nil
}

// fnConformsTo knows R4's own types: whether the resource is of that type. Other profiles need a validator.
func fnConformsTo(m *machine, f frame, in Collection, args []op) (tri, error) {
	it, ok, err := single(m, f, args[0], "conformsTo()")
	if err != nil || !ok || len(in) == 0 {
		return unknown, err
	}
	if len(in) > 1 {
		return unknown, fail("conformsTo(): several items where one was expected")
	}
	url, _ := it.text()
	name, known := strings.CutPrefix(url, "http://hl7.org/fhir/StructureDefinition/")
	t := def.Lookup(name)
	if !known || t == nil {
		return unknown, fail("conformsTo(): the profile is not known here")
	}
	return triOf(in[0].typ.IsA(name)), nil
}
