package search

import (
	"testing"

	"pgregory.net/rapid"
)

// must implies p implies may, for every tree and document; without opened parts all three are one.
func TestBoundsEnclose(t *testing.T) {
	d := docOf(t, `{"resourceType":"Patient","id":"p","address":[{"city":"Cairo"}],"generalPractitioner":[{"reference":"Practitioner/d"}]}`)
	doctor := docOf(t, `{"resourceType":"Practitioner","id":"d","address":[{"city":"Cairo"}]}`)
	all := memory{d, doctor}
	city, _, _ := ParamAtoms("Patient", "address-city")
	gp, _, _ := ParamAtoms("Patient", "general-practitioner")
	theirs, _, _ := ParamAtoms("Practitioner", "address-city")
	var tree func(depth int) *rapid.Generator[Pred]
	tree = func(depth int) *rapid.Generator[Pred] {
		leaf := rapid.SampledFrom([]Pred{IDs{"p"}, IDs{"q"}, TextContains{city[0].Atom, "air"}, TextContains{city[0].Atom, "x"},
			Opened{"yes", func(*Doc) bool { return true }}, Opened{"no", func(*Doc) bool { return false }},
			Chain{gp, "Practitioner", TextContains{theirs[0].Atom, "air"}}, Chain{gp, "Practitioner", Not{TextContains{theirs[0].Atom, "air"}}}})
		if depth == 0 {
			return leaf
		}
		list := rapid.SliceOfN(tree(depth-1), 0, 3)
		return rapid.OneOf(leaf,
			rapid.Map(list, func(l []Pred) Pred { return And(l) }),
			rapid.Map(list, func(l []Pred) Pred { return Or(l) }),
			rapid.Map(tree(depth-1), func(p Pred) Pred { return Not{p} }))
	}
	is := func(t *rapid.T, p Pred) bool {
		ok, err := Match(p, d, all)
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}
	rapid.Check(t, func(t *rapid.T) {
		p := tree(3).Draw(t, "p")
		must, may, exact := Bounds(p)
		if !answerable(must) || !answerable(may) || exact != answerable(p) {
			t.Fatalf("%s: %s .. %s", show(p), show(must), show(may))
		}
		if is(t, must) && !is(t, p) || is(t, p) && !is(t, may) {
			t.Fatalf("%s is %v, but %s .. %s", show(p), is(t, p), show(must), show(may))
		}
	})
}
