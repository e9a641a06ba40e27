package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nilecare/nilecare/bench/meter"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/validate"
)

// clinic is as much of a FHIR server as the driver asks for. It refuses what is not valid.
type clinic struct {
	t    *testing.T
	mu   sync.Mutex
	base string
	all  map[string]*fhir.Resource
	keys []string
}

func (c *clinic) put(typ string, r *fhir.Resource) string {
	id := r.ID()
	if id == "" {
		id = fmt.Sprint(1000 + len(c.all))
		r.Set("id", fhir.NewString(id))
	}
	key := typ + "/" + id
	if c.all[key] == nil {
		c.keys = append(c.keys, key)
	}
	c.all[key] = r
	return key
}

func (c *clinic) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	path := strings.TrimPrefix(req.URL.Path, "/fhir")
	body, _ := io.ReadAll(req.Body)
	switch {
	case req.Method == "GET" && strings.Count(path, "/") == 2:
		if c.all[path[1:]] == nil {
			http.Error(w, "none", 404)
			return
		}
		w.Write(c.all[path[1:]].AppendJSON(nil))
	case req.Method == "GET":
		c.search(w, path[1:], req)
	default:
		r, err := fhir.ParseResource(body)
		if err != nil {
			http.Error(w, err.Error(), 400)
			return
		}
		c.write(w, req.Method, path, r)
	}
}

func (c *clinic) write(w http.ResponseWriter, method, path string, r *fhir.Resource) {
	if path == "" {
		urls := map[string]string{}
		for _, e := range r.Get("entry").Items() {
			urls[e.Str("fullUrl")] = c.put(e.Get("resource").Str("resourceType"), &fhir.Resource{Node: e.Get("resource")})
		}
		r.Walk(func(n *fhir.Node) bool {
			if to := urls[n.Text]; to != "" && n.Name == "reference" {
				n.Text = to
			}
			return true
		})
		io.WriteString(w, `{"resourceType":"Bundle","type":"transaction-response","entry":[{"response":{"status":"201"}}]}`)
		return
	}
	for _, issue := range validate.Resource(r) {
		if issue.Severity == "error" || issue.Severity == "fatal" {
			http.Error(w, issue.Expression+": "+issue.Diagnostics, http.StatusUnprocessableEntity)
			return
		}
	}
	key := c.put(r.Type(), r)
	if method == "POST" {
		w.Header().Set("Location", c.base+"/"+key+"/_history/1")
		w.WriteHeader(201)
	} else if "/"+key != path {
		c.t.Errorf("PUT %s of %s", path, key)
	}
}

func (c *clinic) search(w http.ResponseWriter, typ string, req *http.Request) {
	q := req.URL.Query()
	bundle := fhir.NewResource("Bundle")
	entries := fhir.NewArray()
	for _, key := range c.keys {
		if entries.Len() == 50 {
			break
		}
		r := c.all[key]
		if r.Type() != typ || q.Get("patient") != "" && r.Get("subject").Str("reference") != q.Get("patient") ||
			q.Get("family") != "" && !bears(r, q.Get("family")) ||
			q.Get("code") != "" && !strings.HasSuffix(q.Get("code"), "|"+r.Path("code", "coding", "code").Text) || q.Get("date") != "" && r.Str("effectiveDateTime") < q.Get("date")[2:] {
			continue
		}
		entries.Append(fhir.NewObject().Set("resource", r.Node.Clone()))
	}
	if entries.Len() > 0 {
		bundle.Set("entry", entries)
	}
	w.Write(bundle.AppendJSON(nil))
}

func bears(r *fhir.Resource, family string) bool {
	for n := r.Get("name").First(); n != nil; n = n.Next() {
		if n.Str("family") == family {
			return true
		}
	}
	return false
}

func newClinic(t *testing.T) *httptest.Server {
	t.Helper()
	c := &clinic{t: t, all: map[string]*fhir.Resource{}}
	s := httptest.NewServer(c)
	c.base = s.URL + "/fhir"
	t.Cleanup(s.Close)
	return s
}

func TestEveryWorkloadIsAnswered(t *testing.T) {
	s := newClinic(t)
	out := filepath.Join(t.TempDir(), "out.json")
	err := run(context.Background(), options{server: s.URL + "/fhir", clients: "1,3", workloads: strings.Join(names(), ","), out: out, seed: 5, load: 3, conditional: true, verify: true, pid: os.Getpid(),
		plan: meter.Plan{Duration: 100 * time.Millisecond, Warmup: time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	seen := 0
	for lines := bufio.NewScanner(f); lines.Scan(); seen++ {
		var r meter.Result
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		if r.Ops == 0 || r.Errors > 0 || r.P99 < r.P50 || r.CPU < 0 || r.Units < r.Ops {
			t.Errorf("%+v", r)
		}
	}
	if seen != 2*len(names()) {
		t.Fatalf("%d results", seen)
	}
}

func TestRefusals(t *testing.T) {
	for name, change := range map[string]func(*options){
		"another machine": func(o *options) { o.server = "http://192.0.2.1/fhir" }, "no URL": func(o *options) { o.server = "localhost" },
		"unknown workload": func(o *options) { o.workloads = "read,raed" }, "no clients": func(o *options) { o.clients = "0" },
		"two headers": func(o *options) { o.header = "A: b\r\nC: d" }, "an empty server": func(o *options) { o.load = 0 },
	} {
		o := options{server: newClinic(t).URL + "/fhir", clients: "1", workloads: "read", load: 1}
		change(&o)
		if err := run(context.Background(), o); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func TestNamedLeavesNoCondition(t *testing.T) {
	for _, text := range bundles(options{seed: 1}, 3) {
		if bytes.Contains(text, []byte("?identifier=")) && bytes.Contains(text, []byte(`"Patient"`)) {
			t.Fatal("a conditional reference is left")
		}
	}
}

func TestProcessTime(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("no /proc")
	}
	for began := time.Now(); processTime(os.Getpid()) == 0; {
		if time.Since(began) > 5*time.Second {
			t.Fatal("this process used no time in five busy seconds")
		}
	}
	if got, own := processTime(os.Getpid()), cpuTime(); got > own+time.Second || own > got+time.Second {
		t.Fatalf("%v by /proc, %v by the system", got, own)
	}
	if processTime(0) != 0 || processTime(1<<30) != 0 {
		t.Fatal("a process that is not there used time")
	}
}

func TestLetters(t *testing.T) {
	seen := map[string]bool{}
	for n := range int64(5000) {
		if s := letters(n); seen[s] {
			t.Fatalf("%d: %s stands twice", n, s)
		}
		seen[letters(n)] = true
	}
}
