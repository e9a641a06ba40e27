package conformance

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/fhir"
)

// everyQuestion, set to 1, asks all searches that must find an example instead of a choice of them.
const everyQuestion = "NILECARE_ALL_QUERIES"

// TestExamples stores the official examples on each engine, reads them back, searches them by their values, and demands
// that the engines give the same answers to what has more than one.
func TestExamples(t *testing.T) {
	all := examples(t)
	clients := map[string]client{}
	for _, e := range engines(t) {
		h := e.open(t)
		c := newClient(h.serve(t))
		clients[e.name] = c
		t.Run(e.name+"/stored", func(t *testing.T) { testStored(t, c, all) })
		t.Run(e.name+"/equal", func(t *testing.T) { testEqual(t, c, all) })
		t.Run(e.name+"/found", func(t *testing.T) { testFound(t, c, all) })
		t.Run(e.name+"/verified", func(t *testing.T) {
			if out := h.must(t, "verify"); !strings.Contains(out, " 0 findings") {
				t.Error(out)
			}
		})
	}
	t.Run("same answers", func(t *testing.T) {
		if len(clients) < 2 {
			t.Skip("one engine alone: NILECARE_TEST_POSTGRES names no server")
		}
		testSameAnswers(t, clients["SQLite"], clients["PostgreSQL"], all)
	})
}

// testStored puts every example, one after the other, so that record numbers follow the files' order. Those that break the
// specification, and no others, are refused, with an issue that says why.
func testStored(t *testing.T, c client, all []example) {
	start := time.Now()
	for i := range all {
		e := &all[i]
		status, text, err := c.do(http.MethodPut, "/"+e.name(), e.read(t))
		if err != nil {
			t.Fatal(err)
		}
		why := refused[e.file]
		switch {
		case why == "" && status != http.StatusCreated:
			t.Errorf("%s: %d %.300s", e.file, status, text)
		case why != "" && (status < 400 || status >= 500):
			t.Errorf("%s breaks the specification (%s), and is answered with %d", e.file, why, status)
		case why != "" && !strings.Contains(string(text), why):
			t.Errorf("%s: the refusal does not say %q: %.300s", e.file, why, text)
		}
	}
	t.Logf("%d examples put in %v, %d of them refused", len(all), time.Since(start).Round(time.Millisecond), len(refused))
}

// testEqual reads every stored example back: the same members in the same order, with the same digits. resourceType, id and
// meta may stand in another place, and versionId and lastUpdated of meta are the server's.
func testEqual(t *testing.T, c client, all []example) {
	start := time.Now()
	inParallel(t, len(all), func(i int) error {
		e := &all[i]
		if refused[e.file] != "" {
			return nil
		}
		status, text, err := c.do(http.MethodGet, "/"+e.name(), nil)
		if err != nil || status != http.StatusOK {
			return fmt.Errorf("%s: %d %w", e.file, status, err)
		}
		got, err := fhir.ParseResource(text)
		if err != nil {
			return fmt.Errorf("%s: %w", e.file, err)
		}
		want, err := fhir.ParseResource(e.read(t))
		if err != nil {
			return err
		}
		return differ(e.file, got, want)
	})
	t.Logf("read in %v", time.Since(start).Round(time.Millisecond))
}

// differ says where two resources differ.
func differ(file string, got, want *fhir.Resource) error {
	if got.Type() != want.Type() || got.ID() != want.ID() {
		return fmt.Errorf("%s came back as %s/%s", file, got.Type(), got.ID())
	}
	if a, b := meta(got), meta(want); !a.Equal(b) {
		return fmt.Errorf("%s: meta came back as %.300s", file, a.AppendJSON(nil))
	}
	a, b := rest(got), rest(want)
	if !bytes.Equal(a, b) {
		at := 0
		for at < min(len(a), len(b)) && a[at] == b[at] {
			at++
		}
		return fmt.Errorf("%s came back with %.80s where %.80s stood", file, a[at:], b[at:])
	}
	return nil
}

// meta returns what of meta is not the server's.
func meta(r *fhir.Resource) *fhir.Node {
	m := fhir.NewObject()
	for c := r.Get("meta").First(); c != nil; c = c.Next() {
		if c.Name != "versionId" && c.Name != "lastUpdated" {
			m.Append(c.Clone())
		}
	}
	return m
}

// rest returns all but what names the version.
func rest(r *fhir.Resource) []byte {
	for _, name := range []string{"resourceType", "id", "meta"} {
		r.Delete(name)
	}
	return r.AppendJSON(nil)
}

// testFound asks by the values of the examples. Each search is asked with the example's _id, so that the value is a condition on
// a record at hand, and must find that one alone; and by itself, page by page, until all the examples that have the value
// came.
func testFound(t *testing.T, c client, all []example) {
	start := time.Now()
	qs := questions(all, os.Getenv(everyQuestion) == "1")
	inParallel(t, len(qs), func(i int) error {
		q := qs[i]
		alone, err := c.search(ask(q.typ, q.Param, q.Value, "&_id="+q.id+"&_elements=id"))
		if err != nil {
			return fmt.Errorf("%s?%s=%.200s: %w", q.typ, q.Param, q.Value, err)
		}
		if len(alone.matches) != 1 || alone.matches[0] != q.name() || alone.total != "1" {
			return fmt.Errorf("%s: ?%s=%.200s with its _id finds %v, total %s", q.file, q.Param, q.Value, alone.matches, alone.total)
		}
		return nil
	})
	groups := grouped(qs)
	inParallel(t, len(groups), func(i int) error { return groups[i].findIn(c) })
	params := map[string]bool{}
	for _, q := range qs {
		params[q.typ+"."+q.Param] = true
	}
	t.Logf("%d examples were searched with their _id, and by %d searches without, by %d parameters, in %v", len(qs), len(groups), len(params),
		time.Since(start).Round(time.Millisecond))
	if len(qs) < 3000 {
		t.Error("too few to prove anything")
	}
}

// findIn walks the pages of the search until all its examples came.
func (a answerable) findIn(c client) error {
	next := ask(a.typ, a.Param, a.Value, "&_count=1000&_elements=id")
	for next != "" && len(a.examples) > 0 {
		page, err := c.search(next)
		if err != nil {
			return fmt.Errorf("%s?%s=%.200s: %w", a.typ, a.Param, a.Value, err)
		}
		for _, m := range page.matches {
			delete(a.examples, m)
		}
		next = page.next
	}
	for _, file := range a.examples {
		return fmt.Errorf("%s: ?%s=%.200s does not find it, and %d more", file, a.Param, a.Value, len(a.examples)-1)
	}
	return nil
}

// mostErrors is how many errors of one test are told.
const mostErrors = 40

// inParallel calls f for 0 … n-1, by a few at a time, and tells their errors.
func inParallel(t *testing.T, n int, f func(i int) error) {
	t.Helper()
	work, errs := make(chan int), make(chan error, n)
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for i := range work {
				if err := f(i); err != nil {
					errs <- err
				}
			}
		})
	}
	for i := range n {
		work <- i
	}
	close(work)
	workers.Wait()
	close(errs)
	told := 0
	for err := range errs {
		if told++; told <= mostErrors {
			t.Error(err)
		}
	}
	if told > mostErrors {
		t.Errorf("and %d more", told-mostErrors)
	}
}
