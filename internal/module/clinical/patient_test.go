package clinical_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/module/clinical"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/sqldb"
)

const patientsPath = "/api/v1/patients"

// newFront is what the newer front end sends, and older what the older one does.
func newFront() o {
	return o{
		"firstName": "Mohamed", "lastName": "Elhassan", "email": "m@example.org", "phone": "0912345678", "nationalId": "1234-5678-90", "dateOfBirth": "1985-03-02", "gender": "male",
		"address": "Street 15, Amarat", "city": "Khartoum", "country": "Sudan", "bloodType": "O+",
		"emergencyContact": o{"name": "Amna", "phone": "0123456789", "relationship": "wife"}, "allergies": []string{"Penicillin", "Dust"}, "medicalHistory": []string{"Malaria"},
	}
}

func older() o {
	return o{
		"firstName": "Fatima", "lastName": "Osman", "phoneNumber": "+249987654321", "email": "", "dateOfBirth": "1990-01-31T00:00:00.000Z", "gender": "female",
		"address": o{"street": "", "city": "Omdurman", "state": "Khartoum", "zipCode": "11111", "country": ""}, "emergencyContact": o{"name": "", "relationship": "", "phoneNumber": ""},
		"allergies": []string{}, "medicalHistory": []string{""},
	}
}

func TestBothFrontEndsRegisterAndReadPatients(t *testing.T) {
	eachDesk(t, func(t *testing.T, w *ward) {
		a := w.must(http.StatusCreated, "admin", "POST", patientsPath, newFront())
		id := a.text("data.patient.id")
		a = w.must(http.StatusOK, "admin", "GET", patientsPath+"/"+id, nil)
		a.want(t, o{
			"data.id": id, "data.patient.id": id, "data.patient.firstName": "Mohamed", "data.patient.lastName": "Elhassan", "data.patient.email": "m@example.org",
			"data.patient.phone": "+249912345678", "data.phoneNumber": "+249912345678", "data.patient.nationalId": "1234567890", "data.patient.dateOfBirth": "1985-03-02",
			"data.patient.gender": "male", "data.patient.address": "Street 15, Amarat", "data.address.street": "Street 15, Amarat", "data.address.city": "Khartoum",
			"data.patient.city": "Khartoum", "data.patient.country": "Sudan", "data.patient.bloodType": "O+", "data.patient.emergencyContact.phone": "+249123456789",
			"data.emergencyContact.phoneNumber": "+249123456789", "data.emergencyContact.relationship": "wife", "data.patient.medicalHistory.0": "Malaria", "data.version": 1,
		})
		if got := []string{a.text("data.patient.allergies.0"), a.text("data.patient.allergies.1")}; !slices.Contains(got, "Penicillin") || !slices.Contains(got, "Dust") {
			t.Errorf("allergies: %v", got)
		}
		if mrn := a.text("data.mrn"); a.header.Get("ETag") != `W/"1"` || mrn == "" {
			t.Errorf("ETag %s, MRN %s", a.header.Get("ETag"), mrn)
		}

		b := w.must(http.StatusCreated, "admin", "POST", patientsPath, older())
		other := b.text("data.id")
		w.must(http.StatusOK, "admin", "GET", patientsPath+"/"+other, nil).want(t, o{
			"data.firstName": "Fatima", "data.phoneNumber": "+249987654321", "data.dateOfBirth": "1990-01-31", "data.address.city": "Omdurman", "data.address.zipCode": "11111",
			"data.address.street": "", "data.address.country": "SD", "data.emergencyContact": nil, "data.email": "", "data.bloodType": nil,
		})
		if b.len("data.allergies") != 0 || b.at("data.allergies") == nil || b.at("data.medicalHistory") == nil {
			t.Errorf("lists: %s", b.raw)
		}

		list := w.must(http.StatusOK, "admin", "GET", patientsPath+"?page=1&limit=10&search=", nil)
		list.want(t, o{"pagination.total": 4, "data.pagination.total": 4, "data.patients.0.id": other, "data.patients.1.id": id, "data.patients.1.address": "Street 15, Amarat",
			"data.patients.1.bloodType": "O+", "data.patients.1.medicalHistory.0": "Malaria"})
		if list.len("data.patients.1.allergies") != 2 || list.at("data.patients.0.allergies") == nil {
			t.Errorf("allergies of the listing: %s", list.raw)
		}
	})
}

