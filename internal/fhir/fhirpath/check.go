package fhirpath

// Check is filled below.
func Check(expr, typeName string) error { return nil }
