package recordtest

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/search"
	"github.com/nilecare/nilecare/internal/hospital"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/testfind"
)

// loadHospital writes the transactions of a synthetic hospital.
func loadHospital(b *bench, patients int) {
	b.Helper()
	for text := range hospital.Bundles(7, patients, time.Date(2026, 3, 1, 9, 30, 0, 0, time.UTC)) {
		bundle := res(b, "%s", text)
		var set []record.Change
		for _, e := range bundle.Get("entry").Items() {
			r := &fhir.Resource{Node: e.Get("resource").Clone()}
			c := record.Change{Op: record.Create, Type: r.Type(), Resource: r, FullURL: e.Str("fullUrl")}
			if condition := e.Get("request").Str("ifNoneExist"); condition != "" {
				params, err := search.ParseQueryString(condition)
				if err != nil {
					b.Fatal(err)
				}
				if c.Match, err = search.Parse(c.Type, params, search.Options{Now: time.Now()}); err != nil {
					b.Fatal(err)
				}
			}
			set = append(set, c)
		}
		b.writeAll(set...)
	}
}

// loadExamples writes up to n of the official examples under their ids, spread over all types; those that the validator
// refuses are left out. Nothing where they are not fetched.
func loadExamples(b *bench, n int) {
	b.Helper()
	dir := filepath.Join(testfind.Root(), ".cache", "r4-examples", "package")
	files, _ := filepath.Glob(filepath.Join(dir, "*.json"))
	if len(files) == 0 {
		b.Log("the official examples are not fetched (make fixtures): the synthetic hospital alone is searched")
		return
	}
	files = slices.DeleteFunc(files, func(f string) bool { return definitional(filepath.Base(f)) })
	step := max(1, len(files)/n)
	var set []record.Change
	for i := 0; i < len(files); i += step {
		text, err := os.ReadFile(files[i])
		if err != nil {
			b.Fatal(err)
		}
		r, err := fhir.ParseResource(text)
		if err != nil || len(text) > 200_000 || !fhir.ValidID(r.ID()) {
			continue
		}
		set = append(set, update(r.ID(), r))
	}
	for part := range slices.Chunk(set, 25) {
		if _, err := b.store.Write(b.ctx, part); err == nil {
			continue
		}
		for _, c := range part {
			_, _ = b.store.Write(b.ctx, []record.Change{c})
		}
	}
}

// definitional tells the definitions, of which there are thousands, from examples of use.
func definitional(file string) bool {
	for _, p := range []string{"StructureDefinition-", "ValueSet-", "CodeSystem-", "SearchParameter-", "ConceptMap-", "OperationDefinition-", "package", ".index"} {
		if strings.HasPrefix(file, p) {
			return true
		}
	}
	return false
}

// corpus is what a store holds, opened, for asking search.Match.
type corpus struct {
	byType   map[string][]*search.Doc
	byID     map[string]*search.Doc
	referrer map[string][]*search.Doc
	types    []string
}

func readCorpus(b *bench) *corpus {
	b.Helper()
	c := &corpus{map[string][]*search.Doc{}, map[string]*search.Doc{}, map[string][]*search.Doc{}, nil}
	vs, _ := b.history(record.HistoryQuery{At: time.Now().Add(time.Hour), Count: record.MaxCount})
	for _, v := range vs {
		if v.Deleted {
			continue
		}
		r, err := v.Resource()
		if err != nil {
			b.Fatal(err)
		}
		d := &search.Doc{Resource: r, Type: v.Type, ID: v.ID, Updated: v.Updated, Values: search.Extract(r, "")}
		c.byType[v.Type] = append(c.byType[v.Type], d)
		c.byID[v.Type+"/"+v.ID] = d
		met := map[string]bool{}
		for _, ref := range d.Values.Ref {
			if to := ref.Type + "/" + ref.ID; !met[to] {
				met[to] = true
				c.referrer[to] = append(c.referrer[to], d)
			}
		}
	}
	for t := range c.byType {
		c.types = append(c.types, t)
	}
	slices.Sort(c.types)
	return c
}

// Doc implements search.Lookup.
func (c *corpus) Doc(typ, id string) (*search.Doc, error) { return c.byID[typ+"/"+id], nil }

// Referrers implements search.Lookup.
func (c *corpus) Referrers(typ string, atoms []search.AtomRef, targetType, targetID string) ([]*search.Doc, error) {
	var out []*search.Doc
	for _, d := range c.referrer[targetType+"/"+targetID] {
		if d.Type == typ && search.Refers(d.Values, atoms, targetType, targetID) {
			out = append(out, d)
		}
	}
	return out, nil
}

// matching returns the ids, in order, of the documents that satisfy the query's condition on the type.
func (c *corpus) matching(t testing.TB, p search.TypedPred) []string {
	t.Helper()
	var out []string
	for _, d := range c.byType[p.Type] {
		ok, err := search.Match(p.Pred, d, c)
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			out = append(out, d.ID)
		}
	}
	slices.Sort(out)
	return out
}
