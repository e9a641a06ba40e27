package scim

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestFilterForms: the examples of RFC 7644 section 3.4.2.2, and what directories send, are read; each in the one form that it is printed in.
func TestFilterForms(t *testing.T) {
	for in, want := range map[string]string{
		`userName eq "bjensen"`:                       `userName eq "bjensen"`,
		`userName Eq "john"`:                          `userName eq "john"`,
		`name.familyName co "O'Malley"`:               `name.familyName co "O'Malley"`,
		`title pr`:                                    `title pr`,
		`active eq true and title pr`:                 `active eq true and title pr`,
		`x eq 1.50 or x ne null`:                      `x eq 1.50 or x ne null`,
		`not(userType eq "Employee")`:                 `not (userType eq "Employee")`,
		`NOT (a pr) AND b pr`:                         `not (a pr) and b pr`,
		`a pr or b pr and c pr`:                       `a pr or b pr and c pr`,
		`(a pr or b pr) and c pr`:                     `(a pr or b pr) and c pr`,
		`a pr and (b pr and c pr)`:                    `a pr and (b pr and c pr)`,
		`(((a pr)))`:                                  `a pr`,
		`meta.lastModified gt "2011-05-13T04:42:34Z"`: `meta.lastModified gt "2011-05-13T04:42:34Z"`,
		`urn:ietf:params:scim:schemas:core:2.0:User:userName sw "J"`:                        `urn:ietf:params:scim:schemas:core:2.0:User:userName sw "J"`,
		`urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value eq "1"`:   `urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value eq "1"`,
		`userType eq "Employee" and (emails co "example.com" or emails.value co "e.org")`:   `userType eq "Employee" and (emails co "example.com" or emails.value co "e.org")`,
		`userType ne "Employee" and not (emails co "example.com" or emails.value co "e.o")`: `userType ne "Employee" and not (emails co "example.com" or emails.value co "e.o")`,
		`emails[type eq "work" and value co "@example.com"] or ims[type eq "xmpp"]`:         `emails[type eq "work" and value co "@example.com"] or ims[type eq "xmpp"]`,
		`userName eq "a\"b\\cé ] ) and"`:                                                    `userName eq "a\"b\\cé ] ) and"`,
	} {
		f, err := ParseFilter(in)
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if f.String() != want {
			t.Errorf("%s is printed %s, not %s", in, f, want)
		}
	}
}

// TestFilterRefused: what is no filter is refused, never read as something else.
func TestFilterRefused(t *testing.T) {
	for _, in := range []string{``, ` `, `a`, `a eq`, `a eq b`, `a eq "x`, `a eq 'x'`, `a xx "b"`, `a pr b pr`, `a pr and`, `and a pr`, `(a pr`, `a pr)`, `not a pr`, `a eq 01`,
		`a eq +1`, `a[b pr`, `a[]`, `a[b[c pr]]`, `a.b.c pr`, `1a pr`, `urn: pr`, `urn:x: pr`, `urn:ietf:params:scim:schemas:core:2.0:User eq "x"`, `a gt true`, `a co 1`, `a lt null`,
		`a eq {"b":1}`, `a eq ["b"]`, `a eq TRUEx`, "a eq \"\x00\"", "a eq \"\xff\"", strings.Repeat("(", 100) + "a pr" + strings.Repeat(")", 100), strings.Repeat("a pr or ", 2000) + "a pr",
		strings.Repeat("not (", 60) + "a pr" + strings.Repeat(")", 60)} {
		if f, err := ParseFilter(in); err == nil {
			t.Errorf("%.60q is read as %.60s", in, f)
		} else if e := failureOf(err); e.typ != "invalidFilter" || e.status != 400 {
			t.Errorf("%.60q: %+v", in, e)
		}
	}
}

