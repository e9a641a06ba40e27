package access_test

import (
	"context"
	"testing"

	"github.com/nilecare/nilecare/internal/access"
)

// TestFrom: a context without a caller is the program's own; the nearest caller counts, and the outer context keeps its own.
func TestFrom(t *testing.T) {
	none := context.Background()
	if c := access.From(none); c.Tenant != 1 || c.Who != "system" || !c.Internal() || c.RequestID != "" || c.Address != "" {
		t.Errorf("%+v", c)
	}
	outer := access.With(none, access.Caller{Tenant: 2, Who: "User/12", RequestID: "r", Address: "127.0.0.1"})
	inner := access.With(outer, access.Caller{Tenant: 3})
	if access.From(outer).Who != "User/12" || access.From(inner).Tenant != 3 || access.From(inner).Who != "" {
		t.Errorf("%+v %+v", access.From(outer), access.From(inner))
	}
	if c := access.From(context.WithoutCancel(inner)); c.Tenant != 3 {
		t.Error("a derived context lost the caller")
	}
}

// TestNobodyMayAnything: a caller without a grant, and an anonymous one, may do nothing.
func TestNobodyMayAnything(t *testing.T) {
	for _, c := range []access.Caller{{Tenant: 1}, access.Anonymous()} {
		for a := access.Read; a <= access.Delete; a++ {
			if !c.Extent(a, "Patient").IsNone() {
				t.Errorf("%q may %s", c.Who, a)
			}
		}
		if c.Permits("patients:read") || c.Internal() || c.Known() {
			t.Errorf("%q has permissions", c.Who)
		}
	}
}
