package fhirpath

import "sort"

// sortOp is sort(keys…): a key with a minus before it sorts from the greatest down. Without keys, by the items.
type sortOp struct {
	keys []sortKey
}

type sortKey struct {
	op         op
	descending bool
}

func compileSort(n *ast) (op, error) {
	o := &sortOp{}
	for _, a := range n.args {
		k := sortKey{}
		if a.kind == nUnary && a.name == "-" {
			k.descending, a = true, a.args[0]
		}
		var err error
		if k.op, err = compile(a); err != nil {
			return nil, err
		}
		o.keys = append(o.keys, k)
	}
	if o.keys == nil {
		o.keys = []sortKey{{op: thisOp{}}}
	}
	return o, nil
}

type sortRow struct {
	item Item
	keys []Value // nil: empty, which stands first in both directions
}

func (o *sortOp) eval(m *machine, f frame, in, dst Collection) (Collection, error) {
	rows := make([]sortRow, len(in))
	for i := range in {
		rows[i] = sortRow{in[i], make([]Value, len(o.keys))}
		f.this, f.index = in[i:i+1:i+1], i
		for k := range o.keys {
			it, ok, err := single(m, f, o.keys[k].op, "sort()")
			if err != nil {
				return dst, err
			}
			if ok {
				rows[i].keys[k] = it.Value()
			}
		}
		if err := m.step(len(o.keys) * 16); err != nil {
			return dst, err
		}
	}
	var failed error
	sort.SliceStable(rows, func(i, j int) bool {
		for k := range o.keys {
			a, b := rows[i].keys[k], rows[j].keys[k]
			order, err := compareKeys(a, b)
			if err != nil {
				failed = err
			}
			if o.keys[k].descending && a != nil && b != nil {
				order = -order
			}
			if order != 0 {
				return order < 0
			}
		}
		return false
	})
	if failed != nil {
		return dst, failed
	}
	for i := range rows {
		dst = append(dst, rows[i].item)
	}
	return dst, nil
}

func compareKeys(a, b Value) (int, error) {
	switch {
	case a == nil && b == nil:
		return 0, nil
	case a == nil:
		return -1, nil
	case b == nil:
		return 1, nil
	}
	order, _, err := compareValues(a, b)
	return order, err
}
