package clinical_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/flat"
)

// look searches as somebody and returns the ids.
func (w *ward) look(who, query string) []string {
	w.t.Helper()
	return w.must(http.StatusOK, who, "GET", patientsPath+"/search?"+query, nil).ids()
}

func q(pairs ...string) string {
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v.Encode()
}

func TestNamesAreFoundHoweverTheyAreSpelled(t *testing.T) {
	eachDesk(t, func(t *testing.T, w *ward) {
		mohamed := w.enrol("Mohamed", "Elhassan")
		arabic := w.enrol("محمد", "الحسن")
		both := w.enrol("Abdelrahman", "Eltayeb", o{"firstNameArabic": "عبد الرحمن", "lastNameArabic": "الطيب"})
		hussein := w.enrol("Hussein", "Osman")
		hassan := w.enrol("Hassan", "Osman")
		aisha := w.enrol("عائشة", "قاسم", o{"gender": "female"})
		w.must(http.StatusCreated, "admin", "POST", patientsPath, someone("Deng", "Garang"))
		for _, c := range []struct {
			name string
			want []string
		}{
			{"Muhammad Al-Hasan", []string{mohamed, arabic}}, {"محمد حسن", []string{mohamed, arabic}}, {"elhassan mohammed", []string{mohamed, arabic}},
			{"Abd al-Rahman", []string{both}}, {"عبدالرحمن الطيب", []string{both}}, {"Tayeb Abdul Rahman", []string{both}},
			{"Hussain", []string{hussein}}, {"حسين عثمان", []string{hussein}}, {"Hassan Uthman", []string{hassan}}, {"Othman", []string{hussein, hassan}},
			{"Aysha Gasim", []string{aisha}}, {"Qasim", []string{aisha}}, {"deng", nil}, {"Zulfigar", []string{}},
		} {
			got := w.look("admin", q("name", c.name))
			if c.want == nil {
				if len(got) != 1 {
					t.Errorf("%s: %v", c.name, got)
				}
				continue
			}
			slices.Sort(got)
			want := slices.Sorted(slices.Values(c.want))
			if !slices.Equal(got, want) {
				t.Errorf("%s: found %v, want %v", c.name, got, want)
			}
		}
		// A slip of the pen, where nothing fits better.
		if got := w.look("admin", q("name", "Abdelrahmn Eltayb")); !slices.Equal(got, []string{both}) {
			t.Errorf("a slip of the pen: %v", got)
		}
		// As it is typed.
		for _, typed := range []string{"Abdelra", "عبد الرح", "Abdelrahman Elt", "Hass", "حس"} {
			if got := w.look("admin", q("search", typed)); len(got) == 0 {
				t.Errorf("%s: nothing is found", typed)
			}
		}
		a := w.must(http.StatusOK, "admin", "GET", patientsPath+"/search?"+q("name", "محمد الحسن"), nil)
		a.want(t, o{"data.patients.0.id": arabic, "data.patients.0.reasons.0": "name", "data.patients.0.score": 1, "data.patients.1.id": mohamed, "data.patients.1.reasons.0": "name:spelling", "pagination.total": 2})
	})
}

func TestEitherDoorsPatientsAreFound(t *testing.T) {
	eachDesk(t, func(t *testing.T, w *ward) {
		w.put("Patient", "by-fhir", o{"name": []o{{"text": "خديجة بنت يوسف"}, {"use": "old", "family": "Babiker"}}, "birthDate": "1970-01-01",
			"telecom": []o{{"system": "phone", "value": "0912 000 111"}}, "identifier": []o{{"system": "urn:x-nilecare:national-id", "value": "A12345678"}}})
		id := w.key("Patient", "by-fhir")
		for _, query := range []string{q("name", "Khadiga Youssef"), q("name", "babikir"), q("name", "Khadija", "birthDate", "1970-01-01"), q("nationalId", "a1234-5678"), q("search", "A12345678")} {
			if got := w.look("admin", query); !slices.Equal(got, []string{id}) {
				t.Errorf("%s: found %v", query, got)
			}
		}
		must(t, w.patchAs("admin", "Patient", id, func(r *fhir.Resource) { must(t, flat.Set(r.Node, "name", []any{o{"family": "Zainab"}})) }))
		if got := w.look("admin", q("name", "Khadija")); len(got) != 0 {
			t.Errorf("found by the old name: %v", got)
		}
		if got := w.look("admin", q("name", "زينب")); !slices.Equal(got, []string{id}) {
			t.Errorf("not found by the new name: %v", got)
		}
	})
}

