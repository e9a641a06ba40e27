package scheduling

import (
	"context"

	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/record"
)

// follow has what hangs on an appointment follow it, in its transaction: reminders, its place on the waiting list and in the queue, and those who wait for the time that it gives
// up. r nil: it is deleted; was is what it took before.
func (b books) follow(ctx context.Context, tx record.Tx, tenant int32, a *appointment, r *fhir.Resource, was []claim) error {
	if err := b.remind(ctx, tx, tenant, a); err != nil {
		return err
	}
	if err := b.wait(ctx, tx, tenant, a, r); err != nil {
		return err
	}
	if err := b.leaveQueue(ctx, tx, tenant, a); err != nil {
		return err
	}
	return b.freed(ctx, tx, tenant, a, was)
}
