package scim

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/module/identity"
)

// query is what a listing is asked for (RFC 7644 section 3.4.2).
type query struct {
	filter     Filter // nil: none
	sort       *Path
	descending bool
	start      int
	count      int
	selection
}

// search is a query as POST .search says it.
type search struct {
	Filter     string   `json:"filter"`
	SortBy     string   `json:"sortBy"`
	SortOrder  string   `json:"sortOrder"`
	Start      *int     `json:"startIndex"`
	Count      *int     `json:"count"`
	Attributes []string `json:"attributes"`
	Excluded   []string `json:"excludedAttributes"`
}

func searchOf(r *http.Request) (*search, error) {
	q := r.URL.Query()
	out := &search{Filter: q.Get("filter"), SortBy: q.Get("sortBy"), SortOrder: q.Get("sortOrder"), Attributes: q["attributes"], Excluded: q["excludedAttributes"]}
	for name, to := range map[string]**int{"startIndex": &out.Start, "count": &out.Count} {
		if said := q.Get(name); said != "" {
			n, err := strconv.Atoi(said)
			if err != nil {
				return nil, failed(400, "invalidValue", "%s is a whole number", name)
			}
			*to = &n
		}
	}
	return out, nil
}

func (s *search) query() (*query, error) {
	out := &query{start: 1, count: defaultCount}
	var err error
	if s.Filter != "" {
		if out.filter, err = ParseFilter(s.Filter); err != nil {
			return nil, err
		}
	}
	if s.SortBy != "" {
		t, err := ParsePath(s.SortBy)
		if err != nil || t.Filter != nil || t.Path.Attr == "" {
			return nil, failed(400, "invalidPath", "sortBy is the name of an attribute")
		}
		out.sort = &t.Path
	}
	switch s.SortOrder {
	case "", "ascending":
	case "descending":
		out.descending = true
	default:
		return nil, failed(400, "invalidValue", "sortOrder is ascending or descending")
	}
	if s.Start != nil {
		out.start = max(1, *s.Start)
	}
	if s.Count != nil {
		out.count = min(max(0, *s.Count), maxCount)
	}
	out.selection, err = selects(s.Attributes, s.Excluded)
	return out, err
}

// page is the answer to a query.
func (q *query) page(all []object, k *kind) any {
	if q.sort != nil {
		q.order(all, k)
	}
	from := min(q.start-1, len(all))
	part := all[from:min(from+q.count, len(all))]
	return q.answer(part, len(all))
}

func (q *query) answer(part []object, total int) any {
	resources := make([]any, len(part))
	for i, r := range part {
		resources[i] = q.of(r)
	}
	return object{"schemas": []string{listURN}, "totalResults": total, "startIndex": q.start, "itemsPerPage": len(part), "Resources": resources}
}

// order sorts by an attribute; those without it come last when ascending, and of a multi-valued one the primary counts (RFC 7644 section 3.4.2.3).
func (q *query) order(all []object, k *kind) {
	sortKey := func(r object) (string, bool) {
		values, a := k.values(r, *q.sort)
		if len(values) == 0 {
			return "", false
		}
		v := values[max(0, preferred(values))]
		if o := objectOf(v); o != nil {
			v = get(o, "value")
		}
		x := scalar(v)
		if a == nil || !a.Exact {
			x = strings.ToLower(x)
		}
		return x, x != ""
	}
	slices.SortStableFunc(all, func(a, b object) int {
		x, hasX := sortKey(a)
		y, hasY := sortKey(b)
		c := cmp.Compare(x, y)
		if hasX != hasY {
			if c = 1; hasX {
				c = -1
			}
		}
		if q.descending {
			return -c
		}
		return c
	})
}