func TestAllThatIsWrongIsToldAtOnce(t *testing.T) {
	eachDesk(t, func(t *testing.T, w *ward) {
		a := w.must(http.StatusBadRequest, "admin", "POST", patientsPath, o{"firstName": "M", "lastName": "Ali 3", "dateOfBirth": "2999-01-01", "gender": "none", "phone": "12", "email": "x@y",
			"nationalId": "12", "bloodType": "C+", "address": 7, "emergencyContact": o{"name": "x", "phone": "zz"}, "firstNameArabic": "٣"})
		fields := map[string]bool{}
		for i := range a.len("error.details") {
			fields[a.text(fmt.Sprintf("error.details.%d.field", i))] = true
		}
		for _, f := range []string{"firstName", "lastName", "dateOfBirth", "gender", "phone", "email", "nationalId", "bloodType", "address", "emergencyContact.phone", "firstNameArabic"} {
			if !fields[f] {
				t.Errorf("nothing is said of %s: %s", f, a.raw)
			}
		}
		a = w.must(http.StatusBadRequest, "admin", "POST", patientsPath, o{})
		for i, f := range []string{"firstName", "lastName", "dateOfBirth", "gender"} {
			if got := a.text(fmt.Sprintf("error.details.%d.field", i)); got != f {
				t.Errorf("%s is missing, and %q is said", f, got)
			}
		}
		if strings.Contains(a.raw, "Ali") {
			t.Error("a value is told")
		}
		for _, born := range []string{"1879-12-31", "yesterday", "2001-02-30"} {
			w.must(http.StatusBadRequest, "admin", "POST", patientsPath, someone("Amna", "Ali", o{"dateOfBirth": born}))
		}
		for _, born := range []string{"1880-01-01", "1950", "1950-07", time.Now().Format(time.DateOnly)} {
			w.must(http.StatusCreated, "admin", "POST", patientsPath, someone("Amna", "Ali", o{"dateOfBirth": born}))
		}
		w.must(http.StatusBadRequest, "admin", "GET", patientsPath+"?colour=red", nil)
		w.must(http.StatusBadRequest, "admin", "GET", patientsPath+"?gender=purple", nil)
		w.must(http.StatusBadRequest, "admin", "POST", patientsPath+"?onDuplicate=perhaps", newFront())
	})
}

func TestPhonesHaveOneForm(t *testing.T) {
	eachDesk(t, func(t *testing.T, w *ward) {
		for i, c := range []struct{ said, kept string }{
			{"0912345678", "+249912345678"}, {"+249 912 345 678", "+249912345678"}, {"00249912345678", "+249912345678"}, {"249912345678", "+249912345678"}, {"912345678", "+249912345678"},
			{"+2490912345678", "+249912345678"}, {"٠٩١٢٣٤٥٦٧٨", "+249912345678"}, {"(091) 234-5678", "+249912345678"}, {"+966501234567", "+966501234567"}, {"0812345678", ""}, {"+249512345678", ""}, {"+1", ""}, {"phone", ""},
		} {
			a := w.do("admin", "POST", patientsPath, someone("Amna", "Number"+string(rune('a'+i)), o{"phone": c.said}))
			if c.kept == "" && a.status != http.StatusBadRequest || c.kept != "" && a.text("data.phone") != c.kept {
				t.Errorf("%s: %d %s", c.said, a.status, a.text("data.phone"))
			}
		}
	})
}

