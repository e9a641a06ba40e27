// Package access says who is asking, for which tenant. It carries a [Caller] through a request's context.
package access

import "context"

// Caller is who asks, and where from.
type Caller struct {
	Tenant    int32  // 1 is the first tenant; 0 is nobody
	Who       string // "anonymous", or a reference such as Practitioner/12
	RequestID string
	Address   string // the peer's address without port, "" for a command line
}

// Anonymous is the caller of the first tenant while nobody signs in.
var anonymous = Caller{Tenant: 1, Who: "anonymous"}

type callerKey struct{}

// With returns ctx with the caller.
func With(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// From returns the caller of ctx; a context without one is the first tenant's anonymous.
func From(ctx context.Context) Caller {
	if c, ok := ctx.Value(callerKey{}).(Caller); ok {
		return c
	}
	return anonymous
}
