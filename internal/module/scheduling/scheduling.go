package scheduling

import (
	"context"
	"embed"
	"io/fs"
	"log/slog"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/clock"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/job"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/sqldb"
	"github.com/nilecare/nilecare/internal/web/api"
)

// Module is the name that the tables' migrations are kept under.
const Module = "scheduling"

//go:embed migration
var migrations embed.FS

// Migrations are the module's tables, by engine, for [record.Ledger.Migrate].
func Migrations() fs.FS { return sqldb.Migrations(migrations) }

// Tables are the module's tables, for backups.
func Tables() []record.Table {
	made := []string{"created_by", "created_at"}
	kept := append(made[:2:2], "updated_by", "updated_at", "deleted_at")
	table := func(name string, who []string, columns ...string) record.Table {
		return record.Table{Name: name, Columns: append(append([]string{"tenant"}, columns...), who...)}
	}
	return []record.Table{
		table("scheduling_actor", kept, "type", "num", "plan", "schedule", "kind", "span", "version"),
		table("scheduling_role", kept, "num", "practitioner", "organization", "active", "hours"),
		table("scheduling_claim", made, "type", "num", "starts", "ends", "until", "appointment", "role", "extra", "held"),
		table("scheduling_slot", kept, "num", "schedule", "starts", "ends", "status"),
		table("scheduling_schedule", nil, "num", "type", "actor"),
		table("scheduling_slot_claim", made, "slot", "appointment", "held"),
		table("scheduling_absence", kept, "id", "type", "num", "organization", "first_day", "last_day", "yearly", "starts", "ends", "note"),
		table("scheduling_preference", kept, "patient", "preference", "version"),
		table("scheduling_reminder", kept[:4], "appointment", "channel", "starts", "due_at", "state", "reason", "ended_at"),
		table("scheduling_waiting", kept[:4], "appointment", "patient", "type", "num", "minutes", "from_at", "to_at", "urgency", "state", "passed", "offered_at", "offer_until", "contacted_at"),
		table("scheduling_series", kept, "id", "recurrence"),
		table("scheduling_feed", kept, "id", "hash", "actor", "details", "used_at"),
		table("scheduling_queue", kept[:4], "id", "facility", "line", "day", "number", "appointment", "patient", "provider", "urgency", "state", "called", "called_at", "served_at", "ended_at"),
	}
}

// Options says what the service works with.
type Options struct {
	Records  *flat.Records
	Ledger   *record.Ledger
	Jobs     *job.Runner // does what is due later; nil: nobody does it in this process
	Messages Messages    // carries what patients are told; nil: reminders wait
	Log      *slog.Logger
	Clock    clock.Clock // nil: the records' own
	// Maker says who a user is today, for the feeds that they made: Unauthenticated where they may do nothing any more. nil: no feed is served.
	Maker func(ctx context.Context, tenant int32, user int64) (access.Caller, error)
}

// Service is the module's verbs.
type Service struct {
	Options
	books books
}

// New returns the service, and has its jobs done by the runner.
func New(_ context.Context, o Options) (*Service, error) {
	if o.Clock == nil {
		o.Clock = o.Records.Clock
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	s := &Service{Options: o, books: books{o.Ledger}}
	if o.Jobs != nil {
		o.Jobs.Handle(holdJob, job.Handler{Before: s.expireHold})
		o.Jobs.Handle(slotJob, job.Handler{Before: s.alignSlot})
		o.Jobs.Handle(offerJob, job.Handler{Before: s.offer})
		o.Jobs.Handle(reminderJob, s.reminderHandler())
	}
	return s, nil
}

// Adopts names the types whose records of before are told to [Adopt] once, in the order in which they rest on each other.
func Adopts() []string {
	return []string{"Location", "PractitionerRole", "Schedule", "Slot", "Appointment"}
}

// Adopt enters a record of before into the ledgers. Nothing is refused: what two appointments took at one time before, they keep.
func Adopt(l *record.Ledger) func(ctx context.Context, tx record.Tx, r *fhir.Resource) error {
	b := books{l}
	return func(ctx context.Context, tx record.Tx, r *fhir.Resource) error {
		switch r.Type() {
		case "Location":
			return b.onLocation(ctx, tx, nil, r)
		case "PractitionerRole":
			return b.onRole(ctx, tx, nil, r)
		case "Schedule":
			return b.adoptSchedule(ctx, tx, r)
		case "Slot":
			return b.onSlot(ctx, tx, nil, r)
		case "Appointment":
			return b.adoptAppointment(ctx, tx, r)
		}
		return nil
	}
}

// Routes are the module's lines of the product API.
func (s *Service) Routes() []api.Route {
	var all []api.Route
	for _, list := range [][]api.Route{s.appointmentRoutes(), s.scheduleRoutes(), s.resourceRoutes(), s.figureRoutes(), s.seriesRoutes(), s.waitlistRoutes(), s.reminderRoutes(), s.queueRoutes(), s.feedRoutes()} {
		all = append(all, list...)
	}
	return all
}
