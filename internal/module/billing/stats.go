package billing

import (
	"context"
	"math/big"
	"net/http"
	"slices"
	"time"

	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/web/api"
)

// netTerm is how long after its date an invoice is due.
const netTerm = 30 * 24 * time.Hour

// statsJSON describes the figures; null is what is not known, and unavailable says why. Sums are in the one currency of the records.
type statsJSON struct {
	TotalRevenue        *float64          `json:"totalRevenue" doc:"net, of the invoices that are balanced"`
	Outstanding         *float64          `json:"outstanding" doc:"gross, of the invoices that are issued"`
	DraftInvoices       *int              `json:"draftInvoices"`
	OutstandingInvoices *int              `json:"outstandingInvoices" doc:"issued, not balanced"`
	PendingPayments     *int              `json:"pendingPayments" doc:"payments that are waited for: one for each outstanding invoice"`
	OverdueInvoices     *int              `json:"overdueInvoices" doc:"outstanding for more than 30 days"`
	PaidInvoices        *int              `json:"paidInvoices"`
	CancelledInvoices   *int              `json:"cancelledInvoices"`
	PendingClaims       *int              `json:"pendingClaims" doc:"active ones that were not answered"`
	ApprovedClaims      *int              `json:"approvedClaims"`
	DeniedClaims        *int              `json:"deniedClaims"`
	PaymentsToday       *int              `json:"paymentsToday"`
	RevenueToday        *float64          `json:"revenueToday" doc:"paid today"`
	Unavailable         map[string]string `json:"unavailable"`
}

const noPayments = "no record holds a payment: payments are not kept yet"

// amount is a sum of money in a record.
type amount struct {
	value    *big.Rat
	currency string
}

// stats answers GET /api/v1/stats/invoices.
func (s *Service) stats(w http.ResponseWriter, r *http.Request) error {
	if err := api.Only(r); err != nil {
		return err
	}
	ctx, now := r.Context(), s.records.Now()
	f := s.records.Figures()
	for name, status := range map[string]string{"draftInvoices": "draft", "outstandingInvoices": "issued", "paidInvoices": "balanced", "cancelledInvoices": "cancelled"} {
		f.Count(ctx, name, "Invoice", "status", status)
	}
	f.Count(ctx, "pendingPayments", "Invoice", "status", "issued")
	f.Count(ctx, "overdueInvoices", "Invoice", "status", "issued", "date", flat.At("lt", now.Add(-netTerm)))
	f.Go("totalRevenue", func() (any, error) { return s.sum(ctx, "balanced", "totalNet", "totalGross") })
	f.Go("outstanding", func() (any, error) { return s.sum(ctx, "issued", "totalGross", "totalNet") })
	f.Count(ctx, ".claims", "Claim", "status", "active")
	f.Count(ctx, ".decided", "Claim", "status", "active", "_has:ClaimResponse:request:outcome", "complete,error")
	f.Count(ctx, "approvedClaims", "Claim", "status", "active", "_has:ClaimResponse:request:outcome", "complete")
	f.Count(ctx, "deniedClaims", "Claim", "status", "active", "_has:ClaimResponse:request:outcome", "error")
	s.paid(ctx, f, now)
	f.Less("pendingClaims", ".claims", ".decided")
	all, err := f.All()
	if err != nil {
		return err
	}
	return api.Answer(w, r, http.StatusOK, all)
}

// mayAll refuses a sum over records that are not all for the caller to see.
func (s *Service) mayAll(ctx context.Context, typ string, params ...string) error {
	sees, err := s.records.SeesAll(ctx, typ, params...)
	if err == nil && !sees {
		err = flat.Unknown("it is a sum over all of them, which are not all for the caller to see")
	}
	return err
}

// sum adds up the invoices of the status: of each the first of the members that it has.
func (s *Service) sum(ctx context.Context, status string, members ...string) (any, error) {
	if err := s.mayAll(ctx, "Invoice", "status", status); err != nil {
		return nil, err
	}
	all, err := s.amounts.Get(ctx, s.records, status, func(own context.Context) ([]amount, error) {
		q := flat.Query{Type: "Invoice"}
		q.With("status", status)
		return flat.Walk(own, s.records, q, func(r *flat.Record) (amount, bool) { return amountOf(r.Res, members...) })
	})
	if err != nil {
		return nil, err
	}
	return total(all)
}

// amountOf reads the first of the members that is a sum of money.
func amountOf(r *fhir.Resource, members ...string) (amount, bool) {
	for _, name := range members {
		m := r.Get(name)
		if m == nil || m.Get("value") == nil {
			continue
		}
		v, ok := new(big.Rat).SetString(m.Get("value").Text)
		return amount{v, m.Str("currency")}, ok
	}
	return amount{}, false
}

// total adds up amounts of one currency, exactly; of several there is no sum.
func total(all []amount) (any, error) {
	sum, currencies := new(big.Rat), []string{}
	for _, a := range all {
		sum.Add(sum, a.value)
		if !slices.Contains(currencies, a.currency) {
			currencies = append(currencies, a.currency)
		}
	}
	if len(currencies) > 1 {
		return nil, flat.Unknown("the amounts are in several currencies")
	}
	v, _ := sum.Float64()
	return v, nil
}

// paid tells of the payments of today. Where no payment was ever recorded, payments are not kept, which is not the same as none having come.
func (s *Service) paid(ctx context.Context, f *flat.Figures, now time.Time) {
	from, to := flat.Day(now, s.zone)
	today := []string{"status", "active", "created", flat.At("ge", from), "created", flat.At("lt", to)}
	kept := func() error {
		n, err := s.records.Count(ctx, "PaymentReconciliation")
		if err == nil && n == 0 {
			err = flat.Unknown(noPayments)
		}
		return err
	}
	f.Go("paymentsToday", func() (any, error) {
		if err := kept(); err != nil {
			return nil, err
		}
		return s.records.Count(ctx, "PaymentReconciliation", today...)
	})
	f.Go("revenueToday", func() (any, error) {
		if err := s.mayAll(ctx, "PaymentReconciliation", today...); err != nil {
			return nil, err
		}
		if err := kept(); err != nil {
			return nil, err
		}
		all, err := s.payments.Get(ctx, s.records, from.Format(time.DateOnly), func(own context.Context) ([]amount, error) {
			q := flat.Query{Type: "PaymentReconciliation"}
			for i := 0; i < len(today); i += 2 {
				q.With(today[i], today[i+1])
			}
			return flat.Walk(own, s.records, q, func(r *flat.Record) (amount, bool) { return amountOf(r.Res, "paymentAmount") })
		})
		if err != nil {
			return nil, err
		}
		return total(all)
	})
}
