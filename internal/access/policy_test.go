package access_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir/def"
)

func compile(t fataler, text string) *access.Policies {
	t.Helper()
	p, err := access.Compile(text)
	if err != nil {
		t.Fatalf("%s\n%v", text, err)
	}
	return p
}

func grant(t fataler, p *access.Policies, pr access.Principal) access.Grant {
	t.Helper()
	g, err := p.Grant(pr)
	if err != nil {
		t.Fatalf("%+v: %v", pr, err)
	}
	return g
}

const (
	directory  = "Endpoint HealthcareService Location Organization OrganizationAffiliation Practitioner PractitionerRole"
	definition = "ActivityDefinition CapabilityStatement CatalogEntry CodeSystem CompartmentDefinition ConceptMap DeviceDefinition EffectEvidenceSynthesis " +
		"EventDefinition Evidence EvidenceVariable ExampleScenario GraphDefinition ImplementationGuide Library Measure MedicinalProduct " +
		"MedicinalProductAuthorization MedicinalProductContraindication MedicinalProductIndication MedicinalProductIngredient MedicinalProductInteraction " +
		"MedicinalProductManufactured MedicinalProductPackaged MedicinalProductPharmaceutical MedicinalProductUndesirableEffect MessageDefinition NamingSystem " +
		"ObservationDefinition OperationDefinition PlanDefinition Questionnaire ResearchDefinition ResearchElementDefinition RiskEvidenceSynthesis " +
		"SearchParameter SpecimenDefinition StructureDefinition StructureMap Substance SubstanceNucleicAcid SubstancePolymer SubstanceProtein " +
		"SubstanceReferenceInformation SubstanceSourceMaterial SubstanceSpecification TerminologyCapabilities TestScript ValueSet"
	devices  = "Device DeviceMetric"
	clinical = "AdverseEvent AllergyIntolerance Basic Binary BiologicallyDerivedProduct BodyStructure CarePlan CareTeam ClinicalImpression Communication " +
		"CommunicationRequest Composition Condition Consent DetectedIssue DeviceRequest DeviceUseStatement DiagnosticReport DocumentManifest " +
		"DocumentReference Encounter EpisodeOfCare FamilyMemberHistory Flag Goal GuidanceResponse ImagingStudy Immunization ImmunizationEvaluation " +
		"ImmunizationRecommendation List Media MolecularSequence NutritionOrder Observation Procedure QuestionnaireResponse RequestGroup " +
		"RiskAssessment ServiceRequest Specimen SupplyDelivery SupplyRequest Task VisionPrescription"
	medication = "Medication MedicationAdministration MedicationDispense MedicationKnowledge MedicationRequest MedicationStatement"
	scheduling = "Appointment AppointmentResponse Schedule Slot"
	people     = "Patient Person RelatedPerson Group"
	financial  = "Account ChargeItem ChargeItemDefinition Claim ClaimResponse Contract Coverage CoverageEligibilityRequest CoverageEligibilityResponse " +
		"EnrollmentRequest EnrollmentResponse ExplanationOfBenefit InsurancePlan Invoice PaymentNotice PaymentReconciliation"
	staffReads = directory + " " + definition + " Medication MedicationKnowledge"
)

// everywhere are all types of R4.
func everywhere() string {
	var names []string
	for _, t := range def.ResourceTypes() {
		names = append(names, t.Name)
	}
	return strings.Join(names, " ")
}

var actionLetters = []struct {
	action access.Action
	letter string
}{{access.Create, "c"}, {access.Read, "r"}, {access.Update, "u"}, {access.Delete, "d"}, {access.Search, "s"}}

