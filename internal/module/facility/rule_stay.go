package facility

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/job"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// lying is what an Encounter says of where its patient is now.
type lying struct {
	encounter string
	occupant  string           // Patient/1, or the Encounter where it names no patient
	claims    map[string]claim // by the Location's id
	gone      bool             // the Encounter was deleted, or never was
	before    *lying
}

// claim is an active location of an Encounter.
type claim struct {
	since    int64
	expected string
}

// present reports an Encounter's status in which the patient is there.
func present(status string) bool {
	switch status {
	case "arrived", "triaged", "in-progress", "onleave":
		return true
	}
	return false
}

// lyingOf reads an Encounter; none where it is nil.
func (r *ruling) lyingOf(res *fhir.Resource, id string) lying {
	out := lying{encounter: id, claims: map[string]claim{}}
	if res == nil || !present(res.Str("status")) {
		return out
	}
	out.occupant = "Encounter/" + id
	if typ, patient, ok := fhir.SplitReference(flat.RefOf(res.Get("subject")), r.base); ok {
		out.occupant = typ + "/" + patient
	}
	expected := extension(res.Node, expectedURL, "valueDateTime")
	for _, l := range flat.Items(res.Get("location")) {
		typ, place, ok := fhir.SplitReference(flat.RefOf(l.Get("location")), r.base)
		if !ok || typ != "Location" || l.Str("status") != "active" {
			continue
		}
		c := claim{since: r.now, expected: expected}
		if p := l.Get("period"); p != nil {
			if at := micros(p.Str("start")); at > 0 && at < r.now {
				c.since = at
			}
		}
		out.claims[place] = c
	}
	return out
}

// stay is a row of facility_stay.
type stay struct {
	id                            int64
	encounter, location, occupant string
	contested                     bool
	since                         int64
	expected                      string
}

const stayColumns = "id, encounter, location, occupant, contested <> 0, since, expected"

func (r *ruling) stays(where string, args ...any) ([]stay, error) {
	var out []stay
	err := sqldb.Each(r.ctx, r.tx, func(rows sqldb.Rows) error {
		var s stay
		err := rows.Scan(&s.id, &s.encounter, &s.location, &s.occupant, &s.contested, &s.since, &s.expected)
		out = append(out, s)
		return err
	}, "SELECT "+stayColumns+" FROM facility_stay WHERE tenant = $1 AND ended_at = 0 AND "+where, append([]any{r.tenant}, args...)...)
	return out, err
}

// leave ends the stays that the Encounter does not claim any more.
func (r *ruling) leave(e *lying, at int) error {
	open, err := r.stays("encounter = $2", e.encounter)
	if err != nil {
		return err
	}
	for _, s := range open {
		c, claimed := e.claims[s.location]
		if claimed && s.occupant == e.occupant {
			delete(e.claims, s.location) // it goes on
			if c.expected != s.expected {
				if err := r.exec("UPDATE facility_stay SET expected = $3, updated_by = $4, updated_at = $5 WHERE tenant = $1 AND id = $2", r.tenant, s.id, c.expected, r.who, r.now); err != nil {
					return err
				}
				r.touch(s.location, at)
			}
			continue
		}
		r.touch(s.location, at)
		if err := r.exec("UPDATE facility_stay SET ended_at = $3, updated_by = $4, updated_at = $3 WHERE tenant = $1 AND id = $2", r.tenant, s.id, max(r.now, s.since), r.who); err != nil {
			return err
		}
	}
	if !e.gone {
		return nil
	}
	return r.exec("DELETE FROM facility_stay WHERE tenant = $1 AND encounter = $2", r.tenant, e.encounter)
}

