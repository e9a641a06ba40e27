package access

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/eval"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir/search"
)

// Principal is everything about a caller that a decision may rest on.
type Principal struct {
	Tenant        int32
	User          int64    // the number of the user, or of the client, key or device that speaks for itself
	Kind          string   // "user", "app", "service" or "device"; "" is "user"
	Roles         []string // by any name that CanonicalRole knows
	Permissions   []string // of the product API: names, "*", "patients:*"
	Self          []string // the FHIR references that are this caller: Practitioner/1, Patient/2
	Patients      []string // Patient/1 …: the records that this person may act for, the own one and dependants'
	Practitioner  string   // Practitioner/1, or ""
	Organizations []string // Organization/1 …: where the caller works
	Facilities    []string // Location/1 …: where the caller works
	CareTeams     []string // CareTeam/1 …: the teams that the caller is in
	Purpose       string   // a code of v3-PurposeOfUse; "" is TREAT
	MFA           bool     // signed in with more than a password
	Emergency     bool     // break-glass is active
}

// bounds of what is remembered.
const (
	maxGrants   = 4096 // principals, of one set of policies
	maxNarrowed = 64   // scopes, of one principal
)

// key tells principals apart.
func (pr *Principal) key() string {
	var b strings.Builder
	b.Grow(256)
	field := func(s string) {
		b.WriteString(strconv.Itoa(len(s)))
		b.WriteByte(':')
		b.WriteString(s)
	}
	list := func(l []string) {
		b.WriteString(strconv.Itoa(len(l)))
		b.WriteByte('[')
		for _, s := range l {
			field(s)
		}
	}
	field(strconv.Itoa(int(pr.Tenant)))
	field(strconv.FormatInt(pr.User, 10))
	field(pr.Kind)
	for _, l := range [][]string{pr.Roles, pr.Permissions, pr.Self, pr.Patients, pr.Organizations, pr.Facilities, pr.CareTeams} {
		list(l)
	}
	field(pr.Practitioner)
	field(pr.Purpose)
	field(strconv.FormatBool(pr.MFA))
	field(strconv.FormatBool(pr.Emergency))
	return b.String()
}

