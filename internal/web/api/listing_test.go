package api_test

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/web"
	"github.com/nilecare/nilecare/internal/web/api"
)

type address struct {
	City string `json:"city"`
	Zip  string `json:"zip,omitempty"`
}

type person struct {
	ID      string   `json:"id"`
	Name    string   `json:"name"`
	Middle  string   `json:"middle,omitempty"`
	Address *address `json:"address,omitempty"`
	Phones  []string `json:"phones,omitempty"`
}

type people struct {
	People []person `json:"people"`
	Count  int      `json:"count"`
}

type onePerson struct {
	person
	Person person `json:"person"`
}

func ann() person { return person{ID: "1", Name: "Ann", Address: &address{City: "Omdurman", Zip: "1"}} }

func get(path string, out any, data func() any) api.Route {
	return api.Route{Method: "GET", Path: path, Need: api.Public(), Summary: "x", Out: out,
		Serve: func(w http.ResponseWriter, r *http.Request) error { return api.Answer(w, r, http.StatusOK, data()) }}
}

func TestFieldsChooseWhatIsAnswered(t *testing.T) {
	list := api.Route{Method: "GET", Path: "/list", Need: api.Public(), Summary: "x", Out: people{}, Serve: func(w http.ResponseWriter, r *http.Request) error {
		return api.List(w, r, people{[]person{ann(), {ID: "2", Name: "Ben"}}, 2}, api.Page{Page: 1, Limit: 20, Total: 2})
	}}
	s := serve(t, web.Options{}, list,
		get("/untyped", nil, func() any { return people{[]person{ann()}, 1} }),
		get("/empty", nil, func() any { return people{[]person{}, 0} }),
		get("/bare", []person{}, func() any { return []person{ann()} }),
		get("/both", onePerson{}, func() any { return onePerson{ann(), ann()} }),
		get("/named", nil, func() any { return map[string]any{"person": ann()} }),
		get("/other", nil, func() any {
			return map[string]any{"id": "9", "name": "visit", "person": ann(), "visit": map[string]any{"id": "9", "name": "visit"}}
		}))
	for _, x := range []struct{ path, want string }{
		{"/list?fields=id", `{"people":[{"id":"1"},{"id":"2"}],"count":2,"pagination":`},
		{"/list?fields=name,address.city", `{"people":[{"name":"Ann","address":{"city":"Omdurman"}},{"name":"Ben"}],"count":2`},
		{"/list?fields=middle", `{"people":[{},{}],"count":2`}, // none has it, and yet there is such a field
		{"/list?fields=", `{"people":[{"id":"1","name":"Ann"`},
		{"/list?fields=address,address.zip&fields=id", `{"people":[{"id":"1","address":{"city":"Omdurman","zip":"1"}},{"id":"2"}]`},
		{"/untyped?fields=address.zip", `{"people":[{"address":{"zip":"1"}}],"count":1}`},
		{"/empty?fields=anything", `{"people":[],"count":0}`},
		{"/bare?fields=id", `[{"id":"1"}]`},
		{"/both?fields=id", `{"id":"1","person":{"id":"1"}}`},
		{"/both?fields=person", `{"person":{"id":"1","name":"Ann","address":`},
		{"/named?fields=name", `{"person":{"name":"Ann"}}`},
		{"/other?fields=name", `{"name":"visit","visit":{"name":"visit"}}`},
		{"/other?fields=person.name", `{"person":{"name":"Ann"},"visit":{}}`},
	} {
		res, err := http.Get(s.URL + x.path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if res.StatusCode != 200 || !strings.Contains(string(body), `"data":`+x.want) {
			t.Errorf("%s: %d %s", x.path, res.StatusCode, body)
		}
	}
	for path, says := range map[string]string{
		"/list?fields=id,nome": "there is no field nome", "/list?fields=address.street": "address.street", "/list?fields=name.first": "name.first",
		"/untyped?fields=nome": "there is no field nome", "/untyped?fields=middle": "middle", "/list?fields=a..b": "names of members", "/list?fields=a%20b": "names of members",
		"/list?fields=" + strings.Repeat("id,", 101): "more than 100",
	} {
		res, out := ask(t, s, "GET", path, "")
		if res.StatusCode != 400 || !strings.Contains(fmt.Sprint(at(out, "error.message")), says) || !strings.Contains(text(t, at(out, "error.details")), `"field":"fields"`) {
			t.Errorf("%s: %d %v", path, res.StatusCode, out)
		}
	}
}

func TestParametersAreHeldByTheFrame(t *testing.T) {
	listing := route("GET", "/things", api.Public())
	listing.Params = api.Paged(api.Param{Name: "status", Enum: []string{"open", "closed"}, Many: true}, api.Param{Name: "from", Type: api.Date}, api.Param{Name: "at", Type: api.DateTime},
		api.Param{Name: "old", Type: api.Truth}, api.Param{Name: "n", Type: api.Whole}, api.Param{Name: "x", Type: api.Number})
	needs := route("GET", "/needs", api.Public())
	needs.Params = []api.Param{{Name: "q", Required: true}}
	hand := route("GET", "/hand", api.Public())
	hand.Query = []string{"a"}
	hand.Serve = func(w http.ResponseWriter, r *http.Request) error {
		if err := api.Only(r, "b"); err != nil {
			return err
		}
		return ok(w, r)
	}
	none := route("GET", "/none", api.Public())
	none.Params = []api.Param{}
	s := serve(t, web.Options{}, listing, needs, hand, none, route("GET", "/free", api.Public()))
	for _, path := range []string{"/things", "/things?page=2&limit=100&cursor=abc&status=open,closed&status=open&from=2026-01-31&at=2026-01-31T10:00:00%2B02:00&old=true&n=-3&x=1.5&fields=id",
		"/things?status=&from=&page=", "/things?at=2026-01-31", "/needs?q=1", "/none", "/none?fields=id", "/hand?a=1&b=2&fields=id", "/free?anything=1"} {
		if res, out := ask(t, s, "GET", path, ""); res.StatusCode != 200 {
			t.Errorf("%s: %d %v", path, res.StatusCode, out)
		}
	}
	for path, want := range map[string]string{"/things?statu=open": "statu", "/things?status=shut": "status", "/things?status=open,shut": "status", "/things?from=31.1.2026": "from", "/things?at=noon": "at",
		"/things?old=yes": "old", "/things?n=1.5": "n", "/things?x=y": "x", "/things?page=0": "page", "/things?limit=101": "limit", "/things?from=2026-01-01&from=2026-01-02": "from",
		"/needs": "q", "/needs?q=": "q", "/hand?c=1": "c", "/none?c=1": "c"} {
		res, out := ask(t, s, "GET", path, "")
		if res.StatusCode != 400 || !strings.Contains(text(t, at(out, "error.details")), `"field":"`+want+`"`) {
			t.Errorf("%s: %d %v", path, res.StatusCode, out)
		}
	}
}

func exporting(n int, fail error) api.Route {
	return api.Route{Method: "GET", Path: "/people", Need: api.Public(), Summary: "x", Out: people{}, Exports: true, Params: api.Paged(), Serve: func(w http.ResponseWriter, r *http.Request) error {
		file, err := api.Exports(r)
		if err != nil {
			return err
		}
		if !file {
			return api.List(w, r, people{People: []person{ann()}}, api.Page{Page: 1, Limit: 20, Total: n})
		}
		return api.Export(w, r, "people of/today", nil, func(yield func(any) error) error {
			for i := range n {
				p := person{ID: fmt.Sprint(i), Name: "=cmd()", Phones: []string{"+249912345678", "x, \"y\""}}
				if i%2 == 1 {
					p = ann()
				}
				if err := yield(p); err != nil {
					return err
				}
			}
			return fail
		})
	}}
}

func fetch(t *testing.T, url string, headers ...string) (*http.Response, string, error) {
	t.Helper()
	req, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return res, string(body), err
}

func TestAListingAsAFile(t *testing.T) {
	s := serve(t, web.Options{}, exporting(3, nil))
	res, body, err := fetch(t, s.URL+"/people?format=csv")
	want := "id,name,middle,address.city,address.zip,phones\r\n0,'=cmd(),,,,\"'+249912345678; x, \"\"y\"\"\"\r\n1,Ann,,Omdurman,1,\r\n2,'=cmd(),,,,\"'+249912345678; x, \"\"y\"\"\"\r\n"
	if err != nil || body != want || res.Header.Get("Content-Disposition") != `attachment; filename="people-of-today.csv"` || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/csv") {
		t.Errorf("%v\n%q\n%q\n%v", err, body, want, res.Header)
	}
	if rows, err := csv.NewReader(strings.NewReader(body)).ReadAll(); err != nil || len(rows) != 4 {
		t.Errorf("%v %v", rows, err)
	}
	if _, body, _ := fetch(t, s.URL+"/people?format=csv&bom=true&fields=name,address.city"); !strings.HasPrefix(body, "\ufeffname,address.city\r\n'=cmd(),\r\nAnn,Omdurman\r\n") {
		t.Errorf("%q", body)
	}
	res, body, _ = fetch(t, s.URL+"/people?fields=id", "Accept", "application/x-ndjson")
	if body != "{\"id\":\"0\"}\n{\"id\":\"1\"}\n{\"id\":\"2\"}\n" || !strings.HasPrefix(res.Header.Get("Content-Type"), "application/x-ndjson") {
		t.Errorf("%q %v", body, res.Header)
	}
	if _, body, _ := fetch(t, s.URL+"/people", "Accept", "text/csv, */*;q=0.1"); !strings.HasPrefix(body, "id,name,") {
		t.Errorf("%q", body)
	}
	for _, accept := range []string{"application/json, text/csv", "*/*", ""} {
		if _, body, _ := fetch(t, s.URL+"/people", "Accept", accept); !strings.HasPrefix(body, `{"success":true,"data":{"people":[`) {
			t.Errorf("%s: %q", accept, body)
		}
	}
	for _, q := range []string{"format=xls", "format=csv&fields=nothing", "format=csv&bom=maybe"} {
		if res, out := ask(t, s, "GET", "/people?"+q, ""); res.StatusCode != 400 || res.Header.Get("Content-Disposition") != "" {
			t.Errorf("%s: %d %v", q, res.StatusCode, out)
		}
	}
}

