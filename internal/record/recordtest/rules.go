package recordtest

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/sqldb"
)

func asEntry(err error, to **record.EntryError) bool { return errors.As(err, to) }

// seen is what a rule was asked.
type seen struct{ old, new string }

func familyOf(r *fhir.Resource) string {
	if r == nil {
		return ""
	}
	return r.Get("name").First().Str("family")
}

func testRules(t *testing.T, h Harness) {
	var asked seen
	rule := func(ctx context.Context, tx record.Tx, old, new *fhir.Resource) error {
		asked = seen{familyOf(old), familyOf(new)}
		if _, err := tx.Exec(ctx, "INSERT INTO setting (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING", "rule-"+asked.new, "x"); err != nil {
			return err
		}
		switch asked.new {
		case "Refused":
			return fault.New(fault.Conflict, "the rule says no")
		case "Panics":
			panic("a rule with a defect")
		case "Broken":
			_, err := tx.Exec(ctx, "INSERT INTO no_such_table VALUES (1)")
			return err
		}
		return nil
	}
	b := setUp(t, h, record.Options{Rules: map[string]record.Rule{"Patient": rule}})
	must := func(want seen) {
		t.Helper()
		if asked != want {
			t.Errorf("the rule was asked %+v, want %+v", asked, want)
		}
	}
	id := b.write(creation(patient(t, "One"))).Version.ID
	must(seen{"", "One"})
	b.write(update(id, patient(t, "Two")))
	must(seen{"One", "Two"})
	b.write(patch(id, "male"))
	must(seen{"Two", "Two"})
	b.write(deletion("Patient", id))
	must(seen{"Two", ""})
	b.write(update(id, patient(t, "Three")))
	must(seen{"", "Three"})
	asked = seen{}
	b.write(update(id, patient(t, "Three")))
	must(seen{})

	b.refused(fault.Conflict, update(id, patient(t, "Refused")))
	err := b.refused(fault.Conflict, creation(res(t, `{"resourceType":"Basic","code":{"text":"x"}}`)), creation(patient(t, "Refused")))
	var at *record.EntryError
	if !errors.As(err, &at) || at.Index != 1 {
		t.Errorf("the refusal is not the second entry's: %v", err)
	}
	before := b.counts()
	for _, family := range []string{"Panics", "Broken"} {
		if _, err := b.store.Write(b.ctx, []record.Change{creation(patient(t, "Fine")), creation(patient(t, family))}); fault.KindOf(err) != fault.Internal || err == nil {
			t.Errorf("%s: %v", family, err)
		}
	}
	b.same(before, b.counts())
	b.write(update(id, patient(t, "After")))

	rules := map[string]bool{}
	b.settings(func(name string) { rules[name] = true })
	for name, want := range map[string]bool{"rule-One": true, "rule-After": true, "rule-Refused": false, "rule-Panics": false, "rule-Broken": false, "rule-Fine": false} {
		if rules[name] != want {
			t.Errorf("what the rule wrote at %s stands: %v", name, rules[name])
		}
	}
}

// testGuards has many writers share commits while a guard refuses some of them, each by its own caller.
func testGuards(t *testing.T, h Harness) {
	b := setUp(t, h, record.Options{})
	b.store.Guard([]string{"Basic"}, func(ctx context.Context, tx record.Tx, old, new *fhir.Resource) error {
		if c := access.From(ctx); c.Who != "" && new != nil && new.Path("code").Str("text") != c.Who {
			return fault.New(fault.Conflict, "asked in another's name")
		}
		if new != nil && new.Path("code").Str("text") == "refused" {
			return fault.New(fault.Conflict, "the guard says no")
		}
		return nil
	})
	var all sync.WaitGroup
	failed := make([]error, 40)
	for i := range failed {
		who := "writer " + strconv.Itoa(i)
		if i%4 == 0 {
			who = "refused"
		}
		c := access.From(b.ctx)
		c.Who = who
		all.Go(func() {
			_, failed[i] = b.store.Write(access.With(b.ctx, c), []record.Change{creation(res(t, `{"resourceType":"Basic","code":{"text":%q}}`, who))})
		})
	}
	all.Wait()
	for i, err := range failed {
		if want := i%4 == 0; want != fault.Is(err, fault.Conflict) || !want && err != nil {
			t.Errorf("writer %d: %v", i, err)
		}
	}
}

func testReferrers(t *testing.T, h Harness) {
	b := setUp(t, h, record.Options{})
	one, other := b.write(creation(patient(t, "One"))).Version.ID, b.write(creation(patient(t, "Other"))).Version.ID
	basic := func(subject string) record.Change {
		return creation(res(t, `{"resourceType":"Basic","code":{"text":"x"},"subject":{"reference":"Patient/%s"}}`, subject))
	}
	first, gone := b.write(basic(one)).Version.ID, b.write(basic(one)).Version.ID
	b.write(basic(other))
	b.write(deletion("Basic", gone))
	l := b.store.Ledger()
	err := l.View(b.ctx, 1, func(q sqldb.Querier) error {
		got, err := l.Referrers(b.ctx, q, 1, "Patient", one, 10)
		if err == nil && (len(got) != 1 || got[0] != record.Referrer{Type: "Basic", ID: first, VID: 1}) {
			t.Errorf("%+v", got)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
