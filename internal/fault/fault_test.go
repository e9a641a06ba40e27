package fault_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/nilecare/nilecare/internal/fault"
)

var kinds = []fault.Kind{fault.Internal, fault.Invalid, fault.Unprocessable, fault.Unauthenticated, fault.Forbidden, fault.NotFound, fault.Gone,
	fault.MethodNotAllowed, fault.NotAcceptable, fault.Conflict, fault.VersionConflict, fault.PreconditionFailed, fault.TooLarge, fault.UnsupportedMedia,
	fault.TooCostly, fault.TooMany, fault.Unavailable}

// issueTypes are the codes of http://hl7.org/fhir/issue-type that kinds stand for.
var issueTypes = map[string]bool{"exception": true, "invalid": true, "processing": true, "login": true, "forbidden": true, "not-found": true, "deleted": true,
	"not-supported": true, "conflict": true, "multiple-matches": true, "too-long": true, "too-costly": true, "throttled": true, "transient": true}

// TestKinds: every kind has a name of its own and an issue code of FHIR's, and one that nobody knows is a defect.
func TestKinds(t *testing.T) {
	names := map[string]bool{}
	for i, k := range kinds {
		if int(k) != i {
			t.Errorf("%v is number %d", k, k)
		}
		if names[k.String()] || k.String() == "" || k.String() != strings.ToLower(k.String()) {
			t.Errorf("%q is a name twice, or none", k)
		}
		names[k.String()] = true
		e := fault.New(k, "x")
		if len(e.Issues) != 1 || e.Issues[0].Severity != "error" || !issueTypes[e.Issues[0].Code] {
			t.Errorf("%v: %+v", k, e.Issues)
		}
		if !fault.Is(e, k) || fault.KindOf(e) != k {
			t.Errorf("%v is not what it is", k)
		}
	}
	if next := fault.Kind(len(kinds)); next.String() != "internal" || fault.Kind(255).String() != "internal" {
		t.Errorf("%v stands behind the last kind that is tested", next)
	}
}

// TestErrorTellsNoCause: what is meant for the log is not part of what a caller reads.
func TestErrorTellsNoCause(t *testing.T) {
	e := fault.At(fault.Unprocessable, "Patient.birthDate", "%q is no date", "x").WithCode("value").Because(io.ErrUnexpectedEOF)
	if got := e.Error(); got != `Patient.birthDate: "x" is no date` {
		t.Error(got)
	}
	if !errors.Is(e, io.ErrUnexpectedEOF) || strings.Contains(e.Error(), "EOF") {
		t.Error("the cause is lost, or told")
	}
	if i := e.Issues[0]; i.Code != "value" || i.Expression != "Patient.birthDate" || i.Severity != "error" {
		t.Errorf("%+v", i)
	}
	e.Issues = append(e.Issues, fault.Issue{Severity: "warning", Code: "informational", Diagnostics: "and more"})
	if got := e.Error(); got != `Patient.birthDate: "x" is no date; and more` {
		t.Error(got)
	}
}

// TestKindOf: the first kind in the chain counts, and an error without one is a defect.
func TestKindOf(t *testing.T) {
	inner := fault.New(fault.Conflict, "inner")
	for name, c := range map[string]struct {
		err  error
		want fault.Kind
	}{
		"wrapped":     {fmt.Errorf("op: %w", inner), fault.Conflict},
		"joined":      {errors.Join(io.EOF, inner), fault.Conflict},
		"the cause's": {fault.New(fault.NotFound, "outer").Because(inner), fault.NotFound},
		"no kind":     {io.EOF, fault.Internal},
		"nil":         {nil, fault.Internal},
	} {
		if got := fault.KindOf(c.err); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if fault.Is(nil, fault.Internal) || fault.Is(io.EOF, fault.Conflict) || !fault.Is(io.EOF, fault.Internal) {
		t.Error("Is")
	}
}