func TestAFileThatCannotBeFinishedIsNoWholeFile(t *testing.T) {
	for name, x := range map[string]struct {
		n      int
		fail   error
		status int // 0: cut off
	}{
		"at its beginning":     {3, fault.New(fault.Forbidden, "no"), 403},
		"in the middle":        {5000, errors.New("the disk"), 0},
		"more than the bound":  {api.MaxExport + 1, nil, 0},
		"as much as the bound": {api.MaxExport, nil, 200},
	} {
		s := serve(t, web.Options{}, exporting(x.n, x.fail))
		res, body, err := fetch(t, s.URL+"/people?format=ndjson")
		switch {
		case x.status == 0 && err == nil:
			t.Errorf("%s: %d bytes were given for the whole", name, len(body))
		case x.status != 0 && (err != nil || res.StatusCode != x.status):
			t.Errorf("%s: %d %v", name, res.StatusCode, err)
		case x.status == 200 && strings.Count(body, "\n") != x.n:
			t.Errorf("%s: %d lines", name, strings.Count(body, "\n"))
		}
	}
	if err := api.Exportable(api.MaxExport + 1); !fault.Is(err, fault.TooCostly) {
		t.Error(err)
	}
	if err := api.Exportable(api.MaxExport); err != nil {
		t.Error(err)
	}
}

