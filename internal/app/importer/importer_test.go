package importer_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/nilecare/nilecare/internal/app/importer"
	"github.com/nilecare/nilecare/internal/app/source"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server keeps resources in memory. It refuses a resource with "bad": true, and a conditional reference to what it has not.
type server struct {
	mu       sync.Mutex
	stored   map[string]int // times written, by request
	requests []string
	fail     int // status to answer, 0: none
	before   func(n int)
}

func newServer() *server { return &server{stored: map[string]int{}} }

type testBundle struct {
	Type  string
	Entry []struct {
		Resource map[string]any
		Request  struct{ Method, URL string }
	}
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	var b testBundle
	if err := json.Unmarshal(body, &b); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.requests = append(s.requests, fmt.Sprintf("%s of %d", b.Type, len(b.Entry)))
	if s.before != nil {
		s.before(len(s.requests))
	}
	if s.fail != 0 {
		w.WriteHeader(s.fail)
		return
	}
	w.Header().Set("Content-Type", "application/fhir+json")
	var out []string
	for i, e := range b.Entry {
		why := s.reason(e.Resource)
		if why != "" && b.Type == "transaction" {
			w.WriteHeader(http.StatusUnprocessableEntity)
			fmt.Fprintf(w, `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"invalid","diagnostics":%q,"expression":["Bundle.entry[%d]"]}]}`, why, i)
			return
		}
		if why != "" {
			out = append(out, fmt.Sprintf(`{"response":{"status":"422 Unprocessable","outcome":{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"invalid","diagnostics":%q}]}}}`, why))
			continue
		}
		out = append(out, `{"response":{"status":"201 Created"}}`)
	}
	for _, e := range b.Entry {
		if s.reason(e.Resource) == "" {
			s.stored[e.Request.Method+" "+e.Request.URL]++
		}
	}
	fmt.Fprintf(w, `{"resourceType":"Bundle","type":"%s-response","entry":[%s]}`, b.Type, strings.Join(out, ","))
}

func (s *server) reason(r map[string]any) string {
	if r["bad"] == true {
		return "is bad"
	}
	if ref, _ := r["subject"].(map[string]any); ref != nil {
		if want := ref["reference"].(string); strings.Contains(want, "?") && s.stored["PUT "+strings.ReplaceAll(want, "?_id=", "/")] == 0 {
			return "nothing matches"
		}
	}
	return ""
}

type result struct {
	refused  []importer.Refusal
	progress importer.Progress
	err      error
}

func run(t *testing.T, ctx context.Context, s *server, journal string, paths ...string) result { //nolint:revive // t comes first in this package's tests
	t.Helper()
	files, _, err := source.Find(paths)
	if err != nil {
		t.Fatal(err)
	}
	o := importer.Options{Doer: importer.InProcess(s), Base: "http://here/fhir/R4"}
	var out result
	o.Refused = func(r importer.Refusal) { out.refused = append(out.refused, r) }
	if journal != "" {
		if o.Journal, err = importer.OpenJournal(journal); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := o.Journal.Close(); err != nil {
				t.Error(err)
			}
		}()
	}
	im := importer.New(o)
	out.err = im.Run(ctx, files)
	out.progress = im.Progress()
	slices.SortFunc(out.refused, func(a, b importer.Refusal) int { return strings.Compare(a.Source+a.Entry, b.Source+b.Entry) })
	return out
}

func put(t *testing.T, dir, name, text string) string {
	t.Helper()
	p := filepath.Join(dir, name)
	if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestKindsOfUnits(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "1.json", `{"resourceType":"Patient","id":"a"}`)
	put(t, dir, "2.ndjson", `{"resourceType":"Patient","id":"b"}`+"\n"+`{"resourceType":"Patient"}`+"\n"+`{"resourceType":"Patient","id":"b","active":true}`+"\n")
	put(t, dir, "3.json", `{"resourceType":"Bundle","type":"transaction","entry":[{"resource":{"resourceType":"Basic"},"request":{"method":"POST","url":"Basic"}}]}`)
	put(t, dir, "4.json", `{"resourceType":"Bundle","type":"collection","entry":[{"fullUrl":"urn:uuid:1","resource":{"resourceType":"Basic","id":"x"}},{"resource":{"resourceType":"Basic"}}]}`)
	put(t, dir, "5.json", `{"resourceType":"Bundle","id":"d","type":"document"}`)
	put(t, dir, "6.json", `{"resourceType":"Bundle","type":"searchset","entry":[{"search":{"mode":"outcome"},"resource":{"resourceType":"OperationOutcome"}},{"search":{"mode":"match"},"resource":{"resourceType":"Basic","id":"y"}}]}`)
	s := newServer()
	out := run(t, t.Context(), s, "", dir)
	want := map[string]int{"PUT Patient/a": 1, "PUT Patient/b": 2, "POST Patient": 1, "POST Basic": 2, "PUT Basic/x": 1, "PUT Bundle/d": 1, "PUT Basic/y": 1}
	if diff := cmp.Diff(want, s.stored); diff != "" || out.err != nil || len(out.refused) > 0 {
		t.Error(diff, out.err, out.refused)
	}
	if out.progress.Resources != 9 || out.progress.Read != out.progress.Total || out.progress.Total == 0 {
		t.Errorf("progress %+v", out.progress)
	}
}

