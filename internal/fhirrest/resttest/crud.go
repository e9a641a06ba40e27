package resttest

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func testRead(t *testing.T, base string) {
	c := client{t, base}
	family := unique("Read")
	made := c.do("POST", "/Patient", patient(family)).want(201)
	id := made.str("id")

	t.Run("get", func(t *testing.T) {
		c := client{t, base}
		r := c.do("GET", "/Patient/"+id, "").want(200).wantHeader("Etag", `W/"1"`).wantHeader("Content-Type", "application/fhir+json; charset=utf-8")
		if r.str("name", "0", "family") != family || r.str("id") != id || r.str("meta", "versionId") != "1" {
			t.Errorf("not what was stored: %s", r.raw)
		}
		modified, err := http.ParseTime(r.header.Get("Last-Modified"))
		if err != nil || time.Since(modified) > time.Minute || time.Since(modified) < -time.Minute {
			t.Errorf("Last-Modified %q", r.header.Get("Last-Modified"))
		}
	})
	t.Run("head", func(t *testing.T) {
		c := client{t, base}
		r := c.do("HEAD", "/Patient/"+id, "").want(200).wantHeader("Etag", `W/"1"`).wantNoBody()
		if r.header.Get("Content-Length") == "0" {
			t.Error("HEAD says that there is no body")
		}
	})
	t.Run("conditions", func(t *testing.T) {
		modified := made.header.Get("Last-Modified")
		for _, x := range []struct {
			header, value string
			status        int
		}{
			{"If-None-Match", `W/"1"`, 304},
			{"If-None-Match", `"1"`, 304},
			{"If-None-Match", `W/"7", W/"1"`, 304},
			{"If-None-Match", `*`, 304},
			{"If-None-Match", `W/"2"`, 200},
			{"If-None-Match", `nonsense`, 200},
			{"If-Modified-Since", modified, 304},
			{"If-Modified-Since", "Mon, 01 Jan 2001 00:00:00 GMT", 200},
			{"If-Modified-Since", "nonsense", 200},
		} {
			c := client{t, base}
			r := c.do("GET", "/Patient/"+id, "", x.header, x.value).want(x.status).wantHeader("Etag", `W/"1"`)
			if x.status == 304 {
				r.wantNoBody()
			}
		}
		client{t, base}.do("GET", "/Patient/"+id, "", "If-None-Match", `W/"2"`, "If-Modified-Since", modified).want(200)
	})
	t.Run("form", func(t *testing.T) {
		c := client{t, base}
		r := c.do("GET", "/Patient/"+id+"?_summary=true", "").want(200)
		if r.at("name") == nil || !contains(r.raw, "SUBSETTED") {
			t.Errorf("_summary=true: %s", r.raw)
		}
		r = c.do("GET", "/Patient/"+id+"?_elements=gender,birthDate", "").want(200)
		if r.at("name") != nil || r.str("gender") != "female" || r.str("birthDate") != "1990-02-03" || !contains(r.raw, "SUBSETTED") {
			t.Errorf("_elements: %s", r.raw)
		}
		if r = c.do("GET", "/Patient/"+id+"?_pretty=true", "").want(200); !contains(r.raw, "\n  \"id\"") {
			t.Errorf("_pretty: %s", r.raw)
		}
		c.do("GET", "/Patient/"+id+"?_format=json", "").want(200)
		c.do("GET", "/Patient/"+id+"/", "").want(200)
		c.do("GET", "/Patient/"+id+"?_summary=count", "").want(400)
		c.do("GET", "/Patient/"+id+"?nonsense=1", "").wantIssue(400, "not-supported", "nonsense")
		c.do("GET", "/Patient/"+id+"?nonsense=1", "", "Prefer", "handling=lenient").want(200)
	})
	t.Run("absent", func(t *testing.T) {
		c := client{t, base}
		c.do("GET", "/Patient/there-is-none", "").wantIssue(404, "not-found", "")
		c.do("HEAD", "/Patient/there-is-none", "").want(404)
		c.do("GET", "/Observation/"+id, "").want(404)
		c.do("GET", "/Patient/bad_id", "").want(404)
		c.do("GET", "/Nonsense/1", "").wantIssue(404, "not-supported", "Nonsense")
		c.do("GET", "/patient/"+id, "").want(404)
		gone := c.created("Patient", patient(family))
		c.do("DELETE", "/Patient/"+gone, "").want(204)
		c.do("GET", "/Patient/"+gone, "").wantIssue(410, "deleted", "")
	})
	t.Run("vread", func(t *testing.T) {
		c := client{t, base}
		id := c.created("Patient", patient(family))
		c.do("PUT", "/Patient/"+id, patientWithID(id, family+"-2")).want(200).wantHeader("Etag", `W/"2"`)
		c.do("DELETE", "/Patient/"+id, "").want(204).wantHeader("Etag", `W/"3"`)
		if r := c.do("GET", "/Patient/"+id+"/_history/1", "").want(200).wantHeader("Etag", `W/"1"`); r.str("name", "0", "family") != family {
			t.Errorf("version 1: %s", r.raw)
		}
		if r := c.do("GET", "/Patient/"+id+"/_history/2", "").want(200); r.str("meta", "versionId") != "2" {
			t.Errorf("version 2: %s", r.raw)
		}
		c.do("GET", "/Patient/"+id+"/_history/2", "", "If-None-Match", `W/"2"`).want(304)
		c.do("HEAD", "/Patient/"+id+"/_history/2", "").want(200).wantNoBody()
		c.do("GET", "/Patient/"+id+"/_history/3", "").want(410)
		for _, v := range []string{"4", "0", "-1", "x", "99999999999999999999"} {
			c.do("GET", "/Patient/"+id+"/_history/"+v, "").want(404)
		}
	})
}

