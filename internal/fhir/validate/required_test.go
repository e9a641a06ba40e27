package validate_test

import (
	"path/filepath"
	"testing"

	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/def"
	"github.com/nilecare/nilecare/internal/fhir/validate"
	"github.com/nilecare/nilecare/internal/testfind"
)

// TestRequiredRemoved takes each required member, one at a time, out of valid examples: each time an issue must say so.
func TestRequiredRemoved(t *testing.T) {
	names, err := filepath.Glob(filepath.Join(testfind.Examples(t), "*-example*.json"))
	if err != nil {
		t.Fatal(err)
	}
	removed := 0
	for _, name := range names {
		if _, invalid := invalidExamples[filepath.Base(name)]; invalid {
			continue
		}
		r := readResource(t, name)
		if r.Type() == "Bundle" {
			continue // large, and of resources that stand on their own too
		}
		for _, m := range requiredMembers(nil, r.Node, def.Lookup(r.Type())) {
			place, next := m.parent.Items(), m.member.Name
			m.parent.Remove(m.member)
			companion := m.parent.Get("_" + next)
			if companion != nil {
				m.parent.Remove(companion)
			}
			if !hasCode(r, "required") {
				t.Errorf("%s: no issue without %s", filepath.Base(name), m.path)
			}
			restore(m.parent, place)
			removed++
		}
		if issues := validate.Resource(r); issues != nil {
			t.Fatalf("%s was not restored: %v", name, issues)
		}
	}
	if removed < 1000 {
		t.Errorf("only %d members were tried", removed)
	}
}

func hasCode(r *fhir.Resource, code string) bool {
	for _, i := range validate.Resource(r) {
		if i.Code == code {
			return true
		}
	}
	return false
}

// restore puts the children back as they were.
func restore(n *fhir.Node, children []*fhir.Node) {
	for c := n.First(); c != nil; c = n.First() {
		n.Remove(c)
	}
	for _, c := range children {
		n.Append(c)
	}
}

type member struct {
	parent, member *fhir.Node
	path           string
}

// requiredMembers lists the members of n, and of what is below it, whose elements are required.
func requiredMembers(out []member, n *fhir.Node, t *def.Type) []member {
	if t == nil || n.Kind != fhir.Object {
		return out
	}
	if t.Name == "Resource" {
		t = def.Lookup(n.Str("resourceType"))
	}
	for c := n.First(); c != nil; c = c.Next() {
		f, ok := t.Field(c.Name)
		if !ok {
			continue
		}
		if f.Min > 0 {
			out = append(out, member{n, c, f.Path})
		}
		if c.Kind != fhir.Array {
			out = requiredMembers(out, c, f.Type)
			continue
		}
		for i := c.First(); i != nil; i = i.Next() {
			out = requiredMembers(out, i, f.Type)
		}
	}
	return out
}
