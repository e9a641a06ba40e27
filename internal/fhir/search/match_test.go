package search

import (
	"errors"
	"testing"
	"time"
)

func docOf(t testing.TB, text string) *Doc {
	t.Helper()
	r := resource(t, text)
	return &Doc{Resource: r, Type: r.Type(), ID: r.ID(), Updated: time.Date(2020, 5, 1, 12, 0, 0, 123456000, time.UTC), Values: Extract(r, testOptions.Base)}
}

func matches(t *testing.T, d *Doc, l Lookup, name, value string, want bool) {
	t.Helper()
	q, err := Parse(d.Type, []Param{{name, value}}, testOptions)
	if err != nil {
		t.Errorf("%s=%s: %v", name, value, err)
		return
	}
	got, err := Match(q.ByType[0].Pred, d, l)
	if err != nil || got != want {
		t.Errorf("%s %s?%s=%s is %v (%v), want %v", d.ID, d.Type, name, value, got, err, want)
	}
}

// memory is a Lookup over documents in memory.
type memory []*Doc

func (m memory) Doc(typ, id string) (*Doc, error) {
	for _, d := range m {
		if d.Type == typ && d.ID == id {
			return d, nil
		}
	}
	return nil, nil
}

func (m memory) Referrers(typ string, atoms []AtomRef, targetType, targetID string) ([]*Doc, error) {
	var out []*Doc
	for _, d := range m {
		if d.Type == typ && Refers(d.Values, atoms, targetType, targetID) {
			out = append(out, d)
		}
	}
	return out, nil
}

