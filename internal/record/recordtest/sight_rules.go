package recordtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/audit"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/search"
	"github.com/nilecare/nilecare/internal/record"
)

// consent is a Consent of Patient/p with that provision, and what else it says.
func consentOf(provision, more string) string {
	return fmt.Sprintf(`{"resourceType":"Consent","id":"c","status":"active","scope":{"coding":[{"code":"patient-privacy"}]},"category":[{"coding":[{"code":"59284-0"}]}],"policyRule":{"coding":[{"code":"OPTIN"}]},`+
		`"patient":{"reference":"Patient/p"},"provision":%s%s}`, provision, more)
}

const (
	roleCoding = `"role":{"coding":[{"code":"IRCP"}]}`
	actorDr    = `"actor":[{` + roleCoding + `,"reference":{"reference":"Practitioner/dr"}}]`
)

func testConsent(t *testing.T, h Harness) {
	const base = "https://clinic.example/fhir/R4"
	b := setUp(t, h, record.Options{Base: base})
	b.put(`{"resourceType":"Practitioner","id":"dr"}`, `{"resourceType":"Patient","id":"p","name":[{"family":"P"}]}`, `{"resourceType":"Patient","id":"q","name":[{"family":"Q"}]}`,
		`{"resourceType":"Observation","id":"op","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/p"}}`,
		`{"resourceType":"Observation","id":"or","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/p"},"meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"R"}]}}`,
		`{"resourceType":"Observation","id":"oq","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/q"}}`)
	g := decision{read: everyType}
	self := func(refs ...string) func(*access.Caller) { return func(c *access.Caller) { c.Self = refs } }
	purpose := func(p string) func(*access.Caller) { return func(c *access.Caller) { c.Purpose = p } }
	callers := map[string]context.Context{
		"dr":       as(g, self("Practitioner/dr")),
		"other":    as(g, self("Practitioner/other")),
		"self":     as(g, self("Patient/p")),
		"payment":  as(g, self("Practitioner/pay"), purpose("HPAYMT")),
		"research": as(g, self("Practitioner/res"), purpose("HRESCH")),
		"break":    as(g, self("Practitioner/dr"), func(c *access.Caller) { c.Emergency = true }),
		"system":   access.With(context.Background(), access.System(1)),
	}
	const all = "p op or"
	for _, c := range []struct {
		name, consent string
		hidden        map[string]string // caller → what is hidden; "*" for those who are not named
	}{
		{"nothing denied", consentOf(`{"type":"permit"}`, ""), nil},
		{"root, everybody", consentOf(`{"type":"deny"}`, ""), map[string]string{"*": all}},
		{"an actor", consentOf(`{"type":"deny",`+actorDr+`}`, ""), map[string]string{"dr": all}},
		{"an actor by an absolute reference", consentOf(`{"type":"deny","actor":[{`+roleCoding+`,"reference":{"reference":"`+base+`/Practitioner/dr"}}]}`, ""), map[string]string{"dr": all}},
		{"an actor of another server", consentOf(`{"type":"deny","actor":[{`+roleCoding+`,"reference":{"reference":"https://elsewhere.example/Practitioner/dr"}}]}`, ""), nil},
		{"an actor nobody knows beside one", consentOf(`{"type":"deny","actor":[{`+roleCoding+`,"reference":{"reference":"Practitioner/dr"}},{`+roleCoding+`,"reference":{"display":"Somebody"}}]}`, ""), map[string]string{"*": all}},
		{"a purpose", consentOf(`{"type":"deny","purpose":[{"code":"HPAYMT"}]}`, ""), map[string]string{"payment": all}},
		{"a purpose without code", consentOf(`{"type":"deny","purpose":[{"display":"x"}]}`, ""), map[string]string{"*": all}},
		{"a class", consentOf(`{"type":"deny","class":[{"system":"http://hl7.org/fhir/resource-types","code":"Observation"}]}`, ""), map[string]string{"*": "op or"}},
		{"a class that is no type", consentOf(`{"type":"deny","class":[{"code":"application/hl7-cda+xml"}]}`, ""), map[string]string{"*": all}},
		{"a label", consentOf(`{"type":"deny","securityLabel":[{"code":"R"}]}`, ""), map[string]string{"*": "or"}},
		{"a period that ended", consentOf(`{"type":"deny","period":{"end":"2020-01-01"}}`, ""), nil},
		{"a period to come", consentOf(`{"type":"deny","period":{"start":"2999-01-01"}}`, ""), nil},
		{"a period that lasts", consentOf(`{"type":"deny","period":{"start":"2020-01-01","end":"2999"}}`, ""), map[string]string{"*": all}},
		{"a criterion that is not read", consentOf(`{"type":"deny","code":[{"text":"x"}],`+actorDr+`}`, ""), map[string]string{"dr": all}},
		{"an exception for an actor", consentOf(`{"type":"deny","provision":[{"type":"permit",`+actorDr+`}]}`, ""), map[string]string{"*": all, "dr": ""}},
		{"an exception with a criterion that is not read", consentOf(`{"type":"deny","provision":[{"type":"permit","code":[{"text":"x"}],`+actorDr+`}]}`, ""), map[string]string{"*": all}},
		{"an exception for a class", consentOf(`{"type":"deny","provision":[{"type":"permit","class":[{"code":"Observation"}]}]}`, ""), map[string]string{"*": "p"}},
		{"an exception that ended", consentOf(`{"type":"deny","provision":[{"type":"permit","period":{"end":"2020"},`+actorDr+`}]}`, ""), map[string]string{"*": all}},
		{"an exception that is narrowed", consentOf(`{"type":"deny","provision":[{"type":"permit",`+actorDr+`,"provision":[{"type":"deny","class":[{"code":"Observation"}]}]}]}`, ""), map[string]string{"*": all}},
		{"a denial within a permit", consentOf(`{"type":"permit","provision":[{"type":"deny",`+actorDr+`}]}`, ""), map[string]string{"dr": all}},
		{"a denial within a permit within a permit", consentOf(`{"type":"permit",`+actorDr+`,"provision":[{"type":"permit","provision":[{"type":"deny","class":[{"code":"Observation"}]}]}]}`, ""), map[string]string{"dr": "op or"}},
		{"a denial beside an exception", consentOf(`{"type":"deny","provision":[{"type":"permit",`+actorDr+`},{"type":"deny","class":[{"code":"Patient"}]}]}`, ""), map[string]string{"*": all, "dr": "p"}},
		{"a refusal of treatment", strings.Replace(consentOf(`{"type":"deny"}`, ""), "patient-privacy", "treatment", 1), nil},
		{"no research", strings.Replace(consentOf(`{"type":"deny"}`, ""), "patient-privacy", "research", 1), map[string]string{"research": all}},
		{"no longer active", strings.Replace(consentOf(`{"type":"deny"}`, ""), `"active"`, `"inactive"`, 1), nil},
	} {
		b.put(c.consent)
		for who, ctx := range callers {
			hidden, ok := c.hidden[who]
			if !ok && who != "self" && who != "break" && who != "system" {
				hidden = c.hidden["*"]
			}
			b.with(t).sees(ctx, c.name+", "+who, strings.Fields(hidden))
		}
	}
	b.put(consentOf(`{"type":"deny"}`, ""))
	b.with(t).sees(callers["dr"], "denied", strings.Fields(all))
	b.write(deletion("Consent", "c"))
	b.with(t).sees(callers["dr"], "deleted", nil)
	if b.place.Shared {
		other := openBench(t, b.place, record.Options{Base: base})
		other.with(t).sees(callers["dr"], "another process, before", nil)
		b.put(consentOf(`{"type":"deny"}`, ""))
		for until := time.Now().Add(time.Minute); ; { // it looks again within a second
			if _, err := other.store.Read(callers["dr"], "Patient", "p"); err != nil || time.Now().After(until) {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		other.with(t).sees(callers["dr"], "another process", strings.Fields(all))
	}
}

// sees demands that all but the hidden ones are read and found.
func (b *bench) sees(ctx context.Context, name string, hidden []string) {
	b.Helper()
	one := *b
	one.ctx = ctx
	for _, id := range []string{"p", "q", "op", "or", "oq"} {
		typ := "Patient"
		if len(id) > 1 {
			typ = "Observation"
		}
		_, err := one.store.Read(ctx, typ, id)
		if want := slices.Contains(hidden, id); want != fault.Is(err, fault.NotFound) || !want && err != nil {
			b.Errorf("%s: read %s: %v", name, id, err)
		}
	}
	var want []string
	for _, id := range []string{"op", "or", "oq"} {
		if !slices.Contains(hidden, id) {
			want = append(want, id)
		}
	}
	one.finds(want, "Observation", "code:text", "x")
	one.finds(want, "Observation")
	page, err := one.store.Search(ctx, query(b, "Observation", "_summary", "count"))
	if err != nil || page.Total != len(want) {
		b.Errorf("%s: total %v of %d, %v", name, page, len(want), err)
	}
	chained := want
	if slices.Contains(hidden, "p") {
		chained = slices.DeleteFunc(slices.Clone(want), func(id string) bool { return id != "oq" })
	}
	one.finds(chained, "Observation", "subject:Patient.family", "P,Q")
}

func testMasks(t *testing.T, h Harness) {
	b := setUp(t, h, record.Options{})
	const secret = "s3cret"
	full := `{"resourceType":"Patient","id":"p","text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">s3cret</div>"},"identifier":[{"system":"urn:mrn","value":"s3cret"}],"name":[{"family":"s3cret"}],` +
		`"gender":"female","deceasedDateTime":"2026-01-01","link":[{"other":{"reference":"Patient/q"},"type":"seealso"}]}`
	b.put(`{"resourceType":"Patient","id":"q"}`, full, `{"resourceType":"Observation","id":"o","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/p"}}`)
	masks := map[string][]string{"Patient": {"identifier", "name", "link", "text", "deceasedBoolean", "deceasedDateTime"}}
	m := b.with(t)
	m.ctx = as(decision{read: everyType, masks: masks})
	clean := func(what string, vs ...*record.Version) {
		t.Helper()
		if len(vs) == 0 {
			t.Errorf("%s: nothing", what)
		}
		for _, v := range vs {
			text := string(v.JSON())
			if v.Type == "Patient" && v.ID == "p" && (!strings.Contains(text, "MASKED") || strings.Contains(text, "deceased") || strings.Contains(text, "link")) || strings.Contains(text, secret) {
				t.Errorf("%s: %s", what, text)
			}
		}
	}
	clean("read", m.read("Patient", "p"))
	v, err := m.store.ReadVersion(m.ctx, "Patient", "p", 1)
	if err != nil {
		t.Fatal(err)
	}
	clean("vread", v)
	page := func(q *search.Query) (out []*record.Version) {
		t.Helper()
		p, err := m.store.Search(m.ctx, q)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range p.Matches {
			out = append(out, x.Version)
		}
		return out
	}
	clean("search", page(query(t, "Patient"))...)
	clean("include", page(query(t, "Observation", "_include", "Observation:subject"))...)
	hist, _ := m.history(record.HistoryQuery{Type: "Patient"})
	clean("history", hist...)
	ev, err := m.store.Everything(m.ctx, "Patient", "p", nil, noTime, 50, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range ev.Matches {
		clean("everything", x.Version)
	}
	for _, q := range [][]string{{"Patient", "identifier", "x"}, {"Patient", "family", "x"}, {"Patient", "name:contains", "x"}, {"Patient", "_sort", "family"}, {"Patient", "_sort", "-death-date"}, {"Patient", "death-date", "2026"}, {"Patient", "deceased", "true"},
		{"Patient", "identifier:missing", "true"}, {"Patient", "link", "Patient/q"}, {"Patient", "link.gender", "male"}, {"Patient", "_content", "x"}, {"Patient", "_text", "x"}, {"Observation", "subject:Patient.family", "x"}, {"Observation", "patient.identifier", "x"},
		{"Patient", "_has:Patient:link:gender", "female"}, {"Patient", "family:not-there:missing", "x"}, {"Observation", "subject:Patient.death-date:missing", "true"}, {"Patient", "phonetic", "x"}} {
		parsed, err := parseQuery(q[0], q[1:]...)
		if err != nil {
			continue
		}
		if _, err := m.store.Search(m.ctx, parsed); !fault.Is(err, fault.Forbidden) || !strings.Contains(err.Error(), "Patient.") {
			t.Errorf("%q: %v", q, err)
		}
	}
	if got := page(query(t, "Patient", "_id", "p", "_include", "Patient:link", "_include", "Patient:*")); len(got) != 1 {
		t.Errorf("a masked reference was followed: %d", len(got))
	}
	if got := page(query(t, "Patient", "_id", "q", "_revinclude", "Patient:link", "_revinclude", "Patient:*")); len(got) != 1 {
		t.Errorf("a masked reference was followed backwards: %d", len(got))
	}
	maskedChanges(t, m, clean)
	// As the program itself sees it, nothing was lost.
	stored := string(b.read("Patient", "p").JSON())
	for _, want := range []string{`"value":"s3cret"`, `"family":"s3cret"`, `"deceasedDateTime"`, `"link"`, `s3cret</div>`, `"male"`} {
		if !strings.Contains(stored, want) {
			t.Errorf("%s was lost: %s", want, stored)
		}
	}
	if strings.Contains(stored, "MASKED") {
		t.Errorf("a reader's mark was stored: %s", stored)
	}
}

// maskedChanges makes changes as one who does not see all.
func maskedChanges(t *testing.T, m *bench, clean func(string, ...*record.Version)) {
	shown, err := m.read("Patient", "p").Resource()
	if err != nil {
		t.Fatal(err)
	}
	o := m.write(update("p", shown.Clone()))
	clean("an update of nothing", o.Version)
	shown.Set("gender", fhir.NewString("other"))
	given := shown.Clone()
	o = m.write(update("p", given))
	mustBe(t, record.Outcome{Result: o.Result}, record.Updated, 0)
	clean("update", o.Version)
	if given.Get("identifier") != nil {
		t.Error("the caller's own resource holds what is hidden")
	}
	o = m.write(patch("p", "male"))
	clean("patch", o.Version)
	seen := errors.New("it is as if absent")
	_, err = m.store.Write(m.ctx, []record.Change{{Op: record.Patch, Type: "Patient", ID: "p", Apply: func(r *fhir.Resource) (*fhir.Resource, error) {
		if r.Get("identifier") != nil || r.Get("name") != nil || r.Get("deceasedDateTime") != nil || r.Get("text") != nil {
			t.Error("a patch sees what is hidden")
		}
		return nil, seen
	}}})
	if !errors.Is(err, seen) {
		t.Error(err)
	}
	added := res(t, `{"resourceType":"Patient","id":"p","gender":"male","name":[{"family":"overwritten"}]}`)
	clean("update that overwrites", m.write(update("p", added)).Version)
	if _, err := m.store.Write(m.ctx, []record.Change{{Op: record.Update, Type: "Patient", Match: query(t, "Patient", "identifier", "urn:mrn|s3cret"), Resource: res(t, `{"resourceType":"Patient"}`)}}); !fault.Is(err, fault.Forbidden) {
		t.Errorf("a condition on what is hidden: %v", err)
	}
}

func testPermits(t *testing.T, h Harness) {
	b := setUp(t, h, record.Options{})
	b.put(`{"resourceType":"Organization","id":"mine"}`, `{"resourceType":"Organization","id":"theirs"}`, `{"resourceType":"Practitioner","id":"dr"}`,
		`{"resourceType":"Patient","id":"me","managingOrganization":{"reference":"Organization/mine"}}`, `{"resourceType":"Patient","id":"other","managingOrganization":{"reference":"Organization/theirs"}}`)
	reset := func() {
		b.put(`{"resourceType":"Observation","id":"mine","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/me"}}`,
			`{"resourceType":"Observation","id":"both","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/other"},"performer":[{"reference":"Patient/me"}]}`,
			`{"resourceType":"Observation","id":"theirs","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/other"}}`)
	}
	obs := func(id, subject, more string) *fhir.Resource {
		return res(t, `{"resourceType":"Observation","id":%q,"status":"final","code":{"text":"y"},"subject":{"reference":%q}%s}`, id, subject, more)
	}
	repoint := func(id, to string) record.Change {
		return record.Change{Op: record.Patch, Type: "Observation", ID: id, Apply: func(r *fhir.Resource) (*fhir.Resource, error) {
			r.Get("subject").Set("reference", fhir.NewString(to))
			return r, nil
		}}
	}
	withPatient := func(org, subject string) []record.Change {
		p := creation(res(t, `{"resourceType":"Patient","managingOrganization":{"reference":"Organization/%s"}}`, org))
		p.FullURL = "urn:uuid:00000000-0000-4000-8000-000000000001"
		return []record.Change{creation(obs("", subject, "")), p}
	}
	patientMe, ofMine, team := ofPatient(t, "me"), ofOrganization(t, "mine"), ofTeam(t, "Practitioner/dr")
	readAll := decision{read: everyType, others: map[access.Action]func(string) access.Extent{access.Create: patientMe.read, access.Update: patientMe.read, access.Delete: patientMe.read}}
	joining := ofTeam(t, "Practitioner/dr")
	joining.read = func(typ string) access.Extent {
		if typ == "CareTeam" { // a team is for those who are in one of its patient
			return access.Some(search.Chain{Atoms: patientLinks("CareTeam"), Type: "Patient", Pred: condition(t, "Patient", "_has:CareTeam:patient:participant", "Practitioner/dr")})
		}
		return team.read(typ)
	}
	const uuid = "urn:uuid:00000000-0000-4000-8000-000000000001"
	for _, c := range []struct {
		name  string
		grant access.Grant
		want  fault.Kind // 0: it is done
		cs    []record.Change
	}{
		{"a patient creates for themself", patientMe, 0, []record.Change{creation(obs("", "Patient/me", ""))}},
		{"a patient creates for another", patientMe, fault.Forbidden, []record.Change{creation(obs("", "Patient/other", ""))}},
		{"a patient creates for nobody", patientMe, fault.Forbidden, []record.Change{creation(res(t, `{"resourceType":"Observation","status":"final","code":{"text":"x"}}`))}},
		{"a patient creates for another, naming themself beside", patientMe, fault.Forbidden, []record.Change{creation(obs("", "Patient/other", `,"performer":[{"reference":"Patient/me"}]`))}},
		{"a patient creates for themself, naming another", patientMe, fault.Forbidden, []record.Change{creation(obs("", "Patient/me", `,"performer":[{"reference":"Patient/other"}]`))}},
		{"a patient updates their own", patientMe, 0, []record.Change{update("mine", obs("mine", "Patient/me", ""))}},
		{"a patient moves their own away", patientMe, fault.Forbidden, []record.Change{update("mine", obs("mine", "Patient/other", ""))}},
		{"a patient's patch moves their own away", patientMe, fault.Forbidden, []record.Change{repoint("mine", "Patient/other")}},
		{"a patient steals", patientMe, fault.NotFound, []record.Change{update("theirs", obs("theirs", "Patient/me", ""))}},
		{"a patient's patch steals", patientMe, fault.NotFound, []record.Change{repoint("theirs", "Patient/me")}},
		{"a patient steals what they are named in", patientMe, fault.Forbidden, []record.Change{update("both", obs("both", "Patient/me", ""))}},
		{"a patient deletes what they are named in", patientMe, fault.Forbidden, []record.Change{deletion("Observation", "both")}},
		{"a patient deletes their own", patientMe, 0, []record.Change{deletion("Observation", "mine")}},
		{"a patient chooses an id", patientMe, fault.NotFound, []record.Change{update("new", obs("new", "Patient/me", ""))}},
		{"a patient makes a patient linked to themself", patientMe, fault.Forbidden, []record.Change{creation(res(t, `{"resourceType":"Patient","link":[{"other":{"reference":"Patient/me"},"type":"seealso"}]}`))}},
		{"who reads all steals", readAll, fault.Forbidden, []record.Change{update("theirs", obs("theirs", "Patient/me", ""))}},
		{"who reads all deletes", readAll, fault.Forbidden, []record.Change{deletion("Observation", "theirs")}},
		{"who reads all changes nothing of others'", readAll, fault.Forbidden, []record.Change{update("theirs", res(t, `{"resourceType":"Observation","id":"theirs","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/other"}}`))}},
		{"a patient and their Observation at once", ofMine, 0, withPatient("mine", uuid)},
		{"another's patient and an Observation at once", ofMine, fault.Forbidden, withPatient("theirs", uuid)},
		{"an Observation of another's patient beside", ofMine, fault.Forbidden, withPatient("mine", "Patient/other")},
		{"a patient is moved away with what is theirs", ofMine, fault.Forbidden, []record.Change{update("me", res(t, `{"resourceType":"Patient","id":"me","managingOrganization":{"reference":"Organization/theirs"}}`)), update("mine", obs("mine", "Patient/me", ""))}},
		{"a patient is taken over with what is theirs", ofMine, fault.NotFound, []record.Change{update("other", res(t, `{"resourceType":"Patient","id":"other","managingOrganization":{"reference":"Organization/mine"}}`)), update("theirs", obs("theirs", "Patient/other", ""))}},
		{"an organization names its patient beside another's", ofMine, fault.Forbidden, []record.Change{creation(obs("", "Patient/other", `,"performer":[{"reference":"Patient/me"}]`))}},
		{"somebody joins a team by the team they write", joining, fault.Forbidden, []record.Change{creation(res(t, `{"resourceType":"CareTeam","subject":{"reference":"Patient/me"},"participant":[{"member":{"reference":"Practitioner/dr"}}]}`))}},
		{"one refused, all refused", patientMe, fault.Forbidden, []record.Change{creation(obs("", "Patient/me", "")), creation(obs("", "Patient/other", ""))}},
		{"nothing at all", access.Nothing(), fault.Forbidden, []record.Change{creation(obs("", "Patient/me", ""))}},
	} {
		t.Run(c.name, func(t *testing.T) {
			reset()
			one := b.with(t)
			one.ctx = as(c.grant)
			before := b.counts()
			_, err := one.store.Write(one.ctx, c.cs)
			if c.want == 0 {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if !fault.Is(err, c.want) {
				t.Errorf("want %v, got %v", c.want, err)
			}
			one.same(before, b.counts())
		})
	}
}

// collector is a Sink that keeps what it is told.
type collector struct {
	mu      sync.Mutex
	entries []audit.Entry
}

func (c *collector) Note(e audit.Entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.entries = append(c.entries, e)
}

func (c *collector) take() []audit.Entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.entries
	c.entries = nil
	return out
}

func testNoted(t *testing.T, h Harness) {
	sink := &collector{}
	b := setUp(t, h, record.Options{Audit: sink})
	b.put(`{"resourceType":"Organization","id":"org"}`, `{"resourceType":"Patient","id":"me","identifier":[{"value":"1"}]}`, `{"resourceType":"Patient","id":"h"}`,
		`{"resourceType":"Observation","id":"om","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/me"}}`, `{"resourceType":"Observation","id":"oh","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/h"}}`)
	b.read("Patient", "me")
	if n := len(sink.take()); n != 0 {
		t.Errorf("the program's own reads are noted: %d", n)
	}
	me, hidden := b.read("Patient", "me").Num, b.read("Patient", "h").Num
	wide, narrow := as(decision{read: everyType}), as(ofPatient(t, "me"))
	both, mine, none := []int64{me, hidden}, []int64{me}, []int64(nil)
	slices.Sort(both)
	search1 := func(ctx context.Context, typ string, params ...string) func() error {
		return func() error { _, err := b.store.Search(ctx, query(t, typ, params...)); return err }
	}
	read := func(ctx context.Context, typ, id string) func() error {
		return func() error { _, err := b.store.Read(ctx, typ, id); return err }
	}
	history := func(ctx context.Context, q record.HistoryQuery) func() error {
		return func() error { _, err := b.store.History(ctx, q); return err }
	}
	write := func(ctx context.Context, cs ...record.Change) func() error {
		return func() error { _, err := b.store.Write(ctx, cs); return err }
	}
	everything := func(ctx context.Context, id string) func() error {
		return func() error { _, err := b.store.Everything(ctx, "Patient", id, nil, noTime, 50, ""); return err }
	}
	for _, c := range []struct {
		name     string
		do       func() error
		action   string
		outcome  audit.Outcome
		patients []int64
		count    int
	}{
		{"read", read(wide, "Patient", "me"), "read", audit.Success, mine, 1},
		{"read of a directory", read(wide, "Organization", "org"), "read", audit.Success, none, 1},
		{"read of the hidden", read(narrow, "Patient", "h"), "read", audit.Minor, none, 0},
		{"read of nothing", read(wide, "Patient", "never"), "read", audit.Minor, none, 0},
		{"vread", func() error { _, err := b.store.ReadVersion(wide, "Observation", "oh", 1); return err }, "vread", audit.Success, []int64{hidden}, 1},
		{"search", search1(wide, "Observation"), "search", audit.Success, both, 2},
		{"search, narrowly", search1(narrow, "Observation"), "search", audit.Success, mine, 1},
		{"search with what it includes", search1(wide, "Patient", "_id", "me", "_revinclude", "Observation:subject"), "search", audit.Success, mine, 2},
		{"search that is refused", search1(narrow, "Library"), "search", audit.Minor, none, 0},
		{"count", search1(wide, "Observation", "_summary", "count"), "search", audit.Success, none, 0},
		{"history", history(wide, record.HistoryQuery{Type: "Observation"}), "history", audit.Success, both, 2},
		{"history, narrowly", history(narrow, record.HistoryQuery{}), "history", audit.Success, mine, 3},
		{"history of the hidden", history(narrow, record.HistoryQuery{Type: "Patient", ID: "h"}), "history", audit.Minor, none, 0},
		{"everything", everything(wide, "me"), "everything", audit.Success, mine, 2},
		{"everything of the hidden", everything(narrow, "h"), "everything", audit.Minor, none, 0},
		{"refused create", write(narrow, creation(res(t, `{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/h"}}`))), "create", audit.Minor, none, 0},
		{"refused set", write(narrow, deletion("Observation", "om"), deletion("Library", "x")), "transaction", audit.Minor, none, 0},
		{"found by a condition", write(wide, record.Change{Op: record.Create, Type: "Patient", Resource: patient(t, "x"), Match: query(t, "Patient", "identifier", "1")}), "create", audit.Success, mine, 0},
		{"delete of nothing", write(wide, deletion("Patient", "never")), "delete", audit.Success, none, 0},
	} {
		sink.take()
		err := c.do()
		got := sink.take()
		if len(got) != 1 {
			t.Errorf("%s: %d entries: %+v", c.name, len(got), got)
			continue
		}
		e := got[0]
		slices.Sort(e.Patients)
		if e.Action != c.action || e.Outcome != c.outcome || !slices.Equal(e.Patients, c.patients) || e.Count != c.count || e.Who != "User/7" || e.Tenant != 1 || (err != nil) != (c.outcome != audit.Success) {
			t.Errorf("%s (%v): %+v, want patients %v, count %d", c.name, err, e, c.patients, c.count)
		}
	}
	// A change that is made has its entry in its own transaction.
	sink.take()
	before := b.counts()["audit_entry"]
	if err := write(wide, patch("me", "male"))(); err != nil {
		t.Fatal(err)
	}
	if n := len(sink.take()); n != 0 || b.counts()["audit_entry"] != before+1 {
		t.Errorf("%d entries beside the transaction's, which has %d", n, b.counts()["audit_entry"]-before)
	}
}
