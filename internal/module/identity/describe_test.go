package identity

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestAnswersAreAsDescribed: what answers have is what their descriptions name, no more and no less, and what is not optional is always there.
func TestAnswersAreAsDescribed(t *testing.T) {
	now := time.Unix(1, 0)
	full := User{ID: 7, Email: "e", Username: "u", FirstName: "f", LastName: "l", Role: "doctor", Roles: []string{"doctor"}, Permissions: []string{"p"}, OrganizationID: "1", FacilityID: "1", Locale: "ar",
		FHIRUser: "Practitioner/1", Patient: "Patient/1", Patients: []string{"Patient/2"}, LastLogin: now, CreatedAt: now, UpdatedAt: now}
	in := SignedIn{User: full, AccessToken: "a", RefreshToken: "r", MustSetUp: true}
	waits := SignedIn{User: full, NeedsMFA: true, MFAToken: "m"}
	role := Role{Name: "r", Permissions: []string{"p"}}
	for name, x := range map[string]struct {
		answers     []any // together they have all members
		description any
	}{
		"user":         {[]any{userJSON(&full), userJSON(&User{})}, userOut{}},
		"role":         {[]any{roleJSON(&role)}, roleOut{}},
		"sign-in":      {[]any{signedInJSON(&in), signedInJSON(&waits)}, signedInOut{}},
		"sign-in data": {[]any{signedInJSON(&in)["data"], signedInJSON(&waits)["data"]}, signedInData{}},
	} {
		all, always := tagged(reflect.TypeOf(x.description))
		seen := map[string]bool{}
		for _, a := range x.answers {
			text, err := json.Marshal(a)
			if err != nil {
				t.Fatal(err)
			}
			var got map[string]any
			if err := json.Unmarshal(text, &got); err != nil {
				t.Fatal(err)
			}
			for member := range got {
				seen[member] = true
			}
			for _, member := range always {
				if _, ok := got[member]; !ok {
					t.Errorf("%s: %s is described as always there, and is not in %s", name, member, text)
				}
			}
		}
		if have := slices.Sorted(maps.Keys(seen)); !slices.Equal(have, all) {
			t.Errorf("%s: answered are\n%v, described\n%v", name, have, all)
		}
	}
}

// tagged are the members of a struct in JSON, sorted: all of them, and those that are always there.
func tagged(of reflect.Type) (all, always []string) {
	for i := range of.NumField() {
		member, options, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
		all = append(all, member)
		if options == "" {
			always = append(always, member)
		}
	}
	slices.Sort(all)
	return all, always
}
