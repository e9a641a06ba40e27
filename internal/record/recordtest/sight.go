package recordtest

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/search"
	"github.com/nilecare/nilecare/internal/record"
)

// testSight judges what a caller from whom something is hidden can learn: two stores that differ in nothing but what is hidden must give
// the same answer to everything.
func testSight(t *testing.T, h Harness) {
	t.Run("worlds", func(t *testing.T) { testWorlds(t, h) })
	t.Run("masked worlds", func(t *testing.T) { testMaskedWorlds(t, h) })
	t.Run("bounds", func(t *testing.T) { testHiddenBounds(t, h) })
	t.Run("splits", func(t *testing.T) { testSplits(t, h) })
	t.Run("consent", func(t *testing.T) { testConsent(t, h) })
	t.Run("masks", func(t *testing.T) { testMasks(t, h) })
	t.Run("changes", func(t *testing.T) { testPermits(t, h) })
	t.Run("noted", func(t *testing.T) { testNoted(t, h) })
}

// decision is a grant made by hand. Where no extent is given for an action the one for reading counts.
type decision struct {
	read   func(typ string) access.Extent
	others map[access.Action]func(typ string) access.Extent
	masks  map[string][]string
}

func (d decision) Extent(a access.Action, typ string) access.Extent {
	if f := d.others[a]; f != nil {
		return f(typ)
	}
	return d.read(typ)
}

func (d decision) Permits(string) bool { return false }

func (d decision) Masked(typ string) []string { return d.masks[typ] }

func everyType(string) access.Extent { return access.All() }

// as is the context of a caller with that grant.
func as(g access.Grant, change ...func(*access.Caller)) context.Context {
	c := access.Caller{Tenant: 1, Who: "User/7", User: 7, Purpose: "TREAT", Grant: g}
	for _, f := range change {
		f(&c)
	}
	return access.With(context.Background(), c)
}

func directory(typ string) bool {
	return slices.Contains([]string{"Organization", "Practitioner", "Location", "Medication"}, typ)
}

// ofPatient is the decision on a patient's own compartment and the directory.
func ofPatient(t testing.TB, id string) decision {
	return decision{read: func(typ string) access.Extent {
		if directory(typ) {
			return access.All()
		}
		p, err := search.Compartment("Patient", id, typ)
		if err != nil {
			return access.None()
		}
		return access.Some(p)
	}}
}

// patientLinks are the references of a type to its patient.
func patientLinks(typ string) []search.AtomRef {
	p, err := search.Compartment("Patient", "0", typ)
	if in, ok := p.(search.InCompartment); err == nil && ok {
		return in.Atoms
	}
	return nil
}

// where carries a condition on patients to what is theirs.
func where(p search.Pred) decision {
	return decision{read: func(typ string) access.Extent {
		links := patientLinks(typ)
		switch {
		case typ == "Patient":
			return access.Some(p)
		case len(links) == 0 || typ == "CareTeam":
			return access.All()
		}
		return access.Some(search.Chain{Atoms: links, Type: "Patient", Pred: p})
	}}
}

// condition is a search as a predicate.
func condition(t testing.TB, typ string, params ...string) search.Pred {
	t.Helper()
	return query(t, typ, params...).ByType[0].Pred
}

// ofOrganization is the decision on the patients of an organization.
func ofOrganization(t testing.TB, id string) decision {
	return where(condition(t, "Patient", "organization", "Organization/"+id))
}

// ofTeam is the decision on the patients in whose care team somebody is.
func ofTeam(t testing.TB, member string) decision {
	return where(condition(t, "Patient", "_has:CareTeam:patient:participant", member))
}

// ofCategory is a granular decision: Observations of one category, and everything else.
func ofCategory(t testing.TB, category string) decision {
	p := condition(t, "Observation", "category", category)
	return decision{read: func(typ string) access.Extent {
		if typ == "Observation" {
			return access.Some(p)
		}
		return access.All()
	}}
}

// world says who asks, and what is hidden from them.
type world struct {
	name   string
	ctx    context.Context
	hidden []string // templates of what only some worlds hold
	also   []string // what all worlds of this caller hold
}

