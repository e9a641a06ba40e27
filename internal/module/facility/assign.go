package facility

import (
	"context"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/record"
)

// Assignment is the wish to put a patient into a bed. Ids are the product API's.
type Assignment struct {
	Patient   string
	Encounter string    // "": the patient's open one, or a new inpatient one
	At        time.Time // zero: now
	Expected  string    // discharge: a FHIR date or dateTime, or ""
	Notes     string
}

// inpatient are the classes of Encounters that lie in beds.
const inpatient = "IMP,ACUTE,NONAC,OBSENC,EMER,SS"

// Assign puts a patient into a bed: the Encounter and the bed's Location change in one set. It returns the Encounter's id of the product API. Conflict, with the free beds of the
// ward, where somebody was faster; PATIENT_HAS_BED where the patient lies elsewhere.
func (s *Service) Assign(ctx context.Context, bedID string, a Assignment) (string, error) {
	b, loc, err := s.theBed(ctx, bedID)
	if err != nil {
		return "", err
	}
	patient, err := s.Records.Ref(ctx, "patientId", "Patient", a.Patient)
	if err != nil {
		return "", err
	}
	now := s.Records.Now()
	if a.At.IsZero() {
		a.At = now
	}
	if a.At.After(now.Add(time.Minute)) {
		return "", fault.At(fault.Unprocessable, "assignmentDate", "is in the future: reserve the bed until then").WithCode("business-rule")
	}
	encounter, err := s.encounterFor(ctx, patient, a.Encounter)
	if err != nil {
		return "", err
	}
	var first record.Change
	if encounter == nil {
		res, err := s.admission(b, loc.Ref(), patient, &a)
		if err != nil {
			return "", err
		}
		first = record.Change{Op: record.Create, Type: "Encounter", Resource: res}
	} else if first, err = s.Records.Changing(ctx, "Encounter", encounter.Version.ID, func(res *fhir.Resource) error {
		if flat.RefOf(res.Get("subject")) != flat.RefOf(encounter.Res.Get("subject")) {
			return fault.At(fault.Conflict, "encounterId", "the encounter's patient has changed")
		}
		return lieDown(res, loc.Ref(), &a)
	}); err != nil {
		return "", err
	}
	occupy, err := s.Records.Changing(ctx, "Location", loc.Version.ID, func(res *fhir.Resource) error { return declare(res, occupied) })
	if err != nil {
		return "", err
	}
	all, err := s.Records.Write(access.Elevated(ctx), first, occupy)
	if err != nil {
		return "", err
	}
	return all[0].Key(), nil
}

// encounterFor is the Encounter that a patient, whom the caller may see, is put to bed by: the one given, else the newest open inpatient one; nil where there is none.
func (s *Service) encounterFor(ctx context.Context, patient, id string) (*flat.Record, error) {
	if id == "" {
		q := flat.Query{Type: "Encounter", Sort: "-_lastUpdated", Limit: 1, NoTotal: true}
		q.With("subject", patient)
		q.With("status", "arrived,triaged,in-progress,onleave")
		q.With("class", inpatient)
		found, err := s.Records.Find(access.Elevated(ctx), q)
		if err != nil || len(found.Records) == 0 {
			return nil, err
		}
		return found.Records[0], nil
	}
	e, err := s.Records.Read(ctx, "Encounter", id)
	if err != nil {
		if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Gone) {
			return nil, fault.At(fault.Unprocessable, "encounterId", "there is no Encounter with this id").WithCode("not-found")
		}
		return nil, err
	}
	if flat.RefOf(e.Res.Get("subject")) != patient {
		return nil, fault.At(fault.Unprocessable, "encounterId", "the encounter is another patient's").WithCode("business-rule")
	}
	if status := e.Res.Str("status"); !present(status) && status != "planned" {
		return nil, fault.At(fault.Unprocessable, "encounterId", "the encounter is %s", status).WithCode("business-rule")
	}
	return e, nil
}

// admission is a new inpatient Encounter in the bed.
func (s *Service) admission(b *bedRow, bed, patient string, a *Assignment) (*fhir.Resource, error) {
	members := map[string]any{"status": "in-progress", "class": map[string]any{"system": actCode, "code": "IMP", "display": "inpatient encounter"},
		"subject": map[string]any{"reference": patient}, "period": map[string]any{"start": instant(a.At)}}
	if b.facility != "" {
		members["serviceProvider"] = map[string]any{"reference": "Organization/" + b.facility}
	}
	res, err := flat.Make("Encounter", members)
	if err != nil {
		return nil, err
	}
	return res, lieDown(res, bed, a)
}

// lieDown has an Encounter say that its patient lies in the bed from now on.
func lieDown(res *fhir.Resource, bed string, a *Assignment) error {
	if res.Str("status") == "planned" {
		if err := flat.Set(res.Node, "status", "in-progress"); err != nil {
			return err
		}
		if res.Get("period") == nil {
			if err := flat.Set(res.Node, "period", map[string]any{"start": instant(a.At)}); err != nil {
				return err
			}
		}
	}
	if err := addBed(res, bed, a.At, a.Notes); err != nil {
		return err
	}
	if a.Expected == "" {
		return nil
	}
	return setExtension(res.Node, expectedURL, "valueDateTime", a.Expected)
}

