package scheduling

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/recur"
	"github.com/nilecare/nilecare/internal/sqldb"
	"github.com/nilecare/nilecare/internal/web/api"
)

// SeriesSystem is the system of the identifier by which an Appointment names the series that it is of.
const SeriesSystem = "urn:x-nilecare:appointment-series"

// mostOccurrences is how many appointments one series makes at most.
const mostOccurrences = 200

// seriesIn is the body of a new series: a booking, whose date and time are the first one's, and how it recurs.
type seriesIn struct {
	bookingIn
	Rule       string   `json:"rrule" doc:"RFC 5545: FREQ=WEEKLY;BYDAY=SU;COUNT=10"`
	Except     []string `json:"exdates,omitempty" doc:"days (YYYY-MM-DD) that are left out"`
	OnConflict string   `json:"onConflict,omitempty" doc:"refuse (the usual): all or nothing; skip: those that are free"`
}

// seriesJSON is a series.
type seriesJSON struct {
	ID           string            `json:"id"`
	Recurrence   string            `json:"recurrence" doc:"lines of iCalendar"`
	Appointments []appointmentJSON `json:"appointments"`
	Skipped      []skipped         `json:"skipped,omitempty"`
}

// skipped is an occurrence that was not made.
type skipped struct {
	Start  string `json:"start"`
	Reason string `json:"reason"`
}

func (s *Service) seriesRoutes() []api.Route {
	read, create, update, cancel := api.Permission("appointments:read"), api.Permission("appointments:create"), api.Permission("appointments:update"), api.Permission("appointments:cancel")
	const path = "/api/v1/appointment-series"
	from := api.Param{Name: "from", Type: api.Date, Help: "those of this day and later; today where nothing is said"}
	return []api.Route{
		{Method: "POST", Path: path, Need: create, Summary: "Book appointments that recur", In: seriesIn{}, Out: seriesJSON{}, Serve: s.serveSeries},
		{Method: "GET", Path: path + "/{series}", Need: read, Summary: "A series with its appointments", Out: seriesJSON{}, Serve: s.serveOneSeries},
		{Method: "PUT", Path: path + "/{series}", Need: update, Summary: "Move or change the appointments of a series that have not begun: all or none", In: bookingIn{}, Out: seriesJSON{},
			Params: []api.Param{from}, Serve: s.serveEditSeries},
		{Method: "DELETE", Path: path + "/{series}", Need: cancel, Summary: "Cancel the appointments of a series that have not begun", In: reasonIn{}, Out: seriesJSON{},
			Params: []api.Param{from}, Serve: s.serveCancelSeries},
	}
}

// recurrence works out when a series is, on the wall of its provider's zone.
func (in *seriesIn) recurrence(start int64, zone *time.Location) (*recur.Set, string, error) {
	rule, err := recur.ParseRule(in.Rule)
	if err != nil {
		return nil, "", err
	}
	if rule.Freq > recur.Daily {
		return nil, "", fault.At(fault.Invalid, "rrule", "appointments recur by the day, week, month or year").WithCode("value")
	}
	if rule.Count == 0 && rule.Until.IsZero() {
		return nil, "", fault.At(fault.Invalid, "rrule", "must end: with COUNT or UNTIL").WithCode("value")
	}
	set := &recur.Set{Start: recur.Wall(time.UnixMicro(start), zone), Zone: zone, Rules: []*recur.Rule{rule}}
	lines := []string{"DTSTART;TZID=" + zone.String() + ":" + set.Start.Format("20060102T150405"), "RRULE:" + rule.String()}
	for _, day := range in.Except {
		d, err := time.Parse(time.DateOnly, day)
		if err != nil {
			return nil, "", fault.At(fault.Invalid, "exdates", "are dates such as 2026-01-31").WithCode("value")
		}
		set.LeftOut = append(set.LeftOut, d)
		lines = append(lines, "EXDATE;VALUE=DATE:"+d.Format("20060102"))
	}
	return set, strings.Join(lines, "\n"), nil
}

