package audit

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	ledger "github.com/nilecare/nilecare/internal/audit"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/def"
)

func isResource(typ string) bool {
	t := def.Lookup(typ)
	return t != nil && t.Num != 0
}

// Param is a parameter of a FHIR search, as asked.
type Param struct{ Name, Value string }

// Found is the answer to a search for AuditEvents.
type Found struct {
	Resources []*fhir.Resource
	Total     int
	Next      string // the value of the parameter _cursor that asks for the next page; "": this is the last
}

// permission is what whoever reads the audit of all must hold.
const (
	permission       = "audit:read"
	exportPermission = "audit:export"
)

// Read returns the AuditEvent of that id, for callers with the permission audit:read, and for a patient where it is about them.
func (s *Service) Read(ctx context.Context, id string) (*fhir.Resource, error) {
	num, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return nil, fault.New(fault.NotFound, "there is no AuditEvent with this id")
	}
	l, err := s.Get(ctx, num)
	if err != nil {
		if fault.Is(err, fault.NotFound) {
			err = fault.New(fault.NotFound, "there is no AuditEvent with this id")
		}
		return nil, err
	}
	logs := []Log{l}
	ids, err := s.idsOf(ctx, logs)
	if err != nil {
		return nil, err
	}
	c := access.From(ctx)
	if !c.Permits(permission) && !ownOf(&c, &l, ids) {
		return nil, fault.New(fault.NotFound, "there is no AuditEvent with this id")
	}
	if !c.Internal() {
		s.note(ctx, ledger.Entry{Kind: ledger.Rest, Action: "read", Type: "AuditEvent", Num: l.ID, Count: 1})
	}
	return render(&l.Entry, ids, s.site), nil
}

// ownOf reports whether the entry is about the patient that the caller is, and about no other.
func ownOf(c *access.Caller, l *Log, ids map[resource]string) bool {
	if len(l.Patients) != 1 {
		return false
	}
	own := "Patient/" + ids[resource{"Patient", l.Patients[0]}]
	for _, self := range c.Self {
		if self == own {
			return true
		}
	}
	return false
}

// Search answers a search for AuditEvents, the newest first: the parameters _id, patient, date, agent, action, outcome, entity, entity-type,
// type, subtype, _lastUpdated, _count, _sort (-date alone) and _cursor. Any other is Invalid, and named. It is for callers
// with the permission audit:read; a patient may search with patient=themself.
func (s *Service) Search(ctx context.Context, params []Param) (Found, error) {
	c := access.From(ctx)
	q := &query{s: s, f: ledger.Filter{Limit: 50}}
	for _, p := range params {
		if err := q.param(ctx, p); err != nil {
			return Found{}, err
		}
	}
	if !c.Permits(permission) {
		own, err := s.ownNumber(ctx, &c)
		if err != nil {
			return Found{}, err
		}
		if own == 0 || q.f.Patient != own {
			return Found{}, fault.New(fault.Forbidden, "this needs the permission %s", permission)
		}
		q.onlyOne = true
	}
	if q.nothing {
		return Found{}, nil
	}
	page, err := s.List(ctx, q.f)
	if err != nil {
		return Found{}, err
	}
	ids, err := s.idsOf(ctx, page.Logs)
	if err != nil {
		return Found{}, err
	}
	if !c.Internal() {
		e := ledger.Entry{Kind: ledger.Rest, Action: "search", Type: "AuditEvent", Query: joined(params), Count: len(page.Logs)}
		if q.f.Patient != 0 {
			e.Patients = []int64{q.f.Patient}
		}
		s.note(ctx, e)
	}
	out := Found{Total: page.Total}
	for i := range page.Logs {
		l := &page.Logs[i]
		if q.onlyOne {
			l.Patients = []int64{q.f.Patient} // who else the act was about is not for this patient's eyes
		}
		out.Resources = append(out.Resources, render(&l.Entry, ids, s.site))
	}
	if page.Next != 0 {
		out.Next = strconv.FormatInt(page.Next, 10)
	}
	return out, nil
}

