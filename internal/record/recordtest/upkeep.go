package recordtest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/record"
)

// sound demands that the store finds nothing wrong with itself.
func (b *bench) sound() record.Verification {
	b.Helper()
	n := 0
	v, err := b.store.Verify(b.ctx, func(f record.Finding) {
		if n++; n <= 10 {
			b.Errorf("%s/%s: %s", f.Type, f.ID, f.Problem)
		}
	})
	if err != nil {
		b.Errorf("verify: %v", err)
	}
	if n != v.Findings {
		b.Errorf("%d findings were told of %d", n, v.Findings)
	}
	return v
}

// exec runs statements in a transaction past the store.
func (b *bench) exec(statements ...string) {
	b.Helper()
	err := b.engine.Commit(b.ctx, 1, &record.Job{Solo: true, Run: func(ctx context.Context, tx record.Tx) (*record.Rows, error) {
		for _, sql := range statements {
			n, err := tx.Exec(ctx, sql)
			if err == nil && n == 0 {
				err = fmt.Errorf("no row was changed by %s", sql)
			}
			if err != nil {
				return nil, err
			}
		}
		return nil, nil
	}})
	if err != nil {
		b.Fatal(err)
	}
}

// some writes a little of everything.
func some(b *bench) {
	b.writeAll(
		update("u-p", res(b, `{"resourceType":"Patient","name":[{"family":"Up"}],"birthDate":"1980","address":[{"city":"Assuan"}]}`)),
		update("u-o", res(b, `{"resourceType":"Observation","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"8867-4"}]},"subject":{"reference":"Patient/u-p"},"effectiveDateTime":"2026-01-01","valueQuantity":{"value":7.5,"unit":"mg","system":"http://unitsofmeasure.org","code":"mg"}}`)),
		update("u-x", patient(b, "Gone")), creation(patient(b, "Numbered")),
	)
	b.write(update("u-p", res(b, `{"resourceType":"Patient","name":[{"family":"Upper"}],"birthDate":"1981","address":[{"city":"Luxor"}]}`)))
	b.write(deletion("Patient", "u-x"))
}

func testUpkeep(t *testing.T, h Harness) {
	for name, f := range map[string]func(*testing.T, Harness){
		"verify": verifyFinds, "backup": backups, "broken backups": brokenBackups, "erase": erasure, "erase under writers": erasedUnderWriters, "export": exports, "reindex": reindexes,
	} {
		t.Run(name, func(t *testing.T) { f(t, h) })
	}
}

