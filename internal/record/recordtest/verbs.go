package recordtest

import (
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/ident"
	"github.com/nilecare/nilecare/internal/record"
)

func testVerbs(t *testing.T, h Harness) {
	b := setUp(t, h, record.Options{})
	for _, c := range []struct {
		name string
		f    func(*bench)
	}{
		{"life", life}, {"names", names}, {"unchanged", unchanged}, {"if match", ifMatch}, {"if none match", ifNoneMatch},
		{"conditional create", conditionalCreate}, {"conditional update", conditionalUpdate},
		{"conditional delete", conditionalDelete}, {"conditional patch", conditionalPatch}, {"patch", patches},
		{"refusals", refusals}, {"trail", trail}, {"bodies", bodies}, {"reopened", reopened},
	} {
		t.Run(c.name, func(t *testing.T) { c.f(b.with(t)) })
		if c.name != "reopened" {
			b.sound()
		}
	}
}

// life is a resource from its creation over its deletion to its return.
func life(b *bench) {
	made := b.write(creation(patient(b, "First")))
	mustBe(b, made, record.Created, 1)
	id := made.Version.ID
	if n, err := strconv.ParseInt(id, 10, 64); err != nil || n != made.Version.Num || n > ident.Max {
		b.Errorf("the server's id %q is not the number %d", id, made.Version.Num)
	}
	changed := b.write(update(id, patient(b, "Second")))
	mustBe(b, changed, record.Updated, 2)
	gone := b.write(deletion("Patient", id))
	mustBe(b, gone, record.Deleted, 3)
	if !gone.Version.Deleted || gone.Version.JSON() != nil || gone.Count != 1 {
		b.Errorf("a tombstone with a body: %+v", gone)
	}
	b.unreadable(fault.Gone, "Patient", id)
	if v, err := b.store.Current(b.ctx, "Patient", id); err != nil || !v.Deleted || v.VID != 3 {
		b.Errorf("Current = %v, %v", v, err)
	}
	b.finds(nil, "Patient", "family", "Second")
	mustBe(b, b.write(deletion("Patient", id)), record.Absent, 3)
	b.refused(fault.Gone, patch(id, "female"))
	back := b.write(update(id, patient(b, "Third")))
	mustBe(b, back, record.Created, 4)
	b.finds([]string{id}, "Patient", "family", "Third")

	var last *record.Version
	for vid, family := range map[int64]string{1: "First", 2: "Second", 4: "Third"} {
		v, err := b.store.ReadVersion(b.ctx, "Patient", id, vid)
		if err != nil {
			b.Fatal(err)
		}
		if got := member(b, v, "meta", "versionId"); got != strconv.FormatInt(vid, 10) || v.VID != vid {
			b.Errorf("version %d says %s", vid, got)
		}
		r, _ := v.Resource()
		if got := r.Get("name").First().Str("family"); got != family {
			b.Errorf("version %d is of %s, want %s", vid, got, family)
		}
	}
	if _, err := b.store.ReadVersion(b.ctx, "Patient", id, 3); !fault.Is(err, fault.Gone) {
		b.Errorf("the tombstone reads %v", err)
	}
	if _, err := b.store.ReadVersion(b.ctx, "Patient", id, 5); !fault.Is(err, fault.NotFound) {
		b.Errorf("a version that is not there reads %v", err)
	}
	for _, o := range []record.Outcome{made, changed, gone, back} {
		if v := o.Version; last != nil && (v.Seq <= last.Seq || v.Updated.Before(last.Updated)) {
			b.Errorf("version %d is not after the one before", v.VID)
		}
		last = o.Version
	}
}

