package access_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"
	"pgregory.net/rapid"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/search"
)

// TestAgreesWithCedar: for random policies, principals and resources, the compiled extent holds a resource exactly where Cedar's own
// authorizer permits the action on an entity that is built from the same documents by hand, without search parameters.
func TestAgreesWithCedar(t *testing.T) {
	decided := map[bool]int{}
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		pr := drawPrincipal(t)
		var text strings.Builder
		for i := range rapid.IntRange(1, 4).Draw(t, "policies") {
			fmt.Fprintf(&text, "@id(\"p%d\")\n%s\n", i, drawPolicy(t))
		}
		policies := compile(t, text.String())
		set, err := cedar.NewPolicySetFromBytes("p", []byte(text.String()))
		if err != nil {
			t.Fatalf("%v", err)
		}
		g := grant(t, policies, pr)
		entities, principal := entitiesOf(w, pr)
		for _, d := range w {
			uid := types.NewEntityUID(types.EntityType("FHIR::"+d.Type), types.String(d.ID))
			for a := access.Read; a <= access.Delete; a++ {
				decision, diagnostic := cedar.Authorize(set, entities, cedar.Request{Principal: principal,
					Action: types.NewEntityUID("Action", types.String(a.String())), Resource: uid, Context: contextOf(pr)})
				want := decision == cedar.Allow
				decided[want]++
				if got := may(t, g.Extent(a, d.Type), d, w); got != want {
					t.Fatalf("%s\n%s %s/%s: the extent says %v, Cedar %v (%v)\n%+v", text.String(), a, d.Type, d.ID, got, want, diagnostic, pr)
				}
			}
		}
	})
	t.Logf("permitted %d, denied %d", decided[true], decided[false])
	if decided[true] == 0 || decided[false] == 0 {
		t.Error("only one answer was ever given")
	}
}

// ---- random worlds: a handful of types, ids 1 to 3

func ref(t *rapid.T, typ, label string) string {
	return fmt.Sprintf(`{"reference":"%s/%d"}`, typ, rapid.IntRange(1, 3).Draw(t, label))
}

func security(t *rapid.T) string {
	switch rapid.IntRange(0, 3).Draw(t, "label") {
	case 0:
		return `"meta":{"security":[{"system":"http://c","code":"R"}]},`
	case 1:
		return `"meta":{"security":[{"system":"http://other","code":"R"},{"code":"V"}],"tag":[{"system":"http://c","code":"T"}]},`
	}
	return ""
}

func pick(t *rapid.T, label string, choices ...string) string {
	return rapid.SampledFrom(choices).Draw(t, label)
}

func drawWorld(t *rapid.T) world {
	var w world
	add := func(typ, id, body string) {
		w = append(w, doc(t, fmt.Sprintf(`{"resourceType":"%s","id":"%s",%s"language":"en"%s}`, typ, id, security(t), body)))
	}
	for _, id := range []string{"1", "2"} {
		body := ""
		if rapid.Bool().Draw(t, "org") {
			body += `,"managingOrganization":` + ref(t, "Organization", "org")
		}
		if rapid.Bool().Draw(t, "gp") {
			body += `,"generalPractitioner":[` + ref(t, pick(t, "gpType", "Practitioner", "Organization"), "gp") + `]`
		}
		if rapid.Bool().Draw(t, "link") {
			body += `,"link":[{"type":"seealso","other":` + ref(t, "Patient", "link") + `}]`
		}
		add("Patient", id, body)
	}
	for _, id := range []string{"1", "2"} {
		body := `,"status":"` + pick(t, "team status", "active", "inactive", "entered-in-error", "proposed") + `","subject":` + ref(t, "Patient", "team")
		if rapid.Bool().Draw(t, "member") {
			body += `,"participant":[{"member":` + ref(t, pick(t, "member type", "Practitioner", "Patient", "CareTeam"), "member") + `}]`
		}
		add("CareTeam", id, body)
		add("Encounter", id, `,"status":"finished","class":{"code":"AMB"},"subject":`+ref(t, "Patient", "enc")+
			`,"participant":[{"individual":`+ref(t, "Practitioner", "enc")+`}],"location":[{"location":`+ref(t, "Location", "enc")+`}]`)
		add("Observation", id, `,"status":"`+pick(t, "obs status", "final", "amended")+`","subject":`+ref(t, pick(t, "subject", "Patient", "Location"), "obs")+
			`,"performer":[`+ref(t, pick(t, "performer", "Patient", "Practitioner"), "obs")+
			`],"category":[{"coding":[{"system":"http://c","code":"`+pick(t, "category", "laboratory", "vital-signs")+`"}]}],"code":{"coding":[{"system":"http://l","code":"`+
			pick(t, "code", "1", "2")+`"},{"system":"http://m","code":"3"}]}`)
		add("Task", id, `,"status":"requested","intent":"order","for":`+ref(t, pick(t, "for", "Patient", "Group"), "task"))
	}
	for _, typ := range []string{"Organization", "Location", "Practitioner"} {
		add(typ, "1", "")
	}
	return w
}