func TestAChangeChangesWhatIsSent(t *testing.T) {
	eachDesk(t, func(t *testing.T, w *ward) {
		id := w.must(http.StatusCreated, "admin", "POST", patientsPath, newFront()).text("data.id")
		path := patientsPath + "/" + id
		w.must(http.StatusOK, "admin", "PUT", path, o{"city": "Port Sudan", "email": ""}).want(t, o{"data.patient.city": "Port Sudan", "data.patient.email": "", "data.patient.firstName": "Mohamed",
			"data.patient.address": "Street 15, Amarat", "data.patient.bloodType": "O+", "data.version": 2})
		a := w.must(http.StatusOK, "admin", "PUT", path, o{"allergies": []string{"penicillin", "Latex"}, "medicalHistory": []string{}, "bloodType": "A-"})
		if a.len("data.allergies") != 2 || a.len("data.medicalHistory") != 0 || a.text("data.bloodType") != "A-" {
			t.Errorf("%s", a.raw)
		}
		// What is gone became inactive, and the blood group was corrected: nothing is lost.
		found, err := w.records.Count(w.as("system"), "AllergyIntolerance", "patient", id, "clinical-status", "inactive")
		if err != nil || found != 1 {
			t.Errorf("%d inactive allergies, %v", found, err)
		}
		found, err = w.records.Count(w.as("system"), "Observation", "patient", id, "status", "corrected")
		if err != nil || found != 1 {
			t.Errorf("%d corrected blood groups, %v", found, err)
		}
		// The whole form comes back as it was read: nothing changes.
		before := w.must(http.StatusOK, "admin", "GET", path, nil)
		again := w.must(http.StatusOK, "admin", "PUT", path, before.at("data.patient"))
		if again.at("data.version") != before.at("data.version") || again.len("data.allergies") != 2 {
			t.Errorf("%s\n%s", before.raw, again.raw)
		}
		w.must(http.StatusPreconditionFailed, "admin", "PUT", path, o{"city": "Kassala"}, "If-Match", `W/"1"`)
		w.must(http.StatusOK, "admin", "PATCH", path, o{"city": "Kassala"}, "If-Match", before.header.Get("ETag"))
		w.must(http.StatusNotFound, "admin", "PUT", patientsPath+"/123", o{"city": "Kassala"}).want(t, o{"error.code": "PATIENT_NOT_FOUND"})
	})
}

func TestOneNationalIDIsOnePatients(t *testing.T) {
	eachDesk(t, func(t *testing.T, w *ward) {
		id := w.enrol("Mohamed", "Elhassan", o{"nationalId": "119-0000-1234"})
		a := w.must(http.StatusConflict, "admin", "POST", patientsPath, someone("Other", "Person", o{"nationalId": "11900001234"}))
		a.want(t, o{"error.code": "DUPLICATE_ENTRY", "error.details.0.field": "nationalId"})
		if !strings.Contains(a.raw, id) {
			t.Errorf("the holder is not named: %s", a.raw)
		}
		// The other door is the same rule's.
		err := w.putAs("admin", "Patient", "elsewhere", o{"identifier": []o{{"system": "urn:x-nilecare:national-id", "value": "1190 0001 234"}}})
		if !fault.Is(err, fault.Conflict) {
			t.Errorf("by the FHIR API: %v", err)
		}
		if err := w.patchAs("admin", "Patient", w.enrol("Third", "Person"), func(r *fhir.Resource) {
			must(t, appendIdentifier(r, "NI", "", "11900001234"))
		}); !fault.Is(err, fault.Conflict) {
			t.Errorf("by a patch: %v", err)
		}
		// It is free again once it is gone.
		w.must(http.StatusOK, "admin", "PUT", patientsPath+"/"+id, o{"nationalId": ""})
		next := w.enrol("Other", "Person", o{"nationalId": "11900001234"})
		w.must(http.StatusOK, "admin", "DELETE", patientsPath+"/"+next, nil)
		w.must(http.StatusOK, "admin", "PUT", patientsPath+"/"+id, o{"nationalId": "11900001234"})
		w.must(http.StatusConflict, "admin", "POST", patientsPath+"/"+next+"/restore", nil).want(t, o{"error.code": "DUPLICATE_ENTRY"})
	})
}

func TestOfManyRegistrationsWithOneNationalIDOneSucceeds(t *testing.T) {
	eachDesk(t, func(t *testing.T, w *ward) {
		var all sync.WaitGroup
		status := make([]int, 50)
		for i := range status {
			all.Go(func() {
				status[i] = w.do("admin", "POST", patientsPath, someone("Racer", "Number", o{"nationalId": "999888777"})).status
			})
		}
		all.Wait()
		made := 0
		for _, s := range status {
			switch s {
			case http.StatusCreated:
				made++
			case http.StatusConflict:
			default:
				t.Errorf("status %d", s)
			}
		}
		if made != 1 {
			t.Errorf("%d were registered", made)
		}
	})
}

