package recordtest

import (
	"testing"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/record"
)

func testSets(t *testing.T, h Harness) {
	b := setUp(t, h, record.Options{Base: "https://here.example/fhir/R4"})
	for _, c := range []struct {
		name string
		f    func(*bench)
	}{
		{"all or nothing", allOrNothing}, {"urn", urnReferences}, {"absolute fullUrl", absoluteFullURL},
		{"conditional references", conditionalReferences}, {"references within the set", referencesWithin}, {"twice", twice}, {"mixed", mixed}, {"caller's changes", callersChanges},
	} {
		t.Run(c.name, func(t *testing.T) { c.f(b.with(t)) })
	}
}

func observation(t testing.TB, subject string) *fhir.Resource {
	t.Helper()
	return res(t, `{"resourceType":"Observation","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"8867-4"}]},"subject":{"reference":%q}}`, subject)
}

func at(fullURL string, c record.Change) record.Change {
	c.FullURL = fullURL
	return c
}

func allOrNothing(b *bench) {
	b.write(update("set-there", patient(b, "There")))
	b.write(update("set-other", patient(b, "Other")))
	bad := map[string]record.Change{
		"invalid":        creation(res(b, `{"resourceType":"Patient","gender":7}`)),
		"version":        {Op: record.Update, Type: "Patient", ID: "set-other", IfMatch: 9, Resource: patient(b, "X")},
		"missing":        patch("set-none", "male"),
		"unknown urn":    creation(observation(b, "urn:uuid:00000000-0000-4000-8000-00000000dead")),
		"no match":       creation(observation(b, "Patient?identifier=urn:test|nobody")),
		"unknown type":   {Op: record.Delete, Type: "Nonsense", ID: "x"},
		"future number":  update("9000000000000000", patient(b, "X")),
		"failing update": {Op: record.Patch, Type: "Patient", ID: "set-other", Apply: func(*fhir.Resource) (*fhir.Resource, error) { return nil, fault.New(fault.Invalid, "no") }},
	}
	for name, third := range bad {
		before := b.counts()
		_, err := b.store.Write(b.ctx, []record.Change{
			creation(patient(b, "Set")), update("set-new", observation(b, "Patient/set-there")), third,
			update("set-there", patient(b, "Changed")), creation(observation(b, "Patient/set-unheard")),
		})
		var at *record.EntryError
		if err == nil || fault.KindOf(err) == fault.Internal {
			b.Errorf("%s: %v", name, err)
		} else if !asEntry(err, &at) || at.Index != 2 {
			b.Errorf("%s: the failure is at another entry: %v", name, err)
		}
		b.same(before, b.counts())
	}
	if v := b.read("Patient", "set-there"); v.VID != 1 {
		b.Errorf("version %d", v.VID)
	}
}

func urnReferences(b *bench) {
	const p, e = "urn:uuid:61ebe359-bfdc-4613-8bf2-c5e300945f0a", "urn:oid:1.2.3.4"
	out := b.writeAll(
		at("urn:uuid:88f151c0-a954-468a-88bd-5ae15c08e059", creation(res(b, `{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":%q},"encounter":{"reference":%q},"note":[{"text":%q}]}`, p, e, p))),
		at(p, creation(patient(b, "Urn"))),
		at(e, creation(res(b, `{"resourceType":"Encounter","status":"finished","class":{"code":"AMB"},"subject":{"reference":%q}}`, p))),
		at("urn:uuid:77f151c0-a954-468a-88bd-5ae15c08e059", creation(res(b, `{"resourceType":"Provenance","recorded":"2026-01-01T00:00:00Z","target":[{"reference":%q}],"agent":[{"who":{"reference":%q}}],"entity":[{"role":"source","what":{"reference":%q}}]}`, e, p, p))),
	)
	o, pat, enc := out[0].Version, out[1].Version, out[2].Version
	if got := member(b, o, "subject", "reference"); got != "Patient/"+pat.ID {
		b.Errorf("subject %s", got)
	}
	if got := member(b, o, "encounter", "reference"); got != "Encounter/"+enc.ID {
		b.Errorf("encounter %s", got)
	}
	b.finds([]string{o.ID}, "Observation", "subject", "Patient/"+pat.ID)
	b.finds([]string{o.ID}, "Observation", "encounter", enc.ID, "patient.family", "Urn")
	b.finds([]string{out[3].Version.ID}, "Provenance", "target", "Encounter/"+enc.ID)
}

func absoluteFullURL(b *bench) {
	const url = "http://far.example/fhir/Patient/far-7"
	out := b.writeAll(
		at(url, creation(patient(b, "Far"))),
		at("http://far.example/fhir/Observation/o1", creation(observation(b, url))),
		at("http://far.example/fhir/Observation/o2", creation(observation(b, "Patient/far-7"))),
		at("http://far.example/fhir/Observation/o3", creation(observation(b, "http://elsewhere.example/Patient/far-7"))),
	)
	id := out[0].Version.ID
	for i, want := range []string{"Patient/" + id, "Patient/" + id, "http://elsewhere.example/Patient/far-7"} {
		if got := member(b, out[i+1].Version, "subject", "reference"); got != want {
			b.Errorf("subject %d is %s, want %s", i, got, want)
		}
	}
	// An update keeps its id, and what refers to it stays.
	out = b.writeAll(at("http://far.example/fhir/Patient/kept", update("kept", patient(b, "Kept"))), creation(observation(b, "Patient/kept")))
	b.finds([]string{out[1].Version.ID}, "Observation", "patient", "kept")
	// An absolute reference to this server's own base is a literal one.
	o := b.write(creation(observation(b, "https://here.example/fhir/R4/Patient/kept"))).Version
	b.finds([]string{out[1].Version.ID, o.ID}, "Observation", "patient", "kept")
}

