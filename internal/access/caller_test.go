package access_test

import (
	"context"
	"testing"

	"github.com/nilecare/nilecare/internal/access"
)

// TestFrom: a context without a caller is the first tenant's anonymous; the nearest caller counts, and the outer context keeps its own.
func TestFrom(t *testing.T) {
	none := context.Background()
	if c := access.From(none); c.Tenant != 1 || c.Who != "anonymous" || c.RequestID != "" || c.Address != "" {
		t.Errorf("%+v", c)
	}
	first := access.Caller{Tenant: 2, Who: "Practitioner/12", RequestID: "r", Address: "127.0.0.1"}
	outer := access.With(none, first)
	inner := access.With(outer, access.Caller{Tenant: 3})
	if access.From(outer) != first || access.From(inner) != (access.Caller{Tenant: 3}) {
		t.Errorf("%+v %+v", access.From(outer), access.From(inner))
	}
	if c := access.From(context.WithoutCancel(inner)); c.Tenant != 3 {
		t.Error("a derived context lost the caller")
	}
}