func testWrite(t *testing.T, base string) {
	t.Run("create", func(t *testing.T) {
		c := client{t, base}
		r := c.do("POST", "/Patient", patientWithID("no-wish-is-granted", unique("Create"))).want(201).wantHeader("Etag", `W/"1"`)
		id := r.str("id")
		if id == "" || id == "no-wish-is-granted" {
			t.Errorf("the server gives ids: %q", id)
		}
		r.wantHeader("Location", base+"/Patient/"+id+"/_history/1")
		if r.header.Get("Last-Modified") == "" {
			t.Error("no Last-Modified")
		}
	})
	t.Run("decimals and extensions stay", func(t *testing.T) {
		c := client{t, base}
		body := strings.Replace(observation("1-8", "Patient/x"), `"subject":{"reference":"Patient/x"},`, "", 1)
		body = strings.Replace(body, `"status":"final"`, `"status":"final","_status":{"extension":[{"url":"urn:x","valueDecimal":1.10}]}`, 1)
		r := c.do("POST", "/Observation", body).want(201)
		r = c.do("GET", "/Observation/"+r.str("id"), "").want(200)
		if !contains(r.raw, `"value":7.10`) || !contains(r.raw, `"valueDecimal":1.10`) {
			t.Errorf("digits were lost: %s", r.raw)
		}
	})
	t.Run("prefer", func(t *testing.T) {
		c := client{t, base}
		c.do("POST", "/Patient", patient(unique("P")), "Prefer", "return=minimal").want(201).wantNoBody()
		if r := c.do("POST", "/Patient", patient(unique("P")), "Prefer", "return=representation").want(201); r.str("resourceType") != "Patient" {
			t.Error("no representation")
		}
		r := c.do("POST", "/Patient", patient(unique("P")), "Prefer", "return=OperationOutcome").want(201)
		r.outcome()
		id := strings.Split(strings.TrimPrefix(r.header.Get("Location"), base+"/Patient/"), "/")[0]
		c.do("PUT", "/Patient/"+id, patientWithID(id, unique("P")), "Prefer", "return=minimal").want(200).wantNoBody()
		c.do("PUT", "/Patient/"+id, patientWithID(id, unique("P")), "Prefer", "handling=strict; return=OperationOutcome").want(200).outcome()
		c.do("DELETE", "/Patient/"+id, "", "Prefer", "return=OperationOutcome").want(200).outcome()
	})
	t.Run("update", func(t *testing.T) {
		c := client{t, base}
		family := unique("Update")
		id := c.created("Patient", patient(family))
		r := c.do("PUT", "/Patient/"+id, patientWithID(id, family+"-2")).want(200).wantHeader("Etag", `W/"2"`)
		if r.str("name", "0", "family") != family+"-2" || r.str("meta", "versionId") != "2" {
			t.Errorf("updated: %s", r.raw)
		}
		as := unique("made-by-put")
		c.do("PUT", "/Patient/"+as, patientWithID(as, family)).want(201).wantHeader("Etag", `W/"1"`).
			wantHeader("Location", base+"/Patient/"+as+"/_history/1")
		c.do("GET", "/Patient/"+as, "").want(200)
		c.do("DELETE", "/Patient/"+as, "").want(204)
		r = c.do("PUT", "/Patient/"+as, patientWithID(as, family))
		if r.status != 200 && r.status != 201 {
			t.Errorf("bringing a deleted one back: %d", r.status)
		}
		r.wantHeader("Etag", `W/"3"`)
	})
	t.Run("update refused", func(t *testing.T) {
		c := client{t, base}
		id := c.created("Patient", patient(unique("U")))
		c.do("PUT", "/Patient/"+id, patient("U")).wantIssue(400, "", "Patient.id")
		c.do("PUT", "/Patient/"+id, patientWithID("other", "U")).wantIssue(400, "", "Patient.id")
		c.do("PUT", "/Observation/"+id, patientWithID(id, "U")).want(400)
		c.do("PUT", "/Patient/bad_id", patientWithID("bad_id", "U")).want(400)
		c.do("PUT", "/Patient", patient("U")).wantIssue(400, "required", "")
		c.do("GET", "/Patient/"+id, "").wantHeader("Etag", `W/"1"`)
	})
	t.Run("if-match", func(t *testing.T) {
		c := client{t, base}
		id := c.created("Patient", patient(unique("M")))
		for i, x := range []struct {
			header, value string
			status        int
		}{
			{"If-Match", `W/"2"`, 412},
			{"If-Match", `W/"1"`, 200},
			{"If-Match", `W/"1"`, 412},
			{"If-Match", `"2"`, 200},
			{"If-Match", `3`, 200},
			{"If-Match", `W/"0"`, 412},
			{"If-Match", `nonsense`, 412},
			{"If-Match", `*`, 200},
			{"If-None-Match", `*`, 412},
			{"If-None-Match", `W/"1"`, 400},
		} {
			if r := c.do("PUT", "/Patient/"+id, patientWithID(id, unique("M")), x.header, x.value); r.status != x.status {
				t.Errorf("%d: %s: %s: status %d, want %d: %s", i, x.header, x.value, r.status, x.status, r.raw)
			}
		}
		c.do("DELETE", "/Patient/"+id, "", "If-Match", `W/"1"`).wantIssue(412, "conflict", "")
		c.do("DELETE", "/Patient/"+id, "", "If-Match", `W/"5"`).want(204)
		c.do("PUT", "/Patient/"+id, patientWithID(id, "M"), "If-Match", `*`).want(412)
		fresh := unique("fresh")
		c.do("PUT", "/Patient/"+fresh, patientWithID(fresh, "M"), "If-Match", `W/"1"`).want(412)
		c.do("PUT", "/Patient/"+fresh, patientWithID(fresh, "M"), "If-None-Match", `*`).want(201)
		c.do("PUT", "/Patient/"+fresh, patientWithID(fresh, "M2"), "If-None-Match", `*`).want(412)
	})
	t.Run("delete", func(t *testing.T) {
		c := client{t, base}
		id := c.created("Patient", patient(unique("D")))
		c.do("DELETE", "/Patient/"+id, "").want(204).wantNoBody().wantHeader("Etag", `W/"2"`)
		c.do("DELETE", "/Patient/"+id, "").want(204)
		c.do("DELETE", "/Patient/never-was", "").want(204)
		c.do("DELETE", "/Patient/never-was", "", "Prefer", "return=OperationOutcome").want(200).outcome()
		c.do("DELETE", "/Patient", "").want(400)
	})
	t.Run("content refused", func(t *testing.T) {
		c := client{t, base}
		for _, x := range []struct{ body, where string }{
			{`{"resourceType":"Patient","nonsense":1}`, "nonsense"},
			{`{"resourceType":"Patient","gender":"purple"}`, "gender"},
			{`{"resourceType":"Patient","birthDate":"1990-02-30"}`, "birthDate"},
			{`{"resourceType":"Patient","name":{"family":"x"}}`, "name"},
			{`{"resourceType":"Observation","status":"final"}`, "code"},
		} {
			typ := "Patient"
			if strings.Contains(x.body, "Observation") {
				typ = "Observation"
			}
			c.do("POST", "/"+typ, x.body).wantIssue(400, "", x.where)
		}
	})
}