func TestSearchByEverythingElse(t *testing.T) {
	eachDesk(t, func(t *testing.T, w *ward) {
		a := w.must(http.StatusCreated, "admin", "POST", patientsPath, newFront())
		id, mrn := a.text("data.id"), a.text("data.mrn")
		w.enrol("Mohamed", "Other", o{"dateOfBirth": "1985-03-03", "city": "Kassala"})
		for _, query := range []string{
			q("phone", "0912345678"), q("phone", "+249 91 2345678"), q("nationalId", "1234567890"), q("mrn", mrn), q("email", "m@example.org"), q("search", "0912345678"), q("search", "1234-567890"),
			q("search", mrn), q("search", "m@example.org"), q("name", "mohamed", "birthDate", "1985-03-02"), q("name", "mohamed", "bloodType", "O+"), q("bloodType", "O+"), q("city", "Khartoum"),
			q("name", "Mohammed", "city", "khartoum"), q("name", "Mohammed", "city", "Khart"), q("name", "Mohammed", "city", "KHARTOUM", "gender", "male"), q("hasAllergies", "true"), q("hasMedicalConditions", "true", "name", "محمد"), q("name", "mohamed", "phone", "0912345678"),
		} {
			if got := w.look("admin", query); !slices.Equal(got, []string{id}) {
				t.Errorf("%s: found %v", query, got)
			}
		}
		for _, query := range []string{q("name", "mohamed"), q("birthDate", "1985-03"), q("gender", "male"), q("minAge", "30", "maxAge", "60"), q("name", "mohamed", "dateFrom", "2020-01-01"), q("name", "mohamed", "gender", "male")} {
			if got := w.look("admin", query); len(got) != 2 {
				t.Errorf("%s: found %v", query, got)
			}
		}
		for _, query := range []string{q("name", "mohamed", "gender", "female"), q("name", "mohamed", "city", "Juba"), q("name", "mohamed", "state", "Gezira"), q("maxAge", "3"), q("dateTo", "2020-01-01"), q("bloodType", "B+"), q("search", "0999999999")} {
			if got := w.look("admin", query); len(got) != 0 {
				t.Errorf("%s: found %v", query, got)
			}
		}
		for _, query := range []string{q("phone", "0912"), q("minAge", "9", "maxAge", "3"), q("birthDate", "soon"), q("dateFrom", "x"), q("typing", "maybe"), q("dateFrom", "2026-02-01", "dateTo", "2026-01-01")} {
			w.must(http.StatusBadRequest, "admin", "GET", patientsPath+"/search?"+query, nil)
		}
		// What is looked for can stay out of the address.
		for _, body := range []o{{"searchTerm": "0912345678"}, {"name": "Mohamed", "minAge": "", "maxAge": "60", "bloodType": "O+"}, {"nationalId": "1234567890", "page": 1, "limit": "5"}, {"search": "mohamed elhas"}} {
			if got := w.must(http.StatusOK, "admin", "POST", patientsPath+"/search", body).ids(); !slices.Equal(got, []string{id}) {
				t.Errorf("%v: found %v", body, got)
			}
		}
		w.must(http.StatusBadRequest, "admin", "POST", patientsPath+"/search", o{"limit": 1000})
		w.must(http.StatusBadRequest, "admin", "POST", patientsPath+"/search", o{"page": "x"})
	})
}

