package recordtest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir/search"
	"github.com/nilecare/nilecare/internal/record"
)

// testMaskedWorlds: two stores that differ in the contents of masked elements alone give the same answers.
func testMaskedWorlds(t *testing.T, h Harness) {
	masks := map[string][]string{
		"Patient":     {"identifier", "name", "address", "link", "managingOrganization", "birthDate", "text"},
		"Observation": {"valueQuantity", "valueString", "focus", "note", "text"},
	}
	ctx := as(decision{read: everyType, masks: masks})
	var want []answer
	for _, secret := range []string{"one", "other"} {
		b := setUp(t, h, record.Options{})
		b.put(visible()[:3]...)
		target := map[string]string{"one": "Patient/h", "other": "Patient/aa"}[secret]
		org := map[string]string{"one": "mine", "other": "theirs"}[secret]
		b.put(
			`{"resourceType":"Patient","id":"aa"}`, `{"resourceType":"Patient","id":"h"}`,
			fmt.Sprintf(`{"resourceType":"Patient","id":"me","gender":"female","managingOrganization":{"reference":"Organization/%s"},"identifier":[{"system":"urn:mrn","value":%q}],"name":[{"family":%q}],"birthDate":%q,`+
				`"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">%s</div>"},"address":[{"city":%q}],"link":[{"other":{"reference":%q},"type":"seealso"}]}`,
				org, secret, secret, map[string]string{"one": "1970", "other": "1980-01-01"}[secret], secret, secret, target),
			fmt.Sprintf(`{"resourceType":"Patient","id":"you","name":[{"family":%q}],"address":[{"city":"%s"}]}`, map[string]string{"one": "zz", "other": "aa"}[secret], map[string]string{"one": "zz", "other": "aa"}[secret]),
		)
		for i := range 4 {
			b.put(fmt.Sprintf(`{"resourceType":"Observation","id":"o%d","status":"final","category":[{"coding":[{"code":"laboratory"}]}],"code":{"text":"words"},"subject":{"reference":"Patient/me"},`+
				`"valueQuantity":{"value":%d},"focus":[{"reference":%q}],"note":[{"text":%q}]}`, i, map[string]int{"one": i, "other": -i}[secret], target, secret))
		}
		got := transcript(ctx, b)
		if want == nil {
			want = got
			informative(t, got)
			continue
		}
		same(t, secret, want, got)
	}
}

// testHiddenBounds: what bounds a search counts what the caller is shown alone, however much is hidden.
func testHiddenBounds(t *testing.T, h Harness) {
	const many = record.MaxOpened + 100
	var want []answer
	for _, s := range []state{absent, present, deleted} {
		b := setUp(t, h, record.Options{})
		first, rest := parted(visible(), "Organization", "Practitioner", "Encounter", `"id":"o1"`)
		b.put(first...)
		if s != absent {
			b.put(fmt.Sprintf(hiddenPatient, true))
			b.manyHidden(many, func(i int) record.Change {
				text := strings.Replace(hiddenObservation, `"id":"ho"`, fmt.Sprintf(`"id":"many%d"`, i), 1)
				text = strings.Replace(text, `"hasMember"`, `"focus":[{"reference":"Patient/me"},{"reference":"Practitioner/dr"}],"hasMember"`, 1)
				return update(fmt.Sprintf("many%d", i), res(b, text, true))
			})
		}
		if s == deleted {
			b.manyHidden(many, func(i int) record.Change { return deletion("Observation", fmt.Sprintf("many%d", i)) })
		}
		b.put(rest...)
		b.put(`{"resourceType":"Observation","id":"late","status":"final","code":{"text":"Late"},"subject":{"reference":"Patient/me"},"focus":[{"reference":"Patient/me"}],"performer":[{"reference":"Practitioner/dr"}]}`)
		// The patient's own compartment, without what merely speaks of the patient.
		a := &asker{bench: b, ctx: as(where(search.IDs{"me"}))}
		for _, q := range [][]string{
			{"Observation", "_content", "secret"}, {"Observation", "code:text", "words"}, {"Patient", "address-city:contains", "mdur"}, {"Patient", "_has:Observation:focus:code:text", "words"}, {"Patient", "_has:Observation:focus:code:text", "late"}, {"Practitioner", "_has:Observation:performer:code:text", "late"},
			{"Patient", "_has:Observation:focus:_content", "words"}, {"Patient", "_has:Observation:focus:code", "1-1", "address-city:contains", "mdur"}, {"Practitioner", "_has:Observation:performer:code", "1-1", "_content", "doctor"},
			{"Practitioner", "_has:Observation:performer:code:text", "words"}, {"Practitioner", "_revinclude", "Observation:performer"}, {"Practitioner", "_revinclude", "Observation:*"}, {"Patient", "_revinclude", "Observation:focus"},
			{"Observation", "_sort", "focus"}, {"Observation", "_sort", "date", "_count", "2"}, {"Observation", "performer._content", "doctor"}, {"Observation", "_has:Observation:has-member:_content", "words"}, {"Patient", "_sort", "address-city"},
		} {
			a.search(q[0], q[1:]...)
		}
		a.history(record.HistoryQuery{Type: "Observation", Count: 3})
		a.history(record.HistoryQuery{Count: 4})
		a.everything("Patient", "me", nil, noTime, 50)
		a.change("delete all", record.Change{Op: record.Delete, Type: "Observation", All: true, Match: query(a, "Observation", "code", "1-1")})
		if want == nil {
			want = a.out
			informative(t, a.out)
			continue
		}
		same(t, s.String(), want, a.out)
	}
}

