package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	ledger "github.com/nilecare/nilecare/internal/audit"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/ident"
	"github.com/nilecare/nilecare/internal/web/api"
)

// Routes are the module's lines of the product API.
func (s *Service) Routes() []api.Route {
	read, export := api.Permission(permission), api.Permission(exportPermission)
	filters := []string{"user", "patient", "type", "id", "action", "outcome", "kind", "from", "to", "page", "limit", "cursor"}
	get := func(path string, need api.Need, summary string, out any, query []string, serve func(http.ResponseWriter, *http.Request) error) api.Route {
		return api.Route{Method: http.MethodGet, Path: path, Need: need, Summary: summary, Out: out, Query: query, Serve: serve}
	}
	routes := []api.Route{
		get("/api/v1/patients/{id}/access-log", api.Known(), "Who has seen or changed a patient's records: for the patient, or with audit:read", logList{}, []string{"from", "to", "page", "limit", "cursor"}, s.serveAccessLog),
		get("/api/v1/patients/{id}/disclosures", api.Known(), "The accounting of disclosures of six years at most: for the patient, or with audit:read", disclosureList{}, []string{"from", "to"}, s.serveDisclosures),
		get("/api/v1/security-events", read, "Security events, the newest first", eventList{}, []string{"severity", "type", "from", "to", "acknowledged", "limit", "cursor"}, s.serveEvents),
		get("/api/v1/security-events/stream", read, "Security events as they come, as Server-Sent Events", nil, []string{"lastEventId"}, s.serveStream),
		get("/api/v1/security-events/summary", read, "How many security events and acts there were", summary{}, []string{"from", "to"}, s.serveSummary),
		{Method: http.MethodPost, Path: "/api/v1/security-events/{id}/acknowledge", Need: read, Summary: "Say that an event was looked at", In: acknowledgement{}, Out: eventJSON{}, Serve: s.serveAcknowledge},
	}
	for _, root := range []string{"/api/v1/audit-logs", "/api/v1/audit/logs"} {
		routes = append(routes,
			get(root, read, "The audit, the newest entries first", logList{}, filters, s.serveList),
			get(root+"/export", export, "The audit as a file: json, ndjson, csv or cef", nil, append(slices.Clone(filters[:9]), "format"), s.serveExport),
			get(root+"/summary", read, "How many entries there are of each kind of act", summary{}, []string{"from", "to"}, s.serveSummary),
			get(root+"/verify", read, "Verify the chain of blocks", ledger.Report{}, nil, s.serveVerify),
			get(root+"/user/{user}", read, "What a user did", logList{}, filters[1:], s.served(func(r *http.Request, f *ledger.Filter) error {
				f.Who = users([]string{r.PathValue("user")})
				return nil
			})),
			get(root+"/resource/{type}/{id}", read, "What was done with a resource", logList{}, filters[4:], s.served(func(r *http.Request, f *ledger.Filter) (err error) {
				f.Types = []string{r.PathValue("type")}
				f.Num, err = s.number(r.Context(), r.PathValue("type"), r.PathValue("id"))
				return err
			})),
			get(root+"/{id}", read, "One entry of the audit", logJSON{}, nil, s.serveOne),
		)
	}
	return routes
}

// logJSON is an entry as the product API tells it.
type logJSON struct {
	ID           string   `json:"id"`
	Timestamp    string   `json:"timestamp"`
	Kind         string   `json:"kind"`
	Action       string   `json:"action"`
	Outcome      string   `json:"outcome"`
	UserID       string   `json:"userId"`
	UserName     string   `json:"userName,omitempty"`
	ClientID     string   `json:"clientId,omitempty"`
	SessionID    string   `json:"sessionId,omitempty"`
	Purpose      string   `json:"purpose,omitempty"`
	IPAddress    string   `json:"ipAddress,omitempty"`
	RequestID    string   `json:"requestId,omitempty"`
	ResourceType string   `json:"resourceType,omitempty"`
	ResourceID   string   `json:"resourceId,omitempty"`
	Version      int64    `json:"version,omitempty"`
	PatientIDs   []string `json:"patientIds"`
	Query        string   `json:"query,omitempty"`
	Details      string   `json:"details,omitempty"`
	Severity     string   `json:"severity,omitempty"`
	Count        int      `json:"count"`
	Intact       bool     `json:"intact"` // false: the entry was changed after it was written
}