// verifyFinds demands that each way of spoiling a row is found.
func verifyFinds(t *testing.T, h Harness) {
	b := setUp(t, h, record.Options{})
	some(b)
	if v := b.sound(); v.Records != 4 || v.Versions != 6 || v.IndexRows < 8 {
		t.Errorf("too little was looked at: %+v", v)
	}
	const ofP, ofO = "(SELECT num FROM alias WHERE fid = 'u-p')", "(SELECT num FROM alias WHERE fid = 'u-o')"
	for name, c := range map[string]struct{ spoil, mend []string }{
		"a version's number": {[]string{"UPDATE version SET vid = 7 WHERE vid = 2 AND num = " + ofP}, []string{"UPDATE version SET vid = 2 WHERE vid = 7 AND num = " + ofP}},
		"the current one":    {[]string{"UPDATE record SET vid = 1 WHERE num = " + ofP}, []string{"UPDATE record SET vid = 2 WHERE num = " + ofP}},
		"a deletion":         {[]string{"UPDATE record SET deleted = 1 WHERE num = " + ofO}, []string{"UPDATE record SET deleted = 0 WHERE num = " + ofO}},
		"a key":              {[]string{"UPDATE version SET keynum = 0 WHERE num = " + ofO}, []string{"UPDATE version SET keynum = " + ofP + " WHERE num = " + ofO}},
		"a date":             {[]string{"UPDATE idx_date SET lo = lo + 1 WHERE num = " + ofO}, []string{"UPDATE idx_date SET lo = lo - 1 WHERE num = " + ofO}},
		"a text":             {[]string{"UPDATE idx_text SET sub = sub + 1 WHERE num = " + ofP}, []string{"UPDATE idx_text SET sub = sub - 1 WHERE num = " + ofP}},
		"a reference":        {[]string{"UPDATE idx_ref SET target = target + 256 WHERE num = " + ofO}, []string{"UPDATE idx_ref SET target = target - 256 WHERE num = " + ofO}},
		"a quantity":         {[]string{"UPDATE idx_num SET hi = 8 WHERE num = " + ofO}, []string{"UPDATE idx_num SET hi = lo WHERE num = " + ofO}},
		"a row too many":     {[]string{"INSERT INTO idx_ref (tenant, target, atom, num) VALUES (1, 77, 77, " + ofO + ")"}, []string{"DELETE FROM idx_ref WHERE target = 77"}},
	} {
		b.exec(c.spoil...)
		if v, err := b.store.Verify(b.ctx, func(record.Finding) {}); err != nil || v.Findings == 0 {
			t.Errorf("%s: %d findings, %v", name, v.Findings, err)
		}
		b.exec(c.mend...)
		if v, err := b.store.Verify(b.ctx, func(f record.Finding) { t.Errorf("%s, mended: %+v", name, f) }); err != nil || v.Findings > 0 {
			t.Fatalf("%s is not mended: %v", name, err)
		}
	}
	b.exec("DELETE FROM event WHERE vid = 2 AND num = " + ofP)
	if v, err := b.store.Verify(b.ctx, func(record.Finding) {}); err != nil || v.Findings != 1 {
		t.Errorf("an event is missing: %d findings, %v", v.Findings, err)
	}
	// Bodies of two rows change places: each is sealed for its own.
	b.exec("UPDATE version SET body = (SELECT body FROM version w WHERE w.num = version.num AND w.vid = 1) WHERE vid = 2 AND body IS NOT NULL AND num = " + ofP)
	if v, err := b.store.Verify(b.ctx, func(record.Finding) {}); err != nil || v.Findings < 2 {
		t.Errorf("a body moved: %d findings, %v", v.Findings, err)
	}
	if _, err := b.store.Read(b.ctx, "Patient", "u-p"); err == nil || fault.KindOf(err) != fault.Internal {
		t.Errorf("a body moved reads: %v", err)
	}
}