// occurrences are the starts of a series.
func occurrences(set *recur.Set) ([]int64, error) {
	var out []int64
	for at := range set.All() {
		if len(out) == mostOccurrences {
			return nil, fault.At(fault.Invalid, "rrule", "gives more than %d appointments", mostOccurrences).WithCode("too-costly")
		}
		out = append(out, at.UnixMicro())
	}
	if len(out) == 0 {
		return nil, fault.At(fault.Invalid, "rrule", "gives no appointment at all").WithCode("value")
	}
	return out, nil
}

func (s *Service) serveSeries(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	var in seriesIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	if !slices.Contains([]string{"", "refuse", "skip"}, in.OnConflict) {
		return fault.At(fault.Invalid, "onConflict", "must be refuse or skip").WithCode("value")
	}
	b, err := in.booking()
	if err == nil {
		err = s.forSelf(ctx, &b)
	}
	if err != nil {
		return err
	}
	id, left, err := s.bookSeries(ctx, &in, b)
	if err != nil {
		return said(err)
	}
	return s.tellSeries(w, r, http.StatusCreated, id, left)
}

// bookSeries books the appointments of a series: all in one transaction or, where those that are not free are skipped, each on its own.
func (s *Service) bookSeries(ctx context.Context, in *seriesIn, b Booking) (id int64, left []skipped, err error) {
	first := &planned{Booking: b}
	if first.provider, err = s.refer(ctx, "providerId", "Practitioner", b.ProviderID); err != nil {
		return 0, nil, err
	}
	if err := s.when(ctx, first); err != nil {
		return 0, nil, err
	}
	set, lines, err := in.recurrence(first.at.From, first.calendar.zone)
	if err != nil {
		return 0, nil, err
	}
	starts, err := occurrences(set)
	if err != nil {
		return 0, nil, err
	}
	id = s.Ledger.Next()
	skip := in.OnConflict == "skip"
	var changes []record.Change
	booked := false
	for _, at := range starts {
		one := b
		one.start, one.Minutes, one.Date, one.Time = &at, first.Minutes, "", ""
		c, err := s.booking(ctx, one)
		if err == nil {
			err = flat.SetIdentifier(c.Resource, SeriesSystem, "", decimal(id))
		}
		if err == nil && skip {
			if _, err = s.Records.Write(ctx, c); err == nil {
				booked = true
				continue
			}
		}
		if skip && fault.Is(err, fault.Conflict) {
			left = append(left, skipped{local(at, first.calendar.zone), "that time is not free"})
			continue
		}
		if err != nil {
			return 0, nil, err
		}
		changes = append(changes, c)
	}
	if len(changes) > 0 {
		if _, err := s.Records.Write(ctx, changes...); err != nil {
			return 0, nil, err
		}
		booked = true
	}
	if !booked {
		return 0, nil, fault.New(fault.Conflict, "no time of the series is free").WithCode(conflictCode)
	}
	return id, left, s.keepSeries(ctx, id, lines)
}

