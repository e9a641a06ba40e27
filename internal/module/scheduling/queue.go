package scheduling

import (
	"context"
	"fmt"
	"hash/fnv"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/sqldb"
	"github.com/nilecare/nilecare/internal/web/api"
)

// desk is the permission for what those do who receive patients: they give numbers and call them, and say whom they have spoken to. Patients, who may change their own
// appointments, do not hold it.
const desk = "appointments:desk"

// The states of a ticket of the queue.
const (
	ticketWaiting = "waiting"
	ticketCalled  = "called"
	ticketServing = "serving"
	ticketServed  = "served"
	ticketLeft    = "left"
)

var ticketStates = []string{ticketWaiting, ticketCalled, ticketServing, ticketServed, ticketLeft}

// nextTicket are the states that may follow one.
var nextTicket = map[string][]string{ticketWaiting: {ticketCalled, ticketServing, ticketLeft}, ticketCalled: {ticketWaiting, ticketCalled, ticketServing, ticketLeft}, ticketServing: {ticketServed, ticketLeft}}

// ticket is a row of scheduling_queue.
type ticket struct {
	id, facility                    int64
	line, day                       string
	number                          int
	appointment, patient, provider  int64
	urgency                         int
	state                           string
	calls                           int
	made, calledAt, servedAt, ended int64
}

// label is what is called out: "A-017".
func (t *ticket) label() string { return fmt.Sprintf("%s-%03d", t.line, t.number) }

const ticketColumns = "id, facility, line, day, number, appointment, patient, provider, urgency, state, called, created_at, called_at, served_at, ended_at"

func (b books) tickets(ctx context.Context, q sqldb.Querier, sql string, args ...any) ([]*ticket, error) {
	var out []*ticket
	err := sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
		t := &ticket{}
		err := rows.Scan(&t.id, &t.facility, &t.line, &t.day, &t.number, &t.appointment, &t.patient, &t.provider, &t.urgency, &t.state, &t.calls, &t.made, &t.calledAt, &t.servedAt, &t.ended)
		out = append(out, t)
		return err
	}, "SELECT "+ticketColumns+" FROM scheduling_queue WHERE "+sql, args...)
	return out, err
}

// leaveQueue has the ticket of an appointment follow it: whoever's visit began is served, whose was cancelled or missed waits no more.
func (b books) leaveQueue(ctx context.Context, tx record.Tx, tenant int32, a *appointment) error {
	state := ""
	switch a.status {
	case "checked-in":
		state = ticketServing
	case "fulfilled":
		state = ticketServed
	case "cancelled", "noshow", "entered-in-error":
		state = ticketLeft
	default:
		return nil
	}
	who, now := b.stamps(ctx)
	ended := int64(0)
	if state != ticketServing {
		ended = now
	}
	_, err := tx.Exec(ctx, `UPDATE scheduling_queue SET state = $3, served_at = CASE WHEN $3 = 'serving' THEN $4 ELSE served_at END, ended_at = $5, updated_by = $6, updated_at = $4
		WHERE tenant = $1 AND appointment = $2 AND state IN ('waiting', 'called', 'serving') AND state <> $3`, tenant, a.num, state, now, ended, who)
	return err
}

// ticketIn is the body of a new ticket.
type ticketIn struct {
	AppointmentID *api.StringOrNumber `json:"appointmentId,omitempty" doc:"checks its patient in"`
	PatientID     *api.StringOrNumber `json:"patientId,omitempty" doc:"who walked in without an appointment"`
	ProviderID    *api.StringOrNumber `json:"providerId,omitempty" doc:"none: whoever is free"`
	FacilityID    *api.StringOrNumber `json:"facilityId,omitempty"`
	Line          *string             `json:"line,omitempty" doc:"a letter or short name of the desk or department: A where nothing is said"`
	Priority      *string             `json:"priority,omitempty" doc:"routine, urgent or emergency"`
}