type logList struct {
	Logs []logJSON `json:"logs"`
}

type disclosureList struct {
	Disclosures []disclosureJSON `json:"disclosures"`
	From        string           `json:"from"`
	To          string           `json:"to"`
}

type disclosureJSON struct {
	Date        string `json:"date"`
	Recipient   string `json:"recipient"`
	Description string `json:"description"`
	Purpose     string `json:"purpose"`
	ID          string `json:"id"`
}

type eventJSON struct {
	ID             string `json:"id"`
	Type           string `json:"type"`
	Severity       string `json:"severity"`
	Description    string `json:"description"`
	UserID         string `json:"userId"`
	IPAddress      string `json:"ipAddress,omitempty"`
	ResourceType   string `json:"resourceType,omitempty"`
	ResourceID     string `json:"resourceId,omitempty"`
	Count          int    `json:"count"`
	Timestamp      string `json:"timestamp"`
	Acknowledged   bool   `json:"acknowledged"`
	AcknowledgedBy string `json:"acknowledgedBy,omitempty"`
	AcknowledgedAt string `json:"acknowledgedAt,omitempty"`
	Note           string `json:"note,omitempty"`
}

type eventList struct {
	Events []eventJSON `json:"events"`
	Next   string      `json:"next,omitempty"`
}

type acknowledgement struct {
	Note string `json:"note"`
}

type summary struct {
	From       string           `json:"from"`
	To         string           `json:"to"`
	Total      int64            `json:"total"`
	Failures   int64            `json:"failures"`
	ByKind     map[string]int64 `json:"byKind"`
	ByAction   map[string]int64 `json:"byAction"`
	ByOutcome  map[string]int64 `json:"byOutcome"`
	BySeverity map[string]int64 `json:"bySeverity"` // of security events, the newest 10,000 of the time
}

var kindNames = map[ledger.Kind]string{ledger.Rest: "rest", ledger.Session: "session", ledger.Admin: "admin", ledger.Security: "security", ledger.Export: "export"}

var outcomeNames = map[ledger.Outcome]string{ledger.Success: "success", ledger.Minor: "minor", ledger.Serious: "serious", ledger.Major: "major"}

const timeForm = "2006-01-02T15:04:05.000Z"

func jsonOf(l *Log, ids map[resource]string) logJSON {
	out := logJSON{
		ID: strconv.FormatInt(l.ID, 10), Timestamp: ident.Time(l.ID).UTC().Format(timeForm), Kind: kindNames[l.Kind], Action: l.Action, Outcome: outcomeNames[l.Outcome],
		UserID: l.Who, UserName: l.Name, ClientID: l.Client, Purpose: l.Purpose, IPAddress: l.Address, RequestID: l.Request, ResourceType: l.Type, Version: l.VID,
		PatientIDs: []string{}, Query: l.Query, Details: l.Detail, Severity: l.Severity, Count: l.Count, Intact: l.Intact,
	}
	if l.Session != 0 {
		out.SessionID = strconv.FormatInt(l.Session, 10)
	}
	if l.Num != 0 {
		out.ResourceID = ids[resource{l.Type, l.Num}]
	}
	for _, p := range l.Patients {
		out.PatientIDs = append(out.PatientIDs, ids[resource{"Patient", p}])
	}
	return out
}

func (s *Service) jsonOfAll(ctx context.Context, logs []Log) ([]logJSON, error) {
	ids, err := s.idsOf(ctx, logs)
	out := make([]logJSON, 0, len(logs))
	whole := seesQueries(ctx)
	for i := range logs {
		one := jsonOf(&logs[i], ids)
		if !whole {
			one.Query = parameters(one.Query)
		}
		out = append(out, one)
	}
	return out, err
}

