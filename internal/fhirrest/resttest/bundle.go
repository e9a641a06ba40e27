package resttest

import (
	"fmt"
	"strings"
	"testing"
)

// tx is a Bundle of a type with these entries.
func tx(typ string, entries ...string) string {
	if len(entries) == 0 {
		return `{"resourceType":"Bundle","type":"` + typ + `"}`
	}
	return `{"resourceType":"Bundle","type":"` + typ + `","entry":[` + strings.Join(entries, ",") + `]}`
}

// entry is an entry with a request; more are members of request, each beginning with a comma.
func entry(method, url, resource, full string, more ...string) string {
	e := "{"
	if full != "" {
		e += `"fullUrl":"` + full + `",`
	}
	if resource != "" {
		e += `"resource":` + resource + `,`
	}
	return e + `"request":{"method":"` + method + `","url":"` + url + `"` + strings.Join(more, "") + `}}`
}

func testTransaction(t *testing.T, base string) {
	t.Run("all methods", func(t *testing.T) {
		c := client{t, base}
		family := unique("Tx")
		keep, gone, patched := c.created("Patient", patient(family)), c.created("Patient", patient(family)), c.created("Patient", patient(family))
		const urn = "urn:uuid:05efabf0-4be2-4561-91ce-51548425acb9"
		r := c.do("POST", "", tx("transaction",
			entry("GET", "Patient?family="+family, "", ""),
			entry("PUT", "Patient/"+keep, patientWithID(keep, family+"x"), ""),
			entry("POST", "Observation", observation("1-8", urn), ""),
			entry("POST", "Patient", patient(family), urn),
			entry("PATCH", "Patient/"+patched, `{"resourceType":"Binary","contentType":"application/json-patch+json","data":"W3sib3AiOiJyZXBsYWNlIiwicGF0aCI6Ii9nZW5kZXIiLCJ2YWx1ZSI6Im90aGVyIn1d"}`, ""),
			entry("DELETE", "Patient/"+gone, "", ""),
			entry("HEAD", "Patient/"+keep, "", ""),
		)).want(200)
		if r.str("type") != "transaction-response" {
			t.Fatalf("type: %s", r.raw)
		}
		got := r.entries()
		for i, want := range []string{"200 OK", "200 OK", "201 Created", "201 Created", "200 OK", "204 No Content", "200 OK"} {
			if s := got[i].Get("response").Str("status"); s != want {
				t.Errorf("entry %d: %q, want %q", i, s, want)
			}
		}
		if n := got[0].Path("resource", "entry").Len(); n != 3 {
			t.Errorf("the read saw %d, want what the changes left: 3 (the new, the updated by prefix, the patched)", n)
		}
		obs := got[2].Get("response").Str("location")
		if !strings.HasPrefix(obs, "Observation/") || !strings.HasSuffix(obs, "/_history/1") || got[2].Get("response").Str("etag") != `W/"1"` || got[2].Get("response").Get("lastModified") == nil {
			t.Errorf("response: %s", got[2].AppendJSON(nil))
		}
		made := strings.Join(strings.Split(got[3].Get("response").Str("location"), "/")[:2], "/")
		if ref := c.do("GET", "/"+obs, "").want(200).str("subject", "reference"); ref != made {
			t.Errorf("reference %q, want %q", ref, made)
		}
		if got[3].Get("resource") != nil {
			t.Error("a resource that nobody preferred")
		}
		c.do("GET", "/Patient/"+gone, "").want(410)
		if g := c.do("GET", "/Patient/"+patched, "").want(200).str("gender"); g != "other" {
			t.Errorf("patched: %s", g)
		}
	})
	t.Run("prefer", func(t *testing.T) {
		c := client{t, base}
		r := c.do("POST", "", tx("transaction", entry("POST", "Patient", patient("P"), "")), "Prefer", "return=representation").want(200)
		if e := r.entries()[0]; e.Get("resource").Str("resourceType") != "Patient" || !strings.HasPrefix(e.Str("fullUrl"), base+"/Patient/") {
			t.Errorf("representation: %s", r.raw)
		}
		r = c.do("POST", "", tx("transaction", entry("POST", "Patient", patient("P"), "")), "Prefer", "return=OperationOutcome").want(200)
		if r.at("entry", "0", "response", "outcome") == nil {
			t.Errorf("outcome: %s", r.raw)
		}
	})
	t.Run("conditional", func(t *testing.T) {
		c := client{t, base}
		mrn := unique("mrn")
		cond := "Patient?identifier=urn:test|" + mrn
		none := `,"ifNoneExist":"identifier=urn:test|` + mrn + `"`
		r := c.do("POST", "", tx("transaction", entry("POST", "Patient", identified(mrn, "A"), "", none))).want(200)
		first := r.str("entry", "0", "response", "location")
		r = c.do("POST", "", tx("transaction", entry("POST", "Patient", identified(mrn, "B"), "urn:uuid:05efabf0-4be2-4561-91ce-51548425acb1", none),
			entry("POST", "Observation", observation("1-8", "urn:uuid:05efabf0-4be2-4561-91ce-51548425acb1"), ""))).want(200)
		if got := r.str("entry", "0", "response", "location"); got != first || r.str("entry", "0", "response", "status") != "200 OK" {
			t.Errorf("If-None-Exist: %s", r.raw)
		}
		ref := c.do("GET", "/"+r.str("entry", "1", "response", "location"), "").want(200).str("subject", "reference")
		if !strings.HasPrefix(first, ref+"/") {
			t.Errorf("the reference is %s, the match %s", ref, first)
		}
		r = c.do("POST", "", tx("transaction", entry("POST", "Observation", observation("1-8", cond), ""))).want(200)
		if got := c.do("GET", "/"+r.str("entry", "0", "response", "location"), "").want(200).str("subject", "reference"); got != ref {
			t.Errorf("conditional reference: %q, want %q", got, ref)
		}
		r = c.do("POST", "", tx("transaction", entry("PUT", cond, identified(mrn, "C"), ""))).want(200)
		if r.str("entry", "0", "response", "etag") != `W/"2"` {
			t.Errorf("conditional update: %s", r.raw)
		}
		c.do("POST", "", tx("transaction", entry("PUT", ref, strings.Replace(identified(mrn, "D"), `"resourceType":"Patient",`, `"resourceType":"Patient","id":"`+strings.TrimPrefix(ref, "Patient/")+`",`, 1), "", `,"ifMatch":"W/\"1\""`))).
			wantIssue(412, "conflict", "Bundle.entry[0]")
		c.do("POST", "", tx("transaction", entry("DELETE", cond, "", ""))).want(200)
		c.do("GET", "/"+ref, "").want(410)
		c.do("POST", "", tx("transaction", entry("POST", "Observation", observation("1-8", cond), ""))).wantIssue(412, "", "Bundle.entry[0]")
	})
	t.Run("all or nothing", func(t *testing.T) {
		c := client{t, base}
		family := unique("Nothing")
		c.do("POST", "", tx("transaction",
			entry("POST", "Patient", patient(family), ""),
			entry("POST", "Patient", patient(family), ""),
			entry("POST", "Patient", `{"resourceType":"Patient","gender":"purple"}`, ""),
		)).wantIssue(400, "", "Bundle.entry[2].resource.gender")
		if r := c.do("GET", "/Patient?family="+family, "").want(200); len(r.entries()) != 0 {
			t.Errorf("half of a transaction: %s", r.raw)
		}
	})
	t.Run("refused", func(t *testing.T) {
		id := client{t, base}.created("Patient", patient("R"))
		const urn = "urn:uuid:05efabf0-4be2-4561-91ce-51548425acb2"
		for _, x := range []struct {
			name, body, text string
			status           int
		}{
			{"the same twice", tx("transaction", entry("PUT", "Patient/"+id, patientWithID(id, "A"), ""), entry("DELETE", "Patient/"+id, "", "")), "Bundle.entry[1]", 400},
			{"one fullUrl twice", tx("transaction", entry("POST", "Patient", patient("A"), urn), entry("POST", "Patient", patient("A"), urn)), "Bundle.entry[1].fullUrl", 400},
			{"no request", tx("transaction", `{"resource":`+patient("A")+`}`), "Bundle.entry[0].request", 400},
			{"no method", tx("transaction", `{"request":{"url":"Patient"}}`), "Bundle.entry[0].request.method", 400},
			{"a strange method", tx("transaction", entry("BREW", "Patient", "", "")), "Bundle.entry[0].request.method", 400},
			{"no URL", tx("transaction", `{"request":{"method":"POST"}}`), "Bundle.entry[0].request.url", 400},
			{"no resource", tx("transaction", entry("POST", "Patient", "", "")), "Bundle.entry[0]", 400},
			{"another type", tx("transaction", entry("POST", "Observation", patient("A"), "")), "Bundle.entry[0]", 400},
			{"another id", tx("transaction", entry("PUT", "Patient/"+id, patientWithID("x", "A"), "")), "Bundle.entry[0].resource.id", 400},
			{"an unknown type", tx("transaction", entry("POST", "Nonsense", patient("A"), "")), "Bundle.entry[0].request.url", 404},
			{"a search that is wrong", tx("transaction", entry("PUT", "Patient/"+id, patientWithID(id, "A"), ""), entry("GET", "Patient?nonsense=1", "", "")), "Bundle.entry[1]", 400},
			{"a misspelt condition", tx("transaction", entry("PUT", "Patient/"+id, patientWithID(id, "A"), "", `,"ifmatch":"W/\"9\""`)), "Bundle.entry[0].request.ifmatch", 400},
			{"a condition that is no text", tx("transaction", entry("PUT", "Patient/"+id, patientWithID(id, "A"), "", `,"ifMatch":9`)), "Bundle.entry[0].request.ifMatch", 400},
			{"an unknown member of an entry", tx("transaction", `{"nonsense":1,"request":{"method":"DELETE","url":"Patient/x"}}`), "Bundle.entry[0].nonsense", 400},
			{"an unknown member of the Bundle", `{"resourceType":"Bundle","type":"transaction","nonsense":1}`, "Bundle.nonsense", 400},
			{"a fullUrl that is no text", tx("transaction", `{"fullUrl":1,"request":{"method":"DELETE","url":"Patient/x"}}`), "Bundle.entry[0].fullUrl", 400},
			{"another server", tx("transaction", entry("POST", "http://example.org/fhir/Patient", patient("A"), "")), "Bundle.entry[0].request.url", 400},
			{"a method that is not served there", tx("transaction", entry("PUT", "metadata", patient("A"), "")), "Bundle.entry[0]", 405},
			{"a transaction within", tx("transaction", entry("POST", "/", tx("transaction"), "")), "Bundle.entry[0]", 400},
			{"an entry that is no object", tx("transaction", `"x"`), "Bundle.entry[0]", 400},
			{"entry is no array", `{"resourceType":"Bundle","type":"transaction","entry":{"x":1}}`, "Bundle.entry", 400},
			{"an unknown search parameter", tx("transaction", entry("PUT", "Patient?nonsense=1", patient("A"), "")), "nonsense", 400},
			{"a reference to nothing in the set", tx("transaction", entry("POST", "Observation", observation("1-8", "urn:uuid:05efabf0-4be2-4561-91ce-51548425acb3"), "")), "", 0},
			{"a searchset", tx("searchset"), "Bundle.type", 400},
			{"a document", tx("document"), "Bundle.type", 400},
			{"no type", `{"resourceType":"Bundle"}`, "Bundle.type", 400},
			{"no Bundle", patient("A"), "Bundle", 400},
			{"too many entries", tx("transaction", repeat(MaxEntries+1)...), "Bundle.entry", 413},
		} {
			c := client{t, base}
			r := c.do("POST", "", x.body)
			if x.status == 0 {
				continue
			}
			if r.status != x.status {
				t.Errorf("%s: status %d, want %d: %.300s", x.name, r.status, x.status, r.raw)
				continue
			}
			r.wantIssue(x.status, "", x.text)
		}
		client{t, base}.do("GET", "/Patient/"+id, "").want(200).wantHeader("Etag", `W/"1"`)
	})
	t.Run("empty", func(t *testing.T) {
		r := client{t, base}.do("POST", "", tx("transaction")).want(200)
		if r.str("type") != "transaction-response" {
			t.Errorf("%s", r.raw)
		}
		client{t, base}.do("POST", "/", tx("batch")).want(200)
	})
}