// ticketJSON is a ticket.
type ticketJSON struct {
	ID            string `json:"id"`
	Number        int    `json:"number"`
	Label         string `json:"label" doc:"what is called out: A-017"`
	Line          string `json:"line"`
	Date          string `json:"date"`
	Status        string `json:"status" doc:"waiting, called, serving, served, left"`
	FacilityID    string `json:"facilityId,omitempty"`
	AppointmentID string `json:"appointmentId,omitempty"`
	PatientID     string `json:"patientId"`
	PatientName   string `json:"patientName,omitempty"`
	ProviderID    string `json:"providerId,omitempty"`
	Priority      string `json:"priority"`
	Calls         int    `json:"calls"`
	Ahead         int    `json:"ahead" doc:"how many of the same line are called before"`
	WaitedMinutes int    `json:"waitedMinutes"`
	CreatedAt     string `json:"createdAt"`
}

type ticketList struct {
	Queue []ticketJSON `json:"queue"`
}

func (s *Service) queueRoutes() []api.Route {
	read, update := api.Permission("appointments:read"), api.Permission(desk)
	const path = "/api/v1/queue"
	line, facility := api.Param{Name: "line"}, api.Param{Name: "facilityId"}
	all := []api.Route{
		{Method: "GET", Path: path, Need: read, Summary: "Who waits in the house today, in the order in which they are called", Out: ticketList{},
			Params: []api.Param{facility, line, {Name: "status", Many: true, Enum: ticketStates, Help: "waiting, called and serving where nothing is said"}, {Name: "date", Type: api.Date}}, Serve: s.serveQueue},
		{Method: "POST", Path: path, Need: update, Summary: "Give a number: to who has an appointment, who is checked in by it, or to who walked in", In: ticketIn{}, Out: ticketJSON{}, Serve: s.serveTicket},
		{Method: "POST", Path: path + "/next", Need: update, Summary: "Call the next one", In: nextIn{}, Out: ticketJSON{}, Serve: s.serveNext},
	}
	for _, v := range []struct{ verb, state, summary string }{{"call", ticketCalled, "Call a number, again where need be"}, {"start", ticketServing, "The visit begins; an appointment's too"},
		{"done", ticketServed, "The visit is over; an appointment's too"}, {"leave", ticketLeft, "Who waited has gone"}, {"back", ticketWaiting, "Was called and did not come: waits on"}} {
		all = append(all, api.Route{Method: "POST", Path: path + "/{id}/" + v.verb, Need: update, Summary: v.summary, Out: ticketJSON{},
			Serve: func(w http.ResponseWriter, r *http.Request) error { return s.serveTurn(w, r, v.state) }})
	}
	return all
}

// lineOf reads the name of a line.
func lineOf(p *string) (string, error) {
	line := strings.ToUpper(strings.TrimSpace(value(p)))
	if line == "" {
		return "A", nil
	}
	if utf8.RuneCountInString(line) > 12 || strings.ContainsFunc(line, func(r rune) bool { return r < ' ' }) {
		return "", fault.At(fault.Invalid, "line", "is a letter or name of at most 12 characters").WithCode("value")
	}
	return line, nil
}

func (s *Service) serveTicket(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	var in ticketIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	t, err := s.newTicket(ctx, &in)
	if err != nil {
		return said(err)
	}
	return s.tellTicket(w, r, http.StatusCreated, t)
}

// newTicket gives a number. Who has an appointment and is not there yet is checked in first; asked again, the same number is told.
func (s *Service) newTicket(ctx context.Context, in *ticketIn) (*ticket, error) {
	t := &ticket{id: s.Ledger.Next(), state: ticketWaiting, urgency: priorities["routine"]}
	var err error
	if t.line, err = lineOf(in.Line); err != nil {
		return nil, err
	}
	if p := value(in.Priority); p != "" {
		n, ok := priorities[p]
		if !ok {
			return nil, fault.At(fault.Invalid, "priority", "must be routine, urgent or emergency").WithCode("value")
		}
		t.urgency = n
	}
	if in.AppointmentID != nil && *in.AppointmentID != "" {
		if err := s.ticketOfAppointment(ctx, t, string(*in.AppointmentID)); err != nil {
			return nil, err
		}
	} else {
		p, err := s.refer(ctx, "patientId", "Patient", string(value(in.PatientID)))
		if err != nil {
			return nil, err
		}
		t.patient = p.Num
	}
	for _, f := range []struct {
		name, typ string
		id        *api.StringOrNumber
		to        *int64
	}{{"providerId", "Practitioner", in.ProviderID, &t.provider}, {"facilityId", "Organization", in.FacilityID, &t.facility}} {
		if f.id == nil || *f.id == "" {
			continue
		}
		v, err := s.refer(ctx, f.name, f.typ, string(*f.id))
		if err != nil {
			return nil, err
		}
		*f.to = v.Num
	}
	zone, err := s.zone(ctx)
	if err != nil {
		return nil, err
	}
	t.day = s.Clock().In(zone).Format(time.DateOnly)
	return t, s.issue(ctx, t)
}