// seesQueries reports whether the caller is told what was searched for. Names, phone numbers and national ids stand in queries, beside the numbers of the patients who
// were found: to who operates the system, or inspects it without seeing who people are, they would say just that. Who may read AuditEvents may read them.
func seesQueries(ctx context.Context) bool {
	c := access.From(ctx)
	return c.Internal() || !c.Extent(access.Search, "AuditEvent").IsNone()
}

var parameterName = regexp.MustCompile(`^[A-Za-z_:.?-]{1,64}$`)

// parameters are a query's parameters without what they asked for: "phone=…&_count=…". What does not look like the name of one is left out.
func parameters(query string) string {
	if query == "" {
		return ""
	}
	parts := strings.Split(query, "&")
	for i, part := range parts {
		name, _, valued := strings.Cut(part, "=")
		if !parameterName.MatchString(name) {
			name = "…"
		}
		if parts[i] = name; valued {
			parts[i] += "=…"
		}
	}
	return strings.Join(parts, "&")
}

// filter reads the query's filters. A parameter that is not known is Invalid.
func (s *Service) filter(r *http.Request, more ...string) (ledger.Filter, error) {
	var f ledger.Filter
	q := r.URL.Query()
	if err := onlyKnown(q, append(more, "user", "patient", "type", "id", "action", "outcome", "kind", "from", "to", "page", "limit", "cursor", "format")); err != nil {
		return f, err
	}
	var err error
	if f.From, f.To, err = span(q); err != nil {
		return f, err
	}
	f.Who = users(split(q.Get("user")))
	f.Actions, f.Types = split(q.Get("action")), split(q.Get("type"))
	if f.Kinds, err = kinds(split(q.Get("kind"))); err != nil {
		return f, err
	}
	if f.Outcomes, err = outcomes(split(q.Get("outcome"))); err != nil {
		return f, err
	}
	if id := q.Get("patient"); id != "" {
		if f.Patient, err = s.patient(r.Context(), strings.TrimPrefix(id, "Patient/")); err != nil {
			return f, err
		}
	}
	if id := q.Get("id"); id != "" {
		typ := "Patient"
		if len(f.Types) == 1 {
			typ = f.Types[0]
		}
		if f.Num, err = s.number(r.Context(), typ, id); err != nil {
			return f, err
		}
	}
	if c := q.Get("cursor"); c != "" {
		if f.Before, err = strconv.ParseInt(c, 10, 64); err != nil || f.Before <= 0 {
			return f, invalid("cursor", "is not one that a page gave")
		}
	}
	return f, nil
}

func onlyKnown(q url.Values, known []string) error {
	for name := range q {
		if !slices.Contains(known, name) {
			return invalid(name, "is no parameter of this request")
		}
	}
	return nil
}

func span(q url.Values) (from, to time.Time, err error) {
	if v := q.Get("from"); v != "" {
		lo, _, ok := period(v)
		if !ok {
			return from, to, invalid("from", "must be a date or a time, such as 2026-01-31 or 2026-01-31T10:00:00Z")
		}
		from = lo
	}
	if v := q.Get("to"); v != "" {
		_, hi, ok := period(v)
		if !ok {
			return from, to, invalid("to", "must be a date or a time, such as 2026-01-31 or 2026-01-31T10:00:00Z")
		}
		to = hi
	}
	return from, to, nil
}

func split(v string) []string {
	var out []string
	for _, p := range strings.Split(v, ",") {
		if p = strings.TrimSpace(p); p != "" {
			out = append(out, p)
		}
	}
	return out
}

// users takes a user's number for the name that the audit gives them.
func users(names []string) []string {
	for i, n := range names {
		if _, err := strconv.ParseInt(n, 10, 64); err == nil {
			names[i] = "User/" + n
		}
	}
	return names
}

func kinds(names []string) ([]ledger.Kind, error) {
	var out []ledger.Kind
	for _, n := range names {
		found := false
		for k, name := range kindNames {
			if name == n {
				out, found = append(out, k), true
			}
		}
		if !found {
			return nil, invalid("kind", "must be rest, session, admin, security or export")
		}
	}
	return out, nil
}