// come begins the stays that the Encounter claims and did not before.
func (r *ruling) come(e *lying, at int) error {
	for _, place := range slices.Sorted(maps.Keys(e.claims)) {
		c := e.claims[place]
		contested := 0
		if r.lenient {
			if err := r.contest(e.occupant, place, &contested); err != nil {
				return err
			}
		}
		if err := r.exec("INSERT INTO facility_stay (tenant, id, encounter, location, occupant, contested, since, expected, ended_at, created_by, created_at, updated_by, updated_at)"+
			" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, $9, $10, $9, $10)", r.tenant, r.l.Next(), e.encounter, place, e.occupant, contested, c.since, c.expected, r.who, r.now); err != nil {
			return err
		}
		r.touch(place, at)
		r.touched[place] = at // who comes is who is refused
	}
	return nil
}

// contest sets contested where the bed is another's, or its patient has another bed.
func (r *ruling) contest(occupant, place string, contested *int) error {
	_, err := sqldb.QueryRow(r.ctx, r.tx, []any{contested}, `SELECT 1 FROM facility_stay s JOIN facility_bed b ON b.tenant = s.tenant AND b.id = s.location AND b.deleted_at = 0
		JOIN facility_bed c ON c.tenant = s.tenant AND c.id = $2 AND c.deleted_at = 0
		WHERE s.tenant = $1 AND s.ended_at = 0 AND s.contested = 0 AND (s.location = $2 AND s.occupant <> $3 OR s.location <> $2 AND s.occupant = $3) LIMIT 1`, r.tenant, place, occupant)
	return err
}

func (r *ruling) touch(place string, at int) {
	if _, met := r.touched[place]; !met {
		r.touched[place] = at
	}
}

// bed is a row of facility_bed with what of its place matters.
type bed struct {
	id, state, occupant, encounter, expected, heldFor string
	since, heldUntil, turn                            int64
	status, ward, wardStatus, facility, label         string
}

// bed reads a bed; nil where the place is none.
func (r *ruling) bed(id string) (*bed, error) {
	b := &bed{id: id}
	found, err := sqldb.QueryRow(r.ctx, r.tx, []any{&b.state, &b.occupant, &b.encounter, &b.expected, &b.heldFor, &b.since, &b.heldUntil, &b.turn, &b.status, &b.ward, &b.wardStatus, &b.facility, &b.label},
		`SELECT b.state, b.occupant, b.encounter, b.expected, b.held_for, b.since, b.held_until, b.turn, p.status, p.ward,
			CASE WHEN EXISTS (SELECT 1 FROM facility_organization o WHERE o.tenant = p.tenant AND o.id IN (p.facility, p.department) AND o.status = 'inactive') THEN 'inactive'
			WHEN p.ward = '' THEN 'active' WHEN w.id IS NULL OR w.deleted_at <> 0 THEN 'deleted' ELSE w.status END, p.facility, p.code
		FROM facility_bed b JOIN facility_place p ON p.tenant = b.tenant AND p.id = b.id LEFT JOIN facility_place w ON w.tenant = p.tenant AND w.id = p.ward
		WHERE b.tenant = $1 AND b.id = $2 AND b.deleted_at = 0`, r.tenant, id)
	if err != nil || !found {
		return nil, err
	}
	return b, nil
}

// change is what becomes of a bed.
type change struct {
	*bed
	next *stay // nil: it is free from now on
	at   int
}

// settle makes the beds what the stays say, or refuses: one patient a bed, one bed a patient.
func (r *ruling) settle() (int, error) {
	var changes []change
	for _, id := range slices.Sorted(maps.Keys(r.touched)) {
		c := change{at: r.touched[id]}
		var err error
		if c.bed, err = r.bed(id); err == nil && c.bed != nil {
			c.next, err = r.occupantOf(c.bed)
		}
		if err != nil {
			return c.at, err
		}
		if c.bed != nil {
			changes = append(changes, c)
		}
	}
	for _, c := range changes {
		if c.next == nil || c.next.occupant == c.occupant {
			continue
		}
		if err := r.mayLie(c.bed, c.next); err != nil {
			return c.at, err
		}
	}
	for _, c := range changes { // all who leave, before any who come: two may change beds
		if c.occupant != "" && (c.next == nil || c.next.occupant != c.occupant) {
			if err := r.free(c.bed, c.next == nil); err != nil {
				return c.at, err
			}
		}
	}
	for _, c := range changes {
		if c.next != nil {
			if err := r.occupy(c.bed, c.next); err != nil {
				return c.at, err
			}
		}
	}
	return 0, nil
}

