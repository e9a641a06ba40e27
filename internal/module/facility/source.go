package facility

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/event"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// The data of the module's events. Ids are the product API's.
type (
	// FacilityEvent is that of facility.created and facility.updated.
	FacilityEvent struct {
		FacilityID string `json:"facilityId"`
		Type       string `json:"type"`
		Status     string `json:"status"`
	}
	// DepartmentEvent is that of department.created and department.updated.
	DepartmentEvent struct {
		DepartmentID string `json:"departmentId"`
		FacilityID   string `json:"facilityId"`
		Status       string `json:"status"`
	}
	// WardEvent is that of ward.created and ward.updated.
	WardEvent struct {
		WardID       string `json:"wardId"`
		DepartmentID string `json:"departmentId"`
		Status       string `json:"status"`
	}
	// CapacityEvent is that of ward.capacity_updated: by how much the ward's beds, and those of them that are occupied, became more.
	CapacityEvent struct {
		WardID         string `json:"wardId"`
		BedID          string `json:"bedId"`
		BedsChange     int    `json:"bedsChange"`
		OccupiedChange int    `json:"occupiedChange"`
	}
	// BedEvent is that of bed.created.
	BedEvent struct {
		BedID  string `json:"bedId"`
		WardID string `json:"wardId"`
	}
	// StayEvent is that of bed.assigned and bed.released.
	StayEvent struct {
		BedID       string `json:"bedId"`
		WardID      string `json:"wardId"`
		PatientID   string `json:"patientId"`
		EncounterID string `json:"encounterId"`
	}
	// BedStatusEvent is that of bed.status_changed.
	BedStatusEvent struct {
		BedID  string `json:"bedId"`
		WardID string `json:"wardId"`
		From   string `json:"from"`
		To     string `json:"to"`
	}
)

// Source says what the changes of the module's types mean. The ledger tells it which locations are beds, and of which ward.
func Source(l *record.Ledger) event.Source {
	kind := func(name, summary string, data any) event.Kind {
		return event.Kind{Name: name, Topic: event.FacilityEvents, Version: 1, Summary: summary, Data: data}
	}
	t := teller{l}
	return event.Source{
		Types: Types(),
		Kinds: []event.Kind{
			kind("facility.created", "A facility was opened", FacilityEvent{}), kind("facility.updated", "A facility changed", FacilityEvent{}),
			kind("department.created", "A department was opened", DepartmentEvent{}), kind("department.updated", "A department changed", DepartmentEvent{}),
			kind("ward.created", "A ward was opened", WardEvent{}), kind("ward.updated", "A ward changed", WardEvent{}),
			kind("ward.capacity_updated", "A ward has a bed more or less, or one more or less of its beds is occupied", CapacityEvent{}),
			kind("bed.created", "A bed was set up", BedEvent{}),
			kind("bed.assigned", "A patient was put into a bed", StayEvent{}), kind("bed.released", "A patient left a bed", StayEvent{}),
			kind("bed.status_changed", "A bed came into another state", BedStatusEvent{}),
		},
		Tell: func(c event.Change) []event.Fact {
			switch c.Type {
			case "Organization":
				return tellOrganization(c)
			case "Location":
				return tellLocation(c)
			case "Encounter":
				return t.encounter(c)
			}
			return nil
		},
	}
}

// created is what a kind of thing is told to be: updated where there was one before.
func created(c event.Change, what string) string {
	if c.Old == nil {
		return what + ".created"
	}
	return what + ".updated"
}

// current is the resource after the change, or the last one before its end.
func current(c event.Change) *fhir.Resource {
	if c.New != nil {
		return c.New
	}
	return c.Old
}

func tellOrganization(c event.Change) []event.Fact {
	r := current(c)
	if r == nil {
		return nil
	}
	status := orgStatus(r)
	if c.New == nil {
		status = "inactive"
	}
	switch orgKind(r) {
	case kindFacility:
		class := typeCode(r, facilityTypeSystem)
		if class == "" {
			class = "other"
		}
		return []event.Fact{{Kind: created(c, "facility"), Data: FacilityEvent{c.Self(), class, status}}}
	case kindDepartment:
		return []event.Fact{{Kind: created(c, "department"), Data: DepartmentEvent{c.Self(), keyOf(c, flat.RefOf(r.Get("partOf"))), status}}}
	}
	return nil
}