func TestPagesOfASearchAreItsWhole(t *testing.T) {
	eachDesk(t, func(t *testing.T, w *ward) {
		want := map[string]bool{}
		for i := range 23 {
			want[w.enrol("Mohamed", "Number"+string(rune('a'+i)))] = true
		}
		got := map[string]bool{}
		for page := 1; page <= 3; page++ {
			a := w.must(http.StatusOK, "admin", "GET", fmt.Sprintf("%s?search=Mohamed&limit=10&page=%d", patientsPath, page), nil)
			a.want(t, o{"pagination.total": 23, "pagination.pages": 3})
			for _, id := range a.ids() {
				if got[id] {
					t.Errorf("%s comes twice", id)
				}
				got[id] = true
			}
		}
		if len(got) != len(want) {
			t.Errorf("%d of %d", len(got), len(want))
		}
		for page := 1; page <= 3; page++ { // the ward has two more
			w.must(http.StatusOK, "admin", "GET", fmt.Sprintf("%s?limit=10&page=%d", patientsPath, page), nil).want(t, o{"pagination.total": 25, "pagination.pages": 3})
		}
	})
}

func TestASearchShowsWhatTheCallerMaySee(t *testing.T) {
	eachDesk(t, func(t *testing.T, w *ward) {
		hidden := w.enrol("Mohamed", "Hidden", o{"gender": "male"})
		seen := w.enrol("Mohamed", "Seen", o{"gender": "female", "dateOfBirth": "1980-05-17"})
		// Somebody who may see women alone.
		policies, err := access.Compile(`permit (principal in Role::"midwife", action in Action::"view", resource is FHIR::Patient) when { resource.patient.contains("Patient/` + seen + `") };`)
		must(t, err)
		g, err := policies.Grant(access.Principal{Tenant: 1, User: 77, Kind: "user", Roles: []string{"midwife"}, Permissions: []string{"patients:read"}})
		must(t, err)
		w.callers["midwife"] = access.Caller{Tenant: 1, Who: "User/77", User: 77, Roles: []string{"midwife"}, Purpose: "TREAT", Grant: g}
		for _, query := range []string{q("name", "mohamed"), q("name", "mohamed", "limit", "1"), q("search", "moh"), q("birthDate", "1980-05-17"), q("dateFrom", "2020-01-01")} {
			a := w.must(http.StatusOK, "midwife", "GET", patientsPath+"/search?"+query, nil)
			if !slices.Equal(a.ids(), []string{seen}) || a.at("pagination.total") != 1.0 {
				t.Errorf("%s: %v, total %v", query, a.ids(), a.at("pagination.total"))
			}
		}
		a := w.must(http.StatusOK, "midwife", "GET", patientsPath+"/"+seen+"/duplicates", nil)
		if a.len("data.duplicates") != 0 {
			t.Errorf("a duplicate that may not be seen is told: %s", a.raw)
		}
		w.must(http.StatusNotFound, "midwife", "GET", patientsPath+"/"+hidden+"/duplicates", nil)
		w.must(http.StatusNotFound, "midwife", "GET", patientsPath+"/"+hidden+"/merges", nil)
	})
}

// From whom it is hidden who somebody is, that one learns it by no search either.
func TestWhoDoesNotSeeNamesDoesNotFindByThem(t *testing.T) {
	eachDesk(t, func(t *testing.T, w *ward) {
		id := w.enrol("Mohamed", "Hidden", o{"phoneNumber": "+249912345678", "city": "Omdurman"})
		policies, err := access.Compile(access.DefaultPolicies())
		must(t, err)
		g, err := policies.Grant(access.Principal{Tenant: 1, User: 78, Kind: "user", Roles: []string{"sudan_health_inspector"}, Permissions: []string{"patients:read"}})
		must(t, err)
		w.callers["inspector"] = access.Caller{Tenant: 1, Who: "User/78", User: 78, Roles: []string{"sudan_health_inspector"}, Purpose: "TREAT", Grant: g}
		if a := w.must(http.StatusOK, "inspector", "GET", patientsPath+"/search?"+q("birthDate", "1980-05-17"), nil); !slices.Equal(a.ids(), []string{id}) || strings.Contains(a.raw, "Mohamed") {
			t.Errorf("by what is not hidden: %s", a.raw)
		}
		for _, query := range []string{q("name", "mohamed"), q("search", "moh"), q("name", "mohamed", "city", "Omdurman"), q("name", "mohamed", "birthDate", "1980-05-17"), q("name", "mohamed", "dateFrom", "2020-01-01"),
			q("name", "nobody"), q("phone", "+249912345678"), q("search", "0912345678"), q("city", "Omdurman"), q("sort", "name")} {
			w.must(http.StatusForbidden, "inspector", "GET", patientsPath+"/search?"+query, nil)
		}
		if a := w.must(http.StatusOK, "inspector", "POST", patientsPath+"/duplicates", someone("Mohamed", "Hidden")); a.len("data.duplicates") != 0 {
			t.Errorf("a draft with the name finds whose it is: %s", a.raw)
		}
	})
}

