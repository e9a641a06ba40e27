package scheduling

import (
	"context"
	"strconv"
	"time"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/job"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// The kinds of job that are done later. Their data is a record's number, in decimal.
const (
	holdJob = "scheduling.hold" // a hold ends
	slotJob = "scheduling.slot" // a Slot's status follows the ledger
)

// cancellationSystem is the code system of why an appointment was cancelled.
const cancellationSystem = "http://terminology.hl7.org/CodeSystem/appointment-cancellation-reason"

// named is the FHIR id of the record that a job is about; "" where there is none any more.
func (s *Service) named(ctx context.Context, typ string, j job.Job) (string, error) {
	num, err := strconv.ParseInt(string(j.Data), 10, 64)
	if err != nil {
		return "", job.Never(err)
	}
	return s.Records.Store.Named(ctx, typ, num)
}

// expireHold cancels a pending appointment whose time to be booked is over.
func (s *Service) expireHold(ctx context.Context, j job.Job) (any, error) {
	id, err := s.named(ctx, "Appointment", j)
	if err != nil || id == "" {
		return nil, err
	}
	_, err = s.Records.Update(ctx, "Appointment", id, 0, func(r *fhir.Resource) error {
		until := readAppointment(r).until
		if r.Str("status") != "pending" || until.IsZero() || until.After(s.Clock()) {
			return nil
		}
		if isOffer(r) {
			return backToList(r)
		}
		return setCancelled(r, "other", "the hold was not booked in time")
	})
	return nil, goneIsDone(err)
}

// goneIsDone takes it for done where the record is not there any more.
func goneIsDone(err error) error {
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Gone) {
		return nil
	}
	return err
}

// setCancelled cancels an Appointment: code is of [cancellationSystem].
func setCancelled(r *fhir.Resource, code, text string) error {
	if err := flat.Set(r.Node, "status", "cancelled"); err != nil {
		return err
	}
	return flat.Set(r.Node, "cancelationReason", map[string]any{"coding": []any{map[string]any{"system": cancellationSystem, "code": code}}, "text": text})
}

// alignSlot brings a Slot's status in line with the appointment that it is in: free, busy, or busy-tentative while it is held.
func (s *Service) alignSlot(ctx context.Context, j job.Job) (any, error) {
	id, err := s.named(ctx, "Slot", j)
	if err != nil || id == "" {
		return nil, err
	}
	num, err := strconv.ParseInt(string(j.Data), 10, 64)
	if err != nil {
		return nil, job.Never(err)
	}
	for last := ""; ; {
		want, err := s.slotStatus(ctx, j.Tenant, num)
		if err != nil || want == last { // looked at again after writing: what was written is still so
			return nil, err
		}
		last = want
		_, err = s.Records.Update(ctx, "Slot", id, 0, func(r *fhir.Resource) error {
			switch r.Str("status") {
			case "free", "busy", "busy-tentative":
				return flat.Set(r.Node, "status", want)
			}
			return nil // busy-unavailable and entered-in-error are somebody's word
		})
		if err != nil {
			return nil, goneIsDone(err)
		}
	}
}

// slotStatus is what the ledger says of a Slot.
func (s *Service) slotStatus(ctx context.Context, tenant int32, num int64) (string, error) {
	status := "free"
	err := s.Ledger.Read(ctx, tenant, func(q sqldb.Querier) error {
		var held bool
		found, err := sqldb.QueryRow(ctx, q, []any{&held}, "SELECT held <> 0 FROM scheduling_slot_claim WHERE tenant = $1 AND slot = $2", tenant, num)
		switch {
		case found && held:
			status = "busy-tentative"
		case found:
			status = "busy"
		}
		return err
	})
	return status, err
}

// holdUntil is when a hold that is made now ends.
func (s *Service) holdUntil(p *kept) time.Time {
	return s.Clock().Add(time.Duration(*p.HoldMinutes) * time.Minute).UTC().Truncate(time.Second)
}