func repeat(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = entry("DELETE", fmt.Sprintf("Patient/none-%d", i), "", "")
	}
	return out
}

func testBatch(t *testing.T, base string) {
	c := client{t, base}
	family := unique("Batch")
	id := c.created("Patient", patient(family))
	r := c.do("POST", "", tx("batch",
		entry("GET", "Patient/"+id, "", ""),
		entry("POST", "Patient", patient(family), ""),
		entry("POST", "Patient", `{"resourceType":"Patient","gender":"purple"}`, ""),
		entry("GET", "Patient/never-was", "", ""),
		entry("PUT", "Patient/"+id, patientWithID(id, family+"2"), "", `,"ifMatch":"W/\"9\""`),
		entry("GET", "Patient/"+id, "", "", `,"ifNoneMatch":"W/\"1\""`),
		entry("GET", "Nonsense", "", ""),
		entry("GET", "metadata", "", ""),
		`{"request":{"method":"GET"}}`,
		entry("POST", "Patient/$validate", patient(family), ""),
		entry("GET", base+"/Patient?family="+family, "", ""),
		entry("POST", "", tx("batch"), ""),
		entry("DELETE", "Patient/never-was", "", ""),
		entry("GET", "Patient?_format=xml", "", ""),
	)).want(200)
	if r.str("type") != "batch-response" {
		t.Fatalf("type: %s", r.raw)
	}
	for i, want := range []string{"200 OK", "201 Created", "400 Bad Request", "404 Not Found", "412 Precondition Failed", "304 Not Modified", "404 Not Found",
		"200 OK", "400 Bad Request", "200 OK", "200 OK", "400 Bad Request", "204 No Content", "406 Not Acceptable"} {
		e := r.entries()[i]
		status := e.Get("response").Str("status")
		if !strings.HasPrefix(status, want) {
			t.Errorf("entry %d: %q, want %q: %.300s", i, status, want, e.AppendJSON(nil))
		}
		failed := status[0] == '4'
		if failed != (e.Path("response", "outcome", "issue") != nil) {
			t.Errorf("entry %d: outcome: %.300s", i, e.AppendJSON(nil))
		}
	}
	if e := r.entries()[0]; e.Get("resource").Str("id") != id || e.Str("fullUrl") != base+"/Patient/"+id {
		t.Errorf("read: %s", e.AppendJSON(nil))
	}
	if e := r.entries()[2]; !strings.Contains(string(e.AppendJSON(nil)), "Bundle.entry[2].resource.gender") {
		t.Errorf("the place of an error: %s", e.AppendJSON(nil))
	}
	t.Run("the same resource keeps its order", func(t *testing.T) {
		c := client{t, base}
		id := unique("order")
		var list []string
		for i := range 20 {
			list = append(list, entry("PUT", "Patient/"+id, patientWithID(id, fmt.Sprintf("n%d", i)), ""))
		}
		c.do("POST", "", tx("batch", list...)).want(200)
		r := c.do("GET", "/Patient/"+id, "").want(200).wantHeader("Etag", `W/"20"`)
		if r.str("name", "0", "family") != "n19" {
			t.Errorf("last: %s", r.raw)
		}
	})
	c.do("POST", "", tx("batch", repeat(MaxEntries+1)...)).want(413)
}
