package recordtest

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/search"
	"github.com/nilecare/nilecare/internal/record"
)

// res parses a resource.
func res(t testing.TB, format string, args ...any) *fhir.Resource {
	t.Helper()
	r, err := fhir.ParseResource(fmt.Appendf(nil, format, args...))
	if err != nil {
		t.Fatalf("%v in "+format, append([]any{err}, args...)...)
	}
	return r
}

// patient is a resource of that family name.
func patient(t testing.TB, family string) *fhir.Resource {
	t.Helper()
	return res(t, `{"resourceType":"Patient","name":[{"family":%q}]}`, family)
}

func creation(r *fhir.Resource) record.Change {
	return record.Change{Op: record.Create, Type: r.Type(), Resource: r}
}

func update(id string, r *fhir.Resource) record.Change {
	return record.Change{Op: record.Update, Type: r.Type(), ID: id, Resource: r}
}

func deletion(typ, id string) record.Change {
	return record.Change{Op: record.Delete, Type: typ, ID: id}
}

// patch sets a Patient's gender.
func patch(id, gender string) record.Change {
	return record.Change{Op: record.Patch, Type: "Patient", ID: id, Apply: func(r *fhir.Resource) (*fhir.Resource, error) {
		r.Set("gender", fhir.NewString(gender))
		return r, nil
	}}
}

// write makes one change that must succeed.
func (b *bench) write(c record.Change) record.Outcome {
	b.Helper()
	return b.writeAll(c)[0]
}

func (b *bench) writeAll(cs ...record.Change) []record.Outcome {
	b.Helper()
	out, err := b.store.Write(b.ctx, cs)
	if err != nil {
		b.Fatalf("write: %v", err)
	}
	if len(out) != len(cs) {
		b.Fatalf("%d outcomes of %d changes", len(out), len(cs))
	}
	return out
}

// refused makes a change that must fail with that kind, and leave no row behind.
func (b *bench) refused(kind fault.Kind, cs ...record.Change) error {
	b.Helper()
	before := b.counts()
	_, err := b.store.Write(b.ctx, cs)
	if !fault.Is(err, kind) {
		b.Fatalf("want %v, got %v (%v)", kind, err, fault.KindOf(err))
	}
	b.same(before, b.counts())
	return err
}

// same compares counts of rows.
func (b *bench) same(before, after map[string]int) {
	b.Helper()
	for _, table := range tables {
		if before[table] != after[table] {
			b.Errorf("table %s had %d rows and has %d", table, before[table], after[table])
		}
	}
}

// read reads a resource that must be there.
func (b *bench) read(typ, id string) *record.Version {
	b.Helper()
	v, err := b.store.Read(b.ctx, typ, id)
	if err != nil {
		b.Fatalf("read %s/%s: %v", typ, id, err)
	}
	return v
}

// unreadable demands that reading fails with that kind.
func (b *bench) unreadable(kind fault.Kind, typ, id string) {
	b.Helper()
	if v, err := b.store.Read(b.ctx, typ, id); !fault.Is(err, kind) {
		b.Errorf("read %s/%s: want %v, got %v and %v", typ, id, kind, v, err)
	}
}

// query parses a search whose parameters are names and values in turn.
func query(t testing.TB, typ string, params ...string) *search.Query {
	t.Helper()
	q, err := parseQuery(typ, params...)
	if err != nil {
		t.Fatalf("%s %q: %v", typ, params, err)
	}
	return q
}

func parseQuery(typ string, params ...string) (*search.Query, error) {
	var ps []search.Param
	for i := 0; i+1 < len(params); i += 2 {
		ps = append(ps, search.Param{Name: params[i], Value: params[i+1]})
	}
	return search.Parse(typ, ps, search.Options{Now: time.Now()})
}

// all reads every page of a search.
func (b *bench) all(q *search.Query) ([]*record.Version, error) {
	one := *q
	var out []*record.Version
	for pages := 0; ; pages++ {
		page, err := b.store.Search(b.ctx, &one)
		if err != nil {
			return nil, err
		}
		for _, m := range page.Matches {
			if !m.Included {
				out = append(out, m.Version)
			}
		}
		if page.Next == "" {
			return out, nil
		}
		if pages > 10_000 {
			return nil, fmt.Errorf("the pages do not end")
		}
		one.Cursor = page.Next
	}
}

// find returns the ids that a search finds, in its order.
func (b *bench) find(typ string, params ...string) []string {
	b.Helper()
	vs, err := b.all(query(b, typ, params...))
	if err != nil {
		b.Fatalf("%s %q: %v", typ, params, err)
	}
	return idsOf(vs)
}

func idsOf(vs []*record.Version) []string {
	out := make([]string, len(vs))
	for i, v := range vs {
		out[i] = v.ID
	}
	return out
}

// finds demands that a search finds these, in any order.
func (b *bench) finds(want []string, typ string, params ...string) {
	b.Helper()
	got := b.find(typ, params...)
	slices.Sort(got)
	want = slices.Sorted(slices.Values(want))
	if !slices.Equal(got, want) {
		b.Errorf("%s %q finds %q, want %q", typ, params, got, want)
	}
}

// member reads a member's text of a version's resource.
func member(t testing.TB, v *record.Version, path ...string) string {
	t.Helper()
	r, err := v.Resource()
	if err != nil {
		t.Fatal(err)
	}
	if n := r.Path(path...); n != nil {
		return n.Text
	}
	return ""
}

// mustBe fails where an outcome is another.
func mustBe(t testing.TB, o record.Outcome, want record.Result, vid int64) {
	t.Helper()
	got := int64(0)
	if o.Version != nil {
		got = o.Version.VID
	}
	if o.Result != want || got != vid {
		t.Fatalf("result %d version %d, want result %d version %d", o.Result, got, want, vid)
	}
}

// increment counts a Patient's multipleBirthInteger up.
func increment(r *fhir.Resource) (*fhir.Resource, error) {
	n, err := strconv.Atoi(r.Get("multipleBirthInteger").Text)
	r.Set("multipleBirthInteger", fhir.NewNumber(strconv.Itoa(n+1)))
	return r, err
}