// TestPaths: PATCH paths of RFC 7644 section 3.5.2, and what is none.
func TestPaths(t *testing.T) {
	for _, in := range []string{`members`, `name.familyName`, `addresses[type eq "work"]`, `members[value eq "2819c223"]`, `members[value eq "2819c223"].displayName`,
		`urn:ietf:params:scim:schemas:extension:enterprise:2.0:User`, `urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department`,
		`urn:ietf:params:scim:schemas:core:2.0:User:emails[type eq "work"].value`, `members.$ref`} {
		p, err := ParsePath(in)
		if err != nil || p.String() != in {
			t.Errorf("%s: %s %v", in, p, err)
		}
	}
	for _, in := range []string{``, `.`, `a.`, `a b`, `a[`, `a[b pr`, `a[b pr].`, `a[b pr]c`, `a.b[c pr].d`, `a[b[c pr]]`, `urn:`, `-a`,
		`urn:ietf:params:scim:schemas:core:2.0:User[a pr]`} {
		if p, err := ParsePath(in); err == nil {
			t.Errorf("%q is read as %s", in, p)
		}
	}
}

func drawPath(t *rapid.T) Path {
	p := Path{Attr: rapid.StringMatching(`[A-Za-z][A-Za-z0-9_-]{0,8}`).Draw(t, "attr")}
	if rapid.Bool().Draw(t, "sub?") {
		p.Sub = rapid.StringMatching(`[A-Za-z][A-Za-z0-9_-]{0,8}|\$ref`).Draw(t, "sub")
	}
	switch rapid.IntRange(0, 3).Draw(t, "uri?") {
	case 0:
		p.URI = rapid.SampledFrom([]string{userURN, groupURN, enterpriseURN, "urn:a:b", "URN:x:1.0"}).Draw(t, "uri")
		if known(p.URI + ":" + p.Attr) {
			p.URI = ""
		}
	}
	return p
}

func drawFilter(t *rapid.T, depth int, complex bool) Filter {
	most := 6
	if depth == 0 {
		most = 1
	}
	switch n := rapid.IntRange(0, most).Draw(t, "kind"); {
	case n == 0:
		return Present{drawPath(t)}
	case n == 1:
		c := Compare{Path: drawPath(t), Op: rapid.SampledFrom(operators).Draw(t, "op")}
		switch c.Op {
		case "eq", "ne":
			c.Value = rapid.SampledFrom([]any{true, false, nil, json.Number("-1.5e3"), json.Number("0"), "x"}).Draw(t, "value")
		default:
			c.Value = rapid.String().Draw(t, "text")
		}
		return c
	case n == 2:
		return Not{drawFilter(t, depth-1, complex)}
	case n == 3 || n == 6 && !complex:
		return And{drawFilter(t, depth-1, complex), drawFilter(t, depth-1, complex)}
	case n == 6:
		return Complex{drawPath(t), drawFilter(t, depth-1, false)}
	}
	return Or{drawFilter(t, depth-1, complex), drawFilter(t, depth-1, complex)}
}

// TestFilterLaw: parse(print(x)) = x, for filters and paths.
func TestFilterLaw(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawFilter(t, 4, true)
		if len(f.String()) > maxFilter {
			return
		}
		got, err := ParseFilter(f.String())
		if err != nil || !reflect.DeepEqual(got, f) {
			t.Fatalf("%s is read as %v: %v", f, got, err)
		}
		target := Target{Path: drawPath(t)}
		if rapid.Bool().Draw(t, "filter?") {
			target.Filter = drawFilter(t, 2, false)
			if target.Path.Sub == "" && rapid.Bool().Draw(t, "behind?") {
				target.Sub = "value"
			}
		}
		if len(target.String()) > maxFilter {
			return
		}
		back, err := ParsePath(target.String())
		if err != nil || !reflect.DeepEqual(back, target) {
			t.Fatalf("%s is read as %v: %v", target, back, err)
		}
	})
}

