package fhirpath

// op is one compiled operation. It appends its result to dst; in is what it is invoked on (the focus, at the head of a
// path), f says what $this means to its arguments.
type op interface {
	eval(m *machine, f frame, in, dst Collection) (Collection, error)
}

// condition is an op whose result is a truth value, had without making a collection.
type condition interface {
	op
	test(m *machine, f frame, in Collection) (tri, error)
}

// tri is a truth value of three-valued logic.
type tri uint8

const (
	unknown tri = iota // the empty collection
	no
	yes
)

func triOf(b bool) tri {
	if b {
		return yes
	}
	return no
}

func (t tri) not() tri {
	switch t {
	case yes:
		return no
	case no:
		return yes
	}
	return unknown
}

func (t tri) append(dst Collection) Collection {
	if t == unknown {
		return dst
	}
	return append(dst, Item{value: Boolean(t == yes)})
}

// truth reads a collection as a condition: a boolean, or any other single item, which is true (singleton evaluation).
func truth(c Collection) (tri, error) {
	switch len(c) {
	case 0:
		return unknown, nil
	case 1:
		if b, ok := c[0].Bool(); ok {
			return triOf(b), nil
		}
		if c[0].isPrimitive() && c[0].typ.Name == "boolean" {
			return unknown, nil // extensions alone, or malformed
		}
		return yes, nil
	}
	return unknown, fail("several items where one boolean was expected")
}

// testOf evaluates any op as a condition.
func testOf(m *machine, f frame, in Collection, o op) (tri, error) {
	if c, ok := o.(condition); ok {
		return c.test(m, f, in)
	}
	buf, err := o.eval(m, f, in, m.get())
	if err != nil {
		return unknown, err
	}
	t, err := truth(buf)
	m.put(buf)
	return t, err
}

// single evaluates o and returns its one item; ok is false where there is none.
func single(m *machine, f frame, o op, what string) (it Item, ok bool, err error) {
	buf, err := o.eval(m, f, f.this, m.get())
	if err != nil {
		return Item{}, false, err
	}
	n := len(buf)
	if n > 0 {
		it = buf[0]
	}
	m.put(buf)
	if n > 1 {
		return Item{}, false, fail("%s: several items where one was expected", what)
	}
	return it, n == 1, nil
}

// constant is a literal or a folded result.
type constant struct{ item Item }

func (c *constant) eval(_ *machine, _ frame, _, dst Collection) (Collection, error) {
	return append(dst, c.item), nil
}

type emptyOp struct{}

func (emptyOp) eval(_ *machine, _ frame, _, dst Collection) (Collection, error) { return dst, nil }

type thisOp struct{}

func (thisOp) eval(_ *machine, f frame, _, dst Collection) (Collection, error) {
	return append(dst, f.this...), nil
}

type indexOp struct{}

func (indexOp) eval(_ *machine, f frame, _, dst Collection) (Collection, error) {
	return append(dst, Item{value: Integer(f.index)}), nil
}

type totalOp struct{}

func (totalOp) eval(_ *machine, f frame, _, dst Collection) (Collection, error) {
	return append(dst, f.total...), nil
}

// chain feeds each op with the result of the one before.
type chain struct{ ops []op }

func (c *chain) eval(m *machine, f frame, in, dst Collection) (Collection, error) {
	cur, own := in, false
	last := len(c.ops) - 1
	for _, o := range c.ops[:last] {
		next, err := o.eval(m, f, cur, m.get())
		if own {
			m.put(cur)
		}
		if err != nil {
			return dst, err
		}
		cur, own = next, true
		if err := m.items(len(cur)); err != nil {
			return dst, err
		}
	}
	dst, err := c.ops[last].eval(m, f, cur, dst)
	if own {
		m.put(cur)
	}
	return dst, err
}

// test lets a chain that ends in a condition ("telecom.exists()") be one.
func (c *chain) test(m *machine, f frame, in Collection) (tri, error) {
	last := len(c.ops) - 1
	cur, own := in, false
	for _, o := range c.ops[:last] {
		next, err := o.eval(m, f, cur, m.get())
		if own {
			m.put(cur)
		}
		if err != nil {
			return unknown, err
		}
		cur, own = next, true
	}
	t, err := testOf(m, f, cur, c.ops[last])
	if own {
		m.put(cur)
	}
	return t, err
}

// indexer is left[i].
type indexer struct{ at op }

func (o *indexer) eval(m *machine, f frame, in, dst Collection) (Collection, error) {
	it, ok, err := single(m, f, o.at, "[]")
	if err != nil || !ok {
		return dst, err
	}
	i, isInt := it.Value().(Integer)
	if !isInt {
		return dst, fail("[]: an index is an integer")
	}
	if i >= 0 && int(i) < len(in) {
		dst = append(dst, in[i])
	}
	return dst, nil
}
