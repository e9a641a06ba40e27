package flat

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/clock"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/search"
	"github.com/nilecare/nilecare/internal/record"
)

// Records is the record as a module uses it: everything is done as the caller of the context, and shows what that caller may see.
type Records struct {
	Store *record.Store
	Clock clock.Clock
	Base  string // the server's own FHIR base URL, "" where it follows the request: absolute references below it are local
}

// New returns the record for modules. c nil is the system's clock.
func New(s *record.Store, c clock.Clock, base string) *Records {
	if c == nil {
		c = clock.System
	}
	return &Records{Store: s, Clock: c, Base: base}
}

// Now is the time.
func (r *Records) Now() time.Time { return r.Clock() }

// digits reports a string of 1 to 16 digits, which a client may read as a whole number without loss.
func digits(s string) bool {
	if s == "" || len(s) > 16 {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// ID is the version's id in the product API.
func ID(v *record.Version) string {
	if digits(v.ID) {
		return v.ID
	}
	return strconv.FormatInt(v.Num, 10)
}

// IDOf is the product API's id of a FHIR id of the type; "" where nothing bears it.
func (r *Records) IDOf(ctx context.Context, typ, fhirID string) (string, error) {
	if digits(fhirID) || fhirID == "" {
		return fhirID, nil
	}
	n, known, err := r.Store.Number(ctx, typ, fhirID)
	if err != nil || !known {
		return "", err
	}
	return strconv.FormatInt(n, 10), nil
}

// IDOfRef is IDOf for a literal reference; "" for one that is not local, or none.
func (r *Records) IDOfRef(ctx context.Context, ref string) (string, error) {
	typ, id, ok := fhir.SplitReference(ref, r.Base)
	if !ok {
		return "", nil
	}
	return r.IDOf(ctx, typ, id)
}

// FHIRID is the FHIR id that an id of the product API means: itself, where a record bears it, else that of the record with the number. It does not
// say whether there is one.
func (r *Records) FHIRID(ctx context.Context, typ, id string) (string, error) {
	if !digits(id) {
		return id, nil
	}
	if len(id) < 13 { // too short for a number that the store gives
		return id, nil
	}
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return id, nil //nolint:nilerr // then it is a FHIR id like any other
	}
	named, err := r.Store.Named(ctx, typ, n)
	if err != nil || named == "" {
		return id, err
	}
	return named, nil
}

// Ref is the literal reference to what an id of the product API means, "Patient/12". Where there is no such record that the caller may read it is
// Unprocessable, and names the field.
func (r *Records) Ref(ctx context.Context, field, typ, id string) (string, error) {
	if id == "" {
		return "", fault.At(fault.Invalid, field, "is missing").WithCode("required")
	}
	v, err := r.Read(ctx, typ, id)
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Gone) {
		return "", fault.At(fault.Unprocessable, field, "there is no %s with this id", typ)
	}
	if err != nil {
		return "", err
	}
	return typ + "/" + v.ID, nil
}

// Record is a version with its resource.
type Record struct {
	*record.Version
	Res *fhir.Resource
}

// Key is the record's id in the product API.
func (r *Record) Key() string { return ID(r.Version) }

// Ref is the literal reference to the record.
func (r *Record) Ref() string { return r.Type + "/" + r.Version.ID }

func opened(v *record.Version, err error) (*Record, error) {
	if err != nil {
		return nil, err
	}
	out := &Record{Version: v}
	if !v.Deleted {
		out.Res, err = v.Resource()
	}
	return out, err
}

// Read reads a record by an id of the product API. NotFound, or Gone.
func (r *Records) Read(ctx context.Context, typ, id string) (*Record, error) {
	name, err := r.FHIRID(ctx, typ, id)
	if err != nil {
		return nil, err
	}
	return opened(r.Store.Read(ctx, typ, name))
}

// Create writes a new resource.
func (r *Records) Create(ctx context.Context, res *fhir.Resource) (*Record, error) {
	return r.one(ctx, record.Change{Op: record.Create, Type: res.Type(), Resource: res})
}

// Update changes a record by an id of the product API: change gets a copy of the current resource, and is asked again where others were faster. version is
// the one that must be current; 0: any. Where change alters nothing no version is made.
func (r *Records) Update(ctx context.Context, typ, id string, version int64, change func(*fhir.Resource) error) (*Record, error) {
	c, err := r.Changing(ctx, typ, id, change)
	if err != nil {
		return nil, err
	}
	c.IfMatch = version
	return r.one(ctx, c)
}

// Changing is the change that Update writes, for sets of several.
func (r *Records) Changing(ctx context.Context, typ, id string, change func(*fhir.Resource) error) (record.Change, error) {
	name, err := r.FHIRID(ctx, typ, id)
	return record.Change{Op: record.Patch, Type: typ, ID: name, Apply: func(res *fhir.Resource) (*fhir.Resource, error) { return res, change(res) }}, err
}

// Delete deletes a record by an id of the product API. NotFound where there is none, Gone where it was deleted before.
func (r *Records) Delete(ctx context.Context, typ, id string) error {
	v, err := r.Read(ctx, typ, id)
	if err != nil {
		return err
	}
	_, err = r.Store.Write(ctx, []record.Change{{Op: record.Delete, Type: typ, ID: v.Version.ID}})
	return Plain(err)
}

