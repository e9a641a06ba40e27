package facility

import (
	"slices"
	"strings"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/flat"
)

// The states of a bed, as the product API names them.
const (
	available    = "available"
	occupied     = "occupied"
	reserved     = "reserved"
	cleaning     = "cleaning"
	maintenance  = "maintenance"
	outOfService = "out_of_service"
)

// Code systems and extensions. What FHIR has no place for stands under names of our own.
const (
	organizationType = "http://terminology.hl7.org/CodeSystem/organization-type"
	physicalType     = "http://terminology.hl7.org/CodeSystem/location-physical-type"
	bedStatus        = "http://terminology.hl7.org/CodeSystem/v2-0116"
	actCode          = "http://terminology.hl7.org/CodeSystem/v3-ActCode"

	facilityTypeSystem   = "urn:x-nilecare:facility-type"
	wardTypeSystem       = "urn:x-nilecare:ward-type"
	bedTypeSystem        = "urn:x-nilecare:bed-type"
	specializationSystem = "urn:x-nilecare:specialization"

	facilityCodeSystem   = "urn:x-nilecare:facility-code"
	departmentCodeSystem = "urn:x-nilecare:department-code"
	wardCodeSystem       = "urn:x-nilecare:ward-code"
	bedNumberSystem      = "urn:x-nilecare:bed-number"
	licenseSystem        = "urn:x-nilecare:license"

	stateURL     = "urn:x-nilecare:bed-state" // maintenance, reserved: what operationalStatus does not tell apart
	equipmentURL = "urn:x-nilecare:bed-equipment"
	capacityURL  = "urn:x-nilecare:capacity"
	statusURL    = "urn:x-nilecare:facility-status"
	floorURL     = "urn:x-nilecare:floor"
	buildingURL  = "urn:x-nilecare:building"
	genderURL    = "urn:x-nilecare:gender-restriction"
	servicesURL  = "urn:x-nilecare:service"
	notesURL     = "urn:x-nilecare:notes"
	reasonURL    = "urn:x-nilecare:release-reason"
	expectedURL  = "urn:x-nilecare:expected-discharge"
)

func bedStates() []string {
	return []string{available, occupied, reserved, maintenance, cleaning, outOfService}
}

func bedTypes() []string {
	return []string{"standard", "icu", "pediatric", "maternity", "isolation", "observation", "recovery"}
}

func wardTypes() []string {
	return []string{"general", "icu", "emergency", "maternity", "pediatric", "surgical", "medical", "psychiatric", "isolation"}
}

func facilityTypes() []string {
	return []string{"hospital", "clinic", "lab", "pharmacy", "rehabilitation", "urgent_care", "other"}
}

func genders() []string { return []string{"male", "female", "mixed"} }

// states are Sudan's eighteen.
func states() []string {
	return []string{"Khartoum", "Gezira", "Red Sea", "Kassala", "Gedaref", "White Nile", "Blue Nile", "Northern", "River Nile", "North Kordofan", "South Kordofan",
		"West Kordofan", "North Darfur", "South Darfur", "West Darfur", "East Darfur", "Central Darfur", "Sennar"}
}

// equipment are the bits of facility_bed.equipment.
func equipment() []string { return []string{"oxygen", "monitor", "ventilator", "isolation"} }

// oneOf refuses a value that is none of a list. An empty one passes.
func oneOf(field, value string, list []string) error {
	if value == "" || slices.Contains(list, value) {
		return nil
	}
	return fault.At(fault.Invalid, field, "%.40q is none of %s", value, strings.Join(list, ", ")).WithCode("value")
}

// declared is the state that a bed's Location says, "" where it says none. An isolated bed may be occupied or not.
func declared(r *fhir.Resource) string {
	if r == nil {
		return ""
	}
	said := code(r.Node, stateURL)
	status := r.Get("operationalStatus")
	if status == nil {
		return said
	}
	switch status.Str("code") {
	case "U":
		if said == reserved {
			return reserved
		}
		return available
	case "O":
		return occupied
	case "H", "K":
		return cleaning
	case "C":
		if said == maintenance {
			return maintenance
		}
		return outOfService
	case "I":
		return outOfService
	}
	return ""
}