func joined(params []Param) string {
	parts := make([]string, 0, len(params))
	for _, p := range params {
		parts = append(parts, p.Name+"="+p.Value)
	}
	return strings.Join(parts, "&")
}

// ownNumber is the number of the patient that the caller is; 0: none.
func (s *Service) ownNumber(ctx context.Context, c *access.Caller) (int64, error) {
	for _, self := range c.Self {
		if id, ok := strings.CutPrefix(self, "Patient/"); ok {
			n, err := s.patient(ctx, id)
			if fault.Is(err, fault.NotFound) {
				continue
			}
			return n, err
		}
	}
	return 0, nil
}

// query is a search being read.
type query struct {
	s       *Service
	f       ledger.Filter
	nothing bool // it cannot match
	onlyOne bool // the asker sees one patient alone
}

func invalid(name, format string, args ...any) error {
	return fault.At(fault.Invalid, name, format, args...).WithCode("value")
}

func (q *query) param(ctx context.Context, p Param) error {
	f := &q.f
	values := strings.Split(p.Value, ",")
	switch p.Name {
	case "_id":
		for _, v := range values {
			if n, err := strconv.ParseInt(v, 10, 64); err == nil {
				f.IDs = append(f.IDs, n)
			}
		}
		q.nothing = q.nothing || len(f.IDs) == 0
	case "patient", "entity":
		return q.about(ctx, p)
	case "date", "_lastUpdated":
		return q.date(p)
	case "agent":
		for _, v := range values {
			_, v, _ = cutToken(v)
			f.Who = append(f.Who, v)
		}
	case "action":
		return q.action(values)
	case "outcome":
		for _, v := range values {
			_, v, _ = cutToken(v)
			n, err := strconv.Atoi(v)
			if err != nil || n != 0 && n != 4 && n != 8 && n != 12 {
				return invalid(p.Name, "must be 0, 4, 8 or 12")
			}
			f.Outcomes = append(f.Outcomes, ledger.Outcome(n))
		}
	case "entity-type":
		f.Types = append(f.Types, values...)
	case "type":
		return q.kinds(p.Name, values)
	case "subtype":
		for _, v := range values {
			_, v, _ = cutToken(v)
			f.Actions = append(f.Actions, actionOf(v))
		}
	case "_count":
		n, err := strconv.Atoi(p.Value)
		if err != nil || n < 0 {
			return invalid(p.Name, "must be a whole number")
		}
		f.Limit = min(max(n, 1), 500)
	case "_sort":
		if p.Value != "-date" && p.Value != "-_lastUpdated" {
			return invalid(p.Name, "AuditEvents are sorted by -date alone")
		}
	case "_cursor":
		n, err := strconv.ParseInt(p.Value, 10, 64)
		if err != nil || n <= 0 {
			return invalid(p.Name, "is not one that a page gave")
		}
		f.Before = n
	default:
		return fault.New(fault.Invalid, "AuditEvents are not searched by %.64q", p.Name).WithCode("not-supported")
	}
	return nil
}

func cutToken(v string) (system, code string, ok bool) {
	if system, code, ok = strings.Cut(v, "|"); ok {
		return system, code, true
	}
	return "", v, false
}

// actionOf undoes what Render makes of an action that DICOM has a code for.
func actionOf(code string) string {
	for action, c := range dicomSubtypes {
		if c.Code == code {
			return action
		}
	}
	return code
}

func (q *query) action(values []string) error {
	if len(values) == 1 && values[0] == "E" {
		_, q.f.Without = actionsOf("E")
		return nil
	}
	for _, v := range values {
		if len(v) != 1 || !strings.Contains("CRUD", v) {
			return invalid("action", "must be C, R, U, D, or E alone")
		}
		wanted, _ := actionsOf(v)
		q.f.Actions = append(q.f.Actions, wanted...)
	}
	return nil
}

