package facility_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/record"
)

// A front end's form and the service's own make the same facility, and both read back what they sent.
func TestAFacilityIsMadeByEitherForm(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		a := w.want(201, "admin", "POST", "/api/v1/facilities", m{"facilityCode": "KRT-9", "name": "New Hospital", "type": "hospital", "address": "12 Nile Street", "city": "Khartoum", "state": "Khartoum",
			"country": "Sudan", "phone": "0912345678", "email": "a@b.example", "capacity": 120, "licenseNumber": "L-1", "licenseExpiry": "2030-01-01"})
		for path, want := range map[string]any{"facilityCode": "KRT-9", "name": "New Hospital", "type": "hospital", "address": "12 Nile Street", "city": "Khartoum", "state": "Khartoum", "country": "Sudan",
			"phone": "+249912345678", "email": "a@b.example", "capacity": 120.0, "status": "active", "licenseNumber": "L-1", "licenseExpiry": "2030-01-01"} {
			for _, at := range []string{"data.", "data.facility."} {
				if got := a.at(at + path); got != want {
					t.Errorf("%s%s is %v, want %v", at, path, got, want)
				}
			}
		}
		b := w.want(201, "admin", "POST", "/api/v1/facilities", m{"name": "Clinic", "type": "clinic", "address": m{"street": "1 Road", "city": "Kassala", "state": "Kassala", "zipCode": "31111"},
			"contactInfo": m{"phone": "+249912345670", "email": "c@d.example"}, "capacity": m{"totalBeds": 20, "icuBeds": 2}, "services": []string{"laboratory"}})
		if b.text("data.facility.address") != "1 Road" || b.text("data.facility.state") != "Kassala" || b.number("data.facility.capacity") != 20 || b.text("data.facility.phone") != "+249912345670" ||
			b.text("data.facility.postalCode") != "31111" || b.text("data.facility.country") != "SD" {
			t.Errorf("the service's form: %s", b.raw)
		}
		id := a.text("data.id")
		c := w.want(200, "admin", "PUT", "/api/v1/facilities/"+id, m{"name": "Newer Hospital", "status": "maintenance"})
		if c.text("data.facility.name") != "Newer Hospital" || c.text("data.facility.status") != "maintenance" || c.text("data.facility.city") != "Khartoum" || c.text("data.facility.phone") != "+249912345678" {
			t.Errorf("changed: %s", c.raw)
		}
		if l := w.want(200, "patient", "GET", "/api/v1/facilities?search=newer&status=maintenance&type=hospital", nil); len(l.list("data.facilities")) != 1 || l.number("pagination.total") != 1 ||
			l.number("data.pagination.total") != 1 {
			t.Errorf("the list: %s", l.raw)
		}
		if l := w.want(200, "patient", "GET", "/api/v1/facilities?state=Kassala&page=1&limit=1", nil); len(l.list("data.facilities")) != 1 {
			t.Errorf("by state: %s", l.raw)
		}
		w.want(200, "admin", "DELETE", "/api/v1/facilities/"+id, nil)
		if d := w.want(200, "admin", "GET", "/api/v1/facilities/"+id, nil); d.text("data.facility.status") != "inactive" {
			t.Errorf("closed: %s", d.raw)
		}
	})
}