// TestRoles is every role × every type of R4 × every action: what is not listed must be nothing. Restricted labels are left to
// TestResources: here "may" is whether there is any resource that the action is permitted on.
func TestRoles(t *testing.T) {
	policies := compile(t, access.DefaultPolicies())
	type line struct{ types, letters string }
	user := func(role string) access.Principal {
		return access.Principal{Tenant: 1, User: 7, Kind: "user", Roles: []string{role}}
	}
	matrix := []struct {
		name  string
		who   access.Principal
		lines []line // later lines win
	}{
		{"admin", user("admin"), []line{{everywhere(), "cruds"}}},
		{"hospital_admin", user("hospital_admin"), []line{{everywhere(), "cruds"}}},
		{"medical_director", user("medical_director"), []line{{everywhere(), "rs"}}},
		{"compliance_officer", user("compliance_officer"), []line{{everywhere(), "rs"}}},
		{"super_admin", user("super_admin"), []line{{directory + " " + definition, "cruds"}}},
		{"system_admin", user("system_admin"), []line{{directory + " " + definition, "cruds"}}},
		{"sudan_health_inspector", user("sudan_health_inspector"), []line{
			{"Patient RelatedPerson " + clinical + " " + medication + " " + directory + " " + devices + " " + definition, "rs"}}},
		{"doctor", user("doctor"), []line{{staffReads, "rs"}, {clinical + " " + medication + " " + scheduling, "cruds"}, {people + " " + devices, "crus"},
			{"Coverage Account", "rs"}, {"ChargeItem Provenance", "crs"}}},
		{"nurse", user("nurse"), []line{{staffReads + " " + medication, "rs"}, {clinical + " " + scheduling + " MedicationAdministration MedicationStatement", "crus"},
			{people, "rus"}, {devices, "crus"}, {"Provenance", "crs"}}},
		{"receptionist", user("receptionist"), []line{{staffReads + " Encounter", "rs"}, {"Patient RelatedPerson Coverage " + scheduling, "crus"}}},
		{"lab_technician", user("lab_technician"), []line{{staffReads + " Patient " + devices, "rs"}, {"ServiceRequest", "rus"}, {"Specimen DiagnosticReport Observation", "crus"}}},
		{"pharmacist", user("pharmacist"), []line{{staffReads + " AllergyIntolerance Patient", "rs"}, {medication, "crus"}, {"MedicationRequest", "rus"}}},
		{"billing_clerk", user("billing_clerk"), []line{{staffReads + " Patient RelatedPerson Encounter Appointment", "rs"}, {financial, "crus"}}},
		{"inventory_manager", user("inventory_manager"), []line{{staffReads + " " + devices, "rs"}, {"Medication MedicationKnowledge Substance", "crus"}}},
		{"patient without a record", user("patient"), []line{
			{"Practitioner PractitionerRole Organization Location HealthcareService Schedule Slot Medication MedicationKnowledge " + definition, "rs"}}},
		{"nobody's role", user("operator"), nil},
		{"no role", access.Principal{Tenant: 1, User: 7}, nil},
		{"a user with the role service", user("service"), nil},
		{"a user with the role device", user("device"), nil},
		{"service", access.Principal{Tenant: 1, Kind: "service", Roles: []string{"service"}}, []line{{everywhere(), "cruds"}}},
		{"a service without role", access.Principal{Tenant: 1, Kind: "service"}, nil},
		{"device", access.Principal{Tenant: 1, Kind: "device", Roles: []string{"device"}}, []line{
			{"Observation Device DeviceMetric Media", "crus"}, {"Patient Location DeviceRequest DeviceUseStatement", "rs"}}},
		{"alias physician", user("Physician"), []line{{staffReads, "rs"}, {clinical + " " + medication + " " + scheduling, "cruds"}, {people + " " + devices, "crus"},
			{"Coverage Account", "rs"}, {"ChargeItem Provenance", "crs"}}},
	}
	for _, m := range matrix {
		want := map[string]string{}
		for _, l := range m.lines {
			for _, typ := range strings.Fields(l.types) {
				want[typ] = l.letters
			}
		}
		g := grant(t, policies, m.who)
		for _, typ := range def.ResourceTypes() {
			got := ""
			for _, a := range actionLetters {
				if !g.Extent(a.action, typ.Name).IsNone() {
					got += a.letter
				}
			}
			if got != want[typ.Name] {
				t.Errorf("%s may %q of %s, want %q", m.name, got, typ.Name, want[typ.Name])
			}
		}
	}
}

