package recordtest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir/search"
	"github.com/nilecare/nilecare/internal/record"
)

var noTime time.Time

func testSearch(t *testing.T, h Harness) {
	b := setUp(t, h, record.Options{})
	for _, c := range []struct {
		name string
		f    func(*bench)
	}{
		{"addresses", addresses}, {"sorting", sorting}, {"totals", totals}, {"includes", includes}, {"cursors", cursors},
		{"compartment", compartment}, {"everything", everything}, {"last updated", lastUpdated}, {"ids", ids},
		{"equal numbers", equalNumbers}, {"index follows", indexFollows}, {"paging under writers", pagingUnderWriters},
		{"bound", bound}, {"alternatives", alternatives}, {"heavy pages", heavyPages},
	} {
		t.Run(c.name, func(t *testing.T) { c.f(b.with(t)) })
	}
	b.sound()
}

// addresses are strings that stand in no index in clear.
func addresses(b *bench) {
	for id, city := range map[string]string{"ad1": "Kairo", "ad2": "Kafr el-Sheikh", "ad3": "New Kairo City", "ad4": "Ägypten-Stadt", "ad5": "K"} {
		b.write(update(id, res(b, `{"resourceType":"Patient","address":[{"city":%q,"line":["12 Tahrir Square"]}],"telecom":[{"system":"phone","value":"+20 100 %s"}]}`, city, id)))
	}
	for value, want := range map[string][]string{
		"Kairo": {"ad1"}, "kairo": {"ad1"}, "Ka": {"ad1", "ad2"}, "K": {"ad1", "ad2", "ad5"}, "Kafr el": {"ad2"}, "Kafr el-Sheik": {"ad2"},
		"agypten": {"ad4"}, "New Kairo City": {"ad3"}, "New Kairo Citys": nil, "Kaira": nil,
	} {
		b.finds(want, "Patient", "address-city", value)
	}
	b.finds([]string{"ad1", "ad3"}, "Patient", "address-city:contains", "air")
	b.finds([]string{"ad1"}, "Patient", "address-city:exact", "Kairo")
	b.finds(nil, "Patient", "address-city:exact", "kairo")
	b.finds([]string{"ad1", "ad2"}, "Patient", "address-city", "kairo,kafr")
	b.finds([]string{"ad3"}, "Patient", "address-city:contains", "air", "address", "new")
	b.finds([]string{"ad2"}, "Patient", "phone", "+20 100 ad2")
	b.finds([]string{"ad2"}, "Patient", "telecom", "phone|+20 100 ad2")
	got := b.find("Patient", "address", "12 Tahrir", "_sort", "address-city", "_count", "2")
	if want := []string{"ad4", "ad5", "ad2", "ad1", "ad3"}; !slices.Equal(got, want) {
		b.Errorf("sorted by city: %q, want %q", got, want)
	}
	got = b.find("Patient", "address", "12 Tahrir", "_sort", "-address-city", "_count", "2")
	if want := []string{"ad3", "ad1", "ad2", "ad5", "ad4"}; !slices.Equal(got, want) {
		b.Errorf("sorted by city, downward: %q, want %q", got, want)
	}
}

