package fhir_test

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/nilecare/nilecare/internal/fhir"
)

func nested(depth int) string {
	return strings.Repeat(`{"a":[`, depth/2) + "1" + strings.Repeat("]}", depth/2)
}

func manyMembers(n int, name func(i int) string) string {
	var b strings.Builder
	b.WriteByte('{')
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`"` + name(i) + `":1`)
	}
	return b.String() + "}"
}

// TestParse demands that what stands in a text stands in the tree as it was written.
func TestParse(t *testing.T) {
	for name, c := range map[string]struct{ in, out string }{
		"digits stay":          {`{"a":[0,-0,1.00,-1.50e+07,1E-2,123456789012345678901234567890.0000000000000001]}`, ""},
		"order stays":          {`{"z":1,"a":2,"m":{"y":1,"b":2}}`, ""},
		"null in an array":     {`{"given":["A",null],"_given":[null,{"id":"x"}]}`, ""},
		"words":                {`[true,false]`, ""},
		"space":                {" \t\r\n{ \"a\" : [ 1 , 2 ] } \n", `{"a":[1,2]}`},
		"escapes":              {`"\"\\\/\b\f\n\r\t\u0041\u00e9\u20ac"`, `"\"\\/\u0008\u000c\n\r\tAé€"`},
		"a surrogate pair":     {`"\ud83d\uDE00"`, `"😀"`},
		"unicode as it is":     {`"日本語 العربية 😀 é"`, ""},
		"line separators":      {`"\u2028\u2029"`, ""},
		"DEL":                  {"\"\x7f\"", ""},
		"replacement is legal": {`"�"`, ""},
		"a lone scalar":        {`"x"`, ""},
		"a lone null":          {`null`, ""},
		"deep enough":          {nested(fhir.MaxDepth), ""},
		"many members":         {manyMembers(200, func(i int) string { return strings.Repeat("n", i+1) }), ""},
		"an empty name":        {`{"":1}`, ""},
		"names with escapes":   {`{"\u0061\n":1}`, `{"a\n":1}`},
	} {
		n, err := fhir.Parse([]byte(c.in))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if c.out == "" {
			c.out = c.in
		}
		if got := string(n.AppendJSON(nil)); got != c.out {
			t.Errorf("%s: %s, want %s", name, got, c.out)
		}
	}
}

