package access

import (
	"slices"
	"strings"
)

// Role is a name for a set of permissions of the product API. What the role may do with FHIR resources is in the policies.
type Role struct {
	Name        string
	Description string
	Permissions []string // names, "*" for all, "patients:*" for all of a kind
	System      bool     // it came with the program: it can be given and taken, not changed or deleted
}

// AllPermissions permits everything of the product API.
const AllPermissions = "*"

// DefaultRoles returns the roles that every tenant begins with. Each call makes them anew.
func DefaultRoles() []Role {
	self := []string{"sessions:own", "profile:own", "notifications:own"}
	role := func(name, description string, permissions ...string) Role {
		return Role{name, description, append(permissions, self...), true}
	}
	return []Role{
		{"admin", "Runs the clinic: everything", []string{AllPermissions}, true},
		{"hospital_admin", "Runs a hospital: everything", []string{AllPermissions}, true},
		role("super_admin", "Operates the system and its tenants; sees no patient data",
			"users:*", "roles:*", "audit:*", "security:*", "tenants:manage", "keys:manage", "clients:manage", "sessions:manage", "breakglass:review",
			"system:admin", "settings:*", "integrations:*", "webhooks:*", "events:manage"),
		role("system_admin", "Operates the system; sees no patient data",
			"users:*", "roles:*", "audit:read", "security:read", "keys:manage", "clients:manage", "sessions:manage", "system:admin", "settings:*",
			"integrations:*", "webhooks:*", "events:manage"),
		role("medical_director", "Oversees care: reads everything, reviews emergency access",
			"patients:read", "appointments:read", "encounters:read", "records:read", "allergies:read", "labs:read", "medications:read", "diagnostics:read", "soap-notes:read",
			"progress-notes:read", "problem-list:read", "referrals:read", "documents:read", "documents:export", "billing:read", "claims:read", "scheduling:read",
			"staff:*", "facilities:read", "beds:read", "inventory:read", "analytics:read", "cds:read", "audit:read", "security:read", "breakglass:use",
			"breakglass:review", "users:read", "notifications:send"),
		role("compliance_officer", "Oversees compliance: reads records and the audit, reviews emergency access",
			"patients:read", "appointments:read", "encounters:read", "records:read", "allergies:read", "labs:read", "medications:read", "documents:read", "consents:*",
			"billing:read", "claims:read", "analytics:read", "compliance:*", "audit:read", "audit:export", "security:read", "breakglass:review",
			"users:read", "roles:read"),
		role("sudan_health_inspector", "Inspects for the ministry of health: reads records of people whose identity is hidden",
			"patients:read", "encounters:read", "records:read", "allergies:read", "labs:read", "facilities:read", "inventory:read", "analytics:read", "compliance:read",
			"audit:read"),
		role("doctor", "Treats patients",
			"patients:read", "patients:create", "patients:update", "patients:write", "appointments:*", "encounters:*", "records:read", "records:write", "allergies:*",
			"labs:*", "medications:*", "diagnostics:*", "soap-notes:*", "progress-notes:*", "problem-list:*", "documents:*", "referrals:*",
			"immunizations:*", "vitals:*", "devices:read", "cds:*", "scheduling:*", "facilities:read", "beds:read", "beds:assign", "inventory:read", "analytics:read",
			"consents:read", "consents:write", "staff:read", "breakglass:use", "fhir:write", "notifications:send"),
		role("nurse", "Cares for patients",
			"patients:read", "patients:update", "appointments:read", "appointments:update", "appointments:confirm", "appointments:desk", "encounters:read", "encounters:create",
			"encounters:update", "encounters:complete", "records:read", "records:write", "allergies:*", "labs:read", "medications:read", "medications:update", "medications:administer",
			"diagnostics:read", "diagnostics:add-results", "soap-notes:read", "progress-notes:*", "problem-list:read", "documents:read",
			"documents:create", "immunizations:*", "vitals:*", "devices:*", "cds:read", "facilities:read", "beds:*", "inventory:read",
			"consents:read", "staff:read", "breakglass:use", "notifications:send"),
		role("receptionist", "Receives patients: registration, appointments, insurance",
			"patients:read", "patients:create", "patients:update", "appointments:*", "scheduling:*", "encounters:read", "coverage:*", "waitlist:*",
			"facilities:read", "beds:read", "beds:assign", "staff:read", "billing:read", "notifications:send"),
		role("pharmacist", "Dispenses medicines",
			"patients:read", "medications:read", "medications:dispense", "medications:update", "allergies:read", "inventory:*", "cds:read",
			"facilities:read", "staff:read"),
		role("lab_technician", "Works in the laboratory",
			"patients:read", "labs:*", "diagnostics:read", "diagnostics:update", "diagnostics:add-results", "inventory:read", "devices:read",
			"facilities:read", "staff:read"),
		role("billing_clerk", "Bills, claims and takes payments",
			"patients:read", "appointments:read", "encounters:read", "billing:*", "claims:*", "payments:*", "coverage:*", "facilities:read", "analytics:read"),
		role("inventory_manager", "Keeps the stock",
			"inventory:*", "medications:read", "facilities:read", "staff:read", "analytics:read"),
		role("patient", "A person's own record",
			"appointments:read", "appointments:create", "appointments:update", "appointments:cancel", "appointments:confirm", "appointments:own", "records:own", "records:read", "allergies:read",
			"labs:own", "medications:own", "billing:own", "payments:own", "consents:own", "documents:own", "messages:own", "scheduling:read",
			"facilities:read", "access-log:own"),
		{"service", "A program that speaks for itself: what its scopes say", []string{AllPermissions}, true},
		{"device", "A device or a gateway of devices: measurements, and what its scopes say", []string{"vitals:write", "vitals:create", "devices:read"}, true},
	}
}

