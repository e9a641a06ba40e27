package clinical

import (
	"context"
	"slices"
	"time"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/record"
)

// encounterMoves is the state machine of an Encounter: from each status, those that may follow. What is finished or cancelled stays so, but for
// entered-in-error, which says that it never was. Nothing becomes unknown that was known.
var encounterMoves = map[string][]string{
	"planned":          {"arrived", "triaged", "in-progress", "cancelled", "entered-in-error"},
	"arrived":          {"triaged", "in-progress", "cancelled", "entered-in-error"},
	"triaged":          {"in-progress", "cancelled", "entered-in-error"},
	"in-progress":      {"onleave", "finished", "cancelled", "entered-in-error"},
	"onleave":          {"in-progress", "finished", "cancelled", "entered-in-error"},
	"finished":         {"entered-in-error"},
	"cancelled":        {"entered-in-error"},
	"unknown":          {"planned", "arrived", "triaged", "in-progress", "onleave", "finished", "cancelled", "entered-in-error"},
	"entered-in-error": {},
}

// mayMove refuses a step that a state machine does not know. what names the thing for people.
func mayMove(moves map[string][]string, what, from, to string) error {
	if from == to || slices.Contains(moves[from], to) {
		return nil
	}
	return fault.At(fault.Conflict, "status", "%s that is %s cannot become %s", what, from, to).WithCode("INVALID_TRANSITION")
}

// encounterRule holds the state machine, whoever writes.
func encounterRule(_ context.Context, _ record.Tx, old, new *fhir.Resource) error {
	if old == nil || new == nil {
		return nil
	}
	return mayMove(encounterMoves, "an encounter", old.Str("status"), new.Str("status"))
}

// ended reports a status that an encounter does not go on from.
func ended(status string) bool {
	return status == "finished" || status == "cancelled" || status == "entered-in-error"
}

// underWay are the statuses of a patient who is here.
var underWay = []string{"arrived", "triaged", "in-progress", "onleave"}

// move brings an encounter to a status at a time: its history, its period and the places where it was go along.
func move(e *fhir.Resource, to string, at time.Time) error {
	from := e.Str("status")
	if from == to {
		return fault.At(fault.Conflict, "status", "the encounter is %s already", to).WithCode("INVALID_TRANSITION")
	}
	if err := mayMove(encounterMoves, "an encounter", from, to); err != nil {
		return err
	}
	since := lastChange(e)
	if since != "" {
		if _, began, _, err := moment("time", since); err == nil && at.Before(began) {
			return fault.At(fault.Unprocessable, "time", "is before the encounter became %s", from)
		}
	}
	history := obj{"status": from, "period": obj{"start": since, "end": stamp(at)}}
	if err := appendTo(e.Node, "statusHistory", history); err != nil {
		return err
	}
	if err := movePeriod(e, from, to, at); err != nil {
		return err
	}
	e.Set("status", fhir.NewString(to))
	if ended(to) {
		return leavePlaces(e, at)
	}
	return nil
}

// lastChange is when the encounter came to its status; "" where that is not known.
func lastChange(e *fhir.Resource) string {
	if all := flat.Items(e.Get("statusHistory")); len(all) > 0 {
		return all[len(all)-1].Path("period").Str("end")
	}
	if e.Str("status") == "planned" {
		return ""
	}
	return e.Path("period").Str("start")
}

// movePeriod keeps the period: it begins when the patient is here, whatever was planned, and ends with the encounter.
func movePeriod(e *fhir.Resource, from, to string, at time.Time) error {
	period := e.Get("period")
	start, end := "", ""
	if period != nil {
		start, end = period.Str("start"), period.Str("end")
	}
	begins := slices.Contains(underWay, to) && !slices.Contains(underWay, from)
	switch {
	case begins:
		start, end = stamp(at), ""
	case to == "finished", to == "cancelled" && from != "planned":
		end = stamp(at)
	case to == "entered-in-error", to == "cancelled":
		return nil
	}
	return flat.Set(e.Node, "period", obj{"start": start, "end": end})
}

// leavePlaces ends the stay at every place of the encounter: beds become free by it.
func leavePlaces(e *fhir.Resource, at time.Time) error {
	for _, l := range flat.Items(e.Get("location")) {
		if s := l.Str("status"); s == "completed" || s == "" && l.Path("period").Str("end") != "" {
			continue
		}
		start := ""
		if p := l.Get("period"); p != nil {
			start = p.Str("start")
		}
		if err := flat.Set(l, "period", obj{"start": start, "end": stamp(at)}); err != nil {
			return err
		}
		l.Set("status", fhir.NewString("completed"))
	}
	return nil
}

