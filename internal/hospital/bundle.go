package hospital

import (
	"iter"
	"time"

	"github.com/nilecare/nilecare/internal/fhir"
)

// Bundles yields transaction Bundles in JSON: first the hospital group itself (organizations, places, staff), then one a patient, of about 60 resources (5 to 130).
// A patient's Bundle refers to staff and places by conditional references, so it must be sent after the first.
// The same seed and now give the same bytes; a larger number of patients begins with the same ones. Nothing happens after now but
// booked appointments.
func Bundles(seed int64, patients int, now time.Time) iter.Seq[[]byte] {
	now = now.In(zone()).Truncate(time.Second)
	return func(yield func([]byte) bool) {
		if !yield(house(seed)) {
			return
		}
		for k := range patients {
			if !yield(patientBundle(seed, k, now)) {
				return
			}
		}
	}
}

// bundle is a transaction under construction.
type bundle struct {
	draw    draw
	entries []*fhir.Node
}

func newBundle(r draw) *bundle { return &bundle{draw: r} }

// add takes the resource in and returns the reference to it.
func (t *bundle) add(r *fhir.Node) string { return t.entry(r) }

// once is add under the condition that no resource has that identifier yet.
func (t *bundle) once(system, value string, r *fhir.Node) string {
	return t.entry(r, s("ifNoneExist", "identifier="+system+"|"+value))
}

func (t *bundle) entry(r *fhir.Node, condition ...field) string {
	url, typ := "urn:uuid:"+t.draw.uuid(), r.Str("resourceType")
	request := append([]field{s("method", "POST"), s("url", typ)}, condition...)
	t.entries = append(t.entries, object(s("fullUrl", url), n("resource", r), o("request", request...)))
	return url
}

func (t *bundle) json() []byte {
	return resource("Bundle", s("type", "transaction"), list("entry", t.entries...)).AppendJSON(make([]byte, 0, 1200*len(t.entries)))
}
