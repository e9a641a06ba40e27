package facility

import (
	"context"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/job"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// longestHold is how far ahead a bed may be reserved.
const longestHold = 14 * 24 * time.Hour

// defaultHold is how long a bed is reserved where nothing is said.
const defaultHold = 2 * time.Hour

// SetStatus gives a bed in which nobody lies a state. It becomes occupied by Assign alone, and reserved by Reserve.
func (s *Service) SetStatus(ctx context.Context, bedID, status string) error {
	b, loc, err := s.theBed(ctx, bedID)
	if err != nil {
		return err
	}
	if err := oneOf("status", status, bedStates()); err != nil {
		return err
	}
	switch status {
	case "":
		return fault.At(fault.Invalid, "status", "is missing").WithCode("required")
	case occupied:
		if b.state == occupied {
			return nil
		}
		return conflict("BED_NOT_OCCUPIED", "a bed becomes occupied by assigning it to a patient")
	case reserved:
		return s.Reserve(ctx, bedID, "", time.Time{})
	}
	if b.state == occupied {
		return conflict("BED_OCCUPIED", "somebody lies in the bed: release it first")
	}
	if b.state == status {
		return nil
	}
	_, err = s.Records.Update(access.Elevated(ctx), "Location", loc.Version.ID, 0, func(r *fhir.Resource) error { return declare(r, status) })
	if err != nil {
		return err
	}
	// Where the Location said so all the time, since it lags, nothing was written and the ledger has heard nothing.
	return s.force(ctx, b, status)
}

// force has the ledger take on a state that the Location says, where it is still as b has it.
func (s *Service) force(ctx context.Context, b *bedRow, status string) error {
	caller := access.From(ctx)
	return s.Ledger.Update(ctx, caller.Tenant, func(tx sqldb.Tx) error {
		r := newRuling(ctx, s.Ledger, tx)
		if err := tx.Lock(ctx, r.lockOf("bed", b.id)); err != nil {
			return err
		}
		now, err := r.bed(b.id)
		if err != nil || now == nil || now.turn != b.turn {
			return err
		}
		return r.set(now, status)
	})
}

// Reserve keeps a free bed for a patient (an id of the product API), or for whoever it is given to later ("": then it must be made available before it is assigned), until a time; zero:
// for two hours. The Location says so without the patient.
func (s *Service) Reserve(ctx context.Context, bedID, patientID string, until time.Time) error {
	b, _, err := s.theBed(ctx, bedID)
	if err != nil {
		return err
	}
	now := s.Records.Now()
	if until.IsZero() {
		until = now.Add(defaultHold)
	}
	if !until.After(now) || until.Sub(now) > longestHold {
		return fault.At(fault.Unprocessable, "until", "must be within the next %d days", int(longestHold.Hours()/24)).WithCode("business-rule")
	}
	patient := ""
	if patientID != "" {
		if patient, err = s.Records.Ref(ctx, "patientId", "Patient", patientID); err != nil {
			return err
		}
	}
	caller := access.From(ctx)
	var turn int64
	err = s.Ledger.Update(ctx, caller.Tenant, func(tx sqldb.Tx) error {
		r := newRuling(ctx, s.Ledger, tx)
		if err := tx.Lock(ctx, r.lockOf("bed", b.id)); err != nil {
			return err
		}
		one, err := r.bed(b.id)
		if err != nil {
			return err
		}
		if one == nil {
			return fault.New(fault.NotFound, "there is no bed with this id")
		}
		if err := r.mayBeHeld(one, patient); err != nil {
			return err
		}
		turn = s.Ledger.Next()
		if _, err := tx.Exec(ctx, "UPDATE facility_bed SET state = 'reserved', held_for = $3, held_until = $4, turn = $5, changed_at = $6, updated_by = $7, updated_at = $6 WHERE tenant = $1 AND id = $2",
			caller.Tenant, b.id, patient, until.UnixMicro(), turn, r.now, caller.Who); err != nil {
			return err
		}
		return job.Put(ctx, tx, caller.Tenant, job.Job{ID: s.Ledger.Next(), Kind: expiredJob, Key: bedTurn(b.id, turn), At: until})
	})
	if err != nil {
		return err
	}
	return s.align(access.Elevated(ctx), b.id, turn)
}

// mayBeHeld refuses the reservation of a bed that is not free. One's own may be prolonged.
func (r *ruling) mayBeHeld(b *bed, patient string) error {
	switch {
	case b.occupant != "":
		return r.taken(b, "BED_OCCUPIED", "the bed is occupied")
	case b.state == reserved && b.heldFor == patient:
		return nil
	}
	return r.mayLie(b, &stay{occupant: patient})
}