func sorting(b *bench) {
	type row struct{ id, family, birth string }
	rows := []row{{"so1", "Beta", "1980"}, {"so2", "Alpha", "1990-05"}, {"so3", "", "1970-01-01"}, {"so4", "Alpha", ""}, {"so5", "", ""}, {"so6", "Gamma", "1980-06-01"}, {"so7", "Alpha", "1985"}}
	for _, r := range rows {
		text := `{"resourceType":"Patient","identifier":[{"system":"urn:sort","value":"x"}]`
		if r.family != "" {
			text += `,"name":[{"family":"` + r.family + `"},{"family":"Zeta ` + r.id + `"}]`
		}
		if r.birth != "" {
			text += `,"birthDate":"` + r.birth + `"`
		}
		b.write(update(r.id, res(b, "%s}", text)))
	}
	for sort, want := range map[string]string{
		"family,birthdate":  "so7 so2 so4 so1 so6 so3 so5",
		"birthdate":         "so3 so1 so6 so7 so2 so4 so5",
		"-birthdate":        "so2 so7 so6 so1 so3 so4 so5",
		"-family":           "so7 so6 so4 so2 so1 so3 so5",
		"family,-birthdate": "so2 so7 so4 so1 so6 so3 so5",
		"_id":               "so1 so2 so3 so4 so5 so6 so7",
		"-_id":              "so7 so6 so5 so4 so3 so2 so1",
		"_lastUpdated":      "so1 so2 so3 so4 so5 so6 so7",
		"-_lastUpdated":     "so7 so6 so5 so4 so3 so2 so1",
		"family,-_id":       "so7 so4 so2 so1 so6 so5 so3",
	} {
		for _, count := range []string{"1", "2", "3", "50"} {
			got := strings.Join(b.find("Patient", "identifier", "urn:sort|x", "_sort", sort, "_count", count), " ")
			if got != want {
				b.Errorf("_sort=%s by %s: %s, want %s", sort, count, got, want)
			}
		}
	}
	got := b.find("Patient", "_sort", "-_lastUpdated", "_count", "3")
	if want := []string{"so7", "so6", "so5"}; !slices.Equal(got[:3], want) {
		b.Errorf("the newest of all: %q", got[:3])
	}
}

func totals(b *bench) {
	for i := range 7 {
		b.write(creation(res(b, `{"resourceType":"Basic","code":{"coding":[{"system":"urn:total","code":"%d"}]}}`, i%2)))
	}
	for _, c := range []struct {
		params  []string
		matches int
		total   int
	}{
		{[]string{"code", "urn:total|0", "_count", "3", "_total", "accurate"}, 3, 4},
		{[]string{"code", "urn:total|0", "_count", "4"}, 4, 4},
		{[]string{"code", "urn:total|0", "_count", "3"}, 3, -1},
		{[]string{"code", "urn:total|0", "_count", "3", "_total", "none"}, 3, -1},
		{[]string{"code", "urn:total|0", "_count", "0"}, 0, 4},
		{[]string{"code", "urn:total|0", "_summary", "count"}, 0, 4},
		{[]string{"code", "urn:total|0,urn:total|1", "_summary", "count"}, 0, 7},
		{[]string{"code:not", "urn:total|0", "_total", "accurate"}, 3, 3},
		{[]string{"code", "urn:total|9"}, 0, 0},
		{[]string{"_count", "0"}, 0, 7},
	} {
		page, err := b.store.Search(b.ctx, query(b, "Basic", c.params...))
		if err != nil {
			b.Fatal(err)
		}
		if len(page.Matches) != c.matches || page.Total != c.total {
			b.Errorf("%q: %d matches, total %d; want %d and %d", c.params, len(page.Matches), page.Total, c.matches, c.total)
		}
	}
}

// spelledPage writes a page as matches, a bar, and what they include.
func spelledPage(p *record.Page) string {
	var m, inc []string
	for _, x := range p.Matches {
		s := x.Version.Type[:3] + "/" + x.Version.ID
		if x.Included {
			inc = append(inc, s)
		} else {
			m = append(m, s)
		}
	}
	slices.Sort(inc)
	return strings.Join(m, " ") + "|" + strings.Join(inc, " ")
}

