package web

import (
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
)

// AppendOutcome appends an OperationOutcome of these issues as compact JSON. Without issues it says that all is well,
// since R4 demands at least one.
func AppendOutcome(b []byte, issues []fault.Issue) []byte {
	b = append(b, `{"resourceType":"OperationOutcome","issue":[`...)
	if len(issues) == 0 {
		b = append(b, `{"severity":"information","code":"informational","diagnostics":"All OK"}`...)
	}
	for i, issue := range issues {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendIssue(b, issue)
	}
	return append(b, `]}`...)
}

func appendIssue(b []byte, i fault.Issue) []byte {
	b = append(b, `{"severity":`...)
	b = fhir.AppendQuoted(b, i.Severity)
	b = append(b, `,"code":`...)
	b = fhir.AppendQuoted(b, i.Code)
	if i.Diagnostics != "" {
		b = append(b, `,"diagnostics":`...)
		b = fhir.AppendQuoted(b, i.Diagnostics)
	}
	if i.Expression != "" {
		b = append(b, `,"expression":[`...)
		b = fhir.AppendQuoted(b, i.Expression)
		b = append(b, ']')
	}
	return append(b, '}')
}
