package scenario

import (
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// take is `take NAME stdout` or `take NAME MEMBER[.MEMBER]…`: the variable NAME becomes what the last command wrote, or a member of the last
// answer's JSON, found as by is.
func take(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: take NAME stdout|MEMBER[.MEMBER]…")
	}
	if args[1] == "stdout" {
		ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile("stdout")))
		return
	}
	v, ok := member([]byte(ts.ReadFile("body")), args[1])
	if !ok {
		ts.Fatalf("the answer has no %s", args[1])
	}
	ts.Setenv(args[0], v)
}
