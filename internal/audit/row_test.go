package audit

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/nilecare/nilecare/internal/seal"
)

var key = seal.NewKey()

func sealed(what string, plain []byte) ([]byte, error) {
	return key.Seal([]byte("NK"), plain, []byte(what)), nil
}

func opened(what string, b []byte) ([]byte, error) {
	if len(b) < 2 {
		return nil, errors.New("short")
	}
	return key.Open(nil, b[2:], []byte(what))
}

func anEntry(t *rapid.T) Entry {
	text := rapid.StringN(0, 40, 200)
	e := Entry{
		ID: rapid.Int64Range(1, 1<<53-1).Draw(t, "id"), Tenant: rapid.Int32Range(1, 1<<30).Draw(t, "tenant"), Kind: Kind(rapid.IntRange(1, 5).Draw(t, "kind")),
		Action: text.Draw(t, "action"), Outcome: Outcome(4 * rapid.IntRange(0, 3).Draw(t, "outcome")), Who: text.Draw(t, "who"), Name: text.Draw(t, "name"), Client: text.Draw(t, "client"),
		Session: rapid.Int64().Draw(t, "session"), Purpose: text.Draw(t, "purpose"), Address: text.Draw(t, "address"), Request: text.Draw(t, "request"), Type: text.Draw(t, "type"),
		Num: rapid.Int64().Draw(t, "num"), VID: rapid.Int64().Draw(t, "vid"), Query: text.Draw(t, "query"), Detail: text.Draw(t, "detail"), Severity: text.Draw(t, "severity"),
		Count: int(rapid.Int32().Draw(t, "count")),
	}
	e.Patients = rapid.SliceOfNDistinct(rapid.Int64Range(1, 1<<53-1), 0, 20, rapid.ID[int64]).Draw(t, "patients")
	slices.Sort(e.Patients)
	if len(e.Patients) == 0 {
		e.Patients = nil
	}
	return e
}

// TestCodec: what is encoded comes back, and opens nowhere else.
func TestCodec(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := anEntry(t)
		r, err := Encode(&e, sealed)
		if err != nil {
			t.Fatal(err)
		}
		r.Pos = 1
		got, err := r.Decode(opened)
		if err != nil || !reflect.DeepEqual(got, e) {
			t.Fatalf("%v\n%+v\n%+v", err, got, e)
		}
		for _, secret := range []string{e.Name, e.Address, e.Query, e.Detail} {
			if len(secret) > 8 && bytes.Contains(r.appendStored(nil), []byte(secret)) && secret != e.Who && secret != e.Action && secret != e.Type {
				t.Fatalf("%q stands in clear", secret)
			}
		}
		was := r.appendStored(nil)
		for i, change := range []func(*Row){
			func(r *Row) { r.ID++ }, func(r *Row) { r.Tenant++ }, func(r *Row) { r.Kind++ }, func(r *Row) { r.Outcome++ }, func(r *Row) { r.Action += "x" }, func(r *Row) { r.Who += "x" },
			func(r *Row) { r.Type += "x" }, func(r *Row) { r.Num++ }, func(r *Row) { r.VID++ }, func(r *Row) { r.Patient++ }, func(r *Row) { r.Patients = append(slices.Clip(r.Patients), 1, 2, 3, 4, 5, 6, 7, 8) },
			func(r *Row) { r.Count++ }, func(r *Row) { r.Body = append(slices.Clip(r.Body), 0) },
		} {
			other := r
			change(&other)
			if _, err := other.Decode(opened); err == nil {
				t.Fatalf("change %d opens", i)
			}
			if bytes.Equal(was, other.appendStored(nil)) {
				t.Fatalf("change %d gives the same bytes", i)
			}
		}
		moved := r
		moved.Pos++
		if bytes.Equal(was, moved.appendStored(nil)) {
			t.Fatal("the position is not part of what blocks are made over")
		}
	})
}

// FuzzBody: a body that was sealed by another program is read or refused, and never breaks the reader.
func FuzzBody(f *testing.F) {
	f.Add([]byte{1})
	f.Add(appendBody(nil, &Entry{Name: "x", Session: 5, Detail: "y"}))
	f.Add([]byte{1, 3, 200, 200, 200})
	f.Fuzz(func(_ *testing.T, b []byte) {
		var e Entry
		_ = readBody(b, &e)
		_, _ = legacyBody(b)
	})
}