func conditionalReferences(b *bench) {
	id := b.write(creation(identified(b, "cr1", "One"))).Version.ID
	out := b.writeAll(creation(observation(b, "Patient?identifier=urn:test|cr1")), creation(observation(b, "Patient?identifier=urn%3Atest%7Ccr1")))
	for _, o := range out {
		if got := member(b, o.Version, "subject", "reference"); got != "Patient/"+id {
			b.Errorf("subject %s", got)
		}
	}
	twins(b, "cr2")
	other := creation(patient(b, "Other"))
	b.refused(fault.PreconditionFailed, other, creation(observation(b, "Patient?identifier=urn:test|cr2")))
	b.refused(fault.PreconditionFailed, other, creation(observation(b, "Patient?identifier=urn:test|cr3")))
	b.refused(fault.Invalid, other, creation(observation(b, "Patient?unheard=of")))
	b.refused(fault.NotFound, other, creation(observation(b, "Nonsense?identifier=x")))
}

// referencesWithin are conditional references to what the set itself makes, changes or deletes: they are resolved last.
func referencesWithin(b *bench) {
	out := b.writeAll(creation(identified(b, "rw1", "Within")), creation(observation(b, "Patient?identifier=urn:test|rw1")))
	if got := member(b, out[1].Version, "subject", "reference"); got != "Patient/"+out[0].Version.ID {
		b.Errorf("subject %s", got)
	}
	b.write(update("rw2", identified(b, "rw2", "Deleted")))
	b.refused(fault.PreconditionFailed, deletion("Patient", "rw2"), creation(observation(b, "Patient?identifier=urn:test|rw2")))
	// One that matches before, and not any more after the set.
	b.refused(fault.PreconditionFailed, update("rw2", identified(b, "rw3", "Renamed")), creation(observation(b, "Patient?identifier=urn:test|rw2")))
	b.refused(fault.PreconditionFailed, creation(identified(b, "rw2", "Second")), creation(observation(b, "Patient?identifier=urn:test|rw2")))
	// Two entries with one condition.
	b.refused(fault.Invalid, conditional(b, record.Create, "rw4", "A"), conditional(b, record.Create, "rw4", "B"))
	b.refused(fault.Invalid, conditional(b, record.Update, "rw4", "A"), conditional(b, record.Update, "rw4", "B"))
	b.refused(fault.Invalid, deletion("Patient", "rw2"), conditional(b, record.Create, "rw2", "A"))
	b.finds(nil, "Patient", "identifier", "rw4")
}

func twice(b *bench) {
	b.write(update("tw", patient(b, "Tw")))
	b.refused(fault.Invalid, update("tw", patient(b, "A")), update("tw", patient(b, "B")))
	b.refused(fault.Invalid, update("tw", patient(b, "A")), deletion("Patient", "tw"))
	b.refused(fault.Invalid, update("tw-new", patient(b, "A")), update("tw-new", patient(b, "B")))
	const url = "urn:uuid:99f151c0-a954-468a-88bd-5ae15c08e059"
	b.refused(fault.Invalid, at(url, creation(patient(b, "A"))), at(url, creation(patient(b, "B"))))
	// The same id of two types is two resources.
	b.writeAll(update("tw-both", patient(b, "A")), update("tw-both", observation(b, "Patient/tw-both")))
	b.finds([]string{"tw-both"}, "Observation", "subject", "Patient/tw-both")
}

// mixed is a set of every verb.
func mixed(b *bench) {
	b.writeAll(update("m-old", patient(b, "Old")), update("m-patch", patient(b, "Patch")), update("m-gone", patient(b, "Gone")), creation(identified(b, "m1", "Found")))
	out := b.writeAll(creation(patient(b, "New")), update("m-old", patient(b, "Newer")), patch("m-patch", "female"), deletion("Patient", "m-gone"),
		conditional(b, record.Create, "m1", "Not"), conditional(b, record.Create, "m2", "Made"), deletion("Patient", "m-never"))
	want := []record.Result{record.Created, record.Updated, record.Updated, record.Deleted, record.Unchanged, record.Created, record.Absent}
	for i, o := range out {
		if o.Result != want[i] {
			b.Errorf("entry %d: result %d, want %d", i, o.Result, want[i])
		}
	}
	b.unreadable(fault.Gone, "Patient", "m-gone")
	b.finds([]string{"m-old"}, "Patient", "family", "Newer")
}

// callersChanges demands that a refused set leaves the caller's resources as they were, for a second try.
func callersChanges(b *bench) {
	const p = "urn:uuid:11ebe359-bfdc-4613-8bf2-c5e300945f0a"
	set := []record.Change{at(p, creation(patient(b, "Again"))), creation(observation(b, p)), patch("again-none", "male")}
	before := string(set[1].Resource.AppendJSON(nil))
	if _, err := b.store.Write(b.ctx, set); !fault.Is(err, fault.NotFound) {
		b.Fatal(err)
	}
	if got := string(set[1].Resource.AppendJSON(nil)); got != before {
		b.Errorf("the resource became %s", got)
	}
	out := b.writeAll(set[:2]...)
	if got := member(b, out[1].Version, "subject", "reference"); got != "Patient/"+out[0].Version.ID {
		b.Errorf("subject %s", got)
	}
}