func (s *Service) ticketOfAppointment(ctx context.Context, t *ticket, id string) error {
	v, err := s.refer(ctx, "appointmentId", "Appointment", id)
	if err != nil {
		return err
	}
	if status := statusOf(v.Res); status == scheduled || status == confirmed {
		if v, err = s.Move(ctx, id, 0, checkedIn, Reason{}); err != nil {
			return err
		}
	} else if status != checkedIn {
		return fault.At(fault.Conflict, "appointmentId", "the appointment is %s", status)
	}
	t.appointment = v.Num
	w := s.who(v.Res)
	practitioners, err := s.practitioners(ctx, []string{w.provider})
	if err != nil {
		return err
	}
	for _, f := range []struct {
		ref string
		to  *int64
	}{{w.patient, &t.patient}, {practitioners[w.provider], &t.provider}, {w.facility, &t.facility}} {
		if _, *f.to, err = s.meant(ctx, f.ref); err != nil {
			return err
		}
	}
	if t.patient == 0 {
		return fault.At(fault.Conflict, "appointmentId", "the appointment has no patient")
	}
	return nil
}

// meant is the record that a reference means; 0 for none.
func (s *Service) meant(ctx context.Context, ref string) (typ string, num int64, err error) {
	if ref == "" {
		return "", 0, nil
	}
	tenant := access.From(ctx).Tenant
	err = s.Ledger.View(ctx, tenant, func(q sqldb.Querier) error {
		t, n, ok, err := s.Ledger.Meant(ctx, q, tenant, ref)
		if ok {
			typ, num = t, n
		}
		return err
	})
	return typ, num, err
}

// issue gives the ticket its number: the next of its line on its day, whoever asks at the same time. An appointment has one ticket a day.
func (s *Service) issue(ctx context.Context, t *ticket) error {
	c := access.From(ctx)
	h := fnv.New64a()
	_, _ = h.Write([]byte("queue\x00" + strconv.Itoa(int(c.Tenant)) + "\x00" + decimal(t.facility) + "\x00" + t.day)) // never fails
	lock := int64(h.Sum64())
	return s.Ledger.Update(ctx, c.Tenant, func(tx sqldb.Tx) error {
		if err := tx.Lock(ctx, lock); err != nil {
			return err
		}
		where, args := "tenant = $1 AND day = $2 AND patient = $3 AND appointment = 0 AND facility = $4 AND line = $5 AND state IN ('waiting', 'called', 'serving')", []any{c.Tenant, t.day, t.patient, t.facility, t.line}
		if t.appointment != 0 {
			where, args = "tenant = $1 AND day = $2 AND appointment = $3", []any{c.Tenant, t.day, t.appointment}
		}
		all, err := s.books.tickets(ctx, tx, where, args...)
		if err != nil {
			return err
		}
		if len(all) > 0 {
			*t = *all[0]
			return nil
		}
		if _, err := sqldb.QueryRow(ctx, tx, []any{&t.number}, "SELECT coalesce(max(number), 0) + 1 FROM scheduling_queue WHERE tenant = $1 AND facility = $2 AND line = $3 AND day = $4",
			c.Tenant, t.facility, t.line, t.day); err != nil {
			return err
		}
		t.made = s.Clock().UnixMicro()
		_, err = tx.Exec(ctx, `INSERT INTO scheduling_queue (tenant, id, facility, line, day, number, appointment, patient, provider, urgency, state, called, called_at, served_at, ended_at,
			created_by, created_at, updated_by, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 0, 0, 0, 0, $12, $13, $12, $13)`,
			c.Tenant, t.id, t.facility, t.line, t.day, t.number, t.appointment, t.patient, t.provider, t.urgency, t.state, c.Who, t.made)
		return err
	})
}