const (
	hiddenPatient = `{"resourceType":"Patient","id":"h","active":%t,"managingOrganization":{"reference":"Organization/theirs"},"identifier":[{"system":"urn:mrn","value":"1"},{"system":"urn:mrn","value":"secret"}],` +
		`"name":[{"family":"Ada","given":["Hidden"]}],"birthDate":"1970-01-01","gender":"female","address":[{"city":"Omdurman West","line":["1 Nile St"]}],"generalPractitioner":[{"reference":"Practitioner/dr"}],"link":[{"other":{"reference":"Patient/friend"},"type":"seealso"}]}`
	hiddenObservation = `{"resourceType":"Observation","id":"ho","status":"final","identifier":[{"system":"urn:o","value":"shared"},{"system":"urn:o","value":"secret"}],"category":[{"coding":[{"code":"vital-signs"}]}],` +
		`"code":{"coding":[{"system":"http://loinc.org","code":"1-1"}],"text":"Hidden words"},"subject":{"reference":"Patient/h"},"performer":[{"reference":"Practitioner/dr"}],"effectiveDateTime":"2026-01-03",` +
		`"valueQuantity":{"value":7,"unit":"mg"},"hasMember":[{"reference":"Observation/o1"}],"note":[{"text":"secret %t"}]}`
	hiddenEncounter = `{"resourceType":"Encounter","id":"he","status":"finished","class":{"code":"AMB"},"subject":{"reference":"Patient/h"},"participant":[{"individual":{"reference":"Practitioner/dr"}}],"length":{"value":1,"unit":"%t"}}`
	hiddenCondition = `{"resourceType":"Condition","id":"hc","subject":{"reference":"Patient/h"},"encounter":{"reference":"Encounter/e1"},"code":{"text":"secret %t"}}`
)

// theirs are more hidden Observations, so that there is something to page over.
func theirs(n int) []string {
	var out []string
	for i := range n {
		out = append(out, strings.Replace(strings.Replace(hiddenObservation, `"id":"ho"`, fmt.Sprintf(`"id":"ho%d"`, i), 1), "2026-01-03", fmt.Sprintf("2026-01-%02d", i%28+1), 1))
	}
	return out
}

func worlds(t testing.TB) []world {
	all := append([]string{hiddenPatient, hiddenObservation, hiddenEncounter, hiddenCondition}, theirs(12)...)
	consent := `{"resourceType":"Consent","id":"no","status":"active","scope":{"coding":[{"code":"patient-privacy"}]},"category":[{"coding":[{"code":"59284-0"}]}],"policyRule":{"coding":[{"code":"OPTIN"}]},` +
		`"patient":{"reference":"Patient/h"},"provision":{"type":"deny"}}`
	team := `{"resourceType":"CareTeam","id":"team","subject":{"reference":"Patient/%s"},"participant":[{"member":{"reference":"Practitioner/dr"}}]}`
	return []world{
		{name: "a patient", ctx: as(ofPatient(t, "me"), func(c *access.Caller) { c.Self = []string{"Patient/me"} }), hidden: all},
		{name: "an organization", ctx: as(ofOrganization(t, "mine")), hidden: all},
		{name: "a care team", ctx: as(ofTeam(t, "Practitioner/dr")), hidden: all, also: []string{fmt.Sprintf(team, "me")}},
		{name: "a category", ctx: as(ofCategory(t, "laboratory")), hidden: append(theirs(12), hiddenObservation)},
		{name: "consent", ctx: as(decision{read: everyType}), hidden: all, also: []string{consent}},
	}
}

// visible is what every world holds.
func visible() []string {
	out := []string{
		`{"resourceType":"Organization","id":"mine","name":"Mine"}`,
		`{"resourceType":"Organization","id":"theirs","name":"Theirs"}`,
		`{"resourceType":"Practitioner","id":"dr","name":[{"family":"Doctor"}]}`,
		`{"resourceType":"Patient","id":"me","managingOrganization":{"reference":"Organization/mine"},"identifier":[{"system":"urn:mrn","value":"1"}],"name":[{"family":"Ada","given":["Mine"]}],` +
			`"birthDate":"1980-02-02","gender":"female","address":[{"city":"Omdurman","line":["2 Nile St"]}],"generalPractitioner":[{"reference":"Practitioner/dr"}],"link":[{"other":{"reference":"Patient/h"},"type":"seealso"}]}`,
		`{"resourceType":"Encounter","id":"e1","status":"finished","class":{"code":"AMB"},"subject":{"reference":"Patient/me"},"participant":[{"individual":{"reference":"Practitioner/dr"}}]}`,
		`{"resourceType":"Condition","id":"c1","subject":{"reference":"Patient/me"},"encounter":{"reference":"Encounter/he"},"code":{"text":"shown words"}}`,
	}
	for i := range 5 {
		out = append(out, fmt.Sprintf(`{"resourceType":"Observation","id":"o%d","status":"final","identifier":[{"system":"urn:o","value":"%s"}],"category":[{"coding":[{"code":"laboratory"}]}],`+
			`"code":{"coding":[{"system":"http://loinc.org","code":"1-1"}],"text":"Shown words"},"subject":{"reference":"Patient/me"},"performer":[{"reference":"Practitioner/dr"}],"effectiveDateTime":"2026-01-%02d",`+
			`"valueQuantity":{"value":%d,"unit":"mg"},"focus":[{"reference":"%s"}],"hasMember":[{"reference":"Observation/ho"}]}`,
			i, []string{"shared", "b", "c", "d", "e"}[i], 5-i, i, []string{"Patient/h", "Patient/zz", "Encounter/he", "Patient/aa", "Patient/h"}[i]))
	}
	return out
}

