package scenario

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// take is `take NAME stdout` or `take NAME MEMBER[.MEMBER]…`: the variable NAME becomes what the last command wrote, or a member of the last
// answer's JSON.
func take(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: take NAME stdout|MEMBER[.MEMBER]…")
	}
	if args[1] == "stdout" {
		ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile("stdout")))
		return
	}
	var v any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("body")), &v))
	for _, name := range strings.Split(args[1], ".") {
		m, ok := v.(map[string]any)
		if !ok || m[name] == nil {
			ts.Fatalf("the answer has no %s", args[1])
		}
		v = m[name]
	}
	ts.Setenv(args[0], fmt.Sprint(v))
}