// TestParseErrors demands an error that says where and why.
func TestParseErrors(t *testing.T) {
	long := manyMembers(30, func(i int) string { return string(rune('a' + i%29)) })
	for name, c := range map[string]struct {
		in     string
		offset int
		reason string
	}{
		"nothing":                    {"", 0, "unexpected end"},
		"space alone":                {"  ", 2, "unexpected end"},
		"a byte order mark":          {"\xef\xbb\xbf{}", 0, "a value was expected"},
		"two values":                 {`{"a":1} {"b":2}`, 8, "text after"},
		"an unknown word":            {`[tru]`, 1, "a value was expected"},
		"a word in capitals":         {`[True]`, 1, "a value was expected"},
		"NaN":                        {`[NaN]`, 1, "a value was expected"},
		"single quotes":              {`{'a':1}`, 1, "a member name"},
		"a comment":                  {`{/**/"a":1}`, 1, "a member name"},
		"no colon":                   {`{"a" 1}`, 5, "':'"},
		"a comma too many":           {`{"a":1,}`, 7, "a member name"},
		"a comma too many, array":    {`[1,]`, 3, "a value was expected"},
		"no comma":                   {`[1 2]`, 3, "','"},
		"no comma, object":           {`{"a":1 "b":2}`, 7, "','"},
		"cut in an object":           {`{"a":1`, 6, "unexpected end"},
		"cut in an array":            {`[1`, 2, "unexpected end"},
		"cut before a value":         {`{"a":`, 5, "unexpected end"},
		"cut in a string":            {`"abc`, 4, "without end"},
		"cut in an escape":           {`"abc\`, 4, "without end"},
		"cut after an escape":        {`"abc\n`, 6, "without end"},
		"an empty object":            {`{"a":{}}`, 6, "an empty object"},
		"an empty array":             {`{"a":[]}`, 6, "an empty array"},
		"a null member":              {`{"a":null}`, 5, `"a" is null`},
		"a leading zero":             {`[01]`, 3, "a bad number"},
		"a minus alone":              {`[-]`, 2, "a bad number"},
		"a plus":                     {`[+1]`, 1, "a value was expected"},
		"a point alone":              {`[.5]`, 1, "a value was expected"},
		"nothing behind the point":   {`[1.]`, 3, "a bad number"},
		"nothing behind e":           {`[1e]`, 3, "a bad number"},
		"nothing behind e+":          {`[1e+]`, 4, "a bad number"},
		"a control character":        {"\"a\nb\"", 2, "a control character"},
		"a control character, later": {"\"\\n\x01\"", 3, "a control character"},
		"an unknown escape":          {`"\x41"`, 2, "a bad escape"},
		"short hex":                  {`"\u12"`, 3, `a bad \u`},
		"bad hex":                    {`"\u12g4"`, 3, `a bad \u`},
		"half a pair":                {`"\ud83d"`, 7, "surrogate"},
		"half a pair and a letter":   {`"\ud83dx"`, 7, "surrogate"},
		"two high halves":            {`"\ud83d\ud83d"`, 13, "surrogate"},
		"a low half first":           {`"\ude00\ud83d"`, 13, "surrogate"},
		"U+0000":                     {`"\u0000"`, 7, "U+0000"},
		"bad UTF-8":                  {"\"a\xff\"", 1, "bad UTF-8"},
		"bad UTF-8, escapes":         {"\"\\n\xc3\"", 1, "bad UTF-8"},
		"an encoded surrogate":       {"\"\xed\xa0\x80\"", 1, "bad UTF-8"},
		"an overlong slash":          {"\"\xc0\xaf\"", 1, "bad UTF-8"},
		"a member twice":             {`{"a":1,"b":2,"a":3}`, 13, `"a" stands twice`},
		"a member twice, escaped":    {`{"a":1,"\u0061":3}`, 7, `"a" stands twice`},
		"a member twice of many":     {long, 29*6 + 1, `"a" stands twice`},
		"too deep":                   {nested(fhir.MaxDepth + 2), 6 * fhir.MaxDepth / 2, "nested deeper"},
		"too deep by arrays":         {strings.Repeat("[", 100_000), fhir.MaxDepth, "nested deeper"},
	} {
		_, err := fhir.Parse([]byte(c.in))
		var se *fhir.SyntaxError
		if !errors.As(err, &se) {
			t.Errorf("%s: no SyntaxError but %v", name, err)
			continue
		}
		if se.Offset != c.offset || !strings.Contains(se.Reason, c.reason) {
			t.Errorf("%s: at %d %q, want at %d %q", name, se.Offset, se.Reason, c.offset, c.reason)
		}
		if !strings.Contains(err.Error(), se.Reason) {
			t.Errorf("%s: %q does not tell the reason", name, err)
		}
	}
}

// TestParseErrorsAreShort demands that an error does not carry a hostile member name whole.
func TestParseErrorsAreShort(t *testing.T) {
	name := strings.Repeat("x", 1<<20)
	for _, in := range []string{`{"` + name + `":null}`, `{"` + name + `":1,"` + name + `":1}`} {
		if _, err := fhir.Parse([]byte(in)); err == nil || len(err.Error()) > 200 {
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
	}
}

// TestParseAny admits what JSON allows and FHIR does not, and still refuses what makes no sense.
func TestParseAny(t *testing.T) {
	for _, in := range []string{`{}`, `[]`, `{"a":{},"b":[],"c":null,"d":[null,[],{}]}`, `null`} {
		n, err := fhir.ParseAny([]byte(in))
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if got := string(n.AppendJSON(nil)); got != in {
			t.Errorf("%s became %s", in, got)
		}
		if _, err := fhir.Parse([]byte(in)); err == nil && in != "null" {
			t.Errorf("Parse takes %s", in)
		}
	}
	for _, in := range []string{`{"a":1,"a":2}`, `[1,]`, `{`, nested(fhir.MaxDepth + 2)} {
		if _, err := fhir.ParseAny([]byte(in)); err == nil {
			t.Errorf("ParseAny takes %.40s", in)
		}
	}
}

func TestParseResource(t *testing.T) {
	r, err := fhir.ParseResource([]byte(`{"resourceType":"Patient","id":"a"}`))
	if err != nil || r.Type() != "Patient" || r.ID() != "a" {
		t.Errorf("%v %v", r, err)
	}
	for _, in := range []string{`[1]`, `"Patient"`, `{"id":"a"}`, `{"resourceType":1}`, `{"resourceType":""}`, `{"resourceType":["Patient"]}`, `null`, ``} {
		if r, err := fhir.ParseResource([]byte(in)); err == nil {
			t.Errorf("%s is taken for a %s", in, r.Type())
		}
	}
}

// TestEveryCutIsRefused: no beginning of an object is an object, and none makes a panic.
func TestEveryCutIsRefused(t *testing.T) {
	in := []byte(`{"resourceType":"Patient","name":[{"given":["Zo\u00eb",null],"_given":[null,{"id":"\ud83d\ude00"}]}],"x":-1.50e+3,"b":true}`)
	if _, err := fhir.Parse(in); err != nil {
		t.Fatal(err)
	}
	for i := range in {
		if _, err := fhir.Parse(in[:i]); err == nil {
			t.Errorf("%s is taken", in[:i])
		}
	}
}

// TestRoundTrip: for every tree that may be written, reading what was written gives the tree, compact and indented.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := tree(4).Draw(t, "tree")
		for _, text := range [][]byte{n.AppendJSON(nil), n.AppendIndented(nil)} {
			m, err := fhir.Parse(text)
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			if !m.Equal(n) || !n.Equal(m) {
				t.Fatalf("%s became %s", n.AppendJSON(nil), m.AppendJSON(nil))
			}
			if string(m.AppendJSON(nil)) != string(n.AppendJSON(nil)) {
				t.Fatalf("order: %s became %s", n.AppendJSON(nil), m.AppendJSON(nil))
			}
		}
	})
}

