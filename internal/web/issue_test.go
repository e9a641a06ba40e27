package web_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/web"
)

// TestOutcomeHasIssueTypes: the product API's codes are not told in an OperationOutcome, whose code is of a required value set.
func TestOutcomeHasIssueTypes(t *testing.T) {
	for _, c := range []struct {
		err  *fault.Error
		want string
	}{
		{fault.New(fault.Unauthenticated, "x").WithCode("INVALID_TOKEN"), `"code":"login"`},
		{fault.New(fault.Forbidden, "x").WithCode("PERMISSION_DENIED"), `"code":"forbidden"`},
		{fault.New(fault.Invalid, "x").WithCode("code-invalid"), `"code":"code-invalid"`},
	} {
		before := c.err.Issues[0].Code
		w := httptest.NewRecorder()
		web.Fail(w, c.err)
		if !strings.Contains(w.Body.String(), c.want) || c.err.Issues[0].Code != before {
			t.Errorf("%s: %s", before, w.Body.String())
		}
	}
}