func testConditional(t *testing.T, base string) {
	t.Run("create", func(t *testing.T) {
		c := client{t, base}
		mrn := unique("mrn")
		cond := "identifier=urn:test|" + mrn
		first := c.do("POST", "/Patient", identified(mrn, "A"), "If-None-Exist", cond).want(201)
		for _, again := range []string{cond, "?" + cond, "Patient?" + cond} {
			r := c.do("POST", "/Patient", identified(mrn, "B"), "If-None-Exist", again).want(200).wantHeader("Etag", `W/"1"`)
			if r.str("id") != first.str("id") {
				t.Errorf("another one was made: %s", r.raw)
			}
		}
		c.created("Patient", identified(mrn, "C"))
		c.do("POST", "/Patient", identified(mrn, "D"), "If-None-Exist", cond).want(412)
		c.do("POST", "/Patient", identified(mrn, "D"), "If-None-Exist", "nonsense=1").wantIssue(400, "not-supported", "nonsense")
		c.do("POST", "/Patient", identified(mrn, "D"), "If-None-Exist", "_count=1").want(400)
		c.do("POST", "/Patient", identified(mrn, "D"), "If-None-Exist", "%zz").want(400)
	})
	t.Run("update", func(t *testing.T) {
		c := client{t, base}
		mrn := unique("mrn")
		url := "/Patient?identifier=urn:test|" + mrn
		id := c.do("PUT", url, identified(mrn, "A")).want(201).str("id")
		r := c.do("PUT", url, identified(mrn, "B")).want(200).wantHeader("Etag", `W/"2"`)
		if r.str("id") != id || r.str("name", "0", "family") != "B" {
			t.Errorf("another one was meant: %s", r.raw)
		}
		other := strings.Replace(identified(mrn, "C"), `{"resourceType":"Patient",`, `{"resourceType":"Patient","id":"other-id",`, 1)
		if r := c.do("PUT", url, other); r.status != 400 && r.status != 422 {
			t.Errorf("an id that is not the match's: %d", r.status)
		}
		c.do("PUT", url, identified(mrn, "C"), "If-Match", `W/"1"`).want(412)
		c.do("PUT", url, identified(mrn, "C"), "If-Match", `W/"2"`).want(200)
		c.created("Patient", identified(mrn, "D"))
		c.do("PUT", url, identified(mrn, "E")).want(412)
		c.do("PUT", "/Patient?nonsense=1", identified(mrn, "E")).wantIssue(400, "not-supported", "nonsense")
	})
	t.Run("patch", func(t *testing.T) {
		c := client{t, base}
		mrn := unique("mrn")
		url := "/Patient?identifier=urn:test|" + mrn
		ops := `[{"op":"replace","path":"/gender","value":"other"}]`
		c.do("PATCH", url, ops, "Content-Type", "application/json-patch+json").want(404)
		c.created("Patient", identified(mrn, "A"))
		if r := c.do("PATCH", url, ops, "Content-Type", "application/json-patch+json").want(200); r.str("gender") != "other" {
			t.Errorf("patched: %s", r.raw)
		}
		c.created("Patient", identified(mrn, "A"))
		c.do("PATCH", url, ops, "Content-Type", "application/json-patch+json").want(412)
	})
	t.Run("delete", func(t *testing.T) {
		c := client{t, base}
		mrn := unique("mrn")
		url := "/Patient?identifier=urn:test|" + mrn
		c.do("DELETE", url, "").want(204)
		id := c.created("Patient", identified(mrn, "A"))
		c.do("DELETE", url, "").want(204)
		c.do("GET", "/Patient/"+id, "").want(410)
		one, two := c.created("Patient", identified(mrn, "A")), c.created("Patient", identified(mrn, "B"))
		c.do("DELETE", url, "").want(412)
		c.do("GET", "/Patient/"+one, "").want(200)
		c.do("GET", "/Patient/"+two, "").want(200)
		c.do("DELETE", "/Patient?nonsense=1", "").want(400)
	})
}

