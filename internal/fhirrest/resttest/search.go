package resttest

import (
	"net/url"
	"strings"
	"testing"
)

func testSearch(t *testing.T, base string) {
	c := client{t, base}
	family := unique("Search")
	ids := map[string]bool{}
	var one string
	for range 5 {
		one = c.created("Patient", patient(family))
		ids[one] = true
	}
	t.Run("bundle", func(t *testing.T) {
		c := client{t, base}
		r := c.do("GET", "/Patient?family="+family, "").want(200)
		if r.str("type") != "searchset" || len(r.entries()) != 5 {
			t.Fatalf("searchset: %s", r.raw)
		}
		for _, e := range r.entries() {
			id := e.Get("resource").Str("id")
			if !ids[id] || e.Str("fullUrl") != base+"/Patient/"+id || e.Get("search").Str("mode") != "match" {
				t.Errorf("entry: %s", e.AppendJSON(nil))
			}
		}
		if self := r.link("self"); !strings.HasPrefix(self, base+"/Patient?") || !strings.Contains(self, "family="+family) {
			t.Errorf("self: %s", self)
		}
		if r := c.do("GET", "/Patient?family="+unique("nobody"), "").want(200); len(r.entries()) != 0 || r.at("entry") != nil {
			t.Errorf("nothing found: %s", r.raw)
		}
		c.do("HEAD", "/Patient?family="+family, "").want(200).wantNoBody()
	})
	t.Run("paging", func(t *testing.T) {
		c := client{t, base}
		seen := map[string]bool{}
		url := "/Patient?family=" + family + "&_count=2"
		for pages := 0; url != "" && pages < 9; pages++ {
			r := c.do("GET", url, "").want(200)
			if len(r.entries()) > 2 {
				t.Fatalf("a page of two: %d", len(r.entries()))
			}
			for _, e := range r.entries() {
				id := e.Get("resource").Str("id")
				if seen[id] {
					t.Errorf("%s twice", id)
				}
				seen[id] = true
			}
			if pages > 0 && r.link("first") == "" {
				t.Error("no first link")
			}
			url = r.link("next")
		}
		if len(seen) != 5 {
			t.Errorf("%d over the pages", len(seen))
		}
	})
	t.Run("post", func(t *testing.T) {
		c := client{t, base}
		const form = "application/x-www-form-urlencoded"
		r := c.do("POST", "/Patient/_search", "family="+family, "Content-Type", form).want(200)
		if len(r.entries()) != 5 {
			t.Errorf("POST _search: %s", r.raw)
		}
		r = c.do("POST", "/Patient/_search?family="+family, "_count=2", "Content-Type", form+"; charset=UTF-8").want(200)
		if len(r.entries()) != 2 || !strings.HasPrefix(r.link("next"), base+"/Patient?") {
			t.Errorf("POST _search with both: %s", r.raw)
		}
		c.do("POST", "/Patient/_search?family="+family, "").want(200)
		c.do("POST", "/_search", "_type=Patient&_id="+one, "Content-Type", form).want(200)
		c.do("POST", "/Patient/_search", "family=x", "Content-Type", "text/plain").want(415)
		c.do("POST", "/Patient/_search", "family=%zz", "Content-Type", form).want(400)
		c.do("POST", "/Patient/_search", "nonsense=1", "Content-Type", form).wantIssue(400, "not-supported", "nonsense")
		c.do("GET", "/Patient/_search?family="+family, "").want(405)
	})
	t.Run("system", func(t *testing.T) {
		c := client{t, base}
		r := c.do("GET", "/?_type=Patient,Observation&_id="+one, "").want(200)
		if len(r.entries()) != 1 {
			t.Errorf("system search: %s", r.raw)
		}
		c.do("GET", "?_type=Patient&_id="+one, "").want(200)
		c.do("GET", "/?_type=Nonsense", "").want(400)
	})
	t.Run("totals", func(t *testing.T) {
		c := client{t, base}
		if r := c.do("GET", "/Patient?family="+family+"&_total=accurate&_count=2", "").want(200); r.str("total") != "5" {
			t.Errorf("_total=accurate: %s", r.raw)
		}
		for _, q := range []string{"_summary=count", "_count=0"} {
			r := c.do("GET", "/Patient?family="+family+"&"+q, "").want(200)
			if r.str("total") != "5" || len(r.entries()) != 0 {
				t.Errorf("%s: %s", q, r.raw)
			}
		}
	})
	t.Run("shape", func(t *testing.T) {
		c := client{t, base}
		r := c.do("GET", "/Patient?family="+family+"&_elements=gender", "").want(200)
		for _, e := range r.entries() {
			if p := e.Get("resource"); p.Get("name") != nil || p.Str("gender") != "female" || p.Str("id") == "" || !contains(r.raw, "SUBSETTED") {
				t.Errorf("_elements: %s", p.AppendJSON(nil))
			}
		}
		if !strings.Contains(r.link("self"), "_elements=gender") {
			t.Errorf("self: %s", r.link("self"))
		}
		for _, s := range []string{"true", "data", "text"} {
			r := c.do("GET", "/Patient?family="+family+"&_summary="+s, "").want(200)
			if len(r.entries()) != 5 || !contains(r.raw, "SUBSETTED") {
				t.Errorf("_summary=%s: %s", s, r.raw)
			}
			if named := contains(r.raw, `"family"`); named != (s != "text") {
				t.Errorf("_summary=%s: %s", s, r.raw)
			}
		}
		c.do("GET", "/Patient?_summary=nonsense", "").want(400)
		c.do("GET", "/Patient?_summary=true&_elements=name", "").want(400)
		if r := c.do("GET", "/Patient?family="+family+"&_pretty=true", "").want(200); !contains(r.raw, "\n") || !strings.Contains(r.link("self"), "_pretty") {
			t.Errorf("_pretty: %s", r.raw)
		}
	})
	t.Run("include", func(t *testing.T) {
		c := client{t, base}
		code := unique("code")
		c.created("Observation", observation(code, "Patient/"+one))
		r := c.do("GET", "/Observation?code="+code+"&_include=Observation:subject", "").want(200)
		modes := map[string]int{}
		for _, e := range r.entries() {
			modes[e.Get("search").Str("mode")+" "+e.Get("resource").Str("resourceType")]++
		}
		if modes["match Observation"] != 1 || modes["include Patient"] != 1 || len(r.entries()) != 2 {
			t.Errorf("_include: %v", modes)
		}
		r = c.do("GET", "/Patient?_id="+one+"&_revinclude=Observation:subject", "").want(200)
		if len(r.entries()) != 2 {
			t.Errorf("_revinclude: %s", r.raw)
		}
		c.do("GET", "/Observation?code="+code+"&_include=Observation:subject&_summary=text", "").want(400)
		c.do("GET", "/Observation?_include=nonsense", "").want(400)
	})
	t.Run("strict and lenient", func(t *testing.T) {
		c := client{t, base}
		c.do("GET", "/Patient?family="+family+"&nonsense=1", "").wantIssue(400, "not-supported", "nonsense")
		c.do("GET", "/Patient?birthdate:contains=1", "").want(400)
		r := c.do("GET", "/Patient?family="+family+"&nonsense=1", "", "Prefer", "handling=lenient").want(200)
		if len(r.entries()) != 6 || strings.Contains(r.link("self"), "nonsense") {
			t.Fatalf("lenient: %s", r.raw)
		}
		last := r.entries()[5]
		if last.Get("search").Str("mode") != "outcome" || last.Get("resource").Str("resourceType") != "OperationOutcome" || !strings.Contains(string(last.AppendJSON(nil)), "nonsense") {
			t.Errorf("lenient: %s", last.AppendJSON(nil))
		}
	})
	t.Run("odd values", func(t *testing.T) {
		c := client{t, base}
		for _, v := range []string{"ä ö", "a&b=c", `"`, "100%", "日本", "a+b"} {
			name := unique(v)
			quoted := strings.ReplaceAll(name, `"`, `\"`)
			c.created("Patient", patient(quoted))
			r := c.do("GET", "/Patient?family:exact="+url.QueryEscape(name), "").want(200)
			if len(r.entries()) != 1 {
				t.Errorf("%s: %s", name, r.raw)
				continue
			}
			if again := c.do("GET", r.link("self"), "").want(200); len(again.entries()) != 1 {
				t.Errorf("%s: the self link finds %d", name, len(again.entries()))
			}
		}
	})
}

