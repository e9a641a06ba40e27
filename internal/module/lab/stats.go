package lab

import (
	"context"
	"math"
	"net/http"
	"slices"
	"time"

	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/web/api"
)

// The codes that say of a record that it is the laboratory's.
const (
	orderCategories = "108252007,LAB,laboratory" // SNOMED CT, v2-0074, observation-category
	reportSections  = "LAB,BG,BLB,CG,CH,CP,GE,HM,IMM,MB,MCB,MYC,PAR,SP,SR,TX,VR"
	resultCategory  = "laboratory"
	finished        = "final,amended,corrected,appended"
	begun           = "registered,partial,preliminary"
	valid           = "preliminary,final,amended,corrected"
)

// criticalCodes are the interpretations that somebody must hear of at once (v3-ObservationInterpretation), and the word that the product's clients use.
var criticalCodes = []string{"HH", "LL", "AA", "HU", "LU", "critical"}

// The windows of what is looked at.
const (
	criticalFor = 24 * time.Hour      // a critical result counts for a day
	turnsFor    = 30 * 24 * time.Hour // the turnaround is that of the last reports of a month …
	turnsOf     = 200                 // … this many at most
)

// statsJSON describes the figures; null is what is not known, and unavailable says why.
type statsJSON struct {
	PendingTests      *int              `json:"pendingTests" doc:"open orders whose report was not begun"`
	OpenOrders        *int              `json:"openOrders" doc:"drafted, active or on hold"`
	InProgress        *int              `json:"inProgress" doc:"open orders whose report was begun"`
	CompletedToday    *int              `json:"completedToday" doc:"reports that were issued today"`
	CriticalResults   *int              `json:"criticalResults" doc:"critical results of the last 24 hours"`
	AverageTurnaround *float64          `json:"averageTurnaround" doc:"hours from order to report, the mean of the last 200 reports of 30 days"`
	Unavailable       map[string]string `json:"unavailable"`
}

// turn is how long a report took.
type turn struct {
	hours  float64
	doctor string // who ordered it
}

// stats answers GET /api/v1/stats/labs: how the laboratory stands. providerId narrows it to what that practitioner ordered.
func (s *Service) stats(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	doctor := ""
	if id := r.URL.Query().Get("providerId"); id != "" {
		ref, err := s.records.Ref(ctx, "providerId", "Practitioner", id)
		if err != nil {
			return err
		}
		doctor = ref
	}
	f := s.records.Figures()
	s.orders(ctx, f, doctor)
	s.results(ctx, f, doctor)
	f.Less("pendingTests", "openOrders", "inProgress")
	all, err := f.All()
	if err != nil {
		return err
	}
	return api.Answer(w, r, http.StatusOK, all)
}

// of adds the condition that the practitioner ordered it, at the end of a chain.
func of(doctor, path string, params ...string) []string {
	if doctor == "" {
		return params
	}
	return append(params, path, doctor)
}

// isOrder are the two ways in which a category says that an order is the laboratory's; none is in both.
var isOrder = [][]string{{"category", orderCategories}, {"category:text", "lab", "category:not", orderCategories}}

// orders counts the orders: those that are open, and of them those whose report was begun.
func (s *Service) orders(ctx context.Context, f *flat.Figures, doctor string) {
	count := func(more ...string) func() (any, error) {
		return func() (any, error) {
			total := 0
			for _, is := range isOrder {
				n, err := s.records.Count(ctx, "ServiceRequest", of(doctor, "requester", append(slices.Clone(is), more...)...)...)
				if err != nil {
					return nil, err
				}
				total += n
			}
			return total, nil
		}
	}
	f.Go("openOrders", count("status", "active,draft,on-hold"))
	f.Go("inProgress", count("status", "active,draft,on-hold", "_has:DiagnosticReport:based-on:status", begun))
}

