package audit_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	ledger "github.com/nilecare/nilecare/internal/audit"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/sqldb"
	"github.com/nilecare/nilecare/internal/storetest"
)

var ctx = context.Background()

// world is a record with a running audit log.
type world struct {
	t       testing.TB
	store   *record.Store
	ledger  *record.Ledger
	log     *ledger.Log
	anchors string
}

func begin(t testing.TB, s *record.Store, o ledger.Options) *world {
	w := &world{t: t, store: s, ledger: s.Ledger(), anchors: filepath.Join(t.TempDir(), "audit.anchors")}
	o.Anchors = w.anchors
	if o.SealTic == 0 {
		o.SealTic = time.Hour // blocks are made by Flush alone
	}
	w.log = ledger.NewLog(o)
	w.log.Start(w.ledger)
	t.Cleanup(func() {
		if err := w.log.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// flush has all entries written and covered. On PostgreSQL a block covers nothing that is younger than the oldest writing transaction of the whole
// cluster, where other tests are at work.
func (w *world) flush() {
	w.t.Helper()
	for range 500 {
		if err := w.log.Flush(ctx); err != nil {
			w.t.Fatal(err)
		}
		var left int64
		if err := w.ledger.Read(ctx, 1, func(q sqldb.Querier) error {
			_, err := sqldb.QueryRow(ctx, q, []any{&left}, "SELECT (SELECT count(*) FROM audit_entry WHERE tenant = 1) - coalesce((SELECT total FROM audit_block WHERE tenant = 1 ORDER BY num DESC LIMIT 1), 0)")
			return err
		}); err != nil {
			w.t.Fatal(err)
		}
		if left <= 0 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	w.t.Fatal("entries stay uncovered")
}

// whole demands that nothing is found.
func (w *world) whole() ledger.Report {
	w.t.Helper()
	r, err := w.log.Verify(ctx, 1)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, p := range r.Problems {
		w.t.Errorf("found in a whole chain: %s", p)
	}
	return r
}

func (w *world) patient() int64 {
	w.t.Helper()
	r, err := fhir.ParseResource([]byte(`{"resourceType":"Patient","name":[{"family":"Osman"}]}`))
	if err != nil {
		w.t.Fatal(err)
	}
	out, err := w.store.Write(ctx, []record.Change{{Op: record.Create, Type: "Patient", Resource: r}})
	if err != nil {
		w.t.Fatal(err)
	}
	return out[0].Version.Num
}

// acts notes n acts of all kinds.
func (w *world) acts(n int) {
	for i := range n {
		e := ledger.Entry{Tenant: 1, Kind: ledger.Rest, Action: "read", Who: fmt.Sprintf("User/%d", i%7), Name: "Amna Idris", Type: "Observation", Num: int64(1000 + i), VID: 1,
			Patients: []int64{int64(10 + i%5)}, Address: "192.0.2.7", Request: fmt.Sprint("r", i), Purpose: "TREAT", Count: 1}
		switch i % 10 {
		case 3:
			e.Action, e.Query, e.Patients, e.Num = "search", "name=osman", []int64{7, 8, 9, int64(20 + i)}, 0
		case 5:
			e = ledger.Entry{Tenant: 1, Kind: ledger.Session, Action: "login", Outcome: ledger.Minor, Who: "anonymous", Detail: "wrong password", Address: "192.0.2.9"}
		}
		w.log.Note(e)
	}
}

func TestChain(t *testing.T) {
	storetest.Each(t, record.Options{}, func(t *testing.T, s *record.Store) {
		w := begin(t, s, ledger.Options{AnchorBlocks: 1})
		w.patient()
		w.acts(2500)
		w.flush()
		w.patient()
		w.acts(10)
		w.flush()
		r := w.whole()
		if r.Entries != 2512 || r.Blocks < 2 || r.Unsealed != 0 || int64(r.Anchors) != r.Blocks || len(r.Keys) != 1 {
			t.Errorf("%+v", r)
		}
		if err := w.log.Rotate(ctx, 1); err != nil {
			t.Fatal(err)
		}
		w.acts(50)
		w.flush()
		if r = w.whole(); len(r.Keys) != 2 || !r.Keys[0].Retired || r.Keys[1].Retired {
			t.Errorf("%+v", r.Keys)
		}
		var file bytes.Buffer
		if err := ledger.ExportTo(ctx, w.ledger, 1, nil, time.Now(), &file); err != nil {
			t.Fatal(err)
		}
		anchors, bad, err := ledger.ReadAnchors(w.anchors, 1)
		if err != nil || bad != 0 || int64(len(anchors)) != r.Blocks {
			t.Fatalf("%d anchors, %d bad, %v", len(anchors), bad, err)
		}
		off, err := ledger.VerifyFile(ctx, bytes.NewReader(file.Bytes()), anchors)
		if err != nil || !off.OK() || off.Entries != r.Entries || off.Head != r.Head {
			t.Errorf("%v, %+v", err, off)
		}
		mutateFile(t, file.Bytes(), anchors)
	})
}

// mutateFile demands that what is changed in an exported file is found.
func mutateFile(t *testing.T, whole []byte, anchors []ledger.Anchor) {
	lines := bytes.SplitAfter(whole, []byte("\n"))
	lines = lines[:len(lines)-1]
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 200 {
		changed := append([][]byte{}, lines...)
		at := 1 + random.IntN(len(lines)-2)
		what := ""
		switch i % 5 {
		case 0:
			what, changed = "a line removed", append(changed[:at:at], changed[at+1:]...)
		case 1:
			what, changed = "a line twice", append(changed[:at:at], lines[at-1:]...)
		case 2:
			what, changed = "cut off", changed[:at]
		case 3:
			if bytes.Equal(lines[at], lines[at+1]) || at+2 >= len(lines) || !bytes.HasPrefix(lines[at], []byte(`{"entry"`)) || !bytes.HasPrefix(lines[at+1], []byte(`{"entry"`)) {
				continue
			}
			what, changed[at], changed[at+1] = "two lines swapped", lines[at+1], lines[at]
		case 4:
			l := bytes.Clone(lines[at])
			digits := bytes.IndexAny(l, "0123456789")
			if bytes.HasPrefix(l, []byte(`{"key"`)) {
				continue // when a key was made is for people; the key itself is in every signature
			}
			l[digits] = '0' + (l[digits]-'0'+1)%10
			what, changed[at] = "a digit changed", l
		}
		r, err := ledger.VerifyFile(ctx, bytes.NewReader(bytes.Join(changed, nil)), anchors)
		if err == nil && r.OK() {
			t.Errorf("%s at line %d is not found: %.80s", what, at+1, lines[at])
		}
	}
}