func outcomes(names []string) ([]ledger.Outcome, error) {
	var out []ledger.Outcome
	for _, n := range names {
		switch n {
		case "success":
			out = append(out, ledger.Success)
		case "failure", "failed":
			out = append(out, ledger.Minor, ledger.Serious, ledger.Major)
		case "minor":
			out = append(out, ledger.Minor)
		case "serious":
			out = append(out, ledger.Serious)
		case "major":
			out = append(out, ledger.Major)
		default:
			return nil, invalid("outcome", "must be success, failure, minor, serious or major")
		}
	}
	return out, nil
}

// listed answers with a page of the entries that the filter wants.
func (s *Service) listed(w http.ResponseWriter, r *http.Request, f ledger.Filter, adjust func(*Log)) error {
	page, limit, err := api.PageOf(r)
	if err != nil {
		return err
	}
	f.Limit = limit
	if f.Before == 0 {
		f.Offset = (page - 1) * limit
	}
	p, err := s.List(r.Context(), f)
	if err != nil {
		return err
	}
	for i := range p.Logs {
		if adjust != nil {
			adjust(&p.Logs[i])
		}
	}
	logs, err := s.jsonOfAll(r.Context(), p.Logs)
	if err != nil {
		return err
	}
	e := ledger.Entry{Kind: ledger.Rest, Action: "search", Type: "AuditEvent", Query: r.URL.RawQuery, Count: len(logs)}
	if f.Patient != 0 {
		e.Patients = []int64{f.Patient}
	}
	s.note(r.Context(), e)
	next := ""
	if p.Next != 0 {
		next = strconv.FormatInt(p.Next, 10)
	}
	return api.List(w, r, logList{logs}, api.Page{Page: page, Limit: limit, Total: p.Total, Next: next})
}

func (s *Service) serveList(w http.ResponseWriter, r *http.Request) error {
	f, err := s.filter(r)
	if err != nil {
		return err
	}
	return s.listed(w, r, f, nil)
}

// served is serveList with a part of the filter in the path.
func (s *Service) served(part func(*http.Request, *ledger.Filter) error) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		f, err := s.filter(r)
		if err == nil {
			err = part(r, &f)
		}
		if err != nil {
			return err
		}
		return s.listed(w, r, f, nil)
	}
}

func idOf(r *http.Request, what string) (int64, error) {
	n, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil || n <= 0 {
		return 0, fault.New(fault.NotFound, "there is no %s with this id", what)
	}
	return n, nil
}

func (s *Service) serveOne(w http.ResponseWriter, r *http.Request) error {
	id, err := idOf(r, "audit entry")
	if err != nil {
		return err
	}
	l, err := s.Get(r.Context(), id)
	if err != nil {
		return err
	}
	logs, err := s.jsonOfAll(r.Context(), []Log{l})
	if err != nil {
		return err
	}
	s.note(r.Context(), ledger.Entry{Kind: ledger.Rest, Action: "read", Type: "AuditEvent", Num: id, Count: 1})
	return api.Answer(w, r, http.StatusOK, struct {
		Log logJSON `json:"log"`
	}{logs[0]})
}

func (s *Service) serveVerify(w http.ResponseWriter, r *http.Request) error {
	c := access.From(r.Context())
	report, err := s.log.Verify(r.Context(), c.Tenant)
	if err != nil {
		return err
	}
	s.note(r.Context(), ledger.Entry{Kind: ledger.Admin, Action: "audit-verified", Type: "AuditEvent", Count: int(report.Entries), Detail: fmt.Sprintf("%d problems", report.Found)})
	return api.Answer(w, r, http.StatusOK, struct {
		Intact bool `json:"intact"`
		ledger.Report
	}{report.OK(), report})
}

// ownOrReader returns the number of the path's patient for callers who may see its log: the patient, or holders of audit:read. To others it is
// not there.
func (s *Service) ownOrReader(r *http.Request) (num int64, reader bool, err error) {
	c := access.From(r.Context())
	id := r.PathValue("id")
	if reader = c.Permits(permission); !reader {
		own, err := s.ownNumber(r.Context(), &c)
		if err != nil {
			return 0, false, err
		}
		if num, err := s.patient(r.Context(), id); err == nil && num == own && own != 0 {
			return num, false, nil
		}
		return 0, false, fault.New(fault.Forbidden, "this is for the patient, and for holders of the permission %s", permission)
	}
	num, err = s.patient(r.Context(), id)
	return num, true, err
}