// results counts reports and results.
func (s *Service) results(ctx context.Context, f *flat.Figures, doctor string) {
	now := s.records.Now()
	from, to := flat.Day(now, s.zone)
	f.Count(ctx, "completedToday", "DiagnosticReport", of(doctor, "based-on:ServiceRequest.requester", "category", reportSections, "status", finished,
		"issued", flat.At("ge", from), "issued", flat.At("lt", to))...)
	f.Go("criticalResults", func() (any, error) {
		since := now.Add(-criticalFor)
		ids, err := s.critical.Get(ctx, s.records, "", func(own context.Context) ([]string, error) {
			q := flat.Query{Type: "Observation"}
			q.With("category", resultCategory)
			q.With("status", valid)
			q.With("date", flat.At("ge", since))
			return flat.Walk(own, s.records, q, func(r *flat.Record) (string, bool) { return r.Version.ID, critical(r) })
		})
		if err != nil {
			return nil, err
		}
		// What was found a moment ago may be older than a day now.
		return s.records.CountOf(ctx, "Observation", ids, of(doctor, "based-on:ServiceRequest.requester", "date", flat.At("ge", since))...)
	})
	f.Go("averageTurnaround", func() (any, error) { return s.turnaround(ctx, doctor, now) })
}

// critical reports a result that somebody must hear of at once.
func critical(r *flat.Record) bool {
	for _, i := range flat.Items(r.Res.Get("interpretation")) {
		for _, c := range flat.Items(i.Get("coding")) {
			if slices.Contains(criticalCodes, c.Str("code")) {
				return true
			}
		}
	}
	return false
}

// turnaround is the mean time in hours from order to report, of the last reports of a month that name their order.
func (s *Service) turnaround(ctx context.Context, doctor string, now time.Time) (any, error) {
	for _, all := range [][]string{{"DiagnosticReport", "issued"}, {"ServiceRequest", "authored"}} {
		sees, err := s.records.SeesAll(ctx, all[0], all[1], flat.At("ge", now.Add(-turnsFor)))
		if err != nil {
			return nil, err
		}
		if !sees {
			return nil, flat.Unknown("it is a figure of all orders and reports, which are not all for the caller to see")
		}
	}
	turns, err := s.turns.Get(ctx, s.records, "", func(own context.Context) ([]turn, error) { return s.lastTurns(own, now) })
	if err != nil {
		return nil, err
	}
	sum, n := 0.0, 0
	for _, t := range turns {
		if doctor == "" || t.doctor == doctor {
			sum, n = sum+t.hours, n+1
		}
	}
	if n == 0 {
		return nil, flat.Unknown("no report of the last 30 days names an order with a time")
	}
	return math.Round(sum/float64(n)*100) / 100, nil
}

func (s *Service) lastTurns(ctx context.Context, now time.Time) ([]turn, error) {
	q := flat.Query{Type: "DiagnosticReport", Sort: "-issued", Limit: turnsOf, NoTotal: true, Include: []string{"DiagnosticReport:based-on:ServiceRequest"}}
	q.With("category", reportSections)
	q.With("status", finished)
	q.With("issued", flat.At("ge", now.Add(-turnsFor)))
	found, err := s.records.Find(ctx, q)
	if err != nil {
		return nil, err
	}
	var out []turn
	for _, r := range found.Records {
		issued, err := time.Parse(time.RFC3339, r.Res.Str("issued"))
		if err != nil {
			continue
		}
		for _, ref := range flat.Items(r.Res.Get("basedOn")) {
			order := found.Included[flat.RefOf(ref)]
			if order == nil {
				continue
			}
			at, err := time.Parse(time.RFC3339, order.Res.Str("authoredOn"))
			if err != nil || at.After(issued) {
				continue // a date alone tells no hours
			}
			out = append(out, turn{issued.Sub(at).Hours(), flat.RefOf(order.Res.Get("requester"))})
			break
		}
	}
	return out, nil
}
