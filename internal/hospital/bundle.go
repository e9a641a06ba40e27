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
	return bundles(seed, patients, now, func() *living { return nil })
}

// Living yields the hospital that a server is seeded with: the same people as Bundles, on a working day. Some patients lie in the beds, one in a bed; the booked
// appointments, which begin today, stand in their doctors' hours and never overlap; each doctor has a Schedule. The hospitals are Organization/1 to 4 on the grounds Location/1 to 4, the first doctors
// Practitioner/1 to 3, a nurse of theirs Practitioner/4, and the first patients Patient/1 to 3: ordinary ones among the many, under ids that people can type.
//
// The first Bundle must be sent before the others, whose order does not matter.
func Living(seed int64, patients int, now time.Time) iter.Seq[[]byte] {
	return bundles(seed, patients, now, newLiving)
}

func bundles(seed int64, patients int, now time.Time, life func() *living) iter.Seq[[]byte] {
	now = now.In(zone()).Truncate(time.Second)
	return func(yield func([]byte) bool) {
		l := life()
		if !yield(house(seed, now, l)) {
			return
		}
		for k := range patients {
			if !yield(patientBundle(seed, k, now, l)) {
				return
			}
		}
	}
}

// bundle is a transaction under construction.
type bundle struct {
	draw    draw
	live    *living // nil: what Bundles yields
	entries []*fhir.Node
}

func newBundle(r draw, l *living) *bundle { return &bundle{draw: r, live: l} }

// add takes the resource in and returns the reference to it.
func (t *bundle) add(r *fhir.Node) string { return t.entry(r) }

// once is add under the condition that no resource has that identifier yet.
func (t *bundle) once(system, value string, r *fhir.Node) string {
	return t.entry(r, s("ifNoneExist", "identifier="+system+"|"+value))
}

// put writes the resource under an id of our choosing.
func (t *bundle) put(id string, r *fhir.Node) string {
	url, typ := "urn:uuid:"+t.draw.uuid(), r.Str("resourceType")
	r.Set("id", fhir.NewString(id))
	t.entries = append(t.entries, object(s("fullUrl", url), n("resource", r), o("request", s("method", "PUT"), s("url", typ+"/"+id))))
	return url
}

// onceAs is put where there is an id, else once.
func (t *bundle) onceAs(id, system, value string, r *fhir.Node) string {
	if id != "" {
		return t.put(id, r)
	}
	return t.once(system, value, r)
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