// names are the ids that clients choose.
func names(b *bench) {
	for _, id := range []string{"a", "A", "Some-Name.1", "12", "0123456789012", "999999999999", "1234567890123456789", fmt.Sprintf("%064d", 7)} {
		mustBe(b, b.write(update(id, patient(b, "Named"))), record.Created, 1)
		if got := b.read("Patient", id); got.ID != id || member(b, got, "id") != id {
			b.Errorf("%q came back as %q", id, got.ID)
		}
		mustBe(b, b.write(update(id, patient(b, "Renamed"))), record.Updated, 2)
		b.finds([]string{id}, "Patient", "_id", id)
	}
	// Case matters, and so does the type.
	b.unreadable(fault.NotFound, "Patient", "some-name.1")
	b.unreadable(fault.NotFound, "Observation", "Some-Name.1")
	// A number of the past may be named: it is another server's.
	past := strconv.FormatInt(ident.FirstAt(time.Date(2022, 1, 1, 0, 0, 0, 0, time.UTC)), 10)
	mustBe(b, b.write(update(past, patient(b, "Past"))), record.Created, 1)
	b.read("Patient", past)
	// One of the future is the server's own.
	future := strconv.FormatInt(ident.FirstAt(time.Now().Add(24*time.Hour)), 10)
	b.refused(fault.Unprocessable, update(future, patient(b, "Future")))
	b.unreadable(fault.NotFound, "Patient", future)
	for _, bad := range []string{"", "a b", "a/b", fmt.Sprintf("%065d", 7), "ä"} {
		b.refused(fault.Invalid, update(bad, patient(b, "Bad")))
	}
	// A create ignores the id of its resource.
	r := patient(b, "Created")
	r.Set("id", fhir.NewString("chosen"))
	if o := b.write(creation(r)); o.Version.ID == "chosen" {
		b.Error("a create took the client's id")
	}
}

func unchanged(b *bench) {
	id := b.write(creation(patient(b, "Same"))).Version.ID
	before := b.counts()
	mustBe(b, b.write(update(id, patient(b, "Same"))), record.Unchanged, 1)
	r := patient(b, "Same")
	r.Set("meta", fhir.NewObject()).Get("meta").Set("versionId", fhir.NewString("9"))
	mustBe(b, b.write(update(id, r)), record.Unchanged, 1)
	mustBe(b, b.write(record.Change{Op: record.Patch, Type: "Patient", ID: id,
		Apply: func(r *fhir.Resource) (*fhir.Resource, error) { return r, nil }}), record.Unchanged, 1)
	b.same(before, b.counts())
}

func ifMatch(b *bench) {
	id := b.write(creation(patient(b, "One"))).Version.ID
	matching := func(c record.Change, vid int64) record.Change { c.IfMatch = vid; return c }
	mustBe(b, b.write(matching(update(id, patient(b, "Two")), 1)), record.Updated, 2)
	b.refused(fault.VersionConflict, matching(update(id, patient(b, "Three")), 1))
	b.refused(fault.VersionConflict, matching(update(id, patient(b, "Three")), 3))
	b.refused(fault.VersionConflict, matching(patch(id, "male"), 1))
	b.refused(fault.VersionConflict, matching(deletion("Patient", id), 1))
	b.refused(fault.VersionConflict, matching(update("if-match-none", patient(b, "None")), 1))
	mustBe(b, b.write(matching(patch(id, "male"), 2)), record.Updated, 3)
	mustBe(b, b.write(matching(deletion("Patient", id), 3)), record.Deleted, 4)
	b.refused(fault.VersionConflict, matching(update(id, patient(b, "Back")), 4))
}

func ifNoneMatch(b *bench) {
	none := func(c record.Change) record.Change { c.IfNoneMatch = true; return c }
	mustBe(b, b.write(none(update("none-match", patient(b, "One")))), record.Created, 1)
	b.refused(fault.PreconditionFailed, none(update("none-match", patient(b, "Two"))))
	b.write(deletion("Patient", "none-match"))
	mustBe(b, b.write(none(update("none-match", patient(b, "Three")))), record.Created, 3)
}

// conditional makes a change that its resource's identifier decides.
func conditional(b *bench, op record.Op, value, family string) record.Change {
	c := record.Change{Op: op, Type: "Patient", Match: query(b, "Patient", "identifier", "urn:test|"+value)}
	if op == record.Create || op == record.Update {
		c.Resource = identified(b, value, family)
	}
	return c
}

func identified(t testing.TB, value, family string) *fhir.Resource {
	t.Helper()
	return res(t, `{"resourceType":"Patient","identifier":[{"system":"urn:test","value":%q}],"name":[{"family":%q}]}`, value, family)
}

// twins are two resources with one identifier.
func twins(b *bench, value string) {
	b.write(creation(identified(b, value, "Twin")))
	b.write(creation(identified(b, value, "Other")))
}

func conditionalCreate(b *bench) {
	first := b.write(conditional(b, record.Create, "cc1", "One"))
	mustBe(b, first, record.Created, 1)
	again := b.write(conditional(b, record.Create, "cc1", "Two"))
	mustBe(b, again, record.Unchanged, 1)
	if again.Version.ID != first.Version.ID || string(again.Version.JSON()) != string(b.read("Patient", first.Version.ID).JSON()) {
		b.Errorf("the one found is %s, not %s", again.Version.ID, first.Version.ID)
	}
	twins(b, "cc2")
	b.refused(fault.PreconditionFailed, conditional(b, record.Create, "cc2", "Three"))
	b.write(deletion("Patient", first.Version.ID))
	mustBe(b, b.write(conditional(b, record.Create, "cc1", "Three")), record.Created, 1)
}