func TestMedicalRecordNumbersAreUnique(t *testing.T) {
	eachDesk(t, func(t *testing.T, w *ward) {
		f1, f2 := w.key("Organization", "f1"), w.key("Organization", "f2")
		w.must(http.StatusOK, "admin", "PUT", "/api/v1/mrn-formats/"+f1, o{"width": 5, "checkDigit": "luhn"}).want(t, o{"data.prefix": "KTH-", "data.width": 5, "data.next": 1})
		w.must(http.StatusConflict, "admin", "PUT", "/api/v1/mrn-formats/"+f2, o{"prefix": "KTH-"}).want(t, o{"error.code": "MRN_PREFIX_TAKEN"})
		w.must(http.StatusBadRequest, "admin", "PUT", "/api/v1/mrn-formats/"+f1, o{"width": 2, "checkDigit": "sum", "prefix": "a b"})
		w.must(http.StatusForbidden, "d1", "PUT", "/api/v1/mrn-formats/"+f1, o{"width": 5})
		first := w.must(http.StatusCreated, "admin", "POST", patientsPath, someone("Amna", "Ali", o{"facilityId": f1}))
		if got := first.text("data.mrn"); got != "KTH-000018" {
			t.Errorf("the first number is %s", got)
		}
		first.want(t, o{"data.facilityId": f1, "data.mrns.0.facilityId": f1})
		var all sync.WaitGroup
		numbers := make([]string, 40)
		for i := range numbers {
			f := f1
			if i%2 == 0 {
				f = f2
			}
			all.Go(func() {
				numbers[i] = w.do("admin", "POST", patientsPath, someone("Racer", "Number", o{"facilityId": f})).text("data.mrn")
			})
		}
		all.Wait()
		slices.Sort(numbers)
		if n := len(slices.Compact(slices.Clone(numbers))); n != 40 || numbers[0] == "" {
			t.Errorf("%d different numbers of 40: %v", n, numbers)
		}
		// A patient of one facility who comes to another gets a number there, once.
		id := first.text("data.id")
		w.must(http.StatusOK, "admin", "POST", patientsPath+"/"+id+"/mrn", o{"facilityId": f2}).want(t, o{"data.mrn": first.text("data.mrn"), "data.mrns.1.facilityId": f2})
		w.must(http.StatusConflict, "admin", "POST", patientsPath+"/"+id+"/mrn", o{"facilityId": f2})
		w.must(http.StatusUnprocessableEntity, "admin", "POST", patientsPath, someone("Amna", "Ali", o{"facilityId": "99"}))
		// A number that the patient has already is kept, and is nobody else's.
		w.must(http.StatusCreated, "admin", "POST", patientsPath, someone("Old", "Paper", o{"facilityId": f1, "mrn": "OLD-7"})).want(t, o{"data.mrn": "OLD-7"})
		w.must(http.StatusConflict, "admin", "POST", patientsPath, someone("Other", "Paper", o{"facilityId": f1, "mrn": "old 7"})).want(t, o{"error.code": "DUPLICATE_ENTRY", "error.details.0.field": "mrn"})
		w.must(http.StatusCreated, "admin", "POST", patientsPath, someone("Other", "Paper", o{"facilityId": f2, "mrn": "OLD-7"}))
	})
}

func TestDeletedPatientsComeBack(t *testing.T) {
	eachDesk(t, func(t *testing.T, w *ward) {
		id := w.enrol("Zulfigar", "Mirghani", o{"nationalId": "55555555501"})
		path := patientsPath + "/" + id
		w.must(http.StatusForbidden, "d1", "DELETE", path, nil)
		w.must(http.StatusForbidden, "desk", "DELETE", path, nil)
		w.must(http.StatusCreated, "d1", "POST", "/api/v1/encounters", o{"patientId": id, "type": "outpatient", "chiefComplaint": "cough", "status": "in_progress"})
		w.must(http.StatusConflict, "admin", "DELETE", path, nil).want(t, o{"error.code": "PATIENT_IN_CARE"})
		other := w.enrol("Zulfigar", "Hamdi")
		w.must(http.StatusPreconditionFailed, "admin", "DELETE", patientsPath+"/"+other, nil, "If-Match", `W/"9"`)
		w.must(http.StatusOK, "admin", "DELETE", patientsPath+"/"+other, nil, "If-Match", `W/"1"`)
		w.must(http.StatusGone, "admin", "GET", patientsPath+"/"+other, nil)
		if got := w.must(http.StatusOK, "admin", "GET", patientsPath+"?name=zulfiqar", nil).ids(); !slices.Equal(got, []string{id}) {
			t.Errorf("found %v", got)
		}
		w.must(http.StatusOK, "admin", "POST", patientsPath+"/"+other+"/restore", nil).want(t, o{"data.lastName": "Hamdi", "data.version": 3})
		w.must(http.StatusConflict, "admin", "POST", patientsPath+"/"+other+"/restore", nil)
		if got := w.must(http.StatusOK, "admin", "GET", patientsPath+"?name=zulfiqar", nil).ids(); len(got) != 2 {
			t.Errorf("found %v", got)
		}
		h := w.must(http.StatusOK, "admin", "GET", patientsPath+"/"+other+"/history", nil)
		h.want(t, o{"data.history.0.operation": "restore", "data.history.1.operation": "delete", "data.history.2.operation": "create"})
	})
}

