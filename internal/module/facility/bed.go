package facility

import (
	"context"
	"slices"
	"strings"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/flat"
)

// bedJSON is a bed as the product API tells it.
type bedJSON struct {
	ID                    string  `json:"id"`
	BedID                 string  `json:"bedId"`
	FacilityID            string  `json:"facilityId"`
	DepartmentID          string  `json:"departmentId"`
	WardID                string  `json:"wardId"`
	WardName              string  `json:"wardName"`
	BedNumber             string  `json:"bedNumber"`
	BedType               string  `json:"bedType"`
	BedStatus             string  `json:"bedStatus" doc:"available, occupied, reserved, maintenance, cleaning or out_of_service"`
	Status                string  `json:"status" doc:"the same"`
	Since                 *string `json:"statusSince"`
	PatientID             *string `json:"patientId" doc:"null: nobody lies there, or the caller may not see who"`
	PatientName           *string `json:"patientName"`
	PatientHidden         bool    `json:"patientHidden" doc:"somebody lies there whom the caller may not see, or whom the Encounter does not name"`
	EncounterID           *string `json:"encounterId"`
	AssignmentDate        *string `json:"assignmentDate"`
	ExpectedDischargeDate *string `json:"expectedDischargeDate"`
	ReservedUntil         *string `json:"reservedUntil"`
	ReservedFor           *string `json:"reservedFor" doc:"a patient's id"`
	HasOxygen             bool    `json:"hasOxygen"`
	HasMonitor            bool    `json:"hasMonitor"`
	HasVentilator         bool    `json:"hasVentilator"`
	IsolationCapable      bool    `json:"isolationCapable"`
	IsActive              bool    `json:"isActive"`
	IsAvailable           bool    `json:"isAvailable" doc:"it may be assigned now"`
	Location              *string `json:"location,omitempty"`
	Notes                 *string `json:"notes,omitempty"`
}

// naming turns FHIR ids into those of the product API, and keeps the first error.
type naming struct {
	ctx context.Context
	s   *Service
	err error
}

func (s *Service) naming(ctx context.Context) *naming { return &naming{ctx: ctx, s: s} }

func (n *naming) id(typ, id string) string {
	if id == "" || n.err != nil {
		return ""
	}
	out, err := n.s.Records.IDOf(n.ctx, typ, id)
	n.err = err
	return out
}

// of is id for a literal reference.
func (n *naming) of(ref string) *string {
	typ, id, _ := strings.Cut(ref, "/")
	out := n.id(typ, id)
	if out == "" {
		return nil
	}
	return &out
}

func some(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// told says how much of who lies in beds is told.
type told struct {
	wards  map[string]*placeRow
	people map[string]*flat.Record // those whom the caller may see, by reference
	closed map[string]bool         // facilities and departments that are inactive
}

// tellBeds are beds as the product API tells them.
func (s *Service) tellBeds(ctx context.Context, rows []bedRow, patients bool) ([]bedJSON, error) {
	var t told
	var err error
	facility := ""
	if len(rows) > 0 && !slices.ContainsFunc(rows, func(b bedRow) bool { return b.facility != rows[0].facility }) {
		facility = rows[0].facility
	}
	if t.wards, err = s.places(ctx, kindWard, facility); err != nil {
		return nil, err
	}
	if t.closed, err = s.closed(ctx); err != nil {
		return nil, err
	}
	if patients {
		var refs []string
		for k := range rows {
			for _, ref := range []string{rows[k].occupant, rows[k].heldFor} {
				if strings.HasPrefix(ref, "Patient/") {
					refs = append(refs, ref)
				}
			}
		}
		if t.people, err = s.Records.Get(ctx, refs...); err != nil {
			return nil, err
		}
	}
	n := s.naming(ctx)
	out := make([]bedJSON, len(rows))
	for k := range rows {
		s.tellBed(n, &rows[k], &t, &out[k])
	}
	return out, n.err
}

func (s *Service) tellBed(n *naming, b *bedRow, t *told, out *bedJSON) {
	has := func(bit int) bool { return b.equipment&(1<<bit) != 0 }
	id := n.id("Location", b.id)
	*out = bedJSON{ID: id, BedID: id, FacilityID: n.id("Organization", b.facility), DepartmentID: n.id("Organization", b.department), WardID: n.id("Location", b.ward), BedNumber: b.number,
		BedType: b.class, BedStatus: b.state, Status: b.state, Since: stamp(b.changed), HasOxygen: has(0), HasMonitor: has(1), HasVentilator: has(2), IsolationCapable: has(3),
		IsActive: b.status == "active"}
	open := b.ward == ""
	if w := t.wards[b.ward]; w != nil {
		out.WardName, open = w.name, w.status == "active"
	}
	out.IsAvailable = out.IsActive && open && b.state == available && !t.closed[b.facility] && !t.closed[b.department]
	if b.state == reserved {
		out.ReservedUntil = stamp(b.heldUntil)
		if t.people[b.heldFor] != nil {
			out.ReservedFor = n.of(b.heldFor)
		}
	}
	if b.occupant == "" {
		return
	}
	out.AssignmentDate, out.ExpectedDischargeDate = stamp(b.since), some(b.expected)
	p := t.people[b.occupant]
	if p == nil {
		out.PatientHidden = true
		return
	}
	out.PatientID, out.EncounterID = n.of(b.occupant), n.of("Encounter/"+b.encounter)
	if p.Res != nil {
		out.PatientName = some(flat.FullName(p.Res))
	}
}

// theBed is a bed by its id of the product API, with its Location as the caller sees it. NotFound.
func (s *Service) theBed(ctx context.Context, id string) (*bedRow, *flat.Record, error) {
	r, err := s.Records.Read(ctx, "Location", id)
	if err != nil {
		return nil, nil, missing(err, "bed")
	}
	b, err := s.bed(ctx, r.Version.ID)
	return b, r, err
}

// missing says what there is not in the words of the product API.
func missing(err error, what string) error {
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Gone) {
		return fault.New(fault.NotFound, "there is no %s with this id", what)
	}
	return err
}

// oneBed is a bed in full, with what its Location alone says.
func (s *Service) oneBed(ctx context.Context, id string) (*bedJSON, error) {
	b, r, err := s.theBed(ctx, id)
	if err != nil {
		return nil, err
	}
	all, err := s.tellBeds(ctx, []bedRow{*b}, true)
	if err != nil {
		return nil, err
	}
	all[0].Location, all[0].Notes = some(r.Res.Str("description")), some(extension(r.Res.Node, notesURL, "valueString"))
	return &all[0], nil
}