func testPatch(t *testing.T, base string) {
	const jsonPatch = "application/json-patch+json"
	c := client{t, base}
	id := c.created("Patient", patient(unique("Patch")))
	url := "/Patient/" + id
	t.Run("json", func(t *testing.T) {
		c := client{t, base}
		r := c.do("PATCH", url, `[{"op":"test","path":"/gender","value":"female"},{"op":"replace","path":"/gender","value":"other"},
			{"op":"add","path":"/name/0/given/-","value":"Noor"}]`, "Content-Type", jsonPatch).want(200).wantHeader("Etag", `W/"2"`)
		if r.str("gender") != "other" || r.str("name", "0", "given", "1") != "Noor" {
			t.Errorf("patched: %s", r.raw)
		}
	})
	t.Run("fhirpath", func(t *testing.T) {
		c := client{t, base}
		r := c.do("PATCH", url, `{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"replace"},
			{"name":"path","valueString":"Patient.birthDate"},{"name":"value","valueDate":"1991-01-01"}]}]}`).want(200)
		if r.str("birthDate") != "1991-01-01" {
			t.Errorf("patched: %s", r.raw)
		}
	})
	t.Run("refused", func(t *testing.T) {
		before := client{t, base}.do("GET", url, "").header.Get("Etag")
		for _, x := range []struct {
			name, body, media string
			headers           []string
			status            []int
		}{
			{"a test that fails", `[{"op":"test","path":"/gender","value":"male"}]`, jsonPatch, nil, []int{400, 409, 412, 422}},
			{"a path that is not there", `[{"op":"remove","path":"/nonsense"}]`, jsonPatch, nil, []int{400, 422}},
			{"an operation that is none", `[{"op":"nonsense","path":"/gender"}]`, jsonPatch, nil, []int{400, 422}},
			{"broken JSON", `[{"op":`, jsonPatch, nil, []int{400}},
			{"no array", `{"op":"remove","path":"/gender"}`, jsonPatch, nil, []int{400, 422}},
			{"an invalid result", `[{"op":"replace","path":"/gender","value":"purple"}]`, jsonPatch, nil, []int{400, 422}},
			{"another type", `[{"op":"replace","path":"/resourceType","value":"Group"}]`, jsonPatch, nil, []int{400, 422}},
			{"another id", `[{"op":"replace","path":"/id","value":"other"}]`, jsonPatch, nil, []int{400, 422}},
			{"the root gone", `[{"op":"remove","path":""}]`, jsonPatch, nil, []int{400, 422}},
			{"XML patch", `<diff/>`, "application/xml-patch+xml", nil, []int{415}},
			{"no type", `[]`, "", nil, []int{415}},
			{"not Parameters", `{"resourceType":"Patient"}`, "application/fhir+json", nil, []int{400}},
			{"a stale version", `[{"op":"remove","path":"/gender"}]`, jsonPatch, []string{"If-Match", `W/"1"`}, []int{412}},
		} {
			c := client{t, base}
			r := c.do("PATCH", url, x.body, append([]string{"Content-Type", x.media}, x.headers...)...)
			if !oneOf(r.status, x.status) {
				t.Errorf("%s: status %d, want one of %v: %s", x.name, r.status, x.status, r.raw)
			}
		}
		client{t, base}.do("GET", url, "").wantHeader("Etag", before)
	})
	c.do("PATCH", "/Patient/never-was", `[{"op":"remove","path":"/gender"}]`, "Content-Type", jsonPatch).want(404)
}