// put writes resources as the program itself, in the order of the list.
func (b *bench) put(texts ...string) {
	b.Helper()
	for _, text := range texts {
		r := res(b, "%s", text)
		b.write(update(r.ID(), r))
	}
}

// state is what became of the hidden resources.
type state int

const (
	absent state = iota
	present
	updated
	deleted
	states
)

func (s state) String() string { return [...]string{"absent", "present", "updated", "deleted"}[s] }

func (b *bench) hide(w world, s state) {
	b.Helper()
	for _, text := range w.hidden {
		if s == absent {
			return
		}
		r := res(b, text, true)
		b.write(update(r.ID(), r))
		if s == updated {
			r := res(b, text, false)
			b.write(update(r.ID(), r))
		}
	}
	if s == deleted {
		for _, text := range slices.Backward(w.hidden) {
			r := res(b, text, true)
			b.write(deletion(r.Type(), r.ID()))
		}
	}
}

func testWorlds(t *testing.T, h Harness) {
	for _, w := range worlds(t) {
		t.Run(w.name, func(t *testing.T) {
			var want []answer
			for s := range states {
				b := setUp(t, h, record.Options{})
				// The order of numbers is that in which ids were first heard of: what hidden records refer to stands there before.
				first, rest := parted(visible(), "Organization", "Practitioner", "Encounter", `"id":"o1"`)
				b.put(first...)
				b.put(w.also...)
				b.hide(w, s)
				slices.Reverse(rest)
				b.put(rest...)
				got := transcript(w.ctx, b)
				if want == nil {
					want = got
					informative(t, got)
					continue
				}
				same(t, s.String(), want, got)
			}
		})
	}
}

// parted parts the resources of which one of the words is said from the others.
func parted(texts []string, words ...string) (those, others []string) {
	for _, text := range texts {
		if slices.ContainsFunc(words, func(w string) bool {
			return strings.HasPrefix(text, `{"resourceType":"`+w) || strings.Contains(text, w) && w[0] == '"'
		}) {
			those = append(those, text)
		} else {
			others = append(others, text)
		}
	}
	return those, others
}

// answer is what came of one question, in the form in which it may be compared.
type answer struct{ question, text string }

func same(t *testing.T, name string, want, got []answer) {
	t.Helper()
	if len(want) != len(got) {
		t.Fatalf("%s: %d answers, want %d", name, len(got), len(want))
	}
	told := 0
	for i := range want {
		if want[i] != got[i] {
			if told++; told < 12 {
				t.Errorf("%s: %s\nwant %.1500s\ngot  %.1500s", name, want[i].question, want[i].text, got[i].text)
			}
		}
	}
	if told > 0 {
		t.Errorf("%s: %d of %d answers differ", name, told, len(want))
	}
}

// informative demands that the questions ask something: that of the answers a good part finds something.
func informative(t *testing.T, answers []answer) {
	t.Helper()
	found := 0
	for _, a := range answers {
		if strings.Contains(a.text, "resourceType") {
			found++
		}
	}
	t.Logf("%d questions, %d found something", len(answers), found)
	if found < len(answers)/4 {
		t.Errorf("of %d questions %d found something", len(answers), found)
	}
}

var (
	numbers = regexp.MustCompile(`\b[1-9][0-9]{12,15}\b`)
	times   = regexp.MustCompile(`"lastUpdated":"[^"]*"`)
)

func plainText(s string) string {
	return times.ReplaceAllString(numbers.ReplaceAllString(s, "N"), `"lastUpdated":"T"`)
}

