package clinical

import (
	"slices"

	"github.com/nilecare/nilecare/internal/event"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/flat"
)

// The data of the events. They hold ids of the product API and codes, and no text that somebody wrote.

// EncounterData is what events of encounters tell.
type EncounterData struct {
	EncounterID    string `json:"encounterId"`
	PatientID      string `json:"patientId"`
	ProviderID     string `json:"providerId,omitempty"`
	OrganizationID string `json:"organizationId,omitempty"` // the facility, or its department
	AppointmentID  string `json:"appointmentId,omitempty"`
	Type           string `json:"type"`
	Status         string `json:"status"`
}

// DiagnosisData is what diagnosis.added tells.
type DiagnosisData struct {
	ConditionID string `json:"conditionId"`
	PatientID   string `json:"patientId"`
	EncounterID string `json:"encounterId,omitempty"`
	Code        string `json:"code,omitempty"` // ICD-10
	Category    string `json:"category,omitempty"`
}

// AllergyData is what allergy.added tells.
type AllergyData struct {
	AllergyID   string `json:"allergyId"`
	PatientID   string `json:"patientId"`
	Category    string `json:"category,omitempty"`
	Criticality string `json:"criticality,omitempty"`
}

// NoteData is what events of notes tell.
type NoteData struct {
	NoteID      string `json:"noteId"`
	PatientID   string `json:"patientId"`
	EncounterID string `json:"encounterId,omitempty"`
	AuthorID    string `json:"authorId,omitempty"`
	SignerID    string `json:"signerId,omitempty"`
	Type        string `json:"type"`
}

// ReferralData is what events of referrals tell.
type ReferralData struct {
	ReferralID     string `json:"referralId"`
	PatientID      string `json:"patientId"`
	RequesterID    string `json:"requesterId,omitempty"`
	ProviderID     string `json:"providerId,omitempty"`
	OrganizationID string `json:"organizationId,omitempty"`
	Urgency        string `json:"urgency,omitempty"`
	Status         string `json:"status"`
}

// recordSource says what changes of those records mean.
func recordSource() event.Source {
	kind := func(name, topic, summary string, data any) event.Kind {
		return event.Kind{Name: name, Topic: topic, Version: 1, Summary: summary, Data: data}
	}
	clinical, patients := event.ClinicalEvents, event.PatientEvents
	return event.Source{
		Kinds: []event.Kind{
			kind("encounter.created", clinical, "An encounter was planned or begun", EncounterData{}),
			kind("encounter.started", clinical, "An encounter is in progress", EncounterData{}),
			kind("encounter.completed", clinical, "An encounter is finished", EncounterData{}),
			kind("encounter.cancelled", clinical, "An encounter does not take place, or was entered in error", EncounterData{}),
			kind("encounter.updated", clinical, "An encounter changed otherwise", EncounterData{}),
			kind("patient.admitted", patients, "A patient was admitted: an inpatient encounter is under way", EncounterData{}),
			kind("patient.discharged", patients, "A patient was discharged: an inpatient encounter is finished", EncounterData{}),
			kind("diagnosis.added", clinical, "A condition was noted", DiagnosisData{}),
			kind("allergy.added", clinical, "An allergy was noted", AllergyData{}),
			kind("note.signed", clinical, "A note was signed: it is final", NoteData{}),
			kind("note.amended", clinical, "A signed note was amended", NoteData{}),
			kind("referral.created", clinical, "A patient was referred", ReferralData{}),
			kind("referral.updated", clinical, "A referral changed, or its state did", ReferralData{}),
		},
		Types: []string{"Encounter", "Condition", "AllergyIntolerance", "Composition", "ServiceRequest", "Task"},
		Tell: func(c event.Change) []event.Fact {
			if c.New == nil {
				return nil // a delete, or an erasure: there is nothing left to tell of
			}
			switch c.Type {
			case "Encounter":
				return tellEncounter(&c)
			case "Condition":
				return tellDiagnosis(&c)
			case "AllergyIntolerance":
				return tellAllergy(&c)
			case "Composition":
				return tellNote(&c)
			case "ServiceRequest":
				return tellReferral(&c)
			case "Task":
				return tellReferralState(&c)
			}
			return nil
		},
	}
}

