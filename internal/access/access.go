// Package access says who is asking, for which tenant and purpose, and what they may do.
//
// A [Caller] travels in a request's context. Its [Grant] is the one decision: whatever roles, policies, scopes and links to
// people allow it is worked out once, when the caller is authenticated, and asked everywhere: the record compiles the [Extent] of
// an action into every search, so that nothing that a read would refuse is ever counted, sorted by, included or told.
//
// # How a decision is made
//
// What roles may do is data: policies in Cedar's language ([DefaultPolicies], read by [Compile]). [Policies.Grant] takes a [Principal]
// and partially evaluates them: principal, action, context and the type of the resource are known, and evaluated by Cedar itself; what
// speaks of the resource becomes a search predicate. The result, for an action and a type, is what some permit and no forbid matches,
// with Cedar's semantics to the letter: a policy whose condition fails is left out. The law is tested on random policies,
// principals and resources against Cedar's own authorizer. [Scopes.Narrow] then cuts out of the grant what the scopes of a token leave.
//
// Invariants: an unknown role, type, action or principal has nothing; a scope, a launch context or a second role never adds to what
// the policies permit; a mask is taken off by nothing but a policy without it; the same question always has the same answer.
//
// What it does not do: it decides on resources as they are stored, so a writer asks it for both the old and the new version; it
// hides elements directly below a resource, not the display names that other resources' references bear; and whoever may not see an
// element must not search or sort by it, which the record sees to.
package access

import (
	"context"

	"github.com/nilecare/nilecare/internal/fhir/search"
)

// Action is what somebody wants to do with resources of a type.
type Action uint8

// The actions, in the terms of SMART App Launch 2's c, r, u, d, s. A history is read by those who may Read.
const (
	Read Action = iota + 1
	Search
	Create
	Update
	Delete
)

var actionNames = [...]string{Read: "read", Search: "search", Create: "create", Update: "update", Delete: "delete"}

// String returns the action's lower-case name.
func (a Action) String() string {
	if int(a) < len(actionNames) {
		return actionNames[a]
	}
	return ""
}

// Extent is on which resources of one type an action is permitted. The zero Extent is none.
type Extent struct {
	all  bool
	pred search.Pred
}

// All is the extent of every resource of the type.
func All() Extent { return Extent{all: true} }

// None is the extent of no resource.
func None() Extent { return Extent{} }

// Some is the extent of the resources that satisfy the predicate.
func Some(p search.Pred) Extent { return Extent{pred: p} }

// IsAll reports that nothing is left out.
func (e Extent) IsAll() bool { return e.all }

// IsNone reports that nothing is permitted.
func (e Extent) IsNone() bool { return !e.all && e.pred == nil }

// Pred is the condition on a resource; only for an extent that is neither all nor none.
func (e Extent) Pred() search.Pred { return e.pred }

// Grant is the decision on everything that a caller may do. It is immutable and safe for concurrent use; its answers are cheap,
// and the same for the same question.
type Grant interface {
	// Extent says on which resources of the type the action is permitted.
	Extent(a Action, typ string) Extent
	// Permits reports whether the caller holds a permission of the product API, such as "appointments:create".
	Permits(permission string) bool
	// Masked names the elements directly below the type that are hidden from the caller, such as "identifier"; none mostly.
	Masked(typ string) []string
}

// everything is the program's own grant.
type everything struct{}

func (everything) Extent(Action, string) Extent { return All() }
func (everything) Permits(string) bool          { return true }
func (everything) Masked(string) []string       { return nil }

type nothing struct{}

func (nothing) Extent(Action, string) Extent { return None() }
func (nothing) Permits(string) bool          { return false }
func (nothing) Masked(string) []string       { return nil }

// Everything permits everything: for the program itself and the operator at its command line.
func Everything() Grant { return everything{} }

// Nothing permits nothing: for a caller whom nobody knows.
func Nothing() Grant { return nothing{} }

// Caller is who asks, and where from.
type Caller struct {
	Tenant    int32  // 1 is the first tenant; 0 is nobody
	Who       string // what the audit names: "User/12", "Client/abc", "Key/7", "system", "anonymous"
	RequestID string
	Address   string // the peer's address without port, "" for a command line

	Name      string   // for people who read the audit; never logged
	User      int64    // the user's number; 0: no user
	Client    string   // the OAuth client or API key that speaks for the user, or for itself; "": the product's own front ends
	Session   int64    // 0: none
	Roles     []string // names
	Purpose   string   // a code of http://terminology.hl7.org/ValueSet/v3-PurposeOfUse; "TREAT" where nothing else is said
	Self      []string // the FHIR references that are this caller: Practitioner/1, Patient/2, their Organization and CareTeam
	Emergency bool     // break-glass is active: consent that denies does not bind
	Grant     Grant    // nil: Nothing
}

// Extent asks the caller's grant.
func (c *Caller) Extent(a Action, typ string) Extent {
	if c.Grant == nil {
		return None()
	}
	return c.Grant.Extent(a, typ)
}

// Permits asks the caller's grant.
func (c *Caller) Permits(permission string) bool {
	return c.Grant != nil && c.Grant.Permits(permission)
}

// Masked asks the caller's grant.
func (c *Caller) Masked(typ string) []string {
	if c.Grant == nil {
		return nil
	}
	return c.Grant.Masked(typ)
}

// Internal reports the program itself or its operator, whom neither consent nor the audit of reads is about.
func (c *Caller) Internal() bool {
	_, ok := c.Grant.(everything)
	return ok
}

// Elevated returns ctx with the same caller, who may do everything to resources in it. It is for a verb whose permission was checked and that
// has consequences in records that its caller may not change by hand (a bed that becomes occupied, a reminder's receipt). The caller is named in
// the audit, and consent binds. Nothing that the caller said may choose which records those are without a check of its own.
func Elevated(ctx context.Context) context.Context {
	c := From(ctx)
	if !c.Internal() {
		c.Grant = elevated{c.Grant}
	}
	return With(ctx, c)
}

// elevated is a grant that gives every resource, and the product API's permissions of another.
type elevated struct{ Grant }

func (elevated) Extent(Action, string) Extent { return All() }

func (elevated) Masked(string) []string { return nil }

func (e elevated) Permits(permission string) bool {
	return e.Grant != nil && e.Grant.Permits(permission)
}

// Known reports that somebody is signed in, or a program that proved who it is.
func (c *Caller) Known() bool { return c.Who != "" && c.Who != "anonymous" }

// System is the caller that the program itself is in a tenant.
func System(tenant int32) Caller {
	return Caller{Tenant: tenant, Who: "system", Purpose: "HOPERAT", Grant: Everything()}
}

// Anonymous is a caller of the first tenant whom nobody knows.
func Anonymous() Caller { return Caller{Tenant: 1, Who: "anonymous", Grant: Nothing()} }

type callerKey struct{}

// With returns ctx with the caller.
func With(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// From returns the caller of ctx. A context without one is the program's own, in the first tenant: the edge gives every request's
// context a caller, known or anonymous, before anything else is done.
func From(ctx context.Context) Caller {
	if c, ok := ctx.Value(callerKey{}).(Caller); ok {
		return c
	}
	return System(1)
}