// addBed adds an active location.
func addBed(res *fhir.Resource, bed string, at time.Time, notes string) error {
	one := fhir.NewObject()
	if notes != "" {
		if err := setExtension(one, notesURL, "valueString", notes); err != nil {
			return err
		}
	}
	for _, m := range []struct {
		name  string
		value any
	}{{"location", map[string]any{"reference": bed}}, {"status", "active"},
		{"physicalType", map[string]any{"coding": []any{map[string]any{"system": physicalType, "code": kindBed, "display": "Bed"}}}},
		{"period", map[string]any{"start": instant(at)}}} {
		if err := flat.Set(one, m.name, m.value); err != nil {
			return err
		}
	}
	var all []*fhir.Node
	for _, l := range flat.Items(res.Get("location")) {
		all = append(all, l.Clone())
	}
	res.Set("location", fhir.NewArray(append(all, one)...))
	return nil
}

// getUp has an Encounter say that its patient has left the bed. It is a Conflict where it says so already.
func getUp(res *fhir.Resource, bed string, at time.Time, reason string) error {
	left := false
	for _, l := range flat.Items(res.Get("location")) {
		if l.Str("status") != "active" || !sameRef(flat.RefOf(l.Get("location")), bed) {
			continue
		}
		left = true
		if err := flat.Set(l, "status", "completed"); err != nil {
			return err
		}
		p := l.Get("period")
		if p == nil {
			p = fhir.NewObject()
			l.Set("period", p)
		}
		if start := micros(p.Str("start")); start == 0 || start <= at.UnixMicro() {
			if err := flat.Set(p, "end", instant(at)); err != nil {
				return err
			}
		}
		if reason != "" {
			if err := setExtension(l, reasonURL, "valueString", reason); err != nil {
				return err
			}
		}
	}
	if !left {
		return conflict("BED_NOT_OCCUPIED", "the patient has left the bed")
	}
	return nil
}

// sameRef compares a reference, which may be absolute or name a version, with a relative one.
func sameRef(ref, want string) bool {
	typ, id, ok := fhir.SplitReference(ref, "")
	return ok && typ+"/"+id == want || len(ref) > len(want) && ref[len(ref)-len(want)-1:] == "/"+want
}

func instant(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

// Release has whoever lies in the bed leave it. The Encounter goes on; the bed is cleaned. Conflict where nobody lies there.
func (s *Service) Release(ctx context.Context, bedID, reason string) error {
	_, loc, err := s.theBed(ctx, bedID)
	if err != nil {
		return err
	}
	changes, err := s.leaving(ctx, loc, reason, nil)
	if err != nil {
		return err
	}
	_, err = s.Records.Write(access.Elevated(ctx), changes...)
	return err
}

// leaving are the changes by which whoever lies in the bed leaves it, the bed's Location last; then is what each Encounter says next, or nil.
func (s *Service) leaving(ctx context.Context, loc *flat.Record, reason string, then func(*fhir.Resource) error) ([]record.Change, error) {
	encounters, err := s.openStays(ctx, loc.Version.ID)
	if err != nil {
		return nil, err
	}
	if len(encounters) == 0 {
		return nil, conflict("BED_NOT_OCCUPIED", "nobody lies in the bed")
	}
	now := s.Records.Now()
	var changes []record.Change
	for _, id := range encounters {
		c, err := s.Records.Changing(ctx, "Encounter", id, func(res *fhir.Resource) error {
			if err := getUp(res, loc.Ref(), now, reason); err != nil || then == nil {
				return err
			}
			return then(res)
		})
		if err != nil {
			return nil, err
		}
		changes = append(changes, c)
	}
	clean, err := s.Records.Changing(ctx, "Location", loc.Version.ID, func(res *fhir.Resource) error { return declare(res, cleaning) })
	return append(changes, clean), err
}

// Transfer moves whoever lies in a bed to another one: both wards change at once, or nothing does.
func (s *Service) Transfer(ctx context.Context, bedID, to, notes string) error {
	_, from, err := s.theBed(ctx, bedID)
	if err != nil {
		return err
	}
	if to == "" {
		return fault.At(fault.Invalid, "toBedId", "is missing").WithCode("required")
	}
	_, target, err := s.theBed(ctx, to)
	if fault.Is(err, fault.NotFound) {
		return fault.At(fault.Unprocessable, "toBedId", "there is no bed with this id").WithCode("not-found")
	}
	if err != nil {
		return err
	}
	if target.Version.ID == from.Version.ID {
		return fault.At(fault.Unprocessable, "toBedId", "is the bed that the patient lies in").WithCode("business-rule")
	}
	now := s.Records.Now()
	changes, err := s.leaving(ctx, from, "", func(res *fhir.Resource) error { return addBed(res, target.Ref(), now, notes) })
	if err != nil {
		return err
	}
	occupy, err := s.Records.Changing(ctx, "Location", target.Version.ID, func(res *fhir.Resource) error { return declare(res, occupied) })
	if err != nil {
		return err
	}
	_, err = s.Records.Write(access.Elevated(ctx), append(changes, occupy)...)
	return err
}
