package access

import (
	"slices"
	"strings"

	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/search"
)

// attribute is one attribute of a resource in the policies' vocabulary. All are sets of strings, empty where a type has no such
// thing: a permit that asks for it does not permit then, and a forbid "unless" it does forbid.
type attribute struct {
	// holds is the condition that the attribute of a resource of the type contains the value; never for a value that cannot be in it.
	holds func(typ, value string) search.Pred
	// target is what a value is a reference to: a resource type, "*" any, "" it is a code.
	target string
}

// attributes is the vocabulary: name → meaning. It never changes.
var attributes = map[string]attribute{
	"patient":      {aboutPatient, "Patient"},
	"practitioner": {byPractitioner, "Practitioner"},
	"organization": {inOrganization, "Organization"},
	"facility":     {inFacility, "Location"},
	"careTeam":     {byCareTeam, "*"},
	"label":        {codeOf("_security"), ""},
	"tag":          {codeOf("_tag"), ""},
	"category":     {codeOf("category"), ""},
	"code":         {codeOf("code"), ""},
	"status":       {codeOf("status"), ""},
}

// attributeNames is for messages, in order.
func attributeNames() string {
	names := make([]string, 0, len(attributes))
	for n := range attributes {
		names = append(names, n)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// holdsValue is the condition that the attribute contains the value, well-formed or not.
func (a attribute) holdsValue(typ, value string) search.Pred {
	if a.target != "" {
		if t, id, ok := splitRef(value); !ok || a.target != "*" && t != a.target || id == "" {
			return never
		}
	}
	return a.holds(typ, value)
}

// splitRef splits a relative reference "Type/id".
func splitRef(ref string) (typ, id string, ok bool) {
	typ, id, ok = strings.Cut(ref, "/")
	return typ, id, ok && isResourceType(typ) && fhir.ValidID(id)
}

// link is how a type points to a resource that it belongs to.
type link struct {
	atoms []search.AtomRef
	self  bool // the type itself is what it belongs to
}

func (l link) none() bool { return !l.self && len(l.atoms) == 0 }

func (l link) to(typ, id string) search.Pred {
	if l.none() {
		return never
	}
	return search.InCompartment{Atoms: l.atoms, Type: typ, ID: id, Self: l.self}
}

// patientLink is how a type points to its patient: the Patient compartment, and for the types that R4 left out of it (Device, Task,
// Contract, GuidanceResponse …) their parameter "patient".
func patientLink(typ string) link {
	if p, err := search.Compartment("Patient", "0", typ); err == nil {
		if in, ok := p.(search.InCompartment); ok {
			return link{in.Atoms, in.Self}
		}
	}
	return link{atoms: refAtoms(typ, "patient", "Patient")}
}

// refAtoms are the atoms of a reference parameter that count for references to the target; none where the type has no such parameter.
func refAtoms(typ, param, target string) []search.AtomRef {
	refs, sp, ok := search.ParamAtoms(typ, param)
	if !ok || sp.Type != "reference" {
		return nil
	}
	if len(sp.Targets) > 0 && !slices.Contains(sp.Targets, target) {
		return nil
	}
	var out []search.AtomRef
	for _, r := range refs {
		if r.Kind == search.Reference && (r.Target == "" || r.Target == target) {
			out = append(out, r)
		}
	}
	return out
}

// refers is the condition that one of the parameter's references is to that resource.
func refers(typ, param, target, id string) search.Pred {
	var preds []search.Pred
	for _, a := range refAtoms(typ, param, target) {
		preds = append(preds, search.RefTo{Atom: a.Atom, Type: target, ID: id})
	}
	return anyOf(preds...)
}

// ofPatient carries a condition on a Patient to the types that are about one.
func ofPatient(typ string, p search.Pred) search.Pred {
	if typ == "Patient" {
		return p
	}
	l := patientLink(typ)
	if len(l.atoms) == 0 || isNever(p) {
		return never
	}
	return search.Chain{Atoms: l.atoms, Type: "Patient", Pred: p}
}

func aboutPatient(typ, value string) search.Pred {
	_, id, _ := splitRef(value)
	return patientLink(typ).to("Patient", id)
}

func byPractitioner(typ, value string) search.Pred {
	_, id, _ := splitRef(value)
	p, err := search.Compartment("Practitioner", id, typ)
	if in, ok := p.(search.InCompartment); err == nil && ok && !(link{in.Atoms, in.Self}).none() {
		return in
	}
	return never
}

func inOrganization(typ, value string) search.Pred {
	_, id, _ := splitRef(value)
	if typ == "Organization" {
		return search.IDs{id}
	}
	return ofPatient(typ, refers("Patient", "organization", "Organization", id))
}

func inFacility(typ, value string) search.Pred {
	_, id, _ := splitRef(value)
	here := refers("Encounter", "location", "Location", id)
	switch typ {
	case "Location":
		return search.IDs{id}
	case "Encounter":
		return here
	}
	return ofPatient(typ, search.ReverseChain{Type: "Encounter", Atoms: refAtoms("Encounter", "patient", "Patient"), Pred: here})
}

// byCareTeam: the value is a team of the patient, a participant of one, or the patient's general practitioner. A team that is inactive,
// or was entered in error, is none.
func byCareTeam(typ, value string) search.Pred {
	target, id, _ := splitRef(value)
	member := refers("CareTeam", "participant", target, id)
	if target == "CareTeam" {
		member = anyOf(search.IDs{id}, member)
	}
	preds := []search.Pred{refers("Patient", "general-practitioner", target, id)}
	if !isNever(member) {
		over := anyOf(codeOf("status")("CareTeam", "inactive"), codeOf("status")("CareTeam", "entered-in-error"))
		preds = append(preds, search.ReverseChain{Type: "CareTeam", Atoms: refAtoms("CareTeam", "patient", "Patient"), Pred: allOf(member, not(over))})
	}
	return ofPatient(typ, anyOf(preds...))
}

// codeOf is a token parameter: the value is a code, or "system|code".
func codeOf(param string) func(typ, value string) search.Pred {
	return func(typ, value string) search.Pred {
		_, sp, ok := search.ParamAtoms(typ, param)
		if !ok || sp.Type != "token" || value == "" {
			return never
		}
		text := search.Escape(value)
		if i := strings.LastIndexByte(value, '|'); i >= 0 {
			if i == len(value)-1 {
				return never
			}
			text = search.Escape(value[:i]) + "|" + search.Escape(value[i+1:])
		}
		q, err := search.Parse(typ, []search.Param{{Name: param, Value: text}}, search.Options{})
		if err != nil {
			return never
		}
		return q.ByType[0].Pred
	}
}