func (q *query) kinds(name string, values []string) error {
	for _, v := range values {
		_, v, _ = cutToken(v)
		if v == "rest" {
			q.f.Kinds = append(q.f.Kinds, ledger.Rest)
			continue
		}
		found := false
		for k, c := range dicomTypes {
			if c.Code == v {
				q.f.Kinds, found = append(q.f.Kinds, k), true
			}
		}
		if !found {
			return invalid(name, "%.32q is no type that this server records", v)
		}
	}
	return nil
}

// about reads a reference: of a patient, or of what was acted upon.
func (q *query) about(ctx context.Context, p Param) error {
	typ, id := "Patient", p.Value
	if at := strings.LastIndexByte(p.Value, '/'); at >= 0 {
		id = p.Value[at+1:]
		typ = p.Value[:at]
		if i := strings.LastIndexByte(typ, '/'); i >= 0 {
			typ = typ[i+1:]
		}
	} else if p.Name == "entity" {
		return invalid(p.Name, "must be a reference, such as Patient/1")
	}
	if p.Name == "patient" && typ != "Patient" || !isResource(typ) {
		return invalid(p.Name, "must be a reference to a resource of this server")
	}
	num, err := q.s.number(ctx, typ, id)
	if fault.Is(err, fault.NotFound) {
		q.nothing = true
		return nil
	}
	if err != nil {
		return err
	}
	if typ == "Patient" {
		q.f.Patient = num
	} else {
		q.f.Types, q.f.Num = append(q.f.Types, typ), num
	}
	return nil
}

// date narrows the range by a date with its prefix. Times are known to the millisecond.
func (q *query) date(p Param) error {
	prefix, v := "eq", p.Value
	if len(v) > 2 && v[0] >= 'a' && v[0] <= 'z' {
		prefix, v = v[:2], v[2:]
	}
	lo, hi, ok := period(v)
	if !ok {
		return invalid(p.Name, "must be a date or a time, such as ge2026-01-31 or lt2026-01-31T10:00:00Z")
	}
	f := &q.f
	switch prefix {
	case "eq":
		f.From, f.To = later(f.From, lo), earlier(f.To, hi)
	case "ge":
		f.From = later(f.From, lo)
	case "gt", "sa":
		f.From = later(f.From, hi)
	case "lt", "eb":
		f.To = earlier(f.To, lo)
	case "le":
		f.To = earlier(f.To, hi)
	default:
		return invalid(p.Name, "the prefix %s does not apply to the date of an AuditEvent", prefix)
	}
	return nil
}

func later(a, b time.Time) time.Time {
	if a.IsZero() || b.After(a) {
		return b
	}
	return a
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

// period is the time that a date or a time covers, from lo to before hi. What names no zone is taken as UTC.
func period(v string) (lo, hi time.Time, ok bool) {
	v = strings.Replace(v, " ", "+", 1) // an unescaped plus of a zone
	for _, layout := range []struct {
		layout string
		add    func(time.Time) time.Time
	}{
		{"2006", func(t time.Time) time.Time { return t.AddDate(1, 0, 0) }},
		{"2006-01", func(t time.Time) time.Time { return t.AddDate(0, 1, 0) }},
		{"2006-01-02", func(t time.Time) time.Time { return t.AddDate(0, 0, 1) }},
		{"2006-01-02T15:04", func(t time.Time) time.Time { return t.Add(time.Minute) }},
		{"2006-01-02T15:04Z07:00", func(t time.Time) time.Time { return t.Add(time.Minute) }},
		{"2006-01-02T15:04:05", func(t time.Time) time.Time { return t.Add(step(v)) }},
		{"2006-01-02T15:04:05Z07:00", func(t time.Time) time.Time { return t.Add(step(v)) }},
	} {
		if t, err := time.Parse(layout.layout, v); err == nil {
			return t.UTC(), layout.add(t.UTC()), true
		}
	}
	return lo, hi, false
}

// step is how long a time covers that names seconds: a second, or with a fraction a millisecond.
func step(v string) time.Duration {
	if strings.Contains(v, ".") {
		return time.Millisecond
	}
	return time.Second
}
