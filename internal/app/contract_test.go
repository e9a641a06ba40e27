package app

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/nilecare/nilecare/internal/testfind"
)

// promised is a row of a list of what is promised to clients.
type promised struct {
	service      string // whose it is there
	port         int    // 0: not said
	method, path string
}

// later are the services whose rows are not served yet, with the reason. A row of theirs that is served all the same is wrong here, so that the list cannot go stale.
var later = map[string]string{
	"billing":    "invoices and claims are a later stage: today there are figures alone",
	"payment":    "payments are a later stage, and have no service yet",
	"payments":   "payments are a later stage, and have no service yet",
	"lab":        "orders and results are a later stage: today there are figures alone",
	"medication": "prescriptions are a later stage: today there are figures alone",
	"devices":    "devices are a later stage, and have no service yet",
	"cds":        "decision support is a later stage, and has no service yet",
	"inventory":  "the stock is a later stage, and has no service yet",
}

// laterPaths are paths of services that are served otherwise.
var laterPaths = map[string]string{
	"/api/v1/analytics/": "analyses of revenue and volumes are a later stage: they need invoices and laboratory orders",
}

// isLater says why a row is not served yet; "": it must be.
func (p promised) isLater() string {
	for prefix, why := range laterPaths {
		if strings.HasPrefix(p.path, prefix) {
			return why
		}
	}
	if strings.HasPrefix(p.path, "/api/v1/stats/") {
		return ""
	}
	return later[p.service]
}

// shapeOfPath is a path without its variables' names, which each list has its own of.
func shapeOfPath(path string) string {
	return regexp.MustCompile(`:\w+|\{\w+\}`).ReplaceAllString(path, "{}")
}

// listed reads the table of endpoints: service, port, method and path, with tabs between.
func listed(t *testing.T) []promised {
	text, err := os.ReadFile(testfind.Shared(t, "contract", "endpoints.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	var out []promised
	for line := range strings.Lines(string(text)) {
		f := strings.Split(strings.TrimSpace(line), "\t")
		if len(f) != 4 {
			t.Fatalf("no row: %q", line)
		}
		if f[0] == "service" {
			continue
		}
		port, err := strconv.Atoi(f[1])
		if err != nil {
			t.Fatalf("no port: %q", line)
		}
		out = append(out, promised{f[0], port, f[2], f[3]})
	}
	return out
}

// asked reads what the newer one of two front ends asks.
func asked(t *testing.T) []promised {
	file, err := os.Open(testfind.Shared(t, "contract", "nilecare.json.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	z, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	var rows []struct {
		Service, Method, Path string
		Clients               []string
	}
	if err := json.NewDecoder(z).Decode(&rows); err != nil {
		t.Fatal(err)
	}
	var out []promised
	for _, r := range rows {
		if slices.Contains(r.Clients, "NF") {
			out = append(out, promised{service: r.Service, method: r.Method, path: r.Path})
		}
	}
	return out
}

// describedRoute is what the description says of a route.
type describedRoute struct {
	Summary   string
	Responses map[string]struct {
		Content map[string]struct{ Schema json.RawMessage }
	}
}

// description is the server's own description of its API.
type description struct {
	Paths      map[string]map[string]describedRoute
	Components struct{ Schemas map[string]json.RawMessage }
}

func (c *clinic) description() description {
	c.t.Helper()
	w := httptest.NewRecorder()
	c.h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://127.0.0.1:7000/openapi.json", nil))
	var d description
	if err := json.Unmarshal(w.Body.Bytes(), &d); err != nil || w.Code != http.StatusOK {
		c.t.Fatalf("%d %v", w.Code, err)
	}
	return d
}

// vague says what an operation's description lacks; "": nothing.
func (d *description) vague(o describedRoute) string {
	if strings.TrimSpace(o.Summary) == "" {
		return "it has no summary"
	}
	schema := o.Responses["2XX"].Content["application/json"].Schema
	s := d.open(schema)
	if data, enveloped := s.Properties["data"]; enveloped && s.Properties["metadata"] != nil {
		s = d.open(data)
	}
	if s.Type == "" || s.Type == "object" && len(s.Properties) == 0 && len(s.Additional) == 0 {
		return fmt.Sprintf("its answer has no schema: %s", schema)
	}
	return ""
}

type schema struct {
	Ref        string `json:"$ref"`
	Type       string
	Properties map[string]json.RawMessage
	Additional json.RawMessage `json:"additionalProperties"`
}

// open reads a schema, following its reference.
func (d *description) open(text json.RawMessage) schema {
	var s schema
	if len(text) == 0 || json.Unmarshal(text, &s) != nil {
		return schema{}
	}
	if name, ok := strings.CutPrefix(s.Ref, "#/components/schemas/"); ok {
		return d.open(d.Components.Schemas[name])
	}
	return s
}

// TestWhatIsPromisedIsServed: each row of the table of endpoints, and each call of an existing front end, is a route, of the service and at the port that it is promised at, and is described by a
// summary and a schema of its answer; what belongs to a later stage is named in this file, and is not served.
func TestWhatIsPromisedIsServed(t *testing.T) {
	for name, rows := range map[string]func(*testing.T) []promised{"the table of endpoints": listed, "the calls of a front end": asked} {
		t.Run(name, func(t *testing.T) {
			all := rows(t) // skips, before anything is opened
			c := newClinic(t)
			d := c.description()
			at := map[string]int{}
			for _, s := range services() {
				at[s.name] = s.port
			}
			served := map[string]ownedRoute{}
			for _, r := range c.x.ownedRoutes() {
				served[r.Method+" "+shapeOfPath(r.Path)] = r
			}
			if len(all) < 90 {
				t.Fatalf("only %d rows were read", len(all))
			}
			checked, excluded := 0, 0
			for _, p := range all {
				route, ok := served[p.method+" "+shapeOfPath(p.path)]
				why := p.isLater()
				switch {
				case why != "" && ok:
					t.Errorf("%s %s of %s is served: take it out of the list of what comes later (%s)", p.method, p.path, p.service, why)
				case why != "":
					excluded++
				case !ok:
					t.Errorf("%s %s of %s is not served", p.method, p.path, p.service)
				default:
					checked++
					if p.port != 0 && p.service != gatewayService && at[route.Service] != p.port {
						t.Errorf("%s %s stands at port %d (%s), want %d", p.method, p.path, at[route.Service], route.Service, p.port)
					}
					if wrong := d.vague(d.Paths[route.Path][strings.ToLower(p.method)]); wrong != "" {
						t.Errorf("%s %s is described badly: %s", p.method, p.path, wrong)
					}
				}
			}
			t.Logf("%d rows: %d are served and described, %d come later", len(all), checked, excluded)
		})
	}
}
