package hospital

import (
	"strconv"
	"time"

	"github.com/nilecare/nilecare/internal/fhir"
)

// field is a member of an object under construction; the empty one is left out.
type field struct {
	name  string
	value *fhir.Node
}

func object(fields ...field) *fhir.Node {
	o := fhir.NewObject()
	for _, f := range fields {
		if f.value != nil {
			f.value.Name = f.name
			o.Append(f.value)
		}
	}
	return o
}

func resource(typ string, fields ...field) *fhir.Node {
	r := object(s("resourceType", typ))
	for _, f := range fields {
		if f.value != nil {
			f.value.Name = f.name
			r.Append(f.value)
		}
	}
	return r
}

// s is a string member; an empty string leaves it out.
func s(name, value string) field {
	if value == "" {
		return field{}
	}
	return field{name, fhir.NewString(value)}
}

// b is a boolean member.
func b(name string, value bool) field { return field{name, fhir.NewBool(value)} }

// i is an integer member.
func i(name string, value int) field { return field{name, fhir.NewNumber(strconv.Itoa(value))} }

// d is a decimal member with a fixed number of digits after the point.
func d(name string, value float64, digits int) field {
	return field{name, fhir.NewNumber(strconv.FormatFloat(value, 'f', digits, 64))}
}

// o is an object member.
func o(name string, fields ...field) field { return field{name, object(fields...)} }

// n is a member of any value; nil leaves it out.
func n(name string, value *fhir.Node) field { return field{name, value} }

// list is an array member; no items leave it out.
func list(name string, items ...*fhir.Node) field {
	if len(items) == 0 {
		return field{}
	}
	return field{name, fhir.NewArray(items...)}
}

// texts is an array member of strings.
func texts(name string, values ...string) field {
	items := make([]*fhir.Node, len(values))
	for k, v := range values {
		items[k] = fhir.NewString(v)
	}
	return list(name, items...)
}

func ref(name, to string) field {
	if to == "" {
		return field{}
	}
	return o(name, s("reference", to))
}

func refs(name string, to ...string) field {
	items := make([]*fhir.Node, len(to))
	for k, v := range to {
		items[k] = object(s("reference", v))
	}
	return list(name, items...)
}

func coding(system, code, display string) *fhir.Node {
	return object(s("system", system), s("code", code), s("display", display))
}

// concept is a CodeableConcept of one coding, with text where there is one.
func concept(system, code, display, text string) *fhir.Node {
	if code == "" {
		return object(s("text", text))
	}
	return object(list("coding", coding(system, code, display)), s("text", text))
}

func quantity(name string, value float64, digits int, unit, ucum string) field {
	return o(name, d("value", value, digits), s("unit", unit), s("system", "http://unitsofmeasure.org"), s("code", ucum))
}

func period(start, end time.Time) field {
	f := []field{s("start", instant(start))}
	if !end.IsZero() {
		f = append(f, s("end", instant(end)))
	}
	return o("period", f...)
}

func extension(url string, value field) *fhir.Node { return object(s("url", url), value) }

// zone is Central Africa Time, Sudan's since November 2017.
func zone() *time.Location { return time.FixedZone("CAT", 2*60*60) }

func instant(t time.Time) string { return t.Format("2006-01-02T15:04:05-07:00") }

func date(t time.Time) string { return t.Format("2006-01-02") }