func conditionalUpdate(b *bench) {
	first := b.write(conditional(b, record.Update, "cu1", "One"))
	mustBe(b, first, record.Created, 1)
	second := b.write(conditional(b, record.Update, "cu1", "Two"))
	mustBe(b, second, record.Updated, 2)
	if first.Version.ID != second.Version.ID {
		b.Error("the update met another resource")
	}
	twins(b, "cu2")
	b.refused(fault.PreconditionFailed, conditional(b, record.Update, "cu2", "Three"))
	named := conditional(b, record.Update, "cu3", "Named")
	named.Resource.Set("id", fhir.NewString("cu-named"))
	mustBe(b, b.write(named), record.Created, 1)
	b.read("Patient", "cu-named")
	// Another id than the match's, and an id that another resource has.
	other := conditional(b, record.Update, "cu1", "Named")
	other.Resource.Set("id", fhir.NewString("cu-named"))
	b.refused(fault.Invalid, other)
	stranger := conditional(b, record.Update, "cu4", "Named")
	stranger.Resource.Set("id", fhir.NewString("cu-named"))
	b.refused(fault.Conflict, stranger)
	stale := conditional(b, record.Update, "cu1", "Four")
	stale.IfMatch = 1
	b.refused(fault.VersionConflict, stale)
}

func conditionalDelete(b *bench) {
	mustBe(b, b.write(conditional(b, record.Delete, "cd0", "")), record.Absent, 0)
	id := b.write(creation(identified(b, "cd1", "One"))).Version.ID
	mustBe(b, b.write(conditional(b, record.Delete, "cd1", "")), record.Deleted, 2)
	b.unreadable(fault.Gone, "Patient", id)
	twins(b, "cd2")
	b.refused(fault.PreconditionFailed, conditional(b, record.Delete, "cd2", ""))
	all := conditional(b, record.Delete, "cd2", "")
	all.All = true
	if o := b.write(all); o.Result != record.Deleted || o.Count != 2 {
		b.Errorf("deleted %d with result %d", o.Count, o.Result)
	}
	b.finds(nil, "Patient", "identifier", "urn:test|cd2")
}

func conditionalPatch(b *bench) {
	change := conditional(b, record.Patch, "cp1", "")
	change.Apply = patch("", "other").Apply
	b.refused(fault.NotFound, change)
	id := b.write(creation(identified(b, "cp1", "One"))).Version.ID
	mustBe(b, b.write(change), record.Updated, 2)
	if got := member(b, b.read("Patient", id), "gender"); got != "other" {
		b.Errorf("gender %q", got)
	}
	twins(b, "cp2")
	change.Match = query(b, "Patient", "identifier", "urn:test|cp2")
	b.refused(fault.PreconditionFailed, change)
}

func patches(b *bench) {
	id := b.write(creation(patient(b, "Patched"))).Version.ID
	mustBe(b, b.write(patch(id, "female")), record.Updated, 2)
	b.finds([]string{id}, "Patient", "family", "Patched", "gender", "female")
	b.refused(fault.NotFound, patch("no-such", "male"))
	failing := patch(id, "")
	failing.Apply = func(*fhir.Resource) (*fhir.Resource, error) { return nil, fault.New(fault.Unprocessable, "no") }
	b.refused(fault.Unprocessable, failing)
	b.refused(fault.Invalid, patch(id, "no gender"))
	foreign := patch(id, "")
	foreign.Apply = func(*fhir.Resource) (*fhir.Resource, error) { return res(b, `{"resourceType":"Basic"}`), nil }
	b.refused(fault.Invalid, foreign)
	if v := b.read("Patient", id); v.VID != 2 {
		b.Errorf("a refused patch left version %d", v.VID)
	}
}