// occupantOf is the stay that has the bed; nil: nobody's. Two patients' are a conflict.
func (r *ruling) occupantOf(b *bed) (*stay, error) {
	all, err := r.stays("location = $2 ORDER BY contested, since, id", b.id)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	first := &all[0]
	if first.contested {
		return r.promote(all)
	}
	for k := range all {
		if !all[k].contested && all[k].occupant != first.occupant {
			return nil, r.taken(b, "BED_OCCUPIED", "the bed is occupied")
		}
		if !all[k].contested && all[k].encounter == b.encounter {
			first = &all[k]
		}
	}
	if first.occupant == b.occupant {
		return first, nil
	}
	if err := r.tx.Lock(r.ctx, r.lockOf("lies", first.occupant)); err != nil { // held already, but where a place came to be a bed
		return nil, err
	}
	other, err := r.bedsOf(first.occupant, b.id)
	if err != nil {
		return nil, err
	}
	if other != "" {
		return nil, r.lies(other)
	}
	return first, nil
}

// promote gives a bed that is free to the first of those whose claims were contested, and who lies nowhere else.
func (r *ruling) promote(all []stay) (*stay, error) {
	for k := range all {
		s := &all[k]
		if err := r.tx.Lock(r.ctx, r.lockOf("lies", s.occupant)); err != nil {
			return nil, err
		}
		other, err := r.bedsOf(s.occupant, s.location)
		if err != nil {
			return nil, err
		}
		if other != "" {
			continue
		}
		s.contested = false
		return s, r.exec("UPDATE facility_stay SET contested = 0, updated_by = $3, updated_at = $4 WHERE tenant = $1 AND id = $2", r.tenant, s.id, r.who, r.now)
	}
	return nil, nil
}

// bedsOf is another bed than the given one that the occupant's stays are in; "" none.
func (r *ruling) bedsOf(occupant, but string) (string, error) {
	var other string
	_, err := sqldb.QueryRow(r.ctx, r.tx, []any{&other}, `SELECT s.location FROM facility_stay s JOIN facility_bed b ON b.tenant = s.tenant AND b.id = s.location AND b.deleted_at = 0
		WHERE s.tenant = $1 AND s.occupant = $2 AND s.ended_at = 0 AND s.contested = 0 AND s.location <> $3 ORDER BY s.id LIMIT 1`, r.tenant, occupant, but)
	return other, err
}

// lies refuses a second bed.
func (r *ruling) lies(other string) error {
	return conflict("PATIENT_HAS_BED", "the patient lies in bed %s: release that one, or transfer the patient", other)
}

// mayLie refuses a bed that nobody may be put into. What stood there before is taken as it is.
func (r *ruling) mayLie(b *bed, s *stay) error {
	if r.lenient || b.occupant != "" { // whoever lay there leaves by the same set
		return nil
	}
	switch {
	case b.status != "active":
		return r.taken(b, "BED_UNAVAILABLE", "the bed is not in use")
	case b.wardStatus != "active":
		return conflict("WARD_CLOSED", "the bed's ward takes nobody in")
	case b.state == available:
		return nil
	case b.state == reserved && b.heldFor == s.occupant:
		return nil
	case b.state == reserved && b.heldUntil != 0 && b.heldUntil <= r.now:
		return nil // it has run out, and the job that says so is about to be done
	case b.state == reserved:
		return r.taken(b, "BED_RESERVED", "the bed is reserved")
	}
	return r.taken(b, "BED_UNAVAILABLE", fmt.Sprintf("the bed is in the state %s", b.state))
}