// roleAliases are other names that the roles are known by.
var roleAliases = map[string]string{
	"lab_tech": "lab_technician", "lab": "lab_technician", "technician": "lab_technician", "laboratory_technician": "lab_technician",
	"physician": "doctor", "clinician": "doctor",
	"registered_nurse": "nurse", "nurse_practitioner": "nurse",
	"reception": "receptionist", "front_desk": "receptionist",
	"billing": "billing_clerk", "billing_specialist": "billing_clerk", "billing_staff": "billing_clerk", "accountant": "billing_clerk",
	"finance_manager": "billing_clerk",
	"administrator":   "admin", "superadmin": "super_admin", "sysadmin": "system_admin", "auditor": "compliance_officer",
	"health_inspector": "sudan_health_inspector", "inspector": "sudan_health_inspector",
}

// CanonicalRole returns the name that policies know a role by: "lab_tech" is "lab_technician", "physician" is "doctor". Case, spaces around
// and hyphens do not matter where it is one of the names that the program knows; any other name stands as it is, and has no
// permissions unless somebody gave it some.
func CanonicalRole(name string) string {
	plain := strings.ReplaceAll(strings.ToLower(strings.TrimSpace(name)), "-", "_")
	if to, ok := roleAliases[plain]; ok {
		return to
	}
	if slices.Contains(roleNames, plain) {
		return plain
	}
	return name
}

var roleNames = func() []string {
	var out []string
	for _, r := range DefaultRoles() {
		out = append(out, r.Name)
	}
	return out
}()

// holds reports whether a list of permissions has the wanted one: by its name, by "*", or by "patients:*".
func holds(list []string, want string) bool {
	if want == "" {
		return false
	}
	for _, p := range list {
		if p == want || p == AllPermissions {
			return true
		}
		if kind, ok := strings.CutSuffix(p, ":*"); ok && kind != "" && strings.HasPrefix(want, kind+":") {
			return true
		}
	}
	return false
}