// The words of the product API for FHIR's codes.
var (
	encounterStatuses = words{"planned": "planned", "arrived": "arrived", "triaged": "triaged", "in_progress": "in-progress", "in-progress": "in-progress", "onleave": "onleave",
		"finished": "finished", "completed": "finished", "cancelled": "cancelled", "entered_in_error": "entered-in-error", "unknown": "unknown"}
	encounterTypes = words{"outpatient": "AMB", "inpatient": "IMP", "emergency": "EMER", "telehealth": "VR", "home": "HH", "field": "FLD"}
	classTypes     = map[string]string{"AMB": "outpatient", "SS": "outpatient", "IMP": "inpatient", "ACUTE": "inpatient", "NONAC": "inpatient", "OBSENC": "inpatient",
		"PRENC": "inpatient", "EMER": "emergency", "VR": "telehealth", "HH": "home", "FLD": "field"}
	classNames   = map[string]string{"AMB": "ambulatory", "IMP": "inpatient encounter", "EMER": "emergency", "VR": "virtual", "HH": "home health", "FLD": "field"}
	priorities   = words{"routine": "R", "urgent": "UR", "emergency": "EM", "elective": "EL", "asap": "A", "stat": "S"}
	dispositions = words{"home": "home", "alternative_home": "alt-home", "transferred": "other-hcf", "hospice": "hosp", "long_term_care": "long", "ama": "aadvice", "deceased": "exp",
		"psychiatric": "psy", "rehabilitation": "rehab", "nursing_facility": "snf", "other": "oth"}
)

// words are the product API's names for codes.
type words map[string]string

// code is the code of a name, which field said.
func (w words) code(field, name string) (string, error) {
	if c, ok := w[name]; ok {
		return c, nil
	}
	return "", oneOf(field, name, w.names()...)
}

// asked is the code of the status that a verb brings about: fixed, or where that is "" the one that the body names.
func (w words) asked(fixed string, named *string) (string, error) {
	switch {
	case fixed != "":
		return fixed, nil
	case said(named) == "":
		return "", missing("status")
	}
	return w.code("status", said(named))
}

// names are the names that are told, each code's first, in order.
func (w words) names() []string {
	var out []string
	for n := range w {
		if w.name(w[n]) == n {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out
}

// name is the name that is told of a code: the one with underscores where there are several; the code itself where it has none.
func (w words) name(code string) string {
	best := ""
	for n, c := range w {
		if c == code && (best == "" || better(n, best, code)) {
			best = n
		}
	}
	if best == "" {
		return code
	}
	return best
}

func better(n, than, code string) bool {
	plain := func(s string) bool { return s == under(code) }
	if plain(n) != plain(than) {
		return plain(n)
	}
	return n < than
}

// under writes a code with underscores.
func under(code string) string {
	b := []byte(code)
	for i := range b {
		if b[i] == '-' {
			b[i] = '_'
		}
	}
	return string(b)
}

func typeOfClass(class string) string {
	if t, ok := classTypes[class]; ok {
		return t
	}
	return class
}

// classesOf are the classes that are told as a type.
func classesOf(typ string) []string {
	var out []string
	for class, t := range classTypes {
		if t == typ {
			out = append(out, class)
		}
	}
	slices.Sort(out)
	return out
}

// reclass changes the class, and notes the one before.
func reclass(e *fhir.Resource, class string, at time.Time) error {
	was := e.Get("class")
	if was != nil && was.Str("code") == class {
		return nil
	}
	if was != nil && e.Str("status") != "planned" {
		since := e.Path("period").Str("start")
		if all := flat.Items(e.Get("classHistory")); len(all) > 0 {
			since = all[len(all)-1].Path("period").Str("end")
		}
		one := obj{"class": obj{"system": was.Str("system"), "code": was.Str("code"), "display": was.Str("display")}, "period": obj{"start": since, "end": stamp(at)}}
		if err := appendTo(e.Node, "classHistory", one); err != nil {
			return err
		}
	}
	return flat.Set(e.Node, "class", obj{"system": actCode, "code": class, "display": classNames[class]})
}