// shownTickets are the tickets of patients that the caller may see.
func (s *Service) shownTickets(ctx context.Context, all []*ticket) ([]ticketJSON, error) {
	names := map[int64]string{}
	var refs []string
	for _, t := range all {
		id, err := s.Records.Store.Named(ctx, "Patient", t.patient)
		if err != nil {
			return nil, err
		}
		names[t.patient] = "Patient/" + id
		refs = append(refs, "Patient/"+id)
	}
	patients, err := s.Records.Get(ctx, refs...)
	if err != nil {
		return nil, err
	}
	ahead := map[int64]int{}
	if at := slices.IndexFunc(all, func(t *ticket) bool { return t.state == ticketWaiting }); at >= 0 { // all are of one day
		tenant := access.From(ctx).Tenant
		if err := s.Ledger.Read(ctx, tenant, func(q sqldb.Querier) (err error) {
			ahead, err = s.books.ahead(ctx, q, tenant, all[at].day)
			return err
		}); err != nil {
			return nil, err
		}
	}
	out := []ticketJSON{}
	for _, t := range all {
		p := patients[names[t.patient]]
		if p == nil {
			continue
		}
		one := ticketJSON{ID: decimal(t.id), Number: t.number, Label: t.label(), Line: t.line, Date: t.day, Status: t.state, PatientID: p.Key(), PatientName: flat.FullName(p.Res), Calls: t.calls,
			CreatedAt: flat.StampOf(time.UnixMicro(t.made))}
		for name, n := range priorities {
			if n == t.urgency {
				one.Priority = name
			}
		}
		for _, f := range []struct {
			typ string
			num int64
			to  *string
		}{{"Appointment", t.appointment, &one.AppointmentID}, {"Practitioner", t.provider, &one.ProviderID}, {"Organization", t.facility, &one.FacilityID}} {
			if *f.to, err = s.idOf(ctx, f.typ, f.num); err != nil {
				return nil, err
			}
		}
		until := t.servedAt
		if until == 0 {
			until = t.ended
		}
		if until == 0 {
			until = s.Clock().UnixMicro()
		}
		one.WaitedMinutes = int((until - t.made) / time.Minute.Microseconds())
		if t.state == ticketWaiting {
			one.Ahead = ahead[t.id]
		}
		out = append(out, one)
	}
	return out, nil
}

// ahead is how many of its line are called before each ticket that waits on a day, whoever they are, by the tickets' numbers.
func (b books) ahead(ctx context.Context, q sqldb.Querier, tenant int32, day string) (map[int64]int, error) {
	out := map[int64]int{}
	type queue struct {
		facility int64
		line     string
	}
	before := map[queue]int{}
	err := sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
		var id int64
		var in queue
		err := rows.Scan(&id, &in.facility, &in.line)
		out[id] = before[in]
		before[in]++
		return err
	}, "SELECT id, facility, line FROM scheduling_queue WHERE tenant = $1 AND day = $2 AND state = 'waiting' ORDER BY urgency, number, id", tenant, day)
	return out, err
}

// idOf is the product API's id of a record by its number; "" for 0.
func (s *Service) idOf(ctx context.Context, typ string, num int64) (string, error) {
	if num == 0 {
		return "", nil
	}
	id, err := s.Records.Store.Named(ctx, typ, num)
	if err != nil || id == "" {
		return "", err
	}
	return s.Records.IDOf(ctx, typ, id)
}

const ticketOrder = " ORDER BY CASE state WHEN 'serving' THEN 0 WHEN 'called' THEN 1 WHEN 'waiting' THEN 2 ELSE 3 END, urgency, number, line LIMIT 500"