func testCompartment(t *testing.T, base string) {
	c := client{t, base}
	id, other := c.created("Patient", patient(unique("Comp"))), c.created("Patient", patient(unique("Comp")))
	code := unique("code")
	obs := c.created("Observation", observation(code, "Patient/"+id))
	c.created("Observation", observation(code, "Patient/"+other))
	c.created("Condition", `{"resourceType":"Condition","subject":{"reference":"Patient/`+id+`"}}`)
	for path, want := range map[string]int{
		"/Patient/" + id + "/Observation":                     1,
		"/Patient/" + id + "/Observation?code=" + code:        1,
		"/Patient/" + id + "/Observation?code=" + code + "-x": 0,
		"/Patient/" + id + "/*?_type=Observation,Condition":   2,
		"/Patient/" + id + "/Condition":                       1,
		"/Patient/never-was/Observation":                      0,
	} {
		r := c.do("GET", path, "").want(200)
		if len(r.entries()) != want {
			t.Errorf("%s: %d entries, want %d", path, len(r.entries()), want)
		}
		if !strings.HasPrefix(r.link("self"), base+strings.Split(path, "?")[0]) {
			t.Errorf("%s: self %s", path, r.link("self"))
		}
	}
	if r := c.do("GET", "/Patient/"+id+"/*", "").want(200); len(r.entries()) < 2 || strings.Contains(r.link("self"), "_type") {
		t.Errorf("all: %s", r.raw)
	}
	r := c.do("POST", "/Patient/"+id+"/Observation/_search", "code="+code, "Content-Type", "application/x-www-form-urlencoded").want(200)
	if len(r.entries()) != 1 || r.str("entry", "0", "resource", "id") != obs {
		t.Errorf("POST: %s", r.raw)
	}
	c.do("GET", "/Patient/"+id+"/Nonsense", "").want(404)
	c.do("GET", "/Patient/"+id+"/Medication", "").want(404)
	c.do("GET", "/Observation/"+obs+"/Patient", "").want(404)
	c.do("GET", "/Patient/"+id+"/Observation?nonsense=1", "").want(400)
	c.do("GET", "/Patient/bad_id/Observation", "").want(404)
}

