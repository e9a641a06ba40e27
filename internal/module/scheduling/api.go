package scheduling

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/web/api"
)

// appointmentList is the data of a listing.
type appointmentList struct {
	Appointments []appointmentJSON `json:"appointments"`
}

// appointmentRoutes are the lines of the product API about appointments.
func (s *Service) appointmentRoutes() []api.Route {
	read, create, update, cancel := api.Permission("appointments:read"), api.Permission("appointments:create"), api.Permission("appointments:update"), api.Permission("appointments:cancel")
	one := appointmentJSON{}
	route := func(method, path string, need api.Need, summary string, in, out any, serve func(http.ResponseWriter, *http.Request) error, params ...api.Param) api.Route {
		return api.Route{Method: method, Path: path, Need: need, Summary: summary, In: in, Out: out, Params: params, Serve: serve}
	}
	provider := api.Param{Name: "providerId", Help: "of this provider alone"}
	filters := []api.Param{
		{Name: "status", Many: true, Help: "scheduled, confirmed, checked-in, in-progress, completed, cancelled, no-show, held, proposed, waitlist, entered-in-error; the first seven where nothing is said"},
		provider, {Name: "patientId"}, {Name: "facilityId"}, {Name: "date", Type: api.Date}, {Name: "dateFrom", Type: api.Date}, {Name: "dateTo", Type: api.Date, Help: "the last day, itself included"},
		{Name: "sort", Enum: []string{"date", "-date", "-updatedAt"}, Help: "-date, the latest first, where nothing is said; -updatedAt, the last changed first"},
	}
	to := func(status string) func(http.ResponseWriter, *http.Request) error {
		return func(w http.ResponseWriter, r *http.Request) error { return s.serveMove(w, r, status) }
	}
	const path = "/api/v1/appointments"
	all := []api.Route{
		route("GET", path, read, "Appointments, the latest first", nil, appointmentList{}, s.serveList, api.Paged(filters...)...),
		route("POST", path, create, "Book an appointment", bookingIn{}, one, s.serveCreate),
		route("GET", path+"/today", read, "Today's appointments, in their order", nil, appointmentList{}, s.serveToday, api.Paged(provider, filters[0], filters[3])...),
		route("GET", path+"/upcoming", read, "Appointments to come, the next first", nil, appointmentList{}, s.serveUpcoming, api.Paged(provider, filters[2], filters[3])...),
		route("GET", path+"/{id}", read, "One appointment", nil, one, s.serveOne),
		route("PUT", path+"/{id}", update, "Change or move an appointment that has not begun", bookingIn{}, one, s.serveEdit),
		route("DELETE", path+"/{id}", cancel, "Cancel an appointment; it stays in the record", reasonIn{}, one, to(cancelled)),
		route("PATCH", path+"/{id}/status", api.Known(), "Give an appointment another status; each needs its own permission", statusIn{}, one, s.serveStatus),
		route("POST", "/api/v1/bulk/appointments", create, "Book many appointments", api.BulkIn, api.BulkOut{}, s.serveBulkCreate),
		route("PUT", "/api/v1/bulk/appointments", update, "Change or move many appointments", api.BulkIn, api.BulkOut{}, s.serveBulkEdit),
		route("DELETE", "/api/v1/bulk/appointments", cancel, "Cancel many appointments", api.BulkIn, api.BulkOut{}, s.serveBulkCancel),
		route("PATCH", "/api/v1/bulk/appointments/status", api.Known(), "Give many appointments another status", api.BulkIn, api.BulkOut{}, s.serveBulkStatus),
	}
	for _, v := range []struct{ verb, status, summary string }{
		{"confirm", confirmed, "The patient comes"}, {"check-in", checkedIn, "The patient is there"}, {"start", inProgress, "The visit begins"},
		{"complete", completed, "The visit is over"}, {"cancel", cancelled, "Cancel an appointment"}, {"no-show", noShow, "The patient did not come"},
	} {
		all = append(all, route("PATCH", path+"/{id}/"+v.verb, api.Permission(permissionTo(v.status)), v.summary, reasonIn{}, one, to(v.status)))
	}
	return all
}

// tell answers with one appointment, and its version as an ETag.
func (s *Service) tell(w http.ResponseWriter, r *http.Request, status int, v *flat.Record, contact bool) error {
	shown, err := s.show(r.Context(), []*flat.Record{v}, contact)
	if err != nil {
		return err
	}
	api.SetVersion(w, v.VID)
	return api.AnswerOne(w, r, status, "appointment", shown[0])
}

