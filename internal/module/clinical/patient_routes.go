package clinical

import (
	"github.com/nilecare/nilecare/internal/web/api"
)

// patientFilters are the query parameters of listings of patients.
func patientFilters() []api.Param {
	return append([]api.Param{
		{Name: "search", Help: "a name, phone number, e-mail address, national id or medical record number; what is looked for so stands in the address: POST …/search keeps it out"},
		{Name: "q", Help: "the same as search"},
		{Name: "name", Help: "a name, in Arabic or Latin letters, however it is spelled"},
		{Name: "typing", Type: api.Truth, Help: "the last word of the name may be a beginning"},
		{Name: "gender", Enum: genders},
		{Name: "minAge", Type: api.Whole, Most: 150}, {Name: "maxAge", Type: api.Whole, Most: 150},
		{Name: "bloodType", Enum: bloodTypes},
		{Name: "active", Type: api.Truth}, {Name: "hasAllergies", Type: api.Truth, Help: "true: patients with an active entry; one that says that none is known counts"},
		{Name: "hasMedicalConditions", Type: api.Truth},
		{Name: "dateFrom", Type: api.DateTime, Help: "first day of registration"}, {Name: "dateTo", Type: api.DateTime, Help: "last day of registration"},
		{Name: "sort", Enum: []string{"-updatedAt", "name", "dateOfBirth"}, Help: "of a listing without a name, which is sorted by how well names fit"},
	}, textParam("phone", "phoneNumber", "email", "nationalId", "mrn", "birthDate", "dateOfBirth", "city", "state", "facilityId")...)
}

// patientRoutes are the lines of the product API about patients.
func (s *Service) patientRoutes() []api.Route {
	const base = "/api/v1/patients"
	one := base + "/{id}"
	list := func(path, summary string) api.Route {
		r := line("GET", path, "patients:read", summary, nil, patientList{}, s.servePatients, api.Paged(patientFilters()...)...)
		r.Exports = true
		return r
	}
	searching := line("POST", base+"/search", "patients:read", "Search patients: what is looked for stands in the body", patientSearchIn{}, patientList{}, s.searchPatients)
	searching.Once = api.Unkeyed
	drafting := line("POST", base+"/duplicates", "patients:read", "Patients who may be the person that is about to be registered", patientIn{}, duplicatesOut{}, s.draftDuplicates)
	drafting.Once = api.Unkeyed
	return append([]api.Route{
		list(base, "Patients, those changed last first"),
		list(base+"/search", "Search patients"),
		searching,
		line("POST", base, "patients:create", "Register a patient", patientIn{}, patientOne{}, s.createPatient,
			api.Param{Name: "onDuplicate", Enum: []string{"warn", "refuse"}, Help: "refuse: do not register who is likely here already"}),
		line("GET", one, "patients:read", "One patient", nil, patientOne{}, s.servePatient),
		line("PUT", one, "patients:update", "Change a patient: the fields that are sent", patientIn{}, patientOne{}, s.updatePatient),
		line("PATCH", one, "patients:update", "Change a patient: the fields that are sent", patientIn{}, patientOne{}, s.updatePatient),
		line("DELETE", one, "patients:delete", "Delete a patient, so that it can be restored", nil, deletedOut{}, s.deletePatient),
		line("POST", one+"/restore", "patients:delete", "Bring a deleted patient back", nil, patientOne{}, s.restorePatient),
		line("GET", one+"/history", "patients:read", "The versions of a patient, the newest first", nil, historyOut{}, s.serveHistory, api.Paged()...),
		line("GET", one+"/duplicates", "patients:read", "Patients who may be the same person", nil, duplicatesOut{}, s.serveDuplicates),
		drafting,
		line("POST", one+"/merge", "patients:merge", "Merge a patient into another, or another into it", mergeIn{}, mergeOut{}, s.mergePatient),
		line("POST", one+"/unmerge", "patients:merge", "Undo the merge of a patient", unmergeIn{}, mergeOut{}, s.unmergePatient),
		line("GET", one+"/merges", "patients:read", "The merges that a patient was part of", nil, mergesOut{}, s.serveMerges),
		line("POST", "/api/v1/bulk/patients", "patients:create", "Register and change many patients", api.BulkIn, api.BulkOut{}, s.bulkPatients),
		line("DELETE", "/api/v1/bulk/patients", "patients:delete", "Delete many patients", idsIn{}, affectedOut{}, s.deletePatients),
		line("GET", "/api/v1/stats/patients", "patients:read", "Figures about patients", nil, patientStats{}, s.servePatientStats),
	}, s.mrnRoutes()...)
}
