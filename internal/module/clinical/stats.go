package clinical

import (
	"context"
	"net/http"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/sqldb"
	"github.com/nilecare/nilecare/internal/web/api"
)

// patientStats describes the figures; null is what is not known, and unavailable says why.
type patientStats struct {
	TotalPatients  *int              `json:"totalPatients"`
	NewThisMonth   *int              `json:"newThisMonth" doc:"registered since the first of the month"`
	ActiveToday    *int              `json:"activeToday" doc:"with an encounter today"`
	ActivePatients *int              `json:"activePatients" doc:"not marked as inactive or merged"`
	Unavailable    map[string]string `json:"unavailable"`
}

func (s *Service) servePatientStats(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	now := s.today()
	f := s.Records.Figures()
	f.Count(ctx, "totalPatients", "Patient")
	f.Count(ctx, "activePatients", "Patient", "active:not", "false")
	month := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, flat.DefaultZone())
	f.Go("newThisMonth", func() (any, error) { return s.registeredSince(ctx, month) })
	from, to := flat.Day(now, flat.DefaultZone())
	f.Go("activeToday", func() (any, error) { return s.seenBetween(ctx, from, to) })
	all, err := f.All()
	if err != nil {
		return err
	}
	return api.Answer(w, r, http.StatusOK, all)
}

// registeredSince counts the patients who were registered since then, of those whom the caller may see.
func (s *Service) registeredSince(ctx context.Context, since time.Time) (int, error) {
	all, err := s.Records.SeesAll(ctx, "Patient")
	if err != nil {
		return 0, err
	}
	if all {
		n := 0
		tenant := access.From(ctx).Tenant
		err := s.Ledger.Read(ctx, tenant, func(q sqldb.Querier) error {
			_, err := sqldb.QueryRow(ctx, q, []any{&n}, "SELECT count(*) FROM clinical_patient WHERE tenant = $1 AND created_at >= $2 AND deleted_at = 0", tenant, since.UnixMicro())
			return err
		})
		return n, err
	}
	ids, err := s.registeredIn(ctx, since.UnixMicro(), s.Records.Now().UnixMicro())
	if err != nil {
		return 0, err
	}
	return s.Records.CountOf(ctx, "Patient", ids)
}

// seenBetween counts the patients with an encounter in a span.
func (s *Service) seenBetween(ctx context.Context, from, to time.Time) (int, error) {
	c := access.From(ctx)
	if c.Extent(access.Search, "Encounter").IsNone() {
		return 0, fault.New(fault.Forbidden, "searching for Encounter is not permitted")
	}
	q := flat.Query{Type: "Encounter"}
	q.With("date", flat.At("ge", from))
	q.With("date", flat.At("lt", to))
	q.With("status:not", "cancelled,entered-in-error")
	all, err := s.visits.Get(ctx, s.Records, "visits "+from.Format(time.DateOnly), func(ctx context.Context) ([]string, error) {
		return flat.Walk(ctx, s.Records, q, func(e *flat.Record) (string, bool) {
			ref := flat.RefOf(e.Res.Get("subject"))
			return ref, ref != ""
		})
	})
	if err != nil {
		return 0, err
	}
	seen := map[string]bool{}
	var ids []string
	for _, ref := range all {
		if !seen[ref] {
			seen[ref] = true
			ids = append(ids, ref[len("Patient/"):])
		}
	}
	return s.Records.CountOf(ctx, "Patient", ids)
}
