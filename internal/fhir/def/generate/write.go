package main

import (
	"bytes"
	"sort"
	"strings"
)

// write renders all that was gathered; see package def's load.go for the lines.
func (g *generator) write() []byte {
	var b bytes.Buffer
	line := func(fields ...string) {
		b.WriteString(strings.Join(fields, "\t"))
		b.WriteByte('\n')
	}
	for _, v := range g.sets {
		line("V", v.url)
		for _, s := range v.systems {
			line(append([]string{"C", s}, v.codes[s]...)...)
		}
	}
	for _, t := range g.order {
		abstract := "0"
		if t.abstract {
			abstract = "1"
		}
		line("T", t.name, t.kind, abstract, t.base)
	}
	for _, t := range g.order {
		line("D", t.name)
		for _, e := range g.own(t) {
			x := *e
			if !g.bound[x.valueSet] {
				x.valueSet = ""
			}
			line("E", x.line())
		}
	}
	g.writeParams(line)
	for _, c := range g.compartments {
		line("Q", c.code)
		for _, m := range c.members {
			line(append([]string{"M"}, m...)...)
		}
	}
	return b.Bytes()
}

func (g *generator) writeParams(line func(...string)) {
	bases := make([]string, 0, len(g.params))
	for base := range g.params {
		bases = append(bases, base)
	}
	sort.Strings(bases)
	for _, base := range bases {
		line("S", base)
		for _, p := range g.params[base] {
			line("P", p.code, p.name, p.url, p.typ, strings.Join(p.targets, ","), p.expression, p.doc)
			for _, c := range p.components {
				line("K", c.param, c.typ, c.expression)
			}
		}
	}
}
