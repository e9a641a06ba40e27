package recordtest

import (
	"bytes"
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir/def"
	"github.com/nilecare/nilecare/internal/fhir/search"
	"github.com/nilecare/nilecare/internal/fhir/search/searchtest"
	"github.com/nilecare/nilecare/internal/record"
)

// testOracle compares what the store finds with what search.Match says of every document, for searches made of values that the
// documents hold. NILECARE_ORACLE_QUERIES says how many (default 1200), NILECARE_ORACLE_SEED which.
func testOracle(t *testing.T, h Harness) {
	b := setUp(t, h, record.Options{})
	loadHospital(b, 8)
	loadExamples(b, 700)
	o := &oracle{bench: b, corpus: readCorpus(b), rand: rand.New(rand.NewPCG(uint64(envInt("NILECARE_ORACLE_SEED", 1)), 7))}
	b.sound()
	t.Logf("%d documents of %d types", len(o.corpus.byID), len(o.corpus.types))
	t.Run("values", func(t *testing.T) { o.on(t).values(envInt("NILECARE_ORACLE_QUERIES", 1200)) })
	t.Run("compositions", func(t *testing.T) { o.on(t).compositions(envInt("NILECARE_ORACLE_QUERIES", 1200)) })
	t.Run("orders", func(t *testing.T) { o.on(t).orders(150) })
}

func envInt(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}

type oracle struct {
	*bench
	corpus *corpus
	rand   *rand.Rand
}

func (o *oracle) on(t testing.TB) *oracle {
	return &oracle{o.with(t), o.corpus, o.rand}
}

func pickOf[T any](o *oracle, from []T) T { return from[o.rand.IntN(len(from))] }

// doc draws a document: every type as likely as another.
func (o *oracle) doc() *search.Doc { return pickOf(o, o.corpus.byType[pickOf(o, o.corpus.types)]) }

// queries are searches that must find the document.
func (o *oracle) queries(d *search.Doc) []searchtest.Query {
	qs, err := searchtest.QueriesFor(d.Resource)
	if err != nil {
		o.Fatal(err)
	}
	return qs
}

// values asks, for drawn documents, every parameter that they have a value for.
func (o *oracle) values(n int) {
	for asked := 0; asked < n; {
		d := o.doc()
		for _, q := range o.queries(d) {
			asked++
			if got := o.check(d.Type, q.Param, q.Value); got != nil && !slices.Contains(got, d.ID) {
				o.Errorf("%s?%s=%s does not find %s", d.Type, q.Param, q.Value, d.ID)
			}
		}
	}
}

// compositions asks conjunctions, alternatives, negations, comparisons, chains, and what refers here.
func (o *oracle) compositions(n int) {
	asked, found, refused, costly := 0, 0, 0, 0
	for range n {
		d := o.doc()
		var params []string
		for range 1 + o.rand.IntN(3) {
			name, value := o.condition(d, 2)
			if name != "" {
				params = append(params, name, value)
			}
		}
		if len(params) == 0 {
			continue
		}
		if _, err := parseQuery(d.Type, params...); err != nil {
			refused++
			continue
		}
		asked++
		got := o.check(d.Type, params...)
		switch {
		case got == nil:
			costly++
		case len(got) > 0:
			found++
		}
	}
	o.Logf("%d asked, %d found something, %d were no searches, %d would open too much", asked, found, refused, costly)
	if found < n/3 || refused > n/3 {
		o.Errorf("of %d searches %d found something and %d were none", n, found, refused)
	}
}

// condition draws a parameter that d may satisfy, chained up to depth.
func (o *oracle) condition(d *search.Doc, depth int) (name, value string) {
	switch k := o.rand.IntN(10); {
	case depth > 0 && k == 0:
		if name, value = o.chained(d, depth); name != "" {
			return name, value
		}
	case depth > 0 && k == 1:
		if name, value = o.reversed(d, depth); name != "" {
			return name, value
		}
	case k == 2:
		sp := pickOf(o, def.SearchParams(d.Type))
		return sp.Code + ":missing", pickOf(o, []string{"true", "false"})
	}
	qs := o.queries(d)
	if len(qs) == 0 {
		return "", ""
	}
	q := pickOf(o, qs)
	return o.varied(d, q)
}