// staffOf are the references to practitioners among those.
func staffOf(refs ...string) []string {
	var out []string
	for _, ref := range refs {
		if typ, _, ok := fhir.SplitReference(ref, ""); ok && typ == "Practitioner" && !slices.Contains(out, ref) {
			out = append(out, ref)
		}
	}
	return out
}

func str(r *fhir.Resource, name string) string {
	if r == nil {
		return ""
	}
	return r.Str(name)
}

func inpatient(e *fhir.Resource) bool {
	return e != nil && e.Get("class") != nil && typeOfClass(e.Get("class").Str("code")) == "inpatient"
}

// admitted reports an inpatient encounter that is under way.
func admitted(e *fhir.Resource) bool {
	return inpatient(e) && slices.Contains(underWay, e.Str("status"))
}

func tellEncounter(c *event.Change) []event.Fact {
	e := c.New
	patient, provider := flat.RefOf(e.Get("subject")), providerOf(e)
	data := EncounterData{EncounterID: c.Self(), PatientID: c.Key(patient), ProviderID: c.Key(provider), OrganizationID: c.Key(flat.RefOf(e.Get("serviceProvider"))),
		Status: encounterStatuses.name(e.Str("status"))}
	if class := e.Get("class"); class != nil {
		data.Type = typeOfClass(class.Str("code"))
	}
	if a := flat.Items(e.Get("appointment")); len(a) > 0 {
		data.AppointmentID = c.Key(flat.RefOf(a[0]))
	}
	var facts []event.Fact
	add := func(kind string) {
		facts = append(facts, event.Fact{Kind: kind, Patient: patient, Staff: staffOf(provider), Data: data})
	}
	from, to := str(c.Old, "status"), e.Str("status")
	if c.Old == nil {
		add("encounter.created")
	}
	switch {
	case from != to && to == "in-progress" && from != "onleave":
		add("encounter.started")
	case from != to && to == "finished":
		add("encounter.completed")
	case from != to && (to == "cancelled" || to == "entered-in-error"):
		add("encounter.cancelled")
	case c.Old != nil:
		add("encounter.updated")
	}
	if admitted(e) && !admitted(c.Old) {
		add("patient.admitted")
	}
	if inpatient(e) && to == "finished" && admitted(c.Old) {
		add("patient.discharged")
	}
	return facts
}

func tellDiagnosis(c *event.Change) []event.Fact {
	n := c.New
	if c.Old != nil || flat.Code(n.Get("verificationStatus"), conditionVerified) == "entered-in-error" {
		return nil
	}
	patient := flat.RefOf(n.Get("subject"))
	data := DiagnosisData{ConditionID: c.Self(), PatientID: c.Key(patient), EncounterID: c.Key(flat.RefOf(n.Get("encounter"))), Code: flat.Code(n.Get("code"), icd10)}
	if all := codesOf(n.Get("category")); len(all) > 0 {
		data.Category = all[0]
	}
	return []event.Fact{{Kind: "diagnosis.added", Patient: patient, Staff: staffOf(flat.RefOf(n.Get("recorder"))), Data: data}}
}

// allergic reports a record that says that the patient is allergic to something now.
func allergic(n *fhir.Resource) bool {
	if n == nil || flat.Code(n.Get("clinicalStatus"), allergyClinical) != "active" {
		return false
	}
	_, none := noKnowns[flat.Code(n.Get("code"), snomed)]
	return !none && flat.Code(n.Get("verificationStatus"), allergyVerified) != "refuted"
}