// TestResources decides conditions on real resources.
func TestResources(t *testing.T) {
	policies := compile(t, access.DefaultPolicies())
	w := sample(t)
	staff := func(role, practitioner string) access.Principal {
		return access.Principal{Tenant: 1, User: 7, Roles: []string{role}, Self: []string{practitioner}, Practitioner: practitioner}
	}
	emergency := staff("doctor", "Practitioner/x")
	emergency.Emergency = true
	inTeam := staff("nurse", "Practitioner/x")
	inTeam.CareTeams = []string{"CareTeam/t1"}
	inOldTeam := staff("nurse", "Practitioner/x")
	inOldTeam.CareTeams = []string{"CareTeam/old"}
	colleague := staff("doctor", "Practitioner/x")
	colleague.Self = append(colleague.Self, "Organization/a")
	colleague.Organizations = []string{"Organization/a"}
	ads := staff("admin", "Practitioner/x")
	ads.Purpose = "HMARKT"
	patient := access.Principal{Tenant: 1, User: 8, Roles: []string{"patient"}, Self: []string{"Patient/1"}, Patients: []string{"Patient/1"}}
	parent := access.Principal{Tenant: 1, User: 9, Roles: []string{"patient"}, Self: []string{"Patient/2"}, Patients: []string{"Patient/2", "Patient/1"}}
	for _, c := range []struct {
		name string
		who  access.Principal
		a    access.Action
		yes  string // references, of which all are permitted
		no   string // references, of which none is
	}{
		{"doctor", staff("doctor", "Practitioner/x"), access.Read, "Patient/1 Patient/2 Observation/lab1 Condition/c1 Task/k1 Binary/b", "Patient/3 Observation/secret1 Invoice/i1"},
		{"doctor", staff("doctor", "Practitioner/x"), access.Update, "Patient/1 Observation/lab1", "Patient/3 Observation/secret1"},
		{"doctor", staff("doctor", "Practitioner/x"), access.Create, "Observation/secret1", ""},
		{"doctor of the team", staff("doctor", "Practitioner/team"), access.Search, "Observation/secret1 Observation/lab2", "Patient/3"},
		{"general practitioner", staff("doctor", "Practitioner/gp"), access.Search, "Observation/secret1", "Patient/3"},
		{"doctor of a team that is no more", staff("doctor", "Practitioner/gone"), access.Search, "Observation/lab1", "Observation/secret1"},
		{"nurse in the team by its reference", inTeam, access.Search, "Observation/secret1", "Patient/3"},
		{"nurse in the team that is no more", inOldTeam, access.Search, "Observation/lab1", "Observation/secret1"},
		{"doctor whose organization is the general practitioner", colleague, access.Search, "Patient/2", "Observation/secret4"},
		{"doctor in an emergency", emergency, access.Read, "Patient/3 Observation/secret1", "Invoice/i1"},
		{"admin", staff("admin", "Practitioner/x"), access.Delete, "Patient/3 Observation/secret1 Location/ward1", ""},
		{"admin for marketing", ads, access.Read, "Location/ward1", "Patient/1 Observation/lab1"},
		{"receptionist", staff("receptionist", "Practitioner/x"), access.Read, "Patient/1 Encounter/e1 Appointment/a1 Slot/s", "Observation/lab1 Condition/c1 Patient/3 Invoice/i1 Device/d1"},
		{"lab technician", staff("lab_technician", "Practitioner/x"), access.Search, "Patient/1 Observation/lab1 Observation/lab2", "Observation/vital1 Condition/c1 Appointment/a1"},
		{"lab technician", staff("lab_tech", "Practitioner/x"), access.Create, "Observation/lab1", "Observation/vital1 Patient/1"},
		{"patient", patient, access.Read, "Patient/1 Observation/lab1 Observation/secret1 Encounter/e1 Appointment/a1 Consent/k1 Task/k1 Invoice/i1 Practitioner/gp Slot/s Schedule/s Device/d1 CareTeam/t1",
			"Patient/2 Patient/3 Observation/lab2 Encounter/e2 Appointment/a2 Consent/k2 Task/k2 Group/g Binary/b Device/d2"},
		{"patient", patient, access.Create, "Appointment/a1 Consent/k1", "Appointment/a2 Appointment/done1 Consent/k2 Observation/lab1 Patient/1"},
		{"patient", patient, access.Update, "Appointment/a1 Consent/k1", "Appointment/a2 Appointment/done1 Consent/k2 Observation/lab1 Patient/1"},
		{"patient", patient, access.Delete, "", "Appointment/a1 Consent/k1 Patient/1"},
		{"parent", parent, access.Read, "Patient/1 Patient/2 Observation/lab1 Observation/lab2", "Patient/3 Group/g"},
	} {
		g := grant(t, policies, c.who)
		for _, ref := range strings.Fields(c.yes) {
			d := w.get(t, ref)
			if !may(t, g.Extent(c.a, d.Type), d, w) {
				t.Errorf("%s may not %s %s", c.name, c.a, ref)
			}
		}
		for _, ref := range strings.Fields(c.no) {
			d := w.get(t, ref)
			if may(t, g.Extent(c.a, d.Type), d, w) {
				t.Errorf("%s may %s %s", c.name, c.a, ref)
			}
		}
	}
}

