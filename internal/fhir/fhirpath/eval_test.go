package fhirpath

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
)

const sample = `{"resourceType":"Patient","id":"p1",
"contained":[{"resourceType":"Organization","id":"o1","name":"Ward"}],
"active":true,
"name":[{"use":"official","family":"Chalmers","given":["Peter",null,"James"],"_given":[null,{"extension":[{"url":"http://x/nullFlavor","valueCode":"MSK"}]}]},{"use":"usual","given":["Jim"]}],
"telecom":[{"system":"phone","value":"1"},{"system":"email","value":"p@example.org"}],
"birthDate":"1974-12","_birthDate":{"extension":[{"url":"http://x/time","valueDateTime":"1974-12-25T14:35:45-05:00"}]},
"_gender":{"extension":[{"url":"http://x/why","valueString":"asked"}]},
"multipleBirthInteger":2,
"generalPractitioner":[{"reference":"Practitioner/7"},{"reference":"http://example.org/fhir/Organization/8/_history/2"},{"reference":"#o1"},
{"reference":"urn:uuid:0d1b0b6c-0000-4000-8000-000000000000","type":"PractitionerRole"},{"type":"Organization","identifier":{"value":"x"}}],
"managingOrganization":{"reference":"Organization?identifier=a"}}`

// results evaluates and writes each result's type and text.
func results(t *testing.T, ctx Context, expr string) string {
	t.Helper()
	e, err := Compile(expr)
	if err != nil {
		return "syntax"
	}
	c, err := e.Eval(ctx)
	if err != nil {
		return "error " + fault.KindOf(err).String()
	}
	var out []string
	for _, i := range c {
		s := i.String()
		if i.Unfetched() {
			s = "unfetched"
		}
		out = append(out, i.TypeName()+":"+s)
	}
	return strings.Join(out, " ")
}