func failureText(err error) string {
	var all []string
	for e := err; e != nil; {
		all = append(all, fmt.Sprintf("%T", e))
		u, ok := e.(interface{ Unwrap() error })
		if !ok {
			break
		}
		e = u.Unwrap()
	}
	return plainText(fmt.Sprintf("%v %v", all, err))
}

func versionText(v *record.Version) string {
	if v == nil {
		return "none"
	}
	return plainText(fmt.Sprintf("%s/%s %d %v %v %s", v.Type, v.ID, v.VID, v.Deleted, v.Op, v.JSON()))
}

func pageText(p *record.Page) string {
	var b strings.Builder
	fmt.Fprintf(&b, "total %d %v next %v prev %v\n", p.Total, p.Exact, p.Next != "", p.Prev != "")
	for _, m := range p.Matches {
		fmt.Fprintln(&b, m.Included, versionText(m.Version))
	}
	return b.String()
}

// asker gathers answers.
type asker struct {
	*bench
	ctx context.Context
	out []answer
}

func (a *asker) tell(question string, text string) {
	a.out = append(a.out, answer{fmt.Sprintf("%d %s", len(a.out), question), text})
}

// search tells every page.
func (a *asker) search(typ string, params ...string) {
	q, err := parseQuery(typ, params...)
	if err != nil {
		a.tell("unparsed", failureText(err))
		a.Errorf("%s %q: %v", typ, params, err)
		return
	}
	a.ask(fmt.Sprint("search ", typ, params), q)
}

func (a *asker) ask(name string, q *search.Query) {
	for range 40 {
		page, err := a.store.Search(a.ctx, q)
		if err != nil {
			a.tell(name, failureText(err))
			return
		}
		a.tell(name, pageText(page))
		if page.Next == "" {
			return
		}
		q.Cursor = page.Next
	}
	a.Error("the pages do not end")
}

func (a *asker) history(h record.HistoryQuery) {
	met := map[int64]bool{}
	for range 100 {
		page, err := a.store.History(a.ctx, h)
		if err != nil {
			a.tell(fmt.Sprintf("history %+v", h), failureText(err))
			return
		}
		var b strings.Builder
		fmt.Fprintln(&b, page.Total, page.Next != "")
		for _, v := range page.Versions {
			fmt.Fprintln(&b, versionText(v))
			met[v.Seq] = true
		}
		name := h
		name.Cursor = ""
		a.tell(fmt.Sprintf("history %+v", name), b.String())
		if page.Next == "" {
			whole := h
			whole.Cursor, whole.Count = "", record.MaxCount
			if all, err := a.store.History(a.ctx, whole); err != nil || len(all.Versions) != len(met) || all.Next != "" || all.Total != len(met) {
				a.Errorf("%+v: the pages hold %d versions, and the whole %v, %v", h, len(met), all, err)
			}
			return
		}
		h.Cursor = page.Next
	}
	a.Error("the history does not end")
}

func (a *asker) everything(typ, id string, types []string, since time.Time, count int) {
	cursor := ""
	for range 40 {
		page, err := a.store.Everything(a.ctx, typ, id, types, since, count, cursor)
		if err != nil {
			a.tell(fmt.Sprint("everything ", typ, id, types), failureText(err))
			return
		}
		a.tell(fmt.Sprint("everything ", typ, id, types), pageText(page))
		if cursor = page.Next; cursor == "" {
			return
		}
	}
	a.Error("everything does not end")
}

func (a *asker) change(name string, cs ...record.Change) {
	out, err := a.store.Write(a.ctx, cs)
	if err != nil {
		a.tell(name, failureText(err))
		return
	}
	var b strings.Builder
	for _, o := range out {
		fmt.Fprintln(&b, o.Result, o.Count, versionText(o.Version))
	}
	a.tell(name, b.String())
}

// transcript asks everything there is to ask.
func transcript(ctx context.Context, b *bench) []answer {
	a := &asker{bench: b, ctx: ctx}
	a.reads()
	a.searches()
	a.histories()
	a.changes()
	a.searches()
	a.histories()
	return a.out
}

