package hospital

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/fhir"
)

func TestLivingIsTheSameForTheSameSeed(t *testing.T) {
	a, b := slices.Collect(Living(7, 30, now())), slices.Collect(Living(7, 40, now()))
	for k := range a {
		if !bytes.Equal(a[k], b[k]) {
			t.Fatalf("bundle %d differs", k)
		}
	}
}

// Front ends offer patients and providers 1, 2 and 3, and facilities by small numbers.
func TestLivingHasPeopleWhoseIdsCanBeTyped(t *testing.T) {
	put := map[string]bool{}
	for _, b := range read(t, Living(7000, 60, now()), 60) {
		for _, e := range entries(b) {
			if r := e.Get("request"); r.Str("method") == "PUT" && !strings.Contains(r.Str("url"), "?") {
				res := e.Get("resource")
				if r.Str("url") != res.Str("resourceType")+"/"+res.Str("id") || put[r.Str("url")] {
					t.Errorf("%s is put twice, or as another", r.Str("url"))
				}
				put[r.Str("url")] = true
			}
		}
	}
	want := []string{"Location/1", "Location/2", "Location/3", "Location/4", "Organization/1", "Organization/2", "Organization/3", "Organization/4", "Patient/1", "Patient/2", "Patient/3",
		"Practitioner/1", "Practitioner/2", "Practitioner/3", "Practitioner/4"}
	if got := slices.Sorted(maps.Keys(put)); !slices.Equal(got, want) {
		t.Errorf("put are %v", got)
	}
}

// Nobody is in two places at a time, and appointments stand in working hours.
func TestLivingBooksNobodyTwice(t *testing.T) {
	seen, today := map[string]bool{}, 0
	for k, b := range read(t, Living(7000, 200, now()), 200) {
		for _, e := range entries(b) {
			r := e.Get("resource")
			if r.Str("resourceType") != "Appointment" {
				continue
			}
			start, err := time.Parse(time.RFC3339, r.Str("start"))
			if err != nil {
				t.Fatal(err)
			}
			local := start.In(zone())
			if d := local.Weekday(); d == time.Friday || d == time.Saturday || local.Hour() < 8 || local.Hour() > 15 || local.Minute()%20 != 0 {
				t.Errorf("an appointment on %s", local)
			}
			if local.Format(time.DateOnly) == now().In(zone()).Format(time.DateOnly) {
				today++
			}
			if start.Before(now()) == (r.Str("status") == "booked") {
				t.Errorf("%s is %s", start, r.Str("status"))
			}
			for _, p := range r.Get("participant").Items() {
				actor := p.Get("actor").Str("reference")
				if strings.HasPrefix(actor, "urn:uuid:") {
					actor += string(rune(k))
				}
				if key := actor + start.UTC().String(); seen[key] {
					t.Errorf("%s has two appointments at %s", actor, start)
				} else {
					seen[key] = true
				}
			}
		}
	}
	if today < 20 {
		t.Errorf("%d appointments today", today)
	}
}

// One patient a bed, and the bed's own record says so.
func TestLivingHasOnePatientABed(t *testing.T) {
	lying := map[string]bool{}
	for _, b := range read(t, Living(7000, 200, now()), 200)[1:] {
		occupied, told := "", ""
		for _, e := range entries(b) {
			r := e.Get("resource")
			switch {
			case r.Str("resourceType") == "Encounter" && r.Str("status") == "in-progress":
				if occupied != "" {
					t.Error("a patient lies in two beds")
				}
				occupied = r.Path("location", "location").Str("reference")
			case r.Str("resourceType") == "Location" && r.Get("operationalStatus").Str("code") == "O":
				told = e.Get("request").Str("url")
			}
		}
		if occupied != told || occupied != "" && lying[occupied] {
			t.Errorf("%q is occupied, %q says so; before: %t", occupied, told, lying[occupied])
		}
		if occupied != "" {
			lying[occupied] = true
		}
	}
	if len(lying) < 10 {
		t.Errorf("%d beds are occupied", len(lying))
	}
}

func TestEveryDoctorHasASchedule(t *testing.T) {
	doctors, calendars := 0, map[string]bool{}
	var first *fhir.Resource
	for text := range Living(7000, 0, now()) {
		var err error
		if first, err = fhir.ParseResource(text); err != nil {
			t.Fatal(err)
		}
	}
	for _, e := range entries(first) {
		switch r := e.Get("resource"); {
		case r.Str("resourceType") == "Schedule":
			calendars[r.Get("actor").First().Str("reference")] = true
		case r.Str("resourceType") == "Practitioner" && r.Path("name") != nil && strings.Contains(string(r.AppendJSON(nil)), `"MD"`):
			doctors++
		}
	}
	if doctors != len(calendars) || doctors != len(sites())*len(specialties())*doctorsEach {
		t.Errorf("%d doctors, %d schedules", doctors, len(calendars))
	}
}