func (s *Service) serveQueue(w http.ResponseWriter, r *http.Request) error {
	ctx, v := r.Context(), r.URL.Query()
	tenant := access.From(ctx).Tenant
	day := v.Get("date")
	if day == "" {
		zone, err := s.zone(ctx)
		if err != nil {
			return err
		}
		day = s.Clock().In(zone).Format(time.DateOnly)
	}
	states := splitList(v, "status")
	if len(states) == 0 {
		states = ticketStates[:3]
	}
	b := &sqldb.Builder{}
	b.SQL("tenant = ").Arg(tenant).SQL(" AND day = ").Arg(day).SQL(" AND state IN (")
	for i, one := range states {
		if i > 0 {
			b.SQL(", ")
		}
		b.Arg(one)
	}
	b.SQL(")")
	if line := v.Get("line"); line != "" {
		b.SQL(" AND line = ").Arg(strings.ToUpper(line))
	}
	if id := v.Get("facilityId"); id != "" {
		name, err := s.Records.FHIRID(ctx, "Organization", id)
		if err != nil {
			return err
		}
		num, _, err := s.Records.Store.Number(ctx, "Organization", name)
		if err != nil {
			return err
		}
		b.SQL(" AND facility = ").Arg(num)
	}
	b.SQL(ticketOrder)
	var all []*ticket
	err := s.Ledger.Read(ctx, tenant, func(q sqldb.Querier) (err error) {
		all, err = s.books.tickets(ctx, q, b.String(), b.Args...)
		return err
	})
	if err != nil {
		return err
	}
	shown, err := s.shownTickets(ctx, all)
	if err != nil {
		return err
	}
	return api.Answer(w, r, http.StatusOK, ticketList{shown})
}

func (s *Service) tellTicket(w http.ResponseWriter, r *http.Request, status int, t *ticket) error {
	shown, err := s.shownTickets(r.Context(), []*ticket{t})
	if err != nil {
		return err
	}
	if len(shown) == 0 {
		return errNoTicket
	}
	return api.AnswerOne(w, r, status, "ticket", shown[0])
}

var errNoTicket = fault.New(fault.NotFound, "there is no ticket with this id")

// nextIn says whose next one is called.
type nextIn struct {
	FacilityID *api.StringOrNumber `json:"facilityId,omitempty"`
	Line       *string             `json:"line,omitempty"`
	ProviderID *api.StringOrNumber `json:"providerId,omitempty" doc:"those who wait for this provider, or for anybody"`
}

// serveNext calls the most urgent, then the longest waiting one: never the same to two desks that ask at once.
func (s *Service) serveNext(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	var in nextIn
	if err := api.DecodeOptional(r, &in); err != nil {
		return err
	}
	zone, err := s.zone(ctx)
	if err != nil {
		return err
	}
	c := access.From(ctx)
	b := &sqldb.Builder{}
	b.SQL("tenant = ").Arg(c.Tenant).SQL(" AND day = ").Arg(s.Clock().In(zone).Format(time.DateOnly)).SQL(" AND state = 'waiting'")
	for _, f := range []struct {
		name, typ string
		id        *api.StringOrNumber
		sql       string
	}{{"facilityId", "Organization", in.FacilityID, " AND facility = "}, {"providerId", "Practitioner", in.ProviderID, " AND provider IN (0, "}} {
		if f.id == nil || *f.id == "" {
			continue
		}
		v, err := s.refer(ctx, f.name, f.typ, string(*f.id))
		if err != nil {
			return err
		}
		b.SQL(f.sql).Arg(v.Num)
		if f.typ == "Practitioner" {
			b.SQL(")")
		}
	}
	if in.Line != nil {
		line, err := lineOf(in.Line)
		if err != nil {
			return err
		}
		b.SQL(" AND line = ").Arg(line)
	}
	b.SQL(" ORDER BY urgency, number, line, id LIMIT 100")
	t, err := s.callNext(ctx, b)
	if err != nil {
		return err
	}
	if t == nil {
		return fault.New(fault.NotFound, "nobody waits")
	}
	return s.tellTicket(w, r, http.StatusOK, t)
}

