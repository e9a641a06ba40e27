package scheduling

import (
	"context"
	"slices"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/record"
)

// Reason is why an appointment is cancelled, or a note at another move.
type Reason struct {
	Code string // of the code system of cancellations: pat, prov, maint, meds-inc, other; "": pat where the patient cancels, else other
	Text string
}

// cancellations are the codes of why that the product API takes: the groups of the code system.
var cancellations = []string{"pat", "prov", "maint", "meds-inc", "other"}

// permissionTo is the permission of the product API that moving an appointment to a status needs.
func permissionTo(status string) string {
	switch status {
	case confirmed:
		return "appointments:confirm"
	case completed:
		return "appointments:complete"
	case cancelled:
		return "appointments:cancel"
	}
	return "appointments:update"
}

// Move gives an appointment another status of the product API. Which may follow which is in [next]; a refusal is a Conflict that names them. version is the one that must
// be current; 0: any.
func (s *Service) Move(ctx context.Context, id string, version int64, status string, why Reason) (*flat.Record, error) {
	change, err := s.moving(ctx, id, version, status, why)
	if err != nil {
		return nil, err
	}
	all, err := s.Records.Write(ctx, change)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// Cancel is Move to cancelled: the time is free from then on.
func (s *Service) Cancel(ctx context.Context, id string, version int64, why Reason) (*flat.Record, error) {
	return s.Move(ctx, id, version, cancelled, why)
}

// moving is the change that [Service.Move] writes, for sets of several.
func (s *Service) moving(ctx context.Context, id string, version int64, status string, why Reason) (record.Change, error) {
	if status == cancelled {
		switch known := slices.Contains(cancellations, why.Code); {
		case why.Code == "" && s.ofPatient(ctx):
			why.Code = "pat"
		case why.Code == "":
			why.Code = "other"
		case !known:
			return record.Change{}, fault.At(fault.Invalid, "reasonCode", "must be pat, prov, maint, meds-inc or other").WithCode("value")
		}
	}
	change, err := s.Records.Changing(ctx, "Appointment", id, func(r *fhir.Resource) error {
		if err := move(statusOf(r), status); err != nil {
			return err
		}
		if status == confirmed && s.ofPatient(ctx) { // who answers for patients alone
			if err := flat.Set(r.Node, "status", "booked"); err != nil {
				return err
			}
			return s.answer(r, "accepted")
		}
		return s.setStatus(r, status, why)
	})
	change.IfMatch = version
	return change, err
}

// ofPatient reports that the caller acts as a patient, not as staff.
func (s *Service) ofPatient(ctx context.Context) bool {
	c := access.From(ctx)
	return !c.Permits("patients:read")
}

// setStatus says a status in an Appointment.
func (s *Service) setStatus(r *fhir.Resource, status string, why Reason) error {
	if status == cancelled {
		return setCancelled(r, why.Code, why.Text)
	}
	if err := flat.Set(r.Node, "status", toFHIR[status]); err != nil {
		return err
	}
	if why.Text != "" {
		if err := flat.Set(r.Node, "comment", why.Text); err != nil {
			return err
		}
	}
	switch status {
	case scheduled:
		return s.answer(r, "needs-action")
	case confirmed:
		for _, part := range flat.Items(r.Get("participant")) { // nobody's answer is outstanding any more
			if p := part.Str("status"); p == "needs-action" || p == "tentative" {
				if err := flat.Set(part, "status", "accepted"); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