// freeNamed is how many free beds a refusal names.
const freeNamed = 20

// taken is a refusal that names the free beds of the ward.
func (r *ruling) taken(b *bed, code, why string) error {
	var free []string
	if b.ward != "" && b.wardStatus == "active" {
		err := sqldb.Each(r.ctx, r.tx, func(rows sqldb.Rows) error {
			var id string
			err := rows.Scan(&id)
			free = append(free, id)
			return err
		}, `SELECT b.id FROM facility_bed b JOIN facility_place p ON p.tenant = b.tenant AND p.id = b.id
			WHERE b.tenant = $1 AND p.ward = $2 AND b.deleted_at = 0 AND b.state = 'available' AND p.status = 'active' ORDER BY b.label, b.id LIMIT $3`, r.tenant, b.ward, freeNamed)
		if err != nil {
			return err
		}
	}
	e := conflict(code, "%s", why)
	text := "no bed of its ward is free"
	if len(free) > 0 {
		text = "free in its ward: " + strings.Join(free, ", ")
	}
	e.Issues = append(e.Issues, fault.Issue{Severity: "information", Code: "informational", Diagnostics: text})
	return e
}

// free has a bed that was left cleaned; last says that nobody lies down in it at once.
func (r *ruling) free(b *bed, last bool) error {
	b.state, b.occupant, b.encounter, b.turn = cleaning, "", "", r.l.Next()
	if err := r.exec("UPDATE facility_bed SET state = $3, occupant = '', encounter = '', since = 0, expected = '', held_for = '', held_until = 0, turn = $4, changed_at = $5, updated_by = $6, updated_at = $5"+
		" WHERE tenant = $1 AND id = $2", r.tenant, b.id, b.state, b.turn, r.now, r.who); err != nil || !last {
		return err
	}
	if err := r.cleaned(b); err != nil {
		return err
	}
	return r.align(b)
}

// cleaned puts the job that makes a cleaned bed available, where the facility wants that.
func (r *ruling) cleaned(b *bed) error {
	s, err := settingsOf(r.ctx, r.tx, r.tenant, b.facility)
	if err != nil || !s.AutomaticBedRelease {
		return err
	}
	at := time.UnixMicro(r.now).Add(time.Duration(s.BedCleaningDuration) * time.Minute)
	return r.put(cleanedJob, b, at)
}

// align puts the job that brings the bed's Location in line, where the set does not change the Location itself.
func (r *ruling) align(b *bed) error {
	if r.told[b.id] {
		return nil
	}
	return r.put(alignJob, b, time.Time{})
}

func (r *ruling) put(kind string, b *bed, at time.Time) error {
	return job.Put(r.ctx, r.tx, r.tenant, job.Job{ID: r.l.Next(), Kind: kind, Key: bedTurn(b.id, b.turn), At: at})
}

// occupy enters who lies in the bed.
func (r *ruling) occupy(b *bed, s *stay) error {
	fresh := b.occupant != s.occupant
	if !fresh && b.encounter == s.encounter && b.since == s.since && b.expected == s.expected {
		return nil
	}
	changed := r.now
	if fresh {
		b.turn = r.l.Next()
	}
	b.state, b.occupant, b.encounter = occupied, s.occupant, s.encounter
	sql := "UPDATE facility_bed SET state = $3, occupant = $4, encounter = $5, since = $6, expected = $7, held_for = '', held_until = 0, turn = $8, updated_by = $9, updated_at = $10"
	if fresh {
		sql += ", changed_at = $10"
	}
	if err := r.exec(sql+" WHERE tenant = $1 AND id = $2", r.tenant, b.id, b.state, b.occupant, b.encounter, s.since, s.expected, b.turn, r.who, changed); err != nil || !fresh {
		return err
	}
	return r.align(b)
}
