package record

import (
	"encoding/base64"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir/search"
	"github.com/nilecare/nilecare/internal/seal"
)

func sorted(typ string, keys ...search.SortKey) *search.Query {
	return &search.Query{Type: typ, Sort: keys}
}

// TestCursorRoundTrip: what was sealed is what is opened, of all kinds of keys.
func TestCursorRoundTrip(t *testing.T) {
	keys := &tenantKeys{base: seal.NewKey()}
	key := rapid.OneOf(
		rapid.Custom(func(t *rapid.T) any { return rapid.Int64().Draw(t, "int") }),
		rapid.Custom(func(t *rapid.T) any { return rapid.Float64().Draw(t, "float") }),
		rapid.Custom(func(t *rapid.T) any { return rapid.String().Draw(t, "string") }),
		rapid.Custom(func(t *rapid.T) any { return append([]byte{}, rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")...) }),
		rapid.Just(any(nil)),
	)
	rapid.Check(t, func(t *rapid.T) {
		h := hit{sealed: sealedVersion{num: rapid.Int64().Draw(t, "num"), typ: rapid.IntRange(0, 200).Draw(t, "type")}, keys: rapid.SliceOfN(key, 0, MaxSort).Draw(t, "keys")}
		query := sorted("Patient")
		for range h.keys {
			query.Sort = append(query.Sort, search.SortKey{Param: "x"})
		}
		before := &cursor{at: rapid.Int64Range(0, 1e9).Draw(t, "at")}
		query.Cursor = keys.sealCursor(query, h, before, 7)
		got, err := keys.openCursor(query)
		if err != nil {
			t.Fatal(err)
		}
		want := &cursor{num: h.sealed.num, typ: h.sealed.typ, at: before.at + 7}
		want.keys = append(want.keys, h.keys...)
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%#v, want %#v", got, want)
		}
	})
}

// TestCursorIsBound: a mark belongs to its tenant's key, to its type and to its order, and cannot be made up or changed.
func TestCursorIsBound(t *testing.T) {
	keys := &tenantKeys{base: seal.NewKey()}
	byName := search.SortKey{Param: "family"}
	mark := keys.sealCursor(sorted("Patient", byName), hit{sealed: sealedVersion{num: 5}, keys: []any{[]byte("smith")}}, nil, 20)
	open := func(k *tenantKeys, q *search.Query, mark string) error {
		q.Cursor = mark
		c, err := k.openCursor(q)
		if err == nil && mark != "" && c == nil {
			t.Errorf("%q is no mark at all", mark)
		}
		return err
	}
	if err := open(keys, sorted("Patient", byName), mark); err != nil {
		t.Fatal(err)
	}
	down, other := byName, byName
	down.Desc, other.Param = true, "given"
	raw, err := base64.RawURLEncoding.DecodeString(mark)
	if err != nil {
		t.Fatal(err)
	}
	refused := map[string]error{
		"another type":   open(keys, sorted("Group", byName), mark),
		"downward":       open(keys, sorted("Patient", down), mark),
		"another key":    open(keys, sorted("Patient", other), mark),
		"more keys":      open(keys, sorted("Patient", byName, other), mark),
		"no key":         open(keys, sorted("Patient"), mark),
		"another tenant": open(&tenantKeys{base: seal.NewKey()}, sorted("Patient", byName), mark),
		"no base64":      open(keys, sorted("Patient", byName), "%%%"),
		"made up":        open(keys, sorted("Patient", byName), "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
		"short":          open(keys, sorted("Patient", byName), "AA"),
	}
	for i := range raw {
		bad := append([]byte{}, raw...)
		bad[i] ^= 1
		refused["a bit changed"] = open(keys, sorted("Patient", byName), base64.RawURLEncoding.EncodeToString(bad))
		refused["cut"] = open(keys, sorted("Patient", byName), base64.RawURLEncoding.EncodeToString(raw[:i]))
		for name, err := range refused {
			if !fault.Is(err, fault.Invalid) && !(name == "cut" && i == 0) {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
	q := sorted("Patient", byName)
	if c, err := keys.openCursor(q); c != nil || err != nil {
		t.Error("no mark is the first page")
	}
}

// TestReadCursor: what an older version sealed, or nobody, is refused and never makes a panic.
func TestReadCursor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOf(rapid.OneOf(rapid.Byte(), rapid.SampledFrom([]byte("ifbsn")))).Draw(t, "bytes")
		n := rapid.IntRange(0, 3).Draw(t, "keys")
		if c, err := readCursor(b, n); err == nil && len(c.keys) != n {
			t.Fatalf("%d keys, want %d", len(c.keys), n)
		}
	})
	huge := append([]byte{2, 2, 2, 's'}, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1)
	if _, err := readCursor(huge, 1); err == nil {
		t.Error("a length beyond the end is taken")
	}
}

func TestBehind(t *testing.T) {
	c := &cursor{num: 1, typ: 5}
	for typ, want := range map[int]string{4: " > ", 5: " > ", 6: " >= "} {
		if got := c.behind(typ); got != want {
			t.Errorf("type %d: %q", typ, got)
		}
	}
}
