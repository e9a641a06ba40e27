package resttest

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"strings"
	"testing"
)

// testMalformed sends what no client should, everywhere. No answer may be a 5xx, which every reply is checked for; where
// one answer alone is right, it is named.
func testMalformed(t *testing.T, base string) {
	id := client{t, base}.created("Patient", patient(unique("Mal")))
	t.Run("bodies", func(t *testing.T) {
		deep := strings.Repeat(`{"extension":[`, 5000)
		for _, x := range []struct {
			name, body, text string
			status           int
		}{
			{"nothing", " ", "JSON", 400},
			{"an open brace", "{", "byte 1", 400},
			{"a broken member", `{"resourceType":"Patient","a"}`, "byte", 400},
			{"text behind", patient("x") + "x", "byte", 400},
			{"an array", `["x"]`, "", 400},
			{"a string", `"Patient"`, "", 400},
			{"a number", `1`, "", 400},
			{"null", `null`, "", 400},
			{"no resourceType", `{"id":"x"}`, "resourceType", 400},
			{"a resourceType that is none", `{"resourceType":1}`, "", 400},
			{"another resourceType", `{"resourceType":"Observation"}`, "", 400},
			{"an unknown resourceType", `{"resourceType":"Nonsense"}`, "", 400},
			{"a member twice", `{"resourceType":"Patient","active":true,"active":false}`, "twice", 400},
			{"a null member", `{"resourceType":"Patient","active":null}`, "null", 400},
			{"an empty array", `{"resourceType":"Patient","name":[]}`, "empty", 400},
			{"deep nesting", `{"resourceType":"Patient","extension":[` + deep, "nested", 400},
			{"bad UTF-8", "{\"resourceType\":\"Patient\",\"id\":\"\xff\xfe\"}", "UTF-8", 400},
			{"a byte order mark", "\ufeff" + patient("x"), "", 400},
			{"half a surrogate", `{"resourceType":"Patient","id":"\ud800"}`, "", 400},
			{"U+0000", `{"resourceType":"Patient","language":"a\u0000"}`, "", 400},
			{"XML", `<Patient/>`, "", 400},
			{"too large", `{"resourceType":"Patient","language":"` + strings.Repeat("x", MaxBody) + `"}`, "larger", 413},
		} {
			c := client{t, base}
			c.do("POST", "/Patient", x.body).wantIssue(x.status, "", x.text)
			c.do("PUT", "/Patient/"+id, x.body).want(x.status)
			c.do("POST", "", x.body).want(x.status)
			c.do("POST", "/Patient/$validate", x.body)
			c.do("PATCH", "/Patient/"+id, x.body, "Content-Type", "application/json-patch+json")
			c.do("POST", "/Patient/_search", x.body, "Content-Type", "application/x-www-form-urlencoded")
		}
		client{t, base}.do("POST", "/Patient", "").want(415)
		client{t, base}.do("GET", "/Patient/"+id, "").want(200).wantHeader("Etag", `W/"1"`)
	})
	t.Run("urls", func(t *testing.T) {
		for _, path := range []string{
			"/%00", "/Patient/%00", "/Patient/%ff", "/Patient/a%2Fb", "/Patient/..%2f..", "/Patient//" + id, "//Patient", "/Patient/" + id + "/_history/1/2", "/a/b/c/d/e/f/g",
			"/Patient/" + strings.Repeat("x", 65), "/Patient/" + strings.Repeat("x", 5000), "/_nonsense", "/Patient/_nonsense", "/Patient/" + id + "/_nonsense",
			"/Patient?%00=1", "/Patient?family=%00", "/Patient?family=%ff", "/Patient?family=%zz", "/Patient?=", "/Patient?&&&", "/Patient?family", "/Patient?family=",
			"/Patient?family=" + strings.Repeat("x", 20000), "/Patient?" + strings.Repeat("family=a&", 2000), "/Patient?family=" + strings.Repeat("a,", 2000),
			"/Patient?_id=" + strings.Repeat("a,", 500), "/Patient?_count=x", "/Patient?_count=-1", "/Patient?_count=99999999999999999999", "/Patient?_count=1000000",
			"/Patient?_sort=nonsense", "/Patient?_sort=", "/Patient?_sort=-", "/Patient?_cursor=nonsense", "/Patient?_cursor=%00", "/Patient?_total=nonsense",
			"/Patient?birthdate=nonsense", "/Patient?birthdate=2020-13-45", "/Patient?birthdate=eq", "/Patient?birthdate=xx2020", "/Patient?_lastUpdated=nonsense",
			"/Patient?_include=x", "/Patient?_include=*", "/Patient?_include=:::", "/Patient?_revinclude=Nonsense:x", "/Patient?_has:x=1", "/Patient?_has:Observation:patient:code=x",
			"/Patient?_has:::=x", "/Patient?organization.name=x", "/Patient?organization.organization.organization.organization=x", "/Patient?" + strings.Repeat("link.", 50) + "name=x",
			"/Patient?family:nonsense=x", "/Patient?family:=x", "/Patient?:=x", "/Patient?identifier=|||||", "/Patient?identifier=|", "/Patient?identifier=%5C",
			"/Observation?value-quantity=nonsense", "/Observation?value-quantity=5.4||||", "/Observation?value-quantity=1e999999", "/Observation?value-quantity=NaN", "/Observation?code-value-quantity=$$$",
			"/Observation?code-value-quantity=a$", "/Observation?subject=/////", "/Observation?subject:Nonsense=1", "/Observation?subject:Patient.nonsense=1", "/Observation?date=" + strings.Repeat("9", 400),
			"/Patient?_elements=" + strings.Repeat("x,", 1000), "/Patient?_elements=,", "/Patient?_summary=", "/Patient?_format=", "/Patient?_pretty=x", "/Patient?_text=x", "/Patient?_content=x",
			"/Patient?_filter=x", "/Patient?_query=x", "/Patient?_list=x", "/Location?near=x", "/Location?near=1|2|3|4|5", "/Patient?_type=x", "/?_type=", "/?family=x", "/Patient?_contained=x",
			"/_history?_count=99999999999", "/_history?_since=%00", "/Patient/" + id + "/_history?_cursor=%00", "/Patient/" + id + "/$everything?_cursor=x", "/Patient/" + id + "/$everything?_count=x",
			"/Patient/" + id + "/*?_type=x", "/metadata/x", "/Patient/" + id + "?_elements=", "/Patient/" + id + "?_summary=x", "/Patient/$", "/$", "/Patient/" + id + "/$",
		} {
			for _, method := range []string{"GET", "DELETE", "PUT", "POST", "PATCH"} {
				c := client{t, base}
				body := ""
				if method != "GET" && method != "DELETE" {
					body = `{"resourceType":"Parameters"}`
				}
				c.do(method, path, body)
			}
		}
		client{t, base}.do("GET", "/Patient/"+id, "").want(200).wantHeader("Etag", `W/"1"`)
	})
	client{t, base}.do("GET", base+"Patient", "").want(404)
	t.Run("headers", func(t *testing.T) {
		for _, name := range []string{"If-Match", "If-None-Match", "If-Modified-Since", "If-None-Exist", "Prefer", "Accept", "Accept-Encoding", "Content-Type", "X-Request-Id", "Traceparent", "Range", "Expect", "Host"} {
			if name == "Expect" || name == "Host" {
				continue // net/http's own
			}
			for _, value := range []string{"*", ",", ";", `"`, `W/"`, "\xff", "=", "a=b;c", strings.Repeat("x,", 3000), "%00", "-1", "W/\"99999999999999999999\""} {
				c := client{t, base}
				c.do("GET", "/Patient/"+id, "", name, value)
				c.do("PUT", "/Patient/"+id, `{"resourceType":"Patient","id":"`+id+`","gender":"purple"}`, name, value)
				c.do("POST", "/Patient", `{"resourceType":"Patient","gender":"purple"}`, name, value)
			}
		}
	})
	t.Run("compression", func(t *testing.T) {
		send := func(coding string, body []byte) *reply {
			req, err := http.NewRequest("POST", base+"/Patient", bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/fhir+json")
			req.Header.Set("Content-Encoding", coding)
			return client{t, base}.send(req)
		}
		send("gzip", gzipped(t, patient("Zip"))).want(201)
		send("gzip", []byte("no gzip")).want(400)
		send("gzip", gzipped(t, patient("Zip"))[:40]).want(400)
		send("zstd", []byte("no zstd")).want(400)
		send("deflate", []byte("no deflate")).want(400)
		send("nonsense", []byte(patient("x"))).want(415)
		send("gzip", gzipped(t, `{"resourceType":"Patient","language":"`+strings.Repeat("x", MaxBody)+`"}`)).want(413)
	})
}

func gzipped(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