func (a *asker) reads() {
	for _, id := range []string{"Patient/me", "Patient/h", "Patient/zz", "Observation/ho", "Observation/o1", "Observation/never", "Encounter/he", "Condition/hc", "Observation/ho3", "Organization/theirs"} {
		typ, id, _ := strings.Cut(id, "/")
		v, err := a.store.Read(a.ctx, typ, id)
		a.tell("read "+typ+"/"+id, versionText(v)+" "+failureText(err))
		v, err = a.store.Current(a.ctx, typ, id)
		a.tell("current "+typ+"/"+id, versionText(v)+" "+failureText(err))
		for vid := range int64(4) {
			v, err := a.store.ReadVersion(a.ctx, typ, id, vid)
			a.tell(fmt.Sprint("vread ", typ, "/", id, " ", vid), versionText(v)+" "+failureText(err))
		}
	}
}

// searches asks every kind of search there is.
func (a *asker) searches() {
	long := func(n int, value func(i int) string) string {
		var out []string
		for i := range n {
			out = append(out, value(i))
		}
		return strings.Join(out, ",")
	}
	for _, s := range [][]string{
		{"Patient"}, {"Observation"}, {"Encounter"}, {"Condition"}, {"CareTeam"}, {"Consent"}, {"Organization"},
		{"Patient", "family", "Ada"}, {"Patient", "identifier", "urn:mrn|1"}, {"Patient", "identifier", "urn:mrn|secret"}, {"Patient", "birthdate", "lt1975"}, {"Patient", "given:contains", "idd"},
		{"Patient", "_id", "me,h,zz"}, {"Patient", "_id", "h"}, {"Patient", "_id:not", "me"}, {"Patient", "gender:not", "male"}, {"Patient", "gender:missing", "false"}, {"Patient", "death-date:missing", "true"},
		{"Patient", "link", "Patient/h"}, {"Patient", "link", "h"}, {"Patient", "general-practitioner", "Practitioner/dr"}, {"Patient", "organization", "Organization/theirs"}, {"Patient", "organization.name", "Theirs"},
		{"Patient", "address-city:contains", "mdur"}, {"Patient", "address", "Omdurman"}, {"Patient", "address:contains", "west"}, {"Patient", "address-city:exact", "Omdurman West"}, {"Patient", "_sort", "address-city"}, {"Patient", "_sort", "-address-city"},
		{"Patient", "link.family", "Ada"}, {"Patient", "link:Patient.identifier", "urn:mrn|secret"}, {"Patient", "link:Patient.address-city:contains", "west"}, {"Patient", "link:Patient.gender:missing", "false"}, {"Patient", "link:Patient.death-date:missing", "true"},
		{"Patient", "link:Patient._id", "h"}, {"Patient", "link:Patient.organization.name", "Theirs"}, {"Patient", "link:Patient._has:Observation:patient:code", "1-1"},
		{"Patient", "_has:Observation:patient:code", "1-1"}, {"Patient", "_has:Observation:patient:code:text", "hidden"}, {"Patient", "_has:Patient:link:family", "Ada"}, {"Patient", "_has:Patient:link:address-city:contains", "west"},
		{"Patient", "_has:Observation:patient:_has:Observation:has-member:identifier", "urn:o|secret"}, {"Patient", "_has:Observation:focus:_id", "o0"}, {"Patient", "_has:Observation:subject:performer.family", "Doctor"},
		{"Patient", "_content", "secret"}, {"Patient", "_text", "secret"}, {"Patient", "_content", "nile"}, {"Observation", "_content", "words"}, {"Observation", "code:text", "words"}, {"Observation", "code:text", "hidden"}, {"Observation", "code:not", "2-2"},
		{"Observation", "subject:Patient.family", "Ada"}, {"Observation", "focus:Patient.family", "Ada"}, {"Observation", "focus:Patient.given", "Hidden"}, {"Observation", "focus:Encounter.status", "finished"}, {"Observation", "focus:Encounter.subject:Patient.family", "Ada"},
		{"Observation", "focus:Patient.organization:Organization.name", "Theirs"}, {"Observation", "focus", "Patient/h"}, {"Observation", "focus:missing", "false"}, {"Observation", "focus:Patient._has:Observation:patient:_id", "ho"},
		{"Observation", "has-member:Observation.code", "1-1"}, {"Observation", "has-member.identifier", "urn:o|secret"}, {"Observation", "_has:Observation:has-member:code", "1-1"}, {"Observation", "_has:Observation:has-member:subject:Patient.family", "Ada"},
		{"Observation", "_has:Observation:has-member:_has:Observation:has-member:_id", "o2"}, {"Observation", "identifier", "urn:o|shared"}, {"Observation", "identifier", "urn:o|secret"}, {"Observation", "category", "vital-signs"}, {"Observation", "category:not", "vital-signs"},
		{"Observation", "value-quantity", "gt0"}, {"Observation", "value-quantity", "7"}, {"Observation", "code-value-quantity", "1-1$7"}, {"Observation", "date", "ge2026"}, {"Observation", "date", "2026-01-03"}, {"Observation", "patient", "me"}, {"Observation", "patient", "h"},
		{"Observation", "_id", long(60, func(i int) string { return fmt.Sprintf("ho%d", i) }) + ",o1"}, {"Observation", "identifier", long(60, func(i int) string { return fmt.Sprintf("urn:o|x%d", i) }) + ",urn:o|secret,urn:o|shared"},
		{"Observation", "date", long(40, func(i int) string { return fmt.Sprintf("2026-01-%02d", i%28+1) })}, {"Observation", "_lastUpdated", "gt2000"}, {"Observation", "_lastUpdated", "lt2000"}, {"Patient", "_lastUpdated", "gt2000", "_count", "1"},
		{"Observation", "_sort", "date"}, {"Observation", "_sort", "-date", "_count", "2"}, {"Observation", "_sort", "_id", "_count", "2"}, {"Observation", "_sort", "-_id"}, {"Observation", "_sort", "_lastUpdated", "_count", "2"}, {"Observation", "_sort", "-_lastUpdated", "_count", "2"},
		{"Observation", "_sort", "subject"}, {"Observation", "_sort", "focus", "_count", "2"}, {"Observation", "_sort", "-focus"}, {"Observation", "_sort", "value-quantity", "_count", "2"}, {"Observation", "_sort", "code,-date", "_count", "2"}, {"Observation", "_sort", "identifier"},
		{"Patient", "_sort", "family"}, {"Patient", "_sort", "-identifier"}, {"Patient", "_sort", "organization"}, {"Patient", "_sort", "link"},
		{"Observation", "_count", "2", "_total", "accurate"}, {"Observation", "_count", "2", "_total", "estimate"}, {"Observation", "_summary", "count"}, {"Observation", "_count", "0"}, {"Patient", "_summary", "count"}, {"Patient", "address-city:contains", "mdur", "_summary", "count"},
		{"Observation", "_count", "1"}, {"Observation", "_count", "3", "code", "1-1"}, {"Observation", "code:text", "words", "_count", "2", "_total", "accurate"}, {"Observation", "_sort", "date", "_summary", "count"},
		{"Patient", "_include", "Patient:link"}, {"Patient", "_include", "Patient:*"}, {"Observation", "_include", "Observation:*", "_count", "2"}, {"Observation", "_include", "Observation:focus"}, {"Observation", "_include", "Observation:has-member"},
		{"Observation", "_include", "Observation:focus:Patient", "_include:iterate", "Patient:organization"}, {"Observation", "_id", "o1", "_include", "Observation:subject", "_include:iterate", "Patient:link", "_include:iterate", "Patient:organization"},
		{"Patient", "_revinclude", "Observation:subject"}, {"Patient", "_revinclude", "Observation:focus"}, {"Patient", "_revinclude", "Patient:link"}, {"Practitioner", "_revinclude", "Observation:performer"}, {"Practitioner", "_revinclude", "Patient:general-practitioner"},
		{"Practitioner", "_revinclude", "Patient:general-practitioner", "_revinclude:iterate", "Observation:subject"}, {"Organization", "_revinclude", "Patient:organization"}, {"Patient", "_revinclude", "Observation:*"},
		{"Observation", "_revinclude", "Observation:has-member", "_revinclude:iterate", "Observation:has-member"}, {"Encounter", "_revinclude", "Condition:encounter"}, {"Condition", "_include", "Condition:encounter", "_include:iterate", "Encounter:subject"},
		{"Organization", "_has:Patient:organization:family", "Ada"}, {"Organization", "_has:Patient:organization:_has:Observation:patient:code", "1-1"}, {"Practitioner", "_has:Observation:performer:code", "1-1"}, {"Practitioner", "_has:Patient:general-practitioner:given", "Hidden"},
		{"Encounter", "_has:Condition:encounter:_id", "hc"}, {"Condition", "encounter.status", "finished"}, {"Condition", "encounter:Encounter.patient.family", "Ada"}, {"Condition", "patient.family", "Ada"},
	} {
		a.search(s[0], s[1:]...)
	}
	for _, s := range [][]string{
		{}, {"_count", "3"}, {"_type", "Patient,Observation"}, {"_type", "Patient,Observation,Encounter", "_count", "2"}, {"_id", "h"}, {"_lastUpdated", "gt2000", "_count", "5"}, {"_summary", "count"},
		{"_type", "Patient,Observation", "_sort", "_lastUpdated"}, {"_type", "Patient,Observation", "_sort", "-_id", "_count", "2"}, {"_type", "Patient,Observation", "_content", "secret"}, {"_type", "Observation,Condition", "patient", "Patient/h"},
		{"_type", "Encounter,Condition", "patient.family", "Ada"}, {"_type", "Patient,Condition", "_total", "accurate", "_count", "1"},
	} {
		a.search("", s...)
	}
	for _, focus := range []string{"Patient/me", "Patient/h", "Practitioner/dr", "Encounter/he"} {
		for _, typ := range []string{"Observation", "Condition", "Patient", "Encounter"} {
			of, id, _ := strings.Cut(focus, "/")
			member, err := search.Compartment(of, id, typ)
			if err != nil {
				continue
			}
			q := query(a, typ, "_total", "accurate", "_count", "2")
			q.ByType[0].Pred = search.And{member, q.ByType[0].Pred}
			a.ask("compartment "+focus+" "+typ, q)
		}
	}
	a.everything("Patient", "me", nil, noTime, 3)
	a.everything("Patient", "me", []string{"Observation", "Patient"}, noTime, 50)
	a.everything("Patient", "h", nil, noTime, 50)
	a.everything("Patient", "zz", nil, noTime, 50)
	a.everything("Encounter", "e1", nil, time.Unix(1, 0), 50)
	a.everything("Encounter", "he", nil, noTime, 50)
}