// TestAttributes: what each attribute of the vocabulary means, on real resources.
func TestAttributes(t *testing.T) {
	w := sample(t)
	who := access.Principal{Tenant: 1, User: 7, Self: []string{"Practitioner/team"}, Practitioner: "Practitioner/team", Patients: []string{"Patient/1"},
		Organizations: []string{"Organization/a"}, Facilities: []string{"Location/ward1"}, CareTeams: []string{"CareTeam/t1"}}
	for _, c := range []struct{ when, yes, no string }{
		{`principal.patients.containsAny(resource.patient)`, "Patient/1 Observation/lab1 Task/k1 Group/g Device/d1", "Patient/2 Observation/lab2 Task/k2 Location/ward1 Binary/b"},
		{`resource.patient.contains("Patient/2")`, "Patient/2 Observation/lab2 Group/g", "Patient/1 Slot/s"},
		{`resource.patient.containsAll(["Patient/1", "Patient/2"])`, "Group/g", "Patient/1 Patient/2 Observation/lab1"},
		{`resource.patient.containsAll([])`, "Group/g Slot/s Patient/1", ""},
		{`resource.patient.containsAny([])`, "", "Group/g Slot/s Patient/1"},
		{`principal.self.containsAny(resource.practitioner)`, "Practitioner/team CareTeam/t1", "Practitioner/gp Patient/1 CareTeam/old"},
		{`resource.practitioner.contains("Practitioner/gp")`, "Practitioner/gp Patient/1 Schedule/s", "Practitioner/team Patient/2"},
		{`principal.organizations.containsAny(resource.organization)`, "Patient/1 Observation/lab1 Organization/a Task/k1 Encounter/e1", "Patient/2 Organization/b Observation/lab2 Location/ward1"},
		{`principal.facilities.containsAny(resource.facility)`, "Patient/1 Observation/lab1 Encounter/e1 Location/ward1", "Patient/2 Encounter/e2 Location/ward2 Observation/lab2 Organization/a"},
		{`principal.careTeams.containsAny(resource.careTeam)`, "Patient/1 Observation/lab1 CareTeam/t1", "Patient/2 Observation/lab2 Practitioner/team"},
		{`resource.careTeam.contains(principal.practitioner)`, "Patient/1 Observation/lab1", "Patient/2 Practitioner/team"},
		{`resource.careTeam.contains("Practitioner/gp")`, "Patient/1 Observation/lab1", "Patient/2 Observation/lab2"},
		{`resource.careTeam.contains("Practitioner/gone")`, "", "Patient/1"},
		{`resource.label.contains("R")`, "Observation/secret1", "Observation/lab1 Patient/3"},
		{`resource.label.contains("http://terminology.hl7.org/CodeSystem/v3-Confidentiality|V")`, "Patient/3", "Patient/1 Observation/secret1"},
		{`resource.label.contains("http://other|V")`, "", "Patient/3"},
		{`resource.category.containsAny(["laboratory", "imaging"])`, "Observation/lab1", "Observation/vital1 Observation/secret1 Patient/1"},
		{`resource.code.contains("http://loinc.org|718-7")`, "Observation/lab1", "Observation/vital1 Condition/c1"},
		{`resource.status.contains("final")`, "Observation/lab1", "Appointment/a1 Patient/1"},
		{`!resource.status.contains("final")`, "Appointment/a1 Patient/1", "Observation/lab1"},
		{`resource == FHIR::Patient::"1"`, "Patient/1", "Patient/2 Location/ward1"},
		{`resource != FHIR::Patient::"1"`, "Patient/2 Location/ward1", "Patient/1"},
		{`resource in [FHIR::Patient::"1", Types::"directory"]`, "Patient/1 Location/ward1 Organization/a", "Patient/2 Slot/s"},
		{`resource is FHIR::Patient in FHIR::Patient::"1"`, "Patient/1", "Patient/2"},
		{`resource in Types::"patient"`, "Patient/1 Observation/lab1 Group/g", "Task/k1 Location/ward1"},
		{`resource in Types::"other"`, "", "Patient/1 Location/ward1"},
		{`if resource is FHIR::Patient then principal.patients.containsAny(resource.patient) else context.mfa`, "Patient/1", "Patient/2 Location/ward1"},
		{`if context.mfa then false else resource.patient.contains("Patient/1")`, "Patient/1", "Patient/2"},
		{`resource has patient && principal has careTeams && principal.tenant == 1`, "Patient/1 Location/ward1", ""},
		// An error of what is known leaves a policy out, but only where Cedar comes to it.
		{`resource.status.contains("final") && principal.id`, "", "Observation/lab1 Appointment/a1"},
		{`!(resource.status.contains("final") && principal.id)`, "Appointment/a1", "Observation/lab1"},
		{`resource.status.contains("final") || principal.id`, "Observation/lab1", "Appointment/a1"},
	} {
		g := grant(t, compile(t, "permit(principal, action, resource) when { "+c.when+" };"), who)
		for _, ref := range strings.Fields(c.yes) {
			if d := w.get(t, ref); !may(t, g.Extent(access.Read, d.Type), d, w) {
				t.Errorf("%s does not hold for %s", c.when, ref)
			}
		}
		for _, ref := range strings.Fields(c.no) {
			if d := w.get(t, ref); may(t, g.Extent(access.Read, d.Type), d, w) {
				t.Errorf("%s holds for %s", c.when, ref)
			}
		}
	}
}

