package scenario

import (
	"encoding/json"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// product is `api METHOD PATH STATUS [-H HEADER]… [BODY]`: as http, of the product API: PATH is below $ROOT/api/v1, the body JSON. clinical is `fhir …`, of the FHIR API. Both send the token in $AS,
// where there is one and no other is named, and take the body itself (it begins with { or [) as well as a file; a $NAME in path and body is that variable.
func product(ts *testscript.TestScript, neg bool, args []string) {
	ask(ts, neg, args, "/api/v1", "application/json")
}

func clinical(ts *testscript.TestScript, neg bool, args []string) {
	ask(ts, neg, args, "/fhir/R4", "application/fhir+json")
}

var (
	variable    = regexp.MustCompile(`\$[A-Z][A-Z0-9_]*`)
	beyondASCII = regexp.MustCompile(`[^!-~]+`)
)

func ask(ts *testscript.TestScript, neg bool, args []string, below, contentType string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: api|fhir METHOD PATH STATUS [-H HEADER]… [BODY]")
	}
	args = slices.Clone(args)
	filled := func(text string) string {
		return variable.ReplaceAllStringFunc(text, func(name string) string { return ts.Getenv(name[1:]) })
	}
	args[1] = ts.Getenv("ROOT") + below + beyondASCII.ReplaceAllStringFunc(filled(args[1]), url.QueryEscape)
	var headers []string
	for i := 3; i+1 < len(args) && args[i] == "-H"; i += 2 {
		headers = append(headers, strings.ToLower(args[i+1]))
	}
	names := func(header string) bool {
		return slices.ContainsFunc(headers, func(h string) bool { return strings.HasPrefix(h, header+":") })
	}
	if last := len(args) - 1; last >= 3+2*len(headers) {
		body := args[last]
		if !strings.HasPrefix(body, "{") && !strings.HasPrefix(body, "[") {
			body = ts.ReadFile(body)
		}
		ts.Check(os.WriteFile(ts.MkAbs("sent"), []byte(filled(body)), 0o600))
		args[last] = "sent"
		if !names("content-type") {
			args = slices.Insert(args, 3, "-H", "Content-Type: "+contentType)
		}
	}
	if as := ts.Getenv("AS"); as != "" && !names("authorization") {
		args = slices.Insert(args, 3, "-H", "Authorization: Bearer "+as)
	}
	request(ts, false, args)
}

// is is `is MEMBER[.MEMBER]… [VALUE]`: the last answer's JSON has the member, with the value. A number in the path is a place in a list, length the length of one; lists and objects are
// compared as JSON. `! is` says that the member is not there, is null, or has another value.
func is(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 && len(args) != 2 {
		ts.Fatalf("usage: is MEMBER[.MEMBER]… [VALUE]")
	}
	body := ts.ReadFile("body")
	got, there := member([]byte(body), args[0])
	holds := there && (len(args) == 1 || got == args[1])
	if holds == neg {
		ts.Fatalf("%s is %q (there: %v), in\n%s", args[0], got, there, body)
	}
}

// member finds a member of a JSON document, and tells a string as it is and all else as JSON; false where it is not there, or null.
func member(text []byte, path string) (string, bool) {
	var v any
	if json.Unmarshal(text, &v) != nil {
		return "", false
	}
	for name := range strings.SplitSeq(path, ".") {
		switch in := v.(type) {
		case map[string]any:
			v = in[name]
		case []any:
			if name == "length" {
				v = float64(len(in))
				continue
			}
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(in) {
				return "", false
			}
			v = in[i]
		default:
			return "", false
		}
	}
	if s, ok := v.(string); ok {
		return s, true
	}
	out, err := json.Marshal(v)
	return string(out), err == nil && v != nil
}