func keyOf(c event.Change, ref string) string {
	if ref == "" {
		return ""
	}
	return c.Key(ref)
}

func tellLocation(c event.Change) []event.Fact {
	r := current(c)
	if r == nil {
		return nil
	}
	above := keyOf(c, flat.RefOf(r.Get("partOf")))
	switch kindOf(r) {
	case kindWard:
		status := wardStatus(r.Str("status"), nil)
		if c.New == nil {
			status = "closed"
		}
		return []event.Fact{{Kind: created(c, "ward"), Data: WardEvent{c.Self(), keyOf(c, flat.RefOf(r.Get("managingOrganization"))), status}}}
	case kindBed:
		switch {
		case c.Old == nil:
			return []event.Fact{{Kind: "bed.created", Data: BedEvent{c.Self(), above}}, {Kind: "ward.capacity_updated", Data: CapacityEvent{above, c.Self(), 1, 0}}}
		case c.New == nil:
			return []event.Fact{{Kind: "ward.capacity_updated", Data: CapacityEvent{above, c.Self(), -1, 0}}}
		}
		from, to := bedState(c.Old), bedState(c.New)
		if from != to {
			return []event.Fact{{Kind: "bed.status_changed", Data: BedStatusEvent{c.Self(), above, from, to}}}
		}
	}
	return nil
}

// bedState is the state that a bed's Location says; one that is not in use is out of service.
func bedState(r *fhir.Resource) string {
	if s := r.Str("status"); s == "inactive" || s == "suspended" {
		return outOfService
	}
	if s := declared(r); s != "" {
		return s
	}
	return available
}

type teller struct{ l *record.Ledger }

// encounter tells who came to lie where, and who left.
func (t *teller) encounter(c event.Change) []event.Fact {
	r := &ruling{base: t.l.Base()}
	old, now := r.lyingOf(c.Old, c.ID), r.lyingOf(c.New, c.ID)
	same := old.occupant == now.occupant
	var facts []event.Fact
	for _, place := range slices.Sorted(maps.Keys(old.claims)) {
		if _, stays := now.claims[place]; !stays || !same {
			facts = append(facts, t.stay(c, "bed.released", place, old.occupant, -1)...)
		}
	}
	for _, place := range slices.Sorted(maps.Keys(now.claims)) {
		if _, lay := old.claims[place]; !lay || !same {
			facts = append(facts, t.stay(c, "bed.assigned", place, now.occupant, 1)...)
		}
	}
	return facts
}

// stay is nothing where the place is no bed.
func (t *teller) stay(c event.Change, kind, place, occupant string, change int) []event.Fact {
	ward, isBed := t.bed(c.Tenant, place)
	if !isBed {
		return nil
	}
	wardKey := ""
	if ward != "" {
		wardKey = c.Key("Location/" + ward)
	}
	data := StayEvent{BedID: c.Key("Location/" + place), WardID: wardKey, EncounterID: c.Self()}
	patient := ""
	if strings.HasPrefix(occupant, "Patient/") {
		patient, data.PatientID = occupant, c.Key(occupant)
	}
	return []event.Fact{{Kind: kind, Patient: patient, Data: data}, {Kind: "ward.capacity_updated", Data: CapacityEvent{wardKey, data.BedID, 0, change}}}
}

// lookUps is how often the ledger is asked before a change is given up as a dead letter, which an operator can have told again.
const lookUps = 3

// bed looks up whether a place is a bed, or was one, and its ward. The change's own time is not asked: a bed that has moved since is told at its new ward.
func (t *teller) bed(tenant int32, place string) (ward string, isBed bool) {
	ctx := access.With(context.Background(), access.System(tenant))
	var err error
	for range lookUps {
		err = t.l.Read(ctx, tenant, func(q sqldb.Querier) (err error) {
			isBed, err = sqldb.QueryRow(ctx, q, []any{&ward}, `SELECT p.ward FROM facility_bed b JOIN facility_place p ON p.tenant = b.tenant AND p.id = b.id WHERE b.tenant = $1 AND b.id = $2`, tenant, place)
			return err
		})
		if err == nil {
			return ward, isBed
		}
	}
	panic(err) // a source has no other way to say that it cannot tell: nothing would be worse, for nobody would know
}