func TestEval(t *testing.T) {
	r, err := fhir.ParseResource([]byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	ctx := Context{Resource: r, Now: time.Date(2026, 11, 22, 6, 7, 8, 9_000_000, time.FixedZone("", -5*3600)),
		Env: map[string]Collection{"who": {SystemItem(String("me"))}}}
	for _, c := range []struct{ expr, want string }{
		// navigation
		{"Patient.name.given", "string:Peter string: string:James string:Jim"},
		{"Patient.name.given.where(hasValue())", "string:Peter string:James string:Jim"},
		{"name.given.extension('http://x/nullFlavor').value", "code:MSK"},
		{"Resource.id", "id:p1"},
		{"DomainResource.active", "boolean:true"},
		{"Observation.id", ""},
		{"birthDate", "date:1974-12"},
		{"birthDate.extension.value", "dateTime:1974-12-25T14:35:45-05:00"},
		{"gender.exists()", "boolean:true"},
		{"gender.hasValue()", "boolean:false"},
		{"gender.extension.value", "string:asked"},
		{"gender = 'male'", "boolean:false"},
		{"multipleBirth", "integer:2"},
		{"multipleBirth + 1", "integer:3"},
		{"multipleBirth is integer", "boolean:true"},
		{"multipleBirth.ofType(boolean)", ""},
		{"multipleBirthInteger", ""},
		{"contained.name", "string:Ward"},
		{"contained.type().name", "string:Organization"},
		{"`name`[1].`given`", "string:Jim"},
		{"name[5]", ""},
		{"name[-1]", ""},
		{"name[{}]", ""},
		{"name['a']", "error unprocessable"},
		{"children().count() = descendants().count()", "boolean:false"},
		{"telecom.where(system = 'phone').value", "string:1"},
		{"telecom.where(system = 'phone' or system = 'email').value.last()", "string:p@example.org"},
		{"telecom.select(system & ':' & value)", "string:phone:1 string:email:p@example.org"},
		{"name.where($index = 1).given", "string:Jim"},
		{"name.select($this.given.count())", "integer:3 integer:1"},
		{"%resource.id = %context.id and %rootResource.id = 'p1'", "boolean:true"},
		{"%who", "string:me"},
		{"%unknown", "error unprocessable"},
		{"%vs-administrative-gender", "string:http://hl7.org/fhir/ValueSet/administrative-gender"},
		{"%`ext-patient-birthTime`", "string:http://hl7.org/fhir/StructureDefinition/patient-birthTime"},
		{"%'ext-x'", "string:http://hl7.org/fhir/StructureDefinition/x"},
		{"name.type().name.first()", "string:HumanName"},
		{"contact.type()", ""},
		// references
		{"generalPractitioner.resolve()", "Practitioner:unfetched Organization:unfetched Organization: PractitionerRole:unfetched Organization:unfetched"},
		{"generalPractitioner.where(resolve() is Organization).reference", "string:http://example.org/fhir/Organization/8/_history/2 string:#o1"},
		{"generalPractitioner.resolve().name", "string:Ward"},
		{"managingOrganization.resolve() is Organization", "boolean:true"},
		{"managingOrganization.resolve().name", ""},
		{"'#o1'.resolve().name", "string:Ward"},
		// logic
		{"true and {}", ""}, {"false and {}", "boolean:false"}, {"{} or true", "boolean:true"}, {"true xor true", "boolean:false"},
		{"{} implies true", "boolean:true"}, {"(1 | 2) and true", "error unprocessable"}, {"name and true", "error unprocessable"},
		{"name.first() and true", "boolean:true"},
		// numbers
		{"2147483647 + 1", ""}, {"-2147483648", "integer:-2147483648"}, {"2147483648", "syntax"}, {"2147483648.0", "decimal:2147483648.0"},
		{"1.10 + 1.1", "decimal:2.20"}, {"1/3", "decimal:0.3333333333333333333333333333"}, {"7 div 2", "integer:3"}, {"-7 mod 2", "integer:-1"},
		{"-7.5 div 2", "integer:-3"}, {"2.power(10)", "integer:1024"}, {"2.power(-1)", "decimal:0.5"}, {"2.power(31)", ""}, {"0.power(-1)", ""},
		{"2.sqrt()", "decimal:1.4142135623730950488016887242"}, {"1.5.round()", "decimal:2"}, {"(-1.5).round()", "decimal:-2"}, {"3.14159.round(9)", "decimal:3.14159"},
		{"100.log(10)", "decimal:2"}, {"0.ln()", ""}, {"1.exp()", "decimal:2.71828182845905"}, {"'a'.abs()", "error unprocessable"},
		{"1.0 = 1", "boolean:true"}, {"1 ~ 1.0", "boolean:true"}, {"1.05 ~ 1.1", "boolean:true"}, {"'1' = 1", "boolean:false"}, {"'1' < 1", "error unprocessable"},
		{"true < false", "error unprocessable"},
		{"(1 | 2 | 3).aggregate($total + $this, 0)", "integer:6"},
		// strings
		{"'abc'.substring(1)", "string:bc"}, {"'äöü'.substring(1, 1)", "string:ö"}, {"'äöü'.length()", "integer:3"}, {"'äöü'.indexOf('ü')", "integer:2"},
		{"'abcabc'.lastIndexOf('b')", "integer:4"}, {"'abc'.substring(-1)", ""}, {"'abc'.substring(0, 0)", "string:"}, {"'abc'.substring(3)", ""},
		{"'abc'.toChars()", "string:a string:b string:c"}, {"'a b'.replace('', '-')", "string:-a- -b-"}, {"'ABC'.matches('abc', 'i')", "boolean:true"},
		{"'x'.matches('(')", "syntax"}, {"'x'.matches('(' & '')", "syntax"}, {"'x'.matches(%who & '(')", "error unprocessable"},
		{"'11/30/1972'.replaceMatches('(\\\\d{2})/(\\\\d{2})/(\\\\d{4})', '$2-$1-$3')", "string:30-11-1972"},
		{"'a1b'.replaceMatches('(?P<n>[0-9])', '<${n}>')", "string:a<1>b"},
		{"('a' | 'b').join()", "string:ab"}, {"{}.join(',')", ""}, {"'zz'.decode('hex')", ""}, {"'a'.encode('rot13')", "error unprocessable"},
		{"'<a href=\"x\">'.escape('html').unescape('html')", "string:<a href=\"x\">"}, {"'a\\nb'.escape('json')", "string:a\\nb"},
		{"birthDate.startsWith('1974')", "boolean:true"}, {"5.startsWith('5')", "error unprocessable"},
		{"'a' + 'b'", "string:ab"}, {"'a' + {}", ""}, {"'a' & {}", "string:a"},
		// dates
		{"now()", "dateTime:2026-11-22T06:07:08.009-05:00"}, {"today()", "date:2026-11-22"}, {"timeOfDay()", "time:06:07:08.009"},
		{"@2020-02-29 + 1 year", "date:2021-02-28"}, {"@2020-01-31 + 1 month", "date:2020-02-29"}, {"@2020-03-31 - 1 month", "date:2020-02-29"},
		{"@2014 + 24 months", "date:2016"}, {"@2014 + 11 months", "date:2014"}, {"@2019-03-01 + 24 hours", "date:2019-03-02"}, {"@2019-03-01 + 23 hours", "date:2019-03-01"},
		{"@T23:30 + 1 hour", "time:00:30"}, {"@T10:00 + 1 day", "error unprocessable"}, {"@9999-12-31 + 1 day", ""},
		{"@2020-01-01T00:00:00Z - 1 second", "dateTime:2019-12-31T23:59:59Z"}, {"@2020-13-01", "syntax"}, {"@2021-02-29", "syntax"},
		{"@2018-03-01T10:00:00Z = @2018-03-01T12:00:00+02:00", "boolean:true"}, {"@2018 < @2019-01-01", "boolean:true"}, {"@2018 < @2018-06", ""},
		{"@2018-01-01T00:00:00 < @2018-01-05T00:00:00Z", "boolean:true"}, {"@2018-01-01T00:00:00 < @2018-01-01T10:00:00Z", ""},
		{"@2012-04-15.toString()", "string:2012-04-15"}, {"'2012-04-15T10:00'.toDate()", "date:2012-04-15"}, {"@2012-04-15.yearOf()", "integer:2012"},
		{"@2012.monthOf()", ""}, {"birthDate < today()", "boolean:true"}, {"@2012 ~ @2012-01", "boolean:false"},
		// quantities
		{"1 'kg' = 1000 'g'", "boolean:true"}, {"1 'kg' + 1 'g'", "Quantity:1001 'g'"}, {"1 year = 12 months", "boolean:true"}, {"1 year = 1 'a'", ""},
		{"1 year ~ 1 'a'", "boolean:true"}, {"1 'kg' = 1 'm'", ""}, {"1 'kg' < 1 'm'", ""}, {"37 'Cel' = 98.6 '[degF]'", "boolean:true"},
		{"2 'm' * 3 'm'", "Quantity:6 'm2'"}, {"2 'm' * 3", "Quantity:6 'm'"}, {"1 'mg/dL' = 10 'mg/L'", "boolean:true"}, {"3 'm' / 0 'm'", ""},
		{"-(1 'kg')", "Quantity:-1 'kg'"}, {"(1 'kg').toQuantity('g')", "Quantity:1000 'g'"}, {"'5 ''mg'''", "syntax"}, {"7 days = 1 week", "boolean:true"},
		{"(2.5 'kg').value", "decimal:2.5"}, {"1 'qqq' = 1 'qqq'", "boolean:true"},
		// collections
		{"(1 | 2 | 2 | 1.0)", "integer:1 integer:2"}, {"(1 | 2).intersect(2 | 3)", "integer:2"}, {"(1 | 2 | 3).exclude(2)", "integer:1 integer:3"},
		{"1 in {}", "boolean:false"}, {"{} in (1 | 2)", ""}, {"(1 | 2) contains 2", "boolean:true"}, {"(1 | 2) in (1 | 2)", "error unprocessable"},
		{"(1 | 2).single()", "error unprocessable"}, {"{}.single()", ""}, {"iif(true, 1)", "integer:1"}, {"iif(false, 1)", ""},
		{"{} ~ {}", "boolean:true"}, {"{} = {}", ""}, {"(1 | 2) ~ (2 | 1)", "boolean:true"}, {"(true | false).anyTrue()", "boolean:true"},
		{"{}.allTrue()", "boolean:true"}, {"{}.all(false)", "boolean:true"}, {"(3 | 1 | 2).sort()", "integer:1 integer:2 integer:3"},
		{"(1 | 'a').sort()", "error unprocessable"}, {"name.repeat(given)", "string:Peter string: string:James string:Jim"},
		{"name.repeat($this)", "HumanName: HumanName:"}, {"name.as(HumanName)", "error unprocessable"}, {"(name as HumanName).use", "code:official code:usual"},
		// types
		{"1 is System.Integer", "boolean:true"}, {"active is System.Boolean", "boolean:false"}, {"active is FHIR.boolean", "boolean:true"},
		{"id is string", "boolean:true"}, {"%resource is DomainResource", "boolean:true"}, {"name is HumanName", "error unprocessable"}, {"1 is Nonsense", "syntax"},
		{"conformsTo('http://hl7.org/fhir/StructureDefinition/Patient')", "boolean:true"}, {"code.memberOf('x')", "error unprocessable"},
		// conversions
		{"'1e3'.toDecimal()", ""}, {"'yes'.toBoolean()", "boolean:true"}, {"2.toBoolean()", ""}, {"'abc'.toInteger()", ""}, {"1.5.toInteger()", ""},
		{"true.toDecimal()", "decimal:1.0"}, {"'10:00'.toTime()", "time:10:00"}, {"(1 | 2).toString()", "error unprocessable"}, {"name.first().toString()", ""},
		{"'4 days'.toQuantity()", "Quantity:4 days"},
		// grammar
		{"", "syntax"}, {"1 +", "syntax"}, {"name.", "syntax"}, {"name(", "syntax"}, {"nope()", "syntax"}, {"first(1)", "syntax"}, {"where()", "syntax"},
		{"'open", "syntax"}, {"/* open", "syntax"}, {"$that", "syntax"}, {"1 2", "syntax"}, {"name[", "syntax"}, {"{1}", "syntax"}, {"a # b", "syntax"},
		{"name.given // comment", "string:Peter string: string:James string:Jim"}, {"name.given.first() = \"Peter\"", "boolean:true"},
	} {
		if got := results(t, ctx, c.expr); got != c.want {
			t.Errorf("%s\n\tgot  %s\n\twant %s", c.expr, got, c.want)
		}
	}
}

func TestSyntaxErrorTellsWhere(t *testing.T) {
	_, err := Compile("Patient.name.nope()")
	var s *SyntaxError
	if !errors.As(err, &s) || s.Offset != 13 || !strings.Contains(s.Reason, "nope") {
		t.Errorf("got %v", err)
	}
	if !fault.Is(err, fault.Invalid) {
		t.Errorf("the kind is %v", fault.KindOf(err))
	}
}

// TestHostileExpressionsEnd holds that what could take for ever, or all memory, is refused.
func TestHostileExpressionsEnd(t *testing.T) {
	ten := "(" + strings.Repeat("1|2|3|4|5|6|7|8|9|10|", 3) + "0)"
	for name, expr := range map[string]string{
		"products":      ten + strings.Repeat(".select("+ten+")", 12) + ".count()",
		"doubling text": "'" + strings.Repeat("a", 100) + "'" + strings.Repeat(".replace('a','aaaaaaaaaa')", 30),
		"doubling list": ten + strings.Repeat(".select($this.combine($this))", 40),
		"big powers":    "10.power(1000)" + strings.Repeat(".power(1000)", 10),
		"sums":          ten + ".aggregate($total & $total & $this.toString(), 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa')" + strings.Repeat(".select("+ten+")", 12),
	} {
		e, err := Compile(expr)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		start := time.Now()
		_, err = e.Eval(Context{MaxSteps: 2_000_000})
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%s took %v", name, took)
		}
		if name != "big powers" && !fault.Is(err, fault.TooCostly) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, expr := range map[string]string{
		"length": strings.Repeat(" ", MaxLength) + "1", "parentheses": strings.Repeat("(", 5000) + "1" + strings.Repeat(")", 5000),
		"signs": strings.Repeat("-", 5000) + "1", "arguments": strings.Repeat("iif(true,", 2000) + "1" + strings.Repeat(")", 2000),
	} {
		if _, err := Compile(expr); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := Compile("1" + strings.Repeat("+1", 5000)); err != nil {
		t.Error(err)
	}
}

func TestResolveFetches(t *testing.T) {
	org, _ := fhir.ParseResource([]byte(`{"resourceType":"Organization","id":"8","name":"Clinic"}`))
	pat, _ := fhir.ParseResource([]byte(`{"resourceType":"Patient","id":"1","managingOrganization":{"reference":"Organization/8"}}`))
	ctx := Context{Resource: pat, Resolve: func(ref string) *fhir.Resource {
		if ref == "Organization/8" {
			return org
		}
		return nil
	}}
	if got := results(t, ctx, "managingOrganization.resolve().name"); got != "string:Clinic" {
		t.Error(got)
	}
	bundle, _ := fhir.ParseResource([]byte(`{"resourceType":"Bundle","type":"collection","entry":[
		{"fullUrl":"urn:uuid:1","resource":{"resourceType":"Patient","id":"a","managingOrganization":{"reference":"urn:uuid:2"}}},
		{"fullUrl":"urn:uuid:2","resource":{"resourceType":"Organization","id":"b","name":"Inside"}}]}`))
	if got := results(t, Context{Resource: bundle}, "Bundle.entry.resource.ofType(Patient).managingOrganization.resolve().name"); got != "string:Inside" {
		t.Error(got)
	}
}

func TestTrace(t *testing.T) {
	got := ""
	ctx := Context{Trace: func(name string, items Collection) { got += name + "=" + items[0].String() + ";" }}
	results(t, ctx, "('a').trace('x').trace('y', $this & 'b')")
	if got != "x=a;y=ab;" {
		t.Error(got)
	}
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		expr, typ string
		ok        bool
	}{
		{"Patient.name.given.first()", "Patient", true},
		{"Patient.name.nope", "Patient", false},
		{"name.where(nope = 1)", "Patient", false},
		{"name.given.where($this = 'a')", "Patient", true},
		{"value.ofType(Quantity).unit", "Observation", true},
		{"value.ofType(Quantity).nope", "Observation", false},
		{"Observation.value.unit", "Observation", true},
		{"Bundle.entry.resource.name", "Bundle", true},
		{"anything.goes", "", true},
		{"contained.anything", "Patient", true},
		{"name.select(given | family).length()", "Patient", true},
		{"descendants().first()", "Patient", false},
		{"name.iif(given.exists(), given, nope)", "Patient", false},
		{"type().namespace", "Patient", true},
		{"1 +", "Patient", false},
	} {
		if err := Check(c.expr, c.typ); (err == nil) != c.ok {
			t.Errorf("%s on %s: %v", c.expr, c.typ, err)
		}
	}
}

func TestHTMLChecks(t *testing.T) {
	for div, want := range map[string]bool{
		`<div xmlns="http://www.w3.org/1999/xhtml">text</div>`:                 true,
		`<div xmlns="http://www.w3.org/1999/xhtml"><p>a&nbsp;b</p><br/></div>`: true,
		`<div xmlns="http://www.w3.org/1999/xhtml"><script>x</script></div>`:   false,
		`<div xmlns="http://www.w3.org/1999/xhtml"><p onclick="x">a</p></div>`: false,
		`<div xmlns="http://www.w3.org/1999/xhtml"> </div>`:                    false,
		`<div xmlns="http://www.w3.org/1999/xhtml"><p>a</div>`:                 false,
		`<div xmlns="http://www.w3.org/1999/xhtml">a</div><div>b</div>`:        false,
		`<p>a</p>`: false,
		`text`:     false,
		`<div xmlns="http://www.w3.org/1999/xhtml"><img src="x" alt="y"/></div>`: true,
	} {
		if validNarrative(div) != want {
			t.Errorf("%s: not %v", div, want)
		}
	}
}

func TestAppendResultJSON(t *testing.T) {
	r, _ := fhir.ParseResource([]byte(`{"resourceType":"Observation","status":"final","valueQuantity":{"value":1.50,"unit":"kg"},"_issued":{"id":"a"},
		"component":[{"valueInteger":3}]}`))
	for expr, want := range map[string]string{
		"status":                `{"type": "code", "value": "final"}`,
		"value":                 `{"type": "Quantity", "value": {"value":1.50,"unit":"kg"}}`,
		"value.value":           `{"type": "decimal", "value": 1.50}`,
		"issued":                `{"type": "instant", "value": null, "_value": {"id":"a"}}`,
		"component":             `{"type": "BackboneElement", "value": {"valueInteger":3}}`,
		"1.20":                  `{"type": "decimal", "value": 1.20}`,
		"'a\"b'":                `{"type": "string", "value": "a\"b"}`,
		"true":                  `{"type": "boolean", "value": true}`,
		"@2020-01":              `{"type": "date", "value": "2020-01"}`,
		"@2020-01-01T10":        `{"type": "dateTime", "value": "2020-01-01T10"}`,
		"@T10:30":               `{"type": "time", "value": "10:30"}`,
		"4 'mg'":                `{"type": "Quantity", "value": {"value": 4, "unit": "mg", "system": "http://unitsofmeasure.org", "code": "mg"}}`,
		"4 days":                `{"type": "Quantity", "value": {"value": 4, "unit": "day"}}`,
		"component.value":       `{"type": "integer", "value": 3}`,
		"1.type()":              `{"type": "ClassInfo", "value": {"namespace": "System", "name": "Integer"}}`,
		"'Patient/1'.resolve()": `{"type": "Patient", "value": null}`,
	} {
		c, err := MustCompile(expr).Eval(Context{Resource: r})
		if err != nil || len(c) != 1 {
			t.Fatal(expr, err, len(c))
		}
		if got := string(AppendResultJSON(nil, c[0])); got != want {
			t.Errorf("%s: got %s, want %s", expr, got, want)
		}
		if _, err := fhir.ParseAny([]byte(want)); err != nil {
			t.Error(err)
		}
	}
}