func TestDuplicatesAreWeighed(t *testing.T) {
	eachDesk(t, func(t *testing.T, w *ward) {
		first := w.must(http.StatusCreated, "admin", "POST", patientsPath, newFront()).text("data.id")
		w.enrol("Mohamed", "Elhassan", o{"dateOfBirth": "1950-01-01"})
		w.enrol("Amna", "Elhassan", o{"dateOfBirth": "1985-03-02", "gender": "female"})
		for _, c := range []struct {
			what  string
			draft o
			match string
		}{
			{"another spelling, the same phone", o{"firstName": "Muhammad", "lastName": "Al-Hasan", "dateOfBirth": "1985-03-02", "gender": "male", "phone": "0912345678"}, "likely"},
			{"in Arabic, the same birth date", o{"firstName": "محمد", "lastName": "الحسن", "dateOfBirth": "1985-03-02", "gender": "male"}, "likely"},
			{"day and month turned", o{"firstName": "Mohamed", "lastName": "Elhassan", "dateOfBirth": "1985-02-03", "gender": "male", "city": "Khartoum"}, "likely"},
			{"the year alone", o{"firstName": "Mohamed", "lastName": "Elhassan", "dateOfBirth": "1985", "gender": "male", "city": "Khartoum"}, "possible"},
			{"the national id", o{"firstName": "Somebody", "lastName": "Else", "dateOfBirth": "2001-01-01", "gender": "female", "nationalId": "1234567890"}, "certain"},
			{"a person of the family's phone", o{"firstName": "Huda", "lastName": "Osman", "dateOfBirth": "2001-07-01", "gender": "female", "phone": "0912345678"}, ""},
			{"nobody", o{"firstName": "Zulfigar", "lastName": "Mirghani", "dateOfBirth": "1999-09-09", "gender": "male"}, ""},
			{"another of the same name", o{"firstName": "Mohamed", "lastName": "Elhassan", "dateOfBirth": "2011-09-09", "gender": "male"}, ""},
		} {
			a := w.must(http.StatusOK, "admin", "POST", patientsPath+"/duplicates", c.draft)
			match := ""
			for i := range a.len("data.duplicates") {
				if a.text(fmt.Sprintf("data.duplicates.%d.id", i)) == first {
					match = a.text(fmt.Sprintf("data.duplicates.%d.match", i))
				}
			}
			if match != c.match {
				t.Errorf("%s: %q, want %q: %s", c.what, match, c.match, a.raw)
			}
		}
		again := o{"firstName": "Mohammed", "lastName": "Elhassan", "dateOfBirth": "1985-03-02", "gender": "male", "phone": "0912345678"}
		w.must(http.StatusConflict, "admin", "POST", patientsPath+"?onDuplicate=refuse", again).want(t, o{"error.code": "DUPLICATE_ENTRY"})
		a := w.must(http.StatusCreated, "admin", "POST", patientsPath, again)
		a.want(t, o{"data.duplicates.0.id": first, "data.duplicates.0.match": "likely"})
		w.must(http.StatusOK, "admin", "GET", patientsPath+"/"+first+"/duplicates", nil).want(t, o{"data.duplicates.0.id": a.text("data.id")})
		w.must(http.StatusBadRequest, "admin", "POST", patientsPath+"/duplicates", o{"gender": "male"})
	})
}