// beside is a new place with the root key of the bench.
func (b *bench) beside(t testing.TB, h Harness) Place {
	t.Helper()
	p := h.New(t)
	key, err := os.ReadFile(filepath.Join(b.place.Dir, "root.key"))
	if err == nil {
		err = os.WriteFile(filepath.Join(p.Dir, "root.key"), key, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// restored fills a new place of the harness from a backup, and returns its error.
func restored(t testing.TB, p Place, backup []byte) (int64, error) {
	t.Helper()
	e, err := p.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}()
	return record.Restore(context.Background(), e, bytes.NewReader(backup))
}

func backups(t *testing.T, h Harness) { BackupBetween(t, h, h) }

// BackupBetween demands that what a backup of one engine holds is whole on the other.
func BackupBetween(t *testing.T, from, to Harness) {
	b := setUp(t, from, record.Options{})
	some(b)
	b.as(2).write(update("other", patient(t, "Tenant")))
	var file bytes.Buffer
	rows, err := b.store.Backup(b.ctx, &file)
	if err != nil || rows == 0 {
		t.Fatal(rows, err)
	}
	b.write(update("u-late", patient(t, "Late")))
	p := b.beside(t, to)
	got, err := restored(t, p, file.Bytes())
	if err != nil || got != rows {
		t.Fatalf("%d of %d rows, %v", got, rows, err)
	}
	c := openBench(t, p, record.Options{})
	c.sound()
	before, _ := b.history(record.HistoryQuery{})
	after, _ := c.history(record.HistoryQuery{})
	if want := spelled(before)[1:]; !slices.Equal(spelled(after), want) {
		t.Errorf("restored %q, want %q", spelled(after), want)
	}
	for i, v := range after {
		if string(v.JSON()) != string(before[i+1].JSON()) || !v.Updated.Equal(before[i+1].Updated) {
			t.Errorf("%s/%s/%d came back otherwise", v.Type, v.ID, v.VID)
		}
	}
	c.finds([]string{"u-p"}, "Patient", "family", "Upper", "address-city", "luxor")
	c.finds([]string{"u-o"}, "Observation", "patient.family", "Upper", "value-quantity", "7.5|http://unitsofmeasure.org|mg")
	c.unreadable(fault.Gone, "Patient", "u-x")
	c.unreadable(fault.NotFound, "Patient", "u-late")
	c.unreadable(fault.NotFound, "Patient", "other")
	// Life goes on where it was.
	mustBe(t, c.write(update("u-p", patient(t, "Uppermost"))), record.Updated, 3)
	if v := c.write(creation(patient(t, "New"))).Version; v.Seq <= after[0].Seq {
		t.Errorf("number %d after %d", v.Seq, after[0].Seq)
	}
	c.sound()
}

// brokenBackups demands that nothing is restored of a file that is not whole, and nothing into a database that is not empty.
func brokenBackups(t *testing.T, h Harness) {
	b := setUp(t, h, record.Options{})
	some(b)
	var file bytes.Buffer
	if _, err := b.store.Backup(b.ctx, &file); err != nil {
		t.Fatal(err)
	}
	whole := file.Bytes()
	p := b.beside(t, h)
	flipped := slices.Clone(whole)
	flipped[len(flipped)/2] ^= 0x40
	for name, text := range map[string][]byte{"empty": nil, "text": []byte("nilecare backup 1\n"), "cut": whole[:len(whole)/2], "cut at the end": whole[:len(whole)-1], "changed": flipped} {
		if n, err := restored(t, p, text); err == nil {
			t.Errorf("%s: %d rows were restored", name, n)
		}
	}
	if _, err := restored(t, p, whole); err != nil {
		t.Fatalf("after the broken ones, the whole one: %v", err)
	}
	if _, err := restored(t, p, whole); err == nil {
		t.Error("it was restored over itself")
	}
	openBench(t, p, record.Options{}).sound()
}

func exports(t *testing.T, h Harness) {
	b := setUp(t, h, record.Options{})
	some(b)
	gather := func(types []string) string {
		t.Helper()
		var out []string
		if err := b.store.Export(b.ctx, types, func(v *record.Version) error {
			if v.JSON() == nil {
				t.Errorf("%s/%s has no body", v.Type, v.ID)
			}
			out = append(out, v.Type+"/"+v.ID)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		slices.Sort(out)
		return strings.Join(out, " ")
	}
	num := b.find("Patient", "family", "Numbered")[0]
	if got := gather(nil); got != "Observation/u-o Patient/"+num+" Patient/u-p" {
		t.Errorf("everything is %s", got)
	}
	if got := gather([]string{"Observation"}); got != "Observation/u-o" {
		t.Errorf("observations are %s", got)
	}
	if err := b.store.Export(b.ctx, []string{"Nonsense"}, func(*record.Version) error { return nil }); !fault.Is(err, fault.NotFound) {
		t.Errorf("an export of no type: %v", err)
	}
	if err := b.store.Export(b.ctx, nil, func(*record.Version) error { return fault.New(fault.Unavailable, "no") }); !fault.Is(err, fault.Unavailable) {
		t.Errorf("an export that its taker ends: %v", err)
	}
}

func reindexes(t *testing.T, h Harness) {
	b := setUp(t, h, record.Options{})
	if needs, err := b.store.NeedsReindex(b.ctx); err != nil || needs {
		t.Errorf("a new database needs it: %v, %v", needs, err)
	}
	some(b)
	before := b.counts()
	b.exec("DELETE FROM idx_text WHERE tenant = 1", "DELETE FROM idx_ref WHERE tenant = 1", "UPDATE idx_date SET lo = 7, hi = 8 WHERE tenant = 1", "UPDATE setting SET value = 'older' WHERE name = 'index'")
	if needs, err := b.store.NeedsReindex(b.ctx); err != nil || !needs {
		t.Errorf("an older index does not need it: %v, %v", needs, err)
	}
	if err := b.store.Reindex(b.ctx, func(int) {}); err != nil {
		t.Fatal(err)
	}
	if needs, err := b.store.NeedsReindex(b.ctx); err != nil || needs {
		t.Errorf("it is still needed: %v, %v", needs, err)
	}
	b.same(before, b.counts())
	b.sound()
	b.finds([]string{"u-p"}, "Patient", "family", "Upper")
}