func (b *bench) manyHidden(n int, change func(i int) record.Change) {
	b.Helper()
	for from := 0; from < n; from += 300 {
		var cs []record.Change
		for i := from; i < min(n, from+300); i++ {
			cs = append(cs, change(i))
		}
		b.writeAll(cs...)
	}
}

// testSplits draws who is hidden and what is asked: what is found is what the oracle finds among what may be read, and all of it may be read
// one by one.
func testSplits(t *testing.T, h Harness) {
	b := setUp(t, h, record.Options{})
	loadHospital(b, 8)
	whole := readCorpus(b)
	patients := whole.byType["Patient"]
	rapid.Check(t, func(rt *rapid.T) {
		var shown search.IDs
		for _, p := range patients {
			if rapid.Bool().Draw(rt, "shown") {
				shown = append(shown, p.ID)
			}
		}
		var grant access.Grant
		switch rapid.IntRange(0, 3).Draw(rt, "grant") {
		case 0:
			grant = where(shown)
		case 1:
			grant = where(search.Not{Pred: shown})
		case 2:
			category := rapid.SampledFrom([]string{"laboratory", "vital-signs"}).Draw(rt, "category")
			grant = ofCategory(b, category)
		default:
			grant = where(condition(b, "Patient", rapid.SampledFrom([]string{"_has:Encounter:patient:status", "_has:Observation:patient:status"}).Draw(rt, "has"), rapid.SampledFrom([]string{"final", "finished", "planned", "in-progress"}).Draw(rt, "status")))
		}
		split := b.with(t)
		split.ctx = as(grant)
		o := &oracle{bench: split, corpus: whole.shownTo(t, grant), rand: rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 1))}
		all := &oracle{bench: b.with(t), corpus: whole, rand: o.rand}
		for range 6 {
			o.askShown(all)
		}
		if t.Failed() {
			rt.Fatal("the split differs")
		}
	})
}

// shownTo is what the grant shows of a corpus.
func (c *corpus) shownTo(t testing.TB, g access.Grant) *corpus {
	t.Helper()
	out := &corpus{map[string][]*search.Doc{}, map[string]*search.Doc{}, map[string][]*search.Doc{}, nil}
	for typ, docs := range c.byType {
		e := g.Extent(access.Read, typ)
		for _, d := range docs {
			ok := e.IsAll()
			if !ok && !e.IsNone() {
				var err error
				if ok, err = search.Match(e.Pred(), d, c); err != nil {
					t.Fatal(err)
				}
			}
			if !ok {
				continue
			}
			out.byType[typ] = append(out.byType[typ], d)
			out.byID[typ+"/"+d.ID] = d
		}
		if len(out.byType[typ]) > 0 {
			out.types = append(out.types, typ)
		}
	}
	for to, docs := range c.referrer {
		for _, d := range docs {
			if out.byID[d.Type+"/"+d.ID] != nil {
				out.referrer[to] = append(out.referrer[to], d)
			}
		}
	}
	slices.Sort(out.types)
	return out
}

// askShown asks something of any document, hidden or not, and compares.
func (o *oracle) askShown(all *oracle) {
	d := all.doc()
	var params []string
	for range 1 + o.rand.IntN(2) {
		if name, value := all.condition(d, 2); name != "" {
			params = append(params, name, value)
		}
	}
	if _, err := parseQuery(d.Type, params...); err != nil {
		return
	}
	o.check(d.Type, params...)
	o.includesShown(d.Type, params)
	v, err := o.store.Read(o.ctx, d.Type, d.ID)
	if may := o.corpus.byID[d.Type+"/"+d.ID] != nil; may != (err == nil) || err != nil && !fault.Is(err, fault.NotFound) {
		o.Errorf("read %s/%s: shown %v, got %v, %v", d.Type, d.ID, may, v, err)
	}
}

// includesShown demands that nothing that is included or sorted is hidden, and that totals are those of the pages.
func (o *oracle) includesShown(typ string, params []string) {
	sort := pickOf(o, []string{"_lastUpdated", "-_id", "_id"})
	params = append(slices.Clone(params), "_include", typ+":*", "_sort", sort, "_count", "9", "_total", "accurate")
	if typ == "Patient" {
		params = append(params, "_revinclude", pickOf(o, []string{"Observation:subject", "Encounter:patient", "Condition:subject"}))
	}
	q, err := parseQuery(typ, params...)
	if err != nil {
		o.Errorf("%s %q: %v", typ, params, err)
		return
	}
	matches := 0
	for {
		page, err := o.store.Search(o.ctx, q)
		if fault.Is(err, fault.TooCostly) {
			return
		}
		if err != nil {
			o.Errorf("%s %q: %v", typ, params, err)
			return
		}
		for _, m := range page.Matches {
			if o.corpus.byID[m.Version.Type+"/"+m.Version.ID] == nil {
				o.Errorf("%s %q shows %s/%s (included: %v)", typ, params, m.Version.Type, m.Version.ID, m.Included)
			}
			if !m.Included {
				matches++
			}
		}
		if page.Next == "" {
			if page.Total != matches {
				o.Errorf("%s %q: total %d of %d", typ, params, page.Total, matches)
			}
			return
		}
		q.Cursor = page.Next
	}
}