func tellAllergy(c *event.Change) []event.Fact {
	n := c.New
	if !allergic(n) || allergic(c.Old) {
		return nil
	}
	patient := flat.RefOf(n.Get("patient"))
	data := AllergyData{AllergyID: c.Self(), PatientID: c.Key(patient), Criticality: n.Str("criticality")}
	if all := flat.Items(n.Get("category")); len(all) > 0 {
		data.Category = all[0].Text
	}
	return []event.Fact{{Kind: "allergy.added", Patient: patient, Staff: staffOf(flat.RefOf(n.Get("recorder"))), Data: data}}
}

func tellNote(c *event.Change) []event.Fact {
	n := c.New
	kind := ""
	added := len(flat.Items(n.Get("attester")))
	if c.Old != nil {
		added -= len(flat.Items(c.Old.Get("attester")))
	}
	switch from, to := str(c.Old, "status"), n.Str("status"); {
	case to == "final" && from != "final":
		kind = "note.signed"
	case to == "amended" && (from != "amended" || !sameMember(c.Old, n, "section")):
		kind = "note.amended"
	default:
		return nil
	}
	patient, author, signer := flat.RefOf(n.Get("subject")), "", ""
	if all := flat.Items(n.Get("author")); len(all) > 0 {
		author = flat.RefOf(all[0])
	}
	if all := flat.Items(n.Get("attester")); added > 0 && len(all) > 0 {
		signer = flat.RefOf(all[len(all)-1].Get("party"))
	}
	data := NoteData{NoteID: c.Self(), PatientID: c.Key(patient), EncounterID: c.Key(flat.RefOf(n.Get("encounter"))), AuthorID: c.Key(author), SignerID: c.Key(signer), Type: kindOfNote(n).name}
	return []event.Fact{{Kind: kind, Patient: patient, Staff: staffOf(author, signer), Data: data}}
}

func tellReferral(c *event.Change) []event.Fact {
	o := c.New
	if !isReferral(o) {
		return nil
	}
	patient, requester := flat.RefOf(o.Get("subject")), flat.RefOf(o.Get("requester"))
	data := ReferralData{ReferralID: c.Self(), PatientID: c.Key(patient), RequesterID: c.Key(requester), Urgency: o.Str("priority"), Status: stateOfOrder[o.Str("status")]}
	staff := []string{requester}
	for _, p := range flat.Items(o.Get("performer")) {
		ref := flat.RefOf(p)
		staff = append(staff, ref)
		if typ, _, ok := fhir.SplitReference(ref, ""); ok && typ == "Practitioner" {
			data.ProviderID = c.Key(ref)
		} else if ok && typ == "Organization" {
			data.OrganizationID = c.Key(ref)
		}
	}
	kind := "referral.created"
	if c.Old != nil {
		if sameBut(c.Old, o, "status") { // what became of it, its task tells
			return nil
		}
		kind = "referral.updated"
	}
	return []event.Fact{{Kind: kind, Patient: patient, Staff: staffOf(staff...), Data: data}}
}

// tellReferralState tells of a referral's task that its state changed.
func tellReferralState(c *event.Change) []event.Fact {
	t := c.New
	if flat.Code(t.Get("code"), taskSystem) != "referral" || c.Old == nil {
		return nil
	}
	state := stateOfTask[t.Str("status")]
	if state == stateOfTask[c.Old.Str("status")] {
		return nil
	}
	patient, requester, owner := flat.RefOf(t.Get("for")), flat.RefOf(t.Get("requester")), flat.RefOf(t.Get("owner"))
	data := ReferralData{ReferralID: c.Key(flat.RefOf(t.Get("focus"))), PatientID: c.Key(patient), RequesterID: c.Key(requester), Urgency: t.Str("priority"), Status: state}
	if typ, _, ok := fhir.SplitReference(owner, ""); ok && typ == "Practitioner" {
		data.ProviderID = c.Key(owner)
	} else if ok && typ == "Organization" {
		data.OrganizationID = c.Key(owner)
	}
	return []event.Fact{{Kind: "referral.updated", Patient: patient, Staff: staffOf(requester, owner), Data: data}}
}
