package billing_test

import (
	"fmt"
	"testing"

	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/flat/flattest"
	"github.com/nilecare/nilecare/internal/module/billing"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/storetest"
	"github.com/nilecare/nilecare/internal/web/api"
	"time"
)

func routes(r *flat.Records) []api.Route { return billing.New(billing.Options{Records: r}).Routes() }

const stats = "/api/v1/stats/invoices"

func invoice(id, status, date, net, currency string) string {
	return fmt.Sprintf(`{"resourceType":"Invoice","id":%q,"status":%q,"subject":{"reference":"Patient/p"},"date":%q,"totalNet":{"value":%s,"currency":%q}}`, id, status, date, net, currency)
}

func claim(id, status string) string {
	return fmt.Sprintf(`{"resourceType":"Claim","id":%q,"status":%q,"type":{"text":"x"},"use":"claim","patient":{"reference":"Patient/p"},"created":"2026-03-01","provider":{"reference":"Organization/o"},"priority":{"text":"x"},"insurance":[{"sequence":1,"focal":true,"coverage":{"display":"x"}}]}`, id, status)
}

func response(id, claim, outcome string) string {
	return fmt.Sprintf(`{"resourceType":"ClaimResponse","id":%q,"status":"active","type":{"text":"x"},"use":"claim","patient":{"reference":"Patient/p"},"created":"2026-03-02","insurer":{"reference":"Organization/o"},"request":{"reference":"Claim/%s"},"outcome":%q}`, id, claim, outcome)
}

func TestMoneyIsCounted(t *testing.T) {
	storetest.Each(t, record.Options{}, func(t *testing.T, store *record.Store) {
		w := flattest.New(t, store, routes)
		for _, text := range []string{
			`{"resourceType":"Patient","id":"p"}`, `{"resourceType":"Organization","id":"o","name":"x"}`,
			invoice("paid", "balanced", "2026-03-01", "100.10", "SDG"), invoice("paid2", "balanced", "2026-03-01", "200.20", "SDG"),
			invoice("open", "issued", "2026-03-01", "50.05", "SDG"), invoice("late", "issued", "2026-01-01", "0.05", "SDG"), invoice("draft", "draft", "2026-01-01", "7", "SDG"),
			claim("c1", "active"), claim("c2", "active"), claim("c3", "active"), claim("c4", "cancelled"),
			response("r1", "c1", "complete"), response("r2", "c2", "error"),
		} {
			w.Put(text)
		}
		want := map[string]any{"totalRevenue": 300.3, "outstanding": 50.1, "outstandingInvoices": 2.0, "pendingPayments": 2.0, "overdueInvoices": 1.0, "draftInvoices": 1.0, "paidInvoices": 2.0,
			"pendingClaims": 1.0, "approvedClaims": 1.0, "deniedClaims": 1.0, "paymentsToday": nil, "revenueToday": nil}
		w.Figures("billing_clerk", stats, want)
		w.Figures("admin", stats, want)

		w.Put(`{"resourceType":"PaymentReconciliation","id":"y","status":"active","created":"2026-03-09T10:00:00+02:00","paymentDate":"2026-03-09","paymentAmount":{"value":5,"currency":"SDG"}}`)
		w.Now = w.Now.Add(time.Minute)
		w.Figures("billing_clerk", stats, map[string]any{"paymentsToday": 0.0, "revenueToday": 0.0})
		w.Put(`{"resourceType":"PaymentReconciliation","id":"z","status":"active","created":"2026-03-10T10:00:00+02:00","paymentDate":"2026-03-10","paymentAmount":{"value":5.5,"currency":"SDG"}}`)
		w.Put(invoice("foreign", "issued", "2026-03-01", "3", "USD"))
		w.Now = w.Now.Add(time.Minute)
		w.Figures("billing_clerk", stats, map[string]any{"paymentsToday": 1.0, "revenueToday": 5.5, "outstanding": nil, "totalRevenue": 300.3})

		// The receptionist may ask what is billed, and sees no invoice: nothing is known, which is not nothing.
		w.Figures("receptionist", stats, map[string]any{"outstandingInvoices": nil, "totalRevenue": nil, "outstanding": nil, "pendingClaims": nil})
		for role, want := range map[string]int{"medical_director": 200, "nurse": 403, "doctor": 403, "patient": 403, "pharmacist": 403} {
			if got, _ := w.Get(role, stats); got != want {
				t.Errorf("%s: %d, want %d", role, got, want)
			}
		}
	})
}
