package hospital

import (
	"strings"

	"github.com/nilecare/nilecare/internal/fhir"
)

// person has the four names that a Sudanese card bears: own, father's, grandfather's and great-grandfather's.
type person struct {
	male  bool
	given [3]word
	last  word
}

func (r draw) person(male bool) person {
	own := maleNames()
	if !male {
		own = femaleNames()
	}
	return person{male: male, given: [3]word{pick(r, own), pick(r, maleNames()), pick(r, maleNames())}, last: pick(r, maleNames())}
}

func (p person) gender() string {
	if p.male {
		return "male"
	}
	return "female"
}

// names are the official one in Arabic and its usual transliteration, each saying its language.
func (p person) names(prefix string) []*fhir.Node {
	ar := []string{p.given[0].ar, p.given[1].ar, p.given[2].ar}
	en := []string{p.given[0].en, p.given[1].en, p.given[2].en}
	var titles field
	if prefix != "" {
		titles = texts("prefix", prefix)
	}
	return []*fhir.Node{
		object(language("ar"), s("use", "official"), s("text", strings.Join(append(ar, p.last.ar), " ")), s("family", p.last.ar), texts("given", ar...)),
		object(language("en"), s("use", "usual"), s("text", strings.Join(append(en, p.last.en), " ")), s("family", p.last.en), texts("given", en...), titles),
	}
}

// language is the official extension that says what language a name is in.
func language(code string) field {
	return list("extension", extension("http://hl7.org/fhir/StructureDefinition/language", s("valueCode", code)))
}

// phone is a mobile number of Sudan's numbering plan in international form.
func (r draw) phone() string {
	return "+249" + pick(r, []string{"91", "90", "96", "12", "11", "99", "92"}) + r.digits(7)
}

// townAddress has the town in Latin letters, and in Arabic by the official translation extension on the primitive.
func townAddress(p place, use string, line ...string) *fhir.Node {
	var lines field
	if len(line) > 0 {
		lines = texts("line", line...)
	}
	return object(s("use", use), s("type", "physical"), lines, s("city", p.town), o("_city", list("extension", object(
		list("extension", extension("lang", s("valueCode", "ar")), extension("content", s("valueString", p.townAr))),
		s("url", "http://hl7.org/fhir/StructureDefinition/translation")))),
		s("state", p.state), s("postalCode", p.postal), s("country", "SD"))
}