func oneOf(status int, list []int) bool {
	for _, s := range list {
		if s == status {
			return true
		}
	}
	return false
}

func testHistory(t *testing.T, base string) {
	c := client{t, base}
	family := unique("History")
	id := c.created("Patient", patient(family))
	time.Sleep(5 * time.Millisecond)
	between := time.Now().UTC().Format("2006-01-02T15:04:05.000Z")
	time.Sleep(5 * time.Millisecond)
	c.do("PUT", "/Patient/"+id, patientWithID(id, family+"-2")).want(200)
	c.do("DELETE", "/Patient/"+id, "").want(204)
	c.do("PUT", "/Patient/"+id, patientWithID(id, family+"-3"))
	t.Run("instance", func(t *testing.T) {
		c := client{t, base}
		r := c.do("GET", "/Patient/"+id+"/_history", "").want(200)
		if r.str("type") != "history" || len(r.entries()) != 4 {
			t.Fatalf("history: %s", r.raw)
		}
		if n := r.at("total"); n != nil && n.Text != "4" {
			t.Errorf("total %s", n.Text)
		}
		for i, want := range []struct{ method, tag string }{{"PUT", `W/"4"`}, {"DELETE", `W/"3"`}, {"PUT", `W/"2"`}, {"POST", `W/"1"`}} {
			e := r.entries()[i]
			if e.Path("request", "method").Text != want.method || e.Path("response", "etag").Text != want.tag {
				t.Errorf("entry %d: %s", i, e.AppendJSON(nil))
			}
			if (e.Get("resource") == nil) != (want.method == "DELETE") || e.Str("fullUrl") != base+"/Patient/"+id {
				t.Errorf("entry %d: %s", i, e.AppendJSON(nil))
			}
			if e.Path("response", "lastModified") == nil || e.Path("request", "url") == nil {
				t.Errorf("entry %d: %s", i, e.AppendJSON(nil))
			}
		}
	})
	t.Run("paging", func(t *testing.T) {
		c := client{t, base}
		seen, url := 0, "/Patient/"+id+"/_history?_count=1"
		for url != "" && seen < 9 {
			r := c.do("GET", url, "").want(200)
			if len(r.entries()) != 1 {
				t.Fatalf("a page of one: %s", r.raw)
			}
			seen++
			url = r.link("next")
			if r.link("self") == "" {
				t.Error("no self link")
			}
		}
		if seen != 4 {
			t.Errorf("%d versions over the pages", seen)
		}
	})
	t.Run("since", func(t *testing.T) {
		c := client{t, base}
		if r := c.do("GET", "/Patient/"+id+"/_history?_since="+between, "").want(200); len(r.entries()) != 3 {
			t.Errorf("_since: %d entries", len(r.entries()))
		}
		if r := c.do("GET", "/Patient/"+id+"/_history?_at="+between, "").want(200); len(r.entries()) != 1 || r.str("entry", "0", "response", "etag") != `W/"1"` {
			t.Errorf("_at: %s", r.raw)
		}
		// A year is a period: all that was current at some time of it. A deletion's mark is no state of the record.
		year := time.Now().UTC().Format("2006")
		if r := c.do("GET", "/Patient/"+id+"/_history?_at="+year, "").want(200); len(r.entries()) < 3 {
			t.Errorf("_at=%s: %s", year, r.raw)
		}
		if r := c.do("GET", "/Patient/"+id+"/_history?_at=1999-05", "").want(200); len(r.entries()) != 0 {
			t.Errorf("_at before the beginning: %s", r.raw)
		}
		for _, bad := range []string{"_since=yesterday", "_since=2020", "_at=x", "_count=0", "_count=x", "_count=-1", "nonsense=1", "_summary=count"} {
			c.do("GET", "/Patient/"+id+"/_history?"+bad, "").want(400)
		}
	})
	t.Run("type and system", func(t *testing.T) {
		c := client{t, base}
		r := c.do("GET", "/Patient/_history?_count=3", "").want(200)
		if len(r.entries()) != 3 || r.link("next") == "" {
			t.Errorf("type history: %s", r.raw)
		}
		if r := c.do("GET", "/_history?_count=2", "").want(200); len(r.entries()) != 2 || r.link("next") == "" {
			t.Errorf("system history: %s", r.raw)
		}
		c.do("GET", "/Patient/never-was/_history", "").want(404)
		c.do("GET", "/Nonsense/_history", "").want(404)
		c.do("GET", "/Patient/_history?_cursor=nonsense", "").want(400)
	})
}