func drawPrincipal(t *rapid.T) access.Principal {
	refs := func(typ string) []string {
		var out []string
		for _, n := range rapid.SliceOfNDistinct(rapid.IntRange(1, 3), 0, 2, rapid.ID[int]).Draw(t, typ) {
			out = append(out, fmt.Sprintf("%s/%d", typ, n))
		}
		return out
	}
	pr := access.Principal{Tenant: 1, User: rapid.Int64Range(1, 2).Draw(t, "user"), Kind: pick(t, "kind", "user", "service", "device"),
		Roles:    rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"doctor", "nurse", "patient"}), 0, 2, rapid.ID[string]).Draw(t, "roles"),
		Patients: refs("Patient"), Organizations: refs("Organization"), Facilities: refs("Location"), CareTeams: refs("CareTeam"),
		Purpose: pick(t, "purpose", "TREAT", "HMARKT"), MFA: rapid.Bool().Draw(t, "mfa"), Emergency: rapid.Bool().Draw(t, "emergency")}
	if p := refs("Practitioner"); len(p) > 0 {
		pr.Practitioner, pr.Self = p[0], p
	}
	return pr
}

// ---- random policies of the subset

func drawPolicy(t *rapid.T) string {
	head := pick(t, "effect", "permit", "permit", "forbid") + "(" +
		pick(t, "principal", "principal", "principal", `principal in Role::"doctor"`, `principal in Role::"nurse"`, "principal is User", `principal is Client in Role::"doctor"`, `principal == User::"1"`) + ", " +
		pick(t, "action", "action", "action", `action == Action::"read"`, `action in Action::"write"`, `action in [Action::"view", Action::"delete"]`) + ", " +
		pick(t, "resource", "resource", "resource", "resource is FHIR::Observation", "resource is FHIR::Patient", `resource in Types::"patient"`, `resource in Types::"directory"`,
			`resource == FHIR::Patient::"1"`, `resource is FHIR::Task in Types::"clinical"`) + ")"
	for range rapid.IntRange(0, 2).Draw(t, "conditions") {
		head += " " + pick(t, "when", "when", "unless") + " { " + drawCondition(t, 3) + " }"
	}
	return head + ";"
}

func drawCondition(t *rapid.T, depth int) string {
	if depth > 0 {
		switch rapid.IntRange(0, 6).Draw(t, "node") {
		case 0, 1:
			return "(" + drawCondition(t, depth-1) + " && " + drawCondition(t, depth-1) + ")"
		case 2, 3:
			return "(" + drawCondition(t, depth-1) + " || " + drawCondition(t, depth-1) + ")"
		case 4:
			return "!(" + drawCondition(t, depth-1) + ")"
		case 5:
			return "(if " + drawCondition(t, depth-1) + " then " + drawCondition(t, depth-1) + " else " + drawCondition(t, depth-1) + ")"
		}
	}
	return pick(t, "leaf",
		"context.mfa", "context.emergency", `context.purpose == "TREAT"`, `principal in Role::"nurse"`, `principal.roles.contains("doctor")`, "true", "false",
		`principal.kind == "user"`, "principal.id", `principal.tenant.contains(1)`, `principal.patients == []`, // the second and third of these fail
		"principal.patients.containsAny(resource.patient)", `resource.patient.contains("Patient/1")`, `resource.patient.containsAll(principal.patients)`,
		"resource.patient.containsAny(principal.patients)", "principal.self.containsAny(resource.practitioner)", "resource.practitioner.contains(principal.practitioner)",
		"principal.organizations.containsAny(resource.organization)", `resource.organization.contains("Organization/1")`,
		"principal.facilities.containsAny(resource.facility)", `resource.facility.containsAny(["Location/1", "Location/2"])`,
		"principal.careTeams.containsAny(resource.careTeam)", "principal.self.containsAny(resource.careTeam)", `resource.careTeam.contains("Organization/1")`,
		`resource.label.contains("R")`, `resource.label.containsAny(["V", "http://c|R"])`, `resource.tag.contains("T")`, `resource.category.contains("laboratory")`,
		`resource.category.contains("http://c|vital-signs")`, `resource.code.containsAll(["1", "http://m|3"])`, `resource.status.containsAny(["final", "active"])`,
		`resource.status.contains(1)`, `resource.label.containsAny([1, "R"])`, `resource.label.containsAny("R")`, // the last fails
		"resource is FHIR::Observation", `resource is FHIR::Patient in Types::"patient"`, `resource in Types::"clinical"`, `resource in [Types::"directory", FHIR::Patient::"2"]`,
		`resource == FHIR::Encounter::"1"`, `resource != FHIR::Patient::"1"`, "resource == principal", "resource has label", "principal has careTeams")
}

