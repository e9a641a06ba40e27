package access

import (
	"sync"

	"github.com/nilecare/nilecare/internal/fhir/def"
)

// entity types of the policies' vocabulary.
const (
	typeUser   = "User"
	typeClient = "Client"
	typeDevice = "Device"
	typeRole   = "Role"
	typeAction = "Action"
	typeGroup  = "Types"
	fhirPrefix = "FHIR::"
)

// groupOf names the group of every resource type; what is not listed is "other". The group "patient" stands beside these: the
// types of R4's Patient compartment.
var groupLists = map[string][]string{
	"demographic": {"Patient", "Person", "RelatedPerson", "Group"},
	"clinical": {"AdverseEvent", "AllergyIntolerance", "Basic", "Binary", "BiologicallyDerivedProduct", "BodyStructure", "CarePlan", "CareTeam", "ClinicalImpression",
		"Communication", "CommunicationRequest", "Composition", "Condition", "Consent", "DetectedIssue", "DeviceRequest", "DeviceUseStatement",
		"DiagnosticReport", "DocumentManifest", "DocumentReference", "Encounter", "EpisodeOfCare", "FamilyMemberHistory", "Flag", "Goal",
		"GuidanceResponse", "ImagingStudy", "Immunization", "ImmunizationEvaluation", "ImmunizationRecommendation", "List", "Media",
		"MolecularSequence", "NutritionOrder", "Observation", "Procedure", "QuestionnaireResponse", "RequestGroup", "RiskAssessment",
		"ServiceRequest", "Specimen", "SupplyDelivery", "SupplyRequest", "Task", "VisionPrescription"},
	"medication": {"Medication", "MedicationAdministration", "MedicationDispense", "MedicationKnowledge", "MedicationRequest", "MedicationStatement"},
	"scheduling": {"Appointment", "AppointmentResponse", "Schedule", "Slot"},
	"financial": {"Account", "ChargeItem", "ChargeItemDefinition", "Claim", "ClaimResponse", "Contract", "Coverage", "CoverageEligibilityRequest",
		"CoverageEligibilityResponse", "EnrollmentRequest", "EnrollmentResponse", "ExplanationOfBenefit", "InsurancePlan", "Invoice",
		"PaymentNotice", "PaymentReconciliation"},
	"device": {"Device", "DeviceMetric"},
	"directory": {"Endpoint", "HealthcareService", "Location", "Organization", "OrganizationAffiliation", "Practitioner",
		"PractitionerRole"},
	"definition": {"ActivityDefinition", "CapabilityStatement", "CatalogEntry", "CodeSystem", "CompartmentDefinition", "ConceptMap",
		"DeviceDefinition", "EffectEvidenceSynthesis", "EventDefinition", "Evidence", "EvidenceVariable", "ExampleScenario", "GraphDefinition",
		"ImplementationGuide", "Library", "Measure", "MedicinalProduct", "MedicinalProductAuthorization", "MedicinalProductContraindication",
		"MedicinalProductIndication", "MedicinalProductIngredient", "MedicinalProductInteraction", "MedicinalProductManufactured",
		"MedicinalProductPackaged", "MedicinalProductPharmaceutical", "MedicinalProductUndesirableEffect", "MessageDefinition", "NamingSystem",
		"ObservationDefinition", "OperationDefinition", "PlanDefinition", "Questionnaire", "ResearchDefinition", "ResearchElementDefinition",
		"RiskEvidenceSynthesis", "SearchParameter", "SpecimenDefinition", "StructureDefinition", "StructureMap", "Substance",
		"SubstanceNucleicAcid", "SubstancePolymer", "SubstanceProtein", "SubstanceReferenceInformation", "SubstanceSourceMaterial",
		"SubstanceSpecification", "TerminologyCapabilities", "TestScript", "ValueSet"},
	"audit": {"AuditEvent", "Provenance"},
}

// groupPatient is the group of the types of the Patient compartment, groupOther that of the types that no list names.
const (
	groupPatient = "patient"
	groupOther   = "other"
)

// typeGroups is resource type → the groups that it is in; built once, never changed.
var typeGroups = sync.OnceValue(func() map[string][]string {
	out := map[string][]string{}
	for name, types := range groupLists {
		for _, t := range types {
			out[t] = append(out[t], name)
		}
	}
	compartment := def.CompartmentOf("Patient")
	for _, t := range def.ResourceTypes() {
		if len(out[t.Name]) == 0 {
			out[t.Name] = []string{groupOther}
		}
		if _, in := compartment.Params[t.Name]; in {
			out[t.Name] = append(out[t.Name], groupPatient)
		}
	}
	return out
})

func isGroup(name string) bool {
	_, listed := groupLists[name]
	return listed || name == groupPatient || name == groupOther
}

// isResourceType reports a concrete resource type of R4.
func isResourceType(name string) bool { return number(name) > 0 }

// number is the type's place in a grant's tables, or 0.
func number(typ string) int {
	t := def.Lookup(typ)
	if t == nil || t.Num < 1 || t.Num > maxTypes {
		return 0
	}
	return t.Num
}

// maxTypes bounds the numbers of R4's concrete resource types (146 of them).
const maxTypes = 159