func (a *asker) histories() {
	a.history(record.HistoryQuery{})
	a.history(record.HistoryQuery{Count: 3})
	a.history(record.HistoryQuery{Since: time.Unix(1, 0), Count: 7})
	a.history(record.HistoryQuery{At: time.Now().Add(time.Hour).Truncate(time.Hour * 9000), Count: 7})
	for _, typ := range []string{"Observation", "Patient", "Encounter", "Condition", "Organization"} {
		a.history(record.HistoryQuery{Type: typ})
		a.history(record.HistoryQuery{Type: typ, Count: 1})
		a.history(record.HistoryQuery{Type: typ, Count: 2})
		a.history(record.HistoryQuery{Type: typ, Count: 5})
	}
	for _, of := range []string{"Patient/me", "Patient/h", "Patient/zz", "Observation/ho", "Observation/o0", "Observation/never"} {
		typ, id, _ := strings.Cut(of, "/")
		a.history(record.HistoryQuery{Type: typ, ID: id})
		a.history(record.HistoryQuery{Type: typ, ID: id, Count: 1})
	}
}

func (a *asker) observation(id, subject, note string) *fhir.Resource {
	of := ""
	if id != "" {
		of = fmt.Sprintf(`"id":%q,`, id)
	}
	return res(a, `{"resourceType":"Observation",%s"status":"final","category":[{"coding":[{"code":"laboratory"}]}],"identifier":[{"system":"urn:o","value":"shared"}],"code":{"text":%q},"subject":{"reference":%q}}`, of, note, subject)
}

