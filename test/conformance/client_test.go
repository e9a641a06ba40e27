package conformance

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/nilecare/nilecare/internal/fhir"
)

// client speaks to a FHIR server.
type client struct {
	http *http.Client
	base string
}

func newClient(base string) client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost, t.DisableCompression = 16, true
	return client{&http.Client{Transport: t}, base}
}

// do sends a request and returns the status and the body. A path that is a whole URL is taken as it is.
func (c client) do(method, path string, body []byte) (int, []byte, error) {
	if !strings.HasPrefix(path, c.base) {
		path = c.base + path
	}
	req, err := http.NewRequest(method, path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", "application/fhir+json")
	req.Header.Set("Prefer", "return=minimal")
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, text, err
}

// answer is one page of a search.
type answer struct {
	total    string   // "" where it is not told
	matches  []string // Type/id
	included []string
	next     string
}

// search asks for one page; query begins with the type, or with "?".
func (c client) search(query string) (answer, error) {
	var a answer
	if !strings.HasPrefix(query, c.base) {
		query = c.base + "/" + query
	}
	status, text, err := c.do(http.MethodGet, query, nil)
	if err != nil {
		return a, err
	}
	if status != http.StatusOK {
		return a, fmt.Errorf("status %d: %.300s", status, text)
	}
	bundle, err := fhir.ParseResource(text)
	if err != nil {
		return a, err
	}
	if n := bundle.Get("total"); n != nil {
		a.total = n.Text
	}
	for l := bundle.Get("link").First(); l != nil; l = l.Next() {
		if l.Str("relation") == "next" {
			a.next = l.Str("url")
		}
	}
	for e := bundle.Get("entry").First(); e != nil; e = e.Next() {
		r := e.Get("resource")
		name := r.Str("resourceType") + "/" + r.Str("id")
		switch mode := e.Get("search").Str("mode"); mode {
		case "match":
			a.matches = append(a.matches, name)
		case "include":
			a.included = append(a.included, name)
		default:
			return a, fmt.Errorf("an entry's mode is %q", mode)
		}
	}
	return a, nil
}

// ask makes the query of a type by one parameter, with more parameters as they are.
func ask(typ, param, value, more string) string {
	return typ + "?" + url.QueryEscape(param) + "=" + url.QueryEscape(value) + more
}