func includes(b *bench) {
	b.writeAll(
		update("in-org2", res(b, `{"resourceType":"Organization","name":"Upper"}`)),
		update("in-org1", res(b, `{"resourceType":"Organization","name":"Lower","partOf":{"reference":"Organization/in-org2"}}`)),
		update("in-pra", res(b, `{"resourceType":"Practitioner","name":[{"family":"P"}]}`)),
		update("in-pat", res(b, `{"resourceType":"Patient","managingOrganization":{"reference":"Organization/in-org1"},"generalPractitioner":[{"reference":"Practitioner/in-pra"},{"reference":"Organization/in-org2"},{"reference":"Organization/in-absent"}]}`)),
		update("in-obs1", observation(b, "Patient/in-pat")),
		update("in-obs2", observation(b, "Patient/in-pat")),
		update("in-pro", res(b, `{"resourceType":"Provenance","recorded":"2026-01-01T00:00:00Z","target":[{"reference":"Observation/in-obs1"}],"agent":[{"who":{"reference":"Practitioner/in-pra"}}]}`)),
	)
	b.write(update("in-gone", observation(b, "Patient/in-pat")))
	b.write(deletion("Observation", "in-gone"))
	for _, c := range []struct {
		typ    string
		params []string
		want   string
	}{
		{"Patient", []string{"_id", "in-pat", "_include", "Patient:organization"}, "Pat/in-pat|Org/in-org1"},
		{"Patient", []string{"_id", "in-pat", "_include", "Patient:general-practitioner"}, "Pat/in-pat|Org/in-org2 Pra/in-pra"},
		{"Patient", []string{"_id", "in-pat", "_include", "Patient:general-practitioner:Practitioner"}, "Pat/in-pat|Pra/in-pra"},
		{"Patient", []string{"_id", "in-pat", "_include", "*"}, "Pat/in-pat|Org/in-org1 Org/in-org2 Pra/in-pra"},
		{"Patient", []string{"_id", "in-pat", "_include", "Patient:organization", "_include:iterate", "Organization:partof"}, "Pat/in-pat|Org/in-org1 Org/in-org2"},
		{"Patient", []string{"_id", "in-pat", "_include", "Patient:organization", "_include", "Organization:partof"}, "Pat/in-pat|Org/in-org1"},
		{"Patient", []string{"_id", "in-pat", "_revinclude", "Observation:subject"}, "Pat/in-pat|Obs/in-obs1 Obs/in-obs2"},
		{"Patient", []string{"_id", "in-pat", "_revinclude", "Observation:patient", "_revinclude:iterate", "Provenance:target"}, "Pat/in-pat|Obs/in-obs1 Obs/in-obs2 Pro/in-pro"},
		{"Observation", []string{"_id", "in-obs1", "_include", "Observation:subject", "_include:iterate", "Patient:organization", "_include:iterate", "Organization:partof"}, "Obs/in-obs1|Org/in-org1 Org/in-org2 Pat/in-pat"},
		{"Observation", []string{"_id", "in-obs1", "_include", "Observation:subject", "_revinclude:iterate", "Observation:subject"}, "Obs/in-obs1|Obs/in-obs2 Pat/in-pat"},
		{"Observation", []string{"_id", "in-obs1", "_include", "Observation:encounter"}, "Obs/in-obs1|"},
	} {
		page, err := b.store.Search(b.ctx, query(b, c.typ, c.params...))
		if err != nil {
			b.Errorf("%q: %v", c.params, err)
			continue
		}
		if got := spelledPage(page); got != c.want {
			b.Errorf("%s %q: %s, want %s", c.typ, c.params, got, c.want)
		}
	}
}

func cursors(b *bench) {
	for i := range 4 {
		b.write(creation(res(b, `{"resourceType":"Device","deviceName":[{"name":"d%d","type":"other"}],"udiCarrier":[{"carrierHRF":"x"}]}`, i)))
	}
	q := query(b, "Device", "_count", "2")
	page, err := b.store.Search(b.ctx, q)
	if err != nil || page.Next == "" {
		b.Fatalf("no second page: %v", err)
	}
	refuse := func(why, typ, cursor string, params ...string) {
		b.Helper()
		q := query(b, typ, params...)
		q.Cursor = cursor
		if _, err := b.store.Search(b.ctx, q); !fault.Is(err, fault.Invalid) {
			b.Errorf("%s: %v", why, err)
		}
	}
	refuse("text", "Device", "next")
	refuse("empty seal", "Device", "AAAA")
	refuse("another type's", "Patient", page.Next, "_count", "2")
	refuse("another order's", "Device", page.Next, "_count", "2", "_sort", "-_lastUpdated")
	for i := range len(page.Next) {
		c := byte('A')
		if page.Next[i] == c {
			c = 'B'
		}
		if i == len(page.Next)-1 {
			break // its last bits may be padding
		}
		refuse(fmt.Sprintf("changed at %d", i), "Device", page.Next[:i]+string(c)+page.Next[i+1:], "_count", "2")
	}
	q.Cursor = page.Next
	if page, err = b.store.Search(b.ctx, q); err != nil || len(page.Matches) != 2 {
		b.Errorf("the second page: %v", err)
	}
}