// varied changes a condition by a modifier, a prefix, or an alternative.
func (o *oracle) varied(d *search.Doc, q searchtest.Query) (name, value string) {
	sp := paramOf(d.Type, q.Param)
	if sp == nil {
		return q.Param, q.Value
	}
	name, value = q.Param, q.Value
	switch k := o.rand.IntN(8); sp.Type {
	case "token", "reference", "uri":
		if k == 0 && sp.Type == "token" {
			name += ":not"
		}
		if k == 1 && sp.Type == "token" {
			if system, _, ok := strings.Cut(value, "|"); ok && system != "" {
				value = system + "|"
			}
		}
		if k == 2 && sp.Type == "uri" {
			name += pickOf(o, []string{":below", ":above"})
		}
	case "string":
		switch k {
		case 0:
			name += ":exact"
		case 1:
			name += ":contains"
			value = cutText(value, o.rand.IntN(4), 3+o.rand.IntN(6))
		case 2, 3:
			value = cutText(value, 0, 1+o.rand.IntN(8))
		case 4:
			value = strings.ToUpper(value)
		}
	case "date", "number", "quantity":
		value = strings.TrimLeft(value, "abeglnpqst")
		if k < 6 {
			value = pickOf(o, []string{"eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"}) + value
		}
		if sp.Type == "date" && k == 6 && len(value) > 7 {
			value = value[:7]
		}
	}
	if o.rand.IntN(5) == 0 {
		if other := o.sibling(d.Type, q.Param); other != "" {
			value += "," + other
		}
	}
	return name, value
}