// TestCompileRefuses: each refusal names the policy, its line and what is wrong.
func TestCompileRefuses(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`permit(principal, action, resource) when { resource.name == "x" };`, "== and != apply to resource itself"},
		{`permit(principal, action, resource) when { resource.colour.contains("x") };`, "no attribute colour"},
		{`permit(principal, action, resource) when { resource has colour };`, "no attribute colour"},
		{`permit(principal, action, resource) when { resource.status == "final" };`, "attributes are sets"},
		{`permit(principal, action, resource) when { resource.status.isEmpty() };`, "not supported in `resource.status.isEmpty()`"},
		{`permit(principal, action, resource) when { resource.status like "f*" };`, "not supported"},
		{`permit(principal, action, resource) when { ["a"].contains(resource.status) };`, "contains, containsAny and containsAll"},
		{`permit(principal, action, resource) when { ["a"].containsAll(resource.status) };`, "contains, containsAny and containsAll"},
		{`permit(principal, action, resource) when { resource.label.containsAny(resource.tag) };`, "something known on the other"},
		{`permit(principal, action, resource) when { principal in resource };`, "in applies to resource itself"},
		{`permit(principal, action, resource) when { resource.patient.contains("Practitioner/1") };`, `references such as "Patient/1"`},
		{`permit(principal, action, resource) when { resource.patient.containsAny(["Patient/1", "x"]) };`, `references such as "Patient/1"`},
		{`permit(principal, action, resource) when { principal.colour == "x" };`, "principal has no attribute colour"},
		{`permit(principal, action, resource) when { context.ip == "x" };`, "context has no attribute ip"},
		{`permit(principal, action, resource is FHIR::Human);`, "no resource type FHIR::Human"},
		{`permit(principal, action, resource is Patient);`, "no resource type Patient"},
		{`permit(principal, action, resource in Types::"clinic");`, "no group of types clinic"},
		{`permit(principal, action == Action::"write", resource);`, "no action"},
		{`permit(principal, action in [Action::"read", Action::"look"], resource);`, `no action Action::"look"`},
		{`permit(principal in Group::"x", action, resource);`, "in a Role"},
		{`permit(principal in Role::"lab_tech", action, resource);`, `called "lab_technician" here`},
		{`permit(principal is Person, action, resource);`, "a User, a Client or a Device"},
		{`@masks("Patient.name") permit(principal, action, resource);`, "no annotation @masks"},
		{`@mask("Patient.nome") permit(principal, action, resource);`, "none that can be hidden"},
		{`@mask("Patient.id") permit(principal, action, resource);`, "none that can be hidden"},
		{`@mask("Patient") permit(principal, action, resource);`, "none that can be hidden"},
		{`@mask("HumanName.family") permit(principal, action, resource);`, "none that can be hidden"},
	} {
		_, err := access.Compile("permit(principal, action, resource is FHIR::Slot);\n@id(\"bad\")\n" + c.text)
		var f *fault.Error
		if !errors.As(err, &f) || f.Kind != fault.Invalid {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), `policy "bad" at line 2`) {
			t.Errorf("%s: %v, want %q", c.text, err, c.want)
		}
	}
	for _, text := range []string{"permit(principal, action)", "permit(principal, action, resource) when { resource. };", `@id("a") permit(principal, action, resource); @id("a") permit(principal, action, resource);`,
		strings.Repeat(" ", access.MaxPolicyText+1)} {
		if _, err := access.Compile(text); err == nil {
			t.Errorf("%.60s: no error", text)
		}
	}
}