func testOperations(t *testing.T, base string) {
	c := client{t, base}
	id := c.created("Patient", patient(unique("Op")))
	enc := c.created("Encounter", `{"resourceType":"Encounter","status":"finished","class":{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"AMB"},"subject":{"reference":"Patient/`+id+`"}}`)
	obs := c.created("Observation", strings.Replace(observation("1-8", "Patient/"+id), `"status"`, `"encounter":{"reference":"Encounter/`+enc+`"},"status"`, 1))
	t.Run("everything", func(t *testing.T) {
		c := client{t, base}
		found := func(r *reply) map[string]bool {
			m := map[string]bool{}
			for _, e := range r.entries() {
				m[e.Get("resource").Str("resourceType")+"/"+e.Get("resource").Str("id")] = true
			}
			return m
		}
		r := c.do("GET", "/Patient/"+id+"/$everything", "").want(200)
		if m := found(r); r.str("type") != "searchset" || !m["Patient/"+id] || !m["Encounter/"+enc] || !m["Observation/"+obs] {
			t.Errorf("Patient: %v", m)
		}
		if m := found(c.do("GET", "/Encounter/"+enc+"/$everything", "").want(200)); !m["Encounter/"+enc] || !m["Observation/"+obs] {
			t.Errorf("Encounter: %v", m)
		}
		if m := found(c.do("GET", "/Patient/"+id+"/$everything?_type=Observation", "").want(200)); !m["Observation/"+obs] || m["Encounter/"+enc] {
			t.Errorf("_type: %v", m)
		}
		body := `{"resourceType":"Parameters","parameter":[{"name":"_type","valueString":"Observation"},{"name":"_count","valueInteger":10}]}`
		if m := found(c.do("POST", "/Patient/"+id+"/$everything", body).want(200)); !m["Observation/"+obs] || m["Encounter/"+enc] {
			t.Errorf("POST: %v", m)
		}
		c.do("POST", "/Patient/"+id+"/$everything", "").want(200)
		seen, url := map[string]bool{}, "/Patient/"+id+"/$everything?_count=1"
		for n := 0; url != "" && n < 9; n++ {
			r := c.do("GET", url, "").want(200)
			for k := range found(r) {
				seen[k] = true
			}
			url = r.link("next")
		}
		if !seen["Patient/"+id] || !seen["Encounter/"+enc] || !seen["Observation/"+obs] {
			t.Errorf("paged: %v", seen)
		}
		c.do("GET", "/Patient/never-was/$everything", "").want(404)
		c.do("GET", "/Patient/"+id+"/$everything?start=2020-01-01", "").wantIssue(400, "not-supported", "start")
		c.do("GET", "/Patient/"+id+"/$everything?_type=Nonsense", "").want(400)
		c.do("GET", "/Patient/"+id+"/$everything?_since=x", "").want(400)
		c.do("GET", "/Observation/"+obs+"/$everything", "").wantIssue(404, "not-supported", "everything")
		c.do("GET", "/Patient/$everything", "").want(404)
	})
	t.Run("validate", func(t *testing.T) {
		c := client{t, base}
		good, bad := patient("V"), `{"resourceType":"Patient","gender":"purple"}`
		wrap := func(resource, more string) string {
			return `{"resourceType":"Parameters","parameter":[{"name":"resource","resource":` + resource + `}` + more + `]}`
		}
		for _, x := range []struct {
			name, method, path, body string
			severity                 string
		}{
			{"good", "POST", "/Patient/$validate", good, "information"},
			{"bad", "POST", "/Patient/$validate", bad, "error"},
			{"good in Parameters", "POST", "/Patient/$validate", wrap(good, ""), "information"},
			{"bad in Parameters", "POST", "/Patient/$validate", wrap(bad, `,{"name":"mode","valueCode":"create"}`), "error"},
			{"profile", "POST", "/Patient/$validate", wrap(good, `,{"name":"profile","valueUri":"http://example.org/p"}`), "warning"},
			{"profile in the URL", "POST", "/Patient/$validate?profile=http://example.org/p", good, "warning"},
			{"the stored one", "GET", "/Patient/" + id + "/$validate", "", "information"},
			{"the stored one by POST", "POST", "/Patient/" + id + "/$validate", "", "information"},
			{"update", "POST", "/Patient/" + id + "/$validate?mode=update", patientWithID(id, "V"), "information"},
			{"update of another", "POST", "/Patient/" + id + "/$validate?mode=update", patientWithID("x", "V"), "error"},
			{"delete", "POST", "/Patient/" + id + "/$validate?mode=delete", "", "information"},
		} {
			r := c.do(x.method, x.path, x.body).want(200)
			if issues := r.outcome(); issues[0].Str("severity") != x.severity {
				t.Errorf("%s: %s", x.name, r.raw)
			}
		}
		r := c.do("POST", "/Patient/$validate", bad).want(200)
		if !contains(r.raw, "gender") {
			t.Errorf("no place: %s", r.raw)
		}
		c.do("POST", "/Patient/$validate", observation("1", "Patient/1")).want(400)
		c.do("POST", "/Patient/$validate", "").want(400)
		c.do("POST", "/Patient/$validate?mode=nonsense", good).want(400)
		c.do("POST", "/Patient/$validate", "{").want(400)
		c.do("GET", "/Patient/never-was/$validate", "").want(404)
	})
	t.Run("unknown", func(t *testing.T) {
		c := client{t, base}
		for _, path := range []string{"/$nonsense", "/Patient/$nonsense", "/Patient/" + id + "/$nonsense"} {
			c.do("GET", path, "").wantIssue(404, "not-supported", "nonsense")
			c.do("POST", path, `{"resourceType":"Parameters"}`).wantIssue(404, "not-supported", "nonsense")
		}
	})
}