func TestWhoeverRegistersWritesDownWhatIsTold(t *testing.T) {
	eachDesk(t, func(t *testing.T, w *ward) {
		a := w.must(http.StatusCreated, "desk", "POST", patientsPath, newFront())
		if a.len("data.allergies") != 2 || a.text("data.bloodType") != "O+" {
			t.Errorf("the answer to the registration: %s", a.raw)
		}
		path := patientsPath + "/" + a.text("data.id")
		a = w.must(http.StatusOK, "desk", "GET", path, nil)
		if a.len("data.allergies") != 0 || a.len("data.withheld") != 3 {
			t.Errorf("what the desk sees: %s", a.raw)
		}
		if a = w.must(http.StatusOK, "d1", "GET", path, nil); a.len("data.allergies") != 2 || a.at("data.withheld") != nil {
			t.Errorf("what a doctor sees: %s", a.raw)
		}
		// The form of somebody who does not see the allergies must not take them away.
		w.must(http.StatusOK, "desk", "PUT", path, o{"city": "Atbara", "allergies": []string{}, "medicalHistory": []string{}})
		if a = w.must(http.StatusOK, "d1", "GET", path, nil); a.len("data.allergies") != 2 || a.text("data.city") != "" && a.text("data.patient.city") != "Atbara" {
			t.Errorf("after the desk's change: %s", a.raw)
		}
		w.must(http.StatusForbidden, "desk", "PUT", path, o{"allergies": []string{"Nuts"}}).want(t, o{"error.details.0.field": "allergies"})
		w.must(http.StatusForbidden, "n1", "POST", patientsPath, newFront())
		w.must(http.StatusForbidden, "p1", "GET", patientsPath, nil)
		w.must(http.StatusUnauthorized, "", "GET", patientsPath, nil)
	})
}

func TestManyAtOnceHaveAnOutcomeEach(t *testing.T) {
	eachDesk(t, func(t *testing.T, w *ward) {
		id := w.enrol("Amna", "Ali")
		a := w.must(http.StatusMultiStatus, "admin", "POST", "/api/v1/bulk/patients", []o{
			someone("Ahmed", "Ali", o{"nationalId": "777777777"}), someone("Ahmed", "Twice", o{"nationalId": "777777777"}), {"id": id, "city": "Kosti"}, {"firstName": "X"}})
		a.want(t, o{"data.succeeded": 2, "data.failed": 2, "data.results.0.status": 201, "data.results.1.status": 409, "data.results.2.status": 200, "data.results.2.data.patient.city": "Kosti",
			"data.results.3.status": 400})
		w.must(http.StatusOK, "admin", "DELETE", "/api/v1/bulk/patients", o{"ids": []string{id, "12"}}).want(t, o{"data.affected": 1, "data.failed.0.id": "12"})
		file := w.must(http.StatusOK, "admin", "GET", patientsPath+"?format=csv", nil)
		if !strings.Contains(file.raw, "firstName") || !strings.Contains(file.raw, "Ahmed") {
			t.Errorf("%s", file.raw)
		}
		file = w.must(http.StatusOK, "admin", "GET", patientsPath+"/search?name=ahmad&format=ndjson", nil)
		if strings.Count(file.raw, "\n") != 1 {
			t.Errorf("%s", file.raw)
		}
	})
}

func TestFiguresOfPatients(t *testing.T) {
	eachDesk(t, func(t *testing.T, w *ward) {
		id := w.enrol("Amna", "Ali")
		w.enrol("Huda", "Ali", o{"active": false})
		w.must(http.StatusCreated, "d1", "POST", "/api/v1/encounters", o{"patientId": id, "type": "outpatient", "chiefComplaint": "cough", "status": "in_progress"})
		w.must(http.StatusOK, "admin", "GET", "/api/v1/stats/patients", nil).want(t, o{"data.totalPatients": 4, "data.newThisMonth": 4, "data.activeToday": 1, "data.activePatients": 3})
	})
}