// goesWith reports that a bed's Location may say what it does while the ledger has the bed in the state.
func goesWith(r *fhir.Resource, state string) bool {
	if state == occupied {
		c := ""
		if s := r.Get("operationalStatus"); s != nil {
			c = s.Str("code")
		}
		return c == "O" || c == "K" || c == "I"
	}
	return declared(r) == state
}

// declare has a bed's Location say a state. What says it already, more finely, stays.
func declare(r *fhir.Resource, state string) error {
	if goesWith(r, state) {
		return nil
	}
	words := map[string][2]string{available: {"U", "Unoccupied"}, reserved: {"U", "Unoccupied"}, occupied: {"O", "Occupied"}, cleaning: {"H", "Housekeeping"},
		maintenance: {"C", "Closed"}, outOfService: {"C", "Closed"}}
	w := words[state]
	if err := flat.Set(r.Node, "operationalStatus", map[string]any{"system": bedStatus, "code": w[0], "display": w[1]}); err != nil {
		return err
	}
	said := ""
	if state == maintenance || state == reserved {
		said = state
	}
	return setExtension(r.Node, stateURL, "valueCode", said)
}

// code is the valueCode of the first extension of that name.
func code(n *fhir.Node, url string) string { return extension(n, url, "valueCode") }

func extension(n *fhir.Node, url, value string) string {
	for _, e := range flat.Items(n.Get("extension")) {
		if e.Str("url") == url {
			if v := e.Get(value); v != nil {
				return v.Text
			}
		}
	}
	return ""
}

func extensions(n *fhir.Node, url, value string) []string {
	var out []string
	for _, e := range flat.Items(n.Get("extension")) {
		if e.Str("url") == url {
			out = append(out, e.Str(value))
		}
	}
	return out
}

// setExtension sets the one extension of that name, or removes all of them where the value is nil or "".
func setExtension(n *fhir.Node, url, name string, value any) error {
	if value == nil || value == "" {
		return setExtensions(n, url, name)
	}
	return setExtensions(n, url, name, value)
}

func setExtensions(n *fhir.Node, url, name string, values ...any) error {
	var all []*fhir.Node
	for _, e := range flat.Items(n.Get("extension")) {
		if e.Str("url") != url {
			all = append(all, e.Clone())
		}
	}
	for _, v := range values {
		e := fhir.NewObject()
		if err := flat.Set(e, "url", url); err != nil {
			return err
		}
		if err := flat.Set(e, name, v); err != nil {
			return err
		}
		all = append(all, e)
	}
	if len(all) == 0 {
		n.Delete("extension")
		return nil
	}
	n.Set("extension", fhir.NewArray(all...))
	return nil
}

// typeCode is the code of the system in any of the resource's types.
func typeCode(r *fhir.Resource, system string) string {
	for _, t := range flat.Items(r.Get("type")) {
		if c := flat.Code(t, system); c != "" {
			return c
		}
	}
	return ""
}

// setTypeCode sets, or (code "") removes, the type of the system, and leaves the others.
func setTypeCode(r *fhir.Resource, system, code, text string) error {
	var all []*fhir.Node
	for _, t := range flat.Items(r.Get("type")) {
		if flat.Code(t, system) == "" {
			all = append(all, t.Clone())
		}
	}
	if code != "" {
		n := fhir.NewObject()
		if err := flat.Set(n, "coding", []any{map[string]any{"system": system, "code": code}}); err != nil {
			return err
		}
		if err := flat.Set(n, "text", text); err != nil {
			return err
		}
		all = append(all, n)
	}
	if len(all) == 0 {
		r.Delete("type")
		return nil
	}
	r.Set("type", fhir.NewArray(all...))
	return nil
}

// kindOf is what a Location is, by its physicalType.
func kindOf(r *fhir.Resource) string {
	if r == nil {
		return ""
	}
	return flat.Code(r.Get("physicalType"), physicalType)
}

// oneForm is a number or code as it is compared: "Bed 3" and "bed  3" are the same.
func oneForm(s string) string { return strings.ToLower(strings.Join(strings.Fields(s), " ")) }

// label is a bed's number: the product's own, else its name.
func label(r *fhir.Resource) string {
	if n := flat.Identifier(r, bedNumberSystem); n != "" {
		return n
	}
	return r.Str("name")
}