// ---- the oracle: Cedar entities from the documents

var groups = map[string][]string{
	"Patient": {"demographic", "patient"}, "CareTeam": {"clinical", "patient"}, "Encounter": {"clinical", "patient"}, "Observation": {"clinical", "patient"},
	"Task": {"clinical"}, "Organization": {"directory"}, "Location": {"directory"}, "Practitioner": {"directory"},
}

// refsAt are the references at a path, of which each name may lead through an array.
func refsAt(n *fhir.Node, path ...string) []string {
	if n == nil {
		return nil
	}
	if n.Kind == fhir.Array {
		var out []string
		for _, c := range n.Items() {
			out = append(out, refsAt(c, path...)...)
		}
		return out
	}
	if len(path) == 0 {
		return []string{n.Str("reference")}
	}
	return refsAt(n.Get(path[0]), path[1:]...)
}

func ofType(refs []string, typ string) []string {
	var out []string
	for _, r := range refs {
		if strings.HasPrefix(r, typ+"/") {
			out = append(out, r)
		}
	}
	return out
}

// codesAt are code and system|code of the codings at a path.
func codesAt(n *fhir.Node, path ...string) []string {
	if n == nil {
		return nil
	}
	if n.Kind == fhir.Array {
		var out []string
		for _, c := range n.Items() {
			out = append(out, codesAt(c, path...)...)
		}
		return out
	}
	if len(path) > 0 {
		return codesAt(n.Get(path[0]), path[1:]...)
	}
	if n.Kind == fhir.String {
		return []string{n.Text}
	}
	out := []string{n.Str("code")}
	if s := n.Str("system"); s != "" {
		out = append(out, s+"|"+n.Str("code"))
	}
	return out
}

func patientsOf(d *search.Doc) []string {
	n := d.Resource.Node
	switch d.Type {
	case "Patient":
		return append(ofType(refsAt(n, "link", "other"), "Patient"), "Patient/"+d.ID)
	case "Observation":
		return ofType(append(refsAt(n, "subject"), refsAt(n, "performer")...), "Patient")
	case "CareTeam":
		return ofType(append(refsAt(n, "subject"), refsAt(n, "participant", "member")...), "Patient")
	case "Encounter":
		return ofType(refsAt(n, "subject"), "Patient")
	case "Task":
		return ofType(refsAt(n, "for"), "Patient")
	}
	return nil
}

func practitionersOf(d *search.Doc) []string {
	n := d.Resource.Node
	switch d.Type {
	case "Practitioner":
		return []string{"Practitioner/" + d.ID}
	case "Patient":
		return ofType(refsAt(n, "generalPractitioner"), "Practitioner")
	case "Observation":
		return ofType(refsAt(n, "performer"), "Practitioner")
	case "CareTeam":
		return ofType(refsAt(n, "participant", "member"), "Practitioner")
	case "Encounter":
		return ofType(refsAt(n, "participant", "individual"), "Practitioner")
	}
	return nil
}

// throughPatients gathers what f finds on the patients that a resource is about; a Patient is about itself.
func (w world) throughPatients(d *search.Doc, f func(p *search.Doc) []string) []string {
	if d.Type == "Patient" {
		return f(d)
	}
	var out []string
	for _, r := range patientsOf(d) {
		if p, _ := w.Doc("Patient", strings.TrimPrefix(r, "Patient/")); p != nil {
			out = append(out, f(p)...)
		}
	}
	return out
}