// TestGrantRefuses: a principal whose references are none is refused by the name of the field.
func TestGrantRefuses(t *testing.T) {
	p := compile(t, access.DefaultPolicies())
	for want, pr := range map[string]access.Principal{
		"patients": {Patients: []string{"1"}}, "careTeams": {CareTeams: []string{"Patient/1"}}, "practitioner": {Practitioner: "x"},
		"organizations": {Organizations: []string{"Organization/"}}, "facilities": {Facilities: []string{"Location/a b"}}, "self": {Self: []string{"Nobody/1"}},
		"not \"robot\"": {Kind: "robot"},
	} {
		if _, err := p.Grant(pr); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", pr, err)
		}
	}
	g := grant(t, p, access.Principal{Roles: []string{"admin"}})
	for _, typ := range []string{"", "patient", "HumanName", "Resource"} {
		if !g.Extent(access.Read, typ).IsNone() || g.Masked(typ) != nil {
			t.Errorf("something of %q", typ)
		}
	}
	if !g.Extent(0, "Patient").IsNone() || !g.Extent(99, "Patient").IsNone() {
		t.Error("an action that is none")
	}
}

// TestMasks: who sees which elements.
func TestMasks(t *testing.T) {
	p := compile(t, access.DefaultPolicies())
	masked := func(pr access.Principal, typ string) string { return strings.Join(grant(t, p, pr).Masked(typ), " ") }
	for _, c := range []struct {
		roles     []string
		typ, want string
	}{
		{[]string{"sudan_health_inspector"}, "Patient", "address contact identifier name photo telecom text"},
		{[]string{"sudan_health_inspector"}, "Observation", ""},
		{[]string{"sudan_health_inspector", "admin"}, "Patient", ""},
		{[]string{"doctor"}, "Patient", ""},
		{[]string{"patient"}, "Practitioner", "address birthDate text"},
		{[]string{"patient", "doctor"}, "Practitioner", ""},
		{[]string{"operator"}, "Patient", ""},
	} {
		if got := masked(access.Principal{Roles: c.roles}, c.typ); got != c.want {
			t.Errorf("%v: of %s is hidden %q, want %q", c.roles, c.typ, got, c.want)
		}
	}
	choice := compile(t, `@mask("Observation.effective") permit(principal, action, resource);`)
	got := grant(t, choice, access.Principal{}).Masked("Observation")
	if strings.Join(got, " ") != "effectiveDateTime effectiveInstant effectivePeriod effectiveTiming text" {
		t.Errorf("%v", got)
	}
	// Where a condition decides who sees what, the element is hidden.
	both := compile(t, `@mask("Patient.name") permit(principal, action, resource) when { resource.patient.contains("Patient/1") };
		permit(principal, action, resource) when { resource.patient.contains("Patient/2") };`)
	if got := grant(t, both, access.Principal{}).Masked("Patient"); strings.Join(got, " ") != "name text" {
		t.Errorf("%v", got)
	}
}

