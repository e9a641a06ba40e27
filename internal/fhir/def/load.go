package def

// Lookup returns the type of that name (case matters), or nil.
func Lookup(name string) *Type { return nil }

// ResourceTypes returns R4's concrete resource types in alphabetical order.
func ResourceTypes() []*Type { return nil }

// ByNum returns the resource type of that stable number, or nil.
func ByNum(num int) *Type { return nil }

// SearchParams returns the parameters of a concrete resource type, those of Resource and DomainResource among them, by code.
// Order: alphabetical by code. The slice is shared: do not change it.
func SearchParams(resourceType string) []*SearchParam { return nil }

// CompartmentOf returns the compartment of that code (Patient, Encounter, RelatedPerson, Practitioner, Device), or nil.
func CompartmentOf(code string) *Compartment { return nil }