func TestMatch(t *testing.T) {
	patient := docOf(t, `{"resourceType":"Patient","id":"p","active":true,"gender":"female","birthDate":"1970-03","name":[{"family":"الإسكندرية","given":["Zoë Ann"]}],
		"identifier":[{"system":"http://acme.org","value":"7","type":{"coding":[{"system":"http://t","code":"MR"}],"text":"Record number"}}],
		"address":[{"line":["Main Street 1"],"city":"Cairo"}],"generalPractitioner":[{"reference":"Practitioner/d"}],"text":{"status":"generated","div":"<div>Fell <b>off</b> a horse</div>"}}`)
	doctor := docOf(t, `{"resourceType":"Practitioner","id":"d","name":[{"family":"House"}]}`)
	obs := docOf(t, `{"resourceType":"Observation","id":"o","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"85354-9","display":"Blood pressure"}]},
		"subject":{"reference":"Patient/p"},"effectivePeriod":{"start":"2013-01-10","end":"2013-02-20"},
		"component":[{"code":{"coding":[{"system":"http://s","code":"sys"}]},"valueQuantity":{"value":120.0,"unit":"mmHg"}},{"code":{"coding":[{"code":"dia"}]},"valueQuantity":{"value":80,"unit":"mmHg"}}]}`)
	place := docOf(t, `{"resourceType":"Location","id":"l","position":{"latitude":30.0444,"longitude":31.2357}}`)
	list := docOf(t, `{"resourceType":"List","id":"li","entry":[{"item":{"reference":"Patient/p"}}]}`)
	gene := docOf(t, `{"resourceType":"MolecularSequence","id":"m","referenceSeq":{"chromosome":{"coding":[{"code":"1"}]}},"variant":[{"start":10,"end":20},{"start":30,"end":40}]}`)
	rel := docOf(t, `{"resourceType":"DocumentReference","id":"dr","relatesTo":[{"code":"replaces","target":{"reference":"DocumentReference/1"}},{"code":"appends","target":{"reference":"DocumentReference/2"}}]}`)
	all := memory{patient, doctor, obs, place, list, gene, rel}
	for _, c := range []struct {
		d           *Doc
		name, value string
		want        bool
	}{
		{patient, "family", "الاسكندريه", true}, {patient, "given", "zoe", true}, {patient, "given", "ann", false}, {patient, "given:contains", "ANN", true},
		{patient, "given:exact", "Zoë Ann", true}, {patient, "given:exact", "zoë Ann", false}, {patient, "address-city", "cai", true},
		{patient, "address:exact", "Cairo", true}, {patient, "address:exact", "cairo", false}, {patient, "address:contains", "street", true},
		{patient, "gender:not", "male", true}, {patient, "gender:not", "male,female", false}, {patient, "gender:missing", "true", false},
		{patient, "language:missing", "true", true}, {patient, "language:not", "en", true},
		{patient, "identifier", "http://acme.org|7", true}, {patient, "identifier", "http://acme.org|", true}, {patient, "identifier", "|7", false},
		{patient, "identifier:of-type", "http://t|MR|7", true}, {patient, "identifier:of-type", "http://t|SS|7", false},
		{patient, "identifier:text", "record", true}, {patient, "identifier:text", "number 5", false},
		{patient, "birthdate", "1970", true}, {patient, "birthdate", "1970-03-15", false}, {patient, "birthdate", "ne1970", false},
		{patient, "birthdate", "gt1970-03-15", true}, {patient, "birthdate", "sa1970-03-15", false}, {patient, "birthdate", "sa1970-02", true},
		{patient, "birthdate", "eb1970-04-01", true}, {patient, "birthdate", "ap1970-03-20", true},
		{patient, "_id", "x,p", true}, {patient, "_id:not", "p", false}, {patient, "_lastUpdated", "2020-05-01", true}, {patient, "_lastUpdated", "lt2020-05-01", false},
		{patient, "_text", "horse", true}, {patient, "_text", "cairo", false}, {patient, "_content", "horse cairo", true}, {patient, "_content", "camel", false},
		{patient, "general-practitioner.family", "house", true}, {patient, "general-practitioner:Practitioner.family", "home", false},
		{patient, "general-practitioner.name:missing", "false", true},
		{patient, "_has:Observation:patient:code", "85354-9", true}, {patient, "_has:Observation:patient:code", "1", false},
		{patient, "_list", "li", true}, {patient, "_list", "other", false},
		{obs, "patient.general-practitioner.family", "house", true}, {obs, "patient._id", "p", true}, {obs, "patient._id", "q", false},
		{obs, "patient._has:List:item:_id", "li", true},
		// the period 2013-01-10 … 2013-02-20
		{obs, "date", "2013", true}, {obs, "date", "2013-01", false}, {obs, "date", "ne2013-01", true}, {obs, "date", "gt2013-01", true},
		{obs, "date", "lt2013-01", false}, {obs, "date", "lt2013-02", true}, {obs, "date", "ge2013-02-21", false}, {obs, "date", "le2013-01-10", true},
		{obs, "date", "sa2013-01-09", true}, {obs, "date", "sa2013-01-10", false}, {obs, "date", "eb2013-02-21", true}, {obs, "date", "eb2013-02-20", false},
		{obs, "code:text", "PRESSURE", true}, {obs, "combo-code", "dia", true}, {obs, "status", "final,amended", true}, {obs, "code:missing", "false", true},
		{obs, "component-code-value-quantity", "sys$gt100", true}, {obs, "component-code-value-quantity", "dia$gt100", false},
		{obs, "component-code-value-quantity", "dia$80||mmHg", true}, {obs, "component-code-value-quantity", "dia$80||kg", false},
		{obs, "combo-code-value-quantity", "sys$120", true}, {obs, "code-value-quantity", "85354-9$120", false},
		{patient, "gender", "http://hl7.org/fhir/administrative-gender|", true}, {patient, "gender", "http://other|", false},
		{patient, "active", "http://other|true", false}, {patient, "active", "http://terminology.hl7.org/CodeSystem/special-values|", true},
		{patient, "general-practitioner:Practitioner", "d", true}, {patient, "general-practitioner:Organization", "d", false},
		{patient, "general-practitioner:identifier", "x", false},
		{obs, "component-code-value-quantity", "http://s|$120", true}, {obs, "component-code-value-quantity", "http://s|$80", false},
		{obs, "component-code-value-quantity", "http://s|$gt100,dia$80", true}, {obs, "component-code-value-quantity", "http://s|sys$120", true},
		{obs, "component-code-value-quantity", "http://t|sys$120", false}, {obs, "component-value-quantity", "ne120", true}, {obs, "component-value-quantity", "ap110", true},
		{place, "near", "30|31|100|km", true}, {place, "near", "30|31|10|km", false}, {place, "near", "29.9773|31.1325|10|[mi_us]", true}, {place, "near", "30|31", true},
		{gene, "chromosome-variant-coordinate", "1$gt25$lt45", true}, {gene, "chromosome-variant-coordinate", "1$lt15$gt35", false},
		{gene, "chromosome-variant-coordinate", "2$gt25$lt45", false},
		{rel, "relationship", "DocumentReference/1$replaces", true}, {rel, "relationship", "replaces$DocumentReference/1", true},
		{rel, "relationship", "DocumentReference/2$replaces", false},
	} {
		matches(t, c.d, all, c.name, c.value, c.want)
	}
	for _, c := range []struct {
		d        *Doc
		code, id string
		want     bool
	}{{obs, "Patient", "p", true}, {obs, "Patient", "q", false}, {patient, "Patient", "p", true}, {patient, "Practitioner", "d", true}} {
		p, err := Compartment(c.code, c.id, c.d.Type)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Match(p, c.d, nil); err != nil || got != c.want {
			t.Errorf("%s in %s/%s: %v %v", c.d.ID, c.code, c.id, got, err)
		}
	}
	q, _ := Parse("Observation", []Param{{"patient._id", "p"}}, testOptions)
	if _, err := Match(q.ByType[0].Pred, obs, nil); !errors.Is(err, ErrNoLookup) {
		t.Errorf("without a lookup: %v", err)
	}
}