// A hospital is set up through the product API, from the facility to its beds, and counts itself.
func TestAHospitalIsSetUpAndCounted(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.patients(2)
		facility := w.want(201, "admin", "POST", "/api/v1/facilities", m{"name": "H", "type": "hospital", "address": "A", "state": "Sennar"}).text("data.id")
		dept := w.want(201, "admin", "POST", "/api/v1/departments", m{"facilityId": facility, "name": "Heart", "code": "CARD", "specialization": "Cardiology", "floor": 2, "headOfDepartment": "Dr. A"})
		if dept.text("data.department.facilityId") != facility || dept.text("data.specialization") != "Cardiology" || dept.number("data.floor") != 2 || dept.text("data.headOfDepartment") != "Dr. A" {
			t.Errorf("the department: %s", dept.raw)
		}
		d := dept.text("data.id")
		if l := w.want(200, "nurse", "GET", "/api/v1/facilities/"+facility+"/departments", nil); len(l.list("data.departments")) != 1 {
			t.Errorf("its departments: %s", l.raw)
		}
		if l := w.want(200, "nurse", "GET", "/api/v1/departments?specialization=cardiology", nil); len(l.list("data.departments")) != 1 {
			t.Errorf("by specialization: %s", l.raw)
		}
		ward := w.want(201, "admin", "POST", "/api/v1/wards", m{"facilityId": facility, "departmentId": d, "name": "Heart ward", "wardCode": "W1", "wardType": "medical", "totalBeds": 4, "floor": 2,
			"nurseStationPhone": "0912345678", "genderRestriction": "female"})
		if ward.number("data.ward.totalBeds") != 4 || ward.number("data.bedsSetUp") != 0 || ward.text("data.status") != "active" || ward.text("data.genderRestriction") != "female" || ward.at("data.occupancyRate") != nil {
			t.Errorf("the ward: %s", ward.raw)
		}
		wid := ward.text("data.id")
		var beds []string
		for k := range 3 {
			b := w.want(201, "admin", "POST", "/api/v1/beds", m{"facilityId": facility, "departmentId": d, "wardId": wid, "bedNumber": fmt.Sprint(k + 1), "bedType": []string{"icu", "standard", "standard"}[k],
				"hasOxygen": k == 0, "isolationCapable": true})
			beds = append(beds, b.text("data.id"))
			if b.at("data.bed.hasOxygen") != (k == 0) || b.text("data.bedNumber") != fmt.Sprint(k+1) || b.at("data.isAvailable") != true || b.text("data.facilityId") != facility || b.text("data.departmentId") != d {
				t.Errorf("the bed: %s", b.raw)
			}
		}
		if a := w.want(409, "admin", "POST", "/api/v1/beds", m{"wardId": wid, "bedNumber": " 2 ", "bedType": "icu"}); a.text("error.code") != "DUPLICATE_ENTRY" {
			t.Errorf("a number twice: %s", a.raw)
		}
		w.want(409, "admin", "POST", "/api/v1/wards", m{"facilityId": facility, "departmentId": d, "name": "Other", "wardCode": "W1", "wardType": "icu", "totalBeds": 1})
		w.want(409, "admin", "POST", "/api/v1/departments", m{"facilityId": facility, "name": "Other", "code": "CARD"})
		w.want(200, "nurse", "POST", "/api/v1/beds/"+beds[0]+"/assign", m{"patientId": "1"})
		w.want(200, "nurse", "PUT", "/api/v1/beds/"+beds[1]+"/status", m{"status": "maintenance"})

		c := w.want(200, "patient", "GET", "/api/v1/facilities/"+facility+"/capacity", nil)
		if c.number("data.totalBeds") != 3 || c.number("data.occupiedBeds") != 1 || c.number("data.availableBeds") != 1 || c.number("data.maintenanceBeds") != 1 || c.at("data.occupancyRate") != 33.3 ||
			c.number("data.byBedType.icu.occupiedBeds") != 1 || len(c.list("data.byWard")) != 1 || len(c.list("data.byDepartment")) != 1 {
			t.Errorf("capacity: %s", c.raw)
		}
		if o := w.want(200, "patient", "GET", "/api/v1/wards/"+wid+"/occupancy", nil); o.number("data.occupiedBeds") != 1 || o.number("data.totalBeds") != 3 {
			t.Errorf("the ward's occupancy: %s", o.raw)
		}
		if s := w.want(200, "patient", "GET", "/api/v1/stats/facilities", nil); s.number("data.totalFacilities") != 1 || s.number("data.totalBeds") != 3 || s.number("data.byType.hospital") != 1 || s.at("data.occupancyRate") != 33.3 {
			t.Errorf("statistics: %s", s.raw)
		}
		if a := w.want(200, "admin", "GET", "/api/v1/facilities/"+facility+"/analytics?period=7d", nil); a.number("data.admissions") != 1 || a.number("data.releases") != 0 || a.at("data.averageStayHours") != nil {
			t.Errorf("analytics: %s", a.raw)
		}
		for query, n := range map[string]int{"": 3, "?wardId=" + wid: 3, "?facilityId=" + facility + "&bedType=icu": 1, "?hasOxygen=true": 1, "?hasOxygen=false": 2, "?isAvailable=true": 1, "?isAvailable=false": 2,
			"?bedStatus=occupied": 1, "?departmentId=999": 0, "?limit=2": 2, "?limit=2&page=2": 1} {
			if l := w.want(200, "nurse", "GET", "/api/v1/beds"+query, nil); len(l.list("data.beds")) != n {
				t.Errorf("beds%s: %s", query, l.raw)
			}
		}
		if b := w.want(200, "nurse", "GET", "/api/v1/beds/board?facilityId="+facility, nil); b.number("data.summary.totalBeds") != 3 || len(b.list("data.wards")) != 1 || !strings.Contains(string(b.raw), `"patientId":"1"`) {
			t.Errorf("the board: %s", b.raw)
		}
		if b := w.want(200, "nurse", "GET", "/api/v1/beds/board?patients=false", nil); strings.Contains(string(b.raw), `"patientId":"1"`) || !strings.Contains(string(b.raw), `"patientHidden":true`) {
			t.Errorf("the board without patients: %s", b.raw)
		}
		w.want(200, "nurse", "POST", "/api/v1/beds/"+beds[2]+"/assign", m{"patientId": "2"})
		if l := w.want(200, "nurse", "GET", "/api/v1/wards?status=full", nil); len(l.list("data.wards")) != 1 {
			t.Errorf("full wards: %s", l.raw)
		}
	})
}

