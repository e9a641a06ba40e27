package recordtest

import (
	"bytes"
	"testing"

	"github.com/nilecare/nilecare/internal/record"
)

// secrets are what may stand nowhere in clear.
var secrets = [...]string{"987-65-4329", "MRN-77-SECRET-1", "+201005550199", "someone.secret@example.org", "221B Verborgene Strasse", "Unfindbarstadt", "98765432"}

// secretive is a patient with all of them.
func secretive(t testing.TB, family string) record.Change {
	t.Helper()
	s := secrets
	return update("secretive-"+family[:1], res(t, `{"resourceType":"Patient","name":[{"family":%q}],
		"identifier":[{"system":"http://hl7.org/fhir/sid/us-ssn","value":%q},{"type":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0203","code":"MR"}]},"system":"urn:mrn","value":%q}],
		"telecom":[{"system":"phone","value":%q},{"system":"email","value":%q}],
		"address":[{"line":[%q],"city":%q,"postalCode":%q}],
		"contact":[{"telecom":[{"system":"phone","value":%q}]}]}`, family, s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[2]))
}

func testSecrecy(t *testing.T, h Harness) {
	b := setUp(t, h, record.Options{})
	absent := func(when string, words ...string) {
		t.Helper()
		all := b.place.Bytes(t)
		if len(all) < 1000 {
			t.Fatalf("only %d bytes were scanned", len(all))
		}
		folded := bytes.ToLower(all)
		for _, w := range words {
			if bytes.Contains(folded, bytes.ToLower([]byte(w))) {
				t.Errorf("%s, %q stands in clear", when, w)
			}
		}
	}
	b.write(secretive(t, "Erstername"))
	b.write(secretive(t, "Zweitername"))
	b.writeAll(creation(res(t, `{"resourceType":"RelatedPerson","patient":{"reference":"Patient/secretive-E"},"telecom":[{"value":%q}],"address":[{"text":%q}]}`, secrets[2], secrets[4])),
		creation(res(t, `{"resourceType":"Observation","status":"final","code":{"text":"Geheimbefund"},"subject":{"reference":"Patient/secretive-E","identifier":{"system":"http://hl7.org/fhir/sid/us-ssn","value":%q}},"note":[{"text":%q}]}`, secrets[0], secrets[4])))
	// They are found by them all the same.
	both := []string{"secretive-E", "secretive-Z"}
	for name, value := range map[string]string{"identifier": secrets[0], "phone": secrets[2], "email": secrets[3], "address": secrets[4], "address-city": secrets[5], "address-postalcode": secrets[6]} {
		b.finds(both, "Patient", name, value)
	}
	absent("while open", append(secrets[:], "Geheimbefund")...)
	b.write(update("secretive-Z", patient(t, "Drittername")))
	b.write(deletion("Patient", "secretive-Z"))
	absent("after changes", secrets[:]...)
	if err := b.engine.Scrub(b.ctx); err != nil {
		t.Fatal(err)
	}
	absent("after scrubbing", append(secrets[:], "Zweitername", "Drittername")...)
}

// Sealed demands that a place whose files are sealed as a whole holds not even names and codes in clear, and that it opens
// again. check looks at the files besides.
func Sealed(t *testing.T, p Place, check func()) {
	b := openBench(t, p, record.Options{})
	words := []string{"Offenername", "8867-4", "loinc", "Observation", "CREATE TABLE"}
	b.write(update("clear", patient(t, words[0])))
	b.write(update("clear-o", observation(t, "Patient/clear")))
	scan := func(when string) {
		all := p.Bytes(t)
		for _, w := range append(words, secrets[:]...) {
			if bytes.Contains(all, []byte(w)) {
				t.Errorf("%s, %q stands in clear", when, w)
			}
		}
		check()
	}
	scan("while open")
	if err := b.store.Close(); err != nil {
		t.Fatal(err)
	}
	scan("after closing")
	c := openBench(t, p, record.Options{})
	c.finds([]string{"clear"}, "Patient", "family", words[0])
	if err := c.store.Close(); err != nil {
		t.Fatal(err)
	}
}
