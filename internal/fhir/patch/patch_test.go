package patch

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
)

func TestJSON(t *testing.T) {
	for _, c := range []struct{ name, doc, patch, want string }{
		{"append", `{"a":[1]}`, `[{"op":"add","path":"/a/-","value":2}]`, `{"a":[1,2]}`},
		{"at the end", `{"a":[1]}`, `[{"op":"add","path":"/a/1","value":2}]`, `{"a":[1,2]}`},
		{"past the end", `{"a":[1]}`, `[{"op":"add","path":"/a/2","value":2}]`, `unprocessable operation 0 (/a/2)`},
		{"leading zero", `{"a":[1,2]}`, `[{"op":"remove","path":"/a/01"}]`, `unprocessable operation 0 (/a/01)`},
		{"replace a member in its place", `{"a":1,"b":2}`, `[{"op":"replace","path":"/a","value":{"x":null}}]`, `{"a":{"x":null},"b":2}`},
		{"add over a member", `{"a":1,"b":2}`, `[{"op":"add","path":"/a","value":3}]`, `{"a":3,"b":2}`},
		{"replace what is not there", `{"a":1}`, `[{"op":"replace","path":"/b","value":1}]`, `unprocessable operation 0 (/b)`},
		{"replace all", `{"a":1}`, `[{"op":"replace","path":"","value":[1]}]`, `[1]`},
		{"numbers by value", `{"a":1.0}`, `[{"op":"test","path":"/a","value":1e0}]`, `{"a":1.0}`},
		{"objects in any order", `{"a":{"x":1,"y":[1,2]}}`, `[{"op":"test","path":"/a","value":{"y":[1,2],"x":1}}]`, `{"a":{"x":1,"y":[1,2]}}`},
		{"arrays in order", `{"a":[1,2]}`, `[{"op":"test","path":"/a","value":[2,1]}]`, `unprocessable operation 0 (/a)`},
		{"second fails", `{"a":1}`, `[{"op":"remove","path":"/a"},{"op":"remove","path":"/a"}]`, `unprocessable operation 1 (/a)`},
		{"copy", `{"a":{"x":1}}`, `[{"op":"copy","from":"/a","path":"/b"},{"op":"replace","path":"/b/x","value":2}]`, `{"a":{"x":1},"b":{"x":2}}`},
		{"move into itself", `{"a":{"x":1}}`, `[{"op":"move","from":"/a","path":"/a/x"}]`, `unprocessable operation 0 (/a/x)`},
		{"move onto itself", `{"a":1}`, `[{"op":"move","from":"/a","path":"/a"}]`, `{"a":1}`},
		{"move in an array", `[1,2,3]`, `[{"op":"move","from":"/2","path":"/0"}]`, `[3,1,2]`},
		{"emptied containers go", `{"a":{"b":[1]},"c":1}`, `[{"op":"remove","path":"/a/b/0"}]`, `{"c":1}`},
		{"emptied and filled again", `{"a":[1]}`, `[{"op":"remove","path":"/a/0"},{"op":"add","path":"/a/-","value":2}]`, `{"a":[2]}`},
		{"escapes", `{"a/b":{"m~n":1}}`, `[{"op":"remove","path":"/a~1b/m~0n"},{"op":"add","path":"/x","value":1}]`, `{"x":1}`},
		{"bad escape", `{}`, `[{"op":"add","path":"/a~2","value":1}]`, `invalid operation 0`},
		{"no slash", `{}`, `[{"op":"add","path":"a","value":1}]`, `invalid operation 0`},
		{"unknown op", `{}`, `[{"op":"spam","path":"/a"}]`, `invalid operation 0`},
		{"no op", `{}`, `[{"path":"/a"}]`, `invalid operation 0`},
		{"no path", `{}`, `[{"op":"remove"}]`, `invalid operation 0`},
		{"no value", `{}`, `[{"op":"add","path":"/a"}]`, `invalid operation 0`},
		{"no from", `{}`, `[{"op":"copy","path":"/a"}]`, `invalid operation 0`},
		{"null is a value", `{"a":1}`, `[{"op":"add","path":"/b","value":null}]`, `{"a":1,"b":null}`},
		{"no array", `{}`, `{"op":"remove"}`, `invalid a JSON Patch is an array`},
		{"no JSON", `{}`, `[`, `invalid the JSON Patch is no JSON`},
		{"nothing", `{"a":1}`, `[]`, `{"a":1}`},
		{"resource type", `{"resourceType":"Patient","id":"1"}`, `[{"op":"replace","path":"/resourceType","value":"Group"}]`, `unprocessable a patch must not change resourceType`},
		{"id", `{"resourceType":"Patient","id":"1"}`, `[{"op":"remove","path":"/id"}]`, `unprocessable a patch must not change id`},
		{"another resource", `{"resourceType":"Patient","id":"1"}`, `[{"op":"add","path":"","value":{"resourceType":"Group","id":"1"}}]`, `unprocessable a patch must not change resourceType`},
		{"an empty object in a resource", `{"resourceType":"Patient"}`, `[{"op":"add","path":"/name","value":[{}]}]`, `unprocessable the patched resource has an empty`},
		{"a null member in a resource", `{"resourceType":"Patient"}`, `[{"op":"add","path":"/active","value":null}]`, `unprocessable the patched resource has a member "active" that is null`},
		{"digits stay", `{"resourceType":"Observation","valueDecimal":1.50}`, `[{"op":"add","path":"/status","value":"final"}]`, `{"resourceType":"Observation","valueDecimal":1.50,"status":"final"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			doc := parse(t, []byte(c.doc))
			got, err := JSON(doc, []byte(c.patch))
			compare(t, got, err, c.want)
			if string(doc.AppendJSON(nil)) != c.doc {
				t.Errorf("the input has become %s", doc.AppendJSON(nil))
			}
		})
	}
}

// compare takes a want that begins with a fault kind for the error that is wanted.
func compare(t *testing.T, got *fhir.Node, err error, want string) {
	t.Helper()
	if err != nil {
		if text := fault.KindOf(err).String() + " " + err.Error(); !strings.HasPrefix(text, want) {
			t.Errorf("got %s, want %s", text, want)
		}
		return
	}
	if text := string(got.AppendJSON(nil)); text != want {
		t.Errorf("got %s, want %s", text, want)
	}
}

func TestJSONCannotGrowWithoutEnd(t *testing.T) {
	ops := `{"op":"add","path":"/a","value":[1,2,3,4,5,6,7,8]}` + strings.Repeat(`,{"op":"copy","from":"/a","path":"/a/-"}`, 60)
	_, err := JSON(parse(t, []byte(`{"x":1}`)), []byte("["+ops+"]"))
	if !fault.Is(err, fault.TooCostly) {
		t.Error(err)
	}
	deep := `{"op":"add","path":"/a","value":{"v":1}}` + strings.Repeat(`,{"op":"move","from":"/a","path":"/b"},{"op":"add","path":"/a","value":{}},{"op":"move","from":"/b","path":"/a/a"}`, 200)
	_, err = JSON(parse(t, []byte(`{"resourceType":"Basic"}`)), []byte("["+deep+"]"))
	if !fault.Is(err, fault.Unprocessable) {
		t.Error(err)
	}
}

// op writes one operation of a FHIRPath Patch; the parts are JSON members of Parameters parts.
func op(parts ...string) string {
	var b strings.Builder
	b.WriteString(`{"name":"operation","part":[`)
	for i, p := range parts {
		if i > 0 {
			b.WriteByte(',')
		}
		name, rest, _ := strings.Cut(p, " ")
		b.WriteString(`{"name":"` + name + `",` + rest + `}`)
	}
	return b.String() + "]}"
}

func kind(k string) string { return `type "valueCode":"` + k + `"` }

func path(p string) string { return `path "valueString":"` + p + `"` }

func TestFHIRPath(t *testing.T) {
	const given = `{"resourceType":"Patient","id":"1","name":[{"given":["A",null,"C"],"_given":[null,{"id":"b"},{"id":"c"}]}]}`
	for _, c := range []struct{ name, doc, op, want string }{
		{"delete from aligned lists", given, op(kind("delete"), path("name.given[0]")),
			`{"resourceType":"Patient","id":"1","name":[{"given":[null,"C"],"_given":[{"id":"b"},{"id":"c"}]}]}`},
		{"delete an item without value", given, op(kind("delete"), path("name.given[1]")),
			`{"resourceType":"Patient","id":"1","name":[{"given":["A","C"],"_given":[null,{"id":"c"}]}]}`},
		{"insert into aligned lists", given, op(kind("insert"), path("name.given"), `index "valueInteger":1`, `value "valueString":"B"`),
			`{"resourceType":"Patient","id":"1","name":[{"given":["A","B",null,"C"],"_given":[null,null,{"id":"b"},{"id":"c"}]}]}`},
		{"insert at the end", given, op(kind("insert"), path("name.given"), `index "valueInteger":3`, `value "valueString":"D","_valueString":{"id":"d"}`),
			`{"resourceType":"Patient","id":"1","name":[{"given":["A",null,"C","D"],"_given":[null,{"id":"b"},{"id":"c"},{"id":"d"}]}]}`},
		{"insert past the end", given, op(kind("insert"), path("name.given"), `index "valueInteger":4`, `value "valueString":"D"`),
			`unprocessable operation 0 (name.given): the index`},
		{"move in aligned lists", given, op(kind("move"), path("name.given"), `source "valueInteger":2`, `destination "valueInteger":0`),
			`{"resourceType":"Patient","id":"1","name":[{"given":["C","A",null],"_given":[{"id":"c"},null,{"id":"b"}]}]}`},
		{"move past the end", given, op(kind("move"), path("name.given"), `source "valueInteger":3`, `destination "valueInteger":0`),
			`unprocessable operation 0 (name.given): source`},
		{"replace drops old extensions", given, op(kind("replace"), path("name.given[2]"), `value "valueString":"X"`),
			`{"resourceType":"Patient","id":"1","name":[{"given":["A",null,"X"],"_given":[null,{"id":"b"},null]}]}`},
		{"add an extension to a primitive", `{"resourceType":"Patient","birthDate":"2000"}`,
			op(kind("add"), path("birthDate"), `name "valueString":"extension"`, `value "part":[{"name":"url","valueUri":"http://x"},{"name":"value","valueCode":"y"}]`),
			`{"resourceType":"Patient","birthDate":"2000","_birthDate":{"extension":[{"url":"http://x","valueCode":"y"}]}}`},
		{"delete a primitive's only extension", `{"resourceType":"Patient","birthDate":"2000","_birthDate":{"extension":[{"url":"http://x","valueCode":"y"}]}}`,
			op(kind("delete"), path("birthDate.extension")), `{"resourceType":"Patient","birthDate":"2000"}`},
		{"delete an extension of a list's primitive", `{"resourceType":"Patient","name":[{"given":["A"],"_given":[{"extension":[{"url":"http://x","valueCode":"y"}]}]}]}`,
			op(kind("delete"), path("name.given.extension('http://x')")), `{"resourceType":"Patient","name":[{"given":["A"]}]}`},
		{"delete a primitive with its extensions", `{"resourceType":"Patient","active":true,"birthDate":"2000","_birthDate":{"id":"a"}}`,
			op(kind("delete"), path("birthDate")), `{"resourceType":"Patient","active":true}`},
		{"delete what is not there", `{"resourceType":"Patient"}`, op(kind("delete"), path("name[3].family")), `{"resourceType":"Patient"}`},
		{"delete several", given, op(kind("delete"), path("name.given")), `unprocessable operation 0 (name.given): the path leads to several`},
		{"delete the last of a list", `{"resourceType":"Patient","contact":[{"name":{"family":"x"}}],"active":true}`, op(kind("delete"), path("contact.name.family")),
			`{"resourceType":"Patient","active":true}`},
		{"add a choice", `{"resourceType":"Patient"}`, op(kind("add"), path("Patient"), `name "valueString":"deceased"`, `value "valueDateTime":"2001"`),
			`{"resourceType":"Patient","deceasedDateTime":"2001"}`},
		{"add a choice twice", `{"resourceType":"Patient","deceasedBoolean":true}`, op(kind("add"), path("Patient"), `name "valueString":"deceased"`, `value "valueDateTime":"2001"`),
			`unprocessable operation 0 (Patient): the element deceased is there`},
		{"add a choice of a wrong type", `{"resourceType":"Patient"}`, op(kind("add"), path("Patient"), `name "valueString":"deceased"`, `value "valueString":"x"`),
			`unprocessable operation 0 (Patient): the element deceased cannot be`},
		{"replace a choice by another type", `{"resourceType":"Patient","deceasedBoolean":true,"_deceasedBoolean":{"id":"x"},"active":true}`,
			op(kind("replace"), path("deceased"), `value "valueDateTime":"2001","_valueDateTime":{"id":"y"}`),
			`{"resourceType":"Patient","deceasedDateTime":"2001","active":true,"_deceasedDateTime":{"id":"y"}}`},
		{"replace what has no value", `{"resourceType":"Patient","_gender":{"id":"x"}}`, op(kind("replace"), path("gender"), `value "valueCode":"male"`),
			`{"resourceType":"Patient","gender":"male"}`},
		{"replace by extensions alone", `{"resourceType":"Patient","gender":"male"}`, op(kind("replace"), path("gender"), `value "_valueCode":{"id":"x"}`),
			`{"resourceType":"Patient","_gender":{"id":"x"}}`},
		{"replace nothing", `{"resourceType":"Patient"}`, op(kind("replace"), path("gender"), `value "valueCode":"male"`), `unprocessable operation 0 (gender): the path leads to no element`},
		{"replace the resource", `{"resourceType":"Patient","id":"1"}`, op(kind("replace"), path("Patient"), `value "resource":{"resourceType":"Patient","id":"2"}`),
			`unprocessable operation 0 (Patient): the path leads to the resource itself`},
		{"replace the id", `{"resourceType":"Patient","id":"1"}`, op(kind("replace"), path("Patient.id"), `value "valueId":"2"`), `unprocessable a patch must not change id`},
		{"add what is single twice", `{"resourceType":"Patient","gender":"male"}`, op(kind("add"), path("Patient"), `name "valueString":"gender"`, `value "valueCode":"female"`),
			`unprocessable operation 0 (Patient): the element gender is there`},
		{"add an unknown element", `{"resourceType":"Patient"}`, op(kind("add"), path("Patient"), `name "valueString":"nope"`, `value "valueCode":"female"`),
			`unprocessable operation 0 (Patient): "nope" is no element of Patient`},
		{"add a wrong type", `{"resourceType":"Patient"}`, op(kind("add"), path("Patient"), `name "valueString":"name"`, `value "valueQuantity":{"value":1}`),
			`unprocessable operation 0 (Patient): a value of type Quantity does not fit`},
		{"add a wrong primitive", `{"resourceType":"Patient"}`, op(kind("add"), path("Patient"), `name "valueString":"active"`, `value "valueString":"true"`),
			`unprocessable operation 0 (Patient): a value of type string does not fit`},
		{"add a contained resource", `{"resourceType":"Patient"}`, op(kind("add"), path("Patient"), `name "valueString":"contained"`, `value "resource":{"resourceType":"Group","id":"g"}`),
			`{"resourceType":"Patient","contained":[{"resourceType":"Group","id":"g"}]}`},
		{"parts within parts", `{"resourceType":"Observation"}`, op(kind("add"), path("Observation"), `name "valueString":"component"`,
			`value "part":[{"name":"code","valueCodeableConcept":{"text":"a"}},{"name":"value","valueInteger":1},{"name":"referenceRange","part":[{"name":"text","valueString":"x"}]},{"name":"referenceRange","part":[{"name":"text","valueString":"y"}]}]`),
			`{"resourceType":"Observation","component":[{"code":{"text":"a"},"valueInteger":1,"referenceRange":[{"text":"x"},{"text":"y"}]}]}`},
		{"a path to a value", `{"resourceType":"Patient","active":true}`, op(kind("delete"), path("active.not()")), `unprocessable operation 0 (active.not()): the path leads to a computed value`},
		{"a path that fails", given, op(kind("delete"), path("name.given.single()")), `unprocessable operation 0 (name.given.single()): FHIRPath: single()`},
		{"a path that cannot be read", given, op(kind("delete"), path("name..given")), `invalid operation 0 (name..given): FHIRPath at character 6`},
		{"what is quoted is not shown", given, op(kind("replace"), path("name.where(family='Secret')"), `value "valueHumanName":{"text":"x"}`),
			`unprocessable operation 0 (name.where(family='…')): the path leads to no element`},
		{"no type", given, op(path("name")), `invalid operation 0 (name): type is`},
		{"unknown type", given, op(kind("spam"), path("name")), `invalid operation 0 (name): type is`},
		{"no path", given, op(kind("delete")), `invalid operation 0: the part path`},
		{"no value", given, op(kind("replace"), path("name")), `invalid operation 0 (name): the part value`},
		{"unknown part", given, op(kind("delete"), path("name"), `spam "valueCode":"x"`), `invalid operation 0 (name): the parts are`},
		{"two values", given, op(kind("replace"), path("name"), `value "valueCode":"x","valueString":"y"`), `invalid operation 0 (name): a part's value`},
		{"a primitive that is an object", given, op(kind("replace"), path("name"), `value "valueCode":{"x":1}`), `invalid operation 0 (name): the value's JSON`},
		{"another parameter", given, `{"name":"spam"}`, `invalid operation 0: a parameter's name`},
	} {
		t.Run(c.name, func(t *testing.T) {
			doc, params := resource(t, c.doc), resource(t, `{"resourceType":"Parameters","parameter":[`+c.op+`]}`)
			before := string(params.AppendJSON(nil))
			got, err := FHIRPath(doc, params)
			var n *fhir.Node
			if got != nil {
				n = got.Node
			}
			compare(t, n, err, c.want)
			if string(doc.AppendJSON(nil)) != c.doc || string(params.AppendJSON(nil)) != before {
				t.Error("the input has changed")
			}
		})
	}
}

func resource(t testing.TB, text string) *fhir.Resource {
	t.Helper()
	r, err := fhir.ParseResource([]byte(text))
	if err != nil {
		t.Fatal(err, text)
	}
	return r
}

func TestFHIRPathNeedsParameters(t *testing.T) {
	for _, r := range []*fhir.Resource{nil, resource(t, `{"resourceType":"Patient"}`)} {
		if _, err := FHIRPath(resource(t, `{"resourceType":"Patient"}`), r); !fault.Is(err, fault.Invalid) {
			t.Error(err)
		}
	}
}

// TestAddThenDelete: what is added and deleted again leaves the document as it was, wherever it went.
func TestAddThenDelete(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 4).Draw(t, "names")
		names := make([]string, n)
		for i := range names {
			names[i] = `{"family":"` + rapid.StringMatching("[a-z]{1,5}").Draw(t, "family") + `"}`
		}
		text := `{"resourceType":"Patient","id":"1"`
		if n > 0 {
			text += `,"name":[` + strings.Join(names, ",") + "]"
		}
		doc, err := fhir.ParseResource([]byte(text + "}"))
		if err != nil {
			t.Fatal(err)
		}
		value := `value "valueHumanName":{"family":"NEW"}`
		add := op(kind("add"), path("Patient"), `name "valueString":"name"`, value)
		if n > 0 && rapid.Bool().Draw(t, "insert") {
			at := string(rune('0' + rapid.IntRange(0, n).Draw(t, "at")))
			add = op(kind("insert"), path("Patient.name"), `index "valueInteger":`+at, value)
		}
		params, err := fhir.ParseResource([]byte(`{"resourceType":"Parameters","parameter":[` + add + "," +
			op(kind("delete"), path("Patient.name.where(family = 'NEW')")) + `]}`))
		if err != nil {
			t.Fatal(err)
		}
		got, err := FHIRPath(doc, params)
		if err != nil || !got.Equal(doc.Node) {
			t.Fatalf("%v %s", err, got.AppendJSON(nil))
		}
	})
}

