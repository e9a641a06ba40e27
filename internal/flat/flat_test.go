package flat_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/storetest"
)

func parse(t testing.TB, text string) *fhir.Resource {
	t.Helper()
	r, err := fhir.ParseResource([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func put(t testing.TB, s *record.Store, text string) *record.Version {
	t.Helper()
	r := parse(t, text)
	c := record.Change{Op: record.Create, Type: r.Type(), Resource: r}
	if id := r.ID(); id != "" {
		c.Op, c.ID = record.Update, id
	}
	out, err := s.Write(context.Background(), []record.Change{c})
	if err != nil {
		t.Fatal(err)
	}
	return out[0].Version
}

// TestARecordIsMeantByTheIDsThatAreTold: every record has one id of digits, and is read by it and by its FHIR id.
func TestARecordIsMeantByTheIDsThatAreTold(t *testing.T) {
	storetest.Each(t, record.Options{}, func(t *testing.T, s *record.Store) {
		r := flat.New(s, nil, "http://clinic.example/fhir/R4")
		ctx := t.Context()
		given := put(t, s, `{"resourceType":"Patient"}`)
		short := put(t, s, `{"resourceType":"Patient","id":"7"}`)
		named := put(t, s, `{"resourceType":"Patient","id":"amna-osman"}`)
		for _, x := range []struct {
			v   *record.Version
			key string
		}{{given, given.ID}, {short, "7"}, {named, strconv.FormatInt(named.Num, 10)}} {
			if got := flat.ID(x.v); got != x.key {
				t.Errorf("%s is told as %s, want %s", x.v.ID, got, x.key)
			}
			for _, ref := range []string{"Patient/" + x.v.ID, "http://clinic.example/fhir/R4/Patient/" + x.v.ID} {
				if got, err := r.IDOfRef(ctx, ref); err != nil || got != x.key {
					t.Errorf("%s is told as %q: %v", ref, got, err)
				}
			}
			for _, id := range []string{x.key, x.v.ID} {
				if got, err := r.Read(ctx, "Patient", id); err != nil || got.Num != x.v.Num {
					t.Errorf("read by %s: %v", id, err)
				}
			}
			if ref, err := r.Ref(ctx, "patientId", "Patient", x.key); err != nil || ref != "Patient/"+x.v.ID {
				t.Errorf("%s means %s: %v", x.key, ref, err)
			}
		}
		for _, id := range []string{"8", "1", "9007199254740993", "nobody", "99999999999999999999"} {
			if _, err := r.Read(ctx, "Patient", id); !fault.Is(err, fault.NotFound) {
				t.Errorf("%s: %v", id, err)
			}
			if _, err := r.Ref(ctx, "patientId", "Patient", id); !fault.Is(err, fault.Unprocessable) {
				t.Errorf("%s: %v", id, err)
			}
		}
		for _, ref := range []string{"", "#contained", "urn:uuid:x", "http://elsewhere.example/Patient/1"} {
			if got, err := r.IDOfRef(ctx, ref); got != "" || err != nil {
				t.Errorf("%q is told as %q: %v", ref, got, err)
			}
		}
	})
}

// TestPagesByNumberAndByCursorAreTheSame, in any order and of any size.
func TestPagesByNumberAndByCursorAreTheSame(t *testing.T) {
	storetest.Each(t, record.Options{}, func(t *testing.T, s *record.Store) {
		r := flat.New(s, nil, "")
		const all = 37
		for i := range all {
			put(t, s, fmt.Sprintf(`{"resourceType":"Patient","birthDate":"19%02d-01-01","name":[{"family":"F%c"}],"active":%v}`, 40+i%20, 'A'+rune(i%7), i%2 == 0))
		}
		rapid.Check(t, func(t *rapid.T) {
			q := flat.Query{Type: "Patient", Limit: rapid.IntRange(1, 40).Draw(t, "limit"), Sort: rapid.SampledFrom([]string{"", "birthdate", "-birthdate", "family", "-_lastUpdated"}).Draw(t, "sort")}
			if rapid.Bool().Draw(t, "some") {
				q.With("active", "true")
			}
			var byNumber, byCursor []string
			var total int
			for q.Page = 1; ; q.Page++ {
				found, err := r.Find(context.Background(), q)
				if err != nil {
					t.Fatal(err)
				}
				total = found.Total
				for _, one := range found.Records {
					byNumber = append(byNumber, one.Key())
				}
				if found.Next == "" {
					break
				}
				if len(found.Records) != q.Limit {
					t.Fatalf("page %d has %d of %d", q.Page, len(found.Records), q.Limit)
				}
			}
			if err := r.Each(context.Background(), flat.Query{Type: q.Type, Params: q.Params, Sort: q.Sort, Limit: q.Limit}, func(one *flat.Record) error {
				byCursor = append(byCursor, one.Key())
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(byNumber, byCursor) || total != len(byNumber) {
				t.Fatalf("%d of %d by number, %d by cursor", len(byNumber), total, len(byCursor))
			}
		})
		if _, err := r.Find(t.Context(), flat.Query{Type: "Patient", Page: 1000, Limit: 100}); !fault.Is(err, fault.TooCostly) {
			t.Errorf("a page too deep: %v", err)
		}
	})
}

func TestMakingLeavesOutWhatIsEmpty(t *testing.T) {
	r, err := flat.Make("Patient", map[string]any{"gender": "female", "birthDate": "", "name": []any{map[string]any{"family": "Osman", "given": []string{"", "Amna"}}, map[string]any{"text": ""}},
		"active": false, "multipleBirthInteger": 0, "telecom": []map[string]any{{"value": ""}}, "maritalStatus": map[string]any{"coding": []any{}}})
	if err != nil {
		t.Fatal(err)
	}
	if got := string(r.AppendJSON(nil)); got != `{"resourceType":"Patient","active":false,"gender":"female","multipleBirthInteger":0,"name":[{"family":"Osman","given":["Amna"]}]}` {
		t.Errorf("%s", got)
	}
	if err := flat.Set(r.Node, "gender", nil); err != nil || r.Get("gender") != nil {
		t.Errorf("%v", err)
	}
	if err := flat.SetIdentifier(r, "urn:x", "MR", "17"); err != nil || flat.Identifier(r, "urn:x") != "17" || flat.Identifier(r, "urn:y") != "" {
		t.Errorf("%v %s", err, r.AppendJSON(nil))
	}
	if err := flat.SetIdentifier(r, "urn:x", "", ""); err != nil || r.Get("identifier") != nil {
		t.Errorf("%v", err)
	}
}

func TestAPersonIsCalledByTheNameThatIsWanted(t *testing.T) {
	r := parse(t, `{"resourceType":"Patient","name":[{"use":"nickname","given":["Mona"]},{"use":"official","family":"عثمان","given":["منى"]},{"use":"usual","family":"Osman","given":["Muna","Ali"]},{"use":"old","family":"X"}]}`)
	for prefer, want := range map[string]string{"": "Muna Ali Osman", "ar": "منى عثمان"} {
		if given, family := flat.Name(r, prefer); given+" "+family != want {
			t.Errorf("%q: %s %s", prefer, given, family)
		}
	}
	if got := flat.FullName(parse(t, `{"resourceType":"Patient","name":[{"text":"Amna Osman Ali"}]}`)); got != "Amna Osman Ali" {
		t.Error(got)
	}
	if flat.FullName(parse(t, `{"resourceType":"Patient"}`)) != "" {
		t.Error("nobody has a name")
	}
}

func TestNamesOfAListingAreReadTogether(t *testing.T) {
	storetest.Each(t, record.Options{}, func(t *testing.T, s *record.Store) {
		r := flat.New(s, nil, "")
		var refs []string
		for range 130 {
			refs = append(refs, "Patient/"+put(t, s, `{"resourceType":"Patient"}`).ID)
		}
		refs = append(refs, refs[0], "Practitioner/"+put(t, s, `{"resourceType":"Practitioner","id":"x"}`).ID, "Patient/none", "", "urn:uuid:1")
		got, err := r.Get(t.Context(), refs...)
		if err != nil || len(got) != 131 || got["Practitioner/x"] == nil {
			t.Errorf("%d: %v", len(got), err)
		}
	})
}