// A ward that moves to another department takes its beds along, wherever they stand in it; the order of records does not matter.
func TestBedsBelongWhereTheirWardDoes(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.write(put(bed(t, "b", "room", "U")))
		w.write(put(place(t, "room", "ro", "w", "2")))
		w.house("w", 1)
		w.write(put(res(t, `{"resourceType":"Organization","id":"3","name":"Surgery","partOf":{"reference":"Organization/1"},`+prov+`}`, "dept")))
		at := func(bed string) string {
			a := w.want(200, "nurse", "GET", "/api/v1/beds/"+bed, nil)
			return a.text("data.wardName") + " " + a.text("data.departmentId") + " " + a.text("data.facilityId")
		}
		if got := at("b"); got != "w 2 1" {
			t.Errorf("the bed in a room is at %s", got)
		}
		w.write(put(place(t, "w", "wa", "g", "3")))
		r := bed(t, "b", "room", "U")
		r.Delete("managingOrganization")
		w.write(put(r), put(place(t, "room", "ro", "w", "3")))
		if got := at("b"); got != "w 3 1" {
			t.Errorf("the bed of the moved ward is at %s", got)
		}
	})
}

func TestSettingsAreHeldAgainstTheirBounds(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.house("w", 1)
		const path = "/api/v1/settings/facility/1"
		if a := w.want(200, "nurse", "GET", path, nil); a.text("data.timezone") != "Africa/Khartoum" || a.number("data.settings.bedCleaningDuration") != 30 || a.text("data.currency") != "SDG" {
			t.Errorf("unset: %s", a.raw)
		}
		w.want(200, "admin", "PUT", path, m{"timezone": "Africa/Cairo", "appointmentReminderHours": []int{48}})
		a := w.want(200, "admin", "PUT", path, m{"bedCleaningDuration": 10, "allowWalkIns": false})
		if a.text("data.timezone") != "Africa/Cairo" || a.number("data.bedCleaningDuration") != 10 || a.at("data.allowWalkIns") != false || len(a.list("data.appointmentReminderHours")) != 1 {
			t.Errorf("set: %s", a.raw)
		}
		for _, bad := range []m{{"timezone": "Mars"}, {"timezone": ""}, {"bedCleaningDuration": 4}, {"defaultAppointmentDuration": 241}, {"timeFormat": "13h"}, {"maxAdvanceBookingDays": 0},
			{"appointmentReminderHours": []int{0}}, {"currency": "XXX"}, {"allowWalkIns": "yes"}} {
			w.want(400, "admin", "PUT", path, bad)
		}
		w.want(403, "nurse", "PUT", path, m{"bedCleaningDuration": 10})
		w.want(404, "admin", "GET", "/api/v1/settings/facility/77", nil)
		zone, err := w.s.Zone(w.ctx, "1")
		if err != nil || zone.String() != "Africa/Cairo" {
			t.Errorf("the zone is %v, %v", zone, err)
		}
		if zone, err = w.s.Zone(w.ctx, ""); err != nil || zone.String() != "Africa/Khartoum" {
			t.Errorf("the zone of nowhere is %v, %v", zone, err)
		}
	})
}

