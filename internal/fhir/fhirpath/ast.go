package fhirpath

type nodeKind uint8

const (
	nLiteral nodeKind = iota // val
	nEmpty                   // {}
	nMember                  // left.name, or name on the focus
	nFunc                    // left.name(args)
	nIndexer                 // left[args[0]]
	nVar                     // %name
	nThis                    // $this
	nIndex                   // $index
	nTotal                   // $total
	nUnary                   // name is + or -; args[0]
	nBinary                  // name is the operator; args[0], args[1]
	nIs                      // args[0] is spec
	nAs                      // args[0] as spec
)

// ast is one node of the parsed expression.
type ast struct {
	kind   nodeKind
	quoted bool // the name was delimited
	pos    int
	name   string
	left   *ast
	args   []*ast
	val    Value
	spec   typeSpec
}

// typeSpec is a written type: FHIR.Patient, System.String, Quantity.
type typeSpec struct {
	space string // "FHIR", "System" or ""
	name  string
}
