package fhirpath

import (
	"github.com/nilecare/nilecare/internal/fhir"
)

// AppendResultJSON appends one result as {"type": …, "value": …}: the type by its FHIR name, the value as FHIR's JSON
// has it. Decimals keep their digits; complex elements are whole. A primitive that has extensions alone has the value
// null and its companion as "_value"; an unfetched resource has the value null.
func AppendResultJSON(b []byte, item Item) []byte {
	b = append(b, `{"type": `...)
	b = fhir.AppendQuoted(b, item.TypeName())
	b = append(b, `, "value": `...)
	switch {
	case item.value != nil:
		b = appendValueJSON(b, item.value)
	case item.node != nil:
		b = item.node.AppendJSON(b)
	default:
		b = append(b, "null"...)
		if item.comp != nil {
			b = append(b, `, "_value": `...)
			b = item.comp.AppendJSON(b)
		}
	}
	return append(b, '}')
}

func appendValueJSON(b []byte, v Value) []byte {
	switch x := v.(type) {
	case Boolean, Integer:
		return append(b, x.String()...)
	case Decimal:
		return x.append(b)
	case Quantity:
		b = append(b, `{"value": `...)
		b = x.Value.append(b)
		b = append(b, `, "unit": `...)
		b = fhir.AppendQuoted(b, x.Unit)
		if !x.Calendar {
			b = append(b, `, "system": "`+ucumSystem+`", "code": `...)
			b = fhir.AppendQuoted(b, x.Unit)
		}
		return append(b, '}')
	case typeInfo:
		b = append(b, `{"namespace": `...)
		b = fhir.AppendQuoted(b, x.namespace)
		b = append(b, `, "name": `...)
		b = fhir.AppendQuoted(b, x.name)
		return append(b, '}')
	}
	return fhir.AppendQuoted(b, v.String())
}
