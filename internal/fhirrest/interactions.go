package fhirrest

// Interaction is a method that is served at a sort of URL below the base.
type Interaction struct {
	Method  string
	Pattern string // "/{type}/{id}/_history"
	Public  bool   // whoever calls is answered: what the server can do is no secret
}

// Interactions lists all that is served, in the order of the table, for tests that hold each of them against each sort of caller. HEAD is
// served wherever GET is, and OPTIONS everywhere.
func Interactions() []Interaction {
	var out []Interaction
	for p, list := range endpoints() {
		for _, e := range list {
			out = append(out, Interaction{e.method, patterns[p], place(p) == atMetadata})
		}
	}
	return out
}