// check refuses what is no reference where one must be: fault.Invalid, which names the field.
func (pr *Principal) check() error {
	if pr.Kind != "" && !slices.Contains([]string{"user", "app", "service", "device"}, pr.Kind) {
		return fault.New(fault.Invalid, "a principal is a user, an app, a service or a device, not %.40q", pr.Kind)
	}
	practitioner := []string{pr.Practitioner}
	if pr.Practitioner == "" {
		practitioner = nil
	}
	for _, f := range []struct {
		name, typ string
		refs      []string
	}{{"self", "", pr.Self}, {"patients", "Patient", pr.Patients}, {"practitioner", "Practitioner", practitioner},
		{"organizations", "Organization", pr.Organizations}, {"facilities", "Location", pr.Facilities}, {"careTeams", "CareTeam", pr.CareTeams}} {
		for _, ref := range f.refs {
			if typ, _, ok := splitRef(ref); !ok || f.typ != "" && typ != f.typ {
				return fault.New(fault.Invalid, "the principal's %s must be references such as %s/1", f.name, cmpOr(f.typ, "Practitioner"))
			}
		}
	}
	return nil
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// Grant decides what the principal may do. Extents are worked out when they are first asked for, and kept. A malformed reference in
// the principal is fault.Invalid.
func (p *Policies) Grant(pr Principal) (Grant, error) {
	key := pr.key()
	p.mu.Lock()
	g := p.grants[key]
	p.mu.Unlock()
	if g != nil {
		return g, nil
	}
	if err := pr.check(); err != nil {
		return nil, err
	}
	g = p.newGrant(&pr)
	p.mu.Lock()
	defer p.mu.Unlock()
	if had := p.grants[key]; had != nil {
		return had, nil
	}
	if len(p.grants) >= maxGrants {
		clear(p.grants)
	}
	p.grants[key] = g
	return g, nil
}

func (p *Policies) newGrant(pr *Principal) *grant {
	roles := make([]string, 0, len(pr.Roles))
	for _, r := range pr.Roles {
		if c := CanonicalRole(r); !slices.Contains(roles, c) {
			roles = append(roles, c)
		}
	}
	g := &grant{permissions: slices.Clone(pr.Permissions), env: environment(pr, roles)}
	for _, r := range p.rules {
		if r.roles == nil || slices.ContainsFunc(r.roles, func(n string) bool { return slices.Contains(roles, n) }) {
			g.rules = append(g.rules, r)
		}
	}
	return g
}

// grant is what policies decide for one principal.
type grant struct {
	rules       []rule // those that can concern the principal
	permissions []string
	env         eval.Env // action and resource are set for each question
	table       table
	masks       [maxTypes + 1]atomic.Pointer[[]string]

	mu       sync.Mutex
	narrowed map[string]*narrowed
}

// table keeps extents, by action and type.
type table [Delete + 1]atomic.Pointer[[maxTypes + 1]atomic.Pointer[Extent]]

// get returns the extent, worked out by make where it is asked for the first time. Two may work it out at once: they find the same.
func (t *table) get(a Action, typ string, decide func(a Action, typ string) Extent) Extent {
	n := number(typ)
	if n == 0 || a < Read || a > Delete {
		return None()
	}
	row := t[a].Load()
	if row == nil {
		t[a].CompareAndSwap(nil, new([maxTypes + 1]atomic.Pointer[Extent]))
		row = t[a].Load()
	}
	if e := row[n].Load(); e != nil {
		return *e
	}
	e := decide(a, typ)
	row[n].Store(&e)
	return e
}

func (g *grant) Extent(a Action, typ string) Extent { return g.table.get(a, typ, g.extent) }

func (g *grant) Permits(permission string) bool { return holds(g.permissions, permission) }

func (g *grant) Masked(typ string) []string {
	n := number(typ)
	if n == 0 {
		return nil
	}
	if m := g.masks[n].Load(); m != nil {
		return *m
	}
	m := g.hidden(typ)
	g.masks[n].Store(&m)
	return m
}

// extent is what some permit and no forbid matches.
func (g *grant) extent(a Action, typ string) Extent {
	var permits, forbids []search.Pred
	for _, r := range g.rules {
		switch {
		case r.permit:
			permits = append(permits, g.decide(r, a, typ))
		case len(r.masks) == 0:
			forbids = append(forbids, g.decide(r, a, typ))
		}
	}
	return extentOf(anyOf(permits...)).Except(anyOf(forbids...))
}

// decide is the condition that the rule matches. Where a condition fails, a rule does not match, as Cedar has it.
func (g *grant) decide(r rule, a Action, typ string) search.Pred {
	env := g.env
	env.Action = types.NewEntityUID(typeAction, types.String(a.String()))
	env.Resource = types.NewEntityUID(types.EntityType(fhirPrefix+typ), "")
	return r.when.cond(env, typ).yes
}

// environment is what Cedar knows of the principal and the context.
func environment(pr *Principal, roles []string) eval.Env {
	principal := principalUID(pr)
	parents := make([]types.EntityUID, len(roles))
	for i, r := range roles {
		parents[i] = types.NewEntityUID(typeRole, types.String(r))
	}
	entities := types.EntityMap{principal: {UID: principal, Parents: types.NewEntityUIDSet(parents...), Attributes: types.NewRecord(types.RecordMap{
		"id":            types.String(strconv.FormatInt(pr.User, 10)),
		"kind":          types.String(cmpOr(pr.Kind, "user")),
		"tenant":        types.Long(pr.Tenant),
		"roles":         stringSet(roles),
		"self":          stringSet(pr.Self),
		"patients":      stringSet(pr.Patients),
		"practitioner":  types.String(pr.Practitioner),
		"organizations": stringSet(pr.Organizations),
		"facilities":    stringSet(pr.Facilities),
		"careTeams":     stringSet(pr.CareTeams),
	})}}
	for a, group := range actionGroups {
		uid := types.NewEntityUID(typeAction, types.String(a.String()))
		entities[uid] = types.Entity{UID: uid, Parents: types.NewEntityUIDSet(types.NewEntityUID(typeAction, types.String(group)))}
	}
	return eval.Env{Entities: entities, Principal: principal, Context: types.NewRecord(types.RecordMap{
		"purpose":   types.String(cmpOr(pr.Purpose, "TREAT")),
		"mfa":       types.Boolean(pr.MFA),
		"emergency": types.Boolean(pr.Emergency),
	})}
}

func principalUID(pr *Principal) types.EntityUID {
	id := types.String(strconv.FormatInt(pr.User, 10))
	switch pr.Kind {
	case "app", "service":
		return types.NewEntityUID(typeClient, id)
	case "device":
		return types.NewEntityUID(typeDevice, id)
	}
	return types.NewEntityUID(typeUser, id)
}

func stringSet(list []string) types.Set {
	values := make([]types.Value, len(list))
	for i, s := range list {
		values[i] = types.String(s)
	}
	return types.NewSet(values...)
}