// cutText takes n characters at a place, as they would be written in a query.
func cutText(value string, from, n int) string {
	runes := []rune(value)
	from = min(from, len(runes)-1)
	return strings.TrimRight(string(runes[from:min(len(runes), from+n)]), `\`)
}

// sibling is a value that another document of the type has for the parameter.
func (o *oracle) sibling(typ, param string) string {
	for range 4 {
		for _, q := range o.queries(pickOf(o, o.corpus.byType[typ])) {
			if q.Param == param {
				return q.Value
			}
		}
	}
	return ""
}

func paramOf(typ, code string) *def.SearchParam {
	for _, sp := range def.SearchParams(typ) {
		if sp.Code == code {
			return sp
		}
	}
	return nil
}

// chained asks something of a document that d points to.
func (o *oracle) chained(d *search.Doc, depth int) (name, value string) {
	for _, at := range o.rand.Perm(len(d.Values.Ref)) {
		r := d.Values.Ref[at]
		to := o.corpus.byID[r.Type+"/"+r.ID]
		if to == nil {
			continue
		}
		for _, q := range o.queries(d) {
			if !strings.HasSuffix(q.Value, r.Type+"/"+r.ID) || strings.Contains(q.Value, ":/") {
				continue
			}
			if inner, v := o.condition(to, depth-1); inner != "" {
				return q.Param + ":" + r.Type + "." + inner, v
			}
		}
	}
	return "", ""
}

// reversed asks something of a document that points to d.
func (o *oracle) reversed(d *search.Doc, depth int) (name, value string) {
	from := o.corpus.referrer[d.Type+"/"+d.ID]
	if len(from) == 0 {
		return "", ""
	}
	f := pickOf(o, from)
	for _, q := range o.queries(f) {
		if q.Value == d.Type+"/"+d.ID {
			if inner, v := o.condition(f, depth-1); inner != "" {
				return "_has:" + f.Type + ":" + q.Param + ":" + inner, v
			}
		}
	}
	return "", ""
}

// check compares the store's answer with the oracle's, and returns it; nil where the store may refuse.
func (o *oracle) check(typ string, params ...string) []string {
	o.Helper()
	q, err := parseQuery(typ, params...)
	if err != nil {
		o.Errorf("%s %q: %v", typ, params, err)
		return nil
	}
	q.Count = 1 + o.rand.IntN(40)
	if o.rand.IntN(8) == 0 {
		q.Total = "accurate"
	}
	vs, err := o.all(q)
	if fault.Is(err, fault.TooCostly) {
		return nil
	}
	if err != nil {
		o.Errorf("%s %q: %v", typ, params, err)
		return nil
	}
	got := idsOf(vs)
	slices.Sort(got)
	if want := o.corpus.matching(o, q.ByType[0]); !slices.Equal(got, want) {
		o.Errorf("%s %q by %d: found %d, want %d: beside the oracle %s, missing %s", typ, params, q.Count, len(got), len(want), without(got, want), without(want, got))
	}
	if q.Total != "" {
		page, err := o.store.Search(o.ctx, q)
		if err != nil || page.Total != len(got) {
			o.Errorf("%s %q: total %v (%v) of %d", typ, params, page, err, len(got))
		}
	}
	if got == nil {
		got = []string{}
	}
	return got
}

func without(a, b []string) string {
	out := slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
	return fmt.Sprintf("%d %.5q", len(out), out[:min(5, len(out))])
}

// orders sorts all documents of a type by drawn keys.
func (o *oracle) orders(n int) {
	for range n {
		typ := pickOf(o, o.corpus.types)
		var keys []string
		for range 1 + o.rand.IntN(3) {
			sp := pickOf(o, def.SearchParams(typ))
			if slices.ContainsFunc(keys, func(k string) bool { return strings.TrimPrefix(k, "-") == sp.Code }) {
				continue
			}
			keys = append(keys, pickOf(o, []string{"", "-"})+sp.Code)
		}
		q, err := parseQuery(typ, "_sort", strings.Join(keys, ","))
		if err != nil {
			continue
		}
		q.Count = 1 + o.rand.IntN(30)
		o.checkOrder(typ, q)
	}
}

func (o *oracle) checkOrder(typ string, q *search.Query) {
	vs, err := o.all(q)
	if err != nil {
		o.Errorf("%s sorted by %v: %v", typ, q.Sort, err)
		return
	}
	if len(vs) != len(o.corpus.byType[typ]) {
		o.Errorf("%s sorted by %s: %d of %d", typ, sortName(q), len(vs), len(o.corpus.byType[typ]))
	}
	// References are ordered by the age of what they point to, which no document tells.
	references := slices.ContainsFunc(q.Sort, func(k search.SortKey) bool {
		return slices.ContainsFunc(k.Atoms, func(a search.AtomRef) bool { return a.Kind == search.Reference })
	})
	met := map[string]bool{}
	for i, v := range vs {
		if met[v.ID] {
			o.Errorf("%s sorted by %s: %s comes twice", typ, sortName(q), v.ID)
		}
		met[v.ID] = true
		if i > 0 && !references && o.compare(q.Sort, vs[i-1], v) > 0 {
			o.Errorf("%s sorted by %s: %s stands before %s", typ, sortName(q), vs[i-1].ID, v.ID)
		}
	}
}

func sortName(q *search.Query) string {
	var out []string
	for _, k := range q.Sort {
		name := k.Param
		if k.Desc {
			name = "-" + name
		}
		out = append(out, name)
	}
	return strings.Join(out, ",")
}

// compare orders two versions by the keys; those without a value come last.
func (o *oracle) compare(keys []search.SortKey, a, b *record.Version) int {
	x, y := o.corpus.byID[a.Type+"/"+a.ID], o.corpus.byID[b.Type+"/"+b.ID]
	for _, k := range keys {
		var c int
		switch k.Special {
		case "_id":
			c = strings.Compare(a.ID, b.ID)
		case "_lastUpdated":
			c = cmp.Compare(a.Seq, b.Seq)
		default:
			p, q := sortKeys(k, x.Values), sortKeys(k, y.Values)
			if len(p) == 0 || len(q) == 0 {
				if len(p) != len(q) && (len(p) == 0 || len(q) == 0) {
					return cmp.Compare(len(q), len(p))
				}
				continue
			}
			c = bytes.Compare(p, q)
		}
		if k.Desc {
			c = -c
		}
		if c != 0 {
			return c
		}
	}
	return 0
}
