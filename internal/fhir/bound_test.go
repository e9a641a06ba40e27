package fhir

import (
	"strings"
	"testing"
)

// TestTooManyValues: what would take far more memory than its own length is refused. The parser is told that most of what it may
// make is made, so that the test needs little memory itself.
func TestTooManyValues(t *testing.T) {
	parse := func(left int, text string) error {
		p := parser{data: []byte(text), made: MaxValues - left}
		n := p.alloc()
		return p.run(n)
	}
	for _, c := range []struct {
		text   string
		values int
	}{
		{`[1,1,1,1]`, 5}, {`{"a":1,"b":[{"c":2},{"c":3}]}`, 7}, {"[" + strings.Repeat("1,", 999) + "1]", 1001},
	} {
		if err := parse(c.values, c.text); err != nil {
			t.Errorf("%.40s: %v", c.text, err)
		}
		if err := parse(c.values-1, c.text); err == nil || !strings.Contains(err.Error(), "more than 5000000 values") {
			t.Errorf("%.40s: one value too many: %v", c.text, err)
		}
	}
}
