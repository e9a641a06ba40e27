package medication

import (
	"context"
	"net/http"
	"time"

	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/web/api"
)

// The windows of what is looked at.
const (
	endsWithin      = 30 * 24 * time.Hour // a prescription that ends so soon is expiring
	interactionsFor = 30 * 24 * time.Hour // interactions that were found so long ago at most are told
)

// interactionCodes say of a DetectedIssue that it is an interaction of medicines (v3-ActCode).
const interactionCodes = "DRG,TPROD"

// statsJSON describes the figures; null is what is not known, and unavailable says why.
type statsJSON struct {
	ActivePrescriptions   *int              `json:"activePrescriptions"`
	OnHold                *int              `json:"onHold"`
	PendingPrescriptions  *int              `json:"pendingPrescriptions" doc:"active ones of which nothing was handed out"`
	ExpiringPrescriptions *int              `json:"expiringPrescriptions" doc:"active ones whose validity ends within 30 days"`
	DispensedToday        *int              `json:"dispensedToday"`
	AdministeredToday     *int              `json:"administeredToday"`
	Interactions          *int              `json:"interactions" doc:"found within the last 30 days"`
	PendingRefills        *int              `json:"pendingRefills"`
	DueDoses              *int              `json:"dueDoses"`
	Unavailable           map[string]string `json:"unavailable"`
}

// ending is an active prescription whose end is known, by its FHIR id.
type ending struct {
	id  string
	end time.Time
}

// stats answers GET /api/v1/stats/medications. providerId narrows it to what that practitioner prescribed.
func (s *Service) stats(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	var by, through []string
	if id := r.URL.Query().Get("providerId"); id != "" {
		ref, err := s.records.Ref(ctx, "providerId", "Practitioner", id)
		if err != nil {
			return err
		}
		by, through = []string{"requester", ref}, []string{"prescription.requester", ref}
	}
	now := s.records.Now()
	from, to := flat.Day(now, s.zone)
	f := s.records.Figures()
	with := func(more []string, params ...string) []string { return append(params, more...) }
	f.Count(ctx, "activePrescriptions", "MedicationRequest", with(by, "status", "active")...)
	f.Count(ctx, "onHold", "MedicationRequest", with(by, "status", "on-hold")...)
	f.Count(ctx, ".dispensed", "MedicationRequest", with(by, "status", "active", "_has:MedicationDispense:prescription:status", "completed")...)
	f.Count(ctx, "dispensedToday", "MedicationDispense", with(through, "status", "completed", "whenhandedover", flat.At("ge", from), "whenhandedover", flat.At("lt", to))...)
	f.Count(ctx, "administeredToday", "MedicationAdministration", with(administered(through), "status", "completed", "effective-time", flat.At("ge", from), "effective-time", flat.At("lt", to))...)
	f.Count(ctx, "interactions", "DetectedIssue", "code", interactionCodes, "identified", flat.At("ge", now.Add(-interactionsFor)))
	f.Go("expiringPrescriptions", func() (any, error) { return s.endingSoon(ctx, now, by) })
	f.Unknown("pendingRefills", "no record says that a refill was asked for")
	f.Unknown("dueDoses", "no record says at what time a dose is due")
	f.Less("pendingPrescriptions", "activePrescriptions", ".dispensed")
	all, err := f.All()
	if err != nil {
		return err
	}
	return api.Answer(w, r, http.StatusOK, all)
}

// administered is the chain by which an administration leads to who prescribed.
func administered(through []string) []string {
	if through == nil {
		return nil
	}
	return []string{"request.requester", through[1]}
}

// endingSoon counts active prescriptions whose period of validity ends within thirty days, and has not ended yet.
func (s *Service) endingSoon(ctx context.Context, now time.Time, by []string) (any, error) {
	all, err := s.expiring.Get(ctx, s.records, "", func(own context.Context) ([]ending, error) {
		q := flat.Query{Type: "MedicationRequest"}
		q.With("status", "active")
		return flat.Walk(own, s.records, q, func(r *flat.Record) (ending, bool) {
			at, ok := s.endOf(r)
			return ending{r.Version.ID, at}, ok
		})
	})
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, e := range all {
		if e.end.After(now) && !e.end.After(now.Add(endsWithin)) {
			ids = append(ids, e.id)
		}
	}
	return s.records.CountOf(ctx, "MedicationRequest", ids, append([]string{"status", "active"}, by...)...)
}

// endOf is when a prescription ends: the end of the period in which it may be filled. A date is the whole of its day in the zone.
func (s *Service) endOf(r *flat.Record) (time.Time, bool) {
	text := r.Res.Path("dispenseRequest", "validityPeriod", "end")
	if text == nil {
		return time.Time{}, false
	}
	if at, err := time.Parse(time.RFC3339, text.Text); err == nil {
		return at, true
	}
	day, err := time.ParseInLocation(time.DateOnly, text.Text, s.zone)
	return day.AddDate(0, 0, 1), err == nil
}