func TestBadInputIsRefusedByName(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.house("w", 1)
		good := func(change m) m {
			out := m{"name": "X", "type": "hospital", "address": "A"}
			for k, v := range change {
				out[k] = v
			}
			return out
		}
		for _, c := range []struct {
			method, path string
			body         any
			status       int
			names        string
		}{
			{"POST", "/api/v1/facilities", good(m{"type": "palace"}), 400, "type"}, {"POST", "/api/v1/facilities", good(m{"name": " "}), 400, "name"},
			{"POST", "/api/v1/facilities", good(m{"address": nil}), 400, "address"}, {"POST", "/api/v1/facilities", good(m{"address": []int{1}}), 400, "address"},
			{"POST", "/api/v1/facilities", good(m{"email": "nobody"}), 400, "email"}, {"POST", "/api/v1/facilities", good(m{"phone": "call me"}), 400, "phone"},
			{"POST", "/api/v1/facilities", good(m{"state": "Atlantis"}), 400, "state"}, {"POST", "/api/v1/facilities", good(m{"capacity": -1}), 400, "capacity"},
			{"POST", "/api/v1/facilities", good(m{"organizationId": 77}), 422, "organizationId"}, {"POST", "/api/v1/facilities", good(m{"licenseExpiry": "2030-01-01"}), 400, "licenseExpiry"},
			{"PUT", "/api/v1/facilities/1", m{"organizationId": "1"}, 422, "organizationId"}, {"PUT", "/api/v1/facilities/2", m{"name": "X"}, 404, ""},
			{"POST", "/api/v1/departments", m{"facilityId": "2", "name": "X", "code": "C"}, 422, "facilityId"}, {"POST", "/api/v1/departments", m{"facilityId": "1", "name": "X"}, 400, "code"},
			{"POST", "/api/v1/wards", m{"facilityId": "1", "departmentId": "2", "name": "X", "wardCode": "X", "wardType": "general"}, 400, "totalBeds"},
			{"POST", "/api/v1/wards", m{"facilityId": "1", "departmentId": "2", "name": "X", "wardCode": "X", "wardType": "general", "totalBeds": 0}, 400, "totalBeds"},
			{"POST", "/api/v1/wards", m{"facilityId": "1", "departmentId": "1", "name": "X", "wardCode": "X", "wardType": "general", "totalBeds": 1}, 422, "departmentId"},
			{"PUT", "/api/v1/wards/w", m{"status": "open"}, 400, "status"}, {"PUT", "/api/v1/wards/w-1", m{"name": "X"}, 404, ""},
			{"POST", "/api/v1/beds", m{"wardId": "w", "bedNumber": "9", "bedType": "water"}, 400, "bedType"}, {"POST", "/api/v1/beds", m{"wardId": "g", "bedNumber": "9", "bedType": "icu"}, 422, "wardId"},
			{"POST", "/api/v1/beds", m{"wardId": "w", "departmentId": "1", "bedNumber": "9", "bedType": "icu"}, 422, "departmentId"},
			{"POST", "/api/v1/beds/w-1/transfer", m{}, 400, "toBedId"}, {"POST", "/api/v1/beds/w-1/transfer", m{"toBedId": "w-1"}, 422, "toBedId"}, {"POST", "/api/v1/beds/w-1/transfer", m{"toBedId": "w"}, 422, "toBedId"},
			{"PUT", "/api/v1/beds/w-1/status", m{"status": "available", "until": "2030-01-01"}, 400, "status"},
			{"GET", "/api/v1/beds?colour=red", nil, 400, "colour"}, {"GET", "/api/v1/beds?bedStatus=broken", nil, 400, "bedStatus"}, {"GET", "/api/v1/beds/available", nil, 400, "facilityId"},
			{"GET", "/api/v1/beds/available?facilityId=2", nil, 422, "facilityId"}, {"GET", "/api/v1/facilities?type=palace", nil, 400, "type"}, {"GET", "/api/v1/facilities/1/analytics?period=1y", nil, 400, "period"},
		} {
			a := w.do("admin", c.method, c.path, c.body)
			if a.status != c.status || !strings.Contains(string(a.raw), `"field":"`+c.names) && c.names != "" {
				t.Errorf("%s %s %v: %d %s", c.method, c.path, c.body, a.status, a.raw)
			}
		}
	})
}

// One bed of another tenant's is nobody's here.
func TestTenantsHaveTheirOwnBeds(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.house("w", 1)
		other := access.With(context.Background(), access.System(2))
		for _, r := range []record.Change{put(place(t, "w", "wa", "", "2")), put(bed(t, "w-1", "w", "U")), put(lying(t, "e", "1", "in-progress", "w-1"))} {
			if _, err := w.store.Write(other, []record.Change{r}); err != nil {
				t.Fatal(err)
			}
		}
		w.holds("w-1", "available", "")
	})
}
