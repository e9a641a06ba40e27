package event

import (
	"encoding/json"
	"time"

	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/record"
)

// The topics of the contract.
const (
	PatientEvents     = "patient-events"
	ClinicalEvents    = "clinical-events"
	AppointmentEvents = "appointment-events"
	FacilityEvents    = "facility-events"
	MedicationEvents  = "medication-events"
	LabEvents         = "lab-events"
	BillingEvents     = "billing-events"
)

// Kind is a kind of event.
type Kind struct {
	Name    string // "appointment.created"
	Topic   string
	Version int // of its data's schema, from 1
	Summary string
	Data    any // a zero value of the type of its data: a struct with json tags, whose ids are the product API's
}

// Change is one change of a resource, as a [Source] sees it.
type Change struct {
	Tenant   int32
	Type, ID string // the resource, by its FHIR id
	Op       record.Op
	Old, New *fhir.Resource // nil: there was none before (or it was deleted before), it was deleted
	At       time.Time
	Who      string // as the audit names them: "User/12"
	// Key is the product API's id of a literal reference ("Patient/x"), or of the type and id of this resource; "" where there is none.
	Key func(ref string) string
}

// Self is the product API's id of the changed resource.
func (c *Change) Self() string { return c.Key(c.Type + "/" + c.ID) }

// Fact is what a change means.
type Fact struct {
	Kind    string   // the name of one of the source's kinds
	Patient string   // whom it is about, "Patient/1"; "" nobody
	Staff   []string // whom of the staff it concerns, "Practitioner/1"
	Data    any      // of the kind's type
}

// Source says what the changes of a module's types mean. Tell must be pure: the same change always means the same.
type Source struct {
	Kinds []Kind
	Types []string
	Tell  func(c Change) []Fact
}

// Event is a fact with its place.
type Event struct {
	ID      int64 // of the change: grows
	Part    int   // which of the change's facts, from 0
	Kind    Kind
	Tenant  int32
	Time    time.Time
	Subject string // the resource: "Appointment/12", by FHIR id
	Patient string
	Staff   []string
	Who     string
	Data    json.RawMessage

	source string // whose events these are, as CloudEvents mean it
}