func (s *Service) serveAccessLog(w http.ResponseWriter, r *http.Request) error {
	num, reader, err := s.ownOrReader(r)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	if err := onlyKnown(q, []string{"from", "to", "page", "limit", "cursor"}); err != nil {
		return err
	}
	f, err := s.filter(r)
	if err != nil {
		return err
	}
	f.Patient = num
	return s.listed(w, r, f, func(l *Log) {
		if !reader { // others that the same act was about, and where staff work, are not for the patient's eyes
			l.Patients, l.Address, l.Query, l.Session, l.Detail = []int64{num}, "", "", 0, ""
		}
	})
}

func (s *Service) serveDisclosures(w http.ResponseWriter, r *http.Request) error {
	num, _, err := s.ownOrReader(r)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	if err := onlyKnown(q, []string{"from", "to"}); err != nil {
		return err
	}
	from, to, err := span(q)
	if err != nil {
		return err
	}
	found, err := s.Disclosures(r.Context(), num, from, to)
	if err != nil {
		return err
	}
	from = later(from, s.clock().AddDate(-DisclosureYears, 0, 0))
	if to.IsZero() {
		to = s.clock()
	}
	out := disclosureList{Disclosures: []disclosureJSON{}, From: from.UTC().Format(timeForm), To: to.UTC().Format(timeForm)}
	for i := range found {
		l := &found[i]
		d := disclosureJSON{Date: ident.Time(l.ID).UTC().Format(timeForm), Recipient: l.Who, Purpose: l.Purpose, ID: strconv.FormatInt(l.ID, 10), Description: l.Action}
		if l.Client != "" {
			d.Recipient = l.Client
		}
		if l.Name != "" {
			d.Recipient = l.Name
		}
		if l.Type != "" {
			d.Description += " of " + l.Type
		}
		out.Disclosures = append(out.Disclosures, d)
	}
	s.note(r.Context(), ledger.Entry{Kind: ledger.Rest, Action: "search", Type: "AuditEvent", Patients: []int64{num}, Query: "disclosures", Count: len(out.Disclosures)})
	return api.Answer(w, r, http.StatusOK, out)
}

func jsonOfEvent(e *Event, ids map[resource]string) eventJSON {
	out := eventJSON{
		ID: strconv.FormatInt(e.ID, 10), Type: e.Action, Severity: e.Severity, Description: e.Detail, UserID: e.Who, IPAddress: e.Address, ResourceType: e.Type, Count: e.Count,
		Timestamp: ident.Time(e.ID).UTC().Format(timeForm), Acknowledged: e.ReviewedBy != "", AcknowledgedBy: e.ReviewedBy, Note: e.Note,
	}
	if e.Num != 0 {
		out.ResourceID = ids[resource{e.Type, e.Num}]
	}
	if !e.ReviewedAt.IsZero() {
		out.AcknowledgedAt = e.ReviewedAt.Format(timeForm)
	}
	return out
}

func (s *Service) jsonOfEvents(ctx context.Context, events []Event) ([]eventJSON, error) {
	logs := make([]Log, len(events))
	for i := range events {
		logs[i] = events[i].Log
	}
	ids, err := s.idsOf(ctx, logs)
	out := make([]eventJSON, 0, len(events))
	for i := range events {
		out = append(out, jsonOfEvent(&events[i], ids))
	}
	return out, err
}

var severities = []string{"low", "medium", "high", "critical"}