// TestRoleNames: the roles' names, their permissions, and the wildcards.
func TestRoleNames(t *testing.T) {
	p := compile(t, access.DefaultPolicies())
	perms := map[string][]string{}
	for _, r := range access.DefaultRoles() {
		if perms[r.Name] != nil || r.Description == "" || !r.System || len(r.Permissions) == 0 {
			t.Errorf("%+v", r)
		}
		perms[r.Name] = r.Permissions
		if access.CanonicalRole(r.Name) != r.Name {
			t.Errorf("%s is not its own name", r.Name)
		}
	}
	for alias, want := range map[string]string{"lab_tech": "lab_technician", "physician": "doctor", "clinician": "doctor", "technician": "lab_technician",
		"billing_specialist": "billing_clerk", "accountant": "billing_clerk", "finance_manager": "billing_clerk", "billing_staff": "billing_clerk",
		" Lab-Tech ": "lab_technician", "ADMIN": "admin", "operator": "operator", "Ward Boss": "Ward Boss", "": ""} {
		if got := access.CanonicalRole(alias); got != want {
			t.Errorf("%q is %q, want %q", alias, got, want)
		}
	}
	for _, c := range []struct {
		role, permission string
		want             bool
	}{
		{"admin", "anything:at-all", true}, {"doctor", "medications:prescribe", true}, {"nurse", "medications:prescribe", false}, {"doctor", "users:write", false},
		{"doctor", "", false}, {"doctor", "patients:delete", false}, {"receptionist", "soap-notes:read", false}, {"billing_clerk", "claims:submit", true},
		{"super_admin", "patients:read", false}, {"super_admin", "tenants:manage", true}, {"system_admin", "tenants:manage", false}, {"operator", "patients:read", false},
		{"compliance_officer", "audit:export", true}, {"patient", "patients:read", false}, {"patient", "appointments:create", true},
	} {
		if got := grant(t, p, access.Principal{Roles: []string{c.role}, Permissions: perms[c.role]}).Permits(c.permission); got != c.want {
			t.Errorf("%s, %q: %v", c.role, c.permission, got)
		}
	}
	odd := grant(t, p, access.Principal{Permissions: []string{":*", "patients:", "labs:*"}})
	for permission, want := range map[string]bool{"patients:read": false, ":x": false, "labs:read": true, "labs": false, "labsx:read": false} {
		if odd.Permits(permission) != want {
			t.Errorf("%q: %v", permission, !want)
		}
	}
}