func testMetadata(t *testing.T, base string) {
	c := client{t, base}
	r := c.do("GET", "/metadata", "").want(200)
	for path, want := range map[string]string{"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1", "kind": "instance", "status": "active"} {
		if r.str(path) != want {
			t.Errorf("%s: %q", path, r.str(path))
		}
	}
	if r.str("software", "version") != Version || r.str("implementation", "url") != base {
		t.Errorf("software %q, url %q", r.str("software", "version"), r.str("implementation", "url"))
	}
	types := r.at("rest", "0", "resource").Items()
	if len(types) < 140 {
		t.Errorf("%d types", len(types))
	}
	tag := r.header.Get("Etag")
	c.do("GET", "/metadata", "", "If-None-Match", tag).want(304)
	c.do("GET", "/metadata", "", "If-None-Match", `"x", `+tag).want(304)
	c.do("GET", "/metadata?mode=full", "").want(200)
	c.do("GET", "/metadata?mode=terminology", "").wantIssue(400, "not-supported", "terminology")
	c.do("GET", "/metadata?nonsense=1", "").want(400)
	c.do("GET", "/metadata?_summary=true", "").want(200)
	c.do("GET", "/metadata", "", "Accept", "application/fhir+xml").want(406)
	c.do("POST", "/$validate", r.str("nothing")).want(404)
	if v := c.do("POST", "/CapabilityStatement/$validate", string(r.raw), "Prefer", "handling=lenient").want(200); v.outcome()[0].Str("severity") == "error" {
		t.Errorf("the CapabilityStatement is not valid: %.600s", v.raw)
	}
	// What it says is served is served: every parameter of every type, and a sample of what can be included.
	for i, typ := range types {
		name := typ.Str("type")
		params := typ.Get("searchParam").Items()
		if len(params) == 0 {
			t.Errorf("%s: no search parameters", name)
		}
		for _, p := range params {
			r := c.do("GET", "/"+name+"?_count=1&"+p.Str("name")+"="+sample[p.Str("type")], "")
			if r.status == 400 && contains(r.raw, "not-supported") {
				t.Errorf("%s says that it serves %s: %s", name, p.Str("name"), r.raw)
			}
		}
		for member, param := range map[string]string{"searchInclude": "_include", "searchRevInclude": "_revinclude"} {
			if list := typ.Get(member).Items(); len(list) > 0 {
				c.do("GET", "/"+name+"?_count=1&"+param+"="+list[i%len(list)].Text, "").want(200)
			}
		}
	}
}

