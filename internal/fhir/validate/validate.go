package validate

import (
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/def"
)

// MaxIssues is how many issues one validation reports; it stops looking after so many.
const MaxIssues = 100

// Codes of http://hl7.org/fhir/issue-type that issues bear.
const (
	codeStructure = "structure"    // JSON shape, unknown elements
	codeRequired  = "required"     // a required element is missing
	codeValue     = "value"        // a primitive's format
	codeInvalid   = "code-invalid" // a code outside of its required value set
	codeInvariant = "invariant"    // a rule of the specification that has a key
	codeTooLong   = "too-long"     // nested too deep, or a string over its limit
)

// Options says what a validation admits beyond the plain rules.
type Options struct {
	// AllowConditional admits conditional references ("Patient?identifier=…"), which stand in transaction Bundles alone.
	AllowConditional bool
}

// Resource checks r by the plain rules and returns what it found: nil for a resource without fault. Every issue is an
// error, which forbids to store the resource.
func Resource(r *fhir.Resource) []fault.Issue { return Options{}.Resource(r) }

// Resource checks r, with these options, as the function of that name does.
func (o Options) Resource(r *fhir.Resource) []fault.Issue {
	v := validator{options: o, known: known()}
	if r == nil || r.Node == nil || r.Kind != fhir.Object {
		return []fault.Issue{{Severity: "error", Code: codeStructure, Diagnostics: "a resource is a JSON object"}}
	}
	v.root(r.Node)
	return v.issues
}

// maxPath is how deep elements may nest: a text that was parsed cannot nest deeper, a tree made otherwise could.
const maxPath = fhir.MaxDepth + 1

// validator is one pass over one resource.
type validator struct {
	options Options
	known   *knownTypes
	issues  []fault.Issue
	scope   *scope // of the resource that fragments ("#id") are looked up in; nil where it contains none
	stopped bool   // it nests too deep to go on
	depth   int
	path    [maxPath]step
}

// step is one element on the way from the root: "name[1]".
type step struct {
	name  string
	index int // -1: not in an array
}

// knownTypes are the definitions that have rules of their own.
type knownTypes struct {
	extensionExtension, extensionValue uint64 // bits of Extension.extension and Extension.value[x]
}

var known = sync.OnceValue(func() *knownTypes {
	x := def.Lookup("Extension")
	return &knownTypes{extensionExtension: 1 << x.Element("extension").Index, extensionValue: 1 << x.Element("value").Index}
})

// push enters a member; false, with an issue and an end to the validation, where it is too deep.
func (v *validator) push(name string) bool {
	if v.depth == maxPath {
		v.fail(codeTooLong, "elements nest deeper than %d", maxPath)
		v.stopped = true
		return false
	}
	v.path[v.depth] = step{name, -1}
	v.depth++
	return true
}

// item says which item of the current member is looked at.
func (v *validator) item(i int) { v.path[v.depth-1].index = i }

func (v *validator) pop() { v.depth-- }

// full reports that no more issues are wanted.
func (v *validator) full() bool { return v.stopped || len(v.issues) >= MaxIssues }

// fail reports an error at the current element.
func (v *validator) fail(code, format string, args ...any) {
	if !v.full() {
		v.issues = append(v.issues, fault.Issue{Severity: "error", Code: code, Diagnostics: fmt.Sprintf(format, args...), Expression: v.location()})
	}
}

// failAt reports an error at a member of the current element.
func (v *validator) failAt(member, code, format string, args ...any) {
	if v.push(member) {
		v.fail(code, format, args...)
		v.pop()
	}
}

// location renders the path as simple FHIRPath: "Patient.name[0].given[1]".
func (v *validator) location() string {
	var b strings.Builder
	for i, s := range v.path[:v.depth] {
		if i > 0 {
			b.WriteByte('.')
		}
		b.WriteString(s.name)
		if s.index >= 0 {
			b.WriteByte('[')
			b.WriteString(strconv.Itoa(s.index))
			b.WriteByte(']')
		}
	}
	return b.String()
}