func (w world) organizationsOf(d *search.Doc) []string {
	if d.Type == "Organization" {
		return []string{"Organization/" + d.ID}
	}
	return w.throughPatients(d, func(p *search.Doc) []string { return refsAt(p.Resource.Node, "managingOrganization") })
}

func (w world) facilitiesOf(d *search.Doc) []string {
	at := func(e *search.Doc) []string { return refsAt(e.Resource.Node, "location", "location") }
	switch d.Type {
	case "Location":
		return []string{"Location/" + d.ID}
	case "Encounter":
		return at(d)
	}
	return w.throughPatients(d, func(p *search.Doc) []string {
		var out []string
		for _, e := range w {
			if e.Type == "Encounter" && slices.Contains(patientsOf(e), "Patient/"+p.ID) {
				out = append(out, at(e)...)
			}
		}
		return out
	})
}

func (w world) teamsOf(d *search.Doc) []string {
	return w.throughPatients(d, func(p *search.Doc) []string {
		out := refsAt(p.Resource.Node, "generalPractitioner")
		for _, c := range w {
			status := c.Resource.Str("status")
			if c.Type == "CareTeam" && slices.Contains(refsAt(c.Resource.Node, "subject"), "Patient/"+p.ID) && status != "inactive" && status != "entered-in-error" {
				out = append(append(out, "CareTeam/"+c.ID), refsAt(c.Resource.Node, "participant", "member")...)
			}
		}
		return out
	})
}

func texts(list []string) types.Set {
	var values []types.Value
	for _, s := range list {
		values = append(values, types.String(s))
	}
	return types.NewSet(values...)
}

func contextOf(pr access.Principal) types.Record {
	return types.NewRecord(types.RecordMap{"purpose": types.String(pr.Purpose), "mfa": types.Boolean(pr.MFA), "emergency": types.Boolean(pr.Emergency)})
}

func entitiesOf(w world, pr access.Principal) (types.EntityMap, types.EntityUID) {
	out := types.EntityMap{}
	put := func(uid types.EntityUID, attributes types.RecordMap, parents ...types.EntityUID) {
		out[uid] = types.Entity{UID: uid, Attributes: types.NewRecord(attributes), Parents: types.NewEntityUIDSet(parents...)}
	}
	for _, d := range w {
		var parents []types.EntityUID
		for _, g := range groups[d.Type] {
			parents = append(parents, types.NewEntityUID("Types", types.String(g)))
		}
		n := d.Resource.Node
		put(types.NewEntityUID(types.EntityType("FHIR::"+d.Type), types.String(d.ID)), types.RecordMap{
			"patient": texts(patientsOf(d)), "practitioner": texts(practitionersOf(d)), "organization": texts(w.organizationsOf(d)),
			"facility": texts(w.facilitiesOf(d)), "careTeam": texts(w.teamsOf(d)), "label": texts(codesAt(n.Get("meta"), "security")),
			"tag": texts(codesAt(n.Get("meta"), "tag")), "category": texts(codesAt(n, "category", "coding")), "code": texts(codesAt(n, "code", "coding")),
			"status": texts(codesAt(n, "status"))}, parents...)
	}
	for a, g := range map[string]string{"read": "view", "search": "view", "create": "write", "update": "write", "delete": "write"} {
		put(types.NewEntityUID("Action", types.String(a)), nil, types.NewEntityUID("Action", types.String(g)))
	}
	typ := map[string]types.EntityType{"user": "User", "service": "Client", "device": "Device"}[pr.Kind]
	uid := types.NewEntityUID(typ, types.String(fmt.Sprint(pr.User)))
	var roles []types.EntityUID
	for _, r := range pr.Roles {
		roles = append(roles, types.NewEntityUID("Role", types.String(r)))
	}
	put(uid, types.RecordMap{"id": types.String(fmt.Sprint(pr.User)), "kind": types.String(pr.Kind), "tenant": types.Long(pr.Tenant), "roles": texts(pr.Roles),
		"self": texts(pr.Self), "patients": texts(pr.Patients), "practitioner": types.String(pr.Practitioner), "organizations": texts(pr.Organizations),
		"facilities": texts(pr.Facilities), "careTeams": texts(pr.CareTeams)}, roles...)
	return out, uid
}
