package scheduling

import (
	"context"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// parties are the references of those that an Appointment is about; "" where there are none.
type parties struct{ patient, provider, location, facility string }

// who reads them: of each the first. A provider is a Practitioner, or else a PractitionerRole.
func (s *Service) who(r *fhir.Resource) parties {
	var p parties
	role := ""
	first := func(to *string, ref string) {
		if *to == "" {
			*to = ref
		}
	}
	for _, part := range flat.Items(r.Get("participant")) {
		ref := flat.RefOf(part.Get("actor"))
		typ, id, ok := fhir.SplitReference(ref, s.Records.Base)
		if !ok {
			continue
		}
		ref = typ + "/" + id
		switch typ {
		case "Patient":
			first(&p.patient, ref)
		case "Practitioner":
			first(&p.provider, ref)
		case "PractitionerRole":
			first(&role, ref)
		case "Location":
			first(&p.location, ref)
		}
	}
	first(&p.provider, role)
	for _, n := range flat.Items(r.Get("supportingInformation")) {
		if typ, id, ok := fhir.SplitReference(flat.RefOf(n), s.Records.Base); ok && typ == "Organization" {
			first(&p.facility, typ+"/"+id)
		}
	}
	return p
}

func reasonOf(r *fhir.Resource) string {
	for _, c := range flat.Items(r.Get("reasonCode")) {
		if t := flat.Text(c); t != "" {
			return t
		}
	}
	return r.Str("description")
}

func typeOf(r *fhir.Resource) string {
	if t := flat.Text(r.Get("appointmentType")); t != "" {
		return t
	}
	for _, c := range flat.Items(r.Get("serviceType")) {
		if t := flat.Text(c); t != "" {
			return t
		}
	}
	return ""
}

// priorityOf is the product API's word for Appointment.priority; "" where there is none.
func priorityOf(r *fhir.Resource) string {
	n := r.Get("priority")
	switch {
	case n == nil || n.Text == "0":
		return ""
	case n.Text == "1" || n.Text == "2":
		return "emergency"
	case n.Text == "3" || n.Text == "4":
		return "urgent"
	}
	return "routine"
}

// appointmentJSON is an appointment of the product API. The front ends differ in how they spell names: each reads its own.
type appointmentJSON struct {
	ID           string  `json:"id"`
	PatientID    string  `json:"patientId"`
	ProviderID   string  `json:"providerId"`
	LocationID   string  `json:"locationId,omitempty"`
	FacilityID   string  `json:"facilityId,omitempty"`
	Date         *string `json:"appointmentDate" doc:"on the wall of the provider's zone"`
	Time         *string `json:"appointmentTime" doc:"HH:MM:SS"`
	Start        *string `json:"start" doc:"the same as an instant"`
	End          *string `json:"end"`
	TimeZone     string  `json:"timeZone"`
	Duration     int     `json:"duration" doc:"minutes"`
	Status       string  `json:"status"`
	Reason       string  `json:"reason"`
	Notes        string  `json:"notes,omitempty"`
	Type         string  `json:"appointmentType,omitempty"`
	Priority     string  `json:"priority,omitempty"`
	Cancellation string  `json:"cancellationReason,omitempty"`
	HeldUntil    string  `json:"heldUntil,omitempty"`
	Overbooked   bool    `json:"overbooked,omitempty"`
	SeriesID     string  `json:"seriesId,omitempty"`

	PatientFirstName  string `json:"patientFirstName"`
	PatientLastName   string `json:"patientLastName"`
	PatientName       string `json:"patientName"`
	PatientPhone      string `json:"patientPhone,omitempty"`
	PatientEmail      string `json:"patientEmail,omitempty"`
	ProviderFirstName string `json:"providerFirstName"`
	ProviderLastName  string `json:"providerLastName"`
	ProviderName      string `json:"providerName"`
	CreatedAt         string `json:"createdAt"`
	UpdatedAt         string `json:"updatedAt"`
	Version           int64  `json:"version"`

	PatientIDTwin         string  `json:"patient_id"`
	ProviderIDTwin        string  `json:"provider_id"`
	DateTwin              *string `json:"appointment_date"`
	TimeTwin              *string `json:"appointment_time"`
	PatientFirstNameTwin  string  `json:"patient_first_name"`
	PatientLastNameTwin   string  `json:"patient_last_name"`
	PatientPhoneTwin      string  `json:"patient_phone,omitempty"`
	PatientEmailTwin      string  `json:"patient_email,omitempty"`
	ProviderFirstNameTwin string  `json:"provider_first_name"`
	ProviderLastNameTwin  string  `json:"provider_last_name"`
	TypeTwin              string  `json:"appointment_type,omitempty"`
	CreatedAtTwin         string  `json:"created_at"`
	UpdatedAtTwin         string  `json:"updated_at"`
}

// twins gives the members their second spelling.
func (a *appointmentJSON) twins() {
	a.PatientIDTwin, a.ProviderIDTwin, a.DateTwin, a.TimeTwin, a.TypeTwin = a.PatientID, a.ProviderID, a.Date, a.Time, a.Type
	a.PatientFirstNameTwin, a.PatientLastNameTwin, a.PatientPhoneTwin, a.PatientEmailTwin = a.PatientFirstName, a.PatientLastName, a.PatientPhone, a.PatientEmail
	a.ProviderFirstNameTwin, a.ProviderLastNameTwin, a.CreatedAtTwin, a.UpdatedAtTwin = a.ProviderFirstName, a.ProviderLastName, a.CreatedAt, a.UpdatedAt
}

// practitioners are the Practitioners that references to providers mean, by the reference: a PractitionerRole's is its practitioner.
func (s *Service) practitioners(ctx context.Context, refs []string) (map[string]string, error) {
	out := make(map[string]string, len(refs))
	byRole := map[string]int64{}
	tenant := access.From(ctx).Tenant
	for _, ref := range refs {
		if !strings.HasPrefix(ref, "PractitionerRole/") {
			out[ref] = ref
			continue
		}
		if _, done := byRole[ref]; done {
			continue
		}
		err := s.Ledger.View(ctx, tenant, func(q sqldb.Querier) error {
			_, num, ok, err := s.Ledger.Meant(ctx, q, tenant, ref)
			if err != nil || !ok {
				return err
			}
			r, _, err := s.books.roleOf(ctx, q, tenant, num)
			byRole[ref] = r.practitioner
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	for ref, num := range byRole {
		if num == 0 {
			continue
		}
		id, err := s.Records.Store.Named(ctx, "Practitioner", num)
		if err != nil {
			return nil, err
		}
		if id != "" {
			out[ref] = "Practitioner/" + id
		}
	}
	return out, nil
}

// zones are the zones of practitioners, by reference, and the tenant's under "".
func (s *Service) zones(ctx context.Context, refs map[string]string) (map[string]*time.Location, error) {
	tenant := access.From(ctx).Tenant
	out := map[string]*time.Location{}
	err := s.Ledger.View(ctx, tenant, func(q sqldb.Querier) error {
		actors := map[string]actor{"": nobody}
		var list []actor
		for _, ref := range refs {
			if _, done := actors[ref]; done {
				continue
			}
			typ, num, ok, err := s.Ledger.Meant(ctx, q, tenant, ref)
			if err != nil {
				return err
			}
			if ok {
				actors[ref] = actor{typ, num}
				list = append(list, actor{typ, num})
			}
		}
		all, err := s.books.entries(ctx, q, tenant, list...)
		if err != nil {
			return err
		}
		for ref, a := range actors {
			whole, _, err := planOf(all, a)
			if err != nil {
				return err
			}
			out[ref] = whole.zone
		}
		return nil
	})
	return out, err
}

// show tells appointments as the product API does, with the names that the caller may see: a look-up a type, not a line.
func (s *Service) show(ctx context.Context, records []*flat.Record, contact bool) ([]appointmentJSON, error) {
	out := make([]appointmentJSON, 0, len(records))
	if len(records) == 0 {
		return out, nil
	}
	all := make([]parties, len(records))
	var providers, refs []string
	for i, r := range records {
		all[i] = s.who(r.Res)
		if all[i].provider != "" {
			providers = append(providers, all[i].provider)
		}
		if all[i].patient != "" {
			refs = append(refs, all[i].patient)
		}
	}
	means, err := s.practitioners(ctx, providers)
	if err != nil {
		return nil, err
	}
	for _, ref := range means {
		refs = append(refs, ref)
	}
	people, err := s.Records.Get(ctx, refs...)
	if err != nil {
		return nil, err
	}
	zones, err := s.zones(ctx, means)
	if err != nil {
		return nil, err
	}
	for i, r := range records {
		w := all[i]
		w.provider = means[w.provider]
		zone := zones[w.provider]
		if zone == nil {
			zone = zones[""]
		}
		one, err := s.showOne(ctx, r, w, people, zone, contact)
		if err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	return out, nil
}

func (s *Service) showOne(ctx context.Context, r *flat.Record, w parties, people map[string]*flat.Record, zone *time.Location, contact bool) (appointmentJSON, error) {
	a := readAppointment(r.Res)
	one := appointmentJSON{
		ID: r.Key(), TimeZone: zone.String(), Status: statusOf(r.Res), Reason: reasonOf(r.Res), Notes: r.Res.Str("comment"), Type: typeOf(r.Res), Priority: priorityOf(r.Res),
		Cancellation: flat.Text(r.Res.Get("cancelationReason")), Overbooked: a.overbook, SeriesID: seriesIDOf(r.Res), CreatedAt: flat.Created(r), UpdatedAt: flat.Stamp(r), Version: r.VID,
	}
	if a.timed {
		from, to := time.UnixMicro(a.at.From).In(zone), time.UnixMicro(a.at.To).In(zone)
		one.Date, one.Time = text(from.Format(time.DateOnly)), text(from.Format(time.TimeOnly))
		one.Start, one.End = text(from.Format(time.RFC3339)), text(to.Format(time.RFC3339))
		one.Duration = int(a.at.Len() / minutes(1))
	}
	if one.Status == held && !a.until.IsZero() {
		one.HeldUntil = a.until.UTC().Format(time.RFC3339)
	}
	var err error
	for _, f := range []struct {
		to  *string
		ref string
	}{{&one.PatientID, w.patient}, {&one.ProviderID, w.provider}, {&one.LocationID, w.location}, {&one.FacilityID, w.facility}} {
		if *f.to, err = s.Records.IDOfRef(ctx, f.ref); err != nil {
			return one, err
		}
	}
	if p := people[w.patient]; p != nil {
		one.PatientFirstName, one.PatientLastName = flat.Name(p.Res, "")
		one.PatientName = strings.TrimSpace(one.PatientFirstName + " " + one.PatientLastName)
		if contact {
			one.PatientPhone, one.PatientEmail = flat.Telecom(p.Res.Node, "phone"), flat.Telecom(p.Res.Node, "email")
		}
	}
	if p := people[w.provider]; p != nil {
		one.ProviderFirstName, one.ProviderLastName = flat.Name(p.Res, "")
		one.ProviderName = strings.TrimSpace(one.ProviderFirstName + " " + one.ProviderLastName)
	}
	one.twins()
	return one, nil
}

func text(s string) *string { return &s }