func refusals(b *bench) {
	b.unreadable(fault.NotFound, "Patient", "never-there")
	b.unreadable(fault.NotFound, "Patient", "1600000000000000")
	b.unreadable(fault.NotFound, "Nonsense", "x")
	mustBe(b, b.write(deletion("Patient", "never-there")), record.Absent, 0)
	b.refused(fault.Invalid, creation(res(b, `{"resourceType":"Patient","gender":7}`)))
	b.refused(fault.Invalid, creation(res(b, `{"resourceType":"Patient","unheard":"of"}`)))
	b.refused(fault.Invalid, record.Change{Op: record.Create, Type: "Observation", Resource: patient(b, "Wrong")})
	b.refused(fault.NotFound, record.Change{Op: record.Create, Type: "Nonsense", Resource: patient(b, "Wrong")})
	b.refused(fault.NotFound, record.Change{Op: record.Create, Type: "HumanName", Resource: patient(b, "Wrong")})
	err := b.refused(fault.Invalid, creation(patient(b, "Good")), creation(res(b, `{"resourceType":"Patient","gender":7}`)))
	var at *record.EntryError
	if !errors.As(err, &at) || at.Index != 1 {
		b.Errorf("the failure is not the second entry's: %v", err)
	}
	if out, err := b.store.Write(b.ctx, nil); err != nil || out != nil {
		b.Errorf("no changes: %v, %v", out, err)
	}
}

// trail demands an event row and an audit row of each change, and one audit row of a set.
func trail(b *bench) {
	before := b.counts()
	id := b.write(creation(patient(b, "Trail"))).Version.ID
	b.write(update(id, patient(b, "Trails")))
	b.write(deletion("Patient", id))
	b.writeAll(creation(patient(b, "A")), creation(patient(b, "B")), creation(patient(b, "C")))
	after := b.counts()
	for table, grown := range map[string]int{"version": 6, "event": 6, "audit_entry": 4, "record": 4} {
		if after[table]-before[table] != grown {
			b.Errorf("%s grew by %d rows, want %d", table, after[table]-before[table], grown)
		}
	}
}

// bodies come back as they were given.
func bodies(b *bench) {
	for _, text := range []string{
		`{"resourceType":"Patient","meta":{"profile":["http://example.org/p"],"tag":[{"system":"urn:t","code":"x"}]},"active":true}`,
		`{"resourceType":"Observation","status":"final","code":{"text":"a \"quoted\" \\ text, ünïcode \t \ud83d\ude00"},"valueQuantity":{"value":1.00}}`,
		`{"resourceType":"Patient","birthDate":"1970-01-01","_birthDate":{"extension":[{"url":"urn:x","valueString":"y"}]}}`,
		`{"resourceType":"Basic","code":{"text":"decimal"},"extension":[{"url":"urn:x","valueDecimal":1.2300e-5}]}`,
	} {
		r := res(b, "%s", text)
		v := b.write(creation(r)).Version
		got, want := res(b, "%s", v.JSON()), res(b, "%s", text)
		if lu := member(b, v, "meta", "lastUpdated"); lu == "" || member(b, v, "meta", "versionId") != "1" {
			b.Errorf("meta is incomplete: %s", v.JSON())
		}
		if string(b.read(v.Type, v.ID).JSON()) != string(v.JSON()) {
			b.Error("what was answered is not what is read")
		}
		for m := want.First(); m != nil; m = m.Next() {
			if m.Name == "meta" {
				for x := m.First(); x != nil; x = x.Next() {
					if !got.Get("meta").Get(x.Name).Equal(x) {
						b.Errorf("meta.%s is lost in %s", x.Name, v.JSON())
					}
				}
				continue
			}
			if g := got.Get(m.Name); g == nil || string(g.AppendJSON(nil)) != string(m.AppendJSON(nil)) {
				b.Errorf("%s came back otherwise in %s", m.Name, v.JSON())
			}
		}
	}
}

// reopened demands that a store opened anew knows all, and goes on with larger numbers.
func reopened(b *bench) {
	p := b.place
	if p.Shared {
		b.write(update("reopened", patient(b, "Kept")))
		c := openBench(b, p, record.Options{})
		c.read("Patient", "reopened")
		c.finds([]string{"reopened"}, "Patient", "family", "Kept", "_id", "reopened")
		return
	}
	b.write(update("reopened", patient(b, "Kept")))
	last := b.write(creation(patient(b, "Last"))).Version
	if err := b.store.Close(); err != nil {
		b.Fatal(err)
	}
	c := openBench(b, p, record.Options{})
	c.read("Patient", "reopened")
	c.finds([]string{"reopened"}, "Patient", "family", "Kept", "_id", "reopened")
	if v := c.write(creation(patient(b, "Next"))).Version; v.Seq <= last.Seq {
		b.Errorf("number %d after %d", v.Seq, last.Seq)
	}
}