func (s *Service) serveEvents(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	if err := onlyKnown(q, []string{"severity", "type", "from", "to", "acknowledged", "page", "limit", "cursor"}); err != nil {
		return err
	}
	_, limit, err := api.PageOf(r)
	if err != nil {
		return err
	}
	f := EventFilter{Severities: split(q.Get("severity")), Types: split(q.Get("type")), Limit: limit}
	for _, v := range f.Severities {
		if !slices.Contains(severities, v) {
			return invalid("severity", "must be low, medium, high or critical")
		}
	}
	if f.From, f.To, err = span(q); err != nil {
		return err
	}
	if v := q.Get("acknowledged"); v != "" {
		b, err := strconv.ParseBool(v)
		if err != nil {
			return invalid("acknowledged", "must be true or false")
		}
		f.Reviewed = &b
	}
	if v := q.Get("cursor"); v != "" {
		if f.Before, err = strconv.ParseInt(v, 10, 64); err != nil || f.Before <= 0 {
			return invalid("cursor", "is not one that a page gave")
		}
	}
	events, next, err := s.Events(r.Context(), f)
	if err != nil {
		return err
	}
	out := eventList{}
	if out.Events, err = s.jsonOfEvents(r.Context(), events); err != nil {
		return err
	}
	if next != 0 {
		out.Next = strconv.FormatInt(next, 10)
	}
	s.note(r.Context(), ledger.Entry{Kind: ledger.Rest, Action: "search", Type: "SecurityEvent", Query: r.URL.RawQuery, Count: len(events)})
	return api.Answer(w, r, http.StatusOK, out)
}

func (s *Service) serveAcknowledge(w http.ResponseWriter, r *http.Request) error {
	id, err := idOf(r, "security event")
	if err != nil {
		return err
	}
	var in acknowledgement
	if r.ContentLength != 0 {
		if err := api.Decode(r, &in); err != nil {
			return err
		}
	}
	e, err := s.Acknowledge(r.Context(), id, in.Note)
	if err != nil {
		return err
	}
	out, err := s.jsonOfEvents(r.Context(), []Event{e})
	if err != nil {
		return err
	}
	return api.Answer(w, r, http.StatusOK, struct {
		Event eventJSON `json:"event"`
	}{out[0]})
}

// serveStream tells security events as they come (https://html.spec.whatwg.org/multipage/server-sent-events.html). The stream ends with the
// request's time limit; the client comes back with Last-Event-ID and misses nothing.
func (s *Service) serveStream(w http.ResponseWriter, r *http.Request) error {
	last := r.Header.Get("Last-Event-ID")
	if v := r.URL.Query().Get("lastEventId"); last == "" && v != "" {
		last = v
	}
	var after int64
	if last != "" {
		var err error
		if after, err = strconv.ParseInt(last, 10, 64); err != nil || after < 0 {
			return invalid("Last-Event-ID", "is not one that this stream gave")
		}
	}
	s.note(r.Context(), ledger.Entry{Kind: ledger.Rest, Action: "search", Type: "SecurityEvent", Query: "stream"})
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // a proxy in between is not to hold it back
	flush := http.NewResponseController(w).Flush
	say := func(format string, args ...any) error {
		if _, err := fmt.Fprintf(w, format, args...); err != nil {
			return err
		}
		return flush()
	}
	_ = say("retry: 2000\n\n") // where the client has gone, the next word finds out
	_ = s.stream(r.Context(), after, func(e Event) error {
		out, err := s.jsonOfEvents(r.Context(), []Event{e})
		if err != nil {
			return err
		}
		text, err := json.Marshal(out[0])
		if err != nil {
			return err
		}
		return say("id: %d\nevent: security\ndata: %s\n\n", e.ID, text)
	}, func() error { return say(": alive\n\n") })
	return nil // what ended it, the time limit mostly, cannot be told any more: the client comes back
}

func (s *Service) serveSummary(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	if err := onlyKnown(q, []string{"from", "to"}); err != nil {
		return err
	}
	from, to, err := span(q)
	if err != nil {
		return err
	}
	if from.IsZero() {
		from = s.clock().Add(-24 * time.Hour)
	}
	if to.IsZero() {
		to = s.clock().Add(time.Second)
	}
	out, err := s.summary(r.Context(), from, to)
	if err != nil {
		return err
	}
	s.note(r.Context(), ledger.Entry{Kind: ledger.Rest, Action: "search", Type: "AuditEvent", Query: "summary"})
	return api.Answer(w, r, http.StatusOK, out)
}