func (a *asker) matching(typ string, params ...string) *search.Query { return query(a, typ, params...) }

func (a *asker) gender(to string) func(*fhir.Resource) (*fhir.Resource, error) {
	return func(r *fhir.Resource) (*fhir.Resource, error) {
		r.Set("gender", fhir.NewString(to))
		return r, nil
	}
}

func (a *asker) status(to string) func(*fhir.Resource) (*fhir.Resource, error) {
	return func(r *fhir.Resource) (*fhir.Resource, error) {
		r.Set("status", fhir.NewString(to))
		return r, nil
	}
}

// changes asks every kind of change. Those that succeed change what the caller sees.
func (a *asker) changes() {
	for _, id := range []string{"ho", "never", "ho2"} {
		for _, version := range []int64{0, 1, 2, 3, 99} {
			c := update(id, a.observation(id, "Patient/me", "mine now"))
			c.IfMatch = version
			a.change("update "+id, c)
			d := deletion("Observation", id)
			d.IfMatch = version
			a.change("delete "+id, d)
			p := record.Change{Op: record.Patch, Type: "Observation", ID: id, Apply: a.status("amended"), IfMatch: version}
			a.change("patch "+id, p)
		}
		c := update(id, a.observation(id, "Patient/me", "mine now"))
		c.IfNoneMatch = true
		a.change("update if none "+id, c)
		a.change("invalid "+id, update(id, res(a, `{"resourceType":"Observation","id":%q,"bogus":1}`, id)))
	}
	a.change("update Patient/h", update("h", res(a, `{"resourceType":"Patient","id":"h"}`)))
	a.change("delete Patient/h", deletion("Patient", "h"))
	a.change("delete twice", deletion("Patient", "h"), deletion("Patient", "h"))
	a.change("delete many", deletion("Patient", "h"), deletion("Observation", "ho"), deletion("Encounter", "never"))
	a.change("bad id", update("no/id", a.observation("", "Patient/me", "x")))
	a.change("number id", update("9007199254740000", a.observation("9007199254740000", "Patient/me", "x")))

	a.change("if none exist", record.Change{Op: record.Create, Type: "Patient", Resource: patient(a, "Ada"), Match: a.matching("Patient", "identifier", "urn:mrn|1")})
	a.change("if none exist, of the hidden", record.Change{Op: record.Create, Type: "Observation", Resource: a.observation("", "Patient/me", "new"), Match: a.matching("Observation", "identifier", "urn:o|secret")})
	a.change("if none exist, by a chain", record.Change{Op: record.Create, Type: "Observation", Resource: a.observation("", "Patient/me", "new"), Match: a.matching("Observation", "focus:Patient.given", "Hidden")})
	a.change("conditional update", record.Change{Op: record.Update, Type: "Patient", Match: a.matching("Patient", "identifier", "urn:mrn|1"), Resource: res(a, `{"resourceType":"Patient","managingOrganization":{"reference":"Organization/mine"},"identifier":[{"system":"urn:mrn","value":"1"}],"name":[{"family":"Ada"}],"link":[{"other":{"reference":"Patient/h"},"type":"seealso"}]}`)})
	a.change("conditional update of the hidden", record.Change{Op: record.Update, Type: "Observation", Match: a.matching("Observation", "category", "vital-signs"), Resource: a.observation("", "Patient/me", "another")})
	a.change("conditional update with a hidden id", record.Change{Op: record.Update, Type: "Observation", Match: a.matching("Observation", "identifier", "urn:o|none"), Resource: a.observation("ho", "Patient/me", "another")})
	a.change("conditional update with a hidden id that matches", record.Change{Op: record.Update, Type: "Observation", Match: a.matching("Observation", "identifier", "urn:o|secret"), Resource: a.observation("ho", "Patient/me", "another")})
	a.change("conditional patch", record.Change{Op: record.Patch, Type: "Patient", Match: a.matching("Patient", "family", "Ada"), Apply: a.gender("other")})
	a.change("conditional patch of the hidden", record.Change{Op: record.Patch, Type: "Patient", Match: a.matching("Patient", "_id", "h"), Apply: a.gender("other")})
	a.change("conditional delete of the hidden", record.Change{Op: record.Delete, Type: "Observation", Match: a.matching("Observation", "identifier", "urn:o|secret")})
	a.change("conditional delete of all", record.Change{Op: record.Delete, Type: "Observation", All: true, Match: a.matching("Observation", "category", "vital-signs")})
	a.change("conditional delete of one", record.Change{Op: record.Delete, Type: "Condition", Match: a.matching("Condition", "code:text", "words")})

	of := func(subject string) record.Change {
		c := creation(a.observation("", subject, "by condition"))
		c.FullURL = "urn:uuid:0f2b7a33-1111-4222-8333-444455556666"
		return c
	}
	a.change("conditional reference", of("Patient?identifier=urn:mrn|1"))
	a.change("conditional reference to the hidden", of("Patient?identifier=urn:mrn|secret"))
	a.change("conditional reference by a chain", of("Patient?link:Patient.given=Hidden"))
	a.change("a reference to the hidden", of("Patient/h"))
	a.change("a reference to nobody", of("Patient/zz"))
	a.change("a set", creation(a.observation("", "Patient/me", "one")), update("o2", a.observation("o2", "Patient/me", "two")), deletion("Observation", "ho"), deletion("Observation", "o3"))
	a.change("a set that steals", update("ho", a.observation("ho", "Patient/me", "two")), deletion("Observation", "o4"))
	a.change("move away", update("o4", a.observation("o4", "Patient/h", "moved")))
	a.change("no change", update("o2", a.observation("o2", "Patient/me", "two")))
}
