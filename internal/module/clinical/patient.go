package clinical

import (
	"context"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/record"
)

// patientURN is the fullUrl of the patient in the set that registers it.
const patientURN = "urn:uuid:6f1d2c0a-8a44-4a0e-9c0d-5b3f1f8f6a10"

// stampOf is a time in microseconds since 1970 as FHIR's instant.
func stampOf(micros int64) string { return stamp(time.UnixMicro(micros)) }

// readPatient reads a patient by an id of the product API.
func (s *Service) readPatient(ctx context.Context, id string) (*flat.Record, error) {
	one, err := s.Records.Read(ctx, "Patient", id)
	if fault.Is(err, fault.NotFound) {
		return nil, fault.New(fault.NotFound, "there is no patient with this id").WithCode("PATIENT_NOT_FOUND")
	}
	if fault.Is(err, fault.Gone) {
		return nil, fault.New(fault.Gone, "this patient was deleted").WithCode("PATIENT_NOT_FOUND")
	}
	return one, err
}

// register writes a new patient, with what was told at the desk, in one set; the medical record number is issued before, in a transaction of its own.
func (s *Service) register(ctx context.Context, p *person) (*flat.Record, error) {
	var at *registeredAt
	var err error
	if p.facility != nil && *p.facility != "" {
		at, err = s.facility(ctx, "facilityId", *p.facility)
	} else {
		at, err = s.usualFacility(ctx)
	}
	if err != nil {
		return nil, err
	}
	r := fhir.NewResource("Patient")
	r.Set("active", fhir.NewBool(true))
	if err := p.write(r); err != nil {
		return nil, err
	}
	changes, fields, err := p.told(patientURN, s.today().Format(time.DateOnly))
	if err != nil {
		return nil, err
	}
	within, err := asTold(ctx, fields)
	if err != nil {
		return nil, err
	}
	c := access.From(ctx)
	if c.Extent(access.Create, "Patient").IsNone() { // before a number is taken
		return nil, fault.New(fault.Forbidden, "you may not create a Patient")
	}
	key := ""
	if at != nil {
		key = at.key
		if err := flat.Set(r.Node, "managingOrganization", obj{"reference": at.ref}); err != nil {
			return nil, err
		}
	}
	system, number := mrnSystemOf(key), said(p.mrn)
	if number == "" {
		if system, number, err = s.mrnFor(ctx, at); err != nil {
			return nil, err
		}
	}
	if err := flat.SetIdentifier(r, system, mrnType, number); err != nil {
		return nil, err
	}
	all := append([]record.Change{{Op: record.Create, Type: "Patient", Resource: r, FullURL: patientURN}}, changes...)
	written, err := s.Records.Write(within, all...)
	if err != nil {
		return nil, err
	}
	return written[0], nil
}

// toldFacts are the facts of a registration as they were just written: whoever wrote them down may see them once, whatever the role sees later.
func (p *person) tellAs(out *patientOut) {
	if p.allergies != nil {
		out.Allergies = *p.allergies
	}
	if p.history != nil {
		out.MedicalHistory = *p.history
	}
	out.BloodType = p.blood
}

// change changes a patient, and what is told with it, in one set. version is the one that must be current; 0: any.
func (s *Service) change(ctx context.Context, id string, version int64, p *person) (*flat.Record, error) {
	const tries = 4
	for try := 1; ; try++ {
		one, err := s.tryChange(ctx, id, version, p)
		// Without a version of the caller's own, what others did meanwhile is no conflict.
		if version != 0 || try == tries || !fault.Is(err, fault.VersionConflict) {
			return one, err
		}
	}
}

func (s *Service) tryChange(ctx context.Context, id string, version int64, p *person) (*flat.Record, error) {
	one, err := s.readPatient(ctx, id)
	if err != nil {
		return nil, err
	}
	if replacedBy(one.Res) != "" {
		return nil, s.mergedAway(ctx, one)
	}
	var at *registeredAt
	if p.facility != nil && *p.facility != "" {
		if at, err = s.facility(ctx, "facilityId", *p.facility); err != nil {
			return nil, err
		}
	}
	change, err := s.Records.Changing(ctx, "Patient", one.Key(), func(r *fhir.Resource) error {
		if err := p.write(r); err != nil {
			return err
		}
		if at != nil {
			return flat.Set(r.Node, "managingOrganization", obj{"reference": at.ref})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	change.IfMatch = version
	changes := []record.Change{change}
	if p.allergies != nil || p.history != nil || p.blood != nil {
		f, err := s.factsOf(ctx, []*flat.Record{one})
		if err != nil {
			return nil, err
		}
		more, err := f.retold(ctx, one, p, s.today().Format(time.DateOnly))
		if err != nil {
			return nil, err
		}
		changes = append(changes, more...)
	}
	written, err := s.Records.Write(ctx, changes...)
	if err != nil {
		return nil, err
	}
	return written[0], nil
}

// openStatuses are those of encounters that are not over.
const openStatuses = "arrived,triaged,in-progress,onleave"

// remove deletes a patient: the versions stay, and restore brings it back. It is refused while the patient is being treated.
func (s *Service) remove(ctx context.Context, id string, version int64) error {
	one, err := s.readPatient(ctx, id)
	if err != nil {
		return err
	}
	for _, open := range []struct{ typ, status, what string }{{"Encounter", openStatuses, "an encounter that is not over"}, {"Appointment", "booked,arrived,checked-in,pending", "an appointment to come"}} {
		q := flat.Query{Type: open.typ, Limit: 1, NoTotal: true}
		q.With("patient", one.Ref())
		q.With("status", open.status)
		if open.typ == "Appointment" {
			q.With("date", flat.At("ge", s.Records.Now()))
		}
		// Whether there is one is asked whatever the caller may see of it: deleting must not depend on that.
		found, err := s.Records.Find(access.With(ctx, access.System(access.From(ctx).Tenant)), q)
		if err != nil {
			return err
		}
		if len(found.Records) > 0 {
			return fault.New(fault.Conflict, "the patient has %s", open.what).WithCode("PATIENT_IN_CARE")
		}
	}
	_, err = s.Records.Write(ctx, record.Change{Op: record.Delete, Type: "Patient", ID: one.Version.ID, IfMatch: version})
	return err
}

// restore brings a deleted patient back as it was before.
func (s *Service) restore(ctx context.Context, id string) (*flat.Record, error) {
	name, err := s.Records.FHIRID(ctx, "Patient", id)
	if err != nil {
		return nil, err
	}
	now, err := s.Records.Store.Current(ctx, "Patient", name)
	if err != nil {
		return nil, err
	}
	if !now.Deleted {
		return nil, fault.New(fault.Conflict, "this patient is not deleted")
	}
	last, err := s.Records.Store.ReadVersion(ctx, "Patient", now.ID, now.VID-1)
	if err != nil {
		return nil, err
	}
	r, err := last.Resource()
	if err != nil {
		return nil, err
	}
	written, err := s.Records.Write(ctx, record.Change{Op: record.Update, Type: "Patient", ID: now.ID, Resource: r, IfMatch: 0})
	if err != nil {
		return nil, err
	}
	return written[0], nil
}
