package recordtest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/record"
)

// alternatives are long lists in a URL: each is answered, or refused as too costly, and never breaks a connection.
func alternatives(b *bench) {
	b.write(update("al1", res(b, `{"resourceType":"Patient","name":[{"family":"Alternativ"}],"birthDate":"1971-02-03","address":[{"city":"Altstadt"}],"identifier":[{"system":"urn:al","value":"al-1"}]}`)))
	b.write(update("al-o", res(b, `{"resourceType":"Observation","status":"final","code":{"coding":[{"system":"urn:al","code":"al-c"}]},"subject":{"reference":"Patient/al1"},"effectiveDateTime":"1999-05-06","valueQuantity":{"value":77.25,"code":"al-u"}}`)))
	list := func(value, filler string) string {
		parts := make([]string, 0, 1000)
		for i := range 998 {
			parts = append(parts, fmt.Sprintf(filler, i))
		}
		return strings.Join(slices.Insert(parts, 500, value), ",")
	}
	for _, c := range []struct{ typ, param, value, filler, want string }{
		{"Patient", "name", "alternativ", "zz%dz", "al1"},
		{"Patient", "identifier", "urn:al|al-1", "urn:al|x%d", "al1"},
		{"Patient", "identifier", "al-1", "x%d", "al1"},
		{"Patient", "address-city", "altst", "zz%dz", "al1"},
		{"Patient", "birthdate", "1971-02-03", "1%03d-11-29", "al1"},
		{"Patient", "_id", "al1", "nobody-%d", "al1"},
		{"Observation", "subject", "al1", "nobody-%d", "al-o"},
		{"Observation", "subject", "Patient/al1", "Group/nobody-%d", "al-o"},
		{"Observation", "subject.name", "alternativ", "zz%dz", "al-o"},
		{"Observation", "combo-code", "urn:al|al-c", "urn:al|x%d", "al-o"},
		{"Observation", "combo-code", "al-c", "urn:al%[1]d|x%[1]d", "al-o"},
		{"Observation", "value-quantity", "77.25||al-u", "%d.5||none", "al-o"},
		{"Observation", "code-value-quantity", "al-c$77.25", "x%[1]d$%[1]d", "al-o"},
	} {
		b.finds([]string{c.want}, c.typ, c.param, list(c.value, c.filler))
	}
	var many []string
	for i := range 500 {
		many = append(many, "name:not", fmt.Sprint("v", i))
	}
	for i := 0; i < len(many); i += 2 {
		many[i] = "gender:not"
	}
	if _, err := b.all(query(b, "Patient", many...)); !fault.Is(err, fault.TooCostly) {
		b.Errorf("500 conditions: %v", err)
	}
	b.finds([]string{"al1"}, "Patient", "family", "alternativ")
}

// heavyPages end before they have as many resources as were asked for.
func heavyPages(b *bench) {
	// 7 MB, which packs well.
	text := fmt.Sprintf(`{"url":"urn:hp:filler","valueString":%q}`, strings.Repeat("lorem ipsum ", 83_000)+"x")
	filler := strings.Repeat(text+",", 6) + text
	want := []string{}
	for i := range 12 {
		id := fmt.Sprint("hp", i)
		want = append(want, id)
		b.write(update(id, res(b, `{"resourceType":"Basic","code":{"coding":[{"system":"urn:hp","code":"heavy"}]},"extension":[%s]}`, filler)))
	}
	page, err := b.store.Search(b.ctx, query(b, "Basic", "code", "urn:hp|heavy", "_count", "100"))
	if err != nil {
		b.Fatal(err)
	}
	if n := len(page.Matches); n >= 12 || n < 4 || page.Next == "" {
		b.Errorf("a page of %d heavy resources, next %v", n, page.Next != "")
	}
	b.finds(want, "Basic", "code", "urn:hp|heavy", "_count", "100")
	b.finds(want, "Basic", "code", "urn:hp|heavy", "_count", "100", "_sort", "-_lastUpdated")
	history, err := b.store.History(b.ctx, record.HistoryQuery{Type: "Basic", Count: 100})
	if err != nil || len(history.Versions) >= 12 || history.Next == "" {
		b.Errorf("a page of history of %d heavy versions, %v", len(history.Versions), err)
	}
}
