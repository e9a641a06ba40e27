package record

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/nilecare/nilecare/internal/fhir"
)

// TestBodyRoundTrip: a body that was taken apart and put together is the resource, with the row's id, version and time.
func TestBodyRoundTrip(t *testing.T) {
	at := time.Date(2026, 2, 3, 4, 5, 6, 789e6, time.UTC)
	for name, c := range map[string]struct{ in, out string }{
		"nothing else":      {`{"resourceType":"Basic"}`, `{"resourceType":"Basic","id":"x","meta":{"versionId":"7","lastUpdated":"2026-02-03T04:05:06.789Z"}}`},
		"the order stays":   {`{"b":1.50,"resourceType":"Basic","a":["x",null],"id":"old"}`, `{"resourceType":"Basic","id":"x","meta":{"versionId":"7","lastUpdated":"2026-02-03T04:05:06.789Z"},"b":1.50,"a":["x",null]}`},
		"what meta holds":   {`{"resourceType":"Basic","meta":{"tag":[{"code":"c"}],"versionId":"3","lastUpdated":"2000-01-01T00:00:00Z","source":"urn:s"}}`, `{"resourceType":"Basic","id":"x","meta":{"versionId":"7","lastUpdated":"2026-02-03T04:05:06.789Z","tag":[{"code":"c"}],"source":"urn:s"}}`},
		"a line break":      {`{"resourceType":"Basic","meta":{"source":"a\nb"},"t":"c\nd"}`, `{"resourceType":"Basic","id":"x","meta":{"versionId":"7","lastUpdated":"2026-02-03T04:05:06.789Z","source":"a\nb"},"t":"c\nd"}`},
		"members like ours": {`{"resourceType":"Basic","_id":{"id":"y"},"contained":[{"resourceType":"Basic","id":"z","meta":{"versionId":"1"}}]}`, `{"resourceType":"Basic","id":"x","meta":{"versionId":"7","lastUpdated":"2026-02-03T04:05:06.789Z"},"_id":{"id":"y"},"contained":[{"resourceType":"Basic","id":"z","meta":{"versionId":"1"}}]}`},
	} {
		r, err := fhir.ParseResource([]byte(c.in))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		before := string(r.AppendJSON(nil))
		if got := string(joinBody(splitBody(r), "Basic", "x", 7, at)); got != c.out {
			t.Errorf("%s: %s\nwant %s", name, got, c.out)
		}
		if string(r.AppendJSON(nil)) != before {
			t.Errorf("%s: the resource changed", name)
		}
	}
}

// TestBodyIsStable: what was read, written again as it is, has the same stored body, so that it is known to be unchanged.
func TestBodyIsStable(t *testing.T) {
	names := rapid.StringMatching(`[a-z_"\\\n]{1,6}`)
	rapid.Check(t, func(t *rapid.T) {
		r := fhir.NewResource("Basic")
		for _, name := range rapid.SliceOf(names).Draw(t, "names") {
			r.Set(name, fhir.NewString(strings.ToValidUTF8(strings.ReplaceAll(rapid.String().Draw(t, "text"), "\x00", ""), "")))
		}
		if rapid.Bool().Draw(t, "meta") {
			m := fhir.NewObject().Set("versionId", fhir.NewString("1"))
			for _, name := range rapid.SliceOf(names).Draw(t, "of meta") {
				m.Set(name, fhir.NewNumber("1.0"))
			}
			r.Set("meta", m)
		}
		stored := splitBody(r)
		vid := rapid.Int64Range(1, 1<<53).Draw(t, "vid")
		again, err := fhir.ParseResource(joinBody(stored, "Basic", "id", vid, time.Now()))
		if err != nil {
			t.Fatal(err)
		}
		if again.Type() != "Basic" || again.ID() != "id" || string(splitBody(again)) != string(stored) {
			t.Fatalf("%s became %s", stored, splitBody(again))
		}
	})
}

// TestBodyData: no two places share the text that binds a body to its place.
func TestBodyData(t *testing.T) {
	type place struct {
		tenant   int32
		typ      int
		num, vid int64
	}
	places := rapid.Custom(func(t *rapid.T) place {
		return place{rapid.Int32Range(0, 3).Draw(t, "tenant"), rapid.IntRange(0, 3).Draw(t, "type"), rapid.Int64Range(0, 300).Draw(t, "num"), rapid.Int64Range(0, 300).Draw(t, "vid")}
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := places.Draw(t, "a"), places.Draw(t, "b")
		same := string(bodyData(a.tenant, a.typ, a.num, a.vid)) == string(bodyData(b.tenant, b.typ, b.num, b.vid))
		if same != (a == b) {
			t.Fatalf("%v and %v: %v", a, b, same)
		}
	})
}
