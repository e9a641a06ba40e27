package record

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// rows draws index rows from few values, so that some repeat and some are in both of two indexes.
var rows = rapid.Custom(func(t *rapid.T) *Index {
	small := rapid.Int64Range(0, 2)
	x := &Index{}
	for range rapid.IntRange(0, 8).Draw(t, "texts") {
		x.Text = append(x.Text, IdxText{uint32(small.Draw(t, "atom")), rapid.SampledFrom([]string{"", "a", "b", "ab"}).Draw(t, "val"), small.Draw(t, "num"), small.Draw(t, "sub")})
	}
	for range rapid.IntRange(0, 8).Draw(t, "refs") {
		x.Ref = append(x.Ref, IdxRef{small.Draw(t, "target"), uint32(small.Draw(t, "atom")), small.Draw(t, "num")})
	}
	for range rapid.IntRange(0, 8).Draw(t, "dates") {
		x.Date = append(x.Date, IdxDate{uint32(small.Draw(t, "atom")), rapid.Bool().Draw(t, "wide"), small.Draw(t, "lo"), small.Draw(t, "hi"), small.Draw(t, "num")})
	}
	for range rapid.IntRange(0, 8).Draw(t, "nums") {
		x.Num = append(x.Num, IdxNum{uint32(small.Draw(t, "atom")), rapid.Bool().Draw(t, "wide"), float64(small.Draw(t, "lo")), float64(small.Draw(t, "hi")), small.Draw(t, "num"), small.Draw(t, "system"), small.Draw(t, "code")})
	}
	return x
})

func clone(x *Index) *Index {
	y := &Index{}
	y.add(x)
	return y
}

func same(a, b *Index) bool {
	return slices.Equal(a.Text, b.Text) && slices.Equal(a.Ref, b.Ref) && slices.Equal(a.Date, b.Date) && slices.Equal(a.Num, b.Num)
}

func set[R comparable](rows []R) map[R]bool {
	m := map[R]bool{}
	for _, r := range rows {
		m[r] = true
	}
	return m
}

// TestTidy: every row once, in one order whatever the order before, and tidying again changes nothing.
func TestTidy(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := rows.Draw(t, "rows")
		y, before := clone(x), clone(x)
		slices.Reverse(y.Text)
		slices.Reverse(y.Ref)
		slices.Reverse(y.Date)
		slices.Reverse(y.Num)
		x.tidy()
		y.tidy()
		if !same(x, y) {
			t.Fatal("the order before counts")
		}
		if len(x.Text) != len(set(before.Text)) || len(x.Ref) != len(set(before.Ref)) || len(x.Date) != len(set(before.Date)) || len(x.Num) != len(set(before.Num)) {
			t.Fatal("a row is lost or repeats")
		}
		again := clone(x)
		again.tidy()
		if !same(x, again) || x.Len() != len(x.Text)+len(x.Ref)+len(x.Date)+len(x.Num) {
			t.Fatal("not tidy")
		}
	})
}

// TestMinus: what an update deletes and adds makes the new rows of the old ones, and touches none that are in both.
func TestMinus(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		old, now := rows.Draw(t, "old"), rows.Draw(t, "new")
		old.tidy()
		now.tidy()
		del, add := old.minus(now), now.minus(old)
		for r := range set(del.Text) {
			if set(now.Text)[r] || !set(old.Text)[r] {
				t.Fatalf("%v is deleted", r)
			}
		}
		kept := old.minus(&del)
		result := clone(&kept)
		result.add(&add)
		result.tidy()
		if !same(result, now) {
			t.Fatalf("%v, want %v", result, now)
		}
		if kept.Len()+del.Len() != old.Len() || kept.Len()+add.Len() != now.Len() {
			t.Fatal("rows in both are touched")
		}
		if none := old.minus(old); none.Len() != 0 {
			t.Fatal("an index minus itself")
		}
		if all := old.minus(&Index{}); !same(&all, old) {
			t.Fatal("an index minus nothing")
		}
	})
}