func compartment(b *bench) {
	b.write(update("co-1", observation(b, "Patient/co-p")))
	b.write(update("co-2", observation(b, "Patient/co-q")))
	b.write(update("co-3", res(b, `{"resourceType":"Observation","status":"final","code":{"text":"x"},"performer":[{"reference":"Patient/co-p"}]}`)))
	b.write(update("co-p", patient(b, "Co")))
	for typ, want := range map[string][]string{"Observation": {"co-1", "co-3"}, "Patient": {"co-p"}, "Condition": nil} {
		p, err := search.Compartment("Patient", "co-p", typ)
		if err != nil {
			b.Fatal(err)
		}
		vs, err := b.all(&search.Query{Type: typ, Count: 1, ByType: []search.TypedPred{{Type: typ, Pred: p}}})
		if err != nil {
			b.Fatal(err)
		}
		got := idsOf(vs)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			b.Errorf("%s of the compartment: %q, want %q", typ, got, want)
		}
	}
}

func everything(b *bench) {
	b.writeAll(
		update("ev-org", res(b, `{"resourceType":"Organization","name":"O"}`)),
		update("ev-p", res(b, `{"resourceType":"Patient","managingOrganization":{"reference":"Organization/ev-org"}}`)),
		update("ev-e", res(b, `{"resourceType":"Encounter","status":"finished","class":{"code":"AMB"},"subject":{"reference":"Patient/ev-p"},"location":[{"location":{"reference":"Location/ev-l"}}]}`)),
		update("ev-l", res(b, `{"resourceType":"Location","name":"L"}`)),
		update("ev-o", observation(b, "Patient/ev-p")),
		update("ev-x", observation(b, "Patient/ev-y")),
	)
	gather := func(types []string, since time.Time, count int) (own, beside map[string]bool) {
		own, beside = map[string]bool{}, map[string]bool{}
		cursor := ""
		for range 50 {
			page, err := b.store.Everything(b.ctx, "Patient", "ev-p", types, since, count, cursor)
			if err != nil {
				b.Fatal(err)
			}
			for _, m := range page.Matches {
				if m.Included {
					beside[m.Version.ID] = true
				} else if own[m.Version.ID] {
					b.Errorf("%s comes twice", m.Version.ID)
				} else {
					own[m.Version.ID] = true
				}
			}
			if cursor = page.Next; cursor == "" {
				return own, beside
			}
		}
		b.Fatal("the pages do not end")
		return nil, nil
	}
	names := func(m map[string]bool) string {
		var out []string
		for k := range m {
			out = append(out, k)
		}
		slices.Sort(out)
		return strings.Join(out, " ")
	}
	for _, count := range []int{1, 2, 100} {
		own, beside := gather(nil, noTime, count)
		if names(own) != "ev-e ev-o ev-p" || names(beside) != "ev-l ev-org" {
			b.Errorf("by %d: %s, beside them %s", count, names(own), names(beside))
		}
	}
	if own, _ := gather([]string{"Observation"}, noTime, 10); names(own) != "ev-o" {
		b.Errorf("of one type: %s", names(own))
	}
	since := tick()
	b.write(update("ev-o2", observation(b, "Patient/ev-p")))
	if own, _ := gather(nil, since, 10); names(own) != "ev-o2" {
		b.Errorf("since: %s", names(own))
	}
	if _, err := b.store.Everything(b.ctx, "Patient", "ev-none", nil, noTime, 0, ""); !fault.Is(err, fault.NotFound) {
		b.Errorf("of nobody: %v", err)
	}
	if _, err := b.store.Everything(b.ctx, "Location", "ev-l", nil, noTime, 0, ""); !fault.Is(err, fault.NotFound) {
		b.Errorf("of a place: %v", err)
	}
}