// FuzzJSON holds that no patch makes a panic, and that a resource stays one that can be written and read.
func FuzzJSON(f *testing.F) {
	f.Add(`{"resourceType":"Patient","id":"1","name":[{"given":["a"]}]}`, `[{"op":"add","path":"/name/0/given/-","value":"b"},{"op":"remove","path":"/name/0"}]`)
	f.Add(`{"a":[1,{"b":2}]}`, `[{"op":"move","from":"/a/1","path":"/a/0"},{"op":"copy","from":"/a","path":"/c"},{"op":"test","path":"/c/0/b","value":2.0}]`)
	f.Add(`[]`, `[{"op":"replace","path":"","value":{"~":1}},{"op":"test","path":"/~0","value":1}]`)
	f.Fuzz(func(t *testing.T, doc, patch string) {
		n, err := fhir.ParseAny([]byte(doc))
		if err != nil {
			return
		}
		before := string(n.AppendJSON(nil))
		got, err := JSON(n, []byte(patch))
		if string(n.AppendJSON(nil)) != before {
			t.Fatal("the input has changed")
		}
		if err != nil {
			if fault.Is(err, fault.Internal) {
				t.Fatal(err)
			}
			return
		}
		if n.Get("resourceType") == nil {
			return
		}
		if _, err := fhir.Parse(got.AppendJSON(nil)); err != nil {
			t.Fatalf("%s: %v", got.AppendJSON(nil), err)
		}
	})
}