// findUsers answers a query for users.
func (s *Service) findUsers(ctx context.Context, tenant int32, q *query) (any, error) {
	if q.filter == nil && q.sort == nil && q.count > 0 && (q.start-1)%q.count == 0 {
		users, total, err := s.o.Directory.Find(ctx, tenant, identity.Filter{Page: (q.start-1)/q.count + 1, Limit: q.count})
		if err != nil {
			return nil, err
		}
		var part []object
		for i := range users {
			r, err := s.told(ctx, &users[i])
			if err != nil {
				return nil, err
			}
			part = append(part, r)
		}
		return q.answer(part, total), nil
	}
	var all []object
	take := func(u *identity.User) error {
		r, err := s.told(ctx, u)
		if err != nil {
			return err
		}
		ok := true
		if q.filter != nil {
			ok, err = s.users.matches(q.filter, r)
		}
		if ok {
			all = append(all, r)
		}
		return err
	}
	ids, narrow, err := s.candidates(ctx, tenant, q.filter)
	if err != nil {
		return nil, err
	}
	if !narrow {
		err = s.allUsers(ctx, tenant, identity.Filter{}, take)
	}
	for _, id := range ids {
		u, err := s.o.Directory.User(ctx, tenant, id)
		if fault.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := take(u); err != nil {
			return nil, err
		}
	}
	if err != nil {
		return nil, err
	}
	return q.page(all, s.users), nil
}

// candidates are the users among whom all are that a filter can hold for, where an index tells; narrow is false where none does. A userName
// that nobody told by SCIM is a user's own name or address, which no index of ours has: they are looked through then.
func (s *Service) candidates(ctx context.Context, tenant int32, f Filter) (ids []int64, narrow bool, err error) {
	switch f := f.(type) {
	case And:
		if ids, narrow, err = s.candidates(ctx, tenant, f.Left); narrow || err != nil {
			return ids, narrow, err
		}
		return s.candidates(ctx, tenant, f.Right)
	case Compare:
		value, ok := f.Value.(string)
		if f.Op != "eq" || !ok || value == "" || f.Path.URI != "" && !strings.EqualFold(f.Path.URI, userURN) {
			return nil, false, nil
		}
		return s.byIndex(ctx, tenant, strings.ToLower(f.Path.Attr), value)
	}
	return nil, false, nil
}

func (s *Service) byIndex(ctx context.Context, tenant int32, attribute, value string) ([]int64, bool, error) {
	var found []string
	var err error
	switch attribute {
	case "id":
		found = []string{value}
	case "externalid":
		found, err = s.indexed(ctx, tenant, s.users.name, "external", value)
	case "username":
		if found, err = s.indexed(ctx, tenant, s.users.name, "name", value); err != nil || len(found) > 0 {
			break
		}
		if !strings.Contains(value, "@") {
			return nil, false, nil
		}
		u, err := s.o.Directory.ByEmail(ctx, tenant, value)
		if fault.Is(err, fault.NotFound) {
			return nil, true, nil
		}
		if err != nil {
			return nil, false, err
		}
		found = []string{idOf(u.ID)}
	default:
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	var ids []int64
	for _, id := range found {
		if n, err := strconv.ParseInt(id, 10, 64); err == nil && n > 0 {
			ids = append(ids, n)
		}
	}
	return ids, true, nil
}

// findGroups answers a query for groups. Members are read only where somebody asks for them.
func (s *Service) findGroups(ctx context.Context, tenant int32, q *query) (any, error) {
	roles, err := s.o.Directory.Roles(ctx, tenant)
	if err != nil {
		return nil, err
	}
	members := q.wants("members") || q.filter != nil && strings.Contains(strings.ToLower(q.filter.String()), "members")
	var all []object
	for i := range roles {
		r, err := s.toldGroup(ctx, tenant, &roles[i], members)
		if err != nil {
			return nil, err
		}
		ok := true
		if q.filter != nil {
			if ok, err = s.groups.matches(q.filter, r); err != nil {
				return nil, err
			}
		}
		if ok {
			all = append(all, r)
		}
	}
	return q.page(all, s.groups), nil
}