var sample = map[string]string{"number": "1", "date": "2020-01-01", "string": "a", "token": "a", "reference": "a", "composite": "a$a",
	"quantity": "1", "uri": "urn:a", "special": "a"}

func testNegotiation(t *testing.T, base string) {
	c := client{t, base}
	id := c.created("Patient", patient(unique("N")))
	const fhirJSON, plainJSON = "application/fhir+json; charset=utf-8", "application/json; charset=utf-8"
	t.Run("accept", func(t *testing.T) {
		for _, x := range []struct {
			accept string
			status int
			media  string
		}{
			{"", 200, fhirJSON},
			{"*/*", 200, fhirJSON},
			{"application/fhir+json", 200, fhirJSON},
			{"application/fhir+json; fhirVersion=4.0", 200, fhirJSON},
			{`application/fhir+json;fhirVersion="4.0"`, 200, fhirJSON},
			{"application/fhir+json; fhirVersion=3.0", 406, ""},
			{"application/fhir+json;fhirVersion=5.0, */*;q=0.1", 200, fhirJSON},
			{"application/json", 200, plainJSON},
			{"text/json", 200, plainJSON},
			{"application/xml", 406, ""},
			{"application/fhir+xml", 406, ""},
			{"text/turtle", 406, ""},
			{"application/fhir+xml, application/fhir+json;q=0.5", 200, fhirJSON},
			{"application/fhir+json;q=0", 406, ""},
			{"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", 200, fhirJSON},
			{"nonsense", 406, ""},
			{";;;,,,q=", 406, ""},
		} {
			c := client{t, base}
			r := c.do("GET", "/Patient/"+id, "", "Accept", x.accept)
			if r.status != x.status || x.media != "" && r.header.Get("Content-Type") != x.media {
				t.Errorf("Accept %q: %d %s", x.accept, r.status, r.header.Get("Content-Type"))
			}
		}
	})
	t.Run("format", func(t *testing.T) {
		for format, status := range map[string]int{"json": 200, "application/json": 200, "application/fhir%2Bjson": 200, "application/fhir+json": 200,
			"text/json": 200, "xml": 406, "application/fhir%2Bxml": 406, "ttl": 406, "html": 406, "nonsense": 406} {
			c := client{t, base}
			if r := c.do("GET", "/Patient/"+id+"?_format="+format, "", "Accept", "text/html"); r.status != status {
				t.Errorf("_format=%s: %d", format, r.status)
			}
			c.do("GET", "/Patient?_id="+id+"&_format="+format, "").want(status)
		}
	})
	t.Run("content type", func(t *testing.T) {
		for media, status := range map[string]int{"application/fhir+json": 201, "application/json": 201, "application/fhir+json; charset=UTF-8": 201,
			`application/fhir+json;charset="utf-8";fhirVersion=4.0`: 201, "application/fhir+json; charset=latin1": 415, "application/fhir+json; fhirVersion=3.0": 415,
			"application/fhir+xml": 415, "text/plain": 415, "application/x-www-form-urlencoded": 415, "application/json-patch+json": 415, "": 415, "nonsense": 415} {
			c := client{t, base}
			if r := c.do("POST", "/Patient", patient("N"), "Content-Type", media); r.status != status {
				t.Errorf("Content-Type %q: %d: %s", media, r.status, r.raw)
			}
		}
	})
	t.Run("methods", func(t *testing.T) {
		for _, x := range []struct{ method, path, allow string }{
			{"POST", "/Patient/" + id, "GET, HEAD, PUT, PATCH, DELETE, OPTIONS"},
			{"PUT", "/metadata", "GET, HEAD, OPTIONS"},
			{"DELETE", "/Patient/" + id + "/_history/1", "GET, HEAD, OPTIONS"},
			{"PUT", "", "GET, HEAD, POST, OPTIONS"},
			{"NONSENSE", "/Patient", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"},
		} {
			c := client{t, base}
			c.do(x.method, x.path, "").want(405).wantHeader("Allow", x.allow)
			c.do("OPTIONS", x.path, "").want(204).wantHeader("Allow", x.allow)
		}
	})
	t.Run("request id", func(t *testing.T) {
		c := client{t, base}
		c.do("GET", "/Patient/"+id, "", "X-Request-Id", "my-id.7").wantHeader("X-Request-Id", "my-id.7")
		c.do("GET", "/Patient/none", "", "X-Request-Id", "my-id.7").want(404).wantHeader("X-Request-Id", "my-id.7")
		if r := c.do("GET", "/Patient/"+id, "", "X-Request-Id", "bad id \""); r.header.Get("X-Request-Id") == "bad id \"" {
			t.Error("a malformed id was taken over")
		}
		if r := c.do("GET", "/Patient/"+id, "", "X-Request-Id", strings.Repeat("x", 500)); len(r.header.Get("X-Request-Id")) > 128 {
			t.Error("a long id was taken over")
		}
	})
}