// FuzzFHIRPath holds the same of FHIRPath Patch.
func FuzzFHIRPath(f *testing.F) {
	for _, o := range []string{
		op(kind("add"), path("Patient"), `name "valueString":"name"`, `value "valueHumanName":{"text":"x"}`),
		op(kind("insert"), path("name.given"), `index "valueInteger":1`, `value "valueString":"B","_valueString":{"id":"a"}`),
		op(kind("delete"), path("name[0].given[0]")), op(kind("replace"), path("deceased"), `value "valueBoolean":true`),
		op(kind("move"), path("name.given"), `source "valueInteger":1`, `destination "valueInteger":0`),
		op(kind("add"), path("Patient"), `name "valueString":"contact"`, `value "part":[{"name":"gender","valueCode":"male"}]`),
	} {
		f.Add(`{"resourceType":"Patient","id":"1","deceasedDateTime":"2001","name":[{"given":["A",null],"_given":[null,{"id":"b"}]}]}`,
			`{"resourceType":"Parameters","parameter":[`+o+`]}`)
	}
	f.Fuzz(func(t *testing.T, doc, params string) {
		r, err := fhir.ParseResource([]byte(doc))
		if err != nil {
			return
		}
		p, err := fhir.ParseResource([]byte(params))
		if err != nil {
			return
		}
		before := string(r.AppendJSON(nil))
		got, err := FHIRPath(r, p)
		if string(r.AppendJSON(nil)) != before {
			t.Fatal("the input has changed")
		}
		if err != nil {
			if fault.Is(err, fault.Internal) {
				t.Fatal(err)
			}
			return
		}
		if _, err := fhir.ParseResource(got.AppendJSON(nil)); err != nil {
			t.Fatalf("%s: %v", got.AppendJSON(nil), err)
		}
	})
}