// said names the fields of the product API in an error that the rule made, which speaks of FHIR's.
func said(err error) error {
	var e *fault.Error
	if !errors.As(err, &e) {
		return err
	}
	names := map[string]string{"Appointment.status": "status", "Appointment.start": "appointmentTime", "Appointment.end": "duration", "Appointment.participant": "patientId"}
	told := *e
	told.Issues = slices.Clone(e.Issues)
	for i := range told.Issues {
		x := &told.Issues[i]
		if to, ok := names[x.Expression]; ok {
			x.Expression = to
		}
		if x.Severity == "information" && strings.HasPrefix(x.Diagnostics, "free: ") {
			x.Expression, x.Diagnostics = "availableSlots", strings.TrimPrefix(x.Diagnostics, "free: ")
		}
	}
	return &told
}

// own is the patient that the caller is; "" where that is nobody.
func (s *Service) own(ctx context.Context) (string, error) {
	for _, ref := range access.From(ctx).Self {
		if strings.HasPrefix(ref, "Patient/") {
			return s.Records.IDOfRef(ctx, ref)
		}
	}
	return "", nil
}

// forSelf fills in the patient of a booking that a patient makes. For whom else they may book the record's policies decide.
func (s *Service) forSelf(ctx context.Context, b *Booking) (err error) {
	if b.PatientID == "" && s.ofPatient(ctx) {
		b.PatientID, err = s.own(ctx)
	}
	return err
}

func (s *Service) serveCreate(w http.ResponseWriter, r *http.Request) error {
	var in bookingIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	made, one, err := s.create(r.Context(), &in)
	if err != nil {
		return err
	}
	w.Header().Set("Location", "/api/v1/appointments/"+one.ID)
	api.SetVersion(w, made.VID)
	return api.AnswerOne(w, r, http.StatusCreated, "appointment", one)
}

// create books what a body asks for, and shows it with what was read on the way.
func (s *Service) create(ctx context.Context, in *bookingIn) (*flat.Record, *appointmentJSON, error) {
	b, err := in.booking()
	if err == nil {
		err = s.forSelf(ctx, &b)
	}
	if err != nil {
		return nil, nil, err
	}
	made, p, err := s.book(ctx, b)
	if err != nil {
		return nil, nil, said(err)
	}
	people := map[string]*flat.Record{p.provider.Ref(): p.provider}
	if p.patient != nil {
		people[p.patient.Ref()] = p.patient
	}
	one, err := s.showOne(ctx, made, s.who(made.Res), people, p.calendar.zone, false)
	return made, &one, err
}

func (s *Service) serveOne(w http.ResponseWriter, r *http.Request) error {
	v, err := s.Records.Read(r.Context(), "Appointment", r.PathValue("id"))
	if err != nil {
		return err
	}
	return s.tell(w, r, http.StatusOK, v, true)
}

func (s *Service) serveEdit(w http.ResponseWriter, r *http.Request) error {
	version, err := api.Version(r, nil)
	if err != nil {
		return err
	}
	var in bookingIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	v, err := s.change(r.Context(), r.PathValue("id"), version, &in)
	if err != nil {
		return err
	}
	return s.tell(w, r, http.StatusOK, v, false)
}

// change makes the change that a body asks for. Where it rests on a version that somebody changed meanwhile, and the caller named none, it is made anew.
func (s *Service) change(ctx context.Context, id string, version int64, in *bookingIn) (*flat.Record, error) {
	c := in.change()
	b := Booking{Reason: value(c.Reason), Notes: value(c.Notes), Type: value(c.Type)}
	if err := b.bounds(); err != nil {
		return nil, err
	}
	const tries = 4
	for try := 1; ; try++ {
		v, err := s.Edit(ctx, id, version, c)
		if version == 0 && try < tries && fault.Is(err, fault.VersionConflict) {
			continue
		}
		return v, said(err)
	}
}

func (s *Service) serveMove(w http.ResponseWriter, r *http.Request, status string) error {
	var in reasonIn
	if err := api.DecodeOptional(r, &in); err != nil {
		return err
	}
	return s.serveMoved(w, r, status, in)
}

