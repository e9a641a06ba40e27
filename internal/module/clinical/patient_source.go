package clinical

import (
	"slices"

	"github.com/nilecare/nilecare/internal/event"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/flat"
)

// The data of the events about patients. They hold ids and names of fields, and nothing of who the patient is: an event is kept, sent to other systems and written
// into their logs, where an erasure does not reach it. Who needs the name reads it by the id, and is asked who wants to know.

// PatientCreatedData is what patient.created tells.
type PatientCreatedData struct {
	PatientID  string `json:"patientId"`
	FacilityID string `json:"facilityId,omitempty"`
	CreatedBy  string `json:"createdBy"`
}

// PatientUpdatedData is what patient.updated tells.
type PatientUpdatedData struct {
	PatientID string   `json:"patientId"`
	Changes   []string `json:"changes"` // members of the FHIR resource that differ: "telecom", "address"
	UpdatedBy string   `json:"updatedBy"`
}

// PatientDeletedData is what patient.deleted tells.
type PatientDeletedData struct {
	PatientID string `json:"patientId"`
	DeletedBy string `json:"deletedBy"`
}

// PatientMergedData is what patient.merged and patient.unmerged tell.
type PatientMergedData struct {
	PatientID string `json:"patientId"` // the one that was merged away
	TargetID  string `json:"targetId"`  // the one that takes, or took, its place
	By        string `json:"by"`
}

// patientSource says what changes of patients mean.
func patientSource() event.Source {
	kind := func(name, summary string, data any) event.Kind {
		return event.Kind{Name: name, Topic: event.PatientEvents, Version: 1, Summary: summary, Data: data}
	}
	return event.Source{
		Kinds: []event.Kind{
			kind("patient.created", "A patient was registered, or came back after a deletion", PatientCreatedData{}),
			kind("patient.updated", "What is known of a patient changed", PatientUpdatedData{}),
			kind("patient.deleted", "A patient was deleted", PatientDeletedData{}),
			kind("patient.merged", "A patient was merged into another", PatientMergedData{}),
			kind("patient.unmerged", "A merge was undone", PatientMergedData{}),
		},
		Types: []string{"Patient"},
		Tell:  tellPatientChange,
	}
}

func tellPatientChange(c event.Change) []event.Fact {
	fact := func(kind string, data any) []event.Fact {
		return []event.Fact{{Kind: kind, Patient: "Patient/" + c.ID, Data: data}}
	}
	switch {
	case c.New == nil:
		return fact("patient.deleted", PatientDeletedData{c.Self(), c.Who})
	case c.Old == nil:
		facility := ""
		if ref := flat.RefOf(c.New.Get("managingOrganization")); ref != "" {
			facility = c.Key(ref)
		}
		return fact("patient.created", PatientCreatedData{c.Self(), facility, c.Who})
	}
	was, now := replacedBy(c.Old), replacedBy(c.New)
	switch {
	case was != now && now != "":
		return fact("patient.merged", PatientMergedData{c.Self(), c.Key("Patient/" + now), c.Who})
	case was != now:
		return fact("patient.unmerged", PatientMergedData{c.Self(), c.Key("Patient/" + was), c.Who})
	}
	return fact("patient.updated", PatientUpdatedData{c.Self(), changedMembers(c.Old, c.New), c.Who})
}

// changedMembers names the members that differ, in order.
func changedMembers(old, new *fhir.Resource) []string {
	names := []string{}
	for _, pair := range [][2]*fhir.Resource{{old, new}, {new, old}} {
		for m := pair[0].First(); m != nil; m = m.Next() {
			if m.Name == "meta" || m.Name == "id" || slices.Contains(names, m.Name) {
				continue
			}
			if other := pair[1].Get(m.Name); other == nil || !other.Equal(m) {
				names = append(names, m.Name)
			}
		}
	}
	slices.Sort(names)
	return names
}