func TestPatientsOfBeforeAreAdopted(t *testing.T) {
	eachDesk(t, func(t *testing.T, w *ward) {
		id := w.enrol("Khadija", "Idris", o{"nationalId": "123123123"})
		l := w.store.Ledger()
		must(t, l.Update(w.as("system"), 1, func(tx record.Tx) error {
			for _, table := range []string{"clinical_patient", "clinical_patient_key", "clinical_name", "clinical_identifier"} {
				if _, err := tx.Exec(w.as("system"), "DELETE FROM "+table+" WHERE tenant = 1"); err != nil {
					return err
				}
			}
			return nil
		}))
		if got := w.must(http.StatusOK, "admin", "GET", patientsPath+"?name=خديجة", nil).ids(); len(got) != 0 {
			t.Fatalf("found %v", got)
		}
		must(t, w.store.Adopt(w.as("system"), "clinical", []string{"Patient"}, adoptOf(l)))
		if got := w.must(http.StatusOK, "admin", "GET", patientsPath+"?name=خديجة", nil).ids(); !slices.Equal(got, []string{id}) {
			t.Errorf("found %v", got)
		}
		w.must(http.StatusConflict, "admin", "POST", patientsPath, someone("Other", "Person", o{"nationalId": "123123123"}))
	})
}

func TestAnErasedPatientLeavesNoNameInTheLedger(t *testing.T) {
	eachDesk(t, func(t *testing.T, w *ward) {
		id := w.enrol("Zulfigar", "Mirghani", o{"nationalId": "123123123", "allergies": []string{"Dust"}})
		gone, err := w.store.Erase(w.as("system"), id)
		must(t, err)
		if gone != 2 {
			t.Errorf("%d records went", gone)
		}
		must(t, w.store.Ledger().View(w.as("system"), 1, func(q sqldb.Querier) error {
			for sql, want := range map[string]int{"SELECT count(*) FROM clinical_patient WHERE tenant = 1 AND patient = '" + id + "' AND names = '' AND born = 0 AND deleted_at > 0": 1,
				"SELECT count(*) FROM clinical_patient_key WHERE tenant = 1 AND num = " + id: 0, "SELECT count(*) FROM clinical_identifier WHERE tenant = 1 AND num = " + id: 0} {
				n := -1
				if _, err := sqldb.QueryRow(w.as("system"), q, []any{&n}, sql); err != nil || n != want {
					t.Errorf("%s: %d, %v", sql, n, err)
				}
			}
			return nil
		}))
		w.enrol("Zulfigar", "Again", o{"nationalId": "123123123"})
	})
}

// Personal data stands in no table of the module in clear, but for names as consonants.
func TestTheLedgerHoldsNoNumbersInClear(t *testing.T) {
	eachDesk(t, func(t *testing.T, w *ward) {
		a := w.enrol("Mohamed", "Elhassan", o{"nationalId": "119123456", "phone": "0912345678", "email": "m@example.org"})
		w.must(http.StatusOK, "admin", "POST", patientsPath+"/"+a+"/merge", o{"into": w.enrol("Other", "Person"), "reason": "a Secret reason"})
		must(t, w.store.Ledger().View(w.as("system"), 1, func(q sqldb.Querier) error {
			for _, table := range clinical.Tables() {
				err := sqldb.Each(w.as("system"), q, func(rows sqldb.Rows) error {
					all := make([]any, len(table.Columns))
					for i := range all {
						var v any
						all[i] = &v
					}
					if err := rows.Scan(all...); err != nil {
						return err
					}
					for i, v := range all {
						text := fmt.Sprintf("%s", *v.(*any))
						for _, secret := range []string{"119123456", "912345678", "example", "Secret", "Mohamed", "mohamed", "elhassan"} {
							if strings.Contains(text, secret) {
								t.Errorf("%s.%s has %s", table.Name, table.Columns[i], secret)
							}
						}
					}
					return nil
				}, "SELECT "+strings.Join(table.Columns, ", ")+" FROM "+table.Name)
				if err != nil {
					return err
				}
			}
			return nil
		}))
	})
}
