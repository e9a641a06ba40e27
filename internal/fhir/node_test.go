package fhir_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/nilecare/nilecare/internal/fhir"
)

func parsed(t testing.TB, text string) *fhir.Node {
	t.Helper()
	n, err := fhir.ParseAny([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return n
}

// TestArrayModel: whatever is done to an array, it is what a slice would be, from First to last.
func TestArrayModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, model, made := fhir.NewArray(), []*fhir.Node{}, 0
		fresh := func() *fhir.Node {
			made++
			return fhir.NewNumber(fmt.Sprint(made))
		}
		pick := func() *fhir.Node {
			if len(model) == 0 {
				t.Skip("empty")
			}
			return model[rapid.IntRange(0, len(model)-1).Draw(t, "i")]
		}
		t.Repeat(map[string]func(*rapid.T){
			"append": func(*rapid.T) {
				c := fresh()
				n.Append(c)
				model = append(model, c)
			},
			"insert": func(t *rapid.T) {
				c, i := fresh(), rapid.IntRange(-1, len(model)+1).Draw(t, "at")
				ok := i >= 0 && i <= len(model)
				if n.Insert(i, c) != ok {
					t.Fatalf("Insert(%d) of %d", i, len(model))
				}
				if ok {
					model = slices.Insert(model, i, c)
				}
			},
			"remove": func(*rapid.T) {
				c := pick()
				if !n.Remove(c) || n.Remove(c) || c.Next() != nil {
					t.Fatal("Remove")
				}
				model = slices.DeleteFunc(model, func(m *fhir.Node) bool { return m == c })
			},
			"replace": func(*rapid.T) {
				old, c := pick(), fresh()
				if !n.Replace(old, c) || n.Replace(old, c) || old.Next() != nil {
					t.Fatal("Replace")
				}
				model[slices.Index(model, old)] = c
			},
			"replace by itself": func(*rapid.T) {
				c := pick()
				if !n.Replace(c, c) {
					t.Fatal("Replace by itself")
				}
			},
			"a stranger": func(*rapid.T) {
				if n.Remove(fresh()) || n.Replace(fresh(), fresh()) {
					t.Fatal("no child of it")
				}
			},
			"": func(t *rapid.T) {
				if got := n.Items(); !slices.Equal(got, model) {
					t.Fatalf("%s, want %d items", n.AppendJSON(nil), len(model))
				}
				if n.Len() != len(model) || n.At(-1) != nil || n.At(len(model)) != nil {
					t.Fatal("Len or At")
				}
				for i, m := range model {
					if n.At(i) != m {
						t.Fatalf("At(%d)", i)
					}
				}
				if c := n.Clone(); !c.Equal(n) || !n.Equal(c) {
					t.Fatal("Clone")
				}
			},
		})
	})
}

// TestObjectModel: Set, Delete and Get are those of a map that remembers its order.
func TestObjectModel(t *testing.T) {
	names := rapid.SampledFrom([]string{"a", "b", "c", "d", "_a", ""})
	rapid.Check(t, func(t *rapid.T) {
		n, order, values := fhir.NewObject(), []string{}, map[string]string{}
		made := 0
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				name := names.Draw(t, "name")
				made++
				if n.Set(name, fhir.NewNumber(fmt.Sprint(made))) != n {
					t.Fatal("Set returns another")
				}
				if _, known := values[name]; !known {
					order = append(order, name)
				}
				values[name] = fmt.Sprint(made)
			},
			"set what is there": func(t *rapid.T) {
				name := names.Draw(t, "name")
				if c := n.Get(name); c != nil {
					n.Set(name, c)
				}
			},
			"delete": func(t *rapid.T) {
				name := names.Draw(t, "name")
				n.Delete(name)
				delete(values, name)
				order = slices.DeleteFunc(order, func(s string) bool { return s == name })
			},
			"": func(t *rapid.T) {
				var got, want []string
				for c := n.First(); c != nil; c = c.Next() {
					got = append(got, c.Name+c.Text)
				}
				for _, name := range order {
					want = append(want, name+values[name])
					if n.Get(name).Text != values[name] {
						t.Fatalf("Get(%q)", name)
					}
				}
				if !slices.Equal(got, want) {
					t.Fatalf("%q, want %q", got, want)
				}
			},
		})
	})
}

// TestCloneIsApart: a change of a copy is none of the original.
func TestCloneIsApart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := tree(3).Draw(t, "tree")
		before := string(n.AppendJSON(nil))
		c := n.Clone()
		c.Walk(func(m *fhir.Node) bool { m.Text += "x"; return true })
		if c.Kind == fhir.Array || c.Kind == fhir.Object {
			c.Append(fhir.NewString("more"))
		}
		if string(n.AppendJSON(nil)) != before {
			t.Fatal("the original changed")
		}
	})
	r := fhir.NewResource("Patient")
	c := r.Clone()
	c.Set("id", fhir.NewString("x"))
	if r.ID() != "" || c.ID() != "x" || c.Type() != "Patient" || (*fhir.Node)(nil).Clone() != nil {
		t.Error("the copy of a resource")
	}
}

func TestEqual(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{`{"a":1,"b":2}`, `{"b":2,"a":1}`, true},
		{`{"a":1}`, `{"a":1,"b":2}`, false},
		{`{"a":1,"b":2}`, `{"a":1,"c":2}`, false},
		{`{"a":1}`, `{"a":"1"}`, false},
		{`[1,2]`, `[2,1]`, false},
		{`[1,2]`, `[1,2,3]`, false},
		{`[1,2,3]`, `[1,2]`, false},
		{`1.0`, `1.00`, false},
		{`1e2`, `1E2`, false},
		{`"\u0041"`, `"A"`, true},
		{`[null]`, `[null]`, true},
		{`{}`, `[]`, false},
		{`null`, `false`, false},
		{`[{"a":[{"b":1}]}]`, `[{"a":[{"b":2}]}]`, false},
	} {
		a, b := parsed(t, c.a), parsed(t, c.b)
		if a.Equal(b) != c.want || b.Equal(a) != c.want {
			t.Errorf("%s and %s: want %v", c.a, c.b, c.want)
		}
	}
	var none *fhir.Node
	if !none.Equal(nil) || none.Equal(fhir.NewBool(true)) || fhir.NewBool(true).Equal(nil) {
		t.Error("nil equals nil alone")
	}
}