// tree draws trees that FHIR's JSON allows, up to a depth.
func tree(depth int) *rapid.Generator[*fhir.Node] {
	scalar := rapid.OneOf(
		rapid.Custom(func(t *rapid.T) *fhir.Node { return fhir.NewString(text.Draw(t, "text")) }),
		rapid.Custom(func(t *rapid.T) *fhir.Node {
			return fhir.NewNumber(rapid.StringMatching(`-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?`).Draw(t, "digits"))
		}),
		rapid.Custom(func(t *rapid.T) *fhir.Node { return fhir.NewBool(rapid.Bool().Draw(t, "bool")) }),
	)
	if depth == 0 {
		return scalar
	}
	return rapid.Custom(func(t *rapid.T) *fhir.Node {
		switch rapid.IntRange(0, 3).Draw(t, "kind") {
		case 0:
			n := fhir.NewObject()
			for _, name := range rapid.SliceOfNDistinct(text, 1, 30, rapid.ID[string]).Draw(t, "names") {
				n.Set(name, tree(depth-1).Draw(t, "member"))
			}
			return n
		case 1:
			items := rapid.SliceOfN(rapid.OneOf(tree(depth-1), rapid.Just[*fhir.Node](nil)), 1, 6).Draw(t, "items")
			n := fhir.NewArray()
			for _, i := range items {
				if i == nil {
					i = &fhir.Node{Kind: fhir.Null}
				}
				n.Append(i)
			}
			return n
		}
		return scalar.Draw(t, "scalar")
	})
}

// text draws strings with what is special in JSON, but for U+0000, which FHIR has no use for.
var text = rapid.Custom(func(t *rapid.T) string {
	s := rapid.OneOf(rapid.String(), rapid.StringOf(rapid.RuneFrom([]rune{'"', '\\', '/', '\b', '\n', 0x1f, 0x7f, 0x2028, 0x2029, 0xfffd, 0xffff, 0x10ffff, '😀', 'a'}))).Draw(t, "s")
	return strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "")
})
