package fhir_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"

	"github.com/nilecare/nilecare/internal/fhir"
)

// FuzzParse: what is taken is JSON, has the value that another reader gives it, and is written so that it reads the same.
func FuzzParse(f *testing.F) {
	for _, s := range []string{`{"resourceType":"Patient","id":"a","x":[1.0,null,true,"\ud83d\ude00\u00e9\n"]}`, `{"a":{},"b":[],"c":null}`, `-1.50e+7`,
		`"\u2028\\\"/"`, `{"a":1,"a":2}`, "\xef\xbb\xbf1", `[[[[1]]]]`, `"\ud83d"`, "\"\xff\"", ` { "a" : 1 } `, `1e999`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) > 1<<16 {
			return
		}
		given := bytes.Clone(in)
		strict, errStrict := fhir.Parse(in)
		loose, errLoose := fhir.ParseAny(in)
		if !bytes.Equal(in, given) {
			t.Fatal("the input was changed")
		}
		if errLoose != nil {
			if errStrict == nil {
				t.Fatalf("%q: Parse takes what ParseAny does not: %v", in, errLoose)
			}
			return
		}
		if errStrict == nil && !strict.Equal(loose) {
			t.Fatalf("%q: two readings", in)
		}
		if !json.Valid(in) {
			t.Fatalf("%q is no JSON", in)
		}
		value := decode(t, in)
		if got := plain(loose); !reflect.DeepEqual(got, value) {
			t.Fatalf("%q: %v, want %v", in, got, value)
		}
		for _, out := range [][]byte{loose.AppendJSON(nil), loose.AppendIndented(nil)} {
			again, err := fhir.ParseAny(out)
			if err != nil || !again.Equal(loose) {
				t.Fatalf("%q was written as %q: %v", in, out, err)
			}
			if got := decode(t, out); !reflect.DeepEqual(got, value) {
				t.Fatalf("%q was written as %q", in, out)
			}
		}
		if !loose.Clone().Equal(loose) {
			t.Fatalf("%q: the copy differs", in)
		}
	})
}

// decode reads by the standard library, numbers by their digits.
func decode(t testing.TB, in []byte) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(in))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%q: %v", in, err)
	}
	return v
}

// plain returns the tree as the standard library decodes it.
func plain(n *fhir.Node) any {
	switch n.Kind {
	case fhir.Bool:
		return n.Text == "true"
	case fhir.Number:
		return json.Number(n.Text)
	case fhir.String:
		return n.Text
	case fhir.Array:
		out := []any{}
		for c := n.First(); c != nil; c = c.Next() {
			out = append(out, plain(c))
		}
		return out
	case fhir.Object:
		out := map[string]any{}
		for c := n.First(); c != nil; c = c.Next() {
			out[c.Name] = plain(c)
		}
		return out
	}
	return nil
}