// keepSeries notes the rule of a series.
func (s *Service) keepSeries(ctx context.Context, id int64, lines string) error {
	c := access.From(ctx)
	now := s.Clock().UnixMicro()
	return s.Ledger.Update(ctx, c.Tenant, func(tx sqldb.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO scheduling_series (tenant, id, recurrence, created_by, created_at, updated_by, updated_at, deleted_at) VALUES ($1, $2, $3, $4, $5, $4, $5, 0)`,
			c.Tenant, id, lines, c.Who, now)
		return err
	})
}

// seriesOf reads a series and its appointments that the caller may see, in their order.
func (s *Service) seriesOf(ctx context.Context, id string) (num int64, lines string, all []*flat.Record, err error) {
	num, err = strconv.ParseInt(id, 10, 64)
	if err != nil {
		return 0, "", nil, fault.New(fault.NotFound, "there is no series with this id")
	}
	tenant := access.From(ctx).Tenant
	var found bool
	err = s.Ledger.Read(ctx, tenant, func(q sqldb.Querier) (err error) {
		found, err = sqldb.QueryRow(ctx, q, []any{&lines}, "SELECT recurrence FROM scheduling_series WHERE tenant = $1 AND id = $2", tenant, num)
		return err
	})
	if err != nil {
		return 0, "", nil, err
	}
	if found {
		q := flat.Query{Type: "Appointment", Sort: "date"}
		q.With("identifier", SeriesSystem+"|"+id)
		if err = s.Records.Each(ctx, q, func(r *flat.Record) error { all = append(all, r); return nil }); fault.Is(err, fault.Forbidden) {
			err = nil // it would say that there is such a series
		}
	}
	if err == nil && len(all) == 0 { // nobody learns of a series of which they may see nothing
		err = fault.New(fault.NotFound, "there is no series with this id")
	}
	return num, lines, all, err
}

func (s *Service) tellSeries(w http.ResponseWriter, r *http.Request, status int, id int64, left []skipped) error {
	_, lines, all, err := s.seriesOf(r.Context(), decimal(id))
	if err != nil {
		return err
	}
	shown, err := s.show(r.Context(), all, false)
	if err != nil {
		return err
	}
	return api.AnswerOne(w, r, status, "series", seriesJSON{decimal(id), lines, shown, left})
}

func (s *Service) serveOneSeries(w http.ResponseWriter, r *http.Request) error {
	num, _, _, err := s.seriesOf(r.Context(), r.PathValue("series"))
	if err != nil {
		return err
	}
	return s.tellSeries(w, r, http.StatusOK, num, nil)
}

// ahead are the appointments of a series that have not begun, from the day that the request names.
func (s *Service) ahead(r *http.Request, all []*flat.Record) ([]*flat.Record, error) {
	from := s.Clock()
	if day := r.URL.Query().Get("from"); day != "" {
		d, err := time.Parse(time.DateOnly, day)
		if err != nil {
			return nil, fault.At(fault.Invalid, "from", "must be a date such as 2026-01-31").WithCode("value")
		}
		zone, err := s.zone(r.Context())
		if err != nil {
			return nil, err
		}
		if at := time.Date(d.Year(), d.Month(), d.Day(), 0, 0, 0, 0, zone); at.After(from) {
			from = at
		}
	}
	var out []*flat.Record
	for _, v := range all {
		a := readAppointment(v.Res)
		if a.timed && a.at.From >= from.UnixMicro() && editable(v.Res) == nil {
			out = append(out, v)
		}
	}
	if len(out) == 0 {
		return nil, fault.New(fault.Conflict, "no appointment of the series is ahead")
	}
	return out, nil
}

func (s *Service) serveEditSeries(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	var in bookingIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	c := in.change()
	if c.Date != nil {
		return fault.At(fault.Invalid, "appointmentDate", "the appointments of a series keep their days: change the time, or book another series").WithCode("value")
	}
	num, _, all, err := s.seriesOf(ctx, r.PathValue("series"))
	if err != nil {
		return err
	}
	ahead, err := s.ahead(r, all)
	if err != nil {
		return err
	}
	var changes []record.Change
	for _, v := range ahead {
		one := c
		if c.Time != nil { // on the day that it is on
			zone, err := s.zoneOf(ctx, s.who(v.Res).provider)
			if err != nil {
				return err
			}
			day := time.UnixMicro(readAppointment(v.Res).at.From).In(zone).Format(time.DateOnly)
			one.Date = &day
		}
		change, err := s.edit(ctx, v.Key(), v.VID, one)
		if err != nil {
			return said(err)
		}
		changes = append(changes, change)
	}
	if _, err := s.Records.Write(ctx, changes...); err != nil {
		return said(err)
	}
	return s.tellSeries(w, r, http.StatusOK, num, nil)
}

func (s *Service) serveCancelSeries(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	var in reasonIn
	if err := api.DecodeOptional(r, &in); err != nil {
		return err
	}
	num, _, all, err := s.seriesOf(ctx, r.PathValue("series"))
	if err != nil {
		return err
	}
	ahead, err := s.ahead(r, all)
	if err != nil {
		return err
	}
	var changes []record.Change
	for _, v := range ahead {
		change, err := s.moving(ctx, v.Key(), v.VID, cancelled, in.why(cancelled))
		if err != nil {
			return said(err)
		}
		changes = append(changes, change)
	}
	if _, err := s.Records.Write(ctx, changes...); err != nil {
		return said(err)
	}
	return s.tellSeries(w, r, http.StatusOK, num, nil)
}

// seriesIDOf is the series that an Appointment is of; "" for none.
func seriesIDOf(r *fhir.Resource) string { return flat.Identifier(r, SeriesSystem) }