func lastUpdated(b *bench) {
	stamp := func(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
	tick()
	one := b.write(update("lu1", res(b, `{"resourceType":"Flag","status":"active","code":{"text":"x"},"subject":{"reference":"Patient/x"}}`))).Version.Updated
	tick()
	two := b.write(update("lu2", res(b, `{"resourceType":"Flag","status":"active","code":{"text":"x"},"subject":{"reference":"Patient/x"}}`))).Version.Updated
	for value, want := range map[string][]string{
		"ge" + stamp(one): {"lu1", "lu2"}, "gt" + stamp(one): {"lu2"}, "le" + stamp(one): {"lu1"}, "lt" + stamp(one): nil,
		stamp(one): {"lu1"}, "eq" + stamp(two): {"lu2"}, "ne" + stamp(one): {"lu2"}, "sa" + stamp(one): {"lu2"}, "eb" + stamp(two): {"lu1"},
		one.UTC().Format("2006-01-02"): {"lu1", "lu2"}, "lt2020": nil, "gt2020": {"lu1", "lu2"},
	} {
		b.finds(want, "Flag", "_lastUpdated", value)
		b.finds(want, "Flag", "_lastUpdated", value, "subject:missing", "false")
	}
}

func ids(b *bench) {
	num := b.write(creation(patient(b, "Id"))).Version.ID
	b.write(update("id-1", patient(b, "Id")))
	b.write(update("id-2", patient(b, "Id")))
	b.write(creation(observation(b, "Patient/id-referred")))
	b.finds([]string{"id-1", "id-2", num}, "Patient", "_id", "id-1,id-2,"+num+",id-none,1600000000000000,id-referred")
	b.finds([]string{"id-2"}, "Patient", "_id", "id-1,id-2", "_id", "id-2,"+num)
	b.finds(nil, "Observation", "_id", "id-1")
	b.write(deletion("Patient", "id-1"))
	b.finds([]string{"id-2"}, "Patient", "_id", "id-1,id-2")
	b.finds([]string{num}, "Patient", "_id", "id-1,"+num, "family", "Id")
}

// equalNumbers are resources of several types whose ids are one number.
func equalNumbers(b *bench) {
	const id = "1500000000001"
	b.write(update(id, patient(b, "Equal")))
	b.write(update(id, observation(b, "Patient/"+id)))
	b.write(update(id, res(b, `{"resourceType":"Encounter","status":"finished","class":{"code":"AMB"},"subject":{"reference":"Patient/%s"}}`, id)))
	for _, sort := range [][]string{nil, {"_sort", "_id"}, {"_sort", "-_lastUpdated"}} {
		for _, count := range []string{"1", "2", "10"} {
			vs, err := b.all(query(b, "", append([]string{"_type", "Patient,Observation,Encounter", "_id", id, "_count", count}, sort...)...))
			if err != nil {
				b.Fatal(err)
			}
			var types []string
			for _, v := range vs {
				types = append(types, v.Type)
			}
			slices.Sort(types)
			if got := strings.Join(types, " "); got != "Encounter Observation Patient" {
				b.Errorf("%q by %s: %s", sort, count, got)
			}
		}
	}
	b.finds([]string{id}, "Observation", "subject", "Patient/"+id)
	b.finds(nil, "Observation", "subject", "Group/"+id)
	b.write(deletion("Observation", id))
	b.read("Patient", id)
	if vs, _ := b.history(record.HistoryQuery{Type: "Patient", ID: id}); len(vs) != 1 {
		b.Errorf("the history holds %d versions", len(vs))
	}
}

// indexFollows demands that an update takes away what is not so any more.
func indexFollows(b *bench) {
	b.write(update("ix", res(b, `{"resourceType":"Patient","name":[{"family":"Before"}],"birthDate":"1980-01-01","address":[{"city":"Luxor"}],"managingOrganization":{"reference":"Organization/ix-a"}}`)))
	before := b.counts()
	b.write(update("ix", res(b, `{"resourceType":"Patient","name":[{"family":"After"}],"birthDate":"1981-01-01","address":[{"city":"Assuan"}],"managingOrganization":{"reference":"Organization/ix-b"}}`)))
	for name, old := range map[string]string{"family": "Before", "birthdate": "1980-01-01", "address-city": "Luxor", "organization": "ix-a"} {
		b.finds(nil, "Patient", "_id", "ix", name, old)
	}
	for name, now := range map[string]string{"family": "After", "birthdate": "1981-01-01", "address-city": "Assuan", "organization": "ix-b"} {
		b.finds([]string{"ix"}, "Patient", "_id", "ix", name, now)
	}
	b.write(deletion("Patient", "ix"))
	b.finds(nil, "Patient", "family", "After")
	b.finds(nil, "Patient", "birthdate", "1981-01-01", "_id", "ix")
	b.write(update("ix", res(b, `{"resourceType":"Patient","name":[{"family":"Before"}],"birthDate":"1980-01-01","address":[{"city":"Luxor"}],"managingOrganization":{"reference":"Organization/ix-a"}}`)))
	after := b.counts()
	for _, table := range []string{"idx_text", "idx_ref", "idx_date", "idx_num", "record"} {
		if before[table] != after[table] {
			b.Errorf("%s had %d rows and has %d", table, before[table], after[table])
		}
	}
}

// pagingUnderWriters demands that what stands still is seen exactly once while others come, change and go.
func pagingUnderWriters(b *bench) {
	name := func(i int) *record.Change {
		c := update(fmt.Sprintf("pg-%03d", i), res(b, `{"resourceType":"Library","status":"active","type":{"text":"x"},"name":"N%03d"}`, (i*37)%100))
		return &c
	}
	for i := range 90 {
		b.write(*name(i))
	}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			n := fmt.Sprintf("pg-%03d", i%30*3)
			r := res(b, `{"resourceType":"Library","status":"active","type":{"text":"x"},"name":"M%03d"}`, i%100)
			for _, c := range []record.Change{update(n, r), deletion("Library", n), creation(r.Clone()), *name(i % 30 * 3)} {
				if _, err := b.store.Write(b.ctx, []record.Change{c}); err != nil {
					b.Errorf("writer: %v", err)
					return
				}
			}
		}
	}()
	for _, sort := range []string{"", "name", "-name", "_id", "-_id"} {
		params := []string{"status", "active", "_count", "7"}
		if sort != "" {
			params = append(params, "_sort", sort)
		}
		met := map[string]int{}
		for _, id := range b.find("Library", params...) {
			met[id]++
		}
		for i := range 90 {
			id := fmt.Sprintf("pg-%03d", i)
			if i%3 != 0 && met[id] != 1 {
				b.Errorf("_sort=%s: %s was met %d times", sort, id, met[id])
			}
		}
	}
	close(stop)
	<-done
}

// bound demands that a search that would open too much says so, by name.
func bound(b *bench) {
	made := 0
	for made <= record.MaxOpened {
		cs := make([]record.Change, 0, 500)
		for range 500 {
			cs = append(cs, creation(res(b, `{"resourceType":"Person","address":[{"city":"Town%d"}]}`, made)))
			made++
		}
		b.writeAll(cs...)
	}
	_, err := b.all(query(b, "Person", "address-city:contains", "own2099x"))
	if !fault.Is(err, fault.TooCostly) || !strings.Contains(err.Error(), "address") {
		b.Errorf("a search within %d addresses: %v", made, err)
	}
	b.finds(nil, "Person", "address-city:contains", "own", "_id", "none")
}