// TestEqualLarge compares objects that are too large to be searched member by member.
func TestEqualLarge(t *testing.T) {
	names := make([]string, 5000)
	for i := range names {
		names[i] = fmt.Sprintf("%q:%d", fmt.Sprint("m", i), i)
	}
	a := parsed(t, "{"+strings.Join(names, ",")+"}")
	slices.Reverse(names)
	b := parsed(t, "{"+strings.Join(names, ",")+"}")
	if !a.Equal(b) || !b.Equal(a) {
		t.Error("order counts")
	}
	b.Get("m77").Text = "0"
	if a.Equal(b) || b.Equal(a) {
		t.Error("a member differs")
	}
	b.Get("m77").Text = "77"
	b.Get("m99").Name = "other"
	if a.Equal(b) || b.Equal(a) {
		t.Error("a name differs")
	}
}

func TestWays(t *testing.T) {
	n := parsed(t, `{"name":[{"family":"A","given":["B","C"]},{"family":"D"}],"active":true,"n":1}`)
	for _, c := range []struct {
		path []string
		want string
	}{
		{[]string{"name", "family"}, `"A"`}, {[]string{"name", "given"}, `["B","C"]`}, {[]string{"active"}, "true"}, {nil, string(n.AppendJSON(nil))},
	} {
		if got := string(n.Path(c.path...).AppendJSON(nil)); got != c.want {
			t.Errorf("%v: %s, want %s", c.path, got, c.want)
		}
	}
	if n.Path("name", "nothing", "more") != nil || n.Path("active", "x") != nil || n.Str("n") != "" || n.Str("nothing") != "" {
		t.Error("something where nothing is")
	}
	var none *fhir.Node
	if none.First() != nil || none.Get("x") != nil || none.Len() != 0 || none.At(0) != nil || none.Items() != nil || none.Path("x") != nil || none.Str("x") != "" {
		t.Error("nil has something")
	}
	none.Walk(func(*fhir.Node) bool { t.Error("nil is walked"); return true })
	var seen []string
	n.Walk(func(m *fhir.Node) bool {
		seen = append(seen, m.Name+m.Text)
		return m.Name != "name"
	})
	if got := strings.Join(seen, " "); got != " name activetrue n1" {
		t.Errorf("walked %q", got)
	}
	if fhir.NewBool(false).Text != "false" || fhir.NewArray(fhir.NewString("x")).First().Name != "" {
		t.Error("constructors")
	}
}

func TestSplitReference(t *testing.T) {
	const base = "https://x.example/fhir/R4"
	for _, c := range []struct {
		ref, base, typ, id string
		ok                 bool
	}{
		{"Patient/1", "", "Patient", "1", true},
		{"Patient/a-b.C", "", "Patient", "a-b.C", true},
		{"Patient/1/_history/2", "", "Patient", "1", true},
		{base + "/Patient/1", base, "Patient", "1", true},
		{base + "/Patient/1", base + "/", "Patient", "1", true},
		{base + "/Patient/1/_history/x", base, "Patient", "1", true},
		{"Patient/1", base, "Patient", "1", true},
		{base + "/Patient/1", "", "", "", false},
		{base + "2/Patient/1", base, "", "", false},
		{"https://y.example/Patient/1", base, "", "", false},
		{"#a", base, "", "", false},
		{"", base, "", "", false},
		{"Patient", "", "", "", false},
		{"Patient/", "", "Patient", "", false},
		{"Patient/1/", "", "", "", false},
		{"Patient/1/x", "", "", "", false},
		{"Patient/1/_history/", "", "", "", false},
		{"Patient/1/_history/2/3", "", "", "", false},
		{"Patient/1|2", "", "Patient", "1|2", false},
		{"Patient?identifier=1", "", "", "", false},
		{"patient/1", "", "", "", false},
		{"P4tient/1", "", "", "", false},
		{"/Patient/1", "", "", "", false},
		{"urn:uuid:0c1f", base, "", "", false},
		{"Patient/" + strings.Repeat("a", 64), "", "Patient", strings.Repeat("a", 64), true},
		{"Patient/" + strings.Repeat("a", 65), "", "Patient", strings.Repeat("a", 65), false},
	} {
		typ, id, ok := fhir.SplitReference(c.ref, c.base)
		if ok != c.ok || ok && (typ != c.typ || id != c.id) {
			t.Errorf("%q at %q: %q %q %v", c.ref, c.base, typ, id, ok)
		}
	}
}

func TestValidID(t *testing.T) {
	for _, s := range []string{"a", "1", "-", ".", "A.b-9", strings.Repeat("x", 64)} {
		if !fhir.ValidID(s) {
			t.Errorf("%q is refused", s)
		}
	}
	for _, s := range []string{"", strings.Repeat("x", 65), "a b", "a_b", "a/b", "é", "a\n", "a\x00", "ａ"} {
		if fhir.ValidID(s) {
			t.Errorf("%q is taken", s)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		if id := rapid.StringMatching(`[A-Za-z0-9\-.]{1,64}`).Draw(t, "id"); !fhir.ValidID(id) {
			t.Fatalf("%q is refused", id)
		}
	})
}