// callNext calls the first of those who wait whom the caller may see; nil where there is none. Another desk may be faster: then it is the one behind.
func (s *Service) callNext(ctx context.Context, waiting *sqldb.Builder) (*ticket, error) {
	c := access.From(ctx)
	var all []*ticket
	err := s.Ledger.Read(ctx, c.Tenant, func(q sqldb.Querier) (err error) {
		all, err = s.books.tickets(ctx, q, waiting.String(), waiting.Args...)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, t := range all {
		if shown, err := s.shownTickets(ctx, []*ticket{t}); err != nil {
			return nil, err
		} else if len(shown) == 0 {
			continue
		}
		now := s.Clock().UnixMicro()
		var n int64
		err := s.Ledger.Update(ctx, c.Tenant, func(tx sqldb.Tx) (err error) {
			n, err = tx.Exec(ctx, "UPDATE scheduling_queue SET state = 'called', called = called + 1, called_at = $3, updated_by = $4, updated_at = $3 WHERE tenant = $1 AND id = $2 AND state = 'waiting'",
				c.Tenant, t.id, now, c.Who)
			return err
		})
		if err != nil {
			return nil, err
		}
		if n == 1 {
			t.state, t.calls, t.calledAt = ticketCalled, t.calls+1, now
			return t, nil
		}
	}
	return nil, nil
}

// serveTurn gives a ticket another state. An appointment's status goes along.
func (s *Service) serveTurn(w http.ResponseWriter, r *http.Request, state string) error {
	ctx := r.Context()
	c := access.From(ctx)
	num, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return errNoTicket
	}
	var all []*ticket
	if err := s.Ledger.Read(ctx, c.Tenant, func(q sqldb.Querier) (err error) {
		all, err = s.books.tickets(ctx, q, "tenant = $1 AND id = $2", c.Tenant, num)
		return err
	}); err != nil {
		return err
	}
	if len(all) == 0 {
		return errNoTicket
	}
	t := all[0]
	if shown, err := s.shownTickets(ctx, all); err != nil || len(shown) == 0 {
		if err == nil {
			err = errNoTicket
		}
		return err
	}
	if !slices.Contains(nextTicket[t.state], state) {
		return fault.At(fault.Conflict, "status", "the ticket is %s: %s may not follow", t.state, state)
	}
	if t.appointment != 0 && (state == ticketServing || state == ticketServed) {
		id, err := s.Records.Store.Named(ctx, "Appointment", t.appointment)
		if err != nil {
			return err
		}
		to := map[string]string{ticketServing: inProgress, ticketServed: completed}[state]
		if need := permissionTo(to); !c.Permits(need) {
			return fault.New(fault.Forbidden, "to say %s needs the permission %s", to, need)
		}
		if _, err := s.Move(ctx, id, 0, to, Reason{}); err != nil { // the rule has the ticket follow
			return said(err)
		}
	} else if err := s.turn(ctx, t, state); err != nil {
		return err
	}
	if err := s.Ledger.Read(ctx, c.Tenant, func(q sqldb.Querier) (err error) {
		all, err = s.books.tickets(ctx, q, "tenant = $1 AND id = $2", c.Tenant, num)
		return err
	}); err != nil {
		return err
	}
	return s.tellTicket(w, r, http.StatusOK, all[0])
}

func (s *Service) turn(ctx context.Context, t *ticket, state string) error {
	c := access.From(ctx)
	now := s.Clock().UnixMicro()
	calls, called, served, ended := t.calls, t.calledAt, t.servedAt, int64(0)
	switch state {
	case ticketCalled:
		calls, called = calls+1, now
	case ticketServing:
		served = now
	case ticketServed, ticketLeft:
		ended = now
	}
	var n int64
	err := s.Ledger.Update(ctx, c.Tenant, func(tx sqldb.Tx) (err error) {
		n, err = tx.Exec(ctx, `UPDATE scheduling_queue SET state = $3, called = $4, called_at = $5, served_at = $6, ended_at = $7, updated_by = $8, updated_at = $9
			WHERE tenant = $1 AND id = $2 AND state = $10`, c.Tenant, t.id, state, calls, called, served, ended, c.Who, now, t.state)
		return err
	})
	if err == nil && n == 0 {
		err = fault.New(fault.Conflict, "somebody was faster: look again")
	}
	return err
}