func (s *Service) serveMoved(w http.ResponseWriter, r *http.Request, status string, in reasonIn) error {
	version, err := api.Version(r, nil)
	if err != nil {
		return err
	}
	v, err := s.Move(r.Context(), r.PathValue("id"), version, status, in.why(status))
	if err != nil {
		return said(err)
	}
	return s.tell(w, r, http.StatusOK, v, false)
}

// why is the reason of a move; what is said of a completed visit are its notes.
func (in *reasonIn) why(status string) Reason {
	if status == cancelled {
		return Reason{Code: in.ReasonCode, Text: in.Reason}
	}
	return Reason{Text: in.Notes}
}

// checked reads a status that is asked for, and holds the caller to its permission.
func (in *statusIn) checked(ctx context.Context) (string, error) {
	if in.Status == "" {
		return "", fault.At(fault.Invalid, "status", "is missing").WithCode("required")
	}
	status := spell(in.Status)
	if !slices.Contains(statuses, status) || status == held || status == proposed || status == waitlisted {
		return "", fault.At(fault.Invalid, "status", "must be one of %s, %s", strings.Join(statuses[:7], ", "), mistaken).WithCode("value")
	}
	need := permissionTo(status)
	if c := access.From(ctx); !c.Permits(need) {
		return "", fault.New(fault.Forbidden, "to say %s needs the permission %s", status, need)
	}
	return status, nil
}

func (s *Service) serveStatus(w http.ResponseWriter, r *http.Request) error {
	var in statusIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	status, err := in.checked(r.Context())
	if err != nil {
		return err
	}
	return s.serveMoved(w, r, status, in.reasonIn)
}

// The items of bulk requests.
type (
	editItem struct {
		ID      api.StringOrNumber `json:"id"`
		Version int64              `json:"version,omitempty"`
		bookingIn
	}
	statusItem struct {
		ID      api.StringOrNumber `json:"id"`
		Version int64              `json:"version,omitempty"`
		statusIn
	}
)

func needID(id api.StringOrNumber) error {
	if id == "" {
		return fault.At(fault.Invalid, "id", "is missing").WithCode("required")
	}
	return nil
}

// shownOne is one appointment as an answer tells it.
func (s *Service) shownOne(ctx context.Context, v *flat.Record, err error) (any, error) {
	if err != nil {
		return nil, said(err)
	}
	shown, err := s.show(ctx, []*flat.Record{v}, false)
	if err != nil {
		return nil, err
	}
	return shown[0], nil
}

func (s *Service) serveBulkCreate(w http.ResponseWriter, r *http.Request) error {
	return api.Bulk(w, r, func(ctx context.Context, _ int, item json.RawMessage) (any, error) {
		var in bookingIn
		if err := api.Item(item, &in); err != nil {
			return nil, err
		}
		_, one, err := s.create(ctx, &in)
		return one, err
	})
}

func (s *Service) serveBulkEdit(w http.ResponseWriter, r *http.Request) error {
	return api.Bulk(w, r, func(ctx context.Context, _ int, item json.RawMessage) (any, error) {
		var in editItem
		if err := api.Item(item, &in); err != nil {
			return nil, err
		}
		if err := needID(in.ID); err != nil {
			return nil, err
		}
		v, err := s.change(ctx, string(in.ID), in.Version, &in.bookingIn)
		return s.shownOne(ctx, v, err)
	})
}

func (s *Service) serveBulkCancel(w http.ResponseWriter, r *http.Request) error {
	return s.bulkMove(w, r, func(context.Context, *statusItem) (string, error) { return cancelled, nil })
}

func (s *Service) serveBulkStatus(w http.ResponseWriter, r *http.Request) error {
	return s.bulkMove(w, r, func(ctx context.Context, in *statusItem) (string, error) { return in.checked(ctx) })
}

func (s *Service) bulkMove(w http.ResponseWriter, r *http.Request, to func(context.Context, *statusItem) (string, error)) error {
	return api.Bulk(w, r, func(ctx context.Context, _ int, item json.RawMessage) (any, error) {
		var in statusItem
		if err := api.Item(item, &in); err != nil {
			return nil, err
		}
		if err := needID(in.ID); err != nil {
			return nil, err
		}
		status, err := to(ctx, &in)
		if err != nil {
			return nil, err
		}
		v, err := s.Move(ctx, string(in.ID), in.Version, status, in.why(status))
		return s.shownOne(ctx, v, err)
	})
}