func TestBulkTellsOfEachItem(t *testing.T) {
	each := func(_ context.Context, i int, item json.RawMessage) (any, error) {
		var in struct{ Name string }
		if err := api.Item(item, &in); err != nil {
			return nil, err
		}
		switch in.Name {
		case "there":
			return api.Outcome{Status: 200, Data: map[string]int{"i": i}}, nil
		case "taken":
			return nil, fault.New(fault.Conflict, "is taken").WithCode("NAME_TAKEN")
		case "broken":
			return nil, errors.New("the secret of the database")
		case "unsayable":
			return func() {}, nil
		}
		return map[string]string{"name": in.Name}, nil
	}
	make := func(method string) api.Route {
		return api.Route{Method: method, Path: "/people/bulk", Need: api.Public(), Summary: "x", In: api.BulkIn, Out: api.BulkOut{},
			Serve: func(w http.ResponseWriter, r *http.Request) error { return api.Bulk(w, r, each) }}
	}
	s := serve(t, web.Options{}, make("POST"), make("PUT"))
	res, out := ask(t, s, "POST", "/people/bulk", `{"items":[{"name":"a"},{"name":"taken"},{"name":5},"x",{"name":"there"},{"name":"broken"},{"name":"unsayable"}]}`)
	id := res.Header.Get("X-Request-Id")
	want := `{"failed":5,"results":[{"data":{"name":"a"},"index":0,"status":201},` +
		`{"error":{"code":"NAME_TAKEN","details":[{"message":"is taken"}],"message":"is taken","statusCode":409},"index":1,"status":409},` +
		`{"error":{"code":"VALIDATION_ERROR","details":[{"field":"Name","message":"a string is expected, not a number"}],"message":"Name: a string is expected, not a number","statusCode":400},"index":2,"status":400},` +
		`{"error":{"code":"VALIDATION_ERROR","details":[{"message":"the item: an object is expected"}],"message":"the item: an object is expected","statusCode":400},"index":3,"status":400},` +
		`{"data":{"i":4},"index":4,"status":200},`
	if got := text(t, at(out, "data")); res.StatusCode != 207 || !strings.HasPrefix(got, want) || strings.Contains(got, "secret") || strings.Count(got, id) != 4 || at(out, "success") != true {
		t.Errorf("%d %s\nwant %s", res.StatusCode, got, want)
	}
	if res, out := ask(t, s, "PUT", "/people/bulk", `[{"name":"a"},{"name":"b"}]`); res.StatusCode != 200 || at(out, "data.succeeded") != 2.0 || !strings.Contains(text(t, out), `"status":200`) {
		t.Errorf("%d %v", res.StatusCode, out)
	}
	for body, says := range map[string]string{``: "empty", `{}`: "items", `{"items":[]}`: "items", `[]`: "items", `"x"`: "a list", `{"items":5}`: "items", `[1`: "no valid JSON",
		`[` + strings.Repeat(`{},`, api.MaxBulk) + `{}]`: "at most 500"} {
		if res, out := ask(t, s, "POST", "/people/bulk", body); res.StatusCode != 400 || !strings.Contains(fmt.Sprint(at(out, "error.message")), says) {
			t.Errorf("%.20s: %d %v", body, res.StatusCode, out)
		}
	}
}

func TestBulkSaysWhatWasNotTried(t *testing.T) {
	s := serve(t, web.Options{}, api.Route{Method: "POST", Path: "/bulk", Need: api.Public(), Summary: "x", Serve: func(w http.ResponseWriter, r *http.Request) error {
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		return api.Bulk(w, r.WithContext(ctx), func(_ context.Context, i int, _ json.RawMessage) (any, error) {
			if i == 1 {
				cancel()
			}
			return i, nil
		})
	}})
	_, out := ask(t, s, "POST", "/bulk", `[1,2,3,4]`)
	if got := text(t, out); at(out, "data.succeeded") != 2.0 || strings.Count(got, `"status":503`) != 2 {
		t.Error(got)
	}
}