// Write makes a set of changes, all or none, and returns the records as they are after it; nil in the place of what was deleted or absent.
func (r *Records) Write(ctx context.Context, changes ...record.Change) ([]*Record, error) {
	outcomes, err := r.Store.Write(ctx, changes)
	if err != nil {
		return nil, Plain(err)
	}
	all := make([]*Record, len(outcomes))
	for i, o := range outcomes {
		if o.Version == nil || o.Version.Deleted {
			continue
		}
		if all[i], err = opened(o.Version, nil); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (r *Records) one(ctx context.Context, c record.Change) (*Record, error) {
	all, err := r.Write(ctx, c)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// Plain takes the place of a change in its set off an error: a client of the product API did not send a set.
func Plain(err error) error {
	var at *record.EntryError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

// Query is what a listing asks for.
type Query struct {
	Type    string
	Params  []search.Param // FHIR search parameters, as a client of the FHIR API would send them; values escaped by search.Escape where they are free text
	Sort    string         // as _sort: "-date"; "" is the order of registration
	Include []string       // as _include: "Appointment:patient"
	Page    int            // from 1
	Limit   int
	Cursor  string // instead of Page
	NoTotal bool   // do not count
}

// With adds a parameter where the value is not empty.
func (q *Query) With(name, value string) {
	if value != "" {
		q.Params = append(q.Params, search.Param{Name: name, Value: value})
	}
}

// Found is a page of what a query found.
type Found struct {
	Records  []*Record
	Included map[string]*Record // by reference: "Patient/1"
	Total    int                // -1: not counted
	Next     string             // cursor of the next page, ""
}

func (r *Records) parse(q Query) (*search.Query, error) {
	params := q.Params
	if q.Sort != "" {
		params = append(params[:len(params):len(params)], search.Param{Name: "_sort", Value: q.Sort})
	}
	for _, i := range q.Include {
		params = append(params[:len(params):len(params)], search.Param{Name: "_include", Value: i})
	}
	return search.Parse(q.Type, params, search.Options{Base: r.Base, Now: r.Now()})
}

// Find returns a page.
func (r *Records) Find(ctx context.Context, q Query) (*Found, error) {
	parsed, err := r.parse(q)
	if err != nil {
		return nil, err
	}
	parsed.Count, parsed.Cursor = q.Limit, q.Cursor
	if q.Limit <= 0 {
		parsed.Count = record.DefaultCount
	}
	if q.Page > 1 && q.Cursor == "" {
		parsed.Skip = (q.Page - 1) * parsed.Count
	}
	if !q.NoTotal {
		parsed.Total = "accurate"
	}
	page, err := r.Store.Search(ctx, parsed)
	if err != nil {
		return nil, err
	}
	out := &Found{Included: map[string]*Record{}, Total: page.Total, Next: page.Next}
	for _, m := range page.Matches {
		one, err := opened(m.Version, nil)
		if err != nil {
			return nil, err
		}
		if m.Included {
			out.Included[one.Ref()] = one
		} else {
			out.Records = append(out.Records, one)
		}
	}
	return out, nil
}

// Each calls f for all that the query finds, page after page.
func (r *Records) Each(ctx context.Context, q Query, f func(*Record) error) error {
	q.NoTotal = true
	if q.Limit <= 0 {
		q.Limit = record.MaxCount
	}
	for {
		found, err := r.Find(ctx, q)
		if err != nil {
			return err
		}
		for _, one := range found.Records {
			if err := f(one); err != nil {
				return err
			}
		}
		if found.Next == "" {
			return nil
		}
		q.Cursor = found.Next
	}
}

// Count counts what the parameters find: "status", "booked", …
func (r *Records) Count(ctx context.Context, typ string, params ...string) (int, error) {
	q := Query{Type: typ}
	for i := 0; i+1 < len(params); i += 2 {
		q.With(params[i], params[i+1])
	}
	parsed, err := r.parse(q)
	if err != nil {
		return 0, err
	}
	parsed.Count, parsed.Summary = 0, "count"
	page, err := r.Store.Search(ctx, parsed)
	if err != nil {
		return 0, err
	}
	return page.Total, nil
}

// atATime is how many ids one search names.
const atATime = 100

// Get reads records by reference, a search a type and hundred: those that the caller may see, by their references. It is how a listing gets the
// names of what it refers to without a read a line.
func (r *Records) Get(ctx context.Context, refs ...string) (map[string]*Record, error) {
	byType := map[string][]string{}
	seen := map[string]bool{}
	for _, ref := range refs {
		typ, id, ok := fhir.SplitReference(ref, r.Base)
		if key := typ + "/" + id; ok && !seen[key] {
			seen[key] = true
			byType[typ] = append(byType[typ], id)
		}
	}
	out := map[string]*Record{}
	for typ, ids := range byType {
		for len(ids) > 0 {
			n := min(len(ids), atATime)
			q := Query{Type: typ, NoTotal: true, Limit: n}
			q.With("_id", strings.Join(ids[:n], ","))
			found, err := r.Find(ctx, q)
			if fault.Is(err, fault.Forbidden) {
				break
			}
			if err != nil {
				return nil, err
			}
			for _, one := range found.Records {
				out[one.Ref()] = one
			}
			ids = ids[n:]
		}
	}
	return out, nil
}
