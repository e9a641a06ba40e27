package facility

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/job"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// The kinds of jobs, each about one turn of one bed: whatever happens to the bed afterwards makes it pointless.
const (
	alignJob   = "facility.align"   // the bed's Location is to say what the ledger has
	cleanedJob = "facility.cleaned" // the bed is clean
	expiredJob = "facility.expired" // its reservation runs out
)

// bedTurn is a job's key.
func bedTurn(bed string, turn int64) string { return bed + "/" + strconv.FormatInt(turn, 10) }

func readBedTurn(key string) (bed string, turn int64) {
	bed, digits, _ := strings.Cut(key, "/")
	turn, _ = strconv.ParseInt(digits, 10, 64)
	return bed, turn
}

// handle has the runner do the module's jobs.
func (s *Service) handle(jobs *job.Runner) {
	if jobs == nil {
		return
	}
	jobs.Handle(alignJob, job.Handler{Before: func(ctx context.Context, j job.Job) (any, error) {
		bed, turn := readBedTurn(j.Key)
		return nil, s.align(ctx, bed, turn)
	}})
	for kind, state := range map[string]string{cleanedJob: cleaning, expiredJob: reserved} {
		jobs.Handle(kind, job.Handler{Before: func(ctx context.Context, j job.Job) (any, error) {
			bed, turn := readBedTurn(j.Key)
			return nil, s.makeAvailable(ctx, bed, turn, state)
		}, Within: func(ctx context.Context, tx sqldb.Tx, j job.Job, _ any) error {
			bed, turn := readBedTurn(j.Key)
			return availableWithin(ctx, tx, j.Tenant, bed, turn, state, s.Ledger.Next(), s.Records.Now().UnixMicro())
		}})
	}
}

// stateOf reads a bed's state and turn; "" where there is no such bed.
func (s *Service) stateOf(ctx context.Context, bed string) (state string, turn int64, err error) {
	tenant := access.From(ctx).Tenant
	err = s.Ledger.Read(ctx, tenant, func(q sqldb.Querier) error {
		_, err := sqldb.QueryRow(ctx, q, []any{&state, &turn}, "SELECT state, turn FROM facility_bed WHERE tenant = $1 AND id = $2 AND deleted_at = 0", tenant, bed)
		return err
	})
	return state, turn, err
}

// align has the bed's Location say what the ledger has, where the ledger is still at that turn.
func (s *Service) align(ctx context.Context, bed string, turn int64) error {
	state, now, err := s.stateOf(ctx, bed)
	if err != nil || state == "" || now != turn {
		return err
	}
	return s.tell(ctx, bed, turn, state)
}

// makeAvailable ends a state that ends by itself, by the bed's Location; [availableWithin] does the same where the Location said so all the time.
func (s *Service) makeAvailable(ctx context.Context, bed string, turn int64, from string) error {
	state, now, err := s.stateOf(ctx, bed)
	if err != nil || state != from || now != turn {
		return err
	}
	return s.tell(ctx, bed, turn, available)
}

// tell writes a state into the bed's Location, as long as the ledger is at that turn.
func (s *Service) tell(ctx context.Context, bed string, turn int64, state string) error {
	_, err := s.Records.Update(restingOn(ctx, turn), "Location", bed, 0, func(r *fhir.Resource) error { return declare(r, state) })
	var known *fault.Error
	if errors.As(err, &known) && (known.Issues[0].Code == movedOn || known.Kind == fault.NotFound || known.Kind == fault.Gone) {
		return nil
	}
	return err
}

// availableWithin makes a bed available whose Location never said anything else.
func availableWithin(ctx context.Context, tx sqldb.Tx, tenant int32, bed string, turn int64, from string, next, now int64) error {
	_, err := tx.Exec(ctx, "UPDATE facility_bed SET state = 'available', held_for = '', held_until = 0, turn = $5, changed_at = $6, updated_by = $7, updated_at = $6"+
		" WHERE tenant = $1 AND id = $2 AND turn = $3 AND state = $4 AND deleted_at = 0", tenant, bed, turn, from, next, now, access.From(ctx).Who)
	return err
}