// FuzzFilter: the parser ends, and what it reads is printed in a form that it reads as the same.
func FuzzFilter(f *testing.F) {
	for _, s := range []string{`a eq "b"`, `a[b pr and c ne 1]`, `not (a pr) or urn:x:y.z eq null`, `a eq "\u00e9"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		x, err := ParseFilter(s)
		if err != nil {
			return
		}
		if len(x.String()) > maxFilter {
			return
		}
		y, err := ParseFilter(x.String())
		if err != nil || !reflect.DeepEqual(x, y) {
			t.Fatalf("%q is printed %q and read as %v: %v", s, x, y, err)
		}
	})
}

// FuzzPath is FuzzFilter for paths.
func FuzzPath(f *testing.F) {
	for _, s := range []string{`a`, `a.b`, `a[b eq "c"].d`, userURN, enterpriseURN + ":manager.value"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		x, err := ParsePath(s)
		if err != nil || len(x.String()) > maxFilter {
			return
		}
		y, err := ParsePath(x.String())
		if err != nil || !reflect.DeepEqual(x, y) {
			t.Fatalf("%q is printed %q and read as %v: %v", s, x, y, err)
		}
	})
}

const amna = `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"id":"7","externalId":"E-1","userName":"amna@example.org","active":true,
	"name":{"givenName":"Amna","familyName":"Idris"},"title":"","emails":[{"value":"amna@example.org","type":"work","primary":true},{"value":"a@home.example","type":"home"}],
	"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"department":"Ward 3","manager":{"value":"26"}},
	"meta":{"created":"2026-01-01T00:00:00.5Z","version":"W/\"a\""}}`

// TestFilterMeaning: what filters hold for.
func TestFilterMeaning(t *testing.T) {
	var r object
	if err := decode([]byte(amna), &r); err != nil {
		t.Fatal(err)
	}
	k := userKind()
	for filter, want := range map[string]bool{
		`userName eq "AMNA@example.org"`: true, `userName eq "amna"`: false, `userName sw "amna@"`: true, `userName ew ".ORG"`: true, `userName co "zz"`: false,
		`USERNAME ne "x"`: true, `userName gt "a"`: true, `userName le "amna@example.org"`: true, `userName lt "amna@example.org"`: false,
		`externalId eq "e-1"`: false, `externalId eq "E-1"`: true, `id eq "7"`: true, `active eq true`: true, `active eq "True"`: true, `active ne true`: false,
		`title pr`: false, `title eq null`: true, `name pr`: true, `name.givenName eq "amna"`: true, `name.middleName pr`: false, `name.middleName ne "x"`: true,
		`emails eq "a@home.example"`: true, `emails.value co "home"`: true, `emails.type eq "work"`: true, `emails ne "a@home.example"`: false,
		`emails[type eq "home" and value co "home"]`: true, `emails[type eq "work" and value co "home"]`: false, `emails[primary eq true]`: true,
		`emails[not (primary eq true)]`: true, `not (emails[type eq "other"])`: true, `password pr`: false, `unknown pr`: false, `unknown eq "x"`: false, `unknown ne "x"`: true,
		`meta.created gt "2026-01-01T00:00:00Z"`: true, `meta.created lt "2025-12-31T23:59:59-05:00"`: true, `meta.created eq "2026-01-01T02:00:00.500+02:00"`: true,
		enterpriseURN + `:department eq "ward 3"`: true, enterpriseURN + `:manager.value eq "26"`: true, userURN + `:userName sw "a"`: true, `department pr`: false,
		`urn:other:x:userName pr`: false, `title pr or active eq true and userName sw "b"`: false, `(title pr or active eq true) and userName sw "a"`: true,
	} {
		f, err := ParseFilter(filter)
		if err != nil {
			t.Errorf("%s: %v", filter, err)
			continue
		}
		got, err := k.matches(f, r)
		if err != nil || got != want {
			t.Errorf("%s is %v (%v)", filter, got, err)
		}
	}
	f, err := ParseFilter(`active gt "x"`)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.matches(f, r); failureOf(err).typ != "invalidFilter" {
		t.Errorf("%v", err)
	}
}

// TestPatchMeaning: operations of RFC 7644 section 3.5.2, and as directories send them. The wanted value stands at the path.
func TestPatchMeaning(t *testing.T) {
	k := userKind()
	for _, c := range []struct{ ops, at, want string }{
		{`[{"op":"Replace","path":"active","value":"False"}]`, "active", `"False"`},
		{`[{"op":"replace","value":{"active":false,"name.givenName":"A","` + enterpriseURN + `:department":"D","` + enterpriseURN + `":{"division":"V"}}}]`, enterpriseURN,
			`{"department":"D","division":"V","manager":{"value":"26"}}`},
		{`[{"op":"replace","value":{"name.givenName":"A"}}]`, "name", `{"familyName":"Idris","givenName":"A"}`},
		{`[{"op":"add","path":"emails","value":[{"value":"n@x.example","type":"other","primary":true}]}]`, "emails",
			`[{"primary":false,"type":"work","value":"amna@example.org"},{"type":"home","value":"a@home.example"},{"primary":true,"type":"other","value":"n@x.example"}]`},
		{`[{"op":"add","path":"emails","value":[{"value":"a@home.example","type":"home"}]}]`, "emails",
			`[{"primary":true,"type":"work","value":"amna@example.org"},{"type":"home","value":"a@home.example"}]`},
		{`[{"op":"replace","path":"emails[type eq \"work\"].value","value":"n@x.example"}]`, "emails",
			`[{"primary":true,"type":"work","value":"n@x.example"},{"type":"home","value":"a@home.example"}]`},
		{`[{"op":"Add","path":"phoneNumbers[type eq \"mobile\"].value","value":"+1"}]`, "phoneNumbers", `[{"type":"mobile","value":"+1"}]`},
		{`[{"op":"remove","path":"emails[type eq \"home\"]"}]`, "emails", `[{"primary":true,"type":"work","value":"amna@example.org"}]`},
		{`[{"op":"remove","path":"emails","value":[{"value":"a@home.example"}]}]`, "emails", `[{"primary":true,"type":"work","value":"amna@example.org"}]`},
		{`[{"op":"remove","path":"emails"}]`, "emails", `null`},
		{`[{"op":"replace","path":"` + enterpriseURN + `:manager","value":"99"}]`, enterpriseURN, `{"department":"Ward 3","manager":{"value":"99"}}`},
		{`[{"op":"replace","path":"` + enterpriseURN + `","value":{"costCenter":"1"}}]`, enterpriseURN, `{"costCenter":"1","department":"Ward 3","manager":{"value":"26"}}`},
		{`[{"op":"remove","path":"` + enterpriseURN + `"}]`, enterpriseURN, `null`},
		{`[{"op":"add","value":{"id":"9","schemas":["x"],"meta":{},"groups":[],"displayName":"D"}}]`, "id", `"7"`},
		{`[{"op":"add","path":"title","value":[{"value":"Dr"}]}]`, "title", `"Dr"`},
	} {
		var r object
		if err := decode([]byte(amna), &r); err != nil {
			t.Fatal(err)
		}
		before, _ := json.Marshal(r)
		var ops []any
		if err := decode([]byte(c.ops), &ops); err != nil {
			t.Fatal(err)
		}
		parsed, err := operationsOf(object{"Operations": ops})
		if err != nil {
			t.Fatal(err)
		}
		to, err := k.patch(r, parsed)
		if err != nil {
			t.Errorf("%s: %v", c.ops, err)
			continue
		}
		got, _ := json.Marshal(get(to, c.at))
		if string(got) != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.ops, got, c.want)
		}
		if after, _ := json.Marshal(r); string(after) != string(before) {
			t.Errorf("%s changed what it was applied to", c.ops)
		}
	}
	for ops, want := range map[string]string{
		`[]`:                             "invalidValue",
		`[{"op":"move","path":"title"}]`: "invalidSyntax",
		`[{"op":"remove"}]`:              "noTarget",
		`[{"op":"add","value":"x"}]`:     "invalidValue",
		`[{"op":"replace","path":"id","value":"9"}]`:                          "mutability",
		`[{"op":"add","path":"groups","value":["admin"]}]`:                    "mutability",
		`[{"op":"add","path":"meta.version","value":"1"}]`:                    "mutability",
		`[{"op":"replace","path":"nothing","value":"1"}]`:                     "invalidPath",
		`[{"op":"replace","path":"a b","value":"1"}]`:                         "invalidPath",
		`[{"op":"replace","path":"emails[type eq \"x\"].value","value":"1"}]`: "noTarget",
		`[{"op":"replace","path":"name[givenName pr].x","value":"1"}]`:        "invalidPath",
		`[{"op":"remove","path":"userName"}]`:                                 "mutability",
	} {
		var r object
		_ = decode([]byte(amna), &r)
		var list []any
		_ = decode([]byte(ops), &list)
		parsed, err := operationsOf(object{"Operations": list})
		if err == nil {
			_, err = k.patch(r, parsed)
		}
		if err == nil || failureOf(err).typ != want {
			t.Errorf("%s: %v, not %s", ops, err, want)
		}
	}
}