func TestRefusalsAreNamed(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "1.ndjson", `{"resourceType":"Patient","id":"a"}`+"\n"+`{"resourceType":"Patient","id":"b","bad":true}`+"\n{not json\n")
	put(t, dir, "2.json", `{"resourceType":"Bundle","type":"transaction","entry":[{"resource":{"resourceType":"Basic","bad":true},"request":{"method":"POST","url":"Basic"}}]}`)
	put(t, dir, "3.json", `{"resourceType":"Bundle","type":"batch","entry":[{"resource":{"resourceType":"Basic","bad":true},"request":{"method":"POST","url":"Basic"}},{"resource":{"resourceType":"Basic"},"request":{"method":"POST","url":"Basic"}}]}`)
	put(t, dir, "4.json", `{"resourceType":"Bundle","type":"history"}`)
	s := newServer()
	out := run(t, t.Context(), s, "", dir)
	var got []string
	for _, r := range out.refused {
		got = append(got, fmt.Sprintf("%s:%d %s %d %s", filepath.Base(r.Source), r.Line, r.Entry, r.Status, r.Reason))
	}
	want := []string{
		`1.ndjson:3  0 JSON at byte 1: `,
		"1.ndjson:2 Patient/b 422 is bad",
		"2.json:0  422 Bundle.entry[0]: is bad",
		"3.json:0 Bundle.entry[0] 422 is bad",
		"4.json:0  0 a Bundle of type history cannot be imported",
	}
	if len(got) != len(want) || out.err != nil {
		t.Fatalf("got %q, %v", got, out.err)
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("got %q, want %q", got[i], want[i])
		}
	}
	if out.progress.Resources != 2 || out.progress.Refused != 5 {
		t.Errorf("progress %+v", out.progress)
	}
}

const dependent = `{"resourceType":"Bundle","type":"transaction","entry":[{"resource":{"resourceType":"Basic","id":"1","subject":{"reference":"Patient?_id=late"}},"request":{"method":"PUT","url":"Basic/1"}}]}`

func TestWhatRefersByConditionIsTriedAgain(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "a.json", dependent)
	put(t, dir, "z.json", `{"resourceType":"Patient","id":"late"}`)
	s := newServer()
	out := run(t, t.Context(), s, filepath.Join(dir, "state", "journal"), dir)
	if diff := cmp.Diff(map[string]int{"PUT Basic/1": 1, "PUT Patient/late": 1}, s.stored); diff != "" || len(out.refused) > 0 || out.err != nil {
		t.Error(diff, out)
	}
}

func TestEarlyFilesComeFirst(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "a.json", dependent)
	put(t, dir, "practitionerInformation1.json", `{"resourceType":"Patient","id":"late"}`)
	s := newServer()
	if out := run(t, t.Context(), s, "", dir); len(s.requests) != 2 || len(out.refused) > 0 {
		t.Error(s.requests, out)
	}
}

func TestResumes(t *testing.T) {
	dir := t.TempDir()
	var lines strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&lines, `{"resourceType":"Patient","id":"p%d"}`+"\n", i)
	}
	file := put(t, dir, "many.ndjson", lines.String())
	bad := put(t, dir, "bad.json", `{"resourceType":"Patient","id":"bad","bad":true}`)
	journal := filepath.Join(dir, "journal")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := newServer()
	s.before = func(n int) {
		if n == 3 {
			cancel()
		}
	}
	first := run(t, ctx, s, journal, file)
	if first.err == nil || len(s.stored) == 0 || len(s.stored) == 1000 {
		t.Fatalf("stored %d, %v", len(s.stored), first.err)
	}
	// A crash may cut the last line of the journal off: that unit alone is written again.
	text, err := os.ReadFile(journal)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(journal, append(text, "U 00"...), 0o600); err != nil {
		t.Fatal(err)
	}
	s.before = nil
	second := run(t, t.Context(), s, journal, file, bad)
	if second.err != nil || len(s.stored) != 1000 || slices.Max(slices.Collect(maps.Values(s.stored))) != 1 || second.progress.Resources == 1000 {
		t.Errorf("stored %d, %+v", len(s.stored), second)
	}
	before := len(s.requests)
	third := run(t, t.Context(), s, journal, file, bad)
	if third.err != nil || third.progress.Resources != 0 || len(third.refused) != 1 || len(s.requests) != before+1 {
		t.Errorf("a third run: %+v, %d requests", third, len(s.requests)-before)
	}
	if err := importer.Forget(journal); err != nil {
		t.Fatal(err)
	}
	if again := run(t, t.Context(), s, journal, file); again.progress.Resources != 1000 {
		t.Errorf("after forgetting: %+v", again)
	}
}

func TestJournalOfAnotherKindIsRefused(t *testing.T) {
	p := put(t, t.TempDir(), "journal", "something else\n")
	if _, err := importer.OpenJournal(p); err == nil {
		t.Error("was taken")
	}
}

func TestBrokenServerEndsTheImport(t *testing.T) {
	dir := t.TempDir()
	for i := range 100 {
		put(t, dir, fmt.Sprintf("%03d.json", i), `{"resourceType":"Bundle","type":"transaction"}`)
	}
	s := newServer()
	s.fail = http.StatusInternalServerError
	if out := run(t, t.Context(), s, "", dir); out.err == nil || len(s.requests) > 50 {
		t.Errorf("%d requests, %v", len(s.requests), out.err)
	}
}

func TestInProcessAnswersAsAClientWould(t *testing.T) {
	d := importer.InProcess(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Path", r.RequestURI)
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.Copy(w, r.Body)
	}))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://h/a?b=c", bytes.NewReader([]byte("x")))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := d.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || string(text) != "x" || resp.StatusCode != http.StatusTeapot || resp.Header.Get("X-Path") != "/a?b=c" {
		t.Errorf("%d %q %v", resp.StatusCode, text, err)
	}
}
